/*
 * main.c - the command line in Apache's shape: options, what they ask for, and the start of the server.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/reserve.h"
#include "cli/cli.h"
#include "log/log.h"
#include "process/daemon.h"
#include "process/handover.h"
#include "process/job.h"
#include "process/master.h"
#include "process/phrases.h"
#include "process/report.h"
#include "process/singlecrash.h"
#include "process/upgrade.h"
#include "request/walk.h"

#define MAX_WORDS 64            /* of each of -D, -C, -c */

enum mode { MODE_RUN, MODE_SINGLE, MODE_TEST, MODE_SETTINGS, MODE_MODULES, MODE_PROBE };

struct words {
	const char *at[MAX_WORDS + 1];
	unsigned n;
};
struct options {
	struct config_source source;
	struct words defines, before, after;
	enum mode mode;
	const char *control;            /* -k */
	const char *demo;               /* --demo: the folder */
	const char *sockets;            /* --probe */
	enum log_level level;           /* -e */
};

static int usage(const char *why, const char *word)
{
	fprintf(stderr, "bulkhead: %s%s%s\n", why, word ? ": " : "", word ? word : "");
	dump_help(stderr);
	return 1;
}

static int add_word(struct words *w, const char *word)
{
	if (w->n == MAX_WORDS)
		return usage("an option is given more than 64 times", word);
	w->at[w->n++] = word;
	return 0;
}

static bool defined(const struct options *o, const char *name)
{
	for (unsigned i = 0; i < o->defines.n; i++)
		if (!strcasecmp(o->defines.at[i], name))
			return true;
	return false;
}

static int set_control(struct options *o, const char *word)
{
	if (!control_known(word))
		return usage("-k takes start, stop, restart, graceful, graceful-stop or upgrade, not", word);
	o->control = word;
	return 0;
}

static int set_level(struct options *o, const char *word)
{
	if (log_level_parse(word, &o->level) < 0)
		return usage("-e takes emerg alert crit error warn notice info debug or trace1 … trace8, not", word);
	return 0;
}

/* -E. Where the file cannot be had, what there is to say is said here all the same. */
static void say_to(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);

	if (fd < 0) {
		fprintf(stderr, "bulkhead: -E %s: %s\n", path, strerror(errno));
		return;
	}
	fflush(stderr);
	dup2(fd, 2);
	close(fd);
}

/* Options that only print. Returns -1 when c is none of them. */
static int print_only(int c)
{
	switch (c) {
	case 'v': dump_version(); return 0;
	case 'V': dump_build(); return 0;
	case 'l': dump_compiled(); return 0;
	case 'L': dump_directives(); return 0;
	case 'h': dump_help(stdout); return 0;
	default: return -1;
	}
}

/* 0: go on; else done, *code says how. */
static int parse(struct options *o, int argc, char **argv, int *code)
{
	static const struct option longs[] = { { "demo", required_argument, NULL, 'w' }, { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'v' }, { UPGRADE_PROBE, required_argument, NULL, 'p' }, { 0 } };
	int c;

	opterr = 0;
	*code = 0;
	while ((c = getopt_long(argc, argv, ":D:C:c:d:f:e:E:k:vVlLtTSMXh", longs, NULL)) != -1) {
		if ((*code = print_only(c)) == 0)
			return 1;
		*code = 0;
		switch (c) {
		case 'D': *code = add_word(&o->defines, optarg); break;
		case 'C': *code = add_word(&o->before, optarg); break;
		case 'c': *code = add_word(&o->after, optarg); break;
		case 'd': o->source.root = optarg; break;
		case 'f': o->source.file = optarg; break;
		case 'e': *code = set_level(o, optarg); break;
		case 'E': say_to(optarg); break;
		case 'k': *code = set_control(o, optarg); break;
		case 'T': check_options.no_roots = true; break;
		case 't': o->mode = o->mode == MODE_RUN || o->mode == MODE_SINGLE ? MODE_TEST : o->mode; break;
		case 'S': o->mode = MODE_SETTINGS; break;
		case 'M': o->mode = MODE_MODULES; break;
		case 'X': o->mode = o->mode == MODE_RUN ? MODE_SINGLE : o->mode; break;
		case 'w': o->demo = optarg; break;
		case 'p': o->mode = MODE_PROBE; o->sockets = optarg; break;
		case ':': *code = usage("an option lacks its argument", argv[optind - 1]); break;
		default: *code = usage("no such option", argv[optind - 1]);
		}
		if (*code)
			return 1;
	}
	if (optind < argc) {
		*code = usage("no such argument", argv[optind]);
		return 1;
	}
	if (o->mode == MODE_TEST && (defined(o, "DUMP_VHOSTS") || defined(o, "DUMP_RUN_CFG")))
		o->mode = MODE_SETTINGS;
	if (o->mode == MODE_TEST && defined(o, "DUMP_MODULES"))
		o->mode = MODE_MODULES;
	o->source.defines = o->defines.at;
	o->source.before = o->before.at;
	o->source.after = o->after.at;
	o->source.dump_includes = defined(o, "DUMP_INCLUDES");
	return 0;
}

