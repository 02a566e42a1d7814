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
    struct conf_end end;
};

extern const char *worker_label; /* of the token; NULL for the first one */

/* Loads the module; says on stderr why it cannot. */
bool worker_load(const char *path);
/* Runs one check; conf_end says how it ended. */
void worker_run(const struct worker_check *c);
void worker_end(void);

#endif
