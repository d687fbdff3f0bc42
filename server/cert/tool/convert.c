/*
 * convert.c - the command convert of bulkhead-cert: what files hold, in another form. What was encrypted stays so,
 * with the same phrase, unless it is said otherwise.
 */
#include <getopt.h>
#include <gnutls/pkcs12.h>
#include <stdlib.h>
#include <string.h>

#include "cert/tool/tool.h"

enum { OPT_ONLY = 256, OPT_PLAIN, OPT_ENCRYPT, OPT_NAME, OPT_PHRASE, OPT_NEW_PHRASE, OPT_FORCE };
enum to { TO_PEM, TO_DER, TO_PKCS12, TO_TRADITIONAL };

#define FILES_MAX 64

struct job {
	enum to to;
	unsigned only;                  /* bits of item_kind */
	bool plain, encrypt, force;
	const char *out, *name;
	struct phrase phrase, new_phrase;
	struct items files[FILES_MAX];
	unsigned n;
	struct item *chosen;            /* those of files; what they point to is theirs */
	unsigned nchosen;
	const char *secret;             /* what keys are encrypted with; NULL = not */
};

static const struct option options[] = { { "out", 1, NULL, 'o' },
					 { "to", 1, NULL, 't' },
					 { "only", 1, NULL, OPT_ONLY },
					 { "plain", 0, NULL, OPT_PLAIN },
					 { "encrypt", 0, NULL, OPT_ENCRYPT },
					 { "name", 1, NULL, OPT_NAME },
					 { "phrase-file", 1, NULL, OPT_PHRASE },
					 { "new-phrase-file", 1, NULL, OPT_NEW_PHRASE },
					 { "force", 0, NULL, OPT_FORCE },
					 { "quiet", 0, NULL, 'q' },
					 { 0 } };

static int set_to(struct job *j, const char *word)
{
	static const struct { const char *word; enum to to;
	} words[] = {
		{ "pem", TO_PEM },
		{ "pkcs8", TO_PEM },
		{ "der", TO_DER },
		{ "pkcs12", TO_PKCS12 },
		{ "p12", TO_PKCS12 },
		{ "pfx", TO_PKCS12 },
		{ "traditional", TO_TRADITIONAL },
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(words[i].word, word)) {
			j->to = words[i].to;
			if (!strcmp(word, "pkcs8"))
				j->only = ITEM_KEY;
			return 0;
		}
	return tool_misused("convert", "there is no form %s: pem, der, pkcs8, pkcs12 or traditional", word);
}

static int set_only(struct job *j, const char *word)
{
	j->only = !strcmp(word, "key")    ? ITEM_KEY
		  : !strcmp(word, "cert") ? ITEM_CERT
		  : !strcmp(word, "csr")  ? ITEM_CSR
		  : !strcmp(word, "crl")  ? ITEM_CRL
					  : 0;
	return j->only ? 0 : tool_misused("convert", "--only is for key, cert, csr or crl, not %s", word);
}

static int parse(struct job *j, int argc, char **argv)
{
	int c, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv, ":o:t:q", options, NULL)) != -1)
		switch (c) {
		case 'o': j->out = optarg; break;
		case 't': r = set_to(j, optarg); break;
		case 'q': tool_quiet = true; break;
		case OPT_ONLY: r = set_only(j, optarg); break;
		case OPT_PLAIN: j->plain = true; break;
		case OPT_ENCRYPT: j->encrypt = true; break;
		case OPT_NAME: j->name = optarg; break;
		case OPT_PHRASE: j->phrase.file = optarg; break;
		case OPT_NEW_PHRASE: j->new_phrase.file = optarg; j->encrypt = true; break;
		case OPT_FORCE: j->force = true; break;
		default: return tool_bad_option(argv, c);
		}
	if (r != 0)
		return r;
	if (optind == argc || argc - optind > FILES_MAX)
		return tool_misused(argv[0], "name 1 to %d files to read", FILES_MAX);
	if (!*j->out)
		return tool_misused(argv[0], "where to? -o OUT, - is standard output");
	if (j->plain && j->encrypt)
		return tool_misused(argv[0], "--plain or --encrypt, not both");
	if (j->plain && j->to == TO_PKCS12)
		return tool_fail("give it one by --new-phrase-file FILE",
				 "a PKCS#12 file without a pass phrase is refused by most programs");
	return 0;
}

/* --------------------------------------------------------------------------------------------------------- reading */

