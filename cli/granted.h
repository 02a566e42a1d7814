#ifndef CLI_GRANTED_H
#define CLI_GRANTED_H

#include "ca/registry.h"

#include <jansson.h>

/* What an invitation or a certificate grants beside its name, in words of the nation itself. */

/* Appends "person Alice Example, cleared for SECRET, RESTRICTED". */
void granted_text(const struct clearance_system *s, const struct registry_grant *g,
                  struct buf *out);

/* For a table: the kind and the highest clearance, "person, SECRET". */
#define GRANTED_CELL (PROFILE_KIND_MAX + 2 + FEDERATION_NAME)
void granted_cell(const struct clearance_system *s, const struct registry_grant *g,
                  char out[GRANTED_CELL]);

/* Adds "profile", "person" (null: a host) and "clearances", highest first, to a document. E_MEMORY. */
int granted_json(json_t *doc, const struct clearance_system *s, const struct registry_grant *g,
                 struct err *e) MUST_USE;

#endif
