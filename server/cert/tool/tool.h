/*
 * tool.h - what the files of the program bulkhead-cert share: its commands, files as lists of what is in them, pass
 * phrases, output, and how it speaks.
 *
 * A command is a function that gets its own arguments, argv[0] being its name, and returns the exit status. What fails
 * deep down fills a struct err, which the command hands to tool_err. main flushes standard output and checks that all could
 * be written. Nothing here is part of the library. The program is run by hand and holds private keys: it leaves no core.
 */
#ifndef BULKHEAD_CERT_TOOL_H
#define BULKHEAD_CERT_TOOL_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "cert/load.h"
#include "cert/write.h"

enum {                                  /* exit statuses, as in the manual */
	TOOL_GOOD = 0,
	TOOL_BAD = 1,                   /* match: they do not; check: there are findings */
	TOOL_TROUBLE = 2                /* used wrongly, not found, not allowed, unreadable, not written */
};

struct tool_command {
	const char *name;
	const char *arguments;          /* as the usage shows them */
	const char *summary;            /* half a line */
	const char *options;            /* a line each, "" = none */
	int (*run)(int argc, char **argv);
};

int tool_new(int argc, char **argv);            /* make.c: new, csr, ca */
int tool_csr(int argc, char **argv);
int tool_ca(int argc, char **argv);
int tool_sign(int argc, char **argv);           /* sign.c */
int tool_show(int argc, char **argv);           /* show.c */
int tool_match(int argc, char **argv);          /* match.c */
int tool_convert(int argc, char **argv);        /* convert.c */
int tool_passphrase(int argc, char **argv);     /* phrase.c */
int tool_check(int argc, char **argv);          /* check.c */

/* ------------------------------------------------------------------------------------------------------------ main.c */

