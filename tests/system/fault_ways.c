/*
 * fault_ways.c - the ways in which the fault injector makes a process crash: in our code, in the C library with a lock of
 * its own held, in assembler of the cryptographic libraries, below their callbacks, through broken pointers and stacks.
 * A child's sandbox refuses most system calls, so what needs one was prepared before. Linked into the tests' server, and
 * into the ordinary one with FAULTS=1.
 */
#include "tests/system/fault_ways.h"

#include <assert.h>
#include <dlfcn.h>
#include <gcrypt.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log/log.h"

/* Each stands in the backtrace: none is inlined, and none of its calls becomes a jump. */
#define CRASHES static __attribute__((noinline, noclone, no_sanitize("address", "undefined")))
#define STAY    __asm__ volatile("" ::: "memory")
#define LARGE   (1u << 20)

static volatile int zero, sink;
static int *volatile null_pointer;
static void *volatile near_null = (void *)16;
static char *cut_file;                  /* a mapping whose file was cut off behind it */
static int no_lock;
int *volatile fault_lock = &no_lock;    /* the lock of the C library's heap, for a debugger to look at */

/* ------------------------------------------------------------------------------------------------ one bad instruction */

CRASHES void crash_null(void) { *null_pointer = 1; }
CRASHES void crash_leaf(void) { sink = *null_pointer; }
CRASHES void crash_fpe(void) { sink = sink / zero; }
CRASHES void crash_illegal(void) { __builtin_trap(); }
CRASHES void crash_bus(void) { sink = *(volatile char *)cut_file; }

CRASHES void crash_non_canonical(void)
{
	volatile uintptr_t address = 0x4141414141414141;

	sink = *(volatile int *)address;
}

CRASHES void crash_memcpy(void)
{
	static char to[4096];

	memcpy(to, near_null, 4000 + (unsigned)zero);
	sink = to[17];
}

/* Three functions that are one in the machine's code. */
static inline __attribute__((always_inline, no_sanitize("address", "undefined"))) void inlined_deep(int *volatile *where)
{
	**where = 2;
}

static inline __attribute__((always_inline)) void inlined_outer(int *volatile *where)
{
	sink++;
	inlined_deep(where);
	sink++;
}

CRASHES void crash_inlined(void) { inlined_outer(&null_pointer); }

/* The call is the last instruction of its function: the return address belongs to the next one. */
CRASHES __attribute__((noreturn)) void never_returns(void)
{
	*null_pointer = 3;
	__builtin_unreachable();
}

CRASHES void crash_noreturn(void)
{
	sink++;
	never_returns();
}

/* ------------------------------------------------------------------------------------------------ bad calls */

CRASHES void crash_call_null(void)
{
	void (*volatile f)(void) = NULL;

	f();
	STAY;
}

CRASHES void crash_call_garbage(void)
{
	void (*volatile f)(void) = (void (*)(void))(uintptr_t)0x123456789000;

	f();
	STAY;
}

CRASHES void crash_call_data(void)
{
	static char data[64] = { (char)0xc3 };
	void (*volatile f)(void) = (void (*)(void))(uintptr_t)data;

	f();
	STAY;
}

/* ------------------------------------------------------------------------------------------------ the stack */

CRASHES int recurse(int depth)
{
	volatile char room[512];

	room[0] = (char)depth;
	if (depth == 0)
		crash_null();
	if (depth == zero - 2)
		return 0;
	return recurse(depth < 0 ? depth : depth - 1) + room[0];
}

CRASHES void crash_overflow(void) { sink = recurse(-1); }
CRASHES void crash_recursion(void) { sink = recurse(2000); }

CRASHES void crash_smashed(void)
{
	void *volatile *frame = __builtin_frame_address(0);

	frame[1] = (void *)(uintptr_t)0xdeadbeef;
}

CRASHES void crash_canary(void)
{
	char room[24];
	volatile char *p = room;

	for (int i = 0; i < 40; i++)
		p[i] = 'A';
	sink = p[3];
}

