/*
 * names.c - distinguished names as OpenSSL prints them, whose text access rules, user files and scripts compare. Runs in
 * children.
 */
#include "tls/names.h"

#include <string.h>

#define NAME_LONGEST 4096

/* OpenSSL's short names; `part`: mod_ssl's in SSL_CLIENT_S_DN_x509, where it has one. */
static const struct { const char *oid, *name, *part; } attributes[] = {
	{ "2.5.4.6", "C", "C" }, { "2.5.4.8", "ST", "ST" }, { "2.5.4.7", "L", "L" }, { "2.5.4.10", "O", "O" }, { "2.5.4.11", "OU", "OU" },
	{ "2.5.4.3", "CN", "CN" }, { "2.5.4.12", "title", "T" }, { "2.5.4.43", "initials", "I" }, { "2.5.4.42", "GN", "G" }, { "2.5.4.4", "SN", "S" },
	{ "2.5.4.13", "description", "D" }, { "0.9.2342.19200300.100.1.1", "UID", "UID" }, { "1.2.840.113549.1.9.1", "emailAddress", "Email" },
	{ "0.9.2342.19200300.100.1.25", "DC", NULL }, { "2.5.4.5", "serialNumber", NULL }, { "2.5.4.9", "street", NULL },
	{ "2.5.4.17", "postalCode", NULL }, { "2.5.4.41", "name", NULL }, { "2.5.4.44", "generationQualifier", NULL }, { "2.5.4.46", "dnQualifier", NULL },
	{ "2.5.4.65", "pseudonym", NULL }, { "2.5.4.15", "businessCategory", NULL }, { "2.5.4.97", "organizationIdentifier", NULL },
	{ "1.2.840.113549.1.9.2", "unstructuredName", NULL },
};
#define ATTRIBUTES (sizeof attributes / sizeof *attributes)

enum escapes { ESC_RFC2253, ESC_OLD, ESC_CONTROLS, ESC_NONE };

static void put_byte(struct buf *b, const char *before, unsigned char c)
{
	buf_printf(b, "%s%02X", before, c);
}

static void put_escaped(struct buf *b, const unsigned char *p, size_t n, enum escapes how)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = p[i];
		bool ends = i == 0 || i == n - 1, strange = c < ' ' || c == 127;

		if (how == ESC_RFC2253 && (strange || c > 127))
			put_byte(b, "\\", c);
		else if (how == ESC_OLD && (strange || c > 126))
			put_byte(b, "\\x", c);
		else if (how == ESC_CONTROLS && strange)
			put_byte(b, "\\", c);
		else if (how == ESC_RFC2253 && (strchr(",+\"\\<>;", c) || (c == ' ' && ends) || (c == '#' && i == 0)))
			buf_printf(b, "\\%c", c);
		else
			buf_putc(b, (char)c);
	}
}

