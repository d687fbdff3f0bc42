/*
 * explain.c - "bulkhead explain URL": takes a request through the phases of the configuration, without serving it, and says what
 * it meets: host, sections, rules, file, access, type, handler, fields, each with its line. Nothing is started and no running server is
 * asked; as root it looks at files with the rights of User.
 *
 * What the phases log while they run (every subject at its most talkative) is shown between the lines, so that one mechanism tells
 * both of a living server and here.
 */
#include <getopt.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "expr/expr.h"
#include "http/head.h"
#include "http/uri.h"
#include "log/log.h"
#include "log/target.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/host.h"
#include "request/phases.h"
#include "request/request.h"
#include "request/response.h"
#include "request/sections.h"
#include "tls/policy.h"

#define WORDS_MOST 64           /* of each option that may be repeated */

struct question {
	struct config_source source;
	const char *url, *method, *from;
	const char *fields[WORDS_MOST + 1];
	const char *defines[WORDS_MOST + 1], *before[WORDS_MOST + 1], *after[WORDS_MOST + 1];
	unsigned nfields, ndefines, nbefore, nafter;
};

/* The one request, and what it came to. */
static struct asked {
	struct client client;
	struct stream stream;
	struct request *first;
	int log;                        /* what the phases log */
	enum phase reached;
	unsigned status;                /* of the last phase of the last request that is not a look-up */
	bool head;                      /* a head was made */
	const char *file;               /* the name that was told last */
} asked;

/* ------------------------------------------------------------------------------------------------ printing */

