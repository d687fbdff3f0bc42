/*
 * served.h - what the tests of request/ and handler/ share: a site from a text, a request from its bytes, and a stream that
 * records what would go to the client. Folders are real and temporary.
 *
 * SERVED_HANDLERS is defined by tests that link with handler/; the others get a handler that answers "ok".
 */
#ifndef BULKHEAD_TESTS_REQUEST_SERVED_H
#define BULKHEAD_TESTS_REQUEST_SERVED_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/head.h"
#include "log/log.h"
#include "request/openfiles.h"
#include "request/handler.h"
#include "request/host.h"
#include "request/phases.h"
#include "request/request.h"
#include "request/response.h"

#include "modules.h"

/* Modules of the room that is tested, each with a comma behind it. */
#ifndef SERVED_MORE_MODULES
#define SERVED_MORE_MODULES
#endif

static struct conf_module *const served_modules[] = { REQUEST_MODULES, SERVED_MORE_MODULES NULL };

struct served {
	struct arena *arena;
	struct conf_env env;
	struct site *site;
	char dir[64];           /* a temporary folder, for @DIR@ in the configuration */
	char said[16384];       /* reports, "E 3: sentence; remedy" */
	int log;                /* descriptor of a file that takes the messages */

	/* of the last request */
	struct arena *of_request;
	struct client client;
	struct stream stream;
	struct request *last;   /* of a chain of internal redirects */
	unsigned heads, ends;
	unsigned calls;        /* how often the filters asked to be called again */
	unsigned status;
	char head[8192];        /* "Name: value\n" in order */
	char body[65536];
	size_t n;
	size_t room;            /* what the stream accepts before writable() is needed; 0 = all */
	const char *aborted;
};

/* ---------------------------------------------------------------------------------------- the stream */

static struct served *served_of(struct stream *s)
{
	return (struct served *)(void *)((char *)s - offsetof(struct served, stream));
}

static int served_head(struct stream *s)
{
	struct served *v = served_of(s);
	struct request *r = s->request;
	struct buf b;

	v->heads++;
	r->head_sent = true;
	v->status = r->status;
	buf_init(&b, v->head, sizeof v->head);
	for (unsigned i = 0; i < r->out.n; i++)
		buf_printf(&b, "%.*s: %.*s\n", (int)r->out.at[i].name.n, r->out.at[i].name.p, (int)r->out.at[i].value.n, r->out.at[i].value.p);
	for (unsigned i = 0; i < r->always.n; i++)
		buf_printf(&b, "%.*s: %.*s\n", (int)r->always.at[i].name.n, r->always.at[i].name.p, (int)r->always.at[i].value.n,
			   r->always.at[i].value.p);
	if (r->length >= 0)
		buf_printf(&b, "Content-Length: %lld\n", (long long)r->length);
	assert_false(b.full);
	s->head_bytes = b.n;
	return 0;
}

static ssize_t served_write(struct stream *s, const struct iovec *iov, int n)
{
	struct served *v = served_of(s);
	size_t total = 0;

	assert_false(s->request->no_body);
	for (int i = 0; i < n; i++) {
		size_t take = iov[i].iov_len;

		if (v->room && take > v->room - total)
			take = v->room - total;
		assert_true(v->n + take < sizeof v->body);
		memcpy(v->body + v->n, iov[i].iov_base, take);
		v->n += take;
		total += take;
	}
	s->body_bytes += total;
	return (ssize_t)total;
}

static int served_file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	struct served *v = served_of(s);
	ssize_t got;

	assert_false(s->request->no_body);
	assert_true(v->n + length < sizeof v->body);
	got = pread(fd, v->body + v->n, length, (off_t)offset);
	assert_int_equal(got, length);
	v->n += length;
	s->body_bytes += length;
	openfile_close(fd);
	return 0;
}

static void served_end(struct stream *s)
{
	served_of(s)->ends++;
}

static void served_read(struct stream *s, bool on)
{
	(void)s;
	(void)on;
}

static void served_abort(struct stream *s, const char *reason)
{
	served_of(s)->aborted = reason;
}

static void served_again(struct stream *s, bool later)
{
	(void)later;
	served_of(s)->calls++;
}

static const struct stream_ops served_ops = {
	.head = served_head, .write = served_write, .file = served_file, .end = served_end, .read = served_read, .abort = served_abort, .again = served_again,
};

/* ---------------------------------------------------------------------------------------- the site */

static void *served_alloc(void *ctx, size_t n)
{
	void *p = arena_zalloc(((struct served *)ctx)->arena, n);

	if (!p)
		abort();
	return p;
}

