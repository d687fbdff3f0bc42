/*
 * keyserve.c - a keyholder's own half: it has the private keys and answers children, blocking, one request after the
 * other and one of each child in turn; it opens nothing, and no request can end it. Runs in keyholders alone.
 *
 * A child that asks too often (SSLKeyRequestLimit) is not listened to until its time has come: it waits, nobody else does.
 */
#include "process/keyserve.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/secret.h"
#include "cert/token.h"
#include "process/keys.h"
#include "process/phrases.h"
#include "process/role.h"
#include "process/shared.h"
#include "tls/key.h"
#include "tls/keyproto.h"

#define ORPHAN_MS 5500                  /* how long it serves children whose master is gone */
#define SECOND 1000000000               /* ns */
#define WAIT_STEP_MS 5                  /* how often children that wait are looked at */

/* A child's socket, by the number of its descriptor. */
struct asker {
	uint32_t slot;
	bool waits;                     /* not listened to */
	int64_t paid;                   /* ns of CLOCK_MONOTONIC up to which its questions have used up its share */
};

static struct holder {
	int control, epoll;             /* control -1: the master is gone */
	unsigned sockets;               /* of children */
	unsigned waiting;               /* of them, not listened to */
	struct asker *askers;
	int room;                       /* of askers */
	int64_t price;                  /* ns of a child's time that one question costs; 0 = no limit */
	bool tokens;
	struct keyserve_board *board;
	struct key_store *store;
	char *phrases;                  /* PHRASES_ROOM bytes of a page of its own, zeros but while keys are loaded */
} holder;
static struct ipc_message message;      /* too large for the stack, and only one at a time is read */

