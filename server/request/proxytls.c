/*
 * proxytls.c - how the certificates of servers behind are checked, and what they are shown: SSLProxy*. Runs in the master, which reads the
 * files but parses none of them: children make of the bytes what GnuTLS needs, when the first connection does (upstream/secure.c).
 */
#include "request/proxyread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "request/sections.h"

#define FILE_MOST (16u << 20)

void proxy_tls_clear(struct proxy_tls *t)
{
	*t = (struct proxy_tls){ .depth = -1 };
	t->engine = t->verify = t->check_name = t->check_cn = t->check_expire = t->crl_check = CONF_UNSET;
}

#define TAKE(member, unset) m->member = o->member != (unset) ? o->member : b->member

void proxy_tls_merge(struct proxy_tls *m, const struct proxy_tls *b, const struct proxy_tls *o)
{
	TAKE(engine, CONF_UNSET);
	TAKE(verify, CONF_UNSET);
	TAKE(check_name, CONF_UNSET);
	TAKE(check_cn, CONF_UNSET);
	TAKE(check_expire, CONF_UNSET);
	TAKE(crl_check, CONF_UNSET);
	TAKE(depth, -1);
	TAKE(protocols, NULL);
	TAKE(ca_file, NULL);
	TAKE(ca_path, NULL);
	TAKE(crl_file, NULL);
	TAKE(crl_path, NULL);
	TAKE(machine_file, NULL);
	TAKE(machine_path, NULL);
	TAKE(machine_chain, NULL);
}

enum { TLS_FLAG, TLS_PATH, TLS_TEXT, TLS_VERIFY, TLS_DEPTH, TLS_CRL_CHECK, TLS_SUITES };

#define AT(member) offsetof(struct proxy_tls, member)
static const struct { const char *name; int kind; size_t offset; } rows[] = {
	{ "SSLProxyEngine", TLS_FLAG, AT(engine) }, { "SSLProxyCheckPeerName", TLS_FLAG, AT(check_name) }, { "SSLProxyCheckPeerCN", TLS_FLAG, AT(check_cn) },
	{ "SSLProxyCheckPeerExpire", TLS_FLAG, AT(check_expire) }, { "SSLProxyVerify", TLS_VERIFY, AT(verify) }, { "SSLProxyVerifyDepth", TLS_DEPTH, AT(depth) },
	{ "SSLProxyProtocol", TLS_TEXT, AT(protocols) }, { "SSLProxyCipherSuite", TLS_SUITES, 0 },
	{ "SSLProxyCACertificateFile", TLS_PATH, AT(ca_file) }, { "SSLProxyCACertificatePath", TLS_PATH, AT(ca_path) },
	{ "SSLProxyCARevocationFile", TLS_PATH, AT(crl_file) }, { "SSLProxyCARevocationPath", TLS_PATH, AT(crl_path) },
	{ "SSLProxyCARevocationCheck", TLS_CRL_CHECK, AT(crl_check) }, { "SSLProxyMachineCertificateFile", TLS_PATH, AT(machine_file) },
	{ "SSLProxyMachineCertificatePath", TLS_PATH, AT(machine_path) }, { "SSLProxyMachineCertificateChainFile", TLS_PATH, AT(machine_chain) },
};

static int choose(struct conf_call *call, int *out, const char *word, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (strcasecmp(word, words[i]) == 0) {
			*out = i;
			return 0;
		}
	return conf_fail(call, NULL, "\"%s\" is none of the words it takes", word);
}

static bool protocols_known(const char *text)
{
	struct text rest = text_of(text), word;

	while (text_split(&rest, ' ', &word)) {
		if (word.n && (*word.p == '+' || *word.p == '-'))
			word = (struct text){ word.p + 1, word.n - 1 };
		if (word.n && !text_is_nocase(word, "all") && !text_is_nocase(word, "TLSv1") && !text_is_nocase(word, "TLSv1.1") && !text_is_nocase(word, "TLSv1.2") &&
		    !text_is_nocase(word, "TLSv1.3") && !text_is_nocase(word, "SSLv3") && !text_is_nocase(word, "SSLv2"))
			return false;
	}
	return true;
}

