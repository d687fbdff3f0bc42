/*
 * settings.c - the process-wide directives: accounts, numbers of children, places, Listen, LoadModule. Runs wherever a
 * configuration is read.
 */
#include "process/settings.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process/absent.h"
#include "process/paths.h"

#define FIELD(name) offsetof(struct process_settings, name)
#define DEFAULT_USER "www-data"
#define HANG_TIMEOUT 60000              /* ms */
#define KEY_TIMEOUT 4000                /* ms; its most, 5 s, is HANG_LEAST */
#define KEY_REQUESTS 10000              /* a second: a child needs longer than 100 us for all else that a handshake is */
#define HANG_LEAST 5000                 /* ms; a signature or a slow disk may hold a child up for as long */

/* Process-wide: hosts have none of their own. */
static void *create_host(struct conf_env *env)
{
	struct process_settings *s = conf_alloc(env, sizeof *s);

	s->start_servers = s->min_spare = s->max_spare = s->server_limit = s->max_workers = s->connections_per_child = s->max_connections = -1;
	s->hang_timeout_ms = HANG_TIMEOUT;
	s->listen_backlog = s->graceful_timeout_ms = s->send_buffer = s->receive_buffer = -1;
	s->crash_reports = s->crash_per_ms = s->core_limit = -1;
	s->certificate_watch = 1;
	s->key_isolation = 1;
	s->key_timeout_ms = KEY_TIMEOUT;
	s->key_request_limit = KEY_REQUESTS;
	s->uid = (uid_t)-1;
	s->gid = (gid_t)-1;
	return s;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	(void)env;
	(void)over;
	return (void *)(uintptr_t)base;
}

/* ------------------------------------------------------------------------------------------------ Listen */

static const char listen_how[] = "write Listen 443, Listen 192.0.2.1:443 or Listen [::]:443, with https behind it if you like";

static int add_listen(struct conf_call *call, struct process_settings *s, const struct addr *a, const char *text, bool https)
{
	struct config_listen *grown;

	for (unsigned i = 0; i < s->nlistens; i++) {
		if (!addr_same(&s->listens[i].addr, a))
			continue;
		if (s->listens[i].text == text)         /* a resolver may tell an address of a name twice */
			return 0;
		if (!addr_is_any(a) || (strchr(text, ':') != NULL) == (strchr(s->listens[i].text, ':') != NULL))
			return conf_fail(call, "remove one of the two", "%s is listened on already: %s:%u", text, s->listens[i].pos.file, s->listens[i].pos.line);
	}
	grown = conf_alloc(call->env, (s->nlistens + 1) * sizeof *grown);
	if (s->nlistens)
		memcpy(grown, s->listens, s->nlistens * sizeof *grown);
	grown[s->nlistens++] = (struct config_listen){ .addr = *a, .text = text, .https = https, .pos = call->node->pos };
	s->listens = grown;
	return 0;
}

static int parse_port(const char *text, uint16_t *port)
{
	uint64_t v;

	if (text_u64(text_of(text), 65535, &v) < 0 || !v)
		return -1;
	*port = (uint16_t)v;
	return 0;
}

/* A name: all of its addresses, each once. The master asks the resolver while it reads its configuration, never later. */
static int add_name(struct conf_call *call, struct process_settings *s, const char *name, uint16_t port, const char *text, bool https)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *found;
	int failed = getaddrinfo(name, NULL, &hints, &found), rc = 0;

	if (failed)
		return conf_fail(call, listen_how, "\"%s\" is neither an address nor a name that can be resolved (%s)", name, gai_strerror(failed));
	for (const struct addrinfo *at = found; at && rc == 0; at = at->ai_next) {
		struct addr a = { .len = at->ai_addrlen };

		if (at->ai_addrlen > sizeof a.ss || (at->ai_family != AF_INET && at->ai_family != AF_INET6))
			continue;
		memcpy(&a.ss, at->ai_addr, at->ai_addrlen);
		addr_set_port(&a, port);
		rc = add_listen(call, s, &a, text, https);
	}
	freeaddrinfo(found);
	return rc;
}

