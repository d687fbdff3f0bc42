/*
 * readreport.c - reads crash reports back: see readreport.h. Used by bulkhead-crash.
 */
#include "crashdump/readreport.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ----------------------------------------------------------------------------------------------------------- a text */

/* Every line but what ends it made printable; returns the length. Four times the room is always enough. */
static size_t clean(const char *bytes, size_t n, char *to)
{
	static const char hex[] = "0123456789abcdef";
	char *at = to;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n' || (c >= ' ' && c <= '~')) {
			*at++ = (char)c;
			continue;
		}
		*at++ = '\\';
		*at++ = 'x';
		*at++ = hex[c >> 4];
		*at++ = hex[c & 15];
	}
	*at = '\0';
	return (size_t)(at - to);
}

/* Splits "key: value" in place; false: it is none. */
static bool split(char *text, struct readreport_line *out)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (!n || text[n] != ':' || (text[n + 1] && text[n + 1] != ' '))
		return false;
	text[n] = '\0';
	out->key = text;
	out->value = text[n + 1] ? text + n + 2 : text + n + 1;
	return true;
}

int readreport_parse(const char *bytes, size_t n, struct readreport *out)
{
	static const char head[] = "crash-report: ";
	const char *end = "";
	size_t length, count = 1;
	bool terminated;
	char *rest;

	memset(out, 0, sizeof *out);
	if (n > READREPORT_BYTES) {
		errno = EFBIG;
		return -1;
	}
	if (!(out->text = malloc(4 * n + 1)))
		return -1;
	length = clean(bytes, n, out->text);
	if (strncmp(out->text, head, sizeof head - 1) != 0) {
		errno = EBADMSG;
		return -1;
	}
	if (strncmp(out->text + sizeof head - 1, "1\n", 2) != 0) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	terminated = length && out->text[length - 1] == '\n';
	for (size_t i = 0; i < length; i++)
		count += out->text[i] == '\n';
	if (!(out->line = calloc(count, sizeof *out->line)))
		return -1;
	rest = out->text;
	for (char *text; (text = strsep(&rest, "\n"));) {
		/* What follows the last line end is the end of the text, or half a line. */
		struct readreport_line l = { "", "" };

		if (!*text)
			continue;
		if (split(text, &l))
			out->line[out->lines++] = l;
		end = strcmp(l.key, "end") ? "" : l.value;
	}
	out->state = !terminated ? READREPORT_CUT : !strcmp(end, "complete") ? READREPORT_COMPLETE :
		     !strcmp(end, "raw") ? READREPORT_RAW : READREPORT_CUT;
	return 0;
}

static int read_whole(int fd, size_t size, struct readreport *out)
{
	char *bytes = malloc(size + 1);
	size_t got = 0;
	ssize_t n = 1;
	int result, error;

	if (!bytes)
		return -1;
	while (got < size && (n = read(fd, bytes + got, size - got)) != 0) {
		if (n > 0)
			got += (size_t)n;
		else if (errno != EINTR)
			break;
	}
	result = n < 0 ? -1 : readreport_parse(bytes, got, out);
	error = errno;
	free(bytes);
	errno = error;
	return result;
}

int readreport_open(int dir_fd, const char *name, struct readreport *out)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), result = -1, error;
	struct stat st;

	memset(out, 0, sizeof *out);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		error = errno;
	else if (!S_ISREG(st.st_mode))
		error = EINVAL;
	else if (st.st_size > (off_t)READREPORT_BYTES)
		error = EFBIG;
	else
		error = (result = read_whole(fd, (size_t)st.st_size, out)) < 0 ? errno : 0;
	if (!result)
		out->owner = st.st_uid;
	close(fd);
	errno = error;
	return result;
}

void readreport_free(struct readreport *r)
{
	free(r->line);
	free(r->text);
	memset(r, 0, sizeof *r);
}

