/*
 * tally.c - the master's side of what the status page shows (tally.h): sums of children that are gone, hosts and their rows, ends and
 * restarts. Runs in the master, and under -X. What a child has counted may be any number: sums wrap.
 */
#include "process/tally.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log/log.h"
#include "process/shared.h"

#define OTHERS (CONN_ROWS - 1)

static struct tally *single;

static struct tally *mine(void)
{
	return single ? single : shared_tally();
}

struct tally *tally_single(void)
{
	static struct tally own;

	single = &own;
	return single;
}

static void begin(struct tally *t)
{
	atomic_store_explicit(&t->sequence, atomic_load_explicit(&t->sequence, memory_order_relaxed) | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

static void over(struct tally *t)
{
	atomic_store_explicit(&t->sequence, (atomic_load_explicit(&t->sequence, memory_order_relaxed) | 1) + 1, memory_order_release);
}

/* ------------------------------------------------------------------------------------------------ sums */

/* Adds the 64-bit numbers in bytes [from, to) of one structure to those of another. */
static void add_range(void *to, const void *from, size_t begins, size_t ends)
{
	_Atomic uint64_t *sum = (_Atomic uint64_t *)(void *)((char *)to + begins);
	const _Atomic uint64_t *more = (const _Atomic uint64_t *)(const void *)((const char *)from + begins);

	for (size_t i = 0; i < (ends - begins) / sizeof(uint64_t); i++)
		counter_add(&sum[i], atomic_load_explicit(&more[i], memory_order_relaxed));
}

static void add_row(struct conn_row *to, const struct conn_row *from)
{
	add_range(to, from, 0, offsetof(struct conn_row, latency) + sizeof from->latency);
}

#define SUMS_BEGIN offsetof(struct conn_counters, accepted)
#define SUMS_END offsetof(struct conn_counters, rows)
_Static_assert(SUMS_BEGIN % 8 == 0 && offsetof(struct tls_counters, key_waits) % 8 == 0, "sums are 64-bit numbers in a row");

void tally_retire(const struct shared_slot *s)
{
	struct tally *t = mine();
	struct conn_counters *c = s->counters;
	uint64_t rows = atomic_load_explicit(&c->rows, memory_order_relaxed);

	begin(t);
	add_range(&t->past, c, SUMS_BEGIN, SUMS_END);
	add_range(&t->past.tls, &c->tls, 0, offsetof(struct tls_counters, key_waits));
	for (unsigned i = 0; i < CONN_ROWS; i++)
		if (rows >> i & 1) {
			add_row(&t->rows[i], &s->rows[i]);
			memset(&s->rows[i], 0, sizeof s->rows[i]);
		}
	atomic_store_explicit(&t->past.rows, atomic_load_explicit(&t->past.rows, memory_order_relaxed) | rows, memory_order_relaxed);
	memset(c, 0, sizeof *c);
	if (s->shown)
		memset(s->shown, 0, CONN_SHOWN * sizeof *s->shown);
	over(t);
}

/* ------------------------------------------------------------------------------------------------ hosts */

static void label(const struct host *h, char *buf, size_t room)
{
	unsigned port = h->naddrs && !h->addrs[0].any_port ? addr_port(&h->addrs[0].addr) : h->port;

	if (port)
		snprintf(buf, room, "%s:%u", h->name ? h->name : "", port);
	else
		snprintf(buf, room, "%s", h->name ? h->name : "");
}

/* What the host before counted belongs to the others from now on. */
static void empty(struct tally *t, unsigned row)
{
	uint64_t rows = atomic_load_explicit(&t->past.rows, memory_order_relaxed);

	if (!(rows >> row & 1))
		return;
	add_row(&t->rows[OTHERS], &t->rows[row]);
	memset(&t->rows[row], 0, sizeof t->rows[row]);
	rows = (rows & ~((uint64_t)1 << row)) | (uint64_t)1 << OTHERS;
	atomic_store_explicit(&t->past.rows, rows, memory_order_relaxed);
}

/* The row of that name, else a free one, else one that no living child counts in any more. */
static unsigned row_of(struct tally *t, const char *name)
{
	unsigned fresh = OTHERS, stale = OTHERS;

	for (unsigned i = OTHERS; i-- > 0;) {
		const struct tally_host *h = &t->hosts[i];

		if (strcmp(h->name, name) == 0)
			return i;
		if (!h->name[0])
			fresh = i;
		else if (!h->users)
			stale = i;
	}
	return fresh != OTHERS ? fresh : stale;
}

/* True: it has one of its own. */
static bool take_row(struct tally *t, struct host *h)
{
	char name[sizeof t->hosts[0].name];

	label(h, name, sizeof name);
	h->row = *name ? row_of(t, name) : OTHERS;
	if (h->row != OTHERS && strcmp(t->hosts[h->row].name, name) != 0) {
		empty(t, h->row);
		memcpy(t->hosts[h->row].name, name, sizeof name);
	}
	t->hosts[h->row].users++;
	return h->row != OTHERS;
}

void tally_hosts(const struct config *cfg)
{
	struct tally *t = mine();
	unsigned others = 0;

	begin(t);
	snprintf(t->hosts[OTHERS].name, sizeof t->hosts[OTHERS].name, "others");
	others += !take_row(t, cfg->site->main);
	for (struct host *h = cfg->site->hosts; h; h = h->next)
		others += !take_row(t, h);
	over(t);
	if (others && cfg->site->shows_status)
		log_infox(NULL, LOG_CORE, "BH0830", "the status page tells %d hosts apart: %u more are shown together, as \"others\"", OTHERS, others);
}

void tally_hosts_over(const struct config *cfg)
{
	struct tally *t = mine();

	if (!t)
		return;
	t->hosts[cfg->site->main->row].users--;
	for (const struct host *h = cfg->site->hosts; h; h = h->next)
		t->hosts[h->row].users--;
}

static bool of_before[CONN_ROWS];

void tally_adopt(void)
{
	struct tally *t = mine();

	begin(t);
	for (unsigned i = 0; i < CONN_ROWS; i++) {
		of_before[i] = t->hosts[i].name[0];
		t->hosts[i].users = of_before[i];
	}
	over(t);
}

void tally_adopt_over(void)
{
	for (unsigned i = 0; i < CONN_ROWS; i++) {
		mine()->hosts[i].users -= of_before[i];
		of_before[i] = false;
	}
}

/* ------------------------------------------------------------------------------------------------ events */

void tally_end(enum policy_end how, bool hung)
{
	counter_add(&mine()->ends[hung ? TALLY_HANG : how], 1);
}

void tally_crash(uint64_t fingerprint, int signal)
{
	struct tally *t = mine();
	struct tally_crash *c = &t->crashes[0];

	for (unsigned i = 1; i < TALLY_CRASHES; i++) {
		uint64_t known = atomic_load_explicit(&t->crashes[i].fingerprint, memory_order_relaxed);

		if (fingerprint && (known == fingerprint || !known)) {
			c = &t->crashes[i];
			break;
		}
	}
	if (c != &t->crashes[0])
		atomic_store_explicit(&c->fingerprint, fingerprint, memory_order_relaxed);
	counter_add(&c->n, 1);
	atomic_store_explicit(&c->last, time(NULL), memory_order_relaxed);
	atomic_store_explicit(&c->signal, (uint32_t)signal, memory_order_relaxed);
}

void tally_serves(uint32_t generation)
{
	struct tally *t = mine();

	atomic_store_explicit(&t->since, time(NULL), memory_order_relaxed);
	atomic_store_explicit(&t->generation, generation, memory_order_relaxed);
}

void tally_restart(bool hard)
{
	counter_add(hard ? &mine()->hard : &mine()->graceful, 1);
}

void tally_key_restart(void)
{
	counter_add(&mine()->key_restarts, 1);
}
