/* Checks 19 and 20: what is known of this TPM's firmware and of its past. */
#include "core/evidence_rules.h"

#include "core/ekname.h"

#include <inttypes.h>
#include <strings.h>

#define NOT_READ "not judged: the evidence could not be read, see check 2"

/* An AK below the EK is in the endorsement hierarchy: its firmwareVersion and clockInfo are not
 * obfuscated (Part 1, 36.7). */
static bool readable(struct evidence_case *c, unsigned number)
{
    struct evidence_verdict *v = c->verdict;

    if (!c->has_attest) {
        evidence_rules_set(c, number, EVIDENCE_NA, NOT_READ);
        return false;
    }
    v->has_reading = true;
    v->firmware = c->attest.firmwareVersion;
    v->reading = (struct evidence_reading){.resets = c->attest.clockInfo.resetCount,
                                           .restarts = c->attest.clockInfo.restartCount,
                                           .clock = c->attest.clockInfo.clock};
    return true;
}

static const struct evidence_advisory *advised(const struct evidence_terms *t,
                                               const struct ekname *tpm, uint64_t firmware)
{
    for (size_t i = 0; i < t->n_advisory; i++) {
        const struct evidence_advisory *a = &t->advisory[i];

        if (strcasecmp(a->manufacturer, tpm->manufacturer) == 0 &&
            (a->model[0] == 0 || strcasecmp(a->model, tpm->model) == 0) && a->first <= firmware &&
            firmware <= a->last)
            return a;
    }
    return NULL;
}

void evidence_history_firmware(struct evidence_case *c)
{
    const struct evidence_terms *t = c->terms;
    const struct evidence_advisory *a;
    struct ekname tpm;
    struct err e = {0};

    if (!readable(c, 19))
        return;
    if (t->advisory == NULL) {
        evidence_rules_set(c, 19, t->advisories_asserted ? EVIDENCE_ASSERTED : EVIDENCE_NA,
                           "no advisory list was given; the firmware is %016" PRIx64,
                           c->verdict->firmware);
    } else if (ekname_read(c->ek_cert, &tpm, &e) != 0) {
        /* Check 18 said so; where it read the names, they must not be missing here. */
        evidence_rules_set(c, 19,
                           c->verdict->result[18 - 1].outcome == EVIDENCE_FAIL ? EVIDENCE_NA
                                                                               : EVIDENCE_FAIL,
                           "not judged: the EK certificate does not name its TPM, see check 18");
    } else if ((a = advised(t, &tpm, c->verdict->firmware)) != NULL) {
        evidence_rules_set(c, 19, EVIDENCE_FAIL,
                           "the firmware %016" PRIx64 " of a %.24s %.40s must not be trusted: "
                           "%.100s",
                           c->verdict->firmware, tpm.manufacturer, tpm.model, a->why);
    } else {
        evidence_rules_set(c, 19, EVIDENCE_PASS,
                           "the firmware %016" PRIx64 " of a %.24s %.40s is on no list",
                           c->verdict->firmware, tpm.manufacturer, tpm.model);
    }
}

/* Part 1, 36.3: resetCount and restartCount only grow, the second within the first; the clock
 * never goes back while it is safe. */
static bool went_back(const struct evidence_reading *now, const struct evidence_reading *before)
{
    if (now->resets != before->resets)
        return now->resets < before->resets;
    if (now->restarts != before->restarts)
        return now->restarts < before->restarts;
    return now->clock < before->clock;
}

void evidence_history_clock(struct evidence_case *c)
{
    const struct evidence_reading *before = c->terms->reading, *now = &c->verdict->reading;

    if (!readable(c, 20))
        return;
    if (c->attest.clockInfo.safe != TPM2_YES)
        evidence_rules_set(c, 20, EVIDENCE_FAIL,
                           "the TPM's clock is not safe: it lost power and may have gone back; "
                           "restart the machine in order and ask again");
    else if (before == NULL)
        evidence_rules_set(c, 20, c->terms->reading_asserted ? EVIDENCE_ASSERTED : EVIDENCE_NA,
                           "no earlier reading of this TPM was given; it is at reset %u",
                           (unsigned)now->resets);
    else if ((c->verdict->went_back = went_back(now, before)))
        evidence_rules_set(c, 20, EVIDENCE_FAIL,
                           "the TPM is at reset %u, restart %u, %" PRIu64 " ms, and was at %u, %u, "
                           "%" PRIu64 " ms before: it went back, or is not the same",
                           (unsigned)now->resets, (unsigned)now->restarts, now->clock,
                           (unsigned)before->resets, (unsigned)before->restarts, before->clock);
    else
        evidence_rules_set(c, 20, EVIDENCE_PASS,
                           "the TPM is at reset %u, restart %u, and was at %u, %u before",
                           (unsigned)now->resets, (unsigned)now->restarts, (unsigned)before->resets,
                           (unsigned)before->restarts);
}
