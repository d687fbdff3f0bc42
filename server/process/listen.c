/*
 * listen.c - listening sockets. Master only (and -X): bound as root, handed to children by fork, never read here.
 */
#include "process/listen.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "process/handover.h"

#define VANISHING 1000                  /* ms in which a process that was killed has let go of its sockets */

/* ------------------------------------------------------------------------------------------------ who has a port */

/* Inodes of the sockets that listen on a port, as /proc tells. */
static unsigned listening_inodes(uint16_t port, unsigned long *inodes, unsigned room)
{
	static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	unsigned n = 0;

	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(tables[i], "re");
		char line[512], local[128];
		unsigned state;
		unsigned long inode;

		while (f && fgets(line, sizeof line, f)) {
			const char *colon;
			if (sscanf(line, " %*d: %127s %*s %x %*s %*s %*s %*s %*s %lu", local, &state,
				   &inode) != 3 ||
			    state != 0x0A)
				continue;
			colon = strrchr(local, ':');
			if (colon && strtoul(colon + 1, NULL, 16) == port && n < room)
				inodes[n++] = inode;
		}
		if (f)
			fclose(f);
	}
	return n;
}

static bool holds_socket(const char *pid, const unsigned long *inodes, unsigned n)
{
	char path[64], link[64], want[64];
	bool found = false;
	const struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (d = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), d->d_name, link, sizeof link - 1);
		if (len <= 0)
			continue;
		link[len] = '\0';
		for (unsigned i = 0; i < n && !found; i++) {
			snprintf(want, sizeof want, "socket:[%lu]", inodes[i]);
			found = !strcmp(link, want);
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

static void read_name(pid_t pid, char *name, size_t n)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	*name = '\0';
	f = fopen(path, "re");
	if (f && fgets(name, (int)n, f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
}

const char *listen_holder(uint16_t port, char *buf, pid_t *pid)
{
	unsigned long inodes[16];
	unsigned n = listening_inodes(port, inodes, 16);
	const struct dirent *d;
	DIR *proc = n ? opendir("/proc") : NULL;

	*pid = 0;
	while (proc && !*pid && (d = readdir(proc)))
		if (isdigit((unsigned char)d->d_name[0]) && holds_socket(d->d_name, inodes, n))
			*pid = (pid_t)strtol(d->d_name, NULL, 10);
	if (proc)
		closedir(proc);
	if (!*pid)
		return NULL;
	char name[32];
	read_name(*pid, name, sizeof name);
	snprintf(buf, 64, "pid %d (%s)", (int)*pid, name);
	return buf;
}

/*
 * A process of a Bulkhead whose master is gone: it ends within seconds. It has its role's name, or, in its first moment, still the
 * master's; but a master leads its process group, or its parent does.
 */
static bool is_orphan(pid_t pid)
{
	char path[64], name[32], line[256] = "";
	int parent = 0, group = 0;
	bool named;
	FILE *f;

	read_name(pid, name, sizeof name);
	named = !strncmp(name, "bulkhead-", 9);
	if (!named && strcmp(name, "bulkhead"))
		return false;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof line, f)) {
		const char *after = strrchr(line, ')');
		if (!after || sscanf(after, ") %*c %d %d", &parent, &group) != 2)
			parent = 0;
	}
	if (f)
		fclose(f);
	read_name(parent, name, sizeof name);
	return parent > 0 && strncmp(name, "bulkhead", 8) != 0 && (named || (parent == 1 && group != pid));
}

/* Whether the port may be free in a moment. One whose holder is not to be seen: that one just went, or nobody may tell. */
static bool passes(uint16_t port, int waited)
{
	char who[64], name[32];
	pid_t pid;

	if (!listen_holder(port, who, &pid))
		return waited < VANISHING;
	read_name(pid, name, sizeof name);
	/* The check of a program to come (upgrade.c) is called by a number until it has a name. */
	return is_orphan(pid) || (isdigit((unsigned char)*name) && waited < VANISHING);
}

/* ------------------------------------------------------------------------------------------------ binding */

/* "Listen 80" and "Listen *:80": no address was named, so that both families are meant. */
static bool names_no_address(const struct config_listen *l)
{
	const char *t = l->text;

	if (!t || !addr_is_any(&l->addr))
		return false;
	if (!strncmp(t, "*:", 2))
		t += 2;
	return isdigit((unsigned char)*t) && t[strspn(t, "0123456789")] != ':' &&
	       t[strspn(t, "0123456789")] != '.';
}

/* Whether some other Listen names 0.0.0.0 with this port: then [::] must leave IPv4 to it. */
static bool has_own_ipv4(const struct process_settings *s, uint16_t port)
{
	for (unsigned i = 0; i < s->nlistens; i++) {
		const struct config_listen *l = &s->listens[i];
		if (l->addr.sa.sa_family == AF_INET && addr_is_any(&l->addr) &&
		    addr_port(&l->addr) == port && !names_no_address(l))
			return true;
	}
	return false;
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value);
}

