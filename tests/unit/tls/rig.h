/*
 * rig.h - what the tests of tls/ share: a configuration of tls_module alone, certificates made on the spot, and a client
 * of GnuTLS's that speaks to our server side over memory.
 */
#ifndef BULKHEAD_TESTS_TLS_RIG_H
#define BULKHEAD_TESTS_TLS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/text.h"
#include "cert/make.h"
#include "conf/conf.h"
#include "tls/handshake.h"
#include "tls/host.h"
#include "tls/key.h"
#include "tls/variables.h"

#define UNUSED __attribute__((unused))

/* ------------------------------------------------------------------------------------------------ configuration */

struct rig_env {
	struct conf_env env;
	struct arena *arena;
	char said[16384];               /* all reports: "error: sentence; remedy\n" */
	unsigned errors, warnings, notices;
};

static void rig_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	static const char *const words[] = { "error", "warning", "notice" };
	struct rig_env *r = ctx;
	size_t n = strlen(r->said);

	snprintf(r->said + n, sizeof r->said - n, "%s: line %u: %s; %s\n", words[severity], pos ? pos->line : 0, sentence, remedy ? remedy : "");
	*(severity == CONF_ERROR ? &r->errors : severity == CONF_WARNING ? &r->warnings : &r->notices) += 1;
}
static bool rig_has_module(void *ctx, const char *name) { (void)ctx, (void)name; return true; }
static void *rig_alloc(void *ctx, size_t n) { return arena_zalloc(((struct rig_env *)ctx)->arena, n); }
static int rig_open(void *ctx, const char *path) { (void)ctx; return open(path, O_RDONLY | O_CLOEXEC); }

static struct conf_module *const rig_modules[] = { &tls_module, NULL };

static UNUSED struct rig_env *rig_env_new(void)
{
	struct rig_env *r = calloc(1, sizeof *r);

	r->arena = arena_new(0);
	r->env = (struct conf_env){ .ctx = r, .report = rig_report, .has_module = rig_has_module, .alloc = rig_alloc, .open = rig_open, .root = "/srv" };
	conf_modules_number(rig_modules);
	return r;
}

static UNUSED void rig_env_free(struct rig_env *r)
{
	arena_free(r->arena);
	free(r);
}

/* Directives at top level into fresh structures. NULL section: not wanted. */
static UNUSED struct tls_policy *rig_read(struct rig_env *r, const char *text, void **section)
{
	void *host = tls_module.create_host(&r->env), *dir = tls_module.create_section(&r->env);
	struct conf_target target = { .host = &host, .section = &dir };
	struct conf_tree *tree = conf_read_text(text, "test.conf", &r->env);

	conf_apply(tree->first, rig_modules, CONF_SERVER, &target, &r->env);
	if (section)
		*section = dir;
	return host;
}

/* ------------------------------------------------------------------------------------------------ files */

static char rig_dir[64];

static UNUSED int rig_setup(void **state)
{
	(void)state;
	strcpy(rig_dir, "/tmp/tlstest.XXXXXX");
	return mkdtemp(rig_dir) ? 0 : -1;
}

static UNUSED int rig_teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", rig_dir);
	return system(command) ? -1 : 0;
}

static UNUSED const char *rig_path(const char *name)
{
	static char paths[8][128];
	static unsigned n;
	char *p = paths[n++ % 8];

	snprintf(p, 128, "%s/%s", rig_dir, name);
	return p;
}

static UNUSED void rig_write(const char *path, const void *data, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
	chmod(path, 0600);
}

