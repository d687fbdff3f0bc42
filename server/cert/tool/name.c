/*
 * name.c - the names that a certificate is for (subjectAltName): from words, from certificates and requests, as text.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "cert/tool/tool.h"

static int put(struct san_list *l, gnutls_x509_subject_alt_name_t type, const void *data, size_t n)
{
	if (l->n == SAN_MAX || n > sizeof l->at[0].data)
		return -1;
	for (unsigned i = 0; i < l->n; i++)
		if (l->at[i].type == type && l->at[i].n == n && !memcmp(l->at[i].data, data, n))
			return 0;
	l->at[l->n].type = type;
	l->at[l->n].n = (unsigned)n;
	memcpy(l->at[l->n++].data, data, n);
	return 0;
}

/* Labels of letters, digits, - and _, a * only as the whole first one (RFC 9525, 6.3). */
static bool is_dns(const char *s)
{
	size_t label = 0;

	if (!strncmp(s, "*.", 2))
		s += 2;
	for (; *s; s++) {
		if (*s == '.' ? label == 0
			      : (!isalnum((unsigned char)*s) && *s != '-' && *s != '_') || ++label > 63)
			return false;
		if (*s == '.')
			label = 0;
	}
	return label > 0;
}

static int add_dns(struct san_list *l, const char *text, struct err *e)
{
	gnutls_datum_t ascii = { 0 };
	char name[256];
	size_t n = strlen(text);

	while (n > 1 && text[n - 1] == '.')
		n--;
	if (n < sizeof name && gnutls_idna_map(text, (unsigned)n, &ascii, 0) >= 0)
		snprintf(name, sizeof name, "%s", (const char *)ascii.data);
	else
		snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), text);
	gnutls_free(ascii.data);
	if (n > 253 || !is_dns(name)) {
		err_set(e, "'%s' is no DNS name", text);
		return err_remedy(
			e,
			"a name is like www.example.org or *.example.org; other kinds: IP:192.0.2.1, email:a@example.org");
	}
	if (put(l, GNUTLS_SAN_DNSNAME, name, strlen(name)) != 0)
		return err_set(e, "there are more than %d names", SAN_MAX);
	return 0;
}

static int add_ip(struct san_list *l, const char *text, struct err *e)
{
	unsigned char ip[16];
	size_t n = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;

	if (!n) {
		err_set(e, "'%s' is no address", text);
		return err_remedy(e, "an address is like 192.0.2.1 or 2001:db8::1");
	}
	return put(l, GNUTLS_SAN_IPADDRESS, ip, n) == 0 ? 0 : err_set(e, "there are more than %d names", SAN_MAX);
}

static int add_text(struct san_list *l, gnutls_x509_subject_alt_name_t type, const char *text, struct err *e)
{
	const char *at = type == GNUTLS_SAN_RFC822NAME ? strchr(text, '@') : strchr(text, ':');

	if (!at || at == text || !at[1])
		return err_set(e, "'%s' is no %s", text, type == GNUTLS_SAN_RFC822NAME ? "mail address" : "URI");
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(e, "'%s' has a character that cannot stand in a certificate's name", text);
	return put(l, type, text, strlen(text)) == 0
		       ? 0
		       : err_set(e, "'%s' is too long, or there are more than %d names", text, SAN_MAX);
}

int san_add(struct san_list *l, const char *text, struct err *e)
{
	unsigned char ip[16];

	if (!strncasecmp(text, "DNS:", 4))
		return add_dns(l, text + 4, e);
	if (!strncasecmp(text, "IP:", 3))
		return add_ip(l, text + 3, e);
	if (!strncasecmp(text, "email:", 6))
		return add_text(l, GNUTLS_SAN_RFC822NAME, text + 6, e);
	if (!strncasecmp(text, "URI:", 4))
		return add_text(l, GNUTLS_SAN_URI, text + 4, e);
	if (inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1)
		return add_ip(l, text, e);
	if (strstr(text, "://"))
		return add_text(l, GNUTLS_SAN_URI, text, e);
	return strchr(text, '@') ? add_text(l, GNUTLS_SAN_RFC822NAME, text, e) : add_dns(l, text, e);
}

char *san_text(const struct san *s, char *buf)
{
	char ip[INET6_ADDRSTRLEN];

	if (s->type == GNUTLS_SAN_IPADDRESS)
		snprintf(buf, 300, "IP %s",
			 (s->n == 4 || s->n == 16)
					 && inet_ntop(s->n == 4 ? AF_INET : AF_INET6, s->data, ip, sizeof ip)
				 ? ip
				 : "?");
	else
		snprintf(buf, 300, "%s%.*s",
			 s->type == GNUTLS_SAN_RFC822NAME ? "email "
			 : s->type == GNUTLS_SAN_URI      ? "URI "
							  : "",
			 (int)s->n, (const char *)s->data);
	return tool_clean(buf);
}

static bool known(unsigned type)
{
	return type == GNUTLS_SAN_DNSNAME || type == GNUTLS_SAN_IPADDRESS || type == GNUTLS_SAN_RFC822NAME
	       || type == GNUTLS_SAN_URI;
}

void san_of_crt(struct san_list *l, gnutls_x509_crt_t crt)
{
	l->n = 0;
	for (unsigned i = 0; l->n < SAN_MAX; i++) {
		unsigned char data[sizeof l->at[0].data];
		size_t n = sizeof data;
		unsigned type = 0;
		int r = gnutls_x509_crt_get_subject_alt_name2(crt, i, data, &n, &type, NULL);

		if (r < 0 && r != GNUTLS_E_SHORT_MEMORY_BUFFER)
			return;
		if (r >= 0 && known(type))
			put(l, type, data, n);
	}
}

void san_of_csr(struct san_list *l, gnutls_x509_crq_t csr, unsigned *left)
{
	l->n = 0;
	*left = 0;
	for (unsigned i = 0; l->n < SAN_MAX; i++) {
		unsigned char data[sizeof l->at[0].data];
		size_t n = sizeof data;
		unsigned type = 0;
		int r = gnutls_x509_crq_get_subject_alt_name(csr, i, data, &n, &type, NULL);

		if (r < 0 && r != GNUTLS_E_SHORT_MEMORY_BUFFER)
			return;
		if (r >= 0 && known(type))
			put(l, type, data, n);
		else
			++*left;
	}
}

int san_set_crt(const struct san_list *l, gnutls_x509_crt_t crt)
{
	int r = 0;

	for (unsigned i = 0; i < l->n && r >= 0; i++)
		r = gnutls_x509_crt_set_subject_alt_name(crt, l->at[i].type, l->at[i].data, l->at[i].n,
							 GNUTLS_FSAN_APPEND);
	return r;
}

int san_set_csr(const struct san_list *l, gnutls_x509_crq_t csr)
{
	int r = 0;

	for (unsigned i = 0; i < l->n && r >= 0; i++)
		r = gnutls_x509_crq_set_subject_alt_name(csr, l->at[i].type, l->at[i].data, l->at[i].n,
							 GNUTLS_FSAN_APPEND);
	return r;
}
