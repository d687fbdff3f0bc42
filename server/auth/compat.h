/*
 * compat.h - Order, Allow, Deny and Satisfy: the access rules of Apache 2.2 (mod_access_compat), which stand beside Require. Read
 * by the master, and by the children for .htaccess; asked in the children by access.c.
 *
 * As in Apache they do not merge: a section that says one of them replaces all that outer ones said.
 */
#ifndef BULKHEAD_AUTH_COMPAT_H
#define BULKHEAD_AUTH_COMPAT_H

#include "auth/authz.h"

extern struct conf_module access_compat_module;

/* Satisfy Any: the place or the rules of Require. */
bool compat_any(const struct request *r);
/* What Order, Allow and Deny say of r's client: GRANTED or DENIED; for authz_ask, `section` is request_config(). */
enum verdict compat_ask(struct asking *a, const void *section);

#endif
