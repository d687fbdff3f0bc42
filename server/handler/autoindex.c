/*
 * autoindex.c - the handler of listings: collects a folder's entries, sorts them, and sends the page piece by piece as the
 * client takes it. Runs in the children.
 *
 * Each entry is looked up as a request for it would be, so that nothing is listed that may not be had (but for ShowForbidden);
 * the look-ups share a small arena that is emptied after each. At most ENTRIES_MOST entries are listed.
 */
#include "handler/autoindex.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/effort.h"
#include "log/log.h"
#include "request/phases.h"
#include "request/response.h"

#define ENTRIES_MOST 10000
#define AMBLE_MOST (256 * 1024)         /* bytes of a header or readme file */
#define TITLE_MOST 4096                 /* bytes of a page in which its title is looked for */
#define NAME_WIDTH 23                   /* NameWidth's default */

/* What is still to be sent. */
struct sending {
	struct index_list list;
	enum { AT_HEAD, AT_HEADER, AT_COLUMNS, AT_ENTRIES, AT_README, AT_TAIL, AT_END } at;
	unsigned next;                  /* AT_ENTRIES */
	char *piece;                    /* INDEX_PIECE bytes */
	struct text left;               /* of the piece, or of a header */
};

/* ------------------------------------------------------------------------------------------------ items that match */

/* What the patterns of an entry are compared with. */
struct subject {
	const char *path, *name;        /* "^^DIRECTORY^^" for folders */
	const char *type, *coding;
};

/* A coding hides the type, as in Apache: archive.tar.gz is no tar. */
static const struct index_item *item_of(const struct index_item *i, const struct subject *s)
{
	for (; i; i = i->next) {
		const char *with = i->by == INDEX_BY_TYPE ? (s->coding ? NULL : s->type) : i->by == INDEX_BY_CODING ? s->coding :
				   i->whole_path ? s->path : s->name;
		bool nocase = i->by != INDEX_BY_NAME;

		if (with && (strcmp(i->pattern, with) == 0 || wild_match(i->pattern, with, nocase)))
			return i;
	}
	return NULL;
}

static const char *text_for_no_icon(const struct index_entry *e)
{
	return e->above ? "PARENTDIR" : e->folder ? "DIR" : "   ";
}

static void find_icon(const struct index_section *s, const struct subject *by, struct index_entry *e)
{
	struct subject folder = { .path = "^^DIRECTORY^^", .name = "^^DIRECTORY^^" };
	const struct index_item *icon = item_of(s->icons, by), *alt = item_of(s->alts, by);

	if (!icon && e->folder)
		icon = item_of(s->icons, &folder);
	if (!alt && e->folder)
		alt = item_of(s->alts, &folder);
	e->icon = icon ? icon->value : s->default_icon;
	e->alt = alt ? alt->value : icon && icon->alt ? icon->alt : text_for_no_icon(e);
}

/* ------------------------------------------------------------------------------------------------ titles */

/* The text of <title> in the first bytes of a page, its blanks made one; NULL = none. */
static const char *title_in(struct arena *a, char *page, size_t n)
{
	char *from, *to, *out;

	page[n] = '\0';
	from = strcasestr(page, "<title");
	from = from ? strchr(from, '>') : NULL;
	to = from ? strcasestr(from, "</title") : NULL;
	if (!to)
		return NULL;
	out = ++from;
	for (char *p = from; p < to; p++) {
		bool blank = *p == ' ' || (*p >= '\t' && *p <= '\r');
		if (!blank)
			*out++ = *p == '<' || *p == '>' ? ' ' : *p;
		else if (out > from && out[-1] != ' ')
			*out++ = ' ';
	}
	out -= out > from && out[-1] == ' ';
	return arena_strndup(a, from, (size_t)(out - from));
}

static const char *title_of(struct arena *a, const struct request *sub)
{
	char page[TITLE_MOST + 1];
	ssize_t n;

	if (sub->fd < 0 || !sub->type || sub->encoding || (strcmp(sub->type, "text/html") != 0 && strcmp(sub->type, "application/xhtml+xml") != 0))
		return NULL;
	n = pread(sub->fd, page, TITLE_MOST, 0);
	return n > 0 ? title_in(a, page, (size_t)n) : NULL;
}

/* ------------------------------------------------------------------------------------------------ entries */

static bool ignored(const struct index_section *s, const char *name)
{
	for (const char *const *p = s->ignore; p && *p; p++)
		if (wild_match(*p, name, false))
			return true;
	return false;
}

/* Whether a look-up's status lets the entry be listed. 301: a folder without its slash. */
static bool listed(unsigned status, unsigned options)
{
	return status < 400 || (options & INDEX_FORBIDDEN && (status == 401 || status == 403));
}

