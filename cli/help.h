#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/command.h"

/* --help, printed from the tables to standard output. */

/* The program: groups, and every command with its summary. */
void help_program(const struct cli_program *p);

/* One group: its commands and their examples. */
void help_group(const struct cli_program *p, const struct cli_group *g);

/* One command; `options` are all it takes, shared ones included, ended by an empty row. */
void help_command(const struct cli_command *cmd, const struct cli_option *options);

/* The names of the exit codes, for the end of every page. */
void help_exit_codes(void);

#endif
