#ifndef CA_URLS_H
#define CA_URLS_H

#include "ca/registry_publish.h"

/* Where the CRLs of an authority lie: each CA has two files behind one URL. */

#define URLS_MAX (REGISTRY_URL_MAX + 64)

/* 0 when it is an http URL of printable ASCII (RFC 5280, 4.2.1.13: not https, whose own
 * certificate would have to be checked first), short enough; E_ARG. `what` names the option. */
int urls_check(const char *what, const char *url, struct err *e) MUST_USE;

/* "http://crl.us.example/issuing-communications.crl", a delta's ends in "-delta.crl"; empty when
 * the authority publishes none. */
void urls_crl(const struct registry_urls *u, enum registry_role issuer, unsigned community,
              bool delta, char out[URLS_MAX]);

#endif
