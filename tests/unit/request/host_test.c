/* host.c: addresses and names of virtual hosts, and which of them answers. */
#include "site.h"

#include "request/core.h"

static struct conf_module *const modules[] = { &core_module, NULL };

static const char hosts[] =
	"ServerName main.test\n"
	"<VirtualHost *:80>\n ServerName one.test\n ServerAlias www.one.test Alias.Test\n</VirtualHost>\n"
	"<VirtualHost _default_:80>\n ServerName two.test\n ServerAlias *.two.test t?o.org www.one.test\n</VirtualHost>\n"
	"<VirtualHost *:80>\n ServerName https://three.test:8443\n ServerAlias a1 a2 a3 a4 a5 a6 a7 a8 a9\n</VirtualHost>\n"
	"<VirtualHost 192.0.2.10:80>\n ServerName four.test\n</VirtualHost>\n"
	"<VirtualHost 192.0.2.10>\n ServerName five.test\n</VirtualHost>\n"
	"<VirtualHost [2001:db8::1]:80 [2001:db8::2]:81 192.0.2.20:*>\n ServerName six.test\n</VirtualHost>\n"
	"<VirtualHost *:81>\n</VirtualHost>\n"
	"<VirtualHost *>\n ServerName any.test\n</VirtualHost>\n";

static void the_closest_address_and_then_the_name_choose(void **state)
{
	static const struct { const char *ip; uint16_t port; const char *name, *host; } rows[] = {
		{ "203.0.113.1", 80, "one.test", "one.test" }, { "203.0.113.1", 80, "ONE.Test.", "one.test" },
		{ "203.0.113.1", 80, "www.one.test", "one.test" },      /* the first host that has it */
		{ "203.0.113.1", 80, "alias.test", "one.test" }, { "203.0.113.1", 80, "two.test", "two.test" },
		{ "203.0.113.1", 80, "a.b.two.test", "two.test" }, { "203.0.113.1", 80, "two.org", "two.test" },
		{ "203.0.113.1", 80, "three.test", "three.test" }, { "203.0.113.1", 80, "a1", "three.test" }, { "203.0.113.1", 80, "a9", "three.test" },
		{ "203.0.113.1", 80, "a10", "one.test" }, { "203.0.113.1", 80, "xone.test", "one.test" }, { "203.0.113.1", 80, "", "one.test" },
		{ "203.0.113.1", 80, "main.test", "one.test" },         /* the main server has no name where a set fits */
		{ "192.0.2.10", 80, "one.test", "four.test" }, { "::ffff:192.0.2.10", 80, "one.test", "four.test" },
		{ "192.0.2.10", 8080, "one.test", "five.test" }, { "2001:db8::1", 80, "x", "six.test" }, { "2001:db8::2", 81, "x", "six.test" },
		{ "2001:db8::2", 80, "two.test", "two.test" }, { "192.0.2.20", 9, "two.test", "six.test" },
		{ "203.0.113.1", 81, "x", "main.test" },                /* a host without a name has the main server's */
		{ "203.0.113.1", 443, "one.test", "any.test" },
	};
	struct world *w = world_good(modules, hosts);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct addr local;
		assert_int_equal(addr_parse(&local, rows[i].ip, rows[i].port), 0);
		if (strcmp(host_by_name(w->site, &local, text_of(rows[i].name))->name, rows[i].host) != 0) {
			print_error("%s:%u %s: %s, not %s\n", rows[i].ip, rows[i].port, rows[i].name, host_by_name(w->site, &local, text_of(rows[i].name))->name,
				    rows[i].host);
			fail();
		}
	}
	world_free(w);
}

static void a_name_that_is_too_long_is_nobodys(void **state)
{
	struct world *w = world_good(modules, hosts);
	char name[600];
	struct addr local;

	(void)state;
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(addr_parse(&local, "203.0.113.1", 80), 0);
	assert_string_equal(host_by_name(w->site, &local, text_of(name))->name, "one.test");
	assert_string_equal(host_by_name(w->site, &local, (struct text){ NULL, 0 })->name, "one.test");
	world_free(w);
}

