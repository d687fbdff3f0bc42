/*
 * cache.c - the life of the session cache as a whole: made, kept, given another size, with a job that moves its sessions
 * over. Runs in the master; what the job does itself stands in job.c.
 */
#include "process/cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/log.h"
#include "process/handover.h"
#include "process/job.h"
#include "process/keys.h"
#include "process/shared.h"
#include "process/slots.h"
#include "shmcache/shmcache.h"

#define TRIES 3                         /* of the job that moves sessions */
#define PAUSE 200                       /* ms before the next try */

static const struct mechanism {
	enum shmcache_lock_kind kind;
	const char *word;
} mechanisms[] = {
	[TLS_MUTEX_OFD]    = { SHMCACHE_LOCK_OFD, "fcntl" },
	[TLS_MUTEX_FLOCK]  = { SHMCACHE_LOCK_FLOCK, "flock" },
	[TLS_MUTEX_ROBUST] = { SHMCACHE_LOCK_ROBUST, "pthread" },
};

static size_t bytes;                    /* of the present segment, as asked for */
static size_t unwilling = SIZE_MAX;     /* a size that could not be had: not tried again before the next restart */
static char lockfile[4096];             /* that of shared.cache, its mechanism, its patience */
static const char *mechanism;
static unsigned timeout_ms;
static unsigned age;

static struct {
	enum { IDLE, WAITING, RUNNING, ENDED } state;
	size_t from;
	unsigned tries;
	int64_t began, next;            /* of the job; no sooner than */
	bool ok;                        /* ENDED: the job's answer */
	long moved;
	char why[sizeof(((struct err *)NULL)->text)];
} move;

/* ------------------------------------------------------------------------------------------------ what is asked for */

/* The same instance has the same name after a crash, so that its left-overs are found. */
static uint64_t instance(const struct config *cfg)
{
	const char *parts[] = { cfg->root, cfg->process->pid_file };
	uint64_t h = 0xcbf29ce484222325u;

	for (int i = 0; i < 2; i++)
		for (const unsigned char *p = (const unsigned char *)(parts[i] ? parts[i] : ""); ; p++) {
			h = (h ^ *p) * 0x100000001b3u;
			if (!*p)
				break;
		}
	return h;
}

static const struct mechanism *mechanism_of(const struct tls_cache_settings *s)
{
	size_t kind = (size_t)s->mutex_kind;

	return &mechanisms[kind < sizeof mechanisms / sizeof *mechanisms && mechanisms[kind].word ? kind : TLS_MUTEX_OFD];
}

static int plan_of(const struct tls_cache_settings *s, struct shmcache_plan *plan, struct shmcache_err *why)
{
	return shmcache_plan(s->enabled ? s->bytes : 0, 0, plan, why);
}

void cache_wish(const struct config *cfg, struct cache_wish *w)
{
	const struct tls_cache_settings *s = keys_cache_settings(cfg);
	unsigned long long number = instance(cfg);
	struct shmcache_plan plan;

	*w = (struct cache_wish){ .tls = s && keys_tls_wanted(cfg), .mechanism = "" };
	if (!s)
		return;
	w->bytes = s->enabled ? s->bytes : 0;
	if (plan_of(s, &plan, NULL) == 0) {
		w->sessions = plan.sessions;
		w->each = plan.avg_data;
	}
	snprintf(w->name, sizeof w->name, "/bulkhead-%016llx", number);
	if (s->mutex_file)
		snprintf(w->lockfile, sizeof w->lockfile, "%s", s->mutex_file);
	else
		snprintf(w->lockfile, sizeof w->lockfile, "%s/ssl-cache-%016llx.lock",
			 s->mutex_dir ? s->mutex_dir : cfg->process->runtime_dir, number);
	w->mechanism = mechanism_of(s)->word;
	w->timeout_ms = s->mutex_timeout_ms > 0 ? (unsigned)s->mutex_timeout_ms : 50;
}

/* Two digits are all that "about" promises. */
static size_t about(size_t n)
{
	size_t unit = 1;

	while (n / unit >= 100)
		unit *= 10;
	return n / unit * unit;
}

char *cache_words(const struct config *cfg, char *buf, size_t n)
{
	struct cache_wish w;

	cache_wish(cfg, &w);
	*buf = '\0';
	if (w.tls && w.bytes)
		snprintf(buf, n, "SSLSessionCache: %zu bytes hold about %zu sessions (TLS 1.2, %zu bytes each)", w.bytes,
			 about(w.sessions), w.each);
	return buf;
}

