/*
 * log.h: lines on standard error, for whoever runs the program.
 *
 * One line a call, written by one write(2), control characters escaped (what a
 * client sent must not forge lines). Under systemd (JOURNAL_STREAM is set) lines
 * carry its priority prefix. Never log a secret.
 */
#ifndef REGFS_LOG_H
#define REGFS_LOG_H

#include "fs/base/base.h"

void log_error(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);

#endif
