/*
 * shared.c - makes and maps what outlives generations: slots, rings, crash slots; and what each role does with these and
 * with the session cache (cache.c makes it). The master makes everything before its first fork; each role keeps what is
 * its own.
 */
#include "process/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/activity.h"
#include "crashdump/crashdump.h"
#include "log/log.h"
#include "process/cache.h"
#include "process/crowd.h"
#include "process/handover.h"
#include "process/seeds.h"
#include "process/tally.h"
#include "process/tallyover.h"
#include "shmcache/shmcache.h"
#include "tls/staple.h"

#define PAGE 4096
#define SLOT_BYTES (RING_AT + RING_SIZE)
#define RING_AT (3 * PAGE)
#define HEAD_BYTES (2 * PAGE)
#define TALLY_BYTES ((sizeof(struct tally) + PAGE - 1) / PAGE * PAGE)
#define ROWS_BYTES (CONN_ROWS * sizeof(struct conn_row))
#define LEAST_SLOTS 32
#define MOST_SLOTS 16384
#define VIEW_MOST 4096                  /* slots that the status page shows: a mapping each */

_Static_assert(RING_SIZE % PAGE == 0, "a ring is whole pages");
_Static_assert(sizeof(struct activity) <= PAGE, "an activity record is a page");

/* Page 0 of a slot. */
struct slot_page {
	struct conn_counters counters;
	_Atomic uint32_t ready, open, no_core, pid, generation;
};
_Static_assert(sizeof(struct slot_page) <= PAGE, "counters are a page");

struct shared shared = { .master_pidfd = -1,
			 .wake = -1,
			 .log_wake = -1,
			 .look = -1,
			 .life = { -1, -1 },
			 .slots_fd = -1,
			 .crash_fd = -1,
			 .core_dir_fd = -1,
			 .staples_fd = -1 };
static size_t pool_size;
static bool unlinked;                   /* the cache's names are gone */

/* What the program before called so, where its memory is taken over. */
static int given(const char *name)
{
	return shared.adopted ? handover_claim(handover_next(NULL, name)) : -1;
}

int64_t shared_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------------------------------------ slots */

static size_t slot_offset(unsigned i)
{
	return HEAD_BYTES + TALLY_BYTES + (size_t)i * SLOT_BYTES;
}

static size_t rows_offset(unsigned i)
{
	return slot_offset(shared.nslots) + (size_t)i * ROWS_BYTES;
}

static void slot_at(unsigned char *mem, void *rows, struct shared_slot *out)
{
	struct slot_page *page = (struct slot_page *)(void *)mem;

	*out = (struct shared_slot){
		.counters = &page->counters,
		.rows = rows,
		.ready = &page->ready,
		.pid = &page->pid,
		.generation = &page->generation,
		.open = &page->open,
		.no_core = &page->no_core,
		.activity = (struct activity *)(void *)(mem + PAGE),
		.shown = (struct conn_shown *)(void *)(mem + (size_t)2 * PAGE),
		.ring = (struct ring *)(void *)(mem + (size_t)RING_AT),
	};
}

struct shared_head *shared_head(void)
{
	return (struct shared_head *)(void *)shared.map;
}

struct tally *shared_tally(void)
{
	return shared.map ? (struct tally *)(void *)(shared.map + HEAD_BYTES) : NULL;
}

struct shared_journal *shared_journal(void)
{
	return (struct shared_journal *)(void *)(shared.map + PAGE);
}

void shared_slot(unsigned i, struct shared_slot *out)
{
	slot_at(shared.map + slot_offset(i), shared.map + rows_offset(i), out);
}

static int make_slots(unsigned n, struct err *e)
{
	shared.nslots = n;
	shared.map_size = rows_offset(n);
	shared.slots_fd = given("slots");
	if (shared.slots_fd < 0) {
		shared.slots_fd = memfd_create("bulkhead-slots", MFD_CLOEXEC);
		if (shared.slots_fd < 0 || ftruncate(shared.slots_fd, (off_t)shared.map_size) < 0)
			return err_sys(e, "no shared memory for %u slots", n);
	}
	shared.map = mmap(NULL, shared.map_size, PROT_READ | PROT_WRITE, MAP_SHARED, shared.slots_fd, 0);
	if (shared.map == MAP_FAILED) {
		shared.map = NULL;
		return err_sys(e, "cannot map %zu bytes of slots", shared.map_size);
	}
	if (shared.adopted)
		return 0;
	shared_head()->nslots = n;
	shared_head()->started = time(NULL);
	for (unsigned i = 0; i < n; i++) {
		struct shared_slot s;
		shared_slot(i, &s);
		ring_init(s.ring);
	}
	return 0;
}