static void without_a_set_the_main_server_answers(void **state)
{
	struct world *w = world_good(modules, "ServerName main.test\n<VirtualHost 192.0.2.1:80>\nServerName one.test\n</VirtualHost>\n");
	struct addr local;

	(void)state;
	assert_int_equal(addr_parse(&local, "192.0.2.2", 80), 0);
	assert_ptr_equal(host_by_name(w->site, &local, TEXT("one.test")), w->site->main);
	assert_ptr_equal(host_default(w->site, &local), w->site->main);
	world_free(w);
}

static void names_have_scheme_and_port(void **state)
{
	struct world *w = world_good(modules, hosts);
	const struct host *three = w->site->hosts->next->next;

	(void)state;
	assert_string_equal(three->scheme, "https");
	assert_int_equal(three->port, 8443);
	assert_true(three->named);
	assert_true(host_has_name(three, TEXT("A5")));
	assert_true(host_has_name(three, TEXT("three.test.")));
	assert_false(host_has_name(three, TEXT("one.test")));
	assert_int_equal(three->number, 3);
	assert_int_equal(three->pos.line, 10);
	world_free(w);
}

/* The word of <VirtualHost> is a name of last resort; ServerName's port stands in for one it lacks, unless it is "*". */
static void the_words_of_addresses(void **state)
{
	static const struct { uint16_t port; const char *name, *host; } rows[] = {
		{ 80, "192.0.2.10", "two.test" }, { 80, "one.test", "one.test" }, { 80, "other.test", "one.test" }, { 81, "x", "three.test" }, { 9, "x", "any.test" },
	};
	struct world *w = world_good(modules,
		"ServerName main.test:81\n<VirtualHost *:80 [::ffff:192.0.2.10]:80>\nServerName one.test\n</VirtualHost>\n"
		"<VirtualHost 192.0.2.10:80>\nServerName two.test\n</VirtualHost>\n<VirtualHost 192.0.2.10>\nServerName three.test\n</VirtualHost>\n"
		"<VirtualHost *>\nServerName any.test\n</VirtualHost>\n<VirtualHost *:82>\n</VirtualHost>\n<VirtualHost *>\n</VirtualHost>\n");
	const struct host *h = w->site->hosts;
	struct addr local;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(addr_parse(&local, "192.0.2.10", rows[i].port), 0);
		assert_string_equal(host_by_name(w->site, &local, text_of(rows[i].name))->name, rows[i].host);
	}
	assert_int_equal(h->port, 0);           /* a ServerName without a port has none */
	for (unsigned i = 0; i < 4; i++)
		h = h->next;
	assert_int_equal(h->port, 82);
	assert_int_equal(h->next->port, 81);
	world_free(w);
}

static void requests_without_a_name_go_by_path(void **state)
{
	struct world *w = world_good(modules, "<VirtualHost *:80>\nServerName one.test\n</VirtualHost>\n"
					      "<VirtualHost *:80>\nServerName two.test\nServerPath /two/\n</VirtualHost>\n");
	const struct host *two = w->site->hosts->next;
	struct addr local;

	(void)state;
	assert_int_equal(addr_parse(&local, "192.0.2.10", 80), 0);
	assert_ptr_equal(host_by_path(w->site, &local, TEXT("/two")), two);
	assert_ptr_equal(host_by_path(w->site, &local, TEXT("/two/x")), two);
	assert_null(host_by_path(w->site, &local, TEXT("/twox")));
	assert_null(host_by_path(w->site, &local, TEXT("/")));
	assert_string_equal(host_below_path(two, "/two/x"), "/x");
	assert_string_equal(host_below_path(two, "/two"), "");
	assert_string_equal(host_below_path(two, "/twox"), "/twox");
	assert_string_equal(host_below_path(w->site->hosts, "/two/x"), "/two/x");
	world_free(w);
}

