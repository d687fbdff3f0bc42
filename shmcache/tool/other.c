/*
 * other.c - the commands list, verify and copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shmcache/tool/tool.h"

/* ------------------------------------------------------------------------------------------------ list */

enum order { AS_STORED, BY_TTL, BY_SIZE, BY_HEAT };

struct listing {
	bool all, json;
	enum order order;
	size_t most, printed;
	struct shmcache_entry *kept;            /* only where they are sorted */
	size_t n, room;
};

static const char *state(const struct shmcache_entry *e)
{
	if (e->live)
		return "live";
	return e->ttl <= 0 ? "expired" : "dead";
}

/* Not 0: nobody reads on, or it cannot be written. */
static int print_entry(struct listing *l, const struct shmcache_entry *e)
{
	char hash[20];

	snprintf(hash, sizeof(hash), "%016" PRIx64, e->hash);
	l->printed++;
	if (l->json)
		return tool_print_json(json_pack("{s:i, s:s, s:I, s:s, s:i, s:i, s:I, s:i, s:s}", "shard",
		                                 (int)e->shard, "ring", e->ring == 0 ? "probation" : "main",
		                                 "position", (json_int_t)e->pos, "hash", hash, "size", (int)e->len,
		                                 "bytes", (int)e->bytes, "seconds_left", (json_int_t)e->ttl, "heat",
		                                 (int)e->freq, "state", state(e)));
	printf("%5u  %-9s  %s  %5u  %7lld  %4u", e->shard, e->ring == 0 ? "probation" : "main", hash, e->len,
	       (long long)e->ttl, e->freq);
	if (l->all)
		printf("  %s", state(e));
	putchar('\n');
	return ferror(stdout);
}

static int visit(void *ctx, const struct shmcache_entry *e)
{
	struct listing *l = ctx;

	if (!e->live && !l->all)
		return 0;
	if (l->order == AS_STORED)
		return l->printed >= l->most || print_entry(l, e) != 0 ? 1 : 0;
	if (l->n == l->room) {
		size_t room = l->room == 0 ? 1024 : l->room * 2;
		struct shmcache_entry *more = reallocarray(l->kept, room, sizeof(*more));

		if (more == NULL)
			return 2;
		l->kept = more;
		l->room = room;
	}
	l->kept[l->n++] = *e;
	return 0;
}

static int by_ttl(const void *a, const void *b)
{
	const struct shmcache_entry *x = a, *y = b;

	return (x->ttl > y->ttl) - (x->ttl < y->ttl);
}

static int by_size(const void *a, const void *b)
{
	const struct shmcache_entry *x = a, *y = b;

	return (x->len < y->len) - (x->len > y->len);
}

static int by_heat(const void *a, const void *b)
{
	const struct shmcache_entry *x = a, *y = b;

	return x->freq != y->freq ? (x->freq < y->freq) - (x->freq > y->freq) : by_ttl(b, a);
}

static int list_all(struct tool_target *t, struct listing *l)
{
	static int (*const compare[])(const void *a, const void *b) = {
		[BY_TTL] = by_ttl, [BY_SIZE] = by_size, [BY_HEAT] = by_heat,
	};
	int r;

	if (!l->json)
		printf("%5s  %-9s  %-16s  %5s  %7s  %4s%s\n", "SHARD", "RING", "HASH", "SIZE", "LEFT", "HEAT",
		       l->all ? "  STATE" : "");
	errno = 0;
	r = shmcache_walk(t->cache, visit, l);
	if (r == 2)
		return tool_fail("leave --sort out", "no memory to sort so many entries");
	if (l->order != AS_STORED && l->n > 0)
		qsort(l->kept, l->n, sizeof(*l->kept), compare[l->order]);
	for (size_t i = 0; l->order != AS_STORED && i < l->n && i < l->most; i++)
		if (print_entry(l, &l->kept[i]) != 0)
			break;
	if (r < 0)
		return tool_fail("'bulkhead-cache verify' says where",
		                 "a shard is damaged: the entries behind that place are not listed");
	return TOOL_GOOD;
}

static bool order_of(const char *word, enum order *o)
{
	static const char *const words[] = { [BY_TTL] = "ttl", [BY_SIZE] = "size", [BY_HEAT] = "heat" };

	for (unsigned i = BY_TTL; i <= BY_HEAT; i++)
		if (strcmp(words[i], word) == 0) {
			*o = i;
			return true;
		}
	return false;
}

