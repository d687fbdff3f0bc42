/*
 * file.c - "default-handler": sends the file that the walk has opened. Runs in the children; a plain request costs no
 * system call here but those of the stream.
 *
 * Ranges are honoured for GET (RFC 9110, 14.2): one as it is, several as multipart/byteranges, whose parts are read and
 * written piece by piece, as the client takes them.
 */
#include "handler/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "http/condition.h"
#include "http/range.h"
#include "log/log.h"
#include "request/core.h"
#include "request/filedigest.h"
#include "request/filter.h"
#include "request/handler.h"
#include "request/mime.h"
#include "request/request.h"
#include "request/response.h"

/* Apache's tag: the parts FileETag asks for, in hexadecimal; weak while the file may still change within the same tick. */
static const char *etag_of(struct request *r, const struct stat *st)
{
	unsigned parts = core_etag(core_section_of(r));
	uint64_t mtime = (uint64_t)st->st_mtim.tv_sec * 1000000 + (uint64_t)st->st_mtim.tv_nsec / 1000;
	char text[64];
	struct buf b;

	if (parts & CORE_ETAG_DIGEST) {
		const char *digest = filedigest_tag(r);

		if (digest)
			return digest;
		parts = CORE_ETAG_DEFAULT;
	}
	if (!parts)
		return NULL;
	buf_init(&b, text, sizeof(text));
	if (st->st_mtim.tv_sec >= r->received.tv_sec)
		buf_puts(&b, "W/");
	buf_putc(&b, '"');
	if (parts & CORE_ETAG_INODE)
		buf_put_hex(&b, (uint64_t)st->st_ino);
	if (parts & CORE_ETAG_SIZE) {
		buf_puts(&b, parts & CORE_ETAG_INODE ? "-" : "");
		buf_put_hex(&b, (uint64_t)st->st_size);
	}
	if (parts & CORE_ETAG_MTIME) {
		buf_puts(&b, parts & (CORE_ETAG_INODE | CORE_ETAG_SIZE) ? "-" : "");
		buf_put_hex(&b, mtime);
	}
	buf_putc(&b, '"');
	return arena_strndup(r->arena, text, b.n);
}

/* ------------------------------------------------------------------------------------------------ ranges asked for */

/* RFC 9110, 13.1.5: a range of another version must not be mixed with what the client holds: strong comparison only. */
static bool range_still_valid(const struct request *r)
{
	struct text given = fields_get(&r->in, "If-Range");
	time_t when;

	if (!given.p)
		return true;
	if (text_starts(given, "\"") || text_starts(given, "W/"))
		return r->etag && r->etag[0] == '"' && text_is(given, r->etag);
	return http_date_parse(given, &when) == 0 && r->modified != -1 && when == r->modified;
}

static enum range_answer range_asked(struct request *r, struct http_range **ranges, unsigned *n)
{
	const struct core_section *c = core_section_of(r);
	struct range_limits limits = { core_limit(c->max_ranges, 200), core_limit(c->max_overlaps, 20), core_limit(c->max_reversals, 20) };

	if (r->filters || r->method_id != HTTP_GET || r->status != 200 || fields_count(&r->in, "Range") != 1 || !range_still_valid(r))
		return RANGE_WHOLE;
	return range_parse(r->arena, fields_get(&r->in, "Range"), (uint64_t)r->st.st_size, &limits, ranges, n);
}

/* ------------------------------------------------------------------------------------------------ several ranges */

#define PIECE 16384

/* The parts, one after the other: the lines before it, then its bytes; behind the last the closing line. */
struct parts {
	const struct http_range *at;
	unsigned n, now;
	char boundary[24];
	const char *type;               /* of each part; NULL = none */
	const char *lines;              /* still to be written of the present part's */
	size_t left;
	uint64_t next;                  /* the file's byte that comes then */
	char *piece;
};

