/* Goal: the command line says what it means: options are written out, PINs are never
 * arguments, URIs are read strictly, and what is printed cannot steer a terminal. */
#include "cli/cli.h"
#include "cli/community.h"
#include "cli/out.h"
#include "cli/pin.h"
#include "cli/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a program of two commands ------------------------------------------- */

static struct {
    int runs;
    char name[64];
    bool loud;
    unsigned days;
    int n_args;
    enum err_code fail;
} seen;

static int run_make(struct cli *c, struct err *e)
{
    seen.runs++;
    snprintf(seen.name, sizeof(seen.name), "%s", cli_option(c, "name"));
    seen.loud = cli_flag(c, "loud");
    seen.n_args = cli_n_args(c);
    if (cli_number(c, "days", 1, 30, 7, &seen.days, e) != 0)
        return -1;
    return seen.fail != E_OK ? err_set(e, seen.fail, "as asked for") : 0;
}

static int run_pin(struct cli *c, struct err *e)
{
    struct secret *pin = NULL;

    if (pin_obtain(c, PIN_USER, "user PIN", cli_flag(c, "choose"), &pin, e) != 0)
        return -1;
    snprintf(seen.name, sizeof(seen.name), "%.*s", (int)secret_len(pin),
             (const char *)secret_peek(pin));
    secret_free(pin);
    return 0;
}

static const struct cli_option make_options[] = {
    {"name", "TEXT", "a name", true},
    {"loud", NULL, "a flag", false},
    {"days", "N", "a number", false},
    {0},
};
static const struct cli_command make = {.group = "thing",
                                        .name = "make",
                                        .args = "FILE",
                                        .min_args = 0,
                                        .max_args = 1,
                                        .options = make_options,
                                        .run = run_make};
static const struct cli_option ask_options[] = {{"choose", NULL, "a flag", false}, {0}};
static const struct cli_command ask = {
    .name = "ask", .shared = CLI_USER_PIN | CLI_TOKEN, .options = ask_options, .run = run_pin};
static const struct cli_group groups[] = {{"thing", "things"}, {0}};
static const struct cli_command *const commands[] = {&make, &ask, NULL};
static const struct cli_program program = {groups, commands};

/* Runs a command line of up to eight words; what it says on standard error is kept. */
static char said[2000];

static int run_words(const char *const *words)
{
    char *argv[10] = {(char[]){"fusetsu"}};
    FILE *tmp = tmpfile();
    int argc = 1, code, kept = dup(STDERR_FILENO);
    size_t n;

    assert_non_null(tmp);
    assert_true(kept >= 0 && dup2(fileno(tmp), STDERR_FILENO) >= 0);
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = strdup(words[argc - 1]);
    seen.runs = 0;
    code = cli_main(&program, argc, argv);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(tmp);
    n = fread(said, 1, sizeof(said) - 1, tmp);
    said[n] = 0;
    fclose(tmp);
    for (int i = 1; i < argc; i++)
        free(argv[i]);
    return code;
}

#define RUN(...) run_words((const char *const[]){__VA_ARGS__, NULL})

static void test_values_arrive(void **state)
{
    (void)state;
    assert_int_equal(RUN("thing", "make", "file", "--name", "x", "--loud", "--days=30"), CLI_OK);
    assert_int_equal(seen.runs, 1);
    assert_string_equal(seen.name, "x");
    assert_true(seen.loud);
    assert_int_equal(seen.days, 30);
    assert_int_equal(seen.n_args, 1);
    assert_int_equal(RUN("thing", "make", "--name=-dash"), CLI_OK);
    assert_string_equal(seen.name, "-dash");
    assert_int_equal(seen.days, 7);
    assert_false(seen.loud);
}

