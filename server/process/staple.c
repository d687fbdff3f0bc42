/*
 * staple.c - when an OCSP answer is asked for, and what comes of it. The job asks, checks the answer and tells the master
 * two things: a line of its own making, and the answer's bytes, which the master copies into the table unread, and into a
 * file. At a start those of the files go to a job first, which checks them as it would an answer that has just come. Runs in
 * the master, and under -X at its start.
 */
#include "process/staple.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/secret.h"
#include "cert/ocsp.h"
#include "log/log.h"
#include "process/fetch.h"
#include "process/handover.h"
#include "process/job.h"
#include "process/names.h"
#include "process/shared.h"
#include "process/slots.h"
#include "process/staplefile.h"
#include "tls/policy.h"
#include "tls/staple.h"

#define RUNNING 2                       /* jobs at a time: others need places, too */
#define ROOM 16384                      /* bytes of an HTTP answer */
#define NAME_PATIENCE 10000             /* ms beyond SSLStaplingResponderTimeout until the job is killed: look-up of the name */
#define FIRST 300                       /* ms until a new certificate is asked about: children begin to serve first */
#define AGAIN 1000                      /* ms until the next try where no job could be started */

/* A certificate for which answers are wanted; everything is its own. */
struct entry {
	unsigned char id[STAPLE_ID];
	gnutls_datum_t certificate, issuer;     /* DER */
	char *host, *url;
	struct tls_staple_settings set;         /* its pointers are not used */
	bool must;
	int cell;
	int64_t due;                    /* ms of CLOCK_MONOTONIC */
	int64_t until;                  /* of the issuer's word that is in the cell, seconds since 1970; 0 = none */
	bool running, failing;
	unsigned char *kept;            /* bytes of the file, kept_n: not yet looked at; NULL = none */
	size_t kept_n;
	int64_t kept_at;                /* when they were saved */
};
struct list {
	struct entry *at;
	unsigned n;
};
static struct list serving, coming;
static char *state_dir;                 /* DefaultStateDir of the configuration that serves */

static struct question {
	bool used;
	unsigned char id[STAPLE_ID];
	struct job_kind kind;           /* with the limit of time of this one */
} questions[RUNNING];

/* "tryLater", as RFC 6960 has it: OCSPResponse { responseStatus 3 }. */
static const unsigned char try_later[] = { 0x30, 0x03, 0x0a, 0x01, 0x03 };

/* ------------------------------------------------------------------------------------------------ in the job */

