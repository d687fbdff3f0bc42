/*
 * conf.h - the configuration's language, as Apache httpd 2.4 has it: lines, sections, includes, definitions,
 * conditions, and the engine that hands directives to the modules' tables.
 *
 * conf/ knows no module, no server, no log: what it needs from outside comes through struct conf_env. It is used by
 * the master, by jobs and (for .htaccess) by children. Nothing here is for signal handlers or several threads.
 *
 *   struct conf_tree *t = conf_read("/etc/bulkhead/bulkhead.conf", &env);   reads, includes, expands, nests
 *   conf_apply(t->first, modules, CONF_SERVER, &target, &env);              hands each directive to its setter
 *
 * Every fault is reported through env->report with file and line; reading and applying go on, so that one run tells
 * all faults (the first CONF_ERRORS_TOLD of them; then one line says that more follow, and env->errors has the number).
 * Memory comes from env->alloc and lives as long as the caller's arena.
 */
#ifndef BULKHEAD_CONF_CONF_H
#define BULKHEAD_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------------------------------------ where and what */

#define CONF_ERRORS_TOLD 100            /* errors that reach env->report in one run */

enum conf_severity {
	CONF_ERROR,             /* the configuration is refused */
	CONF_WARNING,           /* works, but probably not as meant */
	CONF_NOTICE,            /* without effect here; told once, at -t and at start */
};

struct conf_pos {
	const char *file;       /* as named by the administrator, made absolute */
	unsigned line;          /* the last line of a continued directive, as Apache counts */
	const char *within;     /* of what a macro brought: "line 2 of macro M defined at …"; file and line are then its Use; else NULL */
};

struct conf_define {
	const char *name, *value;       /* value NULL: defined without one (-D NAME) */
	struct conf_define *next;
};

/* What the language needs of its surroundings. The caller owns it, zeroes what it does not set; it outlives the tree. */
struct conf_env {
	void *ctx;
	/* `pos` may be NULL, `remedy` too. Both texts are without full stop. */
	void (*report)(void *ctx, enum conf_severity, const struct conf_pos *pos, const char *sentence, const char *remedy);
	bool (*has_module)(void *ctx, const char *name);        /* <IfModule>: "mod_ssl.c" or "ssl_module" */
	void *(*alloc)(void *ctx, size_t n);                    /* zeroed; never NULL (the caller bails out by itself) */
	int (*open)(void *ctx, const char *path);               /* O_RDONLY; -1 with errno */
	const char *root;                                       /* ServerRoot; relative paths are below it; "" at first */
	struct conf_define *defines;                            /* Define and -D; changed by the reader */
	bool dump_includes;                                     /* collect the included files in the tree (-t -D DUMP_INCLUDES) */
	unsigned errors;                                        /* counted by conf_report */
	/* All below may be NULL or false. */
	const char *(*unknown)(void *ctx, const char *name);    /* a remedy for a name that no table has; NULL: none known */
	bool (*has_directive)(void *ctx, const char *name);     /* <IfDirective>, <IfSection>; without it both are refused */
	/* A line that an <IfModule> leaves out since `module`, as written there, does not exist. True: no more of that section. */
	bool (*left_out)(void *ctx, const char *module, const char *name, const char *args, const struct conf_pos *pos);
	const char *version;                                    /* <IfVersion>: "2.4.71"; without it that is refused */
	bool no_include;                                        /* Include is refused (.htaccess; no folder is touched) */
	bool no_define;                                         /* Define, UnDefine and macros are refused (.htaccess) */
	struct conf_told *told;                                 /* private: what was said once already */
	struct conf_macro *macros;                              /* private: <Macro> */
	unsigned macro_lines;                                   /* private: read by all Use so far */
};

/* ------------------------------------------------------------------------------------------------ the tree */

/*
 * A directive or a section. Conditions (IfModule, IfDefine …), Include and Define are gone: what they kept stands in
 * their place. `args` is the rest of the line with ${…} replaced, outer blanks removed, quotes still there; for a
 * section without the closing ">".
 */
struct conf_node {
	const char *name;               /* as written; a section's starts with '<': "<Directory" */
	const char *args;
	struct conf_pos pos;
	struct conf_node *parent, *child, *next;
	bool section;
};

struct conf_included {
	const char *path;
	struct conf_pos from;           /* the Include line; file NULL for the main file */
	unsigned depth;                 /* 0 for the main file */
	struct conf_included *next;
};

struct conf_tree {
	struct conf_node *first;        /* in order of the lines */
	struct conf_node *last;
	struct conf_included *included; /* in order of reading, if env->dump_includes */
};

/*
 * Reads a file and all it includes. Always a tree; faults are counted in env->errors. Files are opened by env->open;
 * folders that an Include names are read directly, and so is the existence of what <IfFile> names. A ServerRoot line
 * outside all sections sets env->root at once.
 */
