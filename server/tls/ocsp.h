/*
 * ocsp.h - responders are asked whether certificates of clients are revoked (SSLOCSPEnable and its family). A child asks nobody
 * itself: it makes a question (check.c), another process finds out, and what it says comes back. This header is that other
 * process's view: the settings of a host, and how a question is read.
 */
#ifndef BULKHEAD_TLS_OCSP_H
#define BULKHEAD_TLS_OCSP_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/load.h"
#include "conf/conf.h"

enum tls_ocsp_enable { OCSP_OFF, OCSP_LEAF, OCSP_CHAIN };

/* Flags are 0, 1 or CONF_UNSET while the text is read. */
struct tls_ocsp_settings {
	int enable;                     /* enum tls_ocsp_enable */
	bool lenient;                   /* no_ocsp_for_cert_ok: a certificate without a responder passes */
	int override, noverify, nonce;
	int64_t timeout_ms, max_age, skew;      /* max_age and skew in seconds; max_age -1 = any */
	const char *url, *proxy;        /* NULL = none */
	const char *signers_path;
	struct conf_pos pos, signers_pos;
	/* Since tls_policy_finish. */
	uint32_t id;                    /* of the host, among all that this process has read */
	struct cert_chain signers;
};

/* A host's, once it is finished; NULL: it asks nobody. */
const struct tls_ocsp_settings *tls_policy_ocsp(const void *host_config);

#define TLS_QUESTION_MAX 12288          /* bytes of a question */
#define TLS_CHECK_WORDS 512             /* of an answer's sentence, with its NUL */
enum tls_check {
	TLS_CHECK_GOOD,
	TLS_CHECK_REVOKED,
	TLS_CHECK_FAILED,               /* nobody could say */
};
/* What a question asks: whose settings count, a certificate and its issuer's in DER, within p. 0, or -1: it is none. */
int tls_question_read(const void *p, size_t n, uint32_t *id, gnutls_datum_t *certificate, gnutls_datum_t *issuer);

/* tls/ alone. */
struct tls_policy;
void ocsp_create(struct tls_ocsp_settings *s);
void ocsp_merge(struct tls_ocsp_settings *s, const struct tls_ocsp_settings *base);
/* Fills in defaults and reads what is named. 0, or -1 and reported. */
int ocsp_finish(struct tls_policy *p, struct conf_env *env);
void ocsp_free(struct tls_ocsp_settings *s);
conf_setter tls_set_ocsp, tls_set_ocsp_url, tls_set_ocsp_signers, tls_set_ocsp_proxy;

#endif
