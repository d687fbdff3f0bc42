/*
 * proxy.c - which server behind answers, by which connection: for all protocols. Runs in the children.
 *
 * A lone worker that could not be reached is left alone for retry= seconds, in which its requests are answered with 503 at once; of a
 * balancer another member takes its place. A session's route (stickysession=) goes before the method.
 */
#include "handler/proxy.h"

#include <string.h>
#include <strings.h>

#include "handler/proxyapp.h"
#include "log/log.h"
#include "request/mime.h"
#include "request/phases.h"
#include "request/response.h"

/* ------------------------------------------------------------------------------------------------ before it starts */

static const struct { const char *scheme; const struct handler *handler; } protocols[] = {
	{ "http", &proxyhttp_handler }, { "https", &proxyhttp_handler }, { "ws", &proxyhttp_handler }, { "wss", &proxyhttp_handler },
	{ "fcgi", &fcgi_handler }, { "scgi", &scgi_handler }, { "uwsgi", &uwsgi_handler },
};

static const struct handler *handler_of(const struct proxy_worker *w)
{
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
		if (strcmp(protocols[i].scheme, w->scheme) == 0)
			return protocols[i].handler;
	return NULL;
}

/* 0, or PHASE_WAIT: the name service was asked. */
static unsigned learn(struct request *r, const struct proxy_worker *w)
{
	const char *question = upstream_question(w);
	struct text answer = { 0 };
	enum client_knows knows;

	if (!question)
		return 0;
	knows = client_knows(r->client, question, &answer);
	if (knows == CLIENT_UNASKED) {
		if (client_ask(r->client, question))
			return PHASE_WAIT;
		knows = client_knows(r->client, question, &answer);
	}
	upstream_answer(w, knows == CLIENT_KNOWS ? answer : (struct text){ 0 });
	return 0;
}

static unsigned prepare(struct request *r)
{
	const char *name = mime_handler_name(r);
	const struct proxy_worker *first;
	unsigned status = 0;

	if (!r->proxy && name && strncasecmp(name, "proxy:", 6) == 0)
		status = proxy_by_handler(r, name);
	if (status)
		return status;
	if (!r->proxy) {
		log_errorx(&r->client->about, LOG_PROXY, "BH0744", "%s answered with 500: the handler proxy-server is set for it, and no line says which server; "
			   "write ProxyPass, or SetHandler \"proxy:URL\"", r->path);
		return 500;
	}
	first = r->proxy->worker ? r->proxy->worker : r->proxy->balancer->members->worker;
	if (r->proxy->worker)
		status = learn(r, r->proxy->worker);
	for (const struct proxy_member *m = r->proxy->balancer ? r->proxy->balancer->members : NULL; m && !status; m = m->next)
		status = learn(r, m->worker);
	if (status)
		return status;
	r->handler = handler_of(first);
	if (r->handler)
		return 0;
	log_errorx(&r->client->about, LOG_PROXY, "BH0745", "%s answered with 500: %s is not spoken with servers behind in this release", r->path, first->scheme);
	r->handler = &proxy_handler;
	return 500;
}

/* Never started: prepare() puts that of the protocol in its place, or answers. */
const struct handler proxy_handler = { .name = "proxy-server", .prepare = prepare };

/* ------------------------------------------------------------------------------------------------ sessions */

static const char *behind(struct request *r, struct text value, char separator)
{
	const char *dot = value.n ? memrchr(value.p, separator, value.n) : NULL;

	return dot && dot + 1 < value.p + value.n ? arena_strndup(r->arena, dot + 1, value.n - (size_t)(dot + 1 - value.p)) : NULL;
}

/* "a=b; SID=abc.one" */
static struct text cookie_of(const struct request *r, const char *name)
{
	for (unsigned i = 0; i < r->in.n; i++) {
		struct text rest = r->in.at[i].value, part;

		if (!text_is_nocase(r->in.at[i].name, "Cookie"))
			continue;
		while (text_split(&rest, ';', &part)) {
			const char *equals;

			part = text_trim(part);
			equals = memchr(part.p, '=', part.n);
			if (equals && text_is((struct text){ part.p, (size_t)(equals - part.p) }, name))
				return (struct text){ equals + 1, part.n - (size_t)(equals + 1 - part.p) };
		}
	}
	return (struct text){ 0 };
}

