/*
 * phrases.c - pass phrases of private keys. Runs in the process that the administrator started, before it forks, and then
 * in the master (or under -X), which only keeps them.
 *
 * Whether a phrase is right must be known while somebody can be asked again, but neither this process nor the master may
 * parse a key. So a prober is forked, with the rights of a keyholder: it gets a key file and phrases by message, says
 * whether one fits, and ends when all are known. What it parsed goes with it.
 */
#include "process/phrases.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ipc.h"
#include "base/secret.h"
#include "cert/load.h"
#include "cert/token.h"
#include "process/daemon.h"
#include "process/dialog.h"
#include "process/handover.h"
#include "process/keys.h"
#include "process/role.h"
#include "process/settings.h"

#define PROBE_WAIT_MS 60000             /* phrases may be hardened by many rounds of a hash */
enum { PROBE_MSG = 1 };

static struct {
	char *page;                     /* PHRASES_ROOM bytes; NULL = nothing was asked */
	size_t n;
} kept;

const char *phrases_list(size_t *n)
{
	*n = kept.n;
	return kept.page;
}

static void forget(void)
{
	secret_free(kept.page, PHRASES_ROOM);
	kept.page = NULL;
	kept.n = 0;
}

void phrases_carry(bool across)
{
	if (!kept.page)
		return;
	if (!across) {
		madvise(kept.page, PHRASES_ROOM, MADV_DONTFORK);
		(void)mlock(kept.page, PHRASES_ROOM);           /* a lock is not inherited */
	} else if (madvise(kept.page, PHRASES_ROOM, MADV_DOFORK) < 0) {
		forget();                       /* the key is then refused by its name */
	}
}

int phrases_hand_over(FILE *to, struct err *e)
{
	int fd[2];

	if (!kept.page)
		return -1;
	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, "no pipe for the pass phrases");
	if (write(fd[1], kept.page, kept.n) != (ssize_t)kept.n)
		err_sys(e, "the pass phrases cannot be handed over");
	close(fd[1]);
	handover_put(to, "phrases", fd[0], "%zu", kept.n);
	return fd[0];
}

int phrases_take_over(struct err *e)
{
	const struct handover_line *l = handover_next(NULL, "phrases");
	size_t n = l ? (size_t)strtoul(l->text, NULL, 10) : 0;
	int fd[2], rc;

	if (!n)
		return 0;
	if (n > PHRASES_ROOM || pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, "no pipe for the pass phrases");
	kept.page = secret_alloc(PHRASES_ROOM, SECRET_NOFORK);
	/* tee leaves what is in the first pipe. */
	rc = kept.page && tee(l->fd, fd[1], n, 0) == (ssize_t)n && read(fd[0], kept.page, n) == (ssize_t)n ? 0 : -1;
	if (rc == 0)
		kept.n = n;
	else
		err_sys(e, "the pass phrases of the program before cannot be read");
	close(fd[0]);
	close(fd[1]);
	return rc;
}

/* ------------------------------------------------------------------------------------------------ the prober */

static int warm(void *ctx, struct err *e)
{
	unsigned char word[4];

	(void)ctx;
	(void)e;
	gnutls_rnd(GNUTLS_RND_KEY, word, sizeof word);
	gnutls_rnd(GNUTLS_RND_RANDOM, word, sizeof word);
	gnutls_rnd(GNUTLS_RND_NONCE, word, sizeof word);
	return 0;
}

static int confine(int *fd, const struct process_settings *p, pid_t parent, struct err *e)
{
	bool root = geteuid() == 0;
	uid_t uid = p->uid;
	gid_t gid = p->gid;

	if (root)
		role_account(p->key_user, "_bulkhead-key", &uid, &gid);
	return role_enter(ROLE_KEYHOLDER,
			  &(struct role_wants){ .keep = fd,
						.nkeep = 1,
						.uid = root ? uid : (uid_t)-1,
						.gid = gid,
						.files = 64,
						.master = parent,
						.warm = warm },
			  e);
}

/* p NULL: not confined, so that valgrind and debuggers can follow. */
static _Noreturn void prober_run(int fd, const struct process_settings *p, pid_t parent)
{
	static struct ipc_message m;
	struct err e = { .text = "" };

	if (p && confine(&fd, p, parent, &e) < 0) {
		ipc_send(fd, PROBE_MSG, 1, &e, sizeof e, NULL, 0);
		_exit(1);
	}
	while (ipc_recv(fd, &m) == 1) {
		struct err why = { .text = "" };
		gnutls_privkey_t key;
		int32_t r = -1;

		if (m.nfds == 1 && (m.len == 0 || m.data[m.len - 1] == '\0')) {
			r = cert_key_load_with(&key, m.fds[0], "", (const char *)m.data, m.len, &why);
			if (r == 0)
				gnutls_privkey_deinit(key);
		}
		secret_wipe(m.data, m.len);
		ipc_drop_fds(&m);
		ipc_send(fd, PROBE_MSG, 0, &r, sizeof r, NULL, 0);
	}
	_exit(0);
}

