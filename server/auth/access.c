/*
 * access.c - who may have it, in Apache's order: what the place demands (TLS, Order/Allow/Deny), then Require as far as it goes
 * without a user, then the user (authn.c), then Require with him. Runs in the children.
 *
 *   PHASE_ACCESS           place        Satisfy All        refused: 403
 *                                       Satisfy Any        good: that is enough; refused: goes on
 *                          Require      granted: done; denied: 403; wants a user: r->asks_user
 *   PHASE_AUTHENTICATION   user         nobody, or a wrong password: 401
 *                          Require      granted: done; denied: 401 (or 403: AuthzSendForbiddenOnFailure)
 */
#include "request/access.h"

#include <string.h>

#include "auth/authn.h"
#include "auth/authz.h"
#include "auth/compat.h"
#include "request/phases.h"
#include "request/variables.h"

static const char *told_path(const struct request *r)
{
	return r->filename ? r->filename : r->path;
}

/* Apache's words, without an id before them: what looks for refused clients in logs knows them so. */
static unsigned denied(struct request *r, const char *why)
{
	r->refused = why ? why : "a rule";
	if (!r->quiet)
		log_errorx(&r->client->about, LOG_AUTHZ, NULL, "client denied by server configuration: %s%s (%s; BH0310)", r->filename ? "" : "uri ", told_path(r), r->refused);
	return 403;
}

/* ---------------------------------------------------------------------------------------------- the place */

static unsigned ssl_refuses(struct request *r, const struct authz_section *a)
{
	const char *what = told_path(r);

	if (a->require_ssl == 1 && !r->client->secure) {
		r->refused = "SSLRequireSSL";
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, "BH0311", "access to %s%s failed, reason: SSL connection required", r->filename ? "" : "uri ", what);
		return 403;
	}
	for (const struct ssl_require *s = a->ssl; s; s = s->next)
		if (variables_true(r, s->expr) != 1) {
			r->refused = arena_printf(r->arena, "the SSLRequire at %s:%u", s->pos.file, s->pos.line);
			if (!r->quiet)
				log_errorx(&r->client->about, LOG_AUTHZ, "BH0311", "access to %s%s failed, reason: %s does not hold", r->filename ? "" : "uri ", what,
				   r->refused ? r->refused : "SSLRequire");
			return 403;
		}
	return 0;
}

/* The client's certificate, by SSLVerifyClient; SSLUserName. Not to be had by a password. */
static unsigned certificate_refuses(struct request *r)
{
	unsigned status = r->client->secure ? client_place(r->client, r->section, r->arena, &r->user, &r->refused) : 0;

	if (r->user && !r->auth_type)
		r->auth_type = "ClientCert";    /* as programs have been told since mod_ssl */
	if (status == 403 && !r->quiet)         /* else it waits for the certificate, or its body is too long for that */
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0313", "access to %s%s failed, reason: %s (SSLVerifyClient)", r->filename ? "" : "uri ", told_path(r), r->refused);
	return status;
}

static unsigned names_missing(struct request *r, const struct asking *a)
{
	if (a->failed && !r->quiet)
		log_warnx(&r->client->about, LOG_AUTHZ, "BH0312", "the name service gave no answer about %s: rules that need one deny", a->failed);
	return 0;
}

/* Order, Allow, Deny. `told`: a refusal is the last word. */
static unsigned order_refuses(struct request *r, bool told)
{
	struct asking asked;
	enum verdict v;

	if (authz_ask(r, compat_ask, request_config(r, &access_compat_module), &v, &asked) != 0)
		return PHASE_WAIT;
	if (v == GRANTED)
		return 0;
	names_missing(r, &asked);
	return told ? denied(r, "Order, Allow and Deny") : 403;
}

/* ---------------------------------------------------------------------------------------------- the rules */

static const char *rule_named(struct request *r, const struct rule *by)
{
	if (!by->pos.file)                      /* the row of a section's own rules: the first of them */
		by = by->first ? by->first : by;
	return arena_printf(r->arena, "the rule at %s:%u", by->pos.file ? by->pos.file : "-", by->pos.line);
}

/* GRANTED, DENIED or NO_USER in *v. 0 or PHASE_WAIT. */
static unsigned rules_say(struct request *r, const struct authz_section *a, enum verdict *v, const struct rule **by)
{
	struct asking asked = { .r = r };
	unsigned status = authz_ask(r, authz_tree, a->root, v, &asked);

	*by = asked.by ? asked.by : a->root;
	if (status == 0 && *v == DENIED)
		names_missing(r, &asked);
	if (status == 0 && log_enabled(&r->client->about, LOG_AUTHZ, LOG_L_TRACE1))
		log_put(&r->client->about, LOG_AUTHZ, LOG_L_TRACE1, NULL, 0, "the rules say %s (%s)", *v == GRANTED ? "granted" :
			*v == NO_USER ? "denied, unless a user is known" : *v == DENIED ? "denied" : "nothing", rule_named(r, *by));
	return status;
}

static unsigned without_user(struct request *r, const struct authz_section *a)
{
	const struct rule *by;
	enum verdict v = GRANTED;

	if (!a->root && authn_is_set(r)) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0634", "%s answered with 500: AuthType is set, and no rule says which users may: write Require valid-user", r->path);
		return 500;
	}
	if (!a->root)
		return 0;
	if (rules_say(r, a, &v, &by) != 0)
		return PHASE_WAIT;
	if (v == DENIED)
		return denied(r, rule_named(r, by));
	r->asks_user = v == NO_USER;
	return 0;
}

/*
 * An error document that was itself asked for: what its rules say was decided then, and it is what explains the
 * refusal. Another document is judged by itself, as in Apache.
 */
static bool was_decided(const struct request *r)
{
	return r->original && r->original->section == r->section && r->original->path && strcmp(r->original->path, r->path) == 0;
}

unsigned access_run(struct request *r)
{
	const struct authz_section *a = request_config(r, &authz_core_module);
	bool any = compat_any(r);
	unsigned status;

	r->asks_user = false;
	if (was_decided(r))
		return 0;
	if ((status = certificate_refuses(r)))
		return status;
	status = ssl_refuses(r, a);
	if (status && (!any || client_strict(r->client, r->section)))
		return status;
	if (!status)
		status = order_refuses(r, !any);
	if (status == PHASE_WAIT || (status == 0 && any) || (status && !any))
		return status;
	r->refused = NULL;
	return without_user(r, a);
}

/* ---------------------------------------------------------------------------------------------- the user */

static unsigned user_denied(struct request *r, const struct authz_section *a, const struct rule *by)
{
	r->refused = rule_named(r, by);
	if (!r->quiet)
		log_errorx(&r->client->about, LOG_AUTHZ, NULL, "user %s: authorization failure for \"%s\": %s (BH0638)", authn_shown(r, r->user), r->path,
			   r->refused ? r->refused : "a rule");
	return a->forbidden == 1 ? 403 : authn_challenge(r, false);
}

unsigned access_user_run(struct request *r)
{
	const struct authz_section *a = request_config(r, &authz_core_module);
	const struct rule *by;
	enum verdict v = GRANTED;
	unsigned status;

	if (!r->asks_user)
		return 0;
	status = authn_run(r);
	if (status)
		return status;
	if (!r->user) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0634", "%s answered with 500: a user is required, and nothing says how users prove who they are: "
			   "write AuthType, AuthName and AuthUserFile beside the Require lines", r->path);
		return 500;
	}
	if (rules_say(r, a, &v, &by) != 0)
		return PHASE_WAIT;
	if (v == GRANTED)
		return 0;
	return user_denied(r, a, by);
}
