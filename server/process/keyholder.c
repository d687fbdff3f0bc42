/*
 * keyholder.c - the processes that hold private keys. First half: the master starts and feeds them, with descriptors of
 * key files that it opened as root and never reads. Second half: the process itself, blocking, one request after the
 * other; it opens nothing, and no request can end it.
 *
 * A child's socket is a pair made when the child is forked. The master keeps a copy of the keyholder's end, so that a
 * keyholder that dies can be replaced behind the same sockets: what a child asked meanwhile waits in them.
 */
#include "process/keyholder.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/secret.h"
#include "log/log.h"
#include "process/generation.h"
#include "process/keys.h"
#include "process/phrases.h"
#include "process/policy.h"
#include "process/role.h"
#include "process/shared.h"
#include "process/slots.h"
#include "tls/key.h"
#include "tls/keyproto.h"

#define LOAD_WAIT_MS 10000
#define ORPHAN_MS 5500                  /* how long it serves children whose master is gone */

struct keyholder {
	pid_t pid;                      /* 0 = none now */
	int control;
	int64_t born;
	struct policy_backoff backoff;
};
struct keyholders {
	struct config *cfg;
	struct keys keys;
	unsigned n;
	bool loaded;                    /* the first one has told the keys' public parts */
	struct keyholder at[];
};

static _Noreturn void keyholder_run(int control, const struct config *cfg);

/* ------------------------------------------------------------------------------------------------ the master's half */

/* Hands over one key and takes the answer. 0, or -1 with *e. */
static int load_key(struct keyholders *k, struct keyholder *h, unsigned i, struct err *e)
{
	static struct ipc_message m;
	const struct tls_key_file *f = &k->keys.files[i];
	struct key_ref ref;
	int rc;

	err_at(e, f->pos.file, f->pos.line);
	lseek(k->keys.fds[i], 0, SEEK_SET);
	if (ipc_send(h->control, KEY_MSG_LOAD, i, f->path, strlen(f->path) + 1, &k->keys.fds[i], 1) < 0)
		return err_sys(e, "the keyholder does not take the key %s", f->path);
	rc = ipc_recv_wait(h->control, &m, LOAD_WAIT_MS);
	if (rc <= 0)
		return rc == 0 ? err_set(e, "the keyholder died over the key %s", f->path)
			       : err_sys(e, "the keyholder does not answer about the key %s", f->path);
	if (ipc_is(&m, KEY_MSG_FAILED, sizeof(struct err), sizeof(struct err))) {
		struct err why;
		memcpy(&why, m.data, sizeof why);
		why.text[sizeof why.text - 1] = why.remedy[sizeof why.remedy - 1] = '\0';
		err_set(e, "%s", why.text);
		return *why.remedy ? err_remedy(e, "%s", why.remedy) : -1;
	}
	if (!ipc_is(&m, KEY_MSG_LOADED, sizeof ref, sizeof ref)) {
		ipc_drop_fds(&m);
		return err_set(e, "the keyholder answers nonsense about the key %s", f->path);
	}
	memcpy(&ref, m.data, sizeof ref);
	ref.id = i;
	if (k->loaded && memcmp(ref.spki, k->keys.refs[i].spki, sizeof ref.spki)) {
		err_set(e, "the private key in %s is another one now than when the server read it", f->path);
		return err_remedy(e, "run -k graceful, so that key and certificate are read together");
	}
	k->keys.refs[i] = ref;
	return 0;
}

static int load_keys(struct keyholders *k, struct keyholder *h, bool report, struct err *e)
{
	static struct ipc_message m;
	int result = 0;
	size_t n;
	const char *phrases = phrases_list(&n);

	if (n && ipc_send(h->control, KEY_MSG_PHRASES, 0, phrases, n, NULL, 0) < 0)
		return err_sys(e, "the keyholder does not take pass phrases");
	for (unsigned i = 0; i < k->keys.n; i++) {
		struct err why = { .text = "" };

		if (load_key(k, h, i, &why) == 0)
			continue;
		result = -1;
		if (report)
			config_report_add(k->cfg, CONF_ERROR, &k->keys.files[i].pos,
					  *why.remedy ? why.remedy : NULL, "%s", why.text);
		else if (e && !*e->text)
			*e = why;
	}
	if (result < 0)
		return -1;
	if (ipc_send(h->control, KEY_MSG_READY, 0, NULL, 0, NULL, 0) < 0 ||
	    ipc_recv_wait(h->control, &m, LOAD_WAIT_MS) != 1 || !ipc_is(&m, KEY_MSG_READY, 0, 0))
		return err_set(e, "the keyholder does not begin to serve");
	k->loaded = true;
	return fcntl(h->control, F_SETFL, O_NONBLOCK) < 0 ? err_sys(e, "the keyholder's socket") : 0;
}

