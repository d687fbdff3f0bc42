/*
 * access.c - Require trees: made by the master from the configuration, asked by the children for each request.
 *
 * A tree is a row of rules under an operator, as in Apache: lines that stand side by side are a <RequireAny>. A rule
 * says granted, denied, or nothing (a negated rule that does not strike; a rule limited to other methods inside
 * an Any); a tree that says nothing denies.
 */
#include "request/access.h"

#include <string.h>
#include <strings.h>

#include "request/core.h"
#include "request/phases.h"
#include "request/sections.h"

#define ALL_METHODS ((1u << HTTP_METHODS) - 1)
#define NAME_LONGEST 253                /* RFC 1035 */

enum verdict { NEUTRAL, DENIED, GRANTED };
enum rule_kind { RULE_GROUP, RULE_ALL, RULE_IP, RULE_METHOD, RULE_LOCAL, RULE_ENV, RULE_SSL, RULE_VERIFIED, RULE_HOST, RULE_FORWARD_DNS };

struct rule {
	enum rule_kind kind;
	bool negate;                    /* Require not, <RequireNone> */
	bool all;                       /* RULE_GROUP: every member must grant; else one */
	unsigned limit;                 /* the methods it speaks of */
	bool granted;                   /* RULE_ALL */
	unsigned methods;               /* RULE_METHOD */
	const struct prefix *prefixes;  /* RULE_IP */
	const char **names;             /* RULE_ENV, RULE_HOST, RULE_FORWARD_DNS */
	unsigned n;                     /* of prefixes or names */
	struct rule *first, *last;      /* RULE_GROUP */
	struct rule *next;
	struct conf_pos pos;
};

enum merging { MERGING_OFF, MERGING_AND, MERGING_OR };
struct access_section {
	struct rule *root;              /* a group, or NULL: no rule stands here */
	int merging;                    /* enum merging */
	int require_ssl;
};

/* ---------------------------------------------------------------------------------------------- structures */

static void *create_section(struct conf_env *env)
{
	struct access_section *a = conf_alloc(env, sizeof *a);

	a->merging = a->require_ssl = CONF_UNSET;
	return a;
}

static void group_add(struct rule *group, struct rule *rule)
{
	if (group->last)
		group->last->next = rule;
	else
		group->first = rule;
	group->last = rule;
	group->limit |= rule->limit;
}

/* AuthMerging joins two trees under one operator: copies of their tops, since a top may hang in several merged sets. */
static struct rule *joined(struct conf_env *env, const struct rule *base, const struct rule *over, bool all)
{
	struct rule *group = conf_alloc(env, sizeof *group), *copies = conf_alloc(env, 2 * sizeof *copies);

	copies[0] = *base;
	copies[1] = *over;
	copies[0].next = copies[1].next = NULL;
	group->all = all;
	group->pos = over->pos;
	group_add(group, &copies[0]);
	group_add(group, &copies[1]);
	return group;
}

/* As Apache: an operator counts on its own, too, and goes on to what this is merged onto in turn. Off alone lets go of the outer rules. */
static void *merge_section(struct conf_env *env, const void *pbase, const void *pover)
{
	const struct access_section *base = pbase, *over = pover;
	struct access_section *m = conf_alloc(env, sizeof *m);

	*m = *over;
	if (over->merging == CONF_UNSET && !over->root) {
		m->root = base->root;
		m->merging = base->merging;
	} else if (over->merging > MERGING_OFF && base->root) {
		m->root = over->root ? joined(env, base->root, over->root, over->merging == MERGING_AND) : base->root;
	}
	if (m->require_ssl == CONF_UNSET)
		m->require_ssl = base->require_ssl;
	return m;
}

/* ---------------------------------------------------------------------------------------------- setters */

static struct rule *group_new(struct conf_call *call, bool all, bool negate)
{
	struct rule *group = conf_alloc(call->env, sizeof *group);

	group->kind = RULE_GROUP;
	group->all = all;
	group->negate = negate;
	group->pos = call->node->pos;
	return group;
}

/* Hangs a rule into the group that is being read: the section's own, an Any, unless a container is open. */
static int rule_add(struct conf_call *call, struct access_section *a, struct rule *rule)
{
	if (!a->root)
		a->root = group_new(call, false, false);
	if (rule->negate && !a->root->all)
		return conf_fail(call, "put it, with what grants access, into a <RequireAll>",
				 "a negated rule has no effect among rules of which one is enough");
	group_add(a->root, rule);
	return 0;
}

