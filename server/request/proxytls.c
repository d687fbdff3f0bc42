/*
 * proxytls.c - how the certificates of servers behind are checked, and what they are shown: SSLProxy*. Runs in the master, which reads the
 * files but parses none of them: children make of the bytes what GnuTLS needs, when the first connection does (upstream/secure.c).
 */
#include "request/proxyread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (16u << 20)

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

int proxy_set_tls(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const verify[] = { "none", "optional", "require", "optional_no_ca", NULL }, *const crl[] = { "none", "leaf", "chain", NULL };
	struct proxy_tls *t = &((struct proxy_host *)config)->tls;
	size_t i = 0;
	uint64_t n;
	char *at, *first = argv[0];

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

int proxy_tls_finish(struct conf_env *env, struct proxy_host *h)
{
	struct proxy_tls *t = &h->tls;
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