const char *readreport_state_word(enum readreport_state state)
{
	return state == READREPORT_COMPLETE ? "complete" : state == READREPORT_RAW ? "raw" : "cut";
}

/* ----------------------------------------------------------------------------------------------------------- values */

const char *readreport_value(const struct readreport *r, const char *key)
{
	for (size_t i = 0; i < r->lines; i++)
		if (!strcmp(r->line[i].key, key))
			return r->line[i].value;
	return "";
}

bool readreport_next(const char **at, struct readreport_pair *out)
{
	size_t n;
	char *equals;

	*at += strspn(*at, " ");
	n = strcspn(*at, " ");
	if (!n)
		return false;
	snprintf(out->room, sizeof out->room, "%.*s", n < sizeof out->room ? (int)n : (int)sizeof out->room - 1, *at);
	*at += n;
	out->name = out->room;
	out->value = NULL;
	if ((equals = strchr(out->room, '='))) {
		*equals = '\0';
		out->value = equals + 1;
	}
	return true;
}

void readreport_word(const char *value, const char *name, char *out, size_t room)
{
	struct readreport_pair p;

	out[0] = '\0';
	while (readreport_next(&value, &p))
		if (p.value && !strcmp(p.name, name)) {
			snprintf(out, room, "%s", p.value);
			return;
		}
}

time_t readreport_time(const struct readreport *r)
{
	struct tm tm = { .tm_isdst = 0 };
	const char *end = strptime(readreport_value(r, "time"), "%Y-%m-%dT%H:%M:%S", &tm);

	return end && (*end == '.' || *end == 'Z') ? timegm(&tm) : -1;
}

/* A number in front of *at, "0x" before a hexadecimal one; the end moves behind it. */
static bool number(char **at, unsigned base, uint64_t *out)
{
	char *end;

	if (base == 16) {
		if ((*at)[0] != '0' || (*at)[1] != 'x')
			return false;
		*at += 2;
	}
	if (!isxdigit((unsigned char)**at))
		return false;
	errno = 0;
	*out = strtoull(*at, &end, (int)base);
	if (errno || end == *at)
		return false;
	*at = end;
	return true;
}

/* Cuts "TEXT+0xOFFSET" behind its text; *next is what follows the word. false: it is not of that form. */
static bool with_offset(char *at, uint64_t *offset, char **next)
{
	for (char *plus = strstr(at, "+0x"); plus; plus = strstr(plus + 1, "+0x")) {
		char *end = plus + 1;

		if (!number(&end, 16, offset) || (*end && *end != ' '))
			continue;
		*next = *end ? end + 1 : end;
		*plus = '\0';
		return true;
	}
	return false;
}

static bool module_part(char **at, struct readreport_frame *f)
{
	char *p = *at;

	if (p[0] == '?' && (!p[1] || p[1] == ' ')) {
		*at = p + (p[1] ? 2 : 1);
		return true;
	}
	f->module = p;
	return with_offset(p, &f->module_offset, at);
}

/* What is left: FUNCTION[+0xOFFSET] FILE:LINE, each of them may be missing. */
static bool function_part(char *p, struct readreport_frame *f)
{
	char *space = strchr(p, ' '), *colon, *next;
	uint64_t line = 0;

	if (!*p)
		return true;
	if (space)
		*space = '\0';
	f->function = p;
	f->has_offset = with_offset(p, &f->function_offset, &next);
	if (!space)
		return true;
	f->file = space + 1;
	if ((colon = strrchr(space + 1, ':'))) {
		char *digits = colon + 1;

		if (!number(&digits, 10, &line) || *digits || line > INT_MAX)
			return false;
		f->line = (unsigned)line;
		*colon = '\0';
	}
	return true;
}