static int rule_ip(struct conf_call *call, struct rule *rule, const char *rest)
{
	struct prefix *prefixes = NULL, *grown;
	const char *word;

	while ((word = conf_word(call->env, &rest)) && *word) {
		grown = conf_alloc(call->env, (rule->n + 1) * sizeof *grown);
		if (prefixes)
			memcpy(grown, prefixes, rule->n * sizeof *grown);
		prefixes = grown;
		if (prefix_parse(&prefixes[rule->n], word) != 0)
			return conf_fail(call, "write addresses like 192.0.2.1, 192.0.2.0/24, 192.0.2 or 2001:db8::/32, separated by blanks",
					 "\"%s\" is no address", word);
		rule->n++;
	}
	rule->prefixes = prefixes;
	return rule->n ? 0 : conf_fail(call, NULL, "no address is given");
}

static int rule_method(struct conf_call *call, struct rule *rule, const char *rest)
{
	const char *word;

	while ((word = conf_word(call->env, &rest)) && *word) {
		enum http_method m = http_method_find(text_of(word));
		if (m == HTTP_OTHER)
			return conf_fail(call, "methods are written in capitals", "the method %s is not known here", word);
		rule->methods |= sections_method_bits(m);
	}
	return rule->methods ? 0 : conf_fail(call, NULL, "no method is given");
}

static int rule_words(struct conf_call *call, struct rule *rule, const char *rest)
{
	const char *word;

	while ((word = conf_word(call->env, &rest)) && *word) {
		const char **grown = conf_alloc(call->env, (rule->n + 1) * sizeof *grown);
		if (rule->n)
			memcpy(grown, rule->names, rule->n * sizeof *grown);
		grown[rule->n++] = word;
		rule->names = grown;
	}
	return rule->n ? 0 : conf_fail(call, NULL, "nothing is named");
}

static int rule_names(struct conf_call *call, struct rule *rule, const char *rest)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (rule_words(call, rule, rest) != 0)
		return -1;
	for (unsigned i = 0; i < rule->n; i++)
		if (rule->names[i][strspn(rule->names[i], good)] || strlen(rule->names[i]) > NAME_LONGEST)
			return conf_fail(call, "write names like www.example.org, separated by blanks", "\"%s\" is no host name", rule->names[i]);
	((struct reading *)call->target->owner)->site->asks_names = true;
	return 0;
}

static int rule_all(struct conf_call *call, struct rule *rule, const char *rest)
{
	const char *word = conf_word(call->env, &rest);

	rule->granted = word && strcasecmp(word, "granted") == 0;
	if (!word || (!rule->granted && strcasecmp(word, "denied") != 0) || conf_word(call->env, &rest))
		return conf_fail(call, NULL, "\"all\" is followed by granted or denied, and nothing more");
	return 0;
}

static int rule_bare(struct conf_call *call, struct rule *rule, const char *rest)
{
	(void)rule;
	return conf_word(call->env, &rest) ? conf_fail(call, NULL, "it takes no further words") : 0;
}

static const struct provider {
	const char *name;
	enum rule_kind kind;
	int (*parse)(struct conf_call *call, struct rule *rule, const char *rest);
	const char *remedy;             /* parse NULL: known, but not here */
} providers[] = {
	{ "all", RULE_ALL, rule_all, NULL },
	{ "ip", RULE_IP, rule_ip, NULL },
	{ "method", RULE_METHOD, rule_method, NULL },
	{ "local", RULE_LOCAL, rule_bare, NULL },
	{ "env", RULE_ENV, rule_words, NULL },
	{ "ssl", RULE_SSL, rule_bare, NULL },
	{ "host", RULE_HOST, rule_names, NULL },
	{ "forward-dns", RULE_FORWARD_DNS, rule_names, NULL },
	{ "expr", 0, NULL, "expressions come with a later release: write Require ip, method, env or all in its place" },
	{ "ssl-verify-client", RULE_VERIFIED, rule_bare, NULL },
	{ "valid-user", 0, NULL, "users and passwords come with a later release: write Require ip or Require all denied in its place" },
	{ "user", 0, NULL, "users and passwords come with a later release: write Require ip or Require all denied in its place" },
	{ "group", 0, NULL, "users and passwords come with a later release: write Require ip or Require all denied in its place" },
	{ "file-owner", 0, NULL, "users and passwords come with a later release: write Require ip or Require all denied in its place" },
	{ "file-group", 0, NULL, "users and passwords come with a later release: write Require ip or Require all denied in its place" },
	{ "dbm-group", 0, NULL, "users and passwords come with a later release: write Require ip or Require all denied in its place" },
	{ NULL, 0, NULL, NULL },
};

