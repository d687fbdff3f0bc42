/*
 * rewrite_fuzz.c - fuzzes rules of rewriting (server/request/rewrite*.c): reading them and running them. An input is lines: the
 * target of a request, then a rule a line, or a condition where it begins with '?'. Holds:
 * - what is refused is explained;
 * - what goes on has a path (or a file's name) that begins with a slash, without ".." among its parts;
 * - a Location has no control characters and begins with a scheme;
 * - a query has none either.
 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "log/log.h"
#include "process/config.h"
#include "request/phases.h"
#include "rewrite/rule.h"

static void *env_alloc(void *ctx, size_t n)
{
	void *p = arena_zalloc(ctx, n);

	CHECK(p);
	return p;
}

static void env_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	(void)ctx, (void)severity, (void)pos, (void)remedy;
	CHECK(sentence && *sentence);
}

static int to_head(struct stream *s) { s->request->head_sent = true; return 0; }
static int to_file(struct stream *s, int fd, uint64_t offset, uint64_t length) { (void)s, (void)offset, (void)length; close(fd); return 0; }
static void to_end(struct stream *s) { (void)s; }
static void to_read(struct stream *s, bool on) { (void)s, (void)on; }
static void to_abort(struct stream *s, const char *reason) { (void)s; CHECK(reason); }

static ssize_t to_write(struct stream *s, const struct iovec *iov, int n)
{
	ssize_t all = 0;

	(void)s;
	for (int i = 0; i < n; i++)
		all += (ssize_t)iov[i].iov_len;
	return all;
}

static const struct stream_ops nowhere = { .head = to_head, .write = to_write, .file = to_file, .end = to_end, .read = to_read, .abort = to_abort };
static const struct client_ops nobody = { .variable = NULL };

static bool climbs(const char *path)
{
	for (const char *p = path; (p = strstr(p, "/..")); p += 3)
		if (p[3] == '/' || !p[3])
			return true;
	return false;
}

static bool has_controls(struct text t)
{
	for (size_t i = 0; i < t.n; i++)
		if ((unsigned char)t.p[i] < ' ' || t.p[i] == 0x7f)
			return true;
	return false;
}

/* The configuration of the lines behind the first. */
static struct site *read_site(struct arena *a, const char *lines, struct conf_env *env)
{
	static struct log_targets targets;
	static struct reading reading;
	struct conf_target target;
	const char *text = "ServerName h.test\nDocumentRoot /nonexistent\nRewriteEngine on\nRewriteMap lo int:tolower\nRewriteMap un int:unescape\n";
	struct site *site;

	for (const char *p = lines; *p;) {
		size_t n = strcspn(p, "\n");

		text = arena_printf(a, "%s%s %.*s\n", text, *p == '?' ? "RewriteCond" : "RewriteRule", (int)(n - (*p == '?')), p + (*p == '?'));
		CHECK(text);
		p += n + (p[n] == '\n');
	}
	targets = (struct log_targets){ .n = 0 };
	log_targets_use(&targets, a);
	conf_modules_number(config_modules);
	site = site_new(a, config_modules, env);
	reading = (struct reading){ .site = site, .host = site->main, .arena = a };
	target = (struct conf_target){ .host = site->main->config, .section = site->main->section, .owner = &reading };
	conf_apply(conf_read_text(text, "fuzz", env)->first, config_modules, CONF_SERVER, &target, env);
	if (env->errors || site_finish(site, env) != 0)
		return NULL;
	return site;
}

static void run(struct arena *a, struct site *site, const char *path, const char *query)
{
	static struct client client = { .ops = &nobody, .peer_text = "192.0.2.1" };
	struct request *r = request_new(a);
	struct stream stream = { .ops = &nowhere, .request = r };
	unsigned status;

	client.about.settings = NULL;           /* a look-up has left those of the former site */
	addr_parse(&client.peer, "192.0.2.1", 5555);
	addr_parse(&client.local, "127.0.0.1", 80);
	r->stream = &stream;
	r->client = &client;
	r->site = site;
	r->host = site->main;
	r->section = r->host->section;
	r->method = r->line = TEXT("GET");
	r->major = r->minor = 1;
	r->hostname = "h.test";
	r->path = path;
	r->query = query;
	r->phase = PHASE_REWRITE_HOST;
	status = rewrite_host(r);
	CHECK(status == 0 || status == PHASE_ANSWERED || (status >= 300 && status <= 599));
	if (status == 0) {
		CHECK(r->path[0] == '/' && !climbs(r->path));
		CHECK(!r->filename || (r->filename[0] == '/' && !climbs(r->filename)));
	} else if (status == PHASE_ANSWERED && r->status >= 300 && r->status < 400) {
		struct text where = fields_get(&r->out, "Location");
		CHECK(where.n && where.p[0] != '/' && !has_controls(where));
	}
	CHECK(!r->query || !has_controls(text_of(r->query)) || status >= 300 || query == r->query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct log_settings quiet = { .level = { [0 ... LOG_SUBJECTS - 1] = LOG_L_TRACE8 } };
	static int null = -1;
	struct arena *a = arena_new(65536);
	struct conf_env env = { .ctx = a, .alloc = env_alloc, .report = env_report, .root = "/nonexistent" };
	char *text = arena_strndup(a, (const char *)data, n), *lines, *query, *path = NULL;
	struct site *site;

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = null }, &quiet);
	lines = strchr(text, '\n');
	if (lines)
		*lines++ = '\0';
	query = strchr(text, '?');
	if (query)
		*query++ = '\0';
	if (lines && n < 8192 && uri_normalize(a, text_of(text), 0, &path) == URI_OK && path && !(query && has_controls(text_of(query)))) {
		site = read_site(a, lines, &env);
		if (site)
			run(a, site, path, query);
	}
	arena_free(a);
	return 0;
}