static int say(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t put = write(fd, at, n);

		if (put <= 0)
			return -1;
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

/* "E reason; remedy": no answer; "R length reason; remedy" and the bytes: the responder's error. */
static int say_error(int fd, const struct err *e, const char *bytes, size_t n)
{
	char text[1024], line[1100];
	int len;

	err_print(e, text, sizeof text);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	len = n ? snprintf(line, sizeof line, "R %zu %s\n", n, text) : snprintf(line, sizeof line, "E %s\n", text);
	return say(fd, line, (size_t)len) < 0 || (n && say(fd, bytes, n) < 0) ? 1 : 0;
}

static int import(gnutls_x509_crt_t *out, const gnutls_datum_t *der)
{
	return gnutls_x509_crt_init(out) < 0 || gnutls_x509_crt_import(*out, der, GNUTLS_X509_FMT_DER) < 0 ? -1 : 0;
}

static int ask(const struct entry *it, char *buf, gnutls_datum_t *answer, gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer, struct err *e)
{
	struct fetch_question q = { .type = "application/ocsp-request", .accept = "application/ocsp-response", .time_ms = it->set.timeout_ms };
	gnutls_datum_t request = { 0 };
	char *body;
	size_t n;

	if (fetch_parse(it->url, &q.url, e) < 0)
		return -1;
	if (ocsp_request(crt, issuer, false, &request) < 0)
		return err_set(e, "the question cannot be made");
	q.body = request.data;
	q.n = request.size;
	if (fetch_post(&q, buf, ROOM, &body, &n, e) < 0)
		return -1;
	if (n > STAPLE_MAX)
		return err_set(e, "its answer has %zu bytes: more than %d cannot be stapled", n, STAPLE_MAX);
	*answer = (gnutls_datum_t){ (unsigned char *)body, (unsigned)n };
	return 0;
}

static int fetch_run(void *arg, int fd)
{
	const struct entry *it = arg;
	struct ocsp_limits limits = { .now = time(NULL), .max_age = it->set.max_age, .skew = it->set.skew_ms / 1000 };
	struct ocsp_times t;
	struct err e = { .text = "" };
	gnutls_x509_crt_t crt, issuer;
	gnutls_datum_t answer = { 0 };
	enum ocsp_verdict v;
	static char buf[ROOM];
	char line[128];
	int n;

	if (import(&crt, &it->certificate) < 0 || import(&issuer, &it->issuer) < 0) {
		err_set(&e, "no memory");
		return say_error(fd, &e, NULL, 0);
	}
	if (it->kept)
		answer = (gnutls_datum_t){ it->kept, (unsigned)it->kept_n };
	else if (ask(it, buf, &answer, crt, issuer, &e) < 0)
		return say_error(fd, &e, NULL, 0);
	v = ocsp_check(&answer, crt, issuer, &limits, &t, &e);
	if (v == OCSP_BAD || v == OCSP_ERROR)
		return say_error(fd, &e, (char *)answer.data, v == OCSP_ERROR ? answer.size : 0);
	n = snprintf(line, sizeof line, "A %d %lld %lld %u\n", (int)v, (long long)t.this_update, (long long)t.next_update, answer.size);
	return say(fd, line, (size_t)n) < 0 || say(fd, answer.data, answer.size) < 0 ? 1 : 0;
}

static int fetch_warm(void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	names_prepare();
	return 0;
}

static const struct job_kind fetch_kind = {
	.name = "OCSP answer",
	.rights = JOB_FETCHES,
	.memory = (uint64_t)2 << 30,
	.warm = fetch_warm,
	.run = fetch_run,
};

/* ------------------------------------------------------------------------------------------------ the list */

static struct entry *find(const struct list *l, const unsigned char *id)
{
	for (unsigned i = 0; i < l->n; i++)
		if (memcmp(l->at[i].id, id, STAPLE_ID) == 0)
			return &l->at[i];
	return NULL;
}

static void drop(struct list *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		gnutls_free(l->at[i].certificate.data);
		gnutls_free(l->at[i].issuer.data);
		free(l->at[i].kept);
		free(l->at[i].host);
		free(l->at[i].url);
	}
	free(l->at);
	*l = (struct list){ 0 };
}

static bool taken(const struct list *l, int cell)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->at[i].cell == cell)
			return true;
	return false;
}

/* A certificate that stays keeps its cell, and so its answer. */
static int cell_for(const unsigned char *id)
{
	const struct entry *old = find(&serving, id);

	if (old)
		return old->cell;
	for (int i = 0; i < STAPLE_CELLS; i++)
		if (!taken(&serving, i) && !taken(&coming, i))
			return i;
	return -1;
}

static int add(const struct tls_staple *s, struct err *e)
{
	struct entry *more, *it = find(&coming, s->id);

	if (it) {
		*s->cell = it->cell;
		return 0;
	}
	more = realloc(coming.at, (coming.n + 1) * sizeof *more);
	if (!more)
		return err_set(e, "no memory for OCSP answers");
	coming.at = more;
	it = &more[coming.n];
	*it = (struct entry){ .set = *s->settings, .must = s->must, .host = strdup(s->host), .url = strdup(s->url), .cell = cell_for(s->id) };
	memcpy(it->id, s->id, STAPLE_ID);
	coming.n++;
	if (!it->host || !it->url || gnutls_x509_crt_export2(s->certificate, GNUTLS_X509_FMT_DER, &it->certificate) < 0
	    || gnutls_x509_crt_export2(s->issuer, GNUTLS_X509_FMT_DER, &it->issuer) < 0)
		return err_set(e, "no memory for OCSP answers");
	if (it->cell < 0)
		log_warnx(NULL, LOG_SSL, "BH0190", "host %s: nothing is stapled: there is room for OCSP answers of %d certificates", s->host, STAPLE_CELLS);
	*s->cell = it->cell;
	return 0;
}

