#include "pkcs11/keyspec.h"

#include <string.h>

#include "core/approval.h"
#include "core/log.h"
#include "pkcs11/attr.h"
#include "pkcs11/fail.h"

static const enum store_key_mode modes[] = {
    [CK_FUSETSU_AUTH_SESSION] = STORE_KEY_SESSION,
    [CK_FUSETSU_AUTH_EACH] = STORE_KEY_EACH,
    [CK_FUSETSU_AUTH_NONE] = STORE_KEY_NONE,
    [CK_FUSETSU_AUTH_APPROVED] = STORE_KEY_APPROVED,
};

/* A decimal number of one or two digits; -1 when there is none. */
static int number(struct reader *r)
{
    int n = -1;

    for (int digits = 0; digits < 2 && r->left != 0 && r->p[0] >= '0' && r->p[0] <= '9'; digits++)
        n = (n < 0 ? 0 : n) * 10 + (reader_u8(r) - '0');
    return n;
}

bool keyspec_pcrs(struct bytes text, struct key_pcrs *out)
{
    struct reader r = reader_of(text.p, text.len);
    const struct alg_hash *h;
    struct key_pcrs p = {0};
    char name[16];
    size_t n = 0;

    *out = p;
    if (text.len == 0)
        return true;
    while (n + 1 < sizeof(name) && r.left != 0 && r.p[0] != ':' && r.p[0] != '\0')
        name[n++] = (char)reader_u8(&r);
    name[n] = '\0';
    h = alg_hash_named(name);
    if (h == NULL || h->tpm == 0 || reader_u8(&r) != ':' || r.bad)
        return false;
    p.hash = h->tpm;
    for (;;) {
        int pcr = number(&r);

        if (pcr < 0 || pcr >= 24)
            return false;
        p.select[pcr / 8] |= (uint8_t)(1u << (pcr % 8));
        if (r.left == 0)
            break;
        if (reader_u8(&r) != ',')
            return false;
    }
    *out = p;
    return true;
}

static CK_ULONG row_ulong(const struct made *m, CK_ATTRIBUTE_TYPE type, CK_ULONG otherwise)
{
    const struct store_attr *a = store_object_attr(&m->row, type);

    return a != NULL ? attr_to_ulong(buf_bytes(&a->value)) : otherwise;
}

/* CKA_ALWAYS_AUTHENTICATE is the standard's word for one of our modes. */
static CK_RV read_mode(struct made *priv, struct key_spec *spec)
{
    bool always = make_true(priv, CKA_ALWAYS_AUTHENTICATE);
    CK_ULONG mode = row_ulong(priv, CKA_FUSETSU_AUTH_MODE,
                              always ? CK_FUSETSU_AUTH_EACH : CK_FUSETSU_AUTH_SESSION);
    bool each = mode == CK_FUSETSU_AUTH_EACH;
    CK_RV rv;

    if (mode >= ARRAY_LEN(modes))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    if (always && !each)
        return CKR_TEMPLATE_INCONSISTENT;
    spec->mode = modes[mode];
    rv = template_set_bool(&priv->row, priv->group, CKA_ALWAYS_AUTHENTICATE, each);
    if (rv == CKR_OK)
        rv = template_set_ulong(&priv->row, priv->group, CKA_FUSETSU_AUTH_MODE, mode);
    return rv;
}

static struct bytes row_bytes(const struct made *m, CK_ATTRIBUTE_TYPE type)
{
    const struct store_attr *a = store_object_attr(&m->row, type);

    return a != NULL ? buf_bytes(&a->value) : (struct bytes){NULL, 0};
}

