/*
 * crowd.h - how many connections each client address has, over all children: MaxConnectionsPerAddress. Addresses are hashed
 * to places; every child has a column of its own with a number for each place, and adds up a row over all columns. So a number has
 * one writer, and what a killed child had goes when the master clears its column. Two addresses may share a place: the hash
 * has a secret of this server, so that nobody can choose to share it with another.
 */
#ifndef BULKHEAD_CONN_CROWD_H
#define BULKHEAD_CONN_CROWD_H

#include <stdatomic.h>
#include <stdint.h>

#define CROWD_PLACES 4096

struct crowd_head {                     /* written by the master */
	uint64_t secret[2];
	_Atomic uint32_t used;          /* columns that were ever used */
};
struct crowd_column {                   /* written by its child, and by the master when nobody has it */
	_Atomic uint16_t open[CROWD_PLACES];
};

/* As a child sees it: its own column to write, all to read. All NULL: connections are not counted. */
struct crowd {
	const struct crowd_head *head;
	const struct crowd_column *columns;
	struct crowd_column *own;
};

#endif
