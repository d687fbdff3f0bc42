/*
 * points - kills at every numbered point of the cache's critical sections (shmcache/points.h), and looks at what is
 * left.
 *
 *   points [short|long|first]       first: as short, up to the first failure
 *
 * One operation after another is taken from a row of them, in several scenarios: hot and cold entries, full buckets,
 * entries whose time is over, large ones, a shard that was damaged. Each is first done to its end, to see which points
 * it comes by and how often; then it is done again and again from the same state, by a child that is killed (SIGKILL),
 * crashes with shmcache_crash_release, or is stopped (SIGSTOP), at the first, the last and one more time that it comes
 * by a point. Then the invariants must hold, all other entries must be there, no lock may stay, the next store must
 * work. Some of what a killed one left is where the next row starts: some holes need two deaths.
 */
#include "tests/fault/fault.h"

enum { KEYS = 24, HOT = 18, FRESH = 1000, CHURN = 100000, SHARDS = 2, TIMEOUT_MS = 5, FAILURES = 20 };

enum damage { NONE, BAD_SLOT, CHAIN, CHAIN_ALIVE, POSITIONS };
enum way { KILL, CRASH, STOP };
static const char *const way_name[] = { "killed", "crashed", "stopped" };

struct scenario {
	const char *name;
	bool hot;
	size_t shortest, longest;       /* of the data */
	uint32_t ttl;                   /* of what the row finds; what it stores itself lives long */
	enum damage damage;
	bool grows;                     /* what it finds is shorter than what it stores */
};

static const struct scenario scenarios[] = {
	{ "cold", false, 60, 460, 1000, NONE, false },
	{ "hot", true, 60, 460, 1000, NONE, false },
	{ "small", true, 1, 20, 1000, NONE, false },
	{ "large", true, 200, 640, 1000, NONE, false },
	{ "growing", true, 40, 640, 1000, NONE, true },
	{ "expired", false, 60, 300, 1, NONE, false },
	{ "bad slot", true, 60, 460, 1000, BAD_SLOT, false },
	{ "broken chain", true, 60, 460, 1000, CHAIN, false },
	{ "broken chain, nobody inside", false, 60, 460, 1000, CHAIN_ALIVE, false },
	{ "impossible positions", true, 60, 460, 1000, POSITIONS, false },
};

struct op {
	enum { STORE, REMOVE, FETCH } what;
	uint64_t key;
	uint32_t turn;
};

/* One case: what is told when it fails. */
struct fault {
	const struct scenario *in;
	struct op op;
	enum shmc_point point;
	unsigned nth;
	enum way way;
	uint64_t before, after;         /* which keys were there, and would be had it not died */
};

static const char *const kind_name[] = { "OFD", "classic", "flock", "robust" };
static const char *const point_name[] = {
#define NAME(name) #name,
	SHMC_POINTS(NAME)
#undef NAME
};

static struct shmcache *cache, live, copy;
static const struct scenario *now;
static uint32_t turn_of[KEYS];
static unsigned reached[SHMC_P_ALL], spent[3][SHMC_P_ALL], cases_run, wrapped[2], twice;
static struct place place;
static bool first_only;
static unsigned most = 9, rows = 40;    /* cases of a point in a scenario and a depth; operations of a scenario */
static uint64_t rnd = 88172645463325252u, churn = CHURN;

static size_t length_of(uint64_t key, uint32_t turn)
{
	if (now->grows && turn == 0)
		return now->shortest;
	/* the hot ones are the longest: a move of one of them that is cut short uses all of main's reserve */
	if (!now->grows && key >= HOT && key < KEYS)
		return now->longest;
	return now->shortest + (key * 131 + turn * 97) % (now->longest - now->shortest + 1);
}

static void fail(const struct fault *f, const char *what)
{
	static const char *const ops[] = { "store", "remove", "fetch" };

	if (failed++ < FAILURES)
		printf("FAIL %s: %s of key %llu, %s at %s, time %u: %s\n", f->in->name, ops[f->op.what],
		       (unsigned long long)f->op.key, way_name[f->way], point_name[f->point], f->nth, what);
	if (first_only) {
		place_close(&place, cache);
		exit(1);
	}
}