static void hosts_inherit_and_override(void **state)
{
	struct world *w = world_good(modules, "ServerAdmin a@test\nDocumentRoot /srv/main/\n<VirtualHost *:80>\nDocumentRoot sub\n</VirtualHost>\n"
					      "<VirtualHost *:80>\nServerAdmin b@test\n</VirtualHost>\n");
	const struct host *one = w->site->hosts, *two = one->next;

	(void)state;
	assert_string_equal(core_document_root(w->site->main), "/srv/main");
	assert_string_equal(core_document_root(one), "/root/sub");
	assert_string_equal(core_document_root(two), "/srv/main");
	assert_string_equal(core_host_of(one)->admin, "a@test");
	assert_string_equal(core_host_of(two)->admin, "b@test");
	world_free(w);
}

static void show(void *ctx, const char *address, const struct host *h, bool is_default, bool only)
{
	char *out = ctx;

	snprintf(out + strlen(out), 1024 - strlen(out), "%s %s%s%s\n", address, h->name, is_default ? " default" : "", only ? " only" : "");
}

static void all_sets_are_shown(void **state)
{
	struct world *w = world_good(modules, hosts);
	char out[1024] = "";

	(void)state;
	host_visit(w->site, show, out);
	assert_string_equal(out,
		"*:80 one.test default\n*:80 two.test\n*:80 three.test\n192.0.2.10:80 four.test default only\n192.0.2.10:* five.test default only\n"
		"[2001:db8::1]:80 six.test default only\n[2001:db8::2]:81 six.test default only\n192.0.2.20:* six.test default only\n"
		"*:81 main.test default only\n*:* any.test default only\n");
	world_free(w);
}

static void faults_are_named(void **state)
{
	static const struct refused rows[] = {
		{ "<VirtualHost>\n</VirtualHost>\n", "E t.conf:1|no address" },
		{ "<VirtualHost *:99999>\n</VirtualHost>\n", "E t.conf:1|port" },
		{ "<VirtualHost *:0>\n</VirtualHost>\n", "E t.conf:1|port" },
		{ "<VirtualHost [::1>\n</VirtualHost>\n", "E t.conf:1|no address" },
		{ "<VirtualHost a/b:80>\n</VirtualHost>\n", "E t.conf:1|no address" },
		{ "<VirtualHost no-such-name.invalid:80>\n</VirtualHost>\n", "W t.conf:1|no-such-name.invalid|ignored" },
		{ "<VirtualHost *:80>\n<VirtualHost *:81>\n</VirtualHost>\n</VirtualHost>\n", "E t.conf:2|not allowed" },
		{ "<VirtualHost 8080>\n</VirtualHost>\n", "E t.conf:1|no address" },
		{ "<VirtualHost *.example.org:80>\n</VirtualHost>\n", "W t.conf:1|ignored" },
		{ "<VirtualHost *:80>\nServerAlias one, two http://x\n</VirtualHost>\n", "W t.conf:2|one,|ever ask|http://x" },
		{ "<VirtualHost *:80>\nServerPath x\n</VirtualHost>\n", "E t.conf:2|slash" },
		{ "ServerName one two\n", "E t.conf:1" },
		{ "ServerName a/b\n", "E t.conf:1|no host name" },
		{ "ServerName *.test\n", "E t.conf:1|ServerAlias" },
		{ "ServerName ftp://x\n", "E t.conf:1|scheme" },
		{ "ServerName x:70000\n", "E t.conf:1|port" },
		{ "ServerAlias x\n", "E t.conf:1|not allowed" },
		{ "NameVirtualHost *:80\n", "N t.conf:1|without effect" },
		{ "<VirtualHost *:80>\nServerName a\n</VirtualHost>\n<VirtualHost *:80>\nServerName b\nServerAlias a\n</VirtualHost>\n",
		  "W t.conf:4|never answers|t.conf:1" },
	};

	(void)state;
	check_refused(modules, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_closest_address_and_then_the_name_choose), cmocka_unit_test(a_name_that_is_too_long_is_nobodys),
		cmocka_unit_test(without_a_set_the_main_server_answers), cmocka_unit_test(names_have_scheme_and_port),
		cmocka_unit_test(the_words_of_addresses), cmocka_unit_test(requests_without_a_name_go_by_path),
		cmocka_unit_test(hosts_inherit_and_override), cmocka_unit_test(all_sets_are_shown), cmocka_unit_test(faults_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
