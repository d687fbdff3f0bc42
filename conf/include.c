/*
 * include.c - reading files: the first one and what Include and IncludeOptional name: a file, a folder (all files
 * below it), or a pattern with wildcards in any part of the path. Runs wherever a configuration is read.
 *
 * Order is that of the bytes of the names, as in Apache. Wildcards do not match a leading dot; a folder's hidden files
 * are read. Between two slashes wildcards find folders only, and no symbolic links to folders: so does Apache.
 */
#include "conf/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One Include line. */
struct request {
	const char *directive; /* for messages */
	const char *args; /* as written */
	bool optional;
};

/* ------------------------------------------------------------------------------------------------ one file */

/* The whole of an open file, in the arena; errno otherwise. */
static char *slurp(struct conf_env *env, int fd, size_t size, size_t *n)
{
	size_t cap = size + 1;
	char *text = conf_alloc(env, cap), *larger;
	ssize_t got;

	*n = 0;
	for (;;) {
		if (*n == cap) { /* it has grown since we asked for its size */
			if (cap > CONF_FILE_MAX) {
				errno = EFBIG;
				return NULL;
			}
			larger = conf_alloc(env, cap * 2);
			memcpy(larger, text, *n);
			text = larger;
			cap *= 2;
		}
		got = read(fd, text + *n, cap - *n);
		if (got == 0)
			return text;
		if (got > 0)
			*n += (size_t)got;
		else if (errno != EINTR)
			return NULL;
	}
}

/* Only text can be read; a pipe would make us wait. NULL: fine. */
static const char *unfit(const char *path, const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return "it is a folder";
	if (!S_ISREG(st->st_mode) && strcmp(path, "/dev/null"))
		return "it is no regular file";
	return (size_t)st->st_size > CONF_FILE_MAX ? "it is larger than 64 MiB" : NULL;
}

static void note_file(struct conf_reader *r, const char *path)
{
	struct conf_included *in;

	if (!r->env->dump_includes)
		return;
	in = conf_alloc(r->env, sizeof(*in));
	in->path = path;
	if (r->file) {
		in->from = r->file->pos;
		in->depth = r->file->depth + 1;
	}
	*r->included = in;
	r->included = &in->next;
}

