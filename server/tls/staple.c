/*
 * staple.c - OCSP answers in handshakes. Settings and what is wrong with them: the master and checking jobs; staple_put: the
 * master; staple_get and the callback of GnuTLS: children, who never wait for an answer.
 */
#include "tls/staple.h"

#include <gnutls/crypto.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cert/ocsp.h"
#include "tls/host.h"

#define PATIENCE 1000                   /* tries until a cell that is being written counts as empty */

static const struct staple_cell *in_use;

/* ------------------------------------------------------------------------------------------------ the table */

void staple_put(struct staple_cell *table, int cell, const unsigned char id[STAPLE_ID], const void *answer, size_t n, int64_t until)
{
	struct staple_cell *c;
	uint32_t sequence;

	if (!table || cell < 0 || cell >= STAPLE_CELLS || n > STAPLE_MAX)
		return;
	c = &table[cell];
	sequence = atomic_load_explicit(&c->sequence, memory_order_relaxed) | 1;
	atomic_store_explicit(&c->sequence, sequence, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy(c->id, id, STAPLE_ID);
	if (n)
		memcpy(c->answer, answer, n);
	atomic_store_explicit(&c->n, (uint32_t)n, memory_order_relaxed);
	atomic_store_explicit(&c->until, until, memory_order_relaxed);
	atomic_store_explicit(&c->since, (int64_t)time(NULL), memory_order_relaxed);
	atomic_store_explicit(&c->sequence, sequence + 1, memory_order_release);
}

size_t staple_get(const struct staple_cell *table, int cell, const unsigned char id[STAPLE_ID], int64_t now, unsigned char *buf)
{
	const struct staple_cell *c;

	if (!table || cell < 0 || cell >= STAPLE_CELLS)
		return 0;
	c = &table[cell];
	for (int i = 0; i < PATIENCE; i++) {
		uint32_t sequence = atomic_load_explicit(&c->sequence, memory_order_acquire), n;
		int64_t until;
		bool mine;

		if (sequence & 1)
			continue;
		n = atomic_load_explicit(&c->n, memory_order_relaxed);
		until = atomic_load_explicit(&c->until, memory_order_relaxed);
		mine = memcmp(c->id, id, STAPLE_ID) == 0;
		if (n && n <= STAPLE_MAX)
			memcpy(buf, c->answer, n);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&c->sequence, memory_order_relaxed) == sequence)
			return mine && n <= STAPLE_MAX && now < until ? n : 0;
	}
	return 0;
}

