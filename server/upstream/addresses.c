/*
 * addresses.c - the addresses of servers behind that are known by a name. Runs in the children, each for itself; the resolver answers, and remembers
 * for all of them. Bounded: NAMES hosts, ADDRESSES of each.
 *
 * A child that begins asks for all names of the configuration, one after the other: so requests rarely wait, health checks know where to
 * go, and a name without an address is told with the line that it stands in. Addresses hold for NAME_MS or addressttl=; then the next
 * request asks anew. Where there is no answer the old ones are kept, and asked for again soon.
 */
#include "upstream/pool.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log/log.h"

#define NAMES 256
#define LOST_MS 40000                   /* a question without an answer, of a resolver that was replaced, say */
#define ADDRESSES 8
#define NAME_MS 60000                   /* how long addresses hold */
#define NO_NAME_MS 5000                 /* and that there are none */

struct name { char host[256]; int64_t until; unsigned n; struct addr at[ADDRESSES]; };

static struct {
	const struct site *site;
	addresses_ask *ask;
	void *ctx;
	struct name *list;
	unsigned n, next;
	unsigned worker;                /* whose name is asked for when a child begins: its id */
	const struct proxy_worker *asked;       /* the one question that is on its way; NULL: none */
	uint32_t id;
	struct loop *loop;
	struct deadline late;           /* when it counts as lost */
} names;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct name *find(const char *host)
{
	for (unsigned i = 0; i < names.n; i++)
		if (strcmp(names.list[i].host, host) == 0)
			return &names.list[i];
	return NULL;
}

static bool has_name(const struct proxy_worker *w)
{
	return !w->socket && !w->addr.len && strlen(w->host) < sizeof ((struct name *)0)->host;
}

const char *upstream_question(const struct proxy_worker *w)
{
	const struct name *n = has_name(w) ? find(w->host) : NULL;

	if (!has_name(w))
		return NULL;
	return n && n->until > now_ms() ? NULL : w->host;
}

/* The one that was asked for longest goes where there are too many. */
static struct name *make(const char *host)
{
	struct name *n;

	if (!names.list && !(names.list = calloc(NAMES, sizeof *names.list)))
		return NULL;
	n = &names.list[names.n < NAMES ? names.n++ : names.next++ % NAMES];
	memset(n, 0, sizeof *n);
	memcpy(n->host, host, strlen(host) + 1);
	return n;
}

void upstream_answer(const struct proxy_worker *w, struct text addresses)
{
	struct name *n;

	if (!has_name(w) || !((n = find(w->host)) || (n = make(w->host))))
		return;
	if (!addresses.n && n->n) {             /* the old ones are better than none */
		n->until = now_ms() + NO_NAME_MS;
		return;
	}
	n->n = 0;
	for (const char *p = addresses.p; p && p < addresses.p + addresses.n && n->n < ADDRESSES; p += strlen(p) + 1)
		if (addr_parse(&n->at[n->n], p, 0) == 0)
			n->n++;
	if (n->n && w->cell)
		atomic_store_explicit(&w->cell->nameless, 0, memory_order_relaxed);
	n->until = now_ms() + (!n->n ? NO_NAME_MS : w->address_ttl > 0 ? w->address_ttl : NAME_MS);
}

bool addresses_at(const struct proxy_worker *w, unsigned at, struct addr *a)
{
	const struct name *n;

	if (w->addr.len) {
		*a = w->addr;
		return at == 0;
	}
	n = has_name(w) ? find(w->host) : NULL;
	if (!n || at >= n->n)
		return false;
	*a = n->at[at];
	addr_set_port(a, w->port);
	return true;
}

/* ------------------------------------------------------------------------------------------------ asked for without a request */

/* Told once by all children together, and again only when it had an address in between. */
static void tell(const struct proxy_worker *w)
{
	if (!atomic_exchange_explicit(&w->cell->nameless, 1, memory_order_relaxed))
		log_warnx(NULL, LOG_PROXY, "BH0754", "%s:%u: no address is known for the host of %s: what leads there is answered with 502 until the name service has one; look at "
			  "the spelling and at the name service, or write an address", w->pos.file ? w->pos.file : "-", w->pos.line, w->name);
}

static bool ask(const struct proxy_worker *w)
{
	if (!names.ask || names.asked || !upstream_question(w))
		return false;
	names.asked = w;
	deadline_set(names.loop, &names.late, loop_now(names.loop) + LOST_MS);
	if (names.ask(names.ctx, ++names.id, w->host))
		return true;
	names.asked = NULL;
	return false;
}

static void ask_next(void)
{
	const struct proxy_worker *w;

	/* An answer that comes within the call has gone on by itself. */
	while (!names.asked && (w = proxy_worker_at(names.site, names.worker))) {
		names.worker++;
		ask(w);
	}
}

bool addresses_answer(uint32_t id, const char *text, ssize_t n)
{
	const struct proxy_worker *w = names.asked;
	const struct name *known;

	if (!w || id != names.id)
		return false;
	names.asked = NULL;
	upstream_answer(w, n > 0 && text[n - 1] == '\0' ? (struct text){ text, (size_t)n } : (struct text){ 0 });
	known = find(w->host);
	if (!known || !known->n)
		tell(w);
	ask_next();
	return true;
}

void addresses_want(const struct proxy_worker *w)
{
	ask(w);
}

static void lost(struct deadline *d)
{
	(void)d;
	names.asked = NULL;
	ask_next();
}

void addresses_init(struct loop *l, const struct site *s, addresses_ask *how, void *ctx)
{
	names.loop = l;
	names.late = (struct deadline){ .due = lost, .at = INT64_MAX };
	names.site = s;
	names.ask = how;
	names.ctx = ctx;
	if (proxy_wanted(s))
		ask_next();
}

void addresses_fini(void)
{
	if (names.loop)
		deadline_clear(names.loop, &names.late);
	free(names.list);
	memset(&names, 0, sizeof names);
}
