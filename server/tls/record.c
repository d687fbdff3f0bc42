/*
 * record.c - bytes in and out of a TLS connection: pull and push through conn/'s buffers, records, alerts, the end. Runs
 * in children.
 */
#include <errno.h>
#include <string.h>

#include "tls/session.h"

#define WARNINGS_MAX 4

/* Keeps the last bytes that came: GnuTLS asks for a record's header and then for its body. */
static void keep_tail(struct tls *t, const unsigned char *p, size_t n)
{
	size_t keep = n < sizeof t->tail ? sizeof t->tail - n : 0;

	memmove(t->tail, t->tail + sizeof t->tail - keep, keep);
	memcpy(t->tail + keep, p + n - (sizeof t->tail - keep), sizeof t->tail - keep);
}

static ssize_t on_pull(gnutls_transport_ptr_t ctx, void *buf, size_t n)
{
	struct tls *t = ctx;
	ssize_t got = t->io->pull(t->io->ctx, buf, n);

	if (got > 0 && t->state == TLS_S_HANDSHAKE)
		keep_tail(t, buf, (size_t)got);
	return got;
}

/*
 * In TLS 1.3 OpenSSL's clients say in clear why they refuse a certificate, before they turn their own encryption on.
 * GnuTLS cannot decrypt that; it ends the handshake all the same, and what it said is the reason.
 */
static bool alert_in_clear(const struct tls *t)
{
	static const unsigned char header[] = { 21, 3, 3, 0, 2 };

	return t->tls13 && memcmp(t->tail, header, sizeof header) == 0 && (t->tail[5] == 1 || t->tail[5] == 2);
}

static ssize_t on_push(gnutls_transport_ptr_t ctx, const giovec_t *iov, int n)
{
	struct tls *t = ctx;

	return t->io->push(t->io->ctx, iov, n);
}

void tls_record_setup(struct tls *t)
{
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, on_pull);
	gnutls_transport_set_vec_push_function(t->session, on_push);
}

bool tls_warned(struct tls *t)
{
	if (++t->warnings <= WARNINGS_MAX)
		return true;
	t->alert = GNUTLS_A_UNEXPECTED_MESSAGE;
	return false;
}

static bool seals_with_cbc(const struct tls *t)
{
	return t->state == TLS_S_OPEN && gnutls_mac_get(t->session) != GNUTLS_MAC_AEAD;
}

/* The number that fits a failure; -1 = none is due. */
static int alert_for(struct tls *t, int code)
{
	int level;

	if (t->alert >= 0)
		return t->alert;
	switch (code) {
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_PUSH_ERROR:
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
	case GNUTLS_E_SESSION_EOF:
	case GNUTLS_E_INVALID_SESSION:
		return -1;
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
		return GNUTLS_A_PROTOCOL_VERSION;
	case GNUTLS_E_PARSING_ERROR:            /* a point that is none; INVALID_REQUEST: one that is too long */
		return GNUTLS_A_ILLEGAL_PARAMETER;
	case GNUTLS_E_INVALID_REQUEST:
		if (t->state == TLS_S_HANDSHAKE)
			return GNUTLS_A_ILLEGAL_PARAMETER;
		break;
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
		/* No whole blocks of CBC: looks like any other record that cannot be opened (RFC 5246, 7.2.2). */
		return seals_with_cbc(t) ? GNUTLS_A_BAD_RECORD_MAC : GNUTLS_A_DECODE_ERROR;
	case GNUTLS_E_HANDSHAKE_TOO_LARGE:
		return GNUTLS_A_DECODE_ERROR;
	case GNUTLS_E_TOO_MANY_EMPTY_PACKETS:
	case GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS:
		return GNUTLS_A_UNEXPECTED_MESSAGE;
	case GNUTLS_E_NO_COMMON_KEY_SHARE:      /* not even of the group that it was told to take */
		if (t->retried)
			return GNUTLS_A_ILLEGAL_PARAMETER;
		break;
	case GNUTLS_E_PK_SIGN_FAILED:           /* the keyholder, not the client */
	case GNUTLS_E_MEMORY_ERROR:
		return GNUTLS_A_INTERNAL_ERROR;
	}
	return gnutls_error_to_alert(code, &level);
}

void tls_fail(struct tls *t, int code)
{
	int alert;

	if (t->state == TLS_S_FAILED)
		return;
	if (code == GNUTLS_E_DECRYPTION_FAILED && t->state == TLS_S_HANDSHAKE && alert_in_clear(t)) {
		code = GNUTLS_E_SESSION_EOF;            /* nobody is left who could read an alert of ours */
		t->alert_received = t->tail[6];
	}
	alert = alert_for(t, code);
	t->state = TLS_S_FAILED;
	t->code = code;
	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
		t->alert_received = (int)gnutls_alert_get(t->session);
	if (alert >= 0)
		gnutls_alert_send(t->session, GNUTLS_AL_FATAL, (gnutls_alert_description_t)alert);
	if (alert >= 0 || t->alert_received >= 0)
		resume_forget(t);
}

/*
 * The client asks for a new handshake within this one (RFC 5246, 7.4.1.2). It is told no, and as GnuTLS keeps its hello
 * before everything that follows, nothing more can be read: the connection ends.
 */
static void refuse_renegotiation(struct tls *t)
{
	gnutls_alert_send(t->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
	t->fault = TLS_F_RENEGOTIATION;
	t->alert = GNUTLS_A_HANDSHAKE_FAILURE;
}

ssize_t tls_read(struct tls *t, void *buf, size_t n)
{
	if (t->state != TLS_S_OPEN) {
		errno = EPROTO;
		return -2;
	}
	for (;;) {
		ssize_t got = gnutls_record_recv(t->session, buf, n);
		if (got >= 0)
			return got;
		switch (got) {
		case GNUTLS_E_AGAIN:
		case GNUTLS_E_INTERRUPTED:
			errno = EAGAIN;
			return -1;
		case GNUTLS_E_PREMATURE_TERMINATION:    /* no close_notify: HTTP's own framing says whether something is missing */
			return 0;
		case GNUTLS_E_WARNING_ALERT_RECEIVED:
			if (tls_warned(t))
				continue;
			break;
		case GNUTLS_E_REHANDSHAKE:
			refuse_renegotiation(t);
			break;
		default:
			break;
		}
		tls_fail(t, (int)got);
		errno = EPROTO;
		return -2;
	}
}

/* After EAGAIN GnuTLS holds the sealed record: the next call, with the same bytes, only pushes it and tells its length. */
ssize_t tls_write(struct tls *t, const void *buf, size_t n)
{
	ssize_t sent;

	if (t->state != TLS_S_OPEN) {
		errno = EPROTO;
		return -2;
	}
	sent = t->write_pending ? gnutls_record_send(t->session, NULL, 0) :
				  gnutls_record_send(t->session, buf, n < t->record_max ? n : t->record_max);
	t->write_pending = sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED;
	if (sent >= 0)
		return sent;
	if (t->write_pending) {
		errno = EAGAIN;
		return -1;
	}
	tls_fail(t, (int)sent);
	errno = EPROTO;
	return -2;
}

size_t tls_pending(const struct tls *t)
{
	return gnutls_record_check_pending(t->session);
}

int tls_bye(struct tls *t)
{
	int r;

	if (t->state != TLS_S_OPEN)
		return 0;                       /* no end to say after a failure or before the beginning */
	do
		r = gnutls_bye(t->session, GNUTLS_SHUT_WR);
	while (r == GNUTLS_E_INTERRUPTED);
	if (r != GNUTLS_E_AGAIN)
		return 0;
	errno = EAGAIN;
	return -1;
}
