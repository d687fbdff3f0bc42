/*
 * core.c - Apache's core directives of hosts and sections: the table, its setters, merging. Runs where a configuration is read, and
 * in children that merge sections. What they come to: corevalue.c.
 */
#include "request/core.h"

#include <string.h>
#include <strings.h>

#include "request/openfiles.h"
#include "request/sections.h"
#include "request/variables.h"

/* ---------------------------------------------------------------------------------------------- structures */

static void *create_host(struct conf_env *env)
{
	struct core_host *h = conf_alloc(env, sizeof *h);

	h->tokens = h->trace = h->slashes = h->merge_slashes = h->strict_host = CONF_UNSET;
	h->redirects = h->subrequests = h->files_kept = CONF_UNSET;
	return h;
}

static void *merge_host(struct conf_env *env, const void *pbase, const void *pover)
{
	const struct core_host *base = pbase;
	struct core_host *m = conf_alloc(env, sizeof *m);

	*m = *(const struct core_host *)pover;
	CONF_INHERIT(m, base, admin, NULL);
	if (!m->root) {
		m->root = base->root;
		m->root_pos = base->root_pos;
	}
	CONF_INHERIT(m, base, access_names, NULL);
	m->tokens = base->tokens;               /* of the whole server */
	CONF_INHERIT(m, base, trace, CONF_UNSET);
	CONF_INHERIT(m, base, slashes, CONF_UNSET);
	CONF_INHERIT(m, base, merge_slashes, CONF_UNSET);
	CONF_INHERIT(m, base, strict_host, CONF_UNSET);
	CONF_INHERIT(m, base, redirects, CONF_UNSET);
	CONF_INHERIT(m, base, files_kept, CONF_UNSET);
	CONF_INHERIT(m, base, subrequests, CONF_UNSET);
	return m;
}

static void *create_section(struct conf_env *env)
{
	struct core_section *c = conf_alloc(env, sizeof *c);

	c->override = CONF_UNSET;
	c->limit_body = CONF_UNSET;
	c->canonical_name = c->canonical_port = c->signature = c->path_info = c->qualify_url = c->etag = CONF_UNSET;
	c->max_ranges = c->max_overlaps = c->max_reversals = CONF_UNSET;
	return c;
}

/*
 * Options without signs replace, those with signs change what is inherited: where that is a fixed set, the result is one;
 * else the signs add up until the default is known to be theirs.
 */
static void merge_options(const struct core_section *base, struct core_section *m)
{
	unsigned add = m->options_add, remove = m->options_remove;

	if (m->options_set)
		return;
	m->options_set = base->options_set;
	m->options = (base->options & ~remove) | add;
	m->options_add = (base->options_add & ~remove) | add;
	m->options_remove = (base->options_remove & ~add) | remove;
}

static void merge_etag(const struct core_section *base, struct core_section *m)
{
	int add = m->etag_add, remove = m->etag_remove;

	if (m->etag != CONF_UNSET)
		return;
	if (base->etag != CONF_UNSET)
		m->etag = (base->etag & ~remove) | add;
	m->etag_add = (base->etag_add & ~remove) | add;
	m->etag_remove = (base->etag_remove & ~add) | remove;
}

/* The inner ones before the outer ones. */
static const struct core_errordoc *merge_errordocs(struct conf_env *env, const struct core_errordoc *base, const struct core_errordoc *over)
{
	const struct core_errordoc *first = NULL, **tail = &first;

	if (!base)
		return over;
	for (; over; over = over->next) {
		struct core_errordoc *copy = conf_alloc(env, sizeof *copy);
		*copy = *over;
		*tail = copy;
		tail = &copy->next;
	}
	*tail = base;
	return first;
}

