#include "core/ekname.h"

#include "core/oid.h"

#include <openssl/x509v3.h>
#include <string.h>

/* One attribute as text: printable ASCII, the rest as '?'. */
static int copy(const ASN1_STRING *s, char *out, size_t size)
{
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, s);

    if (n <= 0 || (size_t)n >= size) {
        OPENSSL_free(utf8);
        return -1;
    }
    for (int i = 0; i < n; i++)
        out[i] = utf8[i] >= 0x20 && utf8[i] < 0x7f ? (char)utf8[i] : '?';
    out[n] = 0;
    OPENSSL_free(utf8);
    return 0;
}

/* 1: found; 0: not there; -1: there twice, or of no use. */
static int find(const GENERAL_NAMES *san, const char *dotted, char *out, size_t size)
{
    int found = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

        for (int k = 0; g->type == GEN_DIRNAME && k < X509_NAME_entry_count(g->d.directoryName);
             k++) {
            X509_NAME_ENTRY *entry = X509_NAME_get_entry(g->d.directoryName, k);

            if (!oid_is(X509_NAME_ENTRY_get_object(entry), dotted))
                continue;
            if (found != 0 || copy(X509_NAME_ENTRY_get_data(entry), out, size) != 0)
                return -1;
            found = 1;
        }
    }
    return found;
}

int ekname_read(X509 *ek, struct ekname *out, struct err *e)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(ek, NID_subject_alt_name, NULL, NULL);
    struct ekname got;
    const struct {
        const char *dotted, *what;
        char *to;
        size_t size;
    } parts[] = {
        {OID_TCG_MANUFACTURER, "manufacturer", got.manufacturer, sizeof(got.manufacturer)},
        {OID_TCG_MODEL, "model", got.model, sizeof(got.model)},
        {OID_TCG_VERSION, "version", got.version, sizeof(got.version)},
    };
    int rc = -1;

    if (san == NULL)
        return err_set(e, E_FORMAT, "the EK certificate has no subjectAltName that can be read");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int found = find(san, parts[i].dotted, parts[i].to, parts[i].size);

        if (found == 1)
            continue;
        err_set(e, E_FORMAT, "the EK certificate %s",
                found == 0 ? "does not name its TPM" : "names its TPM twice or badly");
        err_prefix(e, "%s", parts[i].what);
        goto out;
    }
    *out = got;
    rc = 0;
out:
    GENERAL_NAMES_free(san);
    return rc;
}
