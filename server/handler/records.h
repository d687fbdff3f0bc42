/*
 * records.h - the forms in which FastCGI, SCGI and uwsgi speak of a request, and FastCGI's answers. Pure: bytes and structures; one
 * request a connection at a time (FastCGI id 1).
 * Sources: FastCGI Specification 1.0, 3 and 5; "SCGI: A Simple Common Gateway Interface alternative"; "The uwsgi Protocol".
 */
#ifndef BULKHEAD_HANDLER_RECORDS_H
#define BULKHEAD_HANDLER_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"
#include "http/fields.h"

#define FCGI_HEAD 8                     /* bytes before a record's content */
#define FCGI_CONTENT 65528              /* of a record we send: a multiple of 8, so that none needs padding */
#define UWSGI_MOST 65535                /* bytes of all variables */

/*
 * All of the head of a request, in the arena: BEGIN_REQUEST (FCGI_KEEP_CONN as `keep` says), PARAMS and their end. Absent: no memory, or a
 * name or value above 2^31-1.
 */
struct text fcgi_request(struct arena *a, const struct fields *variables, bool keep);
/* The head of a STDIN record with n bytes (at most FCGI_CONTENT; 0: the body's end) into h. */
void fcgi_stdin(unsigned char h[FCGI_HEAD], size_t n);

/* "70:CONTENT_LENGTH" … : CONTENT_LENGTH first (taken from `length`), SCGI 1, then the variables. Absent: no memory. */
struct text scgi_request(struct arena *a, const struct fields *variables, uint64_t length);
/* Absent: no memory, or more than UWSGI_MOST bytes (*too_long). */
struct text uwsgi_request(struct arena *a, const struct fields *variables, bool *too_long);

enum fcgi_event {
	FCGI_MORE,                      /* all bytes are taken, and more are wanted */
	FCGI_STDOUT, FCGI_STDERR,       /* `data` borrows bytes of that stream; call again with the rest */
	FCGI_END,                       /* the answer is whole: `status` of the program, `refused` */
	FCGI_BAD,                       /* no FastCGI: `why` */
};

/* Reads records off a stream; starts zeroed. */
struct fcgi_reader {
	unsigned char head[FCGI_HEAD];
	unsigned have;                  /* bytes of head */
	unsigned char end[8];           /* END_REQUEST's body */
	uint32_t content, padding;      /* of the record at hand, still to come */
	bool over;
	uint32_t status;                /* FCGI_END: what the program returned */
	unsigned refused;               /* FCGI_END: 0, 1 it serves one request a connection, 2 overloaded, 3 no such role */
	const char *why;
};

/* Takes what it can from p..p+n; *used bytes are consumed. END and BAD repeat themselves. */
enum fcgi_event fcgi_read(struct fcgi_reader *r, const char *p, size_t n, size_t *used, struct text *data);

#endif