int staples_prepare(const struct config *cfg, struct err *e)
{
	drop(&coming);
	for (struct host *h = cfg->site->main; h; h = h == cfg->site->main ? cfg->site->hosts : h->next) {
		struct tls_staple wanted[TLS_MAX_KEYS];
		unsigned n = tls_policy_staples(host_config(h, &tls_module), wanted);

		for (unsigned i = 0; i < n; i++)
			if (add(&wanted[i], e) < 0)
				return -1;
	}
	return 0;
}

static void read_kept(struct entry *it)
{
	unsigned char *buf = malloc(STAPLE_MAX);
	size_t n = buf && state_dir && it->cell >= 0 ? staple_file_get(state_dir, it->id, buf, &it->kept_at) : 0;

	if (n) {
		it->kept = buf;
		it->kept_n = n;
	} else {
		free(buf);
	}
}

static void forget_kept(struct entry *it)
{
	free(it->kept);
	it->kept = NULL;
}

void staples_settle(const struct process_settings *p)
{
	free(state_dir);
	state_dir = strdup(p->state_dir);
	for (unsigned i = 0; i < coming.n; i++) {
		struct entry *it = &coming.at[i];
		const struct entry *old = find(&serving, it->id);

		if (!old) {
			read_kept(it);
			if (!it->kept && !it->must)
				it->due = shared_now() + FIRST;
			continue;
		}
		it->until = old->until;
		it->running = old->running;
		it->failing = old->failing;
		/* Whoever changed the responder wants to see it asked. */
		it->due = strcmp(it->url, old->url) == 0 ? old->due : 0;
	}
	drop(&serving);
	serving = coming;
	coming = (struct list){ 0 };
}

void staples_hand_over(FILE *to)
{
	for (unsigned i = 0; i < serving.n; i++) {
		const struct entry *it = &serving.at[i];
		char id[2 * STAPLE_ID + 1];

		if (it->cell < 0 || it->running)
			continue;
		for (unsigned k = 0; k < STAPLE_ID; k++)
			snprintf(id + (size_t)2 * k, 3, "%02x", it->id[k]);
		handover_put(to, "staple", -1, "%d %lld %lld %d %s %s", it->cell, (long long)it->due, (long long)it->until, it->failing, id, it->url);
	}
}

static bool take_id(const char *text, unsigned char id[STAPLE_ID])
{
	for (unsigned k = 0; k < STAPLE_ID; k++) {
		unsigned byte;

		if (sscanf(text + (size_t)2 * k, "%2x", &byte) != 1)
			return false;
		id[k] = (unsigned char)byte;
	}
	return true;
}

void staples_take_over(void)
{
	for (const struct handover_line *l = handover_next(NULL, "staple"); l; l = handover_next(l, "staple")) {
		struct entry *more = realloc(serving.at, (serving.n + 1) * sizeof *more), it = { .cell = -1 };
		long long due, until;
		char id[2 * STAPLE_ID + 1];
		int failing, url = 0;

		if (!more)
			return;
		serving.at = more;
		if (sscanf(l->text, "%d %lld %lld %d %64s %n", &it.cell, &due, &until, &failing, id, &url) < 5 || !url || it.cell < 0 || it.cell >= STAPLE_CELLS ||
		    strlen(id) != sizeof id - 1 || !take_id(id, it.id))
			continue;
		it.due = due;
		it.until = until;
		it.failing = failing;
		it.url = strdup(l->text + url);
		if (it.url)
			serving.at[serving.n++] = it;
	}
}

