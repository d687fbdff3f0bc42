/*
 * ticketfile_fuzz.c - fuzzes server/process/ticketfile.c with the contents of a file that SSLSessionTicketKeyFile names. Holds:
 * - 48 or 80 bytes that are not all the same are taken, everything else is refused, with the reason and a way out;
 * - the same bytes give the same seed and name, another group another name, one bit changed another seed.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "process/ticketfile.h"

static int read_as(const uint8_t *data, size_t n, uint64_t group, struct file_seed *f)
{
	struct err e = { .text = "" };
	unsigned open_to;
	char path[64];
	int fd = memfd_create("tickets", MFD_CLOEXEC), rc;

	CHECK(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	*f = (struct file_seed){ .file = { .path = path }, .group = group };
	rc = ticketfile_read(f, &open_to, &e);
	CHECK(rc == 0 || (e.text[0] && e.remedy[0]));
	close(fd);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct file_seed a, b;
	uint8_t other[80];
	bool good = (n == 48 || n == 80) && memcmp(data, data + 1, n - 1) != 0;

	if (n > 4096)
		return 0;
	CHECK((read_as(data, n, 7, &a) == 0) == good);
	if (!good)
		return 0;
	CHECK(a.id != 0 && read_as(data, n, 7, &b) == 0 && a.id == b.id && memcmp(a.seed, b.seed, sizeof a.seed) == 0);
	CHECK(read_as(data, n, 8, &b) == 0 && a.id != b.id);
	memcpy(other, data, n);
	other[data[0] % n] ^= 1;
	if (read_as(other, n, 7, &b) == 0)
		CHECK(a.id != b.id && memcmp(a.seed, b.seed, sizeof a.seed) != 0);
	return 0;
}
