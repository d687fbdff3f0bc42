/*
 * asis.c - "send-as-is": a file that begins with the fields of its response, an empty line behind them, and then has the content.
 * Runs in the children.
 *
 * "Status: 301 Gone elsewhere" sets the status (its words are the server's); without it a Location means 302, or, where it is a path
 * of this host, an internal redirect. What the connection needs (Content-Length, Transfer-Encoding …) is the server's to say.
 */
#include "handler/asis.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "http/head.h"
#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/phases.h"
#include "request/request.h"
#include "request/response.h"

#define HEAD_MOST 16384                 /* bytes of a file's head */

/* One line, without its end; false: none is whole. */
static bool line_next(struct text *rest, struct text *line)
{
	const char *end = memchr(rest->p, '\n', rest->n);

	if (!end)
		return false;
	*line = (struct text){ rest->p, (size_t)(end - rest->p) };
	rest->n -= line->n + 1;
	rest->p = end + 1;
	if (line->n && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static int set_status(struct request *r, struct text value)
{
	uint64_t n;

	if (value.n < 3 || text_u64((struct text){ value.p, 3 }, 599, &n) < 0 || n < 200 || (value.n > 3 && value.p[3] != ' '))
		return -1;
	r->status = (unsigned)n;
	return 0;
}

static bool of_the_server(struct text name)
{
	static const char *const names[] = {
		"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "Trailer", "Date", "Server",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text_is_nocase(name, names[i]))
			return true;
	return false;
}

/* 0 or -1: it is no field. */
static int take_field(struct request *r, struct text line)
{
	const char *colon = memchr(line.p, ':', line.n);
	struct text name, value;
	char *type;

	if (!colon)
		return -1;
	name = (struct text){ line.p, (size_t)(colon - line.p) };
	value = text_trim((struct text){ colon + 1, line.n - name.n - 1 });
	if (!http_is_token(name) || !http_is_value(value))
		return -1;
	if (text_is_nocase(name, "Status"))
		return set_status(r, value);
	if (text_is_nocase(name, "Content-Type")) {
		type = arena_strndup(r->arena, value.p, value.n);
		r->type = type;
		r->charset = NULL;
		return type ? 0 : -1;
	}
	return of_the_server(name) ? 0 : fields_add(&r->out, name, value);
}

/* The head of the file into r. How long it is, or -1: told in the log. */
static ssize_t read_head(struct request *r)
{
	char *head = arena_alloc(r->arena, HEAD_MOST);
	struct text rest, line;
	ssize_t got;

	if (!head)
		return -1;
	do
		got = pread(r->fd, head, HEAD_MOST, 0);
	while (got < 0 && errno == EINTR);
	rest = (struct text){ head, got > 0 ? (size_t)got : 0 };
	while (line_next(&rest, &line)) {
		if (!line.n)
			return rest.p - head;
		if (take_field(r, line) < 0) {
			log_errorx(&r->client->about, LOG_CORE, "BH0684", "%s answered with 500: \"%.*s\" in the head of %s is no field of a response",
				   r->path, (int)(line.n < 80 ? line.n : 80), line.p, r->filename);
			return -1;
		}
	}
	log_errorx(&r->client->about, LOG_CORE, "BH0685", "%s answered with 500: %s has no empty line behind its fields within %u bytes", r->path,
		   r->filename, HEAD_MOST);
	return -1;
}

/* Whatever method led here: what is inside is fetched by GET. */
static bool leads_inside(struct request *r)
{
	struct text where = fields_get(&r->out, "Location");
	const char *target;

	if (!where.p || r->status != 200)
		return false;
	if (!where.n || where.p[0] != '/') {
		r->status = 302;
		return false;
	}
	target = arena_strndup(r->arena, where.p, where.n);
	r->out.n = 0;
	if (target)
		phases_redirect(r, target, r->status);
	else
		response_error(r, 500);
	return true;
}

static void send_rest(struct request *r, ssize_t from)
{
	uint64_t length = r->st.st_size > from ? (uint64_t)(r->st.st_size - from) : 0;
	int fd;

	r->length = (int64_t)length;
	r->modified = r->st.st_mtim.tv_sec;
	if (response_start(r) != 0)
		return;
	if (!r->no_body && length) {
		fd = request_take(r);
		if (stream_file(r->stream, fd, (uint64_t)from, length) < 0)
			return;
	}
	stream_end(r->stream);
}

static void start(struct request *r)
{
	ssize_t from;

	if (r->method_id != HTTP_GET && r->method_id != HTTP_HEAD && r->method_id != HTTP_POST) {
		response_error(r, r->method_id == HTTP_OTHER ? 501 : 405);
		return;
	}
	if (!r->found || S_ISDIR(r->st.st_mode) || r->fd < 0) {
		response_error(r, 404);
		return;
	}
	from = read_head(r);
	if (from < 0)
		response_error(r, 500);
	else if (!leads_inside(r))
		send_rest(r, from);
}

const struct handler asis_handler = { .name = "send-as-is", .start = start };

static const struct conf_directive none[] = { { .name = NULL } };

struct conf_module asis_module = { .name = "asis_module", .source = "mod_asis.c", .directives = none };
