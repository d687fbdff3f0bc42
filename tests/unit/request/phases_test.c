/*
 * phases.c: requests as they come off the wire, through every phase over real files, with a stream that keeps what is sent
 * and a small default handler of our own.
 */
#define SITE_HANDLERS
#include "site.h"
#include "modules.h"

#include <fcntl.h>
#include <unistd.h>

#include "log/target.h"
#include "request/handler.h"
#include "request/phases.h"
#include "request/response.h"
#include "request/sections.h"

static struct conf_module *const modules[] = { REQUEST_MODULES, NULL };

/* ---------------------------------------------------------------------------------------------- surroundings */

static char root[] = "/tmp/phases-XXXXXX";
static char sent[8192];
static size_t nsent;
static unsigned sent_status, ends, aborts;

static void handler_start(struct request *r)
{
	if (!r->found || r->path_info) {
		response_error(r, 404);
		return;
	}
	response_text(r, r->status, "text/plain", r->filename + strlen(root), strlen(r->filename + strlen(root)));
}

static const struct handler default_handler = { .name = "default-handler", .start = handler_start };

/* handler/ provides these in the server. */
const struct handler *handler_find(const char *name)
{
	return strcmp(name, "default-handler") == 0 ? &default_handler : NULL;
}

static int take_head(struct stream *s)
{
	sent_status = s->request->status;
	s->request->head_sent = true;
	return 0;
}

static ssize_t take_body(struct stream *s, const struct iovec *iov, int n)
{
	ssize_t total = 0;

	(void)s;
	for (int i = 0; i < n; i++) {
		size_t room = sizeof sent - 1 - nsent, part = iov[i].iov_len < room ? iov[i].iov_len : room;
		memcpy(sent + nsent, iov[i].iov_base, part);
		nsent += part;
		sent[nsent] = '\0';
		total += (ssize_t)iov[i].iov_len;
	}
	return total;
}

static void take_end(struct stream *s)
{
	(void)s;
	ends++;
}

static void take_abort(struct stream *s, const char *reason)
{
	(void)s, (void)reason;
	aborts++;
}

static const struct stream_ops ops = { .head = take_head, .write = take_body, .end = take_end, .abort = take_abort };

static unsigned refuses(struct client *c, const struct host *h)
{
	(void)c;
	return strcmp(h->name, "strict.test") == 0 ? 421 : 0;
}

static const struct client_ops client_ops = { .refuses = refuses };

/* The text of a request, '\n' standing for CRLF, through the phases. Returns the last request of its chain. */
static struct request *send_request(struct world *w, struct stream *stream, const char *text)
{
	static const struct head_limits limits = { 8190, 8190, 100 };
	struct arena *a = arena_new(8192);
	struct request *r = request_new(a);
	char *wire = arena_alloc(a, 2 * strlen(text) + 5), *to = wire;
	struct request_head head = { .line = { NULL, 0 } };
	size_t used;

	for (; *text; text++) {
		if (*text == '\n')
			*to++ = '\r';
		*to++ = *text;
	}
	memcpy(to, "\r\n", 3);
	fields_init(&head.fields, a);
	if (head_parse_request(wire, (size_t)(to + 2 - wire), &limits, &head, &used) != HEAD_DONE) {
		print_error("not a head: %s (%s)\n", wire, head.reason);
		fail();
	}
	*stream = (struct stream){ .ops = &ops, .request = r };
	nsent = 0;
	sent[0] = '\0';
	sent_status = ends = aborts = 0;
	w->client.ops = &client_ops;
	r->stream = stream;
	r->client = &w->client;
	r->site = w->site;
	r->host = host_default(w->site, &w->client.local);
	r->line = head.line;
	r->method = head.method;
	r->method_id = head.method_id;
	r->target = head.target;
	r->major = head.major;
	r->minor = head.minor;
	r->in = head.fields;
	r->keepalive = true;
	if (fields_get(&r->in, "Content-Length").p) {
		r->has_body = true;
		text_u64(fields_get(&r->in, "Content-Length"), UINT64_MAX, &r->body_length);
	}
	phases_run(r);
	assert_true(ends + aborts == 1);
	return stream->request;
}

