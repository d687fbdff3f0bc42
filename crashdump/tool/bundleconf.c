/*
 * bundleconf.c - the configuration for a bundle: the file and all that it includes, in the language's own way, each masked.
 * A file that is not named by Include or IncludeOptional is never opened: no key, no password file, no .htaccess.
 */
#include "crashdump/tool/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_BYTES (1u << 20)
#define CONFIG_FILES 300
#define CONFIG_DEPTH 16
#define DEFINES      256

static struct reading {
	struct bundle *b;
	unsigned files;
	struct { char *name, *value; } define[DEFINES];
	unsigned defines;
} reading;

static void take_file(const char *path, unsigned depth);

/* ------------------------------------------------------------------------------------------------------------ words */

static char *unquoted(const char *word, size_t n)
{
	char *out = malloc(n + 1), *to = out;
	const char *end = word + n;
	char quote = n && (*word == '"' || *word == '\'') ? *word++ : '\0';

	if (!out)
		return NULL;
	while (word < end && (!quote || *word != quote)) {
		if (*word == '\\' && quote && word + 1 < end && (word[1] == quote || word[1] == '\\'))
			word++;
		*to++ = *word++;
	}
	*to = '\0';
	return out;
}

static const char *variable(const char *name, size_t n)
{
	static char copy[256];

	for (unsigned i = reading.defines; i > 0; i--)
		if (strlen(reading.define[i - 1].name) == n && !strncmp(reading.define[i - 1].name, name, n))
			return reading.define[i - 1].value;
	snprintf(copy, sizeof copy, "%.*s", (int)n, name);
	return getenv(copy);
}

/* Puts the values of ${NAME} in; takes the text. NULL: one of them is not known. */
static char *expanded(char *text)
{
	struct toolmask_text out = { .text = NULL };
	const char *p = text;

	while (p && *p) {
		const char *end = p[0] == '$' && p[1] == '{' ? strchr(p, '}') : NULL, *value;

		if (!end) {
			toolmask_add(&out, p++, 1);
			continue;
		}
		if (!(value = variable(p + 2, (size_t)(end - p - 2)))) {
			free(out.text);
			free(text);
			return NULL;
		}
		toolmask_add(&out, value, strlen(value));
		p = end + 1;
	}
	free(text);
	return out.text;
}

/* The next argument of a line, with its variables; NULL: there is none, or it cannot be told. */
static char *argument(const char **at, const char *end)
{
	const char *word;
	size_t n;

	return toolmask_word(at, end, &word, &n) ? expanded(unquoted(word, n)) : NULL;
}

static char *absolute(const char *path)
{
	char *out = NULL;

	if (*path == '/')
		return strdup(path);
	return asprintf(&out, "%s/%s", reading.b->server_root, path) < 0 ? NULL : out;
}

/* ------------------------------------------------------------------------------------------------------- directives */

static void include_one(const char *path, unsigned depth)
{
	struct stat st;
	glob_t found;
	char *pattern = NULL;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		take_file(path, depth);
		return;
	}
	if (depth > CONFIG_DEPTH || asprintf(&pattern, "%s/*", path) < 0)
		return;
	if (glob(pattern, GLOB_NOSORT | GLOB_PERIOD, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			const char *name = strrchr(found.gl_pathv[i], '/');

			if (strcmp(name, "/.") != 0 && strcmp(name, "/..") != 0)
				include_one(found.gl_pathv[i], depth + 1);
		}
		globfree(&found);
	}
	free(pattern);
}

