/*
 * parse_test.c - server/ssi/parse.c: pages with elements, cut at each place; tags that overlap with themselves; bounds; the parts of an element.
 */
#include "ssi/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;
static char seen[65536];                /* text as it is, elements as [inside], too long ones as [!] */

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return arena ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

/* Whether one was found, so that the scanner is asked again with the same input. */
static bool note(struct buf *b, const struct ssi_scan *s, enum ssi_found found)
{
	if (found == SSI_FOUND) {
		buf_putc(b, '[');
		buf_put(b, s->element, s->n);
		buf_putc(b, ']');
	} else if (found == SSI_TOO_LONG) {
		buf_puts(b, "[!]");
	}
	return found != SSI_NOTHING;
}

/* The page in pieces of one size, into rooms of another. */
static const char *read_page(const char *start, const char *end, const char *page, size_t piece, size_t room)
{
	size_t n = strlen(page);
	struct ssi_scan s;
	struct buf b;
	char out[4096];

	buf_init(&b, seen, sizeof seen);
	assert_int_equal(ssi_scan_init(&s, arena, start, end), 0);
	for (size_t at = 0; at < n; at += piece) {
		struct text in = { page + at, n - at < piece ? n - at : piece };
		bool more;

		do {
			size_t got = 0;
			enum ssi_found found = ssi_scan(&s, &in, out, room, &got);

			assert_true(got <= room);
			buf_put(&b, out, got);
			more = note(&b, &s, found);
		} while (in.n || more);
	}
	size_t got = 0;
	enum ssi_found found = ssi_scan_end(&s, out, SSI_TAG, &got);

	buf_put(&b, out, got);
	note(&b, &s, found);
	buf_putc(&b, '\0');
	assert_false(b.full);
	return seen;
}

