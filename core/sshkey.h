#ifndef CORE_SSHKEY_H
#define CORE_SSHKEY_H

#include "core/buf.h"
#include "core/pubkey.h"

/*
 * Public keys as OpenSSH has them, and the pieces of its wire format (RFC 4251, 5; RFC 4253, 6.6; RFC
 * 5656, 3.1) of which its certificates are made, too. All is appended.
 */

/* string; mpint of a positive number in big-endian, with or without leading zeros. */
void sshkey_string(struct buf *out, struct bytes s);
void sshkey_text(struct buf *out, const char *text);
void sshkey_mpint(struct buf *out, struct bytes n);

/* "ssh-rsa", "ecdsa-sha2-nistp256", ...; NULL for a curve that OpenSSH has not. */
const char *sshkey_type(const struct pubkey *k);

/* What follows the type in a key: e and n, or the curve and the point. For a key that has a type. */
void sshkey_fields(struct buf *out, const struct pubkey *k);

/* The key: type and fields. E_UNSUPPORTED. */
int sshkey_blob(const struct pubkey *k, struct buf *out, struct err *e) MUST_USE;

/* A line without its end: the type, in base64 what is given, and the comment (NULL: none), in which what
 * could end the line or steer a terminal is a '?'. */
int sshkey_encode(const char *type, struct bytes blob, const char *comment, struct buf *out,
                  struct err *e) MUST_USE;

/* Is it a type that OpenSSH has and, behind one space, such a key in base64, written in the one way, with
 * nothing behind it? What the key itself says is not judged. */
#define SSHKEY_LINE_MAX 800
bool sshkey_is_line(const char *line);

/* The line of a key that is given as a SubjectPublicKeyInfo in DER. E_UNSUPPORTED. */
int sshkey_line(struct bytes spki, const char *comment, struct buf *out, struct err *e) MUST_USE;

#endif
