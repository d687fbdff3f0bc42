/*
 * suites.h - the cipher suites that this server can be told to use, with their three names. A table and look-ups.
 */
#ifndef BULKHEAD_TLS_SUITES_H
#define BULKHEAD_TLS_SUITES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* What OpenSSL's cipher words choose by. */
enum suite_kx { KX_ECDHE = 1, KX_DHE = 2, KX_RSA = 4, KX_ANY = 8 };
enum suite_auth { AUTH_ECDSA = 1, AUTH_RSA = 2, AUTH_ANY = 4, AUTH_NULL = 8 };
enum suite_enc {
	ENC_AES128 = 1, ENC_AES256 = 2, ENC_AES128GCM = 4, ENC_AES256GCM = 8, ENC_AES128CCM = 16, ENC_AES256CCM = 32,
	ENC_AES128CCM8 = 64, ENC_AES256CCM8 = 128, ENC_CHACHA20 = 256, ENC_CAMELLIA128 = 512, ENC_CAMELLIA256 = 1024,
};
enum suite_mac { MAC_SHA1 = 1, MAC_SHA256 = 2, MAC_SHA384 = 4, MAC_AEAD = 8 };

struct suite {
	uint16_t id;                    /* IANA's number */
	const char *openssl, *iana;
	uint16_t kx, auth, enc, mac;
	uint16_t since;                 /* the oldest protocol: 0x0300 (the suites SSL 3 had), 0x0301, 0x0303, 0x0304 */
	uint16_t bits;                  /* of the key */
};

#define SUITES_MAX 64                   /* room for every suite below 1.3 */
#define SUITES13_MAX 8

/* In the order in which OpenSSL begins to work on a cipher string; 1.3 ones apart. */
extern const struct suite suites[];
extern const unsigned suites_n;
extern const struct suite suites13[];
extern const unsigned suites13_n;

const struct suite *suite_by_id(uint16_t id);                   /* any protocol; NULL if unknown here */
const struct suite *suite_by_name(struct text name);            /* OpenSSL's or IANA's name, any protocol */
/* GnuTLS's words for a priority string. */
const char *suite_gnutls_kx(const struct suite *s);             /* "ECDHE-RSA"; NULL in 1.3 */
const char *suite_gnutls_cipher(const struct suite *s);
const char *suite_gnutls_mac(const struct suite *s);

#endif
