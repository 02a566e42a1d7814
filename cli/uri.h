#ifndef CLI_URI_H
#define CLI_URI_H

#include "core/buf.h"

/*
 * pkcs11: URIs (RFC 7512): which token, which object, where its PIN is.
 */

enum uri_type { URI_ANY, URI_PRIVATE, URI_PUBLIC, URI_CERT, URI_DATA, URI_SECRET };

/* Percent-decoded; NULL where the URI does not say. */
struct uri {
    char *token, *serial, *manufacturer, *model;
    char *object;
    enum uri_type type;
    bool has_id;
    struct buf id;
    char *pin_file; /* path from pin-source */
};

/*
 * Strict: only attributes that this program can honour (token, serial, manufacturer,
 * model, object, type, id; pin-source with a file: URI or an absolute path), each once,
 * in the characters of RFC 7512 2.3. `pin-value` and a `pin-source` that names a
 * command are refused. Other query attributes are ignored, as 2.5 asks. E_USAGE;
 * messages never repeat a value.
 */
int uri_parse(struct uri *out, const char *text, struct err *e) MUST_USE;

/* One attribute of a URI, appended: name=value with all that needs it percent-encoded. */
void uri_add(struct buf *out, const char *name, struct bytes value);

/* NULL and the zero structure are fine. */
void uri_free(struct uri *u);

#endif