int tool_list(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ "sort", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct listing l = { .most = SIZE_MAX };
	struct tool_target t;
	int o, r;
	long n;

	while ((o = getopt_long(argc, argv, ":n:", options, NULL)) != -1) {
		switch (o) {
		case 'a': l.all = true; break;
		case 'j': l.json = true; break;
		case 's':
			if (!order_of(optarg, &l.order))
				return tool_misused("list", "'%s' is no order: give ttl, size or heat", optarg);
			break;
		case 'n':
			n = tool_number("list", "-n", optarg, 0, INT32_MAX);
			if (n < 0)
				return TOOL_TROUBLE;
			l.most = (size_t)n;
			break;
		default: return tool_bad_option(argv, o);
		}
	}
	if (tool_open("list", argc - optind, argv + optind, &t) < 0)
		return TOOL_TROUBLE;
	r = list_all(&t, &l);
	free(l.kept);
	tool_close(&t);
	return r;
}

/* ------------------------------------------------------------------------------------------------ verify */

static void report(void *ctx, unsigned shard, unsigned invariant, const char *what)
{
	const bool *quiet = ctx;

	if (!*quiet)
		printf("shard %u violates I%u: %s\n", shard, invariant, what);
}

static int verify(const struct tool_target *t, bool quiet)
{
	unsigned shards = shmcache_geometry(t->cache)->shards;
	int n = shmcache_verify(t->cache, report, &quiet);

	if (n < 0)
		return errno == EAGAIN
		               ? tool_fail("try again when the server is less busy, or verify a copy",
		                           "%s: no moment was found when nobody stores in a shard", t->label)
		               : tool_fail("", "%s: %s", t->label, strerror(errno));
	if (!quiet && n > 0)
		printf("%s: %d violation%s in %u shard%s\n", t->label, n, n == 1 ? "" : "s", shards,
		       shards == 1 ? "" : "s");
	else if (!quiet)
		printf("%s: all invariants hold in %u shard%s\n", t->label, shards, shards == 1 ? "" : "s");
	return n > 0 ? TOOL_VIOLATED : TOOL_GOOD;
}

int tool_verify(int argc, char **argv)
{
	static const struct option options[] = { { "quiet", no_argument, NULL, 'q' }, { NULL, 0, NULL, 0 } };
	struct tool_target t;
	bool quiet = false;
	int o, r;

	while ((o = getopt_long(argc, argv, ":q", options, NULL)) != -1) {
		if (o != 'q')
			return tool_bad_option(argv, o);
		quiet = true;
	}
	if (tool_open("verify", argc - optind, argv + optind, &t) < 0)
		return TOOL_TROUBLE;
	r = verify(&t, quiet);
	tool_close(&t);
	return r;
}

/* ------------------------------------------------------------------------------------------------ copy */

/* Whole, or not there at all: signals that would end us wait, and what could not be written is taken away. */
static int copy_to(const struct tool_target *t, const char *path, int fd)
{
	struct shmcache_err e = { .text = "" };
	int r = shmcache_copy(t->cache, fd, &e);

	if (r == 0 && fsync(fd) < 0 && errno != EINVAL) {
		snprintf(e.text, sizeof(e.text), "writing the copy: %s", strerror(errno));
		r = -1;
	}
	if (close(fd) < 0 && r == 0) {
		snprintf(e.text, sizeof(e.text), "closing the copy: %s", strerror(errno));
		r = -1;
	}
	if (r == 0) {
		printf("%s: %zu bytes copied to %s\n", t->label, shmcache_geometry(t->cache)->segment, path);
		return TOOL_GOOD;
	}
	return unlink(path) == 0 ? tool_fail(e.remedy, "%s: %s; the half file was removed", path, e.text)
	                         : tool_fail(e.remedy, "%s: %s; the half file is still there: %s", path, e.text,
	                                     strerror(errno));
}

int tool_copy(int argc, char **argv)
{
	static const struct option options[] = { { NULL, 0, NULL, 0 } };
	struct tool_target t;
	sigset_t all;
	int o, fd, r;

	while ((o = getopt_long(argc, argv, ":", options, NULL)) != -1)
		return tool_bad_option(argv, o);
	if (optind >= argc)
		return tool_misused("copy", "copy needs the name of a new file");
	if (tool_open("copy", argc - optind - 1, argv + optind + 1, &t) < 0)
		return TOOL_TROUBLE;
	sigemptyset(&all);
	sigaddset(&all, SIGINT);
	sigaddset(&all, SIGTERM);
	sigaddset(&all, SIGHUP);
	sigprocmask(SIG_BLOCK, &all, NULL);
	(void)signal(SIGXFSZ, SIG_IGN);         /* a limit of size is an error like a full disk */
	fd = open(argv[optind], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		r = tool_fail("give the name of a file that is not there",
		              "%s is there already, and nothing is written over", argv[optind]);
	else if (fd < 0)
		r = tool_fail("", "making %s: %s", argv[optind], strerror(errno));
	else
		r = copy_to(&t, argv[optind], fd);
	tool_close(&t);
	return r;
}