static void *merge_section(struct conf_env *env, const void *pbase, const void *pover)
{
	const struct core_section *base = pbase;
	struct core_section *m = conf_alloc(env, sizeof *m);

	*m = *(const struct core_section *)pover;
	merge_options(base, m);
	merge_etag(base, m);
	m->errordocs = merge_errordocs(env, base->errordocs, m->errordocs);
	if (m->override == CONF_UNSET) {
		m->override = base->override;
		m->override_options = base->override_options;
		m->nonfatal = base->nonfatal;
	}
	CONF_INHERIT(m, base, override_list, NULL);
	CONF_INHERIT(m, base, limit_body, CONF_UNSET);
	CONF_INHERIT(m, base, canonical_name, CONF_UNSET);
	CONF_INHERIT(m, base, canonical_port, CONF_UNSET);
	CONF_INHERIT(m, base, signature, CONF_UNSET);
	CONF_INHERIT(m, base, path_info, CONF_UNSET);
	CONF_INHERIT(m, base, qualify_url, CONF_UNSET);
	CONF_INHERIT(m, base, max_ranges, CONF_UNSET);
	CONF_INHERIT(m, base, max_overlaps, CONF_UNSET);
	CONF_INHERIT(m, base, max_reversals, CONF_UNSET);
	return m;
}

/* ---------------------------------------------------------------------------------------------- setters: hosts */

static int set_document_root(struct conf_call *call, void *config, int argc, char **argv)
{
	struct core_host *h = config;
	char *path = conf_path(call->env, argv[0]);
	size_t n = strlen(path);

	(void)argc;
	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	h->root = path;
	h->root_pos = call->node->pos;
	return 0;
}

/* A list of words that grows; ended by NULL. */
static const char **list_add(struct conf_env *env, const char **list, const char *word)
{
	unsigned n = 0;
	const char **grown;

	while (list && list[n])
		n++;
	grown = conf_alloc(env, (n + 2) * sizeof *grown);
	if (n)
		memcpy(grown, list, n * sizeof *grown);
	grown[n] = conf_strdup(env, word);
	return grown;
}

static int set_access_names(struct conf_call *call, void *config, int argc, char **argv)
{
	struct core_host *h = config;

	h->access_names = NULL;
	for (int i = 0; i < argc; i++) {
		if (strchr(argv[i], '/'))
			return conf_fail(call, NULL, "\"%s\" is a path; it takes names of files", argv[i]);
		h->access_names = list_add(call->env, h->access_names, argv[i]);
	}
	return 0;
}

static int set_recursion(struct conf_call *call, void *config, int argc, char **argv)
{
	struct core_host *h = config;
	int64_t *to[2] = { &h->redirects, &h->subrequests };

	for (int i = 0; i < 2; i++) {
		const char *word = argv[argc > i ? i : 0];
		uint64_t n = 0;
		if (text_u64(text_of(word), 1000, &n) != 0 || n == 0)
			return conf_fail(call, NULL, "\"%s\" is not a number from 1 to 1000", word);
		*to[i] = (int64_t)n;
	}
	return 0;
}

/* ---------------------------------------------------------------------------------------------- setters: sections */

static const struct conf_choice option_words[] = {
	{ "None", 0 }, { "All", CORE_OPT_ALL }, { "Indexes", CORE_OPT_INDEXES }, { "Includes", CORE_OPT_INCLUDES },
	{ "IncludesNOEXEC", CORE_OPT_INCLUDES | CORE_OPT_INCLUDES_NOEXEC }, { "FollowSymLinks", CORE_OPT_FOLLOW },
	{ "SymLinksIfOwnerMatch", CORE_OPT_OWNER }, { "ExecCGI", CORE_OPT_EXECCGI }, { "RunScripts", CORE_OPT_EXECCGI }, { "MultiViews", CORE_OPT_MULTIVIEWS },
	{ NULL, 0 },
};

static const struct conf_choice *word_find(const struct conf_choice *words, const char *word)
{
	for (; words->word; words++)
		if (strcasecmp(words->word, word) == 0)
			return words;
	return NULL;
}

