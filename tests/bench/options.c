/*
 * options.c - reads the command line of bulkhead-bench: the URL, the options and their limits. Opens nothing.
 */
#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

const char options_usage[] =
	"usage: bulkhead-bench [options] https://HOST[:PORT]/PATH\n"
	"  --resume any|none|id|ticket  how sessions are resumed (any: by what the server gives)\n"
	"  --tls 1.2|1.3         versions to offer; may be repeated (both)\n"
	"  -c N                  connections at the same time (8)\n"
	"  -j N                  processes that share them (1)\n"
	"  -n N, -t SECONDS      operations, time: what is reached first ends the run (-t 10)\n"
	"  -r N                  requests on each connection (1)\n"
	"  --sessions N          sessions to resume (one for each connection)\n"
	"  --order turn|random|zipf  which session comes next (turn)\n"
	"  --rate N              operations a second (as many as possible)\n"
	"  --timeout SECONDS     for each connect, handshake and response (10)\n"
	"  --connect HOST:PORT   connect there instead\n"
	"  --sni NAME            ask for this name instead of HOST\n"
	"  --ca FILE             trust these certificates instead of the system's\n"
	"  --no-check            accept a certificate of another name\n"
	"  --insecure            accept any certificate\n"
	"  --allow-loss PERCENT  lost resumptions that are no reason for exit status 1 (0)\n"
	"  --json, -q            print one JSON object; no heading and no progress\n"
	"An operation is one connection with its requests.\n"
	"Exit status: 0 all fine, 1 failures or lost resumptions, 2 usage.\n";

static const char *const resume_names[] = { "any", "none", "id", "ticket" };
static const char *const order_names[] = { "turn", "random", "zipf" };

const char *resume_name(enum resume r) { return resume_names[r]; }
const char *order_name(enum order o) { return order_names[o]; }

enum { OPT_RESUME = 256, OPT_TLS, OPT_SESSIONS, OPT_ORDER, OPT_RATE, OPT_TIMEOUT, OPT_CONNECT, OPT_SNI, OPT_CA,
       OPT_NO_CHECK, OPT_INSECURE, OPT_ALLOW_LOSS, OPT_JSON };

