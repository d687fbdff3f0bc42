/*
 * report.c - what the master writes into the error log of a configuration: the faults and notes that reading or checking
 * it gave rise to, and the accounts and walls that it has to do without. Decides nothing.
 */
#include "process/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log/log.h"
#include "process/landlock.h"
#include "process/paths.h"
#include "process/role.h"
#include "process/sandbox.h"
#include "process/shared.h"
#include "process/slots.h"

static void report_line(char letter, const char *text)
{
	if (letter == 'E')
		log_errorx(NULL, LOG_CORE, "BH0150", "%s", text);
	else if (letter == 'W')
		log_warnx(NULL, LOG_CORE, "BH0151", "%s", text);
	else
		log_noticex(NULL, LOG_CORE, "BH0152", "%s", text);
}

void report_config(const struct config *cfg, unsigned skip, struct err *e)
{
	static const char letters[] = { [CONF_ERROR] = 'E', [CONF_WARNING] = 'W', [CONF_NOTICE] = 'N' };

	for (const struct config_report *r = cfg->reports; r; r = r->next) {
		struct err one = { .text = "" };
		char text[2048];

		if (skip) {
			skip--;
			continue;
		}
		err_set(&one, "%s", r->sentence);
		if (r->pos.file)
			err_at(&one, r->pos.file, r->pos.line);
		if (r->remedy)
			err_remedy(&one, "%s", r->remedy);
		report_line(letters[r->severity], err_print(&one, text, sizeof text));
		if (e && !*e->text && r->severity == CONF_ERROR)
			*e = one;
	}
}

unsigned report_count(const struct config *cfg)
{
	return cfg->errors + cfg->warnings + cfg->notices;
}

void report_check(const struct job_result *r, bool quiet, bool mild)
{
	char *copy = strdup(r->text), *save = NULL;

	/* What is wrong is said in any case; what is merely noted was said at the start and at -t. */
	for (char *line = copy && !quiet ? strtok_r(copy, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (line[0] && line[1] == ' ' && (line[0] == 'E' || line[0] == 'W'))
			report_line(mild ? 'W' : line[0], line + 2);
	free(copy);
	if (!r->ok && r->timeout)
		log_errorx(NULL, LOG_CORE, "BH0153", "the check of the configuration took too long");
	else if (!r->ok && !r->n) {
		char words[128];
		log_errorx(NULL, LOG_CORE, "BH0153", "the check of the configuration failed: %s",
			   slots_status_words(r->status, words));
	}
}

/* Whether a reason is another than before: the same words on another line are no news. */
static bool is_news(const struct paths_reason *now, const struct paths_reason *before)
{
	return now->text && (!before || !before->text || strcmp(now->text, before->text) != 0);
}

void report_reach(const struct config *cfg, const struct config *before)
{
	const struct paths *p = cfg->paths, *old = before ? before->paths : NULL;
	char where[512] = "";

	if (!p || sandbox_missing())
		return;
	if (p->wants.off) {
		if (!old || !old->wants.off)
			log_noticex(NULL, LOG_CORE, "BH0903", "SandboxPaths off: children may read and write all that their user may");
		return;
	}
	if (is_news(&p->files, old && !old->wants.off ? &old->files : NULL)) {
		if (p->files.pos.file)
			snprintf(where, sizeof where, " (%s:%u)", p->files.pos.file, p->files.pos.line);
		log_noticex(NULL, LOG_CORE, "BH0900", "children may read every file that their user may, but private keys and the like, since %s%s; "
			    "SandboxPaths with the folders that they need bounds them", p->files.text, where);
	}
	if (is_news(&p->ports, old && !old->wants.off ? &old->ports : NULL))
		log_infox(NULL, LOG_CORE, "BH0904", "children that ask other servers may connect to every port, since %s (%s:%u)", p->ports.text,
			  p->ports.pos.file ? p->ports.pos.file : "-", p->ports.pos.line);
}

void report_accounts(const struct config *cfg)
{
	const char *missing = sandbox_missing();
	const struct process_settings *p = cfg->process;
	const char *key = p->key_user ? p->key_user : "_bulkhead-key", *log = p->log_user ? p->log_user : "_bulkhead-log";
	char text[512];
	uid_t uid;
	gid_t gid;

	if (missing)
		log_noticex(NULL, LOG_CORE, "BH0115", "%s", missing);
	missing = landlock_missing(text, sizeof text);
	if (missing)
		log_noticex(NULL, LOG_CORE, "BH0901", "%s", missing);
	report_reach(cfg, NULL);
	if (!shared.root) {
		log_noticex(
			NULL, LOG_CORE, "BH0116",
			"not started as root: all processes run as user %u, so that nothing but the sandbox stands between them",
			(unsigned)geteuid());
		return;
	}
	if (!role_account(p->key_user, "_bulkhead-key", &uid, &gid))
		log_noticex(
			NULL, LOG_CORE, "BH0117",
			"the account %s does not exist: the private keys are held as the children's user; make it: adduser --system --group --no-create-home %s",
			key, key);
	if (!role_account(p->log_user, "_bulkhead-log", &uid, &gid))
		log_noticex(
			NULL, LOG_CORE, "BH0118",
			"the account %s does not exist: the logger runs as the children's user; make it: adduser --system --group --no-create-home %s",
			log, log);
}
