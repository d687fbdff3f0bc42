/*
 * host.h - the sites of one configuration: the main server and its virtual hosts, and which of them answers.
 * Built by the master while it reads the configuration; only read in children.
 */
#ifndef BULKHEAD_REQUEST_HOST_H
#define BULKHEAD_REQUEST_HOST_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/text.h"
#include "conf/conf.h"

struct section;
struct section_index;
struct section_cache;
struct htaccess_cache;
struct rewrite_program;
struct account;

struct host_addr {
	struct addr addr;               /* any address: addr_is_any */
	bool any_ip, any_port;          /* "*" and "_default_"; "*" as port or none */
	const char *word;               /* as written in <VirtualHost>, without the port */
};

struct host {
	const char *name;               /* ServerName without scheme and port, lower case; the main server's where a host has none */
	bool named;                     /* has a ServerName of its own */
	uint16_t port;                  /* of ServerName, or where there is none of the first address; 0 = none */
	const char *scheme;             /* of ServerName; NULL = none */
	const char *path;               /* ServerPath, without a slash at its end but "/"; NULL = none */
	const char **aliases;           /* ServerAlias, lower case, may hold * and ?; ended by NULL */
	struct host_addr *addrs;
	unsigned naddrs;                /* 0 = the main server */
	struct conf_pos pos;            /* of <VirtualHost>; file NULL for the main server */
	void **config;                  /* the modules' host structures, by conf_module.index; merged by site_finish */
	void **section;                 /* the modules' section structures of the host's top level, merged */
	struct section *sections;       /* the host's own <Directory>, <Files>, <Location> in order of the text */
	struct section *ifs;            /* its own <If> outside of these */
	struct section_index *index;    /* what applies in which order, the main server's included: made by site_finish (sections.c) */
	struct host *next;              /* in order of the text */
	unsigned number;                /* 0 = the main server */
	const struct account *account;  /* SuexecUserGroup; NULL = not said */
	unsigned row;                   /* where the status page counts it (conn/counters.h): set by the master */
};

struct site {
	struct arena *arena;
	struct conf_module *const *modules;
	unsigned nmodules;
	struct host *main;
	struct host *hosts;             /* the virtual hosts */
	unsigned nhosts;                /* main included */
	struct host_set *sets;          /* by address: made by site_finish */
	uint64_t nsections;             /* for section.id */
	bool asks_names;                /* a rule needs the name service, or a per-directory file may hold one that does */
	bool shows_status;              /* a line names the handler of the status page */
	bool asks_passwords;            /* the same of AuthType Basic */
	struct rewrite_program *programs;       /* of RewriteMap prg: (rewrite.h); the last of the text first */
	unsigned nprograms;
	struct account *accounts;       /* that programs run as (account.h); the last of the text first */
	unsigned naccounts;
	bool suexec_off;
	struct section_cache *cache;    /* merged sets: filled in the children (sectionset.c) */
	struct htaccess_cache *files;   /* per-directory files: filled in the children (htaccess.c) */
	const struct conf_tree *tree;   /* its text, for who shows it; NULL where nobody keeps it */
	const struct conf_env *env;     /* what it was read with: ServerRoot, definitions, has_module … */
};

/* What setters find in conf_target.owner while a configuration is read. */
struct reading {
	struct site *site;              /* read-only where `htaccess` */
	struct host *host;              /* the one whose lines are read */
	struct section *section;        /* the innermost section, or NULL */
	void *process;                  /* process/config.h's own; NULL where `htaccess` */
	struct arena *arena;            /* where all lives that a setter makes (regular expressions too): never site->arena */
	/*
	 * The directory that the section structure stands for, absolute, in normal form, with a slash at its end: of a
	 * <Directory> with a literal path and the sections inside it, of a per-directory file. NULL elsewhere: patterns,
	 * <Location>, top level. It lives as long as `arena`.
	 */
	const char *folder;
	bool htaccess;                  /* a per-directory file is read, in a child: its author is a tenant, not the administrator */
};

static inline struct reading *reading_of(const struct conf_call *call) { return call->target->owner; }

/* An empty site with a main server whose structures every module has created. */
struct site *site_new(struct arena *a, struct conf_module *const *modules, struct conf_env *env);
/* Merges main → hosts, calls finish_host of every module for each, builds the tables. Reports faults; 0 or -1. */
int site_finish(struct site *s, struct conf_env *env);

/* The host that answers at a local address when no name is given (the first of the best-matching set), or main. Never NULL. */
struct host *host_default(const struct site *s, const struct addr *local);
/* The host of that name (no port; any case; a trailing dot is ignored) at a local address; host_default's if none has it. */
struct host *host_by_name(const struct site *s, const struct addr *local, struct text name);
/*
 * For a request without a name: the first host at the address whose ServerPath the path of the target (as it came) begins
 * with, or NULL.
 */
struct host *host_by_path(const struct site *s, const struct addr *local, struct text path);
/* What is left of a path behind the host's ServerPath, with its slash or empty; all of it where that is not its beginning. */
const char *host_below_path(const struct host *h, const char *path);
/* Whether the host itself answers to the name (ServerName or ServerAlias). */
bool host_has_name(const struct host *h, struct text name);
/* Calls visit for each address set: -S. `is_default` marks the first host of a set. */
void host_visit(const struct site *s, void (*visit)(void *ctx, const char *address, const struct host *h, bool is_default, bool only), void *ctx);

/* Setters for core.c's table. */
conf_setter host_set_virtual_host, host_set_name, host_set_alias, host_set_path;

/* Whether connections to a listening address may be the host's. */
static inline bool host_addr_meets(const struct host_addr *a, const struct addr *listening)
{
	if (!a->any_port && addr_port(listening) != addr_port(&a->addr))
		return false;
	return a->any_ip || addr_is_any(listening) || addr_same_ip(listening, &a->addr);
}

static inline void *host_config(const struct host *h, const struct conf_module *m) { return h->config[m->index]; }

#endif
