/*
 * report.c - the text report of a crash and the making of its file. Runs in the job as the children's user; the form is
 * docs/crash-report-format.md. The raw record comes first and holds what needs no library to tell; symbolising may
 * itself crash on what the broken process left, and then the raw record stays.
 */
#include "crashdump/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/classify.h"
#include "crashdump/crashdump.h"
#include "crashdump/keep.h"
#include "crashdump/print.h"
#include "crashdump/snapshot.h"
#include "crashdump/symbols.h"

#define REPORT_ROOM (512u * 1024)

const int crash_report_system_calls[] = {
	SYS_openat, SYS_close, SYS_read, SYS_pread64, SYS_write, SYS_lseek, SYS_newfstatat, SYS_fstat, SYS_fcntl,
	SYS_readlinkat, SYS_getdents64, SYS_unlinkat, SYS_renameat, SYS_renameat2,
#ifdef SYS_readlink
	SYS_readlink,
#endif
	SYS_uname, SYS_sysinfo, SYS_geteuid, SYS_prlimit64, SYS_clock_gettime,
	SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise, SYS_futex, SYS_exit_group,
	-1
};

struct report {
	const struct crash_snapshot *s;
	const struct crash_report_options *options;
	const struct crash_trace *trace, *raw;
	bool full;
	struct print p;
};

/* -------------------------------------------------------------------------------------------------------- the text */

static void line(struct report *r, const char *key, const char *value)
{
	print_add(&r->p, "%s: ", key);
	print_bytes(&r->p, value, strlen(value));
	print_add(&r->p, "\n");
}

static void time_line(struct report *r)
{
	time_t seconds = (time_t)(r->s->time_ms / 1000);
	struct tm tm;
	char text[32];

	if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	print_add(&r->p, "time: %s.%03dZ\n", text, (int)(r->s->time_ms % 1000));
}

static void write_origin(struct report *r)
{
	const struct crash_snapshot *s = r->s;
	struct utsname u;
	char id[2 * SNAPSHOT_ID + 1] = "";

	time_line(r);
	if (uname(&u) == 0)
		line(r, "host", u.nodename);
	line(r, "version", r->options->version ? r->options->version : "unknown");
	line(r, "executable", s->executable[0] ? s->executable : "unknown");
	if (s->modules)                         /* the loader names the program first */
		symbols_build_id(s, s->module[0].start, id);
	line(r, "build-id", id[0] ? id : "none");
	if (uname(&u) == 0)
		print_add(&r->p, "kernel: %s %s %s\n", u.sysname, u.release, u.machine);
	print_add(&r->p, "process: pid=%d tid=%d role=", s->pid, s->tid);
	print_bytes(&r->p, s->role, strlen(s->role));
	print_add(&r->p, " slot=%u generation=%u uid=%u\n", s->slot, s->generation, s->uid);
	if (s->has_activity)
		print_add(&r->p, "served: requests=%" PRIu64 " uptime-ms=%" PRIu64 "\n", s->activity.requests,
			  s->monotonic_ms - s->activity.born);
}

static void write_signal(struct report *r)
{
	const struct crash_snapshot *s = r->s;
	const char *name = print_code(s->signal, s->code), *access = registers_access(&s->fault);

	print_add(&r->p, "signal: %s %d\n", print_signal(s->signal), s->signal);
	print_add(&r->p, "code: %s%s%d\n", name, name[0] ? " " : "", s->code);
	if (s->signal == SIGSYS && s->system_call >= 0)
		print_add(&r->p, "system-call: %d machine=0x%x at=0x%" PRIx64 "\n", s->system_call, s->machine, s->address);
	else if (s->code > 0)
		print_add(&r->p, "address: 0x%" PRIx64 "\n", s->address);
	else
		print_add(&r->p, "sender: pid=%d uid=%u\n", s->sender_pid, s->sender_uid);
	if (access && s->signal == SIGSEGV && s->code > 0)
		line(r, "access", access);
	line(r, "class", classify(s, r->trace));
	if (s->abort_message[0])
		line(r, "abort-message", s->abort_message);
}

