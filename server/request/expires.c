/*
 * expires.c - mod_expires. The setters run where a configuration is read; expires_apply in the children.
 *
 * Errors get no times, redirects and 304 do. A response without a date of modification has none of "modification plus …".
 */
#include "request/expires.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define MOST (INT64_C(100) * 365 * 86400)       /* no copy is kept for longer than a century */

struct lifetime {
	bool modified;                  /* since the content changed; else since it was asked for */
	int64_t seconds;
};

struct by_type {
	const char *type;               /* "text/css", or of all of a kind "image/" */
	bool major;
	struct lifetime time;
	const struct by_type *next;
};

struct expires_section {
	int active;
	const struct by_type *types;
	const struct lifetime *otherwise;
};

/* ------------------------------------------------------------------------------------------------ setters */

static int bad_time(struct conf_call *call, const char *text)
{
	return conf_fail(call, "write \"access plus 1 month 2 days\", \"modification plus 1 hour\", A3600 or M3600", "\"%s\" is no time", text);
}

/* "A3600", "M-60" */
static int set_short(struct conf_call *call, const char *text, struct lifetime *t)
{
	bool minus = text[1] == '-';
	uint64_t n;

	if (text_u64(text_of(text + 1 + minus), MOST, &n) < 0)
		return bad_time(call, text);
	t->modified = *text == 'M' || *text == 'm';
	t->seconds = minus ? -(int64_t)n : (int64_t)n;
	return 0;
}

/* The seconds of a unit, in the singular or plural; 0: none. */
static int64_t unit_of(struct text word)
{
	static const struct { const char *name; int64_t seconds; } units[] = {
		{ "second", 1 }, { "minute", 60 }, { "hour", 3600 }, { "day", 86400 }, { "week", 604800 }, { "month", 2592000 }, { "year", 31536000 },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i].name);

		if (word.n >= n && word.n <= n + 1 && strncasecmp(word.p, units[i].name, n) == 0 && (word.n == n || ascii_lower((unsigned char)word.p[n]) == 's'))
			return units[i].seconds;
	}
	return 0;
}

static bool word_next(struct text *rest, struct text *word)
{
	while (text_split(rest, ' ', word)) {
		*word = text_trim(*word);
		if (word->n)
			return true;
	}
	return false;
}

/* "access plus 1 month 2 days": the base, "plus" if one likes, then numbers and units. */
static int set_time(struct conf_call *call, const char *text, struct lifetime *t)
{
	struct text rest = text_of(text), word = { NULL, 0 };
	bool some = false;

	*t = (struct lifetime){ false, 0 };
	if ((ascii_lower((unsigned char)*text) == 'a' || ascii_lower((unsigned char)*text) == 'm') && (text[1] == '-' || (text[1] >= '0' && text[1] <= '9')))
		return set_short(call, text, t);
	if (!word_next(&rest, &word))
		return bad_time(call, text);
	t->modified = text_is_nocase(word, "modification");
	if (!t->modified && !text_is_nocase(word, "access") && !text_is_nocase(word, "now"))
		return bad_time(call, text);
	while (word_next(&rest, &word)) {
		bool minus = word.n > 1 && word.p[0] == '-';
		uint64_t n;
		int64_t unit;

		if (!some && text_is_nocase(word, "plus"))
			continue;
		if (minus)
			word = (struct text){ word.p + 1, word.n - 1 };
		if (text_u64(word, MOST, &n) < 0 || !word_next(&rest, &word) || !(unit = unit_of(word)) || n > (uint64_t)(MOST / unit))
			return bad_time(call, text);
		t->seconds += minus ? -(int64_t)n * unit : (int64_t)n * unit;
		some = true;
		if (t->seconds > MOST || t->seconds < -MOST)
			return bad_time(call, text);
	}
	return 0;
}

static int set_default(struct conf_call *call, void *config, int argc, char **argv)
{
	struct expires_section *s = config;
	struct lifetime *t = conf_alloc(call->env, sizeof(*t));

	(void)argc;
	s->otherwise = t;
	return set_time(call, argv[0], t);
}

