/*
 * indexread.c - the directives of listings (mod_autoindex). Runs in the master, and in children for per-directory files.
 */
#include "handler/autoindex.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define WIDTH_MOST 4096

/* ------------------------------------------------------------------------------------------------ structures */

static void *create_section(struct conf_env *env)
{
	struct index_section *s = conf_alloc(env, sizeof(*s));

	s->name_width = s->description_width = s->icon_width = s->icon_height = CONF_UNSET;
	s->ignore_reset = s->descending = CONF_UNSET;
	return s;
}

/* The list `over` followed by `base`: the innermost is asked first. */
static const struct index_item *items_joined(struct conf_env *env, const struct index_item *over, const struct index_item *base)
{
	const struct index_item *first = NULL, **to = &first;

	for (; over && base; over = over->next) {
		struct index_item *copy = conf_alloc(env, sizeof(*copy));
		*copy = *over;
		*to = copy;
		to = &copy->next;
	}
	*to = base ? base : over;
	return first;
}

static const char **names_joined(struct conf_env *env, const char **a, const char **b)
{
	size_t na = 0, nb = 0;
	const char **all;

	if (!a || !b)
		return a ? a : b;
	while (a[na])
		na++;
	while (b[nb])
		nb++;
	all = conf_alloc(env, (na + nb + 1) * sizeof(*all));
	memcpy(all, a, na * sizeof(*all));
	memcpy(all + na, b, nb * sizeof(*all));
	return all;
}

/* m begins as what is written there. Words without a sign replace everything; words with one are added to, or taken from, what is inherited. */
static void merge_options(struct index_section *m, const struct index_section *b)
{
	if (m->options & INDEX_NONE) {
		m->options = INDEX_NONE;
		m->add = m->remove = 0;
	} else if (!m->options) {
		unsigned add = m->add, remove = m->remove;

		m->options = b->options & ~(unsigned)INDEX_NONE;
		m->add = (b->add & ~remove) | add;
		m->remove = (b->remove & ~add) | remove;
	}
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct index_section *b = base, *o = over;
	struct index_section *m = conf_alloc(env, sizeof(*m));

	*m = *o;
	CONF_INHERIT(m, b, name_width, CONF_UNSET);
	CONF_INHERIT(m, b, description_width, CONF_UNSET);
	CONF_INHERIT(m, b, icon_width, CONF_UNSET);
	CONF_INHERIT(m, b, icon_height, CONF_UNSET);
	CONF_INHERIT(m, b, descending, CONF_UNSET);
	CONF_INHERIT(m, b, type, NULL);
	CONF_INHERIT(m, b, charset, NULL);
	CONF_INHERIT(m, b, default_icon, NULL);
	CONF_INHERIT(m, b, header, NULL);
	CONF_INHERIT(m, b, readme, NULL);
	CONF_INHERIT(m, b, head_insert, NULL);
	CONF_INHERIT(m, b, style, NULL);
	CONF_INHERIT(m, b, sort_key, 0);
	merge_options(m, b);
	m->icons = items_joined(env, o->icons, b->icons);
	m->alts = items_joined(env, o->alts, b->alts);
	m->descriptions = items_joined(env, o->descriptions, b->descriptions);
	m->ignore = o->ignore_reset == 1 ? o->ignore : names_joined(env, o->ignore, b->ignore);
	return m;
}

unsigned index_options(const struct index_section *s)
{
	return ((s->options & ~(unsigned)INDEX_NONE) | s->add) & ~s->remove;
}

/* ------------------------------------------------------------------------------------------------ IndexOptions */

