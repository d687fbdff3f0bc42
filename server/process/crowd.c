/*
 * crowd.c - makes and maps the columns of crowd.h: a memfd of a page for the head, then a column a slot. Its pages are there
 * only once a column is used. Runs in the master, and in each child as it begins.
 */
#include "process/crowd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/secret.h"
#include "process/handover.h"

#define PAGE 4096

_Static_assert(sizeof(struct crowd_column) % PAGE == 0, "a column is whole pages");

static int crowd_fd = -1;
static unsigned char *map;              /* in the master */
static size_t size;

static struct crowd_column *column(unsigned char *mem, unsigned i)
{
	return (struct crowd_column *)(void *)(mem + PAGE) + i;
}

size_t crowd_size(unsigned n)
{
	return PAGE + n * sizeof(struct crowd_column);
}

int crowd_create(unsigned n, int given, struct err *e)
{
	size = crowd_size(n);
	crowd_fd = given >= 0 ? given : memfd_create("bulkhead-crowd", MFD_CLOEXEC);
	if (crowd_fd < 0 || (given < 0 && ftruncate(crowd_fd, (off_t)size) < 0))
		return err_sys(e, "no shared memory to count connections by address");
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, crowd_fd, 0);
	if (map == MAP_FAILED) {
		map = NULL;
		return err_sys(e, "cannot map %zu bytes to count connections by address", size);
	}
	if (given < 0 && secret_random(((struct crowd_head *)(void *)map)->secret, sizeof ((struct crowd_head *)(void *)map)->secret) < 0)
		return err_sys(e, "the kernel gives no random bytes");
	return 0;
}

void crowd_hand_over(FILE *to)
{
	handover_put(to, "crowd", crowd_fd, "of the children");
}

void crowd_clear(unsigned slot)
{
	struct crowd_head *head = (struct crowd_head *)(void *)map;
	uint32_t used = atomic_load_explicit(&head->used, memory_order_relaxed);

	if (slot < used)
		memset(column(map, slot), 0, sizeof(struct crowd_column));
	else
		atomic_store_explicit(&head->used, slot + 1, memory_order_relaxed);
}

int crowd_child(unsigned slot, struct crowd *out, struct err *e)
{
	unsigned char *all;
	void *own;

	crowd_forget();
	all = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, crowd_fd, 0);
	own = mmap(NULL, sizeof(struct crowd_column), PROT_READ | PROT_WRITE, MAP_SHARED, crowd_fd, (off_t)(PAGE + slot * sizeof(struct crowd_column)));
	if (all == MAP_FAILED || own == MAP_FAILED)
		return err_sys(e, "cannot map the counts of connections by address");
	close(crowd_fd);
	crowd_fd = -1;
	*out = (struct crowd){ (const void *)all, column(all, 0), own };
	return 0;
}

void crowd_forget(void)
{
	if (map)
		munmap(map, size);
	map = NULL;
}

int crowd_single(struct crowd *out, struct err *e)
{
	if (crowd_create(1, -1, e) < 0)
		return -1;
	crowd_clear(0);
	*out = (struct crowd){ (const void *)map, column(map, 0), column(map, 0) };
	return 0;
}
