/*
 * health.c - asks members of balancers how they are (mod_proxy_hcheck). Every child has the clock of all checks; whoever first moves the time
 * in the worker's cell on does the check, so that each is done once by some child. Runs in the children's loops.
 *
 * A member whose name has no address is not well.
 */
#include "upstream/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "expr/expr.h"
#include "http/responsehead.h"
#include "log/log.h"

#define TICK_MS 200
#define LIMIT_MS 10000                  /* where no timeout= says how long a check may take */
#define ANSWER_MOST 65536
#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

struct check {
	struct list item;
	struct link *link;
	const struct proxy_worker *worker;
	struct watch watch;
	struct deadline deadline;
	bool connected, secured;
	char ask[1536];
	size_t ask_n, ask_at;
	char *answer;
	size_t n;
};

static struct {
	struct loop *loop;
	const struct site *site;
	struct deadline tick;
	struct list checks;
	bool begun;
} health;

/* ------------------------------------------------------------------------------------------------ what an answer is worth */

struct verdict { unsigned status; struct text body; const struct response_head *head; };

static struct text variable(struct expr_ctx *x, const char *name)
{
	const struct verdict *v = x->owner;
	char *text = strcmp(name, "REQUEST_STATUS") == 0 ? arena_printf(x->arena, "%u", v->status) : NULL;

	return text_of(text);
}

static struct text function(struct expr_ctx *x, const char *name, struct text argument)
{
	const struct verdict *v = x->owner;
	const char *field = arena_strndup(x->arena, argument.p ? argument.p : "", argument.n);

	if (strcmp(name, "hc") == 0 && text_is(argument, "body"))
		return v->body;
	return strcmp(name, "resp") == 0 && field ? fields_get(&v->head->fields, field) : (struct text){ 0 };
}

static bool is_well(const struct proxy_worker *w, const char *p, size_t n)
{
	struct arena *a = arena_new(0);
	struct response_head h = { 0 };
	struct verdict v = { .head = &h };
	struct expr_ctx x = { .owner = &v, .arena = a, .variable = variable, .function = function };
	size_t used = 0;
	bool well = false;

	if (!a)
		return false;
	fields_init(&h.fields, a);
	if (response_head_parse(p, n, RESPONSE_BAD_SKIPPED, &h, &used) == HEAD_DONE) {
		v.status = h.status;
		v.body = (struct text){ p + used, n - used };
		well = w->check.expr ? expr_true(w->check.expr, &x) == 1 : h.status >= 200 && h.status < 400;
	}
	arena_free(a);
	return well;
}

static void note(const struct proxy_worker *w, bool well, const char *why)
{
	struct proxy_cell *c = w->cell;
	bool was_ill = LOAD(c->ill);
	uint32_t in_row;

	STORE(*(well ? &c->fails : &c->passes), 0);
	in_row = atomic_fetch_add_explicit(well ? &c->passes : &c->fails, 1, memory_order_relaxed) + 1;
	if (well && was_ill && in_row >= (uint64_t)w->check.passes) {
		STORE(c->ill, 0);
		STORE(c->ill_until, 0);
		log_noticex(NULL, LOG_PROXY, "BH0749", "%s is well again: it takes requests", w->name);
	} else if (!well && !was_ill && in_row >= (uint64_t)w->check.fails) {
		STORE(c->ill, 1);
		log_errorx(NULL, LOG_PROXY, "BH0749", "%s is not well: %s: it is left out until a health check is passed", w->name, why);
	}
}

/* ------------------------------------------------------------------------------------------------ one check */

static void end(struct check *k, bool well, const char *why)
{
	note(k->worker, well, why);
	loop_remove(health.loop, &k->watch);
	deadline_clear(health.loop, &k->deadline);
	list_remove(&k->item);
	link_close(k->link);
	free(k->answer);
	free(k);
}

