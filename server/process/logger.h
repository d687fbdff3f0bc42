/*
 * logger.h - the one process that writes logs: drains the rings of all slots into the log targets of each generation.
 * It lives as long as the server; the master starts it, hands it tables of descriptors, and replaces it. Master only; the
 * process itself is behind logwriter.h.
 */
#ifndef BULKHEAD_PROCESS_LOGGER_H
#define BULKHEAD_PROCESS_LOGGER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/config.h"

/* Starts it. It runs as LogUser of cfg. 0 or -1 with *e. */
int logger_start(const struct config *cfg, struct err *e);
/*
 * The targets of a generation, opened; borrowed until logger_drop. A dead logger's successor gets all tables again. -1
 * with errno: too many generations live.
 */
int logger_table(uint32_t generation, const struct log_targets *t);
/* It lives, and has said that it knows each target as it is now: nothing is being written to a file before. */
bool logger_settled(void);
/*
 * One target of that table has another descriptor now: a program was started anew, or a file is followed by the next; the file
 * before (`previous`) is told to a successor first, which mends what was being written there.
 */
void logger_retarget(uint32_t generation, unsigned target);
/*
 * No process of that generation is left: its lines are written and its descriptors closed. Copies of them are kept until
 * the logger, or a successor, says that it has done so; if it cannot for long, they are given up for new generations.
 */
void logger_drop(uint32_t generation);
/* Readable when logger_tick has something to hear; -1: nothing is expected. */
int logger_fd(void);
/* True if the pid was the logger. */
bool logger_reaped(pid_t pid, int status, int64_t now);
void logger_tick(const struct config *cfg, int64_t now);
int64_t logger_due(void);
/* It and all tables, for the program that is executed next (handover.h). */
void logger_hand_over(FILE *to);
/*
 * Before logger_start, where the slots are those of the program before: ends that program's logger and takes its tables over. All
 * generations but `lives` are dropped. 0, or -1 with *e: that logger does not end, and two must not read one ring.
 */
int logger_take_over(uint32_t lives, struct err *e);
/* The end of the server: lets it, or a successor of one that was killed, write what is left, at most wait_ms. */
void logger_stop(const struct config *cfg, int wait_ms);

#endif