static int set_listen(struct conf_call *call, void *config, int argc, char **argv)
{
	struct process_settings *s = config;
	char *text = conf_strdup(call->env, argv[0]), *colon = strrchr(text, ':');
	const char *port_text = colon ? colon + 1 : text;
	struct addr a = { 0 };
	uint16_t port;
	bool https;

	if (argc > 1 && strcasecmp(argv[1], "https") && strcasecmp(argv[1], "http"))
		return conf_fail(call, listen_how, "\"%s\" is no protocol: http or https", argv[1]);
	if (parse_port(port_text, &port) < 0)
		return conf_fail(call, listen_how, "\"%s\" is no port from 1 to 65535", port_text);
	https = argc > 1 ? !strcasecmp(argv[1], "https") : port == 443;
	if (!colon) {
		addr_parse(&a, "*", port);
	} else {
		char *host = conf_printf(call->env, "%.*s", (int)(colon - text), text);

		if (addr_parse(&a, host, port) < 0)
			return add_name(call, s, host, port, text, https);
	}
	return add_listen(call, s, &a, text, https);
}

/* ------------------------------------------------------------------------------------------------ modules */

bool settings_left_out(struct conf_env *env, const char *module, const char *name, const char *args, const struct conf_pos *pos)
{
	/* Modules that are there to protect: a Require for the pages of another is of no use without these. */
	static const char *const guards[] = { "auth", "security" };
	static const char *const rules[] = { "Require", "Order", "Deny", "Satisfy", "Auth", "Sec" };
	const char *bare = strncmp(module, "mod_", 4) ? module : module + 4;
	bool guard = false, rule = false;

	for (size_t i = 0; i < sizeof guards / sizeof *guards; i++)
		guard |= !strncmp(bare, guards[i], strlen(guards[i]));
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		rule |= !strncasecmp(name, rules[i], strlen(rules[i]));
	(void)args;
	if (!guard || !rule)
		return false;
	conf_report(env, CONF_WARNING, pos, "write the same with Require, in a <Location> or <LocationMatch> section outside of the <IfModule>",
		    "%s is left out by <IfModule %s>, a module that is not available in this release: what it protects is open", name, module);
	return true;
}

/* ------------------------------------------------------------------------------------------------ places and numbers */

/* Its effect on relative names was had while the file was read (conf/). */
static int set_root(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	struct stat st;

	if (stat(argv[0], &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return conf_fail(call, "create the folder, or name the one where conf/ and logs/ are", "%s does not exist", argv[0]);
	if (stat(argv[0], &st) == 0 && !S_ISDIR(st.st_mode))
		return conf_fail(call, "name the folder where conf/ and logs/ are", "%s is no folder", argv[0]);
	return 0;
}

static int set_hang_timeout(struct conf_call *call, void *config, int argc, char **argv)
{
	const struct process_settings *s = config;
	int rc = conf_set_seconds(call, config, argc, argv);

	if (rc == 0 && s->hang_timeout_ms > 0 && s->hang_timeout_ms < HANG_LEAST)
		return conf_fail(call, "write at least 5, or 0 for never", "%s is too short: a child that works hard would be taken for one that hangs", argv[0]);
	return rc;
}

/* CrashReportLimit 3 1h */
static int set_crash_reports(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct conf_directive per = { .name = "CrashReportLimit", .offset = FIELD(crash_per_ms), .low = 1, .high = 604800 };
	struct conf_call second = *call;

	if (conf_set_number(call, config, 1, argv) < 0)
		return -1;
	second.directive = &per;
	return argc > 1 ? conf_set_seconds(&second, config, 1, argv + 1) : 0;
}

static int set_buffer(struct conf_call *call, void *config, int argc, char **argv)
{
	if (conf_set_number(call, config, argc, argv) != 0)
		return -1;
	if (atoll(argv[0]) > 0 && atoll(argv[0]) < 512)
		return conf_fail(call, "write 0 for the system's own size, or 512 and more", "%s bytes are too few", argv[0]);
	return 0;
}

static const char built_in[] = "what exists is built in";
static const char no_file[] = "children share their state in memory, not by a file";
static const char own_lock[] = "listeners need no mutex here; the session cache's is named by Mutex";
static const char no_threads[] = "a child is one process without threads; ConnectionsPerChild says how many connections it serves";
static const char no_pools[] = "each request's memory is given back whole";

#define NUMBER(n, f, lo, hi, dflt, text) { .name = n, .help = text, .value = dflt, .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 1, \
		.set = conf_set_number, .offset = FIELD(f), .low = lo, .high = hi }
#define BUFFER(n, f, text) { .name = n, .help = text, .value = "0", .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 1, \
		.set = set_buffer, .offset = FIELD(f), .low = 0, .high = INT32_MAX }
