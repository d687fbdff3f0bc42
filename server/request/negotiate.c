/*
 * negotiate.c - chooses among variants: reads the client's Accept fields into lists of preferences, gives each variant its
 * qualities, and compares them. Runs in the children. The order of comparisons is the documented one of mod_negotiation.
 */
#include "request/negotiate.h"

#include <string.h>
#include <strings.h>

#include "http/uri.h"
#include "request/phases.h"
#include "request/response.h"

#define PREFERENCES_MOST 100            /* of a field; what is more is passed over */
#define ANY_ANY 0.01                    /* of a wildcard among types, where the client gives no qualities: it was added without thought */
#define ANY_SUBTYPE 0.02
#define NO_LANGUAGE 0.001               /* of a variant in no language, where the client named some */
#define NO_CODING 0.0001                /* of content as it is, where the client named codings, and not that */
#define NEAR_LANGUAGE 0.0009            /* of "en" for who wants "en-GB" alone */

enum { FORCE_UNSET = -1, FORCE_NONE = 0, FORCE_PREFER = 1, FORCE_FALLBACK = 2 };

struct negotiation_section {
	const char **priority;          /* LanguagePriority; ended by NULL */
	int force;
};
struct negotiation_host { int cache; };

struct preference {
	struct text name;               /* without parameters */
	double q;
	unsigned level;
};

struct preferences {
	bool given;                     /* the client sent the field */
	bool weighed;                   /* with a q somewhere */
	unsigned n;
	struct preference at[PREFERENCES_MOST];
};

struct accepted { struct preferences types, languages, charsets, encodings; };

/* ------------------------------------------------------------------------------------------------ fields */

