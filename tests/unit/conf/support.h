/*
 * support.h - what the tests of conf/ share: surroundings whose memory is freed whole, reports gathered as text, and a
 * tree written as one line.
 */
#ifndef BULKHEAD_TESTS_CONF_SUPPORT_H
#define BULKHEAD_TESTS_CONF_SUPPORT_H

#include "conf/conf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct piece {
	struct piece *next;
	max_align_t data[];
};

struct world {
	struct conf_env env;
	struct piece *pieces;
	char said[65536];       /* "E f:3: sentence; remedy\n" for each report */
	unsigned reports;
};

static void *world_alloc(void *ctx, size_t n)
{
	struct world *w = ctx;
	struct piece *p = calloc(1, sizeof(*p) + n);

	if (!p)
		abort();
	p->next = w->pieces;
	w->pieces = p;
	return p->data;
}

static void world_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence,
			 const char *remedy)
{
	struct world *w = ctx;
	size_t n = strlen(w->said);
	const char *file = pos ? pos->file : "-";

	w->reports++;
	snprintf(w->said + n, sizeof(w->said) - n, "%c %s:%u: %s%s%s\n", "EWN"[severity], file, pos ? pos->line : 0, sentence,
		 remedy ? "; " : "", remedy ? remedy : "");
}

static bool world_module(void *ctx, const char *name)
{
	(void)ctx;
	return !strcmp(name, "here_module") || !strcmp(name, "mod_here.c");
}

static bool world_directive(void *ctx, const char *name)
{
	(void)ctx;
	return !strcasecmp(name, "Known") || !strcasecmp(name, "<Known");
}

static int world_open(void *ctx, const char *path)
{
	(void)ctx;
	return open(path, O_RDONLY | O_CLOEXEC);
}

static inline struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->env = (struct conf_env){
		.ctx = w, .report = world_report, .has_module = world_module, .alloc = world_alloc, .open = world_open,
		.root = "", .has_directive = world_directive, .version = "2.4.71",
	};
	return w;
}

static inline void world_free(struct world *w)
{
	struct piece *p;

	while ((p = w->pieces)) {
		w->pieces = p->next;
		free(p);
	}
	free(w);
}

/* "A[x] <B[y]{ C[] } " */
static inline void dump(const struct conf_node *n, char *buf, size_t size)
{
	size_t at;

	for (; n; n = n->next) {
		at = strlen(buf);
		snprintf(buf + at, size - at, "%s[%s] ", n->name, n->args);
		if (!n->section)
			continue;
		at = strlen(buf);
		snprintf(buf + at, size - at, "{ ");
		dump(n->child, buf, size);
		at = strlen(buf);
		snprintf(buf + at, size - at, "} ");
	}
}

/* A text, the tree it makes, and words that the reports must hold in this order ('|' between them; NULL: no report). */
struct row {
	const char *text, *tree, *said;
};

static inline bool holds_in_order(const char *said, const char *words)
{
	char *copy = strdup(words), *at = copy, *word;
	bool yes = true;

	while (yes && (word = strsep(&at, "|"))) {
		said = strstr(said, word);
		yes = said != NULL;
		if (said)
			said += strlen(word);
	}
	free(copy);
	return yes;
}

static inline void check_row_in(struct world *w, const struct row *row)
{
	char tree[4096] = "";
	struct conf_tree *t = conf_read_text(row->text, "f", &w->env);
	size_t n;

	dump(t->first, tree, sizeof(tree));
	n = strlen(tree);
	if (n)
		tree[n - 1] = '\0';
	if ((row->tree && strcmp(tree, row->tree)) || (row->said ? !holds_in_order(w->said, row->said) : w->reports != 0)) {
		print_error("text:\n%s\ntree: %s\nwant: %s\nsaid:\n%swant: %s\n", row->text, tree, row->tree ? row->tree : "(any)",
			    w->said, row->said ? row->said : "(nothing)");
		fail();
	}
}

static inline void check_rows(const struct row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct world *w = world_new();

		check_row_in(w, &rows[i]);
		world_free(w);
	}
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof(*(rows)))

#endif
