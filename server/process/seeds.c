/*
 * seeds.c - the seeds of session tickets, as the master keeps them in the ring beside the session cache: its own, renewed
 * in time, and those that files name. With shared.c the only file here that speaks to shmcache/.
 *
 * The ring itself says what there is: one that seals has no end (FOREVER) until it is retired; a retired one has the
 * moment at which its last ticket expires. So a master that took over a ring goes on where the one before stopped.
 */
#include "process/seeds.h"

#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "log/log.h"
#include "process/keys.h"
#include "process/shared.h"
#include "process/ticketfile.h"
#include "shmcache/shmcache.h"

#define FOREVER INT64_MAX
/* The ring's places that the files of all hosts may take; the others are the server's own and retired ones. */
#define FILE_SEEDS TLS_MAX_TICKET_FILES
/* A lifetime is so long that, besides the current seed, no more than this many have tickets that live. */
#define RETIRED 10
#define JUMP 3                          /* seconds by which the clocks may disagree */
#define LOOK_AGAIN 3600000              /* ms */

_Static_assert(1 + RETIRED + 1 + FILE_SEEDS <= SHMCACHE_SEEDS, "the ring has a place for each");

static struct {
	bool made;
	int64_t lifetime, timeout;      /* in force, s */
	int64_t renew;                  /* when the current one has been that long enough; ms of CLOCK_MONOTONIC */
	int64_t look;                   /* when the ring is to be looked at */
	int64_t wall, mono;             /* when it was: s of CLOCK_REALTIME, ms of CLOCK_MONOTONIC */
	int64_t said_lifetime, said_timeout;    /* of which was told that they do not go together */
	/* Seeds of files: of the generation that serves, and of the one being made. */
	uint64_t serving[FILE_SEEDS], wanted[FILE_SEEDS];
} state;

/* ------------------------------------------------------------------------------------------------ the ring */

/* A copy of the ring, in pages that no core contains. */
struct ring_copy {
	struct shmcache_seed at[SHMCACHE_SEEDS];
	unsigned n;
};

static struct ring_copy *ring_read(void)
{
	struct ring_copy *r = secret_alloc(sizeof *r, SECRET_NOFORK);

	if (r)
		r->n = shmcache_ticket_list(shared.cache, r->at);
	return r;
}

static void ring_free(struct ring_copy *r)
{
	secret_free(r, sizeof *r);
}

/* A full ring has retired seeds: the one whose tickets expire first makes room. */
static void make_room(void)
{
	struct ring_copy *r = ring_read();
	const struct shmcache_seed *first = NULL;

	if (!r)
		return;
	for (unsigned i = 0; i < r->n; i++)
		if (r->at[i].not_after != FOREVER && (!first || r->at[i].not_after < first->not_after))
			first = &r->at[i];
	if (r->n == SHMCACHE_SEEDS && first)
		shmcache_ticket_drop(shared.cache, first->id);
	ring_free(r);
}

static int put_new(const struct shmcache_seed *seed, int64_t wall)
{
	make_room();
	return shmcache_ticket_put(shared.cache, seed, wall);
}

/* From now on it only opens, and that until what it sealed at this moment has expired. */
static void retire(struct shmcache_seed *seed, int64_t wall)
{
	seed->not_after = wall + state.timeout;
	shmcache_ticket_put(shared.cache, seed, wall);
}

/* The server's own that seals, or NULL. The copy is ordered: newest first. */
static struct shmcache_seed *current_of(struct ring_copy *r)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->at[i].group == 0 && r->at[i].not_after == FOREVER)
			return &r->at[i];
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ the server's own */

/* A new one seals from now on; it comes before the others go, so that there is one at every moment. */
static int renew(struct ring_copy *r, int64_t wall, int64_t now)
{
	struct shmcache_seed *seed = secret_alloc(sizeof *seed, SECRET_NOFORK);
	int rc = seed ? 0 : -1;

	if (seed) {
		seed->not_before = wall;
		seed->not_after = FOREVER;
		do
			rc = secret_random(&seed->id, sizeof seed->id);
		while (rc == 0 && seed->id == 0);
		if (rc == 0)
			rc = secret_random(seed->seed, sizeof seed->seed);
		if (rc == 0)
			rc = put_new(seed, wall);
		secret_free(seed, sizeof *seed);
	}
	state.renew = now + state.lifetime * 1000;
	if (rc < 0)
		return -1;
	for (unsigned i = 0; i < r->n; i++)
		if (r->at[i].group == 0 && r->at[i].not_after == FOREVER)
			retire(&r->at[i], wall);
	return 0;
}

