/*
 * check.c - a client's certificate has been judged to be good, and now a responder has to say that it was not revoked. Which
 * certificates are asked about, one after the other, and what the answers come to; conn/ carries questions and answers.
 * Runs in children.
 */
#include <stdlib.h>
#include <string.h>

#include "tls/clientcert.h"
#include "tls/ocsp.h"
#include "tls/session.h"

static const struct cert_reason
	revoked = { 23, "certificate revoked", GNUTLS_A_CERTIFICATE_REVOKED, false, "SSLOCSPEnable: its responder says so" },
	unanswered = { 50, "application verification failure", GNUTLS_A_HANDSHAKE_FAILURE, false, "SSLOCSPEnable" };

struct head { uint32_t id, certificate, issuer; };      /* lengths */

int tls_question_read(const void *p, size_t n, uint32_t *id, gnutls_datum_t *certificate, gnutls_datum_t *issuer)
{
	struct head h;

	if (n < sizeof h)
		return -1;
	memcpy(&h, p, sizeof h);
	n -= sizeof h;
	if (!h.certificate || !h.issuer || h.certificate > n || h.issuer != n - h.certificate)
		return -1;
	*id = h.id;
	*certificate = (gnutls_datum_t){ (unsigned char *)(uintptr_t)p + sizeof h, h.certificate };
	*issuer = (gnutls_datum_t){ certificate->data + h.certificate, h.issuer };
	return 0;
}

/* The root is nobody's to revoke. A path that could not be built to a root has no question: it was refused. */
bool check_begin(struct tls *t)
{
	const struct tls_ocsp_settings *s = tls_policy_ocsp(t->policy);
	const struct tls_peer *p = s ? clientcert_judged(t) : NULL;

	t->check.why = NULL;
	t->check.at = t->check.n = 0;
	if (!p || p->verdict.why || p->n < 2)
		return false;
	t->check.n = s->enable == OCSP_LEAF ? 1 : p->n - 1;
	return true;
}

bool check_open(const struct tls *t)
{
	return !t->check.why && t->check.at < t->check.n;
}

void check_free(struct tls *t)
{
	free(t->check.words);
	t->check.words = NULL;
}

int64_t tls_check_patience(const struct tls *t)
{
	return t->policy->ocsp.timeout_ms;
}

size_t tls_check_question(struct tls *t, unsigned char buf[TLS_QUESTION_MAX])
{
	const struct tls_peer *p = clientcert_judged(t);
	gnutls_datum_t crt = { 0 }, issuer = { 0 };
	struct head h;
	size_t n = 0;

	if (p && t->check.at + 1 < p->n && gnutls_x509_crt_export2(p->path[t->check.at], GNUTLS_X509_FMT_DER, &crt) >= 0
	    && gnutls_x509_crt_export2(p->path[t->check.at + 1], GNUTLS_X509_FMT_DER, &issuer) >= 0
	    && sizeof h + crt.size + issuer.size <= TLS_QUESTION_MAX) {
		h = (struct head){ t->policy->ocsp.id, crt.size, issuer.size };
		memcpy(buf, &h, sizeof h);
		memcpy(buf + sizeof h, crt.data, crt.size);
		memcpy(buf + sizeof h + crt.size, issuer.data, issuer.size);
		n = sizeof h + crt.size + issuer.size;
	}
	gnutls_free(crt.data);
	gnutls_free(issuer.data);
	return n;
}

void tls_check_answer(struct tls *t, enum tls_check answer, const char *words)
{
	struct tls_peer *p = t->peer;

	if (answer == TLS_CHECK_GOOD) {
		t->check.at++;
		return;
	}
	t->check.why = answer == TLS_CHECK_REVOKED ? &revoked : &unanswered;
	check_free(t);
	t->check.words = strdup(words);
	t->rules_known = false;
	if (p) {                                /* for the line in the log */
		p->verdict.why = t->check.why;
		p->verdict.at = t->check.at;
	}
}
