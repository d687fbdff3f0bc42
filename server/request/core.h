/*
 * core.h - what Apache's core decides for a server, a virtual host and a section: names, roots, Options, error documents,
 * limits. Filled by the master while it reads the configuration (core.c), only read in children.
 *
 *   const struct core_section *c = core_section_of(r);     of the request's merged sections (never NULL)
 *   const struct core_host *h = core_host_of(r->host);
 */
#ifndef BULKHEAD_REQUEST_CORE_H
#define BULKHEAD_REQUEST_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "request/host.h"
#include "request/request.h"

/* Options */
enum {
	CORE_OPT_INDEXES = 1, CORE_OPT_INCLUDES = 2, CORE_OPT_INCLUDES_NOEXEC = 4, CORE_OPT_FOLLOW = 8, CORE_OPT_OWNER = 16,
	CORE_OPT_EXECCGI = 32, CORE_OPT_MULTIVIEWS = 64,
	CORE_OPT_ALL = CORE_OPT_INDEXES | CORE_OPT_INCLUDES | CORE_OPT_FOLLOW | CORE_OPT_EXECCGI,
};
enum core_canonical { CORE_CANONICAL_OFF, CORE_CANONICAL_ON, CORE_CANONICAL_DNS };
enum core_tokens { CORE_TOKENS_PROD, CORE_TOKENS_MAJOR, CORE_TOKENS_MINOR, CORE_TOKENS_MIN, CORE_TOKENS_OS, CORE_TOKENS_FULL };
enum core_signature { CORE_SIGNATURE_OFF, CORE_SIGNATURE_ON, CORE_SIGNATURE_EMAIL };
enum core_slashes { CORE_SLASHES_OFF, CORE_SLASHES_ON, CORE_SLASHES_NODECODE };
enum core_trace { CORE_TRACE_OFF, CORE_TRACE_ON, CORE_TRACE_EXTENDED };
enum core_path_info { CORE_PATH_INFO_OFF, CORE_PATH_INFO_ON, CORE_PATH_INFO_DEFAULT };
enum { CORE_ETAG_INODE = 1, CORE_ETAG_MTIME = 2, CORE_ETAG_SIZE = 4, CORE_ETAG_DIGEST = 8, CORE_ETAG_DEFAULT = CORE_ETAG_MTIME | CORE_ETAG_SIZE };

/* Of a server or host; -1 and NULL = unset (the readers below fill in defaults). */
struct core_host {
	const char *admin;              /* ServerAdmin; NULL = none */
	const char *root;               /* DocumentRoot, absolute, without a trailing slash; NULL = the built-in one */
	struct conf_pos root_pos;       /* where it was said; file NULL = nowhere */
	const char **access_names;      /* AccessFileName; ended by NULL; NULL = ".htaccess" */
	int tokens;                     /* enum core_tokens; the main server's counts */
	int trace;                      /* enum core_trace */
	int slashes;                    /* enum core_slashes: AllowEncodedSlashes */
	int merge_slashes;              /* MergeSlashes */
	int strict_host;                /* StrictHostCheck */
	int64_t redirects, subrequests; /* LimitInternalRecursion */
	int64_t files_kept;             /* KeepFilesOpen, of the main server alone: read with core_files_kept */
};

enum core_document { CORE_DOCUMENT_DEFAULT, CORE_DOCUMENT_TEXT, CORE_DOCUMENT_PATH, CORE_DOCUMENT_URL };
struct expr;
struct core_errordoc {
	unsigned status;
	enum core_document kind;
	const char *value;              /* the text, the path (as written, encoded) or the URL */
	const struct expr *expr;        /* the same where it holds variables: read with variables_string; else NULL */
	const struct core_errordoc *next;
};

/* Of a section; -1 and NULL = unset. */
struct core_section {
	unsigned options, options_add, options_remove;  /* CORE_OPT_*: read with core_options */
	bool options_set;               /* `options` was given without signs */
	int override;                   /* AllowOverride: enum conf_override bits */
	unsigned override_options;      /* AllowOverride Options=…: which; all if none is named */
	unsigned nonfatal;              /* AllowOverride Nonfatal=…: CONF_NONFATAL_* */
	const char **override_list;     /* AllowOverrideList; ended by NULL */
	const struct core_errordoc *errordocs;  /* the innermost first */
	int64_t limit_body;             /* LimitRequestBody; 0 = no limit */
	int canonical_name, canonical_port;     /* enum core_canonical; flag */
	int signature;                  /* enum core_signature */
	int path_info;                  /* enum core_path_info */
	int qualify_url;                /* QualifyRedirectURL */
	int etag, etag_add, etag_remove;        /* FileETag: read with core_etag */
	int64_t max_ranges, max_overlaps, max_reversals;        /* MaxRanges and its like: read with core_limit */
};

extern struct conf_module core_module;

static inline const struct core_section *core_section_of(const struct request *r) { return request_config(r, &core_module); }
static inline const struct core_host *core_host_of(const struct host *h) { return host_config(h, &core_module); }

/* The Options in force: Apache's default is FollowSymLinks. */
unsigned core_options(const struct core_section *c);
/* What FileETag builds a tag of: CORE_ETAG_* bits; 0 = no tag. */
unsigned core_etag(const struct core_section *c);
/*
 * Whether a per-directory file (AccessFileName) would be read in a directory of these settings. It costs no stat where it
 * says no.
 */
bool core_htaccess_wanted(const struct core_section *c);
/* What it may hold there. */
struct conf_allowed core_allowed(const struct core_section *c);
/* The names AccessFileName gives; ended by NULL. */
const char *const *core_access_names(const struct host *h);
/* DocumentRoot of the host, or the built-in one. */
const char *core_document_root(const struct host *h);
/*
 * The ErrorDocument for a status, or NULL: also where this request is itself an error document, or was redirected too
 * often, so that an error document that fails ends in the built-in page.
 */
const struct core_errordoc *core_error_document(const struct request *r, unsigned status);
/*
 * The most body bytes of the request (UINT64_MAX: no limit). Declared lengths are checked in phases.c; who reads a chunked
 * body counts and answers 413.
 */
uint64_t core_body_limit(const struct request *r);
/* Internal redirects allowed (LimitInternalRecursion, 10). */
unsigned core_redirect_limit(const struct host *h);
/* Descriptors of files that a child keeps open (openfiles.h). */
unsigned core_files_kept(const struct host *main);
/* Look-ups within look-ups allowed (its second number, 10). */
unsigned core_lookup_limit(const struct host *h);
#define CORE_UNLIMITED INT64_MAX
/* A limit of struct core_section, where it is unset its default. */
static inline unsigned core_limit(int64_t n, unsigned otherwise) { return n < 0 ? otherwise : n > UINT32_MAX ? UINT32_MAX : (unsigned)n; }
/* Flags of uri_normalize by AllowEncodedSlashes and MergeSlashes. */
unsigned core_uri_flags(const struct host *h);

#endif
