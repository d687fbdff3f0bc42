/*
 * htaccess.c - per-directory files in the children: looking for them, the cache, reading and refusing them.
 *
 * A file is known by its path, by the host, and by what AllowOverride permits there, and taken for unchanged while device,
 * inode, size and both times are. Times advance in ticks, so that a file which was changed within SETTLED before it was read
 * is read again at the next request and compared. What holds a fault is kept, too: it answers 500 until it changes, and
 * is told as an error once, then at info.
 */
#include "request/htaccess.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/effort.h"
#include "base/list.h"
#include "log/log.h"
#include "request/sectionset.h"

#define BUCKETS 512
#define BLOCK 4096
#define SETTLED 2                       /* seconds */
#define TOLD 10                         /* faults of one reading that are logged */

struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct htaccess {
	struct list used;               /* in cache->used while it is in the table */
	struct htaccess *next;          /* of its bucket */
	struct arena *arena;            /* this object and all it holds */
	const char *path;
	uint32_t hash;
	const struct host *host;
	struct conf_allowed allowed;
	struct stamp stamp;
	bool settled;
	const char *text;               /* as it was read, for the comparison; ended by NUL */
	size_t length, memory;
	struct section section;
	const char *fault;              /* the first one, with its position; NULL: none */
	unsigned references;            /* of requests and merged sets */
	bool kept;                      /* in the table */
};

struct htaccess_cache {
	struct htaccess *buckets[BUCKETS];
	struct list used;               /* the least recently used first */
	unsigned n;
	size_t memory;
	uint64_t sections;              /* the last id given away */
};

/* ---------------------------------------------------------------------------------------------- the cache */

static void drop(struct htaccess *h)
{
	if (!h->kept && h->references == 0)
		arena_free(h->arena);
}

void htaccess_get(struct htaccess *h)
{
	h->references++;
}

void htaccess_put(struct htaccess *h)
{
	h->references--;
	drop(h);
}

static void put(void *arg)
{
	htaccess_put(arg);
}

static void unlink_entry(struct htaccess_cache *c, struct htaccess *h)
{
	struct htaccess **i = &c->buckets[h->hash % BUCKETS];

	while (*i != h)
		i = &(*i)->next;
	*i = h->next;
	list_remove(&h->used);
	c->n--;
	c->memory -= h->memory;
	h->kept = false;
}

/* Out of the table, and out of the merged sets that nobody uses: an old version must not outlive its last request. */
static void unkeep(const struct site *s, struct htaccess *h)
{
	h->references++;
	section_sets_forget(s->cache, h);
	unlink_entry(s->files, h);
	htaccess_put(h);
}

static void keep(const struct site *s, struct htaccess *h)
{
	struct htaccess_cache *c = s->files;

	h->kept = true;
	h->next = c->buckets[h->hash % BUCKETS];
	c->buckets[h->hash % BUCKETS] = h;
	list_append(&c->used, &h->used);
	c->n++;
	c->memory += h->memory;
	while (c->n > 1 && (c->n > HTACCESS_KEPT || c->memory > HTACCESS_KEPT_BYTES))
		unkeep(s, list_entry(c->used.next, struct htaccess, used));
}

static void cache_free(void *arg)
{
	struct htaccess_cache *c = arg;

	while (c->n) {
		struct htaccess *h = list_entry(c->used.next, struct htaccess, used);

		unlink_entry(c, h);
		drop(h);
	}
}

struct htaccess_cache *htaccess_cache_new(struct arena *a, uint64_t sections)
{
	struct htaccess_cache *c = arena_zalloc(a, sizeof *c);

	if (!c)
		return NULL;
	list_init(&c->used);
	c->sections = sections;
	return arena_cleanup(a, cache_free, c) == 0 ? c : NULL;
}

uint64_t htaccess_section_id(const struct site *s)
{
	return ++s->files->sections;
}

static bool same_allowed(const struct conf_allowed *a, const struct conf_allowed *b)
{
	return a->override == b->override && a->options == b->options && a->nonfatal == b->nonfatal && a->list == b->list;
}

