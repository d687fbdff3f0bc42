/*
 * check_test.c - findings about certificates: for each fault a chain that has it and none other, made by certtool's templates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cert/check.h"

static char dir[64];

static const char script[] =
	"set -e; cd %s; exec >/dev/null 2>&1\n"
	"for k in root inter other leaf; do certtool -p --key-type=ecdsa --sec-param=high --outfile $k.key; done\n"
	"certtool -p --key-type=rsa --bits=1024 --outfile weak.key\n"
	"make() { certtool \"$@\"; }\n"
	"ca() { printf 'cn = \"%%s\"\\nca\\ncert_signing_key\\nexpiration_days = 3000\\n%%s\\n' \"$1\" \"$2\" >t; }\n"
	"leaf() { printf 'cn = \"www.example\"\\nsigning_key\\n%%s\\n' \"$1\" >t; }\n"
	"ca Root; certtool -s --load-privkey root.key --template t --outfile root.pem\n"
	"ca Root; certtool -s --load-privkey other.key --template t --outfile root2.pem\n"
	"ca Inter; certtool -c --load-privkey inter.key --load-ca-certificate root.pem --load-ca-privkey root.key --template t --outfile inter.pem\n"
	"ca Inter 'path_len = 0'; certtool -c --load-privkey other.key --load-ca-certificate root.pem --load-ca-privkey root.key --template t --outfile false.pem\n"
	"sign() { certtool -c --load-privkey ${2:-leaf}.key --load-ca-certificate inter.pem --load-ca-privkey inter.key --template t --outfile $1.pem $3; }\n"
	"N='dns_name = \"www.example\"\ntls_www_server\nip_address = 192.0.2.1'; D=\"$N\nexpiration_days = 200\"\n"
	"leaf \"$D\"; sign good\n"
	"leaf \"$D\nca_issuers_uri = \\\"http://ca.example/inter.der\\\"\"; sign aia\n"
	"leaf \"$D\ntls_feature = 5\"; sign staple\n"
	"leaf \"$N\nexpiration_days = 10\"; sign soon\n"
	"leaf \"$N\nactivation_date = \\\"2020-01-01 00:00:00\\\"\nexpiration_date = \\\"2021-01-01 00:00:00\\\"\"; sign old\n"
	"leaf \"$N\nactivation_date = \\\"2090-01-01 00:00:00\\\"\nexpiration_date = \\\"2091-01-01 00:00:00\\\"\"; sign future\n"
	"leaf 'expiration_days = 200'; sign nameless\n"
	"leaf 'dns_name = \"www.example\"\ntls_www_client\nexpiration_days = 200'; sign client\n"
	"leaf \"$D\"; sign weakkey weak; sign sha1 leaf --hash=SHA1\n"
	"leaf \"$D\"; certtool -s --load-privkey leaf.key --template t --outfile self.pem\n"
	"ca Root0 'path_len = 0'; certtool -s --load-privkey root.key --template t --outfile root0.pem\n"
	"ca Inter0; certtool -c --load-privkey other.key --load-ca-certificate root0.pem --load-ca-privkey root.key --template t --outfile inter0.pem\n"
	"leaf \"$D\"; certtool -c --load-privkey leaf.key --load-ca-certificate inter0.pem --load-ca-privkey other.key --template t --outfile deep.pem\n"
	"ca Ghost; certtool -s --load-privkey other.key --template t --outfile ghost.pem\n";

static int setup(void **state)
{
	char command[sizeof script + 64];

	(void)state;
	strcpy(dir, "/tmp/certcheck.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(command, sizeof command, script, dir);
	return system(command) ? -1 : 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command) ? -1 : 0;
}

static const char *at(const char *name)
{
	static char paths[8][256];
	static unsigned n;
	char *p = paths[n++ % 8];

	snprintf(p, 256, "%s/%s.pem", dir, name);
	return p;
}

/* files = names with blanks between; found = faults with blanks between, hints in brackets. */
struct row {
	const char *files, *trust, *name, *found, *words;
};

static void load(struct cert_chain *c, const char *files)
{
	char copy[256], *save = NULL;
	struct err e = { 0 };

	c->n = 0;
	snprintf(copy, sizeof copy, "%s", files);
	for (char *name = strtok_r(copy, " ", &save); name; name = strtok_r(NULL, " ", &save))
		if (cert_chain_append(c, at(name), &e) != 0)
			fail_msg("%s", e.text);
}

static void check_row(const struct row *r)
{
	const char *names[] = { r->name, NULL };
	gnutls_x509_trust_list_t trust = cert_trust_load(r->trust ? at(r->trust) : NULL, NULL);
	struct cert_chain c;
	struct cert_findings f;
	char found[512] = "", texts[8192] = "";

	load(&c, r->files);
	assert_non_null(trust);
	cert_check(&(struct cert_check){ &c, "FILE.pem", time(NULL), 21, names, trust }, &f);
	for (unsigned i = 0; i < f.n; i++) {
		size_t n = strlen(found), m = strlen(texts);
		snprintf(found + n, sizeof found - n, "%s%s%s%s", n ? " " : "", f.at[i].hint ? "(" : "", cert_fault_name(f.at[i].fault), f.at[i].hint ? ")" : "");
		snprintf(texts + m, sizeof texts - m, "%s; %s; %s\n", f.at[i].text, f.at[i].remedy, f.at[i].url);
		assert_true(f.at[i].text[0] && f.at[i].remedy[0] && strstr(f.at[i].text, "FILE.pem"));
		assert_in_range(f.at[i].at, 0, c.n - 1);
	}
	if (strcmp(found, r->found) != 0 || (r->words && !strstr(texts, r->words)))
		fail_msg("%s: found '%s', wanted '%s' and '%s':\n%s", r->files, found, r->found, r->words ? r->words : "", texts);
	cert_chain_free(&c);
	cert_trust_free(trust);
}

