/*
 * llhttp_test.c - compares server/http/head.c with llhttp (Debian: node-llhttp, C sources), on the seeds of the fuzzer,
 * on pairs made of them, and on many small changes to them.
 *
 * What we accept (the head, its target, its framing) llhttp must accept too, with the same method, target, fields and end
 * of the head; what llhttp accepts and we refuse must be refused for a reason that is listed below. So neither a leniency
 * nor a strictness can slip in unnoticed: a request that two parsers understand differently is how requests are smuggled.
 *
 * Built with llhttp.h in the include path and linked with llhttp's objects; without the header it is skipped.
 */
#include "http/body.h"
#include "http/head.h"
#include "http/uri.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#if __has_include(<llhttp.h>)

/* Both have these enumerators. */
#define HTTP_GET THEIR_GET
#define HTTP_HEAD THEIR_HEAD
#define HTTP_POST THEIR_POST
#define HTTP_PUT THEIR_PUT
#define HTTP_DELETE THEIR_DELETE
#define HTTP_CONNECT THEIR_CONNECT
#define HTTP_OPTIONS THEIR_OPTIONS
#define HTTP_TRACE THEIR_TRACE
#define HTTP_PATCH THEIR_PATCH
#define HTTP_PROPFIND THEIR_PROPFIND
#define HTTP_PROPPATCH THEIR_PROPPATCH
#define HTTP_MKCOL THEIR_MKCOL
#define HTTP_COPY THEIR_COPY
#define HTTP_MOVE THEIR_MOVE
#define HTTP_LOCK THEIR_LOCK
#define HTTP_UNLOCK THEIR_UNLOCK
#include <llhttp.h>
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_DELETE
#undef HTTP_CONNECT
#undef HTTP_OPTIONS
#undef HTTP_TRACE
#undef HTTP_PATCH
#undef HTTP_PROPFIND
#undef HTTP_PROPPATCH
#undef HTTP_MKCOL
#undef HTTP_COPY
#undef HTTP_MOVE
#undef HTTP_LOCK
#undef HTTP_UNLOCK

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SEEDS "tests/fuzz/corpus/head"
#define CHANGES 1000000
#define BIG 8192

/* What one parser made of an input: it is refused, not whole, or a head. */
struct view {
	enum head_result result;
	size_t used;
	struct text target, names[128], values[128];
	unsigned n;
	char method[40];
	const char *reason;
};

/* Our reasons that llhttp does not share: what it lets pass, and we do not. */
static const char *const stricter[] = {
	"a blank before the colon of a field line",
	"a field line without a name",
	"a CR without LF among the fields",                     /* it takes CR LF CR and any byte for the end */
	"too many empty lines before the request line",         /* it skips any number of them */
	"a CR without LF before the request line",              /* it skips CR and LF before a request, however they stand */
	"the first word is no method: this is not HTTP",        /* a bare LF before the request line */
	"a field line begins with a blank (obsolete folding)",
	"a CR without LF in a field line",                      /* at the end of a folded line */
	"more than one blank between the words of the request line",
	"the last word of the request line is no HTTP version", /* more than one blank before it */
	"the request line has no version (HTTP/0.9 is not spoken)",
	"the version is not HTTP/1",                            /* it speaks 0.9 and 2.0 */
	"the request line ends with a bare LF",
	"more fields than LimitRequestFields",
	"a control character in the request target",            /* HTAB and form feed */
	"a line of a bare LF among the fields",
	/* of the target and the framing */
	"the target",
	"Transfer-Encoding in an HTTP/1.0 request",
	"a transfer coding that is not known",
	"chunked is not the last transfer coding",
	"an empty member of Transfer-Encoding",
	"Transfer-Encoding together with Content-Length",
};
static unsigned stricter_seen[COUNT(stricter)];

/* Where llhttp refuses what we accept: its words, and why we differ. */
static bool is_known_leniency(const char *reason, const struct view *ours, const struct request_head *h)
{
	struct text length = fields_get(&h->fields, "Content-Length");

	if (strstr(reason, "method"))                   /* RFC 9110, 9.1: any token is a method; 501 is said later */
		return h->method_id == HTTP_OTHER;
	if (strstr(reason, "Invalid HTTP version"))     /* RFC 9110, 2.5: a higher minor version is understood as ours */
		return h->minor > 1;
	if (strstr(reason, "Invalid url character") || strstr(reason, "Unexpected char in url") || strstr(reason, "Invalid char"))
		for (size_t i = 0; i < ours->target.n; i++)     /* Apache takes bytes above 0x7f as they come */
			if ((unsigned char)ours->target.p[i] >= 0x80)
				return true;
	if (strstr(reason, "Invalid character in Content-Length"))      /* RFC 9110, 5.5: HTAB may stand around a value */
		return memchr(length.p + length.n, '\t', (size_t)(strchr(length.p + length.n, '\r') - length.p) - length.n) != NULL;
	return false;
}

