#ifndef CLI_SETUP_RECORD_CHECK_H
#define CLI_SETUP_RECORD_CHECK_H

#include <jansson.h>
#include <stdbool.h>

/* Has the document all that cli/setup/record.h says, of its types, and is it one of this
 * application (NULL: of any) and of the system or a user? Who reads a record that has passed need
 * not ask again. NULL is none. */
bool record_check(json_t *record, const char *app, bool is_system);

#endif
