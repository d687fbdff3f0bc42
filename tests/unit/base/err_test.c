/* err_test.c - covers server/base/err.c: the first words win, nothing overflows, the printed form. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void first_wins(void **state)
{
	struct err e = { .line = 0 };
	char line[2048];

	(void)state;
	assert_int_equal(err_set(&e, "cannot open %s", "a"), -1);
	err_set(&e, "start failed");
	err_at(&e, "/etc/x.conf", 12);
	err_at(&e, "/other", 99);
	err_remedy(&e, "chmod %o %s", 0600u, "a");
	err_remedy(&e, "something else");
	assert_string_equal(err_print(&e, line, sizeof line), "/etc/x.conf:12: cannot open a; chmod 600 a");
}

static void names_errno(void **state)
{
	struct err e = { .line = 0 };

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_sys(&e, "cannot open %s", "b"), -1);
	assert_string_equal(e.text, "cannot open b: No such file or directory");
	assert_int_equal(errno, ENOENT);
}

static void forms(void **state)
{
	static const struct { const char *name, *file; unsigned line; const char *text, *remedy, *want; } rows[] = {
		{ "text alone", "", 0, "wrong", "", "wrong" },
		{ "file without line", "f", 0, "wrong", "", "f: wrong" },
		{ "remedy", "", 0, "wrong", "mend it", "wrong; mend it" },
		{ "nothing", "", 0, "", "", "unknown error" },
	};
	char line[64];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { .line = 0 };
		if (rows[i].file[0])
			err_at(&e, rows[i].file, rows[i].line);
		err_set(&e, "%s", rows[i].text);
		err_remedy(&e, "%s", rows[i].remedy);
		if (strcmp(err_print(&e, line, sizeof line), rows[i].want) != 0)
			fail_msg("%s: \"%s\"", rows[i].name, line);
	}
}

static void cuts_what_is_too_long(void **state)
{
	struct err e = { .line = 0 };
	char big[4096], small[8];

	(void)state;
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	err_set(&e, "%s", big);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_at(&e, big, 1);
	assert_int_equal(strlen(e.file), sizeof e.file - 1);
	err_clear(&e);
	errno = EACCES;
	err_sys(&e, "%s", big);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	assert_int_equal(strlen(err_print(&e, small, sizeof small)), sizeof small - 1);
	err_clear(&e);
	assert_string_equal(e.text, "");
	assert_string_equal(e.file, "");
}

static void null_is_fine(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, "x"), -1);
	assert_int_equal(err_sys(NULL, "x"), -1);
	assert_int_equal(err_at(NULL, "x", 1), -1);
	assert_int_equal(err_remedy(NULL, "x"), -1);
	err_clear(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_wins), cmocka_unit_test(names_errno), cmocka_unit_test(forms),
		cmocka_unit_test(cuts_what_is_too_long), cmocka_unit_test(null_is_fine),
	};
	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