static void *map_part(size_t at, size_t n)
{
	return mmap(NULL, n, PROT_READ, MAP_SHARED, shared.slots_fd, (off_t)at);
}

int shared_view(struct shared_view *v, bool activity, struct err *e)
{
	unsigned n = shared.nslots < VIEW_MOST ? shared.nslots : VIEW_MOST;
	unsigned char *head = map_part(0, PAGE), *tally = map_part(HEAD_BYTES, TALLY_BYTES), *rows = map_part(rows_offset(0), n * ROWS_BYTES);
	struct shared_slot *all = calloc(n, sizeof *all);
	bool good = all && head != MAP_FAILED && tally != MAP_FAILED && rows != MAP_FAILED;

	for (unsigned i = 0; good && i < n; i++) {
		unsigned char *mem = map_part(slot_offset(i), activity ? RING_AT : PAGE);

		good = mem != MAP_FAILED;
		if (!good)
			break;
		slot_at(mem, rows + i * ROWS_BYTES, &all[i]);
		all[i].ring = NULL;
		if (!activity) {
			all[i].activity = NULL;
			all[i].shown = NULL;
		}
	}
	if (!good) {
		free(all);
		return err_sys(e, "the slots cannot be mapped for the status page");
	}
	*v = (struct shared_view){ (struct shared_head *)(void *)head, (struct tally *)(void *)tally, all, n };
	return 0;
}

int shared_child_slot(unsigned i, struct shared_slot *out, struct err *e)
{
	unsigned char *mem;
	void *rows;

	/* First the whole goes, then its own comes back: from here on no other slot can be reached. */
	munmap(shared.map, shared.map_size);
	shared.map = NULL;
	mem = mmap(NULL, SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, shared.slots_fd,
		   (off_t)slot_offset(i));
	rows = mmap(NULL, ROWS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, shared.slots_fd, (off_t)rows_offset(i));
	if (mem == MAP_FAILED || rows == MAP_FAILED)
		return err_sys(e, "cannot map the slot %u", i);
	close(shared.slots_fd);
	shared.slots_fd = -1;
	slot_at(mem, rows, out);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ making */

static int make_descriptors(struct err *e)
{
	shared.master = getpid();
	/* Where there is no such call (old containers, valgrind) the roles ask for a signal instead. */
	shared.master_pidfd = (int)syscall(SYS_pidfd_open, shared.master, 0);
	if (shared.master_pidfd >= 0)
		fcntl(shared.master_pidfd, F_SETFD, FD_CLOEXEC);
	shared.look = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);   /* for this program's children: those of before take nothing more */
	if (shared.look < 0)
		return err_sys(e, "no descriptor for the children to be told that a client waits");
	if (shared.adopted) {
		shared.wake = given("wake");
		shared.log_wake = given("logwake");
		shared.life[0] = given("lifeend");
		shared.life[1] = given("life");
		return 0;
	}
	shared.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	shared.log_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shared.wake < 0 || shared.log_wake < 0 || pipe2(shared.life, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, "no descriptors for the processes to wake each other");
	return 0;
}

/* Much address space, little memory: pages are there only while a snapshot is. */
static int make_pool(unsigned slots, struct err *e)
{
	void *mem;

	pool_size = crash_pool_size(slots);
	shared.crash_fd = given("crashslots");
	if (shared.crash_fd < 0) {
		shared.crash_fd = memfd_create("bulkhead-crash", MFD_CLOEXEC);
		if (shared.crash_fd < 0 || ftruncate(shared.crash_fd, (off_t)pool_size) < 0)
			return err_sys(e, "no shared memory for the crash slots");
	}
	mem = mmap(NULL, pool_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, shared.crash_fd, 0);
	if (mem == MAP_FAILED || crash_pool_init(mem, slots) < 0)
		return err_sys(e, "no memory for the crash slots");
	shared.crash_pool = mem;
	return 0;
}

int shared_single_pool(struct err *e)
{
	return make_pool(1, e);
}

static int keep_slots(int first, unsigned count, struct err *e)
{
	size_t size = crash_pool_size(count);
	void *mem = NULL;

	if (shared.crash_pool)
		munmap(shared.crash_pool, pool_size);
	shared.crash_pool = NULL;
	if (first >= 0) {
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shared.crash_fd, (off_t)crash_pool_size((unsigned)first));
		if (mem == MAP_FAILED || crash_pool_init(mem, count) < 0)
			return err_sys(e, "cannot map the crash slot %d", first);
		shared.crash_pool = mem;
		pool_size = size;
	}
	close(shared.crash_fd);
	shared.crash_fd = -1;
	return 0;
}

