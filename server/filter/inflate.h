/*
 * inflate.h - request bodies in gzip or deflate form, and their limits: between deflate.c, which has the directives, and inflate.c.
 */
#ifndef BULKHEAD_FILTER_INFLATE_H
#define BULKHEAD_FILTER_INFLATE_H

#include "base/text.h"
#include "conf/conf.h"

struct inflate_limits {                 /* deflate_module's section structure; CONF_UNSET = not set */
	int64_t body, ratio, burst;
};

void *inflate_create_limits(struct conf_env *env);
void *inflate_merge_limits(struct conf_env *env, const void *base, const void *over);

enum inflate_form { INFLATE_NOT, INFLATE_GZIP, INFLATE_ZLIB };
/* Of a Content-Encoding: its last coding, which is the outermost, and what is left without it (absent: nothing). */
enum inflate_form inflate_last_coding(struct text codings, struct text *left);

#endif