static void write_end_of_process(struct report *r)
{
	int status = r->options->status;

	if (r->s->kind == CRASH_KIND_LIVE) {
		line(r, "ended", "no, it goes on");
		return;
	}
	if (r->s->kind == CRASH_KIND_SINGLE)
		print_add(&r->p, "ended: not yet, it will be by %s\n", print_signal(r->s->signal));
	else if (WIFSIGNALED(status))
		print_add(&r->p, "ended: killed by %s%s\n", print_signal(WTERMSIG(status)),
			  WCOREDUMP(status) ? ", core dumped" : "");
	else if (WIFEXITED(status))
		print_add(&r->p, "ended: exit %d\n", WEXITSTATUS(status));
	if (r->options->core)
		line(r, "core", r->options->core);
	else
		print_add(&r->p, "core: none: %s\n", r->options->core_reason ? r->options->core_reason : "not known");
	if (r->s->core_rule == CRASH_CORE_HIDDEN)
		line(r, "core-excludes", "heap, anonymous and shared memory (a debugger shows zeros); stacks are in it");
	else if (r->s->core_rule == CRASH_CORE_CLOSED)
		line(r, "core-excludes", "all memory: the map could not be read whole, so nothing could be told apart");
}

static void write_request(struct report *r)
{
	const struct crash_snapshot *s = r->s;
	struct activity_record now;
	struct activity_event events[ACTIVITY_EVENTS];
	unsigned count;
	bool whole;

	if (!s->has_activity)
		return;
	whole = activity_read(&s->activity, &now);
	if (!now.connection) {
		line(r, "connection", whole ? "none: the process was waiting" : "none");
	} else {
		print_add(&r->p, "connection: %" PRIu64 " kind=", now.connection);
		print_bytes(&r->p, now.what, strlen(now.what));
		print_add(&r->p, " age-ms=%" PRIu64 "%s\n", s->monotonic_ms - now.began,
			  whole ? "" : " (was just being changed)");
		line(r, "peer", now.peer);
		line(r, "virtual-host", now.host);
		line(r, "phase", now.phase);
		line(r, "handler", now.handler);
		line(r, "method", now.method);
		line(r, "path", now.path);
		if (now.request_began)
			print_add(&r->p, "request-age-ms: %" PRIu64 "\n", s->monotonic_ms - now.request_began);
	}
	count = activity_read_events(&s->activity, events);
	for (unsigned i = 0; i < count; i++)
		print_add(&r->p, "event: %" PRId64 " ms %s %u\n", (int64_t)(events[i].time - s->monotonic_ms),
			  activity_code_name(events[i].code), events[i].number);
}

static void write_frame(struct report *r, const char *key, unsigned number, const struct crash_frame *f)
{
	struct print *p = &r->p;

	print_add(p, "%s: %u 0x%" PRIx64 " ", key, number, f->pc);
	if (f->module[0])
		print_add(p, "%s+0x%" PRIx64, f->module, f->module_offset);
	else
		print_add(p, "?");
	if (f->build_id[0])
		print_add(p, " build-id=%s", f->build_id);
	if (f->function[0] && f->trust == CRASH_TRUST_INLINED)
		print_add(p, " %s", f->function);
	else if (f->function[0])
		print_add(p, " %s+0x%" PRIx64, f->function, f->function_offset);
	if (f->file[0])
		print_add(p, " %s:%d", f->file, f->line);
	print_add(p, " %s%s\n", f->trust == CRASH_TRUST_SCAN ? "?" : "trust=", symbols_trust(f->trust));
}

/* Whether libunwind in the dying process saw the same real frames as elfutils did here. */
static bool raw_agrees(const struct report *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->trace->count; i++) {
		if (r->trace->frame[i].trust == CRASH_TRUST_INLINED || r->trace->frame[i].trust == CRASH_TRUST_TAIL)
			continue;
		if (n >= r->raw->count || r->raw->frame[n].pc != r->trace->frame[i].pc)
			return false;
		n++;
	}
	return true;
}

static void write_frames(struct report *r)
{
	bool agrees = r->full && raw_agrees(r);

	print_add(&r->p, "unwinder: %s\n", !r->full ? "libunwind in the process" :
		  agrees ? "elfutils, libunwind agrees" : "elfutils, libunwind differs");
	print_add(&r->p, "frames: %u%s\n", r->trace->count,
		  !r->full ? "" : r->trace->whole ? " whole" : r->trace->count == SYMBOLS_FRAMES ? " cut" : " incomplete");
	for (unsigned i = 0; i < r->trace->count; i++)
		write_frame(r, "frame", i, &r->trace->frame[i]);
	for (unsigned i = 0; r->full && !agrees && i < r->raw->count; i++)
		write_frame(r, "raw-frame", i, &r->raw->frame[i]);
	if (r->trace->note[0])
		line(r, "note", r->trace->note);
}

