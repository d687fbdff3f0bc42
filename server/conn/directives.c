/*
 * directives.c - the directives about connections: core's time-outs and limits, mod_reqtimeout's, Protocols. Runs in the
 * master and in checking jobs while a configuration is read.
 */
#include "conn/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELD(name) offsetof(struct conn_settings, name)

static void *create_host(struct conf_env *env)
{
	struct conn_settings *s = conf_alloc(env, sizeof *s);

	memset(s, 0xff, sizeof *s);             /* every number: -1 = unset */
	s->methods = NULL;
	s->exempt = NULL;
	return s;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	struct conn_settings *s = conf_alloc(env, sizeof *s);
	const struct conn_settings *b = base;

	*s = *(const struct conn_settings *)over;
	CONF_INHERIT(s, b, timeout, CONF_UNSET);
	CONF_INHERIT(s, b, keepalive_timeout, CONF_UNSET);
	CONF_INHERIT(s, b, keepalive, CONF_UNSET);
	CONF_INHERIT(s, b, max_requests, CONF_UNSET);
	CONF_INHERIT(s, b, limit_line, CONF_UNSET);
	CONF_INHERIT(s, b, limit_fields, CONF_UNSET);
	CONF_INHERIT(s, b, limit_field, CONF_UNSET);
	CONF_INHERIT(s, b, unsafe, CONF_UNSET);
	CONF_INHERIT(s, b, old, CONF_UNSET);
	CONF_INHERIT(s, b, registered, CONF_UNSET);
	CONF_INHERIT(s, b, per_address, CONF_UNSET);
	if (s->address_bits4 == -1) {
		s->address_bits4 = b->address_bits4;
		s->address_bits6 = b->address_bits6;
	}
	if (!s->exempt)
		s->exempt = b->exempt;
	CONF_INHERIT(s, b, honor_order, CONF_UNSET);
	if (s->protocols.n < 0)
		s->protocols = b->protocols;
	s->methods = b->methods;                /* outside of hosts alone */
	CONF_INHERIT(s, b, read_handshake, CONF_UNSET);
	CONF_INHERIT(s, b, read_header, CONF_UNSET);
	CONF_INHERIT(s, b, read_header_max, CONF_UNSET);
	CONF_INHERIT(s, b, read_header_rate, CONF_UNSET);
	CONF_INHERIT(s, b, read_body, CONF_UNSET);
	CONF_INHERIT(s, b, read_body_max, CONF_UNSET);
	CONF_INHERIT(s, b, read_body_rate, CONF_UNSET);
	return s;
}

static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	struct conn_settings *s = config;

	(void)env;
	(void)host_name;
#define DEFAULT(field, value) do { if (s->field == -1) s->field = (value); } while (0)
	DEFAULT(timeout, 60000);
	DEFAULT(keepalive, 1);
	DEFAULT(keepalive_timeout, 5000);
	DEFAULT(max_requests, 100);
	DEFAULT(limit_line, 8190);
	DEFAULT(limit_fields, 100);
	DEFAULT(limit_field, 8190);
	DEFAULT(unsafe, 0);
	DEFAULT(old, 0);
	DEFAULT(registered, 0);
	DEFAULT(per_address, 0);
	DEFAULT(address_bits4, 32);
	DEFAULT(address_bits6, 64);
	DEFAULT(honor_order, 1);
	if (s->protocols.n < 0)
		s->protocols = (struct protocols){ 1, { PROTOCOL_HTTP1 } };
	DEFAULT(read_handshake, 10000);
	if (s->read_header == -1) {
		s->read_header = 20000;
		s->read_header_max = 40000;
		s->read_header_rate = 500;
	}
	if (s->read_body == -1) {
		s->read_body = 20000;
		s->read_body_max = 0;
		s->read_body_rate = 500;
	}
#undef DEFAULT
	if (!s->read_handshake)
		s->read_handshake = s->timeout;
	return 0;
}