/* A bound, listening socket, or -1 with errno. */
static int bind_one(const struct process_settings *s, const struct addr *a)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

	if (fd < 0)
		return -1;
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (a->sa.sa_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, addr_is_any(a) ? has_own_ipv4(s, addr_port(a)) : 1);
	if (s->send_buffer > 0)
		set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)s->send_buffer);
	if (s->receive_buffer > 0)
		set_option(fd, SOL_SOCKET, SO_RCVBUF, (int)s->receive_buffer);
	if (bind(fd, &a->sa, a->len) == 0 &&
	    listen(fd, s->listen_backlog > 0 ? (int)s->listen_backlog : 511) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int explain(const struct config_listen *l, struct err *e)
{
	int saved = errno;
	char where[ADDR_TEXT], who[64];
	uint16_t port = addr_port(&l->addr);
	pid_t pid;

	err_at(e, l->pos.file, l->pos.line);
	addr_text(&l->addr, where);
	if (saved == EADDRINUSE) {
		const char *holder = listen_holder(port, who, &pid);
		err_set(e, "Listen %s: the address %s is already in use%s%s", l->text, where,
			holder ? " by " : "", holder ? holder : "");
		return err_remedy(e, "stop what listens there, or choose another port");
	}
	errno = saved;
	err_sys(e, "Listen %s: cannot listen on %s", l->text, where);
	if (saved == EACCES)
		return err_remedy(e, "ports below 1024 need a start as root; or choose a port above");
	if (saved == EMFILE || saved == ENFILE)
		return err_remedy(e, "raise the limit of open files (ulimit -n, LimitNOFILE=)");
	if (saved == EADDRNOTAVAIL)
		return err_remedy(
			e,
			"no interface of this machine has that address: mend the address, or leave it out");
	return err_remedy(e, "name another address");
}

/* The socket for one Listen; waits for orphans of a dead server, until *left ms are used up. */
static struct listener *open_one(const struct process_settings *s, const struct config_listen *l, int *left,
				 struct err *e)
{
	struct listener *one = calloc(1, sizeof *one);
	struct addr a = l->addr;
	int fd, waited = 0;

	if (!one) {
		err_set(e, "no memory");
		return NULL;
	}
	if (names_no_address(l))
		addr_parse(&a, "::", addr_port(&l->addr));
	for (;;) {
		fd = bind_one(s, &a);
		if (fd < 0 && names_no_address(l) && a.sa.sa_family == AF_INET6 &&
		    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
			addr_parse(&a, "0.0.0.0", addr_port(&l->addr));
			continue;
		}
		if (fd >= 0 || errno != EADDRINUSE || *left <= 0)
			break;
		if (!passes(addr_port(&a), waited)) {
			errno = EADDRINUSE;
			break;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		waited += 100;
		*left -= 100;
	}
	if (fd < 0) {
		explain(l, e);
		free(one);
		return NULL;
	}
	*one = (struct listener){ .refs = 0, .fd = fd, .addr = a };
	return one;
}

/* The socket of the last generation for this Listen, or NULL. */
static struct listener *find(const struct listen_set *set, const struct config_listen *l)
{
	struct addr v6;
	bool both = names_no_address(l);

	if (both)
		addr_parse(&v6, "::", addr_port(&l->addr));
	for (unsigned i = 0; set && i < set->n; i++)
		if (addr_same(&set->at[i]->addr, &l->addr) || (both && addr_same(&set->at[i]->addr, &v6)))
			return set->at[i];
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ given sockets */

static struct listen_set given;

int listen_given(int fd, struct err *e)
{
	struct listener *one = calloc(1, sizeof *one), **more = reallocarray(given.at, given.n + 1, sizeof(*more));
	struct addr a = { .len = sizeof a.ss };
	int type = 0, listens = 0;
	socklen_t n = sizeof type;

	if (more)
		given.at = more;
	if (!one || !more) {
		free(one);
		return err_set(e, "no memory");
	}
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0 ||
	    getsockname(fd, &a.sa, &a.len) < 0 || type != SOCK_STREAM || !listens || (a.sa.sa_family != AF_INET && a.sa.sa_family != AF_INET6)) {
		free(one);
		return err_set(e, "the descriptor %d is no listening stream socket of IPv4 or IPv6", fd);
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	*one = (struct listener){ .refs = 1, .fd = fd, .addr = a };
	given.at[given.n++] = one;
	return 0;
}

void listen_given_end(void (*told)(const char *address))
{
	for (unsigned i = 0; told && i < given.n; i++) {
		char text[ADDR_TEXT];

		if (given.at[i]->refs == 1)
			told(addr_text(&given.at[i]->addr, text));
	}
	listen_close(&given);
}

void listen_hand_over(const struct listen_set *set, FILE *to)
{
	char text[ADDR_TEXT];

	for (unsigned i = 0; i < set->n; i++)
		handover_put(to, "listener", set->at[i]->fd, "%s", addr_text(&set->at[i]->addr, text));
}

/* ------------------------------------------------------------------------------------------------ a generation's */

int listen_open(const struct process_settings *s, const struct listen_set *old, int wait_ms,
		struct listen_set *out, struct err *e)
{
	*out = (struct listen_set){ .at = calloc(s->nlistens + 1, sizeof *out->at) };
	if (!out->at)
		return err_set(e, "no memory");
	for (unsigned i = 0; i < s->nlistens; i++) {
		const struct config_listen *l = &s->listens[i];
		struct listener *one = find(out, l);

		if (one)
			continue;       /* named twice: the check of the configuration says so */
		one = find(old, l);
		if (!one)
			one = find(&given, l);
		if (!one)
			one = open_one(s, l, &wait_ms, e);
		else
			listen(one->fd, s->listen_backlog > 0 ? (int)s->listen_backlog : 511);
		if (!one) {
			listen_close(out);
			return -1;
		}
		one->refs++;
		out->at[out->n++] = one;
	}
	return 0;
}

void listen_close(struct listen_set *set)
{
	for (unsigned i = 0; i < set->n; i++) {
		if (--set->at[i]->refs)
			continue;
		close(set->at[i]->fd);
		free(set->at[i]);
	}
	free(set->at);
	*set = (struct listen_set){ 0 };
}
