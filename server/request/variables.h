/*
 * variables.h - what an expression, a rewrite condition, a log line or a program may ask of a request, by name: one table for
 * all (%{REQUEST_URI}, %{HTTP_HOST}, %{SSL_PROTOCOL} …). And expressions bound to requests.
 *
 *   x = variables_condition(call, text)          in a setter: compiles, or reports the fault with its column
 *   variables_true(r, x)                          in a child: 1, 0, -1 (told in the log; fail closed)
 *   variables_string(r, x)                        a text with variables in it
 */
#ifndef BULKHEAD_REQUEST_VARIABLES_H
#define BULKHEAD_REQUEST_VARIABLES_H

#include "conf/conf.h"
#include "expr/expr.h"
#include "request/request.h"

/* For setters: NULL after conf_fail. */
struct expr *variables_condition(struct conf_call *call, const char *text);
struct expr *variables_text(struct conf_call *call, const char *text);
struct expr *variables_sslrequire(struct conf_call *call, const char *text);
/* At configuration time: the fields that the condition asks for are not added to Vary (RewriteCond … [NV], logs). */
void variables_no_vary(struct expr *x);

/*
 * 1 true, 0 false, -1 it has no answer: that was logged, and the caller fails closed. Fields that %{HTTP_…} and req() have asked for
 * are added to Vary of the response (but Host), as Apache does for conditions.
 */
int variables_true(struct request *r, const struct expr *x);
/* The same with the captures of its last match left in *m (count 0 = none). m->at live as long as the request. */
int variables_match(struct request *r, const struct expr *x, struct regex_match *m);
/*
 * For who has variables of its own: env(), reqenv() and v() ask `own`, results lie in `a`. The fault is the caller's to tell (*why), and
 * nothing is added to Vary.
 */
int variables_with(struct request *r, const struct expr *x, struct arena *a, struct text (*own)(void *ctx, const char *name), void *ctx,
		   struct regex_match *m, const char **why);
/* NULL where it has no answer. Of the request's arena. */
const char *variables_string(struct request *r, const struct expr *x);
/*
 * The value of a server variable as ap_expr and mod_rewrite name them: REQUEST_METHOD, HTTP_*, REMOTE_ADDR, SERVER_NAME,
 * SCRIPT_FILENAME, DOCUMENT_ROOT, TIME_*, SSL_* (of the connection), API_VERSION, IPV6, … Absent for a name there is none of,
 * and where it has no value.
 */
struct text variables_get(struct request *r, const char *name);
bool variables_known(const char *name);
/* For rooms that compile expressions themselves (log/). */
extern const struct expr_names variables_names;

#endif
