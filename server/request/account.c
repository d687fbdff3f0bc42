/*
 * account.c - accounts that programs run as. Read by the master; looked up in children and spawners.
 */
#include "request/account.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

/* "#123". False: it is none. */
static bool is_number(const char *word, uint64_t *out)
{
	return *word == '#' && text_u64(text_of(word + 1), 0x7fffffff, out) == 0;
}

static int refused(struct conf_call *call, const char *what, const char *word, unsigned id)
{
	return conf_fail(call, "name an account that was made for the site's programs", "programs do not run as the %s %s (%u): numbers below %d are the system's own",
			 what, word, id, ACCOUNT_LEAST);
}

static int read_account(struct conf_call *call, struct account *a, const char *user, const char *group)
{
	const struct passwd *pw;
	const struct group *gr;
	uint64_t n;

	pw = is_number(user, &n) ? getpwuid((uid_t)n) : getpwnam(user);
	if (!pw && *user != '#')
		return conf_fail(call, "make it with adduser, or correct the name", "there is no user \"%s\"", user);
	a->uid = pw ? pw->pw_uid : (uid_t)n;
	a->user = pw ? conf_strdup(call->env, pw->pw_name) : NULL;
	gr = is_number(group, &n) ? NULL : getgrnam(group);
	if (!gr && *group != '#')
		return conf_fail(call, "make it with addgroup, or correct the name", "there is no group \"%s\"", group);
	a->gid = gr ? gr->gr_gid : (gid_t)n;
	if (a->uid < ACCOUNT_LEAST)
		return refused(call, "user", user, a->uid);
	return a->gid < ACCOUNT_LEAST ? refused(call, "group", group, a->gid) : 0;
}

const struct account *account_of(struct conf_call *call, const char *user, const char *group)
{
	struct site *s = reading_of(call)->site;
	struct account *a = conf_alloc(call->env, sizeof *a);

	*a = (struct account){ .pos = call->node->pos };
	if (geteuid() != 0) {
		conf_fail(call, "start the server as root, or leave the account out", "only root can run programs as another account");
		return NULL;
	}
	if (s->suexec_off) {
		conf_fail(call, "take out Suexec Off", "Suexec Off forbids that programs run as other accounts");
		return NULL;
	}
	if (read_account(call, a, user, group) != 0)
		return NULL;
	for (const struct account *known = s->accounts; known; known = known->next)
		if (known->uid == a->uid && known->gid == a->gid)
			return known;
	if (s->naccounts == ACCOUNTS_MOST) {
		conf_fail(call, "let sites share accounts, or run pools of their own (FastCGI)", "programs can run as %d accounts at most", ACCOUNTS_MOST);
		return NULL;
	}
	a->number = ++s->naccounts;
	a->next = s->accounts;
	s->accounts = a;
	return a;
}

const struct account *account_at(const struct site *s, unsigned number)
{
	const struct account *a = s->accounts;

	while (a && a->number != number)
		a = a->next;
	return a;
}

unsigned account_of_host(const struct site *s, const struct host *h)
{
	const struct account *a = h->account ? h->account : s->main->account;

	return a ? a->number : 0;
}
