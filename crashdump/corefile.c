/*
 * corefile.c - from a core file to a snapshot: see corefile.h. The notes give registers, signal and the names of mapped
 * files; the dumped first pages of these files give their build-ids; one stretch of memory gives the stack. Every length
 * and offset is checked, since the file may come from anybody. Run by bulkhead-crash in a process of its own.
 */
#include "crashdump/corefile.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crashdump/print.h"

#define FILES_MAX 4096
#if defined __x86_64__
#define MACHINE EM_X86_64
#else
#define MACHINE EM_AARCH64
#endif

struct mapped {
	uint64_t low, high, offset;
	const char *name;
};

static struct core {
	int fd;
	struct crash_snapshot *s;
	const char *program;
	bool has_registers, has_signal;
	size_t segments;
	GElf_Phdr *segment;
	size_t files;
	struct mapped *file;
	uint64_t entry, vdso, arguments;        /* of the auxiliary vector */
} core;

/* ---------------------------------------------------------------------------------------------------------- memory */

/* So many bytes as the core holds from an address on, up to n. */
static size_t memory(uint64_t address, void *out, size_t n)
{
	for (size_t i = 0; i < core.segments; i++) {
		const GElf_Phdr *p = &core.segment[i];
		uint64_t skip = address - p->p_vaddr;
		ssize_t got;

		if (p->p_type != PT_LOAD || address < p->p_vaddr || skip >= p->p_filesz)
			continue;
		if (n > p->p_filesz - skip)
			n = (size_t)(p->p_filesz - skip);
		got = pread(core.fd, out, n, (off_t)(p->p_offset + skip));
		return got < 0 ? 0 : (size_t)got;
	}
	return 0;
}

/* ----------------------------------------------------------------------------------------------------------- notes */

static void take_status(const char *desc, size_t n)
{
	static const unsigned char order[REGISTERS] = REGISTERS_IN_CORE;
	struct elf_prstatus status;
	const unsigned long long *words = (const unsigned long long *)(const void *)&status.pr_reg;

	/* The kernel names the thread with the signal first. */
	if (core.has_registers || n < sizeof status)
		return;
	memcpy(&status, desc, sizeof status);
	for (unsigned i = 0; i < REGISTERS; i++)
		core.s->registers[i] = words[order[i]];
	core.s->fault.flags = words[REGISTERS_FLAGS_IN_CORE];
	core.s->tid = status.pr_pid;
	if (!core.has_signal)
		core.s->signal = status.pr_cursig;
	core.has_registers = true;
}

static void take_signal(const char *desc, size_t n)
{
	struct crash_snapshot *s = core.s;
	siginfo_t info;

	if (core.has_signal || n < sizeof info)
		return;
	memcpy(&info, desc, sizeof info);
	s->signal = info.si_signo;
	s->code = info.si_code;
	s->error = info.si_errno;
	if (s->signal == SIGSYS && s->code == 1) {
		s->system_call = info.si_syscall;
		s->machine = info.si_arch;
		s->address = (uint64_t)(uintptr_t)info.si_call_addr;
	} else if (s->code > 0) {
		s->address = (uint64_t)(uintptr_t)info.si_addr;
	} else {
		s->sender_pid = info.si_pid;
		s->sender_uid = info.si_uid;
	}
	core.has_signal = true;
}

static void take_process(const char *desc, size_t n)
{
	struct elf_prpsinfo info;

	if (n < sizeof info)
		return;
	memcpy(&info, desc, sizeof info);
	core.s->pid = info.pr_pid;
	core.s->owner = info.pr_pid;
	core.s->uid = info.pr_uid;
}

static void take_vector(const char *desc, size_t n)
{
	uint64_t pair[2];

	for (; n >= sizeof pair; desc += sizeof pair, n -= sizeof pair) {
		memcpy(pair, desc, sizeof pair);
		if (pair[0] == AT_ENTRY)
			core.entry = pair[1];
		else if (pair[0] == AT_SYSINFO_EHDR)
			core.vdso = pair[1];
		else if (pair[0] == AT_EXECFN)
			core.arguments = pair[1];
	}
}

