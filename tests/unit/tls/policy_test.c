/*
 * policy_test.c - mod_ssl's directives: what is taken, told and refused; merging of hosts and sections; the order of
 * certificates and suites; labels.
 */
#include "rig.h"

#include "shmcache/shmcache.h"

static struct rig_env *env;

static int setup(void **state)
{
	if (rig_setup(state) != 0)
		return -1;
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	rig_certificate("rsa.test", GNUTLS_PK_RSA, 2048);
	return 0;
}

static int each_setup(void **state)
{
	(void)state;
	env = rig_env_new();
	return 0;
}

static int each_teardown(void **state)
{
	(void)state;
	rig_env_free(env);
	return 0;
}

static void test_directives(void **state)
{
	static const struct { const char *text; enum conf_severity worst; const char *words; } rows[] = {
#define SILENT (enum conf_severity)99
		{ "SSLEngine on", SILENT, NULL }, { "sslengine OFF", SILENT, NULL }, { "SSLEngine optional", CONF_ERROR, "RFC 2817" },
		{ "SSLEngine maybe", CONF_ERROR, "On or Off" },
		{ "SSLProtocol all", SILENT, NULL }, { "SSLProtocol all -SSLv3 -SSLv2 -TLSv1 -TLSv1.1", SILENT, NULL },
		{ "SSLProtocol -ALL +tlsv1.2 +TLSV1.3", SILENT, NULL }, { "SSLProtocol SSLv3", CONF_ERROR, "SSLv3" }, { "SSLProtocol all +SSLv2", CONF_ERROR, "SSLv2" },
		{ "SSLProtocol TLSv1.0", CONF_ERROR, "TLSv1.0" }, { "SSLProtocol -all", CONF_ERROR, "no protocol" }, { "SSLProtocol TLSv1", CONF_WARNING, "8996" },
		{ "SSLProtocol TLSv1.2 TLSv1.3", CONF_WARNING, "replaces" },
		{ "SSLCipherSuite HIGH:!aNULL", SILENT, NULL }, { "SSLCipherSuite HIGH:MEDIUM:!MD5:!RC4:!3DES", SILENT, NULL },
		{ "SSLCipherSuite SSL HIGH:!aNULL", SILENT, NULL }, { "SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384", SILENT, NULL },
		{ "SSLCipherSuite nonsense", CONF_ERROR, "nonsense" }, { "SSLCipherSuite TLSv1.3 HIGH", CONF_ERROR, "HIGH" }, { "SSLCipherSuite TLSv1.2 HIGH", CONF_ERROR, "TLSv1.2" },
		{ "SSLCipherSuite PROFILE=SYSTEM", CONF_NOTICE, "PROFILE=SYSTEM" }, { "SSLCipherSuite \"EECDH+ECDSA+AESGCM EECDH !RC4\"", SILENT, NULL },
		{ "SSLHonorCipherOrder on", SILENT, NULL }, { "SSLHonorCipherOrder 1", CONF_ERROR, "SSLHonorCipherOrder" },
		{ "SSLOpenSSLConfCmd Curves X25519:prime256v1:secp384r1", SILENT, NULL }, { "SSLOpenSSLConfCmd Groups X25519MLKEM768:X25519", CONF_WARNING, "X25519MLKEM768" },
		{ "SSLOpenSSLConfCmd Groups ffdhe2048:FFDHE8192", SILENT, NULL }, { "SSLOpenSSLConfCmd Groups ffdhe1024:X448", CONF_WARNING, "ffdhe1024" },
		{ "SSLOpenSSLConfCmd Groups sect571r1", CONF_ERROR, "no group" }, { "SSLOpenSSLConfCmd DHParameters x.pem", CONF_NOTICE, "7919" },
		{ "SSLOpenSSLConfCmd CipherString HIGH", SILENT, NULL }, { "SSLOpenSSLConfCmd CipherString nonsense", CONF_ERROR, "nonsense" },
		{ "SSLOpenSSLConfCmd Ciphersuites TLS_AES_128_GCM_SHA256", SILENT, NULL }, { "SSLOpenSSLConfCmd MinProtocol TLSv1.2", SILENT, NULL },
		{ "SSLOpenSSLConfCmd MinProtocol TLSv1", CONF_WARNING, "out of date" }, { "SSLOpenSSLConfCmd MaxProtocol TLSv9", CONF_ERROR, "TLSv9" },
		{ "SSLOpenSSLConfCmd Protocol -ALL,TLSv1.2", SILENT, NULL }, { "SSLOpenSSLConfCmd SignatureAlgorithms ECDSA+SHA256:rsa_pss_rsae_sha256:ed25519", SILENT, NULL },
		{ "SSLOpenSSLConfCmd SignatureAlgorithms ECDSA+SHA256:MAYO+1", CONF_WARNING, "MAYO+1" }, { "SSLOpenSSLConfCmd SignatureAlgorithms MAYO", CONF_ERROR, "leaves no" },
		{ "SSLOpenSSLConfCmd Options -SessionTicket,ServerPreference", SILENT, NULL }, { "SSLOpenSSLConfCmd Options -Compression", CONF_NOTICE, "Compression" },
		{ "SSLOpenSSLConfCmd Options Teapot", CONF_ERROR, "Teapot" }, { "SSLOpenSSLConfCmd Options UnsafeLegacyRenegotiation", CONF_ERROR, "5746" },
		{ "SSLOpenSSLConfCmd NumTickets 2", CONF_NOTICE, "NumTickets" }, { "SSLOpenSSLConfCmd VerifyMode Require", CONF_ERROR, "SSLVerifyClient" },
		{ "SSLOpenSSLConfCmd PrivateKey x.key", CONF_ERROR, "SSLCertificateKeyFile" }, { "SSLOpenSSLConfCmd Frobnicate on", CONF_ERROR, "Frobnicate" },
		{ "SSLPolicy modern", SILENT, NULL }, { "SSLPolicy old", CONF_WARNING, "TLS 1.0" }, { "SSLPolicy strange", CONF_ERROR, "strange" },
		{ "GnuTLSPriorities NORMAL", SILENT, NULL }, { "GnuTLSPriorities NORMAL:+NONSENSE", CONF_ERROR, "NONSENSE" }, { "GnuTLSPriorities NONE", CONF_ERROR, "" },
		{ "SSLVHostSNIPolicy secure", SILENT, NULL }, { "SSLVHostSNIPolicy insecure", CONF_WARNING, "write secure" }, { "SSLVHostSNIPolicy lax", CONF_ERROR, "lax" },
		{ "SSLLog logs/x", CONF_ERROR, "LogLevel ssl:info" }, { "SSLMute on", CONF_ERROR, "LogLevel" },
		{ "SSLFailureLines 5", SILENT, NULL }, { "SSLFailureLines many", CONF_ERROR, "many" },
		{ "SSLSessionCache none", SILENT, NULL }, { "SSLSessionCache nonenotnull", SILENT, NULL }, { "SSLSessionCache shmcb", SILENT, NULL },
		{ "SSLSessionCache shmcb:/run/x(512000)", SILENT, NULL }, { "SSLSessionCache \"shmcb:/run/a (b)/x(8192)\"", SILENT, NULL },
		{ "SSLSessionCache shmcb:/run/x(8191)", CONF_ERROR, "8191" }, { "SSLSessionCache shmcb:/run/x(99999999999)", CONF_ERROR, "99999999999" },
		{ "SSLSessionCache shmcb:/run/x(12k)", CONF_ERROR, "shmcb:NAME(12288)" }, { "SSLSessionCache shmcb:/run/x(", CONF_ERROR, "closing parenthesis" },
		{ "SSLSessionCache shmcb:x(64M)", CONF_ERROR, "without a unit; write: shmcb:NAME(67108864)" }, { "SSLSessionCache shmcb:x(1T)", CONF_ERROR, "write: shmcb:NAME(1073741824)" },
		{ "SSLSessionCache shmcb:x(512000", CONF_ERROR, "closing parenthesis" }, { "SSLSessionCache shmcb:x(99999999999G)", CONF_ERROR, "not a number of bytes" },
		{ "SSLSessionCache default", SILENT, NULL }, { "SSLSessionCache default:/run/x(65536)", SILENT, NULL },
		{ "SSLSessionCache shm:/run/x(65536)", SILENT, NULL }, { "SSLSessionCache shmcb:/run/x", SILENT, NULL }, { "SSLSessionCache shmcb:/run/x(-1)", CONF_ERROR, "-1" },
		{ "SSLSessionCache shmcb:/run/x()", CONF_ERROR, "size" }, { "SSLSessionCache shmcb:/run/x(512000)x", CONF_ERROR, "size" },
		{ "SSLSessionCache dbm:/run/x", CONF_WARNING, "shared memory" }, { "SSLSessionCache dc:UNIX:/x", CONF_ERROR, "SSLSessionTicketKeyFile" },
		{ "SSLSessionCache distcache:x", CONF_ERROR, "distcache" }, { "SSLSessionCache memcache:h:1", CONF_ERROR, "shmcb" },
		{ "SSLSessionCache redis:h:1", CONF_ERROR, "one machine" }, { "SSLSessionCache paper:/x", CONF_ERROR, "\"paper\"" },
		{ "SSLSessionCacheTimeout 77", SILENT, NULL }, { "SSLSessionCacheTimeout 0", CONF_WARNING, "1 is taken" },
		{ "SSLSessionCacheTimeout 9999999", CONF_WARNING, "604800 is taken" }, { "SSLSessionCacheTimeout soon", CONF_ERROR, "soon" },
		{ "SSLSessionCacheTimeout -1", CONF_ERROR, "-1" },
		{ "Mutex default", SILENT, NULL }, { "Mutex yes default", SILENT, NULL }, { "Mutex file:/run/lock default", SILENT, NULL },
		{ "Mutex fcntl:/run ssl-cache OmitPID", SILENT, NULL }, { "Mutex flock:/run", SILENT, NULL }, { "Mutex default:/run", CONF_ERROR, "no path" },
		{ "Mutex pthread", CONF_WARNING, "locked for ever" }, { "Mutex pthread:/run", CONF_ERROR, "no path" },
		{ "Mutex posixsem ssl-cache", CONF_WARNING, "posixsem" }, { "Mutex sysvsem", CONF_WARNING, "lockfile is used" }, { "Mutex none", CONF_ERROR, "damaged" },
		{ "Mutex no", CONF_ERROR, "write: Mutex default" }, { "Mutex nonsense", CONF_ERROR, "Mutex" }, { "Mutex default nonsense", CONF_ERROR, "nonsense" },
		{ "Mutex sem mpm-accept", CONF_WARNING, "sem" }, { "Mutex default rewrite-map watchdog-callback ldap-cache", SILENT, NULL },
		{ "SSLMutex file:logs/ssl_mutex", CONF_NOTICE, "Mutex file:DIR" }, { "SSLMutex default", SILENT, NULL }, { "SSLMutex none", CONF_ERROR, "damaged" },
		{ "SSLMutex sem", CONF_WARNING, "write: Mutex default" },
		{ "MutexTimeout 100ms", SILENT, NULL }, { "MutexTimeout 1h", CONF_ERROR, "MutexTimeout" }, { "MutexTimeout 50", CONF_ERROR, "50ms" },
		{ "SSLRandomSeed startup builtin", SILENT, NULL }, { "SSLRandomSeed connect file:/dev/urandom 512", SILENT, NULL }, { "SSLRandomSeed never builtin", CONF_ERROR, "never" },
		{ "SSLRandomSeed startup exec:/bin/x", CONF_NOTICE, "/bin/x" }, { "SSLRandomSeed startup builtin much", CONF_ERROR, "much" },
		{ "SSLRandomSeed startup nonsense", CONF_ERROR, "nonsense" },
		{ "SSLPassPhraseDialog builtin", SILENT, NULL }, { "SSLPassPhraseDialog exec:/bin/x", SILENT, NULL }, { "SSLPassPhraseDialog |/bin/x", SILENT, NULL }, { "SSLPassPhraseDialog exec:", CONF_ERROR, "exec:" }, { "SSLPassPhraseDialog ask", CONF_ERROR, "ask" },
		{ "SSLCompression off", SILENT, NULL }, { "SSLCompression on", CONF_ERROR, "CRIME" }, { "SSLFIPS on", CONF_ERROR, "FIPS" }, { "SSLFIPS off", SILENT, NULL },
		{ "SSLInsecureRenegotiation off", SILENT, NULL }, { "SSLInsecureRenegotiation on", CONF_ERROR, "5746" },
		{ "SSLCryptoDevice builtin", SILENT, NULL }, { "SSLCryptoDevice pkcs11", CONF_ERROR, "pkcs11" },
		{ "SSLVerifyClient none", SILENT, NULL }, { "SSLVerifyClient require", SILENT, NULL },
		{ "SSLVerifyClient OPTIONAL", SILENT, NULL }, { "SSLVerifyClient optional_no_ca", SILENT, NULL },
		{ "SSLVerifyClient sometimes", CONF_ERROR, "sometimes" }, { "SSLVerifyDepth 3", SILENT, NULL }, { "SSLVerifyDepth deep", CONF_ERROR, "deep" },
		{ "SSLVerifyDepth 101", CONF_ERROR, "101" }, { "SSLCARevocationCheck leaf", SILENT, NULL }, { "SSLCARevocationCheck Chain no_crl_for_cert_ok", SILENT, NULL },
		{ "SSLCARevocationCheck all", CONF_ERROR, "all" }, { "SSLCARevocationCheck leaf always", CONF_ERROR, "always" }, { "SSLOCSPEnable off", SILENT, NULL },
		{ "SSLOCSPEnable on", SILENT, NULL }, { "SSLOCSPEnable maybe", CONF_ERROR, "maybe" }, { "SSLRenegBufferSize 1", SILENT, NULL }, { "SSLRenegBufferSize -1", CONF_ERROR, "SSLRenegBufferSize" },
		{ "SSLCACertificateFile /etc/passwd", SILENT, NULL }, { "SSLCARevocationPath /etc", SILENT, NULL }, { "SSLCADNRequestPath /none", CONF_ERROR, "there is no /none" }, { "SSLUseStapling on", SILENT, NULL }, { "SSLUseStapling off", SILENT, NULL },
		{ "SSLStaplingCache shmcb:x(32768)", CONF_NOTICE, "not needed" }, { "SSLStaplingForceURL http://x/y", SILENT, NULL },
		{ "SSLStaplingForceURL https://x", CONF_ERROR, "http://" }, { "SSLStaplingResponderTimeout 3", SILENT, NULL }, { "SSLStaplingResponderTimeout 0", CONF_ERROR, "0" },
		{ "SSLStaplingResponseMaxAge -1", SILENT, NULL }, { "SSLStaplingResponseMaxAge -2", CONF_ERROR, "-2" }, { "SSLStaplingStandardCacheTimeout 5h", SILENT, NULL },
		{ "SSLStaplingErrorCacheTimeout soon", CONF_ERROR, "soon" }, { "SSLStaplingResponseTimeSkew 0", SILENT, NULL }, { "SSLStaplingFakeTryLater off", SILENT, NULL },
		{ "SSLStaplingReturnResponderErrors off", SILENT, NULL }, { "SSLStaplingReturnResponderErrors maybe", CONF_ERROR, "maybe" },
		{ "SSLSessionTicketKeyFile /x", SILENT, NULL }, { "SSLSessionTicketKeyFile a b c\nSSLSessionTicketKeyFile d", SILENT, NULL },
		{ "SSLSessionTicketKeyFile /x\nSSLSessionTicketKeyFile /y /x", CONF_WARNING, "line 2: SSLSessionTicketKeyFile: /x is named twice" },
		{ "SSLSessionTicketKeyFile a b c d e f g h", SILENT, NULL }, { "SSLSessionTicketKeyFile a b c d e f g h i", CONF_ERROR, "more than 8" },
		{ "SSLTicketKeyLifetime 12h", SILENT, NULL }, { "SSLTicketKeyLifetime 60", SILENT, NULL }, { "SSLTicketKeyLifetime 59", CONF_ERROR, "out of range" },
		{ "SSLTicketKeyLifetime 168h", SILENT, NULL }, { "SSLTicketKeyLifetime 604801", CONF_ERROR, "out of range" }, { "SSLTicketKeyLifetime daily", CONF_ERROR, "daily" },
		{ "SSLEarlyData off", SILENT, NULL }, { "SSLEarlyData on", CONF_ERROR, "replayed" },

		{ "SSLRequire %{X} eq \"y\"", CONF_ERROR, "Require" }, { "SSLUserName SSL_CLIENT_S_DN_CN", SILENT, NULL }, { "SSLUserName joe", CONF_ERROR, "joe" }, { "SSLUserName SSL_SRP_USER", CONF_WARNING, "SSL_SRP_USER" },
		{ "SSLUserName SSL_CLIENT_S_DN_OU_1", SILENT, NULL }, { "SSLUserName SSL_CLIENT_S_DN_XY", CONF_WARNING, "XY" }, { "SSLUserName SSL_CLIENT_SAN_Email_0", SILENT, NULL },
		{ "SSLUserName SSL_CLIENT_SAN_Email", CONF_WARNING, "SAN_Email" }, { "SSLUserName SSL_SERVER_CERT_CHAIN_0", CONF_WARNING, "CHAIN" },
		{ "SSLOptions +StdEnvVars -ExportCertData", SILENT, NULL }, { "SSLOptions +Nonsense", CONF_ERROR, "Nonsense" },
		{ "SSLStrictSNIVHostCheck on", SILENT, NULL }, { "SSLSessionTickets off", SILENT, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig_env *r = rig_env_new();
		enum conf_severity worst;
		rig_read(r, rows[i].text, NULL);
		worst = r->errors ? CONF_ERROR : r->warnings ? CONF_WARNING : r->notices ? CONF_NOTICE : SILENT;
		if (worst != rows[i].worst || (rows[i].words && !strstr(r->said, rows[i].words)))
			fail_msg("%s: said \"%s\"", rows[i].text, r->said);
		rig_env_free(r);
	}
}

static void test_table(void **state)
{
	(void)state;
	for (const struct conf_directive *d = tls_directives; d->name; d++) {
		assert_true(d->help && d->set && d->contexts);
		for (const struct conf_directive *other = tls_directives; other != d; other++)
			assert_string_not_equal(d->name, other->name);
	}
}

static void test_cache_settings(void **state)
{
	const struct tls_cache_settings *c;

	(void)state;
	c = tls_cache_settings(rig_read(env, "", NULL));
	assert_true(c->enabled && c->bytes == TLS_CACHE_DEFAULT && c->timeout_s == 300 && c->mutex_timeout_ms == 50 && !c->mutex_dir && !c->mutex_file);
	assert_true(c->ticket_lifetime_ms == 86400000 && c->mutex_kind == TLS_MUTEX_OFD && !c->pos.file);
	c = tls_cache_settings(rig_read(env, "SSLSessionCache shmcb:run/c(65536)\nSSLSessionCacheTimeout 77\nMutex flock:locks ssl-cache\nMutex file:/other default\nMutexTimeout 2", NULL));
	assert_true(c->bytes == 65536 && c->timeout_s == 77 && c->mutex_kind == TLS_MUTEX_FLOCK && c->mutex_timeout_ms == 2000);
	assert_string_equal(c->mutex_dir, "/srv/locks");
	assert_int_equal(c->pos.line, 1);
	assert_int_equal(c->mutex_pos.line, 3);
	c = tls_cache_settings(rig_read(env, "Mutex pthread default\nSSLTicketKeyLifetime 2h", NULL));
	assert_true(c->mutex_kind == TLS_MUTEX_ROBUST && c->ticket_lifetime_ms == 7200000);
	c = tls_cache_settings(rig_read(env, "Mutex file:/a ssl-stapling\nSSLMutex file:logs/m\nSSLSessionCache none", NULL));
	assert_true(!c->mutex_dir && !c->enabled);
	assert_string_equal(c->mutex_file, "/srv/logs/m");
}

/* Of several lines the last one counts, whole. */
static void test_cache_lines(void **state)
{
	static const struct { const char *text; bool enabled; size_t bytes; } rows[] = {
		{ "SSLSessionCache shmcb", true, 512000 }, { "SSLSessionCache shmcb:x", true, 512000 }, { "SSLSessionCache shm:x(65536)", true, 65536 },
		{ "SSLSessionCache default", true, 512000 }, { "SSLSessionCache default:x(65536)", true, 65536 },
		{ "SSLSessionCache shmcb:x(65536)\nSSLSessionCache none", false, 65536 }, { "SSLSessionCache none\nSSLSessionCache shmcb:x(65536)", true, 65536 },
		{ "SSLSessionCache shmcb:x(65536)\nSSLSessionCache shmcb:x", true, 512000 }, { "SSLSessionCache nonenotnull", false, TLS_CACHE_DEFAULT },
		{ "SSLSessionCache shmcb:x(65536)\nSSLSessionCache dbm:x", true, TLS_CACHE_DEFAULT },
		{ "SSLSessionCache shmcb:x(65536)\nSSLSessionCache nonenotnull\nSSLSessionCache shmcb:y(131072)", true, 131072 },
	};
	struct shmcache_plan plan;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct tls_cache_settings *c = tls_cache_settings(rig_read(env, rows[i].text, NULL));
		if (c->enabled != rows[i].enabled || c->bytes != rows[i].bytes)
			fail_msg("%s: %d %zu", rows[i].text, c->enabled, c->bytes);
	}
	assert_int_equal(shmcache_plan(TLS_CACHE_DEFAULT, 0, &plan, NULL), 0);
	assert_in_range(plan.sessions, 20000, 21000);
}

