/*
 * typemap.c - reads a type map, lets request/negotiate.c choose, and sends the client's request to the variant inside the server, or
 * sends the body that stands in the map. Runs in the children.
 */
#include "handler/typemap.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/phases.h"
#include "request/response.h"

#define MAP_MOST (256 * 1024)           /* bytes of a map */

/* ------------------------------------------------------------------------------------------------ the map */

/* "text/html; charset=x; qs=0.5; level=2" */
static void take_type(struct arena *a, struct variant *v, char *value)
{
	char *rest = NULL;

	v->type = strtok_r(value, "; \t", &rest);
	for (char *p = strtok_r(NULL, "; \t", &rest); p; p = strtok_r(NULL, "; \t", &rest)) {
		char *equals = strchr(p, '='), *end;

		if (!equals)
			continue;
		*equals++ = '\0';
		if (*equals == '"' && (end = strrchr(++equals, '"')))
			*end = '\0';
		if (strcasecmp(p, "charset") == 0)
			v->charset = equals;
		else if (strcasecmp(p, "level") == 0)
			v->level = (unsigned)strtoul(equals, NULL, 10);
		else if (strcasecmp(p, "qs") == 0 || strcasecmp(p, "q") == 0)
			v->quality = strtod(equals, NULL);
		else
			v->type = arena_printf(a, "%s; %s=%s", v->type ? v->type : "", p, equals);
	}
	if (!(v->quality >= 0 && v->quality <= 1))
		v->quality = 1;
}

static int take_line(struct arena *a, struct variant *v, char *name, char *value, struct err *e, unsigned line)
{
	uint64_t n;

	if (strcasecmp(name, "URI") == 0)
		v->name = value;
	else if (strcasecmp(name, "Content-Type") == 0)
		take_type(a, v, value);
	else if (strcasecmp(name, "Content-Language") == 0)
		v->language = value;
	else if (strcasecmp(name, "Content-Encoding") == 0)
		v->encoding = value;
	else if (strcasecmp(name, "Description") == 0)
		v->description = value;
	else if (strcasecmp(name, "Content-Length") == 0) {
		if (text_u64(text_of(value), INT64_MAX, &n) != 0)
			return err_set(e, "line %u: \"%s\" is no length", line, value);
		v->size = (int64_t)n;
	}
	return 0;
}

/* "Body:----x----" and all up to the next "----x----". Where the map goes on; NULL: there is no end. */
static char *take_body(const char *text, struct variant *v, char *mark, char *next, const char *end)
{
	size_t n = strlen(mark);
	char *close = n ? memmem(next, (size_t)(end - next), mark, n) : NULL;

	if (!close)
		return NULL;
	v->body_at = (uint64_t)(next - text);
	v->body_n = (uint64_t)(close - next);
	v->size = (int64_t)v->body_n;
	return close + n;
}

static char *trimmed(char *s)
{
	size_t n;

	while (*s == ' ' || *s == '\t')
		s++;
	for (n = strlen(s); n && strchr(" \t\r", s[n - 1]); n--)
		;
	s[n] = '\0';
	return s;
}

static bool is_whole(const struct variant *v)
{
	return v->type && (v->name || v->body_n);
}

/* An empty line, or the end of the map. */
static void finish_block(struct variants *v, struct variant *now)
{
	if (is_whole(now) && v->n < VARIANTS_MOST)
		v->at[v->n++] = *now;
	*now = (struct variant){ .quality = 1, .size = -1 };
}