CRASHES void crash_fortify(void)
{
	char room[16];
	volatile size_t n = 64;

	memset(room, 'A', n);
	sink = ((volatile char *)room)[3];
}

/* ------------------------------------------------------------------------------------------------ the C library */

CRASHES void crash_abort(void) { abort(); }
CRASHES void crash_assert(void) { assert(zero == 1); STAY; }

CRASHES void crash_double_free(void)
{
	char *block = malloc(100);
	void *volatile again = block;

	free(block);
	free(again);
	STAY;
}

/* The C library takes its heap's lock only where there were threads: it shall believe that there were. */
static void lock_the_heap(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	char *single = libc ? dlsym(libc, "__libc_single_threaded") : NULL;

	if (single)
		*single = 0;
}

/* So that the compiler does not see that blocks are used which are free. */
CRASHES void free_first(void *block) { free(block); }

/* A free block's links: the list of such blocks stands in the heap's head, 96 bytes behind its lock. */
static void *volatile *freed_block(void)
{
	void *volatile *volatile block = malloc(5000), *volatile fence = malloc(5000);

	sink = fence == NULL;
	free_first((void *)(uintptr_t)block);
	fault_lock = (int *)(void *)((char *)block[1] - 96);
	lock_the_heap();
	return block;
}

CRASHES void crash_malloc_locked(void)
{
	void *volatile *block = freed_block();

	block[1] = (void *)16;
	sink = malloc(6000 + (unsigned)zero) == NULL;
}

CRASHES void crash_malloc_abort(void)
{
	void *volatile *block = freed_block();

	block[0] = (void *)(uintptr_t)block;
	sink = malloc(6000 + (unsigned)zero) == NULL;
}

CRASHES void crash_heap_gone(void)
{
	char *volatile block = malloc(64), *at = block;

	for (size_t i = 0; i < 60000; i++)
		((volatile char *)at)[i] = 'A';
	crash_null();
	STAY;
}

CRASHES int compare(const void *a, const void *b)
{
	sink = *(const int *)a + *(const int *)b;
	crash_null();
	return 0;
}

CRASHES void crash_qsort(void)
{
	int some[4] = { 4, 3, 2, 1 };

	qsort(some, 4, sizeof some[0], compare);
	STAY;
}

CRASHES void in_signal(int number)
{
	sink = number;
	crash_null();
	STAY;
}

CRASHES void crash_in_signal(void)
{
	signal(SIGUSR2, in_signal);
	raise(SIGUSR2);
	STAY;
}

/* ------------------------------------------------------------------------------------------------ the loader */

CRASHES int in_loader(struct dl_phdr_info *info, size_t n, void *arg)
{
	(void)arg;
	sink = (int)n + (info != NULL);
	crash_null();
	return 1;
}

CRASHES void crash_loader(void)
{
	dl_iterate_phdr(in_loader, NULL);
	STAY;
}

CRASHES void crash_dlsym(void)
{
	sink = dlsym(near_null, "nothing") != NULL;
	STAY;
}

/* ------------------------------------------------------------------------------------------------ cryptography */

CRASHES void hash(gnutls_digest_algorithm_t algorithm)
{
	unsigned char digest[64];

	gnutls_hash_fast(algorithm, near_null, LARGE, digest);
	sink = digest[1];
}

CRASHES void crash_sha256(void) { hash(GNUTLS_DIG_SHA256); STAY; }
CRASHES void crash_md5(void) { hash(GNUTLS_DIG_MD5); STAY; }

CRASHES void encrypt(gnutls_cipher_algorithm_t algorithm, unsigned iv_size)
{
	static unsigned char bytes[32];
	gnutls_datum_t key = { bytes, 16 }, iv = { bytes, iv_size };
	gnutls_cipher_hd_t cipher;

	if (gnutls_cipher_init(&cipher, algorithm, &key, &iv) == 0)
		sink = gnutls_cipher_encrypt(cipher, near_null, LARGE);
}

CRASHES void crash_cbc(void) { encrypt(GNUTLS_CIPHER_AES_128_CBC, 16); STAY; }
CRASHES void crash_gcm(void) { encrypt(GNUTLS_CIPHER_AES_128_GCM, 12); STAY; }

