/*
 * sign.c - the command sign of bulkhead-cert: a request becomes a certificate. Names and key come from the request,
 * everything else is decided here: a request that asks to be an authority does not become one.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert/tool/tool.h"

enum {
	OPT_CA = 256,
	OPT_CA_KEY,
	OPT_DAYS,
	OPT_CLIENT,
	OPT_STAPLE,
	OPT_CA_ISSUERS,
	OPT_OCSP,
	OPT_PHRASE,
	OPT_FORCE,
	OPT_SAN
};

struct order {
	const char *request, *out;
	bool yes, force;
	struct issue issue;
	struct san_list names;          /* --san; empty: those of the request */
	char path[CERT_PATH];
	struct phrase phrase;
};

static const struct option options[] = { { "ca", 1, NULL, OPT_CA },
					 { "ca-key", 1, NULL, OPT_CA_KEY },
					 { "days", 1, NULL, OPT_DAYS },
					 { "client", 0, NULL, OPT_CLIENT },
					 { "must-staple", 0, NULL, OPT_STAPLE },
					 { "ca-issuers", 1, NULL, OPT_CA_ISSUERS },
					 { "ocsp", 1, NULL, OPT_OCSP },
					 { "phrase-file", 1, NULL, OPT_PHRASE },
					 { "force", 0, NULL, OPT_FORCE },
					 { "san", 1, NULL, OPT_SAN },
					 { "out", 1, NULL, 'o' },
					 { "yes", 0, NULL, 'y' },
					 { "quiet", 0, NULL, 'q' },
					 { 0 } };

static int take_option(struct order *w, char **argv, int c)
{
	struct err e = { 0 };

	switch (c) {
	case 'o': w->out = optarg; return 0;
	case 'y': w->yes = true; return 0;
	case 'q': tool_quiet = true; return 0;
	case OPT_CA: w->issue.ca = optarg; return 0;
	case OPT_CA_KEY: w->issue.ca_key = optarg; return 0;
	case OPT_CLIENT: w->issue.client = true; return 0;
	case OPT_STAPLE: w->issue.must_staple = true; return 0;
	case OPT_CA_ISSUERS: w->issue.ca_issuers = optarg; return 0;
	case OPT_OCSP: w->issue.ocsp = optarg; return 0;
	case OPT_PHRASE: w->phrase.file = optarg; return 0;
	case OPT_FORCE: w->force = true; return 0;
	case OPT_SAN: return san_add(&w->names, optarg, &e) == 0 ? 0 : tool_err(&e);
	case OPT_DAYS:
		return (w->issue.days = tool_number(argv[0], "--days", optarg, 1, 36500)) < 0 ? TOOL_TROUBLE
											      : 0;
	default: return tool_bad_option(argv, c);
	}
}

/* The request's name with .pem for its ending. */
static const char *default_out(struct order *w)
{
	const char *slash = strrchr(w->request, '/'), *dot = strrchr(w->request, '.');
	size_t n = dot && dot > (slash ? slash + 1 : w->request) ? (size_t)(dot - w->request)
								 : strlen(w->request);

	if (!strcmp(w->request, "-"))
		return "-";
	snprintf(w->path, sizeof w->path, "%.*s%s", (int)n, w->request,
		 dot && !strcmp(dot, ".pem") ? "-signed.pem" : ".pem");
	return w->path;
}

static int parse(struct order *w, int argc, char **argv)
{
	int c, r;

	while ((c = getopt_long(argc, argv, ":o:yq", options, NULL)) != -1)
		if ((r = take_option(w, argv, c)) != 0)
			return r;
	if (argc - optind != 1)
		return tool_misused(argv[0], "name one request (CSR)");
	w->request = argv[optind];
	if (!w->issue.ca || !w->issue.ca_key)
		return tool_fail(
			"bulkhead-cert sign CSR --ca ca.pem --ca-key ca.key; an authority is made by: bulkhead-cert ca 'NAME'",
			"who signs? --ca and --ca-key are needed");
	if (!w->out)
		w->out = default_out(w);
	return 0;
}

/* ---------------------------------------------------------------------------------------------------- the request */

static int weak(const struct order *w, gnutls_pubkey_t pub, struct err *e)
{
	unsigned bits = 0;
	int algorithm = gnutls_pubkey_get_pk_algorithm(pub, &bits);

	if (w->force || (algorithm != GNUTLS_PK_DSA && !(algorithm == GNUTLS_PK_RSA && bits < 2048)))
		return 0;
	err_set(e, "the key in %s is too weak: %s with %u bits", w->request,
		gnutls_pk_get_name((gnutls_pk_algorithm_t)algorithm), bits);
	return err_remedy(e, "have the request made with a new key: bulkhead-cert csr NAME");
}

/* Without names in the request, its common name is one. */
static int names_of(struct order *w, gnutls_x509_crq_t csr, struct err *e)
{
	char common[256];
	size_t n = sizeof common;
	unsigned left;

	if (w->names.n)
		return 0;
	san_of_csr(&w->names, csr, &left);
	if (left)
		tool_note("names of other kinds in the request, left out: %u", left);
	if (w->names.n)
		return 0;
	if (gnutls_x509_crq_get_dn_by_oid(csr, GNUTLS_OID_X520_COMMON_NAME, 0, 0, common, &n) >= 0
	    && san_add(&w->names, common, NULL) == 0)
		return 0;
	err_set(e, "%s asks for no name", w->request);
	return err_remedy(e, "say which names the certificate is for: --san NAME");
}