/* Who approves uses, and what for: with keys that want it, and with no others. */
static CK_RV read_approver(struct made *priv, struct key_spec *spec)
{
    struct approval_approver a;
    CK_RV rv = CKR_OK;

    spec->approver = row_bytes(priv, CKA_FUSETSU_APPROVER);
    spec->purpose = row_bytes(priv, CKA_FUSETSU_PURPOSE);
    if (spec->mode != STORE_KEY_APPROVED)
        return spec->approver.len == 0 && spec->purpose.len == 0 ? CKR_OK
                                                                 : CKR_TEMPLATE_INCONSISTENT;
    if (spec->approver.len == 0)
        return CKR_TEMPLATE_INCOMPLETE;
    if (approval_approver_decode(spec->approver, &a, NULL) != 0)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    approval_approver_free(&a);
    if (spec->purpose.len == 0) {
        spec->purpose = row_bytes(priv, CKA_LABEL);
        rv = template_set(&priv->row, priv->group, CKA_FUSETSU_PURPOSE, spec->purpose);
    }
    if (rv != CKR_OK)
        return rv;
    /* Setting one may have moved the others. */
    spec->approver = row_bytes(priv, CKA_FUSETSU_APPROVER);
    spec->purpose = row_bytes(priv, CKA_FUSETSU_PURPOSE);
    if (spec->purpose.len == 0)
        return CKR_TEMPLATE_INCOMPLETE;
    return spec->purpose.len < APPROVAL_TEXT ? CKR_OK : CKR_ATTRIBUTE_VALUE_INVALID;
}

CK_RV keyspec_of(struct made *priv, struct key_spec *spec)
{
    const struct store_attr *pcrs;
    CK_RV rv = read_mode(priv, spec);

    if (rv == CKR_OK)
        rv = read_approver(priv, spec);
    if (rv != CKR_OK)
        return rv;
    pcrs = store_object_attr(&priv->row, CKA_FUSETSU_PCRS);
    spec->sign = make_true(priv, CKA_SIGN) || make_true(priv, CKA_SIGN_RECOVER);
    spec->decrypt = make_true(priv, CKA_DECRYPT) || make_true(priv, CKA_UNWRAP) ||
                    make_true(priv, CKA_DERIVE);
    spec->extractable = make_true(priv, CKA_EXTRACTABLE);
    if (!spec->sign && !spec->decrypt)
        return CKR_TEMPLATE_INCONSISTENT;
    /* One proof of the PIN is one command; deriving and unwrapping have no Init to prove it
     * after (2.40, 4.9 names signing and decrypting). */
    if (spec->mode == STORE_KEY_EACH &&
        (make_true(priv, CKA_DERIVE) || make_true(priv, CKA_UNWRAP))) {
        log_warn("a key that wants its PIN for each use signs or decrypts; it cannot derive or "
                 "unwrap: leave CKA_DERIVE and CKA_UNWRAP out");
        return CKR_TEMPLATE_INCONSISTENT;
    }
    /* A key that may leave takes its protection off on the way. */
    if (spec->extractable && (spec->mode != STORE_KEY_SESSION || pcrs != NULL))
        return CKR_TEMPLATE_INCONSISTENT;
    if (pcrs != NULL && !keyspec_pcrs(buf_bytes(&pcrs->value), &spec->pcrs))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    spec->pcrs_updatable = make_true(priv, CKA_FUSETSU_PCRS_UPDATABLE);
    spec->outside_info = row_bytes(priv, CKA_FUSETSU_OUTSIDE_INFO);
    if (spec->outside_info.len > KEY_OUTSIDE_INFO)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    return spec->pcrs_updatable && spec->pcrs.hash == 0 ? CKR_TEMPLATE_INCONSISTENT : CKR_OK;
}

CK_RV keyspec_identity(struct p11_session *s, struct made *m)
{
    struct key_identity id;
    struct token *k = NULL;
    CK_RV rv;

    if (m->key == NULL || slot_token(s->slot, &k, NULL) != 0 ||
        token_key_identity(k, m->key, &id, NULL) != 0)
        return CKR_OK;
    rv = template_set(&m->row, m->group, CKA_FUSETSU_NAME, bytes_of(id.name.name, id.name.size));
    if (rv == CKR_OK)
        rv = template_set(&m->row, m->group, CKA_FUSETSU_QUALIFIED_NAME,
                          bytes_of(id.qualified.name, id.qualified.size));
    if (rv == CKR_OK)
        rv =
            template_set(&m->row, m->group, CKA_FUSETSU_POLICY, bytes_of(id.policy, id.policy_len));
    return rv;
}
