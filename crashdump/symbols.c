/*
 * symbols.c - from a snapshot to named frames, by elfutils' libdwfl with callbacks of our own: memory is the snapshot's
 * stack slice, registers are the snapshot's, files are those of its map whose build-id is still the one that was
 * loaded. Runs in the job, unprivileged: it reads program files that a broken process named.
 *
 * Two mends of what unwind tables cannot do: the caller of an address without code (bad call) is what lies on top of
 * the stack; and where the tables end too early, the next word of the stack that follows a call in a named function
 * is taken (scan.c) and unwinding goes on from there.
 */
#include "crashdump/symbols.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crashdump/print.h"
#include "crashdump/scan.h"
#include "crashdump/tailcalls.h"
#include "crashdump/unit.h"
#include "crashdump/vdso.h"

#define SCANS_MAX 16            /* restarts after an end of the tables */

/* libdwfl's callbacks for files get no argument; the job reads one snapshot at a time. */
static struct reader {
	const struct crash_snapshot *s;
	struct crash_trace *out;
	Dwfl *dwfl;
	/* where unwinding begins next */
	uint64_t pc, sp, fp;
	bool first;                     /* from the interrupted instruction: all registers are known */
	bool fp_known;
	bool bad_call;                  /* all but the program counter and the stack pointer as interrupted */
	enum crash_trust trust;         /* of the frame where it begins */
	bool began;
	uint64_t last_sp;               /* of the outermost frame so far */
	bool lost;                      /* the last frame's program counter lies in no code */
} reader;

static char program[32] = "/proc/self/exe";     /* another way to the program file; "" = none */

void symbols_program(int fd)
{
	program[0] = '\0';
	if (fd >= 0)
		snprintf(program, sizeof program, "/proc/self/fd/%d", fd);
}

/* ---------------------------------------------------------------------------------------------------------- files */

/* Where the file that holds the address begins in memory, and its name; false: in no file. */
static bool module_of(const struct crash_snapshot *s, uint64_t address, uint64_t *start, struct crash_range *named)
{
	const char *at = s->maps, *end = s->maps + s->maps_length;
	struct crash_range r;
	const char *name = "";
	size_t length = 0;

	*start = 0;
	while (snapshot_range(&at, end, &r)) {
		if (r.name_length && (r.name_length != length || memcmp(r.name, name, length) != 0)) {
			name = r.name;
			length = r.name_length;
			*start = r.low;
		}
		if (address < r.low || address >= r.high)
			continue;
		*named = r;
		return r.name_length && (r.file || r.name[0] == '[');
	}
	return false;
}

void symbols_build_id(const struct crash_snapshot *s, uint64_t module_start, char *hex)
{
	hex[0] = '\0';
	for (unsigned i = 0; i < s->modules; i++) {
		if (s->module[i].start != module_start)
			continue;
		for (unsigned j = 0; j < s->module[i].id_length; j++)
			sprintf(hex + 2 * j, "%02x", s->module[i].id[j]);
		return;
	}
}

static const struct crash_module *module_at(uint64_t start)
{
	for (unsigned i = 0; i < reader.s->modules; i++)
		if (reader.s->module[i].start == start && reader.s->module[i].id_length)
			return &reader.s->module[i];
	return NULL;
}

static bool same_build(Elf *elf, const struct crash_module *m)
{
	const void *id;
	ssize_t n = dwelf_elf_gnu_build_id(elf, &id);

	return n == m->id_length && !memcmp(id, m->id, (size_t)n);
}

/* Opens a file if it is a regular ELF file of the build that was loaded; else -1, with EBADMSG if it is another. The path
 * comes from the broken process. */
static int open_module(const char *path, const struct crash_module *m, Elf **elf)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	*elf = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? elf_begin(fd, ELF_C_READ_MMAP, NULL) : NULL;
	if (*elf && elf_kind(*elf) == ELF_K_ELF && (!m || same_build(*elf, m)))
		return fd;
	elf_end(*elf);
	*elf = NULL;
	close(fd);
	errno = EBADMSG;
	return -1;
}

