/*
 * seeds_test.c - the master's seeds in a real ring: renewed by either clock, retired, wiped, kept when clocks are set; files
 * and what is said of them. The wall clock is the test's own; the monotonic one is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <gnutls/crypto.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log/log.h"
#include "process/config.h"
#include "process/seeds.h"
#include "process/shared.h"
#include "shmcache/shmcache.h"

#define FOREVER INT64_MAX

static int64_t wall = 1000000000, mono;
static char dir[] = "/tmp/seedstest.XXXXXX";
static struct shmcache_seed seeds[SHMCACHE_SEEDS];
static unsigned nseeds;

/* In place of the C library's. */
time_t time(time_t *out)
{
	if (out)
		*out = (time_t)wall;
	return (time_t)wall;
}

static const char *path(const char *name)
{
	static char paths[16][128];
	static unsigned n;
	char *p = paths[n++ % 16];

	snprintf(p, sizeof paths[0], "%s/%s", dir, name);
	return p;
}

static void write_file(const char *name, size_t n, int seed, mode_t mode)
{
	FILE *f = fopen(path(name), "w");

	assert_non_null(f);
	for (size_t i = 0; i < n; i++)
		fputc((int)(seed * 31 + (int)i * 7) & 255, f);
	fclose(f);
	assert_int_equal(chmod(path(name), mode), 0);
}

static void write_zeros(const char *name, size_t n)
{
	write_file(name, 0, 0, 0600);
	assert_int_equal(truncate(path(name), (off_t)n), 0);
}

/* $ = the folder. TLS is on for the main server. */
static struct config *read_config(const char *lines)
{
	static char text[4096];
	size_t n = (size_t)snprintf(text, sizeof text, "ServerName localhost\nListen 127.0.0.1:1\nSSLEngine on\n");
	struct config_source src = { .root = dir, .text = text };
	struct config *cfg;

	for (; *lines; lines++)
		n += (size_t)snprintf(text + n, sizeof text - n, *lines == '$' ? "%s" : "%.1s", *lines == '$' ? dir : lines);
	cfg = config_read(&src);
	assert_non_null(cfg);
	for (const struct config_report *r = cfg->reports; r; r = r->next)
		if (r->severity == CONF_ERROR)
			fail_msg("%s", r->sentence);
	return cfg;
}

static void list(void)
{
	nseeds = shmcache_ticket_list(shared.cache, seeds);
}

/* Makes a generation of these lines ready; 0 or -1 with what was wrong. */
static struct err failure;
static int prepare(const char *lines)
{
	struct config *cfg = read_config(lines);
	int rc;

	failure = (struct err){ .text = "" };
	rc = seeds_prepare(cfg, &failure);
	config_free(cfg);
	list();
	return rc;
}

static int64_t tick(int64_t mono_s, int64_t wall_s)
{
	int64_t due;

	mono += mono_s * 1000;
	wall += wall_s;
	due = seeds_tick(mono);
	list();
	return due;
}

/* The tests share the ring as generations do; each begins with its own settings, which nothing else is left of. */
static int each_setup(void **state)
{
	(void)state;
	mono = shared_now();
	assert_int_equal(prepare("SSLSessionCacheTimeout 300"), 0);
	seeds_settle();
	tick(0, 0);
	tick(0, 400000);
	tick(0, 700000);
	assert_int_equal(nseeds, 2);            /* the present one and that before */
	tick(0, 301);
	assert_int_equal(nseeds, 1);
	return 0;
}

static int setup(void **state)
{
	struct shmcache_plan plan;
	struct shmcache_lock_options lock = { 0 };
	struct log_settings settings;
	char name[64];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	log_settings_init(&settings, LOG_L_NOTICE);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = open("/dev/null", O_WRONLY), .plain = true }, &settings);
	lock.lockfile = path("lock");
	snprintf(name, sizeof name, "/seedstest-%ld", (long)getpid());
	shmcache_plan(0, 0, &plan, NULL);
	shared.cache = shmcache_create(&plan, name, &lock, NULL);
	return shared.cache ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	shmcache_unlink(shared.cache);
	shmcache_close(shared.cache);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

/* ------------------------------------------------------------------------------------------------ the server's own */

