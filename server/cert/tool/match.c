/*
 * match.c - the command match of bulkhead-cert: whether key, certificate and request are of one key pair. Public keys
 * are compared, by the SHA-256 of their SubjectPublicKeyInfo.
 */
#include <getopt.h>
#include <string.h>

#include "cert/tool/tool.h"

#define MATCH_MAX 64

struct side {
	char path[256];
	const char *words;
	unsigned char id[32];
};
struct sides {
	struct side at[MATCH_MAX];
	unsigned n;
};

/* Of each kind the first: a chain's others belong to the authorities. */
static int add_file(struct sides *all, const char *path, struct phrase *p, struct err *e)
{
	static const enum item_kind kinds[] = { ITEM_CERT, ITEM_KEY, ITEM_CSR, ITEM_PUBLIC };
	unsigned before = all->n;
	struct items s;
	int r = items_read(&s, path, p, e);

	for (unsigned i = 0; i < 4 && r == 0; i++) {
		const struct item *it = items_first(&s, kinds[i]);

		if (!it || all->n == MATCH_MAX)
			continue;
		snprintf(all->at[all->n].path, sizeof all->at[0].path, "%s", s.path);
		all->at[all->n].words = item_words(it);
		if (item_key_id(it, all->at[all->n++].id) < 0)
			r = err_set(e, "the public key of %s in %s cannot be read", item_words(it), s.path);
	}
	if (r == 0 && all->n == before)
		r = items_want(&s, ITEM_KEY, e) ? 0 : -1;
	items_free(&s);
	return r;
}

static bool equal(const struct sides *all)
{
	bool yes = true;

	for (unsigned i = 1; i < all->n; i++)
		yes &= memcmp(all->at[0].id, all->at[i].id, 32) == 0;
	return yes;
}

static void hex(const unsigned char *id, char out[97])
{
	for (unsigned i = 0; i < 32; i++)
		snprintf(out + 3 * i, 4, "%02x%s", id[i], i < 31 ? ":" : "");
}

static int print_json(const struct sides *all)
{
	json_t *list = json_array();
	char id[97];

	for (unsigned i = 0; i < all->n; i++) {
		char path[256];

		snprintf(path, sizeof path, "%s", all->at[i].path);
		hex(all->at[i].id, id);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "file", tool_clean(path), "holds",
						      all->at[i].words, "key-id", id));
	}
	return tool_print_json(json_pack("{s:b, s:o}", "match", equal(all), "keys", list));
}

static void print_text(const struct sides *all)
{
	char id[97];

	for (unsigned i = 0; i < all->n; i++) {
		char path[256];

		snprintf(path, sizeof path, "%s", all->at[i].path);
		hex(all->at[i].id, id);
		printf("%s  %s, %s\n", id, tool_clean(path), all->at[i].words);
	}
	puts(equal(all) ? "They match." : "They do not match: each was made for another key.");
}

int tool_match(int argc, char **argv)
{
	static const struct option options[] = { { "json", 0, NULL, 'j' },
						 { "phrase-file", 1, NULL, 'p' },
						 { 0 } };
	struct phrase phrase = { .ask = true };
	struct sides all = { .n = 0 };
	bool json = false;
	int c, status;

	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c != 'j' && c != 'p')
			return tool_bad_option(argv, c);
		json |= c == 'j';
		phrase.file = c == 'p' ? optarg : phrase.file;
	}
	for (; optind < argc; optind++) {
		struct err e = { 0 };

		if (add_file(&all, argv[optind], &phrase, &e) != 0) {
			phrase_free(&phrase);
			return tool_err(&e);
		}
	}
	phrase_free(&phrase);
	if (all.n < 2)
		return tool_misused(argv[0], "name two files, or one that holds both");
	status = equal(&all) ? TOOL_GOOD : TOOL_BAD;
	if (!json)
		print_text(&all);
	else if ((c = print_json(&all)) != 0)
		status = c;
	return status;
}
