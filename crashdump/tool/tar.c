/*
 * tar.c - the archive of bulkhead-crash bundle: POSIX ustar, compressed by zlib.
 */
#include "crashdump/tool/bundle.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK 512

struct head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6], version[2], user[32],
		group[32], major[8], minor[8], prefix[155], unused[12];
};
_Static_assert(sizeof(struct head) == BLOCK, "a head is a block");

/* A name of up to 100 bytes, or a folder of up to 155 and the rest; of a longer one its end. */
static void put_name(struct head *h, const char *name)
{
	size_t n = strlen(name);

	if (n <= sizeof h->name) {
		memcpy(h->name, name, n);
		return;
	}
	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t before = (size_t)(slash - name), behind = n - before - 1;

		if (before > sizeof h->prefix || behind > sizeof h->name || !behind)
			continue;
		memcpy(h->prefix, name, before);
		memcpy(h->name, slash + 1, behind);
		return;
	}
	memcpy(h->name, name + n - sizeof h->name, sizeof h->name);
}

static bool put_bytes(gzFile out, const void *bytes, size_t n)
{
	return !n || gzwrite(out, bytes, (unsigned)n) == (int)n;
}

static bool put_entry(gzFile out, const char *name, const struct toolmask_text *t, long now)
{
	static const char zero[BLOCK];
	struct head h = { .mode = "0000600", .uid = "0000000", .gid = "0000000", .type = '0', .magic = "ustar", .version = { '0', '0' } };
	unsigned sum = 0;

	put_name(&h, name);
	snprintf(h.size, sizeof h.size, "%011zo", t->n);
	snprintf(h.mtime, sizeof h.mtime, "%011lo", (unsigned long)now & 077777777777);
	memset(h.sum, ' ', sizeof h.sum);
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const unsigned char *)&h)[i];
	snprintf(h.sum, sizeof h.sum, "%06o", sum);
	return put_bytes(out, &h, sizeof h) && put_bytes(out, t->text, t->n) &&
	       put_bytes(out, zero, (BLOCK - t->n % BLOCK) % BLOCK);
}

int bundle_write(const struct bundle *b, const char *top, int fd)
{
	static const char end[2 * BLOCK];
	int copy = dup(fd);
	gzFile out = copy < 0 ? NULL : gzdopen(copy, "wb9");
	bool good = out != NULL;
	char name[4096];

	for (unsigned i = 0; good && i < b->entries; i++) {
		snprintf(name, sizeof name, "%s/%s", top, b->entry[i].name);
		good = put_entry(out, name, &b->entry[i].text, (long)time(NULL));
	}
	good = good && put_bytes(out, end, sizeof end);
	if (!out && copy >= 0)
		close(copy);
	if (out && gzclose(out) != Z_OK)
		good = false;
	return good ? 0 : -1;
}
