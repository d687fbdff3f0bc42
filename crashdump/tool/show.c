/*
 * show.c - bulkhead-crash show: a report for a reader. First a sentence that says what happened, where and for whom,
 * and what to do next; then frames, request, events; registers and the map of memory only when asked for.
 */
#include "crashdump/tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN 44               /* the widest column of a table; longer texts push the next one aside */

static const struct { const char *name, *meaning, *advice; } classes[] = {
	{ "null-deref", "a pointer that was never set was followed",
	  "Look in the innermost frame for the pointer that is 0, and in its caller for why." },
	{ "wild-pointer", "a pointer led to where no memory is",
	  "Freed or overwritten memory is the usual cause: run the server with -X under valgrind." },
	{ "access", "memory was used in a way that it forbids", "A write to constant data is the usual cause." },
	{ "non-canonical", "a pointer held a value that no address can have",
	  "Text or other data lies where a pointer should be: look for it in the registers (show -v)." },
	{ "bad-call", "a call or return went to where no code is",
	  "The caller in frame 1 used a bad function pointer, or a stack frame was overwritten." },
	{ "stack-overflow", "the stack is used up",
	  "Endless recursion shows as the same functions again and again; else a frame is too large." },
	{ "bus", "a mapped file ended before its mapping, or memory is misaligned or broken",
	  "A file that is being served was cut while it was read? Else look into the kernel's log." },
	{ "arithmetic", "a division by zero, or its overflow", "" },
	{ "illegal-instruction", "an instruction that this processor does not know, or a deliberate stop", "" },
	{ "trap", "a breakpoint or trap outside a debugger", "" },
	{ "heap-abort", "the C library found the heap damaged",
	  "The damage was done earlier than here: run the server with -X under valgrind, or build it with SANITIZE=1." },
	{ "canary", "a function wrote past an array on its stack", "The first frame of the program names the function." },
	{ "fortify", "a copy would not have fitted its buffer", "" },
	{ "assert", "something that must always hold did not", "" },
	{ "abort", "the program ended itself", "The abort message or the error log's last lines say why." },
	{ "sandbox", "a system call was made that the process may not make",
	  "If it is harmless, a library of another version needs it: report it with the number of the call." },
	{ "sent-by-pid", "another process sent the signal", "Look who that process is; the server itself is not to blame." },
	{ "hang", "it did not go on, and was ended for that",
	  "The frames say what it was about: an endless loop, a lock, or a file or helper that does not answer." },
	{ "live", "", "" },
	{ "raised", "the process sent the signal to itself", "" },
};

static const char *meaning_of(const char *class, bool advice)
{
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
		if (!strcmp(classes[i].name, class))
			return advice ? classes[i].advice : classes[i].meaning;
	return "";
}

/* -------------------------------------------------------------------------------------------------------- headline */

static void print_where(const struct readreport *r, FILE *out)
{
	struct readreport_frame f;

	if (!readreport_where(r, &f))
		return;
	if (*f.function)
		fprintf(out, " in %s", f.function);
	else if (*f.module)
		fprintf(out, " in %s+0x%" PRIx64, f.module, f.module_offset);
	if (*f.file)
		fprintf(out, " (%s:%u)", f.file, f.line);
}

static void print_what(const struct readreport *r, FILE *out)
{
	const char *meaning = meaning_of(readreport_value(r, "class"), false);
	const char *address = readreport_value(r, "address"), *access = readreport_value(r, "access");
	const char *call = readreport_value(r, "system-call"), *said = readreport_value(r, "abort-message");
	char pid[16];

	if (*meaning)
		fprintf(out, ": %s", meaning);
	if (*call)
		fprintf(out, " (number %.*s)", (int)strcspn(call, " "), call);
	else if (*said)
		fprintf(out, " (\"%s\")", said);
	else if (*address && strcmp(readreport_value(r, "class"), "non-canonical") != 0)
		fprintf(out, " (%s%saddress %s)", access, *access ? " at " : "", address);
	readreport_word(readreport_value(r, "sender"), "pid", pid, sizeof pid);
	if (!strcmp(readreport_value(r, "class"), "sent-by-pid") && *pid)
		fprintf(out, " (process %s)", pid);
}

static void print_request_of(const struct readreport *r, FILE *out)
{
	const char *method = readreport_value(r, "method"), *path = readreport_value(r, "path");
	const char *peer = readreport_value(r, "peer"), *host = readreport_value(r, "virtual-host");
	const char *phase = readreport_value(r, "phase"), *connection = readreport_value(r, "connection");

	if (!*connection || !strncmp(connection, "none", 4)) {
		fputs(*connection ? ", while it waited" : "", out);
		return;
	}
	if (*method)
		fprintf(out, ", serving %s %s", method, path);
	else
		fprintf(out, ", on connection %.*s", (int)strcspn(connection, " "), connection);
	if (*peer)
		fprintf(out, " for %s", peer);
	if (*host)
		fprintf(out, " on %s", host);
	if (*phase)
		fprintf(out, ", phase %s", phase);
}

