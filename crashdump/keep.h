/*
 * keep.h - how many reports a folder keeps, inside crashdump/. The job, as the children's user.
 */
#ifndef BULKHEAD_CRASHDUMP_KEEP_H
#define BULKHEAD_CRASHDUMP_KEEP_H

#include <stdbool.h>

#define KEEP_REPORTS 200        /* beyond these the oldest go, … */
#define KEEP_AT_MOST 1000       /* … and beyond those no report is written: each is the latest of its fault */
#define KEEP_LIVE    50         /* live snapshots */

/* Removes reports of this user beyond `most`: first the oldest with the signature of the newest, then the oldest of those
 * whose signature a later one has; never the latest of a signature. Left-over temporary files that are a minute old go too.
 * Returns how many reports are there afterwards; 0 when the folder cannot be read. */
unsigned keep_reports(int dir_fd, unsigned most);
/* Removes the oldest reports of live snapshots beyond `most`: a process that was taken over can have one made each second. */
void keep_live(int dir_fd, unsigned most);

#endif
