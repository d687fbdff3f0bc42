/*
 * fields_fuzz.c - fuzzes server/http/fields.c (lists) and server/http/condition.c (entity tags, dates). The input is the
 * value of a field. Holds:
 * - members of a list come in order, lie inside the value, are neither empty nor have blanks around them;
 * - a tag that is listed strongly is listed weakly too; a date that is read is written and read again the same.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "http/condition.h"
#include "http/fields.h"

static struct arena *arena;

static void check_list(struct text value)
{
	struct text rest = value, member;
	const char *behind = value.p;

	while (fields_list_next(&rest, &member)) {
		CHECK(member.n && member.p >= behind && member.p + member.n <= value.p + value.n);
		CHECK(text_eq(member, text_trim(member)));
		behind = member.p + member.n;
		CHECK(rest.p >= behind);
	}
	CHECK(rest.n == 0);
}

static void check_date(struct text value)
{
	char written[HTTP_DATE];
	time_t t, again;

	if (http_date_parse(value, &t) != 0)
		return;
	CHECK(t >= -62167219200LL && t <= 253402300800LL);
	http_date(t, written);
	CHECK(strlen(written) == HTTP_DATE - 1 && http_date_parse(text_of(written), &again) == 0);
	CHECK(t < 0 || t == 253402300800LL || again == t);
}

static void check_set(struct text value)
{
	struct validators v = { .etag = TEXT("\"tag\""), .modified = 784111777, .exists = true };
	struct fields f;
	struct text combined;
	unsigned status;

	fields_init(&f, arena);
	fields_add(&f, TEXT("If-None-Match"), value);
	fields_add(&f, TEXT("if-none-match"), TEXT("\"other\""));
	fields_add(&f, TEXT("If-Modified-Since"), value);
	combined = fields_combined(&f, "If-None-Match");
	CHECK(combined.n == value.n + 2 + strlen("\"other\""));
	CHECK(fields_has_token(&f, "IF-NONE-MATCH", "\"other\"") || memchr(value.p, '"', value.n));
	status = condition_check(&f, HTTP_GET, &v, 2000000000);
	CHECK(status == 0 || status == 304);
	CHECK(!etag_listed(value, TEXT("\"tag\""), false) || etag_listed(value, TEXT("\"tag\""), true));
	CHECK(etag_listed(value, TEXT("\"tag\""), true) == etag_listed(value, TEXT("W/\"tag\""), true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct text value = { (const char *)data, n };

	if (!arena)
		arena = arena_new(65536);
	check_list(value);
	check_date(value);
	if (n)
		check_set(value);
	arena_reset(arena);
	return 0;
}
