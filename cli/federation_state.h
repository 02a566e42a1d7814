#ifndef CLI_FEDERATION_STATE_H
#define CLI_FEDERATION_STATE_H

#include "core/federation_cms.h"
#include "core/federation_crls.h"

/* The directory of a relying party: the federation that is in force there, federation.fed, and what
 * is derived from it. */
struct federation_state {
    const char *dir;
    const struct federation *f; /* judged */
    unsigned side;
    struct bytes file, text; /* as it came, and what was signed */
    bool dry;
    bool changed; /* set: it was not in force */
    unsigned written, removed;
    const struct federation_crls
        *crls; /* what is known of revocation; federation_state_put reads it */
};

/* E_REJECTED when it does not follow what is there. What is written last is federation.fed: whoever
 * is interrupted applies it once more. */
int federation_state_put(struct federation_state *s, struct err *e) MUST_USE;

/* Derives anew what depends on CRLs, by s->crls: the anchors. */
int federation_state_anchors(struct federation_state *s, struct err *e) MUST_USE;

/* What is in force there, and on which side. Its signatures were judged when it was applied: the
 * directory is as trusted as any file of CAs. Free with federation_free. */
int federation_state_get(const char *dir, struct federation *f, unsigned *side,
                         struct err *e) MUST_USE;

#endif