static const struct { const char *word; unsigned bit; } option_words[] = {
	{ "None", INDEX_NONE }, { "FancyIndexing", INDEX_FANCY }, { "FoldersFirst", INDEX_FOLDERS_FIRST }, { "HTMLTable", INDEX_TABLE },
	{ "IconsAreLinks", INDEX_ICONS_ARE_LINKS }, { "IgnoreCase", INDEX_IGNORE_CASE }, { "IgnoreClient", INDEX_IGNORE_CLIENT },
	{ "ScanHTMLTitles", INDEX_TITLES }, { "ShowForbidden", INDEX_FORBIDDEN }, { "SuppressColumnSorting", INDEX_NO_SORTING },
	{ "SuppressDescription", INDEX_NO_DESCRIPTION }, { "SuppressHTMLPreamble", INDEX_NO_PREAMBLE }, { "SuppressIcon", INDEX_NO_ICON },
	{ "SuppressLastModified", INDEX_NO_MODIFIED }, { "SuppressRules", INDEX_NO_RULES }, { "SuppressSize", INDEX_NO_SIZE },
	{ "TrackModified", INDEX_TRACK }, { "VersionSort", INDEX_VERSIONS }, { "XHTML", INDEX_XHTML }, { "UseOldDateFormat", INDEX_OLD_DATES },
};

static unsigned option_of(const char *word)
{
	for (size_t i = 0; i < sizeof(option_words) / sizeof(option_words[0]); i++)
		if (strcasecmp(word, option_words[i].word) == 0)
			return option_words[i].bit;
	return 0;
}

/* NameWidth, DescriptionWidth: 1 taken, 0 another word, -1 reported. */
static int take_width(struct conf_call *call, struct index_section *s, char sign, const char *word)
{
	static const struct { const char *word; size_t n; } names[] = { { "NameWidth", 9 }, { "DescriptionWidth", 16 } };
	int *const to[] = { &s->name_width, &s->description_width };
	uint64_t n;

	for (unsigned i = 0; i < 2; i++) {
		if (strncasecmp(word, names[i].word, names[i].n) != 0 || (word[names[i].n] && word[names[i].n] != '='))
			continue;
		if (sign == '-' && !word[names[i].n])
			*to[i] = CONF_UNSET;
		else if (strcmp(word + names[i].n, "=*") == 0 && sign != '-')
			*to[i] = INDEX_WIDTH_ALL;
		else if (sign == '-' || word[names[i].n] != '=' || text_u64(text_of(word + names[i].n + 1), WIDTH_MOST, &n) != 0 ||
			 (i == 0 && n < 5) || (i == 1 && n < 12))
			return conf_fail(call, i ? "write DescriptionWidth=* or a number from 12 to 4096" : "write NameWidth=* or a number from 5 to 4096",
					 "\"%s\" is no width", word);
		else
			*to[i] = (int)n;
		return 1;
	}
	return 0;
}

/* IconWidth[=n], IconHeight[=n], Type=, Charset=: as take_width. */
static int take_value(struct conf_call *call, struct index_section *s, char sign, const char *word)
{
	static const struct { const char *word; size_t n; } icons[] = { { "IconWidth", 9 }, { "IconHeight", 10 } };
	int *const to[] = { &s->icon_width, &s->icon_height };
	uint64_t n = INDEX_ICON_SIZE;

	for (unsigned i = 0; i < 2; i++) {
		const char *rest = word + icons[i].n;

		if (strncasecmp(word, icons[i].word, icons[i].n) != 0 || (*rest && *rest != '='))
			continue;
		if (*rest && (sign == '-' || text_u64(text_of(rest + 1), WIDTH_MOST, &n) != 0))
			return conf_fail(call, "write a number of pixels, or the word alone", "\"%s\" is no size", word);
		*to[i] = sign == '-' ? CONF_UNSET : (int)n;
		return 1;
	}
	if (strncasecmp(word, "Type=", 5) == 0)
		s->type = conf_strdup(call->env, word + 5);
	else if (strncasecmp(word, "Charset=", 8) == 0)
		s->charset = conf_strdup(call->env, word + 8);
	else
		return 0;
	return 1;
}