static void discard(struct keyholder *h)
{
	if (h->control >= 0)
		close(h->control);
	h->control = -1;
}

/* Forks one and feeds it. -1: it is being killed where it lives, the caller or keyholders_reaped goes on. */
static int start_one(struct keyholders *k, struct keyholder *h, bool report, struct err *e)
{
	int fd[2];

	discard(h);
	if (ipc_pair(fd) < 0)
		return err_sys(e, "no socket for a keyholder");
	h->born = shared_now();
	h->pid = role_fork(ROLE_KEYHOLDER);
	if (h->pid == 0) {
		/* The master's end must not live on here: its close is how this process learns that the master is gone. */
		close(fd[0]);
		keyholder_run(fd[1], k->cfg);
	}
	close(fd[1]);
	h->control = fd[0];
	if (h->pid < 0) {
		h->pid = 0;
		return err_sys(e, "no keyholder can be forked");
	}
	if (load_keys(k, h, report, e) == 0)
		return 0;
	kill(h->pid, SIGKILL);
	return -1;
}

struct keyholders *keyholders_start(struct config *cfg, unsigned n, struct err *e)
{
	struct keyholders *k = calloc(1, sizeof *k + n * sizeof *k->at);

	if (!k) {
		err_set(e, "no memory");
		return NULL;
	}
	k->cfg = cfg;
	k->n = n;
	for (unsigned i = 0; i < n; i++)
		k->at[i].control = -1;
	if (keys_collect(&k->keys, cfg) < 0)
		err_set(e, "no memory for the list of keys");
	else if (keys_open(&k->keys, cfg) == 0) {
		unsigned i = 0;
		while (i < n && start_one(k, &k->at[i], i == 0, e) == 0)
			i++;
		if (i == n && keys_finish_hosts(&k->keys, cfg) == 0)
			return k;
	}
	keyholders_end(k);
	return NULL;
}

int keyholders_attach(struct keyholders *k, unsigned slot, int *child, int *kept)
{
	struct keyholder *h = &k->at[slot % k->n];
	int fd[2];

	if (ipc_pair(fd) < 0)
		return -1;
	*child = fd[0];
	*kept = fd[1];
	/* One that takes no message hangs. Its successor gets this end with the others. */
	if (h->pid && h->control >= 0 && ipc_send(h->control, KEY_MSG_ATTACH, slot, NULL, 0, &fd[1], 1) < 0)
		kill(h->pid, SIGKILL);
	return 0;
}

static void give_sockets(struct keyholders *k, const struct generation *g, unsigned which)
{
	int *fds = calloc(shared.nslots, sizeof *fds);
	unsigned n = fds ? slots_ends(g, SLOT_KEYS, which, k->n, fds, shared.nslots) : 0;

	for (unsigned at = 0; at < n; at += IPC_MAX_FDS) {
		unsigned part = n - at < IPC_MAX_FDS ? n - at : IPC_MAX_FDS;
		if (ipc_send(k->at[which].control, KEY_MSG_ATTACH, 0, NULL, 0, fds + at, part) < 0) {
			kill(k->at[which].pid, SIGKILL);
			break;
		}
	}
	free(fds);
}

static void replace(struct keyholders *k, const struct generation *g, unsigned i)
{
	struct err e = { .text = "" };
	char text[1024];

	if (start_one(k, &k->at[i], false, &e) == 0) {
		give_sockets(k, g, i);
		return;
	}
	log_errorx(NULL, LOG_SSL, "BH0131",
		   "no keyholder for generation %u: %s: handshakes fail until there is one", g->number,
		   err_print(&e, text, sizeof text));
	if (!k->at[i].pid)
		policy_ended(&k->at[i].backoff, POLICY_FATAL, shared_now(), shared_now());
}

