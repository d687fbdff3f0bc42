/*
 * load.c - scratch caches, and the processes that measure them. Part of bulkhead-cache bench. The parent
 * makes the cache, forks, waits and removes; children call child_init and report through shared anonymous
 * memory. Children die with their parent.
 *
 * What is measured is CPU time of the processes, so that others on the machine disturb it little; the best of several
 * rounds is taken. The keys are numbers: hashing them is part of each operation.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/internal.h"
#include "shmcache/tool/load.h"

enum {
	MOST_ROUNDS = 32,
	BATCH = 256,                            /* operations between two looks at the clock */
	STEPS = 8,                              /* of a histogram, for each doubling */
	BARS = 40 * STEPS,
	TTL = 1 << 30,
	PARTS = 32,                             /* of the filling of a cache */
};

/* One process's results; nobody else writes them. */
struct worker {
	double ns[LOAD_OPS][MOST_ROUNDS];       /* CPU */
	uint64_t ops[LOAD_OPS][MOST_ROUNDS];
	uint32_t held[BARS], waited[BARS];
	uint64_t longest, given_up, stores;
};

static struct shared {
	uint32_t arrived;                       /* at the barriers so far, all processes together */
	uint32_t failed;
	double out[4];
	struct worker worker[LOAD_MOST];
} *shared;

static char folder[64], lockfile[96];
static volatile sig_atomic_t stopped;
static volatile pid_t children[LOAD_MOST];

/* ------------------------------------------------------------------------------------------------ scratch */

static void on_stop(int sig)
{
	stopped = sig;
	for (unsigned i = 0; i < LOAD_MOST; i++)
		if (children[i] > 0)
			(void)kill(children[i], SIGKILL);
}

static const int stopping[] = { SIGINT, SIGTERM, SIGHUP };

static void block_stopping(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < 3; i++)
		sigaddset(&set, stopping[i]);
	(void)sigprocmask(how, &set, NULL);
}

static void handle_stopping(void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler };

	for (unsigned i = 0; i < 3; i++)
		(void)sigaction(stopping[i], &sa, NULL);
}

int load_init(struct shmcache_err *err)
{
	const char *tmp = getenv("TMPDIR");
	void *p = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	err->text[0] = err->remedy[0] = '\0';
	if (p == MAP_FAILED)
		return shmc_fail(err, "", "no memory: %s", strerror(errno));
	shared = p;
	handle_stopping(on_stop);
	snprintf(folder, sizeof(folder), "/run/bulkhead-bench-XXXXXX");
	if (mkdtemp(folder) == NULL) {
		snprintf(folder, sizeof(folder), "%.40s/bulkhead-bench-XXXXXX", tmp == NULL ? "/tmp" : tmp);
		if (mkdtemp(folder) == NULL)
			return shmc_fail(err, "let TMPDIR name a folder that you may write", "making folder %s: %s",
			                 folder, strerror(errno));
	}
	snprintf(lockfile, sizeof(lockfile), "%s/lock", folder);
	return 0;
}

void load_fini(void)
{
	if (lockfile[0] != '\0') {
		(void)unlink(lockfile);
		(void)rmdir(folder);
	}
	if (shared != NULL)
		munmap(shared, sizeof(*shared));
	shared = NULL;
	handle_stopping(SIG_DFL);
	if (stopped != 0)
		(void)raise(stopped);
}

struct shmcache *load_cache(size_t bytes, size_t avg_data, enum shmcache_lock_kind kind, struct shmcache_err *err)
{
	/* A wait counts as it comes: no store is given up only since the machine is loaded. */
	struct shmcache_lock_options lock = { .lockfile = lockfile, .kind = kind, .timeout_ms = 1000 };
	struct shmcache_plan plan;
	static unsigned n;
	char name[64];

	snprintf(name, sizeof(name), "/bulkhead-bench-%ld-%u", (long)getpid(), n++);
	return shmcache_plan(bytes, avg_data, &plan, err) < 0 ? NULL : shmcache_create(&plan, name, &lock, err);
}

void load_drop(struct shmcache *c)
{
	shmcache_unlink(c);
	shmcache_close(c);
}

size_t load_bytes(size_t sessions, size_t avg_data)
{
	size_t bytes = sessions * (avg_data + 70);
	struct shmcache_plan plan;

	for (unsigned i = 0; i < 8; i++) {
		if (bytes < SHMCACHE_MIN_BYTES)
			return SHMCACHE_MIN_BYTES;
		if (bytes > SHMCACHE_MAX_BYTES)
			return SHMCACHE_MAX_BYTES;
		if (shmcache_plan(bytes, avg_data, &plan, NULL) < 0 || plan.sessions == 0)
			break;
		bytes = (size_t)((double)bytes * (double)sessions / (double)plan.sessions);
	}
	return bytes;
}

