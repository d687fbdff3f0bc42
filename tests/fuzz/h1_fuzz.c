/*
 * h1_fuzz.c - fuzzes a connection of HTTP/1 from its first byte on (server/conn/, and the phases behind it). The first byte of an
 * input says how the rest is cut, the rest is what the client sends. Handlers do what queries spell (served.h). Holds:
 * - the connection ends when the client does, and each handler hears of it once.
 */
#include "tests/fuzz/served.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char sink[65536];
	size_t step = n && data[0] ? (size_t)data[0] * 4 : n;

	if (n < 2)
		return 0;
	if (!served.server)
		served_start(SERVED_H1);
	served_connect();
	for (size_t at = 1; at < n; at += step) {
		served_send(data + at, n - at < step ? n - at : step, 4);
		served_turns(2);
		while (served_read(sink, sizeof sink) > 0)
			served_turns(1);
	}
	served_close();
	return 0;
}
