/*
 * tally_test.c - what children count in shared memory, what the master keeps of those that are gone, and what a status page
 * reads of both: real segments, real processes that are killed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "crashdump/activity.h"
#include "handler/status.h"
#include "process/scoreboard.h"
#include "process/shared.h"
#include "process/tally.h"

#define OTHERS (CONN_ROWS - 1)

static char folder[] = "/tmp/bulkhead-tally-test-XXXXXX";

/* A configuration with hosts h<from>.test to h<to - 1>.test. */
static struct config *config(int from, int to, const char *more)
{
	static char text[32768];
	size_t n = (size_t)snprintf(text, sizeof text, "ServerRoot \"%s\"\nPidFile \"%s/pid\"\nServerName main.test\nListen 127.0.0.1:8001\n"
				    "<Location /status>\nSetHandler server-status\n</Location>\n%s\n", folder, folder, more);
	struct config *cfg;

	for (int i = from; i < to; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "<VirtualHost *:8001>\nServerName h%d.test\n</VirtualHost>\n", i);
	assert_true(n < sizeof text);
	cfg = config_read(&(struct config_source){ .text = text });
	assert_non_null(cfg);
	assert_int_equal(cfg->errors, 0);
	return cfg;
}

static struct host *host_at(const struct config *cfg, int i)
{
	struct host *h = cfg->site->hosts;

	while (i-- > 0)
		h = h->next;
	return h;
}

/* What a page would show, in a process of its own, as a child would take it; into memory that is shared with the test. */
struct seen {
	struct status s;
	struct status_host hosts[CONN_ROWS];
	struct status_child child[4];
	struct status_request request[4];
	char letters[64];
	uint64_t full, kinds, failures, suites, ends_killed;
};

