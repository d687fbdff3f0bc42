/*
 * rewrite_test.c - rules of rewriting: read, and run against requests on real folders. Tables; a row that fails names itself.
 */
#include "tests/unit/request/served.h"

#include "rewrite/rule.h"

#define ON "RewriteEngine on\n"

struct row {
	const char *name, *rules;       /* of the server, behind RewriteEngine on */
	const char *target, *fields;    /* fields NULL = none */
	unsigned status;
	const char *result;             /* Location of a redirect; else r->filename without the folder, and ?query; NULL = not looked at */
};

static struct served *site_of(const char *rules)
{
	char text[4096];
	struct served *v;

	snprintf(text, sizeof text, "%s%s", ON, rules);
	v = served_site(text);
	served_file_make(v, "htdocs/a.txt", "a");
	served_file_make(v, "htdocs/b.txt", "b");
	served_folder(v, "htdocs/sub");
	served_file_make(v, "htdocs/sub/c.txt", "c");
	served_folder(v, "outside");
	served_file_make(v, "outside/x.txt", "x");
	return v;
}

static void check_row(const struct row *row)
{
	struct served *v = site_of(row->rules);
	unsigned status = served_ask(v, "GET", row->target, row->fields ? row->fields : "");
	char got[1024] = "";

	if (served_field(v, "Location"))
		snprintf(got, sizeof got, "%s", served_field(v, "Location"));
	else if (v->last->filename && strncmp(v->last->filename, v->dir, strlen(v->dir)) == 0)
		snprintf(got, sizeof got, "%s%s%s", v->last->filename + strlen(v->dir), v->last->query ? "?" : "", v->last->query ? v->last->query : "");
	if (status != row->status || (row->result && strcmp(got, row->result) != 0))
		fail_msg("%s: status %u, \"%s\"; wanted %u, \"%s\"", row->name, status, got, row->status, row->result ? row->result : "-");
	served_free(v);
}

#define CHECK_ROWS(rows) for (size_t i_ = 0; i_ < sizeof(rows) / sizeof *(rows); i_++) check_row(&(rows)[i_])

static void substitutions(void **state)
{
	static const struct row rows[] = {
		{ "a path", "RewriteRule ^/x$ /a.txt", "/x", NULL, 200, "/htdocs/a.txt" },
		{ "no match", "RewriteRule ^/x$ /a.txt", "/xx", NULL, 404, NULL },
		{ "a capture", "RewriteRule ^/x/(.*)$ /$1", "/x/sub/c.txt", NULL, 200, "/htdocs/sub/c.txt" },
		{ "without a slash", "RewriteRule ^/x/(.*)$ $1", "/x/a.txt", NULL, 200, "/htdocs/a.txt" },
		{ "turned round", "RewriteRule !^/b /a.txt", "/x", NULL, 200, "/htdocs/a.txt" },
		{ "a whole name", "RewriteRule ^/x$ %{DOCUMENT_ROOT}/sub/c.txt", "/x", NULL, 200, "/htdocs/sub/c.txt" },
		{ "out of the root by the rule", "RewriteRule ^/x$ %{DOCUMENT_ROOT}/../outside/x.txt", "/x", NULL, 200, "/outside/x.txt" },
		{ "a file's name from a capture", "RewriteRule ^/x(/.*)$ $1", "/x/etc/hostname", NULL, 404, NULL },
		{ "a file's name that the rule means", "RewriteRule ^/x(/.*)$ $1 [UnsafePrefixStat]", "/x/etc/hostname", NULL, 200, NULL },
		{ "above the root", "RewriteRule ^/x$ /sub/../../a.txt", "/x", NULL, 403, NULL },
		{ "dots", "RewriteRule ^/x$ /sub/.././a.txt", "/x", NULL, 200, "/htdocs/a.txt" },
		{ "dots of a query", "RewriteCond %{QUERY_STRING} (.*)\nRewriteRule ^/x$ %{DOCUMENT_ROOT}/%1?", "/x?../../../etc/hostname", NULL, 404, NULL },
		{ "slashes", "RewriteRule ^/x/(.*)$ //$1", "/x/a.txt", NULL, 200, "/htdocs/a.txt" },
		{ "nothing", "RewriteRule ^/x$ -", "/x", NULL, 404, NULL },
		{ "passed through", "Alias /al \"@DIR@/outside\"\n<Directory \"@DIR@/outside\">\nRequire all granted\n</Directory>\nRewriteRule ^/x$ /al/x.txt [PT]", "/x",
		  NULL, 200, "/outside/x.txt" },
		{ "not passed through", "Alias /al \"@DIR@/outside\"\nRewriteRule ^/x$ /al/x.txt", "/x", NULL, 404, NULL },
		{ "a line feed at the end", "RewriteRule ^/a.txt$ /b.txt", "/a.txt%0a", NULL, 404, NULL },
	};
	(void)state;
	CHECK_ROWS(rows);
}

