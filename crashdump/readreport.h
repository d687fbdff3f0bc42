/*
 * readreport.h - reads crash reports back. A report is written by an unprivileged account that may have been taken over,
 * perhaps in a folder where everybody can write: so names are matched strictly, only regular files of bounded size are
 * opened (no link, no FIFO), every byte that is not printable ASCII is shown as \xNN, and nothing in a text is trusted to
 * be of any form. Any process; no state. The form: docs/crash-report-format.md.
 */
#ifndef BULKHEAD_CRASHDUMP_READREPORT_H
#define BULKHEAD_CRASHDUMP_READREPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define READREPORT_BYTES (1u << 20)     /* no report is larger */
#define READREPORT_NAME  64             /* a file's name, with its end */
#define READREPORT_FILES 20000          /* so many of a folder are looked at */

enum readreport_state {
	READREPORT_COMPLETE,            /* end: complete */
	READREPORT_RAW,                 /* end: raw: the step that finds names did not come to its end */
	READREPORT_CUT                  /* no end: a full disk, or it is being written */
};

/* "complete", "raw" or "cut". */
const char *readreport_state_word(enum readreport_state state);

struct readreport_line {
	const char *key, *value;        /* terminated, printable */
};

struct readreport {
	enum readreport_state state;
	size_t lines;
	struct readreport_line *line;   /* in the file's order; what is no `key: value` is left out */
	char *text;
	uid_t owner;                    /* of the file; readreport_open only */
};

/* Reads a text. Returns 0, or -1 with errno: EBADMSG it is no report, EPROTONOSUPPORT one of another form, ENOMEM.
 * Free with readreport_free, also after a failure. */
int readreport_parse(const char *bytes, size_t n, struct readreport *out);
/* Opens and reads a file of a folder, or by its path with AT_FDCWD. Besides the above: EINVAL says that it is no regular
 * file, EFBIG that it is larger than any report, ELOOP that it is a link. */
int readreport_open(int dir_fd, const char *name, struct readreport *out);
void readreport_free(struct readreport *r);

/* The first value of a key; "" when there is none. */
const char *readreport_value(const struct readreport *r, const char *key);
/* A word of a value made of name=value words, such as the pid of `process`. Into `out`, cut to fit; "" when it is not there. */
void readreport_word(const char *value, const char *name, char *out, size_t room);
/* Steps over a value made of words: copies the next name=value (a word without '=' has value NULL). The pointers lead
 * into `room`. false at the end. */
struct readreport_pair {
	char room[512];
	const char *name, *value;
};
bool readreport_next(const char **at, struct readreport_pair *out);
/* `time` as seconds since the epoch; -1 when it is not there. */
time_t readreport_time(const struct readreport *r);

/* A `frame` or `raw-frame`, in parts; "" and 0 for what is left out. */
struct readreport_frame {
	char room[1600];
	unsigned number;
	uint64_t pc, module_offset, function_offset;
	const char *module, *build_id, *function, *file, *trust;        /* trust: "scan" for ?scan */
	bool has_offset;                /* of the function: an inlined one has none */
	unsigned line;
};
/* false: the value is not of that form. */
bool readreport_frame(const char *value, struct readreport_frame *out);
struct readreport_event {
	int64_t ms;                     /* relative to the crash */
	char what[32];
	uint64_t number;
};
bool readreport_event(const char *value, struct readreport_event *out);
/* The frame to name in a headline: the innermost of the program itself with a function, else the innermost. false: none. */
bool readreport_where(const struct readreport *r, struct readreport_frame *out);

/* A report's file: its name says when and whom. */
struct readreport_file {
	char name[READREPORT_NAME];
	time_t time;                    /* of the crash */
	pid_t pid;
};
/* Whether a name is that of a report. */
bool readreport_is_name(const char *name, struct readreport_file *out);
/* The reports of a folder, newest first (malloc), into *out. Returns how many, or -1 with errno. */
ssize_t readreport_folder(int dir_fd, struct readreport_file **out);

#endif
