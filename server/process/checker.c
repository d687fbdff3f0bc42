/*
 * checker.c - the process that asks OCSP responders about certificates of clients, many at a time, none for long; and a memory of
 * what they said. -X does the same in one go. Children are believed nothing: whose settings count is looked up by a number,
 * and what is not about a host of the configuration is not asked.
 */
#include "process/checker.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/ipc.h"
#include "cert/ocsp.h"
#include "process/fetch.h"
#include "process/names.h"
#include "process/shared.h"
#include "tls/policy.h"

#define ORPHAN_MS 5500                  /* how long it serves children whose master is gone */
#define ROOM 16384                      /* bytes of an HTTP answer */
#define LOOKS 64                        /* certificates that are asked about at a time */
#define ASKS 1024                       /* questions of children that wait for them */
#define KEPT 1024                       /* answers remembered */
#define KEPT_LONGEST_S 3600             /* a certificate that was good is asked about anew after that */
#define KEPT_FAILURE_S 5                /* a responder that is dead is not asked by each connection */
#define LOOK_UP_LONGEST 30              /* s: a look-up of a name that hangs ends the process */

/* A certificate that is asked about. */
struct look {
	bool used;
	unsigned char key[32];
	const struct tls_ocsp_settings *set;
	gnutls_x509_crt_t crt, issuer;
	gnutls_datum_t request;
	struct fetch *fetch;
	int watched;                    /* its descriptor in epoll, -1 = none */
	short events;
	char url[2048];
	char buf[ROOM];
};
struct ask {
	bool used;
	int child;
	uint32_t id;
	unsigned look;
};
struct kept {
	unsigned char key[32];
	time_t until;                   /* 0 = empty */
	struct check_answer answer;
};

static struct {
	const struct config *cfg;
	int control, epoll;             /* control -1: the master is gone */
	unsigned sockets;               /* of children */
	struct look looks[LOOKS];
	struct ask asks[ASKS];
	struct kept kept[KEPT];
} *self;
static struct ipc_message message;
/* In epoll's data, beside the descriptor: whose it is. */
#define LOOK_MARK ((uint64_t)1 << 32)

/* ------------------------------------------------------------------------------------------------ settings */

static const struct tls_ocsp_settings *settings_of(const struct config *cfg, uint32_t id, bool any)
{
	for (const struct host *h = cfg->site->main; h; h = h == cfg->site->main ? cfg->site->hosts : h->next) {
		const struct tls_ocsp_settings *s = tls_policy_ocsp(host_config(h, &tls_module));

		if (s && (any || s->id == id))
			return s;
	}
	return NULL;
}

bool checker_wanted(const struct config *cfg)
{
	return settings_of(cfg, 0, true) != NULL;
}

/* ------------------------------------------------------------------------------------------------ one certificate */

static void say(struct check_answer *a, enum tls_check answer, const char *url, const char *words)
{
	*a = (struct check_answer){ .answer = (int32_t)answer };
	snprintf(a->words, sizeof a->words, "%s%.200s%s%.280s", url ? "responder " : "", url ? url : "", url ? ": " : "", words);
}

static void say_error(struct check_answer *a, const char *url, const struct err *e)
{
	char text[1024];

	say(a, TLS_CHECK_FAILED, url, err_print(e, text, sizeof text));
}

static void close_look(struct look *l)
{
	if (l->crt)
		gnutls_x509_crt_deinit(l->crt);
	if (l->issuer)
		gnutls_x509_crt_deinit(l->issuer);
	gnutls_free(l->request.data);
	fetch_end(l->fetch);
	l->crt = l->issuer = NULL;
	l->request = (gnutls_datum_t){ 0 };
	l->fetch = NULL;
	l->used = false;
}

static int import(gnutls_x509_crt_t *out, const gnutls_datum_t *der)
{
	if (gnutls_x509_crt_init(out) < 0) {
		*out = NULL;
		return -1;
	}
	return gnutls_x509_crt_import(*out, der, GNUTLS_X509_FMT_DER) < 0 ? -1 : 0;
}

