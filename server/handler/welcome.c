/*
 * welcome.c - "bulkhead-welcome": one page that says that the server works and what this connection looks like. Runs in
 * the children; nothing from outside is loaded by it.
 */
#include "handler/welcome.h"

#include <string.h>

#include "base/version.h"
#include "request/request.h"
#include "request/response.h"

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<title>Bulkhead works</title>\n"
	"<link rel=\"icon\" href=\"data:,\">\n"
	"<style>\n"
	":root{color-scheme:light dark;--ink:#17202a;--soft:#5b6775;--paper:#f7f8fa;--card:#fff;--line:#dfe3e8;--mark:#0b6e5f}\n"
	"@media(prefers-color-scheme:dark){:root{--ink:#e8ecf0;--soft:#9aa6b2;--paper:#11161c;--card:#1a2129;--line:#2b343f;--mark:#4cc9b0}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.55 system-ui,sans-serif}\n"
	"main{max-width:42rem;margin:0 auto;padding:11vh 1.5rem 4rem}\n"
	"h1{font-size:2.1rem;line-height:1.2;margin:0 0 .4rem;letter-spacing:-.01em}\n"
	"h1 span{color:var(--mark)}\n"
	"h2{font-size:1.05rem;margin:2.4rem 0 .6rem}\n"
	"p{margin:.4rem 0}.soft{color:var(--soft)}\n"
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.4rem;margin:1.6rem 0 0;padding:1.1rem 1.3rem;"
	"background:var(--card);border:1px solid var(--line);border-radius:.7rem}\n"
	"dt{color:var(--soft)}dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}\n"
	"pre{margin:.5rem 0;padding:.8rem 1rem;background:var(--card);border:1px solid var(--line);border-radius:.5rem;overflow-x:auto;"
	"font:14px/1.5 ui-monospace,monospace}\n"
	"ol{padding-left:1.2rem}li{margin:.7rem 0}\n"
	"</style>\n</head>\n<body>\n<main>\n"
	"<h1>Bulkhead <span>works</span></h1>\n"
	"<p class=\"soft\">This page is built in. It shows the connection that brought it to you.</p>\n";

static const char steps_head[] = "<h2>Two next steps</h2>\n<ol>\n<li>Ask again from a terminal:\n<pre>curl ";

static const char steps_tail[] =
	"/</pre></li>\n<li>Serve your own site with a configuration in Apache's language:\n<pre>"
	"Listen 80\nDocumentRoot \"/srv/www\"\n&lt;Directory \"/srv/www\"&gt;\n    Require all granted\n&lt;/Directory&gt;</pre>\n"
	"<p class=\"soft\">Check it with <code>bulkhead -t -f FILE</code>, start it with <code>bulkhead -f FILE</code>.</p></li>\n"
	"</ol>\n</main>\n</body>\n</html>\n";

static void row(struct buf *b, const char *name, struct text value)
{
	if (!value.n)
		return;
	buf_printf(b, "<dt>%s</dt><dd>", name);
	buf_put_html(b, value);
	buf_puts(b, "</dd>\n");
}

static void put_connection(struct request *r, struct buf *b)
{
	struct client *c = r->client;
	struct text resumed;

	buf_puts(b, "<dl>\n");
	if (c->secure) {
		resumed = client_variable(c, "SSL_SESSION_RESUMED", r->arena);
		row(b, "Protocol", client_variable(c, "SSL_PROTOCOL", r->arena));
		row(b, "Cipher", client_variable(c, "SSL_CIPHER", r->arena));
		row(b, "Session", text_is_nocase(resumed, "Resumed") ? TEXT("resumed from an earlier connection") :
		    TEXT("new; the next connection can resume it"));
		row(b, "Name asked for", c->sni);
	} else {
		row(b, "Protocol", TEXT("plain HTTP, not encrypted"));
	}
	row(b, "Your address", text_of(c->peer_text));
	row(b, "Server", TEXT("Bulkhead " BULKHEAD_VERSION));
	buf_puts(b, "</dl>\n");
}

static void put_steps(struct request *r, struct buf *b)
{
	const char *origin = response_origin(r);

	buf_puts(b, steps_head);
	if (r->client->secure)
		buf_puts(b, "--cacert build/run/localhost.pem ");
	buf_put_html(b, text_of(origin ? origin : ""));
	buf_puts(b, steps_tail);
}

static void start(struct request *r)
{
	size_t cap = sizeof(head) + sizeof(steps_head) + sizeof(steps_tail) + 8192;
	struct buf b;
	char *p;

	if (r->method_id != HTTP_GET && r->method_id != HTTP_HEAD) {
		fields_set(&r->always, "Allow", "GET,HEAD,OPTIONS");
		response_error(r, 405);
		return;
	}
	if (!r->path || strcmp(r->path, "/") != 0) {
		response_error(r, 404);
		return;
	}
	if (!(p = arena_alloc(r->arena, cap))) {
		response_error(r, 503);
		return;
	}
	buf_init(&b, p, cap);
	buf_put(&b, head, sizeof(head) - 1);
	put_connection(r, &b);
	put_steps(r, &b);
	fields_add(&r->out, TEXT("Cache-Control"), TEXT("no-store"));
	response_text(r, 200, "text/html; charset=utf-8", b.p, b.n);
}

const struct handler welcome_handler = { .name = "bulkhead-welcome", .start = start };
