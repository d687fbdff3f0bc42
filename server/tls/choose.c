/*
 * choose.c - what a host gives a client. GnuTLS chooses a suite by a product of priorities; here one suite is taken from
 * the host's list, which the client offers and a certificate fits, so that the list means what it says. Runs in children.
 */
#include "tls/choose.h"

static bool among(const uint16_t *list, unsigned n, uint16_t v)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return false;
}

static bool has_suite(const struct hello *h, uint16_t id)
{
	return among(h->suites, h->nsuites, id);
}

static unsigned protocol_bit(uint16_t version)
{
	switch (version) {
	case 0x0304:
		return PROTO_TLS13;
	case 0x0303:
		return PROTO_TLS12;
	case 0x0302:
		return PROTO_TLS11;
	case 0x0301:
		return PROTO_TLS10;
	}
	return 0;
}

unsigned tls_offered(const struct hello *h)
{
	unsigned all = 0;

	for (unsigned i = 0; i < h->nversions; i++)
		all |= protocol_bit(h->versions[i]);
	if (!h->offers13)
		all &= ~(unsigned)PROTO_TLS13;
	return all;
}

/* ------------------------------------------------------------------------------------------------ before 1.3 */

/* What the client can check and compute; without the extensions everything is supposed (RFC 8422, 4; RFC 5246, 7.4.1.4.1). */
struct abilities {
	bool group;                     /* a group for ECDHE in common */
	bool ecdsa, rsa;                /* a certificate of that kind whose signatures it checks */
};

static bool checks_ecdsa(const struct tls_policy *p, const struct hello *h, bool signatures)
{
	for (unsigned i = 0; i < p->n; i++) {
		const struct tls_certificate *c = &p->at[i];
		if (c->algorithm == GNUTLS_PK_EDDSA_ED25519 || c->algorithm == GNUTLS_PK_EDDSA_ED448) {
			if (signatures
			    && among(h->signatures, h->nsignatures,
				     c->algorithm == GNUTLS_PK_EDDSA_ED25519 ? 0x0807 : 0x0808))
				return true;
		} else if (c->algorithm == GNUTLS_PK_ECDSA
			   && (!h->ngroups || among(h->groups, h->ngroups, c->curve))) {
			if (!signatures)
				return true;
			for (unsigned k = 0; k < h->nsignatures; k++)
				if ((h->signatures[k] & 0xff) == 3 && h->signatures[k] >> 8 >= 3
				    && h->signatures[k] >> 8 <= 6)
					return true;
		}
	}
	return false;
}

static bool checks_rsa(const struct tls_policy *p, const struct hello *h, bool signatures)
{
	bool have = false;

	for (unsigned i = 0; i < p->n; i++)
		have |= p->at[i].algorithm == GNUTLS_PK_RSA || p->at[i].algorithm == GNUTLS_PK_RSA_PSS;
	if (!have || !signatures)
		return have;
	for (unsigned k = 0; k < h->nsignatures; k++) {
		unsigned high = h->signatures[k] >> 8, low = h->signatures[k] & 0xff;
		if ((low == 1 && high >= 2 && high <= 6)
		    || (high == 8 && ((low >= 4 && low <= 6) || (low >= 9 && low <= 11))))
			return true;
	}
	return false;
}

static struct abilities abilities_of(const struct tls_policy *p, const struct hello *h,
				     enum tls_protocol protocol)
{
	bool signatures = protocol == PROTO_TLS12 && h->nsignatures;
	struct abilities a = { .group = !h->ngroups,
			       .ecdsa = checks_ecdsa(p, h, signatures),
			       .rsa = checks_rsa(p, h, signatures) };

	for (unsigned i = 0; i < p->ngroups; i++)
		a.group |= p->groups[i]->id < TLS_FFDHE && among(h->groups, h->ngroups, p->groups[i]->id);
	return a;
}

static bool works(const struct suite *s, enum tls_protocol protocol, const struct abilities *a)
{
	if (s->since == 0x0303 && protocol != PROTO_TLS12)
		return false;
	if (!a)                         /* the second look: what GnuTLS then misses is explained by its failure */
		return true;
	return (s->kx != KX_ECDHE || a->group)
	       && (s->kx == KX_RSA || s->auth == AUTH_NULL || (s->auth == AUTH_ECDSA ? a->ecdsa : a->rsa));
}

/* The index in the host's list, or -1. */
static int find_suite(const struct tls_policy *p, const struct hello *h, enum tls_protocol protocol,
		      const struct abilities *a)
{
	if (tls_policy_own_order(p)) {
		for (unsigned i = 0; i < p->suites.n; i++)
			if (works(p->suites.at[i], protocol, a) && has_suite(h, p->suites.at[i]->id))
				return (int)i;
		return -1;
	}
	for (unsigned k = 0; k < h->nsuites; k++)
		for (unsigned i = 0; i < p->suites.n; i++)
			if (p->suites.at[i]->id == h->suites[k] && works(p->suites.at[i], protocol, a))
				return (int)i;
	return -1;
}

static enum tls_chosen choose_old(const struct tls_policy *p, const struct hello *h, struct tls_choice *out)
{
	struct abilities a = abilities_of(p, h, out->protocol);
	int i = find_suite(p, h, out->protocol, &a);

	if (i < 0)
		i = find_suite(p, h, out->protocol, NULL);
	if (i < 0)
		return TLS_NO_SUITE;
	out->priority = p->prio[i];
	out->fits_h2 = out->protocol == PROTO_TLS12 && (p->suites.at[i]->kx & (KX_ECDHE | KX_DHE)) && p->suites.at[i]->mac == MAC_AEAD;
	return TLS_CHOSEN;
}

/* ------------------------------------------------------------------------------------------------ 1.3 */

/* The first suite and group of the priority; a group that the client sent no share for costs it another round. */
static enum tls_chosen choose13(const struct tls_policy *p, const struct hello *h, struct tls_choice *out)
{
	bool own = tls_policy_own_order(p), found = false;
	unsigned suite = 0, group = 0;

	if (own) {
		for (unsigned i = 0; i < p->suites13.n; i++)
			found |= has_suite(h, p->suites13.at[i]->id);
	} else {
		for (unsigned k = 0; k < h->nsuites && !found; k++)
			for (unsigned i = 0; i < p->suites13.n && !found; i++)
				if (p->suites13.at[i]->id == h->suites[k]) {
					found = true;
					suite = i;
				}
	}
	if (!found)
		return TLS_NO_SUITE;
	for (unsigned g = 0; g < p->ngroups; g++)
		if (among(h->shares, h->nshares, p->groups[g]->id)) {
			group = g;
			break;
		}
	out->priority = p->prio13[suite][group];
	out->fits_h2 = true;
	return TLS_CHOSEN;
}

enum tls_chosen tls_choose(const struct tls_policy *p, const struct hello *h, struct tls_choice *out)
{
	static const enum tls_protocol newest_first[] = { PROTO_TLS13, PROTO_TLS12, PROTO_TLS11, PROTO_TLS10 };
	unsigned common = tls_offered(h) & (unsigned)p->protocols;

	for (unsigned i = 0; i < sizeof newest_first / sizeof *newest_first; i++)
		if (common & newest_first[i]) {
			out->protocol = newest_first[i];
			return out->protocol == PROTO_TLS13 ? choose13(p, h, out) : choose_old(p, h, out);
		}
	return TLS_NO_VERSION;
}
