/*
 * phrase.c - the command passphrase of bulkhead-cert: a private key gets a pass phrase, another one, or none. The file
 * is replaced as a whole; certificates in it stay.
 */
#include <getopt.h>
#include <string.h>

#include "cert/tool/tool.h"

enum change { ADD, CHANGE, REMOVE };

static int wrong_state(const struct items *s, enum change what, const struct item *key, struct err *e)
{
	if (what == ADD && key->encrypted) {
		err_set(e, "the private key in %s has a pass phrase", s->path);
		return err_remedy(e, "give it another one: bulkhead-cert passphrase change %s", s->path);
	}
	if (what != ADD && !key->encrypted) {
		err_set(e, "the private key in %s has no pass phrase", s->path);
		if (what == CHANGE)
			return err_remedy(e, "give it one: bulkhead-cert passphrase add %s", s->path);
		return err_remedy(
			e, "there is nothing to remove; see that only its owner can read it: chmod 400 %s",
			s->path);
	}
	return 0;
}

/* The whole file anew. A key in DER stays DER. */
static int fill(struct output *o, const struct items *s, const char *phrase, struct err *e)
{
	gnutls_datum_t der = { 0 };
	int r = 0;

	for (unsigned i = 0; i < s->n && r >= 0 && s->form == FORM_PEM; i++)
		r = output_add_item(o, &s->at[i], phrase);
	if (s->form == FORM_DER) {
		r = gnutls_x509_privkey_export2_pkcs8(s->at[0].key, GNUTLS_X509_FMT_DER, phrase,
						      phrase ? GNUTLS_PKCS_PBES2_AES_256 : GNUTLS_PKCS_PLAIN,
						      &der);
		if (r >= 0)
			r = output_add(o, der.data, der.size);
		if (der.data)
			gnutls_memset(der.data, 0, der.size);
		gnutls_free(der.data);
	}
	return r < 0 ? err_set(e, "the key cannot be written: %s", gnutls_strerror(r)) : 0;
}

/* Looks before it asks for anything. */
static int look(const char *path, enum change what, struct err *e)
{
	struct items s;
	struct item *key;
	int r = items_read(&s, path, NULL, e);

	if (r != 0 && s.form == FORM_PKCS12)
		err_set(e, "%s is PKCS#12", path);
	if (r == 0)
		r = (key = items_want(&s, ITEM_KEY, e)) ? wrong_state(&s, what, key, e) : -1;
	items_free(&s);
	return r;
}

static int change(const char *path, enum change what, struct phrase *old, struct phrase *new, struct err *e)
{
	struct output o = { .path = path, .key = true, .plain = what == REMOVE, .owner_only = what == REMOVE };
	const char *phrase = NULL;
	struct items s = { 0 };
	int r = look(path, what, e);

	if (r == 0)
		r = items_read(&s, path, old, e);
	if (r == 0 && what != REMOVE)
		r = (phrase = phrase_text(new, "the private key", e)) ? 0 : -1;
	if (r == 0)
		r = fill(&o, &s, phrase, e);
	if (r == 0)
		r = outputs_write(&o, 1, e);
	outputs_free(&o, 1);
	items_free(&s);
	return r;
}

static void tell(const char *path, enum change what)
{
	if (what != REMOVE) {
		tool_note("%s is encrypted with the new pass phrase", path);
		tool_note("a server that reads it must be told the phrase at each start: SSLPassPhraseDialog");
		return;
	}
	tool_note("%s has no pass phrase any more and can be read by its owner alone (mode 0400)", path);
	tool_note(
		"who can read it - root, a backup, a thief of the disk - can now pose as its owner; the server starts without asking");
}

int tool_passphrase(int argc, char **argv)
{
	static const struct option options[] = { { "phrase-file", 1, NULL, 'p' },
						 { "new-phrase-file", 1, NULL, 'n' },
						 { "quiet", 0, NULL, 'q' },
						 { 0 } };
	static const char *const words[] = { [ADD] = "add", [CHANGE] = "change", [REMOVE] = "remove" };
	struct phrase old = { .ask = true }, new = { .ask = true, .twice = true };
	struct err e = { 0 };
	int c, what, status = TOOL_GOOD;

	while ((c = getopt_long(argc, argv, ":q", options, NULL)) != -1) {
		if (c != 'p' && c != 'n' && c != 'q')
			return tool_bad_option(argv, c);
		tool_quiet |= c == 'q';
		old.file = c == 'p' ? optarg : old.file;
		new.file = c == 'n' ? optarg : new.file;
	}
	if (argc - optind != 2)
		return tool_misused(argv[0], "say add, change or remove, and one FILE");
	for (what = ADD; what <= REMOVE && strcmp(words[what], argv[optind]) != 0; what++)
		;
	if (what > REMOVE)
		return tool_misused(argv[0], "say add, change or remove, not %s", argv[optind]);
	if (!strcmp(argv[optind + 1], "-"))
		return tool_misused(argv[0], "a file is replaced: standard input cannot be");
	if (change(argv[optind + 1], (enum change)what, &old, &new, &e) != 0)
		status = tool_err(&e);
	else
		tell(argv[optind + 1], (enum change)what);
	phrase_free(&old);
	phrase_free(&new);
	return status;
}