/* Shared memory has a name too, and most of it is deleted: nobody misses names of functions there. */
static bool holds_code(const char *name)
{
	const char *at = reader.s->maps, *end = at + reader.s->maps_length;
	size_t length = strlen(name);
	struct crash_range r;

	while (snapshot_range(&at, end, &r))
		if (r.executable && r.name_length == length && !memcmp(r.name, name, length))
			return true;
	return false;
}

/* No descriptor, but an ELF in memory, where it is the one that was loaded. */
static int find_vdso(const struct crash_module *m, Elf **elf)
{
	*elf = m ? vdso_open() : NULL;
	if (*elf && !same_build(*elf, m)) {
		elf_end(*elf);
		*elf = NULL;
	}
	return -1;
}

static int find_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base, char **file, Elf **elf)
{
	static const char deleted[] = " (deleted)";
	const struct crash_module *m = module_at(base);
	size_t length = strlen(name);
	bool gone = length > sizeof deleted && !strcmp(name + length - (sizeof deleted - 1), deleted);
	char path[512];
	struct print note = { .text = reader.out->note, .length = strlen(reader.out->note),
			      .room = sizeof reader.out->note };
	int fd = -1, error;

	(void)module;
	(void)userdata;
	*elf = NULL;
	if (!strcmp(name, VDSO_NAME))
		return find_vdso(m, elf);
	if (name[0] != '/' || length >= sizeof path)
		return -1;
	memcpy(path, name, length + 1);
	if (gone)
		path[length - (sizeof deleted - 1)] = '\0';
	errno = 0;
	if (m || !gone)
		fd = open_module(path, m, elf);
	error = errno;
	/* The job runs the same program as the dead child: it still has the file that an update took away. */
	if (fd < 0 && m && *program && !strcmp(path, reader.s->executable)) {
		fd = open_module(program, m, elf);
		error = errno;
	}
	if (fd < 0) {
		if ((m || gone || error == EACCES) && holds_code(name)) {
			print_add(&note, "%s", note.length ? "; " : "");
			print_bytes(&note, path, strlen(path));
			print_add(&note, error == EACCES ? " may not be read by the process's account: no names" :
				  " was replaced or removed since it was loaded: no names");
		}
		return -1;
	}
	*file = strdup(path);
	return fd;
}

/* Separate debug information: by build-id, or by the name of .gnu_debuglink; it must carry the same build-id. Not
 * dwfl_standard_find_debuginfo, which loads an HTTP client and asks the network in the end. */
static int find_debuginfo(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base, const char *file,
			  const char *link, GElf_Word crc, char **found)
{
	static const char root[] = "/usr/lib/debug";
	const struct crash_module *m = module_at(base);
	const char *slash = file ? strrchr(file, '/') : NULL;
	char path[4][768], id[2 * SNAPSHOT_ID + 1];
	unsigned count = 0;

	(void)module;
	(void)userdata;
	(void)name;
	(void)crc;
	if (!m || m->id_length < 2)
		return -1;
	symbols_build_id(reader.s, base, id);
	snprintf(path[count++], sizeof path[0], "%s/.build-id/%.2s/%s.debug", root, id, id + 2);
	if (slash && link && !strchr(link, '/') && strlen(file) + strlen(link) < sizeof path[0] - 32) {
		snprintf(path[count++], sizeof path[0], "%.*s.debug/%s", (int)(slash + 1 - file), file, link);
		snprintf(path[count++], sizeof path[0], "%.*s%s", (int)(slash + 1 - file), file, link);
		snprintf(path[count++], sizeof path[0], "%s%.*s%s", root, (int)(slash + 1 - file), file, link);
	}
	for (unsigned i = 0; i < count; i++) {
		Elf *elf = NULL;
		int fd = open_module(path[i], m, &elf);

		if (fd < 0)
			continue;
		elf_end(elf);
		*found = strdup(path[i]);
		return fd;
	}
	return -1;
}

static const Dwfl_Callbacks file_callbacks = { .find_elf = find_elf, .find_debuginfo = find_debuginfo };

/* ---------------------------------------------------------------------------------------------- memory, registers */

