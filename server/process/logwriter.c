/*
 * logwriter.c - the logger process, asleep until a ring has lines: takes the tables of targets that the master hands it,
 * drains the rings into them.
 *
 * No line is lost or written twice when it is killed: before each write it notes in the shared journal which lines of
 * which ring go where, at which place of the file, and the offset of the open file description, which its successor shares.
 * After a death the successor compares: an offset that did not move = nothing was written; moved by the whole = all was;
 * moved by less = the kill cut the write in two: the piece is cut off and the lines are written anew. A kill within that leaves
 * what the next one reads rightly. For programs behind pipes nothing tells, so that a kill there may write some lines twice.
 * Nothing of this, and no line, is touched before the master has told all tables (LOGGER_TOLD).
 */
#include "process/logwriter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log/log.h"
#include "log/ring.h"
#include "log/target.h"
#include "process/role.h"
#include "process/shared.h"

#define PIPE_BYTES 4096                 /* a pipe takes so much whole */
#define BATCH_RECORDS 64
#define BATCH_BYTES 262144
#define PACE_MS 10                      /* between two looks while lines come: what a line may be late in its file */
#define RETRY_MS 200
#define PIPE_PATIENCE_MS 1000           /* a program may stand still so long; then its lines are lost, and no other log's */
#define ORPHAN_MS 5900                  /* how long it waits for the children of a master that is gone */

/* ------------------------------------------------------------------------------------------------ tables */

struct target {
	int fd;
	uint32_t kind;
	bool file;                      /* a regular file: has a size */
	bool append;                    /* … and is written at its end, wherever its offset is */
	bool stuck;                     /* could not be written: said once */
	int64_t most;                   /* bytes after which a file is written no further; 0 = no bound */
	int64_t since;                  /* when that began */
	uint64_t lost;                  /* lines given up since then */
	char name[LOGGER_NAME];
};
struct table {
	uint32_t generation;
	unsigned n;                     /* 0 = free */
	unsigned told;                  /* targets whose descriptor has come: the table is of use when that is n */
	bool dropping;
	struct target *at;
};
static struct table tables[LOGGER_TABLES];
static struct ipc_message message;
static int control;
static bool told;                       /* the master has told all tables that there are */
static unsigned unanswered;             /* LOGGER_TOLDs that the master has no answer to yet */
static bool last_round;                 /* what cannot be written now is lost */
static bool retry;                      /* some line could not be written: look again soon */
static bool recovered;                  /* what a predecessor was writing is settled */
static uint32_t newest;                 /* whose error log takes the logger's own words */

static struct table *find_table(uint32_t generation)
{
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		if (tables[i].n && tables[i].generation == generation)
			return &tables[i];
	return NULL;
}

static int own_fd(unsigned target)
{
	const struct table *t = find_table(newest);

	return t && target < t->n ? t->at[target].fd : -1;
}

static void free_table(struct table *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->at[i].fd >= 0)
			close(t->at[i].fd);
	free(t->at);
	*t = (struct table){ 0 };
	for (size_t i = 0; i < sizeof tables / sizeof *tables && !find_table(newest); i++)
		if (tables[i].n && tables[i].told == tables[i].n)
			newest = tables[i].generation;
}

/* The oldest of those that are dropped and not written yet: the master has given it up as well. */
static struct table *give_up_oldest(void)
{
	struct table *oldest = NULL;

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		if (tables[i].dropping && (!oldest || tables[i].generation < oldest->generation))
			oldest = &tables[i];
	if (oldest)
		free_table(oldest);
	return oldest;
}

/*
 * Without a table that the master believes to be here, lines could never be placed. The successor is told all of them;
 * the rings keep their lines for it. Most likely there was no descriptor or no memory to take the message with.
 */
static _Noreturn void misheard(const char *what)
{
	log_errorx(NULL, LOG_CORE, "BH0149", "the logger lost what the master told it (%s): it ends, and its successor is told all",
		   what);
	_exit(ROLE_EXIT_SICK);
}

