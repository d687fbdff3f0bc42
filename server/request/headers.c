/*
 * headers.c - Header and RequestHeader: compiled in the master into lists of rules, run in the children on the tables of a
 * request and its response. Merged sections append: main server, host, directory, files, location, in that order.
 */
#include "request/headers.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/regex.h"
#include "http/head.h"
#include "log/log.h"
#include "request/variables.h"

enum action { SET, APPEND, ADD, UNSET, MERGE, SETIFEMPTY, EDIT, EDIT_ALL, ECHO, NOTE };

/* A piece of a value: literal text, or a variable. */
struct piece {
	char code;                      /* 0 literal, 'e', 's', 'D', 't' */
	const char *text;               /* the literal, or the variable's name */
	struct piece *next;
};

struct rule {
	enum action action;
	bool always, early;
	const char *name;               /* of the field; ECHO: none */
	const struct regex *regex;      /* EDIT: of the value; ECHO: of the name */
	const char *constant;           /* the value where it holds no variable */
	const struct piece *value;      /* else, unless it is an expression */
	const struct expr *text;
	const char *env;                /* env=NAME; NULL = always */
	bool env_not;
	const struct expr *condition;   /* expr=…; NULL = always */
	struct conf_pos pos;
	struct rule *next;
};

struct rules {
	struct rule *first, *last;
};

struct headers_section {
	struct rules request, response;
	bool early;                     /* some rule of request is */
};

/* ------------------------------------------------------------------------------------------------ setters */

static void rules_append(struct rules *l, struct rule *r)
{
	if (l->last)
		l->last->next = r;
	else
		l->first = r;
	l->last = r;
}

static struct piece *piece_add(struct conf_call *call, struct piece **last, char code, const char *p, size_t n)
{
	struct piece *piece = conf_alloc(call->env, sizeof(*piece));

	piece->code = code;
	piece->text = conf_printf(call->env, "%.*s", (int)n, p);
	if (*last)
		(*last)->next = piece;
	*last = piece;
	return piece;
}

/* "literal %{NAME}e %{NAME}s %D %t %%", or expr= and a text with variables in it */
static int set_value(struct conf_call *call, struct rule *r, const char *text)
{
	struct piece *first = NULL, *last = NULL;
	const char *p = text;

	if (strncmp(text, "expr=", 5) == 0)
		return (r->text = variables_text(call, text + 5)) ? 0 : -1;
	if (!http_is_value(text_of(text)))
		return conf_fail(call, NULL, "the value holds control characters");
	while (*p) {
		size_t n = strcspn(p, "%");
		const char *end;
		struct piece *made;

		if (n) {
			made = piece_add(call, &last, 0, p, n);
			p += n;
		} else if (p[1] == '%') {
			made = piece_add(call, &last, 0, "%", 1);
			p += 2;
		} else if (p[1] == 'D' || p[1] == 't') {
			made = piece_add(call, &last, p[1], "", 0);
			p += 2;
		} else if (p[1] == '{' && (end = strchr(p, '}')) && (end[1] == 'e' || end[1] == 's')) {
			made = piece_add(call, &last, end[1], p + 2, (size_t)(end - p - 2));
			p = end + 2;
		} else {
			return conf_fail(call, "use %{NAME}e, %{NAME}s, %D, %t, or %% for a percent sign", "\"%.12s\" is not available in a "
					 "value", p);
		}
		if (!first)
			first = made;
	}
	if (!first || (!first->next && !first->code))
		r->constant = first ? first->text : "";
	else
		r->value = first;
	return 0;
}

static int set_regex(struct conf_call *call, struct rule *r, const char *pattern)
{
	struct reading *reading = call->target->owner;
	struct err e = { 0 };

	r->regex = regex_new(reading->arena, pattern, r->action == ECHO ? REGEX_NOCASE | REGEX_DOTALL : REGEX_DOTALL, &e);
	if (!r->regex)
		return conf_fail(call, NULL, "\"%s\" is no regular expression: %s", pattern, e.text);
	return 0;
}

static int set_name(struct conf_call *call, struct rule *r, const char *word)
{
	size_t n = strlen(word);

	if (n && word[n - 1] == ':')
		n--;
	r->name = conf_printf(call->env, "%.*s", (int)n, word);
	if (!http_is_token(text_of(r->name)))
		return conf_fail(call, "write the name alone, for example X-Frame-Options", "\"%s\" is no name of a header field", word);
	return 0;
}

