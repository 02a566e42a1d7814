#include "ca/profile.h"

#include "core/buf.h"
#include "core/oid.h"

#include <openssl/x509v3.h>
#include <string.h>

#define DAY ((int64_t)24 * 3600)
#define YEAR (365 * DAY)

/* RFC 5280, 4.2.1.12 */
#define EKU_SERVER_AUTH "1.3.6.1.5.5.7.3.1"
#define EKU_CLIENT_AUTH "1.3.6.1.5.5.7.3.2"
#define EKU_EMAIL "1.3.6.1.5.5.7.3.4"
/* RFC 4945, 5.1.3.12: id-kp-ipsecIKE */
#define EKU_IKE "1.3.6.1.5.5.7.3.17"
/* RFC 6960, 4.2.2.2 */
#define EKU_OCSP_SIGNING "1.3.6.1.5.5.7.3.9"

/* RFC 5280, 4.2.1.3 */
#define CA_USAGE (KU_KEY_CERT_SIGN | KU_CRL_SIGN)
#define GATEWAY_EKU                               \
    {                                             \
        EKU_SERVER_AUTH, EKU_CLIENT_AUTH, EKU_IKE \
    }
#define COMMUNITY_EKU                                        \
    {                                                        \
        EKU_SERVER_AUTH, EKU_CLIENT_AUTH, EKU_IKE, EKU_EMAIL \
    }

/* What every cross-certificate is; requireExplicitPolicy and inhibitAnyPolicy take effect
 * at once (0). */
#define CROSS_CERTIFICATE                                                                       \
    .ca = true, .pathlen = 0, .key_usage = CA_USAGE, .min_ecc_bits = 256, .min_rsa_bits = 3072, \
    .max_seconds = YEAR, .policies = PROFILE_POLICIES_COMMUNITY, .constraints = true,           \
    .clearance = PROFILE_CLEARANCE_BOUND, .require_explicit = 0, .inhibit_any = 0,              \
    .keep_ski = true

#define ISSUING_CA                                                                                 \
    .ca = true, .pathlen = 0, .key_usage = CA_USAGE, .min_ecc_bits = 256, .max_seconds = 5 * YEAR, \
    .constraints = true, .clearance = PROFILE_CLEARANCE_BOUND, .require_explicit = PROFILE_ABSENT, \
    .inhibit_any = PROFILE_ABSENT

/*
 * What every leaf of a community is. keyEncipherment: NSS asks for it in RSA certificates of TLS
 * servers, and mail to the holder of an RSA key is sealed with it.
 */
#define LEAF                                                                                      \
    .pathlen = PROFILE_ABSENT, .key_usage = KU_DIGITAL_SIGNATURE,                                 \
    .key_usage_rsa = KU_KEY_ENCIPHERMENT, .min_ecc_bits = 256, .min_rsa_bits = 2048,              \
    .max_seconds = 90 * DAY, .max_seconds_cleared = 30 * DAY, .policies = PROFILE_POLICIES_LEVEL, \
    .require_explicit = PROFILE_ABSENT, .inhibit_any = PROFILE_ABSENT,                            \
    .clearance = PROFILE_CLEARANCE_GRANTED, .evidence_hash = true

/*
 * strongSwan (5.9.8) cannot read a certificate that constrains IP addresses, and ignores the
 * extended key usages of CAs. A certificate without that constraint is of use in IKE alone:
 * what verifies TLS refuses it for its extended key usage.
 */
#define IKE_ONLY .eku = {EKU_IKE}, .addresses = true

/* EK Credential Profile 2.5, 3.2: the extended key usage, and the key usage by the kind of key
 * (3.2.14). As long as the TPM, for who vouched for it can revoke it. */
#define EK_CERTIFICATE                                                                            \
    .pathlen = PROFILE_ABSENT, .min_ecc_bits = 256, .min_rsa_bits = 2048, .eku = {OID_TCG_KP_EK}, \
    .max_seconds = 10 * YEAR, .policies = PROFILE_POLICIES_NONE,                                  \
    .require_explicit = PROFILE_ABSENT, .inhibit_any = PROFILE_ABSENT, .san = PROFILE_SAN_TPM

