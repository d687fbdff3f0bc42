/*
 * fetch.c - what a page takes from elsewhere: include and exec as sub-requests, one after the other, and the files whose size or time it
 * tells. Runs in the children.
 */
#include "ssi/page.h"

#include <stdlib.h>
#include <string.h>

#include "handler/cgienv.h"
#include "http/uri.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/phases.h"
#include "ssi/code.h"

#define MAKES_CODE(sub) ((sub)->handler && strcmp((sub)->handler->name, "cgi-script") == 0)

/* ------------------------------------------------------------------------------------------------ from a name to a request */

static bool is_nothing(struct text part) { return !part.n || text_is(part, "."); }
static bool is_up(struct text part) { return text_is(part, ".."); }

/* A relative name without parts that are empty, "." or "..". NULL with a reason: it is absolute, or leads up or to a folder. */
static char *file_name(struct arena *a, const char *name, const char **why)
{
	struct text rest = text_of(name), part = { NULL, 0 };
	char *out = arena_alloc(a, strlen(name) + 2);
	size_t n = 0;

	*why = *name == '/' ? "its name is absolute" : "its name leads out of the folder of the page, or to a folder";
	if (!out || *name == '/')
		return NULL;
	while (text_split(&rest, '/', &part)) {
		if (is_up(part)) {
			if (!n)
				return NULL;
			for (n--; n && out[n - 1] != '/'; n--)
				;
		} else if (!is_nothing(part)) {
			memcpy(out + n, part.p, part.n);
			n += part.n;
			out[n++] = '/';
		}
	}
	if (is_nothing(part) || is_up(part))
		return NULL;
	out[n - 1] = '\0';
	return out;
}

/* The URL path of the page's folder, with its slash. */
static char *folder_of(struct request *r)
{
	const char *path = cgienv_script_name(r), *slash = path ? strrchr(path, '/') : NULL;

	return slash ? arena_strndup(r->arena, path, (size_t)(slash - path) + 1) : arena_strdup(r->arena, "/");
}

static struct request *look(struct ssi *s, const char *path, const char *query, const char *shown)
{
	unsigned status = 0;
	struct request *sub;

	if (s->r->lookups >= core_lookup_limit(s->r->host)) {
		ssi_fail(s, "BH0732", "\"%.200s\" is not looked up: it would lie %u deep, more than LimitInternalRecursion allows", shown, s->r->lookups + 1);
		return NULL;
	}
	if (arena_used(s->r->arena) > SSI_MEMORY) {
		ssi_fail(s, "BH0736", "\"%.200s\" is not looked up: the page and what it includes use more than 32 MiB", shown);
		return NULL;
	}
	sub = phases_lookup(s->r, path, query, 0, &status);
	if (sub && status == 0)
		return sub;
	if (sub)
		request_close(sub);
	if (status == PHASE_WAIT)
		ssi_fail(s, "BH0739", "\"%.200s\" cannot be included: its access rules ask for names or slow passwords, for which a page cannot wait", shown);
	else
		ssi_fail(s, "BH0732", "\"%.200s\" cannot be had: it would be answered with %u", shown, status);
	return NULL;
}

/* Whether what was found is the file of that name in, or below, the folder of the page's own. */
static bool is_beside(const struct request *r, const struct request *sub, const char *name)
{
	const char *slash = r->filename ? strrchr(r->filename, '/') : NULL;
	size_t n = slash ? (size_t)(slash - r->filename) + 1 : 0;

	return n && sub->filename && strncmp(sub->filename, r->filename, n) == 0 && strcmp(sub->filename + n, name) == 0;
}

/* Where the page's folder lies below DocumentRoot: that folder as a path. NULL: it does not. */
static char *folder_by_root(struct request *r)
{
	const char *root = core_document_root(r->host), *slash = r->filename ? strrchr(r->filename, '/') : NULL;
	size_t n = strlen(root);

	if (!slash || strncmp(r->filename, root, n) != 0 || r->filename[n] != '/')
		return NULL;
	return arena_strndup(r->arena, r->filename + n, (size_t)(slash - r->filename) + 1 - n);
}

static struct request *by_file(struct ssi *s, const char *given)
{
	struct request *r = s->r, *sub;
	const char *why, *name = file_name(r->arena, given, &why);
	char *folders[2] = { folder_of(r), folder_by_root(r) };

