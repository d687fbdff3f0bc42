/*
 * host.h - what a host's TLS policy consists of, for the files of tls/ alone. Filled by directives.c while the text is
 * read, completed by policy.c and certificates.c, only read by the others.
 */
#ifndef BULKHEAD_TLS_HOST_H
#define BULKHEAD_TLS_HOST_H

#include "tls/cipherstring.h"
#include "tls/ocsp.h"
#include "tls/policy.h"
#include "tls/staple.h"

enum tls_protocol { PROTO_TLS10 = 1, PROTO_TLS11 = 2, PROTO_TLS12 = 4, PROTO_TLS13 = 8, PROTO_ALL = PROTO_TLS12 | PROTO_TLS13 };

/* A group for the key exchange (a curve) by its three names. */
struct tls_group {
	uint16_t id;                    /* IANA's number */
	const char *gnutls;             /* "SECP256R1" */
	const char *names[3];           /* OpenSSL's, in any case */
};
#define TLS_GROUPS 10
#define TLS_FFDHE 0x0100                /* ids from here on are of finite fields: RFC 7919 */
extern const struct tls_group tls_groups[TLS_GROUPS];

struct tls_file {
	const char *path;               /* NULL = not named */
	struct conf_pos pos;
};

/* A certificate of the host with its chain and the key it belongs to. */
struct tls_certificate {
	struct cert_chain chain;
	struct key_ref key;
	gnutls_datum_t leaf;            /* DER */
	gnutls_pk_algorithm_t algorithm;
	uint16_t curve;                 /* group number of an ECDSA key, else 0 */
	struct {
		unsigned char id[STAPLE_ID];
		const char *url;        /* of the responder; NULL: nothing is stapled */
		bool must;
		int cell;               /* in the master's table, -1 = none */
	} staple;
};

/* From lax to strict; each may be compared with the others. */
enum tls_verify { TLS_VERIFY_NONE, TLS_VERIFY_OPTIONAL_NO_CA, TLS_VERIFY_OPTIONAL, TLS_VERIFY_REQUIRE };
/* SSLVHostSNIPolicy: how alike hosts must be for requests to one over a connection to the other. */
enum tls_sni_policy { SNI_SECURE, SNI_STRICT, SNI_AUTHONLY, SNI_INSECURE };
enum tls_crl_check { CRL_CHECK_NONE, CRL_CHECK_LEAF, CRL_CHECK_CHAIN };
#define TLS_VERIFY_DEPTH 1              /* as mod_ssl */

/* A section that has its own SSLVerifyClient. */
struct tls_place {
	int verify;
	struct conf_pos pos;
	const struct tls_place *next;
};
struct tls_authorities;                 /* clientcert.h */
#define TLS_RENEG_BUFFER 131072         /* SSLRenegBufferSize, as mod_ssl */

struct tls_policy {
	/* As written; CONF_UNSET or NULL where nothing was. */
	int engine, tickets, honor_order, strict_sni;
	int protocols;                  /* bits of tls_protocol */
	const char *ciphers, *ciphers13;
	struct conf_pos ciphers_pos, ciphers13_pos, engine_pos;
	const struct tls_group *groups[TLS_GROUPS];
	unsigned ngroups;
	struct tls_file certs[TLS_MAX_KEYS], keys[TLS_MAX_KEYS], chain;
	unsigned ncerts, nkeys;
	struct tls_file ticket_files[TLS_MAX_TICKET_FILES];     /* the first seals, all open */
	unsigned nticket_files;
	struct tls_cache_settings cache;        /* the main server's counts */
	struct tls_dialog dialog;               /* the main server's counts */
	bool cache_mutex_named;                 /* Mutex … ssl-cache was there: a default one no longer counts */
	int verify, depth;              /* of clients: enum tls_verify; certificates above the client's own */
	int crl_check;                  /* enum tls_crl_check */
	bool crl_lenient;               /* no_crl_for_cert_ok */
	struct conf_pos verify_pos, crl_check_pos;
	struct tls_file ca_file, ca_path, names_file, names_path, crl_file, crl_path;
	struct tls_ocsp_settings ocsp;
	int min_protocol, max_protocol; /* MinProtocol, MaxProtocol of SSLOpenSSLConfCmd: a bit; 0 = none */
	const char *signatures;         /* SignatureAlgorithms, as words of a priority string: "SIGN-…:+SIGN-…"; NULL = all */
	const struct tls_named_policy *named;   /* SSLPolicy */
	struct conf_pos named_pos;
	int sni_policy;                 /* SSLVHostSNIPolicy: the main server's counts */
	struct tls_staple_settings staple;
	const struct tls_place *places, *base_places;   /* of the host, of the main server */
	bool merged;                            /* a virtual host: what is the main server's alone was looked at there */

	/* Since tls_policy_finish. */
	const char *name;
	struct tls_certificate at[TLS_MAX_KEYS];        /* ECDSA and EdDSA first */
	unsigned n;
	gnutls_certificate_credentials_t credentials;
	gnutls_anon_server_credentials_t anonymous;     /* NULL: no suite without certificates */
	struct suite_list suites, suites13;             /* those that can be used, in order */
	gnutls_priority_t prio[SUITES_MAX];             /* of suites: each for itself */
	gnutls_priority_t prio13[SUITES13_MAX][TLS_GROUPS];     /* [first suite][first group] of groups; all others follow */
	unsigned char written[32];                      /* hash of the suites as they were asked for, whatever certificates there are */
	unsigned char label[32];
	unsigned char rules[32];                        /* as label, without the host and verify: equal rules cover each other */
	struct tls_authorities *clients;                /* NULL: clients are never asked for certificates, nor by a place */
	uint64_t ticket_group;                          /* tls_policy_ticket_group of it */
};

/* Whether the server's own order of suites counts, not the client's. */
bool tls_policy_own_order(const struct tls_policy *p);

/* Reports *e as what is wrong at that place of the text. Returns -1. */
int tls_policy_fault(struct conf_env *env, const struct conf_pos *pos, const struct err *e);

/* "TLSv1.2 TLSv1.3" of a set of bits. buf has 48 bytes; returns buf. */
char *tls_protocol_words(unsigned protocols, char *buf);

/* commands.c */
conf_setter tls_set_openssl_command, tls_set_priorities, tls_set_policy, tls_set_sni_policy;
/* What SSLPolicy says of suites where no line of the host's does. The protocols that all lines together mean. */
void tls_take_policy(struct tls_policy *p);
int tls_protocols_meant(const struct tls_policy *p);

/* sessions.c */
conf_setter tls_set_session_cache, tls_set_session_timeout, tls_set_mutex, tls_set_old_mutex, tls_set_ticket_file;
/* Whether the lockfile can lie where it is to. 0, or -1 and reported. */
int tls_check_mutex(const struct tls_cache_settings *c, struct conf_env *env);

/* directives.c */
conf_setter tls_set_protocol, tls_set_ciphers;
int tls_set_groups(struct conf_call *call, struct tls_policy *p, const char *value);
extern const struct conf_directive tls_directives[];
struct tls_section {
	unsigned add, del;              /* bits of tls_option */
	bool whole;                     /* written without signs: what was above is gone */
	int verify, depth;              /* SSLVerifyClient and SSLVerifyDepth of a section; those of a host are in its policy */
	const char *user;               /* SSLUserName; NULL = none */
	int64_t buffer;                 /* SSLRenegBufferSize */
	const struct suite_list *suites, *suites13;     /* SSLCipherSuite of a section: what connections must have; NULL = any */
};

#endif
