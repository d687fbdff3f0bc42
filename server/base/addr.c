/*
 * addr.c - socket addresses and prefixes, to and from text. Pure but for scope names ("%eth0"), which ask the
 * kernel: those come from the configuration, in the master. Text forms give the scope's number.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#include "base/text.h"

/* Copies [p, p+n) into a terminated array; false if it does not fit or is empty. */
static bool cut(char *out, size_t cap, const char *p, size_t n)
{
	if (n == 0 || n >= cap)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

static int parse_v4(struct addr *a, const char *host, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
		return -1;
	memset(a, 0, sizeof *a);
	a->in4 = in;
	a->len = sizeof in;
	return 0;
}

static int parse_v6(struct addr *a, struct text host, uint16_t port)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	char digits[INET6_ADDRSTRLEN], scope[IF_NAMESIZE];
	struct text before;
	uint64_t number;

	text_split(&host, '%', &before);
	if (!cut(digits, sizeof digits, before.p, before.n) || inet_pton(AF_INET6, digits, &in.sin6_addr) != 1)
		return -1;
	if (host.p) {
		if (text_u64(host, UINT32_MAX, &number) == 0)
			in.sin6_scope_id = (uint32_t)number;
		else if (cut(scope, sizeof scope, host.p, host.n))
			in.sin6_scope_id = if_nametoindex(scope);
		if (in.sin6_scope_id == 0)
			return -1;
	}
	memset(a, 0, sizeof *a);
	a->in6 = in;
	a->len = sizeof in;
	return 0;
}

int addr_parse(struct addr *a, const char *host, uint16_t port)
{
	size_t n = strlen(host);

	if (strcmp(host, "*") == 0)
		host = "0.0.0.0";
	if (host[0] == '[')
		return n > 2 && host[n - 1] == ']' ? parse_v6(a, (struct text){ host + 1, n - 2 }, port) : -1;
	if (strchr(host, ':'))
		return parse_v6(a, text_of(host), port);
	return parse_v4(a, host, port);
}