bool cache_look(const struct config *cfg, struct cache_counts *out)
{
	struct shmcache_counters counters;
	struct shmcache_err why;
	struct shmcache *c;
	struct cache_wish w;
	int fd;

	cache_wish(cfg, &w);
	fd = w.tls && w.bytes ? shm_open(w.name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0) : -1;
	c = fd >= 0 ? shmcache_attach(fd, &why) : NULL;
	if (c) {
		shmcache_counters(c, &counters);
		*out = (struct cache_counts){ counters.hits, counters.misses, counters.stores, counters.live };
		shmcache_close(c);
	}
	if (fd >= 0)
		close(fd);
	return c != NULL;
}

/* ------------------------------------------------------------------------------------------------ making */

static int make(const struct config *cfg, const struct cache_wish *w, struct err *e)
{
	const struct tls_cache_settings *s = keys_cache_settings(cfg);
	struct shmcache_lock_options lock = { .lockfile = w->lockfile, .timeout_ms = w->timeout_ms, .kind = mechanism_of(s)->kind };
	struct shmcache_err why = { "", "" };
	struct shmcache_plan plan;
	char words[160];

	shared_make_parent(w->lockfile);
	if (plan_of(s, &plan, &why) < 0 || !(shared.cache = shmcache_create(&plan, w->name, &lock, &why))) {
		const struct conf_pos *pos = strstr(why.text, w->lockfile) && s->mutex_pos.file ? &s->mutex_pos : &s->pos;

		err_at(e, pos->file, pos->line);
		err_set(e, "the TLS session cache could not be made: %s", why.text);
		return err_remedy(e, "%s", why.remedy);
	}
	bytes = w->bytes;
	snprintf(lockfile, sizeof lockfile, "%s", w->lockfile);
	mechanism = w->mechanism;
	timeout_ms = w->timeout_ms;
	if (*cache_words(cfg, words, sizeof words))
		log_infox(NULL, LOG_SSL, "BH0180", "%s", words);
	return 0;
}

void cache_hand_over(FILE *to)
{
	int fds[SHMCACHE_FDS];

	if (!shared.cache || !mechanism)
		return;
	shmcache_fds(shared.cache, fds);
	for (unsigned i = 0; i < SHMCACHE_FDS; i++)
		handover_put(to, "cache", fds[i], "%u", i);
	handover_put(to, "cachesize", -1, "%zu %zu %u %s %s", bytes, move.from, timeout_ms, mechanism, lockfile);
}

/* That of the program before: 1 it is here, 0 there is none, -1 with *e. */
static int adopt(struct err *e)
{
	const struct handover_line *l = handover_next(NULL, "cachesize"), *fd = NULL;
	struct shmcache_err why = { "", "" };
	int fds[SHMCACHE_FDS], at = 0;
	char word[16];

	if (!l)
		return 0;
	for (unsigned i = 0; i < SHMCACHE_FDS; i++) {
		fd = handover_next(fd, "cache");
		fds[i] = fd ? fd->fd : -1;
	}
	if (sscanf(l->text, "%zu %zu %u %15s %n", &bytes, &move.from, &timeout_ms, word, &at) < 4 || !at)
		return err_set(e, "the session cache of the program before is not described as this one knows it");
	snprintf(lockfile, sizeof lockfile, "%s", l->text + at);
	for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
		if (mechanisms[i].word && !strcmp(mechanisms[i].word, word))
			mechanism = mechanisms[i].word;
	shared.cache = mechanism ? shmcache_adopt(fds, &why) : NULL;
	if (!shared.cache)
		return err_set(e, "the session cache of the program before cannot be taken over: %s", why.text);
	for (fd = handover_next(NULL, "cache"); fd; fd = handover_next(fd, "cache"))
		handover_claim(fd);
	if (shmcache_resizing(shared.cache))
		move.state = WAITING;
	return 1;
}

int cache_prepare(const struct config *cfg, struct err *e)
{
	struct cache_wish w;
	int here = shared.cache ? 1 : adopt(e);

	if (here < 0)
		return -1;
	cache_wish(cfg, &w);
	return w.tls && !shared.cache ? make(cfg, &w, e) : 0;
}

/* ------------------------------------------------------------------------------------------------ another size */

unsigned cache_age(void)
{
	return age;
}

bool cache_moving(void)
{
	return move.state != IDLE;
}

