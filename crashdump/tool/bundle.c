/*
 * bundle.c - bulkhead-crash bundle: what a bug report needs, in one archive, without secrets. All texts are collected and
 * masked in memory first; only masked ones are ever written.
 */
#include "crashdump/tool/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/tool/tool.h"

#define DEFAULT_CONFIG BULKHEAD_SYSCONFDIR "/bulkhead.conf"
#define LOG_BYTES      (256u * 1024)
#define REPORTS        10

/* ----------------------------------------------------------------------------------------------------- logs, reports */

/* The folder of logs may be one where a process of the server can write: so no link is followed. */
static void add_logs(struct bundle *b)
{
	for (unsigned i = 0; i < b->logs; i++) {
		size_t n;
		char *text = bundle_read(b->log[i], O_NOFOLLOW, LOG_BYTES, true, &n);

		if (!text) {
			bundle_left_out(b, "%s: %s", b->log[i], errno == ELOOP ? "it is a symbolic link" : strerror(errno));
			continue;
		}
		toolmask_log(text, n, bundle_add(b, "logs/%s", b->log[i] + (*b->log[i] == '/')));
		explicit_bzero(text, n);
		free(text);
	}
}

static void add_report(struct bundle *b, const struct readreport *r, const char *name)
{
	struct toolmask_text *t = bundle_add(b, "reports/%s", name);

	for (size_t i = 0; i < r->lines; i++) {
		const struct readreport_line *l = &r->line[i];

		bundle_printf(t, "%s: ", l->key);
		/* What came from a client, or from the program's last words; addresses and build-ids look random and are none. */
		if (!strcmp(l->key, "path") || !strcmp(l->key, "abort-message") || !strcmp(l->key, "method") || !strcmp(l->key, "note"))
			toolmask_log(l->value, strlen(l->value), t);
		else
			bundle_printf(t, "%s\n", l->value);
	}
}

static void add_reports(struct bundle *b, const char *dir)
{
	const char *folder = dir ? dir : b->core_dir ? b->core_dir : TOOL_FOLDER;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct readreport_file *files = NULL;
	ssize_t n = fd < 0 ? -1 : readreport_folder(fd, &files);

	if (n < 0)
		bundle_left_out(b, "crash reports of %s: %s", folder, strerror(errno));
	if (n > REPORTS)
		bundle_left_out(b, "the %zd older ones of %zd crash reports", n - REPORTS, n);
	for (ssize_t i = 0; i < n && i < REPORTS; i++) {
		struct readreport r;

		if (readreport_open(fd, files[i].name, &r) == 0)
			add_report(b, &r, files[i].name);
		else
			bundle_left_out(b, "%s: %s", files[i].name, tool_why_unreadable(errno));
		readreport_free(&r);
	}
	free(files);
	if (fd >= 0)
		close(fd);
}

/* ------------------------------------------------------------------------------------------------------- the archive */

static unsigned list(const struct bundle *b, struct toolmask_text *out)
{
	unsigned hidden = 0;

	for (unsigned i = 0; i < b->entries; i++) {
		const struct toolmask_text *t = &b->entry[i].text;

		bundle_printf(out, "  %8zu  %s", t->n, tool_printable(b->entry[i].name));
		if (t->hidden)
			bundle_printf(out, "  (%u hidden)", t->hidden);
		bundle_printf(out, "\n");
		hidden += t->hidden;
	}
	if (b->left_out.n)
		bundle_printf(out, "Left out:\n%s", b->left_out.text);
	return hidden;
}

/* Goes first into the archive. */
static bool add_contents(struct bundle *b, struct toolmask_text *contents)
{
	struct bundle_entry first;
	struct toolmask_text *t;

	list(b, contents);
	t = bundle_add(b, "CONTENTS.txt");
	bundle_printf(t, "A bundle for a bug report about Bulkhead, made by bulkhead-crash bundle.\n"
			 "Where something may be secret, %s stands; comments of configurations are left out; lines that were\n"
			 "joined stand on the first of them. Sizes in bytes:\n\n%s", TOOLMASK_HIDDEN, contents->text ? contents->text : "");
	if (b->failed || t->failed)
		return false;
	first = b->entry[b->entries - 1];
	memmove(b->entry + 1, b->entry, (b->entries - 1) * sizeof *b->entry);
	b->entry[0] = first;
	return true;
}

static int write_archive(struct bundle *b, const char *path, const char *top)
{
	struct toolmask_text contents = { .text = NULL };
	bool good = add_contents(b, &contents);
	int fd;

	for (unsigned i = 0; i < b->entries; i++)
		good &= !b->entry[i].text.failed;
	if (!good || contents.failed) {
		free(contents.text);
		return tool_fail("", "out of memory");
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		free(contents.text);
		return tool_fail("name another file by -o", "%s cannot be made: %s", tool_printable(path), strerror(errno));
	}
	if (bundle_write(b, top, fd) < 0 || fsync(fd) < 0 || close(fd) < 0) {
		int error = errno;

		unlink(path);
		free(contents.text);
		return tool_fail("", "%s could not be written: %s", tool_printable(path), strerror(error ? error : EIO));
	}
	printf("%s holds:\n%s\nSecrets were taken out as far as a program can tell them. Read it before you send it:\n"
	       "    tar -xzf %s && less %s/CONTENTS.txt\n", tool_printable(path), contents.text, tool_quoted(path), top);
	free(contents.text);
	return TOOL_GOOD;
}

static void release(struct bundle *b)
{
	for (unsigned i = 0; i < b->entries; i++) {
		free(b->entry[i].name);
		free(b->entry[i].text.text);
	}
	for (unsigned i = 0; i < b->logs; i++)
		free(b->log[i]);
	free(b->entry);
	free(b->left_out.text);
	free(b->server_root);
	free(b->core_dir);
}

int tool_bundle(int argc, char **argv)
{
	struct bundle b = { .entry = NULL };
	const char *dir = NULL, *config = DEFAULT_CONFIG, *out = NULL;
	char top[64], path[80];
	time_t now = time(NULL);
	struct tm tm;
	char *real;
	int c, status;

	while ((c = getopt_long(argc, argv, ":d:f:o:", (struct option[]){ { NULL, 0, NULL, 0 } }, NULL)) != -1)
		switch (c) {
		case 'd': dir = optarg; break;
		case 'f': config = optarg; break;
		case 'o': out = optarg; break;
		default: return tool_bad_option(argv, c);
		}
	if (optind < argc)
		return tool_misused(argv[0], "%s is one word too many", tool_printable(argv[optind]));
	if (!gmtime_r(&now, &tm) || !strftime(top, sizeof top, "bulkhead-bundle-%Y%m%d-%H%M%S", &tm))
		return tool_fail("", "the clock cannot be read");
	snprintf(path, sizeof path, "%s.tar.gz", top);
	bundle_system(&b);
	real = realpath(config, NULL);
	if (real)
		bundle_configuration(&b, real);
	else
		bundle_left_out(&b, "the configuration %s: %s; another one is named by -f", config, strerror(errno));
	add_logs(&b);
	add_reports(&b, dir);
	status = write_archive(&b, out ? out : path, top);
	release(&b);
	free(real);
	return status;
}
