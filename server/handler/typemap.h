/*
 * typemap.h - "type-map": files that name the variants of a resource (mod_negotiation).
 */
#ifndef BULKHEAD_HANDLER_TYPEMAP_H
#define BULKHEAD_HANDLER_TYPEMAP_H

#include "base/err.h"
#include "request/handler.h"
#include "request/negotiate.h"

extern const struct handler typemap_handler;

/*
 * Reads a map: blocks of "Name: value" lines, an empty line between them. `text` is changed and borrowed, and has a byte behind its
 * n. 0, or -1 with what is wrong in which line.
 */
int typemap_parse(struct arena *a, char *text, size_t n, struct variants *v, struct err *e);

#endif
