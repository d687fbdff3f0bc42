/*
 * map.c - RewriteMap: tables that rules look words up in. Declared in the master; read in the children, as their user,
 * when a rule asks first and again when the file has become another.
 *
 * A text is read whole into a table; a database (gdbm) is opened for each question, and keeps nothing. Both are bounded:
 * a text that is larger than TEXT_LIMIT is not read, and said so. A program is asked through the spawner: mapprogram.c.
 */
#include "rewrite/rule.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef BULKHEAD_GDBM
#include <gdbm.h>
#endif

#include "http/uri.h"
#include "log/log.h"
#include "request/sections.h"

#define TEXT_LIMIT ((off_t)16 << 20)    /* bytes */
#define KEY_LIMIT 8192                  /* bytes of a key of a database */

struct entry { uint32_t key, value; uint16_t key_length, value_length; };       /* offsets in text; a key_length of 0 is a free place */

/* What the process holds of a text: made anew when the file is another one. */
struct rewrite_mapped {
	struct stat st;                         /* of the file that was read */
	bool told;                              /* that it cannot be read: once, until it can */
	char *text;
	struct entry *at;                       /* NULL: it was never read */
	size_t size, n;                         /* places (a power of two), words */
};

/* ---------------------------------------------------------------------------------------------- declaring */

static const struct { const char *word; enum rewrite_map_kind kind; } functions[] = {
	{ "tolower", REWRITE_MAP_LOWER }, { "toupper", REWRITE_MAP_UPPER }, { "escape", REWRITE_MAP_ESCAPE }, { "unescape", REWRITE_MAP_UNESCAPE },
};

static int set_function(struct conf_call *call, struct rewrite_map *m, const char *name)
{
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (strcmp(name, functions[i].word) == 0) {
			m->kind = functions[i].kind;
			return 0;
		}
	return conf_fail(call, "use tolower, toupper, escape or unescape", "there is no internal map \"%s\"", name);
}

static void forget(void *mapped);

