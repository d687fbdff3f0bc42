/*
 * body.h - the framing of HTTP/1 bodies (RFC 9112, 6 and 7): how long a request's body is, and chunks in and
 * out. Pure.
 */
#ifndef BULKHEAD_HTTP_BODY_H
#define BULKHEAD_HTTP_BODY_H

#include "http/head.h"

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED };
struct body_framing {
	enum body_kind kind;
	uint64_t length;                /* BODY_LENGTH */
	unsigned status;                /* refused: 400, 413, 501 */
	const char *reason;
};
/*
 * RFC 9112, 6.3. Refused (-1), 400 unless said: lengths that are repeated or no plain numbers (above 2^63-1:
 * 413), Transfer-Encoding together with Content-Length, codings other than chunked (501) or chunked not last,
 * Transfer-Encoding in HTTP/1.0. After a refusal the connection must be closed: where the next request begins
 * is unknown.
 */
int body_framing(const struct request_head *h, struct body_framing *f);

enum body_result { BODY_DATA, BODY_MORE, BODY_END, BODY_BAD };
/* Reads a body off a stream of bytes; starts zeroed by body_reader_init. */
struct body_reader {
	enum body_kind kind;
	uint64_t left;                  /* of the length or of the chunk */
	unsigned state;
	unsigned line;                  /* bytes of the present chunk line or trailer section */
	uint64_t total;                 /* body bytes so far */
	const char *reason;             /* after BODY_BAD */
};
void body_reader_init(struct body_reader *b, const struct body_framing *f);
/*
 * Takes what it can from p..p+n: *used bytes are consumed; BODY_DATA: `data` borrows the body bytes among
 * them (may be followed by more, call again with the rest); BODY_MORE: all n bytes were taken and held no
 * data, feed again; BODY_END: the body is over, what follows *used is the next request; BODY_BAD: answer 400,
 * close. END and BAD repeat themselves. Chunk extensions are skipped, at most 4096 bytes a line; trailers are
 * dropped, at most 16 KiB together.
 */
enum body_result body_read(struct body_reader *b, const char *p, size_t n, size_t *used, struct text *data);

/*
 * The line before a chunk of n bytes ("1a\r\n") into buf (20 bytes); returns its length. After the data comes
 * CRLF.
 */
size_t chunk_head(size_t n, char *buf);
#define CHUNK_END "\r\n"
#define CHUNK_LAST "0\r\n\r\n"

#endif
