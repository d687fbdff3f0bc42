/*
 * rotate.h - log files that change their name with the time, or when they are full: "rotate:PATH[,every=SECONDS][,size=N[K|M|G]]", PATH
 * with strftime(3)'s conversions. Named while the configuration is read, opened by the master; programs.c switches them over.
 */
#ifndef BULKHEAD_LOG_ROTATE_H
#define BULKHEAD_LOG_ROTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/err.h"
#include "conf/conf.h"

#define LOG_ROTATE "rotate:"

struct log_rotation {
	const char *form;               /* absolute, with conversions */
	int64_t every;                  /* seconds of a period, counted from midnight of local time; 0 = by size alone */
	off_t size;                     /* a file of so many bytes is followed by PATH.1, PATH.2 …; 0 = never */
	unsigned number;                /* of the one that is open */
	char name[1024];                /* the file that is open */
};

/* What stands behind "rotate:". NULL with *e. */
struct log_rotation *log_rotation_new(struct conf_env *env, const char *text, struct err *e);
/* Names the file for this moment in r->name, the first that is not full. True if that is another than before. */
bool log_rotation_name(struct log_rotation *r, time_t now);
/* Milliseconds until log_rotation_name may say another name; at most a minute, so that a clock that is set is noticed. */
int64_t log_rotation_wait(const struct log_rotation *r, const struct timespec *now);

#endif
