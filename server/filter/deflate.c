/*
 * deflate.c - the filters DEFLATE (gzip for what goes out) and INFLATE (takes gzip away), and mod_deflate's directives. Runs in the
 * children; the setters where a configuration is read. Request bodies are inflate.c's.
 *
 * One encoder that is not in use is kept a child: making one costs more than coding a small page with it.
 */
#include "filter/coding.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "filter/inflate.h"

#define LEVEL 6
#define MEMORY 9
#define WINDOW 15
#define GZIP 16                         /* zlib: put to the window's bits for the gzip form */

struct deflate_host {
	int64_t level, memory, window, buffer;  /* 0 = not set */
	int etag;
	struct coding_notes notes;
};

struct shape { int level, memory, window; };

/* ------------------------------------------------------------------------------------------------ zlib and its steps */

struct gzip {
	z_stream z;
	struct shape shape;
	bool between;                   /* INFLATE: a member has ended: another one, or nothing, follows */
	bool members;                   /* it has ended one */
};

static void lend(struct gzip *g, struct filter_step *s, size_t *had)
{
	*had = s->in.n < UINT32_MAX ? s->in.n : UINT32_MAX;
	g->z.next_in = (Bytef *)(uintptr_t)s->in.p;
	g->z.avail_in = (uInt)*had;
	g->z.next_out = (Bytef *)s->out + s->n;
	g->z.avail_out = (uInt)(s->room - s->n);
}

static void take_back(struct gzip *g, struct filter_step *s, size_t had)
{
	if (had)                        /* else there may be no pointer at all */
		s->in.p += had - g->z.avail_in;
	s->in.n -= had - g->z.avail_in;
	s->n = s->room - g->z.avail_out;
}

static int gzip_step(void *state, struct filter_step *s)
{
	static const int flushes[] = { [FILTER_GO] = Z_NO_FLUSH, [FILTER_FLUSH] = Z_SYNC_FLUSH, [FILTER_END] = Z_FINISH };
	struct gzip *g = state;
	size_t had;
	int rc;

	lend(g, s, &had);
	rc = deflate(&g->z, flushes[s->mode]);
	take_back(g, s, had);
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return -1;
	if (s->mode == FILTER_END)
		s->done = rc == Z_STREAM_END;
	else if (s->mode == FILTER_FLUSH)
		s->done = g->z.avail_out > 0;
	return 0;
}

/* What follows the last member and is none is dropped, as gzip does it. */
static int next_member(struct gzip *g, struct filter_step *s)
{
	if (!s->in.n)
		return 0;
	if ((unsigned char)*s->in.p != 0x1f) {
		s->in = (struct text){ s->in.p + s->in.n, 0 };
		return 0;
	}
	g->between = false;
	return inflateReset(&g->z) == Z_OK ? 0 : -1;
}

