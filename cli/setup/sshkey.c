#include "cli/setup/sshkey.h"

#include "core/pubkey.h"

#include <string.h>

/* RFC 4251, 5: string. */
static void add_string(struct buf *out, struct bytes s)
{
    buf_u32(out, (uint32_t)s.len);
    buf_add_bytes(out, s);
}

static void add_text(struct buf *out, const char *text)
{
    add_string(out, bytes_of(text, strlen(text)));
}

/* RFC 4251, 5: mpint. A positive number begins with a clear bit and without needless zeros. */
static void add_mpint(struct buf *out, struct bytes n)
{
    bool zero;

    while (n.len > 0 && n.p[0] == 0)
        n = bytes_of(n.p + 1, n.len - 1);
    zero = n.len > 0 && (n.p[0] & 0x80) != 0;
    buf_u32(out, (uint32_t)n.len + zero);
    if (zero)
        buf_u8(out, 0);
    buf_add_bytes(out, n);
}

/* RFC 4253, 6.6: "ssh-rsa". */
static void add_rsa(struct buf *out, const struct pubkey *k)
{
    const uint8_t e[] = {(uint8_t)(k->exponent >> 24), (uint8_t)(k->exponent >> 16),
                         (uint8_t)(k->exponent >> 8), (uint8_t)k->exponent};

    add_text(out, "ssh-rsa");
    add_mpint(out, bytes_of(e, sizeof(e)));
    add_mpint(out, bytes_of(k->n, k->n_len));
}

/* RFC 5656, 3.1 and 6.1: the curve's name twice, then the point, uncompressed. */
static void add_ec(struct buf *out, const struct pubkey *k, const char *type)
{
    size_t size = k->curve->size;

    add_text(out, type);
    add_text(out, type + strlen("ecdsa-sha2-"));
    buf_u32(out, (uint32_t)(1 + 2 * size));
    buf_u8(out, 4);
    buf_add(out, k->point.x, size);
    buf_add(out, k->point.y, size);
}

static const char *type_of(const struct pubkey *k)
{
    if (k->type == TPM2_ALG_RSA)
        return "ssh-rsa";
    switch (k->curve->tpm) {
    case TPM2_ECC_NIST_P256: return "ecdsa-sha2-nistp256";
    case TPM2_ECC_NIST_P384: return "ecdsa-sha2-nistp384";
    case TPM2_ECC_NIST_P521: return "ecdsa-sha2-nistp521";
    default: return NULL;
    }
}

static void add_base64(struct buf *out, struct bytes in)
{
    unsigned char four[5];

    while (in.len > 0) {
        size_t n = in.len < 3 ? in.len : 3;

        buf_add(out, four, (size_t)EVP_EncodeBlock(four, in.p, (int)n));
        in = bytes_of(in.p + n, in.len - n);
    }
}

static void add_comment(struct buf *out, const char *comment)
{
    buf_u8(out, ' ');
    for (const char *p = comment; *p != 0; p++)
        buf_u8(out, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : (uint8_t)*p);
}

int sshkey_line(struct bytes spki, const char *comment, struct buf *out, struct err *e)
{
    struct buf blob = {0};
    struct pubkey k;
    const char *type;
    int rc = -1;

    if (pubkey_from_spki(&k, spki, e) != 0)
        return -1;
    type = type_of(&k);
    if (type == NULL)
        return err_set(e, E_UNSUPPORTED, "OpenSSH has no keys on the curve %s; choose another key",
                       k.curve->name);
    if (k.type == TPM2_ALG_RSA)
        add_rsa(&blob, &k);
    else
        add_ec(&blob, &k, type);
    if (buf_ok(&blob, e) != 0)
        goto out;
    buf_printf(out, "%s ", type);
    add_base64(out, buf_bytes(&blob));
    if (comment != NULL)
        add_comment(out, comment);
    rc = buf_ok(out, e);
out:
    buf_free(&blob);
    return rc;
}
