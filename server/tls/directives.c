/*
 * directives.c - the table of mod_ssl's directives, and the setters of all but those about kept sessions (sessions.c).
 * What can restrict access and is not here yet refuses the start; what only changes how well things go is told once.
 * Runs in the master and in checking jobs.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cert/token.h"
#include "tls/host.h"
#include "tls/variables.h"

const struct tls_group tls_groups[TLS_GROUPS] = {
	{ 0x001d, "X25519", { "X25519", "x25519", "x25519" } },
	{ 0x0017, "SECP256R1", { "prime256v1", "P-256", "secp256r1" } },
	{ 0x0018, "SECP384R1", { "secp384r1", "P-384", "secp384r1" } },
	{ 0x0019, "SECP521R1", { "secp521r1", "P-521", "secp521r1" } },
	{ 0x001e, "X448", { "X448", "x448", "x448" } },
	{ 0x0100, "FFDHE2048", { "ffdhe2048", "ffdhe2048", "ffdhe2048" } },
	{ 0x0101, "FFDHE3072", { "ffdhe3072", "ffdhe3072", "ffdhe3072" } },
	{ 0x0102, "FFDHE4096", { "ffdhe4096", "ffdhe4096", "ffdhe4096" } },
	{ 0x0103, "FFDHE6144", { "ffdhe6144", "ffdhe6144", "ffdhe6144" } },
	{ 0x0104, "FFDHE8192", { "ffdhe8192", "ffdhe8192", "ffdhe8192" } },
};

/* ------------------------------------------------------------------------------------------------ SSLEngine, protocols */

static int set_engine(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;

	(void)argc;
	if (!strcasecmp(argv[0], "on") || !strcasecmp(argv[0], "off")) {
		p->engine = !strcasecmp(argv[0], "on");
		p->engine_pos = call->node->pos;
		return 0;
	}
	if (!strcasecmp(argv[0], "optional"))
		return conf_fail(
			call,
			"write \"on\" in the host of the TLS port and serve plain HTTP from another port",
			"upgrading plain connections to TLS (RFC 2817) is not supported");
	return conf_fail(call, "write On or Off", "\"%s\" is not understood: it must be On or Off", argv[0]);
}

static const struct { const char *word; unsigned bits; } protocol_words[] = {
	{ "all", PROTO_ALL }, { "TLSv1", PROTO_TLS10 }, { "TLSv1.1", PROTO_TLS11 }, { "TLSv1.2", PROTO_TLS12 }, { "TLSv1.3", PROTO_TLS13 },
	{ "SSLv2", 0 }, { "SSLv3", 0 },
};

