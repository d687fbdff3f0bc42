/*
 * crashlimit.c - the arithmetic of crash reports: a bounded table of kinds of crashes. Pure; used by the master.
 */
#include "process/crashlimit.h"

#include <stddef.h>

struct crashlimit_kind *crashlimit_find(struct crashlimit *l, uint64_t fingerprint)
{
	for (unsigned i = 0; i < CRASHLIMIT_KINDS; i++)
		if (l->kind[i].fingerprint == fingerprint)
			return &l->kind[i];
	return NULL;
}

static struct crashlimit_kind *place(struct crashlimit *l, uint64_t fingerprint, int64_t now)
{
	struct crashlimit_kind *k = crashlimit_find(l, fingerprint), *oldest = &l->kind[0];

	if (k)
		return k;
	for (unsigned i = 0; i < CRASHLIMIT_KINDS; i++) {
		k = &l->kind[i];
		if (!k->fingerprint) {
			oldest = k;
			break;
		}
		if (k->last < oldest->last)
			oldest = k;
	}
	*oldest = (struct crashlimit_kind){ .fingerprint = fingerprint, .since = now };
	return oldest;
}

enum crashlimit_answer crashlimit_take(struct crashlimit *l, uint64_t fingerprint, unsigned each, int64_t per, int64_t now,
				       struct crashlimit_kind **kind)
{
	struct crashlimit_kind *k = place(l, fingerprint, now);
	unsigned all = each > CRASHLIMIT_ALL ? each : CRASHLIMIT_ALL;

	*kind = k;
	if (now - k->since >= per) {
		k->since = now;
		k->count = k->reports = 0;
	}
	if (!l->since || now - l->since >= CRASHLIMIT_ALL_MS) {
		l->since = now;
		l->reports = 0;
	}
	k->last = now;
	if (k->count < UINT32_MAX)
		k->count++;
	if (k->reports >= each)
		return CRASHLIMIT_COUNT;
	if (l->reports >= all)
		return CRASHLIMIT_FULL;
	k->reports++;
	l->reports++;
	return CRASHLIMIT_REPORT;
}
