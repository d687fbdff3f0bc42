/*
 * variables.c - the variables of a request by their names in Apache (one table), and expressions bound to requests. Compiled
 * in the master, or in a child for a per-directory file; asked in the children.
 */
#include "request/variables.h"

#include <stdlib.h>
#include <string.h>

#include "request/core.h"
#include "request/handler.h"
#include "request/logline.h"
#include "request/response.h"
#include "request/varfile.h"

#define API_VERSION "20120211"                  /* Apache 2.4's module interface: what scripts ask this for */
#define NO_ADMIN "[no address given]"

static const struct text nothing = { NULL, 0 };

struct variable {
	const char *name;
	struct text (*value)(struct request *r, const struct variable *v);
	size_t offset;                          /* in struct request */
	const char *word;                       /* of a field; a form of strftime */
};

/* ------------------------------------------------------------------------------------------------ kinds of values */

static struct text string(struct request *r, const struct variable *v)
{
	return text_of(*(const char **)(void *)((char *)r + v->offset));
}

static struct text bytes(struct request *r, const struct variable *v)
{
	return *(struct text *)(void *)((char *)r + v->offset);
}

static struct text field(struct request *r, const struct variable *v)
{
	return fields_combined(&r->in, v->word);
}

static struct text yes_no(bool yes)
{
	return yes ? TEXT("on") : TEXT("off");
}

static struct text number(struct request *r, unsigned n)
{
	return text_of(arena_printf(r->arena, "%u", n));
}

static struct text date(struct request *r, time_t when, const char *form)
{
	struct tm tm;
	char buf[40];

	if (!localtime_r(&when, &tm))
		return nothing;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"    /* of the table */
	strftime(buf, sizeof buf, form, &tm);
#pragma GCC diagnostic pop
	return text_of(arena_strdup(r->arena, buf));
}

static struct text now(struct request *r, const struct variable *v)
{
	return date(r, time(NULL), v->word);
}

/* ------------------------------------------------------------------------------------------------ values of their own */

#define VALUE(name) static struct text name(struct request *r, const struct variable *v __attribute__((unused)))

VALUE(scheme) { return text_of(response_scheme(r)); }
VALUE(server_port) { return number(r, response_port(r)); }
VALUE(document_root) { return r->host ? text_of(core_document_root(r->host)) : nothing; }
VALUE(context_root) { return r->context_root ? text_of(r->context_root) : document_root(r, v); }
VALUE(software) { return text_of(response_server(r->site ? r->site->main : r->host)); }
VALUE(api) { (void)r; return TEXT(API_VERSION); }
VALUE(filename) { return text_of(r->filename ? r->filename : r->path); }
VALUE(document_uri) { struct text t = request_env(r, "DOCUMENT_URI"); return t.p ? t : text_of(r->path); }
VALUE(modified) { return r->found ? date(r, r->st.st_mtime, "%Y%m%d%H%M%S") : nothing; }
VALUE(owner) { return r->found ? varfile_user(r->arena, r->st.st_uid) : nothing; }
VALUE(group) { return r->found ? varfile_group(r->arena, r->st.st_gid) : nothing; }
VALUE(is_subrequest) { return r->parent ? TEXT("true") : TEXT("false"); }
VALUE(protocol) { return text_of(arena_printf(r->arena, "HTTP/%u.%u", r->major, r->minor)); }
VALUE(protocol_version) { return number(r, r->major * 1000 + r->minor); }
VALUE(protocol_major) { return number(r, r->major); }
VALUE(protocol_minor) { return number(r, r->minor); }
VALUE(remote_address) { return text_of(r->client->peer_text); }
VALUE(remote_port) { return number(r, addr_port(&r->client->peer)); }
VALUE(handler) { return r->handler ? text_of(r->handler->name) : nothing; }
VALUE(status) { return r->status ? number(r, r->status) : nothing; }
VALUE(log_id) { return text_of(logline_id(r)); }
VALUE(connection_id) { return *client_whole(r->client)->log_id ? text_of(client_whole(r->client)->log_id) : nothing; }
VALUE(https) { return yes_no(r->client->secure); }
VALUE(http2) { return yes_no(r->major == 2); }
VALUE(none) { (void)r; return nothing; }

