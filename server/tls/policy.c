/*
 * policy.c - a host's TLS policy: merged from what was written, then completed with certificates and keys (certificates.c),
 * suites and its label. Runs in the master and in checking jobs; children only read what came out.
 */
#include "tls/policy.h"

#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "cert/token.h"
#include "tls/certificates.h"
#include "tls/clientcert.h"
#include "tls/failures.h"
#include "tls/host.h"
#include "tls/priorities.h"

static bool asks_later;

int tls_policy_fault(struct conf_env *env, const struct conf_pos *pos, const struct err *e)
{
	conf_report(env, CONF_ERROR, pos, e->remedy[0] ? conf_strdup(env, e->remedy) : NULL, "%s", e->text);
	return -1;
}

/* ------------------------------------------------------------------------------------------------ merging */

static void *create_host(struct conf_env *env)
{
	struct tls_policy *p = conf_alloc(env, sizeof *p);

	p->engine = p->tickets = p->honor_order = p->strict_sni = p->protocols = CONF_UNSET;
	p->verify = p->depth = p->crl_check = p->min_protocol = p->max_protocol = CONF_UNSET;
	staple_create(&p->staple);
	ocsp_create(&p->ocsp);
	p->cache = (struct tls_cache_settings){
		.enabled = true, .bytes = TLS_CACHE_DEFAULT, .timeout_s = 300, .ticket_lifetime_ms = 86400000, .mutex_timeout_ms = 50,
		.failure_lines = TLS_FAILURES_TOLD,
	};
	return p;
}

/* A host's own certificates replace the main server's, keys included: they belong together. */
static void merge_files(struct tls_policy *p, const struct tls_policy *base, const struct tls_policy *over)
{
	if (over->ncerts || !over->nkeys) {
		const struct tls_policy *from = over->ncerts ? over : base;
		memcpy(p->certs, from->certs, sizeof p->certs);
		memcpy(p->keys, from->keys, sizeof p->keys);
		p->ncerts = from->ncerts;
		p->nkeys = from->nkeys;
	} else {
		memcpy(p->certs, base->certs, sizeof p->certs);
		p->ncerts = base->ncerts;
	}
	if (!p->chain.path)
		p->chain = base->chain;
}

static void *merge_host(struct conf_env *env, const void *base_config, const void *over_config)
{
	const struct tls_policy *base = base_config, *over = over_config;
	struct tls_policy *p = conf_alloc(env, sizeof *p);

	*p = *over;
	if (over->engine == CONF_UNSET) {
		p->engine = base->engine;
		p->engine_pos = base->engine_pos;
	}
	CONF_INHERIT(p, base, tickets, CONF_UNSET);
	CONF_INHERIT(p, base, honor_order, CONF_UNSET);
	CONF_INHERIT(p, base, strict_sni, CONF_UNSET);
	CONF_INHERIT(p, base, min_protocol, CONF_UNSET);
	CONF_INHERIT(p, base, max_protocol, CONF_UNSET);
	CONF_INHERIT(p, base, signatures, NULL);
	if (!over->named) {
		p->named = base->named;
		p->named_pos = base->named_pos;
	}
	p->sni_policy = base->sni_policy;
	CONF_INHERIT(p, base, protocols, CONF_UNSET);
	if (!over->ciphers) {
		p->ciphers = base->ciphers;
		p->ciphers_pos = base->ciphers_pos;
	}
	if (!over->ciphers13) {
		p->ciphers13 = base->ciphers13;
		p->ciphers13_pos = base->ciphers13_pos;
	}
	if (!over->ngroups) {
		memcpy(p->groups, base->groups, sizeof p->groups);
		p->ngroups = base->ngroups;
	}
	if (!over->nticket_files) {
		memcpy(p->ticket_files, base->ticket_files, sizeof p->ticket_files);
		p->nticket_files = base->nticket_files;
	}
	merge_files(p, base, over);
	authorities_merge(p, base);
	staple_merge(&p->staple, &base->staple);
	p->cache = base->cache;
	p->merged = true;
	return p;
}

