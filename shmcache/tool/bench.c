/*
 * bench.c - the command `bulkhead-cache bench`: what to measure, on which caches, and the tables. The caches
 * are its own and go when it ends; a server's is never touched. load.c has the processes, sim.c the
 * made-up clients.
 *
 * A measure is a row of JSON; text is made from the same rows as they come.
 */
#include <errno.h>
#include <gcrypt.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "shmcache/tool/tool.h"
#include "shmcache/tool/load.h"
#include "shmcache/tool/sim.h"

enum { PART_COST = 1, PART_LOCK = 2, PART_DENSITY = 4, PART_POLICY = 8, PARTS = 4, LISTED = 16, USUAL = 356 };

static const char *const part_name[PARTS] = { "cost", "lock", "density", "policy" };
static const char *const part_title[PARTS] = {
	"CPU time of an operation in a full cache, ns, the best round; 95 5: 95 fetches, 5 stores",
	"Stores only: how long the lock was held and waited for, ns of real time",
	"Sessions kept, planned for their length, and planned for 356 bytes",
	"Hits in 100 connections of clients that come back",
};
static const char *const kind_name[] = {
	[SHMCACHE_LOCK_OFD] = "ofd", [SHMCACHE_LOCK_FCNTL] = "fcntl",
	[SHMCACHE_LOCK_FLOCK] = "flock", [SHMCACHE_LOCK_ROBUST] = "robust",
};
enum { KINDS = sizeof(kind_name) / sizeof(kind_name[0]) };

struct list {
	unsigned n;
	uint32_t v[LISTED];
};

struct bench {
	bool full, json, terminal;
	unsigned parts;                 /* PART_ */
	struct list processes, sessions, kinds;
	uint32_t rounds, round_ms;
	json_t *out;
	unsigned heading;               /* whose heading was printed last, plus one */
	struct shmcache_err err;
};

/* ------------------------------------------------------------------------------------------------ rows */

static void progress(const struct bench *b, const char *what, const char *kind, uint32_t sessions, unsigned processes)
{
	if (!b->terminal)
		return;
	fprintf(stderr, "\r\033[K%s", what);
	if (kind != NULL)
		fprintf(stderr, ": %s, %u sessions, processes: %u", kind, sessions, processes);
	(void)fflush(stderr);
}

static void progress_end(const struct bench *b)
{
	if (b->terminal)
		fputs("\r\033[K", stderr);
	(void)fflush(stderr);
}

static int width_of(const char *name)
{
	int n = (int)strlen(name);

	return n < 9 ? 9 : n;
}

/* Names become the heading when the part is new. */
static void print_row(struct bench *b, unsigned part, json_t *row)
{
	const char *name;
	json_t *v;

	progress_end(b);
	if (b->heading != part + 1) {
		printf("%s%s\n", b->heading == 0 ? "" : "\n", part_title[part]);
		json_object_foreach(row, name, v) {
			for (int pad = width_of(name) - (int)strlen(name) + 1; pad > 0; pad--)
				putchar(' ');
			for (const char *p = name; *p != '\0'; p++)
				putchar(*p == '_' ? ' ' : *p);
		}
		putchar('\n');
		b->heading = part + 1;
	}
	json_object_foreach(row, name, v) {
		if (json_is_string(v))
			printf(" %*s", width_of(name), json_string_value(v));
		else if (json_is_integer(v))
			printf(" %*lld", width_of(name), (long long)json_integer_value(v));
		else
			printf(" %*.1f", width_of(name), json_real_value(v));
	}
	putchar('\n');
	(void)fflush(stdout);
}

/* Takes the row. -1: no memory. */
static int add_row(struct bench *b, unsigned part, json_t *row)
{
	json_t *rows = json_object_get(b->out, part_name[part]);

	if (row == NULL)
		return -1;
	if (!b->json)
		print_row(b, part, row);
	if (rows == NULL) {
		rows = json_array();
		if (rows == NULL || json_object_set_new(b->out, part_name[part], rows) < 0) {
			json_decref(row);
			return -1;
		}
	}
	return json_array_append_new(rows, row);
}

/* ------------------------------------------------------------------------------------------------ parts */