static void test_misuse_is_told_and_nothing_runs(void **state)
{
    static const char *const bad[][6] = {
        {"thing", "make", NULL},                            /* --name is missing */
        {"thing", "make", "--name", NULL},                  /* no value */
        {"thing", "make", "--name", "x", "--loud=1", NULL}, /* a value too many */
        {"thing", "make", "--name=x", "--name=y", NULL},    /* twice */
        {"thing", "make", "--name=x", "--lou", NULL},       /* abbreviated */
        {"thing", "make", "--name=x", "-l", NULL},          /* short */
        {"thing", "make", "--name=x", "a", "b", NULL},      /* too many arguments */
        {"thing", NULL},
        {"thing", "mak", NULL},
        {"nothing", NULL},
        {NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(run_words(bad[i]), CLI_USAGE);
        assert_int_equal(seen.runs, 0);
        assert_int_equal(strncmp(said, "fusetsu: ", 9), 0);
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    }
}

static void test_numbers_are_whole_and_in_range(void **state)
{
    static const char *const bad[] = {"0",  "31", "-1", "+1",
                                      "1x", "",   " 1", "99999999999999999999"};
    char word[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(word, sizeof(word), "--days=%s", bad[i]);
        assert_int_equal(RUN("thing", "make", "--name=x", word), CLI_USAGE);
    }
}

static void test_near_misses_are_named(void **state)
{
    (void)state;
    RUN("thing", "mkae");
    assert_non_null(strstr(said, "did you mean \"thing make\"?"));
    RUN("thng");
    assert_non_null(strstr(said, "did you mean \"thing\"?"));
    RUN("thing", "make", "--nmae", "x");
    assert_non_null(strstr(said, "did you mean --name?"));
    RUN("entirelydifferent");
    assert_null(strstr(said, "did you mean"));
}

static void test_each_kind_of_failure_has_its_exit_code(void **state)
{
    static const struct {
        enum err_code fail;
        int code;
    } rows[] = {
        {E_TPM, CLI_REFUSED},      {E_MEMORY, CLI_REFUSED},    {E_USAGE, CLI_USAGE},
        {E_PIN_WRONG, CLI_PIN},    {E_PIN_LOCKED, CLI_PIN},    {E_LOCKOUT, CLI_PIN},
        {E_NO_DEVICE, CLI_NO_TPM}, {E_REMOVED, CLI_NO_TPM},    {E_CORRUPT, CLI_FILE},
        {E_NOT_FOUND, CLI_FILE},   {E_REJECTED, CLI_REJECTED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        seen.fail = rows[i].fail;
        assert_int_equal(RUN("thing", "make", "--name=x"), rows[i].code);
        assert_string_equal(said, "fusetsu: as asked for\n");
    }
    seen.fail = E_OK;
}

/* --- PINs ---------------------------------------------------------------- */

static void test_a_pin_as_argument_is_refused_and_not_repeated(void **state)
{
    (void)state;
    assert_int_equal(RUN("ask", "--pin", "735194"), CLI_USAGE);
    assert_non_null(strstr(said, "--pin-file"));
    assert_null(strstr(said, "735194"));
    assert_int_equal(RUN("ask", "--pin=735194"), CLI_USAGE);
    assert_null(strstr(said, "735194"));
    assert_int_equal(RUN("ask", "--uri", "pkcs11:token=t?pin-value=735194"), CLI_USAGE);
    assert_null(strstr(said, "735194"));
}

static void pin_file(char path[32], const char *content)
{
    int fd;

    snprintf(path, 32, "/tmp/fz-pin.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
}

static void test_a_pin_comes_from_file_descriptor_or_uri(void **state)
{
    char path[32], word[80];
    int ends[2];

    (void)state;
    pin_file(path, "735194\r\nsecond line\n");
    assert_int_equal(RUN("ask", "--pin-file", path), CLI_OK);
    assert_string_equal(seen.name, "735194");
    snprintf(word, sizeof(word), "pkcs11:token=t?pin-source=file:%s", path);
    seen.name[0] = 0;
    assert_int_equal(RUN("ask", "--uri", word), CLI_OK);
    assert_string_equal(seen.name, "735194");
    assert_int_equal(RUN("ask", "--uri", word, "--pin-file", path), CLI_USAGE);
    unlink(path);
    assert_int_equal(RUN("ask", "--pin-file", path), CLI_FILE);

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "first1\nsecond2\n", 15), 15);
    close(ends[1]);
    snprintf(word, sizeof(word), "%d", ends[0]);
    assert_int_equal(RUN("ask", "--pin-fd", word), CLI_OK);
    assert_string_equal(seen.name, "first1");
    assert_int_equal(RUN("ask", "--pin-fd", word), CLI_OK);
    assert_string_equal(seen.name, "second2");
    close(ends[0]);
    assert_int_equal(RUN("ask", "--pin-fd", "999"), CLI_FILE);
    assert_int_equal(RUN("ask", "--pin-fd", "x"), CLI_USAGE);
}

static void test_a_chosen_pin_has_the_right_length(void **state)
{
    char path[32];

    (void)state;
    pin_file(path, "12345\n");
    assert_int_equal(RUN("ask", "--choose", "--pin-file", path), CLI_PIN);
    unlink(path);
    pin_file(path, "12345678901234567890123456789012345678901234567890123456789012345\n");
    assert_int_equal(RUN("ask", "--choose", "--pin-file", path), CLI_PIN);
    unlink(path);
}

static void test_without_terminal_the_options_are_named(void **state)
{
    int kept = dup(STDIN_FILENO);

    (void)state;
    assert_non_null(freopen("/dev/null", "r", stdin));
    assert_int_equal(RUN("ask"), CLI_PIN);
    assert_non_null(strstr(said, "--pin-file"));
    dup2(kept, STDIN_FILENO);
    close(kept);
}

/* --- URIs ---------------------------------------------------------------- */

static void test_a_uri_is_taken_apart(void **state)
{
    struct err e = {0};
    struct uri u;

    (void)state;
    assert_int_equal(uri_parse(&u,
                               "pkcs11:token=my%20gw;serial=01;manufacturer=fusetsu;model=x;"
                               "object=a&b;type=private;id=%00%fF?pin-source=file:/a/b&"
                               "module-name=x",
                               &e),
                     0);
    assert_string_equal(u.token, "my gw");
    assert_string_equal(u.serial, "01");
    assert_string_equal(u.object, "a&b");
    assert_int_equal(u.type, URI_PRIVATE);
    assert_true(u.has_id);
    assert_memory_equal(u.id.p, "\x00\xff", 2);
    assert_string_equal(u.pin_file, "/a/b");
    uri_free(&u);
    assert_int_equal(uri_parse(&u, "PKCS11:", &e), 0);
    assert_null(u.token);
    uri_free(&u);
    assert_int_equal(uri_parse(&u, "pkcs11:?pin-source=file:///x%20y", &e), 0);
    assert_string_equal(u.pin_file, "/x y");
    uri_free(&u);
}

static void test_a_loose_uri_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "token=x",
        "pkcs1:token=x",
        "pkcs11:token",
        "pkcs11:=x",
        "pkcs11:token=x;",
        "pkcs11:;token=x",
        "pkcs11:token=x;token=y",
        "pkcs11:token=x y",
        "pkcs11:token=x%2",
        "pkcs11:token=x%",
        "pkcs11:token=x%zz",
        "pkcs11:token=x%00",
        "pkcs11:token=x/y",
        "pkcs11:slot-id=1",
        "pkcs11:type=secret",
        "pkcs11:type=private%00",
        "pkcs11:type=cert;type=cert",
        "pkcs11:id=",
        "pkcs11:id=%01;id=%01",
        "pkcs11:?pin-value=1234",
        "pkcs11:?pin-source=|cat%20/x",
        "pkcs11:?pin-source=relative",
        "pkcs11:?pin-source=http://x/y",
        "pkcs11:?pin-source=file://host/x",
        "pkcs11:?pin-source=file:",
        "pkcs11:?pin-source=/a%00b",
        "pkcs11:?pin-source=/a&pin-source=/b",
        "pkcs11:?pin-source=/a&",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        struct uri u = {0};

        assert_int_equal(uri_parse(&u, bad[i], &e), -1);
        assert_int_equal(e.code, E_USAGE);
        uri_free(&u);
    }
}

