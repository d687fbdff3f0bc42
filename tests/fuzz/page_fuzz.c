/*
 * page_fuzz.c - fuzzes pages with elements through a whole child (server/ssi/, and sub-requests behind it): the input is the page, also what its
 * includes lead to. The first byte chooses the grammar of conditions, the size of the pieces that the page comes in, and how much the client reads
 * at a time. Holds:
 * - each page ends, with an answer of 200 that is whole, and no larger than includes allow;
 * - each handler hears of its end once, nothing of the connection stays.
 */
#include "tests/fuzz/served.h"

#include "ssi/ssi.h"

static struct { const char *p; size_t n, piece; } page;

struct sent { size_t at, n; bool head; };

static void go_on(struct request *r)
{
	struct sent *s = r->handler_data;

	if (!s || !s->head)
		return;
	while (s->at < s->n) {
		size_t n = s->n - s->at < page.piece ? s->n - s->at : page.piece;
		ssize_t took = stream_write(r->stream, &(struct iovec){ (void *)(uintptr_t)(page.p + s->at), n }, 1);

		if (took < 0)
			return;
		s->at += (size_t)took;
		if ((size_t)took < n)
			return;
	}
	s->head = false;
	stream_end(r->stream);
}

/* Pages within pages: the whole of it twice within each other, then its first bytes as they are. */
static void start(struct request *r)
{
	struct sent *s = arena_zalloc(r->arena, sizeof *s);
	unsigned depth = 0;

	CHECK(s);
	served.begun++;
	r->handler_data = s;
	for (const struct request *above = r->parent; above; above = above->parent)
		depth++;
	s->n = depth < 2 ? page.n : page.n < 16 ? page.n : 16;
	r->type = depth < 2 ? "text/html" : "text/plain";
	s->head = response_start(r) == 0;
	go_on(r);
}

static const struct handler paged = { .name = "page", .start = start, .writable = go_on, .ended = spelled_ended };

static const char conf[] =
	"ServerName h.test\nDocumentRoot /nonexistent\nLimitInternalRecursion 5 5\n"
	"<Location />\nSetHandler page\nSetOutputFilter INCLUDES\nOptions +IncludesNOEXEC\nSSIAccessEnable on\n</Location>\n"
	"<Location /legacy>\nSSILegacyExprParser on\n</Location>\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const asks[] = { "GET /a?q=1&r=%3c HTTP/1.0\r\nCookie: a=b\r\n\r\n", "GET /legacy/a/b HTTP/1.0\r\n\r\n" };
	static char sink[65536];
	const char *ask;
	size_t all = 0, step;
	ssize_t got;

	if (n < 2 || n > 2000)
		return 0;
	if (!served.server) {
		ssi_register();
		handler_register(&paged);
		served_start(conf);
	}
	ask = asks[data[0] & 1];
	page.p = (const char *)data + 1;
	page.n = n - 1;
	page.piece = data[0] & 2 ? 7 : 4096;
	step = data[0] & 4 ? 100 : sizeof sink;
	served_connect();
	CHECK(served_send(ask, strlen(ask), 4) == strlen(ask));
	for (unsigned turns = 0; (got = served_read(sink, step)) >= 0; turns++) {
		CHECK(turns < 5000000);
		if (!all && got >= 12)
			CHECK(memcmp(sink, "HTTP/1.1 200", 12) == 0);
		all += (size_t)got;
		if (!got)
			served_turns(1);
	}
	CHECK(all > 12 && all < (64u << 20));
	served_close();
	return 0;
}
