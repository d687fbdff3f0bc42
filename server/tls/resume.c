/*
 * resume.c - session IDs of TLS 1.2 and before, kept in the shared cache, so that any child resumes what any other began.
 * The key of an entry is a hash of the policy's label and the ID: a session of one host is not there for another. Runs
 * in children.
 */
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "log/log.h"
#include "shmcache/shmcache.h"
#include "tls/session.h"

#define WAIT_TOLD 10000                 /* us: a store that waited longer is told */
#define WAIT_PAUSE 10                   /* s between two such lines */

static struct shmcache *sessions;               /* NULL: none are kept */
static int64_t timeout_s = 300;
static struct {
	uint64_t seen;                          /* the last wait's number */
	uint64_t left_out;                      /* worth a line, but none was written */
	int64_t told;                           /* when the last line was; s of CLOCK_MONOTONIC; 0 = never */
} waits;

void resume_init(struct shmcache *cache, const struct tls_cache_settings *settings)
{
	memset(&waits, 0, sizeof waits);
	sessions = settings->enabled ? cache : NULL;
	timeout_s = settings->timeout_s < 1 ? 1 : settings->timeout_s > 604800 ? 604800 : settings->timeout_s;
}

int64_t resume_timeout(void)
{
	return timeout_s;
}

static bool key_of(const struct tls *t, const gnutls_datum_t *id, unsigned char key[SHMCACHE_KEY])
{
	static const char kind[16] = "session id";
	unsigned char text[sizeof kind + 32 + 64];

	if (!t->policy || id->size == 0 || id->size > 64)
		return false;
	memset(text, 0, sizeof text);
	memcpy(text, kind, sizeof kind);
	memcpy(text + sizeof kind, tls_policy_label(t->policy), 32);
	memcpy(text + sizeof kind + 32, id->data, id->size);
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, text, sizeof kind + 32 + id->size, key) == 0;
}

/* Somebody holds a shard's lock, which is held for a microsecond: stopped, swapped out, or on a slow file system. */
static void tell_wait(const struct shmcache_wait *w)
{
	char who[64] = "", more[64] = "";
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (waits.told && now.tv_sec - waits.told < WAIT_PAUSE) {
		waits.left_out++;
		return;
	}
	waits.told = now.tv_sec ? now.tv_sec : 1;
	if (w->owner)
		snprintf(who, sizeof who, ", which process %ld had", (long)w->owner);
	if (waits.left_out)
		snprintf(more, sizeof more, " (%" PRIu64 " more since the last line)", waits.left_out);
	waits.left_out = 0;
	if (w->given_up)
		log_warnx(NULL, LOG_SSL, "BH0530",
			  "a TLS session was not kept: the lock of shard %u of the session cache%s was not free within %u ms%s; see whether a "
			  "process of the server is stopped or the machine is overloaded, else raise MutexTimeout",
			  w->shard, who, w->us / 1000, more);
	else
		log_warnx(NULL, LOG_SSL, "BH0530",
			  "storing a TLS session waited %u ms for the lock of shard %u of the session cache%s%s; see whether a process of the server is "
			  "stopped or the machine is overloaded",
			  w->us / 1000, w->shard, who, more);
}

/* What could not be stored (lock not had, too long) is not there next time: the cache counts it, nobody fails. */
static int on_store(void *ctx, gnutls_datum_t id, gnutls_datum_t data)
{
	unsigned char key[SHMCACHE_KEY];
	struct shmcache_wait w;

	if (!key_of(ctx, &id, key))
		return 0;
	(void)shmcache_store(sessions, key, data.data, data.size, (uint32_t)timeout_s);
	shmcache_last_wait(sessions, &w);
	if (w.n != waits.seen) {
		waits.seen = w.n;
		if (w.given_up || w.us > WAIT_TOLD)
			tell_wait(&w);
	}
	return 0;
}

/* Clients with a ticket make up an ID (RFC 5077, 3.4), and GnuTLS asks for it. */
static gnutls_datum_t on_retrieve(void *ctx, gnutls_datum_t id)
{
	static unsigned char found[SHMCACHE_MAX_DATA];
	struct tls *t = ctx;
	gnutls_datum_t data = { NULL, 0 };
	unsigned char key[SHMCACHE_KEY];
	size_t n;

	if (!t->hello || t->hello->sends_ticket || !key_of(t, &id, key)
	    || shmcache_fetch(sessions, key, found, sizeof found, &n) != 1)
		return data;
	data.data = gnutls_malloc(n);
	if (data.data) {
		memcpy(data.data, found, n);
		data.size = (unsigned)n;
		t->by_id = true;
	}
	gnutls_memset(found, 0, n);
	return data;
}

static int on_remove(void *ctx, gnutls_datum_t id)
{
	unsigned char key[SHMCACHE_KEY];

	if (key_of(ctx, &id, key))
		shmcache_remove(sessions, key);
	return 0;
}

void resume_setup(struct tls *t)
{
	if (!sessions || t->tls13)
		return;
	gnutls_db_set_ptr(t->session, t);
	gnutls_db_set_store_function(t->session, on_store);
	gnutls_db_set_retrieve_function(t->session, on_retrieve);
	gnutls_db_set_remove_function(t->session, on_remove);
}

/* GnuTLS never calls remove by itself (RFC 5246, 7.2.2 wants it after a fatal alert). */
void resume_forget(struct tls *t)
{
	if (sessions && t->policy && !t->tls13)
		gnutls_db_remove_session(t->session);
}
