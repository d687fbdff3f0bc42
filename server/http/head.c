/*
 * head.c - reads request heads of HTTP/1 strictly (RFC 9112, 2 to 5). Pure; runs in the children, on every
 * byte that the network sends them.
 *
 * How it goes, and what must hold:
 * - The bytes are judged from left to right; what is wrong is found at the first byte that makes it so, and
 *   no later byte can change the verdict. So a head that comes byte by byte gets the same answer as one that
 *   comes at once.
 * - A limit is no exception: the byte behind it is a wrong one. Each line has a window that ends there.
 * - While the head is not whole only the request line is parsed again with each call; the field lines are
 *   merely counted and measured (worth_parsing), at the speed of memchr. A whole head is parsed in one pass
 *   without copies.
 */
#include "http/head.h"

#define METHOD_MAX 32                   /* longer than any registered method by far */
#define EMPTY_LINES_MAX 8               /* before a request line */

/* RFC 9110, 5.6.2 */
static const unsigned char token_char[256] = {
	['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1,
	['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
};

static const struct text method_names[HTTP_METHODS] = {
#define NAME(m) [HTTP_##m] = { #m, sizeof #m - 1 }
	NAME(GET), NAME(HEAD), NAME(POST), NAME(PUT), NAME(DELETE), NAME(CONNECT), NAME(OPTIONS), NAME(TRACE), NAME(PATCH),
	NAME(PROPFIND), NAME(PROPPATCH), NAME(MKCOL), NAME(COPY), NAME(MOVE), NAME(LOCK), NAME(UNLOCK), NAME(OTHER),
#undef NAME
};

enum http_method http_method_find(struct text name)
{
	for (enum http_method m = HTTP_GET; m < HTTP_OTHER; m++)
		if (name.n == method_names[m].n && memcmp(name.p, method_names[m].p, name.n) == 0)
			return m;
	return HTTP_OTHER;
}

bool http_is_token(struct text t)
{
	for (size_t i = 0; i < t.n; i++)
		if (!token_char[(unsigned char)t.p[i]])
			return false;
	return t.n > 0;
}

/*
 * The first place in [i, end) whose byte is below `low` (at most 0x80) or is DEL. Eight bytes at a time: a
 * borrow in the subtractions can only raise a false alarm above a true one, and the byte loop then finds the
 * true one.
 */
static size_t find_control(const char *p, size_t i, size_t end, unsigned char low)
{
	const uint64_t ones = UINT64_MAX / 255, tops = ones * 0x80;

	for (; end - i >= 8; i += 8) {
		uint64_t x, del;
		memcpy(&x, p + i, sizeof x);
		del = x ^ ones * 0x7f;
		if (((x - ones * low) & ~x & tops) | ((del - ones) & ~del & tops))
			break;
	}
	while (i < end && (unsigned char)p[i] >= low && p[i] != 0x7f)
		i++;
	return i;
}

/* As find_control with the control bytes, but passes over HTAB. */
static size_t find_value_end(const char *p, size_t i, size_t end)
{
	while ((i = find_control(p, i, end, ' ')) < end && p[i] == '\t')
		i++;
	return i;
}

bool http_is_value(struct text t)
{
	return t.n == 0 || find_value_end(t.p, 0, t.n) == t.n;
}

/* ------------------------------------------------------------------------------------------ request line */

static enum head_result bad(struct request_head *h, unsigned status, const char *reason)
{
	h->status = status;
	h->reason = reason;
	return HEAD_BAD;
}

/* The end of the window of a line from `start`: of `limit` bytes and its CR. */
static size_t window(size_t start, size_t n, size_t limit)
{
	return n - start > limit ? start + limit + 1 : n;
}

/* At the end of a window: the bytes have not come yet, or the line is too long. */
static enum head_result at_end(struct request_head *h, size_t start, size_t n, size_t limit)
{
	return n - start > limit ? bad(h, 414, "the request line is longer than LimitRequestLine") : HEAD_MORE;
}

static enum head_result skip_empty_lines(const char *p, size_t n, struct request_head *h, size_t *start)
{
	size_t i = 0;

	while (i < n && p[i] == '\r') {
		if (i == (size_t)2 * EMPTY_LINES_MAX)
			return bad(h, 400, "too many empty lines before the request line");
		if (i + 1 == n)
			return HEAD_MORE;
		if (p[i + 1] != '\n')
			return bad(h, 400, "a CR without LF before the request line");
		i += 2;
	}
	*start = i;
	return i < n ? HEAD_DONE : HEAD_MORE;
}

/* What of the request line has come, for the log; the rest of a refused line is not waited for. */
static void keep_line(struct request_head *h, const char *p, size_t start, size_t n, size_t limit)
{
	size_t end = window(start, n, limit);
	const char *lf = memchr(p + start, '\n', end - start);

	if (lf)
		end = (size_t)(lf - p);
	if (end > start && p[end - 1] == '\r')
		end--;
	h->line = (struct text){ p + start, end - start };
}

static const char *bad_target_end(char c)
{
	if (c == '\r' || c == '\n')
		return "the request line has no version (HTTP/0.9 is not spoken)";
	return "a control character in the request target";
}

static const char *bad_version(char wanted, char c)
{
	if (wanted != '\r')
		return "the last word of the request line is no HTTP version";
	return c == '\n' ? "the request line ends with a bare LF" : "something follows the version";
}

/* "HTTP/d.d" at i, then CRLF. */
static enum head_result parse_version(const char *p, size_t n, size_t start, size_t i, size_t limit,
	struct request_head *h)
{
	static const char form[] = "HTTP/d.d\r";
	size_t end = window(start, n, limit);

	for (size_t k = 0; k < sizeof form - 1; k++, i++) {
		if (i == end)
			return at_end(h, start, n, limit);
		if (form[k] == 'd' ? p[i] < '0' || p[i] > '9' : p[i] != form[k])
			return bad(h, 400, bad_version(form[k], p[i]));
	}
	if (i == n)                     /* the LF may stand behind the window */
		return HEAD_MORE;
	if (p[i] != '\n')
		return bad(h, 400, "the request line ends with a bare CR");
	h->major = (unsigned)(p[i - 4] - '0');
	h->minor = (unsigned)(p[i - 2] - '0');
	return h->major == 1 ? HEAD_DONE : bad(h, 505, "the version is not HTTP/1");
}

/* METHOD SP target SP version CRLF; *next is where the field lines begin. */
static enum head_result parse_line(const char *p, size_t n, size_t start, size_t limit,
	struct request_head *h, size_t *next)
{
	size_t end = window(start, n, limit), i = start, target;
	enum head_result r;

	while (i < end && i - start <= METHOD_MAX && token_char[(unsigned char)p[i]])
		i++;
	if (i - start > METHOD_MAX)
		return bad(h, 501, "the method is longer than any that is known");
	if (i == end)
		return at_end(h, start, n, limit);
	if (p[i] != ' ' || i == start)
		return bad(h, 400, "the first word is no method: this is not HTTP");
	h->method = (struct text){ p + start, i - start };
	h->method_id = http_method_find(h->method);
	target = ++i;
	i = find_control(p, i, end, ' ' + 1);
	if (i == end)
		return at_end(h, start, n, limit);
	if (p[i] != ' ')
		return bad(h, 400, bad_target_end(p[i]));
	if (i == target)
		return bad(h, 400, "more than one blank between the words of the request line");
	h->target = (struct text){ p + target, i - target };
	r = parse_version(p, n, start, i + 1, limit, h);
	*next = i + 1 + sizeof "HTTP/d.d\r\n" - 1;
	return r;
}

/* ------------------------------------------------------------------------------------------- field lines */

static const char *bad_name(const char *p, size_t start, size_t at)
{
	char c = p[at];

	if (c == ' ' || c == '\t')
		return at == start ? "a field line begins with a blank (obsolete folding)"
			: "a blank before the colon of a field line";
	if (c == '\r' || c == '\n')
		return at == start ? "a line of a bare LF among the fields" : "a field line without a colon";
	return c == ':' ? "a field line without a name" : "a character that no field name has";
}

/*
 * One field line from *at; *at moves to the next one. HEAD_MORE: it is not whole; HEAD_DONE: it was added.
 */
static enum head_result parse_field(const char *p, size_t n, size_t *at, size_t limit, struct request_head *h)
{
	size_t start = *at, end = window(start, n, limit), i = start, name, value;
	bool cut = n - start > limit;

	while (i < end && token_char[(unsigned char)p[i]])
		i++;
	if (i < end && (p[i] != ':' || i == start))
		return bad(h, 400, bad_name(p, start, i));
	name = i;
	value = i < end ? i + 1 : i;
	while (value < end && (p[value] == ' ' || p[value] == '\t'))
		value++;
	i = find_value_end(p, value, end);
	if (i == end)
		return cut ? bad(h, 431, "a field line is longer than LimitRequestFieldSize") : HEAD_MORE;
	if (p[i] != '\r')
		return bad(h, 400, p[i] == '\n' ? "a field line ends with a bare LF"
			: "a control character in a field value");
	if (i + 1 == n)
		return HEAD_MORE;
	if (p[i + 1] != '\n')
		return bad(h, 400, "a CR without LF in a field line");
	*at = i + 2;
	while (i > value && (p[i - 1] == ' ' || p[i - 1] == '\t'))
		i--;
	if (fields_add(&h->fields, (struct text){ p + start, name - start },
		       (struct text){ p + value, i - value }) != 0)
		return bad(h, 503, "out of memory for the fields");
	return HEAD_DONE;
}

static enum head_result parse_fields(const char *p, size_t n, size_t at, const struct head_limits *limits,
	struct request_head *h, size_t *used)
{
	while (at < n) {
		enum head_result r;
		if (p[at] == '\r') {
			if (at + 1 == n)
				return HEAD_MORE;
			if (p[at + 1] != '\n')
				return bad(h, 400, "a CR without LF among the fields");
			*used = at + 2;
			return HEAD_DONE;
		}
		if (limits->fields && h->fields.n == limits->fields)
			return bad(h, 431, "more fields than LimitRequestFields");
		r = parse_field(p, n, &at, limits->field, h);
		if (r != HEAD_DONE)
			return r;
	}
	return HEAD_MORE;
}

/*
 * Whether parse_fields has something to say: the head's end is there, or a line that it will refuse. Errors
 * within a line can wait until then. False means HEAD_MORE.
 */
static bool worth_parsing(const char *p, size_t n, size_t at, const struct head_limits *limits)
{
	if (p[n - 2] == '\r' && p[n - 1] == '\n' && p[n - 3] == '\n')
		return true;            /* as nearly every head comes */
	for (unsigned lines = 0; at < n; lines++) {
		const char *lf = memchr(p + at, '\n', n - at);
		size_t end = lf ? (size_t)(lf - p) : n, length = end - at;
		bool cr = length && p[end - 1] == '\r';
		if ((lf && (!cr || length == 1)) || length - cr > limits->field)
			return true;
		if (p[at] == '\r' ? at + 1 < n : limits->fields && lines == limits->fields)
			return true;
		at = end + 1;
	}
	return false;
}

enum head_result head_parse_request(const char *p, size_t n, const struct head_limits *limits,
	struct request_head *h, size_t *used)
{
	size_t start = 0, fields = 0;
	enum head_result r;

	h->line = h->method = h->target = (struct text){ NULL, 0 };
	h->method_id = HTTP_OTHER;
	h->major = h->minor = h->status = 0;
	h->reason = NULL;
	h->fields.n = 0;
	*used = 0;
	r = skip_empty_lines(p, n, h, &start);
	if (r != HEAD_DONE)
		return r;
	r = parse_line(p, n, start, limits->line, h, &fields);
	if (r == HEAD_MORE)
		return HEAD_MORE;
	if (r == HEAD_BAD) {
		keep_line(h, p, start, n, limits->line);
		return HEAD_BAD;
	}
	h->line = (struct text){ p + start, fields - 2 - start };
	return worth_parsing(p, n, fields, limits) ? parse_fields(p, n, fields, limits, h, used) : HEAD_MORE;
}

/* ------------------------------------------------------------------------------------------------ phrases */

const char *http_phrase(unsigned status)
{
	static const char *const phrases[] = {
		[100] = "Continue", [101] = "Switching Protocols", [102] = "Processing", [103] = "Early Hints",
		[200] = "OK", [201] = "Created", [202] = "Accepted", [203] = "Non-Authoritative Information",
		[204] = "No Content", [205] = "Reset Content", [206] = "Partial Content", [207] = "Multi-Status",
		[208] = "Already Reported", [226] = "IM Used",
		[300] = "Multiple Choices", [301] = "Moved Permanently", [302] = "Found", [303] = "See Other",
		[304] = "Not Modified", [305] = "Use Proxy", [307] = "Temporary Redirect", [308] = "Permanent Redirect",
		[400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden",
		[404] = "Not Found", [405] = "Method Not Allowed", [406] = "Not Acceptable",
		[407] = "Proxy Authentication Required", [408] = "Request Timeout", [409] = "Conflict", [410] = "Gone",
		[411] = "Length Required", [412] = "Precondition Failed", [413] = "Request Entity Too Large",
		[414] = "Request-URI Too Long", [415] = "Unsupported Media Type", [416] = "Requested Range Not Satisfiable",
		[417] = "Expectation Failed", [418] = "I'm A Teapot", [421] = "Misdirected Request",
		[422] = "Unprocessable Entity", [423] = "Locked", [424] = "Failed Dependency", [425] = "Too Early",
		[426] = "Upgrade Required", [428] = "Precondition Required", [429] = "Too Many Requests",
		[431] = "Request Header Fields Too Large", [451] = "Unavailable For Legal Reasons",
		[500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway",
		[503] = "Service Unavailable", [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported",
		[506] = "Variant Also Negotiates", [507] = "Insufficient Storage", [508] = "Loop Detected",
		[510] = "Not Extended", [511] = "Network Authentication Required",
	};

	return status < sizeof phrases / sizeof phrases[0] && phrases[status] ? phrases[status] : "Unknown";
}
