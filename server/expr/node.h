/*
 * node.h - a compiled expression: the tree between parse.c, which makes it, and eval.c, which walks it. Private to expr/.
 *
 * Rows of the same kind (a && b && c, the pieces of a text, the words of a list) are one node with a chain of children
 * through `next`: the depth of the tree is the depth of the brackets, at most EXPR_DEPTH.
 */
#ifndef BULKHEAD_EXPR_NODE_H
#define BULKHEAD_EXPR_NODE_H

#include "base/addr.h"
#include "expr/expr.h"

#define EXPR_LENGTH 65536               /* bytes of an expression */
#define EXPR_DEPTH 64                   /* brackets within brackets */
#define EXPR_NODES 8192
#define EXPR_RESULT ((size_t)1 << 20)   /* bytes that one evaluation may make */

enum node_kind {
	/* conditions */
	NODE_TRUE, NODE_FALSE, NODE_NOT, NODE_AND, NODE_OR,
	NODE_COMPARE,                   /* op: enum compare; two words */
	NODE_MATCH,                     /* regex, one word; op 1 = !~ */
	NODE_IN,                        /* a word and a list */
	NODE_TEST,                      /* op: the letter of -x; one word */
	NODE_ADDRESS,                   /* -ipmatch: a word and prefix */
	NODE_GLOB,                      /* op: GLOB_*; two words */
	/* words */
	NODE_TEXT, NODE_VARIABLE, NODE_FUNCTION, NODE_CAPTURE, NODE_CONCAT,
	NODE_SUB,                       /* sub s/…/…/, word: regex, the replacement and the word */
	NODE_JOIN,                      /* a list and perhaps a separator */
	NODE_CHOICE,                    /* %{: condition :} as a text */
	/* lists */
	NODE_LIST, NODE_LIST_FUNCTION,
	NODE_SPLIT,                     /* regex, perhaps a replacement; a list */
};

/* The order tells of < and >: COMPARE_LT + 3 is the same of numbers. */
enum compare {
	COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_LE, COMPARE_GT, COMPARE_GE,
	COMPARE_INTEGER,                /* added to the six above */
	COMPARE_LENGTH = 2 * COMPARE_INTEGER,   /* added: SSLRequire's, shorter texts are less */
};
enum { GLOB_NOCASE = 1, GLOB_PATH = 2 };

/* A function of expr itself: absent and ctx->failed where it has no answer. */
typedef struct text expr_function(struct expr_ctx *x, struct text *arguments, unsigned n);

struct node {
	enum node_kind kind;
	unsigned op;                    /* by kind; NODE_CAPTURE: 0 … 9; NODE_SUB, NODE_SPLIT: 1 = all (g) */
	struct text text;               /* NODE_TEXT; the name of a variable or function, lower case for the latter (both ended by NUL) */
	const struct regex *regex;
	struct prefix prefix;
	expr_function *function;        /* NULL: the surroundings' */
	struct node *child, *next;
};

struct expr {
	struct node *root;
	enum expr_grammar grammar;
	unsigned uses;
	unsigned tag;
	const char *text;
};

/* functions.c: by lower-case name; NULL = none. *most = how many arguments it takes at most. */
expr_function *expr_function_find(const char *name, unsigned *least, unsigned *most);
/* glob.c: 1, 0, -1 = too many steps. */
int expr_glob(struct text pattern, struct text s, unsigned flags);
/* eval.c: bytes of the arena within the limits of one evaluation; NULL with x->failed set. */
char *expr_room(struct expr_ctx *x, size_t n);

#endif
