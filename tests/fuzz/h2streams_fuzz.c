/*
 * h2streams_fuzz.c - fuzzes the states of streams (server/conn/h2*.c): an input becomes a row of things that a client of HTTP/2
 * does with its streams, mixed with turns of the server and reads of what it sent; handlers do what queries spell (served.h). Holds:
 * - flow control: no DATA beyond what the client has allowed, of the stream and of all;
 * - DATA and HEADERS come only on streams that were opened and on which the server has not ended or reset;
 * - one head a stream (and interim ones before it), pseudo-fields aside: the blocks are not unpacked here;
 * - the connection ends when the client does, and each handler hears of it once.
 *
 * One thing is two bytes, what and how much, and more where it needs them:
 *   low four bits of the first: the row of `do_one`; high four: which of the last sixteen streams
 * A request's letters follow it, to 0xff.
 */
#include "tests/fuzz/served.h"

#define STREAMS 16
#define START "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, PRIORITY_UPDATE = 16 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct of_client { uint32_t id; int64_t window; bool head, over; };

static struct {
	struct of_client streams[STREAMS];
	uint32_t next;                  /* id of the next stream */
	unsigned at;                    /* its place */
	int64_t window, initial;
	uint32_t offered[64];           /* INITIAL_WINDOW_SIZE of SETTINGS not yet acknowledged; UINT32_MAX: says nothing of it */
	unsigned noffered;
	uint8_t in[1 << 17];
	size_t n;
	bool closed;
} cl;

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* ------------------------------------------------------------------------------------------------ what comes */

static struct of_client *find(uint32_t id)
{
	for (unsigned i = 0; i < STREAMS; i++)
		if (cl.streams[i].id == id)
			return &cl.streams[i];
	return NULL;
}

static void acknowledged(void)
{
	uint32_t now;

	CHECK(cl.noffered);
	now = cl.offered[0];
	memmove(cl.offered, cl.offered + 1, --cl.noffered * sizeof *cl.offered);
	if (now == UINT32_MAX)
		return;
	for (unsigned i = 0; i < STREAMS; i++)
		cl.streams[i].window += (int64_t)now - cl.initial;
	cl.initial = now;
}

static void came(uint8_t kind, uint8_t flags, uint32_t id, const uint8_t *p, size_t n)
{
	struct of_client *s = id ? find(id) : NULL;

	CHECK(id < cl.next || id == 1);         /* a trailer of no stream opens the first */
	switch (kind) {
	case SETTINGS:
		CHECK(id == 0 && n % 6 == 0);
		if (flags & ACK)
			acknowledged();
		break;
	case DATA:
		CHECK(id);
		cl.window -= (int64_t)n;
		CHECK(n == 0 || cl.window >= 0);
		if (!s)
			break;          /* so old that it was forgotten */
		s->window -= (int64_t)n;
		CHECK(s->head && !s->over && (n == 0 || s->window >= 0));
		s->over = flags & END_STREAM;
		break;
	case HEADERS:
		CHECK(id && (flags & END_HEADERS));
		if (s) {
			CHECK(!s->over);
			s->head = true;
			s->over = flags & END_STREAM;
		}
		break;
	case RST_STREAM:
		CHECK(id && n == 4);
		if (s)
			s->over = true;
		break;
	case PING:
	case GOAWAY:
		CHECK(id == 0 && n >= 8);
		break;
	case WINDOW_UPDATE:
		CHECK(n == 4 && be32(p) > 0 && be32(p) < 1u << 31);
		break;
	default:
		CHECK(kind > CONTINUATION);
	}
}

static void read_some(size_t most)
{
	ssize_t got = 1;
	size_t at = 0;

	while (most && got > 0) {
		got = served_read(cl.in + cl.n, most < sizeof cl.in - cl.n ? most : sizeof cl.in - cl.n);
		if (got < 0)
			cl.closed = true;
		if (got <= 0)
			break;
		cl.n += (size_t)got;
		most -= (size_t)got;
		for (at = 0; cl.n - at >= 9;) {
			size_t n = be32(cl.in + at) >> 8;

			CHECK(n <= 16384);
			if (cl.n - at < 9 + n)
				break;
			came(cl.in[at + 3], cl.in[at + 4], be32(cl.in + at + 5), cl.in + at + 9, n);
			at += 9 + n;
		}
		memmove(cl.in, cl.in + at, cl.n - at);
		cl.n -= at;
	}
}

/* ------------------------------------------------------------------------------------------------ what goes */

/* Whole, or the connection is as good as closed: half a frame would make rubbish of all that follows. */
static void put(uint8_t kind, uint8_t flags, uint32_t id, const void *p, size_t n)
{
	uint8_t frame[9 + 16384];

	CHECK(n <= 16384);
	if (cl.closed)
		return;
	put32(frame, (uint32_t)n << 8 | kind);
	frame[4] = flags;
	put32(frame + 5, id);
	memcpy(frame + 9, p, n);
	if (served_send(frame, 9 + n, 20) < 9 + n)
		cl.closed = true;
}

