/*
 * userfile.h - text files of users and groups: opened for one look, whole in memory, line by line. Bounded: an ordinary file
 * of at most USERFILE_LARGEST bytes. Wiped when closed, since hashes of passwords stand there.
 *
 *   if (userfile_open(&f, path) == 0) { while (userfile_line(&f, &line)) … userfile_close(&f); }
 */
#ifndef BULKHEAD_AUTH_USERFILE_H
#define BULKHEAD_AUTH_USERFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/text.h"

#define USERFILE_LARGEST (16u << 20)
#define USERFILE_HASH 1024              /* the longest hash, with its NUL */

struct userfile {
	char *p;
	size_t n, at;
	struct stat st;
};

/* 0, or -1 with errno (EFTYPE-like faults are EINVAL: no ordinary file; EFBIG: too large). */
int userfile_open(struct userfile *f, const char *path);
/* The next line that is neither empty nor a comment, without its end. Valid until the close. */
bool userfile_line(struct userfile *f, struct text *line);
void userfile_close(struct userfile *f);

enum userfile_found { USERFILE_FOUND, USERFILE_NONE, USERFILE_ERROR };
/* What is known of a user. */
struct userfile_entry {
	char hash[USERFILE_HASH];       /* of the user; where there is none, of the first one in the file ("" if it is empty) */
	struct stat st;                 /* of the file */
};
/*
 * USER:HASH lines; with a realm USER:REALM:HASH. USERFILE_ERROR with errno. A hash that is longer than its room is no user.
 */
enum userfile_found userfile_find(const char *path, const char *user, const char *realm, struct userfile_entry *e);

#endif
