#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "core/err.h"

/* The tables of commands and options, from which the command line is parsed (cli/cli.h)
 * and --help is printed (cli/help.h). */

#define CLI_VERSION "0.1.0"

/* Exit codes, documented in fusetsu(1). */
enum cli_exit {
    CLI_OK = 0,
    CLI_REFUSED = 1, /* refused or failed for a reason that has no code of its own */
    CLI_USAGE = 2,
    CLI_PIN = 3,      /* wrong, locked or missing PIN */
    CLI_NO_TPM = 4,   /* no TPM can be reached */
    CLI_FILE = 5,     /* a store, file, token or object is missing, damaged, in the way */
    CLI_REJECTED = 6, /* evidence, a certificate or a request did not pass the checks */
};

/* One invocation, parsed. */
struct cli;

struct cli_option {
    const char *name; /* long name without dashes; NULL ends a table */
    const char *arg;  /* NULL for a flag, else what --help calls the value */
    const char *help;
    bool required;
};

/* Options that several commands share; cli.c holds the texts. */
enum cli_shared {
    CLI_JSON = 1,     /* --json */
    CLI_TOKEN = 2,    /* --token, --uri */
    CLI_USER_PIN = 4, /* --pin-file, --pin-fd */
    CLI_SO_PIN = 8,   /* --so-pin-file, --so-pin-fd */
    CLI_NEW_PIN = 16, /* --new-pin-file, --new-pin-fd */
    CLI_SETUP = 32,   /* --undo, --dry-run, --module */
    CLI_SCOPE = 64,   /* --user */
    CLI_KEY = 128,    /* --label, --id, --pin-source: the key that an application shall use */
    CLI_ASKED = 256,  /* --label, --id: the same for one that always asks for the PIN */
};

struct cli_command {
    const char *group; /* "token", or NULL for a command of its own */
    const char *name;
    const char *args;                 /* positional arguments for --help, or NULL */
    int min_args, max_args;           /* max_args -1: any number */
    unsigned shared;                  /* enum cli_shared bits */
    const struct cli_option *options; /* may be NULL */
    const char *summary;              /* one line */
    const char *about;                /* a few sentences */
    const char *examples;             /* one per line */
    /* 0, or -1 with the reason recorded. */
    int (*run)(struct cli *c, struct err *e);
};

struct cli_group {
    const char *name;
    const char *summary;
};

/* All that the program knows; both arrays end with an empty row. */
struct cli_program {
    const struct cli_group *groups;
    const struct cli_command *const *commands;
};

#endif