static void test_renewal(void **state)
{
	uint64_t first;

	(void)state;
	assert_int_equal(prepare("SSLTicketKeyLifetime 1h\nSSLSessionCacheTimeout 600"), 0);
	seeds_settle();
	tick(1, 1);
	assert_int_equal(nseeds, 1);
	assert_true(seeds[0].group == 0 && seeds[0].not_after == FOREVER && seeds[0].not_before <= wall);
	first = seeds[0].id;
	tick(3200, 3200);            /* it was 301 seconds old */
	assert_int_equal(nseeds, 1);
	assert_true(tick(100, 100) <= mono + 3600000);
	assert_int_equal(nseeds, 2);
	assert_true(seeds[0].id != first && seeds[0].not_after == FOREVER && seeds[0].not_before == wall);
	assert_true(seeds[1].id == first && seeds[1].not_after == wall + 600);
	assert_memory_not_equal(seeds[0].seed, seeds[1].seed, 64);
	assert_true(tick(599, 599) <= mono + 1000);
	assert_int_equal(nseeds, 2);
	tick(1, 1);
	assert_int_equal(nseeds, 1);
	/* a restart that shortens the time; one that keeps it changes nothing */
	first = seeds[0].id;
	assert_int_equal(prepare("SSLTicketKeyLifetime 1h\nSSLSessionCacheTimeout 600"), 0);
	assert_true(nseeds == 1 && seeds[0].id == first);
	assert_int_equal(prepare("SSLTicketKeyLifetime 5mi\nSSLSessionCacheTimeout 600"), 0);
	assert_true(nseeds == 2 && seeds[1].id == first);
}

/* Either clock is enough, and none of them leaves children without a seed that they find. */
static void test_clocks(void **state)
{
	uint64_t id;

	(void)state;
	assert_int_equal(prepare("SSLTicketKeyLifetime 1h\nSSLSessionCacheTimeout 600"), 0);
	id = seeds[0].id;
	tick(4000, 0);                          /* the wall clock stood */
	assert_true(nseeds == 2 && seeds[0].id != id && seeds[1].id == id);
	id = seeds[0].id;
	tick(1, 4000);                          /* it was set forward, or the machine slept */
	assert_true(nseeds == 1 || nseeds == 2);
	assert_true(seeds[0].id != id && seeds[0].not_before == wall);
	id = seeds[0].id;
	tick(1, -1000000);                      /* it was set back */
	assert_true(nseeds >= 1 && seeds[0].id == id);
	for (unsigned i = 0; i < nseeds; i++)
		assert_true(seeds[i].not_before <= wall && (seeds[i].not_after == FOREVER || seeds[i].not_after <= wall + 600));
	assert_int_equal(seeds[0].not_after, FOREVER);
	tick(3000, 3000);
	assert_true(nseeds == 1 && seeds[0].id == id);
	tick(700, 700);
	assert_true(nseeds == 2 && seeds[1].id == id);
}

/* Tickets that live long, seeds that change often: no seed goes before its tickets have expired. */
static void test_lifetime_and_timeout(void **state)
{
	struct shmcache_seed before[SHMCACHE_SEEDS];
	unsigned n;

	(void)state;
	assert_int_equal(prepare("SSLTicketKeyLifetime 1mi\nSSLSessionCacheTimeout 604800"), 0);
	for (int i = 0; i < 600; i++) {
		memcpy(before, seeds, sizeof seeds);
		n = nseeds;
		tick(6048, 6048);
		assert_true(nseeds <= 12);
		for (unsigned k = 0; k < n; k++) {
			bool there = false;
			for (unsigned m = 0; m < nseeds; m++)
				there |= seeds[m].id == before[k].id;
			assert_true(there || before[k].not_after <= wall);
		}
	}
	assert_in_range(nseeds, 10, 12);
	assert_int_equal(prepare("SSLTicketKeyLifetime 1mi\nSSLSessionCacheTimeout 600"), 0);
	tick(604800, 604800);
	assert_int_equal(nseeds, 2);
}

/* ------------------------------------------------------------------------------------------------ files */

static const struct shmcache_seed *of_file(const char *name, size_t n, int from)
{
	static const char label[] = "bulkhead session ticket seed 1";
	unsigned char bytes[80], want[64];

	(void)name;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)((from * 31 + (int)i * 7) & 255);
	gnutls_hmac_fast(GNUTLS_MAC_SHA512, label, sizeof label - 1, bytes, n, want);
	for (unsigned i = 0; i < nseeds; i++)
		if (memcmp(seeds[i].seed, want, sizeof want) == 0)
			return &seeds[i];
	return NULL;
}

