/*
 * stat.c - the command stat: what a cache is, holds and has done, once or again and again, for people and as JSON.
 *
 * All numbers are read without a lock, one after another, while the server goes on: sums may differ by a few.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/tool/tool.h"

enum { HOLDERS = 256 };                         /* as many as there can be shards */

/* All of one look. */
struct look {
	struct tool_target t;
	struct shmcache_plan plan;
	struct shmcache_occupancy use;
	bool broken;                            /* a chain is: what lies behind it is not in `use` */
	struct shmcache_counters n;
	struct shmcache_holder holder[HOLDERS];
	unsigned holders;
	time_t when;
	double clock;                           /* CLOCK_MONOTONIC, for rates */
};

/* The names of the JSON, and the words of the table. */
static const struct counter {
	const char *key;
	size_t at;
	const char *words;
} counters[] = {
#define COUNTER(field, words) { #field, offsetof(struct shmcache_counters, field), words }
	COUNTER(hits, "sessions found"),
	COUNTER(misses, "not found"),
	COUNTER(stores, "sessions stored"),
	COUNTER(replaced, "of these over an older one of the same ID"),
	COUNTER(evicted, "had to go to make room"),
	COUNTER(expired, "were over when room was made"),
	COUNTER(moved, "kept on when room was made"),
	COUNTER(removed, "removed"),
	COUNTER(dead, "remains of removed and replaced ones that were passed"),
	COUNTER(idx_evicted, "had to go because the index was full"),
	COUNTER(oversize, "too long to be stored"),
	COUNTER(repairs, "processes that died inside"),
	COUNTER(resets, "shards emptied because they were damaged"),
	COUNTER(redone, "reads that were done again"),
	COUNTER(badtag, "entries whose seal did not hold"),
	COUNTER(lock_busy, "stores that found the lock taken"),
	COUNTER(lock_timeout, "stores given up: the lock was not had in time"),
#undef COUNTER
};
enum { COUNTERS = sizeof(counters) / sizeof(counters[0]) };

static const unsigned wait_below_us[8] = { 1, 4, 16, 64, 256, 1024, 4096, 0 };

static uint64_t counter(const struct look *l, const struct counter *c)
{
	uint64_t v;

	memcpy(&v, (const char *)&l->n + c->at, sizeof(v));
	return v;
}

static const char *lock_word(enum shmcache_lock_kind kind)
{
	switch (kind) {
	case SHMCACHE_LOCK_OFD: return "ofd";
	case SHMCACHE_LOCK_FCNTL: return "fcntl";
	case SHMCACHE_LOCK_FLOCK: return "flock";
	case SHMCACHE_LOCK_ROBUST: return "robust";
	}
	return "unknown";
}

static const char *lock_words(enum shmcache_lock_kind kind)
{
	switch (kind) {
	case SHMCACHE_LOCK_OFD: return "locks of open file descriptions";
	case SHMCACHE_LOCK_FCNTL: return "classic record locks";
	case SHMCACHE_LOCK_FLOCK: return "flock, one lock for all shards";
	case SHMCACHE_LOCK_ROBUST: return "robust mutexes";
	}
	return "unknown locks";
}

