/*
 * assets.h - the style sheet and the script of the server's own pages: files beside this one, which the build puts into the program.
 */
#ifndef BULKHEAD_HANDLER_ASSETS_H
#define BULKHEAD_HANDLER_ASSETS_H

#include "base/text.h"
#include "handler/page.h"

/*
 * Begins a page for people up to its <body>, with the style sheet in it, and names in Content-Security-Policy what alone it may load:
 * that sheet, with `script` the script that assets_script puts at the page's end, and answers of this server.
 */
void assets_begin(struct page *p, struct request *r, const char *title, bool script);
void assets_script(struct page *p);
/* The line below, as ServerSignature wants it, and the page's end. */
void assets_end(struct page *p, struct request *r);

#endif