bool keyholders_reaped(struct keyholders *k, const struct generation *g, pid_t pid, int status, int64_t now)
{
	for (unsigned i = 0; i < k->n; i++) {
		struct keyholder *h = &k->at[i];
		char words[128];

		if (h->pid != pid)
			continue;
		log_errorx(
			NULL, LOG_SSL, "BH0130",
			"keyholder pid %d of generation %u %s: it is replaced, no connection is lost by it",
			(int)pid, g->number, slots_status_words(status, words));
		h->pid = 0;
		discard(h);
		policy_ended(&h->backoff,
			     slots_class(status, false) == POLICY_NORMAL ? POLICY_CRASH
									 : slots_class(status, false),
			     h->born, now);
		/* Handshakes wait for it: the first successor comes without delay, however young the dead one was. */
		if (h->backoff.failures == 1)
			replace(k, g, i);
		return true;
	}
	return false;
}

void keyholders_tick(struct keyholders *k, const struct generation *g, int64_t now)
{
	for (unsigned i = 0; i < k->n; i++)
		if (!k->at[i].pid && policy_due(&k->at[i].backoff, true) <= now)
			replace(k, g, i);
}

int64_t keyholders_due(const struct keyholders *k)
{
	int64_t due = INT64_MAX;

	for (unsigned i = 0; i < k->n; i++)
		if (!k->at[i].pid && policy_due(&k->at[i].backoff, true) < due)
			due = policy_due(&k->at[i].backoff, true);
	return due;
}

unsigned keyholders_living(const struct keyholders *k)
{
	unsigned n = 0;

	for (unsigned i = 0; i < k->n; i++)
		n += k->at[i].pid != 0;
	return n;
}

void keyholders_end(struct keyholders *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < k->n; i++)
		discard(&k->at[i]);
	keys_close(&k->keys);
	free(k);
}

/* ------------------------------------------------------------------------------------------------ the process itself */

static struct holder {
	int control, epoll;             /* control -1: the master is gone */
	unsigned sockets;               /* of children */
	struct key_store *store;
	char *phrases;                  /* PHRASES_ROOM bytes of a page of its own, zeros but while keys are loaded */
} holder;
static struct ipc_message message;      /* too large for the stack, and only one at a time is read */

static int watch(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(holder.epoll, EPOLL_CTL_ADD, fd, &ev);
}

