/*
 * statusjson.c - the status as one JSON object, for programs and for the page's own script. Runs in the children. docs/monitoring.md
 * describes it.
 */
#include "handler/statusform.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/secret.h"
#include "base/version.h"
#include "request/response.h"

/* What children write may be anything: JSON's integers end at 2^63 here. */
static json_t *number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static void set(json_t *o, const char *key, json_t *value, bool *failed)
{
	*failed |= json_object_set_new(o, key, value) != 0;
}

static json_t *group_of(json_t *root, const char *name, bool *failed)
{
	json_t *o = json_object_get(root, name);

	if (o)
		return o;
	o = json_object();
	set(root, name, o, failed);
	return json_object_get(root, name);
}

static json_t *seconds(uint64_t us)
{
	return json_real((double)us / 1e6);
}

static json_t *counts(const struct status_counts *c, bool *failed)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < c->n; i++)
		set(o, c->at[i].name, number(c->at[i].n), failed);
	return o;
}

/* A list of numbers. */
static json_t *numbers(const uint64_t *n, unsigned many, bool *failed)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < many; i++)
		*failed |= json_array_append_new(a, n[i] == UINT64_MAX ? json_null() : number(n[i])) != 0;
	return a;
}

/* Milliseconds that half, nine tenths and 99 of 100 did not exceed. */
static json_t *quantiles(const uint64_t count[HISTOGRAM_BUCKETS], bool *failed)
{
	static const struct { const char *name; double part; } rows[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 } };
	json_t *o = json_object();

	for (unsigned i = 0; i < 3; i++)
		set(o, rows[i].name, json_real(histogram_quantile(count, rows[i].part) / 1000), failed);
	return o;
}

/* ------------------------------------------------------------------------------------------------ parts */

static void put_items(json_t *root, const struct status *s, bool *failed)
{
	for (const struct status_item *i = status_items; i->group; i++) {
		uint64_t n = status_item_value(i, s);

		if (status_item_there(i, s))
			set(group_of(root, i->group, failed), i->key, i->kind == STATUS_MICROSECONDS ? seconds(n) : number(n), failed);
	}
}

static json_t *child(const struct status_view *v, const struct status_child *c, bool *failed)
{
	const struct { const char *name, *value; } texts[] = { { "client", c->peer }, { "host", c->host }, { "method", c->method }, { "path", c->path },
							       { "handler", c->handler }, { "phase", c->phase } };
	const char letter[2] = { c->letter, '\0' };
	json_t *o = json_object();

	set(o, "pid", number(c->pid), failed);
	set(o, "generation", number(c->generation), failed);
	set(o, "state", json_string(letter), failed);
	set(o, "draining", json_boolean(c->draining), failed);
	set(o, "connections", number(c->places.total), failed);
	set(o, "working", number(c->places.working), failed);
	set(o, "limit", number(c->limit), failed);
	set(o, "requests", number(c->sums.requests), failed);
	set(o, "bytes", number(c->sums.bytes), failed);
	set(o, "cpu", seconds(c->sums.cpu_user_us + c->sums.cpu_system_us), failed);
	if (!v->extended || c->since_ms < 0)
		return o;
	set(o, "since_ms", number((uint64_t)c->since_ms), failed);
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		set(o, texts[i].name, json_string(status_clean(v->r->arena, texts[i].value)), failed);
	return o;
}

static void put_children(json_t *root, const struct status_view *v, bool *failed)
{
	json_t *o = group_of(root, "children", failed), *list = json_array();
	const struct status *s = v->s;

	set(o, "letters", json_string(s->letters), failed);
	set(o, "ends", counts(&s->ends, failed), failed);
	for (unsigned i = 0; i < s->nchildren && i < STATUS_CHILDREN_SHOWN; i++)
		*failed |= json_array_append_new(list, child(v, &s->children[i], failed)) != 0;
	set(o, "list", list, failed);
}