static int watch(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(holder.epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static void listen_to(int fd, bool yes)
{
	struct epoll_event ev = { .events = yes ? EPOLLIN : 0, .data.fd = fd };

	epoll_ctl(holder.epoll, EPOLL_CTL_MOD, fd, &ev);
	holder.askers[fd].waits = !yes;
	holder.waiting += yes ? -1u : 1u;
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
	holder.askers = calloc((size_t)holder.room, sizeof *holder.askers);
	holder.store = key_store_new();
	keyserve_phrases_begin();
	holder.phrases = secret_alloc(PHRASES_ROOM, SECRET_NOFORK);
	if (holder.epoll < 0 || !holder.askers || !holder.store || !holder.phrases || watch(holder.control) < 0)
		return err_sys(e, "no memory or no descriptors");
	return holder.tokens ? token_open(e) : 0;
}

static void take_phrases(void)
{
	if (message.len && message.len <= PHRASES_ROOM && message.data[message.len - 1] == '\0') {
		memcpy(holder.phrases, message.data, message.len);
		key_store_phrases(holder.store, holder.phrases, message.len);
	}
	secret_wipe(message.data, sizeof message.data);
}

void keyserve_phrases_begin(void)
{
	mallopt(M_PERTURB, 0xff);
}

/*
 * GnuTLS frees its copies of a phrase unwiped. While keys are loaded the allocator overwrites what is freed, but not the
 * small pieces that it keeps at hand, at most 7 of a size: those are had out and wiped here.
 */
void keyserve_phrases_end(void)
{
	enum { STEP = 16, SIZES = 66, EACH = 8 };
	void *at[SIZES][EACH];

	for (size_t i = 0; i < SIZES; i++)
		for (size_t k = 0; k < EACH; k++)
			if ((at[i][k] = malloc((i + 1) * STEP)))
				secret_wipe(at[i][k], (i + 1) * STEP);
	for (size_t i = 0; i < SIZES; i++)
		for (size_t k = 0; k < EACH; k++)
			free(at[i][k]);
	mallopt(M_PERTURB, 0);
}

static void forget_phrases(void)
{
	key_store_phrases(holder.store, NULL, 0);
	secret_wipe(holder.phrases, PHRASES_ROOM);
	keyserve_phrases_end();
}

static bool names_something(void)
{
	return message.len >= 2 && message.data[message.len - 1] == '\0';
}

/* LOAD: one descriptor and the file's name; or the URI of a key on a token, and perhaps the file with its PIN. */
static void take_key(void)
{
	struct key_ref ref = { 0 };
	struct err e = { .text = "" };
	int rc = -1;

	if (!names_something() || message.nfds > 1 || (!message.nfds && !token_is_uri((const char *)message.data)))
		err_set(&e, "the master sent a key without a file");
	else
		rc = key_store_add(holder.store, message.nfds ? message.fds[0] : -1, (const char *)message.data, &ref, &e);
	ipc_drop_fds(&message);
	if (rc == 0)
		ipc_send(holder.control, KEY_MSG_LOADED, message.head.id, &ref, sizeof ref, NULL, 0);
	else
		ipc_send(holder.control, KEY_MSG_FAILED, message.head.id, &e, sizeof e, NULL, 0);
}

static void tell_certificate(void)
{
	struct err e = { .text = "" };
	gnutls_datum_t der = { 0 };
	gnutls_x509_crt_t crt;

	if (!names_something())
		err_set(&e, "the master asks for no certificate");
	else if (token_certificate(&crt, (const char *)message.data, &e) == 0) {
		if (gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der) < 0 || der.size > IPC_MAX_DATA)
			err_set(&e, "the certificate on the token has more than %d bytes", IPC_MAX_DATA);
		gnutls_x509_crt_deinit(crt);
	}
	if (*e.text)
		ipc_send(holder.control, KEY_MSG_FAILED, message.head.id, &e, sizeof e, NULL, 0);
	else
		ipc_send(holder.control, KEY_MSG_CERTIFICATE, message.head.id, der.data, der.size, NULL, 0);
	gnutls_free(der.data);
}

/* ATTACH: descriptors, and of each the child's slot. */
static void attach(void)
{
	for (unsigned i = 0; i < message.nfds; i++) {
		int fd = message.fds[i];
		uint32_t slot = 0;

		if (message.len == message.nfds * sizeof slot)
			memcpy(&slot, message.data + i * sizeof slot, sizeof slot);
		/* Not blocking: a child that asks and never reads the answers must not stop the others. */
		if (fd >= holder.room || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || watch(fd) < 0) {
			close(fd);
			continue;
		}
		holder.askers[fd] = (struct asker){ .slot = slot };
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
	case KEY_MSG_CERTIFICATE:
		tell_certificate();
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
	case KEY_MSG_PING:
		atomic_fetch_add_explicit(&holder.board->pong, 1, memory_order_relaxed);
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

static void drop_child(int fd)
{
	if (holder.askers[fd].waits)
		listen_to(fd, true);
	unwatch(fd);
	holder.sockets--;
}

/* Each question costs its share of a second; a second's worth may be asked at once. */
static bool may_ask(struct asker *a, int64_t now)
{
	if (!holder.price)
		return true;
	if (a->paid - now > SECOND)
		return false;
	a->paid = (a->paid > now ? a->paid : now) + holder.price;
	return true;
}

static void make_wait(int fd)
{
	listen_to(fd, false);
	atomic_store_explicit(&holder.board->slot, holder.askers[fd].slot, memory_order_relaxed);
	/* The master tells of it once a minute: it need not be woken each time. */
	if (atomic_fetch_add_explicit(&holder.board->throttled, 1, memory_order_relaxed) % 64 == 0)
		eventfd_write(shared.wake, 1);
}

static void wake_waiting(void)
{
	int64_t now = now_ns();

	for (int fd = 0; fd < holder.room && holder.waiting; fd++)
		if (holder.askers[fd].waits && holder.askers[fd].paid - now <= SECOND - SECOND / 100)
			listen_to(fd, true);
}

static void from_child(int fd, uint32_t events)
{
	int rc;

	/* One that is gone takes no answer. */
	if (events & (EPOLLHUP | EPOLLERR)) {
		drop_child(fd);
		return;
	}
	if (!may_ask(&holder.askers[fd], now_ns())) {
		make_wait(fd);
		return;
	}
	rc = ipc_recv(fd, &message);
	if (rc < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (rc != 1 || answer(fd) != 0)
		drop_child(fd);
	atomic_fetch_add_explicit(&holder.board->done, 1, memory_order_relaxed);
}

static int enter(int control, const struct config *cfg, struct err *e)
{
	const struct process_settings *p = cfg->process;
	const char *user = p->user;
	uid_t uid = p->uid;
	gid_t gid = p->gid;

	holder.room = (int)shared.nslots + 64;
	holder.price = p->key_request_limit ? SECOND / p->key_request_limit : 0;
	holder.tokens = keys_on_tokens(cfg);
	if (shared.root && role_account(p->key_user, "_bulkhead-key", &uid, &gid))
		user = p->key_user ? p->key_user : "_bulkhead-key";
	shared_forget(SHARED_KEEP_NOTHING);
	return role_enter(holder.tokens ? ROLE_TOKENS : ROLE_KEYHOLDER,
			  &(struct role_wants){ .keep = (const int[]){ control, shared.wake },
						.nkeep = 2,
						/* Tokens may be for a group (softhsm). */
						.user = holder.tokens && user && *user != '#' ? user : NULL,
						.uid = shared.root ? uid : (uid_t)-1,
						.gid = gid,
						.files = (uint64_t)holder.room,
						.master = shared.master,
						.warm = warm },
			  e);
}

void keyserve_run(int control, const struct config *cfg, struct keyserve_board *board)
{
	struct err e = { .text = "" };
	char text[1024];
	int64_t end = INT64_MAX;

	holder.control = control;
	holder.board = board;
	if (enter(control, cfg, &e) < 0) {
		err_print(&e, text, sizeof text);
		struct err out = { .text = "" };
		err_set(&out, "the keyholder cannot begin: %s", text);
		ipc_send(control, KEY_MSG_FAILED, 0, &out, sizeof out, NULL, 0);
		_exit(ROLE_EXIT_FATAL);
	}
	while (holder.control >= 0 || (holder.sockets && shared_now() < end)) {
		struct epoll_event ev[16];
		int n = epoll_wait(holder.epoll, ev, 16, holder.waiting ? WAIT_STEP_MS : holder.control >= 0 ? -1 : 500);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == holder.control)
				from_master();
			else
				from_child(ev[i].data.fd, ev[i].events);
		}
		if (holder.waiting)
			wake_waiting();
		if (holder.control < 0 && end == INT64_MAX)
			end = shared_now() + ORPHAN_MS;
	}
	key_store_free(holder.store);
	_exit(0);
}