static void new_table(void)
{
	struct logger_table m;
	struct table *t = NULL;

	memcpy(&m, message.data, sizeof m);
	for (size_t i = 0; i < sizeof tables / sizeof *tables && !t; i++)
		if (!tables[i].n)
			t = &tables[i];
	if (!t)
		t = give_up_oldest();
	if (!t || m.n == 0 || m.n > 65536 || find_table(m.generation))
		misheard("a table that has no place");
	t->at = calloc(m.n, sizeof *t->at);
	if (!t->at)
		misheard("no memory for a table");
	t->generation = m.generation;
	t->n = m.n;
	for (unsigned i = 0; i < m.n; i++)
		t->at[i].fd = -1;
}

static void recover(bool last);

static void new_targets(void)
{
	struct logger_targets m;
	struct table *t;

	memcpy(&m, message.data, sizeof m);
	t = find_table(m.generation);
	if (!t || m.n != message.nfds || m.first > t->n || m.n > t->n - m.first)
		misheard("targets of no table");
	for (unsigned i = 0; i < m.n; i++) {
		struct target *at = &t->at[m.first + i];
		struct stat st;

		if (at->fd >= 0) {
			if (!recovered)         /* the file before: what a predecessor was writing there is mended now */
				recover(false);
			close(at->fd);
		} else {
			t->told++;
		}
		/* Lines that were lost before are told of when the next one is written. */
		at->fd = message.fds[i];
		at->kind = m.kinds[i];
		at->most = m.most[i];
		at->file = fstat(at->fd, &st) == 0 && S_ISREG(st.st_mode);
		at->append = fcntl(at->fd, F_GETFL) & O_APPEND;
		memcpy(at->name, m.names[i], LOGGER_NAME - 1);
	}
	message.nfds = 0;
	if (t->told == t->n && (t->generation > newest || !find_table(newest)))
		newest = t->generation;
}

/*
 * Whether the master has told all of its tables: it does so in several messages, and lines without target are lost. One that is
 * gone will tell no more.
 */
static bool all_told(void)
{
	bool any = false;

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		if (control >= 0 && tables[i].told < tables[i].n)
			return false;
		any |= tables[i].n > 0;
	}
	return any && (told || control < 0);
}

static void unstuck(struct target *t);

/* Of lines that were lost only this one knows. */
static _Noreturn void leave(void)
{
	last_round = true;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (unsigned k = 0; k < tables[i].n; k++)
			unstuck(&tables[i].at[k]);
	_exit(0);
}

/* All that the master has said until now. */
static void from_master(void)
{
	bool end = false;

	while (control >= 0) {
		int rc = ipc_recv(control, &message);

		/* A master that goes without having heard all resets the socket: what it said before stands behind that. */
		if (rc == 0 && !end) {
			end = true;
			continue;
		}
		if (rc < 0 && errno == EBADMSG)
			misheard("a message was cut off, as when there are too few descriptors");
		if (rc < 0)
			return;
		if (rc == 0) {
			close(control);
			control = -1;
			return;
		}
		if (message.head.type == LOGGER_TABLE && message.len == sizeof(struct logger_table)) {
			new_table();
		} else if (message.head.type == LOGGER_TARGETS &&
			   message.len == sizeof(struct logger_targets)) {
			new_targets();
		} else if (message.head.type == LOGGER_DROP && message.len == sizeof(uint32_t)) {
			uint32_t generation;
			memcpy(&generation, message.data, sizeof generation);
			struct table *t = find_table(generation);
			if (t)
				t->dropping = true;
		} else if (message.head.type == LOGGER_TOLD && message.len == 0) {
			told = true;
			unanswered++;
		} else if (message.head.type == LOGGER_LEAVE && message.len == 0) {
			leave();
		} else {
			misheard("a message of no known kind");
		}
		ipc_drop_fds(&message);
	}
}

/* ------------------------------------------------------------------------------------------------ writing */

/* Lines of one ring for one target, to be written at once. */
struct batch {
	unsigned slot;
	uint32_t generation, target;
	struct iovec at[BATCH_RECORDS * 2];
	int n;
	size_t bytes;
	unsigned records;
	uint64_t upto;
};

