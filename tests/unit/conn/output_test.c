/*
 * output_test.c - server/conn/output.c over a socket pair: every byte arrives once and in order, however the socket takes
 * them and whichever way they are queued; what a turn leaves over is there in the next; turns have bounds.
 */
#include "conn/internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TOTAL (3 * 1024 * 1024)

struct fixture {
	struct conn_server s;
	struct conn c;
	struct conn_counters counters;
	int client;
	char *sent;                     /* what must arrive: a pattern that tells where a byte belongs */
	size_t got;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	int pair[2], small = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	f->client = pair[1];
	f->s.loop = loop_new();
	f->s.o.counters = &f->counters;
	f->s.in = malloc(IN_SIZE);
	f->s.raw = malloc(RAW_SIZE);
	f->s.stage = malloc(RECORD_SIZE);
	f->s.wire = malloc(WIRE_SIZE);
	f->c.server = &f->s;
	f->c.watch.fd = pair[0];
	f->c.state = CONN_REQUEST;
	f->sent = malloc(TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		f->sent[i] = (char)(i * 7 ^ i >> 8 ^ i >> 16);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->client);
	close(f->c.watch.fd);
	loop_free(f->s.loop);
	free(f->c.raw_left.p);
	free(f->c.in_left.p);
	free(f->c.wire_left.p);
	free(f->s.in);
	free(f->s.raw);
	free(f->s.stage);
	free(f->s.wire);
	free(f->sent);
	free(f);
	return 0;
}

/* The client takes at most n bytes; each must be the next one. */
static void client_takes(struct fixture *f, size_t n)
{
	char bytes[8192];

	while (n) {
		ssize_t got = read(f->client, bytes, n < sizeof bytes ? n : sizeof bytes);

		if (got <= 0)
			return;
		assert_memory_equal(bytes, f->sent + f->got, (size_t)got);
		f->got += (size_t)got;
		n -= (size_t)got;
	}
}

static int file_with(const char *p, size_t n)
{
	char name[] = "/tmp/output_test.XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(write(fd, p, n), n);
	return fd;
}

static void end_turn(struct fixture *f)
{
	if (output_flush(&f->c) >= 0)
		input_end(&f->c);
}

/* Whole pieces, parts and files by turns, to a client that takes a little now and then. */
static void every_byte_arrives_once_and_in_order(void **state)
{
	struct fixture *f = *state;
	int fd = file_with(f->sent, TOTAL);
	size_t queued = 0;
	unsigned seed = 1;

	while (f->got < TOTAL) {
		input_begin(&f->c);
		if (!f->c.wire_left.n || output_flush(&f->c) == 0) {
			for (int i = 0; i < 4 && queued < TOTAL; i++) {
				size_t n = (size_t)rand_r(&seed) % 100000, left = TOTAL - queued;
				ssize_t took = 0;

				n = n < left ? n : left;
				switch (rand_r(&seed) % 3) {
				case 0:
					took = (ssize_t)output_put(&f->c, f->sent + queued, n);
					break;
				case 1:
					assert_int_equal(output_must(&f->c, f->sent + queued, n), 0);
					took = (ssize_t)n;
					break;
				case 2:
					took = output_file(&f->c, fd, queued, n, 0);
					break;
				}
				assert_true(took >= 0 && (size_t)took <= n);
				queued += (size_t)took;
			}
		}
		end_turn(f);
		assert_false(f->c.gone);
		client_takes(f, (size_t)rand_r(&seed) % 60000);
	}
	assert_int_equal(f->got, queued);
	assert_int_equal(f->counters.bytes_out, TOTAL);
	close(fd);
}

static void a_client_that_takes_nothing_bounds_what_is_kept(void **state)
{
	struct fixture *f = *state;
	size_t queued = 0;

	for (int i = 0; i < 10; i++) {
		input_begin(&f->c);
		size_t space = output_space(&f->c), n = space < TOTAL - queued ? space : TOTAL - queued;
		assert_int_equal(output_must(&f->c, f->sent + queued, n), 0);
		queued += n;
		end_turn(f);
	}
	assert_true(f->c.wire_left.n > 0 && f->c.wire_left.n <= WIRE_SIZE);
	assert_true(f->c.blocked);
	assert_int_equal(output_space(&f->c), 0);
	for (int i = 0; i < 100 && f->got < queued; i++) {
		client_takes(f, TOTAL);
		input_begin(&f->c);
		end_turn(f);
	}
	assert_int_equal(f->got, queued);
	assert_null(f->c.wire_left.p);
}