static char *part_lines(struct request *r, const struct parts *p, unsigned i)
{
	if (i == p->n)
		return arena_printf(r->arena, "\r\n--%s--\r\n", p->boundary);
	return arena_printf(r->arena, "\r\n--%s\r\n%s%s%sContent-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n\r\n", p->boundary,
			    p->type ? "Content-Type: " : "", p->type ? p->type : "", p->type ? "\r\n" : "", p->at[i].first, p->at[i].last,
			    (uint64_t)r->st.st_size);
}

static bool parts_turn_to(struct request *r, struct parts *p, unsigned i)
{
	p->now = i;
	p->lines = part_lines(r, p, i);
	p->left = p->lines ? strlen(p->lines) : 0;
	p->next = i < p->n ? p->at[i].first : 0;
	return p->lines != NULL;
}

/* The next bytes of the file. 0 or -1, aborted. */
static int part_read(struct request *r, struct parts *p)
{
	uint64_t want = p->at[p->now].last - p->next + 1;
	ssize_t got;

	do
		got = pread(r->fd, p->piece, want < PIECE ? (size_t)want : PIECE, (off_t)p->next);
	while (got < 0 && errno == EINTR);
	if (got <= 0) {
		stream_abort(r->stream, got < 0 ? "a file could not be read on" : "a file became shorter while it was sent");
		return -1;
	}
	p->lines = p->piece;
	p->left = (size_t)got;
	p->next += (uint64_t)got;
	return 0;
}

static void parts_write(struct request *r)
{
	struct parts *p = r->handler_data;

	for (;;) {
		struct iovec iov = { (void *)(uintptr_t)p->lines, p->left };
		ssize_t took = p->left ? stream_write(r->stream, &iov, 1) : 0;

		if (took < 0)
			return;
		p->lines += took;
		p->left -= (size_t)took;
		if (p->left)                    /* no room: writable() comes */
			return;
		if (p->now == p->n) {
			stream_end(r->stream);
			return;
		}
		if (p->next > p->at[p->now].last) {
			if (!parts_turn_to(r, p, p->now + 1)) {
				stream_abort(r->stream, "no memory");
				return;
			}
		} else if (part_read(r, p) < 0) {
			return;
		}
	}
}

static const struct handler parts_handler = { .name = "default-handler", .start = parts_write, .writable = parts_write };

/* The type that the whole would have, charset included. */
static const char *type_of_part(struct request *r)
{
	const char *charset = r->type && !r->charset ? mime_default_charset(r, r->type) : r->charset;

	return r->type && charset ? arena_printf(r->arena, "%s; charset=%s", r->type, charset) : r->type;
}

static void send_parts(struct request *r, const struct http_range *ranges, unsigned n)
{
	struct parts *p = arena_zalloc(r->arena, sizeof(*p));
	uint64_t length = 0, chance;

	if (!p || !(p->piece = arena_alloc(r->arena, PIECE)) || secret_random(&chance, sizeof(chance)) < 0) {
		response_error(r, 503);
		return;
	}
	p->at = ranges;
	p->n = n;
	p->type = type_of_part(r);
	snprintf(p->boundary, sizeof(p->boundary), "%016" PRIx64, chance);
	for (unsigned i = 0; i <= n; i++) {
		const char *lines = part_lines(r, p, i);

		length += lines ? strlen(lines) : 0;
		length += i < n ? ranges[i].last - ranges[i].first + 1 : 0;
	}
	r->type = arena_printf(r->arena, "multipart/byteranges; boundary=%s", p->boundary);
	r->charset = NULL;
	r->status = 206;
	r->length = (int64_t)length;
	r->handler = &parts_handler;
	r->handler_data = p;
	if (!r->type || !parts_turn_to(r, p, 0)) {
		response_error(r, 503);
		return;
	}
	if (response_start(r) == 0)
		parts_write(r);
}

/* ------------------------------------------------------------------------------------------------ the file */

/* As Apache lists them: a file takes POST for GET. */
static const char *allowed(const struct request *r)
{
	return core_host_of(r->host)->trace == CORE_TRACE_OFF ? "GET,POST,OPTIONS,HEAD" : "GET,POST,OPTIONS,HEAD,TRACE";
}

