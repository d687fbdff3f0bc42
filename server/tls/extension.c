/*
 * extension.c - extensions of a client's certificate as texts, for PeerExtList() and SetEnvIf OID(). Runs in children, on what
 * a client has sent: GnuTLS reads the certificate, the strings inside are read here within their lengths.
 */
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "tls/clientcert.h"
#include "tls/session.h"
#include "tls/variables.h"

#define EXTENSIONS 128                          /* of one certificate that are looked at */
#define NAMES 256

static const struct { const char *name, *oid; } known[] = {
	{ "subjectAltName", "2.5.29.17" }, { "issuerAltName", "2.5.29.18" }, { "keyUsage", "2.5.29.15" }, { "extendedKeyUsage", "2.5.29.37" },
	{ "basicConstraints", "2.5.29.19" }, { "nsComment", "2.16.840.1.113730.1.13" },
};

static struct text copy(struct arena *a, const char *p, size_t n)
{
	return (struct text){ arena_strndup(a, p, n), n };
}

/* ------------------------------------------------------------------------------------------------ those with a form of their own */

static void put_name(struct buf *b, unsigned kind, const char *p, size_t n)
{
	char address[ADDR_TEXT];
	struct addr ip = { .len = 0 };

	if (b->n)
		buf_puts(b, ", ");
	switch (kind) {
	case GNUTLS_SAN_DNSNAME: buf_puts(b, "DNS:"); break;
	case GNUTLS_SAN_RFC822NAME: buf_puts(b, "email:"); break;
	case GNUTLS_SAN_URI: buf_puts(b, "URI:"); break;
	case GNUTLS_SAN_DN: buf_puts(b, "DirName:"); break;
	case GNUTLS_SAN_REGISTERED_ID: buf_puts(b, "Registered ID:"); break;
	case GNUTLS_SAN_IPADDRESS:
		if (n == 4) {
			ip.in4.sin_family = AF_INET;
			memcpy(&ip.in4.sin_addr, p, 4);
			ip.len = sizeof ip.in4;
		} else if (n == 16) {
			ip.in6.sin6_family = AF_INET6;
			memcpy(&ip.in6.sin6_addr, p, 16);
			ip.len = sizeof ip.in6;
		}
		buf_puts(b, "IP Address:");
		buf_puts(b, ip.len ? addr_ip(&ip, address) : "<invalid>");
		return;
	default:
		buf_puts(b, "othername:<unsupported>");
		return;
	}
	for (size_t i = 0; i < n; i++)          /* a comma inside a name would look like the next name */
		buf_putc(b, (unsigned char)p[i] < 0x20 || p[i] == 0x7f || p[i] == ',' ? '?' : p[i]);
}

static struct text alternative_names(gnutls_x509_crt_t crt, struct arena *a)
{
	char value[512], *text = arena_alloc(a, 8192);
	struct buf b;

	if (!text)
		return (struct text){ 0 };
	buf_init(&b, text, 8192);
	for (unsigned i = 0; i < NAMES; i++) {
		size_t n = sizeof value;
		int kind = gnutls_x509_crt_get_subject_alt_name(crt, i, value, &n, NULL);
		if (kind == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (kind < 0)
			break;
		put_name(&b, (unsigned)kind, value, n);
	}
	return b.n ? (struct text){ text, b.n } : (struct text){ 0 };
}

static struct text key_usage(gnutls_x509_crt_t crt, struct arena *a)
{
	static const struct { unsigned bit; const char *name; } bits[] = {
		{ GNUTLS_KEY_DIGITAL_SIGNATURE, "Digital Signature" }, { GNUTLS_KEY_NON_REPUDIATION, "Non Repudiation" },
		{ GNUTLS_KEY_KEY_ENCIPHERMENT, "Key Encipherment" }, { GNUTLS_KEY_DATA_ENCIPHERMENT, "Data Encipherment" },
		{ GNUTLS_KEY_KEY_AGREEMENT, "Key Agreement" }, { GNUTLS_KEY_KEY_CERT_SIGN, "Certificate Sign" }, { GNUTLS_KEY_CRL_SIGN, "CRL Sign" },
		{ GNUTLS_KEY_ENCIPHER_ONLY, "Encipher Only" }, { GNUTLS_KEY_DECIPHER_ONLY, "Decipher Only" },
	};
	unsigned usage = 0, critical;
	char text[200];
	struct buf b;

	if (gnutls_x509_crt_get_key_usage(crt, &usage, &critical) < 0)
		return (struct text){ 0 };
	buf_init(&b, text, sizeof text);
	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		if (usage & bits[i].bit) {
			buf_puts(&b, b.n ? ", " : "");
			buf_puts(&b, bits[i].name);
		}
	return copy(a, text, b.n);
}

static struct text purposes(gnutls_x509_crt_t crt, struct arena *a)
{
	static const struct { const char *oid, *name; } names[] = {
		{ GNUTLS_KP_TLS_WWW_SERVER, "TLS Web Server Authentication" }, { GNUTLS_KP_TLS_WWW_CLIENT, "TLS Web Client Authentication" },
		{ GNUTLS_KP_CODE_SIGNING, "Code Signing" }, { GNUTLS_KP_EMAIL_PROTECTION, "E-mail Protection" },
		{ GNUTLS_KP_TIME_STAMPING, "Time Stamping" }, { GNUTLS_KP_OCSP_SIGNING, "OCSP Signing" }, { GNUTLS_KP_ANY, "Any Extended Key Usage" },
		{ GNUTLS_KP_MS_SMART_CARD_LOGON, "Microsoft Smartcard Login" },
	};
	char text[1024], oid[128];
	unsigned critical;
	struct buf b;

