/*
 * cgiwhy.c - why a program does not run, or ended: the sentences that name what is to be mended. Runs in the children.
 */
#include "handler/cgiwhy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handler/cgilog.h"
#include "log/log.h"
#include "request/core.h"

/* The interpreter that the first line names, and whether that line ends as Windows writes it. */
static const char *interpreter_of(struct request *r, bool *carriage_return)
{
	char line[256];
	int fd = open(r->filename, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;
	const char *p = line;

	if (fd >= 0)
		close(fd);
	*carriage_return = false;
	if (n < 3 || line[0] != '#' || line[1] != '!')
		return NULL;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	*carriage_return = strchr(line, '\r') != NULL;
	p += 2 + strspn(line + 2, " \t");
	return arena_strndup(r->arena, p, strcspn(p, " \t\r"));
}

/* Why a file cannot be executed, and what to do. */
const char *cgi_why_not_executed(struct request *r, int errnum)
{
	bool windows;
	const char *interpreter;

	switch (errnum) {
	case EACCES:
		return "permission denied: the user of the server may not execute it (chmod +x), or may not reach it, or its file system is mounted noexec";
	case ENOENT:
		interpreter = interpreter_of(r, &windows);
		if (windows)
			return "its first line ends in a carriage return, so that no such interpreter is found: save it with Unix line ends (sed -i 's/\\r$//')";
		if (interpreter)
			return arena_printf(r->arena, "the interpreter %s of its first line does not exist here", interpreter);
		return "its interpreter or a library of it does not exist";
	case ENOEXEC:
		return "it is neither a program of this machine nor does it begin with #! and an interpreter, such as #!/bin/sh";
	case E2BIG:
		return "its variables are too long together";
	case EAGAIN:
	case ENOMEM:
		return "there is no memory, or RLimitNPROC or RLimitMEM are too low";
	default:
		return strerrordesc_np(errnum) ? strerrordesc_np(errnum) : "unknown error";
	}
}

static const char *const unsafe[SPAWN_CHECKS] = {
	[SPAWN_CHECK_PLACE] = "it lies neither below the DocumentRoot of a host with that account nor where an Alias of it leads",
	[SPAWN_CHECK_REACH] = "that account cannot reach it: let it enter the folders above (chmod o+x)",
	[SPAWN_CHECK_LINK] = "it is a symbolic link, or lies behind one: name the real folder in the configuration",
	[SPAWN_CHECK_FOLDER_WRITABLE] = "its folder can be written by others than that account: chmod go-w mends it",
	[SPAWN_CHECK_WRITABLE] = "it can be written by others than that account: chmod go-w mends it",
	[SPAWN_CHECK_SETUID] = "it is setuid or setgid: chmod ug-s mends it",
	[SPAWN_CHECK_OWNER] = "its owner and group are others: chown mends it",
	[SPAWN_CHECK_FOLDER_OWNER] = "owner and group of its folder are others: chown mends it",
};

static const char *why_not(struct request *r, enum spawn_stage stage, int errnum)
{
	const char *words = stage == SPAWN_UNSAFE ? NULL : strerrordesc_np(errnum);

	switch (stage) {
	case SPAWN_EXEC:
		return arena_printf(r->arena, "it cannot be executed: %s", cgi_why_not_executed(r, errnum));
	case SPAWN_FOLDER:
		return arena_printf(r->arena, "its folder cannot be entered: %s", words);
	case SPAWN_LIMITS:
		return arena_printf(r->arena, "its limits (RLimitCPU, RLimitMEM, RLimitNPROC) cannot be set: %s", words);
	case SPAWN_UNSAFE:
		return arena_printf(r->arena, "it may not run as the account that SuexecUserGroup names: %s", errnum > 0 && errnum < SPAWN_CHECKS ? unsafe[errnum] : "?");
	case SPAWN_REFUSED:
		return "no ScriptAlias leads there, and no <Directory> with Options ExecCGI stands for its folder";
	case SPAWN_GONE:
		return "the process that starts programs (the spawner) died over it; the next request finds another";
	default:
		return "too many programs run already, or memory ran out";
	}
}

unsigned cgi_tell_not_run(struct request *r, enum spawn_stage stage, int errnum)
{
	bool tried = stage == SPAWN_EXEC || stage == SPAWN_FOLDER || stage == SPAWN_LIMITS;
	unsigned status = tried || stage == SPAWN_UNSAFE || stage == SPAWN_REFUSED || stage == SPAWN_GONE ? 500 : 503;
	const char *why = why_not(r, stage, errnum);

	why = why ? why : "memory ran out";
	log_errorx(&r->client->about, LOG_CGI, stage == SPAWN_UNSAFE ? "BH0697" : tried ? "BH0663" : stage == SPAWN_REFUSED ? "BH0662" : "BH0669", "%s%s is not run: %s",
		   tried ? "couldn't create child process: " : "", r->filename, why);
	cgilog_not_run(r, status, why);
	return status;
}

/* Why the file is not run; 0: it is. */
unsigned cgi_refuses(struct request *r)
{
	const struct log_about *about = &r->client->about;

	if (!r->scripted && !(core_options(core_section_of(r)) & CORE_OPT_EXECCGI)) {
		log_errorx(about, LOG_CGI, "BH0664", "Options ExecCGI is off in this directory: %s is not run, and its source is not sent; say Options +ExecCGI there",
			   r->filename ? r->filename : r->path);
		cgilog_not_run(r, 403, "Options ExecCGI is off in this directory");
		return 403;
	}
	if (!r->filename || !r->found) {
		log_infox(about, LOG_CGI, "BH0670", "script not found: %s", r->filename ? r->filename : r->path);
		cgilog_not_run(r, 404, "script not found or unable to stat");
		return 404;
	}
	if (S_ISDIR(r->st.st_mode)) {
		log_errorx(about, LOG_CGI, "BH0671", "attempt to invoke directory as script: %s", r->filename);
		cgilog_not_run(r, 403, "attempt to invoke directory as script");
		return 403;
	}
	if (r->path_info && *r->path_info && core_section_of(r)->path_info == CORE_PATH_INFO_OFF) {
		log_infox(about, LOG_CGI, "BH0670", "%s: AcceptPathInfo is off, and the path goes on behind the script", r->filename);
		cgilog_not_run(r, 404, "AcceptPathInfo off disallows user's path");
		return 404;
	}
	return 0;
}

/* How a program ended, as words; "" where that says nothing. */
const char *cgi_end_words(struct request *r, bool ended, int status)
{
	if (!ended)
		return "";
	if (status == -1)
		return ": the process that had started it (the spawner) was killed or crashed, and took it with it";
	if (WIFSIGNALED(status)) {
		int n = WTERMSIG(status);
		const char *text = arena_printf(r->arena, ": it was ended by signal %d (%s)%s", n, strsignal(n),
						n == SIGXCPU || n == SIGKILL ? ": look at RLimitCPU, RLimitMEM and the memory of the machine" : "");
		return text ? text : "";
	}
	return WEXITSTATUS(status) ? arena_printf(r->arena, ": it ended with exit status %d", WEXITSTATUS(status)) : "";
}
