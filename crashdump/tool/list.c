/*
 * list.c - bulkhead-crash list: the crashes of a folder, grouped by signature.
 */
#include "crashdump/tool/tool.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reports with one signature; what is told of them is the newest one's. */
struct group {
	char *signature;
	struct readreport_file newest;
	time_t first, last;
	unsigned count, incomplete;
	char signal[24], class[32], text[600], role[24];
	enum readreport_state state;
	json_t *where;
};

struct listing {
	bool each, json;
	time_t since;
	unsigned reports, unreadable, groups, room;
	struct group *group;
};

/* -------------------------------------------------------------------------------------------------------- grouping */

static struct group *group_for(struct listing *l, const char *signature)
{
	for (unsigned i = 0; !l->each && i < l->groups; i++)
		if (!strcmp(l->group[i].signature, signature))
			return &l->group[i];
	if (l->groups == l->room) {
		unsigned room = l->room ? 2 * l->room : 32;
		void *grown = realloc(l->group, room * sizeof *l->group);

		if (!grown)
			return NULL;
		l->group = grown;
		l->room = room;
	}
	l->group[l->groups] = (struct group){ .signature = strdup(signature) };
	return l->group[l->groups].signature ? &l->group[l->groups++] : NULL;
}

static void where_text(const struct readreport *r, char *out, size_t room)
{
	struct readreport_frame f;

	snprintf(out, room, "?");
	if (!readreport_where(r, &f))
		return;
	if (*f.function && *f.file)
		snprintf(out, room, "%s (%s:%u)", f.function, f.file, f.line);
	else if (*f.function)
		snprintf(out, room, "%s", f.function);
	else if (*f.module)
		snprintf(out, room, "%s+0x%" PRIx64, f.module, f.module_offset);
}

static int take(struct listing *l, const struct readreport_file *file, const struct readreport *r)
{
	const char *signature = readreport_value(r, "signature"), *signal = readreport_value(r, "signal");
	struct group *g = group_for(l, *signature ? signature : "?");

	if (!g)
		return -1;
	l->reports++;
	g->first = file->time;                  /* the folder is read from the newest on */
	g->incomplete += r->state != READREPORT_COMPLETE;
	if (g->count++)
		return 0;
	g->last = file->time;
	g->newest = *file;
	g->state = r->state;
	snprintf(g->signal, sizeof g->signal, "%.*s", (int)strcspn(signal, " "), signal);
	snprintf(g->class, sizeof g->class, "%s", readreport_value(r, "class"));
	readreport_word(readreport_value(r, "process"), "role", g->role, sizeof g->role);
	where_text(r, g->text, sizeof g->text);
	g->where = tool_where_json(r);
	return 0;
}

static int read_folder(struct listing *l, int fd)
{
	struct readreport_file *files;
	ssize_t n = readreport_folder(fd, &files);

	if (n < 0)
		return tool_fail("", "the folder cannot be read: %s", strerror(errno));
	for (ssize_t i = 0; i < n; i++) {
		struct readreport r;

		if (files[i].time < l->since)
			continue;
		if (readreport_open(fd, files[i].name, &r) < 0) {
			tool_fail("", "%s is left out: %s", files[i].name, tool_why_unreadable(errno));
			l->unreadable++;
		} else if (take(l, &files[i], &r) < 0) {
			readreport_free(&r);
			free(files);
			return tool_fail("", "out of memory");
		}
		readreport_free(&r);
	}
	free(files);
	return TOOL_GOOD;
}

/* ---------------------------------------------------------------------------------------------------------- output */

static const char *stamp(time_t t, bool json)
{
	static char memory[2][32];
	static unsigned turn;
	char *out = memory[turn++ % 2];
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, sizeof memory[0], json ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(out, sizeof memory[0], "?");
	return out;
}

static void print_group(const struct group *g, bool each)
{
	const struct tool_style *style = tool_style();

	if (!each)
		printf("%4u x ", g->count);
	printf("%s%s %s in %s%s", style->bold, *g->signal ? g->signal : "?", *g->class ? g->class : "?", g->text, style->plain);
	if (*g->role && strcmp(g->role, "child") != 0)
		printf(", %s", g->role);
	if (g->incomplete && each)
		printf("  %s[incomplete: %s]%s", style->red, g->state == READREPORT_RAW ? "end: raw" : "cut off", style->plain);
	else if (g->incomplete)
		printf("  %s[%u incomplete]%s", style->red, g->incomplete, style->plain);
	putchar('\n');
	if (each) {
		printf("     %s UTC  %s\n", stamp(g->last, false), g->newest.name);
		return;
	}
	printf("       last %s UTC", stamp(g->last, false));
	if (g->count > 1)
		printf(", first %s UTC", stamp(g->first, false));
	printf("\n       %s\n       %s%s%s\n", g->newest.name, style->dim, g->signature, style->plain);
}

