#ifndef CLI_SETUP_SETUP_H
#define CLI_SETUP_SETUP_H

#include "cli/cli.h"
#include "cli/setup/block.h"
#include "core/buf.h"

#include <jansson.h>

/*
 * `fusetsu setup APP`: the settings by which an application finds the module and a key, written
 * in that application's own place and form, and taken back byte for byte.
 *
 * An application is one file, app_APP.c: it says into a plan what shall be in which file, and the
 * frame (setup.c) shows the plan, carries it out, records it and undoes it. Making a plan writes
 * nothing and asks no PIN. What an application's plan names wins over what an earlier run of the
 * same setup wrote: that is taken back first.
 */
struct setup;

enum setup_scope {
    SETUP_USER = 1,   /* files of this user */
    SETUP_SYSTEM = 2, /* files of the system, for root */
};

struct setup_app {
    const char *name;
    unsigned scopes; /* enum setup_scope bits; with both, root gets the system's unless --user */
    /* Options whose values tell one setup of this application from another ("file", "host");
     * ends with NULL; may be NULL. */
    const char *const *which;
    int (*plan)(struct setup *s, struct err *e);
};

/* What the command of an application runs: --undo, --dry-run or the thing itself. */
int setup_run(struct cli *c, const struct setup_app *app, struct err *e) MUST_USE;

/* --- what a plan knows --------------------------------------------------------------- */

struct cli *setup_cli(struct setup *s);
bool setup_is_system(const struct setup *s);

/* The absolute path of the module: --module, else the one that belongs to this program. Without
 * blanks, quotes and what else is special somewhere: E_USAGE. */
const char *setup_module(struct setup *s, struct err *e);

/* This user's home directory and directory of settings; `out` is a C string. */
int setup_home_path(struct setup *s, struct buf *out, const char *below, struct err *e) MUST_USE;
int setup_config_path(struct setup *s, struct buf *out, const char *below, struct err *e) MUST_USE;

/* The absolute form of a path that was given as an option. `out` is a C string. */
int setup_absolute(const char *path, struct buf *out, struct err *e) MUST_USE;

/* What a file holds, but for what an earlier run of this setup put into it; empty when it is
 * missing. Borrowed until the plan says something. */
int setup_content(struct setup *s, const char *path, struct bytes *out, struct err *e) MUST_USE;

/* A key on a token and its certificate: public objects, read without login. */
struct setup_key {
    char token[128], serial[64], manufacturer[64], model[64]; /* as in CK_TOKEN_INFO, trimmed */
    char label[128];                                          /* of the certificate or public key */
    uint8_t id[64];
    size_t id_len;
    struct buf cert;  /* DER; empty when there is none */
    struct buf spki;  /* SubjectPublicKeyInfo, DER */
    struct buf chain; /* the certificate and those of its issuers that the token has, PEM */
};

/* The key that --token, --uri, --label and --id name, or the only one that has a certificate;
 * E_NOT_FOUND, or E_USAGE when several fit. The plan owns it. NULL: recorded. */
const struct setup_key *setup_key(struct setup *s, struct err *e);
/* The same, E_NOT_FOUND unless it has a certificate. */
const struct setup_key *setup_certified_key(struct setup *s, struct err *e);

/* A second one, of that label, on the same token. */
const struct setup_key *setup_second_key(struct setup *s, const char *label, struct err *e);

/* Its URI (RFC 7512): token, serial and id; `type` "private", "cert"... or NULL. With --pin-source
 * also where its PIN is, unless `type` is "cert". `out` is a C string. */
int setup_uri(struct setup *s, const struct setup_key *k, const char *type, struct buf *out,
              struct err *e) MUST_USE;

/* The file of --pin-source, absolute; NULL when it is not given or cannot be had (recorded). */
const char *setup_pin_file(struct setup *s, struct err *e);

/* The certificate as PEM, appended. */
int setup_cert_pem(const struct setup_key *k, struct buf *out, struct err *e) MUST_USE;

/* --- what a plan says ------------------------------------------------------------------ */

/* A whole file of ours. Paths are absolute everywhere. E_EXISTS when one is there that an
 * earlier setup did not write and that says something else. */
int setup_file(struct setup *s, const char *path, unsigned mode, struct bytes content,
               struct err *e) MUST_USE;

/* Marked lines within a text file, which is made (with `mode`) where it is missing. b->name is
 * chosen by the frame. */
int setup_block(struct setup *s, const char *path, unsigned mode, struct block b, const char *text,
                struct err *e) MUST_USE;

/* One value within a JSON file; takes over the reference. */
int setup_pointer(struct setup *s, const char *path, const char *pointer, json_t *value,
                  struct err *e) MUST_USE;

/* The module in the database of NSS in the directory `dir`; one that is not there is made, for its
 * owner alone. Else as nss_check. */
int setup_nss(struct setup *s, const char *dir, struct err *e) MUST_USE;

/* What the user reads afterwards: a paragraph; lines to copy, as they are. */
void setup_say(struct setup *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void setup_lines(struct setup *s, const char *text);

#endif
