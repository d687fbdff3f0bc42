/*
 * unwind.c - program counters by libunwind; the only file that knows it. unwind_interrupted runs in the signal handler
 * of a dying child. Never unw_get_proc_name here: it allocates, opens files, and names wrongly.
 */
#define UNW_LOCAL_ONLY
#include "crashdump/unwind.h"

#include <libunwind.h>

static void steps(unw_cursor_t *cursor, uint64_t *pcs, unsigned max, uint32_t *count)
{
	unw_word_t pc;

	for (unsigned n = 0; n < max; n++) {
		if (unw_get_reg(cursor, UNW_REG_IP, &pc) < 0)
			return;
		pcs[n] = pc;
		*(volatile uint32_t *)count = n + 1;
		if (unw_step(cursor) <= 0)
			return;
	}
}

void unwind_warm(void)
{
	unw_context_t here;
	unw_cursor_t cursor;
	uint64_t pcs[8];
	uint32_t count = 0;

	unw_getcontext(&here);
	if (!unw_init_local(&cursor, &here))
		steps(&cursor, pcs, 8, &count);
}

void unwind_interrupted(void *context, uint64_t *pcs, unsigned max, uint32_t *count)
{
	unw_cursor_t cursor;

	if (!unw_init_local2(&cursor, context, UNW_INIT_SIGNAL_FRAME))
		steps(&cursor, pcs, max, count);
}
