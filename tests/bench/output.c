/*
 * output.c - heading, progress line and the result as text. The result as JSON is in json.c.
 */
#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static bool line_is_open; /* a progress line stands on the terminal, without its end */

double output_seconds(const struct stats *s)
{
	return s->end_ns > s->begin_ns ? (double)(s->end_ns - s->begin_ns) / 1e9 : 0;
}

bool output_range(const struct run *r, const uint64_t *slots, unsigned *slot, uint64_t *from, uint64_t *to,
                  uint64_t *count)
{
	uint64_t length = r->slot_ns / 1000000000u;

	while (*slot < STATS_SLOTS && slots[*slot] == 0)
		++*slot;
	if (*slot == STATS_SLOTS)
		return false;
	*from = *slot * length;
	*count = 0;
	while (*slot < STATS_SLOTS && slots[*slot] > 0)
		*count += slots[(*slot)++];
	*to = *slot * length - 1;
	return true;
}

void output_heading(const struct run *r, const struct stats *probe)
{
	static const char *const by[] = { [RESUME_ANY] = "what it gives", [RESUME_ID] = "ID",
	                                  [RESUME_TICKET] = "ticket" };
	const struct options *o = r->options;
	char where[ADDR_TEXT];

	fprintf(stderr, "%s at %s: %s, ", o->url, addr_text(&r->target->addr, where), probe->about);
	if (o->resume == RESUME_NONE)
		fputs("full handshakes", stderr);
	else
		fprintf(stderr, "%u session%s resumed by %s%s%s", o->sessions, o->sessions == 1 ? "" : "s",
		        by[o->resume], o->order == ORDER_TURN ? "" : ", order ",
		        o->order == ORDER_TURN ? "" : order_name(o->order));
	fprintf(stderr, "; %u connection%s", o->connections, o->connections == 1 ? "" : "s");
	if (o->processes > 1)
		fprintf(stderr, " in %u processes", o->processes);
	if (o->requests > 1)
		fprintf(stderr, ", %" PRIu64 " requests each", o->requests);
	fputc('\n', stderr);
}

void output_tick(const struct run *r, const struct stats *fill, const struct stats *sum)
{
	static uint64_t ended_before, now_before;
	const struct options *o = r->options;
	struct timespec t;
	uint64_t now, ended = sum->succeeded + sum->failed, passed, left;

	if (o->quiet || o->json || !isatty(STDERR_FILENO))
		return;
	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	fputs("\r\033[K", stderr);
	if (!sum->begin_ns) {
		fprintf(stderr, "making sessions: %" PRIu64 " of %u", fill->succeeded + fill->failed,
		        o->sessions);
	} else {
		passed = now > sum->begin_ns ? (now - sum->begin_ns) / 1000000 : 0;
		left = o->time_ms > passed ? (o->time_ms - passed + 999) / 1000 : 0;
		fprintf(stderr, "%.0f/s", (double)(ended - ended_before) * 1e9 / (double)(now - now_before));
		if (o->resume != RESUME_NONE)
			fprintf(stderr, ", resumed %.2f %%", stats_resumed_percent(sum));
		fprintf(stderr, ", failed %" PRIu64, sum->failed);
		if (o->operations)
			fprintf(stderr, ", %" PRIu64 " of %" PRIu64, ended, o->operations);
		fprintf(stderr, ", at most %" PRIu64 " s left", left);
	}
	fflush(stderr);
	line_is_open = true;
	ended_before = ended;
	now_before = now;
}

void output_tick_end(void)
{
	if (line_is_open)
		fputs("\r\033[K", stderr);
	line_is_open = false;
}

