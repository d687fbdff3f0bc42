/*
 * code.h - how values are written: the encodings and decodings of echo and set. Pure.
 */
#ifndef BULKHEAD_SSI_CODE_H
#define BULKHEAD_SSI_CODE_H

#include "base/arena.h"
#include "base/text.h"

/* A list of none, url, urlencoded, base64 and entity is one. */
bool ssi_codes_known(const char *list);
/* Each of the list in turn. Of the arena, ended by NUL; NULL: no memory, or not one of them. */
char *ssi_encode(struct arena *a, const char *list, const char *value);
char *ssi_decode(struct arena *a, const char *list, const char *value);
/* What a query says, with the characters of shells escaped. */
char *ssi_query_unescaped(struct arena *a, const char *query);

#endif
