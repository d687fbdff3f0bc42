/*
 * coding.c - what all content codings have in common: whether the client takes one (RFC 9110, 12.5.3), and what becomes of Vary,
 * ETag, lengths and ranges. Runs in the children; its setter where a configuration is read.
 */
#include "filter/coding.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

const struct conf_choice coding_etag_choices[] = {
	{ "AddSuffix", CODING_SUFFIX }, { "NoChange", CODING_NO_CHANGE }, { "Remove", CODING_REMOVE }, { NULL, 0 },
};

/* ------------------------------------------------------------------------------------------------ what the client takes */

/* A weight in thousandths (RFC 9110, 12.4.2); what is no weight counts as none given. */
static unsigned weight_of(struct text q)
{
	unsigned value = 0, digits = 0;

	if (!q.n || (q.p[0] != '0' && q.p[0] != '1') || (q.n > 1 && q.p[1] != '.') || q.n > 5)
		return 1000;
	for (size_t i = 2; i < q.n; i++, digits++) {
		if (q.p[i] < '0' || q.p[i] > '9')
			return 1000;
		value = value * 10 + (unsigned)(q.p[i] - '0');
	}
	for (; digits < 3; digits++)
		value *= 10;
	return q.p[0] == '1' ? 1000 : value;
}

unsigned coding_accepted(const struct fields *in, const char *name, const char *alias)
{
	struct text all = fields_combined(in, "Accept-Encoding"), one, part;
	unsigned best = 0;

	while (all.p && fields_list_next(&all, &one)) {
		unsigned weight = 1000;

		if (!text_split(&one, ';', &part))
			continue;
		part = text_trim(part);
		if (!text_is_nocase(part, name) && !(alias && text_is_nocase(part, alias)))
			continue;
		while (text_split(&one, ';', &part)) {
			part = text_trim(part);
			if (part.n >= 2 && (part.p[0] == 'q' || part.p[0] == 'Q') && part.p[1] == '=')
				weight = weight_of(text_trim((struct text){ part.p + 2, part.n - 2 }));
		}
		best = weight > best ? weight : best;
	}
	return best;
}

/* ------------------------------------------------------------------------------------------------ the fields */

/* Programs' fields are among those for every status (r->always), a handler's own in r->out. */
static bool has_token(const struct request *r, const char *name, const char *token)
{
	return fields_has_token(&r->out, name, token) || fields_has_token(&r->always, name, token);
}

static struct text field_of(const struct request *r, const char *name)
{
	struct text own = fields_combined(&r->out, name);

	return own.p ? own : fields_combined(&r->always, name);
}

static void remove_field(struct request *r, const char *name)
{
	fields_remove(&r->out, name);
	fields_remove(&r->always, name);
}

static int vary(struct request *r)
{
	struct text old = fields_combined(&r->out, "Vary");
	const char *both;

	if (has_token(r, "Vary", "Accept-Encoding") || has_token(r, "Vary", "*"))
		return 0;
	if (!old.p || !old.n)
		return fields_add(&r->out, TEXT("Vary"), TEXT("Accept-Encoding"));
	both = arena_printf(r->arena, "%.*s, Accept-Encoding", (int)old.n, old.p);
	return both ? fields_set(&r->out, "Vary", both) : -1;
}

int coding_alter_etag(struct request *r, const char *suffix, enum coding_etag how)
{
	struct text own = fields_get(&r->out, "ETag"), tag = own.p ? own : text_of(r->etag);
	const char *altered = NULL;

	if (how == CODING_NO_CHANGE || !tag.p)
		return 0;
	if (how == CODING_SUFFIX && tag.n >= 2 && tag.p[tag.n - 1] == '"') {
		altered = arena_printf(r->arena, "%.*s%s\"", (int)(tag.n - 1), tag.p, suffix);
		if (!altered)
			return -1;
	}
	if (own.p && !altered)
		fields_remove(&r->out, "ETag");
	if (own.p && altered && fields_set(&r->out, "ETag", altered) < 0)
		return -1;
	if (r->etag || !own.p)
		r->etag = altered;
	return 0;
}

void coding_forget(struct request *r)
{
	static const char *const gone[] = { "Content-Encoding", "Content-Length", "Content-MD5", "Accept-Ranges", "Content-Digest", "Digest" };

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		remove_field(r, gone[i]);
	r->length = -1;
}

struct text coding_of(const struct request *r)
{
	struct text own = field_of(r, "Content-Encoding");

	if (!own.p)
		own = text_of(r->encoding);
	return text_is_nocase(text_trim(own), "identity") ? (struct text){ NULL, 0 } : own;
}

static bool is_html(const struct request *r)
{
	struct text all = fields_get(&r->out, "Content-Type"), type;

	if (!all.p)
		all = text_of(r->type);
	return text_split(&all, ';', &type) && text_is_nocase(text_trim(type), "text/html");
}

/* Whether this content may be coded at all, whoever asks for it. */
static bool suits(const struct request *r, const struct coding *c)
{
	struct text html = c->html_only ? request_env(r, c->html_only) : (struct text){ NULL, 0 };

	if (r->status == 206 || r->length == 0 || (r->length > 0 && r->length < c->least) || field_of(r, "Content-Range").p || coding_of(r).n)
		return false;
	if (request_env(r, c->off).p || has_token(r, "Cache-Control", "no-transform"))
		return false;
	return !text_is(html, "1") || is_html(r);
}

int coding_joins(struct request *r, const struct coding *c, enum coding_etag etag)
{
	if (!suits(r, c))
		return 0;
	if (!request_env(r, "dont-vary").p && vary(r) < 0)
		return -1;
	if (!(c->force && request_env(r, c->force).p) && !coding_accepted(&r->in, c->name, c->alias))
		return 0;
	r->encoding = c->name;
	coding_forget(r);
	return coding_alter_etag(r, c->suffix, etag) < 0 ? -1 : 1;
}

/* ------------------------------------------------------------------------------------------------ notes */

static void note(struct request *r, const char *name, uint64_t value)
{
	char text[24];
	struct buf b;

	if (!name)
		return;
	buf_init(&b, text, sizeof(text));
	buf_put_u64(&b, value);
	request_note(r, name, text);
}

void coding_inherit_notes(struct coding_notes *m, const struct coding_notes *outer)
{
	CONF_INHERIT(m, outer, input, NULL);
	CONF_INHERIT(m, outer, output, NULL);
	CONF_INHERIT(m, outer, ratio, NULL);
}

void coding_note(struct request *r, const struct coding_notes *n, uint64_t in, uint64_t out)
{
	if (!in)
		return;
	note(r, n->input, in);
	note(r, n->output, out);
	note(r, n->ratio, out <= UINT64_MAX / 100 ? out * 100 / in : out / in * 100);
}

int coding_set_note(struct conf_call *call, void *config, int argc, char **argv)
{
	struct coding_notes *n = (struct coding_notes *)(void *)((char *)config + call->directive->offset);
	const char *name = conf_strdup(call->env, argv[argc - 1]);

	if (argc == 1 || strcasecmp(argv[0], "Ratio") == 0)
		n->ratio = name;
	else if (strcasecmp(argv[0], "Input") == 0)
		n->input = name;
	else if (strcasecmp(argv[0], "Output") == 0)
		n->output = name;
	else
		return conf_fail(call, "write Input, Output or Ratio, then the name of the note", "\"%s\" is no kind of note", argv[0]);
	return 0;
}
