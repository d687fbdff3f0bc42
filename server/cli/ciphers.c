/*
 * ciphers.c - "bulkhead ciphers": what a cipher string comes to here, suite by suite in order, in the columns of
 * "openssl ciphers -V" and with the names that GnuTLS and IANA have for each.
 */
#include <gnutls/gnutls.h>
#include <string.h>

#include "cli/cli.h"
#include "tls/cipherstring.h"

static const char *protocol_of(const struct suite *s)
{
	switch (s->since) {
	case 0x0300:
		return "SSLv3";
	case 0x0301:
		return "TLSv1";
	case 0x0303:
		return "TLSv1.2";
	}
	return "TLSv1.3";
}

static const char *kx_of(const struct suite *s)
{
	return s->kx == KX_ECDHE ? "ECDH" : s->kx == KX_DHE ? "DH" : s->kx == KX_RSA ? "RSA" : "any";
}

static const char *auth_of(const struct suite *s)
{
	return s->auth == AUTH_ECDSA ? "ECDSA" : s->auth == AUTH_RSA ? "RSA" : s->auth == AUTH_NULL ? "None" : "any";
}

static const char *enc_of(const struct suite *s)
{
	switch ((enum suite_enc)s->enc) {
	case ENC_AES128:
	case ENC_AES256:
		return "AES";
	case ENC_AES128GCM:
	case ENC_AES256GCM:
		return "AESGCM";
	case ENC_AES128CCM:
	case ENC_AES256CCM:
		return "AESCCM";
	case ENC_AES128CCM8:
	case ENC_AES256CCM8:
		return "AESCCM8";
	case ENC_CHACHA20:
		return "CHACHA20/POLY1305";
	case ENC_CAMELLIA128:
	case ENC_CAMELLIA256:
		return "Camellia";
	}
	return "?";
}

static const char *gnutls_of(const struct suite *s)
{
	unsigned char id[2];
	const char *name;

	for (size_t i = 0; (name = gnutls_cipher_suite_info(i, id, NULL, NULL, NULL, NULL)) != NULL; i++)
		if (id[0] == s->id >> 8 && id[1] == (s->id & 0xff))
			return name;
	return "-";
}

static void print_suites(const struct suite_list *l)
{
	char enc[40];

	for (unsigned i = 0; i < l->n; i++) {
		const struct suite *s = l->at[i];
		snprintf(enc, sizeof enc, "%s(%u)", enc_of(s), (unsigned)s->bits);
		printf("0x%02X,0x%02X - %-30s %-7s Kx=%-4s Au=%-5s Enc=%-22s Mac=%-6s %-43s %s\n", (unsigned)(s->id >> 8),
		       (unsigned)(s->id & 0xff), s->openssl, protocol_of(s), kx_of(s), auth_of(s), enc,
		       s->mac == MAC_AEAD ? "AEAD" : suite_gnutls_mac(s), gnutls_of(s), s->iana);
	}
}

static void say_note(void *ctx, const char *word, const char *why)
{
	(void)ctx;
	fprintf(stderr, "bulkhead: %s %s\n", word, why);
}

/* Words that choose, each for itself: those of them that find nothing here are told. */
static void say_empty_words(const char *string)
{
	static const char separators[] = ":,; \t";
	struct suite_list l;
	char word[128];
	size_t n;

	for (const char *at = string + strspn(string, separators); *at; at += n, at += strspn(at, separators)) {
		n = strcspn(at, separators);
		if (strchr("!-+@", *at) || n >= sizeof word)
			continue;
		memcpy(word, at, n);
		word[n] = '\0';
		if (cipherstring_eval(word, &l, NULL, NULL, NULL) != 0 && strncmp(word, "TLS_", 4) != 0)
			fprintf(stderr, "bulkhead: %s: no suite of that kind exists here, the word chooses nothing\n", word);
	}
}

static int refuse(const struct err *e)
{
	char text[1600];

	fprintf(stderr, "bulkhead: %s\n", err_print(e, text, sizeof text));
	return 1;
}

int ciphers_main(char **words)
{
	struct suite_list l13, l;
	const char *string = NULL, *string13 = cipher_default13;
	struct err e = { 0 };

	for (; *words; words++) {
		if (!strcmp(*words, "-v") || !strcmp(*words, "-V"))
			continue;                       /* OpenSSL's wish for what is printed anyway */
		if (!strcmp(*words, "-ciphersuites") && words[1]) {
			string13 = *++words;
		} else if (**words == '-' || string) {
			fprintf(stderr, "bulkhead: usage: bulkhead ciphers [-v] [-ciphersuites list-of-TLSv1.3] [string], not %s\n"
				"    a string that begins with - chooses nothing\n", *words);
			return 1;
		} else {
			string = *words;
		}
	}
	if (!string)
		string = cipher_default;
	if (cipherstring_eval13(string13, &l13, &e) != 0 || cipherstring_eval(string, &l, say_note, NULL, &e) != 0)
		return refuse(&e);
	say_empty_words(string);
	print_suites(&l13);
	print_suites(&l);
	return 0;
}
