/*
 * spawnmap.c - the programs of RewriteMap. Questions of all children go into one row a program; the program has one line at a time,
 * and the next when it has answered. A child that asks waits without blocking (conn/lookup.c), each question knows until when.
 *
 * A program that ends is started again, at once after a long life, else after 0.1, 0.2 … 30 s; the line it died over is asked once
 * more. One that does not answer in time is ended: what it says later would be taken for the answer to another line.
 * Runs in the spawner, and under -X in the one process, which waits.
 */
#include "process/spawnmap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/ipc.h"
#include "process/policy.h"
#include "process/shared.h"
#include "process/spawnrun.h"
#include "request/rewrite.h"

#define WAITING 512                     /* questions to one program */
#define SHARE (WAITING / 2)             /* of them, one child's: who has taken one over leaves the others room */
#define TRIES 2                         /* of a line */
#define SOON_MS 1000                    /* a program that is not started within this time is not waited for */
#define DIRECT (-3)                     /* the customer of -X */

struct question {
	struct question *next;
	int customer;                   /* -1: gone */
	uint32_t id;
	int64_t until;
	unsigned tries;
	size_t n;                       /* the newline included */
	char line[];
};

struct map;
struct end { struct map *map; int fd; };        /* fd -1: closed */

struct map {
	struct end in, out, err;        /* the program's 0, 1 and 2 */
	const struct rewrite_program *program;
	uint32_t run;                   /* as spawnrun knows it; 0 = it does not run */
	bool ending;                    /* it was told to end … */
	bool late;                      /* … since it did not answer */
	int64_t born;
	struct policy_backoff backoff;
	struct question *first, **end;  /* questions that wait */
	unsigned waiting;
	struct question *asked;         /* the one whose line it has */
	size_t sent;                    /* bytes of that line */
	bool full;                      /* its pipe took no more */
	size_t n;                       /* of its answer, so far */
	bool too_long;
	char answer[REWRITE_ASKS_VALUE + 1];
	size_t said_n;
	char said[SPAWNMAP_TEXT];       /* of its standard error */
};

static struct {
	struct map *at;
	unsigned n;
	int epoll;
	uint32_t runs;                  /* ever: the last number */
	spawnmap_say *say;
	struct { bool done; int32_t outcome; size_t n; char value[REWRITE_ASKS_VALUE]; } direct;
} maps = { .epoll = -1 };

#define each_map(m) (struct map *m = maps.at; m < maps.at + maps.n; m++)

static void say(const struct map *m, enum spawn_news what, int number, const char *text, size_t n)
{
	struct spawn_said said = { m->program->number, (int32_t)what, number };

	if (maps.say)
		maps.say(m->asked && m->asked->customer >= 0 ? m->asked->customer : -1, &said, text, n);
}

/* ------------------------------------------------------------------------------------------------ descriptors */

static void want(const struct end *e, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = (void *)(uintptr_t)e };

	if (maps.epoll >= 0 && e->fd >= 0 && epoll_ctl(maps.epoll, EPOLL_CTL_MOD, e->fd, &ev) < 0 && errno == ENOENT)
		epoll_ctl(maps.epoll, EPOLL_CTL_ADD, e->fd, &ev);
}

/* The program holds the other end alone: with this the description goes, and epoll forgets it. */
static void end_close(struct end *e)
{
	if (e->fd < 0)
		return;
	if (maps.epoll >= 0)
		epoll_ctl(maps.epoll, EPOLL_CTL_DEL, e->fd, NULL);
	close(e->fd);
	e->fd = -1;
}

static int open_ends(struct map *m, int fds[3])
{
	struct end *const ends[3] = { &m->in, &m->out, &m->err };
	int pair[2];

	for (int i = 0; i < 3; i++) {
		if (pipe2(pair, O_CLOEXEC) < 0)
			return -1;
		ends[i]->fd = pair[i == 0];
		fds[i] = pair[i != 0];
		fcntl(ends[i]->fd, F_SETFL, O_NONBLOCK);
	}
	want(&m->out, EPOLLIN);
	want(&m->err, EPOLLIN);
	return 0;
}