/* ------------------------------------------------------------------------------------------------ processes */

static void child(struct shmcache *c, int (*work)(struct shmcache *c, const void *arg, unsigned me), const void *arg,
                  unsigned me, pid_t parent)
{
	int failed = 1;

	handle_stopping(SIG_DFL);
	block_stopping(SIG_UNBLOCK);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && shmcache_child_init(c, NULL) == 0)
		failed = work(c, arg, me) < 0;
	if (failed)
		__atomic_store_n(&shared->failed, 1, __ATOMIC_RELAXED);
	_exit(failed);
}

/* Forks n children that do the work, and waits for all. 0, or -1: one of them failed, or this program was stopped. */
static int run(struct shmcache *c, unsigned n, int (*work)(struct shmcache *c, const void *arg, unsigned me),
               const void *arg)
{
	pid_t self = getpid(), ended;
	int status;

	if (stopped)
		return -1;
	memset(shared, 0, sizeof(*shared));
	(void)fflush(NULL);
	for (unsigned i = 0; i < n; i++) {
		pid_t pid;

		/* The handler must know of each child that there is. */
		block_stopping(SIG_BLOCK);
		pid = fork();
		if (pid == 0)
			child(c, work, arg, i, self);
		children[i] = pid;
		block_stopping(SIG_UNBLOCK);
		if (pid < 0)
			__atomic_store_n(&shared->failed, 1, __ATOMIC_RELAXED);
	}
	while ((ended = wait(&status)) > 0 || (ended < 0 && errno == EINTR)) {
		for (unsigned i = 0; i < n && ended > 0; i++)
			if (children[i] == ended)
				children[i] = 0;
		if (ended > 0 && status != 0)           /* the others are not to wait for it at a barrier */
			__atomic_store_n(&shared->failed, 1, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < n; i++)
		children[i] = 0;
	return shared->failed || stopped ? -1 : 0;
}

struct alone {
	int (*work)(struct shmcache *c, const void *arg, double out[4]);
	const void *arg;
};

static int work_alone(struct shmcache *c, const void *arg, unsigned me)
{
	const struct alone *a = arg;

	(void)me;
	return a->work(c, a->arg, shared->out);
}

int load_alone(struct shmcache *c, int (*work)(struct shmcache *c, const void *arg, double out[4]), const void *arg,
               double out[4])
{
	struct alone a = { work, arg };
	int r = run(c, 1, work_alone, &a);

	memcpy(out, shared->out, sizeof(shared->out));
	return r;
}

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What a pair of looks at the clock costs: taken off each batch. */
static uint64_t look_cost(clockid_t clock)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < 200; i++) {
		uint64_t t = nanoseconds(clock);

		t = nanoseconds(clock) - t;
		least = t < least ? t : least;
	}
	return least;
}

