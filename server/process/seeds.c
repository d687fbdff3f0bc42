/*
 * seeds.c - the seeds that session tickets are sealed with: made and renewed by the master. Beside shared.c the only file
 * here that speaks to shmcache/.
 */
#include "process/seeds.h"

#include <time.h>

#include "base/secret.h"
#include "log/log.h"
#include "process/shared.h"
#include "shmcache/shmcache.h"

#define SEED_PERIOD 86400 /* seconds a ticket seed is the current one; it opens tickets as long again */

static int64_t seeds_due;
static bool made;                       /* the ring has a seed */

static int put_seed(struct err *e)
{
	struct shmcache_seed seed = { .not_before = (int64_t)time(NULL) };
	int rc;

	seed.not_after = seed.not_before + 2 * SEED_PERIOD;
	do
		rc = secret_random(&seed.id, sizeof seed.id);
	while (rc == 0 && seed.id == 0);
	if (rc == 0)
		rc = secret_random(seed.seed, sizeof seed.seed);
	if (rc == 0)
		rc = shmcache_ticket_put(shared.cache, &seed, seed.not_before);
	secret_wipe(&seed, sizeof seed);
	seeds_due = shared_now() + (int64_t)SEED_PERIOD * 1000;
	return rc < 0 ? err_sys(e, "no new seed for session tickets") : 0;
}

int seeds_prepare(const struct config *cfg, struct err *e)
{
	(void)cfg;
	if (!shared.cache || made)
		return 0;
	made = put_seed(e) == 0;
	return made ? 0 : -1;
}

int64_t seeds_tick(int64_t now)
{
	struct err e = { .text = "" };

	if (!shared.cache || !made)
		return INT64_MAX;
	if (now >= seeds_due && put_seed(&e) < 0)
		log_warnx(NULL, LOG_SSL, "BH0108", "%s: the present ones stay in use", e.text);
	return seeds_due;
}
