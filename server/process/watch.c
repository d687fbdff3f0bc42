/*
 * watch.c - looks after the files that TLS hosts are made of: notes how they were when a generation read them, learns by
 * inotify that one may have changed, waits until all is quiet, and compares. Runs in the master.
 *
 * The folder of a file or link is watched for that name, folders on the way for being moved or removed, so that whatever is
 * exchanged on the way is noticed while what others do there wakes nobody. Private keys are told apart by what stat() says; the master does not
 * read them. All the others are compared by their contents too, so that a mere touch does nothing.
 */
#include "process/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "log/log.h"
#include "tls/policy.h"

#define QUIET 2000                      /* ms without a change before files are looked at: several belong together */
#define LONGEST 30000                   /* ms after which they are looked at in any case */
#define PAUSE 100                       /* ms: a busy folder costs the master no more than this often */
#define CLOCK 60000                     /* ms between looks where inotify cannot be had */
#define RETRY_FIRST 60000               /* ms until files that could not be used are tried again; then twice as long */
#define RETRY_LAST 3600000
#define LINKS 40                        /* on the way to a file, as the kernel */
#define READ_MOST (16 << 20)            /* bytes compared of a file */

/* How a file is. */
struct mark {
	bool there, folder;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	unsigned char hash[32];         /* of its contents; of a folder: of the marks in it; of a secret: zeros */
};
struct watched {
	char *path, *host;
	const char *what;
	bool secret;
	struct mark mark;
};
struct list {
	struct watched *at;
	unsigned n;
};
/* What to look for in a watched folder. */
struct spot {
	int wd;
	uint32_t events;
	char *name;                     /* NULL = any, or the folder itself */
};

static struct {
	struct list serving, prepared;
	struct spot *spots;
	unsigned nspots;
	int fd;                         /* -1 = none */
	bool by_clock, told_clock;      /* some file has to be looked at by the clock; that was said */
	int64_t quiet, began;           /* when a burst of changes is looked at, when it began */
	int64_t retry, clock, pause;
	int64_t wait;                   /* ms between the last tries; 0 = none failed */
	uint64_t seen;                  /* how the files were at the last look by the clock */
	char *answer;                   /* of the last check that failed */
	char words[512], host[256];
} w = { .fd = -1, .quiet = INT64_MAX, .retry = INT64_MAX, .clock = INT64_MAX };

/* ------------------------------------------------------------------------------------------------ how a file is */

static void hash_contents(const char *path, unsigned char hash[32])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char block[16384];
	size_t all = 0;
	ssize_t n = 0;
	gnutls_hash_hd_t h;

	memset(hash, 0, 32);
	if (fd < 0)
		return;
	if (gnutls_hash_init(&h, GNUTLS_DIG_SHA256) >= 0) {
		while (all < READ_MOST && (n = read(fd, block, sizeof block)) > 0) {
			gnutls_hash(h, block, (size_t)n);
			all += (size_t)n;
		}
		gnutls_hash_deinit(h, hash);
	}
	close(fd);
}

/* In whatever order the names come. */
static void hash_folder(const char *path, unsigned char hash[32])
{
	DIR *d = opendir(path);
	struct dirent *e;

	memset(hash, 0, 32);
	while (d && (e = readdir(d))) {
		char text[512];
		unsigned char one[32];
		struct stat st;
		int n;

		if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) < 0)
			continue;
		n = snprintf(text, sizeof text, "%s/%ju/%ju/%jd/%jd.%ld", e->d_name, (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
			     (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, (size_t)n, one) < 0)
			continue;
		for (unsigned i = 0; i < 32; i++)
			hash[i] ^= one[i];
	}
	if (d)
		closedir(d);
}

static struct mark mark_of(const char *path)
{
	struct mark m = { 0 };
	struct stat st;

	if (stat(path, &st) < 0)
		return m;
	m = (struct mark){ .there = true, .folder = S_ISDIR(st.st_mode), .dev = st.st_dev, .ino = st.st_ino };
	if (m.folder) {
		hash_folder(path, m.hash);
	} else {
		m.size = st.st_size;
		m.mtime = st.st_mtim;
	}
	return m;
}

static bool same_stat(const struct mark *a, const struct mark *b)
{
	return a->there == b->there && a->folder == b->folder && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* Another file with the same contents is the same: its mark is the file's from now on. */
static bool unchanged(struct watched *f, struct mark *now)
{
	*now = mark_of(f->path);
	if (now->folder && f->mark.folder)
		return memcmp(now->hash, f->mark.hash, sizeof now->hash) == 0;
	if (same_stat(now, &f->mark))
		return true;
	if (f->secret || !now->there || !f->mark.there || now->folder || f->mark.folder || now->size != f->mark.size)
		return false;
	hash_contents(f->path, now->hash);
	if (memcmp(now->hash, f->mark.hash, sizeof now->hash) != 0)
		return false;
	f->mark = *now;
	return true;
}

/* ------------------------------------------------------------------------------------------------ which files */

static void list_free(struct list *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		free(l->at[i].path);
		free(l->at[i].host);
	}
	free(l->at);
	*l = (struct list){ 0 };
}