/* As it stands in a URL. */
VALUE(server_name)
{
	const char *name = response_host(r);

	return name && strchr(name, ':') && *name != '[' ? text_of(arena_printf(r->arena, "[%s]", name)) : text_of(name);
}

VALUE(server_admin)
{
	const char *admin = r->host ? core_host_of(r->host)->admin : NULL;

	return text_of(admin ? admin : NO_ADMIN);
}

VALUE(connected)
{
	char buf[ADDR_TEXT];

	return text_of(arena_strdup(r->arena, addr_ip(&r->client->arrived, buf)));
}

VALUE(ipv6)
{
	struct addr a = r->client->peer;

	addr_unmap(&a);
	return yes_no(a.sa.sa_family == AF_INET6);
}

#define OF(member) offsetof(struct request, member), NULL
#define WORD(word) 0, word
#define OWN 0, NULL

static const struct variable variables[] = {
	{ "HTTP_ACCEPT", field, WORD("Accept") }, { "HTTP_COOKIE", field, WORD("Cookie") },
	{ "HTTP_FORWARDED", field, WORD("Forwarded") }, { "HTTP_HOST", field, WORD("Host") },
	{ "HTTP_PROXY_CONNECTION", field, WORD("Proxy-Connection") },
	{ "HTTP_REFERER", field, WORD("Referer") }, { "HTTP_USER_AGENT", field, WORD("User-Agent") },
	{ "REQUEST_METHOD", bytes, OF(method) }, { "REQUEST_SCHEME", scheme, OWN },
	{ "REQUEST_URI", string, OF(path) }, { "DOCUMENT_URI", document_uri, OWN },
	{ "REQUEST_FILENAME", filename, OWN }, { "SCRIPT_FILENAME", filename, OWN },
	{ "LAST_MODIFIED", modified, OWN }, { "SCRIPT_USER", owner, OWN }, { "SCRIPT_GROUP", group, OWN },
	{ "PATH_INFO", string, OF(path_info) }, { "QUERY_STRING", string, OF(query) },
	{ "IS_SUBREQ", is_subrequest, OWN }, { "THE_REQUEST", bytes, OF(line) },
	{ "REMOTE_ADDR", remote_address, OWN }, { "REMOTE_PORT", remote_port, OWN },
	{ "REMOTE_HOST", remote_address, OWN }, { "REMOTE_USER", string, OF(user) },
	{ "REMOTE_IDENT", none, OWN }, { "SERVER_NAME", server_name, OWN },
	{ "SERVER_PORT", server_port, OWN }, { "SERVER_ADMIN", server_admin, OWN },
	{ "SERVER_PROTOCOL", protocol, OWN }, { "SERVER_PROTOCOL_VERSION", protocol_version, OWN },
	{ "SERVER_PROTOCOL_VERSION_MAJOR", protocol_major, OWN },
	{ "SERVER_PROTOCOL_VERSION_MINOR", protocol_minor, OWN }, { "DOCUMENT_ROOT", document_root, OWN },
	{ "AUTH_TYPE", string, OF(auth_type) }, { "CONTENT_TYPE", string, OF(type) },
	{ "HANDLER", handler, OWN }, { "REQUEST_STATUS", status, OWN }, { "REQUEST_LOG_ID", log_id, OWN },
	{ "CONN_LOG_ID", connection_id, OWN }, { "CONN_REMOTE_ADDR", connected, OWN },
	{ "CONTEXT_PREFIX", string, OF(context_prefix) }, { "CONTEXT_DOCUMENT_ROOT", context_root, OWN },
	{ "HTTPS", https, OWN }, { "HTTP2", http2, OWN }, { "IPV6", ipv6, OWN },
	{ "TIME_YEAR", now, WORD("%Y") }, { "TIME_MON", now, WORD("%m") }, { "TIME_DAY", now, WORD("%d") },
	{ "TIME_HOUR", now, WORD("%H") }, { "TIME_MIN", now, WORD("%M") }, { "TIME_SEC", now, WORD("%S") },
	{ "TIME_WDAY", now, WORD("%w") }, { "TIME", now, WORD("%Y%m%d%H%M%S") },
	{ "SERVER_SOFTWARE", software, OWN }, { "API_VERSION", api, OWN },
};

static const struct variable *find(const char *name)
{
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		if (strcasecmp(variables[i].name, name) == 0)
			return &variables[i];
	return NULL;
}

