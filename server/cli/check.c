/*
 * check.c - what goes wrong on new installations, said before it does: paths that the children's user cannot reach, logs
 * in folders that are not there, certificates that browsers will refuse, ports without hosts and hosts without ports, plain and
 * TLS on one port, cores that the kernel will not write. Runs on the command line (-t and start) and in the job that
 * checks a restart.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "auth/authn.h"
#include "cert/check.h"
#include "cert/token.h"
#include "cli/cli.h"
#include "crashdump/crashdump.h"
#include "process/cache.h"
#include "process/keys.h"
#include "process/listen.h"
#include "process/phrases.h"
#include "process/shared.h"
#include "request/core.h"
#include "request/map.h"
#include "request/rewrite.h"
#include "request/sections.h"
#include "tls/policy.h"

#define MAX_PATHS 512

struct check_options check_options;

/* ------------------------------------------------------------------------------------------------ paths, as the user */

struct wanted_path {
	const char *path, *what;        /* "DocumentRoot" */
	struct conf_pos pos;
	enum conf_severity severity;
	bool writes;
	bool file;                      /* to be read; else a folder */
	bool reach;                     /* whatever is there, or not: only that nothing on the way is closed */
	size_t skip;                    /* bytes of the path that children do not walk: ChrootDir */
};
/* What the looking process found: index, how far it came, and why it stopped there. */
struct finding {
	unsigned index, length;
	int error;
};

/* One that is wanted already needs no second look. */
static unsigned want_file(struct wanted_path *out, unsigned n, const char *path, const char *what, const struct section *sec)
{
	for (unsigned i = 0; path && i < n; i++)
		if (!strcmp(out[i].path, path))
			return n;
	if (!path || n == MAX_PATHS)
		return n;
	out[n] = (struct wanted_path){ .path = path, .what = what, .pos = sec->pos, .severity = CONF_WARNING, .file = true };
	return n + 1;
}

/* Files of users and groups, by section. */
static unsigned collect_users(const struct section *sec, struct wanted_path *out, unsigned n)
{
	for (; sec; sec = sec->next) {
		const struct authn_section *a = sec->config[authn_module.index];

		if (a)
			n = want_file(out, want_file(out, n, a->user_file, "AuthUserFile", sec), a->group_file, "AuthGroupFile", sec);
		n = collect_users(sec->files, out, n);
	}
	return n;
}

struct path_list {
	struct wanted_path *out;
	unsigned n;
};

/* A rule that reads it may be one that refuses: without it the start is refused. */
static void collect_map(void *ctx, const char *file, const struct conf_pos *pos)
{
	struct path_list *l = ctx;
	unsigned n = l->n;

	l->n = want_file(l->out, n, file, "RewriteMap", &(struct section){ .pos = *pos });
	if (l->n > n)
		l->out[n].severity = CONF_ERROR;
}

static void collect_alias(void *ctx, const char *directive, const char *target, const struct conf_pos *pos)
{
	struct path_list *l = ctx;
	unsigned n = l->n;

	l->n = want_file(l->out, n, target, directive, &(struct section){ .pos = *pos });
	if (l->n > n)
		l->out[n].reach = true;
}

static unsigned collect_paths(struct config *cfg, struct wanted_path *out)
{
	unsigned n = 0;

	for (struct host *h = cfg->site->main; h && n < MAX_PATHS; h = h == cfg->site->main ? cfg->site->hosts : h->next) {
		const struct core_host *core = core_host_of(h);

		if (check_options.no_roots || !core->root || !core->root_pos.file)
			continue;
		bool again = false;
		for (unsigned i = 0; i < n; i++)
			again |= !strcmp(out[i].path, core->root) && out[i].pos.line == core->root_pos.line;
		if (!again)
			out[n++] = (struct wanted_path){ core->root, "DocumentRoot", core->root_pos, h == cfg->site->main ? CONF_ERROR : CONF_WARNING, false, false, false, 0 };
	}
	for (const struct host *h = cfg->site->main; h; h = h == cfg->site->main ? cfg->site->hosts : h->next)
		n = collect_users(h->sections, out, n);
	struct path_list all = { out, n };
	rewrite_visit_maps(cfg->site, collect_map, &all);
	for (const struct host *h = cfg->site->main; h && !check_options.no_roots; h = h == cfg->site->main ? cfg->site->hosts : h->next)
		map_visit(h, collect_alias, &all);
	return all.n;
}