/* Another size, if it can be had. */
static bool resize(const struct config *cfg, size_t wanted)
{
	const struct tls_cache_settings *s = keys_cache_settings(cfg);
	struct shmcache_err why = { "", "" };
	struct shmcache_plan plan;

	if (plan_of(s, &plan, &why) < 0 || shmcache_resize(shared.cache, &plan, &why) < 0) {
		unwilling = wanted;
		log_warnx(NULL, LOG_SSL, "BH0181", "SSLSessionCache stays at %zu bytes, %zu cannot be had: %s%s%s", bytes, wanted,
			  why.text, *why.remedy ? "; " : "", why.remedy);
		return false;
	}
	log_noticex(NULL, LOG_SSL, "BH0109",
		    "SSLSessionCache gets %zu bytes instead of %zu: its sessions are moved over when the children of before are gone",
		    wanted, bytes);
	move.state = WAITING;
	move.from = bytes;
	move.tries = 0;
	move.next = 0;
	bytes = wanted;
	age++;
	slots_gate();
	return true;
}

static void say_what_stays(const struct cache_wish *w)
{
	if (!strcmp(w->lockfile, lockfile) && !strcmp(w->mechanism, mechanism) && w->timeout_ms == timeout_ms)
		return;
	log_noticex(NULL, LOG_SSL, "BH0182",
		    "Mutex and MutexTimeout are those of the start until the next full start: lockfile %s, mechanism %s, %u ms",
		    lockfile, mechanism, timeout_ms);
}

void cache_fit(const struct config *cfg)
{
	struct cache_wish w;

	cache_wish(cfg, &w);
	if (!w.tls || !shared.cache || !mechanism)
		return;
	say_what_stays(&w);
	unwilling = SIZE_MAX;
	if (w.bytes == bytes)
		return;
	if (cache_moving())
		log_noticex(NULL, LOG_SSL, "BH0183",
			    "SSLSessionCache is to have %zu bytes while it is being changed to %zu: that follows when this is done",
			    w.bytes, bytes);
	else
		resize(cfg, w.bytes);
}

bool cache_follow(const struct config *cfg)
{
	struct cache_wish w;

	if (!shared.cache || cache_moving())
		return false;
	cache_wish(cfg, &w);
	return w.tls && w.bytes != bytes && w.bytes != unwilling && resize(cfg, w.bytes);
}

/* ------------------------------------------------------------------------------------------------ the job */

/* Only notes: this may be called where no further job must begin. */
static void moved(void *ctx, const struct job_result *r)
{
	char *end = NULL, words[128];

	(void)ctx;
	move.state = ENDED;
	move.moved = strtol(r->text, &end, 10);
	move.ok = r->ok && end != r->text && move.moved >= 0;
	if (move.ok)
		return;
	if (r->timeout)
		snprintf(move.why, sizeof move.why, "the job took too long");
	else if (r->n && !r->ok)
		snprintf(move.why, sizeof move.why, "%.*s", (int)strcspn(r->text, "\n"), r->text);
	else
		snprintf(move.why, sizeof move.why, "the job ended with %s", slots_status_words(r->status, words));
}

static void begin(const struct config *cfg, int64_t now)
{
	int fds[SHARED_CACHE_FDS];
	struct job_place place = { .settings = cfg->process, .keep = fds, .nkeep = SHARED_CACHE_FDS };
	struct err e = { .text = "" };

	shared_cache_fds(fds);
	move.tries++;
	move.state = RUNNING;
	move.began = now;
	if (job_run(&job_kind_move, NULL, &place, moved, NULL, &e) > 0)
		return;
	move.state = ENDED;
	move.ok = false;
	snprintf(move.why, sizeof move.why, "%s", e.text);
}

static void ended(int64_t now)
{
	long long ms = (long long)(now - move.began);

	if (!move.ok && move.tries < TRIES) {
		log_warnx(NULL, LOG_SSL, "BH0184", "the sessions were not all moved over, which is tried again: %s", move.why);
		move.state = WAITING;
		move.next = now + PAUSE;
		return;
	}
	shmcache_resized(shared.cache);
	move.state = IDLE;
	if (move.ok)
		log_noticex(NULL, LOG_SSL, "BH0185", "SSLSessionCache has %zu bytes instead of %zu: %ld sessions were moved in %lld ms",
			    bytes, move.from, move.moved, ms);
	else
		log_warnx(NULL, LOG_SSL, "BH0186",
			  "SSLSessionCache has %zu bytes instead of %zu, but the sessions that were not moved over are lost: %s", bytes,
			  move.from, move.why);
}

void cache_tick(const struct config *cfg, bool older, int64_t now)
{
	if (move.state == WAITING && !older && now >= move.next)
		begin(cfg, now);
	if (move.state == ENDED)
		ended(now);
}

int64_t cache_due(void)
{
	return move.state == WAITING && move.next ? move.next : INT64_MAX;
}