static void put_longest(json_t *root, const struct status_view *v, bool *failed)
{
	json_t *list = json_array();

	for (unsigned i = 0; v->extended && i < v->s->nrequests; i++) {
		const struct status_request *q = &v->s->requests[i];
		const struct { const char *name, *value; } texts[] = { { "client", q->peer }, { "host", q->host }, { "method", q->method }, { "path", q->path },
								       { "handler", q->handler }, { "phase", q->phase ? q->phase : "" } };
		json_t *o = json_object();

		set(o, "pid", number(q->pid), failed);
		set(o, "since_ms", number(q->since_ms < 0 ? 0 : (uint64_t)q->since_ms), failed);
		for (unsigned k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
			set(o, texts[k].name, json_string(status_clean(v->r->arena, texts[k].value)), failed);
		*failed |= json_array_append_new(list, o) != 0;
	}
	set(root, "longest", list, failed);
}

static void put_tls(json_t *root, const struct status *s, bool *failed)
{
	json_t *o = group_of(root, "tls", failed);

	set(o, "versions", counts(&s->tls.versions, failed), failed);
	set(o, "kinds", counts(&s->tls.kinds, failed), failed);
	set(o, "suites", counts(&s->tls.suites, failed), failed);
	set(o, "failures", counts(&s->tls.failures, failed), failed);
	o = group_of(root, "keys", failed);
	set(o, "isolated", json_boolean(s->keys.isolated), failed);
	set(o, "wait_seconds", seconds(s->keys.wait_us), failed);
	set(o, "wait_ms", quantiles(s->keys.wait, failed), failed);
	if (!s->cache.there)
		return;
	o = group_of(root, "cache", failed);
	set(o, "lock_waits", numbers(s->cache.waits, STATUS_WAITS, failed), failed);
	set(o, "lock_waits_upto_us", numbers(s->cache.wait_us, STATUS_WAITS, failed), failed);
}

static json_t *host(struct arena *a, const struct status_host *h, bool *failed)
{
	static const char *const staples[] = { [STATUS_STAPLE_UNWANTED] = "unwanted", [STATUS_STAPLE_MISSING] = "missing", [STATUS_STAPLE_THERE] = "there" };
	json_t *o = json_object(), *classes = json_object();
	char class[4] = "1xx";

	set(o, "name", json_string(status_clean(a, h->name)), failed);
	set(o, "current", json_boolean(h->current), failed);
	set(o, "requests", number(h->requests), failed);
	set(o, "bytes", number(h->bytes), failed);
	set(o, "seconds", seconds(h->duration_us), failed);
	for (unsigned i = 0; i < STATUS_CLASSES; i++) {
		class[0] = (char)('1' + i);
		set(classes, class, number(h->classes[i]), failed);
	}
	set(o, "responses", classes, failed);
	set(o, "latency_ms", quantiles(h->latency, failed), failed);
	if (!h->current)
		return o;
	set(o, "certificate_expires", h->certificate_expires < 0 ? json_null() : number((uint64_t)h->certificate_expires), failed);
	set(o, "staple", json_string((unsigned)h->staple < 3 ? staples[h->staple] : "?"), failed);
	if (h->staple == STATUS_STAPLE_THERE) {
		set(o, "staple_since", json_integer(h->staple_since), failed);
		set(o, "staple_until", json_integer(h->staple_until), failed);
	}
	return o;
}

static void put_hosts(json_t *root, const struct status_view *v, bool *failed)
{
	json_t *list = json_array(), *o = json_object();
	uint64_t all[HISTOGRAM_BUCKETS], bounds[HISTOGRAM_BUCKETS];

	for (unsigned i = 0; i < v->s->nhosts; i++)
		*failed |= json_array_append_new(list, host(v->r->arena, &v->s->hosts[i], failed)) != 0;
	set(root, "hosts", list, failed);
	status_latency(v->s, all);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		bounds[i] = histogram_bound(i);
	set(o, "quantiles_ms", quantiles(all, failed), failed);
	set(o, "below_us", numbers(bounds, HISTOGRAM_BUCKETS, failed), failed);
	set(o, "counts", numbers(all, HISTOGRAM_BUCKETS, failed), failed);
	set(root, "latency", o, failed);
}

static void put_crashes(json_t *root, const struct status *s, bool *failed)
{
	json_t *list = json_array();
	char text[32];

	for (unsigned i = 0; i < s->ncrashes; i++) {
		json_t *o = json_object();

		snprintf(text, sizeof(text), "%016" PRIx64, s->crashes[i].fingerprint);
		set(o, "fingerprint", json_string(text), failed);
		set(o, "signal", number(s->crashes[i].signal), failed);
		set(o, "crashes", number(s->crashes[i].n), failed);
		set(o, "last", json_integer(s->crashes[i].last), failed);
		*failed |= json_array_append_new(list, o) != 0;
	}
	set(root, "crashes", list, failed);
}

static void put_backends(json_t *root, const struct status_view *v, bool *failed)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < v->s->nbackends; i++) {
		const struct status_backend *b = &v->s->backends[i];
		json_t *o = json_object();

		set(o, "balancer", b->balancer ? json_string(status_clean(v->r->arena, b->balancer)) : json_null(), failed);
		set(o, "url", json_string(status_clean(v->r->arena, b->url)), failed);
		set(o, "route", b->route ? json_string(status_clean(v->r->arena, b->route)) : json_null(), failed);
		set(o, "state", json_string(b->state), failed);
		set(o, "takes", json_boolean(b->takes), failed);
		set(o, "retry_ms", json_integer(b->retry_ms), failed);
		set(o, "factor", json_real((double)b->factor / 100), failed);
		set(o, "set", json_integer(b->set), failed);
		set(o, "busy", number(b->busy), failed);
		set(o, "elected", number(b->elected), failed);
		set(o, "bytes", number(b->bytes), failed);
		*failed |= json_array_append_new(list, o) != 0;
	}
	set(root, "backends", list, failed);
}

static void put_server(json_t *root, const struct status_view *v, bool *failed)
{
	json_t *o = group_of(root, "server", failed), *load = json_array();

	set(o, "name", json_string(status_clean(v->r->arena, response_host(v->r))), failed);
	set(o, "version", json_string(BULKHEAD_VERSION), failed);
	set(o, "compatible", json_string(BULKHEAD_APACHE), failed);
	for (unsigned i = 0; i < 3; i++)
		*failed |= json_array_append_new(load, json_real(v->s->load[i])) != 0;
	set(o, "load", load, failed);
}

/* ------------------------------------------------------------------------------------------------ the whole */

static int take(const char *text, size_t n, void *ctx)
{
	page_put(ctx, text, n);
	return 0;
}

/* Once a process, so that the library does not look for randomness itself: children can open no device. */
static void seed(void)
{
	static bool done;
	uint32_t n = 0;

	if (done)
		return;
	json_object_seed(secret_random(&n, sizeof(n)) == 0 && n ? n : 1);
	done = true;
}

int status_put_json(struct page *p, const struct status_view *v)
{
	bool failed = false;
	json_t *root;

	seed();
	if (!(root = json_object()))
		return -1;
	put_server(root, v, &failed);
	put_items(root, v->s, &failed);
	put_children(root, v, &failed);
	put_longest(root, v, &failed);
	put_tls(root, v->s, &failed);
	put_hosts(root, v, &failed);
	put_crashes(root, v->s, &failed);
	put_backends(root, v, &failed);
	failed = failed || json_dump_callback(root, take, p, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0;
	page_puts(p, "\n");
	json_decref(root);
	return failed ? -1 : 0;
}
