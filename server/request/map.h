/*
 * map.h - from a path to a place in the file system: Redirect, Alias and their kin, DocumentRoot (mod_alias).
 * Phase functions: 0 = go on, PHASE_ANSWERED, or the status that the caller answers with response_error.
 */
#ifndef BULKHEAD_REQUEST_MAP_H
#define BULKHEAD_REQUEST_MAP_H

#include "conf/conf.h"
#include "request/request.h"

/* Alias AliasMatch ScriptAlias ScriptAliasMatch Redirect RedirectMatch RedirectPermanent RedirectTemp */
extern struct conf_module alias_module;

/*
 * PHASE_MAP: a <Location>'s Redirects without a path and the host's (answered here), then its Aliases, then DocumentRoot. Sets r->filename, absolute,
 * "." and ".." already gone with r->path; nothing of the file system has been looked at. Where neither leads anywhere
 * r->filename stays NULL: only a handler that needs no file can answer (the default handler says 404).
 */
unsigned map_run(struct request *r);
/*
 * Whether a file lies where an Alias or (scripts: only) ScriptAlias of the host may lead; path NULL: whether there is one.
 * For scripts.c.
 */
bool map_leads(const struct host *h, const char *path, bool scripts);
/* Calls `each` for the targets of a host's Aliases and ScriptAliases that no pattern makes. */
void map_visit(const struct host *h, void (*each)(void *ctx, const char *directive, const char *target, const struct conf_pos *pos), void *ctx);
/*
 * The part of the path behind the prefix, or NULL: a prefix ends where a segment ends, and a slash stands for any number of them.
 */
const char *map_behind_prefix(const char *path, const char *prefix);
/* The Redirects of r's merged sections (<Directory>, <Location> …). After access and authentication, before the handler. */
unsigned map_redirect(struct request *r);

#endif