struct conf_tree *conf_read(const char *path, struct conf_env *env);
/* The same from a text: -C and -c arguments, .htaccess, tests. `name` stands for the file in messages. */
struct conf_tree *conf_read_text(const char *text, const char *name, struct conf_env *env);
/* Appends b's nodes to a. */
void conf_join(struct conf_tree *a, struct conf_tree *b);

/* ------------------------------------------------------------------------------------------------ directives */

enum conf_context {
	CONF_SERVER = 1,        /* outside all sections */
	CONF_HOST = 2,          /* <VirtualHost> */
	CONF_DIRECTORY = 4,     /* <Directory>, <DirectoryMatch> */
	CONF_LOCATION = 8,      /* <Location>, <LocationMatch> */
	CONF_FILES = 16,        /* <Files>, <FilesMatch> */
	CONF_HTACCESS = 32,     /* .htaccess; which group AllowOverride must allow: conf_directive.override */
	CONF_GLOBAL = CONF_SERVER,                                              /* process-wide: never in a host */
	CONF_RSRC = CONF_SERVER | CONF_HOST,                                    /* Apache's "server config, virtual host" */
	CONF_SECTIONS = CONF_DIRECTORY | CONF_LOCATION | CONF_FILES,
	CONF_ANY = CONF_RSRC | CONF_SECTIONS,                                   /* everywhere but .htaccess */
	CONF_ALL = CONF_ANY | CONF_HTACCESS,
};

enum conf_override { CONF_OR_NONE, CONF_OR_AUTHCONFIG = 1, CONF_OR_FILEINFO = 2, CONF_OR_INDEXES = 4, CONF_OR_LIMIT = 8, CONF_OR_OPTIONS = 16,
	CONF_OR_ANY = 31 };

enum conf_args {
	CONF_NO_ARGS,
	CONF_FLAG,              /* On or Off: argv[0] is "on" or "off", in lower case */
	CONF_TAKE,              /* between min and max words; max 0 = any number */
	CONF_ITERATE,           /* one word or more, the setter is called for each: argc 1 */
	CONF_ITERATE2,          /* a first word and one or more: the setter is called with each pair: argc 2 */
	CONF_RAW,               /* argv[0] is the rest of the line as it stands */
	CONF_SECTION,           /* a section: argv[0] is its argument as it stands, which may be empty unless min is 1;
				   the setter applies call->node->child itself */
};

/* Which of a module's two structures a directive belongs to. */
enum conf_scope { CONF_OF_HOST, CONF_OF_SECTION };

/* What a per-directory file may hold. Known to conf_target.allowed. */
enum { CONF_NONFATAL_OVERRIDE = 1, CONF_NONFATAL_UNKNOWN = 2 };
struct conf_allowed {
	unsigned override;              /* enum conf_override: a directive of one of these groups is taken */
	unsigned options;               /* AllowOverride Options=…: for the setter of Options alone */
	unsigned nonfatal;              /* CONF_NONFATAL_*: what is passed over with a notice in place of an error */
	const char *const *list;        /* AllowOverrideList: taken by name; ended by NULL, or NULL */
};

struct conf_call;
struct conf_directive;
/* 0, or -1 after conf_fail(). `config` = the module's structure of the directive's scope. */
typedef int conf_setter(struct conf_call *call, void *config, int argc, char **argv);

struct conf_directive {
	const char *name;               /* "KeepAlive", "<Directory" */
	const char *help;               /* one line, for -L and bulkhead.conf(5) */
	const char *value;              /* the default as an administrator would write it; NULL = none */
	unsigned contexts;              /* enum conf_context */
	unsigned override;              /* enum conf_override, where contexts has CONF_HTACCESS */
	enum conf_args args;
	unsigned min, max;              /* CONF_TAKE */
	enum conf_scope scope;
	conf_setter *set;
	/* For the shared setters below: where the value goes, and its bounds. */
	size_t offset;                  /* in the structure of the scope */
	int64_t low, high;              /* conf_set_number; conf_set_seconds (in seconds); both 0: any from 0 on */
	const void *extra;              /* conf_set_choice: struct conf_choice table, ended by a row without a word;
					   conf_set_notice, conf_set_refused: a text; else the module's own */
};

/*
 * A module: a table of directives with the structures they fill. `index` is given by conf_modules_number(); targets
 * hold one pointer a module. create/merge may be NULL where a module has no structure of that scope.
 * `ctx` is env->ctx: modules that allocate do it through conf_alloc.
 */
struct conf_module {
	const char *name;               /* "ssl_module" */
	const char *source;             /* "mod_ssl.c": the other name <IfModule> knows; also for -l */
	const char *aka;                /* further names, blank-separated ("socache_shmcb_module mod_socache_shmcb.c"), or NULL */
	const struct conf_directive *directives;        /* ended by a row without a name */
	unsigned index;
	void *(*create_host)(struct conf_env *env);
	void *(*merge_host)(struct conf_env *env, const void *base, const void *over);
	void *(*create_section)(struct conf_env *env);
	void *(*merge_section)(struct conf_env *env, const void *base, const void *over);
	/* Called once for every host after merging, the main server first: resolves names, checks what needs the whole. 0 or -1 (reported). */
	int (*finish_host)(struct conf_env *env, void *config, const char *host_name);
};

