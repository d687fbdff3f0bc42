/*
 * internal.h - what the files of conn/ share: the server (one a process) and its connections.
 *
 * Buffers belong to the server, not to the connection: bytes read in a turn lie in server->in (decrypted) and
 * server->raw (as they came), bytes to send are gathered in server->stage (one TLS record) and server->wire. What is
 * left over at the end of a connection's turn moves into its `left` buffers; an idle connection owns none.
 */
#ifndef BULKHEAD_CONN_INTERNAL_H
#define BULKHEAD_CONN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "conn/conn.h"
#include "conn/loop.h"
#include "crashdump/activity.h"
#include "http/head.h"
#include "request/chan.h"
#include "request/client.h"
#include "request/handler.h"
#include "request/request.h"
#include "tls/handshake.h"

#define IN_SIZE 65536           /* the longest request head, and the most body bytes handled at once */
#define RAW_SIZE 65536
#define RECORD_SIZE 16384       /* of a TLS record: RFC 8446, 5.1 */
#define WIRE_SIZE (96 * 1024)   /* gathers 64 KiB, and then the record that was being filled */
#define WIRE_FULL (64 * 1024)
#define AHEAD_SIZE 65536        /* of several clients at once, */
#define AHEAD_EACH 4096         /* so much from each */
#define SPARE_ARENAS 32         /* emptied ones that wait for requests */

struct exempt { struct prefix prefix; const struct exempt *next; };
enum { PROTOCOL_HTTP1, PROTOCOL_H2, PROTOCOL_H2C, PROTOCOLS };
struct protocols { int n; signed char at[PROTOCOLS]; };         /* the preferred one first; n -1 = unset */
static inline bool protocols_has(const struct protocols *p, int protocol)
{
	for (int i = 0; i < p->n; i++)
		if (p->at[i] == protocol)
			return true;
	return false;
}

struct method_name { const char *name; const struct method_name *next; };
struct conn_settings {          /* conn_module's host structure; milliseconds */
	int64_t timeout, keepalive_timeout;
	int keepalive;
	int64_t max_requests;
	int64_t limit_line, limit_fields, limit_field;
	int unsafe, old, registered;            /* HttpProtocolOptions: Unsafe, Allow0.9, RegisteredMethods; -1 = unset */
	const struct method_name *methods;      /* RegisterHttpMethod */
	int64_t per_address, address_bits4, address_bits6;      /* MaxConnectionsPerAddress; 0 = no limit */
	const struct exempt *exempt;            /* MaxConnectionsPerAddressExcept */
	struct protocols protocols;
	int honor_order;                        /* ProtocolsHonorOrder */
	int64_t read_handshake, read_header, read_header_max, read_header_rate, read_body, read_body_max, read_body_rate;
};

struct left { char *p; size_t n; };

enum conn_state {
	CONN_PEEK,              /* no byte yet, or too few to tell what is spoken */
	CONN_HANDSHAKE,
	CONN_HEAD,              /* waits for a request, or reads its head */
	CONN_REQUEST,           /* a handler is at work, or its response is being sent */
	CONN_BYE,               /* all is said: what is left is sent, then the connection ends */
	CONN_LINGER,            /* our side is closed; reads and drops until the client closes too */
};

struct h1;
struct h2;
struct lookup;
struct work_item;
struct work_pool;
struct server_host;
struct conn;
struct activity;

/*
 * Who asks, as one request and its handler see it, and what that request waits for elsewhere. HTTP/1 has one a connection (its `own`),
 * HTTP/2 one a stream.
 */
struct asker {
	struct client client;
	struct conn *c;
	const struct conn_settings *settings;   /* of the host in use */
	struct lookup *lookups;         /* what is known of the client's names */
	struct lookup *asking;          /* the one whose answer the request waits for; NULL = it does not */
	struct list waits;              /* server->asking, while asking is not NULL */
	struct list chans;              /* chan.c */
	struct conn_shown *shown;       /* its request, where others see it; NULL = nowhere */
	int64_t lookup_until;           /* ms: when this request has waited for names long enough; 0 = it has not begun */
	struct work_item *working;      /* the slow work that the request waits for; NULL = it does not */
	struct client_work *worked;     /* what was done for the request, the last first */
	int64_t work_until;             /* ms: when it has waited for that long enough; 0 = it has not begun */
	bool work_late;                 /* it has: no more of that */
	bool needs_http1;               /* HTTP/2: a place asks for what that cannot (certificate.c) */
};

static inline struct asker *asker_of(struct client *c)
{
	return (struct asker *)(void *)((char *)c - offsetof(struct asker, client));
}

