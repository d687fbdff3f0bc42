/*
 * filedigest.h - entity tags made of what a file holds (FileETag Digest). In the children.
 */
#ifndef BULKHEAD_REQUEST_FILEDIGEST_H
#define BULKHEAD_REQUEST_FILEDIGEST_H

#include "request/request.h"

#define FILEDIGEST_MAX ((off_t)4 * 1024 * 1024)        /* bytes: longer files would hold up the other connections */

/* A strong tag with its quotes for r->fd, in r's arena; NULL where the file is longer, cannot be read or memory ran out. */
const char *filedigest_tag(struct request *r);

#endif
