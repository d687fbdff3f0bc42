/*
 * subrequest_test.c - server/request/subrequest.c: handlers that write at once, piece by piece, files, pages of errors, redirects; what the one
 * who takes the content sees of each, and what handlers are told at the end.
 */
#define SERVED_HANDLERS
#include "served.h"

#include <dirent.h>

#include "request/subrequest.h"

#define LONG 100000

static char pattern[LONG];
static size_t done;                     /* of pattern, by the writer */
static unsigned ended[2];               /* by how */
static struct request *top;             /* the request above: it waits */

/* ---------------------------------------------------------------------------------------- handlers */

static void note_end(struct request *r, enum handler_end how)
{
	(void)r;
	ended[how]++;
}

static void wait_above(struct request *r)
{
	top = r;
}

static void write_on(struct request *r)
{
	while (done < LONG) {
		size_t n = LONG - done < 7000 ? LONG - done : 7000;
		ssize_t took = stream_write(r->stream, &(struct iovec){ pattern + done, n }, 1);

		assert_true(took >= 0);
		done += (size_t)took;
		if ((size_t)took < n)
			return;
	}
	stream_end(r->stream);
}

static void write_begin(struct request *r)
{
	done = 0;
	assert_int_equal(response_start(r), 0);
	write_on(r);
}

static void short_text(struct request *r)
{
	struct iovec iov[3] = { { pattern, 3 }, { pattern, 0 }, { pattern + 3, 2 } };

	assert_int_equal(response_start(r), 0);
	assert_int_equal(stream_write(r->stream, iov, 3), 5);
	stream_end(r->stream);
}

/* A file, then bytes, whose order must stay. */
static void file_and_more(struct request *r)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(response_start(r), 0);
	assert_int_equal(stream_file(r->stream, fd, 1, LONG), 0);
	assert_int_equal(stream_write(r->stream, &(struct iovec){ pattern, 4 }, 1), 0);
}

static void more_behind(struct request *r)
{
	assert_int_equal(stream_write(r->stream, &(struct iovec){ pattern, 4 }, 1), 4);
	stream_end(r->stream);
}

