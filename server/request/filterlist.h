/*
 * filterlist.h - what filterread.c makes of the directives of filters, and filter.c goes through at a request. Private to the two
 * and to inflate.c.
 */
#ifndef BULKHEAD_REQUEST_FILTERLIST_H
#define BULKHEAD_REQUEST_FILTERLIST_H

#include "request/filter.h"

struct filter_by_type {                 /* AddOutputFilterByType */
	const char *type;
	const struct filter_names *names;
	const struct filter_by_type *next;
};

struct filter_section {
	const struct filter_names *set;         /* SetOutputFilter; empty: none */
	const struct filter_names *input;       /* SetInputFilter; empty: none */
	const struct filter_by_type *by_type;
};

#endif
