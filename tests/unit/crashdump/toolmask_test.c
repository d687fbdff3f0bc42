/*
 * toolmask_test.c - what of configurations and logs may be seen in a bundle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "crashdump/tool/mask.c"
#include "crashdump/tool/maskconf.c"

#define H TOOLMASK_HIDDEN

struct row { const char *in, *out; };

static unsigned compare(const struct row *rows, size_t count, void (*mask)(const char *, size_t, struct toolmask_text *))
{
	unsigned bad = 0;

	for (size_t i = 0; i < count; i++) {
		struct toolmask_text t = { .text = NULL };
		/* exactly as large as the text, so that a byte read behind it is seen */
		size_t n = strlen(rows[i].in);
		char *copy = malloc(n ? n : 1);

		memcpy(copy, rows[i].in, n);
		mask(copy, n, &t);
		if (!t.text || strcmp(t.text, rows[i].out) != 0) {
			printf("of:       %s\nexpected: %s\ngot:      %s\n", rows[i].in, rows[i].out, t.text ? t.text : "nothing");
			bad++;
		}
		free(copy);
		free(t.text);
	}
	return bad;
}

static void test_config(void **state)
{
	static const struct row rows[] = {
		/* what is seen */
		{ "Listen 127.0.0.1:443 https\n", "Listen 127.0.0.1:443 https\n" },
		{ "\t<VirtualHost *:443>\n", "\t<VirtualHost *:443>\n" },
		{ "</VirtualHost>\n", "</VirtualHost>\n" },
		{ "SSLCertificateKeyFile \"/etc/ssl/private/site.key\"\n", "SSLCertificateKeyFile \"/etc/ssl/private/site.key\"\n" },
		{ "SSLCipherSuite ECDHE-RSA-AES128-GCM-SHA256:!kPSK:HIGH\n", "SSLCipherSuite ECDHE-RSA-AES128-GCM-SHA256:!kPSK:HIGH\n" },
		{ "AuthUserFile /etc/bulkhead/htpasswd\n", "AuthUserFile /etc/bulkhead/htpasswd\n" },
		{ "AuthType Basic\n", "AuthType Basic\n" },
		{ "Require user bob alice\n", "Require user bob alice\n" },
		{ "Require valid-user\n", "Require valid-user\n" },
		{ "LoadModule auth_basic_module modules/mod_auth_basic.so\n", "LoadModule auth_basic_module modules/mod_auth_basic.so\n" },
		{ "LogFormat \"%h %{Cookie}i \\\"%r\\\"\" x\n", "LogFormat \"%h %{Cookie}i \\\"%r\\\"\" x\n" },
		{ "LogLevel warn ssl:info auth_basic:debug authz:trace8\n", "LogLevel warn ssl:info auth_basic:debug authz:trace8\n" },
		{ "SSLOptions +StdEnvVars +FakeBasicAuth\n", "SSLOptions +StdEnvVars +FakeBasicAuth\n" },
		{ "RewriteRule ^/a/(.*)$ /b/$1 [R=301,L]\n", "RewriteRule ^/a/(.*)$ /b/$1 [R=301,L]\n" },
		{ "ProxyPass /app http://127.0.0.1:8080/app timeout=5\n", "ProxyPass /app http://127.0.0.1:8080/app timeout=5\n" },
		{ "Define docroot /srv/www\n", "Define docroot /srv/www\n" },
		{ "SetEnv FLAG on\n", "SetEnv FLAG on\n" },
		{ "RequestHeader set X-Cert \"%{SSL_CLIENT_CERT}s\"\n", "RequestHeader set X-Cert \"%{SSL_CLIENT_CERT}s\"\n" },
		{ "RequestHeader unset Authorization\n", "RequestHeader unset Authorization\n" },
		{ "BrowserMatch \"MSIE [2-6]\" nokeepalive ssl-unclean-shutdown\n", "BrowserMatch \"MSIE [2-6]\" nokeepalive ssl-unclean-shutdown\n" },
		{ "<If \"%{HTTP_HOST} == 'www.example.org'\">\n", "<If \"%{HTTP_HOST} == 'www.example.org'\">\n" },
		{ "ErrorLog \"/var/log/bulkhead/error.log\"\n", "ErrorLog \"/var/log/bulkhead/error.log\"\n" },
		{ "SSLPassPhraseDialog exec:/usr/local/sbin/phrase\n", "SSLPassPhraseDialog exec:/usr/local/sbin/phrase\n" },
		{ "SSLSessionCache \"shmcb:/run/x/cache(512000)\"\n", "SSLSessionCache \"shmcb:/run/x/cache(512000)\"\n" },
		{ "Alias /a \"/srv/my site\"\n", "Alias /a \"/srv/my site\"\n" },
		/* what is not */
		{ "# password: hunter2\n", "#\n" },
		{ "AuthLDAPBindPassword hunter2 more\n", "AuthLDAPBindPassword " H "\n" },
		{ "authldapbindpassword 'hunter2'\n", "authldapbindpassword " H "\n" },
		{ "SessionCryptoPassphrase \\\n  hunter2\n", "SessionCryptoPassphrase " H "\n\n" },
		{ "DBDParams \"host=x pass=hunter2\"\n", "DBDParams " H "\n" },
		{ "SetEnv DB_PASSWORD hunter2\n", "SetEnv DB_PASSWORD " H "\n" },
		{ "SetEnv DB hunter2\n", "SetEnv DB " H "\n" },
		{ "SetEnv DB \"/srv/ghp_0123456789abcdefABCD\"\n", "SetEnv DB " H "\n" },
		{ "Define x hunter2\n", "Define x " H "\n" },
		{ "Use Site example hunter2\n", "Use Site " H " " H "\n" },
		{ "RequestHeader set X-Api hunter2\n", "RequestHeader set X-Api " H "\n" },
		{ "RequestHeader set Authorization \"Basic dXNlcjpodW50ZXIy\"\n", "RequestHeader set Authorization " H "\n" },
		{ "Header set X-Api-Key hunter2\n", "Header set X-Api-Key " H "\n" },
		{ "Header set X \"Bearer hunter2hunter2\"\n", "Header set X \"Bearer " H "\"\n" },
		{ "SetEnvIf X-Gate ^hunter2$ in\n", "SetEnvIf X-Gate " H " in\n" },
		{ "SetEnvIf Request_URI ^/a who=hunter2\n", "SetEnvIf Request_URI ^/a who=" H "\n" },
		{ "<If \"%{HTTP:X-Gate} == 'hunter2'\">\n", "<If " H ">\n" },
		{ "RewriteCond %{QUERY_STRING} =hunter2\n", "RewriteCond " H "\n" },
		{ "RewriteCond %{HTTP_COOKIE} !hunter2\n", "RewriteCond " H "\n" },
		{ "Require expr \"req('X-Gate') == 'hunter2'\"\n", "Require " H "\n" },
		{ "ProxyPass / http://user:hunter2@10.0.0.1/\n", "ProxyPass / http://" H "@10.0.0.1/\n" },
		{ "Redirect /a https://x/?id=hunter2&b=1\n", "Redirect /a https://x/?" H "\n" },
		{ "ProxyPass / http://b/ secret=hunter2\n", "ProxyPass / http://b/ secret=" H "\n" },
		{ "ErrorLog \"|/usr/bin/send --token hunter2\"\n", "ErrorLog \"|/usr/bin/send " H "\"\n" },
		{ "CustomLog \"|/usr/bin/send -p hunter2\" common\n", "CustomLog \"|/usr/bin/send " H "\" common\n" },
		{ "SSLPassPhraseDialog \"exec:/sbin/pp hunter2\"\n", "SSLPassPhraseDialog \"exec:/sbin/pp " H "\"\n" },
		{ "SSLSRPUnknownUserSeed hunter2\n", "SSLSRPUnknownUserSeed " H "\n" },
		{ "AuthBasicFake bob hunter2\n", "AuthBasicFake " H "\n" },
		{ "bob:$apr1$xyz$0123456789\n", H "\n" },
		{ "bob:hunter2\n", H "\n" },
		{ "Foo \"$2y$05$abcdefgh\"\n", "Foo " H "\n" },
		{ "Foo 8f14e45fceea167a5a36dedd4bea2543\n", "Foo " H "\n" },
		{ "Foo 123e4567-e89b-12d3-a456-426614174000\n", "Foo " H "\n" },
		{ "Foo /a/8f14e45fceea167a5a36dedd4bea2543/b\n", "Foo /a/" H "/b\n" },
		{ "Foo 4111111111111111\n", "Foo " H "\n" },
		{ "a\n-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\nListen 1\n", "a\n" H "\n" H "\n" H "\nListen 1\n" },
		{ "SetEnv A \\", "SetEnv A\n" }, { "", NULL }, { "<", "<" H ">\n" }, { "\"", H "\n" }, { "\\\n", "\n" },
	};
	size_t count = sizeof rows / sizeof rows[0];
	struct toolmask_text t = { .text = NULL };
	struct row plain[sizeof rows / sizeof rows[0]];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < count; i++)
		if (rows[i].out)
			plain[n++] = rows[i];
	assert_int_equal(compare(plain, n, toolmask_config), 0);
	toolmask_config("", 0, &t);
	assert_null(t.text);
}

