/*
 * control.c - -k: tells a running server what to do, by the pid file and a signal.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli/cli.h"
#include "process/daemon.h"

static const struct {
	const char *word;
	int signal;                     /* 0 = start */
	bool starts;                    /* where none runs, one is started, as Apache does */
	bool stops;                     /* whatever the configuration is by now */
} words[] = {
	{ "start", 0, true, false },
	{ "stop", SIGTERM, false, true },
	{ "restart", SIGHUP, true, false },
	{ "graceful", SIGUSR1, true, false },
	{ "graceful-stop", SIGWINCH, false, true },
	{ "upgrade", SIGUSR2, false, false },
};

static int find(const char *word)
{
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(words[i].word, word))
			return (int)i;
	return -1;
}

bool control_known(const char *word)
{
	return find(word) >= 0;
}

bool control_stops(const char *word)
{
	return words[find(word)].stops;
}

int control_signal(const char *word, const struct config *cfg)
{
	int i = find(word), running;
	struct err e = { 0 };
	char text[1600];
	pid_t pid = 0;

	running = pidfile_running(cfg->process->pid_file, &pid, &e);
	if (running < 0) {
		fprintf(stderr, "bulkhead: %s\n", err_print(&e, text, sizeof text));
		return 1;
	}
	if (!running && words[i].starts) {
		if (words[i].signal)
			printf("bulkhead: not running, trying to start\n");
		fflush(stdout);
		return -1;
	}
	if (!running) {
		printf("bulkhead: not running (no living process holds the pid file %s)\n", cfg->process->pid_file);
		return words[i].stops ? 0 : 1;
	}
	if (!words[i].signal) {
		printf("bulkhead: already running (pid %d)\n", (int)pid);
		return 0;
	}
	if (kill(pid, words[i].signal) < 0) {
		fprintf(stderr, "bulkhead: cannot signal the server (pid %d): %s\n", (int)pid, strerror(errno));
		return 1;
	}
	return 0;
}
