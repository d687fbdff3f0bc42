/*
 * indexpage.c - how a listing looks: a plain list, columns in <pre>, or a table (mod_autoindex). Pure of files and connections.
 */
#include "handler/autoindex.h"

#include <string.h>
#include <time.h>

#include "request/core.h"
#include "request/response.h"

/* ------------------------------------------------------------------------------------------------ pieces */

const char *index_size(int64_t size, char *buf)
{
	static const char units[] = "KMGTPE";
	const char *unit = units;
	int64_t rest;
	struct buf b;

	buf_init(&b, buf, 8);
	if (size < 0) {
		buf_puts(&b, "  - ");
		return buf;
	}
	if (size < 973) {
		buf_printf(&b, "%3d ", (int)size);
		return buf;
	}
	for (rest = size & 1023, size >>= 10; size >= 973; rest = size & 1023, size >>= 10)
		unit++;
	if (size < 9 || (size == 9 && rest < 973)) {
		rest = (rest * 5 + 256) / 512;
		if (rest >= 10) {
			size++;
			rest = 0;
		}
		buf_printf(&b, "%d.%d%c", (int)size, (int)rest, *unit);
	} else {
		buf_printf(&b, "%3d%c", (int)(size + (rest >= 512)), *unit);
	}
	return buf;
}

/* But for letters, digits and -._~/ all is written as %XX: no scheme, query, fragment or quote can come of it. */
static void put_escaped(struct buf *b, const char *s)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";

	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_putc(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
	}
}

static void put_spaces(struct buf *b, size_t n)
{
	static const char spaces[] = "                                ";

	for (; n; n -= n < 32 ? n : 32)
		buf_put(b, spaces, n < 32 ? n : 32);
}

/* Bytes of the longest beginning of s with at most `width` characters of UTF-8; *chars of them. */
static size_t fitting(const char *s, size_t width, size_t *chars)
{
	size_t n = 0;

	for (*chars = 0; s[n] && *chars < width; ++*chars)
		for (n++; ((unsigned char)s[n] & 0xc0) == 0x80; n++)
			;
	return n;
}

/* Cut to its width with "..>", the blanks that are missing behind it by the caller. Returns how many columns it takes. */
static size_t put_cut(struct buf *b, const char *name, size_t width)
{
	size_t chars, n = fitting(name, width, &chars);

	if (!name[n]) {
		buf_put_html(b, (struct text){ name, n });
		return chars;
	}
	n = fitting(name, width - 3, &chars);
	buf_put_html(b, (struct text){ name, n });
	buf_puts(b, "..&gt;");
	return width;
}

static const char *shown_name(const struct index_entry *e)
{
	return e->above ? "Parent Directory" : e->name;
}

static void put_date(struct buf *b, const struct index_list *l, time_t t)
{
	char text[32] = "";
	struct tm tm;

	if (t != -1 && localtime_r(&t, &tm))
		strftime(text, sizeof(text), l->options & INDEX_OLD_DATES ? "%d-%b-%Y %H:%M" : "%Y-%m-%d %H:%M", &tm);
	buf_puts(b, text);
	put_spaces(b, (l->options & INDEX_OLD_DATES ? 17u : 16u) - strlen(text));
}

/* A path above the one that is listed. */
static void put_parent(struct buf *b, const struct request *r)
{
	size_t n = strlen(r->path);

	for (n -= n && r->path[n - 1] == '/'; n && r->path[n - 1] != '/'; n--)
		;
	for (size_t i = 0; i < n; i++)
		put_escaped(b, (char[]){ r->path[i], '\0' });
}

static void put_link(struct buf *b, const struct request *r, const struct index_entry *e)
{
	buf_puts(b, "<a href=\"");
	if (e->above)
		put_parent(b, r);
	else
		put_escaped(b, e->name);
	buf_puts(b, "\">");
}

static void put_image(struct buf *b, const struct index_list *l, const char *icon, const char *alt)
{
	const struct index_section *s = l->settings;

	buf_puts(b, "<img src=\"");
	buf_put_html(b, text_of(icon));
	buf_puts(b, "\" alt=\"[");
	buf_put_html(b, text_of(alt));
	buf_puts(b, "]\"");
	if (s->icon_width != CONF_UNSET)
		buf_printf(b, " width=\"%d\"", s->icon_width);
	if (s->icon_height != CONF_UNSET)
		buf_printf(b, " height=\"%d\"", s->icon_height);
	buf_puts(b, l->options & INDEX_XHTML ? " />" : ">");
}

static void put_rule(struct buf *b, const struct index_list *l)
{
	buf_puts(b, l->options & INDEX_XHTML ? "<hr />" : "<hr>");
}

