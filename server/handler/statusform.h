/*
 * statusform.h - the forms of the status: what the files status*.c share. status.c takes the numbers and chooses the form, the others
 * write it into a page.
 */
#ifndef BULKHEAD_HANDLER_STATUSFORM_H
#define BULKHEAD_HANDLER_STATUSFORM_H

#include "handler/page.h"
#include "handler/status.h"

#define STATUS_CHILDREN_SHOWN 1024      /* one by one */

enum status_format { STATUS_HTML, STATUS_AUTO, STATUS_JSON, STATUS_PROMETHEUS };

struct status_view {
	struct request *r;
	const struct status *s;
	bool extended;                  /* ExtendedStatus */
	bool live, notable;             /* ?live, ?notable */
};

/* statusauto.c: lines "Name: value" as Apache's. */
void status_put_auto(struct page *p, const struct status_view *v);
/* statusjson.c: 0 or -1 (no memory). */
int status_put_json(struct page *p, const struct status_view *v);
/* statusmetrics.c: Prometheus's text, version 0.0.4. */
void status_put_metrics(struct page *p, const struct status_view *v);
/* statuspage.c: for people. */
void status_put_page(struct page *p, const struct status_view *v);

/* ------------------------------------------------------------------------------------------------ statusitems.c */

/* The single numbers of struct status, for JSON and metrics alike. */
enum status_kind { STATUS_COUNT, STATUS_MICROSECONDS, STATUS_SECONDS, STATUS_COUNT32, STATUS_COUNT_INT };
struct status_item {
	const char *group, *key;        /* of JSON: {"group": {"key": …}} */
	const char *metric;             /* NULL = no metric; several items of one name follow each other */
	const char *labels;             /* of the metric; "" = none */
	const char *help;               /* of the first of that name */
	bool counter;                   /* never grows smaller while the server lives */
	enum status_kind kind;
	size_t offset;                  /* in struct status */
};
extern const struct status_item status_items[];         /* ended by an item without a group */

/* Whether the item has a value: of a session cache, only where there is one. */
bool status_item_there(const struct status_item *i, const struct status *s);
uint64_t status_item_value(const struct status_item *i, const struct status *s);

/* Of all hosts together. */
void status_latency(const struct status *s, uint64_t all[HISTOGRAM_BUCKETS]);
uint64_t status_total(const uint64_t count[HISTOGRAM_BUCKETS]);
/* "1 day 2 hours 3 minutes 4 seconds" as Apache's: from the greatest unit that is not 0. buf has 96 bytes. */
const char *status_duration(int64_t seconds, char *buf);
/*
 * A text as ASCII that can be printed: what is not, of an address that a client made up, stands as %XX; a word of the form
 * user:password@ behind "://" is left out. Of the arena; "" on ENOMEM.
 */
const char *status_clean(struct arena *a, const char *text);

#endif
