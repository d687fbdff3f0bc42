/*
 * env.c - variables: the directives of mod_env and mod_setenvif, compiled by the master, run in the children.
 *
 * Both keep their lines as a row of steps in order of the text, outer sections first: merging appends. The steps of the
 * host's own top level are a prefix of every merged row, which is how env_sections knows what env_early has done.
 */
#include "request/env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/regex.h"
#include "request/sections.h"
#include "request/variables.h"

/* ---------------------------------------------------------------------------------------------- rows */

/* A variable and what becomes of it: value NULL takes it away. */
struct assign {
	const char *name, *value;
	bool expand;                    /* value has $1 … */
};

enum subject {
	SUBJECT_FIELD, SUBJECT_FIELDS, SUBJECT_ADDRESS, SUBJECT_SERVER_ADDRESS, SUBJECT_METHOD, SUBJECT_PROTOCOL, SUBJECT_URI,
	SUBJECT_EXPRESSION, SUBJECT_EXTENSION,
};
struct step {
	enum subject subject;           /* mod_setenvif's; unused in mod_env's */
	const char *field;              /* SUBJECT_FIELD: a field of the request, else a variable; SUBJECT_EXTENSION: its OID */
	struct regex *fields;           /* SUBJECT_FIELDS: the first field with such a name */
	struct regex *pattern;
	const struct expr *condition;   /* SUBJECT_EXPRESSION */
	const struct assign *assigns;
	unsigned nassigns;
};

struct row {
	const struct step **at;
	unsigned n;
};

static void *create_section(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct row));
}

static void row_append(struct conf_env *env, struct row *row, const struct step *const *steps, unsigned n)
{
	const struct step **grown;

	if (n == 0)
		return;
	grown = conf_alloc(env, (row->n + n) * sizeof *grown);
	if (row->n)
		memcpy(grown, row->at, row->n * sizeof *grown);
	memcpy(grown + row->n, steps, n * sizeof *grown);
	row->at = grown;
	row->n += n;
}

static void *merge_section(struct conf_env *env, const void *pbase, const void *pover)
{
	const struct row *over = pover;
	struct row *m = conf_alloc(env, sizeof *m);

	*m = *(const struct row *)pbase;
	row_append(env, m, over->at, over->n);
	return m;
}

static void assign(struct request *r, const char *name, const char *value)
{
	if (value)
		fields_set(&r->env, name, value);
	else
		fields_remove(&r->env, name);
}

/* ---------------------------------------------------------------------------------------------- mod_env */

static int env_add(struct conf_call *call, struct row *row, const char *name, const char *value)
{
	struct assign *a = conf_alloc(call->env, sizeof *a);
	struct step *step = conf_alloc(call->env, sizeof *step);
	const struct step *one = step;

	if (!*name || strchr(name, '='))
		return conf_fail(call, "write SetEnv NAME VALUE", "\"%s\" is no name of a variable", name);
	a->name = conf_strdup(call->env, name);
	a->value = value ? conf_strdup(call->env, value) : NULL;
	step->assigns = a;
	step->nassigns = 1;
	row_append(call->env, row, &one, 1);
	return 0;
}

static int set_env(struct conf_call *call, void *config, int argc, char **argv)
{
	return env_add(call, config, argv[0], argc > 1 ? argv[1] : "");
}

static int unset_env(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	return env_add(call, config, argv[0], NULL);
}

static int pass_env(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *value = getenv(argv[0]);

	(void)argc;
	if (!value) {
		conf_warn(call, "set it where the server is started, or write SetEnv", "the environment has no variable %s: nothing is passed on", argv[0]);
		return 0;
	}
	return env_add(call, config, argv[0], value);
}

#define LINES .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .scope = CONF_OF_SECTION

static const struct conf_directive env_directives[] = {
	{ "SetEnv", "sets a variable for programs and header lines", NULL, LINES, .args = CONF_TAKE, .min = 1, .max = 2, .set = set_env },
	{ "UnsetEnv", "takes variables away", NULL, LINES, .args = CONF_ITERATE, .set = unset_env },
	{ "PassEnv", "passes variables of the server's environment on", NULL, LINES, .args = CONF_ITERATE, .set = pass_env },
	{ .name = NULL },
};

struct conf_module env_module = {
	.name = "env_module",
	.source = "mod_env.c",
	.aka = "unique_id_module mod_unique_id.c",
	.directives = env_directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

/* What the lines come to by themselves, the last of a name counting; over: also where the request has the variable by other lines. */
static void set_late(struct request *r, bool over)
{
	const struct row *row = request_config(r, &env_module);

	for (unsigned i = 0; i < row->n; i++) {
		const struct assign *a = &row->at[i]->assigns[0];
		bool last = a->value != NULL;

		for (unsigned k = i + 1; k < row->n && last; k++)
			last = strcmp(row->at[k]->assigns[0].name, a->name) != 0;
		if (last && (over || !request_env(r, a->name).p))
			assign(r, a->name, a->value);
	}
}

/* What the request does not have yet: they neither change nor take away what SetEnvIf has set, as in Apache. */
void env_late(struct request *r)
{
	set_late(r, false);
}

void env_for_programs(struct request *r)
{
	set_late(r, true);
}

/* ---------------------------------------------------------------------------------------------- mod_setenvif: reading */

static struct arena *site_arena(struct conf_call *call)
{
	return reading_of(call)->arena;
}

static struct regex *compile(struct conf_call *call, const char *pattern, bool nocase)
{
	struct err e = { .text = "" };
	struct regex *re = regex_new(site_arena(call), pattern, REGEX_DOTALL | (nocase ? REGEX_NOCASE : 0u), &e);