static inline struct conn *conn_of(struct client *c)
{
	return asker_of(c)->c;
}

/* What HTTP/1 and HTTP/2 are to the life of a connection. */
struct speech {
	void (*run)(struct conn *c);                    /* goes on as far as it can: reads, feeds bodies, answers */
	void (*timeout)(struct conn *c);                /* `due` has come */
	int64_t (*due)(const struct conn *c);           /* when (ms of loop_now) what it waits for is due */
	bool (*reads)(const struct conn *c);            /* whether it wants bytes from the client now */
	bool (*duplex)(const struct conn *c);           /* whether that does not wait until the client takes what is sent. May be NULL: it waits */
	void (*note)(const struct conn *c, struct activity *a);         /* the request that a turn goes on with, if there is one */
	void (*wake)(struct asker *a);                  /* something has come that this one waits for; its turn follows. May be NULL */
	void (*drain)(struct conn *c);                  /* this child takes no new connections any more; a turn follows. May be NULL */
	void (*dismiss)(struct conn *c);                /* it idles, and its place is needed now; a turn follows. NULL: conn_bye */
	int64_t (*held_up)(const struct conn *c);       /* since when (ms) its client alone holds up what is under way, though the socket takes bytes; 0: it does not */
	void (*end)(struct conn *c);                    /* the connection goes: whatever is under way is given up */
};

struct conn {
	struct watch watch;
	struct deadline deadline;
	struct list item;               /* server->conns */
	struct conn_server *server;
	enum conn_state state;
	enum conn_place place;          /* as counted: counters.c */
	unsigned slot;                  /* in options->client_fds */
	const struct host *host;        /* the address's default, then the last request's */
	const struct conn_settings *settings;
	struct asker own;               /* the connection itself; in HTTP/1 its requests too */
	struct tls_io io;
	struct tls_chooser chooser;
	struct tls *tls;                /* NULL: plain */
	const struct speech *speech;    /* from the first byte of HTTP on */
	union {
		struct h1 *h1;
		struct h2 *h2;
	};
	struct left raw_left, in_left, wire_left;
	bool eof;                       /* the client ended its side, or is gone */
	bool gone;                      /* the connection is broken: nothing can be sent */
	bool proxied;                   /* a PROXY header is still to come */
	bool plain_on_tls;              /* HTTP where TLS was expected (F10) */
	bool blocked;                   /* the socket took no more: wait for EPOLLOUT */
	bool again;                     /* more is to be done without a new event: ask for EPOLLOUT */
	bool alerted;                   /* TLS failed behind the handshake: the alert that says why is still to be sent, and to be read */
	bool orderly;                   /* TLS: close_notify has been pushed */
	bool unclean;                   /* … or the last request's ssl-unclean-shutdown wants none */
	bool half_closed;               /* the client has ended its side while a handler is at work: no news any more */
	unsigned crowd_place;           /* where its address is counted, from 1; 0 = it is not */
	int64_t opened_at;              /* ms */
	int64_t head_began;             /* ms: since when a head is awaited: the first from the start, others from their first byte; 0 = not yet */
	uint64_t came;                  /* when bytes were last read, as request/openfiles.h counts */
	struct text ahead;              /* bytes that were read before its turn, in server->ahead */
	int64_t sent_at, got_at;        /* ms: when the socket last took, and gave, bytes; sent_at: or when the state was entered */
	struct {
		bool asks;              /* the request waits for the client's certificate (certificate.c) */
		bool over;              /* more than `most` bytes came meanwhile */
		int64_t until;          /* ms */
		size_t most;
		struct left held;       /* what came, decrypted: behind what `in` holds */
		size_t held_at;         /* taken out of it */
	} late;
	struct {
		bool waits;             /* for what responders say of the client's certificate (check.c) */
		uint32_t id;
		int64_t until;          /* ms */
	} check;
	bool lingers;                   /* unread bytes may be on their way: closing at once could cost the client our answer */
};

struct listener {
	struct watch watch;
	struct conn_server *server;
	struct addr addr;
	bool one_address;               /* each connection's own end is `addr` */
	unsigned accepted;              /* since it was added last */
};

