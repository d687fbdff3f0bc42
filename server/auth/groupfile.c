/*
 * groupfile.c - AuthGroupFile ("staff: ann bob"), and the names of accounts in /etc/passwd and /etc/group. Runs in the
 * children, for requests that a user came with. Read anew each time, so that changes count at once. The name service
 * switch is not asked: it loads code, which the sandbox forbids.
 */
#include "auth/authz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/userfile.h"

static bool holds_word(struct text words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words.p, *end = words.p + words.n; p < end; p++) {
		const char *from = p;
		while (p < end && *p != ' ' && *p != '\t')
			p++;
		if ((size_t)(p - from) == n && memcmp(from, word, n) == 0)
			return true;
	}
	return false;
}

static bool is_one_of(struct text name, const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (text_is(name, names[i]))
			return true;
	return false;
}

int groupfile_has(struct request *r, const char *path, const char *user, const char *const *groups, unsigned n)
{
	struct userfile f;
	struct text line, name;
	bool has = false;

	if (userfile_open(&f, path) != 0) {
		log_error(&r->client->about, LOG_AUTHZ, "BH0637", "the file of groups %s cannot be read: nobody is in a group", path);
		return -1;
	}
	while (!has && userfile_line(&f, &line)) {
		struct text rest = line;

		has = text_split(&rest, ':', &name) && rest.p && is_one_of(text_trim(name), groups, n) && holds_word(rest, user);
	}
	userfile_close(&f);
	return has;
}

/* A line of both files is NAME:x:NUMBER:… */
const char *groupfile_account(struct request *r, const char *path, unsigned long number)
{
	struct text line, name, unused, digits;
	const char *found = NULL;
	struct userfile f;
	uint64_t value;

	if (userfile_open(&f, path) != 0) {
		log_error(&r->client->about, LOG_AUTHZ, "BH0637", "%s cannot be read: nobody owns a file", path);
		return NULL;
	}
	while (!found && userfile_line(&f, &line)) {
		struct text rest = line;

		if (text_split(&rest, ':', &name) && text_split(&rest, ':', &unused) && text_split(&rest, ':', &digits)
		    && text_u64(digits, UINT32_MAX, &value) == 0 && value == number)
			found = arena_strndup(r->arena, name.p, name.n);
	}
	userfile_close(&f);
	return found;
}