static struct target *target_of(const struct batch *b)
{
	struct table *t = find_table(b->generation);

	return t && b->target < t->n && t->at[b->target].fd >= 0 ? &t->at[b->target] : NULL;
}

static int64_t file_size(const struct target *t)
{
	struct stat st;

	return t->file && fstat(t->fd, &st) == 0 ? st.st_size : -1;
}

/*
 * Cuts the piece of a batch that stands at `start` off again, unless something of another writer stands behind it. Then puts the
 * offset back: from there on the file looks as if nothing had been written, and before, its size tells that it has been cut.
 */
static bool cut_off(const struct target *t, int64_t start, int64_t piece, int64_t offset)
{
	int64_t size = file_size(t);

	return start >= 0 && piece >= 0 && (size == start || (size == start + piece && ftruncate(t->fd, start) == 0)) &&
	       lseek(t->fd, offset, SEEK_SET) == offset;
}

/* A write that appends minds no offset and leaves the file's end there: from 0 it moves even if somebody empties the file. */
static void note(const struct batch *b, const struct target *t)
{
	struct shared_journal *j = shared_journal();
	struct stat st;

	j->slot = b->slot;
	j->generation = b->generation;
	j->target = b->target;
	j->upto = b->upto;
	j->bytes = b->bytes;
	j->offset = t->file ? lseek(t->fd, 0, t->append ? SEEK_SET : SEEK_CUR) : -1;
	if (j->offset >= 0 && fstat(t->fd, &st) == 0) {
		j->start = t->append ? st.st_size : j->offset;
		j->inode = st.st_ino;
		j->device = st.st_dev;
	} else {
		j->start = -1;
	}
	atomic_store_explicit(&j->busy, 1, memory_order_release);
}

static void unnote(void)
{
	atomic_store_explicit(&shared_journal()->busy, 0, memory_order_release);
	/* The next note begins only after it, in whatever order the compiler would like to store. */
	atomic_signal_fence(memory_order_seq_cst);
}

/* Drops `done` bytes from the front of the list. */
static void advance(struct batch *b, int *first, size_t done)
{
	while (done && *first < b->n) {
		struct iovec *v = &b->at[*first];
		size_t part = done < v->iov_len ? done : v->iov_len;

		v->iov_base = (char *)v->iov_base + part;
		v->iov_len -= part;
		done -= part;
		if (!v->iov_len)
			(*first)++;
	}
}

static bool impatient(const struct target *t)
{
	return t->kind == LOG_TARGET_PIPE || log_target_is_socket((enum log_target_kind)t->kind);
}

/* Whether the lines are given up: behind them in their ring wait those of other logs. */
static bool stuck(struct target *t, int errnum)
{
	if (t->stuck) {
		if (last_round || (impatient(t) && shared_now() - t->since > PIPE_PATIENCE_MS))
			return true;
		retry = true;
		return false;
	}
	retry = true;
	t->stuck = true;
	t->since = shared_now();
	log_put(NULL, LOG_CORE, LOG_L_ERROR, "BH0141", errnum,
		"the log %s cannot be written, its lines wait (65536 bytes a child, then they are lost)",
		t->name);
	return last_round;
}

static void unstuck(struct target *t)
{
	if (!t->stuck)
		return;
	if (t->lost)
		log_warnx(NULL, LOG_CORE, "BH0143", "%llu log lines for %s were lost: it could not be written for too long",
			  (unsigned long long)t->lost, t->name);
	if (!last_round)
		log_noticex(NULL, LOG_CORE, "BH0142", "the log %s can be written again", t->name);
	t->lost = 0;
	t->stuck = false;
}