/* Looks at each part of a path from the left. 0, or the errno with *length of the part that stopped it. */
static int look(const struct wanted_path *w, unsigned *length)
{
	char part[4096];
	size_t n = strlen(w->path);
	struct stat st = { 0 };

	if (n >= sizeof part)
		return ENAMETOOLONG;
	for (size_t i = w->skip + 1; i <= n; i++) {
		if (i < n && w->path[i] != '/')
			continue;
		memcpy(part, w->path, i);
		part[i] = '\0';
		*length = (unsigned)i;
		if (stat(part, &st) < 0)
			return w->reach && errno != EACCES ? 0 : errno;
		if (S_ISDIR(st.st_mode) && access(part, X_OK) < 0)
			return errno;
	}
	if (w->reach)
		return 0;
	if (w->file)
		return S_ISDIR(st.st_mode) ? EISDIR : access(w->path, R_OK) < 0 ? errno : 0;
	if (!S_ISDIR(st.st_mode))
		return ENOTDIR;
	return w->writes && access(w->path, W_OK) < 0 ? errno : 0;
}

/* In a fork that has become the children's user. */
static void look_at_all(const struct config *cfg, const struct wanted_path *w, unsigned n, int fd)
{
	const struct process_settings *s = cfg->process;

	if (geteuid() == 0 && (initgroups(s->user, s->gid) < 0 || setgid(s->gid) < 0 || setuid(s->uid) < 0))
		_exit(1);
	for (unsigned i = 0; i < n; i++) {
		struct finding f = { .index = i };

		f.error = look(&w[i], &f.length);
		if (f.error && write(fd, &f, sizeof f) != sizeof f)
			_exit(1);
	}
	_exit(0);
}

/* Requests that need it are answered with 500 until it can be read, so that the start may go on. */
static void tell_file(struct config *cfg, const struct wanted_path *w, const struct finding *f)
{
	const char *user = cfg->process->user ? cfg->process->user : "that runs this", *remedy = "mend the path, or name another";
	bool whole = f->length == strlen(w->path);

	if (f->error == ENOENT)
		remedy = strcmp(w->what, "AuthUserFile") ? "create it" : "create it: htpasswd -c -B FILE USER";
	else if (f->error == EACCES)
		remedy = conf_printf(&cfg->env, "chgrp it to a group of that user and chmod %s %.*s", whole ? "g+r" : "g+x", (int)f->length, w->path);
	config_report_add(cfg, w->severity, &w->pos, remedy, "%s %s cannot be read by the user %s: %s%s%.*s", w->what, w->path, user,
			  strerrordesc_np(f->error), whole ? "" : ": ", whole ? 0 : (int)f->length, w->path);
}

static void tell_path(struct config *cfg, const struct wanted_path *w, const struct finding *f)
{
	char remedy[700];
	struct stat st;
	int n = (int)f->length;

	if (w->file && !w->reach) {
		tell_file(cfg, w, f);
		return;
	}
	if (f->error == ENOENT)
		snprintf(remedy, sizeof remedy, "create it: mkdir -p %s", w->path);
	else if (f->error == ENOTDIR)
		snprintf(remedy, sizeof remedy, "name a folder");
	else if (f->error == EACCES && stat(w->path, &st) < 0 && errno == ENOENT)
		snprintf(remedy, sizeof remedy, "it does not exist");
	else if (f->error == EACCES)
		snprintf(remedy, sizeof remedy, "let the user %s through: chmod o+x %.*s", cfg->process->user, n, w->path);
	else
		snprintf(remedy, sizeof remedy, "mend the path, or name another");
	if (f->error == EACCES)
		config_report_add(cfg, w->severity, &w->pos, remedy, "%s %s cannot be reached by the user %s: %.*s may not be searched", w->what, w->path,
				  cfg->process->user ? cfg->process->user : "that runs this", n, w->path);
	else
		config_report_add(cfg, w->severity, &w->pos, remedy, "%s %s cannot be used: %s%s%.*s", w->what, w->path, strerrordesc_np(f->error),
				  f->length < strlen(w->path) ? ": " : "", f->length < strlen(w->path) ? n : 0, w->path);
}

