/*
 * dump.c - what the printing options show: in the shapes that control scripts and panels of Apache read.
 */
#include <gcrypt.h>
#include <gnutls/gnutls.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "base/version.h"
#include "cli/cli.h"
#include "log/target.h"
#include "process/cache.h"
#include "process/keys.h"
#include "request/core.h"
#include "tls/policy.h"

void dump_version(void)
{
	printf("Server version: Bulkhead/" BULKHEAD_VERSION " (Unix) Apache/" BULKHEAD_APACHE "\n");
}

void dump_build(void)
{
	dump_version();
	printf("Server's Module Magic Number: " BULKHEAD_MMN "\n"
	       "Server loaded:  GnuTLS %s, libgcrypt %s\n"
	       "Compiled using: GnuTLS " GNUTLS_VERSION ", libgcrypt " GCRYPT_VERSION "\n"
	       "Architecture:   %zu-bit\n"
	       "Server MPM:     prefork\n"
	       "  threaded:     no\n"
	       "    forked:     yes (variable process count)\n"
	       "Server compiled with....\n"
#ifdef BULKHEAD_SANITIZE
	       " -D BULKHEAD_SANITIZE (no seccomp)\n"
#endif
	       " -D HTTPD_ROOT=\"" BULKHEAD_SYSCONFDIR "\"\n"
	       " -D SERVER_CONFIG_FILE=\"bulkhead.conf\"\n"
	       " -D DEFAULT_PIDLOG=\"/run/bulkhead/bulkhead.pid\"\n"
	       " -D DEFAULT_ERRORLOG=\"logs/error_log\"\n",
	       gnutls_check_version(NULL), gcry_check_version(NULL), sizeof(void *) * 8);
}

/* Whether one of the words of a module's `aka` is a source's name; calls print for each. */
static void print_sources(const struct conf_module *m)
{
	struct text rest = text_of(m->aka ? m->aka : ""), word;

	printf("  %s\n", m->source);
	while (text_split(&rest, ' ', &word))
		if (word.n > 2 && !strncmp(word.p + word.n - 2, ".c", 2))
			printf("  %.*s\n", (int)word.n, word.p);
}

void dump_compiled(void)
{
	printf("Compiled in modules:\n");
	for (struct conf_module *const *m = config_modules; *m; m++)
		if ((*m)->name[0] != '(')
			print_sources(*m);
}

void dump_modules(void)
{
	printf("Loaded Modules:\n core_module (static)\n so_module (static)\n");
	for (struct conf_module *const *m = config_modules; *m; m++) {
		struct text rest = text_of((*m)->aka ? (*m)->aka : ""), word;

		if ((*m)->name[0] == '(')
			continue;
		if (strcmp((*m)->name, "core") && strcmp((*m)->name, "core_module"))
			printf(" %s (static)\n", (*m)->name);
		while (text_split(&rest, ' ', &word))
			if (word.n > 7 && !strncmp(word.p + word.n - 7, "_module", 7) && !text_is(word, "so_module") && !text_is(word, "core_module"))
				printf(" %.*s (static)\n", (int)word.n, word.p);
	}
}

static void print_directive(void *ctx, const struct conf_module *m, const struct conf_directive *d)
{
	char contexts[128];

	(void)ctx;
	printf("%s (%s)\n\t%s\n\tAllowed in: %s\n", d->name, m->source, d->help ? d->help : "", conf_context_words(d->contexts, contexts, sizeof contexts));
	if (d->value)
		printf("\tDefault: %s\n", d->value);
}

void dump_directives(void)
{
	conf_list(config_modules, print_directive, NULL);
}

static void print_host(void *ctx, const char *address, const struct host *h, bool is_default, bool only)
{
	const struct config *cfg = ctx;
	char port[16] = "*";
	const char *colon = strrchr(address, ':');

	if (colon && colon[1])
		snprintf(port, sizeof port, "%s", colon + 1);
	if (only) {
		printf("%-22s %s (%s:%u)\n", address, h->name, h->pos.file, h->pos.line);
	} else {
		if (is_default)
			printf("%-22s is a NameVirtualHost\n         default server %s (%s:%u)\n", address, h->name, h->pos.file, h->pos.line);
		printf("         port %s namevhost %s (%s:%u)\n", port, h->name, h->pos.file, h->pos.line);
	}
	for (const char *const *a = (const char *const *)h->aliases; a && *a; a++)
		printf("                 %s %s\n", strpbrk(*a, "*?") ? "wild alias" : "alias", *a);
	if (tls_policy_enabled(host_config(h, &tls_module))) {
		struct conf_env *env = &((struct config *)(uintptr_t)cfg)->env;

		printf("                 TLS: %s\n", tls_policy_summary(host_config(h, &tls_module), env));
		printf("                 TLS %s\n", tls_policy_clients(host_config(h, &tls_module), host_config(cfg->site->main, &tls_module), env));
	}
}

void dump_hosts(const struct config *cfg)
{
	printf("VirtualHost configuration:%s\n", cfg->site->hosts ? "" : " none");
	host_visit(cfg->site, print_host, (void *)(uintptr_t)cfg);
}

