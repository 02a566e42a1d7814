#include "core/sshkey.h"

#include <string.h>

void sshkey_string(struct buf *out, struct bytes s)
{
    buf_u32(out, (uint32_t)s.len);
    buf_add_bytes(out, s);
}

void sshkey_text(struct buf *out, const char *text)
{
    sshkey_string(out, bytes_of(text, strlen(text)));
}

/* RFC 4251, 5: it begins with a clear bit and without needless zeros. */
void sshkey_mpint(struct buf *out, struct bytes n)
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

    sshkey_mpint(out, bytes_of(e, sizeof(e)));
    sshkey_mpint(out, bytes_of(k->n, k->n_len));
}

/* RFC 5656, 3.1 and 6.1: the curve's name, then the point, uncompressed. */
static void add_ec(struct buf *out, const struct pubkey *k)
{
    size_t size = k->curve->size;

    sshkey_text(out, sshkey_type(k) + strlen("ecdsa-sha2-"));
    buf_u32(out, (uint32_t)(1 + 2 * size));
    buf_u8(out, 4);
    buf_add(out, k->point.x, size);
    buf_add(out, k->point.y, size);
}

const char *sshkey_type(const struct pubkey *k)
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

void sshkey_fields(struct buf *out, const struct pubkey *k)
{
    if (k->type == TPM2_ALG_RSA)
        add_rsa(out, k);
    else
        add_ec(out, k);
}

int sshkey_blob(const struct pubkey *k, struct buf *out, struct err *e)
{
    if (sshkey_type(k) == NULL)
        return err_set(e, E_UNSUPPORTED, "OpenSSH has no keys on the curve %s; choose another key",
                       k->curve->name);
    sshkey_text(out, sshkey_type(k));
    sshkey_fields(out, k);
    return buf_ok(out, e);
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

int sshkey_encode(const char *type, struct bytes blob, const char *comment, struct buf *out,
                  struct err *e)
{
    buf_printf(out, "%s ", type);
    add_base64(out, blob);
    if (comment != NULL)
        add_comment(out, comment);
    return buf_ok(out, e);
}

int sshkey_line(struct bytes spki, const char *comment, struct buf *out, struct err *e)
{
    struct buf blob = {0};
    struct pubkey k;
    int rc = -1;

    if (pubkey_from_spki(&k, spki, e) == 0 && sshkey_blob(&k, &blob, e) == 0)
        rc = sshkey_encode(sshkey_type(&k), buf_bytes(&blob), comment, out, e);
    buf_free(&blob);
    return rc;
}

/* Does the key begin with its own type? */
static bool begins(const uint8_t *blob, size_t len, const char *type, size_t n)
{
    return len > 4 + n && blob[0] == 0 && blob[1] == 0 && blob[2] == 0 && blob[3] == n &&
           memcmp(blob + 4, type, n) == 0;
}

bool sshkey_is_line(const char *line)
{
    static const char *const types[] = {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                        "ecdsa-sha2-nistp521", "ssh-ed25519", "ssh-rsa"};
    uint8_t blob[SSHKEY_LINE_MAX];
    struct buf again = {0};
    size_t n = strcspn(line, " "), len = strlen(line), pad = 0;
    bool known = false, same = false;
    int got;

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        known = known || (strlen(types[i]) == n && strncmp(types[i], line, n) == 0);
    if (!known || len >= SSHKEY_LINE_MAX || len < n + 1 + 4 || (len - n - 1) % 4 != 0)
        return false;
    while (pad < 2 && line[len - 1 - pad] == '=')
        pad++;
    got = EVP_DecodeBlock(blob, (const uint8_t *)line + n + 1, (int)(len - n - 1));
    if (got <= (int)pad || !begins(blob, (size_t)got - pad, line, n))
        return false;
    /* White space and stray bits decode, too; written anew they are gone. */
    buf_add(&again, line, n);
    buf_u8(&again, ' ');
    add_base64(&again, bytes_of(blob, (size_t)got - pad));
    same = bytes_equal(buf_bytes(&again), bytes_of(line, len));
    buf_free(&again);
    return same;
}
