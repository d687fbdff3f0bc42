/*
 * tell.c - takes a request through the phases without serving it, and tells what it meets. Runs in the process of "bulkhead explain",
 * and in the children for the handler "server-info".
 *
 * What the phases log meanwhile (all of it, whatever LogLevel says) is told between the lines and logged nowhere, so that one mechanism
 * tells both of a living server and here.
 */
#include "handler/tell.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "expr/expr.h"
#include "http/head.h"
#include "log/log.h"
#include "request/handler.h"
#include "request/host.h"
#include "request/openfiles.h"
#include "request/response.h"
#include "request/sections.h"

#define HEAD_FIELDS 70                  /* of a request that is asked about */

static struct tell *telling;            /* phases are watched for it; NULL = none is under way */

/* ------------------------------------------------------------------------------------------------ lines */

static void line(struct tell *t, unsigned depth, const char *title, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void line(struct tell *t, unsigned depth, const char *title, const char *fmt, ...)
{
	char text[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	t->line(t->ctx, depth, title, text);
}

static const char *at(const struct conf_pos *pos)
{
	static char text[2][1024];
	static unsigned i;

	i = !i;
	if (!pos || !pos->file)
		return "not written anywhere: the default";
	snprintf(text[i], sizeof text[i], "%s:%u", pos->file, pos->line);
	return text[i];
}

static void take_log(void *ctx, const char *text)
{
	struct tell *t = ctx;

	buf_puts(&t->log, text);
	buf_putc(&t->log, '\n');
}

/* What was logged since the last time, a line each. */
static void tell_log(struct tell *t, unsigned depth)
{
	struct text rest = { t->log.p, t->log.n }, one;

	while (text_split(&rest, '\n', &one))
		if (one.n)
			line(t, depth, "  log", "%.*s", (int)one.n, one.p);
	buf_init(&t->log, t->log.p, t->log.cap);
}

/* ------------------------------------------------------------------------------------------------ directives */

/* Words in names of variables and fields, and in options, whose value nobody else should see. */
static const char *const secret_words[] = { "pass", "secret", "token", "credential", "authorization", "apikey", "api_key", "api-key", "private" };

static bool names_a_secret(struct text word)
{
	char name[128];

	snprintf(name, sizeof name, "%.*s", (int)(word.n < sizeof name ? word.n : sizeof name - 1), word.p);
	for (unsigned i = 0; i < sizeof secret_words / sizeof secret_words[0]; i++)
		if (strcasestr(name, secret_words[i]))
			return true;
	return false;
}

/* "scheme://user:password@host" without what stands before the '@'; "secret=x" without the x. */
static void put_word(struct buf *b, struct text word)
{
	const char *scheme = memmem(word.p, word.n, "://", 3), *equals = memchr(word.p, '=', word.n);
	const char *end = word.p + word.n, *mark = NULL;

	for (const char *p = scheme ? scheme + 3 : end; p < end && *p != '/'; p++)
		mark = *p == '@' ? p : mark;
	if (mark) {
		buf_put(b, word.p, (size_t)(scheme + 3 - word.p));
		buf_puts(b, "***");
		buf_put(b, mark, (size_t)(end - mark));
	} else if (equals && names_a_secret((struct text){ word.p, (size_t)(equals - word.p) })) {
		buf_put(b, word.p, (size_t)(equals + 1 - word.p));
		buf_puts(b, "***");
	} else {
		buf_put(b, word.p, word.n);
	}
}

/* Directives whose last words are a value that another word names, and those that take a password as it is. */
static bool holds_values(const char *name)
{
	static const char *const names[] = { "SetEnv", "SetEnvIf", "SetEnvIfNoCase", "SetEnvIfExpr", "Header", "RequestHeader", "Define", "AuthBasicFake" };

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* The word at the beginning, quotes and all; *rest moves behind it and the blanks that follow. */
static bool next_word(struct text *rest, struct text *word)
{
	size_t n = 0;
	char quote = '\0';

	for (; n < rest->n && (quote || (rest->p[n] != ' ' && rest->p[n] != '\t')); n++) {
		if (quote && rest->p[n] == '\\' && n + 1 < rest->n)
			n++;
		else if (quote ? rest->p[n] == quote : (rest->p[n] == '"' || rest->p[n] == '\'') && n == 0)
			quote = quote ? '\0' : rest->p[n];
	}
	*word = (struct text){ rest->p, n };
	while (n < rest->n && (rest->p[n] == ' ' || rest->p[n] == '\t'))
		n++;
	*rest = (struct text){ rest->p + n, rest->n - n };
	return word->n != 0;
}

const char *tell_args(struct arena *a, const struct conf_node *n)
{
	struct text rest = text_of(n->args ? n->args : ""), word;
	bool values = holds_values(n->name), hide = strcasecmp(n->name, "AuthBasicFake") == 0, first = true;
	size_t room = rest.n * 4 + 8;
	char *p = arena_alloc(a, room);
	struct buf b;

	if (!p)
		return NULL;
	buf_init(&b, p, room);
	while (next_word(&rest, &word)) {
		if (!first)
			buf_putc(&b, ' ');
		if (hide && !first)
			buf_puts(&b, "***");
		else
			put_word(&b, word);
		hide |= values && names_a_secret(word);
		first = false;
	}
	return p;
}

static bool same_place(const struct conf_pos *a, const struct conf_pos *b)
{
	return a->line == b->line && a->file && b->file && strcmp(a->file, b->file) == 0 && !strcmp(a->within ? a->within : "", b->within ? b->within : "");
}

static const struct conf_node *node_at(const struct conf_node *n, const struct conf_pos *pos)
{
	for (; n; n = n->next) {
		const struct conf_node *inside = n->section ? same_place(&n->pos, pos) ? n : node_at(n->child, pos) : NULL;

		if (inside)
			return inside;
	}
	return NULL;
}

struct tell_line {
	const struct conf_directive *directive;
	const struct conf_pos *pos;
	struct tell_line *before;
};

/* Whether a later line of the directive takes the place of an earlier one: where it has one value, put into its place as it is. */
static bool replaces(const struct conf_directive *d)
{
	static conf_setter *const setters[] = { conf_set_string, conf_set_path, conf_set_flag, conf_set_number, conf_set_seconds, conf_set_choice };

	for (unsigned i = 0; i < sizeof setters / sizeof setters[0]; i++)
		if (d->set == setters[i])
			return true;
	return false;
}

/* Where the line stands in whose place this one comes; NULL = in that of none, or that is not known. */
static const struct conf_pos *replaced_by(struct tell *t, const struct request *r, const struct conf_node *n)
{
	const struct conf_directive *d = t->nlines < TELL_LINES ? conf_find(r->site->modules, n->name, NULL) : NULL;
	struct tell_line *new = d && replaces(d) ? arena_alloc(r->arena, sizeof *new) : NULL, *old = t->lines;

	if (!new)
		return NULL;
	*new = (struct tell_line){ d, &n->pos, t->lines };
	t->lines = new;
	t->nlines++;
	while (old && old->directive != d)
		old = old->before;
	return old ? old->pos : NULL;
}

static void tell_lines(struct tell *t, const struct request *r, const struct conf_node *n, unsigned depth)
{
	for (; n; n = n->next) {
		const char *args = n->section ? NULL : tell_args(r->arena, n);
		const struct conf_pos *old = args ? replaced_by(t, r, n) : NULL;

		if (args)
			line(t, depth, "", "    %s %s at %s%s%s", n->name, args, at(&n->pos), old ? ", in place of " : "", old ? at(old) : "");
	}
}

/* Those outside of all sections: of the main server, then of the virtual host, whose lines win. */
static void tell_host_directives(struct tell *t, const struct request *r, unsigned depth)
{
	const struct conf_node *host = r->host->pos.file ? node_at(t->tree->first, &r->host->pos) : NULL;

	if (t->host == r->host)
		return;
	t->host = r->host;
	t->lines = NULL;
	tell_lines(t, r, t->tree->first, depth);
	if (host)
		tell_lines(t, r, host->child, depth);
	t->of_host = t->lines;
}

/* ------------------------------------------------------------------------------------------------ phases */

static const char *kind_of(const struct section *s)
{
	static const char *const names[] = {
		[SECTION_DIRECTORY] = "<Directory", [SECTION_PROXY] = "<Proxy", [SECTION_FILES] = "<Files", [SECTION_LOCATION] = "<Location", [SECTION_IF] = "<If",
	};

	return s->kind == SECTION_IF && s->otherwise ? s->condition ? "<ElseIf" : "<Else" : names[s->kind];
}

static void tell_section(struct tell *t, const struct request *r, const struct section *s, unsigned depth)
{
	const char *what = s->condition ? expr_text(s->condition) : s->pattern;
	const struct conf_node *n;

	if (!what || !*what)
		line(t, depth, "section", "%s at %s", s->kind == SECTION_IF ? "<Else>" : "the per-directory file", at(&s->pos));
	else
		line(t, depth, "section", "%s%s %s> at %s", kind_of(s), s->regex ? "Match" : "", what, at(&s->pos));
	n = t->tree ? node_at(t->tree->first, &s->pos) : NULL;
	if (n)
		tell_lines(t, r, n->child, depth);
}

static void tell_file(struct tell *t, const struct request *r, unsigned depth)
{
	t->file = r->filename;
	if (!r->filename)
		return;
	if (!r->found)
		line(t, depth, "file", "%s is not there%s%s", r->filename, r->path_info ? "; behind it: " : "", r->path_info ? r->path_info : "");
	else if (S_ISDIR(r->st.st_mode))
		line(t, depth, "folder", "%s", r->filename);
	else
		line(t, depth, "file", "%s, %lld bytes, mode %04o%s%s", r->filename, (long long)r->st.st_size, (unsigned)r->st.st_mode & 07777,
		     r->path_info ? "; behind it: " : "", r->path_info ? r->path_info : "");
}

static void tell_type(struct tell *t, const struct request *r, unsigned depth)
{
	line(t, depth, "type", "%s%s%s%s%s%s%s", r->type ? r->type : "none", r->charset ? "; charset " : "", r->charset ? r->charset : "",
	     r->encoding ? "; coding " : "", r->encoding ? r->encoding : "", r->language ? "; language " : "", r->language ? r->language : "");
}

static void tell_phase(struct tell *t, const struct request *r, enum phase p, unsigned depth)
{
	switch (p) {
	case PHASE_HOST:
		line(t, depth, "host", "%s, %s%s", r->host->name && *r->host->name ? r->host->name : "(without a name)",
		     r->host->pos.file ? "<VirtualHost> at " : "the main server", r->host->pos.file ? at(&r->host->pos) : "");
		if (t->tree)
			tell_host_directives(t, r, depth);
		break;
	case PHASE_URI:
		line(t, depth, "path", "%s%s%s", r->path ? r->path : "?", r->query ? "?" : "", r->query ? r->query : "");
		break;
	case PHASE_MAP:
		line(t, depth, "leads to", "%s (%s)", r->filename ? r->filename : "no file", r->mapped_at ? at(r->mapped_at) : "DocumentRoot");
		break;
	case PHASE_DIRECTORY:
		t->lines = t->of_host;
		for (const struct section *const *s = r->applied; s && *s; s++)
			tell_section(t, r, *s, depth);
		tell_file(t, r, depth);
		break;
	case PHASE_ACCESS:
		line(t, depth, "access", "%s", r->asks_user ? "for known users" : r->refused ? r->refused : "granted");
		break;
	case PHASE_AUTHENTICATION:
		if (r->user)
			line(t, depth, "user", "%s (%s)", r->user, r->auth_type ? r->auth_type : "-");
		break;
	case PHASE_TYPE:
		tell_type(t, r, depth);
		break;
	case PHASE_HANDLER:
		if (r->index || (r->filename && t->file != r->filename))     /* an index, a fallback */
			tell_file(t, r, depth);
		line(t, depth, "handler", "%s", r->handler ? r->handler->name : "none");
		break;
	default:
		break;
	}
}

static void watch(const struct request *r, enum phase p, unsigned status)
{
	struct tell *t = telling;
	unsigned depth = r->lookups;

	if (r->quiet)
		return;
	if (p == PHASE_REWRITE_HOST && (r->parent || r->original))
		line(t, depth, r->parent ? "look-up" : "redirected", "%s%s%s", r->path, r->query ? "?" : "", r->query ? r->query : "");
	tell_log(t, depth);
	if (status == 0 || (p == PHASE_ACCESS && r->refused))
		tell_phase(t, r, p, depth);
	if (status == PHASE_WAIT)
		line(t, depth, phase_name(p), "depends on the name service, a password or a certificate, which are not asked for here");
	else if (status && status != PHASE_ANSWERED)
		line(t, depth, phase_name(p), "ends it with %u %s", status, http_phrase(status));
	if (!r->parent)
		t->status = status;
}

/* ------------------------------------------------------------------------------------------------ the client and the stream */

static struct text variable(struct client *c, const char *name, struct arena *a)
{
	(void)a;
	if (!c->secure)
		return (struct text){ NULL, 0 };
	if (strcmp(name, "HTTPS") == 0)
		return TEXT("on");
	return strcmp(name, "SSL_TLS_SNI") == 0 ? c->sni : (struct text){ NULL, 0 };
}

const struct client_ops tell_client_ops = { .variable = variable };

static struct tell *tell_of(struct stream *s)
{
	return (struct tell *)(void *)((char *)s - offsetof(struct tell, stream));
}

static int head(struct stream *s)
{
	const struct request *r = s->request;
	const struct fields *all[] = { &r->out, &r->always };
	struct tell *t = tell_of(s);

	t->head = true;
	tell_log(t, 0);
	if (r->mapped_at && fields_get(&r->out, "Location").p)
		line(t, 0, "redirect", "by the line at %s", at(r->mapped_at));
	line(t, 0, "answer", "%u %s", r->status, http_phrase(r->status));
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < all[k]->n; i++)
			line(t, 0, "field", "%.*s: %.*s", (int)all[k]->at[i].name.n, all[k]->at[i].name.p, (int)all[k]->at[i].value.n, all[k]->at[i].value.p);
	return 0;
}

static ssize_t taken(struct stream *s, const struct iovec *iov, int n)
{
	ssize_t all = 0;

	(void)s;
	for (int i = 0; i < n; i++)
		all += (ssize_t)iov[i].iov_len;
	return all;
}

static int no_file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	(void)s;
	(void)offset;
	(void)length;
	openfile_close(fd);             /* in a child it may be one that stays open */
	return 0;
}

static void nothing(struct stream *s) { (void)s; }
static void no_read(struct stream *s, bool on) { (void)s; (void)on; }
static void aborted(struct stream *s, const char *reason) { line(tell_of(s), 0, "answer", "broken off: %s", reason); }

static const struct stream_ops stream_ops = { .head = head, .write = taken, .file = no_file, .end = nothing, .read = no_read, .abort = aborted };

/* ------------------------------------------------------------------------------------------------ the request */

/* Reads the head as a client would send it. NULL, or why it is none. */
static const char *fill(struct tell *t, const struct tell_question *q, struct request *r)
{
	struct head_limits limits = { 65535, 65535, HEAD_FIELDS };
	struct request_head in = { 0 };
	enum head_result result;
	size_t used;
	char *text;

	text = arena_printf(r->arena, "%s %.*s%s%.*s HTTP/1.1\r\nHost: %s\r\n", q->method, (int)q->path.n, q->path.p, q->query.p ? "?" : "",
			    (int)q->query.n, q->query.p ? q->query.p : "", q->authority);
	for (const char *const *f = q->fields; f && *f && text; f++)
		text = arena_printf(r->arena, "%s%s\r\n", text, *f);
	text = text ? arena_printf(r->arena, "%s\r\n", text) : NULL;
	if (!text)
		return "there is no memory for it";
	fields_init(&in.fields, r->arena);
	result = head_parse_request(text, strlen(text), &limits, &in, &used);
	if (result != HEAD_DONE)
		return in.reason ? in.reason : "it is longer than a request may be";
	r->stream = &t->stream;
	r->client = q->client;
	r->site = q->site;
	r->line = in.line;
	r->method = in.method;
	r->method_id = in.method_id;
	r->target = in.target;
	r->major = in.major;
	r->minor = in.minor;
	r->in = in.fields;
	r->keepalive = r->explained = true;
	clock_gettime(CLOCK_REALTIME, &r->received);
	t->stream = (struct stream){ .ops = &stream_ops, .request = r };
	return NULL;
}

/* What would be sent, as far as it is known without running the handler. */
static void answer(struct tell *t, struct request *r)
{
	if (t->head || t->status == PHASE_WAIT)         /* a phase has answered: a redirect, most likely */
		return;
	if (t->status) {
		response_error(r, t->status);
		return;
	}
	if (r->handler && strcmp(r->handler->name, "default-handler") == 0) {
		r->handler->start(r);           /* files: nothing is sent, and nothing else happens */
		return;
	}
	line(t, 0, "answer", "is made by the handler %s, which is not run here; to a success are added:", r->handler ? r->handler->name : "?");
	response_start(r);
}

static const char *run(struct tell *t, const struct tell_question *q, struct request *r)
{
	char peer[ADDR_TEXT];
	const char *why = fill(t, q, r);

	if (why)
		return why;
	telling = t;
	log_divert(take_log, t);
	phases_watch(watch);
	line(t, 0, "request", "%.*s from %s", (int)r->line.n, r->line.p, addr_ip(&q->client->peer, peer));
	phases_run(r);
	tell_log(t, 0);
	answer(t, t->stream.request);
	tell_log(t, 0);
	phases_watch(NULL);
	log_divert(NULL, NULL);
	telling = NULL;
	return NULL;
}

const char *tell_request(struct tell *t, const struct tell_question *q)
{
	struct arena *arena = arena_new(0);
	struct request *r = arena ? request_new(arena) : NULL;
	char *room = malloc(TELL_LOG);
	const char *why = "there is no memory for it";

	if (r && room) {
		buf_init(&t->log, room, TELL_LOG);
		why = run(t, q, r);
	}
	free(room);
	arena_free(arena);
	return why;
}