static void write_machine(struct report *r)
{
	static const char *const names[] = REGISTER_NAMES;
	const struct crash_snapshot *s = r->s;

	for (unsigned i = 0; i < REGISTERS; i++)
		print_add(&r->p, "register: %s=0x%016" PRIx64 "\n", names[i], s->registers[i]);
	print_add(&r->p, "register: flags=0x%016" PRIx64 "\n", s->fault.flags);
	if (s->text_length) {
		print_add(&r->p, "code-bytes: 0x%" PRIx64, s->text_address);
		for (unsigned i = 0; i < s->text_length; i++)
			print_add(&r->p, "%s%02x", s->text_address + i == s->registers[REGISTER_PC] ? " >" : " ",
				  s->text[i]);
		print_add(&r->p, "\n");
	}
	for (const char *at = s->maps, *end = s->maps + s->maps_length, *stop; at < end; at = stop + 1) {
		if (!(stop = memchr(at, '\n', (size_t)(end - at))))
			break;
		print_add(&r->p, "map: ");
		print_bytes(&r->p, at, (size_t)(stop - at));
		print_add(&r->p, "\n");
	}
	if (!s->maps_whole)
		line(r, "map-missing", s->maps_length ? "the map is longer" : "/proc/self/maps could not be read");
}

static void write_handler(struct report *r)
{
	static const char *const names[CRASH_STEPS] = {
		"begin", "facts", "maps", "memory", "unwind", "commit", "release", "clients", "report", "core", "raise", "kill"
	};
	const struct crash_snapshot *s = r->s;

	print_add(&r->p, "snapshot: %s us=%u", s->complete ? "complete" : "unfinished", s->handler_us);
	if (s->clients_us)
		print_add(&r->p, " clients-us=%u", s->clients_us);
	if (s->skipped)
		print_add(&r->p, " left-by=%s", print_signal(s->skipped_signal));
	for (unsigned i = 0; i < CRASH_STEPS; i++)
		if (s->skipped & (1u << i))
			print_add(&r->p, " left=%s", names[i]);
	print_add(&r->p, "\n");
}

/* Writes the whole text. Returns 0, or -1 with ENOBUFS: what stands there then is no whole report. */
static int compose(struct report *r)
{
	r->p.length = 0;
	r->p.full = false;
	print_add(&r->p, "crash-report: 1\nsignature: ");
	classify_signature(r->s, r->trace, &r->p);
	print_add(&r->p, "\n");
	write_origin(r);
	write_signal(r);
	write_end_of_process(r);
	write_request(r);
	write_frames(r);
	write_machine(r);
	write_handler(r);
	print_add(&r->p, "end: %s\n", r->full ? "complete" : "raw");
	if (!r->p.full)
		return 0;
	errno = ENOBUFS;
	return -1;
}

char *report_text(const struct crash_snapshot *s, const struct crash_report_options *options, const struct crash_trace *trace)
{
	struct report r = { .s = s, .options = options, .trace = trace, .raw = trace, .full = true,
			    .p = { .text = malloc(REPORT_ROOM), .room = REPORT_ROOM } };

	if (r.p.text && compose(&r) == 0)
		return r.p.text;
	free(r.p.text);
	return NULL;
}

/* -------------------------------------------------------------------------------------------------------- the file */

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

/* A new file and nothing else: the directory may be one where everybody can write. */
static int put_file(int dir_fd, const char *name, const struct print *p)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), error;

	if (fd < 0)
		return -1;
	if (write_all(fd, p->text, p->length) == 0 && close(fd) == 0)
		return 0;
	error = errno;
	unlinkat(dir_fd, name, 0);
	errno = error;
	return -1;
}