CRASHES ssize_t push(gnutls_transport_ptr_t transport, const void *data, size_t n)
{
	sink = transport == data;
	crash_null();
	return (ssize_t)n;
}

/* A client's first flight goes through our function. */
CRASHES void crash_callback(void)
{
	gnutls_certificate_credentials_t none;
	gnutls_session_t session;

	if (gnutls_certificate_allocate_credentials(&none) || gnutls_init(&session, GNUTLS_CLIENT) || gnutls_set_default_priority(session) ||
	    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, none))
		return;
	gnutls_transport_set_push_function(session, push);
	sink = gnutls_handshake(session);
	STAY;
}

CRASHES void crash_gcrypt_hash(void)
{
	unsigned char digest[64];

	gcry_md_hash_buffer(GCRY_MD_SHA256, digest, near_null, LARGE);
	sink = digest[1];
}

CRASHES void crash_gcrypt_gcm(void)
{
	static unsigned char bytes[32];
	gcry_cipher_hd_t cipher;

	if (gcry_cipher_open(&cipher, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_GCM, 0) || gcry_cipher_setkey(cipher, bytes, 32) ||
	    gcry_cipher_setiv(cipher, bytes, 12))
		return;
	sink = (int)gcry_cipher_encrypt(cipher, near_null, LARGE, NULL, 0);
}

/* ------------------------------------------------------------------------------------------------ ours */

CRASHES void crash_sandbox(void)
{
	syscall(SYS_execve, "/bin/true", NULL, NULL);
	STAY;
}

CRASHES void crash_log_text(void)
{
	log_errorx(NULL, LOG_CRASH, NULL, "%s", (const char *)near_null);
	STAY;
}

const struct fault_way fault_ways[] = {
	{ "null", crash_null }, { "leaf", crash_leaf }, { "fpe", crash_fpe }, { "illegal", crash_illegal }, { "bus", crash_bus },
	{ "non-canonical", crash_non_canonical }, { "memcpy", crash_memcpy }, { "inlined", crash_inlined },
	{ "noreturn", crash_noreturn }, { "call-null", crash_call_null }, { "call-garbage", crash_call_garbage },
	{ "call-data", crash_call_data }, { "overflow", crash_overflow }, { "recursion", crash_recursion },
	{ "smashed", crash_smashed }, { "canary", crash_canary }, { "fortify", crash_fortify }, { "abort", crash_abort },
	{ "assert", crash_assert }, { "double-free", crash_double_free }, { "malloc-locked", crash_malloc_locked },
	{ "malloc-abort", crash_malloc_abort }, { "heap-gone", crash_heap_gone }, { "qsort", crash_qsort },
	{ "in-signal", crash_in_signal }, { "loader", crash_loader }, { "dlsym", crash_dlsym }, { "sha256", crash_sha256 },
	{ "md5", crash_md5 }, { "cbc", crash_cbc }, { "gcm", crash_gcm }, { "callback", crash_callback },
	{ "gcrypt-hash", crash_gcrypt_hash }, { "gcrypt-gcm", crash_gcrypt_gcm }, { "sandbox", crash_sandbox },
	{ "log-text", crash_log_text },
	{ NULL, NULL }
};

const struct fault_way *fault_way_find(const char *name, size_t n)
{
	for (const struct fault_way *w = fault_ways; w->name; w++)
		if (strlen(w->name) == n && !memcmp(w->name, name, n))
			return w;
	return NULL;
}

CRASHES void fault_level(const struct fault_way *way, unsigned left)
{
	if (left)
		fault_level(way, left - 1);
	else
		way->crash();
	STAY;
}

void fault_crash(const struct fault_way *way, unsigned depth)
{
	fault_level(way, depth < 1000 ? depth : 1000);
	STAY;
}

__attribute__((constructor)) static void cut_a_file(void)
{
	int fd = memfd_create("fault", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, 4096) == 0)
		cut_file = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (fd >= 0 && ftruncate(fd, 0) == 0)
		close(fd);
}
