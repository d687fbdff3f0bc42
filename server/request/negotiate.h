/*
 * negotiate.h - content negotiation (mod_negotiation; RFC 9110, 12): which variant of a resource a client gets. negotiate.c chooses, pure of
 * files; multiviews.c finds the variants of a name in its folder. handler/typemap.c reads them from a type map.
 */
#ifndef BULKHEAD_REQUEST_NEGOTIATE_H
#define BULKHEAD_REQUEST_NEGOTIATE_H

#include "conf/conf.h"
#include "request/request.h"

#define VARIANTS_MOST 200               /* of a resource; what is more is passed over */

struct variant {
	const char *name;               /* as a reference from the resource; NULL: its body lies in the map */
	const char *type, *charset, *encoding, *language;       /* NULL = none; language: "en, de" */
	const char *description;
	double quality;                 /* of the source: 1 where the map says nothing */
	unsigned level;                 /* of text/html; 0 = not said */
	int64_t size;                   /* -1 = not known */
	uint64_t body_at, body_n;       /* within the map, where name is NULL */
	struct request *found;          /* multiviews: as it was looked up */
	/* what negotiate_choose makes of it */
	double of_type, of_language, of_charset, of_encoding;
	int rank;                       /* of its language in an order of preference; -1 = none */
};

struct variants {
	struct variant *at;
	unsigned n;
};

/* LanguagePriority ForceLanguagePriority CacheNegotiatedDocs */
extern struct conf_module negotiation_module;

/*
 * The variant for r, by Apache's algorithm: Accept and the quality of the source; Accept-Language, then its order or LanguagePriority;
 * level; Accept-Charset; Accept-Encoding; the smallest; the first. NULL: none is acceptable (406: negotiate_refuse).
 * Adds Vary, TCN and, for a variant with a name, Content-Location to r->always.
 */
const struct variant *negotiate_choose(struct request *r, struct variants *v);
/* Answers 406 with the list of what there is. */
void negotiate_refuse(struct request *r, const struct variants *v);

/*
 * multiviews.c. PHASE_TYPE, first: where nothing was found, and Options has MultiViews, r becomes the best file whose name begins with
 * that name and a dot. 0: go on (*done: r is that file now, with its type); else a status, PHASE_WAIT, PHASE_ANSWERED.
 */
unsigned multiviews_run(struct request *r, bool *done);

#endif