static uint32_t hash_of(const char *path)
{
	uint32_t hash = 2166136261u;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619u;
	return hash ^ hash >> 15;
}

static struct htaccess *cached(const struct request *r, const char *path, uint32_t hash, const struct conf_allowed *allowed)
{
	struct htaccess *h = r->site->files->buckets[hash % BUCKETS];

	while (h && (h->hash != hash || h->host != r->host || strcmp(h->path, path) != 0 || !same_allowed(&h->allowed, allowed)))
		h = h->next;
	return h;
}

/* ---------------------------------------------------------------------------------------------- reading */

/* One reading: the surroundings of conf/, whose memory leaves by longjmp where it runs out. */
struct parse {
	struct request *r;
	struct htaccess *h;
	jmp_buf failed;
	bool too_much;                  /* HTACCESS_MEMORY_MAX is why */
	unsigned told;
};

static void *parse_alloc(void *ctx, size_t n)
{
	struct parse *p = ctx;
	struct arena *a = p->h->arena;
	void *object;

	p->too_much = n > HTACCESS_MEMORY_MAX || arena_used(a) > HTACCESS_MEMORY_MAX - n;
	object = p->too_much || effort_spent() ? NULL : arena_zalloc(a, n);
	if (!object)
		longjmp(p->failed, 1);
	return object;
}

static void fault(struct parse *p, unsigned line, const char *sentence, const char *remedy)
{
	const char *text = arena_printf(p->h->arena, "%s:%u: %s%s%s", p->h->path, line, sentence, remedy ? "; " : "", remedy ? remedy : "");

	if (p->told++ < TOLD)
		log_errorx(&p->r->client->about, LOG_CORE, "BH0650", "%s", text ? text : p->h->path);
	if (!p->h->fault)
		p->h->fault = text ? text : p->h->path;
}

static void parse_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	struct parse *p = ctx;
	const struct log_about *about = &p->r->client->about;
	unsigned line = pos ? pos->line : 0;

	if (severity == CONF_ERROR)
		fault(p, line, sentence, remedy);
	else if (severity == CONF_WARNING)
		log_warnx(about, LOG_CORE, "BH0651", "%s:%u: %s%s%s", p->h->path, line, sentence, remedy ? "; " : "", remedy ? remedy : "");
	else
		log_infox(about, LOG_CORE, "BH0652", "%s:%u: %s%s%s", p->h->path, line, sentence, remedy ? "; " : "", remedy ? remedy : "");
}

static bool has_module(void *ctx, const char *name)
{
	const struct conf_env *env = ((struct parse *)ctx)->r->site->env;

	return env->has_module && env->has_module(env->ctx, name);
}

static bool has_directive(void *ctx, const char *name)
{
	return conf_find(((struct parse *)ctx)->r->site->modules, name, NULL) != NULL;
}

static const char *unknown(void *ctx, const char *name)
{
	const struct conf_env *env = ((struct parse *)ctx)->r->site->env;

	return env->unknown ? env->unknown(env->ctx, name) : NULL;
}

static unsigned lines_before(const char *text, const char *end)
{
	unsigned lines = 0;

	for (; text < end; text++)
		lines += *text == '\n';
	return lines;
}

