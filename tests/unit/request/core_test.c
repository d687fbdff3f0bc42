/* core.c: Options and the other core directives: how they merge, their defaults, what is refused. */
#include "site.h"

#include "http/uri.h"
#include "request/core.h"
#include "request/sections.h"

static struct conf_module *const modules[] = { &core_module, NULL };

static const struct core_section *at(struct world *w, const char *path, struct request **r)
{
	*r = world_request(w, path, NULL);
	assert_int_equal(sections_apply(*r), 0);
	return core_section_of(*r);
}

static void options_merge_as_apaches(void **state)
{
	enum { I = CORE_OPT_INDEXES, F = CORE_OPT_FOLLOW, O = CORE_OPT_OWNER, M = CORE_OPT_MULTIVIEWS, E = CORE_OPT_EXECCGI, S = CORE_OPT_INCLUDES };
	static const struct { const char *top, *outer, *inner; unsigned options; } rows[] = {
		{ NULL, NULL, NULL, F }, { "None", NULL, NULL, 0 }, { "All", NULL, NULL, I | F | E | S }, { "Indexes", NULL, NULL, I },
		{ "+Indexes", NULL, NULL, F | I }, { "-FollowSymLinks", NULL, NULL, 0 }, { "All -Indexes", NULL, NULL, F | E | S },
		{ "All MultiViews", NULL, NULL, I | F | E | S | M }, { "IncludesNOEXEC", NULL, NULL, S | CORE_OPT_INCLUDES_NOEXEC },
		{ "Indexes FollowSymlinks", "+MultiViews", NULL, I | F | M }, { "Indexes", "-Indexes", "+SymLinksIfOwnerMatch", O },
		{ NULL, "+Indexes", "-Indexes", F }, { NULL, "-FollowSymLinks", "+Indexes", I }, { NULL, "+Indexes", "None", 0 },
		{ "None", "+Indexes", "+ExecCGI", I | E }, { "None", "ExecCGI", "+Indexes", I | E }, { NULL, "+Indexes -FollowSymLinks", "+FollowSymLinks", F | I },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[512];
		struct world *w;
		struct request *r;
		unsigned got;
		snprintf(text, sizeof text, "%s %s\n<Location />\n%s %s\n</Location>\n<Location /a>\n%s %s\n</Location>\n", rows[i].top ? "Options" : "#",
			 rows[i].top ? rows[i].top : "", rows[i].outer ? "Options" : "#", rows[i].outer ? rows[i].outer : "", rows[i].inner ? "Options" : "#",
			 rows[i].inner ? rows[i].inner : "");
		w = world_good(modules, text);
		got = core_options(at(w, "/a", &r));
		if (got != rows[i].options) {
			print_error("%s\n%u, not %u\n", text, got, rows[i].options);
			fail();
		}
		arena_free(r->arena);
		world_free(w);
	}
}

