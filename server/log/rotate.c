/*
 * rotate.c - the names of log files that change with the time or when they are full. Runs in the master.
 *
 * A period begins at a multiple of its length from local midnight on, and its file is named by its beginning. How long one is
 * follows from the finest conversion in the name, unless every= says.
 */
#include "log/rotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"

#define DAY 86400
#define NUMBERS 1000000                 /* full files of one name */
#define LOOK_MS 60000
#define SIZE_LOOK_MS 1000

/* The length of a period by the finest conversion; 0 = there is none. */
static int64_t finest(const char *form)
{
	static const struct { const char *conversions; int64_t seconds; } rows[] = {
		{ "sScTXr+", 1 }, { "MR", 60 }, { "HIkl", 3600 }, { "aAbBCdDeFgGhjmuUVwWxyY", DAY },
	};
	int64_t best = 0;

	for (const char *p = form; (p = strchr(p, '%')) && p[1]; p += 2)
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
			if (strchr(rows[i].conversions, p[1]) && (!best || rows[i].seconds < best))
				best = rows[i].seconds;
	return best;
}

/* "every=N" and "size=N[K|M|G]", cut off from the end of the text. 0 or -1 with *e. */
static int option(struct log_rotation *r, const char *text, struct err *e)
{
	bool every = strncmp(text, "every=", 6) == 0;
	char *end;
	unsigned long long n = strtoull(text + (every ? 6 : 5), &end, 10);
	unsigned shift = every || !*end ? 0 : *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 99;

	if (end == text + (every ? 6 : 5) || (shift == 99) || (*end && (every || end[1])) || !n || n > (every ? 366ull * DAY : 1ull << 30)) {
		err_set(e, "\"%s\" is no %s", text, every ? "number of seconds up to a year" : "size");
		return err_remedy(e, "write every=3600 for a file an hour, size=100M for files of 100 megabytes");
	}
	if (every)
		r->every = (int64_t)n;
	else
		r->size = (off_t)(n << shift);
	return 0;
}

struct log_rotation *log_rotation_new(struct conf_env *env, const char *text, struct err *e)
{
	struct log_rotation *r = conf_alloc(env, sizeof *r);
	char *path = conf_strdup(env, text), *comma;
	int64_t by_name;

	while ((comma = strrchr(path, ',')) && (!strncmp(comma + 1, "every=", 6) || !strncmp(comma + 1, "size=", 5))) {
		*comma = '\0';
		if (option(r, comma + 1, e) < 0)
			return NULL;
	}
	by_name = finest(path);
	if (!*path || strlen(path) > 700 || (!by_name && (r->every || !r->size))) {
		err_set(e, "\"%s%s\" would be one file for ever", LOG_ROTATE, text);
		err_remedy(e, "write the time into the name: \"rotate:logs/access.%%Y-%%m-%%d\", or let it follow from the size: \"rotate:logs/access,size=100M\"");
		return NULL;
	}
	if (!r->every)
		r->every = by_name;
	r->form = conf_path(env, path);
	return r;
}

/* The wall clock at the beginning of the period, and how many seconds of it are over. */
static struct tm begin_of(const struct log_rotation *r, time_t now, int64_t *over)
{
	struct tm local = { .tm_mday = 1 }, begin = { .tm_mday = 1 };
	time_t wall;

	localtime_r(&now, &local);
	wall = now + local.tm_gmtoff;
	*over = r->every ? wall % r->every : 0;
	wall -= *over;
	gmtime_r(&wall, &begin);
	begin.tm_gmtoff = local.tm_gmtoff;
	begin.tm_zone = local.tm_zone;
	begin.tm_isdst = local.tm_isdst;
	return begin;
}

static bool full(const struct log_rotation *r, const char *name)
{
	struct stat st;

	return r->size && stat(name, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= r->size;
}

bool log_rotation_name(struct log_rotation *r, time_t now)
{
	char stem[sizeof r->name - 16], name[sizeof r->name];
	int64_t over;
	struct tm begin = begin_of(r, now, &over);
	unsigned number = 0;
	size_t n;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"    /* the administrator's own format, bounded */
	n = strftime(stem, sizeof stem, r->form, &begin);
#pragma GCC diagnostic pop
	if (!n)
		snprintf(stem, sizeof stem, "%.700s", r->form);
	/* Of the same name the numbers go on, whatever was tidied away meanwhile. */
	n = strlen(stem);
	if (strncmp(r->name, stem, n) == 0 && (!r->name[n] || r->name[n] == '.'))
		number = r->number;
	for (;; number++) {
		if (number)
			snprintf(name, sizeof name, "%s.%u", stem, number);
		else
			snprintf(name, sizeof name, "%s", stem);
		if (!full(r, name) || number == NUMBERS)
			break;
	}
	if (strcmp(name, r->name) == 0)
		return false;
	snprintf(r->name, sizeof r->name, "%s", name);
	r->number = number;
	return true;
}

int64_t log_rotation_wait(const struct log_rotation *r, const struct timespec *now)
{
	int64_t wait = LOOK_MS, over;

	begin_of(r, now->tv_sec, &over);
	if (r->every && (r->every - over) * 1000 - now->tv_nsec / 1000000 < wait)
		wait = (r->every - over) * 1000 - now->tv_nsec / 1000000;
	if (r->size && wait > SIZE_LOOK_MS)
		wait = SIZE_LOOK_MS;
	return wait > 0 ? wait : 1;
}
