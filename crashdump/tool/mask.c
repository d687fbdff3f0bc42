/*
 * mask.c - takes secrets out of texts: what any word is looked at for, and logs. Configurations: maskconf.c.
 */
#include "crashdump/tool/mask.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crashdump/tool/maskword.h"

#define TOKEN_LEAST 16          /* letters and digits mixed, from so many on, look random */
#define DIGITS_LEAST 13         /* as long as the number of a card */

/* ------------------------------------------------------------------------------------------------------------- text */

void toolmask_add(struct toolmask_text *t, const char *bytes, size_t n)
{
	if (t->failed)
		return;
	if (n >= t->room - t->n || !t->room) {
		size_t room = 2 * (t->n + n) + 256;
		void *grown = realloc(t->text, room);

		if (!grown) {
			t->failed = true;
			return;
		}
		t->text = grown;
		t->room = room;
	}
	memcpy(t->text + t->n, bytes, n);
	t->n += n;
	t->text[t->n] = '\0';
}

void mask_hide(struct toolmask_text *t)
{
	toolmask_add(t, TOOLMASK_HIDDEN, sizeof TOOLMASK_HIDDEN - 1);
	t->hidden++;
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

static bool is_name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

bool mask_is_sensitive(const char *name, size_t n)
{
	static const char *const words[] = { "pass", "pwd", "secret", "token", "key", "auth", "cookie", "credential", "bearer",
					     "private", "salt", "phrase", "seed", "session-id", "sessionid", "signature" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		size_t length = strlen(words[i]);

		for (size_t j = 0; j + length <= n; j++)
			if (!strncasecmp(name + j, words[i], length))
				return true;
	}
	return false;
}

/* One piece between separators: letters and digits mixed, or many digits, or letters of both cases thrown together. */
static bool is_random(const char *p, size_t n)
{
	size_t digits = 0, letters = 0, changes = 0;

	for (size_t i = 0; i < n; i++) {
		digits += isdigit((unsigned char)p[i]) != 0;
		letters += isalpha((unsigned char)p[i]) != 0;
		if (i && isalpha((unsigned char)p[i]) && isalpha((unsigned char)p[i - 1]))
			changes += islower((unsigned char)p[i - 1]) && isupper((unsigned char)p[i]);
	}
	if (letters == 0)
		return digits >= DIGITS_LEAST;
	return (n >= TOKEN_LEAST && digits > 0) || (n >= 24 && changes >= 4 && digits + letters >= n - 2);
}

/* 8-4-4-4-12 hexadecimal digits. */
static bool is_uuid(const char *p, size_t n)
{
	if (n != 36)
		return false;
	for (size_t i = 0; i < n; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? p[i] != '-' : !isxdigit((unsigned char)p[i]))
			return false;
	return true;
}

bool mask_is_token(const char *p, size_t n)
{
	size_t from = 0;

	if (is_uuid(p, n))
		return true;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && !strchr("-_/", p[i]))
			continue;
		if (is_random(p + from, i - from))
			return true;
		from = i + 1;
	}
	return false;
}

static bool starts(const char *p, const char *end, const char *with)
{
	size_t n = strlen(with);

	return (size_t)(end - p) >= n && !strncasecmp(p, with, n);
}

/* A password's hash, or the head of a key. */
static bool has_hash(const char *p, const char *end)
{
	static const char *const marks[] = { "$apr1$", "$2y$", "$2a$", "$2b$", "$1$", "$5$", "$6$", "$y$", "$argon2", "{SHA}",
					     "{SSHA}", "-----BEGIN" };

	for (; p < end; p++)
		for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
			if (starts(p, end, marks[i]))
				return true;
	return false;
}

/* -------------------------------------------------------------------------------------------------------- one word */

/* Each of these looks at *p; where it finds what it looks for, it adds what may be seen and a mark, and moves *p behind. */

/* ://user:password@ */
static bool hide_userinfo(const char **p, const char *end, struct toolmask_text *out)
{
	const char *from = *p + 3, *at = NULL;

	if (!starts(*p, end, "://"))
		return false;
	for (const char *q = from; q < end && !strchr("/?# \t\"'<>", *q); q++)
		if (*q == '@')
			at = q;
	if (!at)
		return false;
	toolmask_add(out, *p, 3);
	mask_hide(out);
	*p = at;
	return true;
}

/* Behind a question mark: in logs all that follows, elsewhere what has the form name=value. */
static bool hide_query(const char **p, const char *end, struct toolmask_text *out, bool always)
{
	const char *q = *p + 1, *stop;

	if (**p != '?' || q == end)
		return false;
	while (q < end && is_name_byte(*q))
		q++;
	if (!always && (q == *p + 1 || q == end || *q != '='))
		return false;
	for (stop = *p + 1; stop < end && !strchr(" \t\"'<>", *stop); stop++)
		;
	if (stop == *p + 1)
		return false;
	toolmask_add(out, "?", 1);
	mask_hide(out);
	*p = stop;
	return true;
}

/* ssl:info, auth_basic:error: subject and level of a message. */
static bool is_level(const char *p, const char *end)
{
	static const char *const levels[] = { "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug", "trace" };

	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
		const char *rest = p + strlen(levels[i]);

		if (starts(p, end, levels[i]) && (rest == end || strchr("]\" 12345678", *rest)))
			return true;
	}
	return false;
}

