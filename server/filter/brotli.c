/*
 * brotli.c - the filter BROTLI_COMPRESS, and mod_brotli's directives. Runs in the children; the setters where a configuration is read.
 *
 * Input is gathered in blocks that are coded at once: unless told otherwise of 64 KiB, so that no response holds the others up.
 */
#include "filter/coding.h"

#include <brotli/encode.h>
#include <stdlib.h>

#define QUALITY 5
#define WINDOW 18
#define BLOCK 16
#define SLOW 8                          /* above this an encoder takes 35 MiB, or a block tens of milliseconds */

struct brotli_host {
	int64_t quality, window, block; /* CONF_UNSET = not set */
	int etag;
	struct coding_notes notes;
};

struct brotli {
	BrotliEncoderState *enc;
	uint64_t in, out;
};

static const struct brotli_host *settings(const struct request *r)
{
	return host_config(r->host, &brotli_module);
}

static uint32_t within(int64_t value, uint32_t otherwise)
{
	return value == CONF_UNSET ? otherwise : (uint32_t)value;
}

static void *brotli_open(struct request *r)
{
	const struct brotli_host *h = settings(r);
	struct brotli *b = calloc(1, sizeof(*b));

	if (b && !(b->enc = BrotliEncoderCreateInstance(NULL, NULL, NULL))) {
		free(b);
		return NULL;
	}
	if (!b)
		return NULL;
	BrotliEncoderSetParameter(b->enc, BROTLI_PARAM_QUALITY, within(h->quality, QUALITY));
	BrotliEncoderSetParameter(b->enc, BROTLI_PARAM_LGWIN, within(h->window, WINDOW));
	BrotliEncoderSetParameter(b->enc, BROTLI_PARAM_LGBLOCK, within(h->block, BLOCK));
	return b;
}

static int brotli_step(void *state, struct filter_step *s)
{
	static const BrotliEncoderOperation ops[] = {
		[FILTER_GO] = BROTLI_OPERATION_PROCESS, [FILTER_FLUSH] = BROTLI_OPERATION_FLUSH, [FILTER_END] = BROTLI_OPERATION_FINISH,
	};
	struct brotli *b = state;
	const uint8_t *in = (const uint8_t *)s->in.p;
	uint8_t *out = (uint8_t *)s->out + s->n;
	size_t had = s->in.n, in_n = had, room = s->room - s->n, out_n = room;

	if (!BrotliEncoderCompressStream(b->enc, ops[s->mode], &in_n, &in, &out_n, &out, NULL))
		return -1;
	s->in = (struct text){ (const char *)in, in_n };
	s->n += room - out_n;
	b->in += had - in_n;
	b->out += room - out_n;
	if (s->mode == FILTER_END)
		s->done = BrotliEncoderIsFinished(b->enc);
	else if (s->mode == FILTER_FLUSH)
		s->done = !in_n && !BrotliEncoderHasMoreOutput(b->enc);
	return 0;
}

static void brotli_close(void *state, struct request *r, bool whole)
{
	struct brotli *b = state;

	if (whole)
		coding_note(r, &settings(r)->notes, b->in, b->out);
	BrotliEncoderDestroyInstance(b->enc);
	free(b);
}

static int brotli_joins(struct request *r)
{
	static const struct coding br = { .name = "br", .off = "no-brotli", .suffix = "-br" };
	int how = settings(r)->etag;

	return coding_joins(r, &br, how == CONF_UNSET ? CODING_SUFFIX : (enum coding_etag)how);
}

const struct filter_type brotli_filter = {
	.name = "BROTLI_COMPRESS", .rank = FILTER_CODING, .joins = brotli_joins, .open = brotli_open, .step = brotli_step, .close = brotli_close,
};

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	struct brotli_host *h = conf_alloc(env, sizeof(*h));

	h->quality = h->window = h->block = CONF_UNSET;
	h->etag = CONF_UNSET;
	return h;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct brotli_host *b = base;
	struct brotli_host *m = conf_alloc(env, sizeof(*m));

	*m = *(const struct brotli_host *)over;
	CONF_INHERIT(m, b, quality, CONF_UNSET);
	CONF_INHERIT(m, b, window, CONF_UNSET);
	CONF_INHERIT(m, b, block, CONF_UNSET);
	CONF_INHERIT(m, b, etag, CONF_UNSET);
	coding_inherit_notes(&m->notes, &b->notes);
	return m;
}

static int set_quality(struct conf_call *call, void *config, int argc, char **argv)
{
	struct brotli_host *h = config;

	if (conf_set_number(call, config, argc, argv) < 0)
		return -1;
	if (h->quality > SLOW)
		conf_warn(call, "write 8 or less, or code such files beforehand", "%s is meant for files coded once: it takes tens of MiB a response, "
			  "or tens of milliseconds for 64 KiB, in which a child serves nobody else", argv[0]);
	return 0;
}

#define OF_HOST .contexts = CONF_RSRC, .scope = CONF_OF_HOST
#define NUMBER(member, least, most) .args = CONF_TAKE, .min = 1, .max = 1, .offset = offsetof(struct brotli_host, member), .low = least, .high = most

static const struct conf_directive directives[] = {
	{ "BrotliCompressionQuality", "how hard brotli tries: 0 fast, 11 small", "5", OF_HOST, NUMBER(quality, 0, 11), .set = set_quality },
	{ "BrotliCompressionWindow", "how far back brotli looks: a power of two", "18", OF_HOST, NUMBER(window, 10, 24), .set = conf_set_number },
	{ "BrotliCompressionMaxInputBlock", "the most that brotli codes at once: a power of two", "16", OF_HOST, NUMBER(block, 16, 24),
	  .set = conf_set_number },
	{ "BrotliFilterNote", "notes with lengths and ratio, for the access log", NULL, OF_HOST, .args = CONF_TAKE, .min = 1, .max = 2,
	  .set = coding_set_note, .offset = offsetof(struct brotli_host, notes) },
	{ "BrotliAlterETag", "what becomes of the entity tag of a coded response", "AddSuffix", OF_HOST, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_choice, .offset = offsetof(struct brotli_host, etag), .extra = coding_etag_choices },
	{ .name = NULL },
};

struct conf_module brotli_module = {
	.name = "brotli_module", .source = "mod_brotli.c", .directives = directives, .create_host = create_host, .merge_host = merge_host,
};
