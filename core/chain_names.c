/* Name constraints: RFC 5280, 4.2.1.10, 6.1.3 (b) and (c), 6.1.4 (g). */
#include "core/chain_priv.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CLAUSE "RFC 5280, 4.2.1.10"
#define PERMITTED "RFC 5280, 6.1.3 (b)"
#define EXCLUDED "RFC 5280, 6.1.3 (c)"
/* RFC 8398, 3: a mailbox in UTF-8, which constraints of rfc822Name reach. */
#define OID_SMTP_UTF8 "1.3.6.1.5.5.7.8.9"

/* A name as it is judged. `dn` for directory names, else `s`; `any` says that it is of a form
 * that is not processed, so that any constraint of its form refuses it. */
struct subject {
    int form; /* GEN_DNS ... */
    struct bytes s;
    const X509_NAME *dn;
    bool unknown;
    const char *what; /* for messages */
};

/* --- text ------------------------------------------------------------------ */

static bool has_suffix(struct bytes s, struct bytes end)
{
    return s.len >= end.len &&
           strncasecmp((const char *)s.p + (s.len - end.len), (const char *)end.p, end.len) == 0;
}

static bool same_text(struct bytes a, struct bytes b)
{
    return a.len == b.len && has_suffix(a, b);
}

static struct bytes skip(struct bytes s, size_t n)
{
    return bytes_of(s.p + n, s.len - n);
}

static struct bytes first(struct bytes s, size_t n)
{
    return bytes_of(s.p, n);
}

static bool is_dns_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Labels of 1 to 63 characters with dots between (RFC 1034, 3.5, with underscores). */
static bool is_host(struct bytes s)
{
    size_t label = 0;

    if (s.len == 0 || s.len > 253)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '.' ? label == 0 : !is_dns_char(s.p[i]) || label == 63)
            return false;
        label = s.p[i] == '.' ? 0 : label + 1;
    }
    return label != 0;
}

static bool is_wildcard(struct bytes s)
{
    return s.len > 2 && s.p[0] == '*' && s.p[1] == '.';
}

/* Four decimal numbers, which make no host name but an address. */
static bool is_ipv4(struct bytes s, uint8_t out[4])
{
    unsigned v = 0, n = 0, digits = 0;

    for (size_t i = 0; i <= s.len; i++) {
        if (i == s.len || s.p[i] == '.') {
            if (digits == 0 || v > 255 || n == 4)
                return false;
            out[n++] = (uint8_t)v;
            v = digits = 0;
        } else if (s.p[i] >= '0' && s.p[i] <= '9' && digits < 3) {
            v = v * 10 + (unsigned)(s.p[i] - '0');
            digits++;
        } else {
            return false;
        }
    }
    return n == 4;
}

