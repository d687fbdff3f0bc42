/*
 * write.c - files put in place whole, so that a reader or a kill finds the old one or the new one, never a part. Runs in
 * the master before it forks (the first start's certificate) and in the tool.
 */
#include "cert/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, const gnutls_datum_t *data)
{
	size_t done = 0;

	while (done < data->size) {
		ssize_t n = write(fd, data->data + done, data->size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/* The mode last: a change of owner takes bits away. Until then it is 0600. */
static int dress(int fd, mode_t mode, const struct stat *like)
{
	if (like && fchown(fd, geteuid() == 0 ? like->st_uid : (uid_t)-1, like->st_gid) != 0) {
		if (errno != EPERM)
			return -1;
		mode &= ~(mode_t)S_IRWXG;       /* another group than the one these bits were meant for */
	}
	return fchmod(fd, mode) != 0 || fsync(fd) != 0 ? -1 : 0;
}

int cert_write_beside(const char *path, char temporary[CERT_PATH], mode_t mode, const struct stat *like,
		      const gnutls_datum_t *data, struct err *e)
{
	int fd;

	if (snprintf(temporary, CERT_PATH, "%s.XXXXXX", path) >= CERT_PATH) {
		temporary[0] = '\0';
		return err_set(e, "the path is too long: %s", path);
	}
	fd = mkostemp(temporary, O_CLOEXEC);            /* O_EXCL, 0600 */
	if (fd < 0) {
		err_sys(e, "%s cannot be made", temporary);
		temporary[0] = '\0';
		return err_remedy(e, "make the folder, writable for who runs this");
	}
	if (write_all(fd, data) != 0 || dress(fd, mode, like) != 0) {
		err_sys(e, "%s cannot be written", temporary);
		close(fd);
		cert_write_drop(temporary);
		return -1;
	}
	close(fd);
	return 0;
}

/* A rename is on the disk when its folder is. Some file systems cannot sync folders: nothing is lost by that. */
static void sync_folder(const char *path)
{
	char folder[CERT_PATH];
	const char *slash = strrchr(path, '/');
	int fd;

	snprintf(folder, sizeof folder, "%.*s",
		 !slash          ? 1
		 : slash == path ? 1
				 : (int)(slash - path),
		 slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
}

int cert_write_publish(const char *path, char temporary[CERT_PATH], struct err *e)
{
	if (rename(temporary, path) != 0) {
		err_sys(e, "%s cannot be put in place", path);
		return -1;
	}
	temporary[0] = '\0';
	sync_folder(path);
	return 0;
}

void cert_write_drop(char temporary[CERT_PATH])
{
	if (temporary[0])
		unlink(temporary);
	temporary[0] = '\0';
}
