/*
 * dialog.c - asks for pass phrases as SSLPassPhraseDialog says. Runs in the process that the administrator started, which
 * still has the terminal. A phrase goes from the descriptor to where the caller wants it, byte by byte: no buffer of
 * stdio ever holds one.
 */
#include "process/dialog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/ask.h"
#include "base/secret.h"
#include "base/version.h"

#define MAX_ARGUMENTS 32
#define GOODBYE_MS 2000                 /* how long a |program has to end when it is no longer needed */

/* ------------------------------------------------------------------------------------------------ programs */

struct command {
	char *copy;
	char *argv[MAX_ARGUMENTS + 3];
	int n;
};

/* Words at blanks; a program whose own name has blanks is found as a whole. */
static int split(const struct tls_dialog *how, struct command *c, struct err *e)
{
	char *save = NULL;
	struct stat st;

	*c = (struct command){ .copy = how->command ? strdup(how->command) : NULL };
	if (!c->copy)
		return err_set(e, "out of memory");
	if (stat(c->copy, &st) == 0) {
		c->argv[c->n++] = c->copy;
		return 0;
	}
	for (char *w = strtok_r(c->copy, " \t", &save); w && c->n < MAX_ARGUMENTS; w = strtok_r(NULL, " \t", &save))
		c->argv[c->n++] = w;
	if (c->n)
		return 0;
	free(c->copy);
	c->copy = NULL;
	return err_set(e, "SSLPassPhraseDialog names no program");
}

/* Who may write the program learns every phrase. */
static int judge(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		err_sys(e, "the pass phrase program %s cannot be called", path);
		return err_remedy(e, "write it, or let SSLPassPhraseDialog name another");
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, "the pass phrase program %s is not a plain file", path);
		return err_remedy(e, "let SSLPassPhraseDialog name a program");
	}
	if ((st.st_mode & S_IWOTH) || ((st.st_mode & S_IWGRP) && st.st_gid != 0) || (st.st_uid != 0 && st.st_uid != geteuid())) {
		err_set(e, "the pass phrase program %s can be written by others, who would learn every phrase", path);
		return err_remedy(e, geteuid() == 0 ? "chown root %s && chmod go-w %s" : "chmod go-w %s, and let it be root's or yours: %s", path, path);
	}
	if (access(path, X_OK) < 0) {
		err_set(e, "the pass phrase program %s cannot be executed", path);
		return err_remedy(e, "chmod u+x %s", path);
	}
	return 0;
}

static int checked(const struct tls_dialog *how, struct command *c, struct err *e)
{
	err_at(e, how->pos.file, how->pos.line);
	if (split(how, c, e) < 0)
		return -1;
	if (c->argv[0] && judge(c->argv[0], e) == 0)
		return 0;
	free(c->copy);
	return -1;
}

int dialog_check(const struct tls_dialog *how, struct err *e)
{
	struct command c;

	if (how->kind == TLS_DIALOG_BUILTIN)
		return 0;
	if (checked(how, &c, e) < 0)
		return -1;
	free(c.copy);
	return 0;
}

/* in -1: it has our standard input, and so the terminal, if there is one. */
static pid_t run(char **argv, int in, int out)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	if ((in >= 0 && dup2(in, 0) < 0) || dup2(out, 1) < 0)
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

/* To its end, so that the program does not fail at writing more than one line. */
static void drain(int fd)
{
	char rest[256];

	while (read(fd, rest, sizeof rest) > 0)
		;
	secret_wipe(rest, sizeof rest);
}

static int no_phrase(const char *program, const struct dialog_question *q, int status, struct err *e)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		err_set(e, "the pass phrase program %s cannot be executed", program);
	else if (WIFSIGNALED(status))
		err_set(e, "the pass phrase program %s was ended by signal %d and gave no phrase for %s", program, WTERMSIG(status), q->path);
	else
		err_set(e, "the pass phrase program %s gave no phrase for %s (exit code %d)", program, q->path, WEXITSTATUS(status));
	return err_remedy(e, "see what it writes: %s %s %s", program, q->server, q->type);
}