static int cost_row(struct bench *b, uint32_t kind, uint32_t sessions, unsigned processes)
{
	struct load_plan p = { .processes = processes, .rounds = b->rounds, .sessions = sessions, .len = USUAL,
		               .round_ns = (uint64_t)b->round_ms * 1000000 };
	struct shmcache *c = load_cache(load_bytes(sessions, USUAL), USUAL, kind, &b->err);
	double ns[LOAD_OPS];
	int r;

	if (c == NULL)
		return -1;
	progress(b, part_name[0], kind_name[kind], sessions, processes);
	r = load_costs(c, &p, ns);
	load_drop(c);
	if (r < 0)
		return -1;
	return add_row(b, 0, json_pack("{s:s, s:I, s:i, s:f, s:f, s:f, s:f, s:f}", "lock", kind_name[kind], "sessions",
	                               (json_int_t)sessions, "processes", (int)processes, "hit", ns[LOAD_HIT], "miss",
	                               ns[LOAD_MISS], "store", ns[LOAD_STORE], "remove", ns[LOAD_REMOVE], "95_5",
	                               ns[LOAD_MIXED]));
}

static int lock_row(struct bench *b, uint32_t kind, uint32_t sessions, unsigned processes)
{
	struct load_plan p = { .processes = processes, .rounds = b->rounds, .sessions = sessions, .len = USUAL,
		               .round_ns = (uint64_t)b->round_ms * 1000000 };
	struct shmcache *c = load_cache(load_bytes(sessions, USUAL), USUAL, kind, &b->err);
	struct load_locks l;
	int r;

	if (c == NULL)
		return -1;
	progress(b, part_name[1], kind_name[kind], sessions, processes);
	r = load_locks(c, &p, &l);
	load_drop(c);
	if (r < 0)
		return -1;
	return add_row(b, 1, json_pack("{s:s, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "lock", kind_name[kind],
	                               "sessions", (json_int_t)sessions, "processes", (int)processes,
	                               "held_50%", l.held[0], "held_99%", l.held[1],
	                               "wait_50%", l.waited[0], "wait_99%", l.waited[1],
	                               "wait_longest", l.waited_longest, "stores", (json_int_t)l.stores,
	                               "given_up", (json_int_t)l.given_up));
}

static int loaded(struct bench *b, unsigned part,
                  int (*row)(struct bench *b, uint32_t kind, uint32_t sessions, unsigned processes))
{
	/* How long a lock is held does not hang on the size: the largest is enough. */
	unsigned first = part == 1 ? b->sessions.n - 1 : 0;

	for (unsigned k = 0; k < b->kinds.n; k++)
		for (unsigned s = first; s < b->sessions.n; s++)
			for (unsigned p = 0; p < b->processes.n; p++)
				if (row(b, b->kinds.v[k], b->sessions.v[s], b->processes.v[p]) < 0)
					return -1;
	return 0;
}

static int work_kept(struct shmcache *c, const void *arg, double out[4])
{
	long kept = sim_kept(c, *(const size_t *)arg);

	out[0] = (double)kept;
	return kept < 0 ? -1 : 0;
}

static int kept(struct bench *b, size_t bytes, size_t len, size_t avg_data, double *sessions, double *planned)
{
	struct shmcache *c = load_cache(bytes, avg_data, SHMCACHE_LOCK_OFD, &b->err);
	double out[4];
	int r;

	if (c == NULL)
		return -1;
	*planned = (double)shmcache_geometry(c)->sessions;
	r = load_alone(c, work_kept, &len, out);
	load_drop(c);
	*sessions = out[0];
	return r;
}

static int density(struct bench *b)
{
	static const size_t bytes[] = { 512000, 1048576 }, len[] = { 200, 356, 600, 1500, SIM_MIX };

	for (unsigned i = 0; i < 10; i++) {
		size_t size = bytes[i / 5], l = len[i % 5], average = l == SIM_MIX ? SIM_MIX_AVERAGE : l;
		double fit, usual, planned, ignored;
		char what[24];

		progress(b, part_name[2], NULL, 0, 0);
		if (kept(b, size, l, average, &fit, &planned) < 0 || kept(b, size, l, USUAL, &usual, &ignored) < 0)
			return -1;
		snprintf(what, sizeof(what), "%zu", l);
		if (add_row(b, 2, json_pack("{s:I, s:s, s:I, s:I, s:f, s:f, s:I}", "bytes", (json_int_t)size,
		                            "length", l == SIM_MIX ? "mix" : what, "kept", (json_int_t)fit,
		                            "planned", (json_int_t)planned,
		                            "off_by_%", 100 * (fit - planned) / planned,
		                            "kept_in_1_MiB", fit * 1048576 / (double)size,
		                            "kept_as_356", (json_int_t)usual)) < 0)
			return -1;
	}
	return 0;
}

