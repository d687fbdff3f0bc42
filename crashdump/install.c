/*
 * install.c - arms a child's crash handler: descriptors, alternate stack, modules, actions. Runs in the child at its
 * start, before seccomp; nothing of it runs in the signal handler.
 */
#include "crashdump/crashdump.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crashdump/handler.h"
#include "crashdump/unwind.h"

#define ALTSTACK (128u * 1024)

static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };

const int crash_system_calls[] = {
	/* the handler; the map's descriptor was opened before */
	SYS_gettid, SYS_getpid, SYS_getuid, SYS_sched_yield, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
	SYS_setitimer, SYS_clock_gettime, SYS_pread64, SYS_write, SYS_shutdown, SYS_madvise, SYS_prctl,
	SYS_rt_tgsigqueueinfo, SYS_tgkill,
	/* glibc's last words before abort(), without which a SIGSYS would hide the SIGABRT */
	SYS_writev,
	/* libunwind: asks whether memory can be read */
	SYS_mmap, SYS_munmap, SYS_mincore, SYS_pipe2, SYS_read, SYS_close,
	-1
};

int crash_files_open(struct crash_files *files)
{
	int error = 0;

	files->maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (files->maps < 0)
		error = errno;
	files->coredump_filter = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	if (files->coredump_filter < 0) {
		error = errno;
	} else if (write(files->coredump_filter, "0", 1) != 1) {
		error = errno;
		close(files->coredump_filter);
		files->coredump_filter = -1;
	}
	if (!error)
		return 0;
	errno = error;
	return -1;
}

/* A debugger wants the signals for itself, and so does valgrind, which shows in what it preloads. */
static bool traced(void)
{
	static const char key[] = "TracerPid:";
	const char *preload = getenv("LD_PRELOAD"), *at;
	char text[2048];
	ssize_t n;
	int fd;

	if (preload && strstr(preload, "vgpreload"))
		return true;
	if ((fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	at = strstr(text, key);
	return at && strtol(at + sizeof key - 1, NULL, 10) != 0;
}

static void take_build_id(struct crash_module *m, const char *note, size_t size)
{
	while (size >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) head;
		size_t name, whole;

		memcpy(&head, note, sizeof head);
		name = (head.n_namesz + 3u) & ~3u;
		whole = sizeof head + name + ((head.n_descsz + 3u) & ~3u);
		if (whole > size)
			return;
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && !memcmp(note + sizeof head, "GNU", 4) &&
		    head.n_descsz <= sizeof m->id) {
			memcpy(m->id, note + sizeof head + name, head.n_descsz);
			m->id_length = (uint8_t)head.n_descsz;
			return;
		}
		note += whole;
		size -= whole;
	}
}

static int note_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct handler_setup *setup = arg;
	struct crash_module *m = &setup->module[setup->modules];
	bool loaded = false;

	(void)size;
	if (setup->modules == SNAPSHOT_MODULES)
		return 1;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && !loaded) {
			m->start = (info->dlpi_addr + p->p_vaddr) & ~(uint64_t)4095;
			loaded = true;
		} else if (p->p_type == PT_NOTE && !m->id_length) {
			take_build_id(m, (const char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz);
		}
	}
	if (loaded)
		setup->modules++;
	return 0;
}

/* Thread-local variables may hold secrets, and the loader puts them beside its list. */
struct tls_span { uintptr_t low, high; };

static int note_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct tls_span *span = arg;
	uintptr_t low = (uintptr_t)info->dlpi_tls_data;

	(void)size;
	for (unsigned i = 0; low && i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_TLS)
			continue;
		if (low < span->low)
			span->low = low;
		if (low + info->dlpi_phdr[i].p_memsz > span->high)
			span->high = low + info->dlpi_phdr[i].p_memsz;
	}
	return 0;
}