/* Creates the raw record under a name that is free; a number is added where two crashes fall together. */
static int put_raw(struct report *r, char *name, size_t room)
{
	time_t seconds = (time_t)(r->s->time_ms / 1000);
	struct tm tm;
	char stamp[32] = "";

	if (r->s->time_ms <= 0 || !gmtime_r(&seconds, &tm) || !strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm)) {
		seconds = time(NULL);
		if (!gmtime_r(&seconds, &tm) || !strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm))
			return -1;
	}
	for (unsigned i = 1; i < 10; i++) {
		char more[8] = "";

		if (i > 1)
			snprintf(more, sizeof more, "-%u", i);
		snprintf(name, room, "bulkhead-%s-%s-%d%s.txt", r->s->kind == CRASH_KIND_LIVE ? "live" : "crash", stamp, r->s->owner, more);
		if (put_file(r->options->dir_fd, name, &r->p) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

/* The full report takes the raw record's place in one step. */
static int replace(struct report *r, const char *name)
{
	int dir = r->options->dir_fd;
	char next[96];

	snprintf(next, sizeof next, ".%s.new", name);
	unlinkat(dir, next, 0);
	if (put_file(dir, next, &r->p) < 0)
		return -1;
	if (renameat(dir, next, dir, name) == 0)
		return 0;
	int error = errno;
	unlinkat(dir, next, 0);
	errno = error;
	return -1;
}

/* -------------------------------------------------------------------------------------------------------- the line */

/* The innermost frame of the program itself tells more than one of a library below it. */
static void write_where(struct print *p, const struct crash_snapshot *s, const struct crash_trace *t)
{
	const struct crash_frame *f = t->count ? &t->frame[0] : NULL;

	for (unsigned i = 0; i < t->count; i++)
		if (t->frame[i].function[0] && !strcmp(t->frame[i].module, s->executable)) {
			f = &t->frame[i];
			break;
		}
	if (f && f->function[0])
		print_add(p, " in %s", f->function);
	else if (f && f->module[0])
		print_add(p, " in %s+0x%" PRIx64, f->module, f->module_offset);
	if (f && f->file[0])
		print_add(p, " (%s:%d)", f->file, f->line);
}

static void answer_line(const struct report *r, const char *name, int error, char *answer, size_t n)
{
	const struct crash_snapshot *s = r->s;
	struct print p = { .text = answer, .room = n };
	char request[256] = "";

	if (!n)
		return;
	answer[0] = '\0';
	if (s->has_activity)
		print_request(request, sizeof request, &s->activity);
	print_add(&p, "%s (%s)", print_signal(s->signal), classify(s, r->trace));
	if (s->signal == SIGSYS && s->system_call >= 0)
		print_add(&p, " at system call %d", s->system_call);
	else if (s->code > 0)
		print_add(&p, " at address 0x%" PRIx64, s->address);
	write_where(&p, s, r->trace);
	if (request[0])
		print_add(&p, ", serving %s", request);
	if (name && !error)
		print_add(&p, "; report %s/%s", r->options->dir ? r->options->dir : ".", name);
	else if (name)
		print_add(&p, "; only the raw record %s/%s could be written (%s)", r->options->dir ? r->options->dir : ".",
			  name, strerror(error));
	else
		print_add(&p, "; no report in %s (%s)", r->options->dir ? r->options->dir : ".", strerror(error));
	if (r->options->core)
		print_add(&p, "; core %s", r->options->core);
	else if (s->kind != CRASH_KIND_LIVE)
		print_add(&p, "; no core%s%s", r->options->core_reason ? ": " : "",
			  r->options->core_reason ? r->options->core_reason : "");
	print_add(&p, "; signature ");
	classify_signature(s, r->trace, &p);
}

static int make_report(struct report *r, struct crash_trace *full, char *answer, size_t n)
{
	bool live = r->s->kind == CRASH_KIND_LIVE;
	char name[80] = "";
	int error = 0;

	if (live)
		keep_live(r->options->dir_fd, KEEP_LIVE - 1);
	if (!live && keep_reports(r->options->dir_fd, KEEP_AT_MOST) >= KEEP_AT_MOST)
		error = EDQUOT;
	else if (compose(r) < 0 || put_raw(r, name, sizeof name) < 0)
		error = errno;
	if (symbols_trace(r->s, full) == 0)
		r->trace = full;
	r->full = true;
	if (!error && (compose(r) < 0 || replace(r, name) < 0))
		answer_line(r, name, error = errno, answer, n);
	else
		answer_line(r, error ? NULL : name, error, answer, n);
	if (!live)
		keep_reports(r->options->dir_fd, KEEP_REPORTS);
	errno = error;
	return error ? -1 : 0;
}

int crash_report(const void *pool, int slot, const struct crash_report_options *options, char *answer, size_t n)
{
	struct crash_snapshot *s = snapshot_copy(pool, slot);
	struct crash_trace *traces = calloc(2, sizeof *traces);
	struct report r = { .s = s, .options = options, .p = { .text = malloc(REPORT_ROOM), .room = REPORT_ROOM } };
	int result = -1, error;

	if (options->program_fd)
		symbols_program(options->program_fd);
	if (s && traces && r.p.text) {
		s->kind = options->kind;
		symbols_raw(s, &traces[0]);
		r.trace = r.raw = &traces[0];
		result = make_report(&r, &traces[1], answer, n);
		error = errno;
	} else {
		error = s ? ENOMEM : errno;
		snprintf(answer, n, "no report: %s", s ? "out of memory" : "the crash slot holds nothing");
	}
	free(r.p.text);
	free(traces);
	snapshot_drop(s);
	errno = error;
	return result;
}
