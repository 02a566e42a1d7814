#ifndef TESTS_UNIT_CHAIN_H
#define TESTS_UNIT_CHAIN_H

#include "core/chain.h"

/*
 * Certification paths as tables: one row is one case, which core/chain judges and then OpenSSL.
 *
 * A certificate is a text of fields with '|' between. P1 to P9 stand for policy identifiers, N1
 * to N9 for clearance policies, "any" for anyPolicy.
 *   ca                critical basicConstraints CA:TRUE, critical keyUsage keyCertSign, cRLSign
 *   len=N             the same with a path length
 *   self              self-issued: the subject is the issuer; another key
 *   subj=/C=US/CN=x   the subject (default: /CN=n, n its place); issuer=... likewise
 *   pol= map= pc= iap= nc= san= eku= ku= bc=    extensions in OpenSSL's configuration syntax,
 *                     critical as RFC 5280 has it unless the value says otherwise; ku=- none
 *   ncdn=/C=US  ncdnx=/C=US     permitted and excluded directory name
 *   cl=N1:17,N2:2     clearance attributes; oldcl= under RFC 3281's identifier, cl3281= with its
 *                     tags as well; clc= authorityClearanceConstraints, both with class bits
 *   der=OID:c:HEX     any extension; c or n for critical or not
 *   from=U491231235959Z to=G20500101000000Z     times, U UTCTime, G GeneralizedTime
 *   v1 sha1 badsig mismatch weak explicit noids     what their names say
 */
#define UNIT_CHAIN_MAX 9
#define UNIT_CHAIN_NOW 1800000000 /* 2027-01-15 */

struct unit_chain_case {
    const char *name;
    const char *cert[UNIT_CHAIN_MAX]; /* [0] is the trust anchor; the last one the leaf */
    enum chain_code want;
    const char *policies; /* user-initial-policy-set, "P1,P2"; NULL: any */
    bool explicit_policy, inhibit_mapping, inhibit_any, strict;
    const char *dns, *email, *usage;
    struct bytes ip;
    const char *authority, *user; /* the sets that must come out, "P1,any"; "" for none */
    const char *clearance;        /* wanted "N1:16"; */
    const struct chain_equivalence *table;
    size_t n_table;
    const char *held;    /* clearances that must come out, "N1:16,N2:2" */
    int64_t now;         /* 0: UNIT_CHAIN_NOW */
    const char *differs; /* why OpenSSL's verdict is another; then it must be. "-": not asked */
};

/* Judges a row; fails the test when the verdict, the sets or OpenSSL's verdict is not as it says. */
void unit_chain_run(const struct unit_chain_case *c);

/* A test of a table for cmocka: initial state is the row. */
void unit_chain_test(void **state);
#define UNIT_CHAIN_TABLE_MAIN(table)                                        \
    int main(void)                                                          \
    {                                                                       \
        static struct CMUnitTest tests[sizeof(table) / sizeof((table)[0])]; \
                                                                            \
        for (size_t i = 0; i < sizeof(table) / sizeof((table)[0]); i++) {   \
            tests[i].name = (table)[i].name;                                \
            tests[i].test_func = unit_chain_test;                           \
            tests[i].initial_state = (void *)(uintptr_t) & (table)[i];      \
        }                                                                   \
        return cmocka_run_group_tests(tests, NULL, NULL);                   \
    }

/* The parts, for tests that are no rows. Certificate number `at` by number `by` (its own key if
 * equal); the keys are the same for each number in all the program. */
X509 *unit_chain_cert(const char *spec, unsigned at, unsigned by, const X509 *issuer);
EVP_PKEY *unit_chain_key(unsigned at); /* borrowed */
X509_EXTENSION *unit_chain_extension(const char *oid, bool critical, const char *hex);
STACK_OF(ASN1_OBJECT) * unit_chain_policies(const char *list);

#endif