static void shorter_file(struct request *r)
{
	int fd = openat(AT_FDCWD, r->filename, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(response_start(r), 0);
	assert_int_equal(stream_file(r->stream, fd, 0, (uint64_t)r->st.st_size + 10), 0);
	stream_end(r->stream);
}

/* As the handler of files does it: its open file goes on to the stream. */
static void own_file(struct request *r)
{
	int fd = r->fd;

	assert_true(fd >= 0);
	assert_int_equal(response_start(r), 0);
	r->fd = -1;
	assert_int_equal(stream_file(r->stream, fd, 0, (uint64_t)r->st.st_size), 0);
	stream_end(r->stream);
}

static void breaks_off(struct request *r)
{
	assert_int_equal(response_start(r), 0);
	stream_write(r->stream, &(struct iovec){ pattern, 10 }, 1);
	stream_abort(r->stream, "it broke");
}

static void refuses(struct request *r)
{
	response_error(r, 404);
}

static void leads_on(struct request *r)
{
	phases_redirect(r, "/short", 0);
}

static void tells(struct request *r)
{
	struct text method = r->method, range = fields_get(&r->in, "Range"), since = fields_get(&r->in, "If-None-Match"), agent = fields_get(&r->in, "User-Agent");
	char line[256];
	int n = snprintf(line, sizeof line, "%.*s %s %s %.*s", (int)method.n, method.p, range.p ? "range" : "-", since.p ? "match" : "-", (int)agent.n, agent.p);

	assert_int_equal(response_start(r), 0);
	stream_write(r->stream, &(struct iovec){ line, (size_t)n }, 1);
	stream_end(r->stream);
}

static const struct handler handlers[] = {
	{ .name = "default-handler", .start = refuses, .ended = note_end }, { .name = "above", .start = wait_above },
	{ .name = "long", .start = write_begin, .writable = write_on, .ended = note_end }, { .name = "short", .start = short_text, .ended = note_end },
	{ .name = "file", .start = file_and_more, .writable = more_behind, .ended = note_end }, { .name = "shorter", .start = shorter_file, .ended = note_end },
	{ .name = "breaks", .start = breaks_off, .ended = note_end }, { .name = "leads", .start = leads_on, .ended = note_end },
	{ .name = "own", .start = own_file, .ended = note_end }, { .name = "tells", .start = tells, .ended = note_end },
};

void handler_register(const struct handler *h)
{
	(void)h;
}

const struct handler *handler_find(const char *name)
{
	for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
		if (strcmp(handlers[i].name, name) == 0)
			return &handlers[i];
	return NULL;
}

/* ---------------------------------------------------------------------------------------- the tests */

static struct served *site(void)
{
	struct buf b;
	char text[4096];

	buf_init(&b, text, sizeof text);
	for (size_t i = 1; i < sizeof handlers / sizeof handlers[0]; i++)
		buf_printf(&b, "<Location /%s>\nSetHandler %s\n</Location>\n", handlers[i].name, handlers[i].name);
	buf_putc(&b, '\0');
	for (size_t i = 0; i < LONG; i++)
		pattern[i] = (char)(i * 7 ^ i >> 8);
	ended[0] = ended[1] = 0;
	return served_site(text);
}

static struct subrequest *begin(struct served *v, const char *path, const char *method, const char *fields)
{
	unsigned status = 99;
	struct request *sub;

	top = NULL;
	phases_run(served_request(v, method, "/above", fields));
	assert_non_null(top);
	sub = phases_lookup(top, path, NULL, 0, &status);
	assert_non_null(sub);
	assert_int_equal(status, 0);
	return subrequest_start(sub, false);
}

/* All that comes, at most `piece` bytes at a time. How it ended. */
static enum subrequest_state take_all(struct subrequest *run, char *out, size_t *n, size_t piece)
{
	*n = 0;
	for (unsigned turns = 0; turns < 100000; turns++) {
		struct text content;
		enum subrequest_state state = subrequest_peek(run, &content);
		size_t take = content.n < piece ? content.n : piece;

		assert_true(content.n <= SUBREQUEST_BUFFER);
		if (!content.n && state != SUBREQUEST_RUNS)
			return state;
		memcpy(out + *n, content.p, take);
		*n += take;
		subrequest_took(run, take);
	}
	fail_msg("it does not end");
	return SUBREQUEST_FAILED;
}

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void content_comes_whole_and_in_order(void **state)
{
	static const size_t pieces[] = { 1000, 1001, SUBREQUEST_BUFFER, LONG };
	struct served *v = site();
	char *got = malloc(2 * LONG);
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		struct subrequest *run = begin(v, "/long", "GET", "");

		assert_true(done <= SUBREQUEST_BUFFER);         /* the rest waits for room */
		assert_int_equal(take_all(run, got, &n, pieces[i]), SUBREQUEST_DONE);
		assert_int_equal(n, LONG);
		assert_memory_equal(got, pattern, LONG);
		assert_int_equal(subrequest_answer(run)->status, 200);
		subrequest_close(run);
		assert_int_equal(ended[HANDLER_DONE], i + 1);
		assert_int_equal(v->heads, 0);                  /* nothing of it went to the client */
		assert_int_equal(v->n, 0);
	}
	struct subrequest *run = begin(v, "/short", "GET", "");

	assert_int_equal(take_all(run, got, &n, 2), SUBREQUEST_DONE);
	assert_int_equal(n, 5);
	assert_memory_equal(got, pattern, 5);
	subrequest_close(run);
	free(got);
	served_free(v);
}

static void files(void **state)
{
	struct served *v = site();
	char *got = malloc(2 * LONG), *wanted = malloc(LONG);
	struct subrequest *run = begin(v, "/short", "GET", "");         /* what is opened once only is open then */
	unsigned before = descriptors();
	struct text content;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	size_t n;

	(void)state;
	subrequest_close(run);
	run = begin(v, "/file", "GET", "");
	assert_int_equal(pread(fd, wanted, LONG, 1), LONG);
	close(fd);
	assert_int_equal(take_all(run, got, &n, 5000), SUBREQUEST_DONE);
	assert_int_equal(n, LONG + 4);
	assert_memory_equal(got, wanted, LONG);
	assert_memory_equal(got + LONG, pattern, 4);
	subrequest_close(run);
	assert_int_equal(descriptors(), before);

	run = begin(v, "/file", "GET", "");                     /* given up half way */
	assert_int_equal(subrequest_peek(run, &content), SUBREQUEST_RUNS);
	subrequest_close(run);
	assert_int_equal(descriptors(), before);
	assert_int_equal(ended[HANDLER_ABORTED], 1);

	served_file_make(v, "htdocs/shorter", "ten bytes.");
	run = begin(v, "/shorter", "GET", "");
	assert_int_equal(take_all(run, got, &n, 5000), SUBREQUEST_FAILED);
	assert_int_equal(n, 10);
	subrequest_close(run);
	openfile_forget();
	assert_int_equal(descriptors(), before);
	free(got);
	free(wanted);
	served_free(v);
}