static int work_policy(struct shmcache *c, const void *arg, double out[4])
{
	struct sim_ratio ratio;
	int r = sim_policy(c, arg, &ratio);

	out[0] = ratio.ours;
	out[1] = ratio.fifo;
	out[2] = ratio.lru;
	return r;
}

/* With --full ten times the clients, in ten times the room. */
static int policy(struct bench *b)
{
	static const struct {
		const char *name;
		size_t sessions;
		struct sim_population of;
	} population[] = {
		{ "zipf", 3000, { .kind = SIM_ZIPF, .clients = 10000, .steps = 100000 } },
		{ "zipf-life", 3000, { .kind = SIM_ZIPF, .clients = 10000, .steps = 100000, .life = 20000 } },
		{ "visits", 400, { .kind = SIM_VISITS, .steps = 20000, .pause = 4000, .life = 5000 } },
	};
	static const unsigned flood[] = { 0, 1, 10 };

	for (unsigned i = 0; i < 9; i++) {
		struct sim_population of = population[i / 3].of;
		uint32_t scale = b->full ? 10 : 1;
		struct shmcache *c;
		double out[4];
		int r;

		of.clients *= scale;
		of.steps *= scale;
		of.pause *= scale;
		of.life *= scale;
		of.flood = flood[i % 3];
		of.seed = 1;
		c = load_cache(load_bytes(population[i / 3].sessions * scale, SIM_MIX_AVERAGE), SIM_MIX_AVERAGE,
		               SHMCACHE_LOCK_OFD, &b->err);
		if (c == NULL)
			return -1;
		progress(b, part_name[3], NULL, 0, 0);
		r = load_alone(c, work_policy, &of, out);
		load_drop(c);
		if (r < 0)
			return -1;
		if (add_row(b, 3, json_pack("{s:s, s:I, s:i, s:f, s:f, s:f}", "clients", population[i / 3].name, "sessions",
		                            (json_int_t)population[i / 3].sessions * scale, "flood", (int)of.flood, "cache",
		                            out[0], "fifo", out[1], "lru", out[2])) < 0)
			return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ command */

/* Which machine it was: figures without that say little. */
static json_t *machine(void)
{
	char line[256], model[256] = "unknown";
	FILE *f = fopen("/proc/cpuinfo", "re");
	struct utsname u;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || colon == NULL)
			continue;
		colon[strcspn(colon, "\n")] = '\0';
		snprintf(model, sizeof(model), "%s", colon[1] == ' ' ? colon + 2 : colon + 1);
		break;
	}
	if (f != NULL)
		fclose(f);
	if (uname(&u) < 0)
		return NULL;
	return json_pack("{s:s, s:I, s:s, s:s, s:s}", "processor", model, "processors",
	                 (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "kernel", u.release, "machine", u.machine,
	                 "libgcrypt", gcry_check_version(NULL));
}

static int number_list(const char *option, const char *text, uint32_t min, uint32_t max, struct list *out)
{
	out->n = 0;
	do {
		char *end;
		unsigned long v = strtoul(text, &end, 10);

		if (end == text || (*end != ',' && *end != '\0') || text[0] == '-' || v < min || v > max || out->n == LISTED)
			return tool_misused("bench", "option '%s' takes up to %d numbers from %u to %u with commas between",
			                    option, (int)LISTED, min, max);
		out->v[out->n++] = (uint32_t)v;
		text = *end == ',' ? end + 1 : end;
	} while (*text != '\0');
	return 0;
}

static int kind_list(const char *text, struct list *out)
{
	out->n = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		uint32_t k = 0;

		while (k < KINDS && (strlen(kind_name[k]) != len || strncmp(kind_name[k], text, len) != 0))
			k++;
		if (k == KINDS || out->n == LISTED)
			return tool_misused("bench", "'%.*s' is no kind of lock: ofd, fcntl, flock, robust are", (int)len, text);
		out->v[out->n++] = k;
		text += len + (text[len] == ',');
	}
	return out->n > 0 ? 0 : tool_misused("bench", "option '--kinds' takes kinds of locks with commas between");
}

