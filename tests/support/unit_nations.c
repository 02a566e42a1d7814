#include "tests/support/unit_nations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

const char *const unit_nation[2] = {"US", "JP"}, *const unit_domain[2] = {"us.example",
                                                                          "jp.example"};
static const unsigned communities[] = {OID_COMMUNICATIONS, OID_ELECTRICITY};

void unit_good(int rc, const struct err *e)
{
    if (rc != 0)
        fail_msg("%s", e->msg);
}

void unit_nations_up(struct unit_nations *w, const struct clearance_system *systems)
{
    struct buf pin = {0};

    unit_ca_some_pin(&pin);
    for (int i = 0; i < 2; i++) {
        w->dir[i] = unit_ca_dir();
        unit_ca_clearances = systems != NULL ? &systems[i] : NULL;
        w->a[i] = unit_ca_make(w->dir[i], unit_nation[i], unit_domain[i], buf_bytes(&pin),
                               UNIT_CA_NOW, &w->keys[i]);
    }
    unit_ca_clearances = NULL;
    buf_free(&pin);
}

void unit_nations_down(struct unit_nations *w)
{
    federation_free(&w->f);
    for (int i = 0; i < 2; i++) {
        authority_close(w->a[i]);
        unit_ca_keys_free(&w->keys[i]);
        unit_ca_dir_remove(w->dir[i]);
    }
}

void unit_nations_cross(struct unit_nations *w, int who, unsigned community, bool ike,
                        const struct clearance *may)
{
    struct cross_request r = {.nation = unit_nation[1 - who],
                              .domain = unit_domain[1 - who],
                              .community = community,
                              .ike = ike,
                              .clearance = may,
                              .now = UNIT_CA_NOW};
    struct buf pem = {0};
    struct err e = {0};

    unit_good(authority_cert(w->a[1 - who], REGISTRY_ISSUING, community, &r.ally, &e), &e);
    unit_good(authority_cross(w->a[who], &r, &pem, &e), &e);
    buf_free(&pem);
}

void unit_nations_part(struct unit_nations *w, int who, size_t n, struct federation *out)
{
    struct part p = {.ally = unit_nation[1 - who],
                     .accepts = 3,
                     .community = communities,
                     .n_community = n,
                     .now = UNIT_CA_NOW + 1};
    struct err e = {0};

    unit_good(part_make(w->a[who], &p, out, &e), &e);
}

void unit_nations_agree(struct unit_nations *w, const struct clearance *may, int64_t seconds)
{
    struct federation p[2] = {{.n_side = 0}, {.n_side = 0}};
    struct err e = {0};

    federation_free(&w->f);
    for (int i = 0; i < 2; i++) {
        unit_nations_cross(w, i, OID_COMMUNICATIONS, false, i == 0 ? may : NULL);
        unit_nations_part(w, i, 1, &p[i]);
    }
    w->f = (struct federation){
        .name = "x", .sequence = 1, .from = UNIT_CA_NOW, .until = UNIT_CA_NOW + seconds};
    unit_good(federation_join(&p[0], &p[1], &w->f, &e), &e);
}
