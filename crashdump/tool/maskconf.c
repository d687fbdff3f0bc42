/*
 * maskconf.c - takes secrets out of configurations, line by line: a table says for each directive what of it may be
 * seen; where it says nothing, the name decides, and then the look of each word.
 */
#include "crashdump/tool/maskword.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum policy {
	WORDS,          /* each word by its looks; behind a name that promises a secret all is hidden */
	PLAIN,          /* each word by its looks, whatever the names */
	HIDE,           /* all arguments */
	VALUE,          /* a name, then a value that is shown only if it is plainly harmless */
	VALUES,         /* all arguments are such values */
	CONDITION,      /* attribute, pattern, assignments */
	ASSIGN,         /* pattern, assignments */
	EXPRESSION,     /* hidden if it looks at what may be secret */
	FIELD,          /* of a request: action, name; the value is hidden */
	PROGRAM         /* arguments of programs are hidden, their names are not */
};

/* Names with a promising word in them that are harmless are here too. */
static const struct { const char *name; enum policy policy; } directives[] = {
	{ "AllowOverride", PLAIN }, { "AllowOverrideList", PLAIN }, { "AuthBasicAuthoritative", PLAIN },
	{ "AuthBasicProvider", PLAIN }, { "AuthDigestDomain", PLAIN }, { "AuthDigestProvider", PLAIN },
	{ "AuthGroupFile", PLAIN }, { "AuthMerging", PLAIN }, { "AuthName", PLAIN }, { "AuthType", PLAIN },
	{ "AuthUserFile", PLAIN }, { "AuthzSendForbiddenOnFailure", PLAIN },
	{ "BrowserMatch", ASSIGN }, { "BrowserMatchNoCase", ASSIGN },
	{ "CustomLog", PROGRAM }, { "DBDParams", HIDE }, { "Define", VALUE }, { "ElseIf", EXPRESSION },
	{ "ErrorLog", PROGRAM }, { "ErrorLogFormat", PLAIN }, { "ExtFilterDefine", HIDE },
	{ "If", EXPRESSION }, { "IfDefine", PLAIN }, { "IfDirective", PLAIN }, { "IfModule", PLAIN },
	{ "Include", PLAIN }, { "IncludeOptional", PLAIN }, { "KeyUser", PLAIN }, { "LoadModule", PLAIN },
	{ "LogFormat", PLAIN }, { "PassEnv", PLAIN },
	{ "ProxyPass", PLAIN }, { "ProxyPassInherit", PLAIN }, { "ProxyPassMatch", PLAIN }, { "ProxyPassReverse", PLAIN },
	{ "ProxyPassReverseCookieDomain", PLAIN }, { "ProxyPassReverseCookiePath", PLAIN },
	{ "RequestHeader", FIELD }, { "Require", EXPRESSION }, { "RewriteCond", EXPRESSION }, { "RewriteMap", PROGRAM },
	{ "ServerTokens", PLAIN }, { "SetEnv", VALUE }, { "SetEnvIf", CONDITION }, { "SetEnvIfExpr", EXPRESSION },
	{ "SetEnvIfNoCase", CONDITION }, { "SSLCertificateKeyFile", PLAIN }, { "SSLCipherSuite", PLAIN },
	{ "SSLOptions", PLAIN }, { "SSLPassPhraseDialog", PROGRAM }, { "SSLProxyCipherSuite", PLAIN },
	{ "SSLRandomSeed", PROGRAM }, { "SSLRequire", EXPRESSION }, { "SSLSessionTicketKeyFile", PLAIN },
	{ "TransferLog", PROGRAM }, { "UnDefine", PLAIN }, { "UnsetEnv", PLAIN }, { "Use", VALUES },
};

static bool is(const char *p, size_t n, const char *name)
{
	return strlen(name) == n && !strncasecmp(p, name, n);
}

static enum policy policy_of(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++)
		if (is(name, n, directives[i].name))
			return directives[i].policy;
	return mask_is_sensitive(name, n) ? HIDE : WORDS;
}

bool mask_is_harmless_name(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++)
		if (is(name, n, directives[i].name))
			return directives[i].policy == PLAIN;
	return false;
}

/* ------------------------------------------------------------------------------------------------------------ words */

bool toolmask_word(const char **at, const char *end, const char **word, size_t *n)
{
	const char *p = *at;
	char quote;

	while (p < end && isspace((unsigned char)*p))
		p++;
	if (p == end)
		return false;
	*word = p;
	quote = *p == '"' || *p == '\'' ? *p++ : '\0';
	while (p < end && (quote ? *p != quote : !isspace((unsigned char)*p)))
		p += *p == '\\' && quote && p + 1 < end ? 2 : 1;
	if (p < end && quote)
		p++;
	*n = (size_t)(p - *word);
	*at = p;
	return true;
}