#define TIMEOUT "SSLSessionCacheTimeout 600\n"
static void test_files(void **state)
{
	const struct shmcache_seed *a, *b, *c;
	uint64_t group, own;

	(void)state;
	own = seeds[0].id;
	write_file("a", 48, 1, 0600);
	write_file("b", 80, 2, 0600);
	assert_int_equal(prepare(TIMEOUT "SSLSessionTicketKeyFile a b"), 0);
	seeds_settle();
	assert_int_equal(nseeds, 3);
	a = of_file("a", 48, 1);
	b = of_file("b", 80, 2);
	assert_true(a && b && a->group != 0 && a->group == b->group && a->not_before > b->not_before);
	assert_true(a->not_after == FOREVER && b->not_after == FOREVER && a->id != b->id);
	group = a->group;
	/* other contents at the same place: both until the new generation serves, then the old one ends */
	tick(10, 10);
	write_file("a", 48, 3, 0600);
	assert_int_equal(prepare(TIMEOUT "SSLSessionTicketKeyFile a b"), 0);
	a = of_file("a", 48, 1);
	c = of_file("a", 48, 3);
	assert_true(nseeds == 4 && a && c && a->not_after == FOREVER && c->group == group && c->not_before > a->not_before);
	seeds_settle();
	list();
	assert_int_equal(of_file("a", 48, 1)->not_after, wall + 600);
	assert_int_equal(of_file("a", 48, 3)->not_after, FOREVER);
	assert_int_equal(of_file("b", 80, 2)->not_after, FOREVER);
	tick(600, 600);
	assert_true(nseeds == 3 && !of_file("a", 48, 1));
	/* the order is turned: the second seals */
	assert_int_equal(prepare(TIMEOUT "SSLSessionTicketKeyFile b a"), 0);
	seeds_settle();
	list();
	assert_int_equal(nseeds, 5);
	tick(600, 600);
	assert_int_equal(nseeds, 3);
	assert_true(of_file("b", 80, 2)->not_before > of_file("a", 48, 3)->not_before && of_file("b", 80, 2)->group != group);
	/* none any more; the server's own was there throughout */
	assert_int_equal(prepare(TIMEOUT), 0);
	seeds_settle();
	tick(600, 600);
	assert_true(nseeds == 1 && seeds[0].id == own);
}

/* A generation that never came to serve takes nothing away from the one that does. */
static void test_refused_generation(void **state)
{
	(void)state;
	write_file("a", 48, 1, 0600);
	write_file("b", 48, 2, 0600);
	assert_int_equal(prepare(TIMEOUT "SSLSessionTicketKeyFile a"), 0);
	seeds_settle();
	assert_int_equal(prepare(TIMEOUT "SSLSessionTicketKeyFile b"), 0);
	tick(1000, 1000);
	assert_int_equal(of_file("a", 48, 1)->not_after, FOREVER);
	assert_int_equal(prepare(TIMEOUT "SSLSessionTicketKeyFile absent"), -1);
	tick(1000, 1000);
	assert_int_equal(of_file("a", 48, 1)->not_after, FOREVER);
	assert_int_equal(prepare(TIMEOUT "SSLSessionTicketKeyFile a"), 0);
	seeds_settle();
	tick(601, 601);
	assert_int_equal(of_file("a", 48, 1)->not_after, FOREVER);
	assert_null(of_file("b", 48, 2));
}

/* Eight files whose contents change at every restart: the newest are always there. */
static void test_many_files(void **state)
{
	(void)state;
	for (int turn = 0; turn < 6; turn++) {
		for (int i = 0; i < 8; i++)
			write_file((char[]){ 'f', (char)('0' + i), 0 }, 48, turn * 8 + i, 0600);
		assert_int_equal(prepare("SSLSessionCacheTimeout 604800\nSSLSessionTicketKeyFile f0 f1 f2 f3\n"
					 "<VirtualHost *:1>\nSSLSessionTicketKeyFile f4 f5 f6\n</VirtualHost>\n"
					 "<VirtualHost *:1>\nServerName two\nSSLSessionTicketKeyFile f7\n</VirtualHost>\n"
					 "<VirtualHost *:1>\nServerName three\n</VirtualHost>\n"), 0);
		seeds_settle();
		tick(1, 1);
		for (int i = 0; i < 8; i++)
			assert_true(of_file("", 48, turn * 8 + i) && of_file("", 48, turn * 8 + i)->not_after == FOREVER);
		assert_true(of_file("", 48, turn * 8)->group != of_file("", 48, turn * 8 + 4)->group);
		assert_true(of_file("", 48, turn * 8 + 6)->group == of_file("", 48, turn * 8 + 4)->group);
	}
	assert_int_equal(nseeds, SHMCACHE_SEEDS);
	assert_int_equal(prepare(TIMEOUT), 0);
	seeds_settle();
	tick(700000, 700000);
}

