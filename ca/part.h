#ifndef CA_PART_H
#define CA_PART_H

#include "ca/authority.h"
#include "core/federation.h"

/*
 * What an authority brings into a federation with an ally: its root and Cross CA, where it publishes
 * status, and for each community its issuing CA and the cross-certificates that are in force for the
 * ally's. Public all of it; needs no key.
 */
struct part {
    const char *ally; /* two letters */
    unsigned accepts; /* 1 to 4: the lowest level of the ally's leaves that it honours */
    const unsigned *community;
    size_t n_community;
    time_t now;
};

/* E_NOT_FOUND: it has no issuing CA for one of them. Free with federation_free. */
int part_make(struct authority *a, const struct part *p, struct federation *out,
              struct err *e) MUST_USE;

#endif
