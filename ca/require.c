#include "ca/require.h"

#include "core/asn1.h"
#include "core/file.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 512
#define SETS_MAX 256
#define ADVISORIES_MAX 4096
#define PINS_MAX 1000

/* The next line, cut at its end; false when there is none. E_FORMAT (through *bad) when it is too
 * long or holds a NUL. */
static bool next_line(struct reader *r, char out[LINE_MAX_BYTES], unsigned *number, bool *bad)
{
    size_t n = 0;

    if (r->left == 0)
        return false;
    ++*number;
    while (r->left != 0) {
        char c = (char)reader_u8(r);

        if (c == '\n')
            break;
        if (c == 0 || n + 1 >= LINE_MAX_BYTES) {
            *bad = true;
            return false;
        }
        if (c != '\r')
            out[n++] = c;
    }
    out[n] = 0;
    return true;
}

static int bad_line(unsigned number, const char *what, struct err *e)
{
    return err_set(e, E_FORMAT, "line %u: %s", number, what);
}

/* --- pinned issuers ------------------------------------------------------------------------ */

int require_pin(struct require *r, X509 *issuer, bool eku_optional, struct err *e)
{
    struct evidence_pin *more;

    if (r->n_pin >= PINS_MAX)
        return err_set(e, E_FULL, "there are over %d pinned EK issuers", PINS_MAX);
    more = realloc(r->pin, (r->n_pin + 1) * sizeof(*more));
    if (more == NULL || X509_up_ref(issuer) != 1) {
        r->pin = more != NULL ? more : r->pin;
        return err_set(e, E_MEMORY, "out of memory for pinned EK issuers");
    }
    r->pin = more;
    r->pin[r->n_pin++] = (struct evidence_pin){issuer, eku_optional};
    return 0;
}

/* One certificate in DER. */
static int pin_der(struct bytes der, bool eku_optional, struct require *out, struct err *e)
{
    X509 *cert = asn1_decode(ASN1_ITEM_rptr(X509), der, 16384, "certificate of an EK issuer", e);
    int rc = cert != NULL ? require_pin(out, cert, eku_optional, e) : -1;

    X509_free(cert);
    return rc;
}

