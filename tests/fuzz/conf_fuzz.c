/*
 * conf_fuzz.c - fuzzes the configuration's language: conf/lex.c, tree.c, define.c, cond.c and, with a small module,
 * directive.c and setters.c. No file is read: Include is refused (include.c has its own tests), and the environment is
 * emptied. Memory is bounded; an input that wants more than that is left in the middle.
 */
#include "conf/conf.h"
#include "conf/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY ((size_t)128 * 1024 * 1024)

struct piece {
	struct piece *next;
	max_align_t data[];
};

static struct {
	struct piece *pieces;
	size_t used;
	unsigned errors;
	jmp_buf out;
} world;

static void *take(void *ctx, size_t n)
{
	struct piece *p;

	(void)ctx;
	if (n > MEMORY - world.used)
		longjmp(world.out, 1);
	p = calloc(1, sizeof(*p) + n);
	if (!p)
		longjmp(world.out, 1);
	world.used += n;
	p->next = world.pieces;
	world.pieces = p;
	return p->data;
}

static void report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	(void)ctx;
	if (!pos || !pos->file || !sentence || !*sentence || (remedy && !*remedy))
		abort();
	world.errors += severity == CONF_ERROR;
}

static bool has(void *ctx, const char *name)
{
	(void)ctx;
	return name[0] == 'h' || !strcmp(name, "<Section");
}

static int no_file(void *ctx, const char *path)
{
	(void)ctx;
	(void)path;
	errno = ENOENT;
	return -1;
}

struct values {
	const char *text;
	int word;
	int64_t number;
};

static void *create(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct values));
}

static int enter(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	if (argc != 1 || !argv[0])
		abort();
	return conf_apply(call->node->child, call->modules, CONF_DIRECTORY, call->target, call->env);
}

static int words(struct conf_call *call, void *config, int argc, char **argv)
{
	int i;

	(void)call;
	(void)config;
	for (i = 0; i < argc; i++)
		if (!argv[i])
			abort();
	return 0;
}

static const struct conf_choice choices[] = { { "Some", 1 }, { "All", 2 }, { NULL, 0 } };

#define AT(field) .offset = offsetof(struct values, field)
static const struct conf_directive table[] = {
	{ .name = "Flag", .contexts = CONF_ANY, .args = CONF_FLAG, .set = conf_set_flag, AT(word) },
	{ .name = "Text", .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_string, AT(text) },
	{ .name = "Path", .contexts = CONF_ANY, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_path, AT(text) },
	{ .name = "Choice", .contexts = CONF_ANY, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_choice, AT(word), .extra = choices },
	{ .name = "Number", .contexts = CONF_ANY, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_number, AT(number), .low = -5, .high = 100 },
	{ .name = "Time", .contexts = CONF_ANY, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_seconds, AT(number) },
	{ .name = "Many", .contexts = CONF_ANY, .args = CONF_TAKE, .min = 2, .max = 0, .set = words },
	{ .name = "Each", .contexts = CONF_ANY, .args = CONF_ITERATE, .set = words },
	{ .name = "Pairs", .contexts = CONF_ANY, .args = CONF_ITERATE2, .set = words },
	{ .name = "None", .contexts = CONF_ANY, .args = CONF_NO_ARGS, .set = words },
	{ .name = "Idle", .contexts = CONF_ANY, .args = CONF_RAW, .set = conf_set_notice, .extra = "nobody needs it" },
	{ .name = "<Section", .contexts = CONF_ANY, .args = CONF_SECTION, .set = enter },
	{ .name = NULL },
};
static struct conf_module module = { .name = "fuzz_module", .directives = table, .create_host = create };
static struct conf_module *const modules[] = { &module, NULL };

/* What must hold of every tree: links, positions, depth, names. */
static void check(const struct conf_node *n, const struct conf_node *parent, unsigned lines, unsigned depth)
{
	for (; n; n = n->next) {
		if (depth > CONF_NESTING_MAX || n->parent != parent || n->pos.line < 1 || n->pos.line > lines || !*n->name || !n->args)
			abort();
		if (n->section != (n->name[0] == '<') || (n->child && !n->section))
			abort();
		check(n->child, n, lines, depth + 1);
	}
}

static void run(const char *text, size_t size, unsigned lines)
{
	struct conf_env env = {
		.report = report, .has_module = has, .alloc = take, .open = no_file, .root = "/srv", .has_directive = has,
		.version = "2.4.71", .no_include = true,
	};
	struct conf_tree tree = { .first = NULL };
	struct conf_reader r = { .env = &env, .tree = &tree };
	void *host[1] = { NULL };
	struct conf_target target = { .host = host };

	conf_read_lines(&r, text, size, "f");
	if (r.top || r.nesting || r.file)
		abort();
	check(tree.first, NULL, lines, 0);
	conf_modules_number(modules);
	conf_apply(tree.first, modules, CONF_SERVER, &target, &env);
	if (world.errors > CONF_ERRORS_TOLD + 1 || (env.errors && !world.errors))
		abort();
}

static unsigned count_lines(const uint8_t *data, size_t size)
{
	unsigned lines = 1;

	while (size)
		lines += data[--size] == '\n';
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct piece *p;
	char *text = malloc(size ? size : 1);   /* exactly as long, so that a read behind it is seen */

	if (!text)
		return 0;
	clearenv();
	memcpy(text, data, size);
	world.pieces = NULL;
	world.used = 0;
	world.errors = 0;
	if (!setjmp(world.out))
		run(text, size, count_lines(data, size));
	while ((p = world.pieces)) {
		world.pieces = p->next;
		free(p);
	}
	free(text);
	return 0;
}