static bool memory_read(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *result, void *arg)
{
	uint64_t word;

	(void)dwfl;
	(void)arg;
	if (!scan_word(reader.s, address, &word))
		return false;
	*result = word;
	return true;
}

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	(void)dwfl;
	if (*thread_arg)
		return 0;
	*thread_arg = arg;
	return reader.s->pid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg)
{
	(void)dwfl;
	*thread_arg = arg;
	return tid == reader.s->pid;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	Dwarf_Word words[REGISTERS_MAX];
	bool all = reader.first || reader.bad_call;

	(void)arg;
	for (unsigned i = 0; i < REGISTERS; i++)
		words[i] = reader.s->registers[i];
	words[REGISTER_PC] = reader.pc;
	words[REGISTER_SP] = reader.sp;
	words[REGISTER_FP] = all ? words[REGISTER_FP] : reader.fp;
#ifdef REGISTER_LR
	dwfl_thread_state_register_pc(thread, reader.pc);       /* has no number of its own there */
#else
	if (!dwfl_thread_state_registers(thread, REGISTER_PC, 1, &words[REGISTER_PC]))
		return false;
#endif
	if (all)
		return dwfl_thread_state_registers(thread, 0, REGISTER_PC, words);
	if (reader.fp_known && !dwfl_thread_state_registers(thread, REGISTER_FP, 1, &words[REGISTER_FP]))
		return false;
	return dwfl_thread_state_registers(thread, REGISTER_SP, 1, &words[REGISTER_SP]);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread, .get_thread = get_thread, .memory_read = memory_read,
	.set_initial_registers = set_registers,
};

/* ---------------------------------------------------------------------------------------------------------- names */

static void describe(const struct crash_snapshot *s, struct crash_frame *f)
{
	struct crash_range r;
	uint64_t start, address = f->activation ? f->pc : f->pc - 1;
	struct print p = { .text = f->module, .room = sizeof f->module };

	if (!module_of(s, address, &start, &r))
		return;
	print_bytes(&p, r.name, r.name_length);
	f->module_offset = f->pc - start;
	symbols_build_id(s, start, f->build_id);
}

static void source_line(Dwarf_Die *unit, uint64_t address, struct crash_frame *f)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, address);
	const char *file = line && dwarf_lineno(line, &f->line) == 0 ? dwarf_linesrc(line, NULL, NULL) : NULL;

	if (file)
		print_clean(f->file, sizeof f->file, file);
}

static struct crash_frame *append(const struct crash_frame *f)
{
	if (reader.out->count == SYMBOLS_FRAMES)
		return NULL;
	reader.out->frame[reader.out->count] = *f;
	return &reader.out->frame[reader.out->count++];
}

static const char *die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	return dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
}

/* The function that calls the inlined one at `die`: its source is where the call stands. */
static void call_place(Dwarf_Die *die, Dwarf_Die *unit, struct crash_frame *outer)
{
	Dwarf_Attribute attribute;
	Dwarf_Word file, line;
	Dwarf_Files *files;

	outer->file[0] = '\0';
	outer->line = 0;
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &file) ||
	    dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &line) || line > INT32_MAX ||
	    dwarf_getsrcfiles(unit, &files, NULL))
		return;
	const char *name = dwarf_filesrc(files, file, NULL, NULL);
	if (name)
		print_clean(outer->file, sizeof outer->file, name);
	outer->line = (int)line;
}

/* Appends one frame for each function inlined around the address, innermost first; leaves in `f` the real one. */
static void inlined_calls(Dwarf_Die *unit, uint64_t address, struct crash_frame *f)
{
	Dwarf_Die *scopes = NULL, *chain = NULL;
	enum crash_trust trust = f->trust;
	int n;

	if (dwarf_getscopes(unit, address, &scopes) <= 0)
		return;
	n = dwarf_getscopes_die(&scopes[0], &chain);
	for (int i = 0; i < n; i++) {
		struct crash_frame inner = *f;
		const char *name;

		if (dwarf_tag(&chain[i]) != DW_TAG_inlined_subroutine)
			continue;
		name = die_name(&chain[i]);
		print_clean(inner.function, sizeof inner.function, name ? name : "?");
		inner.function_offset = 0;
		inner.trust = CRASH_TRUST_INLINED;
		append(&inner);
		call_place(&chain[i], unit, f);
	}
	f->trust = trust;
	free(chain);
	free(scopes);
}