static void note_page(struct handler_setup *setup, uintptr_t address, const struct tls_span *tls)
{
	uintptr_t page = address & ~(uintptr_t)4095;

	if (page + 4096 > tls->low && page < tls->high)
		return;
	for (unsigned i = 0; i < setup->pages; i++)
		if (setup->page[i] == page)
			return;
	if (setup->pages < HANDLER_PAGES)
		setup->page[setup->pages++] = page;
}

/* The loader's first modules lie in pages of its own, which hold nothing else (later ones lie in the heap). */
static void note_loader(struct handler_setup *setup)
{
	uintptr_t self = (uintptr_t)__builtin_thread_pointer();
	struct tls_span tls = { self - 4096, self + 4096 };     /* with the thread's descriptor */

	dl_iterate_phdr(note_tls, &tls);
	for (const struct link_map *m = _r_debug.r_map; m; m = m->l_next) {
		note_page(setup, (uintptr_t)m, &tls);
		note_page(setup, (uintptr_t)m + sizeof *m - 1, &tls);
		note_page(setup, (uintptr_t)m->l_name, &tls);
		note_page(setup, (uintptr_t)m->l_name + strlen(m->l_name), &tls);
	}
}

/* An alternate stack with a guard page below. */
static int make_altstack(struct handler_setup *setup)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *mem = mmap(NULL, ALTSTACK + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	stack_t stack = { .ss_size = ALTSTACK };

	if (mem == MAP_FAILED)
		return -1;
	stack.ss_sp = mem + page;
	if (mprotect(stack.ss_sp, ALTSTACK, PROT_READ | PROT_WRITE) < 0 || sigaltstack(&stack, NULL) < 0) {
		int error = errno;

		munmap(mem, ALTSTACK + page);
		errno = error;
		return -1;
	}
	setup->altstack = (uintptr_t)stack.ss_sp;
	return 0;
}

static void gather(struct handler_setup *setup, const struct crash_options *options)
{
	ssize_t n = readlink("/proc/self/exe", setup->executable, sizeof setup->executable - 1);

	setup->options = *options;
	if (options->role)
		activity_string(setup->role, sizeof setup->role, options->role);
	setup->executable[n < 0 ? 0 : n] = '\0';
	dl_iterate_phdr(note_module, setup);
	note_loader(setup);
	setup->abort_message = dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE");
}

/* While the steps run on our stack, nothing but a fault of theirs comes between. */
static int live_action(const struct handler_setup *setup)
{
	struct sigaction sa = { .sa_sigaction = handler_live, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	if (!setup->options.live)
		return 0;
	sa.sa_mask = setup->blocked;
	sigaddset(&sa.sa_mask, SIGALRM);
	return sigaction(CRASH_LIVE_SIGNAL, &sa, NULL);
}

int crash_install(const struct crash_options *options)
{
	static struct handler_setup setup;
	struct sigaction old, sa = { .sa_sigaction = handler_enter, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	unsigned count = sizeof crash_signals / sizeof crash_signals[0];
	int taken = 0;

	if (traced())
		return 0;
	memset(&setup, 0, sizeof setup);
	gather(&setup, options);
	if (make_altstack(&setup) < 0)
		return -1;
	unwind_warm();
	/* A fault inside the handler must come back to it; all else waits. */
	sigfillset(&sa.sa_mask);
	for (unsigned i = 0; i < count; i++)
		sigdelset(&sa.sa_mask, crash_signals[i]);
	setup.blocked = sa.sa_mask;
	sigdelset(&setup.blocked, SIGALRM);
	handler_prepare(&setup);
	for (unsigned i = 0; i < count; i++) {
		if (sigaction(crash_signals[i], NULL, &old) < 0 || old.sa_handler != SIG_DFL)
			continue;
		if (sigaction(crash_signals[i], &sa, NULL) < 0)
			return -1;
		taken++;
	}
	if (taken && live_action(&setup) < 0)
		return -1;
	return taken;
}
