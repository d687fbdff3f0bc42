/*
 * scoreboard.c - reads what all children share for the status page (handler/status.h): what they count, what the master counts of
 * those that are gone, the session cache, servers behind. Runs in the children, and under -X. What other children write there is read
 * as numbers and texts that may be anything.
 */
#include "process/scoreboard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/activity.h"
#include "handler/status.h"
#include "process/keys.h"
#include "process/scorehosts.h"
#include "process/tally.h"
#include "shmcache/shmcache.h"

#define TRIES 20                        /* where the master moves sums at the same moment, with … */
#define PAUSE_NS 1000000                /* … between them, should it have lost its processor in the middle of that */

static struct {
	struct shared_view view;
	bool keyholders;
} board;

static uint64_t get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static uint32_t get32(const _Atomic uint32_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------ one child */

static void take_sums(const struct conn_counters *c, struct status_sums *s)
{
	*s = (struct status_sums){
		.accepted = get(&c->accepted), .requests = get(&c->requests), .bytes = get(&c->bytes_out), .duration_us = get(&c->duration_us),
		.cpu_user_us = get(&c->cpu_user_us), .cpu_system_us = get(&c->cpu_system_us),
		.handshakes = get(&c->handshakes), .resumed = get(&c->resumed), .failures = get(&c->handshake_failures),
		.h2_connections = get(&c->h2_connections), .h2_streams = get(&c->h2_streams), .h2_resets = get(&c->h2_resets),
		.log_dropped = get(&c->log_dropped),
	};
}

/* For structures of uint64_t alone. */
static void add_numbers(void *to, const void *from, size_t size)
{
	uint64_t *sum = to;
	const uint64_t *more = from;

	for (size_t i = 0; i < size / sizeof(*sum); i++)
		sum[i] += more[i];
}
_Static_assert(sizeof(struct status_sums) % sizeof(uint64_t) == 0 && sizeof(struct status_places) % sizeof(uint64_t) == 0, "numbers alone");

static void take_places(const struct conn_counters *c, struct status_places *p)
{
	*p = (struct status_places){
		.total = get32(&c->open), .fresh = get32(&c->places[PLACE_FRESH]), .handshake = get32(&c->places[PLACE_HANDSHAKE]),
		.reading = get32(&c->places[PLACE_READING]), .working = get32(&c->places[PLACE_WORKING]),
		.asking = get32(&c->places[PLACE_ASKING]), .writing = get32(&c->places[PLACE_WRITING]),
		.keepalive = get32(&c->places[PLACE_KEEPALIVE]), .closing = get32(&c->places[PLACE_CLOSING]),
		.h2 = get32(&c->h2_open), .h2_streams = get32(&c->h2_streams_open),
	};
}

/* Connections that are at work. */
static uint64_t busy_of(const struct status_places *p)
{
	return p->handshake + p->working + p->asking + p->writing;
}

static void copy(char *to, size_t room, const char *from, size_t length)
{
	size_t n = strnlen(from, length);

	if (n > room - 1)
		n = room - 1;
	memcpy(to, from, n);
	to[n] = '\0';
}

/* False: no connection has its turn. */
static bool take_activity(const struct activity *a, struct status_child *c)
{
	struct activity_record r;
	int64_t now = shared_now(), since;

	c->since_ms = -1;
	if (!a || !activity_read(a, &r) || !r.connection)
		return false;
#define COPY(to) copy(c->to, sizeof(c->to), r.to, sizeof(r.to))
	COPY(peer);
	COPY(host);
	COPY(method);
	COPY(path);
	COPY(handler);
	COPY(phase);
#undef COPY
	since = (int64_t)r.request_began;
	if (r.request_began)
		c->since_ms = now > since && since > 0 ? now - since : 0;
	return true;
}

/* Apache's letters. A child with many connections gets that of what it does, else of the busiest thing that one of them waits for. */
static char letter_of(const struct status_child *c, bool turns, uint32_t serving)
{
	static const struct { char phase[12]; char letter; } phases[] = {
		{ "peek", 'R' }, { "handshake", 'R' }, { "head", 'R' }, { "body", 'R' }, { "close", 'C' },
	};
	const struct status_places *p = &c->places;

	if (!c->ready)
		return 'S';
	if (c->draining)
		return serving && c->generation != serving ? 'G' : 'I';
	for (size_t i = 0; turns && i < sizeof(phases) / sizeof(phases[0]); i++)
		if (strcmp(c->phase, phases[i].phase) == 0)
			return phases[i].letter;
	if (turns || p->working || p->writing)
		return 'W';
	return p->asking ? 'D' : p->handshake || p->reading ? 'R' : p->keepalive ? 'K' : p->closing ? 'C' : '_';
}

/* ------------------------------------------------------------------------------------------------ requests that take long */

#define PATIENCE 100                    /* tries while the child writes */

/* False: nobody has it, or its writer was killed inside. */
static bool take_shown(const struct conn_shown *e, struct status_request *q)
{
	static const char *const phases[CONN_PLACES] = { [PLACE_WORKING] = "handler", [PLACE_ASKING] = "names", [PLACE_WRITING] = "writing" };
	int64_t now = shared_now();

	for (int i = 0; i < PATIENCE; i++) {
		uint32_t sequence = atomic_load_explicit(&e->sequence, memory_order_acquire), place = get32(&e->place);
		struct conn_shown c;

		q->phase = place < CONN_PLACES ? phases[place] : NULL;
		if (!q->phase)
			return false;
		c.since = e->since;
#define COPY(field) (memcpy(c.field, e->field, sizeof(c.field)), copy(q->field, sizeof(q->field), c.field, sizeof(c.field)))
		COPY(peer);
		COPY(host);
		COPY(method);
		COPY(handler);
		COPY(path);
#undef COPY
		q->since_ms = (int64_t)c.since > 0 && now > (int64_t)c.since ? now - (int64_t)c.since : 0;
		atomic_thread_fence(memory_order_acquire);
		if (!(sequence & 1) && get32(&e->sequence) == sequence)
			return true;
	}
	return false;
}

static int by_age(const void *x, const void *y)
{
	int64_t a = ((const struct status_request *)x)->since_ms, b = ((const struct status_request *)y)->since_ms;

	return a < b ? 1 : a > b ? -1 : 0;
}

/* Where the child is in no turn it shows the oldest of them. */
static void take_requests(const struct shared_slot *slot, struct status *s, struct status_child *c, bool turns)
{
	const struct status_request *oldest = NULL;

	for (unsigned i = 0; slot->shown && i < CONN_SHOWN && s->nrequests < STATUS_REQUESTS; i++) {
		struct status_request *q = &s->requests[s->nrequests];

		if (!take_shown(&slot->shown[i], q))
			continue;
		q->pid = c->pid;
		s->nrequests++;
		if (!oldest || q->since_ms > oldest->since_ms)
			oldest = q;
	}
	if (!oldest || turns)
		return;
#define COPY(field, from, length) copy(c->field, sizeof(c->field), from, length)
	COPY(peer, oldest->peer, sizeof(oldest->peer));
	COPY(host, oldest->host, sizeof(oldest->host));
	COPY(method, oldest->method, sizeof(oldest->method));
	COPY(handler, oldest->handler, sizeof(oldest->handler));
	COPY(path, oldest->path, sizeof(oldest->path));
	COPY(phase, oldest->phase, strlen(oldest->phase));
#undef COPY
	c->since_ms = oldest->since_ms;
}

static void take_child(const struct shared_slot *slot, struct status *s, struct status_child *c)
{
	bool turns;

	c->generation = get32(slot->generation);
	c->ready = get32(slot->ready) != 0;
	c->limit = get32(&slot->counters->limit);
	c->draining = get32(&slot->counters->draining) != 0;
	take_sums(slot->counters, &c->sums);
	take_places(slot->counters, &c->places);
	turns = take_activity(slot->activity, c);
	c->letter = letter_of(c, turns, s->generation);
	take_requests(slot, s, c, turns);
}

/* ------------------------------------------------------------------------------------------------ all children */

/* TLS counters of one more process. */
static void add_tls(struct scoretls *to, const struct tls_counters *c)
{
	for (unsigned i = 0; i < TLS_VERSIONS; i++)
		to->versions[i] += get(&c->versions[i]);
	for (unsigned i = 0; i < TLS_KINDS; i++)
		to->kinds[i] += get(&c->kinds[i]);
	for (unsigned i = 0; i < TLS_SUITES; i++)
		to->suites[i] += get(&c->suites[i]);
	for (unsigned i = 0; i < TLS_REASONS; i++)
		to->failures[i] += get(&c->failures[i]);
}

static void add_keys(struct status_keys *k, const struct tls_counters *c)
{
	k->operations += get(&c->key_asked);
	k->failed += get(&c->key_failed);
	k->late += get(&c->key_late);
	k->wait_us += get(&c->key_us);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		k->wait[i] += get(&c->key_wait[i]);
}

static void add_child(struct status *s, const struct status_child *c)
{
	uint64_t busy = busy_of(&c->places);

	add_numbers(&s->sums, &c->sums, sizeof(s->sums));
	add_numbers(&s->places, &c->places, sizeof(s->places));
	s->busy += busy;
	if (!c->draining && c->limit > busy)
		s->idle += c->limit - busy;
	s->stopping += c->draining;
	s->letters[c->place] = c->letter;
}

static void take_children(struct status *s, struct scoretls *tls)
{
	const struct tally *t = board.view.tally;

	s->nchildren = s->nrequests = 0;
	memset(s->letters, '.', s->nplaces);
	take_sums(&t->past, &s->sums);
	add_tls(tls, &t->past.tls);
	add_keys(&s->keys, &t->past.tls);
	for (unsigned i = 0; i < s->nplaces; i++) {
		const struct shared_slot *slot = &board.view.slots[i];
		struct status_child *c = &s->children[s->nchildren];

		memset(c, 0, sizeof(*c));
		c->place = i;
		c->pid = get32(slot->pid);
		if (!c->pid)
			continue;
		take_child(slot, s, c);
		add_child(s, c);
		add_tls(tls, &slot->counters->tls);
		add_keys(&s->keys, &slot->counters->tls);
		s->keys.waiting += get32(&slot->counters->tls.key_waits) != 0;
		s->nchildren++;
	}
}

/* ------------------------------------------------------------------------------------------------ the server */

static void take_clock(struct status *s)
{
	const struct tally *t = board.view.tally;
	struct sysinfo info;

	s->now = time(NULL);
	s->started = board.view.head->started;
	s->restarted = atomic_load_explicit(&t->since, memory_order_relaxed);
	if (!s->restarted)
		s->restarted = s->started;
	s->uptime = s->now > s->started ? s->now - s->started : 0;
	s->generation = get32(&t->generation);
	s->graceful_restarts = get(&t->graceful);
	s->hard_restarts = get(&t->hard);
	s->keys.restarts = get(&t->key_restarts);
	if (sysinfo(&info) == 0)
		for (int i = 0; i < 3; i++)
			s->load[i] = (double)info.loads[i] / (1 << SI_LOAD_SHIFT);
}

static int by_time(const void *x, const void *y)
{
	int64_t a = ((const struct status_crash *)x)->last, b = ((const struct status_crash *)y)->last;

	return a < b ? 1 : a > b ? -1 : 0;
}

static void take_crashes(struct status *s)
{
	const struct tally *t = board.view.tally;

	s->ncrashes = 0;
	for (unsigned i = 0; i < TALLY_CRASHES; i++) {
		const struct tally_crash *c = &t->crashes[i];
		uint64_t n = get(&c->n);

		if (n)
			s->crashes[s->ncrashes++] = (struct status_crash){
				.fingerprint = get(&c->fingerprint), .signal = get32(&c->signal), .n = n,
				.last = atomic_load_explicit(&c->last, memory_order_relaxed),
			};
	}
	qsort(s->crashes, s->ncrashes, sizeof(*s->crashes), by_time);
}

static void take_cache(struct status_cache *c)
{
	static const uint64_t upto[STATUS_WAITS] = { 1, 4, 16, 64, 256, 1000, 4000, UINT64_MAX };
	const struct shmcache_plan *p;
	struct shmcache_counters n;

	if (!shared.cache || !(p = shmcache_geometry(shared.cache)) || !p->bytes)
		return;
	shmcache_counters(shared.cache, &n);
	*c = (struct status_cache){
		.there = true, .bytes = p->bytes, .sessions = p->sessions, .shards = p->shards, .slots = (uint64_t)p->shards * p->buckets * 8,
		.live = n.live, .hits = n.hits, .misses = n.misses, .stores = n.stores, .replaced = n.replaced,
		.evicted = n.evicted + n.idx_evicted, .expired = n.expired, .removed = n.removed, .oversize = n.oversize,
		.lock_busy = n.lock_busy, .lock_timeout = n.lock_timeout, .repairs = n.repairs, .resets = n.resets, .badtag = n.badtag,
	};
	_Static_assert(sizeof(c->waits) == sizeof(n.waits), "the cache's own steps");
	memcpy(c->waits, n.waits, sizeof(c->waits));
	memcpy(c->wait_us, upto, sizeof(c->wait_us));
}

static int take_ends(struct arena *a, struct status *s)
{
	static const char *const names[TALLY_ENDS] = {
		[POLICY_NORMAL] = "normal", [POLICY_SICK] = "sick", [POLICY_FATAL] = "fatal", [POLICY_CRASH] = "crash", [POLICY_SANDBOX] = "sandbox",
		[POLICY_KILLED] = "killed", [TALLY_HANG] = "hang",
	};
	struct status_count *at = arena_array(a, TALLY_ENDS, sizeof(*at));

	if (!at)
		return -1;
	for (unsigned i = 0; i < TALLY_ENDS; i++)
		at[i] = (struct status_count){ names[i], get(&board.view.tally->ends[i]) };
	s->ends = (struct status_counts){ at, TALLY_ENDS };
	return 0;
}

/* ------------------------------------------------------------------------------------------------ all of it */

/* 0, or -1: no memory. */
static int make_room(struct arena *a, struct status *s)
{
	unsigned used = get32(&board.view.head->used);

	memset(s, 0, sizeof(*s));
	s->nplaces = used < board.view.n ? used : board.view.n;
	s->letters = arena_zalloc(a, s->nplaces + 1);
	s->children = arena_array(a, s->nplaces + 1, sizeof(*s->children));
	s->requests = arena_array(a, STATUS_REQUESTS, sizeof(*s->requests));
	s->crashes = arena_array(a, TALLY_CRASHES, sizeof(*s->crashes));
	s->hosts = arena_array(a, CONN_ROWS, sizeof(*s->hosts));
	return s->letters && s->children && s->requests && s->crashes && s->hosts ? 0 : -1;
}

static int take(struct arena *a, const struct site *site, struct status *s)
{
	const struct tally *t = board.view.tally;
	static const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct scoretls tls;
	bool whole = false;

	if (make_room(a, s) < 0)
		return -1;
	for (int i = 0; i < TRIES && !whole; i++) {
		uint32_t sequence = atomic_load_explicit(&t->sequence, memory_order_acquire);

		memset(&tls, 0, sizeof(tls));
		memset(&s->keys, 0, sizeof(s->keys));
		memset(&s->places, 0, sizeof(s->places));
		s->busy = s->idle = s->stopping = 0;
		take_clock(s);
		take_children(s, &tls);
		scorehosts_take(&board.view, s);
		atomic_thread_fence(memory_order_acquire);
		whole = !(sequence & 1) && get32(&t->sequence) == sequence;
		if (!whole)
			nanosleep(&pause, NULL);
	}
	qsort(s->requests, s->nrequests, sizeof(*s->requests), by_age);
	take_crashes(s);
	take_cache(&s->cache);
	s->keys.isolated = board.keyholders;
	if (take_ends(a, s) < 0 || scoretls_give(a, &tls, &s->tls) < 0 || scorebackends_take(a, site, s) < 0)
		return -1;
	scorehosts_certificates(site, s);
	return 0;
}

int scoreboard_open(const struct config *cfg, struct err *e)
{
	if (shared_view(&board.view, status_extended(cfg->site), e) < 0)
		return -1;
	board.keyholders = keys_tls_wanted(cfg) && cfg->process->key_isolation;
	status_show(take);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ -X */

void scoreboard_single(const struct config *cfg, const struct shared_slot *own)
{
	static struct shared_head head;
	static _Atomic uint32_t pid, one = 1;
	static struct shared_slot slot;

	head = (struct shared_head){ .nslots = 1, .used = 1, .started = time(NULL) };
	slot = *own;
	slot.pid = &pid;
	slot.generation = slot.ready = &one;
	atomic_store(&pid, (uint32_t)getpid());
	if (!status_extended(cfg->site)) {
		slot.activity = NULL;
		slot.shown = NULL;
	}
	board.view = (struct shared_view){ &head, tally_single(), &slot, 1 };
	tally_hosts(cfg);
	tally_serves(1);
	status_show(take);
}