static struct text parameter_of(const char *query, const char *name)
{
	struct text rest = text_of(query), part;

	while (text_split(&rest, '&', &part)) {
		const char *equals = memchr(part.p, '=', part.n);

		if (equals && text_is((struct text){ part.p, (size_t)(equals - part.p) }, name))
			return (struct text){ equals + 1, part.n - (size_t)(equals + 1 - part.p) };
	}
	return (struct text){ 0 };
}

/* ";jsessionid=abc.one" in the path, as Java's servers write it. */
static struct text path_parameter_of(const char *path, const char *name)
{
	struct text rest = text_of(path), part;

	while (text_split(&rest, ';', &part)) {
		const char *equals = memchr(part.p, '=', part.n);
		size_t n;

		if (!equals || !text_is((struct text){ part.p, (size_t)(equals - part.p) }, name))
			continue;
		n = part.n - (size_t)(equals + 1 - part.p);
		return (struct text){ equals + 1, n < strcspn(equals + 1, "/?") ? n : strcspn(equals + 1, "/?") };
	}
	return (struct text){ 0 };
}

static void set_env(struct request *r, const char *name, const char *value)
{
	if (value)
		fields_set(&r->env, name, value);
}

static const char *route_of(struct request *r, const struct proxy_balancer *b)
{
	char separator = b->separator ? b->separator : '.';
	const char *route, *name = b->sticky_path;
	struct text value = { 0 };

	if (!b->sticky)
		return NULL;
	value = parameter_of(r->proxy->query, name);
	if (!value.n)
		value = path_parameter_of(r->proxy->path, name);
	if (!value.n) {
		name = b->sticky;
		value = cookie_of(r, name);
	}
	route = behind(r, value, separator);
	if (route) {
		set_env(r, "BALANCER_SESSION_STICKY", name);
		set_env(r, "BALANCER_SESSION_ROUTE", route);
	}
	return route;
}

/* ------------------------------------------------------------------------------------------------ picking, connecting */

static void end_busy(struct proxy_try *t)
{
	if (t->busy)
		upstream_busy(t->worker, -1);
	t->busy = false;
}

/* The worker that is to be asked now; NULL: none is left. */
static const struct proxy_worker *pick(struct proxy_try *t)
{
	struct request *r = t->r;
	const struct proxy_balancer *b = r->proxy->balancer;
	unsigned most = b && b->attempts >= 0 ? (unsigned)b->attempts + 1 : b ? b->nmembers : 1;
	const struct proxy_worker *w;
	const char *route;
	bool moved;

	if (t->ntried >= most || t->ntried >= PROXY_TRIES)
		return NULL;
	if (!b)
		return upstream_takes(r->proxy->worker) ? r->proxy->worker : NULL;
	route = route_of(r, b);
	w = upstream_pick(b, route, t->tried, t->ntried, &moved);
	if (!w)
		return NULL;
	set_env(r, "BALANCER_NAME", arena_printf(r->arena, "balancer://%s", b->name));
	set_env(r, "BALANCER_WORKER_NAME", w->name);
	set_env(r, "BALANCER_WORKER_ROUTE", w->route ? w->route : "");
	if (b->sticky && (!route || moved) && w->route)
		set_env(r, "BALANCER_ROUTE_CHANGED", "1");
	return w;
}

static const char *why_words(struct proxy_try *t)
{
	const struct upstream *u = &t->u;
	struct request *r = t->r;

	switch (u->why) {
	case UPSTREAM_NAME:
		return "no address is known for its name; look at the name service, or write an address";
	case UPSTREAM_REFUSED:
		return arena_printf(r->arena, "%s; see that it runs and listens there", strerrordesc_np(u->errnum) ? strerrordesc_np(u->errnum) : "unknown error");
	case UPSTREAM_LATE:
		return "it did not take the connection in time (connectiontimeout=, timeout=, ProxyTimeout); see whether it is overloaded, or a firewall stands between";
	case UPSTREAM_TLS:
		return u->text ? u->text : "TLS failed";
	case UPSTREAM_OFF:
		return "its URL says https, and SSLProxyEngine is off for this host; say SSLProxyEngine on";
	default:
		return u->errnum ? "no descriptors or no memory are left for it; raise the limit of open files" : "max= connections to it are in use in this process, and none came free in time (acquire=), or too many wait already; raise max=";
	}
}