static void a_turn_has_bounds_each_way(void **state)
{
	struct fixture *f = *state;
	size_t queued = 0;

	input_begin(&f->c);
	for (;;) {
		size_t space = output_space(&f->c);

		if (!space)
			break;
		assert_int_equal(output_must(&f->c, f->sent + queued, space), 0);
		queued += space;
		client_takes(f, TOTAL);
	}
	assert_true(f->c.again || f->c.blocked);
	assert_true(queued <= TURN_BYTES + WIRE_FULL);

	input_begin(&f->c);
	size_t came = 0;
	for (;;) {
		assert_true(write(f->client, f->sent, IN_SIZE) > 0);
		ssize_t got = input_more(&f->c);
		if (got <= 0)
			break;
		came += (size_t)got;
		f->s.in_at = f->s.in_n;
		f->s.drained_socket = false;
	}
	assert_true(f->c.again);
	assert_true(came >= TURN_BYTES && came < TURN_BYTES + IN_SIZE);
}

/* A handler that writes in small pieces fills the buffer, and its turn, as one that writes in large ones. */
static void small_pieces_count_as_what_they_are(void **state)
{
	struct fixture *f = *state;
	size_t queued = 0;

	input_begin(&f->c);
	while (queued < WIRE_FULL - 1000) {
		assert_true(output_space(&f->c) >= 100);
		assert_int_equal(output_must(&f->c, f->sent + queued, 100), 0);
		queued += 100;
	}
	assert_false(f->c.again || f->c.blocked);
	assert_int_equal(f->s.wire_n, queued);
	while (output_space(&f->c)) {
		assert_int_equal(output_must(&f->c, f->sent + queued, 100), 0);
		queued += 100;
		client_takes(f, TOTAL);
		assert_true(queued < TURN_BYTES + 100);
	}
}

/* Records may hold a byte each, or none: what bounds a turn is what came from the socket. */
static void a_turn_of_tls_is_bounded_by_what_comes_from_the_socket(void **state)
{
	struct fixture *f = *state;
	struct tls_io io = output_tls_io;
	char bytes[5000];
	size_t came = 0;

	io.ctx = &f->c;
	input_begin(&f->c);
	while (came < 3 * TURN_BYTES) {
		while (write(f->client, f->sent, 8192) > 0)
			;
		f->s.drained_socket = false;
		ssize_t got = io.pull(io.ctx, bytes, sizeof bytes);
		if (got <= 0)
			break;
		came += (size_t)got;
	}
	assert_true(f->c.again);
	assert_true(came >= TURN_BYTES && came < TURN_BYTES + RAW_SIZE);
}

static void what_is_not_used_is_there_in_the_next_turn(void **state)
{
	struct fixture *f = *state;
	struct conn_server *s = &f->s;

	assert_int_equal(write(f->client, "GET / and more", 14), 14);
	input_begin(&f->c);
	assert_int_equal(input_raw(&f->c), 14);                 /* the peek */
	input_end(&f->c);
	memset(s->raw, 'z', RAW_SIZE);                          /* another connection's turn */
	input_begin(&f->c);
	assert_int_equal(input_more(&f->c), 14);                /* as HTTP */
	s->in_at = 6;
	input_end(&f->c);
	memset(s->in, 'z', IN_SIZE);
	input_begin(&f->c);
	assert_int_equal(s->in_n - s->in_at, 8);
	assert_memory_equal(s->in + s->in_at, "and more", 8);
	assert_int_equal(input_more(&f->c), -1);
	assert_int_equal(write(f->client, "!", 1), 1);
	s->drained_socket = false;
	assert_int_equal(input_more(&f->c), 1);
	assert_memory_equal(s->in + s->in_at, "and more!", 9);
	s->in_at = s->in_n;
	close(f->client);
	f->client = -1;
	s->drained_socket = false;
	assert_int_equal(input_more(&f->c), 0);
	assert_true(f->c.eof);
	input_end(&f->c);
	assert_null(f->c.in_left.p);
}

