/*
 * hello.c - reads a ClientHello, and judges the first bytes of a connection. Pure; runs in children (and the fuzzer).
 * Everything is taken by functions that cannot read past the end; what is not understood is skipped, what is malformed
 * is told to the caller, who answers with decode_error.
 */
#include "tls/hello.h"

/* What is left of a message, or of a vector in it. */
struct in {
	const unsigned char *p;
	size_t n;
};

static bool take(struct in *in, size_t n, struct in *out)
{
	if (n > in->n)
		return false;
	*out = (struct in){ in->p, n };
	in->p += n;
	in->n -= n;
	return true;
}

static bool take_number(struct in *in, unsigned bytes, uint32_t *out)
{
	struct in part;

	if (!take(in, bytes, &part))
		return false;
	*out = 0;
	for (unsigned i = 0; i < bytes; i++)
		*out = *out << 8 | part.p[i];
	return true;
}

/* A vector with a length of `bytes` bytes in front (RFC 8446, 3.4). */
static bool take_vector(struct in *in, unsigned bytes, struct in *out)
{
	uint32_t n;

	return take_number(in, bytes, &n) && take(in, n, out);
}

static struct text as_text(struct in in)
{
	return (struct text){ (const char *)in.p, in.n };
}

/* A list of 16-bit numbers, at least one; keeps as many as fit. */
static bool take_list(struct in list, uint16_t *out, unsigned cap, unsigned *n)
{
	if (list.n % 2 || list.n == 0)
		return false;
	while (list.n) {
		uint32_t v;
		if (!take_number(&list, 2, &v))
			return false;
		if (*n < cap)
			out[(*n)++] = (uint16_t)v;
	}
	return true;
}

static bool host_name_good(struct text name)
{
	if (name.n == 0 || name.n > 255)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
		            || c == '-' || c == '.' || c == '_';
		if (!good)
			return false;
	}
	return true;
}

/* RFC 6066, 3. A name that is none is no reason to end the handshake: the address's default host answers. */
static bool read_server_name(struct in ext, struct hello *h)
{
	struct in list, name;
	uint32_t type;

	if (!take_vector(&ext, 2, &list) || ext.n || list.n == 0)
		return false;
	h->bad_sni = true;
	while (list.n) {
		if (!take_number(&list, 1, &type) || !take_vector(&list, 2, &name) || name.n == 0)
			return false;
		if (type == 0 && !h->sni.p && host_name_good(as_text(name))) {
			h->sni = as_text(name);
			h->bad_sni = false;
		}
	}
	return true;
}

static bool read_key_shares(struct in ext, struct hello *h)
{
	struct in list, key;
	uint32_t group;

	if (!take_vector(&ext, 2, &list) || ext.n)
		return false;
	while (list.n) {
		if (!take_number(&list, 2, &group) || !take_vector(&list, 2, &key) || key.n == 0)
			return false;
		for (unsigned i = 0; i < h->nshares; i++)
			h->illegal |= h->shares[i] == group;    /* RFC 8446, 4.2.8 */
		if (h->nshares < HELLO_MAX)
			h->shares[h->nshares++] = (uint16_t)group;
	}
	return true;
}

/* The first identity's first bytes name the key that sealed it (RFC 5077, 4, as GnuTLS and OpenSSL do in 1.3 too). */
static bool read_psk(struct in ext, struct hello *h)
{
	struct in list, identity;

	if (!take_vector(&ext, 2, &list) || !take_vector(&list, 2, &identity))
		return false;
	h->has_psk = true;
	if (identity.n >= 16)
		h->ticket_name = (struct text){ (const char *)identity.p, 16 };
	return true;
}

static bool read_psk_modes(struct in ext, struct hello *h)
{
	struct in list;

	if (!take_vector(&ext, 1, &list) || ext.n || list.n == 0)
		return false;
	h->has_psk_modes = true;
	h->psk_ke_modes = memchr(list.p, 1, list.n) != NULL;    /* psk_dhe_ke */
	return true;
}