/* As many as mod_ssl's table has, and more: which of them have a value tells the connection. */
static bool of_tls(const char *name)
{
	return strncasecmp(name, "SSL_", 4) == 0 && name[4];
}

bool variables_known(const char *name)
{
	return of_tls(name) || find(name);
}

struct text variables_get(struct request *r, const char *name)
{
	const struct variable *v = find(name);

	if (v)
		return v->value(r, v);
	return of_tls(name) ? client_variable(r->client, name, r->arena) : nothing;
}

/* ------------------------------------------------------------------------------------------------ for expressions */

struct asking {
	struct request *r;
	bool vary;
	struct text (*own)(void *ctx, const char *name);        /* variables_with; else NULL */
	void *own_ctx;
};

static struct asking *asking(struct expr_ctx *x)
{
	return x->owner;
}

/* Who is asked for by name, which is Host, is no choice of the client (RFC 9110, 12.5.5). */
static void vary(const struct asking *a, const char *name)
{
	struct text all, one;

	if (!a->vary || a->r->head_sent || strcasecmp(name, "Host") == 0 || !*name)
		return;
	all = fields_combined(&a->r->out, "Vary");
	while (fields_list_next(&all, &one))
		if (text_is_nocase(one, name))
			return;
	all = fields_combined(&a->r->out, "Vary");
	name = all.p ? arena_printf(a->r->arena, "%.*s, %s", (int)all.n, all.p, name) : name;
	if (name)
		fields_set(&a->r->out, "Vary", name);
}

static struct text ask_variable(struct expr_ctx *x, const char *name)
{
	struct request *r = asking(x)->r;
	const struct variable *v = find(name);

	if (v && v->value == field)
		vary(asking(x), v->word);
	return v ? v->value(r, v) : client_variable(r->client, name, r->arena);
}

static struct text note(const struct request *r, const char *name)
{
	return r->notes.n ? fields_get(&r->notes, name) : nothing;
}

enum function { FIELD, FIELD_NOVARY, ANSWER, VARIABLE, ENVIRONMENT, NOTE, ANY, TLS, CONTENTS, SIZE, MODIFIED };
static const struct { const char *name; enum function function; } functions[] = {
	{ "req", FIELD }, { "http", FIELD }, { "req_novary", FIELD_NOVARY }, { "resp", ANSWER }, { "reqenv", VARIABLE }, { "v", VARIABLE },
	{ "osenv", ENVIRONMENT }, { "note", NOTE }, { "env", ANY }, { "ssl", TLS }, { "file", CONTENTS }, { "filesize", SIZE },
	{ "filemod", MODIFIED },
};
#define FUNCTIONS (sizeof functions / sizeof *functions)

static bool is_function(const char *name)
{
	for (size_t i = 0; i < FUNCTIONS; i++)
		if (strcmp(functions[i].name, name) == 0)
			return true;
	return false;
}

static struct text ask_function(struct expr_ctx *x, const char *name, struct text argument)
{
	struct request *r = asking(x)->r;
	const char *word = arena_strndup(x->arena, argument.p, argument.n);
	struct text t;
	size_t i = 0;

	while (i < FUNCTIONS && strcmp(functions[i].name, name) != 0)
		i++;
	if (i == FUNCTIONS || !word) {
		x->failed = word ? "it asks for a function that there is not" : "out of memory";
		return nothing;
	}
	switch (functions[i].function) {
	case FIELD:
		vary(asking(x), word);
		return fields_combined(&r->in, word);
	case FIELD_NOVARY:
		return fields_combined(&r->in, word);
	case ANSWER:
		t = fields_combined(&r->out, word);
		return t.p ? t : fields_combined(&r->always, word);
	case VARIABLE:
		return asking(x)->own ? asking(x)->own(asking(x)->own_ctx, word) : request_env(r, word);
	case ENVIRONMENT:
		return text_of(getenv(word));
	case NOTE:
		return note(r, word);
	case ANY:
		if (asking(x)->own)
			return asking(x)->own(asking(x)->own_ctx, word);
		t = note(r, word);
		t = t.p ? t : request_env(r, word);
		return t.p ? t : text_of(getenv(word));
	case TLS:
		return client_variable(r->client, word, r->arena);
	case CONTENTS:
		return varfile_contents(x->arena, word, &x->failed);
	case SIZE:
		return varfile_size(x->arena, word);
	case MODIFIED:
		return varfile_modified(x->arena, word);
	}
	return nothing;
}

