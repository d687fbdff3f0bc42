/*
 * directives.c - the directives about logs (core's ErrorLog and LogLevel, mod_log_config's, mod_logio's), and what they
 * come to for each host. Runs in the master and in checking jobs while a configuration is read.
 */
#include "log/target.h"

#include <string.h>
#include <strings.h>

#include "expr/expr.h"
#include "log/errorformat.h"
#include "log/format.h"
#include "log/packet.h"

#define UNSET_LEVEL (-1)
static const char global[] = "global";          /* marks GlobalLog in the table */
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
	struct written_log *global, **global_end;       /* GlobalLog: of the main server alone */
	const struct host_logs *base;           /* of a virtual host: the main server's */
	struct log_errorformats formats_of_errors;
};
/* log_module's section structure: what LogLevel says there. */
struct section_logs {
	signed char level[LOG_SUBJECTS];        /* UNSET_LEVEL: as outside */
	bool any;                               /* one of them is set: most requests meet none, and need no settings of their own */
};

static struct log_targets *targets;
static struct arena *arena;
static const struct expr_names *names;
static bool (*module_known)(struct text name);

void log_names_use(const struct expr_names *n)
{
	names = n;
}

void log_modules_use(bool (*known)(struct text name))
{
	module_known = known;
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
	h->global_end = &h->global;
	return h;
}

static void *create_section(struct conf_env *env)
{
	struct section_logs *s = conf_alloc(env, sizeof *s);

	memset(s->level, UNSET_LEVEL, sizeof s->level);
	return s;
}

static void merge_levels(signed char *level, const signed char *base)
{
	for (int i = 0; i < LOG_SUBJECTS; i++)
		if (level[i] == UNSET_LEVEL)
			level[i] = base[i];
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	struct section_logs *s = conf_alloc(env, sizeof *s);

	if (!base || !over)
		return memcpy(s, base ? base : over, sizeof *s);
	memcpy(s, over, sizeof *s);
	merge_levels(s->level, ((const struct section_logs *)base)->level);
	s->any |= ((const struct section_logs *)base)->any;
	return s;
}

const struct log_settings *log_settings_within(const struct log_settings *host, const void *section, struct log_settings *s)
{
	const struct section_logs *own = section;

	if (!own || !own->any)
		return host;
	*s = *host;
	memcpy(s->level, own->level, sizeof s->level);
	merge_levels(s->level, host->level);
	return s;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct host_logs *b = base, *o = over;
	struct host_logs *h = conf_alloc(env, sizeof *h);
	struct named_format **link = &h->formats;

	*h = *o;
	merge_levels(h->seen.settings.level, b->seen.settings.level);
	h->base = b;
	if (!h->formats_of_errors.message)
		h->formats_of_errors.message = b->formats_of_errors.message;
	if (!h->formats_of_errors.connection)
		h->formats_of_errors.connection = b->formats_of_errors.connection;
	if (!h->formats_of_errors.request)
		h->formats_of_errors.request = b->formats_of_errors.request;
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

static int finish_log(struct conf_env *env, const struct host_logs *h, const struct written_log *w, struct log_access *out)
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
	out->packet = log_packet_is(w->target) ? log_packet_new(env, w->target, &e) : NULL;
	out->env = w->env;
	out->env_not = w->env_not;
	out->condition = w->condition;
	return 0;
}

int log_target_for(struct conf_env *env, const char *name, const struct conf_pos *pos, int64_t most)
{
	struct err e = { 0 };
	int target = targets ? log_target_add(targets, env, name, pos, &e) : -1;

	if (target < 0)
		return targets ? report(env, pos, &e) : -1;
	targets->at[target].most = most;
	return target;
}