	if (!re)
		conf_fail(call, NULL, "%s", e.text);
	return re;
}

/* OID("1.2.3"): an extension of the client's certificate. */
static int extension_parse(struct conf_call *call, struct step *step, const char *word)
{
	const char *from = word + 4 + strspn(word + 4, "\"'");
	size_t n = strcspn(from, "\"')");

	if (n == 0 || from[n + strspn(from + n, "\"'")] != ')')
		return conf_fail(call, "write OID(\"1.2.3\")", "\"%s\" names no extension of a certificate", word);
	step->subject = SUBJECT_EXTENSION;
	step->field = conf_printf(call->env, "%.*s", (int)n, from);
	return 0;
}

/* "Request_URI", a field's name, or a regular expression for names of fields. */
static int subject_parse(struct conf_call *call, struct step *step, const char *word, bool nocase)
{
	static const struct { const char *word; enum subject subject; } words[] = {
		{ "Remote_Addr", SUBJECT_ADDRESS }, { "Remote_Host", SUBJECT_ADDRESS }, { "Server_Addr", SUBJECT_SERVER_ADDRESS },
		{ "Request_Method", SUBJECT_METHOD }, { "Request_Protocol", SUBJECT_PROTOCOL }, { "Request_URI", SUBJECT_URI },
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasecmp(words[i].word, word) == 0) {
			step->subject = words[i].subject;
			if (strcasecmp(word, "Remote_Host") == 0)
				conf_note(call, "match Remote_Addr", "names of clients are not looked up: Remote_Host is the address");
			return 0;
		}
	if (strncasecmp(word, "OID(", 4) == 0)
		return extension_parse(call, step, word);
	step->field = conf_strdup(call->env, word);
	step->subject = SUBJECT_FIELD;
	if (strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(word))
		return 0;
	step->subject = SUBJECT_FIELDS;
	step->fields = compile(call, word, nocase);
	return step->fields ? 0 : -1;
}

/* VAR, VAR=value, !VAR */
static int assigns_parse(struct conf_call *call, struct step *step, int argc, char **argv)
{
	struct assign *all = conf_alloc(call->env, (size_t)argc * sizeof *all);

	for (int i = 0; i < argc; i++) {
		char *word = conf_strdup(call->env, argv[i]), *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		all[i].name = word[0] == '!' ? word + 1 : word;
		all[i].value = word[0] == '!' ? NULL : value && *value ? value : "1";
		all[i].expand = value && (strchr(value, '$') || strchr(value, '\\'));
		if (!*all[i].name)
			return conf_fail(call, "write NAME, NAME=value or !NAME", "\"%s\" names no variable", argv[i]);
	}
	step->assigns = all;
	step->nassigns = (unsigned)argc;
	return 0;
}

static int set_env_if(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *name = call->directive->name;
	bool browser = strncasecmp(name, "Browser", 7) == 0, nocase = strcasecmp(name + strlen(name) - 6, "NoCase") == 0;
	struct step *step = conf_alloc(call->env, sizeof *step);
	const struct step *one = step;

	if (browser)
		step->field = "User-Agent";
	else if (subject_parse(call, step, argv[0], nocase) != 0)
		return -1;
	else
		argv++, argc--;
	step->pattern = compile(call, argv[0], nocase);
	if (!step->pattern || assigns_parse(call, step, argc - 1, argv + 1) != 0)
		return -1;
	row_append(call->env, config, &one, 1);
	return 0;
}

static int set_env_if_expr(struct conf_call *call, void *config, int argc, char **argv)
{
	struct step *step = conf_alloc(call->env, sizeof *step);
	const struct step *one = step;

	step->subject = SUBJECT_EXPRESSION;
	step->condition = variables_condition(call, argv[0]);
	if (!step->condition || assigns_parse(call, step, argc - 1, argv + 1) != 0)
		return -1;
	row_append(call->env, config, &one, 1);
	return 0;
}

static const struct conf_directive setenvif_directives[] = {
	{ "SetEnvIf", "sets variables where a part of the request matches", NULL, LINES, .args = CONF_TAKE, .min = 3, .set = set_env_if },
	{ "SetEnvIfNoCase", "SetEnvIf in any case", NULL, LINES, .args = CONF_TAKE, .min = 3, .set = set_env_if },
	{ "BrowserMatch", "SetEnvIf User-Agent", NULL, LINES, .args = CONF_TAKE, .min = 2, .set = set_env_if },
	{ "BrowserMatchNoCase", "SetEnvIfNoCase User-Agent", NULL, LINES, .args = CONF_TAKE, .min = 2, .set = set_env_if },
	{ "SetEnvIfExpr", "sets variables where an expression holds", NULL, LINES, .args = CONF_TAKE, .min = 2, .set = set_env_if_expr },
	{ .name = NULL },
};

struct conf_module setenvif_module = {
	.name = "setenvif_module",
	.source = "mod_setenvif.c",
	.directives = setenvif_directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

/* ---------------------------------------------------------------------------------------------- mod_setenvif: running */

/* Whether one of the fields with such a name has such a value; without any there is the empty text, so that "^$" finds what is missing. */
static int any_field_matches(const struct request *r, const struct step *step, struct regex_match *m)
{
	bool found = false;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < r->in.n; i++)
		if (regex_run(step->fields, r->in.at[i].name, NULL) == 1) {
			rc = regex_run(step->pattern, r->in.at[i].value, m);
			found = true;
		}
	return found ? rc : regex_run(step->pattern, TEXT(""), m);
}

/* All its values, with commas between them. */
static struct text extension(const struct request *r, const char *oid)
{
	struct text all = client_extension(r->client, oid, 0, r->arena), one;

