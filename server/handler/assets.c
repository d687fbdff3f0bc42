/*
 * assets.c - what the server's own pages look like: pages.css and status.js, taken into the program as they are when it is built. Runs in
 * the children. Pages hold both in themselves, so that they need no address beside their own; their hashes let browsers run nothing else.
 */
#include "handler/assets.h"

#include <gcrypt.h>
#include <stdio.h>

#include "base/secret.h"
#include "request/response.h"

/* GNUmakefile makes this object anew where one of the files has changed. */
#define ASSET(name, file) \
	__asm__(".section .rodata\n" \
		".global " #name ", " #name "_end\n" \
		#name ":\n.incbin \"" file "\"\n" #name "_end:\n.byte 0\n.previous\n"); \
	extern const char name[], name##_end[]

ASSET(asset_style, "server/handler/pages.css");
ASSET(asset_live, "server/handler/status.js");

#define HASH 32
#define HASH_TEXT 45                    /* in base64, with its NUL */

static void put_base64(const unsigned char *p, char *to)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (unsigned i = 0; i < HASH; i += 3) {
		unsigned left = HASH - i, v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);

		*to++ = letters[v >> 18];
		*to++ = letters[v >> 12 & 63];
		*to++ = left > 1 ? letters[v >> 6 & 63] : '=';
		*to++ = left > 2 ? letters[v & 63] : '=';
	}
	*to = '\0';
}

static void put_hash(const char *from, const char *end, char *text)
{
	unsigned char hash[HASH];

	gcry_md_hash_buffer(GCRY_MD_SHA256, hash, from, (size_t)(end - from));
	put_base64(hash, text);
}

/* Made once a process. */
static const char *policy(bool script)
{
	static char with[768], without[512], style[HASH_TEXT], code[HASH_TEXT];

	if (!*with) {
		secret_hash_init();
		put_hash(asset_style, asset_style_end, style);
		put_hash(asset_live, asset_live_end, code);
		snprintf(without, sizeof(without), "default-src 'none'; style-src 'sha256-%s'; img-src data:; form-action 'self'; base-uri 'none'; "
			 "frame-ancestors 'self'", style);
		snprintf(with, sizeof(with), "%s; script-src 'sha256-%s'; connect-src 'self'", without, code);
	}
	return script ? with : without;
}

void assets_begin(struct page *p, struct request *r, const char *title, bool script)
{
	fields_add(&r->out, TEXT("Content-Security-Policy"), text_of(policy(script)));
	fields_add(&r->out, TEXT("X-Content-Type-Options"), TEXT("nosniff"));
	fields_add(&r->out, TEXT("Referrer-Policy"), TEXT("no-referrer"));
	page_puts(p, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n"
		  "<link rel=\"icon\" href=\"data:,\">\n<title>");
	page_htmls(p, title);
	page_puts(p, "</title>\n<style>");
	page_put(p, asset_style, (size_t)(asset_style_end - asset_style));
	page_puts(p, "</style>\n</head>\n<body>\n");
}

void assets_script(struct page *p)
{
	page_puts(p, "<script>");
	page_put(p, asset_live, (size_t)(asset_live_end - asset_live));
	page_puts(p, "</script>\n");
}

void assets_end(struct page *p, struct request *r)
{
	page_puts(p, "<footer>");
	response_signature(r, page_room(p, 2048));
	page_puts(p, "</footer>\n</body>\n</html>\n");
}