static int set_words(struct conf_call *call, const char **out, int argc, char **argv)
{
	*out = "";
	for (int i = 0; i < argc; i++)
		*out = conf_printf(call->env, "%s%s%s", *out, i ? " " : "", argv[i]);
	return protocols_known(*out) ? 0 : conf_fail(call, "use all, TLSv1.2 and TLSv1.3, with + or - before them", "\"%s\" names no protocol", *out);
}

/* Where a line is to be noted: the host's, or those of the <Proxy> section that it stands in. NULL: another section, reported. */
static struct proxy_tls *place_of(struct conf_call *call, struct proxy_host *h)
{
	const struct section *sec = call->context & CONF_SECTIONS ? reading_of(call)->section : NULL;
	struct proxy_place **tail = &h->places;

	if (!(call->context & CONF_SECTIONS))
		return &h->tls;
	if (!sec || sec->kind != SECTION_PROXY) {
		conf_fail(call, "write it in the server's part, in a <VirtualHost>, or in a <Proxy> section", "it cannot stand here");
		return NULL;
	}
	for (; *tail; tail = &(*tail)->next)
		if ((*tail)->section == sec)
			return &(*tail)->tls;
	*tail = conf_alloc(call->env, sizeof **tail);
	(*tail)->section = sec;
	proxy_tls_clear(&(*tail)->tls);
	return &(*tail)->tls;
}

int proxy_set_tls(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const verify[] = { "none", "optional", "require", "optional_no_ca", NULL }, *const crl[] = { "none", "leaf", "chain", NULL };
	struct proxy_tls *t = place_of(call, config);
	size_t i = 0;
	uint64_t n;
	char *at, *first = argv[0];
	struct stat st;

	if (!t)
		return -1;
	while (i + 1 < sizeof rows / sizeof *rows && strcasecmp(rows[i].name, call->directive->name) != 0)
		i++;
	at = (char *)t + rows[i].offset;
	switch (rows[i].kind) {
	case TLS_FLAG:
		if (strcasecmp(first, "on") != 0 && strcasecmp(first, "off") != 0)
			return conf_fail(call, NULL, "it must be on or off");
		*(int *)(void *)at = strcasecmp(first, "on") == 0;
		return 0;
	case TLS_VERIFY:
		return choose(call, (int *)(void *)at, first, verify);
	case TLS_CRL_CHECK:
		return choose(call, (int *)(void *)at, first, crl);
	case TLS_DEPTH:
		if (text_u64(text_of(first), 100, &n) != 0)
			return conf_fail(call, NULL, "\"%s\" is no number from 0 to 100", first);
		*(int64_t *)(void *)at = (int64_t)n;
		return 0;
	case TLS_SUITES:
		conf_note(call, NULL, "it has no effect: servers behind are offered the suites that GnuTLS holds for good");
		return 0;
	case TLS_PATH:
		*(const char **)(void *)at = conf_path(call->env, first);
		if (stat(*(const char **)(void *)at, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
			return conf_fail(call, "mend the name, or take the line out", "there is no %s", *(const char **)(void *)at);
		return 0;
	default:
		return set_words(call, (const char **)(void *)at, argc, argv);
	}
}

/* ------------------------------------------------------------------------------------------------ files */

static int unreadable(struct conf_env *env, const char *path)
{
	conf_report(env, CONF_ERROR, NULL, "see that the file is there and that root may read it", "%s, which an SSLProxy directive names, cannot be read: %s", path,
		    strerrordesc_np(errno));
	return -1;
}

/* Puts a file's bytes behind what is there. */
static int read_file(struct conf_env *env, const char *path, struct text *all)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	char *p;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MOST - all->n) {
		if (fd >= 0)
			close(fd);
		return unreadable(env, path);
	}
	p = conf_alloc(env, all->n + (size_t)st.st_size + 2);
	if (all->n)
		memcpy(p, all->p, all->n);
	got = read(fd, p + all->n, (size_t)st.st_size);
	close(fd);
	if (got < 0)
		return unreadable(env, path);
	p[all->n + (size_t)got] = '\n';
	*all = (struct text){ p, all->n + (size_t)got + 1 };
	return 0;
}

