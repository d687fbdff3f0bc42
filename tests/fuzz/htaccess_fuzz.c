/*
 * htaccess_fuzz.c - fuzzes per-directory files through a whole child (server/request/htaccess.c, conf/, and every
 * module's table and setters for .htaccess), with all overrides allowed: the input up to its first line feed is the
 * target of a request, the rest is the file. Each file is asked twice, as it is read and as it is kept. Holds:
 * - there is an answer, whatever the file says, and it begins as one;
 * - the configuration of the server is what it was: the folder beside, which has no such file, answers 200.
 */
#include "tests/fuzz/served.h"

#include "ssi/ssi.h"
#include "tests/fuzz/folder.h"

static const char conf[] =
	"ServerName h.test\nDocumentRoot %s/s\nAccessFileName .htaccess\nServerAdmin you@example.com\n"
	"<Directory %s/s>\nAllowOverride All\nOptions All MultiViews\n</Directory>\n"
	"<Directory %s/s/beside>\nAllowOverride None\nOptions None\n</Directory>\n";

static void make_site(void)
{
	static char text[sizeof conf + 256];

	folder_make();
	folder_put("s/", "", 0);
	folder_put("s/d/", "", 0);
	folder_put("s/d/sub/", "", 0);
	folder_put("s/beside/", "", 0);
	folder_put("s/d/page.html", "<p><!--#echo var=\"QUERY_STRING\" -->\n", 36);
	folder_put("s/d/page.html.de", "<p>Deutsch\n", 11);
	folder_put("s/d/users", "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", 38);
	folder_put("s/d/sub/x.txt", "1\n", 2);
	folder_put("s/beside/page.html", "<p>beside\n", 10);
	ssi_register();
	snprintf(text, sizeof text, conf, folder, folder, folder);
	served_start(text);
}

/* Asks for it; the status of the answer, which is read to its end. */
static int ask(const char *target, size_t n)
{
	static char sink[65536];
	char line[1024];
	int length = snprintf(line, sizeof line,
			      "GET %.*s HTTP/1.0\r\nHost: h.test\r\nCookie: a=b; k=v\r\nUser-Agent: fuzz/1 (x)\r\nReferer: http://h.test/\r\n"
			      "Accept-Language: de, en;q=0.5\r\nAccept-Encoding: gzip\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n", (int)n, target);
	int status = 0;
	ssize_t got;

	CHECK(length > 0 && (size_t)length < sizeof line);
	served_connect();
	CHECK(served_send(line, (size_t)length, 4) == (size_t)length);
	while ((got = served_read(sink, sizeof sink)) >= 0) {
		if (!status && got >= 12 && memcmp(sink, "HTTP/1.1 ", 9) == 0)
			status = atoi(sink + 9);
		if (got)
			continue;
		served_turns(1);
		sched_yield();                  /* a slow hash is a thread's */
	}
	served_close();
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *eol = memchr(data, '\n', n);
	size_t target = eol ? (size_t)(eol - data) : 0;

	if (!eol || !target || target > 300 || data[0] != '/' || n > 8192)
		return 0;
	for (size_t i = 0; i < target; i++)
		if (data[i] <= ' ' || data[i] > '~')
			return 0;
	if (!served.server)
		make_site();
	/* The content is written in place, so that a file which was kept has changed at the same moment. */
	folder_put("s/d/.htaccess", eol + 1, n - target - 1);
	CHECK(ask((const char *)data, target) >= 200);
	CHECK(ask((const char *)data, target) >= 200);
	CHECK(ask("/beside/page.html", 17) == 200);
	return 0;
}
