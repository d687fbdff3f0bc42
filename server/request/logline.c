/*
 * logline.c - what the items of a LogFormat stand for, of one request. Called in the children by conn/ just before the
 * last send. An item is asked of the first request of a chain of internal redirects, or of the last: format.h.
 */
#include "request/logline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "http/uri.h"
#include "log/format.h"
#include "log/packet.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/response.h"
#include "request/variables.h"

struct line {
	struct request *first, *last;
	const struct logline *l;
	struct timespec end;            /* CLOCK_REALTIME, asked for once */
	bool have_end;
};

bool logline_wanted(const struct log_access *access, struct request *r)
{
	if (access->condition)
		return variables_true(r, access->condition) == 1;
	return !access->env || (request_env(r, access->env).p != NULL) != access->env_not;
}

/* ------------------------------------------------------------------------------------------------ kinds of values */

static bool put(struct buf *b, struct text t)
{
	if (!t.p)
		return false;
	buf_put(b, t.p, t.n);
	return true;
}

static bool put_string(struct buf *b, const char *s)
{
	return s && *s ? put(b, text_of(s)) : false;
}

static bool put_number(struct buf *b, uint64_t n)
{
	buf_put_u64(b, n);
	return true;
}

/*
 * A field of the response, as Apache logs it: the first of its name, what goes with every status before the rest; all of
 * Set-Cookie; a type without its parameters. Those of the wire form stand in no table.
 */
static bool response_field(const struct request *r, const char *name, struct buf *b)
{
	bool all = text_is_nocase(text_of(name), "Set-Cookie");
	struct text t = all ? fields_combined(&r->always, name) : fields_get(&r->always, name);

	if (!t.p)
		t = all ? fields_combined(&r->out, name) : fields_get(&r->out, name);
	if (t.p && text_is_nocase(text_of(name), "Content-Type")) {
		struct text rest = t;

		text_split(&rest, ';', &t);
		t = text_trim(t);
	}
	if (!t.p && text_is_nocase(text_of(name), "Content-Length") && r->length >= 0)
		return put_number(b, (uint64_t)r->length);
	if (!t.p && text_is_nocase(text_of(name), "Connection") && r->stream->said_close)
		return put_string(b, "close");
	if (!t.p && text_is_nocase(text_of(name), "Transfer-Encoding") && r->stream->said_chunked)
		return put_string(b, "chunked");
	return put(b, t);
}

static bool cookie(const struct request *r, const char *name, struct buf *b)
{
	struct text all = fields_combined(&r->in, "Cookie"), part;

	while (text_split(&all, ';', &part)) {
		struct text value = part, key;

		if (!text_split(&value, '=', &key) || !value.p)
			continue;
		if (text_is_nocase(text_trim(key), name))
			return text_trim(value).n && put(b, text_trim(value));
	}
	return false;
}

static bool duration(const struct line *line, const struct request *r, const char *unit, struct buf *b)
{
	uint64_t us = line->l->now_us - (uint64_t)r->started_us;

	if (r->started_us < 0 || line->l->now_us < (uint64_t)r->started_us)
		us = 0;
	if (unit && strcmp(unit, "us") == 0)
		return put_number(b, us);
	return put_number(b, unit && strcmp(unit, "ms") == 0 ? us / 1000 : us / 1000000);
}

/* %^FB: until the response began */
static bool first_byte(const struct request *r, struct buf *b)
{
	if (r->started_us < 0 || r->stream->head_us < r->started_us)
		return false;
	return put_number(b, (uint64_t)(r->stream->head_us - r->started_us));
}

/* ------------------------------------------------------------------------------------------------ %t */

static bool clf_time(time_t when, struct buf *b)
{
	static char text[40];
	static time_t cached = -1;
	struct tm tm;

	if (when != cached) {           /* once a second */
		static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
		char zone[8];

		if (!localtime_r(&when, &tm))
			return false;
		strftime(zone, sizeof(zone), "%z", &tm);
		snprintf(text, sizeof(text), "[%02d/%.3s/%04d:%02d:%02d:%02d %s]", tm.tm_mday, &months[(size_t)tm.tm_mon * 3], tm.tm_year + 1900,
			 tm.tm_hour, tm.tm_min, tm.tm_sec, zone);
		cached = when;
	}
	return put(b, text_of(text));
}

