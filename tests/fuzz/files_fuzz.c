/*
 * files_fuzz.c - fuzzes files that authors of sites write, and that requests read: users, digests and groups
 * (server/auth/userfile.c, groupfile.c, password.c), type maps and as-is files (handler/typemap.c, asis.c,
 * request/negotiate.c), maps of rewriting (rewrite/map.c), the texts of listings and what file() reads
 * (handler/index*.c, request/varfile.c). The first byte of an input says which file the rest is. Holds:
 * - there is an answer, whatever the file says;
 * - nobody is let in whom the file does not name; a type map leads to nothing outside of the site.
 */
#include "tests/fuzz/served.h"

#include "tests/fuzz/folder.h"

/* The folder's name in place of each %s. */
static const char conf[] =
	"ServerName h.test\nDocumentRoot %s/s\nAddHandler type-map .var\nAddHandler send-as-is .asis\n"
	"AddLanguage en .en\nRewriteEngine on\nRewriteMap m txt:%s/map\n"
	"RewriteMap r rnd:%s/map\nRewriteRule ^/map/(.*) /page.html?${m:$1|none}&${r:$1} [L]\n"
	"<Directory %s/s>\nOptions Indexes\nIndexOptions FancyIndexing\nHeaderName head.html\n</Directory>\n"
	"<Location /basic>\nSetHandler none\nAuthType Basic\nAuthName b\nAuthUserFile %s/users\nRequire valid-user\n</Location>\n"
	"<Location /group>\nAuthType Basic\nAuthName b\nAuthUserFile %s/known\nAuthGroupFile %s/groups\n"
	"Require group staff\n</Location>\n"
	"<Location /digest>\nAuthType Basic\nAuthName d\nAuthBasicUseDigestAlgorithm MD5\nAuthUserFile %s/digests\n"
	"Require valid-user\n</Location>\n"
	"<Location /expr>\nRequire expr \"file('%s/text') =~ /^a+b/\"\n</Location>\n";

static const struct { char letter; const char *file, *path, *name; } kinds[] = {
	{ 'u', "users", "/basic", "ann:" }, { 'g', "groups", "/group", "staff" }, { 'd', "digests", "/digest", "ann:" }, { 'v', "s/m.var", "/m.var", "" },
	{ 'a', "s/a.asis", "/a.asis", "" }, { 'm', "map", "/map/key", "" }, { 'h', "s/d/head.html", "/d/", "" }, { 'f', "text", "/expr", "" },
};

static void make_site(void)
{
	static char text[sizeof conf + 512];

	folder_make();
	folder_put("s/", "", 0);
	folder_put("s/d/", "", 0);
	folder_put("known", "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", 38);
	folder_put("s/page.html", "<p>\n", 4);
	folder_put("s/doc.en.html", "<p>English\n", 11);
	folder_put("s/basic", "x\n", 2);
	folder_put("s/group", "x\n", 2);
	folder_put("s/digest", "x\n", 2);
	folder_put("s/expr", "x\n", 2);
	folder_put("map", "key value\n", 10);
	folder_put("secret", "Xyzzy-4711\n", 11);
	snprintf(text, sizeof text, conf, folder, folder, folder, folder, folder, folder, folder, folder, folder);
	served_start(text);
}

/* The status of the answer. */
static int ask(const char *path)
{
	static char sink[65536];
	char line[512];
	int length = snprintf(line, sizeof line, "GET %s HTTP/1.0\r\nHost: h.test\r\nAccept: text/html;q=0.9, text/*;q=0.5\r\nAccept-Language: de, en;q=0.5\r\n"
			      "Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n", path);
	int status = 0;
	ssize_t got;

	served_connect();
	CHECK(served_send(line, (size_t)length, 4) == (size_t)length);
	while ((got = served_read(sink, sizeof sink)) >= 0) {
		if (!status && got >= 12 && memcmp(sink, "HTTP/1.1 ", 9) == 0)
			status = atoi(sink + 9);
		CHECK(!got || !memmem(sink, (size_t)got, "Xyzzy", 5) || strstr(path, "asis") || strstr(path, "/d/") || strstr(path, ".var"));
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
	if (!served.server)
		make_site();
	for (size_t i = 0; n > 0 && n < 8192 && i < sizeof kinds / sizeof *kinds; i++) {
		int status;

		if (data[0] != (uint8_t)kinds[i].letter)
			continue;
		folder_put(kinds[i].file, data + 1, n - 1);
		status = ask(kinds[i].path);
		CHECK(status >= 200 || kinds[i].letter == 'a');
		if (*kinds[i].name && status == 200)
			CHECK(memmem(data, n, kinds[i].name, strlen(kinds[i].name)));
	}
	return 0;
}
