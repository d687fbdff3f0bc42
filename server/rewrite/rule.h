/*
 * rule.h - what mod_rewrite's files share: rules and conditions as they are compiled, and the state of a list of
 * rules that runs. For rewrite*.c alone; others include rewrite.h.
 */
#ifndef BULKHEAD_REWRITE_RULE_H
#define BULKHEAD_REWRITE_RULE_H

#include "base/regex.h"
#include "expr/expr.h"
#include "request/rewrite.h"

#define REWRITE_PARTS 64                /* pieces of one text */
#define REWRITE_DEPTH 8                 /* maps within the key of a map */
#define REWRITE_TEXT 65536              /* bytes a text may expand to */
#define REWRITE_PATH (2 * 8190)         /* bytes a path may grow to: twice Apache's default of LimitRequestLine */
#define REWRITE_ROUNDS 32000            /* [N] without a number */

/* ---------------------------------------------------------------------------------------------- texts */

/*
 * A TestString, a Substitution or a value with its $1, %1, %{NAME} and ${map:key|default}, taken apart once. It is expanded
 * in one pass: what came from the network is never looked at again for more of them.
 */
enum rewrite_kind {
	REWRITE_LITERAL, REWRITE_OF_RULE, REWRITE_OF_CONDITION, REWRITE_VARIABLE, REWRITE_ENV, REWRITE_HTTP, REWRITE_SSL,
	REWRITE_LOOK_URL, REWRITE_LOOK_FILE, REWRITE_MAP,
};
struct rewrite_part {
	enum rewrite_kind kind;
	unsigned number;                        /* of a capture */
	struct text text;                       /* the literal */
	const char *name;                       /* of a variable, a field or a map */
	const char *vary;                       /* the field of the request whose value it is; NULL = none, or Host */
	const struct rewrite_text *key, *otherwise;     /* of a map; otherwise NULL = no default */
};
struct rewrite_text {
	const char *written;
	const struct rewrite_part *at;
	unsigned n;
};

struct rewriting;
struct rewrite_host;
/* NULL after conf_fail. */
const struct rewrite_text *rewrite_text_new(struct conf_call *call, const char *written);
struct rewrite_rule;
/*
 * Expands; the captures are escaped as the rule says, if one is given. *mark, if not NULL, becomes 1 where the '?' that
 * begins the query would be one that a capture or variable brought along, 0 where it is one of the text itself, else stays.
 * Absent where it cannot be done: w->status or w->wait says why. Not terminated in general.
 */
struct text rewrite_expand(struct rewriting *w, const struct rewrite_text *t, const struct rewrite_rule *rule, int *mark);
/* The same, terminated. NULL where it cannot be done. */
const char *rewrite_expand_string(struct rewriting *w, const struct rewrite_text *t, const struct rewrite_rule *rule, int *mark);

/* ---------------------------------------------------------------------------------------------- maps */

struct rewrite_map {
	const char *name;
	enum rewrite_map_kind { REWRITE_MAP_TXT, REWRITE_MAP_RND, REWRITE_MAP_DBM, REWRITE_MAP_LOWER, REWRITE_MAP_UPPER, REWRITE_MAP_ESCAPE,
		REWRITE_MAP_UNESCAPE, REWRITE_MAP_PRG } kind;
	const char *file;
	struct conf_pos pos;
	struct rewrite_mapped *mapped;          /* what the process holds of the file */
	const struct rewrite_program *program;  /* of prg: */
	struct rewrite_map *next;
};
conf_setter rewrite_set_map;
/*
 * What a key leads to; absent where it leads nowhere, and with a status in *failed where the map cannot be read: a rule may be one
 * that refuses; or with w->wait: its program was asked. Lives as long as the request's arena.
 */
struct text rewrite_map_find(struct rewriting *w, struct rewrite_map *m, struct text key, unsigned *failed);
/* mapprogram.c: prg:PATH ARGUMENTS, and the account of its third word or NULL; and a question to it. */
int rewrite_set_program(struct conf_call *call, struct rewrite_map *m, const char *command, const char *account);
struct text rewrite_ask_program(struct rewriting *w, const struct rewrite_map *m, struct text key, unsigned *failed);
/* Whether any map of the host is a program's: then a list may have to be run again from its beginning. */
bool rewrite_maps_ask(const struct rewrite_host *h);

/* ---------------------------------------------------------------------------------------------- conditions and rules */

