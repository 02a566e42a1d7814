#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/out.h"

#include <stdio.h>
#include <string.h>

static const char *const words[] = {
    [DOCTOR_OK] = "ok",
    [DOCTOR_NOTE] = "note",
    [DOCTOR_WARNING] = "warning",
    [DOCTOR_PROBLEM] = "PROBLEM",
};

static size_t count(const struct doctor *d, enum doctor_severity severity)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++)
        n += d->finding[i].severity == severity;
    return n;
}

/* --- for people ------------------------------------------------------------ */

#define STATE_WIDTH 9
#define TEXT_COLUMN 28

static void print_finding(const struct doctor_finding *f)
{
    int at = printf("%-*s%s", STATE_WIDTH, words[f->severity], f->check);

    /* printf fails with the stream, which the frame looks at in the end. */
    out_words_from(stdout, at < 0 ? 0 : at, TEXT_COLUMN, f->text);
    if (f->todo == NULL)
        return;
    printf("%*s-> ", TEXT_COLUMN, "");
    out_words_from(stdout, TEXT_COLUMN + 3, TEXT_COLUMN + 3, f->todo);
}

static void print(const struct doctor *d, size_t left_out)
{
    for (size_t i = 0; i < d->n; i++)
        print_finding(&d->finding[i]);
    if (left_out == 0)
        return;
    putchar('\n');
    out_para(stdout, "%zu check%s could not be made, for want of what is missing or broken above.",
             left_out, left_out == 1 ? "" : "s");
}

/* --- for scripts ------------------------------------------------------------- */

static json_t *finding_json(const struct doctor_finding *f)
{
    return json_pack("{s:s,s:s,s:o,s:o}", "check", f->check, "severity",
                     f->severity == DOCTOR_PROBLEM ? "problem" : words[f->severity], "text",
                     out_json_text(f->text), "todo",
                     f->todo != NULL ? out_json_text(f->todo) : json_null());
}

static int print_json(struct cli *c, const struct doctor *d, struct err *e)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < d->n; i++) {
        if (json_array_append_new(list, finding_json(&d->finding[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return cli_json(c, list, e);
}

/* --- the visit --------------------------------------------------------------- */

static int verdict(const struct doctor *d, struct err *e)
{
    size_t problems = count(d, DOCTOR_PROBLEM), warnings = count(d, DOCTOR_WARNING);
    enum err_code code = doctor_verdict(d);

    if (d->incomplete)
        return err_set(e, E_MEMORY, "out of memory for what was found");
    if (code == E_OK)
        return 0;
    return err_set(e, code, "%zu problem%s and %zu warning%s were found", problems,
                   problems == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
}

static int run(struct cli *c, struct err *e)
{
    static const struct doctor_check *const tables[] = {
        doctor_system_checks, doctor_store_checks,  doctor_tpm_checks,
        doctor_token_checks,  doctor_module_checks,
    };
    struct doctor d = {.cli = c};
    size_t left_out = 0;
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        left_out += doctor_run(&d, tables[i]);
    if (cli_flag(c, "json"))
        rc = print_json(c, &d, e);
    else
        print(&d, left_out);
    if (rc == 0)
        rc = verdict(&d, e);
    doctor_free(&d);
    return rc;
}

const struct cli_command cmd_doctor = {
    .name = "doctor",
    .shared = CLI_TOKEN | CLI_JSON,
    .summary = "find what keeps tokens from working, and say what to do",
    .about = "Looks at settings, store, TPM, tokens and the module's registration, and says of "
             "each whether it is ok, worth a note, a warning, or a problem. Asks no PIN, counts "
             "no try and changes nothing. Exits with 0 when there is at most a note, with 1 when "
             "there are warnings, and with a problem's own code (3 PIN or lockout, 4 no TPM, 5 "
             "store, settings or token) when there is one: that of the first.",
    .examples = "fusetsu doctor\nfusetsu doctor --token gateway\nfusetsu doctor --json",
    .run = run,
};
