/*
 * ask.h - one line of secret input, from a descriptor or from a terminal that shows nothing of it.
 */
#ifndef BULKHEAD_BASE_ASK_H
#define BULKHEAD_BASE_ASK_H

#include <stddef.h>

/*
 * One line without its end into out, byte by byte: what follows stays unread. The end of the input ends it too, so an empty
 * one may be both. 0, or -1 with errno: EMSGSIZE (longer than cap - 1), EINVAL (holds a zero byte), or read's.
 */
int ask_line(int fd, char *out, size_t cap);
/*
 * The same from a terminal, without echo. A signal that comes meanwhile is raised again when the terminal has its echo
 * back. 0 or -1 with errno.
 */
int ask_hidden(int tty, char *out, size_t cap);

#endif
