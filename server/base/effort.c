/*
 * effort.c - how much work a turn may do (effort.h). Runs in the children, and under -X.
 */
#include "base/effort.h"

#include <stdint.h>
#include <time.h>

#define QUESTIONS_A_LOOK 16
#define TIRED_MS 100

static struct {
	bool counts, spent, told;
	unsigned questions;
	int64_t from;                   /* ns; 0 = the clock was not read in this turn yet */
} effort;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + 1;
}

void effort_begin(void)
{
	effort.counts = true;
	effort.spent = effort.told = false;
	effort.questions = 0;
	effort.from = 0;
}

static bool lasted(int64_t ms)
{
	int64_t now = now_ns();

	if (!effort.from)
		effort.from = now;
	return now - effort.from > ms * 1000000;
}

bool effort_spent(void)
{
	if (!effort.counts || effort.spent || ++effort.questions % QUESTIONS_A_LOOK)
		return effort.spent;
	effort.spent = lasted(EFFORT_MOST_MS);
	return effort.spent;
}

bool effort_told(void)
{
	bool told = effort.told;

	effort.told = true;
	return told;
}

bool effort_tired(void)
{
	return effort.from && lasted(TIRED_MS);
}