static void test_log(void **state)
{
	static const struct row rows[] = {
		{ "[Wed Nov 25 16:17:52.872 2026] [ssl:info] [pid 4242] BH0126: SIGSEGV in f (a.c:7)\n",
		  "[Wed Nov 25 16:17:52.872 2026] [ssl:info] [pid 4242] BH0126: SIGSEGV in f (a.c:7)\n" },
		{ "report /var/lib/bulkhead/crash/bulkhead-crash-20261125-161752-24474.txt; core core.1\n",
		  "report /var/lib/bulkhead/crash/bulkhead-crash-20261125-161752-24474.txt; core core.1\n" },
		{ "[auth_basic:error] x\n", "[auth_basic:error] x\n" },
		{ "SSLCertificateKeyFile: no such file\n", "SSLCertificateKeyFile: no such file\n" },
		{ "/etc/ssl/site.key: Permission denied\n", "/etc/ssl/site.key: Permission denied\n" },
		{ "at address 0x7f8a1af66eec\n", "at address 0x7f8a1af66eec\n" },
		{ "GET /a?hunter2 for x\n", "GET /a?" H " for x\n" },
		{ "\"GET /a?b=c&d=hunter2 HTTP/1.1\" 200\n", "\"GET /a?" H " HTTP/1.1\" 200\n" },
		{ "Authorization: Basic hunter2\n", "Authorization: " H "\n" },
		{ "field \"cookie: a=hunter2; b\" refused\n", "field \"cookie: " H "\" refused\n" },
		{ "sent Bearer hunter2hunter2, refused\n", "sent Bearer " H ", refused\n" },
		{ "{\"token\": \"hunter2\", \"a\":1}\n", "{\"token\": \"" H "\", \"a\":1}\n" },
		{ "password='hunter2 x' y\n", "password='" H "' y\n" },
		{ "to http://u:hunter2@b/c\n", "to http://" H "@b/c\n" },
		{ "hash $6$abc$def\n", H "\n" },
		{ "path /reset/8f14e45fceea167a5a36dedd4bea2543\n", "path /reset/" H "\n" },
		{ "a\x1b[2Jb\tc\n", "a\\x1b[2Jb c\n" },
		{ "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\nend", H "\n" H "\n" H "\nend\n" },
	};

	(void)state;
	assert_int_equal(compare(rows, sizeof rows / sizeof rows[0], toolmask_log), 0);
}

static void test_counts(void **state)
{
	struct toolmask_text t = { .text = NULL };
	static const char text[] = "Use A hunter2 hunter3\nAuthBasicFake a b\nListen 1\n";

	(void)state;
	toolmask_config(text, sizeof text - 1, &t);
	assert_int_equal(t.hidden, 3);
	free(t.text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config), cmocka_unit_test(test_log), cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
