/*
 * ocspset.c - SSLOCSPEnable and its family: the lines, their defaults, and what is wrong with them. Runs in the master and in
 * checking jobs.
 */
#include <strings.h>

#include "tls/host.h"

#define TIMEOUT_MS 10000
#define SKEW_S 300

static uint32_t last_id;

void ocsp_create(struct tls_ocsp_settings *s)
{
	s->enable = s->override = s->noverify = s->nonce = CONF_UNSET;
	s->timeout_ms = s->max_age = s->skew = CONF_UNSET;
}

void ocsp_merge(struct tls_ocsp_settings *s, const struct tls_ocsp_settings *base)
{
	if (s->enable == CONF_UNSET) {
		s->enable = base->enable;
		s->lenient = base->lenient;
		s->pos = base->pos;
	}
	if (s->override == CONF_UNSET)
		s->override = base->override;
	if (s->noverify == CONF_UNSET)
		s->noverify = base->noverify;
	if (s->nonce == CONF_UNSET)
		s->nonce = base->nonce;
	if (s->timeout_ms == CONF_UNSET)
		s->timeout_ms = base->timeout_ms;
	if (s->max_age == CONF_UNSET)
		s->max_age = base->max_age;
	if (s->skew == CONF_UNSET)
		s->skew = base->skew;
	if (!s->url)
		s->url = base->url;
	if (!s->proxy)
		s->proxy = base->proxy;
	if (!s->signers_path) {
		s->signers_path = base->signers_path;
		s->signers_pos = base->signers_pos;
	}
}

/* ------------------------------------------------------------------------------------------------ setters */

int tls_set_ocsp(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct { const char *word; enum tls_ocsp_enable enable; } words[] = { { "off", OCSP_OFF }, { "leaf", OCSP_LEAF }, { "on", OCSP_CHAIN } };
	struct tls_ocsp_settings *s = &((struct tls_policy *)config)->ocsp;
	size_t i, n = sizeof words / sizeof *words;

	for (i = 0; i < n && strcasecmp(argv[0], words[i].word); i++)
		;
	if (i == n)
		return conf_fail(call, "write on, leaf or off", "\"%s\" is not understood", argv[0]);
	if (argc == 2 && strcasecmp(argv[1], "no_ocsp_for_cert_ok"))
		return conf_fail(call, "behind on or leaf, only no_ocsp_for_cert_ok is known", "\"%s\" is not understood", argv[1]);
	s->enable = (int)words[i].enable;
	s->lenient = argc == 2;
	s->pos = call->node->pos;
	return 0;
}

static int set_address(struct conf_call *call, const char **to, char *value, const char *what)
{
	if (strncasecmp(value, "http://", 7) != 0 || !value[7])
		return conf_fail(call, "write an address that begins with http:// (answers are signed: nothing is lost by that)", "\"%s\" is no address of a %s",
				 value, what);
	*to = value;
	return 0;
}

int tls_set_ocsp_url(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	return set_address(call, &((struct tls_policy *)config)->ocsp.url, argv[0], "responder");
}

int tls_set_ocsp_proxy(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	return set_address(call, &((struct tls_policy *)config)->ocsp.proxy, argv[0], "proxy");
}

int tls_set_ocsp_signers(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_ocsp_settings *s = &((struct tls_policy *)config)->ocsp;

	(void)argc;
	s->signers_path = conf_path(call->env, argv[0]);
	s->signers_pos = call->node->pos;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the whole */

const struct tls_ocsp_settings *tls_policy_ocsp(const void *host_config)
{
	const struct tls_policy *p = host_config;

	return tls_policy_enabled(p) && p->clients && p->ocsp.enable > OCSP_OFF ? &p->ocsp : NULL;
}

static int flag(int value, int otherwise)
{
	return value == CONF_UNSET ? otherwise : value;
}

static int read_signers(struct tls_policy *p, struct conf_env *env)
{
	struct tls_ocsp_settings *s = &p->ocsp;
	struct err e = { .text = "" };

	return !s->signers_path || cert_chain_load(&s->signers, s->signers_path, &e) == 0 ? 0 : tls_policy_fault(env, &s->signers_pos, &e);
}

int ocsp_finish(struct tls_policy *p, struct conf_env *env)
{
	struct tls_ocsp_settings *s = &p->ocsp;

	s->override = flag(s->override, 0);
	s->noverify = flag(s->noverify, 0);
	s->nonce = flag(s->nonce, 1);
	if (s->timeout_ms == CONF_UNSET)
		s->timeout_ms = TIMEOUT_MS;
	if (s->skew == CONF_UNSET)
		s->skew = SKEW_S;
	if (!tls_policy_ocsp(p))
		return 0;
	s->id = ++last_id;
	if (s->override && !s->url) {
		conf_report(env, CONF_ERROR, &s->pos, "add: SSLOCSPDefaultResponder http://RESPONDER/",
			    "host %s: SSLOCSPOverrideResponder is on, but no SSLOCSPDefaultResponder is named", p->name);
		return -1;
	}
	if (s->noverify)
		conf_report(env, CONF_WARNING, &s->pos, "write SSLOCSPNoverify off",
			    "host %s: answers of OCSP responders are believed unsigned (SSLOCSPNoverify on): whoever is between server and responder can let "
			    "in revoked certificates", p->name);
	return read_signers(p, env);
}

void ocsp_free(struct tls_ocsp_settings *s)
{
	cert_chain_free(&s->signers);
	s->signers.n = 0;
}