static int set_options(struct conf_call *call, void *config, int argc, char **argv)
{
	struct index_section *s = config;

	for (int i = 0; i < argc; i++) {
		char sign = argv[i][0] == '+' || argv[i][0] == '-' ? argv[i][0] : '\0';
		const char *word = argv[i] + (sign != '\0');
		unsigned bit = option_of(word);
		int rc;

		if (!bit) {
			if ((rc = take_width(call, s, sign, word)) == 0)
				rc = take_value(call, s, sign, word);
			if (rc == 0)
				return conf_fail(call, "see IndexOptions in bulkhead.conf(5) for its words", "\"%s\" is none of its words", argv[i]);
			if (rc < 0)
				return -1;
		} else if (bit == INDEX_NONE && sign) {
			return conf_fail(call, "write None, or the words that are to go with a - each", "None takes no sign");
		} else if (sign == '+') {
			s->add |= bit;
			s->remove &= ~bit;
		} else if (sign == '-') {
			s->remove |= bit;
			s->add &= ~bit;
		} else {
			s->options |= bit;
			s->add = s->remove = 0;
		}
	}
	if (s->options & INDEX_NONE && (s->options & ~(unsigned)INDEX_NONE))
		return conf_fail(call, "write None alone", "None and other words exclude each other");
	return 0;
}

/* ------------------------------------------------------------------------------------------------ items */

static int too_long(struct conf_call *call, const char *value)
{
	if (strlen(value) <= INDEX_VALUE_MOST)
		return 0;
	return conf_fail(call, "put it into a file that HeaderName or ReadmeName shows", "its text has more than %d bytes", INDEX_VALUE_MOST);
}

static int set_word(struct conf_call *call, void *config, int argc, char **argv)
{
	return too_long(call, argv[0]) == 0 ? conf_set_string(call, config, argc, argv) : -1;
}

static void append(struct conf_env *env, const struct index_item **list, struct index_item item)
{
	struct index_item *last = conf_alloc(env, sizeof(*last));

	*last = item;
	while (*list)
		list = (const struct index_item **)(uintptr_t)&(*list)->next;
	*list = last;
}

static enum index_by by_of(const struct conf_call *call)
{
	const char *name = call->directive->name;

	return strstr(name, "ByType") ? INDEX_BY_TYPE : strstr(name, "ByEncoding") ? INDEX_BY_CODING : INDEX_BY_NAME;
}

/* What a name stands for: an ending, a pattern, a whole name. */
static const char *name_pattern(struct conf_env *env, enum index_by by, const char *word)
{
	if (by != INDEX_BY_NAME || strncmp(word, "^^", 2) == 0 || *word == '*' || *word == '/')
		return conf_strdup(env, word);
	return conf_printf(env, "*%s", word);
}

static int set_icon(struct conf_call *call, void *config, int argc, char **argv)
{
	struct index_section *s = config;
	struct index_item item = { .by = by_of(call), .value = argv[0] };
	char *comma, *end;

	(void)argc;
	if (too_long(call, argv[0]) != 0)
		return -1;
	if (argv[0][0] == '(') {
		end = argv[0] + strlen(argv[0]) - 1;
		comma = strchr(argv[0], ',');
		if (*end != ')' || !comma)
			return conf_fail(call, "write (TXT,/icons/text.gif)", "\"%s\" has no closing parenthesis, or no comma", argv[0]);
		item.alt = conf_printf(call->env, "%.*s", (int)(comma - argv[0] - 1), argv[0] + 1);
		item.value = conf_printf(call->env, "%.*s", (int)(end - comma - 1), comma + 1);
	} else {
		item.value = conf_strdup(call->env, argv[0]);
	}
	if (strcmp(argv[1], "^^DIRECTORY^^") != 0 && strcmp(argv[1], "^^BLANKICON^^") != 0 && strncmp(argv[1], "^^", 2) == 0)
		return conf_fail(call, "use ^^DIRECTORY^^ or ^^BLANKICON^^", "\"%s\" stands for nothing", argv[1]);
	item.pattern = name_pattern(call->env, item.by, argv[1]);
	append(call->env, &s->icons, item);
	return 0;
}

static int set_alt(struct conf_call *call, void *config, int argc, char **argv)
{
	struct index_section *s = config;
	enum index_by by = by_of(call);

	(void)argc;
	if (too_long(call, argv[0]) != 0)
		return -1;
	append(call->env, &s->alts, (struct index_item){ .by = by, .value = conf_strdup(call->env, argv[0]),
							 .pattern = name_pattern(call->env, by, argv[1]) });
	return 0;
}

