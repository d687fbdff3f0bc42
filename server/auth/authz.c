/*
 * authz.c - Require trees as they are asked, for each request. Runs in the children, which never resolve a name themselves:
 * they ask the resolver, and wait.
 *
 * A rule says granted, denied, denied for want of a user, or nothing (a negated rule that does not strike; a rule limited to
 * other methods inside an Any); a tree that says nothing denies. What cannot be told (a file that cannot be read, an expression
 * without an answer) is said so that the tree denies: granted where a "not" stands around it.
 */
#include "auth/authz.h"

#include <string.h>
#include <strings.h>

#include "auth/authn.h"
#include "request/phases.h"
#include "request/variables.h"

static bool client_is_local(const struct client *c)
{
	return addr_is_loopback(&c->peer) || addr_same_ip(&c->peer, &c->local);
}

static bool has_address(const struct rule *rule, const struct request *r)
{
	for (unsigned i = 0; i < rule->n; i++)
		if (prefix_match(&rule->prefixes[i], &r->client->peer))
			return true;
	return false;
}

static bool has_variable(const struct rule *rule, const struct request *r)
{
	for (unsigned i = 0; i < rule->n; i++)
		if (request_env(r, rule->names[i]).p)
			return true;
	return false;
}

static bool is_named(const struct rule *rule, const char *user)
{
	for (unsigned i = 0; i < rule->n; i++)
		if (strcmp(rule->names[i], user) == 0)
			return true;
	return false;
}

/* ---------------------------------------------------------------------------------------------- names */

/* A name itself and what lies below it, by whole components; ".net": only below. */
static bool in_domain(const char *domain, const char *name)
{
	size_t d = strlen(domain), n = strlen(name);

	if (n < d || strcasecmp(domain, name + n - d) != 0)
		return false;
	return n == d || domain[0] == '.' || name[n - d - 1] == '.';
}

static bool answer_holds(bool forward, const char *name, struct text answer, const char *address)
{
	for (const char *p = answer.p, *end = p + answer.n; p < end; p += strlen(p) + 1)
		if (forward ? strcmp(p, address) == 0 : in_domain(name, p))
			return true;
	return false;
}

