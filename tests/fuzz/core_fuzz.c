/*
 * core_fuzz.c - fuzzes crashdump/corefile.c (and symbols.c, report.c behind it) with a core file, which may come from
 * anybody. Holds:
 * - what is no core is refused with the reason; of what is one a report can be made, of printable lines;
 * - what the snapshot says to be there lies within its rooms.
 */
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crashdump/corefile.h"
#include "crashdump/report.h"

static bool printable(const char *text)
{
	for (; *text; text++)
		if ((*text < ' ' && *text != '\n') || *text > '~')
			return false;
	return true;
}

static void see_report(const struct crash_snapshot *s)
{
	static const struct crash_report_options options = { .kind = CRASH_KIND_CRASH, .dir_fd = -1, .dir = "/nonexistent", .status = 11,
							     .core = "core", .version = "x" };
	static struct crash_trace trace;
	char *text;

	symbols_trace(s, &trace);
	CHECK(trace.count <= SYMBOLS_FRAMES);
	text = report_text(s, &options, &trace);
	CHECK(text && printable(text) && strncmp(text, "crash-report: 1\n", 16) == 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct crash_snapshot s;
	const char *why = NULL;
	int fd = memfd_create("core", MFD_CLOEXEC);

	CHECK(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	if (corefile_snapshot(fd, NULL, &s, &why) < 0) {
		CHECK(why && *why);
	} else {
		CHECK(s.modules <= SNAPSHOT_MODULES && s.frames <= SNAPSHOT_FRAMES);
		CHECK(s.maps_length <= sizeof s.maps && s.stack_length <= sizeof s.stack);
		CHECK(memchr(s.executable, '\0', sizeof s.executable));
		for (unsigned i = 0; i < s.modules; i++)
			CHECK(s.module[i].id_length <= SNAPSHOT_ID);
		see_report(&s);
	}
	close(fd);
	return 0;
}
