/*
 * token.h - keys and certificates on PKCS#11 tokens, named by URI (RFC 7512). The modules are those that p11-kit knows; they
 * are the token maker's code, so only keyholders, -X and tools call token_open and what needs it. The rest reads text alone.
 */
#ifndef BULKHEAD_CERT_TOKEN_H
#define BULKHEAD_CERT_TOKEN_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define TOKEN_MAX_URI 1024
#define TOKEN_MAX_PIN 256

bool token_is_uri(const char *path);
/* The URI without what opens the token: for messages and for GnuTLS. buf has TOKEN_MAX_URI bytes; returns buf. */
char *token_shown(const char *uri, char *buf);
/* What in it tells the token, so that one PIN is asked for once. As token_shown. */
char *token_label(const char *uri, char *buf);
/* Its pin-value, decoded, or the path of its pin-source. True if there is one; buf has TOKEN_MAX_URI bytes. */
bool token_pin_value(const char *uri, char *buf);
bool token_pin_source(const char *uri, char *buf);

/* Once in a process, before its sandbox: the modules are loaded. 0 or -1 with *e. */
int token_open(struct err *e);
/* 0 or -1 with *e: no module, no such token, PIN missing or wrong, no such key. pin NULL: none is known. It is tried once. */
int token_key(gnutls_privkey_t *out, const char *uri, const char *pin, struct err *e);
int token_certificate(gnutls_x509_crt_t *out, const char *uri, struct err *e);

#endif
