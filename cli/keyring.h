#ifndef CLI_KEYRING_H
#define CLI_KEYRING_H

#include "cli/wanted.h"
#include "core/pubkey.h"
#include "pkcs11/inprocess.h"

/*
 * One token's keys and certificates, reached through the PKCS#11 module that is
 * linked into this program, so that objects have one writer. One keyring at a time in
 * a process.
 */
struct keyring;

/* What it is opened for; bits. */
enum keyring_use {
    KEYRING_LOOK = 0,  /* public objects */
    KEYRING_LOGIN = 1, /* asks for the user PIN */
    KEYRING_WRITE = 2, /* may make and destroy objects */
    KEYRING_SO = 4,    /* asks for the SO PIN instead; public objects, with KEYRING_WRITE */
};

/* Opens the token that --token or --uri name. */
int keyring_open(struct keyring **out, struct cli *c, unsigned use, struct err *e) MUST_USE;
/* The same for a token named elsewhere, by label or serial. */
int keyring_open_named(struct keyring **out, struct cli *c, const char *name, unsigned use,
                       struct err *e) MUST_USE;
/* The same with a PIN that is known already (NULL: it is asked for). */
int keyring_open_known(struct keyring **out, struct cli *c, const char *name, unsigned use,
                       const struct secret *pin, struct err *e) MUST_USE;
void keyring_close(struct keyring *k); /* NULL is fine */

/* Its row in the store, as it was when the keyring was opened. */
const struct store_token *keyring_row(const struct keyring *k);
/* What the module tells of the token, as C_GetTokenInfo does. */
int keyring_token_info(struct keyring *k, CK_TOKEN_INFO *out, struct err *e) MUST_USE;
/* The token with the login, for evidence and signers. E_LOGIN without login. */
int keyring_token(struct keyring *k, struct token **out, struct err *e) MUST_USE;

/* --- objects ------------------------------------------------------------- */

struct keyring_object {
    CK_OBJECT_HANDLE handle;
    char label[128]; /* cut when longer */
    uint8_t id[KEYRING_ID_MAX];
    size_t id_len;    /* 0 when absent or longer */
    bool trusted;     /* certificates: CKA_TRUSTED */
    struct buf value; /* certificates: DER; public keys: SubjectPublicKeyInfo; else empty */
};

/* All token objects of a class (CKO_...). Free with keyring_objects_free. */
int keyring_list(struct keyring *k, CK_OBJECT_CLASS class, struct keyring_object **out, size_t *n,
                 struct err *e) MUST_USE;

/* The only object of a class that fits: E_NOT_FOUND, or E_USAGE when several do. */
int keyring_find(struct keyring *k, CK_OBJECT_CLASS class, const struct keyring_wanted *w,
                 struct keyring_object *out, struct err *e) MUST_USE;

/* The object that --`label_option`, --id or the object and id of --uri name; E_USAGE when
 * none of them is given. */
int keyring_choose(struct keyring *k, struct cli *c, CK_OBJECT_CLASS class,
                   const char *label_option, struct keyring_object *out, struct err *e) MUST_USE;

/* The private key whose public half is `pub`. E_NOT_FOUND. Needs the login. */
int keyring_find_pair(struct keyring *k, const struct pubkey *pub, struct keyring_object *out,
                      struct err *e) MUST_USE;

void keyring_object_free(struct keyring_object *o);
void keyring_objects_free(struct keyring_object *o, size_t n);

/* --- keys ---------------------------------------------------------------- */

struct keyring_spec {
    const char *type; /* "p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096" */
    const char *label;
    struct bytes id; /* CKA_ID; empty: 20 random bytes */
    bool sign_only;  /* no decryption or key agreement with it */
    bool extractable;
    CK_ULONG auth;         /* CK_FUSETSU_AUTH_* */
    struct bytes approver; /* CKA_FUSETSU_APPROVER; empty: none */
    const char *purpose;   /* CKA_FUSETSU_PURPOSE; NULL: the label */
    bool pcrs_updatable;   /* CKA_FUSETSU_PCRS_UPDATABLE */
    const char *pcrs;      /* CKA_FUSETSU_PCRS; NULL: none */
    struct bytes outside;  /* CKA_FUSETSU_OUTSIDE_INFO */
};

/* 0 when `type` is one that keyring_generate knows; E_USAGE lists them. */
int keyring_check_type(const char *type, struct err *e) MUST_USE;

/* Makes a key pair in the TPM; `out` is the private key object. */
int keyring_generate(struct keyring *k, const struct keyring_spec *spec, struct keyring_object *out,
                     struct err *e) MUST_USE;

/* Whether a private key was made in the TPM, never to leave it, signs and does nothing else, and takes
 * the user's login: what keyring_generate makes with `sign_only` and nothing more. */
bool keyring_signs_only(struct keyring *k, const struct keyring_object *key);

/* The TPM blob of a private key, and its public half. */
int keyring_blob(struct keyring *k, const struct keyring_object *key, struct store_key *out,
                 struct err *e) MUST_USE;
int keyring_public(struct keyring *k, const struct keyring_object *key, struct pubkey *out,
                   struct err *e) MUST_USE;

/* --- certificates and the rest ------------------------------------------- */

/* Keeps a certificate (DER) under an id and a label; one that is there already, byte for
 * byte, is left as it is and `*was_there` set (may be NULL). `trusted`: CKA_TRUSTED becomes
 * true, also of one that is there; that is the SO's to say (2.40, 4.6.2). */
int keyring_put_cert(struct keyring *k, struct bytes der, struct bytes id, const char *label,
                     bool trusted, bool *was_there, struct err *e) MUST_USE;

/* A certificate, and above it the issuers that the token has, as PEM in the order in which TLS
 * sends them; appended. */
int keyring_chain(struct keyring *k, X509 *leaf, struct buf *out, struct err *e) MUST_USE;

/*
 * Keeps what proves where a key lives: `record` is what `fusetsu verify` reads (PEM),
 * `ak_cert` the certificate (DER) of the attestation key that signed it. An older one of the
 * same key goes. The second gives the record back; E_NOT_FOUND. Both need the login.
 */
int keyring_put_evidence(struct keyring *k, const struct keyring_object *key, struct bytes ak_cert,
                         struct bytes record, struct err *e) MUST_USE;
int keyring_get_evidence(struct keyring *k, const struct keyring_object *key, struct buf *out,
                         struct err *e) MUST_USE;

/* Destroys a private key, its evidence, and the public key of the same id; certificates
 * stay. Of a public key, that alone. */
int keyring_destroy_pair(struct keyring *k, const struct keyring_object *key,
                         struct err *e) MUST_USE;

#endif
