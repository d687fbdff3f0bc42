/*
 * ticketfile.h - the files with ticket keys, one by one.
 */
#ifndef BULKHEAD_PROCESS_TICKETFILE_H
#define BULKHEAD_PROCESS_TICKETFILE_H

#include "base/err.h"
#include "tls/policy.h"

/* A file of a group, the first of which seals. */
struct file_seed {
	struct tls_ticket_file file;
	uint64_t group;
	int64_t rank;                   /* in its group */
	uint64_t id;
	unsigned char seed[64];
};

/*
 * Reads f->file, 48 or 80 bytes, into f->seed and f->id; the group is set before. 0, or -1 with *e. *open_to is its mode where
 * others may read it, else 0.
 */
int ticketfile_read(struct file_seed *f, unsigned *open_to, struct err *e);

#endif
