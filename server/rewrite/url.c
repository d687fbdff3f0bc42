/*
 * url.c - URLs and paths as rules make them: schemes, escaping, the query, prefixes, cookies. Runs in the children;
 * no input or output.
 */
#include "rewrite/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http/fields.h"
#include "http/head.h"
#include "http/uri.h"

/* Other schemes are paths: "javascript:…" is no place to send a client to by a capture. */
static const struct { const char *scheme; bool query; } schemes[] = {
	{ "http://", true }, { "https://", true }, { "ws://", true }, { "wss://", true }, { "ftp://", false }, { "mailto:", true }, { "news:", false },
	{ "nntp://", false }, { "ldap://", false }, { "gopher://", false }, { "ajp://", true }, { "balancer://", true }, { "fcgi://", true },
	{ "scgi://", true }, { "h2://", true }, { "h2c://", true }, { "unix:", true },
};

size_t rewrite_scheme(const char *url, bool *query)
{
	if (*url == '/')
		return 0;
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		size_t n = strlen(schemes[i].scheme);

		if (strncasecmp(url, schemes[i].scheme, n) != 0)
			continue;
		if (query)
			*query = schemes[i].query;
		return n;
	}
	return 0;
}

/* ---------------------------------------------------------------------------------------------- escaping */

static bool plain(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool to_escape(unsigned char c, const struct rewrite_rule *rule)
{
	bool control = c <= ' ' || c == 0x7f, wanted = rule->flags & REWRITE_F_ESCAPE_CTLS ? control : !rule->escaped;

	if (rule->unescaped && c && strchr(rule->unescaped, c))
		return false;
	return wanted || (rule->escaped && c && strchr(rule->escaped, c));
}

struct text rewrite_escape_capture(struct arena *a, struct text t, const struct rewrite_rule *rule)
{
	static const char figures[] = "0123456789abcdef";
	char *out = arena_alloc(a, 3 * t.n + 1), *d = out;

	if (!out)
		return (struct text){ NULL, 0 };
	for (size_t i = 0; i < t.n; i++) {
		unsigned char c = (unsigned char)t.p[i];

		if (!to_escape(c, rule) || plain(c)) {
			*d++ = (char)c;
		} else if (c == ' ' && !(rule->flags & REWRITE_F_NOPLUS)) {
			*d++ = '+';
		} else {
			*d++ = '%';
			*d++ = figures[c >> 4];
			*d++ = figures[c & 15];
		}
	}
	*d = '\0';
	return (struct text){ out, (size_t)(d - out) };
}

const char *rewrite_escape_url(struct arena *a, const char *url, size_t scheme)
{
	const char *from = url + scheme, *escaped;

	if (from[-1] == '/') {
		from += strcspn(from, "/");
		if (*from)
			from++;
	}
	if (!*from)
		return url;
	escaped = uri_escape_path(a, from);
	return escaped ? arena_printf(a, "%.*s%s", (int)(from - url), url, escaped) : NULL;
}

/* ---------------------------------------------------------------------------------------------- the query */

/* The query that a substitution brought along, and the one there was. NULL on ENOMEM. */
static char *joined(struct request *r, const char *own, bool append)
{
	size_t n;
	char *query;

	if (append && *own)
		query = arena_printf(r->arena, "%s&%s", own, r->query ? r->query : "");
	else
		query = arena_strdup(r->arena, append ? r->query ? r->query : "" : own);
	n = query ? strlen(query) : 0;
	if (n && query[n - 1] == '&')
		query[n - 1] = '\0';
	return query;
}

int rewrite_split_query(struct rewriting *w, char *path, const struct rewrite_rule *rule)
{
	struct request *r = w->r;
	bool has_query = true;
	size_t skip = rewrite_scheme(path, &has_query);
	char *mark, *query;

	if (rule->flags & REWRITE_F_QSNONE) {
		rewrite_trace(w, 2, "discarding query string, no parse from substitution");
		r->query = NULL;
		return 0;
	}
	if (skip && !has_query) {
		r->query = NULL;
		return 0;
	}
	if (rule->flags & REWRITE_F_QSD) {
		rewrite_trace(w, 2, "discarding query string");
		r->query = NULL;
	}
	mark = rule->flags & REWRITE_F_QSL ? strrchr(path + skip, '?') : strchr(path + skip, '?');
	if (!mark)
		return 0;
	query = joined(r, mark + 1, rule->flags & REWRITE_F_QSA);
	if (!query)
		return -1;
	if (w->traced >= 3)
		rewrite_tell(w, 3, "split uri=%s -> uri=%.*s, args=%s", path, (int)(mark - path), path, *query ? query : "<none>");
	*mark = '\0';
	r->query = *query ? query : NULL;
	return 0;
}

/* ---------------------------------------------------------------------------------------------- paths */

const char *rewrite_put_prefix(struct arena *a, const char *input, const char *match, const char *with)
{
	size_t n = strlen(match), m = strlen(with);

	n -= n && match[n - 1] == '/';
	m -= m && with[m - 1] == '/';
	if (strncmp(input, match, n) != 0 || input[n] != '/')
		return input;
	return arena_printf(a, "%.*s%s%s", (int)m, with, *with ? "/" : "", input + n + 1);
}

const char *rewrite_clean(struct arena *a, const char *path, bool keep_slashes)
{
	char *copy, *to;

	if ((keep_slashes || !strstr(path, "//")) && !strstr(path, "/."))
		return path;
	copy = to = arena_strdup(a, path);
	if (!copy)
		return NULL;
	for (const char *p = copy; *p;) {
		size_t n = strcspn(p + 1, "/") + 1;     /* a slash and its segment */

		if (n == 1 && p[1] && !keep_slashes) {
			;
		} else if (n == 2 && p[1] == '.') {
			if (!p[2])
				*to++ = '/';
		} else if (n == 3 && p[1] == '.' && p[2] == '.') {
			if (to == copy) {
				errno = EINVAL;
				return NULL;
			}
			while (*--to != '/')
				;
			if (!p[3])
				*to++ = '/';
		} else {
			memmove(to, p, n);
			to += n;
		}
		p += n;
	}
	if (to == copy)
		*to++ = '/';
	*to = '\0';
	return copy;
}

/* ---------------------------------------------------------------------------------------------- cookies */

enum { COOKIE_NAME, COOKIE_VALUE, COOKIE_DOMAIN, COOKIE_MINUTES, COOKIE_PATH, COOKIE_SECURE, COOKIE_HTTPONLY, COOKIE_SAMESITE, COOKIE_FIELDS };

static bool said(const char *field, const char *word)
{
	return field && (strcasecmp(field, "true") == 0 || strcmp(field, "1") == 0 || strcasecmp(field, word) == 0);
}

static bool has_cookie(const struct fields *f, const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < f->n; i++)
		if (text_is_nocase(f->at[i].name, "Set-Cookie") && f->at[i].value.n > n && strncmp(f->at[i].value.p, name, n) == 0 &&
		    f->at[i].value.p[n] == '=')
			return true;
	return false;
}

