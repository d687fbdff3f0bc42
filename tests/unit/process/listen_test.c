/* listen_test.c - listening sockets: errors that name line and holder, sockets kept by address, both families. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/listen.h"

static uint16_t port_of(int fd)
{
	struct addr a = { .len = sizeof a.ss };

	assert_int_equal(getsockname(fd, &a.sa, &a.len), 0);
	return addr_port(&a);
}

/* A socket of ours that listens on a port the kernel chose. */
static int taken_port(uint16_t *port)
{
	struct addr a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr_parse(&a, "127.0.0.1", 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	*port = port_of(fd);
	return fd;
}

static struct config_listen one(const char *host, uint16_t port, const char *text)
{
	struct config_listen l = { .text = text, .pos = { "/etc/site.conf", 12 } };

	addr_parse(&l.addr, host, port);
	return l;
}

static void test_taken(void **state)
{
	struct config_listen l;
	struct process_settings s = { .listens = &l, .nlistens = 1 };
	struct listen_set set;
	struct err e = { .text = "" };
	char number[16], pid[32];
	uint16_t port;
	int fd = taken_port(&port);

	(void)state;
	l = one("127.0.0.1", port, "127.0.0.1:port");
	assert_int_equal(listen_open(&s, NULL, 0, &set, &e), -1);
	snprintf(number, sizeof number, ":%u", port);
	snprintf(pid, sizeof pid, "by pid %d (listen_test", (int)getpid());
	assert_string_equal(e.file, "/etc/site.conf");
	assert_int_equal(e.line, 12);
	assert_non_null(strstr(e.text, "in use"));
	assert_non_null(strstr(e.text, number));
	assert_non_null(strstr(e.text, pid));
	assert_true(*e.remedy != '\0');
	close(fd);
}

/* The second cannot be had: the first does not stay open. */
static void test_all_or_nothing(void **state)
{
	struct config_listen l[2];
	struct process_settings s = { .listens = l, .nlistens = 2 };
	struct listen_set set;
	struct err e = { .text = "" };
	uint16_t port, free_port;
	int fd = taken_port(&free_port), again;
	struct addr a;

	(void)state;
	close(fd);
	fd = taken_port(&port);
	l[0] = one("127.0.0.1", free_port, "first");
	l[1] = one("127.0.0.1", port, "second");
	assert_int_equal(listen_open(&s, NULL, 0, &set, &e), -1);
	addr_parse(&a, "127.0.0.1", free_port);
	again = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(again, &a.sa, a.len), 0);
	close(again);
	close(fd);
}

static void test_kept_over_generations(void **state)
{
	struct config_listen l[2];
	struct process_settings s = { .listens = l, .nlistens = 1 };
	struct listen_set first, second;
	struct err e = { .text = "" };
	uint16_t a, b;
	int fd;

	(void)state;
	close(taken_port(&a));
	close(taken_port(&b));
	l[0] = one("127.0.0.1", a, "a");
	l[1] = one("127.0.0.1", b, "b");
	assert_int_equal(listen_open(&s, NULL, 0, &first, &e), 0);
	fd = first.at[0]->fd;
	s.nlistens = 2;
	assert_int_equal(listen_open(&s, &first, 0, &second, &e), 0);
	assert_int_equal(second.n, 2);
	assert_ptr_equal(second.at[0], first.at[0]);
	listen_close(&first);
	assert_int_equal(port_of(fd), a);       /* still open: the second set has it */
	l[0] = one("127.0.0.1", b, "b");
	s.nlistens = 1;
	assert_int_equal(listen_open(&s, &second, 0, &first, &e), 0);
	listen_close(&second);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&(struct sockaddr_storage){ 0 },
				     &(socklen_t){ sizeof(struct sockaddr_storage) }),
			 -1);
	assert_int_equal(errno, EBADF);
	listen_close(&first);
}

static int reaches(const char *host, uint16_t port)
{
	struct addr a;
	int fd, rc;

	addr_parse(&a, host, port);
	fd = socket(a.sa.sa_family, SOCK_STREAM, 0);
	rc = connect(fd, &a.sa, a.len);
	close(fd);
	return rc == 0;
}