/* NAME.pem and NAME.key for CN=name, self-signed, of any kind. */
static UNUSED void rig_certificate(const char *name, gnutls_pk_algorithm_t kind, unsigned bits)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t out;
	char file[64], dn[128];

	snprintf(dn, sizeof dn, "CN=%s,OU=Unit,O=Test,C=DE", name);
	gnutls_x509_privkey_init(&key);
	gnutls_x509_crt_init(&crt);
	assert_int_equal(gnutls_x509_privkey_generate(key, kind, bits, 0), 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, "\0\x81\x02\x03", 4);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400);
	gnutls_x509_crt_set_dn(crt, dn, NULL);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, kind == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out), 0);
	snprintf(file, sizeof file, "%s.pem", name);
	rig_write(rig_path(file), out.data, out.size);
	gnutls_free(out.data);
	assert_int_equal(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &out), 0);
	snprintf(file, sizeof file, "%s.key", name);
	rig_write(rig_path(file), out.data, out.size);
	gnutls_free(out.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

/* ------------------------------------------------------------------------------------------------ hosts */

static struct key_store *rig_keys;

/* Finishes a host with its keys loaded into rig_keys, as -X does. 0 or -1. */
static UNUSED int rig_finish(struct rig_env *r, struct tls_policy *p, const char *name)
{
	struct tls_key_file files[TLS_MAX_KEYS];
	struct key_ref refs[TLS_MAX_KEYS];
	unsigned n = tls_policy_keys(p, files);

	if (!rig_keys)
		rig_keys = key_store_new();
	key_use(&key_ops_direct, rig_keys);
	for (unsigned i = 0; i < n; i++) {
		struct err e = { 0 };
		int fd = open(files[i].path, O_RDONLY);
		int bad = key_store_add(rig_keys, fd, files[i].path, &refs[i], &e);
		close(fd);
		if (bad) {
			rig_report(r, CONF_ERROR, &files[i].pos, e.text, e.remedy);
			return -1;
		}
	}
	return tls_policy_finish(p, name, refs, n, &r->env);
}

/* "SSLEngine on", the files NAME.pem and NAME.key of each name in `certs`, and more lines. */
static UNUSED struct tls_policy *rig_host(struct rig_env *r, const char *name, const char *certs, const char *more)
{
	char text[4096];
	struct buf b;
	struct text rest = text_of(certs), one;
	struct tls_policy *p;

	buf_init(&b, text, sizeof text);
	buf_puts(&b, "SSLEngine on\n");
	while (text_split(&rest, ' ', &one))
		buf_printf(&b, "SSLCertificateFile %s/%.*s.pem\nSSLCertificateKeyFile %s/%.*s.key\n", rig_dir, (int)one.n, one.p, rig_dir, (int)one.n, one.p);
	buf_puts(&b, more);
	p = rig_read(r, text, NULL);
	if (r->errors || rig_finish(r, p, name) != 0)
		fail_msg("host %s: %s", name, r->said);
	return p;
}

/* ------------------------------------------------------------------------------------------------ both ends */

struct rig_pipe {
	unsigned char data[1 << 17];
	size_t n, max;                  /* max: how much a push may leave; 0 = all */
	bool closed;
};
/* A connection: what each end has sent and the other not read. */
struct rig_wire {
	struct rig_pipe to_server, to_client;
};

static ssize_t rig_pull(struct rig_pipe *p, void *buf, size_t n)
{
	size_t take = n < p->n ? n : p->n;

	if (take == 0 && p->closed)
		return 0;
	if (take == 0) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(buf, p->data, take);
	memmove(p->data, p->data + take, p->n - take);
	p->n -= take;
	return (ssize_t)take;
}

static ssize_t rig_push(struct rig_pipe *p, const void *buf, size_t n)
{
	size_t room = (p->max ? p->max : sizeof p->data) - p->n;

	if (p->n >= (p->max ? p->max : sizeof p->data)) {
		errno = EAGAIN;
		return -1;
	}
	n = n < room ? n : room;
	memcpy(p->data + p->n, buf, n);
	p->n += n;
	return (ssize_t)n;
}

static ssize_t rig_server_pull(void *ctx, void *buf, size_t n) { return rig_pull(&((struct rig_wire *)ctx)->to_server, buf, n); }
static ssize_t rig_server_push(void *ctx, const struct iovec *iov, int n)
{
	ssize_t all = 0;

	for (int i = 0; i < n; i++) {
		ssize_t put = rig_push(&((struct rig_wire *)ctx)->to_client, iov[i].iov_base, iov[i].iov_len);
		if (put < 0)
			return all ? all : -1;
		all += put;
		if ((size_t)put < iov[i].iov_len)
			break;
	}
	return all;
}
static ssize_t rig_client_pull(void *ctx, void *buf, size_t n) { return rig_pull(&((struct rig_wire *)ctx)->to_client, buf, n); }
static ssize_t rig_client_push(void *ctx, const void *buf, size_t n) { return rig_push(&((struct rig_wire *)ctx)->to_server, buf, n); }

/* Hosts by name; the first is the default. */
struct rig_hosts {
	struct { const char *name; const struct tls_policy *policy; } at[4];
	unsigned n;
	bool strict;
};
static const struct tls_policy *rig_choose(void *ctx, struct text sni)
{
	struct rig_hosts *h = ctx;

	for (unsigned i = 0; i < h->n; i++)
		if (text_is_nocase(sni, h->at[i].name))
			return h->at[i].policy;
	return h->strict ? NULL : h->at[0].policy;
}

struct rig {
	struct rig_wire wire;
	struct tls_io io;
	struct tls_chooser chooser;
	struct tls *server;
	gnutls_session_t client;
	gnutls_certificate_credentials_t trust;
	gnutls_anon_client_credentials_t anonymous;
	int code;                       /* the client's, when its handshake failed */
	int alert;                      /* that it received */
};

/* The certificate that new clients have: NAME.pem and NAME.key of rig_dir; NULL: none. */
static UNUSED const char *rig_client;

/* Whatever the server says about whom it trusts, the client gives this one. */
static int rig_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs, unsigned *n, gnutls_ocsp_data_st **ocsp,
			unsigned *ocsp_n, gnutls_privkey_t *key, unsigned *flags)
{
	gnutls_pcert_st *list = gnutls_calloc(16, sizeof *list);
	char pem[64], file[64];
	gnutls_datum_t data;

	(void)session, (void)info;
	snprintf(pem, sizeof pem, "%s.pem", rig_client ? rig_client : "");
	snprintf(file, sizeof file, "%s.key", rig_client ? rig_client : "");
	*n = 16;
	assert_int_equal(gnutls_load_file(rig_path(pem), &data), 0);
	assert_true(gnutls_pcert_list_import_x509_raw(list, n, &data, GNUTLS_X509_FMT_PEM, 0) >= 0);
	gnutls_free(data.data);
	assert_int_equal(gnutls_load_file(rig_path(file), &data), 0);
	gnutls_privkey_init(key);
	assert_int_equal(gnutls_privkey_import_x509_raw(*key, &data, GNUTLS_X509_FMT_PEM, NULL, 0), 0);
	gnutls_free(data.data);
	*certs = list;
	*ocsp = NULL;
	*ocsp_n = 0;
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return 0;
}

