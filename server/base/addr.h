/*
 * addr.h - socket addresses, their prefixes and text forms. Resolves no names.
 */
#ifndef BULKHEAD_BASE_ADDR_H
#define BULKHEAD_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
		struct sockaddr_storage ss;
	};
	socklen_t len;                          /* 0 = no address */
};
#define ADDR_TEXT 64                            /* enough for "[v6%scope]:port" and its terminator */

/*
 * "1.2.3.4", "::1", "[::1]", "fe80::1%eth0", each with the given port; "*" = 0.0.0.0. 0 or -1 (not a numeric
 * address).
 */
int addr_parse(struct addr *a, const char *host, uint16_t port);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
bool addr_same(const struct addr *a, const struct addr *b);             /* address and port */
bool addr_same_ip(const struct addr *a, const struct addr *b);          /* v4-mapped v6 equals v4 */
bool addr_is_any(const struct addr *a);                                 /* 0.0.0.0 or :: */
bool addr_is_loopback(const struct addr *a);
/* An IPv4-mapped IPv6 address becomes the IPv4 address. */
void addr_unmap(struct addr *a);
/* All bits of the address behind the first `bits` become zero. */
void addr_truncate(struct addr *a, unsigned bits);
/* Address alone ("::1") and with port ("[::1]:80"); buf has ADDR_TEXT bytes; returns buf. */
char *addr_ip(const struct addr *a, char *buf);
char *addr_text(const struct addr *a, char *buf);

struct prefix {
	struct addr addr;
	unsigned bits;
};
/*
 * "10.0.0.0/8", "10.0.0.0/255.0.0.0", "10.1", "10.1.", "::1/128", "fe80::/10"; without a length the whole
 * address, for "10.1" 8 bits a number. Bits behind the prefix are cleared. 0 or -1.
 */
int prefix_parse(struct prefix *p, const char *text);
/* A v4-mapped v6 address is matched as the IPv4 address it stands for, on both sides. */
bool prefix_match(const struct prefix *p, const struct addr *a);

#endif