static void redirects(void **state)
{
	static const struct row rows[] = {
		{ "path", "RewriteRule ^/x$ /y [R]", "/x", NULL, 302, "http://main.test/y" },
		{ "status", "RewriteRule ^/x$ /y [R=301,L]", "/x", NULL, 301, "http://main.test/y" },
		{ "word", "RewriteRule ^/x$ /y [R=seeother]", "/x", NULL, 303, "http://main.test/y" },
		{ "other host", "RewriteRule ^/x$ https://o.test/y", "/x?q=1", NULL, 302, "https://o.test/y?q=1" },
		{ "this host", "RewriteRule ^/x$ http://main.test/a.txt", "/x", NULL, 200, "/htdocs/a.txt" },
		{ "escaped", "RewriteRule ^/x/(.*)$ http://o.test/$1", "/x/a%20b%3fc", NULL, 403, NULL },
		{ "escaped blank", "RewriteRule ^/x/(.*)$ http://o.test/$1", "/x/a%20b%22", NULL, 302, "http://o.test/a%20b%22" },
		{ "as it is", "RewriteRule ^/x$ http://o.test/a\\%20b#c [NE]", "/x", NULL, 302, "http://o.test/a%20b#c" },
		{ "line ends", "RewriteRule ^/x/(.*)$ http://o.test/$1 [NE]", "/x/%0d%0aSet-Cookie:%20a=b", NULL, 403, NULL },
		{ "line ends, escaped", "RewriteRule ^/x/(.*)$ http://o.test/$1", "/x/%0d%0aA", NULL, 302, "http://o.test/%0d%0aA" },
		{ "B", "RewriteRule ^/x/(.*)$ http://o.test/?q=$1 [B,NE]", "/x/a%26b=c%20d", NULL, 302, "http://o.test/?q=a%26b%3dc+d" },
		{ "BNP", "RewriteRule ^/x/(.*)$ http://o.test/?q=$1 [B,BNP,NE]", "/x/a%20b", NULL, 302, "http://o.test/?q=a%20b" },
		{ "B with a list", "RewriteRule ^/x/(.*)$ http://o.test/?q=$1 [B=#,NE]", "/x/a%26%23", NULL, 302, "http://o.test/?q=a&%23" },
		{ "BNE", "RewriteRule ^/x/(.*)$ http://o.test/?q=$1 [B,BNE=/,NE]", "/x/a/b:", NULL, 302, "http://o.test/?q=a/b%3a" },
		{ "BCTLS", "RewriteRule ^/x/(.*)$ http://o.test/?q=$1 [BCTLS,BNP,NE]", "/x/a%0a%20&b", NULL, 302, "http://o.test/?q=a%0a%20&b" },
		{ "no place", "RewriteRule ^/x/(.*)$ $1", "/x/javascript:alert(1)", NULL, 404, NULL },
		{ "host cannot be changed", "RewriteRule ^/x(.*)$ http://o.test/$1 [R]", "/x@evil.test/", NULL, 302, "http://o.test/@evil.test/" },
	};
	(void)state;
	CHECK_ROWS(rows);
}

