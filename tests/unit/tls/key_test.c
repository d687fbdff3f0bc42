/*
 * key_test.c - keys by a real keyholder process that speaks keyproto.h: whole handshakes, refusals, and keyholders that
 * are slow, gone, stopped, rude or replaced; the store's checks; encrypted keys.
 */
#include "rig.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "tls/keyproto.h"

static struct rig_env *env;
static struct arena *arena;
static const struct tls_cache_settings settings = { .enabled = true, .bytes = 65536, .timeout_s = 300 };
static int ends[2];                     /* [0] is the child's, [1] the keyholder's: the parent keeps both, as a master does */
static struct key_link link_of_child;   /* to ends[0] */

/* How the test's keyholder behaves. */
enum manner { HONEST, LATE_ANSWERS, LOSES_FIRST, RUDE, STARTS_LATE };

static void answer(struct key_store *store, int fd, const struct ipc_message *m, enum manner how, unsigned count)
{
	struct key_request q;
	unsigned char out[KEY_MAX_SIGNATURE];
	size_t n = 0;
	int32_t code;

	if (m->head.type != KEY_MSG_RUN || m->len < sizeof q)
		return;
	memcpy(&q, m->data, sizeof q);
	if (how == LOSES_FIRST && count == 0)
		return;
	if (how == LATE_ANSWERS)        /* answers to questions that nobody asks any more come first */
		for (uint32_t old = 1; old < 4; old++)
			ipc_send(fd, KEY_MSG_RESULT, m->head.id - old, "stale", 5, NULL, 0);
	if (how == RUDE) {
		ipc_send(fd, KEY_MSG_RESULT, m->head.id, NULL, 0, NULL, 0);
		return;
	}
	if (q.length != m->len - sizeof q)
		code = GNUTLS_E_INVALID_REQUEST;
	else
		code = key_store_run(store, q.key, (enum key_operation)q.operation, q.algorithm, m->data + sizeof q, q.length, out, sizeof out, &n);
	if (code < 0)
		ipc_send(fd, KEY_MSG_ERROR, m->head.id, &code, sizeof code, NULL, 0);
	else
		ipc_send(fd, KEY_MSG_RESULT, m->head.id, out, n, NULL, 0);
}