static void served_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	struct served *v = ctx;
	size_t n = strlen(v->said);

	snprintf(v->said + n, sizeof(v->said) - n, "%c %u: %s%s%s\n", "EWN"[severity], pos ? pos->line : 0, sentence, remedy ? "; " : "",
		 remedy ? remedy : "");
}

static bool served_module(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return true;
}

static int served_open(void *ctx, const char *path)
{
	(void)ctx;
	return open(path, O_RDONLY | O_CLOEXEC);
}

static inline struct served *served_new(void)
{
	struct served *v = calloc(1, sizeof *v);
	char name[96];

	assert_non_null(v);
	v->arena = arena_new(0);
	assert_non_null(v->arena);
	strcpy(v->dir, "/tmp/bulkhead-request-XXXXXX");
	assert_non_null(mkdtemp(v->dir));
	assert_int_equal(chmod(v->dir, 0755), 0);
	snprintf(name, sizeof name, "%s/htdocs", v->dir);
	assert_int_equal(mkdir(name, 0755), 0);
	snprintf(name, sizeof name, "%s/log", v->dir);
	v->log = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(v->log >= 0);
	return v;
}

/* `text` with @DIR@ replaced; the number of errors. */
static inline unsigned served_configure(struct served *v, const char *text)
{
	static struct reading reading;
	struct conf_target target;
	struct log_sink sink = { .kind = LOG_SINK_FD, .fd = v->log };
	static struct log_settings settings;
	struct conf_tree *tree;
	char whole[16384];
	struct buf b;

	buf_init(&b, whole, sizeof whole);
	for (const char *p = text, *at; *p; p = at + 5) {
		at = strstr(p, "@DIR@");
		buf_put(&b, p, at ? (size_t)(at - p) : strlen(p));
		if (!at)
			break;
		buf_puts(&b, v->dir);
	}
	assert_false(b.full);
	log_settings_init(&settings, LOG_L_DEBUG);
	log_open(&sink, &settings);
	v->env = (struct conf_env){ .ctx = v, .report = served_report, .has_module = served_module, .alloc = served_alloc,
				    .open = served_open, .root = v->dir };
	conf_modules_number(served_modules);
	v->site = site_new(v->arena, served_modules, &v->env);
	assert_non_null(v->site);
	reading = (struct reading){ .site = v->site, .host = v->site->main, .arena = v->site->arena };
	target = (struct conf_target){ .host = v->site->main->config, .section = v->site->main->section, .owner = &reading };
	tree = conf_read_text(whole, "test.conf", &v->env);
	conf_apply(tree->first, served_modules, CONF_SERVER, &target, &v->env);
	if (!v->env.errors)
		assert_int_equal(site_finish(v->site, &v->env), 0);
	return v->env.errors;
}

/* A site below htdocs with a few more lines. */
static inline struct served *served_site(const char *text)
{
	struct served *v = served_new();
	char whole[8192];

	snprintf(whole, sizeof whole, "ServerName main.test\nDocumentRoot \"@DIR@/htdocs\"\n%s", text);
	if (served_configure(v, whole))
		fail_msg("configuration refused: %s", v->said);
	return v;
}

static inline void served_forget(struct served *v)
{
	if (v->of_request)
		arena_free(v->of_request);
	v->of_request = NULL;
	v->last = NULL;
	v->heads = v->ends = v->status = 0;
	v->n = 0;
	v->aborted = NULL;
	memset(v->head, 0, sizeof v->head);
	memset(v->body, 0, sizeof v->body);
}

static inline void served_free(struct served *v)
{
	char command[96];

	served_forget(v);
	arena_free(v->arena);
	close(v->log);
	snprintf(command, sizeof command, "rm -rf '%s'", v->dir);
	assert_int_equal(system(command), 0);
	free(v);
}

/* ---------------------------------------------------------------------------------------- files */

static inline const char *served_path(const struct served *v, const char *name)
{
	static char path[4][512];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof path[i], "%s/%s", v->dir, name);
	return path[i];
}

static inline void served_folder(struct served *v, const char *name)
{
	assert_int_equal(mkdir(served_path(v, name), 0755), 0);
}

