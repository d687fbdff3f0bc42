/*
 * h2_fuzz.c - fuzzes a connection of HTTP/2 from its first byte on (server/conn/h2*.c, and nghttp2 below it). The first byte of an
 * input says how the rest is cut, the rest is what the client sends behind the preface and an empty SETTINGS; with the byte's
 * highest bit it sends these itself. Handlers do what queries spell (served.h). Holds:
 * - what the server sends are frames, of no more than 16384 bytes, and the first is SETTINGS;
 * - the connection ends when the client does, and each handler hears of it once.
 */
#include "tests/fuzz/served.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HELLO (PREFACE "\0\0\0\4\0\0\0\0\0")

static struct { size_t want, head_n; uint8_t head[9]; unsigned frames; bool spoken; } out;

/* Frames as they pass: heads are looked at, payloads passed over. */
static void look(const uint8_t *p, size_t n)
{
	while (n) {
		size_t part;

		if (out.want) {
			part = n < out.want ? n : out.want;
			out.want -= part;
		} else {
			part = 9 - out.head_n < n ? 9 - out.head_n : n;
			memcpy(out.head + out.head_n, p, part);
			out.head_n += part;
			if (out.head_n == 9) {
				out.want = (size_t)out.head[0] << 16 | (size_t)out.head[1] << 8 | out.head[2];
				out.head_n = 0;
				CHECK(out.want <= 16384);
				CHECK(out.frames++ || (out.head[3] == 4 && !(out.head[4] & 1)));
				CHECK(out.head[3] != 5 && !(out.head[5] & 0x80));
			}
		}
		p += part;
		n -= part;
	}
}

static void drain_socket(bool h2)
{
	static uint8_t sink[65536];
	ssize_t n;

	while ((n = served_read(sink, sizeof sink)) > 0) {
		if (h2)
			look(sink, (size_t)n);
		served_turns(1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t step;
	bool whole;

	if (n < 2)
		return 0;
	if (!served.server)
		served_start(SERVED_H2);
	memset(&out, 0, sizeof out);
	served_connect();
	whole = !(data[0] & 0x80);
	step = data[0] & 0x7f ? (size_t)(data[0] & 0x7f) * 8 : n;
	if (whole)
		served_send(HELLO, sizeof HELLO - 1, 0);
	for (size_t at = 1; at < n; at += step) {
		served_send(data + at, n - at < step ? n - at : step, 4);
		served_turns(2);
		drain_socket(whole);
	}
	served_close();
	return 0;
}