struct conn_server {
	struct conn_options o;
	struct loop *loop;
	struct listener *listeners;
	struct watch master, control, resolver, checker;
	struct spawner { struct watch watch; struct conn_server *server; unsigned account; } spawners[CONN_SPAWNERS];
	struct list asking;             /* askers that wait for the resolver */
	uint32_t questions;             /* to resolver and checker, ever: the id of the last */
	struct work_pool *works;        /* threads for slow work; NULL = none */
	struct list programs;           /* ordered, and not yet told to be over: spawn.c */
	uint32_t orders;                /* to the spawner, ever: the id of the last */
	struct deadline spawn_poll;     /* -X */
	struct deadline resume, full, drain_end;
	struct deadline untold;         /* when failed handshakes that had no line are summed up */
	struct list conns;
	unsigned open;
	unsigned *free_slots, nfree;    /* of options->client_fds */
	bool listening, draining, ended;
	int64_t requeued;               /* ms: when the listeners were last added anew */
	struct watch look;              /* options->look */
	bool busy;                      /* as told to the master: open >= 7/8 of the limit */
	int reserve;                    /* a descriptor kept for EMFILE */
	int64_t emfile_told;            /* ms: before then no line says again that none is left */
	int most_fds;                   /* a new connection whose descriptor is not below this finds none left */
	bool told_emfile;
	unsigned refused;               /* connections of addresses with too many, since it was told */
	unsigned shed_slow, shed_idle, shed_held;       /* closed to make room, since it was told */
	int64_t full_since;             /* ms */
	int64_t refusal_told, shed_told, stuck_told;    /* ms: not again before */
	uint64_t accepted;
	/* The buffers of a turn. `raw_at`: consumed; in_at: parsed. */
	char *in, *raw, *stage, *wire;
	size_t in_n, in_at, raw_n, raw_at, stage_n, wire_n;
	size_t turn_in, turn_out;       /* bytes read from the socket, and bytes queued, in this turn */
	size_t pulled;                  /* bytes that GnuTLS was given, ever: tells whether it goes on */
	struct arena *spare[SPARE_ARENAS];      /* for the next requests that begin */
	unsigned spares;
	char *ahead;                    /* what was read before the turns of its connections; packed */
	size_t ahead_n;
	unsigned ahead_held;            /* connections whose bytes are still there */
	bool drained_socket;            /* a short read: nothing more is there until epoll says so */
};

/* accept.c: listeners. */
int accept_init(struct conn_server *s, struct err *e);
void accept_start(struct conn_server *s);
/* A connection went: listens again below 7/8 of the limit. */
void accept_resume_if_room(struct conn_server *s);
void accept_worked(struct conn_server *s);      /* at the end of each turn */
void accept_stop(struct conn_server *s);        /* for good: closes the listeners */

/* shed.c: room for those who wait, where all connections are open. */
void shed_init(struct conn_server *s);
void shed_full(struct conn_server *s);          /* it is full: looks soon, and as long as it is */

/* crowd.c: false: its address has too many (which is told). Counted once. */
bool crowd_enter(struct conn *c);
void crowd_leave(struct conn *c);

/* server.c: all of them together. */
void conn_drain(struct conn_server *s);
/* Tells how many connections are open, and the master when that makes this child busy, or spare again. */
void conn_count_open(struct conn_server *s, unsigned open_now);
/* Gives a turn's messages of a helper process to `take`. Where master and helper are both gone w->fd is -1 from then on. */
struct ipc_message;
void conn_hear(struct conn_server *s, struct watch *w, void (*take)(struct conn_server *s, const struct ipc_message *m));

/* client.c: a connection as request/ sees it. */
extern const struct client_ops conn_client_ops;

/* conn.c: the life of a connection. */
void conn_open(struct conn_server *s, int fd, const struct addr *peer, const struct addr *local);
void conn_use_host(struct conn *c, const struct host *h);
void conn_close(struct conn *c);
void conn_state(struct conn *c, enum conn_state state);
/* A turn without an event of its socket: what it waited for elsewhere has come. It may be gone afterwards. */
void conn_turn(struct conn *c);
/* The same where one of its requests has what it waited for. */
void asker_turn(struct asker *a);
/* Broken, now and outside of its turn. It is gone afterwards. */
void conn_cut(struct conn *c);
/* An orderly end once everything is sent. */
void conn_bye(struct conn *c);
/* Broken: closed at the end of this turn, nothing more is sent. */
void conn_break(struct conn *c, const char *why);

/* counters.c: counts the connection where it is now, or no more. */
void conn_count_place(struct conn *c);
void conn_count_gone(struct conn *c);
/* The same at the end of a turn: a request of HTTP/1 that goes on is shown from then on. */
void conn_count_turn(struct conn *c);
/* A request goes on at the end of a turn: it is shown from then on, as long as there is room; until asker_forget of all. */
void asker_show(struct asker *a);
void asker_hide(struct asker *a);