static void *create_section(struct conf_env *env)
{
	struct tls_section *s = conf_alloc(env, sizeof *s);

	s->verify = s->depth = CONF_UNSET;
	s->buffer = CONF_UNSET;
	return s;
}

static void *merge_section(struct conf_env *env, const void *base_config, const void *over_config)
{
	const struct tls_section *base = base_config, *over = over_config;
	struct tls_section *s = conf_alloc(env, sizeof *s);

	*s = *over;
	if (!over->whole) {
		s->add = (base->add & ~over->del) | over->add;
		s->del = (base->del & ~over->add) | over->del;
		s->whole = base->whole;
	}
	CONF_INHERIT(s, base, verify, CONF_UNSET);
	CONF_INHERIT(s, base, depth, CONF_UNSET);
	CONF_INHERIT(s, base, user, NULL);
	CONF_INHERIT(s, base, buffer, CONF_UNSET);
	CONF_INHERIT(s, base, suites, NULL);
	CONF_INHERIT(s, base, suites13, NULL);
	return s;
}

/* Before it is known which hosts do TLS. */
static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	const struct tls_policy *p = config;

	(void)host_name;
	return p->merged ? 0 : tls_check_mutex(&p->cache, env);
}

struct conf_module tls_module = {
	.name = "ssl_module", .source = "mod_ssl.c", .aka = "socache_shmcb_module mod_socache_shmcb.c", .directives = tls_directives,
	.create_host = create_host, .merge_host = merge_host, .finish_host = finish_host, .create_section = create_section, .merge_section = merge_section,
};

/* ------------------------------------------------------------------------------------------------ questions */

bool tls_policy_enabled(const void *host_config)
{
	return ((const struct tls_policy *)host_config)->engine == 1;
}

bool tls_policy_decided(const void *host_config)
{
	return ((const struct tls_policy *)host_config)->engine != CONF_UNSET;
}

bool tls_policy_has_certificate(const void *host_config)
{
	return ((const struct tls_policy *)host_config)->ncerts > 0;
}

const char *tls_policy_chain_file(const void *host_config)
{
	return ((const struct tls_policy *)host_config)->chain.path;
}

void tls_policy_enable(void *host_config)
{
	((struct tls_policy *)host_config)->engine = 1;
}

bool tls_policy_asks_later(void)
{
	return asks_later;
}

bool tls_policy_strict_sni(const void *host_config)
{
	return ((const struct tls_policy *)host_config)->strict_sni == 1;
}

unsigned tls_section_options(const void *section_config)
{
	const struct tls_section *s = section_config;

	return s ? s->add : 0;
}

/* The default list is ours and so is its order: ChaCha20 costs ten times as much here. A list of the administrator's is Apache's way. */
bool tls_policy_own_order(const struct tls_policy *p)
{
	return p->honor_order == CONF_UNSET ? !p->ciphers && !p->ciphers13 : p->honor_order;
}

const struct tls_cache_settings *tls_cache_settings(const void *main_host_config)
{
	return &((const struct tls_policy *)main_host_config)->cache;
}

const struct tls_dialog *tls_policy_dialog(const void *main_host_config)
{
	return &((const struct tls_policy *)main_host_config)->dialog;
}

const unsigned char *tls_policy_label(const struct tls_policy *p)
{
	return p->label;
}

/* Whether both ask for certificates of clients alike. */
static bool same_clients(const struct tls_policy *a, const struct tls_policy *b)
{
	if (a->verify != b->verify || !a->clients != !b->clients)
		return false;
	return !a->clients || (a->depth == b->depth && a->crl_check == b->crl_check && a->crl_lenient == b->crl_lenient
			       && memcmp(a->clients->ca_hash, b->clients->ca_hash, 32) == 0 && memcmp(a->clients->crl_hash, b->clients->crl_hash, 32) == 0
			       && (tls_policy_ocsp(a) ? a->ocsp.enable : 0) == (tls_policy_ocsp(b) ? b->ocsp.enable : 0) && a->ocsp.lenient == b->ocsp.lenient);
}