static const struct seen *look(const struct config *cfg)
{
	static struct seen *seen;
	pid_t pid;
	int status;

	if (!seen)
		seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
	memset(seen, 0, sizeof *seen);
	pid = fork();
	if (pid == 0) {
		struct arena *a = arena_new(0);
		struct shared_slot own;
		struct err e = { .text = "" };
		struct status *s = &seen->s;

		if (scoreboard_open(cfg, &e) < 0 || shared_child_slot(31, &own, &e) < 0 || !status_there() || status_take(a, cfg->site, s) < 0)
			_exit(1);
		memcpy(seen->hosts, s->hosts, s->nhosts * sizeof *s->hosts);
		memcpy(seen->child, s->children, (s->nchildren < 4 ? s->nchildren : 4) * sizeof *s->children);
		memcpy(seen->request, s->requests, (s->nrequests < 4 ? s->nrequests : 4) * sizeof *s->requests);
		snprintf(seen->letters, sizeof seen->letters, "%s", s->letters);
		for (unsigned i = 0; i < s->tls.kinds.n; i++) {
			seen->kinds += s->tls.kinds.at[i].n;
			if (strcmp(s->tls.kinds.at[i].name, "full") == 0)
				seen->full = s->tls.kinds.at[i].n;
		}
		for (unsigned i = 0; i < s->tls.failures.n; i++)
			seen->failures += s->tls.failures.at[i].n;
		for (unsigned i = 0; i < s->tls.suites.n; i++)
			seen->suites += s->tls.suites.at[i].n;
		for (unsigned i = 0; i < s->ends.n; i++)
			if (strcmp(s->ends.at[i].name, "killed") == 0)
				seen->ends_killed = s->ends.at[i].n;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return seen;
}

static const struct status_host *find(const struct seen *seen, const char *name)
{
	for (unsigned i = 0; i < seen->s.nhosts; i++)
		if (strcmp(seen->hosts[i].name, name) == 0)
			return &seen->hosts[i];
	fail_msg("no host %s", name);
	return NULL;
}

/* A child in that slot that runs `work` and is killed inside of it. It has the slot, as the master notes it, from then on. */
static void run_child(unsigned slot, void (*work)(struct shared_slot *own))
{
	struct shared_slot pages;
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	shared_slot(slot, &pages);
	tally_retire(&pages);
	activity_reset(pages.activity, 1);
	pid = fork();
	if (pid == 0) {
		struct shared_slot own;
		struct err e = { .text = "" };

		if (shared_child_slot(slot, &own, &e) < 0)
			_exit(1);
		work(&own);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	atomic_store(pages.pid, (uint32_t)pid);
	atomic_store(pages.generation, 1);
	atomic_store(pages.ready, 1);
	if (atomic_load(&shared_head()->used) <= slot)
		atomic_store(&shared_head()->used, slot + 1);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void reap(unsigned slot)
{
	struct shared_slot pages;

	shared_slot(slot, &pages);
	atomic_store(pages.pid, 0);
	tally_end(POLICY_KILLED, false);
	tally_retire(&pages);
}

/* ------------------------------------------------------------------------------------------------ */

static unsigned row;

static void serves(struct shared_slot *own)
{
	struct conn_counters *c = own->counters;

	counter_add(&c->accepted, 3);
	counter_set32(&c->limit, 10);
	counter_set32(&c->places[PLACE_WRITING], 2);
	counter_set32(&c->open, 2);
	counter_add(&c->handshakes, 2);
	counter_add(&c->tls.kinds[TLS_KIND_FULL], 1);
	counter_add(&c->tls.kinds[TLS_KIND_TICKET], 1);
	counter_add(&c->tls.suites[0], 2);
	counter_add(&c->tls.failures[TLS_R_VERSION], 4);
	counter_add(&c->tls.key_asked, 5);
	counter_add(&c->tls.key_wait[10], 5);
	for (unsigned i = 0; i < 100; i++) {
		counter_add(&c->requests, 1);
		count_request(c, own->rows, row, i < 90 ? 200 : i < 95 ? 404 : 503, 1000, i);
	}
	count_request(c, own->rows, UINT32_MAX, 99, 1, 1);      /* no such row, no such class */
	activity_begin(own->activity, 1, 1, "https", "192.0.2.7", "h0.test");
	activity_request(own->activity, 1, "GET", 3, "/a?secret=1", 11);
}

/* Requests that take long, and one whose writer is killed inside. */
static void waits(struct shared_slot *own)
{
	static const struct conn_shown first = { .since = 5, .place = PLACE_WORKING, .peer = "192.0.2.1", .host = "h0.test", .method = "GET",
						 .handler = "cgi-script", .path = "/first" };

	for (int i = 0; i < 3; i++) {
		own->shown[i] = first;
		own->shown[i].since = 5 + (uint64_t)i * 1000;
		own->shown[i].path[1] = (char)('a' + i);
	}
	own->shown[1].place = PLACE_WRITING;
	own->shown[2].sequence = 1;
	own->shown[9] = first;
	own->shown[9].place = 77;
}

static void expect_100(const struct seen *seen, unsigned times)
{
	const struct status_host *h = find(seen, "h0.test:8001");

	assert_int_equal(seen->s.sums.requests, 100 * times);
	assert_int_equal(seen->s.sums.accepted, 3 * times);
	assert_int_equal(h->requests, 100 * times);
	assert_int_equal(h->bytes, 100000 * times);
	assert_int_equal(h->classes[STATUS_2XX], 90 * times);
	assert_int_equal(h->classes[STATUS_4XX], 5 * times);
	assert_int_equal(h->classes[STATUS_5XX], 5 * times);
	assert_int_equal(h->duration_us, 4950 * times);
	assert_int_equal(h->latency[histogram_index(50)], 8 * times);
	assert_int_equal(find(seen, "others")->requests, times);
	assert_int_equal(seen->full, times);
	assert_int_equal(seen->kinds, 2 * times);
	assert_int_equal(seen->suites, 2 * times);
	assert_int_equal(seen->failures, 4 * times);
	assert_int_equal(seen->s.keys.operations, 5 * times);
	assert_int_equal(seen->s.keys.wait[10], 5 * times);
}

static void test_counts_outlive_children(void **state)
{
	struct config *cfg = config(0, 2, "");
	const struct seen *seen;

	(void)state;
	tally_hosts(cfg);
	tally_serves(1);
	row = host_at(cfg, 0)->row;
	run_child(0, serves);
	seen = look(cfg);
	expect_100(seen, 1);
	assert_int_equal(seen->s.nchildren, 1);
	assert_string_equal(seen->letters, "W");
	assert_int_equal(seen->s.busy, 2);
	assert_int_equal(seen->s.idle, 8);
	assert_string_equal(seen->child[0].path, "/a");
	assert_string_equal(seen->child[0].peer, "192.0.2.7");
	assert_true(find(seen, "h1.test:8001")->current);
	reap(0);
	reap(0);                                /* again: nothing is counted twice */
	seen = look(cfg);
	expect_100(seen, 1);
	assert_int_equal(seen->s.nchildren, 0);
	assert_int_equal(seen->s.places.total, 0);
	assert_string_equal(seen->letters, ".");
	assert_int_equal(seen->ends_killed, 2);
	run_child(0, serves);
	expect_100(look(cfg), 2);
	run_child(3, serves);
	seen = look(cfg);
	expect_100(seen, 3);
	assert_string_equal(seen->letters, "W..W");
	reap(0);
	reap(3);
	expect_100(look(cfg), 3);
	tally_hosts_over(cfg);
	config_free(cfg);
}

static void lies(struct shared_slot *own)
{
	memset(own->counters, 0xff, sizeof *own->counters);
	memset(own->rows, 0xff, CONN_ROWS * sizeof *own->rows);
	memset(own->activity, 0xff, sizeof *own->activity);
	memset(own->shown, 0xff, CONN_SHOWN * sizeof *own->shown);
	own->shown[0].place = PLACE_WORKING;
	own->shown[0].sequence = 2;
}

static void test_nothing_is_believed(void **state)
{
	struct config *cfg = config(0, 1, "");
	const struct seen *seen;

	(void)state;
	tally_hosts(cfg);
	run_child(1, lies);
	seen = look(cfg);
	assert_int_equal(seen->s.nchildren, 1);
	assert_true(strlen(seen->child[0].path) < sizeof seen->child[0].path);
	reap(1);
	look(cfg);
	tally_hosts_over(cfg);
	config_free(cfg);
}

static void test_requests_that_take_long(void **state)
{
	struct config *cfg = config(0, 1, "");
	const struct seen *seen;

	(void)state;
	tally_hosts(cfg);
	run_child(2, waits);
	seen = look(cfg);
	assert_int_equal(seen->s.nrequests, 2);
	assert_string_equal(seen->request[0].path, "/airst");
	assert_string_equal(seen->request[1].path, "/birst");
	assert_string_equal(seen->request[1].handler, "cgi-script");
	assert_true(seen->request[0].since_ms > seen->request[1].since_ms);
	assert_string_equal(seen->child[0].path, "/airst");
	assert_string_equal(seen->child[0].phase, "handler");
	assert_int_equal(seen->child[0].since_ms, seen->request[0].since_ms);
	reap(2);
	assert_int_equal(look(cfg)->s.nrequests, 0);
	run_child(2, lies);
	look(cfg);
	reap(2);
	tally_hosts_over(cfg);
	config_free(cfg);
}

static void test_requests_are_not_shown(void **state)
{
	struct config *cfg = config(0, 1, "ExtendedStatus Off");
	const struct seen *seen;

	(void)state;
	tally_hosts(cfg);
	run_child(2, serves);
	seen = look(cfg);
	assert_int_equal(seen->s.nchildren, 1);
	assert_string_equal(seen->child[0].path, "");
	assert_string_equal(seen->child[0].peer, "");
	assert_int_equal(seen->child[0].since_ms, -1);
	reap(2);
	tally_hosts_over(cfg);
	config_free(cfg);
}

/* Rows of hosts: kept over restarts, given to others only when nobody counts in them any more. */
static void test_rows(void **state)
{
	struct config *first = config(0, 40, ""), *second = config(20, 60, ""), *third = config(60, 100, "");
	unsigned kept;
	uint64_t all, counted = 0;
	const struct seen *seen;

	(void)state;
	tally_hosts(first);
	kept = host_at(first, 25)->row;
	for (int i = 0; i < 40; i++) {
		assert_true(host_at(first, i)->row < OTHERS);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(host_at(first, i)->row, host_at(first, k)->row);
	}
	row = kept;
	run_child(0, serves);
	reap(0);
	tally_hosts(second);
	assert_int_equal(host_at(second, 5)->row, kept);
	assert_int_equal(find(look(second), "h25.test:8001")->requests, 100);
	/* 61 hosts are in use, those of `second` alone from now on: 41. */
	tally_hosts_over(first);
	all = look(second)->s.sums.requests;
	tally_hosts(third);
	seen = look(third);
	assert_int_equal(find(seen, "h25.test:8001")->requests, 100);
	assert_false(find(seen, "h25.test:8001")->current);
	for (int i = 0; i < 40; i++)
		assert_true(host_at(third, i)->row != kept || host_at(third, i)->row == OTHERS);
	assert_int_equal(host_at(third, 39)->row, OTHERS);
	tally_hosts_over(second);
	tally_hosts_over(third);
	/* Nobody counts anywhere now: h25 loses its row, and what it had counted is the others'. */
	config_free(second);
	second = config(100, 170, "");
	tally_hosts(second);
	seen = look(second);
	for (unsigned i = 0; i < seen->s.nhosts; i++)
		counted += seen->hosts[i].requests;
	assert_true(find(seen, "others")->requests >= 100);
	assert_int_equal(seen->s.sums.requests, all);
	assert_true(counted >= 100);
	tally_hosts_over(second);
	config_free(first);
	config_free(second);
	config_free(third);
}

static void test_crashes(void **state)
{
	struct config *cfg = config(0, 1, "");
	struct tally *t = shared_tally();

	(void)state;
	for (uint64_t kind = 1; kind <= TALLY_CRASHES + 5; kind++)
		tally_crash(kind, SIGSEGV);
	tally_crash(7, SIGBUS);
	tally_crash(0, SIGABRT);
	assert_int_equal(t->crashes[7].fingerprint, 7);
	assert_int_equal(t->crashes[7].n, 2);
	assert_int_equal(t->crashes[7].signal, SIGBUS);
	assert_int_equal(t->crashes[0].n, 7);           /* those without a place, and the unknown one */
	assert_int_equal(look(cfg)->s.ncrashes, TALLY_CRASHES);
	config_free(cfg);
}

/* The master moves sums while a page is made: none is missing, none is there twice. */
static void test_moving_sums(void **state)
{
	struct config *cfg = config(0, 1, "");
	struct shared_slot pages;
	uint64_t before;
	pid_t pid;
	int status;

	(void)state;
	tally_hosts(cfg);
	before = look(cfg)->s.sums.requests;
	shared_slot(0, &pages);
	atomic_store(pages.pid, 1);
	counter_add(&pages.counters->requests, 1000);
	pid = fork();
	if (pid == 0) {
		struct arena *a = arena_new(0);
		struct shared_slot own;
		struct err e = { .text = "" };
		struct status s;

		if (scoreboard_open(cfg, &e) < 0 || shared_child_slot(31, &own, &e) < 0)
			_exit(1);
		for (int i = 0; i < 3000; i++, arena_reset(a))
			if (status_take(a, cfg->site, &s) < 0 || s.sums.requests != before + 1000)
				_exit(2);
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		tally_retire(&pages);
		/* As if it were counted anew; the tally takes it back, so that the sum stays. */
		atomic_store(&shared_tally()->sequence, shared_tally()->sequence | 1);
		atomic_thread_fence(memory_order_seq_cst);
		counter_add(&pages.counters->requests, 1000);
		counter_add(&shared_tally()->past.requests, (uint64_t)-1000);
		atomic_fetch_add(&shared_tally()->sequence, 1);
		usleep(1000);
	}
	assert_int_equal(status, 0);
	atomic_store(pages.pid, 0);
	tally_hosts_over(cfg);
	config_free(cfg);
}

static int begin(void **state)
{
	struct err e = { .text = "" };

	(void)state;
	return mkdtemp(folder) && shared_create(16, &e) == 0 ? 0 : -1;
}

static int finish(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_outlive_children),
		cmocka_unit_test(test_nothing_is_believed),
		cmocka_unit_test(test_requests_that_take_long),
		cmocka_unit_test(test_requests_are_not_shown),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_moving_sums),
	};

	return cmocka_run_group_tests(tests, begin, finish);
}
