/*
 * text.c - texts of rules and conditions with $1, %1, %{NAME} and ${map:key|default} in them: taken apart where a
 * configuration is read, expanded in the children.
 */
#include "rewrite/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log/log.h"
#include "request/phases.h"
#include "request/variables.h"

/* ---------------------------------------------------------------------------------------------- taking apart */

struct builder {
	struct conf_call *call;
	struct rewrite_part parts[REWRITE_PARTS];
	unsigned n, depth;
};

static const struct rewrite_text *text_new(struct conf_call *call, const char *written, unsigned depth);

/* The bracket that closes what was opened before p, or NULL. */
static const char *closing(const char *p)
{
	for (unsigned depth = 1; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '{')
			depth++;
		else if (*p == '}' && --depth == 0)
			return p;
	}
	return NULL;
}

/* The first c of p before its closing bracket that stands in no further brackets, or NULL. */
static const char *find_inside(const char *p, const char *end, char c)
{
	for (unsigned depth = 1; p < end; p++) {
		if (*p == c && depth == 1)
			return p;
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == '{')
			depth++;
		else if (*p == '}')
			depth--;
	}
	return NULL;
}

static struct rewrite_part *add(struct builder *b, enum rewrite_kind kind)
{
	if (b->n == REWRITE_PARTS) {
		conf_fail(b->call, "split it into two rules", "a text holds more than %d variables, captures and pieces between them", REWRITE_PARTS);
		return NULL;
	}
	b->parts[b->n] = (struct rewrite_part){ .kind = kind };
	return &b->parts[b->n++];
}

static int add_literal(struct builder *b, const char *p, size_t n)
{
	struct rewrite_part *part;

	if (n == 0)
		return 0;
	part = add(b, REWRITE_LITERAL);
	if (part)
		part->text = (struct text){ conf_printf(b->call->env, "%.*s", (int)n, p), n };
	return part ? 0 : -1;
}

/* The field of a request whose value a variable is: what depends on it is told to caches (Vary). */
static const char *field_of(const char *variable)
{
	static const struct { const char *variable, *field; } fields[] = {
		{ "HTTP_USER_AGENT", "User-Agent" }, { "HTTP_REFERER", "Referer" }, { "HTTP_COOKIE", "Cookie" }, { "HTTP_FORWARDED", "Forwarded" },
		{ "HTTP_PROXY_CONNECTION", "Proxy-Connection" }, { "HTTP_ACCEPT", "Accept" },
	};

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strcmp(variable, fields[i].variable) == 0)
			return fields[i].field;
	return NULL;
}

