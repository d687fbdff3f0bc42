/*
 * target.c - where log lines end. Names are collected while the configuration is read; files are opened and programs
 * started by the master, as root; the logger (or -X itself) only writes to the descriptors.
 */
#include "log/target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log/packet.h"
#include "log/rotate.h"

#define MAX_TARGETS 4096
#define MAX_ARGUMENTS 64

static int same_name(const struct log_target *t, enum log_target_kind kind, const char *name)
{
	return t->kind == kind && !strcmp(t->name, name);
}

static struct log_target *new_target(struct log_targets *t, struct conf_env *env)
{
	if (t->n == t->cap) {
		unsigned cap = t->cap ? t->cap * 2 : 16;
		struct log_target *at = conf_alloc(env, cap * sizeof *at);

		if (t->n)
			memcpy(at, t->at, t->n * sizeof *at);
		t->at = at;
		t->cap = cap;
	}
	return &t->at[t->n++];
}

int log_target_add(struct log_targets *t, struct conf_env *env, const char *name, const struct conf_pos *pos, struct err *e)
{
	enum log_target_kind kind = LOG_TARGET_FILE;
	struct log_rotation *rotation = NULL;
	const char *full;

	if (log_packet_is(name)) {
		const struct log_packet *p = log_packet_new(env, name, e);

		if (!p)
			return -1;
		kind = p->kind == LOG_PACKET_SYSLOG ? LOG_TARGET_SYSLOG : LOG_TARGET_JOURNAL;
		full = conf_strdup(env, log_packet_socket(p->kind));
	} else if (*name == '|') {
		kind = LOG_TARGET_PIPE;
		full = name + 1 + (name[1] == '|');
		full += strspn(full, " \t");
		if (!*full || (*full == '$' && !full[1])) {
			err_set(e, "\"%s\" names no program behind the '|'", name);
			return err_remedy(e, "write the program's absolute path: \"|/usr/bin/rotatelogs logs/access.%%Y 86400\"");
		}
		full = conf_strdup(env, full);
	} else if (!strncmp(name, LOG_ROTATE, strlen(LOG_ROTATE))) {
		kind = LOG_TARGET_ROTATED;
		rotation = log_rotation_new(env, name + strlen(LOG_ROTATE), e);
		if (!rotation)
			return -1;
		full = conf_printf(env, "%s (every %lld s, %lld bytes)", rotation->form, (long long)rotation->every, (long long)rotation->size);
	} else if (!*name) {
		err_set(e, "the name of the log is empty");
		return err_remedy(e, "name a file or \"|program\"");
	} else {
		full = conf_path(env, name);
	}
	for (unsigned i = 0; i < t->n; i++)
		if (same_name(&t->at[i], kind, full))
			return (int)i;
	if (t->n == MAX_TARGETS) {
		err_set(e, "more than %d logs", MAX_TARGETS);
		return err_remedy(e, "let hosts share a log and tell them apart by %%v");
	}
	*new_target(t, env) = (struct log_target){ .kind = kind, .name = full, .pos = *pos, .fd = -1, .pid = -1,
						     .rotation = rotation, .previous = -1 };
	return (int)t->n - 1;
}

/* The standard stream that a name means, or -1. */
static int stream_of(const char *name)
{
	static const struct { const char *name; int fd; } streams[] = {
		{ "/dev/stdout", 1 }, { "/dev/stderr", 2 }, { "/dev/fd/1", 1 }, { "/dev/fd/2", 2 },
		{ "/proc/self/fd/1", 1 }, { "/proc/self/fd/2", 2 },
	};

	for (unsigned i = 0; i < sizeof streams / sizeof *streams; i++)
		if (!strcmp(name, streams[i].name))
			return streams[i].fd;
	return -1;
}

static int open_file(struct log_target *t, const char *name, struct err *e)
{
	int stream = stream_of(name);

	/* Not opened anew: a terminal or file of whoever started us may not be ours to open. */
	if (stream >= 0 && (t->fd = fcntl(stream, F_DUPFD_CLOEXEC, 3)) >= 0)
		return 0;
	t->fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
	if (t->fd >= 0)
		return 0;
	int saved = errno;
	char parent[512];
	const char *slash = strrchr(name, '/');
	struct stat st;

	err_at(e, t->pos.file, t->pos.line);
	snprintf(parent, sizeof parent, "%.*s", slash && slash != name ? (int)(slash - name) : 1, name);
	errno = saved;
	err_sys(e, "cannot open the log %s", name);
	if (saved == ENOENT && stat(parent, &st) < 0)
		return err_remedy(e, "mkdir -p %s", parent);
	if (saved == EACCES)
		return err_remedy(e, "start as root, or name a log in a folder that this user may write");
	return err_remedy(e, "name another file, or mend what stands in the way");
}

int log_target_rotate(struct log_target *t, struct err *e)
{
	struct log_rotation was = *t->rotation;
	int old = t->fd;

	if (!log_rotation_name(t->rotation, time(NULL)))
		return 0;
	if (open_file(t, t->rotation->name, e) < 0) {
		*t->rotation = was;
		t->fd = old;
		return -1;
	}
	if (t->previous >= 0)
		close(t->previous);
	t->previous = old;
	return 1;
}

