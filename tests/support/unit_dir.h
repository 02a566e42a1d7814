#ifndef TESTS_SUPPORT_UNIT_DIR_H
#define TESTS_SUPPORT_UNIT_DIR_H

/* A private directory for one test; setup and teardown functions of cmocka. */
int unit_dir_make(void **state);
int unit_dir_remove(void **state);

/* The directory, and the path of a name in it (valid for the next three calls). */
const char *unit_dir(void);
const char *unit_dir_at(const char *name);

/* A test that has a directory of its own. */
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, unit_dir_make, unit_dir_remove)

#endif
