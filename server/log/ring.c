/*
 * ring.c - a process's log ring in shared memory. The writer's half runs in whatever process owns the slot, the
 * reader's half in the logger (or in the master while there is none).
 *
 *   0    head     bytes committed since the ring was made [writer, release]
 *   8    tail     bytes the reader has given back [reader, release]
 *   16   dropped  lines the writer could not place [writer]
 *   24   generation [writer]   28 asked: 0 the reader sleeps, 1 it has been woken or looks by itself, 2 it has been told
 *        that the ring is half full [writer raises, reader lowers]
 *   128  data     RING_DATA bytes; place = position mod RING_DATA
 *
 * A record is a struct record_head and its line, padded to 8 bytes; both may wrap round the end. Only what lies in
 * [tail, head) counts, and head moves after the bytes: a writer killed anywhere leaves no half record.
 */
#include "log/ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define RING_HEAD 128
#define RING_DATA (RING_SIZE - RING_HEAD)

struct ring {
	_Atomic uint64_t head, tail, dropped;
	uint32_t generation;
	_Atomic uint32_t asked;
	uint64_t told;                  /* dropped lines that the reader has told [reader] */
	char pad[RING_HEAD - 40];
	unsigned char data[RING_DATA];
};
_Static_assert(sizeof(struct ring) == RING_SIZE, "the ring fills its memory");
_Static_assert(RING_DATA % 8 == 0, "records stay aligned over the wrap");

struct record_head {
	uint32_t len, target, generation, mark;
};
#define RECORD_MARK 0x676f6c42u
_Static_assert(sizeof(struct record_head) == RING_SIZE / RING_RECORDS, "a ring's most records");

enum { ASKED = 1, ASKED_TWICE = 2 };

static uint64_t record_size(uint64_t len)
{
	return sizeof(struct record_head) + ((len + 7) & ~7ull);
}

static void copy_in(struct ring *r, uint64_t pos, const void *p, size_t n)
{
	size_t at = (size_t)(pos % RING_DATA), first = n < RING_DATA - at ? n : RING_DATA - at;

	memcpy(r->data + at, p, first);
	memcpy(r->data, (const char *)p + first, n - first);
}

static void copy_out(const struct ring *r, uint64_t pos, void *p, size_t n)
{
	size_t at = (size_t)(pos % RING_DATA), first = n < RING_DATA - at ? n : RING_DATA - at;

	memcpy(p, r->data + at, first);
	memcpy((char *)p + first, r->data, n - first);
}

struct ring *ring_init(void *mem)
{
	struct ring *r = mem;

	memset(r, 0, RING_HEAD);
	return r;
}

void ring_generation(struct ring *r, uint32_t generation)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed), tail = atomic_load_explicit(&r->tail, memory_order_acquire);

	/* What the slot's last process left may be anything. The reader skips the odd bytes (ring_take). */
	if (head - tail > RING_DATA)
		head = tail;
	atomic_store_explicit(&r->head, (head + 7) & ~7ull, memory_order_release);
	r->generation = generation;
}

bool ring_room(const struct ring *r, size_t n)
{
	uint64_t used = atomic_load_explicit(&r->head, memory_order_relaxed) - atomic_load_explicit(&r->tail, memory_order_acquire);

	if (n > RING_LINE)
		n = RING_LINE;
	return used <= RING_DATA && RING_DATA - used >= record_size(n);
}

int ring_put(struct ring *r, unsigned target, const struct iovec *iov, int n)
{
	static const char cut[] = "…\n";
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	size_t len = 0, keep, at = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	keep = len > RING_LINE ? RING_LINE - (sizeof cut - 1) : len;
	if (!ring_room(r, len > RING_LINE ? RING_LINE : len)) {
		errno = EAGAIN;
		return -1;
	}
	for (int i = 0; i < n && at < keep; i++) {
		size_t part = iov[i].iov_len < keep - at ? iov[i].iov_len : keep - at;

		copy_in(r, head + sizeof(struct record_head) + at, iov[i].iov_base, part);
		at += part;
	}
	if (keep < len) {
		copy_in(r, head + sizeof(struct record_head) + at, cut, sizeof cut - 1);
		at += sizeof cut - 1;
	}
	struct record_head h = { .len = (uint32_t)at, .target = target, .generation = r->generation, .mark = RECORD_MARK };
	copy_in(r, head, &h, sizeof h);
	atomic_store_explicit(&r->head, head + record_size(at), memory_order_release);
	return 0;
}

void ring_drop(struct ring *r)
{
	atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
}

bool ring_wants_wake(struct ring *r)
{
	uint64_t used = atomic_load_explicit(&r->head, memory_order_relaxed) - atomic_load_explicit(&r->tail, memory_order_relaxed);

	/* The store of `asked` must not pass that of `head`: a reader that goes to sleep sees one or the other. */
	if (!used)
		return false;
	atomic_thread_fence(memory_order_seq_cst);
	uint32_t asked = atomic_load_explicit(&r->asked, memory_order_relaxed), want = used > RING_DATA / 2 ? ASKED_TWICE : ASKED;
	if (asked >= want)
		return false;
	return atomic_exchange_explicit(&r->asked, want, memory_order_seq_cst) < want;
}

void ring_reading(struct ring *r, enum ring_reader how)
{
	atomic_exchange_explicit(&r->asked, how == RING_PACED ? ASKED : 0, memory_order_seq_cst);
}

uint64_t ring_tail(const struct ring *r)
{
	return atomic_load_explicit(&r->tail, memory_order_relaxed);
}

int ring_take(struct ring *r, uint64_t *pos, struct ring_record *out)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire), at = *pos;
	struct record_head h;

	if (at == head)
		return 0;
	if (head - at > RING_DATA || head % 8)
		goto damaged;
	at = (at + 7) & ~7ull;          /* where another writer's odd end was taken for a start */
	if (at == head)
		return 0;
	if (head - at < sizeof h)
		goto damaged;
	copy_out(r, at, &h, sizeof h);
	if (h.mark != RECORD_MARK || h.len > RING_LINE || record_size(h.len) > head - at)
		goto damaged;
	size_t place = (size_t)((at + sizeof h) % RING_DATA), first = h.len < RING_DATA - place ? h.len : RING_DATA - place;
	*out = (struct ring_record){
		.generation = h.generation, .target = h.target, .len = h.len, .next = at + record_size(h.len),
		.at = { { r->data + place, first }, { r->data, h.len - first } },
	};
	*pos = out->next;
	return 1;
damaged:
	*pos = head;
	ring_drop(r);
	return -1;
}

void ring_taken(struct ring *r, uint64_t pos)
{
	atomic_store_explicit(&r->tail, pos, memory_order_release);
}

uint64_t ring_dropped(struct ring *r)
{
	uint64_t now = atomic_load_explicit(&r->dropped, memory_order_relaxed), n = now - r->told;

	r->told = now;
	return n;
}