/* password=…, "token": "…", Cookie: … (this up to the end of the text). */
static bool hide_value(const char *begin, const char **p, const char *end, struct toolmask_text *out)
{
	const char *name_end = *p, *name, *value = *p + 1, *stop;
	bool colon = **p == ':';

	if (**p != '=' && !colon)
		return false;
	if (name_end > begin && (name_end[-1] == '"' || name_end[-1] == '\''))
		name_end--;
	for (name = name_end; name > begin && is_name_byte(name[-1]); name--)
		;
	if (!mask_is_sensitive(name, (size_t)(name_end - name)) || mask_is_harmless_name(name, (size_t)(name_end - name)) ||
	    (colon && ((name > begin && name[-1] == '/') || is_level(value, end))))
		return false;
	while (value < end && *value == ' ')
		value++;
	if (value < end && (*value == '"' || *value == '\'')) {
		char quote = *value++;

		for (stop = value; stop < end && *stop != quote; stop++)
			;
	} else {
		for (stop = value; stop < end && !strchr(colon ? "\"" : " \t,;&\"'", *stop); stop++)
			;
	}
	if (stop == value)
		return false;
	toolmask_add(out, *p, (size_t)(value - *p));
	mask_hide(out);
	*p = stop;
	return true;
}

/* "Bearer …", "Basic …" inside of one text. */
static bool hide_scheme(const char *begin, const char **p, const char *end, struct toolmask_text *out)
{
	static const char *const schemes[] = { "bearer ", "basic ", "digest ", "negotiate " };
	const char *stop;

	if (*p > begin && is_name_byte((*p)[-1]))
		return false;
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t n = strlen(schemes[i]);

		if (!starts(*p, end, schemes[i]))
			continue;
		for (stop = *p + n; stop < end && !strchr(" \t\"',", *stop); stop++)
			;
		if (stop - (*p + n) < 6)
			return false;
		toolmask_add(out, *p, n);
		mask_hide(out);
		*p = stop;
		return true;
	}
	return false;
}

static bool is_token_byte(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("+/=_-", c));
}

/* A run that looks random; of a path only the parts that do. */
static bool hide_token(const char *begin, const char **p, const char *end, struct toolmask_text *out)
{
	const char *from = *p, *stop = *p;
	bool path = *from == '/' || (from > begin && strchr(".:~/", from[-1]));

	if (!is_token_byte(*from) || (from > begin && is_token_byte(from[-1])))
		return false;
	while (stop < end && is_token_byte(*stop))
		stop++;
	if (!mask_is_token(from, (size_t)(stop - from)))
		return false;
	*p = stop;
	if (!path) {
		mask_hide(out);
		return true;
	}
	while (from < stop) {
		const char *slash = memchr(from, '/', (size_t)(stop - from)), *part = slash ? slash : stop;

		if (mask_is_token(from, (size_t)(part - from)))
			mask_hide(out);
		else
			toolmask_add(out, from, (size_t)(part - from));
		if (slash)
			toolmask_add(out, "/", 1);
		from = part + (slash ? 1 : 0);
	}
	return true;
}

void mask_word(const char *word, size_t n, struct toolmask_text *out, bool log)
{
	const char *end = word + n, *p = word;

	if (!log && has_hash(word, end)) {
		mask_hide(out);
		return;
	}
	while (p < end) {
		if (hide_userinfo(&p, end, out) || hide_query(&p, end, out, log) || hide_value(word, &p, end, out) ||
		    hide_scheme(word, &p, end, out) || hide_token(word, &p, end, out))
			continue;
		toolmask_add(out, p++, 1);
	}
}

/* ------------------------------------------------------------------------------------------------------------- logs */

/* Bytes that steer a terminal are shown as \xNN. */
static void clean_line(const char *line, size_t n, struct toolmask_text *out)
{
	for (size_t i = 0; i < n; i++) {
		char hex[8];

		if ((unsigned char)line[i] >= ' ' && line[i] != 0x7f) {
			toolmask_add(out, line + i, 1);
			continue;
		}
		snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)line[i]);
		toolmask_add(out, hex, line[i] == '\t' ? 0 : 4);
		if (line[i] == '\t')
			toolmask_add(out, " ", 1);
	}
}

void toolmask_log(const char *text, size_t n, struct toolmask_text *out)
{
	const char *end = text + n;
	bool in_key = false;

	for (const char *at = text; at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct toolmask_text line = { .text = NULL };
		size_t length = (size_t)((stop ? stop : end) - at);

		if (memmem(at, length, "-----BEGIN", 10))
			in_key = true;
		clean_line(at, length, &line);
		if (in_key || (line.text && has_hash(line.text, line.text + line.n)))
			mask_hide(out);
		else if (line.text)
			mask_word(line.text, line.n, out, true);
		toolmask_add(out, "\n", 1);
		out->failed |= line.failed;
		free(line.text);
		if (memmem(at, length, "-----END", 8))
			in_key = false;
		at = stop ? stop + 1 : end;
	}
}
