/*
 * run.c - starts the measuring processes, lets them begin together, and ends them. The parent only looks on:
 * it tells the progress and reacts to SIGINT and SIGTERM.
 */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

static size_t shared_size(unsigned nparts)
{
	return 4096 + nparts * sizeof(struct part);
}

int run_open(struct run *r, const struct options *o, struct target *t, struct err *e)
{
	size_t size = shared_size(o->processes);
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	*r = (struct run){ .options = o, .target = t, .nparts = o->processes };
	if (p == MAP_FAILED)
		return err_sys(e, "no memory for what is counted");
	r->stop = (atomic_int *)p;
	r->begin_ns = (_Atomic uint64_t *)(p + 64);
	r->parts = (struct part *)(p + 4096);
	r->slot_ns = ((o->time_ms + 999) / 1000 + STATS_SLOTS - 1) / STATS_SLOTS * 1000000000u;
	return 0;
}

void run_close(struct run *r)
{
	if (r->parts)
		munmap(r->stop, shared_size(r->nparts));
	r->parts = NULL;
}

/* ---------------------------------------------------------------- the probe */

bool run_probe(struct run *r, struct stats *s, struct err *e)
{
	struct options once = *r->options;
	struct load l = { .env = { .options = &once, .target = r->target, .stats = s, .slot_ns = r->slot_ns },
		          .stop = r->stop };

	once.requests = 1;
	if (load_open(&l, 1) < 0) {
		err_sys(e, "no event loop could be made");
		load_close(&l);
		return false;
	}
	for (unsigned i = 0; i < r->target->naddrs; i++) {
		r->target->addr = r->target->addrs[i];
		memset(s, 0, sizeof *s);
		l.env.begin_ns = now_ns();
		load_run(&l, &(struct bounds){ .operations = 1, .end_ns = UINT64_MAX });
		if (!s->fail[FAIL_REFUSED] && !s->fail[FAIL_CONNECT] && !s->fail[FAIL_CONNECT_TIMEOUT])
			break;
	}
	load_close(&l);
	return s->succeeded > 0;
}

/* ---------------------------------------------------------------- a measuring process */

static uint64_t share(uint64_t n, unsigned of, unsigned i)
{
	return n / of + (i < n % of ? 1 : 0);
}

static uint64_t await_begin(const struct run *r)
{
	uint64_t begin;

	while ((begin = atomic_load(r->begin_ns)) == 0 && !atomic_load(r->stop))
		usleep(1000);
	return begin;
}

static int measure(const struct run *r, unsigned i)
{
	const struct options *o = r->options;
	struct part *part = &r->parts[i];
	struct load l = {
		.env = { .options = o, .target = r->target, .stats = &part->fill, .slot_ns = r->slot_ns },
		.stop = r->stop
	};
	struct bounds b = { .operations = share(o->operations, r->nparts, i),
		            .per_ns = (double)o->rate / 1e9 / r->nparts };
	struct store store;
	bool answers = true;

	if (load_open(&l, (unsigned)share(o->connections, r->nparts, i)) < 0)
		return 1;
	if (o->resume != RESUME_NONE) {
		if (store_init(&store, (unsigned)share(o->sessions, r->nparts, i), o->order, i) < 0)
			return 1;
		l.env.store = &store;
		answers = load_fill(&l);
	}
	atomic_store(&part->ready, answers ? 1 : -1);
	l.env.begin_ns = await_begin(r);
	if (answers && l.env.begin_ns) {
		b.end_ns = l.env.begin_ns + o->time_ms * 1000000u;
		l.env.stats = &part->measured;
		part->measured.begin_ns = l.env.begin_ns;
		load_run(&l, &b);
		part->measured.end_ns = now_ns();
	}
	load_close(&l);
	if (l.env.store)
		store_fini(&store);
	return 0;
}

static pid_t start(const struct run *r, unsigned i)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_IGN); /* a terminal sends it to all; the parent tells us by *stop */
	signal(SIGTERM, SIG_IGN);
	_exit(measure(r, i));
}

/* ---------------------------------------------------------------- the parent */

void run_sum(const struct run *r, struct stats *fill, struct stats *measured)
{
	memset(fill, 0, sizeof *fill);
	memset(measured, 0, sizeof *measured);
	for (unsigned i = 0; i < r->nparts; i++) {
		stats_merge(fill, &r->parts[i].fill);
		stats_merge(measured, &r->parts[i].measured);
	}
}

static unsigned wait_some(unsigned running, struct run *r)
{
	int status;

	while (running > 0 && waitpid(-1, &status, WNOHANG) > 0) {
		running--;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			r->died++;
			atomic_store(r->stop, 1);
		}
	}
	return running;
}

/* All have their sessions: begin. One that found the server gone ends the run. */
static void begin_together(const struct run *r)
{
	bool gone = false;

	for (unsigned i = 0; i < r->nparts; i++) {
		int ready = atomic_load(&r->parts[i].ready);

		if (ready == 0)
			return;
		gone = gone || ready < 0;
	}
	if (gone)
		atomic_store(r->stop, 1);
	else
		atomic_store(r->begin_ns, now_ns());
}

int run_all(struct run *r, void (*tick)(const struct run *, const struct stats *, const struct stats *),
            struct err *e)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	struct stats *sums = calloc(2, sizeof *sums);
	unsigned running = 0;
	uint64_t next = now_ns();

	if (!sums)
		return err_sys(e, "no memory for what is counted");
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	for (; running < r->nparts; running++) {
		if (start(r, running) < 0) {
			err_sys(e, "process %u of %u could not be started", running + 1, r->nparts);
			atomic_store(r->stop, 1);
			break;
		}
	}
	while ((running = wait_some(running, r)) > 0) {
		if (atomic_load(r->begin_ns) == 0)
			begin_together(r);
		if (interrupted && !r->interrupted) {
			r->interrupted = true;
			atomic_store(r->stop, 1);
		}
		if (now_ns() >= next) {
			next += 1000000000u;
			run_sum(r, &sums[0], &sums[1]);
			tick(r, &sums[0], &sums[1]);
		}
		usleep(10000);
	}
	free(sums);
	return e->text[0] ? -1 : 0;
}
