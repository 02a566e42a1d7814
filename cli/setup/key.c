/* Which key an application shall use: its public objects and its URI. */
#include "cli/setup/setup_priv.h"

#include "ca/issue.h"
#include "cli/keyring.h"
#include "cli/uri.h"
#include "cli/wanted.h"

#include <limits.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void setup_key_free(struct setup_key *k)
{
    if (k == NULL)
        return;
    buf_free(&k->cert);
    buf_free(&k->spki);
    buf_free(&k->chain);
    free(k);
}

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory for a key");
}

/* --- finding it ---------------------------------------------------------------------------- */

static bool fits(const struct keyring_wanted *w, const struct keyring_object *o)
{
    return (w->label == NULL || strcmp(w->label, o->label) == 0) &&
           (w->id.len == 0 || bytes_equal(w->id, bytes_of(o->id, o->id_len)));
}

static bool same_id(const struct keyring_object *a, const struct keyring_object *b)
{
    return a->id_len != 0 && bytes_equal(bytes_of(a->id, a->id_len), bytes_of(b->id, b->id_len));
}

/* The certificate of a public key, NULL when there is none. Of several the last one: they are
 * listed in the order in which they came, so that is the renewed one. */
static const struct keyring_object *cert_of(const struct keyring_object *pub,
                                            const struct keyring_object *cert, size_t n)
{
    const struct keyring_object *found = NULL;

    for (size_t i = 0; i < n; i++) {
        if (same_id(pub, &cert[i]))
            found = &cert[i];
    }
    return found;
}

/* The only public key that fits, or whose certificate does; of several the only one with a
 * certificate. */
static int choose(const struct keyring_wanted *w, const struct keyring_object *pub, size_t n_pub,
                  const struct keyring_object *cert, size_t n_cert, size_t *out, struct err *e)
{
    size_t fit = 0, certified = 0, any = 0, best = 0;

    for (size_t i = 0; i < n_pub; i++) {
        const struct keyring_object *c = cert_of(&pub[i], cert, n_cert);

        if (!fits(w, &pub[i]) && (c == NULL || !fits(w, c)))
            continue;
        any = i;
        fit++;
        if (c != NULL) {
            best = i;
            certified++;
        }
    }
    if (fit == 0)
        return err_set(e, E_NOT_FOUND,
                       "the token holds no such key; `fusetsu key list` shows them");
    if (fit != 1 && certified != 1)
        return cli_misuse(e, "%zu keys fit; choose one with --label LABEL or --id HEX",
                          certified != 0 ? certified : fit);
    *out = certified == 1 ? best : any;
    return 0;
}

static void trim(char *out, size_t size, const CK_UTF8CHAR *in, size_t len)
{
    while (len > 0 && in[len - 1] == ' ')
        len--;
    if (len >= size)
        len = size - 1;
    memcpy(out, in, len);
    out[len] = 0;
}

static int fill(struct setup_key *k, const CK_TOKEN_INFO *info, const struct keyring_object *pub,
                const struct keyring_object *cert, struct err *e)
{
    trim(k->token, sizeof(k->token), info->label, sizeof(info->label));
    trim(k->serial, sizeof(k->serial), info->serialNumber, sizeof(info->serialNumber));
    trim(k->manufacturer, sizeof(k->manufacturer), info->manufacturerID,
         sizeof(info->manufacturerID));
    trim(k->model, sizeof(k->model), info->model, sizeof(info->model));
    memcpy(k->label, cert != NULL ? cert->label : pub->label, sizeof(k->label));
    memcpy(k->id, pub->id, pub->id_len);
    k->id_len = pub->id_len;
    buf_add_bytes(&k->spki, buf_bytes(&pub->value));
    if (cert != NULL)
        buf_add_bytes(&k->cert, buf_bytes(&cert->value));
    return buf_ok(&k->spki, e) == 0 && buf_ok(&k->cert, e) == 0 ? 0 : -1;
}

static int read_chain(struct keyring *ring, struct setup_key *k, struct err *e)
{
    X509 *cert = NULL;
    int rc;

    if (k->cert.len == 0)
        return 0;
    rc = issue_from_der(buf_bytes(&k->cert), &cert, e);
    if (rc == 0)
        rc = keyring_chain(ring, cert, &k->chain, e);
    X509_free(cert);
    return rc;
}

