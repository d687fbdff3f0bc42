/*
 * cgihead.h - the head of a program's answer (RFC 3875, 6): bytes in, structure out. Pure. Also the form of a FastCGI answer.
 */
#ifndef BULKHEAD_HANDLER_CGIHEAD_H
#define BULKHEAD_HANDLER_CGIHEAD_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/arena.h"
#include "base/text.h"
#include "http/fields.h"

#define CGIHEAD_MOST 65536              /* the longest head */

enum cgihead_result {
	CGIHEAD_MORE,                   /* its empty line has not come */
	CGIHEAD_DONE,
	CGIHEAD_BAD,                    /* h->why and h->line tell */
};

struct cgihead {
	unsigned status;                /* of Status, or of a status line where that is taken; 0 = none was given */
	const char *reason;             /* behind it; NULL = none */
	const char *type;               /* Content-Type as it came; NULL = none */
	const char *encoding;           /* Content-Encoding */
	const char *location;
	const char *etag, *range;       /* ETag, Content-Range */
	int64_t length;                 /* Content-Length; -1 = none */
	time_t modified;                /* Last-Modified; -1 = none */
	bool close;                     /* Connection: close */
	struct fields fields;           /* all others, in order; what is the server's own to say is left out */
	const char *why;                /* CGIHEAD_BAD: what is wrong */
	const char *line;               /* CGIHEAD_BAD: the line, at most 60 bytes of it */
};

/*
 * Where the head ends, its empty line included; 0: it has not come. `seen`: so many bytes held no end before, so that a head
 * that drips in is not searched anew.
 */
size_t cgihead_end(const char *p, size_t n, size_t seen);
/* A whole head of n bytes. Texts are copied into the arena. `line`: it may begin with a status line (nph-). */
enum cgihead_result cgihead_parse(struct arena *a, const char *p, size_t n, bool line, struct cgihead *h);

#endif
