/*
 * names.h - distinguished names of certificates as text, as mod_ssl writes them. Pure.
 */
#ifndef BULKHEAD_TLS_NAMES_H
#define BULKHEAD_TLS_NAMES_H

#include <gnutls/x509.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/text.h"

/* RFC 2253: "CN=host,O=Example,C=DE"; old: "/C=DE/O=Example/CN=host" (LegacyDNStringFormat). Absent where it cannot be had. */
struct text name_whole(gnutls_x509_crt_t crt, bool issuer, bool old, struct arena *a);
/* The value of "CN", of "CN_1", the second one, or of "CN_RAW", without escapes. Absent if there is none. */
struct text name_part(gnutls_x509_crt_t crt, bool issuer, struct text part, struct arena *a);

/* Whether name_part knows such a part. */
bool name_part_known(struct text part);

#endif
