/*
 * programs.c - the log programs of a generation: one that ends is started again, at once after a long life, else after
 * 0.1, 0.2 … 30 s. Until then its target keeps the pipe that nobody reads: the logger sees that it cannot write there,
 * lets lines wait for a moment, then drops and counts them, and every other log goes on. And its rotating files, which go over to
 * the next name when it is time. Master only.
 */
#include "process/programs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/log.h"
#include "process/logger.h"
#include "process/policy.h"
#include "process/slots.h"

#define SOCKET_LOOK_MS 400              /* less than the logger's patience */

struct program {
	int64_t born;
	struct policy_backoff backoff;
	bool ended;                     /* waits for its restart */
	bool said;                      /* that it could not be started, or the next file not opened */
	int64_t look;                   /* a rotating file or a socket: when it is to be looked at again */
};
struct programs {
	uint32_t generation;
	struct log_targets *targets;
	struct program at[];            /* as many as targets; of use for those that are programs */
};

/* Programs that read slowly must not stop the logger. */
static void unblock(const struct log_target *t)
{
	if (t->kind == LOG_TARGET_PIPE && t->fd >= 0)
		fcntl(t->fd, F_SETFL, O_NONBLOCK);
}

struct programs *programs_new(uint32_t generation, struct log_targets *t, int64_t now)
{
	struct programs *p = calloc(1, sizeof *p + t->n * sizeof *p->at);

	if (!p)
		return NULL;
	p->generation = generation;
	p->targets = t;
	for (unsigned i = 0; i < t->n; i++) {
		p->at[i].born = now;
		p->at[i].look = t->at[i].kind == LOG_TARGET_ROTATED || log_target_is_socket(t->at[i].kind) ? now : INT64_MAX;
		unblock(&t->at[i]);
	}
	return p;
}

void programs_free(struct programs *p)
{
	free(p);
}

bool programs_reaped(struct programs *p, pid_t pid, int status, bool again, int64_t now)
{
	for (unsigned i = 0; i < p->targets->n; i++) {
		struct log_target *t = &p->targets->at[i];
		struct program *one = &p->at[i];
		char words[128];

		if (t->kind != LOG_TARGET_PIPE || t->pid != pid)
			continue;
		t->pid = -1;
		if (!again)
			return true;
		/* An end is never what is wanted of it, whatever its exit code says. */
		policy_ended(&one->backoff, POLICY_CRASH, one->born, now);
		if (one->backoff.failures == 1)
			one->backoff.until = now;
		one->ended = true;
		log_errorx(NULL, LOG_CORE, "BH0146", "the log program %s (pid %d) ended: %s: it is started again%s", t->name,
			   (int)pid, slots_status_words(status, words),
			   one->backoff.until > now ? ", later each time that it ends soon" : "");
		return true;
	}
	return false;
}

static void start_again(struct programs *p, unsigned i, int64_t now)
{
	struct log_target *t = &p->targets->at[i];
	struct program *one = &p->at[i];
	struct err e = { .text = "" };
	char text[1024];
	int old = t->fd;

	t->fd = -1;
	if (log_targets_open(p->targets, &e) < 0) {
		t->fd = old;
		policy_ended(&one->backoff, POLICY_FATAL, now, now);
		if (!one->said)
			log_errorx(NULL, LOG_CORE, "BH0147", "%s: it is tried again, until then its lines are lost",
				   err_print(&e, text, sizeof text));
		one->said = true;
		return;
	}
	close(old);
	unblock(t);
	one->born = now;
	one->ended = false;
	if (one->said)
		log_noticex(NULL, LOG_CORE, "BH0148", "the log program %s runs again", t->name);
	one->said = false;
	logger_retarget(p->generation, i);
}

/* True if its lines go to another file from now on. */
static bool rotate(struct programs *p, unsigned i, int64_t now)
{
	struct log_target *t = &p->targets->at[i];
	struct err e = { .text = "" };
	char text[1024];
	int rc;

	/* One that has not heard yet may be writing, or mending, what was written to the file before: one such is kept, not two. */
	if (!logger_settled()) {
		p->at[i].look = now + 200;
		return false;
	}
	rc = log_target_rotate(t, &e);
	p->at[i].look = now + log_target_wait(t);
	if (rc < 0 && !p->at[i].said)
		log_errorx(NULL, LOG_CORE, "BH0720", "%s: lines go on into the file before, and it is tried again", err_print(&e, text, sizeof text));
	if (rc != 0)
		p->at[i].said = rc < 0;
	if (rc > 0)
		logger_retarget(p->generation, i);
	return rc > 0;
}

bool programs_tick(struct programs *p, int64_t now)
{
	bool rotated = false;

	for (unsigned i = 0; i < p->targets->n; i++) {
		if (p->at[i].ended && policy_due(&p->at[i].backoff, false) <= now)
			start_again(p, i, now);
		if (p->at[i].look <= now && log_target_is_socket(p->targets->at[i].kind)) {
			log_target_reconnect(&p->targets->at[i]);
			p->at[i].look = now + SOCKET_LOOK_MS;
		} else if (p->at[i].look <= now)
			rotated |= rotate(p, i, now);
	}
	return rotated;
}

int64_t programs_due(const struct programs *p)
{
	int64_t due = INT64_MAX;

	for (unsigned i = 0; i < p->targets->n; i++) {
		if (p->at[i].ended && policy_due(&p->at[i].backoff, false) < due)
			due = policy_due(&p->at[i].backoff, false);
		if (p->at[i].look < due)
			due = p->at[i].look;
	}
	return due;
}
