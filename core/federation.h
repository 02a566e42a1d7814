#ifndef CORE_FEDERATION_H
#define CORE_FEDERATION_H

#include "core/chain.h"
#include "core/oid.h"
#include "core/sshkey.h"

/*
 * What two authorities agree on: one text that both sign (core/federation_cms.h), from which all that
 * a relying party needs is derived. The text is a subset of OpenSSL's CONF form without variables,
 * escapes, includes or continued lines, so that it says one thing only:
 *
 *   [federation]                    name, sequence, previous (SHA-256 of the text before it; absent
 *                                   in the first), from, until
 *   [authority US]                  org, domain, root, cross_ca, crl, ocsp, log
 *   [community communications US]   issuing, issuing_ike: the CA of US for it; cross, cross_ike: what
 *                                   US issued to that of its ally; accepts: the lowest level of the
 *                                   ally's leaves that US honours; ssh: the key by which US certifies
 *                                   for SSH, as OpenSSH writes it
 *   [clearance US]                  policy: the policyId of its system; then, by the words of RFC
 *                                   5913 (restricted = ...), what the classes are called there
 *   [equivalence US JP]             restricted = confidential: who holds the one under US counts as
 *                                   holding the other under JP
 *
 * Certificates are DER in base64 on one line, times 2026-11-25T00:00:00Z. A part is the same of one
 * authority alone, without [federation] and [equivalence].
 */

#define FEDERATION_MAX ((size_t)1 << 20) /* bytes of a text */
#define FEDERATION_CLASSES 6             /* bits of enum chain_class */
#define FEDERATION_ROWS 24
#define FEDERATION_NAME 65
#define FEDERATION_URL 256

struct federation_community {
    bool open; /* it has a section */
    X509 *issuing, *issuing_ike, *cross, *cross_ike;
    uint32_t accepts;
    char ssh[SSHKEY_LINE_MAX]; /* the key that certifies for SSH; empty: none */
};

struct federation_side {
    char nation[3];
    char org[65], domain[254];
    X509 *root, *cross_ca;
    char crl[FEDERATION_URL], ocsp[FEDERATION_URL], log[FEDERATION_URL];
    struct federation_community community[OID_COMMUNITIES + 1]; /* by number; 0 is unused */
    char clearance[OID_TEXT_MAX];                               /* empty: it has no system */
    char class_name[FEDERATION_CLASSES][FEDERATION_NAME];
};

struct federation_row {
    unsigned from;      /* side 0 or 1; the other one reads it */
    uint32_t class, as; /* one bit each */
};

/* Zero-initialise; federation_free releases it. */
struct federation {
    bool whole; /* not a part */
    char name[FEDERATION_NAME];
    uint32_t sequence;
    bool has_previous;
    uint8_t previous[32];
    int64_t from, until;
    size_t n_side; /* 2, or 1 in a part */
    struct federation_side side[2];
    struct federation_row row[FEDERATION_ROWS];
    size_t n_row;
};

/* Reads a text; E_FORMAT names the line. What it says is not judged. */
int federation_parse(struct bytes text, struct federation *out, struct err *e) MUST_USE;

/* Writes it, appended; what federation_parse reads comes out the same. */
int federation_write(const struct federation *f, struct buf *out, struct err *e) MUST_USE;
void federation_free(struct federation *f);

/*
 * Does it hold together? Two nations; roots that sign themselves, and below each its Cross CA and
 * its issuing CAs, valid by RFC 5280 at `now`; a community open on one side is open on both; what one
 * issued to the other is for that issuing CA, by its own Cross CA, within the other's domain;
 * clearances with names on both sides of each row. E_REJECTED says what does not.
 */
int federation_check(const struct federation *f, int64_t now, struct err *e) MUST_USE;

/* 0 or 1; -1 when the nation has no part in it. */
int federation_side_of(const struct federation *f, const char *nation);

/* "unmarked", "unclassified", "restricted", "confidential", "secret", "top-secret": class of bit n. */
const char *federation_class(unsigned n);

/* Joins two parts, whose content moves over; the rest of `out` is the caller's. E_REJECTED: not one
 * part each of two nations. */
int federation_join(struct federation *a, struct federation *b, struct federation *out,
                    struct err *e) MUST_USE;

/* The rows by which `reader` (a side) reads the other's clearances, for struct chain_terms. */
size_t federation_table(const struct federation *f, unsigned reader,
                        struct chain_equivalence out[FEDERATION_ROWS]);

#endif