void tool_headline(const struct readreport *r, FILE *out)
{
	const char *process = readreport_value(r, "process"), *signal = readreport_value(r, "signal");
	const char *when = readreport_value(r, "time");
	char role[24], pid[16];

	readreport_word(process, "role", role, sizeof role);
	readreport_word(process, "pid", pid, sizeof pid);
	if (!strcmp(readreport_value(r, "class"), "live"))
		fprintf(out, "%s %s is at work", *role ? role : "process", *pid ? pid : "?");
	else
		fprintf(out, "%s %s died of %.*s", *role ? role : "process", *pid ? pid : "?", (int)strcspn(signal, " "),
		*signal ? signal : "?");
	print_where(r, out);
	print_what(r, out);
	print_request_of(r, out);
	if (strlen(when) > 19)
		fprintf(out, "; %.10s %.8s UTC", when, when + 11);
}

/* ------------------------------------------------------------------------------------------------------ what to do */

static void print_next(const struct readreport *r)
{
	const struct tool_style *style = tool_style();
	const char *core = readreport_value(r, "core"), *advice = meaning_of(readreport_value(r, "class"), true);
	const char *program = readreport_value(r, "executable");

	printf("\n%sWhat to do%s\n", style->bold, style->plain);
	if (*advice)
		printf("  %s\n", advice);
	if (*core && strncmp(core, "none", 4) != 0) {
		printf("  The core, by itself or in gdb:\n      bulkhead-crash backtrace %s\n", tool_quoted(core));
		printf("      gdb -nx -q -iex 'set auto-load off' -iex 'set debuginfod enabled off' -ex 'bt full 64' %s %s\n",
		       tool_quoted(program), tool_quoted(core));
	} else if (*core) {
		printf("  There is no core:%s.\n", core[4] == ':' ? core + 5 : " the report does not say why");
	}
	for (size_t i = 0; i < r->lines; i++)
		if (!strcmp(r->line[i].key, "note"))
			printf("  Note: %s.\n", r->line[i].value);
	if (r->state == READREPORT_RAW)
		puts("  The step that finds names did not come to its end: frames are module and offset only. Read the core instead.");
	else if (r->state == READREPORT_CUT)
		puts("  The report breaks off: the disk was full, or it is just being written.");
	puts("  For a bug report: bulkhead-crash bundle");
}

/* ---------------------------------------------------------------------------------------------------------- tables */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void name_of(const struct readreport_frame *f, char *out, size_t room)
{
	if (f->has_offset)
		snprintf(out, room, "%s+0x%" PRIx64, f->function, f->function_offset);
	else
		snprintf(out, room, "%s", *f->function ? f->function : "?");
}

static void place_of(const struct readreport_frame *f, char *out, size_t room)
{
	if (*f->file)
		snprintf(out, room, "%s:%u", f->file, f->line);
	else
		snprintf(out, room, "%s", "");
}

static void widths(const struct readreport *r, const char *key, int *name, int *place)
{
	struct readreport_frame f;
	char text[640];

	*name = *place = 1;
	for (size_t i = 0; i < r->lines; i++) {
		if (strcmp(r->line[i].key, key) != 0 || !readreport_frame(r->line[i].value, &f))
			continue;
		name_of(&f, text, sizeof text);
		if (strlen(text) <= COLUMN && (int)strlen(text) > *name)
			*name = (int)strlen(text);
		place_of(&f, text, sizeof text);
		if (strlen(text) <= COLUMN && (int)strlen(text) > *place)
			*place = (int)strlen(text);
	}
}

static void print_frame(const char *value, int name_width, int place_width)
{
	const struct tool_style *style = tool_style();
	struct readreport_frame f;
	char name[640], place[640];
	bool sure;

	if (!readreport_frame(value, &f)) {
		printf("  %s\n", value);
		return;
	}
	name_of(&f, name, sizeof name);
	place_of(&f, place, sizeof place);
	sure = strcmp(f.trust, "scan") != 0 && strcmp(f.trust, "raw") != 0;
	printf("  #%-3u %s%-*s%s  %-*s  %s%-7s%s ", f.number, sure ? style->bold : style->dim, name_width, name, style->plain,
	       place_width, place, style->dim, sure ? f.trust : !strcmp(f.trust, "scan") ? "?scan" : f.trust, style->plain);
	if (*f.module)
		printf(" %s+0x%" PRIx64 "\n", base_name(f.module), f.module_offset);
	else
		printf(" 0x%" PRIx64 " in no file\n", f.pc);
}

