/*
 * check.c - the command check of bulkhead-cert: what clients will find wrong with a certificate in a file, or with what
 * a server sends. The findings are those that the server tells of its own certificates (check.h).
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <gnutls/ocsp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cert/check.h"
#include "cert/tool/tool.h"

enum { OPT_NAME = 256, OPT_DAYS, OPT_TRUST, OPT_CHAIN, OPT_FETCH, OPT_SNI, OPT_TIMEOUT, OPT_JSON };

#define NAMES_MAX 32
#define FETCHES 5               /* intermediates in a row; real chains have one or two */

struct exam {
	const char *target, *trust_file, *chain_file, *sni, *out;
	const char *names[NAMES_MAX + 1];
	unsigned nnames, days;
	bool fetch, json, net;
	int seconds;
	char host[256], port[8];
	struct items own, more, fetched[FETCHES];
	unsigned nfetched;
	struct shown shown;
	struct cert_chain chain;        /* borrows from the above */
	gnutls_x509_trust_list_t trust;
	struct cert_findings findings;
};

static const struct option options[] = { { "name", 1, NULL, OPT_NAME },
					 { "days", 1, NULL, OPT_DAYS },
					 { "trust", 1, NULL, OPT_TRUST },
					 { "chain", 1, NULL, OPT_CHAIN },
					 { "fetch", 0, NULL, OPT_FETCH },
					 { "sni", 1, NULL, OPT_SNI },
					 { "timeout", 1, NULL, OPT_TIMEOUT },
					 { "json", 0, NULL, OPT_JSON },
					 { "out", 1, NULL, 'o' },
					 { "quiet", 0, NULL, 'q' },
					 { 0 } };

/* HOST:PORT, [ADDRESS]:PORT; a file of that name goes before. */
static bool split_target(struct exam *x)
{
	const char *colon = strrchr(x->target, ':'), *host = x->target;
	size_t n = colon ? (size_t)(colon - host) : 0;

	if (!colon || !access(x->target, F_OK) || strchr(x->target, '/') || !colon[1]
	    || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5
	    || n >= sizeof x->host)
		return false;
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	snprintf(x->host, sizeof x->host, "%.*s", (int)n, host);
	snprintf(x->port, sizeof x->port, "%s", colon + 1);
	return n > 0;
}

static bool is_address(const char *s)
{
	unsigned char ip[16];

	return inet_pton(AF_INET, s, ip) == 1 || inet_pton(AF_INET6, s, ip) == 1;
}

static int take_option(struct exam *x, char **argv, int c)
{
	long n = 0;

	switch (c) {
	case 'o': x->out = optarg; break;
	case 'q': tool_quiet = true; break;
	case OPT_TRUST: x->trust_file = optarg; break;
	case OPT_CHAIN: x->chain_file = optarg; break;
	case OPT_FETCH: x->fetch = true; break;
	case OPT_SNI: x->sni = optarg; break;
	case OPT_JSON: x->json = true; break;
	case OPT_NAME:
		if (x->nnames == NAMES_MAX)
			return tool_misused(argv[0], "there are more than %d names", NAMES_MAX);
		x->names[x->nnames++] = optarg;
		break;
	case OPT_DAYS:
		n = tool_number(argv[0], "--days", optarg, 0, 36500);
		x->days = (unsigned)n;
		break;
	case OPT_TIMEOUT:
		n = tool_number(argv[0], "--timeout", optarg, 1, 3600);
		x->seconds = (int)n;
		break;
	default: return tool_bad_option(argv, c);
	}
	return n < 0 ? TOOL_TROUBLE : 0;
}

static int parse(struct exam *x, int argc, char **argv)
{
	int c, r;

	while ((c = getopt_long(argc, argv, ":o:q", options, NULL)) != -1)
		if ((r = take_option(x, argv, c)) != 0)
			return r;
	if (argc - optind != 1)
		return tool_misused(argv[0], "name one FILE or HOST:PORT");
	x->target = argv[optind];
	x->net = split_target(x);
	if (!x->net)
		return 0;
	if (!x->nnames)
		x->names[x->nnames++] = x->sni ? x->sni : x->host;
	if (!x->sni && !is_address(x->host))
		x->sni = x->host;
	return 0;
}