/* What extensions the request has beside names: told, so that nobody thinks that they were taken over. */
static void tell_left_out(gnutls_x509_crq_t csr)
{
	static const struct { const char *oid, *words; } known[] = {
		{ "2.5.29.15", "key usage" }, { "2.5.29.19", "basic constraints" }, { "2.5.29.37", "purposes" },
		{ "1.3.6.1.5.5.7.1.24", "must-staple (say --must-staple)" }, { "2.5.29.14", "key identifier" },
	};

	for (unsigned i = 0;; i++) {
		char oid[128];
		const char *words = NULL;
		size_t n = sizeof oid;
		unsigned critical;

		if (gnutls_x509_crq_get_extension_info(csr, i, oid, &n, &critical) < 0)
			return;
		if (!strcmp(oid, "2.5.29.17") || !strcmp(oid, "2.5.29.14"))
			continue;
		for (size_t k = 0; k < sizeof known / sizeof *known; k++)
			if (!strcmp(oid, known[k].oid))
				words = known[k].words;
		tool_note("    asks for %s: decided here, not taken over", words ? words : oid);
	}
}

static void tell_request(const struct order *w, gnutls_x509_crq_t csr, const struct item *it)
{
	gnutls_datum_t dn = { 0 };
	unsigned char id[32];
	char text[300];

	tool_note("%s", w->request);
	if (gnutls_x509_crq_get_dn3(csr, &dn, 0) >= 0)
		tool_note("    subject %s", dn.data);
	gnutls_free(dn.data);
	for (unsigned i = 0; i < w->names.n; i++)
		tool_note("    name    %s", san_text(&w->names.at[i], text));
	if (item_key_id(it, id) == 0)
		tool_note("    key id  %s", cert_key_id_text(id, text));
	tell_left_out(csr);
}

/* On a terminal somebody looks at the names first. */
static bool agreed(const struct order *w)
{
	char answer[16];

	if (w->yes || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) || !strcmp(w->request, "-"))
		return true;
	fputs("Sign it for these names? [y/N] ", stderr);
	return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* ------------------------------------------------------------------------------------------------ the certificate */

static int copy_subject(gnutls_x509_crt_t crt, gnutls_x509_crq_t csr)
{
	gnutls_datum_t dn = { 0 };
	int r = gnutls_x509_crq_get_dn3(csr, &dn, 0);

	/* An empty subject stays empty: the names are in the extension. */
	if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return 0;
	if (r >= 0 && dn.size)
		r = gnutls_x509_crt_set_dn(crt, (const char *)dn.data, NULL);
	gnutls_free(dn.data);
	return r;
}

static int build(struct order *w, const struct item *request, gnutls_pubkey_t pub, const struct authority *a,
		 struct output *o, struct err *e)
{
	struct item it = { .kind = ITEM_CERT };
	int r = gnutls_x509_crt_init(&it.crt), result = -1;

	if (r >= 0)
		r = gnutls_x509_crt_set_pubkey(it.crt, pub);
	if (r >= 0)
		r = copy_subject(it.crt, request->csr);
	if (r >= 0)
		r = san_set_crt(&w->names, it.crt);
	if (r < 0)
		err_set(e, "the certificate cannot be made: %s", gnutls_strerror(r));
	else if (issue_certificate(it.crt, &w->issue, a, NULL, e) == 0) {
		if ((r = output_add_item(o, &it, NULL)) < 0 || (r = authority_chain(a, o)) < 0)
			err_set(e, "the certificate cannot be written: %s", gnutls_strerror(r));
		else
			result = 0;
	}
	if (it.crt)
		gnutls_x509_crt_deinit(it.crt);
	return result;
}

static int sign(struct order *w, struct items *requests, struct authority *a, struct output *o, struct err *e)
{
	struct item *request;
	gnutls_pubkey_t pub;
	int r;

	if (items_read(requests, w->request, NULL, e) != 0 || !(request = items_want(requests, ITEM_CSR, e)))
		return -1;
	if (gnutls_x509_crq_verify(request->csr, 0) < 0) {
		err_set(e,
			"the signature of the request in %s is wrong: who made it does not have its key, or it was changed",
			w->request);
		return err_remedy(e, "have it made anew: bulkhead-cert csr NAME");
	}
	if (item_public(request, &pub) < 0)
		return err_set(e, "the public key of the request in %s cannot be read", w->request);
	r = weak(w, pub, e);
	if (r == 0)
		r = names_of(w, request->csr, e);
	if (r == 0) {
		tell_request(w, request->csr, request);
		r = agreed(w) ? authority_open(a, &w->issue, &w->phrase, e) : err_set(e, "not signed");
	}
	if (r == 0)
		r = build(w, request, pub, a, o, e);
	gnutls_pubkey_deinit(pub);
	return r;
}

int tool_sign(int argc, char **argv)
{
	static struct order w = { .issue = { .days = 365 }, .phrase = { .ask = true } };
	static struct output o;
	struct items requests = { 0 };
	struct authority a = { 0 };
	struct err e = { 0 };
	int status = parse(&w, argc, argv);

	if (status != 0 || !w.out)
		return status;
	o.path = w.out;
	if (outputs_allowed(&o, 1, w.force, NULL, &e) != 0 || sign(&w, &requests, &a, &o, &e) != 0
	    || outputs_write(&o, 1, &e) != 0)
		status = tool_err(&e);
	else
		tool_note("the certificate is in %s", strcmp(w.out, "-") ? w.out : "standard output");
	outputs_free(&o, 1);
	authority_close(&a);
	items_free(&requests);
	phrase_free(&w.phrase);
	return status;
}
