/*
 * snapshot.h - the layout of a crash slot, inside crashdump/.
 *
 *   pool:  | slot 0 | slot 1 | … |      each SNAPSHOT_STRIDE bytes, page-aligned; the count is kept by each process
 *                                       in private memory, since a child can write all over the pool
 *
 * A slot is claimed by its process (owner: 0 → pid, compare-and-swap) and written by that process alone; a dying one's is
 * read when the master has reaped it, a live one's when it says so. A process that was taken over writes what it likes,
 * when it likes. Readers therefore copy a slot with snapshot_copy, which bounds every length and ends every text, and look
 * only at the copy.
 */
#ifndef BULKHEAD_CRASHDUMP_SNAPSHOT_H
#define BULKHEAD_CRASHDUMP_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "crashdump/crashdump.h"
#include "crashdump/registers.h"

#define SNAPSHOT_FRAMES  128
#define SNAPSHOT_MODULES 96
#define SNAPSHOT_MAPS    (96u * 1024)
#define SNAPSHOT_STACK   (64u * 1024)
#define SNAPSHOT_CODE    64
#define SNAPSHOT_ID      20

/* A loaded file: where its first segment lies, and its build-id. Noted when the handler was installed. */
struct crash_module {
	uint64_t start;
	uint8_t id_length;              /* 0 = it has none */
	uint8_t id[SNAPSHOT_ID];
};

/* The steps of the handler, in order; `skipped` in the snapshot has a bit for each that faulted or hung. */
enum crash_step {
	CRASH_STEP_BEGIN, CRASH_STEP_FACTS, CRASH_STEP_MAPS, CRASH_STEP_MEMORY, CRASH_STEP_UNWIND, CRASH_STEP_COMMIT,
	CRASH_STEP_RELEASE, CRASH_STEP_CLIENTS, CRASH_STEP_REPORT, CRASH_STEP_CORE, CRASH_STEP_RAISE, CRASH_STEP_KILL, CRASH_STEPS
};

/* What a core of the process may hold. */
enum crash_core_rule {
	CRASH_CORE_DEFAULT,             /* what the kernel's filter says: nothing was done */
	CRASH_CORE_HIDDEN,              /* all but heap, anonymous and shared memory */
	CRASH_CORE_CLOSED               /* no memory at all, since something could not be marked */
};

struct crash_snapshot {
	_Atomic int32_t owner;          /* pid, 0 = free */
	uint32_t complete;              /* CRASH_STEP_COMMIT was reached */
	_Atomic uint32_t skipped;       /* bit mask of enum crash_step */
	int32_t skipped_signal;         /* the last signal that made the handler leave a step */
	uint32_t handler_us;            /* from the first to CRASH_STEP_COMMIT … */
	uint32_t clients_us;            /* … and until the clients had their end; 0 = they have not */
	uint32_t core_rule;             /* enum crash_core_rule */
	uint32_t kind;                  /* enum crash_kind: told by the master to the reader of a copy, never by the process */
	/* who and when */
	int32_t pid, tid;
	uint32_t uid, slot, generation;
	char role[16];
	int64_t time_ms;                /* CLOCK_REALTIME */
	uint64_t monotonic_ms;
	/* the signal */
	int32_t signal, code, error, sender_pid, system_call;
	uint32_t sender_uid, machine;   /* machine: AUDIT_ARCH_… of a SIGSYS */
	uint64_t address;
	struct crash_fault fault;
	uint64_t registers[REGISTERS_MAX];
	/* program counters by libunwind, innermost first */
	uint32_t frames;
	uint64_t frame[SNAPSHOT_FRAMES];
	/* bytes around the program counter, only of mapped program files */
	uint64_t text_address;
	uint32_t text_length;
	uint8_t text[SNAPSHOT_CODE];
	char abort_message[256];        /* what glibc said before abort() */
	char executable[256];
	uint32_t modules;
	struct crash_module module[SNAPSHOT_MODULES];
	uint32_t has_activity;
	struct activity activity;
	uint32_t maps_length, maps_whole;
	char maps[SNAPSHOT_MAPS];
	/* for unwinding only: never written to a disk */
	uint64_t stack_address;
	uint32_t stack_length;
	uint8_t stack[SNAPSHOT_STACK] __attribute__((aligned(8)));
};

#define SNAPSHOT_STRIDE ((sizeof(struct crash_snapshot) + 4095) & ~(size_t)4095)

/* A line of the map of memory. */
struct crash_range {
	uint64_t low, high;
	bool readable, writable, executable, shared, file;      /* file: there is one behind it (inode) */
	const char *name;               /* not terminated; "" when there is none */
	size_t name_length;
};

/* Signal handler: takes a free slot for pid, or NULL: the pool is used up. */
struct crash_snapshot *snapshot_claim(void *pool, pid_t pid);
/* Signal handler: the same for a snapshot of a process that goes on: the last slot, and never the only one. */
struct crash_snapshot *snapshot_claim_live(void *pool, pid_t pid);
/* A checked copy (malloc; wipe and free with snapshot_drop), or NULL with errno. */
struct crash_snapshot *snapshot_copy(const void *pool, int slot);
void snapshot_drop(struct crash_snapshot *copy);
/* Reads the next line at *at (within end), async-signal-safe; false at the end of the text or at half a line. */
bool snapshot_range(const char **at, const char *end, struct crash_range *out);
/* The range of a whole map that holds address; false: none. Async-signal-safe. */
bool snapshot_find(const char *maps, size_t length, uint64_t address, struct crash_range *out);

#endif