/* A client with a priority string and a name (NULL: none), beside a server with these hosts. */
static UNUSED struct rig *rig_new(struct rig_hosts *hosts, const char *priority, const char *name)
{
	struct rig *r = calloc(1, sizeof *r);

	r->io = (struct tls_io){ &r->wire, rig_server_pull, rig_server_push };
	r->chooser = (struct tls_chooser){ .ctx = hosts, .choose = rig_choose };
	r->alert = -1;
	assert_non_null(r->server = tls_start(&r->io, &r->chooser));
	assert_int_equal(gnutls_init(&r->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
	if (gnutls_priority_set_direct(r->client, priority, NULL) < 0)
		fail_msg("priority %s", priority);
	gnutls_certificate_allocate_credentials(&r->trust);
	gnutls_credentials_set(r->client, GNUTLS_CRD_CERTIFICATE, r->trust);
	gnutls_anon_allocate_client_credentials(&r->anonymous);
	gnutls_credentials_set(r->client, GNUTLS_CRD_ANON, r->anonymous);
	if (rig_client)
		gnutls_certificate_set_retrieve_function3(r->trust, rig_retrieve);
	if (name)
		gnutls_server_name_set(r->client, GNUTLS_NAME_DNS, name, strlen(name));
	gnutls_transport_set_ptr(r->client, &r->wire);
	gnutls_transport_set_pull_function(r->client, rig_client_pull);
	gnutls_transport_set_push_function(r->client, rig_client_push);
	return r;
}

static UNUSED void rig_free(struct rig *r)
{
	tls_free(r->server);
	gnutls_deinit(r->client);
	gnutls_certificate_free_credentials(r->trust);
	gnutls_anon_free_client_credentials(r->anonymous);
	free(r);
}

/* Drives both ends until neither moves; how the server ended. */
static UNUSED enum tls_result rig_run(struct rig *r)
{
	enum tls_result result = TLS_READ;
	bool client_done = false;

	for (int turn = 0; turn < 50; turn++) {
		if (!client_done) {
			int code = gnutls_handshake(r->client);
			client_done = code == 0 || gnutls_error_is_fatal(code);
			if (client_done && code) {
				r->code = code;
				if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
					r->alert = (int)gnutls_alert_get(r->client);
				else
					gnutls_alert_send_appropriate(r->client, code);
			}
		}
		if (result == TLS_READ || result == TLS_WRITE)
			result = tls_step(r->server);
		if (client_done && (result == TLS_DONE || result == TLS_FAILED))
			break;
	}
	return result;
}

/* A byte each way: afterwards the client has also read what came behind the handshake (tickets). */
static UNUSED void rig_exchange(struct rig *r)
{
	char buf[8];

	assert_int_equal(gnutls_record_send(r->client, "?", 1), 1);
	assert_int_equal(tls_read(r->server, buf, sizeof buf), 1);
	assert_int_equal(tls_write(r->server, "!", 1), 1);
	for (int i = 0; i < 5; i++) {
		ssize_t n = gnutls_record_recv(r->client, buf, sizeof buf);
		if (n == 1)
			return;
		assert_true(n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
	}
	fail_msg("no answer");
}

static UNUSED const char *rig_variable(struct rig *r, struct arena *a, const char *name)
{
	struct text t = tls_variable(r->server, name, a);

	return t.p ? arena_strndup(a, t.p, t.n) : "(absent)";
}

#define CLIENT12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define CLIENT13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

#endif
