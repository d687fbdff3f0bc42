/*
 * inside_test.c - crashes deep in other people's code, while it holds its locks: the handler asks none of them for anything.
 * That a lock is really held is shown by a release step that asks for it: it hangs, and is left.
 */
#include "tests/unit/crashdump/harness.h"

#include <dlfcn.h>
#include <gcrypt.h>
#include <link.h>
#include <pthread.h>

#define CRASHES __attribute__((noinline, noclone, no_sanitize("address", "undefined")))

static void *volatile bad = (void *)8;
static char *volatile first, *volatile second, *volatile between;

/* As soon as there was a second thread, the C library takes its locks. */
static void *idle(void *arg)
{
	return arg;
}

static void many_threads(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, idle, NULL) == 0)
		pthread_join(t, NULL);
}

/* A watchdog that does not bite fails the test instead of stopping it. */
static _Noreturn void not_held(void)
{
	_exit(97);
}

static void check(const struct run *run, const char *const names[8], bool hangs)
{
	struct outcome o = harness_run(run);

	if (!WIFSIGNALED(o.status) || WTERMSIG(o.status) != SIGSEGV || !o.report || !strstr(o.report, "\nend: complete\n") || !harness_frames(&o, names))
		fail_msg("status %x, report:\n%s", (unsigned)o.status, o.report ? o.report : "none");
	assert_true(o.client_eof);
	if (hangs)
		assert_non_null(strstr(harness_value(&o, "snapshot"), "left-by=SIGALRM left=release"));
	else
		assert_null(strstr(harness_value(&o, "snapshot"), "left="));
	harness_done(&o);
}

/* ------------------------------------------------------------------------------------------------------- malloc */

/* A chunk of the unsorted list leads to nowhere: the next malloc follows it with the arena's lock held. */
CRASHES static void crash_in_malloc(void)
{
	many_threads();
	first = malloc(5000);
	between = malloc(100);
	second = malloc(6000);
	void *at = first;
	free(at);
	*(void *volatile *)(void *)(first + sizeof(void *)) = bad;
	between = malloc(9000);
}

static void ask_malloc(void)
{
	second = malloc(7000);
	not_held();
}

static void in_malloc_with_its_lock(void **state)
{
	static const char *const names[8] = { "_int_malloc", "crash_in_malloc" };
	struct run run = { .crash = crash_in_malloc, .release = ask_malloc, .watchdog_s = 1 };

	(void)state;
#ifdef BULKHEAD_SANITIZE
	skip();         /* it has a malloc of its own */
#endif
	check(&run, names, true);
	run.release = NULL;
	check(&run, names, false);
}

/* ------------------------------------------------------------------------------------------------------- the loader */

CRASHES static int crash_in_callback(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	*(volatile int *)arg = 1;
	return 0;
}

CRASHES static void crash_in_the_list_of_modules(void)
{
	many_threads();
	dl_iterate_phdr(crash_in_callback, bad);
	not_held();
}

static char library[128];

/* Its constructor runs with the loader's lock. */
CRASHES static void crash_in_dlopen(void)
{
	many_threads();
	dlopen(library, RTLD_NOW);
	_exit(98);
}

static void make_library(void)
{
	char command[512];

	snprintf(library, sizeof library, "/tmp/crashdump-inside-%d.so", (int)getpid());
	snprintf(command, sizeof command, "echo '__attribute__((constructor)) void constructed(void) { *(volatile int *)8 = 1; }' |"
		 " ${CC:-cc} -g -shared -fPIC -o %s -xc -", library);
	assert_int_equal(system(command), 0);
}

static void in_the_loader_with_its_lock(void **state)
{
	static const char *const list[8] = { "crash_in_callback", "dl_iterate_phdr", "crash_in_the_list_of_modules" };
	static const char *const open[8] = { "constructed", "crash_in_dlopen" };
	struct run run = { .crash = crash_in_the_list_of_modules };

	(void)state;
	check(&run, list, false);
	make_library();
	run.crash = crash_in_dlopen;
	check(&run, open, false);
	unlink(library);
}

/* ------------------------------------------------------------------------------------------------------- libgcrypt */

CRASHES static void crash_in_gcrypt(void)
{
	many_threads();
	gcry_create_nonce(bad, 16);     /* fills it with its lock held */
	not_held();
}

static void ask_gcrypt(void)
{
	char nonce[8];

	gcry_create_nonce(nonce, sizeof nonce);
	not_held();
}

static void in_libgcrypt_with_its_lock(void **state)
{
	static const char *const names[8] = { "crash_in_gcrypt" };
	struct run run = { .crash = crash_in_gcrypt, .release = ask_gcrypt, .watchdog_s = 1 };

	(void)state;
	gcry_check_version(NULL);
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	check(&run, names, true);
	run.release = NULL;
	check(&run, names, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_malloc_with_its_lock),
		cmocka_unit_test(in_the_loader_with_its_lock),
		cmocka_unit_test(in_libgcrypt_with_its_lock),
	};

	return cmocka_run_group_tests(tests, harness_setup, NULL);
}