/* "0.5": at most three digits count (RFC 9110, 12.4.2); what is no number is 0. */
static double quality(struct text t)
{
	double q = 0, unit = 1;
	size_t i = 0;

	for (; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
		q = q * 10 + (t.p[i] - '0');
	if (i < t.n && t.p[i] == '.')
		for (i++; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
			q += (t.p[i] - '0') * (unit /= 10);
	return q > 1 ? 1 : q;
}

/* "text/html;level=2;q=0.5" */
static struct preference parse(struct text member, bool *weighed)
{
	struct preference p = { .q = 1 };
	struct text part;
	bool first = true;

	while (text_split(&member, ';', &part)) {
		struct text name, value = text_trim(part);

		if (first) {
			p.name = value;
			first = false;
			continue;
		}
		if (!text_split(&value, '=', &name))
			continue;
		name = text_trim(name);
		value = text_trim(value);
		if (text_is_nocase(name, "q") || text_is_nocase(name, "qs")) {
			p.q = quality(value);
			*weighed = true;
		} else if (text_is_nocase(name, "level")) {
			uint64_t n;
			p.level = text_u64(value, 1000, &n) == 0 ? (unsigned)n : 0;
		}
	}
	return p;
}

static void read_field(const struct request *r, const char *name, struct preferences *l)
{
	struct text rest = fields_combined(&r->in, name), member;

	l->given = rest.p != NULL;
	while (l->n < PREFERENCES_MOST && fields_list_next(&rest, &member))
		l->at[l->n++] = parse(member, &l->weighed);
}

/* ------------------------------------------------------------------------------------------------ qualities */

/* 3 the same, 2 type/star, 1 star/star, 0 not. Parameters of the variant's type do not count. */
static int matches_type(struct text range, const char *type)
{
	size_t n = strcspn(type, ";"), slash = strcspn(type, "/");

	if (range.n == n && strncasecmp(range.p, type, n) == 0)
		return 3;
	if (range.n == slash + 2 && range.p[range.n - 1] == '*' && range.p[slash] == '/' && strncasecmp(range.p, type, slash) == 0)
		return 2;
	return text_is(range, "*/*") || text_is(range, "*") ? 1 : 0;
}

static double of_type(const struct preferences *l, const struct variant *v)
{
	int best = 0;
	double q = 0;

	if (!l->given || l->n == 0 || !v->type)
		return 1;
	for (unsigned i = 0; i < l->n; i++) {
		const struct preference *p = &l->at[i];
		int how = matches_type(p->name, v->type);

		if (how == 0 || how < best || (p->level && v->level && p->level < v->level))
			continue;
		q = !l->weighed && how == 1 ? ANY_ANY : !l->weighed && how == 2 ? ANY_SUBTYPE : p->q;
		best = how;
	}
	return q;
}

/* How a range fits a language: its length + 1, 1 for "*", 0 not at all. "en" fits "en-GB" (RFC 4647, 3.3.1). */
static size_t fits(struct text range, struct text language)
{
	if (text_is(range, "*"))
		return 1;
	if (range.n > language.n || strncasecmp(range.p, language.p, range.n) != 0)
		return 0;
	return range.n == language.n || language.p[range.n] == '-' ? range.n + 1 : 0;
}

/* One language of a variant. *rank: which of the client's it is. */
static double of_one_language(const struct preferences *l, struct text language, int *rank)
{
	size_t best = 0;
	double q = 0;

	for (unsigned i = 0; i < l->n; i++) {
		size_t how = fits(l->at[i].name, language);
		if (how > best) {
			best = how;
			q = l->at[i].q;
			*rank = (int)i;
		}
	}
	if (best > 1)
		return q;
	for (unsigned i = 0; i < l->n; i++)     /* who reads British English reads English, if nothing better is there */
		if (fits(language, l->at[i].name) > 1 && l->at[i].q > 0 && q < NEAR_LANGUAGE) {
			q = NEAR_LANGUAGE;
			*rank = (int)i;
		}
	return q;
}

/* Whether `language` is, or is a kind of, one of the variant's. */
static bool speaks(const struct variant *v, const char *language)
{
	struct text rest = text_of(v->language), one;

	while (fields_list_next(&rest, &one))
		if (text_is_nocase(one, language))
			return true;
	return false;
}

static int rank_by_priority(const struct negotiation_section *s, const struct variant *v)
{
	for (int i = 0; s->priority && s->priority[i]; i++)
		if (v->language && speaks(v, s->priority[i]))
			return i;
	return -1;
}

static void set_language(const struct preferences *l, struct variant *v)
{
	struct text rest = text_of(v->language), one;

	v->rank = -1;
	v->of_language = 1;
	if (l->n == 0)
		return;
	v->of_language = v->language ? 0 : NO_LANGUAGE;
	while (v->language && fields_list_next(&rest, &one)) {
		int rank = -1;
		double q = of_one_language(l, one, &rank);
		if (q > v->of_language) {
			v->of_language = q;
			v->rank = rank;
		}
	}
}

static double of_charset(const struct preferences *l, const struct variant *v)
{
	const char *charset = v->charset;
	double q = -1, star = -1;

	if (l->n == 0)
		return 1;
	if (!charset && (!v->type || strncasecmp(v->type, "text/", 5) != 0))
		return 1;
	if (!charset)
		charset = "iso-8859-1";
	for (unsigned i = 0; i < l->n; i++) {
		if (text_is_nocase(l->at[i].name, charset))
			q = l->at[i].q;
		else if (text_is(l->at[i].name, "*"))
			star = l->at[i].q;
	}
	if (q >= 0 || star >= 0)
		return q >= 0 ? q : star;
	return strcasecmp(charset, "iso-8859-1") == 0 ? 1 : 0;
}

/* "x-gzip" is gzip (RFC 9110, 8.4.1.3). */
static struct text plain_coding(struct text t)
{
	return t.n > 2 && strncasecmp(t.p, "x-", 2) == 0 ? (struct text){ t.p + 2, t.n - 2 } : t;
}

static double of_encoding(const struct preferences *l, const struct variant *v)
{
	struct text coding = plain_coding(v->encoding ? text_of(v->encoding) : TEXT("identity"));
	double star = -1;

	for (unsigned i = 0; i < l->n; i++) {
		if (text_eq_nocase(plain_coding(l->at[i].name), coding))
			return l->at[i].q;
		if (text_is(l->at[i].name, "*"))
			star = l->at[i].q;
	}
	if (star >= 0)
		return star;
	return v->encoding ? 0 : l->given ? NO_CODING : 1;
}

/* ------------------------------------------------------------------------------------------------ comparison */

static int compare_numbers(double a, double b)
{
	return a > b ? 1 : a < b ? -1 : 0;
}

/* A lower rank is better; none is the worst. */
static int compare_ranks(int a, int b)
{
	if (a == b)
		return 0;
	return a < 0 ? -1 : b < 0 ? 1 : a < b ? 1 : -1;
}

static bool is_latin1(const struct variant *v)
{
	return !v->charset || strcasecmp(v->charset, "iso-8859-1") == 0;
}

static bool acceptable(const struct variant *v)
{
	return v->of_type * v->quality > 0 && v->of_language > 0 && v->of_charset > 0 && v->of_encoding > 0;
}

/* Positive: a is better. */
static int compare(const struct negotiation_section *s, const struct variant *a, const struct variant *b)
{
	int rc = compare_numbers(a->of_type * a->quality, b->of_type * b->quality);

	if (!rc)
		rc = compare_numbers(a->of_language, b->of_language);
	if (!rc && s->force & FORCE_PREFER)
		rc = compare_ranks(rank_by_priority(s, a), rank_by_priority(s, b));
	if (!rc)
		rc = compare_ranks(a->rank, b->rank);
	if (!rc)
		rc = a->rank < 0 ? compare_ranks(rank_by_priority(s, a), rank_by_priority(s, b)) : 0;
	if (!rc)
		rc = compare_numbers(a->level, b->level);
	if (!rc)
		rc = compare_numbers(a->of_charset, b->of_charset);
	if (!rc)
		rc = compare_numbers(!is_latin1(a), !is_latin1(b));
	if (!rc)
		rc = compare_numbers(a->of_encoding, b->of_encoding);
	if (!rc && a->size >= 0 && b->size >= 0)
		rc = compare_numbers((double)b->size, (double)a->size);
	return rc;
}

static const struct variant *best_of(const struct negotiation_section *s, const struct variants *v)
{
	const struct variant *best = NULL;

	for (unsigned i = 0; i < v->n; i++)
		if (acceptable(&v->at[i]) && (!best || compare(s, &v->at[i], best) > 0))
			best = &v->at[i];
	return best;
}

/* None is in a language that the client named: they are compared as if it had named none. */
static const struct variant *fall_back(const struct negotiation_section *s, struct variants *v)
{
	for (unsigned i = 0; i < v->n; i++) {
		v->at[i].of_language = 1;
		v->at[i].rank = -1;
	}
	return best_of(s, v);
}

/* ------------------------------------------------------------------------------------------------ the answer's fields */

static bool differ(const struct variants *v, size_t offset)
{
	const char *first = *(const char *const *)(const void *)((const char *)&v->at[0] + offset);

	for (unsigned i = 1; i < v->n; i++) {
		const char *other = *(const char *const *)(const void *)((const char *)&v->at[i] + offset);
		if ((first == NULL) != (other == NULL) || (first && strcasecmp(first, other) != 0))
			return true;
	}
	return false;
}

static void tell(struct request *r, const struct variants *v, const struct variant *best)
{
	const struct negotiation_host *h = host_config(r->host, &negotiation_module);
	static const struct { size_t offset; const char *field; } parts[] = {
		{ offsetof(struct variant, type), "accept" }, { offsetof(struct variant, language), "accept-language" },
		{ offsetof(struct variant, charset), "accept-charset" }, { offsetof(struct variant, encoding), "accept-encoding" },
	};
	char vary[128];
	struct buf b;

	buf_init(&b, vary, sizeof(vary));
	buf_puts(&b, "negotiate");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (differ(v, parts[i].offset) || (!best && i == 0))
			buf_printf(&b, ",%s", parts[i].field);
	fields_add_copy(&r->always, "Vary", vary);
	fields_add(&r->always, TEXT("TCN"), best ? TEXT("choice") : TEXT("list"));
	if (h->cache != 1 && r->major == 1 && r->minor == 0)    /* a proxy of that age knows no Vary */
		fields_add(&r->always, TEXT("Cache-Control"), TEXT("no-cache"));
	if (best && best->name) {
		const char *escaped = uri_escape_path(r->arena, best->name);
		if (escaped)
			fields_add(&r->always, TEXT("Content-Location"), text_of(escaped));
	}
}

const struct variant *negotiate_choose(struct request *r, struct variants *v)
{
	const struct negotiation_section *own = request_config(r, &negotiation_module);
	struct negotiation_section s = *own;
	struct accepted *a = arena_zalloc(r->arena, sizeof(*a));
	const struct variant *best;

	if (!a)
		return NULL;
	if (s.force == FORCE_UNSET)
		s.force = FORCE_PREFER;
	read_field(r, "Accept", &a->types);
	read_field(r, "Accept-Language", &a->languages);
	read_field(r, "Accept-Charset", &a->charsets);
	read_field(r, "Accept-Encoding", &a->encodings);
	for (unsigned i = 0; i < v->n; i++) {
		struct variant *one = &v->at[i];

		one->of_type = of_type(&a->types, one);
		one->of_charset = of_charset(&a->charsets, one);
		one->of_encoding = of_encoding(&a->encodings, one);
		set_language(&a->languages, one);
	}
	best = best_of(&s, v);
	if (s.force & FORCE_FALLBACK && a->languages.n && (!best || !best->language))
		best = fall_back(&s, v);
	tell(r, v, best);
	return best;
}

void negotiate_refuse(struct request *r, const struct variants *v)
{
	size_t room = 512;
	char *page;
	struct buf b;

	for (unsigned i = 0; i < v->n; i++)
		room += 128 + 9 * (v->at[i].name ? strlen(v->at[i].name) : 0) + 6 * (v->at[i].description ? strlen(v->at[i].description) : 0) +
			6 * (v->at[i].type ? strlen(v->at[i].type) : 0) + 6 * (v->at[i].language ? strlen(v->at[i].language) : 0);
	if (!(page = arena_alloc(r->arena, room))) {
		response_error(r, 503);
		return;
	}
	buf_init(&b, page, room);
	buf_puts(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>406 Not Acceptable</title>\n</head>\n<body>\n<h1>Not Acceptable</h1>\n"
		 "<p>None of the variants of this document is what the client accepts. There are:</p>\n<ul>\n");
	for (unsigned i = 0; i < v->n; i++) {
		const char *reference = v->at[i].name ? uri_escape_path(r->arena, v->at[i].name) : NULL;
		const char *const more[] = { v->at[i].description, v->at[i].type, v->at[i].language };

		if (!reference)
			continue;
		buf_puts(&b, "<li><a href=\"");
		buf_put_html(&b, text_of(reference));
		buf_puts(&b, "\">");
		buf_put_html(&b, text_of(v->at[i].name));
		buf_puts(&b, "</a>");
		for (unsigned k = 0; k < 3; k++) {
			if (!more[k])
				continue;
			buf_puts(&b, k ? ", " : " ");
			buf_put_html(&b, text_of(more[k]));
		}
		buf_puts(&b, "</li>\n");
	}
	buf_puts(&b, "</ul>\n</body>\n</html>\n");
	response_text(r, 406, "text/html; charset=utf-8", page, b.n);
}

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	struct negotiation_host *h = conf_alloc(env, sizeof(*h));

	h->cache = CONF_UNSET;
	return h;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	struct negotiation_host *m = conf_alloc(env, sizeof(*m));

	*m = *(const struct negotiation_host *)(((const struct negotiation_host *)over)->cache != CONF_UNSET ? over : base);
	return m;
}

static void *create_section(struct conf_env *env)
{
	struct negotiation_section *s = conf_alloc(env, sizeof(*s));

	s->force = FORCE_UNSET;
	return s;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct negotiation_section *b = base, *o = over;
	struct negotiation_section *m = conf_alloc(env, sizeof(*m));

	m->priority = o->priority ? o->priority : b->priority;
	m->force = o->force != FORCE_UNSET ? o->force : b->force;
	return m;
}

static int set_priority(struct conf_call *call, void *config, int argc, char **argv)
{
	struct negotiation_section *s = config;
	size_t n = 0;
	const char **more;

	(void)argc;
	while (s->priority && s->priority[n])
		n++;
	more = conf_alloc(call->env, (n + 2) * sizeof(*more));
	if (n)
		memcpy(more, s->priority, n * sizeof(*more));
	more[n] = conf_strdup(call->env, argv[0]);
	s->priority = more;
	return 0;
}

static int set_force(struct conf_call *call, void *config, int argc, char **argv)
{
	struct negotiation_section *s = config;

	s->force = FORCE_NONE;
	for (int i = 0; i < argc; i++) {
		bool none = strcasecmp(argv[i], "None") == 0;

		if (none && argc > 1)
			return conf_fail(call, "write None alone", "None and other words exclude each other");
		if (strcasecmp(argv[i], "Prefer") == 0)
			s->force |= FORCE_PREFER;
		else if (strcasecmp(argv[i], "Fallback") == 0)
			s->force |= FORCE_FALLBACK;
		else if (!none)
			return conf_fail(call, "write None, or Prefer and Fallback", "\"%s\" is none of its words", argv[i]);
	}
	return 0;
}

static const struct conf_directive directives[] = {
	{ "LanguagePriority", "the order of languages where the client leaves the choice", NULL, .contexts = CONF_ALL, .override = CONF_OR_FILEINFO,
	  .args = CONF_ITERATE, .scope = CONF_OF_SECTION, .set = set_priority },
	{ "ForceLanguagePriority", "when LanguagePriority decides", "Prefer", .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .args = CONF_TAKE,
	  .min = 1, .max = 2, .scope = CONF_OF_SECTION, .set = set_force },
	{ "CacheNegotiatedDocs", "whether proxies of HTTP/1.0 may keep negotiated documents", "Off", .contexts = CONF_RSRC, .args = CONF_FLAG,
	  .scope = CONF_OF_HOST, .set = conf_set_flag, .offset = offsetof(struct negotiation_host, cache) },
	{ .name = NULL },
};

struct conf_module negotiation_module = {
	.name = "negotiation_module",
	.source = "mod_negotiation.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
	.create_section = create_section,
	.merge_section = merge_section,
};
