/*
 * tls_fuzz.c - fuzzes connections of TLS from their first byte on: server/tls/ (the choice of host, version, suite and
 * certificate from the ClientHello, tickets, the session cache, OCSP stapling, client certificates) and conn/peek.c,
 * around GnuTLS. The first byte of an input says what the rest is: 'h' the body of a ClientHello, 'H' the same in
 * records of 100 bytes, 'r' bytes as they come. Holds:
 * - the connection ends when the client does; no request is handled without a handshake;
 * - what comes back is a record of TLS, or HTTP's answer to what was no TLS.
 */
#include "tests/fuzz/served.h"

#include "cert/make.h"
#include "process/keys.h"
#include "process/shared.h"
#include "tests/fuzz/folder.h"
#include "tls/handshake.h"
#include "tls/key.h"
#include "tls/staple.h"

/* The folder's name in place of each %1$s. */
static const char conf[] =
	"ServerName h.test\nDocumentRoot /nonexistent\nDefaultRuntimeDir %1$s\nListen 127.0.0.1:443 https\nProtocols h2 http/1.1\n"
	"SSLSessionCache shmcb:%1$s/cache(65536)\nErrorLog /dev/null\nLogLevel emerg\nSSLCertificateFile %1$s/a.pem\n"
	"SSLCertificateKeyFile %1$s/a.key\n"
	"<VirtualHost *:443>\nServerName a.test\nSSLEngine on\n</VirtualHost>\n"
	"<VirtualHost *:443>\nServerName b.test\nServerAlias *.b.test\nSSLEngine on\nSSLProtocol -all +TLSv1.2\n"
	"SSLCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384\nSSLHonorCipherOrder on\n</VirtualHost>\n"
	"<VirtualHost *:443>\nServerName c.test\nSSLEngine on\nSSLVerifyClient require\n"
	"SSLCACertificateFile %1$s/a.pem\nSSLStrictSNIVHostCheck on\nSSLSessionTickets off\n</VirtualHost>\n";

static void start(void)
{
	static const char *const names[] = { "a.test", "b.test", "*.b.test", "c.test", NULL };
	static char text[sizeof conf + 512], cert[64], key[64];
	static struct key_store *store;
	struct config *cfg;
	struct err e = { .text = "" };

	folder_make();
	snprintf(cert, sizeof cert, "%s/a.pem", folder);
	snprintf(key, sizeof key, "%s/a.key", folder);
	CHECK(cert_make_self_signed(cert, key, names, 30, &e) == 0);
	snprintf(text, sizeof text, conf, folder);
	cfg = config_read(&(struct config_source){ .root = folder, .file = "fuzz", .text = text });
	CHECK(cfg);
	for (const struct config_report *r = cfg->reports; r; r = r->next)
		if (r->severity == CONF_ERROR)
			fprintf(stderr, "configuration: %s\n", r->sentence);
	CHECK(!cfg->errors);
	keys_prepare();
	CHECK(keys_load_direct(cfg, &store, NULL) == 0);
	key_use(&key_ops_direct, store);
	CHECK(shared_direct(cfg, &e) == 0);
	staple_use(shared.staples);
	shared_unlink();
	CHECK(shared_child_cache(&e) == 0);
	tls_child_init(shared.cache, keys_cache_settings(cfg));
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) }, NULL);
	served.port = 443;
	served_serve(cfg->site);
}

static size_t put_record(unsigned char *to, const unsigned char *data, size_t n)
{
	memcpy(to, (const unsigned char[]){ 22, 3, 1, (unsigned char)(n >> 8), (unsigned char)n }, 5);
	memcpy(to + 5, data, n);
	return n + 5;
}

/* The ClientHello in records of so many bytes. */
static size_t wrap(unsigned char *to, const uint8_t *body, size_t n, size_t piece)
{
	static unsigned char hello[20000];
	size_t at = 0, all = n + 4;

	memcpy(hello, (const unsigned char[]){ 1, 0, (unsigned char)(n >> 8), (unsigned char)n }, 4);
	memcpy(hello + 4, body, n);
	for (size_t from = 0; from < all; from += piece)
		at += put_record(to + at, hello + from, all - from < piece ? all - from : piece);
	return at;
}

static void see(const unsigned char *p, size_t n, bool *first)
{
	if (*first && n >= 5)
		CHECK((p[0] >= 20 && p[0] <= 23 && p[1] == 3) || memcmp(p, "HTTP/", 5) == 0);
	*first = *first && n == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static unsigned char bytes[65536], sink[65536];
	size_t all;
	bool first = true;

	if (n < 2 || n > 16000)
		return 0;
	if (!served.server)
		start();
	if (data[0] == 'h' || data[0] == 'H') {
		all = wrap(bytes, data + 1, n - 1, data[0] == 'H' ? 100 : 16384);
	} else {
		all = n - 1;
		memcpy(bytes, data + 1, all);
	}
	served_connect();
	for (size_t at = 0; at < all; at += 8192) {
		ssize_t got;

		served_send(bytes + at, all - at < 8192 ? all - at : 8192, 8);
		served_turns(3);
		while ((got = served_read(sink, sizeof sink)) > 0) {
			see(sink, (size_t)got, &first);
			served_turns(2);
		}
	}
	served_close();
	CHECK(!served.begun);
	return 0;
}
