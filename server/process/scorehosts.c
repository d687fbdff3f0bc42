/*
 * scorehosts.c - for the status page: rows of hosts added up, their certificates and OCSP answers, names for what TLS counts, and
 * servers behind. Runs in the children, and under -X.
 */
#include "process/scorehosts.h"

#include <string.h>
#include <time.h>

#include "process/tally.h"
#include "request/host.h"
#include "request/proxy.h"
#include "tls/policy.h"
#include "tls/staple.h"

_Static_assert(STATUS_HOSTS == CONN_ROWS - 1, "a row a host, and one for the others");
_Static_assert(STATUS_CLASSES == sizeof(((struct conn_row *)0)->classes) / sizeof(uint64_t), "the same classes");

static uint64_t get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------ hosts */

static void add_row(struct status_host *h, const struct conn_row *row)
{
	for (unsigned i = 0; i < STATUS_CLASSES; i++)
		h->classes[i] += get(&row->classes[i]);
	h->bytes += get(&row->bytes);
	h->duration_us += get(&row->duration_us);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t n = get(&row->latency[i]);

		h->latency[i] += n;
		h->requests += n;
	}
}

static void add_rows(struct status *s, const struct conn_row *rows, uint64_t used)
{
	for (unsigned i = 0; i < CONN_ROWS; i++)
		if (used >> i & 1)
			add_row(&s->hosts[i], &rows[i]);
}

void scorehosts_take(const struct shared_view *v, struct status *s)
{
	memset(s->hosts, 0, CONN_ROWS * sizeof(*s->hosts));
	for (unsigned i = 0; i < CONN_ROWS; i++) {
		s->hosts[i].certificate_expires = -1;
		memcpy(s->hosts[i].name, v->tally->hosts[i].name, sizeof(s->hosts[i].name) - 1);
	}
	add_rows(s, v->tally->rows, get(&v->tally->past.rows));
	for (unsigned i = 0; i < s->nplaces; i++)
		if (atomic_load_explicit(v->slots[i].pid, memory_order_relaxed))
			add_rows(s, v->slots[i].rows, get(&v->slots[i].counters->rows));
	s->nhosts = CONN_ROWS;
}

static void take_staple(const struct tls_staple *wanted, struct status_host *h)
{
	int64_t since, until;

	if (!staple_times(*wanted->cell, wanted->id, &since, &until) || until <= time(NULL)) {
		h->staple = STATUS_STAPLE_MISSING;
		return;
	}
	if (h->staple == STATUS_STAPLE_MISSING || (h->staple == STATUS_STAPLE_THERE && h->staple_until <= until))
		return;
	h->staple = STATUS_STAPLE_THERE;
	h->staple_since = since;
	h->staple_until = until;
}

static void take_certificates(struct host *host, struct status *s)
{
	struct status_host *h = &s->hosts[host->row < CONN_ROWS ? host->row : CONN_ROWS - 1];
	void *policy = host_config(host, &tls_module);
	struct tls_staple wanted[TLS_MAX_KEYS];
	unsigned n;
	int64_t end;

	h->current = true;
	if (!tls_policy_enabled(policy))
		return;
	end = tls_policy_expiry(policy);
	if (end >= 0 && (h->certificate_expires < 0 || end < h->certificate_expires))
		h->certificate_expires = end;
	n = tls_policy_staples(policy, wanted);
	for (unsigned i = 0; i < n; i++)
		take_staple(&wanted[i], h);
}

/* Rows that nobody has, or that are of no use, are left out. */
static void close_gaps(struct status *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->nhosts; i++)
		if (s->hosts[i].name[0] && (s->hosts[i].current || s->hosts[i].requests)) {
			if (n != i)
				s->hosts[n] = s->hosts[i];
			n++;
		}
	s->nhosts = n;
}

void scorehosts_certificates(const struct site *site, struct status *s)
{
	take_certificates(site->main, s);
	for (struct host *h = site->hosts; h; h = h->next)
		take_certificates(h, s);
	close_gaps(s);
}

/* ------------------------------------------------------------------------------------------------ TLS */

