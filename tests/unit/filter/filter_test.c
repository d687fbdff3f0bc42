/*
 * filter_test.c - server/filter/filter.c: bytes through a chain whose connection takes a few at a time, turns that end, files,
 * flushes and failures. What comes out is unpacked by zlib.
 */
#include "tests/unit/request/served.h"

#include <zlib.h>

#define TEXT_SIZE 300000

static char text[TEXT_SIZE];

static void make_text(void)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < sizeof text; i++) {
		x = x * 1664525 + 1013904223;
		text[i] = (char)('a' + (x >> 28));
	}
}

/* The answer's head, with the chain behind it. */
static struct request *begin(struct served *v)
{
	struct request *r = served_request(v, "GET", "/", "Accept-Encoding: gzip\r\n");

	r->path = "/";
	r->host = v->site->main;
	r->section = v->site->main->section;
	r->type = "text/plain";
	assert_int_equal(response_start(r), 0);
	v->last = r;
	return r;
}

/* Whether what came out unpacks to n bytes of `text`, whole or (flushed) up to there. */
static void came_out(const struct served *v, size_t n, bool whole)
{
	static char got[TEXT_SIZE + 1];
	z_stream z = { .next_in = (Bytef *)(uintptr_t)v->body, .avail_in = (uInt)v->n, .next_out = (Bytef *)got, .avail_out = sizeof got };
	int rc;

	assert_int_equal(inflateInit2(&z, 31), Z_OK);
	rc = inflate(&z, Z_SYNC_FLUSH);
	assert_int_equal(rc, whole ? Z_STREAM_END : Z_OK);
	assert_int_equal(z.total_out, n);
	assert_memory_equal(got, text, n);
	assert_int_equal(z.avail_in, 0);
	inflateEnd(&z);
}

/* The connection takes `room` bytes a call and then none until it is asked again. */
static void a_narrow_connection(void **state)
{
	static const size_t rooms[] = { 1, 7, 1000, 16384, 0 };
	struct served *v = served_site("SetOutputFilter DEFLATE\n");

	(void)state;
	for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
		size_t n = rooms[i] == 1 ? 3000 : 60000, done = 0;
		struct request *r = begin(v);
		unsigned turns = 0;

		v->room = rooms[i];
		while (done < n) {
			struct iovec iov[2] = { { text + done, (n - done) / 2 }, { text + done + (n - done) / 2, n - done - (n - done) / 2 } };
			ssize_t took = stream_write(r->stream, iov, 2);

			assert_true(took >= 0);
			done += (size_t)took;
			assert_true(++turns < 100000);
			if (done < n)
				filter_writable(r->stream);
		}
		stream_end(r->stream);
		while (!v->ends) {
			assert_false(filter_writable(r->stream));
			assert_true(++turns < 100000);
		}
		assert_int_equal(v->ends, 1);
		came_out(v, n, true);
	}
	served_free(v);
}

static void a_turn_takes_its_share(void **state)
{
	struct served *v = served_site("SetOutputFilter DEFLATE\n");
	struct request *r = begin(v);
	struct iovec iov = { text, TEXT_SIZE };
	ssize_t took = stream_write(r->stream, &iov, 1);

	(void)state;
	v->calls = 0;
	assert_in_range(took, FILTER_SHARE, FILTER_SHARE + FILTER_PIECE * 5);
	assert_int_equal(stream_write(r->stream, &iov, 1), 0);
	assert_int_equal(v->calls, 1);
	assert_true(filter_writable(r->stream));        /* the next turn */
	iov = (struct iovec){ text + took, 1000 };
	assert_int_equal(stream_write(r->stream, &iov, 1), 1000);
	served_free(v);
}

static void a_pause_flushes(void **state)
{
	struct served *v = served_site("SetOutputFilter DEFLATE\n");
	struct request *r = begin(v);
	struct iovec iov = { text, 100 };
	size_t after;

	(void)state;
	assert_int_equal(stream_write(r->stream, &iov, 1), 100);
	filter_idle(r->stream);
	came_out(v, 100, false);
	after = v->n;
	filter_idle(r->stream);                         /* nothing new: nothing more */
	assert_int_equal(v->n, after);
	iov.iov_base = text + 100;
	v->room = 1;                                    /* a flush that the connection takes byte by byte, with bytes behind it */
	assert_int_equal(stream_write(r->stream, &iov, 1), 100);
	filter_idle(r->stream);
	iov.iov_base = text + 200;
	for (unsigned i = 0; stream_write(r->stream, &iov, 1) == 0; i++) {
		assert_true(i < 1000);
		filter_writable(r->stream);
	}
	stream_end(r->stream);
	for (unsigned i = 0; !v->ends; i++) {
		assert_true(i < 1000);
		filter_writable(r->stream);
	}
	came_out(v, 300, true);
	served_free(v);
}

