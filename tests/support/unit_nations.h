#ifndef TESTS_SUPPORT_UNIT_NATIONS_H
#define TESTS_SUPPORT_UNIT_NATIONS_H

#include "ca/part.h"
#include "tests/support/unit_ca.h"

/* Two authorities, US and JP, made at UNIT_CA_NOW, and what they agree on. Failures end the test. */
struct unit_nations {
    char *dir[2];
    struct unit_ca_keys keys[2];
    struct authority *a[2];
    struct federation f; /* of unit_nations_agree */
};

extern const char *const unit_nation[2], *const unit_domain[2];

/* Ends the test with the error's words when `rc` is not 0. */
void unit_good(int rc, const struct err *e);

/* Makes the authorities; `systems` NULL, or their systems of clearances. The struct is zero. */
void unit_nations_up(struct unit_nations *w, const struct clearance_system *systems);
void unit_nations_down(struct unit_nations *w);

/* What `who` issues to the other one's CA; `may` NULL: no clearance of theirs counts. */
void unit_nations_cross(struct unit_nations *w, int who, unsigned community, bool ike,
                        const struct clearance *may);

/* What `who` gives into a federation: communications, and with `n` 2 electricity, from level 3. */
void unit_nations_part(struct unit_nations *w, int who, size_t n, struct federation *out);

/* Each certifies the other's CA for communications (US with that bound of clearances), and `f` is their
 * federation number 1, from UNIT_CA_NOW on for `seconds`; in place of any before. */
void unit_nations_agree(struct unit_nations *w, const struct clearance *may, int64_t seconds);

#endif