static void test_a_cut_uri_never_reads_past_its_end(void **state)
{
    static const char whole[] = "pkcs11:token=a%20b;id=%01%02;type=cert?pin-source=file:///x%20y";
    char *cut;

    (void)state;
    for (size_t n = 0; n < sizeof(whole); n++) {
        struct err e = {0};
        struct uri u = {0};

        cut = strndup(whole, n); /* exact allocation, for the address sanitizer */
        assert_non_null(cut);
        if (uri_parse(&u, cut, &e) == 0)
            uri_free(&u);
        free(cut);
    }
}

/* --- printing ------------------------------------------------------------ */

static void print_as(const char *text, const char *want)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);

    assert_non_null(f);
    out_text(f, text);
    fclose(f);
    assert_string_equal(out, want);
    free(out);
}

static void test_terminal_controls_are_made_harmless(void **state)
{
    (void)state;
    print_as("plain ? 通信", "plain ? 通信");
    print_as("a\033[2Jb\r\nc\x7f", "a?[2Jb??c?");
    print_as("\xc2\x9b"
             "31m",
             "?31m");                          /* C1 CSI */
    print_as("gw\xe2\x80\xaegro", "gw?gro");   /* right-to-left override */
    print_as("\xff\xc0\xaf\xe2\x82", "?????"); /* broken and overlong */
    print_as("\xed\xa0\x80", "???");           /* a surrogate */
}

