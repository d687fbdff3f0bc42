/*
 * sessions.c - mod_ssl's directives about sessions that are kept: the shared cache, its time and its mutex (core's Mutex
 * among them), tickets and the files their keys are made from. Runs in the master and in checking jobs.
 */
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "tls/host.h"

#define CACHE_MIN 8192
#define CACHE_MAX ((uint64_t)1 << 30)
#define CACHE_NAMED 512000              /* Apache's size of a cache whose line has none */
#define TIMEOUT_MAX 604800              /* GnuTLS cuts what is longer, and divides by zero for 0 */

/* ------------------------------------------------------------------------------------------------ SSLSessionCache */

static int bad_size(struct conf_call *call, const char *argument, struct text size)
{
	static const struct { char unit; uint64_t factor; } units[] = { { 'k', 1 << 10 }, { 'm', 1 << 20 }, { 'g', 1 << 30 }, { 't', (uint64_t)1 << 40 } };
	uint64_t n;

	for (size_t i = 0; size.n && i < sizeof units / sizeof *units; i++)
		if ((size.p[size.n - 1] | 0x20) == units[i].unit
		    && text_u64((struct text){ size.p, size.n - 1 }, UINT64_MAX / units[i].factor, &n) == 0)
			return conf_fail(call, conf_printf(call->env, "write: shmcb:NAME(%" PRIu64 ")",
							   n * units[i].factor < CACHE_MAX ? n * units[i].factor : CACHE_MAX),
					 "the size in \"%s\" must be a number of bytes without a unit", argument);
	return conf_fail(call, "write: shmcb:NAME(512000)", "the size in \"%s\" is not a number of bytes", argument);
}

/* "NAME", "NAME(SIZE)": the name has no meaning here, the size has. */
static int read_size(struct conf_call *call, const char *argument, size_t *bytes)
{
	const char *open = strrchr(argument, '(');
	uint64_t n;
	size_t len;

	*bytes = CACHE_NAMED;
	if (!open)
		return 0;
	len = strlen(open);
	if (open[len - 1] != ')')
		return conf_fail(call, "write: shmcb:NAME(512000)", "the size in \"%s\" has no closing parenthesis at the end", argument);
	if (text_u64((struct text){ open + 1, len - 2 }, UINT64_MAX, &n) != 0)
		return bad_size(call, argument, (struct text){ open + 1, len - 2 });
	if (n < CACHE_MIN || n > CACHE_MAX)
		return conf_fail(call, "write: shmcb:NAME(512000)", "%" PRIu64 " bytes: the cache must have from %d to %" PRIu64 " bytes", n,
				 CACHE_MIN, CACHE_MAX);
	*bytes = (size_t)n;
	return 0;
}

/* Kinds that Apache knows and that keep sessions elsewhere. */
static int other_cache(struct conf_call *call, struct tls_cache_settings *c, struct text kind)
{
	static const char *const far[] = { "dc", "distcache", "memcache", "redis" };

	if (text_is_nocase(kind, "dbm")) {
		conf_warn(call, "write: shmcb:NAME(512000), or take the line out",
			  "sessions are kept in shared memory, not in a dbm file: the default size is used");
		c->enabled = true;
		c->bytes = TLS_CACHE_DEFAULT;
		return 0;
	}
	for (size_t i = 0; i < sizeof far / sizeof *far; i++)
		if (text_is_nocase(kind, far[i]))
			return conf_fail(call,
					 "write: shmcb:NAME(512000); several machines resume one another's sessions by tickets, with one "
					 "SSLSessionTicketKeyFile for all",
					 "sessions are kept in the shared memory of one machine, not in %s", far[i]);
	return conf_fail(call, "write: SSLSessionCache shmcb:NAME(512000)", "the kind \"%.*s\" of session cache does not exist here", (int)kind.n,
			 kind.p);
}

int tls_set_session_cache(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_cache_settings *c = &((struct tls_policy *)config)->cache;
	struct text rest = text_of(argv[0]), kind;
	const char *colon = strchr(argv[0], ':');

	(void)argc;
	text_split(&rest, ':', &kind);
	c->pos = call->node->pos;
	/* GnuTLS sends IDs under "none" as well, which is what nonenotnull is for. */
	if (text_is_nocase(kind, "none") || text_is_nocase(kind, "nonenotnull")) {
		c->enabled = false;
		return 0;
	}
	/* Apache's "default" is its shmcb. */
	if (!text_is_nocase(kind, "shmcb") && !text_is_nocase(kind, "shm") && !text_is_nocase(kind, "default"))
		return other_cache(call, c, kind);
	c->enabled = true;
	return read_size(call, colon ? colon + 1 : "", &c->bytes);
}