int tls_set_protocol(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;
	unsigned all = 0;

	for (int n = 0; n < argc; n++) {
		const char *word = argv[n];
		char sign = *word == '+' || *word == '-' ? *word++ : '\0';
		size_t i, count = sizeof protocol_words / sizeof *protocol_words;
		for (i = 0; i < count && strcasecmp(word, protocol_words[i].word); i++)
			;
		if (i == count)
			return conf_fail(
				call,
				"write all, TLSv1.3, TLSv1.2, TLSv1.1 or TLSv1, with + or - before the word",
				"\"%s\" is no protocol", word);
		if (!protocol_words[i].bits && sign != '-')
			return conf_fail(call,
					 "take the word out: SSL 2 and 3 are broken (RFC 6176, RFC 7568)",
					 "%s is not supported", word);
		if (sign == '-') {
			all &= ~protocol_words[i].bits;
		} else if (sign == '+') {
			all |= protocol_words[i].bits;
		} else {
			if (all)
				conf_warn(call, "put a + or - before the word",
					  "\"%s\" replaces what stands before it", word);
			all = protocol_words[i].bits;
		}
	}
	if (!all)
		return conf_fail(call, "write: SSLProtocol all", "no protocol is left");
	if (all & (PROTO_TLS10 | PROTO_TLS11))
		conf_warn(call, "leave them out unless a client that cannot be replaced needs them",
			  "TLS 1.0 and 1.1 are out of date (RFC 8996)");
	p->protocols = (int)all;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ suites, groups */

static void say_of_word(void *ctx, const char *word, const char *why)
{
	conf_warn(ctx, NULL, "%s %s", word, why);
}

/* The policy of the host around a line that may stand in sections, too; NULL in .htaccess. */
static struct tls_policy *host_around(struct conf_call *call)
{
	void **host = call->target->host && !((unsigned)call->context & CONF_HTACCESS) ? &call->target->host[call->module->index] : NULL;

	if (host && !*host)
		*host = call->module->create_host(call->env);
	return host ? *host : NULL;
}

static bool in_host(const struct conf_call *call)
{
	return call->context == CONF_SERVER || call->context == CONF_HOST;
}

/* Apache negotiates anew where a section wants other suites; here the section keeps out who has none of them. */
static int set_section_ciphers(struct conf_call *call, struct tls_section *s, const struct suite_list *list, bool tls13)
{
	struct suite_list *own = conf_alloc(call->env, sizeof *own);

	*own = *list;
	*(tls13 ? &s->suites13 : &s->suites) = own;
	if (!((unsigned)call->context & CONF_HTACCESS))
		conf_note(call, "suites are chosen in the handshake, by the host's own SSLCipherSuite",
			  "no other suite is negotiated for a section: requests over connections %s with a suite that is not in this list get 403",
			  tls13 ? "of TLS 1.3" : "before TLS 1.3");
	return 0;
}

int tls_set_ciphers(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = in_host(call) ? host_around(call) : NULL;
	struct suite_list list;
	struct err e = { 0 };
	bool tls13 = false;

	if (argc == 2) {
		tls13 = !strcasecmp(argv[0], "TLSv1.3");
		if (!tls13 && strcasecmp(argv[0], "SSL"))
			return conf_fail(
				call,
				"write SSL or TLSv1.3, then the suites; a list with blanks needs quotes",
				"\"%s\" is no protocol here", argv[0]);
	}
	if (!tls13 && !strcmp(argv[argc - 1], "PROFILE=SYSTEM")) {
		conf_note(
			call, NULL,
			"PROFILE=SYSTEM means the server's own choice here: there is no system policy to follow");
		if (p)
			p->ciphers = NULL;
		return 0;
	}
	if ((tls13 ? cipherstring_eval13(argv[argc - 1], &list, &e)
		   : cipherstring_eval(argv[argc - 1], &list, say_of_word, call, &e))
	    != 0)
		return conf_fail(call, e.remedy[0] ? conf_strdup(call->env, e.remedy) : NULL, "%s", e.text);
	if (!p)
		return set_section_ciphers(call, config, &list, tls13);
	for (unsigned i = 0; i < list.n; i++)
		if (list.at[i]->auth == AUTH_NULL) {
			conf_warn(call, "take aNULL, ADH, AECDH and the like out",
				  "suites without certificates are allowed (%s): whoever is between server and client can read and change everything",
				  list.at[i]->openssl);
			break;
		}
	*(tls13 ? &p->ciphers13 : &p->ciphers) = argv[argc - 1];
	*(tls13 ? &p->ciphers13_pos : &p->ciphers_pos) = call->node->pos;
	return 0;
}

static const struct tls_group *find_group(struct text name)
{
	for (size_t i = 0; i < TLS_GROUPS; i++)
		for (size_t k = 0; k < 3; k++)
			if (text_is_nocase(name, tls_groups[i].names[k]))
				return &tls_groups[i];
	return NULL;
}

int tls_set_groups(struct conf_call *call, struct tls_policy *p, const char *value)
{
	struct text rest = text_of(value), name;
	const struct tls_group *groups[TLS_GROUPS];
	unsigned n = 0;

	while (text_split(&rest, ':', &name)) {
		const struct tls_group *g = find_group(name);
		bool twice = false;
		if (!g) {
			conf_warn(call, "X25519, prime256v1, secp384r1, secp521r1, X448 and ffdhe2048 to ffdhe8192 can be used",
				  "the group %.*s is not available and left out", (int)name.n, name.p);
			continue;
		}
		for (unsigned i = 0; i < n; i++)
			twice |= groups[i] == g;
		if (!twice)
			groups[n++] = g;
	}
	if (n == 0)
		return conf_fail(call, "write: X25519:prime256v1:secp384r1", "\"%s\" leaves no group", value);
	memcpy(p->groups, groups, n * sizeof *groups);
	p->ngroups = n;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ files */

static int add_file(struct conf_call *call, struct tls_file *files, unsigned *n, const char *path)
{
	if (*n == TLS_MAX_KEYS)
		return conf_fail(call, NULL, "more than %d of them in one host", TLS_MAX_KEYS);
	files[*n].path = token_is_uri(path) ? conf_strdup(call->env, path) : conf_path(call->env, path);
	files[(*n)++].pos = call->node->pos;
	return 0;
}

static int set_certificate(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;

	(void)argc;
	return add_file(call, p->certs, &p->ncerts, argv[0]);
}

static int set_key(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;

	(void)argc;
	return add_file(call, p->keys, &p->nkeys, argv[0]);
}

static int set_chain(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;

	(void)argc;
	p->chain = (struct tls_file){ conf_path(call->env, argv[0]), call->node->pos };
	return 0;
}

/* ------------------------------------------------------------------------------------------------ SSLOptions */

static int set_options(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct { const char *word; unsigned bit; } options[] = {
		{ "StdEnvVars", TLS_OPT_STDENVVARS }, { "ExportCertData", TLS_OPT_EXPORTCERTDATA }, { "FakeBasicAuth", TLS_OPT_FAKEBASICAUTH },
		{ "StrictRequire", TLS_OPT_STRICTREQUIRE }, { "OptRenegotiate", TLS_OPT_OPTRENEGOTIATE },
		{ "LegacyDNStringFormat", TLS_OPT_LEGACYDN },
	};
	struct tls_section *s = config;
	bool cleared = false;

	for (int n = 0; n < argc; n++) {
		const char *word = argv[n];
		char sign = *word == '+' || *word == '-' ? *word++ : '\0';
		size_t i, count = sizeof options / sizeof *options;
		for (i = 0; i < count && strcasecmp(word, options[i].word); i++)
			;
		if (i == count)
			return conf_fail(
				call,
				"StdEnvVars, ExportCertData, FakeBasicAuth, StrictRequire, OptRenegotiate and LegacyDNStringFormat are known",
				"\"%s\" is no option", word);
		if (!sign && !cleared) {
			*s = (struct tls_section){ .whole = true };
			cleared = true;
		}
		if (options[i].bit == TLS_OPT_OPTRENEGOTIATE && sign != '-')
			conf_note(call, "take the word out", "%s changes nothing: a client is asked again only where that is needed", options[i].word);
		if (sign == '-') {
			s->add &= ~options[i].bit;
			s->del |= options[i].bit;
		} else {
			s->add |= options[i].bit;
			s->del &= ~options[i].bit;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ checked, little or no effect */

static int set_random_seed(struct conf_call *call, void *config, int argc, char **argv)
{
	uint64_t bytes;

	(void)config;
	if (strcasecmp(argv[0], "startup") && strcasecmp(argv[0], "connect"))
		return conf_fail(call, "write startup or connect", "\"%s\" is not understood", argv[0]);
	if (argc == 3 && text_u64(text_of(argv[2]), INT32_MAX, &bytes) != 0)
		return conf_fail(call, "write: SSLRandomSeed startup builtin",
				 "\"%s\" is not a number of bytes", argv[2]);
	if (!strcasecmp(argv[1], "builtin") || !strcmp(argv[1], "file:/dev/random")
	    || !strcmp(argv[1], "file:/dev/urandom"))
		return 0;
	if (strncasecmp(argv[1], "file:", 5) && strncasecmp(argv[1], "exec:", 5)
	    && strncasecmp(argv[1], "egd:", 4) && argv[1][0] != '/')
		return conf_fail(call, "write: SSLRandomSeed startup builtin",
				 "\"%s\" is no source of randomness", argv[1]);
	conf_note(call, NULL, "%s is not asked: randomness comes from the kernel", argv[1]);
	return 0;
}

/* The program is looked at when it is needed: a reload works without it. */
static int set_phrase_dialog(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_dialog *d = &((struct tls_policy *)config)->dialog;
	const char *command;

	(void)argc;
	if (!strcasecmp(argv[0], "builtin")) {
		*d = (struct tls_dialog){ TLS_DIALOG_BUILTIN, NULL, call->node->pos };
		return 0;
	}
	command = argv[0][0] == '|' ? argv[0] + 1 : !strncasecmp(argv[0], "exec:", 5) ? argv[0] + 5 : NULL;
	if (!command || !*command)
		return conf_fail(call, "write builtin, exec:PATH or |PATH", "\"%s\" is not understood", argv[0]);
	*d = (struct tls_dialog){ argv[0][0] == '|' ? TLS_DIALOG_PIPE : TLS_DIALOG_EXEC, conf_path(call->env, command),
				  call->node->pos };
	return 0;
}

/* ------------------------------------------------------------------------------------------------ certificates of clients */

static int set_verify_client(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const words[] = {
		[TLS_VERIFY_NONE] = "none", [TLS_VERIFY_OPTIONAL_NO_CA] = "optional_no_ca", [TLS_VERIFY_OPTIONAL] = "optional", [TLS_VERIFY_REQUIRE] = "require",
	};
	struct tls_policy *host = host_around(call);
	struct tls_place *place;
	int verify = 0, count = sizeof words / sizeof *words;

	(void)argc;
	while (strcasecmp(argv[0], "off") && verify < count && strcasecmp(argv[0], words[verify]))
		verify++;
	if (verify == count)
		return conf_fail(call, "write none, optional, require or optional_no_ca", "\"%s\" is not understood", argv[0]);
	if (in_host(call) && host) {
		host->verify = verify;
		host->verify_pos = call->node->pos;
		return 0;
	}
	((struct tls_section *)config)->verify = verify;
	if (host) {
		place = conf_alloc(call->env, sizeof *place);
		*place = (struct tls_place){ verify, call->node->pos, host->places };
		host->places = place;
	}
	return 0;
}

static int set_verify_depth(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *host = host_around(call);
	uint64_t depth;

	(void)argc;
	if (text_u64(text_of(argv[0]), 100, &depth) != 0)
		return conf_fail(call, "write a number from 0 to 100", "\"%s\" is not a number", argv[0]);
	*(in_host(call) && host ? &host->depth : &((struct tls_section *)config)->depth) = (int)depth;
	return 0;
}

/* A file or folder: the place for it is at the directive's offset. */
static int set_file(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_file *f = (struct tls_file *)(void *)((char *)config + call->directive->offset);
	struct stat st;

	(void)argc;
	*f = (struct tls_file){ conf_path(call->env, argv[0]), call->node->pos };
	if (stat(f->path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))    /* also where the host has no TLS as yet, as in Apache */
		return conf_fail(call, "mend the name, or take the line out", "there is no %s", f->path);
	return 0;
}

static int set_revocation_check(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const words[] = { [CRL_CHECK_NONE] = "none", [CRL_CHECK_LEAF] = "leaf", [CRL_CHECK_CHAIN] = "chain" };
	struct tls_policy *p = config;
	int check = 0, count = sizeof words / sizeof *words;

	while (check < count && strcasecmp(argv[0], words[check]))
		check++;
	if (check == count)
		return conf_fail(call, "write none, leaf or chain", "\"%s\" is not understood", argv[0]);
	if (argc == 2 && strcasecmp(argv[1], "no_crl_for_cert_ok"))
		return conf_fail(call, "behind leaf or chain, only no_crl_for_cert_ok is known", "\"%s\" is not understood", argv[1]);
	p->crl_check = check;
	p->crl_lenient = argc == 2;
	p->crl_check_pos = call->node->pos;
	return 0;
}

static int set_user_name(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	if (strncmp(argv[0], "SSL_", 4) != 0)
		return conf_fail(call, "write: SSLUserName SSL_CLIENT_S_DN_CN", "\"%s\" is no variable of TLS", argv[0]);
	if (!tls_variable_known(argv[0]))
		conf_warn(call, "write: SSLUserName SSL_CLIENT_S_DN_CN", "there is no variable %s here: no user will have a name by it", argv[0]);
	((struct tls_section *)config)->user = argv[0];
	return 0;
}

/* On is refused with the reason in extra, Off is so anyway. */
static int set_never_on(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config, (void)argc;
	return strcasecmp(argv[0], "on") ? 0
					 : conf_fail(call, "write off, or take the line out", "%s",
						     (const char *)call->directive->extra);
}

static int set_crypto_device(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config, (void)argc;
	return !strcasecmp(argv[0], "builtin")
		       ? 0
		       : conf_fail(call, "write: SSLCryptoDevice builtin",
				   "OpenSSL's engine \"%s\" has no counterpart here", argv[0]);
}

/* ------------------------------------------------------------------------------------------------ the table */

#define AT(member) .offset = offsetof(struct tls_policy, member)
#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_AUTHCONFIG, .scope = CONF_OF_SECTION
#define ONE .args = CONF_TAKE, .min = 1, .max = 1
#define NOTICE(why) .set = conf_set_notice, .extra = (why)
#define OLD(instead) "refused: of an old release", NULL, .contexts = CONF_RSRC, .args = CONF_RAW, .set = conf_set_refused, .extra = "write in its place: " instead

const struct conf_directive tls_directives[] = {
	{ "SSLEngine", "TLS for this host: on or off", "off", .contexts = CONF_RSRC, ONE, .set = set_engine },
	{ "SSLProtocol", "protocol versions: all, TLSv1.3, TLSv1.2, TLSv1.1, TLSv1, with + and -", "all", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1,
	  .set = tls_set_protocol },
	{ "SSLCipherSuite", "cipher suites, as OpenSSL writes them; after the word TLSv1.3 those of TLS 1.3", NULL, EVERYWHERE, .args = CONF_TAKE,
	  .min = 1, .max = 2, .set = tls_set_ciphers },
	{ "SSLHonorCipherOrder", "the order of SSLCipherSuite counts, not the client's", "off (on while SSLCipherSuite is not given)", .contexts = CONF_RSRC,
	  .args = CONF_FLAG, .set = conf_set_flag, AT(honor_order) },
	{ "SSLPolicy", "protocols and suites by name: modern, intermediate or old (Mozilla's)", NULL, .contexts = CONF_RSRC, ONE, .set = tls_set_policy },
	{ "GnuTLSPriorities", "protocols, suites and groups as a priority string of GnuTLS", NULL, .contexts = CONF_RSRC, ONE, .set = tls_set_priorities },
	{ "SSLVHostSNIPolicy", "how alike hosts must be that share a connection: strict, secure, authonly or insecure", "secure", .contexts = CONF_GLOBAL, ONE,
	  .set = tls_set_sni_policy },
	{ "SSLOpenSSLConfCmd", "a command of OpenSSL's: MinProtocol, MaxProtocol, CipherString, Groups, SignatureAlgorithms, Options …", NULL, .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 2, .max = 2,
	  .set = tls_set_openssl_command },
	{ "SSLCertificateFile", "the host's certificate, with its chain behind it; several for several kinds of keys", NULL, .contexts = CONF_RSRC, ONE,
	  .set = set_certificate },
	{ "SSLCertificateKeyFile", "the private key, where it is not in the certificate's file", NULL, .contexts = CONF_RSRC, ONE, .set = set_key },
	{ "SSLCertificateChainFile", "intermediate certificates that the certificate's file does not hold", NULL, .contexts = CONF_RSRC, ONE,
	  .set = set_chain },
	{ "SSLStrictSNIVHostCheck", "refuse requests of clients that named no host in TLS", "off", .contexts = CONF_RSRC, .args = CONF_FLAG,
	  .set = conf_set_flag, AT(strict_sni) },
	{ "SSLSessionTickets", "let clients keep their sessions in tickets", "on", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag, AT(tickets) },
	{ "SSLSessionTicketKeyFile", "files of 48 or 80 bytes from which ticket keys are made: the first seals, all open", NULL, .contexts = CONF_RSRC,
	  .args = CONF_ITERATE, .min = 1, .set = tls_set_ticket_file },
	{ "SSLTicketKeyLifetime", "how long ticket keys made by the server seal new tickets: 1 minute to 7 days", "24h", .contexts = CONF_GLOBAL, ONE,
	  .set = conf_set_seconds, AT(cache.ticket_lifetime_ms), .low = 60, .high = 604800 },
	{ "SSLEarlyData", "only off", "off", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = set_never_on,
	  .extra = "early data (0-RTT) does not exist here: with this TLS library it saves no round trip, and a request could be replayed to another process" },
	{ "SSLSessionCache", "where sessions are kept for all processes: shmcb:NAME(BYTES) or none", "shmcb:(8704000)", .contexts = CONF_GLOBAL, ONE,
	  .set = tls_set_session_cache },
	{ "SSLSessionCacheTimeout", "how long a session can be resumed, in seconds: 1 to 604800", "300", .contexts = CONF_RSRC, ONE,
	  .set = tls_set_session_timeout },
	{ "Mutex", "the lock of the session cache: default, file:DIR, fcntl:DIR, flock:DIR or pthread, then names (ssl-cache)", "default",
	  .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .set = tls_set_mutex },
	{ "SSLMutex", "as Mutex, of Apache 2.2: file:PATH names the lockfile itself", NULL, .contexts = CONF_GLOBAL, ONE, .set = tls_set_old_mutex },
	{ "MutexTimeout", "how long storing a session waits for the lock", "50ms", .contexts = CONF_GLOBAL, ONE, .set = conf_set_seconds,
	  AT(cache.mutex_timeout_ms), .low = 0, .high = 10 },
	{ "SSLFailureLines", "how many lines about failed handshakes of one kind a minute, from each child", "10", .contexts = CONF_GLOBAL, ONE,
	  .set = conf_set_number, AT(cache.failure_lines), .low = 0, .high = 10000 },
	{ "SSLOptions", "what requests in TLS bring along: StdEnvVars, ExportCertData …, with + and -", NULL, .contexts = CONF_ALL, .override = CONF_OR_OPTIONS,
	  .scope = CONF_OF_SECTION, .args = CONF_TAKE, .min = 1, .set = set_options },

	{ "SSLRandomSeed", "checked only: randomness comes from the kernel", NULL, .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 2, .max = 3,
	  .set = set_random_seed },
	{ "SSLPassPhraseDialog", "how the server gets pass phrases of keys at its start: builtin, exec:PROGRAM or |PROGRAM", "builtin", .contexts = CONF_GLOBAL, ONE, .set = set_phrase_dialog },
	{ "SSLCryptoDevice", "only builtin", "builtin", .contexts = CONF_GLOBAL, ONE, .set = set_crypto_device },
	{ "SSLFIPS", "only off", "off", .contexts = CONF_GLOBAL, .args = CONF_FLAG, .set = set_never_on, .extra = "FIPS mode is not available" },
	{ "SSLCompression", "only off", "off", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = set_never_on,
	  .extra = "compression inside TLS gives secrets away (CRIME) and does not exist here" },
	{ "SSLInsecureRenegotiation", "only off", "off", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = set_never_on,
	  .extra = "renegotiation without RFC 5746 lets others speak in a client's name and does not exist here" },

	{ "SSLVerifyClient", "whether clients are asked for certificates: none, optional, require or optional_no_ca", "none", EVERYWHERE, ONE,
	  .set = set_verify_client },
	{ "SSLVerifyDepth", "how many certificates of authorities may be above the client's own", "1", EVERYWHERE, ONE, .set = set_verify_depth },
	{ "SSLRenegBufferSize", "how many bytes of a request are kept while its client is asked for a certificate", "131072", EVERYWHERE, ONE,
	  .set = conf_set_number, .offset = offsetof(struct tls_section, buffer), .low = 0, .high = 1 << 30 },
	{ "SSLCACertificateFile", "a file of certificates of the authorities whose clients are let in", NULL, .contexts = CONF_RSRC, ONE, .set = set_file, AT(ca_file) },
	{ "SSLCACertificatePath", "a folder of such files, with hashed names", NULL, .contexts = CONF_RSRC, ONE, .set = set_file, AT(ca_path) },
	{ "SSLCADNRequestFile", "a file of certificates whose names are told to clients in place of the authorities'", NULL, .contexts = CONF_RSRC, ONE, .set = set_file, AT(names_file) },
	{ "SSLCADNRequestPath", "a folder of such files", NULL, .contexts = CONF_RSRC, ONE, .set = set_file, AT(names_path) },
	{ "SSLCARevocationFile", "a file of lists of revoked certificates", NULL, .contexts = CONF_RSRC, ONE, .set = set_file, AT(crl_file) },
	{ "SSLCARevocationPath", "a folder of such files", NULL, .contexts = CONF_RSRC, ONE, .set = set_file, AT(crl_path) },
	{ "SSLCARevocationCheck", "which certificates are looked up in those lists: none, leaf or chain; then no_crl_for_cert_ok", "none", .contexts = CONF_RSRC,
	  .args = CONF_TAKE, .min = 1, .max = 2, .set = set_revocation_check },
	{ "SSLOCSPEnable", "ask responders whether clients' certificates are revoked: off, leaf or on; then no_ocsp_for_cert_ok", "off", .contexts = CONF_RSRC,
	  .args = CONF_TAKE, .min = 1, .max = 2, .set = tls_set_ocsp },
	{ "SSLOCSPDefaultResponder", "the responder to ask where a certificate names none", NULL, .contexts = CONF_RSRC, ONE, .set = tls_set_ocsp_url },
	{ "SSLOCSPOverrideResponder", "ask that one about all certificates", "off", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag, AT(ocsp.override) },
	{ "SSLOCSPNoverify", "believe answers without a look at their signatures", "off", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag,
	  AT(ocsp.noverify) },
	{ "SSLOCSPProxyURL", "the HTTP proxy through which responders are asked", NULL, .contexts = CONF_RSRC, ONE, .set = tls_set_ocsp_proxy },
	{ "SSLOCSPResponderCertificateFile", "certificates whose signatures under answers count, too", NULL, .contexts = CONF_RSRC, ONE,
	  .set = tls_set_ocsp_signers },
	{ "SSLOCSPResponderTimeout", "how long an answer is waited for", "10", .contexts = CONF_RSRC, ONE, .set = conf_set_seconds, AT(ocsp.timeout_ms), .low = 1,
	  .high = 300 },
	{ "SSLOCSPResponseMaxAge", "how old an answer may be, in seconds; -1: until it expires", "-1", .contexts = CONF_RSRC, ONE, .set = conf_set_number,
	  AT(ocsp.max_age), .low = -1, .high = 31536000 },
	{ "SSLOCSPResponseTimeSkew", "how far the responder's clock may be apart, in seconds", "300", .contexts = CONF_RSRC, ONE, .set = conf_set_number,
	  AT(ocsp.skew), .low = 0, .high = 86400 },
	{ "SSLOCSPUseRequestNonce", "answers must repeat a random number of the request", "on", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag,
	  AT(ocsp.nonce) },

	{ "SSLUseStapling", "staple OCSP answers about the host's certificates", "off", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = tls_set_use_stapling },
	{ "SSLStaplingCache", "checked by name only: no cache needs to be named", NULL, .contexts = CONF_GLOBAL, ONE, .set = tls_set_staple_cache },
	{ "SSLStaplingForceURL", "the responder to ask in place of the one that the certificate names", NULL, .contexts = CONF_RSRC, ONE, .set = tls_set_staple_url },
	{ "SSLStaplingStandardCacheTimeout", "how old an answer may be until a new one is asked for", "3600", .contexts = CONF_RSRC, ONE, .set = conf_set_seconds,
	  AT(staple.standard_ms), .low = 1, .high = 31536000 },
	{ "SSLStaplingErrorCacheTimeout", "how long to wait after a failure", "600", .contexts = CONF_RSRC, ONE, .set = conf_set_seconds, AT(staple.error_ms),
	  .low = 1, .high = 31536000 },
	{ "SSLStaplingResponderTimeout", "how long an answer is waited for", "10", .contexts = CONF_RSRC, ONE, .set = conf_set_seconds, AT(staple.timeout_ms),
	  .low = 1, .high = 300 },
	{ "SSLStaplingResponseTimeSkew", "how far the responder's clock may be apart", "300", .contexts = CONF_RSRC, ONE, .set = conf_set_seconds,
	  AT(staple.skew_ms), .low = 0, .high = 86400 },
	{ "SSLStaplingResponseMaxAge", "how old an answer may be, in seconds; -1: until it expires", "-1", .contexts = CONF_RSRC, ONE, .set = conf_set_number,
	  AT(staple.max_age), .low = -1, .high = 31536000 },
	{ "SSLStaplingReturnResponderErrors", "pass on answers other than \"good\"", "on", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag,
	  AT(staple.errors) },
	{ "SSLStaplingFakeTryLater", "staple \"try later\" while the responder does not answer", "on", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag,
	  AT(staple.try_later) },

	{ "SSLLog", OLD("ErrorLog, and LogLevel ssl:info") }, { "SSLLogLevel", OLD("LogLevel ssl:info") }, { "SSLMute", OLD("LogLevel ssl:error") },
	{ "SSLUserName", "the variable whose value is the user's name", NULL, EVERYWHERE, ONE, .set = set_user_name },
	{ "SSLSRPVerifierFile", "refused", NULL, .contexts = CONF_RSRC, ONE, .set = conf_set_refused, .extra = "use passwords over TLS (AuthType Basic)" },
	{ "SSLSRPUnknownUserSeed", "refused", NULL, .contexts = CONF_RSRC, ONE, .set = conf_set_refused, .extra = "use passwords over TLS (AuthType Basic)" },
	{ NULL },
};
