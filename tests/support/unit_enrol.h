#ifndef TESTS_SUPPORT_UNIT_ENROL_H
#define TESTS_SUPPORT_UNIT_ENROL_H

#include "ca/enrol.h"
#include "tests/support/unit_ca.h"
#include "tests/support/unit_forge.h"

/* An authority that trusts the maker of the forger's TPM, and that TPM. */
#define UNIT_ENROL_NOW ((time_t)UNIT_FORGE_NOW)

struct unit_enrol {
    char *dir;
    struct unit_ca_keys keys;
    struct authority *us;
    struct unit_forge f;
    struct enrol_outcome out; /* of the last unit_enrol_at, with its error */
    struct err e;
};

/* Set-up and tear-down of a test. */
int unit_enrol_up(void **state);
int unit_enrol_down(void **state);

/* What is invited to: level 3, for a day. */
struct authority_invite unit_enrol_terms(void);
/* Invites, and gives the nonce to the forger's TPM. */
void unit_enrol_invite(struct unit_enrol *w, const struct authority_invite *p);
/* The forger's request is made anew: its signatures are others each time. */
void unit_enrol_build(struct unit_enrol *w);
/* It is sent in. */
int unit_enrol_at(struct unit_enrol *w, time_t now);

/* How many certificates were issued; was the nonce taken? */
unsigned unit_enrol_issued(struct unit_enrol *w);
bool unit_enrol_consumed(struct unit_enrol *w);

/* Refused for that check (0: whichever), with nothing issued. */
void unit_enrol_refused(struct unit_enrol *w, int rc, unsigned check);

#endif