static struct bytes string_of(const ASN1_STRING *s)
{
    return bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* --- one name within one subtree --------------------------------------------- */

/* A host and all below it. A leading dot leaves the host itself out of what is permitted, where
 * the standard says nothing of it, and not out of what is excluded. */
static bool in_dns(struct bytes name, struct bytes base, bool exclude)
{
    bool wild = is_wildcard(name), dot = base.len > 0 && base.p[0] == '.';
    struct bytes host = dot ? skip(base, 1) : base;
    struct bytes tail = wild ? skip(name, 2) : name;

    if (base.len == 0)
        return true;
    /* "*.a" stands for names below a: whatever of them is excluded excludes it. */
    if (wild && exclude && host.len > tail.len && has_suffix(host, tail) &&
        host.p[host.len - tail.len - 1] == '.')
        return true;
    if (same_text(tail, host))
        return exclude || wild || !dot;
    return tail.len > host.len && has_suffix(tail, host) && tail.p[tail.len - host.len - 1] == '.';
}

/* A host exactly, or with a leading dot all that is below it: for mail and URIs. */
static bool in_host(struct bytes host, struct bytes base)
{
    if (base.len > 0 && base.p[0] == '.')
        return host.len > base.len && has_suffix(host, base);
    return base.len == 0 || same_text(host, base);
}

/* Local part and host; false when it is no plain mailbox (quoted ones are not taken). */
static bool split_mail(struct bytes s, struct bytes *local, struct bytes *host)
{
    const uint8_t *at = s.len != 0 ? memchr(s.p, '@', s.len) : NULL;

    if (at == NULL || at == s.p)
        return false;
    *local = first(s, (size_t)(at - s.p));
    *host = skip(s, local->len + 1);
    for (size_t i = 0; i < local->len; i++) {
        if (local->p[i] <= 0x20 || local->p[i] >= 0x7f || strchr("\"(),:;<>[\\]", local->p[i]))
            return false;
    }
    return is_host(*host);
}

/* The host is compared without case, the local part with it. */
static bool in_mail(struct bytes name, struct bytes base)
{
    struct bytes local, host, base_local, base_host;

    if (!split_mail(name, &local, &host))
        return false;
    if (split_mail(base, &base_local, &base_host))
        return bytes_equal(local, base_local) && same_text(host, base_host);
    return in_host(host, base);
}

/* The host of scheme://[user@]host[:port][/...]; false when it has none, or an address. */
static bool uri_host(struct bytes s, struct bytes *host)
{
    uint8_t v4[4];
    size_t i = 0, from, to;

    while (i < s.len && s.p[i] != ':' && s.p[i] != '/' && s.p[i] != '?' && s.p[i] != '#')
        i++;
    if (i == 0 || s.len < i + 3 || memcmp(s.p + i, "://", 3) != 0)
        return false;
    from = i + 3;
    for (to = from; to < s.len && strchr("/?#\\", s.p[to]) == NULL; to++) {
        if (s.p[to] == '@')
            from = to + 1;
    }
    *host = bytes_of(s.p + from, to - from);
    for (i = 0; i < host->len && host->p[i] != ':'; i++) {
    }
    for (size_t port = i + 1; port < host->len; port++) {
        if (host->p[port] < '0' || host->p[port] > '9')
            return false;
    }
    *host = first(*host, i);
    return is_host(*host) && !is_ipv4(*host, v4);
}

static bool in_ip(struct bytes name, struct bytes base)
{
    if (base.len != 2 * name.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (((name.p[i] ^ base.p[i]) & base.p[name.len + i]) != 0)
            return false;
    }
    return true;
}

static int rdns(const X509_NAME *n)
{
    int last = X509_NAME_entry_count(n) - 1;

    return last < 0 ? 0 : X509_NAME_ENTRY_set(X509_NAME_get_entry(n, last)) + 1;
}

/* Does the name begin with the base, RDN by RDN, compared as 7.1 says? *bad: no memory. */
static bool in_dn(const X509_NAME *name, const X509_NAME *base, bool *bad)
{
    X509_NAME *head;
    bool in;

    if (rdns(base) == 0)
        return true;
    if (rdns(name) < rdns(base))
        return false;
    head = X509_NAME_dup(name);
    while (head != NULL && rdns(head) > rdns(base))
        X509_NAME_ENTRY_free(X509_NAME_delete_entry(head, X509_NAME_entry_count(head) - 1));
    *bad = *bad || head == NULL;
    in = head != NULL && X509_NAME_cmp(head, base) == 0;
    X509_NAME_free(head);
    return in;
}

static bool within(const struct subject *n, const GENERAL_NAME *base, bool exclude, bool *bad)
{
    struct bytes host;

    switch (n->form) {
    case GEN_DNS: return in_dns(n->s, string_of(base->d.dNSName), exclude);
    case GEN_EMAIL: return in_mail(n->s, string_of(base->d.rfc822Name));
    case GEN_URI:
        return uri_host(n->s, &host) && in_host(host, string_of(base->d.uniformResourceIdentifier));
    case GEN_IPADD: return in_ip(n->s, string_of(base->d.iPAddress));
    case GEN_DIRNAME: return in_dn(n->dn, base->d.directoryName, bad);
    default: return exclude;
    }
}

/* --- one name against all that is in force ------------------------------------ */

/* Whether a form is constrained at all: `permitted` counts permitted subtrees alone. */
static bool constrained(const struct chain_names *s, int form, bool permitted)
{
    for (size_t r = 0; r < s->n; r++) {
        const STACK_OF(GENERAL_SUBTREE) *
            lists[] = {s->rule[r]->permittedSubtrees, s->rule[r]->excludedSubtrees};

        for (int l = 0; l < (permitted ? 1 : 2); l++) {
            for (int i = 0; i < sk_GENERAL_SUBTREE_num(lists[l]); i++) {
                if (sk_GENERAL_SUBTREE_value(lists[l], i)->base->type == form)
                    return true;
            }
        }
    }
    return false;
}

/* Is the name in some subtree of its form? *of_form counts those. */
static bool in_some(struct chain_names *s, const struct subject *n,
                    const STACK_OF(GENERAL_SUBTREE) * list, bool exclude, unsigned *of_form,
                    bool *bad)
{
    *of_form = 0;
    for (int i = 0; i < sk_GENERAL_SUBTREE_num(list); i++) {
        const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(list, i)->base;

        if (base->type != n->form)
            continue;
        ++*of_form;
        s->compared++;
        if (!n->unknown && within(n, base, exclude, bad))
            return true;
    }
    return false;
}

static const char *plain(const struct subject *n, char out[CHAIN_TEXT])
{
    size_t len = n->s.len < CHAIN_TEXT - 1 ? n->s.len : CHAIN_TEXT - 1;

    if (n->dn != NULL)
        return chain_cert_name(n->dn, out);
    if (n->form == GEN_IPADD) {
        len = n->s.len <= 16 ? n->s.len : 16;
        hex_encode(out, n->s.p, len);
        return out;
    }
    for (size_t i = 0; i < len; i++)
        out[i] = n->s.p[i] >= 0x20 && n->s.p[i] < 0x7f ? (char)n->s.p[i] : '?';
    out[len] = 0;
    return out;
}

static bool judge(struct chain_names *s, const struct subject *n, struct chain_fault *f)
{
    char text[CHAIN_TEXT];
    bool bad = false;
    unsigned some;

    for (size_t r = 0; r < s->n; r++) {
        bool in = in_some(s, n, s->rule[r]->permittedSubtrees, false, &some, &bad);

        if (some != 0 && !in && !bad)
            return chain_fail(f, CHAIN_NAME, PERMITTED,
                              "the %s %s is outside what is permitted to its issuer", n->what,
                              plain(n, text));
        in = in_some(s, n, s->rule[r]->excludedSubtrees, true, &some, &bad);
        if ((in || (some != 0 && n->unknown)) && !bad)
            return chain_fail(f, CHAIN_NAME, EXCLUDED, "the %s %s is excluded for its issuer",
                              n->what, plain(n, text));
    }
    if (bad)
        return chain_no_memory(f);
    if (s->compared > CHAIN_MAX_COMPARE)
        return chain_fail(f, CHAIN_LIMIT, CLAUSE, "too many names and name constraints");
    return true;
}

/* --- the names of a certificate ------------------------------------------------ */

/* A name that is not well-formed is of no form that a constraint could reach. */
static bool well_formed(const struct subject *n)
{
    struct bytes a, b;

    switch (n->form) {
    case GEN_DNS: return is_host(is_wildcard(n->s) ? skip(n->s, 2) : n->s);
    case GEN_EMAIL: return split_mail(n->s, &a, &b);
    case GEN_IPADD: return n->s.len == 4 || n->s.len == 16;
    case GEN_URI: return n->s.len != 0 && memchr(n->s.p, 0, n->s.len) == NULL;
    default: return true;
    }
}

static struct subject of_general(const GENERAL_NAME *g)
{
    struct subject n = {.form = g->type, .s = bytes_of("", 0), .what = "alternative name"};

