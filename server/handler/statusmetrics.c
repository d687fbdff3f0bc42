/*
 * statusmetrics.c - the status as Prometheus's text format 0.0.4: base units (seconds, bytes), and labels whose values come from the
 * configuration or from fixed lists, never from clients. Runs in the children.
 */
#include "handler/statusform.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"

/* Buckets of the histograms that are shown: powers of two, from 64 us to 67 s. */
#define FIRST_OCTAVE 6
#define LAST_OCTAVE 26

static void head(struct page *p, const char *name, const char *type, const char *help)
{
	page_printf(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* For a label's value; what comes is printable ASCII. Of the arena. */
static const char *label(struct arena *a, const char *text)
{
	const char *clean = status_clean(a, text);
	char *out = arena_alloc(a, strlen(clean) * 2 + 1), *to = out;

	if (!out)
		return "";
	for (; *clean; clean++) {
		if (*clean == '"' || *clean == '\\')
			*to++ = '\\';
		*to++ = *clean;
	}
	*to = '\0';
	return out;
}

static void put_items(struct page *p, const struct status *s)
{
	const char *last = "";

	for (const struct status_item *i = status_items; i->group; i++) {
		if (!i->metric)
			continue;
		if (strcmp(last, i->metric) != 0)
			head(p, i->metric, i->counter ? "counter" : "gauge", i->help);
		last = i->metric;
		if (!status_item_there(i, s))
			continue;
		uint64_t n = status_item_value(i, s);
		page_printf(p, *i->labels ? "%s{%s} " : "%s%s ", i->metric, i->labels);
		if (i->kind == STATUS_MICROSECONDS)
			page_printf(p, "%" PRIu64 ".%06" PRIu64 "\n", n / 1000000, n % 1000000);
		else
			page_printf(p, "%" PRIu64 "\n", n);
	}
}

static void put_counts(struct page *p, const char *name, const char *key, const char *help, const struct status_counts *c)
{
	head(p, name, "counter", help);
	for (unsigned i = 0; i < c->n; i++)
		page_printf(p, "%s{%s=\"%s\"} %" PRIu64 "\n", name, key, c->at[i].name, c->at[i].n);
}

/* `labels` is "" or ends with a comma. */
static void put_histogram(struct page *p, const char *name, const char *labels, const uint64_t count[HISTOGRAM_BUCKETS], uint64_t sum_us)
{
	size_t n = strlen(labels);
	uint64_t below = 0, all = status_total(count);
	unsigned i = 0;

	for (unsigned octave = FIRST_OCTAVE; octave <= LAST_OCTAVE; octave++) {
		for (; i < HISTOGRAM_BUCKETS && histogram_bound(i) <= (uint64_t)1 << octave; i++)
			below += count[i];
		page_printf(p, "%s_bucket{%sle=\"%.9g\"} %" PRIu64 "\n", name, labels, (double)((uint64_t)1 << octave) / 1e6, below);
	}
	page_printf(p, "%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, all);
	page_printf(p, n ? "%s_sum{%.*s} " : "%s_sum%.*s ", name, (int)(n ? n - 1 : 0), labels);
	page_printf(p, "%" PRIu64 ".%06" PRIu64 "\n", sum_us / 1000000, sum_us % 1000000);
	page_printf(p, n ? "%s_count{%.*s} " : "%s_count%.*s ", name, (int)(n ? n - 1 : 0), labels);
	page_printf(p, "%" PRIu64 "\n", all);
}

/* ------------------------------------------------------------------------------------------------ hosts */

static void put_host_times(struct page *p, const struct status *s, const char *const *names)
{
	static const struct { const char *name, *help; size_t offset; } times[] = {
		{ "bulkhead_host_certificate_expires_seconds", "When the first certificate of the host expires, in seconds since 1970.",
		  offsetof(struct status_host, certificate_expires) },
		{ "bulkhead_host_staple_since_seconds", "When the oldest OCSP answer in use for the host came, in seconds since 1970.",
		  offsetof(struct status_host, staple_since) },
		{ "bulkhead_host_staple_until_seconds", "Until when that answer is used, in seconds since 1970.", offsetof(struct status_host, staple_until) },
	};

	for (unsigned k = 0; k < sizeof(times) / sizeof(times[0]); k++) {
		head(p, times[k].name, "gauge", times[k].help);
		for (unsigned i = 0; i < s->nhosts; i++) {
			const struct status_host *h = &s->hosts[i];
			int64_t t = *(const int64_t *)(const void *)((const char *)h + times[k].offset);

			if (h->current && t > 0 && (k == 0 || h->staple == STATUS_STAPLE_THERE))
				page_printf(p, "%s{host=\"%s\"} %" PRId64 "\n", times[k].name, names[i], t);
		}
	}
	head(p, "bulkhead_host_staple_there", "gauge", "Whether an OCSP answer is there for a host that staples (1), or missing (0).");
	for (unsigned i = 0; i < s->nhosts; i++)
		if (s->hosts[i].current && s->hosts[i].staple != STATUS_STAPLE_UNWANTED)
			page_printf(p, "bulkhead_host_staple_there{host=\"%s\"} %d\n", names[i], s->hosts[i].staple == STATUS_STAPLE_THERE);
}

static void put_hosts(struct page *p, const struct status_view *v)
{
	const struct status *s = v->s;
	const char **names = arena_array(v->r->arena, s->nhosts + 1, sizeof(*names));

	if (!names)
		return;
	for (unsigned i = 0; i < s->nhosts; i++)
		names[i] = label(v->r->arena, s->hosts[i].name);
	head(p, "bulkhead_host_responses_total", "counter", "Responses of each virtual host, by class of status.");
	for (unsigned i = 0; i < s->nhosts; i++)
		for (unsigned k = 0; k < STATUS_CLASSES; k++)
			page_printf(p, "bulkhead_host_responses_total{host=\"%s\",class=\"%uxx\"} %" PRIu64 "\n", names[i], k + 1, s->hosts[i].classes[k]);
	head(p, "bulkhead_host_sent_bytes_total", "counter", "Bytes sent in responses of each virtual host.");
	for (unsigned i = 0; i < s->nhosts; i++)
		page_printf(p, "bulkhead_host_sent_bytes_total{host=\"%s\"} %" PRIu64 "\n", names[i], s->hosts[i].bytes);
	head(p, "bulkhead_host_request_duration_seconds", "histogram", "How long requests took, from the head's end to the last byte.");
	for (unsigned i = 0; i < s->nhosts; i++) {
		char labels[1024];

		snprintf(labels, sizeof(labels), "host=\"%s\",", names[i]);
		put_histogram(p, "bulkhead_host_request_duration_seconds", labels, s->hosts[i].latency, s->hosts[i].duration_us);
	}
	put_host_times(p, s, names);
}

/* ------------------------------------------------------------------------------------------------ the rest */

static void put_waits(struct page *p, const struct status_cache *c)
{
	head(p, "bulkhead_session_cache_lock_waits_total", "counter", "Stores into the session cache that waited for its lock, by the seconds they waited at most.");
	for (unsigned i = 0; c->there && i < STATUS_WAITS; i++) {
		if (c->wait_us[i] == UINT64_MAX)
			page_printf(p, "bulkhead_session_cache_lock_waits_total{upto=\"+Inf\"} %" PRIu64 "\n", c->waits[i]);
		else
			page_printf(p, "bulkhead_session_cache_lock_waits_total{upto=\"%.9g\"} %" PRIu64 "\n", (double)c->wait_us[i] / 1e6, c->waits[i]);
	}
}

static void put_crashes(struct page *p, const struct status *s)
{
	head(p, "bulkhead_crashes_total", "counter", "Crashes of children, by the fingerprint of their reports (0: all others).");
	for (unsigned i = 0; i < s->ncrashes; i++)
		page_printf(p, "bulkhead_crashes_total{fingerprint=\"%016" PRIx64 "\"} %" PRIu64 "\n", s->crashes[i].fingerprint, s->crashes[i].n);
}

static void put_backends(struct page *p, const struct status_view *v)
{
	static const struct { const char *name, *type, *help; } rows[] = {
		{ "bulkhead_backend_up", "gauge", "Whether a server behind takes requests (1) or not (0)." },
		{ "bulkhead_backend_busy", "gauge", "Requests under way at it." },
		{ "bulkhead_backend_elected_total", "counter", "Requests that its balancer gave to it." },
		{ "bulkhead_backend_sent_bytes_total", "counter", "Bytes sent to it." },
	};
	const struct status *s = v->s;

	for (unsigned k = 0; k < 4; k++) {
		head(p, rows[k].name, rows[k].type, rows[k].help);
		for (unsigned i = 0; i < s->nbackends; i++) {
			const struct status_backend *b = &s->backends[i];
			const uint64_t values[] = { b->takes, b->busy, b->elected, b->bytes };

			page_printf(p, "%s{balancer=\"%s\",backend=\"%s\"} %" PRIu64 "\n", rows[k].name, label(v->r->arena, b->balancer ? b->balancer : ""),
				    label(v->r->arena, b->url), values[k]);
		}
	}
}

void status_put_metrics(struct page *p, const struct status_view *v)
{
	const struct status *s = v->s;

	head(p, "bulkhead_info", "gauge", "Always 1; its labels say what this is.");
	page_puts(p, "bulkhead_info{version=\"" BULKHEAD_VERSION "\",compatible=\"" BULKHEAD_APACHE "\"} 1\n");
	put_items(p, s);
	put_counts(p, "bulkhead_children_ended_total", "how", "Children that ended, by how.", &s->ends);
	put_counts(p, "bulkhead_tls_version_handshakes_total", "version", "Finished handshakes by protocol version.", &s->tls.versions);
	put_counts(p, "bulkhead_tls_kind_handshakes_total", "kind", "Finished handshakes: full, resumed from the session cache (id), resumed from a ticket.", &s->tls.kinds);
	put_counts(p, "bulkhead_tls_suite_handshakes_total", "suite", "Finished handshakes by cipher suite.", &s->tls.suites);
	put_counts(p, "bulkhead_tls_failures_total", "reason", "Failed handshakes by reason.", &s->tls.failures);
	head(p, "bulkhead_key_wait_seconds", "histogram", "How long children waited for operations with private keys.");
	put_histogram(p, "bulkhead_key_wait_seconds", "", s->keys.wait, s->keys.wait_us);
	put_waits(p, &s->cache);
	put_hosts(p, v);
	put_crashes(p, s);
	put_backends(p, v);
}