static void line(unsigned depth, const char *title, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void line(unsigned depth, const char *title, const char *fmt, ...)
{
	va_list ap;

	printf("%*s%-*s ", (int)(depth * 4), "", 12, title);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static const char *at(const struct conf_pos *pos)
{
	static char text[2][1024];
	static unsigned i;

	i = !i;
	if (!pos || !pos->file)
		return "not written anywhere: the default";
	snprintf(text[i], sizeof text[i], "%s:%u", pos->file, pos->line);
	return text[i];
}

/* A message without what the command line and every message of a client begin with. */
static const char *bare(const char *l)
{
	static const char *const prefixes[] = { "bulkhead: ", "[client " };

	for (unsigned i = 0; i < 2; i++) {
		size_t n = strlen(prefixes[i]);
		if (strncmp(l, prefixes[i], n) != 0)
			continue;
		l = i == 0 ? l + n : strchr(l, ']') ? strchr(l, ']') + 2 : l;
	}
	return l;
}

/* What was logged since the last time, a line each. */
static void print_log(unsigned depth)
{
	char text[65536];
	ssize_t n = pread(asked.log, text, sizeof text - 1, 0);
	char *rest = text;

	if (n <= 0)
		return;
	text[n] = '\0';
	for (char *l = strsep(&rest, "\n"); l; l = strsep(&rest, "\n"))
		if (*l)
			line(depth, "  log", "%s", bare(l));
	if (ftruncate(asked.log, 0) == 0)
		lseek(asked.log, 0, SEEK_SET);
}

static const char *kind_of(const struct section *s)
{
	static const char *const names[] = {
		[SECTION_DIRECTORY] = "<Directory", [SECTION_PROXY] = "<Proxy", [SECTION_FILES] = "<Files", [SECTION_LOCATION] = "<Location", [SECTION_IF] = "<If",
	};

	return s->kind == SECTION_IF && s->otherwise ? s->condition ? "<ElseIf" : "<Else" : names[s->kind];
}

static void print_sections(const struct request *r, unsigned depth)
{
	for (const struct section *const *s = r->applied; s && *s; s++) {
		const char *what = (*s)->condition ? expr_text((*s)->condition) : (*s)->pattern;

		if (!what || !*what)
			line(depth, "section", "%s at %s", (*s)->kind == SECTION_IF ? "<Else>" : "the per-directory file", at(&(*s)->pos));
		else
			line(depth, "section", "%s%s %s> at %s", kind_of(*s), (*s)->regex ? "Match" : "", what, at(&(*s)->pos));
	}
}

static void print_file(const struct request *r, unsigned depth)
{
	asked.file = r->filename;
	if (!r->filename)
		return;
	if (!r->found)
		line(depth, "file", "%s is not there%s%s", r->filename, r->path_info ? "; behind it: " : "", r->path_info ? r->path_info : "");
	else if (S_ISDIR(r->st.st_mode))
		line(depth, "folder", "%s", r->filename);
	else
		line(depth, "file", "%s, %lld bytes, mode %04o%s%s", r->filename, (long long)r->st.st_size, (unsigned)r->st.st_mode & 07777,
		     r->path_info ? "; behind it: " : "", r->path_info ? r->path_info : "");
}

static void print_type(const struct request *r, unsigned depth)
{
	line(depth, "type", "%s%s%s%s%s%s%s", r->type ? r->type : "none", r->charset ? "; charset " : "", r->charset ? r->charset : "",
	     r->encoding ? "; coding " : "", r->encoding ? r->encoding : "", r->language ? "; language " : "", r->language ? r->language : "");
}

/* ------------------------------------------------------------------------------------------------ phases */

static void print_phase(const struct request *r, enum phase p, unsigned depth)
{
	switch (p) {
	case PHASE_HOST:
		line(depth, "host", "%s, %s%s", r->host->name && *r->host->name ? r->host->name : "(without a name)",
		     r->host->pos.file ? "<VirtualHost> at " : "the main server", r->host->pos.file ? at(&r->host->pos) : "");
		break;
	case PHASE_URI:
		line(depth, "path", "%s%s%s", r->path ? r->path : "?", r->query ? "?" : "", r->query ? r->query : "");
		break;
	case PHASE_MAP:
		line(depth, "leads to", "%s (%s)", r->filename ? r->filename : "no file", r->mapped_at ? at(r->mapped_at) : "DocumentRoot");
		break;
	case PHASE_DIRECTORY:
		print_sections(r, depth);
		print_file(r, depth);
		break;
	case PHASE_ACCESS:
		line(depth, "access", "%s", r->asks_user ? "for known users" : r->refused ? r->refused : "granted");
		break;
	case PHASE_AUTHENTICATION:
		if (r->user)
			line(depth, "user", "%s (%s)", r->user, r->auth_type ? r->auth_type : "of the TLS connection");
		break;
	case PHASE_TYPE:
		print_type(r, depth);
		break;
	case PHASE_HANDLER:
		if (r->index || (r->filename && asked.file != r->filename))     /* an index, a fallback */
			print_file(r, depth);
		line(depth, "handler", "%s", r->handler ? r->handler->name : "none");
		break;
	default:
		break;
	}
}

static void watch(const struct request *r, enum phase p, unsigned status)
{
	unsigned depth = r->lookups;

	if (r->quiet)
		return;
	if (p == PHASE_REWRITE_HOST && (r->parent || r->original))
		line(depth, r->parent ? "look-up" : "redirected", "%s%s%s", r->path, r->query ? "?" : "", r->query ? r->query : "");
	print_log(depth);
	if (status == 0 || (p == PHASE_ACCESS && r->refused))
		print_phase(r, p, depth);
	if (status == PHASE_WAIT)
		line(depth, phase_name(p), "depends on the name service, a password or a certificate, which are not asked for here");
	else if (status && status != PHASE_ANSWERED)
		line(depth, phase_name(p), "ends it with %u %s", status, http_phrase(status));
	if (!r->parent) {
		asked.reached = p;
		asked.status = status;
	}
}

/* ------------------------------------------------------------------------------------------------ the client and the stream */

static struct text variable(struct client *c, const char *name, struct arena *a)
{
	(void)a;
	if (!c->secure)
		return (struct text){ NULL, 0 };
	if (strcmp(name, "HTTPS") == 0)
		return TEXT("on");
	return strcmp(name, "SSL_TLS_SNI") == 0 ? c->sni : (struct text){ NULL, 0 };
}

static const struct client_ops client_ops = { .variable = variable };

static int head(struct stream *s)
{
	const struct request *r = s->request;
	const struct fields *all[] = { &r->out, &r->always };

	asked.head = true;
	print_log(0);
	if (r->mapped_at && fields_get(&r->out, "Location").p)
		line(0, "redirect", "by the line at %s", at(r->mapped_at));
	line(0, "answer", "%u %s", r->status, http_phrase(r->status));
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < all[k]->n; i++)
			line(0, "field", "%.*s: %.*s", (int)all[k]->at[i].name.n, all[k]->at[i].name.p, (int)all[k]->at[i].value.n, all[k]->at[i].value.p);
	return 0;
}

static ssize_t taken(struct stream *s, const struct iovec *iov, int n)
{
	ssize_t all = 0;

	(void)s;
	for (int i = 0; i < n; i++)
		all += (ssize_t)iov[i].iov_len;
	return all;
}

static int no_file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	(void)s;
	(void)offset;
	(void)length;
	close(fd);
	return 0;
}

static void nothing(struct stream *s) { (void)s; }
static void no_read(struct stream *s, bool on) { (void)s; (void)on; }
static void aborted(struct stream *s, const char *reason) { (void)s; line(0, "answer", "broken off: %s", reason); }

static const struct stream_ops stream_ops = { .head = head, .write = taken, .file = no_file, .end = nothing, .read = no_read, .abort = aborted };

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