static void queries(void **state)
{
	static const struct row rows[] = {
		{ "kept", "RewriteRule ^/x$ /a.txt", "/x?q=2", NULL, 200, "/htdocs/a.txt?q=2" },
		{ "replaced", "RewriteRule ^/x$ /a.txt?n=1", "/x?q=2", NULL, 200, "/htdocs/a.txt?n=1" },
		{ "appended", "RewriteRule ^/x$ /a.txt?n=1 [QSA]", "/x?q=2", NULL, 200, "/htdocs/a.txt?n=1&q=2" },
		{ "appended to nothing", "RewriteRule ^/x$ /a.txt?n=1 [QSA]", "/x", NULL, 200, "/htdocs/a.txt?n=1" },
		{ "dropped", "RewriteRule ^/x$ /a.txt?", "/x?q=2", NULL, 200, "/htdocs/a.txt" },
		{ "discarded", "RewriteRule ^/x$ /a.txt [QSD]", "/x?q=2", NULL, 200, "/htdocs/a.txt" },
		{ "the last mark", "RewriteRule ^/x$ http://o.test/a?b?c [QSL]", "/x", NULL, 302, "http://o.test/a%3fb?c" },
		{ "a mark that came encoded", "RewriteRule ^/x/(.*)$ /$1", "/x/a.txt%3fz", NULL, 403, NULL },
		{ "the same, let", "RewriteRule ^/x/(.*)$ /$1 [UnsafeAllow3F]", "/x/a.txt%3fz", NULL, 200, "/htdocs/a.txt?z" },
		{ "the same, behind a mark", "RewriteRule ^/x/(.*)$ /a.txt?y=$1", "/x/a%3fz", NULL, 200, "/htdocs/a.txt?y=a?z" },
		{ "a blank that came encoded", "RewriteRule ^/x/(.*)$ /a.txt?y=$1", "/x/a%20z", NULL, 403, NULL },
	};
	(void)state;
	CHECK_ROWS(rows);
}

static void conditions(void **state)
{
	static const struct row rows[] = {
		{ "and", "RewriteCond %{QUERY_STRING} a\nRewriteCond %{QUERY_STRING} b\nRewriteRule ^/x - [F]", "/x?a", NULL, 404, NULL },
		{ "and, both", "RewriteCond %{QUERY_STRING} a\nRewriteCond %{QUERY_STRING} b\nRewriteRule ^/x - [F]", "/x?ab", NULL, 403, NULL },
		{ "or", "RewriteCond %{QUERY_STRING} a [OR]\nRewriteCond %{QUERY_STRING} b\nRewriteCond %{QUERY_STRING} c\nRewriteRule ^/x - [F]", "/x?bc", NULL, 403, NULL },
		{ "or, then and", "RewriteCond %{QUERY_STRING} a [OR]\nRewriteCond %{QUERY_STRING} b\nRewriteCond %{QUERY_STRING} c\nRewriteRule ^/x - [F]", "/x?a", NULL, 404, NULL },
		{ "not", "RewriteCond %{QUERY_STRING} !a\nRewriteRule ^/x - [F]", "/x?a", NULL, 404, NULL },
		{ "any case", "RewriteCond %{QUERY_STRING} ^A$ [NC]\nRewriteRule ^/x - [F]", "/x?a", NULL, 403, NULL },
		{ "equal", "RewriteCond %{QUERY_STRING} =a\nRewriteRule ^/x - [F]", "/x?a", NULL, 403, NULL },
		{ "equal to nothing", "RewriteCond %{QUERY_STRING} =\"\"\nRewriteRule ^/x - [F]", "/x", NULL, 403, NULL },
		{ "greater by length", "RewriteCond %{QUERY_STRING} >999\nRewriteRule ^/x - [F]", "/x?1000", NULL, 403, NULL },
		{ "less", "RewriteCond %{QUERY_STRING} <b\nRewriteRule ^/x - [F]", "/x?a", NULL, 403, NULL },
		{ "number", "RewriteCond %{QUERY_STRING} -ge10\nRewriteRule ^/x - [F]", "/x?9", NULL, 404, NULL },
		{ "number, too", "RewriteCond %{QUERY_STRING} -ge10\nRewriteRule ^/x - [F]", "/x?99999999999999999999", NULL, 403, NULL },
		{ "not equal", "RewriteCond %{QUERY_STRING} -ne10\nRewriteRule ^/x - [F]", "/x?10", NULL, 404, NULL },
		{ "file", "RewriteCond %{DOCUMENT_ROOT}/a.txt -f\nRewriteCond %{DOCUMENT_ROOT}/sub -d\nRewriteCond %{DOCUMENT_ROOT}/sub !-f\nRewriteRule ^/x - [F]", "/x",
		  NULL, 403, NULL },
		{ "filled, link, program", "RewriteCond %{DOCUMENT_ROOT}/a.txt -s\nRewriteCond %{DOCUMENT_ROOT}/a.txt !-l\nRewriteCond %{DOCUMENT_ROOT}/a.txt !-x\n"
		  "RewriteRule ^/x - [F]", "/x", NULL, 403, NULL },
		{ "a URL that is closed", "<Location /no>\nRequire all denied\n</Location>\nRewriteCond /no/x !-U\nRewriteCond /a.txt -U\nRewriteRule ^/x - [F]", "/x", NULL, 403, NULL },
		{ "a file", "RewriteCond %{DOCUMENT_ROOT}/a.txt -F\nRewriteCond %{DOCUMENT_ROOT}/none !-F\nRewriteRule ^/x - [F]", "/x", NULL, 403, NULL },
		{ "captures", "RewriteCond %{QUERY_STRING} ^(.)(.)$\nRewriteRule ^/(x)$ http://o.test/%2%1$1%0$0?", "/x?ab", NULL, 302, "http://o.test/baxab/x" },
		{ "captures of a pattern in a condition", "RewriteCond $1 ^(.)y$\nRewriteRule ^/(.*)$ http://o.test/%1", "/xy", NULL, 302, "http://o.test/x" },
		{ "not's have none", "RewriteCond %{QUERY_STRING} !(b)\nRewriteRule ^/x$ http://o.test/[%1]?", "/x?a", NULL, 302, NULL },
		{ "a field", "RewriteCond %{HTTP:X-One} ^1$\nRewriteRule ^/x - [F]", "/x", "X-One: 1\r\n", 403, NULL },
		{ "a variable", "SetEnvIf Request_URI . A=b\nRewriteCond %{ENV:A} ^b$\nRewriteRule ^/x - [F]", "/x", NULL, 403, NULL },
		{ "an expression", "RewriteCond expr \"%{QUERY_STRING} =~ /^(a+)$/\"\nRewriteRule ^/x http://o.test/%1?", "/x?aaa", NULL, 302, "http://o.test/aaa" },
		{ "looking ahead", "RewriteCond %{LA-U:REQUEST_FILENAME} (/sub/c.txt)$\nRewriteRule ^/sub http://o.test%1", "/sub/c.txt", NULL, 302, "http://o.test/sub/c.txt" },
	};
	(void)state;
	CHECK_ROWS(rows);
}