/* 0 = written or given up, -1 = stays in the ring. */
static int write_batch(struct batch *b, struct target *t)
{
	const struct shared_journal *j = shared_journal();
	size_t done = 0;
	int first = 0;

	if (t->most && file_size(t) >= t->most)         /* ScriptLogLength: given up without a word, as in Apache */
		return 0;
	note(b, t);
	while (done < b->bytes) {
		ssize_t n = writev(t->fd, b->at + first, b->n - first);
		int saved = errno;

		if (n < 0 && saved == EINTR)
			continue;
		if (n < 0) {
			/* What is half written is taken back where that is possible; a pipe has it: the rest is lost with it. */
			if (done == 0 || cut_off(t, j->start, (int64_t)done, j->offset)) {
				unnote();
				if (!stuck(t, saved))
					return -1;
				t->lost += b->records;
				return 0;
			}
			break;
		}
		done += (size_t)n;
		advance(b, &first, (size_t)n);
	}
	unstuck(t);
	return 0;
}

static void flush(struct ring *r, struct batch *b)
{
	ring_taken(r, b->upto);
	unnote();
	b->n = 0;
	b->records = 0;
	b->bytes = 0;
}

static bool fits(const struct batch *b, const struct ring_record *rec)
{
	const struct target *t = target_of(b);

	if (!b->records)
		return true;
	if (t && log_target_is_socket((enum log_target_kind)t->kind))   /* each its own packet */
		return false;
	return rec->generation == b->generation && rec->target == b->target && b->records < BATCH_RECORDS &&
	       b->bytes + rec->len <= (t && t->kind == LOG_TARGET_PIPE ? PIPE_BYTES : BATCH_BYTES);
}

static void add(struct batch *b, const struct ring_record *rec)
{
	b->generation = rec->generation;
	b->target = rec->target;
	for (int i = 0; i < 2; i++)
		if (rec->at[i].iov_len)
			b->at[b->n++] = rec->at[i];
	b->bytes += rec->len;
	b->records++;
	b->upto = rec->next;
}

/* A batch whose target nobody knows: the table may just be on its way, else the lines cannot be placed. */
static int finish(struct ring *r, struct batch *b)
{
	struct target *t = target_of(b);

	if (!t) {
		from_master();
		t = target_of(b);
	}
	if (!t)
		log_warnx(NULL, LOG_CORE, "BH0144",
			  "%u lines in slot %u name a log that does not exist: dropped", b->records,
			  b->slot);
	else if (b->bytes && write_batch(b, t) < 0)
		return -1;
	flush(r, b);
	return 0;
}

/* True when the ring is empty afterwards. *any: some line was there. A look ends: a child that was taken over could go on for ever. */
static bool drain_ring(unsigned slot, enum ring_reader how, bool *any)
{
	static struct batch b;
	struct shared_slot s;
	struct ring_record rec;
	uint64_t pos, lost;
	int rc = 0, most = RING_RECORDS;

	shared_slot(slot, &s);
	ring_reading(s.ring, how);
	b = (struct batch){ .slot = slot };
	pos = ring_tail(s.ring);
	while (most-- && (rc = ring_take(s.ring, &pos, &rec)) != 0) {
		*any = true;
		if (rc > 0 && fits(&b, &rec)) {
			add(&b, &rec);
			continue;
		}
		if (b.records && finish(s.ring, &b) < 0)
			return false;
		if (rc > 0)
			add(&b, &rec);
		else
			ring_taken(s.ring, pos);
	}
	if (b.records && finish(s.ring, &b) < 0)
		return false;
	lost = ring_dropped(s.ring);
	if (lost)
		log_warnx(NULL, LOG_CORE, "BH0143",
			  "%llu log lines of slot %u were lost: its ring was full or damaged",
			  (unsigned long long)lost, slot);
	return rc == 0;
}

/* False: later. */
static bool tell(uint32_t type, const void *data, size_t len)
{
	return control < 0 || ipc_send(control, type, 0, data, len, NULL, 0) == 0 || errno != EAGAIN;
}

/* Whether any line was there. */
static bool drain_all(enum ring_reader how)
{
	unsigned n = atomic_load_explicit(&shared_head()->used, memory_order_acquire);
	uint32_t ending[LOGGER_TABLES];
	bool all = true, any = false;

	/* One that is dropped while this looks may have lines in rings that were looked at before. */
	for (size_t i = 0; i < LOGGER_TABLES; i++)
		ending[i] = tables[i].dropping ? tables[i].generation : 0;
	retry = false;
	if (n > shared.nslots)
		n = shared.nslots;
	for (unsigned i = 0; i < n; i++)
		all &= drain_ring(i, how, &any);
	/* No process writes for a generation that is dropped; once all rings were seen empty, nothing of it is left. */
	for (size_t i = 0; all && i < LOGGER_TABLES; i++)
		if (tables[i].dropping && tables[i].generation == ending[i] &&
		    tell(LOGGER_DRAINED, &tables[i].generation, sizeof tables[i].generation))
			free_table(&tables[i]);
	return any;
}