/* RFC 8422, 5.1.2: uncompressed points are always among them. */
static bool read_point_formats(struct in ext, struct hello *h)
{
	struct in list;

	if (!take_vector(&ext, 1, &list) || ext.n || list.n == 0)
		return false;
	h->illegal |= memchr(list.p, 0, list.n) == NULL;
	return true;
}

static void read_ticket(struct in ext, struct hello *h)
{
	h->has_ticket = true;
	h->sends_ticket = ext.n > 0;
	if (ext.n >= 16 && !h->ticket_name.p)           /* a 1.3 identity, if there is one, is the one to look at */
		h->ticket_name = (struct text){ (const char *)ext.p, 16 };
}

enum extension {
	EXT_SERVER_NAME = 0,
	EXT_FRAGMENT = 1,
	EXT_GROUPS = 10,
	EXT_POINTS = 11,
	EXT_SIGNATURES = 13,
	EXT_ALPN = 16,
	EXT_EXTENDED_MASTER_SECRET = 23,
	EXT_RECORD_LIMIT = 28,
	EXT_TICKET = 35,
	EXT_PSK = 41,
	EXT_VERSIONS = 43,
	EXT_PSK_MODES = 45,
	EXT_KEY_SHARES = 51,
};

static bool read_extension(uint32_t type, struct in ext, struct hello *h)
{
	struct in list;

	switch (type) {
	case EXT_SERVER_NAME:
		return read_server_name(ext, h);
	case EXT_GROUPS:
		return take_vector(&ext, 2, &list) && !ext.n && take_list(list, h->groups, HELLO_MAX, &h->ngroups);
	case EXT_FRAGMENT:
		h->fragment_code = ext.n == 1 ? ext.p[0] : 0;
		return ext.n == 1;
	case EXT_RECORD_LIMIT:
		h->has_record_limit = true;
		return true;
	case EXT_POINTS:
		return read_point_formats(ext, h);
	case EXT_SIGNATURES:
		return take_vector(&ext, 2, &list) && !ext.n
		       && take_list(list, h->signatures, HELLO_MAX, &h->nsignatures);
	case EXT_VERSIONS:
		return take_vector(&ext, 1, &list) && !ext.n
		       && take_list(list, h->versions, HELLO_VERSIONS, &h->nversions);
	case EXT_ALPN:
		if (!take_vector(&ext, 2, &list) || ext.n || list.n == 0)
			return false;
		h->alpn = as_text(list);
		return true;
	case EXT_EXTENDED_MASTER_SECRET:
		h->extended_master_secret = true;
		return true;
	case EXT_TICKET:
		read_ticket(ext, h);
		return true;
	case EXT_PSK:
		return read_psk(ext, h);
	case EXT_PSK_MODES:
		return read_psk_modes(ext, h);
	case EXT_KEY_SHARES:
		return read_key_shares(ext, h);
	}
	return true;
}

static bool read_extensions(struct in all, struct hello *h)
{
	static unsigned char seen[65536 / 8];   /* RFC 8446, 4.2 allows one of each type */

	memset(seen, 0, sizeof seen);
	while (all.n) {
		uint32_t type;
		struct in ext;
		if (!take_number(&all, 2, &type) || !take_vector(&all, 2, &ext))
			return false;
		if (seen[type / 8] >> type % 8 & 1)
			h->illegal = true;
		else if (!read_extension(type, ext, h))
			return false;
		seen[type / 8] |= (unsigned char)(1u << type % 8);
	}
	return true;
}

/* Without a list the version is the newest, and older ones are meant too (RFC 5246, E.1). */
static void judge_versions(struct hello *h)
{
	bool listed = h->nversions > 0;

	if (!listed) {
		h->versions[h->nversions++] = h->legacy_version;
		for (uint16_t older = 0x0303; older >= 0x0301; older--)
			if (older < h->legacy_version)
				h->versions[h->nversions++] = older;
	}
	for (unsigned i = 0; i < h->nversions; i++) {
		if (h->versions[i] == 0x0304)
			h->offers13 = listed;           /* 1.3 is never asked for by the legacy field (RFC 8446, 4.1.2) */
		if (h->versions[i] == 0x0303)
			h->offers12 = true;
	}
}