static int set_file(struct conf_call *call, struct rewrite_map *m, const char *path)
{
	struct stat st;

	m->file = conf_path(call->env, path);
	if (stat(m->file, &st) != 0)
		return conf_fail(call, "create the file, or name another", "the map %s cannot be had: %s", m->file, strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return conf_fail(call, "name a file", "the map %s is no regular file", m->file);
	if (m->kind != REWRITE_MAP_DBM && st.st_size > TEXT_LIMIT)
		return conf_fail(call, "make a database of it: httxt2dbm -f gdbm, and RewriteMap NAME dbm=gdbm:FILE",
				 "the map %s has %lld bytes, and texts are read up to %lld", m->file, (long long)st.st_size, (long long)TEXT_LIMIT);
	m->mapped = conf_alloc(call->env, sizeof *m->mapped);
	if (arena_cleanup(reading_of(call)->arena, forget, m->mapped) != 0)
		return conf_fail(call, NULL, "out of memory");
	return 0;
}

#ifdef BULKHEAD_GDBM
#define HAVE_GDBM true
#else
#define HAVE_GDBM false
#endif

static int set_database(struct conf_call *call, struct rewrite_map *m, const char *rest)
{
	size_t n;

	if (!HAVE_GDBM)
		return conf_fail(call, "install libgdbm-dev and build anew, or write the table as a text: RewriteMap NAME txt:FILE",
				 "this program was built without gdbm, so that %s%s cannot be read", m->name, rest);
	n = *rest == '=' ? strcspn(rest, ":") : 0;
	if (n && !(n == 5 && strncmp(rest, "=gdbm", 5) == 0) && !(n == 8 && strncmp(rest, "=default", 8) == 0))
		return conf_fail(call, "make the file anew with httxt2dbm -f gdbm", "databases of the form \"%.*s\" are not read here: gdbm is", (int)n - 1, rest + 1);
	if (rest[n] != ':' || !rest[n + 1])
		return conf_fail(call, "write dbm:FILE or dbm=gdbm:FILE", "the file of the map is missing");
	m->kind = REWRITE_MAP_DBM;
	return set_file(call, m, rest + n + 1);
}

static const struct { const char *prefix, *what, *remedy; } refused[] = {
	{ "dbd:", "databases are not reached from here", "write the table as a text or a gdbm file: txt:FILE, dbm=gdbm:FILE" },
	{ "fastdbd:", "databases are not reached from here", "write the table as a text or a gdbm file: txt:FILE, dbm=gdbm:FILE" },
};

int rewrite_set_map(struct conf_call *call, void *config, int argc, char **argv)
{
	struct rewrite_map *m = conf_alloc(call->env, sizeof *m), **tail = &((struct rewrite_host *)config)->maps;
	const char *what = argv[1];
	int rc;

	m->name = conf_strdup(call->env, argv[0]);
	m->pos = call->node->pos;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (strncasecmp(what, refused[i].prefix, strlen(refused[i].prefix)) == 0)
			return conf_fail(call, refused[i].remedy, "%s: %s", what, refused[i].what);
	if (strncasecmp(what, "txt:", 4) == 0) {
		m->kind = REWRITE_MAP_TXT;
		rc = set_file(call, m, what + 4);
	} else if (strncasecmp(what, "rnd:", 4) == 0) {
		m->kind = REWRITE_MAP_RND;
		rc = set_file(call, m, what + 4);
	} else if (strncasecmp(what, "int:", 4) == 0) {
		rc = set_function(call, m, what + 4);
	} else if (strncasecmp(what, "prg:", 4) == 0) {
		m->kind = REWRITE_MAP_PRG;
		rc = rewrite_set_program(call, m, what + 4, argc > 2 ? argv[2] : NULL);
	} else if (strncasecmp(what, "dbm", 3) == 0) {
		rc = set_database(call, m, what + 3);
	} else {        /* a file alone is a text */
		m->kind = REWRITE_MAP_TXT;
		rc = set_file(call, m, what);
	}
	while (*tail && strcmp((*tail)->name, m->name) != 0)
		tail = &(*tail)->next;
	if (*tail)                              /* the later of a name counts */
		m->next = (*tail)->next;
	*tail = m;
	return rc;
}

void rewrite_visit_maps(const struct site *s, void (*visit)(void *ctx, const char *file, const struct conf_pos *pos), void *ctx)
{
	for (const struct host *h = s->main; h; h = h == s->main ? s->hosts : h->next)
		for (const struct rewrite_map *m = ((struct rewrite_host *)host_config(h, &rewrite_module))->maps; m; m = m->next)
			if (m->file)
				visit(ctx, m->file, &m->pos);
}

/* ---------------------------------------------------------------------------------------------- texts */

static uint32_t hash_of(const char *p, size_t n)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)p[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static struct entry *place_of(const struct rewrite_mapped *t, const char *key, size_t n)
{
	size_t i = hash_of(key, n) & (t->size - 1);

	while (t->at[i].key_length && !(t->at[i].key_length == n && memcmp(t->text + t->at[i].key, key, n) == 0))
		i = (i + 1) & (t->size - 1);
	return &t->at[i];
}

/* A line: the word at its beginning, and the one behind it. The first of a key counts. */
static void take_line(struct rewrite_mapped *t, const char *p, const char *end)
{
	const char *key = p, *value;
	struct entry *e;
	size_t n;

	if (p == end || *p == '#' || blank(*p))
		return;
	while (p < end && !blank(*p))
		p++;
	n = (size_t)(p - key);
	while (p < end && blank(*p))
		p++;
	value = p;
	while (p < end && !blank(*p))
		p++;
	if (p == value || n > UINT16_MAX || p - value > UINT16_MAX)
		return;
	e = place_of(t, key, n);
	if (e->key_length)
		return;
	*e = (struct entry){ .key = (uint32_t)(key - t->text), .key_length = (uint16_t)n, .value = (uint32_t)(value - t->text),
			     .value_length = (uint16_t)(p - value) };
	t->n++;
}

static void forget(void *mapped)
{
	struct rewrite_mapped *t = mapped;

	free(t->text);
	free(t->at);
	t->text = NULL;
	t->at = NULL;
	t->size = t->n = 0;
}

static int read_whole(struct rewrite_mapped *t, int fd, size_t size)
{
	size_t n = 0, lines = 1;
	ssize_t got = 1;

	t->text = malloc(size + 1);
	if (!t->text)
		return -1;
	while (n < size && (got = read(fd, t->text + n, size - n)) > 0)
		n += (size_t)got;
	if (got < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		lines += t->text[i] == '\n';
	for (t->size = 16; t->size < 2 * lines; t->size *= 2)
		;
	t->at = calloc(t->size, sizeof *t->at);
	if (!t->at)
		return -1;
	for (const char *p = t->text, *end = t->text + n; p < end;) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		take_line(t, p, eol ? eol : end);
		p = eol ? eol + 1 : end;
	}
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void cannot(const struct request *r, const struct rewrite_map *m, int err)
{
	if (!m->mapped->told)
		log_errorx(&r->client->about, LOG_REWRITE, "BH0612", "the RewriteMap %s of %s:%u cannot be read: %s: %s; %s",
			   m->name, m->pos.file ? m->pos.file : "-", m->pos.line, m->file, err == EFBIG ? "it is larger than 16 MiB" : strerror(err),
			   m->mapped->at ? "what was read before counts until it can" : "requests whose rules need it are answered with 500");
	m->mapped->told = true;
}

/* Reads the file into *t. 0, or an errno. */
static int text_read(const char *file, struct rewrite_mapped *t)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err = 0;

	if (fd < 0 || fstat(fd, &t->st) != 0)
		err = errno;
	else if (!S_ISREG(t->st.st_mode))
		err = EINVAL;
	else if (t->st.st_size > TEXT_LIMIT)
		err = EFBIG;
	else if (read_whole(t, fd, (size_t)t->st.st_size) != 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	if (err)
		forget(t);
	return err;
}

/* The file as it is now, or where it cannot be read as it was. 0, or -1: it could never be read. */
static int text_renew(struct request *r, struct rewrite_map *m)
{
	struct rewrite_mapped *t = m->mapped, new = { .told = false };
	struct stat st;
	int err;

	if (t->at && stat(m->file, &st) == 0 && same_file(&st, &t->st))
		return 0;
	err = text_read(m->file, &new);
	if (err) {
		cannot(r, m, err);
		return t->at ? 0 : -1;
	}
	forget(t);
	*t = new;
	return 0;
}

static struct text of_text(struct request *r, struct rewrite_map *m, struct text key, unsigned *failed)
{
	const struct entry *e;
	char *copy;

	*failed = text_renew(r, m) != 0 ? 500 : 0;
	if (*failed || !key.n)
		return (struct text){ NULL, 0 };
	e = place_of(m->mapped, key.p, key.n);
	if (!e->key_length)
		return (struct text){ NULL, 0 };
	copy = arena_strndup(r->arena, m->mapped->text + e->value, e->value_length);    /* the table may be read anew meanwhile */
	return (struct text){ copy, copy ? e->value_length : 0 };
}

/* One of "a|b|c". */
static struct text any_of(struct text t)
{
	unsigned n = 1, pick = 0;
	struct text one = t;

	for (size_t i = 0; i < t.n; i++)
		n += t.p[i] == '|';
	if (!t.p || n == 1 || getrandom(&pick, sizeof pick, 0) != sizeof pick)
		pick = 0;
	for (pick %= n; text_split(&t, '|', &one) && pick; pick--)
		;
	return one;
}

/* ---------------------------------------------------------------------------------------------- databases */

#ifdef BULKHEAD_GDBM
/* The library would end the process otherwise. */
static void broken(const char *why)
{
	log_errorx(NULL, LOG_REWRITE, "BH0612", "a gdbm file of a RewriteMap is damaged: %s", why);
}

static struct text of_database(struct request *r, struct rewrite_map *m, struct text key, unsigned *failed)
{
	struct text none = { NULL, 0 }, t;
	datum value;
	GDBM_FILE db;

	if (!key.n || key.n > KEY_LIMIT)
		return none;
	db = gdbm_open(m->file, 0, GDBM_READER | GDBM_NOLOCK | GDBM_CLOEXEC | GDBM_NOMMAP, 0, broken);
	if (!db) {
		cannot(r, m, errno ? errno : EINVAL);
		*failed = 500;
		return none;
	}
	m->mapped->told = false;
	value = gdbm_fetch(db, (datum){ .dptr = (char *)(uintptr_t)key.p, .dsize = (int)key.n });
	gdbm_close(db);
	if (!value.dptr)
		return none;
	t.p = value.dsize >= 0 && value.dsize <= REWRITE_TEXT ? arena_strndup(r->arena, value.dptr, (size_t)value.dsize) : NULL;
	t.n = t.p ? strlen(t.p) : 0;            /* values may hold their NUL */
	free(value.dptr);
	return t;
}
#else
static struct text of_database(struct request *r, struct rewrite_map *m, struct text key, unsigned *failed)
{
	(void)r, (void)m, (void)key, (void)failed;      /* refused when the configuration was read */
	return (struct text){ NULL, 0 };
}
#endif

/* ---------------------------------------------------------------------------------------------- functions */

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is no escape stays as it is, and so does one that stands for NUL. */
static struct text unescaped(struct arena *a, struct text key)
{
	char *out = arena_alloc(a, key.n + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < key.n; i++) {
		int high = key.p[i] == '%' && i + 2 < key.n ? nibble(key.p[i + 1]) : -1, low = high >= 0 ? nibble(key.p[i + 2]) : -1;

		if (low < 0 || (high == 0 && low == 0)) {
			out[n++] = key.p[i];
		} else {
			out[n++] = (char)(high << 4 | low);
			i += 2;
		}
	}
	if (out)
		out[n] = '\0';
	return (struct text){ out, out ? n : 0 };
}

static struct text of_function(struct request *r, enum rewrite_map_kind kind, struct text key)
{
	char *copy = arena_strndup(r->arena, key.p, key.n);
	const char *escaped;

	if (!copy)
		return (struct text){ NULL, 0 };
	switch (kind) {
	case REWRITE_MAP_ESCAPE:
		escaped = uri_escape_path(r->arena, copy);
		return text_of(escaped);
	case REWRITE_MAP_UNESCAPE:
		return unescaped(r->arena, key);
	default:
		for (char *p = copy; *p; p++)
			if (kind == REWRITE_MAP_LOWER)
				*p = (char)ascii_lower((unsigned char)*p);
			else
				*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
		return (struct text){ copy, key.n };
	}
}

struct text rewrite_map_find(struct rewriting *w, struct rewrite_map *m, struct text key, unsigned *failed)
{
	struct request *r = w->r;

	switch (m->kind) {
	case REWRITE_MAP_TXT:
		return of_text(r, m, key, failed);
	case REWRITE_MAP_RND:
		return any_of(of_text(r, m, key, failed));
	case REWRITE_MAP_DBM:
		return of_database(r, m, key, failed);
	case REWRITE_MAP_PRG:
		return rewrite_ask_program(w, m, key, failed);
	default:
		return of_function(r, m->kind, key);
	}
}