/* What a process does at this moment. A copy's processes are not those of today. */
static const char *state_of(const struct look *l, pid_t pid)
{
	char path[64], text[512], *end;
	size_t n;
	FILE *f;

	if (l->t.saved)
		return "unknown";
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return errno == ENOENT ? "gone" : "unknown";
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	end = strrchr(text, ')');
	switch (end != NULL && end[1] == ' ' ? end[2] : 0) {
	case 'R': return "running";
	case 'S': return "sleeping";
	case 'D': return "waiting";
	case 'T': return "stopped";
	case 't': return "traced";
	case 'Z': return "zombie";
	case 'X': case 0: return "gone";
	default: return "unknown";
	}
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int look(struct look *l, int argc, char **argv)
{
	if (tool_open("stat", argc, argv, &l->t) < 0)
		return -1;
	l->when = time(NULL);
	l->clock = seconds();
	l->plan = *shmcache_geometry(l->t.cache);
	l->broken = shmcache_occupancy(l->t.cache, &l->use) < 0;
	shmcache_counters(l->t.cache, &l->n);
	l->holders = shmcache_holders(l->t.cache, l->holder, HOLDERS);
	if (l->holders > HOLDERS)
		l->holders = HOLDERS;
	return 0;
}

/* Events a second since the look before; -1 = not known. */
static double rate(const struct look *l, const struct look *before, const struct counter *c)
{
	if (before == NULL || l->clock <= before->clock || counter(l, c) < counter(before, c))
		return -1;
	return (double)(counter(l, c) - counter(before, c)) / (l->clock - before->clock);
}

/* 0..1; -1 = nothing was asked for. */
static double hit_ratio(const struct look *l)
{
	double all = (double)l->n.hits + (double)l->n.misses;

	return all > 0 ? (double)l->n.hits / all : -1;
}

static const char *life(const struct look *l)
{
	if (l->t.saved)
		return "copy";
	return l->t.info.lives ? "alive" : "left over";
}

/* ------------------------------------------------------------------------------------------------ JSON */

static json_t *number(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *json_rings(const struct look *l)
{
	json_t *rings = json_array();

	for (unsigned i = 0; i < 2; i++) {
		const struct shmcache_ring_use *u = &l->use.ring[i];

		json_array_append_new(rings, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
		                                       i == 0 ? "probation" : "main", "bytes", number(u->bytes),
		                                       "live", number(u->live), "expired", number(u->expired),
		                                       "dead", number(u->dead), "free", number(u->free), "entries",
		                                       number(u->entries)));
	}
	return rings;
}

static json_t *json_waits(const struct look *l)
{
	json_t *waits = json_array();

	for (unsigned i = 0; i < 8; i++)
		json_array_append_new(
			waits, json_pack("{s:o, s:o}", "below_us",
		                         wait_below_us[i] == 0 ? json_null() : json_integer(wait_below_us[i]),
		                         "count", number(l->n.waits[i])));
	return waits;
}

static json_t *json_holders(const struct look *l)
{
	json_t *holders = json_array();

	for (unsigned i = 0; i < l->holders; i++)
		json_array_append_new(holders,
		                      json_pack("{s:i, s:i, s:s}", "shard", (int)l->holder[i].shard, "pid",
		                                (int)l->holder[i].pid, "state", state_of(l, l->holder[i].pid)));
	return holders;
}

static json_t *json_counters(const struct look *l, const struct look *before, bool rates)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < COUNTERS; i++) {
		double r = rate(l, before, &counters[i]);

		if (!rates)
			json_object_set_new(all, counters[i].key, number(counter(l, &counters[i])));
		else if (r >= 0)
			json_object_set_new(all, counters[i].key, json_real(r));
	}
	return all;
}

static int print_json(const struct look *l, const struct look *before)
{
	const struct shmcache_info *i = &l->t.info;
	const struct shmcache_plan *p = &l->plan;
	char name[64], lockfile[1100];
	double ratio = hit_ratio(l);
	json_t *o = json_pack(
		"{s:s, s:s, s:I, s:I, s:i, s:o, s:b}", "name", tool_clean(i->name, name, sizeof(name)), "state",
		life(l), "time", (json_int_t)l->when, "created", (json_int_t)i->created, "layout", (int)i->version,
		"copied", i->copied != 0 ? json_integer(i->copied) : json_null(), "resizing", !i->alone);

	if (o == NULL)
		return tool_print_json(NULL);
	json_object_set_new(o, "geometry",
	                    json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:i}", "bytes", number(p->bytes),
	                              "segment", number(p->segment), "max_data", number(p->max_data), "sessions",
	                              number(p->sessions), "avg_data", number(p->avg_data), "shards",
	                              (int)p->shards, "shard_bytes", (int)p->shard_bytes, "buckets",
	                              (int)p->buckets));
	json_object_set_new(o, "lock", json_pack("{s:s, s:s, s:I}", "kind", lock_word(i->kind), "file",
	                                         tool_clean(i->lockfile, lockfile, sizeof(lockfile)), "timeout_ms",
	                                         (json_int_t)i->timeout_ms));
	json_object_set_new(o, "rings", json_rings(l));
	json_object_set_new(o, "entries", number(l->use.ring[0].entries + l->use.ring[1].entries));
	json_object_set_new(
		o, "slots",
		json_pack("{s:o, s:o}", "all", number(l->use.slots), "used", number(l->use.slots_used)));
	json_object_set_new(o, "seconds_left",
	                    json_pack("{s:I, s:I}", "shortest", (json_int_t)l->use.shortest, "longest",
	                              (json_int_t)l->use.longest));
	json_object_set_new(o, "hit_ratio", ratio < 0 ? json_null() : json_real(ratio));
	json_object_set_new(o, "counters", json_counters(l, NULL, false));
	if (before != NULL)
		json_object_set_new(o, "rates", json_counters(l, before, true));
	json_object_set_new(o, "lock_waits", json_waits(l));
	json_object_set_new(o, "inside", json_holders(l));
	json_object_set_new(o, "damaged", json_boolean(l->broken));
	return tool_print_json(o);
}

/* ------------------------------------------------------------------------------------------------ text */

