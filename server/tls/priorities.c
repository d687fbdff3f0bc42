/*
 * priorities.c - priority strings and the table of those that were made. A GnuTLS priority is a product (key exchanges x
 * ciphers x MACs); a single suite is one that says what is meant exactly. Runs in the master.
 */
#include "tls/priorities.h"

#include <stdlib.h>
#include <string.h>

struct made {
	struct made *next;
	uint64_t hash;
	unsigned uses;
	gnutls_priority_t priority;
	char text[];
};
static struct made *all;

static uint64_t hash_of(const char *s)          /* FNV-1a */
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

static gnutls_priority_t priority_get(const char *text, struct err *e)
{
	uint64_t hash = hash_of(text);
	const char *at = text;
	struct made *m;
	int r;

	for (m = all; m; m = m->next)
		if (m->hash == hash && strcmp(m->text, text) == 0) {
			m->uses++;
			return m->priority;
		}
	m = malloc(sizeof *m + strlen(text) + 1);
	if (!m) {
		err_set(e, "out of memory");
		return NULL;
	}
	r = gnutls_priority_init(&m->priority, text, &at);
	if (r < 0) {
		err_set(e, "GnuTLS refuses the priority \"%s\" at \"%s\": %s", text, at ? at : "",
			gnutls_strerror(r));
		free(m);
		return NULL;
	}
	strcpy(m->text, text);
	m->hash = hash;
	m->uses = 1;
	m->next = all;
	all = m;
	return m->priority;
}

void priority_put(gnutls_priority_t p)
{
	if (!p)
		return;
	for (struct made **at = &all; *at; at = &(*at)->next)
		if ((*at)->priority == p) {
			struct made *m = *at;
			if (--m->uses)
				return;
			*at = m->next;
			gnutls_priority_deinit(m->priority);
			free(m);
			return;
		}
}

/* ------------------------------------------------------------------------------------------------ texts */

static void put_versions(struct buf *b, unsigned protocols)
{
	if (protocols & PROTO_TLS13)
		buf_puts(b, ":+VERS-TLS1.3");
	if (protocols & PROTO_TLS12)
		buf_puts(b, ":+VERS-TLS1.2");
	if (protocols & PROTO_TLS11)
		buf_puts(b, ":+VERS-TLS1.1");
	if (protocols & PROTO_TLS10)
		buf_puts(b, ":+VERS-TLS1.0");
}

static void put_groups(struct buf *b, const struct tls_policy *p, unsigned first)
{
	buf_printf(b, ":+GROUP-%s", p->groups[first]->gnutls);
	for (unsigned i = 0; i < p->ngroups; i++)
		if (i != first)
			buf_printf(b, ":+GROUP-%s", p->groups[i]->gnutls);
}

/*
 * TLS 1.3 stays among the versions: a client that can do it too, and from whose hello somebody took it away, learns so
 * by the mark in the server's random (RFC 8446, 4.1.3).
 */
gnutls_priority_t priority_of_suite(const struct tls_policy *p, const struct suite *s, struct err *e)
{
	char text[2048];
	struct buf b;

	buf_init(&b, text, sizeof text);
	buf_puts(&b, "NONE");
	put_versions(&b, (unsigned)p->protocols);
	buf_printf(&b, ":+COMP-NULL:+CTYPE-X509:+%s", p->signatures ? p->signatures : "SIGN-ALL");
	put_groups(&b, p, 0);
	if (s->kx == KX_DHE)
		buf_puts(&b, ":+GROUP-FFDHE2048:+GROUP-FFDHE3072:+GROUP-FFDHE4096");
	buf_printf(&b, ":+%s:+%s:+%s:%%SERVER_PRECEDENCE", suite_gnutls_kx(s), suite_gnutls_cipher(s),
		   suite_gnutls_mac(s));
	return priority_get(text, e);
}

gnutls_priority_t priority_of_tls13(const struct tls_policy *p, unsigned first_suite, unsigned first_group,
				    struct err *e)
{
	char text[2048];
	struct buf b;

	buf_init(&b, text, sizeof text);
	buf_printf(&b, "NONE:+VERS-TLS1.3:+COMP-NULL:+CTYPE-X509:+%s", p->signatures ? p->signatures : "SIGN-ALL");
	put_groups(&b, p, first_group);
	buf_printf(&b, ":+%s", suite_gnutls_cipher(p->suites13.at[first_suite]));
	for (unsigned i = 0; i < p->suites13.n; i++)    /* a ticket needs a suite of its hash */
		if (i != first_suite)
			buf_printf(&b, ":+%s", suite_gnutls_cipher(p->suites13.at[i]));
	buf_puts(&b, ":+AEAD:%SERVER_PRECEDENCE");
	return priority_get(text, e);
}

gnutls_priority_t priority_of_start(struct err *e)
{
	return priority_get(
		"NONE:+VERS-TLS1.3:+VERS-TLS1.2:+VERS-TLS1.1:+VERS-TLS1.0:+COMP-NULL:+CTYPE-X509:+SIGN-ALL:+GROUP-X25519"
		":+GROUP-SECP256R1:+ECDHE-ECDSA:+ECDHE-RSA:+AES-128-GCM:+AEAD",
		e);
}