static int pins(struct bytes pem, bool eku_optional, struct require *out, struct err *e)
{
    BIO *in = pem.len <= REQUIRE_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
    unsigned long why = 0;
    X509 *cert;
    int n = 0, rc = 0;

    if (pem.len != 0 && pem.p[0] == 0x30) {
        BIO_free(in);
        return pin_der(pem, eku_optional, out, e);
    }
    if (in == NULL)
        return err_set(e, E_FORMAT, "it is too long, or memory is short");
    for (; rc == 0 && (cert = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL; n++) {
        rc = require_pin(out, cert, eku_optional, e);
        X509_free(cert);
    }
    why = ERR_peek_last_error();
    ERR_clear_error();
    BIO_free(in);
    if (rc == 0 && ERR_GET_REASON(why) != PEM_R_NO_START_LINE)
        return err_set(e, E_FORMAT, "a certificate of an EK issuer is malformed; it must be PEM");
    if (rc == 0 && n == 0)
        return err_set(e, E_FORMAT,
                       "it holds no certificate; put the TPM makers' EK root or issuing CA "
                       "certificates into it as PEM");
    return rc;
}

int require_pins(struct bytes pem, struct require *out, struct err *e)
{
    return pins(pem, false, out, e);
}

int require_pins_no_eku(struct bytes pem, struct require *out, struct err *e)
{
    return pins(pem, true, out, e);
}

/* --- advisories --------------------------------------------------------------------------- */

/* One word of the line, copied; false when it is missing or too long. */
static bool word(const char **line, char *out, size_t size)
{
    size_t n;

    *line += strspn(*line, " \t");
    n = strcspn(*line, " \t");
    if (n == 0 || n >= size)
        return false;
    memcpy(out, *line, n);
    out[n] = 0;
    *line += n;
    return true;
}

static bool hex_word(const char **line, uint64_t *out)
{
    char text[17], *end;

    if (!word(line, text, sizeof(text)))
        return false;
    errno = 0;
    *out = strtoull(text, &end, 16);
    return errno == 0 && *end == 0 && text[0] != '-' && text[0] != '+';
}

static bool parse_advisory(const char *line, struct evidence_advisory *a)
{
    size_t n;

    memset(a, 0, sizeof(*a));
    if (!word(&line, a->manufacturer, sizeof(a->manufacturer)) ||
        strncmp(a->manufacturer, "id:", 3) != 0 || !word(&line, a->model, sizeof(a->model)) ||
        !hex_word(&line, &a->first) || !hex_word(&line, &a->last) || a->first > a->last)
        return false;
    if (strcmp(a->model, "*") == 0)
        a->model[0] = 0;
    line += strspn(line, " \t");
    n = strlen(line);
    if (n == 0)
        return false;
    memcpy(a->why, line, n < sizeof(a->why) ? n : sizeof(a->why) - 1);
    return true;
}

int require_advisories(struct bytes text, struct require *out, struct err *e)
{
    struct reader r = reader_of(text.p, text.len);
    char line[LINE_MAX_BYTES];
    unsigned number = 0;
    bool bad = false;

    while (next_line(&r, line, &number, &bad)) {
        struct evidence_advisory a, *more;

        if (line[strspn(line, " \t")] == 0 || line[0] == '#')
            continue;
        if (!parse_advisory(line, &a))
            return bad_line(number,
                            "write MANUFACTURER MODEL FIRST LAST WHY, such as: "
                            "id:49465800 * 0 0004002100000000 CVE-2017-15361",
                            e);
        more = out->n_advisory < ADVISORIES_MAX
                   ? realloc(out->advisory, (out->n_advisory + 1) * sizeof(a))
                   : NULL;
        if (more == NULL)
            return err_set(e, E_FULL, "there are more advisories than fit here");
        out->advisory = more;
        out->advisory[out->n_advisory++] = a;
    }
    return bad ? bad_line(number, "it is too long, or no text", e) : 0;
}

/* --- platforms ------------------------------------------------------------------------------ */

/* One set: text below a "platform" line. The first bank with values counts. */
static int add_set(struct bytes text, unsigned number, struct require *out, struct err *e)
{
    static const uint16_t banks[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384, TPM2_ALG_SHA512};
    struct pcrvalues v = {.there = 0}, *more;

    for (size_t i = 0; i < ARRAY_LEN(banks) && v.there == 0; i++) {
        if (pcrvalues_read(text, banks[i], &v, e) != 0)
            return err_prefix(e, "the platform of line %u", number);
    }
    if (v.there == 0)
        return bad_line(number, "the platform has no values of a SHA-2 bank", e);
    more = out->n_pcrs < SETS_MAX ? realloc(out->pcrs, (out->n_pcrs + 1) * sizeof(v)) : NULL;
    if (more == NULL)
        return err_set(e, E_FULL, "there are more platforms than fit here");
    out->pcrs = more;
    out->pcrs[out->n_pcrs++] = v;
    return 0;
}

int require_platforms(struct bytes text, struct require *out, struct err *e)
{
    struct reader r = reader_of(text.p, text.len);
    unsigned number = 0, begun = 0;
    char line[LINE_MAX_BYTES];
    struct buf set = {0};
    bool bad = false;
    int rc = -1;

    while (next_line(&r, line, &number, &bad)) {
        if (line[0] == '#')
            continue;
        if (strncmp(line, "platform ", 9) != 0) {
            buf_printf(&set, "%s\n", line);
            if (begun == 0 && line[strspn(line, " \t")] != 0) {
                bad_line(number, "begin each platform with a line: platform NAME", e);
                goto out;
            }
            continue;
        }
        if (begun != 0 && add_set(buf_bytes(&set), begun, out, e) != 0)
            goto out;
        set.len = 0;
        begun = number;
    }
    if (bad)
        bad_line(number, "it is too long, or no text", e);
    else if (buf_ok(&set, e) == 0)
        rc = begun != 0 ? add_set(buf_bytes(&set), begun, out, e) : 0;
out:
    buf_free(&set);
    return rc;
}

/* --- all of it --------------------------------------------------------------------------------- */

static int load(const char *dir, const char *name,
                int (*parse)(struct bytes text, struct require *out, struct err *e),
                struct require *out, struct err *e)
{
    struct buf path = {0}, text = {0};
    struct err why = {0};
    int rc = -1;

    buf_printf(&path, "%s/%s", dir, name);
    if (buf_cstr(&path) == NULL)
        err_set(e, E_MEMORY, "out of memory for a path");
    else if (file_read((const char *)path.p, REQUIRE_MAX, &text, &why) == 0)
        rc = parse(buf_bytes(&text), out, e) == 0 ? 0 : err_prefix(e, "%s", (const char *)path.p);
    else
        rc = why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
    buf_free(&path);
    buf_free(&text);
    return rc;
}

int require_load(const char *dir, struct require *out, struct err *e)
{
    if (load(dir, REQUIRE_PINS, require_pins, out, e) == 0 &&
        load(dir, REQUIRE_PINS_NO_EKU, require_pins_no_eku, out, e) == 0 &&
        load(dir, REQUIRE_ADVISORIES, require_advisories, out, e) == 0 &&
        load(dir, REQUIRE_PLATFORMS, require_platforms, out, e) == 0)
        return 0;
    require_free(out);
    return -1;
}

void require_into(const struct require *r, struct evidence_terms *t)
{
    t->pin = r->pin;
    t->n_pin = r->n_pin;
    t->advisory = r->advisory;
    t->n_advisory = r->n_advisory;
    t->pcrs = r->pcrs;
    t->n_pcrs = r->n_pcrs;
}

void require_free(struct require *r)
{
    for (size_t i = 0; i < r->n_pin; i++)
        X509_free(r->pin[i].issuer);
    free(r->pin);
    free(r->advisory);
    free(r->pcrs);
    *r = (struct require){0};
}
