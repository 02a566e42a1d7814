/* The approver's side of tpm/approval.h. */
#include "core/tpmname.h"
#include "core/tpmwire.h"
#include "tpm/approval.h"
#include "tpm/key_extra.h"
#include "tpm/token_priv.h"

#include <stdlib.h>
#include <string.h>

/* What is told about a key of ours. */
static int describe(const struct token *k, const struct store_key *key, struct approval_approver *a,
                    struct err *e)
{
    struct key_extra x;

    *a = (struct approval_approver){.serial = ""};
    if (key_extra_read(key, &x, e) != 0)
        return -1;
    if (x.label.len >= sizeof(a->label))
        return err_set(e, E_CORRUPT, "the label of a stored approver is too long");
    memcpy(a->serial, k->row.serial, sizeof(a->serial));
    if (x.label.len != 0)
        memcpy(a->label, x.label.p, x.label.len);
    buf_add_bytes(&a->public, buf_bytes(&key->public));
    return buf_ok(&a->public, e);
}

static bool fits(const struct approval_approver *a, const char *label, const TPM2B_NAME *name)
{
    TPM2B_NAME have;

    if (label != NULL)
        return strcmp(a->label, label) == 0;
    return tpmname_object(buf_bytes(&a->public), &have, NULL) == 0 && tpmname_equal(&have, name);
}

int token_approver_find(struct token *k, const char *label, const TPM2B_NAME *name,
                        struct store_key *key, struct approval_approver *out, struct err *e)
{
    struct store_key *list = NULL;
    size_t n = 0;
    int rc = 1;

    if (k->who != TOKEN_USER)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    if (store_key_list(k->store, k->row.id, STORE_USE_APPROVER, token_seal(k), &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct approval_approver a = {.serial = ""};

        if (rc == 1 && describe(k, &list[i], &a, e) != 0)
            rc = -1;
        if (rc == 1 && fits(&a, label, name)) {
            *key = list[i];
            *out = a;
            rc = 0;
            continue;
        }
        approval_approver_free(&a);
        store_key_free(&list[i]);
    }
    free(list);
    if (rc == 1)
        return err_set(e, E_NOT_FOUND, "token '%s' has no such key for approvals%s%s", k->row.label,
                       label != NULL ? ": " : "", label != NULL ? label : "");
    return rc;
}

static int check_label(struct token *k, const char *label, struct err *e)
{
    struct approval_approver a;
    struct store_key key;
    struct err why = {0};

    if (label[0] == 0 || strlen(label) >= APPROVAL_TEXT)
        return err_set(e, E_ARG, "the label of an approver has 1 to %d bytes", APPROVAL_TEXT - 1);
    if (token_approver_find(k, label, NULL, &key, &a, &why) != 0)
        return why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
    approval_approver_free(&a);
    store_key_free(&key);
    return err_set(e, E_EXISTS, "token '%s' has an approver %s already; choose another label",
                   k->row.label, label);
}

int token_approver_create(struct token *k, const char *label, struct approval_approver *out,
                          struct err *e)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC,
                            .curve = alg_curve_of(TPM2_ECC_NIST_P256),
                            .sign = true,
                            .mode = STORE_KEY_EACH};
    struct key_extra x = {.label = bytes_of(label, strlen(label))};
    struct store_key key = {.token = 0};
    struct approval_approver a = {.serial = ""};
    int rc = -1;

    if (check_label(k, label, e) != 0 || token_key_create(k, &spec, &key, e) != 0)
        return -1;
    key.use = STORE_USE_APPROVER;
    if (key_extra_write(&key, &x, e) == 0 && describe(k, &key, &a, e) == 0 &&
        store_key_put(k->store, &key, token_seal(k), e) == 0) {
        *out = a;
        rc = 0;
    } else {
        approval_approver_free(&a);
    }
    store_key_free(&key);
    return rc;
}

/* --- signing ------------------------------------------------------------------------ */

static int sign(struct token *k, const struct store_key *approver, const uint8_t digest[32],
                struct buf *out, struct err *e)
{
    const struct token_sign what = {.scheme = PUBKEY_ECDSA, .digest = bytes_of(digest, 32)};
    TPMT_SIGNATURE sig = {.sigAlg = TPM2_ALG_ECDSA};
    uint8_t rs[2 * ALG_MAX_COORD];

    if (token_sign(k, approver, &what, rs, e) != 0)
        return -1;
    sig.signature.ecdsa.hash = TPM2_ALG_SHA256;
    sig.signature.ecdsa.signatureR.size = 32;
    sig.signature.ecdsa.signatureS.size = 32;
    memcpy(sig.signature.ecdsa.signatureR.buffer, rs, 32);
    memcpy(sig.signature.ecdsa.signatureS.buffer, rs + 32, 32);
    return tpmwire_marshal_signature(&sig, out, e);
}

int token_approval_sign(struct token *k, const struct store_key *approver,
                        const struct approval_request *r, struct approval_answer *out,
                        struct err *e)
{
    struct approval_answer a = {.approver = r->approver, .expiration = r->expiration};
    struct approval_command ignored;
    TPM2B_NAME name;
    TPM2B_NONCE ref;
    uint8_t digest[32];

    if (approver->use != STORE_USE_APPROVER)
        return err_set(e, E_ARG, "only a key that was made for approvals signs them");
    if (approval_check(r, &ignored, e) != 0 ||
        tpmname_object(buf_bytes(&approver->public), &name, e) != 0)
        return -1;
    if (!tpmname_equal(&name, &r->approver))
        return err_set(e, E_REJECTED, "the request asks another approver than this one");
    buf_add_bytes(&a.nonce, buf_bytes(&r->nonce));
    buf_add_bytes(&a.cp_hash, buf_bytes(&r->cp_hash));
    if (buf_ok(&a.nonce, e) == 0 && buf_ok(&a.cp_hash, e) == 0 &&
        approval_ref(bytes_of(r->purpose, strlen(r->purpose)), &ref, e) == 0 &&
        approval_digest(buf_bytes(&r->nonce), r->expiration, buf_bytes(&r->cp_hash), &ref, digest,
                        e) == 0 &&
        sign(k, approver, digest, &a.signature, e) == 0) {
        *out = a;
        return 0;
    }
    approval_answer_free(&a);
    return -1;
}
