/*
 * main.c - the program bulkhead-cert: keys, requests and certificates in one command each. This file owns the table of
 * commands, the help and the messages. It is run by hand and needs no server.
 */
#include "cert/tool/tool.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/version.h"

static int help(int argc, char **argv);

bool tool_quiet;

#define NAMES "  NAME is a DNS name, an address, or DNS:…, IP:…, email:…, URI:…; the first is also the common name\n"
#define SUBJECT "  --subject DN         all of the subject: 'CN=www.example.org,O=Example,C=DE'\n"
#define KEY_MADE                                                                                                \
	"  -k, --key FILE       where the key goes, mode 0400; without it NAME.key\n"                           \
	"  --use-key FILE       no new key: this one\n"                                                         \
	"  --encrypt            protect the key with a pass phrase, from the terminal or --new-phrase-file\n"
#define PHRASES                                                                                                 \
	"  --phrase-file FILE   the pass phrase of a key that is read, its first line; - is standard input\n"
#define NEW_PHRASES                                                                                             \
	"  --new-phrase-file FILE  the pass phrase of a key that is written\n"
#define FORCE "  --force              replace a file that holds a private key\n"
#define ISSUE                                                                                                   \
	"  --ca FILE            the authority's certificate; with --ca-key FILE, its key\n"                     \
	"  --days N             how long it is valid; without it 365\n"                                         \
	"  --client             for clients, not for servers\n"                                                 \
	"  --must-staple        demand that servers staple an OCSP answer\n"                                    \
	"  --ca-issuers URL     where the authority's certificate can be had (AIA)\n"                           \
	"  --ocsp URL           where its OCSP answers\n"

static const struct tool_command commands[] = {
	{ "new", "[options] NAME...", "a key and its certificate, self-signed or by your own authority",
	  NAMES
	  "  -a, --algorithm A    ecdsa-p256 (without -a), ecdsa-p384, ed25519, rsa-2048, rsa-3072 (= rsa), rsa-4096\n"
	  "  -o, --out FILE       where the certificate goes; without it NAME.pem\n" KEY_MADE SUBJECT ISSUE
		  PHRASES NEW_PHRASES FORCE,
	  tool_new },
	{ "csr", "[options] NAME...", "a key and a request that an authority signs",
	  NAMES
	  "  -a, --algorithm A    as in new\n"
	  "  -o, --out FILE       where the request goes; without it NAME.csr\n" KEY_MADE SUBJECT
	  "  --must-staple        ask for a certificate that demands stapling\n" PHRASES NEW_PHRASES FORCE,
	  tool_csr },
	{ "ca", "[options] NAME", "an authority of your own, to sign with",
	  "  NAME is what people see: 'Example CA'\n"
	  "  -a, --algorithm A    as in new; without it ecdsa-p384\n"
	  "  -o, --out FILE       where its certificate goes; without it ca.pem\n"
	  "  -k, --key FILE       where its key goes; without it ca.key\n"
	  "  --use-key FILE       no new key: this one\n"
	  "  --encrypt            protect the key with a pass phrase\n"
	  "  --path-length N      how many authorities may stand below it, one under the other; without it 0\n"
	  "  --ca FILE            the authority above it; with --ca-key FILE, its key\n"
	  "  --days N             how long it is valid; without it 3650\n"
	  "  --ca-issuers URL     where the certificate of the one above can be had (AIA)\n" SUBJECT PHRASES
		  NEW_PHRASES FORCE,
	  tool_ca },
	{ "sign", "[options] CSR", "the certificate for a request, by your own authority",
	  ISSUE "  -o, --out FILE       where it goes; without it the request's name with .pem\n"
		"  --san NAME           this name instead of those in the request; again for more\n"
		"  -y, --yes            ask nothing\n" PHRASES FORCE,
	  tool_sign },
	{ "show", "[--json] [--phrase-file FILE] FILE...",
	  "what is in files: certificates, keys, requests, lists",
	  "  --json               for programs\n" PHRASES
	  "  FILE may be PEM, DER, PKCS#7 or PKCS#12; - is standard input. Nothing secret is shown.\n",
	  tool_show },
	{ "match", "[--json] FILE FILE...",
	  "whether key, certificate and request belong together; status 1: no",
	  "  --json               for programs\n" PHRASES, tool_match },
	{ "convert", "-o OUT [options] FILE...", "between PEM, DER and PKCS#12, keys and certificates alike",
	  "  -o, --out FILE       where it goes; - is standard output\n"
	  "  -t, --to FORM        pem, der, pkcs12, traditional (PEM, keys as old programs want them); without it pem\n"
	  "  --only KIND          of what is read only this: key, cert, csr, crl\n"
	  "  --plain              keys without a pass phrase; an encrypted key stays encrypted otherwise\n"
	  "  --encrypt            keys with a new pass phrase\n"
	  "  --name TEXT          what importing programs show (PKCS#12)\n" PHRASES NEW_PHRASES FORCE,
	  tool_convert },
	{ "passphrase", "add | change | remove FILE", "the pass phrase of a private key",
	  PHRASES NEW_PHRASES
	  "  The file is replaced as a whole and keeps its mode; after 'remove' that is 0400.\n",
	  tool_passphrase },
	{ "check", "[options] FILE | HOST:PORT",
	  "whether clients will accept it; status 1: there are findings",
	  "  --name NAME          a name it must cover; again for more; without it HOST\n"
	  "  --days N             warn so many days before the end; without it 21\n"
	  "  --trust FILE         these authorities instead of the system's\n"
	  "  --chain FILE         intermediate certificates that are sent with FILE's\n"
	  "  --fetch              get missing intermediate certificates from where the certificates say\n"
	  "  -o, --out FILE       write the whole chain, in order, with what was fetched\n"
	  "  --sni NAME           the name to ask the server for; without it HOST\n"
	  "  --timeout N          seconds to wait for a server; without it 10\n"
	  "  --json               for programs\n"
	  "  -q, --quiet          say nothing, only the exit status\n",
	  tool_check },
	{ "help", "[COMMAND]", "this text, or a command's options", "", help },
};
#define COMMANDS (sizeof commands / sizeof commands[0])

