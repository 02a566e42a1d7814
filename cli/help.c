#include "cli/help.h"

#include "cli/out.h"

#include <stdio.h>
#include <string.h>

/* Column where explanations begin, and where lines end. */
#define HELP_COLUMN 26
#define HELP_INDENT 2

static bool in_group(const struct cli_command *cmd, const struct cli_group *g)
{
    if (g == NULL)
        return cmd->group == NULL;
    return cmd->group != NULL && strcmp(cmd->group, g->name) == 0;
}

/* "  left column            what it means, wrapped" */
static void entry(const char *left, const char *text)
{
    int n = printf("  %s", left);

    if (n < 0)
        return;
    if (n > HELP_COLUMN - 2) {
        putchar('\n');
        n = 0;
    }
    out_words_from(stdout, n, HELP_COLUMN, text);
}

static void list_commands(const struct cli_program *p, const struct cli_group *g)
{
    char left[64];

    for (const struct cli_command *const *cmd = p->commands; *cmd != NULL; cmd++) {
        if (!in_group(*cmd, g))
            continue;
        snprintf(left, sizeof(left), "%s%s%s", (*cmd)->group != NULL ? (*cmd)->group : "",
                 (*cmd)->group != NULL ? " " : "", (*cmd)->name);
        entry(left, (*cmd)->summary);
    }
}

static void print_examples(const char *examples)
{
    const char *line = examples;

    while (line != NULL && *line != 0) {
        size_t n = strcspn(line, "\n");

        printf("  %.*s\n", (int)n, line);
        line += n + (line[n] == '\n' ? 1 : 0);
    }
}

void help_exit_codes(void)
{
    printf("\nExit codes: 0 done, 1 refused or failed, 2 usage, 3 PIN, 4 no TPM, 5 store or file,\n"
           "6 evidence or certificate rejected.\n");
}

void help_program(const struct cli_program *p)
{
    printf("fusetsu %s: keys and credentials held in a TPM\n\n"
           "Usage: fusetsu COMMAND [OPTION...]\n",
           CLI_VERSION);
    for (const struct cli_group *g = p->groups; g->name != NULL; g++) {
        printf("\n%s: %s\n", g->name, g->summary);
        list_commands(p, g);
    }
    printf("\nother commands:\n");
    list_commands(p, NULL);
    printf(
        "\nExamples:\n"
        "  fusetsu token init --label gateway\n"
        "  fusetsu key generate --token gateway --type p256 --label tls\n"
        "  fusetsu request --token gateway --invite gw.invite --out gw.request\n"
        "\n`fusetsu COMMAND --help` explains one command, `fusetsu --version` prints the version,\n"
        "`man fusetsu` has it all.\n");
    help_exit_codes();
}

void help_group(const struct cli_program *p, const struct cli_group *g)
{
    printf("%s: %s\n\nUsage: fusetsu %s COMMAND [OPTION...]\n\nCommands:\n", g->name, g->summary,
           g->name);
    list_commands(p, g);
    printf("\nExamples:\n");
    for (const struct cli_command *const *cmd = p->commands; *cmd != NULL; cmd++) {
        if (in_group(*cmd, g))
            print_examples((*cmd)->examples);
    }
    help_exit_codes();
}

void help_command(const struct cli_command *cmd, const struct cli_option *options)
{
    char left[80];

    printf("Usage: fusetsu %s%s%s", cmd->group != NULL ? cmd->group : "",
           cmd->group != NULL ? " " : "", cmd->name);
    for (const struct cli_option *o = options; o->name != NULL; o++) {
        if (o->required)
            printf(" --%s %s", o->name, o->arg);
    }
    printf(" [OPTION...]%s%s\n\n", cmd->args != NULL ? " " : "",
           cmd->args != NULL ? cmd->args : "");
    out_words(stdout, 0, cmd->about);
    printf("\nOptions:\n");
    for (const struct cli_option *o = options; o->name != NULL; o++) {
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg != NULL ? " " : "",
                 o->arg != NULL ? o->arg : "");
        entry(left, o->help);
    }
    entry("--help", "print this");
    printf("\nExamples:\n");
    print_examples(cmd->examples);
    help_exit_codes();
}
