/*
 * compat.c - the access rules of Apache 2.2: read by the master, asked in the children for each request. A list of those
 * who may and one of those who may not, and for each method which of the two has the last word.
 */
#include "auth/compat.h"

#include <string.h>
#include <strings.h>

#include "request/core.h"

enum order { DENY_THEN_ALLOW, ALLOW_THEN_DENY };

enum who { WHO_ALL, WHO_ENV, WHO_NOT_ENV, WHO_IP, WHO_HOST };

struct entry {
	enum who who;
	unsigned limit;                 /* the methods it speaks of */
	const char *name;               /* of a variable or host */
	struct prefix prefix;
	const struct entry *next;
};

struct compat_section {
	unsigned char order[HTTP_METHODS], any[HTTP_METHODS];   /* enum order; Satisfy Any */
	const struct entry *allows, *denies;
};

static void *create_section(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct compat_section));
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	struct compat_section *m = conf_alloc(env, sizeof *m);

	(void)base;
	*m = *(const struct compat_section *)over;
	return m;
}

/* ---------------------------------------------------------------------------------------------- setters */

static void for_methods(const struct conf_call *call, unsigned char *row, unsigned char value)
{
	unsigned limit = call->target->limit ? call->target->limit : AUTHZ_ALL_METHODS;

	for (unsigned m = 0; m < HTTP_METHODS; m++)
		if (limit & HTTP_METHOD_BIT(m))
			row[m] = value;
}

static int set_order(struct conf_call *call, void *config, int argc, char **argv)
{
	/* Mutual-failure is what allow,deny comes to: on the one list and not on the other. */
	static const struct conf_choice words[] = {
		{ "allow,deny", ALLOW_THEN_DENY }, { "deny,allow", DENY_THEN_ALLOW }, { "mutual-failure", ALLOW_THEN_DENY }, { NULL, 0 },
	};

	(void)argc;
	for (const struct conf_choice *w = words; w->word; w++)
		if (strcasecmp(w->word, argv[0]) == 0) {
			for_methods(call, ((struct compat_section *)config)->order, (unsigned char)w->value);
			return 0;
		}
	return conf_fail(call, "write allow,deny or deny,allow, without a blank", "\"%s\" is no order", argv[0]);
}

static int set_satisfy(struct conf_call *call, void *config, int argc, char **argv)
{
	bool any = strcasecmp(argv[0], "any") == 0;

	(void)argc;
	if (!any && strcasecmp(argv[0], "all") != 0)
		return conf_fail(call, "write Satisfy Any or Satisfy All", "\"%s\" is neither any nor all", argv[0]);
	for_methods(call, ((struct compat_section *)config)->any, any);
	return 0;
}

static int parse_who(struct conf_call *call, struct entry *e, char *word)
{
	if (strcasecmp(word, "all") == 0) {
		e->who = WHO_ALL;
	} else if (strncasecmp(word, "env=", 4) == 0) {
		e->who = word[4] == '!' ? WHO_NOT_ENV : WHO_ENV;
		e->name = word + 4 + (word[4] == '!');
		if (!*e->name)
			return conf_fail(call, "for example: Allow from env=let_me_in", "no variable is named behind env=");
	} else if (prefix_parse(&e->prefix, word) == 0) {
		e->who = WHO_IP;
	} else if (strchr(word, '/') || strchr(word, ':') || !word[strspn(word, "0123456789.")]) {
		return conf_fail(call, "write addresses like 192.0.2.1, 192.0.2.0/24, 192.0.2 or 2001:db8::/32, separated by blanks",
				 "\"%s\" is no address", word);
	} else {
		e->who = WHO_HOST;
		e->name = word;
		return authz_host_name(call, word);
	}
	return 0;
}

static int set_list(struct conf_call *call, void *config, int argc, char **argv)
{
	struct compat_section *c = config;
	const struct entry **list = strcasecmp(call->directive->name, "Allow") == 0 ? &c->allows : &c->denies;
	struct entry *e = conf_alloc(call->env, sizeof *e);

	(void)argc;
	if (strcasecmp(argv[0], "from") != 0)
		return conf_fail(call, conf_printf(call->env, "write %s from all, or addresses, names or env=VARIABLE in place of all", call->directive->name),
				 "it must be followed by \"from\"");
	e->limit = call->target->limit ? call->target->limit : AUTHZ_ALL_METHODS;
	if (parse_who(call, e, argv[1]) != 0)
		return -1;
	e->next = *list;
	*list = e;
	return 0;
}

#define RULES .contexts = CONF_SECTIONS | CONF_HTACCESS, .scope = CONF_OF_SECTION

static const struct conf_directive directives[] = {
	{ "Order", "which of Allow and Deny has the last word", "deny,allow", RULES, .override = CONF_OR_LIMIT, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_order },
	{ "Allow", "who may: from all, addresses, names, env=VARIABLE", NULL, RULES, .override = CONF_OR_LIMIT, .args = CONF_ITERATE2, .set = set_list },
	{ "Deny", "who may not: from all, addresses, names, env=VARIABLE", NULL, RULES, .override = CONF_OR_LIMIT, .args = CONF_ITERATE2, .set = set_list },
	{ "Satisfy", "whether the place and the user must both be good, or one of them", "All", RULES, .override = CONF_OR_AUTHCONFIG, .args = CONF_TAKE, .min = 1,
	  .max = 1, .set = set_satisfy },
	{ .name = NULL },
};

struct conf_module access_compat_module = {
	.name = "access_compat_module",
	.source = "mod_access_compat.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

/* ---------------------------------------------------------------------------------------------- asking */

static bool entry_matches(const struct entry *e, struct asking *a, bool denies)
{
	switch (e->who) {
	case WHO_ALL:
		return true;
	case WHO_ENV: case WHO_NOT_ENV:
		return (request_env(a->r, e->name).p != NULL) == (e->who == WHO_ENV);
	case WHO_IP:
		return prefix_match(&e->prefix, &a->r->client->peer);
	case WHO_HOST:
		return authz_names(a, false, &e->name, 1, denies);
	}
	return denies;
}

static bool listed(const struct entry *list, struct asking *a, bool denies)
{
	for (const struct entry *e = list; e; e = e->next)
		if ((e->limit & HTTP_METHOD_BIT(a->r->method_id)) && entry_matches(e, a, denies))
			return true;
	return false;
}

enum verdict compat_ask(struct asking *a, const void *section)
{
	const struct compat_section *c = section;

	if (!c)
		return GRANTED;
	if (c->order[a->r->method_id] == ALLOW_THEN_DENY)
		return listed(c->allows, a, false) && !listed(c->denies, a, true) ? GRANTED : DENIED;
	return listed(c->denies, a, true) && !listed(c->allows, a, false) ? DENIED : GRANTED;
}

bool compat_any(const struct request *r)
{
	const struct compat_section *c = request_config(r, &access_compat_module);

	return c && c->any[r->method_id];
}