static inline void served_file_make(struct served *v, const char *name, const char *text)
{
	int fd = open(served_path(v, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

/* The log so far, and from an empty file again. */
static inline const char *served_log(struct served *v)
{
	static char text[16384];
	ssize_t n = pread(v->log, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	assert_int_equal(ftruncate(v->log, 0), 0);
	lseek(v->log, 0, SEEK_SET);
	return text;
}

/* ---------------------------------------------------------------------------------------- requests */

static inline struct text served_variable(struct client *c, const char *name, struct arena *a)
{
	(void)a;
	if (!c->secure)
		return (struct text){ NULL, 0 };
	if (strcmp(name, "SSL_PROTOCOL") == 0)
		return TEXT("TLSv1.3");
	return strcmp(name, "SSL_CIPHER") == 0 ? TEXT("TLS_AES_128_GCM_SHA256") : (struct text){ NULL, 0 };
}

static const struct client_ops served_client = { .variable = served_variable };

/* A request with all that conn/ sets; it stays until the next one. */
static inline struct request *served_request(struct served *v, const char *method, const char *target, const char *fields)
{
	struct head_limits limits = { 8190, 8190, 100 };
	struct request_head head = { 0 };
	struct request *r;
	size_t used;
	char *text;

	served_forget(v);
	v->of_request = arena_new(0);
	assert_non_null(v->of_request);
	r = request_new(v->of_request);
	assert_non_null(r);
	text = arena_printf(v->of_request, "%s %s HTTP/1.1\r\n%s%s\r\n", method, target,
			    strstr(fields, "Host:") ? "" : "Host: main.test\r\n", fields);
	fields_init(&head.fields, v->of_request);
	assert_int_equal(head_parse_request(text, strlen(text), &limits, &head, &used), HEAD_DONE);
	v->client.ops = &served_client;
	addr_parse(&v->client.peer, "192.0.2.1", 5555);
	addr_parse(&v->client.local, "127.0.0.1", v->client.secure ? 8443 : 80);
	v->client.arrived = v->client.connected = v->client.peer;
	client_is(&v->client, &v->client.arrived);
	v->client.about.peer = &v->client.peer;
	v->stream = (struct stream){ .ops = &served_ops, .request = r, .in_bytes = strlen(text) };
	r->stream = &v->stream;
	r->client = &v->client;
	r->site = v->site;
	r->line = head.line;
	r->method = head.method;
	r->method_id = head.method_id;
	r->target = head.target;
	r->major = head.major;
	r->minor = head.minor;
	r->in = head.fields;
	r->keepalive = true;
	clock_gettime(CLOCK_REALTIME, &r->received);
	r->received.tv_sec += 10;       /* so that fresh files have strong tags */
	return r;
}

/* Through all phases. The status. */
static inline unsigned served_ask(struct served *v, const char *method, const char *target, const char *fields)
{
	phases_run(served_request(v, method, target, fields));
	v->last = v->stream.request;
	if (!v->aborted) {
		assert_int_equal(v->heads, 1);
		assert_int_equal(v->ends, 1);
	}
	return v->status;
}

static inline unsigned served_get(struct served *v, const char *target)
{
	return served_ask(v, "GET", target, "");
}

/* The value of a field of the response, NULL if it is not there. */
static inline const char *served_field(const struct served *v, const char *name)
{
	static char value[4][1024];
	static unsigned i;
	size_t n = strlen(name);

	i = (i + 1) % 4;
	for (const char *p = v->head; *p; p = strchr(p, '\n') + 1) {
		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			snprintf(value[i], sizeof value[i], "%.*s", (int)strcspn(p + n + 2, "\n"), p + n + 2);
			return value[i];
		}
	}
	return NULL;
}

#define assert_field(v, name, expected) do { \
		const char *got_ = served_field(v, name); \
		if (!got_) \
			fail_msg("no field %s in:\n%s", name, (v)->head); \
		assert_string_equal(got_, expected); \
	} while (0)

#ifndef SERVED_HANDLERS
static void served_stub(struct request *r)
{
	if (!r->found || r->path_info) {
		response_error(r, 404);
		return;
	}
	r->length = r->st.st_size > 60 ? r->st.st_size : 2;     /* a long file keeps its own, for those who decide by it */
	if (response_start(r) != 0)
		return;
	if (!r->no_body)
		stream_write(r->stream, &(struct iovec){ (void *)(uintptr_t)"ok", 2 }, 1);
	stream_end(r->stream);
}

static const struct handler served_default = { .name = "default-handler", .start = served_stub };
static const struct handler served_own = { .name = "own", .start = served_stub };

void handler_register(const struct handler *h)
{
	(void)h;
}

const struct handler *handler_find(const char *name)
{
	return strcmp(name, "default-handler") == 0 ? &served_default : strcmp(name, "own") == 0 ? &served_own : NULL;
}
#endif

#endif