/* Fills in an entry. 1 = it is to be listed, 0 = not, -1 ENOMEM. `scratch` is as r, with an arena of its own. */
static int look(struct request *r, struct request *scratch, const struct index_list *l, const char *name, struct index_entry *e)
{
	const char *path = arena_printf(scratch->arena, "%s%s", r->path, name);
	const char *file = arena_printf(scratch->arena, "%s%s", r->filename, name);
	const struct index_item *described;
	struct request *sub;
	struct subject by;
	struct stat st;
	unsigned status;

	if (!path || !file)
		return -1;
	sub = phases_lookup(scratch, path, NULL, LOOKUP_QUIET, &status);
	if (!sub || !listed(status, l->options))
		return 0;
	if (sub->found)
		st = sub->st;
	else if (stat(file, &st) != 0)
		return 0;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	e->folder = S_ISDIR(st.st_mode);
	e->size = e->folder ? -1 : st.st_size;
	e->modified = st.st_mtime;
	e->name = arena_printf(r->arena, "%s%s", name, e->folder ? "/" : "");
	by = (struct subject){ .path = file, .name = name };
	if (!e->folder) {
		by.type = sub->type;
		by.coding = sub->encoding;
	}
	find_icon(l->settings, &by, e);
	described = item_of(l->settings->descriptions, &by);
	e->description = described ? described->value : l->options & INDEX_TITLES ? title_of(r->arena, sub) : NULL;
	return e->name ? 1 : -1;
}

static void above(struct request *r, struct index_list *l)
{
	struct index_entry *e = &l->at[l->n];
	struct subject by = { .path = r->filename, .name = ".." };

	if (strcmp(r->path, "/") == 0 || ignored(l->settings, ".."))
		return;
	*e = (struct index_entry){ .name = "../", .folder = true, .above = true, .size = -1, .modified = -1 };
	find_icon(l->settings, &by, e);
	l->n++;
}

