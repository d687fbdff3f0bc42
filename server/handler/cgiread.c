/*
 * cgiread.c - the directives of programs: read by the master, looked up in the children.
 */
#include "handler/cgi.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "handler/cgilog.h"
#include "handler/spawn.h"
#include "log/target.h"
#include "request/account.h"
#include "request/request.h"

enum { CPU, MEMORY, PROCESSES, LIMITS };
#define UNLIMITED (INT64_MAX / 2)

struct cgi_section {
	int64_t limits[LIMITS][2];      /* soft, hard; -1 = unset */
	int64_t timeout;                /* ms; -1 = unset */
	int pass_auth, current_uri;
};

static void *create_section(struct conf_env *env)
{
	struct cgi_section *s = conf_alloc(env, sizeof *s);

	memset(s->limits, 0xff, sizeof s->limits);
	s->timeout = s->pass_auth = s->current_uri = CONF_UNSET;
	return s;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct cgi_section *b = base, *o = over;
	struct cgi_section *m = conf_alloc(env, sizeof *m);

	*m = *b;
	for (int i = 0; i < LIMITS; i++)
		if (o->limits[i][0] >= 0)
			memcpy(m->limits[i], o->limits[i], sizeof m->limits[i]);
	if (o->timeout >= 0)
		m->timeout = o->timeout;
	if (o->pass_auth >= 0)
		m->pass_auth = o->pass_auth;
	if (o->current_uri >= 0)
		m->current_uri = o->current_uri;
	return m;
}

#define SCRIPT_LOG_LENGTH 10385760      /* Apache's default */
#define SCRIPT_LOG_BUFFER 1024

static void *create_host(struct conf_env *env)
{
	struct cgilog_settings *s = conf_alloc(env, sizeof *s);

	s->length = s->buffer = CONF_UNSET;
	return s;
}

/* As in Apache a host that has no ScriptLog has the main server's, with its numbers. */
static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	struct cgilog_settings *m = conf_alloc(env, sizeof *m);

	*m = *(const struct cgilog_settings *)(((const struct cgilog_settings *)over)->name ? over : base);
	return m;
}

static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	struct cgilog_settings *s = config;
	int target;

	(void)host_name;
	if (s->length == CONF_UNSET)
		s->length = SCRIPT_LOG_LENGTH;
	if (s->buffer == CONF_UNSET)
		s->buffer = SCRIPT_LOG_BUFFER;
	if (!s->name)
		return 0;
	target = log_target_for(env, s->name, &s->pos, s->length ? s->length : 1);
	s->target = target < 0 ? 0 : (unsigned)target;
	return target < 0 ? -1 : 0;
}

static int set_script_log(struct conf_call *call, void *config, int argc, char **argv)
{
	struct cgilog_settings *s = config;

	(void)argc;
	s->name = conf_strdup(call->env, argv[0]);
	s->pos = call->node->pos;
	return 0;
}

static int set_account(struct conf_call *call, void *config, int argc, char **argv)
{
	const struct account *a = account_of(call, argv[0], argv[1]);

	(void)config, (void)argc;
	if (!a)
		return -1;
	reading_of(call)->host->account = a;
	return 0;
}

static int set_suexec(struct conf_call *call, void *config, int argc, char **argv)
{
	struct site *s = reading_of(call)->site;

	(void)config, (void)argc;
	s->suexec_off = strcmp(argv[0], "off") == 0;
	if (s->suexec_off && s->accounts)
		return conf_fail(call, "take it out", "programs run as other accounts by %s:%u", s->accounts->pos.file ? s->accounts->pos.file : "-", s->accounts->pos.line);
	return 0;
}

static bool read_limit(const char *word, int64_t *out)
{
	uint64_t n;

	if (strcasecmp(word, "max") == 0) {
		*out = UNLIMITED;
		return true;
	}
	if (text_u64(text_of(word), UNLIMITED, &n) != 0)
		return false;
	*out = (int64_t)n;
	return true;
}

static int set_limit(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const names[LIMITS] = { "RLimitCPU", "RLimitMEM", "RLimitNPROC" };
	struct cgi_section *s = config;
	int which = 0;

	while (which < LIMITS - 1 && strcasecmp(call->directive->name, names[which]) != 0)
		which++;
	for (int i = 0; i < 2; i++)
		s->limits[which][i] = -1;
	for (int i = 0; i < argc; i++)
		if (!read_limit(argv[i], &s->limits[which][i]))
			return conf_fail(call, "write a number, or max", "\"%s\" is no limit", argv[i]);
	return 0;
}

