#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = {"silent", "error", "warn", "info", "debug"};
static enum log_level threshold = LOG_WARN;

void log_set_level(const char *word)
{
    threshold = LOG_WARN;
    for (size_t i = 0; word != NULL && i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0)
            threshold = (enum log_level)i;
    }
}

bool log_wants(enum log_level level)
{
    return level <= threshold;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    char line[600];
    va_list ap;

    if (!log_wants(level))
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    fprintf(stderr, "fusetsu: %s: %s\n", words[level], line);
}
