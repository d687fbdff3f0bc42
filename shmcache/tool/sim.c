/*
 * sim.c - made-up clients on a real cache, and on models of what others do: first in, first out, and
 * least recently used first. Part of bulkhead-cache; one process, nobody else uses the cache meanwhile.
 *
 * Sessions are numbered as they are made. The clients' behaviour follows from the seed alone and not from what
 * the cache kept, so that each policy sees the same arrivals.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/internal.h"
#include "shmcache/tool/sim.h"

enum { NEVER = 1 << 30, VISIT = 4 };

/* ------------------------------------------------------------------------------------------------ chance */

static uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* 0 to below 1 */
static double chance(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	return (double)(mixed(*state) >> 11) * 0x1p-53;
}

static size_t length_of(uint32_t id, size_t len)
{
	uint64_t of_hundred = mixed(id * 0x9e3779b97f4a7c15u) % 100;

	if (len != SIM_MIX)
		return len;
	return of_hundred < 60 ? 285 : of_hundred < 85 ? 600 : 1467;
}

static uint32_t units_of(uint32_t id)
{
	return SHMC_HEAD_UNITS + (uint32_t)(length_of(id, SIM_MIX) + SHMC_UNIT - 1) / SHMC_UNIT;
}

static void key_of_session(uint32_t id, unsigned char key[SHMCACHE_KEY])
{
	memset(key, 0, SHMCACHE_KEY);
	memcpy(key, &id, sizeof(id));
}

/* ------------------------------------------------------------------------------------------------ policies */

struct policy {
	bool (*fetch)(struct policy *p, uint32_t id);
	int (*store)(struct policy *p, uint32_t id, uint32_t now, uint32_t expires, bool flood);
	uint64_t room, used;            /* units, of the models */
	uint32_t oldest;                /* FIFO: the first session that is still there */
	struct link {                   /* LRU: a ring of sessions, the newest after node 0; next = 0: not in it */
		uint32_t next, before;
	} *link;
	uint32_t links;
	struct shmcache *c;             /* ours */
	uint32_t epoch;                 /* the cache's clock at step 0 */
};

static bool fifo_fetch(struct policy *p, uint32_t id)
{
	return id >= p->oldest;
}

static int fifo_store(struct policy *p, uint32_t id, uint32_t now, uint32_t expires, bool flood)
{
	(void)now;
	(void)expires;
	(void)flood;
	p->used += units_of(id);
	while (p->used > p->room)
		p->used -= units_of(p->oldest++);
	return 0;
}

static void lru_out(struct policy *p, uint32_t id)
{
	struct link *l = &p->link[id];

	p->link[l->next].before = l->before;
	p->link[l->before].next = l->next;
	l->next = l->before = id;
}

static void lru_in(struct policy *p, uint32_t id)
{
	struct link *first = &p->link[0];

	p->link[id] = (struct link){ .next = first->next, .before = 0 };
	p->link[first->next].before = id;
	first->next = id;
}

static bool lru_fetch(struct policy *p, uint32_t id)
{
	if (p->link[id].next == id)
		return false;
	lru_out(p, id);
	lru_in(p, id);
	return true;
}

static int lru_store(struct policy *p, uint32_t id, uint32_t now, uint32_t expires, bool flood)
{
	(void)now;
	(void)expires;
	(void)flood;
	if (id >= p->links) {
		uint32_t more = id < 1024 ? 4096 : id * 2;
		struct link *grown = realloc(p->link, more * sizeof(*grown));

		if (grown == NULL)
			return -1;
		for (uint32_t i = p->links; i < more; i++)
			grown[i] = (struct link){ i, i };
		p->link = grown;
		p->links = more;
	}
	lru_in(p, id);
	p->used += units_of(id);
	while (p->used > p->room) {
		uint32_t last = p->link[0].before;

		p->used -= units_of(last);
		lru_out(p, last);
	}
	return 0;
}

static bool our_fetch(struct policy *p, uint32_t id)
{
	unsigned char key[SHMCACHE_KEY], data[SHMCACHE_MAX_DATA];
	size_t len;

	key_of_session(id, key);
	return shmcache_fetch(p->c, key, data, sizeof(data), &len) == 1;
}

/*
 * What shmcache_store does, with the simulation's time for the clock's. That time is ahead of the clock, so that
 * fetch finds nothing expired: a client does not ask with a session whose life is over. Floods are not sealed, since
 * nobody fetches them.
 */
static int our_store(struct policy *p, uint32_t id, uint32_t now, uint32_t expires, bool flood)
{
	static const unsigned char data[1467];
	unsigned char key[SHMCACHE_KEY], aad[SHMCACHE_KEY + sizeof(uint64_t)], nonce[16] = { 0 };
	struct shmcache *c = p->c;
	uint64_t *w = c->record, hash;
	size_t len = length_of(id, SIM_MIX);
	struct shmc_shard s;

	key_of_session(id, key);
	hash = shmc_hash(c, key);
	memset(w, 0, (size_t)units_of(id) * SHMC_UNIT);
	w[0] = hash;
	w[1] = len | (uint64_t)(p->epoch + expires) << 32;
	if (!flood) {
		if (shmc_nonce(c, nonce) < 0)
			return -1;
		memcpy(&w[2], nonce, 12);
		memcpy(aad, key, SHMCACHE_KEY);
		memcpy(aad + SHMCACHE_KEY, &w[1], sizeof(uint64_t));
		if (shmc_seal(c->cipher, nonce, aad, sizeof(aad), data, len, &w[SHMC_HEAD_WORDS],
		              (unsigned char *)&w[4]) < 0)
			return -1;
	}
	shmc_shard_load(c, shmc_shard_at(c, shmc_shard_of(c, hash)), &s);
	s.now = p->epoch + now;
	shmc_store_locked(&s, w, hash, units_of(id));
	return 0;
}

