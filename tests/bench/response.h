/*
 * response.h - follows one HTTP/1.x response to its end, however it is cut into pieces. Keeps no body.
 */
#ifndef BULKHEAD_BENCH_RESPONSE_H
#define BULKHEAD_BENCH_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum response_state { RESPONSE_STATUS, RESPONSE_FIELDS, RESPONSE_BODY, RESPONSE_TO_END, RESPONSE_CHUNK_SIZE,
                      RESPONSE_CHUNK, RESPONSE_CHUNK_END, RESPONSE_TRAILER, RESPONSE_DONE, RESPONSE_BAD };

struct response {
	enum response_state state;
	int status;
	bool close;             /* the server will close the connection behind this response */
	bool chunked, sized;
	uint64_t left;          /* of the body or the chunk */
	size_t head;            /* bytes of the head so far */
	size_t n;
	char line[256];         /* the line that is being read; what is longer is cut, no field read here is */
};

void response_begin(struct response *r);
/* The state afterwards. Bytes behind the end make it RESPONSE_BAD: nothing more was asked for. */
enum response_state response_feed(struct response *r, const char *p, size_t n);
/* The connection ended: true when the response is complete with that. */
bool response_end(struct response *r);

#endif
