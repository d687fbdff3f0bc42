/*
 * authzread.c - Require trees as they are read: made by the master from the configuration, and by the children from .htaccess.
 *
 * A tree is a row of rules under an operator, as in Apache: lines that stand side by side are a <RequireAny>. Inner sections
 * replace what outer ones say, unless AuthMerging joins them.
 */
#include "auth/authz.h"

#include <string.h>
#include <strings.h>

#include "request/access.h"
#include "request/sections.h"
#include "request/variables.h"

#define NAME_LONGEST 253                /* RFC 1035 */

/* ---------------------------------------------------------------------------------------------- structures */

static void *create_section(struct conf_env *env)
{
	struct authz_section *a = conf_alloc(env, sizeof *a);

	a->merging = a->require_ssl = a->forbidden = CONF_UNSET;
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

/* Those of outer sections hold, too. */
static const struct ssl_require *ssl_joined(struct conf_env *env, const struct ssl_require *base, const struct ssl_require *over)
{
	for (; over; over = over->next) {
		struct ssl_require *copy = conf_alloc(env, sizeof *copy);

		*copy = *over;
		copy->next = base;
		base = copy;
	}
	return base;
}

/* As Apache: an operator counts on its own, too, and goes on to what this is merged onto in turn. Off alone lets go of the outer rules. */
static void *merge_section(struct conf_env *env, const void *pbase, const void *pover)
{
	const struct authz_section *base = pbase, *over = pover;
	struct authz_section *m = conf_alloc(env, sizeof *m);

	*m = *over;
	if (over->merging == CONF_UNSET && !over->root) {
		m->root = base->root;
		m->merging = base->merging;
	} else if (over->merging > MERGING_OFF && base->root) {
		m->root = over->root ? joined(env, base->root, over->root, over->merging == MERGING_AND) : base->root;
	}
	CONF_INHERIT(m, base, require_ssl, CONF_UNSET);
	CONF_INHERIT(m, base, forbidden, CONF_UNSET);
	m->ssl = ssl_joined(env, base->ssl, over->ssl);
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
static int rule_add(struct conf_call *call, struct authz_section *a, struct rule *rule)
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

int authz_host_name(struct conf_call *call, const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (name[strspn(name, good)] || strlen(name) > NAME_LONGEST)
		return conf_fail(call, "write names like www.example.org, separated by blanks", "\"%s\" is no host name", name);
	((struct reading *)call->target->owner)->site->asks_names = true;
	return 0;
}

/* The words of a line, which has some. */
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
	if (rule_words(call, rule, rest) != 0)
		return -1;
	for (unsigned i = 0; i < rule->n; i++)
		if (authz_host_name(call, rule->names[i]) != 0)
			return -1;
	return 0;
}

/* The expression is the rest of the line, in quotes or not. */
static int rule_expr(struct conf_call *call, struct rule *rule, const char *rest)
{
	const char *text = rest + strspn(rest, " \t"), *after = text, *word;

	if (*text == '"' || *text == '\'') {
		word = conf_word(call->env, &after);
		if (word && !after[strspn(after, " \t")])
			text = word;
	}
	if (!*text)
		return conf_fail(call, "for example: Require expr \"%{REQUEST_METHOD} == 'GET'\"", "no expression is given");
	rule->expr = variables_condition(call, text);
	return rule->expr ? 0 : -1;
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

static const char no_dbm[] = "groups are read from text files: AuthGroupFile and Require group";
static const char no_database[] = "users and groups are read from text files: AuthUserFile with Require valid-user or user, AuthGroupFile with Require group";

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
	{ "expr", RULE_EXPR, rule_expr, NULL },
	{ "ssl-verify-client", RULE_VERIFIED, rule_bare, NULL },
	{ "valid-user", RULE_VALID_USER, rule_bare, NULL },
	{ "user", RULE_USER, rule_words, NULL },
	{ "group", RULE_USER_GROUP, rule_words, NULL },
	{ "file-owner", RULE_FILE_OWNER, rule_bare, NULL },
	{ "file-group", RULE_FILE_GROUP, rule_bare, NULL },
	{ "dbm-group", 0, NULL, no_dbm },
	{ "dbm-file-group", 0, NULL, no_dbm },
	{ "dbd-group", 0, NULL, no_database },
	{ "dbd-login", 0, NULL, no_database },
	{ "dbd-logout", 0, NULL, no_database },
	{ "ldap-user", 0, NULL, no_database },
	{ "ldap-group", 0, NULL, no_database },
	{ "ldap-dn", 0, NULL, no_database },
	{ "ldap-attribute", 0, NULL, no_database },
	{ "ldap-filter", 0, NULL, no_database },
	{ "ldap-search", 0, NULL, no_database },
	{ NULL, 0, NULL, NULL },
};

/* <AuthzProviderAlias ip office "192.0.2.0/24 …">: a rule under another name, with its words. */
struct authz_alias {
	const char *name, *provider, *words;
	struct authz_alias *next;
};
struct authz_host {
	struct authz_alias *aliases;
};

static int set_alias(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *rest = argc ? argv[0] : "";
	struct authz_host *h = config;
	struct authz_alias *a = conf_alloc(call->env, sizeof *a);
	const struct provider *p = providers;

	a->provider = conf_word(call->env, &rest);
	a->name = conf_word(call->env, &rest);
	a->words = conf_word(call->env, &rest);
	if (!a->provider || !a->name || !*a->name || conf_word(call->env, &rest))
		return conf_fail(call, "for example: <AuthzProviderAlias ip office \"192.0.2.0/24 2001:db8::/32\">", "a rule, a new name and its words are wanted");
	if (call->node->child)
		return conf_fail(call, "leave the section empty, and write such lines where the name is used", "no rule here has settings of its own");
	while (p->name && strcmp(p->name, a->provider) != 0)
		p++;
	if (!p->parse)
		return conf_fail(call, p->remedy, "there is no rule named \"%s\"", a->provider);
	a->next = h->aliases;
	h->aliases = a;
	return 0;
}

/* What a name of one's own stands for: *rest becomes its words. */
static const char *alias_of(struct conf_call *call, const char *word, const char **rest)
{
	const struct authz_host *h = reading_of(call)->site->main->config[authz_core_module.index];

	for (const struct authz_alias *a = h ? h->aliases : NULL; a; a = a->next)
		if (strcmp(a->name, word) == 0) {
			*rest = conf_strdup(call->env, a->words ? a->words : "");
			return a->provider;
		}
	return word;
}

static void *create_host(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct authz_host));
}

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
	word = alias_of(call, word, &rest);
	while (p->name && strcmp(p->name, word) != 0)
		p++;
	if (!p->name)
		return conf_fail(call, "there are all, ip, host, forward-dns, method, local, env, expr, ssl, ssl-verify-client, valid-user, user, group, "
				       "file-owner and file-group, in small letters", "there is no rule named \"%s\"", word);
	if (!p->parse)
		return conf_fail(call, p->remedy, "\"%s\" is not available in this release", word);
	rule->kind = p->kind;
	rule->limit = call->target->limit ? call->target->limit : AUTHZ_ALL_METHODS;
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
	struct authz_section *a = config;
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