static int set_variable(struct conf_call *call, void *config, int argc, char **argv)
{
	struct cgi_section *s = config;

	(void)argc;
	if (strcasecmp(argv[0], "REQUEST_URI") != 0)
		return conf_fail(call, "write CGIVar REQUEST_URI current-uri or original-uri", "REQUEST_URI is the only variable it knows");
	if (strcasecmp(argv[1], "current-uri") != 0 && strcasecmp(argv[1], "original-uri") != 0)
		return conf_fail(call, "write current-uri or original-uri", "\"%s\" is neither", argv[1]);
	s->current_uri = strcasecmp(argv[1], "current-uri") == 0;
	return 0;
}

static const char no_socket[] = "programs are started by a process of the server that needs no socket in a folder";

#define SECTION .scope = CONF_OF_SECTION
#define LIMIT CONF_ALL, .override = CONF_OR_ANY, .args = CONF_TAKE, .min = 1, .max = 2, SECTION, .set = set_limit
#define TIMEOUT CONF_ALL, .override = CONF_OR_ANY, .args = CONF_TAKE, .min = 1, .max = 1, SECTION, .set = conf_set_seconds, \
	.offset = offsetof(struct cgi_section, timeout), .high = 2147483
#define OF_HOST CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .scope = CONF_OF_HOST
#define NOTICE(text) CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_notice, .extra = (text)

static const struct conf_directive directives[] = {
	{ "RLimitCPU", "how many seconds of the processor a program may use: soft and hard limit", NULL, LIMIT },
	{ "RLimitMEM", "how many bytes of memory a program may use: soft and hard limit", NULL, LIMIT },
	{ "RLimitNPROC", "how many processes the user of programs may have: soft and hard limit", NULL, LIMIT },
	{ "CGIScriptTimeout", "how long a program may be silent", "Timeout", TIMEOUT },
	{ "CGIDScriptTimeout", "the same, as mod_cgid names it", "Timeout", TIMEOUT },
	{ "CGIPassAuth", "whether programs see the field Authorization", "Off", CONF_ALL, .override = CONF_OR_AUTHCONFIG, .args = CONF_FLAG, SECTION,
	  .set = conf_set_flag, .offset = offsetof(struct cgi_section, pass_auth) },
	{ "CGIVar", "whether REQUEST_URI is as it came or as it is now", "REQUEST_URI original-uri", CONF_ALL, .override = CONF_OR_FILEINFO,
	  .args = CONF_TAKE, .min = 2, .max = 2, SECTION, .set = set_variable },
	{ "ScriptLog", "a log of programs that could not be run, or wrote no head", NULL, OF_HOST, .set = set_script_log },
	{ "ScriptLogLength", "how many bytes that log may have", "10385760", OF_HOST, .set = conf_set_number,
	  .offset = offsetof(struct cgilog_settings, length), .high = INT64_MAX / 2 },
	{ "ScriptLogBuffer", "how many bytes of a request's body an entry of it may have", "1024", OF_HOST, .set = conf_set_number,
	  .offset = offsetof(struct cgilog_settings, buffer), .high = 65536 },
	{ "ScriptSock", "accepted: there is no such socket", NULL, NOTICE(no_socket) },
	{ "SuexecUserGroup", "the account that programs of the host run as", NULL, CONF_RSRC, .args = CONF_TAKE, .min = 2, .max = 2, .scope = CONF_OF_HOST,
	  .set = set_account },
	{ "Suexec", "whether programs may run as other accounts", "On", CONF_SERVER, .args = CONF_FLAG, .scope = CONF_OF_HOST, .set = set_suexec },
	{ .name = NULL },
};

struct conf_module cgi_module = {
	.name = "cgi_module",
	.source = "mod_cgi.c",
	.aka = "cgid_module mod_cgid.c suexec_module mod_suexec.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
	.finish_host = finish_host,
	.create_section = create_section,
	.merge_section = merge_section,
};

const struct cgilog_settings *cgilog_settings(const struct request *r)
{
	const struct cgilog_settings *s = host_config(r->host, &cgi_module);

	return s->name ? s : NULL;
}

bool cgi_passes_auth(const struct request *r)
{
	return ((const struct cgi_section *)request_config(r, &cgi_module))->pass_auth == 1;
}

bool cgi_uri_is_current(const struct request *r)
{
	return ((const struct cgi_section *)request_config(r, &cgi_module))->current_uri == 1;
}

int64_t cgi_timeout(const struct request *r)
{
	int64_t ms = ((const struct cgi_section *)request_config(r, &cgi_module))->timeout;

	return ms > 0 ? ms : CHAN_TIMEOUT;
}

struct spawn_limits cgi_limits(const struct request *r)
{
	const struct cgi_section *s = request_config(r, &cgi_module);
	struct spawn_limits l;

	memcpy(l.cpu, s->limits[CPU], sizeof l.cpu);
	memcpy(l.memory, s->limits[MEMORY], sizeof l.memory);
	memcpy(l.processes, s->limits[PROCESSES], sizeof l.processes);
	return l;
}