static void include(const char *what, unsigned depth)
{
	char *path = absolute(what);
	glob_t found;

	if (!path)
		return;
	if (!strpbrk(path, "*?[")) {
		include_one(path, depth);
	} else if (glob(path, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			include_one(found.gl_pathv[i], depth);
		globfree(&found);
	}
	free(path);
}

static void define(const char **at, const char *end)
{
	char *name = argument(at, end), *value = argument(at, end);

	if (name && reading.defines < DEFINES) {
		reading.define[reading.defines].name = name;
		reading.define[reading.defines++].value = value ? value : strdup("");
		return;
	}
	free(name);
	free(value);
}

static void note_log(const char *target)
{
	char *path;

	if (strchr("|", *target) || !strncmp(target, "syslog", 6) || reading.b->logs == BUNDLE_LOGS || !(path = absolute(target)))
		return;
	for (unsigned i = 0; i < reading.b->logs; i++)
		if (!strcmp(reading.b->log[i], path)) {
			free(path);
			return;
		}
	reading.b->log[reading.b->logs++] = path;
}

static void replace(char **where, char *value)
{
	free(*where);
	*where = value;
}

static void directive(const char *name, size_t n, const char *at, const char *end, unsigned depth)
{
	static const char *const known[] = { "Include", "IncludeOptional", "Define", "ServerRoot", "ErrorLog", "CoreDumpDirectory" };
	size_t which = 0;
	char *value;

	while (which < 6 && (strlen(known[which]) != n || strncasecmp(known[which], name, n) != 0))
		which++;
	if (which == 6)
		return;
	if (which == 2) {
		define(&at, end);
		return;
	}
	if (!(value = argument(&at, end))) {
		bundle_left_out(reading.b, "what %s names in a file: a variable of it is not known here", known[which]);
		return;
	}
	if (which <= 1)
		include(value, depth);
	else if (which == 3)
		replace(&reading.b->server_root, strdup(value));
	else if (which == 4)
		note_log(value);
	else
		replace(&reading.b->core_dir, absolute(value));
	free(value);
}

/* ------------------------------------------------------------------------------------------------------------ files */

static void follow(const char *text, size_t n, unsigned depth)
{
	const char *end = text + n;

	for (const char *at = text; at < end;) {
		struct toolmask_text line = { .text = NULL };
		bool more = true;

		while (more && at < end) {
			const char *stop = memchr(at, '\n', (size_t)(end - at)), *last = stop ? stop : end;

			more = last > at && last[-1] == '\\';
			toolmask_add(&line, at, (size_t)(last - at) - (more ? 1 : 0));
			at = stop ? stop + 1 : end;
		}
		if (line.n) {
			const char *p = line.text, *word;
			size_t length;

			if (toolmask_word(&p, line.text + line.n, &word, &length) && *word != '#')
				directive(word, length, p, line.text + line.n, depth);
		}
		free(line.text);
	}
}

static bool is_taken(const char *path)
{
	static const char folder[] = "configuration/";

	for (unsigned i = 0; i < reading.b->entries; i++)
		if (!strncmp(reading.b->entry[i].name, folder, sizeof folder - 1) &&
		    !strcmp(reading.b->entry[i].name + sizeof folder - 1, path + 1))
			return true;
	return false;
}

/* `path` is absolute and leads nowhere up, so that a file that includes itself is known again. */
static void take_real_file(const char *path, unsigned depth)
{
	size_t n;
	char *text = bundle_read(path, 0, CONFIG_BYTES, false, &n);

	if (!text) {
		bundle_left_out(reading.b, "%s: %s", path, strerror(errno));
		return;
	}
	if (memchr(text, '\0', n)) {
		bundle_left_out(reading.b, "%s: it is no text", path);
	} else {
		toolmask_config(text, n, bundle_add(reading.b, "configuration/%s", path + 1));
		follow(text, n, depth + 1);
	}
	explicit_bzero(text, n);
	free(text);
}

static void take_file(const char *path, unsigned depth)
{
	char *real = strstr(path, "..") ? realpath(path, NULL) : strdup(path);

	if (!real)
		bundle_left_out(reading.b, "%s: %s", path, strerror(errno));
	else if (depth <= CONFIG_DEPTH && reading.files++ < CONFIG_FILES && !is_taken(real))
		take_real_file(real, depth);
	free(real);
}

void bundle_configuration(struct bundle *b, const char *path)
{
	reading.b = b;
	b->server_root = strdup(BULKHEAD_SYSCONFDIR);
	if (!b->server_root)
		return;
	take_file(path, 0);
	if (!b->logs)
		note_log("logs/error_log");
	for (unsigned i = 0; i < reading.defines; i++) {
		free(reading.define[i].name);
		free(reading.define[i].value);
	}
}