/* ------------------------------------------------------------------------------------------------ the child */

static unsigned seen[SHMC_P_ALL];
static const struct fault *plan_to_die;
static int told = -1;

static void count_points(enum shmc_point p)
{
	seen[p]++;
}

static void on_crash(int sig)
{
	(void)sig;
	shmcache_crash_release(cache);
	if (write(told, "c", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void die_at_point(enum shmc_point p)
{
	if (p != plan_to_die->point || ++seen[p] != plan_to_die->nth)
		return;
	switch (plan_to_die->way) {
	case KILL: kill(getpid(), SIGKILL); break;
	case CRASH: raise(SIGSEGV); break;
	case STOP: raise(SIGSTOP); break;
	}
}

static int perform(struct shmcache *c, const struct op *op)
{
	int r = 0;

	switch (op->what) {
	case STORE: r = put(c, op->key, op->turn, length_of(op->key, op->turn), 1000); break;
	case REMOVE: drop(c, op->key); break;
	case FETCH: (void)get(c, op->key, turn_of[op->key], length_of(op->key, turn_of[op->key])); break;
	}
	return r;
}

/* A child that does the operation and comes to its end in it: killed already, or crashed or stopped and there still. */
static pid_t child(const struct fault *f)
{
	int p[2], status = 0;
	char byte;
	pid_t pid;

	if (pipe(p) < 0 || (pid = fork()) < 0) {
		perror("points");
		exit(1);
	}
	if (pid == 0) {
		alarm(60);
		if (shmcache_child_init(cache, NULL) < 0)
			_exit(2);
		memset(seen, 0, sizeof(seen));
		plan_to_die = f;
		told = p[1];
		signal(SIGSEGV, on_crash);
		shmc_point_hook = die_at_point;
		_exit(perform(cache, &f->op) == 0 ? 0 : 3);
	}
	close(p[1]);
	if (f->way == CRASH) {
		if (read(p[0], &byte, 1) != 1)
			fail(f, "it did not come by");
	} else {
		if (waitpid(pid, &status, WUNTRACED) != pid ||
		    (f->way == KILL ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : !WIFSTOPPED(status)))
			fail(f, WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? "an assertion failed" : "it did not come by");
	}
	close(p[0]);
	return pid;
}

/* ------------------------------------------------------------------------------------------------ looking */

/* Bit k: key k is there, as it should be, or as the operation makes it. -1 in *wrong: another content. */
static uint64_t present(struct shmcache *v, const struct op *op, bool *wrong)
{
	uint64_t mask = 0;

	for (uint64_t k = 0; k < KEYS; k++) {
		int r = get(v, k, turn_of[k], length_of(k, turn_of[k]));

		if (r < 0 && k == op->key && op->what == STORE)
			r = get(v, k, op->turn, length_of(k, op->turn));
		if (r < 0)
			*wrong = true;
		mask |= (uint64_t)(r == 1) << k;
	}
	return mask;
}

/* Whether a dead holder explains all that is amiss in this shard: it may have used main's reserve (I6, I7). */
static bool explained(struct shmcache *v, uint32_t shard)
{
	struct shmc_shard_head *h = shmc_shard_at(v, shard);
	struct shmc_shard s;
	unsigned bad, reserve;

	shmc_shard_load(v, h, &s);
	bad = shmc_check_locked(&s, false);
	reserve = s.ring[MAIN].units - (uint32_t)(s.ring[MAIN].head - s.ring[MAIN].tail) < s.maxrec;
	return bad == reserve && (bad == 0 || shmc_load(&h->owner) != 0);
}

/* The chain of a ring, walked without the cache's own eyes. */
static bool joined(const struct shmcache *v, uint32_t shard, unsigned r)
{
	struct shmc_shard_head *h = shmc_shard_at(v, shard);
	const uint64_t *ring = shmc_ring_at(v, h, r);
	uint64_t pos = h->ring[r].tail, w[4];

	while (pos < h->ring[r].head) {
		for (unsigned i = 0; i < 4; i++)
			w[i] = ring[(pos * 2 + i) % ((uint64_t)v->plan.ring_units[r] * 2)];
		if (w[3] >> 32 != shmc_entry_check(w, pos) || (w[1] & 0xffff) == 0)
			return false;
		pos += 3 + ((w[1] & 0xffff) + 15) / 16;
	}
	return pos == h->ring[r].head;
}

static bool inside(enum shmc_point p)
{
	switch (p) {
	case SHMC_P_UNLOCKED: case SHMC_P_FETCH_HALF: case SHMC_P_FETCH_COPIED: case SHMC_P_FETCH_HIT: case SHMC_P_REMOVE:
	case SHMC_P_REMOVED: return false;
	default: return true;
	}
}

/* What has been named is there, what has been removed is not. */
static void look_at_its_own(const struct fault *f)
{
	uint64_t k = f->op.key;

	switch (f->point) {
	case SHMC_P_NAMED: case SHMC_P_REPLACED: case SHMC_P_INDEX_EVICTED: case SHMC_P_DONE: case SHMC_P_SIGNED_OUT:
	case SHMC_P_UNLOCKED:
		if (get(&copy, k, f->op.turn, length_of(k, f->op.turn)) != 1)
			fail(f, "the new entry is not there");
		break;
	case SHMC_P_REMOVED:
		if (get(&copy, k, turn_of[k], length_of(k, turn_of[k])) != 0)
			fail(f, "the entry is there still");
		break;
	default: break;
	}
}

/* What the next writers meet, on a copy of the segment. */
static void look_at_rest(const struct fault *f)
{
	bool wrong = false, damaged = f->in->damage != NONE;
	bool seen_dead[SHARDS];
	struct shmcache_counters was, is;
	uint64_t must = f->before & f->after & ~((uint64_t)1 << f->op.key);

	memcpy(copy.base, live.base, live.plan.segment);
	shmcache_counters(&copy, &was);
	for (uint32_t i = 0; i < SHARDS; i++) {
		seen_dead[i] = shmc_load(&shmc_shard_at(&copy, i)->owner) != 0;
		if (!damaged && !explained(&copy, i))
			fail(f, "an invariant is violated");
	}
	if ((present(&copy, &f->op, &wrong) & must) != must && !damaged)
		fail(f, "an entry is missing");
	look_at_its_own(f);
	for (uint64_t n = FRESH, got[SHARDS] = { 0 }; got[0] < 3 || got[1] < 3; n++) {
		uint32_t shard = shard_of(&copy, n);

		if (got[shard] == 3)
			continue;
		got[shard]++;
		if (put(&copy, n, 0, length_of(n, 0), 1000) < 0 || get(&copy, n, 0, length_of(n, 0)) != 1)
			fail(f, "the next store does not work");
	}
	(void)present(&copy, &f->op, &wrong);
	if (wrong)
		fail(f, "an entry has another's content");
	for (uint32_t i = 0; i < SHARDS; i++) {
		/* who finds a dead one's owner has looked through the shard; without one, damage may be there still */
		if (damaged && !seen_dead[i])
			(void)shmcache_check(&copy, i, true);
		if (shmcache_check(&copy, i, false) != 0 || !joined(&copy, i, PROBATION) || !joined(&copy, i, MAIN))
			fail(f, "a shard is not whole after a repair");
	}
	shmcache_counters(&copy, &is);
	if (!damaged && is.resets != was.resets)
		fail(f, "a shard was emptied");
	if (is.badtag != was.badtag)
		fail(f, "an entry was torn");
}

static void look_at_locks(const struct fault *f)
{
	for (uint32_t i = 0; i < SHARDS; i++) {
		if (shmc_lock(&live, i, shmc_shard_at(&live, i)) < 0)
			fail(f, "a lock stays");
		else
			shmc_unlock(&live, i);
	}
}

/* Beside a stopped one: all is served, stores in the other shard go on, those in its own end in time. */
static void look_beside(const struct fault *f)
{
	uint32_t its = shard_of(&live, f->op.key);
	uint64_t must = f->before & f->after & ~((uint64_t)1 << f->op.key), n = FRESH;
	bool wrong = false, damaged = f->in->damage != NONE, one = live.kind == SHMCACHE_LOCK_FLOCK;
	double start = seconds();

	if ((present(&live, &f->op, &wrong) & must) != must && !damaged)
		fail(f, "an entry is missing");
	drop(&live, FRESH - 1);
	if (wrong)
		fail(f, "an entry has another's content");
	while (shard_of(&live, n) == its)
		n++;
	if (!one && put(&live, n, 0, 60, 1000) < 0)
		fail(f, "a store in another shard does not work");
	while (shard_of(&live, n) != its)
		n++;
	if (inside(f->point) && (put(&live, n, 0, 60, 1000) != -1 || errno != ETIMEDOUT))
		fail(f, "a store did not wait, or not give up");
	if (seconds() - start > 1)
		fail(f, "it took too long");
}

/* ------------------------------------------------------------------------------------------------ one case */

static void end(pid_t pid, int want, const struct fault *f)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || (WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status)) != want)
		fail(f, WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? "an assertion failed" : "it did not end well");
}