static void refuse_method(struct request *r)
{
	fields_set(&r->always, "Allow", allowed(r));
	response_error(r, r->method_id == HTTP_OTHER ? 501 : 405);
}

/* What the path could be asked for, whether or not something is there: as Apache. */
static void tell_options(struct request *r)
{
	fields_set(&r->out, "Allow", allowed(r));
	r->length = 0;
	if (response_start(r) == 0)
		stream_end(r->stream);
}

static void not_found(struct request *r)
{
	log_infox(&r->client->about, LOG_CORE, "BH0460", "%s does not exist", r->filename ? r->filename : r->path);
	response_error(r, 404);
}

/* Sends `length` bytes from `offset`; the descriptor goes to the stream. */
static void send_file(struct request *r, uint64_t offset, uint64_t length)
{
	int fd = r->fd;

	if (!r->no_body && length) {
		r->fd = -1;
		if (stream_file(r->stream, fd, offset, length) < 0)
			return;
	}
	stream_end(r->stream);
}

static void send_range(struct request *r, const struct http_range *range)
{
	uint64_t length = range->last - range->first + 1;
	char text[80];
	int n = snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->first, range->last, (uint64_t)r->st.st_size);

	if (n < 0 || fields_add_copy(&r->out, "Content-Range", text) < 0) {
		response_error(r, 503);
		return;
	}
	r->status = 206;
	r->length = (int64_t)length;
	if (response_start(r) == 0)
		send_file(r, range->first, length);
}

static void refuse_range(struct request *r)
{
	char text[40];

	snprintf(text, sizeof(text), "bytes */%lld", (long long)r->st.st_size);
	fields_set(&r->always, "Content-Range", text);
	response_error(r, 416);
}

/* Whether the preconditions, which come before the range (RFC 9110, 13.2.2), let the content go out at all. */
static bool preconditions_hold(const struct request *r)
{
	struct validators v = { .etag = text_of(r->etag), .modified = r->modified, .exists = true };

	return condition_check(&r->in, r->method_id, &v, r->received.tv_sec) == 0;
}

static void send_what_was_asked(struct request *r)
{
	struct http_range *ranges = NULL;
	unsigned n = 0;
	enum range_answer answer = range_asked(r, &ranges, &n);

	if (answer == RANGE_NO_MEMORY) {
		response_error(r, 503);
	} else if (answer == RANGE_WHOLE || !preconditions_hold(r)) {
		if (response_start(r) == 0)
			send_file(r, 0, (uint64_t)r->st.st_size);
	} else if (answer == RANGE_OUTSIDE) {
		refuse_range(r);
	} else if (n == 1) {
		send_range(r, ranges);
	} else {
		send_parts(r, ranges, n);
	}
}

static void start(struct request *r)
{
	const struct core_section *c = core_section_of(r);
	unsigned status;

	if (r->method_id == HTTP_OPTIONS) {
		r->type = r->charset = r->encoding = r->language = NULL;
		tell_options(r);
		return;
	}
	if (r->method_id != HTTP_GET && r->method_id != HTTP_HEAD && r->method_id != HTTP_POST) {
		refuse_method(r);
		return;
	}
	if (!r->found || S_ISDIR(r->st.st_mode) || r->fd < 0 || (r->path_info && c->path_info != CORE_PATH_INFO_ON)) {
		not_found(r);
		return;
	}
	r->length = r->st.st_size;
	r->modified = r->st.st_mtim.tv_sec;
	r->etag = etag_of(r, &r->st);
	if (fields_add(&r->out, TEXT("Accept-Ranges"), core_limit(c->max_ranges, 200) ? TEXT("bytes") : TEXT("none")) < 0) {
		response_error(r, 503);
		return;
	}
	if ((status = filter_choose(r)) != 0) {         /* what is coded on its way has no ranges */
		response_error(r, status);
		return;
	}
	send_what_was_asked(r);
}

const struct handler file_handler = { .name = "default-handler", .start = start };
