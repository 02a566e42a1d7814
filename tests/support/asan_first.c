/*
 * Preloaded with libasan into foreign programs that load our module in a sanitized run.
 * Debian 12's libasan initialises itself in the first malloc; when that comes from the
 * constructor of libp11-kit, inside newlocale(), glibc's locale lock stays taken and the
 * program hangs later, whether or not it loads our module. Linked with -z initfirst, this
 * makes the first malloc come before any other constructor.
 */
#include <stdlib.h>

__attribute__((constructor)) static void first(void)
{
    /* volatile: the pair would be optimised away. */
    void *volatile p = malloc(1);

    free(p);
}