/* Count, page size, so many (start, end, offset in pages), then as many names. The core stays open as long as they are used. */
static void take_files(const char *desc, size_t n)
{
	const char *end = desc + n, *name;
	uint64_t head[2], range[3];

	if (core.file || n < sizeof head)
		return;
	memcpy(head, desc, sizeof head);
	if (!head[0] || head[0] > FILES_MAX || (n - sizeof head) / sizeof range < head[0])
		return;
	name = desc + sizeof head + head[0] * sizeof range;
	if (!(core.file = calloc(head[0], sizeof *core.file)))
		return;
	for (size_t i = 0; i < head[0] && name < end && memchr(name, '\0', (size_t)(end - name)); i++) {
		memcpy(range, desc + sizeof head + i * sizeof range, sizeof range);
		core.file[core.files++] = (struct mapped){ range[0], range[1], range[2] * head[1], name };
		name += strlen(name) + 1;
	}
}

static void take_notes(Elf *elf)
{
	static const struct { unsigned type; void (*take)(const char *, size_t); } kinds[] = {
		{ NT_PRSTATUS, take_status }, { NT_SIGINFO, take_signal }, { NT_PRPSINFO, take_process },
		{ NT_AUXV, take_vector }, { NT_FILE, take_files },
	};

	for (size_t i = 0; i < core.segments; i++) {
		size_t at = 0, name, desc;
		Elf_Data *data;
		GElf_Nhdr note;

		if (core.segment[i].p_type != PT_NOTE ||
		    !(data = elf_getdata_rawchunk(elf, (int64_t)core.segment[i].p_offset, core.segment[i].p_filesz, ELF_T_NHDR)))
			continue;
		while ((at = gelf_getnote(data, at, &note, &name, &desc)) > 0)
			for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
				if (kinds[k].type == note.n_type)
					kinds[k].take((char *)data->d_buf + desc, note.n_descsz);
	}
}

/* ------------------------------------------------------------------------------------------------------------- map */

static const struct mapped *file_at(uint64_t address)
{
	for (size_t i = 0; i < core.files; i++)
		if (address >= core.file[i].low && address < core.file[i].high)
			return &core.file[i];
	return NULL;
}

static bool is_program(const struct mapped *f)
{
	const struct mapped *main_file = file_at(core.entry);

	return main_file && !strcmp(main_file->name, f->name);
}

/* Files are told apart by their inode numbers: any that differ will do. */
static unsigned inode_of(const struct mapped *f)
{
	unsigned n = 1;

	while (strcmp(core.file[n - 1].name, f->name) != 0)
		n++;
	return n;
}

static void add_range(struct print *p, const GElf_Phdr *h)
{
	const struct mapped *f = file_at(h->p_vaddr);
	const char *name = f ? is_program(f) && core.program ? core.program : f->name : "";
	uint64_t offset = f ? f->offset + (h->p_vaddr - f->low) : 0;
	bool stack = core.arguments >= h->p_vaddr && core.arguments - h->p_vaddr < h->p_memsz;

	print_add(p, "%llx-%llx %c%c%cp %08llx 00:01 %u ", (unsigned long long)h->p_vaddr,
		  (unsigned long long)h->p_vaddr + h->p_memsz, h->p_flags & PF_R ? 'r' : '-', h->p_flags & PF_W ? 'w' : '-',
		  h->p_flags & PF_X ? 'x' : '-', (unsigned long long)offset, f ? inode_of(f) : 0);
	if (!f)
		name = stack ? "[stack]" : core.vdso && h->p_vaddr == core.vdso ? "[vdso]" : "";
	for (; *name; name++)
		print_add(p, "%c", *name == '\n' ? '?' : *name);
	print_add(p, "\n");
}

static void make_map(void)
{
	struct print p = { .text = core.s->maps, .room = sizeof core.s->maps };

	for (size_t i = 0; i < core.segments; i++)
		if (core.segment[i].p_type == PT_LOAD && core.segment[i].p_vaddr + core.segment[i].p_memsz > core.segment[i].p_vaddr)
			add_range(&p, &core.segment[i]);
	core.s->maps_length = (uint32_t)p.length;
	core.s->maps_whole = !p.full;
}

/* --------------------------------------------------------------------------------------------------------- modules */

static void id_of_notes(struct crash_module *m, const char *notes, size_t n)
{
	while (n >= sizeof(GElf_Nhdr)) {
		GElf_Nhdr head;
		size_t name, whole;

		memcpy(&head, notes, sizeof head);
		name = ((size_t)head.n_namesz + 3) & ~(size_t)3;
		whole = sizeof head + name + (((size_t)head.n_descsz + 3) & ~(size_t)3);
		if (whole > n)
			return;
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && !memcmp(notes + sizeof head, "GNU", 4) &&
		    head.n_descsz <= sizeof m->id) {
			memcpy(m->id, notes + sizeof head + name, head.n_descsz);
			m->id_length = (uint8_t)head.n_descsz;
			return;
		}
		notes += whole;
		n -= whole;
	}
}

