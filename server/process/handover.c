/*
 * handover.c - the table that one program leaves to the next in the same process, the execution of the next, and the way
 * back. Runs in the master: at the end of one program's life and at the very beginning of the next one's.
 *
 * The way back is a signal handler's too: it makes system calls alone, with what was prepared at the arrival.
 */
#include "process/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VARIABLE "BULKHEAD_HANDOVER"    /* the table's descriptor; a number, no secret */
#define PATIENCE 120                    /* s until a program that arrived must have settled */
#define LONGEST (16 << 20)              /* bytes of a table */
#define STACK 65536

/* Signals of a program that fails; those that the administrator sends stay blocked until the loop takes them. */
static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGALRM };
#define FATALS (sizeof fatal / sizeof *fatal)

static struct {
	int *fds;                       /* giving: of the lines so far */
	unsigned n;
	bool lost;                      /* no memory for one */
} given;

static struct {
	pid_t pid;                      /* 0: nothing was handed over, or it is settled */
	int table, back;
	char *text, **argv, **env;
	char variable[32];
	struct handover_line *at;
	unsigned n, failures;
	const char *why;
	sigset_t mask;
	struct sigaction was[FATALS];
} come = { .table = -1, .back = -1 };

static int exec_fd(int program, char **argv, char **env)
{
	return (int)syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
}

/* The environment with the table's number; NULL: no memory. */
static char **environment(char *variable, size_t room, int table)
{
	unsigned n = 0, put = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof *env);
	if (!env)
		return NULL;
	snprintf(variable, room, VARIABLE "=%d", table);
	for (unsigned i = 0; i < n; i++)
		if (strncmp(environ[i], VARIABLE "=", sizeof VARIABLE))
			env[put++] = environ[i];
	env[put] = variable;
	return env;
}

/* ------------------------------------------------------------------------------------------------ giving */

FILE *handover_begin(struct err *e)
{
	int fd = memfd_create("bulkhead-handover", MFD_CLOEXEC);
	FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (!to) {
		err_sys(e, "no memory for what the next program is to take over");
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	given.n = 0;
	given.lost = false;
	handover_put(to, "handover", -1, "%d", HANDOVER_VERSION);
	return to;
}

void handover_put(FILE *to, const char *name, int fd, const char *fmt, ...)
{
	char text[9000];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	given.lost |= n < 0 || n >= (int)sizeof text || strchr(text, '\n');
	fprintf(to, "%s %d %s\n", name, fd, text);
	if (fd < 0)
		return;
	int *more = reallocarray(given.fds, given.n + 1, sizeof *more);
	if (!more) {
		given.lost = true;
		return;
	}
	given.fds = more;
	given.fds[given.n++] = fd;
}

void handover_drop(FILE *to)
{
	fclose(to);
	free(given.fds);
	given.fds = NULL;
	given.n = 0;
}

static void close_on_exec(const int *fds, unsigned n, bool yes)
{
	for (unsigned i = 0; i < n; i++)
		fcntl(fds[i], F_SETFD, yes ? FD_CLOEXEC : 0);
}

int handover_exec(FILE *to, int program, char **argv, struct err *e)
{
	int table = fileno(to), saved;
	char variable[32], **env = environment(variable, sizeof variable, table);

	if (!env || given.lost || fflush(to) != 0) {
		err_set(e, "no memory for what the next program is to take over");
	} else {
		close_on_exec(&table, 1, false);
		close_on_exec(given.fds, given.n, false);
		exec_fd(program, argv, env);
		saved = errno;
		close_on_exec(given.fds, given.n, true);
		errno = saved;
		err_sys(e, "the program cannot be executed");
	}
	free(env);
	handover_drop(to);
	return -1;
}

/* ------------------------------------------------------------------------------------------------ the way back */

/* For signal handlers too. */
static void go_back(void)
{
	for (unsigned i = 0; i < come.n; i++)
		if (come.at[i].fd >= 0)
			fcntl(come.at[i].fd, F_SETFD, 0);
	fcntl(come.table, F_SETFD, 0);
	alarm(0);
	sigprocmask(SIG_SETMASK, &come.mask, NULL);
	exec_fd(come.back, come.argv, come.env);
}

/* "failed -1 REASON\n" behind the other lines. */
static void note(const char *before, const char *why)
{
	lseek(come.table, 0, SEEK_END);
	if (write(come.table, before, strlen(before)) < 0 || write(come.table, why, strcspn(why, "\n")) < 0 || write(come.table, "\n", 1) < 0)
		return;                 /* the reason is missing then: the way back is what counts */
}

static void on_fatal(int number)
{
	char both[3] = { (char)('0' + number / 10), (char)('0' + number % 10), '\0' }, *digits = number < 10 ? both + 1 : both;

	/* What was forked meanwhile dies of it. */
	if (getpid() != come.pid) {
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	if (number == SIGALRM)
		note("failed -1 ", "it did not come to serve within two minutes");
	else
		note("failed -1 it crashed by signal ", digits);
	go_back();
	_exit(125);
}

static void at_exit(void)
{
	if (come.pid && getpid() == come.pid)
		handover_back("it ended at its start");
}

void handover_back(const char *why)
{
	if (!come.pid || getpid() != come.pid)
		return;
	note("failed -1 ", why);
	go_back();
}

static void guard(void)
{
	static char stack[STACK];
	struct sigaction a = { .sa_handler = on_fatal, .sa_flags = SA_ONSTACK | SA_NODEFER };

	sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL);
	for (size_t i = 0; i < FATALS; i++)
		sigaction(fatal[i], &a, &come.was[i]);
	atexit(at_exit);
	alarm(PATIENCE);
}

static void unguard(void)
{
	for (size_t i = 0; i < FATALS && come.back >= 0; i++)
		sigaction(fatal[i], &come.was[i], NULL);
	sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
}

void handover_forked(void)
{
	if (!come.pid)
		return;
	come.pid = 0;
	unguard();
}

/* ------------------------------------------------------------------------------------------------ taking */

static char *read_table(int fd)
{
	struct stat st;
	char *text;

	if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > LONGEST)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	if (text && pread(fd, text, (size_t)st.st_size, 0) != st.st_size) {
		free(text);
		return NULL;
	}
	if (text)
		text[st.st_size] = '\0';
	return text;
}

