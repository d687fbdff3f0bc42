/*
 * tickets.c - what tickets are sealed with. GnuTLS derives its ticket keys from 64 bytes and the clock; the 64 bytes here
 * are HMAC(seed of the shared ring, label of the policy and protocol): every child has the same, no host has another's.
 * GnuTLS tries the keys of one seed alone; so the names of the keys of every seed we know are compared with the ticket's
 * first, and the session gets the seed that fits. A policy uses the seeds of its own group in the ring: the server's own, or
 * those of the files it names. The self-test runs in the master, the rest in children.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "shmcache/shmcache.h"
#include "tls/session.h"

#define NAME 16                         /* a ticket begins with the name of its key */
#define CACHED 64                       /* policies whose keys are kept ready */
#define PERIODS 3                       /* GnuTLS changes keys every 3 life times, and takes those of the period before */

struct derived {
	unsigned char seed[TICKET_SEED];
	unsigned char names[2][NAME];           /* of this period and the one before */
};
/* The keys of one policy and protocol, made from the seeds of its group; the others' places are not filled. */
struct policy_keys {
	unsigned char label[32];
	uint64_t group;
	bool tls13;
	bool filled;
	int64_t period;
	struct derived at[SHMCACHE_SEEDS];
};
/* All secrets of this file, in pages that no core contains. */
struct ticket_memory {
	struct shmcache_seed masters[SHMCACHE_SEEDS];
	struct policy_keys cache[CACHED];
};
static struct ticket_memory *memory;
static unsigned nmasters;                       /* newest first */
static bool own;                                /* the one seed is this process's: good for every group */
static uint64_t ring_serial;
static struct shmcache *ring;
static int64_t lifetime = 300;
static bool names_known;                        /* the self-test found our derivation to be GnuTLS's */

/* ------------------------------------------------------------------------------------------------ derivation */

/* As GnuTLS 3.6.3 and later do it: the name is the beginning of SHA3-512(period, seed). */
static int key_name(const unsigned char seed[TICKET_SEED], int64_t period, unsigned char name[NAME])
{
	unsigned char text[8 + TICKET_SEED], hash[64];
	int r;

	for (unsigned i = 0; i < 8; i++)
		text[i] = (unsigned char)((uint64_t)period >> (56 - 8 * i));
	memcpy(text + 8, seed, TICKET_SEED);
	r = gnutls_hash_fast(GNUTLS_DIG_SHA3_512, text, sizeof text, hash);
	if (r == 0)
		memcpy(name, hash, NAME);
	secret_wipe(text, sizeof text);
	secret_wipe(hash, sizeof hash);
	return r;
}

static int64_t period_of(time_t now)
{
	return (int64_t)now / (lifetime * PERIODS);
}

static bool derive(const struct shmcache_seed *master, const unsigned char label[32], bool tls13,
		   int64_t period, struct derived *out)
{
	unsigned char text[1 + 32];

	text[0] = tls13 ? 13 : 12;              /* a 1.2 ticket brought to a host that now does 1.3 breaks GnuTLS's handshake */
	memcpy(text + 1, label, 32);
	return gnutls_hmac_fast(GNUTLS_MAC_SHA512, master->seed, sizeof master->seed, text, sizeof text, out->seed) == 0
	       && key_name(out->seed, period, out->names[0]) == 0
	       && key_name(out->seed, period - 1, out->names[1]) == 0;
}

/* ------------------------------------------------------------------------------------------------ the masters */

/* Without a ring this process has a seed of its own. */
static void own_seed(void)
{
	memory->masters[0] = (struct shmcache_seed){ .not_after = INT64_MAX };
	nmasters = secret_random(memory->masters[0].seed, TICKET_SEED) == 0;
	own = true;
}

static bool of_group(unsigned i, uint64_t group)
{
	return own || memory->masters[i].group == group;
}

/*
 * The newest seed of the group that is valid, of two alike that which ends later; nmasters if the group has none. None is
 * valid when the clock was set: back, then the first that will be; forward, then the newest, until the master makes another.
 * What counts is that all children take the same.
 */
