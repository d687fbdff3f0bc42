/*
 * snapshot.c - the pool of crash slots: making it, claiming a slot, finding a dead process's slot, checked copies and
 * freeing; and reading a map of memory. The master owns the pool, a dying child claims a slot (snapshot_claim and the
 * reading of maps run in its signal handler), the job copies it.
 */
#include "crashdump/snapshot.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "crashdump/classify.h"
#include "crashdump/crashdump.h"
#include "crashdump/print.h"

#define POOL_SLOTS_MAX 65536

/* The pool of this process, inherited by fork: never read from memory that children can write. */
static struct { char *mem; unsigned slots; } the_pool;

size_t crash_pool_size(unsigned slots)
{
	return SNAPSHOT_STRIDE * slots;
}

int crash_pool_init(void *mem, unsigned slots)
{
	if (!mem || !slots || slots > POOL_SLOTS_MAX || (uintptr_t)mem % 4096) {
		errno = EINVAL;
		return -1;
	}
	the_pool.mem = mem;
	the_pool.slots = slots;
	return 0;
}

static struct crash_snapshot *slot_at(const void *pool, int slot)
{
	if (!pool || pool != the_pool.mem || slot < 0 || (unsigned)slot >= the_pool.slots)
		return NULL;
	return (struct crash_snapshot *)(void *)(the_pool.mem + SNAPSHOT_STRIDE * (unsigned)slot);
}

struct crash_snapshot *snapshot_claim(void *pool, pid_t pid)
{
	for (int i = 0; ; i++) {
		struct crash_snapshot *s = slot_at(pool, i);
		int32_t free = 0;

		if (!s)
			return NULL;
		if (atomic_compare_exchange_strong(&s->owner, &free, (int32_t)pid))
			return s;
	}
}

struct crash_snapshot *snapshot_claim_live(void *pool, pid_t pid)
{
	struct crash_snapshot *s = the_pool.slots > 1 ? slot_at(pool, (int)the_pool.slots - 1) : NULL;
	int32_t free = 0;

	return s && atomic_compare_exchange_strong(&s->owner, &free, (int32_t)pid) ? s : NULL;
}

pid_t crash_pool_owner(const void *pool, int slot)
{
	const struct crash_snapshot *s = slot_at(pool, slot);

	return s ? atomic_load(&s->owner) : 0;
}

int crash_pool_find(void *pool, pid_t pid)
{
	struct crash_snapshot *s;

	for (int i = 0; pid > 0 && (s = slot_at(pool, i)); i++)
		if (atomic_load(&s->owner) == pid)
			return i;
	return -1;
}

/* A length that a child may be writing at this moment: read once, whatever the compiler thinks of it. */
static size_t bounded(const uint32_t *length, uint32_t most)
{
	uint32_t n = *(const volatile uint32_t *)length;

	return n < most ? n : most;
}

void crash_pool_free(void *pool, int slot)
{
	struct crash_snapshot *s = slot_at(pool, slot);

	if (!s)
		return;
	/* All but the first page goes back to the system, empty; the first one last: then a process may claim the slot. */
	if (madvise((char *)s + 4096, SNAPSHOT_STRIDE - 4096, MADV_REMOVE) == 0) {
		memset((char *)s + sizeof s->owner, 0, 4096 - sizeof s->owner);
		atomic_store(&s->owner, 0);
		return;
	}
	/* Of the large parts only what was used is wiped, so that untouched pages stay untouched. */
	explicit_bzero(s->stack, bounded(&s->stack_length, SNAPSHOT_STACK));
	memset(s->maps, 0, bounded(&s->maps_length, SNAPSHOT_MAPS));
	s->stack_length = 0;
	memset((char *)s + sizeof s->owner, 0, offsetof(struct crash_snapshot, maps) - sizeof s->owner);
	atomic_store(&s->owner, 0);
}

static void end_text(char *text, size_t size)
{
	text[size - 1] = '\0';
}

