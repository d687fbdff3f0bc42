/* spawner_test.c - programs as the spawner runs them: what an order may bring, and how they end. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/config.h"
#include "process/spawnrun.h"

static char dir[64];
static struct config *cfg;

static const char *script(const char *name, const char *text)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
	return path;
}

/* Runs it; what it says is in `said`. `directly`: as under -X. */
static char said[4096];
static bool directly;
static enum spawn_stage ordered(const char *path, const char *const *env, struct spawn_limits limits, int *errnum)
{
	struct spawn_order head = { .limits = limits };
	static uint32_t id;
	char order[4096], *at = order + sizeof head;
	int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	enum spawn_stage stage;
	ssize_t n;

	at = stpcpy(at, path) + 1;
	for (; env[head.nenv]; head.nenv++)
		at = stpcpy(at, env[head.nenv]) + 1;
	memcpy(order, &head, sizeof head);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	const int fds[3] = { null, out[1], null };
	stage = directly ? spawnrun_direct.run(++id, order, (size_t)(at - order), fds, errnum) :
			   spawnrun_start(7, ++id, order, (size_t)(at - order), fds, errnum);
	close(out[1]);
	close(null);
	for (size_t got = 0; (n = read(out[0], said + got, sizeof said - 1 - got)) > 0;)
		said[got += (size_t)n] = '\0';
	close(out[0]);
	return stage;
}

static const struct spawn_limits none = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
static const char *const no_env[] = { NULL };

