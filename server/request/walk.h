/*
 * walk.h - from r->filename to an open file: symbolic-link options, what is left behind the file (PATH_INFO), the slash
 * behind a directory's name, the index of a directory (mod_dir).
 * Phase functions: 0 = go on, PHASE_ANSWERED, or the status that the caller answers with response_error.
 */
#ifndef BULKHEAD_REQUEST_WALK_H
#define BULKHEAD_REQUEST_WALK_H

#include "conf/conf.h"
#include "request/request.h"

/* DirectoryIndex DirectorySlash FallbackResource DirectoryIndexRedirect DirectoryCheckHandler */
extern struct conf_module dir_module;

/*
 * Decides once how paths are opened: openat2, or step by step where the kernel or the container has no openat2
 * (ENOSYS, EPERM). Before the sandbox; without it the first walk decides.
 */
void walk_init(void);
/*
 * PHASE_DIRECTORY, first step: opens r->filename. Afterwards either r->found with r->st, r->fd (regular files only),
 * r->path_info and r->filename cut to what exists; or not found (r->filename ends with the first name that is missing) and
 * still 0, since a handler may need no file (the default handler answers 404). Status: 403 (rights, symbolic links, no regular file), 500 (a per-directory file that
 * AllowOverride would read, which this release cannot). The section structures of r->filename's directory are the
 * caller's to merge after this (sections.h); the walk asks for the core options of each folder by itself.
 */
unsigned walk_run(struct request *r);
/*
 * index.c. When the handler is known (after access, authentication and type), for a found directory: adds a missing slash by a
 * redirect, or finds the index file (r is that file's then), or the one that falls back, or the listing's handler. 403: a
 * directory that cannot be listed. 0: go on.
 */
unsigned walk_index(struct request *r);
/* Whether walk_index will add a slash: a rule of the folder that leads inside does not count then, as in Apache. */
bool walk_adds_slash(const struct request *r);

#endif
