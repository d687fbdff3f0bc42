/*
 * page.c - the filter INCLUDES: a page goes through piece by piece, its elements become what they stand for. Runs in the children. Memory
 * does not grow with the page: the scanner holds one element at most, a sub-request one buffer.
 */
#include "ssi/ssi.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log/log.h"
#include "request/core.h"
#include "ssi/page.h"

#define START "<!--#"
#define END "-->"
#define ERROR "[an error occurred while processing this directive]"
#define TIME "%A, %d-%b-%Y %H:%M:%S %Z"
#define UNDEFINED "(none)"
#define SCRATCH 8192

/* ------------------------------------------------------------------------------------------------ which pages */

static bool is_type(const char *type, const char *name)
{
	size_t n = strlen(name);

	return type && strncasecmp(type, name, n) == 0 && (!type[n] || type[n] == ';' || type[n] == ' ');
}

static bool is_old_type(const char *type)
{
	return is_type(type, "text/x-server-parsed-html") || is_type(type, "text/x-server-parsed-html3");
}

static bool has_xbit(const struct request *r)
{
	return ssi_section_of(r)->xbithack > XBITHACK_OFF && r->found && S_ISREG(r->st.st_mode) && r->st.st_mode & S_IXUSR && is_type(r->type, "text/html");
}

static bool implied(struct request *r)
{
	return (r->handler && strcmp(r->handler->name, ssi_handler.name) == 0) || has_xbit(r);
}

/* XBitHack full, and the group may execute it: the page says that it is as old as its file. */
static bool is_dated(const struct request *r)
{
	return ssi_section_of(r)->xbithack == XBITHACK_FULL && r->found && r->st.st_mode & S_IXGRP;
}

/*
 * What a page holds may be another thing at each request: it has no length and, unless directives say so, no validators. Those that are
 * sent answer no conditional request, but for XBitHack full.
 */
static int forget(struct request *r)
{
	static const char *const gone[] = { "Content-Length", "Accept-Ranges", "Content-MD5" };
	const struct ssi_section *conf = ssi_section_of(r);
	const char *etag = r->etag;
	char date[HTTP_DATE];

	for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
		fields_remove(&r->out, gone[i]);
		fields_remove(&r->always, gone[i]);
	}
	r->length = -1;
	r->etag = NULL;
	if (conf->etag == 1 && etag && fields_add(&r->out, TEXT("ETag"), text_of(etag)) < 0)
		return -1;
	if (is_dated(r)) {
		r->modified = r->st.st_mtim.tv_sec;
		return 0;
	}
	r->modified = -1;
	if (conf->modified != 1) {
		fields_remove(&r->out, "Last-Modified");
		fields_remove(&r->always, "Last-Modified");
		return 0;
	}
	if (!r->found || fields_get(&r->out, "Last-Modified").p || fields_get(&r->always, "Last-Modified").p)
		return 0;
	return fields_add_copy(&r->out, "Last-Modified", http_date(r->st.st_mtim.tv_sec, date));
}

static int joins(struct request *r)
{
	if (!(core_options(core_section_of(r)) & CORE_OPT_INCLUDES)) {
		log_warnx(&r->client->about, LOG_CORE, "BH0730",
			  "%s is sent as it is: the filter INCLUDES is set for it, but Options has neither Includes nor IncludesNOEXEC there; say Options +Includes",
			  r->filename ? r->filename : r->path);
		return 0;
	}
	if (!r->type || is_old_type(r->type))
		r->type = "text/html";
	return forget(r) < 0 ? -1 : 1;
}

/* ------------------------------------------------------------------------------------------------ its life */

static void close_page(void *state, struct request *r, bool whole)
{
	struct ssi *s = state;

	(void)r;
	(void)whole;
	subrequest_close(s->run);
	arena_free(s->scratch);
	free(s->big);
	free(s);
}