#define PLACE(n, f, dflt, text) { .name = n, .help = text, .value = dflt, .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 1, \
		.set = conf_set_path, .offset = FIELD(f) }
#define WORD(n, f, dflt, text) { .name = n, .help = text, .value = dflt, .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 1, \
		.set = conf_set_string, .offset = FIELD(f) }
#define NOTICE(n, why) { .name = n, .help = "Accepted: it has no effect here", .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 1, \
		.set = conf_set_notice, .extra = why }

static const struct conf_directive directives[] = {
	{ .name = "Listen", .help = "A port, or address and port, to listen on; https behind it expects TLS", .contexts = CONF_GLOBAL, .args = CONF_TAKE,
	  .min = 1, .max = 2, .set = set_listen },
	NUMBER("ListenBacklog", listen_backlog, 1, INT32_MAX, "511", "Connections that may wait to be accepted"),
	WORD("User", user, DEFAULT_USER, "The account of the children, a name or #number"),
	WORD("Group", group, DEFAULT_USER, "The group of the children, a name or #number"),
	WORD("KeyUser", key_user, "_bulkhead-key", "The account of the processes that hold the private keys"),
	WORD("LogUser", log_user, "_bulkhead-log", "The account of the process that writes the logs"),
	{ .name = "ServerRoot", .help = "The folder that relative names are below", .value = BULKHEAD_SYSCONFDIR, .contexts = CONF_GLOBAL, .args = CONF_TAKE,
	  .min = 1, .max = 1, .set = set_root },
	PLACE("PidFile", pid_file, "/run/bulkhead/bulkhead.pid", "The file that holds the master's pid"),
	PLACE("DefaultRuntimeDir", runtime_dir, "/run/bulkhead", "The folder for the lockfile and other things of a running server"),
	PLACE("DefaultStateDir", state_dir, BULKHEAD_STATEDIR, "The folder for what is kept over a stop and start: OCSP answers"),
	PLACE("CoreDumpDirectory", core_dir, BULKHEAD_STATEDIR "/crash", "The folder for crash reports and cores"),
	{ .name = "CrashReportLimit", .help = "Reports of one and the same crash within a time (default 1h); further ones are counted. 0 = no reports", .value = "3 1h",
	  .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 2, .set = set_crash_reports, .offset = FIELD(crash_reports), .low = 0, .high = 1000 },
	NUMBER("CoreDumpLimit", core_limit, 0, 10000, "5", "Cores kept in CoreDumpDirectory; 0 = none"),
	PLACE("ChrootDir", chroot_dir, NULL, "The folder that becomes the children's root"),
	{ .name = "SandboxPaths", .help = "What children may read: auto, off, roots (the folders of this configuration), or further folders besides", .value = "auto",
	  .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .set = paths_set },
	NUMBER("StartServers", start_servers, 0, 4096, "cores; 5 with ConnectionsPerChild 1", "Children at the start"),
	NUMBER("MinSpareServers", min_spare, 0, 4096, "1; 5 with ConnectionsPerChild 1", "Children that must have room"),
	NUMBER("MaxSpareServers", max_spare, 0, 4096, "10", "Children with room beyond which some are ended"),
	NUMBER("ServerLimit", server_limit, 1, 4096, "256", "The most children"),
	NUMBER("MaxRequestWorkers", max_workers, 1, 1000000, "256 a core, at least 1024", "Connections at once, in all"),
	NUMBER("MaxClients", max_workers, 1, 1000000, NULL, "The old name of MaxRequestWorkers"),
	NUMBER("ConnectionsPerChild", connections_per_child, 1, 65536, "1024", "Connections that one child serves at once; 1 = each alone"),
	NUMBER("MaxConnectionsPerChild", max_connections, 0, INT64_MAX, "0", "Connections after which a child is replaced; 0 = never"),
	NUMBER("MaxRequestsPerChild", max_connections, 0, INT64_MAX, NULL, "The old name of MaxConnectionsPerChild"),
	{ .name = "GracefulShutdownTimeout", .help = "Seconds after which a graceful stop or restart closes what is still open; 0 = never", .value = "0",
	  .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_seconds, .offset = FIELD(graceful_timeout_ms), .low = 0, .high = 86400 },
	{ .name = "HangTimeout", .help = "Seconds after which a child that does not go on is ended and reported, at least 5; 0 = never", .value = "60",
	  .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_hang_timeout, .offset = FIELD(hang_timeout_ms), .low = 0, .high = 86400 },
	{ .name = "SSLCertificateWatch", .help = "A graceful restart when files of certificates and keys change", .value = "On", .contexts = CONF_GLOBAL,
	  .args = CONF_FLAG, .set = conf_set_flag, .offset = FIELD(certificate_watch) },
	{ .name = "SSLPrivateKeyIsolation", .help = "Private keys in processes of their own (on), or in each child's memory (off)", .value = "On", .contexts = CONF_GLOBAL,
	  .args = CONF_FLAG, .set = conf_set_flag, .offset = FIELD(key_isolation) },
	{ .name = "SSLKeyTimeout", .help = "How long a child waits for a signature, 1 to 5 seconds; a keyholder that hangs for a quarter of it is replaced", .value = "4",
	  .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_seconds, .offset = FIELD(key_timeout_ms), .low = 1, .high = 5 },
	NUMBER("SSLKeyRequestLimit", key_request_limit, 0, 10000000, "10000", "Key operations that a child may ask for in a second; beyond it waits; 0 = no limit"),
	BUFFER("SendBufferSize", send_buffer, "Bytes of a socket's send buffer, from 512 on; 0 = the system's"),
	BUFFER("ReceiveBufferSize", receive_buffer, "Bytes of a socket's receive buffer, from 512 on; 0 = the system's"),
	{ .name = "LoadModule", .help = "Accepted: what exists is built in", .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 2, .max = 2, .set = absent_load_module },
	{ .name = "LoadFile", .help = "Accepted: no file is loaded", .contexts = CONF_GLOBAL, .args = CONF_TAKE, .min = 1, .set = conf_set_notice, .extra = built_in },
	NOTICE("ScoreBoardFile", no_file), NOTICE("LockFile", own_lock), NOTICE("AcceptMutex", own_lock),
	NOTICE("ThreadsPerChild", no_threads), NOTICE("ThreadLimit", no_threads), NOTICE("MinSpareThreads", no_threads),
	NOTICE("MaxSpareThreads", no_threads), NOTICE("AsyncRequestWorkerFactor", no_threads), NOTICE("ThreadStackSize", no_threads),
	NOTICE("MaxMemFree", no_pools), NOTICE("ListenCoresBucketsRatio", "all children share the same listeners"),
	{ 0 }
};

