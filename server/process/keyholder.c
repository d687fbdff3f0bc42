/*
 * keyholder.c - the master's half of the processes that hold private keys (their own is keyserve.c): they are started and
 * fed with descriptors of key files that the master opened as root and never reads, watched, and replaced.
 *
 * A child's socket is a pair made when the child is forked. The master keeps a copy of the keyholder's end, so that a
 * keyholder that dies can be replaced behind the same sockets: what a child asked meanwhile waits in them.
 *
 * One that hangs does not die by itself. A child that has waited for some time complains, by a count in shared memory
 * that tells nothing but "look"; the master then asks the keyholder for a sign of life, and ends one that gives none and
 * finishes nothing. So no child can have a keyholder ended that works.
 *
 * SSLPrivateKeyIsolation off: one keyholder tells the keys' public parts and ends; each child then reads the keys from the
 * same descriptors, and the pass phrases from its socket, before it gives anything up.
 */
#include "process/keyholder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/secret.h"
#include "cert/load.h"
#include "cert/token.h"
#include "log/log.h"
#include "process/generation.h"
#include "process/handover.h"
#include "process/keys.h"
#include "process/keyserve.h"
#include "process/phrases.h"
#include "process/policy.h"
#include "process/role.h"
#include "process/shared.h"
#include "process/slots.h"
#include "process/tally.h"
#include "tls/key.h"
#include "tls/keyproto.h"

#define LOAD_WAIT_MS 10000
#define LOAD_AHEAD 32                   /* keys handed over before the first is answered for: their answers have room in the socket */
#define PATIENCE_PART 4                 /* of SSLKeyTimeout: how long one may finish nothing while a child complains */
#define THROTTLE_TOLD_MS 60000          /* at most one line about children that ask too much in this time */

struct keyholder {
	pid_t pid;                      /* 0 = none now */
	int control;
	int64_t born;
	struct policy_backoff backoff;
	uint32_t heard;                 /* complaints of children that were looked into */
	uint32_t done, pong;            /* its signs of life when the last look began */
	int64_t patience;               /* when that look ends; 0 = there is none */
	uint32_t throttled;             /* as told last */
	int64_t told;
};
struct keyholders {
	struct config *cfg;
	struct keys keys;
	unsigned n;
	bool loaded;                    /* the first one has told the keys' public parts */
	bool direct;                    /* children have the keys; none lives, n = 0 */
	pid_t leaving;                  /* the one that told the public parts */
	struct key_calls *calls;        /* n, shared with children */
	struct keyserve_board *boards;  /* n, shared with the keyholders */
	struct keyholder at[];
};