/* ------------------------------------------------------------------------------------------- the two views */

static struct arena *arena;

static void look_ours(const char *p, size_t n, struct view *v, struct request_head *h)
{
	static const struct head_limits limits = { BIG, BIG, 100 };
	struct body_framing f;
	struct uri u;

	fields_init(&h->fields, arena);
	v->result = head_parse_request(p, n, &limits, h, &v->used);
	v->reason = h->reason;
	v->target = h->target;
	if (v->result != HEAD_DONE)
		return;
	snprintf(v->method, sizeof v->method, "%.*s", (int)h->method.n, h->method.p);
	v->n = h->fields.n;
	for (unsigned i = 0; i < h->fields.n; i++) {
		v->names[i] = h->fields.at[i].name;
		v->values[i] = h->fields.at[i].value;
	}
	if (uri_parse(h->target, h->method_id, &u) != 0)
		v->reason = "the target";
	else if (body_framing(h, &f) != 0)
		v->reason = f.reason;
	if (v->reason)
		v->result = HEAD_BAD;
}

/* Spans may come in pieces; in one buffer they lie side by side. */
static void extend(struct text *t, const char *at, size_t n)
{
	if (!t->p)
		t->p = at;
	t->n = (size_t)(at + n - t->p);
}

static int on_url(llhttp_t *l, const char *at, size_t n)
{
	struct view *v = l->data;
	extend(&v->target, at, n);
	return 0;
}

static int on_name(llhttp_t *l, const char *at, size_t n)
{
	struct view *v = l->data;
	if (v->n < COUNT(v->names))
		extend(&v->names[v->n], at, n);
	return 0;
}

static int on_value(llhttp_t *l, const char *at, size_t n)
{
	struct view *v = l->data;
	if (v->n < COUNT(v->values))
		extend(&v->values[v->n], at, n);
	return 0;
}

static int on_value_complete(llhttp_t *l)
{
	struct view *v = l->data;
	v->n++;
	return 0;
}

static int on_head(llhttp_t *l)
{
	struct view *v = l->data;
	v->result = HEAD_DONE;
	return HPE_PAUSED;
}

static void look_theirs(const char *p, size_t n, struct view *v)
{
	llhttp_settings_t settings;
	llhttp_t l;
	llhttp_errno_t error;

	llhttp_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_header_field = on_name;
	settings.on_header_value = on_value;
	settings.on_header_value_complete = on_value_complete;
	settings.on_headers_complete = on_head;
	llhttp_init(&l, HTTP_REQUEST, &settings);
	l.data = v;
	v->result = HEAD_MORE;
	error = llhttp_execute(&l, p, n);
	if (v->result == HEAD_DONE) {
		v->used = (size_t)(llhttp_get_error_pos(&l) - p);
		snprintf(v->method, sizeof v->method, "%s", llhttp_method_name((llhttp_method_t)l.method));
	} else if (error != HPE_OK) {
		v->result = HEAD_BAD;
		v->reason = llhttp_get_error_reason(&l);
	}
}

/* ------------------------------------------------------------------------------------------ the comparison */

static void complain(const char *p, size_t n, const char *what, const struct view *ours, const struct view *theirs)
{
	char shown[4 * 600 + 1];
	struct buf b;

	buf_init(&b, shown, sizeof shown);
	buf_put_log(&b, (struct text){ p, n < 600 ? n : 600 });
	fail_msg("%s: ours %d at %zu (%s), theirs %d at %zu (%s): %s", what, ours->result, ours->used, ours->reason ? ours->reason : "-",
		theirs->result, theirs->used, theirs->reason ? theirs->reason : "-", shown);
}

static bool is_listed(const char *reason)
{
	for (size_t i = 0; i < COUNT(stricter); i++)
		if (strcmp(stricter[i], reason) == 0) {
			stricter_seen[i]++;
			return true;
		}
	return false;
}

static unsigned both_accept;

