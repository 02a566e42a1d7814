#include "cli/commands.h"
#include "cli/federation_words.h"
#include "cli/out.h"
#include "core/file.h"
#include "core/hash.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"name", "TEXT", "what it is called, such as us-jp", true},
    {"days", "N", "how long it is in force, 1 to 730 days (default 365)", false},
    {"after", "FILE", "the one that is in force now, which this one is to follow", false},
    {"out", "FILE", "where to write it; - is standard output", true},
    {0},
};

/* The rows of the one before stay: they were agreed on, and are in neither part. */
static int follow(const char *path, struct federation *f, struct err *e)
{
    struct federation was = {.n_side = 0};
    struct buf text = {0};
    int signers, rc = -1;

    if (federation_read(path, &was, &text, &signers, e) != 0)
        goto out;
    if (!was.whole || federation_side_of(&was, f->side[0].nation) < 0 ||
        federation_side_of(&was, f->side[1].nation) < 0) {
        err_set(e, E_REJECTED, "%s is no federation of these two", path);
        goto out;
    }
    for (size_t i = 0; i < was.n_row; i++) {
        int from = federation_side_of(f, was.side[was.row[i].from].nation);

        f->row[f->n_row] = was.row[i];
        f->row[f->n_row++].from = (unsigned)from;
    }
    f->sequence = was.sequence + 1;
    f->has_previous = true;
    rc = hash_sha256(buf_bytes(&text), f->previous, e);
out:
    federation_free(&was);
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    const char *name = cli_option(c, "name"), *after = cli_option(c, "after");
    struct federation part[2] = {{.n_side = 0}, {.n_side = 0}};
    struct federation f = {.sequence = 1, .from = time(NULL)};
    struct buf text = {0};
    unsigned days;
    int signers, rc = -1;

    if (cli_number(c, "days", 1, 730, 365, &days, e) != 0)
        return -1;
    if (name[0] == 0 || strlen(name) >= sizeof(f.name) || strpbrk(name, "$\\\"'`#;\n") != NULL)
        return cli_misuse(e, "--name is up to %zu plain characters", sizeof(f.name) - 1);
    memcpy(f.name, name, strlen(name) + 1);
    f.until = f.from + (int64_t)days * 86400;
    for (int i = 0; i < 2; i++) {
        if (federation_read(cli_arg(c, i), &part[i], NULL, &signers, e) != 0)
            goto out;
    }
    if (federation_join(&part[0], &part[1], &f, e) == 0 &&
        (after == NULL || follow(after, &f, e) == 0) && federation_check(&f, f.from, e) == 0 &&
        federation_write(&f, &text, e) == 0)
        rc = file_write(cli_option(c, "out"), buf_bytes(&text), 0644, e);
out:
    federation_free(&part[0]);
    federation_free(&part[1]);
    federation_free(&f);
    buf_free(&text);
    return rc;
}

const struct cli_command cmd_federation_draft = {
    .group = "federation",
    .name = "draft",
    .options = options,
    .args = "PART PART",
    .min_args = 2,
    .max_args = 2,
    .summary = "put two parts together into one federation",
    .about =
        "Puts the parts of two authorities together, checks that they fit, and writes the text "
        "that both then sign. With --after it gets the next number and follows that one, whose "
        "equivalences of clearances it keeps; without, it is the first.",
    .examples = "fusetsu federation draft --name us-jp us.part jp.part --out us-jp.txt\n"
                "fusetsu federation draft --name us-jp --after us-jp-1.fed us.part jp.part "
                "--out us-jp-2.txt",
    .run = run,
};