/* The word behind the value: env=NAME, env=!NAME, expr=CONDITION, early. */
static int set_condition(struct conf_call *call, struct rule *r, const char *word)
{
	if (strncmp(word, "env=", 4) == 0) {
		r->env_not = word[4] == '!';
		r->env = conf_strdup(call->env, word + 4 + r->env_not);
		if (!*r->env)
			return conf_fail(call, "write env=NAME or env=!NAME", "\"%s\" names no variable", word);
		return 0;
	}
	if (strcmp(word, "early") == 0) {
		if (!(call->context & CONF_RSRC))
			return conf_fail(call, "write it outside of sections", "early is not allowed inside a section");
		r->early = true;
		return 0;
	}
	if (strncmp(word, "expr=", 5) == 0)
		return (r->condition = variables_condition(call, word + 5)) ? 0 : -1;
	return conf_fail(call, "put a value of several words in double quotes", "\"%s\" is neither env=NAME nor expr=CONDITION nor early", word);
}

static const struct { const char *word; enum action action; int words; } actions[] = {  /* words: behind the action */
	{ "set", SET, 2 }, { "append", APPEND, 2 }, { "add", ADD, 2 }, { "unset", UNSET, 1 }, { "merge", MERGE, 2 },
	{ "setifempty", SETIFEMPTY, 2 }, { "edit", EDIT, 3 }, { "edit*", EDIT_ALL, 3 }, { "echo", ECHO, 1 }, { "note", NOTE, 2 },
};

/* [always|onsuccess] action name [value [replacement]] [early|env=…|expr=…] */
static int set_words(struct conf_call *call, void *config, int argc, char **argv)
{
	struct headers_section *s = config;
	struct rule *r = conf_alloc(call->env, sizeof(*r));
	bool request = strcmp(call->directive->name, "RequestHeader") == 0;
	size_t a;
	int i = 0;

	if (!request && (text_is_nocase(text_of(argv[0]), "always") || text_is_nocase(text_of(argv[0]), "onsuccess")))
		r->always = text_is_nocase(text_of(argv[i++]), "always");
	for (a = 0; a < sizeof(actions) / sizeof(actions[0]); a++)
		if (i < argc && text_is_nocase(text_of(argv[i]), actions[a].word))
			break;
	if (a == sizeof(actions) / sizeof(actions[0]) || (request && actions[a].action >= ECHO))
		return conf_fail(call, request ? "use set, append, add, unset, merge, setifempty, edit or edit*" :
				 "use set, append, add, unset, merge, setifempty, edit, edit*, echo or note",
				 "\"%s\" is no action", i < argc ? argv[i] : "");
	r->pos = call->node->pos;
	r->action = actions[a].action;
	i++;
	if (argc - i < actions[a].words || argc - i > actions[a].words + 1)
		return conf_fail(call, "put a value of several words in double quotes", argc - i < actions[a].words ?
				 "%s wants %d word%s behind it" : "%s takes %d word%s and a condition", actions[a].word, actions[a].words,
				 actions[a].words == 1 ? "" : "s");
	if (r->action == ECHO ? set_regex(call, r, argv[i]) < 0 : set_name(call, r, argv[i]) < 0)
		return -1;
	if ((r->action == EDIT || r->action == EDIT_ALL) && set_regex(call, r, argv[i + 1]) < 0)
		return -1;
	if (actions[a].words > 1 && set_value(call, r, argv[i + actions[a].words - 1]) < 0)
		return -1;
	if (argc - i > actions[a].words && set_condition(call, r, argv[i + actions[a].words]) < 0)
		return -1;
	rules_append(request ? &s->request : &s->response, r);
	s->early |= request && r->early;
	return 0;
}

#define WORDS 7                         /* one more than any action takes */

/* The line is split here, since an empty value counts: Header set X-A "" */
static int set_header(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *rest = argv[0];
	static char none[] = "";
	char *words[WORDS] = { none, none, none, none, none, none, none }, *word;

	for (argc = 0; argc < WORDS && (word = conf_word(call->env, &rest)); argc++)
		words[argc] = word;
	if (argc < 2 || argc == WORDS)
		return conf_fail(call, "write, for example: Header set X-Frame-Options DENY", "%s", argc < 2 ? "an action and a field's name are needed" :
				 "there are more words than any action takes; put a value of several words in double quotes");
	return set_words(call, config, argc, words);
}

