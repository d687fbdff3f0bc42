/*
 * cores_test.c - the rules for core files, with a folder in place of /proc/sys/kernel: what is said at start, and which
 * file is taken for the core of a process.
 */
#define CORES_KERNEL "."
#include "crashdump/cores.c"

#include <sys/time.h>

#include "tests/unit/crashdump/harness.h"

static char home[] = "/tmp/crashdump-cores-XXXXXX";

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(home) && chdir(home) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", home);
	return system(command);
}

/* ---------------------------------------------------------------------------------------------------------- at start */

static char said[2][512];

static void say(void *ctx, const char *sentence, const char *remedy)
{
	(void)ctx;
	snprintf(said[0], sizeof said[0], "%s", sentence);
	snprintf(said[1], sizeof said[1], "%s", remedy);
}

static void obstacles_are_named(void **state)
{
	static const struct { const char *pattern, *sentence; } rows[] = {
		{ "core", NULL }, { "core.%p", NULL }, { "%e-%t", NULL },
		{ "|/usr/lib/systemd/systemd-coredump %P", "no core files will be written to /var/crash: the kernel pipes cores "
		  "to \"/usr/lib/systemd/systemd-coredump %P\" (kernel.core_pattern)" },
		{ "/var/cores/%p", "no core files will be written to /var/crash: the kernel writes cores to \"/var/cores/%p\" "
		  "(kernel.core_pattern)" },
		{ "", "no core files will be written to /var/crash: kernel.core_pattern is empty or cannot be read" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		put("core_pattern", rows[i].pattern);
		said[0][0] = '\0';
		assert_int_equal(crash_core_check("/var/crash", say, NULL), rows[i].sentence ? 1 : 0);
		assert_string_equal(said[0], rows[i].sentence ? rows[i].sentence : "");
		if (rows[i].sentence)
			assert_string_equal(said[1], i == 3 ? "sysctl -w kernel.core_pattern=core.%p, or look for them where they go: coredumpctl list bulkhead"
						   : "sysctl -w kernel.core_pattern=core.%p");
	}
}

static void limits_are_named(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	put("core_pattern", "core");
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 4096 });
		if (crash_core_check("/d", say, NULL) != 1 || !strstr(said[0], "will be cut at 4096 bytes"))
			_exit(1);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		if (crash_core_check("/d", say, NULL) != 1 || !strstr(said[0], "the hard limit RLIMIT_CORE is 0"))
			_exit(2);
		put("core_pattern", "|prog");           /* a pipe is fed whatever the limit is */
		_exit(crash_core_check("/d", say, NULL) == 1 && strstr(said[0], "pipes") ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void places_are_told(void **state)
{
	static const struct { const char *pattern, *uses, *words; } rows[] = {
		{ "core.%p", "0", "cores of crashed children go to /d, named by kernel.core_pattern \"core.%p\"" },
		{ "core", "1", "cores of crashed children go to /d/core.PID" },
		{ "core", "0", "cores of crashed children go to /d/core.PID; since the kernel gives all one name, of crashes at the same moment one "
		  "core remains (sysctl -w kernel.core_pattern=core.%p mends that)" },
		{ "|/x", "0", NULL },
	};
	char out[640];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		put("core_pattern", rows[i].pattern);
		put("core_uses_pid", rows[i].uses);
		assert_int_equal(crash_core_where("/d", out, sizeof out), rows[i].words != NULL);
		if (rows[i].words)
			assert_string_equal(out, rows[i].words);
	}
}

static void folder_is_tried(void **state)
{
	struct crash_core_user u = { .become = geteuid() == 0, .uid = HARNESS_USER, .gid = HARNESS_USER, .name = "www-data" };
	DIR *d;
	unsigned files = 0;

	(void)state;
	assert_int_equal(crash_core_folder("/nowhere/at/all", &u, say, NULL), 0);
	assert_int_equal(mkdir("folder", 0755), 0);
	if (u.become) {
		said[0][0] = '\0';
		assert_int_equal(crash_core_folder("folder", &u, say, NULL), 1);
		assert_string_equal(said[0], "neither reports nor cores will be written to folder: the user www-data cannot create a file there "
					     "(Permission denied)");
		assert_string_equal(said[1], "install -d -m 700 -o www-data folder");
		assert_int_equal(chown("folder", u.uid, u.gid), 0);
	}
	assert_int_equal(crash_core_folder("folder", &u, say, NULL), 0);
	/* Below one that the user cannot enter: children are there before they become that user. */
	assert_int_equal(chmod(".", 0700), 0);
	assert_int_equal(crash_core_folder("folder", &u, say, NULL), 0);
	d = opendir("folder");
	while (readdir(d))
		files++;
	closedir(d);
	assert_int_equal(files, 2);             /* the file that was tried is gone */
}

/* ------------------------------------------------------------------------------------------------------ finding one */

static int dumped_status;

