/*
 * directive_test.c - conf/directive.c and conf/setters.c with two small modules.
 */
#include "tests/unit/conf/support.h"

#include <stddef.h>

struct host {
	const char *root, *path;
	int flag, choice;
	int64_t number, seconds;
	char calls[512];        /* "argc:a|b| " for each call of remember() */
};

struct section {
	char calls[512];
};

static int remember(struct conf_call *call, void *config, int argc, char **argv)
{
	char *out = (char *)config + call->directive->offset;
	size_t n = strlen(out);
	int i;

	n += (size_t)snprintf(out + n, 512 - n, "%d:", argc);
	for (i = 0; i < argc; i++)
		n += (size_t)snprintf(out + n, 512 - n, "%s|", argv[i]);
	snprintf(out + n, 512 - n, " ");
	return 0;
}

static int picky(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	if (!strcmp(argv[0], "warn")) {
		conf_warn(call, NULL, "as you like");
		return 0;
	}
	if (!strcmp(argv[0], "note")) {
		conf_note(call, NULL, "does nothing");
		return 0;
	}
	return conf_fail(call, "write another", "\"%s\" is not to my taste", argv[0]);
}

static int enter(struct conf_call *call, void *config, int argc, char **argv)
{
	struct conf_target inner = *call->target;
	void *section[3] = { NULL };

	inner.section = section;
	if (remember(call, config, argc, argv))
		return -1;
	return conf_apply(call->node->child, call->modules, CONF_DIRECTORY, &inner, call->env);
}

static const struct conf_choice choices[] = { { "Min", 3 }, { "Prod", 5 }, { NULL, 0 } };

#define AT(field) .offset = offsetof(struct host, field)
static const struct conf_directive first_table[] = {
	{ .name = "Root", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_string, AT(root), .help = "a folder" },
	{ .name = "Path", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_path, AT(path) },
	{ .name = "Flag", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag, AT(flag) },
	{ .name = "Choice", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_choice, AT(choice), .extra = choices },
	{ .name = "Number", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_number, AT(number), .low = -1, .high = 100 },
	{ .name = "Size", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_number, AT(number) },
	{ .name = "Seconds", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_seconds, AT(seconds), .low = 0, .high = 3600 },
	{ .name = "None", .contexts = CONF_GLOBAL, .args = CONF_NO_ARGS, .set = remember, AT(calls) },
	{ .name = "Two", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 2, .max = 2, .set = remember, AT(calls) },
	{ .name = "OneTwo", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 2, .set = remember, AT(calls) },
	{ .name = "UpTo", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 0, .max = 1, .set = remember, AT(calls) },
	{ .name = "Many", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 0, .set = remember, AT(calls) },
	{ .name = "Each", .contexts = CONF_RSRC, .args = CONF_ITERATE, .set = remember, AT(calls) },
	{ .name = "Pairs", .contexts = CONF_RSRC, .args = CONF_ITERATE2, .set = remember, AT(calls) },
	{ .name = "Raw", .contexts = CONF_RSRC, .args = CONF_RAW, .set = remember, AT(calls) },
	{ .name = "<Directory", .contexts = CONF_RSRC, .args = CONF_SECTION, .min = 1, .set = enter, AT(calls), .help = "name a folder" },
	{ .name = NULL },
};

static const struct conf_directive second_table[] = {
	{ .name = "Inner", .contexts = CONF_ALL, .args = CONF_TAKE, .min = 1, .max = 1, .scope = CONF_OF_SECTION, .set = remember },
	{ .name = "Below", .contexts = CONF_SECTIONS | CONF_HTACCESS, .args = CONF_TAKE, .min = 1, .max = 1, .scope = CONF_OF_SECTION, .set = remember },
	{ .name = "Named", .contexts = CONF_HOST, .args = CONF_TAKE, .min = 1, .max = 1, .scope = CONF_OF_SECTION, .set = remember },
	{ .name = "Picky", .contexts = CONF_ALL, .args = CONF_TAKE, .min = 1, .max = 9, .scope = CONF_OF_SECTION, .set = picky },
	{ .name = "Idle", .contexts = CONF_ANY, .args = CONF_RAW, .scope = CONF_OF_SECTION, .set = conf_set_notice, .extra = "nobody needs it" },
	{ .name = "Never", .contexts = CONF_ANY, .args = CONF_RAW, .scope = CONF_OF_SECTION, .set = conf_set_refused, .extra = "use Inner" },
	{ .name = "KeepAlive", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag, AT(flag) },
	{ .name = "SSLCertificateFile", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_string },
	{ .name = "SSLCertificateKeyFile", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_string },
	{ .name = NULL },
};

