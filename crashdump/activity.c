/*
 * activity.c - reading and resetting activity records. Any process that maps them; the writers' side is inline in
 * activity.h.
 */
#include "crashdump/activity.h"

void activity_reset(struct activity *a, uint64_t now_ms)
{
	memset(a, 0, sizeof *a);
	a->born = now_ms;
}

static void end_texts(struct activity_record *r)
{
	r->what[sizeof r->what - 1] = r->peer[sizeof r->peer - 1] = r->host[sizeof r->host - 1] = '\0';
	r->phase[sizeof r->phase - 1] = r->handler[sizeof r->handler - 1] = '\0';
	r->method[sizeof r->method - 1] = r->path[sizeof r->path - 1] = '\0';
}

bool activity_read(const struct activity *a, struct activity_record *out)
{
	bool whole = false;

	for (unsigned i = 0; i < ACTIVITY_TRIES && !whole; i++) {
		uint32_t before = atomic_load_explicit(&a->sequence, memory_order_acquire);

		memcpy(out, &a->now, sizeof *out);
		atomic_thread_fence(memory_order_acquire);
		whole = !(before & 1) && atomic_load_explicit(&a->sequence, memory_order_relaxed) == before;
	}
	end_texts(out);
	return whole;
}

unsigned activity_read_events(const struct activity *a, struct activity_event out[ACTIVITY_EVENTS])
{
	uint32_t head = atomic_load_explicit(&a->head, memory_order_acquire);
	uint32_t count = head < ACTIVITY_EVENTS ? head : ACTIVITY_EVENTS, late;

	for (uint32_t i = 0; i < count; i++)
		out[i] = a->events[(head - count + i) % ACTIVITY_EVENTS];
	/* What the writer added meanwhile lies over the oldest ones; one more may be half written. */
	atomic_thread_fence(memory_order_acquire);
	late = atomic_load_explicit(&a->head, memory_order_relaxed) - head;
	if (!late || (late < ACTIVITY_EVENTS && head < ACTIVITY_EVENTS - late))
		return count;
	late = late + 1 < count ? late + 1 : count;
	memmove(out, out + late, (count - late) * sizeof *out);
	return count - late;
}

const char *activity_code_name(uint32_t code)
{
	static const char *const names[ACTIVITY_CODES] = {
		[ACTIVITY_NONE] = "none", [ACTIVITY_ACCEPT] = "accept", [ACTIVITY_CLOSE] = "close",
		[ACTIVITY_HANDSHAKE] = "handshake", [ACTIVITY_TLS_FAILED] = "tls-failed",
		[ACTIVITY_REQUEST] = "request", [ACTIVITY_RESPONSE] = "response", [ACTIVITY_ABORTED] = "aborted",
		[ACTIVITY_TIMEOUT] = "timeout", [ACTIVITY_SUBREQUEST] = "subrequest", [ACTIVITY_HELPER] = "helper",
		[ACTIVITY_SIGNAL] = "signal", [ACTIVITY_DRAIN] = "drain",
	};

	return code < ACTIVITY_CODES ? names[code] : "?";
}
