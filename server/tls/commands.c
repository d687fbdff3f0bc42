/*
 * commands.c - directives that set several things at once in words of another library: SSLOpenSSLConfCmd, GnuTLSPriorities,
 * SSLPolicy; and the names that mod_ssl once had. Runs in the master and in checking jobs.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tls/host.h"

static int named_protocols(const struct tls_named_policy *n);

/* ------------------------------------------------------------------------------------------------ SSLOpenSSLConfCmd */

static int set_version(struct conf_call *call, int *to, const char *word)
{
	static const struct { const char *word; int bit; } words[] = {
		{ "TLSv1", PROTO_TLS10 }, { "TLSv1.0", PROTO_TLS10 }, { "TLSv1.1", PROTO_TLS11 }, { "TLSv1.2", PROTO_TLS12 }, { "TLSv1.3", PROTO_TLS13 },
		{ "None", 0 }, { "SSLv3", 0 },
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcasecmp(word, words[i].word)) {
			*to = words[i].bit;
			if (words[i].bit & (PROTO_TLS10 | PROTO_TLS11))
				conf_warn(call, "write TLSv1.2 unless a client that cannot be replaced needs less", "TLS 1.0 and 1.1 are out of date (RFC 8996)");
			return 0;
		}
	return conf_fail(call, "write TLSv1, TLSv1.1, TLSv1.2, TLSv1.3 or None", "\"%s\" is no protocol", word);
}

static int min_protocol(struct conf_call *call, struct tls_policy *p, char *value) { return set_version(call, &p->min_protocol, value); }
static int max_protocol(struct conf_call *call, struct tls_policy *p, char *value) { return set_version(call, &p->max_protocol, value); }
static int cipher_string(struct conf_call *call, struct tls_policy *p, char *value) { return tls_set_ciphers(call, p, 1, (char *[]){ value }); }
static int groups(struct conf_call *call, struct tls_policy *p, char *value) { return tls_set_groups(call, p, value); }

static int suites13_list(struct conf_call *call, struct tls_policy *p, char *value)
{
	return tls_set_ciphers(call, p, 2, (char *[]){ (char *)(uintptr_t)"TLSv1.3", value });
}

static int old_groups(struct conf_call *call, struct tls_policy *p, char *value)
{
	if (strcasecmp(value, "Automatic") && strcasecmp(value, "Auto"))
		return tls_set_groups(call, p, value);
	conf_note(call, NULL, "without effect here: this is so anyway");
	return 0;
}

/* "-ALL,TLSv1.2": as SSLProtocol, with commas. */
static int protocol(struct conf_call *call, struct tls_policy *p, char *value)
{
	char *words[16], *rest = conf_strdup(call->env, value), *word;
	int n = 0;

	while ((word = strsep(&rest, ", ")))
		if (*word && n < 16)
			words[n++] = word;
	return tls_set_protocol(call, p, n, words);
}

/* Its names of signatures and GnuTLS's: in 1.3 those of ECDSA are bound to a curve. */
static const struct { const char *names[3]; const char *gnutls; } signatures[] = {
	{ { "ECDSA+SHA256", "ecdsa_secp256r1_sha256" }, "SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP256R1-SHA256" },
	{ { "ECDSA+SHA384", "ecdsa_secp384r1_sha384" }, "SIGN-ECDSA-SHA384:+SIGN-ECDSA-SECP384R1-SHA384" },
	{ { "ECDSA+SHA512", "ecdsa_secp521r1_sha512" }, "SIGN-ECDSA-SHA512:+SIGN-ECDSA-SECP521R1-SHA512" },
	{ { "ECDSA+SHA1", "ecdsa_sha1" }, "SIGN-ECDSA-SHA1" }, { { "ed25519" }, "SIGN-EDDSA-ED25519" }, { { "ed448" }, "SIGN-EDDSA-ED448" },
	{ { "RSA+SHA256", "rsa_pkcs1_sha256" }, "SIGN-RSA-SHA256" }, { { "RSA+SHA384", "rsa_pkcs1_sha384" }, "SIGN-RSA-SHA384" },
	{ { "RSA+SHA512", "rsa_pkcs1_sha512" }, "SIGN-RSA-SHA512" }, { { "RSA+SHA1", "rsa_pkcs1_sha1" }, "SIGN-RSA-SHA1" },
	{ { "RSA-PSS+SHA256", "PSS+SHA256", "rsa_pss_rsae_sha256" }, "SIGN-RSA-PSS-RSAE-SHA256" },
	{ { "RSA-PSS+SHA384", "PSS+SHA384", "rsa_pss_rsae_sha384" }, "SIGN-RSA-PSS-RSAE-SHA384" },
	{ { "RSA-PSS+SHA512", "PSS+SHA512", "rsa_pss_rsae_sha512" }, "SIGN-RSA-PSS-RSAE-SHA512" },
	{ { "rsa_pss_pss_sha256" }, "SIGN-RSA-PSS-SHA256" }, { { "rsa_pss_pss_sha384" }, "SIGN-RSA-PSS-SHA384" }, { { "rsa_pss_pss_sha512" }, "SIGN-RSA-PSS-SHA512" },
};

