/*
 * filter.c - the chain of body filters of a response: which join, and how bytes move through it. Runs in the children.
 *
 * The chain takes the place of the stream's functions (s->ops), so that handlers know nothing of it. Each filter has one buffer
 * of FILTER_PIECE bytes for what it gives; the next one, or the connection, takes it from there. A filter is only called when its
 * buffer is empty, so that nothing piles up: when the connection is full, the handler's bytes are not accepted.
 */
#include "request/filter.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter/list.h"
#include "log/log.h"
#include "request/handler.h"
#include "request/openfiles.h"

struct stage {
	const struct filter_type *type;
	void *state;                    /* NULL: not opened yet */
	char *out;
	size_t at, n;                   /* what of it is still to be taken */
	bool done;                      /* of the present mode */
	bool waits;                     /* for something else than bytes or room */
};

struct filter_chain {
	struct stage stages[FILTER_MOST];
	unsigned n;
	const struct stream_ops *under; /* the connection's */
	struct request *r;
	enum filter_mode mode;          /* FLUSH, END: begun, and not yet carried out */
	size_t share;                   /* bytes of this turn that are left */
	bool unflushed;                 /* bytes went in since the last flush */
	bool owed;                      /* the handler waits for writable() */
	bool ended;                     /* the handler has said all */
	bool over;                      /* given up, or passed on whole */
	int fd;                         /* the file that is read, or -1 */
	uint64_t at, left;
	struct text rest;               /* of piece: read, and not yet taken */
	char *piece;
};

/* ------------------------------------------------------------------------------------------------ who joins */

/* The media type alone. */
static struct text type_of(const struct request *r)
{
	struct text all = fields_get(&r->out, "Content-Type"), type;

	if (!all.p)
		all = text_of(r->type);
	return text_split(&all, ';', &type) ? text_trim(type) : (struct text){ NULL, 0 };
}

struct candidates {
	struct filter_name at[FILTER_MOST * 4];
	unsigned n;
};

static void add_one(struct candidates *c, const struct filter_name *name)
{
	if (c->n < sizeof(c->at) / sizeof(c->at[0]))
		c->at[c->n++] = *name;
}

static void add_names(struct candidates *c, const struct filter_names *names)
{
	for (unsigned i = 0; names && i < names->n; i++)
		add_one(c, &names->at[i]);
}

/* In Apache's order: by extension, SetOutputFilter, AddOutputFilterByType, then FilterChain. */
static void collect(struct request *r, const struct filter_section *s, struct candidates *c)
{
	struct text type = type_of(r);

	add_names(c, r->named_filters);
	add_names(c, s->set);
	for (const struct filter_by_type *b = s->by_type; b && type.n; b = b->next)
		if (text_is_nocase(type, b->type))
			add_names(c, b->names);
}

static void by_rank(struct candidates *c)
{
	for (unsigned i = 1; i < c->n; i++) {
		struct filter_name moved = c->at[i];
		unsigned k = i;

		for (; k > 0 && moved.type && c->at[k - 1].type && c->at[k - 1].type->rank > moved.type->rank; k--)
			c->at[k] = c->at[k - 1];
		c->at[k] = moved;
	}
}

static const struct filter_section *section_of(const struct request *r)
{
	return r->section ? request_config(r, &filter_module) : NULL;
}

static unsigned deny(struct request *r, const struct filter_name *name)
{
	if (!r->quiet)
		log_errorx(&r->client->about, LOG_MIME, "BH0680",
			   "%s denied: the filter \"%s\" of %s:%u does not exist in this release, and the content is not sent without it",
			   r->path, name->name, name->pos.file ? name->pos.file : "the configuration", name->pos.line);
	r->refused = "a filter that is set for it does not exist in this release";
	return 403;
}

unsigned filter_check(struct request *r)
{
	const struct filter_section *s = section_of(r);
	struct candidates c;

	if (!s || (!r->named_filters && !s->set && !s->by_type) || (r->found && S_ISDIR(r->st.st_mode)))
		return 0;
	c.n = 0;
	collect(r, s, &c);
	for (unsigned i = 0; i < c.n; i++)
		if (!c.at[i].type)
			return deny(r, &c.at[i]);
	return 0;
}

