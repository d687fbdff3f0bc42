/*
 * keyproto.h - what children and master say to the keyholder over base/ipc.h. Every message is checked by length; a bad
 * request gets KEY_MSG_ERROR and never ends the keyholder.
 */
#ifndef BULKHEAD_TLS_KEYPROTO_H
#define BULKHEAD_TLS_KEYPROTO_H

#include "base/ipc.h"
#include "tls/key.h"

enum {
	KEY_MSG_LOAD = 1,       /* master → keyholder: one descriptor; data = the file's name, or a URI: then perhaps none */
	KEY_MSG_LOADED,         /* keyholder → master: struct key_ref */
	KEY_MSG_FAILED,         /* keyholder → master: struct err: the key cannot be used */
	KEY_MSG_READY,          /* master → keyholder: no more keys; serve. keyholder → master: serving */
	KEY_MSG_RUN,            /* child → keyholder: struct key_request and its input */
	KEY_MSG_RESULT,         /* keyholder → child: the signature or plain text */
	KEY_MSG_ERROR,          /* keyholder → child: int32_t GNUTLS_E_* */
	KEY_MSG_PHRASES,        /* master → keyholder, before keys: their pass phrases, texts each with its zero */
	KEY_MSG_ATTACH,         /* master → keyholder: descriptors, each the keyholder's end of a child's socket; data = their slots, uint32_t */
	KEY_MSG_CERTIFICATE,    /* master → keyholder: the URI of a certificate on a token. keyholder → master: its DER */
	KEY_MSG_PING,           /* master → keyholder: show that you live (process/keyserve.h) */
};
struct key_request {
	uint32_t key, operation, algorithm, length;
	/* the input follows */
};

#endif
