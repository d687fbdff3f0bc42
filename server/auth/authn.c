/*
 * authn.c - the directives about users and passwords, and what AuthType Basic and Digest have in common. Runs in the master
 * while a configuration is read, and in the children.
 */
#include "auth/authn.h"

#include <string.h>
#include <strings.h>

#include "request/phases.h"
#include "request/variables.h"

#define SHOWN 256                       /* bytes of a name that the log shows */

struct authn_alias {
	const char *name;
	struct authn_provider provider;
	struct authn_alias *next;
};

/* ---------------------------------------------------------------------------------------------- structures */

static void *create_section(struct conf_env *env)
{
	struct authn_section *s = conf_alloc(env, sizeof *s);

	s->type = s->authoritative = s->fake = s->hashed = s->any_guest = s->no_name = s->must_email = CONF_UNSET;
	s->verify_email = s->log_email = s->no_qop = s->check_nc = CONF_UNSET;
	s->lifetime_ms = -2;
	return s;
}

static void *merge_section(struct conf_env *env, const void *pbase, const void *pover)
{
	const struct authn_section *base = pbase;
	struct authn_section *m = conf_alloc(env, sizeof *m);

	*m = *(const struct authn_section *)pover;
	CONF_INHERIT(m, base, type, CONF_UNSET);
	if (!m->name)
		m->name_expr = base->name_expr;
	CONF_INHERIT(m, base, name, NULL);
	CONF_INHERIT(m, base, user_file, NULL);
	CONF_INHERIT(m, base, group_file, NULL);
	CONF_INHERIT(m, base, basic, NULL);
	CONF_INHERIT(m, base, digest, NULL);
	CONF_INHERIT(m, base, authoritative, CONF_UNSET);
	if (m->fake == CONF_UNSET) {
		m->fake = base->fake;
		m->fake_user = base->fake_user;
		m->fake_password = base->fake_password;
	}
	CONF_INHERIT(m, base, hashed, CONF_UNSET);
	CONF_INHERIT(m, base, guests, NULL);
	CONF_INHERIT(m, base, any_guest, CONF_UNSET);
	CONF_INHERIT(m, base, no_name, CONF_UNSET);
	CONF_INHERIT(m, base, must_email, CONF_UNSET);
	CONF_INHERIT(m, base, verify_email, CONF_UNSET);
	CONF_INHERIT(m, base, log_email, CONF_UNSET);
	CONF_INHERIT(m, base, domain, NULL);
	CONF_INHERIT(m, base, no_qop, CONF_UNSET);
	CONF_INHERIT(m, base, check_nc, CONF_UNSET);
	CONF_INHERIT(m, base, lifetime_ms, -2);
	return m;
}

static void *create_host(struct conf_env *env)
{
	struct authn_host *h = conf_alloc(env, sizeof *h);

	h->logins = (struct logins_settings){ .keep_ms = -1, .entries = -1, .failures = -1 };
	h->queue = -1;
	return h;
}

/* Only the main server has a say. */
static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	struct authn_host *h = conf_alloc(env, sizeof *h);

	(void)over;
	*h = *(const struct authn_host *)base;
	return h;
}

static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	struct authn_host *h = config;

	(void)host_name;
	if (h->logins.keep_ms < 0)
		h->logins.keep_ms = 60000;
	if (h->logins.entries < 0)
		h->logins.entries = 256;
	if (h->logins.failures < 0)
		h->logins.failures = 100;
	if (h->queue < 0)
		h->queue = 64;
	if (digest_prepare() == 0)
		return 0;
	conf_report(env, CONF_ERROR, NULL, "free memory, or raise the limits of this process", "there is no memory for the secret of digest authentication");
	return -1;
}

/* ---------------------------------------------------------------------------------------------- setters */

static int set_type(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct conf_choice words[] = { { "None", AUTH_NONE }, { "Basic", AUTH_BASIC }, { "Digest", AUTH_DIGEST }, { NULL, 0 } };

	(void)argc;
	for (const struct conf_choice *w = words; w->word; w++)
		if (strcasecmp(w->word, argv[0]) == 0) {
			((struct authn_section *)config)->type = w->value;
			reading_of(call)->site->asks_passwords |= w->value == AUTH_BASIC;
			return 0;
		}
	if (strcasecmp(argv[0], "Form") == 0)
		return conf_fail(call, "use AuthType Basic inside TLS, or let the application ask by a form", "AuthType Form does not exist here");
	return conf_fail(call, "write one of: None, Basic, Digest", "\"%s\" is not known here", argv[0]);
}

