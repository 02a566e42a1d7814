#ifndef CLI_PIN_H
#define CLI_PIN_H

#include "cli/cli.h"
#include "core/secret.h"

/*
 * Where PINs come from: --pin-file, --pin-fd, a URI's pin-source, and otherwise a prompt
 * on the terminal with echo off. Never an argument, never the environment.
 */

enum pin_kind {
    PIN_USER,  /* --pin-file, --pin-fd, pin-source of --uri */
    PIN_SO,    /* --so-pin-file, --so-pin-fd */
    PIN_NEW,   /* --new-pin-file, --new-pin-fd */
    PIN_OWNER, /* --owner-so-pin-file, --owner-so-pin-fd */
};

/*
 * Gets one PIN. `what` names it in prompts ("user PIN"). With `set` it is being
 * chosen: asked for twice at a prompt, and its length is checked (E_PIN_LENGTH).
 * E_USAGE when two sources are named; E_LOGIN, naming the options, when nothing is
 * given and standard input is no terminal.
 */
int pin_obtain(struct cli *c, enum pin_kind kind, const char *what, bool set, struct secret **out,
               struct err *e) MUST_USE;

/* The first line of a file ("-": standard input). Warns when others may read it. E_NOT_FOUND,
 * E_DENIED, E_IO, naming the path. */
int pin_read_file(const char *path, const char *what, struct secret **out, struct err *e) MUST_USE;

/* Turns E_PIN_WRONG into a sentence with the tries that are left, from the counts of a
 * token's row; leaves every other failure alone. */
void pin_tries_left(struct err *e, const char *what, uint32_t fails, uint32_t limit);

#endif
