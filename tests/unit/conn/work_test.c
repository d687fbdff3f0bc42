/*
 * work_test.c - server/conn/work.c with real threads: works come back to who asked for them, bounds and refusals, requests that go meanwhile,
 * what is freed, an end in the middle.
 */
#include "conn/internal.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "request/host.h"

#define ASKERS 12
#define THREADS 2                       /* as work.c has them */

struct job {
	struct client_work work;
	sem_t *gate;                    /* waits there, if not NULL */
};

static atomic_uint ran, freed, begun;
static unsigned turns[ASKERS];
static pthread_t loop_thread;
static atomic_bool in_a_thread, blocked;

static struct site site = { .asks_passwords = true };
static struct conn_settings settings = { .timeout = 60000 };
static struct conn_server server;
static struct conn conns[ASKERS];
static struct asker askers[ASKERS];
static sem_t gate;

void asker_turn(struct asker *a)
{
	turns[a - askers]++;
}

static void run(struct client_work *w)
{
	struct job *j = (struct job *)(void *)w;
	sigset_t now;

	atomic_store(&in_a_thread, !pthread_equal(pthread_self(), loop_thread));
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	atomic_store(&blocked, sigismember(&now, SIGTERM) && sigismember(&now, SIGCHLD) && !sigismember(&now, SIGSEGV));
	atomic_fetch_add(&begun, 1);
	if (j->gate)
		while (sem_wait(j->gate) < 0 && errno == EINTR)
			;
	atomic_fetch_add(&ran, 1);
}

static void let_go(struct client_work *w)
{
	atomic_fetch_add(&freed, 1);
	free(w);
}

static struct client_work *job(sem_t *at)
{
	struct job *j = calloc(1, sizeof *j);

	assert_non_null(j);
	*j = (struct job){ { .run = run, .free = let_go }, at };
	return &j->work;
}

static int set_up(void **state)
{
	struct err e = { .text = "" };

	(void)state;
	ran = freed = begun = 0;
	loop_thread = pthread_self();
	server = (struct conn_server){ .loop = loop_new() };
	server.o.limit = 100;
	server.o.site = &site;
	for (unsigned i = 0; i < ASKERS; i++) {
		conns[i] = (struct conn){ .server = &server };
		askers[i] = (struct asker){ .c = &conns[i], .settings = &settings };
		turns[i] = 0;
	}
	sem_init(&gate, 0, 0);
	return server.loop && work_init(&server, &e) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		sem_post(&gate);
	work_fini(&server);
	loop_free(server.loop);
	sem_destroy(&gate);
	return 0;
}

static int ask(unsigned i, sem_t *at, unsigned most)
{
	struct client_work *w = job(at);
	int rc = work_ask(&askers[i].client, w, most);

	if (rc < 0)
		free(w);
	return rc;
}

/* The loop goes on until so many works are back with those who asked. */
static void until_back(unsigned n)
{
	for (unsigned back = 0; back < n;) {
		assert_int_equal(loop_turn(server.loop), 0);
		back = 0;
		for (unsigned i = 0; i < ASKERS; i++)
			back += turns[i];
	}
}

static void until(atomic_uint *count, unsigned n)
{
	while (atomic_load(count) < n)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void works_come_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ASKERS; i++)
		assert_int_equal(ask(i, NULL, ASKERS), 0);
	until_back(ASKERS);
	assert_int_equal(ran, ASKERS);
	assert_true(in_a_thread);
	assert_true(blocked);
	for (unsigned i = 0; i < ASKERS; i++) {
		assert_int_equal(turns[i], 1);
		assert_non_null(work_done(&askers[i].client));
		assert_null(askers[i].working);
	}
	assert_int_equal(freed, 0);             /* who asked looks at them first */
	assert_int_equal(ask(0, NULL, 1), 0);   /* a second one for the same request: the last first */
	until_back(ASKERS + 1);
	assert_non_null(work_done(&askers[0].client)->next);
	for (unsigned i = 0; i < ASKERS; i++)
		work_forget(&askers[i]);
	assert_int_equal(freed, ASKERS + 1);
	assert_null(work_done(&askers[0].client));
}

static void refusals(void **state)
{
	unsigned taken = 0;

	(void)state;
	assert_int_equal(ask(0, &gate, 2), 0);
	assert_true(askers[0].work_until > loop_now(server.loop));
	assert_int_equal(ask(0, &gate, 2), -1);                 /* it waits already */
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ask(1, &gate, 2), 0);
	until(&begun, THREADS);                                 /* both threads stand at the gate */
	for (unsigned i = 2; i < ASKERS; i++)
		if (ask(i, &gate, 3) == 0)
			taken++;
		else
			assert_int_equal(errno, EAGAIN);
	assert_int_equal(taken, 3);
	work_over(&askers[0]);                                  /* its time is over */
	assert_int_equal(ask(0, &gate, 10), -1);
	assert_int_equal(errno, ETIMEDOUT);
	for (unsigned i = 0; i < 2 + taken; i++)
		sem_post(&gate);
	until_back(1 + taken);                                  /* all but the one that nobody waits for */
	assert_int_equal(turns[0], 0);
	work_forget(&askers[0]);                                /* a new request may ask again */
	assert_int_equal(ask(0, NULL, 1), 0);
	until_back(2 + taken);
	for (unsigned i = 0; i < ASKERS; i++)
		work_forget(&askers[i]);
	while (atomic_load(&freed) < 3 + taken)
		assert_int_equal(loop_turn(server.loop), 0);
}

static void requests_that_go(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ask(i, &gate, 4), 0);
	until(&begun, THREADS);
	work_forget(&askers[0]);                                /* one that a thread has */
	work_forget(&askers[3]);                                /* one in the queue */
	for (unsigned i = 0; i < 4; i++)
		sem_post(&gate);
	until_back(2);
	until(&ran, 4);
	while (atomic_load(&freed) < 2)
		assert_int_equal(loop_turn(server.loop), 0);
	assert_int_equal(turns[0] + turns[3], 0);
	assert_int_equal(turns[1] + turns[2], 2);
	work_forget(&askers[1]);
	work_forget(&askers[2]);
	assert_int_equal(freed, 4);
}

/* Those under way are waited for; all are freed, whoever has them. */
static void an_end_in_the_middle(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(ask(i, i < 2 ? NULL : &gate, 6), 0);
	until(&begun, 2 + THREADS);
	for (unsigned i = 0; i < 6; i++)
		work_forget(&askers[i]);
	for (unsigned i = 0; i < 6; i++)                        /* a thread may still take another one */
		sem_post(&gate);
	work_fini(&server);
	assert_null(server.works);
	assert_int_equal(freed, 6);
	work_fini(&server);                                     /* twice is no harm */
	assert_int_equal(ask(0, NULL, 1), -1);
	assert_int_equal(errno, ENOSYS);
}

static void only_where_passwords_are_asked_for(void **state)
{
	static struct site plain;
	struct conn_server s = { .loop = server.loop };
	struct err e = { .text = "" };

	(void)state;
	s.o.limit = 100;
	s.o.site = &plain;
	assert_int_equal(work_init(&s, &e), 0);
	assert_null(s.works);
	s.o.site = &site;
	s.o.limit = 1;                                          /* one connection: nobody else would wait */
	assert_int_equal(work_init(&s, &e), 0);
	assert_null(s.works);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(works_come_back, set_up, tear_down), cmocka_unit_test_setup_teardown(refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(requests_that_go, set_up, tear_down), cmocka_unit_test_setup_teardown(an_end_in_the_middle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_where_passwords_are_asked_for, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