/* -------------------------------------------------------------------------------------------------------- the chain */

static int add_items(struct exam *x, const struct items *s, struct err *e)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->at[i].kind != ITEM_CERT)
			continue;
		if (x->chain.n == CERT_MAX_CHAIN) {
			err_set(e, "%s holds more than %d certificates", s->path, CERT_MAX_CHAIN);
			return err_remedy(
				e,
				"what a host sends is its own certificate and a few intermediate ones, not a store");
		}
		x->chain.at[x->chain.n++] = s->at[i].crt;
	}
	return 0;
}

static int get_chain(struct exam *x, struct err *e)
{
	if (x->net) {
		if (net_look(x->host, x->port, x->sni, x->seconds, &x->shown, e) != 0)
			return -1;
		x->chain = x->shown.chain;
		return 0;
	}
	if (items_read(&x->own, x->target, NULL, e) != 0) {
		if (x->own.form == FORM_PKCS12)
			err_remedy(e, "take it apart first");
		return -1;
	}
	if (!items_want(&x->own, ITEM_CERT, e) || add_items(x, &x->own, e) != 0)
		return -1;
	if (x->chain_file
	    && (items_read(&x->more, x->chain_file, NULL, e) != 0 || !items_want(&x->more, ITEM_CERT, e)
		|| add_items(x, &x->more, e) != 0))
		return -1;
	return 0;
}

static void look(struct exam *x)
{
	const struct cert_check check = { &x->chain, x->target, time(NULL), x->days, x->names, x->trust };

	cert_check(&check, &x->findings);
}

/* The missing issuer from where the certificate says. False: it could not be had, which is told. */
static bool fetch_one(struct exam *x, const struct cert_finding *missing)
{
	struct items *s = &x->fetched[x->nfetched];
	gnutls_datum_t body;
	struct err e = { 0 };
	const struct item *it;

	if (net_fetch(missing->url, x->seconds, &body, &e) != 0) {
		tool_err(&e);
		return false;
	}
	x->nfetched++;
	if (items_parse(s, missing->url, &body, &e) != 0 || !(it = items_want(s, ITEM_CERT, &e)))
		tool_err(&e);
	else if (!gnutls_x509_crt_check_issuer(x->chain.at[missing->at], it->crt))
		tool_fail("", "what %s gives is another certificate than the one that is missing", missing->url);
	else if (x->chain.n < CERT_MAX_CHAIN) {
		x->chain.at[x->chain.n++] = it->crt;
		gnutls_free(body.data);
		return true;
	}
	gnutls_free(body.data);
	return false;
}

static struct cert_finding *missing_in(struct cert_findings *f)
{
	for (unsigned i = 0; i < f->n; i++)
		if (f->at[i].fault == CERT_ISSUER_MISSING && *f->at[i].url)
			return &f->at[i];
	return NULL;
}

/* What was fetched is still missing in the file, so that finding stays; but the chain above it is looked at too. */
static void fetch_missing(struct exam *x)
{
	static struct cert_finding first;
	struct cert_finding *missing = missing_in(&x->findings);
	unsigned before = x->chain.n;

	if (!missing)
		return;
	first = *missing;
	while (missing && x->nfetched < FETCHES && fetch_one(x, missing)) {
		look(x);
		missing = missing_in(&x->findings);
	}
	if (x->chain.n == before)
		return;
	/* Only what stands in the file can be in the wrong place there. */
	for (unsigned i = x->findings.n; i-- > 0;)
		if (x->findings.at[i].fault == CERT_ORDER && x->findings.order[0] == 0)
			memmove(&x->findings.at[i], &x->findings.at[i + 1], (--x->findings.n - i) * sizeof first);
	*cert_finding_add(&x->findings, first.fault, first.at) = first;
	if (x->out)
		snprintf(x->findings.at[x->findings.n - 1].remedy, sizeof first.remedy,
			 "it was fetched from %s, and is in %s", first.url, x->out);
	else
		snprintf(x->findings.at[x->findings.n - 1].remedy, sizeof first.remedy,
			 "it was fetched from %s; write the whole chain with -o NEW", first.url);
}

/* ------------------------------------------------------------------------------------------------------- the server */