int tls_set_session_timeout(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_cache_settings *c = &((struct tls_policy *)config)->cache;
	uint64_t seconds;

	(void)argc;
	if (text_u64(text_of(argv[0]), INT64_MAX, &seconds) != 0)
		return conf_fail(call, "write: SSLSessionCacheTimeout 300", "\"%s\" is not a number of seconds", argv[0]);
	if (call->context != CONF_SERVER) {
		conf_note(call, "write it outside of the hosts", "there is one time for all hosts, that of the main server");
		return 0;
	}
	if (seconds < 1 || seconds > TIMEOUT_MAX) {
		conf_warn(call, NULL, "%s is out of range, which is 1 to %d seconds: %d is taken", argv[0], TIMEOUT_MAX, seconds ? TIMEOUT_MAX : 1);
		seconds = seconds ? TIMEOUT_MAX : 1;
	}
	c->timeout_s = (int64_t)seconds;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ Mutex, SSLMutex */

/* The mechanism's part of both directives. `place` = what stands behind the colon, or NULL. */
static int read_mechanism(struct conf_call *call, struct text mechanism, const char *place, enum tls_mutex_kind *kind)
{
	static const struct { const char *word; enum tls_mutex_kind kind; bool place; } known[] = {
		{ "default", TLS_MUTEX_OFD, false }, { "yes", TLS_MUTEX_OFD, false }, { "file", TLS_MUTEX_OFD, true }, { "fcntl", TLS_MUTEX_OFD, true },
		{ "flock", TLS_MUTEX_FLOCK, true }, { "pthread", TLS_MUTEX_ROBUST, false },
	};
	static const char *const semaphores[] = { "sem", "posixsem", "sysvsem" };

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!text_is_nocase(mechanism, known[i].word))
			continue;
		if (place && !known[i].place)
			return conf_fail(call, "write: file:PATH", "%s takes no path", known[i].word);
		*kind = known[i].kind;
		if (*kind == TLS_MUTEX_ROBUST)
			conf_warn(call, "write: Mutex default",
				  "pthread saves 2 microseconds a stored session; but a process that writes wildly before it dies can leave such a "
				  "mutex locked for ever, and that part of the cache then stores nothing until the next full start");
		return 0;
	}
	for (size_t i = 0; i < sizeof semaphores / sizeof *semaphores; i++)
		if (text_is_nocase(mechanism, semaphores[i])) {
			conf_warn(call, "write: Mutex default", "a mutex of kind %s stays locked when its holder is killed: a lockfile is used", semaphores[i]);
			*kind = TLS_MUTEX_OFD;
			return 0;
		}
	if (text_is_nocase(mechanism, "none") || text_is_nocase(mechanism, "no"))
		return conf_fail(call, "write: Mutex default", "without a mutex the session cache would be damaged by its own processes");
	return conf_fail(call, "write: Mutex default, or Mutex file:PATH", "the mechanism \"%.*s\" of Mutex is unknown", (int)mechanism.n,
			 mechanism.p);
}

static struct text split_place(const char *word, const char **place)
{
	const char *colon = strchr(word, ':');

	*place = colon && colon[1] ? colon + 1 : NULL;
	return (struct text){ word, colon ? (size_t)(colon - word) : strlen(word) };
}

int tls_set_mutex(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const others[] = { "ssl-stapling", "ssl-stapling-refresh", "mpm-accept", "authdigest-client", "authdigest-opaque",
					      "ldap-cache", "rewrite-map", "watchdog-callback", "proxy", "proxy-balancer-shm", "cache-socache",
					      "authn-socache", "cgid-pipe", "lua-ivm-shm" };
	struct tls_policy *p = config;
	const char *place;
	bool named = false, all = true;
	struct text mechanism = split_place(argv[0], &place);
	enum tls_mutex_kind kind;

	if (read_mechanism(call, mechanism, place, &kind) != 0)
		return -1;
	for (int i = 1; i < argc; i++) {
		bool other = false;
		if (!strcasecmp(argv[i], "OmitPID"))
			continue;
		all &= !strcasecmp(argv[i], "default");
		if (!strcasecmp(argv[i], "default") || !strcasecmp(argv[i], "ssl-cache")) {
			named |= !strcasecmp(argv[i], "ssl-cache");
			continue;
		}
		for (size_t k = 0; k < sizeof others / sizeof *others; k++)
			other |= !strcasecmp(argv[i], others[k]);
		if (!other)
			return conf_fail(call, "the one of this server is named ssl-cache", "there is no mutex \"%s\"", argv[i]);
	}
	if (!named && (!all || p->cache_mutex_named))
		return 0;                       /* for others, or beaten by what was written for ours */
	p->cache_mutex_named |= named;
	p->cache.mutex_kind = kind;
	p->cache.mutex_dir = place ? conf_path(call->env, place) : NULL;
	p->cache.mutex_pos = call->node->pos;
	return 0;
}