static const char *gnutls_signature(struct text name)
{
	for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
		for (size_t k = 0; k < 3 && signatures[i].names[k]; k++)
			if (text_is_nocase(name, signatures[i].names[k]))
				return signatures[i].gnutls;
	return NULL;
}

static int signature_list(struct conf_call *call, struct tls_policy *p, char *value)
{
	struct text rest = text_of(value), name;
	char text[1024];
	struct buf b;

	buf_init(&b, text, sizeof text);
	while (text_split(&rest, ':', &name)) {
		const char *gnutls = gnutls_signature(name);

		if (gnutls)
			buf_printf(&b, ":+%s", gnutls);
		else
			conf_warn(call, "ECDSA+SHA256, RSA-PSS+SHA256, RSA+SHA256, ed25519 and the like can be used",
				  "the signature algorithm %.*s is not available and left out", (int)name.n, name.p);
	}
	if (!b.n || b.full)
		return conf_fail(call, "write: ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256", "\"%s\" leaves no signature algorithm", value);
	p->signatures = conf_strdup(call->env, text + 2);     /* behind the first :+ */
	return 0;
}

static int option_list(struct conf_call *call, struct tls_policy *p, char *value)
{
	static const char *const idle[] = {
		"Bugs", "Compression", "DHSingle", "ECDHSingle", "EmptyFragments", "EncryptThenMac", "ExtendedMasterSecret", "KTLS", "MiddleboxCompat", "AntiReplay",
		"NoResumptionOnRenegotiation", "PrioritizeChaCha", "AllowNoDHEKEX", "PreferNoDHEKEX", "StrictCertCheck", "CANames", "UnsafeLegacyServerConnect",
		"UnsafeLegacyRenegotiation", "TxCertificateCompression", "RxCertificateCompression",
	};
	struct text rest = text_of(value), word;

	while (text_split(&rest, ',', &word)) {
		bool on = !word.n || *word.p != '-', known = false;

		if (word.n && (*word.p == '-' || *word.p == '+'))
			word = (struct text){ word.p + 1, word.n - 1 };
		if (text_is_nocase(word, "SessionTicket")) {
			p->tickets = on;
			continue;
		}
		if (text_is_nocase(word, "ServerPreference")) {
			p->honor_order = on;
			continue;
		}
		for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
			known |= text_is_nocase(word, idle[i]);
		if (!known)
			return conf_fail(call, "SessionTicket and ServerPreference have an effect", "OpenSSL has no option \"%.*s\"", (int)word.n, word.p);
		if (on && text_is_nocase(word, "UnsafeLegacyRenegotiation"))
			return conf_fail(call, "take it out", "renegotiation without RFC 5746 lets others speak in a client's name and does not exist here");
		conf_note(call, NULL, "the option %.*s has no effect here", (int)word.n, word.p);
	}
	return 0;
}

