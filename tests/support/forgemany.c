/*
 * Many applicants at once, without their TPMs: software keys play them, each with an attestation
 * key and a subject key of its own, behind one EK.
 *
 *   forgemany pins FILE STATE         makes the EK and its issuer: the pin goes to FILE
 *   forgemany make STATE INVITES OUT  answers each NAME.invite by OUT/NAME.request; one that is
 *                                     there stays
 *   forgemany open STATE DIR          opens each NAME.sealed as the TPM would, and prints NAME, and
 *                                     subject and serial number of the certificate inside
 */
#include "cli/folder.h"
#include "core/file.h"
#include "tests/support/unit_activate.h"
#include "tests/support/unit_forge.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "forgemany: %s: %s\n", what, e != NULL && e->msg[0] != 0 ? e->msg : "failed");
    exit(1);
}

/* --- what one run leaves to the next: three keys ------------------------------------------- */

static void save_keys(const struct unit_forge *f, const char *path)
{
    EVP_PKEY *key[] = {f->ek, f->ek_root_key, f->ek_ca_key};
    FILE *out = fopen(path, "w");

    for (size_t i = 0; out != NULL && i < ARRAY_LEN(key); i++) {
        if (PEM_write_PrivateKey(out, key[i], NULL, NULL, 0, NULL, NULL) != 1)
            die(path, NULL);
    }
    if (out == NULL || fclose(out) != 0)
        die(path, NULL);
}

static void load_keys(struct unit_forge *f, const char *path)
{
    EVP_PKEY **key[] = {&f->ek, &f->ek_root_key, &f->ek_ca_key};
    FILE *in = fopen(path, "r");

    for (size_t i = 0; in != NULL && i < ARRAY_LEN(key); i++) {
        *key[i] = PEM_read_PrivateKey(in, NULL, NULL, NULL);
        if (*key[i] == NULL)
            die(path, NULL);
    }
    if (in == NULL)
        die(path, NULL);
    fclose(in);
}

static void begin(struct unit_forge *f, const char *state)
{
    unit_forge_init(f, UNIT_RSA, UNIT_P256, UNIT_P256);
    f->now = time(NULL);
    f->ek_not_after = f->now + 365 * 86400;
    if (state != NULL)
        load_keys(f, state);
}

/* Not the pool's. */
static void end(struct unit_forge *f)
{
    EVP_PKEY_free(f->ek);
    EVP_PKEY_free(f->ek_root_key);
    EVP_PKEY_free(f->ek_ca_key);
    unit_forge_free(f);
}

static void pins(const char *file, const char *state)
{
    struct unit_forge f;
    FILE *out = fopen(file, "w");

    begin(&f, NULL);
    unit_forge_build(&f);
    save_keys(&f, state);
    if (out == NULL || PEM_write_X509(out, f.ek_root) != 1 || fclose(out) != 0)
        die(file, NULL);
    unit_forge_free(&f);
}

/* --- requests -------------------------------------------------------------------------------- */

/* An AK and a key that nobody had before. */
static void new_keys(struct unit_forge *f)
{
    f->ak = f->attest_signer = EVP_EC_gen("P-256");
    f->subject = f->csr_signer = f->csr_key = EVP_EC_gen("P-256");
    if (f->ak == NULL || f->subject == NULL)
        die("keys", NULL);
    unit_forge_public(f->ak, f->ak_pub.objectAttributes, &f->ak_pub);
    unit_forge_scheme(&f->ak_pub, TPM2_ALG_RSASSA);
    unit_forge_public(f->subject, f->key_pub.objectAttributes, &f->key_pub);
}

