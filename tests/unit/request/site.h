/*
 * site.h - what the tests of request/ share: a configuration's text made a site, its reports gathered as text, and requests
 * against it.
 */
#ifndef BULKHEAD_TESTS_REQUEST_SITE_H
#define BULKHEAD_TESTS_REQUEST_SITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "conf/conf.h"
#include "http/head.h"
#include "request/handler.h"
#include "request/host.h"
#include "request/request.h"

#ifndef SITE_HANDLERS                   /* defined by tests that have handlers of their own */
const struct handler *handler_find(const char *name)
{
	(void)name;
	return NULL;
}
#endif

struct world {
	struct arena *arena;
	struct conf_env env;
	struct site *site;
	struct client client;
	char said[16384];               /* "E t.conf:3: sentence; remedy\n" for each report */
};

static void *world_alloc(void *ctx, size_t n)
{
	struct world *w = ctx;
	void *p = arena_zalloc(w->arena, n);

	if (!p)
		abort();
	return p;
}

static void world_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	struct world *w = ctx;
	size_t n = strlen(w->said);

	snprintf(w->said + n, sizeof w->said - n, "%c %s:%u: %s%s%s\n", "EWN"[severity], pos && pos->file ? pos->file : "-", pos ? pos->line : 0,
		 sentence, remedy ? "; " : "", remedy ? remedy : "");
}

static bool world_has_module(void *ctx, const char *name)
{
	(void)ctx, (void)name;
	return false;
}

/* Reads, applies and finishes; w->said tells what was found wrong. */
static inline struct world *world_read(struct conf_module *const *modules, const char *text)
{
	struct world *w = calloc(1, sizeof *w);
	struct reading reading;
	struct conf_target target;
	struct conf_tree *tree;

	assert_non_null(w);
	w->arena = arena_new(16384);
	assert_non_null(w->arena);
	w->env = (struct conf_env){ .ctx = w, .report = world_report, .alloc = world_alloc, .has_module = world_has_module, .root = "/root" };
	conf_modules_number(modules);
	w->site = site_new(w->arena, modules, &w->env);
	w->site->main->name = "main.test";
	reading = (struct reading){ .site = w->site, .host = w->site->main, .arena = w->site->arena };
	target = (struct conf_target){ .host = w->site->main->config, .section = w->site->main->section, .owner = &reading };
	tree = conf_read_text(text, "t.conf", &w->env);
	conf_apply(tree->first, modules, CONF_SERVER, &target, &w->env);
	if (w->env.errors == 0)
		site_finish(w->site, &w->env);
	assert_int_equal(addr_parse(&w->client.local, "192.0.2.10", 80), 0);
	assert_int_equal(addr_parse(&w->client.peer, "198.51.100.7", 50000), 0);
	addr_ip(&w->client.peer, w->client.peer_text);
	static const struct client_ops none = { 0 };
	w->client.ops = &none;
	return w;
}

static inline struct world *world_good(struct conf_module *const *modules, const char *text)
{
	struct world *w = world_read(modules, text);

	if (w->env.errors) {
		print_error("text:\n%s\nsaid:\n%s", text, w->said);
		fail();
	}
	return w;
}

static inline void world_free(struct world *w)
{
	arena_free(w->arena);
	free(w);
}

/* Each row: a text and words that its reports must hold, separated by '|'. An 'E' before the words, or 'W', 'N'. */
struct refused { const char *text, *said; };

static inline void check_refused(struct conf_module *const *modules, const struct refused *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct world *w = world_read(modules, rows[i].text);
		char *copy = strdup(rows[i].said), *rest = copy, *word;
		while ((word = strsep(&rest, "|")))
			if (!strstr(w->said, word)) {
				print_error("text:\n%s\nsaid:\n%s\nwanted: %s\n", rows[i].text, w->said, word);
				fail();
			}
		if (rows[i].said[0] != 'E' && w->env.errors) {
			print_error("text:\n%s\nsaid:\n%s\nwanted no error\n", rows[i].text, w->said);
			fail();
		}
		free(copy);
		world_free(w);
	}
}

/* A GET for a path of the main server, in an arena of its own (free it). */
static inline struct request *world_request(struct world *w, const char *path, const char *filename)
{
	struct arena *a = arena_new(4096);
	struct request *r = request_new(a);

	assert_non_null(r);
	r->client = &w->client;
	r->site = w->site;
	r->host = w->site->main;
	r->section = r->host->section;
	r->method = TEXT("GET");
	r->method_id = HTTP_GET;
	r->major = r->minor = 1;
	r->path = path;
	r->filename = filename;
	return r;
}

#endif