/* Where the question goes: to the responder, or to a proxy with the whole address. */
static int address(struct look *l, struct fetch_question *q, struct err *e)
{
	struct fetch_url proxy;
	int n;

	if (fetch_parse(l->url, &q->url, e) < 0)
		return -1;
	if (!l->set->proxy)
		return 0;
	if (fetch_parse(l->set->proxy, &proxy, e) < 0)
		return -1;
	n = snprintf(q->url.target, sizeof q->url.target, "%.*s", (int)strcspn(l->url, "#"), l->url);
	if (n < 0 || (size_t)n >= sizeof q->url.target)
		return err_set(e, "the address is too long");
	memcpy(q->url.host, proxy.host, sizeof proxy.host);
	memcpy(q->url.port, proxy.port, sizeof proxy.port);
	return 0;
}

/* 1: the fetch is under way, 0: the answer is there already. l->set is set. */
static int open_look(struct look *l, const gnutls_datum_t *crt, const gnutls_datum_t *issuer, struct check_answer *a)
{
	const struct tls_ocsp_settings *s = l->set;
	struct fetch_question q = { .type = "application/ocsp-request", .accept = "application/ocsp-response", .time_ms = s->timeout_ms,
				    .url_directive = "SSLOCSPDefaultResponder", .time_directive = "SSLOCSPResponderTimeout" };
	struct err e = { .text = "" };

	if (import(&l->crt, crt) < 0 || import(&l->issuer, issuer) < 0) {
		say(a, TLS_CHECK_FAILED, NULL, "the certificate cannot be read");
		return 0;
	}
	if (s->url && (s->override || ocsp_url(l->crt, l->url, sizeof l->url) < 0))
		snprintf(l->url, sizeof l->url, "%s", s->url);
	else if (!s->url && ocsp_url(l->crt, l->url, sizeof l->url) < 0) {
		say(a, s->lenient ? TLS_CHECK_GOOD : TLS_CHECK_FAILED, NULL,
		    "the certificate names no responder; add SSLOCSPDefaultResponder, or no_ocsp_for_cert_ok behind SSLOCSPEnable");
		return 0;
	}
	if (address(l, &q, &e) < 0) {
		say_error(a, NULL, &e);
		return 0;
	}
	if (ocsp_request(l->crt, l->issuer, s->nonce, &l->request) < 0) {
		say(a, TLS_CHECK_FAILED, l->url, "the question cannot be made");
		return 0;
	}
	q.body = l->request.data;
	q.n = l->request.size;
	alarm(LOOK_UP_LONGEST);
	l->fetch = fetch_begin(&q, l->buf, sizeof l->buf, &e);
	alarm(0);
	if (!l->fetch)
		say_error(a, l->url, &e);
	return l->fetch != NULL;
}

static time_t judge(const struct look *l, char *body, size_t n, struct check_answer *a)
{
	const struct tls_ocsp_settings *s = l->set;
	struct ocsp_limits limits = {
		.now = time(NULL), .max_age = s->max_age, .skew = s->skew, .family = "SSLOCSP", .request = s->nonce ? &l->request : NULL,
		.signers = s->signers.at, .nsigners = s->signers.n, .unsigned_too = s->noverify,
	};
	const gnutls_datum_t answer = { (unsigned char *)body, (unsigned)n };
	struct ocsp_times t = { 0 };
	struct err e = { .text = "" };
	time_t longest = limits.now + KEPT_LONGEST_S;

	switch (ocsp_check(&answer, l->crt, l->issuer, &limits, &t, &e)) {
	case OCSP_GOOD:
		say(a, TLS_CHECK_GOOD, l->url, "good");
		break;
	case OCSP_REVOKED:
		say(a, TLS_CHECK_REVOKED, l->url, "revoked");
		break;
	case OCSP_UNKNOWN:
		say(a, TLS_CHECK_FAILED, l->url, "it does not know the certificate");
		return limits.now + KEPT_FAILURE_S;
	case OCSP_BAD:
	case OCSP_ERROR:
		say_error(a, l->url, &e);
		return limits.now + KEPT_FAILURE_S;
	}
	/* Without an end it holds for this moment alone. */
	return t.next_update < longest ? t.next_update : longest;
}