bool staple_times(int cell, const unsigned char id[STAPLE_ID], int64_t *since, int64_t *until)
{
	const struct staple_cell *c;

	if (!in_use || cell < 0 || cell >= STAPLE_CELLS)
		return false;
	c = &in_use[cell];
	for (int i = 0; i < PATIENCE; i++) {
		uint32_t sequence = atomic_load_explicit(&c->sequence, memory_order_acquire);
		bool there = atomic_load_explicit(&c->n, memory_order_relaxed) && memcmp(c->id, id, STAPLE_ID) == 0;

		*since = atomic_load_explicit(&c->since, memory_order_relaxed);
		*until = atomic_load_explicit(&c->until, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (!(sequence & 1) && atomic_load_explicit(&c->sequence, memory_order_relaxed) == sequence)
			return there;
	}
	return false;
}

void staple_use(const struct staple_cell *table)
{
	in_use = table;
}

static int give(gnutls_session_t session, void *ptr, gnutls_datum_t *answer)
{
	const struct tls_certificate *c = ptr;
	unsigned char buf[STAPLE_MAX];
	size_t n = staple_get(in_use, c->staple.cell, c->staple.id, (int64_t)time(NULL), buf);

	(void)session;
	if (!n)
		return GNUTLS_E_NO_CERTIFICATE_STATUS;
	answer->data = gnutls_malloc(n);
	if (!answer->data)
		return GNUTLS_E_NO_CERTIFICATE_STATUS;
	memcpy(answer->data, buf, n);
	answer->size = (unsigned)n;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ directives */

int tls_set_use_stapling(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;

	(void)argc;
	p->staple.use = !strcasecmp(argv[0], "on");
	p->staple.pos = call->node->pos;
	return 0;
}

int tls_set_staple_url(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;

	(void)argc;
	if (strncasecmp(argv[0], "http://", 7) != 0 || !argv[0][7])
		return conf_fail(call, "write an address that begins with http:// (answers are signed: nothing is lost by that)",
				 "\"%s\" is no address of a responder", argv[0]);
	p->staple.url = argv[0];
	return 0;
}

int tls_set_staple_cache(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config, (void)argc;
	conf_note(call, NULL, "%s is not needed: answers to be stapled lie in memory of the server's own", argv[0]);
	return 0;
}

void staple_create(struct tls_staple_settings *s)
{
	s->use = s->errors = s->try_later = CONF_UNSET;
	s->standard_ms = s->error_ms = s->timeout_ms = s->skew_ms = CONF_UNSET;
	s->max_age = STAPLE_UNSET;
}

void staple_merge(struct tls_staple_settings *s, const struct tls_staple_settings *base)
{
	if (s->use == CONF_UNSET) {
		s->use = base->use;
		s->pos = base->pos;
	}
	if (s->errors == CONF_UNSET)
		s->errors = base->errors;
	if (s->try_later == CONF_UNSET)
		s->try_later = base->try_later;
	if (s->standard_ms == CONF_UNSET)
		s->standard_ms = base->standard_ms;
	if (s->error_ms == CONF_UNSET)
		s->error_ms = base->error_ms;
	if (s->timeout_ms == CONF_UNSET)
		s->timeout_ms = base->timeout_ms;
	if (s->skew_ms == CONF_UNSET)
		s->skew_ms = base->skew_ms;
	if (s->max_age == STAPLE_UNSET)
		s->max_age = base->max_age;
	if (!s->url)
		s->url = base->url;
}

/* Apache's. */
static void fill_defaults(struct tls_staple_settings *s)
{
	if (s->errors == CONF_UNSET)
		s->errors = 1;
	if (s->try_later == CONF_UNSET)
		s->try_later = 1;
	if (s->standard_ms == CONF_UNSET)
		s->standard_ms = 3600000;
	if (s->error_ms == CONF_UNSET)
		s->error_ms = 600000;
	if (s->timeout_ms == CONF_UNSET)
		s->timeout_ms = 10000;
	if (s->skew_ms == CONF_UNSET)
		s->skew_ms = 300000;
	if (s->max_age == STAPLE_UNSET)
		s->max_age = -1;
}

/* ------------------------------------------------------------------------------------------------ a host's certificates */

static gnutls_x509_crt_t issuer_of(const struct tls_certificate *c)
{
	return c->chain.n > 1 && gnutls_x509_crt_check_issuer(c->chain.at[0], c->chain.at[1]) ? c->chain.at[1] : NULL;
}

/* Why there can be no answer for it, or NULL with *remedy unset. */
static const char *hindrance(const struct tls_policy *p, struct tls_certificate *c, struct conf_env *env, const char **remedy)
{
	char url[1024];

	if (gnutls_x509_crt_check_issuer(c->chain.at[0], c->chain.at[0])) {
		*remedy = "write SSLUseStapling off for this host, or use a certificate of an authority";
		return "it is self-signed: no responder knows it";
	}
	if (!issuer_of(c)) {
		*remedy = "put the issuer's certificate behind the host's in SSLCertificateFile";
		return "its issuer's certificate, which the question needs, is not in the chain";
	}
	if (p->staple.url) {
		c->staple.url = p->staple.url;
		return NULL;
	}
	if (ocsp_url(c->chain.at[0], url, sizeof url) < 0) {
		*remedy = "write SSLUseStapling off for this host, or name its responder with SSLStaplingForceURL";
		return "it names no responder";
	}
	if (strncasecmp(url, "http://", 7) != 0) {
		*remedy = "name another address with SSLStaplingForceURL";
		return "the responder that it names is not at an address with http://";
	}
	c->staple.url = conf_strdup(env, url);
	return NULL;
}

int staple_finish(struct tls_policy *p, struct conf_env *env)
{
	fill_defaults(&p->staple);
	for (unsigned i = 0; i < p->n; i++) {
		struct tls_certificate *c = &p->at[i];
		const char *why, *remedy = NULL;

		c->staple.cell = -1;
		c->staple.must = ocsp_must_staple(c->chain.at[0]);
		if (p->staple.use != 1) {
			if (c->staple.must)
				conf_report(env, CONF_WARNING, &p->certs[0].pos, "write: SSLUseStapling on",
					    "host %s: a certificate demands stapled OCSP answers (must-staple), but SSLUseStapling is off: clients refuse it", p->name);
			continue;
		}
		why = hindrance(p, c, env, &remedy);
		if (why) {
			conf_report(env, CONF_WARNING, p->staple.pos.file ? &p->staple.pos : NULL, remedy,
				    "host %s: nothing is stapled to its certificate (%s): %s", p->name, gnutls_pk_get_name(c->algorithm), why);
			continue;
		}
		if (gnutls_hash_fast(GNUTLS_DIG_SHA256, c->leaf.data, c->leaf.size, c->staple.id) < 0
		    || gnutls_certificate_set_ocsp_status_request_function2(p->credentials, i, give, c) < 0) {
			conf_report(env, CONF_ERROR, &p->certs[0].pos, NULL, "host %s: its OCSP answers cannot be stapled", p->name);
			return -1;
		}
	}
	return 0;
}

unsigned tls_policy_staples(void *host_config, struct tls_staple *out)
{
	struct tls_policy *p = host_config;
	unsigned n = 0;

	if (!tls_policy_enabled(p) || p->staple.use != 1)
		return 0;
	for (unsigned i = 0; i < p->n; i++)
		if (p->at[i].staple.url)
			out[n++] = (struct tls_staple){ .id = p->at[i].staple.id,
							.certificate = p->at[i].chain.at[0],
							.issuer = p->at[i].chain.at[1],
							.host = p->name,
							.url = p->at[i].staple.url,
							.settings = &p->staple,
							.must = p->at[i].staple.must,
							.cell = &p->at[i].staple.cell };
	return n;
}
