/*
 * seal.c - the key, the cipher, nonces, and the hash of a key.
 *
 * The key is 32 random bytes in a sealed memfd that the master makes and children read once. What is used are
 * sub-keys of it, so that a child that has wiped the key cannot forge the header. The cipher handle lies in
 * libgcrypt's secure memory, which is kept out of core dumps here. The master opens a handle only for the
 * moment it needs one: what it does not have in memory, none of its other children inherits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shmcache/internal.h"

enum { KEY = 32, SECURE_POOL = 65536 };
#define FORK_ALIVE 0x6576696c61u

/* libgcrypt locks its pool but leaves it in core dumps: the mapping is found by an address inside it. */
static void keep_pool_out_of_dumps(void)
{
	static pid_t done;
	unsigned char *inside;
	FILE *maps;
	char line[512];

	if (done == getpid())
		return;
	done = getpid();
	inside = gcry_malloc_secure(1);
	if (inside == NULL || !gcry_is_secure(inside) || (maps = fopen("/proc/self/maps", "re")) == NULL) {
		gcry_free(inside);
		return;
	}
	while (fgets(line, sizeof(line), maps) != NULL) {
		char *dash;
		uintptr_t from = strtoul(line, &dash, 16), to = *dash == '-' ? strtoul(dash + 1, NULL, 16) : 0;

		if ((uintptr_t)inside >= from && (uintptr_t)inside < to) {
			(void)madvise((void *)from, to - from, MADV_DONTDUMP);
			(void)mlock((void *)from, to - from);   /* a fork does not inherit the first lock */
		}
	}
	fclose(maps);
	gcry_free(inside);
}

int shmc_gcrypt_init(struct shmcache_err *e)
{
	if (gcry_check_version("1.8.0") == NULL)
		return shmc_fail(e, "install libgcrypt 1.8 or later", "libgcrypt %s is too old", gcry_check_version(NULL));
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) == 0) {
		gcry_control(GCRYCTL_DISABLE_SECMEM_WARN);
		gcry_control(GCRYCTL_INIT_SECMEM, SECURE_POOL, 0);
		gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	}
	return 0;
}

