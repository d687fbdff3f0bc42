/*
 * service.c - the master and its service manager: readiness, reloads, the end, signs of life, sockets that were opened for
 * it. Runs in the master. The words of the protocol are sd_notify(3)'s.
 */
#include "process/service.h"

#ifdef BULKHEAD_SYSTEMD

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "process/listen.h"

static struct {
	bool asked;                     /* whether signs of life are wanted */
	int64_t every, due;             /* ms; 0 = they are not */
} watchdog;

int service_sockets(struct err *e)
{
	int n = sd_listen_fds(1);

	if (n < 0) {
		errno = -n;
		return err_sys(e, "the sockets of the service manager (LISTEN_FDS) cannot be taken");
	}
	for (int i = 0; i < n; i++)
		if (listen_given(SD_LISTEN_FDS_START + i, e) < 0)
			return err_remedy(e, "give the unit of sockets lines of ListenStream= with addresses and ports alone, and Accept=no");
	return 0;
}

void service_ready(const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	/* The pid: a server that went to the background is another process than the one that was started. */
	sd_notifyf(0, "READY=1\nMAINPID=%d\nSTATUS=%s", (int)getpid(), text);
}

void service_reloading(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reads its configuration anew",
		   (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
}

void service_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=finishes requests and ends");
}

int64_t service_tick(int64_t now)
{
	uint64_t us = 0;

	if (!watchdog.asked) {
		watchdog.asked = true;
		watchdog.every = sd_watchdog_enabled(0, &us) > 0 ? (int64_t)(us / 2000) : 0;
		if (watchdog.every > 0 && watchdog.every < 10)
			watchdog.every = 10;
	}
	if (!watchdog.every)
		return INT64_MAX;
	if (now >= watchdog.due) {
		sd_notify(0, "WATCHDOG=1");
		watchdog.due = now + watchdog.every;
	}
	return watchdog.due;
}

#else

int service_sockets(struct err *e)
{
	(void)e;
	return 0;
}

void service_ready(const char *fmt, ...)
{
	(void)fmt;
}

void service_reloading(void) {}
void service_stopping(void) {}

int64_t service_tick(int64_t now)
{
	(void)now;
	return INT64_MAX;
}

#endif
