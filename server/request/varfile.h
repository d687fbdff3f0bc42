/*
 * varfile.h - what expressions ask of files: -f and its like, file(), filesize(), filemod(), owners. For variables.c and
 * those who have the same tests (rewrite conditions).
 */
#ifndef BULKHEAD_REQUEST_VARFILE_H
#define BULKHEAD_REQUEST_VARFILE_H

#include "request/request.h"

#define VARFILE_MOST (1 << 20)                  /* bytes that file() reads */

/* d e f s L h x. False where it cannot be looked at. */
bool varfile_test(char op, const char *path);
/*
 * U: a URL path whose look-up would be answered with less than 400. F: a file of this host that it would serve (below
 * DocumentRoot, or a URL path). *failed says why there is no answer.
 */
bool varfile_reachable(struct request *r, char op, const char *path, const char **failed);
/* Regular files only. Absent with *failed where it cannot be read or is longer than VARFILE_MOST. */
struct text varfile_contents(struct arena *a, const char *path, const char **failed);
struct text varfile_size(struct arena *a, const char *path);            /* "0" where there is no such regular file */
struct text varfile_modified(struct arena *a, const char *path);        /* microseconds since 1970; "0" as above */
/* By /etc/passwd and /etc/group alone: no service is asked. Absent where it has no name there. */
struct text varfile_user(struct arena *a, uid_t id);
struct text varfile_group(struct arena *a, gid_t id);

#endif