/* A file that stays open for the next request (openfiles.h): its descriptor is not closed behind the back of who keeps it. */
static void files_that_stay_open(void **state)
{
	struct served *v = site();
	char got[64];
	int others[4];
	size_t n;

	(void)state;
	served_file_make(v, "htdocs/own", "its own");
	served_file_make(v, "htdocs/other", "another one");
	for (int i = 0; i < 4; i++) {
		struct subrequest *run = begin(v, "/own", "GET", "");

		assert_int_equal(take_all(run, got, &n, 64), SUBREQUEST_DONE);
		assert_int_equal(n, 7);
		assert_memory_equal(got, "its own", 7);
		subrequest_close(run);
		others[i] = open(served_path(v, "htdocs/other"), O_RDONLY | O_CLOEXEC);
		assert_true(others[i] >= 0);
	}
	for (int i = 0; i < 4; i++)
		close(others[i]);
	openfile_forget();
	served_free(v);
}

static void failures(void **state)
{
	struct served *v = site();
	char got[64];
	size_t n;
	struct subrequest *run = begin(v, "/breaks", "GET", "");

	(void)state;
	assert_int_equal(take_all(run, got, &n, 64), SUBREQUEST_FAILED);
	assert_int_equal(subrequest_answer(run)->status, 500);
	subrequest_close(run);
	assert_int_equal(ended[HANDLER_ABORTED], 1);

	run = begin(v, "/nothing", "GET", "");
	assert_int_equal(take_all(run, got, &n, 64), SUBREQUEST_FAILED);
	assert_int_equal(n, 0);                                 /* no page */
	assert_int_equal(subrequest_answer(run)->status, 404);
	subrequest_close(run);

	run = begin(v, "/long", "GET", "");                     /* nobody takes it */
	subrequest_close(run);
	assert_int_equal(ended[HANDLER_DONE], 0);
	subrequest_close(NULL);
	assert_null(v->aborted);                                /* the request above goes on */
	served_free(v);
}

static void redirects_inside(void **state)
{
	struct served *v = site();
	char got[64];
	size_t n;
	struct subrequest *run = begin(v, "/leads", "GET", "");

	(void)state;
	assert_int_equal(take_all(run, got, &n, 64), SUBREQUEST_DONE);
	assert_int_equal(n, 5);
	assert_string_equal(subrequest_answer(run)->path, "/short");
	assert_ptr_equal(v->stream.request, top);               /* that is the sub-request's alone */
	subrequest_close(run);
	assert_int_equal(ended[HANDLER_DONE], 2);               /* of both handlers */
	served_free(v);
}

static void it_is_a_get_without_conditions(void **state)
{
	static const char *const methods[] = { "GET", "HEAD", "POST" };
	struct served *v = site();
	char got[256];
	size_t n;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct subrequest *run = begin(v, "/tells", methods[i], "Range: bytes=0-1\r\nIf-None-Match: *\r\nContent-Length: 0\r\nUser-Agent: me\r\n");

		assert_int_equal(take_all(run, got, &n, sizeof got), SUBREQUEST_DONE);
		got[n] = '\0';
		assert_string_equal(got, "GET - - me");
		subrequest_close(run);
	}
	served_free(v);
}

static void who_made_it_is_told(void **state)
{
	struct served *v = site();
	struct subrequest *run;
	struct text content;
	unsigned before;

	(void)state;
	run = begin(v, "/long", "GET", "");
	assert_int_equal(subrequest_peek(run, &content), SUBREQUEST_RUNS);
	assert_int_equal(content.n, SUBREQUEST_BUFFER);
	subrequest_took(run, 10000);
	subrequest_peek(run, &content);                         /* something is left: its handler waits */
	assert_int_equal(content.n, SUBREQUEST_BUFFER - 10000);
	assert_int_equal(done, SUBREQUEST_BUFFER);
	subrequest_took(run, content.n);
	before = v->calls;
	subrequest_peek(run, &content);                         /* now it goes on, and that is told */
	assert_true(v->calls > before);
	assert_int_equal(content.n, SUBREQUEST_BUFFER);
	assert_int_equal(done, 2 * SUBREQUEST_BUFFER);
	subrequest_close(run);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_comes_whole_and_in_order), cmocka_unit_test(files), cmocka_unit_test(files_that_stay_open), cmocka_unit_test(failures), cmocka_unit_test(redirects_inside),
		cmocka_unit_test(it_is_a_get_without_conditions), cmocka_unit_test(who_made_it_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