static void defaults(struct bench *b)
{
	static const struct list processes[2] = { { 2, { 1, 2 } }, { 4, { 1, 2, 4, 8 } } };
	static const struct list sessions[2] = { { 2, { 1000, 10000 } }, { 4, { 1000, 10000, 100000, 1000000 } } };
	static const struct list kinds[2] = { { 2, { SHMCACHE_LOCK_OFD, SHMCACHE_LOCK_ROBUST } },
		                              { 4, { SHMCACHE_LOCK_OFD, SHMCACHE_LOCK_FCNTL, SHMCACHE_LOCK_FLOCK,
		                                     SHMCACHE_LOCK_ROBUST } } };

	if (b->processes.n == 0)
		b->processes = processes[b->full];
	if (b->sessions.n == 0)
		b->sessions = sessions[b->full];
	if (b->kinds.n == 0)
		b->kinds = kinds[b->full];
	if (b->rounds == 0)
		b->rounds = 5;
	if (b->round_ms == 0)
		b->round_ms = 20;
	if (b->parts == 0)
		b->parts = PART_COST | PART_LOCK | PART_DENSITY | PART_POLICY;
}

static int option_number(const char *option, long max, uint32_t *out)
{
	long v = tool_number("bench", option, optarg, 1, max);

	*out = v < 0 ? 0 : (uint32_t)v;
	return v < 0 ? TOOL_TROUBLE : 0;
}

/* 0, or the exit status. */
static int options(struct bench *b, int argc, char **argv)
{
	static const struct option known[] = {
		{ "full", no_argument, NULL, 'f' }, { "json", no_argument, NULL, 'j' },
		{ "processes", required_argument, NULL, 'p' }, { "sessions", required_argument, NULL, 's' },
		{ "kinds", required_argument, NULL, 'k' }, { "rounds", required_argument, NULL, 'r' },
		{ "time", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 },
	};
	int o, bad = 0;

	opterr = 0;
	while (bad == 0 && (o = getopt_long(argc, argv, ":fjp:s:k:r:t:", known, NULL)) != -1) {
		switch (o) {
		case 'f': b->full = true; break;
		case 'j': b->json = true; break;
		case 'p': bad = number_list("--processes", optarg, 1, LOAD_MOST, &b->processes); break;
		case 's': bad = number_list("--sessions", optarg, 100, 1000000, &b->sessions); break;
		case 'k': bad = kind_list(optarg, &b->kinds); break;
		case 'r': bad = option_number("--rounds", 32, &b->rounds); break;
		case 't': bad = option_number("--time", 10000, &b->round_ms); break;
		default: return tool_bad_option(argv, o);
		}
	}
	for (; bad == 0 && optind < argc; optind++) {
		unsigned part = 0;

		while (part < PARTS && strcmp(argv[optind], part_name[part]) != 0)
			part++;
		if (part == PARTS)
			return tool_misused("bench", "'%s' cannot be measured: cost, lock, density, policy can", argv[optind]);
		b->parts |= 1u << part;
	}
	defaults(b);
	return bad;
}

static int measure(struct bench *b)
{
	static int (*const row[])(struct bench *, uint32_t, uint32_t, unsigned) = { cost_row, lock_row };

	for (unsigned part = 0; part < 2; part++)
		if ((b->parts & 1u << part) != 0 && loaded(b, part, row[part]) < 0)
			return -1;
	if ((b->parts & PART_DENSITY) != 0 && density(b) < 0)
		return -1;
	return (b->parts & PART_POLICY) != 0 ? policy(b) : 0;
}

int tool_bench(int argc, char **argv)
{
	struct bench b = { .terminal = isatty(STDERR_FILENO) == 1, .out = json_object() };
	int status = options(&b, argc, argv);

	if (status != 0) {
		json_decref(b.out);
		return status;
	}
	if (load_init(&b.err) < 0 || json_object_set_new(b.out, "machine", machine()) < 0 || measure(&b) < 0)
		status = TOOL_VIOLATED;
	progress_end(&b);
	/* Ends the program if a signal stopped it. */
	load_fini();
	if (status != 0)
		(void)tool_fail(b.err.remedy, "%s", b.err.text[0] != '\0' ? b.err.text : "a measuring process failed");
	else if (b.json)
		status = tool_print_json(json_incref(b.out)) < 0 ? TOOL_TROUBLE : 0;
	json_decref(b.out);
	return status;
}
