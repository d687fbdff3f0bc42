/*
 * expr.h - expressions of the configuration (Apache's ap_expr, and the older ones of SSLRequire and SSI): compiled once when
 * the configuration is read, evaluated in the children. Knows no request: variables, files and addresses come
 * through struct expr_ctx. Not for signal handlers; an expression may be evaluated by one thread at a time.
 */
#ifndef BULKHEAD_EXPR_EXPR_H
#define BULKHEAD_EXPR_EXPR_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/regex.h"
#include "base/text.h"

enum expr_grammar {
	EXPR_CONDITION,                 /* <If>, Require expr, expr=: true or false */
	EXPR_STRING,                    /* "Hello %{HTTP_HOST}": a text with variables in it */
	EXPR_SSLREQUIRE,                /* mod_ssl's own: a condition without -f and backreferences, with file() and PeerExtList() */
};

/* What an expression uses, for who must know beforehand. */
enum { EXPR_USES_RESPONSE = 1, EXPR_USES_FILES = 2, EXPR_USES_SUBREQUESTS = 4, EXPR_USES_USER = 8, EXPR_USES_NAMES = 16 };

struct expr;

/*
 * What evaluation asks of its surroundings. Answers are absent (text.p NULL) where there is no value; they live as long as
 * ctx->arena. Functions that are NULL are answered with absent or false.
 */
struct expr_ctx {
	void *owner;                                    /* the request, for the functions */
	struct arena *arena;                            /* results */
	struct text (*variable)(struct expr_ctx *x, const char *name);                          /* %{NAME} */
	/* req http resp reqenv osenv note env ipaddr-like lookups that need the request: by lower-case name */
	struct text (*function)(struct expr_ctx *x, const char *name, struct text argument);
	bool (*file)(struct expr_ctx *x, char op, struct text path);                            /* d e f s L h x F(sub-request) U */
	/* The values of a list function (peerextlist), the at-th from 0; absent behind the last. */
	struct text (*list)(struct expr_ctx *x, const char *name, struct text argument, unsigned at);
	struct regex_match match;                       /* captures of the last =~ that matched, for $0 … $9; count 0 = none */
	const char *failed;                             /* set by evaluation: why it has no answer (limits of a pattern, memory); NULL = it has */
	size_t made;                                    /* private: bytes made so far */
};

/*
 * Whether a function or variable of that name exists is asked when compiling, so that an unknown one is an error of the
 * configuration, as in Apache. NULL: every name is taken.
 */
struct expr_names {
	bool (*variable)(const char *name);
	bool (*function)(const char *name);             /* lower case; beside those of expr itself (tolower, md5, base64, …) */
	bool (*list)(const char *name);                 /* lower case */
	bool no_files;                                  /* no look at files: -d -e -f -s -L -h -x, file(), filesize(), filemod() */
	bool no_contents;                               /* no file() */
};

/* NULL with *e: "column 12, at "…": what is wrong" (bytes, from 1) and a remedy. Lives in the arena; `text` is copied. */
struct expr *expr_compile(struct arena *a, const char *text, enum expr_grammar grammar, const struct expr_names *names, struct err *e);
/* 1 true, 0 false, -1 no answer (ctx->failed): the caller fails closed. */
int expr_true(const struct expr *x, struct expr_ctx *ctx);
/* The text of an EXPR_STRING (of a condition: "true" or "false"). Absent with ctx->failed where it has none. */
struct text expr_string(const struct expr *x, struct expr_ctx *ctx);
unsigned expr_uses(const struct expr *x);               /* EXPR_USES_* */
const char *expr_text(const struct expr *x);            /* as written */
/* A number for who evaluates it, kept with the expression; 0 at first. */
enum { EXPR_NO_VARY = 1 };                              /* what it asks of the request is no choice of the response */
void expr_set_tag(struct expr *x, unsigned tag);
unsigned expr_tag(const struct expr *x);

#endif
