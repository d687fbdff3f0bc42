/*
 * hello_fuzz.c - fuzzes server/tls/hello.c. The input is the body of a ClientHello, and (again) a connection's first bytes.
 * Holds:
 * - every text lies inside the input, counts stay within their arrays, a kept name is a host name;
 * - a hello that was read has a version and a suite; with a byte less at its end it is malformed, or has no extensions;
 * - the judgement of first bytes is final: more bytes change only "more", and its alert is one that TLS knows.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "tls/hello.h"

static void inside(struct text t, const char *p, size_t n)
{
	CHECK(!t.p || (t.p >= p && t.n <= n && t.p + t.n <= p + n));
}

static void check_hello(const char *p, size_t n)
{
	struct hello h, shorter;

	if (hello_parse((struct text){ p, n }, &h) != 0)
		return;
	inside(h.session_id, p, n);
	inside(h.sni, p, n);
	inside(h.alpn, p, n);
	inside(h.ticket_name, p, n);
	CHECK(h.nversions >= 1 && h.nversions <= HELLO_VERSIONS && h.nsuites >= 1 && h.nsuites <= 256);
	CHECK(h.ngroups <= HELLO_MAX && h.nshares <= HELLO_MAX && h.nsignatures <= HELLO_MAX && h.session_id.n <= 32);
	CHECK(!h.sni.p || (h.sni.n >= 1 && h.sni.n <= 255 && !h.bad_sni && !memchr(h.sni.p, '\0', h.sni.n) && !memchr(h.sni.p, '/', h.sni.n)));
	CHECK(!h.ticket_name.p || h.ticket_name.n == 16);
	CHECK(!h.sends_ticket || h.has_ticket);
	if (hello_parse((struct text){ p, n - 1 }, &shorter) == 0)
		CHECK(shorter.ngroups == 0 && !shorter.sni.p && !shorter.has_ticket && !shorter.offers13);
}

static void check_peek(const unsigned char *p, size_t n)
{
	enum hello_peek before = HELLO_MORE;
	unsigned char out[HELLO_ALERT];

	for (size_t k = 0; k <= n && k <= 16; k++) {
		enum hello_peek now = hello_peek(p, k);
		CHECK(before == HELLO_MORE || now == before);
		before = now;
		hello_alert(p, k, out);
		CHECK(out[0] == 21 && out[5] == 2 && (out[6] == 10 || out[6] == 22 || out[6] == 40 || out[6] == 50 || out[6] == 70));
	}
	CHECK(n < 9 || before != HELLO_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	check_hello((const char *)data, n);
	check_peek(data, n);
	return 0;
}