static int set_name(struct conf_call *call, void *config, int argc, char **argv)
{
	struct authn_section *s = config;

	(void)argc;
	s->name = argv[0];
	s->name_expr = NULL;
	if (!strstr(argv[0], "%{"))
		return 0;
	s->name_expr = variables_text(call, argv[0]);
	return s->name_expr ? 0 : -1;
}

static int set_file(struct conf_call *call, void *config, int argc, char **argv)
{
	/* An old form: AuthUserFile FILE standard */
	if (argc == 2 && strcasecmp(argv[1], "standard") != 0)
		return conf_fail(call, "put a name that holds blanks in quotes", "only one file fits");
	return conf_set_path(call, config, 1, argv);
}

static const char no_database[] = "users are read from text files: AuthBasicProvider file, and AuthUserFile";

static int set_provider(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const elsewhere[] = { "dbm", "dbd", "ldap", "socache", NULL };
	struct authn_section *s = config;
	bool basic = strcasecmp(call->directive->name, "AuthBasicProvider") == 0;
	const struct authn_provider **tail = basic ? &s->basic : &s->digest;
	const struct authn_host *h = reading_of(call)->site->main->config[authn_module.index];
	struct authn_provider *p = conf_alloc(call->env, sizeof *p);
	bool known = strcmp(argv[0], "file") == 0 || (basic && strcmp(argv[0], "anon") == 0);

	(void)argc;
	for (const char *const *e = elsewhere; *e; e++)
		if (strcmp(*e, argv[0]) == 0)
			return conf_fail(call, no_database, "\"%s\" does not exist here", argv[0]);
	p->kind = strcmp(argv[0], "anon") == 0 ? PROVIDER_ANON : PROVIDER_FILE;
	for (const struct authn_alias *a = h ? h->aliases : NULL; a && !known; a = a->next)
		if (strcmp(a->name, argv[0]) == 0 && (basic || a->provider.kind == PROVIDER_FILE)) {
			*p = a->provider;
			known = true;
		}
	if (!known)
		return conf_fail(call, basic ? "there are file and anon, and those of <AuthnProviderAlias> above" : "there is file, and those of <AuthnProviderAlias> above",
				 "there is no provider named \"%s\"", argv[0]);
	while (*tail)
		tail = &((struct authn_provider *)(uintptr_t)*tail)->next;
	*tail = p;
	return 0;
}

/* <AuthnProviderAlias file staff>: a provider with settings of its own. */
static int set_alias(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *rest = argc ? argv[0] : "", *base = conf_word(call->env, &rest), *name = conf_word(call->env, &rest);
	struct authn_host *h = config;
	struct reading inner = *reading_of(call);
	struct conf_target target = *call->target;
	struct authn_alias *a = conf_alloc(call->env, sizeof *a);

	if (!base || !name || !*name || conf_word(call->env, &rest))
		return conf_fail(call, "for example: <AuthnProviderAlias file staff>", "a provider and a new name are wanted");
	if (strcmp(base, "file") != 0 && strcmp(base, "anon") != 0)
		return conf_fail(call, "there are file and anon", "there is no provider named \"%s\"", base);
	if (strcmp(name, "file") == 0 || strcmp(name, "anon") == 0)
		return conf_fail(call, "choose another name", "\"%s\" is a provider already", name);
	target.section = conf_alloc(call->env, (inner.site->nmodules + 1) * sizeof *target.section);
	target.section[authn_module.index] = create_section(call->env);
	target.owner = &inner;
	a->name = name;
	a->provider = (struct authn_provider){ .kind = strcmp(base, "anon") == 0 ? PROVIDER_ANON : PROVIDER_FILE, .own = target.section[authn_module.index] };
	a->next = h->aliases;
	h->aliases = a;
	return conf_apply(call->node->child, inner.site->modules, CONF_DIRECTORY, &target, call->env);
}

static int set_fake(struct conf_call *call, void *config, int argc, char **argv)
{
	struct authn_section *s = config;

	s->fake_user = s->fake_password = NULL;
	s->fake = !(argc == 1 && strcasecmp(argv[0], "off") == 0);
	if (!s->fake)
		return 0;
	s->fake_user = variables_text(call, argv[0]);
	s->fake_password = variables_text(call, argc == 2 ? argv[1] : "password");
	return s->fake_user && s->fake_password ? 0 : -1;
}

