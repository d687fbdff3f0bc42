/*
 * mimemap.h - extension → type: the table of a mime.types file, built once by the master, read in children.
 */
#ifndef BULKHEAD_REQUEST_MIMEMAP_H
#define BULKHEAD_REQUEST_MIMEMAP_H

#include <stdint.h>

#include "base/text.h"
#include "conf/conf.h"

struct mimemap;

/* The shipped list, as conf/etc/mime.types holds it (a test keeps the two the same). */
extern const char mime_shipped[];

#define MIME_EXTENSION 63               /* longer extensions are looked up nowhere */
/* Lower-cases ext into buf (MIME_EXTENSION + 1 bytes) and hashes it. False: too long or empty. */
bool mime_fold(struct text ext, char *buf, uint32_t *hash);

/*
 * Parses lines "type/subtype ext ext …", '#' begins a comment; a later line wins. Lines that are none are passed over.
 * `text` is borrowed only during the call.
 */
struct mimemap *mimemap_parse(struct conf_env *env, struct text text);
/* Reads a file through env->open. NULL with errno (EFBIG: over 4 MiB; EISDIR). */
struct mimemap *mimemap_read(struct conf_env *env, const char *path);
/* folded and hashed by mime_fold. NULL = none. */
const char *mimemap_find(const struct mimemap *m, const char *folded, uint32_t hash);
unsigned mimemap_count(const struct mimemap *m);

#endif
