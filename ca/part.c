#include "ca/part.h"

#include "ca/bundle.h"
#include "ca/registry_ssh.h"
#include "ca/registry_status.h"

#include <stdio.h>
#include <string.h>

struct making {
    struct authority *a;
    const struct part *p;
    struct federation_side *side;
    struct err *e;
    bool failed;
};

static int copy_cert(struct making *m, enum registry_role role, unsigned community, X509 **out)
{
    X509 *cert;

    if (authority_cert(m->a, role, community, &cert, m->e) != 0)
        return -1;
    if (X509_up_ref(cert) != 1)
        return err_set(m->e, E_MEMORY, "out of memory for a federation");
    *out = cert;
    return 0;
}

static bool is_of(X509 *cert, const char *nation)
{
    char c[3] = "";

    return X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_countryName, c, sizeof(c)) ==
               2 &&
           strcmp(c, nation) == 0;
}

static bool is_wanted(const struct making *m, unsigned community)
{
    return community >= 1 && community <= OID_COMMUNITIES && m->side->community[community].open;
}

/* Oldest first: the last one that fits stays. */
static bool take(void *ctx, const struct registry_cert *i)
{
    struct making *m = ctx;
    struct federation_community *c;
    X509 *cert = NULL, **to;

    if (!is_wanted(m, i->community) || i->status.state != REGISTRY_GOOD ||
        i->issued_at > m->p->now || i->expires_at <= m->p->now)
        return true;
    m->failed = issue_from_der(i->der, &cert, m->e) != 0;
    if (m->failed)
        return false;
    c = &m->side->community[i->community];
    if (i->issuer == REGISTRY_CROSS)
        to = bundle_for_ike(cert) ? &c->cross_ike : &c->cross;
    else
        to = &c->issuing_ike;
    if ((i->issuer == REGISTRY_CROSS && !is_of(cert, m->p->ally)) ||
        (i->issuer == REGISTRY_ROOT && !bundle_for_ike(cert))) {
        X509_free(cert);
        return true;
    }
    X509_free(*to);
    *to = cert;
    return true;
}

static int take_issued(struct making *m, enum registry_role issuer)
{
    const struct registry_wanted of = {.of_ca = true, .issuer = issuer};

    return registry_certs(authority_registry(m->a), &of, take, m, m->e) != 0 || m->failed ? -1 : 0;
}

/* The key that certifies for SSH, where there is one. */
static int copy_ssh(struct making *m, unsigned community, struct federation_community *c)
{
    struct buf spki = {0}, line = {0};
    struct registry_key key;
    struct err why = {0};
    int rc = -1;

    if (registry_ssh_ca(authority_registry(m->a), community, &key, &spki, &why) != 0) {
        rc = why.code == E_NOT_FOUND ? 0 : err_take(m->e, &why);
    } else if (sshkey_line(buf_bytes(&spki), NULL, &line, m->e) == 0 && buf_cstr(&line) != NULL) {
        snprintf(c->ssh, sizeof(c->ssh), "%s", buf_cstr(&line));
        rc = 0;
    }
    buf_free(&spki);
    buf_free(&line);
    return rc;
}

static int fill(struct making *m)
{
    const struct registry_authority *info = authority_info(m->a);
    const struct registry_urls *urls = authority_urls(m->a);
    struct federation_side *s = m->side;

    snprintf(s->nation, sizeof(s->nation), "%s", info->nation);
    snprintf(s->org, sizeof(s->org), "%s", info->org);
    snprintf(s->domain, sizeof(s->domain), "%s", info->domain);
    snprintf(s->crl, sizeof(s->crl), "%s", urls->crl);
    snprintf(s->ocsp, sizeof(s->ocsp), "%s", urls->ocsp);
    snprintf(s->clearance, sizeof(s->clearance), "%s", authority_clearances(m->a)->policy);
    memcpy(s->class_name, authority_clearances(m->a)->name, sizeof(s->class_name));
    if (copy_cert(m, REGISTRY_ROOT, 0, &s->root) != 0 ||
        copy_cert(m, REGISTRY_CROSS, 0, &s->cross_ca) != 0)
        return -1;
    for (size_t i = 0; i < m->p->n_community; i++) {
        struct federation_community *c = &s->community[m->p->community[i]];

        if (copy_cert(m, REGISTRY_ISSUING, m->p->community[i], &c->issuing) != 0 ||
            copy_ssh(m, m->p->community[i], c) != 0)
            return -1;
        c->open = true;
        c->accepts = m->p->accepts;
    }
    if (take_issued(m, REGISTRY_CROSS) != 0)
        return -1;
    return take_issued(m, REGISTRY_ROOT);
}

int part_make(struct authority *a, const struct part *p, struct federation *out, struct err *e)
{
    struct federation f = {.n_side = 1};
    struct making m = {.a = a, .p = p, .side = &f.side[0], .e = e};

    if (strcmp(p->ally, authority_info(a)->nation) == 0)
        return err_set(e, E_ARG, "%s is this authority's own nation", p->ally);
    if (fill(&m) != 0) {
        federation_free(&f);
        return -1;
    }
    *out = f;
    return 0;
}