/* -t, -S, -M: says what was asked for. The exit code. */
static int report(const struct options *o, struct config *cfg)
{
	if (o->mode == MODE_MODULES && !cfg->errors) {
		dump_modules();
		return 0;
	}
	if (o->mode == MODE_TEST && !cfg->errors) {
		check_config(cfg);
		check_keys(cfg);
	}
	dump_reports(cfg, o->mode == MODE_TEST ? DUMP_ALL : DUMP_ERRORS_AND_WARNINGS);
	if (cfg->errors) {
		fprintf(stderr, "%u error%s in the configuration: not usable\n", cfg->errors, cfg->errors == 1 ? "" : "s");
		return 1;
	}
	if (o->mode == MODE_SETTINGS) {
		dump_hosts(cfg);
		dump_settings(cfg);
		return 0;
	}
	if (o->source.dump_includes)
		dump_includes(cfg);
	fprintf(stderr, "Syntax OK\n");
	return 0;
}

/* Starts the server from a configuration without errors. Takes cfg. */
static int start(struct options *o, struct config *cfg)
{
	struct master_options mo = { .foreground = defined(o, "FOREGROUND") || o->demo, .ready_fd = -1, .check = check_config };
	struct err e = { 0 };
	char text[1600];
	int code = 0;

	if (handover_pending() ? phrases_take_over(&e) < 0 : phrases_ask(cfg, o->mode != MODE_SINGLE, &e) < 0) {
		upgrade_failed(&e);
		fprintf(stderr, "bulkhead: %s\n", err_print(&e, text, sizeof text));
		return 1;
	}
	if (o->mode == MODE_SINGLE)
		return single_run(cfg);
	unsetenv("SSLKEYLOGFILE");
	if (!mo.foreground && !handover_pending()) {
		int side;

		phrases_carry(true);
		side = daemon_detach(&mo.ready_fd, &code, &e);
		if (side == 0)
			phrases_carry(false);
		if (side < 0)
			fprintf(stderr, "bulkhead: %s\n", err_print(&e, text, sizeof text));
		if (side)
			return side < 0 ? 1 : code;
	}
	if (o->demo && !handover_pending())
		demo_greeting(o->demo);
	return master_run(&o->source, cfg, &mo);
}

static int prepare_demo(struct options *o)
{
	static char folder[PATH_MAX];

	if (!realpath(o->demo, folder) && (errno != ENOENT || snprintf(folder, sizeof folder, "%s", o->demo) >= (int)sizeof folder))
		return usage("--demo needs a folder", o->demo);
	o->source.text = demo_configuration(folder);
	if (!o->source.text)
		return 1;
	if (!realpath(o->demo, folder))
		return usage("--demo needs a folder", o->demo);
	o->demo = folder;
	o->source.root = folder;
	return 0;
}

/* In place of another program, whose server this is now; its terminal, its pid file and its words of -k are of the past. */
static int take_over(struct options *o, struct config *cfg)
{
	struct err e = { .text = "" };

	if (!cfg->errors)
		return start(o, cfg);
	report_config(cfg, 0, &e);
	upgrade_failed(&e);
	return 1;
}

static void log_to_terminal(enum log_level level)
{
	static struct log_settings settings;

	log_settings_init(&settings, level);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = 2, .plain = true }, &settings);
}

int main(int argc, char **argv)
{
	static struct options o = { .level = LOG_L_NOTICE };
	struct config *cfg;
	int code;

	bool takes_over = upgrade_begin(argv);

	if (argc == 2 + SINGLECRASH_WORDS && !strcmp(argv[1], SINGLECRASH_WORD))
		return singlecrash_main(argv + 2);
	if (argc > 1 && !strcmp(argv[1], "ciphers"))
		return ciphers_main(argv + 2);
	daemon_fill_stdio();
	reserve_for_arithmetic();
	signal(SIGXFSZ, SIG_IGN);       /* a log that has reached RLIMIT_FSIZE is like a full disk, and no end of who writes it */
	walk_init();
	if (!takes_over)
		log_to_terminal(o.level);
	if (argc > 1 && !strcmp(argv[1], "explain"))
		return explain_main(argc - 1, argv + 1);
	if (parse(&o, argc, argv, &code))
		return code;
	if (!takes_over)
		log_to_terminal(o.level);
	if (o.demo && (code = prepare_demo(&o)))
		return code;
	cfg = config_read(&o.source);
	if (!cfg) {
		fprintf(stderr, "bulkhead: out of memory while the configuration was read\n");
		return 1;
	}
	if (takes_over)
		return take_over(&o, cfg);
	if (o.mode == MODE_PROBE)
		return upgrade_probed(cfg, o.sockets, check_config);
	if (o.mode == MODE_TEST || o.mode == MODE_SETTINGS || o.mode == MODE_MODULES)
		return report(&o, cfg);
	/* A configuration that was spoiled meanwhile must not keep anybody from stopping the server. */
	if (o.control && (!cfg->errors || control_stops(o.control)) && (code = control_signal(o.control, cfg)) >= 0)
		return code;
	if (!cfg->errors)
		check_config(cfg);
	dump_reports(cfg, DUMP_ERRORS_AND_WARNINGS);
	if (cfg->errors) {
		fprintf(stderr, "bulkhead: %s: %u error%s in the configuration\n",
			o.control && strcmp(o.control, "start") ? "nothing is done, and a server that runs goes on" : "not started", cfg->errors,
			cfg->errors == 1 ? "" : "s");
		return 1;
	}
	code = start(&o, cfg);
	__asm__ volatile("");           /* no jump in place of this call: reports of crashes are to name main, the bottom of all stacks */
	return code;
}