/* -------------------------------------------------------------------------------------------------------- messages */

static void say(const char *remedy, const char *fmt, va_list ap)
{
	char *text = NULL;

	fflush(stdout);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	fprintf(stderr, "bulkhead-cert: %s\n", text ? tool_clean(text) : "out of memory");
	free(text);
	if (*remedy)
		fprintf(stderr, "    %s\n", remedy);
}

int tool_fail(const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(remedy, fmt, ap);
	va_end(ap);
	return TOOL_TROUBLE;
}

int tool_err(const struct err *e)
{
	char remedy[sizeof e->remedy];

	snprintf(remedy, sizeof remedy, "%s", e->remedy);
	return tool_fail(tool_clean(remedy), "%s", e->text);
}

int tool_misused(const char *command, const char *fmt, ...)
{
	char remedy[80];
	va_list ap;

	snprintf(remedy, sizeof remedy, "see 'bulkhead-cert help %s'", command);
	va_start(ap, fmt);
	say(remedy, fmt, ap);
	va_end(ap);
	return TOOL_TROUBLE;
}

int tool_bad_option(char **argv, int answer)
{
	const char *word = argv[optind > 1 ? optind - 1 : 1];

	if (answer == ':')
		return tool_misused(argv[0], "%s needs a value", word);
	if (optopt && optopt < 128 && strncmp(word, "--", 2) != 0)
		return tool_misused(argv[0], "there is no option -%c", optopt);
	return tool_misused(argv[0], "there is no option %s", word);
}

long tool_number(const char *command, const char *option, const char *text, long min, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max) {
		tool_misused(command, "'%s' is no value for %s: give a number from %ld to %ld", text, option,
			     min, max);
		return -1;
	}
	return n;
}

void tool_note(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (tool_quiet)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		fprintf(stderr, "%s\n", tool_clean(text));
	free(text);
}

/* The length of the UTF-8 character at p that may be shown as it is, 0: it may not. C1 controls are C2 80 … C2 9F. */
static size_t shown(const unsigned char *p)
{
	size_t n = p[0] < 0x80                   ? 1
		   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		   : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						 : 0;

	if (n == 1)
		return p[0] >= ' ' && p[0] != 0x7f;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)
	    || (p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xf8) == 0xa8) || (p[0] == 0xf0 && p[1] < 0x90)
	    || (p[0] == 0xf4 && p[1] > 0x8f) || (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9))
		return 0;               /* over-long, surrogates, and what turns the direction of writing */
	return n;
}

char *tool_clean(char *text)
{
	for (char *p = text; *p;) {
		size_t n = shown((const unsigned char *)p);

		if (!n)
			*p = '?';
		p += n ? n : 1;
	}
	return text;
}

int tool_print_json(json_t *value)
{
	int failed = !value || json_dumpf(value, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF;

	json_decref(value);
	return failed ? tool_fail("", "the JSON could not be made or written: %s",
				  strerror(errno ? errno : ENOMEM))
		      : TOOL_GOOD;
}

/* -------------------------------------------------------------------------------------------------------- commands */

static const struct tool_command *command_named(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void usage(FILE *out)
{
	fputs("Usage: bulkhead-cert COMMAND [option ...]\n\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
	fputs("\n  'bulkhead-cert help COMMAND' tells a command's options; bulkhead-cert(8) tells all, with examples.\n",
	      out);
}

static int no_command(const char *name)
{
	return tool_fail("'bulkhead-cert help' names them", "there is no command %s", name);
}

static int help(int argc, char **argv)
{
	const struct tool_command *c;

	if (argc < 2) {
		usage(stdout);
		return TOOL_GOOD;
	}
	if (!(c = command_named(argv[1])))
		return no_command(argv[1]);
	printf("bulkhead-cert %s %s\n    %s\n%s%s", c->name, c->arguments, c->summary,
	       *c->options ? "\n" : "", c->options);
	return TOOL_GOOD;
}

/* No core, no debugger of the same account: keys are in here. */
static void hide(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef BULKHEAD_SANITIZE               /* whose search for leaks is a debugger */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

static int run(int argc, char **argv)
{
	const struct tool_command *c;

	if (argc < 2) {
		usage(stderr);
		return TOOL_TROUBLE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("bulkhead-cert %s, GnuTLS %s\n", BULKHEAD_VERSION, gnutls_check_version(NULL));
		return TOOL_GOOD;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(1, argv);
	if (!(c = command_named(argv[1])))
		return no_command(argv[1]);
	if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")))
		return help(2, argv);
	return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status;

	hide();
	opterr = 0;
	(void)signal(SIGPIPE, SIG_IGN);         /* a server that hangs up; a reader of ours shows in fflush */
	status = run(argc, argv);
	if ((fflush(stdout) == EOF || ferror(stdout)) && errno != EPIPE)
		return tool_fail("", "standard output could not be written: %s", strerror(errno));
	return status;
}