static void a_file_that_is_too_short_is_told(void **state)
{
	struct fixture *f = *state;
	int small = file_with(f->sent, 1000), large = file_with(f->sent, 100000);

	input_begin(&f->c);
	assert_int_equal(output_file(&f->c, small, 0, 2000, 0), -1);
	input_begin(&f->c);
	assert_int_equal(output_file(&f->c, large, 100000, 50000, 0), -1);
	assert_false(f->c.gone);
	close(small);
	close(large);
}

/* What was gathered is the first that its turn reads; nothing is gathered behind what was there before. */
static void gathered_bytes_are_the_first_of_the_turn(void **state)
{
	struct fixture *f = *state;
	char *many = malloc(AHEAD_EACH + 100);
	uint64_t before;

	memset(many, 'm', AHEAD_EACH + 100);
	f->s.ahead = malloc(AHEAD_SIZE);
	f->c.state = CONN_HEAD;
	input_gather(&f->c);                    /* nothing has come */
	assert_int_equal(f->c.ahead.n, 0);
	assert_int_equal(write(f->client, "one", 3), 3);
	input_gather(&f->c);
	before = f->c.came;
	assert_true(before > 0);
	assert_int_equal(write(f->client, "two", 3), 3);
	input_begin(&f->c);
	assert_int_equal(f->s.in_n, 3);
	assert_memory_equal(f->s.in, "one", 3);
	assert_int_equal(f->s.ahead_n, 0);
	assert_int_equal(input_more(&f->c), -1);        /* less came than could have: epoll tells of the rest */
	input_end(&f->c);
	input_gather(&f->c);                            /* "one" is still there */
	assert_int_equal(f->c.ahead.n, 0);
	input_begin(&f->c);
	assert_int_equal(input_more(&f->c), 3);
	assert_memory_equal(f->s.in, "onetwo", 6);
	assert_true(f->c.came > before);
	f->s.in_at = f->s.in_n;
	input_end(&f->c);
	assert_int_equal(write(f->client, many, AHEAD_EACH + 100), AHEAD_EACH + 100);
	input_gather(&f->c);
	input_begin(&f->c);
	assert_int_equal(f->s.in_n, AHEAD_EACH);
	assert_int_equal(input_more(&f->c), 100);
	assert_memory_equal(f->s.in, many, AHEAD_EACH + 100);
	f->s.in_at = f->s.in_n;
	input_end(&f->c);
	assert_int_equal(write(f->client, "x", 1), 1);
	input_gather(&f->c);
	input_ungather(&f->c);
	assert_int_equal(f->s.ahead_held + f->s.ahead_n, 0);
	free(f->s.ahead);
	free(many);
}

static void a_client_that_is_gone_breaks_the_connection(void **state)
{
	struct fixture *f = *state;

	close(f->client);
	f->client = -1;
	input_begin(&f->c);
	assert_int_equal(output_must(&f->c, f->sent, 1000), 0);
	assert_int_equal(output_flush(&f->c), -1);
	assert_true(f->c.gone);
	assert_int_equal(output_must(&f->c, f->sent, 1000), -1);
	assert_int_equal(output_space(&f->c), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(every_byte_arrives_once_and_in_order),
		CASE(a_client_that_takes_nothing_bounds_what_is_kept),
		CASE(a_turn_has_bounds_each_way),
		CASE(small_pieces_count_as_what_they_are),
		CASE(a_turn_of_tls_is_bounded_by_what_comes_from_the_socket),
		CASE(what_is_not_used_is_there_in_the_next_turn),
		CASE(a_file_that_is_too_short_is_told),
		CASE(gathered_bytes_are_the_first_of_the_turn),
		CASE(a_client_that_is_gone_breaks_the_connection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
