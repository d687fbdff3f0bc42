/*
 * spawncheck.c - suEXEC's checks. They are made by the spawner of the account, which has no other rights: what it cannot see it does not
 * run. Between check and start only the account itself, and root, could change the program: others may write neither it nor its folder.
 */
#include "process/spawncheck.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "request/account.h"
#include "request/scripts.h"

static bool is_ours(const struct stat *st, const struct account *a)
{
	return st->st_uid == a->uid && st->st_gid == a->gid;
}

enum spawn_check spawncheck(const struct site *s, const struct account *a, const char *path, const char *dir)
{
	struct stat folder, file;
	char real[PATH_MAX];

	if (!scripts_contained(s, path, a->number))
		return SPAWN_CHECK_PLACE;
	/* A link in the way could lead out of the site: the configuration names real folders. */
	if (!realpath(dir, real) || stat(real, &folder) != 0 || lstat(path, &file) != 0)
		return SPAWN_CHECK_REACH;
	if (strcmp(real, dir) != 0)
		return SPAWN_CHECK_LINK;
	if (folder.st_mode & (S_IWGRP | S_IWOTH))
		return SPAWN_CHECK_FOLDER_WRITABLE;
	if (!S_ISREG(file.st_mode))
		return SPAWN_CHECK_LINK;
	if (file.st_mode & (S_IWGRP | S_IWOTH))
		return SPAWN_CHECK_WRITABLE;
	if (file.st_mode & (S_ISUID | S_ISGID))
		return SPAWN_CHECK_SETUID;
	if (!is_ours(&file, a))
		return SPAWN_CHECK_OWNER;
	return is_ours(&folder, a) ? SPAWN_CHECK_OK : SPAWN_CHECK_FOLDER_OWNER;
}

bool spawncheck_variable(const char *variable)
{
	static const char *const beginnings[] = { "HTTP_", "SSL_", "REDIRECT_SSL_", NULL };
	static const char *const names[] = {
		"AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "CONTEXT_DOCUMENT_ROOT", "CONTEXT_PREFIX", "DATE_GMT", "DATE_LOCAL", "DOCUMENT_NAME",
		"DOCUMENT_PATH_INFO", "DOCUMENT_ROOT", "DOCUMENT_URI", "GATEWAY_INTERFACE", "HTTPS", "LAST_MODIFIED", "PATH_INFO", "PATH_TRANSLATED",
		"QUERY_STRING", "QUERY_STRING_UNESCAPED", "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_IDENT", "REMOTE_PORT", "REMOTE_USER",
		"REDIRECT_ERROR_NOTES", "REDIRECT_HANDLER", "REDIRECT_QUERY_STRING", "REDIRECT_REMOTE_USER", "REDIRECT_SCRIPT_FILENAME", "REDIRECT_STATUS",
		"REDIRECT_URL", "REQUEST_METHOD", "REQUEST_SCHEME", "REQUEST_URI", "SCRIPT_FILENAME", "SCRIPT_NAME", "SCRIPT_URI", "SCRIPT_URL",
		"SERVER_ADDR", "SERVER_ADMIN", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SIGNATURE", "SERVER_SOFTWARE", "UNIQUE_ID",
		"USER_NAME", "TZ", NULL
	};
	size_t n = strcspn(variable, "=");

	for (int i = 0; beginnings[i]; i++)
		if (strncmp(variable, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	for (int i = 0; names[i]; i++)
		if (strlen(names[i]) == n && memcmp(names[i], variable, n) == 0)
			return true;
	return false;
}
