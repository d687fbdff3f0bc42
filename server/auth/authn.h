/*
 * authn.h - who it is: AuthType Basic and Digest, AuthName, providers of users (mod_authn_core, mod_auth_basic,
 * mod_auth_digest, mod_authn_file, mod_authn_anon). Read by the master, and by the children for .htaccess; asked in the
 * children, in PHASE_AUTHENTICATION, and only where rules want a user.
 */
#ifndef BULKHEAD_AUTH_AUTHN_H
#define BULKHEAD_AUTH_AUTHN_H

#include "auth/logins.h"
#include "conf/conf.h"
#include "expr/expr.h"
#include "request/request.h"

extern struct conf_module authn_module;

enum auth_type { AUTH_NONE, AUTH_BASIC, AUTH_DIGEST };
enum provider_kind { PROVIDER_FILE, PROVIDER_ANON };

struct authn_section;
struct authn_provider {
	enum provider_kind kind;
	const struct authn_section *own;        /* of an <AuthnProviderAlias>; NULL = the request's */
	const struct authn_provider *next;
};

/* Of a section; NULL and -1 = unset. */
struct authn_section {
	int type;                               /* enum auth_type */
	const char *name;                       /* AuthName */
	const struct expr *name_expr;           /* where it holds variables */
	const char *user_file, *group_file;
	const struct authn_provider *basic, *digest;
	int authoritative;                      /* AuthBasicAuthoritative */
	int fake;                               /* AuthBasicFake */
	const struct expr *fake_user, *fake_password;
	int hashed;                             /* AuthBasicUseDigestAlgorithm MD5 */
	const char **guests;                    /* Anonymous; ended by NULL */
	int any_guest, no_name, must_email, verify_email, log_email;
	const char *domain;                     /* AuthDigestDomain: the addresses, blank-separated */
	int no_qop;                             /* AuthDigestQop none */
	int check_nc;                           /* AuthDigestNcCheck */
	int64_t lifetime_ms;                    /* AuthDigestNonceLifetime; -2 = unset, -1 = no end, 0 = one request */
};

/* Of the server: one for all hosts. */
struct authn_host {
	struct logins_settings logins;
	int64_t queue;                          /* AuthPasswordQueue */
	struct authn_alias *aliases;
};

static inline const struct authn_section *authn_section_of(const struct request *r) { return request_config(r, &authn_module); }
const struct authn_host *authn_host_of(const struct request *r);

/*
 * Sets r->user and r->auth_type, or answers: 401 with a challenge, 429, 500 or 503 (each told in the log), PHASE_WAIT. 0 with
 * r->user NULL: no AuthType is set there.
 */
unsigned authn_run(struct request *r);
/* Whether a way to prove who one is is set for r's place. */
bool authn_is_set(const struct request *r);
/* Adds the challenge of r's AuthType to an answer. Returns 401, or 503. */
unsigned authn_challenge(struct request *r, bool stale);
/* AuthGroupFile of r's place, or NULL. */
const char *authn_group_file(const struct request *r);

/* ---------------------------------------------------------------------------------------------- for authn.c's own files */

/* AuthName, or NULL after a line in the log. */
const char *authn_realm(struct request *r);
/* The text of an Authorization field that a user's name is shown with: escaped, cut. Of the arena. */
const char *authn_shown(struct request *r, const char *user);
/* A quoted-string (RFC 9110, 5.6.4). NULL: no memory. */
const char *authn_quoted(struct request *r, const char *s);
/* Notes a failed login: 401. */
unsigned authn_failed(struct request *r, const char *user, bool stale);
/* 0, or 429 where too many logins from the address failed: said in the log. */
unsigned authn_limited(struct request *r);
const struct authn_provider *authn_default_provider(void);

unsigned basic_run(struct request *r, const struct authn_section *s);           /* basic.c */
unsigned digest_run(struct request *r, const struct authn_section *s);          /* digest.c */
/* The value of a challenge. NULL: no memory. */
const char *digest_challenge(struct request *r, const struct authn_section *s, const char *realm, bool stale);
/* Master: the secret of nonces and the counts of their uses, which all children share. 0 or -1 (no memory). */
int digest_prepare(void);

#endif
