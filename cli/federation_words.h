#ifndef CLI_FEDERATION_WORDS_H
#define CLI_FEDERATION_WORDS_H

#include "core/federation_cms.h"

/* What a federation says, as pairs of words: "US communications, accepts level" and "3". In the order
 * of the file; certificates by fingerprint and end. */
struct federation_words {
    char (*key)[96];
    char (*value)[512];
    size_t n;
};

int federation_words(const struct federation *f, struct federation_words *out,
                     struct err *e) MUST_USE;
/* The value of a key; NULL when there is none. */
const char *federation_words_of(const struct federation_words *w, const char *key);
void federation_words_free(struct federation_words *w);

/* A text or a signed one from a file, parsed; `text` (may be NULL) gets the text itself. */
int federation_read(const char *path, struct federation *out, struct buf *text, int *signers,
                    struct err *e) MUST_USE;

#endif
