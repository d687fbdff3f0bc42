/*
 * mapprogram.c - RewriteMap prg: a program that answers each line with a line. Declared in the master; the spawner starts it with
 * the generation (process/spawnmap.c), and children ask it as they ask the name service: the request waits, nobody else does.
 */
#include "rewrite/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log/log.h"
#include "request/account.h"
#include "request/sections.h"

#define WORDS 64                        /* of a command, at most */

/* ---------------------------------------------------------------------------------------------- declaring */

/* The next word of a command; quotes keep blanks together, a backslash keeps a quote. NULL: there is none. */
static char *next_word(char **rest)
{
	char *p = *rest + strspn(*rest, " \t"), *word, *to, quote = 0;

	if (!*p)
		return NULL;
	for (word = to = p; *p && (quote || (*p != ' ' && *p != '\t')); p++) {
		if (*p == quote) {
			quote = 0;
		} else if (!quote && (*p == '"' || *p == '\'')) {
			quote = *p;
		} else {
			p += *p == '\\' && (p[1] == '"' || p[1] == '\'' || p[1] == '\\');
			*to++ = *p;
		}
	}
	*rest = *p ? p + 1 : p;
	*to = '\0';
	return word;
}

static int check_program(struct conf_call *call, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return conf_fail(call, "name a program that is there", "the program %s of the map cannot be had: %s", path, strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return conf_fail(call, "name a program", "%s is no regular file", path);
	if (!(st.st_mode & 0111))
		return conf_fail(call, "chmod +x lets it run", "the program %s of the map may be executed by nobody", path);
	return 0;
}

/* USER:GROUP */
static int set_account(struct conf_call *call, struct rewrite_program *p, const char *words)
{
	char *user = conf_strdup(call->env, words), *colon = strchr(user, ':');
	const struct account *a;

	if (!colon)
		return conf_fail(call, "write user:group", "\"%s\" names no group", words);
	*colon = '\0';
	a = account_of(call, user, colon + 1);
	p->account = a ? a->number : 0;
	return a ? 0 : -1;
}

int rewrite_set_program(struct conf_call *call, struct rewrite_map *m, const char *command, const char *account)
{
	struct site *s = reading_of(call)->site;
	struct rewrite_program *p = conf_alloc(call->env, sizeof *p);
	const char **argv = conf_alloc(call->env, (WORDS + 1) * sizeof *argv);
	char *rest = conf_strdup(call->env, command), *word;
	unsigned n = 0;

	while ((word = next_word(&rest))) {
		if (n == WORDS)
			return conf_fail(call, "put it into a script of its own", "the command has more than %d words", WORDS);
		argv[n++] = word;
	}
	if (!n)
		return conf_fail(call, "write prg:PATH", "the program of the map is missing");
	argv[0] = conf_path(call->env, argv[0]);
	if (check_program(call, argv[0]) != 0)
		return -1;
	*p = (struct rewrite_program){ .name = m->name, .argv = argv, .pos = m->pos, .number = s->nprograms++, .next = s->programs };
	s->programs = p;
	m->program = p;
	return account ? set_account(call, p, account) : 0;
}

const struct rewrite_program *rewrite_program_of(const struct site *s, unsigned number)
{
	const struct rewrite_program *p = s->programs;

	while (p && p->number != number)
		p = p->next;
	return p;
}

bool rewrite_maps_ask(const struct rewrite_host *h)
{
	for (const struct rewrite_map *m = h->maps; m; m = m->next)
		if (m->kind == REWRITE_MAP_PRG)
			return true;
	return false;
}

/* ---------------------------------------------------------------------------------------------- asking */

/* A key that is no line has no value, as in Apache. */
static bool is_line(struct text key)
{
	return !memchr(key.p, '\n', key.n) && !memchr(key.p, '\0', key.n);
}

struct text rewrite_ask_program(struct rewriting *w, const struct rewrite_map *m, struct text key, unsigned *failed)
{
	struct request *r = w->r;
	struct text none = { NULL, 0 }, answer;
	enum client_knows knows;
	const char *question;
	char *copy;

	if (!is_line(key))
		return none;
	question = key.n <= REWRITE_ASKS_KEY ? arena_printf(r->arena, "%c%u %.*s", REWRITE_ASKS, m->program->number, (int)key.n, key.p) : NULL;
	knows = question ? client_knows(r->client, question, &answer) : CLIENT_FAILED;
	if (knows == CLIENT_UNASKED) {
		if (client_ask(r->client, question)) {
			w->wait = true;
			return none;
		}
		knows = client_knows(r->client, question, &answer);
	}
	if (knows != CLIENT_KNOWS) {
		log_errorx(&r->client->about, LOG_REWRITE, "BH0690", "%s answered with 503: the program of the RewriteMap %s of %s:%u %s", r->path, m->name,
			   m->pos.file ? m->pos.file : "-", m->pos.line, key.n > REWRITE_ASKS_KEY ? "is not asked for a key of more than 8192 bytes" :
			   "has not answered within 5 seconds, or has too many questions before it; it answers one line at a time: look whether it writes its answers "
			   "out at once (unbuffered)");
		*failed = 503;
		return none;
	}
	if (!answer.n)
		return none;
	copy = arena_strndup(r->arena, answer.p, answer.n);     /* with its NUL */
	if (!copy)
		*failed = 503;
	return (struct text){ copy, copy ? strlen(copy) : 0 };
}
