#ifndef CA_VOUCH_H
#define CA_VOUCH_H

#include "ca/authority.h"
#include "ca/registry_device.h"
#include "core/ekname.h"

/*
 * An endorsement key that no maker has certified. A registration officer reads its public key from
 * the machine himself and says whose it is; the authority's attestation CA then certifies it as a
 * maker would (EK Credential Profile 2.5, 3.2), and the device is registered with it. What rests on
 * this key rests on that officer's word, and the evidence shows it: the issuer of the EK's
 * certificate is the authority. Allies who trust that word pin its attestation CA.
 */
struct vouch {
    const struct pubkey *ek;
    struct ekname tpm; /* "id:" and hex digits, but for the model */
    const char *dns;   /* the name that it may have */
    unsigned community;
    struct registry_device *device; /* the caller's texts; gets id and name */
    time_t now;
};

/* Certifies and registers, in one transaction; asked once more in the same words it gives the same
 * certificate, for whoever was interrupted. E_ARG for names of a TPM that no EK certificate could
 * have, E_EXISTS when the EK is registered, E_REJECTED for a key that is too weak. */
int vouch_for(struct authority *a, const struct vouch *v, X509 **out, struct err *e) MUST_USE;

#define VOUCH_WHY 100

/* Is that EK certificate one of this authority's, and not good any more: suspended, revoked, or unknown
 * to the registry? `why` says so; empty: it is good, or a maker's. */
int vouch_withdrawn(struct authority *a, X509 *ek_cert, char why[VOUCH_WHY],
                    struct err *e) MUST_USE;

#endif
