/*
 * version.h - what we call ourselves, and the Apache release whose configuration we read.
 */
#ifndef BULKHEAD_BASE_VERSION_H
#define BULKHEAD_BASE_VERSION_H

#define BULKHEAD_VERSION "0.1"
#define BULKHEAD_APACHE "2.4.71"        /* the compatible release */
#define BULKHEAD_MMN "20120211:142"     /* its module magic number */

#endif
