/*
 * directives.c - the directives about logs (core's ErrorLog and LogLevel, mod_log_config's, mod_logio's), and what they
 * come to for each host. Runs in the master and in checking jobs while a configuration is read.
 */
#include "log/target.h"

#include <string.h>
#include <strings.h>

#include "expr/expr.h"
#include "log/format.h"

#define UNSET_LEVEL (-1)
static const char common_format[] = "%h %l %u %t \"%r\" %>s %b";

struct named_format {
	const char *name;               /* lower case folded when compared; NULL: LogFormat without a nickname */
	const char *text;
	struct conf_pos pos;
	struct named_format *next;
};
/* A CustomLog or TransferLog as written: its nickname may be defined further down. */
struct written_log {
	const char *target, *format, *env;
	const struct expr *condition;
	bool env_not, transfer;
	struct conf_pos pos;
	struct written_log *next;
};
/* log_module's host structure; the first member is what other rooms see. */
struct host_logs {
	struct log_host seen;
	struct conf_pos error_pos;
	struct named_format *formats;           /* newest first; a host's before the main server's */
	struct written_log *logs, **logs_end;
};

static struct log_targets *targets;
static struct arena *arena;
static const struct expr_names *names;

void log_names_use(const struct expr_names *n)
{
	names = n;
}

void log_targets_use(struct log_targets *t, struct arena *a)
{
	targets = t;
	arena = a;
}

static void *create_host(struct conf_env *env)
{
	struct host_logs *h = conf_alloc(env, sizeof *h);

	log_settings_init(&h->seen.settings, (enum log_level)UNSET_LEVEL);
	h->logs_end = &h->logs;
	return h;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct host_logs *b = base, *o = over;
	struct host_logs *h = conf_alloc(env, sizeof *h);
	struct named_format **link = &h->formats;

	*h = *o;
	for (int i = 0; i < LOG_SUBJECTS; i++)
		if (h->seen.settings.level[i] == UNSET_LEVEL)
			h->seen.settings.level[i] = b->seen.settings.level[i];
	if (!h->seen.error_name) {
		h->seen.error_name = b->seen.error_name;
		h->error_pos = b->error_pos;
	}
	if (!h->logs)
		h->logs = b->logs;
	for (const struct named_format *f = o->formats; f; f = f->next, link = &(*link)->next) {
		*link = conf_alloc(env, sizeof **link);
		**link = *f;
		(*link)->next = NULL;
	}
	*link = b->formats;
	return h;
}

static const struct named_format *find_format(const struct host_logs *h, const char *name)
{
	for (const struct named_format *f = h->formats; f; f = f->next)
		if (name ? f->name && !strcasecmp(f->name, name) : !f->name)
			return f;
	return NULL;
}

static int report(struct conf_env *env, const struct conf_pos *pos, const struct err *e)
{
	conf_report(env, CONF_ERROR, pos, *e->remedy ? e->remedy : NULL, "%s", e->text);
	return -1;
}

static int finish_log(struct conf_env *env, struct host_logs *h, const struct written_log *w, struct log_access *out)
{
	const struct named_format *named = find_format(h, w->transfer ? NULL : w->format);
	const char *text = named ? named->text : w->transfer ? common_format : w->format;
	struct err e = { 0 };

	if (!named && !w->transfer && !strchr(text, '%'))
		conf_report(env, CONF_WARNING, &w->pos, "define it with LogFormat \"…\" NAME, or write the format itself in quotes",
			    "CustomLog: no LogFormat is named \"%s\": each line will be just that word", text);
	out->format = log_format_new(arena, text, &e);
	if (!out->format)
		return report(env, named ? &named->pos : &w->pos, &e);
	int target = log_target_add(targets, env, w->target, &w->pos, &e);
	if (target < 0)
		return report(env, &w->pos, &e);
	out->target = (unsigned)target;
	out->env = w->env;
	out->env_not = w->env_not;
	out->condition = w->condition;
	return 0;
}

/* The main server comes first, so that its error log is target 0. */
static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	struct host_logs *h = config;
	struct log_access *access = NULL, **link = &access;
	struct err e = { 0 };
	int result = 0, target;

	(void)host_name;
	for (int i = 0; i < LOG_SUBJECTS; i++)
		if (h->seen.settings.level[i] == UNSET_LEVEL)
			h->seen.settings.level[i] = LOG_L_WARN;
	if (!h->seen.error_name)
		h->seen.error_name = "logs/error_log";
	target = log_target_add(targets, env, h->seen.error_name, &h->error_pos, &e);
	if (target < 0)
		return report(env, &h->error_pos, &e);
	h->seen.settings.target = (unsigned)target;
	for (const struct written_log *w = h->logs; w; w = w->next) {
		*link = conf_alloc(env, sizeof **link);
		if (finish_log(env, h, w, *link) < 0)
			result = -1;
		link = &(*link)->next;
	}
	h->seen.access = access;
	return result;
}

/* ------------------------------------------------------------------------------------------------ setters */

static int set_error_log(struct conf_call *call, void *config, int argc, char **argv)
{
	struct host_logs *h = config;

	(void)argc;
	h->seen.error_name = conf_strdup(call->env, argv[0]);
	h->error_pos = call->node->pos;
	return 0;
}

