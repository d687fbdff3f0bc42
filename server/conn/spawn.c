/*
 * spawn.c - a child's half of starting programs: makes their pipes, gives the order to the spawner, learns how they do. The
 * requests they belong to are told in turns of their connections. Runs in the children, and under -X, where there is no
 * spawner between.
 *
 * A record lives until the spawner has been told that it is over, also behind its connection: an order that finds the
 * socket full must not leave a program alone.
 */
#include "conn/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ipc.h"
#include "conn/spawnproto.h"
#include "log/log.h"
#include "request/account.h"
#include "request/rewrite.h"

struct run {
	struct list item;               /* server->programs */
	struct asker *a;                /* NULL: over, to be told */
	struct spawned *p;
	unsigned account;               /* whose spawner has it (request/account.h) */
	uint32_t id, pinged;            /* pinged: the PONG that tells whether a dead spawner had taken the order; 0 = none */
	bool started, kill;
	bool untold;                    /* failed or ended: still to be told */
	enum spawn_stage stage;
	int errnum, status;
};

static int socket_of(const struct conn_server *s, unsigned account)
{
	return account < CONN_SPAWNERS ? s->spawners[account].watch.fd : -1;
}

static struct run *run_of(const struct conn_server *s, uint32_t id)
{
	list_each(i, &s->programs) {
		struct run *r = list_entry(i, struct run, item);
		if (r->id == id)
			return r;
	}
	return NULL;
}

_Static_assert(CONN_SPAWNERS == ACCOUNTS_MOST + 1, "a socket for User and for each account");

/* ------------------------------------------------------------------------------------------------ orders */

static char *put_string(char *to, const char *s)
{
	size_t n = strlen(s) + 1;

	memcpy(to, s, n);
	return to + n;
}

/* malloc'd; NULL: too long, or no memory. */
static char *order_of(const struct spawn_spec *spec, size_t *size)
{
	struct spawn_order head = { .limits = spec->limits, .shell = spec->shell };
	size_t n = sizeof head + strlen(spec->path) + 1;
	char *order, *to;

	for (; spec->args[head.nargs]; head.nargs++)
		n += strlen(spec->args[head.nargs]) + 1;
	for (; spec->env[head.nenv]; head.nenv++)
		n += strlen(spec->env[head.nenv]) + 1;
	if (n > SPAWN_ORDER || head.nargs + head.nenv > SPAWN_WORDS || !(order = malloc(n)))
		return NULL;
	memcpy(order, &head, sizeof head);
	to = put_string(order + sizeof head, spec->path);
	for (uint32_t i = 0; i < head.nargs; i++)
		to = put_string(to, spec->args[i]);
	for (uint32_t i = 0; i < head.nenv; i++)
		to = put_string(to, spec->env[i]);
	*size = n;
	return order;
}

static int send_order(int spawner, uint32_t id, const char *order, size_t n, const int *fds)
{
	static unsigned char packet[IPC_MAX_DATA];
	const size_t most = sizeof packet - sizeof(struct spawn_part);

	for (size_t at = 0; at < n;) {
		struct spawn_part part = { (uint32_t)at, (uint32_t)n };
		size_t piece = n - at < most ? n - at : most;
		bool last = at + piece == n;

		memcpy(packet, &part, sizeof part);
		memcpy(packet + sizeof part, order + at, piece);
		if (ipc_send(spawner, last ? SPAWN_MSG_RUN : SPAWN_MSG_PART, id, packet, sizeof part + piece, fds, last ? 3 : 0) < 0)
			return -1;
		at += piece;
	}
	return 0;
}

/* One that could not be told is kept, and told when the spawner is heard of next. */
static void tell_over(struct conn_server *s, struct run *r)
{
	uint32_t kill = r->kill;

	if (s->o.spawn_direct)
		s->o.spawn_direct->over(r->id, r->kill);
	else if (socket_of(s, r->account) >= 0 && ipc_send(socket_of(s, r->account), SPAWN_MSG_OVER, r->id, &kill, sizeof kill, NULL, 0) < 0 && errno == EAGAIN)
		return;
	list_remove(&r->item);
	free(r);
}