/* The build-id of a file whose first page is in the core. */
static void find_id(struct crash_module *m)
{
	Elf64_Ehdr head;
	Elf64_Phdr p[32] = { { .p_type = PT_NULL } };
	unsigned count;
	uint64_t bias = m->start;
	size_t n;
	char notes[1024];

	if (memory(m->start, &head, sizeof head) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_phentsize != sizeof p[0])
		return;
	n = memory(m->start + head.e_phoff, p, sizeof p);
	count = (unsigned)(n / sizeof p[0]) < head.e_phnum ? (unsigned)(n / sizeof p[0]) : head.e_phnum;
	for (unsigned i = 0; i < count; i++)
		if (p[i].p_type == PT_LOAD) {
			bias = m->start - (p[i].p_vaddr & ~(uint64_t)4095);
			break;
		}
	for (unsigned i = 0; i < count && !m->id_length; i++)
		if (p[i].p_type == PT_NOTE)
			id_of_notes(m, notes, memory(bias + p[i].p_vaddr, notes,
						     p[i].p_filesz < sizeof notes ? (size_t)p[i].p_filesz : sizeof notes));
}

static void add_module(uint64_t start)
{
	struct crash_module *m = &core.s->module[core.s->modules];

	if (core.s->modules == SNAPSHOT_MODULES)
		return;
	core.s->modules++;
	m->start = start;
	find_id(m);
}

static void make_modules(void)
{
	const char *last = "";

	for (size_t i = 0; i < core.files; i++)
		if (is_program(&core.file[i])) {
			snprintf(core.s->executable, sizeof core.s->executable, "%s", core.program ? core.program : core.file[i].name);
			add_module(core.file[i].low);
			break;
		}
	for (size_t i = 0; i < core.files; i++) {
		if (strcmp(core.file[i].name, last) != 0 && !is_program(&core.file[i]))
			add_module(core.file[i].low);
		last = core.file[i].name;
	}
}

/* ----------------------------------------------------------------------------------------------------------- stack */

/* From the stack pointer on; after an overflow it lies below the stack: then from the low end. */
static void take_stack(void)
{
	uint64_t low = (core.s->registers[REGISTER_SP] - REGISTER_RED_ZONE) & ~(uint64_t)7;

	for (size_t i = 0; i < core.segments; i++) {
		const GElf_Phdr *p = &core.segment[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_W) || p->p_vaddr + p->p_memsz <= low)
			continue;
		if (p->p_vaddr > low && p->p_vaddr - low > (1u << 20))
			return;
		if (p->p_vaddr > low)
			low = p->p_vaddr;
		core.s->stack_address = low;
		core.s->stack_length = (uint32_t)memory(low, core.s->stack, sizeof core.s->stack);
		return;
	}
}

static bool read_segments(Elf *elf)
{
	size_t count;

	if (elf_getphdrnum(elf, &count) || !count || count > 65536 || !(core.segment = calloc(count, sizeof *core.segment)))
		return false;
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, (int)i, &core.segment[core.segments]))
			core.segments++;
	return true;
}

int corefile_snapshot(int fd, const char *program, struct crash_snapshot *out, const char **why)
{
	struct stat st;
	Elf *elf = NULL;
	GElf_Ehdr head;

	memset(out, 0, sizeof *out);
	core = (struct core){ .fd = fd, .s = out, .program = program };
	out->system_call = -1;
	if (fstat(fd, &st) == 0)
		out->time_ms = (int64_t)st.st_mtime * 1000;
	*why = "it is no ELF file";
	if (elf_version(EV_CURRENT) != EV_NONE)
		elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &head)) {
		*why = head.e_type != ET_CORE ? "it is a program or a library, not a core" :
		       gelf_getclass(elf) != ELFCLASS64 || head.e_machine != MACHINE ? "it is of another kind of machine" : NULL;
		if (!*why && !read_segments(elf))
			*why = "it has no segments";
	}
	if (!*why) {
		take_notes(elf);
		*why = core.has_registers ? NULL : "it has no registers: it was cut before its first notes";
	}
	if (!*why) {
		make_map();
		make_modules();
		take_stack();
		out->complete = 1;
	}
	free(core.file);
	free(core.segment);
	elf_end(elf);
	return *why ? -1 : 0;
}
