/*
 * element.c - what each element does. Runs in the children.
 */
#include "ssi/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log/log.h"
#include "ssi/code.h"

void ssi_say(struct ssi *s, const char *text)
{
	char *both;

	if (!s->out.n) {
		s->out = text_of(text);
		return;
	}
	both = arena_alloc(s->scratch, s->out.n + strlen(text) + 1);
	if (!both)
		return;
	memcpy(both, s->out.p, s->out.n);
	strcpy(both + s->out.n, text);
	s->out.p = both;
	s->out.n += strlen(text);
}

void ssi_fail(struct ssi *s, const char *id, const char *fmt, ...)
{
	char reason[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	if (s->shared->failures++ < SSI_TOLD || (strcmp(id, "BH0736") == 0 && !s->shared->told))
		log_errorx(&s->r->client->about, LOG_CORE, id, "server-side include in %.300s: %s", s->r->filename ? s->r->filename : s->r->path, reason);
	ssi_say(s, s->error);
}

bool ssi_printing(const struct ssi *s)
{
	return !s->beyond && (!s->depth || s->level[s->depth - 1].printing);
}

/* NULL after a message. */
static const char *filled(struct ssi *s, const struct ssi_attribute *a, bool keep)
{
	const char *value = a->value ? ssi_text(s, a->value, keep) : NULL;

	if (!value)
		ssi_fail(s, "BH0731", "the attribute %.40s of %s has no value, or one that is longer than 64 KiB", a->name, s->element.name);
	return value;
}

static void unknown(struct ssi *s, const struct ssi_attribute *a)
{
	ssi_fail(s, "BH0731", "%s has no attribute \"%.40s\"", s->element.name, a->name);
}

/* What is kept longer than the element. */
static const char *kept(struct ssi *s, const char *value)
{
	const char *copy = arena_strdup(s->r->arena, value);

	return copy ? copy : "";
}

/* ------------------------------------------------------------------------------------------------ config, echo, set, printenv */

static void set_size_form(struct ssi *s, const char *value)
{
	if (strcasecmp(value, "bytes") == 0)
		s->bytes = true;
	else if (strcasecmp(value, "abbrev") == 0)
		s->bytes = false;
	else
		ssi_fail(s, "BH0731", "sizefmt is bytes or abbrev");
}

static void config(struct ssi *s)
{
	if (!s->element.n)
		ssi_fail(s, "BH0731", "config needs an attribute: errmsg, echomsg, timefmt or sizefmt");
	for (unsigned i = 0; i < s->element.n; i++) {
		const struct ssi_attribute *a = &s->element.at[i];
		bool message = strcmp(a->name, "errmsg") == 0 || strcmp(a->name, "echomsg") == 0;
		const char *value = filled(s, a, message);

		if (!value)
			return;
		if (strcmp(a->name, "errmsg") == 0)
			s->error = kept(s, value);
		else if (strcmp(a->name, "echomsg") == 0)
			s->undefined = kept(s, value);
		else if (strcmp(a->name, "timefmt") == 0)
			s->time = kept(s, value);
		else if (strcmp(a->name, "sizefmt") == 0)
			set_size_form(s, value);
		else
			unknown(s, a);
	}
}

struct codes { const char *encoding, *decoding; };

/* encoding= and decoding= for what follows. 0: it is neither; -1 after a message. */
static int set_codes(struct ssi *s, const struct ssi_attribute *a, struct codes *c)
{
	const char **to = strcmp(a->name, "encoding") == 0 ? &c->encoding : strcmp(a->name, "decoding") == 0 ? &c->decoding : NULL;

	if (!to)
		return 0;
	if (!a->value || !ssi_codes_known(a->value)) {
		ssi_fail(s, "BH0731", "%s is a list of none, url, urlencoded, base64 and entity", a->name);
		return -1;
	}
	*to = a->value;
	return 1;
}

static char *coded(struct ssi *s, const struct codes *c, const char *value)
{
	char *plain = ssi_decode(s->scratch, c->decoding, value);

	return plain ? ssi_encode(s->scratch, c->encoding, plain) : NULL;
}

static void echo(struct ssi *s)
{
	struct codes c = { "entity", "none" };
	bool any = false;
	int code;

	for (unsigned i = 0; i < s->element.n; i++) {
		const struct ssi_attribute *a = &s->element.at[i];
		const char *name, *value;

		if ((code = set_codes(s, a, &c)) < 0)
			return;
		if (code)
			continue;
		if (strcmp(a->name, "var") != 0) {
			unknown(s, a);
			return;
		}
		any = true;
		name = filled(s, a, false);
		if (!name)
			return;
		value = ssi_get(s, name);
		value = value ? coded(s, &c, value) : s->undefined;
		if (value)
			ssi_say(s, value);
		else
			ssi_fail(s, "BH0736", "memory ran out");
	}
	if (!any)
		ssi_fail(s, "BH0731", "echo needs var=\"NAME\"");
}

static void set(struct ssi *s)
{
	struct codes c = { "none", "none" };
	const char *name = NULL;
	bool valued = false;
	int code;

	for (unsigned i = 0; i < s->element.n; i++) {
		const struct ssi_attribute *a = &s->element.at[i];
		const char *value;

		if ((code = set_codes(s, a, &c)) < 0)
			return;
		if (code)
			continue;
		value = filled(s, a, false);
		if (!value)
			return;
		if (strcmp(a->name, "var") == 0) {
			name = value;
		} else if (strcmp(a->name, "value") != 0) {
			unknown(s, a);
			return;
		} else if (!name || !*name) {
			ssi_fail(s, "BH0731", "set needs var=\"NAME\" before value=\"…\"");
			return;
		} else {
			valued = true;
			value = coded(s, &c, value);
			if (!value || ssi_set(s, name, value) < 0)
				ssi_fail(s, "BH0736", "memory ran out");
		}
	}
	if (!valued)
		ssi_fail(s, "BH0731", "set needs var=\"NAME\" and value=\"…\"");
}

static void printenv(struct ssi *s)
{
	if (s->element.n) {
		ssi_fail(s, "BH0731", "printenv has no attributes");
		return;
	}
	free(s->big);
	s->big = ssi_all(s);
	if (s->big)
		s->out = text_of(s->big);
	else
		ssi_fail(s, "BH0736", "memory ran out");
}

/* ------------------------------------------------------------------------------------------------ fsize, flastmod */

/* 2,048 */
static const char *in_groups(struct ssi *s, int64_t size)
{
	char digits[24];
	char *out;
	size_t n;
	struct buf b;

	buf_init(&b, digits, sizeof digits);
	buf_put_u64(&b, (uint64_t)size);
	n = b.n;
	if (!(out = arena_alloc(s->scratch, 32)))
		return NULL;
	buf_init(&b, out, 32);
	for (size_t i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			buf_putc(&b, ',');
		buf_putc(&b, digits[i]);
	}
	return out;
}

/* Four characters: "973", "1.0K", " 12M". */
static const char *abbreviated(struct ssi *s, int64_t size)
{
	static const char units[] = "KMGTPE";
	const char *unit = units;
	int64_t rest;

	if (size < 973)
		return arena_printf(s->scratch, "%3d ", (int)size);
	for (rest = size & 1023, size >>= 10; size >= 973; rest = size & 1023, size >>= 10)
		unit++;
	if (size > 9 || (size == 9 && rest >= 973))
		return arena_printf(s->scratch, "%3d%c", (int)(size + (rest >= 512)), *unit);
	rest = (rest * 5 + 256) / 512;
	return arena_printf(s->scratch, "%d.%d%c", (int)(size + rest / 10), (int)(rest % 10), *unit);
}

static void of_files(struct ssi *s, const char *(*tell)(struct ssi *s, const struct stat *st))
{
	if (!s->element.n)
		ssi_fail(s, "BH0731", "%s needs file=\"…\" or virtual=\"…\"", s->element.name);
	for (unsigned i = 0; i < s->element.n; i++) {
		const struct ssi_attribute *a = &s->element.at[i];
		struct request *sub;
		const char *value;

		if (strcmp(a->name, "file") != 0 && strcmp(a->name, "virtual") != 0) {
			unknown(s, a);
			return;
		}
		sub = ssi_find(s, a);
		if (!sub)
			return;
		value = sub->found ? tell(s, &sub->st) : NULL;
		request_close(sub);
		if (value)
			ssi_say(s, value);
		else
			ssi_fail(s, "BH0732", "\"%.200s\": there is no such file", a->value);
	}
}

static const char *size_of(struct ssi *s, const struct stat *st) { return s->bytes ? in_groups(s, st->st_size) : abbreviated(s, st->st_size); }
static const char *time_of(struct ssi *s, const struct stat *st) { return ssi_date(s->scratch, st->st_mtim.tv_sec, s->time, false); }
static void fsize(struct ssi *s) { of_files(s, size_of); }
static void flastmod(struct ssi *s) { of_files(s, time_of); }

/* ------------------------------------------------------------------------------------------------ if and its like */

/* The value of expr="…"; NULL after a message. */
static const char *expression(struct ssi *s)
{
	const struct ssi_attribute *a = &s->element.at[0];

	if (s->element.n == 1 && strcmp(a->name, "expr") == 0 && a->value)
		return a->value;
	ssi_fail(s, "BH0731", "%s needs expr=\"…\", and nothing else", s->element.name);
	return NULL;
}

/* 1, 0, or -1 after a message: then nothing of this if is shown, as in Apache. */
static int holds(struct ssi *s)
{
	const char *text = expression(s), *why = NULL;
	int result = text ? ssi_condition(s, text, &why) : -1;

	if (text && result < 0)
		ssi_fail(s, "BH0735", "nothing is shown of the if with the condition \"%.200s\": %.300s", text, why ? why : "it has no answer");
	return result;
}

static void branch(struct ssi_level *l, int yes)
{
	l->taken = yes != 0;
	l->printing = yes > 0;
}

static void begin_if(struct ssi *s)
{
	bool printing = ssi_printing(s);
	int yes;

	if (s->beyond || s->depth == SSI_NESTING) {
		if (!s->beyond++ && printing)
			ssi_fail(s, "BH0736", "more than %d if within each other: what stands in the innermost is left out", SSI_NESTING);
		return;
	}
	yes = printing ? holds(s) : -1;
	branch(&s->level[s->depth++], yes);
}

static void other(struct ssi *s)
{
	struct ssi_level *l = s->depth ? &s->level[s->depth - 1] : NULL;
	bool with_condition = strcmp(s->element.name, "elif") == 0;

	if (s->beyond)
		return;
	if (!l) {
		ssi_fail(s, "BH0731", "there is no if before this %s", s->element.name);
		return;
	}
	l->printing = false;
	if (l->taken)
		return;
	branch(l, with_condition ? holds(s) : 1);
}

static void end_if(struct ssi *s)
{
	if (s->beyond)
		s->beyond--;
	else if (s->depth)
		s->depth--;
	else
		ssi_fail(s, "BH0731", "there is no if before this endif");
}

/* ------------------------------------------------------------------------------------------------ the table */

static void from_elsewhere(struct ssi *s)
{
	if (s->element.n)
		ssi_fetch(s);
	else
		ssi_fail(s, "BH0731", "%s needs an attribute", s->element.name);
}

static const struct { const char *name; void (*run)(struct ssi *s); bool always; } elements[] = {
	{ "if", begin_if, true }, { "elif", other, true }, { "else", other, true }, { "endif", end_if, true },
	{ "echo", echo, false }, { "set", set, false }, { "include", from_elsewhere, false }, { "exec", from_elsewhere, false },
	{ "config", config, false }, { "printenv", printenv, false }, { "fsize", fsize, false }, { "flastmod", flastmod, false },
};

/* Fails where the memory of the page is used up; told once. */
static bool affordable(struct ssi *s)
{
	if (arena_used(s->r->arena) <= SSI_MEMORY)
		return true;
	if (!s->shared->told)
		ssi_fail(s, "BH0736", "the page and what it includes use more than 32 MiB: its other elements fail");
	else
		ssi_say(s, s->error);
	s->shared->told = true;
	return false;
}

void ssi_run(struct ssi *s)
{
	s->next = 0;
	for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
		if (strcmp(s->element.name, elements[i].name) != 0)
			continue;
		if (elements[i].always || (ssi_printing(s) && affordable(s)))
			elements[i].run(s);
		return;
	}
	if (ssi_printing(s))
		ssi_fail(s, "BH0731", "there is no element \"%.40s\"", s->element.name);
}
