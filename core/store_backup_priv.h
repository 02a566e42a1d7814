#ifndef CORE_STORE_BACKUP_PRIV_H
#define CORE_STORE_BACKUP_PRIV_H

/* Private to core/store_backup.c and store_restore.c: what both sides of the format know. */

#include "core/store_db.h"

#define STORE_BACKUP_MAGIC "FuSeTokB"
#define STORE_BACKUP_MAGIC_LEN 8
#define STORE_BACKUP_VERSION 1
#define STORE_BACKUP_DIGEST 32
#define STORE_BACKUP_SERIAL 16

/* The tag over a file's digest. */
int store_backup_tag(const char *serial, const uint8_t digest[STORE_BACKUP_DIGEST],
                     const struct store_seal *seal, uint8_t out[STORE_BACKUP_DIGEST],
                     struct err *e) MUST_USE;

#endif
