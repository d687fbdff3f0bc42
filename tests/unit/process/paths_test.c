/*
 * paths_test.c - how far a configuration lets its children reach: what is bounded, to which folders and ports, and which lines
 * make that impossible.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/config.h"
#include "process/paths.h"

static char dir[64] = "/tmp/bulkhead-paths-XXXXXX";

static int make(void **state)
{
	static const char *const folders[] = { "a", "a/b", "a/c" };
	char path[128];
	FILE *f;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
		if (mkdir(path, 0755) < 0)
			return -1;
	}
	snprintf(path, sizeof path, "%s/link", dir);
	if (symlink("a", path) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/a/b/map", dir);
	f = fopen(path, "w");
	return f ? fclose(f) : -1;
}

static int clean(void **state)
{
	static const char *const names[] = { "link", "a/b/map", "a/c", "a/b", "a", "" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		if (i > 1 ? rmdir(path) : unlink(path))
			return -1;
	}
	return 0;
}

/* "@" is the folder. */
static void expand(char *to, size_t n, const char *text)
{
	size_t used = 0;

	for (; *text && used + sizeof dir < n; text++)
		if (*text == '@')
			used += (size_t)snprintf(to + used, n - used, "%s", dir);
		else
			to[used++] = *text;
	to[used] = 0;
}

static struct config *read_text(const char *text)
{
	static const char always[] = "Listen 1\nServerName x\nCoreDumpDirectory /tmp\n";
	char whole[4096], *end = stpcpy(whole, always);
	struct config *cfg;

	expand(end, sizeof whole - sizeof always, text);
	cfg = config_read(&(struct config_source){ .text = whole, .file = "/test.conf", .root = "/" });
	assert_non_null(cfg);
	for (const struct config_report *r = cfg->reports; r; r = r->next)
		if (r->severity == CONF_ERROR)
			print_error("%s", r->sentence);
	assert_int_equal(cfg->errors, 0);
	assert_non_null(cfg->paths);
	return cfg;
}

/* ------------------------------------------------------------------------------------------------ folders */

#define NO_LINKS "Options None\n"

