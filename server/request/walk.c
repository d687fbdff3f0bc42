/*
 * walk.c - from a name to an open file, in the children: symbolic links by the Options of each folder on the way, what is
 * left behind the file, and mod_dir's slash and index.
 *
 * The usual case is one openat2: where every folder on the way follows links, a plain one; where from some folder on
 * none does, one that the kernel lets cross no link (the folders above are the administrator's). Only owner checks and
 * mixed Options walk step by step, each step relative to the descriptor of the folder before, so that nothing can be
 * swapped in between. Nothing is opened that could block or become a terminal, and only regular files are kept open.
 */
#include "request/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/phases.h"
#include "request/response.h"
#include "request/sections.h"

#define LEVELS 256                      /* folders on the way; more are refused */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define PATH_FLAGS (O_PATH | O_CLOEXEC)

struct dir_section {
	const char **index;             /* DirectoryIndex; ended by NULL; empty: disabled; NULL = unset */
	unsigned nindex;
	int slash, check_handler;       /* -1 = unset */
	int index_redirect;             /* status; 0 = off, -1 = unset */
	const char *fallback;           /* FallbackResource; "" = disabled, NULL = unset */
};

/* How a path is to be opened. */
struct plan {
	enum { PLAIN, GUARDED, STEPS } mode;
	size_t split;                   /* length of the folder from which on links are not simply followed */
	bool owner;                     /* below it, SymLinksIfOwnerMatch counts somewhere */
	char path[PATH_MAX];
};

/* ------------------------------------------------------------------------------------------------ openat2 */

static int have_openat2 = -1;           /* written once, before or at the first walk */

static int sys_openat2(int dfd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (unsigned)flags, .resolve = resolve };

	return (int)syscall(SYS_openat2, dfd, path, &how, sizeof(how));
}

void walk_init(void)
{
	int fd = sys_openat2(AT_FDCWD, "/", PATH_FLAGS, 0);

	if (fd >= 0)
		close(fd);
	have_openat2 = fd >= 0 || (errno != ENOSYS && errno != EPERM);
}

static int open_plain(int dfd, const char *path, int flags)
{
	return have_openat2 ? sys_openat2(dfd, path, flags, RESOLVE_NO_MAGICLINKS) : openat(dfd, path, flags);
}

/* ------------------------------------------------------------------------------------------------ the plan */

