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
/* An error that is met as often as somebody asks: the same line at most once a minute, as far as the last 64 different ones are remembered. */
void log_failure(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);

#endif