static void per_directory_files_are_wanted_where_allowed(void **state)
{
	struct world *w = world_good(modules, "AccessFileName .acl .htaccess\n<Directory /a>\nAllowOverride None\n</Directory>\n<Directory /b>\nAllowOverride FileInfo\n"
					      "</Directory>\n<Directory /c>\nAllowOverride Options=Indexes,MultiViews\n</Directory>\n<Directory /d>\nAllowOverrideList Options\n"
					      "</Directory>\n<Directory /e>\nAllowOverrideList None\nAllowOverride None\n</Directory>\n<Directory /b/n>\nAllowOverride None\n</Directory>\n");
	static const struct { const char *dir; bool wanted; } rows[] = {
		{ "/", false }, { "/a", false }, { "/b", true }, { "/c", true }, { "/d", true }, { "/e", false }, { "/b/n", false },
	};
	struct request *r = world_request(w, "/", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(core_htaccess_wanted(sections_for_path(r, rows[i].dir)[core_module.index]), rows[i].wanted);
	assert_string_equal(core_access_names(w->site->main)[1], ".htaccess");
	arena_free(r->arena);
	world_free(w);
	w = world_good(modules, "");
	assert_string_equal(core_access_names(w->site->main)[0], ".htaccess");
	world_free(w);
}

static void error_documents_are_found(void **state)
{
	struct world *w = world_good(modules,
		"ErrorDocument 404 \"nothing here\"\nErrorDocument 500 /e.cgi?x=1\nErrorDocument 403 http://else.test/x\nErrorDocument 410 plain\n"
		"ErrorDocument 502 \"never closed\n"
		"<Location /local>\nErrorDocument 404 /sorry.html\n</Location>\n<Location /default>\nErrorDocument 404 default\n</Location>\n");
	static const struct { const char *path; unsigned status; int kind; const char *value; } rows[] = {
		{ "/", 404, CORE_DOCUMENT_TEXT, "nothing here" }, { "/", 500, CORE_DOCUMENT_PATH, "/e.cgi?x=1" }, { "/", 403, CORE_DOCUMENT_URL, "http://else.test/x" },
		{ "/", 410, CORE_DOCUMENT_TEXT, "plain" }, { "/", 502, CORE_DOCUMENT_TEXT, "never closed" }, { "/", 405, -1, NULL }, { "/local", 404, CORE_DOCUMENT_PATH, "/sorry.html" },
		{ "/local", 500, CORE_DOCUMENT_PATH, "/e.cgi?x=1" }, { "/default", 404, -1, NULL },
	};
	struct request *r, failed = { .status = 404 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct core_errordoc *doc;
		at(w, rows[i].path, &r);
		doc = core_error_document(r, rows[i].status);
		if (rows[i].kind < 0) {
			assert_null(doc);
		} else {
			assert_non_null(doc);
			assert_int_equal(doc->kind, rows[i].kind);
			assert_string_equal(doc->value, rows[i].value);
		}
		arena_free(r->arena);
	}
	at(w, "/local", &r);
	r->original = &failed;          /* r is an error document itself */
	assert_null(core_error_document(r, 404));
	failed.status = 200;
	assert_non_null(core_error_document(r, 404));
	r->redirects = 10;
	assert_null(core_error_document(r, 404));
	arena_free(r->arena);
	world_free(w);
}

static void limits_and_forms_have_defaults(void **state)
{
	struct world *w = world_good(modules, "<VirtualHost *:80>\nAllowEncodedSlashes On\nMergeSlashes Off\nLimitInternalRecursion 3\n<Location /none>\nLimitRequestBody 0\n"
					      "</Location>\n<Location /small>\nLimitRequestBody 100\nFileETag None\nServerSignature EMail\n</Location>\n"
					      "<Location /etag>\nFileETag +INode -Size\n</Location>\n</VirtualHost>\n"
					      "<VirtualHost *:80>\nAllowEncodedSlashes NoDecode\n</VirtualHost>\nServerTokens prod\n");
	const struct host *one = w->site->hosts;
	struct request *r = world_request(w, "/", NULL);

	(void)state;
	assert_int_equal(core_uri_flags(w->site->main), 0);
	assert_int_equal(core_uri_flags(one), URI_SLASH_DECODE | URI_SLASH_NOMERGE);
	assert_int_equal(core_uri_flags(one->next), URI_SLASH_KEEP);
	assert_int_equal(core_redirect_limit(w->site->main), 10);
	assert_int_equal(core_redirect_limit(one), 3);
	assert_int_equal(core_host_of(one)->tokens, CORE_TOKENS_PROD);
	r->host = w->site->hosts;
	assert_int_equal(sections_apply(r), 0);
	assert_int_equal(core_body_limit(r), 1 << 30);
	assert_int_equal(core_etag(core_section_of(r)), CORE_ETAG_MTIME | CORE_ETAG_SIZE);
	r->path = "/none";
	assert_int_equal(sections_apply(r), 0);
	assert_true(core_body_limit(r) == UINT64_MAX);
	r->path = "/small/x";
	assert_int_equal(sections_apply(r), 0);
	assert_int_equal(core_body_limit(r), 100);
	assert_int_equal(core_etag(core_section_of(r)), 0);
	assert_int_equal(core_section_of(r)->signature, CORE_SIGNATURE_EMAIL);
	r->path = "/etag";
	assert_int_equal(sections_apply(r), 0);
	assert_int_equal(core_etag(core_section_of(r)), CORE_ETAG_MTIME | CORE_ETAG_INODE);
	arena_free(r->arena);
	world_free(w);
}

static void faults_are_named(void **state)
{
	static const struct refused rows[] = {
		{ "Options +Sometimes\n", "E t.conf:1|Sometimes" }, { "Options -Indexes FollowSymLinks\n", "E t.conf:1|cannot be mixed" },
		{ "Options FollowSymLinks -Indexes\n", "E t.conf:1|cannot be mixed" },
		{ "Options +All\n", "E t.conf:1|first" }, { "Options -None\n", "E t.conf:1|first" }, { "Options Indexes All\n", "E t.conf:1|first" },
		{ "<Limit GET>\n</Limit>\n", "E t.conf:1|not allowed" }, { "<VirtualHost *:80>\n<LimitExcept GET>\n</LimitExcept>\n</VirtualHost>\n", "E t.conf:2|not allowed" },
		{ "<Directory /x>\nAllowOverrideList Options Frob ServerName\n</Directory>\n", "W t.conf:2|Frob is no directive|ServerName can never stand" },
		{ "<Directory /x>\nAllowOverride Nonfatal=Frob\n</Directory>\n", "E t.conf:2|Frob" },
		{ "<Directory /x>\nAllowOverrideList None Redirect\n</Directory>\n", "E t.conf:2|beside names" },
		{ "Options\n", "E t.conf:1" },
		{ "<Directory /x>\nAllowOverride Some\n</Directory>\n", "E t.conf:2|Some" }, { "AllowOverride All\n", "E t.conf:1|not allowed" },
		{ "<Location /x>\nAllowOverride All\n</Location>\n", "W t.conf:2|nothing here" },
		{ "<Directory /x>\nAllowOverride Options=Foo\n</Directory>\n", "E t.conf:2|Foo" },
		{ "ErrorDocument abc /x\n", "E t.conf:1|abc" }, { "ErrorDocument 200 /x\n", "E t.conf:1|200" }, { "ErrorDocument 404\n", "E t.conf:1|missing" },
		{ "ErrorDocument 404 /x y\n", "E t.conf:1|quotes" }, { "ErrorDocument 404 plain words\n", "E t.conf:1|quotes" }, { "ErrorDocument 401 http://x/\n", "W t.conf:1|401|left out" }, { "ServerTokens Loud\n", "E t.conf:1|Loud" },
		{ "TraceEnable maybe\n", "E t.conf:1|maybe" }, { "AccessFileName a/b\n", "E t.conf:1|a/b" }, { "LimitRequestBody -1\n", "E t.conf:1" },
		{ "LimitInternalRecursion many\n", "E t.conf:1|many" }, { "FileETag Colour\n", "E t.conf:1|Colour" }, { "EnableSendfile off\n", "N t.conf:1|without effect" },
		{ "<VirtualHost *:80>\nServerTokens Prod\n</VirtualHost>\n", "E t.conf:2|not allowed" }, { "AcceptPathInfo perhaps\n", "E t.conf:1|perhaps" },
	};

	(void)state;
	check_refused(modules, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_merge_as_apaches), cmocka_unit_test(per_directory_files_are_wanted_where_allowed),
		cmocka_unit_test(error_documents_are_found), cmocka_unit_test(limits_and_forms_have_defaults), cmocka_unit_test(faults_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