/* Goes on: 1 with the answer and how long it holds, 0: wait. */
static int go(struct look *l, struct check_answer *a, time_t *until)
{
	struct err e = { .text = "" };
	char *body;
	size_t n;
	int rc = fetch_go(l->fetch, &body, &n, &e);

	if (rc < 0) {
		say_error(a, l->url, &e);
		*until = time(NULL) + KEPT_FAILURE_S;
	} else if (rc > 0) {
		*until = judge(l, body, n, a);
	}
	return rc != 0;
}

/* ------------------------------------------------------------------------------------------------ many of them */

static int key_of(uint32_t id, const gnutls_datum_t *crt, const gnutls_datum_t *issuer, unsigned char key[32])
{
	gnutls_hash_hd_t h;

	if (gnutls_hash_init(&h, GNUTLS_DIG_SHA256) < 0)
		return -1;
	gnutls_hash(h, &id, sizeof id);
	gnutls_hash(h, &crt->size, sizeof crt->size);
	gnutls_hash(h, crt->data, crt->size);
	gnutls_hash(h, issuer->data, issuer->size);
	gnutls_hash_deinit(h, key);
	return 0;
}

/* The entry of the key, or the one that runs out first. */
static struct kept *kept_of(const unsigned char key[32])
{
	struct kept *oldest = self->kept;

	for (struct kept *k = self->kept; k < self->kept + KEPT; k++) {
		if (k->until && memcmp(k->key, key, sizeof k->key) == 0)
			return k;
		if (k->until < oldest->until)
			oldest = k;
	}
	return oldest;
}

static void tell(int child, uint32_t id, const struct check_answer *a)
{
	ipc_send(child, CHECK_MSG_ANSWER, id, a, sizeof *a, NULL, 0);  /* a child that reads none loses them, and denies */
}

static void unwatch_look(struct look *l)
{
	if (l->watched >= 0)
		epoll_ctl(self->epoll, EPOLL_CTL_DEL, l->watched, NULL);
	l->watched = -1;
}

/* The descriptor may have been closed, and come again with the same number. */
static void watch_look(struct look *l, unsigned i)
{
	short events;
	int fd = fetch_fd(l->fetch, &events);
	struct epoll_event ev = { .events = events & POLLOUT ? EPOLLOUT : EPOLLIN, .data.u64 = LOOK_MARK | i };

	if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &ev) < 0)
		epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &ev);
	l->watched = fd;
}

static void done(unsigned which, const struct check_answer *a, time_t until)
{
	struct look *l = &self->looks[which];
	struct kept *k = kept_of(l->key);

	if (until > time(NULL)) {
		memcpy(k->key, l->key, sizeof k->key);
		k->until = until;
		k->answer = *a;
	}
	for (unsigned i = 0; i < ASKS; i++)
		if (self->asks[i].used && self->asks[i].look == which) {
			tell(self->asks[i].child, self->asks[i].id, a);
			self->asks[i].used = false;
		}
	unwatch_look(l);
	close_look(l);
}

static void step(unsigned which)
{
	struct look *l = &self->looks[which];
	struct check_answer a;
	time_t until;

	if (!l->used || !l->fetch)
		return;
	if (go(l, &a, &until))
		done(which, &a, until);
	else
		watch_look(l, which);
}

static struct ask *free_ask(void)
{
	for (unsigned i = 0; i < ASKS; i++)
		if (!self->asks[i].used)
			return &self->asks[i];
	return NULL;
}

