/*
 * cgienv.c - the meta-variables of a request. Runs in the children. Tables first: what each variable is made of is one line.
 */
#include "handler/cgienv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "handler/cgi.h"
#include "http/uri.h"
#include "request/core.h"
#include "request/phases.h"
#include "request/response.h"

/* ------------------------------------------------------------------------------------------------ of the request */

/* Compares from the end, as Apache: an Alias may have made the path another one than the file's. */
const char *cgienv_script_name(struct request *r)
{
	const char *path = r->path ? r->path : "", *info = r->path_info ? r->path_info : "";
	size_t n = strlen(path), k = strlen(info);

	while (n && k && path[n - 1] == info[k - 1])
		n--, k--;
	n += strcspn(path + n, "/");
	return *info ? arena_strndup(r->arena, path, n) : path;
}

static const char *script_name(struct request *r) { return cgienv_script_name(r); }
static const char *gateway(struct request *r) { (void)r; return "CGI/1.1"; }
static const char *method(struct request *r) { return arena_strndup(r->arena, r->method.p, r->method.n); }
static const char *query(struct request *r) { return r->query ? r->query : ""; }
static const char *software(struct request *r) { return response_server(r->site ? r->site->main : r->host); }
static const char *signature(struct request *r) { (void)r; return ""; }
static const char *remote_address(struct request *r) { return r->client->peer_text; }
static const char *root(struct request *r) { return core_document_root(r->host); }
static const char *scheme(struct request *r) { return r->client->secure ? "https" : "http"; }
static const char *admin(struct request *r) { return core_host_of(r->host)->admin; }
static const char *file(struct request *r) { return r->filename; }
static const char *user(struct request *r) { return r->user; }
static const char *auth_type(struct request *r) { return r->auth_type; }
static const char *path_info(struct request *r) { return r->path_info && *r->path_info ? r->path_info : NULL; }
static const char *context_prefix(struct request *r) { return r->context_prefix ? r->context_prefix : ""; }
static const char *context_root(struct request *r) { return r->context_root ? r->context_root : core_document_root(r->host); }

static const char *protocol(struct request *r)
{
	return r->major >= 2 ? arena_printf(r->arena, "HTTP/%u.%u", r->major, r->minor) : r->minor ? "HTTP/1.1" : "HTTP/1.0";
}

static const char *name(struct request *r)
{
	const char *host = response_host(r);

	return host && strchr(host, ':') && *host != '[' ? arena_printf(r->arena, "[%s]", host) : host;
}

static const char *address(struct request *r)
{
	char text[ADDR_TEXT];

	return arena_strdup(r->arena, addr_ip(&r->client->local, text));
}

static const char *port(struct request *r) { return arena_printf(r->arena, "%u", response_port(r)); }
static const char *remote_port(struct request *r) { return arena_printf(r->arena, "%u", addr_port(&r->client->peer)); }

/* As the client wrote it, unless CGIVar says otherwise. */
static const char *uri(struct request *r)
{
	if (cgi_uri_is_current(r))
		return r->path;
	return arena_strndup(r->arena, r->target.p, r->target.n);
}

/* Where PATH_INFO would lead if it were a path of its own. */
static const char *path_translated(struct request *r)
{
	struct request *sub;
	const char *where = NULL;
	unsigned status;

	if (!r->path_info || *r->path_info != '/')
		return NULL;
	sub = phases_lookup(r, r->path_info, NULL, LOOKUP_QUIET, &status);
	if (sub && sub->filename)
		where = sub->path_info ? arena_join(r->arena, sub->filename, sub->path_info) : sub->filename;
	if (sub)
		request_close(sub);
	return where;
}

static const char *https(struct request *r)
{
	return r->client->secure ? "on" : NULL;
}

/* NULL of a function: the variable is not set. */
/* What a SetEnv says goes before. */
static const char *unique_id(struct request *r)
{
	return fields_get(&r->env, "UNIQUE_ID").p ? NULL : request_id(r);
}

static const struct { const char *name; const char *(*value)(struct request *r); } of_request[] = {
	{ "HTTPS", https }, { "GATEWAY_INTERFACE", gateway }, { "SERVER_PROTOCOL", protocol }, { "REQUEST_METHOD", method }, { "QUERY_STRING", query },
	{ "REQUEST_URI", uri }, { "SCRIPT_NAME", script_name }, { "PATH_INFO", path_info }, { "PATH_TRANSLATED", path_translated },
	{ "SERVER_SIGNATURE", signature }, { "SERVER_SOFTWARE", software }, { "SERVER_NAME", name }, { "SERVER_ADDR", address }, { "SERVER_PORT", port },
	{ "REMOTE_ADDR", remote_address }, { "REMOTE_PORT", remote_port }, { "DOCUMENT_ROOT", root }, { "REQUEST_SCHEME", scheme },
	{ "UNIQUE_ID", unique_id },
	{ "CONTEXT_PREFIX", context_prefix }, { "CONTEXT_DOCUMENT_ROOT", context_root }, { "SERVER_ADMIN", admin }, { "SCRIPT_FILENAME", file },
	{ "REMOTE_USER", user }, { "AUTH_TYPE", auth_type },
};

