/*
 * proxyreverse.c - what a server behind says of itself, said as of this one: ProxyPassReverse, ProxyPassReverseCookieDomain and
 * ProxyPassReverseCookiePath. Lines are read by the master; answers are changed in the children.
 */
#include "request/proxyread.h"

#include <string.h>
#include <strings.h>

#include "http/head.h"
#include "request/response.h"
#include "request/sections.h"

static void append(struct proxy_reversal **list, struct proxy_reversal *v)
{
	while (*list)
		list = &(*list)->next;
	*list = v;
}

int proxy_set_reverse(struct conf_call *call, void *config, int argc, char **argv)
{
	struct proxy_section *s = config;
	struct proxy_reversal *v = conf_alloc(call->env, sizeof *v);
	const struct section *sec = call->context & CONF_SECTIONS ? reading_of(call)->section : NULL;

	v->interpolates = argc > 1 && strcasecmp(argv[argc - 1], "interpolate") == 0;
	argc -= v->interpolates;
	if (sec && sec->kind == SECTION_LOCATION && argc == 1)
		v->ours = sec->regex || sec->wild ? "/" : sec->pattern;
	else if (argc == 2)
		v->ours = conf_strdup(call->env, argv[0]);
	else
		return conf_fail(call, "write: ProxyPassReverse /path http://host/path, or in a <Location> the URL alone", "a path and a URL are needed");
	v->theirs = conf_strdup(call->env, argv[argc - 1]);
	append(&s->reversals, v);
	return 0;
}

