/*
 * resume_test.c - sessions that are resumed, and those that must not be: by ID from a real shared cache, by ticket of 1.2
 * and 1.3, in other processes, under other policies, after their time, after a change of seeds.
 */
#include "sessions.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "log/log.h"

static int setup(void **state)
{
	struct err e = { 0 };

	if (rig_setup(state) != 0 || tls_init(&e) != 0)
		return -1;
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	rig_certificate("two.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	return 0;
}

static void test_each_way(void **state)
{
	struct tls_policy *p;
	struct rig_hosts hosts;
	struct shmcache_counters c;

	(void)state;
	begin(true);
	p = rig_host(env, "one.test", "one.test", "");
	hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
	for (size_t i = 0; i < 3; i++) {
		gnutls_datum_t session = { 0 };
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 0);
		for (int again = 0; again < 3; again++)
			if (connect_to(&hosts, ways[i], "one.test", &session) != 1)
				fail_msg("%s", ways[i]);
		forget(&session);
	}
	shmcache_counters(cache, &c);
	assert_int_equal(c.stores, 1);                  /* neither tickets nor 1.3 went there */
	assert_int_equal(c.hits, 3);
	assert_int_equal(c.misses, 0);                  /* the made-up IDs of tickets were not looked for */
	tls_policy_free(p);
}