static const struct file_row {
	const char *text, *why;         /* why NULL: bounded */
	unsigned line;                  /* behind the three that all have; 0 = no line */
	const char *folders;            /* of a bounded one, in order, each with a blank behind it */
} files[] = {
	{ "", "symbolic links are followed where no Options", 0, "" },
	{ "DocumentRoot @/a\n", "symbolic links are followed where no Options", 0, "" },
	{ NO_LINKS "DocumentRoot @/a\n", NULL, 0, "@ " },
	{ NO_LINKS "DocumentRoot @/a/\nAlias /x @/a/b\nScriptAlias /y \"@/a/c/\"\n", NULL, 0, "@ @/a " },
	{ NO_LINKS "DocumentRoot @/a/not/yet/there\n", NULL, 0, "@/a " },
	{ NO_LINKS "DocumentRoot /not-there/at/all\n", "lies in the root folder", 2, "" },
	{ NO_LINKS "DocumentRoot /usr\n", "lies in the root folder", 2, "" },
	{ NO_LINKS "DocumentRoot @/link\n", "is a symbolic link", 2, "" },
	{ NO_LINKS "DocumentRoot @/link/b\n", "is a symbolic link", 2, "" },
	{ "Options -FollowSymLinks\nDocumentRoot @/a\n", NULL, 0, "@ " },
	{ "<Directory />\nOptions None\n</Directory>\nDocumentRoot @/a\n", NULL, 0, "@ " },
	{ "<Directory \"/\">\nOptions Indexes\n</Directory>\nDocumentRoot @/a\n", NULL, 0, "@ " },
	{ "<Directory />\nOptions -Indexes\n</Directory>\nDocumentRoot @/a\n", "where no Options", 0, "" },
	{ "<Directory @/a>\nOptions None\n</Directory>\nDocumentRoot @/a\n", "where no Options", 0, "" },
	{ "<VirtualHost *>\nOptions None\n</VirtualHost>\n", "where no Options", 0, "" },
	{ NO_LINKS "<Directory @/a>\nOptions +FollowSymLinks\n</Directory>\n", "wherever they lead", 3, "" },
	{ NO_LINKS "<Directory @/a>\nOptions All\n</Directory>\n", "wherever they lead", 3, "" },
	{ NO_LINKS "<Location /x>\nOptions SymLinksIfOwnerMatch\n</Location>\n", "wherever they lead", 3, "" },
	{ NO_LINKS "<Directory @/a>\nAllowOverride None\n</Directory>\nDocumentRoot @/a\n", NULL, 0, "@ " },
	{ NO_LINKS "<Directory @/a>\nAllowOverride Limit Indexes\n</Directory>\nDocumentRoot @/a\n", NULL, 0, "@ " },
	{ NO_LINKS "<Directory @/a>\nAllowOverride AuthConfig\n</Directory>\n", "per-directory files", 3, "" },
	{ NO_LINKS "<Directory @/a>\nAllowOverride Limit All\n</Directory>\n", "per-directory files", 3, "" },
	{ NO_LINKS "<Directory @/a>\nAllowOverrideList AuthUserFile\n</Directory>\n", "per-directory files", 3, "" },
	{ NO_LINKS "UserDir public_html\n", "users' folders", 2, "" },
	{ NO_LINKS "UserDir disabled\nDocumentRoot @/a\n", NULL, 0, "@ " },
	{ NO_LINKS "VirtualDocumentRoot @/a/b/%0/docs\n", NULL, 0, "@/a " },
	{ NO_LINKS "AliasMatch ^/x/(.*) @/a/b/$1\n", NULL, 0, "@/a " },
	{ NO_LINKS "AliasMatch ^(.*) $1\n", "lies in the root folder", 2, "" },
	{ NO_LINKS "DocumentRoot @/a\n<Directory @/a>\nAuthUserFile @/a/b/users\n</Directory>\n", NULL, 0, "@ @/a/b " },
	{ NO_LINKS "RewriteMap m txt:@/a/b/map\nRewriteMap i int:tolower\n", NULL, 0, "@/a/b " },
	{ NO_LINKS "DocumentRoot @/a\nRewriteRule ^/x$ /index.php [L]\nRewriteRule ^/y - [F]\nRewriteRule ^/(.*) /not-there/$1\n", NULL, 0, "@ " },
	{ NO_LINKS "DocumentRoot @/a\nRewriteRule ^/(.*) https://x/$1 [R=301,L]\nRewriteRule ^/(.*) /$1/ [R]\nRewriteRule ^/(.*) /$1 [PT]\n", NULL, 0, "@ " },
	{ NO_LINKS "DocumentRoot @/a\nRewriteRule ^/(.*) %{DOCUMENT_ROOT}/$1\n", NULL, 0, "@ " },
	{ NO_LINKS "RewriteRule ^/x /usr/share/x\n", "path of the file system", 2, "" },
	{ NO_LINKS "RewriteRule ^/(.*) /$1\n", "what the request says", 2, "" },
	{ NO_LINKS "RewriteRule ^(.*) $1\n", "what the request says", 2, "" },
	{ NO_LINKS "RewriteRule ^(.*) %{ENV:X}/$1\n", "what the request says", 2, "" },
	{ NO_LINKS "<Location /x>\nRequire expr \"file('/x') == 'y'\"\n</Location>\n", "reads a file", 3, "" },
	{ NO_LINKS "<Location /x>\nRequire file-owner\n</Location>\n", "names of accounts", 3, "" },
	{ "DocumentRoot @/a\nUserDir public_html\nSandboxPaths roots\n", NULL, 0, "@/a " },
	{ "DocumentRoot @/link\nSandboxPaths @/a/b @/a/c\n", NULL, 0, "@/link @/a/b @/a/c " },
	{ "DocumentRoot @/a\nSandboxPaths auto\n", "where no Options", 0, "" },
	{ NO_LINKS "DocumentRoot @/a\nSandboxPaths off\n", NULL, 0, "@ " },
};

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		const struct file_row *row = &files[i];
		struct config *cfg = read_text(row->text);
		const struct paths *p = cfg->paths;
		char want[512], got[512] = "", *end = got;

		if (!row->why != !p->files.text || (row->why && !strstr(p->files.text, row->why)))
			fail_msg("%s: %s", row->text, p->files.text ? p->files.text : "bounded");
		assert_int_equal(p->wants.everything, row->why != NULL);
		if (row->why && p->files.pos.line != (row->line ? row->line + 3 : 0))
			fail_msg("%s: line %u", row->text, p->files.pos.line);
		for (unsigned k = 0; k < p->wants.nfolders && !row->why; k++)
			end += snprintf(end, sizeof got - (size_t)(end - got), "%s ", p->wants.folders[k]);
		expand(want, sizeof want, row->folders);
		if (!row->why)
			assert_string_equal(got, want);
		config_free(cfg);
	}
}

static void test_off(void **state)
{
	struct config *cfg = read_text("SandboxPaths off\n");

	(void)state;
	assert_true(cfg->paths->wants.off);
	config_free(cfg);
	cfg = read_text("SandboxPaths auto\n");
	assert_false(cfg->paths->wants.off);
	config_free(cfg);
}

static void test_words(void **state)
{
	static const char *const bad[] = { "off /x", "auto roots", "relative", "/a b" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[128];
		struct config *cfg;

		snprintf(text, sizeof text, "Listen 1\nSandboxPaths %s\n", bad[i]);
		cfg = config_read(&(struct config_source){ .text = text, .file = "/test.conf", .root = "/" });
		assert_int_equal(cfg->errors, 1);
		assert_null(cfg->paths);
		config_free(cfg);
	}
}

