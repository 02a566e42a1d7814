#include "cli/setup/engine.h"

#include <fcntl.h>
#include <unistd.h>

/* libp11 takes the whole file for the PIN, with the line end that editors and echo(1) put there;
 * the wrong PIN would be counted. Only the last byte is looked at. */
static bool ends_a_line(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char last = 0;
    bool is = fd >= 0 && lseek(fd, -1, SEEK_END) >= 0 && read(fd, &last, 1) == 1 && last == '\n';

    if (fd >= 0)
        close(fd);
    return is;
}

int engine_uri(struct setup *s, const struct setup_key *k, struct buf *out, struct err *e)
{
    const char *path = setup_pin_file(s, e);

    if (path != NULL && ends_a_line(path))
        return err_set(e, E_FORMAT,
                       "%s ends with a line end, which OpenSSL's engine takes for a part of the "
                       "PIN; take it off: truncate -s -1 %s",
                       path, path);
    return setup_uri(s, k, "private", out, e);
}

void engine_say_pin(struct setup *s, const char *application)
{
    if (cli_option(setup_cli(s), "pin-source") == NULL)
        setup_say(s,
                  "%s asks for the PIN at its terminal when it starts. Where it has none, run "
                  "this again with --pin-source FILE; the file holds the PIN and no line end, and "
                  "is readable by its owner only.",
                  application);
}