/* ---------------------------------------------------------------------------------------------- the table */

static const struct conf_choice merging_words[] = { { "Off", MERGING_OFF }, { "And", MERGING_AND }, { "Or", MERGING_OR }, { NULL, 0 } };

#define RULES .contexts = CONF_SECTIONS | CONF_HTACCESS, .override = CONF_OR_AUTHCONFIG, .scope = CONF_OF_SECTION

static int set_require_ssl(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)call;
	(void)argc;
	(void)argv;
	((struct authz_section *)config)->require_ssl = 1;
	return 0;
}

/* The older grammar of mod_ssl; the whole line is the expression, and quotes in it belong to it. */
static int set_ssl_require(struct conf_call *call, void *config, int argc, char **argv)
{
	struct ssl_require *s = conf_alloc(call->env, sizeof *s);
	struct authz_section *a = config;

	(void)argc;
	s->expr = variables_sslrequire(call, argv[0]);
	if (!s->expr)
		return -1;
	s->pos = call->node->pos;
	s->next = a->ssl;
	a->ssl = s;
	return 0;
}

static const struct conf_directive directives[] = {
	{ "Require", "who may have it: all granted|denied, ip, host, method, env, expr, ssl, valid-user, user, group …; not", NULL, RULES, .args = CONF_RAW, .set = set_require },
	{ "<RequireAll", "none of these rules denies, and one grants", NULL, RULES, .args = CONF_SECTION, .set = set_container },
	{ "<RequireAny", "one of these rules is enough", NULL, RULES, .args = CONF_SECTION, .set = set_container },
	{ "<RequireNone", "none of these rules may hold", NULL, RULES, .args = CONF_SECTION, .set = set_container },
	{ "<AuthzProviderAlias", "a rule with its words under another name", NULL, .contexts = CONF_SERVER, .args = CONF_SECTION, .set = set_alias },
	{ "AuthMerging", "how rules join those of outer sections", "Off", RULES, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_choice,
	  .offset = offsetof(struct authz_section, merging), .extra = merging_words },
	{ "SSLRequireSSL", "refuses plain HTTP", NULL, RULES, .args = CONF_NO_ARGS, .set = set_require_ssl },
	{ "SSLRequire", "a condition that must hold: users are not asked for", NULL, RULES, .args = CONF_RAW, .set = set_ssl_require },
	{ "AuthzSendForbiddenOnFailure", "403 in place of 401 for users who may not", "Off", RULES, .args = CONF_FLAG, .set = conf_set_flag,
	  .offset = offsetof(struct authz_section, forbidden) },
	{ .name = NULL },
};

struct conf_module authz_core_module = {
	.name = "authz_core_module",
	.source = "mod_authz_core.c",
	.aka = "authz_host_module mod_authz_host.c authz_user_module mod_authz_user.c authz_groupfile_module mod_authz_groupfile.c "
	       "authz_owner_module mod_authz_owner.c",
	.directives = directives,
	.create_host = create_host,
	.create_section = create_section,
	.merge_section = merge_section,
};
