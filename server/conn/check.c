/*
 * check.c - handshakes, and requests that asked for a certificate, wait while another process asks responders about it. The
 * connection goes on in a turn of its own when the answer is there. -X asks at once. Runs in the children.
 */
#include "conn/check.h"

#include <string.h>

#include "base/ipc.h"
#include "conn/internal.h"

static struct check_question question;          /* large, and only one at a time is made */

static bool send_question(struct conn *c, size_t n)
{
	struct conn_server *s = c->server;

	c->check.id = ++s->questions;
	return s->checker.fd >= 0
	       && ipc_send(s->checker.fd, CHECK_MSG_ASK, c->check.id, &question, offsetof(struct check_question, text) + n, NULL, 0) == 0;
}

bool check_ask(struct conn *c)
{
	struct conn_server *s = c->server;
	size_t n = tls_check_question(c->tls, question.text);
	struct check_answer a = { .answer = TLS_CHECK_FAILED, .words = "the question is too long, or memory ran out" };

	if (n && s->o.check) {
		s->o.check(question.text, n, &a);
	} else if (n) {
		c->check.until = loop_now(s->loop) + tls_check_patience(c->tls) + CHECK_MARGIN_MS;
		question.until = c->check.until;
		c->check.waits = send_question(c, n);
		if (c->check.waits)
			return true;
		strcpy(a.words, "the process that asks responders takes no question now");
	}
	tls_check_answer(c->tls, (enum tls_check)a.answer, a.words);
	return false;
}

void check_over(struct conn *c)
{
	c->check.waits = false;
	tls_check_answer(c->tls, TLS_CHECK_FAILED, "the process that asks responders gave no answer in time");
}

/* The connection that asked may be gone, or have given up. */
static void take_answer(struct conn_server *s, const struct ipc_message *m)
{
	struct check_answer a;

	list_each(i, &s->conns) {
		struct conn *c = list_entry(i, struct conn, item);

		if (!c->check.waits || c->check.id != m->head.id)
			continue;
		if (ipc_is(m, CHECK_MSG_ANSWER, sizeof a, sizeof a))
			memcpy(&a, m->data, sizeof a);
		else
			a = (struct check_answer){ .answer = TLS_CHECK_FAILED };
		a.words[sizeof a.words - 1] = '\0';
		c->check.waits = false;
		tls_check_answer(c->tls, a.answer == TLS_CHECK_GOOD ? TLS_CHECK_GOOD : a.answer == TLS_CHECK_REVOKED ? TLS_CHECK_REVOKED : TLS_CHECK_FAILED, a.words);
		conn_turn(c);
		return;
	}
}

void check_answers(struct watch *w, uint32_t events)
{
	struct conn_server *s = (struct conn_server *)(void *)((char *)w - offsetof(struct conn_server, checker));

	(void)events;
	conn_hear(s, w, take_answer);
}
