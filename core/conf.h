#ifndef CORE_CONF_H
#define CORE_CONF_H

#include "core/err.h"

/*
 * Settings. One file in OpenSSL CONF syntax: FUSETSU_CONF, else the first that
 * exists of $XDG_CONFIG_HOME/fusetsu/fusetsu.conf (~/.config) and
 * /etc/fusetsu.conf; keys in its default section. Each key can be overridden by
 * an environment variable FUSETSU_<KEY>, which a set-user-ID process ignores.
 *
 *   store   path of the token store; default /var/lib/fusetsu/store.db for root,
 *           else $XDG_DATA_HOME/fusetsu/store.db (~/.local/share)
 *   tcti    how to reach the TPM, in tctildr's form; default device:/dev/tpmrm0
 *   log     silent, error, warn (default), info, debug
 *   run     directory for the file by which processes share a bare TPM, or none;
 *           default /run/lock where it can be written, else $XDG_RUNTIME_DIR
 *   sha1    yes: keys may sign over SHA-1; default no
 *   usb     no: USB tokens are not looked for; default yes
 *
 * This is the only file that reads the environment.
 */
struct conf;

/* No file at all is fine; a file that does not parse, or FUSETSU_CONF naming one
 * that is not there, is E_FORMAT / E_NOT_FOUND naming path and line. */
int conf_load(struct conf **out, struct err *e) MUST_USE;
void conf_free(struct conf *c);

const char *conf_store(const struct conf *c);
const char *conf_tcti(const struct conf *c);
const char *conf_log(const struct conf *c);

/* NULL when there is none. */
const char *conf_run(const struct conf *c);

/* The file with the peer's certificate, which OpenVPN names to the program of its tls-verify
 * (tls-export-cert); NULL when there is none. */
const char *conf_peer_cert(void);

bool conf_sha1(const struct conf *c);
bool conf_usb(const struct conf *c);

/* Where this user's programs keep their settings: $XDG_CONFIG_HOME, else ~/.config. */
const char *conf_config_home(const struct conf *c);

/* This user's home directory, and where programs keep what they remember of themselves:
 * $XDG_STATE_HOME, else ~/.local/state. */
const char *conf_home(const struct conf *c);
const char *conf_state_home(const struct conf *c);

/* The file that was read, or NULL. */
const char *conf_path(const struct conf *c);

#endif
