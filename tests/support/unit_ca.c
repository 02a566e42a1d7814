#include "tests/support/unit_ca.h"

#include "core/oid.h"

#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Outside cmocka's own headers, so that this file serves any test. */
static void must(bool ok, const char *what, const struct err *e)
{
    if (ok)
        return;
    fprintf(stderr, "test set-up failed: %s: %s\n", what, e != NULL ? e->msg : "");
    abort();
}

/* --- software keys ------------------------------------------------------- */

struct soft {
    struct signer base;
    uint8_t d[ALG_MAX_COORD];
};

static int soft_sign(struct signer *s, enum pubkey_scheme scheme, const struct alg_hash *hash,
                     struct bytes digest, uint8_t *sig, struct err *e)
{
    struct soft *k = (struct soft *)s;

    (void)hash;
    if (scheme != PUBKEY_ECDSA)
        return err_set(e, E_UNSUPPORTED, "a software test key signs by ECDSA only");
    return ecc_sign(s->pub.curve, k->d, digest, sig, e);
}

static void soft_free(struct signer *s)
{
    free(s);
}

struct signer *unit_ca_signer(const char *curve)
{
    struct soft *k = calloc(1, sizeof(*k));
    struct err e = {0};
    uint8_t seed[80];

    must(k != NULL && RAND_bytes(seed, sizeof(seed)) == 1, "random seed", NULL);
    k->base.pub.type = TPM2_ALG_ECC;
    k->base.pub.curve = alg_curve_named(curve);
    must(k->base.pub.curve != NULL, curve, NULL);
    must(ecc_from_seed(k->base.pub.curve, bytes_of(seed, sizeof(seed)), k->d, &k->base.pub.point,
                       &e) == 0,
         "key", &e);
    k->base.sign = soft_sign;
    k->base.free = soft_free;
    return &k->base;
}

void unit_ca_keys_free(struct unit_ca_keys *k)
{
    for (size_t i = 0; i < k->n; i++)
        signer_free(k->key[i].signer);
    memset(k, 0, sizeof(*k));
}

int unit_ca_signer_for(void *ctx, enum registry_role role, unsigned community,
                       const struct registry_key *key, struct signer **out, struct err *e)
{
    struct unit_ca_keys *k = ctx;

    k->opened++;
    for (size_t i = 0; i < k->n; i++) {
        struct soft *copy;

        if (k->key[i].role != role || k->key[i].community != community || key->id_len != 1 ||
            key->id[0] != i)
            continue;
        copy = malloc(sizeof(*copy));
        must(copy != NULL, "memory", NULL);
        memcpy(copy, k->key[i].signer, sizeof(*copy));
        *out = &copy->base;
        return 0;
    }
    return err_set(e, E_NOT_FOUND, "no such key in the test");
}

/* --- directories --------------------------------------------------------- */

char *unit_ca_dir(void)
{
    char name[] = "/tmp/fusetsu-test-XXXXXX";
    char *dir = mkdtemp(name) != NULL ? strdup(name) : NULL;

    must(dir != NULL, "temporary directory", NULL);
    return dir;
}

void unit_ca_dir_remove(char *dir)
{
    static const char *const files[] = {"registry.db", "registry.db-journal", "ek-pins.pem",
                                        "advisories", "platforms"};
    char path[200];

    if (dir == NULL)
        return;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        remove(path);
    }
    must(remove(dir) == 0, "removing the temporary directory", NULL);
    free(dir);
}

/* --- authorities --------------------------------------------------------- */

static struct authority_key add_key(struct unit_ca_keys *k, enum registry_role role,
                                    unsigned community, const char *curve)
{
    struct authority_key out = {.ref = {.token = "test", .id_len = 1}};

    out.ref.id[0] = (uint8_t)k->n;
    out.signer = unit_ca_signer(curve);
    k->key[k->n].role = role;
    k->key[k->n].community = community;
    k->key[k->n].signer = out.signer;
    k->n++;
    return out;
}

bool unit_ca_registration, unit_ca_urls, unit_ca_basic;
const struct clearance_system *unit_ca_clearances;

struct authority *unit_ca_make(const char *dir, const char *nation, const char *domain,
                               struct bytes pins, time_t now, struct unit_ca_keys *keys)
{
    static const unsigned communities[] = {OID_COMMUNICATIONS, OID_ELECTRICITY};
    struct authority_key issuing[2], basic[2];
    struct authority_params p = {
        .nation = nation,
        .org = "Test Authority",
        .domain = domain,
        .communities = communities,
        .n_communities = 2,
        .ek_pins_pem = pins,
        .any_tpm = !unit_ca_registration,
        .clearances = unit_ca_clearances,
        .crl_url = unit_ca_urls ? "http://crl.test" : NULL,
        .ocsp_url = unit_ca_urls ? "http://ocsp.test" : NULL,
        .now = now,
    };
    struct authority *a = NULL;
    struct err e = {0};

    p.root = add_key(keys, REGISTRY_ROOT, 0, "P-384");
    p.cross = add_key(keys, REGISTRY_CROSS, 0, "P-384");
    p.attestation = add_key(keys, REGISTRY_ATTESTATION, 0, "P-384");
    issuing[0] = add_key(keys, REGISTRY_ISSUING, OID_COMMUNICATIONS, "P-256");
    issuing[1] = add_key(keys, REGISTRY_ISSUING, OID_ELECTRICITY, "P-384");
    if (unit_ca_basic) {
        basic[0] = add_key(keys, REGISTRY_BASIC, OID_COMMUNICATIONS, "P-256");
        basic[1] = add_key(keys, REGISTRY_BASIC, OID_ELECTRICITY, "P-256");
        p.basic = basic;
    }
    p.issuing = issuing;
    must(authority_init(dir, &p, &e) == 0, "authority_init", &e);
    must(authority_open(&a, dir, false, unit_ca_signer_for, keys, &e) == 0, "authority_open", &e);
    return a;
}