/* "12 at 3 s, 4 at 6-7 s", at most ten of them. */
static void print_when(const struct run *r, const uint64_t *slots)
{
	uint64_t from, to, count;
	unsigned slot = 0;

	for (unsigned i = 0; output_range(r, slots, &slot, &from, &to, &count); i++) {
		if (i == 10) {
			fputs(", and later", stdout);
			break;
		}
		printf(i ? ", %" PRIu64 : "            %" PRIu64, count);
		if (from == to)
			printf(" at %" PRIu64 " s", from);
		else
			printf(" at %" PRIu64 "-%" PRIu64 " s", from, to);
	}
	putchar('\n');
}

static void print_reasons(const struct stats *s)
{
	char name[64];

	for (unsigned f = 0; f < FAIL_COUNT; f++)
		if (s->fail[f] && f != FAIL_ALERT && f != FAIL_STATUS)
			printf("            %" PRIu64 " %s\n", s->fail[f], fail_words((enum fail)f));
	for (unsigned i = 0; i < 256; i++) {
		if (s->alert[i] == 0)
			continue;
		alert_key(i, name, sizeof name);
		printf("            %" PRIu64 " alert %u %s in the handshake\n", s->alert[i], i, name);
	}
	for (unsigned i = 0; i < 600; i++)
		if (s->status[i])
			printf("            %" PRIu64 " HTTP status %u\n", s->status[i], i);
}

static void print_times(const char *name, const struct hist *h)
{
	static const double at[] = { 0.5, 0.9, 0.99, 0.999 };

	printf("%-11s", name);
	for (unsigned i = 0; i < 4; i++)
		printf(" %10.3f", (double)hist_at(h, at[i]) / 1000);
	printf(" %10.3f\n", (double)h->max / 1000);
}

static void print_bytes(double n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned i = 0;

	for (; n >= 1024 && i < 4; i++)
		n /= 1024;
	printf(i ? "%.1f %s" : "%.0f %s", n, units[i]);
}

void output_text(const struct run *r, const struct stats *fill, const struct stats *s)
{
	const struct options *o = r->options;
	double seconds = output_seconds(s), per = seconds > 0 ? 1 / seconds : 0;
	uint64_t ended = s->succeeded + s->failed;

	printf("operations  %" PRIu64 " in %.2f s, %.1f/s%s\n", ended, seconds, (double)ended * per,
	       r->interrupted ? " (interrupted)" : "");
	printf("responses   %" PRIu64 ", %.1f/s, ", s->requests, (double)s->requests * per);
	print_bytes((double)s->bytes);
	fputs(", ", stdout);
	print_bytes((double)s->bytes * per);
	puts("/s");
	if (s->short_connections)
		printf("            %" PRIu64 " connections were closed by the server before their %" PRIu64
		       " requests\n",
		       s->short_connections, o->requests);
	if (s->asked) {
		printf("resumed     %" PRIu64 " of %" PRIu64 " (%.2f %%): %" PRIu64 " by ticket, %" PRIu64
		       " by ID\n",
		       stats_resumed(s), s->asked, stats_resumed_percent(s), s->resumed_ticket, s->resumed_id);
		if (stats_lost(s)) {
			printf("lost        %" PRIu64 ": %" PRIu64 " the server declined, %" PRIu64
			       " it had given nothing to resume by\n",
			       stats_lost(s), s->declined, s->absent);
			print_when(r, s->lost_at);
		}
		if (s->tickets)
			printf("tickets     %" PRIu64 " received\n", s->tickets);
	}
	if (s->failed) {
		printf("failed      %" PRIu64 "\n", s->failed);
		print_reasons(s);
		print_when(r, s->failed_at);
	}
	if (fill->failed) {
		printf("sessions    %" PRIu64 " could not be made\n", fill->failed);
		print_reasons(fill);
	}
	if (s->connect.count == 0)
		return;
	printf("%-11s %10s %10s %10s %10s %10s\n", "ms", "50 %", "90 %", "99 %", "99.9 %", "max");
	print_times("connect", &s->connect);
	print_times("handshake", &s->handshake);
	print_times("first byte", &s->first);
}
