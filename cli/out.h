#ifndef CLI_OUT_H
#define CLI_OUT_H

#include "core/buf.h"

#include <jansson.h>
#include <stdio.h>

/*
 * What people and scripts read. Names and labels come from stores, certificates
 * and files of others: control characters and broken UTF-8 in them are shown as
 * '?' so that they cannot steer a terminal.
 */

/* Prints text, made harmless. */
void out_text(FILE *f, const char *text);

/* Words wrapped at 78 columns, each line indented; ends with a line feed. A line feed in
 * the text is kept. */
void out_words(FILE *f, int indent, const char *text);

/* The same when the cursor is in column `at` already; goes on from column `indent`. */
void out_words_from(FILE *f, int at, int indent, const char *text);

/* One paragraph at the margin. Control characters in what is filled in are shown as '?',
 * line feeds too. */
void out_para(FILE *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A time as JSON has it, "2027-02-01 12:00Z", or "-"; tables show the day alone. */
#define OUT_TIME sizeof("2027-02-01 12:00Z")
#define OUT_DAY sizeof("2027-02-01")
void out_time(int64_t t, char text[OUT_TIME], char day[OUT_DAY]);

/* --- tables -------------------------------------------------------------- */

/* Columns as wide as their widest cell; wide East Asian letters count as two. */
struct out_table;

/* `heads` are the columns' titles. NULL when there is no memory. */
struct out_table *out_table_new(const char *const *heads, size_t n, struct err *e) MUST_USE;

/* One row of as many cells; NULL cells are empty. */
int out_table_row(struct out_table *t, const char *const *cells, struct err *e) MUST_USE;

void out_table_print(const struct out_table *t, FILE *f);
void out_table_free(struct out_table *t);

/* --- JSON ---------------------------------------------------------------- */

/* A JSON string of text that may not be clean UTF-8. */
json_t *out_json_text(const char *text);

/* Lower-case hex. */
json_t *out_json_hex(struct bytes b);

/* Prints a document to standard output; takes over the reference. NULL is
 * E_MEMORY: building it failed. */
int out_json(json_t *doc, struct err *e) MUST_USE;

#endif
