/*
 * mimemap.c - the table of a mime.types file: an open-addressed hash of lower-case extensions. Built in the master from
 * TypesConfig's file or the shipped list; children only look up.
 */
#include "request/mimemap.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((off_t)4 << 20)

struct entry {
	const char *ext, *type;         /* ext NULL = free */
	uint32_t hash;
};

struct mimemap {
	struct entry *at;
	unsigned n, cap;                /* cap is a power of two, at most half full */
};

bool mime_fold(struct text ext, char *buf, uint32_t *hash)
{
	uint32_t h = 2166136261u;       /* FNV-1a */

	if (ext.n == 0 || ext.n > MIME_EXTENSION)
		return false;
	for (size_t i = 0; i < ext.n; i++) {
		buf[i] = (char)ascii_lower((unsigned char)ext.p[i]);
		h = (h ^ (unsigned char)buf[i]) * 16777619u;
	}
	buf[ext.n] = '\0';
	*hash = h;
	return true;
}

static struct entry *slot_of(const struct mimemap *m, const char *folded, uint32_t hash)
{
	unsigned i = hash & (m->cap - 1);

	while (m->at[i].ext && (m->at[i].hash != hash || strcmp(m->at[i].ext, folded) != 0))
		i = (i + 1) & (m->cap - 1);
	return &m->at[i];
}

const char *mimemap_find(const struct mimemap *m, const char *folded, uint32_t hash)
{
	return slot_of(m, folded, hash)->type;
}

unsigned mimemap_count(const struct mimemap *m)
{
	return m->n;
}

static void grow(struct conf_env *env, struct mimemap *m)
{
	struct mimemap larger = { .cap = m->cap ? m->cap * 2 : 64, .n = m->n };

	larger.at = conf_alloc(env, larger.cap * sizeof(*larger.at));
	for (unsigned i = 0; i < m->cap; i++)
		if (m->at[i].ext)
			*slot_of(&larger, m->at[i].ext, m->at[i].hash) = m->at[i];
	*m = larger;
}

static void put(struct conf_env *env, struct mimemap *m, struct text ext, const char *type)
{
	char folded[MIME_EXTENSION + 1];
	uint32_t hash;
	struct entry *e;

	if (ext.n && ext.p[0] == '.')
		ext = (struct text){ ext.p + 1, ext.n - 1 };
	if (!mime_fold(ext, folded, &hash))
		return;
	if ((m->n + 1) * 2 > m->cap)
		grow(env, m);
	e = slot_of(m, folded, hash);
	if (!e->ext) {
		e->ext = conf_strdup(env, folded);
		e->hash = hash;
		m->n++;
	}
	e->type = type;
}

/* The next word between blanks off *line; false at its end. */
static bool word_next(struct text *line, struct text *word)
{
	size_t i = 0, n;

	while (i < line->n && (line->p[i] == ' ' || line->p[i] == '\t' || line->p[i] == '\r'))
		i++;
	n = i;
	while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t' && line->p[n] != '\r')
		n++;
	*word = (struct text){ line->p + i, n - i };
	*line = (struct text){ line->p + n, line->n - n };
	return word->n > 0;
}

struct mimemap *mimemap_parse(struct conf_env *env, struct text text)
{
	struct mimemap *m = conf_alloc(env, sizeof(*m));
	struct text line, word;

	grow(env, m);
	while (text_split(&text, '\n', &line)) {
		const char *type = NULL;
		char *copy;

		if (line.n == 0 || line.p[0] == '#' || !word_next(&line, &word) || word.p[0] == '#')
			continue;
		if (!memchr(word.p, '/', word.n))
			continue;
		copy = NULL;
		for (struct text t = word; word_next(&line, &word) && word.p[0] != '#';) {
			if (!type) {            /* types without an extension need no memory */
				copy = conf_alloc(env, t.n + 1);
				memcpy(copy, t.p, t.n);
				type = copy;
			}
			put(env, m, word, type);
		}
	}
	return m;
}

struct mimemap *mimemap_read(struct conf_env *env, const char *path)
{
	struct stat st;
	size_t n = 0;
	char *p;
	int fd = env->open ? env->open(env->ctx, path) : -1;

	if (fd < 0) {
		if (!env->open)
			errno = ENOENT;
		return NULL;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EFBIG;
		close(fd);
		return NULL;
	}
	p = conf_alloc(env, (size_t)st.st_size + 1);
	while (n < (size_t)st.st_size) {
		ssize_t got = read(fd, p + n, (size_t)st.st_size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int e = errno;

			close(fd);
			errno = e;
			return NULL;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	return mimemap_parse(env, (struct text){ p, n });
}