static void test_same_contents(void **state)
{
	(void)state;
	write_file("a", 48, 1, 0600);
	write_file("b", 48, 2, 0600);
	write_file("c", 48, 1, 0600);
	assert_int_equal(prepare(TIMEOUT "SSLSessionTicketKeyFile a b c"), 0);
	seeds_settle();
	list();
	assert_int_equal(nseeds, 3);
	assert_true(of_file("a", 48, 1)->not_before > of_file("b", 48, 2)->not_before);
	assert_int_equal(prepare(TIMEOUT), 0);
	seeds_settle();
}

static void test_what_is_said(void **state)
{
	static const struct { const char *lines, *words[3]; bool warning; } rows[] = {
		{ "SSLSessionTicketKeyFile good", { NULL }, false }, { "SSLSessionTicketKeyFile short", { "47 bytes", "48 or 80", "head -c 80" }, false },
		{ "SSLSessionTicketKeyFile long", { "81 bytes", "48 or 80", NULL }, false }, { "SSLSessionTicketKeyFile empty", { "0 bytes", NULL, NULL }, false },
		{ "SSLSessionTicketKeyFile good\nSSLSessionTicketKeyFile $/absent", { "absent", "No such file", "head -c 80" }, false },
		{ "SSLSessionTicketKeyFile $", { "not a plain file", NULL, NULL }, false },
		{ "SSLSessionTicketKeyFile zeros", { "all bytes", "head -c 80", NULL }, false },
		{ "SSLSessionTicketKeyFile open", { "0644", "chmod 600", NULL }, true }, { "SSLSessionTicketKeyFile short\nSSLSessionTickets off", { NULL }, false },
		{ "SSLSessionTicketKeyFile absent\nSSLEngine off", { NULL }, false },
		{ "SSLSessionTicketKeyFile good\n<VirtualHost *:1>\nSSLSessionTicketKeyFile good good2 good3 good4\n</VirtualHost>\n<VirtualHost *:1>\nServerName two\n"
		  "SSLSessionTicketKeyFile good2 good good3 good4\n</VirtualHost>", { "more than 8", "outside of the hosts", NULL }, false },
	};

	(void)state;
	write_file("good", 48, 1, 0600);
	write_zeros("zeros", 48);
	write_file("good2", 80, 2, 0600);
	write_file("good3", 80, 3, 0600);
	write_file("good4", 80, 4, 0600);
	write_file("short", 47, 1, 0600);
	write_file("long", 81, 1, 0600);
	write_file("empty", 0, 1, 0600);
	write_file("open", 48, 5, 0644);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config *cfg = read_config(rows[i].lines);
		const struct config_report *last = cfg->reports;
		char text[2048] = "";
		bool bad = rows[i].words[0] && !rows[i].warning;

		assert_int_equal(seeds_check(cfg), bad ? -1 : 0);
		for (last = cfg->reports; last; last = last->next)
			if (strstr(last->sentence, "SSLSessionTicketKeyFile")) {
				assert_true(last->pos.file && last->pos.line > 3);
				/* "chmod 600 /dev/null" is nobody's advice */
				assert_false(strstr(text, "not a plain file") && strstr(last->sentence, "by others"));
				assert_int_equal(last->severity, rows[i].warning ? CONF_WARNING : CONF_ERROR);
				snprintf(text + strlen(text), sizeof text - strlen(text), "%s; %s\n", last->sentence, last->remedy ? last->remedy : "");
			}
		for (int k = 0; k < 3; k++)
			if (rows[i].words[k] ? !strstr(text, rows[i].words[k]) : k == 0 && *text)
				fail_msg("row %zu: \"%s\"", i, text);
		config_free(cfg);
		/* the start itself says the same */
		assert_int_equal(prepare(rows[i].lines), bad ? -1 : 0);
		for (int k = 0; bad && k < 2; k++)
			if (rows[i].words[k] && !strstr(failure.text, rows[i].words[k]) && !strstr(failure.remedy, rows[i].words[k]))
				fail_msg("row %zu: \"%s\" \"%s\"", i, failure.text, failure.remedy);
		assert_int_equal(failure.line > 3, bad);
	}
	assert_int_equal(prepare(TIMEOUT), 0);
	seeds_settle();
}

#define T(f) cmocka_unit_test_setup(f, each_setup)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_renewal), T(test_clocks), T(test_lifetime_and_timeout), T(test_files), T(test_refused_generation), T(test_many_files),
		T(test_same_contents), T(test_what_is_said),
	};

	return cmocka_run_group_tests_name("process/seeds", tests, setup, teardown);
}