static void tell_overs(struct conn_server *s)
{
	list_each(i, &s->programs) {
		struct run *r = list_entry(i, struct run, item);
		if (!r->a)
			tell_over(s, r);
	}
}

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void fail(struct run *r, enum spawn_stage stage, int errnum)
{
	r->stage = stage;
	r->errnum = errnum;
	r->untold = true;
}

/* Gives the order. 0, or -1: it cannot be given now. */
static int give(struct conn_server *s, struct run *r, const struct spawn_spec *spec, const int *fds)
{
	size_t n;
	char *order = order_of(spec, &n);
	enum spawn_stage stage;
	int rc = -1, errnum = 0;

	if (order && s->o.spawn_direct) {
		stage = s->o.spawn_direct->run(r->id, order, n, fds, &errnum);
		r->started = stage == SPAWN_OK;
		if (stage != SPAWN_OK)
			fail(r, stage, errnum);
		deadline_set(s->loop, &s->spawn_poll, loop_now(s->loop) + SPAWN_POLL_MS);
		rc = 0;
	} else if (order && socket_of(s, r->account) >= 0) {
		rc = send_order(socket_of(s, r->account), r->id, order, n, fds);
	}
	free(order);
	return rc;
}

int spawn_begin(struct stream *stream, const struct spawn_spec *spec, struct spawned *p)
{
	struct asker *a = asker_of(stream->request->client);
	struct conn_server *s = a->c->server;
	struct run *r = calloc(1, sizeof *r);
	int theirs[3] = { -1, -1, -1 }, ours[3] = { -1, -1, -1 }, pair[2];
	struct chan *chans[3] = { NULL, NULL, NULL };

	tell_overs(s);
	for (int i = 0; r && i < 3; i++) {
		if (pipe2(pair, O_CLOEXEC) < 0)
			goto fail;
		ours[i] = pair[i == 0];
		theirs[i] = pair[i != 0];
		if (!(chans[i] = chan_open(stream, ours[i])))
			goto fail;
		ours[i] = -1;
	}
	if (!r)
		goto fail;
	*r = (struct run){ .a = a, .p = p, .id = ++s->orders, .account = account_of_host(s->o.site, stream->request->host) };
	list_init(&r->item);
	if (give(s, r, spec, theirs) < 0)
		goto fail;
	close_all(theirs, 3);
	p->in = chans[0];
	p->out = chans[1];
	p->err = chans[2];
	list_append(&s->programs, &r->item);
	return 0;
fail:
	for (int i = 0; i < 3; i++)
		chan_close(chans[i]);
	close_all(theirs, 3);
	close_all(ours, 3);
	free(r);
	return -1;
}

static void over(struct conn_server *s, struct run *r, bool kill)
{
	r->a = NULL;
	r->p = NULL;
	r->kill = kill;
	tell_over(s, r);
}

void spawn_end(struct stream *stream, struct spawned *p, bool kill)
{
	struct conn_server *s = conn_of(stream->request->client)->server;

	list_each(i, &s->programs) {
		struct run *r = list_entry(i, struct run, item);
		if (r->p == p && r->a) {
			over(s, r, kill);
			return;
		}
	}
}

void spawn_forget(struct asker *a)
{
	struct conn_server *s = a->c->server;

	list_each(i, &s->programs) {
		struct run *r = list_entry(i, struct run, item);
		if (r->a == a)
			over(s, r, true);
	}
}

/* The end of the process: the close of the socket tells the rest. */
void spawn_fini(struct conn_server *s)
{
	list_each(i, &s->programs) {
		struct run *r = list_entry(i, struct run, item);

		list_remove(&r->item);
		free(r);
	}
}

/* ------------------------------------------------------------------------------------------------ programs of RewriteMap */

/* The number of the program, and the key behind it. */
static uint32_t take_apart(const char *question, const char **key)
{
	char *end;
	uint32_t number = (uint32_t)strtoul(question + 1, &end, 10);

	*key = end + (*end == ' ');
	return number;
}