struct conf_module process_module = {
	.name = "mpm_prefork_module", .source = "prefork.c",
	.aka = "unixd_module mod_unixd.c version_module mod_version.c watchdog_module mod_watchdog.c",
	.directives = directives, .create_host = create_host, .merge_host = merge_host,
};

/* ------------------------------------------------------------------------------------------------ accounts and defaults */

/* Where a directive stands at the top level; for messages about what it leads to. */
static struct conf_pos position(const struct config *cfg, const char *name)
{
	struct conf_pos pos = { 0 };

	for (const struct conf_node *n = cfg->tree->first; n; n = n->next)
		if (!strcasecmp(n->name, name))
			pos = n->pos;
	return pos;
}

static int number_of(const char *text, uint32_t *out)
{
	uint64_t v;

	if (*text != '#' || text_u64(text_of(text + 1), UINT32_MAX - 1, &v) < 0)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

static void resolve_accounts(struct config *cfg)
{
	struct process_settings *s = cfg->process;
	struct conf_pos user_pos = position(cfg, "User"), group_pos = position(cfg, "Group");
	struct passwd *pw = NULL;
	struct group *gr = NULL;
	uint32_t id;

	s->user = s->user ? s->user : DEFAULT_USER;
	if (number_of(s->user, &id) == 0) {
		s->uid = id;
		pw = getpwuid(id);
	} else if ((pw = getpwnam(s->user))) {
		s->uid = pw->pw_uid;
	} else {
		config_report_add(cfg, CONF_ERROR, &user_pos, strchr(s->user, '$') ? "set it in the environment: Debian does so in /etc/apache2/envvars, which bulkheadctl reads"
				  : "create it (adduser --system --group NAME) or name an account that exists", "User: there is no account \"%s\"", s->user);
	}
	if (!s->group) {
		s->gid = pw ? pw->pw_gid : (gid_t)-1;
	} else if (number_of(s->group, &id) == 0) {
		s->gid = id;
	} else if ((gr = getgrnam(s->group))) {
		s->gid = gr->gr_gid;
	} else {
		config_report_add(cfg, CONF_ERROR, &group_pos, strchr(s->group, '$') ? "set it in the environment: Debian does so in /etc/apache2/envvars, which bulkheadctl reads"
				  : "create it (addgroup --system NAME) or name a group that exists", "Group: there is no group \"%s\"", s->group);
	}
	if (s->uid == 0)
		config_report_add(cfg, CONF_ERROR, &user_pos, "name an account without rights, as User www-data", "User: children never run as root");
	if (!s->group && s->gid == (gid_t)-1 && s->uid != (uid_t)-1)
		config_report_add(cfg, CONF_ERROR, &user_pos, "add a Group line", "Group: the account \"%s\" tells none", s->user);
}

void settings_finish(struct config *cfg)
{
	struct process_settings *s = cfg->process;

	if (geteuid() == 0)
		resolve_accounts(cfg);
	if (!s->runtime_dir)
		s->runtime_dir = "/run/bulkhead";
	if (!s->pid_file)
		s->pid_file = conf_printf(&cfg->env, "%s/bulkhead.pid", s->runtime_dir);
	if (!s->state_dir)
		s->state_dir = BULKHEAD_STATEDIR;
	if (!s->core_dir)
		s->core_dir = BULKHEAD_STATEDIR "/crash";
	if (s->crash_reports < 0)
		s->crash_reports = 3;
	if (s->crash_per_ms < 0)
		s->crash_per_ms = 3600000;
	if (s->core_limit < 0)
		s->core_limit = 5;
	if (s->max_connections < 0)
		s->max_connections = 0;
	if (!cfg->errors && !s->nlistens)
		config_report_add(cfg, CONF_ERROR, NULL, "add a line like Listen 80 or Listen 443 https", "no Listen line: there is nothing to serve on");
	if (!cfg->errors)
		cfg->paths = paths_find(cfg);
}