int tls_set_old_mutex(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;
	const char *place;
	struct text mechanism = split_place(argv[0], &place);

	(void)argc;
	if (read_mechanism(call, mechanism, place, &p->cache.mutex_kind) != 0)
		return -1;
	p->cache.mutex_file = place ? conf_path(call->env, place) : NULL;
	p->cache.mutex_pos = call->node->pos;
	if (place)
		conf_note(call, "write: Mutex file:DIR ssl-cache", "%s is the lockfile itself; the present way names its folder", p->cache.mutex_file);
	return 0;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The part before the last slash. */
static const char *parent_of(struct conf_env *env, const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash != path ? conf_printf(env, "%.*s", (int)(slash - path), path) : "/";
}

/* The server makes the last folder of the path itself (Debian's /var/lock/apache2 is gone after each boot), but not more. */
int tls_check_mutex(const struct tls_cache_settings *c, struct conf_env *env)
{
	const char *dir = c->mutex_file ? parent_of(env, c->mutex_file) : c->mutex_dir;
	struct stat st;

	if (c->mutex_file && is_folder(c->mutex_file)) {
		conf_report(env, CONF_ERROR, &c->mutex_pos,
			    conf_printf(env, "name a file in it, or write: Mutex file:%s ssl-cache", c->mutex_file),
			    "the session cache's lockfile is to be %s, which is a folder", c->mutex_file);
		return -1;
	}
	if (dir && strstr(dir, "${")) {         /* else a folder of that name would be made */
		conf_report(env, CONF_ERROR, &c->mutex_pos, "start the server with bulkheadctl, which reads envvars, or write: Mutex default",
			    "the session cache's lockfile is to lie in %s, and that variable is not defined", dir);
		return -1;
	}
	if (!dir || is_folder(dir))
		return 0;
	if (stat(dir, &st) == 0)
		conf_report(env, CONF_ERROR, &c->mutex_pos, "name a folder, or take the path out (Mutex default)",
			    "the session cache's lockfile is to lie in %s, which is not a folder", dir);
	else if (!is_folder(parent_of(env, dir)))
		conf_report(env, CONF_ERROR, &c->mutex_pos,
			    conf_printf(env, "make it (mkdir -p %s), or take the path out (Mutex default)", dir),
			    "the session cache's lockfile is to lie in the folder %s, which does not exist", dir);
	else
		return 0;
	return -1;
}

/* ------------------------------------------------------------------------------------------------ ticket key files */

int tls_set_ticket_file(struct conf_call *call, void *config, int argc, char **argv)
{
	struct tls_policy *p = config;
	const char *path = conf_path(call->env, argv[0]);

	(void)argc;
	for (unsigned i = 0; i < p->nticket_files; i++)
		if (!strcmp(p->ticket_files[i].path, path)) {
			conf_warn(call, "name it once", "%s is named twice: its first place counts", path);
			return 0;
		}
	if (p->nticket_files == TLS_MAX_TICKET_FILES)
		return conf_fail(call, "take out the oldest: the first file seals new tickets, the others only open old ones",
				 "more than %d files for ticket keys", TLS_MAX_TICKET_FILES);
	p->ticket_files[p->nticket_files++] = (struct tls_file){ path, call->node->pos };
	return 0;
}

unsigned tls_policy_ticket_files(const void *host_config, struct tls_ticket_file out[TLS_MAX_TICKET_FILES])
{
	const struct tls_policy *p = host_config;

	if (!tls_policy_enabled(p) || p->tickets == 0)
		return 0;
	for (unsigned i = 0; i < p->nticket_files; i++)
		out[i] = (struct tls_ticket_file){ p->ticket_files[i].path, p->ticket_files[i].pos };
	return p->nticket_files;
}

uint64_t tls_policy_ticket_group(const void *host_config)
{
	const struct tls_policy *p = host_config;
	unsigned char digest[32];
	gnutls_hash_hd_t hash;
	uint64_t group = 0;

	if (!p->nticket_files || gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
		return 0;
	for (unsigned i = 0; i < p->nticket_files; i++)
		gnutls_hash(hash, p->ticket_files[i].path, strlen(p->ticket_files[i].path) + 1);
	gnutls_hash_deinit(hash, digest);
	memcpy(&group, digest, sizeof group);
	return group ? group : 1;
}