	for (unsigned i = 1; all.p && (one = client_extension(r->client, oid, i, r->arena)).p; i++)
		all = text_of(arena_printf(r->arena, "%.*s,%.*s", (int)all.n, all.p, (int)one.n, one.p));
	return all;
}

static struct text subject_text(const struct request *r, const struct step *step, char *buf)
{
	struct text t;

	switch (step->subject) {
	case SUBJECT_ADDRESS:
		return text_of(r->client->peer_text);
	case SUBJECT_SERVER_ADDRESS:
		return text_of(addr_ip(&r->client->local, buf));
	case SUBJECT_METHOD:
		return r->method;
	case SUBJECT_PROTOCOL: {
		struct buf b;
		buf_init(&b, buf, ADDR_TEXT);
		buf_printf(&b, "HTTP/%u.%u", r->major, r->minor);
		return text_of(buf);
	}
	case SUBJECT_URI:
		return text_of(r->path);
	case SUBJECT_EXTENSION:
		return extension(r, step->field);
	case SUBJECT_FIELDS:
	case SUBJECT_EXPRESSION:
	case SUBJECT_FIELD:
		break;
	}
	t = fields_combined(&r->in, step->field);
	return t.p ? t : request_env(r, step->field);
}

static int matches(struct request *r, const struct step *step, struct regex_match *m)
{
	char buf[ADDR_TEXT];
	struct text subject;

	if (step->subject == SUBJECT_FIELDS)
		return any_field_matches(r, step, m);
	subject = subject_text(r, step, buf);
	if (!subject.p)
		subject = TEXT("");             /* so that "^$" finds what is missing */
	return regex_run(step->pattern, subject, m);
}

static void step_run(struct request *r, const struct step *step)
{
	struct regex_match m = { .count = 0 };
	int holds = step->condition ? variables_match(r, step->condition, &m) : matches(r, step, &m);

	r->env_unknown |= holds < 0;            /* rules may ask for the variable, or for its absence */
	if (holds != 1)
		return;
	for (unsigned i = 0; i < step->nassigns; i++) {
		const struct assign *a = &step->assigns[i];
		assign(r, a->name, a->expand ? regex_expand(r->arena, a->value, &m) : a->value);
	}
}

static void steps_run(struct request *r, const struct row *row, unsigned from)
{
	for (unsigned i = from; i < row->n; i++)
		step_run(r, row->at[i]);
	/* What the variables ask of the connection; the forms of a response that they ask for are conn/'s. */
	if (row->n > from && (request_env(r, "nokeepalive").p || request_env(r, "downgrade-1.0").p)) {
		r->client->nokeepalive = true;
		r->keepalive = false;
	}
}

void env_early(struct request *r)
{
	steps_run(r, r->host->section[setenvif_module.index], 0);
}

void env_sections(struct request *r)
{
	const struct row *early = r->host->section[setenvif_module.index];

	steps_run(r, request_config(r, &setenvif_module), early->n);
}

/* ---------------------------------------------------------------------------------------------- what is set anywhere */

static bool row_names(const struct row *row, const char *name)
{
	for (unsigned i = 0; row && i < row->n; i++)
		for (unsigned k = 0; k < row->at[i]->nassigns; k++)
			if (row->at[i]->assigns[k].value && strcmp(row->at[i]->assigns[k].name, name) == 0)
				return true;
	return false;
}

static bool structures_name(void *const *section, const char *name)
{
	return section && (row_names(section[env_module.index], name) || row_names(section[setenvif_module.index], name));
}

static bool sections_name(const struct section *first, const char *name)
{
	for (const struct section *s = first; s; s = s->next)
		if (structures_name(s->config, name) || sections_name(s->files, name))
			return true;
	return false;
}

bool env_names(const struct site *s, const char *name)
{
	for (const struct host *h = s->main; h; h = h == s->main ? s->hosts : h->next)
		if (structures_name(h->section, name) || sections_name(h->sections, name))
			return true;
	return false;
}
