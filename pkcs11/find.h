#ifndef PKCS11_FIND_H
#define PKCS11_FIND_H

/* One search of a session, between C_FindObjectsInit and C_FindObjectsFinal. */
struct find;

void find_free(struct find *f); /* NULL is fine */

#endif
