/*
 * classify.c - the class and the signature of a crash, from its snapshot and its frames. Pure. The job.
 */
#include "crashdump/classify.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE_FRAMES 5

static bool has_function(const struct crash_trace *t, const char *name)
{
	for (unsigned i = 0; i < t->count; i++)
		if (!strcmp(t->frame[i].function, name))
			return true;
	return false;
}

static bool in_libc(const struct crash_frame *f)
{
	const char *base = strrchr(f->module, '/');

	return base && (!strncmp(base, "/libc.so", 8) || !strncmp(base, "/libc-", 6));
}

/* The kernel's own code in the process: which of its addresses it was says nothing, and differs from kernel to kernel. */
static bool in_vdso(const struct crash_frame *f)
{
	return !strcmp(f->module, "[vdso]");
}

/* abort() called by glibc itself: what does it complain about? */
static const char *classify_abort(const struct crash_snapshot *s, const struct crash_trace *t)
{
	const char *said = s->abort_message;

	if (strstr(said, "stack smashing") || has_function(t, "__stack_chk_fail"))
		return "canary";
	if (strstr(said, "buffer overflow") || has_function(t, "__chk_fail"))
		return "fortify";
	if (strstr(said, "Assertion") || has_function(t, "__assert_fail"))
		return "assert";
	if (!strncmp(said, "malloc", 6) || !strncmp(said, "free", 4) || !strncmp(said, "realloc", 7) ||
	    !strncmp(said, "calloc", 6) || strstr(said, "corrupted") || strstr(said, "double free") ||
	    strstr(said, "unaligned"))
		return "heap-abort";
	return "abort";
}

/* The stack pointer or the fault lies just below or at the low end of a stack. */
static bool overflowed(const struct crash_snapshot *s)
{
	uint64_t sp = s->registers[REGISTER_SP];
	struct crash_range r;
	const char *at = s->maps;
	uint64_t reach = 1u << 20;

	if (s->address > sp + reach || s->address + reach < sp)
		return false;
	while (snapshot_range(&at, s->maps + s->maps_length, &r)) {
		if (r.file || !r.writable || s->address >= r.high)
			continue;
		return s->address < r.low && r.low - s->address <= reach && sp < r.low + 65536;
	}
	return false;
}

static bool in_code(const struct crash_snapshot *s, uint64_t address)
{
	struct crash_range r;

	return snapshot_find(s->maps, s->maps_length, address, &r) && r.executable;
}

static const char *classify_fault(const struct crash_snapshot *s)
{
	if (s->code == 0x80)
		return "non-canonical";
	if (s->address == s->registers[REGISTER_PC] || (s->maps_whole && !in_code(s, s->registers[REGISTER_PC])))
		return "bad-call";
	if (overflowed(s))
		return "stack-overflow";
	if (s->address < 65536)
		return "null-deref";
	return s->code == SEGV_ACCERR ? "access" : "wild-pointer";
}

/* raise(), kill(), tgkill(): no fault of the processor's, whatever the signal is called. */
static bool raised(const struct crash_snapshot *s)
{
	return s->code <= 0 && (s->sender_pid == s->pid || s->sender_pid == 0);
}

/* It may have crashed by itself in the moment in which it was told to end. */
static bool hung(const struct crash_snapshot *s)
{
	return s->kind == CRASH_KIND_HANG && s->signal == SIGABRT && s->code <= 0 && !raised(s);
}

const char *classify(const struct crash_snapshot *s, const struct crash_trace *t)
{
	if (s->kind == CRASH_KIND_LIVE)
		return "live";
	if (hung(s))
		return "hang";
	if (s->code <= 0 && !raised(s))
		return "sent-by-pid";
	if (raised(s) && s->signal != SIGABRT)
		return "raised";
	switch (s->signal) {
	case SIGSEGV:
		return classify_fault(s);
	case SIGBUS:
		return "bus";
	case SIGFPE:
		return "arithmetic";
	case SIGILL:
		return "illegal-instruction";
	case SIGTRAP:
		return "trap";
	case SIGSYS:
		return "sandbox";
	case SIGABRT:
		return classify_abort(s, t);
	default:
		return "other";
	}
}

/* ------------------------------------------------------------------------------------------------------ signature */