/* %{…}: the name, with what stands before its colon. */
static int add_variable(struct builder *b, const char *p, size_t n)
{
	static const struct { const char *prefix; enum rewrite_kind kind; } prefixes[] = {
		{ "ENV:", REWRITE_ENV }, { "HTTP:", REWRITE_HTTP }, { "SSL:", REWRITE_SSL }, { "LA-U:", REWRITE_LOOK_URL }, { "LA-F:", REWRITE_LOOK_FILE },
	};
	struct rewrite_part *part = add(b, REWRITE_VARIABLE);
	char *name = conf_printf(b->call->env, "%.*s", (int)n, p);
	bool exact = false;

	if (!part)
		return -1;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (strncasecmp(name, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0) {
			part->kind = prefixes[i].kind;
			name += strlen(prefixes[i].prefix);
			exact = part->kind == REWRITE_ENV || part->kind == REWRITE_HTTP;
			break;
		}
	part->name = name;
	for (char *c = name; *c && !exact; c++)
		*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
	if (part->kind == REWRITE_HTTP)
		part->vary = strcasecmp(name, "Host") == 0 ? NULL : name;
	else if (part->kind == REWRITE_VARIABLE)
		part->vary = field_of(name);
	if ((part->kind == REWRITE_VARIABLE || part->kind == REWRITE_LOOK_URL || part->kind == REWRITE_LOOK_FILE) && !variables_known(name))
		conf_warn(b->call, "write %{ENV:NAME} for a variable of SetEnv, %{HTTP:Name} for a field of the request",
			  "there is no variable %%{%s}: it is always empty", name);
	return 0;
}

/* ${map:key|default}: 1, 0 where it is none, -1. */
static int add_map(struct builder *b, const char *p, const char *end)
{
	const char *colon = find_inside(p, end, ':'), *bar = colon ? find_inside(colon + 1, end, '|') : NULL;
	struct conf_env *env = b->call->env;
	struct rewrite_part *part;

	if (!colon)
		return 0;
	if (b->depth == REWRITE_DEPTH)
		return conf_fail(b->call, NULL, "maps stand in the keys of maps more than %d deep", REWRITE_DEPTH);
	part = add(b, REWRITE_MAP);
	if (!part)
		return -1;
	part->name = conf_printf(env, "%.*s", (int)(colon - p), p);
	part->key = text_new(b->call, conf_printf(env, "%.*s", (int)((bar ? bar : end) - colon - 1), colon + 1), b->depth + 1);
	if (!part->key)
		return -1;
	if (!bar || bar + 1 == end)
		return 1;
	part->otherwise = text_new(b->call, conf_printf(env, "%.*s", (int)(end - bar - 1), bar + 1), b->depth + 1);
	return part->otherwise ? 1 : -1;
}

/* What begins with '$' or '%' at p: where it ends, p itself where it means nothing, NULL after a report. */
static const char *add_special(struct builder *b, const char *p)
{
	const char *end;
	int rc = 1;

	if (p[1] >= '0' && p[1] <= '9') {
		struct rewrite_part *part = add(b, *p == '$' ? REWRITE_OF_RULE : REWRITE_OF_CONDITION);

		if (part)
			part->number = (unsigned)(p[1] - '0');
		return part ? p + 2 : NULL;
	}
	end = p[1] == '{' ? closing(p + 2) : NULL;
	if (!end)
		return p;
	if (*p == '%')
		rc = add_variable(b, p + 2, (size_t)(end - p - 2)) == 0 ? 1 : -1;
	else
		rc = add_map(b, p + 2, end);
	return rc < 0 ? NULL : rc ? end + 1 : p;
}

static const struct rewrite_text *text_new(struct conf_call *call, const char *written, unsigned depth)
{
	struct builder *b = conf_alloc(call->env, sizeof *b);
	struct rewrite_text *t = conf_alloc(call->env, sizeof *t);
	struct rewrite_part *parts;
	const char *p = written, *from = written;

	b->call = call;
	b->depth = depth;
	while (*p) {
		const char *next;

		if (*p == '\\' && p[1]) {
			if (add_literal(b, from, (size_t)(p - from)) != 0)
				return NULL;
			from = p + 1;
			p += 2;
			continue;
		}
		if (*p != '$' && *p != '%') {
			p++;
			continue;
		}
		if (add_literal(b, from, (size_t)(p - from)) != 0 || !(next = add_special(b, p)))
			return NULL;
		from = next;
		p = next == p ? p + 1 : next;
	}
	if (add_literal(b, from, (size_t)(p - from)) != 0)
		return NULL;
	parts = conf_alloc(call->env, (b->n + 1) * sizeof *parts);
	memcpy(parts, b->parts, b->n * sizeof *parts);
	t->written = written;
	t->at = parts;
	t->n = b->n;
	return t;
}

const struct rewrite_text *rewrite_text_new(struct conf_call *call, const char *written)
{
	return text_new(call, written, 0);
}

/* ---------------------------------------------------------------------------------------------- looking up */

static struct text nothing(void)
{
	return TEXT("");
}

static struct text failed(struct rewriting *w, unsigned status)
{
	w->status = status;
	return (struct text){ NULL, 0 };
}

static struct text of_environment(const struct rewriting *w, const char *name)
{
	struct text t = request_env(w->r, name);

	return t.p ? t : text_of(getenv(name));
}

/* %{LA-U:NAME}, %{LA-F:NAME}: the value it would have if the path were asked for by itself. */
static struct text looked_ahead(struct rewriting *w, const struct rewrite_part *part)
{
	const char *path = part->kind == REWRITE_LOOK_FILE && w->directory ? rewrite_url_of_file(w->r, w->r->filename) : rewrite_url_now(w);
	struct request *sub;
	struct text t;
	unsigned status;

	sub = path ? rewrite_look_up(w, path, &status) : NULL;
	if (w->wait)
		return (struct text){ NULL, 0 };
	t = sub ? variables_get(sub, part->name) : nothing();
	rewrite_trace(w, 5, "looking ahead: path=%s gives %s=%.*s", path ? path : "-", part->name, (int)t.n, t.p ? t.p : "");
	return t.p ? t : nothing();
}

static struct text of_map(struct rewriting *w, const struct rewrite_part *part)
{
	struct rewrite_map *m = w->host->maps;
	struct text key = rewrite_expand(w, part->key, NULL, NULL), value = { NULL, 0 };
	unsigned unreadable = 0;

	if (!key.p)
		return key;
	while (m && strcmp(m->name, part->name) != 0)
		m = m->next;
	if (m)
		value = rewrite_map_find(w, m, key, &unreadable);
	if (unreadable)
		return failed(w, unreadable);
	if (w->wait)
		return (struct text){ NULL, 0 };
	if (value.p && value.n)
		rewrite_trace(w, 5, "map lookup OK: map=%s key=%.*s -> val=%.*s", part->name, (int)key.n, key.p, (int)value.n, value.p);
	else
		rewrite_trace(w, 5, "map lookup FAILED: map=%s key=%.*s%s", part->name, (int)key.n, key.p, m ? "" : " (this host has no such map)");
	if (!value.p && part->otherwise)
		return rewrite_expand(w, part->otherwise, NULL, NULL);
	return value.p ? value : nothing();
}

static void note_field(struct rewriting *w, const char *field)
{
	if (field && w->nvary < REWRITE_VARY)
		w->vary[w->nvary++] = field;
}

static struct text captured(struct rewriting *w, const struct regex_match *m, unsigned number, const struct rewrite_rule *rule)
{
	struct text t = m->count > 0 ? m->at[number] : nothing(), escaped;

	if (!t.p || !rule || !(rule->flags & REWRITE_F_ESCAPE) || !t.n)
		return t.p ? t : nothing();
	escaped = rewrite_escape_capture(w->r->arena, t, rule);
	if (!escaped.p)
		return failed(w, 503);
	rewrite_trace(w, 5, "escaping backreference '%.*s' to '%.*s'", (int)t.n, t.p, (int)escaped.n, escaped.p);
	return escaped;
}

static struct text part_value(struct rewriting *w, const struct rewrite_part *part, const struct rewrite_rule *rule)
{
	struct text t = { NULL, 0 };

	note_field(w, part->vary);
	switch (part->kind) {
	case REWRITE_LITERAL:
		return part->text;
	case REWRITE_OF_RULE:
		return captured(w, &w->rule, part->number, rule);
	case REWRITE_OF_CONDITION:
		return captured(w, &w->cond, part->number, rule);
	case REWRITE_VARIABLE:
		t = variables_get(w->r, part->name);
		break;
	case REWRITE_ENV:
		t = of_environment(w, part->name);
		break;
	case REWRITE_HTTP:
		t = fields_combined(&w->r->in, part->name);
		break;
	case REWRITE_SSL:
		t = client_variable(w->r->client, part->name, w->r->arena);
		break;
	case REWRITE_LOOK_URL:
	case REWRITE_LOOK_FILE:
		return looked_ahead(w, part);
	case REWRITE_MAP:
		return of_map(w, part);
	}
	return t.p ? t : nothing();
}

/* ---------------------------------------------------------------------------------------------- expanding */

/* Where the query will begin: at the first '?', or with [QSL] at the last. */
static void note_mark(struct text t, bool brought, bool last, int *mark)
{
	if ((*mark < 0 || last) && t.n && memchr(t.p, '?', t.n))
		*mark = brought;
}

static struct text too_long(struct rewriting *w, const struct rewrite_text *t)
{
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0610", "%s answered with 500: \"%.200s\" of a rewrite rule expands to more than %d bytes",
		   w->r->path, t->written, REWRITE_TEXT);
	return failed(w, 500);
}