static void pages(void **state)
{
	static const struct { const char *start, *end, *page, *seen; } rows[] = {
		{ "<!--#", "-->", "", "" },
		{ "<!--#", "-->", "plain", "plain" },
		{ "<!--#", "-->", "a<!--#echo var=\"x\" -->b", "a[echo var=\"x\" ]b" },
		{ "<!--#", "-->", "<!--#a--><!--#b-->", "[a][b]" },
		{ "<!--#", "-->", "<!-- no --> <!-<!--#a-->", "<!-- no --> <!-[a]" },
		{ "<!--#", "-->", "<<!--<!--#a-->", "<<!--[a]" },
		{ "<!--#", "-->", "ends <!--", "ends <!--" },
		{ "<!--#", "-->", "ends <!--#a", "ends [!]" },
		{ "<!--#", "-->", "<!--#a x=\"-->\" -->", "[a x=\"-->\" ]" },
		{ "<!--#", "-->", "<!--#a x=\"\\\"-->\" -->.", "[a x=\"\\\"-->\" ]." },
		{ "<!--#", "-->", "<!--#a it's -->.", "[a it's ]." },            /* no quote: no = before it */
		{ "<!--#", "-->", "<!--#a x='-->.", "[!]" },
		{ "<!--#", "-->", "<!--#a ----->.", "[a ---]." },
		{ "aab", "aa", "aaab1aa.aa", "a[1].aa" },
		{ "abab", "]", "abaabab1]", "aba[1]" },
		{ "{{", "}}", "{{{a}}}", "[{a]}" },
		{ "<", ">", "<a>b<c>", "[a]b[c]" },
	};
	static const size_t rooms[] = { 64, 65, 4096 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (size_t piece = 1; piece <= strlen(rows[i].page) + 1; piece++)
			for (size_t r = 0; r < sizeof rooms / sizeof rooms[0]; r++) {
				const char *got = read_page(rows[i].start, rows[i].end, rows[i].page, piece, rooms[r]);

				if (strcmp(got, rows[i].seen) != 0)
					fail_msg("\"%s\" in pieces of %zu: %s, not %s", rows[i].page, piece, got, rows[i].seen);
			}
}

static void text_waits_for_room(void **state)
{
	struct text in = TEXT("0123456789");
	struct ssi_scan s;
	char out[10];
	size_t n = 0;

	(void)state;
	assert_int_equal(ssi_scan_init(&s, arena, "<!--#", "-->"), 0);
	assert_int_equal(ssi_scan(&s, &in, out, 4, &n), SSI_FULL);
	assert_int_equal(n, 4);
	assert_int_equal(in.n, 6);
	n = 0;
	assert_int_equal(ssi_scan(&s, &in, out, sizeof out, &n), SSI_NOTHING);
	assert_memory_equal(out, "456789", 6);
}

static void bounds(void **state)
{
	char *page = malloc(3 * SSI_ELEMENT);
	char tag[SSI_TAG + 2];
	struct ssi_scan s;

	(void)state;
	memset(tag, 'x', sizeof tag - 1);
	tag[sizeof tag - 1] = '\0';
	assert_int_equal(ssi_scan_init(&s, arena, tag, "-->"), -1);
	assert_int_equal(ssi_scan_init(&s, arena, "<!--#", tag), -1);
	assert_int_equal(ssi_scan_init(&s, arena, "", "-->"), -1);
	tag[SSI_TAG] = '\0';
	assert_int_equal(ssi_scan_init(&s, arena, tag, tag), 0);
	for (int over = -1; over <= 1; over++) {
		size_t n = (size_t)(SSI_ELEMENT + over);

		memcpy(page, "<!--#", 5);
		memset(page + 5, 'a', n);
		strcpy(page + 5 + n, "-->b");
		read_page("<!--#", "-->", page, 1000, 4096);
		assert_int_equal(strlen(seen), over > 0 ? 4 : n + 3);
		assert_string_equal(seen + strlen(seen) - (over > 0 ? 4 : 3), over > 0 ? "[!]b" : "a]b");
	}
	memset(page + 5, 'a', 2 * SSI_ELEMENT + 1000);
	strcpy(page + 5 + 2 * SSI_ELEMENT + 1000, "-->b<!--#c-->");
	assert_string_equal(read_page("<!--#", "-->", page, 777, 4096), "[!]b[c]");
	free(page);
}

/* "name|attribute=value|attribute", or "!reason". */
static const char *split(const char *text)
{
	static char shown[8192];
	struct ssi_element e;
	const char *why = NULL;
	struct buf b;

	buf_init(&b, shown, sizeof shown);
	if (ssi_split(arena, text, strlen(text), &e, &why) < 0) {
		buf_printf(&b, "!%s", why);
		return shown;
	}
	buf_puts(&b, e.name);
	for (unsigned i = 0; i < e.n; i++)
		buf_printf(&b, "|%s%s%s", e.at[i].name, e.at[i].value ? "=" : "", e.at[i].value ? e.at[i].value : "");
	return shown;
}

static void parts_of_elements(void **state)
{
	static const struct { const char *text, *shown; } rows[] = {
		{ "", "" }, { " \t\r\n", "" }, { "endif", "endif" }, { " ECHO  VAR = \"Big\" ", "echo|var=Big" },
		{ "echo var='a\"b'", "echo|var=a\"b" }, { "echo var=`x y`", "echo|var=x y" }, { "echo var=bare other=1", "echo|var=bare|other=1" },
		{ "echo var=\"a\\\"b\\\\c\\d\"", "echo|var=a\"b\\\\c\\d" }, { "echo var=\"\"", "echo|var=" }, { "echo var", "echo|var" },
		{ "echo var encoding=\"none\"", "echo|var|encoding=none" }, { "echo =\"x\"", "!an attribute has no name" },
		{ "echo var=\"x", "!the value of an attribute has no closing quote" }, { "echo var=\"x\\\"", "!the value of an attribute has no closing quote" },
		{ "echo var=", "echo|var=" },
	};
	struct ssi_element e;
	const char *why = NULL;
	char many[1024] = "x";

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(split(rows[i].text), rows[i].shown) != 0)
			fail_msg("\"%s\": %s, not %s", rows[i].text, split(rows[i].text), rows[i].shown);
	assert_int_equal(ssi_split(arena, "a\0b", 3, &e, &why), -1);
	assert_string_equal(why, "it holds a NUL");
	for (int i = 0; i < SSI_ATTRIBUTES; i++)
		strcat(many, " a");
	assert_int_equal(ssi_split(arena, many, strlen(many), &e, &why), 0);
	assert_int_equal(e.n, SSI_ATTRIBUTES);
	strcat(many, " a");
	assert_int_equal(ssi_split(arena, many, strlen(many), &e, &why), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages), cmocka_unit_test(text_waits_for_room), cmocka_unit_test(bounds), cmocka_unit_test(parts_of_elements),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
