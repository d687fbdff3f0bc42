/*
 * ocsp_fuzz.c - fuzzes what OCSP responders and certificates say (server/process/fetch.c: addresses, answers of HTTP;
 * cert/ocsp.c; tls/check.c: questions of children). The first byte of an input says what the rest is: an HTTP answer, an
 * OCSP answer, a certificate, an address, a child's question. Holds:
 * - an HTTP answer that comes in parts is judged as if it came whole; the content lies inside of it;
 * - without the genuine, signed part of an answer there is no verdict but "bad" or "the responder has none";
 * - addresses that are taken have no blanks or controls, and make no second line of a request.
 */
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "cert/ocsp.h"
#include "process/fetch.h"
#include "tls/ocsp.h"

/* When the answers of the corpus were made; the certificates are theirs. */
#define NOW 1795659300

static const char ca_pem[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBcTCCARegAwIBAgIUHMd8CnjQoqLxXn2DPOiZ5AYGWx4wCgYIKoZIzj0EAwIw\n"
	"DTELMAkGA1UEAwwCQ0EwIBcNMjYxMTI2MDIxNDA0WhgPMjA1MTA3MTgwMjE0MDRa\n"
	"MA0xCzAJBgNVBAMMAkNBMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUY2id5+O\n"
	"PbenEyCYlUOOnueqObmZ+b1VFNmrVf+WiTepOellBEB9R+SwGEN5tahN4Kb0mUwQ\n"
	"o6wH6gx2oGS28aNTMFEwHQYDVR0OBBYEFLVsM5AK6EJ8eE3a5YQ717kednjpMB8G\n"
	"A1UdIwQYMBaAFLVsM5AK6EJ8eE3a5YQ717kednjpMA8GA1UdEwEB/wQFMAMBAf8w\n"
	"CgYIKoZIzj0EAwIDSAAwRQIhAMkXRET6J4mVYIElPgXChjX9R3dyTt9raMBjHs86\n"
	"JP1mAiBMHzhF3OJc6J1il4vEs4AM46RfAauMMm9hv3nWEQPh5g==\n"
	"-----END CERTIFICATE-----\n";
static const char leaf_pem[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBsTCCAVigAwIBAgIDEjRWMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAkNBMCAX\n"
	"DTI2MTEyNjAyMTQwNFoYDzIwNTEwNzE4MDIxNDA0WjAPMQ0wCwYDVQQDDARsZWFm\n"
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaO9gAIC+64GIdw/ZSpcb4Pu4tZ0G\n"
	"HK/xY3SQygbYqb7TV5iZ/AA2rqZdzrsWKBf4LwSHcsSqwwJO/CT01AE7EKOBojCB\n"
	"nzBKBggrBgEFBQcBAQQ+MDwwFwYIKwYBBQUHMAKGC2h0dHA6Ly94L2NhMCEGCCsG\n"
	"AQUFBzABhhVodHRwOi8vb2NzcC5leGFtcGxlL3EwEQYIKwYBBQUHARgEBTADAgEF\n"
	"MB0GA1UdDgQWBBTAWC/TvSL/tMJdoC94NDBL2fAVrDAfBgNVHSMEGDAWgBS1bDOQ\n"
	"CuhCfHhN2uWEO9e5HnZ46TAKBggqhkjOPQQDAgNHADBEAiAFP2wDDrZfTqRdgbd+\n"
	"pdiuSfKOpCX6Hq7sjTqI2XcikAIgTi3CsFRoKyGdfwn6gJfcgA3Gy/70OwexyIax\n"
	"aTgiJ5w=\n"
	"-----END CERTIFICATE-----\n";

static gnutls_x509_crt_t ca, leaf;

static gnutls_x509_crt_t import(const char *pem)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)pem, (unsigned)strlen(pem) };
	gnutls_x509_crt_t crt;

	CHECK(gnutls_x509_crt_init(&crt) == 0 && gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM) == 0);
	return crt;
}

