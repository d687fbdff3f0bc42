/*
 * statusitems.c - the single numbers of the status, each in one row: its place in the JSON, its metric, what it means. Runs in the
 * children. docs/monitoring.md describes each metric; a test compares.
 */
#include "handler/statusform.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct status, field)
#define COUNTER(group, key, metric, labels, field, help) { group, key, metric, labels, help, true, STATUS_COUNT, AT(field) }
#define GAUGE(group, key, metric, labels, field, help) { group, key, metric, labels, help, false, STATUS_COUNT, AT(field) }
#define TIME(group, key, metric, field, help) { group, key, metric, "", help, false, STATUS_SECONDS, AT(field) }

static const char help_restarts[] = "Restarts of the server, by kind.";
static const char help_cpu[] = "Processor time that children have used.";
static const char help_connections[] = "Open connections, by what they wait for.";

const struct status_item status_items[] = {
	TIME("server", "now", NULL, now, ""),
	TIME("server", "started", "bulkhead_start_time_seconds", started, "When the server was started, in seconds since 1970."),
	TIME("server", "restarted", "bulkhead_restart_time_seconds", restarted, "When the present configuration came into use, in seconds since 1970."),
	TIME("server", "uptime", "bulkhead_uptime_seconds", uptime, "How long the server has been running."),
	{ "server", "generation", "bulkhead_generation", "", "The number of the present generation of children.", false, STATUS_COUNT32, AT(generation) },
	COUNTER("server", "graceful_restarts", "bulkhead_restarts_total", "kind=\"graceful\"", graceful_restarts, help_restarts),
	COUNTER("server", "hard_restarts", "bulkhead_restarts_total", "kind=\"hard\"", hard_restarts, help_restarts),
	{ "children", "living", "bulkhead_children", "", "Children that live.", false, STATUS_COUNT_INT, AT(nchildren) },
	{ "children", "stopping", "bulkhead_children_stopping", "", "Children that only finish what is under way.", false, STATUS_COUNT_INT, AT(stopping) },
	{ "children", "places", "bulkhead_child_places", "", "Places for children in the scoreboard, free ones included.", false, STATUS_COUNT32,
	  AT(nplaces) },

	GAUGE("connections", "total", "bulkhead_connections_open", "", places.total, "Open connections."),
	GAUGE("connections", "fresh", "bulkhead_connections", "state=\"fresh\"", places.fresh, help_connections),
	GAUGE("connections", "handshake", "bulkhead_connections", "state=\"handshake\"", places.handshake, help_connections),
	GAUGE("connections", "reading", "bulkhead_connections", "state=\"reading\"", places.reading, help_connections),
	GAUGE("connections", "working", "bulkhead_connections", "state=\"working\"", places.working, help_connections),
	GAUGE("connections", "asking", "bulkhead_connections", "state=\"asking\"", places.asking, help_connections),
	GAUGE("connections", "writing", "bulkhead_connections", "state=\"writing\"", places.writing, help_connections),
	GAUGE("connections", "keepalive", "bulkhead_connections", "state=\"keepalive\"", places.keepalive, help_connections),
	GAUGE("connections", "closing", "bulkhead_connections", "state=\"closing\"", places.closing, help_connections),
	GAUGE("connections", "busy", "bulkhead_connections_busy", "", busy, "Connections that are at work."),
	GAUGE("connections", "idle", "bulkhead_connections_free", "", idle, "Further connections that living children have room for."),
	COUNTER("connections", "accepted", "bulkhead_connections_accepted_total", "", sums.accepted, "Connections accepted."),

	COUNTER("requests", "total", "bulkhead_requests_total", "", sums.requests, "Requests begun."),
	COUNTER("requests", "bytes", "bulkhead_sent_bytes_total", "", sums.bytes, "Bytes sent to clients, TLS and HTTP included."),
	{ "requests", "seconds", "bulkhead_request_seconds_total", "", "Time that requests took, from the head's end to the last byte, all together.", true,
	  STATUS_MICROSECONDS, AT(sums.duration_us) },
	{ "cpu", "user", "bulkhead_cpu_seconds_total", "mode=\"user\"", help_cpu, true, STATUS_MICROSECONDS, AT(sums.cpu_user_us) },
	{ "cpu", "system", "bulkhead_cpu_seconds_total", "mode=\"system\"", help_cpu, true, STATUS_MICROSECONDS, AT(sums.cpu_system_us) },
	COUNTER("log", "dropped", "bulkhead_log_lines_dropped_total", "", sums.log_dropped, "Lines of logs that found no room."),

	GAUGE("h2", "connections", "bulkhead_h2_connections", "", places.h2, "Open connections that speak HTTP/2."),
	GAUGE("h2", "streams", "bulkhead_h2_streams", "", places.h2_streams, "Their open streams."),
	COUNTER("h2", "connections_total", "bulkhead_h2_connections_total", "", sums.h2_connections, "Connections that spoke HTTP/2."),
	COUNTER("h2", "streams_total", "bulkhead_h2_streams_total", "", sums.h2_streams, "Streams of HTTP/2."),
	COUNTER("h2", "resets_total", "bulkhead_h2_resets_total", "", sums.h2_resets, "Streams of HTTP/2 that either side broke off."),

	COUNTER("tls", "handshakes", "bulkhead_tls_handshakes_total", "", sums.handshakes, "TLS handshakes that were finished."),
	COUNTER("tls", "resumed", "bulkhead_tls_resumed_total", "", sums.resumed, "Of these, handshakes that resumed a session."),
	COUNTER("tls", "failed", "bulkhead_tls_failed_total", "", sums.failures, "TLS handshakes that failed."),

	GAUGE("keys", "waiting", "bulkhead_key_waiting", "", keys.waiting, "Children that wait for a keyholder's answer."),
	COUNTER("keys", "operations", "bulkhead_key_operations_total", "", keys.operations, "Operations with private keys that children asked for."),
	COUNTER("keys", "failed", "bulkhead_key_failed_total", "", keys.failed, "Such operations that were refused or broke."),
	COUNTER("keys", "late", "bulkhead_key_late_total", "", keys.late, "Such operations that were not answered within SSLKeyTimeout."),
	COUNTER("keys", "restarts", "bulkhead_keyholder_restarts_total", "", keys.restarts, "Keyholders that died and were replaced."),

	GAUGE("cache", "bytes", "bulkhead_session_cache_bytes", "", cache.bytes, "Size of the TLS session cache."),
	GAUGE("cache", "capacity", "bulkhead_session_cache_capacity", "", cache.sessions, "Sessions of average size that it holds."),
	GAUGE("cache", "shards", NULL, "", cache.shards, ""),
	GAUGE("cache", "slots", "bulkhead_session_cache_slots", "", cache.slots, "Places in its index."),
	GAUGE("cache", "live", "bulkhead_session_cache_sessions", "", cache.live, "Sessions in it now."),
	COUNTER("cache", "hits", "bulkhead_session_cache_hits_total", "", cache.hits, "Sessions that were found in it."),
	COUNTER("cache", "misses", "bulkhead_session_cache_misses_total", "", cache.misses, "Sessions that were not found in it."),
	COUNTER("cache", "stores", "bulkhead_session_cache_stores_total", "", cache.stores, "Sessions put into it."),
	COUNTER("cache", "replaced", "bulkhead_session_cache_replaced_total", "", cache.replaced, "Stores that took the place of an entry of the same name."),
	COUNTER("cache", "evicted", "bulkhead_session_cache_evicted_total", "", cache.evicted, "Sessions that had to make room before they expired."),
	COUNTER("cache", "expired", "bulkhead_session_cache_expired_total", "", cache.expired, "Sessions that were found or removed too late."),
	COUNTER("cache", "removed", "bulkhead_session_cache_removed_total", "", cache.removed, "Sessions that were taken out."),
	COUNTER("cache", "oversize", "bulkhead_session_cache_oversize_total", "", cache.oversize, "Sessions that were too long to be kept."),
	COUNTER("cache", "lock_busy", "bulkhead_session_cache_lock_busy_total", "", cache.lock_busy, "Stores that found the lock taken."),
	COUNTER("cache", "lock_timeout", "bulkhead_session_cache_lock_timeouts_total", "", cache.lock_timeout, "Stores given up since the lock stayed taken."),
	COUNTER("cache", "repairs", "bulkhead_session_cache_repairs_total", "", cache.repairs, "Shards put right after a process died in them."),
	COUNTER("cache", "resets", "bulkhead_session_cache_resets_total", "", cache.resets, "Shards emptied since they were damaged."),
	COUNTER("cache", "badtag", "bulkhead_session_cache_badtag_total", "", cache.badtag, "Entries whose seal was not right."),
	{ .group = NULL },
};

