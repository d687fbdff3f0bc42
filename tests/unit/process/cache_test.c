/*
 * cache_test.c - what a configuration asks of the session cache, and a change of its size as the master sees it: real
 * segments, a real job that moves what real children stored.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "log/log.h"
#include "process/cache.h"
#include "process/job.h"
#include "process/shared.h"
#include "process/slots.h"
#include "shmcache/shmcache.h"

static FILE *said;                      /* the log */
static char folder[] = "/tmp/bulkhead-cache-test-XXXXXX";

static struct config *config(const char *lines, bool tls)
{
	char text[2048];
	struct config *cfg;

	snprintf(text, sizeof text,
		 "ServerRoot \"%s\"\nDefaultRuntimeDir \"%s\"\nPidFile \"%s/pid\"\nListen 127.0.0.1:1\n%s\n"
		 "<VirtualHost *:1>\nServerName a.test\n%s\n</VirtualHost>\n",
		 folder, folder, folder, lines,
		 tls ? "SSLEngine on\nSSLCertificateFile /none/cert\nSSLCertificateKeyFile /none/key" : "");
	cfg = config_read(&(struct config_source){ .text = text });
	assert_non_null(cfg);
	for (const struct config_report *r = cfg->reports; r; r = r->next)
		if (r->severity == CONF_ERROR)
			fail_msg("%s", r->sentence);
	return cfg;
}

static void test_wishes(void **state)
{
	struct config *cfg = config("SSLSessionCache shmcb:x(512000)\nMutexTimeout 2", true);
	struct cache_wish w, other;
	char words[160];

	(void)state;
	cache_wish(cfg, &w);
	assert_true(w.tls);
	assert_int_equal(w.bytes, 512000);
	assert_int_equal(w.timeout_ms, 2000);
	assert_string_equal(w.mechanism, "fcntl");
	assert_int_equal(strncmp(w.lockfile, folder, strlen(folder)), 0);
	assert_int_equal(w.name[0], '/');
	assert_string_equal(cache_words(cfg, words, sizeof words),
			    "SSLSessionCache: 512000 bytes hold about 1100 sessions (TLS 1.2, 356 bytes each)");
	config_free(cfg);

	cfg = config("SSLSessionCache none\nMutex flock:/run/elsewhere ssl-cache", true);
	cache_wish(cfg, &other);
	assert_int_equal(other.bytes, 0);
	assert_string_equal(other.mechanism, "flock");
	assert_int_equal(strncmp(other.lockfile, "/run/elsewhere/", 15), 0);
	assert_string_equal(other.name, w.name);
	assert_string_equal(cache_words(cfg, words, sizeof words), "");
	config_free(cfg);

	cfg = config("SSLMutex file:/run/this", true);
	cache_wish(cfg, &other);
	assert_string_equal(other.lockfile, "/run/this");
	config_free(cfg);

	cfg = config("PidFile /elsewhere/pid", false);
	cache_wish(cfg, &other);
	assert_false(other.tls);
	assert_string_not_equal(other.name, w.name);
	assert_string_equal(cache_words(cfg, words, sizeof words), "");
	config_free(cfg);
}

/* ------------------------------------------------------------------------------------------------ another size */

static void key_of(unsigned i, unsigned char key[SHMCACHE_KEY])
{
	memset(key, 0, SHMCACHE_KEY);
	memcpy(key, &i, sizeof i);
}

/* In a child of its own, as children are: 0 if all of it went well. */
static int as_child(unsigned first, unsigned last, bool stores)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct err e = { .text = "" };
		int rc = shared_child_cache(&e) < 0 ? 2 : 0;

		for (unsigned i = first; i < last && rc == 0; i++) {
			unsigned char key[SHMCACHE_KEY], data[356] = { (unsigned char)i }, found[SHMCACHE_MAX_DATA];
			size_t n;

			key_of(i, key);
			if (stores && shmcache_store(shared.cache, key, data, sizeof data, 600) < 0)
				rc = 3;
			else if (!stores && (shmcache_fetch(shared.cache, key, found, sizeof found, &n) != 1 ||
					     n != sizeof data || found[0] != (unsigned char)i))
				rc = 4;
		}
		_exit(rc);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static void turn(const struct config *cfg)
{
	struct pollfd p[JOB_MAX];
	unsigned n = job_poll(p, JOB_MAX);
	int status;
	pid_t pid;

	poll(p, n, 5);
	for (unsigned i = 0; i < n; i++)
		if (p[i].revents)
			job_input(p[i].fd);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		assert_true(job_reaped(pid, status));
	job_tick(shared_now());
	cache_tick(cfg, slots_older(), shared_now());
}

/* Until the sizes are changed; the job's answer must be in the log. */
static void finish(const struct config *cfg, long moved)
{
	char line[1024], wanted[64], last[1024] = "";

	while (cache_moving())
		turn(cfg);
	rewind(said);
	while (fgets(line, sizeof line, said))
		memcpy(last, line, sizeof last);
	snprintf(wanted, sizeof wanted, ": %ld sessions were moved", moved);
	if (!strstr(last, wanted))
		fail_msg("not %ld moved: %s", moved, last);
}

static void test_sizes(void **state)
{
	struct config *small = config("SSLSessionCache shmcb:x(200000)", true);
	struct config *large = config("SSLSessionCache shmcb:x(900000)", true);
	struct config *none = config("SSLSessionCache none", true);
	struct err e = { .text = "" };
	unsigned age = cache_age();

	(void)state;
	signal(SIGSYS, SIG_DFL);        /* cmocka takes it */
	if (cache_prepare(small, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(as_child(0, 100, true), 0);
	cache_fit(small);
	assert_false(cache_moving());

	cache_fit(large);
	assert_true(cache_moving());
	assert_int_equal(cache_age(), age + 1);
	assert_int_equal(as_child(100, 200, true), 0);
	assert_int_equal(as_child(0, 200, false), 0);
	/* Older children live: nothing happens. */
	cache_tick(large, true, shared_now());
	assert_int_equal(job_deadline(), INT64_MAX);
	/* Another wish meanwhile waits. */
	cache_fit(small);
	assert_false(cache_follow(small));
	assert_int_equal(cache_age(), age + 1);
	finish(large, 100);
	assert_int_equal(shmcache_geometry(shared.cache)->bytes, 900000);
	assert_int_equal(as_child(0, 200, false), 0);

	/* Then it follows, once. */
	assert_true(cache_follow(small));
	assert_false(cache_follow(small));
	finish(small, 200);
	assert_false(cache_follow(small));
	assert_int_equal(shmcache_geometry(shared.cache)->bytes, 200000);
	assert_int_equal(as_child(0, 200, false), 0);

	cache_fit(none);
	finish(none, 0);
	assert_int_equal(shmcache_geometry(shared.cache)->bytes, 0);
	cache_fit(small);
	finish(small, 0);
	assert_int_equal(as_child(0, 100, true), 0);
	assert_int_equal(as_child(0, 100, false), 0);
	shared_remove();
	config_free(small);
	config_free(large);
	config_free(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_sizes),
	};
	struct err e = { .text = "" };
	struct log_settings settings;
	int failed;

	said = tmpfile();
	if (!said)
		return 1;
	log_settings_init(&settings, LOG_L_INFO);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = fileno(said) }, &settings);
	if (!mkdtemp(folder) || shared_create(1, &e) < 0 || slots_init(2, &e) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
