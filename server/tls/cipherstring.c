/*
 * cipherstring.c - the machine behind SSLCipherSuite: a row of suites, some of them chosen, and words that choose, drop,
 * move and ban. The order of the row is kept as OpenSSL keeps it, so that a string means the same here. Runs in the
 * master and in checking jobs.
 */
#include "tls/cipherstring.h"

#include <string.h>

#define PFS_GCM128 "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
#define PFS_GCM256 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define PFS_CHACHA "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-CHACHA20-POLY1305"
const char cipher_default[] =
	PFS_GCM128 ":" PFS_GCM256 ":DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:" PFS_CHACHA;
const char cipher_default_old[] =
	":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
	":DHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:AES128-SHA:AES256-SHA";
const char cipher_default13[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

/* ------------------------------------------------------------------------------------------------ words */

enum {
	ENC_AES = ENC_AES128 | ENC_AES256,
	ENC_CBC = ENC_AES | ENC_CAMELLIA128 | ENC_CAMELLIA256,
	ENC_GCM = ENC_AES128GCM | ENC_AES256GCM,
	ENC_CCM8 = ENC_AES128CCM8 | ENC_AES256CCM8,
	ENC_CCM = ENC_AES128CCM | ENC_AES256CCM | ENC_CCM8,
	ENC_ALL = 0x7ff
};

/* What a word asks of a suite; 0 = it does not care. */
struct demand {
	unsigned kx, auth, enc, mac;
	uint16_t since;
	bool high, nothing;     /* nothing: fulfilled by no suite */
};
struct cipher_word {
	const char *name;
	struct demand demand;
};
static const struct cipher_word words[] = {
	{ "ALL", { .enc = ENC_ALL } },
	{ "HIGH", { .high = true } },
	{ "kRSA", { .kx = KX_RSA } }, { "RSA", { .kx = KX_RSA, .auth = AUTH_RSA } },
	{ "kDHE", { .kx = KX_DHE } }, { "kEDH", { .kx = KX_DHE } }, { "DH", { .kx = KX_DHE } },
	{ "DHE", { .kx = KX_DHE } }, { "EDH", { .kx = KX_DHE } },
	{ "kECDHE", { .kx = KX_ECDHE } }, { "kEECDH", { .kx = KX_ECDHE } }, { "ECDH", { .kx = KX_ECDHE } },
	{ "ECDHE", { .kx = KX_ECDHE } }, { "EECDH", { .kx = KX_ECDHE } },
	{ "aRSA", { .auth = AUTH_RSA } }, { "aECDSA", { .auth = AUTH_ECDSA } }, { "ECDSA", { .auth = AUTH_ECDSA } },
	{ "aNULL", { .auth = AUTH_NULL } }, { "ADH", { .kx = KX_DHE, .auth = AUTH_NULL } }, { "AECDH", { .kx = KX_ECDHE, .auth = AUTH_NULL } },
	{ "AES", { .enc = ENC_AES | ENC_GCM | ENC_CCM } },
	{ "AES128", { .enc = ENC_AES128 | ENC_AES128GCM | ENC_AES128CCM | ENC_AES128CCM8 } },
	{ "AES256", { .enc = ENC_AES256 | ENC_AES256GCM | ENC_AES256CCM | ENC_AES256CCM8 } },
	{ "AESGCM", { .enc = ENC_GCM } }, { "AESCCM", { .enc = ENC_CCM } }, { "AESCCM8", { .enc = ENC_CCM8 } },
	{ "CHACHA20", { .enc = ENC_CHACHA20 } }, { "CBC", { .enc = ENC_CBC } },
	{ "CAMELLIA", { .enc = ENC_CAMELLIA128 | ENC_CAMELLIA256 } },
	{ "CAMELLIA128", { .enc = ENC_CAMELLIA128 } }, { "CAMELLIA256", { .enc = ENC_CAMELLIA256 } },
	{ "SHA", { .mac = MAC_SHA1 } }, { "SHA1", { .mac = MAC_SHA1 } },
	{ "SHA256", { .mac = MAC_SHA256 } }, { "SHA384", { .mac = MAC_SHA384 } },
	{ "SSLv3", { .since = 0x0300 } }, { "TLSv1", { .since = 0x0301 } }, { "TLSv1.0", { .since = 0x0301 } },
	{ "TLSv1.2", { .since = 0x0303 } },
};

/* Good words for what is not in the table, so that they name nothing. */
static const char *const empty_words[] = {
	"MEDIUM", "LOW", "EXP", "EXPORT", "EXPORT40", "EXPORT56", "SSLv2", "MD5", "RC4", "RC2", "DES", "3DES", "IDEA", "SEED",
	"eNULL", "NULL", "COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT", "DSS", "aDSS", "PSK", "kPSK",
	"aPSK", "kRSAPSK", "kDHEPSK", "kECDHEPSK", "SRP", "kSRP", "aSRP", "KRB5", "kKRB5", "aKRB5", "kDHr", "kDHd", "kDH",
	"aDH", "kECDHr", "kECDHe", "kECDH", "aECDH", "kGOST", "kGOST18", "aGOST", "aGOST01", "aGOST12", "GOST94",
	"GOST89MAC", "GOST2012", "FZA", "kFZA", "aFZA", "eFZA", "ARIA", "ARIA128", "ARIA256", "ARIAGCM", "FIPS",
};
/* Those of them that ask for what must not be had by accident: chosen by name they are refused, not skipped. */
static const char *const refused_words[] = { "eNULL", "NULL", "COMPLEMENTOFALL", "PSK", "kPSK", "SRP", "FIPS" };
/* Beginnings, ends and parts of names of suites that nobody builds any more. */
static const char *const removed_names[] = {
	"EXP-*", "EXP1024-*", "KRB5-*", "ADH-*", "AECDH-*", "ECDH-*", "DH-*", "PSK-*", "*-PSK-*", "SRP-*", "GOST*-*", "*DES-CBC*",
	"*RC4*", "*RC2*", "IDEA-*", "SEED-*", "*-SEED-*", "*-DSS-*", "*ARIA*", "NULL-*", "*-NULL-*", "FZA-*",
};

static bool in_row(const char *const *row, size_t n, struct text word)
{
	for (size_t i = 0; i < n; i++)
		if (text_is(word, row[i]))
			return true;
	return false;
}
#define IN(row, word) in_row(row, sizeof row / sizeof *row, word)

static bool removed(struct text word)
{
	char name[64];

	if (word.n >= sizeof name || !memchr(word.p, '-', word.n))
		return false;
	memcpy(name, word.p, word.n);
	name[word.n] = '\0';
	for (size_t i = 0; i < sizeof removed_names / sizeof *removed_names; i++)
		if (wild_match(removed_names[i], name, false))
			return true;
	return false;
}

static unsigned both(unsigned a, unsigned b, bool *nothing)
{
	if (a && b && !(a & b))
		*nothing = true;
	return a && b ? a & b : a | b;
}

static void join(struct demand *d, const struct demand *more)
{
	bool *nothing = &d->nothing;

	d->kx = both(d->kx, more->kx, nothing);
	d->auth = both(d->auth, more->auth, nothing);
	d->enc = both(d->enc, more->enc, nothing);
	d->mac = both(d->mac, more->mac, nothing);
	if (d->since && more->since && d->since != more->since)
		*nothing = true;
	d->since |= more->since;
	d->high |= more->high;
}

/* ------------------------------------------------------------------------------------------------ the row */

struct machine {
	const struct suite *row[SUITES_MAX];
	bool chosen[SUITES_MAX];
	unsigned n;
	cipher_say *say;
	void *ctx;
	struct err *e;
};

/* One rule's aim: a suite by name, or a demand, or those of exactly so many bits. */
struct aim {
	const struct suite *exactly;
	struct demand demand;
	unsigned bits;
};

static bool fits(const struct suite *s, const struct aim *a)
{
	const struct demand *d = &a->demand;

	if (a->exactly)
		return s == a->exactly;
	if (a->bits)
		return s->bits == a->bits;
	return !d->nothing && (!d->kx || (s->kx & d->kx)) && (!d->auth || (s->auth & d->auth))
	       && (!d->enc || (s->enc & d->enc)) && (!d->mac || (s->mac & d->mac))
	       && (!d->since || s->since == d->since) && (!d->high || s->bits >= 128);
}

/* Moves a suite to an end of the row; the others keep their order. */
static void move(struct machine *m, unsigned from, unsigned to, bool chosen)
{
	const struct suite *s = m->row[from];

	for (; from < to; from++) {
		m->row[from] = m->row[from + 1];
		m->chosen[from] = m->chosen[from + 1];
	}
	for (; from > to; from--) {
		m->row[from] = m->row[from - 1];
		m->chosen[from] = m->chosen[from - 1];
	}
	m->row[to] = s;
	m->chosen[to] = chosen;
}

/* Suites without certificates are not had by HIGH or ALL, only by words that ask for them. */
static bool asks_for(const struct suite *s, const struct aim *a)
{
	return s->auth != AUTH_NULL || a->exactly || (a->demand.auth & AUTH_NULL);
}

/* To the tail: no prefix takes those that are not chosen yet, '+' those that are. Each is met once, in the row's order. */
static void to_tail(struct machine *m, const struct aim *a, bool were_chosen)
{
	for (unsigned i = 0, left = m->n; left--; )
		if (m->chosen[i] == were_chosen && fits(m->row[i], a) && (were_chosen || asks_for(m->row[i], a)))
			move(m, i, m->n - 1, true);
		else
			i++;
}

/* '-': not chosen any more, and first in the row, should a later word take them again. */
static void drop(struct machine *m, const struct aim *a)
{
	for (unsigned i = m->n, left = m->n; left--; )
		if (m->chosen[i - 1] && fits(m->row[i - 1], a))
			move(m, i - 1, 0, false);
		else
			i--;
}

/* '!': gone for good. */
static void ban(struct machine *m, const struct aim *a)
{
	for (unsigned i = 0; i < m->n; )
		if (fits(m->row[i], a)) {
			move(m, i, m->n - 1, false);
			m->n--;
		} else {
			i++;
		}
}

static void sort_by_strength(struct machine *m)
{
	to_tail(m, &(struct aim){ .bits = 256 }, true);
	to_tail(m, &(struct aim){ .bits = 128 }, true);
}

static void rule(struct machine *m, char how, const struct aim *a)
{
	switch (how) {
	case '!':
		ban(m, a);
		break;
	case '-':
		drop(m, a);
		break;
	case '+':
		to_tail(m, a, true);
		break;
	default:
		to_tail(m, a, false);
	}
}

/* ------------------------------------------------------------------------------------------------ the string */

static int unknown(struct machine *m, struct text word)
{
	err_set(m->e, "the word %.*s of the cipher string is unknown", (int)word.n, word.p);
	return err_remedy(
		m->e,
		"write suites by their names (ECDHE-RSA-AES128-GCM-SHA256) or words such as HIGH and ECDHE+AESGCM");
}

/* One part of a word joined by '+'. */
static int read_part(struct machine *m, char how, struct text part, struct aim *a)
{
	const struct suite *s = suite_by_name(part);

	if (s && s->since == 0x0304) {
		if (m->say && how == '\0')
			m->say(m->ctx, s->openssl,
			       "names a suite of TLS 1.3, which \"SSLCipherSuite TLSv1.3 …\" chooses");
		a->demand.nothing = true;
		return 0;
	}
	if (s) {
		if (a->exactly && a->exactly != s)
			a->demand.nothing = true;
		a->exactly = s;
		return 0;
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (text_is(part, words[i].name)) {
			join(&a->demand, &words[i].demand);
			return 0;
		}
	if (how == '\0' && IN(refused_words, part)) {
		err_set(m->e,
			"suites without encryption, those with PSK or SRP, and FIPS mode are not available in this release: %.*s",
			(int)part.n, part.p);
		return err_remedy(m->e, "take the word out, or put a ! before it");
	}
	if (!IN(empty_words, part) && !removed(part))
		return unknown(m, part);
	a->demand.nothing = true;
	return 0;
}

static int read_word(struct machine *m, char how, struct text word)
{
	struct aim aim = { 0 };
	struct text part, all = word;
	bool joined = memchr(word.p, '+', word.n) != NULL;

	while (text_split(&all, '+', &part)) {
		if (part.n == 0)
			return unknown(m, word);
		if (read_part(m, joined ? '+' : how, part, &aim) != 0)
			return -1;
	}
	if (aim.exactly && joined && !aim.demand.nothing) {     /* "RC4-SHA+RSA": the name, if it fits the rest */
		struct aim rest = { .demand = aim.demand };
		aim.demand.nothing = !fits(aim.exactly, &rest);
	}
	if (!aim.demand.nothing)
		rule(m, how, &aim);
	return 0;
}

/* @STRENGTH, @SECLEVEL=n: up to level 2 every suite of the table is good enough; from 3 on it is about keys, too. */
static int read_command(struct machine *m, struct text word)
{
	uint64_t level;

	if (text_is(word, "@STRENGTH")) {
		sort_by_strength(m);
		return 0;
	}
	if (text_starts(word, "@SECLEVEL=")
	    && text_u64((struct text){ word.p + 10, word.n - 10 }, 2, &level) == 0)
		return 0;
	err_set(m->e, "%.*s cannot be honoured in this release", (int)word.n, word.p);
	return err_remedy(m->e, "@STRENGTH and @SECLEVEL=0 to 2 can");
}

/* DEFAULT, first in a string, is what OpenSSL takes without one. */
static void take_default(struct machine *m)
{
	to_tail(m,
		&(struct aim){
			.demand = { .enc = ENC_ALL
					   & ~(unsigned)(ENC_CCM | ENC_CAMELLIA128 | ENC_CAMELLIA256) } },
		false);
}

/* An '@' begins a word, too: DEFAULT@SECLEVEL=1 */
static struct text next_word(const char **at)
{
	static const char separators[] = ":,; \t", ends[] = ":,; \t@";
	struct text word;

	*at += strspn(*at, separators);
	word = (struct text){ *at, strcspn(*at + (**at == '@'), ends) + (**at == '@') };
	*at += word.n;
	return word;
}

int cipherstring_eval(const char *text, struct suite_list *out, cipher_say *say, void *ctx, struct err *e)
{
	struct machine m = { .n = suites_n, .say = say, .ctx = ctx, .e = e };
	const char *at = text;

	for (unsigned i = 0; i < suites_n; i++)
		m.row[i] = &suites[i];
	for (bool first = true; ; first = false) {
		struct text word = next_word(&at);
		char how = '\0';
		if (word.n == 0)
			break;
		if (word.p[0] == '@') {
			if (read_command(&m, word) != 0)
				return -1;
			continue;
		}
		if (text_starts(word, "SUITEB") || text_starts(word, "PROFILE=")) {
			err_set(e, "%.*s cannot be honoured in this release", (int)word.n, word.p);
			return err_remedy(
				e,
				"write the suites themselves, or leave SSLCipherSuite out for the server's own choice");
		}
		if (text_is(word, "DEFAULT")) {
			if (!first)
				return unknown(&m, word);
			take_default(&m);
			continue;
		}
		if (strchr("!-+", word.p[0])) {
			how = word.p[0];
			word = (struct text){ word.p + 1, word.n - 1 };
		}
		if (word.n == 0 || read_word(&m, how, word) != 0)
			return word.n ? -1 : err_set(e, "the cipher string holds a %c without a word", how);
	}
	out->n = 0;
	for (unsigned i = 0; i < m.n; i++)
		if (m.chosen[i])
			out->at[out->n++] = m.row[i];
	if (out->n)
		return 0;
	err_set(e, "the cipher string \"%s\" leaves no suite", text);
	return err_remedy(e, "leave SSLCipherSuite out for the server's own choice, or write HIGH:!aNULL");
}

int cipherstring_eval13(const char *text, struct suite_list *out, struct err *e)
{
	const char *at = text;

	out->n = 0;
	for (struct text word; word = next_word(&at), word.n; ) {
		const struct suite *s = suite_by_name(word);
		bool twice = false;
		if (!s || s->since != 0x0304) {
			err_set(e, "%.*s is no cipher suite of TLS 1.3", (int)word.n, word.p);
			return err_remedy(
				e,
				"choose from TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, "
				"TLS_AES_128_CCM_SHA256, TLS_AES_128_CCM_8_SHA256");
		}
		for (unsigned i = 0; i < out->n; i++)
			twice |= out->at[i] == s;
		if (!twice)
			out->at[out->n++] = s;
	}
	if (out->n)
		return 0;
	err_set(e, "the list of TLS 1.3 suites is empty");
	return err_remedy(
		e,
		"leave it out for the server's own choice, or write -TLSv1.3 in SSLProtocol to do without that version");
}