/* Pages of their own: what children write must not lie beside what keyholders do. */
static void *share(unsigned n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unshare(void *p, unsigned n, size_t size)
{
	if (p)
		munmap(p, n * size);
}

/* ------------------------------------------------------------------------------------------------ the master's half */

static int give_key(const struct keyholders *k, const struct keyholder *h, unsigned i)
{
	const char *path = k->keys.files[i].path;

	return ipc_send(h->control, KEY_MSG_LOAD, i, path, strlen(path) + 1, &k->keys.fds[i], k->keys.fds[i] >= 0);
}

/*
 * Takes the answer about one key, having handed over *given of them, and further ones before: neither side waits for the other's turn
 * a thousand times. Answers come in order. 0, or -1 with *e.
 */
static int load_key(struct keyholders *k, struct keyholder *h, unsigned i, unsigned *given, struct err *e)
{
	static struct ipc_message m;
	char shown[TOKEN_MAX_URI];
	const struct tls_key_file *f = &k->keys.files[i];
	const char *name = token_is_uri(f->path) ? token_shown(f->path, shown) : f->path;
	struct key_ref ref;
	int rc;

	err_at(e, f->pos.file, f->pos.line);
	while (*given < k->keys.n && *given < i + LOAD_AHEAD && give_key(k, h, *given) == 0)
		++*given;
	if (*given == i)
		return err_sys(e, "the keyholder does not take the key %s", name);
	rc = ipc_recv_wait(h->control, &m, LOAD_WAIT_MS);
	if (rc <= 0)
		return rc == 0 ? err_set(e, "the keyholder died over the key %s", name)
			       : err_sys(e, "the keyholder does not answer about the key %s", name);
	if (ipc_is(&m, KEY_MSG_FAILED, sizeof(struct err), sizeof(struct err))) {
		struct err why;
		memcpy(&why, m.data, sizeof why);
		why.text[sizeof why.text - 1] = why.remedy[sizeof why.remedy - 1] = '\0';
		err_set(e, "%s", why.text);
		return *why.remedy ? err_remedy(e, "%s", why.remedy) : -1;
	}
	if (m.head.id != i || !ipc_is(&m, KEY_MSG_LOADED, sizeof ref, sizeof ref)) {
		ipc_drop_fds(&m);
		return err_set(e, "the keyholder answers nonsense about the key %s", name);
	}
	memcpy(&ref, m.data, sizeof ref);
	ref.id = i;
	if (k->loaded && memcmp(ref.spki, k->keys.refs[i].spki, sizeof ref.spki)) {
		err_set(e, "the private key in %s is another one now than when the server read it", name);
		return err_remedy(e, "run -k graceful, so that key and certificate are read together");
	}
	k->keys.refs[i] = ref;
	return 0;
}

/* Certificates on tokens: the keyholder reads them, the master remembers them for the hosts that are finished next. */
static int load_certificates(struct keyholders *k, struct keyholder *h, struct err *e)
{
	static struct ipc_message m;

	for (unsigned i = 0; i < k->keys.n; i++) {
		const struct tls_key_file *f = &k->keys.files[i];
		struct err why;

		if (!token_is_uri(f->certificate))
			continue;
		err_at(e, f->pos.file, f->pos.line);
		if (ipc_send(h->control, KEY_MSG_CERTIFICATE, i, f->certificate, strlen(f->certificate) + 1, NULL, 0) < 0 ||
		    ipc_recv_wait(h->control, &m, LOAD_WAIT_MS) != 1)
			return err_set(e, "the keyholder does not answer about a certificate on a token");
		if (ipc_is(&m, KEY_MSG_CERTIFICATE, 1, IPC_MAX_DATA) && cert_remember(f->certificate, m.data, m.len) == 0)
			continue;
		if (!ipc_is(&m, KEY_MSG_FAILED, sizeof why, sizeof why)) {
			ipc_drop_fds(&m);
			return err_set(e, "the keyholder answers nonsense about a certificate on a token");
		}
		memcpy(&why, m.data, sizeof why);
		why.text[sizeof why.text - 1] = why.remedy[sizeof why.remedy - 1] = '\0';
		err_set(e, "%s", why.text);
		return *why.remedy ? err_remedy(e, "%s", why.remedy) : -1;
	}
	return 0;
}

static int load_keys(struct keyholders *k, struct keyholder *h, bool report, struct err *e)
{
	static struct ipc_message m;
	unsigned given = 0;
	int result = 0;
	size_t n;
	const char *phrases = phrases_list(&n);

	if (n && ipc_send(h->control, KEY_MSG_PHRASES, 0, phrases, n, NULL, 0) < 0)
		return err_sys(e, "the keyholder does not take pass phrases");
	for (unsigned i = 0; i < k->keys.n; i++) {
		struct err why = { .text = "" };

		if (load_key(k, h, i, &given, &why) == 0)
			continue;
		result = -1;
		if (report)
			config_report_add(k->cfg, CONF_ERROR, &k->keys.files[i].pos,
					  *why.remedy ? why.remedy : NULL, "%s", why.text);
		else if (e && !*e->text)
			*e = why;
	}
	if (result < 0 || (!k->loaded && load_certificates(k, h, e) < 0))
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
	h->patience = 0;
	if (ipc_pair(fd) < 0)
		return err_sys(e, "no socket for a keyholder");
	h->born = shared_now();
	h->pid = role_fork(ROLE_KEYHOLDER);
	if (h->pid == 0) {
		/* The master's end must not live on here: its close is how this process learns that the master is gone. */
		close(fd[0]);
		unshare(k->calls, k->n, sizeof *k->calls);
		keyserve_run(fd[1], k->cfg, &k->boards[h - k->at]);
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

/* Its work is done: it ends when its socket closes. */
static void end_only_one(struct keyholders *k)
{
	k->leaving = k->at[0].pid;
	discard(&k->at[0]);
	unshare(k->calls, k->n, sizeof *k->calls);
	unshare(k->boards, k->n, sizeof *k->boards);
	k->calls = NULL;
	k->boards = NULL;
	k->n = 0;
	log_noticex(NULL, LOG_SSL, "BH0702",
		    "SSLPrivateKeyIsolation off: each child has the private keys in its memory, so one that is taken over, or a fault that gives its memory away, gives them away");
}

struct keyholders *keyholders_start(struct config *cfg, unsigned most, struct err *e)
{
	bool direct = !cfg->process->key_isolation;
	unsigned n = direct ? 1 : most;
	struct keyholders *k = calloc(1, sizeof *k + n * sizeof *k->at);

	if (!k) {
		err_set(e, "no memory");
		return NULL;
	}
	k->cfg = cfg;
	k->n = n;
	k->direct = direct;
	for (unsigned i = 0; i < n; i++)
		k->at[i].control = -1;
	k->calls = share(n, sizeof *k->calls);
	k->boards = share(n, sizeof *k->boards);
	if (!k->calls || !k->boards)
		err_sys(e, "no memory that children and keyholders share");
	else if (keys_on_tokens(cfg) && direct) {
		err_set(e, "SSLPrivateKeyIsolation off, and a key on a token: children open none");
		err_remedy(e, "take SSLPrivateKeyIsolation out");
	} else if (keys_collect(&k->keys, cfg) < 0)
		err_set(e, "no memory for the list of keys");
	else if (keys_open(&k->keys, cfg) == 0) {
		unsigned i = 0;
		while (i < n && start_one(k, &k->at[i], i == 0, e) == 0)
			i++;
		if (i == n && keys_finish_hosts(&k->keys, cfg) == 0) {
			if (direct)
				end_only_one(k);
			if (keys_on_tokens(cfg))
				log_noticex(NULL, LOG_SSL, "BH0703",
					    "keys on PKCS#11 tokens: the keyholders run the modules' code, and their sandbox lets them open files and connections for it");
			return k;
		}
	}
	keyholders_end(k);
	return NULL;
}

int keyholders_attach(struct keyholders *k, unsigned slot, int *child, int *kept)
{
	uint32_t number = slot;
	struct keyholder *h;
	const char *phrases;
	size_t n;
	int fd[2];

	if (ipc_pair(fd) < 0)
		return -1;
	*child = fd[0];
	*kept = fd[1];
	if (k->direct) {
		phrases = phrases_list(&n);
		return ipc_send(fd[1], KEY_MSG_PHRASES, 0, phrases, n, NULL, 0);
	}
	h = &k->at[slot % k->n];
	/* One that takes no message hangs. Its successor gets this end with the others. */
	if (h->pid && h->control >= 0 && ipc_send(h->control, KEY_MSG_ATTACH, 0, &number, sizeof number, &fd[1], 1) < 0)
		kill(h->pid, SIGKILL);
	return 0;
}

void keyholders_link(const struct keyholders *k, unsigned slot, int fd, struct key_link *link)
{
	*link = (struct key_link){ .fd = fd, .wake = shared.wake, .timeout_ms = k->cfg->process->key_timeout_ms, .calls = &k->calls[slot % k->n] };
	unshare(k->boards, k->n, sizeof *k->boards);
}

bool keyholders_direct(const struct keyholders *k)
{
	return k->direct;
}

/* Keys lie in the heap, where GnuTLS puts them: it stays in memory, and out of cores whatever else is decided about those. */
static void guard_heap(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[256];

	while (maps && fgets(line, sizeof line, maps)) {
		if (!strstr(line, "[heap]") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		madvise((void *)start, end - start, MADV_DONTDUMP);
		if (mlock2((void *)start, end - start, MLOCK_ONFAULT) < 0)
			log_debugx(NULL, LOG_SSL, NULL, "the private keys in this child's memory are not locked");
	}
	if (maps)
		fclose(maps);
}

struct key_store *keyholders_load(const struct keyholders *k, int fd, struct err *e)
{
	static struct ipc_message m;
	struct key_store *store = key_store_new();
	int r = 0;

	if (!store || ipc_recv_wait(fd, &m, LOAD_WAIT_MS) != 1 || !ipc_is(&m, KEY_MSG_PHRASES, 0, PHRASES_ROOM)) {
		key_store_free(store);
		err_set(e, "no pass phrases came from the master");
		return NULL;
	}
	keyserve_phrases_begin();
	key_store_phrases(store, (const char *)m.data, m.len);
	for (unsigned i = 0; i < k->keys.n && r == 0; i++) {
		struct key_ref ref;

		r = key_store_add(store, k->keys.fds[i], k->keys.files[i].path, &ref, e);
		if (r == 0 && memcmp(ref.spki, k->keys.refs[i].spki, sizeof ref.spki) != 0)
			r = err_set(e, "the private key in %s is another one now than when the server read it", k->keys.files[i].path);
	}
	key_store_phrases(store, NULL, 0);
	secret_wipe(m.data, m.len);
	keyserve_phrases_end();
	if (r != 0) {
		key_store_free(store);
		return NULL;
	}
	guard_heap();
	return store;
}

static void give_sockets(struct keyholders *k, const struct generation *g, unsigned which)
{
	int *fds = calloc(shared.nslots, sizeof *fds);
	uint32_t *numbers = calloc(shared.nslots, sizeof *numbers);
	unsigned n = fds && numbers ? slots_ends(g, SLOT_KEYS, which, k->n, fds, numbers, shared.nslots) : 0;

	for (unsigned at = 0; at < n; at += IPC_MAX_FDS) {
		unsigned part = n - at < IPC_MAX_FDS ? n - at : IPC_MAX_FDS;
		if (ipc_send(k->at[which].control, KEY_MSG_ATTACH, 0, numbers + at, part * sizeof *numbers, fds + at, part) < 0) {
			kill(k->at[which].pid, SIGKILL);
			break;
		}
	}
	free(fds);
	free(numbers);
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
	if (pid == k->leaving) {
		k->leaving = 0;
		return true;
	}
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
		tally_key_restart();
		/* Children whose question went down with it ask again. */
		atomic_fetch_add_explicit(&k->calls[i].deaths, 1, memory_order_release);
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

/* A complaint begins a look; at its end the keyholder has finished something, or answered, or is ended. */
static void look_after(struct keyholders *k, const struct generation *g, unsigned i, int64_t now)
{
	struct keyholder *h = &k->at[i];
	struct keyserve_board *b = &k->boards[i];
	uint32_t complaints = atomic_load_explicit(&k->calls[i].complaints, memory_order_relaxed);
	uint32_t done = atomic_load_explicit(&b->done, memory_order_relaxed), pong = atomic_load_explicit(&b->pong, memory_order_relaxed);

	if (h->patience && (done != h->done || pong != h->pong)) {
		h->patience = 0;
	} else if (h->patience && now >= h->patience) {
		log_errorx(NULL, LOG_SSL, "BH0700", "keyholder pid %d of generation %u hangs while a child waits for a signature: it is ended, and another takes its place",
			   (int)h->pid, g->number);
		kill(h->pid, SIGKILL);
		h->patience = 0;
	} else if (!h->patience && complaints != h->heard) {
		h->done = done;
		h->pong = pong;
		h->patience = now + k->cfg->process->key_timeout_ms / PATIENCE_PART;
		/* Where it takes nothing the end of the patience tells. */
		ipc_send(h->control, KEY_MSG_PING, 0, NULL, 0, NULL, 0);
	}
	h->heard = complaints;
}

static void tell_throttled(struct keyholders *k, unsigned i, int64_t now)
{
	struct keyholder *h = &k->at[i];
	uint32_t times = atomic_load_explicit(&k->boards[i].throttled, memory_order_relaxed);

	if (times == h->throttled || (h->told && now - h->told < THROTTLE_TOLD_MS))
		return;
	log_warnx(NULL, LOG_SSL, "BH0701",
		  "the child in slot %u asks for more than %lld key operations a second (SSLKeyRequestLimit): it was made to wait %u times since this was told last; a child that only serves does not ask so often",
		  atomic_load_explicit(&k->boards[i].slot, memory_order_relaxed), (long long)k->cfg->process->key_request_limit, times - h->throttled);
	h->throttled = times;
	h->told = now;
}

void keyholders_tick(struct keyholders *k, const struct generation *g, int64_t now)
{
	for (unsigned i = 0; i < k->n; i++) {
		if (!k->at[i].pid && policy_due(&k->at[i].backoff, true) <= now)
			replace(k, g, i);
		if (k->at[i].pid)
			look_after(k, g, i, now);
		tell_throttled(k, i, now);
	}
}

int64_t keyholders_due(const struct keyholders *k)
{
	int64_t due = INT64_MAX;

	for (unsigned i = 0; i < k->n; i++) {
		int64_t at = k->at[i].pid ? k->at[i].patience ? k->at[i].patience : INT64_MAX : policy_due(&k->at[i].backoff, true);

		if (at < due)
			due = at;
	}
	return due;
}

void keyholders_hand_over(const struct keyholders *k, FILE *to)
{
	for (unsigned i = 0; k && i < k->n; i++)
		if (k->at[i].pid)
			handover_put(to, "keeper", k->at[i].control, "%d keyholder", (int)k->at[i].pid);
}

void keyholders_end(struct keyholders *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < k->n; i++)
		discard(&k->at[i]);
	keys_close(&k->keys);
	unshare(k->calls, k->n, sizeof *k->calls);
	unshare(k->boards, k->n, sizeof *k->boards);
	free(k);
}