static void one_case(const struct fault *f)
{
	unsigned before = failed;
	struct fault g = *f;
	pid_t pid = child(f);

	memset(live.stuck, 0, sizeof(live.stuck));
	cases_run++;
	reached[f->point]++;
	switch (f->way) {
	case KILL: break;
	case CRASH:
		look_at_locks(f);       /* while it is there still, as if it wrote a core */
		kill(pid, SIGKILL);
		end(pid, 256 + SIGKILL, f);
		break;
	case STOP:
		if (failed == before)
			look_beside(f);
		kill(pid, SIGCONT);
		end(pid, 0, f);
		g.before = 0;           /* what was stored and hit beside it may have cost others their places */
		break;
	}
	memset(live.stuck, 0, sizeof(live.stuck));
	look_at_locks(&g);
	look_at_rest(&g);
}

/* ------------------------------------------------------------------------------------------------ rows of cases */

static struct op some_op(void)
{
	static uint32_t turn = 1;
	uint64_t r = next(&rnd);

	return (struct op){ .what = r % 10 == 0 ? REMOVE : r % 10 == 1 ? FETCH : STORE, .key = (r >> 8) % KEYS,
	                    .turn = turn++ };
}

/* Whether heads go over their rings' ends between two states of the segment: in *ring, the last such ring. */
static bool wraps(const unsigned char *before, const unsigned char *after, unsigned *ring)
{
	bool found = false;

	for (uint32_t i = 0; i < SHARDS; i++) {
		size_t at = (size_t)((unsigned char *)shmc_shard_at(&live, i) - live.base);
		const struct shmc_shard_head *was = (const struct shmc_shard_head *)(before + at);
		const struct shmc_shard_head *is = (const struct shmc_shard_head *)(after + at);

		for (unsigned r = 0; r < 2; r++) {
			uint32_t units = live.plan.ring_units[r];

			if (is->ring[r].head > was->ring[r].head &&
			    was->ring[r].head % units + (is->ring[r].head - was->ring[r].head) > units) {
				*ring = r;
				found = true;
			}
		}
	}
	return found;
}