static void parse_text(struct parse *p, const char *folder, unsigned depth)
{
	struct htaccess *h = p->h;
	const struct site *s = p->r->site;
	struct section *sec = &h->section;
	struct conf_env env = {
		.ctx = p, .report = parse_report, .has_module = has_module, .has_directive = has_directive, .alloc = parse_alloc, .unknown = unknown,
		.root = s->env->root, .defines = s->env->defines, .version = s->env->version, .no_include = true, .no_define = true,
	};
	struct reading reading = { .site = (struct site *)(uintptr_t)s, .host = p->r->host, .section = sec, .arena = h->arena, .htaccess = true };
	struct conf_target target = { .owner = &reading, .allowed = &h->allowed };
	const char *nul = memchr(h->text, '\0', h->length);
	struct conf_tree *tree;

	sec->kind = SECTION_DIRECTORY;
	sec->pattern = conf_strdup(&env, folder);
	sec->length = strlen(folder);
	sec->depth = depth;
	sec->id = htaccess_section_id(s);
	sec->file = h;
	sec->pos.file = h->path;
	sec->config = conf_alloc(&env, (s->nmodules + 1) * sizeof *sec->config);
	target.section = sec->config;
	reading.folder = conf_printf(&env, "%s%s", folder, folder[1] ? "/" : "");
	if (nul) {
		fault(p, 1 + lines_before(h->text, nul), "the line holds a NUL byte", "is this a text file?");
		return;
	}
	tree = conf_read_text(h->text, h->path, &env);
	if (env.errors == 0 && conf_apply(tree->first, s->modules, CONF_HTACCESS, &target, &env) != 0 && env.errors == 0)
		fault(p, 1, "a directive was refused", NULL);
}

/* Makes the object of a text, faults or not. NULL on ENOMEM. */
static struct htaccess *parse(struct request *r, const struct htaccess *like, const char *folder, unsigned depth)
{
	struct arena *a = arena_new(BLOCK);
	struct parse p = { .r = r, .h = a ? arena_memdup(a, like, sizeof *like) : NULL };

	if (!p.h || !(p.h->path = arena_strdup(a, like->path)) || !(p.h->text = arena_strndup(a, like->text, like->length))) {
		arena_free(a);
		return NULL;
	}
	p.h->arena = a;
	if (setjmp(p.failed) == 0) {
		parse_text(&p, folder, depth);
	} else if (p.too_much) {
		fault(&p, 1, "it comes to more memory than a per-directory file may take", "make it shorter, or its regular expressions simpler");
	} else {
		arena_free(a);
		return NULL;
	}
	p.h->memory = arena_used(a);
	return p.h;
}

/* ---------------------------------------------------------------------------------------------- the file */

static struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){ .dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .mtime = st->st_mtim, .ctime = st->st_ctim };
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}

static bool is_settled(const struct stamp *s)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return s->ctime.tv_sec + SETTLED < now.tv_sec && s->mtime.tv_sec + SETTLED < now.tv_sec;
}

/* The status for an errno; ENOENT and its like are the caller's. */
static unsigned unreadable(struct request *r, const char *path, int err)
{
	if (err == EMFILE || err == ENFILE || err == ENOMEM) {
		log_errorx(&r->client->about, LOG_CORE, "BH0653", "(%d)%s: %s cannot be read now", err, strerror(err), path);
		return 503;
	}
	r->refused = "per-directory file";
	log_errorx(&r->client->about, LOG_CORE, "BH0654", "(%d)%s: %s may hold access rules and cannot be read, so that all in and below its "
		   "folder is denied; let uid %u read it and enter its folder, or say AllowOverride None there", err, strerror(err), path, geteuid());
	return 403;
}

static bool is_absent(int err)
{
	return err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG;
}

static unsigned too_long(struct request *r, const char *path)
{
	log_errorx(&r->client->about, LOG_CORE, "BH0655", "%s is longer than %zu bytes, more than a per-directory file may have; move rules into a "
		   "<Directory> section of the configuration", path, HTACCESS_SIZE_MAX);
	return 500;
}

/* All of an open file, behind it a NUL. 0 or an errno; EFBIG: longer than allowed. */
static int slurp(struct arena *a, int fd, size_t expected, char **text, size_t *length)
{
	size_t room = expected + 1, n = 0;
	char *buf = arena_alloc(a, room + 1);

	for (;;) {
		ssize_t got;

		if (!buf)
			return ENOMEM;
		got = read(fd, buf + n, room - n);
		if (got < 0 && errno != EINTR)
			return errno;
		if (got == 0)
			break;
		n += got > 0 ? (size_t)got : 0;
		if (n > HTACCESS_SIZE_MAX)
			return EFBIG;
		if (n == room) {                /* it has grown since */
			char *grown = arena_alloc(a, room * 2 + 1);

			if (grown)
				memcpy(grown, buf, n);
			buf = grown;
			room *= 2;
		}
	}
	buf[n] = '\0';
	*text = buf;
	*length = n;
	return 0;
}

