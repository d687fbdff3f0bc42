/*
 * handler.h - what install.c hands to the signal handler, inside crashdump/.
 */
#ifndef BULKHEAD_CRASHDUMP_HANDLER_H
#define BULKHEAD_CRASHDUMP_HANDLER_H

#include <signal.h>

#include "crashdump/crashdump.h"
#include "crashdump/snapshot.h"

#define HANDLER_PAGES 48

/* Made before any crash and constant afterwards. */
struct handler_setup {
	struct crash_options options;
	char role[16];
	char executable[256];
	unsigned modules;
	struct crash_module module[SNAPSHOT_MODULES];
	const char *const *abort_message;       /* where glibc keeps its last words; NULL: not known */
	uintptr_t altstack;                     /* lowest address of the alternate stack */
	sigset_t blocked;                       /* while the steps run: all but the crash signals and the watchdog's alarm */
	/* Pages of the loader's list of modules: harmless, and a debugger needs them to find the libraries. */
	unsigned pages;
	uintptr_t page[HANDLER_PAGES];
};

/* Keeps a copy. Before sigaction. */
void handler_prepare(const struct handler_setup *setup);
/* The action for the crash signals (SA_SIGINFO | SA_ONSTACK | SA_NODEFER). */
void handler_enter(int signal, siginfo_t *info, void *context);
/* The action for CRASH_LIVE_SIGNAL (SA_SIGINFO | SA_ONSTACK | SA_RESTART, all but the crash signals blocked). */
void handler_live(int signal, siginfo_t *info, void *context);

#endif
