/*
 * rewrite.h - mod_rewrite: rules that lead a request elsewhere, answer it, or set what others use. The rules are compiled
 * when the configuration (or a per-directory file) is read; they run in the children.
 *
 * Rules of a server or host see the path before anything is mapped (rewrite_host); those of a folder see what is left of
 * the file's name below their folder, after access and authentication (rewrite_directory), and where they change it the
 * request begins anew by an internal redirect.
 *
 * A list of rules belongs to the folder of the section it stands in: reading.section of kind SECTION_DIRECTORY, whose
 * `pattern` is the folder's path; a reader of per-directory files gives such a section for the file's folder.
 */
#ifndef BULKHEAD_REQUEST_REWRITE_H
#define BULKHEAD_REQUEST_REWRITE_H

#include "conf/conf.h"
#include "request/request.h"

/* RewriteEngine RewriteOptions RewriteBase RewriteMap RewriteCond RewriteRule */
extern struct conf_module rewrite_module;

/*
 * A program of RewriteMap prg:, that the spawner runs as long as the generation lives. Its rules ask by client_ask: the question is
 * REWRITE_ASKS, its number, a blank and the key; the answer is the value, or nothing where it has none.
 */
#define REWRITE_ASKS '\001'
#define REWRITE_ASKS_KEY 8192           /* bytes of the longest key … */
#define REWRITE_ASKS_VALUE 8192         /* … and value */
struct rewrite_program {
	const char *name;               /* of the map */
	const char *const *argv;        /* ended by NULL; the first is a path, absolute */
	struct conf_pos pos;
	unsigned number;                /* from 0 */
	unsigned account;               /* that it runs as (account.h) */
	struct rewrite_program *next;
};
/* NULL: there is no such number. */
const struct rewrite_program *rewrite_program_of(const struct site *s, unsigned number);

/*
 * PHASE_REWRITE_HOST: 0 = go on (r->path or r->filename may be others now, r->query too), PHASE_ANSWERED after a redirect,
 * PHASE_WAIT, or a status.
 */
unsigned rewrite_host(struct request *r);
/* PHASE_REWRITE_DIRECTORY, the same; PHASE_ANSWERED also after an internal redirect. */
unsigned rewrite_directory(struct request *r);
/* Calls visit for each file that a RewriteMap of the site reads. For the checks at start. */
void rewrite_visit_maps(const struct site *s, void (*visit)(void *ctx, const char *file, const struct conf_pos *pos), void *ctx);

#endif
