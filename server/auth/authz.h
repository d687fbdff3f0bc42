/*
 * authz.h - what the files about Require share: the tree of rules, how it is asked, and the groups of users. Trees are read
 * by the master (authzread.c), and in the children for .htaccess; asked in the children (authz.c).
 *
 * Names are asked for only where they decide: a tree is asked twice, once with every open question counting against the
 * client and once with all for him. Where both come to the same, no name server is needed.
 */
#ifndef BULKHEAD_AUTH_AUTHZ_H
#define BULKHEAD_AUTH_AUTHZ_H

#include "base/addr.h"
#include "conf/conf.h"
#include "expr/expr.h"
#include "request/request.h"

enum rule_kind {
	RULE_GROUP, RULE_ALL, RULE_IP, RULE_METHOD, RULE_LOCAL, RULE_ENV, RULE_SSL, RULE_VERIFIED, RULE_HOST, RULE_FORWARD_DNS,
	RULE_EXPR, RULE_VALID_USER, RULE_USER, RULE_USER_GROUP, RULE_FILE_OWNER, RULE_FILE_GROUP,
};

struct rule {
	enum rule_kind kind;
	bool negate;                    /* Require not, <RequireNone> */
	bool all;                       /* RULE_GROUP: every member must grant; else one */
	unsigned limit;                 /* the methods it speaks of */
	bool granted;                   /* RULE_ALL */
	unsigned methods;               /* RULE_METHOD */
	const struct prefix *prefixes;  /* RULE_IP */
	const char **names;             /* RULE_ENV, RULE_HOST, RULE_FORWARD_DNS, RULE_USER, RULE_USER_GROUP */
	unsigned n;                     /* of prefixes or names */
	const struct expr *expr;        /* RULE_EXPR */
	struct rule *first, *last;      /* RULE_GROUP */
	struct rule *next;
	struct conf_pos pos;
};

enum merging { MERGING_OFF, MERGING_AND, MERGING_OR };

/* An SSLRequire: each of them must hold. */
struct ssl_require {
	const struct expr *expr;
	const struct ssl_require *next;
	struct conf_pos pos;
};

struct authz_section {
	struct rule *root;              /* a group, or NULL: no rule stands here */
	int merging;                    /* enum merging */
	int require_ssl;
	int forbidden;                  /* AuthzSendForbiddenOnFailure */
	const struct ssl_require *ssl;
};

/* ALL_METHODS: what a line outside of <Limit> speaks of. */
#define AUTHZ_ALL_METHODS ((1u << HTTP_METHODS) - 1)

/* What rules say. NO_USER: denied, but a user might change that. */
enum verdict { NEUTRAL, DENIED, NO_USER, GRANTED };

struct asking {
	struct request *r;
	bool hopeful;
	const char *question;           /* the first that is open */
	const char *failed;             /* one without an answer */
	const struct rule *by;          /* the rule that denied last */
};

/*
 * Asks `rules` with what is known. 0 with *v and *a (of the pessimistic question), or PHASE_WAIT: names were asked for.
 */
unsigned authz_ask(struct request *r, enum verdict (*rules)(struct asking *a, const void *what), const void *what, enum verdict *v, struct asking *a);
/* For `rules`: a tree (struct rule). */
enum verdict authz_tree(struct asking *a, const void *root);
/*
 * Whether one of the names is the client's, or holds it (forward: leads to its address). Without an answer: against the
 * client; `inverted`: where a match is against him.
 */
bool authz_names(struct asking *a, bool forward, const char *const *names, unsigned n, bool inverted);

/* For setters: a host's name is checked, and the site notes that it asks for names. 0 or -1. */
int authz_host_name(struct conf_call *call, const char *name);

/* groupfile.c: whether a user is in one of the groups. 1, 0, or -1: the file cannot be read (logged). */
int groupfile_has(struct request *r, const char *path, const char *user, const char *const *groups, unsigned n);
/* The name of an account or group of the system by its number, from /etc/passwd or /etc/group; NULL = none. */
const char *groupfile_account(struct request *r, const char *path, unsigned long number);

#endif
