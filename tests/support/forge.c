/*
 * The forger: an enrolment request for a key that lives in software, with evidence
 * that software keys signed, beside the genuine EK certificate of somebody's TPM.
 *
 *   forge --invite FILE --ek-cert FILE --ek-index 0x01c00016 --out FILE [--perfect]
 *
 * Without --perfect the "attestation key" says of itself what it is: an unrestricted
 * key, which signs anything. With it, every byte claims to come from a TPM; only the
 * sealing to the EK then stands in the way.
 */
#include "core/ektemplate.h"
#include "core/file.h"
#include "tests/support/unit_forge.h"

#include <getopt.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "forge: %s: %s\n", what, e != NULL ? e->msg : "failed");
    exit(1);
}

static void read_invite(const char *path, struct evidence_invitation *out)
{
    struct buf in = {0};
    struct err e = {0};

    if (file_read(path, 65536, &in, &e) != 0 ||
        evidence_invitation_from_pem(buf_bytes(&in), out, &e) != 0)
        die(path, &e);
    buf_free(&in);
}

static X509 *read_cert(const char *path)
{
    FILE *f = fopen(path, "r");
    X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

    if (f != NULL)
        fclose(f);
    if (x == NULL)
        die(path, NULL);
    return x;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"invite", required_argument, NULL, 'i'},   {"ek-cert", required_argument, NULL, 'c'},
        {"ek-index", required_argument, NULL, 'x'}, {"out", required_argument, NULL, 'o'},
        {"perfect", no_argument, NULL, 'p'},        {0},
    };
    const char *invite = NULL, *cert = NULL, *out = NULL;
    struct evidence_invitation v = {0};
    uint32_t index = 0x01C00016;
    struct unit_forge f;
    struct buf pem = {0};
    struct err e = {0};
    bool perfect = false;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'i': invite = optarg; break;
        case 'c': cert = optarg; break;
        case 'x': index = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'o': out = optarg; break;
        case 'p': perfect = true; break;
        default: return 2;
        }
    }
    if (invite == NULL || cert == NULL || out == NULL)
        die("usage: forge --invite FILE --ek-cert FILE --out FILE [--ek-index N] [--perfect]",
            NULL);
    read_invite(invite, &v);
    unit_forge_init(&f, index == 0x01C00002 ? UNIT_RSA : UNIT_P384, UNIT_P256, UNIT_P256);
    if (v.nonce_len != sizeof(f.nonce))
        die("the invitation's nonce has another length", NULL);
    memcpy(f.nonce, v.nonce, sizeof(f.nonce));
    f.ek_template = index;
    f.cn = f.san = v.subject;
    f.genuine_ek = read_cert(cert);
    if (!perfect)
        f.ak_pub.objectAttributes &= ~(uint32_t)TPMA_OBJECT_RESTRICTED;
    unit_forge_build(&f);
    if (evidence_request_to_pem(&f.request, &pem, &e) != 0 ||
        file_write(out, buf_bytes(&pem), 0600, &e) != 0)
        die(out, &e);
    buf_free(&pem);
    X509_free(f.genuine_ek);
    unit_forge_free(&f);
    return 0;
}