static void staple_finding(struct exam *x, const char *text, const char *remedy)
{
	struct cert_finding *one = cert_finding_add(&x->findings, CERT_STAPLE, 0);

	snprintf(one->text, sizeof one->text, "%s: %s", x->target, text);
	snprintf(one->remedy, sizeof one->remedy, "%s", remedy);
}

static void check_answer(struct exam *x)
{
	gnutls_ocsp_resp_t answer;
	unsigned status = 0, bad = 0;
	time_t next = 0;

	if (gnutls_ocsp_resp_init(&answer) < 0)
		return;
	if (gnutls_ocsp_resp_import(answer, &x->shown.answer) < 0
	    || gnutls_ocsp_resp_get_status(answer) != GNUTLS_OCSP_RESP_SUCCESSFUL
	    || gnutls_ocsp_resp_get_single(answer, 0, NULL, NULL, NULL, NULL, &status, NULL, &next, NULL,
					   NULL)
		       < 0
	    || gnutls_ocsp_resp_check_crt(answer, 0, x->chain.at[0]) < 0)
		staple_finding(x, "the stapled OCSP answer cannot be used for this certificate",
			       "see what the server's responder says: openssl s_client -status");
	else if (status == GNUTLS_OCSP_CERT_REVOKED)
		staple_finding(x, "the authority has revoked this certificate",
			       "get a new one for a new key: bulkhead-cert csr NAME");
	else if (next != (time_t)-1 && next < time(NULL))
		staple_finding(x, "the stapled OCSP answer is out of date",
			       "see why the server cannot renew it: its error log tells");
	else if (x->chain.n > 1 && gnutls_ocsp_resp_verify_direct(answer, x->chain.at[1], &bad, 0) >= 0 && bad)
		staple_finding(x, "the stapled OCSP answer is not signed by the certificate's authority",
			       "see which responder the server asks: SSLStaplingForceURL");
	gnutls_ocsp_resp_deinit(answer);
}

static void check_server(struct exam *x)
{
	if (!x->net)
		return;
	if (x->shown.stapled)
		check_answer(x);
	for (unsigned i = 0; i < x->findings.n; i++)
		if (x->findings.at[i].fault == CERT_MUST_STAPLE && !x->shown.stapled) {
			x->findings.at[i].hint = false;
			snprintf(x->findings.at[i].text, sizeof x->findings.at[i].text,
				 "%s: the certificate demands a stapled OCSP answer, and the server sends none: clients refuse it", x->target);
			snprintf(x->findings.at[i].remedy, sizeof x->findings.at[i].remedy,
				 "SSLUseStapling on; its error log tells why there is no answer");
		}
	if (strcmp(x->shown.protocol, "TLS1.3") != 0 && strcmp(x->shown.protocol, "TLS1.2") != 0) {
		struct cert_finding *one = cert_finding_add(&x->findings, CERT_PROTOCOL, 0);
		snprintf(one->text, sizeof one->text, "%s speaks %s at most: browsers refuse it", x->target,
			 x->shown.protocol);
		snprintf(one->remedy, sizeof one->remedy, "SSLProtocol -all +TLSv1.2 +TLSv1.3");
	}
}

/* ---------------------------------------------------------------------------------------------------------- output */

static bool good(const struct exam *x)
{
	for (unsigned i = 0; i < x->findings.n; i++)
		if (!x->findings.at[i].hint)
			return false;
	return true;
}

/* Of all that is sent: the first end counts. */
static long days_left(const struct exam *x)
{
	time_t end = 0;

	for (unsigned i = 0; i < x->findings.norder; i++) {
		time_t t = gnutls_x509_crt_get_expiration_time(x->chain.at[x->findings.order[i]]);
		end = !i || t < end ? t : end;
	}
	return (long)((end - time(NULL)) / 86400);
}