/* ------------------------------------------------------------------------------------------------ merging */

static void rules_join(struct conf_env *env, struct rules *to, const struct rules *from)
{
	for (const struct rule *r = from->first; r; r = r->next) {
		struct rule *copy = conf_alloc(env, sizeof(*copy));

		*copy = *r;
		copy->next = NULL;
		rules_append(to, copy);
	}
}

static void *create_section(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct headers_section));
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct headers_section *b = base, *o = over;
	struct headers_section *m = create_section(env);

	rules_join(env, &m->request, &b->request);
	rules_join(env, &m->request, &o->request);
	rules_join(env, &m->response, &b->response);
	rules_join(env, &m->response, &o->response);
	m->early = b->early || o->early;
	return m;
}

/* ------------------------------------------------------------------------------------------------ at a request */

static int64_t monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* What a variable gives must not end the field: control bytes become blanks. NULL on ENOMEM. */
static const char *clean(struct request *r, const char *value)
{
	char *copy;

	if (http_is_value(text_of(value)))
		return value;
	copy = arena_strdup(r->arena, value);
	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	return copy;
}

/* NULL: none, since memory ran out or an expression has no answer (which is told). */
static const char *value_of(struct request *r, const struct rule *rule)
{
	const char *value = "";

	if (rule->constant)
		return rule->constant;
	if (rule->text)
		return (value = variables_string(r, rule->text)) ? clean(r, value) : NULL;
	for (const struct piece *p = rule->value; p && value; p = p->next) {
		struct text t;

		switch (p->code) {
		case 0:
			value = arena_printf(r->arena, "%s%s", value, p->text);
			break;
		case 'D':
			value = arena_printf(r->arena, "%sD=%" PRId64, value, monotonic_us() - r->started_us);
			break;
		case 't':
			value = arena_printf(r->arena, "%st=%" PRId64, value,
					     (int64_t)r->received.tv_sec * 1000000 + r->received.tv_nsec / 1000);
			break;
		default:
			t = p->code == 's' ? client_variable(r->client, p->text, r->arena) : request_env(r, p->text);
			if (!t.p)
				t = p->code == 's' && strcasecmp(p->text, "HTTPS") == 0 ? TEXT("off") : TEXT("(null)");
			value = arena_printf(r->arena, "%s%.*s", value, (int)t.n, t.p);
		}
	}
	return value ? clean(r, value) : NULL;
}

static bool wanted(struct request *r, const struct rule *rule)
{
	bool wants = rule->condition ? variables_true(r, rule->condition) == 1 :
		     !rule->env || (request_env(r, rule->env).p != NULL) != rule->env_not;

	if (wants && log_enabled(&r->client->about, LOG_HEADERS, LOG_L_TRACE1))
		log_put(&r->client->about, LOG_HEADERS, LOG_L_TRACE1, NULL, 0, "the line at %s:%u counts for %s", rule->pos.file, rule->pos.line,
			rule->name ? rule->name : "fields of the request");
	return wants;
}

/* The replaced value, or NULL: no match (or no memory, then the value stays). */
static const char *edit(struct request *r, const struct rule *rule, struct text value)
{
	const char *out = "", *template = value_of(r, rule);
	struct text rest = value;
	struct regex_match m;
	bool changed = false;

	while (out && template && regex_run(rule->regex, rest, &m) == 1) {
		const char *with = regex_expand(r->arena, template, &m);
		size_t before = (size_t)(m.at[0].p - rest.p);

		if (!with)
			return NULL;
		out = arena_printf(r->arena, "%s%.*s%s", out, (int)before, rest.p, with);
		rest = (struct text){ m.at[0].p + m.at[0].n, rest.n - before - m.at[0].n };
		changed = true;
		if (rule->action == EDIT || m.at[0].n == 0 || rest.n == 0)
			break;
	}
	if (!changed || !out || !(out = arena_printf(r->arena, "%s%.*s", out, (int)rest.n, rest.p)))
		return NULL;
	return clean(r, out);
}

