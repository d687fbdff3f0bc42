/*
 * corevalue.c - what core's directives come to for a host, a section or a request, with the defaults filled in. Runs in the children.
 */
#include "request/core.h"

#include "http/uri.h"

#define BODY_LIMIT (INT64_C(1) << 30)           /* LimitRequestBody's default */
#define REDIRECT_LIMIT 10                       /* LimitInternalRecursion's */
#define OPTIONS_DEFAULT CORE_OPT_FOLLOW

unsigned core_options(const struct core_section *c)
{
	if (c->options_set)
		return c->options;
	return (OPTIONS_DEFAULT & ~c->options_remove) | c->options_add;
}

unsigned core_files_kept(const struct host *main)
{
	int64_t n = core_host_of(main)->files_kept;

	return n < 0 ? 64 : (unsigned)n;
}

unsigned core_etag(const struct core_section *c)
{
	int bits = c->etag != CONF_UNSET ? c->etag : (CORE_ETAG_DEFAULT & ~c->etag_remove) | c->etag_add;

	return (unsigned)bits;
}

bool core_htaccess_wanted(const struct core_section *c)
{
	return c->override > 0 || (c->override_list && c->override_list[0]);
}

struct conf_allowed core_allowed(const struct core_section *c)
{
	return (struct conf_allowed){
		.override = c->override > 0 ? (unsigned)c->override : 0, .options = c->override_options, .nonfatal = c->nonfatal,
		.list = c->override_list,
	};
}

const char *const *core_access_names(const struct host *h)
{
	static const char *const names[] = { ".htaccess", NULL };
	const struct core_host *c = core_host_of(h);

	return c->access_names ? c->access_names : names;
}

const char *core_document_root(const struct host *h)
{
	const struct core_host *c = core_host_of(h);

	return c->root ? c->root : BULKHEAD_STATEDIR "/htdocs";
}

const struct core_errordoc *core_error_document(const struct request *r, unsigned status)
{
	const struct core_section *c = r->section ? core_section_of(r) : NULL;

	if (!c || r->redirects >= core_redirect_limit(r->host))
		return NULL;
	for (const struct request *o = r->original; o; o = o->original)
		if (o->status >= 400)           /* r is an error document */
			return NULL;
	for (const struct core_errordoc *i = c->errordocs; i; i = i->next)
		if (i->status == status)
			return i->kind == CORE_DOCUMENT_DEFAULT ? NULL : i;
	return NULL;
}

uint64_t core_body_limit(const struct request *r)
{
	int64_t n = core_section_of(r)->limit_body;

	if (n == CONF_UNSET)
		n = BODY_LIMIT;
	return n ? (uint64_t)n : UINT64_MAX;
}

unsigned core_redirect_limit(const struct host *h)
{
	int64_t n = core_host_of(h)->redirects;

	return n == CONF_UNSET ? REDIRECT_LIMIT : (unsigned)n;
}

unsigned core_lookup_limit(const struct host *h)
{
	int64_t n = core_host_of(h)->subrequests;

	return n == CONF_UNSET ? REDIRECT_LIMIT : (unsigned)n;
}

unsigned core_uri_flags(const struct host *h)
{
	const struct core_host *c = core_host_of(h);
	unsigned flags = 0;

	if (c->slashes == CORE_SLASHES_ON)
		flags |= URI_SLASH_DECODE;
	else if (c->slashes == CORE_SLASHES_NODECODE)
		flags |= URI_SLASH_KEEP;
	if (c->merge_slashes == 0)
		flags |= URI_SLASH_NOMERGE;
	return flags;
}
