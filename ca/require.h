#ifndef CA_REQUIRE_H
#define CA_REQUIRE_H

#include "core/evidence_verdict.h"

/*
 * What an authority asks of TPMs and platforms beside the rules: files in its directory, all
 * optional but the first.
 *
 * ek-pins.pem: certificates of the issuers of EK certificates (TPM makers) that it trusts.
 *
 * ek-pins-no-eku.pem: more of them, whose EK certificates may lack the extended key usage
 * 2.23.133.8.1; one that has other usages and not this is refused all the same.
 *
 * advisories: one a line, MANUFACTURER MODEL FIRST LAST WHY: firmware versions in hex that must
 * not be trusted, as in an EK certificate and TPMS_ATTEST; MODEL may be *.
 *
 *     id:49465800 * 0 0004002100000000 ROCA, CVE-2017-15361
 *
 * platforms: sets of PCR values, each begun by a line "platform NAME", in the form of
 * `tpm2_pcrread`; a request must then carry a quote of one of them.
 *
 * Lines that begin with # are comments.
 */
#define REQUIRE_PINS "ek-pins.pem"
#define REQUIRE_PINS_NO_EKU "ek-pins-no-eku.pem"
#define REQUIRE_ADVISORIES "advisories"
#define REQUIRE_PLATFORMS "platforms"
#define REQUIRE_MAX ((size_t)1 << 20) /* bytes of a file */

struct require {
    struct evidence_pin *pin; /* with references of its own */
    size_t n_pin;
    struct evidence_advisory *advisory;
    size_t n_advisory;
    struct pcrvalues *pcrs;
    size_t n_pcrs;
};

/* Parse whole files; E_FORMAT names the line, or what is wrong. `out` is added to; after a failure
 * it holds part, and is freed as usual. Pins are PEM, at least one, or one in DER. */
int require_pins(struct bytes pem, struct require *out, struct err *e) MUST_USE;
int require_pins_no_eku(struct bytes pem, struct require *out, struct err *e) MUST_USE;
int require_advisories(struct bytes text, struct require *out, struct err *e) MUST_USE;
int require_platforms(struct bytes text, struct require *out, struct err *e) MUST_USE;

/* One more pin. E_FULL: there are 1000. */
int require_pin(struct require *r, X509 *issuer, bool eku_optional, struct err *e) MUST_USE;

/* Reads what is there of a directory; a file that is not there asks for nothing. */
int require_load(const char *dir, struct require *out, struct err *e) MUST_USE;

/* Puts it into terms, which borrow it. */
void require_into(const struct require *r, struct evidence_terms *t);

void require_free(struct require *r);

#endif
