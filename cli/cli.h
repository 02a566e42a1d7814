#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/command.h"
#include "core/conf.h"

#include <jansson.h>

/* The frame of the program: reads the command line by the tables of cli/command.h and runs
 * one command. */

/* Parses, runs, prints what went wrong. Returns the exit code. */
int cli_main(const struct cli_program *p, int argc, char **argv);

/* The exit code (enum cli_exit) that stands for a kind of failure. */
int cli_exit_code(enum err_code code);

/* The value of an option, NULL when it was not given; a flag's value is "". */
const char *cli_option(const struct cli *c, const char *name);
bool cli_flag(const struct cli *c, const char *name);

/* A decimal number between min and max, `otherwise` when not given. E_USAGE. */
int cli_number(const struct cli *c, const char *name, unsigned min, unsigned max,
               unsigned otherwise, unsigned *out, struct err *e) MUST_USE;

/* An option's text into an array of `size`, which stays as it is when it was not given. E_USAGE. */
int cli_text(const struct cli *c, const char *name, char *out, size_t size, struct err *e) MUST_USE;

/* Positional arguments. */
int cli_n_args(const struct cli *c);
const char *cli_arg(const struct cli *c, int i);

/* The settings, read on first use; NULL with the reason recorded. */
const struct conf *cli_conf(struct cli *c, struct err *e);

/* Prints the command's JSON document; takes over the reference. Where a command that was
 * asked for JSON fails before it, the frame prints {"error": ...} instead. */
int cli_json(struct cli *c, json_t *doc, struct err *e) MUST_USE;

/* Misuse of the command line that a table cannot express: records E_USAGE, returns -1. */
int cli_misuse(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * The row of `names` (n of them) that `word` was probably meant to be, NULL when
 * none is near: at most a third of the letters differ.
 */
const char *cli_nearest(const char *word, const char *const *names, size_t n);

#endif