static void print_frames(const struct readreport *r, const char *key, const char *title)
{
	const struct tool_style *style = tool_style();
	bool any = false;
	int name, place;

	widths(r, key, &name, &place);
	for (size_t i = 0; i < r->lines; i++) {
		if (strcmp(r->line[i].key, key) != 0)
			continue;
		if (!any)
			printf("\n%s%s%s\n", style->bold, title, style->plain);
		any = true;
		print_frame(r->line[i].value, name, place);
	}
}

/* The values of these keys, those that are there, below a title. */
static void print_keys(const struct readreport *r, const char *title, const char *const *keys)
{
	const struct tool_style *style = tool_style();

	printf("\n%s%s%s\n", style->bold, title, style->plain);
	for (; *keys; keys++) {
		const char *value = readreport_value(r, *keys);

		if (*value)
			printf("  %-16s %s\n", *keys, value);
	}
}

/* All lines of one key. */
static void print_all(const struct readreport *r, const char *key, const char *title)
{
	const struct tool_style *style = tool_style();
	bool any = false;

	for (size_t i = 0; i < r->lines; i++) {
		if (strcmp(r->line[i].key, key) != 0)
			continue;
		if (!any)
			printf("\n%s%s%s\n", style->bold, title, style->plain);
		any = true;
		printf("  %s\n", r->line[i].value);
	}
}

static void print_events(const struct readreport *r)
{
	const struct tool_style *style = tool_style();
	struct readreport_event e;
	bool any = false;

	for (size_t i = 0; i < r->lines; i++) {
		if (strcmp(r->line[i].key, "event") != 0 || !readreport_event(r->line[i].value, &e))
			continue;
		if (!any)
			printf("\n%sLast events%s\n", style->bold, style->plain);
		any = true;
		printf("  %9" PRId64 " ms  %-12s %" PRIu64 "\n", e.ms, e.what, e.number);
	}
}

void tool_show_report(const struct readreport *r, const char *name, int more)
{
	static const char *const request[] = { "connection", "peer", "virtual-host", "method", "path", "handler", "phase",
					       "request-age-ms", NULL };
	static const char *const origin[] = { "signature", "time", "host", "version", "executable", "build-id", "kernel",
					      "process", "served", "signal", "code", "class", "address", "access",
					      "system-call", "sender", "abort-message", "ended", "core", "core-excludes",
					      "unwinder", "frames", "snapshot", "end", NULL };
	const struct tool_style *style = tool_style();

	fputs(style->red, stdout);
	tool_headline(r, stdout);
	printf("%s\n", style->plain);
	if (r->state != READREPORT_COMPLETE)
		printf("%sThis report is incomplete (%s).%s\n", style->bold, readreport_state_word(r->state), style->plain);
	if (more >= 0 && strcmp(readreport_value(r, "class"), "live") != 0)
		print_next(r);
	print_frames(r, "frame", "Frames, innermost first");
	print_frames(r, "raw-frame", "What the dying process itself saw");
	print_keys(r, "Request", request);
	print_events(r);
	print_keys(r, "Report", origin);
	printf("  %-16s %s\n", "file", name);
	if (more >= 1) {
		print_all(r, "register", "Registers");
		print_all(r, "code-bytes", "Code around the program counter");
	}
	if (more >= 2) {
		print_all(r, "map", "Map of memory");
		print_all(r, "map-missing", "What is missing of it");
	}
}

void tool_show_frames(const struct readreport *r, int more)
{
	const struct tool_style *style = tool_style();

	fputs(style->red, stdout);
	tool_headline(r, stdout);
	printf("%s\n", style->plain);
	for (size_t i = 0; i < r->lines; i++)
		if (!strcmp(r->line[i].key, "note"))
			printf("Note: %s.\n", r->line[i].value);
	print_frames(r, "frame", "Frames, innermost first");
	if (more >= 1)
		print_all(r, "register", "Registers");
}

int tool_show(int argc, char **argv)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 } };
	const char *dir = NULL;
	char name[READREPORT_NAME];
	struct readreport r;
	bool json = false;
	int c, more = 0, status = TOOL_GOOD;

	while ((c = getopt_long(argc, argv, ":d:v", longs, NULL)) != -1)
		switch (c) {
		case 'd': dir = optarg; break;
		case 'v': more++; break;
		case 'j': json = true; break;
		default: return tool_bad_option(argv, c);
		}
	if (argc - optind > 1)
		return tool_misused(argv[0], "one report at a time");
	if (tool_find(dir, argv[optind], &r, name) < 0)
		return TOOL_TROUBLE;
	if (json)
		status = tool_print_json(tool_report_json(&r, name));
	else
		tool_show_report(&r, name, more);
	readreport_free(&r);
	return status;
}