static void close_ends(struct map *m)
{
	end_close(&m->in);
	end_close(&m->out);
	end_close(&m->err);
}

/* ------------------------------------------------------------------------------------------------ questions */

static void settle(struct question *q, enum spawn_value outcome, const char *value, size_t n)
{
	static unsigned char packet[sizeof(int32_t) + REWRITE_ASKS_VALUE];
	int32_t word = (int32_t)outcome;

	if (q->customer == DIRECT) {
		maps.direct.done = true;
		maps.direct.outcome = word;
		maps.direct.n = n;
		memcpy(maps.direct.value, value, n);
	} else if (q->customer >= 0) {
		memcpy(packet, &word, sizeof word);
		memcpy(packet + sizeof word, value, n);
		ipc_send(q->customer, SPAWN_MSG_VALUE, q->id, packet, sizeof word + n, NULL, 0);
	}
	free(q);
}

static struct question *take_first(struct map *m)
{
	struct question *q = m->first;

	if (!q)
		return NULL;
	m->first = q->next;
	if (!m->first)
		m->end = &m->first;
	m->waiting--;
	return q;
}

/* None of those that wait can be answered. */
static void settle_all(struct map *m, enum spawn_value outcome)
{
	struct question *q;

	while ((q = take_first(m)))
		settle(q, outcome, "", 0);
}

/* What it says without having been asked would be taken for an answer: what has come so far is dropped. */
static void drop_unasked(const struct map *m)
{
	char junk[512];

	for (int i = 0; i < 64 && read(m->out.fd, junk, sizeof junk) > 0; i++)
		;
}

/* Gives it the next line, or the rest of one. */
static void feed(struct map *m, int64_t now)
{
	while (m->run && !m->ending && !m->asked) {
		struct question *q = take_first(m);

		if (!q)
			return;
		if (q->customer == -1 || q->until <= now) {     /* nobody waits for it any more */
			free(q);
			continue;
		}
		drop_unasked(m);
		m->asked = q;
		m->sent = m->n = 0;
		m->too_long = false;
		q->tries++;
	}
	if (!m->run || !m->asked || m->in.fd < 0 || m->sent == m->asked->n)
		return;
	errno = 0;
	while (m->sent < m->asked->n) {
		ssize_t put = write(m->in.fd, m->asked->line + m->sent, m->asked->n - m->sent);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			break;                  /* its end, if that is why, is told by itself */
		m->sent += (size_t)put;
	}
	if (m->full != (errno == EAGAIN)) {
		m->full = !m->full;
		want(&m->in, m->full ? EPOLLOUT : 0);
	}
}

static void answered(struct map *m)
{
	struct question *q = m->asked;

	m->asked = NULL;
	if (m->too_long)
		settle(q, SPAWN_VALUE_LONG, "", 0);
	else if (m->n == 4 && strncasecmp(m->answer, "NULL", 4) == 0)
		settle(q, SPAWN_VALUE_NONE, "", 0);
	else
		settle(q, SPAWN_VALUE, m->answer, m->n);
	m->n = 0;
}

static void take_output(struct map *m, const char *p, size_t n)
{
	for (size_t i = 0; i < n && m->asked; i++) {
		if (p[i] == '\n') {
			answered(m);
			return;                 /* what stands behind it nobody has asked for */
		}
		if (m->n < REWRITE_ASKS_VALUE - 1)
			m->answer[m->n++] = p[i];
		else
			m->too_long = true;
	}
}

static void stop(struct map *m)
{
	m->ending = true;
	spawnrun_over(SPAWN_OWN, m->run, true);
}

static void read_output(struct map *m)
{
	char part[4096];
	ssize_t got;

	for (int i = 0; i < 16 && m->out.fd >= 0; i++) {
		got = read(m->out.fd, part, sizeof part);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			end_close(&m->out);
			if (m->run && !m->ending)
				stop(m);
			return;
		}
		take_output(m, part, (size_t)got);
	}
}

static void put_said(struct map *m)
{
	if (m->said_n)
		say(m, SPAWN_NEWS_LINE, 0, m->said, m->said_n);
	m->said_n = 0;
}

