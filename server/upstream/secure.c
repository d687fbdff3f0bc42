/*
 * secure.c - TLS to servers behind, as a client, with what SSLProxy* say. Runs in the children: what the files hold is parsed here, when the
 * first connection needs it, and kept by proxy_tls.id.
 */
#include "upstream/link.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define RECORD 16384

struct credentials {
	unsigned id;
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	struct credentials *next;
};
static struct credentials *all;

struct secure {
	gnutls_session_t session;
	const struct proxy_tls *settings;
	const char *host;
};

/* ------------------------------------------------------------------------------------------------ credentials */

/* "all -TLSv1.2": bits of versions, 1.0 to 1.3. */
static unsigned versions_of(const char *text)
{
	static const char *const names[] = { "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" };
	struct text rest = text_of(text ? text : "all"), word;
	unsigned bits = 0;

	while (text_split(&rest, ' ', &word)) {
		char sign = word.n && (*word.p == '+' || *word.p == '-') ? *word.p : 0;
		unsigned these = 0;

		if (sign)
			word = (struct text){ word.p + 1, word.n - 1 };
		if (text_is_nocase(word, "all"))
			these = 12;             /* what is still safe */
		for (unsigned i = 0; i < 4; i++)
			if (text_is_nocase(word, names[i]))
				these = 1u << i;
		bits = sign == '-' ? bits & ~these : sign == '+' ? bits | these : these | (text_is_nocase(word, "all") ? 0 : bits);
	}
	return bits;
}

static int make_priority(struct credentials *c, const struct proxy_tls *t, char why[SECURE_WHY])
{
	static const char *const names[] = { "TLS1.0", "TLS1.1", "TLS1.2", "TLS1.3" };
	unsigned bits = versions_of(t->protocols);
	char text[160] = "NORMAL:-VERS-ALL";

	for (unsigned i = 0; i < 4; i++)
		if (bits & 1u << i)
			snprintf(text + strlen(text), sizeof text - strlen(text), ":+VERS-%s", names[i]);
	if (bits && gnutls_priority_init(&c->priority, text, NULL) == 0)
		return 0;
	snprintf(why, SECURE_WHY, "SSLProxyProtocol leaves no version of TLS");
	return -1;
}

static int fill(struct credentials *c, const struct proxy_tls *t, char why[SECURE_WHY])
{
	gnutls_datum_t ca = { (unsigned char *)(uintptr_t)t->ca.p, (unsigned)t->ca.n }, crl = { (unsigned char *)(uintptr_t)t->crl.p, (unsigned)t->crl.n };
	gnutls_datum_t own = { (unsigned char *)(uintptr_t)t->machine.p, (unsigned)t->machine.n };
	int rc;

	if (gnutls_certificate_allocate_credentials(&c->cred) < 0) {
		snprintf(why, SECURE_WHY, "out of memory");
		return -1;
	}
	if (ca.size && (rc = gnutls_certificate_set_x509_trust_mem(c->cred, &ca, GNUTLS_X509_FMT_PEM)) <= 0) {
		snprintf(why, SECURE_WHY, "SSLProxyCACertificateFile or -Path holds no certificate that can be read: %s", rc ? gnutls_strerror(rc) : "none is there");
		return -1;
	}
	if (crl.size && (rc = gnutls_certificate_set_x509_crl_mem(c->cred, &crl, GNUTLS_X509_FMT_PEM)) < 0) {
		snprintf(why, SECURE_WHY, "SSLProxyCARevocationFile or -Path cannot be read: %s", gnutls_strerror(rc));
		return -1;
	}
	if (own.size && (rc = gnutls_certificate_set_x509_key_mem(c->cred, &own, &own, GNUTLS_X509_FMT_PEM)) < 0) {
		snprintf(why, SECURE_WHY, "SSLProxyMachineCertificateFile must hold a certificate and its key without a pass phrase, in PEM: %s", gnutls_strerror(rc));
		return -1;
	}
	if (t->depth >= 0)
		gnutls_certificate_set_verify_limits(c->cred, 16384, (unsigned)t->depth + 1);
	return make_priority(c, t, why);
}

static void credentials_free(struct credentials *c)
{
	if (c->cred)
		gnutls_certificate_free_credentials(c->cred);
	if (c->priority)
		gnutls_priority_deinit(c->priority);
	free(c);
}

static struct credentials *credentials_of(const struct proxy_tls *t, char why[SECURE_WHY])
{
	struct credentials *c;

	for (c = all; c; c = c->next)
		if (c->id == t->id)
			return c;
	c = calloc(1, sizeof *c);
	if (!c) {
		snprintf(why, SECURE_WHY, "out of memory");
		return NULL;
	}
	c->id = t->id;
	if (fill(c, t, why) < 0) {
		credentials_free(c);
		return NULL;
	}
	c->next = all;
	all = c;
	return c;
}

void secure_forget(void)
{
	while (all) {
		struct credentials *c = all;

		all = c->next;
		credentials_free(c);
	}
}

/* ------------------------------------------------------------------------------------------------ a session */

