/*
 * singlecrash.c - -X: there is no master that could have a report written, so the crash handler does: after its snapshot,
 * and before the process dies of its signal, it forks and executes this program again with a hidden word. That one finds
 * the snapshot in memory that it inherits, writes the report into CoreDumpDirectory and names it on the terminal.
 */
#include "process/singlecrash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/version.h"
#include "crashdump/crashdump.h"
#include "log/log.h"
#include "process/shared.h"

#define REPORT_S 15             /* the writer ends itself … */
#define WATCHDOG_S 20           /* … before the crash handler gives it up */

static struct crash_files files = { -1, -1 };
static int program = -1;        /* this program, wherever a new root folder leads */
static char pool_word[12], dir_word[12];

void singlecrash_open(const struct config *cfg)
{
	struct err e = { .text = "" };

	shared_core_dir(cfg);
	program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (program < 0 || crash_files_open(&files) < 0 || shared_single_pool(&e) < 0)
		log_warn(NULL, LOG_CRASH, "BH0105", "what a crash report needs cannot be had: a crash may leave none");
}

/* In the signal handler: system calls only. Its signals are blocked here; the writer unblocks them. */
static void report(void)
{
	const char *const argv[] = { "bulkhead", SINGLECRASH_WORD, pool_word, dir_word, shared.core_dir, NULL };
	static const char *const envp[] = { "PATH=/usr/bin:/bin", NULL };
	static const char failed[] = "bulkhead: it crashed, and the writer of crash reports could not be executed\n";
	pid_t pid = _Fork();

	if (pid == 0) {
		fcntl(shared.crash_fd, F_SETFD, 0);
		fcntl(shared.core_dir_fd, F_SETFD, 0);
		syscall(SYS_execveat, program, "", argv, envp, AT_EMPTY_PATH);
		if (write(2, failed, sizeof failed - 1) < 0)
			_exit(2);
		_exit(1);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void singlecrash_install(struct activity *activity, const volatile int *fds, unsigned nfds)
{
	bool reports = program >= 0 && shared.crash_pool && shared.core_dir_fd >= 0;

	snprintf(pool_word, sizeof pool_word, "%d", shared.crash_fd);
	snprintf(dir_word, sizeof dir_word, "%d", shared.core_dir_fd);
	if (crash_install(&(struct crash_options){
		    .pool = shared.crash_pool,
		    .activity = activity,
		    .report = reports ? report : NULL,
		    .release = shared_crash_release,
		    .client_fds = fds,
		    .client_count = nfds,
		    .files = files,
		    .watchdog_s = WATCHDOG_S,
		    .role = "single",
	    }) < 0)
		log_warn(NULL, LOG_CRASH, "BH0105", "no crash handler: a crash will leave no report");
}

/* ------------------------------------------------------------------------------------------------ the writer */

int singlecrash_main(char **words)
{
	int pool_fd = atoi(words[0]), dir_fd = atoi(words[1]);
	size_t size = crash_pool_size(1);
	char answer[1024] = "";
	struct stat st;
	sigset_t none;
	void *pool;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(REPORT_S);
	if (fstat(pool_fd, &st) < 0 || st.st_size < (off_t)size ||
	    (pool = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, pool_fd, 0)) == MAP_FAILED || crash_pool_init(pool, 1) < 0) {
		fprintf(stderr, "bulkhead: %s is for the server's crash handler alone\n", SINGLECRASH_WORD);
		return 1;
	}
	int rc = crash_report(pool, 0,
			      &(struct crash_report_options){ .kind = CRASH_KIND_SINGLE,
							      .dir_fd = dir_fd,
							      .dir = words[2],
							      .core_reason = "not yet: the kernel writes it after this report, if it does",
							      .version = "Bulkhead/" BULKHEAD_VERSION },
			      answer, sizeof answer);
	fprintf(stderr, "bulkhead: it crashed: %s\n", answer);
	return rc < 0 ? 1 : 0;
}
