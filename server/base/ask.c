/*
 * ask.c - reads pass phrases: the server's before its first fork, and those of tools.
 */
#include "base/ask.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"

int ask_line(int fd, char *out, size_t cap)
{
	size_t n = 0;

	for (;;) {
		char c;
		ssize_t got = read(fd, &c, 1);

		if (got < 0)
			return -1;
		if (got == 0 || c == '\n')
			break;
		if (n == cap - 1) {
			errno = EMSGSIZE;
			return -1;
		}
		out[n++] = c;
	}
	if (n && out[n - 1] == '\r')
		n--;
	out[n] = '\0';
	if (strlen(out) != n) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

static volatile sig_atomic_t caught;

static void catch(int sig)
{
	caught = sig;
}

/* Signals that would leave a terminal without echo wait until it has it again. */
int ask_hidden(int tty, char *out, size_t cap)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
	struct sigaction old[5], sa = { .sa_handler = catch };
	struct termios before, quiet;
	int r = -1, saved;

	if (tcgetattr(tty, &before) != 0)
		return -1;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL | ICANON;
	caught = 0;
	sigemptyset(&sa.sa_mask);
	for (unsigned i = 0; i < 5; i++)
		sigaction(signals[i], &sa, &old[i]);
	if (tcsetattr(tty, TCSAFLUSH, &quiet) == 0) {
		r = ask_line(tty, out, cap);
		saved = errno;
		tcsetattr(tty, TCSANOW, &before);
		errno = saved;
	}
	saved = errno;
	for (unsigned i = 0; i < 5; i++)
		sigaction(signals[i], &old[i], NULL);
	if (caught) {
		secret_wipe(out, cap);
		raise(caught);
	}
	errno = saved;
	return r;
}