/* Those that no directive needs to name (server-parsed, XBitHack). */
static void add_implied(struct request *r, struct candidates *c)
{
	const struct filter_type *type;

	for (unsigned i = 0; (type = filter_registered(i)); i++) {
		bool named = false;

		for (unsigned k = 0; k < c->n; k++)
			named |= c->at[k].type == type;
		if (!named && type->implied && type->implied(r))
			add_one(c, &(struct filter_name){ .type = type, .name = type->name });
	}
}

static void chain_free(void *arg);

static int chain_add(struct request *r, const struct filter_type *type)
{
	struct filter_chain *c = r->filters;

	if (!c) {
		c = arena_zalloc(r->arena, sizeof(*c));
		if (!c || arena_cleanup(r->arena, chain_free, c) < 0)
			return -1;
		c->r = r;
		c->fd = -1;
		r->filters = c;
	}
	if (c->n < FILTER_MOST)
		c->stages[c->n++].type = type;
	return 0;
}

unsigned filter_choose(struct request *r)
{
	const struct filter_section *s = section_of(r);
	struct candidates c;

	if (r->filtered || !s || (r->parent && !r->runs))
		return 0;
	r->filtered = true;
	if (r->status < 200 || r->status == 204 || r->status == 304)
		return 0;
	c.n = 0;
	collect(r, s, &c);
	if (s->links && filter_links(r, s, &c.n, c.at, sizeof(c.at) / sizeof(c.at[0])) < 0)
		return 500;
	add_implied(r, &c);
	by_rank(&c);
	for (unsigned i = 0; i < c.n; i++) {
		int joins;

		if (!c.at[i].type)
			return deny(r, &c.at[i]);
		if (r->runs && c.at[i].type->rank == FILTER_CODING)     /* what it gives becomes a part of another content */
			continue;
		joins = c.at[i].type->joins(r);
		if (joins < 0 || (joins && chain_add(r, c.at[i].type) < 0))
			return 503;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ moving bytes */

static void close_file(struct filter_chain *c)
{
	if (c->fd >= 0)
		openfile_close(c->fd);
	c->fd = -1;
	c->rest = (struct text){ NULL, 0 };
}

static void chain_close(struct filter_chain *c, bool whole)
{
	close_file(c);
	for (unsigned i = 0; i < c->n; i++) {
		if (c->stages[i].state)
			c->stages[i].type->close(c->stages[i].state, c->r, whole);
		c->stages[i].state = NULL;
	}
}

static void chain_free(void *arg)
{
	chain_close(arg, false);
}

static int chain_open(struct filter_chain *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct stage *g = &c->stages[i];

		if (g->state)
			continue;
		g->out = arena_alloc(c->r->arena, FILTER_PIECE);
		g->state = g->out ? g->type->open(c->r) : NULL;
		if (!g->state)
			return -1;
	}
	return 0;
}

static int fail(struct filter_chain *c, struct stream *s, const char *why)
{
	if (!c->over) {
		c->over = true;
		chain_close(c, false);
		c->under->abort(s, why);
	}
	return -1;
}

/* What the last filter gave goes to the connection. 1 all of it, 0 there is no more room now, -1 gone. */
static int drain(struct filter_chain *c, struct stream *s)
{
	struct stage *last = &c->stages[c->n - 1];

	while (last->at < last->n) {
		struct iovec iov = { last->out + last->at, last->n - last->at };
		ssize_t took = c->under->write(s, &iov, 1);

		if (took < 0)
			return -1;
		if (took == 0)
			return 0;
		last->at += (size_t)took;
	}
	return 1;
}

/* Calls one filter, if it has something to do and room for it. 1: something moved, 0 nothing, -1. */
static int step(struct filter_chain *c, unsigned i, struct text *in, enum filter_mode mode)
{
	struct stage *g = &c->stages[i];
	struct filter_step t = { .in = *in, .out = g->out, .room = FILTER_PIECE, .mode = mode };
	size_t used;

	if (g->at < g->n || g->done || (mode == FILTER_GO && !in->n && !g->waits))
		return 0;
	if (g->type->step(g->state, &t) < 0)
		return -1;
	g->waits = t.waits;
	c->unflushed |= t.n > 0;
	used = in->n - t.in.n;
	if (i == 0) {
		size_t work = used > t.n ? used : t.n;

		c->share -= work < c->share ? work : c->share;
	}
	*in = t.in;
	g->at = 0;
	g->n = t.n;
	g->done = t.done;
	return used || t.n || t.done;
}

/* Each filter once, the last first, so that there is room for what comes from before it. 1 something moved, 0 nothing, -1. */
static int step_all(struct filter_chain *c, struct text *in, enum filter_mode mode)
{
	int moved = 0;

	for (unsigned i = c->n; i-- > 0;) {
		struct stage *before = i ? &c->stages[i - 1] : NULL;
		struct text given = before ? (struct text){ before->out + before->at, before->n - before->at } : *in;
		int rc = step(c, i, &given, before && !before->done ? FILTER_GO : mode);

		if (rc < 0)
			return -1;
		moved |= rc;
		if (before)
			before->at = before->n - given.n;
		else
			*in = given;
	}
	return moved;
}

static bool any_waits(const struct filter_chain *c)
{
	bool waits = false;

	for (unsigned i = 0; i < c->n; i++)
		waits |= c->stages[i].waits;
	return waits;
}

/*
 * 1: `in` is taken and the mode carried out; 0: a filter waits, the connection takes no more, or the turn's share is used up, and
 * filter_writable will come; -1: given up.
 */
static int move(struct filter_chain *c, struct stream *s, struct text *in, enum filter_mode mode)
{
	if (chain_open(c) < 0)
		return fail(c, s, "out of memory");
	for (;;) {
		int rc = drain(c, s);

		if (rc == 0)
			return 0;
		if (rc < 0) {                   /* the connection knows by itself */
			c->over = true;
			chain_close(c, false);
			return -1;
		}
		if (mode != FILTER_GO && c->stages[c->n - 1].done)
			break;
		if (!c->share && (in->n || mode != FILTER_GO)) {
			c->under->again(s, true);
			return 0;
		}
		rc = step_all(c, in, mode);
		if (rc == 0 && any_waits(c))
			return 0;
		if (rc < 0 || (!rc && (in->n || mode != FILTER_GO)))
			return fail(c, s, "a filter cannot go on with the content");
		if (!rc)
			return 1;
	}
	for (unsigned i = 0; i < c->n; i++)
		c->stages[i].done = false;
	c->unflushed = false;
	return 1;
}

/* ------------------------------------------------------------------------------------------------ what the handler does */

static int finish_mode(struct filter_chain *c, struct stream *s)
{
	struct text none = { NULL, 0 };
	int rc = move(c, s, &none, c->mode);

	if (rc == 1)
		c->mode = FILTER_GO;
	return rc;
}

static int read_piece(struct filter_chain *c)
{
	ssize_t got;

	if (!c->piece && !(c->piece = arena_alloc(c->r->arena, FILTER_PIECE)))
		return -1;
	do
		got = pread(c->fd, c->piece, c->left < FILTER_PIECE ? (size_t)c->left : FILTER_PIECE, (off_t)c->at);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return -1;
	c->at += (uint64_t)got;
	c->left -= (uint64_t)got;
	c->rest = (struct text){ c->piece, (size_t)got };
	return 0;
}

/* Passes the file on. 1 done, or there is none; else as move. */
static int move_file(struct filter_chain *c, struct stream *s)
{
	while (c->fd >= 0) {
		int rc;

		if (!c->rest.n && c->left && read_piece(c) < 0)
			return fail(c, s, "the file became shorter, or cannot be read, while it was being sent");
		rc = move(c, s, &c->rest, FILTER_GO);
		if (rc != 1)
			return rc;
		if (!c->left)
			close_file(c);
	}
	return 1;
}

/* Goes on with all that was accepted; at the end the connection is told. */
static int go_on(struct filter_chain *c, struct stream *s)
{
	int rc = finish_mode(c, s);

	if (rc == 1)
		rc = move_file(c, s);
	if (rc != 1 || !c->ended)
		return rc;
	c->mode = FILTER_END;
	rc = finish_mode(c, s);
	if (rc == 1) {
		c->over = true;
		chain_close(c, true);
		c->under->end(s);
	}
	return rc;
}

static int chain_head(struct stream *s)
{
	return s->filter->under->head(s);
}

static ssize_t chain_write(struct stream *s, const struct iovec *iov, int n)
{
	struct filter_chain *c = s->filter;
	size_t taken = 0, total = 0;
	int rc = 1;

	if (c->over)
		return -1;
	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (c->fd >= 0 || c->mode != FILTER_GO)
		rc = go_on(c, s);
	for (int i = 0; i < n && rc == 1; i++) {
		struct text in = { iov[i].iov_base, iov[i].iov_len };

		rc = move(c, s, &in, FILTER_GO);
		taken += iov[i].iov_len - in.n;
		c->unflushed |= in.n < iov[i].iov_len;
		c->owed |= in.n > 0;
	}
	if (rc == 0 && taken < total)
		c->owed = true;
	return rc < 0 ? -1 : (ssize_t)taken;
}

static int chain_file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	struct filter_chain *c = s->filter;

	if (c->over || c->fd >= 0) {
		openfile_close(fd);
		return -1;
	}
	c->fd = fd;
	c->at = offset;
	c->left = length;
	c->owed = true;
	c->under->again(s, false);
	return 0;
}