static int set_description(struct conf_call *call, void *config, int argc, char **argv)
{
	struct index_section *s = config;
	bool path = strchr(argv[1], '/') != NULL;

	(void)argc;
	if (too_long(call, argv[0]) != 0)
		return -1;
	append(call->env, &s->descriptions, (struct index_item){
		.by = INDEX_BY_NAME, .value = conf_strdup(call->env, argv[0]), .whole_path = path,
		.pattern = conf_printf(call->env, "%s%s*", path ? "*/" : "", argv[1] + (path && argv[1][0] == '/')) });
	return 0;
}

static int set_ignore(struct conf_call *call, void *config, int argc, char **argv)
{
	struct index_section *s = config;
	const char **one = conf_alloc(call->env, 2 * sizeof(*one));

	(void)argc;
	one[0] = conf_strdup(call->env, argv[0]);
	s->ignore = names_joined(call->env, s->ignore, one);
	return 0;
}

static int set_order(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct { const char *word; char key; } keys[] = { { "Name", 'N' }, { "Date", 'M' }, { "Size", 'S' }, { "Description", 'D' } };
	struct index_section *s = config;

	(void)argc;
	if (strcasecmp(argv[0], "Ascending") != 0 && strcasecmp(argv[0], "Descending") != 0)
		return conf_fail(call, "write Ascending or Descending first", "\"%s\" is no direction", argv[0]);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcasecmp(argv[1], keys[i].word) == 0) {
			s->descending = strcasecmp(argv[0], "Descending") == 0;
			s->sort_key = keys[i].key;
			return 0;
		}
	}
	return conf_fail(call, "write Name, Date, Size or Description", "\"%s\" is no column", argv[1]);
}

#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_INDEXES, .scope = CONF_OF_SECTION
#define WORD(field) EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_word, .offset = offsetof(struct index_section, field)
#define PAIRS(setter) EVERYWHERE, .args = CONF_ITERATE2, .set = setter

static const struct conf_directive directives[] = {
	{ "IndexOptions", "how listings look", NULL, EVERYWHERE, .args = CONF_TAKE, .min = 1, .set = set_options },
	{ "IndexIgnore", "names that are not listed", NULL, EVERYWHERE, .args = CONF_ITERATE, .set = set_ignore },
	{ "IndexIgnoreReset", "whether the names of IndexIgnore outside count no longer", "Off", EVERYWHERE, .args = CONF_FLAG, .set = conf_set_flag,
	  .offset = offsetof(struct index_section, ignore_reset) },
	{ "IndexOrderDefault", "how listings are sorted", "Ascending Name", EVERYWHERE, .args = CONF_TAKE, .min = 2, .max = 2, .set = set_order },
	{ "IndexHeadInsert", "text for the head of listings", NULL, WORD(head_insert) },
	{ "IndexStyleSheet", "the style sheet of listings", NULL, WORD(style) },
	{ "HeaderName", "the file shown above a listing", NULL, WORD(header) },
	{ "ReadmeName", "the file shown below a listing", NULL, WORD(readme) },
	{ "DefaultIcon", "the icon of what has no other", NULL, WORD(default_icon) },
	{ "AddIcon", "an icon for names", NULL, PAIRS(set_icon) },
	{ "AddIconByType", "an icon for types", NULL, PAIRS(set_icon) },
	{ "AddIconByEncoding", "an icon for codings", NULL, PAIRS(set_icon) },
	{ "AddAlt", "the text in place of an icon for names", NULL, PAIRS(set_alt) },
	{ "AddAltByType", "the text in place of an icon for types", NULL, PAIRS(set_alt) },
	{ "AddAltByEncoding", "the text in place of an icon for codings", NULL, PAIRS(set_alt) },
	{ "AddDescription", "a description of names", NULL, PAIRS(set_description) },
	{ .name = NULL },
};

struct conf_module autoindex_module = {
	.name = "autoindex_module",
	.source = "mod_autoindex.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};
