/*
 * bundle.h - what the files of bulkhead-crash bundle share: the list of what goes in, and the archive.
 */
#ifndef BULKHEAD_CRASHDUMP_TOOLBUNDLE_H
#define BULKHEAD_CRASHDUMP_TOOLBUNDLE_H

#include "crashdump/tool/mask.h"

#define BUNDLE_LOGS 16

struct bundle_entry {
	char *name;                     /* in the archive, below its folder */
	struct toolmask_text text;
};

struct bundle {
	struct bundle_entry *entry;
	unsigned entries, room;
	struct toolmask_text left_out;  /* a line each: what and why */
	/* what the configuration names */
	char *server_root, *core_dir;
	char *log[BUNDLE_LOGS];
	unsigned logs;
	bool failed;                    /* out of memory */
};

/* bundlepart.c */
/* A new text in the archive; printf's way of naming it. Never NULL: where memory is used up, one that goes nowhere. */
struct toolmask_text *bundle_add(struct bundle *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bundle_printf(struct toolmask_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bundle_left_out(struct bundle *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads at most `most` bytes of a regular file, its end where `tail` (then from the first whole line on); malloc. NULL with errno. */
char *bundle_read(const char *path, int flags, size_t most, bool tail, size_t *n);

/* bundleconf.c: the configuration and all that it includes, masked; notes ServerRoot, CoreDumpDirectory, ErrorLog. */
void bundle_configuration(struct bundle *b, const char *path);
/* bundlesystem.c: versions, libraries, kernel, limits. */
void bundle_system(struct bundle *b);
/* tar.c: writes all as a tar.gz below the folder `top` into the descriptor. 0, or -1 with errno. */
int bundle_write(const struct bundle *b, const char *top, int fd);

#endif