static void *create_host(struct conf_env *env)
{
	struct host *h = conf_alloc(env, sizeof(*h));

	h->flag = h->choice = CONF_UNSET;
	h->number = h->seconds = CONF_UNSET;
	return h;
}

static void *create_section(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct section));
}

static struct conf_module first = { .name = "first_module", .directives = first_table, .create_host = create_host };
static struct conf_module second = { .name = "second_module", .directives = second_table, .create_host = create_host,
				     .create_section = create_section };
static struct conf_module bare = { .name = "bare_module" };
static struct conf_module *const modules[] = { &bare, &first, &second, NULL };

struct applied {
	struct world *w;
	void *host[3], *section[3];
	int result;
};

static struct applied apply(const char *text, enum conf_context context)
{
	struct applied a = { .w = world_new() };
	struct conf_target target = { .host = a.host, .section = a.section };
	struct conf_tree *t;

	conf_modules_number(modules);
	a.w->env.root = "/srv";
	t = conf_read_text(text, "f", &a.w->env);
	a.result = conf_apply(t->first, modules, context, &target, &a.w->env);
	return a;
}

static void test_arguments(void **state)
{
	static const struct { const char *text, *calls; } rows[] = {
		{ "None\n", "0: " },
		{ "Two a \"b c\"\n", "2:a|b c| " },
		{ "OneTwo a\nOneTwo a b\nOneTwo a \"\"\n", "1:a| 2:a|b| 1:a| " },
		{ "UpTo\nUpTo x\nUpTo \"\"\n", "0: 1:x| 0: " },
		{ "Many a b c d e f g h i j k l m n o p q\n", "17:a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q| " },
		{ "Many a \"\" c \"\"\n", "3:a||c| " },
		{ "Each a \"b c\" d\nEach # x\n", "1:a| 1:b c| 1:d| 1:#| 1:x| " },
		{ "Each a \"\" b\n", "1:a| " },
		{ "Pairs k a b\n", "2:k|a| 2:k|b| " },
		{ "Raw  a \"b\"  'c \n", "1:a \"b\"  'c| " },
		{ "Raw\n", "1:| " },
		{ "<Directory \"/a b\">\nInner x\n</Directory>\n", "1:\"/a b\"| " },
		{ "tWO a b\n", "2:a|b| " },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct applied a = apply(rows[i].text, CONF_SERVER);

		assert_string_equal(a.w->said, "");
		assert_int_equal(a.result, 0);
		assert_string_equal(((struct host *)a.host[1])->calls, rows[i].calls);
		assert_null(a.host[0]);
		world_free(a.w);
	}
}

