/*
 * mask_fuzz.c - fuzzes crashdump/tool/mask.c and crashdump/tool/maskconf.c with a configuration and with a log. Holds:
 * - a configuration keeps its number of lines, and a comment is gone; a log has no byte that steers a terminal;
 * - what stands behind a directive with a password is gone, whatever stands around it.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "crashdump/tool/mask.c"
#include "crashdump/tool/maskconf.c"

static size_t lines(const char *p, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += p[i] == '\n';
	return count + (n && p[n - 1] != '\n');
}

static void check_planted(const uint8_t *data, size_t n)
{
	static const char before[] = "\nListen 1\nAuthLDAPBindPassword ", after[] = "\nSetEnv A planted-secret\n";
	struct toolmask_text t = { .text = NULL }, out = { .text = NULL };

	toolmask_add(&t, before, sizeof before - 1);
	toolmask_add(&t, "planted-secret ", 15);
	for (size_t i = 0; i < n; i++)
		if (data[i] != '\n' && data[i] != '\\')
			toolmask_add(&t, (const char *)&data[i], 1);
	toolmask_add(&t, after, sizeof after - 1);
	toolmask_config(t.text, t.n, &out);
	CHECK(out.failed || !memmem(out.text, out.n, "planted", 7) || memmem(data, n, "planted", 7));
	CHECK(lines(out.text, out.n) == lines(t.text, t.n));
	free(t.text);
	free(out.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct toolmask_text out = { .text = NULL }, log = { .text = NULL };

	toolmask_config((const char *)data, n, &out);
	CHECK(out.failed || lines(out.text, out.n) == lines((const char *)data, n));
	toolmask_log((const char *)data, n, &log);
	for (size_t i = 0; i < log.n; i++)
		CHECK(log.text[i] == '\n' || ((unsigned char)log.text[i] >= ' ' && log.text[i] != 0x7f));
	check_planted(data, n);
	free(out.text);
	free(log.text);
	return 0;
}