static int gunzip_step(void *state, struct filter_step *s)
{
	struct gzip *g = state;
	size_t had;
	int rc = Z_OK;

	while (s->n < s->room) {
		if (g->between && next_member(g, s) < 0)
			return -1;
		if (g->between)
			break;
		lend(g, s, &had);
		rc = inflate(&g->z, Z_SYNC_FLUSH);
		take_back(g, s, had);
		if (rc == Z_STREAM_END)
			g->between = g->members = true;
		else if (rc != Z_OK && rc != Z_BUF_ERROR)
			return -1;
		else
			break;
	}
	if (s->mode == FILTER_GO || s->in.n)
		return 0;
	if (s->mode == FILTER_END && !g->between && s->n < s->room && (g->members || g->z.total_in))
		return -1;                      /* the content ends too early */
	s->done = s->n < s->room;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ encoders */

static struct gzip *spare;

static const struct deflate_host *settings(const struct request *r)
{
	return host_config(r->host, &deflate_module);
}

static int within(int64_t value, int otherwise)
{
	return value ? (int)value : otherwise;
}

static void *gzip_open(struct request *r)
{
	const struct deflate_host *h = settings(r);
	struct shape shape = { within(h->level, LEVEL), within(h->memory, MEMORY), within(h->window, WINDOW) };
	struct gzip *g = spare;

	spare = NULL;
	if (g && memcmp(&g->shape, &shape, sizeof(shape)) == 0 && deflateReset(&g->z) == Z_OK)
		return g;
	if (g)
		deflateEnd(&g->z);
	else
		g = malloc(sizeof(*g));
	if (!g)
		return NULL;
	*g = (struct gzip){ .shape = shape };
	if (deflateInit2(&g->z, shape.level, Z_DEFLATED, (shape.window < 9 ? 9 : shape.window) + GZIP, shape.memory, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(g);
		return NULL;
	}
	return g;
}

static void gzip_close(void *state, struct request *r, bool whole)
{
	struct gzip *g = state;

	if (whole)
		coding_note(r, &settings(r)->notes, g->z.total_in, g->z.total_out);
	if (!spare) {
		spare = g;
		return;
	}
	deflateEnd(&g->z);
	free(g);
}

static enum coding_etag etag_of(const struct request *r)
{
	int how = settings(r)->etag;

	return how == CONF_UNSET ? CODING_SUFFIX : (enum coding_etag)how;
}

static int gzip_joins(struct request *r)
{
	static const struct coding gzip = {
		.name = "gzip", .alias = "x-gzip", .off = "no-gzip", .force = "force-gzip", .html_only = "gzip-only-text/html", .suffix = "-gzip",
		.least = 69,                    /* as Apache */
	};

	return coding_joins(r, &gzip, etag_of(r));
}

const struct filter_type deflate_filter = {
	.name = "DEFLATE", .rank = FILTER_CODING, .joins = gzip_joins, .open = gzip_open, .step = gzip_step, .close = gzip_close,
};

/* ------------------------------------------------------------------------------------------------ INFLATE */

static int gunzip_joins(struct request *r)
{
	struct text left;

	if (r->status == 206 || r->length == 0 || fields_get(&r->out, "Content-Range").p)
		return 0;
	if (inflate_last_coding(coding_of(r), &left) != INFLATE_GZIP)
		return 0;
	r->encoding = NULL;
	if (left.n && !(r->encoding = arena_strndup(r->arena, left.p, left.n)))
		return -1;
	coding_forget(r);
	return coding_alter_etag(r, "-gunzip", etag_of(r)) < 0 ? -1 : 1;
}

static void *gunzip_open(struct request *r)
{
	struct gzip *g = calloc(1, sizeof(*g));

	(void)r;
	if (g && inflateInit2(&g->z, WINDOW + GZIP) != Z_OK) {
		free(g);
		return NULL;
	}
	return g;
}

static void gunzip_close(void *state, struct request *r, bool whole)
{
	struct gzip *g = state;

	(void)r;
	(void)whole;
	inflateEnd(&g->z);
	free(g);
}

const struct filter_type inflate_filter = {
	.name = "INFLATE", .rank = FILTER_CODING, .joins = gunzip_joins, .open = gunzip_open, .step = gunzip_step, .close = gunzip_close,
};

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	struct deflate_host *h = conf_alloc(env, sizeof(*h));

	h->etag = CONF_UNSET;
	return h;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct deflate_host *b = base;
	struct deflate_host *m = conf_alloc(env, sizeof(*m));

	*m = *(const struct deflate_host *)over;
	CONF_INHERIT(m, b, level, 0);
	CONF_INHERIT(m, b, memory, 0);
	CONF_INHERIT(m, b, window, 0);
	CONF_INHERIT(m, b, buffer, 0);
	CONF_INHERIT(m, b, etag, CONF_UNSET);
	coding_inherit_notes(&m->notes, &b->notes);
	return m;
}

#define OF_HOST .contexts = CONF_RSRC, .scope = CONF_OF_HOST
#define ONE .args = CONF_TAKE, .min = 1, .max = 1
#define NUMBER(member, least, most) ONE, .set = conf_set_number, .offset = offsetof(struct deflate_host, member), .low = least, .high = most
#define OF_BODY(member, least) .contexts = CONF_ALL, .override = CONF_OR_ANY, .scope = CONF_OF_SECTION, ONE, .set = conf_set_number, \
	.offset = offsetof(struct inflate_limits, member), .low = least, .high = INT64_MAX

static const struct conf_directive directives[] = {
	{ "DeflateCompressionLevel", "how hard gzip tries: 1 fast, 9 small", "6", OF_HOST, NUMBER(level, 1, 9) },
	{ "DeflateMemLevel", "how much memory gzip uses beside the window", "9", OF_HOST, NUMBER(memory, 1, 9) },
	{ "DeflateWindowSize", "how far back gzip looks: a power of two", "15", OF_HOST, NUMBER(window, 1, 15) },
	{ "DeflateBufferSize", "accepted; the pieces between filters are 16 KiB", "16384", OF_HOST, NUMBER(buffer, 1, INT32_MAX) },
	{ "DeflateFilterNote", "notes with lengths and ratio, for the access log", NULL, OF_HOST, .args = CONF_TAKE, .min = 1, .max = 2,
	  .set = coding_set_note, .offset = offsetof(struct deflate_host, notes) },
	{ "DeflateAlterETag", "what becomes of the entity tag of a coded response", "AddSuffix", OF_HOST, ONE, .set = conf_set_choice,
	  .offset = offsetof(struct deflate_host, etag), .extra = coding_etag_choices },
	{ "DeflateInflateLimitRequestBody", "the most bytes that a request body may grow to", "LimitRequestBody", OF_BODY(body, 0) },
	{ "DeflateInflateRatioLimit", "how many times its size a request body may grow", "200", OF_BODY(ratio, 1) },
	{ "DeflateInflateRatioBurst", "how often in a row it may be more", "3", OF_BODY(burst, 1) },
	{ .name = NULL },
};

struct conf_module deflate_module = {
	.name = "deflate_module",
	.source = "mod_deflate.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
	.create_section = inflate_create_limits,
	.merge_section = inflate_merge_limits,
};