static int set_require(struct conf_call *call, void *config, int argc, char **argv)
{
	struct rule *rule = conf_alloc(call->env, sizeof *rule);
	const char *rest = argv[0], *word = conf_word(call->env, &rest);
	const struct provider *p = providers;

	(void)argc;
	if (word && strcasecmp(word, "not") == 0) {
		rule->negate = true;
		word = conf_word(call->env, &rest);
	}
	if (!word || !*word)
		return conf_fail(call, "write Require all granted, Require all denied or Require ip ADDRESS", "nothing is required");
	while (p->name && strcmp(p->name, word) != 0)
		p++;
	if (!p->name)
		return conf_fail(call, "there are all, ip, host, forward-dns, method, local, env, ssl and ssl-verify-client, in small letters", "there is no rule named \"%s\"", word);
	if (!p->parse)
		return conf_fail(call, p->remedy, "\"%s\" is not available in this release", word);
	rule->kind = p->kind;
	rule->limit = call->target->limit ? call->target->limit : ALL_METHODS;
	rule->pos = call->node->pos;
	return p->parse(call, rule, rest) != 0 ? -1 : rule_add(call, config, rule);
}

static bool only_negative(const struct rule *group)
{
	for (const struct rule *i = group->first; i; i = i->next)
		if (!i->negate)
			return false;
	return true;
}

/* Containers hold rules alone: what else stood there would hold for the whole section. */
static int only_rules(struct conf_call *call)
{
	int result = 0;

	for (const struct conf_node *n = call->node->child; n; n = n->next) {
		const struct conf_module *module = NULL;
		if (!conf_find(call->modules, n->name, &module) || module == &authz_core_module || strncasecmp(n->name, "<Limit", 6) == 0)
			continue;
		conf_report(call->env, CONF_ERROR, &n->pos, "move it out of the container", "%s is not allowed in %s>", n->name, call->directive->name);
		result = -1;
	}
	return result;
}

static int set_container(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *name = call->directive->name;
	bool all = strcasecmp(name, "<RequireAll") == 0, none = strcasecmp(name, "<RequireNone") == 0;
	struct access_section *a = config;
	struct rule *outer = a->root, *group = group_new(call, all, none);
	int result;

	if (argc && argv[0][0])
		return conf_fail(call, NULL, "it takes no arguments");
	if (only_rules(call) != 0)
		return -1;
	a->root = group;
	result = conf_apply(call->node->child, call->modules, call->context, call->target, call->env);
	a->root = outer;
	if (result != 0)
		return -1;
	if (!group->first)
		return conf_fail(call, "put Require lines into it, or take it away", "it is empty");
	if (only_negative(group))
		return conf_fail(call, "say beside them who may: Require all granted", "it holds only negated rules, which grant nothing");
	return rule_add(call, a, group);
}

static int set_auth_type(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	if (strcasecmp(argv[0], "None") == 0)
		return 0;
	return conf_fail(call, "users and passwords come with a later release: write Require ip or Require all denied in its place",
			 "\"%s\" is not available in this release", argv[0]);
}

/* ---------------------------------------------------------------------------------------------- the table */

static const char no_users[] = "users and passwords come with a later release: write Require ip or Require all denied in its place";
static const char no_order[] = "the rules of Apache 2.2 come with a later release: write Require all granted, Require all denied or Require ip ADDRESS in its place";
static const struct conf_choice merging_words[] = { { "Off", MERGING_OFF }, { "And", MERGING_AND }, { "Or", MERGING_OR }, { NULL, 0 } };

#define RULES .contexts = CONF_SECTIONS | CONF_HTACCESS, .override = CONF_OR_AUTHCONFIG, .scope = CONF_OF_SECTION
#define REFUSED(why) RULES, .args = CONF_RAW, .set = conf_set_refused, .extra = why

static int set_require_ssl(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)call;
	(void)argc;
	(void)argv;
	((struct access_section *)config)->require_ssl = 1;
	return 0;
}