static int begin(void **state)
{
	char text[256];

	(void)state;
	strcpy(dir, "/tmp/bulkhead-spawn-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(text, sizeof text, "ServerName a\nListen 127.0.0.1:1\nSetEnv PYTHONPATH x\nScriptAlias /x/ %s/\n", dir);
	cfg = config_read(&(struct config_source){ .text = text });
	return spawnrun_init(cfg->site, NULL, NULL);
}

static int end(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", dir);
	config_free(cfg);
	return system(command);
}

static void variables_that_lead_astray_do_not_pass(void **state)
{
	static const char *const env[] = { "GOOD=1", "LD_PRELOAD=/x.so", "PATH=/tmp", "BASH_ENV=/x", "PYTHONPATH=named", "PERL5OPT=-x", "noequals", "=x", NULL };
	int errnum;

	(void)state;
	assert_int_equal(ordered(script("env", "#!/bin/sh\nenv\n"), env, none, &errnum), SPAWN_OK);
	assert_non_null(strstr(said, "GOOD=1\n"));
	assert_non_null(strstr(said, "PYTHONPATH=named\n"));
	assert_null(strstr(said, "LD_PRELOAD"));
	assert_null(strstr(said, "PATH=/tmp\n"));
	assert_non_null(strstr(said, "\nPATH=/") || !strncmp(said, "PATH=/", 6) ? said : NULL);
	assert_null(strstr(said, "BASH_ENV"));
	assert_null(strstr(said, "PERL5OPT"));
}

static void only_allowed_programs_run(void **state)
{
	char path[128];
	int errnum;

	(void)state;
	assert_int_equal(ordered("/bin/true", no_env, none, &errnum), SPAWN_REFUSED);
	snprintf(path, sizeof path, "%s/../../bin/true", dir);
	assert_int_equal(ordered(path, no_env, none, &errnum), SPAWN_REFUSED);
	assert_int_equal(spawnrun_start(7, 1, "short", 5, (int[]){ 0, 1, 2 }, &errnum), SPAWN_REFUSED);
}

/* All that ended before, told. */
static void hear_ends(void)
{
	struct spawn_end end;

	while (spawnrun_ended(SPAWN_ANY, &end))
		spawnrun_over(end.owner, end.id, false);
	spawnrun_tick(0);
}

/* How the program that was ordered last, and begins by itself, has failed to. */
static struct spawn_end failure(const char *path, struct spawn_limits limits)
{
	struct spawn_end end = { .stage = SPAWN_OK };
	int errnum;

	hear_ends();
	assert_int_equal(ordered(path, no_env, limits, &errnum), SPAWN_OK);
	while (!spawnrun_ended(7, &end))
		usleep(1000);
	return end;
}

static void failures_say_where(void **state)
{
	char path[128];
	struct spawn_end end;

	(void)state;
	end = failure(script("lost", "#!/no/such\n"), none);
	assert_int_equal(end.stage, SPAWN_EXEC);
	assert_int_equal(end.errnum, ENOENT);
	end = failure(script("text", "text\n"), none);
	assert_int_equal(end.stage, SPAWN_EXEC);
	assert_int_equal(end.errnum, ENOEXEC);
	snprintf(path, sizeof path, "%s/none/x", dir);
	end = failure(path, none);
	assert_int_equal(end.stage, SPAWN_FOLDER);
	assert_int_equal(end.errnum, ENOENT);
	assert_int_equal(failure(script("ends", "#!/bin/sh\n"), none).stage, SPAWN_OK);
}

static void directly_they_are_said_at_once(void **state)
{
	int errnum;

	(void)state;
	directly = true;
	assert_int_equal(ordered(script("lost", "#!/no/such\n"), no_env, none, &errnum), SPAWN_EXEC);
	assert_int_equal(errnum, ENOENT);
	directly = false;
}

static void limits_are_set(void **state)
{
	static const struct spawn_limits limits = { { 3, 4 }, { -1, -1 }, { -1, -1 } };
	int errnum;

	(void)state;
	assert_int_equal(ordered(script("limit", "#!/bin/sh\nulimit -St; ulimit -Ht; pwd\n"), no_env, limits, &errnum), SPAWN_OK);
	assert_memory_equal(said, "3\n4\n/tmp/", 9);
}

/* All programs of the tests' child are gone, also those that have just ended. */
static void forget_programs(void)
{
	spawnrun_owner_gone(7);
	while (spawnrun_tick(INT64_MAX - 2) != INT64_MAX)
		usleep(1000);
}

/* Programs that have ended stand until the child says that it is over with them. */
static void a_child_has_its_share(void **state)
{
	int errnum;
	enum spawn_stage stage = SPAWN_OK;
	unsigned n = 0;

	(void)state;
	hear_ends();
	while (n <= SPAWN_SHARE && (stage = ordered(script("ends", "#!/bin/sh\n"), no_env, none, &errnum)) == SPAWN_OK)
		n++;
	assert_int_equal(stage, SPAWN_BUSY);
	assert_true(n <= SPAWN_SHARE && n > SPAWN_SHARE - 8);
	forget_programs();
	assert_int_equal(ordered(script("ends", "#!/bin/sh\n"), no_env, none, &errnum), SPAWN_OK);
	forget_programs();
}

static void ends_are_told_once_and_programs_killed(void **state)
{
	struct spawn_end end;
	int errnum;

	(void)state;
	hear_ends();
	/* It closes its output, so that the test goes on while it sleeps. */
	assert_int_equal(ordered(script("sleep", "#!/bin/sh\nexec >&- 2>&-\nexec sleep 60\n"), no_env, none, &errnum), SPAWN_OK);
	assert_false(spawnrun_ended(SPAWN_ANY, &end));
	spawnrun_owner_gone(7);
	for (int i = 0; i < 200 && spawnrun_tick(0) != INT64_MAX; i++)
		usleep(10000);
	spawnrun_tick(INT64_MAX - 2);
	assert_false(spawnrun_ended(SPAWN_ANY, &end));
	spawnrun_tick(INT64_MAX - 2);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_that_lead_astray_do_not_pass), cmocka_unit_test(only_allowed_programs_run), cmocka_unit_test(failures_say_where),
		cmocka_unit_test(directly_they_are_said_at_once),
		cmocka_unit_test(limits_are_set), cmocka_unit_test(a_child_has_its_share), cmocka_unit_test(ends_are_told_once_and_programs_killed),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
