/* userfile.c: files of users, good and odd ones. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/userfile.h"

static char path[] = "/tmp/bulkhead-users-XXXXXX";

static void put(const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	assert_int_equal(close(fd), 0);
}

static void users_are_found(void **state)
{
	static const char text[] = "# ann:comment\n\nbob:first\r\n  cyd:second:more:fields\nann:third\nann:fourth\nempty:\nnocolon\nlast:fifth";
	static const struct { const char *user, *hash; } rows[] = {
		{ "bob", "first" }, { "cyd", "second" }, { "ann", "third" }, { "empty", "" }, { "last", "fifth" }, { "nocolon", NULL }, { "an", NULL }, { "annx", NULL },
		{ "", NULL }, { "# ann", NULL }, { "Bob", NULL },
	};
	struct userfile_entry e;

	(void)state;
	put(text, sizeof text - 1);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		enum userfile_found found = userfile_find(path, rows[i].user, NULL, &e);
		const char *hash = rows[i].hash ? rows[i].hash : "first";       /* of nobody: that of the first */

		if (found != (rows[i].hash ? USERFILE_FOUND : USERFILE_NONE) || strcmp(e.hash, hash) != 0)
			fail_msg("\"%s\": %d, \"%s\"", rows[i].user, found, e.hash);
	}
	put("", 0);
	assert_int_equal(userfile_find(path, "bob", NULL, &e), USERFILE_NONE);
	assert_string_equal(e.hash, "");
}

static void realms_count(void **state)
{
	static const char text[] = "ann:one:h1\nann:two:h2\nbob:two:h3\n";
	struct userfile_entry e;

	(void)state;
	put(text, sizeof text - 1);
	assert_int_equal(userfile_find(path, "ann", "two", &e), USERFILE_FOUND);
	assert_string_equal(e.hash, "h2");
	assert_int_equal(userfile_find(path, "bob", "one", &e), USERFILE_NONE);
	assert_int_equal(userfile_find(path, "ann", "tw", &e), USERFILE_NONE);
}

static void what_is_too_long_is_nobody(void **state)
{
	struct userfile_entry e;
	char text[4096];

	(void)state;
	snprintf(text, sizeof text, "ann:%0*d\nbob:short\n", USERFILE_HASH, 1);
	put(text, strlen(text));
	assert_int_equal(userfile_find(path, "ann", NULL, &e), USERFILE_NONE);
	assert_int_equal(userfile_find(path, "bob", NULL, &e), USERFILE_FOUND);
	put("ann:h\0x\nbob:y\n", 14);
	assert_int_equal(userfile_find(path, "ann", NULL, &e), USERFILE_NONE);
	assert_int_equal(truncate(path, (off_t)USERFILE_LARGEST + 1), 0);
	assert_int_equal(userfile_find(path, "ann", NULL, &e), USERFILE_ERROR);
	assert_int_equal(errno, EFBIG);
}

static void only_ordinary_files_are_read(void **state)
{
	struct userfile_entry e;
	char fifo[64];

	(void)state;
	snprintf(fifo, sizeof fifo, "%s-fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(userfile_find(fifo, "ann", NULL, &e), USERFILE_ERROR);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(userfile_find("/dev/zero", "ann", NULL, &e), USERFILE_ERROR);
	assert_int_equal(userfile_find("/tmp", "ann", NULL, &e), USERFILE_ERROR);
	assert_int_equal(userfile_find(fifo, "ann", NULL, &e), USERFILE_ERROR);
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_found), cmocka_unit_test(realms_count), cmocka_unit_test(what_is_too_long_is_nobody), cmocka_unit_test(only_ordinary_files_are_read),
	};
	int fd = mkstemp(path), result;

	if (fd < 0)
		return 1;
	close(fd);
	result = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return result;
}
