#ifndef CLI_CRLFILE_H
#define CLI_CRLFILE_H

#include "ca/crl.h"
#include "cli/cli.h"

/* Makes a CRL and writes it to --out (DER, as relying parties fetch it; PEM with --pem). */
int crlfile_write(struct cli *c, struct authority *a, const struct crl_request *r,
                  struct crl_made *made, struct err *e) MUST_USE;

/* What was made, as JSON members. */
json_t *crlfile_json(const struct crl_made *made);

/* One sentence on standard output, unless the CRL itself is there. */
void crlfile_say(struct cli *c, const struct crl_request *r, const struct crl_made *made);

#endif
