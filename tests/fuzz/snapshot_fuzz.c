/*
 * snapshot_fuzz.c - fuzzes the reading of a crash slot, which a child that was taken over may have written: what the
 * master tells of it at once (crashdump/snapshot.c, cores.c), and what the job makes of it (symbols.c, scan.c,
 * classify.c, report.c). An input is steps, a letter each: 'p' patches any place (three bytes of place, one of length),
 * 'm' is the map of memory and 's' the stack (two bytes of length), 'f' program counters (one byte of count). Holds:
 * - what the log gets is printable, one line; a report is printable lines of "key: value", whole, and its reader finds
 *   it so;
 * - what a process may say of itself adds no line to a report: it has one signal, one time and one end.
 */
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "crashdump/classify.h"
#include "crashdump/readreport.h"
#include "crashdump/report.h"

static struct crash_snapshot *slot;     /* of a pool of one */

static bool printable(const char *text, bool lines)
{
	for (; *text; text++)
		if ((*text < ' ' || *text > '~') && !(lines && *text == '\n'))
			return false;
	return true;
}

static unsigned lines_of(const char *text, const char *key)
{
	unsigned n = 0;

	for (const char *eol; *text; text = eol + 1) {
		n += strncmp(text, key, strlen(key)) == 0;
		eol = strchr(text, '\n');
		if (!eol)
			break;
	}
	return n;
}

static size_t take(const uint8_t **data, size_t *n, unsigned bytes)
{
	size_t v = 0;

	for (; bytes && *n; bytes--, (*data)++, (*n)--)
		v = v << 8 | **data;
	return v;
}

static void fill(const uint8_t **data, size_t *n, void *to, size_t room, size_t many)
{
	many = many < *n ? many : *n;
	many = many < room ? many : room;
	memcpy(to, *data, many);
	*data += many;
	*n -= many;
}

static void write_slot(const uint8_t *data, size_t n)
{
	memset(slot, 0, sizeof *slot);
	slot->owner = slot->pid = slot->tid = 4711;
	slot->complete = slot->has_activity = slot->maps_whole = 1;
	slot->signal = 11;
	strcpy(slot->role, "child");
	strcpy(slot->executable, "/nonexistent/bulkhead");
	while (n) {
		size_t at, many;

		switch (take(&data, &n, 1)) {
		case 'p':
			at = take(&data, &n, 3) % sizeof *slot;
			many = take(&data, &n, 1);
			fill(&data, &n, (char *)slot + at, sizeof *slot - at, many);
			break;
		case 'm':
			slot->maps_length = (uint32_t)take(&data, &n, 2);
			fill(&data, &n, slot->maps, sizeof slot->maps, slot->maps_length);
			break;
		case 's':
			slot->stack_length = (uint32_t)take(&data, &n, 2);
			slot->stack_address = 0x7ff000000000;
			fill(&data, &n, slot->stack, sizeof slot->stack, slot->stack_length);
			break;
		case 'f':
			slot->frames = (uint32_t)take(&data, &n, 1);
			fill(&data, &n, slot->frame, sizeof slot->frame, (size_t)slot->frames * 8);
			break;
		default:
			break;
		}
	}
}

static void see_summary(void)
{
	struct crash_summary sum;

	if (crash_pool_summary(slot, 0, &sum) == 0)
		CHECK(printable(sum.role, false) && printable(sum.request, false) && sum.fingerprint);
}

static void see_report(struct crash_snapshot *s, const struct crash_trace *t)
{
	static const char *const once[] = { "crash-report: ", "signal: ", "time: ", "end: " };
	const struct crash_report_options options = { .kind = CRASH_KIND_CRASH, .dir_fd = -1, .dir = "/nonexistent", .status = 11,
						      .core_reason = "none", .version = "x" };
	char *text = report_text(s, &options, t);
	struct readreport r;

	CHECK(text && printable(text, true));
	for (size_t i = 0; i < sizeof once / sizeof *once; i++)
		CHECK(lines_of(text, once[i]) == 1);
	CHECK(readreport_parse(text, strlen(text), &r) == 0 && r.state == READREPORT_COMPLETE);
	readreport_free(&r);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct crash_trace trace;
	struct crash_snapshot *s;

	if (!slot) {
		slot = mmap(NULL, crash_pool_size(1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		CHECK(slot != MAP_FAILED && crash_pool_init(slot, 1) == 0);
	}
	write_slot(data, n);
	see_summary();
	s = snapshot_copy(slot, 0);
	if (!s)
		return 0;
	symbols_trace(s, &trace);
	CHECK(trace.count <= SYMBOLS_FRAMES);
	see_report(s, &trace);
	symbols_raw(s, &trace);
	see_report(s, &trace);
	CHECK(printable(classify(s, &trace), false));
	snapshot_drop(s);
	return 0;
}
