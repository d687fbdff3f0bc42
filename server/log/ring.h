/*
 * ring.h - a process's log ring in shared memory: the one way from a process that serves to the logger.
 *
 * One writer (the process that owns the slot), one reader (the logger). A record is written whole, then committed by
 * one release store: a kill at any instruction leaves a record whole or absent. An access line is committed BEFORE
 * the last send of its response, so that a client that has its answer has its line. The reader trusts nothing it reads
 * here but its own position: every length and target is checked.
 */
#ifndef BULKHEAD_LOG_RING_H
#define BULKHEAD_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct ring;                                    /* layout in ring.c; offsets only, no pointers */

#define RING_SIZE 65536                         /* bytes of one ring, its head included: LogRingSize later */
#define RING_RECORDS (RING_SIZE / 16)           /* records are no shorter than their head: one ring never holds more */
#define RING_LINE 16384                         /* the longest record; longer lines are cut and end in "…\n" */

/* Master: makes an empty ring of RING_SIZE bytes in mem (page aligned, zeroed). */
struct ring *ring_init(void *mem);
/* Writer, at its beginning: the generation whose table of targets its records use. Mends what a predecessor left askew. */
void ring_generation(struct ring *r, uint32_t generation);
/*
 * Writer: appends one line (its newline included) for a target and commits it. 0, or -1 with EAGAIN when there is no
 * room: the caller stops reading new requests until ring_room, and after a second drops and counts (ring_drop).
 */
int ring_put(struct ring *r, unsigned target, const struct iovec *iov, int n);
bool ring_room(const struct ring *r, size_t n);
void ring_drop(struct ring *r);
/*
 * Writer, after a turn with records: whether the reader must be woken (by the eventfd the master made). True once for a
 * sleeping reader, and once more when the ring is half full under a reader that looks only now and then.
 */
bool ring_wants_wake(struct ring *r);
/*
 * Reader, BEFORE it takes records. It looks again soon by itself: only a ring that is half full wakes it, so that lines
 * leave many at a time. Or it is about to sleep: the next line wakes it.
 */
enum ring_reader { RING_PACED, RING_ASLEEP };
void ring_reading(struct ring *r, enum ring_reader how);

struct ring_record {
	uint32_t generation;
	uint32_t target;
	size_t len;
	struct iovec at[2];                     /* the line; two parts where it wraps round the end */
	uint64_t next;                          /* position behind it, for ring_taken */
};
/* Reader: the next record at or after *pos (start: ring_tail). 1, 0 (none), -1 (damaged: skipped to the head, counted). */
int ring_take(struct ring *r, uint64_t *pos, struct ring_record *out);
uint64_t ring_tail(const struct ring *r);
void ring_taken(struct ring *r, uint64_t pos);  /* gives the room back */
uint64_t ring_dropped(struct ring *r);          /* lines dropped since last asked */

#endif
