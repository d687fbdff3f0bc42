/*
 * races - what a kill does not show: a reader, a remover or a mover is stopped just between two of its steps, the others
 * change what it has looked at, and it goes on. With real processes one in millions of operations comes this way.
 */
#include "tests/fault/fault.h"

enum { LEN = 460, CHURN = 1000 };

static struct shmcache *cache, live;
static struct place place;
static uint64_t the_key, churn;             /* the key it is about; the number of others */

static enum shmc_point stop_at;
static bool stop_always;

static void stop(enum shmc_point p)
{
	if (p != stop_at)
		return;
	if (!stop_always)
		shmc_point_hook = NULL;
	raise(SIGSTOP);
}

static void begin(void)
{
	struct shmcache_plan plan = small_plan(1);

	cache = place_open(&place, &plan, SHMCACHE_LOCK_OFD, 50);
	if (view_live(&live, cache) < 0)
		exit(1);
	churn = CHURN;
	/* with two buckets: else its slot is looked at twice in one look */
	for (the_key = 1;; the_key++) {
		unsigned char key[SHMCACHE_KEY];
		uint64_t hash;

		key_of(the_key, key);
		hash = shmc_hash(&live, key);
		if (shmc_bucket(&live, hash, 0) != shmc_bucket(&live, hash, 1))
			break;
	}
}

static void finish(void)
{
	struct shmcache_counters n;

	expect(shmcache_check(&live, 0, false) == 0, "  the shard is whole");
	shmcache_counters(&live, &n);
	expect(n.badtag == 0 && n.resets == 0, "  nothing was torn, nothing was emptied");
	view_end(&live);
	place_close(&place, cache);
}

static void store_some(unsigned n)
{
	while (n-- > 0)
		if (put(&live, churn++, 0, LEN, 1000) < 0)
			exit(1);
}

/* A child that does something with the key and stops at the point, or ends. */
static pid_t start(int (*work)(struct shmcache *), enum shmc_point point, bool always)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		alarm(60);
		if (shmcache_child_init(cache, NULL) < 0)
			_exit(99);
		stop_at = point;
		stop_always = always;
		shmc_point_hook = stop;
		_exit(work(cache));
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status)) {
		printf("a child did not come by: status %x\n", (unsigned)status);
		exit(1);
	}
	return pid;
}

/* Lets it go on: its exit status, or -1: it has stopped once more, or died. */
static int go_on(pid_t pid)
{
	int status;

	kill(pid, SIGCONT);
	return waitpid(pid, &status, WUNTRACED) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int fetch_it(struct shmcache *c) { return 10 + get(c, the_key, 0, LEN); }
static int remove_it(struct shmcache *c) { drop(c, the_key); return 0; }
static int store_it(struct shmcache *c) { return put(c, the_key, 1, LEN, 1000) == 0 ? 0 : 1; }
static int store_many(struct shmcache *c)
{
	for (uint64_t n = 0; n < 100; n++)
		if (put(c, 1000000 + n, 0, LEN, 1000) < 0)
			return 1;
	return 0;
}

/* The slot that names the key, or NULL. */
static uint64_t *slot_of_key(void)
{
	struct shmc_shard_head *h = shmc_shard_at(&live, 0);
	unsigned char key[SHMCACHE_KEY];
	uint64_t hash;

	key_of(the_key, key);
	hash = shmc_hash(&live, key);
	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(&live, h, hash, i);

		if (shmc_slot_tagged(*p, hash))
			return p;
	}
	return NULL;
}

/* The key is removed, and its slot is given to another key: which. */
static uint64_t give_slot_away(void)
{
	uint64_t *slot = slot_of_key();

	drop(&live, the_key);
	while (*slot == 0)
		store_some(1);
	return churn - 1;
}

/* ------------------------------------------------------------------------------------------------ cases */

/* In the middle of the copying the entry is passed, and its place written over. */
static void reader_is_overtaken(bool hot)
{
	pid_t pid;
	int r;

	begin();
	store_some(40);
	(void)put(&live, the_key, 0, LEN, 1000);
	for (unsigned i = 0; hot && i < 3; i++)
		(void)get(&live, the_key, 0, LEN);
	pid = start(fetch_it, SHMC_P_FETCH_HALF, false);
	store_some(hot ? 11 : 30);
	r = go_on(pid);
	if (hot)
		expect(r == 11, "a reader finds an entry that was moved while it was copied");
	else
		expect(r == 10, "a reader misses an entry that went while it was copied");
	expect(!hot || slot_of_key() != NULL, "  it was there all the time");
	finish();
}

