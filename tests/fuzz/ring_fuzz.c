/*
 * ring_fuzz.c - fuzzes the logger's reading of a ring in memory that a child writes which was taken over
 * (server/log/ring.c, process/logwriter.c). An input is steps: a letter and what it wants, as below. Lines go to a file,
 * a pipe, or a log that does not exist. Holds:
 * - each look ends, and leaves the ring empty, whatever was in it;
 * - only what a child can mean is written: lines of the ring's bytes, no more than one ring's at a look;
 * - the next child in that slot finds room, and its line is the last of the file.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>

#include "process/logwriter.c"

#define RING_ALL ((size_t)RING_SIZE)

static struct shared_slot slot;
static int out = -1, pipe_end[2];

static void start(void)
{
	static const struct log_settings quiet = { .level = { [0 ... LOG_SUBJECTS - 1] = LOG_L_TRACE8 } };
	struct err e = { .text = "" };

	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) }, &quiet);
	CHECK(shared_create(1, &e) == 0);
	atomic_store(&shared_head()->used, 1);
	shared_slot(0, &slot);
	control = -1;
	out = memfd_create("log", MFD_CLOEXEC);
	CHECK(out >= 0 && pipe2(pipe_end, O_CLOEXEC | O_NONBLOCK) == 0);
	tables[0] = (struct table){ .generation = 1, .n = 2, .told = 2, .at = calloc(2, sizeof *tables[0].at) };
	CHECK(tables[0].at);
	tables[0].at[0] = (struct target){ .fd = out, .kind = LOG_TARGET_FILE, .file = true };
	tables[0].at[1] = (struct target){ .fd = pipe_end[1], .kind = LOG_TARGET_PIPE };
}

/* All that is in the ring: more looks than one where the pipe is full, or the ring is full of damage. */
static void look(void)
{
	static char sink[65536];
	off_t before = lseek(out, 0, SEEK_CUR);
	struct ring_record rec;
	uint64_t pos;
	bool any = false;

	while (!drain_ring(0, RING_PACED, &any))
		while (read(pipe_end[0], sink, sizeof sink) > 0)
			;
	pos = ring_tail(slot.ring);
	CHECK(ring_take(slot.ring, &pos, &rec) == 0 && !shared_journal()->busy);
	CHECK((size_t)(lseek(out, 0, SEEK_CUR) - before) <= RING_ALL);
	while (read(pipe_end[0], sink, sizeof sink) > 0)
		;
}

struct steps { const uint8_t *p; size_t n; };

static unsigned take(struct steps *s, unsigned bytes)
{
	unsigned v = 0;

	for (; bytes && s->n; bytes--, s->p++, s->n--)
		v = v << 8 | *s->p;
	return v;
}

static void poke(size_t at, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((unsigned char *)slot.ring)[(at + i) % RING_ALL] = ((const unsigned char *)p)[i];
}

/* The layout is the reader's: head, tail, dropped, generation; data from byte 128 on. */
static void do_step(struct steps *s)
{
	enum { DATA = 128, SIZE = RING_SIZE - DATA };
	static const char text[] = "a line of the child, with words in it, that may be of some length: 0123456789 abcdefghijklmnopqrstuvwxyz\n";
	uint64_t word[2];
	uint32_t record[4];
	struct iovec v;

	memcpy(word, slot.ring, sizeof word);
	switch (take(s, 1)) {
	case 'p':                                       /* a line, as a child puts it: length / 256, target */
		v = (struct iovec){ (void *)(uintptr_t)text, take(s, 1) % sizeof text };
		ring_put(slot.ring, take(s, 1), &v, 1);
		break;
	case 'r':                                       /* a record's head where the next one goes: length, target, generation; how far head goes */
		record[0] = take(s, 2);
		record[1] = take(s, 1);
		record[2] = take(s, 1);
		memcpy(&record[3], "Blog", 4);
		for (unsigned i = 0; i < sizeof record; i++)
			poke(DATA + (size_t)((word[0] + i) % SIZE), (char *)record + i, 1);
		word[0] += take(s, 2);
		poke(0, word, 8);
		break;
	case 'h':                                       /* head and tail */
		word[0] += take(s, 3);
		poke(0, word, 8);
		break;
	case 't':
		word[1] = word[0] - take(s, 3);
		poke(8, &word[1], 8);
		break;
	case 'g':
		ring_generation(slot.ring, take(s, 1));
		break;
	case 'w': {                                     /* bytes anywhere: place, how many */
		size_t at = take(s, 2), n = take(s, 1);

		n = n < s->n ? n : s->n;
		poke(at, s->p, n);
		s->p += n;
		s->n -= n;
		break;
	}
	case 'l':
		look();
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char honest[] = "an honest line\n";
	struct iovec v = { (void *)(uintptr_t)honest, sizeof honest - 1 };
	struct steps s = { data, n };
	char last[sizeof honest];

	if (out < 0)
		start();
	CHECK(ftruncate(out, 0) == 0 && lseek(out, 0, SEEK_SET) == 0);
	memset(slot.ring, 0, RING_ALL);
	ring_init(slot.ring);
	ring_generation(slot.ring, 1);
	while (s.n)
		do_step(&s);
	look();
	/* Positions of no real ring's life: where they wrap the bytes of a line do not follow each other. */
	if (ring_tail(slot.ring) > UINT64_MAX - RING_ALL)
		return 0;
	ring_generation(slot.ring, 1);
	CHECK(ring_put(slot.ring, 0, &v, 1) == 0);
	look();
	CHECK(pread(out, last, sizeof honest - 1, lseek(out, 0, SEEK_CUR) - (off_t)(sizeof honest - 1)) == (ssize_t)(sizeof honest - 1));
	CHECK(memcmp(last, honest, sizeof honest - 1) == 0);
	return 0;
}
