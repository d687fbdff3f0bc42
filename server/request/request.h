/*
 * request.h - one request on its way through the phases. It lives in an arena of its own, freed whole.
 * Made by conn/h1.c (later h2.c) from a request head; known to request/, handler/ and conn/.
 */
#ifndef BULKHEAD_REQUEST_REQUEST_H
#define BULKHEAD_REQUEST_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "base/arena.h"
#include "base/text.h"
#include "http/condition.h"
#include "http/fields.h"
#include "http/head.h"
#include "http/uri.h"
#include "request/client.h"
#include "request/host.h"
#include "request/stream.h"

struct filter_chain;
struct filter_names;
struct conf_pos;
struct handler;
struct section;
struct folder_file;
struct activity;
struct code;
struct proxy_to;
struct rewritten;

/* The phases in their order; request/phases.c holds the table. */
enum phase {
	PHASE_HOST, PHASE_URI, PHASE_REWRITE_HOST, PHASE_LOCATION, PHASE_MAP, PHASE_DIRECTORY, PHASE_ACCESS, PHASE_AUTHENTICATION,
	PHASE_TYPE, PHASE_REWRITE_DIRECTORY, PHASE_HANDLER, PHASE_RESPONSE, PHASES
};

/*
 * Texts live as long as the arena. A field is set once, by whom its group names, unless it says otherwise; a request that is made of
 * another inside the server gets its own (redirect.c says which are handed on).
 */
struct request {
	/* Where it belongs. Set by conn/, or by redirect.c from the request it was made of. */
	struct arena *arena;
	struct stream *stream;
	struct client *client;
	const struct site *site;
	struct host *host;                      /* PHASE_HOST; before it the first of the address */
	struct activity *activity;              /* of the process, for crash reports; may be NULL */
	struct request *original;               /* the one this was redirected from inside the server; NULL = from the client */
	unsigned redirects;                     /* how many internal redirects led here */
	struct request *parent;                 /* the one that looks this up (phases_lookup); NULL = it is to be answered */
	unsigned lookups;                       /* how many such look-ups lie above it */
	bool runs;                              /* a look-up that became a sub-request (subrequest.h): it has a parent, and is answered, to that */
	void *includes;                         /* ssi/: the page it is read as; NULL = none */
	bool quiet;                             /* a look-up that nobody asked for: what it is refused is no news for the log */
	bool explained;                         /* not to be answered: phases_watch */

	/* As it came. Set by conn/ before phases_run. */
	struct text line;                       /* %r */
	struct text method;
	enum http_method method_id;
	struct text target;
	unsigned major, minor;
	struct fields in;
	bool has_body;
	uint64_t body_length;                   /* UINT64_MAX: chunked */
	struct timespec received;               /* CLOCK_REALTIME when its first byte came */
	int64_t started_us;                     /* CLOCK_MONOTONIC, for %D */
	uint64_t came;                          /* when its last byte had been read, as openfiles.h counts; 0: files are looked at anew for it */
	const char *log_id;                     /* of the client's own request alone: NULL until something was logged about it (logline.h) */
	bool keepalive;                         /* the connection stays open after it; phases and handlers may clear it */

	/* How far it is. */
	enum phase phase;
	bool waits;                             /* its phase said PHASE_WAIT: for the name service, a thread, a certificate */

	/* What it asks for: PHASE_HOST, PHASE_URI; path and query also by rules of rewriting. */
	struct uri uri;                         /* parts of the target */
	const char *hostname;                   /* the name asked for, lower case, no port; "" if none */
	const char *path;                       /* normal form, decoded; "*" for OPTIONS * */
	const char *query;                      /* as it came, without '?'; NULL = none */
	struct rewritten *rewritten;            /* rewrite.c's own */

	/* Which settings count: the host's first, then PHASE_LOCATION and PHASE_DIRECTORY merge what applies. */
	void **section;                         /* the merged section structures, by conf_module.index: request_config */
	const struct folder_file *folders;      /* the per-directory files on the way (htaccess.h), outermost first */
	const struct section **applied;         /* the sections that count, in the order of merging, ended by NULL: where phases are watched */