static bool is_tcp(const struct proxy_worker *w)
{
	return strcasecmp(w->check.method, "TCP") == 0;
}

static bool head_is_all(const struct proxy_worker *w)
{
	return strncasecmp(w->check.method, "GET", 3) != 0;
}

static void judge(struct check *k)
{
	end(k, is_well(k->worker, k->answer ? k->answer : "", k->n), k->n ? "its answer to the health check is not what hcexpr= wants, or an error" :
	    "it ended the health check without an answer");
}

/* All of it has come, or it is none: servers may keep the connection open all the same. */
static bool is_whole(const struct check *k)
{
	struct response_head h = { 0 };
	struct response_framing f;
	struct arena *a;
	size_t used = 0;
	bool whole;

	if (k->n == ANSWER_MOST)
		return true;
	if (!memmem(k->answer, k->n, "\r\n\r\n", 4))
		return false;
	if (head_is_all(k->worker))
		return true;
	if (!(a = arena_new(0)))
		return false;
	fields_init(&h.fields, a);
	whole = response_head_parse(k->answer, k->n, RESPONSE_BAD_SKIPPED, &h, &used) != HEAD_DONE || response_framing(&h, false, &f) < 0 ||
		f.end == RESPONSE_NO_BODY || (f.end == RESPONSE_LENGTH && k->n - used >= f.length);
	arena_free(a);
	return whole;
}

static void read_answer(struct check *k)
{
	for (;;) {
		ssize_t got;

		if (is_whole(k)) {
			judge(k);
			return;
		}
		got = link_read(k->link, k->answer + k->n, ANSWER_MOST - k->n);
		if (got > 0) {
			k->n += (size_t)got;
			continue;
		}
		if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
			loop_watch(health.loop, &k->watch, EPOLLIN);
			return;
		}
		judge(k);
		return;
	}
}

static void write_ask(struct check *k)
{
	while (k->ask_at < k->ask_n) {
		ssize_t done = link_write(k->link, k->ask + k->ask_at, k->ask_n - k->ask_at);

		if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
			loop_watch(health.loop, &k->watch, EPOLLOUT);
			return;
		}
		if (done < 0) {
			end(k, false, "it takes no request");
			return;
		}
		k->ask_at += (size_t)done;
	}
	read_answer(k);
}

/* False: wait, or it has ended. */
static bool secure(struct check *k)
{
	char why[SECURE_WHY] = "TLS failed";

	switch (secure_step(k->link, why)) {
	case SECURE_DONE:
		k->secured = true;
		return true;
	case SECURE_READ:
		loop_watch(health.loop, &k->watch, EPOLLIN);
		return false;
	case SECURE_WRITE:
		loop_watch(health.loop, &k->watch, EPOLLOUT);
		return false;
	case SECURE_FAILED:
		break;
	}
	end(k, false, why);
	return false;
}

static void go_on(struct check *k)
{
	char why[SECURE_WHY];
	int error = k->connected ? 0 : link_error(k->link);

	if (error) {
		end(k, false, strerrordesc_np(error) ? strerrordesc_np(error) : "it cannot be reached");
		return;
	}
	if (!k->connected && is_tcp(k->worker)) {
		end(k, true, "");
		return;
	}
	if (!k->connected && k->worker->secure && secure_start(k->link, proxy_tls(NULL, k->worker), why) < 0) {
		end(k, false, why);
		return;
	}
	k->connected = true;
	if (k->worker->secure && !k->secured && !secure(k))
		return;
	if (k->ask_at < k->ask_n)
		write_ask(k);
	else
		read_answer(k);
}

static void ready(struct watch *w, uint32_t events)
{
	(void)events;
	go_on((struct check *)(void *)((char *)w - offsetof(struct check, watch)));
}

static void late(struct deadline *d)
{
	end((struct check *)(void *)((char *)d - offsetof(struct check, deadline)), false, "it does not answer in time");
}