bool authz_names(struct asking *a, bool forward, const char *const *names, unsigned n, bool inverted)
{
	struct client *c = a->r->client;
	bool open = false, failed = false;

	for (unsigned i = 0; i < n; i++) {
		const char *question = forward ? names[i] : c->peer_text;
		struct text answer = { NULL, 0 };
		enum client_knows knows = client_knows(c, question, &answer);

		if (knows == CLIENT_KNOWS && answer_holds(forward, names[i], answer, c->peer_text))
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

unsigned authz_ask(struct request *r, enum verdict (*rules)(struct asking *a, const void *what), const void *what, enum verdict *v, struct asking *a)
{
	for (;;) {
		struct asking hope = { .r = r, .hopeful = true };

		*a = (struct asking){ .r = r };
		*v = rules(a, what);
		if (!a->question || rules(&hope, what) == *v)
			return 0;
		if (client_ask(r->client, a->question))
			return PHASE_WAIT;
	}
}

/* ---------------------------------------------------------------------------------------------- users and files */

static enum verdict unknown(bool inverted)
{
	return inverted ? GRANTED : DENIED;
}

static enum verdict in_group(struct request *r, const char *const *groups, unsigned n, bool inverted)
{
	const char *file = authn_group_file(r);
	int has;

	if (!file) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0636", "%s: a group is required, and no AuthGroupFile is set there: nobody is in a group", r->path);
		return unknown(inverted);
	}
	has = groupfile_has(r, file, r->user, groups, n);
	return has < 0 ? unknown(inverted) : has ? GRANTED : DENIED;
}

/* The user's name, or one of his groups, is that of the account that owns the file. */
static enum verdict owns_file(const struct rule *rule, struct request *r, bool inverted)
{
	bool owner = rule->kind == RULE_FILE_OWNER;
	const char *name;

	if (!r->found)
		return DENIED;
	name = owner ? groupfile_account(r, "/etc/passwd", r->st.st_uid) : groupfile_account(r, "/etc/group", r->st.st_gid);
	if (!name)
		return unknown(inverted);
	if (owner)
		return strcmp(name, r->user) == 0 ? GRANTED : DENIED;
	return in_group(r, &name, 1, inverted);
}

static enum verdict asks_expr(const struct rule *rule, struct request *r, bool inverted)
{
	int holds = variables_true(r, rule->expr);

	if (holds == 1)
		return GRANTED;
	if (holds < 0)
		return unknown(inverted);
	return !r->user && (expr_uses(rule->expr) & EXPR_USES_USER) ? NO_USER : DENIED;
}

/* ---------------------------------------------------------------------------------------------- trees */

static enum verdict leaf_ask(const struct rule *rule, struct asking *a, bool inverted)
{
	struct request *r = a->r;
	bool granted = false;

	switch (rule->kind) {
	case RULE_ALL:
		granted = rule->granted;
		break;
	case RULE_IP:
		granted = has_address(rule, r);
		break;
	case RULE_METHOD:
		granted = rule->methods & HTTP_METHOD_BIT(r->method_id);
		break;
	case RULE_LOCAL:
		granted = client_is_local(r->client);
		break;
	case RULE_ENV:
		granted = has_variable(rule, r);
		break;
	case RULE_SSL:
		granted = r->client->secure;
		break;
	case RULE_VERIFIED:
		granted = r->client->secure && text_is(client_variable(r->client, "SSL_CLIENT_VERIFY", r->arena), "SUCCESS");
		break;
	case RULE_HOST: case RULE_FORWARD_DNS:
		granted = authz_names(a, rule->kind == RULE_FORWARD_DNS, rule->names, rule->n, inverted);
		break;
	case RULE_EXPR:
		return asks_expr(rule, r, inverted);
	case RULE_VALID_USER: case RULE_USER:
		if (!r->user)
			return NO_USER;
		granted = rule->kind == RULE_VALID_USER || is_named(rule, r->user);
		break;
	case RULE_USER_GROUP:
		return r->user ? in_group(r, rule->names, rule->n, inverted) : NO_USER;
	case RULE_FILE_OWNER: case RULE_FILE_GROUP:
		return r->user ? owns_file(rule, r, inverted) : NO_USER;
	case RULE_GROUP:
		break;
	}
	return granted ? GRANTED : DENIED;
}

/* What a group comes to when one more of its members has spoken; *over: no other can change it. */
static enum verdict group_hears(bool all, enum verdict so_far, enum verdict one, bool *over)
{
	if (one == NEUTRAL)
		return so_far;
	*over = one == (all ? DENIED : GRANTED);
	if (*over || so_far == NEUTRAL)
		return one;
	/* Want of a user counts where it may be what is missing: in an All before what grants, in an Any before what denies. */
	if (one == NO_USER && so_far == (all ? GRANTED : DENIED))
		return NO_USER;
	return so_far;
}

/* `within_all`: the group around it needs every member. Depth: as nested in the text. */
static enum verdict rule_ask(const struct rule *rule, struct asking *a, bool within_all, bool inverted)
{
	enum verdict v = NEUTRAL;
	bool over = false;

	if (!(rule->limit & HTTP_METHOD_BIT(a->r->method_id)))
		return within_all ? GRANTED : NEUTRAL;
	inverted ^= rule->negate;
	if (rule->kind != RULE_GROUP)
		v = leaf_ask(rule, a, inverted);
	for (const struct rule *i = rule->first; i && !over; i = i->next)
		v = group_hears(rule->all, v, rule_ask(i, a, rule->all, inverted), &over);
	if (rule->negate)                       /* what is not forbidden is not granted by that */
		v = v == GRANTED ? DENIED : NEUTRAL;
	if (v == DENIED && rule->kind != RULE_GROUP)
		a->by = rule;
	return v;
}

enum verdict authz_tree(struct asking *a, const void *root)
{
	enum verdict v = rule_ask(root, a, true, false);

	return v == NEUTRAL ? DENIED : v;
}