/* ------------------------------------------------------------------------------------------------ what came */

/* Up to a tenth earlier, so that many certificates do not ask at once for ever. */
static int64_t jittered(int64_t ms)
{
	uint32_t dice = 0;

	secret_random(&dice, sizeof dice);
	return ms - ms / 10 * (int64_t)(dice % 1000) / 1000;
}

/* reason: of the job's making, in one line. */
static void failed(struct entry *it, const char *reason, const char *bytes, size_t n)
{
	int64_t wall = (int64_t)time(NULL), error = it->set.error_ms;
	bool word = it->until > wall;

	it->due = shared_now() + jittered(error);
	if (!it->failing)
		log_warnx(NULL, LOG_SSL, "BH0191", "host %s: no new OCSP answer from %s: %s (%s; it is asked again in %lld s)%s", it->host, it->url, reason,
			  word ? "the one before is stapled until it expires" : "nothing good is stapled", (long long)(error / 1000),
			  it->must && !word ? ": its certificate demands stapling (must-staple), so clients refuse it now" : "");
	it->failing = true;
	if (word)
		return;
	it->until = 0;
	if (it->set.errors && n)
		staple_put(shared.staples, it->cell, it->id, bytes, n, wall + error / 1000 + 60);
	else if (it->set.errors && it->set.try_later)
		staple_put(shared.staples, it->cell, it->id, try_later, sizeof try_later, wall + error / 1000 + 60);
	else
		staple_put(shared.staples, it->cell, it->id, NULL, 0, 0);
}

static void keep(const struct entry *it, const char *bytes, size_t n)
{
	if (state_dir && !it->kept)
		staple_file_put(state_dir, it->id, bytes, n);
}

static void arrived(struct entry *it, int verdict, int64_t next_update, const char *bytes, size_t n)
{
	int64_t wall = (int64_t)time(NULL), now = shared_now(), renew = it->set.standard_ms, left;

	/* Without an end of its own it counts as long as two turns. */
	it->until = next_update ? next_update : wall + it->set.standard_ms / 1000 * 2 + 1;
	if (verdict != OCSP_GOOD && !it->set.errors) {
		it->until = 0;
		staple_put(shared.staples, it->cell, it->id, NULL, 0, 0);
		keep(it, NULL, 0);
		failed(it, verdict == OCSP_REVOKED ? "the certificate is revoked; get a new one" : "the responder does not know the certificate", NULL, 0);
		return;
	}
	staple_put(shared.staples, it->cell, it->id, bytes, n, it->until);
	keep(it, bytes, n);
	left = (it->until - wall) * 1000 / 2;
	if (it->kept)
		renew -= (wall > it->kept_at ? wall - it->kept_at : 0) * 1000;
	if (left < renew)
		renew = left;
	it->due = now + jittered(renew < AGAIN ? AGAIN : renew);
	if (verdict != OCSP_GOOD && !it->failing) {
		log_warnx(NULL, LOG_SSL, "BH0192", "host %s: %s says that its certificate is %s: clients that look at the stapled answer refuse it; %s", it->host, it->url,
			  verdict == OCSP_REVOKED ? "revoked" : "unknown to it", verdict == OCSP_REVOKED ? "get a new certificate" : "ask its issuer");
		it->failing = true;
	} else if (verdict == OCSP_GOOD && it->failing) {
		log_noticex(NULL, LOG_SSL, "BH0193", "host %s: %s answers again: good answers are stapled", it->host, it->url);
		it->failing = false;
	}
}