/* With `label` the key of that label, whatever the command line says. */
static int find(struct setup *s, const char *label, struct setup_key *k, struct err *e)
{
    struct keyring_object *pub = NULL, *cert = NULL;
    size_t n_pub = 0, n_cert = 0, at = 0;
    struct keyring *ring = NULL;
    CK_TOKEN_INFO info;
    struct wanted w;
    int rc = -1;

    if (wanted_read(&w, s->cli, "label", e) != 0)
        goto out;
    if (label != NULL)
        w.is = (struct keyring_wanted){.label = label};
    if (keyring_open(&ring, s->cli, KEYRING_LOOK, e) == 0 &&
        keyring_list(ring, CKO_PUBLIC_KEY, &pub, &n_pub, e) == 0 &&
        keyring_list(ring, CKO_CERTIFICATE, &cert, &n_cert, e) == 0 &&
        keyring_token_info(ring, &info, e) == 0 &&
        choose(&w.is, pub, n_pub, cert, n_cert, &at, e) == 0)
        rc = fill(k, &info, &pub[at], cert_of(&pub[at], cert, n_cert), e);
    if (rc == 0)
        rc = read_chain(ring, k, e);
out:
    keyring_objects_free(pub, n_pub);
    keyring_objects_free(cert, n_cert);
    keyring_close(ring);
    wanted_free(&w);
    return rc;
}

static const struct setup_key *once(struct setup *s, const char *label, struct setup_key **slot,
                                    struct err *e)
{
    struct setup_key *k;

    if (*slot != NULL)
        return *slot;
    k = calloc(1, sizeof(*k));
    if (k == NULL) {
        no_memory(e);
    } else if (find(s, label, k, e) != 0) {
        setup_key_free(k);
    } else {
        *slot = k;
    }
    return *slot;
}

const struct setup_key *setup_key(struct setup *s, struct err *e)
{
    return once(s, NULL, &s->key, e);
}

static const struct setup_key *certified(const struct setup_key *k, struct err *e)
{
    if (k != NULL && k->cert.len == 0) {
        err_set(e, E_NOT_FOUND,
                "the key %s has no certificate on the token; `fusetsu cert import` puts it there",
                k->label);
        return NULL;
    }
    return k;
}

const struct setup_key *setup_certified_key(struct setup *s, struct err *e)
{
    return certified(setup_key(s, e), e);
}

const struct setup_key *setup_second_key(struct setup *s, const char *label, struct err *e)
{
    return certified(once(s, label, &s->second, e), e);
}

/* --- naming it ------------------------------------------------------------------------------ */

int setup_absolute(const char *path, struct buf *out, struct err *e)
{
    char here[PATH_MAX];

    if (*path != '/') {
        if (getcwd(here, sizeof(here)) == NULL)
            return err_set(e, E_IO, "the working directory has no path; give an absolute one");
        buf_printf(out, "%s/", here);
    }
    buf_str(out, path);
    return buf_cstr(out) != NULL ? 0 : no_memory(e);
}

const char *setup_pin_file(struct setup *s, struct err *e)
{
    const char *path = cli_option(s->cli, "pin-source");

    if (path == NULL)
        return NULL;
    if (s->pin_file.len == 0 && setup_absolute(path, &s->pin_file, e) != 0)
        return NULL;
    return (const char *)s->pin_file.p;
}

int setup_uri(struct setup *s, const struct setup_key *k, const char *type, struct buf *out,
              struct err *e)
{
    const char *pin = setup_pin_file(s, e);

    if (pin == NULL && cli_option(s->cli, "pin-source") != NULL)
        return -1;
    buf_str(out, "pkcs11:");
    uri_add(out, "token", bytes_of(k->token, strlen(k->token)));
    buf_u8(out, ';');
    uri_add(out, "serial", bytes_of(k->serial, strlen(k->serial)));
    buf_u8(out, ';');
    uri_add(out, "id", bytes_of(k->id, k->id_len));
    if (type != NULL)
        buf_printf(out, ";type=%s", type);
    if (pin != NULL && (type == NULL || strcmp(type, "cert") != 0)) {
        /* RFC 7512 2.4: a file: URI, whose slashes may stand as they are. */
        buf_str(out, "?pin-source=file:");
        for (const char *p = pin; *p != 0; p++) {
            if (*p == '/' || (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                (*p >= 'a' && *p <= 'z') || strchr("-._~", *p) != NULL)
                buf_u8(out, (uint8_t)*p);
            else
                buf_printf(out, "%%%02X", (unsigned char)*p);
        }
    }
    return buf_cstr(out) != NULL ? 0 : no_memory(e);
}

int setup_cert_pem(const struct setup_key *k, struct buf *out, struct err *e)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *cert = NULL;
    char *text = NULL;
    long n;
    int rc = -1;

    if (bio == NULL || issue_from_der(buf_bytes(&k->cert), &cert, e) != 0 ||
        PEM_write_bio_X509(bio, cert) != 1 || (n = BIO_get_mem_data(bio, &text)) <= 0) {
        err_openssl(e, E_CRYPTO, "writing the certificate");
    } else {
        buf_add(out, text, (size_t)n);
        rc = buf_ok(out, e);
    }
    X509_free(cert);
    BIO_free(bio);
    return rc;
}
