/*
 * regex.h - regular expressions (PCRE2 with JIT) behind limits: a pattern of the configuration, a subject
 * from the network. Compiled in the master, used in any process after fork. Not for signal handlers.
 */
#ifndef BULKHEAD_BASE_REGEX_H
#define BULKHEAD_BASE_REGEX_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

#define REGEX_CAPTURES 10               /* $0 … $9 */
/*
 * Apache's default is REGEX_DOTALL. '$' never matches before a line feed at the end: it would let "x.php\n"
 * pass.
 */
enum { REGEX_NOCASE = 1, REGEX_DOTALL = 2, REGEX_MULTILINE = 4 };

struct regex;
struct regex_match {
	int count;                      /* captures set, at least 1 after a match */
	struct text at[REGEX_CAPTURES]; /* borrows the subject; absent where a group did not take part */
};

/* Compiles; the result is freed with the arena. NULL with *e naming the offset in the pattern. */
struct regex *regex_new(struct arena *a, const char *pattern, unsigned flags, struct err *e);
/*
 * Patterns compiled after this are interpreted: for a role whose sandbox forbids executable mappings (a
 * pattern of a per-directory file is compiled in a child). What was compiled before the fork keeps its
 * machine code.
 */
void regex_no_jit(void);
/*
 * 1 match, 0 none, -1 a limit was reached, or the time of the turn is spent (ELOOP), or no memory (ENOMEM). m may be NULL. Not for two threads
 * at once.
 */
int regex_run(const struct regex *re, struct text subject, struct regex_match *m);
unsigned regex_groups(const struct regex *re);
/* The i-th named group, from 0, and its number; NULL: there are no more. */
const char *regex_group_name(const struct regex *re, unsigned i, unsigned *group);
/*
 * Fills in $0 … $9 of a template (nothing for a group that took no part). A backslash makes the next
 * character literal ("\$1"); '&' is literal. Without a match (m NULL) the template comes back as it is. NULL
 * on ENOMEM.
 */
char *regex_expand(struct arena *a, const char *template, const struct regex_match *m);

#endif