static bool split(char *text)
{
	char *save = NULL;
	unsigned most = 0;

	for (const char *c = text; *c; c++)
		most += *c == '\n';
	come.at = calloc(most + 1, sizeof *come.at);
	for (char *line = strtok_r(text, "\n", &save); come.at && line; line = strtok_r(NULL, "\n", &save)) {
		struct handover_line *l = &come.at[come.n];
		char *number = strchr(line, ' '), *end;

		if (!number)
			continue;
		*number++ = '\0';
		l->name = line;
		l->fd = (int)strtol(number, &end, 10);
		l->text = *end == ' ' ? end + 1 : end;
		come.n++;
	}
	return come.n && !strcmp(come.at[0].name, "handover") && atoi(come.at[0].text) == HANDOVER_VERSION;
}

static void forget(void)
{
	free(come.at);
	free(come.text);
	free(come.env);
	come.at = NULL;
	come.text = NULL;
	come.env = NULL;
	come.n = come.failures = 0;
}

bool handover_arrive(char **argv)
{
	const char *value = getenv(VARIABLE);
	const struct handover_line *back;
	int fd = value ? atoi(value) : -1;

	unsetenv(VARIABLE);
	if (fd <= 2 || !(come.text = read_table(fd)) || !split(come.text)) {
		forget();
		return false;
	}
	come.table = fd;
	come.argv = argv;
	come.env = environment(come.variable, sizeof come.variable, fd);
	sigprocmask(SIG_SETMASK, NULL, &come.mask);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	for (unsigned i = 0; i < come.n; i++) {
		if (come.at[i].fd > 2)
			fcntl(come.at[i].fd, F_SETFD, FD_CLOEXEC);
		if (!strcmp(come.at[i].name, "failed")) {
			come.failures++;
			come.why = come.at[i].text;
		}
	}
	come.pid = getpid();
	back = handover_next(NULL, "back");
	come.back = back ? back->fd : -1;
	if (come.back >= 0 && come.env)
		guard();
	prctl(PR_SET_NAME, "bulkhead");         /* the kernel names it by the descriptor that it was executed from */
	return true;
}

bool handover_pending(void)
{
	return come.pid != 0;
}

const struct handover_line *handover_next(const struct handover_line *after, const char *name)
{
	for (unsigned i = after ? (unsigned)(after - come.at) + 1 : 0; i < come.n; i++)
		if (!strcmp(come.at[i].name, name))
			return &come.at[i];
	return NULL;
}

int handover_claim(const struct handover_line *l)
{
	if (!l)
		return -1;
	come.at[l - come.at].taken = true;
	return l->fd;
}

unsigned handover_failures(const char **why)
{
	*why = come.why;
	return come.failures;
}

void handover_settle(void)
{
	if (!come.pid)
		return;
	come.pid = 0;
	alarm(0);
	unguard();
	for (unsigned i = 0; i < come.n; i++)
		if (come.at[i].fd > 2 && !come.at[i].taken)
			close(come.at[i].fd);
	close(come.table);
	forget();
	come.table = come.back = -1;
}