static int set_guest(struct conf_call *call, void *config, int argc, char **argv)
{
	struct authn_section *s = config;
	unsigned n = 0;
	const char **grown;

	(void)argc;
	if (strcmp(argv[0], "*") == 0) {
		s->any_guest = 1;
		return 0;
	}
	while (s->guests && s->guests[n])
		n++;
	grown = conf_alloc(call->env, (n + 2) * sizeof *grown);
	if (n)
		memcpy(grown, s->guests, n * sizeof *grown);
	grown[n] = argv[0];
	s->guests = grown;
	return 0;
}

static int set_qop(struct conf_call *call, void *config, int argc, char **argv)
{
	struct authn_section *s = config;

	for (int i = 0; i < argc; i++) {
		if (strcasecmp(argv[i], "auth-int") == 0)
			return conf_fail(call, "write AuthDigestQop auth", "bodies cannot be checked (auth-int)");
		if (strcasecmp(argv[i], "none") != 0 && strcasecmp(argv[i], "auth") != 0)
			return conf_fail(call, "write auth or none", "\"%s\" is no quality of protection", argv[i]);
		s->no_qop = strcasecmp(argv[i], "none") == 0;
	}
	return 0;
}

static int set_algorithm(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	if (strcasecmp(argv[0], "MD5") == 0)
		return 0;
	return conf_fail(call, "write MD5; the files of htdigest hold no other", "the algorithm %s is not available", argv[0]);
}

static int set_hashed(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	if (strcasecmp(argv[0], "MD5") != 0 && strcasecmp(argv[0], "Off") != 0)
		return conf_fail(call, "write MD5 or Off", "\"%s\" is neither", argv[0]);
	((struct authn_section *)config)->hashed = strcasecmp(argv[0], "MD5") == 0;
	return 0;
}

/* Seconds; below 0: without end. */
static int set_lifetime(struct conf_call *call, void *config, int argc, char **argv)
{
	struct authn_section *s = config;

	if (conf_set_number(call, config, argc, argv) != 0)
		return -1;
	s->lifetime_ms = s->lifetime_ms < 0 ? -1 : s->lifetime_ms * 1000;
	return 0;
}

static int set_domain(struct conf_call *call, void *config, int argc, char **argv)
{
	struct authn_section *s = config;

	(void)argc;
	if (strpbrk(argv[0], "\"\\ "))
		return conf_fail(call, "write paths or addresses, separated by blanks", "\"%s\" is no address", argv[0]);
	s->domain = s->domain ? conf_printf(call->env, "%s %s", s->domain, argv[0]) : argv[0];
	return 0;
}

/* AuthPasswordCache 60 256 */
static int set_cache(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct conf_directive size = { .name = "AuthPasswordCache", .offset = offsetof(struct authn_host, logins.entries), .low = 4, .high = 65536 };
	struct conf_call second = *call;

	if (conf_set_seconds(call, config, 1, argv) != 0)
		return -1;
	second.directive = &size;
	return argc == 2 ? conf_set_number(&second, config, 1, argv + 1) : 0;
}

/* ---------------------------------------------------------------------------------------------- the table */

#define SECTION .contexts = CONF_SECTIONS | CONF_HTACCESS, .override = CONF_OR_AUTHCONFIG, .scope = CONF_OF_SECTION
#define ONE .args = CONF_TAKE, .min = 1, .max = 1
#define EACH(setter) .args = CONF_ITERATE, .set = setter
#define AT(f) .offset = offsetof(struct authn_section, f)
#define SWITCH(f) .args = CONF_FLAG, .set = conf_set_flag, AT(f)
static const char kept[] = "good passwords are kept for a while anyway: AuthPasswordCache says how long";
static const char shared_memory[] = "the counts of nonces have a table of a fixed size";
#define NOTICE(why) .args = CONF_RAW, .set = conf_set_notice, .extra = why

