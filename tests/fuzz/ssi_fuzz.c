/*
 * ssi_fuzz.c - fuzzes server/ssi/parse.c and code.c with pages. The first byte chooses tags and the size of pieces. Holds:
 * - the same elements and the same text come out, whether the page comes whole or in pieces;
 * - no more text comes out than went in, and what fits no more is not taken;
 * - an element is within its bounds, its parts lie within a copy of it;
 * - what was encoded is decoded to itself.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "ssi/code.h"
#include "ssi/parse.h"

#define OUT 8192

static struct arena *arena;

struct seen {
	char text[OUT];
	size_t n;
	unsigned found, too_long;
};

static void check_codes(const char *value)
{
	static const char *const lists[] = { "none", "urlencoded", "base64", "entity", "url", "entity,base64,urlencoded" };
	static const char *const backwards[] = { "none", "urlencoded", "base64", "entity", "url", "urlencoded,base64,entity" };

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		char *coded = ssi_encode(arena, lists[i], value), *plain = coded ? ssi_decode(arena, backwards[i], coded) : NULL;

		CHECK(plain && strcmp(plain, value) == 0);
		CHECK(ssi_decode(arena, lists[i], value));
	}
	CHECK(ssi_query_unescaped(arena, value));
}

static void check_element(const struct ssi_scan *s)
{
	struct ssi_element e;
	const char *why = NULL;

	CHECK(s->n <= SSI_ELEMENT);
	if (ssi_split(arena, s->element, s->n, &e, &why) < 0) {
		CHECK(why);
		return;
	}
	CHECK(e.n <= SSI_ATTRIBUTES && strlen(e.name) <= s->n);
	for (unsigned i = 0; i < e.n; i++) {
		CHECK(strlen(e.at[i].name) <= s->n);
		if (e.at[i].value)
			check_codes(e.at[i].value);
	}
}

static void read_page(const char *start, const char *end, const char *p, size_t n, size_t piece, size_t room, struct seen *seen)
{
	struct ssi_scan s;
	enum ssi_found found;

	CHECK(ssi_scan_init(&s, arena, start, end) == 0);
	*seen = (struct seen){ .n = 0 };
	for (size_t at = 0; at < n; at += piece) {
		struct text in = { p + at, n - at < piece ? n - at : piece };

		while (in.n) {
			size_t got = 0;

			found = ssi_scan(&s, &in, seen->text + seen->n, room < OUT - seen->n ? room : OUT - seen->n, &got);
			CHECK(got <= room);
			seen->n += got;
			seen->found += found == SSI_FOUND;
			seen->too_long += found == SSI_TOO_LONG;
			if (found == SSI_FOUND)
				check_element(&s);
			CHECK(found != SSI_FULL || room < OUT);
		}
	}
	size_t rest = 0;

	found = ssi_scan_end(&s, seen->text + seen->n, OUT - seen->n, &rest);
	seen->n += rest;
	seen->too_long += found == SSI_TOO_LONG;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const tags[][2] = { { "<!--#", "-->" }, { "{{", "}}" }, { "aab", "aa" }, { "<", ">" } };
	static struct seen whole, parts;
	const char *p = (const char *)data + 1;

	if (n < 2 || n > 4096)
		return 0;
	if (!arena)
		arena = arena_new(262144);
	unsigned t = data[0] & 3;
	size_t piece = (size_t)(data[0] >> 2) + 1;

	read_page(tags[t][0], tags[t][1], p, n - 1, n, OUT, &whole);
	read_page(tags[t][0], tags[t][1], p, n - 1, piece, SSI_TAG + piece, &parts);
	CHECK(whole.n == parts.n && whole.n <= n && memcmp(whole.text, parts.text, whole.n) == 0);
	CHECK(whole.found == parts.found && whole.too_long == parts.too_long);
	arena_reset(arena);
	return 0;
}
