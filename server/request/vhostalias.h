/*
 * vhostalias.h - one configuration for many hosts: the folder is made of the name or address asked for (mod_vhost_alias).
 */
#ifndef BULKHEAD_REQUEST_VHOSTALIAS_H
#define BULKHEAD_REQUEST_VHOSTALIAS_H

#include "conf/conf.h"
#include "request/request.h"

/* VirtualDocumentRoot VirtualDocumentRootIP VirtualScriptAlias VirtualScriptAliasIP */
extern struct conf_module vhost_alias_module;

/* Sets r->filename (and for programs r->handler) where a pattern counts. 0, or a status. After userdir, before DocumentRoot. */
unsigned vhostalias_run(struct request *r);
/* Whether a file lies where programs of any name may lie; path NULL: whether there is such a place. For scripts.c. */
bool vhostalias_runs(const struct host *h, const char *path);

#endif