static unsigned current_of(uint64_t group, time_t now)
{
	const struct shmcache_seed *m = memory->masters;
	unsigned valid = nmasters, newest = nmasters, first = nmasters;

	for (unsigned i = 0; i < nmasters; i++) {
		if (!of_group(i, group))
			continue;
		if (m[i].not_before <= now && m[i].not_after > now
		    && (valid == nmasters || (m[i].not_before == m[valid].not_before && m[i].not_after > m[valid].not_after)))
			valid = i;
		if (newest == nmasters)
			newest = i;
		if (m[i].not_after > now)
			first = i;
	}
	return valid < nmasters ? valid : first < nmasters ? first : newest;
}

static void refresh(void)
{
	uint64_t serial = ring ? shmcache_ticket_serial(ring) : 0;

	if (nmasters == 0 || serial != ring_serial) {
		ring_serial = serial;
		secret_wipe(memory, sizeof *memory);    /* what was made from seeds that are gone goes with them */
		own = false;
		nmasters = ring ? shmcache_ticket_list(ring, memory->masters) : 0;
		if (nmasters == 0)
			own_seed();
	}
}

void tickets_init(struct shmcache *cache, int64_t timeout_s)
{
	ring = cache;
	lifetime = timeout_s;
	nmasters = 0;
	ring_serial = 0;
	if (!memory)
		memory = secret_alloc(sizeof *memory, 0);
}

/* ------------------------------------------------------------------------------------------------ a connection's seed */

/* NULL: they cannot be made, and a ticket under anything else would be anybody's to open. */
static struct policy_keys *keys_of(const struct tls_policy *p, bool tls13, int64_t period)
{
	const unsigned char *label = tls_policy_label(p);
	struct policy_keys *k = &memory->cache[(label[0] * 2u + tls13) % CACHED];

	if (k->filled && k->period == period && k->tls13 == tls13
	    && k->group == p->ticket_group && memcmp(k->label, label, sizeof k->label) == 0)
		return k;
	k->filled = false;
	for (unsigned i = 0; i < nmasters; i++)
		if (of_group(i, p->ticket_group) && !derive(&memory->masters[i], label, tls13, period, &k->at[i]))
			return NULL;
	memcpy(k->label, label, sizeof k->label);
	k->group = p->ticket_group;
	k->tls13 = tls13;
	k->filled = true;
	k->period = period;
	return k;
}

const gnutls_datum_t *tickets_seed(const struct tls_policy *p, bool tls13, struct text ticket_name)
{
	static gnutls_datum_t seed;
	time_t now = time(NULL);
	struct policy_keys *k;
	unsigned use;

	if (!memory)
		return NULL;
	refresh();
	use = current_of(p->ticket_group, now);
	if (use == nmasters || !(k = keys_of(p, tls13, period_of(now))))
		return NULL;
	for (unsigned i = 0; names_known && ticket_name.n == NAME && i < nmasters; i++)
		if (of_group(i, p->ticket_group) && memory->masters[i].not_after > now
		    && (memcmp(k->at[i].names[0], ticket_name.p, NAME) == 0
			|| memcmp(k->at[i].names[1], ticket_name.p, NAME) == 0))
			use = i;
	seed = (gnutls_datum_t){ k->at[use].seed, TICKET_SEED };
	return &seed;
}

/* ------------------------------------------------------------------------------------------------ self-test */

/* Bytes on their way between the two ends of the test's handshake. */
struct pipe_end {
	unsigned char data[8192];
	size_t n;
	struct pipe_end *peer;
	unsigned char name[NAME];
	bool got_ticket;
};

static ssize_t test_pull(gnutls_transport_ptr_t ctx, void *buf, size_t n)
{
	struct pipe_end *e = ctx;
	size_t take = n < e->n ? n : e->n;

	if (take == 0) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(buf, e->data, take);
	memmove(e->data, e->data + take, e->n - take);
	e->n -= take;
	return (ssize_t)take;
}

static ssize_t test_push(gnutls_transport_ptr_t ctx, const void *buf, size_t n)
{
	struct pipe_end *to = ((struct pipe_end *)ctx)->peer;

	if (n > sizeof to->data - to->n) {
		errno = EIO;
		return -1;
	}
	memcpy(to->data + to->n, buf, n);
	to->n += n;
	return (ssize_t)n;
}

