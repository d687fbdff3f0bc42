/*
 * expires.h - mod_expires: how long responses may be kept, by their media types.
 */
#ifndef BULKHEAD_REQUEST_EXPIRES_H
#define BULKHEAD_REQUEST_EXPIRES_H

#include "conf/conf.h"
#include "request/request.h"

/* ExpiresActive ExpiresByType ExpiresDefault */
extern struct conf_module expires_module;

/* Sets Expires and Cache-Control: max-age unless Expires is there already; before the Header directives. 0 or -1 (no memory). */
int expires_apply(struct request *r, time_t now);

#endif