/* 0, or -1 (ENOMEM). */
static int collect(struct request *r, DIR *d, struct index_list *l, struct arena *small)
{
	unsigned room = 64;
	struct dirent *file;

	if (!(l->at = arena_array(r->arena, room, sizeof(*l->at))))
		return -1;
	above(r, l);
	while ((file = readdir(d))) {
		struct request scratch = *r;
		int rc;

		l->cut |= effort_spent();
		if (l->cut)
			break;
		if (strcmp(file->d_name, ".") == 0 || strcmp(file->d_name, "..") == 0 || ignored(l->settings, file->d_name) ||
		    (l->pattern && !wild_match(l->pattern, file->d_name, false)))
			continue;
		if (l->n >= ENTRIES_MOST) {
			l->cut = true;
			break;
		}
		if (l->n == room) {
			struct index_entry *more = arena_array(r->arena, room *= 2, sizeof(*more));
			if (!more)
				return -1;
			memcpy(more, l->at, l->n * sizeof(*more));
			l->at = more;
		}
		l->at[l->n] = (struct index_entry){ .name = NULL };
		scratch.arena = small;
		scratch.activity = NULL;
		rc = look(r, &scratch, l, file->d_name, &l->at[l->n]);
		arena_reset(small);
		if (rc < 0)
			return -1;
		l->n += (unsigned)rc;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ order */

static int by_number(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_name(const struct index_entry *a, const struct index_entry *b, unsigned options)
{
	int rc = 0;

	if (options & INDEX_VERSIONS && options & INDEX_IGNORE_CASE) {
		char x[NAME_MAX + 2], y[NAME_MAX + 2];
		size_t i = 0, k = 0;

		for (; a->name[i] && i < sizeof(x) - 1; i++)
			x[i] = (char)ascii_lower((unsigned char)a->name[i]);
		for (; b->name[k] && k < sizeof(y) - 1; k++)
			y[k] = (char)ascii_lower((unsigned char)b->name[k]);
		x[i] = y[k] = '\0';
		rc = strverscmp(x, y);
	} else if (options & INDEX_IGNORE_CASE) {
		rc = strcasecmp(a->name, b->name);
	}
	if (rc)
		return rc;
	return options & INDEX_VERSIONS ? strverscmp(a->name, b->name) : strcmp(a->name, b->name);
}

static int compare(const void *one, const void *two, void *list)
{
	const struct index_entry *a = one, *b = two;
	const struct index_list *l = list;
	int rc = 0;

	if (a->above != b->above)
		return a->above ? -1 : 1;
	if (l->options & INDEX_FOLDERS_FIRST && a->folder != b->folder)
		return a->folder ? -1 : 1;
	if (l->descending) {
		a = two;
		b = one;
	}
	if (l->key == 'M')
		rc = by_number(a->modified, b->modified);
	else if (l->key == 'S')
		rc = by_number(a->size, b->size);
	else if (l->key == 'D')
		rc = strcmp(a->description ? a->description : "", b->description ? b->description : "");
	return rc ? rc : by_name(a, b, l->options);
}

/* ------------------------------------------------------------------------------------------------ what the client asks for */

/* %XX and '+' of a query; NULL: a bad escape, a NUL, or no memory. */
static const char *unescaped(struct arena *a, struct text t)
{
	char *out = arena_alloc(a, t.n + 1), *to = out;

	for (size_t i = 0; out && i < t.n; i++) {
		uint64_t byte = (unsigned char)(t.p[i] == '+' ? ' ' : t.p[i]);

		if (t.p[i] == '%') {
			if (t.n - i < 3 || text_hex64((struct text){ t.p + i + 1, 2 }, 255, &byte) != 0)
				return NULL;
			i += 2;
		}
		if (!byte)
			return NULL;
		*to++ = (char)byte;
	}
	if (out)
		*to = '\0';
	return out;
}

/* One "X=value" of the query. False: it is none, and the rest does not count, as in Apache. */
static bool take_word(struct request *r, struct index_list *l, struct text word)
{
	char value = word.n == 3 ? word.p[2] : '\0';

	if (word.n < 2 || word.p[1] != '=')
		return false;
	switch (word.p[0]) {
	case 'C':
		if (value && strchr("NMSD", value))
			l->key = value;
		return value && strchr("NMSD", value);
	case 'O':
		if (value == 'A' || value == 'D')
			l->descending = value == 'D';
		return value == 'A' || value == 'D';
	case 'F':
		l->options = (l->options & ~(unsigned)(INDEX_FANCY | INDEX_TABLE)) | (value == '1' ? INDEX_FANCY : value == '2' ? INDEX_FANCY | INDEX_TABLE : 0);
		return value >= '0' && value <= '2';
	case 'V':
		l->options = value == '1' ? l->options | INDEX_VERSIONS : l->options & ~(unsigned)INDEX_VERSIONS;
		return value == '0' || value == '1';
	case 'P':
		if (word.n > 2 + 3 * NAME_MAX)  /* longer than any name could be */
			return false;
		l->pattern = unescaped(r->arena, (struct text){ word.p + 2, word.n - 2 });
		return l->pattern != NULL;
	default:
		return false;
	}
}

static void take_query(struct request *r, struct index_list *l)
{
	const char *p = r->query;

	if (!p || l->options & INDEX_IGNORE_CLIENT)
		return;
	while (*p) {
		size_t n = strcspn(p, "&;");

		if (!take_word(r, l, (struct text){ p, n }))
			return;
		p += n + (p[n] != '\0');
	}
}

/* ------------------------------------------------------------------------------------------------ header and readme */

/* A file of text shown above or below: HTML as it is, other text in a <pre>. Absent: there is none, or it may not be had. */
static struct text amble(struct request *r, const char *name)
{
	struct text none = { NULL, 0 };
	const char *path = *name == '/' ? name : arena_printf(r->arena, "%s%s", r->path, name);
	unsigned status;
	struct request *sub = path ? phases_lookup(r, path, NULL, LOOKUP_QUIET, &status) : NULL;
	size_t room;
	char *text, *page;
	ssize_t n;
	struct buf b;

	if (!sub || status != 0 || sub->fd < 0 || !sub->type || strncmp(sub->type, "text/", 5) != 0 || !(text = arena_alloc(r->arena, AMBLE_MOST)))
		return none;
	n = pread(sub->fd, text, AMBLE_MOST, 0);
	request_close(sub);
	if (n <= 0)
		return none;
	if (strncmp(sub->type, "text/html", 9) == 0)
		return (struct text){ text, (size_t)n };
	room = (size_t)n * 6 + 32;
	if (!(page = arena_alloc(r->arena, room)))
		return none;
	buf_init(&b, page, room);
	buf_puts(&b, "<pre>\n");
	buf_put_html(&b, (struct text){ text, (size_t)n });
	buf_puts(&b, "</pre>\n");
	return (struct text){ page, b.n };
}

/* ------------------------------------------------------------------------------------------------ sending */

/* The next part into s->left. False: all is sent. */
static bool next_piece(struct request *r, struct sending *s)
{
	const struct index_list *l = &s->list;
	struct buf b;

	buf_init(&b, s->piece, INDEX_PIECE);
	switch (s->at) {
	case AT_HEAD:
		index_put_head(&b, r, l);
		s->at = AT_HEADER;
		break;
	case AT_HEADER:
		s->left = l->header;
		s->at = AT_COLUMNS;
		return true;
	case AT_COLUMNS:
		index_put_columns(&b, l);
		s->at = AT_ENTRIES;
		break;
	case AT_ENTRIES:
		while (s->next < l->n && b.n < INDEX_PIECE / 4)
			index_put_entry(&b, r, l, &l->at[s->next++]);
		if (s->next < l->n)
			break;
		index_put_columns_end(&b, l);
		s->at = AT_README;
		break;
	case AT_README:
		s->left = l->readme;
		s->at = AT_TAIL;
		return true;
	case AT_TAIL:
		index_put_tail(&b, r, l);
		s->at = AT_END;
		break;
	case AT_END:
		return false;
	}
	s->left = (struct text){ s->piece, b.n };
	return true;
}

static void writable(struct request *r)
{
	struct sending *s = r->handler_data;

	for (;;) {
		while (s->left.n) {
			ssize_t n = stream_write(r->stream, &(struct iovec){ (void *)(uintptr_t)s->left.p, s->left.n }, 1);

			if (n < 0)
				return;
			s->left.p += n;
			s->left.n -= (size_t)n;
			if (s->left.n)
				return;         /* called again when there is room */
		}
		if (!next_piece(r, s)) {
			stream_end(r->stream);
			return;
		}
	}
}

static unsigned widest_name(const struct index_list *l)
{
	size_t most = NAME_WIDTH;

	for (unsigned i = 0; i < l->n; i++)
		if (strlen(l->at[i].name) > most)
			most = strlen(l->at[i].name);
	return (unsigned)most;
}

static void settle_widths(struct index_list *l)
{
	const struct index_section *s = l->settings;
	unsigned rest = 23;             /* of 80 columns, as Apache counts */

	if (l->options & INDEX_NO_SIZE)
		rest += 7;
	if (l->options & INDEX_NO_MODIFIED)
		rest += 19;
	l->name_width = s->name_width == INDEX_WIDTH_ALL ? widest_name(l) : s->name_width == CONF_UNSET ? NAME_WIDTH : (unsigned)s->name_width;
	l->description_width = s->description_width == INDEX_WIDTH_ALL ? UINT32_MAX : s->description_width == CONF_UNSET ? rest : (unsigned)s->description_width;
}

/* The entries, sorted. A status, or 0. */
static unsigned read_folder(struct request *r, struct index_list *l)
{
	DIR *d = opendir(r->filename);
	struct arena *small;
	int rc;

	if (!d) {
		int why = errno;

		log_error(&r->client->about, LOG_DIR, "BH0430", "%s cannot be listed", r->filename);
		return why == ENOMEM || why == EMFILE || why == ENFILE ? 503 : 403;
	}
	small = arena_new(0);
	rc = small ? collect(r, d, l, small) : -1;
	closedir(d);
	if (small)
		arena_free(small);
	if (rc < 0)
		return 503;
	qsort_r(l->at, l->n, sizeof(*l->at), compare, l);
	return 0;
}

static const char *content_type(struct request *r, const struct index_section *s)
{
	return arena_printf(r->arena, "%s;charset=%s", s->type ? s->type : "text/html", s->charset ? s->charset : "UTF-8");
}

static unsigned prepare(struct request *r, struct sending *s)
{
	struct index_list *l = &s->list;
	unsigned status;

	l->settings = request_config(r, &autoindex_module);
	l->options = index_options(l->settings);
	l->key = l->settings->sort_key ? l->settings->sort_key : 'N';
	l->descending = l->settings->descending == 1;
	take_query(r, l);
	if (l->options & INDEX_TABLE)
		l->options |= INDEX_FANCY;
	if ((status = read_folder(r, l)) != 0)
		return status;
	settle_widths(l);
	if (l->settings->header) {
		l->header = amble(r, l->settings->header);
		l->whole_header = l->header.n && l->options & INDEX_NO_PREAMBLE;
	}
	if (l->settings->readme)
		l->readme = amble(r, l->settings->readme);
	r->type = content_type(r, l->settings);
	if (l->options & INDEX_TRACK) {
		r->modified = r->st.st_mtime;
		r->etag = arena_printf(r->arena, "\"%llx\"", (unsigned long long)r->st.st_mtime);
	}
	return s->piece && r->type ? 0 : 503;
}

static void start(struct request *r)
{
	struct sending *s;
	unsigned status;

	if (r->method_id != HTTP_GET && r->method_id != HTTP_HEAD) {
		response_error(r, 405);
		return;
	}
	s = arena_zalloc(r->arena, sizeof(*s));
	if (s)
		s->piece = arena_alloc(r->arena, INDEX_PIECE);
	status = s ? prepare(r, s) : 503;
	if (status) {
		response_error(r, status);
		return;
	}
	r->handler_data = s;
	if (response_start(r) != 0)
		return;
	if (r->no_body)
		s->at = AT_END;
	writable(r);
}

const struct handler autoindex_handler = { .name = "httpd/unix-directory", .start = start, .writable = writable };
