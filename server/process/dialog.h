/*
 * dialog.h - SSLPassPhraseDialog: the terminal, a program that is called for each key, or a program that answers prompts. For
 * phrases.c alone: in the process that the administrator started, before it forks a server.
 */
#ifndef BULKHEAD_PROCESS_DIALOG_H
#define BULKHEAD_PROCESS_DIALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "tls/policy.h"

#define DIALOG_TRIES 3                  /* as mod_ssl; a program of exec: is asked once */

struct dialog {
	const struct tls_dialog *how;
	bool greeted;
	int in, out;                    /* the terminal, or the pipes of a |program; -1 = not open */
	pid_t pid;                      /* of the |program */
};
struct dialog_question {
	const char *server;             /* "www.example.org:443" */
	const char *type;               /* "RSA", "ECC" … */
	const char *path;               /* of the key */
	unsigned try;                   /* 0, then one more after each wrong phrase */
};

/* Whether the program can be called: a plain file that runs and that only its owner may write. 0 or -1 with *e. */
int dialog_check(const struct tls_dialog *how, struct err *e);
/* The phrase as text into out. 0 or -1 with *e. */
int dialog_ask(struct dialog *d, const struct dialog_question *q, char *out, size_t cap, struct err *e);
/* Says good-bye where something was asked. */
void dialog_end(struct dialog *d, bool good);

#endif