/* "bulkhead-cert: what" on standard error, the remedy ("" = none) on the next line. Returns TOOL_TROUBLE. */
int tool_fail(const char *remedy, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, with what an err says. */
int tool_err(const struct err *e);
/* The same, with "see 'bulkhead-cert help COMMAND'" as the remedy. */
int tool_misused(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What getopt_long answered '?' or ':' to (its opterr is 0). */
int tool_bad_option(char **argv, int answer);
/* A whole number from min to max, or -1 after saying what is wrong. */
long tool_number(const char *command, const char *option, const char *text, long min, long max);
/* JSON on standard output; takes the value. Returns TOOL_GOOD or what tool_fail returns. */
int tool_print_json(json_t *value);
/* A remark on standard error, unless -q was given. */
void tool_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern bool tool_quiet;
/*
 * Text from a file or a peer without what a terminal could take for a command, in place; returns it. What it gives is
 * UTF-8, so that JSON takes it.
 */
char *tool_clean(char *text);

/* ---------------------------------------------------------------------------------------------------- secret.c */

#define PHRASE_MAX 1024

/* A pass phrase that is asked for when it is first needed. */
struct phrase {
	const char *file;               /* --phrase-file, "-" = a line of standard input; NULL: the terminal */
	bool ask;                       /* the terminal may be asked; else only the file */
	bool twice;                     /* a new one: asked twice, and not empty */
	char *text;                     /* locked memory; NULL = not there yet */
};
/* The phrase, or NULL with *e. prompt is what it is for: "the private key www.key". It lives until phrase_free. */
const char *phrase_text(struct phrase *p, const char *prompt, struct err *e);
void phrase_free(struct phrase *p);

/* ------------------------------------------------------------------------------------------------------ read.c */

enum item_kind { ITEM_CERT = 1, ITEM_KEY = 2, ITEM_PUBLIC = 4, ITEM_CSR = 8, ITEM_CRL = 16, ITEM_ANY = 31 };
enum file_form { FORM_PEM, FORM_DER, FORM_PKCS12, FORM_PKCS7 };

struct item {
	enum item_kind kind;
	bool encrypted;                 /* a key that a phrase protected in the file */
	bool locked;                    /* … and there was none: key is NULL */
	char protection[80];            /* "PBES2-AES256-CBC, 5120 rounds"; "" = none */
	gnutls_x509_crt_t crt;          /* that of its kind is set, the others NULL */
	gnutls_x509_privkey_t key;
	gnutls_pubkey_t pub;
	gnutls_x509_crq_t csr;
	gnutls_x509_crl_t crl;
};
struct items {
	struct item *at;
	unsigned n;
	const char *path;               /* borrowed; "standard input" of "-" */
	enum file_form form;
};
/*
 * All that is in a file, in its order: PEM of any kinds, one object in DER, PKCS#12, PKCS#7; "-" is standard input. With a
 * phrase encrypted keys are opened, without (NULL) they are left locked; PKCS#12 needs one. 0 or -1 with *e. Free in both
 * cases.
 */
int items_read(struct items *out, const char *path, struct phrase *p, struct err *e);
void items_free(struct items *s);
/* The same from memory, without keys; name is borrowed, for messages. */
int items_parse(struct items *out, const char *name, const gnutls_datum_t *data, struct err *e);
/* The first of a kind, or NULL. */
struct item *items_first(const struct items *s, enum item_kind kind);
/* As items_first; NULL with *e that tells what the file holds instead, and what then is to be done. */
struct item *items_want(const struct items *s, enum item_kind kind, struct err *e);
/* "a certificate", "an encrypted private key". */
const char *item_words(const struct item *it);
/* The public key of any item but a revocation list. 0 or GNUTLS_E_*. Deinit it. */
int item_public(const struct item *it, gnutls_pubkey_t *out);
/* SHA-256 of the public key. 0 or GNUTLS_E_*. */
int item_key_id(const struct item *it, unsigned char out[32]);

/* ----------------------------------------------------------------------------------------------------- write.c */

/* What a file is to hold. */
struct output {
	const char *path;               /* "-" = standard output */
	gnutls_datum_t data;            /* gnutls_malloc'ed, freed by outputs_free */
	bool key;                       /* a private key is in it */
	bool plain;                     /* … and no phrase protects it */
	bool owner_only;                /* 0400, whatever the mode was before */
	char target[CERT_PATH], temporary[CERT_PATH];
};
/*
 * Whether these may be written, before keys are made for them: a file that holds a private key is replaced with force
 * alone, or where it is `same` (the file that was read); a terminal sees one with force alone. 0 or -1 with *e.
 */
int outputs_allowed(const struct output *o, unsigned n, bool force, const char *same, struct err *e);
/* Writes all or none, in this order. Modes and owners of replaced files are kept; new ones get 0400 or 0444. */
int outputs_write(struct output *o, unsigned n, struct err *e);
void outputs_free(struct output *o, unsigned n);
/* Appends to what an output holds; wipes what it had. 0 or GNUTLS_E_*. */
int output_add(struct output *o, const void *data, size_t n);
/* Appends a certificate, key, … in PEM. Keys as PKCS#8, encrypted where there is a phrase. 0 or GNUTLS_E_*. */
int output_add_item(struct output *o, const struct item *it, const char *phrase);

/* ------------------------------------------------------------------------------------------------------ name.c */

/* A name of a certificate: kind and bytes as GnuTLS wants them. */
struct san {
	gnutls_x509_subject_alt_name_t type;
	unsigned char data[256];
	unsigned n;
};
#define SAN_MAX 100
struct san_list {
	struct san at[SAN_MAX];
	unsigned n;
};
/* "DNS:x", "IP:x", "email:x", "URI:x", or without a kind: guessed. 0 or -1 with *e. */
int san_add(struct san_list *l, const char *text, struct err *e);
/* "www.example.org", "IP 127.0.0.1", "email x@y". buf has 300 bytes; returns buf. */
char *san_text(const struct san *s, char *buf);
/* Those of a certificate and a request. */
void san_of_crt(struct san_list *l, gnutls_x509_crt_t crt);
/* left gets how many names of other kinds there are. */
void san_of_csr(struct san_list *l, gnutls_x509_crq_t csr, unsigned *left);
int san_set_crt(const struct san_list *l, gnutls_x509_crt_t crt);
int san_set_csr(const struct san_list *l, gnutls_x509_crq_t csr);

/* ----------------------------------------------------------------------------------------------------- issue.c */

/* What is decided about a certificate, whoever asked for it. */
struct issue {
	const char *ca, *ca_key;        /* files; NULL: self-signed */
	long days;
	bool authority, client, must_staple;
	int path_length;                /* of an authority */
	const char *ca_issuers, *ocsp;  /* URLs, or NULL */
};
struct authority {
	struct items certificates, keys;
	gnutls_x509_crt_t crt;          /* in certificates */
	gnutls_privkey_t key;
};
/* Opens the authority that i names and sees that it may sign this. 0 or -1 with *e. Close in both cases. */
int authority_open(struct authority *a, const struct issue *i, struct phrase *p, struct err *e);
void authority_close(struct authority *a);
/*
 * Completes a certificate that has its subject, names and public key, and signs it: by a, or where that is NULL by its own
 * key. 0 or -1 with *e.
 */
int issue_certificate(gnutls_x509_crt_t crt, const struct issue *i, const struct authority *a, gnutls_privkey_t own,
		      struct err *e);
/* Appends what a server must send with it: the authorities that signed, but for a root. 0 or GNUTLS_E_*. */
int authority_chain(const struct authority *a, struct output *o);

/* ------------------------------------------------------------------------------------------------------- net.c */

/* What a server shows in its handshake. */
struct shown {
	struct cert_chain chain;        /* as it came; cert_chain_free */
	char protocol[16], suite[64];
	bool stapled;                   /* an OCSP answer came with it */
	gnutls_datum_t answer;          /* … this; gnutls_free its data */
};
/* Makes a handshake without checking anything. sni may be NULL. 0 or -1 with *e. */
int net_look(const char *host, const char *port, const char *sni, int seconds, struct shown *out, struct err *e);
/* The body of http://…, at most CERT_MAX_FILE bytes; gnutls_free its data. 0 or -1 with *e. */
int net_fetch(const char *url, int seconds, gnutls_datum_t *out, struct err *e);

#endif