int shared_child_pool(int pair, struct err *e)
{
	return keep_slots(pair < 0 ? -1 : SHARED_CRASH_SLOT(pair), 2, e);
}

int shared_job_pool(int slot, struct err *e)
{
	return keep_slots(slot, 1, e);
}

/* ------------------------------------------------------------------------------------------------ OCSP answers */

#define STAPLE_BYTES (STAPLE_CELLS * sizeof(struct staple_cell))

/* The table of the program before, if it has the same measures: then its children go on reading there. */
static int given_staples(void)
{
	const struct handover_line *l = handover_next(NULL, "staples");
	size_t cells = 0, size = 0;

	if (!l || sscanf(l->text, "%zu %zu", &cells, &size) != 2 || cells != STAPLE_CELLS || size != sizeof(struct staple_cell))
		return -1;
	return handover_claim(l);
}

static int make_staples(struct err *e)
{
	void *mem;

	shared.staples_fd = given_staples();
	if (shared.staples_fd < 0) {
		shared.staples_fd = memfd_create("bulkhead-staples", MFD_CLOEXEC);
		if (shared.staples_fd < 0 || ftruncate(shared.staples_fd, (off_t)STAPLE_BYTES) < 0)
			return err_sys(e, "no shared memory for OCSP answers");
	}
	mem = mmap(NULL, STAPLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, shared.staples_fd, 0);
	if (mem == MAP_FAILED)
		return err_sys(e, "cannot map the table of OCSP answers");
	shared.staples = mem;
	return 0;
}

static void forget_staples(void)
{
	if (shared.staples)
		munmap(shared.staples, STAPLE_BYTES);
	shared.staples = NULL;
}

int shared_child_staples(struct err *e)
{
	void *mem;

	forget_staples();
	mem = mmap(NULL, STAPLE_BYTES, PROT_READ, MAP_SHARED, shared.staples_fd, 0);
	if (mem == MAP_FAILED)
		return err_sys(e, "cannot map the table of OCSP answers");
	shared.staples = mem;
	close(shared.staples_fd);
	shared.staples_fd = -1;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ over an exec */

/*
 * How this program lays out what it shares with its children and its logger, what it tells that logger included. The number grows with
 * each change that the measures do not show.
 */
static const char *layout(void)
{
	static char text[256];

	snprintf(text, sizeof text, "layout-1 %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu", sizeof(struct shared_head), sizeof(struct shared_journal),
		 sizeof(struct tally), offsetof(struct tally, past), (size_t)SLOT_BYTES, sizeof(struct slot_page), offsetof(struct slot_page, pid),
		 offsetof(struct conn_counters, rows), offsetof(struct conn_counters, live), sizeof(struct activity), sizeof(struct conn_shown), ROWS_BYTES,
		 crash_pool_size(1), sizeof(struct crowd_column));
	return text;
}

void shared_hand_over(FILE *to)
{
	handover_put(to, "staples", shared.staples_fd, "%d %zu", STAPLE_CELLS, sizeof(struct staple_cell));
	handover_put(to, "life", shared.life[1], "of the children");
	handover_put(to, "lifeend", shared.life[0], "of the logger");
	handover_put(to, "wake", shared.wake, "of the master");
	handover_put(to, "logwake", shared.log_wake, "of the logger");
	handover_put(to, "crashslots", shared.crash_fd, "%u", shared.nslots);
	crowd_hand_over(to);
	handover_put(to, "layout", -1, "%s", layout());
}

static bool has(const char *name, size_t size)
{
	const struct handover_line *l = handover_next(NULL, name);
	struct stat st;

	return l && l->fd > 2 && fstat(l->fd, &st) == 0 && (!size || st.st_size == (off_t)size);
}

/* Whether the program before left slots that can be gone on with: then *n is how many. */
static bool can_adopt(unsigned *n)
{
	const struct handover_line *l = handover_next(NULL, "slots"), *as = handover_next(NULL, "layout");
	unsigned slots = 0;

	if (!l)
		return false;
	if (as && !strcmp(as->text, layout()) && sscanf(l->text, "%u", &slots) == 1 && slots >= LEAST_SLOTS && slots <= MOST_SLOTS &&
	    has("slots", slot_offset(slots) + slots * ROWS_BYTES) && has("crashslots", crash_pool_size(2 * (slots + SHARED_CRASH_QUEUE))) &&
	    has("crowd", crowd_size(slots)) && has("wake", 0) && has("logwake", 0) && has("life", 0) && has("lifeend", 0)) {
		*n = slots;
		return true;
	}
	log_warnx(NULL, LOG_CORE, "BH0881", "this program lays out shared memory otherwise than the one before: until the children of before are gone the status page does "
		  "not show them, MaxConnectionsPerAddress does not count their connections, a crash of one leaves no report, and their log lines depend on the logger of before");
	return false;
}

int shared_create(unsigned server_limit, struct err *e)
{
	unsigned n = server_limit > MOST_SLOTS / 2 ? MOST_SLOTS : server_limit * 2;

	if (n < LEAST_SLOTS)
		n = LEAST_SLOTS;
	shared.root = geteuid() == 0;
	shared.adopted = can_adopt(&n);
	if (make_descriptors(e) < 0 || make_slots(n, e) < 0 || make_pool(2 * (shared.nslots + SHARED_CRASH_QUEUE), e) < 0 || make_staples(e) < 0 ||
	    crowd_create(shared.nslots, given("crowd"), e) < 0)
		return -1;
	if (shared.adopted)
		tally_adopt();
	else
		tallyover_take();
	return 0;
}

/* ------------------------------------------------------------------------------------------------ core directory */

void shared_make_parent(const char *path)
{
	char parent[4096];
	const char *slash = strrchr(path, '/');

	snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
	if (*parent)
		mkdir(parent, 0755);
}

void shared_core_dir(const struct config *cfg)
{
	const struct process_settings *p = cfg->process;
	char path[4096];
	bool made;
	int fd;

	if (shared.core_dir_fd >= 0)
		close(shared.core_dir_fd);
	shared.core_dir_fd = -1;
	free((void *)(uintptr_t)shared.core_dir);
	shared.core_dir = NULL;
	if (!p->core_dir)
		return;
	snprintf(path, sizeof path, "%s%s", p->chroot_dir ? p->chroot_dir : "", p->core_dir);
	made = mkdir(path, 0700) == 0;
	if (!made && errno == ENOENT && shared.root) {
		shared_make_parent(path);
		made = mkdir(path, 0700) == 0;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && made && shared.root && p->uid != (uid_t)-1 && fchown(fd, p->uid, p->gid) < 0) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		log_warn(
			NULL, LOG_CRASH, "BH0107",
			"CoreDumpDirectory %s cannot be used, so that crashes leave neither report nor core",
			path);
		return;
	}
	shared.core_dir_fd = fd;
	shared.core_dir = strdup(path);
}