int64_t log_target_wait(const struct log_target *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return log_rotation_wait(t->rotation, &now);
}

/* The next word of a command, as Apache reads one: it may stand in quotes, and a backslash takes the meaning of what follows it. */
static char *next_word(char **rest)
{
	char *from = *rest + strspn(*rest, " \t"), *word = from, *to = from, quote = 0;

	if (!*from)
		return NULL;
	if (*from == '"' || *from == '\'')
		quote = *from++;
	for (; *from && (quote ? *from != quote : *from != ' ' && *from != '\t'); from++) {
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
	*rest = from + (*from != '\0');
	*to = '\0';
	return word;
}

/* "$command" through the shell, else words without one. Runs in the child of start_program. */
static void exec_program(const char *command)
{
	char *argv[MAX_ARGUMENTS + 1], *rest = strdup(command), *word;
	int n = 0;

	if (*command == '$') {
		execl("/bin/sh", "sh", "-c", command + 1, (char *)NULL);
		return;
	}
	while (rest && n < MAX_ARGUMENTS && (word = next_word(&rest)))
		argv[n++] = word;
	argv[n] = NULL;
	if (n)
		execv(argv[0], argv);
}

int log_program_check(const char *command, struct err *e)
{
	char *copy = *command == '$' ? NULL : strdup(command), *rest = copy, *path = copy ? next_word(&rest) : NULL;
	struct stat st;
	int rc = 0;

	if (path && (stat(path, &st) < 0 || access(path, X_OK) < 0)) {
		err_sys(e, "the log program %s cannot be run", path);
		rc = errno == ENOENT ? err_remedy(e, *path == '/' ? "install it, or take the line out" : "write its absolute path")
				     : err_remedy(e, "chmod +x %s", path);
	} else if (path && S_ISDIR(st.st_mode)) {
		err_set(e, "the log program %s is a folder", path);
		rc = err_remedy(e, "name a program in it");
	}
	free(copy);
	return rc;
}

/* A file with an offset of its own: that of the logger's must tell of the logger's writes alone. */
static int open_aside(int fd)
{
	char path[64];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
}

/*
 * Its input are the lines; what it says itself goes to `complaints` (the main error log), so that it holds neither the
 * terminal nor the pipe of whoever started the server.
 */
static int start_program(struct log_target *t, int complaints, struct err *e)
{
	int fd[2];
	sigset_t none;

	err_at(e, t->pos.file, t->pos.line);
	if (log_program_check(t->name, e) < 0)
		return -1;
	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_sys(e, "no pipe for the log program %s", t->name);
	t->pid = fork();
	if (t->pid < 0) {
		err_sys(e, "cannot start the log program %s", t->name);
		close(fd[0]);
		close(fd[1]);
		return -1;
	}
	if (t->pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		signal(SIGXFSZ, SIG_DFL);
		signal(SIGCHLD, SIG_DFL);
		int null = open("/dev/null", O_RDWR | O_CLOEXEC), aside = open_aside(complaints);

		if (dup2(fd[0], 0) < 0 || dup2(null, 1) < 0 || dup2(aside >= 0 ? aside : complaints >= 0 ? complaints : null, 2) < 0)
			_exit(126);
		exec_program(t->name);
		_exit(127);
	}
	close(fd[0]);
	t->fd = fd[1];
	return 0;
}

static int connect_to(int fd, const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	return connect(fd, (struct sockaddr *)&at, sizeof at);
}

static int open_socket(struct log_target *t, struct err *e)
{
	t->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd >= 0 && connect_to(t->fd, t->name) == 0)
		return 0;
	err_at(e, t->pos.file, t->pos.line);
	err_sys(e, "the system's log does not listen at %s", t->name);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	return err_remedy(e, "start %s, or log to a file", t->kind == LOG_TARGET_SYSLOG ? "the syslog daemon" : "systemd-journald");
}

/* The kernel undoes the connection when a packet finds nobody any more. */
void log_target_reconnect(const struct log_target *t)
{
	struct sockaddr_un at;
	socklen_t n = sizeof at;

	if (getpeername(t->fd, (struct sockaddr *)&at, &n) < 0)
		connect_to(t->fd, t->name);
}

static int open_target(struct log_target *t, int complaints, struct err *e)
{
	if (t->kind == LOG_TARGET_PIPE)
		return start_program(t, complaints, e);
	if (log_target_is_socket(t->kind))
		return open_socket(t, e);
	if (t->kind == LOG_TARGET_ROTATED)
		log_rotation_name(t->rotation, time(NULL));
	return open_file(t, t->rotation ? t->rotation->name : t->name, e);
}

int log_targets_open(struct log_targets *t, struct err *e)
{
	for (unsigned i = 0; i < t->n; i++) {
		struct log_target *at = &t->at[i];

		if (at->fd >= 0)
			continue;
		int complaints = t->at[0].kind != LOG_TARGET_PIPE ? t->at[0].fd : -1;

		if (open_target(at, complaints, e) < 0)
			return -1;
	}
	return 0;
}

void log_targets_close(struct log_targets *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		if (t->at[i].fd >= 0)
			close(t->at[i].fd);
		if (t->at[i].previous >= 0)
			close(t->at[i].previous);
		t->at[i].fd = t->at[i].previous = -1;
	}
}
