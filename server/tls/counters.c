/*
 * counters.c - counts handshakes and the work of private keys where others can read it (counters.h). Runs in the children, and
 * under -X.
 */
#include "tls/counters.h"

#include "tls/session.h"

static struct tls_counters *mine;

void tls_count_in(struct tls_counters *c)
{
	mine = c;
}

static void add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------ names */

const char *tls_version_name(unsigned i)
{
	static const char *const names[TLS_VERSIONS] = { "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" };

	return i < TLS_VERSIONS ? names[i] : NULL;
}

const char *tls_kind_name(unsigned i)
{
	static const char *const names[TLS_KINDS] = { [TLS_KIND_FULL] = "full", [TLS_KIND_ID] = "id", [TLS_KIND_TICKET] = "ticket" };

	return i < TLS_KINDS ? names[i] : NULL;
}

const char *tls_suite_name(unsigned i)
{
	if (i < SUITES13_MAX)
		return i < suites13_n ? suites13[i].openssl : NULL;
	return i - SUITES13_MAX < suites_n ? suites[i - SUITES13_MAX].openssl : NULL;
}

static unsigned place_of(const struct suite *s)
{
	return s->since == 0x0304 ? (unsigned)(s - suites13) : SUITES13_MAX + (unsigned)(s - suites);
}

/* ------------------------------------------------------------------------------------------------ counting */

void tls_count_done(const struct tls *t)
{
	unsigned version = (unsigned)gnutls_protocol_get_version(t->session) - GNUTLS_TLS1_0;
	const struct suite *s = suite_by_name(text_of(gnutls_ciphersuite_get(t->session)));

	if (!mine)
		return;
	if (version < TLS_VERSIONS)
		add(&mine->versions[version], 1);
	if (s)
		add(&mine->suites[place_of(s)], 1);
	add(&mine->kinds[!t->resumed ? TLS_KIND_FULL : t->by_id ? TLS_KIND_ID : TLS_KIND_TICKET], 1);
}

void tls_count_failure(enum tls_reason why)
{
	if (mine)
		add(&mine->failures[why], 1);
}

void tls_count_key_begin(void)
{
	if (mine)
		atomic_store_explicit(&mine->key_waits, 1, memory_order_relaxed);
}

void tls_count_key_end(uint64_t us, int code)
{
	if (!mine)
		return;
	atomic_store_explicit(&mine->key_waits, 0, memory_order_relaxed);
	add(&mine->key_asked, 1);
	add(&mine->key_us, us);
	add(&mine->key_wait[histogram_index(us)], 1);
	if (code < 0)
		add(&mine->key_failed, 1);
}

void tls_count_key_late(void)
{
	if (mine)
		add(&mine->key_late, 1);
}
