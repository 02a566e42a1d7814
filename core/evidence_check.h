#ifndef CORE_EVIDENCE_CHECK_H
#define CORE_EVIDENCE_CHECK_H

#include "core/evidence.h"
#include "core/pubkey.h"
#include "core/tpmname.h"

/*
 * The verifier: pure. No TPM, no clock, no registry, no file: everything that it
 * judges by is in the terms. What an authority runs before it issues, and what an
 * ally runs on a certificate and its retained record.
 */

enum evidence_outcome {
    EVIDENCE_NA,       /* not applicable, or could not be judged because another failed */
    EVIDENCE_PASS,     /* recomputed here and right */
    EVIDENCE_ASSERTED, /* rests on what the issuer says */
    EVIDENCE_FAIL,
};

/* An issuer of EK certificates (root or issuing CA) that is trusted as it stands. */
struct evidence_pin {
    X509 *issuer;
    bool eku_optional; /* this manufacturer's EK certificates lack the EKU 2.23.133.8.1 */
};

/* Attributes (TPMA_OBJECT bits, Part 2, 8.3) of the certified key. */
struct evidence_profile {
    uint32_t required;
    uint32_t forbidden;
    struct bytes auth_policy; /* exactly this authPolicy; empty: none */
};

/* The profile of a level-3 signing key: fixedTPM, fixedParent, sensitiveDataOrigin,
 * userWithAuth, noDA and sign; not restricted, no encryptedDuplication, no
 * adminWithPolicy, no authPolicy. `decrypt` is forbidden unless `allow_decrypt`
 * (an RSA key whose PSS padding is made outside the TPM has both). */
struct evidence_profile evidence_profile_signing(bool allow_decrypt);

enum evidence_nonce_state {
    EVIDENCE_NONCE_FRESH,    /* the caller issued it, it is unexpired and consumed just now */
    EVIDENCE_NONCE_ASSERTED, /* the caller only knows it from the record */
    EVIDENCE_NONCE_STALE,    /* used before or expired: check 16 fails */
};

/* Everything borrowed. Zero-initialise; what stays zero is as said. */
struct evidence_terms {
    const struct evidence_pin *pin; /* none: check 18 fails */
    size_t n_pin;
    int64_t now;        /* when chains must be valid, seconds since 1970; for a
                                        retained record that is judged later: its issued_at */
    struct bytes nonce; /* the expected one; empty: check 16 fails */
    enum evidence_nonce_state nonce_state;
    const char *subject; /* DNS name to be certified; NULL: not compared */
    struct evidence_profile profile;
    uint32_t parent_hierarchy; /* of the storage parent; 0: TPM2_RH_OWNER */

    /* The AK's certificate. A request has none: the AK is proven by sealing, and
     * `ak_sealed` says that the caller will do so (credential_seal). */
    bool ak_sealed;
    STACK_OF(X509) * ak_roots;     /* trusted as they stand */
    STACK_OF(X509) * ak_untrusted; /* intermediates */
    STACK_OF(X509_CRL) * ak_crls;  /* NULL: revocation is not judged, and check 7 says so */
    STACK_OF(X509_CRL) * ek_crls;

    const uint8_t *ek_spki; /* registered EK: pubkey_id(), 32 bytes; NULL: not judged */
    bool ek_spki_asserted;  /* ek_spki is NULL because the issuer looked it up */

    X509 *leaf; /* issued certificate to compare with; NULL: none */
};

#define EVIDENCE_CHECKS 24

struct evidence_result {
    unsigned number;    /* 1 to EVIDENCE_CHECKS */
    const char *title;  /* "the AK is restricted to signing what the TPM made" */
    const char *clause; /* "Part 2, 8.3" */
    enum evidence_outcome outcome;
    char reason[240]; /* one sentence; on FAIL with both values */
};

/*
 * Checks 1 to 23 are those of the project's evidence rules; 24 is "the issued
 * certificate carries the hash of this record and its key". A verdict is accepted
 * when none failed and none of the mandatory ones (all but 17, 19-22 and 24) stayed
 * NA.
 */
struct evidence_verdict {
    bool accepted;
    unsigned level; /* proven: 3 accepted, 1 when only the CSR's own signature holds, 0 */
    struct evidence_result result[EVIDENCE_CHECKS]; /* result[i].number == i + 1 */
    bool has_subject;
    struct pubkey subject; /* the CSR's key */
    TPM2B_NAME ak_name;    /* computed over the received bytes; size 0 when they do not parse */
    TPM2B_NAME ek_name;    /* of the template with the certificate's key */
    uint8_t ek_spki[32];   /* pubkey_id() of the EK certificate's key, zero when unreadable */
};

/* Judges. 0: the verdict says what came out, acceptance included; -1: it could not be
 * judged at all (E_MEMORY, E_ARG). */
int evidence_check_request(const struct evidence_request *r, const struct evidence_terms *t,
                           struct evidence_verdict *out, struct err *e) MUST_USE;
int evidence_check_record(const struct evidence_record *r, const struct evidence_terms *t,
                          struct evidence_verdict *out, struct err *e) MUST_USE;

/* 0 when accepted; else -1 with E_REJECTED naming the first check that failed and how
 * many others did. */
int evidence_check_verdict(const struct evidence_verdict *v, struct err *e) MUST_USE;

/* "pass", "fail", "asserted", "n/a". */
const char *evidence_outcome_name(enum evidence_outcome o);

#endif