enum rewrite_test {
	REWRITE_REGEX, REWRITE_EXPR, REWRITE_IS_FILE, REWRITE_IS_FILLED, REWRITE_IS_FOLDER, REWRITE_IS_LINK, REWRITE_IS_PROGRAM, REWRITE_URL_OK,
	REWRITE_FILE_OK, REWRITE_LESS, REWRITE_LESS_EQUAL, REWRITE_EQUAL, REWRITE_GREATER_EQUAL, REWRITE_GREATER, REWRITE_NUM_LT,
	REWRITE_NUM_LE, REWRITE_NUM_EQ, REWRITE_NUM_GE, REWRITE_NUM_GT,
};
enum { REWRITE_C_NOCASE = 1, REWRITE_C_NOT = 2, REWRITE_C_OR = 4, REWRITE_C_NOVARY = 8 };
struct rewrite_cond {
	const struct rewrite_text *input;
	const char *written;                    /* the pattern as written */
	enum rewrite_test test;
	unsigned flags;
	const char *operand;
	struct regex *regex;
	struct expr *expr;
	struct conf_pos pos;
	struct rewrite_cond *next;
};

enum {
	REWRITE_F_REDIRECT = 1, REWRITE_F_LAST = 2, REWRITE_F_NEXT = 4, REWRITE_F_CHAIN = 8, REWRITE_F_NOSUBREQ = 16, REWRITE_F_NOT = 32,
	REWRITE_F_PASS = 64, REWRITE_F_QSA = 128, REWRITE_F_NOCASE = 256, REWRITE_F_NOESCAPE = 512, REWRITE_F_NOSUB = 1024,
	REWRITE_F_STATUS = 2048, REWRITE_F_ESCAPE = 4096, REWRITE_F_DPI = 8192, REWRITE_F_QSD = 16384, REWRITE_F_END = 32768,
	REWRITE_F_NOPLUS = 65536, REWRITE_F_QSL = 131072, REWRITE_F_QSNONE = 262144, REWRITE_F_ESCAPE_CTLS = 524288,
	REWRITE_F_PREFIX_STAT = 1048576, REWRITE_F_ALLOW_3F = 2097152, REWRITE_F_UNC = 4194304, REWRITE_F_PROXY = 8388608,
};
/* [E=…] and [CO=…] */
struct rewrite_item {
	const struct rewrite_text *text;
	struct rewrite_item *next;
};
struct rewrite_rule {
	const char *pattern, *substitution;     /* as written */
	struct regex *regex;
	const struct rewrite_text *to;          /* NULL with REWRITE_F_NOSUB */
	unsigned flags;
	unsigned status;                        /* of REWRITE_F_REDIRECT and REWRITE_F_STATUS */
	unsigned skip, rounds;
	const char *escaped, *unescaped;        /* [B=…], [BNE=…]; NULL = none */
	struct rewrite_item *env, *cookies;
	const struct rewrite_text *type, *handler;
	struct rewrite_cond *conds;
	struct conf_pos pos;
};
/* Flags and their values; 0 or -1 after conf_fail. `flags` is written over. */
int rewrite_flags(struct conf_call *call, struct rewrite_rule *rule, char *flags);
/* [key=value,…] taken apart: calls one for each; `text` is written over. */
int rewrite_each_flag(struct conf_call *call, char *text, int (*one)(struct conf_call *call, void *to, const char *key, const char *value), void *to);

/* ---------------------------------------------------------------------------------------------- what a section or host holds */

enum {
	REWRITE_O_INHERIT = 1, REWRITE_O_INHERIT_BEFORE = 2, REWRITE_O_NOSLASH = 4, REWRITE_O_ANYURI = 8, REWRITE_O_MERGEBASE = 16,
	REWRITE_O_INHERIT_DOWN = 32, REWRITE_O_INHERIT_DOWN_BEFORE = 64, REWRITE_O_IGNORE_INHERIT = 128, REWRITE_O_IGNORE_CONTEXT = 256,
	REWRITE_O_LEGACY_PREFIX = 512, REWRITE_O_PREFIX_STAT = 1024,
};
struct rewrite_list {
	const struct rewrite_rule **at;
	unsigned n, cap;
	struct rewrite_cond *pending, **tail;   /* conditions whose rule is yet to come */
};
struct rewrite_section {
	int engine;                             /* 1, 0, CONF_UNSET */
	unsigned options;
	bool options_set;
	const char *base;                       /* RewriteBase; NULL = none */
	const char *directory;                  /* of the rules, with a slash at its end; NULL = of no folder */
	struct rewrite_list rules;
};
struct rewrite_host {
	bool touched;                           /* a line of the module stands in it, or in one of its sections */
	int engine;
	unsigned options;
	bool options_set;
	struct rewrite_map *maps;
	struct rewrite_list rules;
};
conf_setter rewrite_set_rule, rewrite_set_cond;
/* The list that a line belongs to; notes the folder of its section. */
struct rewrite_list *rewrite_list_of(struct conf_call *call, void *section);