static const struct { unsigned status; bool ill; } results[] = {
	[UPSTREAM_OK] = { 500, false }, [UPSTREAM_BUSY] = { 503, false }, [UPSTREAM_NAME] = { 502, true }, [UPSTREAM_REFUSED] = { 503, true },
	[UPSTREAM_LATE] = { 503, true }, [UPSTREAM_TLS] = { 502, true }, [UPSTREAM_OFF] = { 500, false },
};

static void give_up(struct proxy_try *t, unsigned status)
{
	end_busy(t);
	if (t->failed)
		t->failed(t);
	response_error(t->r, status);
}

static void tell_none(struct proxy_try *t)
{
	struct request *r = t->r;

	if (r->proxy->balancer)
		log_errorx(&r->client->about, LOG_PROXY, "BH0747", "%s answered with 503: no member of balancer://%s can take it: all are in error, disabled, or have just failed",
			   r->path, r->proxy->balancer->name);
	else if (r->proxy->worker)
		log_errorx(&r->client->about, LOG_PROXY, "BH0746", "%s answered with 503: %s is left alone, since it failed less than retry=%lld seconds ago, or is disabled "
			   "by status=", r->path, r->proxy->worker->name, (long long)(r->proxy->worker->retry / 1000));
}

static void cannot_connect(struct proxy_try *t)
{
	struct request *r = t->r;

	log_errorx(&r->client->about, LOG_PROXY, "BH0748", "%s: %s cannot be reached%s%s: %s", r->path, t->worker->name, t->worker->socket ? " at " : "",
		   t->worker->socket ? t->worker->socket : "", why_words(t));
	if (results[t->u.why].ill)
		upstream_failed(t->worker);
}

static void connected(struct upstream *u);
static void failed(struct upstream *u);

/* 1 connected, 0 on the way, -1 failed. */
static int get(struct proxy_try *t, unsigned flags)
{
	t->u = (struct upstream){ .ctx = t, .connected = connected, .failed = failed };
	return upstream_get(t->r, t->worker, flags, &t->u);
}

static void is_there(struct proxy_try *t)
{
	if (!t->u.reused)
		upstream_well(t->worker);
	t->ready(t);
}

/* From member to member until one is reached, or none is left. `status`: of the failure before. */
static void go(struct proxy_try *t, unsigned status)
{
	for (;;) {
		const struct proxy_worker *w = pick(t);
		int rc;

		if (!w) {
			if (!status || t->r->proxy->balancer)
				tell_none(t);
			give_up(t, status ? status : 503);
			return;
		}
		end_busy(t);
		t->worker = w;
		t->tried[t->ntried++] = w;
		upstream_busy(w, 1);
		t->busy = true;
		rc = get(t, 0);
		if (rc > 0)
			is_there(t);
		if (rc >= 0)
			return;
		cannot_connect(t);
		status = results[t->u.why].status;
	}
}

static void connected(struct upstream *u)
{
	is_there(u->ctx);
}

static void failed(struct upstream *u)
{
	struct proxy_try *t = u->ctx;

	cannot_connect(t);
	go(t, results[u->why].status);
}

void proxy_connect(struct proxy_try *t)
{
	go(t, 0);
}

void proxy_retry(struct proxy_try *t)
{
	int rc;

	upstream_put(t->r, &t->u, false);
	rc = get(t, UPSTREAM_FRESH);
	if (rc > 0) {
		is_there(t);
	} else if (rc < 0) {
		cannot_connect(t);
		go(t, results[t->u.why].status);
	}
}

void proxy_done(struct proxy_try *t, bool reusable)
{
	upstream_put(t->r, &t->u, reusable);
	end_busy(t);
}

const char *proxy_path(struct proxy_try *t, bool decoded)
{
	const struct proxy_to *to = t->r->proxy;
	const char *path = decoded ? to->decoded : to->path;
	size_t n;

	if (!to->balancer || !*t->worker->path)
		return *path ? path : "/";
	n = strlen(t->worker->path);
	return arena_join(t->r->arena, t->worker->path, n && t->worker->path[n - 1] == '/' && *path == '/' ? path + 1 : path);
}
