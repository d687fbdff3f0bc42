/*
 * asis.h - "send-as-is": files that bring their own head (mod_asis).
 */
#ifndef BULKHEAD_HANDLER_ASIS_H
#define BULKHEAD_HANDLER_ASIS_H

#include "conf/conf.h"
#include "request/handler.h"

/* Without directives: for <IfModule> and LoadModule. */
extern struct conf_module asis_module;
extern const struct handler asis_handler;

#endif