static int read_files(struct job *j, int argc, char **argv, struct err *e)
{
	unsigned all = 0;

	for (; optind < argc; optind++)
		if (items_read(&j->files[j->n++], argv[optind], &j->phrase, e) != 0)
			return -1;
	for (unsigned i = 0; i < j->n; i++)
		all += j->files[i].n;
	j->chosen = calloc(all + 1, sizeof *j->chosen);
	if (!j->chosen)
		return err_set(e, "out of memory");
	for (unsigned i = 0; i < j->n; i++)
		for (unsigned k = 0; k < j->files[i].n; k++)
			if (j->files[i].at[k].kind & j->only)
				j->chosen[j->nchosen++] = j->files[i].at[k];
	if (j->nchosen)
		return 0;
	for (unsigned kind = 1; kind <= ITEM_CRL; kind <<= 1)
		if (j->only == kind)
			return items_want(&j->files[0], (enum item_kind)kind, e) ? 0 : -1;
	return err_set(e, "there is nothing to convert");
}

static const struct item *chosen_key(const struct job *j)
{
	for (unsigned i = 0; i < j->nchosen; i++)
		if (j->chosen[i].kind == ITEM_KEY)
			return &j->chosen[i];
	return NULL;
}

/* With which phrase: a new one, the one it had, none. */
static int choose_secret(struct job *j, struct err *e)
{
	const struct item *key = chosen_key(j);

	if (j->plain || (!key && j->to != TO_PKCS12))
		return 0;
	if (key && key->encrypted && !j->encrypt)
		j->secret = phrase_text(&j->phrase, "the private key", e);
	else if (j->encrypt || j->to == TO_PKCS12)
		j->secret = phrase_text(&j->new_phrase, j->out, e);
	else
		return 0;
	return j->secret ? 0 : -1;
}

/* --------------------------------------------------------------------------------------------------------- writing */

static int add_der(const struct job *j, struct output *o, struct err *e)
{
	const struct item *it = &j->chosen[0];
	gnutls_datum_t d = { 0 };
	int r = 0;

	if (j->nchosen > 1) {
		err_set(e, "DER holds one object, and %u were read, the first of them %s", j->nchosen,
			item_words(it));
		return err_remedy(e, "choose by --only key, cert, csr or crl; or write them as PEM or PKCS#12");
	}
	if (it->crt)
		r = gnutls_x509_crt_export2(it->crt, GNUTLS_X509_FMT_DER, &d);
	else if (it->csr)
		r = gnutls_x509_crq_export2(it->csr, GNUTLS_X509_FMT_DER, &d);
	else if (it->crl)
		r = gnutls_x509_crl_export2(it->crl, GNUTLS_X509_FMT_DER, &d);
	else if (it->pub)
		r = gnutls_pubkey_export2(it->pub, GNUTLS_X509_FMT_DER, &d);
	else
		r = gnutls_x509_privkey_export2_pkcs8(
			it->key, GNUTLS_X509_FMT_DER, j->secret,
			j->secret ? GNUTLS_PKCS_PBES2_AES_256 : GNUTLS_PKCS_PLAIN, &d);
	if (r >= 0)
		r = output_add(o, d.data, d.size);
	if (d.data)
		gnutls_memset(d.data, 0, d.size);
	gnutls_free(d.data);
	return r < 0 ? err_set(e, "DER cannot be made: %s", gnutls_strerror(r)) : 0;
}

static int add_pem(const struct job *j, struct output *o, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; i < j->nchosen && r >= 0; i++) {
		const struct item *it = &j->chosen[i];
		gnutls_datum_t d = { 0 };

		if (j->to != TO_TRADITIONAL || !it->key) {
			r = output_add_item(o, it, j->secret);
			continue;
		}
		if (j->secret) {
			err_set(e, "the old form cannot be encrypted well");
			return err_remedy(e, "add --plain, or leave out --to traditional");
		}
		r = gnutls_x509_privkey_export2(it->key, GNUTLS_X509_FMT_PEM, &d);
		if (r >= 0)
			r = output_add(o, d.data, d.size);
		if (d.data)
			gnutls_memset(d.data, 0, d.size);
		gnutls_free(d.data);
	}
	return r < 0 ? err_set(e, "PEM cannot be made: %s", gnutls_strerror(r)) : 0;
}

