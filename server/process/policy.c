/*
 * policy.c - the arithmetic of children: how many, how many spare, how soon again. Pure; used by the master.
 */
#include "process/policy.h"

#include <assert.h>

#define DEFAULT_CONNECTIONS 1024
#define DEFAULT_LIMIT 256
#define DEFAULT_CLASSIC_WORKERS 256     /* as Apache's prefork */
#define WORKERS_PER_CORE 256
#define LEAST_WORKERS 1024

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
	return v < low ? low : v > high ? high : v;
}

static int64_t given(int64_t v, int64_t otherwise, int64_t low)
{
	return clamp(v < 0 ? otherwise : v, low, UINT32_MAX / 2);
}

void policy_plan(const struct policy_numbers *in, unsigned cores, struct policy_plan *out)
{
	int64_t per_child = given(in->connections_per_child, DEFAULT_CONNECTIONS, 1);
	bool classic = per_child == 1;
	int64_t by_cores = (int64_t)WORKERS_PER_CORE * cores;
	int64_t workers = given(in->max_workers,
				classic			   ? DEFAULT_CLASSIC_WORKERS
				: by_cores < LEAST_WORKERS ? LEAST_WORKERS
							   : by_cores,
				1);
	int64_t start = given(in->start_servers, classic ? 5 : cores, 1);
	int64_t server_limit = given(in->server_limit, DEFAULT_LIMIT, 1);
	int64_t needed = (workers + per_child - 1) / per_child;
	int64_t children = clamp(start > needed ? start : needed, 1, server_limit);
	int64_t limit;
	int64_t min_spare = given(in->min_spare, classic ? 5 : 1, 1);
	int64_t max_spare = given(in->max_spare, start > 10 ? start : 10, 1);

	assert(children >= 1 && per_child >= 1);        /* given() and clamp() see to it */
	limit = (workers + children - 1) / children;
	if (limit > per_child)
		limit = per_child;
	*out = (struct policy_plan){
		.children = (unsigned)children,
		.limit = (unsigned)limit,
		.server_limit = (unsigned)server_limit,
		.asked = (uint64_t)workers,
		.workers = (uint64_t)(workers > children * limit ? children * limit : workers),
	};
	/* As Apache: a maximum that leaves no room above the minimum is raised. */
	if (max_spare <= min_spare)
		max_spare = min_spare + 1;
	out->min_spare = (unsigned)clamp(min_spare, 1, children);
	out->max_spare = (unsigned)max_spare;
	out->start = (unsigned)clamp(start, 1, children);
}

bool policy_busy(uint32_t open, uint32_t limit)
{
	return (uint64_t)open * 8 >= (uint64_t)limit * 7;
}

int policy_wanted(const struct policy_plan *p, const struct policy_view *v)
{
	unsigned here = v->spare + v->busy + v->starting, spare = v->spare + v->starting;
	/* StartServers is kept up while that many may be spare: a dead child of a quiet server is replaced too. */
	unsigned least = p->start < p->max_spare ? p->start : p->max_spare;
	unsigned most = p->children, beyond = p->children / 4 ? p->children / 4 : 1, want = 0;

	if (here < least)
		want = least - here;
	if (spare < p->min_spare && p->min_spare - spare > want)
		want = p->min_spare - spare;
	/* Draining children hold connections: no more than a quarter of all, at least one, may stand beside the full number. */
	if (v->draining > beyond)
		most = p->children > v->draining - beyond ? p->children - (v->draining - beyond) : 1;
	if (here + want > most)
		want = here < most ? most - here : 0;
	if (want)
		return (int)want;
	return v->spare > p->max_spare && here > least ? -1 : 0;
}

const char *policy_end_words(enum policy_end how)
{
	switch (how) {
	case POLICY_NORMAL: return "ended";
	case POLICY_SICK: return "lacked memory or descriptors";
	case POLICY_FATAL: return "could not start";
	case POLICY_CRASH: return "crashed";
	case POLICY_SANDBOX: return "made a system call that its sandbox forbids";
	case POLICY_KILLED: return "was killed from outside: by the kernel for want of memory, or by hand";
	}
	return "?";
}

void policy_ended(struct policy_backoff *b, enum policy_end how, int64_t born, int64_t now)
{
	if (how == POLICY_KILLED && now - born >= POLICY_SERVED) {
		policy_killed(b, now);
		return;
	}
	policy_crashed(b, how, 0, born, now);
}

void policy_crashed(struct policy_backoff *b, enum policy_end how, uint64_t fingerprint, int64_t born, int64_t now)
{
	int64_t age = now - born, delay;
	bool other;

	if (age >= POLICY_HEALTHY || how == POLICY_NORMAL)
		*b = (struct policy_backoff){ .until = now };
	b->since = now;
	b->by_hand = false;
	if (how == POLICY_NORMAL)
		return;
	other = fingerprint && b->fingerprint && fingerprint != b->fingerprint;
	b->fingerprint = fingerprint;
	if (b->failures < UINT32_MAX)
		b->failures++;
	if ((b->failures == 1 || other) && age >= POLICY_YOUNG) {
		b->until = now;
		return;
	}
	delay = b->step < 16 ? (int64_t)POLICY_DELAY_FIRST << b->step : POLICY_DELAY_LAST;
	if (delay > POLICY_DELAY_LAST)
		delay = POLICY_DELAY_LAST;
	else
		b->step++;
	b->until = now + delay;
}

void policy_killed(struct policy_backoff *b, int64_t now)
{
	if (!b->failures)               /* the slot stays its generation's until its successor lives */
		b->failures = 1;
	b->by_hand = true;
	b->since = b->until = now;
}

int64_t policy_due(const struct policy_backoff *b, bool alone)
{
	return alone && b->until > b->since + POLICY_ALONE ? b->since + POLICY_ALONE : b->until;
}

static int64_t tokens(const struct policy_bucket *b, int64_t now)
{
	int64_t full = b->burst * 1000, milli = b->milli + (now - b->filled) * b->rate;

	return !b->filled || milli > full ? full : milli < 0 ? 0 : milli;
}

bool policy_take(struct policy_bucket *b, int64_t now)
{
	b->milli = tokens(b, now);
	b->filled = now;
	if (b->milli < 1000)
		return false;
	b->milli -= 1000;
	return true;
}

int64_t policy_token_due(const struct policy_bucket *b, int64_t now)
{
	int64_t milli = tokens(b, now);

	return milli >= 1000 ? now : now + (1000 - milli + b->rate - 1) / b->rate;
}
