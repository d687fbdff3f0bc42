/*
 * names.c - asks libc's name service, and remembers. Runs in the resolver, one question after the other, and in -X.
 */
#include "process/names.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/text.h"

/* ------------------------------------------------------------------------------------------------ looking */

/* libc loads what nsswitch.conf names at its first use: too late in a sandbox where no code can be mapped. */
static void load_modules(void)
{
	FILE *f = fopen("/etc/nsswitch.conf", "re");
	char line[512], file[128], *rest, *word;

	while (f && fgets(line, sizeof line, f)) {
		if (strncmp(line, "hosts:", 6) != 0)
			continue;
		for (rest = line + 6; (word = strsep(&rest, " \t\n"));)
			if (*word && !strpbrk(word, "[]=/#") && snprintf(file, sizeof file, "libnss_%s.so.2", word) < (int)sizeof file)
				dlopen(file, RTLD_NOW);
	}
	if (f)
		fclose(f);
}

void names_prepare(void)
{
	setenv("RES_OPTIONS", "timeout:2 attempts:1", 1);
	load_modules();
}

static ssize_t addresses_of(const char *name, char answer[LOOKUP_ANSWER])
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	size_t n = 0;
	int rc = getaddrinfo(name, NULL, &hints, &list);

	if (rc == EAI_NONAME || rc == EAI_NODATA || rc == EAI_ADDRFAMILY)
		return 0;
	if (rc)
		return -1;
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		struct addr a = { .len = i->ai_addrlen };

		if (i->ai_addrlen > sizeof a.ss || n + ADDR_TEXT > LOOKUP_ANSWER)
			continue;
		memcpy(&a.ss, i->ai_addr, i->ai_addrlen);
		addr_unmap(&a);
		n += strlen(addr_ip(&a, answer + n)) + 1;
	}
	freeaddrinfo(list);
	return (ssize_t)n;
}

static ssize_t name_of(const struct addr *a, char answer[LOOKUP_ANSWER])
{
	char name[NI_MAXHOST], text[ADDR_TEXT];
	struct addr number;
	ssize_t n;
	int rc = getnameinfo(&a->sa, a->len, name, sizeof name, NULL, 0, NI_NAMEREQD);

	if (rc == EAI_NONAME)
		return 0;
	n = rc ? -1 : addr_parse(&number, name, 0) == 0 ? 0 : addresses_of(name, answer);
	if (n <= 0)
		return n;
	addr_ip(a, text);
	for (const char *p = answer; p < answer + n; p += strlen(p) + 1) {
		if (strcmp(p, text) != 0)
			continue;
		n = (ssize_t)strlen(name) + 1;
		for (ssize_t i = 0; i < n; i++)
			answer[i] = (char)ascii_lower((unsigned char)name[i]);
		return n;
	}
	return 0;
}

ssize_t names_look(const char *question, char answer[LOOKUP_ANSWER])
{
	struct addr a;

	return addr_parse(&a, question, 0) == 0 ? name_of(&a, answer) : addresses_of(question, answer);
}

/* ------------------------------------------------------------------------------------------------ remembering */

struct names {
	lookup_now *look;
	int64_t (*clock)(void);
	struct remembered {
		int64_t until;          /* 0 = empty */
		ssize_t n;
		char *answer;           /* NULL unless n > 0 */
		char question[LOOKUP_QUESTION];
	} at[NAMES_MOST];
};

struct names *names_new(lookup_now *look, int64_t (*clock)(void))
{
	struct names *n = calloc(1, sizeof *n);

	if (n) {
		n->look = look;
		n->clock = clock;
	}
	return n;
}

void names_free(struct names *n)
{
	for (unsigned i = 0; n && i < NAMES_MOST; i++)
		free(n->at[i].answer);
	free(n);
}

/* The place of the question, or the one that will be wanted least. */
static struct remembered *find(struct names *names, const char *question)
{
	struct remembered *oldest = names->at;

	for (struct remembered *r = names->at; r < names->at + NAMES_MOST; r++) {
		if (r->until && strcmp(r->question, question) == 0)
			return r;
		if (r->until < oldest->until)
			oldest = r;
	}
	return oldest;
}

ssize_t names_ask(struct names *names, const char *question, char answer[LOOKUP_ANSWER])
{
	struct remembered *r = find(names, question);
	ssize_t n;

	if (strlen(question) >= sizeof r->question)
		return -1;
	if (r->until > names->clock() && strcmp(r->question, question) == 0) {
		if (r->n > 0)
			memcpy(answer, r->answer, (size_t)r->n);
		return r->n;
	}
	n = names->look(question, answer);
	free(r->answer);
	r->answer = n > 0 ? malloc((size_t)n) : NULL;
	r->until = 0;
	if (n > 0 && !r->answer)
		return n;
	if (n > 0)
		memcpy(r->answer, answer, (size_t)n);
	r->n = n;
	r->until = names->clock() + (n > 0 ? NAMES_GOOD_MS : NAMES_BAD_MS);
	snprintf(r->question, sizeof r->question, "%s", question);
	return n;
}
