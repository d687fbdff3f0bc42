/*
 * file.h - "default-handler": files as they are.
 */
#ifndef BULKHEAD_HANDLER_FILE_H
#define BULKHEAD_HANDLER_FILE_H

#include "request/handler.h"

extern const struct handler file_handler;

#endif
