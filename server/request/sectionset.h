/*
 * sectionset.h - for sections.c and htaccess.c alone: rows of sections that apply to a request, and the structures they come to
 * when merged, which each child makes once per (host, row) and keeps.
 */
#ifndef BULKHEAD_REQUEST_SECTIONSET_H
#define BULKHEAD_REQUEST_SECTIONSET_H

#include "base/list.h"
#include "request/sections.h"

#define SECTIONSET_BUCKETS 512

/* Sections in the order they are merged. It grows in `arena`; without one by malloc, for scratch room that is used again. */
struct picks {
	struct section **at;
	unsigned n, room;
	bool failed;                    /* no memory: the row is not whole */
	struct arena *arena;
};

struct merged;
struct section_cache {
	struct merged *buckets[SECTIONSET_BUCKETS];
	struct list used;               /* struct merged; the least recently used first */
	unsigned n;
	size_t memory;                  /* of those in the table */
	struct picks picks;             /* scratch: what applies to the request at hand */
};

void picks_add(struct picks *p, struct section *sec);
/*
 * The structures of the host's top level with the row merged onto them, by conf_module.index. Valid as long as the request's
 * arena. NULL: no memory, or the turn has had its time (base/effort.h).
 */
void **section_set(struct request *r, const struct picks *p);
/* Takes the sets out of the cache in which the per-directory file takes part. */
void section_sets_forget(struct section_cache *c, const struct htaccess *file);

#endif