/* The main server comes first, so that its error log is target 0. */
static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	struct host_logs *h = config;
	struct log_access *access = NULL, **link = &access;
	const struct host_logs *main_server = h->base ? h->base : h;
	const struct log_errorformats *formats = &h->formats_of_errors;
	struct err e = { 0 };
	int result = 0, target;

	h->seen.settings.host = host_name;
	if (formats->message || formats->connection || formats->request)
		h->seen.settings.formats = formats;
	for (int i = 0; i < LOG_SUBJECTS; i++)
		if (h->seen.settings.level[i] == UNSET_LEVEL)
			h->seen.settings.level[i] = LOG_L_WARN;
	if (!h->seen.error_name)
		h->seen.error_name = "logs/error_log";
	target = log_target_add(targets, env, h->seen.error_name, &h->error_pos, &e);
	if (target < 0)
		return report(env, &h->error_pos, &e);
	h->seen.settings.target = (unsigned)target;
	if (log_packet_is(h->seen.error_name))
		h->seen.settings.packet = log_packet_new(env, h->seen.error_name, &e);
	for (const struct written_log *w = h->logs; w; w = w->next) {
		*link = conf_alloc(env, sizeof **link);
		if (finish_log(env, h, w, *link) < 0)
			result = -1;
		link = &(*link)->next;
	}
	for (const struct written_log *w = main_server->global; w; w = w->next) {
		*link = conf_alloc(env, sizeof **link);
		if (finish_log(env, main_server, w, *link) < 0)
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

/* ErrorLogFormat [connection|request] FORMAT */
static int set_error_log_format(struct conf_call *call, void *config, int argc, char **argv)
{
	struct log_errorformats *formats = &((struct host_logs *)config)->formats_of_errors;
	struct err e = { 0 };
	struct log_errorformat *f = log_errorformat_new(arena, argv[argc - 1], &e);

	if (!f)
		return conf_fail(call, *e.remedy ? e.remedy : NULL, "%s", e.text);
	if (argc == 1) {
		formats->message = f;
		return log_errorformat_tells(f) ? 0 : conf_fail(call, "write %M where the message goes", "the format has no %%M: no message would be told");
	}
	if (log_errorformat_tells(f))
		return conf_fail(call, "take %M out of it; the format of messages is the one without a word before it",
				 "%%M is a message, and this line is written before the first one about a %s", argv[0]);
	if (!strcasecmp(argv[0], "connection"))
		log_errorformat_append(&formats->connection, f);
	else if (!strcasecmp(argv[0], "request"))
		log_errorformat_append(&formats->request, f);
	else
		return conf_fail(call, "write the whole format in quotes", "\"%s\" is neither \"connection\" nor \"request\"", argv[0]);
	return 0;
}

/* LogLevel's levels: a server's, or of the section that the line stands in. */
static signed char *levels_at(struct conf_call *call, void *config)
{
	void **section;

	if (call->context & CONF_RSRC)
		return ((struct host_logs *)config)->seen.settings.level;
	section = &call->target->section[call->module->index];
	if (!*section)
		*section = create_section(call->env);
	((struct section_logs *)*section)->any = true;
	return ((struct section_logs *)*section)->level;
}

/* LogLevel warn ssl:info core:debug; a word alone sets all subjects. */
static int set_log_level(struct conf_call *call, void *config, int argc, char **argv)
{
	signed char *levels = levels_at(call, config), all = UNSET_LEVEL;
	signed char named[LOG_SUBJECTS];

	memset(named, UNSET_LEVEL, sizeof named);
	for (int i = 0; i < argc; i++) {
		char *colon = strchr(argv[i], ':');
		enum log_level level;

		if (log_level_parse(colon ? colon + 1 : argv[i], &level) < 0)
			return conf_fail(call, "the levels are emerg alert crit error warn notice info debug trace1 … trace8",
					 "\"%s\" is no log level", colon ? colon + 1 : argv[i]);
		if (!colon) {
			all = (signed char)level;
			continue;
		}
		*colon = '\0';
		if (!*argv[i])
			return conf_fail(call, "write ssl:info, with the name of a module or a subject", "nothing stands before the colon of \":%s\"", colon + 1);
		int subject = log_subject_find(argv[i]);
		if (subject >= 0)
			named[subject] = (signed char)level;
		else if (module_known && !module_known(log_module_name(argv[i])))
			return conf_fail(call, "write the name of one (bulkhead -M tells those that are here), as in ssl:info, or take it out",
					 "there is no module \"%s\", neither here nor with Apache", argv[i]);
		else
			conf_note(call, NULL, "nothing here logs as \"%s\"", argv[i]);
	}
	for (int i = 0; i < LOG_SUBJECTS; i++)
		if (named[i] != UNSET_LEVEL || all != UNSET_LEVEL)
			levels[i] = named[i] != UNSET_LEVEL ? named[i] : all;
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
	struct written_log ***end = call->directive->extra == global ? &h->global_end : &h->logs_end;

	w->target = conf_strdup(call->env, target);
	w->pos = call->node->pos;
	**end = w;
	*end = &w->next;
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

/* The moment is noted for every response: there is nothing to be switched. */
static int set_track(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)call, (void)config, (void)argc, (void)argv;
	return 0;
}

static const struct conf_directive directives[] = {
	{ .name = "ErrorLog", .help = "The file or |program that gets messages", .value = "logs/error_log", .contexts = CONF_RSRC,
	  .args = CONF_TAKE, .min = 1, .max = 1, .set = set_error_log },
	{ .name = "LogLevel", .help = "How grave a message must be to be logged, for all or by module", .value = "warn", .contexts = CONF_ANY,
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
	{ .name = "ErrorLogFormat", .help = "The form of messages, or of a line before the first about a connection or request", .contexts = CONF_RSRC,
	  .args = CONF_TAKE, .min = 1, .max = 2, .set = set_error_log_format },
	{ .name = "GlobalLog", .help = "As CustomLog, for every host besides its own", .contexts = CONF_GLOBAL,
	  .args = CONF_TAKE, .min = 2, .max = 3, .set = set_custom_log, .extra = global },
	{ .name = "LogIOTrackTTFB", .help = "Whether %^FB tells the microseconds until the response began: it always does", .value = "Off", .contexts = CONF_ANY,
	  .args = CONF_FLAG, .set = set_track },
	{ 0 }
};

struct conf_module log_module = {
	.name = "log_config_module", .source = "mod_log_config.c", .aka = "logio_module mod_logio.c", .directives = directives,
	.create_host = create_host, .merge_host = merge_host, .finish_host = finish_host,
	.create_section = create_section, .merge_section = merge_section,
};