static void add_frame(uint64_t pc, bool activation, enum crash_trust trust)
{
	struct crash_frame f = { .pc = pc, .trust = trust, .activation = activation };
	uint64_t address = activation ? pc : pc - 1;
	Dwfl_Module *module = dwfl_addrmodule(reader.dwfl, address);
	Dwarf_Addr bias;
	Dwarf_Die *unit;
	const char *name;
	GElf_Off offset;
	GElf_Sym symbol;

	describe(reader.s, &f);
	if (module && (name = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL))) {
		print_clean(f.function, sizeof f.function, name);
		f.function_offset = offset + (activation ? 0 : 1);
	}
	if (f.function[0] && (unit = unit_at(reader.dwfl, address, &bias))) {
		source_line(unit, address - bias, &f);
		inlined_calls(unit, address - bias, &f);
	}
	append(&f);
}

/* The functions that jumped on between the last frame and the one that it returns to. */
static void add_tail_calls(uint64_t back)
{
	const struct crash_frame *last = reader.out->count ? &reader.out->frame[reader.out->count - 1] : NULL;
	uint64_t pcs[TAILCALLS_MAX];
	unsigned n = last ? tailcalls_find(reader.dwfl, last->activation ? last->pc : last->pc - 1, back, pcs) : 0;

	for (unsigned i = 0; i < n; i++)
		add_frame(pcs[i], false, CRASH_TRUST_TAIL);
}

/* ------------------------------------------------------------------------------------------------------ unwinding */

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	Dwarf_Addr pc;
	Dwarf_Word word;
	bool activation;

	(void)arg;
	if (!dwfl_frame_pc(frame, &pc, &activation))
		return DWARF_CB_ABORT;
	if (dwfl_frame_reg(frame, REGISTER_SP, &word) == 0)
		reader.last_sp = word;
	reader.fp_known = dwfl_frame_reg(frame, REGISTER_FP, &word) == 0;
	if (reader.fp_known)
		reader.fp = word;
	if (!reader.began) {
		/* A restart begins one byte before the return address, inside the call: that finds the right row. */
		reader.began = true;
		if (reader.first)
			add_frame(pc, true, CRASH_TRUST_CONTEXT);
		else
			add_frame(pc + 1, false, reader.trust);
	} else if (!scan_is_code(reader.s, activation ? pc : pc - 1)) {
		reader.lost = true;
		return DWARF_CB_ABORT;
	} else {
		if (!activation)
			add_tail_calls(pc);
		add_frame(pc, activation, CRASH_TRUST_CFI);
	}
	return reader.out->count < SYMBOLS_FRAMES ? DWARF_CB_OK : DWARF_CB_ABORT;
}

/* Unwinding begins at the next plausible return address from `sp` on. */
static bool scan(uint64_t sp)
{
	uint64_t word;

	if (!scan_next(reader.dwfl, reader.s, &sp, &word))
		return false;
	reader.pc = word - 1;
	reader.sp = sp + 8;
	reader.first = reader.bad_call = false;
	reader.trust = CRASH_TRUST_SCAN;
	/* A function that keeps a frame pointer saved its caller's just below the return address. */
	reader.fp_known = scan_word(reader.s, sp - 8, &reader.fp) && reader.fp > sp &&
			  scan_word(reader.s, reader.fp, &word);
	return true;
}

/* An address without code was called: prints it, and begins at its caller. */
static bool start_at_caller(void)
{
	const struct crash_snapshot *s = reader.s;
	uint64_t sp = s->registers[REGISTER_SP], caller;

	add_frame(s->registers[REGISTER_PC], true, CRASH_TRUST_CONTEXT);
#ifdef REGISTER_LR
	caller = s->registers[REGISTER_LR];
#else
	if (!scan_word(s, sp, &caller))
		return scan(sp);
	sp += 8;
#endif
	if (!scan_is_code(s, caller - 1))
		return scan(s->registers[REGISTER_SP]);
	reader.pc = caller - 1;
	reader.sp = sp;
	reader.bad_call = true;
	reader.trust = CRASH_TRUST_BADCALL;
	return true;
}

