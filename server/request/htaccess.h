/*
 * htaccess.h - per-directory files (AccessFileName, as a rule ".htaccess"): found on the walk to a file, read in the child, and
 * kept there until they change.
 *
 * They are looked for only where AllowOverride or AllowOverrideList permits something (core_htaccess_wanted): one stat a
 * name and folder. What one holds becomes a section (sections.h): a <Directory> of its folder, with the <Files> and <If>
 * inside. It lies in an arena of its own, counted: sets of merged sections and requests in flight keep it alive after the
 * file has changed.
 *
 * The author of such a file is a tenant: he can name no other file to be read (no Include), set nothing of the server, and
 * cost no more memory than these limits allow.
 */
#ifndef BULKHEAD_REQUEST_HTACCESS_H
#define BULKHEAD_REQUEST_HTACCESS_H

#include "request/core.h"
#include "request/request.h"
#include "request/sections.h"

#define HTACCESS_SIZE_MAX ((size_t)1024 * 1024)                 /* bytes of a file; longer ones answer 500 */
#define HTACCESS_MEMORY_MAX ((size_t)32 * 1024 * 1024)          /* that one may come to, its regular expressions included */
#define HTACCESS_KEPT 1024                                      /* files in a child, … */
#define HTACCESS_KEPT_BYTES ((size_t)64 * 1024 * 1024)          /* … and what they come to; the one unused for longest goes first */

struct htaccess;
struct htaccess_cache;

/* The per-directory file of a folder on the way to r->filename: a row in r->folders. */
struct folder_file {
	struct section *section;
	unsigned depth;                 /* of the folder: 0 = "/" */
	const struct folder_file *next; /* of a folder further down */
};

/* For site_finish. `sections` = how many the site itself has. NULL on ENOMEM. */
struct htaccess_cache *htaccess_cache_new(struct arena *a, uint64_t sections);
/*
 * Adds the file of a folder (absolute, without a slash at its end but "/") to the end of r->folders, if there is one.
 * `settings` are those in force in the folder. 0, or a status: 403 it may not be read, 500 it holds faults (both told in
 * the log), 503.
 */
unsigned htaccess_look(struct request *r, const char *folder, unsigned depth, const struct core_section *settings, bool *found);
/* The id of a section that is being read in a per-directory file. */
uint64_t htaccess_section_id(const struct site *s);

/* References, for sectionset.c. */
void htaccess_get(struct htaccess *h);
void htaccess_put(struct htaccess *h);

#endif
