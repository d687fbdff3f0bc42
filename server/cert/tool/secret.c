/*
 * secret.c - pass phrases of bulkhead-cert: from a file, from standard input, or from the terminal without echo; in
 * locked memory that is wiped. Never from the arguments, which everybody on the machine can read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/ask.h"
#include "base/secret.h"
#include "cert/tool/tool.h"

static int from_file(struct phrase *p, const char *prompt, struct err *e)
{
	bool input = !strcmp(p->file, "-");
	int fd = input ? STDIN_FILENO : open(p->file, O_RDONLY | O_CLOEXEC | O_NOCTTY), r;

	if (fd < 0) {
		err_sys(e, "the pass phrase file %s cannot be opened", p->file);
		return -1;
	}
	r = ask_line(fd, p->text, PHRASE_MAX);
	if (r != 0)
		err_sys(e, "the pass phrase of %s cannot be read from %s", prompt,
			input ? "standard input" : p->file);
	if (!input)
		close(fd);
	return r;
}

static int ask(int tty, const char *words, const char *prompt, char *out, struct err *e)
{
	char line[512];
	int n = snprintf(line, sizeof line, "%s for %s: ", words, prompt);

	tool_clean(line);
	if (write(tty, line, (size_t)(n < (int)sizeof line ? n : (int)sizeof line - 1)) < 0
	    || ask_hidden(tty, out, PHRASE_MAX) != 0)
		return err_sys(e, "the pass phrase cannot be read from the terminal");
	return 0;
}

static int from_terminal(struct phrase *p, const char *prompt, struct err *e)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), r;
	char *again, *first = p->text;

	if (tty < 0) {
		err_set(e, "a pass phrase is needed for %s, and there is no terminal to ask on", prompt);
		return err_remedy(
			e, p->twice ? "give it in a file: --new-phrase-file FILE, or - for standard input"
				    : "give it in a file: --phrase-file FILE, or - for standard input");
	}
	r = ask(tty, p->twice ? "New pass phrase" : "Pass phrase", prompt, first, e);
	if (r == 0 && p->twice) {
		again = secret_alloc(PHRASE_MAX, 0);
		r = again ? ask(tty, "Once more the pass phrase", prompt, again, e) : err_set(e, "out of memory");
		if (r == 0 && again && strcmp(again, first) != 0)
			r = err_set(e, "these were two different pass phrases: nothing was changed");
		secret_free(again, PHRASE_MAX);
	}
	close(tty);
	return r;
}

const char *phrase_text(struct phrase *p, const char *prompt, struct err *e)
{
	int r;

	if (p->text)
		return p->text;
	if (!p->file && !p->ask) {
		err_set(e, "a pass phrase is needed for %s", prompt);
		err_remedy(e, "give it by --phrase-file FILE");
		return NULL;
	}
	p->text = secret_alloc(PHRASE_MAX, SECRET_NOFORK);
	if (!p->text) {
		err_sys(e, "there is no memory for the pass phrase");
		return NULL;
	}
	r = p->file ? from_file(p, prompt, e) : from_terminal(p, prompt, e);
	if (r == 0 && p->twice && !*p->text) {
		r = err_set(e, "the new pass phrase is empty");
		err_remedy(e, "a key without a pass phrase is made by: bulkhead-cert passphrase remove FILE");
	}
	if (r != 0)
		phrase_free(p);
	return p->text;
}

void phrase_free(struct phrase *p)
{
	secret_free(p->text, PHRASE_MAX);
	p->text = NULL;
}
