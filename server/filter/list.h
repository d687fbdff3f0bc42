/*
 * list.h - what filterread.c makes of the directives of filters, and filter.c goes through at a request. Private to the
 * files of filters.
 */
#ifndef BULKHEAD_FILTER_LIST_H
#define BULKHEAD_FILTER_LIST_H

#include "request/filter.h"

struct filter_by_type {                 /* AddOutputFilterByType */
	const char *type;
	const struct filter_names *names;
	const struct filter_by_type *next;
};

struct filter_provider;
struct filter_link;

struct filter_section {
	const struct filter_names *set;         /* SetOutputFilter; empty: none */
	const struct filter_names *input;       /* SetInputFilter; empty: none */
	const struct filter_by_type *by_type;
	const struct filter_provider *providers;        /* FilterDeclare, FilterProvider: in order */
	const struct filter_link *links;                /* FilterChain, in order */
};

/* filterchain.c */
conf_setter filter_set_declare, filter_set_provider, filter_set_chain;
void filter_merge_chains(struct conf_env *env, const struct filter_section *base, const struct filter_section *over, struct filter_section *m);
/* Appends to at[*n], of which there are `most`, what FilterChain adds to r's response. 0 or -1: a condition has no answer. */
int filter_links(struct request *r, const struct filter_section *s, unsigned *n, struct filter_name *at, size_t most);

#endif
