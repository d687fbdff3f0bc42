/*
 * proxyheader.c - reads the PROXY protocol's header from a connection's first bytes. Runs in the children.
 */
#include "http/proxyheader.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"

#define FIRST "PROXY "                  /* version 1 is a line of at most 107 bytes */
#define FIRST_MOST 107
#define SECOND "\r\n\r\n\0\r\nQUIT\n"   /* version 2 begins with these 12 bytes */
#define SECOND_MARK 12u
#define SECOND_HEAD 16u
#define ADDRESSES4 12u                  /* two addresses, two ports */
#define ADDRESSES6 36u

static enum proxyheader_result bad(struct proxyheader *h, const char *what)
{
	h->wrong = what;
	return PROXYHEADER_BAD;
}

static bool read_address(struct addr *a, struct text host, struct text port, int family)
{
	char name[ADDR_TEXT];
	uint64_t n;

	if (host.n == 0 || host.n >= sizeof(name) || memchr(host.p, '\0', host.n) || memchr(host.p, '[', host.n) ||
	    memchr(host.p, '*', host.n) || text_u64(port, 65535, &n) != 0)
		return false;
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	return addr_parse(a, name, (uint16_t)n) == 0 && a->sa.sa_family == family;
}

/* A line without its end. */
static enum proxyheader_result read_line(struct text line, struct proxyheader *h)
{
	struct text word[6], rest = line;
	unsigned n = 0;
	int family;

	while (n < 6 && text_split(&rest, ' ', &word[n]))
		n++;
	if (n >= 2 && text_is(word[1], "UNKNOWN"))
		return PROXYHEADER_DONE;
	if (n != 6 || rest.n)
		return bad(h, "its line has not the six words of version 1");
	family = text_is(word[1], "TCP4") ? AF_INET : text_is(word[1], "TCP6") ? AF_INET6 : AF_UNSPEC;
	if (family == AF_UNSPEC)
		return bad(h, "its second word is neither TCP4, TCP6 nor UNKNOWN");
	if (!read_address(&h->from, word[2], word[4], family) || !read_address(&h->to, word[3], word[5], family))
		return bad(h, "its addresses are none of that family");
	h->known = true;
	return PROXYHEADER_DONE;
}

static enum proxyheader_result read_first(const char *p, size_t n, struct proxyheader *h)
{
	const char *end = memmem(p, n < FIRST_MOST ? n : FIRST_MOST, "\r\n", 2);

	if (!end)
		return n < FIRST_MOST ? PROXYHEADER_MORE : bad(h, "its line is longer than 107 bytes");
	h->length = (size_t)(end - p) + 2;
	return read_line((struct text){ p, (size_t)(end - p) }, h);
}

static void take_addresses(const unsigned char *p, int family, struct proxyheader *h)
{
	struct addr *const to[2] = { &h->from, &h->to };

	for (unsigned i = 0; i < 2; i++) {
		struct addr *a = to[i];

		*a = (struct addr){ .len = family == AF_INET ? sizeof(a->in4) : sizeof(a->in6) };
		if (family == AF_INET) {
			a->in4.sin_family = AF_INET;
			memcpy(&a->in4.sin_addr, p + 4 * i, 4);
			memcpy(&a->in4.sin_port, p + 8 + 2 * i, 2);
		} else {
			a->in6.sin6_family = AF_INET6;
			memcpy(&a->in6.sin6_addr, p + 16 * i, 16);
			memcpy(&a->in6.sin6_port, p + 32 + 2 * i, 2);
			addr_unmap(a);
		}
	}
	h->known = true;
}

static enum proxyheader_result read_second(const unsigned char *p, size_t n, struct proxyheader *h)
{
	size_t length;
	int family;

	if (n < SECOND_HEAD)
		return PROXYHEADER_MORE;
	if (p[12] != 0x20 && p[12] != 0x21)
		return bad(h, "its version is not 2, or its command neither LOCAL nor PROXY");
	length = (size_t)p[14] << 8 | p[15];
	h->length = SECOND_HEAD + length;
	if (h->length > PROXYHEADER_MOST)
		return bad(h, "it is longer than 4096 bytes");
	family = p[13] == 0x11 ? AF_INET : p[13] == 0x21 ? AF_INET6 : AF_UNSPEC;
	if (p[12] == 0x21 && family != AF_UNSPEC && length < (family == AF_INET ? ADDRESSES4 : ADDRESSES6))
		return bad(h, "it is too short for its addresses");
	if (n < h->length)
		return PROXYHEADER_MORE;
	if (p[12] == 0x21 && family != AF_UNSPEC)
		take_addresses(p + SECOND_HEAD, family, h);
	return PROXYHEADER_DONE;
}

enum proxyheader_result proxyheader_read(const char *p, size_t n, struct proxyheader *h)
{
	size_t first = n < sizeof(FIRST) - 1 ? n : sizeof(FIRST) - 1, second = n < SECOND_MARK ? n : SECOND_MARK;

	*h = (struct proxyheader){ .wrong = NULL };
	if (n == 0)
		return PROXYHEADER_MORE;
	if (memcmp(p, FIRST, first) == 0)
		return first == sizeof(FIRST) - 1 ? read_first(p, n, h) : PROXYHEADER_MORE;
	if (memcmp(p, SECOND, second) == 0)
		return second == SECOND_MARK ? read_second((const unsigned char *)p, n, h) : PROXYHEADER_MORE;
	return bad(h, "it does not begin as one");
}
