/*
 * vdso.c - the kernel maps a small shared object into every process (vdso(7)); clock_gettime runs there. It is the same
 * for all processes of a kernel, so the job that reads a crash has what the crashed process had. Runs in the job.
 */
#include "crashdump/vdso.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

Elf *vdso_open(void)
{
	static char *copy;              /* libelf wants memory that it may write; of one job, one */
	const ElfW(Ehdr) *head = (const void *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);   // NOLINT(performance-no-int-to-ptr)
	size_t size;

	if (!head)
		return NULL;
	size = head->e_shoff + (size_t)head->e_shnum * head->e_shentsize;       /* the headers of its sections come last */
	if (!copy && (copy = malloc(size)))
		memcpy(copy, head, size);
	return copy ? elf_memory(copy, size) : NULL;
}