int hello_parse(struct text body, struct hello *h)
{
	struct in in = { (const unsigned char *)body.p, body.n }, random, id, suites, compression, extensions;
	uint32_t version;

	memset(h, 0, sizeof *h);
	if (!take_number(&in, 2, &version) || !take(&in, 32, &random) || !take_vector(&in, 1, &id)
	    || id.n > 32 || !take_vector(&in, 2, &suites) || suites.n < 2
	    || !take_vector(&in, 1, &compression) || compression.n < 1)
		return -1;
	h->legacy_version = (uint16_t)version;
	h->session_id = as_text(id);
	if (!take_list(suites, h->suites, sizeof h->suites / sizeof *h->suites, &h->nsuites))
		return -1;
	/* No extensions at all is legal (RFC 5246, 7.4.1.2), bytes behind them are not. */
	if (in.n && (!take_vector(&in, 2, &extensions) || in.n || !read_extensions(extensions, h)))
		return -1;
	h->null_compression_only = compression.n == 1 && compression.p[0] == 0;
	judge_versions(h);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ first bytes */

enum {
	ALERT_UNEXPECTED_MESSAGE = 10,
	ALERT_RECORD_OVERFLOW = 22,
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_DECODE_ERROR = 50,
	ALERT_PROTOCOL_VERSION = 70,
};
#define RECORD_MAX (16384 + 2048)       /* RFC 5246, 6.2.3: whatever is longer is no TLS record */
#define BODY_MIN 38                     /* version, random, empty session ID, one suite, one compression method */
#define BODY_MAX 65535

/* Judges, and says by which alert bad bytes are answered. */
static enum hello_peek judge(const unsigned char *p, size_t n, unsigned *alert)
{
	size_t record, body;

	*alert = ALERT_UNEXPECTED_MESSAGE;
	if (n == 0)
		return HELLO_MORE;
	if (p[0] & 0x80) {              /* the ClientHello of SSL 2 (RFC 5246, E.2): length, type 1, version */
		*alert = ALERT_PROTOCOL_VERSION;
		if (n < 5)
			return (n >= 3 && p[2] != 1) ? HELLO_NOT : HELLO_MORE;
		return p[2] == 1 && ((p[3] == 0 && p[4] == 2) || p[3] == 3) ? HELLO_BAD : HELLO_NOT;
	}
	if (p[0] < 20 || p[0] > 23)
		return HELLO_NOT;
	if (n < 2)
		return HELLO_MORE;
	if (p[1] != 3)
		return HELLO_NOT;
	if (p[0] != 22)                 /* a record, but no handshake message */
		return n < 5 ? HELLO_MORE : HELLO_BAD;
	if (n < 5)
		return HELLO_MORE;
	record = (size_t)p[3] << 8 | p[4];
	*alert = ALERT_RECORD_OVERFLOW;
	if (record > RECORD_MAX)
		return HELLO_BAD;
	*alert = ALERT_UNEXPECTED_MESSAGE;
	if (record == 0)
		return HELLO_BAD;
	if (n < 6)
		return HELLO_MORE;
	if (p[5] != 1)
		return HELLO_BAD;
	if (record < 4)                 /* a header in pieces: odd, but legal; the handshake will tell */
		return HELLO_TLS;
	if (n < 9)
		return HELLO_MORE;
	body = (size_t)p[6] << 16 | (size_t)p[7] << 8 | p[8];
	*alert = ALERT_DECODE_ERROR;
	return body >= BODY_MIN && body <= BODY_MAX ? HELLO_TLS : HELLO_BAD;
}

enum hello_peek hello_peek(const unsigned char *p, size_t n)
{
	unsigned alert;

	return judge(p, n, &alert);
}

void hello_alert(const unsigned char *p, size_t n, unsigned char out[HELLO_ALERT])
{
	static const unsigned char record[HELLO_ALERT] = { 21, 3, 1, 0, 2, 2, 0 };     /* level fatal */
	unsigned alert;

	memcpy(out, record, sizeof record);
	if (judge(p, n, &alert) == HELLO_TLS)
		alert = ALERT_HANDSHAKE_FAILURE;
	out[6] = (unsigned char)alert;
}
