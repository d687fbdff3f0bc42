/*
 * welcome.h - "bulkhead-welcome": the page that the embedded configuration shows, built in so that it needs no folder.
 */
#ifndef BULKHEAD_HANDLER_WELCOME_H
#define BULKHEAD_HANDLER_WELCOME_H

#include "request/handler.h"

extern const struct handler welcome_handler;

#endif