static void files(void **state)
{
	struct served *v = served_site("SetOutputFilter DEFLATE\n");
	char end[] = "end";
	struct request *r;
	int fd;

	(void)state;
	served_file_make(v, "file", "0123456789");
	fd = open(served_path(v, "file"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, text, 200000, 0), 200000);
	/* A part of it, then more from the handler; the second file waits until the first is read. */
	r = begin(v);
	v->room = 500;
	assert_int_equal(stream_file(r->stream, dup(fd), 1000, 90000), 0);
	assert_int_equal(stream_file(r->stream, dup(fd), 0, 1), -1);
	assert_int_equal(stream_write(r->stream, &(struct iovec){ end, 3 }, 1), 0);
	for (unsigned i = 0; !filter_writable(r->stream); i++)
		assert_true(i < 10000);
	stream_end(r->stream);
	for (unsigned i = 0; !v->ends; i++) {
		assert_true(i < 10000);
		filter_writable(r->stream);
	}
	assert_null(v->aborted);
	{
		static char got[100000];
		z_stream z = { .next_in = (Bytef *)v->body, .avail_in = (uInt)v->n, .next_out = (Bytef *)got, .avail_out = sizeof got };
		assert_int_equal(inflateInit2(&z, 31), Z_OK);
		assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
		assert_int_equal(z.total_out, 90000);
		assert_memory_equal(got, text + 1000, 90000);
		inflateEnd(&z);
	}
	/* It became shorter. */
	r = begin(v);
	v->room = 0;
	assert_int_equal(ftruncate(fd, 50000), 0);
	assert_int_equal(stream_file(r->stream, dup(fd), 0, 200000), 0);
	stream_end(r->stream);
	for (unsigned i = 0; !v->aborted && i < 100; i++)
		filter_writable(r->stream);
	assert_non_null(v->aborted);
	assert_int_equal(v->ends, 0);
	assert_int_equal(stream_write(r->stream, &(struct iovec){ end, 3 }, 1), -1);
	close(fd);
	served_free(v);
}

static void several_filters(void **state)
{
	struct served *v = served_site("AddOutputFilterByType INFLATE;DEFLATE text/plain\n");
	static Bytef packed[TEXT_SIZE];
	z_stream z = { .next_in = (Bytef *)text, .avail_in = 50000, .next_out = packed, .avail_out = sizeof packed };
	struct request *r;

	(void)state;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	for (unsigned broken = 0; broken < 3; broken++) {
		struct iovec iov = { packed, z.total_out };

		r = served_request(v, "GET", "/", "Accept-Encoding: gzip\r\n");
		r->path = "/";
		r->host = v->site->main;
		r->section = v->site->main->section;
		r->type = "text/plain";
		r->encoding = "gzip";
		r->etag = "\"a\"";
		assert_int_equal(response_start(r), 0);
		assert_field(v, "Content-Encoding", "gzip");
		assert_field(v, "ETag", "\"a-gunzip-gzip\"");
		if (broken == 1)
			iov.iov_len -= 10;
		if (broken == 2)
			packed[20000] ^= 0x55;
		assert_int_equal(stream_write(r->stream, &iov, 1), broken == 2 ? -1 : (ssize_t)iov.iov_len);
		stream_end(r->stream);
		assert_int_equal(v->ends, !broken);
		assert_int_equal(v->aborted != NULL, broken != 0);
		if (!broken)
			came_out(v, 50000, true);
	}
	served_free(v);
}

static void what_joins(void **state)
{
	static const struct { const char *target, *accept, *coding; } rows[] = {
		{ "/a.txt", "gzip", "gzip" }, { "/a.txt", "br", NULL }, { "/a.css", "gzip, br", "br" }, { "/a.css", "gzip", "gzip" }, { "/a.css", "zstd", "zstd" },
		{ "/plain/a.txt", "gzip", NULL }, { "/plain/a.css", "gzip", NULL }, { "/all/a", "gzip", "gzip" }, { "/all/none/a", "gzip", NULL },
		{ "/a", "gzip", NULL }, { "/none.txt", "gzip", NULL }, { "/short68.txt", "gzip", NULL }, { "/short69.txt", "gzip", "gzip" },
		{ "/short68.css", "br", "br" },
	};
	struct served *v = served_new();

	(void)state;
	served_file_make(v, "types", "text/plain txt\ntext/css css\n");
	assert_int_equal(served_configure(v, "ServerName x.test\nDocumentRoot \"@DIR@/htdocs\"\nTypesConfig types\nAddOutputFilter DEFLATE .txt\n"
					  "AddOutputFilterByType brotli_compress;ZSTD;deflate text/css\n"
					  "<Location /plain>\nRemoveOutputFilter txt\nSetEnv no-gzip\n</Location>\n"
					  "<Location /all>\nSetOutputFilter DEFLATE\n</Location>\n<Location /all/none>\nSetOutputFilter none\n</Location>\n"), 0);
	for (const char *const *d = (const char *const[]){ "htdocs/plain", "htdocs/all", "htdocs/all/none", NULL }; *d; d++)
		served_folder(v, *d);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		static const char content[] = "a text of sixty-nine bytes, from which on gzip is worth its own head.";
		char at[64], fields[64];
		const char *coding;

		snprintf(at, sizeof at, "htdocs%s", rows[i].target);
		if (strncmp(rows[i].target, "/none", 5) != 0)
			served_file_make(v, at, strstr(at, "68") ? content + 1 : content);
		snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", rows[i].accept);
		served_ask(v, "GET", rows[i].target, fields);
		coding = served_field(v, "Content-Encoding");
		if (rows[i].coding ? !coding || strcmp(coding, rows[i].coding) : coding != NULL)
			fail_msg("%s %s: %s", rows[i].target, rows[i].accept, coding ? coding : "none");
	}
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_narrow_connection), cmocka_unit_test(a_turn_takes_its_share), cmocka_unit_test(a_pause_flushes),
		cmocka_unit_test(files), cmocka_unit_test(several_filters), cmocka_unit_test(what_joins),
	};

	make_text();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
