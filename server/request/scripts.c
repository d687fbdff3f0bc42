/*
 * scripts.c - which programs a configuration lets run. Read by the master when it decides whether a spawner is needed, and by
 * the spawner for each order. What a request would come to is decided in the child; here stands the outer bound of that,
 * made of the configuration alone: a child that was taken over can start nothing that lies outside of it.
 */
#include "request/scripts.h"

#include <stdlib.h>
#include <string.h>

#include "base/regex.h"
#include "base/text.h"
#include "request/account.h"
#include "request/core.h"
#include "request/map.h"
#include "request/sections.h"
#include "request/vhostalias.h"

/* Whether a section may let programs run, or commands of pages: by itself, or by files in its folders. */
static bool may_run(void *const *section, unsigned what)
{
	const struct core_section *c = section ? section[core_module.index] : NULL;
	unsigned options = c ? (c->options_set ? c->options : 0) | c->options_add : 0;

	if (!c)
		return false;
	if (options & what && !(what == CORE_OPT_INCLUDES && options & CORE_OPT_INCLUDES_NOEXEC))
		return true;
	return c->override > 0 && c->override & CONF_OR_OPTIONS && c->override_options & what;
}

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n && folder[n - 1] == '/')
		n--;
	return strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* Whether a folder above the file is the section's. */
static bool covers(const struct section *sec, const char *path)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t n = slash == path ? 1 : (size_t)(slash - path);
		char *folder;
		bool hit;

		if (!sec->wild && !sec->regex) {
			if (sec->length == n && memcmp(sec->pattern, path, n) == 0)
				return true;
			continue;
		}
		/* With and without its slash: a regular expression may want either. */
		folder = strndup(path, n + (n > 1));
		if (!folder)
			return false;
		hit = sec->regex && regex_run(sec->regex, text_of(folder), NULL) == 1;
		folder[n] = '\0';
		hit = hit || (sec->regex ? regex_run(sec->regex, text_of(folder), NULL) == 1 : wild_match_path(sec->pattern, folder));
		free(folder);
		if (hit)
			return true;
	}
	return false;
}

/* Below something that is served at all. */
static bool is_served(const struct site *s, const char *path)
{
	for (const struct host *h = s->main; h; h = h == s->main ? s->hosts : h->next)
		if (is_below(path, core_document_root(h)) || map_leads(h, path, false))
			return true;
	return false;
}

/* path NULL: whether any would do. */
static bool by_sections(const struct site *s, const struct section *first, const char *path, unsigned what)
{
	for (const struct section *sec = first; sec; sec = sec->next) {
		bool runs = may_run(sec->config, what);

		for (const struct section *f = sec->files; f && !runs; f = f->next)
			runs = may_run(f->config, what);
		if (!runs)
			continue;
		if (!path || (sec->kind == SECTION_DIRECTORY ? covers(sec, path) : is_served(s, path)))
			return true;
	}
	return false;
}

static bool by_host(const struct site *s, const struct host *h, const char *path, unsigned what)
{
	if (what == CORE_OPT_EXECCGI && (map_leads(h, path, true) || vhostalias_runs(h, path)))
		return true;
	if (may_run(h->section, what) && (!path || is_served(s, path)))
		return true;
	return by_sections(s, h->sections, path, what);
}

static bool is_plain(const char *path)
{
	size_t n = strlen(path);

	return *path == '/' && path[n - 1] != '/' && !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") &&
	       !(n >= 2 && strcmp(path + n - 2, "/.") == 0) && !(n >= 3 && strcmp(path + n - 3, "/..") == 0);
}

static bool by_any(const struct site *s, const char *path, unsigned what)
{
	for (const struct host *h = s->main; h; h = h == s->main ? s->hosts : h->next)
		if (by_host(s, h, path, what))
			return true;
	return false;
}

bool scripts_wanted(const struct site *s)
{
	return by_any(s, NULL, CORE_OPT_EXECCGI) || by_any(s, NULL, CORE_OPT_INCLUDES);
}

bool scripts_allowed(const struct site *s, const char *path)
{
	return is_plain(path) && by_any(s, path, CORE_OPT_EXECCGI);
}

bool scripts_contained(const struct site *s, const char *path, unsigned account)
{
	for (const struct host *h = s->main; is_plain(path) && h; h = h == s->main ? s->hosts : h->next)
		if (account_of_host(s, h) == account && (is_below(path, core_document_root(h)) || map_leads(h, path, false) || map_leads(h, path, true)))
			return true;
	return false;
}

bool scripts_shell(const struct site *s, const char *path)
{
	return is_plain(path) && by_any(s, path, CORE_OPT_INCLUDES);
}
