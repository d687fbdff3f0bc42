/*
 * coding.h - content codings: gzip (DEFLATE), br (BROTLI_COMPRESS) and zstd (ZSTD_COMPRESS), and INFLATE, which takes gzip away. What
 * they have in common is in coding.c: whether the client takes the coding, and what it means for the fields.
 */
#ifndef BULKHEAD_FILTER_CODING_H
#define BULKHEAD_FILTER_CODING_H

#include "request/filter.h"

extern const struct filter_type deflate_filter, inflate_filter, brotli_filter, zstd_filter;
extern struct conf_module deflate_module, brotli_module, zstd_module;

enum coding_etag { CODING_SUFFIX, CODING_NO_CHANGE, CODING_REMOVE };
extern const struct conf_choice coding_etag_choices[];

/* The names of …FilterNote; NULL = none. */
struct coding_notes {
	const char *input, *output, *ratio;
};

struct coding {
	const char *name;               /* in Content-Encoding */
	const char *alias;              /* another name of it in Accept-Encoding, or NULL */
	const char *off;                /* the variable that switches it off */
	const char *force;              /* the one that lets it be sent unasked, or NULL */
	const char *html_only;          /* with value 1: text/html alone */
	const char *suffix;             /* of the entity tag */
	int64_t least;                  /* bytes of content below which it would rather grow */
};

/* As filter_type.joins: whether r's content gets the coding; changes the fields if so. */
int coding_joins(struct request *r, const struct coding *c, enum coding_etag etag);
/* The entity tag of content that is no longer the file's. 0 or -1 (no memory). */
int coding_alter_etag(struct request *r, const char *suffix, enum coding_etag how);
/* The coding that the content has already; "identity" is none. */
struct text coding_of(const struct request *r);
/* Fields that no longer hold once the content is another one: codings, lengths, digests, ranges. */
void coding_forget(struct request *r);
/* What stands in Accept-Encoding about a coding: in thousandths, 0 = not acceptable, or not named. */
unsigned coding_accepted(const struct fields *in, const char *name, const char *alias);
/* For merging: names that *m does not have are those of the outer structure. */
void coding_inherit_notes(struct coding_notes *m, const struct coding_notes *outer);
/* Sets the notes for the access log. */
void coding_note(struct request *r, const struct coding_notes *n, uint64_t in, uint64_t out);
/* DeflateFilterNote and its kin: [Input | Output | Ratio] name; offset: of the struct coding_notes. */
conf_setter coding_set_note;

#endif