struct text rewrite_expand(struct rewriting *w, const struct rewrite_text *t, const struct rewrite_rule *rule, int *mark)
{
	struct text piece[REWRITE_PARTS];
	bool last = rule && rule->flags & REWRITE_F_QSL;
	size_t n = 0;
	char *out, *at;

	for (unsigned i = 0; i < t->n; i++) {
		piece[i] = part_value(w, &t->at[i], rule);
		if (!piece[i].p)
			return piece[i];
		if (mark)
			note_mark(piece[i], t->at[i].kind != REWRITE_LITERAL, last, mark);
		if (piece[i].n > REWRITE_TEXT - n)
			return too_long(w, t);
		n += piece[i].n;
	}
	if (t->n <= 1)
		return t->n ? piece[0] : nothing();
	at = out = arena_alloc(w->r->arena, n + 1);
	if (!out)
		return failed(w, 503);
	for (unsigned i = 0; i < t->n; i++) {
		memcpy(at, piece[i].p, piece[i].n);
		at += piece[i].n;
	}
	*at = '\0';
	return (struct text){ out, n };
}

const char *rewrite_expand_string(struct rewriting *w, const struct rewrite_text *t, const struct rewrite_rule *rule, int *mark)
{
	struct text x = rewrite_expand(w, t, rule, mark);
	char *copy = x.p ? arena_strndup(w->r->arena, x.p, x.n) : NULL;

	if (x.p && !copy)
		failed(w, 503);
	return copy;
}
