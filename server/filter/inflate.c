/*
 * inflate.c - request bodies that come in gzip form: unpacked on their way to the handler where SetInputFilter or AddInputFilter
 * say DEFLATE. Runs in the children.
 *
 * What a client sends is hostile: a few bytes may grow to gigabytes. The unpacked length is bounded (the limit of request bodies, or
 * one of its own), so is the ratio, and so is what one turn unpacks. What the handler has no room for stays packed: at most the
 * bytes of one read.
 */
#include "filter/inflate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "filter/coding.h"
#include "filter/list.h"
#include "log/log.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/response.h"

#define RATIO 200
#define BURST 3
#define TURN (256 * 1024)               /* unpacked bytes a turn */

struct filter_input {
	struct request *r;              /* whose limits hold */
	z_stream z;
	bool open, ended, failed;
	bool more;                      /* packed bytes wait, or unpacked ones inside zlib */
	uint64_t in, out;
	uint64_t limit, ratio;
	uint64_t burst, over;           /* allowed and seen so far: pieces beyond the ratio, in a row */
	char *piece;
	char *kept;                     /* packed bytes that wait */
	struct text rest;               /* of kept, or of what was handed in */
};

/* ------------------------------------------------------------------------------------------------ limits */

void *inflate_create_limits(struct conf_env *env)
{
	struct inflate_limits *l = conf_alloc(env, sizeof(*l));

	*l = (struct inflate_limits){ CONF_UNSET, CONF_UNSET, CONF_UNSET };
	return l;
}

void *inflate_merge_limits(struct conf_env *env, const void *base, const void *over)
{
	const struct inflate_limits *b = base;
	struct inflate_limits *m = conf_alloc(env, sizeof(*m));

	*m = *(const struct inflate_limits *)over;
	CONF_INHERIT(m, b, body, CONF_UNSET);
	CONF_INHERIT(m, b, ratio, CONF_UNSET);
	CONF_INHERIT(m, b, burst, CONF_UNSET);
	return m;
}

enum inflate_form inflate_last_coding(struct text codings, struct text *left)
{
	struct text rest = codings, one, last = { NULL, 0 };

	*left = (struct text){ NULL, 0 };
	while (rest.p && fields_list_next(&rest, &one))
		last = one;
	if (!last.p)
		return INFLATE_NOT;
	for (const char *p = last.p; p > codings.p; p--)
		if (p[-1] == ',') {
			*left = text_trim((struct text){ codings.p, (size_t)(p - 1 - codings.p) });
			break;
		}
	if (text_is_nocase(last, "gzip") || text_is_nocase(last, "x-gzip"))
		return INFLATE_GZIP;
	return text_is_nocase(last, "deflate") ? INFLATE_ZLIB : INFLATE_NOT;
}

/* ------------------------------------------------------------------------------------------------ before the handler */

static bool asked_for(const struct request *r)
{
	const struct filter_section *s = request_config(r, &filter_module);

	return (r->named_input && r->named_input->n) || (s->input && s->input->n);
}

static void input_free(void *arg)
{
	struct filter_input *f = arg;

	if (f->open)
		inflateEnd(&f->z);
	f->open = false;
	free(f->kept);
	f->kept = NULL;
}

static int input_open(struct filter_input *f, enum inflate_form form)
{
	struct request *r = f->r;
	const struct inflate_limits *l = request_config(r, &deflate_module);

	f->limit = l->body == CONF_UNSET ? core_body_limit(r) : l->body ? (uint64_t)l->body : UINT64_MAX;
	f->ratio = l->ratio == CONF_UNSET ? RATIO : (uint64_t)l->ratio;
	f->burst = l->burst == CONF_UNSET ? BURST : (uint64_t)l->burst;
	f->piece = arena_alloc(r->arena, FILTER_PIECE);
	if (!f->piece || arena_cleanup(r->arena, input_free, f) < 0)
		return -1;
	if (inflateInit2(&f->z, form == INFLATE_GZIP ? 15 + 16 : 15) != Z_OK)
		return -1;
	f->open = true;
	return 0;
}

/* The fields tell of the body as the handler gets it: without this coding, of unknown length. */
static int describe(struct request *r, struct text left)
{
	const char *codings = left.n ? arena_strndup(r->arena, left.p, left.n) : NULL;

	if (left.n && !codings)
		return -1;
	fields_remove(&r->in, "Content-Encoding");
	fields_remove(&r->in, "Content-Length");
	fields_remove(&r->in, "Content-MD5");
	r->body_length = UINT64_MAX;
	return codings ? fields_add(&r->in, TEXT("Content-Encoding"), text_of(codings)) : 0;
}