static void test_findings(void **state)
{
	static const struct row rows[] = {
		{ "good inter", "root", "www.example", "", NULL },
		{ "good inter", "root", "192.0.2.1", "", NULL },
		{ "good inter", "root", NULL, "", NULL },
		{ "good inter root", "root", NULL, "(root-sent)", "the root CN=Root" },
		{ "good inter", "root", "other.example", "name-missing", "does not cover the name other.example, but www.example" },
		{ "inter good", "root", "www.example", "order", "the host's own is not the first" },
		{ "good root inter", "root", NULL, "order (root-sent)", "wrong order" },
		{ "good", "root", NULL, "issuer-missing", "issuer CN=Inter is neither in FILE.pem" },
		{ "aia", "root", NULL, "issuer-missing", "it is at http://ca.example/inter.der" },
		{ "good inter", "ghost", NULL, "issuer-missing", "issuer CN=Root" },
		{ "good inter root", "ghost", NULL, "root-unknown", "ends in the root CN=Root" },
		{ "good inter ghost", "root", NULL, "(unrelated)", "of CN=Ghost in FILE.pem did not issue" },
		{ "good false", "root", NULL, "issuer-missing (unrelated)", "of CN=Inter in FILE.pem did not issue" },      /* the same name, another key */
		{ "good inter", "root2", NULL, "issuer-missing", "issuer CN=Root" },
		{ "deep inter0", "root0", NULL, "invalid", "does not hold" },
		{ "self", "root", NULL, "self-signed", "bulkhead-cert csr" },
		{ "self", "self", "www.example", "", NULL },
		{ "soon inter", "root", NULL, "expires-soon", " days; have it renewed" },
		{ "old inter", "root", NULL, "expired", "expired on 2021-01-01 00:00 UTC: browsers refuse it" },
		{ "future inter", "root", NULL, "not-yet-valid", "not valid before 2090" },
		{ "nameless inter", "root", "www.example", "no-names", "holds no names" },
		{ "client inter", "root", NULL, "purpose", "not for TLS servers" },
		{ "weakkey inter", "root", NULL, "weak-key", "RSA with 1024 bits" },
		{ "sha1 inter", "root", NULL, "weak-signature", "ECDSA-SHA1" },
		{ "staple inter", "root", NULL, "(must-staple)", "SSLUseStapling" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row(&rows[i]);
}

/* Nobody's trust store: who signed last is no finding then. */
static void test_without_trust(void **state)
{
	struct cert_chain c;
	struct cert_findings f;

	(void)state;
	load(&c, "inter good");
	cert_check(&(struct cert_check){ .chain = &c, .file = "F", .now = time(NULL), .days = 21 }, &f);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.at[0].fault, CERT_ORDER);
	assert_int_equal(f.norder, 2);
	assert_int_equal(f.order[0], 1);
	assert_int_equal(f.order[1], 0);
	cert_chain_free(&c);
	cert_check(&(struct cert_check){ .chain = &c, .file = "F" }, &f);
	assert_int_equal(f.n, 0);
}

static void test_days(void **state)
{
	struct cert_chain c;
	struct cert_findings f;
	time_t end;

	(void)state;
	load(&c, "good inter");
	end = gnutls_x509_crt_get_expiration_time(c.at[0]);
	for (int i = -1; i <= 1; i++) {
		cert_check(&(struct cert_check){ .chain = &c, .file = "F", .now = end - 21 * 86400 + i, .days = 21 }, &f);
		assert_int_equal(f.n, i >= 0);
		cert_check(&(struct cert_check){ .chain = &c, .file = "F", .now = end + i, .days = 0 }, &f);
		assert_int_equal(f.n ? (int)f.at[0].fault : -1, i < 0 ? -1 : i == 0 ? CERT_EXPIRES : CERT_EXPIRED);
	}
	cert_chain_free(&c);
}

static void test_trust(void **state)
{
	struct err e = { 0 };
	char subject[256];
	struct cert_chain c;

	(void)state;
	assert_null(cert_trust_load("/none", &e));
	assert_non_null(strstr(e.text, "/none"));
	memset(&e, 0, sizeof e);
	assert_null(cert_trust_load("/etc/hostname", &e));
	assert_true(e.remedy[0]);
	cert_trust_free(NULL);
	load(&c, "root");
	assert_string_equal(cert_subject(c.at[0], subject), "CN=Root");
	cert_chain_free(&c);
	for (int i = 0; i < CERT_FAULTS; i++)
		assert_non_null(cert_fault_name((enum cert_fault)i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_findings), cmocka_unit_test(test_without_trust), cmocka_unit_test(test_days), cmocka_unit_test(test_trust),
	};
	return cmocka_run_group_tests_name("cert/check", tests, setup, teardown);
}
