/*
 * symbols.h - a snapshot's frames with names, inside crashdump/. The job only.
 */
#ifndef BULKHEAD_CRASHDUMP_SYMBOLS_H
#define BULKHEAD_CRASHDUMP_SYMBOLS_H

#include "crashdump/snapshot.h"

#define SYMBOLS_FRAMES 128

/* How a frame was found, the best first. */
enum crash_trust {
	CRASH_TRUST_CONTEXT,    /* the interrupted instruction itself */
	CRASH_TRUST_CFI,        /* by the unwind tables */
	CRASH_TRUST_INLINED,    /* part of the next outer frame, by the debug information */
	CRASH_TRUST_TAIL,       /* left by a jump into the next inner frame's function, by the debug information: not on the stack */
	CRASH_TRUST_BADCALL,    /* the caller of an address that holds no code */
	CRASH_TRUST_SCAN,       /* a return address found on the stack where the tables ended: may be stale */
	CRASH_TRUST_RAW         /* by libunwind in the dying process, not verified */
};

struct crash_frame {
	uint64_t pc;
	enum crash_trust trust;
	bool activation;                /* pc is the instruction itself, not a return address */
	char module[256];               /* file, "" = none */
	uint64_t module_offset;
	char build_id[2 * SNAPSHOT_ID + 1];
	char function[192];             /* "" = no name */
	uint64_t function_offset;
	char file[256];                 /* source, "" = not known */
	int line;
};

struct crash_trace {
	struct crash_frame frame[SYMBOLS_FRAMES];
	unsigned count;
	bool whole;                     /* the outermost frame was reached */
	char note[512];                 /* what a reader must know: replaced files; "" = nothing */
};

/* Unwinds and names, by elfutils and the snapshot's own stack. Returns 0, or -1 when nothing could be unwound: then the
 * frames are those of the dying process, with module and offset. */
int symbols_trace(const struct crash_snapshot *s, struct crash_trace *out);
/* For a program file that cannot be opened by its path: a descriptor to open it by; -1: there is none. Without this call it is this
 * process's own program. */
void symbols_program(int fd);
/* The same frames as module and offset only, by the snapshot alone: reads no file. */
void symbols_raw(const struct crash_snapshot *s, struct crash_trace *out);
/* A word for the report. */
const char *symbols_trust(enum crash_trust trust);
/* Hexadecimal, `hex` holds 2 * SNAPSHOT_ID + 1. */
void symbols_build_id(const struct crash_snapshot *s, uint64_t module_start, char *hex);

#endif
