#ifndef CLI_SETUP_SSHKEY_H
#define CLI_SETUP_SSHKEY_H

#include "core/buf.h"

/*
 * A public key as OpenSSH writes it: its type and, in base64, the key (RFC 4253, 6.6; RFC 5656,
 * 3.1), then the comment (NULL: none), in which what could end the line or steer a terminal is a
 * '?'. Appended, without a line end. `spki` is a SubjectPublicKeyInfo in DER. E_UNSUPPORTED for a
 * curve that OpenSSH has not.
 */
int sshkey_line(struct bytes spki, const char *comment, struct buf *out, struct err *e) MUST_USE;

#endif