bool status_item_there(const struct status_item *i, const struct status *s)
{
	return strcmp(i->group, "cache") != 0 || s->cache.there;
}

uint64_t status_item_value(const struct status_item *i, const struct status *s)
{
	const char *at = (const char *)s + i->offset;

	switch (i->kind) {
	case STATUS_SECONDS: {
		int64_t t = *(const int64_t *)(const void *)at;
		return t < 0 ? 0 : (uint64_t)t;
	}
	case STATUS_COUNT32:
		return *(const uint32_t *)(const void *)at;
	case STATUS_COUNT_INT:
		return *(const unsigned *)(const void *)at;
	default:
		return *(const uint64_t *)(const void *)at;
	}
}

void status_latency(const struct status *s, uint64_t all[HISTOGRAM_BUCKETS])
{
	memset(all, 0, HISTOGRAM_BUCKETS * sizeof(*all));
	for (unsigned h = 0; h < s->nhosts; h++)
		for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
			all[i] += s->hosts[h].latency[i];
}

uint64_t status_total(const uint64_t count[HISTOGRAM_BUCKETS])
{
	uint64_t all = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		all += count[i];
	return all;
}

const char *status_duration(int64_t seconds, char *buf)
{
	static const struct { const char *unit; int64_t seconds; } units[] = { { "day", 86400 }, { "hour", 3600 }, { "minute", 60 }, { "second", 1 } };
	bool begun = false;
	struct buf b;

	buf_init(&b, buf, 96);
	for (unsigned i = 0; i < 4; i++) {
		int64_t n = seconds / units[i].seconds;

		seconds %= units[i].seconds;
		if (n || begun || units[i].seconds == 1)
			buf_printf(&b, "%s%" PRId64 " %s%s", begun ? " " : "", n, units[i].unit, n == 1 ? "" : "s");
		begun |= n != 0;
	}
	return buf;
}

const char *status_clean(struct arena *a, const char *text)
{
	const char *scheme = strstr(text, "://"), *end = scheme ? scheme + 3 + strcspn(scheme + 3, "/") : NULL;
	const char *mark = end ? memrchr(scheme, '@', (size_t)(end - scheme)) : NULL;
	size_t room = strlen(text) * 3 + 1;
	char *p = arena_alloc(a, room);
	struct buf b;

	if (!p)
		return "";
	buf_init(&b, p, room);
	for (const char *c = text; *c; c++) {
		if (mark && c == scheme + 3)
			c = mark + 1;
		if (!*c)
			break;
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127)
			buf_printf(&b, "%%%02X", (unsigned)(unsigned char)*c);
		else
			buf_putc(&b, *c);
	}
	return p;
}