/* A real core of a process that has ended. */
static pid_t make_core(void)
{
	pid_t pid = fork();

	if (!pid) {
		default_signals();
		setrlimit(RLIMIT_CORE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
		raise(SIGQUIT);
		_exit(0);
	}
	waitpid(pid, &dumped_status, 0);
	return WCOREDUMP(dumped_status) ? pid : -1;
}

static void core_is_found_and_renamed(void **state)
{
	char out[512], want[128], real[320];
	int dir_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t pid;

	(void)state;
	if (!harness_cores_work())
		skip();         /* the kernel writes cores elsewhere */
	pid = make_core();
	assert_true(pid > 0);
	snprintf(real, sizeof real, "core.%d", pid);
	if (access("core", F_OK) != 0 && rename(real, "core") != 0)
		skip();         /* the kernel's pattern gives other names */
	put("core_uses_pid", "0");
	put("core_pattern", "core");
	/* Another process's core is not ours. */
	assert_int_equal(crash_core_find(dir_fd, "/d", pid + 1, dumped_status, out, sizeof out), -1);
	assert_non_null(strstr(out, "another process wrote its core to the same name"));
	assert_int_equal(crash_core_find(dir_fd, "/d", pid, dumped_status, out, sizeof out), 0);
	snprintf(want, sizeof want, "/d/core.%d", pid);
	assert_string_equal(out, want);
	assert_int_equal(access("core", F_OK), -1);
	assert_int_equal(crash_core_find(dir_fd, "/d", pid, dumped_status, out, sizeof out), 0);
	/* A core of the same pid's former life keeps its name, and is not taken for this one's. */
	assert_int_equal(rename(real, "core"), 0);
	put(real, "of long ago");
	assert_int_equal(crash_core_find(dir_fd, "/d", pid, dumped_status, out, sizeof out), 0);
	snprintf(want, sizeof want, "/d/core.%d-2", pid);
	assert_string_equal(out, want);
	assert_int_equal(rename(want + 3, real), 0);
	assert_int_equal(utimes(real, (struct timeval[2]){ { 1700000000, 0 }, { 1700000000, 0 } }), 0);
	assert_int_equal(crash_core_find(dir_fd, "/d", pid, dumped_status, out, sizeof out), -1);
	assert_int_equal(utimes(real, NULL), 0);
	/* A pattern of more parts: by its beginning and its notes. */
	assert_int_equal(rename(real, "cores-x-1700000000"), 0);
	put("core_pattern", "cores-%e-%t");
	assert_int_equal(crash_core_find(dir_fd, "/d", pid, dumped_status, out, sizeof out), 0);
	assert_string_equal(out, "/d/cores-x-1700000000");
	/* One more than there may be is removed, and no other. */
	put("core.1", "no core");
	assert_int_equal(crash_core_count(dir_fd, geteuid()), 1);
	assert_int_equal(crash_core_count(dir_fd, geteuid() + 1), 0);
	assert_false(crash_core_surplus(dir_fd, 1, out, sizeof out));
	assert_true(crash_core_surplus(dir_fd, 0, out, sizeof out));
	assert_string_equal(out, "it was removed, since there are 0 already (CoreDumpLimit)");
	assert_int_equal(access("cores-x-1700000000", F_OK), -1);
	assert_int_equal(unlink("core.1"), 0);
	close(dir_fd);
}

static void strangers_files_are_left_alone(void **state)
{
	char out[512];
	int dir_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), status = SIGSEGV | 0x80;

	(void)state;
	put("core_pattern", "core");
	put("core_uses_pid", "0");
	put("core", "\x7f" "ELF is what this file pretends to be");
	assert_int_equal(crash_core_find(dir_fd, "/d", 77, status, out, sizeof out), -1);
	unlink("core");
	assert_int_equal(symlink("/etc/passwd", "core"), 0);
	assert_int_equal(crash_core_find(dir_fd, "/d", 77, status, out, sizeof out), -1);
	unlink("core");
	assert_int_equal(mkfifo("core", 0600), 0);
	assert_int_equal(crash_core_find(dir_fd, "/d", 77, status, out, sizeof out), -1);
	unlink("core");
	close(dir_fd);
}

static void reasons_are_given(void **state)
{
	char out[512];
	int dir_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	put("core_pattern", "|/usr/share/apport/apport %p");
	assert_int_equal(crash_core_find(dir_fd, "/d", 77, SIGSEGV, out, sizeof out), -1);
	assert_string_equal(out, "the kernel pipes cores to \"/usr/share/apport/apport %p\" (kernel.core_pattern); "
				 "see ls /var/lib/apport/coredump /var/crash");
	put("core_pattern", "core");
	assert_int_equal(crash_core_find(dir_fd, "/d", 77, SIGSEGV, out, sizeof out), -1);
	assert_non_null(strstr(out, "the kernel wrote none"));
	close(dir_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(obstacles_are_named),
		cmocka_unit_test(limits_are_named),
		cmocka_unit_test(places_are_told),
		cmocka_unit_test(folder_is_tried),
		cmocka_unit_test(core_is_found_and_renamed),
		cmocka_unit_test(strangers_files_are_left_alone),
		cmocka_unit_test(reasons_are_given),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