/*
 * Where directives go: the arrays are indexed by conf_module.index. An entry that is NULL is made by the module's
 * create_host or create_section when its first directive comes; so only modules that are spoken to have a structure.
 */
struct conf_target {
	void **host;                    /* the modules' structures of the server or virtual host */
	void **section;                 /* those of the innermost section */
	void *owner;                    /* for setters that need more: the configuration that is being read (process/config.h) */
	unsigned limit;                 /* inside <Limit>/<LimitExcept>: bits of methods (http/head.h); 0 = all */
	const struct conf_allowed *allowed;     /* where the context has CONF_HTACCESS; NULL: all of .htaccess */
};

/* What a setter is told. */
struct conf_call {
	const struct conf_directive *directive;
	const struct conf_module *module;
	const struct conf_node *node;
	enum conf_context context;      /* inside sections of a per-directory file two bits: CONF_HTACCESS | CONF_FILES */
	struct conf_target *target;
	struct conf_env *env;
	struct conf_module *const *modules;
};

/* Gives each module its index; returns their number. `modules` ends with NULL. */
unsigned conf_modules_number(struct conf_module *const *modules);
/*
 * Hands a row of nodes (a sibling list) to the modules' setters: finds the directive, checks the context, splits the
 * arguments, calls. An unknown name is an error with "did you mean". Returns 0, or -1 if any fault was reported.
 * `context` may be several bits: a directive must then belong to each of them.
 */
int conf_apply(const struct conf_node *first, struct conf_module *const *modules, enum conf_context context,
	       struct conf_target *target, struct conf_env *env);
const struct conf_directive *conf_find(struct conf_module *const *modules, const char *name, const struct conf_module **module);
/* The nearest known name, or NULL when none is near enough. */
const char *conf_nearest(struct conf_module *const *modules, const char *name);
/* Calls print for each directive of each module (-L). */
void conf_list(struct conf_module *const *modules,
	       void (*print)(void *ctx, const struct conf_module *, const struct conf_directive *), void *ctx);
/* "server config, virtual host, directory, .htaccess" */
const char *conf_context_words(unsigned contexts, char *buf, size_t n);

/* ------------------------------------------------------------------------------------------------ for setters */

void *conf_alloc(struct conf_env *env, size_t n);
char *conf_strdup(struct conf_env *env, const char *s);
/*
 * For merge functions: copies of two lists, one behind the other. Elements have `size` bytes and a pointer to the next one at offset `next`.
 * What they point to besides is shared.
 */
void *conf_chain(struct conf_env *env, const void *first, const void *second, size_t size, size_t next);
#define CONF_CHAIN(env, first, second) conf_chain((env), (first), (second), sizeof *(first), offsetof(__typeof__(*(first)), next))
char *conf_printf(struct conf_env *env, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reports an error at the directive ("KeepAlive: …" is put in front). Returns -1. remedy may be NULL. */
int conf_fail(struct conf_call *call, const char *remedy, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void conf_warn(struct conf_call *call, const char *remedy, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Without effect here: a CONF_NOTICE. The same sentence about the same directive is told once. */
void conf_note(struct conf_call *call, const char *remedy, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A report that belongs to no directive call. */
void conf_report(struct conf_env *env, enum conf_severity, const struct conf_pos *pos, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* A path below env->root unless absolute. */
char *conf_path(struct conf_env *env, const char *path);
/*
 * The next word of a line, quotes removed and \" resolved as Apache does; *line moves on. NULL at the end.
 * A word may be empty (""): setters of CONF_TAKE meet such a word only where it is optional and others follow it.
 */
char *conf_word(struct conf_env *env, const char **line);

/* Shared setters: the value goes to config + directive->offset. */
conf_setter conf_set_string;            /* const char * */
conf_setter conf_set_path;              /* const char *, made absolute */
conf_setter conf_set_flag;              /* int: 1 or 0 (structures start with -1 = unset) */
conf_setter conf_set_number;            /* int64_t within [low, high]; digits only, an optional sign */
conf_setter conf_set_seconds;           /* int64_t milliseconds; the text in seconds or with a unit (ms s mi min h) */
conf_setter conf_set_choice;            /* int; extra = struct conf_choice[]; the words in any case */
conf_setter conf_set_notice;            /* known, checked for its arguments only; a notice with extra (const char *) as its reason */
conf_setter conf_set_refused;           /* known, but refused here: extra (const char *) is the remedy */
struct conf_choice { const char *word; int value; };

#define CONF_UNSET (-1)
/* For merge functions: what the inner structure, of which m is a copy, leaves unset (CONF_UNSET, NULL, 0) is as in the outer one. */
#define CONF_INHERIT(m, outer, field, unset) do { if ((m)->field == (unset)) (m)->field = (outer)->field; } while (0)

#endif