void unit_ca_some_pin(struct buf *pem)
{
    struct signer *k = unit_ca_signer("P-384");
    struct issue_issuer self = {.signer = k};
    struct subject s = {.key = &k->pub, .not_before = 1, .not_after = 86400};
    struct err e = {0};
    X509 *cert = NULL;

    s.name = issue_name("US", "Maker", NULL, "EK root", &e);
    must(issue_certificate(PROFILE_ROOT, &self, &s, &cert, &e) == 0 &&
             issue_to_pem(cert, pem, &e) == 0,
         "pin", &e);
    X509_NAME_free((X509_NAME *)(uintptr_t)s.name);
    X509_free(cert);
    signer_free(k);
}

int unit_ca_world_up(void **state)
{
    struct unit_ca_world *w = calloc(1, sizeof(*w));
    struct buf pin = {0};

    must(w != NULL, "memory", NULL);
    w->dir = unit_ca_dir();
    unit_ca_some_pin(&pin);
    w->us = unit_ca_make(w->dir, "US", "us.example", buf_bytes(&pin), UNIT_CA_NOW, &w->keys);
    buf_free(&pin);
    *state = w;
    return 0;
}

int unit_ca_world_down(void **state)
{
    struct unit_ca_world *w = *state;

    authority_close(w->us);
    unit_ca_keys_free(&w->keys);
    unit_ca_dir_remove(w->dir);
    free(w);
    return 0;
}

struct issue_issuer unit_ca_issuer(struct authority *a, enum registry_role role, unsigned community)
{
    struct issue_issuer i = {0};
    struct err e = {0};

    must(authority_issuer(a, role, community, &i, &e) == 0, "authority_issuer", &e);
    return i;
}

X509 *unit_ca_leaf(struct authority *a, unsigned community, unsigned level, const char *dns,
                   const struct pubkey *key, time_t now)
{
    static const uint8_t evidence[32] = {1, 2, 3};
    struct issue_issuer by = unit_ca_issuer(a, REGISTRY_ISSUING, community);
    struct signer *own = unit_ca_signer("P-256");
    struct subject s = {
        .key = key != NULL ? key : &own->pub,
        .not_before = now,
        .not_after = now + 90 * 86400,
        .community = community,
        .level = level,
        .dns = dns,
        .evidence_hash = evidence,
    };
    struct err e = {0};
    X509_NAME *name = issue_name(authority_info(a)->nation, authority_info(a)->org,
                                 oid_community_name(community), dns, &e);
    X509 *cert = NULL;

    must(name != NULL, "leaf name", &e);
    s.name = name;
    must(issue_certificate(PROFILE_GATEWAY, &by, &s, &cert, &e) == 0, "leaf", &e);
    X509_NAME_free(name);
    signer_free(own);
    return cert;
}

void unit_ca_resign(X509 **cert, const struct issue_issuer *by)
{
    struct err e = {0};
    EVP_PKEY *key = signer_evp(by->signer, &e);
    struct buf der = {0};
    const uint8_t *p;

    must(key != NULL && X509_sign(*cert, key, EVP_sha384()) > 0, "signing again", &e);
    EVP_PKEY_free(key);
    /* OpenSSL keeps what it once read of the extensions: read all anew. */
    must(issue_to_der(*cert, &der, &e) == 0, "encoding", &e);
    X509_free(*cert);
    p = der.p;
    *cert = d2i_X509(NULL, &p, (long)der.len);
    must(*cert != NULL, "reading back", NULL);
    buf_free(&der);
}

void unit_ca_set_ext(X509 *cert, int nid, const char *value)
{
    int at = X509_get_ext_by_NID(cert, nid, -1);
    X509_EXTENSION *ext;
    X509V3_CTX ctx;
    CONF *none;

    if (at >= 0)
        X509_EXTENSION_free(X509_delete_ext(cert, at));
    if (value == NULL)
        return;
    /* Some extensions insist on a configuration, even an empty one. */
    none = NCONF_new(NULL);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509V3_set_nconf(&ctx, none);
    ext = X509V3_EXT_nconf_nid(none, &ctx, nid, value);
    must(ext != NULL && X509_add_ext(cert, ext, -1) == 1, value, NULL);
    X509_EXTENSION_free(ext);
    NCONF_free(none);
}

/* --- the judge ----------------------------------------------------------- */

int unit_ca_verify(X509 *leaf, X509 *root, X509 *const *between, unsigned community, unsigned level,
                   time_t at)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *untrusted = sk_X509_new_null();
    char dotted[OID_TEXT_MAX];
    X509_VERIFY_PARAM *param;
    struct err e = {0};
    int verdict;

    must(store != NULL && ctx != NULL && untrusted != NULL, "memory", NULL);
    must(X509_STORE_add_cert(store, root) == 1, "root", NULL);
    for (size_t i = 0; between != NULL && between[i] != NULL; i++)
        must(sk_X509_push(untrusted, between[i]) > 0, "memory", NULL);
    must(X509_STORE_CTX_init(ctx, store, leaf, untrusted) == 1, "context", NULL);
    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, at);
    if (community != 0) {
        must(oid_policy(community, level, dotted, &e) == 0, "policy", &e);
        must(X509_VERIFY_PARAM_add0_policy(param, oid_object(dotted, &e)) == 1, "policy", &e);
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_POLICY_CHECK | X509_V_FLAG_EXPLICIT_POLICY);
    }
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    verdict = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_free(untrusted);
    return verdict;
}