/* Signs change what is inherited; words without a sign replace it. Both in one line only as "All -Indexes" or "None +Indexes". */
static int set_options(struct conf_call *call, void *config, int argc, char **argv)
{
	struct core_section *c = config;
	const struct conf_allowed *allowed = call->target->allowed;
	bool plain = false, whole = false, sign = false;

	for (int i = 0; i < argc; i++) {
		char how = argv[i][0] == '+' || argv[i][0] == '-' ? argv[i][0] : '\0';
		const struct conf_choice *word = word_find(option_words, argv[i] + (how != 0));
		unsigned bits;
		if (!word)
			return conf_fail(call, "the options are All, None, Indexes, Includes, IncludesNOEXEC, FollowSymLinks, SymLinksIfOwnerMatch, ExecCGI, MultiViews",
					 "there is no option \"%s\"", argv[i]);
		if ((word->value == 0 || word->value == CORE_OPT_ALL) && (how || i))
			return conf_fail(call, "write it first and without a sign, as in Options All -Indexes", "%s stands for the whole set", argv[i]);
		if ((how && plain && !whole) || (!how && sign))
			return conf_fail(call, "give every option a sign, or none", "options with and without a sign (+ or -) cannot be mixed");
		bits = (unsigned)word->value;
		if (allowed && (bits & ~allowed->options))
			return conf_fail(call, "AllowOverride Options=… in the folder's <Directory> section names those that it may set",
					 "the option %s is not allowed here", argv[i]);
		sign |= how != 0;
		if (!how) {
			whole |= word->value == 0 || word->value == CORE_OPT_ALL;
			if (!plain || word->value == 0)
				c->options = c->options_add = c->options_remove = 0;
			plain = c->options_set = true;
			c->options |= bits;
		} else if (plain || c->options_set) {           /* after a line without signs in the same section, too */
			c->options = how == '+' ? c->options | bits : c->options & ~bits;
		} else if (how == '+') {
			c->options_add |= bits;
			c->options_remove &= ~bits;
		} else {
			c->options_remove |= bits;
			c->options_add &= ~bits;
		}
	}
	return 0;
}

static int override_options(struct conf_call *call, struct core_section *c, char *list)
{
	for (char *word = list, *next; word && *word; word = next) {
		const struct conf_choice *found;
		next = strchr(word, ',');
		if (next)
			*next++ = '\0';
		found = word_find(option_words, word);
		if (!found)
			return conf_fail(call, NULL, "there is no option \"%s\"", word);
		c->override_options |= (unsigned)found->value;
	}
	return 0;
}

/* What a per-directory file may want must be there before: the resolver, threads for slow hashes. */
static void may_ask(struct conf_call *call, bool names, bool passwords)
{
	struct site *site = reading_of(call)->site;

	site->asks_names |= names;
	site->asks_passwords |= passwords;
}

static int set_allow_override(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct conf_choice words[] = {
		{ "None", CONF_OR_NONE },
		{ "All", CONF_OR_ANY },
		{ "AuthConfig", CONF_OR_AUTHCONFIG }, { "FileInfo", CONF_OR_FILEINFO }, { "Indexes", CONF_OR_INDEXES }, { "Limit", CONF_OR_LIMIT },
		{ "Options", CONF_OR_OPTIONS }, { NULL, 0 },
	};
	static const struct conf_choice nonfatal_words[] = {
		{ "Override", CONF_NONFATAL_OVERRIDE }, { "Unknown", CONF_NONFATAL_UNKNOWN }, { "All", CONF_NONFATAL_OVERRIDE | CONF_NONFATAL_UNKNOWN }, { NULL, 0 },
	};
	struct core_section *c = config;

	if (call->context != CONF_DIRECTORY)
		conf_warn(call, "move it into a <Directory>", "it works in <Directory> alone, and does nothing here");
	c->override = CONF_OR_NONE;
	c->override_options = ~0u;
	c->nonfatal = 0;
	for (int i = 0; i < argc; i++) {
		const struct conf_choice *word;
		char *list = strchr(argv[i], '=');
		if (list)
			*list++ = '\0';
		if (list && strcasecmp(argv[i], "Nonfatal") == 0) {
			const struct conf_choice *kind = word_find(nonfatal_words, list);
			if (!kind)
				return conf_fail(call, "write Nonfatal=Override, Nonfatal=Unknown or Nonfatal=All", "there is no kind \"%s\" of Nonfatal", list);
			c->nonfatal |= (unsigned)kind->value;
			continue;
		}
		word = word_find(words, argv[i]);
		if (!word || (list && word->value != CONF_OR_OPTIONS))
			return conf_fail(call, "the groups are All, None, AuthConfig, FileInfo, Indexes, Limit, Options[=…]", "there is no group \"%s\"", argv[i]);
		c->override |= word->value;
		if (list) {
			c->override_options = 0;
			if (override_options(call, c, list) != 0)
				return -1;
		}
	}
	may_ask(call, c->override & (CONF_OR_AUTHCONFIG | CONF_OR_LIMIT), c->override & CONF_OR_AUTHCONFIG);
	return 0;
}

