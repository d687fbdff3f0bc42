/*
 * statusauto.c - the status as lines "Name: value", with the names and the order that mod_status, mod_ssl and mod_proxy have, so that
 * programs made for Apache read it. Runs in the children.
 *
 * What Apache counts in workers is counted here in connections: a busy worker is a connection at work, an idle one room for another.
 */
#include "handler/statusform.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "request/response.h"

static void put_time(struct page *p, const char *name, int64_t when)
{
	time_t t = (time_t)when;
	char text[64];
	struct tm tm;

	if (localtime_r(&t, &tm) && strftime(text, sizeof(text), "%A, %d-%b-%Y %H:%M:%S %Z", &tm))
		page_printf(p, "%s: %s\n", name, text);
}

static double ratio(double n, double of)
{
	return of > 0 ? n / of : 0;
}

static void put_server(struct page *p, const struct status_view *v)
{
	const struct status *s = v->s;
	char uptime[96];

	page_printf(p, "%s\nServerVersion: %s\nServerMPM: prefork\n", response_host(v->r), response_server(v->r->site->main));
	put_time(p, "CurrentTime", s->now);
	put_time(p, "RestartTime", s->started);
	page_printf(p, "ParentServerConfigGeneration: %u\nParentServerMPMGeneration: %u\n", s->generation, s->generation);
	page_printf(p, "ServerUptimeSeconds: %" PRId64 "\nServerUptime: %s\n", s->uptime, status_duration(s->uptime, uptime));
	page_printf(p, "Load1: %.2f\nLoad5: %.2f\nLoad15: %.2f\n", s->load[0], s->load[1], s->load[2]);
}

static void put_sums(struct page *p, const struct status *s)
{
	const struct status_sums *a = &s->sums;
	double user = (double)a->cpu_user_us / 1e6, system = (double)a->cpu_system_us / 1e6, uptime = (double)s->uptime;

	page_printf(p, "Total Accesses: %" PRIu64 "\nTotal kBytes: %" PRIu64 "\nTotal Duration: %" PRIu64 "\n", a->requests, a->bytes / 1024, a->duration_us / 1000);
	page_printf(p, "CPUUser: %.6g\nCPUSystem: %.6g\nCPUChildrenUser: 0\nCPUChildrenSystem: 0\n", user, system);
	if (user + system > 0 && s->uptime)
		page_printf(p, "CPULoad: %.6g\n", 100 * (user + system) / uptime);
	page_printf(p, "Uptime: %" PRId64 "\n", s->uptime);
	if (s->uptime)
		page_printf(p, "ReqPerSec: %.6g\nBytesPerSec: %.6g\n", (double)a->requests / uptime, (double)a->bytes / uptime);
	if (a->requests)
		page_printf(p, "BytesPerReq: %.6g\nDurationPerReq: %.6g\n", ratio((double)a->bytes, (double)a->requests),
			    ratio((double)a->duration_us / 1000, (double)a->requests));
}

static void put_workers(struct page *p, const struct status *s)
{
	uint64_t leaving = 0;

	for (unsigned i = 0; i < s->nchildren; i++)
		if (s->children[i].draining)
			leaving += s->children[i].places.total;
	page_printf(p, "BusyWorkers: %" PRIu64 "\nGracefulWorkers: %" PRIu64 "\nIdleWorkers: %" PRIu64 "\n", s->busy, leaving, s->idle);
	page_printf(p, "Processes: %u\nStopping: %u\n", s->nchildren, s->stopping);
	page_printf(p, "ConnsTotal: %" PRIu64 "\nConnsAsyncWriting: %" PRIu64 "\nConnsAsyncKeepAlive: %" PRIu64 "\nConnsAsyncClosing: %" PRIu64 "\n", s->places.total,
		    s->places.writing, s->places.keepalive, s->places.closing);
	page_puts(p, "Scoreboard: ");
	page_puts(p, s->letters);
	page_puts(p, "\n");
}

static void put_cache(struct page *p, const struct status_cache *c)
{
	page_printf(p, "TLSSessionCacheStatus\nCacheType: SHMCB\nCacheSharedMemory: %" PRIu64 "\nCacheCurrentEntries: %" PRIu64 "\n", c->bytes, c->live);
	page_printf(p, "CacheSubcaches: %" PRIu64 "\nCacheIndexesPerSubcaches: %" PRIu64 "\n", c->shards, c->shards ? c->slots / c->shards : 0);
	page_printf(p, "CacheIndexUsage: %.0f%%\nCacheUsage: %.0f%%\n", 100 * ratio((double)c->live, (double)c->slots), 100 * ratio((double)c->live, (double)c->sessions));
	page_printf(p, "CacheStoreCount: %" PRIu64 "\nCacheReplaceCount: %" PRIu64 "\nCacheExpireCount: %" PRIu64 "\nCacheDiscardCount: %" PRIu64 "\n", c->stores,
		    c->replaced, c->expired, c->evicted);
	page_printf(p, "CacheRetrieveHitCount: %" PRIu64 "\nCacheRetrieveMissCount: %" PRIu64 "\nCacheRemoveHitCount: %" PRIu64 "\nCacheRemoveMissCount: 0\n", c->hits,
		    c->misses, c->removed);
}

/* Members of balancers alone, as mod_proxy with ProxyStatus. */
static void put_backends(struct page *p, const struct status_view *v)
{
	const struct status *s = v->s;
	const char *balancer = NULL;
	unsigned n = 0, member = 0;

	for (unsigned i = 0; i < s->nbackends; i++) {
		const struct status_backend *b = &s->backends[i];

		if (!b->balancer)
			continue;
		if (!balancer || strcmp(balancer, b->balancer) != 0) {
			n += balancer != NULL;
			member = 0;
			balancer = b->balancer;
			page_printf(p, "ProxyBalancer[%u]Name: balancer://%s\n", n, status_clean(v->r->arena, balancer));
		}
		page_printf(p, "ProxyBalancer[%u]Worker[%u]Name: %s\n", n, member, status_clean(v->r->arena, b->url));
		page_printf(p, "ProxyBalancer[%u]Worker[%u]Status: %s\n", n, member, b->state);
		page_printf(p, "ProxyBalancer[%u]Worker[%u]Elected: %" PRIu64 "\n", n, member, b->elected);
		page_printf(p, "ProxyBalancer[%u]Worker[%u]Busy: %" PRIu64 "\n", n, member, b->busy);
		page_printf(p, "ProxyBalancer[%u]Worker[%u]Sent: %" PRIu64 "K\n", n, member, b->bytes / 1024);
		member++;
	}
}

void status_put_auto(struct page *p, const struct status_view *v)
{
	put_server(p, v);
	put_sums(p, v->s);
	put_workers(p, v->s);
	if (v->s->cache.there)
		put_cache(p, &v->s->cache);
	put_backends(p, v);
}