bool spawn_ask(struct conn_server *s, uint32_t id, const char *question, int64_t until)
{
	static unsigned char packet[sizeof(struct spawn_ask) + REWRITE_ASKS_KEY];
	const char *key;
	struct spawn_ask ask = { .until = until, .map = take_apart(question, &key) };
	const struct rewrite_program *p = rewrite_program_of(s->o.site, ask.map);
	int spawner = p ? socket_of(s, p->account) : -1;
	size_t n = strlen(key);

	if (spawner < 0 || n > REWRITE_ASKS_KEY)
		return false;
	memcpy(packet, &ask, sizeof ask);
	memcpy(packet + sizeof ask, key, n);
	return ipc_send(spawner, SPAWN_MSG_ASK, id, packet, sizeof ask + n, NULL, 0) == 0;
}

ssize_t spawn_ask_now(struct conn_server *s, const char *question, int64_t until, char *value, size_t room)
{
	const char *key;
	uint32_t number = take_apart(question, &key);

	return s->o.spawn_direct->ask(number, key, until, value, room);
}

static const char *ended_words(int status, char *buf, size_t n)
{
	if (WIFSIGNALED(status))
		snprintf(buf, n, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(buf, n, "ended with exit status %d", WEXITSTATUS(status));
	return buf;
}

void conn_program_said(const struct site *site, const struct spawn_said *said, const char *text, size_t n)
{
	const struct rewrite_program *p = rewrite_program_of(site, said->map);
	const char *file = p && p->pos.file ? p->pos.file : "-";
	char words[128];

	if (!p)
		return;
	switch (said->what) {
	case SPAWN_NEWS_LINE:
		log_errorx(NULL, LOG_REWRITE, "BH0691", "%.*s: said by %s, the program of the RewriteMap %s", (int)n, text, p->argv[0], p->name);
		break;
	case SPAWN_NEWS_ENDED:
		log_errorx(NULL, LOG_REWRITE, "BH0692", "the program %s of the RewriteMap %s (%s:%u) %s: it is started again, later each time that it ends soon; "
			   "it has to read lines as long as there are any", p->argv[0], p->name, file, p->pos.line, ended_words(said->number, words, sizeof words));
		break;
	case SPAWN_NEWS_LATE:
		log_errorx(NULL, LOG_REWRITE, "BH0693", "the program %s of the RewriteMap %s (%s:%u) did not answer in time: it is ended and started again; "
			   "it has to write a line for each that it reads, at once (unbuffered)", p->argv[0], p->name, file, p->pos.line);
		break;
	default:
		log_errorx(NULL, LOG_REWRITE, "BH0694", "the program %s of the RewriteMap %s (%s:%u) cannot be started: %s; its map has no value until it can: "
			   "the user of the server must be able to execute it", p->argv[0], p->name, file, p->pos.line, strerrordesc_np(said->number));
		break;
	}
}

static void take_said(const struct conn_server *s, const struct ipc_message *m)
{
	struct spawn_said said;

	if (m->len < sizeof said)
		return;
	memcpy(&said, m->data, sizeof said);
	conn_program_said(s->o.site, &said, (const char *)m->data + sizeof said, m->len - sizeof said);
}

static void take_value(struct conn_server *s, const struct ipc_message *m)
{
	static char value[REWRITE_ASKS_VALUE];
	size_t n = m->len - sizeof(int32_t);
	int32_t outcome;

	if (m->len < sizeof outcome || n >= sizeof value)
		return;
	memcpy(&outcome, m->data, sizeof outcome);
	memcpy(value, m->data + sizeof outcome, n);
	value[n] = '\0';
	if (outcome == SPAWN_VALUE_LONG)
		log_errorx(NULL, LOG_REWRITE, "BH0695", "the program of a RewriteMap wrote a line of more than %d bytes: the request is answered with 503", REWRITE_ASKS_VALUE - 1);
	if (outcome == SPAWN_VALUE_DIED)
		log_errorx(NULL, LOG_REWRITE, "BH0696", "a RewriteMap had no value for a request, since its program died over the question or cannot be started");
	lookup_settle(s, m->head.id, value, outcome == SPAWN_VALUE ? (ssize_t)n + 1 : outcome == SPAWN_VALUE_NONE || outcome == SPAWN_VALUE_DIED ? 0 : -1);
}

/* ------------------------------------------------------------------------------------------------ news */

bool spawn_events(struct asker *a)
{
	list_each(i, &a->c->server->programs) {
		struct run *r = list_entry(i, struct run, item);

		if (r->a != a || !r->untold)
			continue;
		r->untold = false;
		if (r->stage == SPAWN_OK && r->p->ended)
			r->p->ended(r->p, r->status);
		else if (r->stage != SPAWN_OK && r->p->failed)
			r->p->failed(r->p, r->stage, r->errnum);
		return true;
	}
	return false;
}

/* The connection's turn may end it, and with it other records: who goes through the list begins anew. */
static void news(struct run *r)
{
	if (r->a)
		asker_turn(r->a);
}

static void has_ended(struct run *r, int status)
{
	r->status = status;
	r->untold = true;
	news(r);
}

/* Another spawner: what ran died with the former one; what was ordered lies in the socket, or died with it too. */
static void hello(struct conn_server *s, unsigned account)
{
	bool again = true;
	uint32_t ping = ++s->orders;

	for (int i = 0; again; i++) {
		again = false;
		list_each(k, &s->programs) {
			struct run *r = list_entry(k, struct run, item);

			if (r->account != account || !r->a || r->untold || r->stage != SPAWN_OK || !r->started || r->status == -1)
				continue;
			has_ended(r, -1);
			again = true;
			break;
		}
	}
	lookup_again(s);
	if (ipc_send(socket_of(s, account), SPAWN_MSG_PING, ping, NULL, 0, NULL, 0) < 0)
		return;
	list_each(k, &s->programs) {
		struct run *r = list_entry(k, struct run, item);
		if (r->account == account && !r->started && r->stage == SPAWN_OK)
			r->pinged = ping;
	}
}

static void pong(struct conn_server *s, uint32_t ping)
{
	for (bool again = true; again;) {
		again = false;
		list_each(k, &s->programs) {
			struct run *r = list_entry(k, struct run, item);

			if (r->pinged != ping || r->started || r->stage != SPAWN_OK)
				continue;
			r->pinged = 0;
			fail(r, SPAWN_GONE, 0);
			news(r);
			again = true;
			break;
		}
	}
}

static unsigned heard;                  /* the account whose spawner speaks */

static void take(struct conn_server *s, const struct ipc_message *m)
{
	struct run *r = run_of(s, m->head.id);
	struct spawn_failed failed;
	int32_t status;

	if (r && r->account != heard)
		r = NULL;

	if (ipc_is(m, SPAWN_MSG_HELLO, 0, 0)) {
		hello(s, heard);
	} else if (ipc_is(m, SPAWN_MSG_PONG, 0, 0)) {
		pong(s, m->head.id);
	} else if (m->head.type == SPAWN_MSG_VALUE) {
		take_value(s, m);
	} else if (m->head.type == SPAWN_MSG_SAID) {
		take_said(s, m);
	} else if (r && ipc_is(m, SPAWN_MSG_STARTED, 0, 0)) {
		r->started = true;
	} else if (r && ipc_is(m, SPAWN_MSG_FAILED, sizeof failed, sizeof failed)) {
		memcpy(&failed, m->data, sizeof failed);
		fail(r, failed.stage > SPAWN_OK && failed.stage < SPAWN_STAGES ? (enum spawn_stage)failed.stage : SPAWN_GONE, failed.errnum);
		news(r);
	} else if (r && ipc_is(m, SPAWN_MSG_ENDED, sizeof status, sizeof status)) {
		memcpy(&status, m->data, sizeof status);
		has_ended(r, status);
	}
}

void spawn_answers(struct watch *w, uint32_t events)
{
	struct spawner *from = (struct spawner *)(void *)((char *)w - offsetof(struct spawner, watch));
	struct conn_server *s = from->server;

	(void)events;
	heard = from->account;
	conn_hear(s, w, take);
	tell_overs(s);
}

void spawn_poll(struct deadline *d)
{
	struct conn_server *s = (struct conn_server *)(void *)((char *)d - offsetof(struct conn_server, spawn_poll));
	uint32_t id;
	int status;

	while (s->o.spawn_direct->poll(&id, &status)) {
		struct run *r = run_of(s, id);
		if (r && r->a)
			has_ended(r, status);
	}
	deadline_set(s->loop, d, loop_now(s->loop) + SPAWN_POLL_MS);
}