    switch (g->type) {
    case GEN_DNS:
        n.what = "DNS name";
        n.s = string_of(g->d.dNSName);
        break;
    case GEN_EMAIL:
        n.what = "mail address";
        n.s = string_of(g->d.rfc822Name);
        break;
    case GEN_URI:
        n.what = "URI";
        n.s = string_of(g->d.uniformResourceIdentifier);
        break;
    case GEN_IPADD:
        n.what = "IP address";
        n.s = string_of(g->d.iPAddress);
        break;
    case GEN_DIRNAME:
        n.what = "directory name";
        n.dn = g->d.directoryName;
        break;
    default: n.unknown = true; break;
    }
    return n;
}

static bool is_smtp_utf8(const GENERAL_NAME *g)
{
    char text[64];

    return g->type == GEN_OTHERNAME &&
           OBJ_obj2txt(text, sizeof(text), g->d.otherName->type_id, 1) > 0 &&
           strcmp(text, OID_SMTP_UTF8) == 0;
}

static bool check_general(struct chain_names *s, const GENERAL_NAME *g, struct chain_fault *f)
{
    struct subject n = of_general(g);
    struct bytes host;
    char text[CHAIN_TEXT];

    if (!well_formed(&n))
        return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.2.1.6", "the %s %s is none", n.what,
                          plain(&n, text));
    /* One without a host must not pass under constraints on hosts. */
    if (n.form == GEN_URI && constrained(s, GEN_URI, false) && !uri_host(n.s, &host))
        return chain_fail(f, CHAIN_NAME, CLAUSE,
                          "the URI %s names no host, and URIs are constrained", plain(&n, text));
    if (is_smtp_utf8(g) && constrained(s, GEN_EMAIL, false))
        return chain_fail(f, CHAIN_NAME, "RFC 8398, 6",
                          "a mailbox in UTF-8 where mail addresses are constrained");
    return judge(s, &n, f);
}