static void put_icon(struct buf *b, const struct request *r, const struct index_list *l, const struct index_entry *e)
{
	bool linked = l->options & INDEX_ICONS_ARE_LINKS;

	if (linked)
		put_link(b, r, e);
	if (e->icon) {
		put_image(b, l, e->icon, e->alt);
	} else {
		buf_puts(b, "[");
		buf_put_html(b, text_of(e->alt));
		buf_puts(b, "]");
	}
	if (linked)
		buf_puts(b, "</a>");
}

/* ------------------------------------------------------------------------------------------------ columns */

static const struct column { char key; const char *title; unsigned hidden; } columns[] = {
	{ 'N', "Name", 0 }, { 'M', "Last modified", INDEX_NO_MODIFIED }, { 'S', "Size", INDEX_NO_SIZE }, { 'D', "Description", INDEX_NO_DESCRIPTION },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* Its title, with a link that sorts by it; by the column that sorts now: the other way round. */
static void put_title(struct buf *b, const struct index_list *l, const struct column *c)
{
	bool down = l->key == c->key && !l->descending;

	if (l->options & (INDEX_NO_SORTING | INDEX_IGNORE_CLIENT)) {
		buf_puts(b, c->title);
		return;
	}
	buf_printf(b, "<a href=\"?C=%c;O=%c", c->key, down ? 'D' : 'A');
	if (l->pattern) {
		buf_puts(b, ";P=");
		put_escaped(b, l->pattern);
	}
	buf_printf(b, "\">%s</a>", c->title);
}

static bool shows(const struct index_list *l, const struct column *c)
{
	return !(l->options & c->hidden);
}

static const char *blank_icon(const struct index_list *l)
{
	for (const struct index_item *i = l->settings->icons; i; i = i->next)
		if (strcmp(i->pattern, "^^BLANKICON^^") == 0)
			return i->value;
	return NULL;
}

static void put_table_titles(struct buf *b, const struct index_list *l)
{
	const char *icon = blank_icon(l);

	buf_puts(b, "<table>\n<tr>");
	if (!(l->options & INDEX_NO_ICON)) {
		buf_puts(b, "<th>");
		if (icon)
			put_image(b, l, icon, "ICO");
		buf_puts(b, "</th>");
	}
	for (size_t i = 0; i < COLUMNS; i++) {
		if (!shows(l, &columns[i]))
			continue;
		buf_puts(b, "<th>");
		put_title(b, l, &columns[i]);
		buf_puts(b, "</th>");
	}
	buf_puts(b, "</tr>\n");
	if (!(l->options & INDEX_NO_RULES)) {
		buf_puts(b, "<tr><th colspan=\"5\">");
		put_rule(b, l);
		buf_puts(b, "</th></tr>\n");
	}
}

static void put_pre_titles(struct buf *b, const struct index_list *l)
{
	const char *icon = blank_icon(l);
	static const unsigned char width[COLUMNS] = { 0, 16, 4, 0 };

	buf_puts(b, "<pre>");
	if (!(l->options & INDEX_NO_ICON)) {
		if (icon)
			put_image(b, l, icon, "ICO");
		else
			buf_puts(b, "     ");
		buf_puts(b, " ");
	}
	for (size_t i = 0; i < COLUMNS; i++) {
		size_t n = strlen(columns[i].title), want = i == 0 ? l->name_width : width[i];

		if (!shows(l, &columns[i]))
			continue;
		if (i)
			buf_puts(b, "  ");
		put_title(b, l, &columns[i]);
		put_spaces(b, want > n ? want - n : 0);
	}
	if (!(l->options & INDEX_NO_RULES))
		put_rule(b, l);
	buf_puts(b, "\n");
}

void index_put_columns(struct buf *b, const struct index_list *l)
{
	if (!(l->options & INDEX_FANCY))
		buf_puts(b, "<ul>\n");
	else if (l->options & INDEX_TABLE)
		put_table_titles(b, l);
	else
		put_pre_titles(b, l);
}

void index_put_columns_end(struct buf *b, const struct index_list *l)
{
	if (l->cut)
		buf_puts(b, l->options & INDEX_TABLE ? "<tr><td colspan=\"5\">There are more entries than are listed.</td></tr>\n" :
			 l->options & INDEX_FANCY ? "There are more entries than are listed.\n" : "<li>There are more entries than are listed.</li>\n");
	if (!(l->options & INDEX_FANCY)) {
		buf_puts(b, "</ul>\n");
		return;
	}
	if (l->options & INDEX_TABLE) {
		if (!(l->options & INDEX_NO_RULES)) {
			buf_puts(b, "<tr><th colspan=\"5\">");
			put_rule(b, l);
			buf_puts(b, "</th></tr>\n");
		}
		buf_puts(b, "</table>\n");
		return;
	}
	if (!(l->options & INDEX_NO_RULES))
		put_rule(b, l);
	buf_puts(b, "</pre>\n");
}

/* ------------------------------------------------------------------------------------------------ rows */

/* Descriptions are HTML of the administrator; one that is cut is cut as text is, so they are sent whole but for a title. */
static void put_description(struct buf *b, const struct index_entry *e)
{
	if (e->description)
		buf_puts(b, e->description);
}

static void put_table_row(struct buf *b, const struct request *r, const struct index_list *l, const struct index_entry *e)
{
	char size[8];

	buf_puts(b, "<tr>");
	if (!(l->options & INDEX_NO_ICON)) {
		buf_puts(b, "<td>");
		put_icon(b, r, l, e);
		buf_puts(b, "</td>");
	}
	buf_puts(b, "<td>");
	put_link(b, r, e);
	put_cut(b, shown_name(e), e->above ? 255 : l->name_width < 5 ? 5 : l->name_width);
	buf_puts(b, "</a></td>");
	if (!(l->options & INDEX_NO_MODIFIED)) {
		buf_puts(b, "<td>");
		put_date(b, l, e->modified);
		buf_puts(b, "</td>");
	}
	if (!(l->options & INDEX_NO_SIZE))
		buf_printf(b, "<td>%s</td>", index_size(e->size, size));
	if (!(l->options & INDEX_NO_DESCRIPTION)) {
		buf_puts(b, "<td>");
		put_description(b, e);
		buf_puts(b, "</td>");
	}
	buf_puts(b, "</tr>\n");
}

static void put_pre_row(struct buf *b, const struct request *r, const struct index_list *l, const struct index_entry *e)
{
	size_t taken, width = l->name_width < 16 && e->above ? 16 : l->name_width;
	char size[8];

	if (!(l->options & INDEX_NO_ICON)) {
		put_icon(b, r, l, e);
		buf_puts(b, " ");
	}
	put_link(b, r, e);
	taken = put_cut(b, shown_name(e), width);
	buf_puts(b, "</a>");
	put_spaces(b, l->name_width > taken ? l->name_width - taken : 0);
	if (!(l->options & INDEX_NO_MODIFIED)) {
		buf_puts(b, "  ");
		put_date(b, l, e->modified);
	}
	if (!(l->options & INDEX_NO_SIZE))
		buf_printf(b, "  %s", index_size(e->size, size));
	if (!(l->options & INDEX_NO_DESCRIPTION) && e->description) {
		buf_puts(b, "  ");
		put_description(b, e);
	}
	buf_puts(b, "\n");
}

void index_put_entry(struct buf *b, const struct request *r, const struct index_list *l, const struct index_entry *e)
{
	if (!(l->options & INDEX_FANCY)) {
		buf_puts(b, "<li>");
		put_link(b, r, e);
		buf_puts(b, " ");
		buf_put_html(b, text_of(shown_name(e)));
		buf_puts(b, "</a></li>\n");
	} else if (l->options & INDEX_TABLE) {
		put_table_row(b, r, l, e);
	} else {
		put_pre_row(b, r, l, e);
	}
}

/* ------------------------------------------------------------------------------------------------ the page */

static void put_style(struct buf *b, const struct index_section *s)
{
	if (!s->style) {
		buf_puts(b, "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em}"
			 "pre,td{font-family:ui-monospace,monospace}th{text-align:left}td,th{padding:0 1em 0 0}img{border:0;vertical-align:middle}"
			 "hr{border:0;border-top:1px solid;opacity:.3}</style>\n");
		return;
	}
	buf_puts(b, "<link rel=\"stylesheet\" href=\"");
	buf_put_html(b, text_of(s->style));
	buf_puts(b, "\">\n");
}

void index_put_head(struct buf *b, struct request *r, const struct index_list *l)
{
	const struct index_section *s = l->settings;
	size_t n = strlen(r->path);
	struct text path = { r->path, n > 1 && r->path[n - 1] == '/' ? n - 1 : n };

	if (l->whole_header)
		return;
	if (path.n > 2048)
		path.n = 2048;          /* of a title */
	buf_puts(b, l->options & INDEX_XHTML ? "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n" : "<!DOCTYPE html>\n<html>\n<head>\n");
	buf_puts(b, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Index of ");
	buf_put_html(b, path);
	buf_puts(b, "</title>\n");
	put_style(b, s);
	if (s->head_insert) {
		buf_puts(b, s->head_insert);
		buf_puts(b, "\n");
	}
	buf_puts(b, "</head>\n<body>\n");
	if (l->header.n)
		return;
	buf_puts(b, "<h1>Index of ");
	buf_put_html(b, path);
	buf_puts(b, "</h1>\n");
}

void index_put_tail(struct buf *b, struct request *r, const struct index_list *l)
{
	if (!l->readme.n)
		response_signature(r, b);
	buf_puts(b, "</body></html>\n");
}