/* A request whose query is spelled by the next bytes of the input: how many of them were used. */
static size_t open_stream(const uint8_t *p, size_t n, bool body, const char *method, bool filtered)
{
	static const char letters[] = "hwWferR.iltaxu.w";
	uint8_t block[256];
	size_t used = 0, at = 0, length;
	char path[64];

	length = (size_t)snprintf(path, sizeof path, "/%s?", filtered ? "z" : "");
	for (; used < n && length < 40 && p[used] != 0xff; used++)
		path[length++] = letters[p[used] & 15];
	used += used < n && p[used] == 0xff;
	block[at++] = 0x86;
	block[at++] = 0x01;
	block[at++] = 6;
	memcpy(block + at, "h.test", 6);
	at += 6;
	block[at++] = 0x02;
	block[at++] = (uint8_t)strlen(method);
	memcpy(block + at, method, strlen(method));
	at += strlen(method);
	block[at++] = 0x04;
	block[at++] = (uint8_t)length;
	memcpy(block + at, path, length);
	at += length;
	if (filtered)
		block[at++] = 0x90;     /* accept-encoding: gzip, deflate */
	if (method[0] == 'C') {
		memcpy(block + at, "\0\x09:protocol\x09websocket", 21);
		at += 21;
	}
	cl.streams[cl.at] = (struct of_client){ .id = cl.next, .window = cl.initial };
	cl.at = (cl.at + 1) % STREAMS;
	cl.next += 2;
	put(HEADERS, (uint8_t)(END_HEADERS | (body ? 0 : END_STREAM)), cl.next - 2, block, at);
	return used;
}

static void put_setting(uint16_t which, uint32_t value)
{
	uint8_t p[6] = { (uint8_t)(which >> 8), (uint8_t)which };

	if (cl.noffered == sizeof cl.offered / sizeof *cl.offered)
		return;
	put32(p + 2, value);
	cl.offered[cl.noffered++] = which == 4 ? value : UINT32_MAX;
	put(SETTINGS, 0, 0, p, 6);
}

static void put_window(uint32_t id, uint32_t more)
{
	struct of_client *s = id ? find(id) : NULL;
	uint8_t p[4];

	put32(p, more);
	if (s)
		s->window += more;
	else if (!id)
		cl.window += more;
	put(WINDOW_UPDATE, 0, id, p, 4);
}

/* How many of the n bytes at p were used beyond the two. */
static size_t do_one(uint8_t what, uint8_t much, const uint8_t *p, size_t n)
{
	static const uint8_t nothing[16384], trailer[] = "\0\1x\1y";
	static const uint16_t other[] = { 1, 3, 5, 6 };
	struct of_client *s = &cl.streams[what >> 4];
	uint32_t id = s->id ? s->id : 1;
	uint8_t word[5] = { 0 };

	switch (what & 15) {
	case 0:
		return open_stream(p, n, false, "GET", much & 1);
	case 1:
		return open_stream(p, n, true, "POST", much & 1);
	case 2:
	case 3:
		put(DATA, what & 1 ? END_STREAM : 0, id, nothing, (size_t)much * 64);
		return 0;
	case 4:
		put(HEADERS, END_STREAM | END_HEADERS, id, trailer, sizeof trailer - 1);
		return 0;
	case 5:
		put32(word, much);
		put(RST_STREAM, 0, id, word, 4);
		return 0;
	case 6:
		put_window(id, much < 128 ? much + 1u : (much - 127u) * 1000u);
		return 0;
	case 7:
		put_window(0, much < 128 ? much + 1u : (much - 127u) * 1000u);
		return 0;
	case 8:
		put_setting(4, much < 128 ? much : (much - 128u) * 1000u);
		return 0;
	case 9:
		put(PING, much & 1, 0, nothing, 8);
		return 0;
	case 10:
		served_turns(much % 8);
		return 0;
	case 11:
		read_some(much * 512u);
		return 0;
	case 12:
		put_setting(other[much & 3], (much & 3) == 2 ? 16384 : much * 100u);
		return 0;
	case 13:
		return open_stream(p, n, true, much & 1 ? "CONNECT" : "HEAD", much & 2);
	case 14:
		put32(word, cl.streams[much & 15].id);
		word[4] = much;
		put(much & 16 ? PRIORITY : PRIORITY_UPDATE, 0, much & 16 ? id : 0, word, 5);
		return 0;
	default:
		if (much == 0x55)
			put(GOAWAY, 0, 0, nothing, 8);
		return 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!served.server)
		served_start(SERVED_H2);
	memset(&cl, 0, sizeof cl);
	cl.next = 1;
	cl.window = cl.initial = 65535;
	cl.offered[cl.noffered++] = UINT32_MAX;
	served_connect();
	served_send(START, sizeof START - 1, 0);
	for (size_t at = 0; at + 2 <= n && !cl.closed;) {
		size_t rest = at + 2;

		at = rest + do_one(data[at], data[at + 1], data + rest, n - rest);
	}
	served_turns(4);
	read_some(1 << 20);
	served_close();
	return 0;
}
