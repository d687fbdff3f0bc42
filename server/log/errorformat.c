/*
 * errorformat.c - ErrorLogFormat strings: compiled in the master, rendered in every process that logs.
 *
 * A string is a row of fields, divided by blanks. A field in which an item has no value is left out with all its text, unless
 * the item is written with '-' (a minus stands for it) or '+' (then the whole line is left out). The message is never left out.
 */
#include "log/errorformat.h"

#include <ctype.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum missing { FIELD_GOES, HYPHEN, LINE_GOES };

struct piece {
	char code;                      /* 0: the text, or only the division */
	bool divides;                   /* a field begins here */
	enum missing missing;
	int least;                      /* the item is for messages of this level and less grave ones; -1 = all */
	const char *text;               /* literal text, or the item's argument */
	struct piece *next;
};
struct log_errorformat {
	struct piece *first;
	struct log_errorformat *next;
};

/* What an item stands for; those without a function are asked of whoever knows the request. */
typedef bool writer(const struct log_event *ev, const char *arg, struct buf *b);
static writer put_code, put_where, put_level, put_subject, put_pid, put_tid, put_time, put_host, put_client, put_text;
static const struct item {
	char code;
	bool named;                     /* needs an argument */
	writer *write;
} items[] = {
	{ 'a', false, put_client }, { 'A', false, NULL }, { 'e', true, NULL }, { 'E', false, put_code }, { 'F', false, put_where },
	{ 'i', true, NULL }, { 'k', false, NULL }, { 'l', false, put_level }, { 'L', false, NULL }, { 'm', false, put_subject },
	{ 'M', false, put_text }, { 'n', true, NULL }, { 'P', false, put_pid }, { 'T', false, put_tid }, { 't', false, put_time },
	{ 'v', false, put_host }, { 'V', false, NULL },
};

static const struct item *find(char code)
{
	for (size_t i = 0; i < sizeof items / sizeof *items; i++)
		if (items[i].code == code)
			return &items[i];
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ compiling */

/* '-', '+', a level and {argument} before the letter, which is left at the result. NULL after err_set. */
static const char *parse_modifiers(struct arena *a, struct piece *p, const char *s, struct err *e)
{
	for (;;) {
		if (*s == '-' || *s == '+') {
			p->missing = *s++ == '-' ? HYPHEN : LINE_GOES;
		} else if (isdigit((unsigned char)*s)) {
			for (p->least = 0; isdigit((unsigned char)*s) && p->least < 100; s++)
				p->least = p->least * 10 + (*s - '0');
		} else if (*s == '{') {
			const char *end = strchr(s, '}');

			if (!end) {
				err_set(e, "\"%%%s\" has a '{' without its '}'", s);
				return NULL;
			}
			p->text = arena_strndup(a, s + 1, (size_t)(end - s - 1));
			if (!p->text) {
				err_set(e, "out of memory");
				return NULL;
			}
			s = end + 1;
		} else {
			return s;
		}
	}
}

/* What follows a '%'. Returns the end, NULL after err_set. */
static const char *parse_item(struct arena *a, struct piece *p, const char *s, struct err *e)
{
	const struct item *item;

	if (*s == '%' || *s == ' ') {
		p->divides = *s == ' ';
		p->text = *s == '%' ? "%" : "";
		return s + 1;
	}
	s = parse_modifiers(a, p, s, e);
	if (!s)
		return NULL;
	item = find(*s);
	if (!*s || !item) {
		if (*s)
			err_set(e, "\"%%%c\" is no item of a message", *s);
		else
			err_set(e, "the format ends behind a '%%'");
		err_remedy(e, "the items are a A {name}e E F {name}i k l L m M {name}n P T t v V; a percent sign is written %%%%");
		return NULL;
	}
	if (item->named && (!p->text || !*p->text)) {
		err_set(e, "\"%%%c\" needs a name in braces, as in %%{%s}%c", *s, *s == 'i' ? "Referer" : "name", *s);
		return NULL;
	}
	p->code = *s;
	return s + 1;
}

/* Text up to the next item or division; a blank at its begin is a division, one behind a backslash none. */
static const char *parse_text(struct arena *a, struct piece *p, const char *s, struct err *e)
{
	char *o = arena_alloc(a, strlen(s) + 1);

	if (!o) {
		err_set(e, "out of memory");
		return NULL;
	}
	p->text = o;
	p->divides = *s == ' ';
	if (p->divides)
		*o++ = *s++;
	while (*s && *s != '%' && *s != ' ') {
		if (*s != '\\' || !s[1]) {
			*o++ = *s++;
			continue;
		}
		switch (s[1]) {
		case 't': *o++ = '\t'; break;
		case 'n': case 'r': *o++ = ' '; break;  /* a message is one line */
		case ' ': case '\\': *o++ = s[1]; break;
		default: *o++ = '\\'; *o++ = s[1];
		}
		s += 2;
	}
	*o = '\0';
	return s;
}

struct log_errorformat *log_errorformat_new(struct arena *a, const char *text, struct err *e)
{
	struct log_errorformat *f = arena_zalloc(a, sizeof *f);
	struct piece **link = f ? &f->first : NULL;

	for (const char *s = text; f && s && *s;) {
		struct piece *p = arena_zalloc(a, sizeof *p);

		if (!p) {
			f = NULL;
			break;
		}
		p->least = -1;
		s = *s == '%' ? parse_item(a, p, s + 1, e) : parse_text(a, p, s, e);
		if (!s)
			return NULL;
		*link = p;
		link = &p->next;
	}
	if (!f)
		err_set(e, "out of memory");
	return f;
}

bool log_errorformat_tells(const struct log_errorformat *f)
{
	for (const struct piece *p = f->first; p; p = p->next)
		if (p->code == 'M')
			return true;
	return false;
}

void log_errorformat_append(const struct log_errorformat **row, struct log_errorformat *f)
{
	struct log_errorformat *last = (struct log_errorformat *)(uintptr_t)*row;

	while (last && last->next)
		last = last->next;
	if (last)
		last->next = f;
	else
		*row = f;
}

const struct log_errorformat *log_errorformat_next(const struct log_errorformat *f)
{
	return f->next;
}

/* ------------------------------------------------------------------------------------------------ values */

const char *log_errno_words(int errnum)
{
	const char *words = strerrordesc_np(errnum);

	return words ? words : "Unknown error";
}

/* One line whatever the message holds: control bytes (a client may have sent them) are shown, not obeyed. */
void log_put_message(struct buf *b, const struct log_event *ev)
{
	if (ev->id)
		buf_printf(b, "%s: ", ev->id);
	for (const char *p = ev->message; p && *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c >= 0x20 && c != 0x7f)
			buf_putc(b, *p);
		else if (c == '\n' || c == '\t')
			buf_puts(b, c == '\n' ? "\\n" : "\\t");
		else
			buf_printf(b, "\\x%02x", c);
	}
}