int tls_set_openssl_command(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*set)(struct conf_call *call, struct tls_policy *p, char *value);
		const char *instead;    /* the directive that does it here: the command is refused */
	} commands[] = {
		{ "Curves", groups, NULL }, { "Groups", groups, NULL }, { "ECDHParameters", old_groups, NULL }, { "MinProtocol", min_protocol, NULL },
		{ "MaxProtocol", max_protocol, NULL }, { "Protocol", protocol, NULL }, { "CipherString", cipher_string, NULL }, { "Ciphersuites", suites13_list, NULL },
		{ "SignatureAlgorithms", signature_list, NULL }, { "Options", option_list, NULL },
		{ "Certificate", NULL, "SSLCertificateFile" }, { "PrivateKey", NULL, "SSLCertificateKeyFile" }, { "VerifyMode", NULL, "SSLVerifyClient" },
		{ "ChainCAFile", NULL, "SSLCertificateChainFile" }, { "ChainCAPath", NULL, "SSLCertificateChainFile" }, { "ChainCAStore", NULL, "SSLCertificateChainFile" },
		{ "VerifyCAFile", NULL, "SSLCACertificateFile" }, { "VerifyCAPath", NULL, "SSLCACertificatePath" }, { "VerifyCAStore", NULL, "SSLCACertificateFile" },
		{ "ClientCAFile", NULL, "SSLCADNRequestFile" }, { "ClientCAPath", NULL, "SSLCADNRequestPath" }, { "ClientCAStore", NULL, "SSLCADNRequestFile" },
		{ "RequestCAFile", NULL, "SSLCADNRequestFile" }, { "RequestCAPath", NULL, "SSLCADNRequestPath" }, { "RequestCAStore", NULL, "SSLCADNRequestFile" },
		/* Without effect: what they ask for is so, or harms nobody. */
		{ "DHParameters", NULL, NULL }, { "ClientSignatureAlgorithms", NULL, NULL }, { "NumTickets", NULL, NULL }, { "RecordPadding", NULL, NULL },
		{ "ServerInfoFile", NULL, NULL }, { "NoRenegotiation", NULL, NULL }, { "AntiReplay", NULL, NULL }, { "TxCertificateCompression", NULL, NULL },
		{ "RxCertificateCompression", NULL, NULL },
	};

	(void)argc;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcasecmp(argv[0], commands[i].name))
			continue;
		if (commands[i].set)
			return commands[i].set(call, config, argv[1]);
		if (commands[i].instead)
			return conf_fail(call, conf_printf(call->env, "write: %s …", commands[i].instead), "the OpenSSL command %s is a directive of its own here",
					 commands[i].name);
		conf_note(call, NULL, "the OpenSSL command %s has no effect here%s", commands[i].name,
			  strcasecmp(argv[0], "DHParameters") ? "" : ": the standard groups of RFC 7919 are used");
		return 0;
	}
	return conf_fail(call, "MinProtocol, MaxProtocol, CipherString, Ciphersuites, Groups, SignatureAlgorithms and Options have an effect here",
			 "OpenSSL has no command \"%s\" for server configurations", argv[0]);
}

int tls_protocols_meant(const struct tls_policy *p)
{
	int written = p->protocols != CONF_UNSET ? p->protocols : p->named ? named_protocols(p->named) : PROTO_ALL;
	int low = p->min_protocol > 0 ? p->min_protocol : written & -written, high = PROTO_TLS13;

	if (p->min_protocol == CONF_UNSET && p->max_protocol == CONF_UNSET)
		return written;
	if (p->max_protocol > 0)
		high = p->max_protocol;
	else
		while (high > low && !(written & high))
			high >>= 1;
	if (low > high)
		low = high;
	return (high << 1) - low;               /* all bits from one to the other */
}

/* ------------------------------------------------------------------------------------------------ GnuTLSPriorities */

static unsigned protocol_bits(gnutls_priority_t priority)
{
	const unsigned *list;
	int n = gnutls_priority_protocol_list(priority, &list);
	unsigned bits = 0;

	for (int i = 0; i < n; i++)
		bits |= list[i] == GNUTLS_TLS1_3 ? PROTO_TLS13 : list[i] == GNUTLS_TLS1_2 ? PROTO_TLS12 : list[i] == GNUTLS_TLS1_1 ? PROTO_TLS11 :
			list[i] == GNUTLS_TLS1_0 ? PROTO_TLS10 : 0u;
	return bits;
}

/* The suites in order, as OpenSSL's names; those that GnuTLS has and this server's table has not are left out. */
static void suite_names(gnutls_priority_t priority, bool tls13, struct buf *b)
{
	unsigned which;
	int r;

	for (unsigned i = 0; (r = gnutls_priority_get_cipher_suite_index(priority, i, &which)) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; i++) {
		unsigned char id[2];
		const struct suite *s;

		if (r < 0 || !gnutls_cipher_suite_info(which, id, NULL, NULL, NULL, NULL))
			continue;
		s = suite_by_id((uint16_t)(id[0] << 8 | id[1]));
		if (s && (s->since == 0x0304) == tls13)
			buf_printf(b, "%s%s", b->n ? ":" : "", s->openssl);
	}
}

