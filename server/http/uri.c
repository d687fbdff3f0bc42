/*
 * uri.c - request targets (RFC 9112, 3.2), Host fields, and the one normal form of a path that everything
 * behind it (sections, aliases, the walk through folders) relies on: decoded once, no "." and "..", no NUL.
 * Pure; runs in the children.
 */
#include "http/uri.h"

#include <arpa/inet.h>

#define HOST_MAX 255

static bool is_alnum(char c)
{
	int l = ascii_lower((unsigned char)c);
	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9');
}

/* ------------------------------------------------------------------------------------------ host and port */

static bool is_ipv6(struct text t)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr ip;

	if (t.n == 0 || t.n >= sizeof text)
		return false;
	memcpy(text, t.p, t.n);
	text[t.n] = '\0';
	return memchr(text, '\0', t.n) == NULL && inet_pton(AF_INET6, text, &ip) == 1;
}

/* Letters, figures, "-", "_", and dots that stand between such or at the end. */
static bool is_host_name(struct text t)
{
	if (t.n == 0 || t.n > HOST_MAX || t.p[0] == '.')
		return false;
	for (size_t i = 0; i < t.n; i++) {
		if (!is_alnum(t.p[i]) && t.p[i] != '-' && t.p[i] != '_' && t.p[i] != '.')
			return false;
		if (i && t.p[i] == '.' && t.p[i - 1] == '.')
			return false;
	}
	return true;
}

static bool is_port(struct text t)
{
	uint64_t v;
	return t.n <= 5 && text_u64(t, 65535, &v) == 0 && v > 0;
}

