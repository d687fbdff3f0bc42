/*
 * responsehead.h - heads of answers of HTTP/1 (RFC 9112, 4 to 6), as a client reads them: strictly, since what this server takes for one
 * answer must be one for every other reader. Pure.
 */
#ifndef BULKHEAD_HTTP_RESPONSEHEAD_H
#define BULKHEAD_HTTP_RESPONSEHEAD_H

#include "http/body.h"
#include "http/fields.h"
#include "http/head.h"

#define RESPONSE_HEAD_MOST 65536
#define RESPONSE_FIELDS_MOST 500        /* each is compared with each of Connection's */

/* What becomes of a line that is no field (ProxyBadHeader). */
enum response_bad { RESPONSE_BAD_REFUSED, RESPONSE_BAD_SKIPPED, RESPONSE_BAD_IS_BODY };

struct response_head {
	unsigned major, minor, status;
	struct text reason;
	struct fields fields;
	const char *why;                /* after HEAD_BAD: what is wrong, for the log */
};

enum response_end { RESPONSE_NO_BODY, RESPONSE_LENGTH, RESPONSE_CHUNKED, RESPONSE_UNTIL_CLOSE };
struct response_framing {
	enum response_end end;
	uint64_t length;
	bool doubtful;                  /* no body by its status, and yet one was announced: the connection must not be used again */
	const char *why;                /* after -1 */
};

/*
 * p..p+n is all that has come. HEAD_MORE until the empty line is there, HEAD_DONE: *used bytes were the head. h->fields must be
 * initialised; texts borrow p. Refused: another version than HTTP/1.x, bare CR or LF, folded lines, names that are no tokens, a blank
 * before the colon, control characters, more than RESPONSE_HEAD_MOST bytes or RESPONSE_FIELDS_MOST fields.
 */
enum head_result response_head_parse(const char *p, size_t n, enum response_bad bad, struct response_head *h, size_t *used);
/*
 * How long its body is (RFC 9112, 6.3). -1, refused: lengths that are repeated or no numbers, a length beside Transfer-Encoding, codings other
 * than chunked, Transfer-Encoding in HTTP/1.0. head: the request was HEAD.
 */
int response_framing(const struct response_head *h, bool head, struct response_framing *f);

#endif
