/*
 * hello_test.c - reading ClientHellos: real ones of GnuTLS, every way to cut one short, odd ones written by hand; and the
 * judgement of first bytes.
 */
#include "rig.h"

#include "tls/choose.h"

static unsigned char caught[4096];
static size_t ncaught;

static ssize_t catch(gnutls_transport_ptr_t ctx, const void *buf, size_t n)
{
	(void)ctx;
	assert_true(ncaught + n <= sizeof caught);
	memcpy(caught + ncaught, buf, n);
	ncaught += n;
	return (ssize_t)n;
}

static ssize_t nothing(gnutls_transport_ptr_t ctx, void *buf, size_t n)
{
	(void)ctx, (void)buf, (void)n;
	errno = EAGAIN;
	return -1;
}

/* The bytes that a client of GnuTLS begins with; the body of the hello is what comes behind 9 of them. */
static struct text hello_of(const char *priority, const char *name, const char *alpn)
{
	gnutls_certificate_credentials_t cred;
	gnutls_datum_t protocol = { (unsigned char *)(uintptr_t)alpn, alpn ? (unsigned)strlen(alpn) : 0 };
	gnutls_session_t s;

	ncaught = 0;
	gnutls_init(&s, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	gnutls_certificate_allocate_credentials(&cred);
	gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred);
	assert_int_equal(gnutls_priority_set_direct(s, priority, NULL), 0);
	if (name)
		gnutls_server_name_set(s, GNUTLS_NAME_DNS, name, strlen(name));
	if (alpn)
		gnutls_alpn_set_protocols(s, &protocol, 1, 0);
	gnutls_transport_set_push_function(s, catch);
	gnutls_transport_set_pull_function(s, nothing);
	gnutls_handshake(s);
	gnutls_deinit(s);
	gnutls_certificate_free_credentials(cred);
	assert_true(ncaught > 50);
	return (struct text){ (char *)caught + 9, ncaught - 9 };
}

static bool has(const uint16_t *list, unsigned n, uint16_t v)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return false;
}

static void test_of_13(void **state)
{
	struct hello h;

	(void)state;
	assert_int_equal(hello_parse(hello_of("NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", "www.Example.test", "http/1.1"), &h), 0);
	assert_int_equal(hello_peek(caught, ncaught), HELLO_TLS);
	assert_true(text_is(h.sni, "www.Example.test"));
	assert_true(h.offers13 && h.offers12 && !h.bad_sni && h.psk_ke_modes && h.extended_master_secret && h.has_ticket && !h.sends_ticket);
	assert_int_equal(h.legacy_version, 0x0303);
	assert_true(has(h.suites, h.nsuites, 0x1301) && has(h.suites, h.nsuites, 0xc02b));
	assert_true(has(h.groups, h.ngroups, 0x001d) && has(h.groups, h.ngroups, 23));
	assert_true(h.nshares > 0 && has(h.groups, h.ngroups, h.shares[0]));
	assert_true(has(h.signatures, h.nsignatures, 0x0403) && has(h.signatures, h.nsignatures, 0x0804));
	assert_int_equal(h.alpn.n, 9);
	assert_memory_equal(h.alpn.p, "\10http/1.1", 9);
	assert_null(h.ticket_name.p);
}

static void test_of_12(void **state)
{
	struct hello h;

	(void)state;
	assert_int_equal(hello_parse(hello_of(CLIENT12, NULL, NULL), &h), 0);
	assert_true(h.offers12 && !h.offers13 && !h.sni.p && !h.alpn.p && h.nshares == 0);
	assert_int_equal(hello_parse(hello_of("NORMAL:-VERS-ALL:+VERS-TLS1.1", NULL, NULL), &h), 0);
	assert_true(!h.offers12 && !h.offers13);
	assert_int_equal(h.versions[0], 0x0302);
}

/* Cut anywhere it is malformed, but for the one place where the extensions would begin. */
static void test_cut_short(void **state)
{
	struct hello h;
	struct text body = hello_of("NORMAL", "www.example.test", "h2");
	unsigned legal = 0;

	(void)state;
	for (size_t n = 0; n < body.n; n++) {
		char *exact = malloc(n ? n : 1);        /* so that the sanitizer sees any step too far */
		memcpy(exact, body.p, n);
		legal += hello_parse((struct text){ exact, n }, &h) == 0;
		free(exact);
	}
	assert_int_equal(legal, 1);
}

