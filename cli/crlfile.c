#include "cli/crlfile.h"

#include "cli/caname.h"
#include "cli/out.h"
#include "core/asn1.h"
#include "core/file.h"

#include <inttypes.h>
#include <string.h>

int crlfile_write(struct cli *c, struct authority *a, const struct crl_request *r,
                  struct crl_made *made, struct err *e)
{
    const char *out = cli_option(c, "out");
    struct buf der = {0}, pem = {0};
    int rc = -1;

    /* Asked first: the number is given once. */
    if (file_probe(out, e) != 0 || crl_make(a, r, &der, made, e) != 0)
        goto out;
    if (!cli_flag(c, "pem"))
        rc = file_write(out, buf_bytes(&der), 0644, e);
    else if (asn1_pem_write("X509 CRL", buf_bytes(&der), &pem, e) == 0)
        rc = file_write(out, buf_bytes(&pem), 0644, e);
out:
    buf_free(&der);
    buf_free(&pem);
    return rc;
}

json_t *crlfile_json(const struct crl_made *made)
{
    char from[OUT_TIME], until[OUT_TIME], day[OUT_DAY];

    out_time(made->row.this_update, from, day);
    out_time(made->row.next_update, until, day);
    return json_pack("{s:I,s:I,s:I,s:s,s:s}", "number", (json_int_t)made->row.number, "base",
                     (json_int_t)made->row.base, "entries", (json_int_t)made->entries,
                     "this_update", from, "next_update", until);
}

void crlfile_say(struct cli *c, const struct crl_request *r, const struct crl_made *made)
{
    char until[OUT_TIME], day[OUT_DAY], name[CANAME_MAX];

    if (strcmp(cli_option(c, "out"), "-") == 0)
        return;
    caname_text(r->issuer, r->community, name);
    out_time(made->row.next_update, until, day);
    out_para(stdout, "%s CRL %" PRId64 " of the %s CA, %zu entries, the next one due by %s.",
             made->row.base != 0 ? "Delta" : "Full", made->row.number, name, made->entries, until);
}