static void *open_page(struct request *r)
{
	const struct ssi_section *conf = ssi_section_of(r);
	struct ssi *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->r = r;
	s->conf = conf;
	s->scratch = arena_new(SCRATCH);
	s->no_exec = core_options(core_section_of(r)) & CORE_OPT_INCLUDES_NOEXEC;
	s->error = conf->error ? conf->error : ERROR;
	s->time = conf->time ? conf->time : TIME;
	s->undefined = conf->undefined ? conf->undefined : UNDEFINED;
	if (!s->scratch || ssi_scan_init(&s->scan, r->arena, conf->start ? conf->start : START, conf->end ? conf->end : END) < 0 || ssi_vars_init(s) < 0) {
		close_page(s, r, false);
		return NULL;
	}
	return s;
}

/* ------------------------------------------------------------------------------------------------ bytes through it */

/* What is to be said before the page goes on. */
static void say(struct ssi *s, struct filter_step *f)
{
	size_t fits = s->out.n < f->room - f->n ? s->out.n : f->room - f->n;

	memcpy(f->out + f->n, s->out.p, fits);
	f->n += fits;
	s->out.p += fits;
	s->out.n -= fits;
}

/* The element is done: what it needed is given back. */
static void clear(struct ssi *s)
{
	if (s->busy || s->run || s->out.n)
		return;
	free(s->big);
	s->big = NULL;
	if (arena_used(s->scratch))
		arena_reset(s->scratch);
}

static void carry_out(struct ssi *s)
{
	const char *why = NULL;

	if (ssi_split(s->scratch, s->scan.element, s->scan.n, &s->element, &why) == 0)
		ssi_run(s);
	else if (ssi_printing(s))
		ssi_fail(s, "BH0731", "an element is malformed: %s", why);
}

/* Text that an if leaves out still has to be read. */
static enum ssi_found scan(struct ssi *s, struct filter_step *f)
{
	static char nowhere[FILTER_PIECE];
	size_t n = 0;

	if (ssi_printing(s))
		return ssi_scan(&s->scan, &f->in, f->out, f->room, &f->n);
	return ssi_scan(&s->scan, &f->in, nowhere, sizeof nowhere, &n);
}

static void read_on(struct ssi *s, struct filter_step *f)
{
	switch (scan(s, f)) {
	case SSI_FOUND:
		carry_out(s);
		break;
	case SSI_TOO_LONG:
		if (ssi_printing(s))
			ssi_fail(s, "BH0731", "an element is longer than %d bytes", SSI_ELEMENT);
		break;
	case SSI_NOTHING: case SSI_FULL:
		break;
	}
}

static void end(struct ssi *s)
{
	char rest[SSI_TAG];
	size_t n = 0;
	bool printing = ssi_printing(s);

	s->ended = true;
	if (ssi_scan_end(&s->scan, rest, sizeof rest, &n) == SSI_TOO_LONG && printing)
		ssi_fail(s, "BH0737", "the page ends inside an element: \"%s\" is missing", s->scan.end);
	else if (n && printing && (s->out.p = arena_strndup(s->scratch, rest, n)))
		s->out.n = n;
	if (s->depth || s->beyond)
		log_errorx(&s->r->client->about, LOG_CORE, "BH0737", "server-side include in %.300s: the page ends inside an if: endif is missing",
			   s->r->filename ? s->r->filename : s->r->path);
}

static int step(void *state, struct filter_step *f)
{
	struct ssi *s = state;

	while (f->n < f->room) {
		if (s->out.n) {
			say(s, f);
		} else if (s->run) {
			if (!ssi_take(s, f->out, f->room, &f->n)) {
				f->waits = true;
				return 0;
			}
		} else if (s->busy) {
			ssi_fetch(s);
		} else {
			clear(s);
			if (f->in.n)
				read_on(s, f);
			else if (f->mode == FILTER_END && !s->ended)
				end(s);
			else
				break;
		}
	}
	f->done = f->mode != FILTER_GO && !f->in.n && !s->out.n && !s->run && !s->busy && (f->mode == FILTER_FLUSH || s->ended);
	return 0;
}

const struct filter_type ssi_filter = {
	.name = "INCLUDES", .rank = FILTER_CONTENT, .joins = joins, .implied = implied, .open = open_page, .step = step, .close = close_page,
};