static bool has(const char *arg, char c)
{
	return arg && strchr(arg, c);
}

#define WRITER(name) static bool name(const struct log_event *ev, const char *arg __attribute__((unused)), struct buf *b)

WRITER(put_code)
{
	if (ev->errnum)
		buf_printf(b, "(%d)%s", ev->errnum, log_errno_words(ev->errnum));
	return ev->errnum != 0;
}

WRITER(put_where)
{
	const char *slash = ev->where ? strrchr(ev->where, '/') : NULL;

	if (ev->where && ev->message)
		buf_puts(b, slash ? slash + 1 : ev->where);
	return ev->where && ev->message;
}

WRITER(put_level)
{
	if (ev->message)
		buf_puts(b, log_level_name(ev->level));
	return ev->message != NULL;
}

WRITER(put_subject)
{
	if (ev->message)
		buf_puts(b, ev->subject);
	return ev->message != NULL;
}

WRITER(put_pid)
{
	(void)ev;
	buf_printf(b, "%d", (int)getpid());
	return true;
}

WRITER(put_tid)
{
	(void)ev;
	buf_printf(b, "%ld", syscall(SYS_gettid));
	return true;
}

/* As ctime; {u} with microseconds; {c} as ISO 8601 writes it. */
WRITER(put_time)
{
	struct timespec now;
	struct tm tm;
	char day[40];

	(void)ev;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!localtime_r(&now.tv_sec, &tm))
		return false;
	strftime(day, sizeof day, has(arg, 'c') ? "%Y-%m-%d %H:%M:%S" : "%a %b %d %H:%M:%S", &tm);
	buf_puts(b, day);
	if (has(arg, 'u'))
		buf_printf(b, ".%06ld", now.tv_nsec / 1000);
	if (!has(arg, 'c'))
		buf_printf(b, " %d", tm.tm_year + 1900);
	return true;
}

WRITER(put_host)
{
	if (ev->host)
		buf_puts(b, ev->host);
	return ev->host != NULL;
}

/* What a client may have sent is escaped; a message has been. */
static bool asked(const struct log_event *ev, char code, const char *arg, struct buf *out)
{
	char raw[4096];
	struct buf b;

	buf_init(&b, raw, sizeof raw);
	if (!ev->about || !ev->about->ops || !ev->about->ops->value(ev->about, code, arg, &b) || !b.n)
		return false;
	buf_put_log(out, (struct text){ raw, b.n });
	return true;
}

WRITER(put_client)
{
	char text[ADDR_TEXT];

	if (has(arg, 'c'))
		return asked(ev, 'a', arg, b);
	if (!ev->about || !ev->about->peer || !ev->about->peer->len)
		return false;
	buf_puts(b, addr_text(ev->about->peer, text));
	return true;
}

WRITER(put_text)
{
	log_put_message(b, ev);
	return ev->message != NULL;
}

static bool put_item(const struct piece *p, const struct log_event *ev, struct buf *out)
{
	const struct item *item = find(p->code);

	return item->write ? item->write(ev, p->text, out) : asked(ev, p->code, p->text, out);
}

/* Whether the item is for messages of this level; lines about connections and requests have none. */
static bool for_level(const struct piece *p, const struct log_event *ev)
{
	return !ev->message || p->least <= (int)ev->level;
}

bool log_errorformat_render(const struct log_errorformat *f, const struct log_event *ev, struct buf *out)
{
	size_t field = out->n, begin = out->n;
	bool leaving_out = false;

	for (const struct piece *p = f->first; p; p = p->next) {
		if (p->divides) {
			leaving_out = false;
			field = out->n;
		}
		if (p->code == 'M') {
			put_item(p, ev, out);
		} else if (leaving_out) {
			continue;
		} else if (!p->code) {
			buf_puts(out, p->text);
		} else if (for_level(p, ev) && put_item(p, ev, out)) {
			continue;
		} else if (for_level(p, ev) && p->missing == LINE_GOES) {
			out->n = begin;
			out->p[begin] = '\0';
			return false;
		} else if (for_level(p, ev) && p->missing == HYPHEN) {
			buf_putc(out, '-');
		} else {
			out->n = field;
			out->p[field] = '\0';
			leaving_out = true;
		}
	}
	return out->n > begin;
}