static bool starts(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

/* Cuts what differs between builds and processors: .cold, .isra.0, .constprop.1; __memmove_avx_unaligned_erms. */
static void plain_name(const char *function, struct print *out)
{
	static const char *const variants[] = { "_avx", "_sse", "_evex", "_erms", "_unaligned", "_ssse", NULL };
	const char *start = function, *end = strchr(function + 1, '.');
	size_t length = end ? (size_t)(end - start) : strlen(start);

	for (unsigned i = 0; starts(function, "__") && variants[i]; i++) {
		const char *cut = strstr(function, variants[i]);

		if (cut && cut > function + 2 && (size_t)(cut - function) < length) {
			start = function + 2;
			length = (size_t)(cut - start);
		}
	}
	print_add(out, "%.*s", (int)length, start);
}

static void frame_name(const struct crash_frame *f, struct print *out)
{
	const char *base = strrchr(f->module, '/');

	if (f->function[0])
		plain_name(f->function, out);
	else if (f->module[0])
		print_add(out, "%s+0x%llx%s%.8s%s", base ? base + 1 : f->module, (unsigned long long)f->module_offset,
			  f->build_id[0] ? "(" : "", f->build_id, f->build_id[0] ? ")" : "");
	else
		print_add(out, "?");
}

static bool is_bottom(const struct crash_frame *f)
{
	return !strcmp(f->function, "main") || !strcmp(f->function, "_start") ||
	       starts(f->function, "__libc_start") || starts(f->function, "clone");
}

void classify_signature(const struct crash_snapshot *s, const struct crash_trace *t, struct print *out)
{
	char name[320], last[320] = "";
	bool skip_libc = s->signal == SIGABRT || raised(s) || s->kind == CRASH_KIND_LIVE;
	unsigned i = 0, taken = 0;

	print_add(out, "%s", s->kind == CRASH_KIND_LIVE ? "live" : hung(s) ? "hang" : print_signal(s->signal));
	/* Which of the C library's functions carried the signal is no news. */
	while (i < t->count && (in_vdso(&t->frame[i]) || (skip_libc && in_libc(&t->frame[i]))))
		i++;
	if (i == t->count)
		i = 0;
	for (; i < t->count && taken < SIGNATURE_FRAMES; i++) {
		struct print p = { .text = name, .room = sizeof name };

		if (t->frame[i].trust == CRASH_TRUST_SCAN)
			continue;
		if (is_bottom(&t->frame[i]) && taken)
			break;
		frame_name(&t->frame[i], &p);
		if (!strcmp(name, last))
			continue;
		print_add(out, "%s%s", taken++ ? "<" : " ", name);
		memcpy(last, name, sizeof last);
	}
}

/* ---------------------------------------------------------------------------------------------------- fingerprint */

#define FINGERPRINT_LOOKED 32           /* frames looked at: what a map and a stack of a broken process may cost is bounded */

static void mix(uint64_t *hash, uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8)
		*hash = (*hash ^ (value >> i & 0xff)) * 0x100000001b3;          /* FNV-1a */
}

static const struct crash_module *module_of(const struct crash_snapshot *s, uint64_t pc)
{
	const struct crash_module *best = NULL;

	for (unsigned i = 0; i < s->modules; i++)
		if (s->module[i].start <= pc && (!best || s->module[i].start > best->start))
			best = &s->module[i];
	return best && s->maps_whole && !in_code(s, pc) ? NULL : best;
}

/* Frame i; in place of a bad call's target the address on top of the stack, where the caller is. */
static uint64_t frame_pc(const struct crash_snapshot *s, unsigned i)
{
	uint64_t sp = s->registers[REGISTER_SP], pc = s->frame[i], word;

	if (i || !s->maps_whole || in_code(s, pc) || sp < s->stack_address || sp - s->stack_address + sizeof word > s->stack_length)
		return pc;
	memcpy(&word, s->stack + (sp - s->stack_address), sizeof word);
	return word;
}

/* Frames of the program itself: it is the loader's first module. Or, where there is none, of whatever there is. */
static unsigned mix_frames(const struct crash_snapshot *s, bool own, uint64_t *hash)
{
	uint64_t last = 0;
	unsigned taken = 0;

	for (unsigned i = 0; i < s->frames && i < FINGERPRINT_LOOKED && taken < SIGNATURE_FRAMES; i++) {
		uint64_t pc = frame_pc(s, i), id = 0;
		const struct crash_module *m = module_of(s, pc);

		if (!m || (own && m != &s->module[0]) || pc == last)
			continue;
		if (m->id_length >= sizeof id)
			memcpy(&id, m->id, sizeof id);
		mix(hash, id);
		mix(hash, pc - m->start);
		last = pc;
		taken++;
	}
	return taken;
}

uint64_t classify_fingerprint(const struct crash_snapshot *s)
{
	uint64_t hash = 0xcbf29ce484222325;

	mix(&hash, (uint64_t)s->signal);
	if (!mix_frames(s, true, &hash))
		mix_frames(s, false, &hash);
	return hash ? hash : 1;
}