/* peek.c: what is spoken. Reads c's raw bytes. */
enum peek { PEEK_MORE, PEEK_TLS, PEEK_HTTP, PEEK_TLS_ON_PLAIN, PEEK_HTTP_ON_TLS, PEEK_RUBBISH };
enum peek peek_first(const char *p, size_t n, bool tls_expected);

/* input and output of the connection whose turn it is: output.c. */
/* Makes room and reads more decrypted bytes into server->in. >0 bytes came, 0 end of stream, -1 nothing now, -2 broken. */
ssize_t input_more(struct conn *c);
ssize_t input_raw(struct conn *c);                      /* the same for server->raw */
void input_begin(struct conn *c);                       /* left-overs into the buffers */
void input_gather(struct conn *c);                      /* reads what has come before its turn, where that is a next request */
void input_ungather(struct conn *c);                    /* it is closed without a turn */
void input_end(struct conn *c);                         /* what is left out of them; 0 or breaks the connection (ENOMEM) */
extern const struct tls_io output_tls_io;               /* a template: ctx is the connection */
/* Bytes a turn, each way, so that one transfer does not hold up the others: then `again` is set. */
#define TURN_BYTES (256 * 1024)
/* Queues bytes; returns how many were taken: fewer when the socket is blocked. */
size_t output_put(struct conn *c, const void *p, size_t n);
/* Queues file bytes; how many were taken, -1: the file ended early or cannot be read. `more`: body follows. */
ssize_t output_file(struct conn *c, int fd, uint64_t offset, uint64_t n, uint64_t came);
/* Queues all of it, whatever the socket says: for heads and framing, which must stay whole. 0 or -1 (broken). */
int output_must(struct conn *c, const void *p, size_t n);
/* How many body bytes output_must should be given now; 0 = wait until the socket takes more, or for the next turn. */
size_t output_space(struct conn *c);
/*
 * Where n bytes, at most RECORD_SIZE, can be laid down in one piece; output_laid then says how many were. NULL: wait, as output_space
 * says 0, or broken.
 */
char *output_lay(struct conn *c, size_t n);
void output_laid(struct conn *c, size_t n);
/* Makes a TLS record of what is gathered, so that what GnuTLS pushes next comes behind it. 0 or -1. There is always room. */
int output_seal(struct conn *c);
/* Sends what is queued. 0 all sent, 1 blocked (the rest is kept), -1 broken. */
int output_flush(struct conn *c);
/* What the kernel still holds for a client that takes nothing is not kept when the connection goes: it would stay for minutes. */
void output_forget(const struct conn *c);

/* lookup.c: the name service. The first two are as request/client.h wants them; asker->asking is set while the request waits. */
enum client_knows lookup_knows(struct client *client, const char *question, struct text *answer);
bool lookup_ask(struct client *client, const char *question);
bool lookup_addresses(void *server, uint32_t id, const char *question);        /* for addresses_init */
void lookup_over(struct asker *a);                      /* waits no longer: there is no answer */
void lookup_forget(struct asker *a, bool all);          /* a new request, or (all) the end of the connection */
void lookup_answers(struct watch *w, uint32_t events);  /* server->resolver's */
/* The answer to a question, whoever gives it; n < 0: there is none. */
void lookup_settle(struct conn_server *s, uint32_t id, const void *answer, ssize_t n);
void lookup_again(struct conn_server *s);               /* another spawner: what its predecessor was asked is asked again */

/*
 * certificate.c: a place asks for the client's certificate behind the handshake. As client_ops' place; it goes on in
 * certificate_run, and the request waits while c->late.asks.
 */
unsigned certificate_place(struct client *client, void *const *section, struct arena *a, const char **user, const char **why);
void certificate_run(struct conn *c);
void certificate_timeout(struct conn *c);
/* Gives out bytes that were kept meanwhile: how many. */
size_t certificate_held(struct conn *c, char *to, size_t room);
void certificate_forget(struct conn *c);

/* work.c: threads for slow work. The first two are as request/client.h wants them; asker->working is set while the request waits. */
int work_ask(struct client *client, struct client_work *w, unsigned most);
struct client_work *work_done(struct client *client);
void work_over(struct asker *a);                        /* waits no longer */
void work_forget(struct asker *a);                      /* a new request, or the end of the connection */
int work_init(struct conn_server *s, struct err *e);    /* before the sandbox. 0 or -1 */
void work_fini(struct conn_server *s);
/* chan.c: descriptors of programs and backends (request/chan.h). */
/* Takes fd, unless it fails (NULL: no memory); it gets O_NONBLOCK. Its owner sets event and ctx. */
struct chan *chan_open(struct stream *s, int fd);
/* The same for a connection to a server behind, which it takes; closing it goes by backend_closed. */
struct link;
struct chan *chan_open_link(struct stream *s, struct link *l);
struct link *chan_take_link(struct chan *c);            /* frees the chan alone */
void chan_used(struct chan *c, unsigned what);          /* an event was looked at without chan_read or chan_write: it is to come anew */
/* Tells the handler one thing that has come for its request. False: nothing had. */
bool chans_run(struct asker *a);
bool chans_any(const struct asker *a);
/* Closes what is left of its request; programs that still run are killed. */
void chans_close(struct asker *a);