static pid_t keyholder(struct key_store *store, enum manner how)
{
	static struct ipc_message m;
	pid_t pid = fork();

	if (pid)
		return pid;
	close(ends[0]);
	if (how == STARTS_LATE)
		nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	for (unsigned count = 0; ipc_recv(ends[1], &m) == 1; count++)
		answer(store, ends[1], &m, how, count);
	_exit(0);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int setup(void **state)
{
	struct err e = { 0 };

	if (rig_setup(state) != 0 || tls_init(&e) != 0)
		return -1;
	tls_child_init(NULL, &settings);
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	rig_certificate("rsa.test", GNUTLS_PK_RSA, 2048);
	rig_certificate("ed.test", GNUTLS_PK_EDDSA_ED25519, 0);
	return 0;
}

static int each_setup(void **state)
{
	(void)state;
	env = rig_env_new();
	arena = arena_new(0);
	if (ipc_pair(ends) < 0)
		return -1;
	link_of_child = (struct key_link){ .fd = ends[0], .wake = -1 };
	return 0;
}

static int each_teardown(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	key_use(&key_ops_direct, rig_keys);
	rig_env_free(env);
	arena_free(arena);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum tls_result handshake(const struct tls_policy *p, const char *client, int *alert)
{
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	struct rig *r = rig_new(&hosts, client, "one.test");
	enum tls_result result = rig_run(r);

	if (result == TLS_DONE)
		rig_exchange(r);
	*alert = r->alert;
	rig_free(r);
	return result;
}

static void test_handshakes(void **state)
{
	static const struct { const char *cert, *more, *client; } rows[] = {
		{ "one.test", "", CLIENT13 }, { "one.test", "", CLIENT12 }, { "rsa.test", "", CLIENT13 }, { "rsa.test", "", CLIENT12 }, { "ed.test", "", CLIENT13 },
		{ "ed.test", "", CLIENT12 }, { "rsa.test", "SSLCipherSuite AES128-SHA", CLIENT12 ":+RSA" },
		{ "rsa.test", "SSLProtocol TLSv1.1", "NORMAL:-VERS-ALL:+VERS-TLS1.1" }, { "one.test", "SSLProtocol TLSv1.1", "NORMAL:-VERS-ALL:+VERS-TLS1.1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (enum manner how = HONEST; how <= LATE_ANSWERS; how++) {
			struct tls_policy *p = rig_host(env, "one.test", rows[i].cert, rows[i].more);
			pid_t pid = keyholder(rig_keys, how);
			int alert;
			key_use(&key_ops_keyholder, &link_of_child);
			if (handshake(p, rows[i].client, &alert) != TLS_DONE)
				fail_msg("row %zu, manner %d", i, how);
			end(pid);
			tls_policy_free(p);
		}
}

/* One that died with the question in its hands: its successor is asked again. */
static void test_lost_question(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	pid_t pid = keyholder(rig_keys, LOSES_FIRST);
	int64_t began = now_ms();
	int alert;

	(void)state;
	key_use(&key_ops_keyholder, &link_of_child);
	assert_int_equal(handshake(p, CLIENT13, &alert), TLS_DONE);
	assert_in_range(now_ms() - began, 1000, 4000);
	end(pid);
	/* None lives when the question is put: the next takes what waits in the socket. */
	pid = keyholder(rig_keys, STARTS_LATE);
	began = now_ms();
	assert_int_equal(handshake(p, CLIENT13, &alert), TLS_DONE);
	assert_in_range(now_ms() - began, 200, 1200);
	end(pid);
	tls_policy_free(p);
}

/* Told that its keyholder died, a child asks again at once; while it waits it complains. */
static void test_told_of_a_death(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct key_calls *calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = keyholder(rig_keys, LOSES_FIRST), teller;
	int64_t began = now_ms();
	int alert;

	(void)state;
	link_of_child.calls = calls;
	key_use(&key_ops_keyholder, &link_of_child);
	teller = fork();
	if (teller == 0) {
		nanosleep(&(struct timespec){ .tv_nsec = 400000000 }, NULL);
		atomic_fetch_add(&calls->deaths, 1);
		_exit(0);
	}
	assert_int_equal(handshake(p, CLIENT13, &alert), TLS_DONE);
	assert_in_range(now_ms() - began, 300, 1200);
	assert_in_range(atomic_load(&calls->complaints), 1, 4);
	waitpid(teller, NULL, 0);
	end(pid);
	munmap(calls, sizeof *calls);
	tls_policy_free(p);
}

static void test_nobody_there(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	pid_t pid = keyholder(rig_keys, HONEST);
	int64_t began;
	int alert;

	(void)state;
	key_use(&key_ops_keyholder, &link_of_child);
	kill(pid, SIGSTOP);
	began = now_ms();
	assert_int_equal(handshake(p, CLIENT13, &alert), TLS_FAILED);
	assert_int_equal(alert, GNUTLS_A_INTERNAL_ERROR);
	assert_in_range(now_ms() - began, KEY_TIMEOUT_MS - 500, KEY_TIMEOUT_MS + 1500);
	/* It comes back: its answers to what was given up do not confuse the next handshake. */
	kill(pid, SIGCONT);
	assert_int_equal(handshake(p, CLIENT13, &alert), TLS_DONE);
	assert_int_equal(handshake(p, CLIENT12, &alert), TLS_DONE);
	end(pid);
	/* Rude answers are failures of this handshake, nothing else. */
	pid = keyholder(rig_keys, RUDE);
	began = now_ms();
	assert_int_equal(handshake(p, CLIENT13, &alert), TLS_FAILED);
	assert_true(now_ms() - began < 1000);
	end(pid);
	/* Really gone, the other end closed: at once. */
	close(ends[1]);
	began = now_ms();
	assert_int_equal(handshake(p, CLIENT13, &alert), TLS_FAILED);
	assert_true(now_ms() - began < 1000);
	ends[1] = dup(ends[0]);
	tls_policy_free(p);
}

/* ------------------------------------------------------------------------------------------------ the store */

static struct key_store *store;
static struct key_ref refs[3];

static void load_store(void)
{
	static const char *const names[] = { "one.test.key", "rsa.test.key", "ed.test.key" };

	store = key_store_new();
	for (unsigned i = 0; i < 3; i++) {
		struct err e = { 0 };
		int fd = open(rig_path(names[i]), O_RDONLY);
		assert_int_equal(key_store_add(store, fd, names[i], &refs[i], &e), 0);
		assert_int_equal(refs[i].id, i);
		close(fd);
	}
	assert_int_equal(refs[1].bits, 2048);
}

static void test_store_checks(void **state)
{
	static const unsigned char info256[] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
	static unsigned char raw[51], bad_raw[51], tls13[64 + 34 + 32], tls12[64 + 4 + 32];
	static const unsigned char hash[64] = { 1, 2, 3 };
	const struct { uint32_t key; enum key_operation op; unsigned algorithm; const unsigned char *in; size_t n; bool good; } rows[] = {
		{ 0, KEY_SIGN_HASH, GNUTLS_SIGN_ECDSA_SHA256, hash, 32, true }, { 0, KEY_SIGN_HASH, GNUTLS_SIGN_ECDSA_SHA256, hash, 31, false },
		{ 0, KEY_SIGN_HASH, GNUTLS_SIGN_ECDSA_SHA384, hash, 48, true }, { 0, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_SHA256, hash, 32, false },
		{ 0, KEY_SIGN_HASH, GNUTLS_SIGN_DSA_SHA256, hash, 32, false }, { 0, KEY_SIGN_HASH, 0, hash, 32, false }, { 0, KEY_SIGN_HASH, 99999, hash, 32, false },
		{ 0, KEY_SIGN_DATA, GNUTLS_SIGN_ECDSA_SHA256, hash, 32, false }, { 0, KEY_DECRYPT, 0, hash, 64, false }, { 3, KEY_SIGN_HASH, GNUTLS_SIGN_ECDSA_SHA256, hash, 32, false },
		{ UINT32_MAX, KEY_SIGN_HASH, GNUTLS_SIGN_ECDSA_SHA256, hash, 32, false }, { 0, (enum key_operation)7, 0, hash, 32, false },
		{ 0, KEY_SIGN_HASH, GNUTLS_SIGN_ECDSA_SHA256, hash, 0, false },
		{ 1, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, hash, 32, true }, { 1, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, hash, 32, false },
		{ 1, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_RAW, raw, 51, true }, { 1, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_RAW, bad_raw, 51, false },
		{ 1, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_RAW, raw, 50, false }, { 1, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_RAW, hash, 36, true },
		{ 1, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_RAW, hash, 64, false }, { 0, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_RAW, raw, 51, false },
		{ 1, KEY_SIGN_HASH, GNUTLS_SIGN_RSA_MD5, hash, 16, false }, { 1, KEY_SIGN_HASH, GNUTLS_SIGN_ECDSA_SHA256, hash, 32, false },
		{ 1, KEY_DECRYPT, 0, hash, 64, false },
		{ 2, KEY_SIGN_DATA, GNUTLS_SIGN_EDDSA_ED25519, tls13, sizeof tls13, true }, { 2, KEY_SIGN_DATA, GNUTLS_SIGN_EDDSA_ED25519, tls12, sizeof tls12, true },
		{ 2, KEY_SIGN_DATA, GNUTLS_SIGN_EDDSA_ED25519, tls12, sizeof tls12 - 1, false }, { 2, KEY_SIGN_DATA, GNUTLS_SIGN_EDDSA_ED25519, hash, 64, false },
		{ 2, KEY_SIGN_DATA, GNUTLS_SIGN_EDDSA_ED448, tls13, sizeof tls13, false }, { 2, KEY_SIGN_HASH, GNUTLS_SIGN_EDDSA_ED25519, hash, 32, false },
	};
	unsigned char out[KEY_MAX_SIGNATURE];

	(void)state;
	load_store();
	memcpy(raw, info256, sizeof info256);
	memcpy(bad_raw, info256, sizeof info256);
	bad_raw[5] ^= 1;
	memset(tls13, ' ', 64);
	memcpy(tls13 + 64, "TLS 1.3, server CertificateVerify", 34);
	memcpy(tls12 + 64, "\3\0\x1d\x20", 4);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n = 0;
		int r = key_store_run(store, rows[i].key, rows[i].op, rows[i].algorithm, rows[i].in, rows[i].n, out, sizeof out, &n);
		if ((r == 0) != rows[i].good || (n > 0) != rows[i].good)
			fail_msg("row %zu: %d (%s), %zu bytes", i, r, gnutls_strerror(r), n);
		if (rows[i].good) {     /* an answer that has no room is an error */
			size_t none = 0;
			assert_true(key_store_run(store, rows[i].key, rows[i].op, rows[i].algorithm, rows[i].in, rows[i].n, out, 8, &none) < 0);
		}
	}
	key_store_free(store);
}

/* A padding that is wrong gives bytes as a right one does, and other ones each time. */
static void test_decrypt_is_no_oracle(void **state)
{
	unsigned char good[48], out[48], again[48], junk[256];
	gnutls_datum_t plain = { good, sizeof good }, sealed;
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	struct err e = { 0 };
	size_t n;
	int fd = open(rig_path("rsa.test.key"), O_RDONLY);

	(void)state;
	load_store();
	memset(good, 3, sizeof good);
	assert_int_equal(cert_key_load(&key, fd, "rsa.test.key", &e), 0);
	close(fd);
	gnutls_pubkey_init(&pub);
	gnutls_pubkey_import_privkey(pub, key, 0, 0);
	assert_int_equal(gnutls_pubkey_encrypt_data(pub, 0, &plain, &sealed), 0);
	assert_int_equal(key_store_run(store, 1, KEY_DECRYPT, 0, sealed.data, sealed.size, out, sizeof out, &n), 0);
	assert_int_equal(n, 48);
	assert_memory_equal(out, good, 48);
	memset(junk, 0x11, sizeof junk);
	assert_int_equal(key_store_run(store, 1, KEY_DECRYPT, 0, junk, sizeof junk, out, sizeof out, &n), 0);
	assert_int_equal(n, 48);
	assert_int_equal(key_store_run(store, 1, KEY_DECRYPT, 0, junk, sizeof junk, again, sizeof again, &n), 0);
	assert_memory_not_equal(out, again, 48);
	gnutls_free(sealed.data);
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(key);
	key_store_free(store);
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_handshakes), T(test_lost_question), T(test_told_of_a_death), T(test_nobody_there), T(test_store_checks), T(test_decrypt_is_no_oracle),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests_name("tls/key", tests, setup, rig_teardown);
	key_store_free(rig_keys);
	return failed;
}
