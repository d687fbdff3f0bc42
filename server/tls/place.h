/*
 * place.h - what a place (the merged sections of a request) demands of TLS: SSLVerifyClient, SSLVerifyDepth and SSLCipherSuite
 * in sections and .htaccess, SSLUserName. A client that can be asked for its certificate behind the handshake (TLS 1.3,
 * post-handshake authentication: RFC 8446, 4.6.2) is; others are refused with the reason. Children and -X.
 */
#ifndef BULKHEAD_TLS_PLACE_H
#define BULKHEAD_TLS_PLACE_H

#include "tls/handshake.h"

enum tls_placed {
	TLS_PLACE_OPEN,
	TLS_PLACE_REFUSED,      /* *why says for what reason */
	TLS_PLACE_ASKS,         /* tls_ask_step, and then look again */
};
/* section_config: tls_module's of merged sections; NULL is fine. *why may be of the arena. */
enum tls_placed tls_place_look(struct tls *t, const void *section_config, struct arena *a, const char **why);
/* SSLRenegBufferSize: how many bytes of a request are kept while the client looks for its certificate. */
size_t tls_place_buffer(const void *section_config);
/* SSLUserName: the variable whose value is the user; NULL = none, or the client's certificate was not found to be good. */
const char *tls_place_user(struct tls *t, const void *section_config);

/*
 * Asks for a certificate, or goes on with it. Bytes of HTTP that come meanwhile go to keep, which returns 0, or -1 when it
 * has no room: then the answer is TLS_READ, too, and the bytes are lost. TLS_DONE: the client has answered; TLS_FAILED as
 * tls_step, after which the connection ends.
 */
enum tls_result tls_ask_step(struct tls *t, int (*keep)(void *ctx, const void *p, size_t n), void *ctx);

#endif
