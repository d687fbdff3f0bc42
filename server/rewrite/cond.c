/*
 * cond.c - whether a RewriteCond holds. Runs in the children.
 */
#include "rewrite/rule.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/phases.h"
#include "request/variables.h"

/* ---------------------------------------------------------------------------------------------- other places */

struct request *rewrite_look_up(struct rewriting *w, const char *path, unsigned *status)
{
	const char *mark = strchr(path, '?');
	struct request *r = w->r, *sub;
	char *normal = NULL;

	*status = 404;
	if (*path != '/' || uri_normalize(r->arena, (struct text){ path, mark ? (size_t)(mark - path) : strlen(path) },
					  core_uri_flags(r->host), &normal) != URI_OK)
		return NULL;
	sub = phases_lookup(r, normal, mark ? mark + 1 : NULL, LOOKUP_QUIET, status);
	if (*status == PHASE_WAIT)
		w->wait = true;
	return w->wait ? NULL : sub;
}

/* What stands below a folder, its slash included; NULL where the name does not begin with it. */
static const char *below(const char *name, const char *folder)
{
	size_t n = strlen(folder);

	n -= n && folder[n - 1] == '/';
	return strncmp(name, folder, n) == 0 && name[n] == '/' ? name + n : NULL;
}

const char *rewrite_url_of_file(struct request *r, const char *file)
{
	const char *rest = below(file, core_document_root(r->host));

	if (rest)
		return rest;
	return r->context_root && below(file, r->context_root) ? rewrite_put_prefix(r->arena, file, r->context_root, r->context_prefix) : NULL;
}

const char *rewrite_url_now(struct rewriting *w)
{
	const char *url = NULL;

	if (!w->directory)
		return w->r->filename;
	if (strcmp(w->r->filename, w->first_name) == 0)
		return w->r->path;
	if (w->section->base)
		url = rewrite_put_prefix(w->r->arena, w->r->filename, w->directory, w->section->base);
	if (url && url != w->r->filename)
		return url;
	url = rewrite_url_of_file(w->r, w->r->filename);
	return url ? url : w->r->filename;
}

/* -U and -F. */
static int look(struct rewriting *w, const struct rewrite_cond *c, const char *input)
{
	const char *path = c->test == REWRITE_FILE_OK ? rewrite_url_of_file(w->r, input) : input;
	struct request *sub;
	unsigned status;
	struct stat st;
	int holds;

	if (!path || !*path)
		return 0;
	sub = rewrite_look_up(w, path, &status);
	if (w->wait)
		return -1;
	if (c->test == REWRITE_FILE_OK)
		holds = sub && status < 300 && stat(input, &st) == 0;
	else
		holds = sub && status < 400;
	rewrite_trace(w, 5, "RewriteCond %s check: path=%s -> status=%u", c->operand, path, status);
	if (sub)
		request_close(sub);
	return holds;
}

/* ---------------------------------------------------------------------------------------------- texts and numbers */

/* The longer one is the greater; of one length the first byte that differs decides. So Apache compares. */
static int compare(struct text a, const char *b, bool nocase)
{
	size_t n = strlen(b);

	if (nocase) {
		int d = strncasecmp(a.p, b, a.n < n ? a.n : n);

		return d ? d : (a.n > n) - (a.n < n);
	}
	if (a.n != n)
		return a.n > n ? 1 : -1;
	return memcmp(a.p, b, n);
}

/* As atoi reads it, without its overflow: what is no number is 0. */
static int64_t number(struct text t)
{
	int64_t v = 0;
	bool minus = false;
	size_t i = 0;

	while (i < t.n && (t.p[i] == ' ' || (t.p[i] >= '\t' && t.p[i] <= '\r')))
		i++;
	if (i < t.n && (t.p[i] == '-' || t.p[i] == '+'))
		minus = t.p[i++] == '-';
	for (; i < t.n && t.p[i] >= '0' && t.p[i] <= '9' && v < INT64_MAX / 100; i++)
		v = v * 10 + (t.p[i] - '0');
	return minus ? -v : v;
}

