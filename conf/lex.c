/*
 * lex.c - the lines and words of a configuration, exactly as Apache cuts them: continuations, outer blanks, CRLF,
 * quotes. Runs wherever a configuration is read: master, jobs, and children for .htaccess. Pure: no file is touched.
 */
#include "conf/internal.h"

#include <string.h>

bool conf_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Makes room for n bytes and a NUL behind the first `kept` ones. Old buffers go with the arena: the sizes double. */
static void make_room(struct conf_lines *l, struct conf_env *env, size_t kept, size_t n)
{
	size_t cap = l->cap ? l->cap : 256;
	char *buf;

	if (kept + n + 1 <= l->cap)
		return;
	while (cap < kept + n + 1)
		cap *= 2;
	buf = conf_alloc(env, cap);
	if (kept)
		memcpy(buf, l->buf, kept);
	l->buf = buf;
	l->cap = cap;
}

static char *trim(char *s, size_t n)
{
	while (n && conf_blank(s[n - 1]))
		n--;
	s[n] = '\0';
	while (conf_blank(*s))
		s++;
	return s;
}

/*
 * A backslash directly before the line's end joins the next line on; the line's end may be CRLF. Two backslashes do
 * the same, the first one stays. A backslash at the end of the file is a letter.
 */
enum conf_line conf_lines_next(struct conf_lines *l, struct conf_env *env, char **line)
{
	bool too_long = false, nul = false, more = true;
	size_t n = 0;

	if (l->p == l->end)
		return CONF_LINE_END;
	while (more && l->p < l->end) {
		size_t left = (size_t)(l->end - l->p);
		const char *lf = memchr(l->p, '\n', left);
		size_t len = lf ? (size_t)(lf - l->p) : left;
		const char *from = l->p;

		l->line++;
		l->p += len + (lf != NULL);
		if (lf && len && from[len - 1] == '\r')
			len--;
		more = lf && len && from[len - 1] == '\\';
		if (more)
			len--;
		nul = nul || memchr(from, '\0', len);
		too_long = too_long || len > CONF_LINE_MAX - n;
		if (nul || too_long)
			continue;
		make_room(l, env, n, len);
		memcpy(l->buf + n, from, len);
		n += len;
	}
	if (too_long)
		return CONF_LINE_LONG;
	if (nul)
		return CONF_LINE_NUL;
	*line = trim(l->buf, n);
	return CONF_LINE;
}

/* \\ becomes \ everywhere; \" becomes " within double quotes, \' becomes ' within single ones. */
static char *unescape(struct conf_env *env, const char *from, const char *to, char quote)
{
	char *word = conf_alloc(env, (size_t)(to - from) + 1), *out = word;

	while (from < to) {
		if (*from == '\\' && from + 1 < to && (from[1] == '\\' || (quote && from[1] == quote)))
			from++;
		*out++ = *from++;
	}
	*out = '\0';
	return word;
}

char *conf_word(struct conf_env *env, const char **line)
{
	const char *p = *line, *from;
	char quote = '\0', *word;

	while (conf_blank(*p))
		p++;
	if (!*p) {
		*line = p;
		return NULL;
	}
	if (*p == '"' || *p == '\'') {
		quote = *p++;
		from = p;
		while (*p && *p != quote)
			p += *p == '\\' && p[1] && (p[1] == quote || p[1] == '\\') ? 2 : 1;
		word = unescape(env, from, p, quote);
		if (*p)
			p++;
	} else {
		from = p;
		while (*p && !conf_blank(*p))
			p++;
		word = unescape(env, from, p, quote);
	}
	while (conf_blank(*p))
		p++;
	*line = p;
	return word;
}