static const struct conf_directive directives[] = {
	{ "AuthType", "how users prove who they are: None, Basic, Digest", "None", SECTION, ONE, .set = set_type },
	{ "AuthName", "what a password is asked for (the realm)", NULL, SECTION, ONE, .set = set_name },
	{ "AuthUserFile", "a file of users and hashes of their passwords", NULL, SECTION, .args = CONF_TAKE, .min = 1, .max = 2, .set = set_file, AT(user_file) },
	{ "AuthGroupFile", "a file of groups", NULL, SECTION, .args = CONF_TAKE, .min = 1, .max = 2, .set = set_file, AT(group_file) },
	{ "AuthBasicProvider", "where users are looked for, in this order", "file", SECTION, EACH(set_provider) },
	{ "AuthBasicAuthoritative", "whether an unknown user is refused here", "On", SECTION, SWITCH(authoritative) },
	{ "AuthBasicFake", "the user and password that handlers see", "Off", SECTION, .args = CONF_TAKE, .min = 1, .max = 2, .set = set_fake },
	{ "AuthBasicUseDigestAlgorithm", "MD5: files as Digest has them", "Off", SECTION, ONE, .set = set_hashed },
	{ "Anonymous", "names of guests, who give their address as the password", NULL, SECTION, EACH(set_guest) },
	{ "Anonymous_NoUserID", "whether guests may leave their name out", "Off", SECTION, SWITCH(no_name) },
	{ "Anonymous_MustGiveEmail", "whether guests must give a password", "On", SECTION, SWITCH(must_email) },
	{ "Anonymous_VerifyEmail", "whether it must look like an address", "Off", SECTION, SWITCH(verify_email) },
	{ "Anonymous_LogEmail", "whether it is written to the log", "On", SECTION, SWITCH(log_email) },
	{ "AuthDigestProvider", "where users are looked for, in this order", "file", SECTION, EACH(set_provider) },
	{ "AuthDigestDomain", "addresses that a password is good for, too", NULL, SECTION, EACH(set_domain) },
	{ "AuthDigestQop", "auth, or none for clients of RFC 2069", "auth", SECTION, .args = CONF_TAKE, .min = 1, .set = set_qop },
	{ "AuthDigestAlgorithm", "MD5", "MD5", SECTION, ONE, .set = set_algorithm },
	{ "AuthDigestNonceLifetime", "seconds that a nonce is good for; 0: one request; below 0: without end", "300", SECTION, ONE, .set = set_lifetime,
	  AT(lifetime_ms), .low = -31536000, .high = 31536000 },
	{ "AuthDigestNcCheck", "whether an answer may be used once only", "Off", SECTION, SWITCH(check_nc) },
	{ "AuthDigestShmemSize", "accepted: the table has a fixed size", NULL, .contexts = CONF_SERVER, NOTICE(shared_memory) },
	{ "<AuthnProviderAlias", "a provider with settings of its own", NULL, .contexts = CONF_SERVER, .args = CONF_SECTION, .set = set_alias },
	{ "AuthPasswordCache", "seconds that a good password need not be hashed again, and how many are kept; 0: none", "60 256", .contexts = CONF_SERVER,
	  .args = CONF_TAKE, .min = 1, .max = 2, .set = set_cache, .offset = offsetof(struct authn_host, logins.keep_ms), .low = 0, .high = 3600 },
	{ "AuthPasswordQueue", "logins that wait for a hash in a child before more get 503", "64", .contexts = CONF_SERVER, ONE, .set = conf_set_number,
	  .offset = offsetof(struct authn_host, queue), .low = 1, .high = 65536 },
	{ "AuthFailureLimit", "failed logins a minute of an address in a child, before it gets 429; 0: no limit", "100", .contexts = CONF_SERVER, ONE,
	  .set = conf_set_number, .offset = offsetof(struct authn_host, logins.failures), .low = 0, .high = 1000000 },
	{ "AuthnCacheEnable", "accepted: see AuthPasswordCache", NULL, .contexts = CONF_SERVER, NOTICE(kept) },
	{ "AuthnCacheSOCache", "accepted: see AuthPasswordCache", NULL, .contexts = CONF_SERVER, NOTICE(kept) },
	{ "AuthnCacheProvideFor", "accepted: see AuthPasswordCache", NULL, SECTION, NOTICE(kept) },
	{ "AuthnCacheTimeout", "accepted: see AuthPasswordCache", NULL, SECTION, NOTICE(kept) },
	{ "AuthnCacheContext", "accepted: see AuthPasswordCache", NULL, SECTION, NOTICE(kept) },
	{ .name = NULL },
};

struct conf_module authn_module = {
	.name = "authn_core_module",
	.source = "mod_authn_core.c",
	.aka = "auth_basic_module mod_auth_basic.c auth_digest_module mod_auth_digest.c authn_file_module mod_authn_file.c authn_anon_module mod_authn_anon.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
	.create_host = create_host,
	.merge_host = merge_host,
	.finish_host = finish_host,
};