	if (!name) {
		ssi_fail(s, "BH0732", "the file \"%.200s\" is not included: %s; virtual takes any path of this host", given, why);
		return NULL;
	}
	for (int i = 0; i < 2 && folders[i]; i++) {
		if (i == 1 && strcmp(folders[0], folders[1]) == 0)
			break;
		sub = look(s, arena_join(r->arena, folders[i], name), NULL, name);
		if (!sub || is_beside(r, sub, name))
			return sub;
		request_close(sub);
	}
	ssi_fail(s, "BH0732", "the file \"%.200s\" is not included: its URL leads to another folder than that of the page", name);
	return NULL;
}

static struct request *by_path(struct ssi *s, const char *url, bool query_allowed)
{
	struct request *r = s->r;
	const char *mark = strchr(url, '?');
	char *whole = mark ? arena_strndup(r->arena, url, (size_t)(mark - url)) : arena_strdup(r->arena, url), *path = NULL, *folder;

	if (whole && *whole != '/') {
		folder = uri_escape_path(r->arena, folder_of(r));
		whole = folder ? arena_join(r->arena, folder, whole) : NULL;
	}
	if (!*url || !whole || uri_normalize(r->arena, text_of(whole), core_uri_flags(r->host), &path) != URI_OK || !path) {
		ssi_fail(s, "BH0732", "\"%.200s\" is no path that this host has", url);
		return NULL;
	}
	if (mark && !query_allowed) {
		ssi_fail(s, "BH0732", "\"%.200s\" has a query: exec cgi hands on that of the page; use include virtual", url);
		return NULL;
	}
	return look(s, path, mark ? arena_strdup(r->arena, mark + 1) : NULL, url);
}

static char *value_of(struct ssi *s, const struct ssi_attribute *a, bool keep)
{
	char *plain = a->value ? ssi_decode(s->scratch, "entity", a->value) : NULL, *value = plain ? ssi_text(s, plain, keep) : NULL;

	if (!value)
		ssi_fail(s, "BH0731", "the attribute %.40s has no value, or one that is longer than 64 KiB", a->name);
	return value;
}

struct request *ssi_find(struct ssi *s, const struct ssi_attribute *a)
{
	char *value = value_of(s, a, false);

	if (!value)
		return NULL;
	return strcmp(a->name, "file") == 0 ? by_file(s, value) : by_path(s, value, true);
}

/* ------------------------------------------------------------------------------------------------ running it */

static void run(struct ssi *s, struct request *sub, bool chosen)
{
	if (MAKES_CODE(sub) || chosen ? ssi_export(s, sub) < 0 : false) {
		ssi_fail(s, "BH0736", "memory ran out");
		request_close(sub);
		return;
	}
	s->run = subrequest_start(sub, chosen);
	s->ran = false;
	if (!s->run) {
		ssi_fail(s, "BH0736", "memory ran out");
		request_close(sub);
	}
}

/* A page that is being read includes itself. */
static bool is_read(const struct request *r, const struct request *sub)
{
	for (; r; r = r->parent)
		for (const struct request *o = r; o; o = o->original)
			if (o->filename && sub->filename && strcmp(o->filename, sub->filename) == 0 && !sub->path_info &&
			    strcmp(o->query ? o->query : "", sub->query ? sub->query : "") == 0)
				return true;
	return false;
}

/* Whether exec is off and this could be a program: what is no text, as in Apache. */
static bool may_run(const struct ssi *s, const struct request *sub)
{
	return s->no_exec && sub->type && strncasecmp(sub->type, "text/", 5) != 0;
}

static void include(struct ssi *s, const struct ssi_attribute *a)
{
	struct request *sub = ssi_find(s, a);

	if (!sub)
		return;
	if (is_read(s->r, sub)) {
		ssi_fail(s, "BH0732", "\"%.200s\" includes itself", sub->path);
	} else if (may_run(s, sub)) {
		ssi_fail(s, "BH0733", "\"%.200s\" is not included: its type %.60s is no text, and Options IncludesNOEXEC runs no programs", sub->path, sub->type);
	} else {
		run(s, sub, false);
		return;
	}
	request_close(sub);
}

static void exec_cgi(struct ssi *s, const struct ssi_attribute *a)
{
	char *value = value_of(s, a, false);
	struct request *sub = value ? by_path(s, value, false) : NULL;

	if (!sub)
		return;
	if (!sub->found || !S_ISREG(sub->st.st_mode) || (sub->path_info && *sub->path_info)) {
		ssi_fail(s, "BH0732", "\"%.200s\" is no program: there is no such file", value);
		request_close(sub);
		return;
	}
	sub->handler = handler_find("cgi-script");
	sub->query = s->r->query;
	sub->path_info = s->r->path_info;
	s->anchor = true;
	run(s, sub, true);
}