static const struct profile rows[PROFILE_COUNT] = {
    /* Trusted by itself: no path length, so that a level may be put between later;
     * anyPolicy because strongSwan grants only what every CA of the path has. */
    [PROFILE_ROOT] =
        {
            .name = "root",
            .ca = true,
            .pathlen = PROFILE_ABSENT,
            .key_usage = CA_USAGE,
            .min_ecc_bits = 384,
            .max_seconds = 20 * YEAR,
            .policies = PROFILE_POLICIES_ANY,
            .require_explicit = PROFILE_ABSENT,
            .inhibit_any = PROFILE_ABSENT,
        },
    /* Path length 1: an ally's issuing CA below it, and leaves below that. */
    [PROFILE_CROSS_CA] =
        {
            .name = "Cross CA",
            .ca = true,
            .pathlen = 1,
            .key_usage = CA_USAGE,
            .min_ecc_bits = 384,
            .max_seconds = 10 * YEAR,
            .policies = PROFILE_POLICIES_ANY,
            .require_explicit = PROFILE_ABSENT,
            .inhibit_any = PROFILE_ABSENT,
        },
    /* Without policies: nothing under it is ever valid for a community. */
    [PROFILE_ATTESTATION_CA] =
        {
            .name = "Attestation CA",
            .ca = true,
            .pathlen = 0,
            .key_usage = CA_USAGE,
            .min_ecc_bits = 384,
            .eku = {OID_TCG_KP_AK, OID_TCG_KP_EK},
            .max_seconds = 10 * YEAR,
            .policies = PROFILE_POLICIES_NONE,
            .require_explicit = PROFILE_ABSENT,
            .inhibit_any = PROFILE_ABSENT,
        },
    [PROFILE_ISSUING_CA] =
        {
            .name = "issuing CA",
            ISSUING_CA,
            .policies = PROFILE_POLICIES_COMMUNITY,
            .eku = COMMUNITY_EKU,
        },
    /* An ally who cross-certifies the issuing CA alone keeps its leaves out, of whichever program: no
     * path leads to them. */
    [PROFILE_BASIC_CA] =
        {
            .name = "basic CA",
            ISSUING_CA,
            .policies = PROFILE_POLICIES_LEVEL,
            .eku = COMMUNITY_EKU,
        },
    [PROFILE_GATEWAY] =
        {
            .name = "gateway certificate",
            .kind = "gateway",
            LEAF,
            .eku = GATEWAY_EKU,
            .san = PROFILE_SAN_DNS,
        },
    [PROFILE_SERVER] =
        {
            .name = "server certificate",
            .kind = "server",
            LEAF,
            .eku = {EKU_SERVER_AUTH},
            .san = PROFILE_SAN_DNS,
        },
    [PROFILE_CLIENT] =
        {
            .name = "client certificate",
            .kind = "client",
            LEAF,
            .eku = {EKU_CLIENT_AUTH},
            .san = PROFILE_SAN_DNS,
        },
    [PROFILE_IKE] =
        {
            .name = "IKE certificate",
            .kind = "ike",
            LEAF,
            .eku = {EKU_IKE},
            .san = PROFILE_SAN_DNS,
        },
    [PROFILE_PERSON] =
        {
            .name = "person's certificate",
            .kind = "person",
            LEAF,
            .eku = {EKU_CLIENT_AUTH, EKU_EMAIL},
            .san = PROFILE_SAN_MAIL,
        },
    [PROFILE_AK] =
        {
            .name = "attestation key certificate",
            .pathlen = PROFILE_ABSENT,
            .key_usage = KU_DIGITAL_SIGNATURE,
            .min_ecc_bits = 256,
            .min_rsa_bits = 2048,
            .eku = {OID_TCG_KP_AK},
            .max_seconds = 2 * YEAR,
            .policies = PROFILE_POLICIES_NONE,
            .require_explicit = PROFILE_ABSENT,
            .inhibit_any = PROFILE_ABSENT,
            .san = PROFILE_SAN_TPM,
        },
    /* GnuTLS 3.7 and NSS break on the critical forms of the policy extensions, so `compat`
     * departs from RFC 5280, 4.2.1.11 and 4.2.1.14, on purpose. */
    [PROFILE_CROSS_COMPAT] =
        {
            .name = "cross-certificate",
            CROSS_CERTIFICATE,
            .eku = COMMUNITY_EKU,
        },
    [PROFILE_CROSS_STRICT] =
        {
            .name = "strict cross-certificate",
            CROSS_CERTIFICATE,
            .eku = COMMUNITY_EKU,
            .policies_critical = true,
            .policy_rules_critical = true,
        },
    [PROFILE_ISSUING_IKE] =
        {
            .name = "issuing CA for IKE",
            ISSUING_CA,
            .policies = PROFILE_POLICIES_COMMUNITY,
            IKE_ONLY,
            .keep_ski = true,
        },
    [PROFILE_CROSS_IKE] =
        {
            .name = "cross-certificate for IKE",
            CROSS_CERTIFICATE,
            IKE_ONLY,
        },
    [PROFILE_EK_ECC] =
        {
            .name = "endorsement key certificate",
            .key_usage = KU_KEY_AGREEMENT,
            EK_CERTIFICATE,
        },
    [PROFILE_EK_RSA] =
        {
            .name = "endorsement key certificate",
            .key_usage = KU_KEY_ENCIPHERMENT,
            EK_CERTIFICATE,
        },
    /* It cannot be revoked, so it is short. */
    [PROFILE_OCSP] =
        {
            .name = "OCSP responder certificate",
            .pathlen = PROFILE_ABSENT,
            .key_usage = KU_DIGITAL_SIGNATURE,
            .min_ecc_bits = 256,
            .min_rsa_bits = 2048,
            .eku = {EKU_OCSP_SIGNING},
            .max_seconds = 30 * DAY,
            .policies = PROFILE_POLICIES_NONE,
            .require_explicit = PROFILE_ABSENT,
            .inhibit_any = PROFILE_ABSENT,
            .ocsp_nocheck = true,
        },
};

const struct profile *profile_get(enum profile_id id)
{
    return (unsigned)id < PROFILE_COUNT ? &rows[id] : NULL;
}

int profile_named(const char *kind, enum profile_id *out, struct err *e)
{
    struct buf kinds = {0};

    for (unsigned i = 0; i < PROFILE_COUNT; i++) {
        if (rows[i].kind == NULL)
            continue;
        if (strcmp(rows[i].kind, kind) == 0) {
            *out = (enum profile_id)i;
            buf_free(&kinds);
            return 0;
        }
        buf_printf(&kinds, "%s%s", kinds.len != 0 ? ", " : "", rows[i].kind);
    }
    err_set(e, E_ARG, "there is no certificate of kind \"%.40s\"; the kinds are: %s", kind,
            buf_cstr(&kinds) != NULL ? buf_cstr(&kinds) : "?");
    buf_free(&kinds);
    return -1;
}