static void cases(struct op op, unsigned depth);

/* Where the dead one has left it, the next operation comes, and dies as well. */
static void go_on_from(const struct fault *f, unsigned depth)
{
	uint64_t k = f->op.key;
	uint32_t turn = turn_of[k];
	struct op op = some_op();

	memcpy(copy.base, live.base, live.plan.segment);
	if (f->op.what == STORE && get(&copy, k, turn, length_of(k, turn)) != 1)
		turn_of[k] = f->op.turn;
	while (op.what != STORE || shard_of(&live, op.key) != shard_of(&live, k))
		op = some_op();
	twice++;
	cases(op, depth - 1);
	turn_of[k] = turn;
}

static bool is_append(unsigned p)
{
	return p == SHMC_P_APPEND || p == SHMC_P_APPEND_FIRST || p == SHMC_P_APPEND_HALF || p == SHMC_P_APPEND_WORDS || p == SHMC_P_APPEND_HEAD;
}

static bool reserve_used(uint32_t shard)
{
	const struct shmc_shard_head *h = shmc_shard_at(&live, shard);

	return live.plan.ring_units[MAIN] - (h->ring[MAIN].head - h->ring[MAIN].tail) < h->maxrec;
}

static void kill_everywhere(struct fault *f, const unsigned times[SHMC_P_ALL], const unsigned char *before,
                            const unsigned char *after, unsigned depth)
{
	unsigned ring = 0;
	bool over = now->damage == NONE && wraps(before, after, &ring) && wrapped[ring]++ < 3 * most;

	for (unsigned p = 0; p < SHMC_P_ALL; p++) {
		unsigned nth[] = { 1, times[p], (unsigned)(next(&rnd) % (times[p] + 1)) };

		for (unsigned i = 0; i < (times[p] > 1 ? 3 : times[p]); i++) {
			bool more = (over && is_append(p)) || (p == SHMC_P_MOVE_COPIED && reached[SHMC_P_RESERVE] < 9);

			if (nth[i] == 0 || (spent[depth][p] >= most && !more))
				break;
			f->point = p;
			f->nth = nth[i];
			f->way = spent[depth][p] >= most ? KILL : (enum way)(spent[depth][p] % 3);
			spent[depth][p]++;
			memcpy(live.base, before, live.plan.segment);
			one_case(f);
			if (depth > 0 && f->way == KILL && f->in->damage == NONE && inside(p) &&
			    (reserve_used(shard_of(&live, f->op.key)) || next(&rnd) % 4 == 0))
				go_on_from(f, depth);
		}
	}
}