static void take_groups(gnutls_priority_t priority, struct tls_policy *p)
{
	const unsigned *list;
	int n = gnutls_priority_group_list(priority, &list);

	p->ngroups = 0;
	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < TLS_GROUPS; k++)
			if (!strcmp(gnutls_group_get_name(list[i]), tls_groups[k].gnutls) && p->ngroups < TLS_GROUPS)
				p->groups[p->ngroups++] = &tls_groups[k];
}

int tls_set_priorities(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;
	gnutls_priority_t priority;
	const char *at = argv[0];
	char text[4096], text13[512];
	struct buf b, b13;
	unsigned bits;

	(void)argc;
	if (gnutls_priority_init(&priority, argv[0], &at) < 0)
		return conf_fail(call, "see \"gnutls-cli --list\" and \"bulkhead ciphers\"", "GnuTLS does not understand it at \"%s\"", at);
	buf_init(&b, text, sizeof text);
	buf_init(&b13, text13, sizeof text13);
	suite_names(priority, false, &b);
	suite_names(priority, true, &b13);
	bits = protocol_bits(priority);
	take_groups(priority, p);
	gnutls_priority_deinit(priority);
	if (!b13.n)
		bits &= ~(unsigned)PROTO_TLS13;
	if (!b.n)
		bits &= PROTO_TLS13;
	if (!bits || b.full)
		return conf_fail(call, "write: GnuTLSPriorities NORMAL", "\"%s\" leaves no protocol or no cipher suite", argv[0]);
	p->protocols = (int)bits;
	p->ciphers = b.n ? conf_strdup(call->env, text) : NULL;
	p->ciphers13 = b13.n ? conf_strdup(call->env, text13) : NULL;
	p->ciphers_pos = p->ciphers13_pos = call->node->pos;
	p->honor_order = strstr(argv[0], "%SERVER_PRECEDENCE") != NULL;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ SSLPolicy */

/* Mozilla's recommendations, version 5.7. */
static const struct tls_named_policy {
	const char *name, *ciphers;
	int protocols;
	bool own_order;
} named[] = {
	{ "modern", NULL, PROTO_TLS13, false },
	{ "intermediate",
	  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
	  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305",
	  PROTO_TLS12 | PROTO_TLS13, false },
	{ "old",
	  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
	  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305:"
	  "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:"
	  "ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:"
	  "AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA",
	  PROTO_TLS10 | PROTO_TLS11 | PROTO_TLS12 | PROTO_TLS13, true },
};

static int named_protocols(const struct tls_named_policy *n)
{
	return n->protocols;
}

int tls_set_policy(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;

	(void)argc;
	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		if (!strcasecmp(argv[0], named[i].name)) {
			p->named = &named[i];
			p->named_pos = call->node->pos;
			if (named[i].protocols & PROTO_TLS10)
				conf_warn(call, "write intermediate unless clients that cannot be replaced need it", "the policy old lets TLS 1.0 and 1.1 in (RFC 8996)");
			return 0;
		}
	return conf_fail(call, "write modern, intermediate or old", "there is no policy \"%s\"", argv[0]);
}

/* What the host's own lines say goes before. */
void tls_take_policy(struct tls_policy *p)
{
	if (!p->named)
		return;
	if (p->honor_order == CONF_UNSET)
		p->honor_order = p->named->own_order;
	if (!p->ciphers) {
		p->ciphers = p->named->ciphers;
		p->ciphers_pos = p->named_pos;
	}
}

/* ------------------------------------------------------------------------------------------------ hosts and names in TLS */

int tls_set_sni_policy(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const words[] = { [SNI_SECURE] = "secure", [SNI_STRICT] = "strict", [SNI_AUTHONLY] = "authonly", [SNI_INSECURE] = "insecure" };
	struct tls_policy *p = config;

	(void)argc;
	for (int i = 0; i < (int)(sizeof words / sizeof *words); i++)
		if (!strcasecmp(argv[0], words[i])) {
			p->sni_policy = i;
			if (i == SNI_INSECURE)
				conf_warn(call, "write secure", "whoever may speak to one host of an address may speak to all, whatever certificates those ask for");
			return 0;
		}
	return conf_fail(call, "write strict, secure, authonly or insecure", "\"%s\" is not understood", argv[0]);
}