static int read_folder(struct conf_env *env, const char *path, struct text *all)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	int rc = 0;

	if (!d)
		return unreadable(env, path);
	while (rc == 0 && (entry = readdir(d))) {
		const char *name = conf_printf(env, "%s/%s", path, entry->d_name);
		struct stat st;

		if (*entry->d_name != '.' && stat(name, &st) == 0 && S_ISREG(st.st_mode))
			rc = read_file(env, name, all);
	}
	closedir(d);
	return rc;
}

static int read_both(struct conf_env *env, const char *file, const char *folder, struct text *all)
{
	*all = (struct text){ 0 };
	if (file && read_file(env, file, all) < 0)
		return -1;
	return folder ? read_folder(env, folder, all) : 0;
}

static int finish(struct conf_env *env, struct proxy_tls *t)
{
	static unsigned ids;

	t->id = ++ids;
	if (t->engine != 1)
		return 0;
	if (read_both(env, t->ca_file, t->ca_path, &t->ca) < 0 || read_both(env, t->crl_file, t->crl_path, &t->crl) < 0 ||
	    read_both(env, t->machine_file, t->machine_path, &t->machine) < 0)
		return -1;
	if (t->machine_chain && t->machine.n && read_file(env, t->machine_chain, &t->machine) < 0)
		return -1;
	if (t->verify > 0 && !t->ca.n)
		conf_report(env, CONF_WARNING, NULL, "name the authorities in SSLProxyCACertificateFile",
			    "SSLProxyVerify is on, and no authority is named: every connection to a server behind over TLS will fail");
	return 0;
}

/* Whether a <Proxy> section is for the worker: by its URL, or that of a balancer that it is a member of. */
static bool is_for(const struct proxy_host *h, const struct section *sec, const struct proxy_worker *w)
{
	const struct proxy_balancer *b = proxy_is_balancer(sec->pattern) ? proxy_balancer_find(h, sec->pattern + 11, strcspn(sec->pattern + 11, "/")) : NULL;
	struct regex_match match;

	for (const struct proxy_member *m = b ? b->members : NULL; m; m = m->next)
		if (m->worker == w)
			return true;
	if (sec->regex)
		return regex_run(sec->regex, text_of(w->name), &match) == 1;
	if (strcmp(sec->pattern, "*") == 0)
		return true;
	return sec->wild ? fnmatch(sec->pattern, w->name, 0) == 0 : strncmp(w->name, sec->pattern, sec->length) == 0;
}

/* All sections that are for it, in order of the text, the last wins. */
static int finish_worker(struct conf_env *env, struct proxy_host *h, struct proxy_worker *w)
{
	struct proxy_tls *all = NULL, *one;

	if (!w->tls)
		w->tls = &h->tls;
	for (const struct proxy_place *p = h->places; p; p = p->next) {
		if (!is_for(h, p->section, w))
			continue;
		one = conf_alloc(env, sizeof *one);
		proxy_tls_clear(one);
		proxy_tls_merge(one, all ? all : &h->tls, &p->tls);
		all = one;
	}
	if (!all || w->tls_own)
		return 0;
	w->tls = all;
	w->tls_own = true;
	return finish(env, all);
}

int proxy_tls_finish(struct conf_env *env, struct proxy_host *h)
{
	int rc = finish(env, &h->tls);

	for (const struct proxy_member *m = h->workers; m && rc == 0; m = m->next)
		if (m->worker->secure)
			rc = finish_worker(env, h, m->worker);
	return rc;
}
