/*
 * methods.h - mod_allowmethods: which methods a place takes.
 */
#ifndef BULKHEAD_REQUEST_METHODS_H
#define BULKHEAD_REQUEST_METHODS_H

#include "conf/conf.h"
#include "request/request.h"

/* AllowMethods */
extern struct conf_module allowmethods_module;

/* 0, or 405 with Allow set. */
unsigned methods_check(struct request *r);

#endif
