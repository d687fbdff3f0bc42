/*
 * tooltar_test.c - the archive of bulkhead-crash bundle, held against tar: contents of every length, and names as long as the format knows
 * and longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>

#include "crashdump/tool/tar.c"

static char file[] = "/tmp/tooltar_test.XXXXXX";
static struct bundle_entry entries[4];
static struct bundle b = { .entry = entries };
static char big[3 * BLOCK + 1];

static void put(unsigned i, char *name, size_t n)
{
	entries[i] = (struct bundle_entry){ .name = name, .text = { .text = big, .n = n } };
	b.entries = i + 1;
}

/* What a command prints of the archive. */
static const char *said(const char *arguments)
{
	static char out[16384];
	char command[512];
	FILE *f;

	snprintf(command, sizeof command, "tar %s 2>&1", arguments);
	f = popen(command, "r");
	assert_non_null(f);
	out[fread(out, 1, sizeof out - 1, f)] = '\0';
	assert_int_equal(pclose(f), 0);
	return out;
}

static void test_tar_reads_it(void **state)
{
	char empty[] = "empty", block[] = "block", more[] = "more", arguments[128], longer[400], wanted[2048];
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	memset(big, 'x', sizeof big);
	put(0, empty, 0);
	put(1, block, BLOCK);
	put(2, more, sizeof big);
	/* "top/" and 97 bytes: too long for the name's field, so its folder goes into the prefix. */
	memset(longer, 'n', sizeof longer);
	longer[97] = '\0';
	put(3, longer, 1);
	assert_int_equal(bundle_write(&b, "top", fd), 0);
	snprintf(arguments, sizeof arguments, "-tzf %s", file);
	snprintf(wanted, sizeof wanted, "top/empty\ntop/block\ntop/more\ntop/%s\n", longer);
	assert_string_equal(said(arguments), wanted);
	snprintf(arguments, sizeof arguments, "-xzOf %s | tr -d x | wc -c", file);
	assert_int_equal(atoi(said(arguments)), 0);
	snprintf(arguments, sizeof arguments, "-xzOf %s | wc -c", file);
	assert_int_equal(atoi(said(arguments)), BLOCK + sizeof big + 1);
	close(fd);
	unlink(file);
}

/* A name that fits in no way loses its beginning. */
static void test_names(void **state)
{
	struct head h = { .mode = "" };
	char name[400];

	(void)state;
	memset(name, 'a', sizeof name);
	name[299] = '\0';
	put_name(&h, name);
	assert_memory_equal(h.name, name + 199, 100);
	assert_int_equal(h.prefix[0], '\0');
	name[150] = '/';
	name[210] = '\0';
	memset(&h, 0, sizeof h);
	put_name(&h, name);
	assert_int_equal(strnlen(h.prefix, sizeof h.prefix), 150);
	assert_int_equal(strnlen(h.name, sizeof h.name), 59);
	name[40] = '/';                         /* the first slash leaves too much behind it */
	memset(&h, 0, sizeof h);
	put_name(&h, name);
	assert_int_equal(strnlen(h.prefix, sizeof h.prefix), 150);
}

static void test_what_cannot_be_written(void **state)
{
	int full = open("/dev/full", O_WRONLY);

	(void)state;
	assert_int_equal(bundle_write(&b, "top", -1), -1);
	assert_true(full >= 0);
	assert_int_equal(bundle_write(&b, "top", full), -1);
	close(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_tar_reads_it), cmocka_unit_test(test_names), cmocka_unit_test(test_what_cannot_be_written) };

	return cmocka_run_group_tests_name("crashdump/tooltar", tests, NULL, NULL);
}
