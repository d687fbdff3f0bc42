/*
 * secret.c - pages for secrets: [guard][data ...][guard]. Runs in any process. A secret that a core dump
 * would contain is refused; one that may be swapped out (mlock above RLIMIT_MEMLOCK) is not: that is the
 * administrator's choice.
 */
#include "base/secret.h"

#include <errno.h>
#include <gcrypt.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/text.h"

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* The data part in whole pages, and all of the mapping. */
static bool sizes(size_t n, size_t *data, size_t *all)
{
	size_t page = page_size();

	if (!size_add(n ? n : 1, page - 1, data))
		return false;
	*data &= ~(page - 1);
	return size_add(*data, 2 * page, all);
}

void *secret_alloc(size_t n, unsigned flags)
{
	size_t data, all;
	unsigned char *base, *p;

	if (!sizes(n, &data, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	base = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	p = base + page_size();
	if (mprotect(p, data, PROT_READ | PROT_WRITE) != 0 || madvise(p, data, MADV_DONTDUMP) != 0
	    || ((flags & SECRET_NOFORK) && madvise(p, data, MADV_DONTFORK) != 0)) {
		int saved = errno;
		munmap(base, all);
		errno = saved;
		return NULL;
	}
	(void)mlock(p, data);
	return p;
}

void secret_free(void *p, size_t n)
{
	size_t data, all;

	if (!p || !sizes(n, &data, &all))
		return;
	secret_wipe(p, data);
	munmap((unsigned char *)p - page_size(), all);
}

void secret_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

int secret_random(void *p, size_t n)
{
	unsigned char *at = p;

	while (n) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

void secret_hash_init(void)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return;
	gcry_check_version(NULL);
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}
