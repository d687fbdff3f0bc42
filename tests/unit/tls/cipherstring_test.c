/*
 * cipherstring_test.c - the words of cipher strings. Expected lists are what OpenSSL 3.0 gives for the same string, less
 * the suites that are not in our table (no PSK, no ARIA, no anonymous ones).
 */
#include "rig.h"

static char said[512];

static void say(void *ctx, const char *word, const char *why)
{
	(void)ctx;
	snprintf(said, sizeof said, "%s %s", word, why);
}

static const char *eval(const char *text, struct err *e)
{
	static char out[4096];
	struct suite_list list;
	struct buf b;

	buf_init(&b, out, sizeof out);
	said[0] = '\0';
	if (cipherstring_eval(text, &list, say, NULL, e) != 0)
		return "";
	for (unsigned i = 0; i < list.n; i++)
		buf_printf(&b, "%s%s", i ? ":" : "", list.at[i]->openssl);
	return out;
}

static void test_lists(void **state)
{
	static const struct { const char *text, *list; } rows[] = {
		{ "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256" },
		{ "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA" },
		{ "AES128-SHA:AES128-SHA:AES256-SHA", "AES128-SHA:AES256-SHA" },
		{ "RC4-SHA:AES128-SHA", "AES128-SHA" },
		{ "EXP-RC4-MD5:EDH-DSS-DES-CBC3-SHA:DES-CBC3-SHA:AES256-SHA", "AES256-SHA" },
		{ "AES256-SHA:ADH-AES128-SHA:AECDH", "AES256-SHA:ADH-AES128-SHA:AECDH-AES256-SHA:AECDH-AES128-SHA" },
		{ "AES256-SHA:aNULL:-HIGH:kRSA+SHA1+AES256", "AES256-SHA" }, { "AES256-SHA:aNULL:!aNULL", "AES256-SHA" },
		{ "EECDH+ECDSA+AESGCM EECDH+aRSA+AESGCM", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
		  "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256" },
		{ "ECDHE+CHACHA20,DHE+CHACHA20", "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-CHACHA20-POLY1305" },
		{ "kRSA+AESGCM:!AES256", "AES128-GCM-SHA256" },
		{ "AESGCM+kRSA:+AES256", "AES128-GCM-SHA256:AES256-GCM-SHA384" },
		{ "kRSA+AESGCM:-AES256:AES256-SHA:kRSA+AESGCM", "AES128-GCM-SHA256:AES256-SHA:AES256-GCM-SHA384" },
		{ "kRSA+AESGCM:!AES256:AES256-GCM-SHA384", "AES128-GCM-SHA256" },
		{ "AES128-SHA:AES256-SHA:@STRENGTH", "AES256-SHA:AES128-SHA" },
		{ "HIGH:-AES:-CAMELLIA:-CHACHA20:ECDHE+AESCCM8:@STRENGTH", "ECDHE-ECDSA-AES256-CCM8:ECDHE-ECDSA-AES128-CCM8" },
		{ "AES128-CCM8:AES128-CCM:@SECLEVEL=0", "AES128-CCM8:AES128-CCM" },
		{ "AES128-CCM8:AES128-CCM@SECLEVEL=0", "AES128-CCM8:AES128-CCM" }, { "AES128-SHA:AES256-SHA@STRENGTH@SECLEVEL=1", "AES256-SHA:AES128-SHA" },
		{ "kRSA+AES128:!CBC:!AESCCM", "AES128-GCM-SHA256" }, { "CBC+kRSA+AES+SHA256", "AES256-SHA256:AES128-SHA256" },
		{ "SSLv3+AES:!kRSA", "DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA" },
		{ "HIGH:!aNULL:!MD5:!AESGCM:!CAMELLIA:!AESCCM:!SHA1:!SHA256:!SHA384",
		  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-CHACHA20-POLY1305" },
		{ "HIGH:MEDIUM:!SSLv3:!kRSA:!SHA384:!SHA256:!CAMELLIA:!AESCCM:!DHE:!AES256", "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
		  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA" },
		{ "ALL:!ADH:!EXPORT56:RC4+RSA:+HIGH:+MEDIUM:+LOW:+SSLv2:+EXP:+eNULL:!CAMELLIA:!AESCCM:!AES256:!ECDHE:!DHE:!SHA256",
		  "AES128-GCM-SHA256:AES128-SHA" },
		{ "DEFAULT:!DHE:!kRSA:!SHA1:!SHA256:!SHA384:!AES256:!CHACHA20", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256" },
		{ "ECDH+AESGCM+AES128:ECDH+CHACHA20:!aRSA", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305" },
		{ "AES128-SHA+RSA:AES256-SHA+ECDSA:AES256-SHA256", "AES128-SHA:AES256-SHA256" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err e = { 0 };
		const char *list = eval(rows[i].text, &e);
		if (strcmp(list, rows[i].list))
			fail_msg("\"%s\" gives %s, not %s (%s)", rows[i].text, list, rows[i].list, e.text);
	}
}

static void test_refusals(void **state)
{
	static const struct { const char *text, *word; } rows[] = {
		{ "nonsense", "nonsense" }, { "HIGH:!nonsense", "nonsense" }, { "HIGH:!RC44", "RC44" }, { "eNULL", "eNULL" },
		{ "HIGH:@SECLEVEL=3", "@SECLEVEL=3" }, { "SUITEB128", "SUITEB128" }, { "HIGH:!", "without a word" }, { "HIGH:!AES:!CHACHA20:!CAMELLIA", "no suite" },
		{ "", "no suite" }, { "!aNULL", "no suite" }, { "RC4-SHA", "no suite" }, { "MEDIUM", "no suite" }, { "AES+", "AES+" }, { "HIGH:DEFAULT", "DEFAULT" },
		{ "TLS_AES_128_GCM_SHA256", "no suite" }, { "high", "high" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err e = { 0 };
		const char *list = eval(rows[i].text, &e);
		if (list[0] || !strstr(e.text, rows[i].word))
			fail_msg("\"%s\" gives \"%s\" and says \"%s\"", rows[i].text, list, e.text);
		assert_true(e.remedy[0] || strstr(e.text, "without a word"));
	}
}

static void test_words_that_name_tls13(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_string_equal(eval("TLS_AES_128_GCM_SHA256:AES128-SHA", &e), "AES128-SHA");
	assert_non_null(strstr(said, "TLS_AES_128_GCM_SHA256"));
}

static void test_tls13(void **state)
{
	struct suite_list list;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(cipherstring_eval13("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256", &list, &e), 0);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.at[0]->id, 0x1303);
	assert_int_equal(cipherstring_eval13(cipher_default13, &list, &e), 0);
	assert_int_equal(list.at[0]->id, 0x1301);
	assert_int_equal(cipherstring_eval13("AES128-SHA", &list, &e), -1);
	assert_int_equal(cipherstring_eval13(":", &list, NULL), -1);
}

static void test_defaults(void **state)
{
	struct err e = { 0 };
	const char *list = eval(cipher_default, &e);
	char both[2048];

	(void)state;
	assert_string_equal(list, cipher_default);              /* every name known, in that order */
	assert_int_equal(strncmp(list, "ECDHE-ECDSA-AES128-GCM-SHA256:", 30), 0);
	snprintf(both, sizeof both, "%s%s", cipher_default, cipher_default_old);
	assert_string_equal(eval(both, &e), both);
}

/* GnuTLS knows each suite by the number and under the words that we put into priorities. */
static void test_table_against_gnutls(void **state)
{
	(void)state;
	for (unsigned i = 0; i < suites_n; i++) {
		char text[256];
		gnutls_priority_t p;
		unsigned index, count = 0;
		const struct suite *s = &suites[i];
		const char *iana = NULL;
		snprintf(text, sizeof text, "NONE:+VERS-TLS1.2:+COMP-NULL:+CTYPE-X509:+SIGN-ALL:+GROUP-X25519:+%s:+%s:+%s", suite_gnutls_kx(s),
			 suite_gnutls_cipher(s), suite_gnutls_mac(s));
		if (gnutls_priority_init(&p, text, NULL) != 0)
			fail_msg("%s: %s", s->openssl, text);
		for (unsigned k = 0; gnutls_priority_get_cipher_suite_index(p, k, &index) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; k++) {
			unsigned char id[2];
			if (!gnutls_cipher_suite_info(index, id, NULL, NULL, NULL, NULL) || id[0] == 0x13)
				continue;       /* the suite of TLS 1.3 with the same cipher */
			if ((id[0] << 8 | id[1]) == s->id)
				iana = s->iana;
			count++;
		}
		gnutls_priority_deinit(p);
		if (!iana || count != 1)
			fail_msg("%s: %u suites by \"%s\"", s->openssl, count, text);
		assert_ptr_equal(suite_by_id(s->id), s);
		assert_ptr_equal(suite_by_name(text_of(s->iana)), s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists), cmocka_unit_test(test_refusals), cmocka_unit_test(test_words_that_name_tls13), cmocka_unit_test(test_tls13),
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_table_against_gnutls),
	};
	return cmocka_run_group_tests_name("tls/cipherstring", tests, NULL, NULL);
}