/* Whether one child alone keeps half of the process busy: then others have the rest. */
static bool has_share(int child)
{
	bool seen[LOOKS] = { false };
	unsigned asks = 0, looks = 0;

	for (unsigned i = 0; i < ASKS; i++) {
		const struct ask *a = &self->asks[i];

		if (!a->used || a->child != child)
			continue;
		asks++;
		looks += !seen[a->look];
		seen[a->look] = true;
	}
	return asks >= ASKS / 2 || looks >= LOOKS / 2;
}

static int look_for(const unsigned char key[32])
{
	int room = -1;

	for (int i = 0; i < LOOKS; i++) {
		if (self->looks[i].used && memcmp(self->looks[i].key, key, 32) == 0)
			return i;
		if (!self->looks[i].used)
			room = i;
	}
	return room;
}

static void begin(unsigned which, const struct tls_ocsp_settings *set, const unsigned char key[32], const gnutls_datum_t *crt, const gnutls_datum_t *issuer)
{
	struct look *l = &self->looks[which];
	struct check_answer a;

	l->used = true;
	l->watched = -1;
	l->set = set;
	memcpy(l->key, key, sizeof l->key);
	if (open_look(l, crt, issuer, &a))
		watch_look(l, which);
	else
		done(which, &a, time(NULL) + KEPT_FAILURE_S);
}

static void take_question(int child, const struct check_question *q, size_t n)
{
	struct check_answer a;
	gnutls_datum_t crt, issuer;
	const struct tls_ocsp_settings *set;
	const struct kept *k;
	unsigned char key[32];
	struct ask *ask = free_ask();
	uint32_t id;
	int which;

	if (q->until <= shared_now())
		return;
	set = tls_question_read(q->text, n, &id, &crt, &issuer) == 0 ? settings_of(self->cfg, id, false) : NULL;
	if (!set || key_of(id, &crt, &issuer, key) < 0) {
		say(&a, TLS_CHECK_FAILED, NULL, "the question makes no sense");
		tell(child, message.head.id, &a);
		return;
	}
	k = kept_of(key);
	if (k->until > time(NULL) && memcmp(k->key, key, sizeof key) == 0) {
		tell(child, message.head.id, &k->answer);
		return;
	}
	which = look_for(key);
	if (which < 0 || !ask || has_share(child)) {
		say(&a, TLS_CHECK_FAILED, NULL, "too many certificates are being asked about at this moment");
		tell(child, message.head.id, &a);
		return;
	}
	*ask = (struct ask){ .used = true, .child = child, .id = message.head.id, .look = (unsigned)which };
	if (!self->looks[which].used)
		begin((unsigned)which, set, key, &crt, &issuer);
}

/* ------------------------------------------------------------------------------------------------ the process */

static int watch(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = (uint32_t)fd };

	return epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &ev);
}

/* Closing alone is not enough: the master holds the same description. */
static void unwatch(int fd)
{
	epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
	for (unsigned i = 0; i < ASKS; i++)
		if (self->asks[i].child == fd)
			self->asks[i].used = false;
}

static void from_master(void)
{
	int rc = ipc_recv(self->control, &message);

	if (rc == 0) {
		unwatch(self->control);
		self->control = -1;
	}
	if (rc == 1 && message.head.type == HELPER_MSG_ATTACH) {
		for (unsigned i = 0; i < message.nfds; i++) {
			if (watch(message.fds[i]) < 0)
				close(message.fds[i]);
			else
				self->sockets++;
		}
		message.nfds = 0;
	}
	if (rc == 1)
		ipc_drop_fds(&message);
}

static void from_child(int fd)
{
	static struct check_question q;
	const size_t least = offsetof(struct check_question, text);
	int rc = ipc_recv(fd, &message);

	if (rc == 1) {
		if (ipc_is(&message, CHECK_MSG_ASK, least, sizeof q)) {
			memcpy(&q, message.data, message.len);
			take_question(fd, &q, message.len - least);
		}
		ipc_drop_fds(&message);
		return;
	}
	if (rc < 0 && (errno == EAGAIN || errno == EINTR || errno == EBADMSG))
		return;
	unwatch(fd);
	self->sockets--;
}

