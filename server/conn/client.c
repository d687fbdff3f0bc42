/*
 * client.c - a connection as request/ and handler/ see it (request/client.h): what TLS says of it, and who does what a request
 * waits for. Runs in the children.
 */
#include "conn/internal.h"

#include "tls/variables.h"

static struct text variable(struct client *client, const char *name, struct arena *a)
{
	struct conn *c = conn_of(client);

	if (c->tls)
		return tls_variable(c->tls, name, a);
	return (struct text){ 0 };
}

static struct text extension(struct client *client, const char *oid, unsigned at, struct arena *a)
{
	struct conn *c = conn_of(client);

	return c->tls ? tls_extension(c->tls, oid, at, a) : (struct text){ 0 };
}

static unsigned refuses(struct client *client, const struct host *host)
{
	struct conn *c = conn_of(client);

	if (c->tls && !client->sni.p)
		for (int i = 0; i < 2; i++)     /* said in the default host it counts for all hosts of the address */
			if (tls_policy_strict_sni(host_config(i ? client->tls_host : host, &tls_module)))
				return 403;
	if (!c->tls || host == client->tls_host)
		return 0;
	return tls_policy_covers(tls_policy_in_use(c->tls), host_config(host, &tls_module)) ? 0 : 421;
}

static bool strict(struct client *client, void *const *section)
{
	(void)client;
	return tls_section_options(section[tls_module.index]) & TLS_OPT_STRICTREQUIRE;
}

static const char *subject(struct client *client, void *const *section, struct arena *a)
{
	struct conn *c = conn_of(client);
	unsigned options = tls_section_options(section[tls_module.index]);
	struct text value;

	if (!c->tls || !(options & TLS_OPT_FAKEBASICAUTH) || !text_is(tls_variable(c->tls, "SSL_CLIENT_VERIFY", a), "SUCCESS"))
		return NULL;
	tls_use_options(c->tls, options | TLS_OPT_LEGACYDN);
	value = tls_variable(c->tls, "SSL_CLIENT_S_DN", a);
	tls_use_options(c->tls, options);
	return value.n ? arena_strndup(a, value.p, value.n) : NULL;
}

static unsigned exports(struct client *client, void *const *section)
{
	struct conn *c = conn_of(client);
	unsigned options = c->tls ? tls_section_options(section[tls_module.index]) : 0;

	return (options & TLS_OPT_STDENVVARS ? CLIENT_EXPORTS_VARIABLES : 0) | (options & TLS_OPT_EXPORTCERTDATA ? CLIENT_EXPORTS_CERTIFICATES : 0);
}

const struct client_ops conn_client_ops = {
	.variable = variable, .extension = extension, .refuses = refuses, .place = certificate_place, .subject = subject, .strict = strict, .knows = lookup_knows,
	.ask = lookup_ask, .work = work_ask, .worked = work_done,
	.exports = exports, .begins = h2_hint, .spawn = spawn_begin, .spawn_over = spawn_end,
	.upstream_get = backend_get, .upstream_put = backend_put,
};
