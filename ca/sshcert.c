#include "ca/sshcert.h"

#include "core/hash.h"
#include "core/sshkey.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_BYTES 32
#define TYPE_USER 1
#define TYPE_HOST 2
#define KRL_MAGIC 0x5353484b524c0a00u
#define KRL_FORMAT 1
#define KRL_CERTIFICATES 1
#define KRL_SERIALS 0x20

static void add_u64(struct buf *out, uint64_t v)
{
    buf_u32(out, (uint32_t)(v >> 32));
    buf_u32(out, (uint32_t)v);
}

/* A list is a string of what it holds. */
static int add_list(struct buf *out, const struct buf *list, struct err *e)
{
    sshkey_string(out, buf_bytes(list));
    return buf_ok(list, e);
}

static int add_names(struct buf *out, const struct sshcert *c, struct err *e)
{
    struct buf list = {0};
    int rc;

    sshkey_text(&list, c->principal);
    rc = add_list(out, &list, e);
    buf_free(&list);
    return rc;
}

/* In the order of their names; a value is a string within a string. */
static int add_extensions(struct buf *out, const struct sshcert *c, struct err *e)
{
    struct buf list = {0}, value = {0};
    int rc;

    sshkey_text(&value, c->value);
    sshkey_text(&list, c->extension);
    rc = add_list(&list, &value, e);
    /* A user's terminal; no forwarding of agent, ports or X11, nor ~/.ssh/rc. */
    if (!c->host) {
        sshkey_text(&list, "permit-pty");
        sshkey_text(&list, "");
    }
    if (add_list(out, &list, e) != 0)
        rc = -1;
    buf_free(&list);
    buf_free(&value);
    return rc;
}

/* RFC 5656, 3.1.2: r and s. */
static int add_signature(struct buf *out, struct signer *ca, struct err *e)
{
    const struct alg_hash *hash = alg_hash_of(ca->pub.curve->hash);
    uint8_t digest[EVP_MAX_MD_SIZE], raw[2 * EVP_MAX_MD_SIZE + 8];
    size_t size = ca->pub.curve->size;
    struct buf rs = {0}, sig = {0};
    int rc = -1;

    if (hash == NULL || pubkey_sig_len(&ca->pub) > sizeof(raw))
        return err_set(e, E_UNSUPPORTED, "no hash goes with %s", pubkey_name(&ca->pub));
    if (hash_digest(hash, buf_bytes(out), digest, e) != 0 ||
        ca->sign(ca, PUBKEY_ECDSA, hash, bytes_of(digest, hash->size), raw, e) != 0 ||
        pubkey_verify(&ca->pub, PUBKEY_ECDSA, hash, 0, bytes_of(digest, hash->size),
                      bytes_of(raw, 2 * size), e) != 0)
        goto out;
    sshkey_mpint(&rs, bytes_of(raw, size));
    sshkey_mpint(&rs, bytes_of(raw + size, size));
    sshkey_text(&sig, sshkey_type(&ca->pub));
    sshkey_string(&sig, buf_bytes(&rs));
    if (buf_ok(&rs, e) == 0)
        rc = add_list(out, &sig, e);
out:
    buf_free(&rs);
    buf_free(&sig);
    return rc;
}

static int add_all(struct buf *out, const char *type, const struct sshcert *c, struct signer *ca,
                   struct err *e)
{
    uint8_t nonce[NONCE_BYTES];
    struct buf by = {0};
    int rc = -1;

    if (RAND_bytes(nonce, sizeof(nonce)) != 1)
        return err_openssl(e, E_CRYPTO, "no random nonce");
    sshkey_text(out, type);
    sshkey_string(out, bytes_of(nonce, sizeof(nonce)));
    sshkey_fields(out, c->key);
    add_u64(out, c->serial);
    buf_u32(out, c->host ? TYPE_HOST : TYPE_USER);
    sshkey_text(out, c->id);
    if (add_names(out, c, e) != 0)
        goto out;
    add_u64(out, c->after);
    add_u64(out, c->before);
    sshkey_text(out, ""); /* critical options */
    if (add_extensions(out, c, e) != 0)
        goto out;
    sshkey_text(out, ""); /* reserved */
    if (sshkey_blob(&ca->pub, &by, e) == 0 && add_list(out, &by, e) == 0)
        rc = add_signature(out, ca, e);
out:
    buf_free(&by);
    return rc;
}

int sshcert_make(const struct sshcert *c, struct signer *ca, struct buf *line, struct err *e)
{
    struct buf blob = {0}, type = {0}, key = {0};
    int rc = -1;

    if (c->principal == NULL || c->principal[0] == 0 || c->after >= c->before)
        return err_set(e, E_ARG, "a certificate for SSH is for a name and for a time");
    if (ca->pub.type != TPM2_ALG_ECC || sshkey_type(&ca->pub) == NULL)
        return err_set(e, E_UNSUPPORTED, "a CA for SSH has a key on P-256 or P-384");
    /* That it has a type at all. */
    if (sshkey_blob(c->key, &key, e) != 0)
        goto out;
    buf_printf(&type, "%s-cert-v01@openssh.com", sshkey_type(c->key));
    if (buf_ok(&type, e) == 0 && add_all(&blob, buf_cstr(&type), c, ca, e) == 0 &&
        buf_ok(&blob, e) == 0)
        rc = sshkey_encode(buf_cstr(&type), buf_bytes(&blob), c->principal, line, e);
out:
    buf_free(&key);
    buf_free(&type);
    buf_free(&blob);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The serial numbers rise, or readers refuse the list. */
static int add_serials(struct buf *out, const uint64_t *serial, size_t n, struct err *e)
{
    uint64_t *sorted = calloc(n, sizeof(*sorted));
    struct buf list = {0};
    int rc = -1;

    if (sorted == NULL)
        return err_set(e, E_MEMORY, "out of memory for a revocation list");
    memcpy(sorted, serial, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_number);
    for (size_t i = 0; i < n; i++)
        add_u64(&list, sorted[i]);
    buf_u8(out, KRL_SERIALS);
    rc = add_list(out, &list, e);
    free(sorted);
    buf_free(&list);
    return rc;
}

int sshcert_krl(const struct pubkey *ca, const uint64_t *serial, size_t n, uint64_t version,
                uint64_t now, struct buf *out, struct err *e)
{
    struct buf section = {0}, key = {0};
    int rc = -1;

    add_u64(out, KRL_MAGIC);
    buf_u32(out, KRL_FORMAT);
    add_u64(out, version);
    add_u64(out, now);
    add_u64(out, 0);      /* flags */
    sshkey_text(out, ""); /* reserved */
    sshkey_text(out, ""); /* comment */
    if (n == 0)
        return buf_ok(out, e);
    if (sshkey_blob(ca, &key, e) != 0)
        goto out;
    sshkey_string(&section, buf_bytes(&key));
    sshkey_text(&section, ""); /* reserved */
    if (add_serials(&section, serial, n, e) != 0)
        goto out;
    buf_u8(out, KRL_CERTIFICATES);
    rc = add_list(out, &section, e) == 0 ? buf_ok(out, e) : -1;
out:
    buf_free(&section);
    buf_free(&key);
    return rc;
}
