/*
 * peek.c - what a client speaks, told by its first bytes. Pure. A client that waits for us to speak first, or sends what
 * is neither, is ended by the handshake's or the head's time limit.
 */
#include "conn/internal.h"

#include "tls/hello.h"

enum peek peek_first(const char *p, size_t n, bool tls_expected)
{
	if (!n)
		return PEEK_MORE;
	switch (hello_peek((const unsigned char *)p, n)) {
	case HELLO_MORE:
		return PEEK_MORE;
	case HELLO_TLS:
		return tls_expected ? PEEK_TLS : PEEK_TLS_ON_PLAIN;
	case HELLO_BAD:
		return tls_expected ? PEEK_RUBBISH : PEEK_TLS_ON_PLAIN;
	case HELLO_NOT:
		break;
	}
	if (!tls_expected)
		return PEEK_HTTP;       /* the head's parser says what is wrong with it */
	/* On a TLS port only what may be a request line is answered in HTTP: a method in capitals, or an empty line before it. */
	for (size_t i = 0; i < n && i < 16; i++) {
		if (i && p[i] == ' ')
			return PEEK_HTTP_ON_TLS;
		if ((p[i] < 'A' || p[i] > 'Z') && p[i] != '\r' && p[i] != '\n')
			return PEEK_RUBBISH;
	}
	return n < 16 ? PEEK_MORE : PEEK_RUBBISH;
}