/* Closing alone is not enough: the master holds the same description, so that epoll would go on telling of it. */
static void unwatch(int fd)
{
	epoll_ctl(holder.epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

static int warm(void *ctx, struct err *e)
{
	unsigned char word[4];

	(void)ctx;
	gnutls_rnd(GNUTLS_RND_KEY, word, sizeof word);
	gnutls_rnd(GNUTLS_RND_RANDOM, word, sizeof word);
	gnutls_rnd(GNUTLS_RND_NONCE, word, sizeof word);
	holder.epoll = epoll_create1(EPOLL_CLOEXEC);
	holder.store = key_store_new();
	mallopt(M_PERTURB, 0xff);
	holder.phrases = secret_alloc(PHRASES_ROOM, SECRET_NOFORK);
	if (holder.epoll < 0 || !holder.store || !holder.phrases || watch(holder.control) < 0)
		return err_sys(e, "no memory or no descriptors");
	return 0;
}

static void take_phrases(void)
{
	if (message.len && message.len <= PHRASES_ROOM && message.data[message.len - 1] == '\0') {
		memcpy(holder.phrases, message.data, message.len);
		key_store_phrases(holder.store, holder.phrases, message.len);
	}
	secret_wipe(message.data, sizeof message.data);
}

/*
 * GnuTLS frees its copies of a phrase unwiped. While keys are loaded the allocator overwrites what is freed (warm), but not
 * the small pieces that it keeps at hand, at most 7 of a size: those are had out and wiped here.
 */
static void forget_phrases(void)
{
	enum { STEP = 16, SIZES = 66, EACH = 8 };
	void *at[SIZES][EACH];

	key_store_phrases(holder.store, NULL, 0);
	secret_wipe(holder.phrases, PHRASES_ROOM);
	for (size_t i = 0; i < SIZES; i++)
		for (size_t k = 0; k < EACH; k++)
			if ((at[i][k] = malloc((i + 1) * STEP)))
				secret_wipe(at[i][k], (i + 1) * STEP);
	for (size_t i = 0; i < SIZES; i++)
		for (size_t k = 0; k < EACH; k++)
			free(at[i][k]);
	mallopt(M_PERTURB, 0);
}

/* LOAD: one descriptor and the file's name. */
static void take_key(void)
{
	struct key_ref ref = { 0 };
	struct err e = { .text = "" };
	int rc = -1;

	if (message.nfds != 1 || message.len < 2 || message.data[message.len - 1] != '\0')
		err_set(&e, "the master sent a key without a file");
	else
		rc = key_store_add(holder.store, message.fds[0], (const char *)message.data, &ref, &e);
	ipc_drop_fds(&message);
	if (rc == 0)
		ipc_send(holder.control, KEY_MSG_LOADED, message.head.id, &ref, sizeof ref, NULL, 0);
	else
		ipc_send(holder.control, KEY_MSG_FAILED, message.head.id, &e, sizeof e, NULL, 0);
}

static void attach(void)
{
	for (unsigned i = 0; i < message.nfds; i++) {
		int fd = message.fds[i];
		/* Not blocking: a child that asks and never reads the answers must not stop the others. */
		if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || watch(fd) < 0)
			close(fd);
		else
			holder.sockets++;
	}
	message.nfds = 0;
}

static void from_master(void)
{
	int rc = ipc_recv(holder.control, &message);

	if (rc == 0) {
		unwatch(holder.control);
		holder.control = -1;
		return;
	}
	if (rc < 0)
		return;
	switch (message.head.type) {
	case KEY_MSG_LOAD:
		take_key();
		break;
	case KEY_MSG_PHRASES:
		take_phrases();
		break;
	case KEY_MSG_READY:
		forget_phrases();
		ipc_send(holder.control, KEY_MSG_READY, 0, NULL, 0, NULL, 0);
		break;
	case KEY_MSG_ATTACH:
		attach();
		break;
	default:
		break;
	}
	ipc_drop_fds(&message);
}

static int answer(int fd)
{
	unsigned char out[KEY_MAX_SIGNATURE];
	struct key_request r = { 0 };
	size_t n = 0;
	int32_t rc = GNUTLS_E_INVALID_REQUEST;

	if (message.head.type == KEY_MSG_RUN && message.nfds == 0 && message.len >= sizeof r) {
		memcpy(&r, message.data, sizeof r);
		if (r.length == message.len - sizeof r && r.operation <= KEY_DECRYPT)
			rc = key_store_run(holder.store, r.key, (enum key_operation)r.operation,
					   r.algorithm, message.data + sizeof r, r.length, out, sizeof out,
					   &n);
	}
	ipc_drop_fds(&message);
	if (rc == 0 && n <= sizeof out)
		return ipc_send(fd, KEY_MSG_RESULT, message.head.id, out, n, NULL, 0);
	return ipc_send(fd, KEY_MSG_ERROR, message.head.id, &rc, sizeof rc, NULL, 0);
}

static void from_child(int fd)
{
	int rc = ipc_recv(fd, &message);

	if (rc < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (rc == 1 && answer(fd) == 0)
		return;
	unwatch(fd);
	holder.sockets--;
}

void keyholder_run(int control, const struct config *cfg)
{
	const struct process_settings *p = cfg->process;
	uid_t uid = p->uid;
	gid_t gid = p->gid;
	struct err e = { .text = "" };
	char text[1024];
	int64_t end = INT64_MAX;

	holder.control = control;
	if (shared.root)
		role_account(p->key_user, "_bulkhead-key", &uid, &gid);
	shared_forget(SHARED_KEEP_NOTHING);
	if (role_enter(ROLE_KEYHOLDER,
		       &(struct role_wants){ .keep = &control,
					     .nkeep = 1,
					     .uid = shared.root ? uid : (uid_t)-1,
					     .gid = gid,
					     .files = shared.nslots + 64,
					     .master = shared.master,
					     .warm = warm },
		       &e) < 0) {
		err_print(&e, text, sizeof text);
		struct err out = { .text = "" };
		err_set(&out, "the keyholder cannot begin: %s", text);
		ipc_send(control, KEY_MSG_FAILED, 0, &out, sizeof out, NULL, 0);
		_exit(ROLE_EXIT_FATAL);
	}
	while (holder.control >= 0 || (holder.sockets && shared_now() < end)) {
		struct epoll_event ev[16];
		int n = epoll_wait(holder.epoll, ev, 16, holder.control >= 0 ? -1 : 500);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == holder.control)
				from_master();
			else
				from_child(ev[i].data.fd);
		}
		if (holder.control < 0 && end == INT64_MAX)
			end = shared_now() + ORPHAN_MS;
	}
	key_store_free(holder.store);
	_exit(0);
}