static void chain_end(struct stream *s)
{
	struct filter_chain *c = s->filter;

	if (c->over || c->ended)
		return;
	c->ended = true;
	stream_read(s, false);
	go_on(c, s);
}

static void chain_read(struct stream *s, bool on)
{
	s->filter->under->read(s, on);
}

static void chain_abort(struct stream *s, const char *reason)
{
	fail(s->filter, s, reason);
}

static void chain_again(struct stream *s, bool later)
{
	s->filter->under->again(s, later);
}

static const struct stream_ops chain_ops = {
	.head = chain_head, .write = chain_write, .file = chain_file, .end = chain_end, .read = chain_read, .abort = chain_abort,
	.again = chain_again,
};

/* ------------------------------------------------------------------------------------------------ for response.c and conn/ */

void filter_install(struct request *r)
{
	struct filter_chain *c = r->filters;

	c->under = r->stream->ops;
	c->share = FILTER_SHARE;
	r->stream->filter = c;
	r->stream->ops = &chain_ops;
}

bool filter_writable(struct stream *s)
{
	struct filter_chain *c = s->filter;
	bool owed;

	if (c->over)
		return false;
	c->share = FILTER_SHARE;
	if (go_on(c, s) != 1 || c->over || any_waits(c))
		return false;
	owed = c->owed && !c->ended;
	c->owed = false;
	return owed;
}

