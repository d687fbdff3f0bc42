/*
 * account.h - accounts that programs run as in place of User: SuexecUserGroup of a host, and the third word of a RewriteMap prg:.
 * The master starts a spawner for each (process/spawner.c), which has been that account ever since its begin.
 */
#ifndef BULKHEAD_REQUEST_ACCOUNT_H
#define BULKHEAD_REQUEST_ACCOUNT_H

#include <sys/types.h>

#include "request/host.h"

#define ACCOUNTS_MOST 16
#define ACCOUNT_LEAST 100               /* users and groups below are the system's own: as suEXEC is built by default */

struct account {
	const char *user;               /* its name, for supplementary groups; NULL = a number that no account has */
	uid_t uid;
	gid_t gid;
	unsigned number;                /* from 1: 0 stands for User */
	struct conf_pos pos;
	struct account *next;
};
/* Names, or # and a number. The account, made known to the site; NULL after conf_fail: there is none, or it may not be used. */
const struct account *account_of(struct conf_call *call, const char *user, const char *group);
/* NULL: 0, or no such number. */
const struct account *account_at(const struct site *s, unsigned number);
/* Of a host, or where it has none of the main server; 0: User. */
unsigned account_of_host(const struct site *s, const struct host *h);

#endif
