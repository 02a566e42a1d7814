#ifndef USB_TOKEND_PRESENCE_H
#define USB_TOKEND_PRESENCE_H

#include "core/err.h"

/*
 * Somebody at the token confirms what it is asked to do. A question is put, looked at until it
 * is answered, and ends after a time: nothing here blocks. One question at a time.
 *
 * HOW is one of
 *   none             nobody is asked
 *   terminal         a line on standard input: empty or "y" is yes
 *   gpio:FILE        a file that reads "1" while the button is pressed (a GPIO's `value`); only
 *                    a press that begins after the question counts
 *   command:PROGRAM  a program that gets the question as its argument and ends with 0 for yes;
 *                    it runs beside the daemon, and is ended when the question is over
 */
struct tokend_presence;

enum tokend_presence_answer {
    TOKEND_PRESENCE_WAITS,
    TOKEND_PRESENCE_YES,
    TOKEND_PRESENCE_NO, /* or nothing in time */
};

#define TOKEND_PRESENCE_MAX_S 600

/* E_ARG for another `how`; E_NOT_FOUND, E_DENIED where it cannot work. `hold_s`: for so long a
 * yes is good for what follows, too. To be called before the process gives up its rights. */
int tokend_presence_open(struct tokend_presence **out, const char *how, unsigned timeout_s,
                         unsigned hold_s, struct err *e) MUST_USE;

/* How long a question lasts, milliseconds; 0: nobody is ever asked. */
unsigned tokend_presence_ms(const struct tokend_presence *p);

/* Puts the question ("TPM2_Sign with 0x81000001"); to be looked at next, for the answer may be
 * there already. Replaces one that is open. */
void tokend_presence_ask(struct tokend_presence *p, const char *question);
enum tokend_presence_answer tokend_presence_look(struct tokend_presence *p);

/* When to look again: what to poll for reading (-1: nothing), and after how many milliseconds
 * at the latest. */
int tokend_presence_fd(const struct tokend_presence *p);
int tokend_presence_next_ms(const struct tokend_presence *p);

/* The question is over. */
void tokend_presence_stop(struct tokend_presence *p);

/* NULL is fine. */
void tokend_presence_close(struct tokend_presence *p);

#endif
