/*
 * internal.h - what the files of conf/ share among themselves; nobody else includes it (tests may).
 *
 * One reader lives for one conf_read(). It walks the lines of a file; an Include makes it walk another one in between.
 * What is open at a moment stands on one stack of frames (sections and conditions); a file sees only the frames above
 * its own floor, so that it can close nothing that another file opened.
 */
#ifndef BULKHEAD_CONF_INTERNAL_H
#define BULKHEAD_CONF_INTERNAL_H

#include "conf/conf.h"

#define CONF_LINE_MAX ((size_t)16 * 1024 * 1024)        /* a line with its continuations, as Apache */
#define CONF_EXPANDED_MAX ((size_t)1024 * 1024)         /* what a line may grow to by its ${…} */
#define CONF_FILE_MAX ((size_t)64 * 1024 * 1024)
#define CONF_NESTING_MAX 64                             /* sections and conditions in each other; bounds conf_apply's recursion */
#define CONF_INCLUDE_MAX 128                            /* files that include each other, as Apache */
#define CONF_FOLDER_MAX 20                              /* folders in each other below an included one, as Apache */

/* ------------------------------------------------------------------------------------------------ lex.c */

enum conf_line {
	CONF_LINE,              /* *line is set: continued lines joined, outer blanks removed, maybe empty */
	CONF_LINE_END,
	CONF_LINE_LONG,         /* over CONF_LINE_MAX: skipped */
	CONF_LINE_NUL,          /* holds a NUL byte: skipped */
};

/* A walk over the lines of a text that the caller keeps. */
struct conf_lines {
	const char *p, *end;
	unsigned line;          /* the last one read; 0 before the first */
	char *buf;              /* of the line handed out last */
	size_t cap;
};

enum conf_line conf_lines_next(struct conf_lines *l, struct conf_env *env, char **line);
bool conf_blank(char c);                /* C's isspace in the C locale, as Apache's */

/* ------------------------------------------------------------------------------------------------ tree.c */

struct conf_frame {
	struct conf_frame *up;
	const char *name;       /* "<Directory" as written */
	struct conf_pos pos;    /* its opening tag */
	struct conf_node *node; /* NULL for a condition and for what is skipped */
	bool skipped;           /* no line between the tags is looked at but for tags */
	const char *module;     /* if skipped for want of one: its name in <IfModule>; else NULL */
};

/* A file that is being read. */
struct conf_file {
	struct conf_file *from; /* the one whose Include named it; NULL for the first */
	struct conf_pos pos;    /* the line that is being read */
	struct conf_frame *floor;
	unsigned depth;         /* 0 for the first */
	const struct conf_macro *macro; /* not a file but a macro's lines */
};

struct conf_reader {
	struct conf_env *env;
	struct conf_tree *tree;
	struct conf_file *file;
	struct conf_frame *top, *spare;
	unsigned nesting;
	struct conf_node *parent, *last;        /* where the next node goes: into parent, behind last; NULL = none */
	struct conf_included **included;        /* the end of tree's list */
	bool stopped;                           /* an Include loop: reading on would only repeat it */
	struct conf_macro *macro;               /* whose lines are gathered, up to its end; NULL = none */
	const struct conf_file *macro_file;     /* where it began */
	unsigned macro_depth;                   /* <Macro> in each other */
	int macro_nesting;                      /* sections opened less those closed in it */
};

/* Reads a text as the next file; `name` is absolute. */
void conf_read_lines(struct conf_reader *r, const char *text, size_t n, const char *name);
/* Include, Define and their like: carried out while reading, and in no module's table. */
bool conf_is_command(const char *name);
/* One line of r->file. */
void conf_read_line(struct conf_reader *r, const char *line);

/* ------------------------------------------------------------------------------------------------ include.c */

/* Carries out Include or IncludeOptional. `args` as it stands. */
void conf_include(struct conf_reader *r, const char *name, const char *args, bool optional);
/* Reads one file. NULL, or why not (nothing is reported then), with *error = errno, or 0 if it is not the system's word. */
const char *conf_read_file(struct conf_reader *r, const char *path, int *error);

/* ------------------------------------------------------------------------------------------------ define.c */

/* The line with ${…} replaced: itself, if there are none. NULL: refused and reported. */
const char *conf_expand(struct conf_reader *r, const char *line);
void conf_define(struct conf_reader *r, const char *args);
void conf_undefine(struct conf_reader *r, const char *args);
bool conf_is_defined(const struct conf_env *env, const char *name);

/* ------------------------------------------------------------------------------------------------ macro.c */

/* <Macro ARGS>: what follows goes to conf_macro_line until r->macro is NULL again. */
void conf_macro_open(struct conf_reader *r, const char *args);
void conf_macro_line(struct conf_reader *r, const char *line);
/* The file ends in a macro. */
void conf_macro_unclosed(struct conf_reader *r);
void conf_use(struct conf_reader *r, const char *args);
void conf_undef_macro(struct conf_reader *r, const char *args);

/* ------------------------------------------------------------------------------------------------ cond.c */

enum conf_verdict { CONF_NO_CONDITION, CONF_HOLDS, CONF_HOLDS_NOT };
/* Judges "<IfModule" and its like; faults are reported and hold not. `args` without the ">". */
enum conf_verdict conf_condition(struct conf_reader *r, const char *name, const char *args);

/* ------------------------------------------------------------------------------------------------ report.c */

/* An error at the line that is being read. */
void conf_bad(struct conf_reader *r, const char *remedy, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* True the first time it is asked about a text. */
bool conf_first_time(struct conf_env *env, const char *text);
/* What in a line may mislead (a comment behind an argument, curly quotes …) put behind remedy; either may be NULL. */
const char *conf_with_hint(struct conf_env *env, const char *line, const char *remedy);

#endif