int typemap_parse(struct arena *a, char *text, size_t n, struct variants *v, struct err *e)
{
	struct variant now = { .quality = 1, .size = -1 };
	char *end = text + n;
	unsigned line = 0;

	v->n = 0;
	if (memchr(text, '\0', n))
		return err_set(e, "it holds a NUL");
	if (!(v->at = arena_array(a, VARIANTS_MOST, sizeof(*v->at))))
		return err_set(e, "no memory");
	for (char *p = text, *next; p < end; p = next) {
		char *newline = memchr(p, '\n', (size_t)(end - p)), *colon;

		line++;
		if (!newline)
			newline = end;          /* a byte there is ours too */
		*newline = '\0';
		next = newline < end ? newline + 1 : end;
		p = trimmed(p);
		if (*p == '\0') {
			finish_block(v, &now);
			continue;
		}
		if (*p == '#')
			continue;
		if (!(colon = strchr(p, ':')))
			return err_set(e, "line %u: \"%.40s\" has no colon", line, p);
		*colon = '\0';
		if (strcasecmp(p, "Body") == 0) {
			if (!(next = take_body(text, &now, trimmed(colon + 1), next, end)))
				return err_set(e, "line %u: its body has no end", line);
			continue;
		}
		if (take_line(a, &now, trimmed(p), trimmed(colon + 1), e, line) < 0)
			return -1;
	}
	finish_block(v, &now);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ requests */

/* What a variant names, from the map's folder on, in normal form; NULL: it is none. */
static const char *path_of(struct request *r, const char *name)
{
	const char *slash = strrchr(r->path, '/');
	size_t info = r->path_info ? strlen(r->path_info) : 0, n = strlen(r->path);
	const char *above = arena_strndup(r->arena, r->path, n - (info < n ? info : 0)), *escaped;
	char *path = NULL;

	if (!above || !slash)
		return NULL;
	slash = strrchr(above, '/');
	above = slash ? arena_strndup(r->arena, above, (size_t)(slash - above) + 1) : "/";
	escaped = above ? uri_escape_path(r->arena, above) : NULL;
	escaped = *name == '/' ? name : escaped ? arena_printf(r->arena, "%s%s", escaped, name) : NULL;
	if (!escaped || uri_normalize(r->arena, text_of(escaped), core_uri_flags(r->host), &path) != URI_OK || !path)
		return NULL;
	return r->path_info ? arena_printf(r->arena, "%s%s", path, r->path_info) : path;
}

static void send_body(struct request *r, const struct variant *v, const char *text)
{
	char *body = arena_memdup(r->arena, text + v->body_at, v->body_n);

	if (!body) {
		response_error(r, 503);
		return;
	}
	r->charset = v->charset;
	r->encoding = v->encoding;
	r->language = v->language;
	response_text(r, 200, v->type, body, v->body_n);
}

static void broken(struct request *r, const char *why)
{
	log_errorx(&r->client->about, LOG_CORE, "BH0431", "the type map %s cannot be used: %s", r->filename, why);
	response_error(r, 500);
}

/* `whole` as it was read; `text` the copy that parsing changes. */
static void answer(struct request *r, char *text, const char *whole, size_t n)
{
	struct variants v = { 0 };
	const struct variant *best;
	struct err e = { 0 };
	const char *path;

	if (typemap_parse(r->arena, text, n, &v, &e) < 0) {
		broken(r, e.text);
		return;
	}
	if (v.n == 0) {
		broken(r, "it names no variant (a URI and a Content-Type each)");
		return;
	}
	best = negotiate_choose(r, &v);
	if (!best) {
		negotiate_refuse(r, &v);
		return;
	}
	if (!best->name) {
		send_body(r, best, whole);
		return;
	}
	path = path_of(r, best->name);
	if (!path)
		broken(r, "a URI in it is no path below the site's root");
	else
		phases_redirect(r, path, 0);
}

static void start(struct request *r)
{
	char *text, *whole;
	ssize_t n;

	if (!r->found || r->fd < 0) {
		response_error(r, 404);
		return;
	}
	if (r->st.st_size >= MAP_MOST) {
		broken(r, "it has more than 256 KiB");
		return;
	}
	text = arena_alloc(r->arena, MAP_MOST + 1);
	n = text ? pread(r->fd, text, MAP_MOST, 0) : -1;
	whole = n >= 0 ? arena_memdup(r->arena, text, (size_t)n) : NULL;
	if (!whole) {
		response_error(r, 503);
		return;
	}
	text[n] = '\0';
	answer(r, text, whole, (size_t)n);
}

const struct handler typemap_handler = { .name = "type-map", .start = start };
