/*
 * h2conf.c - mod_http2's directives. Runs in the master and in checking jobs while a configuration is read.
 */
#include "conn/h2conf.h"

#include <stddef.h>
#include <string.h>

#include "conn/conn.h"
#include "http/head.h"

/* ------------------------------------------------------------------------------------------------ hosts */

static void *create_host(struct conf_env *env)
{
	struct h2_settings *s = conf_alloc(env, sizeof *s);

	memset(s, 0xff, sizeof *s);             /* every number: -1 = unset */
	return s;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	struct h2_settings *s = conf_alloc(env, sizeof *s);
	const struct h2_settings *b = base;

	*s = *(const struct h2_settings *)over;
	CONF_INHERIT(s, b, streams, CONF_UNSET);
	CONF_INHERIT(s, b, window, CONF_UNSET);
	CONF_INHERIT(s, b, memory, CONF_UNSET);
	CONF_INHERIT(s, b, padding, CONF_UNSET);
	CONF_INHERIT(s, b, frame, CONF_UNSET);
	CONF_INHERIT(s, b, head, CONF_UNSET);
	CONF_INHERIT(s, b, errors, CONF_UNSET);
	CONF_INHERIT(s, b, timeout, CONF_UNSET);
	CONF_INHERIT(s, b, modern, CONF_UNSET);
	CONF_INHERIT(s, b, direct, CONF_UNSET);
	CONF_INHERIT(s, b, upgrade, CONF_UNSET);
	CONF_INHERIT(s, b, websockets, CONF_UNSET);
	return s;
}

static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	struct h2_settings *s = config;

	(void)env;
	(void)host_name;
#define DEFAULT(field, value) do { if (s->field == CONF_UNSET) s->field = (value); } while (0)
	DEFAULT(streams, 100);
	DEFAULT(window, 65535);
	DEFAULT(memory, 65536);
	DEFAULT(padding, 0);
	DEFAULT(frame, 0);
	DEFAULT(head, 0);
	DEFAULT(errors, 8);
	DEFAULT(modern, 1);
	DEFAULT(websockets, 0);
#undef DEFAULT
	return 0;
}

/* ------------------------------------------------------------------------------------------------ sections */

static void *create_section(struct conf_env *env)
{
	struct h2_section *s = conf_alloc(env, sizeof *s);

	*s = (struct h2_section){ .early = CONF_UNSET };
	return s;
}

/* Hints add up, the outer ones first. */
static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	struct h2_section *s = conf_alloc(env, sizeof *s);
	const struct h2_section *outer = base, *inner = over;
	const struct h2_hint **at = &s->hints;

	*s = (struct h2_section){ .early = inner->early == CONF_UNSET ? outer->early : inner->early };
	for (int i = 0; i < 2; i++)
		for (const struct h2_hint *h = i ? inner->hints : outer->hints; h; h = h->next) {
			struct h2_hint *copy = conf_alloc(env, sizeof *copy);

			*copy = (struct h2_hint){ h->name, h->value, NULL };
			*at = copy;
			at = &copy->next;
		}
	return s;
}

static int set_hint(struct conf_call *call, void *config, int argc, char **argv)
{
	struct h2_section *s = config;
	const struct h2_hint **at = &s->hints;
	struct h2_hint *hint = conf_alloc(call->env, sizeof *hint);

	(void)argc;
	if (!http_is_token(text_of(argv[0])) || !http_is_value(text_of(argv[1])))
		return conf_fail(call, "for example: H2EarlyHint Link \"</my.css>;rel=preload;as=style\"", "\"%s: %s\" is no field of a response", argv[0], argv[1]);
	*hint = (struct h2_hint){ conf_strdup(call->env, argv[0]), conf_strdup(call->env, argv[1]), NULL };
	while (*at)
		at = &((struct h2_hint *)(uintptr_t)*at)->next;
	*at = hint;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the table */

#define FIELD(f) .scope = CONF_OF_HOST, .offset = offsetof(struct h2_settings, f)
#define NUMBER(n, text, def, f, lo, hi) { .name = n, .help = text, .value = def, .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, \
		.set = conf_set_number, FIELD(f), .low = lo, .high = hi }
#define FLAG(n, text, def, f) { .name = n, .help = text, .value = def, .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_flag, FIELD(f) }
#define IDLE(n, ctx, ov, most, why) { .name = n, .help = "Accepted: without effect here", .contexts = ctx, .override = ov, .args = CONF_TAKE, .min = 1, .max = most, \
		.set = conf_set_notice, .extra = why }

