#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/base.h"

/* Lines on standard error for whoever runs the process. Secrets, PINs and
 * authorisation values are never given to these functions. */

enum log_level { LOG_SILENT, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets what is printed: "silent", "error", "warn", "info" or "debug"; NULL or
 * another word means "warn". */
void log_set_level(const char *word);

bool log_wants(enum log_level level);

void log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

#endif
