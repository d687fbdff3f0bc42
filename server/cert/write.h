/*
 * write.h - files put in place whole: written beside their final name, synced, renamed. For what makes keys and
 * certificates: the first start and the tool.
 */
#ifndef BULKHEAD_CERT_WRITE_H
#define BULKHEAD_CERT_WRITE_H

#include <gnutls/gnutls.h>
#include <sys/stat.h>

#include "base/err.h"

/* Longest path that is written to, with its ending while it is temporary. */
#define CERT_PATH 4096

/*
 * Writes data into a new file beside path, with exactly this mode whatever the umask is, and synced. Where `like` is given
 * it gets that file's owner and group, as far as the caller may give them. temporary gets the new file's name, "" where it
 * failed. 0 or -1 with *e.
 */
int cert_write_beside(const char *path, char temporary[CERT_PATH], mode_t mode, const struct stat *like,
		      const gnutls_datum_t *data, struct err *e);
/* Renames it over path and syncs the folder; empties temporary. 0 or -1 with *e. */
int cert_write_publish(const char *path, char temporary[CERT_PATH], struct err *e);
/* Removes one that is not to be published; "" is fine. */
void cert_write_drop(char temporary[CERT_PATH]);

#endif
