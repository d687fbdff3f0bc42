/*
 * parse.h - between parse.c, words.c and texts.c, which read one expression together. Private to expr/. Each reader returns NULL
 * after a fault, which parse_fault has told.
 */
#ifndef BULKHEAD_EXPR_PARSE_H
#define BULKHEAD_EXPR_PARSE_H

#include "expr/node.h"

#define IDENTIFIER "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

struct parser {
	struct arena *arena;
	const char *text, *p;           /* the whole, ended by NUL, and where reading is */
	char *scratch;                  /* as long as the text: the piece that is being read */
	enum expr_grammar grammar;
	const struct expr_names *names;
	struct err *e;
	unsigned depth, nodes, uses;
	unsigned embedded;              /* inside %{: … :} */
	bool failed;
};

/* Tells what is wrong at `at`, the first time. Always NULL. */
struct node *parse_fault(struct parser *ps, const char *at, const char *remedy, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
struct node *parse_node(struct parser *ps, enum node_kind kind);
bool parse_enter(struct parser *ps);            /* false: too deep, told */
void parse_leave(struct parser *ps);
void parse_blanks(struct parser *ps);
/* kind(child, second): a child that is NULL after a fault makes no node. */
struct node *parse_node_of(struct parser *ps, enum node_kind kind, unsigned op, struct node *child, struct node *second);
bool parse_take(struct parser *ps, const char *token);          /* blanks and that token, if it comes next */
bool parse_take_word(struct parser *ps, const char *word);      /* a whole word */
bool parse_expect(struct parser *ps, const char *token, const char *what);      /* false: told that it is missing */

/* words.c */
struct node *parse_word(struct parser *ps);
struct node *parse_list(struct parser *ps);
/* /…/ or m#…#, and where `sub` also s/…/…/ (its replacement becomes the child). Into *n. */
bool parse_regex(struct parser *ps, struct node *n, bool sub);
struct node *parse_embedded(struct parser *ps);
struct node *parse_function(struct parser *ps, struct text name, const char *at, struct node *arguments, unsigned n);

/* texts.c. Up to `end` (NUL: the end of all), which p then stands on; `opened` is what a fault names. */
struct node *parse_text(struct parser *ps, char end, const char *opened);
struct node *parse_variable(struct parser *ps);         /* p stands on "%{" */
struct node *parse_capture(struct parser *ps);          /* p stands on "$" and a digit */

#endif