/* ---------------------------------------------------------------------------------------------- tests */

#define H "\nHost: one.test\n"

static const char conf[] =
	"ServerName main.test\nDocumentRoot \"ROOT/htdocs\"\n"
	"<VirtualHost *:80>\n ServerName one.test\n ErrorDocument 404 /sorry.html\n ErrorDocument 403 \"closed\"\n ErrorDocument 410 /none.html\n"
	" ErrorDocument 413 /loop/\n"
	" <Location /closed>\n  Require all denied\n </Location>\n"
	" <Location /docs/index.html>\n  SetEnvIf Request_Method . in_index\n </Location>\n"
	" <Location /secret/index.html>\n  Require all denied\n </Location>\n"
	" <Location /small>\n  LimitRequestBody 10\n </Location>\n"
	" <Location /byenv>\n  SetEnvIf X-Key \"^open$\" key\n  Require env key\n </Location>\n"
	" Redirect gone /gone\n TraceEnable on\n</VirtualHost>\n"
	"<VirtualHost *:80>\n ServerName two.test\n DocumentRoot \"ROOT/two\"\n TraceEnable off\n AllowEncodedSlashes On\n</VirtualHost>\n"
	"<VirtualHost *:80>\n ServerName strict.test\n</VirtualHost>\n";

static const struct row { const char *text; unsigned status; const char *body; } rows[] = {
	{ "GET /a.txt HTTP/1.1" H, 200, "/htdocs/a.txt" },
	{ "GET /a.txt?q=1 HTTP/1.1" H, 200, "/htdocs/a.txt" },
	{ "GET /a.txt HTTP/1.1\nHost: two.test:99\n", 200, "/two/a.txt" },
	{ "GET /a.txt HTTP/1.1\nHost: TWO.test.\n", 200, "/two/a.txt" },
	{ "GET http://two.test/a.txt HTTP/1.1" H, 200, "/two/a.txt" }, { "GET HTTPS://TWO.test:1 HTTP/1.1" H, 200, "/two/index.html" },
	{ "GET ftp://two.test/a.txt HTTP/1.1" H, 400, NULL },
	{ "GET /a.txt HTTP/1.0\n", 200, "/htdocs/a.txt" }, { "GET /a.txt HTTP/1.1\n", 400, NULL },
	{ "GET /a.txt HTTP/1.1\nHost: a\nHost: a\n", 400, NULL }, { "GET /a.txt HTTP/1.0\nHost: a\nHost: b\n", 400, NULL },
	{ "GET /a.txt HTTP/1.1\nHost: a b\n", 400, NULL }, { "GET /a.txt HTTP/1.1\nHost: a/b\n", 400, NULL },
	{ "GET /a.txt HTTP/1.1\nHost: [::1]:99\n", 200, "/htdocs/a.txt" }, { "GET /a.txt HTTP/1.1\nHost:\n", 400, NULL },
	{ "GET /a.txt HTTP/1.0\nHost:\n", 200, "/htdocs/a.txt" }, { "GET /a.txt HTTP/1.1\nHost: a:\n", 400, NULL },
	{ "GET http://two.test/a.txt HTTP/1.1\nHost:\n", 200, "/two/a.txt" },
	{ "GET a.txt HTTP/1.1" H, 400, NULL }, { "GET * HTTP/1.1" H, 400, NULL }, { "CONNECT one.test:443 HTTP/1.1" H, 405, NULL },
	{ "GET /%2e%2e/a.txt HTTP/1.1" H, 400, NULL }, { "GET /%zz HTTP/1.1" H, 400, NULL }, { "GET /docs/../a.txt HTTP/1.1" H, 200, "/htdocs/a.txt" },
	{ "GET /docs%2Fx HTTP/1.1" H, 404, NULL }, { "GET /sub%2Fb.txt HTTP/1.1\nHost: two.test\n", 200, "/two/sub/b.txt" },
	{ "GET /a.txt HTTP/1.1" H "Expect: wonders\n", 417, NULL }, { "GET /a.txt HTTP/1.1" H "Expect: 100-Continue\n", 200, "/htdocs/a.txt" },
	{ "GET /a.txt HTTP/1.1" H "Expect: 100-continue, wonders\n", 417, NULL }, { "GET /a.txt HTTP/1.0" H "Expect: wonders\n", 200, "/htdocs/a.txt" },
	{ "GET /none HTTP/1.1" H, 404, "/htdocs/sorry.html" },                  /* the document, with the status */
	{ "GET /a.txt/more HTTP/1.1" H, 404, "/htdocs/sorry.html" },
	{ "GET /closed/none HTTP/1.1" H, 403, "closed" },                       /* access comes before 404 */
	{ "GET /gone HTTP/1.1" H, 410, NULL },                                  /* its document is missing: still 410 */
	{ "GET /docs/ HTTP/1.1" H, 200, "/htdocs/docs/index.html" }, { "GET /docs HTTP/1.1" H, 301, NULL },
	{ "GET /secret/ HTTP/1.1" H, 403, "closed" },                           /* the index file's own rules hold */
	{ "GET /byenv HTTP/1.1" H "X-Key: open\n", 404, NULL }, { "GET /byenv HTTP/1.1" H, 403, "closed" },
	{ "POST /small/x HTTP/1.1" H "Content-Length: 11\n", 413, NULL }, { "POST /small/x HTTP/1.1" H "Content-Length: 10\n", 404, NULL },
	{ "OPTIONS * HTTP/1.1" H, 200, "" }, { "TRACE /x HTTP/1.1\nHost: two.test\n", 405, NULL }, { "TRACE /x HTTP/1.1" H "Content-Length: 3\n", 413, NULL },
	{ "TRACE /x HTTP/1.1" H "Cookie: a=b\nX-A: b\n", 200, "TRACE /x HTTP/1.1\r\nHost: one.test\r\nX-A: b\r\n\r\n" },
};