static const char *span(int64_t s, char *text, size_t n)
{
	if (s < 600)
		snprintf(text, n, "%lld s", (long long)s);
	else if (s < 7200)
		snprintf(text, n, "%lld min", (long long)s / 60);
	else if (s < 172800)
		snprintf(text, n, "%lld h", (long long)s / 3600);
	else
		snprintf(text, n, "%lld days", (long long)s / 86400);
	return text;
}

static const char *date(int64_t t, char *text, size_t n)
{
	time_t when = (time_t)t;
	struct tm tm;

	if (localtime_r(&when, &tm) == NULL || strftime(text, n, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(text, n, "%lld", (long long)t);
	return text;
}

static void print_head(const struct look *l)
{
	const struct shmcache_info *i = &l->t.info;
	const struct shmcache_plan *p = &l->plan;
	char a[64], b[64], name[80], lockfile[1100];

	printf("%s: ", l->t.label);
	if (i->copied != 0)
		printf("a copy of %s, made %s",
		       i->name[0] != '\0' ? tool_clean(i->name, name, sizeof(name)) : "memory without a name",
		       date(i->copied, a, sizeof(a)));
	else if (l->t.saved)
		printf("a file with the cache %s",
		       i->name[0] != '\0' ? tool_clean(i->name, name, sizeof(name)) : "of memory without a name");
	else
		printf("%s", i->lives ? "alive" : "left over by a server that is dead");
	printf("\n  age         %s, since %s; layout %u\n",
	       span((i->copied != 0 ? i->copied : (int64_t)l->when) - i->created, a, sizeof(a)),
	       date(i->created, b, sizeof(b)), i->version);
	printf("  size        %zu bytes, room for %zu sessions of %zu bytes, none above %zu\n", p->segment,
	       p->sessions, p->avg_data, p->max_data);
	printf("  shards      %u of %u bytes, an index of %u slots in each\n", p->shards, p->shard_bytes,
	       p->buckets * 8);
	printf("  locks       %s; %s; %u ms at most\n", lock_words(i->kind),
	       tool_clean(i->lockfile, lockfile, sizeof(lockfile)), i->timeout_ms);
	if (!i->alone)
		printf("  resize      under way: the older segment is looked into too\n");
}

static double percent(uint64_t part, uint64_t all)
{
	return all == 0 ? 0 : 100.0 * (double)part / (double)all;
}

static void print_use(const struct look *l)
{
	const struct shmcache_occupancy *o = &l->use;
	char a[64], b[64];

	printf("\n              %12s %7s %7s %7s %7s %9s\n", "bytes", "live", "expired", "dead", "free",
	       "sessions");
	for (unsigned i = 0; i < 2; i++) {
		const struct shmcache_ring_use *u = &o->ring[i];

		printf("  %-11s %12llu %6.1f%% %6.1f%% %6.1f%% %6.1f%% %9llu\n", i == 0 ? "probation" : "main",
		       (unsigned long long)u->bytes, percent(u->live, u->bytes), percent(u->expired, u->bytes),
		       percent(u->dead, u->bytes), percent(u->free, u->bytes), (unsigned long long)u->entries);
	}
	printf("  index       %12llu %6.1f%% used\n", (unsigned long long)o->slots,
	       percent(o->slots_used, o->slots));
	if (o->ring[0].entries + o->ring[1].entries > 0)
		printf("  to live     %s to %s\n", span(o->shortest, a, sizeof(a)), span(o->longest, b, sizeof(b)));
	if (l->broken)
		printf("  DAMAGED     a shard's chain is broken and counted in part; 'bulkhead-cache verify' says where\n");
}

static void print_counters(const struct look *l, const struct look *before)
{
	double ratio = hit_ratio(l);

	if (ratio >= 0)
		printf("\n  hit ratio   %11.1f%%\n", ratio * 100);
	else
		printf("\n  hit ratio              - nothing was asked for yet\n");
	for (unsigned i = 0; i < COUNTERS; i++) {
		double r = rate(l, before, &counters[i]);

		printf("  %-12s %11llu", counters[i].key, (unsigned long long)counter(l, &counters[i]));
		if (before != NULL && r >= 0)
			printf(" %9.1f/s", r);
		else if (before != NULL)
			printf(" %11s", "");
		printf("  %s\n", counters[i].words);
	}
}

static void print_waits(const struct look *l, bool terminal)
{
	static const char bar[] = "########################################";
	uint64_t most = 0, all = 0;

	for (unsigned i = 0; i < 8; i++) {
		all += l->n.waits[i];
		most = l->n.waits[i] > most ? l->n.waits[i] : most;
	}
	if (all == 0) {
		printf("\n  no store waited for its lock\n");
		return;
	}
	printf("\n  stores that waited for their lock\n");
	for (unsigned i = 0; i < 8; i++) {
		static const char *const words[8] = {
			"below 1 us", "4 us", "16 us", "64 us", "256 us", "1 ms", "4 ms", "longer",
		};
		int n = most == 0 ? 0 : (int)((double)l->n.waits[i] * (double)(sizeof(bar) - 1) / (double)most);

		if (l->n.waits[i] > 0 && n == 0)
			n = 1;
		printf("  %12s %11llu", words[i], (unsigned long long)l->n.waits[i]);
		if (terminal && n > 0)
			printf("  %.*s", n, bar);
		putchar('\n');
	}
}

static void print_holders(const struct look *l)
{
	if (l->holders == 0) {
		printf("\n  nobody is inside a shard\n");
		return;
	}
	putchar('\n');
	for (unsigned i = 0; i < l->holders; i++) {
		const char *state = state_of(l, l->holder[i].pid);

		printf("  inside shard %u: pid %ld, %s", l->holder[i].shard, (long)l->holder[i].pid, state);
		if (strcmp(state, "gone") == 0 || strcmp(state, "zombie") == 0)
			printf(": it died there; the next store in this shard repairs it");
		else if (strcmp(state, "stopped") == 0 || strcmp(state, "traced") == 0)
			printf(": stores in this shard are given up until it goes on");
		putchar('\n');
	}
}

static void print_text(const struct look *l, const struct look *before, bool terminal)
{
	print_head(l);
	if (l->plan.shards == 0) {
		printf("\n  no sessions are kept here, only the seeds of tickets\n");
		return;
	}
	print_use(l);
	print_counters(l, before);
	print_waits(l, terminal);
	print_holders(l);
}

/* ------------------------------------------------------------------------------------------------ watching */

static volatile sig_atomic_t enough;

static void stop(int signal_number)
{
	(void)signal_number;
	enough = 1;
}

/* Ctrl-C ends the sleep, wherever it comes. */
static void rest(double s, const sigset_t *open)
{
	struct timespec t = { .tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9) };

	if (!enough)
		(void)ppoll(NULL, 0, &t, open);
}

static int watch(double s, bool json, int argc, char **argv)
{
	bool terminal = isatty(STDOUT_FILENO) == 1, first = true;
	static struct look now, before;
	sigset_t ours, open;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigprocmask(SIG_BLOCK, &ours, &open);
	sigdelset(&open, SIGINT);
	sigdelset(&open, SIGTERM);
	sigaction(SIGINT, &(struct sigaction){ .sa_handler = stop }, NULL);
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = stop }, NULL);
	while (!enough) {
		if (look(&now, argc, argv) < 0)
			return TOOL_TROUBLE;
		if (json) {
			(void)print_json(&now, first ? NULL : &before);
		} else {
			if (terminal)
				fputs("\033[H\033[2J", stdout);
			else if (!first)
				putchar('\n');
			print_text(&now, first ? NULL : &before, terminal);
		}
		tool_close(&now.t);
		if (fflush(stdout) != 0 || ferror(stdout))
			break;
		before = now;
		first = false;
		rest(s, &open);
	}
	return TOOL_GOOD;
}

