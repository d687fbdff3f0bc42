/*
 * json.c - the result as one JSON object. Its keys are in the manual page: a key stays what it is.
 */
#include <jansson.h>
#include <stdio.h>

#include "output.h"

static json_t *whole(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static json_t *times(const struct hist *h)
{
	json_t *j = json_object();

	set(j, "count", whole(h->count));
	set(j, "mean", json_real(h->count ? (double)h->sum / (double)h->count : 0));
	set(j, "p50", whole(hist_at(h, 0.5)));
	set(j, "p90", whole(hist_at(h, 0.9)));
	set(j, "p99", whole(hist_at(h, 0.99)));
	set(j, "p999", whole(hist_at(h, 0.999)));
	set(j, "max", whole(h->max));
	return j;
}

static json_t *when(const struct run *r, const uint64_t *slots)
{
	json_t *list = json_array();
	uint64_t from, to, count;
	unsigned slot = 0;

	while (output_range(r, slots, &slot, &from, &to, &count))
		json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "from", whole(from), "to", whole(to),
		                                      "count", whole(count)));
	return list;
}

static json_t *failures(const struct stats *s)
{
	json_t *all = json_object(), *alerts = json_object(), *statuses = json_object();
	char key[64];

	for (unsigned f = 0; f < FAIL_COUNT; f++)
		if (s->fail[f])
			set(all, fail_key((enum fail)f), whole(s->fail[f]));
	for (unsigned i = 0; i < 256; i++) {
		if (s->alert[i] == 0)
			continue;
		alert_key(i, key, sizeof key);
		set(alerts, key, whole(s->alert[i] + (uint64_t)json_integer_value(json_object_get(alerts, key))));
	}
	for (unsigned i = 0; i < 600; i++) {
		if (s->status[i] == 0)
			continue;
		snprintf(key, sizeof key, "%u", i);
		set(statuses, key, whole(s->status[i]));
	}
	set(all, "alerts", alerts);
	set(all, "statuses", statuses);
	return all;
}

static void set_settings(json_t *j, const struct run *r, const struct stats *fill, const struct stats *s)
{
	const struct options *o = r->options;
	char where[ADDR_TEXT];

	set(j, "url", json_string(o->url));
	set(j, "address", json_string(addr_text(&r->target->addr, where)));
	set(j, "tls", json_string(s->about[0] ? s->about : fill->about));
	set(j, "resume", json_string(resume_name(o->resume)));
	set(j, "order", json_string(order_name(o->order)));
	set(j, "sessions", whole(o->sessions));
	set(j, "connections", whole(o->connections));
	set(j, "processes", whole(o->processes));
	set(j, "requests_each", whole(o->requests));
}

int output_json(const struct run *r, const struct stats *fill, const struct stats *s)
{
	json_t *j = json_object();
	double seconds = output_seconds(s), per = seconds > 0 ? 1 / seconds : 0;
	uint64_t ended = s->succeeded + s->failed;
	int rc;

	set_settings(j, r, fill, s);
	set(j, "interrupted", json_boolean(r->interrupted));
	set(j, "seconds", json_real(seconds));
	set(j, "operations", whole(ended));
	set(j, "operations_per_second", json_real((double)ended * per));
	set(j, "succeeded", whole(s->succeeded));
	set(j, "failed", whole(s->failed));
	set(j, "failures", failures(s));
	set(j, "failed_at", when(r, s->failed_at));
	set(j, "responses", whole(s->requests));
	set(j, "responses_per_second", json_real((double)s->requests * per));
	set(j, "short_connections", whole(s->short_connections));
	set(j, "bytes", whole(s->bytes));
	set(j, "tickets", whole(s->tickets));
	set(j, "asked", whole(s->asked));
	set(j, "resumed", whole(stats_resumed(s)));
	set(j, "resumed_percent", s->asked ? json_real(stats_resumed_percent(s)) : json_null());
	set(j, "resumed_by_ticket", whole(s->resumed_ticket));
	set(j, "resumed_by_id", whole(s->resumed_id));
	set(j, "lost", whole(stats_lost(s)));
	set(j, "lost_declined", whole(s->declined));
	set(j, "lost_absent", whole(s->absent));
	set(j, "lost_at", when(r, s->lost_at));
	set(j, "sessions_made", whole(fill->succeeded));
	set(j, "sessions_not_made", whole(fill->failed));
	set(j, "sessions_failures", failures(fill));
	set(j, "connect_us", times(&s->connect));
	set(j, "handshake_us", times(&s->handshake));
	set(j, "first_byte_us", times(&s->first));
	rc = json_dumpf(j, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(j);
	return rc;
}