const char *conf_read_file(struct conf_reader *r, const char *path, int *error)
{
	const char *why = NULL, *name = conf_strdup(r->env, path);
	char *text = NULL;
	struct stat st;
	size_t n = 0;
	int fd = -1;

	*error = 0;
	if (stat(path, &st) == 0)
		why = unfit(path, &st);
	if (!why && ((fd = r->env->open(r->env->ctx, path)) < 0 || fstat(fd, &st) < 0))
		why = strerror(*error = errno);
	if (!why)
		why = unfit(path, &st); /* it may have been replaced meanwhile */
	if (!why && !(text = slurp(r->env, fd, (size_t)st.st_size, &n)))
		why = strerror(*error = errno);
	if (fd >= 0)
		close(fd);
	if (why)
		return conf_strdup(r->env, why);
	note_file(r, name);
	conf_read_lines(r, text, n, name);
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ faults */

/* The outermost folder of the path that is not there; NULL if only the last part is missing. */
static const char *missing_folder(struct conf_env *env, const char *path)
{
	char *part = conf_strdup(env, path), *slash;
	struct stat st;

	for (slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (stat(part, &st) && errno == ENOENT)
			return part;
		*slash = '/';
	}
	return NULL;
}

static void missing(struct conf_reader *r, const struct request *q, const char *path)
{
	const char *folder = missing_folder(r->env, path),
		   *remedy = "make it, or write IncludeOptional if it may be missing";
	const char *root = r->env->root;

	if (q->args[strspn(q->args, "\"'")] != '/' && root && *root)
		remedy = conf_printf(r->env, "%s; relative paths begin at ServerRoot, %s", remedy, root);
	if (folder)
		conf_bad(r, remedy, "%s: there is no %s: the folder %s does not exist", q->directive, path,
			 folder);
	else
		conf_bad(r, remedy, "%s: there is no %s", q->directive, path);
}

/* Names the files from the one that came back first: "a.conf includes b.conf, which includes a.conf again". */
static void too_deep(struct conf_reader *r, const struct request *q)
{
	const struct conf_file *f, *same = NULL;
	const char *chain;

	for (f = r->file->from; f && !same; f = f->from)
		if (!strcmp(f->pos.file, r->file->pos.file))
			same = f;
	if (!same) {
		conf_bad(r, NULL, "%s: files include each other more than %d deep", q->directive,
			 CONF_INCLUDE_MAX);
	} else {
		chain = conf_printf(r->env, "%s again", r->file->pos.file);
		for (f = r->file->from; f != same; f = f->from)
			chain = conf_printf(r->env, "%s, which includes %s", f->pos.file, chain);
		conf_bad(r, "take this line out", "%s goes round in a circle: %s includes %s", q->directive,
			 r->file->pos.file, chain);
	}
	r->stopped = true;
}

/* ------------------------------------------------------------------------------------------------ paths and patterns */

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static const char *below(struct conf_env *env, const char *folder, const char *name)
{
	size_t n = strlen(folder);

	return conf_printf(env, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
}

/* The sorted entries of a folder, to be freed with free_list; -1 if it cannot be read, which is reported. */
static int list_folder(struct conf_reader *r, const struct request *q, const char *folder,
		       struct dirent ***list)
{
	int n = scandir(*folder ? folder : "/", list, NULL, by_bytes);

	if (n >= 0)
		return n;
	if (errno == ENOENT && !q->optional)
		missing(r, q, below(r->env, folder, ""));
	else if (errno != ENOENT)
		conf_bad(r, NULL, "%s: the folder %s cannot be read: %s", q->directive, folder,
			 strerror(errno));
	return -1;
}

static void free_list(struct dirent **list, int n)
{
	while (n > 0)
		free(list[--n]);
	free(list);
}

/* A file, or a folder with all that is below it. */
static void include_path(struct conf_reader *r, const struct request *q, const char *path, unsigned depth)
{
	struct dirent **list;
	const char *why;
	struct stat st;
	int i, n, error;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (depth == CONF_FOLDER_MAX) {
			conf_bad(r, "is there a symbolic link that leads back?",
				 "%s: %s lies more than %d folders deep", q->directive, path,
				 CONF_FOLDER_MAX);
			return;
		}
		n = list_folder(r, q, path, &list);
		for (i = 0; i < n && !r->stopped; i++)
			if (!dots(list[i]->d_name))
				include_path(r, q, below(r->env, path, list[i]->d_name), depth + 1);
		if (n >= 0)
			free_list(list, n);
		return;
	}
	why = conf_read_file(r, path, &error);
	if (!why || (q->optional && (error == ENOENT || error == ENOTDIR)))
		return;
	if (error == ENOENT)
		missing(r, q, path);
	else
		conf_bad(r, NULL, "%s: %s cannot be read: %s", q->directive, path, why);
}

static bool wild(const char *s)
{
	const char *bracket = strchr(s, '[');

	return strpbrk(s, "*?") || (bracket && strchr(bracket, ']'));
}

static bool is_folder(struct conf_env *env, const char *folder, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return lstat(below(env, folder, entry->d_name), &st) == 0 && S_ISDIR(st.st_mode);
}

/* Follows the parts of a pattern, one call a part; the path's bounded length bounds the depth. */
static void include_pattern(struct conf_reader *r, const struct request *q, const char *folder,
			    const char *pattern)
{
	char *part = conf_strdup(r->env, pattern), *rest = strchr(part, '/');
	struct dirent **list;
	int i, n, found = 0;

	if (rest) {
		*rest++ = '\0';
		rest += strspn(rest, "/");
	}
	if (!wild(part)) {
		if (rest)
			include_pattern(r, q, below(r->env, folder, part), rest);
		else
			include_path(r, q, below(r->env, folder, part), 0);
		return;
	}
	n = list_folder(r, q, folder, &list);
	if (n < 0)
		return;
	for (i = 0; i < n && !r->stopped; i++) {
		const char *name = list[i]->d_name;

		if (dots(name) || fnmatch(part, name, FNM_PERIOD) ||
		    (rest && !is_folder(r->env, folder, list[i])))
			continue;
		found++;
		if (rest)
			include_pattern(r, q, below(r->env, folder, name), rest);
		else
			include_path(r, q, below(r->env, folder, name), 0);
	}
	free_list(list, n);
	if (!found && !q->optional)
		conf_bad(r, "write IncludeOptional if there may be none", "%s: nothing in %s matches \"%s\"",
			 q->directive, *folder ? folder : "/", part);
}

void conf_include(struct conf_reader *r, const char *directive, const char *args, bool optional)
{
	struct request q = { .directive = directive, .args = args, .optional = optional };
	const char *line = args, *path;
	char *word = conf_word(r->env, &line);

	if (r->env->no_include) {
		conf_bad(r, "put it into the server's configuration", "%s is not allowed in .htaccess files",
			 directive);
		return;
	}
	if (!word || !*word || *line) {
		conf_bad(r,
			 conf_with_hint(r->env, args,
					"write a line for each file; quote a path that holds blanks"),
			 "%s takes one argument, the path of a file or folder, or a pattern", directive);
		return;
	}
	path = conf_path(r->env, word);
	if (strlen(path) >= PATH_MAX)
		conf_bad(r, NULL, "%s: the path is too long", directive);
	else if (r->file->depth == CONF_INCLUDE_MAX)
		too_deep(r, &q);
	else if (!wild(path))
		include_path(r, &q, path, 0);
	else if (*path == '/')
		include_pattern(r, &q, "", path + strspn(path, "/"));
	else
		include_pattern(r, &q, ".", path);
}
