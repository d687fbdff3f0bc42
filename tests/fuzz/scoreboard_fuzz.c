/*
 * scoreboard_fuzz.c - fuzzes the reading of what children count and show of themselves, where one of them was taken
 * over: the status page in all of its forms (server/process/scoreboard.c, scorehosts.c, handler/status*.c), and the
 * master's sums (process/tally.c, crashdump/activity.c). An input is patches to the memory of two slots: three bytes of
 * place, one of length, so many bytes. Holds:
 * - each form has an answer of 200 that is whole; the JSON is JSON, texts are escaped in it and in HTML;
 * - when the children are gone their memory is empty, and the page is there again.
 */
#include "tests/fuzz/served.h"

#include <jansson.h>

#include "crashdump/activity.h"
#include "process/scoreboard.h"
#include "process/shared.h"
#include "process/tally.h"

#define SLOTS 2
#define PAGES ((size_t)3 * 4096)        /* counters, activity, requests */
#define ROWS (CONN_ROWS * sizeof(struct conn_row))

static struct shared_slot slot[SLOTS];
static char text[1 << 20];
static size_t length;

static void start(void)
{
	static const char conf[] = "ServerName h.test\nDocumentRoot /nonexistent\nExtendedStatus on\n<Location />\nSetHandler server-status\n</Location>\n"
				   "<Proxy balancer://b>\nBalancerMember http://127.0.0.1:9/\n</Proxy>\n";
	static struct config cfg;
	struct err e = { .text = "" };

	served_start(conf);
	cfg = (struct config){ .site = (struct site *)(uintptr_t)served.server->o.site };
	cfg.process = host_config(cfg.site->main, &process_module);
	CHECK(shared_create(SLOTS, &e) == 0);
	atomic_store(&shared_head()->used, SLOTS);
	for (unsigned i = 0; i < SLOTS; i++)
		shared_slot(i, &slot[i]);
	tally_hosts(&cfg);
	tally_serves(1);
	CHECK(scoreboard_open(&cfg, &e) == 0);
}

/* The whole answer, in text. */
static const char *ask(const char *query)
{
	char line[256];
	int n = snprintf(line, sizeof line, "GET /%s HTTP/1.0\r\nHost: h.test\r\n\r\n", query);
	ssize_t got;
	char *body;

	served_connect();
	CHECK(served_send(line, (size_t)n, 4) == (size_t)n);
	length = 0;
	for (unsigned turns = 0; (got = served_read(text + length, sizeof text - 1 - length)) >= 0; turns++) {
		CHECK(turns < 100000 && length < sizeof text - 1);
		length += (size_t)got;
		if (!got)
			served_turns(1);
	}
	served_close();
	text[length] = '\0';
	CHECK(strncmp(text, "HTTP/1.1 200 ", 13) == 0);
	body = strstr(text, "\r\n\r\n");
	CHECK(body);
	length -= (size_t)(body + 4 - text);
	CHECK(strlen(body + 4) == length);
	return body + 4;
}

static void see_all(void)
{
	static const char *const queries[] = { "", "?notable", "?live", "?auto", "?prometheus" };
	json_error_t why;
	json_t *j;

	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		const char *body = ask(queries[i]);

		CHECK(i > 2 || (!strstr(body, "<x>") && strstr(body, "</html>")));
	}
	j = json_loads(ask("?json"), 0, &why);
	CHECK(json_is_object(j));
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned char *pages[SLOTS];

	if (!served.server)
		start();
	for (unsigned i = 0; i < SLOTS; i++) {
		pages[i] = (unsigned char *)((uintptr_t)slot[i].counters & ~(uintptr_t)4095);
		memset(pages[i], 0, PAGES);
		memset(slot[i].rows, 0, ROWS);
		activity_reset(slot[i].activity, 1000);
		atomic_store(slot[i].pid, 100 + i);
		atomic_store(slot[i].ready, 1);
		atomic_store(slot[i].generation, 1);
		atomic_store(&slot[i].counters->limit, 16);
	}
	while (n > 4) {
		size_t at = ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % (SLOTS * (PAGES + ROWS)), many = data[3];
		unsigned which = at >= PAGES + ROWS;

		at %= PAGES + ROWS;
		data += 4;
		n -= 4;
		many = many < n ? many : n;
		for (size_t i = 0; i < many; i++, at++)
			*(at < PAGES ? &pages[which][at] : &((unsigned char *)slot[which].rows)[(at - PAGES) % ROWS]) = data[i];
		data += many;
		n -= many;
	}
	see_all();
	for (unsigned i = 0; i < SLOTS; i++) {
		struct activity_event events[ACTIVITY_EVENTS];
		struct activity_record record;

		activity_read_events(slot[i].activity, events);
		activity_read(slot[i].activity, &record);
		CHECK(memchr(record.path, '\0', sizeof record.path) && memchr(record.peer, '\0', sizeof record.peer));
		tally_retire(&slot[i]);
		atomic_store(slot[i].pid, 0);
		CHECK(atomic_load(&slot[i].counters->requests) == 0);
	}
	ask("?auto");
	return 0;
}
