/*
 * explain.c - turns the most frequent failure into a sentence with a remedy.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "output.h"

static void explain_connect(const struct run *r, enum fail f, int64_t code, struct err *e)
{
	char where[ADDR_TEXT];

	addr_text(&r->target->addr, where);
	if (f == FAIL_REFUSED) {
		err_set(e, "%s refused the connection", where);
		err_remedy(e, "look whether the server runs and listens there (ss -ltn)");
	} else if (f == FAIL_CONNECT_TIMEOUT) {
		err_set(e, "%s did not take the connection within %g s", where,
		        (double)r->options->timeout_ms / 1000);
		err_remedy(e, "look for a firewall in between and for a full listen backlog, or wait longer "
		              "with --timeout");
	} else if (code == EADDRNOTAVAIL) {
		err_set(e, "no local port is free for another connection to %s", where);
		err_remedy(e, "use fewer connections a second (--rate, -r), or sysctl net.ipv4.tcp_tw_reuse=1 "
		              "and a wider ip_local_port_range");
	} else {
		err_set(e, "%s cannot be reached: %s", where, strerror((int)code));
		err_remedy(e, "look at the address and the route to it; --connect names another address");
	}
}

static void explain_alert(const struct run *r, int64_t code, struct err *e)
{
	char name[64];

	alert_key((unsigned)code, name, sizeof name);
	err_set(e, "the server ended the handshake with the alert %s", name);
	switch (code) {
	case GNUTLS_A_PROTOCOL_VERSION:
	case GNUTLS_A_HANDSHAKE_FAILURE:
	case GNUTLS_A_INSUFFICIENT_SECURITY:
		err_remedy(e, "look which versions and suites it speaks; --tls and --resume id limit what is "
		              "offered");
		break;
	case GNUTLS_A_UNRECOGNIZED_NAME:
		err_remedy(e, "it serves no host \"%s\": name one with --sni", r->options->name);
		break;
	case GNUTLS_A_CERTIFICATE_REQUIRED:
		err_remedy(e, "it asks for a client certificate, which this program does not have: measure a "
		              "host without");
		break;
	default:
		err_remedy(e, "the server's error log should tell more");
	}
}

static void explain_certificate(const struct run *r, const struct stats *s, struct err *e)
{
	const char *why = s->certificate[0] ? s->certificate : "it does not verify";

	err_set(e, "the certificate for \"%s\" is not accepted: %s", r->options->name, why);
	if (strstr(why, "name"))
		err_remedy(e, "name the right host with --sni, or accept any name with --no-check");
	else
		err_remedy(e, "name what is to be trusted with --ca FILE, or accept any certificate with "
		              "--insecure");
}

static void explain_handshake(enum fail f, int64_t code, const struct run *r, struct err *e)
{
	if (f == FAIL_HANDSHAKE_TIMEOUT) {
		err_set(e, "the connection was taken, but the handshake was not complete within %g s",
		        (double)r->options->timeout_ms / 1000);
		err_remedy(e,
		           "look whether port %s speaks TLS and whether the server's processes are busy; "
		           "--timeout waits longer",
		           r->options->to_port);
	} else if (f == FAIL_HANDSHAKE_RESET) {
		err_set(e, "the server closed the connection during the handshake");
		err_remedy(e, "look whether port %s speaks TLS; the server's error log should tell more",
		           r->options->to_port);
	} else {
		err_set(e, "the handshake failed: %s", gnutls_strerror((int)code));
		err_remedy(e, "look whether port %s speaks TLS; the server's error log should tell more",
		           r->options->to_port);
	}
}

static void explain_response(enum fail f, int64_t code, const struct run *r, struct err *e)
{
	switch (f) {
	case FAIL_STATUS:
		err_set(e, "the server answered %d to GET %s", (int)code, r->options->path);
		err_remedy(e,
		           code == 421 || code == 400 ? "look whether \"%s\" is the host's name (--sni)"
		                                      : "name a path that \"%s\" serves",
		           r->options->name);
		break;
	case FAIL_TIMEOUT:
		err_set(e, "no complete response came within %g s", (double)r->options->timeout_ms / 1000);
		err_remedy(e, "name a path that is answered sooner, or wait longer with --timeout");
		break;
	case FAIL_RESET:
		err_set(e, "the server closed the connection before its response was complete");
		err_remedy(e, "look into its error log: a process of it may have died, or a limit was reached");
		break;
	case FAIL_TLS:
		if (code <= -1000)
			err_set(e, "the server sent the alert \"%s\" instead of a response",
			        gnutls_alert_get_name((gnutls_alert_description_t)(-1000 - code)));
		else
			err_set(e, "TLS failed after the handshake: %s", gnutls_strerror((int)code));
		err_remedy(e, "the server's error log should tell more");
		break;
	default:
		err_set(e, "what came is no HTTP/1.x response");
		err_remedy(e, "look what listens on port %s", r->options->to_port);
	}
}

void output_explain(const struct run *r, const struct stats *s, struct err *e)
{
	int f = 0;

	for (int i = 1; i < FAIL_COUNT; i++)
		if (s->fail[i] > s->fail[f])
			f = i;
	if (s->fail[f] == 0)
		return;
	if (f <= FAIL_CONNECT_TIMEOUT)
		explain_connect(r, (enum fail)f, s->code[f], e);
	else if (f == FAIL_ALERT)
		explain_alert(r, s->code[f], e);
	else if (f == FAIL_CERTIFICATE)
		explain_certificate(r, s, e);
	else if (f <= FAIL_HANDSHAKE_TIMEOUT)
		explain_handshake((enum fail)f, s->code[f], r, e);
	else
		explain_response((enum fail)f, s->code[f], r, e);
}