/* Where the lockfile cannot lie; the last folder of a path may be missing. */
static void test_mutex_place(void **state)
{
	static const struct { const char *text; const char *said[3]; } rows[] = {
		{ "Mutex default", { NULL } }, { "Mutex file:$", { NULL } }, { "Mutex file:$/new", { NULL } }, { "Mutex file:$/absent/new", { "line 1", "does not exist", "mkdir -p" } },
		{ "Mutex flock:$/one.test.pem ssl-cache", { "line 1", "not a folder", "Mutex default" } }, { "Mutex file:$/a/b mpm-accept", { NULL } },
		{ "Mutex file:$/a/b default\nMutex file:$ ssl-cache", { NULL } }, { "SSLMutex file:$/lock", { NULL } }, { "SSLMutex file:$/new/lock", { NULL } },
		{ "\nSSLMutex file:$/absent/new/lock", { "line 2", "does not exist", "mkdir -p" } },
		{ "SSLMutex file:$", { "line 1", "is a folder", "Mutex file:" } }, { "Mutex file:$/${NO_SUCH_VARIABLE} default", { "line 1", "not defined", "bulkheadctl" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig_env *r = rig_env_new();
		char text[512];
		struct buf b;
		struct tls_policy *p;
		int want = rows[i].said[0] ? -1 : 0;

		buf_init(&b, text, sizeof text);
		for (const char *s = rows[i].text; *s; s++)
			*s == '$' && s[1] != '{' ? buf_puts(&b, rig_dir) : buf_putc(&b, *s);
		p = rig_read(r, text, NULL);
		if (tls_module.finish_host(&r->env, p, "one.test") != want || (r->errors != 0) != (want != 0))
			fail_msg("%s: said \"%s\"", text, r->said);
		for (int k = 0; k < 3; k++)
			if (rows[i].said[k] && !strstr(r->said, rows[i].said[k]))
				fail_msg("%s: \"%s\" lacks %s", text, r->said, rows[i].said[k]);
		/* Of the main server alone: hosts have its settings. */
		assert_int_equal(tls_module.finish_host(&r->env, tls_module.merge_host(&r->env, p, rig_read(r, "", NULL)), "two.test"), 0);
		rig_env_free(r);
	}
}

/* Files for ticket keys: a host's own list replaces the main server's; the list's paths name the group. */
static void test_ticket_files(void **state)
{
	struct tls_ticket_file files[TLS_MAX_TICKET_FILES];
	struct tls_policy *base, *p, *again;

	(void)state;
	base = rig_read(env, "SSLEngine on\nSSLSessionTicketKeyFile new.key /old.key\nSSLSessionTicketKeyFile older.key", NULL);
	assert_int_equal(tls_policy_ticket_files(base, files), 3);
	assert_string_equal(files[0].path, "/srv/new.key");
	assert_string_equal(files[1].path, "/old.key");
	assert_int_equal(files[1].pos.line, 2);
	assert_string_equal(files[2].path, "/srv/older.key");
	assert_int_equal(files[2].pos.line, 3);
	assert_true(tls_policy_ticket_group(base) != 0);
	p = tls_module.merge_host(&env->env, base, rig_read(env, "", NULL));
	assert_int_equal(tls_policy_ticket_files(p, files), 3);
	assert_true(tls_policy_ticket_group(p) == tls_policy_ticket_group(base));
	p = tls_module.merge_host(&env->env, base, rig_read(env, "SSLSessionTicketKeyFile /own.key", NULL));
	assert_int_equal(tls_policy_ticket_files(p, files), 1);
	assert_string_equal(files[0].path, "/own.key");
	assert_true(tls_policy_ticket_group(p) != tls_policy_ticket_group(base));
	again = rig_read(env, "SSLSessionTicketKeyFile /own.key", NULL);
	assert_true(tls_policy_ticket_group(p) == tls_policy_ticket_group(again));
	again = rig_read(env, "SSLSessionTicketKeyFile /a /b", NULL);
	assert_true(tls_policy_ticket_group(rig_read(env, "SSLSessionTicketKeyFile /b /a", NULL)) != tls_policy_ticket_group(again));
	assert_true(tls_policy_ticket_group(rig_read(env, "", NULL)) == 0);
	/* nothing to read where no ticket is sealed */
	assert_int_equal(tls_policy_ticket_files(tls_module.merge_host(&env->env, base, rig_read(env, "SSLSessionTickets off", NULL)), files), 0);
	assert_int_equal(tls_policy_ticket_files(tls_module.merge_host(&env->env, base, rig_read(env, "SSLEngine off", NULL)), files), 0);
}

static void test_merging(void **state)
{
	struct tls_policy *base, *over, *p;
	struct tls_key_file keys[TLS_MAX_KEYS];

	(void)state;
	base = rig_read(env, "SSLEngine on\nSSLCertificateFile /a.pem\nSSLCertificateKeyFile /a.key\nSSLCipherSuite AES128-SHA\nSSLHonorCipherOrder on\n"
			"SSLProtocol TLSv1.2\nSSLSessionTickets off\nSSLStrictSNIVHostCheck on\nSSLSessionCache shmcb:x(65536)", NULL);
	over = rig_read(env, "", NULL);
	assert_false(tls_policy_decided(over));
	p = tls_module.merge_host(&env->env, base, over);
	assert_true(tls_policy_enabled(p) && tls_policy_decided(p) && tls_policy_strict_sni(p) && p->tickets == 0 && p->protocols == PROTO_TLS12);
	assert_string_equal(p->ciphers, "AES128-SHA");
	assert_int_equal(tls_policy_keys(p, keys), 1);
	assert_string_equal(keys[0].path, "/a.key");
	assert_int_equal(tls_cache_settings(p)->bytes, 65536);
	/* A host's own certificates come with its own keys. */
	p = tls_module.merge_host(&env->env, base, rig_read(env, "SSLCertificateFile /b.pem", NULL));
	assert_int_equal(tls_policy_keys(p, keys), 1);
	assert_string_equal(keys[0].path, "/b.pem");
	assert_string_equal(keys[0].certificate, "/b.pem");
	p = tls_module.merge_host(&env->env, base, rig_read(env, "SSLCertificateKeyFile /c.key", NULL));
	assert_int_equal(tls_policy_keys(p, keys), 1);
	assert_string_equal(keys[0].path, "/c.key");
	assert_string_equal(keys[0].certificate, "/a.pem");
	p = tls_module.merge_host(&env->env, base, rig_read(env, "SSLEngine off\nSSLSessionTickets on\nSSLHonorCipherOrder off", NULL));
	assert_true(!tls_policy_enabled(p) && p->tickets == 1 && !tls_policy_own_order(p));
	assert_int_equal(tls_policy_keys(p, keys), 0);
	/* Whose order counts: ours while the list is ours. */
	assert_true(tls_policy_own_order(rig_read(env, "", NULL)));
	assert_false(tls_policy_own_order(rig_read(env, "SSLCipherSuite HIGH", NULL)));
	assert_true(tls_policy_own_order(rig_read(env, "SSLCipherSuite HIGH\nSSLHonorCipherOrder on", NULL)));
	over = rig_read(env, "", NULL);
	tls_policy_enable(over);
	assert_true(tls_policy_enabled(over));
}

static void test_options(void **state)
{
	static const struct { const char *base, *over; unsigned bits; } rows[] = {
		{ "", "", 0 }, { "SSLOptions +StdEnvVars", "", TLS_OPT_STDENVVARS }, { "SSLOptions StdEnvVars StrictRequire", "", TLS_OPT_STDENVVARS | TLS_OPT_STRICTREQUIRE },
		{ "SSLOptions +StdEnvVars", "SSLOptions +ExportCertData", TLS_OPT_STDENVVARS | TLS_OPT_EXPORTCERTDATA },
		{ "SSLOptions +StdEnvVars", "SSLOptions ExportCertData", TLS_OPT_EXPORTCERTDATA },
		{ "SSLOptions +StdEnvVars +FakeBasicAuth", "SSLOptions -stdenvvars", TLS_OPT_FAKEBASICAUTH },
		{ "SSLOptions StdEnvVars\nSSLOptions +OptRenegotiate", "", TLS_OPT_STDENVVARS | TLS_OPT_OPTRENEGOTIATE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		void *base, *over;
		rig_read(env, rows[i].base, &base);
		rig_read(env, rows[i].over, &over);
		assert_int_equal(tls_section_options(tls_module.merge_section(&env->env, base, over)), rows[i].bits);
	}
	assert_int_equal(tls_section_options(NULL), 0);
}

/* ------------------------------------------------------------------------------------------------ completing */

static void test_order_and_summary(void **state)
{
	struct tls_policy *p;

	(void)state;
	p = rig_host(env, "one.test", "rsa.test one.test", "");
	assert_int_equal(p->n, 2);
	assert_int_equal(p->at[0].algorithm, GNUTLS_PK_ECDSA);
	assert_int_equal(p->at[0].curve, 23);
	assert_int_equal(p->at[1].algorithm, GNUTLS_PK_RSA);
	assert_int_equal(strncmp(tls_policy_summary(p, &env->env), "TLSv1.2 TLSv1.3 TLS_AES_128_GCM_SHA256:", 39), 0);
	assert_non_null(strstr(tls_policy_summary(p, &env->env), ":ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"));
	tls_policy_free(p);
	p = rig_host(env, "one.test", "one.test", "SSLProtocol TLSv1.2");
	assert_null(strstr(tls_policy_summary(p, &env->env), "RSA"));
	tls_policy_free(p);
	tls_policy_free(p);                             /* may be repeated */
	assert_string_equal(tls_policy_summary(rig_read(env, "", NULL), &env->env), "off");
}

/* The label is made of values; what may pass for each other has equal rules. */
static void test_labels(void **state)
{
	static const struct { const char *name, *more; bool same, covers; } rows[] = {
		{ "one.test", "", true, true }, { "two.test", "", false, true }, { "one.test", "SSLProtocol TLSv1.3", false, false },
		{ "one.test", "SSLCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384", false, false }, { "one.test", "SSLSessionTickets off", true, true },
		{ "one.test", "SSLProtocol TLSv1.3 +TLSv1.2", true, true },
	};
	struct tls_policy *first = rig_host(env, "one.test", "one.test", ""), *off = rig_read(env, "", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_policy *p = rig_host(env, rows[i].name, "one.test", rows[i].more);
		assert_int_equal(memcmp(tls_policy_label(first), tls_policy_label(p), 32) == 0, rows[i].same);
		assert_int_equal(tls_policy_covers(first, p), rows[i].covers);
		tls_policy_free(p);
	}
	assert_false(tls_policy_covers(first, off));
	assert_true(tls_policy_covers(first, first));
	tls_policy_free(first);
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_directives), T(test_table), T(test_cache_settings), T(test_cache_lines), T(test_mutex_place), T(test_ticket_files), T(test_merging), T(test_options), T(test_order_and_summary), T(test_labels),
	};
	int failed = cmocka_run_group_tests_name("tls/policy", tests, setup, rig_teardown);

	key_store_free(rig_keys);
	return failed;
}