/* The attribute emailAddress of the subject counts as rfc822Name, and of a leaf the common name
 * for what it looks like: programs take it for that, and the standard does not reach it. */
static bool check_attribute(struct chain_names *s, const X509_NAME_ENTRY *entry, bool leaf,
                            struct chain_fault *f)
{
    int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    struct subject n = {.form = GEN_EMAIL, .what = "mail address"};
    unsigned char *utf8 = NULL;
    uint8_t v4[4];
    bool ok = true;
    int len;

    if (nid != NID_pkcs9_emailAddress && (nid != NID_commonName || !leaf))
        return true;
    len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    ERR_clear_error();
    if (len < 0 || (len > 0 && memchr(utf8, 0, (size_t)len) != NULL)) {
        OPENSSL_free(utf8);
        return chain_fail(f, CHAIN_NAME, CLAUSE,
                          "the common name or mail address of the subject is no text");
    }
    n.s = bytes_of(utf8, (size_t)len);
    if (nid == NID_commonName) {
        n.what = "common name";
        n.form = GEN_DNS;
        /* The root's dot does not make it another name. */
        if (len > 1 && utf8[len - 1] == '.')
            n.s.len--;
        if (is_ipv4(n.s, v4)) {
            struct subject ip = {.form = GEN_IPADD, .s = bytes_of(v4, 4), .what = n.what};

            ok = judge(s, &ip, f);
        }
        if (ok && n.s.len != 0 && memchr(n.s.p, '.', n.s.len) != NULL && well_formed(&n))
            ok = judge(s, &n, f);
    } else {
        ok = judge(s, &n, f);
    }
    OPENSSL_free(utf8);
    return ok;
}

bool chain_names_check(struct chain_names *s, const struct chain_cert *c, bool leaf,
                       struct chain_fault *f)
{
    const X509_NAME *dn = X509_get_subject_name(c->x);
    struct subject n = {.form = GEN_DIRNAME, .s = bytes_of("", 0), .dn = dn, .what = "subject"};

    /* An empty subject is no name. */
    if (X509_NAME_entry_count(dn) != 0 && !judge(s, &n, f))
        return false;
    for (int i = 0; i < X509_NAME_entry_count(dn); i++) {
        if (!check_attribute(s, X509_NAME_get_entry(dn, i), leaf, f))
            return false;
    }
    for (int i = 0; i < sk_GENERAL_NAME_num(c->alt); i++) {
        if (!check_general(s, sk_GENERAL_NAME_value(c->alt, i), f))
            return false;
    }
    return true;
}

/* --- constraints ---------------------------------------------------------------- */

/* RFC 4632, 3.1: ones, then zeros. */
static bool is_mask(struct bytes m)
{
    bool zero = false;

    for (size_t i = 0; i < m.len * 8; i++) {
        bool bit = (m.p[i / 8] >> (7 - i % 8) & 1) != 0;

        if (zero && bit)
            return false;
        zero = zero || !bit;
    }
    return true;
}