static void test_switched_off(void **state)
{
	static const struct { const char *more; bool cache; int by[3]; } rows[] = {
		{ "SSLSessionTickets on", true, { 1, 1, 1 } }, { "SSLSessionTickets off", true, { 1, 1, 0 } },
		{ "SSLSessionTickets on", false, { 0, 1, 1 } }, { "SSLSessionTickets off", false, { 0, 0, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_policy *p = rig_host(env, "one.test", "one.test", rows[i].more);
		struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
		settings.enabled = rows[i].cache;
		begin(true);
		for (size_t k = 0; k < 3; k++) {
			gnutls_datum_t session = { 0 };
			assert_int_equal(connect_to(&hosts, ways[k], "one.test", &session), 0);
			if ((session.data ? connect_to(&hosts, ways[k], "one.test", &session) : 0) != rows[i].by[k])
				fail_msg("row %zu, %s", i, ways[k]);
			forget(&session);
		}
		tls_policy_free(p);
		tls_child_init(NULL, &settings);
		shmcache_unlink(cache);
		shmcache_close(cache);
		cache = NULL;
	}
}

/* What was begun under one policy is a full handshake, never an error, under another. */
static void test_other_policies(void **state)
{
	static const struct { const char *name, *more; int by[3]; } rows[] = {
		{ "one.test", "", { 1, 1, 1 } },                                                        /* the same, made anew */
		{ "two.test", "", { 0, 0, 0 } },
		{ "one.test", "SSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256", { 0, 0, 0 } },
		{ "one.test", "SSLCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384", { 0, 0, 0 } },
		{ "one.test", "SSLCipherSuite TLSv1.3 TLS_CHACHA20_POLY1305_SHA256", { 0, 0, 0 } },
		{ "one.test", "SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384", { 0, 0, 0 } },           /* no suite of the ticket's hash is left */
		{ "one.test", "SSLProtocol all +TLSv1.1", { 0, 0, 0 } },
	};
	struct tls_policy *first;
	struct rig_hosts hosts;

	(void)state;
	begin(true);
	first = rig_host(env, "one.test", "one.test", "");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_policy *p = rig_host(env, rows[i].name, "one.test", rows[i].more);
		for (size_t k = 0; k < 3; k++) {
			gnutls_datum_t session = { 0 };
			hosts = (struct rig_hosts){ .at = { { "one.test", first } }, .n = 1 };
			assert_int_equal(connect_to(&hosts, ways[k], "one.test", &session), 0);
			hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
			if (connect_to(&hosts, ways[k], "one.test", &session) != rows[i].by[k])
				fail_msg("row %zu, %s", i, ways[k]);
			forget(&session);
		}
		tls_policy_free(p);
	}
	tls_policy_free(first);
}

/* A 1.2 ticket brought to the host when it does 1.3 too, by a client that offers both: a plain 1.3 handshake. */
static void test_ticket_of_12_under_13(void **state)
{
	struct tls_policy *old, *both;
	struct rig_hosts hosts;
	gnutls_datum_t session = { 0 };

	(void)state;
	begin(true);
	both = rig_host(env, "one.test", "one.test", "");
	old = rig_host(env, "one.test", "one.test", "SSLProtocol TLSv1.2");
	hosts = (struct rig_hosts){ .at = { { "one.test", old } }, .n = 1 };
	assert_int_equal(connect_to(&hosts, "NORMAL", "one.test", &session), 0);
	hosts.at[0].policy = both;
	assert_int_equal(connect_to(&hosts, "NORMAL", "one.test", &session), 0);
	assert_int_equal(connect_to(&hosts, "NORMAL", "one.test", &session), 1);
	forget(&session);
	tls_policy_free(both);
	tls_policy_free(old);
}

/* Sessions of one process are resumed in others that share the segment, also after the first was killed. */
static void test_over_processes(void **state)
{
	struct tls_policy *p;
	struct rig_hosts hosts;
	gnutls_datum_t sessions[3] = { 0 };

	(void)state;
	begin(false);
	p = rig_host(env, "one.test", "one.test", "");
	hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
	for (int process = 0; process < 4; process++) {
		int fd[2], status;
		pid_t pid;
		assert_int_equal(pipe(fd), 0);
		if ((pid = fork()) == 0) {
			struct shmcache_err se;
			if (shmcache_child_init(cache, &se) != 0)
				_exit(9);
			tls_child_init(cache, &settings);
			for (unsigned i = 0; i < 3; i++) {
				if (connect_to(&hosts, ways[i], "one.test", &sessions[i]) != (process > 0))
					_exit((int)i + 1);
				if (write(fd[1], &sessions[i].size, sizeof sessions[i].size) < 0
				    || write(fd[1], sessions[i].data, sessions[i].size) < 0)
					_exit(8);
			}
			kill(getpid(), SIGKILL);
		}
		close(fd[1]);
		for (unsigned i = 0; i < 3; i++) {
			unsigned n;
			gnutls_free(sessions[i].data);
			if (read(fd[0], &n, sizeof n) != sizeof n)
				break;
			sessions[i].size = n;
			sessions[i].data = gnutls_malloc(n);
			assert_int_equal(read(fd[0], sessions[i].data, n), n);
		}
		close(fd[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status))
			fail_msg("process %d: exit %d", process, WEXITSTATUS(status));
	}
	for (unsigned i = 0; i < 3; i++)
		gnutls_free(sessions[i].data);
	tls_policy_free(p);
}

static void test_timeout(void **state)
{
	struct tls_policy *p;
	struct rig_hosts hosts;
	gnutls_datum_t sessions[3] = { 0 };
	struct timespec pause = { .tv_sec = 3, .tv_nsec = 100000000 };

	(void)state;
	settings.timeout_s = 2;
	begin(true);
	p = rig_host(env, "one.test", "one.test", "");
	hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &sessions[i]), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &sessions[i]), 1);
	nanosleep(&pause, NULL);
	for (unsigned i = 0; i < 3; i++) {
		if (connect_to(&hosts, ways[i], "one.test", &sessions[i]) != 0)
			fail_msg("%s", ways[i]);
		forget(&sessions[i]);
	}
	tls_policy_free(p);
}