static bool list_holds(struct text list, const char *value)
{
	struct text member;

	while (fields_list_next(&list, &member))
		if (text_is_nocase(member, value))
			return true;
	return false;
}

static void apply_value(struct request *r, const struct rule *rule, struct fields *f, const char *value)
{
	struct text old;

	switch (rule->action) {
	case SET:
		fields_set(f, rule->name, value);
		return;
	case SETIFEMPTY:
		if (!fields_get(f, rule->name).p)
			fields_set(f, rule->name, value);
		return;
	case MERGE:
	case APPEND:
		old = fields_combined(f, rule->name);
		if (old.p && rule->action == MERGE && list_holds(old, value))
			return;
		if (old.p)
			value = arena_printf(r->arena, "%.*s, %s", (int)old.n, old.p, value);
		if (value)
			fields_set(f, rule->name, value);
		return;
	case ADD:
		fields_add_copy(f, rule->name, value);
		return;
	default:
		return;
	}
}

static void apply(struct request *r, const struct rule *rule, struct fields *f)
{
	const char *value;

	switch (rule->action) {
	case UNSET:
		fields_remove(f, rule->name);
		return;
	case EDIT:
	case EDIT_ALL:
		for (unsigned i = 0; i < f->n; i++)
			if (text_is_nocase(f->at[i].name, rule->name) && (value = edit(r, rule, f->at[i].value)))
				f->at[i].value = text_of(value);
		return;
	case ECHO:
		for (unsigned i = 0; i < r->in.n; i++)
			if (regex_run(rule->regex, r->in.at[i].name, NULL) == 1)
				fields_add(f, r->in.at[i].name, r->in.at[i].value);
		return;
	case NOTE: {
		struct text t = fields_combined(f, rule->name);

		if (t.p && (value = value_of(r, rule))) {
			if (!r->notes.arena)
				fields_init(&r->notes, r->arena);
			fields_remove(&r->notes, value);
			fields_add(&r->notes, text_of(value), t);
		}
		return;
	}
	default:
		if ((value = value_of(r, rule)))
			apply_value(r, rule, f, value);
	}
}

/* Several lines of a field are one list to RequestHeader edit, as Apache reads them. */
static void apply_to_request(struct request *r, const struct rule *rule)
{
	struct text all;

	if ((rule->action == EDIT || rule->action == EDIT_ALL) && fields_count(&r->in, rule->name) > 1) {
		all = fields_combined(&r->in, rule->name);
		if (all.p && fields_remove(&r->in, rule->name))
			fields_add(&r->in, text_of(rule->name), all);
	}
	apply(r, rule, &r->in);
}

void headers_early(struct request *r)
{
	void **section = r->section ? r->section : r->host->section;
	const struct headers_section *s = section[headers_module.index];

	if (!s->early)
		return;
	for (const struct rule *rule = s->request.first; rule; rule = rule->next)
		if (rule->early && wanted(r, rule))
			apply_to_request(r, rule);
}

void headers_request(struct request *r)
{
	const struct headers_section *s = request_config(r, &headers_module);

	for (const struct rule *rule = s->request.first; rule; rule = rule->next)
		if (!rule->early && wanted(r, rule))
			apply_to_request(r, rule);
}

void headers_response(struct request *r, bool own)
{
	void **section = r->section ? r->section : r->host ? r->host->section : NULL;
	const struct headers_section *s = section ? section[headers_module.index] : NULL;

	if (!s || !s->response.first)
		return;
	for (const struct rule *rule = s->response.first; rule; rule = rule->next)
		if (rule->always && wanted(r, rule))
			apply(r, rule, &r->always);
	for (const struct rule *rule = s->response.first; rule && !own; rule = rule->next)
		if (!rule->always && wanted(r, rule))
			apply(r, rule, &r->out);
}

/* ------------------------------------------------------------------------------------------------ directives */

#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .scope = CONF_OF_SECTION, .args = CONF_RAW, .set = set_header

static const struct conf_directive directives[] = {
	{ "Header", "changes the fields of responses", NULL, EVERYWHERE },
	{ "RequestHeader", "changes the fields of requests before they are handled", NULL, EVERYWHERE },
	{ .name = NULL },
};

struct conf_module headers_module = {
	.name = "headers_module",
	.source = "mod_headers.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};