/* Names of `n` sums; those that are 0 only if all is asked for. */
static int give(struct arena *a, const uint64_t *sums, unsigned n, const char *(*name)(unsigned i), bool all, struct status_counts *out)
{
	struct status_count *at = arena_array(a, n, sizeof(*at));

	if (!at)
		return -1;
	*out = (struct status_counts){ at, 0 };
	for (unsigned i = 0; i < n; i++)
		if (name(i) && (all || sums[i]))
			at[out->n++] = (struct status_count){ name(i), sums[i] };
	return 0;
}

static const char *reason_name(unsigned i)
{
	return tls_reason_name((enum tls_reason)i);
}

int scoretls_give(struct arena *a, const struct scoretls *sums, struct status_tls *t)
{
	return give(a, sums->versions, TLS_VERSIONS, tls_version_name, true, &t->versions) < 0 ||
			       give(a, sums->kinds, TLS_KINDS, tls_kind_name, true, &t->kinds) < 0 ||
			       give(a, sums->suites, TLS_SUITES, tls_suite_name, false, &t->suites) < 0 ||
			       give(a, sums->failures, TLS_REASONS, reason_name, true, &t->failures) < 0
		       ? -1
		       : 0;
}

/* ------------------------------------------------------------------------------------------------ servers behind */

static const char *state_of(const struct proxy_worker *w, int64_t retry)
{
	static const struct { unsigned bit; const char *word; } words[] = {
		{ PROXY_STOPPED, "Stop" }, { PROXY_DISABLED, "Dis" }, { PROXY_DRAINS, "Drain" }, { PROXY_IN_ERROR, "Err" }, { PROXY_ILL, "Ill" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (w->status & words[i].bit)
			return words[i].word;
	if (w->cell && atomic_load_explicit(&w->cell->ill, memory_order_relaxed))
		return "Ill";
	if (retry)
		return "Err";
	return w->status & PROXY_STANDBY ? "Stby" : w->status & PROXY_SPARE ? "Spare" : "Ok";
}

/* ms until it is tried again; a time that lies further off than retry= was not written by one of us. */
static int64_t retry_of(const struct proxy_worker *w, int64_t now)
{
	int64_t until = w->cell ? atomic_load_explicit(&w->cell->ill_until, memory_order_relaxed) : 0;

	return w->status & PROXY_IGNORES_ERRORS || until <= now || until > now + w->retry ? 0 : until - now;
}

static void take_backend(const struct proxy_worker *w, const char *balancer, struct status_backend *b)
{
	int64_t retry = retry_of(w, shared_now());
	int32_t busy = w->cell ? atomic_load_explicit(&w->cell->busy, memory_order_relaxed) : 0;

	*b = (struct status_backend){
		.balancer = balancer, .url = w->name, .route = w->route, .retry_ms = retry, .factor = w->factor, .set = w->set > 0 ? w->set : 0,
		.state = state_of(w, retry), .busy = busy > 0 ? (uint64_t)busy : 0,
	};
	b->takes = strcmp(b->state, "Ok") == 0 || strcmp(b->state, "Stby") == 0 || strcmp(b->state, "Spare") == 0;
	if (!w->cell)
		return;
	b->elected = get(&w->cell->elected);
	b->bytes = get(&w->cell->traffic);
}

struct taking { struct status *s; unsigned room; bool *seen; };

static void take_members(const struct host *h, struct taking *t)
{
	for (const struct proxy_balancer *b = proxy_balancers(h); b; b = b->next)
		for (const struct proxy_member *m = b->members; m; m = m->next)
			if (m->worker->id < t->room && !t->seen[m->worker->id]) {
				t->seen[m->worker->id] = true;
				take_backend(m->worker, b->name, &t->s->backends[t->s->nbackends++]);
			}
}

int scorebackends_take(struct arena *a, const struct site *site, struct status *s)
{
	struct taking t = { .s = s };

	while (proxy_worker_at(site, t.room))
		t.room++;
	if (!t.room)
		return 0;
	s->backends = arena_array(a, t.room, sizeof(*s->backends));
	t.seen = arena_zalloc(a, t.room * sizeof(*t.seen));
	if (!s->backends || !t.seen)
		return -1;
	take_members(site->main, &t);
	for (const struct host *h = site->hosts; h; h = h->next)
		take_members(h, &t);
	for (unsigned i = 0; i < t.room; i++)
		if (!t.seen[i])
			take_backend(proxy_worker_at(site, i), NULL, &s->backends[s->nbackends++]);
	return 0;
}