static void read_errors(struct map *m)
{
	char part[512];
	ssize_t got = -1;

	for (int i = 0; i < 16 && m->err.fd >= 0 && (got = read(m->err.fd, part, sizeof part)) > 0; i++)
		for (ssize_t k = 0; k < got; k++) {
			if (part[k] != '\n')
				m->said[m->said_n++] = part[k];
			if (part[k] == '\n' || m->said_n == sizeof m->said)
				put_said(m);
		}
	if (got == 0)
		end_close(&m->err);
}

/* ------------------------------------------------------------------------------------------------ its life */

static void start(struct map *m, int64_t now)
{
	int fds[3] = { -1, -1, -1 }, errnum = 0;
	enum spawn_stage stage = SPAWN_BUSY;

	if (open_ends(m, fds) == 0)
		stage = spawnrun_own(++maps.runs, m->program->argv, fds, &errnum);
	else
		errnum = errno;
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	m->born = now;
	if (stage == SPAWN_OK) {
		m->run = maps.runs;
		m->ending = m->late = m->full = false;
		feed(m, now);
		return;
	}
	close_ends(m);
	say(m, SPAWN_NEWS_NOT_STARTED, errnum ? errnum : EAGAIN, NULL, 0);
	policy_ended(&m->backoff, POLICY_FATAL, now, now);
	settle_all(m, SPAWN_VALUE_DIED);
}