static int set_override_list(struct conf_call *call, void *config, int argc, char **argv)
{
	struct core_section *c = config;
	const char **list = conf_alloc(call->env, ((size_t)argc + 1) * sizeof *list);
	unsigned n = 0;

	for (int i = 0; i < argc; i++) {
		const struct conf_directive *named = conf_find(call->modules, argv[i], NULL);
		if (strcasecmp(argv[i], "None") == 0) {
			if (argc > 1)
				return conf_fail(call, "write None alone, or the names alone", "None cannot stand beside names");
		} else if (!named) {
			conf_warn(call, NULL, "%s is no directive: left out", argv[i]);
		} else if (!(named->contexts & CONF_HTACCESS)) {
			conf_warn(call, NULL, "%s can never stand in per-directory files: left out", argv[i]);
		} else {
			list[n++] = named->name;
		}
	}
	c->override_list = list;
	may_ask(call, n > 0, n > 0);
	return 0;
}

/* ErrorDocument 404 /path | URL | "text" | default. A word that is neither path nor URL is text; its last quote may be missing. */
static int set_error_document(struct conf_call *call, void *config, int argc, char **argv)
{
	struct core_section *c = config;
	struct core_errordoc *doc = conf_alloc(call->env, sizeof *doc);
	const char *rest = argv[0], *word = conf_word(call->env, &rest);
	uint64_t status = 0;

	(void)argc;
	if (!word || text_u64(text_of(word), 599, &status) != 0 || status < 400)
		return conf_fail(call, "write a status of an error, 400 to 599, and what answers it", "\"%s\" is no status of an error", word ? word : "");
	while (*rest == ' ' || *rest == '\t')
		rest++;
	if (!*rest)
		return conf_fail(call, "write ErrorDocument 404 /missing.html", "the document is missing");
	doc->status = (unsigned)status;
	doc->value = conf_word(call->env, &rest);
	if (!doc->value || !*doc->value)
		return conf_fail(call, "write ErrorDocument 404 \" \" for an empty page", "the document is missing");
	if (strcasecmp(doc->value, "default") == 0)
		doc->kind = CORE_DOCUMENT_DEFAULT;
	else if (doc->value[0] == '/')
		doc->kind = CORE_DOCUMENT_PATH;
	else if (strstr(doc->value, "://") && strcspn(doc->value, " \t") == strlen(doc->value))
		doc->kind = CORE_DOCUMENT_URL;
	else
		doc->kind = CORE_DOCUMENT_TEXT;
	if (conf_word(call->env, &rest))
		return conf_fail(call, "put a text in quotes", "there are words behind \"%s\"", doc->value);
	if (strpbrk(doc->value, "%$\\") && !(doc->expr = variables_text(call, doc->value)))
		return -1;
	if (doc->kind == CORE_DOCUMENT_URL && status == 401) {
		conf_warn(call, "name a path of this server", "a redirect cannot answer 401, the client would never be asked for a password: "
			  "this line is left out");
		return 0;
	}
	doc->next = c->errordocs;
	c->errordocs = doc;
	return 0;
}

/* MaxRanges and its like: default, unlimited, none, or a number. */
static int set_range_limit(struct conf_call *call, void *config, int argc, char **argv)
{
	int64_t *to = (int64_t *)(void *)((char *)config + call->directive->offset);
	struct text word = text_of(argv[0]);
	uint64_t n = 0;

	(void)argc;
	if (text_is_nocase(word, "default"))
		*to = CONF_UNSET - 1;           /* and not what is inherited */
	else if (text_is_nocase(word, "unlimited"))
		*to = CORE_UNLIMITED;
	else if (text_is_nocase(word, "none"))
		*to = 0;
	else if (text_u64(word, INT32_MAX, &n) == 0 && n > 0)
		*to = (int64_t)n;
	else
		return conf_fail(call, "write default, unlimited, none or a number from 1 on", "\"%s\" is none of them", argv[0]);
	return 0;
}