/* Without its quotes. */
static void bare(const char **word, size_t *n)
{
	if (*n && (**word == '"' || **word == '\'')) {
		bool closed = *n > 1 && (*word)[*n - 1] == **word;

		(*word)++;
		*n -= closed ? 2 : 1;
	}
}

static bool is_identifier(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && !strchr("_-.", p[i]))
			return false;
	return n > 0;
}

/* A switch, a small number, or a path of ordinary words. */
static bool is_harmless(const char *p, size_t n)
{
	static const char *const words[] = { "on", "off", "yes", "no", "true", "false", "none", "1", "0" };

	bare(&p, &n);
	if (!n)
		return true;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (is(p, n, words[i]))
			return true;
	if (n <= 5 && strspn(p, "0123456789") >= n)
		return true;
	if (*p != '/' || n > 200 || mask_is_token(p, n) || mask_is_sensitive(p, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && !strchr("/._-", p[i]))
			return false;
	return true;
}

static void add_value(const char *p, size_t n, struct toolmask_text *out)
{
	if (is_harmless(p, n))
		toolmask_add(out, p, n);
	else
		mask_hide(out);
}

/* "|prog args", exec:, prg:, "dbd:": the program's name remains. */
static bool hide_arguments(const char *p, size_t n, struct toolmask_text *out)
{
	static const char *const heads[] = { "|", "||", "|$", "exec:", "prg:", "dbd:", "fastdbd:" };
	const char *from = p, *end = p + n, *space;

	bare(&from, &n);
	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		size_t length = strlen(heads[i]);

		if (n < length || strncasecmp(from, heads[i], length) != 0)
			continue;
		for (space = from + length; space < from + n && isspace((unsigned char)*space); space++)
			;
		while (space < from + n && !isspace((unsigned char)*space))
			space++;
		if (space == from + n) {
			mask_word(p, (size_t)(end - p), out, false);
			return true;
		}
		mask_word(p, (size_t)(space - p), out, false);
		toolmask_add(out, " ", 1);
		mask_hide(out);
		if (*p == '"' || *p == '\'')
			toolmask_add(out, p, 1);
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------------------------ expressions */

/* Whether an expression compares with what a client sends in secret, or makes one. */
static bool looks_at_secrets(const char *p, size_t n)
{
	static const char *const marks[] = { "http:", "http(", "req(", "req_novary(", "query_string", "the_request", "md5(",
					     "sha1(", "base64(", "unbase64(", "ldap(", "hmac", "HTTP_" };
	static const char *const fine[] = { "HTTP_HOST", "HTTP_USER_AGENT", "HTTP_ACCEPT", "HTTP_REFERER" };

	if (mask_is_sensitive(p, n))
		return true;
	for (size_t at = 0; at < n; at++)
		for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
			size_t length = strlen(marks[i]);
			bool good = false;

			if (at + length > n || strncasecmp(p + at, marks[i], length) != 0)
				continue;
			for (size_t j = 0; j < sizeof fine / sizeof fine[0]; j++)
				good |= at + strlen(fine[j]) <= n && !strncasecmp(p + at, fine[j], strlen(fine[j]));
			if (!good)
				return true;
		}
	return false;
}

static bool is_require_of_a_kind(const char *p, const char *end)
{
	const char *word;
	size_t n;

	return toolmask_word(&p, end, &word, &n) && (is(word, n, "valid-user") || is(word, n, "user") || is(word, n, "group") ||
						     is(word, n, "all") || is(word, n, "ip") || is(word, n, "host"));
}

/* -------------------------------------------------------------------------------------------------------- a line */

struct line {
	enum policy policy;
	unsigned words;                 /* so far */
	bool hide;                      /* all the rest */
	bool open;                      /* CONDITION: the attribute is a harmless one */
	bool unset;                     /* FIELD: there is no value */
};

static void assignment(const char *p, size_t n, struct toolmask_text *out)
{
	const char *inner = p, *equals;
	size_t length = n;

	bare(&inner, &length);
	equals = memchr(inner, '=', length);
	if (!equals) {
		mask_word(p, n, out, false);
		return;
	}
	toolmask_add(out, inner, (size_t)(equals + 1 - inner));
	if (mask_is_sensitive(inner, (size_t)(equals - inner)))
		mask_hide(out);
	else
		add_value(equals + 1, length - (size_t)(equals + 1 - inner), out);
}

static void condition(struct line *l, const char *p, size_t n, struct toolmask_text *out)
{
	static const char *const open[] = { "User-Agent", "Request_URI", "Remote_Addr", "Remote_Host", "Server_Addr", "Host",
					    "Request_Method", "Request_Protocol", "HTTPS" };

	if (l->words == 1) {
		for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
			l->open |= is(p, n, open[i]);
		mask_word(p, n, out, false);
	} else if (l->words == 2) {
		if (l->open)
			mask_word(p, n, out, false);
		else
			mask_hide(out);
	} else {
		assignment(p, n, out);
	}
}

static void field(struct line *l, const char *p, size_t n, struct toolmask_text *out)
{
	const char *inner = p;
	size_t length = n;

	bare(&inner, &length);
	l->unset |= l->words == 1 && is(inner, length, "unset");
	if (l->words <= 2 || l->unset || (length > 4 && !strncmp(inner, "%{", 2) && inner[length - 2] == '}') ||
	    is(inner, length, "early"))
		mask_word(p, n, out, false);
	else
		mask_hide(out);
}

static void one_word(struct line *l, const char *p, size_t n, struct toolmask_text *out)
{
	const char *inner = p;
	size_t length = n;

	bare(&inner, &length);
	switch (l->policy) {
	case VALUE:
		if (l->words == 1)
			mask_word(p, n, out, false);
		else
			add_value(p, n, out);
		break;
	case VALUES:
		if (l->words == 1)
			mask_word(p, n, out, false);
		else
			add_value(p, n, out);
		break;
	case CONDITION:
		condition(l, p, n, out);
		break;
	case ASSIGN:
		if (l->words == 1)
			mask_word(p, n, out, false);
		else
			assignment(p, n, out);
		break;
	case FIELD:
		field(l, p, n, out);
		break;
	case PROGRAM:
		if (!hide_arguments(p, n, out))
			mask_word(p, n, out, false);
		break;
	default:
		if (!hide_arguments(p, n, out))
			mask_word(p, n, out, false);
	}
	if ((l->policy == WORDS || l->policy == VALUE || l->policy == FIELD) && is_identifier(inner, length) &&
	    mask_is_sensitive(inner, length))
		l->hide = true;
}

static void arguments(enum policy policy, const char *p, const char *end, struct toolmask_text *out)
{
	struct line l = { .policy = policy };
	const char *word, *before = p;
	size_t n;

	if (policy == EXPRESSION && is_require_of_a_kind(p, end))
		l.policy = PLAIN;
	if (l.policy == HIDE || (l.policy == EXPRESSION && looks_at_secrets(p, (size_t)(end - p)))) {
		while (p < end && isspace((unsigned char)*p))
			p++;
		if (p < end) {
			toolmask_add(out, " ", 1);
			mask_hide(out);
		}
		return;
	}
	while (toolmask_word(&p, end, &word, &n)) {
		l.words++;
		toolmask_add(out, before, (size_t)(word - before));
		if (l.hide) {
			mask_hide(out);
			return;
		}
		one_word(&l, word, n, out);
		before = p;
	}
}

static void one_line(const char *p, const char *end, struct toolmask_text *out)
{
	const char *name, *start = p;
	bool section = false, closing = false;
	size_t n;

	while (end > p && isspace((unsigned char)end[-1]))
		end--;
	while (p < end && isspace((unsigned char)*p))
		p++;
	if (p == end)
		return;
	toolmask_add(out, start, (size_t)(p - start));
	if (*p == '#') {
		toolmask_add(out, "#", 1);
		return;
	}
	if (*p == '<') {
		section = true;
		closing = p + 1 < end && p[1] == '/';
		toolmask_add(out, p, closing ? 2 : 1);
		p += closing ? 2 : 1;
		if (end > p && end[-1] == '>')
			end--;
	}
	name = p;
	while (p < end && (isalnum((unsigned char)*p) || *p == '_'))
		p++;
	n = (size_t)(p - name);
	/* What is no directive may be anything: a line of a password file, say. */
	if (!n || !isalpha((unsigned char)*name) || (p < end && !isspace((unsigned char)*p)) || mask_is_token(name, n)) {
		mask_hide(out);
	} else {
		toolmask_add(out, name, n);
		arguments(policy_of(name, n), p, end, out);
	}
	if (section)
		toolmask_add(out, ">", 1);
}

void toolmask_config(const char *text, size_t n, struct toolmask_text *out)
{
	const char *end = text + n, *at = text;
	bool in_key = false;

	while (at < end) {
		struct toolmask_text line = { .text = NULL };
		unsigned joined = 0;
		bool more = true;

		while (more && at < end) {
			const char *stop = memchr(at, '\n', (size_t)(end - at)), *last = stop ? stop : end;

			if (last > at && last[-1] == '\r')
				last--;
			more = last > at && last[-1] == '\\';
			toolmask_add(&line, at, (size_t)(last - at) - (more ? 1 : 0));
			at = stop ? stop + 1 : end;
			joined++;
		}
		in_key |= line.n && memmem(line.text, line.n, "-----BEGIN", 10);
		if (in_key)
			mask_hide(out);
		else if (line.n)
			one_line(line.text, line.text + line.n, out);
		if (line.n && memmem(line.text, line.n, "-----END", 8))
			in_key = false;
		while (joined--)
			toolmask_add(out, "\n", 1);
		out->failed |= line.failed;
		free(line.text);
	}
}
