/*
 * ssi.h - server-side includes: the filter INCLUDES, the handler "server-parsed" and mod_include's directives, for who puts rooms together.
 *
 *   parse.c     finds elements in a page            code.c      encodings of values
 *   vars.c      variables and texts with them       cond.c      conditions of ap_expr, and which of both grammars
 *   legacy.c    the older grammar                   element.c   what each element does
 *   fetch.c     sub-requests: include, exec, sizes  exec.c      the handler that runs a command
 *   page.c      the filter                          conf.c      the directives
 */
#ifndef BULKHEAD_SSI_SSI_H
#define BULKHEAD_SSI_SSI_H

#include "conf/conf.h"
#include "request/filter.h"
#include "request/handler.h"

/* SSIStartTag SSIEndTag SSIErrorMsg SSITimeFormat SSIUndefinedEcho SSIAccessEnable SSIETag SSILastModified SSILegacyExprParser XBitHack */
extern struct conf_module ssi_module;
extern const struct filter_type ssi_filter;             /* INCLUDES */
extern const struct handler ssi_handler;                /* server-parsed */

/* Before a configuration is read: the filter and the handler get their names. */
void ssi_register(void);

#endif