static const struct option long_options[] = {
	{ "resume", required_argument, NULL, OPT_RESUME },
	{ "tls", required_argument, NULL, OPT_TLS },
	{ "sessions", required_argument, NULL, OPT_SESSIONS },
	{ "order", required_argument, NULL, OPT_ORDER },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "sni", required_argument, NULL, OPT_SNI },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "no-check", no_argument, NULL, OPT_NO_CHECK },
	{ "insecure", no_argument, NULL, OPT_INSECURE },
	{ "allow-loss", required_argument, NULL, OPT_ALLOW_LOSS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* A whole number from 1 to max. */
static int whole_number(const char *what, const char *text, uint64_t max, uint64_t *out, struct err *e)
{
	if (text_u64(text_of(text), max, out) < 0 || *out == 0) {
		err_set(e, "%s is \"%s\"", what, text);
		return err_remedy(e, "give a whole number from 1 to %llu", (unsigned long long)max);
	}
	return 0;
}

static int small(const char *what, const char *text, unsigned max, unsigned *out, struct err *e)
{
	uint64_t n;

	if (whole_number(what, text, max, &n, e) < 0)
		return -1;
	*out = (unsigned)n;
	return 0;
}

static int duration(const char *what, const char *text, uint64_t max_s, uint64_t *out_ms, struct err *e)
{
	if (text_duration_ms(text_of(text), 1000, max_s * 1000, out_ms) < 0 || *out_ms == 0) {
		err_set(e, "%s is \"%s\"", what, text);
		return err_remedy(e, "give seconds up to %llu, or a number with ms, mi or h",
		                  (unsigned long long)max_s);
	}
	return 0;
}

static int word(const char *what, const char *text, const char *const *names, int n, struct err *e)
{
	for (int i = 0; i < n; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	err_set(e, "%s is \"%s\"", what, text);
	return err_remedy(e, "it is one of %s, %s, %s%s%s", names[0], names[1], names[2], n == 4 ? ", " : "",
	                  n == 4 ? names[3] : "");
}

static int versions(struct options *o, const char *text, struct err *e)
{
	struct text rest = text_of(text), part;

	while (text_split(&rest, ',', &part)) {
		if (text_is(part, "1.2")) {
			o->tls12 = true;
		} else if (text_is(part, "1.3")) {
			o->tls13 = true;
		} else {
			err_set(e, "--tls is \"%s\"", text);
			return err_remedy(e, "give 1.2, 1.3, or both: --tls 1.2,1.3");
		}
	}
	return 0;
}

static int percent(struct options *o, const char *text, struct err *e)
{
	char *end;

	o->allow_loss = strtod(text, &end);
	if (end == text || *end != '\0' || !(o->allow_loss >= 0 && o->allow_loss <= 100)) {
		err_set(e, "--allow-loss is \"%s\"", text);
		return err_remedy(e, "give a number from 0 to 100");
	}
	return 0;
}

/* HOST, HOST:PORT, [V6], [V6]:PORT. Without a port *port stays as it is. */
static int host_port(const char *s, size_t n, char host[static 256], char port[static 6], struct err *e)
{
	struct text t = { s, n }, h = t, p = { NULL, 0 };
	const char *end = memchr(s, ']', n);
	uint64_t value;

	if (t.n > 0 && t.p[0] == '[' && end) {
		h = (struct text){ t.p + 1, (size_t)(end - t.p) - 1 };
		p = (struct text){ end + 1, (size_t)(t.p + t.n - end) - 1 };
		if (p.n > 0 && *p.p != ':')
			return err_set(e, "\"%.*s\" is no address with a port", (int)t.n, t.p);
	} else if ((end = memchr(s, ':', n)) != NULL) {
		h.n = (size_t)(end - t.p);
		p = (struct text){ end, t.n - h.n };
	}
	if (h.n == 0 || h.n >= 256)
		return err_set(e, "\"%.*s\" names no host", (int)t.n, t.p);
	if (p.n > 0) {
		if (text_u64((struct text){ p.p + 1, p.n - 1 }, 65535, &value) < 0 || value == 0) {
			err_set(e, "the port in \"%.*s\" is no number from 1 to 65535", (int)t.n, t.p);
			return err_remedy(e, "write HOST:PORT; an IPv6 address stands in brackets");
		}
		snprintf(port, 6, "%u", (unsigned)value);
	}
	memcpy(host, h.p, h.n);
	host[h.n] = '\0';
	return 0;
}

static int url(struct options *o, const char *s, struct err *e)
{
	static const char scheme[] = "https://";
	const char *authority = s + sizeof scheme - 1, *path;
	size_t n;

	o->url = s;
	strcpy(o->port, "443");
	if (strncmp(s, scheme, sizeof scheme - 1) != 0) {
		err_set(e, "\"%s\" is no address of the form https://HOST[:PORT]/PATH", s);
		return err_remedy(e, "this program measures TLS; for plain HTTP use another");
	}
	path = authority + strcspn(authority, "/?#");
	if (host_port(authority, (size_t)(path - authority), o->host, o->port, e) < 0)
		return err_remedy(e, "write https://HOST[:PORT]/PATH");
	n = (size_t)snprintf(o->path, sizeof o->path, "%s%.*s", *path == '/' ? "" : "/",
	                     (int)strcspn(path, "#"), path);
	if (n >= sizeof o->path)
		return err_set(e, "the path is longer than %zu bytes", sizeof o->path - 1);
	for (const char *p = o->path; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f) {
			err_set(e, "the path has a space or a control character");
			return err_remedy(e, "write it as %%20, and so on");
		}
	}
	return 0;
}

/* What the options mean together. */
static int settle(struct options *o, bool time_given, struct err *e)
{
	bool version_given = o->tls12 || o->tls13;

	if (o->resume == RESUME_ID && o->tls13) {
		err_set(e, "--resume id does not go with --tls 1.3, which resumes by tickets only");
		return err_remedy(e, "leave --tls away, or use --resume ticket");
	}
	if (!version_given) {
		o->tls12 = true;
		o->tls13 = o->resume != RESUME_ID;
	}
	if (!o->to_host[0])
		memcpy(o->to_host, o->host, sizeof o->to_host);
	if (!o->to_port[0])
		memcpy(o->to_port, o->port, sizeof o->to_port);
	if (!o->name)
		o->name = o->host;
	if (o->operations && !time_given)
		o->time_ms = 3600 * 1000;
	if (o->connections < o->processes) {
		err_set(e, "-j %u processes cannot share -c %u connections", o->processes, o->connections);
		return err_remedy(e, "give each process at least one connection");
	}
	if (o->operations && o->operations < o->processes) {
		err_set(e, "-j %u processes cannot share -n %llu operations", o->processes,
		        (unsigned long long)o->operations);
		return err_remedy(e, "give each process at least one operation");
	}
	if (o->resume == RESUME_NONE && o->sessions) {
		err_set(e, "--sessions does not go with --resume none");
		return err_remedy(e, "leave one of them away");
	}
	if (o->resume != RESUME_NONE && !o->sessions)
		o->sessions = o->connections;
	if (o->resume != RESUME_NONE && o->sessions < o->processes) {
		err_set(e, "-j %u processes cannot share --sessions %u", o->processes, o->sessions);
		return err_remedy(e, "give each process at least one session");
	}
	return 0;
}

static int one_option(struct options *o, int c, char **argv, bool *time_given, struct err *e)
{
	int n;

	switch (c) {
	case 'c': return small("-c", optarg, 20000, &o->connections, e);
	case 'j': return small("-j", optarg, 64, &o->processes, e);
	case 'n': return whole_number("-n", optarg, 1000000000000, &o->operations, e);
	case 'r': return whole_number("-r", optarg, 1000000000, &o->requests, e);
	case 't': *time_given = true; return duration("-t", optarg, 604800, &o->time_ms, e);
	case 'q': o->quiet = true; return 0;
	case 'h': o->help = true; return 0;
	case OPT_RESUME:
		if ((n = word("--resume", optarg, resume_names, 4, e)) >= 0)
			o->resume = (enum resume)n;
		return n < 0 ? -1 : 0;
	case OPT_ORDER:
		if ((n = word("--order", optarg, order_names, 3, e)) >= 0)
			o->order = (enum order)n;
		return n < 0 ? -1 : 0;
	case OPT_TLS: return versions(o, optarg, e);
	case OPT_SESSIONS: return small("--sessions", optarg, 1000000, &o->sessions, e);
	case OPT_RATE: return whole_number("--rate", optarg, 1000000, &o->rate, e);
	case OPT_TIMEOUT: return duration("--timeout", optarg, 3600, &o->timeout_ms, e);
	case OPT_CONNECT:
		n = host_port(optarg, strlen(optarg), o->to_host, o->to_port, e);
		return n < 0 ? err_remedy(e, "write --connect HOST:PORT") : 0;
	case OPT_SNI: o->name = optarg; return 0;
	case OPT_CA: o->ca = optarg; return 0;
	case OPT_NO_CHECK: o->any_name = true; return 0;
	case OPT_INSECURE: o->insecure = true; return 0;
	case OPT_ALLOW_LOSS: return percent(o, optarg, e);
	case OPT_JSON: o->json = true; return 0;
	case ':':
		err_set(e, "the option %s needs a value", argv[optind - 1]);
		break;
	default:
		err_set(e, "there is no option %s", argv[optind - 1]);
	}
	return err_remedy(e, "bulkhead-bench --help lists the options");
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	bool time_given = false;
	int c;

	*o = (struct options){ .connections = 8, .processes = 1, .requests = 1, .time_ms = 10000, .timeout_ms = 10000 };
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:j:n:r:t:qh", long_options, NULL)) != -1) {
		if (one_option(o, c, argv, &time_given, e) < 0)
			return -1;
		if (o->help)
			return 0;
	}
	if (argc - optind != 1) {
		err_set(e, argc == optind ? "no URL is given" : "more than one URL is given");
		return err_remedy(e, "bulkhead-bench [options] https://HOST[:PORT]/PATH; --help lists the options");
	}
	if (url(o, argv[optind], e) < 0)
		return -1;
	return settle(o, time_given, e);
}
