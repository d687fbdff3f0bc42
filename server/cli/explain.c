/*
 * explain.c - "bulkhead explain URL": takes a request through the phases of the configuration, without serving it, and says what
 * it meets (handler/tell.h). Nothing is started and no running server is asked; as root it looks at files with the rights of User.
 */
#include <getopt.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "handler/tell.h"
#include "http/uri.h"
#include "log/log.h"
#include "log/target.h"
#include "request/host.h"
#include "tls/policy.h"

#define WORDS_MOST 64           /* of each option that may be repeated */

struct question {
	struct config_source source;
	const char *url, *method, *from;
	const char *fields[WORDS_MOST + 1];
	const char *defines[WORDS_MOST + 1], *before[WORDS_MOST + 1], *after[WORDS_MOST + 1];
	unsigned nfields, ndefines, nbefore, nafter;
	bool directives;
};

/* ------------------------------------------------------------------------------------------------ the request */

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "bulkhead explain: %s%s%s\n", what, word ? ": " : "", word ? word : "");
	return 1;
}

/* An address of this server with that port, such as Listen names. */
static bool local_address(const struct config *cfg, unsigned port, struct addr *local)
{
	for (unsigned i = 0; i < cfg->process->nlistens; i++) {
		const struct addr *a = &cfg->process->listens[i].addr;

		if (addr_port(a) != port)
			continue;
		*local = *a;
		if (addr_is_any(a))
			addr_parse(local, a->sa.sa_family == AF_INET6 ? "::1" : "127.0.0.1", (uint16_t)port);
		return true;
	}
	return false;
}

/* Who asks, over which connection: the TLS host is the one that the name in the handshake would choose. */
static int connect_client(const struct config *cfg, const struct question *q, const struct uri *u, unsigned port, bool secure, struct client *c)
{
	struct addr local;

	if (!local_address(cfg, port, &local)) {
		char number[16];
		snprintf(number, sizeof number, "%u", port);
		return complain("no Listen of this configuration names the port", number);
	}
	*c = (struct client){ .ops = &tell_client_ops, .local = local, .secure = secure, .id = 1, .requests = 1 };
	if (addr_parse(&c->arrived, q->from, 40000) != 0)
		return complain("--from takes a numeric address, not", q->from);
	c->connected = c->arrived;
	client_is(c, &c->arrived);
	c->about.peer = &c->peer;
	if (secure) {
		c->sni = u->host;
		c->tls_host = host_by_name(cfg->site, &local, u->host);
		if (!tls_policy_enabled(host_config(c->tls_host, &tls_module)))
			c->tls_host = host_default(cfg->site, &local);
		if (!tls_policy_enabled(host_config(c->tls_host, &tls_module)))
			return complain("no virtual host of that address has \"SSLEngine on\"", q->url);
	}
	return 0;
}

static void print_line(void *ctx, unsigned depth, const char *title, const char *text)
{
	(void)ctx;
	printf("%*s%-*s %s\n", (int)(depth * 4), "", 12, title, text);
}

static void drop_rights(const struct config *cfg)
{
	const struct process_settings *p = cfg->process;

	if (geteuid() != 0 || p->uid == (uid_t)-1)
		return;
	if (setgroups(0, NULL) != 0 || setgid(p->gid) != 0 || setuid(p->uid) != 0)
		fprintf(stderr, "bulkhead explain: files are looked at as root, not as %s: rights may differ\n", p->user ? p->user : "User");
}

static int explain(struct config *cfg, const struct question *q)
{
	static struct client client;
	static struct tell tell = { .line = print_line };
	struct uri u;
	char authority[512];
	struct text host, port = { NULL, 0 };
	uint64_t number;
	const char *why;
	bool secure;

	if (uri_parse(text_of(q->url), HTTP_GET, &u) != 0 || u.form != URI_ABSOLUTE)
		return complain("an address such as https://www.example.com/path is wanted, not", q->url);
	secure = text_is_nocase(u.scheme, "https");
	host = u.host;
	port = u.port;
	number = secure ? 443 : 80;
	if (port.n && text_u64(port, 65535, &number) != 0)
		return complain("that is no port", q->url);
	snprintf(authority, sizeof authority, memchr(host.p, ':', host.n) ? "[%.*s]%s%.*s" : "%.*s%s%.*s", (int)host.n, host.p, port.n ? ":" : "",
		 (int)port.n, port.n ? port.p : "");
	if (connect_client(cfg, q, &u, (unsigned)number, secure, &client) != 0)
		return 1;
	drop_rights(cfg);
	tell.tree = q->directives ? cfg->tree : NULL;
	why = tell_request(&tell, &(struct tell_question){ .site = cfg->site, .client = &client, .method = q->method, .authority = authority, .path = u.path,
							   .query = u.query, .fields = q->fields });
	return why ? complain("that is no request", why) : 0;
}

/* ------------------------------------------------------------------------------------------------ the command line */

static int usage(void)
{
	fprintf(stderr, "Usage: bulkhead explain [-f file] [-d directory] [-D name] [-C directive] [-c directive]\n"
			"                        [--method name] [--header \"Name: value\"] [--from address] [--directives] URL\n"
			"Says what a request for that address meets in the configuration, without serving it.\n");
	return 1;
}

static int keep(const char **list, unsigned *n, const char *word)
{
	if (*n == WORDS_MOST)
		return complain("an option is given more than 64 times", word);
	list[(*n)++] = word;
	return 0;
}

static int parse(struct question *q, int argc, char **argv)
{
	static const struct option longs[] = { { "method", required_argument, NULL, 'm' }, { "header", required_argument, NULL, 'H' },
					       { "from", required_argument, NULL, 'F' }, { "directives", no_argument, NULL, 'L' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	int c, rc = 0;

	opterr = 0;
	while (rc == 0 && (c = getopt_long(argc, argv, ":f:d:D:C:c:h", longs, NULL)) != -1) {
		switch (c) {
		case 'f': q->source.file = optarg; break;
		case 'd': q->source.root = optarg; break;
		case 'D': rc = keep(q->defines, &q->ndefines, optarg); break;
		case 'C': rc = keep(q->before, &q->nbefore, optarg); break;
		case 'c': rc = keep(q->after, &q->nafter, optarg); break;
		case 'm': q->method = optarg; break;
		case 'H': rc = keep(q->fields, &q->nfields, optarg); break;
		case 'F': q->from = optarg; break;
		case 'L': q->directives = true; break;
		default: rc = usage();
		}
	}
	if (rc == 0 && optind + 1 != argc)
		return usage();
	q->url = argv[argc - 1];
	return rc;
}

int explain_main(int argc, char **argv)
{
	static struct question q = { .method = "GET", .from = "127.0.0.1" };
	struct config *cfg;

	if (parse(&q, argc, argv) != 0)
		return 1;
	q.source.defines = q.defines;
	q.source.before = q.before;
	q.source.after = q.after;
	cfg = config_read(&q.source);
	if (!cfg)
		return complain("out of memory while the configuration was read", NULL);
	if (cfg->errors) {
		dump_reports(cfg, DUMP_ERRORS_AND_WARNINGS);
		return complain("this configuration has errors: nothing is explained", NULL);
	}
	return explain(cfg, &q);
}
