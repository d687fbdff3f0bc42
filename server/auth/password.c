/*
 * password.c - the hashes of passwords. Runs in the children, in the threads that do slow work (conn/work.c) or in the loop.
 */
#include "auth/password.h"

#include <crypt.h>
#include <gcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

#define MD5 16
#define SHA1 20
#define APR1_SALT 8
#define APR1_ROUNDS 1000
#define DES_HASH 13
#define LONGEST 1024                    /* of a hash; a password may be as long as a head lets it */

static const char apr1[] = "$apr1$", sha[] = "{SHA}";
static const char alphabet[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* A process that keeps sessions has done so before (shmcache/seal.c). */
void password_init(void)
{
	secret_hash_init();
}

static bool is(const char *hash, const char *prefix)
{
	return strncmp(hash, prefix, strlen(prefix)) == 0;
}

/* ---------------------------------------------------------------------------------------------- what a hash costs */

/*
 * A hash says itself how long it takes and how much memory, and a thread that is at it cannot be called off. Files of users may be
 * named by per-directory files: so no more is begun than these. One letter is a digit of `alphabet`, as libcrypt counts.
 */
#define MOST_BCRYPT 17                  /* powers of two; htpasswd makes no dearer ones */
#define MOST_ROUNDS 10000000
#define MOST_YESCRYPT 14                /* 'C': 2^15 times 4 KiB */
#define MOST_SCRYPT 15                  /* 'D': the same */
#define MOST_BLOCKS 'T'                 /* of yescrypt: 32; scrypt counts from 0, and has them at 'U' */

static size_t digit(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (size_t)(at - alphabet) : sizeof alphabet;
}

/* $y$j9T$salt$…: flavour, logarithm of N less one, r less one; further parameters only make it dearer. */
static bool yescrypt_dear(const char *p)
{
	return p[0] != 'j' || digit(p[1]) > MOST_YESCRYPT || digit(p[2]) > digit(MOST_BLOCKS) || p[3] != '$';
}

/* $7$CU..../....salt$…: logarithm of N, r and p, both of five letters, the lowest bits first. */
static bool scrypt_dear(const char *p)
{
	return digit(p[0]) > MOST_SCRYPT || digit(p[1]) > digit(MOST_BLOCKS) + 1 || strncmp(p + 2, "..../....", 9) != 0;
}

/* $2y$17$…: two digits. */
static bool bcrypt_dear(const char *p)
{
	return strtoul(p + 2, NULL, 10) > MOST_BCRYPT;
}

/* _J9..salt…: 24 bits, the lowest first. */
static bool des_dear(const char *p)
{
	return strlen(p) < 4 || p[3] != '.';
}

static bool rounds_dear(const char *p)
{
	return strncmp(p, "rounds=", 7) == 0 && strtoul(p + 7, NULL, 10) > MOST_ROUNDS;
}

static bool sha1_dear(const char *p)
{
	return strtoul(p, NULL, 10) > MOST_ROUNDS;
}

static bool dear(const char *hash)
{
	static const struct { char prefix[8]; bool (*dear)(const char *parameters); } kinds[] = {
		{ "$2", bcrypt_dear }, { "$5$", rounds_dear }, { "$6$", rounds_dear }, { "$y$", yescrypt_dear }, { "$gy$", yescrypt_dear },
		{ "$7$", scrypt_dear }, { "_", des_dear }, { "$sha1$", sha1_dear }, { "$md5,", rounds_dear },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (is(hash, kinds[i].prefix))
			return kinds[i].dear(hash + strlen(kinds[i].prefix));
	return false;
}

enum password_kind password_kind(const char *hash)
{
	if (is(hash, sha))
		return PASSWORD_QUICK;
	if (is(hash, apr1))
		return PASSWORD_SLOW;
	if (hash[0] != '$' && hash[0] != '_')   /* the oldest: two letters of salt, eleven of hash, and easily taken for a password */
		return strlen(hash) == DES_HASH && strspn(hash, alphabet) == DES_HASH ? PASSWORD_SLOW : PASSWORD_UNKNOWN;
	switch (crypt_checksalt(hash)) {
	case CRYPT_SALT_OK: case CRYPT_SALT_METHOD_LEGACY: case CRYPT_SALT_TOO_CHEAP:
		return dear(hash) ? PASSWORD_DEAR : PASSWORD_SLOW;
	default:
		return PASSWORD_UNKNOWN;
	}
}

bool password_same(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *p = a, *q = b;
	unsigned char differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(p[i] ^ q[i]);
	return differ == 0;
}

static bool same_text(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && password_same(a, b, n);
}

/* ---------------------------------------------------------------------------------------------- {SHA} */

static void base64(const unsigned char *p, size_t n, char *out)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

		*out++ = letters[v >> 18];
		*out++ = letters[v >> 12 & 63];
		*out++ = i + 1 < n ? letters[v >> 6 & 63] : '=';
		*out++ = i + 2 < n ? letters[v & 63] : '=';
	}
	*out = '\0';
}

