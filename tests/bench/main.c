/*
 * main.c - bulkhead-bench, the session-reuse benchmark client: opens and resumes many TLS sessions with any
 * HTTPS server and tells how many were resumed, how fast, and what failed. Options and keys of --json:
 * docs/bulkhead-bench.1.
 */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "output.h"

enum { FINE, TROUBLE, USAGE };

/* A sentence to standard error; with --json also an object with it, so that a program that reads it is told. */
static int complain(const struct options *o, const struct err *e, int status)
{
	char text[2048];
	json_t *j;

	fprintf(stderr, "bulkhead-bench: %s\n", err_print(e, text, sizeof text));
	if (!o->json)
		return status;
	j = json_pack("{s:s, s:s}", "error", e->text, "remedy", e->remedy);
	json_dumpf(j, stdout, 0);
	putchar('\n');
	json_decref(j);
	return status;
}

/* Room for the descriptors of one process: its connections and what is open anyhow. */
static int allow_files(const struct options *o, struct err *e)
{
	rlim_t wanted = o->connections / o->processes + 1 + 32, before;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= wanted)
		return 0;
	before = l.rlim_cur;
	l.rlim_cur = wanted;
	if (l.rlim_max < wanted)
		l.rlim_max = wanted; /* the superuser may */
	if (setrlimit(RLIMIT_NOFILE, &l) == 0) {
		if (!o->quiet)
			fprintf(stderr, "the limit of open files is raised from %llu to %llu\n",
			        (unsigned long long)before, (unsigned long long)wanted);
		return 0;
	}
	getrlimit(RLIMIT_NOFILE, &l);
	err_set(e, "-c %u in %u process%s needs %llu open files each, but the limit is %llu", o->connections,
	        o->processes, o->processes == 1 ? "" : "es", (unsigned long long)wanted,
	        (unsigned long long)l.rlim_max);
	return err_remedy(e, "use fewer connections or more processes (-j), or raise it: ulimit -Hn %llu",
	                  (unsigned long long)wanted);
}

/* A sentence behind the figures. */
static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list ap;

	fputs("bulkhead-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static int status_of(const struct run *r, const struct stats *fill, const struct stats *s)
{
	if (s->failed || fill->failed || r->died || s->succeeded == 0)
		return TROUBLE;
	return 100.0 - stats_resumed_percent(s) > r->options->allow_loss ? TROUBLE : FINE;
}

/* Why the status is not 0. */
static void comment(const struct run *r, const struct stats *fill, const struct stats *s)
{
	static const char *const missing[] = { [RESUME_ANY] = "nothing to resume by", [RESUME_TICKET] = "no tickets",
	                                       [RESUME_ID] = "no session IDs" };
	const struct options *o = r->options;
	double wanted = (double)o->rate * output_seconds(s);
	struct err e;
	char text[2048];

	if (r->died)
		say("%u of its own processes ended early: the figures are not complete", r->died);
	if (s->succeeded + s->failed == 0 && !r->died)
		say("nothing was measured: %s", r->interrupted ? "the run was interrupted too early"
		                                               : "the server went away while the sessions were made");
	if (s->failed || fill->failed) {
		err_clear(&e);
		output_explain(r, s->failed ? s : fill, &e);
		say("%s", err_print(&e, text, sizeof text));
	}
	if (s->asked && s->absent == s->asked)
		say("the server gives %s; switch it on there, or measure with --resume none", missing[o->resume]);
	else if (s->asked && s->declined == s->asked)
		say("the server resumed no session; look whether its session cache or its ticket key is on and "
		    "shared by its processes");
	if (wanted > (double)o->rate && !r->interrupted && (double)(s->succeeded + s->failed) < 0.95 * wanted)
		say("--rate %llu was not reached; give more connections (-c) or processes (-j), unless the server "
		    "is at its limit", (unsigned long long)o->rate);
}

static int run_and_tell(struct run *r, struct err *e)
{
	struct stats *s = calloc(3, sizeof *s);
	int status;

	if (!s) {
		err_sys(e, "no memory for what is counted");
		return complain(r->options, e, TROUBLE);
	}
	if (!run_probe(r, &s[0], e)) {
		output_explain(r, &s[0], e);
		free(s);
		return complain(r->options, e, TROUBLE);
	}
	if (!r->options->quiet && !r->options->json)
		output_heading(r, &s[0]);
	if (run_all(r, output_tick, e) < 0) {
		output_tick_end();
		free(s);
		return complain(r->options, e, TROUBLE);
	}
	output_tick_end();
	run_sum(r, &s[1], &s[2]);
	if (r->options->json)
		output_json(r, &s[1], &s[2]);
	else
		output_text(r, &s[1], &s[2]);
	fflush(stdout);
	comment(r, &s[1], &s[2]);
	status = status_of(r, &s[1], &s[2]);
	free(s);
	return status;
}

/* Figures that nobody got are no success. */
static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	say("the output could not be written; make room, or give the output another place");
	return status == FINE ? TROUBLE : status;
}

/* Where standard output is closed, the first socket would become it. */
static void keep_output_apart(void)
{
	int fd;

	if (fcntl(STDOUT_FILENO, F_GETFD) >= 0)
		return;
	fd = open("/dev/full", O_WRONLY);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		exit(TROUBLE);
	if (fd != STDOUT_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	struct options o;
	struct target t;
	struct run r;
	struct err e;
	int status;

	err_clear(&e);
	keep_output_apart();
	if (options_parse(&o, argc, argv, &e) < 0)
		return complain(&o, &e, USAGE);
	if (o.help) {
		fputs(options_usage, stdout);
		return finish(FINE);
	}
	signal(SIGPIPE, SIG_IGN);
	if (allow_files(&o, &e) < 0)
		return complain(&o, &e, USAGE);
	if (target_open(&t, &o, &e) < 0)
		return complain(&o, &e, TROUBLE);
	if (run_open(&r, &o, &t, &e) < 0)
		status = complain(&o, &e, TROUBLE);
	else
		status = run_and_tell(&r, &e);
	run_close(&r);
	target_close(&t);
	return finish(status);
}