/* The client's: NewSessionTicket is lifetime 4, length 2, ticket (RFC 5077, 3.3). */
static int on_ticket(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
		     const gnutls_datum_t *msg)
{
	struct pipe_end *e = gnutls_session_get_ptr(session);

	(void)type, (void)when;
	if (incoming && msg->size >= 6 + NAME) {
		memcpy(e->name, msg->data + 6, NAME);
		e->got_ticket = true;
	}
	return 0;
}

static void test_end(gnutls_session_t s, struct pipe_end *e, gnutls_priority_t priority)
{
	gnutls_priority_set(s, priority);
	gnutls_session_set_ptr(s, e);
	gnutls_transport_set_ptr(s, e);
	gnutls_transport_set_pull_function(s, test_pull);
	gnutls_transport_set_push_function(s, test_push);
}

/* A handshake without certificates, over memory; does the ticket bear the name that we expect? */
static bool try_names(gnutls_session_t client, gnutls_session_t server, struct pipe_end ends[2],
		      const unsigned char seed[TICKET_SEED])
{
	unsigned char name[NAME];
	int r[2] = { GNUTLS_E_AGAIN, GNUTLS_E_AGAIN };

	for (int turn = 0; turn < 20 && (r[0] == GNUTLS_E_AGAIN || r[1] == GNUTLS_E_AGAIN); turn++) {
		if (r[0] == GNUTLS_E_AGAIN)
			r[0] = gnutls_handshake(client);
		if (r[1] == GNUTLS_E_AGAIN)
			r[1] = gnutls_handshake(server);
	}
	if (r[0] != 0 || r[1] != 0 || !ends[0].got_ticket)
		return false;
	for (int64_t ago = 0; ago < 2; ago++)           /* the period may have ended meanwhile */
		if (key_name(seed, period_of(time(NULL)) - ago, name) == 0
		    && memcmp(name, ends[0].name, NAME) == 0)
			return true;
	return false;
}

int tickets_self_test(struct err *e)
{
	static const char text[] =
		"NONE:+VERS-TLS1.2:+ANON-ECDH:+AES-128-CBC:+SHA1:+COMP-NULL:+GROUP-X25519:+SIGN-ALL";
	gnutls_anon_server_credentials_t server_anon = NULL;
	gnutls_anon_client_credentials_t client_anon = NULL;
	gnutls_session_t client = NULL, server = NULL;
	gnutls_priority_t priority = NULL;
	struct pipe_end ends[2] = { 0 };
	unsigned char seed[TICKET_SEED];
	gnutls_datum_t key = { seed, sizeof seed };

	names_known = false;
	ends[0].peer = &ends[1];
	ends[1].peer = &ends[0];
	if (gnutls_rnd(GNUTLS_RND_KEY, seed, sizeof seed) >= 0
	    && gnutls_priority_init(&priority, text, NULL) >= 0
	    && gnutls_anon_allocate_server_credentials(&server_anon) >= 0
	    && gnutls_anon_allocate_client_credentials(&client_anon) >= 0
	    && gnutls_init(&client, GNUTLS_CLIENT | GNUTLS_NONBLOCK) >= 0
	    && gnutls_init(&server, GNUTLS_SERVER | GNUTLS_NONBLOCK) >= 0) {
		test_end(client, &ends[0], priority);
		test_end(server, &ends[1], priority);
		gnutls_credentials_set(client, GNUTLS_CRD_ANON, client_anon);
		gnutls_credentials_set(server, GNUTLS_CRD_ANON, server_anon);
		gnutls_db_set_cache_expiration(server, (int)lifetime);
		gnutls_session_ticket_enable_server(server, &key);
		gnutls_handshake_set_hook_function(client, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
						   GNUTLS_HOOK_POST, on_ticket);
		names_known = try_names(client, server, ends, seed);
	}
	if (client)
		gnutls_deinit(client);
	if (server)
		gnutls_deinit(server);
	if (client_anon)
		gnutls_anon_free_client_credentials(client_anon);
	if (server_anon)
		gnutls_anon_free_server_credentials(server_anon);
	if (priority)
		gnutls_priority_deinit(priority);
	secret_wipe(seed, sizeof seed);
	if (names_known)
		return 0;
	return err_set(e, "GnuTLS %s names its ticket keys in a way unknown here: tickets sealed before the last "
			  "change of the ticket key are not resumed", gnutls_check_version(NULL));
}