bool tls_policy_covers(const struct tls_policy *shown, const struct tls_policy *asked)
{
	if (shown == asked || asked->sni_policy == SNI_INSECURE)
		return true;
	if (asked->sni_policy == SNI_STRICT)
		return false;
	if (asked->sni_policy == SNI_AUTHONLY)
		return same_clients(shown, asked);
	/* A certificate that was checked for one host is good for another that trusts the same; where none is asked for, none is to be seen. */
	return shown->n && asked->n && memcmp(shown->rules, asked->rules, sizeof shown->rules) == 0
	       && (shown->verify == asked->verify || (shown->verify == TLS_VERIFY_REQUIRE && asked->verify == TLS_VERIFY_OPTIONAL));
}

char *tls_protocol_words(unsigned protocols, char *buf)
{
	static const struct { unsigned bit; const char *word; } all[] = {
		{ PROTO_TLS10, "TLSv1" }, { PROTO_TLS11, "TLSv1.1" }, { PROTO_TLS12, "TLSv1.2" }, { PROTO_TLS13, "TLSv1.3" },
	};
	struct buf b;

	buf_init(&b, buf, 48);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (protocols & all[i].bit)
			buf_printf(&b, "%s%s", b.n ? " " : "", all[i].word);
	return buf;
}

const char *tls_policy_summary(const void *host_config, struct conf_env *env)
{
	const struct tls_policy *p = host_config;
	char text[4096];
	struct buf b;

	if (!tls_policy_enabled(p))
		return "off";
	buf_init(&b, text, sizeof text);
	buf_puts(&b, tls_protocol_words((unsigned)tls_protocols_meant(p), (char[48]){ 0 }));
	for (unsigned i = 0; i < p->suites13.n; i++)
		buf_printf(&b, "%c%s", i ? ':' : ' ', p->suites13.at[i]->openssl);
	for (unsigned i = 0; i < p->suites.n; i++)
		buf_printf(&b, "%c%s", i || p->suites13.n ? ':' : ' ', p->suites.at[i]->openssl);
	if (!p->n && p->ciphers)                /* not finished: as written */
		buf_printf(&b, " %s", p->ciphers);
	if (!p->n && p->ciphers13)
		buf_printf(&b, " TLSv1.3 %s", p->ciphers13);
	return conf_strdup(env, text);
}

const char *tls_policy_clients(const void *host_config, const void *main_host_config, struct conf_env *env)
{
	static const char *const verify[] = {
		[TLS_VERIFY_NONE] = "none", [TLS_VERIFY_OPTIONAL_NO_CA] = "optional_no_ca", [TLS_VERIFY_OPTIONAL] = "optional", [TLS_VERIFY_REQUIRE] = "require",
	};
	static const char *const ocsp[] = { "", ", responders are asked (leaf)", ", responders are asked (chain)" };
	const struct tls_policy *p = host_config;
	const struct tls_cache_settings *c = tls_cache_settings(main_host_config);

	return conf_printf(env, "client certificates: %s%s%s%s; sessions: %s and %s, %lld s", verify[p->verify > 0 ? p->verify : 0],
			   p->verify <= TLS_VERIFY_NONE && (p->places || p->base_places || p->ca_file.path || p->ca_path.path) ? ", sections may ask" : "",
			   p->crl_check > CRL_CHECK_NONE ? ", lists of revoked ones" : "", ocsp[p->ocsp.enable > OCSP_OFF ? p->ocsp.enable : OCSP_OFF],
			   c->enabled ? "shared cache" : "no cache", p->tickets == 0 ? "no tickets" : "tickets", (long long)c->timeout_s);
}