static void check_paths(struct config *cfg)
{
	struct wanted_path wanted[MAX_PATHS];
	unsigned n = collect_paths(cfg, wanted);
	const char *jail = cfg->process->chroot_dir;
	struct finding f;
	int fd[2], status;

	if (!n || (jail && access(jail, F_OK) < 0) || pipe2(fd, O_CLOEXEC) < 0)
		return;
	/* Children look from inside. A map was read outside, too. A folder that is not there is told by the first child. */
	for (unsigned i = 0; i < n && jail; i++)
		if (strcmp(wanted[i].what, "RewriteMap") != 0) {
			wanted[i].path = conf_printf(&cfg->env, "%s%s", jail, wanted[i].path);
			wanted[i].skip = strlen(jail);
		}
	pid_t pid = fork();
	if (pid == 0)
		look_at_all(cfg, wanted, n, fd[1]);
	close(fd[1]);
	while (pid > 0 && read(fd[0], &f, sizeof f) == sizeof f)
		if (f.index < n && f.length <= strlen(wanted[f.index].path))
			tell_path(cfg, &wanted[f.index], &f);
	close(fd[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* ------------------------------------------------------------------------------------------------ logs */

/* A warning: a configuration is often looked at on another machine than the one it is for. */
static void check_log_program(struct config *cfg, const struct log_target *t)
{
	struct err e = { .text = "" };

	if (log_program_check(t->name, &e) < 0)
		config_report_add(cfg, CONF_WARNING, &t->pos, e.remedy, "%s: the start would be refused", e.text);
}

/* The master opens them, not the children's user. Only what no start could go well with. */
static void check_logs(struct config *cfg)
{
	for (unsigned i = 0; i < cfg->targets.n; i++) {
		const struct log_target *t = &cfg->targets.at[i];
		const char *slash = t->kind == LOG_TARGET_FILE ? strrchr(t->name, '/') : NULL;
		char folder[4096];
		struct stat st;

		if (t->kind == LOG_TARGET_PIPE)
			check_log_program(cfg, t);
		if (!slash || (size_t)(slash - t->name) >= sizeof folder)
			continue;
		snprintf(folder, sizeof folder, "%.*s", slash == t->name ? 1 : (int)(slash - t->name), t->name);
		if (stat(folder, &st) < 0 && errno == ENOENT)
			config_report_add(cfg, CONF_ERROR, &t->pos,
					  conf_printf(&cfg->env, "create it: mkdir -p %s%s", folder, t->pos.file ? "" : "; or name another log by ErrorLog"),
					  "the log %s cannot be written: there is no folder %s", t->name, folder);
		else if (stat(t->name, &st) == 0 && S_ISDIR(st.st_mode))
			config_report_add(cfg, CONF_ERROR, &t->pos, "name a file in it", "the log %s cannot be written: it is a folder", t->name);
	}
}

/* ------------------------------------------------------------------------------------------------ ports */

static void check_host_ports(struct config *cfg)
{
	for (const struct host *h = cfg->site->hosts; h; h = h->next)
		for (unsigned i = 0; i < h->naddrs; i++) {
			bool found = false;
			char text[ADDR_TEXT];

			for (unsigned k = 0; k < cfg->process->nlistens; k++)
				found |= host_addr_meets(&h->addrs[i], &cfg->process->listens[k].addr);
			if (!found)
				config_report_add(cfg, CONF_WARNING, &h->pos, conf_printf(&cfg->env, "add: Listen %u", addr_port(&h->addrs[i].addr)),
						  "the virtual host %s is never reached: nothing listens on %s", h->name, addr_text(&h->addrs[i].addr, text));
		}
}

/* Which of the hosts at a Listen speak TLS. */
static void check_listen(struct config *cfg, const struct config_listen *l)
{
	const struct host *tls = NULL, *plain = NULL;
	bool any = false;

	for (const struct host *h = cfg->site->hosts; h; h = h->next)
		for (unsigned i = 0; i < h->naddrs; i++)
			if (host_addr_meets(&h->addrs[i], &l->addr)) {
				any = true;
				*(tls_policy_enabled(host_config(h, &tls_module)) ? &tls : &plain) = h;
			}
	if (!any)
		*(tls_policy_enabled(host_config(cfg->site->main, &tls_module)) ? &tls : &plain) = cfg->site->main;
	if (l->https && !tls)
		config_report_add(cfg, CONF_WARNING, &l->pos, "add a <VirtualHost> for it with SSLEngine on, SSLCertificateFile and SSLCertificateKeyFile",
				  "Listen %s: no host there has \"SSLEngine on\": browsers that expect HTTPS will fail", l->text);
	if (tls && plain && any)
		config_report_add(cfg, CONF_WARNING, &plain->pos, "put it on a port of its own, or give it SSLEngine on",
				  "the virtual host %s is plain on a port where %s (%s:%u) speaks TLS: a port is one or the other", plain->name,
				  tls->name, tls->pos.file ? tls->pos.file : "main server", tls->pos.line);
}

/* ------------------------------------------------------------------------------------------------ certificates */

/* Each once: hosts may share a certificate. */
static void tell_certificate(struct config *cfg, const struct conf_pos *pos, enum conf_severity severity, const struct cert_finding *f)
{
	for (const struct config_report *r = cfg->reports; r; r = r->next)
		if (!strcmp(r->sentence, f->text))
			return;
	config_report_add(cfg, severity, pos, *f->remedy ? f->remedy : NULL, "%s", f->text);
}

/*
 * What browsers would refuse is a warning: Apache starts with it too. An authority of one's own, which its clients know, is
 * none: it says nowhere from where it could be had.
 */
static void tell_findings(struct config *cfg, const struct conf_pos *pos, const struct cert_findings *found)
{
	for (unsigned i = 0; i < found->n; i++) {
		const struct cert_finding *f = &found->at[i];

		if (!f->hint && f->fault != CERT_SELF_SIGNED && f->fault != CERT_ROOT_UNKNOWN)
			tell_certificate(cfg, pos, f->fault == CERT_ISSUER_MISSING && !*f->url ? CONF_NOTICE : CONF_WARNING, f);
	}
}

/* The system's authorities, read for the first chain that needs them: many servers have none. */
static gnutls_x509_trust_list_t trust_for(const struct cert_chain *chain, gnutls_x509_trust_list_t *trust, bool *tried)
{
	if (!*tried && !gnutls_x509_crt_check_issuer(chain->at[0], chain->at[0])) {
		*trust = cert_trust_load(NULL, NULL);
		*tried = true;
	}
	return *trust;
}

struct certificate_check {
	struct config *cfg;
	gnutls_x509_trust_list_t trust;
	bool tried;
};

/*
 * One certificate with its chain. What cannot be read is told by those who need it, but for a file that was to hold the key
 * as well: they would miss the key alone.
 */
static void check_certificate(struct certificate_check *all, const struct host *h, const struct tls_key_file *file)
{
	static struct cert_findings found;
	const char *more = tls_policy_chain_file(host_config(h, &tls_module)), *names[] = { h->named ? h->name : NULL, NULL };
	struct cert_chain chain = { .n = 0 };
	struct err e = { 0 };

	if (token_is_uri(file->certificate))
		return;
	if (cert_chain_load(&chain, file->certificate, &e) < 0) {
		if (!strcmp(file->path, file->certificate))
			config_report_add(all->cfg, CONF_ERROR, &file->pos, e.remedy, "%s", e.text);
		return;
	}
	if (more && cert_chain_append(&chain, more, NULL) < 0)
		more = NULL;                    /* told when it is loaded */
	cert_check(&(struct cert_check){ &chain, file->certificate, time(NULL), CERT_WARN_DAYS, names, trust_for(&chain, &all->trust, &all->tried) },
		   &found);
	tell_findings(all->cfg, &file->pos, &found);
	cert_chain_free(&chain);
}

static void check_certificates(struct config *cfg)
{
	struct certificate_check all = { .cfg = cfg };

	for (struct host *h = cfg->site->main; h; h = h == cfg->site->main ? cfg->site->hosts : h->next) {
		const void *policy = host_config(h, &tls_module);
		struct tls_key_file files[TLS_MAX_KEYS];
		unsigned n = tls_policy_enabled(policy) ? tls_policy_keys(policy, files) : 0;

		for (unsigned i = 0; i < n; i++)
			if (files[i].certificate)
				check_certificate(&all, h, &files[i]);
	}
	cert_trust_free(all.trust);
}

/* ------------------------------------------------------------------------------------------------ session cache */

static void say_cache(struct config *cfg)
{
	const struct tls_cache_settings *s = keys_cache_settings(cfg);
	char words[160];

	if (*cache_words(cfg, words, sizeof words))
		config_report_add(cfg, CONF_NOTICE, s->pos.file ? &s->pos : NULL, NULL, "%s", words);
}

/* ------------------------------------------------------------------------------------------------ cores */

static void say_core(void *ctx, const char *sentence, const char *remedy)
{
	config_report_add(ctx, CONF_NOTICE, NULL, remedy, "%s", sentence);
}

static void check_cores(struct config *cfg)
{
	const struct process_settings *s = cfg->process;
	const char *dir = conf_printf(&cfg->env, "%s%s", s->chroot_dir ? s->chroot_dir : "", s->core_dir);
	struct crash_core_user user = { .become = geteuid() == 0, .uid = s->uid, .gid = s->gid, .name = s->user ? s->user : "that runs this",
					.only_look = shared.master != 0 /* the job that checks a restart writes nothing */ };
	char where[640];
	int bad = crash_core_check(dir, say_core, cfg);

	if (s->uid != (uid_t)-1 || !user.become)
		bad += crash_core_folder(dir, &user, say_core, cfg);
	if (!bad && s->core_limit && crash_core_where(dir, where, sizeof where))
		config_report_add(cfg, CONF_NOTICE, NULL, NULL, "%s", where);
}

void check_config(struct config *cfg)
{
	check_paths(cfg);
	check_logs(cfg);
	check_certificates(cfg);
	check_host_ports(cfg);
	for (unsigned i = 0, before = cfg->warnings; i < cfg->process->nlistens; i++) {
		const struct config_listen *l = &cfg->process->listens[i];

		/* One warning a line, however many addresses its name has. */
		if (i == 0 || l->text != l[-1].text)
			before = cfg->warnings;
		if (cfg->warnings == before)
			check_listen(cfg, l);
	}
	say_cache(cfg);
	check_cores(cfg);
}

/* Ports that somebody else has: only for -t, since a server that runs has its own. */
static void check_taken(struct config *cfg)
{
	for (unsigned i = 0; i < cfg->process->nlistens; i++) {
		const struct config_listen *l = &cfg->process->listens[i];
		char who[64];
		pid_t pid;
		const char *holder = i && l->text == l[-1].text ? NULL : listen_holder(addr_port(&l->addr), who, &pid);

		if (holder && !strstr(holder, "bulkhead"))
			config_report_add(cfg, CONF_WARNING, &l->pos, "stop it before the start, or choose another port",
					  "Listen %s: the port is in use by %s", l->text, holder);
	}
}

void check_keys(struct config *cfg)
{
	struct key_store *store = NULL;
	unsigned locked = 0;

	check_taken(cfg);
	if (cfg->errors)
		return;
	if (keys_load_direct(cfg, &store, &locked) == 0)
		key_store_free(store);
	if (locked)
		phrases_check(cfg);
}
