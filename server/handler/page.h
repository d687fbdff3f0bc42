/*
 * page.h - a response that is made in memory, piece by piece, and sent as the client takes it: for handlers whose pages may be
 * long. What is made lives in the request's arena; at most PAGE_MOST bytes, the rest is cut.
 *
 *     struct page *p = page_new(r);
 *     page_puts(p, "<p>"); page_html(p, text_of(name)); …
 *     page_send(p, "text/html; charset=utf-8");
 *
 * The handler's writable is page_writable.
 */
#ifndef BULKHEAD_HANDLER_PAGE_H
#define BULKHEAD_HANDLER_PAGE_H

#include "base/text.h"
#include "request/request.h"

#define PAGE_PIECE 16384
#define PAGE_MOST ((size_t)16 * 1024 * 1024)

struct page;

/* NULL on ENOMEM: answer 503. */
struct page *page_new(struct request *r);
void page_put(struct page *p, const char *s, size_t n);
static inline void page_puts(struct page *p, const char *s) { page_put(p, s, strlen(s)); }
/* At most PAGE_PIECE / 4 bytes a call; what is longer is cut. */
void page_printf(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Escaped for HTML text and attributes. */
void page_html(struct page *p, struct text t);
static inline void page_htmls(struct page *p, const char *s) { page_html(p, text_of(s)); }
/* Room of n bytes (at most PAGE_PIECE / 2) for functions that write into a buf: what they do not use is not sent. */
struct buf *page_room(struct page *p, size_t n);
/* Sends it all, with its length, as r->status; 503 where memory ran out, 500 where it was too long. Takes r->handler_data. */
void page_send(struct page *p, const char *type);
void page_writable(struct request *r);
/* The value of a name in the request's query, undecoded; absent text if it is not there, "" without a value. */
struct text page_asked(const struct request *r, const char *name);

#endif