int filter_input(struct request *r)
{
	struct filter_input *f;
	enum inflate_form form;
	struct text left;

	if (!r->has_body || r->stream->input || r->parent || !asked_for(r))
		return 0;
	form = inflate_last_coding(fields_combined(&r->in, "Content-Encoding"), &left);
	if (form == INFLATE_NOT)
		return 0;
	f = arena_zalloc(r->arena, sizeof(*f));
	if (!f)
		return -1;
	f->r = r;
	if (input_open(f, form) < 0 || describe(r, left) < 0)
		return -1;
	r->stream->input = f;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the body */

static void refuse(struct filter_input *f, struct stream *s, unsigned status, const char *why)
{
	struct request *r = s->request;

	f->failed = true;
	f->more = false;
	f->rest = (struct text){ NULL, 0 };
	log_infox(&r->client->about, LOG_HTTP, "BH0681", "%s answered with %u: its packed body %s", r->path ? r->path : "a request", status, why);
	stream_read(s, false);
	r->keepalive = false;
	response_error(r, status);
}

/* A ratio that holds only for a few bytes is no bomb: empty pages of zeros compress like one. */
static bool grows_too_much(struct filter_input *f)
{
	if (f->out / (f->in ? f->in : 1) < f->ratio) {
		f->over = 0;
		return false;
	}
	return ++f->over > f->burst;
}

/* Unpacks one piece and hands it on; f->more: there is another one. */
static void unpack(struct filter_input *f, struct stream *s)
{
	size_t had = f->rest.n, got;
	int rc;

	f->z.next_in = (Bytef *)(uintptr_t)f->rest.p;
	f->z.avail_in = (uInt)had;
	f->z.next_out = (Bytef *)f->piece;
	f->z.avail_out = FILTER_PIECE;
	rc = inflate(&f->z, Z_SYNC_FLUSH);
	got = FILTER_PIECE - f->z.avail_out;
	f->rest.p += had - f->z.avail_in;
	f->rest.n = f->z.avail_in;
	f->in += had - f->z.avail_in;
	f->out += got;
	f->more = rc != Z_STREAM_END && (f->rest.n || !f->z.avail_out);
	if (rc == Z_STREAM_END) {
		f->ended = true;                /* what follows is dropped */
		f->rest.n = 0;
	} else if (rc != Z_OK && rc != Z_BUF_ERROR) {
		refuse(f, s, 400, "is not what its Content-Encoding says");
		return;
	}
	if (f->out > f->limit) {
		refuse(f, s, 413, "grows beyond what LimitRequestBody, or DeflateInflateLimitRequestBody, allows");
		return;
	}
	if (got && grows_too_much(f)) {
		refuse(f, s, 413, "grows more than DeflateInflateRatioLimit and DeflateInflateRatioBurst allow");
		return;
	}
	if (got && s->request->handler->body)
		s->request->handler->body(s->request, (struct text){ f->piece, got });
}

/* False: more is left for the next turn. */
static bool unpack_all(struct filter_input *f, struct stream *s)
{
	uint64_t until = f->out + TURN;

	while (s->reads && f->more && f->out < until)
		unpack(f, s);
	return !s->reads || !f->more;
}

bool filter_body_waits(const struct stream *s)
{
	const struct filter_input *f = s->input;

	return f && f->more;
}

bool filter_body_more(struct stream *s)
{
	return unpack_all(s->input, s);
}

bool filter_body(struct stream *s, struct text data)
{
	struct filter_input *f = s->input;
	struct request *r = s->request;
	bool all;

	if (!f) {
		if (r->handler->body)
			r->handler->body(r, data);
		return true;
	}
	if (f->failed || (data.p && f->ended))
		return true;
	if (!data.p && !f->ended) {
		refuse(f, s, 400, "ends too early");
		return true;
	}
	if (!data.p) {
		if (r->handler->body)
			r->handler->body(r, data);
		return true;
	}
	f->rest = data;
	f->more = data.n > 0;
	all = unpack_all(f, s);
	free(f->kept);
	f->kept = NULL;
	if (f->rest.n) {                        /* what was lent goes away with the turn */
		f->kept = malloc(f->rest.n);
		if (!f->kept) {
			refuse(f, s, 503, "could not be kept: out of memory");
			return true;
		}
		memcpy(f->kept, f->rest.p, f->rest.n);
		f->rest.p = f->kept;
	}
	return all;
}
