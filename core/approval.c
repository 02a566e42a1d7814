/* What is computed over requests for approval, and what they are judged by. */
#include "core/approval.h"

#include "core/hash.h"
#include "core/tpmname.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#define REF_LABEL "fusetsu approval 1"
#define HASH_LEN 32
#define NONCE_MIN 16 /* Part 1, 19.6.8: shorter nonces are refused by TPMs, too */

int approval_ref(struct bytes purpose, TPM2B_NONCE *out, struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    buf_str(&in, REF_LABEL);
    buf_add_bytes(&in, purpose);
    *out = (TPM2B_NONCE){.size = HASH_LEN};
    if (buf_ok(&in, e) == 0)
        rc = hash_sha256(buf_bytes(&in), out->buffer, e);
    buf_free(&in);
    return rc;
}

int approval_cp_hash(uint32_t command, const TPM2B_NAME *key, struct bytes parameters,
                     uint8_t out[32], struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    buf_u32(&in, command);
    buf_add(&in, key->name, key->size);
    buf_add_bytes(&in, parameters);
    if (buf_ok(&in, e) == 0)
        rc = hash_sha256(buf_bytes(&in), out, e);
    buf_free(&in);
    return rc;
}

int approval_digest(struct bytes nonce, uint32_t expiration, struct bytes cp_hash,
                    const TPM2B_NONCE *ref, uint8_t out[32], struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    buf_add_bytes(&in, nonce);
    buf_u32(&in, expiration);
    buf_add_bytes(&in, cp_hash);
    buf_add(&in, ref->buffer, ref->size);
    if (buf_ok(&in, e) == 0)
        rc = hash_sha256(buf_bytes(&in), out, e);
    buf_free(&in);
    return rc;
}

bool approval_answers(const struct approval_answer *a, const struct approval_request *r)
{
    return tpmname_equal(&a->approver, &r->approver) &&
           bytes_equal(buf_bytes(&a->nonce), buf_bytes(&r->nonce)) &&
           bytes_equal(buf_bytes(&a->cp_hash), buf_bytes(&r->cp_hash));
}

/* --- commands ------------------------------------------------------------------ */

static const char *scheme_name(uint16_t scheme)
{
    switch (scheme) {
    case TPM2_ALG_ECDSA: return "ECDSA";
    case TPM2_ALG_RSASSA: return "RSASSA-PKCS1-v1_5";
    case TPM2_ALG_RSAPSS: return "RSASSA-PSS";
    default: return NULL;
    }
}

/* TPM2_Sign (Part 3, 20.2): digest, inScheme, and a ticket that says nothing. */
static bool read_sign(struct reader *r, struct approval_command *out)
{
    uint16_t scheme;

    out->operation = "sign a digest";
    out->data = reader_2b(r);
    scheme = reader_u16(r);
    out->scheme = scheme_name(scheme);
    out->hash = alg_hash_of(reader_u16(r));
    return reader_u16(r) == TPM2_ST_HASHCHECK && reader_u32(r) == TPM2_RH_NULL &&
           reader_2b(r).len == 0 && out->scheme != NULL && out->hash != NULL &&
           out->data.len == out->hash->size;
}

/* TPM2_RSA_Decrypt (Part 3, 14.3): the raw operation, by which this program also decrypts and
 * makes signatures that it pads itself. */
static bool read_rsa(struct reader *r, struct approval_command *out)
{
    out->operation = "the raw RSA operation: it decrypts the data, or signs them";
    out->data = reader_2b(r);
    return reader_u16(r) == TPM2_ALG_NULL && reader_2b(r).len == 0 && out->data.len != 0;
}

/* TPM2_ECDH_ZGen (Part 3, 14.5): a point. */
static bool read_ecdh(struct reader *r, struct approval_command *out)
{
    struct bytes point = reader_2b(r), y;
    struct reader in = reader_of(point.p, point.len);

    out->operation = "agree on a secret with the holder of the point";
    out->data = reader_2b(&in);
    y = reader_2b(&in);
    return reader_done(&in) && out->data.len != 0 && y.len != 0;
}

static int read_command(const struct approval_request *r, struct approval_command *out,
                        struct err *e)
{
    struct reader in = reader_of(r->parameters.p, r->parameters.len);
    bool good;

    *out = (struct approval_command){NULL, NULL, NULL, {NULL, 0}};
    switch (r->command) {
    case TPM2_CC_Sign: good = read_sign(&in, out); break;
    case TPM2_CC_RSA_Decrypt: good = read_rsa(&in, out); break;
    case TPM2_CC_ECDH_ZGen: good = read_ecdh(&in, out); break;
    default:
        return err_set(e, E_REJECTED,
                       "the request asks for the TPM command 0x%08x; only a signature, an RSA "
                       "decryption or a key agreement can be approved",
                       (unsigned)r->command);
    }
    if (!good || !reader_done(&in))
        return err_set(e, E_REJECTED,
                       "the parameters of the command in the request cannot be told in words; it "
                       "was altered, or comes from another program");
    return 0;
}

int approval_check(const struct approval_request *r, struct approval_command *out, struct err *e)
{
    uint8_t want[HASH_LEN];
    TPM2B_NAME key;

    if (r->nonce.len < NONCE_MIN)
        return err_set(e, E_REJECTED,
                       "the request has no nonce of a TPM session: its approval could be used "
                       "any number of times");
    if (r->cp_hash.len == 0)
        return err_set(e, E_REJECTED,
                       "the request has no hash of a command: its approval would be for anything");
    if (r->expiration == 0 || r->expiration > APPROVAL_SECONDS_MAX)
        return err_set(e, E_REJECTED,
                       "the request asks for an approval of %u seconds; 1 to %u can be given",
                       (unsigned)r->expiration, APPROVAL_SECONDS_MAX);
    if (read_command(r, out, e) != 0 || tpmname_object(buf_bytes(&r->key), &key, e) != 0 ||
        approval_cp_hash(r->command, &key, buf_bytes(&r->parameters), want, e) != 0)
        return -1;
    if (!bytes_equal(bytes_of(want, sizeof(want)), buf_bytes(&r->cp_hash)))
        return err_set(e, E_REJECTED,
                       "the request says one thing and asks to sign another: the hash of its "
                       "command does not belong to its words. It was altered; approve nothing");
    return 0;
}