static void compare(const char *p, size_t n)
{
	static struct view ours, theirs;
	struct request_head h;

	memset(&ours, 0, sizeof ours);
	memset(&theirs, 0, sizeof theirs);
	arena_reset(arena);
	look_ours(p, n, &ours, &h);
	look_theirs(p, n, &theirs);
	if (ours.result == HEAD_BAD && theirs.result == HEAD_DONE && !is_listed(ours.reason))
		complain(p, n, "we are stricter, unlisted", &ours, &theirs);
	if (ours.result != HEAD_DONE)
		return;
	if (theirs.result != HEAD_DONE) {
		if (strcmp(ours.method, "PRI") == 0)            /* it waits for the preface of HTTP/2; here it is a method like any other */
			return;
		if (theirs.result == HEAD_MORE || !is_known_leniency(theirs.reason, &ours, &h))
			complain(p, n, "we accept, they do not", &ours, &theirs);
		return;
	}
	both_accept++;
	if (strcmp(ours.method, theirs.method) != 0 || !text_eq(ours.target, theirs.target) || ours.n != theirs.n)
		complain(p, n, "method, target or number of fields", &ours, &theirs);
	if (ours.used != theirs.used)
		complain(p, n, "the end of the head", &ours, &theirs);
	for (unsigned i = 0; i < ours.n; i++)
		if (!text_eq(ours.names[i], theirs.names[i]) || !text_eq(ours.values[i], text_trim(theirs.values[i])))
			complain(p, n, "a field", &ours, &theirs);
}

static struct text seeds[256];
static size_t seed_count;

static int load_seeds(void **state)
{
	struct dirent **entries;
	int n = scandir(SEEDS, &entries, NULL, alphasort);

	(void)state;
	arena = arena_new(65536);
	for (int i = 0; i < n; i++) {
		char name[512];
		FILE *f;
		snprintf(name, sizeof name, "%s/%s", SEEDS, entries[i]->d_name);
		f = entries[i]->d_name[0] != '.' && seed_count < COUNT(seeds) ? fopen(name, "rb") : NULL;
		if (f) {
			char *data = malloc(BIG);
			seeds[seed_count++] = (struct text){ data, fread(data, 1, BIG, f) };
			fclose(f);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return seed_count ? 0 : -1;
}

static int drop_seeds(void **state)
{
	(void)state;
	for (size_t i = 0; i < seed_count; i++)
		free((void *)seeds[i].p);
	arena_free(arena);
	return 0;
}

static void seeds_and_pairs(void **state)
{
	char both[2 * BIG];

	(void)state;
	for (size_t i = 0; i < seed_count; i++) {
		compare(seeds[i].p, seeds[i].n);
		for (size_t k = 0; k < seed_count; k++) {
			memcpy(both, seeds[i].p, seeds[i].n);
			memcpy(both + seeds[i].n, seeds[k].p, seeds[k].n);
			compare(both, seeds[i].n + seeds[k].n);
		}
	}
	assert_true(both_accept > 100);
}

static uint64_t seed = 88172645463325252ull;    /* the same changes in every run */

static size_t below(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % n);
}

/* One to three bytes or pieces are put in, taken out or replaced. */
static size_t change(char *p, size_t n)
{
	static const struct text pieces[] = {
		TEXT("\r\n"), TEXT("\n"), TEXT("\r"), TEXT(" "), TEXT("\t"), TEXT(":"), TEXT("\0"), TEXT(","), TEXT("\r\n "), TEXT("\r\n\r\n"),
		TEXT("Content-Length: 5\r\n"), TEXT("Transfer-Encoding: chunked\r\n"), TEXT("A: b\r\n"), TEXT("\x7f"), TEXT("\xe4"), TEXT("chunked"),
		TEXT("HTTP/1.1"), TEXT("GET "), TEXT("http://"), TEXT("/"), TEXT("Content-Length:"), TEXT("0"), TEXT("Transfer-Encoding:"), TEXT("\x0b"),
	};

	for (size_t times = 1 + below(3); times > 0; times--) {
		size_t at = below(n + 1), way = below(4);
		struct text piece = pieces[below(COUNT(pieces))];
		if (way == 0 && at < n) {
			p[at] = (char)below(256);
		} else if (way == 1 && at < n) {
			memmove(p + at, p + at + 1, n - at - 1);
			n--;
		} else if (n + piece.n <= BIG) {
			memmove(p + at + piece.n, p + at, n - at);
			memcpy(p + at, piece.p, piece.n);
			n += piece.n;
		}
	}
	return n;
}

static void small_changes(void **state)
{
	static char p[BIG];

	(void)state;
	both_accept = 0;
	for (unsigned i = 0; i < CHANGES; i++) {
		struct text from = seeds[below(seed_count)];
		memcpy(p, from.p, from.n);
		compare(p, change(p, from.n));
	}
	assert_true(both_accept > CHANGES / 20);
	for (size_t i = 0; i < COUNT(stricter); i++)
		print_message("%8u heads that llhttp accepts: %s\n", stricter_seen[i], stricter[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(seeds_and_pairs), cmocka_unit_test(small_changes) };
	return cmocka_run_group_tests_name("http/llhttp", tests, load_seeds, drop_seeds);
}

#else

static void compares_with_llhttp(void **state)
{
	(void)state;
	print_message("llhttp's C sources are not there (Debian: node-llhttp)\n");
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(compares_with_llhttp) };
	return cmocka_run_group_tests_name("http/llhttp", tests, NULL, NULL);
}

#endif
