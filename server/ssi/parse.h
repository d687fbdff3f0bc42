/*
 * parse.h - pages with elements: finds "<!--#name attribute="value" … -->" in bytes that come in pieces, and splits an element into its
 * parts. Pure: knows no request. Pages may be written by anybody: nothing here grows with them.
 */
#ifndef BULKHEAD_SSI_PARSE_H
#define BULKHEAD_SSI_PARSE_H

#include "base/arena.h"
#include "base/text.h"

#define SSI_TAG 64                      /* bytes of a start or end tag */
#define SSI_ELEMENT 16384               /* of what stands between them */
#define SSI_ATTRIBUTES 64

struct ssi_scan {
	const char *start, *end;        /* the tags */
	size_t nstart, nend;
	unsigned char back[SSI_TAG];    /* of start: how much still matches where the next byte does not */
	size_t matched;                 /* bytes of start that came last, and are not passed on */
	bool inside;                    /* an element is being gathered */
	bool too_long;
	char quote;                     /* of the value that is open; 0 = none */
	bool escaped;                   /* the last byte in it was a backslash */
	char last;                      /* the last byte outside quotes that is no blank */
	char *element;                  /* SSI_ELEMENT + SSI_TAG bytes */
	size_t n;
};

enum ssi_found {
	SSI_NOTHING,                    /* all of the input is taken */
	SSI_FULL,                       /* no room for what is to be passed on */
	SSI_FOUND,                      /* element and n hold one, until the next call */
	SSI_TOO_LONG,                   /* one was, and is passed over */
};

/* 0, or -1 (no memory). Tags are borrowed, 1 to SSI_TAG bytes; `element` lives in the arena. */
int ssi_scan_init(struct ssi_scan *s, struct arena *a, const char *start, const char *end);
/* Moves `in` on, appends text outside of elements to out at *n. */
enum ssi_found ssi_scan(struct ssi_scan *s, struct text *in, char *out, size_t room, size_t *n);
/* The end of the page: passes on what looked like a start. SSI_TOO_LONG: it ends inside an element. SSI_TAG bytes of room are needed. */
enum ssi_found ssi_scan_end(struct ssi_scan *s, char *out, size_t room, size_t *n);

struct ssi_attribute {
	char *name;                     /* lower case */
	char *value;                    /* NULL: there is no "=" */
};
struct ssi_element {
	char *name;                     /* lower case */
	unsigned n;
	struct ssi_attribute at[SSI_ATTRIBUTES];
};
/* Of the arena. 0, or -1 with a reason. */
int ssi_split(struct arena *a, const char *p, size_t n, struct ssi_element *e, const char **why);

#endif