static void begin(const struct proxy_worker *w)
{
	struct check *k = calloc(1, sizeof *k);
	bool pending = false, head = strncasecmp(w->check.method, "HEAD", 4) == 0, options = strncasecmp(w->check.method, "OPTIONS", 7) == 0;
	const char *uri = w->check.uri ? w->check.uri : *w->path ? w->path : "/";
	struct addr to = { .len = 0 };
	int n;

	addresses_want(w);
	if (!w->socket && !addresses_at(w, 0, &to)) {
		if (LOAD(w->cell->nameless))
			note(w, false, "no address is known for its name");
		free(k);
		return;
	}
	if (!k || !(k->answer = malloc(ANSWER_MOST))) {
		free(k);
		return;
	}
	k->worker = w;
	n = snprintf(k->ask, sizeof k->ask, "%s %s HTTP/1.%d\r\nHost: %.255s\r\nUser-Agent: Bulkhead (health check)\r\nConnection: close\r\n\r\n",
		     head ? "HEAD" : options ? "OPTIONS" : "GET", uri, strstr(w->check.method, "11") != NULL, w->authority);
	k->ask_n = n < 0 ? 0 : (size_t)n < sizeof k->ask ? (size_t)n : sizeof k->ask - 1;
	list_init(&k->item);
	k->link = link_open(w, &to, &pending);
	if (!k->link) {
		note(w, false, strerrordesc_np(errno) ? strerrordesc_np(errno) : "it cannot be reached");
		free(k->answer);
		free(k);
		return;
	}
	list_append(&health.checks, &k->item);
	k->watch = (struct watch){ .fd = k->link->fd, .ready = ready };
	k->deadline = (struct deadline){ .due = late, .at = INT64_MAX };
	if (loop_watch(health.loop, &k->watch, EPOLLOUT) < 0 ||
	    deadline_set(health.loop, &k->deadline, loop_now(health.loop) + (w->timeout > 0 ? w->timeout : LIMIT_MS)) < 0)
		end(k, false, "no memory for the check");
}

/* ------------------------------------------------------------------------------------------------ the clock */

static bool is_checked(const struct proxy_worker *w)
{
	return w->check.method && strcasecmp(w->check.method, "NONE") != 0;
}

static void tick(struct deadline *d)
{
	int64_t now = loop_now(health.loop), next = INT64_MAX;
	const struct proxy_worker *w;

	for (unsigned i = 0; (w = proxy_worker_at(health.site, i)); i++) {
		int64_t due = LOAD(w->cell->check_due), then = now + w->check.interval;

		if (!is_checked(w))
			continue;
		if (due <= now || due > then) {
			if (atomic_compare_exchange_strong(&w->cell->check_due, &due, then))
				begin(w);
			due = then;
		}
		next = due < next ? due : next;
	}
	deadline_set(health.loop, d, next > now + TICK_MS ? next : now + TICK_MS);
}

void health_init(struct loop *l, const struct site *s)
{
	const struct proxy_worker *w;
	bool any = false;

	if (!proxy_wanted(s))
		return;
	for (unsigned i = 0; (w = proxy_worker_at(s, i)) && !any; i++)
		any = is_checked(w);
	if (!any)
		return;
	health.loop = l;
	health.site = s;
	health.begun = true;
	list_init(&health.checks);
	health.tick = (struct deadline){ .due = tick, .at = INT64_MAX };
	deadline_set(l, &health.tick, loop_now(l) + TICK_MS);
}

void health_fini(void)
{
	if (!health.begun)
		return;
	deadline_clear(health.loop, &health.tick);
	list_each(i, &health.checks) {
		struct check *k = list_entry(i, struct check, item);

		loop_remove(health.loop, &k->watch);
		deadline_clear(health.loop, &k->deadline);
		list_remove(&k->item);
		link_close(k->link);
		free(k->answer);
		free(k);
	}
	health.begun = false;
}