/* ---------------------------------------------------------------------------------------------- running */

#define REWRITE_VARY 16

/* A list of rules at work. r->filename is the path (or name) as it stands, so that variables and expressions see it. */
struct rewriting {
	struct request *r;
	const struct rewrite_host *host;
	const struct rewrite_section *section;
	const char *directory;                  /* NULL: rules of a host */
	struct text uri;                        /* what patterns are matched against */
	struct regex_match rule, cond;          /* captures: $N, %N; count 0 = none */
	const struct rewrite_rule *last;        /* the last that substituted */
	unsigned status;                        /* to answer with; of a redirect */
	bool wait;                              /* names have to be asked for: the phase comes again */
	bool pass, proxy, reduced;              /* [PT]; [P]; http://this-host/ was taken off */
	bool sub;                               /* of a request that another one looks up */
	int traced;                             /* 0 to 8: how much is told */
	unsigned steps;                         /* rules and conditions looked at */
	int64_t until_ms;                       /* CLOCK_MONOTONIC: the list has to be done; 0 = not asked yet */
	const char *first_name;                 /* r->filename before the first rule */
	const char *made;                       /* and behind the last */
	const char *vary[REWRITE_VARY];         /* fields that the conditions of the rule at hand looked at */
	unsigned nvary;
};

/* What outlives the list: r->rewritten. */
struct rewritten {
	bool end;                               /* [END] was met */
	const char *type, *handler;             /* [T], [H]; NULL = none */
};
/* REWRITE_ANSWER: with w->status; REWRITE_BROKEN: with w->status or w->wait. REWRITE_CHANGED_AS_IS: a redirect is not escaped. */
enum rewrite_result { REWRITE_UNCHANGED, REWRITE_CHANGED, REWRITE_CHANGED_AS_IS, REWRITE_ANSWER, REWRITE_BROKEN };
enum rewrite_result rewrite_list_apply(struct rewriting *w, const struct rewrite_list *list);
const char *rewrite_file_of(const struct rewrite_rule *rule);

void rewrite_tell(const struct rewriting *w, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define rewrite_trace(w, level, ...) do { if ((w)->traced >= (level)) rewrite_tell(w, level, __VA_ARGS__); } while (0)

/* 1, 0, or -1: it cannot be told (w->status, w->wait). */
int rewrite_cond_holds(struct rewriting *w, const struct rewrite_cond *c);
/* The request that looks up a path for it; NULL with w->wait, or where it cannot be looked up. *status as phases_lookup. */
struct request *rewrite_look_up(struct rewriting *w, const char *path, unsigned *status);
/* The URL path of a file below DocumentRoot, or below an Alias that led here; NULL if it has none. */
const char *rewrite_url_of_file(struct request *r, const char *file);
/* The URL path that the rules have made of the request so far. */
const char *rewrite_url_now(struct rewriting *w);

/* rewriteurl.c: pure. The length of "scheme://" (or "mailto:"), 0 where there is none; *query: it may have a query. */
size_t rewrite_scheme(const char *url, bool *query);
/* What a capture becomes by [B]: *d is of the arena. */
struct text rewrite_escape_capture(struct arena *a, struct text t, const struct rewrite_rule *rule);
/* A URL with all behind its host %-encoded. */
const char *rewrite_escape_url(struct arena *a, const char *url, size_t scheme);
/* Cuts the query off *path, in place, by the rule's flags: r->query is what it comes to. 0 or -1 (ENOMEM). */
int rewrite_split_query(struct rewriting *w, char *path, const struct rewrite_rule *rule);
/* `input` with its prefix `match` replaced; input itself where it does not begin so. NULL on ENOMEM. */
const char *rewrite_put_prefix(struct arena *a, const char *input, const char *match, const char *with);
/* A path without "//", "/./" and "/../", in the arena; NULL with errno EINVAL where ".." leads above the root, ENOMEM. */
const char *rewrite_clean(struct arena *a, const char *path, bool keep_slashes);
/* [CO=…] as a Set-Cookie field of the answer. 0 or -1 (ENOMEM). */
int rewrite_cookie(struct rewriting *w, const char *text);

#endif
