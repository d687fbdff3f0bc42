/*
 * vdso.h - the kernel's part of every process, which lies in no file: found through the reader's own copy of it. For
 * symbols.c alone.
 */
#ifndef CRASHDUMP_VDSO_H
#define CRASHDUMP_VDSO_H

#include <libelf.h>

/* Its name in a process's map. */
#define VDSO_NAME "[vdso]"

/*
 * The reader's own one, as ELF in memory; the caller ends it with elf_end. NULL: there is none. It is of use for another
 * process only where both carry the same build-id: a core may come from another kernel.
 */
Elf *vdso_open(void);

#endif