/* Leaves the segment as the operation, done to its end, leaves it. */
static void cases(struct op op, unsigned depth)
{
	unsigned char *before = malloc(live.plan.segment), *after = malloc(live.plan.segment);
	struct fault f = { .in = now, .op = op };
	unsigned times[SHMC_P_ALL];
	bool wrong = false;

	if (before == NULL || after == NULL)
		exit(1);
	memcpy(before, live.base, live.plan.segment);
	memcpy(copy.base, live.base, live.plan.segment);
	f.before = present(&copy, &op, &wrong);
	memset(seen, 0, sizeof(seen));
	shmc_point_hook = count_points;
	if (perform(&live, &op) < 0)
		fail(&f, "it does not work at all");
	shmc_point_hook = NULL;
	if (op.what == STORE && shmc_load(&shmc_shard_at(&live, shard_of(&live, op.key))->owner) != 0)
		fail(&f, "its owner stays");
	memcpy(times, seen, sizeof(times));
	memcpy(after, live.base, live.plan.segment);
	memcpy(copy.base, after, live.plan.segment);
	f.after = present(&copy, &op, &wrong);
	if (wrong)
		fail(&f, "an entry has another's content before and after");
	kill_everywhere(&f, times, before, after, depth);
	memcpy(live.base, after, live.plan.segment);
	free(before);
	free(after);
}

/* Damages the shard of a key, as a process gone wild may before it dies inside. */
static void damage(uint64_t key)
{
	struct shmc_shard_head *h = shmc_shard_at(&live, shard_of(&live, key));
	size_t slots = (size_t)live.plan.buckets * SHMC_BUCKET, i = next(&rnd) % slots;
	uint64_t *ring = shmc_ring_at(&live, h, MAIN);
	uint64_t at = h->ring[MAIN].tail % live.plan.ring_units[MAIN] * 2;

	switch (now->damage) {
	case BAD_SLOT:
		h->slots[i] = h->slots[i] == 0 ? 12345 : h->slots[i] + 1;
		break;
	case CHAIN: case CHAIN_ALIVE:
		if (h->ring[MAIN].tail < h->ring[MAIN].head)
			ring[at] += next(&rnd) | 1;
		ring = shmc_ring_at(&live, h, PROBATION);
		ring[h->ring[PROBATION].tail % live.plan.ring_units[PROBATION] * 2] += next(&rnd) | 1;
		break;
	case POSITIONS:
		h->ring[next(&rnd) % 2].tail += (uint64_t)1 << 20;
		break;
	default: return;
	}
	if (now->damage != CHAIN_ALIVE)
		h->owner = 1;
}