static const struct conf_directive directives[] = {
	{ "Require", "who may have it: all granted|denied, ip, host, forward-dns, method, local, env, ssl, ssl-verify-client; not", NULL, RULES, .args = CONF_RAW, .set = set_require },
	{ "<RequireAll", "none of these rules denies, and one grants", NULL, RULES, .args = CONF_SECTION, .set = set_container },
	{ "<RequireAny", "one of these rules is enough", NULL, RULES, .args = CONF_SECTION, .set = set_container },
	{ "<RequireNone", "none of these rules may hold", NULL, RULES, .args = CONF_SECTION, .set = set_container },
	{ "AuthMerging", "how rules join those of outer sections", "Off", RULES, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_choice,
	  .offset = offsetof(struct access_section, merging), .extra = merging_words },
	{ "SSLRequireSSL", "refuses plain HTTP", NULL, RULES, .args = CONF_NO_ARGS, .set = set_require_ssl },
	{ "AuthzSendForbiddenOnFailure", "403 in place of 401", NULL, RULES, .args = CONF_FLAG, .set = conf_set_notice, .extra = "without users a refusal is always 403" },
	{ "AuthType", "how users prove who they are: None", "None", RULES, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_auth_type },
	{ "AuthName", "what a password is asked for", NULL, REFUSED(no_users) },
	{ "AuthUserFile", "a file of users and passwords", NULL, REFUSED(no_users) },
	{ "AuthGroupFile", "a file of groups", NULL, REFUSED(no_users) },
	{ "AuthBasicProvider", "where passwords are looked up", NULL, REFUSED(no_users) },
	{ "AuthBasicAuthoritative", "whether others may be asked", NULL, REFUSED(no_users) },
	{ "AuthBasicFake", "a password for backends", NULL, REFUSED(no_users) },
	{ "AuthDigestProvider", "where digest passwords are looked up", NULL, REFUSED(no_users) },
	{ "AuthDigestDomain", "where a digest password holds", NULL, REFUSED(no_users) },
	{ "Order", "the order of Allow and Deny", NULL, REFUSED(no_order) },
	{ "Allow", "who may, in the words of 2.2", NULL, REFUSED(no_order) },
	{ "Deny", "who may not, in the words of 2.2", NULL, REFUSED(no_order) },
	{ "Satisfy", "whether address and password are both needed", NULL, REFUSED(no_order) },
	{ .name = NULL },
};

struct conf_module authz_core_module = {
	.name = "authz_core_module",
	.source = "mod_authz_core.c",
	.aka = "authz_host_module mod_authz_host.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

/* ---------------------------------------------------------------------------------------------- asking */

static bool client_is_local(const struct client *c)
{
	return addr_is_loopback(&c->peer) || addr_same_ip(&c->peer, &c->local);
}

static bool leaf_grants(const struct rule *rule, const struct request *r)
{
	switch (rule->kind) {
	case RULE_ALL:
		return rule->granted;
	case RULE_IP:
		for (unsigned i = 0; i < rule->n; i++)
			if (prefix_match(&rule->prefixes[i], &r->client->peer))
				return true;
		return false;
	case RULE_METHOD:
		return rule->methods & HTTP_METHOD_BIT(r->method_id);
	case RULE_LOCAL:
		return client_is_local(r->client);
	case RULE_ENV:
		for (unsigned i = 0; i < rule->n; i++)
			if (request_env(r, rule->names[i]).p)
				return true;
		return false;
	case RULE_SSL:
		return r->client->secure;
	case RULE_VERIFIED:
		return r->client->secure && text_is(client_variable(r->client, "SSL_CLIENT_VERIFY", r->arena), "SUCCESS");
	case RULE_GROUP: case RULE_HOST: case RULE_FORWARD_DNS:
		break;
	}
	return false;
}

/* A name itself and what lies below it, by whole components; ".net": only below. */
static bool in_domain(const char *domain, const char *name)
{
	size_t d = strlen(domain), n = strlen(name);

	if (n < d || strcasecmp(domain, name + n - d) != 0)
		return false;
	return n == d || domain[0] == '.' || name[n - d - 1] == '.';
}

static bool answer_holds(const struct rule *rule, unsigned i, struct text answer, const char *address)
{
	for (const char *p = answer.p, *end = p + answer.n; p < end; p += strlen(p) + 1)
		if (rule->kind == RULE_HOST ? in_domain(rule->names[i], p) : strcmp(p, address) == 0)
			return true;
	return false;
}

/*
 * A tree is asked with what is known. Where no answer of the name service is there, a rule counts against the client, whatever
 * stands around it; `hopeful`: for him, while there may be one yet. If both come to the same, names need not be asked for.
 */
struct asking {
	const struct request *r;
	bool hopeful;
	const char *question;           /* the first that is open */
	const char *failed;             /* one without an answer */
	const struct rule *by;          /* the rule that denied last */
};

/* `inverted`: a grant of this rule is a denial in the end. */
static bool names_grant(const struct rule *rule, struct asking *a, bool inverted)
{
	struct client *c = a->r->client;
	bool open = false, failed = false;

	for (unsigned i = 0; i < rule->n; i++) {
		const char *question = rule->kind == RULE_HOST ? c->peer_text : rule->names[i];
		struct text answer = { NULL, 0 };
		enum client_knows knows = client_knows(c, question, &answer);

		if (knows == CLIENT_KNOWS && answer_holds(rule, i, answer, c->peer_text))
			return true;
		if (knows == CLIENT_UNASKED && !a->question)
			a->question = question;
		if (knows == CLIENT_FAILED)
			a->failed = question;
		open |= knows == CLIENT_UNASKED;
		failed |= knows == CLIENT_FAILED;
	}
	return open || failed ? (open && a->hopeful) != inverted : false;
}

static enum verdict negated(enum verdict v)
{
	return v == GRANTED ? DENIED : NEUTRAL;         /* what is not forbidden is not granted by that */
}

static bool leaf_asks(const struct rule *rule, struct asking *a, bool inverted)
{
	if (rule->kind == RULE_HOST || rule->kind == RULE_FORWARD_DNS)
		return names_grant(rule, a, inverted);
	return leaf_grants(rule, a->r);
}

/* `within_all`: the group around it needs every member. Depth: as nested in the text. */
static enum verdict rule_ask(const struct rule *rule, struct asking *a, bool within_all, bool inverted)
{
	const struct request *r = a->r;
	enum verdict v = NEUTRAL;