static int warm(void *ctx, struct err *e)
{
	unsigned char byte;

	(void)ctx;
	names_prepare();
	gnutls_rnd(GNUTLS_RND_NONCE, &byte, 1);
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	return self->epoll < 0 || watch(self->control) < 0 ? err_sys(e, "no descriptors") : 0;
}

/* ms until a fetch is due; -1 = none is. */
static int patience(int64_t end)
{
	int64_t due = end, now = shared_now();

	for (unsigned i = 0; i < LOOKS; i++)
		if (self->looks[i].used && self->looks[i].fetch && fetch_due(self->looks[i].fetch) < due)
			due = fetch_due(self->looks[i].fetch);
	return due == INT64_MAX ? -1 : due <= now ? 0 : due - now > 60000 ? 60000 : (int)(due - now) + 1;
}

static void turn(int64_t end)
{
	struct epoll_event ev[32];
	int n = epoll_wait(self->epoll, ev, 32, patience(end));

	for (int i = 0; i < n; i++) {
		uint32_t which = (uint32_t)ev[i].data.u64;

		if (ev[i].data.u64 & LOOK_MARK)
			step(which);
		else if ((int)which == self->control)
			from_master();
		else
			from_child((int)which);
	}
	for (unsigned i = 0; i < LOOKS; i++)
		if (self->looks[i].used && self->looks[i].fetch && fetch_due(self->looks[i].fetch) <= shared_now())
			step(i);
}

static _Noreturn void run(int control, const struct config *cfg, void *memory, unsigned which)
{
	const struct process_settings *p = cfg->process;
	struct err e = { .text = "" };
	int64_t end = INT64_MAX;

	(void)memory, (void)which;
	self = calloc(1, sizeof *self);
	if (!self)
		_exit(ROLE_EXIT_SICK);
	self->cfg = cfg;
	self->control = control;
	shared_forget(SHARED_KEEP_NOTHING);
	if (role_enter(ROLE_CHECKER,
		       &(struct role_wants){ .keep = &control,
					     .nkeep = 1,
					     .uid = shared.root ? p->uid : (uid_t)-1,
					     .gid = p->gid,
					     .files = shared.nslots + LOOKS + 64,
					     .master = shared.master,
					     .warm = warm },
		       &e) < 0) {
		ipc_send(control, HELPER_MSG_FATAL, 0, &e, sizeof e, NULL, 0);
		_exit(ROLE_EXIT_FATAL);
	}
	while (self->control >= 0 || (self->sockets && shared_now() < end)) {
		turn(end);
		if (self->control < 0 && end == INT64_MAX)
			end = shared_now() + ORPHAN_MS;
	}
	_exit(0);
}

static bool wanted(const struct config *cfg, unsigned which)
{
	(void)which;
	return checker_wanted(cfg);
}

const struct helper_kind checker_kind = {
	.role = ROLE_CHECKER, .wanted = wanted, .run = run, .section = LOG_SSL, .died = "BH0516", .none = "BH0517", .lost = "",
	.cost = "hosts with SSLOCSPEnable let no client in",
};

/* ------------------------------------------------------------------------------------------------ -X */

static const struct config *direct_config;

static void check_direct(const void *text, size_t n, struct check_answer *out)
{
	static struct look l;
	gnutls_datum_t crt, issuer;
	uint32_t id;
	time_t until;

	say(out, TLS_CHECK_FAILED, NULL, "the question makes no sense");
	if (tls_question_read(text, n, &id, &crt, &issuer) < 0 || !(l.set = settings_of(direct_config, id, false)))
		return;
	if (open_look(&l, &crt, &issuer, out))
		while (!go(&l, out, &until))
			nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	close_look(&l);
}

check_now *checker_direct(const struct config *cfg)
{
	direct_config = cfg;
	return checker_wanted(cfg) ? check_direct : NULL;
}