/* Body = fixed part, session ID, suites, compression, then extensions as given. */
static int parse(const char *extensions, size_t n, struct hello *h)
{
	static char body[1024];
	struct buf b;

	buf_init(&b, body, sizeof body);
	buf_put(&b, "\3\3", 2);
	for (int i = 0; i < 32; i++)
		buf_putc(&b, 'r');
	buf_put(&b, "\0\0\4\xc0\x2b\x13\1\1\0", 9);
	if (extensions) {
		buf_putc(&b, (char)(n >> 8));
		buf_putc(&b, (char)n);
		buf_put(&b, extensions, n);
	}
	return hello_parse((struct text){ body, b.n }, h);
}
#define PARSE(literal, h) parse(literal, sizeof(literal) - 1, h)

/* GnuTLS reads the whole list: a version that it sees and we do not would be negotiated past the policy. */
static void test_versions(void **state)
{
	static char most[4 + 1 + 254];
	struct hello h;

	(void)state;
	memcpy(most, "\0\x2b\0\xff\xfe", 5);
	for (size_t i = 5; i < sizeof most; i++)
		most[i] = 0x7a;
	memcpy(most + sizeof most - 4, "\3\4\3\3", 4);
	assert_int_equal(parse(most, sizeof most, &h), 0);
	assert_true(h.offers13 && h.offers12);
	assert_int_equal(tls_offered(&h), PROTO_TLS13 | PROTO_TLS12);
	/* a list means what it says, and no more */
	assert_int_equal(PARSE("\0\x2b\0\3\2\3\3", &h), 0);
	assert_int_equal(tls_offered(&h), PROTO_TLS12);
	assert_int_equal(PARSE("\0\x2b\0\3\2\3\2", &h), 0);
	assert_int_equal(tls_offered(&h), PROTO_TLS11);
	/* without one, the older versions are meant too */
	assert_int_equal(parse(NULL, 0, &h), 0);
	assert_int_equal(tls_offered(&h), PROTO_TLS12 | PROTO_TLS11 | PROTO_TLS10);
}

static void test_by_hand(void **state)
{
	struct hello h;

	(void)state;
	assert_int_equal(parse(NULL, 0, &h), 0);
	assert_true(h.offers12 && !h.offers13 && h.nsuites == 2 && h.suites[0] == 0xc02b);
	assert_int_equal(parse("", 0, &h), 0);                                          /* an empty block is legal, too */
	assert_int_equal(PARSE("\x12\x34\0\2xy", &h), 0);                               /* unknown: skipped */
	assert_int_equal(PARSE("\x12\x34\0\3xy", &h), -1);
	/* server_name */
	assert_int_equal(PARSE("\0\0\0\6\0\4\0\0\1a", &h), 0);
	assert_true(text_is(h.sni, "a") && !h.bad_sni);
	assert_int_equal(PARSE("\0\0\0\7\0\5\0\0\2a/", &h), 0);
	assert_true(!h.sni.p && h.bad_sni);
	assert_int_equal(PARSE("\0\0\0\7\0\5\0\0\2a\0", &h), 0);
	assert_true(!h.sni.p && h.bad_sni);
	assert_int_equal(PARSE("\0\0\0\5\0\3\0\0\0", &h), -1);                      /* a name has a byte at least */
	assert_int_equal(PARSE("\0\0\0\12\0\10\0\0\1a\0\0\1b", &h), 0);
	assert_true(text_is(h.sni, "a") && !h.illegal);
	assert_int_equal(PARSE("\0\0\0\6\0\4\0\0\2a", &h), -1);
	assert_int_equal(PARSE("\0\0\0\0", &h), -1);
	assert_int_equal(PARSE("\0\0\0\6\0\4\0\0\1a\0\0\0\6\0\4\0\0\1b", &h), 0);
	assert_true(h.illegal && text_is(h.sni, "a"));                                  /* twice */
	assert_int_equal(PARSE("\xfa\xfa\0\0\xfa\xfa\0\0", &h), 0);
	assert_true(h.illegal);
	assert_int_equal(PARSE("\0\x0b\0\2\1\1", &h), 0);
	assert_true(h.illegal);                                                         /* no uncompressed points */
	assert_int_equal(PARSE("\0\x0b\0\3\2\1\0", &h), 0);
	assert_false(h.illegal);
	/* versions */
	assert_int_equal(PARSE("\0\x2b\0\3\2\3\4", &h), 0);
	assert_true(h.offers13 && !h.offers12 && h.nversions == 1);
	assert_int_equal(PARSE("\0\x2b\0\4\3\3\4\3", &h), -1);
	/* tickets */
	assert_int_equal(PARSE("\0\x23\0\x12" "0123456789abcdefXY", &h), 0);
	assert_true(h.has_ticket && h.sends_ticket && text_is(h.ticket_name, "0123456789abcdef"));
	assert_int_equal(PARSE("\0\x23\0\1x", &h), 0);
	assert_true(h.sends_ticket && !h.ticket_name.p);
	assert_int_equal(PARSE("\0\x29\0\x16\0\x14\0\x10" "fedcba9876543210\0\0", &h), 0);
	assert_true(text_is(h.ticket_name, "fedcba9876543210") && !h.sends_ticket);
	assert_int_equal(PARSE("\0\x29\0\x05\0\x10\0\x10x", &h), -1);
	/* modes: only psk_dhe_ke is of use */
	assert_int_equal(PARSE("\0\x2d\0\2\1\0", &h), 0);
	assert_false(h.psk_ke_modes);
	assert_int_equal(PARSE("\0\x2d\0\3\2\0\1", &h), 0);
	assert_true(h.psk_ke_modes);
	/* shares */
	assert_int_equal(PARSE("\0\x33\0\x0c\0\x0a\0\x1d\0\1x\0\x17\0\1y", &h), 0);
	assert_true(h.nshares == 2 && h.shares[0] == 0x1d && h.shares[1] == 0x17);
	assert_int_equal(PARSE("\0\x33\0\x0c\0\x0a\0\x1d\0\1x\0\x17\0\2y", &h), -1);
}

