/*
 * ticketfile.c - reads a file that SSLSessionTicketKeyFile names, and makes a seed of its bytes. Runs in the master and, for a
 * check, in a job.
 */
#include "process/ticketfile.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

static int whole_read(int fd, unsigned char *buf, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(fd, buf + have, n - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		have += (size_t)got;
	}
	return 0;
}

/* The bytes are material: what is kept is this HMAC of them. The id tells contents apart, not what they are. */
static int derive(struct file_seed *f, const unsigned char *bytes, size_t n)
{
	static const char label[] = "bulkhead session ticket seed 1", name[] = "bulkhead session ticket seed's name 1";
	unsigned char digest[64];
	int r = gnutls_hmac_fast(GNUTLS_MAC_SHA512, label, sizeof label - 1, bytes, n, f->seed);

	if (r >= 0)
		r = gnutls_hmac_fast(GNUTLS_MAC_SHA512, f->seed, sizeof f->seed, name, sizeof name - 1, digest);
	if (r < 0)
		return -1;
	memcpy(&f->id, digest, sizeof f->id);
	f->id ^= f->group;              /* a file of two groups has two seeds in the ring */
	f->id += f->id == 0;
	secret_wipe(digest, sizeof digest);
	return 0;
}

static int read_bytes(int fd, struct file_seed *f, struct err *e)
{
	unsigned char bytes[80];
	struct stat st;
	int rc = -1;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		err_set(e, "SSLSessionTicketKeyFile: %s is not a plain file", f->file.path);
		return err_remedy(e, "head -c 80 /dev/urandom > FILE; chmod 600 FILE; the same file on all machines");
	}
	if (st.st_size != 48 && st.st_size != 80) {
		err_set(e, "SSLSessionTicketKeyFile: %s has %lld bytes: it must have 48 or 80", f->file.path, (long long)st.st_size);
		return err_remedy(e, "head -c 80 /dev/urandom > FILE; chmod 600 FILE; the same file on all machines");
	}
	if (whole_read(fd, bytes, (size_t)st.st_size) < 0) {
		err_sys(e, "SSLSessionTicketKeyFile: %s cannot be read", f->file.path);
	} else if (memcmp(bytes, bytes + 1, (size_t)st.st_size - 1) == 0) {
		err_set(e, "SSLSessionTicketKeyFile: all bytes of %s are the same: anybody can guess the key", f->file.path);
		err_remedy(e, "head -c 80 /dev/urandom > FILE; chmod 600 FILE; the same file on all machines");
	} else if (derive(f, bytes, (size_t)st.st_size) < 0) {
		err_set(e, "SSLSessionTicketKeyFile: no seed can be made of %s", f->file.path);
	} else {
		rc = 0;
	}
	secret_wipe(bytes, sizeof bytes);
	return rc;
}

int ticketfile_read(struct file_seed *f, unsigned *open_to, struct err *e)
{
	int fd = open(f->file.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
	struct stat st;

	*open_to = 0;
	err_at(e, f->file.pos.file, f->file.pos.line);
	if (fd < 0) {
		bool absent = errno == ENOENT;

		err_sys(e, "SSLSessionTicketKeyFile: %s cannot be opened", f->file.path);
		return err_remedy(e, absent ? "make one and copy it to all machines: head -c 80 /dev/urandom > FILE; chmod 600 FILE"
					    : "start as root, or give the server's user the right to read it");
	}
	rc = read_bytes(fd, f, e);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && ((st.st_mode & S_IROTH) || ((st.st_mode & S_IRGRP) && st.st_uid != 0)))
		*open_to = (unsigned)(st.st_mode & 07777);
	close(fd);
	return rc;
}