/* ------------------------------------------------------------------------------------------------ of its fields */

/* HTTP_USER_AGENT; NULL where the name could be taken for another one's, or is never passed on. */
static const char *variable_of(struct request *r, struct text field)
{
	static const struct { const char *field, *variable; } special[] = {
		{ "Content-Type", "CONTENT_TYPE" }, { "Content-Length", "CONTENT_LENGTH" }, { "Proxy", NULL }, { "Proxy-Authorization", NULL },
	};
	char *out;

	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
		if (text_is_nocase(field, special[i].field))
			return special[i].variable;
	if (text_is_nocase(field, "Authorization") && !cgi_passes_auth(r))
		return NULL;
	out = arena_printf(r->arena, "HTTP_%.*s", (int)field.n, field.p);
	for (char *p = out ? out + 5 : NULL; p && *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '-')
			return NULL;
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	}
	return out;
}

/* A body that is not this request's own (it became a GET inside the server) has no length; a chunked one has none either. */
static bool is_hidden(const struct request *r, struct text field)
{
	bool length = text_is_nocase(field, "Content-Length");

	return length && ((r->original && !r->has_body) || (r->has_body && r->body_length == UINT64_MAX));
}

static int add_fields(struct request *r, struct fields *out)
{
	for (unsigned i = 0; i < r->in.n; i++) {
		struct text field = r->in.at[i].name, value;
		const char *variable = is_hidden(r, field) ? NULL : variable_of(r, field);

		if (!variable)
			continue;
		/* Of several lines the first is found, and holds them all. */
		if (strncmp(variable, "HTTP_", 5) == 0 && fields_get(out, variable).p)
			fields_remove(out, variable);
		value = r->in.at[i].value;
		if (fields_count(&r->in, arena_strndup(r->arena, field.p, field.n)) > 1)
			value = fields_combined(&r->in, arena_strndup(r->arena, field.p, field.n));
		if (fields_add(out, text_of(variable), value) < 0)
			return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ of TLS */

/* What SSLOptions +StdEnvVars brings; %s is SERVER and CLIENT. */
static const char *const tls_plain[] = {
	"SSL_VERSION_INTERFACE", "SSL_VERSION_LIBRARY", "SSL_PROTOCOL", "SSL_SECURE_RENEG", "SSL_COMPRESS_METHOD", "SSL_CIPHER", "SSL_CIPHER_EXPORT",
	"SSL_CIPHER_USEKEYSIZE", "SSL_CIPHER_ALGKEYSIZE", "SSL_SESSION_ID", "SSL_SESSION_RESUMED", "SSL_CLIENT_VERIFY", "SSL_CLIENT_V_REMAIN",
	"SSL_CLIENT_CERT_RFC4523_CEA",
};
static const char *const tls_both[] = {
	"SSL_%s_M_VERSION", "SSL_%s_M_SERIAL", "SSL_%s_V_START", "SSL_%s_V_END", "SSL_%s_S_DN", "SSL_%s_I_DN", "SSL_%s_A_KEY", "SSL_%s_A_SIG",
};
/* Parts of names; several of a kind are numbered from the second on. */
static const char *const tls_parts[] = { "C", "ST", "L", "O", "OU", "CN", "T", "I", "G", "S", "D", "UID", "Email", "SN" };
/* Several of a kind are numbered from the first on. */
static const char *const tls_names[] = { "Email", "DNS", "OTHER_msUPN", "OTHER_dnsSRV" };
static const char *const sides[] = { "SERVER", "CLIENT" };

#define TLS_EACH 32                     /* names of one kind, certificates of a chain */

/* True: it has a value. */
static bool add_tls(struct request *r, struct fields *out, const char *variable)
{
	struct text value = variable ? client_variable(r->client, variable, r->arena) : (struct text){ 0 };

	return value.p && fields_add(out, text_of(variable), value) == 0;
}

static void add_names(struct request *r, struct fields *out, const char *side)
{
	for (size_t i = 0; i < sizeof tls_parts / sizeof tls_parts[0]; i++)
		for (int k = 0; k < 2; k++) {
			const char *base = arena_printf(r->arena, "SSL_%s_%c_DN_%s", side, k ? 'I' : 'S', tls_parts[i]);

			if (!add_tls(r, out, base))
				continue;
			for (int n = 1; n < TLS_EACH && add_tls(r, out, arena_printf(r->arena, "%s_%d", base, n)); n++)
				;
		}
	for (size_t i = 0; i < sizeof tls_names / sizeof tls_names[0]; i++)
		for (int n = 0; n < TLS_EACH && add_tls(r, out, arena_printf(r->arena, "SSL_%s_SAN_%s_%d", side, tls_names[i], n)); n++)
			;
}

/* The most frequent question about programs in TLS; once in the life of a child. */
static void say_left_out(const struct request *r)
{
	static bool said;

	if (said)
		return;
	said = true;
	log_debugx(&r->client->about, LOG_CGI, "BH0790", "%s runs in TLS without the variables SSL_*: \"SSLOptions +StdEnvVars\" gives them",
		   r->path);
}

static void add_tls_all(struct request *r, struct fields *out)
{
	unsigned what = client_exports(r->client, r->section);
	char name_buf[64];

	if (!(what & CLIENT_EXPORTS_VARIABLES))
		say_left_out(r);
	add_tls(r, out, "SSL_TLS_SNI");
	if (what & CLIENT_EXPORTS_VARIABLES) {
		for (size_t i = 0; i < sizeof tls_plain / sizeof tls_plain[0]; i++)
			add_tls(r, out, tls_plain[i]);
		for (int side = 0; side < 2; side++) {
			for (size_t i = 0; i < sizeof tls_both / sizeof tls_both[0]; i++) {
				const char *mark = strchr(tls_both[i], '%');
				snprintf(name_buf, sizeof name_buf, "SSL_%s%s", sides[side], mark + 2);
				add_tls(r, out, arena_strdup(r->arena, name_buf));
			}
			add_names(r, out, sides[side]);
		}
	}
	if (what & CLIENT_EXPORTS_CERTIFICATES) {
		add_tls(r, out, "SSL_SERVER_CERT");
		add_tls(r, out, "SSL_CLIENT_CERT");
		for (int n = 0; n < TLS_EACH && add_tls(r, out, arena_printf(r->arena, "SSL_CLIENT_CERT_CHAIN_%d", n)); n++)
			;
	}
}

/* ------------------------------------------------------------------------------------------------ all of them */

static const char *names_client(struct request *r)
{
	struct text answer;

	if (client_knows(r->client, r->client->peer_text, &answer) != CLIENT_KNOWS || !answer.n)
		return NULL;
	return arena_strdup(r->arena, answer.p);
}

int cgienv_fill(struct request *r, struct fields *out)
{
	const char *host = names_client(r);

	for (unsigned i = 0; i < r->env.n; i++)
		if (fields_add(out, r->env.at[i].name, r->env.at[i].value) < 0)
			return -1;
	if (r->client->secure)
		add_tls_all(r, out);
	if (add_fields(r, out) < 0)
		return -1;
	for (size_t i = 0; i < sizeof of_request / sizeof of_request[0]; i++) {
		const char *value = of_request[i].value(r);

		if (value)
			fields_remove(out, of_request[i].name);
		if (value && fields_add(out, text_of(of_request[i].name), text_of(value)) < 0)
			return -1;
	}
	return host ? fields_add(out, TEXT("REMOTE_HOST"), text_of(host)) : 0;
}

const char *const *cgienv_strings(struct request *r)
{
	struct fields all;
	const char **out;

	fields_init(&all, r->arena);
	if (cgienv_fill(r, &all) < 0 || !(out = arena_array(r->arena, all.n + 1, sizeof *out)))
		return NULL;
	for (unsigned i = 0; i < all.n; i++) {
		const struct field *f = &all.at[i];
		char *s = arena_printf(r->arena, "%.*s=%.*s", (int)f->name.n, f->name.p, (int)f->value.n, f->value.p);

		if (!s)
			return NULL;
		for (size_t k = 0; k < f->name.n; k++)
			if (!isalnum((unsigned char)s[k]) || (k == 0 && isdigit((unsigned char)s[0])))
				s[k] = '_';
		out[i] = s;
	}
	return out;
}

/* ------------------------------------------------------------------------------------------------ words of a query */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL: a bad escape, a NUL, or no memory. */
static const char *word_of(struct request *r, struct text part)
{
	char *out = arena_alloc(r->arena, part.n * 2 + 1), *to = out;

	for (size_t i = 0; out && i < part.n; i++) {
		char c = part.p[i];

		if (c == '%') {
			if (i + 2 >= part.n || hex(part.p[i + 1]) < 0 || hex(part.p[i + 2]) < 0)
				return NULL;
			c = (char)(hex(part.p[i + 1]) * 16 + hex(part.p[i + 2]));
			i += 2;
		}
		if (!c)
			return NULL;
		if (strchr("&;`'\"|*?~<>^()[]{}$\\\n\r", c))
			*to++ = '\\';
		*to++ = c;
	}
	if (out)
		*to = '\0';
	return out;
}

const char *const *cgienv_words(struct request *r)
{
	struct text rest = text_of(r->query), part;
	unsigned n = 1, k = 0;
	const char **out;

	for (const char *p = r->query; p && *p; p++)
		n += *p == '+';
	out = arena_array(r->arena, (size_t)n + 1, sizeof *out);
	if (!out || !rest.n || memchr(rest.p, '=', rest.n) || n > 1024)
		return out;
	while (text_split(&rest, '+', &part)) {
		out[k] = word_of(r, part);
		if (!out[k++]) {
			out[0] = NULL;          /* one that cannot be decoded: none at all */
			return out;
		}
	}
	return out;
}