static int set_by_type(struct conf_call *call, void *config, int argc, char **argv)
{
	struct expires_section *s = config;
	struct by_type *b = conf_alloc(call->env, sizeof(*b));
	size_t n = strlen(argv[0]);

	(void)argc;
	if (!strchr(argv[0], '/'))
		return conf_fail(call, "write type/subtype, or type/*", "\"%s\" is no media type", argv[0]);
	b->major = n > 2 && strcmp(argv[0] + n - 2, "/*") == 0;
	b->type = conf_printf(call->env, "%.*s", (int)(b->major ? n - 1 : n), argv[0]);
	b->next = s->types;             /* the last one counts */
	s->types = b;
	return set_time(call, argv[1], &b->time);
}

/* ------------------------------------------------------------------------------------------------ merging */

static void *create_section(struct conf_env *env)
{
	struct expires_section *s = conf_alloc(env, sizeof(*s));

	s->active = CONF_UNSET;
	return s;
}

static const struct by_type *types_join(struct conf_env *env, const struct by_type *over, const struct by_type *base)
{
	const struct by_type *first = base, **last = &first;

	for (; base && over; over = over->next) {
		struct by_type *copy = conf_alloc(env, sizeof(*copy));

		*copy = *over;
		*last = copy;
		last = &copy->next;
		*last = base;
	}
	return base ? first : over;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct expires_section *b = base, *o = over;
	struct expires_section *m = conf_alloc(env, sizeof(*m));

	m->active = o->active == CONF_UNSET ? b->active : o->active;
	m->types = types_join(env, o->types, b->types);
	m->otherwise = o->otherwise ? o->otherwise : b->otherwise;
	return m;
}

/* ------------------------------------------------------------------------------------------------ at a response */

static const struct lifetime *find(const struct expires_section *s, struct text type)
{
	const struct lifetime *major = NULL;

	for (const struct by_type *b = s->types; b && type.n; b = b->next) {
		size_t n = strlen(b->type);

		if (!b->major && type.n == n && strncasecmp(type.p, b->type, n) == 0)
			return &b->time;
		if (b->major && !major && type.n > n && strncasecmp(type.p, b->type, n) == 0)
			major = &b->time;
	}
	return major ? major : s->otherwise;
}

int expires_apply(struct request *r, time_t now)
{
	const struct expires_section *s = r->section ? request_config(r, &expires_module) : NULL;
	struct text all = fields_get(&r->out, "Content-Type"), type = { NULL, 0 }, old;
	const struct lifetime *t;
	const char *control;
	char date[HTTP_DATE];
	int64_t until;

	if (!s || s->active != 1 || r->status >= 400 || fields_get(&r->out, "Expires").p || fields_get(&r->always, "Expires").p)
		return 0;
	if (!all.p)
		all = text_of(r->type);
	text_split(&all, ';', &type);
	t = find(s, text_trim(type));
	if (!t || (t->modified && r->modified == -1))
		return 0;
	until = (t->modified ? (int64_t)r->modified : (int64_t)now) + t->seconds;
	if (until < (int64_t)now)
		until = now;
	old = fields_combined(&r->out, "Cache-Control");
	control = arena_printf(r->arena, "%.*s%smax-age=%" PRId64, (int)old.n, old.p ? old.p : "", old.n ? ", " : "", until - (int64_t)now);
	if (!control || fields_set(&r->out, "Cache-Control", control) < 0)
		return -1;
	return fields_set(&r->out, "Expires", http_date((time_t)until, date));
}

/* ------------------------------------------------------------------------------------------------ directives */

#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_INDEXES, .scope = CONF_OF_SECTION, .args = CONF_TAKE

static const struct conf_directive directives[] = {
	{ "ExpiresActive", "whether responses say how long they may be kept", "Off", .contexts = CONF_ALL, .override = CONF_OR_INDEXES,
	  .scope = CONF_OF_SECTION, .args = CONF_FLAG, .set = conf_set_flag, .offset = offsetof(struct expires_section, active) },
	{ "ExpiresByType", "how long content of a media type may be kept", NULL, EVERYWHERE, .min = 2, .max = 2, .set = set_by_type },
	{ "ExpiresDefault", "how long other content may be kept", NULL, EVERYWHERE, .min = 1, .max = 1, .set = set_default },
	{ .name = NULL },
};

struct conf_module expires_module = {
	.name = "expires_module", .source = "mod_expires.c", .directives = directives, .create_section = create_section,
	.merge_section = merge_section,
};