bool readreport_frame(const char *value, struct readreport_frame *f)
{
	uint64_t n;
	char *p = f->room, *trust;

	f->module = f->build_id = f->function = f->file = "";
	f->module_offset = f->function_offset = 0;
	f->has_offset = false;
	f->line = 0;
	if (snprintf(f->room, sizeof f->room, "%s", value) >= (int)sizeof f->room)
		return false;
	if (!(trust = strrchr(p, ' ')))
		return false;
	if (!strncmp(trust, " trust=", 7))
		f->trust = trust + 7;
	else if (!strcmp(trust, " ?scan"))
		f->trust = trust + 2;
	else
		return false;
	*trust = '\0';
	if (!number(&p, 10, &n) || n > INT_MAX || *p++ != ' ' || !number(&p, 16, &f->pc) || *p++ != ' ')
		return false;
	f->number = (unsigned)n;
	if (!module_part(&p, f))
		return false;
	if (!strncmp(p, "build-id=", 9)) {
		char *end = p + strcspn(p, " ");

		f->build_id = p + 9;
		p = *end ? end + 1 : end;
		*end = '\0';
	}
	return function_part(p, f);
}

bool readreport_event(const char *value, struct readreport_event *out)
{
	char *end;
	int used = 0;

	errno = 0;
	out->ms = strtoll(value, &end, 10);
	if (errno || end == value || strncmp(end, " ms ", 4) != 0)
		return false;
	return sscanf(end + 4, "%31s %19" SCNu64 "%n", out->what, &out->number, &used) == 2 && !end[4 + used];
}

bool readreport_where(const struct readreport *r, struct readreport_frame *out)
{
	const char *program = readreport_value(r, "executable");

	for (size_t i = 0; i < r->lines; i++) {
		if (strcmp(r->line[i].key, "frame") != 0)
			continue;
		if (readreport_frame(r->line[i].value, out) && out->function[0] && !strcmp(out->module, program))
			return true;
	}
	return readreport_frame(readreport_value(r, "frame"), out);
}

/* ------------------------------------------------------------------------------------------------------- a folder */

bool readreport_is_name(const char *name, struct readreport_file *out)
{
	static const char head[] = "bulkhead-crash-";
	const char *p = name + sizeof head - 1;
	struct tm tm = { .tm_isdst = 0 };
	size_t pid, more = 0;

	if (strncmp(name, head, sizeof head - 1) != 0 || strlen(name) >= sizeof out->name)
		return false;
	for (unsigned i = 0; i < 15; i++)
		if (i == 8 ? p[i] != '-' : !isdigit((unsigned char)p[i]))
			return false;
	if (!strptime(p, "%Y%m%d-%H%M%S", &tm) || p[15] != '-')
		return false;
	p += 16;
	pid = strspn(p, "0123456789");
	if (!pid || pid > 9)
		return false;
	if (p[pid] == '-' && p[pid + 1] >= '2' && p[pid + 1] <= '9')
		more = 2;
	if (strcmp(p + pid + more, ".txt") != 0)
		return false;
	snprintf(out->name, sizeof out->name, "%s", name);
	out->time = timegm(&tm);
	out->pid = (pid_t)strtol(p, NULL, 10);
	return true;
}

/* Newest first. Of two in one second the later name counts as newer. */
static int newer(const void *a, const void *b)
{
	const struct readreport_file *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? 1 : -1;
	return strcmp(y->name, x->name);
}

ssize_t readreport_folder(int dir_fd, struct readreport_file **out)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct readreport_file *list = NULL, one;
	size_t count = 0, room = 0;
	struct dirent *e;

	*out = NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (count < READREPORT_FILES && (e = readdir(dir))) {
		if (!readreport_is_name(e->d_name, &one))
			continue;
		if (count == room) {
			void *grown = realloc(list, (room = room ? 2 * room : 64) * sizeof *list);

			if (!grown) {
				free(list);
				closedir(dir);
				return -1;
			}
			list = grown;
		}
		list[count++] = one;
	}
	closedir(dir);
	if (count)
		qsort(list, count, sizeof *list, newer);
	*out = list;
	return (ssize_t)count;
}
