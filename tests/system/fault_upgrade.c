/*
 * fault_upgrade.c - a program that passes its probe and then cannot take over: linked before predecessor_take, where little is taken over yet,
 * and before upgrade_settle, where children of it serve already. The file that FAULT_UPGRADE names says how it fails; it is taken away, so that
 * the program before can, unless it says "always".
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "process/handover.h"
#include "process/predecessor.h"
#include "process/upgrade.h"

bool __real_upgrade_settle(void);
bool __wrap_upgrade_settle(void);
int __real_predecessor_take(struct config *cfg, struct err *e);
int __wrap_predecessor_take(struct config *cfg, struct err *e);

static bool late;

int __wrap_predecessor_take(struct config *cfg, struct err *e)
{
	const char *path = getenv("FAULT_UPGRADE");
	FILE *f = path ? fopen(path, "re") : NULL;
	char word[32] = "";

	if (f && !fgets(word, sizeof word, f))
		word[0] = '\0';
	if (f)
		fclose(f);
	if (f && !strstr(word, "always"))
		unlink(path);
	if (!strncmp(word, "crash", 5))
		raise(SIGSEGV);
	if (!strncmp(word, "abort", 5))
		abort();
	if (!strncmp(word, "exit", 4))
		exit(3);
	if (!strncmp(word, "hang", 4)) {
		alarm(1);               /* in place of the two minutes */
		for (;;)
			pause();
	}
	late = !strncmp(word, "late", 4);
	if (!strncmp(word, "error", 5))
		return err_set(e, "a test wants it so");
	return __real_predecessor_take(cfg, e);
}

bool __wrap_upgrade_settle(void)
{
	if (late && handover_pending())
		raise(SIGSEGV);
	return __real_upgrade_settle();
}
