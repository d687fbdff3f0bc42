/*
 * h2limit.c - what a client may make this server do without asking for anything: frames that cost us more than it. Each kind has a
 * meter; where one is empty the connection ends with ENHANCE_YOUR_CALM and a line in the log. Runs in the children.
 *
 * The number of streams is bounded by H2MaxSessionStreams, their bodies by windows, their answers by H2StreamMaxMemSize, heads by
 * http/streamhead.h, frames of a head by nghttp2.
 */
#include "conn/h2.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/reserve.h"

#define MEMORY_MOST ((size_t)4 << 20)   /* bytes that nghttp2 may hold for a connection */
#define FRAMES_LEAST 16384              /* bytes of nghttp2's buffer for frames, at least */
#define MEMORY_SLACK ((size_t)256 << 10) /* and so many more until it has returned: see may */
#define SENT_A_WINDOW 512               /* bytes of answers that one WINDOW_UPDATE may be for */

static const struct {
	int64_t burst, rate;            /* at once; a second */
	const char *what;
} limits[H2_KINDS] = {
	[H2_RESETS] = { 200, 20, "streams that the client opens and resets at once, or that were refused" },
	[H2_CONTROL] = { 1000, 100, "frames of SETTINGS, PING, PRIORITY, or of kinds that are not known here" },
	[H2_WINDOWS] = { 2000, 200, "frames of WINDOW_UPDATE for fewer bytes than they cost" },
	[H2_EMPTY] = { 100, 10, "frames with nothing in them" },
};

bool h2_meter_take(struct h2_meter *m, int64_t now, int64_t burst, int64_t rate)
{
	int64_t most = burst * 1000, since = now - m->at;

	if (!m->at || since > most)
		m->left = most;
	else if (since > 0)
		m->left += since * rate;
	if (m->left > most)
		m->left = most;
	m->at = now;
	if (m->left < 1000)
		return false;
	m->left -= 1000;
	return true;
}

static void end_with(struct h2 *h, const char *what)
{
	if (!h->told)
		log_warnx(&h->c->own.client.about, LOG_HTTP2, "BH0802", "connection %llu of HTTP/2 ends: too many %s", (unsigned long long)h->c->own.client.id, what);
	h->told = true;
	h2_goaway(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

bool h2_count(struct h2 *h, enum h2_kind kind)
{
	if (h->over)
		return false;
	if (h2_meter_take(&h->meters[kind], loop_now(h->c->server->loop), limits[kind].burst, limits[kind].rate))
		return true;
	end_with(h, limits[kind].what);
	return false;
}

void h2_count_sent(struct h2 *h, size_t n)
{
	h->meters[H2_WINDOWS].left += (int64_t)n * 1000 / SENT_A_WINDOW;
}

void h2_count_error(struct h2 *h)
{
	h->errors++;
	if (h->set->errors && h->errors > (uint64_t)h->set->errors && !h->over)
		end_with(h, "streams that the client broke (H2MaxStreamErrors)");
}

void h2_tell_end(struct h2 *h, const nghttp2_goaway *goaway)
{
	if (!h->told)
		log_infox(&h->c->own.client.about, LOG_HTTP2, "BH0805", "connection %llu of HTTP/2 ends with %s: %.*s", (unsigned long long)h->c->own.client.id,
			  nghttp2_http2_strerror(goaway->error_code), (int)goaway->opaque_data_len, (const char *)goaway->opaque_data);
	h->told = true;
}

void h2_flooded(struct h2 *h, int error)
{
	if (error == NGHTTP2_ERR_FLOODED)
		end_with(h, "frames that want to be acknowledged, while it takes none of the answers");
	else
		end_with(h, "pieces of one head (CONTINUATION)");
}

/* ------------------------------------------------------------------------------------------------ memory */

static void *take(struct h2 *h, void *p)
{
	h->memory += reserve_usable(p);
	if (reserve_taken())
		h->starved = true;
	return p;
}

/*
 * nghttp2 1.52 frees twice what it has in its hands when an allocation fails while it sends DATA. So it gets what it asks for, of a
 * reserve if need be, and the connection ends when nghttp2 has returned (h2.c).
 */
static bool may(struct h2 *h, size_t n)
{
	if (n > MEMORY_MOST || h->memory > MEMORY_MOST - n)
		h->starved = true;
	return n <= MEMORY_MOST && h->memory <= MEMORY_MOST + MEMORY_SLACK - n;
}

/*
 * nghttp2 has one large buffer for each session, and writes to the beginning of it alone as long as heads are short: in pages of its own
 * an idle connection keeps only that.
 */
static void *frames(struct h2 *h, size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	h->frames = p;
	h->frames_n = n;
	return p;
}

static void *mem_malloc(size_t n, void *user)
{
	return may(user, n) ? take(user, reserve_malloc(n)) : NULL;
}

static void *mem_calloc(size_t k, size_t n, void *user)
{
	size_t all;
	void *p = size_mul(k, n, &all) ? mem_malloc(all, user) : NULL;

	return p ? memset(p, 0, all) : NULL;
}

static void mem_free(void *p, void *user)
{
	struct h2 *h = user;

	if (p && p == h->frames) {
		munmap(p, h->frames_n);
		h->frames = NULL;
		return;
	}
	h->memory -= reserve_usable(p);
	reserve_free(p);
}

static void *mem_realloc(void *p, size_t n, void *user)
{
	struct h2 *h = user;
	bool own = p && p == h->frames;
	size_t before = own ? 0 : reserve_usable(p);
	void *grown;

	if (!p && n >= FRAMES_LEAST && !h->frames && (grown = frames(h, n)))
		return grown;
	grown = !may(h, n) ? NULL : own ? reserve_malloc(n) : reserve_realloc(p, n);

	if (grown && own) {
		memcpy(grown, p, n < h->frames_n ? n : h->frames_n);
		mem_free(p, h);
	}
	if (grown) {
		h->memory -= before;
		take(h, grown);
	}
	return grown;
}

nghttp2_mem *h2_memory(struct h2 *h, nghttp2_mem *m)
{
	*m = (nghttp2_mem){ .mem_user_data = h, .malloc = mem_malloc, .free = mem_free, .calloc = mem_calloc, .realloc = mem_realloc };
	return m;
}
