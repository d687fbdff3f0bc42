/*
 * request.c - the request object itself: made by conn/ (and by internal redirects), in a child.
 */
#include "request/request.h"

#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "request/openfiles.h"

struct request *request_new(struct arena *a)
{
	struct request *r = arena_zalloc(a, sizeof *r);

	if (!r)
		return NULL;
	r->arena = a;
	r->fd = -1;
	r->status = 200;
	r->length = -1;
	r->modified = -1;
	r->hostname = "";
	fields_init(&r->in, a);
	fields_init(&r->env, a);
	fields_init(&r->out, a);
	fields_init(&r->always, a);
	return r;
}

int request_note(struct request *r, const char *name, const char *value)
{
	if (!r->notes.arena)
		fields_init(&r->notes, r->arena);
	return fields_set(&r->notes, name, value);
}

struct text request_env(const struct request *r, const char *name)
{
	struct text value = r->env.n ? fields_get(&r->env, name) : (struct text){ NULL, 0 };

	return !value.p && *name == 'U' && strcmp(name, "UNIQUE_ID") == 0 ? text_of(request_id(r)) : value;
}

/* What tells this process from all others, wherever they run: drawn when the first request asks. */
static const unsigned char *process_mark(void)
{
	static unsigned char mark[10];
	static pid_t drawn_by;

	if (drawn_by != getpid()) {             /* a child does not share what its master has drawn */
		drawn_by = getpid();
		if (secret_random(mark, sizeof(mark)) != 0)
			memcpy(mark, &drawn_by, sizeof(drawn_by));      /* the kernel gives none: the number of the process, then */
	}
	return mark;
}

/* Three bytes become four letters; n is a multiple of 3. */
static void as_letters(const unsigned char *bytes, size_t n, char *text)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@-";

	for (size_t i = 0; i < n; i += 3) {
		uint32_t three = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
		for (int shift = 18; shift >= 0; shift -= 6)
			*text++ = letters[three >> shift & 63];
	}
}

const char *request_id(const struct request *r)
{
	uint32_t numbers[3] = { (uint32_t)r->received.tv_sec, (uint32_t)r->client->id, r->client->requests };
	unsigned char bytes[24] = { 0 };
	char text[32];

	memcpy(bytes, numbers, sizeof(numbers));
	memcpy(bytes + sizeof(numbers), process_mark(), 10);
	as_letters(bytes, sizeof(bytes), text);
	return arena_strndup(r->arena, text, 30);       /* 22 bytes are meant */
}

void request_connection_id(const struct client *c, char *id)
{
	uint32_t number = (uint32_t)c->id;
	unsigned char bytes[12];

	memcpy(bytes, &number, sizeof(number));
	memcpy(bytes + sizeof(number), process_mark(), 8);
	as_letters(bytes, sizeof(bytes), id);
	id[16] = '\0';
}

void request_close(struct request *r)
{
	if (r->fd >= 0)
		openfile_close(r->fd);
	r->fd = -1;
}

int request_take(struct request *r)
{
	int fd = r->fd;

	r->fd = -1;
	return fd;
}

static void close_fd(void *arg)
{
	request_close(arg);
}

int request_keep(struct request *r)
{
	if (!r->fd_kept && arena_cleanup(r->arena, close_fd, r) != 0)
		return -1;
	r->fd_kept = true;
	return 0;
}