/* ------------------------------------------------------------------------------------------------ key files */

unsigned tls_policy_keys(const void *host_config, struct tls_key_file out[TLS_MAX_KEYS])
{
	const struct tls_policy *p = host_config;
	unsigned most = p->ncerts > p->nkeys ? p->ncerts : p->nkeys, n = 0;

	if (!tls_policy_enabled(p) || !p->ncerts)
		return 0;
	for (unsigned i = 0; i < most; i++) {
		const struct tls_file *f = i < p->nkeys ? &p->keys[i] : &p->certs[i];
		bool twice = false;
		for (unsigned k = 0; k < n; k++)
			twice |= strcmp(out[k].path, f->path) == 0;
		if (!twice)
			out[n++] = (struct tls_key_file){ f->path,
							  p->certs[i < p->ncerts ? i : p->ncerts - 1].path,
							  f->pos };
	}
	return n;
}

static void name_files(struct tls_named_file *out, unsigned *n, const struct tls_file *files, unsigned count, const char *what, bool secret)
{
	for (unsigned i = 0; i < count; i++)
		if (files[i].path && !token_is_uri(files[i].path) && *n < TLS_MAX_FILES)
			out[(*n)++] = (struct tls_named_file){ files[i].path, what, secret };
}

unsigned tls_policy_files(const void *host_config, struct tls_named_file out[TLS_MAX_FILES])
{
	const struct tls_policy *p = host_config;
	unsigned n = 0;

	if (!tls_policy_enabled(p))
		return 0;
	/* A file of both is a certificate by name, and secret: fewer keys than certificates are named where it is so. */
	name_files(out, &n, p->certs, p->nkeys < p->ncerts ? p->nkeys : p->ncerts, "certificate", false);
	if (p->nkeys < p->ncerts)
		name_files(out, &n, p->certs + p->nkeys, p->ncerts - p->nkeys, "certificate", true);
	name_files(out, &n, &p->chain, 1, "certificate chain", false);
	name_files(out, &n, p->keys, p->nkeys, "private key", true);
	name_files(out, &n, p->ticket_files, p->nticket_files, "ticket key", true);
	name_files(out, &n, (const struct tls_file[]){ p->ca_file, p->ca_path, p->names_file, p->names_path }, 4, "list of authorities", false);
	name_files(out, &n, (const struct tls_file[]){ p->crl_file, p->crl_path }, 2, "list of revoked certificates", false);
	return n;
}

int64_t tls_policy_expiry(const void *host_config)
{
	const struct tls_policy *p = host_config;
	int64_t first = -1;

	for (unsigned i = 0; i < p->n; i++) {
		int64_t end = gnutls_x509_crt_get_expiration_time(p->at[i].chain.at[0]);

		if (first < 0 || end < first)
			first = end;
	}
	return first;
}

/* ------------------------------------------------------------------------------------------------ suites */

static bool has_certificate_for(const struct tls_policy *p, const struct suite *s)
{
	for (unsigned i = 0; i < p->n; i++) {
		bool rsa = p->at[i].algorithm == GNUTLS_PK_RSA || p->at[i].algorithm == GNUTLS_PK_RSA_PSS;
		if (s->auth == AUTH_RSA ? rsa && !(s->kx == KX_RSA && p->at[i].algorithm != GNUTLS_PK_RSA)
					: !rsa)
			return true;
	}
	return false;
}

/* Then no suite may let a client in without a certificate's exchange. */
static bool asks_clients(const struct tls_policy *p)
{
	return p->clients || p->places || p->base_places;
}