int shmc_random(void *p, size_t n)
{
	unsigned char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the key */

int shmc_key_new(struct shmcache_err *e)
{
	unsigned char key[KEY];
	int fd = memfd_create("shmcache-key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ok;

	if (fd < 0)
		return shmc_fail(e, "raise the limit of open files or of memory", "making the cache's key: %s", strerror(errno));
	ok = shmc_random(key, sizeof(key)) == 0 && pwrite(fd, key, sizeof(key), 0) == KEY && fchmod(fd, 0600) == 0 &&
	     fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
	explicit_bzero(key, sizeof(key));
	if (ok)
		return fd;
	shmc_fail(e, "", "making the cache's key: %s", strerror(errno));
	close(fd);
	return -1;
}

/*
 * HMAC-SHA256(key behind keyfd, use | extra): the first block of an HKDF whose key is uniform already. 0 or
 * -1.
 */
static int derive(int keyfd, const char *use, const void *extra, size_t extralen, unsigned char out[KEY])
{
	unsigned char key[KEY];
	gcry_md_hd_t md = NULL;
	struct stat st;
	int r = -1;

	if (fstat(keyfd, &st) == 0 && st.st_size == KEY && pread(keyfd, key, sizeof(key), 0) == KEY &&
	    gcry_md_open(&md, GCRY_MD_SHA256, GCRY_MD_FLAG_HMAC | GCRY_MD_FLAG_SECURE) == 0 &&
	    gcry_md_setkey(md, key, sizeof(key)) == 0) {
		gcry_md_write(md, use, strlen(use) + 1);
		if (extralen > 0)
			gcry_md_write(md, extra, extralen);
		memcpy(out, gcry_md_read(md, GCRY_MD_SHA256), KEY);
		r = 0;
	}
	gcry_md_close(md);
	explicit_bzero(key, sizeof(key));
	return r;
}

int shmc_header_mac(int keyfd, const struct shmc_header *h, unsigned char mac[SHMC_MAC])
{
	return derive(keyfd, "shmcache header", h, offsetof(struct shmc_header, mac), mac);
}

int shmc_cipher_open(int keyfd, gcry_cipher_hd_t *out, uint64_t hash_key[2], struct shmcache_err *e)
{
	unsigned char sub[KEY];
	gcry_cipher_hd_t h = NULL;
	int ok;

	*out = NULL;
	if (hash_key != NULL) {
		if (derive(keyfd, "shmcache hash", NULL, 0, sub) < 0)
			return shmc_fail(e, "", "the cache's key cannot be read");
		memcpy(hash_key, sub, 2 * sizeof(hash_key[0]));
	}
	ok = derive(keyfd, "shmcache seal", NULL, 0, sub) == 0 &&
	     gcry_cipher_open(&h, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_GCM, GCRY_CIPHER_SECURE) == 0 &&
	     gcry_cipher_setkey(h, sub, sizeof(sub)) == 0;
	explicit_bzero(sub, sizeof(sub));
	if (!ok) {
		gcry_cipher_close(h);
		return shmc_fail(e, "", "the cache's key cannot be read or libgcrypt has no AES-256-GCM");
	}
	keep_pool_out_of_dumps();
	*out = h;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ sealing */

int shmc_seal(gcry_cipher_hd_t h, const unsigned char nonce[12], const void *aad, size_t aadlen, const void *in,
              size_t len, void *out, unsigned char tag[16])
{
	if (gcry_cipher_setiv(h, nonce, 12) != 0 || gcry_cipher_authenticate(h, aad, aadlen) != 0 ||
	    gcry_cipher_encrypt(h, out, len, in, len) != 0 || gcry_cipher_gettag(h, tag, 16) != 0)
		return -1;
	return 0;
}

int shmc_unseal(gcry_cipher_hd_t h, const unsigned char nonce[12], const void *aad, size_t aadlen, const void *in,
                size_t len, void *out, const unsigned char tag[16])
{
	if (gcry_cipher_setiv(h, nonce, 12) == 0 && gcry_cipher_authenticate(h, aad, aadlen) == 0 &&
	    gcry_cipher_decrypt(h, out, len, in, len) == 0 && gcry_cipher_checktag(h, tag, 16) == 0)
		return 0;
	/* What did not pass is nobody's to see. */
	explicit_bzero(out, len);
	return -1;
}

/* ------------------------------------------------------------------------------------------------ nonces */

int shmc_fork_page(struct shmcache *c, struct shmcache_err *e)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return shmc_fail(e, "", "no memory for the cache: %s", strerror(errno));
	/* Kernels before 4.14 do not know it; the rule that children never fork then stands alone. */
	(void)madvise(p, page, MADV_WIPEONFORK);
	c->fork = p;
	if (shmc_random(c->fork->prefix, sizeof(c->fork->prefix)) < 0)
		return shmc_fail(e, "", "no random numbers for the cache: %s", strerror(errno));
	c->fork->alive = FORK_ALIVE;
	return 0;
}

bool shmc_forked(const struct shmcache *c)
{
	return c->fork == NULL || c->fork->alive != FORK_ALIVE;
}

/*
 * 8 bytes that this process drew, 4 that count: no two of a process are alike, and those of two hardly ever.
 */
int shmc_nonce(struct shmcache *c, unsigned char nonce[12])
{
	struct shmc_fork *f = c->fork;

	if (f->count == UINT32_MAX) {
		if (shmc_random(f->prefix, sizeof(f->prefix)) < 0)
			return -1;
		f->count = 0;
	}
	f->count++;
	memcpy(nonce, f->prefix, sizeof(f->prefix));
	memcpy(nonce + sizeof(f->prefix), &f->count, sizeof(f->count));
	return 0;
}

/* ------------------------------------------------------------------------------------------------ hash */

static inline uint64_t turn(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], unsigned n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = turn(v[1], 13) ^ v[0];
		v[3] = turn(v[3], 16) ^ v[2];
		v[0] = turn(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = turn(v[1], 17) ^ v[2];
		v[3] = turn(v[3], 21) ^ v[0];
		v[2] = turn(v[2], 32);
	}
}

/*
 * SipHash-2-4 of the 32 bytes: clients can aim neither at a shard nor at a bucket, whatever the caller's keys
 * are.
 */
uint64_t shmc_hash(const struct shmcache *c, const unsigned char key[SHMCACHE_KEY])
{
	uint64_t v[4] = { c->hash_key[0] ^ 0x736f6d6570736575u, c->hash_key[1] ^ 0x646f72616e646f6du,
		          c->hash_key[0] ^ 0x6c7967656e657261u, c->hash_key[1] ^ 0x7465646279746573u };
	uint64_t m;

	for (size_t i = 0; i < SHMCACHE_KEY; i += sizeof(m)) {
		memcpy(&m, key + i, sizeof(m));
		v[3] ^= m;
		sip_rounds(v, 2);
		v[0] ^= m;
	}
	m = (uint64_t)SHMCACHE_KEY << 56;
	v[3] ^= m;
	sip_rounds(v, 2);
	v[0] ^= m;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