/* exec: called for each key, with host and kind of the key behind its own arguments; the phrase is its first line. */
static int ask_program(const struct tls_dialog *how, const struct dialog_question *q, char *out, size_t cap, struct err *e)
{
	struct command c;
	int fd[2], status = 0, r;
	pid_t pid;

	if (checked(how, &c, e) < 0)
		return -1;
	c.argv[c.n++] = (char *)(uintptr_t)q->server;
	c.argv[c.n++] = (char *)(uintptr_t)q->type;
	if (pipe2(fd, O_CLOEXEC) < 0 || (pid = run(c.argv, -1, fd[1])) < 0) {
		r = err_sys(e, "the pass phrase program %s cannot be started", c.argv[0]);
		free(c.copy);
		return r;
	}
	close(fd[1]);
	r = ask_line(fd[0], out, cap);
	if (r < 0)
		err_sys(e, "the pass phrase of %s cannot be read from %s", q->path, c.argv[0]);
	drain(fd[0]);
	close(fd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && !*out)
		r = no_phrase(c.argv[0], q, status, e);
	free(c.copy);
	return r;
}

/* |program: one process for all keys, which reads prompts and writes a line after each. */
static int open_program(struct dialog *d, struct err *e)
{
	int to[2] = { -1, -1 }, from[2] = { -1, -1 };
	struct command c;

	if (checked(d->how, &c, e) < 0)
		return -1;
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0 || (d->pid = run(c.argv, to[0], from[1])) < 0) {
		err_sys(e, "the pass phrase program %s cannot be started", c.argv[0]);
		for (int i = 0; i < 2; i++) {
			close(to[i]);
			close(from[i]);
		}
		d->pid = 0;
		free(c.copy);
		return -1;
	}
	close(to[0]);
	close(from[1]);
	d->in = from[0];
	d->out = to[1];
	free(c.copy);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the conversation */

static int open_terminal(struct dialog *d, const struct dialog_question *q, struct err *e)
{
	d->in = d->out = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (d->in >= 0)
		return 0;
	err_set(e, "the private key %s of %s is encrypted, and there is no terminal to ask for its pass phrase on", q->path, q->server);
	return err_remedy(e, "start the server from a terminal, or let SSLPassPhraseDialog exec:PROGRAM give the phrase, or take it off: bulkhead-cert passphrase remove %s",
			  q->path);
}

static __attribute__((format(printf, 2, 3))) void say(const struct dialog *d, const char *fmt, ...)
{
	char line[4608];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof line - 1)
		n = (int)sizeof line - 1;
	/* One that went away is noticed when it is read. */
	if (n > 0 && write(d->out, line, (size_t)n) < 0)
		errno = 0;
}

/* The prompt is mod_ssl's to the letter: programs that answer it look for that. */
static int converse(struct dialog *d, const struct dialog_question *q, char *out, size_t cap, struct err *e)
{
	bool terminal = d->how->kind == TLS_DIALOG_BUILTIN;

	if (d->in < 0 && (terminal ? open_terminal(d, q, e) : open_program(d, e)) < 0)
		return -1;
	if (!d->greeted)
		say(d, "Bulkhead/%s (Pass Phrase Dialog)\nThe server needs the pass phrases of private keys that are encrypted.\n", BULKHEAD_VERSION);
	d->greeted = true;
	if (q->try)
		say(d, "Error: this pass phrase does not open the key (%u more tr%s)\n", DIALOG_TRIES - q->try, q->try == DIALOG_TRIES - 1 ? "y" : "ies");
	else
		say(d, "\nPrivate key %s:%s (%s)\n", q->server, q->type, q->path);
	say(d, "Enter pass phrase:");
	if ((terminal ? ask_hidden(d->in, out, cap) : ask_line(d->in, out, cap)) < 0)
		return err_sys(e, "the pass phrase of %s cannot be read from the %s", q->path, terminal ? "terminal" : "program of SSLPassPhraseDialog");
	if (!terminal)
		say(d, "\n");
	return 0;
}

int dialog_ask(struct dialog *d, const struct dialog_question *q, char *out, size_t cap, struct err *e)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	int r;

	if (d->how->kind == TLS_DIALOG_EXEC)
		return ask_program(d->how, q, out, cap, e);
	sigaction(SIGPIPE, &ignore, &old);
	r = converse(d, q, out, cap, e);
	sigaction(SIGPIPE, &old, NULL);
	return r;
}

static void part(pid_t pid)
{
	for (unsigned waited = 0; waited < GOODBYE_MS && waitpid(pid, NULL, WNOHANG) == 0; waited += 10)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

void dialog_end(struct dialog *d, bool good)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;

	if (d->in < 0)
		return;
	sigaction(SIGPIPE, &ignore, &old);
	if (good)
		say(d, "\nOK: Pass Phrase Dialog successful.\n");
	sigaction(SIGPIPE, &old, NULL);
	close(d->in);
	if (d->out != d->in)
		close(d->out);
	d->in = d->out = -1;
	if (d->pid > 0)
		part(d->pid);
}