/* What suites without certificates need. That they are allowed was said where they are written. */
static int allow_anonymous(struct tls_policy *p, struct conf_env *env)
{
	int r;

	for (unsigned i = 0; i < p->suites.n; i++) {
		if (p->suites.at[i]->auth != AUTH_NULL)
			continue;
		if ((r = gnutls_anon_allocate_server_credentials(&p->anonymous)) >= 0
		    && (r = gnutls_anon_set_server_known_dh_params(p->anonymous, GNUTLS_SEC_PARAM_MEDIUM)) >= 0)
			return 0;
		conf_report(env, CONF_ERROR, &p->ciphers_pos, NULL, "host %s: suites without certificates cannot be used: %s", p->name,
			    gnutls_strerror(r));
		return -1;
	}
	return 0;
}

/* Leaves what the protocols and certificates allow. */
static void keep_usable(struct tls_policy *p)
{
	bool old = p->protocols & (PROTO_TLS10 | PROTO_TLS11), tls12 = p->protocols & PROTO_TLS12;
	unsigned n = 0;

	for (unsigned i = 0; i < p->suites.n; i++) {
		const struct suite *s = p->suites.at[i];
		if ((tls12 || (old && s->since < 0x0303)) && (s->auth == AUTH_NULL ? !asks_clients(p) : has_certificate_for(p, s)))
			p->suites.at[n++] = s;
	}
	p->suites.n = n;
	if (!(p->protocols & PROTO_TLS13))
		p->suites13.n = 0;
}

/* What the label has of them: so that sessions outlive a change from one kind of certificate to another. */
static int hash_written(struct tls_policy *p, struct err *e)
{
	const struct suite_list *lists[] = { &p->suites, &p->suites13 };
	char text[2048];
	struct buf b;
	int r;

	buf_init(&b, text, sizeof text);
	for (unsigned l = 0; l < 2; l++)
		for (unsigned i = 0; i < lists[l]->n; i++)
			buf_printf(&b, " %04x", lists[l]->at[i]->id);
	r = gnutls_hash_fast(GNUTLS_DIG_SHA256, text, b.n, p->written);
	return r < 0 ? err_set(e, "the suites cannot be hashed: %s", gnutls_strerror(r)) : 0;
}

static int evaluate_suites(struct tls_policy *p, struct conf_env *env)
{
	const char *text = p->ciphers;
	struct err e = { 0 };
	bool before13;

	before13 = p->protocols & (PROTO_TLS10 | PROTO_TLS11 | PROTO_TLS12);
	if (!text)
		text = conf_printf(env, "%s%s", cipher_default,
				   p->protocols & (PROTO_TLS10 | PROTO_TLS11) ? cipher_default_old : "");
	if (cipherstring_eval(text, &p->suites, NULL, NULL, &e) != 0)
		return tls_policy_fault(env, &p->ciphers_pos, &e);
	if (cipherstring_eval13(p->ciphers13 ? p->ciphers13 : cipher_default13, &p->suites13, &e) != 0)
		return tls_policy_fault(env, &p->ciphers13_pos, &e);
	if (hash_written(p, &e) != 0)
		return tls_policy_fault(env, &p->ciphers_pos, &e);
	keep_usable(p);
	if (p->suites.n || !before13)
		return allow_anonymous(p, env);
	conf_report(
		env, p->suites13.n ? CONF_WARNING : CONF_ERROR,
		p->ciphers ? &p->ciphers_pos : &p->certs[0].pos,
		"choose suites that fit the certificate (ECDHE-ECDSA-… or ECDHE-RSA-…), or add a certificate of the other kind",
		"host %s: no suite of SSLCipherSuite goes with its certificate (%s) and protocols before TLS 1.3",
		p->name, gnutls_pk_get_name(p->at[0].algorithm));
	return p->suites13.n ? 0 : -1;
}

