/*
 * make.c - the commands new, csr and ca of bulkhead-cert: a key, and what is made for it.
 */
#include <getopt.h>
#include <gnutls/x509-ext.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cert/tool/tool.h"

enum {
	OPT_USE_KEY = 256,
	OPT_ENCRYPT,
	OPT_SUBJECT,
	OPT_CA,
	OPT_CA_KEY,
	OPT_DAYS,
	OPT_CLIENT,
	OPT_STAPLE,
	OPT_CA_ISSUERS,
	OPT_OCSP,
	OPT_PHRASE,
	OPT_NEW_PHRASE,
	OPT_FORCE,
	OPT_LENGTH,
	OPT_SAN
};

enum { ON_NEW = 1, ON_CSR = 2, ON_CA = 4 };

struct wish {
	const char *command, *algorithm, *out, *key, *use_key, *subject;
	bool encrypt, force;
	unsigned on;
	struct issue issue;
	struct san_list names;
	char common[65]; /* the first name as text; "" = too long for a common name (RFC 5280, A.1) */
	char paths[2][CERT_PATH];
	struct phrase phrase, new_phrase;
	struct items keys;              /* --use-key, or the new one */
	gnutls_privkey_t private;
};

static const struct algorithm {
	const char *name;
	gnutls_pk_algorithm_t algorithm;
	unsigned bits;
} algorithms[] = {
	{ "ecdsa-p256", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1) },
	{ "ecdsa", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1) },
	{ "ecdsa-p384", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1) },
	{ "ed25519", GNUTLS_PK_EDDSA_ED25519, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519) },
	{ "rsa-2048", GNUTLS_PK_RSA, 2048 },
	{ "rsa-3072", GNUTLS_PK_RSA, 3072 },
	{ "rsa", GNUTLS_PK_RSA, 3072 },
	{ "rsa-4096", GNUTLS_PK_RSA, 4096 },
};

