/*
 * mimetable.h - what mimeread.c makes of the directives and mime.c looks names up in: tables by extension, one a section.
 * Private to the two.
 */
#ifndef BULKHEAD_REQUEST_MIMETABLE_H
#define BULKHEAD_REQUEST_MIMETABLE_H

#include <string.h>

#include "conf/conf.h"
#include "request/mimemap.h"

struct filter_names;
struct handler;

/* One object for the main server and its hosts: TypesConfig stands outside of hosts. */
struct types {
	const struct mimemap *map;
};

struct mime_host {
	struct types *types;
};

struct expr;

/* A handler as a directive named it. */
struct code {
	const char *directive, *name;
	struct conf_pos pos;
	const struct handler *handler;  /* NULL: does not exist here, so that what it is set for is denied */
	const struct expr *expr;        /* SetHandler with variables: names the handler of a request; `handler` is NULL */
	bool none;                      /* SetHandler none */
	bool tenant;                    /* it stands in a per-directory file */
};

enum { DROP_TYPE = 1, DROP_CHARSET = 2, DROP_ENCODING = 4, DROP_LANGUAGE = 8, DROP_HANDLER = 16, DROP_OUTPUT = 32, DROP_INPUT = 64 };

struct ext {
	const char *name;               /* lower case, without its dot; NULL = free slot */
	uint32_t hash;
	const char *type, *type_charset;        /* type_charset: the parameter of an AddType "text/html; charset=x" */
	const char *charset, *encoding, *language;
	const struct code *handler;
	const struct filter_names *output, *input;      /* AddOutputFilter, AddInputFilter */
	unsigned dropped;               /* DROP_*: what is not inherited; a dropped type not from TypesConfig either */
};

/* MultiviewsMatch: what an extension may give besides type, charset, coding and language to be known. 0 = unset */
enum { MATCH_HANDLERS = 1, MATCH_FILTERS = 2, MATCH_ANY = 4, MATCH_NEGOTIATED = 8 };

struct mime_section {
	unsigned match;                 /* MATCH_* */
	int path_info;                  /* ModMimeUsePathInfo; -1 = unset */
	struct ext *exts;
	unsigned n, cap;                /* a power of two, at most half full; 0 = none */
	const char *force_type, *force_charset; /* "" = none: undoes an inherited one */
	const char *language;           /* DefaultLanguage */
	const char *default_charset;    /* AddDefaultCharset; "" = off */
	const struct code *handler;     /* SetHandler */
};

/* The place of an extension (folded) in a table of `cap` places: its entry, or the free one where it would go. */
static inline struct ext *ext_slot(struct ext *exts, unsigned cap, const char *folded, uint32_t hash)
{
	unsigned i = hash & (cap - 1);

	while (exts[i].name && (exts[i].hash != hash || strcmp(exts[i].name, folded) != 0))
		i = (i + 1) & (cap - 1);
	return &exts[i];
}

static inline const struct ext *ext_find(const struct mime_section *s, const char *folded, uint32_t hash)
{
	const struct ext *e;

	if (s->n == 0)
		return NULL;
	e = ext_slot(s->exts, s->cap, folded, hash);
	return e->name ? e : NULL;
}

#endif