/* %{format}t: "begin:" or "end:" in front, then sec, msec, usec, msec_frac, usec_frac, or what strftime knows. */
static bool formatted_time(struct line *line, const struct request *r, const char *format, struct buf *b)
{
	struct timespec ts = r->received;
	uint64_t sec, us;
	char text[256];
	struct tm tm;
	size_t n;

	if (strncmp(format, "begin", 5) == 0 && (!format[5] || format[5] == ':')) {
		format += 5 + (format[5] == ':');
	} else if (strncmp(format, "end", 3) == 0 && (!format[3] || format[3] == ':')) {
		format += 3 + (format[3] == ':');
		if (!line->have_end)
			clock_gettime(CLOCK_REALTIME, &line->end);
		line->have_end = true;
		ts = line->end;
	}
	sec = (uint64_t)ts.tv_sec;
	us = (uint64_t)ts.tv_nsec / 1000;
	if (!*format)
		return clf_time(ts.tv_sec, b);
	if (strcmp(format, "sec") == 0)
		return put_number(b, sec);
	if (strcmp(format, "msec") == 0)
		return put_number(b, sec * 1000 + us / 1000);
	if (strcmp(format, "usec") == 0)
		return put_number(b, sec * 1000000 + us);
	if (strcmp(format, "msec_frac") == 0) {
		buf_printf(b, "%03" PRIu64, us / 1000);
		return true;
	}
	if (strcmp(format, "usec_frac") == 0) {
		buf_printf(b, "%06" PRIu64, us);
		return true;
	}
	if (!localtime_r(&ts.tv_sec, &tm))
		return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"    /* the administrator's own format, bounded */
	n = strftime(text, sizeof(text), format, &tm);
#pragma GCC diagnostic pop
	buf_put(b, text, n);
	return n > 0;
}

/* ------------------------------------------------------------------------------------------------ who and where */

/* The client's own request, of which r was made by redirects and look-ups. */
static const struct request *first_of(const struct request *r)
{
	while (r->parent || r->original)
		r = r->parent ? r->parent : r->original;
	return r;
}

const char *logline_id(const struct request *r)
{
	return first_of(r)->log_id;
}

static bool canonical(const struct request *r)
{
	return r->section && core_section_of(r)->canonical_name > CORE_CANONICAL_OFF;
}

/* %V */
static bool server_name(const struct request *r, struct buf *b)
{
	if (!canonical(r) && r->hostname && *r->hostname)
		return put_string(b, r->hostname);
	return r->host && put_string(b, r->host->name);
}

/* %{which}p; canonical is the host's, whatever the client wrote */
static bool port(const struct request *r, const char *which, struct buf *b)
{
	if (which && strcmp(which, "local") == 0)
		return put_number(b, addr_port(&r->client->local));
	if (which && strcmp(which, "remote") == 0)
		return put_number(b, addr_port(&r->client->peer));
	if (r->host && r->host->port)
		return put_number(b, r->host->port);
	return put_number(b, r->client->secure || (r->host && r->host->scheme && strcmp(r->host->scheme, "https") == 0) ? 443 : 80);
}

static bool process_id(const char *form, struct buf *b)
{
	if (form && strcmp(form, "tid") == 0)
		return put_number(b, (uint64_t)syscall(SYS_gettid));
	if (form && strcmp(form, "hextid") == 0) {
		buf_printf(b, "%lx", (unsigned long)syscall(SYS_gettid));
		return true;
	}
	return put_number(b, (uint64_t)getpid());
}

/* %{name}c of old mod_ssl: words for variables. */
static bool old_tls(struct request *r, const char *name, struct buf *b)
{
	static const struct { const char *word, *variable; } words[] = {
		{ "version", "SSL_PROTOCOL" }, { "cipher", "SSL_CIPHER" }, { "subjectdn", "SSL_CLIENT_S_DN" },
		{ "issuerdn", "SSL_CLIENT_I_DN" }, { "errcode", "SSL_CLIENT_VERIFY" }, { "errstr", "SSL_CLIENT_VERIFY" },
	};

	for (size_t i = 0; name && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(name, words[i].word) == 0)
			return put(b, client_variable(r->client, words[i].variable, r->arena));
	return false;
}

/* %f: of a folder asked for without its slash as it was asked for. */
static bool put_file(const struct request *r, struct buf *b)
{
	struct text name = text_of(r->filename);
	size_t n = strlen(r->path ? r->path : "");

	if (r->found && S_ISDIR(r->st.st_mode) && name.n > 1 && name.p[name.n - 1] == '/' && n && r->path[n - 1] != '/')
		name.n--;
	return put(b, name);
}

/* %R: none where no handler was asked for. */
static bool handler_name(const struct request *r, struct buf *b)
{
	const char *name = r->handler ? r->handler->name : "page";

	return strcmp(name, "default-handler") != 0 && strcmp(name, "page") != 0 && put_string(b, name);
}

/* ------------------------------------------------------------------------------------------------ the items */

static bool bytes(const struct stream *s, char code, struct buf *b)
{
	switch (code) {
	case 'b': return s->body_bytes ? put_number(b, s->body_bytes) : false;
	case 'B': return put_number(b, s->body_bytes);
	case 'I': return put_number(b, s->in_bytes);
	case 'O': return put_number(b, s->head_bytes + s->body_bytes);
	default: return put_number(b, s->in_bytes + s->head_bytes + s->body_bytes);
	}
}

static bool of_client(struct line *line, const struct request *r, const struct log_item *item, struct buf *b)
{
	char address[ADDR_TEXT];

	switch (item->code) {
	case 'a': case 'h':
		if (item->arg && strcmp(item->arg, "c") == 0)
			return put_string(b, addr_ip(&r->client->connected, address));
		return put_string(b, r->client->peer_text);
	case 'A': return put_string(b, addr_ip(&r->client->local, address));
	case 'k': return put_number(b, line->l->kept);
	case 'L': return put_string(b, item->arg && strcmp(item->arg, "c") == 0 ? client_whole(r->client)->log_id : logline_id(r));
	default: buf_putc(b, line->l->aborted ? 'X' : r->keepalive && !r->client->nokeepalive ? '+' : '-'); return true;
	}
}