/* Waits, asleep, until all processes have come here as often as this one. -1: one of them failed. */
static int together(const struct load_plan *p, unsigned *times)
{
	uint32_t all = ++*times * p->processes;

	__atomic_fetch_add(&shared->arrived, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&shared->arrived, __ATOMIC_ACQUIRE) < all) {
		if (__atomic_load_n(&shared->failed, __ATOMIC_RELAXED))
			return -1;
		(void)usleep(50);
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ costs */

struct measuring {
	struct shmcache *c;
	const struct load_plan *p;
	unsigned me, times;
	uint32_t *mine, live, at;       /* sessions of this process that are there, in no order */
	uint64_t fresh;                 /* the next number that never was a session */
	uint64_t look;
	uint32_t lost;                  /* a session of this process that was not found, plus one */
	unsigned char data[SHMCACHE_MAX_DATA], got[SHMCACHE_MAX_DATA];
};

static void key_of_number(uint64_t n, unsigned char key[SHMCACHE_KEY])
{
	memset(key, 0, SHMCACHE_KEY);
	memcpy(key, &n, sizeof(n));
}

static int fetch(struct measuring *m, uint64_t n)
{
	unsigned char key[SHMCACHE_KEY];
	size_t len;

	key_of_number(n, key);
	return shmcache_fetch(m->c, key, m->got, sizeof(m->got), &len);
}

static int store(struct measuring *m, uint64_t n)
{
	unsigned char key[SHMCACHE_KEY];

	key_of_number(n, key);
	return shmcache_store(m->c, key, m->data, m->p->len, TTL);
}

/*
 * Stores those of this process's sessions that are not there. All go at one pace: else what the first stored
 * would be gone when the last is done.
 */
static int fill(struct measuring *m)
{
	uint32_t all = 2 * m->p->sessions, n = m->me;

	for (uint32_t part = 1; part <= PARTS; part++) {
		for (; n < (uint64_t)all * part / PARTS; n += m->p->processes)
			if (!fetch(m, n) && store(m, n) < 0)
				return -1;
		if (together(m->p, &m->times) < 0)
			return -1;
	}
	return 0;
}

/* Finds which are there. They are mixed, so that neighbours in time are none in memory. */
static int list(struct measuring *m)
{
	uint64_t x = 88172645463325252u;

	m->live = m->at = 0;
	for (uint32_t n = m->me; n < 2 * m->p->sessions; n += m->p->processes)
		if (fetch(m, n))
			m->mine[m->live++] = n;
	for (uint32_t i = m->live; i > 1; i--) {
		uint32_t other, swap = m->mine[i - 1];

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		other = (uint32_t)(x % i);
		m->mine[i - 1] = m->mine[other];
		m->mine[other] = swap;
	}
	return m->live == 0 ? -1 : together(m->p, &m->times);
}

static uint32_t next_of_mine(struct measuring *m)
{
	if (m->at >= m->live)
		m->at = 0;
	return m->mine[m->at++];
}

static int batch(struct measuring *m, enum load_op op, uint64_t n)
{
	unsigned char key[SHMCACHE_KEY];
	uint32_t who;

	for (uint64_t i = 0; i < n; i++) {
		switch (op) {
		case LOAD_HIT: (void)fetch(m, next_of_mine(m)); break;
		case LOAD_MISS: (void)fetch(m, m->fresh++); break;
		case LOAD_REMOVE:
			key_of_number(next_of_mine(m), key);
			shmcache_remove(m->c, key);
			break;
		case LOAD_MIXED:
			/* As clients do: who did not find his session gets another. */
			who = next_of_mine(m);
			if (i % 20 != 19) {
				m->lost = fetch(m, who) ? m->lost : who + 1;
				break;
			}
			if (store(m, m->lost != 0 ? m->lost - 1 : who) < 0 && errno != ETIMEDOUT)
				return -1;
			m->lost = 0;
			break;
		default:
			if (store(m, m->fresh++) < 0 && errno != ETIMEDOUT)
				return -1;
			break;
		}
	}
	return 0;
}

/* A round ends with its time; of removals, also when nothing is left to remove. */
static int measure_round(struct measuring *m, enum load_op op, unsigned i)
{
	struct worker *w = &shared->worker[m->me];
	uint64_t took = 0, ops = 0;

	while (took < m->p->round_ns && (op != LOAD_REMOVE || ops < m->live)) {
		uint64_t n = op == LOAD_REMOVE && m->live - ops < BATCH ? m->live - ops : BATCH;
		uint64_t t = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);

		if (batch(m, op, n) < 0)
			return -1;
		t = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - t;
		took += t > m->look ? t - m->look : 0;
		ops += n;
	}
	w->ns[op][i] = (double)took;
	w->ops[op][i] = ops;
	return together(m->p, &m->times);
}

static int measure(struct measuring *m)
{
	for (int op = 0; op < LOAD_OPS; op++) {
		/* Filling a large cache anew takes seconds. */
		unsigned rounds = op == LOAD_REMOVE && m->p->sessions > 200000 ? 1 : m->p->rounds;

		for (unsigned i = 0; i < rounds; i++) {
			if ((op == LOAD_REMOVE || (op == LOAD_HIT && i == 0)) && (fill(m) < 0 || list(m) < 0))
				return -1;
			if (measure_round(m, (enum load_op)op, i) < 0)
				return -1;
		}
	}
	return 0;
}

static int work_costs(struct shmcache *c, const void *arg, unsigned me)
{
	struct measuring *m = calloc(1, sizeof(*m));
	int r = -1;

	if (m == NULL)
		return -1;
	*m = (struct measuring){ .c = c, .p = arg, .me = me, .fresh = (uint64_t)(me + 1) << 32,
		                 .look = look_cost(CLOCK_PROCESS_CPUTIME_ID) };
	m->mine = malloc((2 * (size_t)m->p->sessions / m->p->processes + 1) * sizeof(*m->mine));
	if (m->mine != NULL)
		r = measure(m);
	free(m->mine);
	free(m);
	return r;
}

