/*
 * logins.c - good passwords and failing addresses, as one child remembers them. A network of IPv6 (64 bits) counts as one
 * address.
 */
#include "auth/logins.h"

#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/password.h"
#include "base/secret.h"

#define KEY 32
#define WAYS 4                          /* places that a thing may be at */
#define ADDRESSES 1024

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------------------------------------- good passwords */

struct known {
	unsigned char mac[LOGINS_MAC];
	int64_t until;                  /* ms; 0 = free */
};

static struct {
	unsigned char *key;             /* KEY bytes */
	struct known *at;
	unsigned n;                     /* a multiple of WAYS */
} good;

static bool have_key(void)
{
	if (good.key)
		return true;
	good.key = secret_alloc(KEY, 0);
	if (good.key && secret_random(good.key, KEY) == 0)
		return true;
	secret_free(good.key, KEY);
	good.key = NULL;
	return false;
}

bool logins_mac(const char *user, const char *password, const char *hash, unsigned char mac[LOGINS_MAC])
{
	size_t n = LOGINS_MAC;
	gcry_mac_hd_t h;
	bool made;

	if (!have_key() || gcry_mac_open(&h, GCRY_MAC_HMAC_SHA256, 0, NULL))
		return false;
	made = !gcry_mac_setkey(h, good.key, KEY) && !gcry_mac_write(h, user, strlen(user) + 1) && !gcry_mac_write(h, password, strlen(password) + 1)
	       && !gcry_mac_write(h, hash, strlen(hash)) && !gcry_mac_read(h, mac, &n);
	gcry_mac_close(h);
	return made;
}

static struct known *row_of(const unsigned char *mac)
{
	uint32_t v;

	memcpy(&v, mac, sizeof v);
	return good.at + (size_t)(v % (good.n / WAYS)) * WAYS;
}

bool logins_known(const unsigned char mac[LOGINS_MAC])
{
	int64_t now = now_ms();

	for (unsigned i = 0; good.at && i < WAYS; i++) {
		const struct known *k = row_of(mac) + i;
		if (k->until > now && password_same(k->mac, mac, LOGINS_MAC))
			return true;
	}
	return false;
}

void logins_remember(const struct logins_settings *s, const unsigned char mac[LOGINS_MAC])
{
	struct known *oldest;

	if (!s->keep_ms || !s->entries)
		return;
	if (!good.at) {
		good.n = ((unsigned)s->entries + WAYS - 1) / WAYS * WAYS;
		good.at = secret_alloc(good.n * sizeof *good.at, 0);
		if (!good.at)
			return;
	}
	oldest = row_of(mac);
	for (unsigned i = 1; i < WAYS; i++)
		if (row_of(mac)[i].until < oldest->until)
			oldest = row_of(mac) + i;
	memcpy(oldest->mac, mac, LOGINS_MAC);
	oldest->until = now_ms() + s->keep_ms;
}

/* ---------------------------------------------------------------------------------------------- failing addresses */

struct failing {
	unsigned char address[16];
	int64_t since;                  /* ms: the first failure of its minute; 0 = free */
	int64_t count;
};

static struct failing *failing;         /* ADDRESSES */
static uint32_t seed;                   /* so that nobody knows whose row is whose */

static void address_of(const struct addr *peer, unsigned char out[16])
{
	struct addr a = *peer;

	addr_unmap(&a);
	memset(out, 0, 16);
	if (a.sa.sa_family == AF_INET) {
		out[15] = 4;
		memcpy(out, &a.in4.sin_addr, 4);
	} else {
		memcpy(out, &a.in6.sin6_addr, 8);
	}
}

/* Its entry; else where `make` says so the oldest of its row, free for it; else NULL. */
static struct failing *failing_find(const struct addr *peer, int64_t now, bool make)
{
	unsigned char address[16];
	struct failing *row, *oldest;
	uint32_t hash = seed;

	if (!failing && make) {
		failing = calloc(ADDRESSES, sizeof *failing);
		if (secret_random(&seed, sizeof seed) != 0)
			seed = (uint32_t)now;
		hash = seed;
	}
	if (!failing)
		return NULL;
	address_of(peer, address);
	for (unsigned i = 0; i < sizeof address; i++)
		hash = (hash ^ address[i]) * 16777619u;
	row = oldest = failing + (size_t)((hash ^ hash >> 15) % (ADDRESSES / WAYS)) * WAYS;
	for (unsigned i = 0; i < WAYS; i++) {
		struct failing *f = row + i;
		if (f->since && now - f->since < LOGINS_WINDOW_MS && memcmp(f->address, address, sizeof address) == 0)
			return f;
		if (f->since < oldest->since)
			oldest = f;
	}
	if (!make)
		return NULL;
	memcpy(oldest->address, address, sizeof address);
	oldest->since = now;
	oldest->count = 0;
	return oldest;
}

bool logins_failed(const struct logins_settings *s, const struct addr *peer)
{
	struct failing *f = s->failures ? failing_find(peer, now_ms(), true) : NULL;

	return f && ++f->count == s->failures;
}

unsigned logins_refused(const struct logins_settings *s, const struct addr *peer)
{
	int64_t now = now_ms();
	const struct failing *f = s->failures ? failing_find(peer, now, false) : NULL;

	if (!f || f->count < s->failures)
		return 0;
	return (unsigned)((f->since + LOGINS_WINDOW_MS - now) / 1000) + 1;
}