/* A filter waits: what those behind it hold goes out meanwhile, as far as there is room for it now. */
static void flush_behind(struct filter_chain *c, struct stream *s)
{
	struct text none = { NULL, 0 };
	unsigned from = c->n;
	bool moved = true;

	while (from > 0 && !c->stages[from - 1].waits)
		from--;
	if (!from || !c->unflushed)
		return;
	while (moved && !c->stages[c->n - 1].done && drain(c, s) == 1) {
		moved = false;
		for (unsigned i = c->n; i-- > from;) {
			struct stage *before = &c->stages[i - 1];
			struct text given = i == from ? none : (struct text){ before->out + before->at, before->n - before->at };
			int rc = step(c, i, &given, i == from || before->done ? FILTER_FLUSH : FILTER_GO);

			if (rc < 0) {
				fail(c, s, "a filter cannot go on with the content");
				return;
			}
			moved |= rc > 0;
			if (i > from)
				before->at = before->n - given.n;
		}
	}
	c->unflushed = from < c->n && !c->stages[c->n - 1].done;
	for (unsigned i = from; i < c->n; i++)
		c->stages[i].done = false;
	drain(c, s);
}

void filter_over(struct stream *s)
{
	struct filter_chain *c = s->filter;

	if (c && !c->over) {
		c->over = true;
		chain_close(c, false);
	}
}

void filter_idle(struct stream *s)
{
	struct filter_chain *c = s->filter;

	if (!c->over && any_waits(c)) {
		flush_behind(c, s);
		return;
	}
	if (c->over || c->ended || c->owed || c->fd >= 0 || !c->unflushed || c->mode != FILTER_GO)
		return;
	c->mode = FILTER_FLUSH;
	finish_mode(c, s);
}