static int make_priorities(struct tls_policy *p, struct conf_env *env)
{
	bool own = tls_policy_own_order(p);
	struct err e = { 0 };

	if (!p->ngroups)
		for (; p->ngroups < 4; p->ngroups++)    /* X25519, P-256, P-384, P-521 */
			p->groups[p->ngroups] = &tls_groups[p->ngroups];
	for (unsigned i = 0; i < p->suites.n; i++)
		if (!(p->prio[i] = priority_of_suite(p, p->suites.at[i], &e)))
			return tls_policy_fault(env, &p->ciphers_pos, &e);
	for (unsigned i = 0; i < (own && p->suites13.n ? 1 : p->suites13.n); i++)
		for (unsigned g = 0; g < p->ngroups; g++)
			if (!(p->prio13[i][g] = priority_of_tls13(p, i, g, &e)))
				return tls_policy_fault(env, &p->ciphers13_pos, &e);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the label */

/* Values only, no addresses nor times: the same configuration gives the same label after a restart. */
static void put_hash(struct buf *b, const char *word, const unsigned char hash[32])
{
	buf_printf(b, "%s ", word);
	for (unsigned i = 0; i < 32; i++)
		buf_printf(b, "%02x", hash[i]);
	buf_putc(b, '\n');
}

static int make_label(struct tls_policy *p, struct conf_env *env)
{
	char text[2048];
	struct buf b;
	int r;

	buf_init(&b, text, sizeof text);
	buf_printf(&b, "tls policy 3\nprotocols %x\n", (unsigned)p->protocols);
	if (p->clients) {
		buf_printf(&b, "depth %d\nrevocation %d %d\n", p->depth, p->crl_check, p->crl_lenient);
		put_hash(&b, "authorities", p->clients->ca_hash);
		put_hash(&b, "revoked", p->clients->crl_hash);
		if (tls_policy_ocsp(p))
			buf_printf(&b, "responders %d %d\n", p->ocsp.enable, p->ocsp.lenient);
	}
	if (p->signatures)
		buf_printf(&b, "signatures %s\n", p->signatures);
	put_hash(&b, "suites", p->written);
	if ((r = gnutls_hash_fast(GNUTLS_DIG_SHA256, text, b.n, p->rules)) >= 0) {
		buf_printf(&b, "\nverify %d\nhost %s\n", p->verify, p->name);
		r = gnutls_hash_fast(GNUTLS_DIG_SHA256, text, b.n, p->label);
	}
	if (r >= 0)
		return 0;
	conf_report(env, CONF_ERROR, &p->certs[0].pos, NULL, "host %s: its TLS policy cannot be hashed: %s", p->name,
		    gnutls_strerror(r));
	return -1;
}

int tls_policy_finish(void *host_config, const char *name, const struct key_ref *refs, unsigned n,
		      struct conf_env *env)
{
	struct tls_policy *p = host_config;

	if (!tls_policy_enabled(p))
		return 0;
	p->name = conf_strdup(env, name);
	p->ticket_group = tls_policy_ticket_group(p);
	tls_take_policy(p);
	p->protocols = tls_protocols_meant(p);
	if (authorities_load(p, env) != 0)
		return -1;
	asks_later |= p->clients && p->verify < TLS_VERIFY_REQUIRE && p->protocols & PROTO_TLS13;
	if (certificates_load(p, refs, n, env) != 0 || staple_finish(p, env) != 0 || evaluate_suites(p, env) != 0
	    || authorities_tell(p, env) != 0 || make_priorities(p, env) != 0 || make_label(p, env) != 0)
		return -1;
	return 0;
}

void tls_policy_free(void *host_config)
{
	struct tls_policy *p = host_config;

	certificates_free(p);
	if (p->anonymous)
		gnutls_anon_free_server_credentials(p->anonymous);
	p->anonymous = NULL;
	authorities_free(p);
	ocsp_free(&p->ocsp);
	for (unsigned i = 0; i < SUITES_MAX; i++) {
		priority_put(p->prio[i]);
		p->prio[i] = NULL;
	}
	for (unsigned i = 0; i < SUITES13_MAX; i++)
		for (unsigned g = 0; g < TLS_GROUPS; g++) {
			priority_put(p->prio13[i][g]);
			p->prio13[i][g] = NULL;
		}
}
