/*
 * cgihead_fuzz.c - fuzzes server/handler/cgihead.c: the heads that programs and FastCGI servers write. The first byte says whether a status line
 * may stand first. Holds:
 * - the end of a head is found at the same place, whether it comes whole or byte by byte;
 * - names and values that are handed on hold nothing that could end their line; the server's own fields are not among them;
 * - a status is none, or from 200 to 999; what is refused has a reason, and at most 60 bytes of its line.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "handler/cgihead.h"

static void one_line(const char *value)
{
	CHECK(!value || !strpbrk(value, "\r\n"));
}

static void check_fields(const struct cgihead *h)
{
	static const char *const own[] = { "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Keep-Alive", "Status", "Date", "Server", "Upgrade", "Trailer" };

	for (unsigned i = 0; i < h->fields.n; i++) {
		struct text name = h->fields.at[i].name, value = h->fields.at[i].value;

		CHECK(name.n && !memchr(name.p, ':', name.n) && !memchr(name.p, ' ', name.n) && !memchr(name.p, '\n', name.n));
		CHECK(!memchr(value.p, '\r', value.n) && !memchr(value.p, '\n', value.n) && !memchr(value.p, '\0', value.n));
		for (size_t k = 0; k < sizeof own / sizeof own[0]; k++)
			CHECK(!text_is_nocase(name, own[k]));
	}
	one_line(h->reason);
	one_line(h->type);
	one_line(h->encoding);
	one_line(h->location);
	one_line(h->etag);
	one_line(h->range);
	CHECK(h->status == 0 || (h->status >= 200 && h->status <= 999));
	CHECK(h->length >= -1);
}

static size_t end_byte_by_byte(const char *p, size_t n)
{
	for (size_t have = 1; have <= n; have++) {
		size_t end = cgihead_end(p, have, have - 1);

		if (end)
			return end;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct arena *arena;
	struct cgihead h;
	size_t end;
	char *p;

	if (n < 2 || n > CGIHEAD_MOST)
		return 0;
	if (!arena)
		arena = arena_new(65536);
	n--;
	p = malloc(n);                          /* so that a byte behind it is met */
	CHECK(p && arena);
	memcpy(p, data + 1, n);
	end = cgihead_end(p, n, 0);
	CHECK(end <= n && end == end_byte_by_byte(p, n));
	if (end)
		CHECK(p[end - 1] == '\n');
	switch (cgihead_parse(arena, p, end ? end : n, data[0] & 1, &h)) {
	case CGIHEAD_DONE:
		check_fields(&h);
		break;
	case CGIHEAD_BAD:
		CHECK(h.why && h.line && strlen(h.line) <= 60);
		break;
	case CGIHEAD_MORE:
		CHECK(false);
	}
	free(p);
	arena_reset(arena);
	return 0;
}
