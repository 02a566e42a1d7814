#ifndef CA_ISSUE_H
#define CA_ISSUE_H

#include "ca/profile.h"
#include "ca/subject.h"
#include "core/buf.h"
#include "core/signer.h"

#include <openssl/x509v3.h>
#include <time.h>

/* Who signs: the issuer's certificate and its key. `cert` NULL: self-signed. All
 * borrowed. */
struct issue_issuer {
    X509 *cert;
    struct signer *signer;
    const char *crl_url, *ocsp_url; /* where it publishes its status; NULL or empty: nowhere */
};

/*
 * Builds and signs one certificate from a row of the profile table, then reads
 * its DER back and checks it against what was asked and against the issuer's key.
 * The serial is issue_draw_serial's, the authorityKeyIdentifier holds the key identifier only.
 * E_REJECTED: the subject breaks the row (validity too long or outside the
 * issuer's, key too weak, name missing). E_UNSUPPORTED: an issuer key that is not
 * P-256, P-384 or P-521. Free `out` with X509_free.
 */
int issue_certificate(enum profile_id id, const struct issue_issuer *issuer,
                      const struct subject *subject, X509 **out, struct err *e) MUST_USE;

/*
 * Could this CA issue such a certificate at `now`, for all that its own certificate says: when it is
 * valid, what for (extended key usage), which clearances it may grant (`c`; NULL: none)? Nothing is
 * signed. E_REJECTED says what it lacks.
 */
int issue_may(enum profile_id id, X509 *issuer, const struct clearance *c, time_t now,
              struct err *e) MUST_USE;

/*
 * A serial number: 16 octets, positive, never shorter, with 126 random bits (RFC 5280, 4.1.2.2;
 * CAs of the public web need 64). They come from OpenSSL's DRBG (SP 800-90A), which the kernel
 * seeds and, where a CA's key is in a TPM, that TPM's generator too, or nothing is signed
 * (cli/cakeys.h). E_CRYPTO.
 */
#define ISSUE_SERIAL_BYTES 16
int issue_draw_serial(uint8_t out[ISSUE_SERIAL_BYTES], struct err *e) MUST_USE;

/* The key as OpenSSL signs with it, and the hash that matches its curve (core/alg.c).
 * E_UNSUPPORTED: not P-256, P-384 or P-521. Free with EVP_PKEY_free, before the signer. */
int issue_signing(struct signer *signer, EVP_PKEY **key, const EVP_MD **md, struct err *e) MUST_USE;

/* That hash alone. */
int issue_hash(const struct signer *signer, const struct alg_hash **out, struct err *e) MUST_USE;

/* One end of a validity as seconds since 1970. E_FORMAT: not in the form that its year prescribes
 * (RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050). */
int issue_time(const ASN1_TIME *t, int64_t *out, struct err *e) MUST_USE;

/*
 * What is signed now is dated so many seconds before: the clocks of those who check it, an ally's
 * among them, are not ours, and one that is behind would refuse what is fresh.
 */
#define ISSUE_SKEW ((int64_t)300)

/* A validity of `seconds` for what is issued now: from ISSUE_SKEW before, cut to the issuer's own
 * validity (NULL: self-signed). The length is the whole one, what lies before `now` included. */
int issue_validity(X509 *issuer, time_t now, int64_t seconds, struct subject *s,
                   struct err *e) MUST_USE;

/* A distinguished name C, O, [OU,] CN; `unit` may be NULL. Free with
 * X509_NAME_free. NULL: E_ARG when a part is empty, too long or not UTF-8. */
X509_NAME *issue_name(const char *nation, const char *org, const char *unit, const char *cn,
                      struct err *e) MUST_USE;

/* 0 when `dns` is a lower-case host name of A-labels with at least two labels (RFC
 * 5280, 4.2.1.6; RFC 5890), no wildcard, at most 253 characters; E_ARG. */
int issue_check_dns(const char *dns, struct err *e) MUST_USE;

/*
 * 0 when `mail` is an address of lower-case letters, digits and . _ - before the @ (at most 64, 128
 * in all; a letter or a digit first, so that no program takes it for an option), and a DNS name by
 * issue_check_dns behind it (RFC 5280, 4.2.1.6; RFC 5321, 4.1.2). A subset: neither case nor + makes
 * two addresses of what most servers deliver to one person. E_ARG.
 */
int issue_check_mail(const char *mail, struct err *e) MUST_USE;

/* A DNS name or, where it has an @, a mail address: 0, E_ARG. */
int issue_check_subject(const char *name, struct err *e) MUST_USE;

/* Puts a mail address into a name as the userId (RFC 4519, 2.39), by which persons who have the
 * same common name have different names (RFC 5280, 4.1.2.6). */
int issue_name_mail(X509_NAME *name, const char *mail, struct err *e) MUST_USE;

/* 0 when `nation` is two upper-case letters (ISO 3166-1 alpha-2); E_ARG. */
int issue_check_nation(const char *nation, struct err *e) MUST_USE;

/* True when the DNS name, or what is behind the @ of the address, is `domain` itself or below it. */
bool issue_within(const char *dns, const char *domain);

/* DER out and strictly back in (trailing bytes are E_FORMAT; at most 16 KiB). */
int issue_to_der(X509 *cert, struct buf *out, struct err *e) MUST_USE;
int issue_from_der(struct bytes der, X509 **out, struct err *e) MUST_USE;

/* Appends the certificate as PEM. */
int issue_to_pem(X509 *cert, struct buf *out, struct err *e) MUST_USE;

#define ISSUE_SERIAL_TEXT 41

/* The serial number in lower-case hex with its NUL. E_FORMAT when it is negative or
 * longer than 20 octets. */
int issue_serial(X509 *cert, char out[ISSUE_SERIAL_TEXT], struct err *e) MUST_USE;

/* The subjectKeyIdentifier; {NULL, 0} when absent. Borrowed from the certificate. */
struct bytes issue_ski(X509 *cert);

#endif