/* The key and its certificate get one local key id, by which programs pair them. */
static int bag_object(gnutls_pkcs12_t p12, const struct job *j, const struct item *it,
		      const gnutls_datum_t *id, bool own)
{
	gnutls_pkcs12_bag_t bag;
	gnutls_datum_t d = { 0 };
	int r = gnutls_pkcs12_bag_init(&bag);

	if (r < 0)
		return r;
	if (it->key
	    && (r = gnutls_x509_privkey_export2_pkcs8(it->key, GNUTLS_X509_FMT_DER, j->secret,
						      GNUTLS_PKCS_PBES2_AES_256, &d))
		       >= 0)
		r = gnutls_pkcs12_bag_set_data(bag, GNUTLS_BAG_PKCS8_ENCRYPTED_KEY, &d);
	else if (it->crt)
		r = gnutls_pkcs12_bag_set_crt(bag, it->crt);
	else if (it->crl)
		r = gnutls_pkcs12_bag_set_crl(bag, it->crl);
	if (r >= 0 && own && (r = gnutls_pkcs12_bag_set_key_id(bag, 0, id)) >= 0)
		r = gnutls_pkcs12_bag_set_friendly_name(bag, 0, j->name ? j->name : "bulkhead");
	if (r >= 0 && !it->key)
		r = gnutls_pkcs12_bag_encrypt(bag, j->secret, GNUTLS_PKCS_PBES2_AES_256);
	if (r >= 0)
		r = gnutls_pkcs12_set_bag(p12, bag);
	gnutls_free(d.data);
	gnutls_pkcs12_bag_deinit(bag);
	return r < 0 ? r : 0;
}

static bool fits(const struct item *key, const struct item *it)
{
	unsigned char a[32], b[32];

	return key && it->kind == ITEM_CERT && item_key_id(key, a) == 0 && item_key_id(it, b) == 0
	       && memcmp(a, b, 32) == 0;
}

static int add_pkcs12(const struct job *j, struct output *o, struct err *e)
{
	const struct item *key = chosen_key(j);
	unsigned char hash[32] = "";
	gnutls_datum_t id = { hash, sizeof hash }, d = { 0 };
	gnutls_pkcs12_t p12;
	bool paired = !key;
	int r = gnutls_pkcs12_init(&p12);

	if (r < 0)
		return err_set(e, "out of memory");
	if (key)
		item_key_id(key, hash);
	for (unsigned i = 0; i < j->nchosen && r >= 0; i++) {
		const struct item *it = &j->chosen[i];
		bool own = key && (it == key || fits(key, it));

		paired |= own && it != key;
		if (it->kind == ITEM_CSR || it->kind == ITEM_PUBLIC)
			tool_note("%s is left out: PKCS#12 has no place for it", item_words(it));
		else
			r = bag_object(p12, j, it, &id, own);
	}
	if (r >= 0 && (r = gnutls_pkcs12_generate_mac2(p12, GNUTLS_MAC_SHA256, j->secret)) >= 0
	    && (r = gnutls_pkcs12_export2(p12, GNUTLS_X509_FMT_DER, &d)) >= 0)
		r = output_add(o, d.data, d.size);
	gnutls_free(d.data);
	gnutls_pkcs12_deinit(p12);
	o->key = true;
	if (r < 0)
		return err_set(e, "PKCS#12 cannot be made: %s", gnutls_strerror(r));
	if (!paired)
		tool_note("no certificate that was read belongs to the key: most programs want one");
	return 0;
}

static int convert(struct job *j, int argc, char **argv, struct err *e)
{
	struct output o = { .path = j->out };
	int r = read_files(j, argc, argv, e);

	o.key = r == 0 && (chosen_key(j) || j->to == TO_PKCS12);
	if (r == 0)
		r = outputs_allowed(&o, 1, j->force, NULL, e);
	if (r == 0)
		r = choose_secret(j, e);
	if (r == 0)
		r = j->to == TO_DER      ? add_der(j, &o, e)
		    : j->to == TO_PKCS12 ? add_pkcs12(j, &o, e)
					 : add_pem(j, &o, e);
	o.plain = o.key && !j->secret;
	if (r == 0)
		r = outputs_write(&o, 1, e);
	if (r == 0 && o.key && strcmp(j->out, "-") != 0)
		tool_note("%s holds a private key%s", j->out,
			  j->secret ? ", encrypted"
				    : " without a pass phrase: keep it where only its owner can read it");
	outputs_free(&o, 1);
	return r;
}

int tool_convert(int argc, char **argv)
{
	static struct job j = { .only = ITEM_ANY, .out = "",
				.phrase = { .ask = true },
				.new_phrase = { .ask = true, .twice = true } };
	struct err e = { 0 };
	int status = parse(&j, argc, argv);

	if (status == 0 && convert(&j, argc, argv, &e) != 0)
		status = tool_err(&e);
	for (unsigned i = 0; i < j.n; i++)
		items_free(&j.files[i]);
	free(j.chosen);
	phrase_free(&j.phrase);
	phrase_free(&j.new_phrase);
	return status;
}