static void list_add(struct list *l, const char *host, const struct tls_named_file *file)
{
	struct watched *more;

	if (file->path[0] != '/')       /* a key in a token */
		return;
	for (unsigned i = 0; i < l->n; i++)
		if (!strcmp(l->at[i].path, file->path)) {
			l->at[i].secret |= file->secret;
			return;
		}
	more = realloc(l->at, (l->n + 1) * sizeof *more);
	if (!more)
		return;
	l->at = more;
	more[l->n] = (struct watched){ .path = strdup(file->path), .host = strdup(host ? host : "the main server"), .what = file->what,
				       .secret = file->secret };
	if (more[l->n].path && more[l->n].host) {
		l->n++;
		return;
	}
	free(more[l->n].path);
	free(more[l->n].host);
}

static struct host *next_host(const struct config *cfg, const struct host *h)
{
	return h == cfg->site->main ? cfg->site->hosts : h->next;
}

void watch_prepare(const struct config *cfg)
{
	list_free(&w.prepared);
	if (!cfg->process->certificate_watch)
		return;
	for (struct host *h = cfg->site->main; h; h = next_host(cfg, h)) {
		struct tls_named_file files[TLS_MAX_FILES];
		unsigned n = tls_policy_files(host_config(h, &tls_module), files);

		for (unsigned i = 0; i < n; i++)
			list_add(&w.prepared, h->name, &files[i]);
	}
	for (unsigned i = 0; i < w.prepared.n; i++) {
		struct watched *f = &w.prepared.at[i];

		f->mark = mark_of(f->path);
		if (!f->secret && f->mark.there && !f->mark.folder)
			hash_contents(f->path, f->mark.hash);
	}
}

/* ------------------------------------------------------------------------------------------------ inotify */

static void use_clock(const char *path, const char *why)
{
	w.by_clock = true;
	if (w.told_clock)
		return;
	w.told_clock = true;
	log_noticex(NULL, LOG_SSL, "BH0198", "the system does not tell of changes of %s (%s): certificate files are looked at every %d s",
		    path, why, CLOCK / 1000);
}

static void add_spot(const char *folder, const char *name, uint32_t events)
{
	struct spot *more;
	int wd = inotify_add_watch(w.fd, folder, events | IN_ONLYDIR | IN_MASK_ADD);

	/* The folder before is watched for it. */
	if (wd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return;
	more = wd < 0 ? NULL : realloc(w.spots, (w.nspots + 1) * sizeof *more);
	if (!more) {
		use_clock(folder, strerror(errno));
		return;
	}
	w.spots = more;
	more[w.nspots] = (struct spot){ wd, events, name ? strdup(name) : NULL };
	w.nspots += !name || more[w.nspots].name;
}

/* File systems whose files another machine or program changes without this kernel's knowledge. */
static bool is_remote(const char *path)
{
	static const uint32_t kinds[] = { NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC, CIFS_SUPER_MAGIC, V9FS_MAGIC, AFS_SUPER_MAGIC,
					  CODA_SUPER_MAGIC, CEPH_SUPER_MAGIC, FUSE_SUPER_MAGIC };
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if ((uint32_t)fs.f_type == kinds[i])
			return true;
	return false;
}

#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define CONTENTS (IN_CLOSE_WRITE | IN_ATTRIB)
#define ITSELF (IN_MOVE_SELF | IN_DELETE_SELF)

/* Each step on the way to `path`, links followed by hand. */
static void follow(const char *path, unsigned links)
{
	char folder[PATH_MAX], target[PATH_MAX], next[2 * PATH_MAX];
	const char *at = path;

	while (*at) {
		const char *name = at + strspn(at, "/");
		size_t n = strcspn(name, "/");
		const char *rest = name + n;
		char one[NAME_MAX + 1];
		struct stat st;
		ssize_t got;

		at = rest;
		if (!n || n > NAME_MAX || (size_t)(rest - path) >= sizeof folder)
			return;
		snprintf(one, sizeof one, "%.*s", (int)n, name);
		if (!strcmp(one, ".") || !strcmp(one, ".."))
			continue;
		snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
		snprintf(target, sizeof target, "%.*s", (int)(rest - path), path);
		if (*rest && lstat(target, &st) == 0 && S_ISDIR(st.st_mode)) {
			add_spot(target, NULL, ITSELF);
			continue;
		}
		add_spot(folder, one, *rest ? NAMES : NAMES | CONTENTS);
		got = readlink(target, next, PATH_MAX);
		if (got <= 0 || got >= PATH_MAX)
			continue;
		if (links == LINKS)
			return;
		next[got] = '\0';
		if (snprintf(target, sizeof target, "%s%s%s", next[0] == '/' ? "" : folder, next, rest) < (int)sizeof target)
			follow(target, links + 1);
		return;
	}
}

static void disarm(void)
{
	for (unsigned i = 0; i < w.nspots; i++)
		free(w.spots[i].name);
	free(w.spots);
	w.spots = NULL;
	w.nspots = 0;
	if (w.fd >= 0)
		close(w.fd);
	w.fd = -1;
	w.by_clock = false;
}

/* Anew each time: links and folders may lead elsewhere now. */
static void arm(void)
{
	disarm();
	if (!w.serving.n)
		return;
	w.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w.fd < 0)
		use_clock("files", strerror(errno));
	for (unsigned i = 0; i < w.serving.n && w.fd >= 0; i++) {
		const struct watched *f = &w.serving.at[i];

		follow(f->path, 0);
		if (f->mark.folder)
			add_spot(f->path, NULL, NAMES | CONTENTS);
		if (is_remote(f->path))
			use_clock(f->path, "a network file system");
	}
}