int secure_start(struct link *l, const struct proxy_tls *settings, char why[SECURE_WHY])
{
	struct credentials *c = credentials_of(settings, why);
	struct secure *s = c ? calloc(1, sizeof *s) : NULL;

	if (!c)
		return -1;
	if (!s || gnutls_init(&s->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
		free(s);
		snprintf(why, SECURE_WHY, "out of memory");
		return -1;
	}
	s->settings = settings;
	s->host = l->worker->host;
	gnutls_priority_set(s->session, c->priority);
	gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, c->cred);
	gnutls_transport_set_int(s->session, l->fd);
	gnutls_handshake_set_timeout(s->session, 0);
	if (!l->worker->addr.len || l->worker->socket)
		gnutls_server_name_set(s->session, GNUTLS_NAME_DNS, s->host, strlen(s->host));
	l->tls = s;
	l->tls_id = settings->id;
	return 0;
}

static gnutls_x509_crt_t peer_certificate(struct secure *s)
{
	unsigned n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(s->session, &n);
	gnutls_x509_crt_t crt = NULL;

	if (!n || gnutls_x509_crt_init(&crt) < 0)
		return NULL;
	if (gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) < 0) {
		gnutls_x509_crt_deinit(crt);
		return NULL;
	}
	return crt;
}

/* By mod_ssl's rule: the name counts unless it is off, or the CN is off and nothing is said of the name. */
static bool name_counts(const struct proxy_tls *t)
{
	return t->check_name != 0 && (t->check_cn != 0 || t->check_name == 1);
}

static int judge_signers(struct secure *s, char why[SECURE_WHY])
{
	unsigned status = 0;
	gnutls_datum_t words = { NULL, 0 };
	int rc = gnutls_certificate_verify_peers2(s->session, &status);

	if (rc == 0 && s->settings->verify == 3)        /* optional_no_ca */
		status &= ~(unsigned)(GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_INVALID);
	if (rc == 0 && s->settings->check_expire == 0)
		status &= ~(unsigned)(GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED);
	if (rc == 0 && (status & ~(unsigned)GNUTLS_CERT_INVALID) == 0)
		status = status == GNUTLS_CERT_INVALID && s->settings->check_expire == 0 ? 0 : status;
	if (rc == 0 && !status)
		return 0;
	if (rc == 0 && gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &words, 0) == 0) {
		snprintf(why, SECURE_WHY, "SSLProxyVerify: %s", (char *)words.data);
		gnutls_free(words.data);
	} else {
		snprintf(why, SECURE_WHY, "SSLProxyVerify: its certificate cannot be judged: %s", gnutls_strerror(rc));
	}
	return -1;
}

static int judge(struct secure *s, char why[SECURE_WHY])
{
	const struct proxy_tls *t = s->settings;
	gnutls_x509_crt_t crt = peer_certificate(s);
	time_t now = time(NULL);
	int rc = -1;

	if (!crt)
		snprintf(why, SECURE_WHY, "it shows no certificate that can be read");
	else if (t->check_expire != 0 && (gnutls_x509_crt_get_expiration_time(crt) < now || gnutls_x509_crt_get_activation_time(crt) > now))
		snprintf(why, SECURE_WHY, "its certificate has expired, or is not valid yet (SSLProxyCheckPeerExpire)");
	else if (name_counts(t) && !gnutls_x509_crt_check_hostname(crt, s->host))
		snprintf(why, SECURE_WHY, "its certificate is not for %.120s (SSLProxyCheckPeerName)", s->host);
	else
		rc = 0;
	if (crt)
		gnutls_x509_crt_deinit(crt);
	return rc == 0 && t->verify > 0 ? judge_signers(s, why) : rc;
}

enum secure_step secure_step(struct link *l, char why[SECURE_WHY])
{
	struct secure *s = l->tls;
	int rc;

	do
		rc = gnutls_handshake(s->session);
	while (rc == GNUTLS_E_INTERRUPTED || rc == GNUTLS_E_WARNING_ALERT_RECEIVED || rc == GNUTLS_E_GOT_APPLICATION_DATA);
	if (rc == GNUTLS_E_AGAIN)
		return gnutls_record_get_direction(s->session) ? SECURE_WRITE : SECURE_READ;
	if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		snprintf(why, SECURE_WHY, "it ended the handshake with the alert \"%s\"", gnutls_alert_get_name(gnutls_alert_get(s->session)));
	else if (rc < 0)
		snprintf(why, SECURE_WHY, "the handshake failed: %s", gnutls_strerror(rc));
	if (rc < 0)
		return SECURE_FAILED;
	return judge(s, why) == 0 ? SECURE_DONE : SECURE_FAILED;
}

static ssize_t result(ssize_t rc)
{
	if (rc >= 0)
		return rc;
	errno = rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED ? EAGAIN : EPROTO;
	return -1;
}

ssize_t secure_read(struct secure *s, void *p, size_t n)
{
	ssize_t rc;

	do                                      /* tickets, key updates: no data, and yet not the end */
		rc = gnutls_record_recv(s->session, p, n);
	while (rc == GNUTLS_E_INTERRUPTED || rc == GNUTLS_E_WARNING_ALERT_RECEIVED);
	return result(rc);
}

/* After EAGAIN the caller comes again with the same bytes first: GnuTLS has them already. */
ssize_t secure_write(struct secure *s, const void *p, size_t n)
{
	return result(gnutls_record_send(s->session, p, n < RECORD ? n : RECORD));
}

void secure_hang_up(struct secure *s)
{
	gnutls_bye(s->session, GNUTLS_SHUT_WR);
}

void secure_free(struct secure *s)
{
	secure_hang_up(s);
	gnutls_deinit(s->session);
	free(s);
}
