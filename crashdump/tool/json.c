/*
 * json.c - a report as JSON, for bulkhead-crash: docs/crash-report-format.md, section "As JSON". All texts of a report
 * are printable ASCII already.
 */
#include "crashdump/tool/tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A number where the text is one that a reader can hold, else the text. */
static json_t *scalar(const char *text)
{
	size_t n = strspn(text + (*text == '-'), "0123456789") + (*text == '-');

	if (*text && !text[n] && n > (size_t)(*text == '-') && n < 19 && (text[0] != '0' || n == 1))
		return json_integer(strtoll(text, NULL, 10));
	return json_string(text);
}

static json_t *hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

/* "pid=1 tid=1 role=child" → an object; a first word without '=' is called `first`, words of the same name a list. */
static json_t *pairs(const char *value, const char *first)
{
	json_t *o = json_object();
	struct readreport_pair p;

	while (readreport_next(&value, &p)) {
		const char *name = p.value ? p.name : first ? first : p.name;
		json_t *there = json_object_get(o, name), *v = p.value ? scalar(p.value) : first ? scalar(p.name) : json_true();

		if (json_is_array(there))
			json_array_append_new(there, v);
		else if (there)
			json_object_set_new(o, name, json_pack("[O,o]", there, v));
		else
			json_object_set_new(o, name, v);
	}
	return o;
}

/* "SIGSEGV 11", "-6": a number at the end, perhaps a name before. */
static json_t *named_number(const char *value)
{
	const char *space = strrchr(value, ' ');
	json_t *o = json_object();

	if (space)
		json_object_set_new(o, "name", json_stringn(value, (size_t)(space - value)));
	json_object_set_new(o, "number", scalar(space ? space + 1 : value));
	return o;
}

static json_t *frame(const char *value)
{
	struct readreport_frame f;
	json_t *o;

	if (!readreport_frame(value, &f))
		return json_string(value);
	o = json_pack("{s:i,s:o,s:s}", "number", (int)f.number, "pc", hex(f.pc), "trust", f.trust);
	if (*f.module) {
		json_object_set_new(o, "module", json_string(f.module));
		json_object_set_new(o, "module-offset", hex(f.module_offset));
	}
	if (*f.build_id)
		json_object_set_new(o, "build-id", json_string(f.build_id));
	if (*f.function)
		json_object_set_new(o, "function", json_string(f.function));
	if (f.has_offset)
		json_object_set_new(o, "function-offset", hex(f.function_offset));
	if (*f.file) {
		json_object_set_new(o, "file", json_string(f.file));
		json_object_set_new(o, "line", json_integer(f.line));
	}
	return o;
}

static json_t *event(const char *value)
{
	struct readreport_event e;

	if (!readreport_event(value, &e))
		return json_string(value);
	return json_pack("{s:I,s:s,s:I}", "ms", (json_int_t)e.ms, "what", e.what, "number", (json_int_t)e.number);
}

static void add_to_list(json_t *o, const char *key, json_t *value)
{
	json_t *list = json_object_get(o, key);

	if (!list) {
		list = json_array();
		json_object_set_new(o, key, list);
	}
	json_array_append_new(list, value);
}

static void add_register(json_t *o, const char *value)
{
	json_t *all = json_object_get(o, "registers");
	struct readreport_pair p;

	if (!all) {
		all = json_object();
		json_object_set_new(o, "registers", all);
	}
	while (readreport_next(&value, &p))
		if (p.value)
			json_object_set_new(all, p.name, json_string(p.value));
}

/* "12 whole" */
static void add_frames(json_t *o, const char *value)
{
	const char *space = strchr(value, ' ');

	json_object_set_new(o, "frame-count", json_integer(strtol(value, NULL, 10)));
	if (space)
		json_object_set_new(o, "frame-state", json_string(space + 1));
}

static void add(json_t *o, const char *key, const char *value)
{
	static const struct { const char *key, *first; } groups[] = {
		{ "process", NULL }, { "served", NULL }, { "sender", NULL }, { "system-call", "number" },
		{ "snapshot", "state" },
	};

	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
		if (!strcmp(key, groups[i].key)) {
			json_object_set_new(o, key, pairs(value, groups[i].first));
			return;
		}
	if (!strcmp(key, "signal") || !strcmp(key, "code"))
		json_object_set_new(o, key, named_number(value));
	else if (!strcmp(key, "frame"))
		add_to_list(o, "frames", frame(value));
	else if (!strcmp(key, "raw-frame"))
		add_to_list(o, "raw-frames", frame(value));
	else if (!strcmp(key, "frames"))
		add_frames(o, value);
	else if (!strcmp(key, "event"))
		add_to_list(o, "events", event(value));
	else if (!strcmp(key, "register"))
		add_register(o, value);
	else if (!strcmp(key, "map") || !strcmp(key, "note"))
		add_to_list(o, key, json_string(value));
	else if (!strcmp(key, "crash-report") || !strcmp(key, "request-age-ms"))
		json_object_set_new(o, key, scalar(value));
	else if (!json_object_get(o, key))
		json_object_set_new(o, key, json_string(value));
	else
		add_to_list(o, "more", json_pack("{s:s,s:s}", "key", key, "value", value));
}

/* "17 kind=https age-ms=12", or words. */
static void add_connection(json_t *o, const char *value)
{
	const char *rest = value + strspn(value, "0123456789"), *remark = strstr(value, " (");
	char plain[256];
	json_t *c;

	if (rest == value || *rest != ' ') {
		json_object_set_new(o, "connection", json_string(value));
		return;
	}
	snprintf(plain, sizeof plain, "%.*s", remark ? (int)(remark - value) : (int)strlen(value), value);
	c = pairs(plain, "number");
	if (remark)
		json_object_set_new(c, "remark", json_string(remark + 1));
	json_object_set_new(o, "connection", c);
}

json_t *tool_report_json(const struct readreport *r, const char *name)
{
	json_t *o = json_object();

	json_object_set_new(o, "report", json_string(name));
	json_object_set_new(o, "state", json_string(readreport_state_word(r->state)));
	for (size_t i = 0; i < r->lines; i++) {
		if (!strcmp(r->line[i].key, "connection"))
			add_connection(o, r->line[i].value);
		else
			add(o, r->line[i].key, r->line[i].value);
	}
	return o;
}

json_t *tool_where_json(const struct readreport *r)
{
	struct readreport_frame f;
	json_t *o;

	if (!readreport_where(r, &f))
		return json_null();
	o = json_object();
	if (*f.module)
		json_object_set_new(o, "module", json_string(f.module));
	if (*f.function)
		json_object_set_new(o, "function", json_string(f.function));
	if (*f.file) {
		json_object_set_new(o, "file", json_string(f.file));
		json_object_set_new(o, "line", json_integer(f.line));
	}
	return o;
}
