/*
 * page.h - a page that is being read, as the files of ssi/ share it. Private to the room.
 *
 * Pages that are included share the variables of the outermost one, as in Apache. What one element needs lives in `scratch`, and is given
 * back behind it; what stays (variables, the requests of included pages) is of the request's arena, and bounded by SSI_MEMORY.
 */
#ifndef BULKHEAD_SSI_PAGE_H
#define BULKHEAD_SSI_PAGE_H

#include <time.h>

#include "base/regex.h"
#include "request/request.h"
#include "request/subrequest.h"
#include "ssi/parse.h"
#include "ssi/ssi.h"

#define SSI_MEMORY (32u << 20)          /* bytes of the request's arena from which on elements fail */
#define SSI_NESTING 64                  /* if within if */
#define SSI_TOLD 32
#define SSI_VALUE 65536                 /* bytes of a value with its variables filled in */

enum xbithack { XBITHACK_OFF, XBITHACK_ON, XBITHACK_FULL };

struct ssi_section {                    /* -1 and NULL = unset */
	const char *start, *end, *error, *time, *undefined;
	int access, etag, modified, legacy, xbithack;
};

struct ssi_shared {                     /* by a page and all that is included in it */
	struct request *r;              /* the outermost */
	struct fields vars;
	bool told;                      /* that its memory is used up */
	unsigned failures;              /* elements that failed: the first SSI_TOLD of them are told in the log, so that a page cannot flood it */
};

struct ssi_level { bool taken, printing; };

struct ssi {
	struct request *r;
	const struct ssi_section *conf;
	struct ssi_shared *shared;
	struct arena *scratch;
	bool no_exec;
	struct ssi_scan scan;
	/* config */
	const char *error, *time, *undefined;
	bool bytes;                     /* sizefmt="bytes" */
	/* if */
	struct ssi_level level[SSI_NESTING];
	unsigned depth, beyond;         /* beyond: those that are too deep, and are passed over */
	struct regex_match match;       /* of the last condition that matched; in the request's arena */
	/* the element at hand */
	struct ssi_element element;
	unsigned next;                  /* its attribute that comes next */
	bool busy;                      /* it goes on: attributes are left, or a sub-request runs */
	const char *onerror;
	struct subrequest *run;
	bool anchor;                    /* exec cgi: a redirect becomes a link */
	bool ran;                       /* bytes of it have come */
	bool ended;                     /* the end of the page was dealt with */
	struct text out;                /* to be sent: of scratch */
	char *big;                      /* where out lies, if not there: malloc'd */
};

static inline const struct ssi_section *ssi_section_of(const struct request *r) { return request_config(r, &ssi_module); }

/* element.c: carries out s->element. */
void ssi_run(struct ssi *s);
/* The error message becomes what is sent; the reason goes to the log. */
void ssi_fail(struct ssi *s, const char *id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Sends a text (of scratch, or living longer) behind what there is. */
void ssi_say(struct ssi *s, const char *text);
bool ssi_printing(const struct ssi *s);

/* fetch.c: includes and exec go on with the next attribute. */
void ssi_fetch(struct ssi *s);
/* Takes what the sub-request has: false: nothing now, it is waited for. Where it has ended, the element goes on. */
bool ssi_take(struct ssi *s, char *out, size_t room, size_t *n);
/* The file that an attribute file or virtual names; NULL: failed, told. Close it with request_close. */
struct request *ssi_find(struct ssi *s, const struct ssi_attribute *a);

/* vars.c */
/* Of the page, of captures ("0" … "9"); NULL: not set. Of scratch or living longer. */
const char *ssi_get(struct ssi *s, const char *name);
int ssi_set(struct ssi *s, const char *name, const char *value);
/* Variables filled in; one that is not set leaves its name where `keep`, else nothing. Of scratch; NULL: no memory, or too long. */
char *ssi_text(struct ssi *s, const char *text, bool keep);
/* Variables for programs: those of the page go into sub->env. 0 or -1. */
int ssi_export(struct ssi *s, struct request *sub);
int ssi_vars_init(struct ssi *s);
/* name=value lines of all, encoded. NULL: no memory. malloc'd. */
char *ssi_all(struct ssi *s);
char *ssi_date(struct arena *a, time_t when, const char *form, bool gmt);

/* cond.c: 1, 0, or -1 with a reason. */
int ssi_condition(struct ssi *s, const char *text, const char **why);
/* legacy.c: the same. */
int ssi_legacy(struct ssi *s, const char *text, const char **why);
/* Keeps the captures of a match. */
void ssi_keep_match(struct ssi *s, const struct regex_match *m);

/* exec.c: a request that runs a command; handler_data is the command. */
extern const struct handler ssi_exec;

#endif
