/*
 * asis.h - "send-as-is": files that bring their own head (mod_asis).
 */
#ifndef BULKHEAD_HANDLER_ASIS_H
#define BULKHEAD_HANDLER_ASIS_H

#include "conf/conf.h"
#include "request/handler.h"

extern const struct handler asis_handler;

#endif