static void test_columns_line_up_with_wide_letters(void **state)
{
    static const char *const heads[] = {"A", "B"};
    struct err e = {0};
    struct out_table *t = out_table_new(heads, 2, &e);
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);

    (void)state;
    assert_non_null(t);
    assert_non_null(f);
    assert_int_equal(out_table_row(t, (const char *[]){"通信", "x"}, &e), 0);
    assert_int_equal(out_table_row(t, (const char *[]){"abcd", NULL}, &e), 0);
    out_table_print(t, f);
    fclose(f);
    assert_string_equal(out, "A     B\n通信  x\nabcd  \n");
    free(out);
    out_table_free(t);
}

static void test_communities_are_read_by_name_and_number(void **state)
{
    unsigned c[4] = {0};
    struct err e = {0};
    size_t n = 0;

    (void)state;
    assert_int_equal(community_parse_list("communications,2", c, 4, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(c[0], 1);
    assert_int_equal(c[1], 2);
    assert_int_equal(community_parse_list("communications,1", c, 4, &n, &e), -1);
    assert_int_equal(e.code, E_USAGE);
    err_clear(&e);
    assert_int_equal(community_parse_list("", c, 4, &n, &e), -1);
    err_clear(&e);
    assert_int_equal(community_parse_list("finance,", c, 4, &n, &e), -1);
    err_clear(&e);
    assert_int_equal(community_parse("5", c, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_arrive),
        cmocka_unit_test(test_misuse_is_told_and_nothing_runs),
        cmocka_unit_test(test_numbers_are_whole_and_in_range),
        cmocka_unit_test(test_near_misses_are_named),
        cmocka_unit_test(test_each_kind_of_failure_has_its_exit_code),
        cmocka_unit_test(test_a_pin_as_argument_is_refused_and_not_repeated),
        cmocka_unit_test(test_a_pin_comes_from_file_descriptor_or_uri),
        cmocka_unit_test(test_a_chosen_pin_has_the_right_length),
        cmocka_unit_test(test_without_terminal_the_options_are_named),
        cmocka_unit_test(test_a_uri_is_taken_apart),
        cmocka_unit_test(test_a_loose_uri_is_refused),
        cmocka_unit_test(test_a_cut_uri_never_reads_past_its_end),
        cmocka_unit_test(test_terminal_controls_are_made_harmless),
        cmocka_unit_test(test_columns_line_up_with_wide_letters),
        cmocka_unit_test(test_communities_are_read_by_name_and_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
