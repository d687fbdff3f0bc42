/*
 * shmcache_kill - kills writers of the cache at random moments, thousands of times, beside readers that
 * verify all they get. Nothing wrong may ever be read, no lock may stay, the invariants must hold, and
 * nothing may have to be reset.
 *
 *   shmcache_kill [KILLS [SECONDS [ofd|fcntl|flock|robust]]]       2000 kills within 60 seconds, OFD locks
 *
 * One in four gets SIGSEGV instead of SIGKILL: its handler gives the locks up and stays for a while, as if the kernel
 * wrote a core.
 *
 * The kills come after 0 to 400 us, aimed at writers that are at work; how many died inside is told: a run
 * that never hit the critical section has shown nothing, and fails. Links with shmcache.a and libgcrypt.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/shmcache.h"

enum { WRITERS = 3, READERS = 2, KEYS = 3000, MAX_LEN = 1800 };

/* What all processes count, beside the cache. */
struct tally {
	uint64_t stores, given_up, failed, fetched, wrong;
	volatile uint64_t stop;
};

static struct tally *tally;
static struct shmcache *cache;
static unsigned passed, failed;

static void expect(int ok, const char *what)
{
	if (ok)
		passed++;
	else
		failed++;
	printf("%s %s\n", ok ? "ok  " : "FAIL", what);
}