static const char workers[] = "streams are served by the child's own loop, without workers";
static const char push[] = "no server push: browsers have given it up; H2EarlyHint tells them as early";
static const char records[] = "what is gathered in a turn fills as few TLS records as can be, from the first byte on";

static const struct conf_directive directives[] = {
	NUMBER("H2MaxSessionStreams", "Streams of a connection at once", "100", streams, 1, 1000),
	NUMBER("H2WindowSize", "Bytes of a request's body that may come before they are read", "65535", window, 1024, 16 << 20),
	NUMBER("H2StreamMaxMemSize", "Bytes of answers that wait for a client, over all streams of its connection", "65536", memory, 1024, 16 << 20),
	NUMBER("H2Padding", "Frames of answers get up to 2^n - 1 random bytes of padding", "0", padding, 0, 8),
	NUMBER("H2MaxDataFrameLen", "The most bytes of an answer in one frame; 0 = as many as may be", "0", frame, 0, 16384),
	NUMBER("H2MaxHeaderBlockLen", "The most bytes of an answer's head; 0 = 64 KiB", "0", head, 0, 1 << 20),
	NUMBER("H2MaxStreamErrors", "Streams that a client may break before its connection ends; 0 = any number", "8", errors, 0, INT32_MAX),
	{ .name = "H2StreamTimeout", .help = "Seconds that a stream may take or give no byte", .value = "that of Timeout", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_seconds, FIELD(timeout), .low = 1, .high = 86400 },
	FLAG("H2ModernTLSOnly", "Whether HTTP/2 is offered with the suites of RFC 9113 alone", "On", modern),
	FLAG("H2Direct", "Whether HTTP/2 may begin without being asked for", "On without TLS, Off with it", direct),
	FLAG("H2Upgrade", "Whether requests of HTTP/1.1 may ask for HTTP/2", "On without TLS", upgrade),
	FLAG("H2WebSockets", "Whether WebSockets may come through HTTP/2 (RFC 8441)", "Off", websockets),
	{ .name = "H2EarlyHints", .help = "Whether H2EarlyHint counts", .value = "Off", .contexts = CONF_ALL & ~CONF_HTACCESS, .args = CONF_FLAG,
	  .scope = CONF_OF_SECTION, .set = conf_set_flag, .offset = offsetof(struct h2_section, early) },
	{ .name = "H2EarlyHint", .help = "A field that goes before the answer (103)", .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .args = CONF_TAKE, .min = 2, .max = 2,
	  .scope = CONF_OF_SECTION, .set = set_hint },
	IDLE("H2MinWorkers", CONF_GLOBAL, CONF_OR_NONE, 1, workers), IDLE("H2MaxWorkers", CONF_GLOBAL, CONF_OR_NONE, 1, workers),
	IDLE("H2MaxWorkerIdleSeconds", CONF_GLOBAL, CONF_OR_NONE, 1, workers),
	IDLE("H2Push", CONF_ALL, CONF_OR_OPTIONS, 1, push), IDLE("H2PushPriority", CONF_RSRC, CONF_OR_NONE, 3, push),
	IDLE("H2PushDiarySize", CONF_RSRC, CONF_OR_NONE, 1, push), IDLE("H2PushResource", CONF_ALL, CONF_OR_FILEINFO, 2, push),
	IDLE("H2TLSWarmUpSize", CONF_RSRC, CONF_OR_NONE, 1, records), IDLE("H2TLSCoolDownSecs", CONF_RSRC, CONF_OR_NONE, 1, records),
	IDLE("H2CopyFiles", CONF_ALL, CONF_OR_FILEINFO, 1, "no other process reads them: nothing has to be copied"),
	IDLE("H2OutputBuffering", CONF_RSRC, CONF_OR_NONE, 1, "what an answer has is sent at the end of each turn, and is gathered until then"),
	IDLE("H2SerializeHeaders", CONF_RSRC, CONF_OR_NONE, 1, "answers are never written in the form of HTTP/1 on the way"),
	IDLE("H2SessionExtraFiles", CONF_RSRC, CONF_OR_NONE, 1, "as in Apache, where it is obsolete"),
	IDLE("H2ProxyRequests", CONF_RSRC, CONF_OR_NONE, 1, "this server is no forward proxy"),
	{ 0 }
};

struct conf_module h2_module = {
	.name = "http2_module", .source = "mod_http2.c", .directives = directives, .create_host = create_host, .merge_host = merge_host,
	.finish_host = finish_host, .create_section = create_section, .merge_section = merge_section,
};