/* SECONDS of --watch, 2 where there is none; -1 after saying what is wrong. */
static double period(const char *text)
{
	char *end;
	double s;

	if (text == NULL)
		return 2;
	s = strtod(text, &end);
	if (end != text && *end == '\0' && s >= 0.1 && s <= 86400)
		return s;
	tool_misused("stat",
	             "'%s' is no value for --watch: give 0.1 to 86400 seconds (a pid belongs before --watch)",
	             text);
	return -1;
}

int tool_stat(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "watch", optional_argument, NULL, 'W' },
		{ NULL, 0, NULL, 0 },
	};
	static struct look l;
	bool json = false;
	double s = 0;
	int o;

	while ((o = getopt_long(argc, argv, ":w:", options, NULL)) != -1) {
		switch (o) {
		case 'j': json = true; break;
		case 'w': s = period(optarg); break;
		case 'W':
			/* getopt takes a value only after '='; a number behind a blank is meant as well */
			if (optarg == NULL && optind < argc && argv[optind][0] != '\0' &&
			    strspn(argv[optind], "0123456789.") == strlen(argv[optind]))
				optarg = argv[optind++];
			s = period(optarg);
			break;
		default: return tool_bad_option(argv, o);
		}
		if (s < 0)
			return TOOL_TROUBLE;
	}
	if (s > 0)
		return watch(s, json, argc - optind, argv + optind);
	if (look(&l, argc - optind, argv + optind) < 0)
		return TOOL_TROUBLE;
	if (json)
		(void)print_json(&l, NULL);
	else
		print_text(&l, NULL, isatty(STDOUT_FILENO) == 1);
	tool_close(&l.t);
	return TOOL_GOOD;
}
