/*
 * info.h - "server-info": the configuration as it was read, and what a request meets in it (mod_info). Who sees it sees much: it
 * is shown only where the server's own configuration names the handler, never by a per-directory file.
 */
#ifndef BULKHEAD_HANDLER_INFO_H
#define BULKHEAD_HANDLER_INFO_H

#include "conf/conf.h"
#include "request/handler.h"

extern const struct handler info_handler;

/* AddModuleInfo */
extern struct conf_module info_module;

#endif