static const struct algorithm *algorithm_named(const char *name)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
		if (!strcasecmp(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

/* --------------------------------------------------------------------------------------------------------- options */

static const struct option options[] = { { "algorithm", 1, NULL, 'a' },
					 { "out", 1, NULL, 'o' },
					 { "key", 1, NULL, 'k' },
					 { "use-key", 1, NULL, OPT_USE_KEY },
					 { "encrypt", 0, NULL, OPT_ENCRYPT },
					 { "subject", 1, NULL, OPT_SUBJECT },
					 { "ca", 1, NULL, OPT_CA },
					 { "ca-key", 1, NULL, OPT_CA_KEY },
					 { "days", 1, NULL, OPT_DAYS },
					 { "client", 0, NULL, OPT_CLIENT },
					 { "must-staple", 0, NULL, OPT_STAPLE },
					 { "ca-issuers", 1, NULL, OPT_CA_ISSUERS },
					 { "ocsp", 1, NULL, OPT_OCSP },
					 { "phrase-file", 1, NULL, OPT_PHRASE },
					 { "new-phrase-file", 1, NULL, OPT_NEW_PHRASE },
					 { "force", 0, NULL, OPT_FORCE },
					 { "path-length", 1, NULL, OPT_LENGTH },
					 { "san", 1, NULL, OPT_SAN },
					 { "quiet", 0, NULL, 'q' },
					 { 0 } };

/* Which commands know an option; all know those that are not here. */
static unsigned known_on(int c)
{
	switch (c) {
	case OPT_CA: case OPT_CA_KEY: case OPT_DAYS: case OPT_CA_ISSUERS: return ON_NEW | ON_CA;
	case OPT_CLIENT: case OPT_OCSP: return ON_NEW;
	case OPT_STAPLE: case OPT_SAN: return ON_NEW | ON_CSR;
	case OPT_LENGTH: return ON_CA;
	default: return ON_NEW | ON_CSR | ON_CA;
	}
}

static int add_name(struct wish *w, const char *text)
{
	struct err e = { 0 };
	char words[300];

	if (w->on == ON_CA) {
		snprintf(w->common, sizeof w->common, "%s", text);
		return strlen(text) < sizeof w->common && *text
			       ? 0
			       : tool_misused(w->command, "the authority's name has 1 to 64 characters");
	}
	if (san_add(&w->names, text, &e) != 0)
		return tool_err(&e);
	if (w->names.n == 1) {
		const char *name = san_text(&w->names.at[0], words);
		name += w->names.at[0].type == GNUTLS_SAN_IPADDRESS    ? 3
			: w->names.at[0].type == GNUTLS_SAN_RFC822NAME ? 6
								       : 0;
		snprintf(w->common, sizeof w->common, "%s", strlen(name) < sizeof w->common ? name : "");
	}
	return 0;
}

static int take_option(struct wish *w, char **argv, int c)
{
	long n;

	if (c < 0x10000 && c != '?' && c != ':' && !(known_on(c) & w->on))
		return tool_misused(w->command, "%s is no option of this command", argv[optind - 1]);
	switch (c) {
	case 'a': w->algorithm = optarg; return 0;
	case 'o': w->out = optarg; return 0;
	case 'k': w->key = optarg; return 0;
	case 'q': tool_quiet = true; return 0;
	case OPT_USE_KEY: w->use_key = optarg; return 0;
	case OPT_ENCRYPT: w->encrypt = true; return 0;
	case OPT_SUBJECT: w->subject = optarg; return 0;
	case OPT_CA: w->issue.ca = optarg; return 0;
	case OPT_CA_KEY: w->issue.ca_key = optarg; return 0;
	case OPT_CLIENT: w->issue.client = true; return 0;
	case OPT_STAPLE: w->issue.must_staple = true; return 0;
	case OPT_CA_ISSUERS: w->issue.ca_issuers = optarg; return 0;
	case OPT_OCSP: w->issue.ocsp = optarg; return 0;
	case OPT_PHRASE: w->phrase.file = optarg; return 0;
	case OPT_NEW_PHRASE: w->new_phrase.file = optarg; w->encrypt = true; return 0;
	case OPT_FORCE: w->force = true; return 0;
	case OPT_SAN: return add_name(w, optarg);
	case OPT_DAYS:
		return (w->issue.days = tool_number(w->command, "--days", optarg, 1, 36500)) < 0
			       ? TOOL_TROUBLE
			       : 0;
	case OPT_LENGTH:
		n = tool_number(w->command, "--path-length", optarg, 0, 16);
		w->issue.path_length = (int)n;
		return n < 0 ? TOOL_TROUBLE : 0;
	default: return tool_bad_option(argv, c);
	}
}

/* A file's name of a certificate's name: no slash, no star, no hidden file. */
static void file_name(char *out, const char *name, const char *ending)
{
	snprintf(out, CERT_PATH, "%s%s%s", !strncmp(name, "*.", 2) ? "wildcard" : "",
		 *name == '*' ? name + 1 : name, ending);
	for (char *p = out; *p; p++)
		if (*p == '/' || *p == '*' || *p == ' ' || (p == out && *p == '.') || (p == out && *p == '-'))
			*p = '_';
}

static void choose_paths(struct wish *w)
{
	const char *name = w->on == ON_CA ? "ca" : *w->common ? w->common : "certificate";

	if (!*w->out) {
		file_name(w->paths[0], name, w->on == ON_CSR ? ".csr" : ".pem");
		w->out = w->paths[0];
	}
	if (!*w->key) {
		file_name(w->paths[1], name, ".key");
		w->key = w->paths[1];
	}
}

/* 0, or the exit status. */
static int parse(struct wish *w, int argc, char **argv)
{
	int c, r;

	w->command = argv[0];
	w->phrase.ask = w->new_phrase.ask = w->new_phrase.twice = true;
	while ((c = getopt_long(argc, argv, ":a:o:k:q", options, NULL)) != -1)
		if ((r = take_option(w, argv, c)) != 0)
			return r;
	for (; optind < argc; optind++) {
		if (w->on == ON_CA && *w->common)
			return tool_misused(w->command,
					    "one NAME, please; put quotes around one of several words");
		if ((r = add_name(w, argv[optind])) != 0)
			return r;
	}
	if (!w->names.n && !*w->common)
		return tool_misused(w->command, "for which NAME?");
	if (!*w->common && !w->subject)
		return tool_fail("give a short one first, or the subject by --subject",
				 "the first name has more than 64 characters");
	if (!algorithm_named(w->algorithm))
		return tool_misused(w->command, "there is no algorithm %s", w->algorithm);
	if (!w->issue.ca != !w->issue.ca_key)
		return tool_misused(w->command, "--ca and --ca-key go together");
	if (w->use_key && w->encrypt)
		return tool_fail("bulkhead-cert passphrase add FILE",
				 "--encrypt is for a new key, not for one that is used");
	if (w->issue.days > 825 && w->on == ON_NEW)
		tool_note("Apple's clients refuse certificates for more than 825 days");
	choose_paths(w);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------- key */

static int get_key(struct wish *w, struct item **key, struct err *e)
{
	const struct algorithm *a = algorithm_named(w->algorithm);
	int r;

	if (w->use_key) {
		if (items_read(&w->keys, w->use_key, &w->phrase, e) != 0
		    || !(*key = items_want(&w->keys, ITEM_KEY, e)))
			return -1;
		r = 0;
	} else {
		w->keys.at = calloc(1, sizeof *w->keys.at);
		if (!w->keys.at)
			return err_set(e, "out of memory");
		w->keys.n = 1;
		*key = w->keys.at;
		(*key)->kind = ITEM_KEY;
		r = gnutls_x509_privkey_init(&(*key)->key);
		if (r >= 0)
			r = gnutls_x509_privkey_generate((*key)->key, a->algorithm, a->bits, 0);
	}
	if (r >= 0)
		r = gnutls_privkey_init(&w->private);
	if (r >= 0)
		r = gnutls_privkey_import_x509(w->private, (*key)->key, GNUTLS_PRIVKEY_IMPORT_COPY);
	return r < 0 ? err_set(e, "the key cannot be made: %s", gnutls_strerror(r)) : 0;
}

static int subject_error(const struct wish *w, const char *at, struct err *e)
{
	err_set(e, "'%s' is no subject%s%s", w->subject, at && *at ? ": stopped before " : "", at ? at : "");
	return err_remedy(e, "it is like CN=www.example.org,O=Example,C=DE");
}

/* -------------------------------------------------------------------------------------------------- certificate */

static int make_certificate(struct wish *w, struct item *key, const struct authority *a, struct output *o,
			    struct err *e)
{
	struct item it = { .kind = ITEM_CERT };
	gnutls_pubkey_t pub = NULL;
	const char *at = NULL;
	int r = gnutls_x509_crt_init(&it.crt), result = -1;

	if (r >= 0)
		r = item_public(key, &pub);
	if (r >= 0)
		r = gnutls_x509_crt_set_pubkey(it.crt, pub);
	if (r >= 0 && w->subject && gnutls_x509_crt_set_dn(it.crt, w->subject, &at) < 0) {
		subject_error(w, at, e);
		goto out;
	}
	if (r >= 0 && !w->subject)
		r = gnutls_x509_crt_set_dn_by_oid(it.crt, GNUTLS_OID_X520_COMMON_NAME, 0, w->common,
						  (unsigned)strlen(w->common));
	if (r >= 0)
		r = san_set_crt(&w->names, it.crt);
	if (r < 0)
		err_set(e, "the certificate cannot be made: %s", gnutls_strerror(r));
	else if (issue_certificate(it.crt, &w->issue, a, w->private, e) == 0) {
		if ((r = output_add_item(o, &it, NULL)) < 0 || (a && (r = authority_chain(a, o)) < 0))
			err_set(e, "the certificate cannot be written: %s", gnutls_strerror(r));
		else
			result = 0;
	}
out:
	if (pub)
		gnutls_pubkey_deinit(pub);
	if (it.crt)
		gnutls_x509_crt_deinit(it.crt);
	return result;
}

/* --------------------------------------------------------------------------------------------------------- request */

static int set_csr_staple(gnutls_x509_crq_t csr)
{
	gnutls_x509_tlsfeatures_t features;
	int r = gnutls_x509_tlsfeatures_init(&features);

	if (r < 0)
		return r;
	if ((r = gnutls_x509_tlsfeatures_add(features, 5)) >= 0)
		r = gnutls_x509_crq_set_tlsfeatures(csr, features);
	gnutls_x509_tlsfeatures_deinit(features);
	return r;
}

static int fill_csr(const struct wish *w, gnutls_x509_crq_t csr, gnutls_pubkey_t pub)
{
	gnutls_digest_algorithm_t hash = GNUTLS_DIG_SHA256;
	int r;

	if ((r = gnutls_x509_crq_set_version(csr, 1)) < 0 || (r = gnutls_x509_crq_set_pubkey(csr, pub)) < 0
	    || (r = san_set_csr(&w->names, csr)) < 0)
		return r;
	if (!w->subject
	    && (r = gnutls_x509_crq_set_dn_by_oid(csr, GNUTLS_OID_X520_COMMON_NAME, 0, w->common,
						  (unsigned)strlen(w->common)))
		       < 0)
		return r;
	if (w->issue.must_staple && (r = set_csr_staple(csr)) < 0)
		return r;
	if ((r = gnutls_pubkey_get_preferred_hash_algorithm(pub, &hash, NULL)) < 0)
		return r;
	return gnutls_x509_crq_privkey_sign(csr, w->private, hash, 0);
}

static int make_csr(struct wish *w, struct item *key, struct output *o, struct err *e)
{
	struct item it = { .kind = ITEM_CSR };
	gnutls_pubkey_t pub = NULL;
	const char *at = NULL;
	int r = gnutls_x509_crq_init(&it.csr), result = -1;

	if (r >= 0)
		r = item_public(key, &pub);
	if (r >= 0 && w->subject && gnutls_x509_crq_set_dn(it.csr, w->subject, &at) < 0)
		subject_error(w, at, e);
	else if (r < 0 || (r = fill_csr(w, it.csr, pub)) < 0 || (r = output_add_item(o, &it, NULL)) < 0)
		err_set(e, "the request cannot be made: %s", gnutls_strerror(r));
	else
		result = 0;
	if (pub)
		gnutls_pubkey_deinit(pub);
	if (it.csr)
		gnutls_x509_crq_deinit(it.csr);
	return result;
}

/* -------------------------------------------------------------------------------------------------------- commands */

static void tell(const struct wish *w, const struct item *key)
{
	unsigned char id[32];
	char text[24];

	if (item_key_id(key, id) == 0)
		tool_note("key id %s", cert_key_id_text(id, text));
	if (!w->use_key)
		tool_note("the key is in %s%s", w->key, w->encrypt ? ", encrypted" : "");
	tool_note("the %s is in %s", w->on == ON_CSR ? "request" : "certificate", w->out);
	if (gnutls_x509_privkey_get_pk_algorithm(key->key) == GNUTLS_PK_EDDSA_ED25519 && w->on == ON_NEW
	    && !w->issue.client)
		tool_note(
			"browsers do not accept Ed25519: give the server an ECDSA or RSA certificate beside it");
	if (w->on == ON_CSR)
		tool_note("send the request to the authority; keep the key, and let nobody have it");
}

static int make(struct wish *w, struct err *e)
{
	struct output o[2] = { { .path = w->key, .key = true }, { .path = w->out } };
	struct output *first = w->use_key ? &o[1] : &o[0];
	unsigned n = w->use_key ? 1 : 2;
	struct authority a = { 0 };
	struct item *key = NULL;
	const char *phrase = NULL;
	int r = outputs_allowed(first, n, w->force, NULL, e);

	if (r == 0 && !w->use_key && !strcmp(w->key, w->out) && strcmp(w->out, "-") != 0) {
		err_set(e, "key and %s would go into one file %s",
			w->on == ON_CSR ? "request" : "certificate", w->out);
		r = err_remedy(
			e, "make two, and put them together by: bulkhead-cert convert KEY CERTIFICATE -o %s",
			w->out);
	}
	if (r == 0 && w->issue.ca)
		r = authority_open(&a, &w->issue, &w->phrase, e);
	if (r == 0 && w->encrypt)
		r = (phrase = phrase_text(&w->new_phrase, "the new private key", e)) ? 0 : -1;
	if (r == 0)
		r = get_key(w, &key, e);
	if (r == 0)
		r = w->on == ON_CSR ? make_csr(w, key, &o[1], e)
				    : make_certificate(w, key, w->issue.ca ? &a : NULL, &o[1], e);
	if (r == 0 && !w->use_key && output_add_item(&o[0], key, phrase) < 0)
		r = err_set(e, "the key cannot be written");
	if (r == 0)
		r = outputs_write(first, n, e);
	if (r == 0 && key)
		tell(w, key);
	outputs_free(o, 2);
	authority_close(&a);
	return r;
}

static int run(struct wish *w, int argc, char **argv)
{
	struct err e = { 0 };
	int status = parse(w, argc, argv);

	if (status == 0 && make(w, &e) != 0)
		status = tool_err(&e);
	if (w->private)
		gnutls_privkey_deinit(w->private);
	items_free(&w->keys);
	phrase_free(&w->phrase);
	phrase_free(&w->new_phrase);
	return status;
}

int tool_new(int argc, char **argv)
{
	static struct wish w = { .out = "", .key = "", .on = ON_NEW, .algorithm = "ecdsa-p256", .issue = { .days = 365 } };

	return run(&w, argc, argv);
}

int tool_csr(int argc, char **argv)
{
	static struct wish w = { .out = "", .key = "", .on = ON_CSR, .algorithm = "ecdsa-p256" };

	return run(&w, argc, argv);
}

int tool_ca(int argc, char **argv)
{
	static struct wish w = { .out = "", .key = "", .on = ON_CA,
				 .algorithm = "ecdsa-p384",
				 .issue = { .days = 3650, .authority = true } };

	return run(&w, argc, argv);
}