static int of_file(const struct rewrite_cond *c, const char *input)
{
	struct stat st;

	if (c->test == REWRITE_IS_LINK)
		return lstat(input, &st) == 0 && S_ISLNK(st.st_mode);
	if (stat(input, &st) != 0)
		return 0;
	switch (c->test) {
	case REWRITE_IS_FILE:
		return S_ISREG(st.st_mode);
	case REWRITE_IS_FILLED:
		return S_ISREG(st.st_mode) && st.st_size > 0;
	case REWRITE_IS_FOLDER:
		return S_ISDIR(st.st_mode);
	default:
		return (st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
	}
}

static int by_regex(struct rewriting *w, const struct rewrite_cond *c, struct text input)
{
	struct regex_match m;
	int rc = regex_run(c->regex, input, &m);

	if (rc < 0) {
		log_errorx(&w->r->client->about, LOG_REWRITE, "BH0611", "%s answered with 500: the pattern \"%s\" of %s:%u met its limits, so that what it "
			   "guards cannot be told; write it without nested repeats", w->r->path, c->written, c->pos.file ? c->pos.file : "-", c->pos.line);
		w->status = 500;
	}
	if (rc > 0 && !(c->flags & REWRITE_C_NOT))
		w->cond = m;
	return rc;
}

static int by_expr(struct rewriting *w, const struct rewrite_cond *c)
{
	struct regex_match m = { .count = 0 };
	int rc = variables_match(w->r, c->expr, &m);

	if (rc < 0)
		w->status = 500;
	if (rc > 0 && !(c->flags & REWRITE_C_NOT))
		w->cond = m;
	return rc;
}

static int by_text(struct rewriting *w, const struct rewrite_cond *c, struct text input)
{
	bool nocase = c->flags & REWRITE_C_NOCASE;
	int64_t a, b;

	switch (c->test) {
	case REWRITE_LESS:
		return compare(input, c->operand, nocase) < 0;
	case REWRITE_LESS_EQUAL:
		return compare(input, c->operand, nocase) <= 0;
	case REWRITE_EQUAL:
		return nocase ? text_is_nocase(input, c->operand) : text_is(input, c->operand);
	case REWRITE_GREATER_EQUAL:
		return compare(input, c->operand, nocase) >= 0;
	case REWRITE_GREATER:
		return compare(input, c->operand, nocase) > 0;
	case REWRITE_REGEX:
	case REWRITE_EXPR:
		return by_regex(w, c, input);
	default:
		break;
	}
	a = number(input);
	b = number(text_of(c->operand));
	switch (c->test) {
	case REWRITE_NUM_LT:
		return a < b;
	case REWRITE_NUM_LE:
		return a <= b;
	case REWRITE_NUM_EQ:
		return a == b;
	case REWRITE_NUM_GE:
		return a >= b;
	default:
		return a > b;
	}
}

int rewrite_cond_holds(struct rewriting *w, const struct rewrite_cond *c)
{
	struct text input = TEXT("");
	int rc;

	if (c->test == REWRITE_EXPR) {
		rc = by_expr(w, c);
	} else if (c->test >= REWRITE_IS_FILE && c->test <= REWRITE_FILE_OK) {
		const char *name = rewrite_expand_string(w, c->input, NULL, NULL);

		if (!name)
			return -1;
		input = text_of(name);
		rc = c->test >= REWRITE_URL_OK ? look(w, c, name) : of_file(c, name);
	} else {
		input = rewrite_expand(w, c->input, NULL, NULL);
		if (!input.p)
			return -1;
		rc = by_text(w, c, input);
	}
	if (rc < 0)
		return -1;
	if (c->flags & REWRITE_C_NOT)
		rc = !rc;
	rewrite_trace(w, 4, "RewriteCond: input='%.*s' pattern='%s'%s => %s (%s:%u)", (int)input.n, input.p, c->written,
		      c->flags & REWRITE_C_NOCASE ? " [NC]" : "", rc ? "matched" : "not-matched", c->pos.file ? c->pos.file : "-", c->pos.line);
	return rc;
}