/* 0, 403, 500 or 503. `path` is absolute. */
static unsigned plan_make(struct request *r, const char *path, struct plan *p)
{
	size_t n = strlen(path);
	unsigned levels = 0;
	bool follow_again = false;

	if (have_openat2 < 0)
		walk_init();
	if (n >= sizeof(p->path)) {
		log_infox(&r->client->about, LOG_CORE, "BH0421", "access to %.200s… denied: the name is too long", r->path);
		return 403;
	}
	memcpy(p->path, path, n + 1);
	p->mode = PLAIN;
	p->owner = false;
	p->split = 0;
	for (size_t i = 0; i < n; i++) {
		const struct core_section *c;
		size_t len = i ? i : 1;
		char kept = p->path[len];
		unsigned options;
		void **section;

		if (p->path[i] != '/')
			continue;
		if (++levels > LEVELS) {
			log_infox(&r->client->about, LOG_CORE, "BH0421", "access to %.200s… denied: more than %d folders", r->path, LEVELS);
			return 403;
		}
		p->path[len] = '\0';
		section = sections_for_path(r, p->path);
		if (!section) {
			p->path[len] = kept;
			return 503;
		}
		c = section[core_module.index];
		options = core_options(c);
		if (core_htaccess_wanted(c)) {
			for (const char *const *name = core_access_names(r->host); *name; name++) {
				char file[PATH_MAX];
				struct buf b;
				struct stat st;

				buf_init(&b, file, sizeof(file));
				buf_printf(&b, "%s%s%s", p->path, len > 1 ? "/" : "", *name);
				if (b.full || fstatat(AT_FDCWD, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
					continue;
				log_errorx(&r->client->about, LOG_CORE, "BH0420", "%s holds rules that this release cannot read, so that "
					   "nothing below its folder is served; move them into a <Directory \"%s\"> section of the "
					   "configuration, or say AllowOverride None there", file, p->path);
				p->path[len] = kept;
				return 500;
			}
		}
		p->path[len] = kept;
		if (options & CORE_OPT_FOLLOW) {
			follow_again = p->mode != PLAIN;
		} else if (p->mode == PLAIN) {
			p->mode = GUARDED;
			p->split = len;
		}
		if (follow_again)
			p->mode = STEPS;
		p->owner |= !(options & CORE_OPT_FOLLOW) && (options & CORE_OPT_OWNER);
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ opening */

/*
 * A component that is a link, in a folder whose links count only if they have the owner of what they lead to. The link's
 * own text is read from its descriptor, and the owner is that of what was opened: neither can be swapped in between.
 */
static int open_owned(int dfd, int link, const struct stat *lst, int flags)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(link, "", target, sizeof(target) - 1);
	struct stat st;
	int fd;

	if (n < 0)
		return -1;
	target[n] = '\0';
	fd = open_plain(dfd, target, flags);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || st.st_uid != lst->st_uid) {
		close(fd);
		errno = ELOOP;
		return -1;
	}
	return fd;
}

static int open_step(int dfd, const char *name, int flags, unsigned options)
{
	int fd = openat(dfd, name, PATH_FLAGS | O_NOFOLLOW), out;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0) {
		out = -1;
	} else if (!S_ISLNK(st.st_mode)) {
		if (flags == PATH_FLAGS)
			return fd;
		out = openat(dfd, name, flags | O_NOFOLLOW);
	} else if (options & CORE_OPT_FOLLOW) {
		out = open_plain(dfd, name, flags);
	} else if (options & CORE_OPT_OWNER) {
		out = open_owned(dfd, fd, &st, flags);
	} else {
		errno = ELOOP;
		out = -1;
	}
	flags = errno;
	close(fd);
	errno = flags;
	return out;
}

/* Component by component from p->split on. */
static int open_steps(struct request *r, struct plan *p, int dfd, int flags)
{
	char *at = p->path + p->split;
	int fd = -1, saved;

	for (;;) {
		void **section;
		char *name, *end, kept;
		bool last;

		while (*at == '/')
			at++;
		if (*at == '\0') {      /* the path ends in a slash: the folder itself */
			fd = openat(dfd, ".", flags);
			break;
		}
		name = at;
		end = name + strcspn(name, "/");
		last = *end == '\0';
		kept = name[-1];
		name[-1] = '\0';
		section = sections_for_path(r, name - 1 == p->path ? "/" : p->path);
		name[-1] = kept;
		if (!section) {
			errno = ENOMEM;
			break;
		}
		kept = *end;
		*end = '\0';
		fd = open_step(dfd, name, last ? flags : PATH_FLAGS, core_options(section[core_module.index]));
		*end = kept;
		if (fd < 0 || last)
			break;
		close(dfd);
		dfd = fd;
		fd = -1;
		at = end;
	}
	saved = errno;
	close(dfd);
	errno = saved;
	return fd;
}

/* A descriptor, or -1 with errno; ELOOP: a link that may not be followed. */
static int open_planned(struct request *r, struct plan *p, int flags)
{
	const char *rest = p->path + p->split;
	char kept;
	int dfd, fd;

	if (p->mode == PLAIN)
		return open_plain(AT_FDCWD, p->path, flags);
	kept = p->path[p->split];
	p->path[p->split] = '\0';
	dfd = openat(AT_FDCWD, p->path, PATH_FLAGS | O_DIRECTORY);
	p->path[p->split] = kept;
	if (dfd < 0)
		return -1;
	while (*rest == '/')
		rest++;
	if (p->mode == GUARDED && have_openat2) {
		fd = sys_openat2(dfd, *rest ? rest : ".", flags, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
		if (fd >= 0 || errno != ELOOP || !p->owner) {
			int saved = errno;

			close(dfd);
			errno = saved;
			return fd;
		}
	}
	return open_steps(r, p, dfd, flags);
}

/* ------------------------------------------------------------------------------------------------ what went wrong */

/* The first folder on the way that this process may not enter, cut off in `path`; false: it is the file itself. */
static bool closed_folder(char *path)
{
	char probe[PATH_MAX + 2];

	for (size_t i = 1; path[i]; i++) {
		int fd;

		if (path[i] != '/')
			continue;
		memcpy(probe, path, i);
		strcpy(probe + i, "/.");
		fd = openat(AT_FDCWD, probe, PATH_FLAGS);
		if (fd >= 0) {
			close(fd);
		} else if (errno == EACCES) {
			path[i] = '\0';
			return true;
		}
	}
	return false;
}

/* The status for an errno of open, with its line in the log. */
static unsigned refuse(struct request *r, struct plan *p, int err)
{
	const struct log_about *about = &r->client->about;

	switch (err) {
	case ENOENT:
	case ENOTDIR:
		return 0;
	case EACCES:
		r->refused = "Permission denied";
		if (closed_folder(p->path))
			log_errorx(about, LOG_CORE, "BH0422", "(%d)%s: access to %s denied: the folder %s may not be entered by uid %u; "
				   "chmod o+x %s lets it", err, strerror(err), r->filename, p->path, geteuid(), p->path);
		else
			log_errorx(about, LOG_CORE, "BH0422", "(%d)%s: access to %s denied: the file may not be read by uid %u; chmod o+r "
				   "lets it", err, strerror(err), p->path, geteuid());
		return 403;
	case ELOOP:
		r->refused = "symbolic link";
		log_errorx(about, LOG_CORE, "BH0423", "access to %s denied: a symbolic link on the way, where Options has no "
			   "FollowSymLinks%s", p->path, p->owner ? " (and the owners of link and target differ)" : "");
		return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		log_errorx(about, LOG_CORE, "BH0424", "(%d)%s: %s", err, strerror(err), p->path);
		return 503;
	default:
		log_errorx(about, LOG_CORE, "BH0425", "(%d)%s: access to %.200s failed", err, strerror(err), p->path);
		return 403;
	}
}

/* ------------------------------------------------------------------------------------------------ one name */

struct place {
	int fd;                         /* of a regular file, else -1 */
	struct stat st;
};

static void place_close(struct place *at)
{
	if (at->fd >= 0)
		close(at->fd);
	at->fd = -1;
}

/* Opens what the plan leads to. 0, or an errno; EBADF: neither a regular file nor a folder. */
static int place_open(struct request *r, struct plan *p, struct place *at)
{
	size_t n = strlen(p->path);

	at->fd = -1;
	if (p->mode == PLAIN && p->path[n - 1] == '/') {
		if (fstatat(AT_FDCWD, p->path, &at->st, 0) < 0)
			return errno;
		return S_ISDIR(at->st.st_mode) ? 0 : ENOTDIR;
	}
	at->fd = open_planned(r, p, READ_FLAGS);
	if (at->fd < 0 && errno == EACCES) {
		/* A folder that may be entered but not listed is found all the same. */
		int fd = open_planned(r, p, PATH_FLAGS), rc;

		if (fd < 0)
			return errno;
		rc = fstat(fd, &at->st);
		close(fd);
		return rc == 0 && S_ISDIR(at->st.st_mode) ? 0 : EACCES;
	}
	if (at->fd < 0)
		return errno == ENXIO || errno == ENODEV ? EBADF : errno;
	if (fstat(at->fd, &at->st) < 0) {
		int saved = errno;

		place_close(at);
		return saved;
	}
	if (S_ISREG(at->st.st_mode))
		return 0;
	place_close(at);
	return S_ISDIR(at->st.st_mode) ? 0 : EBADF;
}

static void close_fd(void *arg)
{
	struct request *r = arg;

	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* Takes at->fd. 0 or 503. */
static unsigned take(struct request *r, struct place *at)
{
	if (r->fd >= 0)
		close(r->fd);
	else if (at->fd >= 0 && arena_cleanup(r->arena, close_fd, r) < 0) {
		place_close(at);
		return 503;
	}
	r->fd = at->fd;
	r->st = at->st;
	r->found = true;
	return 0;
}

/*
 * Opens r->filename, or the file at its beginning, with what is left as r->path_info. 0 (found or not) or a status.
 */
static unsigned find(struct request *r, struct place *at)
{
	const char *name = r->filename;
	struct plan p;
	unsigned status;
	int err;

	if ((status = plan_make(r, name, &p)) != 0)
		return status;
	err = place_open(r, &p, at);
	while (err == ENOTDIR) {
		char *slash = strrchr(p.path, '/');

		if (!slash || slash == p.path)
			break;
		*slash = '\0';
		if (slash - p.path < (ptrdiff_t)p.split)        /* cannot be: what is above the split is a folder */
			break;
		err = place_open(r, &p, at);
		if (err != 0)
			continue;
		r->path_info = name + (slash - p.path);
		r->filename = arena_strdup(r->arena, p.path);
		if (!r->filename) {
			place_close(at);
			return 503;
		}
	}
	if (err == EBADF) {
		log_errorx(&r->client->about, LOG_CORE, "BH0426", "access to %s denied: neither a regular file nor a folder", p.path);
		r->refused = "no regular file";
		return 403;
	}
	if (err)
		return refuse(r, &p, err);
	r->found = true;
	return 0;
}

unsigned walk_run(struct request *r)
{
	struct place at;
	unsigned status;
	size_t n;

	if (!r->filename || *r->filename != '/')
		return 0;
	if ((status = find(r, &at)) != 0 || !r->found)
		return status;
	if ((status = take(r, &at)) != 0)
		return status;
	n = strlen(r->filename);
	if (S_ISDIR(r->st.st_mode) && r->filename[n - 1] != '/') {
		struct plan p;

		r->filename = arena_printf(r->arena, "%s/", r->filename);
		if (!r->filename)
			return 503;
		return plan_make(r, r->filename, &p);   /* the folder's own per-directory file */
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ folders */

static unsigned add_slash(struct request *r)
{
	const char *path = uri_escape_path(r->arena, r->path), *where;

	where = path ? arena_printf(r->arena, "%s/%s%s", path, r->query ? "?" : "", r->query ? r->query : "") : NULL;
	if (!where)
		return 503;
	response_redirect(r, 301, where);
	return PHASE_ANSWERED;
}

/* One name of DirectoryIndex. WALK_AGAIN where it is there, 0 where it is not, or a status. */
static unsigned try_index(struct request *r, const struct dir_section *d, const char *name)
{
	const char *path, *filename;
	struct place at;
	struct plan p;
	unsigned status;
	int err;

	if (*name == '/') {
		if (strcmp(r->path, name) == 0)
			return 0;
		phases_redirect(r, name, 0);
		return PHASE_ANSWERED;
	}
	filename = arena_printf(r->arena, "%s%s", r->filename, name);
	path = arena_printf(r->arena, "%s%s", r->path, name);
	if (!path || !filename)
		return 503;
	if ((status = plan_make(r, filename, &p)) != 0)
		return status;
	err = place_open(r, &p, &at);
	if (err == ENOENT || err == ENOTDIR || err == EBADF || err == ENAMETOOLONG)
		return 0;
	if (err) {
		r->filename = filename;
		return refuse(r, &p, err);
	}
	if (!S_ISREG(at.st.st_mode))
		return 0;
	if (d->index_redirect > 0) {
		place_close(&at);
		path = uri_escape_path(r->arena, path);
		if (path && r->query)
			path = arena_printf(r->arena, "%s?%s", path, r->query);
		if (!path)
			return 503;
		response_redirect(r, (unsigned)d->index_redirect, path);
		return PHASE_ANSWERED;
	}
	if ((status = take(r, &at)) != 0)
		return status;
	r->filename = filename;
	r->path = path;
	r->handler = NULL;
	r->type = r->charset = r->encoding = r->language = NULL;
	return WALK_AGAIN;
}

static unsigned no_index(struct request *r, const struct dir_section *d)
{
	static const char *const none[] = { "index.html", NULL };
	const char *const *names = d->index ? (const char *const *)d->index : none;
	bool listing = core_options(core_section_of(r)) & CORE_OPT_INDEXES;
	char buf[256];
	struct buf b;

	buf_init(&b, buf, sizeof(buf));
	for (; *names; names++)
		buf_printf(&b, "%s%s", b.n ? "," : "", *names);
	if (listing)
		log_errorx(&r->client->about, LOG_DIR, "BH0428", "%s cannot be shown: it holds no index file (%s), and listings (Options "
			   "Indexes) are not available in this release", r->filename, b.n ? buf : "none is configured");
	else
		log_errorx(&r->client->about, LOG_DIR, "BH0427", "%s cannot be shown: it holds no index file (%s), and Options has no "
			   "Indexes", r->filename, b.n ? buf : "none is configured");
	r->refused = "no index file";
	return 403;
}

unsigned walk_index(struct request *r)
{
	static const char *const standard[] = { "index.html", NULL };
	const struct dir_section *d = request_config(r, &dir_module);
	const char *const *names = d->index ? (const char *const *)d->index : standard;
	bool own = r->handler && strcmp(r->handler->name, "default-handler") != 0;
	unsigned status;
	size_t n;

	if (!r->found && !own && d->fallback && *d->fallback && strcmp(d->fallback, r->path) != 0) {
		phases_redirect(r, d->fallback, 0);
		return PHASE_ANSWERED;
	}
	if (!r->found || !S_ISDIR(r->st.st_mode) || r->path_info)
		return 0;
	n = strlen(r->path);
	if (n == 0 || r->path[n - 1] != '/') {
		if (d->slash != 0)
			return add_slash(r);
		return own ? 0 : no_index(r, d);
	}
	if (own && d->check_handler == 1)
		return 0;
	if (r->method_id == HTTP_GET || r->method_id == HTTP_HEAD || r->method_id == HTTP_POST)
		for (; *names; names++)
			if ((status = try_index(r, d, *names)) != 0)
				return status;
	if (own)
		return 0;
	if (r->method_id == HTTP_GET || r->method_id == HTTP_HEAD || r->method_id == HTTP_POST)
		return no_index(r, d);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_section(struct conf_env *env)
{
	struct dir_section *d = conf_alloc(env, sizeof(*d));

	d->slash = d->check_handler = d->index_redirect = CONF_UNSET;
	return d;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct dir_section *b = base, *o = over;
	struct dir_section *m = conf_alloc(env, sizeof(*m));

	*m = *(o->index ? o : b);
	m->slash = o->slash != CONF_UNSET ? o->slash : b->slash;
	m->check_handler = o->check_handler != CONF_UNSET ? o->check_handler : b->check_handler;
	m->index_redirect = o->index_redirect != CONF_UNSET ? o->index_redirect : b->index_redirect;
	m->fallback = o->fallback ? o->fallback : b->fallback;
	return m;
}

static int set_index(struct conf_call *call, void *config, int argc, char **argv)
{
	struct dir_section *d = config;
	unsigned old = d->nindex, n = 0;
	const char **list;

	if (argc == 1 && text_is_nocase(text_of(argv[0]), "disabled")) {
		d->index = conf_alloc(call->env, sizeof(*d->index));
		d->nindex = 0;
		return 0;
	}
	list = conf_alloc(call->env, (old + (unsigned)argc + 1) * sizeof(*list));
	for (; n < old; n++)
		list[n] = d->index[n];
	for (int i = 0; i < argc; i++)
		list[n++] = conf_strdup(call->env, argv[i]);
	d->index = list;
	d->nindex = n;
	return 0;
}

static int set_index_redirect(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct { const char *word; int status; } words[] = {
		{ "off", 0 }, { "on", 302 }, { "temp", 302 }, { "permanent", 301 }, { "seeother", 303 },
	};
	struct dir_section *d = config;
	uint64_t n;

	(void)argc;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (text_is_nocase(text_of(argv[0]), words[i].word)) {
			d->index_redirect = words[i].status;
			return 0;
		}
	}
	if (text_u64(text_of(argv[0]), 399, &n) < 0 || n < 300)
		return conf_fail(call, "use On, Off, permanent, temp, seeother or a number from 300 to 399", "\"%s\" is none of them", argv[0]);
	d->index_redirect = (int)n;
	return 0;
}

static int set_fallback(struct conf_call *call, void *config, int argc, char **argv)
{
	struct dir_section *d = config;

	(void)argc;
	if (text_is_nocase(text_of(argv[0]), "disabled"))
		d->fallback = "";
	else if (argv[0][0] == '/')
		d->fallback = conf_strdup(call->env, argv[0]);
	else
		return conf_fail(call, "write a path such as /index.html, or disabled", "\"%s\" does not begin with a slash", argv[0]);
	return 0;
}

#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_INDEXES, .scope = CONF_OF_SECTION

static const struct conf_directive directives[] = {
	{ "DirectoryIndex", "the files looked for in a folder, in order", "index.html", EVERYWHERE, .args = CONF_TAKE, .min = 1,
	  .set = set_index },
	{ "DirectorySlash", "whether a folder's name without a slash is redirected", "On", EVERYWHERE, .args = CONF_FLAG,
	  .set = conf_set_flag, .offset = offsetof(struct dir_section, slash) },
	{ "DirectoryCheckHandler", "whether a handler of its own keeps a folder from its index", "Off", EVERYWHERE, .args = CONF_FLAG,
	  .set = conf_set_flag, .offset = offsetof(struct dir_section, check_handler) },
	{ "DirectoryIndexRedirect", "whether the index is redirected to", "Off", EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = set_index_redirect },
	{ "FallbackResource", "the path that answers for files that are not there", "disabled", EVERYWHERE, .args = CONF_TAKE, .min = 1,
	  .max = 1, .set = set_fallback },
	{ .name = NULL },
};

struct conf_module dir_module = {
	.name = "dir_module",
	.source = "mod_dir.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};