static int set_etag(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct conf_choice words[] = {
		{ "None", 0 }, { "All", CORE_ETAG_INODE | CORE_ETAG_MTIME | CORE_ETAG_SIZE }, { "INode", CORE_ETAG_INODE },
		{ "MTime", CORE_ETAG_MTIME }, { "Size", CORE_ETAG_SIZE }, { "Digest", CORE_ETAG_DIGEST }, { NULL, 0 },
	};
	struct core_section *c = config;

	for (int i = 0; i < argc; i++) {
		char how = argv[i][0] == '+' || argv[i][0] == '-' ? argv[i][0] : '\0';
		const struct conf_choice *word = word_find(words, argv[i] + (how != 0));
		if (!word || (how && (word->value == 0 || word == &words[1])))
			return conf_fail(call, "write All, None, or some of INode, MTime, Size, Digest with or without a sign", "\"%s\" is not known here", argv[i]);
		if (!how) {
			c->etag = (i && c->etag != CONF_UNSET ? c->etag : 0) | word->value;
		} else if (how == '+') {
			c->etag_add |= word->value;
			c->etag_remove &= ~word->value;
		} else {
			c->etag_remove |= word->value;
			c->etag_add &= ~word->value;
		}
	}
	return 0;
}

/* ---------------------------------------------------------------------------------------------- the table */

static const struct conf_choice canonical_words[] = {
	{ "Off", CORE_CANONICAL_OFF }, { "On", CORE_CANONICAL_ON }, { "DNS", CORE_CANONICAL_DNS }, { NULL, 0 },
};
static const struct conf_choice token_words[] = {
	{ "Prod", CORE_TOKENS_PROD }, { "ProductOnly", CORE_TOKENS_PROD }, { "Major", CORE_TOKENS_MAJOR }, { "Minor", CORE_TOKENS_MINOR },
	{ "Min", CORE_TOKENS_MIN }, { "Minimal", CORE_TOKENS_MIN }, { "OS", CORE_TOKENS_OS }, { "Full", CORE_TOKENS_FULL }, { NULL, 0 },
};
static const struct conf_choice signature_words[] = {
	{ "Off", CORE_SIGNATURE_OFF }, { "On", CORE_SIGNATURE_ON }, { "EMail", CORE_SIGNATURE_EMAIL }, { NULL, 0 },
};
static const struct conf_choice slash_words[] = {
	{ "Off", CORE_SLASHES_OFF }, { "On", CORE_SLASHES_ON }, { "NoDecode", CORE_SLASHES_NODECODE }, { NULL, 0 },
};
static const struct conf_choice trace_words[] = {
	{ "Off", CORE_TRACE_OFF }, { "On", CORE_TRACE_ON }, { "extended", CORE_TRACE_EXTENDED }, { NULL, 0 },
};
static const struct conf_choice path_info_words[] = {
	{ "Off", CORE_PATH_INFO_OFF }, { "On", CORE_PATH_INFO_ON }, { "Default", CORE_PATH_INFO_DEFAULT }, { NULL, 0 },
};

#define ONE .args = CONF_TAKE, .min = 1, .max = 1
#define OF_HOST(field) .scope = CONF_OF_HOST, .offset = offsetof(struct core_host, field)
#define OF_SECTION(field) .scope = CONF_OF_SECTION, .offset = offsetof(struct core_section, field)
#define EVERYWHERE(group) .contexts = CONF_ALL, .override = CONF_OR_##group, .scope = CONF_OF_SECTION
#define NOTICE(why) .set = conf_set_notice, .extra = why