static void flow(void **state)
{
	static const struct row rows[] = {
		{ "last", "RewriteRule ^/x$ /a.txt [L]\nRewriteRule . - [F]", "/x", NULL, 200, "/htdocs/a.txt" },
		{ "chain", "RewriteRule ^/x$ /y [C]\nRewriteRule ^/y$ /z [C]\nRewriteRule ^/z$ /a.txt", "/x", NULL, 200, "/htdocs/a.txt" },
		{ "chain broken", "RewriteRule ^/n$ /y [C]\nRewriteRule ^/x$ /b.txt [C]\nRewriteRule ^/x$ /b.txt\nRewriteRule ^/x$ /a.txt", "/x", NULL, 200, "/htdocs/a.txt" },
		{ "skip", "RewriteRule ^/x$ - [S=2]\nRewriteRule . - [F]\nRewriteRule . - [G]\nRewriteRule ^/x$ /a.txt", "/x", NULL, 200, "/htdocs/a.txt" },
		{ "skip beyond", "RewriteRule ^/a - [S=1000000]\nRewriteRule . - [F]", "/a.txt", NULL, 200, "/htdocs/a.txt" },
		{ "next", "RewriteRule ^/x-(.*)-(.*)$ /x-$1_$2 [N]\nRewriteRule ^/x-a_b_c$ /a.txt", "/x-a-b-c", NULL, 200, "/htdocs/a.txt" },
		{ "next without end", "RewriteRule ^/x$ /x [N=5]", "/x", NULL, 500, NULL },
		{ "growing without end", "RewriteRule ^/x(.*)$ /x$1x [N]", "/x", NULL, 500, NULL },
		{ "a million steps", "RewriteRule ^/z$ -\nRewriteRule . - [N=1000000]", "/x", NULL, 500, NULL },
		{ "gone", "RewriteRule ^/x$ - [G]", "/x", NULL, 410, NULL },
		{ "a status", "RewriteRule ^/x$ - [R=451]", "/x", NULL, 451, NULL },
		{ "an empty answer", "RewriteRule ^/x$ - [R=200]", "/x", NULL, 200, NULL },
		{ "a pattern that goes back and forth", "RewriteRule ^/(a+)+$ - [F]", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", NULL, 500, NULL },
		{ "an unknown handler", "RewriteRule ^/a.txt$ - [H=none-such]", "/a.txt", NULL, 403, NULL },
	};
	(void)state;
	CHECK_ROWS(rows);
}

#define IN "<Directory \"@DIR@/htdocs\">\nRewriteEngine on\n"
#define OUT "\n</Directory>"

static void folders(void **state)
{
	static const struct row rows[] = {
		{ "relative", IN "RewriteRule ^x$ a.txt" OUT, "/x", NULL, 200, "/htdocs/a.txt" },
		{ "below", IN "RewriteRule ^x/(.*)$ sub/$1" OUT, "/x/c.txt", NULL, 200, "/htdocs/sub/c.txt" },
		{ "with a slash it is another", IN "RewriteRule ^/x$ a.txt" OUT, "/x", NULL, 404, NULL },
		{ "absolute", IN "RewriteRule ^x$ /b.txt" OUT, "/x", NULL, 200, "/htdocs/b.txt" },
		{ "redirect", IN "RewriteBase /\nRewriteRule ^x$ b.txt [R]" OUT, "/x", NULL, 302, "http://main.test/b.txt" },
		{ "base", IN "RewriteBase /other/\nRewriteRule ^x$ b.txt [R]" OUT, "/x", NULL, 302, "http://main.test/other/b.txt" },
		{ "front", IN "RewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^(.*)$ a.txt?p=$1 [QSA]" OUT, "/u/42?s=n", NULL, 200, "/htdocs/a.txt?p=u/42&s=n" },
		{ "circle", IN "RewriteRule ^x(.*)$ x$1x" OUT, "/x", NULL, 500, NULL },
		{ "end", IN "RewriteRule ^x$ y [END]\nRewriteRule ^y$ a.txt" OUT, "/x", NULL, 404, NULL },
		{ "links needed", "<Directory \"@DIR@/htdocs\">\nOptions None\nRewriteEngine on\nRewriteRule ^x$ a.txt" OUT, "/x", NULL, 403, NULL },
		{ "the inner takes the place", IN "RewriteRule x$ /a.txt" OUT "\n<Directory \"@DIR@/htdocs/sub\">\nRewriteEngine on\nRewriteRule ^y$ /b.txt" OUT, "/sub/x", NULL,
		  404, NULL },
		{ "inherited", IN "RewriteRule x$ /a.txt" OUT "\n<Directory \"@DIR@/htdocs/sub\">\nRewriteOptions Inherit\nRewriteEngine on" OUT, "/sub/x", NULL, 200,
		  "/htdocs/a.txt" },
		{ "a program's name that leads elsewhere", IN "RewriteRule ^old\\.php$ a.txt" OUT, "/old.php", NULL, 200, "/htdocs/a.txt" },
		{ "decoded once more, and looked at anew", IN "RewriteRule ^x/(.*)$ $1" OUT, "/x/%252e%252e/%252e%252e/outside/x.txt", NULL, 400, NULL },
		{ "the folder itself", IN "RewriteRule ^$ a.txt" OUT, "/", NULL, 200, "/htdocs/a.txt" },
		{ "a folder without its slash", IN "RewriteRule ^sub$ a.txt" OUT, "/sub", NULL, 301, "http://main.test/sub/" },
		{ "the same where none is added", IN "DirectorySlash off\nRewriteRule ^sub$ a.txt" OUT, "/sub", NULL, 200, "/htdocs/a.txt" },
	};
	(void)state;
	CHECK_ROWS(rows);
}

static void what_rules_set(void **state)
{
	struct served *v = site_of("RewriteRule ^/a.txt$ - [E=A:1:2,E=B,CO=n:v:.d.test:5:/p:secure:1:Lax,T=Text/X-Y]\nRewriteRule ^/b.txt$ - [E=A:1,E=!A]\n"
				   "RewriteCond %{HTTP:X-A} a\nRewriteRule . - [E=C:%{QUERY_STRING}]\n");
	const char *cookie;

	(void)state;
	assert_int_equal(served_ask(v, "GET", "/a.txt?q", "X-A: a\r\n"), 200);
	assert_true(text_is(request_env(v->last, "A"), "1:2"));
	assert_true(text_is(request_env(v->last, "B"), ""));
	assert_true(text_is(request_env(v->last, "C"), "q"));
	assert_true(text_is(request_env(v->last, "SCRIPT_URL"), "/a.txt"));
	assert_true(text_is(request_env(v->last, "SCRIPT_URI"), "http://main.test/a.txt"));
	assert_string_equal(v->last->type, "text/x-y");
	assert_field(v, "Vary", "X-A");
	cookie = served_field(v, "Set-Cookie");
	assert_non_null(cookie);
	assert_int_equal(strncmp(cookie, "n=v; path=/p; domain=.d.test; expires=", 38), 0);
	assert_non_null(strstr(cookie, " GMT; secure; HttpOnly; SameSite=Lax"));
	assert_int_equal(served_get(v, "/b.txt"), 200);
	assert_null(request_env(v->last, "A").p);
	assert_null(served_field(v, "Vary"));
	served_free(v);
}

static void hosts(void **state)
{
	static const char hosts_text[] = "%sRewriteMap m int:toupper\nRewriteRule ^/x$ http://main.test/${m:a} [R,L]\nRewriteRule ^/y$ http://main.test/ [R,L]\n"
		"<VirtualHost *:80>\nServerName v.test\nRewriteEngine on\n%sRewriteRule ^/x$ http://v.test/${m:a} [R,L]\n</VirtualHost>\n";
	static const struct { const char *main, *host, *x, *y; } rows[] = {
		{ "", "", "http://v.test/", NULL },
		{ "", "RewriteOptions Inherit\n", "http://v.test/A", "http://main.test/" },
		{ "", "RewriteOptions InheritBefore\n", "http://main.test/A", "http://main.test/" },
		{ "RewriteOptions InheritDown\n", "", "http://v.test/A", "http://main.test/" },
		{ "RewriteOptions InheritDown\n", "RewriteOptions IgnoreInherit\n", "http://v.test/", NULL },
		{ "RewriteOptions InheritDownBefore\n", "", "http://main.test/A", "http://main.test/" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[2048];
		struct served *v;
		const char *x, *y;

		snprintf(text, sizeof text, hosts_text, rows[i].main, rows[i].host);
		v = site_of(text);
		served_ask(v, "GET", "/x", "Host: v.test\r\n");
		x = served_field(v, "Location");
		if (!x || strcmp(x, rows[i].x) != 0)
			fail_msg("row %zu: /x leads to %s", i, x ? x : "nothing");
		served_ask(v, "GET", "/y", "Host: v.test\r\n");
		y = served_field(v, "Location");
		if (!!y != !!rows[i].y || (y && strcmp(y, rows[i].y) != 0))
			fail_msg("row %zu: /y leads to %s", i, y ? y : "nothing");
		served_free(v);
	}
}

static void maps(void **state)
{
	struct served *v = served_new();
	static const struct { const char *target, *location; } rows[] = {
		{ "/t/one", "http://t.test/1" }, { "/t/two", "http://t.test/2" }, { "/t/dup", "http://t.test/a" }, { "/t/none", "http://t.test/no-none" },
		{ "/t/noval", "http://t.test/no-noval" }, { "/t/%23c", "http://t.test/no-#c" }, { "/t/", "http://t.test/no-" }, { "/n/ONE", "http://t.test/1" },
		{ "/u/a%2520b", "http://t.test/a%20b" }, { "/e/a%20b", "http://t.test/a%20b" }, { "/c/zz", "http://t.test/ZZ" },
	};

	(void)state;
	served_file_make(v, "t.map", "# c\none 1\r\ntwo\t 2 # rest\ndup a\ndup b\n indented x\nnoval\n#c commented\nlast 9");
	served_file_make(v, "r.map", "k a|b|c\n");
	if (served_configure(v, "ServerName main.test\nDocumentRoot \"@DIR@/htdocs\"\n" ON "RewriteMap t txt:@DIR@/t.map\nRewriteMap r rnd:@DIR@/r.map\n"
			     "RewriteMap lo int:tolower\nRewriteMap up int:toupper\nRewriteMap es int:escape\nRewriteMap un int:unescape\n"
			     "RewriteRule ^/t/(.*)$ http://t.test/${t:$1|no-$1} [R,NE,L]\nRewriteRule ^/n/(.*)$ http://t.test/${t:${lo:$1}} [R,L]\n"
			     "RewriteRule ^/u/(.*)$ http://t.test/${un:$1} [R,L]\nRewriteRule ^/e/(.*)$ http://t.test/${es:$1} [R,NE,L]\n"
			     "RewriteRule ^/c/(.*)$ http://t.test/${t:$1|${up:$1}} [R,L]\nRewriteRule ^/r/(.*)$ http://t.test/${r:k} [R,L]\n"))
		fail_msg("%s", v->said);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *got;

		served_get(v, rows[i].target);
		got = served_field(v, "Location");
		if (!got || strcmp(got, rows[i].location) != 0)
			fail_msg("%s leads to %s, not %s", rows[i].target, got ? got : "nothing", rows[i].location);
	}
	unsigned seen = 0;
	for (int i = 0; i < 200 && seen != 7; i++) {
		served_get(v, "/r/x");
		seen |= 1u << (served_field(v, "Location")[strlen("http://t.test/")] - 'a');
	}
	assert_int_equal(seen, 7);
	served_get(v, "/t/last");
	assert_field(v, "Location", "http://t.test/9");
	served_file_make(v, "new.map", "one changed\n");
	assert_int_equal(rename(served_path(v, "new.map"), served_path(v, "t.map")), 0);
	served_get(v, "/t/one");
	assert_field(v, "Location", "http://t.test/changed");
	assert_int_equal(unlink(served_path(v, "t.map")), 0);
	served_log(v);
	served_get(v, "/t/one");
	assert_field(v, "Location", "http://t.test/changed");
	assert_int_equal(unlink(served_path(v, "r.map")), 0);
	assert_int_equal(served_get(v, "/r/x"), 302);
	served_get(v, "/t/one");
	const char *log = served_log(v), *told = strstr(log, "BH0612");
	assert_non_null(told);
	told = strstr(told + 1, "BH0612");      /* of the other map */
	assert_non_null(told);
	assert_null(strstr(told + 1, "BH0612"));
	served_free(v);
	v = served_new();
	served_file_make(v, "t.map", "one 1\n");
	assert_int_equal(served_configure(v, "ServerName main.test\n" ON "RewriteMap t txt:@DIR@/t.map\nRewriteCond ${t:x|ok} !ok\nRewriteRule . - [F]\n"), 0);
	assert_int_equal(unlink(served_path(v, "t.map")), 0);
	assert_int_equal(served_get(v, "/x"), 500);
	served_free(v);
}

static void refusals(void **state)
{
	static const struct { const char *text, *said; } rows[] = {
		{ "RewriteRule ( /x", "regular expression" }, { "RewriteRule ^/x$", "two words" }, { "RewriteRule ^/x$ /y [X]", "\"X\" is unknown" },
		{ "RewriteRule ^/x$ /y [R, L]", "blank inside" }, { "RewriteRule ^/x$ /y z", "must begin with \"[\"" }, { "RewriteRule ^/x$ /y [R=999]", "no status" },
		{ "RewriteRule ^/x$ /y [S=a]", "a number" }, { "RewriteRule ^/x$ /y [BNE]", "list of characters" },
		{ "RewriteCond %{HTTPS} ( [NC]", "regular expression" }, { "RewriteCond %{HTTPS} on [ZZ]", "\"ZZ\" is unknown" }, { "RewriteCond %{NOPE} x\nRewriteRule . -", "no variable" },
		{ "RewriteCond expr \"%{HTTPS} ==\"", "W" }, { "RewriteMap m prg:/no/such", "cannot be had" }, { "RewriteMap m prg:/etc/passwd", "executed by nobody" }, { "RewriteMap m \"prg: \"", "is missing" }, { "RewriteMap m dbd:select", "databases" },
		{ "RewriteMap m fastdbd:select", "databases" }, { "RewriteMap m txt:/no/such", "cannot be had" }, { "RewriteMap m int:x", "no internal map" },
		{ "RewriteMap m dbm=sdbm:/x", "httxt2dbm" }, { "RewriteMap m txt:/", "no regular file" }, { "RewriteOptions Nope", "unknown" }, { "RewriteBase /x", "not allowed" },
		{ "<Directory /x>\nRewriteBase x\n</Directory>", "slash" }, { "RewriteLog /x", "rewrite:trace3" }, { "RewriteCond %{HTTPS} on", "no RewriteRule behind it" },
		{ "RewriteRule . ${nomap:x}", "does not have" }, { "RewriteCond %{HTTPS} -f [NC]\nRewriteRule . -", "means nothing" },
		{ "RewriteRule . $1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1", "more than" },
		{ "RewriteRule . ${a:${a:${a:${a:${a:${a:${a:${a:${a:${a:x}}}}}}}}}}", "deep" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct served *v = served_new();

		served_configure(v, rows[i].text);
		if (rows[i].said[0] == 'W' ? !v->env.errors : !strstr(v->said, rows[i].said))
			fail_msg("%s: said \"%s\", wanted \"%s\"", rows[i].text, v->said, rows[i].said);
		served_free(v);
	}
}

static void paths_are_cleaned(void **state)
{
	static const struct { const char *path, *clean; } rows[] = {
		{ "/", "/" }, { "/a", "/a" }, { "/a//b", "/a/b" }, { "/a/./b", "/a/b" }, { "/a/../b", "/b" }, { "/a/..", "/" }, { "/a/.", "/a/" }, { "/..", NULL },
		{ "/a/../..", NULL }, { "/a/../../b", NULL }, { "//", "/" }, { "/...", "/..." }, { "/a/b/../..", "/" }, { "/.a/..b", "/.a/..b" }, { "/a/b/..", "/a/" },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *got = rewrite_clean(a, rows[i].path, false);

		if (!!got != !!rows[i].clean || (got && strcmp(got, rows[i].clean) != 0))
			fail_msg("%s becomes %s", rows[i].path, got ? got : "nothing");
	}
	assert_string_equal(rewrite_clean(a, "/a//b/../c", true), "/a//c");
	arena_free(a);
}

static void the_trace_tells_each_step(void **state)
{
	struct served *v = site_of("RewriteCond %{QUERY_STRING} !x\nRewriteRule ^/x$ /a.txt\nRewriteRule ^/y$ /b.txt\n");
	struct log_settings settings;
	struct log_sink sink = { .kind = LOG_SINK_FD, .fd = v->log };
	const char *log;

	(void)state;
	log_settings_init(&settings, LOG_L_TRACE8);
	log_open(&sink, &settings);
	assert_int_equal(served_get(v, "/x"), 200);
	log = served_log(v);
	assert_non_null(strstr(log, "[rewrite:trace3]"));
	assert_non_null(strstr(log, "applying pattern '^/x$' to uri '/x': matched (test.conf:5)"));
	assert_non_null(strstr(log, "applying pattern '^/y$' to uri '/a.txt': not matched (test.conf:6)"));
	assert_non_null(strstr(log, "RewriteCond: input='' pattern='!x' => matched (test.conf:4)"));
	assert_non_null(strstr(log, "rewrite '/x' -> '/a.txt'"));
	served_free(v);
}

/* Two hundred rules that do not match: what each request pays for them. The bound is wide; the figure is told. */
static void two_hundred_rules_cost_microseconds(void **state)
{
	static char text[32768];
	struct rewrite_section *s;
	struct timespec from, to;
	struct request *r;
	struct served *v;
	struct buf b;
	double us;

	(void)state;
	buf_init(&b, text, sizeof text);
	buf_puts(&b, "ServerName main.test\nDocumentRoot \"@DIR@/htdocs\"\n" ON);
	for (int i = 0; i < 200; i++)
		buf_printf(&b, "RewriteRule ^/old-%d/(.*)$ /new/$1 [R]\n", i);
	v = served_new();
	if (served_configure(v, text))
		fail_msg("%s", v->said);
	r = served_request(v, "GET", "/shop/item/42?colour=red", "");
	r->host = v->site->main;
	r->section = r->host->section;
	r->path = "/shop/item/42";
	s = request_config(r, &rewrite_module);
	assert_int_equal(s->engine, 1);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(rewrite_host(r), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	us = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 2000 / 1000;
	print_message("200 rules: %.1f us a request\n", us);
	assert_true(us < 1000);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(substitutions), cmocka_unit_test(redirects), cmocka_unit_test(queries), cmocka_unit_test(conditions), cmocka_unit_test(flow),
		cmocka_unit_test(folders), cmocka_unit_test(what_rules_set), cmocka_unit_test(hosts), cmocka_unit_test(maps), cmocka_unit_test(refusals),
		cmocka_unit_test(paths_are_cleaned), cmocka_unit_test(the_trace_tells_each_step), cmocka_unit_test(two_hundred_rules_cost_microseconds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