/* Between the look and the hit's count the slot goes to another entry. */
static void hit_is_overtaken(void)
{
	uint64_t other;
	pid_t pid;

	begin();
	store_some(5);
	(void)put(&live, the_key, 0, LEN, 1000);
	pid = start(fetch_it, SHMC_P_FETCH_HIT, false);
	other = give_slot_away();
	expect(go_on(pid) == 11, "a hit is one though its entry goes afterwards");
	expect(get(&live, other, 0, LEN) == 1, "  what has its slot now is there");
	expect(get(&live, the_key, 0, LEN) == 0, "  and it is not");
	finish();
}

static void remove_is_overtaken(void)
{
	uint64_t other;
	pid_t pid;

	begin();
	store_some(5);
	(void)put(&live, the_key, 0, LEN, 1000);
	pid = start(remove_it, SHMC_P_REMOVE, false);
	other = give_slot_away();
	expect(go_on(pid) == 0, "a remover finds its entry gone");
	expect(get(&live, other, 0, LEN) == 1, "  what has its slot now is there");
	finish();
}

/* Between the look and the removal the entry is hit, or moved: it is removed nevertheless. */
static void remove_of_what_moves(void)
{
	uint64_t *slot;
	pid_t pid;

	begin();
	(void)put(&live, the_key, 0, LEN, 1000);
	pid = start(remove_it, SHMC_P_REMOVE, false);
	expect(get(&live, the_key, 0, LEN) == 1, "an entry is hit while it is being removed");
	store_some(10);
	slot = slot_of_key();
	expect(slot != NULL && shmc_slot_ring(*slot) == MAIN, "  and moved");
	expect(go_on(pid) == 0 && get(&live, the_key, 0, LEN) == 0, "  and gone");
	finish();
}

/* A mover has copied the entry, and does not know yet that it is removed, or hit. */
static void move_is_overtaken(bool removed)
{
	struct shmc_shard_head *h;
	uint64_t *slot = NULL;
	int left = 400;
	pid_t pid;

	begin();
	h = shmc_shard_at(&live, 0);
	store_some(40);
	(void)put(&live, the_key, 0, LEN, 1000);
	for (unsigned i = 0; i < 3; i++)
		(void)get(&live, the_key, 0, LEN);
	for (pid = start(store_many, SHMC_P_MOVE_COPIED, true); left > 0; left--) {
		slot = slot_of_key();
		if (slot != NULL && shmc_slot_pos(*slot) == h->ring[shmc_slot_ring(*slot)].tail)
			break;
		if (go_on(pid) >= 0)
			left = 1;
	}
	expect(left > 0, "a mover is stopped before it names the copy");
	if (removed) {
		drop(&live, the_key);
	} else {
		if (shmc_slot_freq(*slot) == 3)         /* as if it had been hit less before */
			*slot -= SHMC_FREQ_ONE;
		expect(get(&live, the_key, 0, LEN) == 1, "  the entry is hit");
	}
	(void)go_on(pid);
	if (removed)
		expect(get(&live, the_key, 0, LEN) == 0, "  an entry that was removed does not come back");
	else
		expect(get(&live, the_key, 0, LEN) == 1, "  and it is not lost");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	finish();
}

static void replace_is_overtaken(void)
{
	pid_t pid;

	begin();
	(void)put(&live, the_key, 0, LEN, 1000);
	pid = start(store_it, SHMC_P_NAME, false);
	drop(&live, the_key);
	expect(go_on(pid) == 0 && get(&live, the_key, 1, LEN) == 1, "an entry is stored though the older one was just removed");
	finish();
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	reader_is_overtaken(true);
	reader_is_overtaken(false);
	hit_is_overtaken();
	remove_is_overtaken();
	remove_of_what_moves();
	move_is_overtaken(true);
	move_is_overtaken(false);
	replace_is_overtaken();
	return verdict();
}
