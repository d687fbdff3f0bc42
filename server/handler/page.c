/*
 * page.c - a response in a list of buffers, sent with back-pressure. Runs in the children.
 */
#include "handler/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "request/response.h"

struct piece {
	struct piece *next;
	struct buf b;
	char room[PAGE_PIECE];
};

struct page {
	struct request *r;
	struct piece *first, *last, *at;        /* at: the one being sent */
	size_t sent;                    /* of `at` */
	size_t total;                   /* of the pieces before the last */
	bool no_memory, too_long;
	struct buf sink;                /* where memory ran out */
	char nothing[PAGE_PIECE / 2];
};

static struct piece *add_piece(struct page *p)
{
	struct piece *new = p->no_memory || p->too_long ? NULL : arena_alloc(p->r->arena, sizeof(*new));

	if (!new) {
		p->no_memory = !p->too_long;
		return NULL;
	}
	new->next = NULL;
	buf_init(&new->b, new->room, sizeof(new->room));
	if (p->last) {
		p->total += p->last->b.n;
		p->last->next = new;
	} else {
		p->first = new;
	}
	p->last = new;
	p->too_long = p->total >= PAGE_MOST;
	return new;
}

struct page *page_new(struct request *r)
{
	struct page *p = arena_zalloc(r->arena, sizeof(*p));

	if (!p)
		return NULL;
	p->r = r;
	return add_piece(p) ? p : NULL;
}

struct buf *page_room(struct page *p, size_t n)
{
	struct piece *last = p->last;

	if (last->b.cap - last->b.n <= n && !(last = add_piece(p))) {
		buf_init(&p->sink, p->nothing, sizeof(p->nothing));
		return &p->sink;
	}
	return &last->b;
}

void page_put(struct page *p, const char *s, size_t n)
{
	while (n) {
		size_t some = n < PAGE_PIECE / 4 ? n : PAGE_PIECE / 4;

		buf_put(page_room(p, some), s, some);
		s += some;
		n -= some;
	}
}

void page_printf(struct page *p, const char *fmt, ...)
{
	char text[PAGE_PIECE / 4];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	page_puts(p, text);
}

/* An entity has at most six bytes. */
void page_html(struct page *p, struct text t)
{
	while (t.n) {
		size_t some = t.n < PAGE_PIECE / 16 ? t.n : PAGE_PIECE / 16;

		buf_put_html(page_room(p, some * 6), (struct text){ t.p, some });
		t.p += some;
		t.n -= some;
	}
}

void page_writable(struct request *r)
{
	struct page *p = r->handler_data;

	for (; p->at; p->at = p->at->next, p->sent = 0)
		while (p->sent < p->at->b.n) {
			ssize_t n = stream_write(r->stream, &(struct iovec){ p->at->b.p + p->sent, p->at->b.n - p->sent }, 1);

			if (n < 0)
				return;
			p->sent += (size_t)n;
			if (p->sent < p->at->b.n)
				return;         /* called again when there is room */
		}
	stream_end(r->stream);
}

void page_send(struct page *p, const char *type)
{
	struct request *r = p->r;

	if (p->no_memory || p->too_long) {
		response_error(r, p->no_memory ? 503 : 500);
		return;
	}
	r->type = type;
	r->length = (int64_t)(p->total + p->last->b.n);
	r->handler_data = p;
	if (response_start(r) != 0)
		return;
	p->at = r->no_body ? NULL : p->first;
	page_writable(r);
}

struct text page_asked(const struct request *r, const char *name)
{
	struct text rest = text_of(r->query), part;

	while (text_split(&rest, '&', &part)) {
		struct text key;

		if (!text_split(&part, '=', &key) || !text_is_nocase(key, name))
			continue;
		return part.p ? part : TEXT("");
	}
	return (struct text){ NULL, 0 };
}
