/*
 * policy.h - a host's TLS policy: mod_ssl's directives, what they come to, and its label. Made in the master while the
 * configuration is read; only read in children.
 */
#ifndef BULKHEAD_TLS_POLICY_H
#define BULKHEAD_TLS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "cert/load.h"
#include "conf/conf.h"
#include "tls/key.h"

extern struct conf_module tls_module;

struct tls_policy;      /* = tls_module's host structure */

/* A key file that some host names: SSLCertificateKeyFile, or SSLCertificateFile where it has no own. */
struct tls_key_file {
	const char *path;
	const char *certificate;        /* the certificate file named at the same place, for messages */
	struct conf_pos pos;            /* of the directive that names path */
};

/* SSLPassPhraseDialog, the main server's. */
enum tls_dialog_kind { TLS_DIALOG_BUILTIN, TLS_DIALOG_EXEC, TLS_DIALOG_PIPE };
struct tls_dialog {
	enum tls_dialog_kind kind;
	const char *command;            /* an absolute path, with arguments behind it; NULL for builtin */
	struct conf_pos pos;            /* file NULL = not written */
};
const struct tls_dialog *tls_policy_dialog(const void *main_host_config);

bool tls_policy_enabled(const void *host_config);                       /* SSLEngine on */
/* SSLEngine, on or off, was written for that host or above it. */
bool tls_policy_decided(const void *host_config);
/* SSLCertificateFile was written for that host or above it. */
bool tls_policy_has_certificate(const void *host_config);
/* SSLCertificateChainFile, or NULL. */
const char *tls_policy_chain_file(const void *host_config);
/* Turns it on for a host that decided nothing itself: one that "Listen 443 https" serves. */
void tls_policy_enable(void *host_config);
/* Whether any host of the configurations that this process has read may ask for certificates behind the handshake. */
bool tls_policy_asks_later(void);
/* SSLStrictSNIVHostCheck on: requests of clients that sent no name are for this host alone refused (403), not the handshake. */
bool tls_policy_strict_sni(const void *host_config);

/* SSLOptions: tls_module's section structure. */
enum tls_option {
	TLS_OPT_STDENVVARS = 1, TLS_OPT_EXPORTCERTDATA = 2, TLS_OPT_FAKEBASICAUTH = 4, TLS_OPT_STRICTREQUIRE = 8,
	TLS_OPT_OPTRENEGOTIATE = 16, TLS_OPT_LEGACYDN = 32,
};
unsigned tls_section_options(const void *section_config);               /* of merged sections; NULL is fine */

/*
 * The way from read directives to a working host, in the master, for each host in order of the text:
 *   1. tls_policy_keys: which key files the host needs (at most TLS_MAX_KEYS).
 *   2. the caller has them loaded (keyholder, or key_store_add under -X and in the check) and gives the references.
 *   3. tls_policy_finish: reads certificates and chains, pairs them with the keys by their public part (F07 names both
 *      files and the key ids), evaluates protocols and suites, computes the label, makes GnuTLS credentials.
 * name = the host's name for messages. 0 or -1 with faults reported through env.
 */
#define TLS_MAX_KEYS 8
unsigned tls_policy_keys(const void *host_config, struct tls_key_file out[TLS_MAX_KEYS]);
int tls_policy_finish(void *host_config, const char *name, const struct key_ref *refs, unsigned n, struct conf_env *env);
/* Frees what GnuTLS allocated for it: when a generation ends. */
void tls_policy_free(void *host_config);

/* The label that goes into ticket keys and cache keys: protocol, host, verify mode, CA and suites, values only. 32 bytes. */
const unsigned char *tls_policy_label(const struct tls_policy *p);
/* Whether a handshake under `shown` is good enough for requests to `asked` (421). */
bool tls_policy_covers(const struct tls_policy *shown, const struct tls_policy *asked);
/* The suites a host allows, in order, as OpenSSL names: for -S and messages. Of env's memory. */
const char *tls_policy_summary(const void *host_config, struct conf_env *env);
/* Whom it asks for certificates, and how sessions are kept: for -S. Of env's memory. */
const char *tls_policy_clients(const void *host_config, const void *main_host_config, struct conf_env *env);

/*
 * SSLSessionTicketKeyFile: files of a host (or, where it has none, of the main server) from which its ticket keys are made;
 * the first seals new tickets, all open old ones. 0 where TLS or tickets are off or no file is named: then the server's own
 * seeds are used. The group names the list of paths in the ring of seeds; 0 where there is none.
 */
#define TLS_MAX_TICKET_FILES 8
struct tls_ticket_file {
	const char *path;
	struct conf_pos pos;
};
unsigned tls_policy_ticket_files(const void *host_config, struct tls_ticket_file out[TLS_MAX_TICKET_FILES]);
uint64_t tls_policy_ticket_group(const void *host_config);

/* Every file and folder that a host with TLS is made of. */
#define TLS_MAX_FILES 32
struct tls_named_file {
	const char *path;
	const char *what;               /* for messages: "certificate" */
	bool secret;                    /* holds a private key: not to be read but by a keyholder */
};
unsigned tls_policy_files(const void *host_config, struct tls_named_file out[TLS_MAX_FILES]);
/* When the first of its certificates expires (s since 1970); -1: it has none. After tls_policy_finish. */
int64_t tls_policy_expiry(const void *host_config);

/* The lock of the session cache. */
enum tls_mutex_kind {
	TLS_MUTEX_OFD,                  /* record locks on the lockfile */
	TLS_MUTEX_FLOCK = 1,            /* flock on it: one lock for the whole cache */
	TLS_MUTEX_ROBUST = 3,           /* robust mutexes in the segment */
};

/* Without SSLSessionCache: room for 20,000 sessions of TLS 1.2 (shmcache_plan). */
#define TLS_CACHE_DEFAULT 8704000

/* Process-wide settings of the main server. */
struct tls_cache_settings {
	bool enabled;                   /* SSLSessionCache other than none */
	size_t bytes;                   /* shmcb:NAME(bytes); TLS_CACHE_DEFAULT without the directive */
	int64_t timeout_s;              /* SSLSessionCacheTimeout, 1..604800; default 300 */
	int64_t ticket_lifetime_ms;     /* SSLTicketKeyLifetime, a minute to 7 days; default a day */
	enum tls_mutex_kind mutex_kind;
	const char *mutex_dir;          /* Mutex file:DIR ssl-cache; NULL = DefaultRuntimeDir */
	const char *mutex_file;         /* SSLMutex file:PATH of old configurations; NULL */
	struct conf_pos mutex_pos;      /* of the line that named either */
	int64_t mutex_timeout_ms;       /* MutexTimeout; default 50 */
	struct conf_pos pos;            /* of SSLSessionCache; file NULL = not written */
	int64_t failure_lines;          /* SSLFailureLines */
};
const struct tls_cache_settings *tls_cache_settings(const void *main_host_config);

#endif