/* A look-up of a path that has to wait for the name service has no answer here. */
static bool ask_file(struct expr_ctx *x, char op, struct text path)
{
	struct request *r = asking(x)->r;
	const char *word = arena_strndup(x->arena, path.p, path.n);

	if (!word || memchr(path.p, '\0', path.n))
		return false;
	return op == 'F' || op == 'U' ? varfile_reachable(r, op, word, &x->failed) : varfile_test(op, word);
}

static bool is_list(const char *name)
{
	return strcmp(name, "peerextlist") == 0;
}

static struct text ask_list(struct expr_ctx *x, const char *name, struct text argument, unsigned at)
{
	const char *oid = arena_strndup(x->arena, argument.p ? argument.p : "", argument.n);

	(void)name;
	return oid ? client_extension(asking(x)->r->client, oid, at, x->arena) : nothing;
}

const struct expr_names variables_names = { .variable = variables_known, .function = is_function, .list = is_list };

static struct expr *compile(struct conf_call *call, const char *text, enum expr_grammar grammar)
{
	struct expr_names names = variables_names;
	struct err e = { .text = "" };
	struct expr *x;

	names.no_contents = reading_of(call)->htaccess;         /* a tenant reads no files with the server's rights */
	x = expr_compile(reading_of(call)->arena, text, grammar, &names, &e);
	if (!x)
		conf_fail(call, *e.remedy ? e.remedy : NULL, "the expression has a fault in %s", e.text);
	return x;
}

struct expr *variables_condition(struct conf_call *call, const char *text)
{
	return compile(call, text, EXPR_CONDITION);
}

struct expr *variables_text(struct conf_call *call, const char *text)
{
	return compile(call, text, EXPR_STRING);
}

struct expr *variables_sslrequire(struct conf_call *call, const char *text)
{
	return compile(call, text, EXPR_SSLREQUIRE);
}

void variables_no_vary(struct expr *x)
{
	expr_set_tag(x, EXPR_NO_VARY);
}

static void prepare(struct expr_ctx *x, struct asking *a)
{
	*x = (struct expr_ctx){ .owner = a, .arena = a->r->arena, .variable = ask_variable, .function = ask_function,
				.file = ask_file,
				.list = ask_list };
}

static void tell(struct request *r, const struct expr *x, const char *why)
{
	log_errorx(&r->client->about, LOG_CORE, "BH0600", "the expression \"%.200s\" has no answer for %.200s: %s", expr_text(x),
		   r->path ? r->path : "-", why);
}

int variables_match(struct request *r, const struct expr *x, struct regex_match *m)
{
	struct asking a = { .r = r, .vary = expr_tag(x) != EXPR_NO_VARY };
	struct expr_ctx ctx;
	int result;

	prepare(&ctx, &a);
	result = expr_true(x, &ctx);
	if (result < 0)
		tell(r, x, ctx.failed);
	if (m)
		*m = ctx.match;
	return result;
}

int variables_with(struct request *r, const struct expr *x, struct arena *a, struct text (*own)(void *ctx, const char *name), void *own_ctx,
		   struct regex_match *m, const char **why)
{
	struct asking asks = { .r = r, .own = own, .own_ctx = own_ctx };
	struct expr_ctx ctx;
	int result;

	prepare(&ctx, &asks);
	ctx.arena = a;
	result = expr_true(x, &ctx);
	*m = ctx.match;
	*why = ctx.failed;
	return result;
}

int variables_true(struct request *r, const struct expr *x)
{
	return variables_match(r, x, NULL);
}

const char *variables_string(struct request *r, const struct expr *x)
{
	struct asking a = { .r = r };
	struct expr_ctx ctx;
	struct text t;
	const char *copy;

	prepare(&ctx, &a);
	t = expr_string(x, &ctx);
	/* Even where a NUL seems to follow: a text need not own the byte behind it. */
	copy = t.p ? arena_strndup(r->arena, t.p, t.n) : NULL;
	if (!copy)
		tell(r, x, ctx.failed ? ctx.failed : "out of memory");
	return copy;
}