static bool of_fields(struct request *r, const struct log_item *item, struct buf *b)
{
	const char *name = item->arg;

	if (!name)
		return false;
	switch (item->code) {
	case 'i': return put(b, fields_combined(&r->in, name));
	case 'o': return response_field(r, name, b);
	case 'e': return put(b, request_env(r, name));
	case 'n': return r->notes.n ? put(b, fields_get(&r->notes, name)) : false;
	case 'C': return cookie(r, name, b);
	default: return put(b, variables_get(r, name));
	}
}

static bool value(void *ctx, const struct log_item *item, struct buf *b)
{
	struct line *line = ctx;
	struct request *r = item->final ? line->last : line->first;

	switch (item->code) {
	case 'a': case 'A': case 'h': case 'k': case 'L': case 'X':
		return of_client(line, r, item, b);
	case 'i': case 'o': case 'e': case 'n': case 'C': case 'x':
		return of_fields(r, item, b);
	case 'c':
		return old_tls(r, item->arg, b);
	case 'b': case 'B': case 'I': case 'O': case 'S':
		return bytes(r->stream, item->code, b);
	case 'D': return duration(line, r, "us", b);
	case 'T': return duration(line, r, item->arg, b);
	case LOG_FIRST_BYTE: return first_byte(r, b);
	case 'f': return put_file(r, b);
	case 'H':
		if (!r->line.n)
			return false;
		buf_printf(b, "HTTP/%u.%u", r->major, r->minor);
		return true;
	case 'm': return put(b, r->method);
	case 'p': return port(r, item->arg, b);
	case 'P': return process_id(item->arg, b);
	case 'q':
		if (r->query)
			buf_printf(b, "?%s", r->query);
		return true;
	case 'r': return r->line.n ? put(b, r->line) : false;
	case 'R': return handler_name(r, b);
	case 's': return put_number(b, r->status);
	case 't': return item->arg ? formatted_time(line, r, item->arg, b) : clf_time(r->received.tv_sec, b);
	case 'u': return put(b, text_of(r->user));       /* "": log_format_render */
	case 'U': return put_string(b, r->path);
	case 'v': return r->host && put_string(b, r->host->name);
	case 'V': return server_name(r, b);
	default: return false;          /* %l: nobody asks identd any more; trailers are dropped */
	}
}

void logline_render(const struct log_access *access, struct request *r, const struct logline *l, struct buf *buf)
{
	struct line line = { .first = r, .last = r, .l = l };
	struct log_values v = { .ctx = &line, .value = value, .status = r->status };

	while (line.first->original)
		line.first = line.first->original;
	if (access->packet) {
		char text[8192];
		struct buf plain;

		buf_init(&plain, text, sizeof text);
		log_format_render(access->format, &v, &plain);
		log_packet_put(buf, access->packet, access->packet->severity, (struct text){ text, plain.n - !plain.full });
		return;
	}
	log_format_render(access->format, &v, buf);
}

/* ------------------------------------------------------------------------------------------------ for messages */

static unsigned logged(const struct log_about *about)
{
	struct client *c = about->of;
	struct request *r = c->request;
	struct client *whole = c->whole ? c->whole : c;
	unsigned first = 0;

	if (!*whole->log_id) {
		request_connection_id(whole, whole->log_id);
		first |= LOG_FIRST_OF_CONNECTION;
	}
	if (r && !r->log_id) {
		r->log_id = request_id(r);
		first |= r->log_id ? LOG_FIRST_OF_REQUEST : 0;
	}
	return first;
}

/* The one being worked on: its fields and variables are asked for. */
static struct request *current(const struct client *c)
{
	struct request *r = c->request;

	return r && r->stream && r->stream->request ? r->stream->request : r;
}

static bool message_id(const struct client *c, const char *which, struct buf *b)
{
	if (which && (strcmp(which, "c") == 0 || (strcmp(which, "C") == 0 && !c->request)))
		return put_string(b, client_whole(c)->log_id);
	return (!which || strcmp(which, "C") != 0) && c->request && put_string(b, c->request->log_id);
}

static bool message_value(const struct log_about *about, char code, const char *arg, struct buf *b)
{
	const struct client *c = about->of;
	struct request *r = current(c);
	char address[ADDR_TEXT];

	switch (code) {
	case 'a': return put_string(b, addr_text(&c->connected, address));
	case 'A': return put_string(b, addr_text(&c->local, address));
	case 'k': return put_number(b, c->requests ? c->requests - 1 : 0);
	case 'L': return message_id(c, arg, b);
	case 'e': return r && put(b, request_env(r, arg));
	case 'i': return r && put(b, fields_combined(&r->in, arg));
	case 'n': return r && r->notes.n && put(b, fields_get(&r->notes, arg));
	case 'V': return r && server_name(r, b);
	default: return false;
	}
}

const struct log_about_ops logline_about = { .logged = logged, .value = message_value };