	/* Where it leads: PHASE_MAP, PHASE_DIRECTORY. */
	const char *filename;                   /* PHASE_MAP: where the path leads; PHASE_DIRECTORY: the file that exists */
	const char *path_info;                  /* what is left behind the file; NULL = nothing */
	const char *context_prefix, *context_root;      /* of the Alias that led here (by prefix): URL path and folder; NULL = none did */
	const struct proxy_to *proxy;           /* another server answers it (proxy.h): then there is no filename; NULL = this one */
	const struct conf_pos *mapped_at;       /* the line that led to the filename; NULL = DocumentRoot, or nothing did */
	int fd;                                 /* the file, open for reading, or -1; closed with the arena unless taken (request_take) */
	bool fd_kept;                           /* the arena closes fd, whatever it is then: request_keep's own */
	struct stat st;                         /* of fd (or of the directory) where found */
	bool found;
	bool scripted;                          /* ScriptAlias leads here: programs run without ExecCGI */
	bool index;                             /* DirectoryIndex led to it from its folder */

	/* Whose it is: PHASE_ACCESS, PHASE_AUTHENTICATION. */
	bool asks_user;                         /* only with a user may it be had */
	bool faked;                             /* its Authorization is the server's own: FakeBasicAuth, AuthBasicFake */
	bool env_unknown;                       /* a SetEnvIf could not be told: its pattern met its limits */
	const char *user, *auth_type;           /* authenticated; NULL = not */
	const void *authn;                      /* the settings (authn.h) by which that was found out; NULL = not by them */
	const char *refused;                    /* why access was denied, for the log; NULL = it was not */

	/* What it is, and who makes its answer: PHASE_TYPE, PHASE_HANDLER. */
	const char *type, *charset, *encoding, *language;       /* NULL = none */
	size_t unmatched;                       /* where the last part of the file's name begins that MultiviewsMatch does not know; 0 = all are */
	const struct code *type_handler;        /* what the configuration names for it, there or not: mime.c's own */
	const struct filter_names *named_filters, *named_input; /* AddOutputFilter, AddInputFilter of the name's extensions; NULL = none */
	const struct handler *handler;          /* NULL = not known yet; phase_handler takes the default one then */
	void *handler_data;                     /* the handler's own */
	const struct handler *begun;            /* whose start() was called, and ended() will be: an error page may have taken its place */
	void *begun_data;                       /* its handler_data, once a page has */

	/* What is noted on the way, by any phase. */
	struct fields env;                      /* variables: SetEnv, SetEnvIf, REDIRECT_…; read by request_env */
	struct fields notes;                    /* for %{X}n; not initialised until the first: request_note */

	/* The response: by handlers and response.c; conn/ sends it. */
	unsigned status;                        /* 200 at first */
	const char *reason;                     /* its phrase where that is not the standard's; NULL = it is */
	bool foreign;                           /* the answer is another server's: its Date and Server stay */
	struct fields out;                      /* sent with successes */
	struct fields always;                   /* sent with every status */
	int64_t length;                         /* of the body; -1 = not known (chunked, or until close) */
	time_t modified;                        /* -1 = not known */
	const char *etag;                       /* with its quotes; NULL = none */
	bool no_body;                           /* HEAD, 204, 304: fields as for GET, nothing behind them */
	bool raw;                               /* HTTP/1 alone: the head is among the bytes that are written; stream_head sends none, and the connection ends */
	bool filtered;                          /* filter_choose was called */
	struct filter_chain *filters;           /* those that joined; NULL = none */
	bool head_sent;
};

/* HTTP/1.0 or 0.9, which know neither interim answers nor upgrades. */
static inline bool request_is_old(const struct request *r) { return r->major < 1 || (r->major == 1 && r->minor < 1); }
/* A zeroed request with its tables in the arena, status 200, length -1, fd -1. NULL on ENOMEM. */
struct request *request_new(struct arena *a);
/* Sets a note, for %{name}n. 0, or -1 (ENOMEM). */
int request_note(struct request *r, const char *name, const char *value);
/* r->fd is closed with the arena from now on. 0, or -1 (ENOMEM). */
int request_keep(struct request *r);
void request_close(struct request *r);          /* closes r->fd now */
int request_take(struct request *r);            /* r->fd is the caller's from now on; -1 = there is none */
static inline void *request_config(const struct request *r, const struct conf_module *m) { return r->section[m->index]; }
/* A variable of r->env ("" counts as set); absent text if not set. UNIQUE_ID is made where it is asked for (request_id). */
struct text request_env(const struct request *r, const char *name);
/*
 * What no other request has, of this server or another, as mod_unique_id makes it: letters, digits, '@' and '-'. The same for a request and
 * all that are made of it. Of the arena; NULL on ENOMEM.
 */
const char *request_id(const struct request *r);
/* A shorter one, of a connection; 17 bytes. */
void request_connection_id(const struct client *c, char *id);

#endif
