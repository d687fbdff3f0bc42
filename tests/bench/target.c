/*
 * target.c - looks the server up and prepares what all connections to it share. Runs in the parent, before
 * anything is measured.
 */
#include "target.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/version.h"

static int resolve(struct target *t, const struct options *o, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list;
	int rc = getaddrinfo(o->to_host, o->to_port, &hints, &list);

	if (rc != 0) {
		err_set(e, "the address of \"%s\" cannot be found: %s", o->to_host,
		        rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
		return err_remedy(e, "look whether the name is right, or give an address with --connect ADDRESS:%s",
		                  o->to_port);
	}
	for (struct addrinfo *a = list; a && t->naddrs < TARGET_ADDRS; a = a->ai_next) {
		struct addr *to = &t->addrs[t->naddrs++];

		memcpy(&to->ss, a->ai_addr, a->ai_addrlen);
		to->len = a->ai_addrlen;
	}
	freeaddrinfo(list);
	t->addr = t->addrs[0];
	return 0;
}

static int trust(struct target *t, const struct options *o, struct err *e)
{
	int n;

	if (o->insecure)
		return 0;
	if (!o->ca) {
		/* Where there is none the certificate will not verify, and that is explained. */
		gnutls_certificate_set_x509_system_trust(t->credentials);
		return 0;
	}
	n = gnutls_certificate_set_x509_trust_file(t->credentials, o->ca, GNUTLS_X509_FMT_PEM);
	if (n > 0)
		return 0;
	err_at(e, o->ca, 0);
	err_set(e, "no certificate to trust could be read: %s",
	        n == 0 ? "there is none in it" : gnutls_strerror(n));
	return err_remedy(e, "--ca names a file of certificates in PEM form");
}

static size_t request(char *buf, size_t n, const struct options *o, const char *end)
{
	bool v6 = strchr(o->name, ':') != NULL, usual = strcmp(o->port, "443") == 0;

	return (size_t)snprintf(buf, n,
	    "GET %s HTTP/1.1\r\nHost: %s%s%s%s%s\r\nUser-Agent: bulkhead-bench/" BULKHEAD_VERSION "\r\n%s\r\n",
	    o->path, v6 ? "[" : "", o->name, v6 ? "]" : "", usual ? "" : ":", usual ? "" : o->port, end);
}

int target_open(struct target *t, const struct options *o, struct err *e)
{
	struct addr numeric;
	char words[64];
	int rc;

	*t = (struct target){ .naddrs = 0 };
	if (resolve(t, o, e) < 0)
		return -1;
	t->numeric = addr_parse(&numeric, o->name, 0) == 0;
	if ((rc = gnutls_certificate_allocate_credentials(&t->credentials)) < 0)
		return err_set(e, "GnuTLS: %s", gnutls_strerror(rc));
	if (trust(t, o, e) < 0) {
		target_close(t);
		return -1;
	}
	snprintf(words, sizeof words, "NORMAL:-VERS-ALL%s%s", o->tls13 ? ":+VERS-TLS1.3" : "",
	         o->tls12 ? ":+VERS-TLS1.2" : "");
	if ((rc = gnutls_priority_init(&t->priority, words, NULL)) < 0) {
		target_close(t);
		return err_set(e, "this GnuTLS does not offer what is asked for (%s): %s", words,
		               gnutls_strerror(rc));
	}
	t->nmore = request(t->more, sizeof t->more, o, "");
	t->nlast = request(t->last, sizeof t->last, o, "Connection: close\r\n");
	if (t->nmore >= sizeof t->more || t->nlast >= sizeof t->last) {
		target_close(t);
		return err_set(e, "the request is longer than %zu bytes", sizeof t->last - 1);
	}
	return 0;
}

void target_close(struct target *t)
{
	if (t->credentials)
		gnutls_certificate_free_credentials(t->credentials);
	if (t->priority)
		gnutls_priority_deinit(t->priority);
	t->credentials = NULL;
	t->priority = NULL;
}