/* ------------------------------------------------------------------------------------------------ clients */

struct client {
	uint32_t id, expires;           /* of its session; 0 = it has none */
	uint32_t next;                  /* SIM_VISITS: who else comes at that step */
	uint32_t left;                  /* connections to come */
};

struct run {
	const struct sim_population *of;
	struct policy *policy;
	uint64_t chance;
	uint32_t sessions;
	uint64_t returned, found;
};

static int connection(struct run *r, struct client *who, uint32_t now)
{
	uint32_t life = r->of->life == 0 ? NEVER : r->of->life;

	if (who->id != 0 && who->expires > now) {
		bool there = r->policy->fetch(r->policy, who->id);

		if (now >= r->of->steps / 2) {
			r->returned++;
			r->found += there;
		}
		if (!there)
			who->id = 0;
	} else {
		who->id = 0;
	}
	if (who->id == 0) {
		who->id = ++r->sessions;
		who->expires = now + life;
		if (r->policy->store(r->policy, who->id, now, who->expires, false) < 0)
			return -1;
	}
	for (unsigned i = 0; i < r->of->flood; i++)
		if (r->policy->store(r->policy, ++r->sessions, now, now + life, true) < 0)
			return -1;
	return 0;
}

static int zipf(struct run *r)
{
	uint32_t n = r->of->clients;
	double *up_to = malloc(n * sizeof(*up_to)), sum = 0;
	struct client *client = calloc(n, sizeof(*client));
	int failed = up_to == NULL || client == NULL;

	for (uint32_t i = 0; !failed && i < n; i++)
		up_to[i] = sum += pow(i + 1, -0.9);
	for (uint32_t now = 0; !failed && now < r->of->steps; now++) {
		double at = chance(&r->chance) * sum;
		uint32_t low = 0, high = n - 1;

		while (low < high) {
			uint32_t middle = (low + high) / 2;

			if (up_to[middle] > at)
				high = middle;
			else
				low = middle + 1;
		}
		failed = connection(r, &client[low], now) < 0;
	}
	free(up_to);
	free(client);
	return failed ? -1 : 0;
}

static int visits(struct run *r)
{
	uint32_t steps = r->of->steps;
	struct client *client = calloc(steps + 1, sizeof(*client));
	uint32_t *coming = calloc(steps, sizeof(*coming));      /* the first client of a step; 0 = none */
	int failed = client == NULL || coming == NULL;

	for (uint32_t now = 0; !failed && now < steps; now++) {
		uint32_t who = now + 1, then;

		client[who].left = VISIT;
		client[who].next = coming[now];
		for (; who != 0 && !failed; who = then) {
			uint64_t when = now + 1 + (uint64_t)pow(r->of->pause, pow(chance(&r->chance), 2));

			then = client[who].next;
			failed = connection(r, &client[who], now) < 0;
			if (--client[who].left > 0 && when < steps) {
				client[who].next = coming[when];
				coming[when] = who;
			}
		}
	}
	free(client);
	free(coming);
	return failed ? -1 : 0;
}

static int play(const struct sim_population *p, struct policy *policy, double *percent)
{
	struct run r = { .of = p, .policy = policy, .chance = p->seed };
	int failed = p->kind == SIM_ZIPF ? zipf(&r) : visits(&r);

	*percent = r.returned == 0 ? 0 : 100.0 * (double)r.found / (double)r.returned;
	return failed;
}

/* Where entries come to lie follows from the hash's key: here always the same one. */
static void settle(struct shmcache *c)
{
	c->hash_key[0] = 0x0123456789abcdefu;
	c->hash_key[1] = 0xfedcba9876543210u;
}

int sim_policy(struct shmcache *c, const struct sim_population *p, struct sim_ratio *out)
{
	uint64_t room = (uint64_t)c->plan.shards * (c->plan.ring_units[PROBATION] + c->plan.ring_units[MAIN]);
	struct policy ours = { .fetch = our_fetch, .store = our_store, .c = c, .epoch = shmc_now() + 1000000 };
	struct policy fifo = { .fetch = fifo_fetch, .store = fifo_store, .room = room, .oldest = 1 };
	struct policy lru = { .fetch = lru_fetch, .store = lru_store, .room = room };
	int failed;

	settle(c);
	failed = play(p, &ours, &out->ours) < 0 || play(p, &fifo, &out->fifo) < 0 || play(p, &lru, &out->lru) < 0;
	free(lru.link);
	return failed ? -1 : 0;
}

long sim_kept(struct shmcache *c, size_t len)
{
	static unsigned char data[SHMCACHE_MAX_DATA];
	size_t average = len == SIM_MIX ? SIM_MIX_AVERAGE : len, got;
	uint32_t many = (uint32_t)(c->plan.bytes / average) * 4;
	unsigned char key[SHMCACHE_KEY];
	long kept = 0;

	settle(c);
	for (uint32_t id = 1; id <= many; id++) {
		key_of_session(id, key);
		if (shmcache_store(c, key, data, length_of(id, len), NEVER) < 0)
			return -1;
	}
	for (uint32_t id = 1; id <= many; id++) {
		key_of_session(id, key);
		kept += shmcache_fetch(c, key, data, sizeof(data), &got);
	}
	return kept;
}