/* "20", "20-40", "20,MinRate=500", "20-40,MinRate=500": seconds and bytes a second. 0 or -1. */
static int parse_stage(const char *text, int64_t *low, int64_t *high, int64_t *rate)
{
	struct text rest = text_of(text), part, number;
	uint64_t v;

	*high = *rate = 0;
	if (!text_split(&rest, ',', &part))
		return -1;
	struct text range = part;
	text_split(&range, '-', &number);
	if (text_u64(number, 86400, &v) < 0)
		return -1;
	*low = (int64_t)v * 1000;
	if (range.p) {
		if (text_u64(range, 86400, &v) < 0 || (int64_t)v * 1000 < *low)
			return -1;
		*high = (int64_t)v * 1000;
	}
	if (!rest.p)
		return *high ? -1 : 0;          /* nothing would make it longer */
	if (rest.n < 8 || strncasecmp(rest.p, "MinRate=", 8) || text_u64((struct text){ rest.p + 8, rest.n - 8 }, 1 << 30, &v) < 0 || !v)
		return -1;
	*rate = (int64_t)v;
	return 0;
}

static int set_read_timeout(struct conf_call *call, void *config, int argc, char **argv)
{
	struct conn_settings *s = config;

	for (int i = 0; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		int64_t unused;
		size_t n = value ? (size_t)(value - argv[i]) : 0;
		int bad = -1;

		if (value && n == 9 && !strncasecmp(argv[i], "handshake", n))
			bad = parse_stage(value + 1, &s->read_handshake, &unused, &unused);
		else if (value && n == 6 && !strncasecmp(argv[i], "header", n))
			bad = parse_stage(value + 1, &s->read_header, &s->read_header_max, &s->read_header_rate);
		else if (value && n == 4 && !strncasecmp(argv[i], "body", n))
			bad = parse_stage(value + 1, &s->read_body, &s->read_body_max, &s->read_body_rate);
		if (bad)
			return conf_fail(call, "for example: handshake=10 header=20-40,MinRate=500 body=20,MinRate=500", "\"%s\" is none of its stages", argv[i]);
	}
	return 0;
}

/* "50", "50 24 56": so many, of what is the same in so many bits of IPv4 and IPv6 addresses. */
static int set_per_address(struct conf_call *call, void *config, int argc, char **argv)
{
	struct conn_settings *s = config;
	uint64_t number, bits4 = 32, bits6 = 64;

	if (text_u64(text_of(argv[0]), UINT16_MAX, &number) < 0)
		return conf_fail(call, "0 to 65535; 0 = no limit", "\"%s\" is no number of connections", argv[0]);
	if (argc == 2)
		return conf_fail(call, "for example: MaxConnectionsPerAddress 50 32 64", "the bits of IPv6 addresses are missing");
	if (argc == 3 && (text_u64(text_of(argv[1]), 32, &bits4) < 0 || !bits4 || text_u64(text_of(argv[2]), 128, &bits6) < 0 || !bits6))
		return conf_fail(call, "1 to 32 for IPv4, 1 to 128 for IPv6, as in MaxConnectionsPerAddress 50 32 64", "\"%s %s\" are no bits of addresses", argv[1], argv[2]);
	s->per_address = (int64_t)number;
	s->address_bits4 = (int64_t)bits4;
	s->address_bits6 = (int64_t)bits6;
	return 0;
}

static int set_exempt(struct conf_call *call, void *config, int argc, char **argv)
{
	struct conn_settings *s = config;
	struct exempt *x = conf_alloc(call->env, sizeof *x);

	(void)argc;
	if (prefix_parse(&x->prefix, argv[0]) != 0)
		return conf_fail(call, "write an address or a network, such as 192.0.2.0/24", "\"%s\" is no address", argv[0]);
	x->next = s->exempt;
	s->exempt = x;
	return 0;
}

static int set_protocols(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const names[PROTOCOLS] = { [PROTOCOL_HTTP1] = "http/1.1", [PROTOCOL_H2] = "h2", [PROTOCOL_H2C] = "h2c" };
	struct conn_settings *s = config;

	s->protocols.n = 0;
	for (int i = 0; i < argc; i++) {
		signed char p = 0;

		while (p < PROTOCOLS && strcasecmp(argv[i], names[p]) != 0)
			p++;
		if (p == PROTOCOLS)
			return conf_fail(call, "the protocols are http/1.1, h2 and h2c", "\"%s\" is no protocol known here", argv[i]);
		if (!protocols_has(&s->protocols, p))
			s->protocols.at[s->protocols.n++] = p;
	}
	return 0;
}