/* Opens and reads into `like`. 0, an errno of open, or -1 with *status set. */
static int take(struct request *r, struct htaccess *like, unsigned *status)
{
	int fd = openat(AT_FDCWD, like->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), err = 0;
	struct stat st;
	char *text = NULL;

	if (fd < 0)
		return errno;
	if (fstat(fd, &st) < 0)
		err = errno;
	else if (!S_ISREG(st.st_mode))
		err = S_ISDIR(st.st_mode) ? EISDIR : EBADF;
	else
		err = (uint64_t)st.st_size > HTACCESS_SIZE_MAX ? EFBIG : slurp(r->arena, fd, (size_t)st.st_size, &text, &like->length);
	close(fd);
	if (err) {
		*status = err == EFBIG ? too_long(r, like->path) : unreadable(r, like->path, err);
		return -1;
	}
	like->text = text;
	like->stamp = stamp_of(&st);
	like->settled = is_settled(&like->stamp);
	return 0;
}

/* ---------------------------------------------------------------------------------------------- a folder's */

static unsigned use(struct request *r, struct htaccess *h, bool new)
{
	struct htaccess_cache *c = r->site->files;
	struct folder_file *row;
	const struct folder_file **end = &r->folders;

	list_remove(&h->used);
	list_append(&c->used, &h->used);
	if (h->fault) {
		if (!new && !r->quiet)
			log_infox(&r->client->about, LOG_CORE, "BH0656", "%s answered with 500: %s", r->path, h->fault);
		return 500;
	}
	row = arena_zalloc(r->arena, sizeof *row);
	if (!row || arena_cleanup(r->arena, put, h) != 0)
		return 503;
	h->references++;
	row->section = &h->section;
	row->depth = h->section.depth;
	while (*end)
		end = (const struct folder_file **)(uintptr_t)&(*end)->next;
	*end = row;
	return 0;
}

/* The file of that name. 0 with *found, or a status. */
static unsigned look(struct request *r, struct htaccess *like, const char *folder, unsigned depth, bool *found)
{
	struct htaccess *h;
	struct stat st;
	unsigned status = 0;
	int err = fstatat(AT_FDCWD, like->path, &st, 0) < 0 ? errno : 0;

	if (err)
		return is_absent(err) ? 0 : unreadable(r, like->path, err);
	h = cached(r, like->path, like->hash, &like->allowed);
	like->stamp = stamp_of(&st);
	if (h && h->settled && same_stamp(&h->stamp, &like->stamp)) {
		*found = true;
		return use(r, h, false);
	}
	err = take(r, like, &status);
	if (err > 0)
		return is_absent(err) ? 0 : unreadable(r, like->path, err);
	if (err < 0)
		return status;
	*found = true;
	if (h && like->text && h->length == like->length && memcmp(h->text, like->text, h->length) == 0) {
		h->stamp = like->stamp;
		h->settled = like->settled;
		return use(r, h, false);
	}
	if (h)
		unkeep(r->site, h);
	h = parse(r, like, folder, depth);
	if (!h)
		return 503;
	keep(r->site, h);
	return use(r, h, true);
}

unsigned htaccess_look(struct request *r, const char *folder, unsigned depth, const struct core_section *settings, bool *found)
{
	unsigned status = 0;

	*found = false;
	for (const char *const *name = core_access_names(r->host); *name && !*found && !status; name++) {
		struct htaccess like = { .host = r->host, .allowed = core_allowed(settings) };
		char path[PATH_MAX];
		struct buf b;

		buf_init(&b, path, sizeof path);
		buf_printf(&b, "%s%s%s", folder, folder[1] ? "/" : "", *name);
		if (b.full)
			continue;               /* and so is what it would be for: the walk says so */
		like.path = path;
		like.hash = hash_of(path);
		list_init(&like.used);
		status = look(r, &like, folder, depth, found);
	}
	return status;
}
