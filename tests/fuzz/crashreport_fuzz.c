/*
 * crashreport_fuzz.c - fuzzes crashdump/readreport.c, with a report's bytes. Holds:
 * - every key and value is printable ASCII; keys have their form; what is parsed in parts lies inside its room;
 * - a report is complete only if its last line says so.
 */
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "crashdump/readreport.h"

static bool printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static void check_frame(const char *value)
{
	struct readreport_frame f;
	const char *const parts[] = { f.room, f.room + sizeof f.room };

	if (!readreport_frame(value, &f))
		return;
	CHECK(!*f.module || (f.module >= parts[0] && f.module < parts[1]));
	CHECK(!*f.function || (f.function >= parts[0] && f.function < parts[1]));
	CHECK(!*f.file || (f.file >= parts[0] && f.file + strlen(f.file) < parts[1]));
	CHECK(!*f.build_id || (f.build_id >= parts[0] && f.build_id < parts[1]));
	CHECK(f.trust >= parts[0] && f.trust + strlen(f.trust) < parts[1]);
}

static void check_pairs(const char *value)
{
	struct readreport_pair p;
	const char *at = value, *before = value;
	char word[32];

	while (readreport_next(&at, &p)) {
		CHECK(at > before && printable(p.name) && (!p.value || printable(p.value)));
		before = at;
	}
	readreport_word(value, "pid", word, sizeof word);
	CHECK(strlen(word) < sizeof word && printable(word));
}

/* Its last line, but for empty ones. */
static bool says_complete(const uint8_t *data, size_t n)
{
	while (n > 1 && data[n - 1] == '\n' && data[n - 2] == '\n')
		n--;
	return n >= 14 && !memcmp(data + n - 14, "end: complete\n", 14);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct readreport r;
	struct readreport_frame f;
	struct readreport_event e;
	struct readreport_file file;
	char *name = malloc(n + 1);

	if (readreport_parse((const char *)data, n, &r) == 0) {
		CHECK(r.lines > 0 && !strcmp(r.line[0].key, "crash-report"));
		if (r.state == READREPORT_COMPLETE)
			CHECK(says_complete(data, n));
		for (size_t i = 0; i < r.lines; i++) {
			CHECK(*r.line[i].key && printable(r.line[i].key) && !strchr(r.line[i].key, ' '));
			CHECK(printable(r.line[i].value));
			check_frame(r.line[i].value);
			check_pairs(r.line[i].value);
			if (readreport_event(r.line[i].value, &e))
				CHECK(strlen(e.what) < sizeof e.what);
		}
		readreport_where(&r, &f);
		readreport_time(&r);
	}
	readreport_free(&r);
	memcpy(name, data, n);
	name[n] = '\0';
	if (readreport_is_name(name, &file))
		CHECK(!strcmp(file.name, name) && printable(name) && !strchr(name, '/') && file.pid >= 0);
	free(name);
	return 0;
}