static void exec_command(struct ssi *s, const struct ssi_attribute *a)
{
	char *value = value_of(s, a, true), *command = value ? arena_strdup(s->r->arena, value) : NULL;
	struct request *sub = command ? phases_beside(s->r) : NULL;

	if (!value)
		return;
	if (!sub || !sub->filename || arena_used(s->r->arena) > SSI_MEMORY) {
		ssi_fail(s, "BH0736", "a command is not run: the page uses more than 32 MiB, or is no file");
		return;
	}
	sub->handler = &ssi_exec;
	sub->handler_data = command;
	run(s, sub, true);
}

/* One attribute. */
static void fetch(struct ssi *s, const struct ssi_attribute *a)
{
	bool is_include = strcmp(s->element.name, "include") == 0;

	s->anchor = false;
	if (is_include && (strcmp(a->name, "virtual") == 0 || strcmp(a->name, "file") == 0))
		include(s, a);
	else if (is_include && strcmp(a->name, "onerror") == 0)
		s->onerror = a->value;
	else if (!is_include && s->no_exec)
		ssi_fail(s, "BH0733", "exec is not allowed here: Options has no Includes for this page, but IncludesNOEXEC");
	else if (!is_include && strcmp(a->name, "cmd") == 0)
		exec_command(s, a);
	else if (!is_include && strcmp(a->name, "cgi") == 0)
		exec_cgi(s, a);
	else
		ssi_fail(s, "BH0731", "%s has no attribute \"%.40s\"", s->element.name, a->name);
}

/* Where an attribute fails that has an onerror, its message is not sent. */
static void instead(struct ssi *s)
{
	struct ssi_attribute a = { (char *)(uintptr_t)"virtual", arena_strdup(s->scratch, s->onerror) };

	s->onerror = NULL;
	s->out = (struct text){ NULL, 0 };
	s->busy = true;
	include(s, &a);
}

void ssi_fetch(struct ssi *s)
{
	const struct ssi_element *e = &s->element;

	if (!s->busy) {
		s->onerror = NULL;
		for (unsigned i = 0; i < e->n; i++)
			if (strcmp(e->at[i].name, "onerror") == 0)
				s->onerror = e->at[i].value;
		s->busy = true;
	}
	while (s->next < e->n && !s->run && !s->out.n) {
		fetch(s, &e->at[s->next++]);
		if (!s->run && s->out.n && s->onerror)
			instead(s);
	}
	if (!s->run && (s->next >= e->n || s->out.n)) {
		s->next = e->n;
		s->busy = false;
	}
}

/* ------------------------------------------------------------------------------------------------ its end */

static bool link_to(struct ssi *s, const struct request *answer)
{
	struct text where = fields_get(&answer->out, "Location");
	char *html = where.p ? ssi_encode(s->scratch, "entity", arena_strndup(s->scratch, where.p, where.n)) : NULL;

	if (!html || answer->status < 300 || answer->status > 399)
		return false;
	html = arena_printf(s->scratch, "<a href=\"%s\">%s</a>", html, html);
	if (html)
		ssi_say(s, html);
	return html != NULL;
}

static void over(struct ssi *s, enum subrequest_state state)
{
	struct subrequest *ran = s->run;
	const struct request *answer = subrequest_answer(ran);

	s->run = NULL;
	if (state == SUBREQUEST_FAILED && !(s->anchor && link_to(s, answer))) {
		if (s->onerror && !s->ran) {
			subrequest_close(ran);
			instead(s);
			ran = NULL;
		} else {
			ssi_fail(s, "BH0732", "\"%.200s\" cannot be included: it was answered with %u", answer->path ? answer->path : "-", answer->status);
		}
	}
	subrequest_close(ran);
	if (!s->run)
		ssi_fetch(s);
}

bool ssi_take(struct ssi *s, char *out, size_t room, size_t *n)
{
	struct text content;
	enum subrequest_state state = subrequest_peek(s->run, &content);
	size_t fits = content.n < room - *n ? content.n : room - *n;

	if (content.n) {
		memcpy(out + *n, content.p, fits);
		*n += fits;
		subrequest_took(s->run, fits);
		s->ran = true;
		return true;
	}
	if (state == SUBREQUEST_RUNS)
		return false;
	over(s, state);
	return true;
}
