/*
 * maskword.h - what mask.c and maskconf.c share.
 */
#ifndef BULKHEAD_CRASHDUMP_TOOLMASKWORD_H
#define BULKHEAD_CRASHDUMP_TOOLMASKWORD_H

#include "crashdump/tool/mask.h"

/* Adds the mark. */
void mask_hide(struct toolmask_text *t);
/* Whether a name promises a secret: password, token, key, … */
bool mask_is_sensitive(const char *name, size_t n);
/* Whether it is a directive with such a word in its name whose value is none: AuthUserFile, SSLCertificateKeyFile, … */
bool mask_is_harmless_name(const char *name, size_t n);
/* Whether a run of letters, digits and - _ + / = looks random. */
bool mask_is_token(const char *p, size_t n);
/* A word without whatever in it is or may be secret; log: queries go as a whole. */
void mask_word(const char *word, size_t n, struct toolmask_text *out, bool log);

#endif
