/*
 * file.c - "default-handler": sends the file that the walk has opened. Runs in the children; a plain request costs no
 * system call here but those of the stream.
 *
 * One range is honoured (RFC 9110, 14.2); several are answered with the whole file, which a server may always do.
 */
#include "handler/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "http/condition.h"
#include "log/log.h"
#include "request/core.h"
#include "request/request.h"
#include "request/response.h"

/* Apache's tag: the parts FileETag asks for, in hexadecimal; weak while the file may still change within the same tick. */
static const char *etag_of(struct request *r, const struct stat *st)
{
	unsigned parts = core_etag(core_section_of(r));
	uint64_t mtime = (uint64_t)st->st_mtim.tv_sec * 1000000 + (uint64_t)st->st_mtim.tv_nsec / 1000;
	char text[64];
	struct buf b;

	if (!(parts & (CORE_ETAG_INODE | CORE_ETAG_MTIME | CORE_ETAG_SIZE)))
		return NULL;
	buf_init(&b, text, sizeof(text));
	if (st->st_mtim.tv_sec >= r->received.tv_sec)
		buf_puts(&b, "W/");
	buf_putc(&b, '"');
	if (parts & CORE_ETAG_INODE)
		buf_printf(&b, "%" PRIx64, (uint64_t)st->st_ino);
	if (parts & CORE_ETAG_SIZE)
		buf_printf(&b, "%s%" PRIx64, parts & CORE_ETAG_INODE ? "-" : "", (uint64_t)st->st_size);
	if (parts & CORE_ETAG_MTIME)
		buf_printf(&b, "%s%" PRIx64, parts & (CORE_ETAG_INODE | CORE_ETAG_SIZE) ? "-" : "", mtime);
	buf_putc(&b, '"');
	return arena_strndup(r->arena, text, b.n);
}

/* ------------------------------------------------------------------------------------------------ one range */

enum range { RANGE_NONE, RANGE_ONE, RANGE_OUTSIDE };

/* "first-last", "first-", "-suffix". */
static enum range range_parse(struct text spec, uint64_t size, uint64_t *first, uint64_t *last)
{
	struct text a, b = spec;

	if (!memchr(spec.p, '-', spec.n) || !text_split(&b, '-', &a))
		return RANGE_NONE;
	a = text_trim(a);
	b = text_trim(b);
	if (a.n == 0) {
		uint64_t n;

		if (text_u64(b, UINT64_MAX, &n) < 0)
			return RANGE_NONE;
		if (n == 0 || size == 0)
			return RANGE_OUTSIDE;
		*first = n < size ? size - n : 0;
		*last = size - 1;
		return RANGE_ONE;
	}
	if (text_u64(a, UINT64_MAX, first) < 0)
		return RANGE_NONE;
	*last = UINT64_MAX;
	if (b.n && (text_u64(b, UINT64_MAX, last) < 0 || *last < *first))
		return RANGE_NONE;
	if (*first >= size)
		return RANGE_OUTSIDE;
	if (*last >= size)
		*last = size - 1;
	return RANGE_ONE;
}

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

static enum range range_asked(const struct request *r, uint64_t size, uint64_t *first, uint64_t *last)
{
	struct text value = fields_get(&r->in, "Range");

	if (!value.p || r->method_id != HTTP_GET || r->status != 200 || fields_count(&r->in, "Range") != 1)
		return RANGE_NONE;
	if (value.n < 7 || !text_is_nocase((struct text){ value.p, 6 }, "bytes="))
		return RANGE_NONE;
	value = (struct text){ value.p + 6, value.n - 6 };
	if (memchr(value.p, ',', value.n) || !range_still_valid(r))
		return RANGE_NONE;
	return range_parse(value, size, first, last);
}

/* ------------------------------------------------------------------------------------------------ the file */

#define ALLOWED "GET,HEAD,OPTIONS"

static void refuse_method(struct request *r)
{
	fields_set(&r->always, "Allow", ALLOWED);
	response_error(r, 405);
}

/* What the path could be asked for, whether or not something is there: as Apache. */
static void tell_options(struct request *r)
{
	fields_set(&r->out, "Allow", ALLOWED);
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

static void send_range(struct request *r, uint64_t first, uint64_t last)
{
	char text[80];
	int n = snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first, last, (uint64_t)r->st.st_size);

	if (n < 0 || fields_add_copy(&r->out, "Content-Range", text) < 0) {
		response_error(r, 503);
		return;
	}
	r->status = 206;
	r->length = (int64_t)(last - first + 1);
	if (response_start(r) == 0)
		send_file(r, first, last - first + 1);
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

static void start(struct request *r)
{
	const struct core_section *c = core_section_of(r);
	bool read = r->method_id == HTTP_GET || r->method_id == HTTP_HEAD;
	uint64_t first = 0, last = 0;
	enum range range;

	if (r->method_id == HTTP_OPTIONS) {
		r->type = r->charset = r->encoding = r->language = NULL;
		tell_options(r);
		return;
	}
	if (!read && r->method_id != HTTP_POST) {
		refuse_method(r);
		return;
	}
	if (!r->found || S_ISDIR(r->st.st_mode) || r->fd < 0 || (r->path_info && c->path_info != CORE_PATH_INFO_ON)) {
		not_found(r);
		return;
	}
	if (!read) {
		refuse_method(r);
		return;
	}
	r->length = r->st.st_size;
	r->modified = r->st.st_mtim.tv_sec;
	r->etag = etag_of(r, &r->st);
	if (fields_add(&r->out, TEXT("Accept-Ranges"), TEXT("bytes")) < 0) {
		response_error(r, 503);
		return;
	}
	range = range_asked(r, (uint64_t)r->st.st_size, &first, &last);
	if (range == RANGE_NONE || !preconditions_hold(r)) {
		if (response_start(r) == 0)
			send_file(r, 0, (uint64_t)r->st.st_size);
	} else if (range == RANGE_ONE) {
		send_range(r, first, last);
	} else {
		refuse_range(r);
	}
}

const struct handler file_handler = { .name = "default-handler", .start = start };