/* Tickets of the seed before are taken as long as it is valid; new ones are sealed under the newest that is valid already. */
static void test_change_of_seeds(void **state)
{
	struct tls_policy *p;
	struct rig_hosts hosts;
	gnutls_datum_t first[3] = { 0 }, second[3] = { 0 };

	(void)state;
	begin(true);
	p = rig_host(env, "one.test", "one.test", "");
	hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
	for (unsigned i = 1; i < 3; i++)
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &first[i]), 0);
	put_seed(2, -5, 86400);
	put_seed(3, 86400, 2 * 86400);                  /* the next, not yet valid */
	for (unsigned i = 1; i < 3; i++) {
		gnutls_datum_t session = { 0 };
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 0);
		second[i] = session;
		if (connect_to(&hosts, ways[i], "one.test", &first[i]) != 1)
			fail_msg("%s: the ticket of the seed before", ways[i]);
	}
	put_seed(1, -10, -1);                           /* withdrawn */
	for (unsigned i = 1; i < 3; i++) {
		if (connect_to(&hosts, ways[i], "one.test", &first[i]) != 0)
			fail_msg("%s: the ticket of a seed that is over", ways[i]);
		if (connect_to(&hosts, ways[i], "one.test", &second[i]) != 1)
			fail_msg("%s: the ticket of the seed that is valid", ways[i]);
	}
	for (unsigned i = 1; i < 3; i++) {
		forget(&first[i]);
		forget(&second[i]);
	}
	tls_policy_free(p);
}

/* What was made from a seed does not outlive its stay in the ring, for hosts that nobody asks for either. */
static void test_old_keys_are_wiped(void **state)
{
	struct tls_policy *one, *two;
	unsigned char old[TICKET_SEED];
	const unsigned char *at;

	(void)state;
	begin(true);
	one = rig_host(env, "one.test", "one.test", "");
	two = rig_host(env, "two.test", "two.test", "");
	at = tickets_seed(one, true, (struct text){ 0 })->data;
	memcpy(old, at, sizeof old);
	assert_ptr_equal(tickets_seed(one, true, (struct text){ 0 })->data, at);
	assert_memory_equal(at, old, sizeof old);
	put_seed(2, -5, 86400);
	assert_ptr_not_equal(tickets_seed(two, true, (struct text){ 0 })->data, at);
	assert_memory_not_equal(at, old, sizeof old);
	tls_policy_free(one);
	tls_policy_free(two);
}

/* The clock was set back or forward, and no seed is valid by it: children still take one that all of them have. */
static void test_clock_set(void **state)
{
	static const int64_t rows[][4] = { { 3600, 86400, 7200, 2 * 86400 }, { -7200, -3600, -3600, -60 }, { -7200, -3600, 3600, 86400 } };

	(void)state;
	begin(true);
	for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
		struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
		struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
		put_seed(1, rows[n][0], rows[n][1]);
		put_seed(2, rows[n][2], rows[n][3]);
		for (unsigned i = 1; i < 3; i++) {
			gnutls_datum_t session = { 0 };
			assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 0);
			tls_child_init(cache, &settings);       /* as another child */
			if (connect_to(&hosts, ways[i], "one.test", &session) != 1)
				fail_msg("row %zu, %s", n, ways[i]);
			forget(&session);
		}
		tls_policy_free(p);
	}
}

static unsigned tickets;
static int count_ticket(gnutls_session_t s, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *msg)
{
	(void)s, (void)type, (void)when, (void)msg;
	tickets += incoming != 0;
	return 0;
}

/* TLS 1.3: one ticket a handshake, none for a client that cannot use it or where they are off. */
static void test_number_of_tickets(void **state)
{
	static const struct { const char *more; unsigned flags, tickets; } rows[] = {
		{ "", 0, 1 }, { "SSLSessionTickets off", 0, 0 }, { "", GNUTLS_NO_TICKETS, 0 },
	};

	(void)state;
	begin(true);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_policy *p = rig_host(env, "one.test", "one.test", rows[i].more);
		struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
		struct rig *r = rig_new(&hosts, CLIENT13, "one.test");
		gnutls_deinit(r->client);
		gnutls_init(&r->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK | rows[i].flags);
		gnutls_priority_set_direct(r->client, CLIENT13, NULL);
		gnutls_credentials_set(r->client, GNUTLS_CRD_CERTIFICATE, r->trust);
		gnutls_transport_set_ptr(r->client, &r->wire);
		gnutls_transport_set_pull_function(r->client, rig_client_pull);
		gnutls_transport_set_push_function(r->client, rig_client_push);
		gnutls_handshake_set_hook_function(r->client, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET, GNUTLS_HOOK_PRE, count_ticket);
		tickets = 0;
		assert_int_equal(rig_run(r), TLS_DONE);
		rig_exchange(r);
		if (tickets != rows[i].tickets)
			fail_msg("row %zu: %u tickets", i, tickets);
		rig_free(r);
		tls_policy_free(p);
	}
}