struct crash_snapshot *snapshot_copy(const void *pool, int slot)
{
	const struct crash_snapshot *s = slot_at(pool, slot);
	struct crash_snapshot *c;

	if (!s || atomic_load(&s->owner) <= 0) {
		errno = EINVAL;
		return NULL;
	}
	if (!(c = malloc(sizeof *c)))
		return NULL;
	memcpy(c, s, sizeof *c);
#define BOUND(field, max) do { if (c->field > (max)) c->field = (max); } while (0)
	BOUND(frames, SNAPSHOT_FRAMES);
	BOUND(text_length, SNAPSHOT_CODE);
	BOUND(modules, SNAPSHOT_MODULES);
	BOUND(maps_length, SNAPSHOT_MAPS);
	BOUND(stack_length, SNAPSHOT_STACK);
	for (unsigned i = 0; i < c->modules; i++)
		BOUND(module[i].id_length, SNAPSHOT_ID);
#undef BOUND
	if (c->stack_address > UINT64_MAX - SNAPSHOT_STACK || c->stack_address % 8)
		c->stack_length = 0;
	end_text(c->role, sizeof c->role);
	end_text(c->abort_message, sizeof c->abort_message);
	end_text(c->executable, sizeof c->executable);
	return c;
}

void snapshot_drop(struct crash_snapshot *copy)
{
	if (copy)
		explicit_bzero(copy->stack, sizeof copy->stack);
	free(copy);
}

int crash_pool_summary(const void *pool, int slot, struct crash_summary *out)
{
	struct crash_snapshot *s = snapshot_copy(pool, slot);

	if (!s)
		return -1;
	*out = (struct crash_summary){
		.pid = s->owner, .signal = s->signal, .code = s->code, .complete = s->complete != 0,
		.address = s->system_call >= 0 && s->signal == SIGSYS ? (uint64_t)s->system_call : s->address,
		.sender = s->code <= 0 ? s->sender_pid : 0, .handler_us = s->handler_us, .slot = s->slot, .generation = s->generation,
		.fingerprint = classify_fingerprint(s),
	};
	print_clean(out->role, sizeof out->role, s->role);
	if (s->has_activity)
		print_request(out->request, sizeof out->request, &s->activity);
	snapshot_drop(s);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ maps of memory */

static const char *number(const char *p, const char *end, unsigned base, uint64_t *out)
{
	const char *start = p;

	for (*out = 0; p < end; p++) {
		unsigned digit = *p >= '0' && *p <= '9' ? (unsigned)(*p - '0')
			       : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10 : 99;
		if (digit >= base)
			break;
		*out = *out * base + digit;
	}
	return p > start ? p : NULL;
}

/* 7f12-7f34 r-xp 00001000 fe:00 1234    /usr/lib/x.so */
bool snapshot_range(const char **at, const char *end, struct crash_range *out)
{
	const char *p = *at, *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
	uint64_t inode, ignored;

	if (!stop)
		return false;
	*at = stop + 1;
	if (!(p = number(p, stop, 16, &out->low)) || p == stop || *p != '-' || !(p = number(p + 1, stop, 16, &out->high)))
		return false;
	if (stop - p < 6 || out->low > out->high)
		return false;
	out->readable = p[1] == 'r';
	out->writable = p[2] == 'w';
	out->executable = p[3] == 'x';
	out->shared = p[4] == 's';
	if (!(p = number(p + 6, stop, 16, &ignored)) || p == stop || !(p = number(p + 1, stop, 16, &ignored)) ||
	    p == stop || !(p = number(p + 1, stop, 16, &ignored)) || p == stop || !(p = number(p + 1, stop, 10, &inode)))
		return false;
	out->file = inode != 0;
	while (p < stop && *p == ' ')
		p++;
	out->name = p;
	out->name_length = (size_t)(stop - p);
	return true;
}

bool snapshot_find(const char *maps, size_t length, uint64_t address, struct crash_range *out)
{
	const char *at = maps;

	while (snapshot_range(&at, maps + length, out))
		if (address >= out->low && address < out->high)
			return true;
	return false;
}
