#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/cli.h"
#include "core/store.h"
#include "tpm/tpm.h"

/*
 * `fusetsu doctor`: checks that find what keeps tokens from working. A check asks no PIN,
 * proves nothing to the TPM and changes nothing. It reports with the functions below, once
 * or for each thing it looked at, and gives later checks what it opened.
 */

enum doctor_severity {
    DOCTOR_OK,
    DOCTOR_NOTE,    /* nothing is wrong, but it may surprise */
    DOCTOR_WARNING, /* tokens work; something weakens them, or will stop them */
    DOCTOR_PROBLEM, /* keeps tokens from working */
};

struct doctor_finding {
    const char *check;
    enum doctor_severity severity;
    enum err_code code; /* of a problem: what a command that meets it fails with */
    char *text, *todo;  /* todo NULL: nothing to do */
};

/* What is known so far. */
struct doctor {
    struct cli *cli;
    const struct conf *conf;   /* NULL: the settings cannot be read */
    struct store *store;       /* NULL: it does not open */
    struct store_tpm *tpm_row; /* the TPMs of the store */
    struct store_token *all;   /* its tokens ... */
    size_t n_tpm_rows, n_all;
    const struct store_token *token; /* ... and those that are asked about, of `all` */
    size_t n_tokens;
    struct tpm *tpm; /* NULL: none answers */

    const char *check; /* the one that is running */
    struct doctor_finding *finding;
    size_t n;
    bool incomplete; /* there was no memory for a finding */
};

/* What must be there for a check to be made; bits. */
#define DOCTOR_CONF 1u
#define DOCTOR_STORE 2u
#define DOCTOR_TOKEN 4u /* at least one */
#define DOCTOR_TPM 8u

struct doctor_check {
    const char *name; /* as printed, and in JSON; NULL ends a table */
    unsigned needs;
    void (*run)(struct doctor *d);
};

extern const struct doctor_check doctor_system_checks[];
extern const struct doctor_check doctor_store_checks[];
extern const struct doctor_check doctor_tpm_checks[];
extern const struct doctor_check doctor_token_checks[];
extern const struct doctor_check doctor_module_checks[];

/* Makes the checks of a table for which there is what they need; how many were left out. */
size_t doctor_run(struct doctor *d, const struct doctor_check *table);

/* A finding of the check that is running. */
void doctor_say(struct doctor *d, enum doctor_severity severity, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void doctor_problem(struct doctor *d, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What to do about the finding that was reported last. */
void doctor_todo(struct doctor *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A failure as a finding: our messages say what happened, then "; ", then what to do. */
void doctor_failed(struct doctor *d, enum doctor_severity severity, const struct err *e);

/* Closes and frees all that is in it. */
void doctor_free(struct doctor *d);

/* The failure that the whole visit ends with: E_OK without warnings and problems, a code
 * that stands for CLI_REFUSED with warnings only, else that of the first problem. */
enum err_code doctor_verdict(const struct doctor *d);

/* "3 days 4 hours", "1 hour", "40 seconds": two units at most, rounded down. */
#define DOCTOR_SPAN 48
void doctor_span(uint64_t seconds, char out[DOCTOR_SPAN]);

/* A process that has the file open, beside this one: "process 412 (nginx)"; false when
 * none is to be seen. */
#define DOCTOR_WHO 64
bool doctor_holder(const char *path, char out[DOCTOR_WHO]);

#endif