/* Entries to begin with: the row's own, and others until both rings are full. */
static void fill(void)
{
	memset(turn_of, 0, sizeof(turn_of));
	for (uint64_t k = 0; k < KEYS; k++)
		(void)put(&live, k, 0, length_of(k, 0), now->ttl);
	for (unsigned i = 0; i < 200; i++, churn++) {
		for (uint64_t k = HOT; now->hot && k < KEYS; k++)
			if (get(&live, k, turn_of[k], length_of(k, turn_of[k])) == 0)
				(void)put(&live, k, turn_of[k], length_of(k, turn_of[k]), now->ttl);
		(void)put(&live, churn, 0, length_of(churn, 0), now->ttl);
	}
	for (uint64_t k = 0; k < KEYS; k += 2)
		(void)put(&live, k, 0, length_of(k, 0), now->ttl);
}

static void run_scenario(const struct scenario *s, enum shmcache_lock_kind kind)
{
	struct shmcache_plan plan = small_plan(SHARDS);
	unsigned before = failed, was = cases_run;
	char line[128];

	now = s;
	memset(spent, 0, sizeof(spent));
	cache = place_open(&place, &plan, kind, TIMEOUT_MS);
	if (view_live(&live, cache) < 0 || view_copy(&copy, cache, malloc(plan.segment), place.other) < 0)
		exit(1);
	fill();
	if (s->ttl == 1)
		usleep(2100000);
	/* the reserve has to be used up by a death in main: in the hot ones' row it takes its time */
	for (unsigned i = 0; i < rows || (s == &scenarios[1] && reached[SHMC_P_RESERVE] < 9 && i < 50 * rows); i++) {
		struct op op = some_op();

		if (s->damage != NONE) {
			op.what = STORE;
			damage(op.key);
		}
		cases(op, s->damage == NONE ? 1 : 0);
		if (op.what == STORE)
			turn_of[op.key] = op.turn;
		for (uint64_t k = HOT; s->hot && k < KEYS; k++)
			(void)get(&live, k, turn_of[k], length_of(k, turn_of[k]));
		(void)put(&live, churn, 0, length_of(churn, 0), 1000);
		churn++;
	}
	free(copy.base);
	view_end(&copy);
	view_end(&live);
	place_close(&place, cache);
	snprintf(line, sizeof(line), "%s, with %s locks: %u deaths", s->name, kind_name[kind], cases_run - was);
	if (failed == before)
		expect(true, line);
}

int main(int argc, char **argv)
{
	first_only = argc > 1 && strcmp(argv[1], "first") == 0;
	if (argc > 1 && strcmp(argv[1], "long") == 0) {
		most = 60;
		rows = 300;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		run_scenario(&scenarios[i], SHMCACHE_LOCK_OFD);
	most /= 3;
	run_scenario(&scenarios[1], SHMCACHE_LOCK_FCNTL);
	run_scenario(&scenarios[1], SHMCACHE_LOCK_FLOCK);
	run_scenario(&scenarios[1], SHMCACHE_LOCK_ROBUST);
	for (unsigned p = 0; p < SHMC_P_ARRIVING; p++)
		if (reached[p] == 0) {
			failed++;
			printf("FAIL point %s was never reached\n", point_name[p]);
		}
	expect(wrapped[PROBATION] > 0 && wrapped[MAIN] > 0, "so were entries that run over the end of each ring");
	expect(twice > 0, "what a dead one left was where the next one died");
	printf("%u deaths at %u points, %u rows after a death\n", cases_run, SHMC_P_ARRIVING, twice);
	return verdict();
}
