/*
 * crashlimit.h - of which crashes a report is written: so many of the same fault within a time, so many of all; the rest is
 * counted. Pure: numbers in, numbers out, all times are milliseconds of CLOCK_MONOTONIC. Used by the master alone; the table
 * outlives configurations.
 */
#ifndef BULKHEAD_PROCESS_CRASHLIMIT_H
#define BULKHEAD_PROCESS_CRASHLIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define CRASHLIMIT_KINDS 64             /* kinds of crashes that are remembered */
#define CRASHLIMIT_ALL 20               /* reports of all kinds in … */
#define CRASHLIMIT_ALL_MS 3600000       /* … an hour */

struct crashlimit_kind {
	uint64_t fingerprint;           /* crash_pool_summary's; 0 = free */
	int64_t since, last;            /* when its time began; its last crash */
	unsigned count, reports;        /* since then */
	char report[64];                /* name of the latest report's file; "" = none yet */
};
/* All zero: empty. */
struct crashlimit {
	struct crashlimit_kind kind[CRASHLIMIT_KINDS];
	int64_t since;                  /* when the hour of all began */
	unsigned reports;
};
enum crashlimit_answer {
	CRASHLIMIT_REPORT,              /* write one */
	CRASHLIMIT_COUNT,               /* this kind has had its reports */
	CRASHLIMIT_FULL,                /* all kinds together have */
};

/*
 * Notes a crash. `each` of a kind within `per` may be reported; where `each` is more than CRASHLIMIT_ALL, as many in all.
 * *kind: its place, valid until the next call. Where all places are taken, the kind whose last crash is the longest ago is
 * forgotten.
 */
enum crashlimit_answer crashlimit_take(struct crashlimit *l, uint64_t fingerprint, unsigned each, int64_t per, int64_t now,
				       struct crashlimit_kind **kind);
/* The kind with that fingerprint, or NULL when it was forgotten. */
struct crashlimit_kind *crashlimit_find(struct crashlimit *l, uint64_t fingerprint);

#endif
