#ifndef TESTS_SUPPORT_UNIT_FORGE_H
#define TESTS_SUPPORT_UNIT_FORGE_H

#include "core/evidence_check.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <tss2/tss2_tpm2_types.h>

/*
 * Evidence made by software keys that play EK, AK and subject: every byte is under a test's
 * control. unit_forge_init gives good evidence of the asked kinds; a test changes fields or sets
 * hooks, then unit_forge_build makes `request`, `record`, `leaf` and `terms`. Failures end
 * the test.
 */
#define UNIT_FORGE_NOW 1767225600 /* 2026-01-01 */
#define UNIT_FORGE_SUBJECT "gw1.comms.example"

enum unit_key { UNIT_P256, UNIT_P384, UNIT_RSA };

struct unit_forge {
    /* Keys, borrowed from a pool that the process keeps. */
    EVP_PKEY *ek, *ak, *subject, *parent, *other, *ek_root_key, *ek_ca_key, *ca_key;
    EVP_PKEY *attest_signer; /* signs the attestation; default ak */
    EVP_PKEY *csr_signer;    /* signs the CSR; default subject */
    EVP_PKEY *csr_key;       /* stands in the CSR; default subject */
    const EVP_MD *csr_md;    /* default SHA-256 */
    uint16_t sig_hash;       /* of the attestation's signature; default SHA-256 */
    bool sig_pss;            /* RSA AK: PSS instead of PKCS#1 */
    uint32_t ek_template;
    uint32_t parent_hierarchy;
    TPMT_PUBLIC ek_pub, ak_pub, key_pub, parent_pub;
    uint8_t nonce[32];
    int64_t now; /* the middle of the years in which certificates are good; UNIT_FORGE_NOW */
    int64_t ek_not_after;
    long serial;          /* of the last certificate that was made */
    X509 *genuine_ek;     /* stands in the request instead of a made EK certificate; borrowed */
    const char *cn, *san; /* asked for in the CSR; NULL: none */

    /* More that the AK signs. */
    bool with_creation, with_quote, with_pin;
    uint32_t quoted; /* PCRs of the quote, in bank SHA-256; each is 32 times its number */
    uint32_t pin_limit;
    TPMS_CREATION_DATA created;
    TPMS_NV_PUBLIC pin_pub; /* of the PIN counter */
    uint8_t pin_k[64];      /* the SO\'s key in its policy */
    /* Whose approval the key wants: another forge, built, whose subject key is the approver. Its
     * record goes into the bundle unless `bare_approver`. */
    struct unit_forge *approver;
    bool bare_approver;
    const char *purpose;
    uint64_t firmware;
    TPMS_CLOCK_INFO clock;

    void (*on_attest)(struct unit_forge *f, TPMS_ATTEST *a); /* of the Certify statement */
    /* Of the others, each told apart by its type. */
    void (*on_statement)(struct unit_forge *f, TPMS_ATTEST *a);
    void (*on_statement_signature)(struct unit_forge *f, uint16_t type, TPMT_SIGNATURE *s);
    void (*on_attest_wire)(struct unit_forge *f, struct buf *wire); /* before it is signed */
    void (*on_signature)(struct unit_forge *f, TPMT_SIGNATURE *s);
    void (*on_bundle)(struct unit_forge *f, struct evidence_bundle *b);
    void (*on_bare_csr)(struct unit_forge *f, X509_REQ *csr); /* before the TPM hears of it */
    void (*on_csr)(struct unit_forge *f, X509_REQ *csr); /* with the bundle, before its signature */
    void (*on_ek_cert)(struct unit_forge *f, X509 *cert);
    void (*on_ak_cert)(struct unit_forge *f, X509 *cert);

    /* Made by unit_forge_build. */
    X509 *ek_root, *ek_ca, *ca, *leaf;
    STACK_OF(X509) * roots;
    struct evidence_pin pin;
    struct evidence_request request;
    struct evidence_record record;
    struct evidence_terms terms;
    TPM2B_NAME ek_name, ak_name;
};

void unit_forge_init(struct unit_forge *f, enum unit_key ek, enum unit_key ak,
                     enum unit_key subject);
void unit_forge_build(struct unit_forge *f);
void unit_forge_free(struct unit_forge *f);

/* A software key of the pool; `n` tells several of a kind apart. */
EVP_PKEY *unit_forge_key(enum unit_key kind, unsigned n);
void unit_forge_pubkey(EVP_PKEY *key, struct pubkey *out);

/* A signing-key public area for `key` with the given attributes. */
void unit_forge_public(EVP_PKEY *key, uint32_t attributes, TPMT_PUBLIC *out);

/* parent_pub of the key `parent`. */
void unit_forge_parent(struct unit_forge *f);

/* The signing scheme of an AK: ECDSA, or this one for RSA; with SHA-256. */
void unit_forge_scheme(TPMT_PUBLIC *p, uint16_t rsa_scheme);

/* What is the same in all that an AK signs, and its signature over the whole. */
void unit_forge_attest(struct unit_forge *f, X509_REQ *csr, uint16_t type, TPMS_ATTEST *a);
void unit_forge_sign(struct unit_forge *f, struct bytes wire, TPMT_SIGNATURE *s);

/* The other statements as the fields above ask for them (unit_forge_statements.c). */
void unit_forge_statements(struct unit_forge *f, X509_REQ *csr, struct evidence_bundle *b);
void unit_forge_defaults(struct unit_forge *f); /* of init */
/* The key then has the policy that asks its PIN each time, or the approver. */
void unit_forge_policy_each(struct unit_forge *f);
void unit_forge_policy_approved(struct unit_forge *f);

/* Adds an extension written in OpenSSL's configuration form. */
void unit_forge_ext(X509 *cert, int nid, const char *value);

/* A CRL of the AK's issuer that lists this certificate (or nothing, NULL). */
X509_CRL *unit_forge_crl(struct unit_forge *f, X509 *revoked);

#endif