static bool concerns(const struct inotify_event *e)
{
	if (e->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT))
		return true;
	for (unsigned i = 0; i < w.nspots; i++)
		if (w.spots[i].wd == e->wd && (w.spots[i].events & e->mask) && (!w.spots[i].name || (e->len && !strcmp(w.spots[i].name, e->name))))
			return true;
	return false;
}

int watch_fd(int64_t now)
{
	return now < w.pause ? -1 : w.fd;
}

void watch_input(int64_t now)
{
	_Alignas(struct inotify_event) char events[16384];
	bool ours = false;
	ssize_t n = read(w.fd, events, sizeof events);

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(events + at);

		ours |= concerns(e);
		at += (ssize_t)(sizeof *e + e->len);
	}
	w.pause = now + PAUSE;
	if (!ours)
		return;
	if (w.quiet == INT64_MAX)
		w.began = now;
	w.quiet = now + QUIET < w.began + LONGEST ? now + QUIET : w.began + LONGEST;
}

/* ------------------------------------------------------------------------------------------------ looking */

/* Whether a file is another than that which was read. The first of them goes into the words; *sum tells how all are. */
static bool look(uint64_t *sum)
{
	const struct watched *first = NULL;

	*sum = 1;
	for (unsigned i = 0; i < w.serving.n; i++) {
		struct watched *f = &w.serving.at[i];
		struct mark now;

		if (!unchanged(f, &now) && !first)
			first = f;
		*sum = *sum * 1099511628211u + (uint64_t)now.ino + (uint64_t)now.size + (uint64_t)now.mtime.tv_sec * 31 +
		       (uint64_t)now.mtime.tv_nsec;
	}
	if (!first)
		return false;
	snprintf(w.words, sizeof w.words, "%s of %s %s (%s)", first->what, first->host, mark_of(first->path).there ? "changed" : "is gone",
		 first->path);
	snprintf(w.host, sizeof w.host, "%s", first->host);
	return true;
}

static void forget_failures(void)
{
	w.wait = 0;
	w.retry = INT64_MAX;
	free(w.answer);
	w.answer = NULL;
}

void watch_settle(int64_t now)
{
	uint64_t sum;

	list_free(&w.serving);
	w.serving = w.prepared;
	w.prepared = (struct list){ 0 };
	w.quiet = INT64_MAX;
	forget_failures();
	arm();
	w.clock = w.by_clock ? now + CLOCK : INT64_MAX;
	/* What changed while the generation was made, before anything was watched. */
	if (look(&sum)) {
		w.began = now;
		w.quiet = now + QUIET;
	}
}

static int64_t next_look(void)
{
	int64_t due = w.quiet < w.retry ? w.quiet : w.retry;

	return due < w.clock ? due : w.clock;
}

int64_t watch_due(int64_t now)
{
	int64_t due = next_look();

	return w.pause > now && w.pause < due ? w.pause : due;
}

bool watch_tick(int64_t now)
{
	uint64_t sum;

	if (now < next_look())
		return false;
	w.quiet = w.retry = INT64_MAX;
	arm();
	w.clock = w.by_clock ? now + CLOCK : INT64_MAX;
	if (!look(&sum)) {
		forget_failures();
		return false;
	}
	/* Nobody tells when it is quiet: twice the same will do. */
	if (w.by_clock && sum != w.seen) {
		w.seen = sum;
		w.quiet = now + QUIET;
		return false;
	}
	return true;
}

const char *watch_words(void)
{
	return w.words;
}

bool watch_is_news(const char *answer)
{
	bool news = !w.answer || strcmp(w.answer, answer) != 0;

	if (news) {
		free(w.answer);
		w.answer = strdup(answer);
	}
	return news;
}

int watch_failed(int64_t now)
{
	w.wait = !w.wait ? RETRY_FIRST : w.wait * 2 < RETRY_LAST ? w.wait * 2 : RETRY_LAST;
	w.retry = now + w.wait;
	return (int)(w.wait / 1000);
}

void watch_tell(const struct config *cfg)
{
	for (struct host *h = cfg->site->main; h; h = next_host(cfg, h)) {
		int64_t end = tls_policy_expiry(host_config(h, &tls_module));
		char day[40];
		struct tm tm;

		if (end < 0 || strcmp(h->name ? h->name : "the main server", w.host) != 0)
			continue;
		if (gmtime_r(&(time_t){ end }, &tm) && strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S GMT", &tm))
			log_noticex(NULL, LOG_SSL, "BH0199", "the certificate of %s is valid until %s", w.host, day);
		return;
	}
}
