#include "tpm/key_extra.h"

#include <string.h>

/* A record: tag u16, length u32, value. */
enum {
    EXTRA_APPROVER = 1,
    EXTRA_PURPOSE = 2,
    EXTRA_LABEL = 3,
    EXTRA_UPDATABLE = 4, /* one byte */
    EXTRA_PCRS = 5,      /* digest, signature; once for each approval */
};

/* Creation data, hash, ticket: what tpm/key.c keeps; an imported key has none of it. */
static struct reader behind_creation(const struct store_key *key)
{
    struct reader r = reader_of(key->creation.p, key->creation.len);

    if (key->creation.len != 0) {
        reader_2b(&r);
        reader_2b(&r);
        reader_2b(&r);
    }
    return r;
}

static bool take_pcrs(struct bytes v, struct key_extra *x)
{
    struct key_extra_pcrs *p = &x->pcrs[x->n_pcrs];

    if (x->n_pcrs == KEY_EXTRA_PCRS || v.len != sizeof(p->digest) + sizeof(p->signature))
        return false;
    memcpy(p->digest, v.p, sizeof(p->digest));
    memcpy(p->signature, v.p + sizeof(p->digest), sizeof(p->signature));
    x->n_pcrs++;
    return true;
}

int key_extra_read(const struct store_key *key, struct key_extra *out, struct err *e)
{
    struct reader r = behind_creation(key);
    struct key_extra x = {.label = {NULL, 0}};

    while (!r.bad && r.left != 0) {
        uint16_t tag = reader_u16(&r);
        struct bytes v = reader_take(&r, reader_u32(&r));

        switch (tag) {
        case EXTRA_APPROVER: x.approver = v; break;
        case EXTRA_PURPOSE: x.purpose = v; break;
        case EXTRA_LABEL: x.label = v; break;
        case EXTRA_UPDATABLE: x.updatable = true; break;
        case EXTRA_PCRS: r.bad = r.bad || !take_pcrs(v, &x); break;
        default: break;
        }
    }
    if (r.bad)
        return err_set(e, E_CORRUPT,
                       "what is stored beside a key does not parse; restore the store from a "
                       "backup");
    *out = x;
    return 0;
}

static void add(struct buf *b, uint16_t tag, struct bytes v)
{
    if (v.len == 0)
        return;
    buf_u16(b, tag);
    buf_u32(b, (uint32_t)v.len);
    buf_add_bytes(b, v);
}

int key_extra_write(struct store_key *key, const struct key_extra *x, struct err *e)
{
    struct reader r = behind_creation(key);
    struct buf b = {0};

    if (r.bad || key->creation.len == 0)
        return err_set(e, E_ARG, "only with a key that the TPM made can more be kept");
    buf_add(&b, key->creation.p, key->creation.len - r.left);
    add(&b, EXTRA_APPROVER, x->approver);
    add(&b, EXTRA_PURPOSE, x->purpose);
    add(&b, EXTRA_LABEL, x->label);
    if (x->updatable)
        add(&b, EXTRA_UPDATABLE, bytes_of("\1", 1));
    for (size_t i = 0; i < x->n_pcrs; i++) {
        uint8_t both[sizeof(x->pcrs[i].digest) + sizeof(x->pcrs[i].signature)];

        memcpy(both, x->pcrs[i].digest, sizeof(x->pcrs[i].digest));
        memcpy(both + sizeof(x->pcrs[i].digest), x->pcrs[i].signature,
               sizeof(x->pcrs[i].signature));
        add(&b, EXTRA_PCRS, bytes_of(both, sizeof(both)));
    }
    if (buf_ok(&b, e) != 0) {
        buf_free(&b);
        return -1;
    }
    buf_free(&key->creation);
    key->creation = b;
    return 0;
}
