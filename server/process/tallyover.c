/*
 * tallyover.c - what was counted, over the execution of another program (tallyover.h). The memory of the children of before is read
 * by pread, not mapped: what this master maps, its children would inherit. Runs in the master.
 */
#include "process/tallyover.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "process/handover.h"
#include "process/shared.h"
#include "process/tally.h"

/* A child's counters, and those of its rows that are in use. */
struct counted {
	struct conn_counters counters;
	struct conn_row rows[CONN_ROWS];
};
struct tallyover_child {
	long long counters, rows;       /* where they lie */
	struct counted known;           /* what was added until now */
};
static int slots = -1;                  /* of the program before; -1 = none, or of other measures */

/* ------------------------------------------------------------------------------------------------ giving */

void tallyover_give(FILE *to)
{
	static int copy = -1;
	const struct tally *t = shared_tally();

	if (copy >= 0)
		close(copy);
	copy = memfd_create("bulkhead-tally", MFD_CLOEXEC);
	if (copy < 0 || write(copy, t, sizeof *t) != (ssize_t)sizeof *t)
		return;
	handover_put(to, "tally", copy, "%zu %zu %zu", sizeof(struct tally), sizeof(struct conn_counters), sizeof(struct conn_row));
	handover_put(to, "slots", shared.slots_fd, "%u", shared.nslots);
	handover_put(to, "started", -1, "%lld", (long long)shared_head()->started);
}

/* ------------------------------------------------------------------------------------------------ taking */

void tallyover_take(void)
{
	const struct handover_line *l = handover_next(NULL, "tally");
	struct tally *t = shared_tally();
	size_t size, counters, row;

	if (!l || sscanf(l->text, "%zu %zu %zu", &size, &counters, &row) != 3 || size != sizeof *t || counters != sizeof t->past || row != sizeof *t->rows)
		return;
	if (pread(l->fd, t, sizeof *t, 0) != (ssize_t)sizeof *t) {
		memset(t, 0, sizeof *t);
		return;
	}
	for (unsigned i = 0; i < CONN_ROWS; i++) {
		t->hosts[i].users = 0;
		t->hosts[i].name[sizeof t->hosts[i].name - 1] = '\0';
	}
	l = handover_next(NULL, "started");
	if (l)
		shared_head()->started = strtoll(l->text, NULL, 10);
	slots = handover_claim(handover_next(NULL, "slots"));
}

static bool read_at(void *p, size_t n, long long at)
{
	return at > 0 && pread(slots, p, n, at) == (ssize_t)n;
}

static bool look(const struct tallyover_child *c, struct counted *now)
{
	uint64_t rows;

	memset(now, 0, sizeof *now);
	if (!read_at(&now->counters, sizeof now->counters, c->counters))
		return false;
	rows = atomic_load_explicit(&now->counters.rows, memory_order_relaxed);
	for (unsigned i = 0; i < CONN_ROWS; i++)
		if (rows >> i & 1 && !read_at(&now->rows[i], sizeof now->rows[i], c->rows + (long long)(i * sizeof *now->rows)))
			return false;
	return true;
}

/* All that is summed is 64-bit numbers (tally.c); what else lies between them comes to nonsense here, and is not summed. */
static void less(void *now, const void *known, size_t n)
{
	unsigned char *at = now;
	const unsigned char *less = known;

	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t a, b;

		memcpy(&a, at + i, 8);
		memcpy(&b, less + i, 8);
		a -= b;
		memcpy(at + i, &a, 8);
	}
}

void tallyover_count_again(struct tallyover_child *c)
{
	struct counted *now = c && slots >= 0 ? malloc(sizeof *now) : NULL, *fresh = now ? malloc(sizeof *fresh) : NULL;

	if (fresh && look(c, now)) {
		uint64_t rows = atomic_load_explicit(&now->counters.rows, memory_order_relaxed);

		*fresh = *now;
		less(fresh, &c->known, sizeof *fresh);
		atomic_store_explicit(&fresh->counters.rows, rows, memory_order_relaxed);
		c->known = *now;
		tally_retire(&(struct shared_slot){ .counters = &fresh->counters, .rows = fresh->rows });
	}
	free(now);
	free(fresh);
}

void tallyover_count(struct tallyover_child **counted, const struct handover_line *child)
{
	struct tallyover_child *c = slots >= 0 ? calloc(1, sizeof *c) : NULL;

	*counted = c;
	if (c && sscanf(child->text, "%*d %lld %lld", &c->counters, &c->rows) == 2)
		tallyover_count_again(c);
}

void tallyover_forget(struct tallyover_child *c)
{
	free(c);
}

void tallyover_end(void)
{
	if (slots >= 0)
		close(slots);
	slots = -1;
}
