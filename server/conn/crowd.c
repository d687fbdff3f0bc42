/*
 * crowd.c - refuses connections of an address that has too many (crowd.h). A refused one is closed before a byte is read: an answer
 * would cost what the limit is to save. Runs in the children.
 */
#include "conn/internal.h"

#include <string.h>

#include "log/log.h"

#define TELL_MS 10000                   /* between two lines about it */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93;
	return x ^ x >> 32;
}

/* The bits of the address that make out who it is; the rest are zero. */
static void group(const struct addr *a, const struct conn_settings *set, unsigned char bytes[16])
{
	bool v4 = a->sa.sa_family == AF_INET;
	struct addr who = *a;

	addr_truncate(&who, (unsigned)(v4 ? set->address_bits4 : set->address_bits6));
	memset(bytes, 0, 16);
	memcpy(bytes, v4 ? (const void *)&who.in4.sin_addr : (const void *)&who.in6.sin6_addr, v4 ? 4 : 16);
	if (v4)
		bytes[15] = 4;          /* not the place of an IPv6 address with the same bits */
}

static unsigned place(const struct crowd_head *head, const unsigned char bytes[16])
{
	uint64_t half[2];

	memcpy(half, bytes, sizeof half);
	return (unsigned)(mix(mix(half[0] ^ head->secret[0]) ^ half[1] ^ head->secret[1]) % CROWD_PLACES);
}

static unsigned long open_now(const struct crowd *crowd, unsigned at)
{
	uint32_t n = atomic_load_explicit(&crowd->head->used, memory_order_relaxed);
	unsigned long sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += atomic_load_explicit(&crowd->columns[i].open[at], memory_order_relaxed);
	return sum;
}

static void tell(struct conn *c, unsigned long open)
{
	struct conn_server *s = c->server;
	char text[ADDR_TEXT];

	s->refused++;
	if (loop_now(s->loop) < s->refusal_told)
		return;
	log_warnx(&c->own.client.about, LOG_CORE, "BH0850", "connections from %s are refused: %lu of it are open (MaxConnectionsPerAddress %lld); %u refused since the last such line",
		  addr_ip(&c->own.client.arrived, text), open, (long long)c->settings->per_address, s->refused);
	s->refused = 0;
	s->refusal_told = loop_now(s->loop) + TELL_MS;
}

static void move(struct crowd *crowd, unsigned at, int by)
{
	_Atomic uint16_t *n = &crowd->own->open[at];

	atomic_store_explicit(n, (uint16_t)(atomic_load_explicit(n, memory_order_relaxed) + by), memory_order_relaxed);
}

bool crowd_enter(struct conn *c)
{
	struct crowd *crowd = &c->server->o.crowd;
	const struct addr *a = &c->own.client.arrived;
	unsigned char bytes[16];
	unsigned long open;
	unsigned at;

	if (!crowd->own || c->settings->per_address <= 0 || (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6))
		return true;
	for (const struct exempt *x = c->settings->exempt; x; x = x->next)
		if (prefix_match(&x->prefix, a))
			return true;
	group(a, c->settings, bytes);
	at = place(crowd->head, bytes);
	open = open_now(crowd, at);
	if (open >= (unsigned long)c->settings->per_address) {
		tell(c, open);
		return false;
	}
	move(crowd, at, 1);
	c->crowd_place = at + 1;
	return true;
}

void crowd_leave(struct conn *c)
{
	if (c->crowd_place)
		move(&c->server->o.crowd, c->crowd_place - 1, -1);
	c->crowd_place = 0;
}