/* ---------------------------------------------------------------------------------------------- what both types need */

const struct authn_host *authn_host_of(const struct request *r)
{
	return host_config(r->site->main, &authn_module);
}

const char *authn_group_file(const struct request *r)
{
	return authn_section_of(r)->group_file;
}

const struct authn_provider *authn_default_provider(void)
{
	static const struct authn_provider file = { .kind = PROVIDER_FILE };

	return &file;
}

bool authn_is_set(const struct request *r)
{
	return authn_section_of(r)->type > AUTH_NONE;
}

const char *authn_realm(struct request *r)
{
	const struct authn_section *s = authn_section_of(r);
	const char *name = s->name_expr ? variables_string(r, s->name_expr) : s->name;

	if (!name)
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0634", "need AuthName: %s (it is what a password is asked for: AuthName \"Members\")", r->path);
	return name;
}

const char *authn_shown(struct request *r, const char *user)
{
	char text[SHOWN];
	struct buf b;

	buf_init(&b, text, sizeof text);
	buf_put_log(&b, text_of(user));
	return arena_strdup(r->arena, text);
}

const char *authn_quoted(struct request *r, const char *s)
{
	char *out = arena_alloc(r->arena, strlen(s) * 2 + 3), *p = out;

	if (!out)
		return NULL;
	*p++ = '"';
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			*p++ = '\\';
		*p++ = (unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s;
	}
	*p++ = '"';
	*p = '\0';
	return out;
}

unsigned authn_challenge(struct request *r, bool stale)
{
	const struct authn_section *s = authn_section_of(r);
	const char *realm, *value = NULL;

	if (s->type != AUTH_BASIC && s->type != AUTH_DIGEST)
		return 401;
	realm = authn_realm(r);
	if (!realm)
		return 500;
	if (s->type == AUTH_DIGEST)
		value = digest_challenge(r, s, realm, stale);
	else if ((realm = authn_quoted(r, realm)))
		value = arena_printf(r->arena, "Basic realm=%s", realm);
	fields_remove(&r->always, "WWW-Authenticate");
	return value && fields_add(&r->always, TEXT("WWW-Authenticate"), text_of(value)) == 0 ? 401 : 503;
}

unsigned authn_limited(struct request *r)
{
	unsigned seconds = logins_refused(&authn_host_of(r)->logins, &r->client->peer);

	if (!seconds)
		return 0;
	fields_set(&r->always, "Retry-After", arena_printf(r->arena, "%u", seconds));
	log_infox(&r->client->about, LOG_AUTHZ, "BH0633", "%s answered with 429: too many logins from this address failed", r->path);
	return 429;
}

unsigned authn_failed(struct request *r, const char *user, bool stale)
{
	const struct logins_settings *s = &authn_host_of(r)->logins;

	r->user = user;                         /* for the access line, as Apache has it */
	if (logins_failed(s, &r->client->peer))
		log_warnx(&r->client->about, LOG_AUTHZ, "BH0632", "%lld logins from this address failed within a minute (AuthFailureLimit): more are refused for now",
			  (long long)s->failures);
	return authn_challenge(r, stale);
}

/* ---------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Whether who is known by the one is known by the other. */
static bool same_way(const struct authn_section *a, const struct authn_section *b)
{
	return a == b || (a->type == b->type && same_text(a->name, b->name) && a->name_expr == b->name_expr && same_text(a->user_file, b->user_file)
			  && a->basic == b->basic && a->digest == b->digest && a->guests == b->guests);
}

unsigned authn_run(struct request *r)
{
	const struct authn_section *s = authn_section_of(r);
	const struct request *known = r->user && r->authn ? r : r->parent && r->parent->user && r->parent->authn ? r->parent : NULL;
	unsigned status = 0;

	if (s->type != AUTH_BASIC && s->type != AUTH_DIGEST)
		return 0;
	if (known && same_way(known->authn, s)) {
		r->user = known->user;
		r->auth_type = known->auth_type;
		r->authn = s;
		return 0;
	}
	status = s->type == AUTH_BASIC ? basic_run(r, s) : digest_run(r, s);
	if (status == 0) {
		r->auth_type = s->type == AUTH_BASIC ? "Basic" : "Digest";
		r->authn = s;
	}
	return status;
}
