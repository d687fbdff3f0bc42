/*
 * failures.c - the budget of log lines about failed handshakes. A window begins with the first failure after the last
 * one's end. Runs in children and -X.
 */
#include "tls/failures.h"

#include <string.h>

#include "base/text.h"

static const char *const names[TLS_REASONS] = {
	[TLS_R_VERSION] = "no common protocol", [TLS_R_SUITE] = "no common cipher suite", [TLS_R_GROUP] = "no common group",
	[TLS_R_CERTIFICATE] = "no fitting certificate", [TLS_R_NAME] = "unknown name",
	[TLS_R_CLIENT_CERTIFICATE] = "client certificate", [TLS_R_REFUSED] = "certificate refused by the client",
	[TLS_R_ALERT] = "alert of the client", [TLS_R_MALFORMED] = "malformed messages", [TLS_R_NOT_TLS] = "not TLS",
	[TLS_R_PLAIN_HTTP] = "plain HTTP on a TLS port", [TLS_R_TLS_ON_PLAIN] = "TLS on a plain port", [TLS_R_GONE] = "client gone",
	[TLS_R_LATE] = "too late", [TLS_R_RENEGOTIATION] = "renegotiation", [TLS_R_SERVER] = "fault of the server",
	[TLS_R_OTHER] = "other",
};

static int64_t begun = INT64_MIN;       /* the window */
static unsigned told[TLS_REASONS], untold[TLS_REASONS];
static bool some_untold;
static enum log_level gravest;
static unsigned most = TLS_FAILURES_TOLD;

void tls_failures_limit(unsigned lines)
{
	most = lines;
}

const char *tls_reason_name(enum tls_reason why)
{
	return names[why];
}

bool tls_failure_told(enum tls_reason why, enum log_level level, int64_t now_ms)
{
	if (begun == INT64_MIN || now_ms - begun >= TLS_FAILURES_MS) {
		begun = now_ms;
		memset(told, 0, sizeof told);
	}
	if (told[why] < most) {
		told[why]++;
		return true;
	}
	untold[why]++;
	if (!some_untold || level < gravest)
		gravest = level;
	some_untold = true;
	return false;
}

int64_t tls_failures_due(void)
{
	return some_untold ? begun + TLS_FAILURES_MS : INT64_MAX;
}

const char *tls_failures_summary(char *buf, size_t n, enum log_level *level)
{
	const char *comma = "";
	struct buf b;

	buf_init(&b, buf, n);
	for (int i = 0; i < TLS_REASONS; i++) {
		if (!untold[i])
			continue;
		buf_printf(&b, "%s%s %u", comma, names[i], untold[i]);
		comma = ", ";
	}
	*level = gravest;
	memset(untold, 0, sizeof untold);
	some_untold = false;
	return buf;
}
