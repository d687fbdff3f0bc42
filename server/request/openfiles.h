/*
 * openfiles.h - small files that were asked for lately stay open, so that asking again costs one look at the name in place of
 * opening, looking and closing. Each child has its own. For walk.c, and for whoever closes what the walk has opened.
 *
 * A descriptor is only given out when its name, looked up anew with the rights of this process, still leads to the same file
 * (device, inode, owner, mode, size, both times), so that what is replaced, shortened, removed, moved or closed off is met at
 * once. The content is read from the file each time. Where the name was not simply opened (symbolic-link options) the
 * walk does not ask here.
 *
 * Within a turn of the loop requests share a look at a name, and the content of a very small file, if it was made after their last byte had
 * been read from the socket: what was changed before they were sent is in it. To tell that, turns and reads of clients' bytes are counted.
 */
#ifndef BULKHEAD_REQUEST_OPENFILES_H
#define BULKHEAD_REQUEST_OPENFILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define OPENFILES_MOST 256              /* KeepFilesOpen at most */
#define OPENFILES_SIZE (1 << 20)        /* bytes of a file that is kept: a larger one spends its time elsewhere */
#define OPENFILES_SETTLED 2             /* s: a file that was changed later may be changed again without a new time */
#define OPENFILES_CONTENT 4096          /* bytes of a file whose content is shared within a turn: about what a system call costs */
#define OPENFILES_IDLE 5                /* s: unused for so long it is closed, when another is asked for */

/* A turn of the loop begins: nothing that was looked at before is shared any more. */
void openfile_turn(void);
/* Bytes of a client have just been read: their count, never 0, for `came` of the requests that are made of them. */
uint64_t openfile_came(void);
/*
 * The file of this absolute path, *st as it is now, or was when a look was made behind `came` (0: it is looked at anew); -1 = not kept (errno is
 * left alone). Give it back with openfile_close.
 */
int openfile_take(const char *path, time_t now, uint64_t came, struct stat *st);
/* As pread, of any descriptor; what was read behind `came` may come from memory. */
ssize_t openfile_read(int fd, void *to, size_t n, off_t at, uint64_t came);
/* The caller has opened it as it stands in *st: keeps it if that is worth while, as one of at most `most`. The caller closes it in any case. */
void openfile_offer(const char *path, int fd, const struct stat *st, time_t now, unsigned most);
/* In place of close, for a descriptor that may be kept: also of any other kind. */
void openfile_close(int fd);
/* Closes what nobody uses. Whether there was something: then a descriptor is free again. */
bool openfile_forget(void);

#endif