static int set_http_options(struct conf_call *call, void *config, int argc, char **argv)
{
	struct conn_settings *s = config;
	const struct { const char *word; int *to, value; } words[] = {
		{ "Strict", &s->unsafe, 0 }, { "Unsafe", &s->unsafe, 1 }, { "LenientMethods", &s->registered, 0 },
		{ "RegisteredMethods", &s->registered, 1 }, { "Require1.0", &s->old, 0 }, { "Allow0.9", &s->old, 1 },
	};

	unsigned said = 0;              /* a bit for each word; those beside each other contradict */

	for (int i = 0; i < argc; i++) {
		size_t w = 0;

		while (w < sizeof words / sizeof words[0] && strcasecmp(argv[i], words[w].word) != 0)
			w++;
		if (w == sizeof words / sizeof words[0])
			return conf_fail(call, "the options are Strict Unsafe LenientMethods RegisteredMethods Allow0.9 Require1.0", "\"%s\" is no option", argv[i]);
		if (said & 1u << (w ^ 1))
			return conf_fail(call, "leave one of them out", "%s and %s contradict each other", words[w ^ 1].word, words[w].word);
		said |= 1u << w;
		*words[w].to = words[w].value;
	}
	return 0;
}

/* For RegisteredMethods: a name that counts as registered. */
static int set_register_method(struct conf_call *call, void *config, int argc, char **argv)
{
	struct conn_settings *s = config;
	struct method_name *m = conf_alloc(call->env, sizeof *m);

	(void)argc;
	if (!http_is_token(text_of(argv[0])) || strlen(argv[0]) > 32)
		return conf_fail(call, "write a method such as REPORT, of at most 32 letters", "\"%s\" is no method", argv[0]);
	*m = (struct method_name){ conf_strdup(call->env, argv[0]), s->methods };
	s->methods = m;
	return 0;
}

static const struct conf_directive directives[] = {
	{ .name = "Timeout", .help = "Seconds that a client may take or give no byte", .value = "60", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_seconds, .offset = FIELD(timeout), .low = 1, .high = 86400 },
	{ .name = "KeepAlive", .help = "Whether connections stay open for further requests", .value = "On", .contexts = CONF_RSRC, .args = CONF_FLAG,
	  .set = conf_set_flag, .offset = FIELD(keepalive) },
	{ .name = "KeepAliveTimeout", .help = "Seconds (or ms) to wait for a further request", .value = "5", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_seconds, .offset = FIELD(keepalive_timeout), .low = 0, .high = 86400 },
	{ .name = "MaxKeepAliveRequests", .help = "Requests on one connection; 0 = no limit", .value = "100", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_number, .offset = FIELD(max_requests), .low = 0, .high = INT32_MAX },
	{ .name = "LimitRequestLine", .help = "Bytes of a request line", .value = "8190", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_number, .offset = FIELD(limit_line), .low = 1, .high = 60000 },
	{ .name = "LimitRequestFields", .help = "Field lines of a request; 0 = no limit", .value = "100", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_number, .offset = FIELD(limit_fields), .low = 0, .high = 32767 },
	{ .name = "LimitRequestFieldSize", .help = "Bytes of one field line of a request", .value = "8190", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_number, .offset = FIELD(limit_field), .low = 1, .high = 60000 },
	{ .name = "MaxConnectionsPerAddress", .help = "Connections of one client address; 0 = no limit", .value = "0 32 64", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1,
	  .max = 3, .set = set_per_address },
	{ .name = "MaxConnectionsPerAddressExcept", .help = "Addresses and networks that may have any number", .contexts = CONF_RSRC, .args = CONF_ITERATE, .set = set_exempt },
	{ .name = "RequestReadTimeout", .help = "Seconds for handshake, head and body, and the slowest rate", .value = "handshake=10 header=20-40,MinRate=500 body=20,MinRate=500",
	  .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 3, .set = set_read_timeout },
	{ .name = "Protocols", .help = "The protocols that are spoken", .value = "http/1.1", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .set = set_protocols },
	{ .name = "ProtocolsHonorOrder", .help = "Whether the order of Protocols counts, not the client's", .value = "On", .contexts = CONF_RSRC, .args = CONF_FLAG,
	  .set = conf_set_flag, .offset = FIELD(honor_order) },
	{ .name = "HttpProtocolOptions", .help = "How strictly requests are read", .value = "Strict LenientMethods Require1.0", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 3,
	  .set = set_http_options },
	{ .name = "RegisterHttpMethod", .help = "Methods that count as registered", .contexts = CONF_GLOBAL, .args = CONF_ITERATE, .set = set_register_method },
	{ 0 }
};

struct conf_module conn_module = {
	.name = "http_module", .source = "mod_http.c", .aka = "reqtimeout_module mod_reqtimeout.c", .directives = directives,
	.create_host = create_host, .merge_host = merge_host, .finish_host = finish_host,
};
