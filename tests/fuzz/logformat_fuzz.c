/*
 * logformat_fuzz.c - fuzzes server/log/format.c and server/log/errorformat.c: a line of the format, then what a client sent. Holds:
 * - what was compiled is rendered, as one line, whatever the values hold: their control bytes and quotes never stand in it;
 * - a format that is refused says why; a message is never left out of a line that is written.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "log/errorformat.h"
#include "log/format.h"

static struct text sent;

static bool item_value(void *ctx, const struct log_item *item, struct buf *b)
{
	(void)ctx;
	if (item->code == 'l')
		return false;
	buf_put(b, sent.p, sent.n);
	return true;
}

static bool about_value(const struct log_about *about, char code, const char *arg, struct buf *b)
{
	(void)about, (void)arg;
	if (code == 'n')
		return false;
	buf_put(b, sent.p, sent.n);
	return true;
}

static unsigned logged(const struct log_about *about)
{
	(void)about;
	return 0;
}

static void check_line(const char *line, size_t n)
{
	for (size_t i = 0; i < n; i++)
		CHECK((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
}

static void access_line(struct arena *a, const char *format, bool plain)
{
	static char line[1 << 20];
	struct log_values v = { .value = item_value, .status = 200 };
	struct err e = { .text = "" };
	struct log_format *f = log_format_new(a, format, &e);
	struct buf b;

	CHECK((f != NULL) == (e.text[0] == '\0'));
	if (!f)
		return;
	buf_init(&b, line, sizeof line);
	log_format_render(f, &v, &b);
	CHECK(b.full || (b.n && line[b.n - 1] == '\n'));
	if (plain)
		check_line(line, b.n - 1);
}

static void message_line(struct arena *a, const char *format, bool plain)
{
	static const struct log_about_ops ops = { .logged = logged, .value = about_value };
	char line[8192];
	struct log_about about = { .ops = &ops };
	struct log_event ev = { .about = &about, .subject = "core", .level = LOG_L_ERROR, .message = "what\nhappened", .where = "x/y.c(1)" };
	struct err e = { .text = "" };
	struct log_errorformat *f = log_errorformat_new(a, format, &e);
	struct buf b;

	CHECK((f != NULL) == (e.text[0] == '\0'));
	if (!f)
		return;
	buf_init(&b, line, sizeof line);
	log_errorformat_render(f, &ev, &b);
	CHECK(b.n < sizeof line && line[b.n] == '\0');
	if (plain)
		check_line(line, b.n);
}

/* The administrator's own text may hold anything: then only the values are judged. */
static bool is_plain(const char *format)
{
	for (const char *p = format; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\')
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *end = n ? memchr(data, '\n', n) : NULL;
	size_t cut = end ? (size_t)(end - data) : n;
	struct arena *a;
	char *format;

	if (n > 4096)
		return 0;
	a = arena_new(0);
	format = arena_strndup(a, (const char *)data, cut);
	sent = (struct text){ (const char *)data + (end ? cut + 1 : cut), end ? n - cut - 1 : 0 };
	access_line(a, format, is_plain(format) && !strstr(format, "}t"));
	message_line(a, format, is_plain(format));
	arena_free(a);
	return 0;
}
