/*
 * settings_test.c - what a Listen line comes to: every address of a name, each once. The resolver is the test's own, since
 * few machines have a name with several addresses.
 */
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/config.h"
#include "process/listen.h"

static const struct {
	const char *name;
	const char *addresses[4];
} known[] = {
	{ "both.test", { "127.0.0.1", "::1" } },
	{ "twice.test", { "127.0.0.1", "127.0.0.2", "127.0.0.1" } },
	{ "other.test", { "127.0.0.2" } },
};

struct answer {
	struct addrinfo info;
	struct addr addr;
};

/* In place of the C library's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	(void)service;
	assert_int_equal(hints->ai_socktype, SOCK_STREAM);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct addrinfo **end = out;

		if (strcmp(known[i].name, name))
			continue;
		for (unsigned k = 0; k < 4 && known[i].addresses[k]; k++) {
			struct answer *a = calloc(1, sizeof *a);

			addr_parse(&a->addr, known[i].addresses[k], 0);
			a->info.ai_family = a->addr.sa.sa_family;
			a->info.ai_addr = &a->addr.sa;
			a->info.ai_addrlen = a->addr.len;
			*end = &a->info;
			end = &a->info.ai_next;
		}
		return 0;
	}
	return EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *info)
{
	while (info) {
		struct addrinfo *next = info->ai_next;

		free(info);
		info = next;
	}
}

static struct config *read_text(const char *text)
{
	struct config *cfg = config_read(&(struct config_source){ .text = text });

	assert_non_null(cfg);
	return cfg;
}

static const char *report(const struct config *cfg, const char *words)
{
	for (const struct config_report *r = cfg->reports; r; r = r->next)
		if (strstr(r->sentence, words))
			return r->sentence;
	return NULL;
}

/* The addresses that a text comes to, in order. */
static void assert_listens(const char *text, const char *want)
{
	struct config *cfg = read_text(text);
	char all[512] = "", one[ADDR_TEXT];

	for (unsigned i = 0; i < cfg->process->nlistens; i++) {
		const struct config_listen *l = &cfg->process->listens[i];

		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s%s", i ? " " : "", addr_text(&l->addr, one), l->https ? "/https" : "");
	}
	assert_string_equal(all, want);
	config_free(cfg);
}

static void test_every_address(void **state)
{
	(void)state;
	assert_listens("Listen both.test:8080\n", "127.0.0.1:8080 [::1]:8080");
	assert_listens("Listen both.test:8443 https\n", "127.0.0.1:8443/https [::1]:8443/https");
	assert_listens("Listen twice.test:8080\n", "127.0.0.1:8080 127.0.0.2:8080");
	assert_listens("Listen 8080\nListen both.test:8081\n", "0.0.0.0:8080 127.0.0.1:8081 [::1]:8081");
	assert_listens("Listen twice.test:8080\nListen other.test:8081\n", "127.0.0.1:8080 127.0.0.2:8080 127.0.0.2:8081");
}

/* The same address by two lines is a fault, whichever of the name's addresses it is. */
static void test_faults(void **state)
{
	struct config *cfg;

	(void)state;
	cfg = read_text("Listen twice.test:8080\nListen other.test:8080\n");
	assert_non_null(report(cfg, "listened on already"));
	config_free(cfg);
	cfg = read_text("Listen nowhere.test:8080\n");
	assert_non_null(report(cfg, "can be resolved"));
	config_free(cfg);
}

/* Real sockets on all of them. */
static void test_sockets(void **state)
{
	struct config *cfg;
	struct listen_set set;
	struct err e = { .text = "" };
	struct addr a;
	char text[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	addr_parse(&a, "127.0.0.1", 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	assert_int_equal(getsockname(fd, &a.sa, &a.len), 0);
	close(fd);
	snprintf(text, sizeof text, "Listen twice.test:%u\n", addr_port(&a));
	cfg = read_text(text);
	if (listen_open(cfg->process, NULL, 0, &set, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(set.n, 2);
	for (unsigned i = 1; i <= 2; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		snprintf(text, sizeof text, "127.0.0.%u", i);
		addr_parse(&a, text, addr_port(&a));
		assert_int_equal(connect(fd, &a.sa, a.len), 0);
		close(fd);
	}
	listen_close(&set);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_address),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