static const struct conf_directive directives[] = {
	{ "<VirtualHost", "a site of its own on these addresses", NULL, CONF_SERVER, .args = CONF_SECTION, .set = host_set_virtual_host },
	{ "ServerName", "the host's name, with scheme and port where the client sees others", NULL, CONF_RSRC, ONE, .set = host_set_name },
	{ "ServerAlias", "further names of a virtual host; * and ? are wildcards", NULL, CONF_HOST, .args = CONF_ITERATE, .set = host_set_alias },
	{ "ServerPath", "the path that stands for a virtual host where a client names none", NULL, CONF_HOST, ONE, .set = host_set_path },
	{ "NameVirtualHost", "an address with several hosts", NULL, CONF_SERVER, ONE, NOTICE("an address may always have several hosts, as in Apache 2.4") },
	{ "ServerAdmin", "the address that error pages name", NULL, CONF_RSRC, ONE, OF_HOST(admin), .set = conf_set_string },
	{ "DocumentRoot", "the folder whose files are served", NULL, CONF_RSRC, ONE, .set = set_document_root },
	{ "AccessFileName", "the names of per-directory files", ".htaccess", CONF_RSRC, .args = CONF_TAKE, .min = 1, .set = set_access_names },
	{ "ServerTokens", "how much the Server field tells", "Full", CONF_SERVER, ONE, OF_HOST(tokens), .set = conf_set_choice, .extra = token_words },
	{ "TraceEnable", "whether TRACE is answered", "On", CONF_RSRC, ONE, OF_HOST(trace), .set = conf_set_choice, .extra = trace_words },
	{ "AllowEncodedSlashes", "whether a path may hold %2F", "Off", CONF_RSRC, ONE, OF_HOST(slashes), .set = conf_set_choice, .extra = slash_words },
	{ "MergeSlashes", "whether // in a path counts as /", "On", CONF_RSRC, .args = CONF_FLAG, OF_HOST(merge_slashes), .set = conf_set_flag },
	{ "StrictHostCheck", "whether requests for names that no host here has are refused", "Off", CONF_RSRC, .args = CONF_FLAG, OF_HOST(strict_host),
	  .set = conf_set_flag },
	{ "KeepFilesOpen", "small files that a child keeps open after they were sent; 0 = none", "64", CONF_SERVER, ONE, OF_HOST(files_kept),
	  .set = conf_set_number, .low = 0, .high = OPENFILES_MOST },
	{ "LimitInternalRecursion", "internal redirects and sub-requests allowed in one request", "10", CONF_RSRC, .args = CONF_TAKE, .min = 1,
	  .max = 2, .set = set_recursion },

	{ "<Directory", "for a folder and all below it", NULL, CONF_RSRC, .args = CONF_SECTION, .set = sections_set_directory },
	{ "<DirectoryMatch", "for folders that match a regular expression", NULL, CONF_RSRC, .args = CONF_SECTION, .set = sections_set_directory },
	{ "<Files", "for files of this name", NULL, CONF_RSRC | CONF_DIRECTORY | CONF_HTACCESS, CONF_OR_ANY, .args = CONF_SECTION, .set = sections_set_files },
	{ "<FilesMatch", "for files whose name matches a regular expression", NULL, CONF_RSRC | CONF_DIRECTORY | CONF_HTACCESS, CONF_OR_ANY, .args = CONF_SECTION, .set = sections_set_files },
	{ "<Location", "for a URL path and all below it", NULL, CONF_RSRC, .args = CONF_SECTION, .set = sections_set_location },
	{ "<LocationMatch", "for URL paths that match a regular expression", NULL, CONF_RSRC, .args = CONF_SECTION, .set = sections_set_location },
	{ "<Limit", "access rules for these methods", NULL, CONF_SECTIONS | CONF_HTACCESS, CONF_OR_ANY, .args = CONF_SECTION, .set = sections_set_limit },
	{ "<LimitExcept", "access rules for all methods but these", NULL, CONF_SECTIONS | CONF_HTACCESS, CONF_OR_ANY, .args = CONF_SECTION, .set = sections_set_limit },

	{ "<If", "for requests for which an expression is true", NULL, CONF_ALL, CONF_OR_ANY, .args = CONF_SECTION, .set = sections_set_if },
	{ "<ElseIf", "the same, where those before it are not", NULL, CONF_ALL, CONF_OR_ANY, .args = CONF_SECTION, .set = sections_set_if },
	{ "<Else", "where no condition before it is true", NULL, CONF_ALL, CONF_OR_ANY, .args = CONF_SECTION, .set = sections_set_if },

	{ "Options", "what a folder allows", "FollowSymLinks", EVERYWHERE(OPTIONS), .args = CONF_TAKE, .min = 1, .set = set_options },
	{ "AllowOverride", "which directives per-directory files may hold", "None", CONF_SECTIONS, .scope = CONF_OF_SECTION, .args = CONF_TAKE,
	  .min = 1, .set = set_allow_override },
	{ "AllowOverrideList", "directives that per-directory files may hold, by name", "None", CONF_DIRECTORY, .scope = CONF_OF_SECTION, .args = CONF_TAKE,
	  .min = 1, .set = set_override_list },
	{ "ErrorDocument", "what answers an error: a path, a URL or a text", "default", EVERYWHERE(FILEINFO), .args = CONF_RAW, .set = set_error_document },
	{ "LimitRequestBody", "the most bytes of a request's body; 0 = no limit", "1073741824", CONF_ALL, CONF_OR_ANY, ONE, OF_SECTION(limit_body),
	  .set = conf_set_number, .low = 0, .high = INT64_MAX },
	{ "LimitXMLRequestBody", "the most bytes of an XML body", NULL, EVERYWHERE(ANY), ONE, NOTICE("nothing here reads XML bodies") },
	{ "UseCanonicalName", "whether links name ServerName or what the client asked for", "Off", CONF_ANY, ONE,
	  OF_SECTION(canonical_name), .set = conf_set_choice, .extra = canonical_words },
	{ "UseCanonicalPhysicalPort", "whether links name the port of the connection", "Off", CONF_ANY, .args = CONF_FLAG,
	  OF_SECTION(canonical_port), .set = conf_set_flag },
	{ "ServerSignature", "a line about the server on its own pages", "Off", CONF_ALL, CONF_OR_ANY, ONE, OF_SECTION(signature),
	  .set = conf_set_choice, .extra = signature_words },
	{ "AcceptPathInfo", "whether a path may go on behind a file", "Default", CONF_ALL, CONF_OR_FILEINFO, ONE, OF_SECTION(path_info),
	  .set = conf_set_choice, .extra = path_info_words },
	{ "QualifyRedirectURL", "whether REDIRECT_URL holds scheme and host, too", "Off", EVERYWHERE(FILEINFO), .args = CONF_FLAG,
	  .offset = offsetof(struct core_section, qualify_url), .set = conf_set_flag },
	{ "FileETag", "what an entity tag is made of", "MTime Size", EVERYWHERE(FILEINFO), .args = CONF_TAKE, .min = 1, .set = set_etag },
	{ "MaxRanges", "ranges in one request; more are answered with the whole file", "200", CONF_RSRC | CONF_SECTIONS, ONE, OF_SECTION(max_ranges),
	  .set = set_range_limit },
	{ "MaxRangeOverlaps", "ranges that meet the one before", "20", CONF_RSRC | CONF_SECTIONS, ONE, OF_SECTION(max_overlaps), .set = set_range_limit },
	{ "MaxRangeReversals", "ranges that begin before the one before", "20", CONF_RSRC | CONF_SECTIONS, ONE, OF_SECTION(max_reversals),
	  .set = set_range_limit },
	{ "ContentDigest", "whether Content-MD5 is sent", "Off", EVERYWHERE(OPTIONS), .args = CONF_FLAG, NOTICE("the field Content-MD5 is gone from HTTP") },
	{ "EnableSendfile", "whether the kernel copies files to sockets", NULL, EVERYWHERE(FILEINFO), .args = CONF_FLAG, NOTICE("the server decides by itself") },
	{ "EnableMMAP", "whether files are mapped", NULL, EVERYWHERE(FILEINFO), .args = CONF_FLAG, NOTICE("files are never mapped: one that shrinks would kill its reader") },
	{ "AcceptFilter", "the kernel's filters of new connections", NULL, CONF_SERVER, .args = CONF_TAKE, .min = 2, .max = 2, NOTICE("Linux has none of them") },
	{ .name = NULL },
};

struct conf_module core_module = {
	.name = "core",
	.source = "http_core.c",
	.aka = "core.c core_module http_module so_module mod_so.c macro_module mod_macro.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
	.create_section = create_section,
	.merge_section = merge_section,
};