int uri_parse_host(struct text field, struct text *host, struct text *port)
{
	struct text rest = field;

	*port = (struct text){ NULL, 0 };
	if (field.n == 0) {
		*host = (struct text){ field.p ? field.p : "", 0 };
		return 0;
	}
	if (field.p[0] == '[') {
		const char *end = memchr(field.p, ']', field.n);
		if (!end)
			return -1;
		*host = (struct text){ field.p + 1, (size_t)(end - field.p - 1) };
		rest.n -= (size_t)(end + 1 - field.p);
		rest.p = end + 1;
		if (!is_ipv6(*host) || (rest.n && rest.p[0] != ':'))
			return -1;
	} else {
		const char *colon = memchr(field.p, ':', field.n);
		size_t n = colon ? (size_t)(colon - field.p) : field.n;
		*host = (struct text){ field.p, n };
		rest.p += n;
		rest.n -= n;
		if (!is_host_name(*host))
			return -1;
	}
	if (rest.n > 1) {                       /* "host:" means the default port */
		*port = (struct text){ rest.p + 1, rest.n - 1 };
		return is_port(*port) ? 0 : -1;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ targets */

/* '#' begins a fragment, which is never sent; the rest no request line can hold. */
static bool has_foreign_bytes(struct text t)
{
	for (size_t i = 0; i < t.n; i++)
		if ((unsigned char)t.p[i] <= ' ' || t.p[i] == 0x7f || t.p[i] == '#')
			return true;
	return false;
}

static void split_query(struct text t, struct uri *u)
{
	text_split(&t, '?', &u->path);
	u->query = t;
}

static int parse_absolute(struct text target, struct uri *u)
{
	const char *colon = target.n ? memchr(target.p, ':', target.n) : NULL;
	struct text rest, authority;
	size_t n = 0;

	if (!colon)
		return -1;
	u->scheme = (struct text){ target.p, (size_t)(colon - target.p) };
	if (!text_is_nocase(u->scheme, "http") && !text_is_nocase(u->scheme, "https"))
		return -1;
	rest = (struct text){ colon, target.n - u->scheme.n };
	if (!text_starts(rest, "://"))
		return -1;
	rest.p += 3;
	rest.n -= 3;
	while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	authority = (struct text){ rest.p, n };
	if (n == 0 || uri_parse_host(authority, &u->host, &u->port) != 0)       /* refuses an '@' */
		return -1;
	rest.p += n;
	rest.n -= n;
	split_query(rest, u);
	if (u->path.n == 0)
		u->path = TEXT("/");
	u->form = URI_ABSOLUTE;
	return 0;
}

int uri_parse(struct text target, enum http_method m, struct uri *u)
{
	*u = (struct uri){ .form = URI_ORIGIN };
	if (target.n == 0 || has_foreign_bytes(target))
		return -1;
	if (m == HTTP_CONNECT) {
		u->form = URI_AUTHORITY;
		return uri_parse_host(target, &u->host, &u->port) == 0 && u->host.n && u->port.p ? 0 : -1;
	}
	if (text_is(target, "*")) {
		u->form = URI_ASTERISK;
		u->path = target;
		return m == HTTP_OPTIONS ? 0 : -1;
	}
	if (target.p[0] != '/')
		return parse_absolute(target, u);
	split_query(target, u);
	return 0;
}

/* -------------------------------------------------------------------------------------------- normal form */

static int hex_digit(char c)
{
	int l = ascii_lower((unsigned char)c);

	if (l >= '0' && l <= '9')
		return l - '0';
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/*
 * Decodes into out, at most path.n bytes. URI_NOT_FOUND is remembered, not returned at once: a request that
 * is also malformed is malformed. An encoded slash that is not decoded stays "%2F", so that it separates
 * nothing.
 */
static enum uri_result decode(struct text path, unsigned flags, char *out, size_t *length)
{
	enum uri_result result = URI_OK;
	size_t n = 0;

	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];
		if (c == '%') {
			int high = i + 2 < path.n ? hex_digit(path.p[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(path.p[i + 2]) : -1;
			if (low < 0)
				return URI_BAD;
			c = (char)(high << 4 | low);
			i += 2;
			if (c == '/' && !(flags & URI_SLASH_DECODE)) {
				if (!(flags & URI_SLASH_KEEP))
					result = URI_NOT_FOUND;
				out[n++] = '%';
				out[n++] = '2';
				out[n++] = 'F';
				continue;
			}
		}
		if (c == '\0')
			return URI_BAD;
		out[n++] = c;
	}
	*length = n;
	return result;
}

/*
 * Takes "." and ".." and repeated slashes out of s in place (RFC 3986, 5.2.4); s begins with '/'. What is
 * written never overtakes what is read. URI_BAD: above the root.
 */
static enum uri_result remove_dots(char *s, size_t n, bool merge, size_t *length)
{
	size_t out = 0, i = 0;

	while (i < n) {                 /* at a slash; s[0..out) is done, each segment with its slash before it */
		size_t from = i + 1, to = from, len;
		while (to < n && s[to] != '/')
			to++;
		len = to - from;
		i = to;
		if ((len == 1 && s[from] == '.') || (len == 0 && merge && to < n)) {
			if (to == n)
				s[out++] = '/';
		} else if (len == 2 && s[from] == '.' && s[from + 1] == '.') {
			if (out == 0)
				return URI_BAD;
			while (s[--out] != '/')
				;
			if (to == n)
				s[out++] = '/';
		} else {
			s[out++] = '/';
			memmove(s + out, s + from, len);
			out += len;
		}
	}
	*length = out;
	return URI_OK;
}

enum uri_result uri_normalize(struct arena *a, struct text path, unsigned flags, char **out)
{
	enum uri_result r, dots;
	size_t n;
	char *s;

	*out = NULL;
	if (path.n == 0 || path.p[0] != '/')
		return URI_BAD;
	s = arena_alloc(a, path.n + 1);
	if (!s)
		return URI_NO_MEMORY;
	r = decode(path, flags, s, &n);
	if (r == URI_BAD)
		return r;
	dots = remove_dots(s, n, !(flags & URI_SLASH_NOMERGE), &n);
	if (dots != URI_OK)
		return dots;
	s[n] = '\0';
	*out = s;
	return r;
}

static bool stays_in_path(char c)
{
	return is_alnum(c) || (c && strchr("-._~!$&'()*+,;=:@/", c));
}

char *uri_escape_path(struct arena *a, const char *path)
{
	static const char hex[] = "0123456789abcdef";        /* as Apache writes them */
	size_t n = 0, size;
	char *out;

	for (const char *p = path; *p; p++)
		n += stays_in_path(*p) ? 1 : 3;
	if (!size_add(n, 1, &size) || !(out = arena_alloc(a, size)))
		return NULL;
	n = 0;
	for (const char *p = path; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (stays_in_path(*p)) {
			out[n++] = *p;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
	return out;
}