/* Keys and the like, whatever else. More folders than a list has room for at first. */
static void test_secrets_and_many(void **state)
{
	char text[4000], *end = text;
	struct config *cfg;
	bool key = false, shadow = false;

	(void)state;
	end += sprintf(end, "SandboxPaths");
	for (int i = 0; i < 100; i++)
		end += sprintf(end, " /d%d", i);
	sprintf(end, "\n<VirtualHost *:1>\nSSLCertificateKeyFile /k/key\n</VirtualHost>\n");
	cfg = read_text(text);
	assert_int_equal(cfg->paths->wants.nfolders, 100);
	assert_string_equal(cfg->paths->wants.folders[0], "/d0");
	assert_string_equal(cfg->paths->wants.folders[99], "/d99");
	for (unsigned i = 0; i < cfg->paths->wants.nsecrets; i++) {
		key |= !strcmp(cfg->paths->wants.secrets[i], "/k/key");
		shadow |= !strcmp(cfg->paths->wants.secrets[i], "/etc/shadow");
	}
	assert_true(key && shadow);
	config_free(cfg);
}

/* ------------------------------------------------------------------------------------------------ ports */

static const struct port_row {
	const char *text, *why;
	const char *ports;
} ports[] = {
	{ "", NULL, "" },
	{ "ProxyPass /x http://h/\n", NULL, "80 " },
	{ "ProxyPass /x HTTPS://h/y?z:9\nProxyPass /y https://[::1]:8443/\nProxyPass /z !\n", NULL, "443 8443 " },
	{ "<Location /x>\nProxyPass http://h:81\n</Location>\nProxyPass /y http://[::1]/\n", NULL, "81 80 " },
	{ "ProxyPass /x unix:/run/x.sock|http://h/\nProxyPass /y unix:/run/y|fcgi://h:1/\n", NULL, "" },
	{ "ProxyPass /x balancer://b/\n<Proxy balancer://b>\nBalancerMember http://h:1001\nBalancerMember http://h:1002\nBalancerMember http://i:1001\n</Proxy>\n",
	  NULL, "1001 1002 " },
	{ "<Files x>\nSetHandler \"proxy:fcgi://127.0.0.1:9000\"\n</Files>\n", NULL, "9000 " },
	{ "<Files x>\nSetHandler \"proxy:unix:/run/php.sock|fcgi://localhost\"\n</Files>\n", NULL, "" },
	{ "RewriteRule ^/(.*) http://h:8080/$1 [P,L]\n", NULL, "8080 " },
	{ "RewriteRule ^/(.*) http://%{HTTP_HOST}:8080/$1 [P]\n", NULL, "8080 " },
	{ "RewriteRule ^/(.*) http://%{HTTP_HOST}/$1 [P]\n", "made of the request", "" },
	{ "RewriteRule ^/([0-9]+)/ http://h:$1/ [L,proxy]\n", "made of the request", "" },
	{ "RewriteRule \\.php$ - [H=proxy:fcgi://127.0.0.1:9001,L]\nRewriteRule ^/x - [L,H=proxy:unix:/run/x|fcgi://h]\n"
	  "RewriteRule ^/y - [H=proxy:fcgi://[::1]:9002]\nRewriteRule ^/y - [H=proxy:fcgi://h]\n", NULL, "9001 9002 8000 " },
	{ "ProxyPassMatch ^/([0-9]+)/ http://h:800$1/\n", "made of the request", "" },
	{ "ProxyPass /x ws://h/\nProxyPass /y wss://h:444/\nProxyPass /z ajp://h/\nProxyPass /s scgi://h/\n", NULL, "80 444 8009 4000 " },
	{ "<Directory @/a>\nAllowOverride FileInfo\n</Directory>\n", "per-directory files", "" },
};

static void test_ports(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
		struct config *cfg = read_text(ports[i].text);
		const struct paths *p = cfg->paths;
		char got[128] = "", *end = got;

		if (!ports[i].why != !p->ports.text || (ports[i].why && !strstr(p->ports.text, ports[i].why)))
			fail_msg("%s: %s", ports[i].text, p->ports.text ? p->ports.text : "bounded");
		assert_int_equal(p->wants.any_port, ports[i].why != NULL);
		for (unsigned k = 0; k < p->wants.nports; k++)
			end += snprintf(end, sizeof got - (size_t)(end - got), "%u ", (unsigned)p->wants.ports[k]);
		if (strcmp(got, ports[i].ports))
			fail_msg("%s: %s", ports[i].text, got);
		config_free(cfg);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files), cmocka_unit_test(test_off), cmocka_unit_test(test_words), cmocka_unit_test(test_secrets_and_many),
		cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, make, clean);
}
