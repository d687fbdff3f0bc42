/*
 * settings.h - the process-wide directives (process_module) and their defaults. For config.c.
 */
#ifndef BULKHEAD_PROCESS_SETTINGS_H
#define BULKHEAD_PROCESS_SETTINGS_H

#include "process/config.h"

/* Known directives of modules that are not here, without effect (harmless.c). */
extern struct conf_module harmless_module;
/* Defaults, accounts, and what can only be judged once all is read. Faults are reported. */
void settings_finish(struct config *cfg);
/* Warns of a line that may protect something and that an <IfModule> leaves out; true if so. For conf_env.left_out. */
bool settings_left_out(struct conf_env *env, const char *module, const char *name, const char *args, const struct conf_pos *pos);

#endif
