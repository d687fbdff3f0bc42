/*
 * zstd.c - the filter ZSTD_COMPRESS (RFC 8878), with directives in the style of mod_deflate's and mod_brotli's. Runs in the children;
 * the setters where a configuration is read.
 *
 * One encoder that is not in use is kept a child, as deflate.c does it. The window is never above 8 MiB: clients need not
 * take more (RFC 9659).
 */
#include "filter/coding.h"

#include <stdlib.h>
#include <zstd.h>

#define LEVEL 3
#define WINDOW 19
#define TABLES 5                        /* above this level the tables are kept to the size of the window */
#define KEPT 9                          /* encoders up to this level are kept: others hold too much */
#define SLOW 12                         /* above this a block of 128 KiB takes tens of milliseconds */

struct zstd_host {
	int64_t level, window;          /* 0 = not set */
	int etag;
	struct coding_notes notes;
};

struct zstd {
	ZSTD_CCtx *enc;
	int level;
	uint64_t in, out;
};

static struct zstd *spare;

static const struct zstd_host *settings(const struct request *r)
{
	return host_config(r->host, &zstd_module);
}

static void *zstd_open(struct request *r)
{
	const struct zstd_host *h = settings(r);
	struct zstd *z = spare;
	int window;

	spare = NULL;
	if (z)
		ZSTD_CCtx_reset(z->enc, ZSTD_reset_session_and_parameters);
	else if ((z = calloc(1, sizeof(*z))) && !(z->enc = ZSTD_createCCtx())) {
		free(z);
		z = NULL;
	}
	if (!z)
		return NULL;
	z->in = z->out = 0;
	z->level = h->level ? (int)h->level : LEVEL;
	window = h->window ? (int)h->window : WINDOW;
	ZSTD_CCtx_setParameter(z->enc, ZSTD_c_compressionLevel, z->level);
	ZSTD_CCtx_setParameter(z->enc, ZSTD_c_windowLog, window);
	if (z->level > TABLES) {
		ZSTD_CCtx_setParameter(z->enc, ZSTD_c_hashLog, window);
		ZSTD_CCtx_setParameter(z->enc, ZSTD_c_chainLog, window);
	}
	return z;
}

static int zstd_step(void *state, struct filter_step *s)
{
	static const ZSTD_EndDirective ops[] = { [FILTER_GO] = ZSTD_e_continue, [FILTER_FLUSH] = ZSTD_e_flush, [FILTER_END] = ZSTD_e_end };
	struct zstd *z = state;
	ZSTD_inBuffer in = { s->in.p, s->in.n, 0 };
	ZSTD_outBuffer out = { s->out, s->room, s->n };
	size_t left = ZSTD_compressStream2(z->enc, &out, &in, ops[s->mode]);

	if (ZSTD_isError(left))
		return -1;
	z->in += in.pos;
	z->out += out.pos - s->n;
	s->in.p += in.pos;
	s->in.n -= in.pos;
	s->n = out.pos;
	s->done = s->mode != FILTER_GO && !s->in.n && !left;
	return 0;
}

static void zstd_close(void *state, struct request *r, bool whole)
{
	struct zstd *z = state;

	if (whole)
		coding_note(r, &settings(r)->notes, z->in, z->out);
	if (!spare && z->level <= KEPT) {
		spare = z;
		return;
	}
	ZSTD_freeCCtx(z->enc);
	free(z);
}

static int zstd_joins(struct request *r)
{
	static const struct coding zstd = { .name = "zstd", .off = "no-zstd", .suffix = "-zstd" };
	int how = settings(r)->etag;

	return coding_joins(r, &zstd, how == CONF_UNSET ? CODING_SUFFIX : (enum coding_etag)how);
}

const struct filter_type zstd_filter = {
	.name = "ZSTD_COMPRESS", .rank = FILTER_CODING, .joins = zstd_joins, .open = zstd_open, .step = zstd_step, .close = zstd_close,
};

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	struct zstd_host *h = conf_alloc(env, sizeof(*h));

	h->etag = CONF_UNSET;
	return h;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct zstd_host *b = base;
	struct zstd_host *m = conf_alloc(env, sizeof(*m));

	*m = *(const struct zstd_host *)over;
	CONF_INHERIT(m, b, level, 0);
	CONF_INHERIT(m, b, window, 0);
	CONF_INHERIT(m, b, etag, CONF_UNSET);
	coding_inherit_notes(&m->notes, &b->notes);
	return m;
}

static int set_level(struct conf_call *call, void *config, int argc, char **argv)
{
	struct zstd_host *h = config;

	if (conf_set_number(call, config, argc, argv) < 0)
		return -1;
	if (h->level > SLOW)
		conf_warn(call, "write 12 or less, or code such files beforehand", "%s is meant for files coded once: while it codes a block, a child "
			  "serves nobody else", argv[0]);
	return 0;
}

#define OF_HOST .contexts = CONF_RSRC, .scope = CONF_OF_HOST
#define NUMBER(member, least, most) .args = CONF_TAKE, .min = 1, .max = 1, .offset = offsetof(struct zstd_host, member), .low = least, .high = most

static const struct conf_directive directives[] = {
	{ "ZstdCompressionLevel", "how hard zstd tries: 1 fast, 19 small", "3", OF_HOST, NUMBER(level, 1, 19), .set = set_level },
	{ "ZstdCompressionWindow", "how far back zstd looks: a power of two", "19", OF_HOST, NUMBER(window, 10, 23), .set = conf_set_number },
	{ "ZstdFilterNote", "notes with lengths and ratio, for the access log", NULL, OF_HOST, .args = CONF_TAKE, .min = 1, .max = 2,
	  .set = coding_set_note, .offset = offsetof(struct zstd_host, notes) },
	{ "ZstdAlterETag", "what becomes of the entity tag of a coded response", "AddSuffix", OF_HOST, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_choice, .offset = offsetof(struct zstd_host, etag), .extra = coding_etag_choices },
	{ .name = NULL },
};

struct conf_module zstd_module = {
	.name = "zstd_module", .source = "mod_zstd.c", .directives = directives, .create_host = create_host, .merge_host = merge_host,
};
