/*
 * sessions.h - what the tests of resumption share: a real shared cache with seeds, and connections that bring the session of
 * the one before.
 */
#ifndef BULKHEAD_TESTS_TLS_SESSIONS_H
#define BULKHEAD_TESTS_TLS_SESSIONS_H

#include "rig.h"

#include <time.h>

#include "shmcache/shmcache.h"
#include "tls/session.h"

static struct rig_env *env;
static struct arena *arena;
static struct shmcache *cache;
static struct tls_cache_settings settings = { .enabled = true, .bytes = 65536, .timeout_s = 300 };

/* Its bytes follow from the id. */
static UNUSED void put_group_seed(uint64_t id, uint64_t group, int64_t from, int64_t to)
{
	struct shmcache_seed seed = { .id = id, .group = group, .not_before = time(NULL) + from, .not_after = time(NULL) + to };

	memset(seed.seed, (int)id, sizeof seed.seed);
	assert_int_equal(shmcache_ticket_put(cache, &seed, time(NULL)), 0);
}

static UNUSED void put_seed(uint64_t id, int64_t from, int64_t to)
{
	put_group_seed(id, 0, from, to);
}

/* A new cache with one seed, as a master makes it; this process is its child, too. */
static UNUSED void begin(bool child)
{
	struct shmcache_plan plan;
	struct shmcache_err se;
	struct shmcache_lock_options lock = { .lockfile = rig_path("lock") };
	char cache_name[64];

	assert_int_equal(shmcache_plan(settings.bytes, 0, &plan, &se), 0);
	snprintf(cache_name, sizeof cache_name, "/bulkhead-tlstest-%d", (int)getpid());
	cache = shmcache_create(&plan, cache_name, &lock, &se);
	if (!cache)
		fail_msg("%s", se.text);
	put_seed(1, -10, 86400);
	if (child) {
		assert_int_equal(shmcache_child_init(cache, &se), 0);
		tls_child_init(cache, &settings);
	}
}

static UNUSED int each_setup(void **state)
{
	(void)state;
	env = rig_env_new();
	arena = arena_new(0);
	settings.enabled = true;
	settings.timeout_s = 300;
	return 0;
}

static UNUSED int each_teardown(void **state)
{
	(void)state;
	tls_child_init(NULL, &settings);
	if (cache) {
		shmcache_unlink(cache);
		shmcache_close(cache);
		cache = NULL;
	}
	rig_env_free(env);
	arena_free(arena);
	return 0;
}

/* Of the last good connection: SSL_CLIENT_VERIFY and the client's name. */
static UNUSED char seen_client[128];

/* A connection; *session is offered if it is there, and the new one left in it. Whether it was resumed, -1: it failed. */
static UNUSED int connect_to(struct rig_hosts *hosts, const char *client, const char *name, gnutls_datum_t *session)
{
	struct rig *r = rig_new(hosts, client, name);
	int resumed = -1;

	if (session->data)
		assert_int_equal(gnutls_session_set_data(r->client, session->data, session->size), 0);
	if (rig_run(r) == TLS_DONE && r->code == 0) {
		resumed = tls_resumed(r->server);
		rig_exchange(r);
		snprintf(seen_client, sizeof seen_client, "%s %s", rig_variable(r, arena, "SSL_CLIENT_VERIFY"), rig_variable(r, arena, "SSL_CLIENT_S_DN_CN"));
		assert_int_equal(resumed, gnutls_session_is_resumed(r->client));
		assert_string_equal(rig_variable(r, arena, "SSL_SESSION_RESUMED"), resumed ? "Resumed" : "Initial");
		gnutls_free(session->data);
		if (gnutls_session_get_data2(r->client, session) < 0)
			*session = (gnutls_datum_t){ 0 };
	}
	rig_free(r);
	return resumed;
}

#define BY_ID CLIENT12 ":%NO_TICKETS"
static const char *const ways[] = { BY_ID, CLIENT12, CLIENT13 };

static UNUSED void forget(gnutls_datum_t *session)
{
	gnutls_free(session->data);
	*session = (gnutls_datum_t){ 0 };
}

#endif