static uint64_t next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static void add(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void key_of(uint64_t n, unsigned char key[SHMCACHE_KEY])
{
	memset(key, 0, SHMCACHE_KEY);
	memcpy(key, &n, sizeof(n));
}

/* Data that names its key and its own length and seed: any mixture of two entries is seen. */
static size_t data_of(uint64_t n, uint32_t seed, unsigned char *data)
{
	uint64_t x = n * 0x9e3779b97f4a7c15u + seed * 0xc2b2ae3d27d4eb4fu + 1;
	size_t len = 16 + next(&x) % (MAX_LEN - 16);

	memcpy(data, &n, 8);
	memcpy(data + 8, &seed, 4);
	for (size_t i = 12; i < len; i++) {
		if (i % 8 == 4)
			next(&x);
		data[i] = (unsigned char)(x >> (i % 8 * 8));
	}
	return len;
}

static int right(uint64_t n, const unsigned char *data, size_t len)
{
	unsigned char want[MAX_LEN];
	uint32_t seed;

	if (len < 16)
		return 0;
	memcpy(&seed, data + 8, sizeof(seed));
	return data_of(n, seed, want) == len && memcmp(data, want, len) == 0;
}

/* Few keys are asked for often, so that entries get hot and are moved. */
static uint64_t some_key(uint64_t *state)
{
	return next(state) % 4 == 0 ? next(state) % KEYS : next(state) % (KEYS / 20);
}

static void read_one(uint64_t *state)
{
	unsigned char key[SHMCACHE_KEY], data[SHMCACHE_MAX_DATA];
	uint64_t n = some_key(state);
	size_t len;

	key_of(n, key);
	if (shmcache_fetch(cache, key, data, sizeof(data), &len) != 1)
		return;
	add(&tally->fetched);
	if (!right(n, data, len))
		add(&tally->wrong);
}

static void write_one(uint64_t *state)
{
	unsigned char key[SHMCACHE_KEY], data[MAX_LEN];
	uint64_t n = some_key(state);
	size_t len = data_of(n, (uint32_t)next(state), data);

	key_of(n, key);
	if (next(state) % 16 == 0)
		shmcache_remove(cache, key);
	else if (shmcache_store(cache, key, data, len, next(state) % 50 == 0 ? 1 : 600) == 0)
		add(&tally->stores);
	else
		add(errno == ETIMEDOUT ? &tally->given_up : &tally->failed);
}

static void on_crash(int sig)
{
	struct timespec core = { .tv_nsec = 200000 };

	(void)sig;
	shmcache_crash_release(cache);
	nanosleep(&core, NULL);
	_exit(0);
}

static pid_t start(int writer, uint64_t seed)
{
	struct shmcache_err e;
	pid_t pid;

	if (writer)                     /* before it can be meant */
		signal(SIGSEGV, on_crash);
	pid = fork();
	if (pid != 0) {
		signal(SIGSEGV, SIG_DFL);
		return pid;
	}
	if (shmcache_child_init(cache, &e) < 0) {
		fprintf(stderr, "child: %s\n", e.text);
		_exit(1);
	}
	seed = seed * 0x9e3779b97f4a7c15u + 1;
	while (!tally->stop) {
		if (writer)
			write_one(&seed);
		else
			read_one(&seed);
	}
	_exit(0);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define LEAST_SECONDS 3.0               /* so that entries expire meanwhile, however fast the machine is */

/* Kills writers one after another and replaces each; how many, at least those asked for unless the time is over. */
static unsigned kill_them(unsigned kills, double limit, pid_t *writer)
{
	uint64_t state = (uint64_t)getpid() * 77777 + (uint64_t)time(NULL);
	double begun = seconds(), end = begun + limit;
	unsigned done = 0;

	while ((done < kills || seconds() < begun + LEAST_SECONDS) && seconds() < end) {
		unsigned i = (unsigned)(next(&state) % WRITERS);
		struct timespec t = { .tv_nsec = (long)(next(&state) % 400000) };

		nanosleep(&t, NULL);
		kill(writer[i], done % 4 == 3 ? SIGSEGV : SIGKILL);
		waitpid(writer[i], NULL, 0);
		done++;
		writer[i] = start(1, next(&state));
	}
	return done;
}

/*
 * With everybody gone: no lock stays, every shard is whole, every entry right. In a child, as only a child
 * may look.
 */
static int aftermath(void)
{
	struct shmcache_err e;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		unsigned shards = shmcache_geometry(cache)->shards;
		uint64_t state = 1;
		int bad = shmcache_child_init(cache, &e) < 0;

		/* the first look mends what the last killed holder left, the second must find nothing */
		for (unsigned i = 0; i < shards && !bad; i++)
			bad = shmcache_check(cache, i, false) != 0 || shmcache_check(cache, i, false) != 0;
		for (uint64_t n = 0; n < KEYS && !bad; n++)
			read_one(&state);
		for (unsigned i = 0; i < 200 && !bad; i++)
			write_one(&state);
		_exit(bad);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static int parse_kind(const char *word, enum shmcache_lock_kind *kind)
{
	static const char *const words[] = { "ofd", "fcntl", "flock", "robust" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0) {
			*kind = (enum shmcache_lock_kind)i;
			return 0;
		}
	return -1;
}

int main(int argc, char **argv)
{
	unsigned kills = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2000, done;
	double limit = argc > 2 ? strtod(argv[2], NULL) : 60;
	char dir[] = "/tmp/shmcache-kill-XXXXXX", lockfile[64], name[64];
	struct shmcache_lock_options lock = { .lockfile = lockfile };
	struct shmcache_counters n;
	struct shmcache_plan plan;
	struct shmcache_err e;
	pid_t writer[WRITERS], reader[READERS];
	unsigned alive = 0;

	if ((argc > 3 && parse_kind(argv[3], &lock.kind) < 0) || kills == 0 || limit <= 0 || mkdtemp(dir) == NULL) {
		fprintf(stderr, "usage: shmcache_kill [KILLS [SECONDS [ofd|fcntl|flock|robust]]]\n");
		return 1;
	}
	snprintf(lockfile, sizeof(lockfile), "%s/lock", dir);
	snprintf(name, sizeof(name), "/shmcache-kill-%ld", (long)getpid());
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* Two shards, so that writers meet, and entries enough to make room at every store. */
	if (tally == MAP_FAILED || shmcache_plan(160000, 900, &plan, &e) < 0 ||
	    (cache = shmcache_create(&plan, name, &lock, &e)) == NULL) {
		fprintf(stderr, "shmcache_kill: %s (%s)\n", e.text, e.remedy);
		rmdir(dir);
		return 1;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	for (unsigned i = 0; i < WRITERS; i++)
		writer[i] = start(1, i + 1);
	for (unsigned i = 0; i < READERS; i++)
		reader[i] = start(0, 1000 + i);
	done = kill_them(kills, limit, writer);
	tally->stop = 1;
	for (unsigned i = 0; i < WRITERS + READERS; i++) {
		int status;

		alive += waitpid(i < WRITERS ? writer[i] : reader[i - WRITERS], &status, 0) > 0 && status == 0;
	}
	expect(done >= kills, "as many kills as were asked for, in time");
	expect(alive == WRITERS + READERS, "those that were not killed ended by themselves");
	expect(aftermath(), "no lock stays, every shard is whole and works");
	shmcache_counters(cache, &n);
	expect(tally->wrong == 0, "nothing wrong was read");
	expect(tally->fetched > 1000 && tally->stores > 1000, "there was something to read");
	expect(tally->failed == 0, "no store failed but by time-out");
	expect(n.badtag == 0, "no entry was torn");
	expect(n.resets == 0, "no shard had to be emptied");
	expect(n.repairs > 0, "some were killed inside");
	expect(n.moved > 0 && n.replaced > 0 && n.expired > 0, "entries were moved, replaced and expired meanwhile");
	printf("%u kills, %llu inside; %llu stores, %llu given up; %llu fetched, %llu redone; %llu moved\n", done,
	       (unsigned long long)n.repairs, (unsigned long long)tally->stores, (unsigned long long)tally->given_up,
	       (unsigned long long)tally->fetched, (unsigned long long)n.redone, (unsigned long long)n.moved);
	shmcache_unlink(cache);
	shmcache_close(cache);
	rmdir(dir);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