static json_t *group_json(const struct group *g, bool each)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:O}", "signature", g->signature, "signal", g->signal, "class", g->class,
			      "role", g->role, "where", g->where);

	if (each) {
		json_object_set_new(o, "time", json_string(stamp(g->last, true)));
		json_object_set_new(o, "report", json_string(g->newest.name));
		json_object_set_new(o, "pid", json_integer(g->newest.pid));
		json_object_set_new(o, "state", json_string(readreport_state_word(g->state)));
		return o;
	}
	json_object_set_new(o, "count", json_integer(g->count));
	json_object_set_new(o, "incomplete", json_integer(g->incomplete));
	json_object_set_new(o, "first", json_string(stamp(g->first, true)));
	json_object_set_new(o, "last", json_string(stamp(g->last, true)));
	json_object_set_new(o, "newest", json_string(g->newest.name));
	return o;
}

static int print_listing(const struct listing *l, const char *dir)
{
	json_t *list = l->json ? json_array() : NULL;

	for (unsigned i = 0; i < l->groups; i++) {
		if (list)
			json_array_append_new(list, group_json(&l->group[i], l->each));
		else
			print_group(&l->group[i], l->each);
	}
	if (list)
		return tool_print_json(json_pack("{s:s,s:i,s:i,s:o}", "folder", dir, "reports", (int)l->reports,
						 "unreadable", (int)l->unreadable, l->each ? "crashes" : "signatures", list));
	if (!l->groups)
		printf("No crash report in %s%s.\n%s", dir, l->since ? " since then" : "",
		       l->since || l->unreadable ? "" : "No child has crashed, or CoreDumpDirectory names another folder: then use -d DIR.\n");
	else if (!l->each)
		printf("%u report%s of %u kind%s in %s; 'bulkhead-crash show REPORT' shows one.\n", l->reports,
		       l->reports == 1 ? "" : "s", l->groups, l->groups == 1 ? "" : "s", dir);
	return TOOL_GOOD;
}

/* --------------------------------------------------------------------------------------------------------- options */

/* A date, a date with time (UTC), or so many s, m, h, d ago. */
static bool read_since(const char *text, time_t *out)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
	static const struct { char unit; int seconds; } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	long n;

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct tm tm = { .tm_isdst = 0 };
		const char *rest = strptime(text, forms[i], &tm);

		if (rest && (!*rest || !strcmp(rest, "Z"))) {
			*out = timegm(&tm);
			return true;
		}
	}
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtol(text, &end, 10);
	for (size_t i = 0; !errno && n <= 1000000 && i < sizeof units / sizeof units[0]; i++)
		if (end[0] == units[i].unit && !end[1]) {
			*out = time(NULL) - n * units[i].seconds;
			return true;
		}
	return false;
}

int tool_list(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "all", no_argument, NULL, 'a' }, { "since", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 }
	};
	struct listing l = { .since = 0 };
	const char *dir = NULL;
	int c, fd, status;

	while ((c = getopt_long(argc, argv, ":ad:", longs, NULL)) != -1)
		switch (c) {
		case 'a': l.each = true; break;
		case 'd': dir = optarg; break;
		case 'j': l.json = true; break;
		case 's':
			if (!read_since(optarg, &l.since))
				return tool_misused(argv[0], "--since %s is neither a time nor an age (2026-11-25, 2h)",
						    tool_printable(optarg));
			break;
		default: return tool_bad_option(argv, c);
		}
	if (optind < argc)
		return tool_misused(argv[0], "%s is one word too many; the folder is named by -d", tool_printable(argv[optind]));
	if ((fd = tool_folder(dir)) < 0)
		return TOOL_TROUBLE;
	status = read_folder(&l, fd);
	if (status == TOOL_GOOD)
		status = print_listing(&l, tool_printable(dir ? dir : TOOL_FOLDER));
	for (unsigned i = 0; i < l.groups; i++) {
		free(l.group[i].signature);
		json_decref(l.group[i].where);
	}
	free(l.group);
	close(fd);
	return status == TOOL_GOOD && l.unreadable ? TOOL_TROUBLE : status;
}