static void put_code(struct buf *b, unsigned long c, enum escapes how)
{
	unsigned char out[4];
	size_t n = 0;

	if (c < 0x80) {
		out[n++] = (unsigned char)c;
	} else if (c < 0x800) {
		out[n++] = (unsigned char)(0xc0 | c >> 6);
		out[n++] = (unsigned char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		out[n++] = (unsigned char)(0xe0 | c >> 12);
		out[n++] = (unsigned char)(0x80 | (c >> 6 & 63));
		out[n++] = (unsigned char)(0x80 | (c & 63));
	} else {
		out[n++] = (unsigned char)(0xf0 | (c >> 18 & 7));
		out[n++] = (unsigned char)(0x80 | (c >> 12 & 63));
		out[n++] = (unsigned char)(0x80 | (c >> 6 & 63));
		out[n++] = (unsigned char)(0x80 | (c & 63));
	}
	put_escaped(b, out, n, how);
}

/* The kinds of strings of ASN.1 by their tags: all come out as UTF-8. */
static void put_value(struct buf *b, const gnutls_x509_ava_st *v, enum escapes how)
{
	const unsigned char *p = v->value.data;
	size_t n = v->value.size, width = v->value_tag == 30 ? 2 : v->value_tag == 28 ? 4 : 1;

	if (width == 1 && v->value_tag != 20) {         /* UTF8String, PrintableString, IA5String … */
		put_escaped(b, p, n, how);
		return;
	}
	for (; n >= width; p += width, n -= width) {    /* BMPString, UniversalString, T61String as Latin-1 */
		unsigned long c = 0;
		for (size_t i = 0; i < width; i++)
			c = c << 8 | p[i];
		put_code(b, c, how);
	}
}

static void put_attribute(struct buf *b, const gnutls_x509_ava_st *v, bool old)
{
	const char *oid = (const char *)v->oid.data;
	size_t i;

	for (i = 0; i < ATTRIBUTES && strcmp(attributes[i].oid, oid) != 0; i++)
		;
	buf_puts(b, i < ATTRIBUTES ? attributes[i].name : oid);
	buf_putc(b, '=');
	put_value(b, v, old ? ESC_OLD : ESC_RFC2253);
}

static int get(gnutls_x509_crt_t crt, bool issuer, gnutls_x509_dn_t *dn)
{
	return issuer ? gnutls_x509_crt_get_issuer(crt, dn) : gnutls_x509_crt_get_subject(crt, dn);
}

static int count_sets(gnutls_x509_dn_t dn)
{
	gnutls_x509_ava_st v;
	int n = 0;

	while (gnutls_x509_dn_get_rdn_ava(dn, n, 0, &v) >= 0)
		n++;
	return n;
}

struct text name_whole(gnutls_x509_crt_t crt, bool issuer, bool old, struct arena *a)
{
	char text[NAME_LONGEST];
	gnutls_x509_dn_t dn;
	gnutls_x509_ava_st v;
	struct buf b;
	int n;

	if (get(crt, issuer, &dn) < 0)
		return (struct text){ 0 };
	buf_init(&b, text, sizeof text);
	n = count_sets(dn);
	for (int i = 0; i < n; i++)
		for (int k = 0; gnutls_x509_dn_get_rdn_ava(dn, old ? i : n - 1 - i, k, &v) >= 0; k++) {
			if (old || b.n)
				buf_putc(&b, old ? '/' : k ? '+' : ',');
			put_attribute(&b, &v, old);
		}
	return text_of(arena_strndup(a, text, b.n));
}

/* "CN", "OU_1", "CN_RAW": which row of attributes, ATTRIBUTES if none. */
static size_t part_of(struct text part, uint64_t *wanted, enum escapes *how)
{
	const char *underscore;
	size_t i;

	*how = ESC_CONTROLS;
	*wanted = 0;
	if (part.n > 4 && memcmp(part.p + part.n - 4, "_RAW", 4) == 0) {
		*how = ESC_NONE;
		part.n -= 4;
	}
	underscore = memchr(part.p, '_', part.n);
	if (underscore) {
		struct text number = { underscore + 1, part.n - (size_t)(underscore + 1 - part.p) };
		if (text_u64(number, 1000, wanted) != 0)
			return ATTRIBUTES;
		part.n = (size_t)(underscore - part.p);
	}
	if (text_is(part, "SP"))                /* SSLeay's name */
		part = TEXT("ST");
	for (i = 0; i < ATTRIBUTES && !(attributes[i].part && text_is(part, attributes[i].part)); i++)
		;
	return i;
}

bool name_part_known(struct text part)
{
	enum escapes how;
	uint64_t wanted;

	return part_of(part, &wanted, &how) < ATTRIBUTES;
}

struct text name_part(gnutls_x509_crt_t crt, bool issuer, struct text part, struct arena *a)
{
	enum escapes how;
	char text[NAME_LONGEST];
	uint64_t wanted;
	gnutls_x509_dn_t dn;
	gnutls_x509_ava_st v;
	struct buf b;
	size_t i = part_of(part, &wanted, &how);

	if (i == ATTRIBUTES || get(crt, issuer, &dn) < 0)
		return (struct text){ 0 };
	for (int s = 0; gnutls_x509_dn_get_rdn_ava(dn, s, 0, &v) >= 0; s++)
		for (int k = 0; gnutls_x509_dn_get_rdn_ava(dn, s, k, &v) >= 0; k++)
			if (strcmp((const char *)v.oid.data, attributes[i].oid) == 0 && wanted-- == 0) {
				buf_init(&b, text, sizeof text);
				put_value(&b, &v, how);
				/* "joe\0x" is nobody's name, and must not be taken for joe's. */
				return memchr(text, '\0', b.n) ? (struct text){ 0 } : text_of(arena_strndup(a, text, b.n));
			}
	return (struct text){ 0 };
}