/* LogLevel warn ssl:info core:debug; a word alone sets all subjects. */
static int set_log_level(struct conf_call *call, void *config, int argc, char **argv)
{
	struct host_logs *h = config;
	struct log_settings settings = h->seen.settings;
	signed char named[LOG_SUBJECTS];

	memset(named, UNSET_LEVEL, sizeof named);
	for (int i = 0; i < argc; i++) {
		char *colon = strchr(argv[i], ':');
		enum log_level level;

		if (log_level_parse(colon ? colon + 1 : argv[i], &level) < 0)
			return conf_fail(call, "the levels are emerg alert crit error warn notice info debug trace1 … trace8",
					 "\"%s\" is no log level", colon ? colon + 1 : argv[i]);
		if (!colon) {
			memset(settings.level, (signed char)level, sizeof settings.level);
			continue;
		}
		*colon = '\0';
		int subject = log_subject_find(argv[i]);
		if (subject < 0)
			conf_note(call, NULL, "nothing here logs as \"%s\"", argv[i]);
		else
			named[subject] = (signed char)level;
	}
	for (int i = 0; i < LOG_SUBJECTS; i++)
		if (named[i] != UNSET_LEVEL)
			settings.level[i] = named[i];
	h->seen.settings = settings;
	return 0;
}

static int set_log_format(struct conf_call *call, void *config, int argc, char **argv)
{
	struct host_logs *h = config;
	struct named_format *f = conf_alloc(call->env, sizeof *f);
	struct err e = { 0 };

	if (!log_format_new(arena, argv[0], &e))
		return conf_fail(call, *e.remedy ? e.remedy : NULL, "%s", e.text);
	f->text = conf_strdup(call->env, argv[0]);
	f->name = argc > 1 ? conf_strdup(call->env, argv[1]) : NULL;
	f->pos = call->node->pos;
	f->next = h->formats;
	h->formats = f;
	return 0;
}

static struct written_log *add_log(struct conf_call *call, struct host_logs *h, const char *target)
{
	struct written_log *w = conf_alloc(call->env, sizeof *w);

	w->target = conf_strdup(call->env, target);
	w->pos = call->node->pos;
	*h->logs_end = w;
	h->logs_end = &w->next;
	return w;
}

static const struct expr *log_condition(struct conf_call *call, const char *text)
{
	struct err e = { .text = "" };
	struct expr *x = expr_compile(arena, text, EXPR_CONDITION, names, &e);

	if (x)
		expr_set_tag(x, EXPR_NO_VARY);
	else
		conf_fail(call, *e.remedy ? e.remedy : NULL, "the expression has a fault in %s", e.text);
	return x;
}

static int set_custom_log(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *condition = argc > 2 ? argv[2] : NULL;

	const struct expr *x = NULL;

	if (condition && !strncasecmp(condition, "expr=", 5)) {
		x = log_condition(call, condition + 5);
		if (!x)
			return -1;
		condition = NULL;
	}
	if (condition && (strncasecmp(condition, "env=", 4) || !condition[4 + (condition[4] == '!')]))
		return conf_fail(call, "write env=NAME, env=!NAME or expr=CONDITION", "\"%s\" is no condition", condition);
	struct written_log *w = add_log(call, config, argv[0]);
	w->format = conf_strdup(call->env, argv[1]);
	w->condition = x;
	if (condition) {
		w->env_not = condition[4] == '!';
		w->env = conf_strdup(call->env, condition + 4 + w->env_not);
	}
	return 0;
}

static int set_transfer_log(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	add_log(call, config, argv[0])->transfer = true;
	return 0;
}

static int set_lookups(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	if (!strcasecmp(argv[0], "off"))
		return 0;
	if (strcasecmp(argv[0], "on") && strcasecmp(argv[0], "double"))
		return conf_fail(call, NULL, "takes On, Off or Double, not \"%s\"", argv[0]);
	conf_note(call, "resolve the addresses of the log afterwards", "names are not looked up here: %%h logs the address");
	return 0;
}

static const struct conf_directive directives[] = {
	{ .name = "ErrorLog", .help = "The file or |program that gets messages", .value = "logs/error_log", .contexts = CONF_RSRC,
	  .args = CONF_TAKE, .min = 1, .max = 1, .set = set_error_log },
	{ .name = "LogLevel", .help = "How grave a message must be to be logged, for all or by module", .value = "warn", .contexts = CONF_RSRC,
	  .args = CONF_TAKE, .min = 1, .set = set_log_level },
	{ .name = "LogFormat", .help = "A format for access log lines, with a nickname or as TransferLog's", .value = "\"%h %l %u %t \\\"%r\\\" %>s %b\"",
	  .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 2, .set = set_log_format },
	{ .name = "CustomLog", .help = "The file or |program that gets a line for each request, its format, and when", .contexts = CONF_RSRC,
	  .args = CONF_TAKE, .min = 2, .max = 3, .set = set_custom_log },
	{ .name = "TransferLog", .help = "The file or |program that gets a line for each request, in the last LogFormat without a nickname",
	  .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_transfer_log },
	{ .name = "BufferedLogs", .help = "Accepted: lines are always gathered, and none is lost with a child", .value = "Off", .contexts = CONF_GLOBAL,
	  .args = CONF_FLAG, .set = conf_set_notice, .extra = "lines are always gathered here, and none is lost when a child dies" },
	{ .name = "HostnameLookups", .help = "Accepted: names are not looked up; %h logs the address", .value = "Off", .contexts = CONF_ANY,
	  .args = CONF_TAKE, .min = 1, .max = 1, .set = set_lookups },
	{ .name = "ErrorLogFormat", .help = "Accepted: messages have Apache's default format", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 2,
	  .set = conf_set_notice, .extra = "messages have Apache's default format in this release" },
	{ 0 }
};

struct conf_module log_module = {
	.name = "log_config_module", .source = "mod_log_config.c", .aka = "logio_module mod_logio.c", .directives = directives,
	.create_host = create_host, .merge_host = merge_host, .finish_host = finish_host,
};
