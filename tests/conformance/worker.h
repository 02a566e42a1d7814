#ifndef TESTS_CONFORMANCE_WORKER_H
#define TESTS_CONFORMANCE_WORKER_H

/* Between the main program, which never calls the module, and the worker, which does. */
#include "tests/conformance/conf.h"

struct worker_check {
    char *name;
    enum conf_level level;
    conf_run *run;
    const void *arg;
};

struct worker_result {
    size_t check; /* its place in the list */
    enum {
        WORKER_STARTED,
        WORKER_PASSED,
        WORKER_SKIPPED,
        WORKER_FAILED,
        WORKER_NO_TOKEN /* failed, and so would all others: no token, or the PIN is wrong */
    } verdict;
    char why[512];
};

extern const char *worker_label; /* of the token; NULL for the first one */

/* Loads the module; says on stderr why it cannot. */
bool worker_load(const char *path);
/* Runs one check; fills in verdict and reason. */
void worker_run(const struct worker_check *c, struct worker_result *r);
void worker_end(void);

#endif
