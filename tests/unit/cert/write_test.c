/*
 * write_test.c - server/cert/write.c: what is published is whole and has the mode and owner that were asked for; where anything fails the
 * old file stays, nothing lies beside it, and the sentence says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cert/write.h"

static char dir[64], path[96];
static unsigned char bytes[100000] = "a key";
static const gnutls_datum_t data = { bytes, sizeof bytes };

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/write_test.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/file", dir);
	return chmod(dir, 0777);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command) ? -1 : 0;
}

static unsigned files(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)); )
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void test_published_whole(void **state)
{
	char temporary[CERT_PATH];
	struct stat like = { .st_uid = geteuid(), .st_gid = getegid() }, st;
	struct err e = { 0 };
	mode_t mask = umask(0077);

	(void)state;
	assert_int_equal(cert_write_beside(path, temporary, 0644, &like, &data, &e), 0);
	assert_int_equal(access(path, F_OK), -1);               /* not before it is published */
	assert_int_equal(cert_write_publish(path, temporary, &e), 0);
	umask(mask);
	assert_string_equal(temporary, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_size, sizeof bytes);
	assert_int_equal(cert_write_beside(path, temporary, 0600, NULL, &data, &e), 0);
	assert_int_equal(files(), 2);
	cert_write_drop(temporary);
	cert_write_drop(temporary);
	assert_int_equal(files(), 1);
	unlink(path);
}

static void test_no_place(void **state)
{
	static char far[CERT_PATH + 10];
	char temporary[CERT_PATH], below[128];
	struct err e = { 0 };

	(void)state;
	memset(far, 'x', sizeof far - 1);
	assert_int_equal(cert_write_beside(far, temporary, 0600, NULL, &data, &e), -1);
	assert_non_null(strstr(e.text, "too long"));
	assert_string_equal(temporary, "");
	e = (struct err){ 0 };
	snprintf(below, sizeof below, "%s/none/file", dir);
	assert_int_equal(cert_write_beside(below, temporary, 0600, NULL, &data, &e), -1);
	assert_non_null(strstr(e.text, "cannot be made: No such file or directory"));
	assert_non_null(strstr(e.remedy, "make the folder"));
	assert_string_equal(temporary, "");
	e = (struct err){ 0 };
	/* A folder stands where the file is to be. */
	assert_int_equal(cert_write_beside(path, temporary, 0600, NULL, &data, &e), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(cert_write_publish(path, temporary, &e), -1);
	assert_non_null(strstr(e.text, "cannot be put in place: Is a directory"));
	assert_string_not_equal(temporary, "");                 /* the caller's still */
	cert_write_drop(temporary);
	assert_int_equal(files(), 1);
	rmdir(path);
}

static void test_a_full_disk(void **state)
{
	struct rlimit old, small = { .rlim_cur = 4096 };
	char temporary[CERT_PATH];
	struct err e = { 0 };
	int r;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = cert_write_beside(path, temporary, 0600, NULL, &data, &e);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(r, -1);
	assert_non_null(strstr(e.text, "cannot be written: File too large"));
	assert_int_equal(files(), 0);
}

/* Who may not give files to a group takes that group's rights away, rather than to give them to another one. */
static void test_a_group_that_cannot_be_had(void **state)
{
	struct stat like = { .st_uid = 0, .st_gid = 12345 }, st;
	char temporary[CERT_PATH];
	struct err e = { 0 };
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) != 0 || setuid(65534) != 0 || cert_write_beside(path, temporary, 0640, &like, &data, &e) != 0)
			_exit(1);
		_exit(cert_write_publish(path, temporary, &e) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_uid, 65534);
	unlink(path);
	assert_int_equal(cert_write_beside(path, temporary, 0640, &like, &data, &e), 0);
	assert_int_equal(stat(temporary, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_gid, 12345);
	cert_write_drop(temporary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_whole), cmocka_unit_test(test_no_place), cmocka_unit_test(test_a_full_disk), cmocka_unit_test(test_a_group_that_cannot_be_had),
	};

	return cmocka_run_group_tests_name("cert/write", tests, setup, teardown);
}