static char *with_root(const char *text)
{
	char *out = calloc(1, strlen(text) * 8 + 1), *to = out;

	for (; *text; text++) {
		if (strncmp(text, "ROOT", 4) == 0) {
			to = stpcpy(to, root);
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	return out;
}

static struct world *world_of(const char *text)
{
	char *filled = with_root(text);
	struct world *w = world_good(modules, filled);

	free(filled);
	return w;
}

static void requests_find_their_way(void **state)
{
	struct world *w = world_of(conf);
	struct stream stream;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct request *r = send_request(w, &stream, rows[i].text);
		if (sent_status != rows[i].status || (rows[i].body && strcmp(sent, rows[i].body) != 0)) {
			print_error("%s\n%u \"%s\", not %u \"%s\"\n", rows[i].text, sent_status, sent, rows[i].status, rows[i].body ? rows[i].body : "*");
			fail();
		}
		arena_free(r->arena);
	}
	world_free(w);
}

static void another_tls_policy_is_misdirected(void **state)
{
	struct world *w = world_of(conf);
	struct stream stream;
	struct request *r;

	(void)state;
	w->client.secure = true;
	r = send_request(w, &stream, "GET /a.txt HTTP/1.1\nHost: strict.test\n");
	assert_int_equal(sent_status, 421);
	arena_free(r->arena);
	r = send_request(w, &stream, "GET /a.txt HTTP/1.1" H);
	assert_int_equal(sent_status, 200);
	arena_free(r->arena);
	w->client.tls_host = w->site->hosts->next;      /* no Host at all: the host of the handshake */
	r = send_request(w, &stream, "GET /a.txt HTTP/1.0\n");
	assert_string_equal(sent, "/two/a.txt");
	arena_free(r->arena);
	world_free(w);
}

static void an_error_document_knows_where_it_came_from(void **state)
{
	struct world *w = world_of("SetEnvIf Request_URI (.*) was=$1\nErrorDocument 404 \"/sorry.html?why=404\"\nDocumentRoot \"ROOT/htdocs\"\n");
	struct stream stream;
	struct request *r = send_request(w, &stream, "HEAD /none?x=y HTTP/1.1" H);

	(void)state;
	assert_int_equal(sent_status, 404);
	assert_ptr_equal(r->original->original, NULL);
	assert_int_equal(r->redirects, 1);
	assert_string_equal(r->query, "why=404");
	assert_int_equal(r->method_id, HTTP_HEAD);
	assert_true(text_is(request_env(r, "REDIRECT_was"), "/none"));
	assert_true(text_is(request_env(r, "was"), "/sorry.html"));
	assert_true(text_is(request_env(r, "REDIRECT_STATUS"), "404"));
	assert_true(text_is(request_env(r, "REDIRECT_URL"), "/none"));
	assert_true(text_is(request_env(r, "REDIRECT_QUERY_STRING"), "x=y"));
	assert_true(text_is(request_env(r, "REDIRECT_REQUEST_METHOD"), "HEAD"));
	arena_free(r->arena);
	r = send_request(w, &stream, "POST /none HTTP/1.1" H "Content-Length: 5\n");
	assert_int_equal(r->method_id, HTTP_GET);
	assert_true(text_is(request_env(r, "REDIRECT_REQUEST_METHOD"), "POST"));
	assert_false(r->has_body);
	assert_int_equal(r->original->method_id, HTTP_POST);
	arena_free(r->arena);
	world_free(w);
}

static void redirects_inside_are_bounded(void **state)
{
	struct world *w = world_of("DocumentRoot \"ROOT/htdocs\"\nLimitInternalRecursion 4\nErrorDocument 500 /a.txt\n");
	struct stream stream;
	struct request *r = send_request(w, &stream, "GET /none HTTP/1.1" H);

	(void)state;
	assert_int_equal(sent_status, 404);
	r->head_sent = false;
	ends = 0;
	r->redirects = 4;
	phases_redirect(r, "/a.txt", 0);
	assert_int_equal(sent_status, 500);
	assert_ptr_equal(stream.request, r);
	r->redirects = 3;
	r->head_sent = false;
	r->query = "kept";
	phases_redirect(r, "/a.txt", 0);
	assert_int_equal(sent_status, 200);
	assert_int_equal(stream.request->redirects, 4);
	assert_string_equal(stream.request->query, "kept");
	arena_free(r->arena);
	world_free(w);
}

static void phases_have_names(void **state)
{
	(void)state;
	for (enum phase p = 0; p < PHASES; p++)
		assert_true(strlen(phase_name(p)) > 2);
	assert_string_equal(phase_name(PHASES), "?");
}

/* ---------------------------------------------------------------------------------------------- files */

static void put_file(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s", root, name);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static int make_files(void **state)
{
	static const char *const dirs[] = { "htdocs", "htdocs/docs", "htdocs/secret", "two", "two/sub" };
	static const char *const files[] = {
		"htdocs/a.txt", "htdocs/sorry.html", "htdocs/docs/index.html", "htdocs/secret/index.html", "two/a.txt", "two/index.html", "two/sub/b.txt",
	};
	char path[256];

	(void)state;
	if (!mkdtemp(root))
		return -1;
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", root, dirs[i]);
		if (mkdir(path, 0755) != 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		put_file(files[i]);
	return 0;
}

static int remove_files(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_find_their_way), cmocka_unit_test(another_tls_policy_is_misdirected),
		cmocka_unit_test(an_error_document_knows_where_it_came_from), cmocka_unit_test(redirects_inside_are_bounded), cmocka_unit_test(phases_have_names),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