static void make_one(struct unit_forge *f, const struct folder *in, const struct folder *out,
                     const char *name)
{
    char invite[300], request[300], mail[300];
    struct evidence_invitation v;
    struct buf text = {0}, pem = {0};
    struct err e = {0};
    int there;

    snprintf(invite, sizeof(invite), "%s.invite", name);
    snprintf(request, sizeof(request), "%s.request", name);
    there = folder_read(out, request, 2 * EVIDENCE_MAX, &text, &e);
    buf_free(&text);
    if (there == 1)
        return;
    if (there < 0 || folder_read(in, invite, 65536, &text, &e) != 1 ||
        evidence_invitation_from_pem(buf_bytes(&text), &v, &e) != 0 ||
        v.nonce_len != sizeof(f->nonce))
        die(invite, &e);
    memcpy(f->nonce, v.nonce, sizeof(f->nonce));
    snprintf(mail, sizeof(mail), "email:%s", v.subject);
    f->cn = v.subject;
    f->san = strchr(v.subject, '@') != NULL ? mail : v.subject;
    new_keys(f);
    unit_forge_build(f);
    if (evidence_request_to_pem(&f->request, &pem, &e) != 0 ||
        folder_write(out, request, buf_bytes(&pem), 0600, &e) != 0)
        die(request, &e);
    EVP_PKEY_free(f->ak);
    EVP_PKEY_free(f->subject);
    buf_free(&text);
    buf_free(&pem);
}

static void make(const char *state, const char *invites, const char *out_dir)
{
    struct unit_forge f;
    struct folder in, out;
    struct err e = {0};
    char **names = NULL;
    size_t n = 0;

    begin(&f, state);
    if (folder_open(&in, invites, &e) != 0 || folder_fill(&out, out_dir, &e) != 0 ||
        folder_names(&in, ".invite", &names, &n, &e) != 0)
        die(invites, &e);
    for (size_t i = 0; i < n; i++)
        make_one(&f, &in, &out, names[i]);
    folder_names_free(names, n);
    folder_close(&in);
    folder_close(&out);
    end(&f);
}

/* --- answers --------------------------------------------------------------------------------- */

static void open_one(EVP_PKEY *ek, const struct folder *dir, const char *name)
{
    struct credential_sealed sealed = {0};
    struct credential_issued got = {0};
    struct buf text = {0};
    struct err e = {0};
    uint8_t secret[32];
    char file[300], cn[256], *hex;
    BIGNUM *serial;

    snprintf(file, sizeof(file), "%s.sealed", name);
    if (folder_read(dir, file, 2 * CREDENTIAL_MAX, &text, &e) != 1 ||
        credential_from_pem(buf_bytes(&text), &sealed, &e) != 0)
        die(file, &e);
    unit_activate(ek, &sealed, secret);
    if (credential_open(&sealed, bytes_of(secret, sizeof(secret)), &got, &e) != 0)
        die(file, &e);
    serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(got.cert), NULL);
    hex = serial != NULL ? BN_bn2hex(serial) : NULL;
    if (hex == NULL || X509_NAME_get_text_by_NID(X509_get_subject_name(got.cert), NID_commonName,
                                                 cn, (int)sizeof(cn)) <= 0)
        die(file, NULL);
    printf("%s %s %s\n", name, cn, hex);
    OPENSSL_free(hex);
    BN_free(serial);
    credential_issued_free(&got);
    credential_sealed_free(&sealed);
    buf_free(&text);
}

static void open_all(const char *state, const char *path)
{
    struct unit_forge f;
    struct folder dir;
    struct err e = {0};
    char **names = NULL;
    size_t n = 0;

    begin(&f, state);
    if (folder_open(&dir, path, &e) != 0 || folder_names(&dir, ".sealed", &names, &n, &e) != 0)
        die(path, &e);
    for (size_t i = 0; i < n; i++)
        open_one(f.ek, &dir, names[i]);
    folder_names_free(names, n);
    folder_close(&dir);
    end(&f);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "pins") == 0)
        pins(argv[2], argv[3]);
    else if (argc == 5 && strcmp(argv[1], "make") == 0)
        make(argv[2], argv[3], argv[4]);
    else if (argc == 4 && strcmp(argv[1], "open") == 0)
        open_all(argv[2], argv[3]);
    else
        die("usage: forgemany pins FILE STATE | make STATE INVITES OUT | open STATE DIR", NULL);
    return 0;
}