static int print_json(const struct exam *x)
{
	json_t *findings = json_array(), *chain = json_array(), *o;
	char text[sizeof x->findings.at[0].text], name[256];

	for (unsigned i = 0; i < x->findings.n; i++) {
		const struct cert_finding *f = &x->findings.at[i];

		snprintf(text, sizeof text, "%s", f->text);
		o = json_pack("{s:s, s:b, s:i, s:s}", "id", cert_fault_name(f->fault), "hint", f->hint,
			      "certificate", (int)f->at + 1, "text", tool_clean(text));
		snprintf(text, sizeof text, "%s", f->remedy);
		json_object_set_new(o, "remedy", json_string(tool_clean(text)));
		if (*f->url)
			json_object_set_new(o, "url", json_string(tool_clean(strcpy(text, f->url))));
		json_array_append_new(findings, o);
	}
	for (unsigned i = 0; i < x->chain.n; i++)
		json_array_append_new(chain, json_string(tool_clean(cert_subject(x->chain.at[i], name))));
	snprintf(text, sizeof text, "%s", x->target);
	o = json_pack("{s:s, s:b, s:I, s:o, s:o}", "target", tool_clean(text), "good", good(x), "days-left",
		      (json_int_t)days_left(x), "findings", findings, "chain", chain);
	if (x->net && o) {
		json_object_set_new(o, "protocol", json_string(x->shown.protocol));
		json_object_set_new(o, "suite", json_string(x->shown.suite));
		json_object_set_new(o, "stapled", json_boolean(x->shown.stapled));
		json_object_set_new(o, "sni", x->sni ? json_string(x->sni) : json_null());
	}
	return tool_print_json(o);
}

static void print_text(const struct exam *x)
{
	char text[1024];

	snprintf(text, sizeof text, "%s", x->target);
	printf("%s: ", tool_clean(text));
	if (x->net)
		printf("%s, %s%s, %s, ", x->shown.suite, x->sni ? "asked for " : "no name asked for",
		       x->sni ? x->sni : "", x->shown.stapled ? "OCSP answer stapled" : "no OCSP answer");
	printf("%u certificate%s\n", x->chain.n, x->chain.n == 1 ? "" : "s");
	for (unsigned i = 0; i < x->findings.n; i++) {
		snprintf(text, sizeof text, "%s", x->findings.at[i].text);
		printf("  %s: %s\n", x->findings.at[i].hint ? "hint" : "finding", tool_clean(text));
		snprintf(text, sizeof text, "%s", x->findings.at[i].remedy);
		if (*text)
			printf("      %s\n", tool_clean(text));
	}
	if (good(x))
		printf("  Good for %ld days.\n", days_left(x));
}

static int write_chain(const struct exam *x, struct err *e)
{
	struct output o = { .path = x->out };
	int r = outputs_allowed(&o, 1, false, NULL, e);

	for (unsigned i = 0; i < x->findings.norder && r == 0; i++) {
		const struct item it = { .kind = ITEM_CERT, .crt = x->chain.at[x->findings.order[i]] };

		if (i && gnutls_x509_crt_check_issuer(it.crt, it.crt))
			break;                          /* a root is of no use to clients */
		if (output_add_item(&o, &it, NULL) < 0)
			r = err_set(e, "out of memory");
	}
	if (r == 0)
		r = outputs_write(&o, 1, e);
	outputs_free(&o, 1);
	return r;
}

static int check(struct exam *x, struct err *e)
{
	x->trust = cert_trust_load(x->trust_file, e);
	if (!x->trust || get_chain(x, e) != 0)
		return -1;
	look(x);
	if (x->fetch)
		fetch_missing(x);
	check_server(x);
	return x->out ? write_chain(x, e) : 0;
}

int tool_check(int argc, char **argv)
{
	static struct exam x = { .days = CERT_WARN_DAYS, .seconds = 10 };
	struct err e = { 0 };
	int status = parse(&x, argc, argv), printed = 0;

	if (status != 0)
		return status;
	if (check(&x, &e) != 0) {
		status = tool_err(&e);
	} else {
		status = good(&x) ? TOOL_GOOD : TOOL_BAD;
		if (x.json)
			printed = print_json(&x);
		else if (!tool_quiet)
			print_text(&x);
	}
	cert_trust_free(x.trust);
	items_free(&x.own);
	items_free(&x.more);
	for (unsigned i = 0; i < x.nfetched; i++)
		items_free(&x.fetched[i]);
	cert_chain_free(&x.shown.chain);
	gnutls_free(x.shown.answer.data);
	return printed ? printed : status;
}
