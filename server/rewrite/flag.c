/*
 * flag.c - the flags of RewriteRule. Runs where a configuration is read.
 */
#include "rewrite/rule.h"

#include <string.h>
#include <strings.h>

#include "http/head.h"
#include "request/proxy.h"

/* Takes a flag's value ("" where none is written). 0 or -1 after conf_fail. */
typedef int take_value(struct conf_call *call, struct rewrite_rule *rule, const char *value);

int rewrite_each_flag(struct conf_call *call, char *text, int (*one)(struct conf_call *call, void *to, const char *key, const char *value), void *to)
{
	char *rest = text + 1, *word;

	text[strlen(text) - 1] = '\0';
	while ((word = strsep(&rest, ","))) {
		struct text trimmed = text_trim(text_of(word));
		char *key = conf_strdup(call->env, trimmed.p), *value;

		key[trimmed.n] = '\0';
		if (!*key)
			continue;
		value = strchr(key, '=');
		if (value)
			*value++ = '\0';
		if (one(call, to, key, value ? value : "") != 0)
			return -1;
	}
	return 0;
}

/* ---------------------------------------------------------------------------------------------- values */

static int take_escaped(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	(void)call;
	if (*value)
		rule->escaped = value;
	return 0;
}

static int take_unescaped(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	if (!*value)
		return conf_fail(call, "write [BNE=…] with the characters that stay as they are", "the flag BNE wants a list of characters");
	rule->unescaped = value;
	return 0;
}

static int add_item(struct conf_call *call, struct rewrite_item **list, const char *value, const char *flag)
{
	struct rewrite_item *item = conf_alloc(call->env, sizeof *item);

	if (!*value) {
		conf_warn(call, "write [E=NAME:value] or [CO=name:value:domain]", "the flag %s does nothing without a value", flag);
		return 0;
	}
	item->text = rewrite_text_new(call, value);
	if (!item->text)
		return -1;
	while (*list)
		list = &(*list)->next;
	*list = item;
	return 0;
}

static int take_env(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	return add_item(call, &rule->env, value, "E");
}

static int take_cookie(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	return add_item(call, &rule->cookies, value, "CO");
}

static int take_type(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	if (!*value)
		return conf_fail(call, "write [T=text/plain]", "the flag T wants a media type");
	rule->type = rewrite_text_new(call, value);
	return rule->type ? 0 : -1;
}

static int take_handler(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	if (!*value)
		return conf_fail(call, "write [H=default-handler]", "the flag H wants the name of a handler");
	rule->handler = rewrite_text_new(call, value);
	return rule->handler ? 0 : -1;
}

static int take_number(struct conf_call *call, const char *flag, const char *value, unsigned *out)
{
	uint64_t n;

	if (text_u64(text_of(value), 1000000, &n) != 0)
		return conf_fail(call, NULL, "the flag %s wants a number, not \"%s\"", flag, value);
	*out = (unsigned)n;
	return 0;
}

static int take_rounds(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	return *value ? take_number(call, "N", value, &rule->rounds) : 0;
}

static int take_skip(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	return *value ? take_number(call, "S", value, &rule->skip) : 0;
}

static int take_forbidden(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	(void)call, (void)value;
	rule->status = 403;
	return 0;
}

static int take_gone(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	(void)call, (void)value;
	rule->status = 410;
	return 0;
}

static int take_redirect(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	static const struct { const char *word; unsigned status; } words[] = { { "permanent", 301 }, { "temp", 302 }, { "seeother", 303 } };
	uint64_t n = 0;

	rule->status = 302;
	if (!*value)
		return 0;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(value, words[i].word) == 0) {
			rule->status = words[i].status;
			return 0;
		}
	if (text_u64(text_of(value), 599, &n) != 0 || n < 200 || (n > 308 && n < 400))
		return conf_fail(call, "use permanent, temp, seeother or a number from 200 to 599", "\"%s\" is no status for the flag R", value);
	rule->status = (unsigned)n;
	if (n < 300 || n > 399)
		rule->flags |= REWRITE_F_STATUS | REWRITE_F_NOSUB;
	return 0;
}

static int take_proxy(struct conf_call *call, struct rewrite_rule *rule, const char *value)
{
	(void)rule, (void)value;
	proxy_needed(call);
	return 0;
}

/* ---------------------------------------------------------------------------------------------- the table */

static const struct {
	const char *word, *full, *other;        /* any case */
	unsigned flags;
	take_value *take;
} table[] = {
	{ "B", "backrefescaping", NULL, REWRITE_F_ESCAPE, take_escaped },
	{ "BNE", NULL, NULL, 0, take_unescaped },
	{ "BNP", "backrefernoplus", NULL, REWRITE_F_NOPLUS, NULL },
	{ "BCTLS", NULL, NULL, REWRITE_F_ESCAPE | REWRITE_F_ESCAPE_CTLS, NULL },
	{ "C", "chain", NULL, REWRITE_F_CHAIN, NULL },
	{ "CO", "cookie", NULL, 0, take_cookie },
	{ "DPI", "discardpath", "D", REWRITE_F_DPI, NULL },
	{ "E", "env", NULL, 0, take_env },
	{ "END", NULL, NULL, REWRITE_F_END, NULL },
	{ "F", "forbidden", NULL, REWRITE_F_STATUS | REWRITE_F_NOSUB, take_forbidden },
	{ "G", "gone", NULL, REWRITE_F_STATUS | REWRITE_F_NOSUB, take_gone },
	{ "H", "handler", NULL, 0, take_handler },
	{ "L", "last", NULL, REWRITE_F_LAST, NULL },
	{ "N", "next", NULL, REWRITE_F_NEXT, take_rounds },
	{ "NC", "nocase", NULL, REWRITE_F_NOCASE, NULL },
	{ "NE", "noescape", NULL, REWRITE_F_NOESCAPE, NULL },
	{ "NS", "nosubreq", NULL, REWRITE_F_NOSUBREQ, NULL },
	{ "P", "proxy", NULL, REWRITE_F_PROXY, take_proxy },
	{ "PT", "passthrough", NULL, REWRITE_F_PASS, NULL },
	{ "QSA", "qsappend", NULL, REWRITE_F_QSA, NULL },
	{ "QSD", "qsdiscard", NULL, REWRITE_F_QSD, NULL },
	{ "QSL", "qslast", NULL, REWRITE_F_QSL, NULL },
	{ "R", "redirect", NULL, REWRITE_F_REDIRECT, take_redirect },
	{ "S", "skip", NULL, 0, take_skip },
	{ "T", "type", NULL, 0, take_type },
	{ "UnsafeAllow3F", NULL, NULL, REWRITE_F_ALLOW_3F, NULL },
	{ "UnsafePrefixStat", NULL, NULL, REWRITE_F_PREFIX_STAT, NULL },
	{ "UNC", NULL, NULL, REWRITE_F_UNC, NULL },
};

static int rule_flag(struct conf_call *call, void *to, const char *key, const char *value)
{
	struct rewrite_rule *rule = to;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (strcasecmp(key, table[i].word) != 0 && !(table[i].full && strcasecmp(key, table[i].full) == 0) &&
		    !(table[i].other && strcasecmp(key, table[i].other) == 0))
			continue;
		rule->flags |= table[i].flags;
		return table[i].take ? table[i].take(call, rule, value) : 0;
	}
	return conf_fail(call, "bulkhead.conf(5), section REWRITING, lists the flags", "the flag \"%s\" is unknown", key);
}

int rewrite_flags(struct conf_call *call, struct rewrite_rule *rule, char *flags)
{
	return rewrite_each_flag(call, flags, rule_flag, rule);
}