	if (!(rule->limit & HTTP_METHOD_BIT(r->method_id)))
		return within_all ? GRANTED : NEUTRAL;
	inverted ^= rule->negate;
	if (rule->kind != RULE_GROUP)
		v = leaf_asks(rule, a, inverted) ? GRANTED : DENIED;
	else
		for (const struct rule *i = rule->first; i; i = i->next) {
			enum verdict one = rule_ask(i, a, rule->all, inverted);
			if (one == NEUTRAL)
				continue;
			if (v == NEUTRAL || one == (rule->all ? DENIED : GRANTED))
				v = one;
			if (one == (rule->all ? DENIED : GRANTED))
				break;
		}
	if (rule->negate)
		v = negated(v);
	if (v == DENIED && rule->kind != RULE_GROUP)
		a->by = rule;
	return v;
}

/* 0 = granted, 403, or PHASE_WAIT. Names are asked for only where they decide. */
static unsigned tree_ask(const struct rule *root, struct request *r, struct asking *a)
{
	for (;;) {
		struct asking hope = { .r = r, .hopeful = true };

		*a = (struct asking){ .r = r };
		if (rule_ask(root, a, true, false) == GRANTED)
			return 0;
		if (!a->question || rule_ask(root, &hope, true, false) != GRANTED)
			return 403;
		if (client_ask(r->client, a->question))
			return PHASE_WAIT;
	}
}

unsigned access_run(struct request *r)
{
	const struct access_section *a = request_config(r, &authz_core_module);
	const char *what = r->filename ? r->filename : r->path;
	struct asking asked;
	unsigned status;

	/*
	 * An error document that was itself asked for: what its rules say was decided then, and it is what explains the
	 * refusal. Another document is judged by itself, as in Apache.
	 */
	if (r->original && r->original->section == r->section && r->original->path && strcmp(r->original->path, r->path) == 0)
		return 0;
	if (a->require_ssl == 1 && !r->client->secure) {
		r->refused = "SSLRequireSSL";
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0311", "access to %s%s failed, reason: SSL connection required", r->filename ? "" : "uri ", what);
		return 403;
	}
	status = r->client->secure ? client_place(r->client, r->section, r->arena, &r->user, &r->refused) : 0;
	if (status && status != 403)            /* it waits for the client's certificate, or its body is too long for that */
		return status;
	if (status) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0313", "access to %s%s failed, reason: %s (SSLVerifyClient)", r->filename ? "" : "uri ", what, r->refused);
		return status;
	}
	status = a->root ? tree_ask(a->root, r, &asked) : 0;
	if (status != 403)
		return status;
	const struct rule *by = asked.by ? asked.by : a->root;
	r->refused = arena_printf(r->arena, "the rule at %s:%u", by->pos.file, by->pos.line);
	if (!r->refused)
		r->refused = "a rule";
	if (asked.failed)
		log_warnx(&r->client->about, LOG_AUTHZ, "BH0312", "the name service gave no answer about %s: rules that need one deny", asked.failed);
	if (r->quiet)
		return 403;
	log_errorx(&r->client->about, LOG_AUTHZ, "BH0310", "client denied by server configuration: %s%s (%s)", r->filename ? "" : "uri ", what, r->refused);
	return 403;
}