static bool good_base(const GENERAL_NAME *g)
{
    struct subject n = of_general(g);
    struct bytes host = n.s, a, b;

    if (g->type == GEN_IPADD)
        return (n.s.len == 8 || n.s.len == 32) && is_mask(skip(n.s, n.s.len / 2));
    if (n.dn != NULL || n.unknown || n.s.len == 0)
        return true;
    if (g->type == GEN_EMAIL && split_mail(n.s, &a, &b))
        return true;
    if (host.p[0] == '.')
        host = skip(host, 1);
    return is_host(host);
}

bool chain_names_add(struct chain_names *s, const NAME_CONSTRAINTS *nc, struct chain_fault *f)
{
    const STACK_OF(GENERAL_SUBTREE) * lists[] = {nc->permittedSubtrees, nc->excludedSubtrees};

    if (sk_GENERAL_SUBTREE_num(lists[0]) <= 0 && sk_GENERAL_SUBTREE_num(lists[1]) <= 0)
        return chain_fail(f, CHAIN_MALFORMED, CLAUSE, "name constraints that constrain nothing");
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        if (sk_GENERAL_SUBTREE_num(lists[l]) > CHAIN_MAX_LIST)
            return chain_fail(f, CHAIN_LIMIT, CLAUSE, "more than %d name constraints",
                              CHAIN_MAX_LIST);
        for (int i = 0; i < sk_GENERAL_SUBTREE_num(lists[l]); i++) {
            const GENERAL_SUBTREE *t = sk_GENERAL_SUBTREE_value(lists[l], i);

            if (t->maximum != NULL || (t->minimum != NULL && ASN1_INTEGER_get(t->minimum) != 0))
                return chain_fail(f, CHAIN_MALFORMED, CLAUSE,
                                  "a name constraint with a minimum or a maximum");
            if (!good_base(t->base))
                return chain_fail(f, CHAIN_MALFORMED, CLAUSE,
                                  "a name constraint whose name is none of its form");
        }
    }
    if (s->n == ARRAY_LEN(s->rule))
        return chain_fail(f, CHAIN_LIMIT, CLAUSE, "too many certificates with name constraints");
    s->rule[s->n++] = nc;
    return true;
}

bool chain_names_strict(const struct chain_names *s, const struct chain_cert *c,
                        struct chain_fault *f)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(c->alt); i++) {
        struct subject n = of_general(sk_GENERAL_NAME_value(c->alt, i));
        char text[CHAIN_TEXT];

        if (n.unknown || !constrained(s, n.form, true))
            return chain_fail(f, CHAIN_STRICT_NAME, CLAUSE,
                              "nothing on the path bounds the %s %s, and only names that are "
                              "bounded are accepted",
                              n.what, n.unknown ? "of another form" : plain(&n, text));
    }
    return true;
}

/* --- the wanted name -------------------------------------------------------------- */

static bool has_name(const struct chain_cert *c, int form, struct bytes want)
{
    struct bytes local, host, local2, host2;

    for (int i = 0; i < sk_GENERAL_NAME_num(c->alt); i++) {
        struct subject n = of_general(sk_GENERAL_NAME_value(c->alt, i));

        if (n.form != form)
            continue;
        if (form == GEN_DNS ? same_text(n.s, want)
            : form == GEN_EMAIL
                ? split_mail(n.s, &local, &host) && split_mail(want, &local2, &host2) &&
                      bytes_equal(local, local2) && same_text(host, host2)
                : bytes_equal(n.s, want))
            return true;
    }
    return false;
}

bool chain_names_wanted(const struct chain_terms *t, const struct chain_cert *c,
                        struct chain_fault *f)
{
    static const char clause[] = "RFC 5280, 4.2.1.6";

    if (t->dns != NULL && !has_name(c, GEN_DNS, bytes_of(t->dns, strlen(t->dns))))
        return chain_fail(f, CHAIN_WANTED_NAME, clause,
                          "the certificate is not for the DNS name %.100s", t->dns);
    if (t->email != NULL && !has_name(c, GEN_EMAIL, bytes_of(t->email, strlen(t->email))))
        return chain_fail(f, CHAIN_WANTED_NAME, clause,
                          "the certificate is not for the mail address %.100s", t->email);
    if (t->ip.len != 0 && !has_name(c, GEN_IPADD, t->ip))
        return chain_fail(f, CHAIN_WANTED_NAME, clause,
                          "the certificate is not for the wanted IP address");
    return true;
}
