/*
 * registers.h - the machine's registers in DWARF's order: taken by the signal handler, used by the symboliser, printed
 * by the report, found in cores. The only file that differs between amd64 and arm64, with the call test in symbols.c.
 */
#ifndef BULKHEAD_CRASHDUMP_REGISTERS_H
#define BULKHEAD_CRASHDUMP_REGISTERS_H

#include <stdint.h>
#include <ucontext.h>

#define REGISTERS_MAX 34

/* What the processor told about a fault, where it tells. */
struct crash_fault {
	uint64_t trap, error, flags;
};

#if defined __x86_64__

#define REGISTERS   17          /* DWARF 0 to 16 */
#define REGISTER_FP 6
#define REGISTER_SP 7
#define REGISTER_PC 16
#define REGISTER_RED_ZONE 128

#define REGISTER_NAMES { "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", \
			 "r13", "r14", "r15", "rip" }
/* Where each of them stands in a core's notes (elf_gregset_t), and where the flags do. */
#define REGISTERS_IN_CORE { 10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16 }
#define REGISTERS_FLAGS_IN_CORE 18

static inline void registers_take(uint64_t out[REGISTERS_MAX], struct crash_fault *fault, const ucontext_t *uc)
{
	static const unsigned char order[REGISTERS] = {
		REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10,
		REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP
	};
	for (unsigned i = 0; i < REGISTERS; i++)
		out[i] = (uint64_t)uc->uc_mcontext.gregs[order[i]];
	fault->trap = (uint64_t)uc->uc_mcontext.gregs[REG_TRAPNO];
	fault->error = (uint64_t)uc->uc_mcontext.gregs[REG_ERR];
	fault->flags = (uint64_t)uc->uc_mcontext.gregs[REG_EFL];
}

/* "read", "write" or "execute" for a page fault (trap 14), else NULL. */
static inline const char *registers_access(const struct crash_fault *fault)
{
	if (fault->trap != 14)
		return 0;
	return fault->error & 16 ? "execute" : fault->error & 2 ? "write" : "read";
}

#elif defined __aarch64__

#define REGISTERS   33          /* DWARF 0 to 31, then pc, which has no number of its own */
#define REGISTER_FP 29
#define REGISTER_LR 30
#define REGISTER_SP 31
#define REGISTER_PC 32
#define REGISTER_RED_ZONE 0

#define REGISTER_NAMES { "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", \
			 "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", \
			 "x28", "x29", "x30", "sp", "pc" }
#define REGISTERS_IN_CORE { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, \
			    27, 28, 29, 30, 31, 32 }
#define REGISTERS_FLAGS_IN_CORE 33

static inline void registers_take(uint64_t out[REGISTERS_MAX], struct crash_fault *fault, const ucontext_t *uc)
{
	for (unsigned i = 0; i <= REGISTER_LR; i++)
		out[i] = uc->uc_mcontext.regs[i];
	out[REGISTER_SP] = uc->uc_mcontext.sp;
	out[REGISTER_PC] = uc->uc_mcontext.pc;
	fault->trap = fault->error = 0;
	fault->flags = uc->uc_mcontext.pstate;
}

static inline const char *registers_access(const struct crash_fault *fault)
{
	(void)fault;
	return 0;
}

#else
#error "crashdump/ knows amd64 and arm64"
#endif

#endif
