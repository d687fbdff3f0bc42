/*
 * stats.c - adds up what the processes counted, and the names of failures.
 */
#include "stats.h"

#include <ctype.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *key, *words;
} names[FAIL_COUNT] = {
	[FAIL_REFUSED] = { "connection_refused", "connection refused" },
	[FAIL_CONNECT] = { "connect", "could not connect" },
	[FAIL_CONNECT_TIMEOUT] = { "connect_timeout", "time-out of connect" },
	[FAIL_ALERT] = { "handshake_alert", "alert in the handshake" },
	[FAIL_CERTIFICATE] = { "certificate", "certificate not accepted" },
	[FAIL_HANDSHAKE] = { "handshake", "handshake failed" },
	[FAIL_HANDSHAKE_RESET] = { "handshake_reset", "closed or reset in the handshake" },
	[FAIL_HANDSHAKE_TIMEOUT] = { "handshake_timeout", "time-out of the handshake" },
	[FAIL_RESET] = { "reset", "closed or reset before the response was complete" },
	[FAIL_TLS] = { "tls", "TLS error after the handshake" },
	[FAIL_TIMEOUT] = { "timeout", "time-out of the response" },
	[FAIL_STATUS] = { "http_status", "HTTP status" },
	[FAIL_RESPONSE] = { "response", "not an HTTP/1.x response" },
};

const char *fail_key(enum fail f) { return names[f].key; }
const char *fail_words(enum fail f) { return names[f].words; }

void alert_key(unsigned alert, char *buf, unsigned n)
{
	const char *name = gnutls_alert_get_strname((gnutls_alert_description_t)alert);

	if (name && strncmp(name, "GNUTLS_A_", 9) == 0)
		name += 9;
	snprintf(buf, n, "%s", name ? name : "unknown");
	for (char *p = buf; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

double stats_resumed_percent(const struct stats *s)
{
	return s->asked ? 100.0 * (double)stats_resumed(s) / (double)s->asked : 100.0;
}

void stats_fail(struct stats *s, enum fail why, int64_t code)
{
	s->failed++;
	if (s->fail[why]++ == 0)
		s->code[why] = code;
}

static void add(uint64_t *into, const uint64_t *from, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		into[i] += from[i];
}

void stats_merge(struct stats *into, const struct stats *from)
{
	into->started += from->started;
	into->succeeded += from->succeeded;
	into->failed += from->failed;
	into->requests += from->requests;
	into->bytes += from->bytes;
	into->tickets += from->tickets;
	into->asked += from->asked;
	into->resumed_ticket += from->resumed_ticket;
	into->resumed_id += from->resumed_id;
	into->declined += from->declined;
	into->absent += from->absent;
	into->short_connections += from->short_connections;
	for (unsigned i = 0; i < FAIL_COUNT; i++)
		if (into->fail[i] == 0)
			into->code[i] = from->code[i];
	add(into->fail, from->fail, FAIL_COUNT);
	add(into->alert, from->alert, 256);
	add(into->status, from->status, 600);
	add(into->lost_at, from->lost_at, STATS_SLOTS);
	add(into->failed_at, from->failed_at, STATS_SLOTS);
	hist_merge(&into->connect, &from->connect);
	hist_merge(&into->handshake, &from->handshake);
	hist_merge(&into->first, &from->first);
	if (from->begin_ns && (!into->begin_ns || from->begin_ns < into->begin_ns))
		into->begin_ns = from->begin_ns;
	if (from->end_ns > into->end_ns)
		into->end_ns = from->end_ns;
	if (!into->about[0])
		memcpy(into->about, from->about, sizeof into->about);
	if (!into->certificate[0])
		memcpy(into->certificate, from->certificate, sizeof into->certificate);
}