uint16_t addr_port(const struct addr *a)
{
	if (a->len == 0)
		return 0;
	if (a->sa.sa_family == AF_INET)
		return ntohs(a->in4.sin_port);
	return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (a->len && a->sa.sa_family == AF_INET)
		a->in4.sin_port = htons(port);
	else if (a->len && a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
}

static bool same_exact_ip(const struct addr *a, const struct addr *b)
{
	if (a->len == 0 || b->len == 0 || a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
	return a->sa.sa_family == AF_INET6 && a->in6.sin6_scope_id == b->in6.sin6_scope_id
		&& memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
}

bool addr_same(const struct addr *a, const struct addr *b)
{
	return same_exact_ip(a, b) && addr_port(a) == addr_port(b);
}

bool addr_same_ip(const struct addr *a, const struct addr *b)
{
	struct addr x = *a, y = *b;

	addr_unmap(&x);
	addr_unmap(&y);
	return same_exact_ip(&x, &y);
}

bool addr_is_any(const struct addr *a)
{
	if (a->len == 0)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in4.sin_addr.s_addr == htonl(INADDR_ANY);
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

bool addr_is_loopback(const struct addr *a)
{
	struct addr x = *a;

	if (a->len == 0)
		return false;
	addr_unmap(&x);
	if (x.sa.sa_family == AF_INET)
		return ntohl(x.in4.sin_addr.s_addr) >> 24 == 127;
	return x.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&x.in6.sin6_addr);
}

void addr_unmap(struct addr *a)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (a->len == 0 || a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	in.sin_port = a->in6.sin6_port;
	memcpy(&in.sin_addr, a->in6.sin6_addr.s6_addr + 12, sizeof in.sin_addr);
	memset(a, 0, sizeof *a);
	a->in4 = in;
	a->len = sizeof in;
}

static void put_ip(struct buf *b, const struct addr *a)
{
	char ip[INET6_ADDRSTRLEN] = "-";

	if (a->len && a->sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->in4.sin_addr, ip, sizeof ip);
	else if (a->len && a->sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof ip);
	buf_puts(b, ip);
	if (a->len && a->sa.sa_family == AF_INET6 && a->in6.sin6_scope_id)
		buf_printf(b, "%%%u", a->in6.sin6_scope_id);
}

char *addr_ip(const struct addr *a, char *buf)
{
	struct buf b;

	buf_init(&b, buf, ADDR_TEXT);
	put_ip(&b, a);
	return buf;
}

char *addr_text(const struct addr *a, char *buf)
{
	bool v6 = a->len && a->sa.sa_family == AF_INET6;
	struct buf b;

	buf_init(&b, buf, ADDR_TEXT);
	if (v6)
		buf_putc(&b, '[');
	put_ip(&b, a);
	if (v6)
		buf_putc(&b, ']');
	if (a->len)
		buf_printf(&b, ":%u", addr_port(a));
	return buf;
}

/* ---------------------------------------------------------------------------------------------- prefixes */

/* The address's bytes and their number in bits. */
static unsigned char *ip_bytes(struct addr *a, unsigned *bits)
{
	bool v6 = a->sa.sa_family == AF_INET6;

	*bits = v6 ? 128 : 32;
	return v6 ? a->in6.sin6_addr.s6_addr : (unsigned char *)&a->in4.sin_addr.s_addr;
}

void addr_truncate(struct addr *a, unsigned bits)
{
	unsigned most;
	unsigned char *bytes = ip_bytes(a, &most);

	for (unsigned bit = bits; bit < most; bit++)
		bytes[bit / 8] &= (unsigned char)~(0x80u >> bit % 8);
}

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

/* "10", "10.1", "10.1.", "10.1.2": the leading one to three numbers of an IPv4 address. */
static int parse_partial(struct prefix *p, struct text t)
{
	unsigned char bytes[4] = { 0 };
	unsigned n = 0;
	struct text part;
	uint64_t v;

	while (text_split(&t, '.', &part)) {
		if (part.n == 0 && n > 0 && !t.p)       /* the dot at the end */
			break;
		if (n == 3 || part.n > 3 || text_u64(part, 255, &v) != 0)
			return -1;
		bytes[n++] = (unsigned char)v;
	}
	if (addr_parse(&p->addr, "0.0.0.0", 0) != 0)
		return -1;
	memcpy(&p->addr.in4.sin_addr.s_addr, bytes, sizeof bytes);
	p->bits = 8 * n;
	return 0;
}

/* "/8" or "/255.0.0.0", whose ones must come first. */
static int parse_length(struct text t, unsigned most, unsigned *bits)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr mask;
	uint32_t zeros;
	uint64_t v;

	if (text_u64(t, most, &v) == 0) {
		*bits = (unsigned)v;
		return 0;
	}
	if (most != 32 || !cut(text, sizeof text, t.p, t.n) || inet_pton(AF_INET, text, &mask) != 1)
		return -1;
	zeros = ~ntohl(mask.s_addr);
	if (zeros & (zeros + 1))
		return -1;
	*bits = zeros ? (unsigned)__builtin_clz(zeros) : 32;
	return 0;
}

int prefix_parse(struct prefix *p, const char *text)
{
	struct text rest = text_of(text), host;
	char name[ADDR_TEXT];
	unsigned most;

	text_split(&rest, '/', &host);
	if (!cut(name, sizeof name, host.p, host.n) || strcmp(name, "*") == 0)
		return -1;
	if (addr_parse(&p->addr, name, 0) != 0)
		return rest.p ? -1 : parse_partial(p, host);
	ip_bytes(&p->addr, &most);
	p->bits = most;
	if (rest.p && parse_length(rest, most, &p->bits) != 0)
		return -1;
	addr_truncate(&p->addr, p->bits);
	if (p->bits >= 96 && p->addr.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&p->addr.in6.sin6_addr)) {
		addr_unmap(&p->addr);
		p->bits -= 96;
	}
	return 0;
}

bool prefix_match(const struct prefix *p, const struct addr *a)
{
	struct addr want = p->addr, have = *a;
	unsigned most;

	if (a->len == 0 || p->addr.len == 0)
		return false;
	addr_unmap(&have);
	if (have.sa.sa_family != want.sa.sa_family
	    || (have.sa.sa_family != AF_INET && have.sa.sa_family != AF_INET6))
		return false;
	if (want.sa.sa_family == AF_INET6 && want.in6.sin6_scope_id
	    && want.in6.sin6_scope_id != have.in6.sin6_scope_id)
		return false;
	return same_bits(ip_bytes(&want, &most), ip_bytes(&have, &most), p->bits);
}
