/*
 * regex.c - patterns of the configuration against subjects from the network. A pattern is compiled once, to
 * machine code where that can be had; its match data is allocated with it, so that a match allocates nothing.
 * After a fork each process works on its own copy of both.
 *
 * The limits make a pattern that backtracks without end (they are easily written by accident) an error of one
 * request instead of a child that hangs.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>

#include "base/effort.h"

#define MATCH_LIMIT 200000              /* steps */
#define DEPTH_LIMIT 10000               /* nested back-tracking points of the interpreter */
#define HEAP_LIMIT 4096                 /* KiB for the interpreter */
#define JIT_STACK_START ((size_t)32 * 1024)     /* bytes */
#define JIT_STACK_MAX ((size_t)512 * 1024)

struct regex {
	pcre2_code *code;
	pcre2_match_data *match;
	unsigned groups;
	uint32_t names, name_size;      /* named groups: entries of the table, bytes of each (pcre2api: number of the group, name) */
	const unsigned char *name_table;
};

/* One for all patterns of the process: a match ends before the next begins. Exists while a pattern does. */
static pcre2_match_context *context;
static pcre2_jit_stack *stack;
static unsigned users;
static bool no_jit;

void regex_no_jit(void)
{
	no_jit = true;
}

static int shared_get(void)
{
	if (users == 0) {
		context = pcre2_match_context_create(NULL);
		if (!context) {
			errno = ENOMEM;
			return -1;
		}
		pcre2_set_match_limit(context, MATCH_LIMIT);
		pcre2_set_depth_limit(context, DEPTH_LIMIT);
		pcre2_set_heap_limit(context, HEAP_LIMIT);
		/* Without it machine code works on 32 KiB of the process's own stack. */
		stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
		if (stack)
			pcre2_jit_stack_assign(context, NULL, stack);
	}
	users++;
	return 0;
}

static void shared_put(void)
{
	if (--users == 0) {
		pcre2_match_context_free(context);
		pcre2_jit_stack_free(stack);
		context = NULL;
		stack = NULL;
	}
}

static void regex_free(void *arg)
{
	struct regex *re = arg;

	pcre2_match_data_free(re->match);
	pcre2_code_free(re->code);
	shared_put();
}

static int compile(struct regex *re, const char *pattern, unsigned flags, struct err *e)
{
	uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C;
	PCRE2_UCHAR words[160];
	PCRE2_SIZE at = 0;
	uint32_t groups = 0;
	int code = 0;

	options |= flags & REGEX_NOCASE ? PCRE2_CASELESS : 0;
	options |= flags & REGEX_DOTALL ? PCRE2_DOTALL : 0;
	options |= flags & REGEX_MULTILINE ? PCRE2_MULTILINE : 0;
	re->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &at, NULL);
	if (!re->code) {
		if (pcre2_get_error_message(code, words, sizeof words) < 0)
			words[0] = '\0';
		errno = code == PCRE2_ERROR_HEAP_FAILED ? ENOMEM : EINVAL;
		return err_set(e, "the regular expression \"%s\" is not valid: %s at offset %zu",
			pattern, (char *)words, at);
	}
	re->match = pcre2_match_data_create(REGEX_CAPTURES, NULL);
	if (!re->match) {
		errno = ENOMEM;
		return err_set(e, "out of memory for the regular expression \"%s\"", pattern);
	}
	pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	re->groups = groups;
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &re->names);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &re->name_size);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &re->name_table);
	if (!no_jit)
		pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);        /* what it refuses is interpreted */
	return 0;
}

/* Bytes of the compiled pattern: a short one may come to many. */
static size_t compiled_size(const struct regex *re)
{
	size_t size = 0, jit = 0;

	pcre2_pattern_info(re->code, PCRE2_INFO_SIZE, &size);
	pcre2_pattern_info(re->code, PCRE2_INFO_JITSIZE, &jit);
	return size + jit;
}

struct regex *regex_new(struct arena *a, const char *pattern, unsigned flags, struct err *e)
{
	struct regex *re = arena_zalloc(a, sizeof *re);

	if (!re || shared_get() != 0) {
		err_set(e, "out of memory for the regular expression \"%s\"", pattern);
		return NULL;
	}
	if (compile(re, pattern, flags, e) != 0) {
		int saved = errno;
		regex_free(re);
		errno = saved;
		return NULL;
	}
	if (arena_cleanup(a, regex_free, re) != 0) {
		regex_free(re);
		err_set(e, "out of memory for the regular expression \"%s\"", pattern);
		errno = ENOMEM;
		return NULL;
	}
	arena_charge(a, compiled_size(re));
	return re;
}

static void keep_captures(const struct regex *re, struct text subject, int count, struct regex_match *m)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->match);

	m->count = count;
	for (size_t i = 0; i < REGEX_CAPTURES; i++) {
		bool set = i < (size_t)count;
		size_t from = set ? at[2 * i] : PCRE2_UNSET, to = set ? at[2 * i + 1] : PCRE2_UNSET;
		/* \K in a lookahead can put the start behind the end */
		if (from == PCRE2_UNSET || from > to || to > subject.n)
			m->at[i] = (struct text){ NULL, 0 };
		else
			m->at[i] = (struct text){ subject.p + from, to - from };
	}
}

int regex_run(const struct regex *re, struct text subject, struct regex_match *m)
{
	int n;

	if (!subject.p)
		subject = TEXT("");
	if (effort_spent()) {
		errno = ELOOP;
		return -1;
	}
	n = pcre2_match(re->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, re->match, context);
	if (n == PCRE2_ERROR_NOMATCH)
		return 0;
	if (n < 0) {
		errno = n == PCRE2_ERROR_NOMEMORY ? ENOMEM : ELOOP;
		return -1;
	}
	if (m)
		keep_captures(re, subject, n ? n : REGEX_CAPTURES, m);  /* 0: it has more groups than we keep */
	return 1;
}

unsigned regex_groups(const struct regex *re)
{
	return re->groups;
}

const char *regex_group_name(const struct regex *re, unsigned i, unsigned *group)
{
	const unsigned char *entry = re->name_table + (size_t)i * re->name_size;

	if (i >= re->names)
		return NULL;
	*group = (unsigned)entry[0] << 8 | entry[1];
	return (const char *)entry + 2;
}

/* Writes the expansion to out, or only measures it if out is NULL. Returns its length. */
static size_t expand(char *out, const char *template, const struct regex_match *m)
{
	size_t n = 0;

	for (const char *p = template; *p; p++) {
		struct text piece = { p, 1 };
		if (*p == '$' && p[1] >= '0' && p[1] <= '9')
			piece = m->at[*++p - '0'];
		else if (*p == '\\' && p[1])
			piece.p = ++p;
		if (out && piece.n)
			memcpy(out + n, piece.p, piece.n);
		n += piece.n;
	}
	return n;
}

char *regex_expand(struct arena *a, const char *template, const struct regex_match *m)
{
	size_t n;
	char *out;

	if (!m)
		return arena_strdup(a, template);
	n = expand(NULL, template, m);
	out = arena_alloc(a, n + 1);
	if (out) {
		expand(out, template, m);
		out[n] = '\0';
	}
	return out;
}