/* RFC 5246, 7.2.2: a connection that ended in a fatal alert, of either side, leaves no session behind. */
static void test_fatal_alert_removes(void **state)
{
	static const struct { bool resumed, alert, ours; } rows[] = {
		{ false, false, false }, { true, false, false },        /* an orderly end: the session stays */
		{ false, true, false }, { true, true, false }, { false, true, true }, { true, true, true },
	};
	static const unsigned char wrong[] = { 23, 3, 3, 0, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32 };
	struct tls_policy *p;
	struct rig_hosts hosts;

	(void)state;
	begin(true);
	p = rig_host(env, "one.test", "one.test", "");
	hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gnutls_datum_t session = { 0 };
		struct rig *r = rig_new(&hosts, BY_ID, "one.test");
		char buf[8];

		if (rows[i].resumed) {
			assert_int_equal(connect_to(&hosts, BY_ID, "one.test", &session), 0);
			assert_int_equal(gnutls_session_set_data(r->client, session.data, session.size), 0);
		}
		assert_int_equal(rig_run(r), TLS_DONE);
		assert_int_equal(tls_resumed(r->server), rows[i].resumed);
		rig_exchange(r);
		if (!rows[i].resumed)
			assert_int_equal(gnutls_session_get_data2(r->client, &session), 0);
		if (!rows[i].alert)
			gnutls_bye(r->client, GNUTLS_SHUT_WR);
		else if (rows[i].ours)
			rig_push(&r->wire.to_server, wrong, sizeof wrong);      /* a record whose seal is wrong */
		else
			gnutls_alert_send(r->client, GNUTLS_AL_FATAL, GNUTLS_A_INTERNAL_ERROR);
		assert_int_equal(tls_read(r->server, buf, sizeof buf), rows[i].alert ? -2 : 0);
		if (rows[i].ours) {
			assert_int_equal(gnutls_record_recv(r->client, buf, sizeof buf), GNUTLS_E_FATAL_ALERT_RECEIVED);
			assert_int_equal(gnutls_alert_get(r->client), GNUTLS_A_BAD_RECORD_MAC);
		}
		rig_free(r);
		if (connect_to(&hosts, BY_ID, "one.test", &session) != !rows[i].alert)
			fail_msg("row %zu", i);
		forget(&session);
	}
	tls_policy_free(p);
}

/* A policy that names files uses the seeds of its group, and no others. */
static void test_groups(void **state)
{
	struct tls_policy *own, *files;
	struct rig_hosts hosts;
	uint64_t group;

	(void)state;
	begin(true);                                    /* seed 1 of group 0 */
	own = rig_host(env, "one.test", "one.test", "");
	files = rig_host(env, "one.test", "one.test", "SSLSessionTicketKeyFile /new /old");
	group = tls_policy_ticket_group(files);
	assert_memory_equal(tls_policy_label(own), tls_policy_label(files), 32);
	for (unsigned i = 1; i < 3; i++) {
		gnutls_datum_t session = { 0 }, by_own = { 0 };

		/* none there: no ticket, and no failure */
		hosts = (struct rig_hosts){ .at = { { "one.test", files } }, .n = 1 };
		assert_null(tickets_seed(files, i == 2, (struct text){ 0 }));
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 0);
		assert_int_equal(session.data ? connect_to(&hosts, ways[i], "one.test", &session) : 0, i == 1);      /* a 1.2 client without a ticket has its ID */
		forget(&session);
		put_group_seed(20, group, -6, 86400);
		put_group_seed(21, group, -5, 86400);
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 0);
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 1);
		/* the other group does not open it, nor this one the other's */
		hosts.at[0].policy = own;
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &by_own), 0);
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &by_own), 1);
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 0);
		hosts.at[0].policy = files;
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &by_own), 0);
		forget(&session);
		forget(&by_own);
		/* the first of the list seals, the second opens what it sealed when it was the first */
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 0);
		put_group_seed(22, group, -4, 86400);
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &by_own), 0);
		assert_int_equal(shmcache_ticket_drop(cache, 22), 0);
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 1);
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &by_own), 0);
		for (uint64_t id = 20; id < 22; id++)
			assert_int_equal(shmcache_ticket_drop(cache, id), 0);
		forget(&session);
		forget(&by_own);
	}
	tls_policy_free(own);
	tls_policy_free(files);
}

