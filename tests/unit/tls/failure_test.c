/*
 * failure_test.c - GnuTLS's digests fail at each place where they are asked: what would be labelled or sealed with the
 * result must not come into being. The functions are this program's own, and call the library's.
 */
#include "rig.h"

#include <dlfcn.h>

#include "tls/session.h"

static int calls_left = -1;             /* the call after so many fails; -1 = none does */

static bool fails(void)
{
	return calls_left >= 0 && calls_left-- == 0;
}

int gnutls_hash_fast(gnutls_digest_algorithm_t algorithm, const void *text, size_t n, void *digest)
{
	int (*real)(gnutls_digest_algorithm_t, const void *, size_t, void *);

	*(void **)&real = dlsym(RTLD_NEXT, "gnutls_hash_fast");
	return fails() ? GNUTLS_E_LIB_IN_ERROR_STATE : real(algorithm, text, n, digest);
}

int gnutls_hmac_fast(gnutls_mac_algorithm_t algorithm, const void *key, size_t keylen, const void *text, size_t n, void *digest)
{
	int (*real)(gnutls_mac_algorithm_t, const void *, size_t, const void *, size_t, void *);

	*(void **)&real = dlsym(RTLD_NEXT, "gnutls_hmac_fast");
	return fails() ? GNUTLS_E_LIB_IN_ERROR_STATE : real(algorithm, key, keylen, text, n, digest);
}

static int setup(void **state)
{
	struct err e = { 0 };

	if (rig_setup(state) != 0 || tls_init(&e) != 0)
		return -1;
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	return 0;
}

/* Two hosts whose labels could not be made would have one label, and one's sessions would be resumed at the other. */
static void no_policy_without_its_label(void **state)
{
	char text[512];
	int failed = 0, result = -1;

	(void)state;
	snprintf(text, sizeof text, "SSLEngine on\nSSLCertificateFile %s/one.test.pem\nSSLCertificateKeyFile %s/one.test.key\n", rig_dir, rig_dir);
	for (int n = 0; result != 0; n++) {
		struct rig_env *env = rig_env_new();
		struct tls_policy *p = rig_read(env, text, NULL);

		calls_left = n;
		result = rig_finish(env, p, "one.test");
		if (calls_left < 0 && (result == 0 || env->errors != 1))
			fail_msg("call %d: result %d, said \"%s\"", n, result, env->said);
		failed += calls_left < 0;
		calls_left = -1;
		tls_policy_free(p);
		rig_env_free(env);
	}
	assert_true(failed >= 4);       /* the key's and the certificate's public parts, and two labels */
}

static void no_tickets_without_their_keys(void **state)
{
	static const struct tls_cache_settings settings = { .enabled = true, .timeout_s = 300 };
	struct rig_env *env = rig_env_new();
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	const gnutls_datum_t *seed = NULL;
	int failed = 0;

	(void)state;
	tls_child_init(NULL, &settings);
	for (int n = 0; !seed; n++) {
		calls_left = n;
		seed = tickets_seed(p, true, (struct text){ 0 });
		if (calls_left < 0 && seed)
			fail_msg("call %d", n);
		failed += calls_left < 0;
		calls_left = -1;
	}
	assert_int_equal(failed, 3);    /* the seed and two names */
	tls_policy_free(p);
	rig_env_free(env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_policy_without_its_label),
		cmocka_unit_test(no_tickets_without_their_keys),
	};
	int failed = cmocka_run_group_tests_name("tls/failure", tests, setup, rig_teardown);

	key_store_free(rig_keys);
	return failed;
}
