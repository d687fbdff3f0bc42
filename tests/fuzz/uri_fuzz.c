/*
 * uri_fuzz.c - fuzzes server/http/uri.c with request targets. Holds:
 * - the parts of a target lie inside it and, put together, are it;
 * - a normal path begins with a slash, has no "." or ".." segment, no NUL, no double slash unless these are kept, and is
 *   not longer than what it came from;
 * - a normal path, escaped, is its own normal form.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "http/uri.h"

static struct arena *arena;

static bool inside(struct text t, const char *p, size_t n)
{
	return !t.p || (t.p >= p && t.p + t.n <= p + n);
}

static void check_host(struct text field)
{
	struct text host, port;

	if (uri_parse_host(field, &host, &port) != 0)
		return;
	CHECK(host.p && host.n <= field.n && (!port.p || inside(port, field.p, field.n)));
	for (size_t i = 0; i < host.n; i++)
		CHECK(http_is_token((struct text){ host.p + i, 1 }) || host.p[i] == ':');
	for (size_t i = 0; port.p && i < port.n; i++)
		CHECK(port.p[i] >= '0' && port.p[i] <= '9');
}

static bool has_segment(const char *path, const char *segment)
{
	size_t n = strlen(segment);

	for (const char *p = path; (p = strchr(p, '/')); p++)
		if (strncmp(p + 1, segment, n) == 0 && (p[1 + n] == '/' || p[1 + n] == '\0'))
			return true;
	return false;
}

static void check_path(struct text path, unsigned flags)
{
	char *out, *again, *escaped;
	enum uri_result r = uri_normalize(arena, path, flags, &out);

	CHECK((out != NULL) == (r == URI_OK || r == URI_NOT_FOUND));
	CHECK(r != URI_NOT_FOUND || !(flags & (URI_SLASH_DECODE | URI_SLASH_KEEP)));
	if (!out)
		return;
	CHECK(out[0] == '/' && strlen(out) <= path.n);
	CHECK(!has_segment(out, ".") && !has_segment(out, ".."));
	CHECK((flags & URI_SLASH_NOMERGE) || !strstr(out, "//"));
	escaped = uri_escape_path(arena, out);
	for (const char *p = escaped; *p; p++)
		CHECK((unsigned char)*p > ' ' && (unsigned char)*p < 0x7f && !strchr("\"<>\\^`{|}?#", *p));
	CHECK(uri_normalize(arena, text_of(escaped), flags, &again) == URI_OK && strcmp(again, out) == 0);
}

static void check_target(struct text t, enum http_method m)
{
	struct uri u;

	if (uri_parse(t, m, &u) != 0)
		return;
	CHECK(inside(u.scheme, t.p, t.n) && inside(u.host, t.p, t.n) && inside(u.port, t.p, t.n) && inside(u.query, t.p, t.n));
	CHECK(u.form == URI_AUTHORITY || (u.path.p && u.path.n && (u.path.p[0] == '/' || u.form == URI_ASTERISK)));
	CHECK(u.form != URI_ORIGIN || u.path.n + u.query.n + (u.query.p != NULL) == t.n);
	CHECK(u.form != URI_ABSOLUTE || (u.scheme.p && u.host.n));
	if (u.form == URI_ORIGIN || u.form == URI_ABSOLUTE)
		for (unsigned flags = 0; flags < 8; flags++)
			check_path(u.path, flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct text t = { (const char *)data, n };

	if (!arena)
		arena = arena_new(65536);
	check_target(t, HTTP_GET);
	check_target(t, HTTP_OPTIONS);
	check_target(t, HTTP_CONNECT);
	for (unsigned flags = 0; flags < 8; flags++)
		check_path(t, flags);
	check_host(t);
	arena_reset(arena);
	return 0;
}