/* Two machines with the same files, whose lists have other paths: each resumes what the other began; by ID neither does. */
static void test_fleet(void **state)
{
	gnutls_datum_t sessions[3] = { 0 };

	(void)state;
	for (int machine = 0; machine < 3; machine++) {
		struct tls_policy *p;
		struct rig_hosts hosts;

		begin(true);
		p = rig_host(env, "one.test", "one.test", machine ? "SSLSessionTicketKeyFile /other" : "SSLSessionTicketKeyFile /one");
		hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
		put_group_seed(machine == 2 ? 41 : 40, tls_policy_ticket_group(p), -5, 86400);
		for (unsigned i = 0; i < 3; i++)
			if (connect_to(&hosts, ways[i], "one.test", &sessions[i]) != (machine == 1 && i > 0))
				fail_msg("machine %d, %s", machine, ways[i]);
		tls_policy_free(p);
		tls_child_init(NULL, &settings);
		shmcache_unlink(cache);
		shmcache_close(cache);
		cache = NULL;
	}
	for (unsigned i = 0; i < 3; i++)
		forget(&sessions[i]);
}

/* A lock that is not had: the client notices nothing, the log has one line with what is known. */
static void test_waits_are_told(void **state)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 512 };
	struct log_settings level;
	struct tls_policy *p;
	struct rig_hosts hosts;
	char text[4096] = "";
	FILE *log = tmpfile();
	int fd;

	(void)state;
	begin(true);
	log_settings_init(&level, LOG_L_NOTICE);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = fileno(log), .plain = true }, &level);
	p = rig_host(env, "one.test", "one.test", "");
	hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
	fd = open(rig_path("lock"), O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	for (int i = 0; i < 3; i++) {
		gnutls_datum_t session = { 0 };
		assert_int_equal(connect_to(&hosts, BY_ID, "one.test", &session), 0);
		assert_int_equal(connect_to(&hosts, BY_ID, "one.test", &session), 0);
		forget(&session);
	}
	close(fd);
	assert_true(pread(fileno(log), text, sizeof text - 1, 0) > 0);
	assert_non_null(strstr(text, "a TLS session was not kept: the lock of shard 0"));
	assert_non_null(strstr(text, "MutexTimeout"));
	assert_null(strstr(strchr(text, '\n') + 1, "shard"));
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = 2, .plain = true }, &level);
	fclose(log);
	tls_policy_free(p);
}

/* Neither cache nor seeds: tickets still work within the process, with a seed of its own. */
static void test_without_segment(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	static const int by[3] = { 0, 1, 1 };

	(void)state;
	tls_child_init(NULL, &settings);
	for (unsigned i = 0; i < 3; i++) {
		gnutls_datum_t session = { 0 };
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), 0);
		assert_int_equal(connect_to(&hosts, ways[i], "one.test", &session), by[i]);
		forget(&session);
	}
	tls_policy_free(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_each_way), T(test_switched_off), T(test_other_policies), T(test_ticket_of_12_under_13), T(test_over_processes), T(test_timeout),
		T(test_change_of_seeds), T(test_clock_set),
		T(test_old_keys_are_wiped), T(test_number_of_tickets), T(test_fatal_alert_removes), T(test_groups), T(test_fleet), T(test_waits_are_told), T(test_without_segment),
	};
	int failed = cmocka_run_group_tests_name("tls/resume", tests, setup, rig_teardown);

	key_store_free(rig_keys);
	return failed;
}
