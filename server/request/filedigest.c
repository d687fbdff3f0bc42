/*
 * filedigest.c - entity tags made of what a file holds, in the children: SHA-1 in base64, as Apache writes them. It is no
 * secret and proves nothing: it only tells versions apart.
 *
 * A file is read once a child as long as its times, size and inode stay; the digests of the last few files are kept. One that
 * has changed in the last seconds is read each time, since its times might not tell the next change.
 */
#include "request/filedigest.h"

#include <errno.h>
#include <gcrypt.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"

#define KEPT 256
#define SETTLED 2                       /* seconds */
#define LENGTH 20                       /* bytes of SHA-1 */
#define PIECE 65536

struct known {
	struct stat st;
	bool used;
	unsigned char digest[LENGTH];
};

static struct known table[KEPT];        /* by inode; a newer file takes the place of an older one */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim) &&
	       same_time(&a->st_ctim, &b->st_ctim);
}

static bool is_settled(const struct request *r)
{
	return r->st.st_mtim.tv_sec + SETTLED < r->received.tv_sec && r->st.st_ctim.tv_sec + SETTLED < r->received.tv_sec;
}

/* False where the file cannot be read whole. */
static bool digest(int fd, off_t size, unsigned char out[LENGTH])
{
	static unsigned char piece[PIECE];
	gcry_md_hd_t h;
	off_t at = 0;

	secret_hash_init();
	if (gcry_md_open(&h, GCRY_MD_SHA1, 0) != 0)
		return false;
	while (at < size) {
		size_t want = size - at < PIECE ? (size_t)(size - at) : PIECE;
		ssize_t n = pread(fd, piece, want, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		gcry_md_write(h, piece, (size_t)n);
		at += n;
	}
	memcpy(out, gcry_md_read(h, GCRY_MD_SHA1), LENGTH);
	gcry_md_close(h);
	return at == size;
}

/* 20 bytes are 27 letters of base64 and its "=". */
static const char *tag(struct request *r, const unsigned char *bytes)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[LENGTH * 8 / 6 + 5];
	unsigned bits = 0, held = 0;
	size_t n = 0;

	text[n++] = '"';
	for (unsigned i = 0; i < LENGTH; i++) {
		held = held << 8 | bytes[i];
		for (bits += 8; bits >= 6; bits -= 6)
			text[n++] = letters[held >> (bits - 6) & 63];
	}
	if (bits)
		text[n++] = letters[held << (6 - bits) & 63];
	text[n++] = '=';
	text[n++] = '"';
	return arena_strndup(r->arena, text, n);
}

const char *filedigest_tag(struct request *r)
{
	struct known *k = &table[(uint64_t)r->st.st_ino % KEPT];

	if (r->fd < 0 || r->st.st_size > FILEDIGEST_MAX)
		return NULL;
	if (!k->used || !same_file(&k->st, &r->st)) {
		k->used = false;
		if (!digest(r->fd, r->st.st_size, k->digest))
			return NULL;
		k->st = r->st;
		k->used = is_settled(r);
	}
	return tag(r, k->digest);
}
