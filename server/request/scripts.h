/*
 * scripts.h - which programs a configuration lets run: asked by the spawner, which trusts no child's word for it.
 */
#ifndef BULKHEAD_REQUEST_SCRIPTS_H
#define BULKHEAD_REQUEST_SCRIPTS_H

#include <stdbool.h>

#include "request/host.h"

/* Whether any may. */
bool scripts_wanted(const struct site *s);
/*
 * Whether this file may: it lies where a ScriptAlias of any host leads; or in a <Directory> that says ExecCGI, or whose
 * per-directory files may say so (AllowOverride Options); or, where a <Location>, <Files> or a host says so, below the
 * DocumentRoot of a host or where one of its Aliases leads. Paths with "//", "." or ".." never do.
 */
bool scripts_allowed(const struct site *s, const char *path);
/*
 * Whether it lies in a host whose programs run as this account: below its DocumentRoot, or where one of its Aliases or ScriptAliases
 * leads.
 */
bool scripts_contained(const struct site *s, const char *path, unsigned account);
/* As scripts_allowed, for commands of this page (exec of server-side includes): Options Includes, not IncludesNOEXEC, in place of ExecCGI. */
bool scripts_shell(const struct site *s, const char *path);

#endif
