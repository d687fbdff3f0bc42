/*
 * hello.h - a ClientHello as it came (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2). Pure: bytes in, structure out. Read once; it
 * chooses host, policy, certificate and ticket key, and later explains a failure. Borrows the bytes.
 */
#ifndef BULKHEAD_TLS_HELLO_H
#define BULKHEAD_TLS_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define HELLO_MAX 64                    /* of most lists as many are kept; the rest is skipped */
#define HELLO_VERSIONS 127              /* all that a list can hold: GnuTLS must see none that we do not */

struct hello {
	uint16_t legacy_version;
	uint16_t versions[HELLO_VERSIONS];      /* supported_versions, or the legacy version and the older ones */
	unsigned nversions;
	uint16_t suites[256];
	unsigned nsuites;
	uint16_t groups[HELLO_MAX], shares[HELLO_MAX], signatures[HELLO_MAX];
	unsigned ngroups, nshares, nsignatures;
	struct text session_id;
	struct text sni;                /* host_name; absent if none; checked: letters, digits, '-', '.', '_' */
	bool bad_sni;                   /* a server_name extension that is no host name */
	struct text alpn;               /* the protocol_name_list's bytes */
	bool has_ticket;                /* extension 35 is there (1.2) */
	bool sends_ticket;              /* … and carries a ticket */
	struct text ticket_name;        /* first 16 bytes of the 1.2 ticket or the first 1.3 PSK identity; absent if none */
	bool psk_ke_modes;              /* extension 45 with psk_dhe_ke: the client can use 1.3 tickets */
	uint8_t fragment_code;          /* max_fragment_length (RFC 6066, 4): 1 to 4 for 512 to 4096 bytes; 0 = none */
	bool has_record_limit;          /* record_size_limit (RFC 8449), which counts alone where both are there */
	bool has_psk, has_psk_modes;    /* extensions 41 and 45 are there */
	bool null_compression_only;
	bool illegal;                   /* well-formed, but as no RFC allows: a type or a share twice, no point format that is a must */
	bool extended_master_secret;
	bool offers13, offers12;
};
/* body = the handshake message without its 4-byte header. 0, or -1: malformed (a hello without extensions is legal). */
int hello_parse(struct text body, struct hello *h);

enum hello_peek { HELLO_MORE, HELLO_TLS, HELLO_NOT, HELLO_BAD };
/*
 * Judges the first bytes of a connection: HELLO_TLS = a TLS record that begins a ClientHello (type 22, version 3.x, handshake
 * type 1, plausible lengths); HELLO_NOT = not TLS; HELLO_BAD = looks like TLS but is none (answer with an alert, do not wait).
 */
enum hello_peek hello_peek(const unsigned char *p, size_t n);
/*
 * The fatal alert, a record of 7 bytes in clear, that answers such first bytes where no TLS session is begun: HELLO_BAD's,
 * with the number that fits them, or (40) a good ClientHello on a port without TLS.
 */
#define HELLO_ALERT 7
void hello_alert(const unsigned char *p, size_t n, unsigned char out[HELLO_ALERT]);

#endif
