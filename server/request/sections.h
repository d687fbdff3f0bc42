/*
 * sections.h - <Directory>, <Files>, <Location> and their kin: which apply to a request, in Apache's order, and what
 * they come to when merged. Read by the master; matched and merged in the children.
 *
 * Order, the last wins: the host's top level; <Directory> from short to long (equal ones in order of the text, the main
 * server's before the host's), those of a folder followed by its per-directory file (htaccess.h); <DirectoryMatch> in the same way, by the slashes they hold; <Files> and <FilesMatch> (top level first, then those inside directories);
 * <Location> and <LocationMatch> in order of the text; where another server answers <Proxy> in place of directories and files; <If>, <ElseIf> and <Else> whose conditions hold, in the order of what
 * they stand in. Conditions see the request as it is when the rest has been merged.
 *
 * A merged set is made once per (host, list of sections) and kept in the child: at most SECTIONS_KEPT, the one unused
 * for longest goes first. What these functions return stays valid as long as the request's arena.
 *
 * How a request meets them:
 *   PHASE_LOCATION   sections_location(r)            r->section = top level + <Location>: for Alias and Redirect
 *   PHASE_DIRECTORY  sections_for_path(r, dir)       at each level of the walk: Options, AllowOverride
 *                    sections_apply(r)               once r->filename stands: r->section = all that applies
 */
#ifndef BULKHEAD_REQUEST_SECTIONS_H
#define BULKHEAD_REQUEST_SECTIONS_H

#include "conf/conf.h"
#include "request/host.h"
#include "request/request.h"

#define SECTIONS_KEPT 1024

enum section_kind { SECTION_DIRECTORY, SECTION_PROXY, SECTION_FILES, SECTION_LOCATION, SECTION_IF };       /* in the order of merging */

struct expr;
struct regex;
struct section {
	enum section_kind kind;
	const char *pattern;            /* normal form for a literal directory: no trailing slash but for "/" */
	size_t length;
	unsigned depth;                 /* SECTION_DIRECTORY: components; "/" has 0; slashes of a regular expression */
	bool wild;                      /* has *, ? or [ … ] */
	struct regex *regex;            /* the Match and ~ forms; else NULL */
	uint64_t id;                    /* unique in the process, from 1, in order of the text */
	struct htaccess *file;          /* the per-directory file it stands in, or is; NULL: of the site */
	struct conf_pos pos;
	void **config;                  /* the modules' section structures, by index; NULL where none of its directives stands here */
	struct section *files;          /* <Files> inside a <Directory> or a per-directory file */
	struct section *ifs;            /* <If>, <ElseIf>, <Else> inside it */
	struct expr *condition;         /* SECTION_IF: NULL for <Else> */
	bool otherwise;                 /* <ElseIf>, <Else>: only where no condition of its chain held before */
	struct section *next;           /* in order of the text */
};

/*
 * The merged structures for a directory (absolute path, a trailing slash does not matter) as far as the walk needs them:
 * the host's top level, every <Directory> without regular expression that matches it or a parent, and the per-directory
 * files in r->folders that lie in it or a parent. NULL on ENOMEM.
 */
void **sections_for_path(struct request *r, const char *dir);
/* Whether sections_for_path has no news for the walk: in every folder links are followed, and no per-directory file is read. */
bool sections_plain_walk(const struct host *h);
/*
 * Sets r->section to all that applies to r->filename (a directory itself where r->found and r->st say so) and r->path.
 * r->filename may be NULL (nothing was mapped): top level and <Location>. 0, or -1 on ENOMEM, when a pattern met its
 * limits, or a condition has no answer (answer 500: an access rule may hang on it).
 */
int sections_apply(struct request *r);
/* Before anything is mapped: top level and <Location>. 0 or -1. */
int sections_location(struct request *r);

/* For site_new and site_finish: every module's fresh section structure; the cache; a host's order of sections. */
void **sections_structures(struct conf_module *const *modules, struct conf_env *env);
struct section_cache *sections_cache_new(struct arena *a);      /* NULL on ENOMEM */
void sections_finish(struct site *s, struct host *h, struct conf_env *env);

/* The bits of a method as <Limit> and Require method count: GET and HEAD are one, as in Apache. */
unsigned sections_method_bits(enum http_method m);

/* Setters of the sections, for core.c's table. */
conf_setter sections_set_directory, sections_set_proxy, sections_set_files, sections_set_location, sections_set_limit, sections_set_if;

#endif
