/*
 * folder.c - the folder of reports for bulkhead-crash: opening it, and finding the report that a word means.
 */
#include "crashdump/tool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crashdump/print.h"

const char *tool_printable(const char *text)
{
	static char memory[4][1024];
	static unsigned turn;
	char *out = memory[turn++ % 4];

	print_clean(out, sizeof memory[0], text);
	return out;
}

const char *tool_why_unreadable(int error)
{
	switch (error) {
	case EBADMSG:
		return "it does not begin as a crash report does";
	case EPROTONOSUPPORT:
		return "it is of a form that this program does not know";
	case EINVAL:
		return "it is no regular file";
	case ELOOP:
		return "it is a symbolic link, and these are not followed";
	case EFBIG:
		return "it is larger than a report ever is";
	case EACCES:
		return "you may not read it; reports belong to the account of the server's children: try as root";
	default:
		return strerror(error);
	}
}

int tool_folder(const char *dir)
{
	const char *name = dir ? dir : TOOL_FOLDER;
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == EACCES)
		tool_fail("it belongs to the account of the server's children: try as root",
			  "you may not look into %s", tool_printable(name));
	else if (errno == ENOENT && !dir)
		tool_fail("the server makes it when it starts; another CoreDumpDirectory is named by -d DIR",
			  "there is no folder %s", tool_printable(name));
	else
		tool_fail("", "%s cannot be opened as a folder: %s", tool_printable(name), strerror(errno));
	return -1;
}

static int open_one(int fd, const char *name, struct readreport *out)
{
	if (readreport_open(fd, name, out) == 0)
		return 0;
	int error = errno;
	readreport_free(out);
	tool_fail("", "%s cannot be read: %s", tool_printable(name), tool_why_unreadable(error));
	return -1;
}

/* The newest that fits and can be read. */
static int open_newest(int fd, const char *dir, pid_t pid, struct readreport *out, char *name)
{
	struct readreport_file *files;
	ssize_t n = readreport_folder(fd, &files);
	int error = 0;

	for (ssize_t i = 0; i < n; i++) {
		if (pid && files[i].pid != pid)
			continue;
		memcpy(name, files[i].name, READREPORT_NAME);
		if (readreport_open(fd, name, out) == 0) {
			free(files);
			return 0;
		}
		error = error ? error : errno;
		readreport_free(out);
	}
	free(files);
	if (error)
		tool_fail("", "%s cannot be read: %s", name, tool_why_unreadable(error));
	else if (n < 0)
		tool_fail("", "%s cannot be read", dir);
	else if (pid)
		tool_fail("'bulkhead-crash list -a' tells which there are", "no report of process %d in %s", (int)pid, dir);
	else
		tool_fail("no child has crashed, or CoreDumpDirectory names another folder: then use -d DIR",
			  "no crash report in %s", dir);
	return -1;
}

int tool_find(const char *dir, const char *word, struct readreport *out, char name[READREPORT_NAME])
{
	const char *shown = tool_printable(dir ? dir : TOOL_FOLDER);
	struct readreport_file file;
	int fd, result;

	name[0] = '\0';
	if (word && strchr(word, '/')) {
		snprintf(name, READREPORT_NAME, "%s", tool_printable(strrchr(word, '/') + 1));
		return open_one(AT_FDCWD, word, out);
	}
	if ((fd = tool_folder(dir)) < 0)
		return -1;
	if (!word || !strcmp(word, "newest")) {
		result = open_newest(fd, shown, 0, out, name);
	} else if (readreport_is_name(word, &file)) {
		memcpy(name, file.name, READREPORT_NAME);
		result = open_one(fd, name, out);
	} else if (strspn(word, "0123456789") == strlen(word) && strlen(word) < 10 && atoi(word) > 0) {
		result = open_newest(fd, shown, (pid_t)atoi(word), out, name);
	} else {
		tool_fail("give the name of a report, the number of a process, or a path with a slash (./FILE)",
			  "%s is no name of a report", tool_printable(word));
		result = -1;
	}
	close(fd);
	return result;
}
