/*
 * The forger who has a TPM: an enrolment request in which a genuine chip, under a genuine EK,
 * signed what it was asked to sign; only one thing about it is not as it must be.
 *
 *   tpmforge --how HOW --invite FILE --ek-cert FILE --ek HANDLE --out FILE
 *            [--keep-ak HANDLE]
 *
 * --ek is a persistent EK that an empty password opens; --keep-ak where the AK shall stay. HOW:
 *
 *   good            nothing is wrong: the control
 *   external-ak     the AK is a software key, loaded by TPM2_LoadExternal
 *   unrestricted    the AK lies under the EK, but signs whatever it is given
 *   primary-ak      the AK is restricted, but a primary of the owner hierarchy
 *   signing-subject the certified key is the AK itself
 *   duplicable      the key was made in the TPM and may leave it
 *   imported        the key is a software key, imported by TPM2_Import
 *   moved           the key was made under one parent and moved below another by
 *                   TPM2_Duplicate and TPM2_Import
 *   external        the key is a software key, loaded by TPM2_LoadExternal
 *   quote           a quote stands in the place of the Certify statement
 *   constant        qualifyingData is 00 FF 55 AA, which tpm2_certify puts in
 *   liar            the key is imported, and its public area says that it was not
 *   sha1            the AK signs with SHA-1
 *
 * Commands go to the TPM bare, by passwords: nothing of what is tested is used for them.
 */
#include "core/evidence.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/tpmname.h"
#include "core/tpmwire.h"

#include <getopt.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tctildr.h>

#define FIXED (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT)
#define MADE (FIXED | TPMA_OBJECT_SENSITIVEDATAORIGIN)
#define SIGNS (TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT)

struct object {
    TPM2_HANDLE handle;
    TPM2B_PUBLIC pub;
    TPM2B_PRIVATE priv;
    EVP_PKEY *soft; /* where the private key is ours */
};

static TSS2_SYS_CONTEXT *sys;
static TSS2_TCTI_CONTEXT *tcti;
static const char *how;

static bool is(const char *name)
{
    return strcmp(how, name) == 0;
}

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "tpmforge: %s: %s\n", what, e != NULL && e->msg[0] != 0 ? e->msg : "failed");
    exit(1);
}

static void must(TSS2_RC rc, const char *what)
{
    if (rc == TSS2_RC_SUCCESS)
        return;
    fprintf(stderr, "tpmforge: %s: 0x%x\n", what, (unsigned)rc);
    exit(1);
}

/* A chip may ask to be asked again (Part 2, 6.6.3). */
#define COMMAND(call, what)                                               \
    do {                                                                  \
        TSS2_RC rc_;                                                      \
        while ((rc_ = (call)) == TPM2_RC_RETRY || rc_ == TPM2_RC_YIELDED) \
            continue;                                                     \
        must(rc_, what);                                                  \
    } while (0)

static void must_be(bool ok, const char *what)
{
    if (!ok)
        die(what, NULL);
}

/* One or two empty passwords. */
static TSS2L_SYS_AUTH_COMMAND *passwords(UINT16 n)
{
    static TSS2L_SYS_AUTH_COMMAND a;

    memset(&a, 0, sizeof(a));
    a.count = n;
    a.auths[0].sessionHandle = a.auths[1].sessionHandle = TPM2_RS_PW;
    return &a;
}

static void connect_tpm(void)
{
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    size_t size = Tss2_Sys_GetContextSize(0);
    const char *conf = getenv("FUSETSU_TCTI");

    must_be(conf != NULL, "FUSETSU_TCTI");
    must(Tss2_TctiLdr_Initialize(conf, &tcti), conf);
    sys = calloc(1, size);
    must_be(sys != NULL, "memory");
    must(Tss2_Sys_Initialize(sys, size, tcti, &abi), "SAPI");
}

/* --- public areas --------------------------------------------------------------------------- */