void spawnmap_ended(uint32_t id, int status)
{
	int64_t now = shared_now();

	spawnrun_over(SPAWN_OWN, id, true);
	for each_map(m) {
		if (m->run != id)
			continue;
		read_output(m);                 /* its last words may be an answer */
		read_errors(m);
		put_said(m);
		if (!m->late)
			say(m, SPAWN_NEWS_ENDED, status, NULL, 0);
		m->run = 0;
		close_ends(m);
		if (m->asked && m->asked->until <= now) {
			free(m->asked);
		} else if (m->asked && m->asked->tries >= TRIES) {
			settle(m->asked, SPAWN_VALUE_DIED, "", 0);
		} else if (m->asked) {
			m->asked->next = m->first;
			if (!m->first)
				m->end = &m->asked->next;
			m->first = m->asked;
			m->waiting++;
		}
		m->asked = NULL;
		policy_ended(&m->backoff, POLICY_CRASH, m->born, now);
		if (m->backoff.failures == 1)
			m->backoff.until = now;
		if (policy_due(&m->backoff, false) > now + SOON_MS)
			settle_all(m, SPAWN_VALUE_DIED);
		return;
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t spawnmap_tick(int64_t now)
{
	int64_t due = INT64_MAX;

	for each_map(m) {
		if (!m->run && policy_due(&m->backoff, false) <= now)
			start(m, now);
		feed(m, now);
		if (m->asked && m->asked->until <= now && !m->ending) {
			say(m, SPAWN_NEWS_LATE, 0, NULL, 0);
			m->late = true;
			stop(m);
		}
		if (!m->run)
			due = earlier(due, policy_due(&m->backoff, false));
		else if (m->asked && !m->ending)
			due = earlier(due, m->asked->until);
	}
	return due;
}

int spawnmap_init(const struct site *s, unsigned account, int epoll, spawnmap_say *said, struct err *e)
{
	maps.epoll = epoll;
	maps.say = said;
	maps.at = calloc(s->nprograms + 1, sizeof *maps.at);
	if (!maps.at)
		return err_set(e, "no memory for %u programs of maps", s->nprograms);
	for (const struct rewrite_program *p = s->programs; p; p = p->next) {
		if (p->account != account)
			continue;
		struct map *m = &maps.at[maps.n++];
		m->program = p;
		m->in = m->out = m->err = (struct end){ m, -1 };
		m->end = &m->first;
	}
	spawnmap_tick(shared_now());
	return 0;
}

bool spawnmap_event(void *what, uint32_t events)
{
	struct end *end = what;
	struct map *m;

	if ((char *)what < (char *)maps.at || (char *)what >= (char *)(maps.at + maps.n))
		return false;
	m = end->map;
	if (end == &m->out)
		read_output(m);
	else if (end == &m->err)
		read_errors(m);
	else if (events & (EPOLLERR | EPOLLHUP))
		end_close(&m->in);
	feed(m, shared_now());
	return true;
}

/* ------------------------------------------------------------------------------------------------ who asks */

static struct map *map_of(uint32_t number)
{
	for each_map(m)
		if (m->program->number == number)
			return m;
	return NULL;
}

static unsigned asked_by(const struct map *m, int customer)
{
	unsigned n = 0;

	for (const struct question *q = m->first; q; q = q->next)
		n += q->customer == customer;
	return n;
}

/* False: it is to be settled so at once. */
static bool has_room(const struct map *m, int customer, enum spawn_value *outcome, int64_t now)
{
	*outcome = SPAWN_VALUE_DIED;
	if (!m->run && policy_due(&m->backoff, false) > now + SOON_MS)
		return false;
	*outcome = SPAWN_VALUE_BUSY;
	return m->waiting < WAITING && asked_by(m, customer) < SHARE;
}

static int put(struct map *m, int customer, uint32_t id, int64_t until, const char *key, size_t n)
{
	struct question *q = malloc(sizeof *q + n + 1);
	enum spawn_value outcome;
	int64_t now = shared_now();

	if (!q)                                 /* who asks gives up in time */
		return -1;
	*q = (struct question){ .customer = customer, .id = id, .until = until, .n = n + 1 };
	memcpy(q->line, key, n);
	q->line[n] = '\n';
	if (!has_room(m, customer, &outcome, now)) {
		settle(q, outcome, "", 0);
		return 0;
	}
	*m->end = q;
	m->end = &q->next;
	m->waiting++;
	feed(m, now);
	return 0;
}

int spawnmap_ask(int customer, uint32_t id, const void *data, size_t n)
{
	struct spawn_ask ask;
	const char *key = (const char *)data + sizeof ask;
	struct map *m;

	if (n < sizeof ask || n - sizeof ask > REWRITE_ASKS_KEY)
		return -1;
	memcpy(&ask, data, sizeof ask);
	n -= sizeof ask;
	m = map_of(ask.map);
	if (!m || memchr(key, '\n', n))
		return -1;
	put(m, customer, id, ask.until, key, n);
	return 0;
}

void spawnmap_customer_gone(int customer)
{
	for each_map(m) {
		if (m->asked && m->asked->customer == customer)
			m->asked->customer = -1;
		for (struct question *q = m->first; q; q = q->next)
			if (q->customer == customer)
				q->customer = -1;
	}
}

/* ------------------------------------------------------------------------------------------------ -X */

ssize_t spawnmap_now(uint32_t number, const char *key, int64_t until, char *value, size_t room)
{
	struct map *m = map_of(number);
	struct spawn_end end;

	maps.direct.done = false;
	if (!m || put(m, DIRECT, 0, until, key, strlen(key)) < 0)
		return -1;
	for (int64_t now = shared_now(); !maps.direct.done && now < until; now = shared_now()) {
		struct pollfd p[3] = { { .fd = m->out.fd, .events = POLLIN }, { .fd = m->err.fd, .events = POLLIN },
				       { .fd = m->asked && m->sent < m->asked->n ? m->in.fd : -1, .events = POLLOUT } };

		poll(p, 3, 50);
		read_output(m);
		read_errors(m);
		spawnrun_tick(now);
		while (spawnrun_ended(SPAWN_OWN, &end))
			spawnmap_ended(end.id, end.status);
		spawnmap_tick(now);
	}
	if (!maps.direct.done)                  /* nobody waits for it now */
		spawnmap_customer_gone(DIRECT);
	if (!maps.direct.done || maps.direct.outcome == SPAWN_VALUE_LONG || maps.direct.outcome == SPAWN_VALUE_BUSY)
		return -1;
	if (maps.direct.outcome != SPAWN_VALUE || maps.direct.n >= room)
		return 0;
	memcpy(value, maps.direct.value, maps.direct.n);
	value[maps.direct.n] = '\0';
	return (ssize_t)maps.direct.n + 1;
}
