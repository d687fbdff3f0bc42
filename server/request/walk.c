/*
 * walk.c - from a name to an open file, in the children: symbolic links by the Options of each folder on the way, and what
 * is left behind the file.
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

#include "log/log.h"
#include "request/core.h"
#include "request/htaccess.h"
#include "request/openfiles.h"
#include "request/sections.h"

#define LEVELS 256                      /* folders on the way; more are refused */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define PATH_FLAGS (O_PATH | O_CLOEXEC)

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

static unsigned too_long(struct request *r, const char *path)
{
	struct stat st;

	if (strlen(path) < PATH_MAX && fstatat(AT_FDCWD, path, &st, 0) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 404;
	log_infox(&r->client->about, LOG_CORE, "BH0421", "access to %.200s… denied: the name is too long, or goes through more than %d folders",
		  r->path, LEVELS);
	return 403;
}

/* The options of a folder, its per-directory file included. 0 or a status. */
static unsigned level(struct request *r, const char *folder, unsigned depth, unsigned *options)
{
	void **section = sections_for_path(r, folder);
	unsigned status;
	bool found = false;

	if (section && core_htaccess_wanted(section[core_module.index])) {
		if ((status = htaccess_look(r, folder, depth, section[core_module.index], &found)) != 0)
			return status;
		if (found)
			section = sections_for_path(r, folder);
	}
	if (!section)
		return 503;
	*options = core_options(section[core_module.index]);
	return 0;
}

/* 0, 403, 500 or 503. `path` is absolute. */
static unsigned plan_make(struct request *r, const char *path, struct plan *p)
{
	size_t n = strlen(path);
	unsigned levels = 0;

	if (have_openat2 < 0)
		walk_init();
	if (n >= sizeof(p->path))
		return too_long(r, path);
	memcpy(p->path, path, n + 1);
	p->mode = PLAIN;
	p->owner = false;
	p->split = 0;
	r->folders = NULL;
	if (n < LEVELS && sections_plain_walk(r->host))
		return 0;
	for (size_t i = 0; i < n; i++) {
		size_t len = i ? i : 1;
		char kept = p->path[len];
		unsigned options, status;

		if (p->path[i] != '/' || (i && p->path[i - 1] == '/'))
			continue;
		if (++levels > LEVELS)
			return too_long(r, path);
		p->path[len] = '\0';
		status = level(r, p->path, levels - 1, &options);
		p->path[len] = kept;
		if (status)
			return status;
		if (options & CORE_OPT_FOLLOW) {
			if (p->mode != PLAIN)
				p->mode = STEPS;
		} else if (p->mode == PLAIN) {
			p->mode = GUARDED;
			p->split = len;
		}
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
		memcpy(probe + i, "/.", sizeof("/."));
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
		if (faccessat(AT_FDCWD, p->path, R_OK, AT_EACCESS) == 0)        /* looks at modes alone, not at rules that bound this process */
			log_errorx(about, LOG_CORE, "BH0422", "(%d)%s: access to %s denied: it lies outside of what the children may read, though its "
				   "mode lets uid %u; name its folder in SandboxPaths, or keep links within the folders of the configuration", err,
				   strerror(err), p->path, geteuid());
		else if (closed_folder(p->path))
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
		openfile_close(at->fd);
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
	if (p->mode == PLAIN && (at->fd = openfile_take(p->path, r->received.tv_sec, r->came, &at->st)) >= 0)
		return 0;
	at->fd = open_planned(r, p, READ_FLAGS);
	if (at->fd < 0 && errno == EMFILE && openfile_forget())
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
	if (S_ISREG(at->st.st_mode)) {
		if (p->mode == PLAIN)
			openfile_offer(p->path, at->fd, &at->st, r->received.tv_sec, core_files_kept(r->site->main));
		return 0;
	}
	place_close(at);
	return S_ISDIR(at->st.st_mode) ? 0 : EBADF;
}

/* Takes at->fd. 0 or 503. */
static unsigned take(struct request *r, struct place *at)
{
	request_close(r);
	if (at->fd >= 0 && request_keep(r) != 0) {
		place_close(at);
		return 503;
	}
	r->fd = at->fd;
	r->st = at->st;
	r->found = true;
	return 0;
}

/*
 * Nothing is there: as in Apache r->filename ends with the first name that is missing, the rest is r->path_info. 0, or 403
 * for a link that leads nowhere, which is no news that the name is free.
 */
static unsigned cut_missing(struct request *r, const struct plan *p)
{
	const char *name = r->filename;
	size_t n = strlen(p->path), end;
	char at[PATH_MAX];
	struct stat st;

	memcpy(at, p->path, n + 1);
	while (n > 1 && at[n - 1] == '/')
		at[--n] = '\0';
	for (end = n; fstatat(AT_FDCWD, at, &st, AT_SYMLINK_NOFOLLOW) < 0; at[n] = '\0') {
		if (errno != ENOENT && errno != ENOTDIR)
			return 0;
		end = n;
		while (n > 1 && at[n - 1] != '/')
			n--;
		while (n > 1 && at[n - 1] == '/')
			n--;
		if (n <= 1)
			break;
	}
	if (n > 1 && S_ISLNK(st.st_mode) && fstatat(AT_FDCWD, at, &st, 0) < 0 && (errno == ENOENT || errno == ELOOP)) {
		log_errorx(&r->client->about, LOG_CORE, "BH0429", "access to %s denied: the symbolic link leads to nothing that is there", at);
		r->refused = "symbolic link";
		return 403;
	}
	if (!name[end] || (name[end] == '/' && !name[end + 1]))
		return 0;
	r->path_info = name + end;
	r->filename = arena_strndup(r->arena, name, end);
	return r->filename ? 0 : 503;
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
	if (err == ENOENT)
		return cut_missing(r, &p);
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
