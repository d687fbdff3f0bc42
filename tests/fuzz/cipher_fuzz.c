/*
 * cipher_fuzz.c - fuzzes server/tls/cipherstring.c with strings of SSLCipherSuite. Holds:
 * - a list that was made is not empty, has no suite twice, and none of TLS 1.3 (or no other in the list for 1.3);
 * - what is refused is explained;
 * - the list's own names, written as a string, give the list again.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "tls/cipherstring.h"

static void say(void *ctx, const char *word, const char *why)
{
	(void)ctx;
	CHECK(word && why && *why);
}

static void check_list(const struct suite_list *l, bool tls13)
{
	CHECK(l->n >= 1 && l->n <= SUITES_MAX);
	for (unsigned i = 0; i < l->n; i++) {
		CHECK((l->at[i]->since == 0x0304) == tls13);
		for (unsigned k = 0; k < i; k++)
			CHECK(l->at[k] != l->at[i]);
	}
}

static void check_names(const struct suite_list *l)
{
	static char names[SUITES_MAX * 64];
	struct suite_list again;
	size_t n = 0;
	struct err e = { .text = "" };

	for (unsigned i = 0; i < l->n; i++)
		n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ":" : "", l->at[i]->openssl);
	CHECK(cipherstring_eval(names, &again, NULL, NULL, &e) == 0);
	CHECK(again.n == l->n && memcmp(again.at, l->at, l->n * sizeof *l->at) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);
	struct suite_list list = { .n = 0 };
	struct err e = { .text = "" };

	if (n)
		memcpy(text, data, n);
	text[n] = '\0';
	if (cipherstring_eval(text, &list, say, NULL, &e) == 0) {
		check_list(&list, false);
		check_names(&list);
	} else {
		CHECK(e.text[0]);
	}
	list.n = 0;
	e.text[0] = '\0';
	if (cipherstring_eval13(text, &list, &e) == 0)
		check_list(&list, true);
	else
		CHECK(e.text[0]);
	free(text);
	return 0;
}