/* Reads the head as a client would send it. NULL after a complaint. */
static struct request *request_of(const struct config *cfg, const struct question *q, const struct uri *u, const char *authority)
{
	struct head_limits limits = { 65535, 65535, WORDS_MOST + 4 };
	struct request_head in = { 0 };
	struct request *r = request_new(arena_new(0));
	enum head_result result;
	size_t used;
	char *text;

	text = arena_printf(r->arena, "%s %.*s%s%.*s HTTP/1.1\r\nHost: %s\r\n", q->method, (int)u->path.n, u->path.p, u->query.p ? "?" : "",
			    (int)u->query.n, u->query.p ? u->query.p : "", authority);
	for (unsigned i = 0; i < q->nfields && text; i++)
		text = arena_printf(r->arena, "%s%s\r\n", text, q->fields[i]);
	text = text ? arena_printf(r->arena, "%s\r\n", text) : NULL;
	if (!text)
		return NULL;
	fields_init(&in.fields, r->arena);
	result = head_parse_request(text, strlen(text), &limits, &in, &used);
	if (result != HEAD_DONE) {
		complain("that is no request", in.reason);
		return NULL;
	}
	r->stream = &asked.stream;
	r->client = &asked.client;
	r->site = cfg->site;
	r->line = in.line;
	r->method = in.method;
	r->method_id = in.method_id;
	r->target = in.target;
	r->major = in.major;
	r->minor = in.minor;
	r->in = in.fields;
	r->keepalive = r->explained = true;
	clock_gettime(CLOCK_REALTIME, &r->received);
	asked.stream = (struct stream){ .ops = &stream_ops, .request = r };
	return r;
}

/* Who asks, over which connection: the TLS host is the one that the name in the handshake would choose. */
static int connect_client(const struct config *cfg, const struct question *q, const struct uri *u, unsigned port, bool secure)
{
	struct client *c = &asked.client;
	struct addr local;

	if (!local_address(cfg, port, &local)) {
		char number[16];
		snprintf(number, sizeof number, "%u", port);
		return complain("no Listen of this configuration names the port", number);
	}
	*c = (struct client){ .ops = &client_ops, .local = local, .secure = secure, .id = 1, .requests = 1 };
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

/* ------------------------------------------------------------------------------------------------ the answer */

/* What would be sent, as far as it is known without running the handler. */
static void answer(struct request *r)
{
	if (asked.head)                         /* a phase has answered: a redirect, most likely */
		return;
	if (asked.status == PHASE_WAIT)
		return;
	if (asked.status) {
		response_error(r, asked.status);
		return;
	}
	if (r->handler && strcmp(r->handler->name, "default-handler") == 0) {
		r->handler->start(r);           /* files: nothing is sent, and nothing else happens */
		return;
	}
	line(0, "answer", "is made by the handler %s, which is not run here; to a success are added:", r->handler ? r->handler->name : "?");
	response_start(r);
}

/* All that the phases log goes into a file of this process. */
static void listen_to_log(const struct config *cfg)
{
	static struct log_settings settings;

	asked.log = memfd_create("explain", MFD_CLOEXEC);
	log_settings_init(&settings, LOG_L_TRACE8);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = asked.log, .plain = true }, &settings);
	for (struct host *h = cfg->site->main; h; h = h == cfg->site->main ? cfg->site->hosts : h->next) {
		struct log_host *logs = host_config(h, &log_module);
		memset(logs->settings.level, LOG_L_TRACE8, sizeof logs->settings.level);
	}
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
	struct uri u;
	char authority[512];
	struct text host, port = { NULL, 0 };
	uint64_t number;
	bool secure;
	struct request *r;

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
	if (connect_client(cfg, q, &u, (unsigned)number, secure) != 0 || !(r = request_of(cfg, q, &u, authority)))
		return 1;
	listen_to_log(cfg);
	drop_rights(cfg);
	phases_watch(watch);
	line(0, "request", "%.*s from %s", (int)r->line.n, r->line.p, q->from);
	phases_run(r);
	print_log(0);
	answer(asked.stream.request);
	print_log(0);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the command line */

static int usage(void)
{
	fprintf(stderr, "Usage: bulkhead explain [-f file] [-d directory] [-D name] [-C directive] [-c directive]\n"
			"                        [--method name] [--header \"Name: value\"] [--from address] URL\n"
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
					       { "from", required_argument, NULL, 'F' }, { "help", no_argument, NULL, 'h' }, { 0 } };
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
		cli_print_reports(cfg, CLI_ERRORS_AND_WARNINGS);
		return complain("this configuration has errors: nothing is explained", NULL);
	}
	return explain(cfg, &q);
}
