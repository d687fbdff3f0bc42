/*
 * uri.h - request targets (RFC 9112, 3.2) and paths (RFC 3986): forms, decoding, the normal form, composing.
 * Pure.
 */
#ifndef BULKHEAD_HTTP_URI_H
#define BULKHEAD_HTTP_URI_H

#include "base/arena.h"
#include "base/text.h"
#include "http/head.h"

enum uri_form { URI_ORIGIN, URI_ABSOLUTE, URI_AUTHORITY, URI_ASTERISK };
struct uri {
	enum uri_form form;
	struct text scheme, host, port; /* absolute and authority form; host without brackets for IPv6 */
	/*
	 * Still encoded; query absent if there is no '?'; path "/" where the absolute form has none, "*" in the
	 * asterisk form, absent in the authority form.
	 */
	struct text path, query;
};
/*
 * Splits a target; the texts borrow it. 0, or -1: it is none of the four forms for that method, names another
 * scheme than http and https, a user or no host, or holds bytes that no target has (control bytes, blanks,
 * '#').
 */
int uri_parse(struct text target, enum http_method m, struct uri *u);
/*
 * "example.org", "example.org:80", "[::1]:80" of a Host field (RFC 9112, 3.2): splits, checks characters.
 * host keeps no brackets; port (1 to 65535) absent if none or empty ("host:"). Names: letters, figures, "-",
 * "_", single dots between them and at the end. An empty Host is fine (host empty). 0 or -1.
 */
int uri_parse_host(struct text field, struct text *host, struct text *port);

enum uri_result { URI_OK, URI_BAD, URI_NOT_FOUND, URI_NO_MEMORY };      /* for the client: 400, 404, 503 */
/* AllowEncodedSlashes On, AllowEncodedSlashes NoDecode, MergeSlashes Off */
enum { URI_SLASH_DECODE = 1, URI_SLASH_KEEP = 2, URI_SLASH_NOMERGE = 4 };
/*
 * The normal form of a path: %-decoded once, "." and ".." removed, "//" merged. URI_BAD: bad %-escape, NUL,
 * or ".." above the root; URI_NOT_FOUND: an encoded slash where `flags` does not allow it (*out is set all
 * the same, with "%2F", so that it can be logged; else only with URI_OK). URI_SLASH_KEEP leaves "%2F" in
 * *out. Backslashes are ordinary. *out is terminated and of the arena.
 */
enum uri_result uri_normalize(struct arena *a, struct text path, unsigned flags, char **out);
/*
 * %-encodes a path for Location and HTML links: everything but unreserved, sub-delims, ":" "@" "/". NULL on
 * ENOMEM.
 */
char *uri_escape_path(struct arena *a, const char *path);

#endif
