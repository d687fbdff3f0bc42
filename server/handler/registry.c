/*
 * registry.c - the handlers by name. The table of what is built in is complete before any configuration is read; others
 * (a test's) are added before the first fork. Children only look up.
 */
#include "request/handler.h"

#include <string.h>
#include <strings.h>

#include "handler/asis.h"
#include "handler/autoindex.h"
#include "handler/cgi.h"
#include "handler/file.h"
#include "handler/info.h"
#include "handler/proxy.h"
#include "handler/status.h"
#include "handler/typemap.h"
#include "handler/welcome.h"

#define ADDED 16

static const struct handler *const built_in[] = {
	&file_handler, &welcome_handler, &asis_handler, &cgi_handler, &autoindex_handler, &typemap_handler, &status_handler, &info_handler,
	&proxy_handler,
};
static const struct handler *added[ADDED];
static unsigned nadded;

void handler_register(const struct handler *h)
{
	if (nadded < ADDED)
		added[nadded++] = h;
}

const struct handler *handler_find(const char *name)
{
	if (strncasecmp(name, "proxy:", 6) == 0)        /* SetHandler "proxy:URL" */
		name = "proxy-server";
	for (unsigned i = nadded; i > 0; i--)   /* a later one of the same name wins */
		if (strcmp(added[i - 1]->name, name) == 0)
			return added[i - 1];
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++)
		if (strcmp(built_in[i]->name, name) == 0)
			return built_in[i];
	return NULL;
}
