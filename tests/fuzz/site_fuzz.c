/*
 * site_fuzz.c - fuzzes requests against a site of real files with the real handlers: server/request/ (negotiation,
 * preconditions, ranges, the meaning of fields), server/auth/ (Basic, Digest, groups), server/handler/ (files, listings,
 * type maps, as-is), server/rewrite/, server/filter/. The first byte of an input says how the rest is cut, the rest is
 * what the client sends. Holds:
 * - each answer begins as one does, and the connection ends when the client does;
 * - what lies outside of DocumentRoot, and what a password guards, is never sent.
 */
#include "tests/fuzz/served.h"

#include "tests/fuzz/folder.h"

static const char SECRET[] = "Xyzzy-4711";

/* The folder's name in place of each %s. The site lies in its folder s, users' files beside it. */
static const char conf[] =
	"ServerName h.test\nDocumentRoot %s/s\nKeepAlive on\n"
	"AddType text/html .html\nAddType text/plain .txt\nAddLanguage en .en\nAddLanguage de .de\n"
	"AddLanguage pt-BR .br\nAddCharset utf-8 .u8\n"
	"AddEncoding x-gzip .gz\nAddHandler type-map .var\nAddHandler send-as-is .asis\nLanguagePriority de en\n"
	"DirectoryIndex index.html index.var\n"
	"<Directory %s/s>\nOptions Indexes MultiViews SymLinksIfOwnerMatch\n"
	"IndexOptions FancyIndexing HTMLTable VersionSort XHTML\nFileETag All\n"
	"AddOutputFilterByType DEFLATE text/html\nCheckSpelling on\nExpiresActive on\n"
	"ExpiresDefault \"access plus 1 day\"\n</Directory>\n"
	"<Directory %s/s/basic>\nAuthType Basic\nAuthName b\nAuthUserFile %s/users\nAuthGroupFile %s/groups\n"
	"<RequireAny>\nRequire group staff\nRequire user ann\n</RequireAny>\n</Directory>\n"
	"<Directory %s/s/digest>\nAuthType Digest\nAuthName d\nAuthUserFile %s/digests\nAuthDigestNonceLifetime -1\n"
	"Require valid-user\n</Directory>\n"
	"<Directory %s/s/from>\n<RequireAll>\nRequire ip 192.0.2.0/24 2001:db8::/32\nRequire not ip 192.0.2.7\n"
	"</RequireAll>\n"
	"Require expr \"%%{HTTP_COOKIE} =~ /(^|; )k=([a-z]+)/ && %%{req:X-A} -in { '1', '2' } || -n %%{QUERY_STRING}\"\n"
	"</Directory>\n"
	"RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 192.0.2.0/30\n"
	"SetEnvIf User-Agent \"^(.*)/([0-9]+)\" agent=$1 v=$2\nSetEnvIfNoCase Cookie \"\\bs=(\\w+)\" session=$1\n"
	"BrowserMatch MSIE nokeepalive downgrade-1.0\n"
	"RewriteEngine on\nRewriteCond %%{HTTP_COOKIE} l=(\\w+)\nRewriteRule ^/lang/(.*) /$1.%%1 [PT,CO=l:%%1:h.test]\n"
	"RewriteRule ^/go/(.*) /$1 [R=302,NE]\nRewriteRule ^/a(\\d+)/(.*) /b/$2?n=$1 [QSA,L]\n"
	"Header set X-Seen \"%%{agent}e %%{session}e\"\nHeader edit* Vary \",\" \";\"\n"
	"Header always append X-All \"expr=%%{tolower:%%{HTTP_HOST}}\"\n"
	"RequestHeader unset X-Drop\nRequestHeader edit Cookie \"a=(\\d)\" \"b=$1\"\n"
	"Redirect gone /gone\nRedirectMatch 307 ^/r/(.*)\\.x$ /$1.y\nAlias /b %s/s/d\nErrorDocument 404 /page.html\n";

static void put(const char *name, const char *text)
{
	folder_put(name, text, strlen(text));
}

/* {SHA} alone: other hashes are slow, and need threads. */
static void make_site(void)
{
	static char text[sizeof conf + 1024];

	folder_make();
	put("s/", "");
	put("s/d/", "");
	put("s/basic/", "");
	put("s/digest/", "");
	put("s/from/", "");
	put("users", "# ann: secret, bob: Xyzzy-4711\nann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nbob:{SHA}c2lsbHlzaWxseXNpbGx5MTI=\n");
	put("groups", "staff: bob ann\nXyzzy-4711: ann\n");
	put("digests", "ann:d:5ebe2294ecd0e0f08eab7690d2a6ee69\nXyzzy-4711:d:5ebe2294ecd0e0f08eab7690d2a6ee69\n");
	put("s/page.html", "<p>A page of some length, so that ranges of it, and codings, have something to do: abcdefghijklmnopqrstuvwxyz 0123456789\n");
	put("s/doc.en.html", "<p>English\n");
	put("s/doc.de.html", "<p>Deutsch\n");
	put("s/doc.br.html.gz", "\x1f\x8b no real one");
	put("s/doc.txt.u8", "plain\n");
	put("s/map.var", "URI: map; vary=\"language\"\n\nURI: doc.en.html\nContent-Type: text/html; qs=0.8\nContent-Language: en\n\n"
		"URI: doc.de.html\nContent-Type: text/html; qs=0.5\nContent-Language: de\n\nURI: doc.txt.u8\nContent-Type: text/plain; charset=utf-8\n\n"
		"Content-Type: text/plain; charset=\"iso-8859-1\"; qs=0.1\nBody:----x----\nwithin the map\n----x----\n");
	put("s/raw.asis", "Status: 207 Some\nContent-Type: text/x\nX-Y: z\n\nas it is\n");
	put("s/d/file with space.txt", "1");
	put("s/d/a&b.html", "2");
	put("s/d/.hidden", SECRET);
	put("s/basic/secret.txt", SECRET);
	put("s/digest/secret.txt", SECRET);
	put("s/from/here.txt", "here\n");
	snprintf(text, sizeof text, conf, folder, folder, folder, folder, folder, folder, folder, folder, folder);
	served_start(text);
}

/* A password may have been sent, then all that it opens may come back. */
static bool knows(const uint8_t *data, size_t n)
{
	for (size_t at = 0; at + 13 <= n; at++)
		if (strncasecmp((const char *)data + at, "authorization", 13) == 0)
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char sink[65536];
	size_t step = n && data[0] ? (size_t)data[0] * 4 : n;
	bool first = true;
	ssize_t got;

	if (n < 2 || n > 16384)
		return 0;
	if (!served.server)
		make_site();
	served_connect();
	for (size_t at = 1; at < n; at += step) {
		served_send(data + at, n - at < step ? n - at : step, 4);
		served_turns(2);
		while ((got = served_read(sink, sizeof sink)) > 0) {
			if (first && got >= 9)
				CHECK(memcmp(sink, "HTTP/1.", 7) == 0);
			first = false;
			CHECK(!memmem(sink, (size_t)got, SECRET, sizeof SECRET - 1) || knows(data, n) || memmem(data, n, SECRET, sizeof SECRET - 1));
			served_turns(1);
		}
	}
	served_close();
	return 0;
}