/* The tables ask for memory above the slice of the stack: the frames end there, though nothing says so. */
static bool slice_ended(void)
{
	const struct crash_frame *last = reader.out->count ? &reader.out->frame[reader.out->count - 1] : NULL;

	return reader.s->stack_length == SNAPSHOT_STACK && last && strcmp(last->function, "_start") != 0 &&
	       reader.s->stack_address + reader.s->stack_length - reader.last_sp < 4096;
}

static void unwind(void)
{
	const struct crash_snapshot *s = reader.s;
	uint64_t pc = s->registers[REGISTER_PC];
	bool more = true;

	reader.last_sp = s->registers[REGISTER_SP];
	if ((s->signal == SIGSEGV && s->code > 0 && s->address == pc) || !scan_is_code(s, pc)) {
		more = start_at_caller();
	} else {
		reader.first = true;
		reader.pc = pc;
		reader.sp = s->registers[REGISTER_SP];
	}
	for (unsigned i = 0; more && i < SCANS_MAX; i++) {
		uint64_t sp = reader.sp;

		reader.began = reader.lost = false;
		if (dwfl_getthread_frames(reader.dwfl, s->pid, on_frame, NULL) == 0) {
			reader.out->whole = !slice_ended();
			return;
		}
		if (reader.out->count == SYMBOLS_FRAMES)
			return;
		more = scan(reader.began ? reader.last_sp : sp);
	}
}

/* dwfl_linux_proc_maps_report takes only what lies in files. */
static void report_vdso(const struct crash_snapshot *s, Dwfl *dwfl)
{
	const char *at = s->maps, *end = at + s->maps_length;
	struct crash_range r;

	while (snapshot_range(&at, end, &r))
		if (r.name_length == strlen(VDSO_NAME) && !memcmp(r.name, VDSO_NAME, r.name_length))
			dwfl_report_module(dwfl, VDSO_NAME, r.low, r.high);
}

static Dwfl *open_modules(const struct crash_snapshot *s)
{
	Dwfl *dwfl = dwfl_begin(&file_callbacks);
	FILE *maps = s->maps_length ? fmemopen((void *)(uintptr_t)s->maps, s->maps_length, "r") : NULL;

	if (dwfl)
		report_vdso(s, dwfl);
	if (!dwfl || !maps || dwfl_linux_proc_maps_report(dwfl, maps) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0) {
		dwfl_end(dwfl);
		dwfl = NULL;
	}
	if (maps)
		fclose(maps);
	return dwfl;
}

int symbols_trace(const struct crash_snapshot *s, struct crash_trace *out)
{
	memset(out, 0, sizeof *out);
	memset(&reader, 0, sizeof reader);
	reader.s = s;
	reader.out = out;
	if (s->pid > 0 && (reader.dwfl = open_modules(s)) &&
	    dwfl_attach_state(reader.dwfl, NULL, s->pid, &thread_callbacks, &reader))
		unwind();
	if (out->count < s->frames && !out->whole && out->count <= 1) {
		/* Nothing came of it: the trace of the dying process, with names where files can be read. */
		out->count = 0;
		for (unsigned i = 0; reader.dwfl && i < s->frames; i++)
			add_frame(s->frame[i], i == 0, CRASH_TRUST_RAW);
		if (!reader.dwfl)
			symbols_raw(s, out);
	}
	dwfl_end(reader.dwfl);
	return out->count ? 0 : -1;
}

void symbols_raw(const struct crash_snapshot *s, struct crash_trace *out)
{
	memset(out, 0, sizeof *out);
	for (unsigned i = 0; i < s->frames && i < SYMBOLS_FRAMES; i++) {
		struct crash_frame *f = &out->frame[out->count++];

		*f = (struct crash_frame){ .pc = s->frame[i], .trust = CRASH_TRUST_RAW, .activation = i == 0 };
		describe(s, f);
	}
}

const char *symbols_trust(enum crash_trust trust)
{
	static const char *const words[] = {
		[CRASH_TRUST_CONTEXT] = "context", [CRASH_TRUST_CFI] = "cfi", [CRASH_TRUST_INLINED] = "inlined",
		[CRASH_TRUST_TAIL] = "tail",
		[CRASH_TRUST_BADCALL] = "badcall", [CRASH_TRUST_SCAN] = "scan", [CRASH_TRUST_RAW] = "raw",
	};

	return words[trust];
}