	buf_init(&b, text, sizeof text);
	for (unsigned i = 0; i < 16; i++) {
		size_t n = sizeof oid;
		const char *name = oid;
		if (gnutls_x509_crt_get_key_purpose_oid(crt, i, oid, &n, &critical) < 0)
			break;
		for (size_t k = 0; k < sizeof names / sizeof *names; k++)
			name = strcmp(names[k].oid, oid) == 0 ? names[k].name : name;
		buf_puts(&b, b.n ? ", " : "");
		buf_puts(&b, name);
	}
	return copy(a, text, b.n);
}

static struct text constraints(gnutls_x509_crt_t crt, struct arena *a)
{
	unsigned critical, ca = 0;
	int depth = -1;

	if (gnutls_x509_crt_get_basic_constraints(crt, &critical, &ca, &depth) < 0)
		return (struct text){ 0 };
	if (depth >= 0)
		return text_of(arena_printf(a, "CA:%s, pathlen:%d", ca ? "TRUE" : "FALSE", depth));
	return ca ? TEXT("CA:TRUE") : TEXT("CA:FALSE");
}

/* ------------------------------------------------------------------------------------------------ strings in DER */

/* The contents of the one element that the bytes are; *tag is its type. False: they are not one. */
static bool element(const unsigned char *p, size_t n, unsigned *tag, struct text *contents)
{
	size_t length, head = 2;

	if (n < 2)
		return false;
	*tag = p[0];
	length = p[1];
	if (length & 0x80) {
		size_t bytes = length & 0x7f;
		if (bytes == 0 || bytes > 4 || n < 2 + bytes)
			return false;
		length = 0;
		for (size_t i = 0; i < bytes; i++)
			length = length << 8 | p[2 + i];
		head += bytes;
	}
	if (length != n - head)
		return false;
	*contents = (struct text){ (const char *)p + head, length };
	return true;
}

/* UTF8String, NumericString, PrintableString, T61String, IA5String, VisibleString, GeneralString; or BMPString, as UTF-8. */
static struct text string(const gnutls_datum_t *der, struct arena *a)
{
	struct text t = { 0 };
	unsigned tag = 0;
	char *out;
	size_t n = 0;

	if (!element(der->data, der->size, &tag, &t))
		return (struct text){ 0 };
	if (tag == 12 || tag == 18 || tag == 19 || tag == 20 || tag == 22 || tag == 26 || tag == 27)
		return memchr(t.p, '\0', t.n) ? (struct text){ 0 } : copy(a, t.p, t.n);
	if (tag != 30 || t.n % 2 || !(out = arena_alloc(a, t.n / 2 * 3 + 1)))
		return (struct text){ 0 };
	for (size_t i = 0; i < t.n; i += 2) {
		unsigned c = (unsigned)(unsigned char)t.p[i] << 8 | (unsigned char)t.p[i + 1];
		if (c == 0)
			return (struct text){ 0 };
		if (c < 0x80) {
			out[n++] = (char)c;
		} else if (c < 0x800) {
			out[n++] = (char)(0xc0 | c >> 6);
			out[n++] = (char)(0x80 | (c & 0x3f));
		} else {
			out[n++] = (char)(0xe0 | c >> 12);
			out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
			out[n++] = (char)(0x80 | (c & 0x3f));
		}
	}
	out[n] = '\0';
	return (struct text){ out, n };
}

/* ------------------------------------------------------------------------------------------------ by OID */

static struct text value(gnutls_x509_crt_t crt, unsigned index, const char *oid, struct arena *a)
{
	gnutls_datum_t der = { 0 };
	struct text t = { 0 };

	if (strcmp(oid, "2.5.29.17") == 0)
		return alternative_names(crt, a);
	if (strcmp(oid, "2.5.29.15") == 0)
		return key_usage(crt, a);
	if (strcmp(oid, "2.5.29.37") == 0)
		return purposes(crt, a);
	if (strcmp(oid, "2.5.29.19") == 0)
		return constraints(crt, a);
	if (gnutls_x509_crt_get_extension_data2(crt, index, &der) >= 0)
		t = string(&der, a);
	gnutls_free(der.data);
	return t;
}

struct text tls_extension(struct tls *t, const char *oid, unsigned at, struct arena *a)
{
	const struct tls_peer *p = clientcert_peer(t);
	char found[128];
	unsigned critical;

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].name, oid) == 0)
			oid = known[i].oid;
	for (unsigned i = 0; p && i < EXTENSIONS; i++) {
		size_t n = sizeof found;
		int r = gnutls_x509_crt_get_extension_info(p->chain.at[0], i, found, &n, &critical);
		struct text one;
		if (r == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (r < 0)
			break;
		if (strcmp(found, oid) == 0 && (one = value(p->chain.at[0], i, oid, a)).p && at-- == 0)
			return one;
	}
	return (struct text){ 0 };
}