/* "Listen 80" means both families, "Listen 0.0.0.0:80" one. */
static void test_families(void **state)
{
	struct config_listen l;
	struct process_settings s = { .listens = &l, .nlistens = 1 };
	struct listen_set set;
	struct err e = { .text = "" };
	char text[16];
	uint16_t port;
	bool ipv6;

	(void)state;
	close(taken_port(&port));
	snprintf(text, sizeof text, "%u", port);
	l = one("0.0.0.0", port, text);
	assert_int_equal(listen_open(&s, NULL, 0, &set, &e), 0);
	assert_int_equal(set.n, 1);
	ipv6 = set.at[0]->addr.sa.sa_family == AF_INET6;
	assert_true(reaches("127.0.0.1", port));
	if (ipv6)
		assert_true(reaches("::1", port));
	listen_close(&set);
	snprintf(text, sizeof text, "0.0.0.0:%u", port);
	assert_int_equal(listen_open(&s, NULL, 0, &set, &e), 0);
	assert_int_equal(set.at[0]->addr.sa.sa_family, AF_INET);
	assert_false(reaches("::1", port));
	listen_close(&set);
}

static void test_no_such_address(void **state)
{
	struct config_listen l = one("192.0.2.77", 8080, "192.0.2.77:8080");
	struct process_settings s = { .listens = &l, .nlistens = 1 };
	struct listen_set set;
	struct err e = { .text = "" };

	(void)state;
	assert_int_equal(listen_open(&s, NULL, 0, &set, &e), -1);
	assert_non_null(strstr(e.remedy, "no interface"));
}

static char unnamed[ADDR_TEXT];
static unsigned told;

static void tell(const char *address)
{
	snprintf(unnamed, sizeof unnamed, "%s", address);
	told++;
}

/* Sockets that were there before: one that a Listen names is used as it is, the other is told of and closed. */
static void test_given(void **state)
{
	struct config_listen l;
	struct process_settings s = { .listens = &l, .nlistens = 1 };
	struct listen_set set;
	struct err e = { .text = "" };
	uint16_t a, b;
	int named = taken_port(&a), surplus = taken_port(&b);
	char text[ADDR_TEXT];

	(void)state;
	assert_int_equal(listen_given(named, &e), 0);
	assert_int_equal(listen_given(surplus, &e), 0);
	assert_true(fcntl(named, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(named, F_GETFL) & O_NONBLOCK);
	l = one("127.0.0.1", a, "a");
	assert_int_equal(listen_open(&s, NULL, 0, &set, &e), 0);
	assert_int_equal(set.at[0]->fd, named);
	told = 0;
	listen_given_end(tell);
	snprintf(text, sizeof text, "127.0.0.1:%u", b);
	assert_int_equal(told, 1);
	assert_string_equal(unnamed, text);
	assert_int_equal(fcntl(surplus, F_GETFD), -1);
	assert_int_equal(port_of(named), a);
	listen_close(&set);
	assert_int_equal(fcntl(named, F_GETFD), -1);
	listen_given_end(tell);
	assert_int_equal(told, 1);
}

static void test_given_of_another_kind(void **state)
{
	int pair[2], plain[] = { socket(AF_INET, SOCK_DGRAM, 0), socket(AF_INET, SOCK_STREAM, 0), socket(AF_UNIX, SOCK_STREAM, 0), dup(0), 999 };

	(void)state;
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		struct err e = { .text = "" };

		if (listen_given(plain[i], &e) != -1 || !strstr(e.text, "no listening stream socket"))
			fail_msg("the descriptor of row %zu was taken: %s", i, e.text);
		close(plain[i]);
	}
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(listen_given(pair[0], &(struct err){ .text = "" }), -1);
	close(pair[0]);
	close(pair[1]);
	listen_given_end(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_kept_over_generations),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_no_such_address),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_given_of_another_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
