/*
 * lookup.c - what connections ask the name service. A child neither blocks nor opens sockets: the question goes to the resolver,
 * the request waits, and goes on in a turn of its connection when the answer is there. -X looks up at once. Runs in the
 * children. Programs of RewriteMap are asked the same way, through the spawner.
 *
 * Answers are kept with the connection: the client's own names as long as it lives, others for one request.
 */
#include "conn/lookup.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/ipc.h"
#include "conn/internal.h"
#include "request/rewrite.h"
#include "upstream/pool.h"

#define LOOKUP_NO_ASKER 0x80000000u     /* in ids: asked for upstream/addresses.c */
#define LOOKUP_ADDRESSES_MS 30000

struct lookup {
	struct lookup *next;
	uint32_t id;
	enum client_knows knows;
	struct text answer;             /* malloc'd */
	char question[];
};

static void release(struct lookup *l)
{
	free((char *)(uintptr_t)l->answer.p);
	free(l);
}

static bool is_for_program(const struct lookup *l)
{
	return *l->question == REWRITE_ASKS;
}

/* n < 0: there is no answer. What comes from the resolver is checked here: strings, the last one ended too. */
static void settle(struct lookup *l, const void *answer, ssize_t n)
{
	char *copy = n > 0 && ((const char *)answer)[n - 1] == '\0' ? malloc((size_t)n) : NULL;

	l->knows = n == 0 || copy ? CLIENT_KNOWS : CLIENT_FAILED;
	if (copy)
		l->answer = (struct text){ memcpy(copy, answer, (size_t)n), (size_t)n };
}

enum client_knows lookup_knows(struct client *client, const char *question, struct text *answer)
{
	const struct lookup *l = asker_of(client)->lookups;

	while (l && strcmp(l->question, question) != 0)
		l = l->next;
	if (!l)
		return CLIENT_UNASKED;
	*answer = l->answer;
	return l->knows;
}

static bool ask_resolver(const struct conn_server *s, uint32_t id, const char *question, int64_t until)
{
	struct lookup_question q = { .until = until };
	size_t n = strlen(question) + 1;

	if (n > sizeof q.text || s->resolver.fd < 0 || loop_now(s->loop) >= until)
		return false;
	memcpy(q.text, question, n);
	return ipc_send(s->resolver.fd, LOOKUP_MSG_ASK, id, &q, offsetof(struct lookup_question, text) + n, NULL, 0) == 0;
}

bool lookup_addresses(void *server, uint32_t id, const char *question)
{
	struct conn_server *s = server;
	char answer[LOOKUP_ANSWER];

	if (s->o.lookup)
		return addresses_answer(id, answer, s->o.lookup(question, answer));
	return ask_resolver(s, id | LOOKUP_NO_ASKER, question, loop_now(s->loop) + LOOKUP_ADDRESSES_MS);
}

static bool send_question(const struct asker *a, const struct lookup *l)
{
	struct conn_server *s = a->c->server;

	return is_for_program(l) ? spawn_ask(s, l->id, l->question, a->lookup_until) : ask_resolver(s, l->id, l->question, a->lookup_until);
}

bool lookup_ask(struct client *client, const char *question)
{
	struct asker *a = asker_of(client);
	struct conn_server *s = a->c->server;
	size_t n = strlen(question) + 1;
	struct lookup *l = calloc(1, sizeof *l + n);
	char answer[LOOKUP_ANSWER], value[REWRITE_ASKS_VALUE];

	if (!l) {
		conn_break(a->c, "out of memory");
		return true;
	}
	memcpy(l->question, question, n);
	l->id = ++s->questions;
	l->next = a->lookups;
	a->lookups = l;
	if (!a->lookup_until)
		a->lookup_until = loop_now(s->loop) + LOOKUP_LIMIT_MS;
	if (is_for_program(l) && s->o.spawn_direct) {
		settle(l, value, spawn_ask_now(s, question, a->lookup_until, value, sizeof value));
		return false;
	}
	if (s->o.lookup && !is_for_program(l)) {
		settle(l, answer, s->o.lookup(question, answer));
		return false;
	}
	if (send_question(a, l)) {
		a->asking = l;
		list_append(&s->asking, &a->waits);
	} else {
		l->knows = CLIENT_FAILED;
	}
	return a->asking;
}

void lookup_over(struct asker *a)
{
	if (a->asking)
		a->asking->knows = CLIENT_FAILED;
	a->asking = NULL;
	list_remove(&a->waits);
}

void lookup_forget(struct asker *a, bool all)
{
	struct lookup **at = &a->lookups, *l;

	a->asking = NULL;
	list_remove(&a->waits);
	a->lookup_until = 0;
	while ((l = *at)) {
		if (!all && l->knows == CLIENT_KNOWS && strcmp(l->question, a->client.peer_text) == 0) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		release(l);
	}
}

/* The connection that asked may be gone, or have given up, or be at another question. */
void lookup_settle(struct conn_server *s, uint32_t id, const void *answer, ssize_t n)
{
	list_each(i, &s->asking) {
		struct asker *a = list_entry(i, struct asker, waits);

		if (a->asking->id != id)
			continue;
		settle(a->asking, answer, n);
		a->asking = NULL;
		list_remove(&a->waits);
		asker_turn(a);
		return;
	}
}

void lookup_again(struct conn_server *s)
{
	list_each(i, &s->asking) {
		const struct asker *a = list_entry(i, struct asker, waits);

		if (a->asking && is_for_program(a->asking))
			send_question(a, a->asking);
	}
}

static void take_answer(struct conn_server *s, const struct ipc_message *m)
{
	ssize_t n = ipc_is(m, LOOKUP_MSG_ANSWER, 0, LOOKUP_ANSWER) ? (ssize_t)m->len : -1;

	if (!(m->head.id & LOOKUP_NO_ASKER) || !addresses_answer(m->head.id & ~LOOKUP_NO_ASKER, (const char *)m->data, n))
		lookup_settle(s, m->head.id, m->data, n);
}

void lookup_answers(struct watch *w, uint32_t events)
{
	struct conn_server *s = (struct conn_server *)(void *)((char *)w - offsetof(struct conn_server, resolver));

	(void)events;
	conn_hear(s, w, take_answer);
}