/* The line is the job's; it was alone with a stranger, so each number is looked at. */
static void take_answer(struct entry *it, const struct job_result *r)
{
	const char *eol = memchr(r->text, '\n', r->n), *bytes = eol ? eol + 1 : r->text + r->n;
	size_t n = r->n - (size_t)(bytes - r->text), length;
	long long from, to;
	char reason[1100] = "";
	int verdict;

	if (it->kept && !(eol && r->ok && r->text[0] == 'A')) {
		/* Out of date, or no answer at all: it is as if there had been none. */
		forget_kept(it);
		staple_file_put(state_dir, it->id, NULL, 0);
		it->due = 0;
		return;
	}
	if (eol && r->ok && sscanf(r->text, "A %d %lld %lld %zu\n", &verdict, &from, &to, &length) == 4 && length == n && n && n <= STAPLE_MAX
	    && verdict >= OCSP_GOOD && verdict <= OCSP_UNKNOWN && to >= 0 && to <= INT64_MAX / 4000) {
		arrived(it, verdict, to, bytes, n);
		forget_kept(it);
		return;
	}
	if (eol && r->text[0] == 'R' && sscanf(r->text, "R %zu %1000[^\n]", &length, reason) == 2 && length == n && n <= STAPLE_MAX)
		failed(it, reason, bytes, n);
	else if (eol && sscanf(r->text, "E %1000[^\n]", reason) == 1)
		failed(it, reason, NULL, 0);
	else if (r->timeout)
		failed(it, "it took too long", NULL, 0);
	else {
		char words[128];

		snprintf(reason, sizeof reason, "the job that asks ended: %s", slots_status_words(r->status, words));
		failed(it, reason, NULL, 0);
	}
}

static void done(void *ctx, const struct job_result *r)
{
	struct question *q = ctx;
	struct entry *it = find(&serving, q->id);

	q->used = false;
	if (!it || !it->running)
		return;
	it->running = false;
	take_answer(it, r);
}

/* ------------------------------------------------------------------------------------------------ the clock */

static bool begin(struct entry *it, const struct process_settings *p)
{
	struct question *q = NULL;
	struct err e = { .text = "" };

	for (unsigned i = 0; i < RUNNING && !q; i++)
		if (!questions[i].used)
			q = &questions[i];
	if (!q)
		return false;
	*q = (struct question){ .used = true, .kind = fetch_kind };
	q->kind.time_ms = it->set.timeout_ms + NAME_PATIENCE;
	memcpy(q->id, it->id, STAPLE_ID);
	it->running = job_run(&q->kind, it, &(struct job_place){ .settings = p }, done, q, &e) > 0;
	q->used = it->running;
	return it->running;
}

/* -X: there is nobody who could wait meanwhile. */
static void ask_now(struct entry *it)
{
	static char text[ROOM + 1200];
	struct job_result r = { .text = text };
	int fd[2];
	ssize_t got;

	if (pipe(fd) < 0)
		return;
	r.ok = fetch_run(it, fd[1]) == 0;
	close(fd[1]);
	while (r.n < sizeof text - 1 && (got = read(fd[0], text + r.n, sizeof text - 1 - r.n)) > 0)
		r.n += (size_t)got;
	text[r.n] = '\0';
	close(fd[0]);
	take_answer(it, &r);
}

void staples_direct(void)
{
	names_prepare();
	for (unsigned i = 0; i < serving.n; i++) {
		struct entry *it = &serving.at[i];
		bool had = it->kept != NULL;

		if (it->cell < 0)
			continue;
		ask_now(it);
		if (had && !it->until)
			ask_now(it);
	}
}

int64_t staples_tick(const struct process_settings *p, int64_t now)
{
	int64_t due = INT64_MAX;

	for (unsigned i = 0; i < serving.n; i++) {
		struct entry *it = &serving.at[i];

		if (it->running || it->cell < 0)
			continue;
		if (it->due <= now && !begin(it, p))
			return now + AGAIN;
		if (!it->running && it->due < due)
			due = it->due;
	}
	return due;
}