struct prober {
	int fd;
	pid_t pid;
};

static int prober_start(struct prober *b, const struct process_settings *p, struct err *e)
{
	pid_t parent = getpid();
	int fd[2];

	if (ipc_pair(fd) < 0)
		return err_sys(e, "no socket to look at private keys");
	b->pid = role_fork(ROLE_KEYHOLDER);
	if (b->pid == 0) {
		close(fd[0]);
		prober_run(fd[1], p, parent);
	}
	close(fd[1]);
	b->fd = fd[0];
	if (b->pid > 0)
		return 0;
	close(b->fd);
	return err_sys(e, "no process to look at private keys");
}

static void prober_end(struct prober *b)
{
	close(b->fd);
	while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* 0 one of the phrases fits or none is needed, CERT_KEY_LOCKED none fits, 1 the key is faulty: said later. -1 with *e. */
static int probe(const struct prober *b, int key, const char *phrases, size_t n, struct err *e)
{
	static struct ipc_message m;
	int32_t r;

	lseek(key, 0, SEEK_SET);
	if (ipc_send(b->fd, PROBE_MSG, 0, phrases, n, &key, 1) < 0 || ipc_recv_wait(b->fd, &m, PROBE_WAIT_MS) != 1)
		return err_set(e, "the process that looks at private keys does not answer");
	if (ipc_is(&m, PROBE_MSG, sizeof(struct err), sizeof(struct err))) {
		struct err why;
		char text[600];
		memcpy(&why, m.data, sizeof why);
		why.text[sizeof why.text - 1] = why.remedy[sizeof why.remedy - 1] = why.file[sizeof why.file - 1] = '\0';
		return err_set(e, "private keys cannot be looked at: %s", err_print(&why, text, sizeof text));
	}
	if (!ipc_is(&m, PROBE_MSG, sizeof r, sizeof r)) {
		ipc_drop_fds(&m);
		return err_set(e, "the process that looks at private keys answers nonsense");
	}
	memcpy(&r, m.data, sizeof r);
	return r == 0 || r == CERT_KEY_LOCKED ? r : 1;
}

/* ------------------------------------------------------------------------------------------------ asking */

/* The kind of a key that is closed is read off its certificate. */
static const char *key_type(const struct tls_key_file *f)
{
	gnutls_pk_algorithm_t a = GNUTLS_PK_UNKNOWN;
	struct cert_chain c = { .n = 0 };
	struct err e = { .text = "" };
	unsigned bits;

	if (cert_chain_load(&c, f->certificate, &e) == 0)
		a = cert_algorithm(c.at[0], &bits);
	cert_chain_free(&c);
	switch (a) {
	case GNUTLS_PK_ECDSA:
		return "ECC";
	case GNUTLS_PK_EDDSA_ED25519:
		return "ED25519";
	case GNUTLS_PK_EDDSA_ED448:
		return "ED448";
	default:
		return "RSA";
	}
}

static int refused(const struct dialog *d, const struct dialog_question *q, struct err *e)
{
	err_set(e, "the pass phrase %s does not open the private key %s of %s",
		d->how->kind == TLS_DIALOG_BUILTIN ? "that was typed" : "that the program of SSLPassPhraseDialog gave", q->path, q->server);
	return err_remedy(e, "try it: openssl pkey -in %s -noout; the server is not started without its keys", q->path);
}

/* Adds to the page the phrase of a key that none there opens. */
static int ask_for(struct dialog *d, const struct prober *b, const struct keys *k, unsigned i, struct err *e)
{
	const struct tls_key_file *f = &k->files[i];
	char server[300], *at = kept.page + kept.n;
	struct dialog_question q = { .server = server, .type = key_type(f), .path = f->path };
	unsigned tries = d->how->kind == TLS_DIALOG_EXEC ? 1 : DIALOG_TRIES;
	size_t room = PHRASES_ROOM - kept.n;

	if (d->how->kind == TLS_DIALOG_BUILTIN)
		err_at(e, f->pos.file, f->pos.line);
	snprintf(server, sizeof server, "%s:%u", k->hosts[i]->name, k->hosts[i]->port ? k->hosts[i]->port : 443u);
	if (room < 2)
		return err_set(e, "the pass phrases of all keys are longer than %d bytes together", PHRASES_ROOM);
	for (q.try = 0; q.try < tries; q.try++) {
		int r = dialog_ask(d, &q, at, room < PHRASE_LONGEST ? room : PHRASE_LONGEST, e);

		if (r == 0)
			r = probe(b, k->fds[i], at, strlen(at) + 1, e);
		if (r >= 0) {
			kept.n += strlen(at) + 1;
			return 0;
		}
		secret_wipe(at, room);
		if (r != CERT_KEY_LOCKED)
			return -1;
	}
	err_at(e, f->pos.file, f->pos.line);
	return refused(d, &q, e);
}

/* A key on a token whose URI does not lead to the PIN. */
static bool wants_pin(const struct tls_key_file *f)
{
	char buf[TOKEN_MAX_URI];
	bool told = token_pin_value(f->path, buf) || token_pin_source(f->path, buf);

	secret_wipe(buf, sizeof buf);
	return token_is_uri(f->path) && !told;
}

/* One a token. It is not tried here: tokens lock after a few wrong ones, and the keyholder tells of a wrong one soon enough. */
static int ask_pin(struct dialog *d, const struct keys *k, unsigned i, struct err *e)
{
	char label[TOKEN_MAX_URI], shown[TOKEN_MAX_URI], server[300], *at = kept.page + kept.n;
	struct dialog_question q = { .server = server, .type = "PIN", .path = token_shown(k->files[i].path, shown) };
	size_t n, room = PHRASES_ROOM - kept.n;

	n = strlen(token_label(k->files[i].path, label)) + 2;
	for (size_t p = 0; p < kept.n; p += strlen(kept.page + p) + 1)
		if (kept.page[p] == KEY_PIN_MARK && strncmp(kept.page + p + 1, label, n - 2) == 0 && kept.page[p + n - 1] == '\n')
			return 0;
	snprintf(server, sizeof server, "%s:%u", k->hosts[i]->name, k->hosts[i]->port ? k->hosts[i]->port : 443u);
	if (room < n + 2)
		return err_set(e, "the pass phrases of all keys are longer than %d bytes together", PHRASES_ROOM);
	if (dialog_ask(d, &q, at + n, room - n < TOKEN_MAX_PIN ? room - n : TOKEN_MAX_PIN, e) < 0) {
		secret_wipe(at, room);
		return -1;
	}
	*at = KEY_PIN_MARK;
	memcpy(at + 1, label, n - 2);
	at[n - 1] = '\n';
	kept.n += strlen(at) + 1;
	return 0;
}

static int ask_all(const struct config *cfg, struct keys *k, const struct prober *b, struct err *e)
{
	struct dialog d = { .how = tls_policy_dialog(host_config(cfg->site->main, &tls_module)), .in = -1, .out = -1 };
	int r = 0;

	for (unsigned i = 0; i < k->n && r >= 0; i++) {
		if (wants_pin(&k->files[i]))
			r = ask_pin(&d, k, i, e);
		if (k->fds[i] < 0)
			continue;
		r = probe(b, k->fds[i], kept.page, kept.n, e);
		if (r == CERT_KEY_LOCKED)
			r = ask_for(&d, b, k, i, e);
	}
	dialog_end(&d, r >= 0);
	return r < 0 ? -1 : 0;
}

/* Files that cannot be opened are reported when keys are loaded. */
static bool open_files(struct keys *k)
{
	bool any = false;

	for (unsigned i = 0; i < k->n; i++) {
		struct stat st;

		if (token_is_uri(k->files[i].path)) {
			any |= wants_pin(&k->files[i]);
			continue;
		}
		k->fds[i] = open(k->files[i].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (k->fds[i] >= 0 && (fstat(k->fds[i], &st) < 0 || !S_ISREG(st.st_mode))) {
			close(k->fds[i]);
			k->fds[i] = -1;
		}
		any |= k->fds[i] >= 0;
	}
	return any;
}

int phrases_ask(struct config *cfg, bool confined, struct err *e)
{
	struct err unseen = { .text = "" };
	struct prober b = { .fd = -1 };
	struct keys k;
	pid_t running;
	int r = 0;

	/* One that runs already is told by the start itself; nobody has to type anything for it. */
	if (!keys_tls_wanted(cfg) || pidfile_running(cfg->process->pid_file, &running, &unseen) == 1)
		return 0;
	if (keys_collect(&k, cfg) < 0) {
		keys_close(&k);
		return err_set(e, "no memory for the list of keys");
	}
	if (open_files(&k)) {
		kept.page = secret_alloc(PHRASES_ROOM, SECRET_NOFORK);
		r = kept.page ? prober_start(&b, confined ? cfg->process : NULL, e) : err_sys(e, "no memory for pass phrases");
		if (r == 0) {
			r = ask_all(cfg, &k, &b, e);
			prober_end(&b);
		}
	}
	keys_close(&k);
	if (r < 0 || !kept.n)
		forget();
	return r;
}

void phrases_check(struct config *cfg)
{
	const struct tls_dialog *how = tls_policy_dialog(host_config(cfg->site->main, &tls_module));
	struct err e = { .text = "" };

	if (dialog_check(how, &e) < 0)
		config_report_add(cfg, CONF_ERROR, &how->pos, *e.remedy ? e.remedy : NULL, "%s", e.text);
}