int shared_prepare(const struct config *cfg, struct err *e)
{
	shared_core_dir(cfg);
	return cache_prepare(cfg, e) < 0 || seeds_prepare(cfg, e) < 0 ? -1 : 0;
}

int shared_direct(const struct config *cfg, struct err *e)
{
	shared.root = geteuid() == 0;
	shared.master = getpid();
	return make_staples(e) < 0 || cache_prepare(cfg, e) < 0 || seeds_prepare(cfg, e) < 0 ? -1 : 0;
}

void shared_unlink(void)
{
	if (shared.cache && !unlinked)
		shmcache_unlink(shared.cache);
	unlinked = true;
}

void shared_remove(void)
{
	shared_unlink();
	if (shared.cache)
		shmcache_close(shared.cache);
	shared.cache = NULL;
}

/* ------------------------------------------------------------------------------------------------ in the roles */

void shared_cache_fds(int fds[SHARED_CACHE_FDS])
{
	fds[0] = fds[1] = fds[2] = fds[3] = -1;
	if (shared.cache)
		shmcache_fds(shared.cache, fds);
}

int shared_child_cache(struct err *e)
{
	struct shmcache_err why = { "", "" };

	if (!shared.cache || shmcache_child_init(shared.cache, &why) == 0)
		return 0;
	err_set(e, "the TLS session cache cannot be used: %s", why.text);
	return err_remedy(e, "%s", why.remedy);
}

void shared_forget_cache(void)
{
	if (shared.cache)
		shmcache_close(shared.cache);
	shared.cache = NULL;
	forget_staples();
	if (shared.crash_pool)
		munmap(shared.crash_pool, pool_size);
	shared.crash_pool = NULL;
}

void shared_forget(enum shared_keep keep)
{
	void *pool = shared.crash_pool;
	struct shmcache *cache = shared.cache;

	if (keep == SHARED_KEEP_POOL)
		shared.crash_pool = NULL;
	if (keep == SHARED_KEEP_CACHE)
		shared.cache = NULL;
	shared_forget_cache();
	shared.crash_pool = keep == SHARED_KEEP_POOL ? pool : NULL;
	shared.cache = keep == SHARED_KEEP_CACHE ? cache : NULL;
	crowd_forget();
	if (shared.map)
		munmap(shared.map, shared.map_size);
	shared.map = NULL;
}

void shared_crash_release(void)
{
	shmcache_crash_release(shared.cache);
}