static void see_answer(const uint8_t *data, size_t n)
{
	/* What was signed begins with the responder's name and the second in which it was made. */
	static const unsigned char genuine[] = "\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02" "CA" "\x18\x0f" "20261126021404Z";
	const gnutls_datum_t der = { (unsigned char *)(uintptr_t)data, (unsigned)n };
	struct ocsp_limits limits = { .now = NOW, .max_age = -1, .skew = 300 };
	struct ocsp_times t = { 0 };
	struct err e = { .text = "" };
	enum ocsp_verdict v = ocsp_check(&der, leaf, ca, &limits, &t, &e);

	CHECK((v == OCSP_BAD || v == OCSP_ERROR) == (*e.text != '\0'));
	CHECK(v == OCSP_BAD || v == OCSP_ERROR || memmem(data, n, genuine, sizeof genuine - 1));
	/* The rest of the way, which a forged one does not get to see. */
	limits.unsigned_too = true;
	e.text[0] = '\0';
	v = ocsp_check(&der, leaf, ca, &limits, &t, &e);
	CHECK(v == OCSP_BAD || v == OCSP_ERROR || (t.this_update <= NOW + 300 && (!t.next_update || t.next_update >= NOW - 300)));
}

/* In parts of so many bytes: 1, 0 or -1, and a sum of the content. */
static int read_http(const uint8_t *data, size_t n, size_t part, uint64_t *sum)
{
	char *text = malloc(n + 1), *body = NULL;
	size_t len = 0, got = 0;
	struct err e = { .text = "" };
	int rc = 0;

	CHECK(text);
	while (rc == 0 && got < n) {
		size_t more = n - got < part ? n - got : part;

		memcpy(text + got, data + got, more);
		got += more;
		rc = fetch_answer(text, got, false, &body, &len, &e);
	}
	if (rc == 0)
		rc = fetch_answer(text, got, true, &body, &len, &e);
	CHECK(rc >= 0 || *e.text);
	*sum = len;
	if (rc == 1) {
		CHECK(body >= text && len <= got && body + len <= text + got);
		for (size_t i = 0; i < len; i++)
			*sum = *sum * 31 + (unsigned char)body[i];
		see_answer((const uint8_t *)body, len);
	}
	free(text);
	return rc;
}

static void see_http(const uint8_t *data, size_t n)
{
	uint64_t whole, parts;
	int rc = n > 1 ? read_http(data + 1, n - 1, n, &whole) : -1;

	if (rc >= 0 && read_http(data + 1, n - 1, 1u + data[0] % 16, &parts) == 1)
		CHECK(rc == 1 && whole == parts);
}

static bool plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

static void see_address(const char *url)
{
	struct err e = { .text = "" };
	struct fetch_url u;

	if (fetch_parse(url, &u, &e) < 0)
		CHECK(*e.text);
	else
		CHECK(*u.host && plain(u.host) && plain(u.port) && plain(u.field) && u.target[0] == '/' && plain(u.target) && !strchr(u.target, '#'));
}

static void see_certificate(const gnutls_datum_t *der)
{
	gnutls_datum_t request = { 0 };
	gnutls_x509_crt_t crt;
	char url[2048];

	CHECK(gnutls_x509_crt_init(&crt) == 0);
	if (gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) == 0) {
		ocsp_must_staple(crt);
		if (ocsp_url(crt, url, sizeof url) == 0)
			see_address(url);
		if (ocsp_request(crt, ca, false, &request) == 0)
			gnutls_free(request.data);
	}
	gnutls_x509_crt_deinit(crt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	gnutls_datum_t crt, issuer;
	char *text;
	uint32_t id;

	if (!ca) {
		ca = import(ca_pem);
		leaf = import(leaf_pem);
	}
	if (n < 2)
		return 0;
	crt = (gnutls_datum_t){ (unsigned char *)(uintptr_t)data + 1, (unsigned)n - 1 };
	switch (data[0]) {
	case 'h':
		see_http(data + 1, n - 1);
		break;
	case 'o':
		see_answer(data + 1, n - 1);
		break;
	case 'c':
		see_certificate(&crt);
		break;
	case 'u':
		text = strndup((const char *)data + 1, n - 1);
		CHECK(text);
		see_address(text);
		free(text);
		break;
	case 'q':
		if (tls_question_read(data + 1, n - 1, &id, &crt, &issuer) == 0) {
			CHECK(crt.data >= data && issuer.data == crt.data + crt.size && issuer.data + issuer.size == data + n);
			see_certificate(&crt);
		}
		break;
	default:
		break;
	}
	return 0;
}