/* Set by an earlier rule, or round of rules, of what this request was made of. */
static bool is_set(const struct request *r, const char *name)
{
	for (; r; r = r->original ? r->original : r->parent)
		if (has_cookie(&r->always, name))
			return true;
	return false;
}

static void put_expiry(struct buf *b, const struct request *r, const char *minutes)
{
	time_t at = r->received.tv_sec + 60 * strtol(minutes, NULL, 10);
	char date[64];
	struct tm tm;

	if (at != r->received.tv_sec && gmtime_r(&at, &tm) && strftime(date, sizeof date, "%a, %d-%b-%Y %H:%M:%S GMT", &tm))
		buf_printf(b, "; expires=%s", date);
}

/* name:value:domain[:minutes[:path[:secure[:httponly[:samesite]]]]], or with ';' where the text begins with one. */
int rewrite_cookie(struct rewriting *w, const char *text)
{
	const char *between = *text == ';' ? ";" : ":";
	char *copy = arena_strdup(w->r->arena, text), *rest = copy, *out;
	const char *field[COOKIE_FIELDS] = { NULL };
	size_t cap = strlen(text) + 160;
	struct buf b;

	out = copy ? arena_alloc(w->r->arena, cap) : NULL;
	if (!out)
		return -1;
	for (unsigned i = 0; i < COOKIE_FIELDS && (field[i] = strtok_r(rest, between, &rest)); i++)
		;
	if (!field[COOKIE_DOMAIN])
		return 0;
	if (is_set(w->r, field[COOKIE_NAME])) {
		rewrite_trace(w, 5, "skipping already set cookie '%s'", field[COOKIE_NAME]);
		return 0;
	}
	buf_init(&b, out, cap);
	buf_printf(&b, "%s=%s; path=%s; domain=%s", field[COOKIE_NAME], field[COOKIE_VALUE], field[COOKIE_PATH] ? field[COOKIE_PATH] : "/",
		   field[COOKIE_DOMAIN]);
	if (field[COOKIE_MINUTES])
		put_expiry(&b, w->r, field[COOKIE_MINUTES]);
	if (said(field[COOKIE_SECURE], "secure"))
		buf_puts(&b, "; secure");
	if (said(field[COOKIE_HTTPONLY], "HttpOnly"))
		buf_puts(&b, "; HttpOnly");
	if (field[COOKIE_SAMESITE] && strcmp(field[COOKIE_SAMESITE], "0") != 0 && strcasecmp(field[COOKIE_SAMESITE], "false") != 0)
		buf_printf(&b, "; SameSite=%s", field[COOKIE_SAMESITE]);
	if (b.full || !http_is_value((struct text){ out, b.n })) {
		rewrite_trace(w, 1, "cookie '%s' left out: it holds control characters", field[COOKIE_NAME]);
		return 0;
	}
	rewrite_trace(w, 5, "setting cookie '%s'", out);
	return fields_add(&w->r->always, TEXT("Set-Cookie"), (struct text){ out, b.n });
}