static bool sha_matches(const char *password, const char *hash)
{
	unsigned char digest[SHA1];
	char text[SHA1 * 2];

	gcry_md_hash_buffer(GCRY_MD_SHA1, digest, password, strlen(password));
	base64(digest, sizeof digest, text);
	return same_text(text, hash + strlen(sha));
}

/* ---------------------------------------------------------------------------------------------- $apr1$ */

/* MD5-crypt with another name at its beginning; the rounds mix digest, password and salt by what divides their number. */
static bool apr1_digest(const char *password, const char *salt, size_t nsalt, unsigned char digest[MD5])
{
	size_t n = strlen(password);
	gcry_md_hd_t md;

	if (gcry_md_open(&md, GCRY_MD_MD5, 0))
		return false;
	gcry_md_write(md, password, n);
	gcry_md_write(md, salt, nsalt);
	gcry_md_write(md, password, n);
	memcpy(digest, gcry_md_read(md, GCRY_MD_MD5), MD5);
	gcry_md_reset(md);
	gcry_md_write(md, password, n);
	gcry_md_write(md, apr1, strlen(apr1));
	gcry_md_write(md, salt, nsalt);
	for (size_t left = n; left; left -= left < MD5 ? left : MD5)
		gcry_md_write(md, digest, left < MD5 ? left : MD5);
	for (size_t bits = n; bits; bits >>= 1)
		gcry_md_write(md, bits & 1 ? "" : password, 1);
	memcpy(digest, gcry_md_read(md, GCRY_MD_MD5), MD5);
	for (unsigned i = 0; i < APR1_ROUNDS; i++) {
		gcry_md_reset(md);
		gcry_md_write(md, i & 1 ? (const void *)password : digest, i & 1 ? n : MD5);
		if (i % 3)
			gcry_md_write(md, salt, nsalt);
		if (i % 7)
			gcry_md_write(md, password, n);
		gcry_md_write(md, i & 1 ? digest : (const void *)password, i & 1 ? MD5 : n);
		memcpy(digest, gcry_md_read(md, GCRY_MD_MD5), MD5);
	}
	gcry_md_close(md);
	return true;
}

/* Three bytes make four letters, the lowest bits first, in an order of their own. */
static void apr1_text(const unsigned char digest[MD5], char *out)
{
	static const unsigned char order[][3] = { { 0, 6, 12 }, { 1, 7, 13 }, { 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 5 } };
	unsigned v;

	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		v = (unsigned)digest[order[i][0]] << 16 | (unsigned)digest[order[i][1]] << 8 | digest[order[i][2]];
		for (int k = 0; k < 4; k++, v >>= 6)
			*out++ = alphabet[v & 63];
	}
	v = digest[11];
	*out++ = alphabet[v & 63];
	*out++ = alphabet[v >> 6];
	*out = '\0';
}

static bool apr1_matches(const char *password, const char *hash)
{
	const char *salt = hash + strlen(apr1);
	size_t n = strcspn(salt, "$");
	unsigned char digest[MD5];
	char text[24];

	if (n > APR1_SALT || salt[n] != '$' || !apr1_digest(password, salt, n, digest))
		return false;
	apr1_text(digest, text);
	secret_wipe(digest, sizeof digest);
	return same_text(text, salt + n + 1);
}

/* ---------------------------------------------------------------------------------------------- libcrypt */

static bool crypt_matches(const char *password, const char *hash)
{
	struct crypt_data *data = calloc(1, sizeof *data);
	const char *made;
	bool same;

	if (!data)
		return false;
	made = crypt_r(password, hash, data);
	same = made && made[0] != '*' && same_text(made, hash);
	secret_wipe(data, sizeof *data);
	free(data);
	return same;
}

bool password_matches(const char *password, const char *hash)
{
	enum password_kind kind = password_kind(hash);

	if (kind == PASSWORD_UNKNOWN || kind == PASSWORD_DEAR || strlen(hash) >= LONGEST)
		return false;
	return is(hash, sha) ? sha_matches(password, hash) : is(hash, apr1) ? apr1_matches(password, hash) : crypt_matches(password, hash);
}
