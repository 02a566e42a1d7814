#ifndef CLI_SETUP_ENGINE_H
#define CLI_SETUP_ENGINE_H

#include "cli/setup/setup.h"

/*
 * What applications of OpenSSL's pkcs11 engine (libp11) have in common.
 */

/* The variable of the environment by which the engine finds the module, before any settings. */
#define ENGINE_VARIABLE "PKCS11_MODULE_PATH"

/* The URI of a private key for the engine. E_FORMAT when the file of --pin-source is such that
 * the engine reads another PIN from it than everybody else. `out` is a C string. */
int engine_uri(struct setup *s, const struct setup_key *k, struct buf *out, struct err *e) MUST_USE;

/* Says what an application that has nobody to ask should be given, if it was not. */
void engine_say_pin(struct setup *s, const char *application);

#endif