int proxy_set_cookie(struct conf_call *call, void *config, int argc, char **argv)
{
	struct proxy_section *s = config;
	struct proxy_reversal *v = conf_alloc(call->env, sizeof *v);
	bool domain = strcasecmp(call->directive->name, "ProxyPassReverseCookieDomain") == 0;

	if (argc > 2 && strcasecmp(argv[2], "interpolate") != 0)
		return conf_fail(call, NULL, "\"%s\" is not the word interpolate, which alone may stand there", argv[2]);
	v->interpolates = argc > 2;
	v->theirs = conf_strdup(call->env, argv[0]);
	v->ours = conf_strdup(call->env, argv[1]);
	append(domain ? &s->cookie_domains : &s->cookie_paths, v);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ at an answer */

/* How much of `value` a URL of the configuration takes up; 0: it does not begin so. Scheme and host compare in any case. */
static size_t begins_with(const char *value, const char *url)
{
	const char *slashes = strstr(url, "://");
	size_t n = strlen(url), host = slashes ? (size_t)(slashes - url) + 3 + strcspn(slashes + 3, "/") : 0;

	if (strncasecmp(value, url, host) != 0 || strncmp(value + host, url + host, n - host) != 0)
		return 0;
	/* "http://a" is not the beginning of "http://ab". */
	if (n && url[n - 1] != '/' && value[n] && !strchr("/?#", value[n]))
		return 0;
	return n;
}

/* A balancer's URL stands for those of its members. */
static size_t begins_with_member(struct request *r, const char *value, const char *url)
{
	const struct proxy_host *h = host_config(r->host, &proxy_module);
	size_t n = strcspn(url + 11, "/");
	const struct proxy_balancer *b = proxy_balancer_find(h, url + 11, n);

	for (const struct proxy_member *m = b ? b->members : NULL; m; m = m->next) {
		const char *path = url + 11 + n, *real;
		size_t len = strlen(m->worker->name), got;

		if (len && m->worker->name[len - 1] == '/' && *path == '/')
			path++;
		real = arena_join(r->arena, m->worker->name, path);
		got = real ? begins_with(value, real) : 0;
		if (got)
			return got;
	}
	return 0;
}

/* What stands behind `unix:FILE|` is what the server behind knows itself by. */
static const char *without_socket(const char *url)
{
	const char *bar = strncasecmp(url, "unix:", 5) == 0 ? strchr(url, '|') : NULL;

	return bar ? bar + 1 : url;
}

static int reverse_url(struct request *r, const struct proxy_section *s, struct text *value)
{
	const char *text = arena_strndup(r->arena, value->p, value->n), *made;

	if (!text)
		return -1;
	for (const struct proxy_reversal *v = s->reversals; v; v = v->next) {
		const char *theirs = without_socket(v->theirs), *rest, *origin;
		size_t n = proxy_is_balancer(theirs) ? begins_with_member(r, text, theirs) : begins_with(text, theirs);

		if (!n)
			continue;
		rest = text + n;
		origin = response_origin(r);
		made = origin ? arena_printf(r->arena, "%s%s%s%s", origin, *v->ours == '/' ? "" : "/", v->ours, rest) : NULL;
		if (!made)
			return -1;
		*value = text_of(made);
		return 0;
	}
	return 0;
}

/* What stands for an attribute of a cookie whose value begins with, or is, what the server behind calls it. */
static const char *reverse_attribute(const struct proxy_reversal *list, struct text value, bool whole)
{
	for (const struct proxy_reversal *v = list; v; v = v->next) {
		size_t n = strlen(v->theirs);

		if (value.n < n || (whole && value.n != n))
			continue;
		if (whole ? strncasecmp(value.p, v->theirs, n) != 0 : strncmp(value.p, v->theirs, n) != 0)
			continue;
		return v->ours;
	}
	return NULL;
}

static int reverse_cookie(struct request *r, const struct proxy_section *s, struct text *value)
{
	size_t longest = value->n + 2;
	struct text rest = *value, part;
	struct buf b;
	char *out;
	bool first = true;

	for (int i = 0; i < 2; i++)
		for (const struct proxy_reversal *v = i ? s->cookie_paths : s->cookie_domains; v; v = v->next)
			longest += strlen(v->ours);
	if (!(out = arena_alloc(r->arena, longest)))
		return -1;
	buf_init(&b, out, longest);
	for (; text_split(&rest, ';', &part); first = false) {
		const char *equals = memchr(part.p, '=', part.n), *ours = NULL;
		struct text name = text_trim((struct text){ part.p, equals ? (size_t)(equals - part.p) : part.n }), old;

		if (!first)
			buf_putc(&b, ';');
		if (!first && equals) {
			old = (struct text){ equals + 1, part.n - (size_t)(equals + 1 - part.p) };
			if (text_is_nocase(name, "domain"))
				ours = reverse_attribute(s->cookie_domains, old, true);
			else if (text_is_nocase(name, "path"))
				ours = reverse_attribute(s->cookie_paths, old, false);
		}
		if (!ours) {
			buf_put(&b, part.p, part.n);
			continue;
		}
		buf_put(&b, part.p, (size_t)(equals + 1 - part.p));
		buf_puts(&b, ours);
	}
	*value = (struct text){ b.p, b.n };
	return b.full ? -1 : 0;
}

/* ${NAME} replaced, where lines say interpolate; what could not stand in a field stays as it is written. False: no memory. */
static bool interpolate(struct request *r, struct proxy_reversal **list)
{
	struct proxy_reversal *all = NULL, **tail = &all;

	for (const struct proxy_reversal *v = *list; v; v = v->next) {
		const char *ours = proxy_interpolate(r, v->ours, v->interpolates), *theirs = proxy_interpolate(r, v->theirs, v->interpolates);

		*tail = arena_zalloc(r->arena, sizeof **tail);
		if (!*tail || !ours || !theirs)
			return false;
		(*tail)->ours = http_is_value(text_of(ours)) ? ours : v->ours;
		(*tail)->theirs = theirs;
		tail = &(*tail)->next;
	}
	*list = all;
	return true;
}

int proxy_reverse(struct request *r, struct fields *f)
{
	static const char *const urls[] = { "Location", "Content-Location", "URI", "Destination" };
	const struct proxy_section *s = request_config(r, &proxy_module);
	struct proxy_section made = *s;

	if (s->interpolate == 1) {
		if (!interpolate(r, &made.reversals) || !interpolate(r, &made.cookie_domains) || !interpolate(r, &made.cookie_paths))
			return -1;
		s = &made;
	}

	for (unsigned i = 0; i < f->n; i++) {
		for (size_t k = 0; s->reversals && k < sizeof urls / sizeof *urls; k++)
			if (text_is_nocase(f->at[i].name, urls[k]) && reverse_url(r, s, &f->at[i].value) != 0)
				return -1;
		if ((s->cookie_domains || s->cookie_paths) && text_is_nocase(f->at[i].name, "Set-Cookie") && reverse_cookie(r, s, &f->at[i].value) != 0)
			return -1;
	}
	return 0;
}
