#include "core/secret.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct secret {
    size_t len;
    size_t mapped;
    uint8_t data[];
};

struct secret *secret_new(size_t len, struct err *e)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped;
    struct secret *s;

    if (len > (size_t)1 << 20) {
        err_set(e, E_ARG, "a secret of %zu bytes is longer than this program handles", len);
        return NULL;
    }
    mapped = (sizeof(*s) + len + page - 1) / page * page;
    s = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) {
        err_set(e, E_MEMORY, "out of memory for a secret");
        return NULL;
    }
    /* Best effort: without the lock limit the secret may be swapped, no worse. */
    (void)mlock(s, mapped);
    (void)madvise(s, mapped, MADV_DONTDUMP);
    s->len = len;
    s->mapped = mapped;
    return s;
}

struct secret *secret_copy(const void *p, size_t len, struct err *e)
{
    struct secret *s = secret_new(len, e);

    if (s != NULL && len != 0)
        memcpy(s->data, p, len);
    return s;
}

uint8_t *secret_data(struct secret *s)
{
    return s->data;
}

const uint8_t *secret_peek(const struct secret *s)
{
    return s != NULL ? s->data : NULL;
}

size_t secret_len(const struct secret *s)
{
    return s != NULL ? s->len : 0;
}

struct bytes secret_bytes(const struct secret *s)
{
    return (struct bytes){secret_peek(s), secret_len(s)};
}

void secret_trim(struct secret *s, size_t len)
{
    if (len >= s->len)
        return;
    OPENSSL_cleanse(s->data + len, s->len - len);
    s->len = len;
}

void secret_free(struct secret *s)
{
    size_t mapped;

    if (s == NULL)
        return;
    mapped = s->mapped;
    OPENSSL_cleanse(s, mapped);
    munmap(s, mapped);
}

void secret_wipe(void *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}