static void p256(TPMT_PUBLIC *p, uint32_t attributes)
{
    memset(p, 0, sizeof(*p));
    p->type = TPM2_ALG_ECC;
    p->nameAlg = TPM2_ALG_SHA256;
    p->objectAttributes = attributes;
    p->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
    p->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    p->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
    p->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
}

static void ak_area(TPMT_PUBLIC *p, uint32_t attributes)
{
    p256(p, attributes);
    p->parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
    p->parameters.eccDetail.scheme.details.ecdsa.hashAlg = is("sha1") ? TPM2_ALG_SHA1
                                                                      : TPM2_ALG_SHA256;
}

static void parent_area(TPMT_PUBLIC *p)
{
    p256(p, MADE | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
                TPMA_OBJECT_DECRYPT);
    p->parameters.eccDetail.symmetric = (TPMT_SYM_DEF_OBJECT){
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
}

/* --- objects ---------------------------------------------------------------------------------- */

static void primary(TPMI_RH_HIERARCHY in, const TPMT_PUBLIC *area, struct object *o)
{
    TPM2B_SENSITIVE_CREATE sensitive = {0};
    TPM2B_PUBLIC template = {.publicArea = *area};
    TPML_PCR_SELECTION pcr = {0};
    TPM2B_DATA outside = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST digest = {.size = sizeof(digest.buffer)};
    TPMT_TK_CREATION ticket = {0};
    TPM2B_NAME told = {.size = sizeof(told.name)};

    memset(o, 0, sizeof(*o));
    COMMAND(Tss2_Sys_CreatePrimary(sys, in, passwords(1), &sensitive, &template, &outside, &pcr,
                                   &o->handle, &o->pub, &data, &digest, &ticket, &told, NULL),
            "CreatePrimary");
}

static void load(TPM2_HANDLE parent, struct object *o)
{
    TPM2B_NAME told = {.size = sizeof(told.name)};

    COMMAND(Tss2_Sys_Load(sys, parent, passwords(1), &o->priv, &o->pub, &o->handle, &told, NULL),
            "Load");
}

static void create(TPM2_HANDLE parent, const TPMT_PUBLIC *area, struct object *o)
{
    TPM2B_SENSITIVE_CREATE sensitive = {0};
    TPM2B_PUBLIC template = {.publicArea = *area};
    TPML_PCR_SELECTION pcr = {0};
    TPM2B_DATA outside = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST digest = {.size = sizeof(digest.buffer)};
    TPMT_TK_CREATION ticket = {0};

    memset(o, 0, sizeof(*o));
    o->priv.size = sizeof(o->priv.buffer);
    COMMAND(Tss2_Sys_Create(sys, parent, passwords(1), &sensitive, &template, &outside, &pcr,
                            &o->priv, &o->pub, &data, &digest, &ticket, NULL),
            "Create");
    load(parent, o);
}

/* A software key, and its two halves as a TPM takes them. */
static void soft(const TPMT_PUBLIC *area, struct object *o, TPMT_SENSITIVE *s)
{
    BIGNUM *x = NULL, *y = NULL, *d = NULL;
    TPMS_ECC_POINT *q;

    memset(o, 0, sizeof(*o));
    memset(s, 0, sizeof(*s));
    o->soft = EVP_EC_gen("P-256");
    must_be(o->soft != NULL && EVP_PKEY_get_bn_param(o->soft, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
                EVP_PKEY_get_bn_param(o->soft, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
                EVP_PKEY_get_bn_param(o->soft, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1,
            "a software key");
    o->pub.publicArea = *area;
    q = &o->pub.publicArea.unique.ecc;
    q->x.size = q->y.size = s->sensitive.ecc.size = 32;
    s->sensitiveType = TPM2_ALG_ECC;
    must_be(BN_bn2binpad(x, q->x.buffer, 32) == 32 && BN_bn2binpad(y, q->y.buffer, 32) == 32 &&
                BN_bn2binpad(d, s->sensitive.ecc.buffer, 32) == 32,
            "a software key");
    BN_free(x);
    BN_free(y);
    BN_clear_free(d);
}

static void load_external(const TPMT_PUBLIC *area, struct object *o)
{
    TPM2B_SENSITIVE s = {0};
    TPM2B_NAME told = {.size = sizeof(told.name)};

    soft(area, o, &s.sensitiveArea);
    COMMAND(Tss2_Sys_LoadExternal(sys, NULL, &s, &o->pub, TPM2_RH_NULL, &o->handle, &told, NULL),
            "LoadExternal");
}

/* Without any wrapper: what TPM2_Import takes when encryptedDuplication is clear. */
static void import(TPM2_HANDLE parent, struct object *o, const TPM2B_PRIVATE *duplicate)
{
    static const TPMT_SYM_DEF_OBJECT none = {.algorithm = TPM2_ALG_NULL};
    TPM2B_DATA key = {0};
    TPM2B_ENCRYPTED_SECRET seed = {0};

    o->priv.size = sizeof(o->priv.buffer);
    COMMAND(Tss2_Sys_Import(sys, parent, passwords(1), &key, &o->pub, duplicate, &seed, &none,
                            &o->priv, NULL),
            "Import");
    load(parent, o);
}

static void imported(TPM2_HANDLE parent, const TPMT_PUBLIC *area, struct object *o)
{
    TPM2B_SENSITIVE s = {0};
    TPM2B_PRIVATE plain = {0};
    size_t n = 0;

    soft(area, o, &s.sensitiveArea);
    must(Tss2_MU_TPM2B_SENSITIVE_Marshal(&s, plain.buffer, sizeof(plain.buffer), &n), "sensitive");
    plain.size = (UINT16)n;
    import(parent, o, &plain);
}

/* DUP role: a policy session with the command code, which stands in the key's authPolicy too. */
static void duplicate(struct object *o, TPM2B_PRIVATE *out)
{
    static const TPMT_SYM_DEF_OBJECT none = {.algorithm = TPM2_ALG_NULL};
    TPMT_SYM_DEF no_sym = {.algorithm = TPM2_ALG_NULL};
    TPM2B_NONCE mine = {.size = 16}, theirs = {.size = sizeof(theirs.buffer)};
    TPM2B_ENCRYPTED_SECRET salt = {0}, seed = {.size = sizeof(seed.secret)};
    TPM2B_DATA key = {0}, key_out = {.size = sizeof(key_out.buffer)};
    TSS2L_SYS_AUTH_COMMAND *a = passwords(1);
    TPMI_SH_POLICY policy;

    COMMAND(Tss2_Sys_StartAuthSession(sys, TPM2_RH_NULL, TPM2_RH_NULL, NULL, &mine, &salt,
                                      TPM2_SE_POLICY, &no_sym, TPM2_ALG_SHA256, &policy, &theirs,
                                      NULL),
            "StartAuthSession");
    COMMAND(Tss2_Sys_PolicyCommandCode(sys, policy, NULL, TPM2_CC_Duplicate, NULL),
            "PolicyCommandCode");
    a->auths[0].sessionHandle = policy;
    out->size = sizeof(out->buffer);
    COMMAND(Tss2_Sys_Duplicate(sys, o->handle, TPM2_RH_NULL, a, &key, &none, &key_out, out, &seed,
                               NULL),
            "Duplicate");
}

static void duplicable(TPM2_HANDLE parent, struct object *o)
{
    TPMT_PUBLIC area;
    struct buf in = {0};
    struct err e = {0};

    p256(&area, SIGNS | TPMA_OBJECT_SENSITIVEDATAORIGIN);
    buf_add(&in, (const uint8_t[32]){0}, 32);
    buf_u32(&in, TPM2_CC_PolicyCommandCode);
    buf_u32(&in, TPM2_CC_Duplicate);
    area.authPolicy.size = 32;
    if (hash_sha256(buf_bytes(&in), area.authPolicy.buffer, &e) != 0)
        die("policy", &e);
    buf_free(&in);
    create(parent, &area, o);
}

/* --- the cast ----------------------------------------------------------------------------------- */

static void make_ak(TPM2_HANDLE ek, struct object *ak)
{
    TPMT_PUBLIC area;

    ak_area(&area, MADE | SIGNS | TPMA_OBJECT_RESTRICTED);
    if (is("unrestricted"))
        area.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_RESTRICTED;
    if (is("external-ak"))
        area.objectAttributes = SIGNS;
    if (is("external-ak"))
        load_external(&area, ak);
    else if (is("primary-ak"))
        primary(TPM2_RH_OWNER, &area, ak);
    else
        create(ek, &area, ak);
}

/* Made under another primary, and on its way from there. */
static void set_out(struct object *key, TPM2B_PRIVATE *blob)
{
    struct object other;
    TPMT_PUBLIC area;

    parent_area(&area);
    area.unique.ecc.x.size = 1;
    primary(TPM2_RH_OWNER, &area, &other);
    duplicable(other.handle, key);
    duplicate(key, blob);
    COMMAND(Tss2_Sys_FlushContext(sys, key->handle), "FlushContext");
    COMMAND(Tss2_Sys_FlushContext(sys, other.handle), "FlushContext");
}

/* `wanderer`: the private half of `key` where set_out() made it. */
static void make_key(TPM2_HANDLE parent, const struct object *ak, const TPM2B_PRIVATE *wanderer,
                     struct object *key)
{
    TPMT_PUBLIC area;

    p256(&area, MADE | SIGNS);
    if (is("signing-subject")) {
        *key = *ak;
    } else if (is("duplicable")) {
        duplicable(parent, key);
    } else if (is("moved")) {
        import(parent, key, wanderer);
    } else if (is("imported") || is("liar")) {
        area.objectAttributes &= ~(TPMA_OBJECT)MADE;
        imported(parent, &area, key);
        if (is("liar"))
            key->pub.publicArea.objectAttributes |= MADE;
    } else if (is("external")) {
        area.objectAttributes &= ~(TPMA_OBJECT)MADE;
        load_external(&area, key);
    } else {
        create(parent, &area, key);
    }
}

/* --- what it says -------------------------------------------------------------------------------- */

static void keep(const TPM2B_ATTEST *a, const TPMT_SIGNATURE *sig, struct evidence_signed *out)
{
    struct err e = {0};

    buf_add(&out->attest, a->attestationData, a->size);
    if (tpmwire_marshal_signature(sig, &out->signature, &e) != 0)
        die("signature", &e);
}

static void certify(const struct object *key, const struct object *ak, const uint8_t qualifying[32],
                    struct evidence_signed *out)
{
    /* A key that has no scheme of its own needs to be told one. */
    TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
    TPM2B_DATA data = {.size = 32};
    TPM2B_ATTEST a = {.size = sizeof(a.attestationData)};
    TPML_PCR_SELECTION pcr = {
        .count = 1,
        .pcrSelections[0] = {.hash = TPM2_ALG_SHA256, .sizeofSelect = 3, .pcrSelect = {1}}};
    TPMT_SIGNATURE sig = {0};

    memcpy(data.buffer, qualifying, 32);
    if (is("constant"))
        data = (TPM2B_DATA){.size = 4, .buffer = {0x00, 0xff, 0x55, 0xaa}};
    if (is("quote"))
        COMMAND(Tss2_Sys_Quote(sys, ak->handle, passwords(1), &data, &scheme, &pcr, &a, &sig, NULL),
                "Quote");
    else
        COMMAND(Tss2_Sys_Certify(sys, key->handle, ak->handle, passwords(2), &data, &scheme, &a,
                                 &sig, NULL),
                "Certify");
    keep(&a, &sig, out);
}

/* The TPM signs the request, unless the private key is ours. A restricted key signs only what
 * the TPM hashed. */
static void sign_csr(X509_REQ *csr, const struct object *key)
{
    TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256};
    TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    TPM2B_DIGEST digest = {.size = sizeof(digest.buffer)};
    TPM2B_MAX_BUFFER tbs = {0};
    EVP_PKEY *stand_in = key->soft != NULL ? key->soft : EVP_EC_gen("P-256");
    const ASN1_BIT_STRING *sig = NULL;
    TPMT_SIGNATURE made = {0};
    struct pubkey k;
    struct buf raw = {0}, der = {0};
    struct err e = {0};
    uint8_t *p = NULL;
    int n;

    /* Sets algorithm and encoding; the signature itself is then replaced. */
    must_be(X509_REQ_sign(csr, stand_in, EVP_sha256()) > 0, "signing the request");
    if (key->soft != NULL)
        return;
    EVP_PKEY_free(stand_in);
    n = i2d_re_X509_REQ_tbs(csr, &p);
    must_be(n > 0, "the request");
    if ((size_t)n <= TPM2_MAX_DIGEST_BUFFER &&
        (key->pub.publicArea.objectAttributes & TPMA_OBJECT_RESTRICTED) != 0) {
        tbs.size = (UINT16)n;
        memcpy(tbs.buffer, p, (size_t)n);
        COMMAND(
            Tss2_Sys_Hash(sys, NULL, &tbs, TPM2_ALG_SHA256, TPM2_RH_OWNER, &digest, &ticket, NULL),
            "Hash");
    } else {
        digest.size = 32;
        must_be(hash_sha256(bytes_of(p, (size_t)n), digest.buffer, &e) == 0, "hash");
    }
    OPENSSL_free(p);
    COMMAND(Tss2_Sys_Sign(sys, key->handle, passwords(1), &digest, &scheme, &ticket, &made, NULL),
            "Sign");
    if (pubkey_from_tpmt(&k, &key->pub.publicArea, &e) != 0 ||
        tpmwire_signature_raw(&made, &k, &(enum pubkey_scheme){0}, &(const struct alg_hash *){NULL},
                              &raw, &e) != 0 ||
        pubkey_sig_to_der(&k, buf_bytes(&raw), &der, &e) != 0)
        die("signature", &e);
    X509_REQ_get0_signature(csr, &sig, NULL);
    must_be(ASN1_STRING_set((ASN1_STRING *)(uintptr_t)sig, der.p, (int)der.len) == 1, "signature");
    buf_free(&raw);
    buf_free(&der);
}

static X509_REQ *bare_csr(const char *dns, const struct object *key)
{
    X509_REQ *csr = X509_REQ_new();
    struct pubkey k;
    struct buf spki = {0};
    struct err e = {0};
    const uint8_t *p;
    EVP_PKEY *pub;

    if (pubkey_from_tpmt(&k, &key->pub.publicArea, &e) != 0 || pubkey_to_spki(&k, &spki, &e) != 0)
        die("the key", &e);
    p = spki.p;
    pub = d2i_PUBKEY(NULL, &p, (long)spki.len);
    must_be(csr != NULL && pub != NULL && X509_REQ_set_version(csr, 0) == 1 &&
                X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(csr), NID_commonName,
                                           MBSTRING_UTF8, (const uint8_t *)dns, -1, -1, 0) == 1 &&
                X509_REQ_set_pubkey(csr, pub) == 1,
            "the request");
    EVP_PKEY_free(pub);
    buf_free(&spki);
    return csr;
}

static void marshal(const struct object *o, struct buf *out)
{
    struct err e = {0};

    if (tpmname_marshal_public(&o->pub.publicArea, out, &e) != 0)
        die("public area", &e);
}

static void forge(const struct evidence_invitation *v, TPM2_HANDLE ek, TPM2_HANDLE keep_ak,
                  struct evidence_request *r)
{
    struct evidence_bundle b = {0};
    struct object ak, parent, key;
    TPM2B_PRIVATE wanderer;
    uint8_t qualifying[32];
    TPMT_PUBLIC area;
    struct err e = {0};

    /* A chip has room for three objects. */
    if (is("moved"))
        set_out(&key, &wanderer);
    make_ak(ek, &ak);
    parent_area(&area);
    primary(TPM2_RH_OWNER, &area, &parent);
    make_key(parent.handle, &ak, &wanderer, &key);
    COMMAND(Tss2_Sys_FlushContext(sys, parent.handle), "FlushContext");
    r->csr = bare_csr(v->subject, &key);
    if (evidence_qualifying(bytes_of(v->nonce, v->nonce_len), r->csr, qualifying, &e) != 0)
        die("qualifyingData", &e);
    certify(&key, &ak, qualifying, &b.certify);
    marshal(&key, &b.certify.about);
    marshal(&parent, &b.parent);
    marshal(&ak, &r->ak_public);
    if (evidence_bundle_attach(r->csr, &b, &e) != 0)
        die("bundle", &e);
    sign_csr(r->csr, &key);
    if (key.handle != ak.handle) {
        COMMAND(Tss2_Sys_FlushContext(sys, key.handle), "FlushContext");
        EVP_PKEY_free(key.soft);
    }
    EVP_PKEY_free(ak.soft);
    if (keep_ak != 0)
        COMMAND(Tss2_Sys_EvictControl(sys, TPM2_RH_OWNER, ak.handle, passwords(1), keep_ak, NULL),
                "EvictControl");
    COMMAND(Tss2_Sys_FlushContext(sys, ak.handle), "FlushContext");
    evidence_bundle_free(&b);
}

/* --- files ------------------------------------------------------------------------------------------ */

static void read_invite(const char *path, struct evidence_invitation *out)
{
    struct buf in = {0};
    struct err e = {0};

    if (file_read(path, 2 * EVIDENCE_MAX, &in, &e) != 0 ||
        evidence_invitation_from_pem(buf_bytes(&in), out, &e) != 0)
        die(path, &e);
    buf_free(&in);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"how", required_argument, NULL, 'h'},
        {"invite", required_argument, NULL, 'i'},
        {"ek-cert", required_argument, NULL, 'c'},
        {"ek", required_argument, NULL, 'e'},
        {"out", required_argument, NULL, 'o'},
        {"keep-ak", required_argument, NULL, 'k'},
        {0},
    };
    const char *invite = NULL, *cert = NULL, *out = NULL, *ek = NULL;
    struct evidence_request r = {.ek_template = 0x01C00016};
    struct evidence_invitation v = {0};
    struct buf pem = {0};
    struct err e = {0};
    TPM2_HANDLE keep_ak = 0;
    FILE *f;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'h': how = optarg; break;
        case 'i': invite = optarg; break;
        case 'c': cert = optarg; break;
        case 'e': ek = optarg; break;
        case 'o': out = optarg; break;
        case 'k': keep_ak = (TPM2_HANDLE)strtoul(optarg, NULL, 0); break;
        default: return 2;
        }
    }
    must_be(how != NULL && invite != NULL && cert != NULL && ek != NULL && out != NULL,
            "usage: tpmforge --how HOW --invite FILE --ek-cert FILE --ek HANDLE --out FILE");
    read_invite(invite, &v);
    f = fopen(cert, "r");
    r.ek_cert = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    must_be(r.ek_cert != NULL && fclose(f) == 0, cert);
    connect_tpm();
    forge(&v, (TPM2_HANDLE)strtoul(ek, NULL, 0), keep_ak, &r);
    if (evidence_request_to_pem(&r, &pem, &e) != 0 ||
        file_write(out, buf_bytes(&pem), 0600, &e) != 0)
        die(out, &e);
    buf_free(&pem);
    evidence_request_free(&r);
    Tss2_Sys_Finalize(sys);
    free(sys);
    Tss2_TctiLdr_Finalize(&tcti);
    return 0;
}
