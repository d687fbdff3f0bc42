/*
 * proxyheader_fuzz.c - fuzzes server/http/proxyheader.c: a connection's first bytes. Holds:
 * - the judgement is final: a header that is done or bad stays so with more bytes, and a beginning is none with fewer;
 * - a header takes no more bytes than there are, and never more than its bound; one that is known has two addresses.
 */
#include "tests/fuzz/fuzz.h"

#include "http/proxyheader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum proxyheader_result before = PROXYHEADER_MORE;
	struct proxyheader h;

	if (n > 300)
		n = 300;
	for (size_t k = 0; k <= n; k++) {
		enum proxyheader_result now = proxyheader_read((const char *)data, k, &h);

		CHECK(before == PROXYHEADER_MORE || now == before);
		if (now == PROXYHEADER_DONE) {
			CHECK(h.length <= k && h.length <= PROXYHEADER_MOST);
			CHECK(!h.known || (h.from.len && h.to.len));
		}
		CHECK((now == PROXYHEADER_BAD) == (h.wrong != NULL));
		before = now;
	}
	return 0;
}