/* The clock was set back: nothing may lie in the future, where children would not find it, nor end too late. */
static void come_back(struct ring_copy *r, int64_t wall)
{
	for (unsigned i = 0; i < r->n; i++) {
		struct shmcache_seed *s = &r->at[i];
		int64_t from = wall - (int64_t)i;       /* their order stays */
		bool late = s->not_after != FOREVER && s->not_after > wall + state.timeout;

		if (s->not_before <= wall && !late)
			continue;
		if (s->not_before > wall)
			s->not_before = from;
		if (late)
			s->not_after = wall + state.timeout;
		shmcache_ticket_put(shared.cache, s, wall);
	}
}

/* Wipes what is over; how many seconds until the next is, at most a day. */
static int64_t wipe_expired(const struct ring_copy *r, int64_t wall)
{
	int64_t next = 86400;

	for (unsigned i = 0; i < r->n; i++) {
		int64_t left = r->at[i].not_after - wall;

		if (left <= 0)
			shmcache_ticket_drop(shared.cache, r->at[i].id);
		else if (left < next)
			next = left;
	}
	return next;
}

static int look(int64_t now)
{
	int64_t wall = (int64_t)time(NULL), left;
	struct ring_copy *r = ring_read();
	const struct shmcache_seed *current;
	int rc = 0;

	state.wall = wall;
	state.mono = now;
	state.look = now + LOOK_AGAIN;
	if (!r)
		return -1;
	come_back(r, wall);
	current = current_of(r);
	if (!current || now >= state.renew || wall - current->not_before >= state.lifetime) {
		rc = renew(r, wall, now);
		ring_free(r);
		r = ring_read();
		if (!r)
			return -1;
	}
	left = wipe_expired(r, wall);
	current = current_of(r);
	if (current && current->not_before + state.lifetime - wall < left)
		left = current->not_before + state.lifetime - wall;
	ring_free(r);
	if (left < 1)
		left = 1;
	if (now + left * 1000 < state.look)
		state.look = now + left * 1000;
	if (state.renew > now && state.renew < state.look)
		state.look = state.renew;
	return rc;
}

int64_t seeds_tick(int64_t now)
{
	int64_t apart;

	if (!shared.cache || !state.made)
		return INT64_MAX;
	apart = ((int64_t)time(NULL) - state.wall) - (now - state.mono) / 1000;
	if (now < state.look && apart <= JUMP && apart >= -JUMP)
		return state.look;
	if (look(now) < 0)
		log_warnx(NULL, LOG_SSL, "BH0108", "no new seed for session tickets: the present ones stay in use");
	return state.look;
}

/* What the directives ask for, as far as the ring has places for it. */
static void take_settings(const struct tls_cache_settings *s, int64_t now)
{
	int64_t lifetime = s->ticket_lifetime_ms / 1000, least = (s->timeout_s + RETIRED - 1) / RETIRED;

	if (lifetime < least) {
		if (state.said_lifetime != lifetime || state.said_timeout != s->timeout_s)
			log_noticex(NULL, LOG_SSL, "BH0170",
				    "SSLTicketKeyLifetime is %lld seconds in force, not %lld: there is room for %d seeds whose tickets live "
				    "SSLSessionCacheTimeout (%lld seconds)",
				    (long long)least, (long long)lifetime, RETIRED, (long long)s->timeout_s);
		state.said_lifetime = lifetime;
		state.said_timeout = s->timeout_s;
		lifetime = least;
	}
	if (!state.made)
		state.renew = now + lifetime * 1000;
	else
		state.renew += (lifetime - state.lifetime) * 1000;
	state.lifetime = lifetime;
	state.timeout = s->timeout_s;
}

/* ------------------------------------------------------------------------------------------------ files */

struct file_seeds {
	struct file_seed at[FILE_SEEDS];
	unsigned n;
};
_Static_assert(sizeof((struct shmcache_seed *)0)->seed == 64, "a seed is an HMAC-SHA512");

/* Each list once, in order of the text. 0, or -1 with *e: too many. */
static int collect(const struct config *cfg, struct file_seeds *f, struct err *e)
{
	for (struct host *h = cfg->site->main; h; h = h == cfg->site->main ? cfg->site->hosts : h->next) {
		const void *policy = host_config(h, &tls_module);
		struct tls_ticket_file files[TLS_MAX_TICKET_FILES];
		unsigned n = tls_policy_ticket_files(policy, files);
		uint64_t group = n ? tls_policy_ticket_group(policy) : 0;
		bool known = false;

		for (unsigned i = 0; i < f->n; i++)
			known |= f->at[i].group == group;
		for (unsigned i = 0; i < n && !known; i++) {
			if (f->n == FILE_SEEDS) {
				err_at(e, files[i].pos.file, files[i].pos.line);
				err_set(e, "SSLSessionTicketKeyFile: the lists of all hosts together have more than %d files",
					FILE_SEEDS);
				return err_remedy(e, "give the lines once, outside of the hosts, and take out the oldest files");
			}
			f->at[f->n++] = (struct file_seed){ .file = files[i], .group = group, .rank = i };
		}
	}
	return 0;
}