int load_costs(struct shmcache *c, const struct load_plan *p, double ns[LOAD_OPS])
{
	struct load_plan plan = *p;

	if (plan.rounds > MOST_ROUNDS)
		plan.rounds = MOST_ROUNDS;
	if (run(c, plan.processes, work_costs, &plan) < 0)
		return -1;
	for (unsigned op = 0; op < LOAD_OPS; op++) {
		ns[op] = 0;
		for (unsigned i = 0; i < plan.rounds; i++) {
			double all = 0, ops = 0;

			for (unsigned w = 0; w < plan.processes; w++) {
				all += shared->worker[w].ns[op][i];
				ops += (double)shared->worker[w].ops[op][i];
			}
			if (ops > 0 && (ns[op] <= 0 || all / ops < ns[op]))
				ns[op] = all / ops;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ locks */

static unsigned bar_of(uint64_t ns)
{
	unsigned log = ns < STEPS ? 0 : 60 - (unsigned)__builtin_clzll(ns);     /* ns >> log is 8 to 15 */
	uint64_t bar = (uint64_t)log * STEPS + (ns >> log);

	return bar < BARS ? (unsigned)bar : BARS - 1;
}

/* The middle of a bar. */
static double of_bar(unsigned bar)
{
	unsigned log = bar < 2 * STEPS ? 0 : bar / STEPS - 1;

	return ((double)(bar - log * STEPS) + 0.5) * (double)((uint64_t)1 << log);
}

/* As shmcache_store, but for the seal: nobody opens what is stored here. */
static int work_locks(struct shmcache *c, const void *arg, unsigned me)
{
	const struct load_plan *p = arg;
	struct worker *w = &shared->worker[me];
	uint32_t units = SHMC_HEAD_UNITS + (uint32_t)((p->len + SHMC_UNIT - 1) / SHMC_UNIT);
	uint64_t n = (uint64_t)(me + 1) << 32, end, look = look_cost(CLOCK_MONOTONIC);
	unsigned times = 0;

	if (together(p, &times) < 0)
		return -1;
	end = nanoseconds(CLOCK_MONOTONIC) + p->round_ns * p->rounds;
	for (uint64_t now = 0; now < end; now = nanoseconds(CLOCK_MONOTONIC)) {
		unsigned char key[SHMCACHE_KEY];
		uint64_t hash, before, in, done;
		struct shmc_shard s;

		key_of_number(n++, key);
		hash = shmc_hash(c, key);
		c->record[0] = hash;
		c->record[1] = p->len | (uint64_t)(shmc_now() + TTL) << 32;
		before = nanoseconds(CLOCK_MONOTONIC);
		if (shmc_shard_enter(c, shmc_shard_of(c, hash), &s) < 0) {
			w->given_up++;
			continue;
		}
		in = nanoseconds(CLOCK_MONOTONIC);
		shmc_store_locked(&s, c->record, hash, units);
		done = nanoseconds(CLOCK_MONOTONIC);
		shmc_shard_leave(c, shmc_shard_of(c, hash), &s);
		w->stores++;
		w->held[bar_of(done - in > look ? done - in - look : 0)]++;
		in = in - before > look ? in - before - look : 0;
		w->waited[bar_of(in)]++;
		w->longest = in > w->longest ? in : w->longest;
	}
	return 0;
}

/* Up to what `part` of all values go. */
static double quantile(unsigned workers, size_t offset, double part)
{
	double all = 0, seen = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned bar = 0; bar < BARS; bar++) {
			for (unsigned i = 0; i < workers; i++) {
				const uint32_t *bars = (const void *)((const char *)&shared->worker[i] + offset);

				all += pass == 0 ? bars[bar] : 0;
				seen += pass == 0 ? 0 : bars[bar];
			}
			if (pass == 1 && seen >= all * part)
				return of_bar(bar);
		}
	}
	return 0;
}

int load_locks(struct shmcache *c, const struct load_plan *p, struct load_locks *out)
{
	static const double part[2] = { 0.5, 0.99 };

	memset(out, 0, sizeof(*out));
	if (run(c, p->processes, work_locks, p) < 0)
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		out->held[i] = quantile(p->processes, offsetof(struct worker, held), part[i]);
		out->waited[i] = quantile(p->processes, offsetof(struct worker, waited), part[i]);
	}
	for (unsigned i = 0; i < p->processes; i++) {
		const struct worker *w = &shared->worker[i];

		out->stores += (double)w->stores;
		out->given_up += (double)w->given_up;
		if ((double)w->longest > out->waited_longest)
			out->waited_longest = (double)w->longest;
	}
	return 0;
}