static void test_many(void **state)
{
	char ext[4 + 2 + 2 * 200];
	struct hello h;

	(void)state;
	memset(ext, 0, sizeof ext);
	memcpy(ext, "\0\x0a\1\x92\1\x90", 6);
	assert_int_equal(parse(ext, sizeof ext, &h), 0);
	assert_int_equal(h.ngroups, HELLO_MAX);
}

static void test_first_bytes(void **state)
{
	static const struct { const char *bytes; size_t n; enum hello_peek is; int alert; } rows[] = {
#define ROW(literal, is, alert) { literal, sizeof(literal) - 1, is, alert }
		ROW("", HELLO_MORE, -1), ROW("\x16", HELLO_MORE, -1), ROW("\x16\3", HELLO_MORE, -1), ROW("\x16\3\1\0\x80", HELLO_MORE, -1),
		ROW("\x16\3\1\0\x80\1", HELLO_MORE, -1), ROW("\x16\3\1\0\x80\1\0\0\x7c", HELLO_TLS, 40), ROW("\x16\3\3\0\2\1\0", HELLO_TLS, 40),
		ROW("GET / HTTP/1.1\r\n", HELLO_NOT, -1), ROW("\r\n", HELLO_NOT, -1), ROW("\x16\2", HELLO_NOT, -1), ROW("PROXY ", HELLO_NOT, -1),
		ROW("\x16\3\1\0\5hello", HELLO_BAD, 10), ROW("\x17\3\3\0\5hello", HELLO_BAD, 10), ROW("\x14\3\3\0\1\1", HELLO_BAD, 10),
		ROW("\x16\3\1\x50\0\0\0\0\0", HELLO_BAD, 22), ROW("\x16\3\3\0\5\1\0\0\1\0", HELLO_BAD, 50), ROW("\x16\3\3\0\0", HELLO_BAD, 10),
		ROW("\x16\3\3\x10\0\1\1\0\0\0", HELLO_BAD, 50), ROW("\x80\x2e\1\0\2", HELLO_BAD, 70), ROW("\x80\x2e\1\3\1", HELLO_BAD, 70),
		ROW("\x80\x2e\2", HELLO_NOT, -1), ROW("\x80\x2e\1\5\5", HELLO_NOT, -1), ROW("\xc3\xa4\xc3", HELLO_NOT, -1),
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned char out[HELLO_ALERT];
		enum hello_peek is = hello_peek((const unsigned char *)rows[i].bytes, rows[i].n);
		hello_alert((const unsigned char *)rows[i].bytes, rows[i].n, out);
		if (is != rows[i].is || (rows[i].alert >= 0 && out[6] != rows[i].alert))
			fail_msg("row %zu: %d, alert %d", i, is, out[6]);
		assert_memory_equal(out, "\x15\3\1\0\2\2", 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_13), cmocka_unit_test(test_of_12), cmocka_unit_test(test_cut_short), cmocka_unit_test(test_versions), cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_many), cmocka_unit_test(test_first_bytes),
	};
	return cmocka_run_group_tests_name("tls/hello", tests, NULL, NULL);
}
