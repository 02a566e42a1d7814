#ifndef CA_REQUIRE_H
#define CA_REQUIRE_H

#include "core/evidence_verdict.h"

/*
 * What an authority asks of TPMs and platforms beside the rules: two text files in its
 * directory, both optional.
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
#define REQUIRE_ADVISORIES "advisories"
#define REQUIRE_PLATFORMS "platforms"
#define REQUIRE_MAX ((size_t)1 << 20) /* bytes of a file */

struct require {
    struct evidence_advisory *advisory;
    size_t n_advisory;
    struct pcrvalues *pcrs;
    size_t n_pcrs;
};

/* Parse whole files; E_FORMAT names the line. `out` is added to. */
int require_advisories(struct bytes text, struct require *out, struct err *e) MUST_USE;
int require_platforms(struct bytes text, struct require *out, struct err *e) MUST_USE;

/* Reads what is there of a directory; a file that is not there asks for nothing. */
int require_load(const char *dir, struct require *out, struct err *e) MUST_USE;

/* Puts it into terms, which borrow it. */
void require_into(const struct require *r, struct evidence_terms *t);

void require_free(struct require *r);

#endif