static void test_faulty_arguments(void **state)
{
	static const struct { const char *text, *said; } rows[] = {
		{ "None x\n", "E f:1: None takes no arguments" },
		{ "Root\n", "Root takes one argument, 0 are given; Root: a folder" },
		{ "Root \"\"\n", "Root takes one argument, 0 are given" },
		{ "Root \"\" x\n", "Root takes one argument, 2 are given" },
		{ "Root a b\n", "Root takes one argument, 2 are given; an argument that holds blanks needs quotes" },
		{ "Root a # quiet\n", "Root takes one argument, 3 are given; a comment must stand on a line of its own" },
		{ "Root a #quiet\n", "a comment must stand on a line of its own" },
		{ "Two a\n", "Two takes two arguments, 1 is given" },
		{ "Two \"\" a\n", "Two: argument 1 is empty" },
		{ "OneTwo\n", "OneTwo takes one to two arguments" },
		{ "OneTwo a b c\n", "OneTwo takes one to two arguments, 3 are given" },
		{ "UpTo a b\n", "UpTo takes at most one argument, 2" },
		{ "Many\n", "Many takes at least one argument, 0 are given" },
		{ "Each\n", "Each takes at least one argument" },
		{ "Pairs a\n", "Pairs takes at least two arguments" },
		{ "Flag\n", "Flag takes one argument, On or Off" },
		{ "Flag perhaps\n", "Flag takes one argument, On or Off, not \"perhaps\"" },
		{ "Flag # On\n", "On or Off, not \"#\"; a comment must stand" },
		{ "Flag \xe2\x80\x9cOn\xe2\x80\x9d\n", "curly quotes, which count as letters" },
		{ "Root \xe2\x80\x9c/a b\xe2\x80\x9d\n", "takes one argument, 2 are given; the line holds curly quotes" },
		{ "Flag On\xc2\xa0\n", "a non-breaking space, which counts as a letter" },
		{ "Flag\xc2\xa0On\n", "unknown directive Flag\xc2\xa0On; the line holds a non-breaking space" },
		{ "<Directory>\n</Directory>\n", "<Directory> needs an argument; name a folder" },
		{ "Choice Most\n", "Choice: \"Most\" is not known here; write one of: Min, Prod" },
		{ "Choice Prod # quiet\n", "Choice takes one argument, 3 are given; a comment must stand" },
		{ "Number soon\n", "Number: \"soon\" is not a number; write a number from -1 to 100" },
		{ "Number 1x\n", "\"1x\" is not a number" },
		{ "Number 101\n", "Number: 101 is out of range; write a number from -1 to 100" },
		{ "Number -2\n", "-2 is out of range" },
		{ "Number 99999999999999999999\n", "is not a number" },
		{ "Size -1\n", "-1 is out of range; write a number from 0 on" },
		{ "Seconds soon\n", "Seconds: \"soon\" is not a length of time; write a number of seconds from 0 to 3600" },
		{ "Seconds -1\n", "is not a length of time" },
		{ "Seconds 5parsecs\n", "Seconds: \"5parsecs\" has no unit of time; the units are ms, s, mi and h" },
		{ "Seconds 2h\n", "2h is out of range; write a number of seconds from 0 to 3600" },
		{ "Seconds 9223372036854775807h\n", "is out of range" },
		{ "Picky this\n", "Picky: \"this\" is not to my taste; write another" },
		{ "Picky this # please\n", "a comment must stand on a line of its own; write another" },
		{ "Never x\n", "Never: it is not available in this release; use Inner" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct applied a = apply(rows[i].text, CONF_SERVER);

		if (a.result != -1 || a.w->env.errors != 1 || !strstr(a.w->said, rows[i].said)) {
			print_error("%ssaid: %swant: %s\n", rows[i].text, a.w->said, rows[i].said);
			fail();
		}
		world_free(a.w);
	}
}

static void test_a_hash_within_quotes_or_first_is_no_comment(void **state)
{
	struct applied a = apply("Picky \"a # b\"\nPicky #33\nPicky a#b c\n", CONF_SERVER);

	(void)state;
	assert_int_equal(a.w->env.errors, 3);
	assert_null(strstr(a.w->said, "comment"));
	world_free(a.w);
}

static void test_setters(void **state)
{
	struct applied a = apply("Root a\nPath logs/x\nFlag oN # words behind are ignored\nChoice prod\nNumber +42\nSeconds 90\n", CONF_SERVER);
	struct host *h = a.host[1];
	static const struct { const char *text; int64_t ms; } times[] = {
		{ "Seconds 0\n", 0 }, { "Seconds 5s\n", 5000 }, { "Seconds 250ms\n", 250 }, { "Seconds 2mi\n", 120000 },
		{ "Seconds 2MIN\n", 120000 }, { "Seconds 1h\n", 3600000 },
	};
	size_t i;

	(void)state;
	assert_string_equal(a.w->said, "");
	assert_string_equal(h->root, "a");
	assert_string_equal(h->path, "/srv/logs/x");
	assert_int_equal(h->flag, 1);
	assert_int_equal(h->choice, 5);
	assert_true(h->number == 42);
	assert_true(h->seconds == 90000);
	world_free(a.w);
	for (i = 0; i < sizeof(times) / sizeof(*times); i++) {
		a = apply(times[i].text, CONF_SERVER);
		assert_string_equal(a.w->said, "");
		assert_true(((struct host *)a.host[1])->seconds == times[i].ms);
		world_free(a.w);
	}
	a = apply("Flag OFF\nNumber -1\nPath /x/y\n", CONF_SERVER);
	h = a.host[1];
	assert_int_equal(h->flag, 0);
	assert_true(h->number == -1);
	assert_string_equal(h->path, "/x/y");
	world_free(a.w);
}

static void test_contexts(void **state)
{
	static const struct { const char *text; enum conf_context context; const char *said; } rows[] = {
		{ "<Directory /x>\nKeepAlive On\n</Directory>\n", CONF_SERVER,
		  "E f:2: KeepAlive is not allowed in <Directory>; it belongs to: server config, virtual host; move it out of the section" },
		{ "<Directory /x>\n<Directory /y>\n</Directory>\n</Directory>\n", CONF_SERVER, "<Directory> is not allowed in <Directory>" },
		{ "None\n", CONF_HOST, "None is not allowed in <VirtualHost>; it belongs to: server config; move it out of all sections" },
		{ "Below x\n", CONF_SERVER, "it belongs to: directory, .htaccess; move it into a section" },
		{ "Named x\n", CONF_SERVER, "it belongs to: virtual host; move it into a <VirtualHost> section" },
		{ "Flag On\n", CONF_HTACCESS, "Flag is not allowed in .htaccess files; it belongs to" },
		{ "Inner x\n", CONF_HTACCESS, "" },
		{ "Idle\n", CONF_HTACCESS, "it belongs to: server config, virtual host, directory" },
		{ "Idle\n", CONF_FILES, "N f:1: Idle: without effect here: nobody needs it" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct applied a = apply(rows[i].text, rows[i].context);

		if (!strstr(a.w->said, rows[i].said) || (!*rows[i].said && a.w->reports)) {
			print_error("%ssaid: %swant: %s\n", rows[i].text, a.w->said, rows[i].said);
			fail();
		}
		world_free(a.w);
	}
}

static void test_context_words(void **state)
{
	char buf[128];

	(void)state;
	assert_string_equal(conf_context_words(CONF_ALL, buf, sizeof(buf)), "server config, virtual host, directory, .htaccess");
	assert_string_equal(conf_context_words(CONF_GLOBAL, buf, sizeof(buf)), "server config");
	assert_string_equal(conf_context_words(CONF_SECTIONS | CONF_HTACCESS, buf, sizeof(buf)), "directory, .htaccess");
	assert_string_equal(conf_context_words(CONF_LOCATION | CONF_DIRECTORY, buf, sizeof(buf)), "<Directory>, <Location>");
	assert_string_equal(conf_context_words(0, buf, sizeof(buf)), "");
	assert_string_equal(conf_context_words(CONF_ALL, buf, 8), "server ");
}

static void test_unknown_names(void **state)
{
	static const struct { const char *text, *said; } rows[] = {
		{ "SSLCertificatFile x\n", "E f:1: unknown directive SSLCertificatFile; did you mean SSLCertificateFile?" },
		{ "KeepAlvie On\n", "did you mean KeepAlive?" },
		{ "Directory /x\n", "unknown directive Directory; did you mean <Directory>?" },
		{ "<KeepAlive>\n</KeepAlive>\n", "unknown section <KeepAlive>; did you mean KeepAlive?" },
		{ "<Directry /x>\nBogus\n</Directry>\n", "unknown section <Directry>; did you mean <Directory>?" },
		{ "NoSuchDirective\n", "unknown directive NoSuchDirective; it is misspelt, or belongs to a module" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct applied a = apply(rows[i].text, CONF_SERVER);

		assert_int_equal(a.result, -1);
		assert_int_equal(a.w->env.errors, 1);
		assert_non_null(strstr(a.w->said, rows[i].said));
		world_free(a.w);
	}
}

static const char *php(void *ctx, const char *name)
{
	(void)ctx;
	return strncmp(name, "php_", 4) ? NULL : "use a FastCGI pool";
}

static void test_the_hook_for_unknown_names(void **state)
{
	struct world *w = world_new();
	struct conf_target target = { .host = NULL };

	(void)state;
	w->env.unknown = php;
	assert_int_equal(conf_apply(conf_read_text("php_value a b\nFlg On\n", "f", &w->env)->first, modules, CONF_SERVER, &target, &w->env), -1);
	assert_true(holds_in_order(w->said, "unknown directive php_value; use a FastCGI pool|unknown directive Flg; did you mean Flag?"));
	world_free(w);
}

static void test_nearest(void **state)
{
	static const struct { const char *name, *near; } rows[] = {
		{ "keepalive", "KeepAlive" }, { "KepAlive", "KeepAlive" }, { "KeepAliev", "KeepAlive" }, { "KeeepAlivee", "KeepAlive" },
		{ "KxxpAlxve", NULL }, { "Eahc", "Each" }, { "Eaxx", NULL }, { "x", NULL }, { "", NULL },
		{ "SSLCertificatesFile", "SSLCertificateFile" }, { "SSLCertificateKeFile", "SSLCertificateKeyFile" },
		{ "AnExtremelyLongNameThatNoDirectiveOfAnyServerEverHadInItsTables", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *near = conf_nearest(modules, rows[i].name);

		if (near ? !rows[i].near || strcmp(near, rows[i].near) : rows[i].near != NULL) {
			print_error("%s: %s, not %s\n", rows[i].name, near ? near : "none", rows[i].near ? rows[i].near : "none");
			fail();
		}
	}
}

static void test_all_faults_are_told(void **state)
{
	struct applied a = apply("Bogus\nFlag no\n<Directory /x>\nFlag On\nPicky a\nInner\n</Directory>\nRoot\nRoot fine\n", CONF_SERVER);

	(void)state;
	assert_int_equal(a.w->env.errors, 6);
	assert_string_equal(((struct host *)a.host[1])->root, "fine");
	world_free(a.w);
}

static void test_notices_are_told_once(void **state)
{
	struct applied a = apply("Idle\nIdle\nPicky note\nPicky note\nPicky warn\nPicky warn\n", CONF_SERVER);

	(void)state;
	assert_int_equal(a.result, 0);
	assert_int_equal(a.w->reports, 4);
	assert_true(holds_in_order(a.w->said, "N f:1: Idle|N f:3: Picky: does nothing|W f:5: Picky: as you like|W f:6: "));
	world_free(a.w);
}

static void count(void *ctx, const struct conf_module *m, const struct conf_directive *d)
{
	(void)m;
	(void)d;
	++*(unsigned *)ctx;
}

static void test_find_and_list(void **state)
{
	const struct conf_module *m = NULL;
	unsigned n = 0;

	(void)state;
	assert_int_equal(conf_modules_number(modules), 3);
	assert_int_equal(second.index, 2);
	assert_string_equal(conf_find(modules, "keepALIVE", &m)->name, "KeepAlive");
	assert_ptr_equal(m, &second);
	assert_null(conf_find(modules, "Keep", NULL));
	conf_list(modules, count, &n);
	assert_int_equal(n, sizeof(first_table) / sizeof(*first_table) + sizeof(second_table) / sizeof(*second_table) - 2);
}

static void test_paths(void **state)
{
	struct world *w = world_new();

	(void)state;
	w->env.root = "/srv/";
	assert_string_equal(conf_path(&w->env, "a/b"), "/srv/a/b");
	assert_string_equal(conf_path(&w->env, "./a"), "/srv/a");
	assert_string_equal(conf_path(&w->env, "/a"), "/a");
	w->env.root = "/";
	assert_string_equal(conf_path(&w->env, "a"), "/a");
	w->env.root = "";
	assert_string_equal(conf_path(&w->env, "a"), "a");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_faulty_arguments),
		cmocka_unit_test(test_a_hash_within_quotes_or_first_is_no_comment),
		cmocka_unit_test(test_setters),
		cmocka_unit_test(test_contexts),
		cmocka_unit_test(test_context_words),
		cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_the_hook_for_unknown_names),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_all_faults_are_told),
		cmocka_unit_test(test_notices_are_told_once),
		cmocka_unit_test(test_find_and_list),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