/* The checking job may not lock memory (its sandbox): what is read here is wiped when the function ends. */
int seeds_check(struct config *cfg)
{
	struct file_seeds seeds = { .n = 0 }, *f = &seeds;
	struct err e = { .text = "" };
	int rc = 0;

	if (collect(cfg, f, &e) < 0) {
		config_report_add(cfg, CONF_ERROR, &(struct conf_pos){ .file = conf_strdup(&cfg->env, e.file), .line = e.line }, e.remedy, "%s", e.text);
		rc = -1;
	}
	for (unsigned i = 0; i < f->n; i++) {
		const struct tls_ticket_file *file = &f->at[i].file;
		unsigned open_to;

		e = (struct err){ .text = "" };
		if (ticketfile_read(&f->at[i], &open_to, &e) < 0) {
			config_report_add(cfg, CONF_ERROR, &file->pos, e.remedy, "%s", e.text);
			rc = -1;
		}
		if (open_to)
			config_report_add(cfg, CONF_WARNING, &file->pos, conf_printf(&cfg->env, "chmod 600 %s", file->path),
					  "SSLSessionTicketKeyFile: %s can be read by others (mode %04o): they could read the traffic", file->path, open_to);
	}
	secret_wipe(f, sizeof *f);
	return rc;
}

static int read_all(const struct config *cfg, struct file_seeds *f, struct err *e)
{
	if (collect(cfg, f, e) < 0)
		return -1;
	for (unsigned i = 0; i < f->n; i++) {
		const struct tls_ticket_file *file = &f->at[i].file;
		unsigned open_to;
		struct err one = { .text = "" };

		if (ticketfile_read(&f->at[i], &open_to, &one) < 0) {
			*e = one;
			return -1;
		}
		/* A restart's check has told it. */
		if (open_to && !state.made)
			log_warnx(NULL, LOG_SSL, "BH0171", "%s:%u: %s can be read by others (mode %04o): they could read the traffic; chmod 600 %s",
				  file->pos.file, file->pos.line, file->path, open_to, file->path);
	}
	return 0;
}

static bool is_among(const uint64_t *ids, uint64_t id)
{
	for (unsigned i = 0; i < FILE_SEEDS; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Retires the files' seeds that neither the generation that serves nor the one being made has. */
static void retire_others(int64_t wall)
{
	struct ring_copy *r = ring_read();

	for (unsigned i = 0; r && i < r->n; i++)
		if (r->at[i].group != 0 && r->at[i].not_after == FOREVER && !is_among(state.serving, r->at[i].id)
		    && !is_among(state.wanted, r->at[i].id))
			retire(&r->at[i], wall);
	ring_free(r);
}

/* Puts what the files hold now. What they held before is retired when the new generation serves (seeds_settle). */
static int put_files(const struct file_seeds *f, int64_t wall, struct err *e)
{
	memset(state.wanted, 0, sizeof state.wanted);
	for (unsigned i = 0; i < f->n; i++)
		state.wanted[i] = f->at[i].id;
	if (!state.made)
		memcpy(state.serving, state.wanted, sizeof state.serving);
	retire_others(wall);
	for (unsigned i = f->n; i-- > 0;) {     /* of two files with the same contents the first is put last, and counts */
		const struct file_seed *from = &f->at[i];
		struct shmcache_seed seed = {
			.id = from->id, .group = from->group, .not_before = wall - from->rank, .not_after = FOREVER
		};
		int rc;

		memcpy(seed.seed, from->seed, sizeof seed.seed);
		rc = put_new(&seed, wall);
		secret_wipe(&seed, sizeof seed);
		if (rc < 0)
			return err_sys(e, "no place for the seed of %s", from->file.path);
	}
	return 0;
}

void seeds_settle(void)
{
	if (!shared.cache || !state.made)
		return;
	memcpy(state.serving, state.wanted, sizeof state.serving);
	retire_others((int64_t)time(NULL));
	state.look = 0;                 /* what was retired has an end */
}

int seeds_prepare(const struct config *cfg, struct err *e)
{
	struct file_seeds *f;
	int rc;

	if (!shared.cache)
		return 0;
	f = secret_alloc(sizeof *f, SECRET_NOFORK);
	if (!f)
		return err_sys(e, "no memory for the seeds of session tickets");
	rc = read_all(cfg, f, e);
	if (rc == 0) {
		take_settings(keys_cache_settings(cfg), shared_now());
		rc = put_files(f, (int64_t)time(NULL), e);
	}
	secret_free(f, sizeof *f);
	if (rc == 0 && look(shared_now()) < 0)
		rc = err_sys(e, "no seed for session tickets");
	state.made |= rc == 0;
	return rc;
}