/* spawn.c: programs. The first two are as request/client.h wants them. */
int spawn_begin(struct stream *s, const struct spawn_spec *spec, struct spawned *p);
void spawn_end(struct stream *s, struct spawned *p, bool kill);
bool spawn_events(struct asker *a);
void spawn_forget(struct asker *a);
void spawn_answers(struct watch *w, uint32_t events);   /* of server->spawners */
void spawn_fini(struct conn_server *s);
/* A question to the program of a RewriteMap (request/rewrite.h), for lookup.c: false: nobody takes it. Or (-X) its answer. */
bool spawn_ask(struct conn_server *s, uint32_t id, const char *question, int64_t until);
ssize_t spawn_ask_now(struct conn_server *s, const char *question, int64_t until, char *value, size_t room);
void spawn_poll(struct deadline *d);                    /* server->spawn_poll's */

/* backend.c: servers behind, as request/client.h wants them. */
int backend_get(struct stream *s, unsigned flags, struct upstream *u);
void backend_put(struct upstream *u, bool reusable);
void backend_closed(struct link *l);                    /* a chan has gone with its stream */

/* check.c: responders. True: c->check.waits, a turn comes with the answer; false: it is there. */
bool check_ask(struct conn *c);
void check_over(struct conn *c);                        /* waits no longer: nobody could say */
void check_answers(struct watch *w, uint32_t events);   /* server->checker's */

/* asker.c: what each request comes to, whatever it came in. */
void asker_init(struct asker *a, struct conn *c);
/* A new request, or (all) the end of it: what was known, awaited and done for it goes. */
void asker_forget(struct asker *a, bool all);
/* A new request: whose it is, and what its head says. */
void asker_fill(struct conn *c, struct request *r, struct stream *s, struct asker *a, const struct request_head *head);
/* Writes the access lines of r. */
void asker_log(struct conn *c, struct request *r, bool aborted);
/* Whether the method is one that HttpProtocolOptions lets through. */
bool asker_method(const struct conn_settings *set, const struct request *r);
/*
 * RequestReadTimeout: `low` ms from `began`, more as bytes come at the least rate, with an upper bound where one is given.
 * low 0: Timeout alone counts, anew with each byte (`heard`: when the last came). When (ms) that is.
 */
int64_t asker_read_limit(const struct asker *a, int64_t began, int64_t heard, uint64_t bytes, int64_t low, int64_t high, int64_t rate);
/* Since when a body is slow: from its beginning where it comes below the least rate, else since the last byte. All as above. */
int64_t asker_slow_since(const struct asker *a, int64_t began, int64_t heard, uint64_t bytes);
/* An arena for a request: the server keeps some at hand, so that idle connections own none. NULL = no memory. */
struct arena *asker_arena(struct conn_server *s);
void asker_arena_back(struct conn_server *s, struct arena *a);       /* NULL is fine */

/* h1.c, h1time.c: HTTP/1 on a connection (h1.h is for its own files). */
extern const struct speech h1_speech;
int h1_begin(struct conn *c);                           /* 0 or -1 (ENOMEM) */
/* Whether the body of the present request is known to be longer, and comes unasked. */
bool h1_body_over(const struct conn *c, uint64_t most);
/* The present request is the connection's last; what still comes is dropped. */
void h1_last(struct conn *c);

/* h2.c and its like: HTTP/2 on a connection (h2.h is for its own files). Replaces what is spoken so far. */
int h2_begin(struct conn *c);                           /* 0 or -1 (ENOMEM) */
/* Whether the first bytes of a connection are, or may become, a preface that may come here. */
enum h2_preface { H2_PREFACE_NOT, H2_PREFACE_MORE, H2_PREFACE_WHOLE };
enum h2_preface h2_preface(const struct conn *c, const char *p, size_t n);
/* Goes over to HTTP/2 where a request of HTTP/1 asks for that, which becomes its first stream. */
bool h2_upgrade(struct conn *c, const struct request_head *head);
void h2_hint(struct request *r);                        /* client_ops' begins */

#endif