/* What the last logger was writing when it died. Not `last`: the file that it was writing to may still be told. */
static void recover(bool last)
{
	struct shared_journal j = *shared_journal();
	struct batch b = { .slot = j.slot, .generation = j.generation, .target = j.target };
	struct target *t;
	struct shared_slot s;
	struct stat st;
	int64_t now;

	if (!j.busy)
		return;
	t = j.slot < shared.nslots ? target_of(&b) : NULL;
	if (t && j.start >= 0 && (!t->file || fstat(t->fd, &st) < 0 || st.st_ino != j.inode || st.st_dev != j.device))
		t = NULL;
	if (!t && !last)
		return;
	if (t && t->file && j.start >= 0 && (now = lseek(t->fd, 0, SEEK_CUR)) != j.offset) {
		shared_slot(j.slot, &s);
		/* Given back already: there was only the note to take away. */
		if (ring_tail(s.ring) < j.upto && (now - j.start >= (int64_t)j.bytes || !cut_off(t, j.start, now - j.start, j.offset)))
			ring_taken(s.ring, j.upto);
	}
	unnote();
}

/* packet: of the main error log, for its own words. */
static _Noreturn void serve(const struct log_packet *packet)
{
	struct log_settings words;
	int64_t end = INT64_MAX;
	bool busy = false;

	log_settings_init(&words, LOG_L_NOTICE);
	words.packet = packet;
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = -1, .fd_of = own_fd }, &words);
	for (;;) {
		struct pollfd p[3] = { { .fd = shared.log_wake, .events = POLLIN },
				       { .fd = control, .events = POLLIN },
				       { .fd = shared.life[0] } };
		eventfd_t n;
		int wait = retry ? RETRY_MS : busy ? PACE_MS : control < 0 ? 100 : -1;

		if (poll(p, 3, wait) < 0 && errno != EINTR)
			break;
		eventfd_read(shared.log_wake, &n);
		from_master();
		if (!recovered && all_told()) {
			recover(true);
			recovered = true;
		}
		while (unanswered && !shared_journal()->busy && tell(LOGGER_HEARD, NULL, 0))
			unanswered--;
		/* While lines come they are fetched now and then, many at a time; sleep only after a look that found none. */
		busy = all_told() && (drain_all(RING_PACED) || drain_all(RING_ASLEEP));
		if (control < 0 && end == INT64_MAX)
			end = shared_now() + ORPHAN_MS;
		/* The end of the pipe: master and all children are gone, nothing more can come. */
		if (control < 0 && ((p[2].revents & POLLHUP) || shared_now() > end))
			break;
	}
	last_round = true;
	if (all_told())
		drain_all(RING_ASLEEP);
	leave();
}

void logwriter_run(int fd, const struct config *cfg)
{
	const struct process_settings *p = cfg->process;
	int keep[] = { fd, shared.log_wake, shared.life[0] };
	uid_t uid = p->uid;
	gid_t gid = p->gid;
	struct err e = { .text = "" };

	control = fd;
	if (shared.root)
		role_account(p->log_user, "_bulkhead-log", &uid, &gid);
	shared_forget_cache();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (role_enter(ROLE_LOGGER,
		       &(struct role_wants){ .keep = keep,
					     .nkeep = 3,
					     .uid = shared.root ? uid : (uid_t)-1,
					     .gid = gid,
					     .files = 8192,
					     .master = shared.master },
		       &e) < 0)
		_exit(ROLE_EXIT_FATAL);
	serve(cfg->site ? ((const struct log_host *)host_config(cfg->site->main, &log_module))->settings.packet : NULL);
}