/* The first line in Apache's shape, with what else is to be known behind. */
static void print_cache(const struct config *cfg)
{
	struct cache_wish w;
	struct cache_counts counts;
	const char *slash;

	cache_wish(cfg, &w);
	slash = strrchr(w.lockfile, '/');
	printf("Mutex ssl-cache: dir=\"%.*s\" mechanism=%s file=\"%s\" timeout=%ums\n", slash ? (int)(slash - w.lockfile) : 0, w.lockfile,
	       w.mechanism, w.lockfile, w.timeout_ms);
	if (!w.tls)
		printf("SSLSessionCache: unused, no host has \"SSLEngine on\"\n");
	else if (!w.bytes)
		printf("SSLSessionCache: none\n");
	else
		printf("SSLSessionCache: shmcb size=%zu sessions=%zu timeout=%llds segment=\"/dev/shm%s\"\n", w.bytes, w.sessions,
		       (long long)keys_cache_settings(cfg)->timeout_s, w.name);
	if (cache_look(cfg, &counts))
		printf("SSLSessionCache: the running server resumed %llu sessions by ID, did not find %llu, stored %llu; %llu are there now (tickets are not counted here)\n",
		       (unsigned long long)counts.resumed, (unsigned long long)counts.missed, (unsigned long long)counts.kept, (unsigned long long)counts.live);
}

void dump_settings(const struct config *cfg)
{
	const struct process_settings *s = cfg->process;
	const struct passwd *pw = s->uid != (uid_t)-1 ? getpwuid(s->uid) : getpwuid(geteuid());
	const struct group *gr = s->gid != (gid_t)-1 ? getgrgid(s->gid) : getgrgid(getegid());

	printf("ServerRoot: \"%s\"\n", cfg->root);
	printf("Main DocumentRoot: \"%s\"\n", core_document_root(cfg->site->main));
	if (cfg->targets.n)
		printf("Main ErrorLog: \"%s\"\n", cfg->targets.at[0].name);
	for (unsigned i = 0; i < s->nlistens; i++)
		printf("Listen: %s%s\n", s->listens[i].text, s->listens[i].https ? " https" : "");
	print_cache(cfg);
	printf("PidFile: \"%s\"\n", s->pid_file);
	printf("CoreDumpDirectory: \"%s\"\n", s->core_dir);
	for (const struct conf_define *d = cfg->env.defines; d; d = d->next)
		printf("Define: %s%s%s\n", d->name, d->value ? "=" : "", d->value ? d->value : "");
	printf("User: name=\"%s\" id=%d\n", pw ? pw->pw_name : s->user ? s->user : "?", (int)(s->uid != (uid_t)-1 ? s->uid : geteuid()));
	printf("Group: name=\"%s\" id=%d\n", gr ? gr->gr_name : s->group ? s->group : "?", (int)(s->gid != (gid_t)-1 ? s->gid : getegid()));
}

void dump_includes(const struct config *cfg)
{
	printf("Included configuration files:\n");
	for (const struct conf_included *f = cfg->tree->included; f; f = f->next)
		if (f->from.file)
			printf("%*s(%u) %s\n", (int)f->depth * 2 + 2, "", f->from.line, f->path);
		else
			printf("  (*) %s\n", f->path);
}

void dump_help(FILE *to)
{
	fprintf(to,
		"Usage: bulkhead [-D name] [-d directory] [-f file] [-C \"directive\"] [-c \"directive\"]\n"
		"                [-k start|restart|graceful|graceful-stop|stop|upgrade]\n"
		"                [-v] [-V] [-h] [-l] [-L] [-t] [-T] [-S] [-M] [-X] [-e level] [-E file]\n"
		"       bulkhead --demo folder\n"
		"       bulkhead ciphers [-ciphersuites list] [string]\n"
		"       bulkhead explain [-f file] [--method name] [--header \"Name: value\"] [--from address] [--directives] URL\n"
		"Options:\n"
		"  -D name            : define a name for use in <IfDefine name>; FOREGROUND stays in the foreground\n"
		"  -d directory       : another ServerRoot to begin with\n"
		"  -f file            : another configuration file (below the ServerRoot unless absolute)\n"
		"  -C \"directive\"     : process a directive before the configuration file\n"
		"  -c \"directive\"     : process a directive after it\n"
		"  -k start           : start (also without -k); returns once the server serves\n"
		"  -k stop            : end now            -k graceful-stop : finish what is under way, then end\n"
		"  -k restart         : read the configuration anew, end open connections\n"
		"  -k graceful        : read the configuration anew, lose nothing\n"
		"  -k upgrade         : execute the program that is there now in place of the one that runs, lose nothing\n"
		"  -t                 : check the configuration, its keys and paths (-t -D DUMP_VHOSTS, DUMP_MODULES, DUMP_INCLUDES)\n"
		"  -T                 : do not look at DocumentRoots\n"
		"  -S                 : show virtual hosts and settings\n"
		"  -M                 : list modules       -l : list compiled-in modules       -L : list directives\n"
		"  -X                 : one process in the foreground, for a debugger\n"
		"  -e level           : how much to say while starting       -E file : say it to a file\n"
		"  -v                 : version            -V : version and build              -h : this text\n"
		"  --demo folder      : serve a welcome page on https://localhost:8443/ from nothing; keeps its certificate in folder\n"
		"  ciphers            : what a string of SSLCipherSuite comes to, suite by suite, as \"openssl ciphers -V\"\n"
		"  explain            : what a request meets: host, sections, rules, file, access, handler, fields, each with its line\n");
}

void dump_reports(const struct config *cfg, enum dump_show show)
{
	static const char *const words[] = { [CONF_ERROR] = "error", [CONF_WARNING] = "warning", [CONF_NOTICE] = "notice" };

	for (const struct config_report *r = cfg->reports; r; r = r->next) {
		if (r->severity == CONF_NOTICE && show != DUMP_ALL)
			continue;
		if (r->pos.file)
			fprintf(stderr, "%s:%u: %s: %s\n", r->pos.file, r->pos.line, words[r->severity], r->sentence);
		else
			fprintf(stderr, "bulkhead: %s: %s\n", words[r->severity], r->sentence);
		if (r->remedy)
			fprintf(stderr, "    %s\n", r->remedy);
	}
}
