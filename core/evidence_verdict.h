#ifndef CORE_EVIDENCE_VERDICT_H
#define CORE_EVIDENCE_VERDICT_H

#include "core/evidence.h"
#include "core/pcrvalues.h"
#include "core/pubkey.h"
#include "core/tpmname.h"

/* What evidence is judged by, and what comes out: the words of core/evidence_check.h. */

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
    struct bytes auth_policy; /* exactly this authPolicy; empty: none, or one of those that the
                               * evidence itself proves (checks 25 and 26) */
};

enum evidence_nonce_state {
    EVIDENCE_NONCE_FRESH,    /* the caller issued it, it is unexpired and consumed just now */
    EVIDENCE_NONCE_ASSERTED, /* the caller only knows it from the record */
    EVIDENCE_NONCE_STALE,    /* used before or expired: check 16 fails */
};

/* TPMs whose firmware must not be trusted any more: of this manufacturer ("id:49465800"), of
 * this model ("": any), with a firmware version (Part 2, 10.12.8) from `first` to `last`. */
struct evidence_advisory {
    char manufacturer[16];
    char model[64];
    uint64_t first, last;
    char why[120];
};

/* What a TPM's clock and counters said (Part 2, 10.11.1). */
struct evidence_reading {
    uint32_t resets, restarts;
    uint64_t clock; /* milliseconds */
};

/* What the registry of devices says of the TPM: check 22. */
enum evidence_registration {
    EVIDENCE_REGISTRATION_NONE,   /* was not asked; ek_spki below may decide */
    EVIDENCE_REGISTRATION_ACTIVE, /* an officer bound it to this name */
    EVIDENCE_REGISTRATION_UNKNOWN,
    EVIDENCE_REGISTRATION_QUARANTINED,
    EVIDENCE_REGISTRATION_OTHER, /* bound, to other names */
};

/* Everything borrowed. Zero-initialise; what stays zero is as said. */
struct evidence_terms {
    const struct evidence_pin *pin; /* none: check 18 fails */
    size_t n_pin;
    /* When chains must be valid, seconds since 1970; for a retained record that is judged
     * later: its issued_at. */
    int64_t now;
    /* The expected one; empty: a request fails check 16, a record is judged by its own nonce
     * and check 16 is asserted. */
    struct bytes nonce;
    enum evidence_nonce_state nonce_state;
    const char *subject; /* DNS name to be certified; NULL: check 23 is asserted */
    struct evidence_profile profile;
    uint32_t parent_hierarchy; /* of the storage parent; 0: TPM2_RH_OWNER */

    /* The AK's certificate. A request has none: the AK is proven by sealing, and
     * `ak_sealed` says that the caller will do so (credential_seal). */
    bool ak_sealed;
    STACK_OF(X509) * ak_roots;     /* trusted as they stand */
    STACK_OF(X509) * ak_untrusted; /* intermediates */
    STACK_OF(X509_CRL) * ak_crls;  /* NULL: revocation is not judged, and check 7 says so */
    STACK_OF(X509_CRL) * ek_crls;

    enum evidence_registration registration;
    const char *registered; /* in words, where registration is not NONE */
    const uint8_t
        *ek_spki;          /* the one EK that may answer: pubkey_id(), 32 bytes; NULL: not judged */
    bool ek_spki_asserted; /* ek_spki is NULL because the issuer looked it up */

    X509 *leaf; /* issued certificate to compare with; NULL: none */

    /* What is known of the world besides; NULL: nothing, which `..._asserted` calls the
     * issuer's word. */
    const struct evidence_advisory *advisory;
    size_t n_advisory;
    bool advisories_asserted;
    const struct evidence_reading *reading; /* the last one of this TPM */
    bool reading_asserted;
    /* A TPM has several EKs: that an approver's is of another TPM is known to who registers them
     * all, or asserted by him. False: no level 4. */
    bool approver_asserted;
    const struct pcrvalues *pcrs; /* sets of values of which the platform must have one */
    size_t n_pcrs;
    bool pcrs_asserted;
};

#define EVIDENCE_CHECKS 26

struct evidence_result {
    unsigned number;    /* 1 to EVIDENCE_CHECKS */
    const char *title;  /* "the AK is restricted to signing what the TPM made" */
    const char *clause; /* "Part 2, 8.3" */
    enum evidence_outcome outcome;
    char reason[240]; /* one sentence; on FAIL with both values */
};

/*
 * Checks 1 to 23 are those of the project's evidence rules; 24 is "the issued
 * certificate carries the hash of this record and its key", 25 "wrong PINs are counted by the
 * TPM", 26 "each use takes the approval of another TPM". A verdict is accepted when none failed
 * and none of the mandatory ones (all but 17, 19-22 and 24-26) stayed NA.
 */
struct evidence_verdict {
    bool accepted;
    unsigned level; /* proven: 4 accepted, check 26 not failed and the caller's word for the
                     * approver; 3 accepted, 1 when only the CSR's
                     * own signature holds, 0 */
    struct evidence_result result[EVIDENCE_CHECKS]; /* result[i].number == i + 1 */
    bool has_subject;
    struct pubkey subject; /* the CSR's key */
    TPM2B_NAME ak_name;    /* computed over the received bytes; size 0 when they do not parse */
    TPM2B_NAME ek_name;    /* of the template with the certificate's key */
    uint8_t ek_spki[32];   /* pubkey_id() of the EK certificate's key, zero when unreadable */
    bool has_reading;      /* of the Certify statement, when it parses: */
    struct evidence_reading reading;
    uint64_t firmware;
    bool went_back;          /* check 20 failed because the TPM is behind what it said before */
    bool has_approver;       /* check 26 did not fail: */
    uint8_t approver_ek[32]; /* pubkey_id() of the approver's EK */
    unsigned pin_limit;      /* wrong PINs that the TPM allows, proven by check 25; 0: not */
};

#endif
