/*
 * setters.c - setters that most tables share: the value goes to the structure of the directive's scope, at its offset.
 * Runs wherever a configuration is read.
 */
#include "conf/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

static void *field(struct conf_call *call, void *config)
{
	return (char *)config + call->directive->offset;
}

int conf_set_string(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	*(const char **)field(call, config) = argv[0];
	return 0;
}

int conf_set_path(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	*(const char **)field(call, config) = conf_path(call->env, argv[0]);
	return 0;
}

int conf_set_flag(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	*(int *)field(call, config) = !strcasecmp(argv[0], "on");
	return 0;
}

/* ------------------------------------------------------------------------------------------------ numbers */

/* Digits, with a sign before them if `sign`; *rest is what follows. -1: no digit, or out of range. */
static int parse_number(const char *s, bool sign, int64_t *value, const char **rest)
{
	bool negative = sign && *s == '-';
	int64_t v = 0;

	if (sign && (*s == '-' || *s == '+'))
		s++;
	if (*s < '0' || *s > '9')
		return -1;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *s - '0', &v))
			return -1;
	if (!negative && __builtin_sub_overflow(0, v, &v))
		return -1;
	*value = v;
	*rest = s;
	return 0;
}

static void bounds(const struct conf_directive *d, int64_t *low, int64_t *high)
{
	bool none = !d->low && !d->high;

	*low = d->low;
	*high = none ? INT64_MAX : d->high;
}

static const char *range(struct conf_call *call, const char *what, int64_t low, int64_t high)
{
	if (high >= INT64_MAX / 1000)
		return conf_printf(call->env, "write %s from %" PRId64 " on", what, low);
	return conf_printf(call->env, "write %s from %" PRId64 " to %" PRId64, what, low, high);
}

int conf_set_number(struct conf_call *call, void *config, int argc, char **argv)
{
	int64_t value, low, high;
	const char *rest;

	(void)argc;
	bounds(call->directive, &low, &high);
	if (parse_number(argv[0], true, &value, &rest) || *rest)
		return conf_fail(call, range(call, "a number", low, high), "\"%s\" is not a number", argv[0]);
	if (value < low || value > high)
		return conf_fail(call, range(call, "a number", low, high), "%s is out of range", argv[0]);
	*(int64_t *)field(call, config) = value;
	return 0;
}

static const char *seconds(struct conf_call *call, int64_t low, int64_t high)
{
	return conf_printf(call->env, "%s, or give a unit: 50ms, 2s, 5mi, 1h", range(call, "a number of seconds", low, high));
}

int conf_set_seconds(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {
		{ "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "mi", 60000 }, { "min", 60000 }, { "h", 3600000 },
	};
	int64_t value, low, high;
	const char *rest;
	size_t i;

	(void)argc;
	bounds(call->directive, &low, &high);
	if (high > INT64_MAX / 1000)
		high = INT64_MAX / 1000;
	if (parse_number(argv[0], false, &value, &rest))
		return conf_fail(call, seconds(call, low, high), "\"%s\" is not a length of time", argv[0]);
	for (i = 0; i < sizeof(units) / sizeof(*units) && strcasecmp(rest, units[i].unit); i++)
		;
	if (i == sizeof(units) / sizeof(*units))
		return conf_fail(call, "the units are ms, s, mi and h; without one it is seconds",
				 "\"%s\" has no unit of time", argv[0]);
	if (__builtin_mul_overflow(value, units[i].ms, &value) || value < low * 1000 || value > high * 1000)
		return conf_fail(call, seconds(call, low, high), "%s is out of range", argv[0]);
	*(int64_t *)field(call, config) = value;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ words */

int conf_set_choice(struct conf_call *call, void *config, int argc, char **argv)
{
	const struct conf_choice *choices = call->directive->extra, *c;
	const char *all = "";

	(void)argc;
	for (c = choices; c->word; c++) {
		if (!strcasecmp(c->word, argv[0])) {
			*(int *)field(call, config) = c->value;
			return 0;
		}
		all = conf_printf(call->env, "%s%s%s", all, *all ? ", " : "", c->word);
	}
	return conf_fail(call, conf_printf(call->env, "write one of: %s", all), "\"%s\" is not known here",
			 argv[0]);
}

int conf_set_notice(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	(void)argv;
	conf_note(call, NULL, "without effect here: %s", (const char *)call->directive->extra);
	return 0;
}

int conf_set_refused(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	(void)argv;
	return conf_fail(call, call->directive->extra, "it is not available in this release");
}
