/* sshd: its host key on the token, by an agent that holds it (HostKeyAgent of sshd_config(5)). */
#include "cli/commands.h"
#include "cli/setup/setup.h"
#include "core/sshkey.h"
#include "core/file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CONFIG "/etc/ssh/sshd_config.d/fusetsu.conf"
#define HOST_KEY "/etc/ssh/fusetsu_host_key"
#define RUN_DIR "fusetsu-host-agent"
#define SOCKET "/run/" RUN_DIR "/socket"
#define UNIT "/etc/systemd/system/fusetsu-host-agent.service"
#define ASKPASS "/etc/fusetsu/host-agent-pin"

/* sshd reads our file only where its main one says so, as Debian's does. */
static int check_included(struct err *e)
{
    static const char main_file[] = "/etc/ssh/sshd_config";
    struct buf text = {0};
    bool found = false;

    if (file_read(main_file, (size_t)1 << 20, &text, e) != 0)
        return -1;
    if (buf_cstr(&text) == NULL)
        return err_set(e, E_MEMORY, "out of memory for %s", main_file);
    for (const char *line = (const char *)text.p; line != NULL && !found;
         line = strchr(line, '\n')) {
        line += strspn(line, " \t\n");
        found = strncasecmp(line, "Include", 7) == 0 &&
                memmem(line, strcspn(line, "\n"), "/etc/ssh/sshd_config.d/*.conf", 29) != NULL;
    }
    buf_free(&text);
    if (found)
        return 0;
    return err_set(e, E_NOT_FOUND,
                   "%s does not read " CONFIG "; put \"Include /etc/ssh/sshd_config.d/*.conf\" at "
                   "its top",
                   main_file);
}

/* The settings here and the units quote alike; none of them takes such a path. */
static int check_path(const char *path, struct err *e)
{
    if (*path != '/' || strpbrk(path, "\"'\\%$ \t\r\n") != NULL)
        return cli_misuse(e, "not '%s': an absolute path without blanks, quotes, %% and $", path);
    return 0;
}

/* sshd_config(5): any HostKey replaces all the keys that sshd looks for by itself. They stay, after
 * the token's, so that nobody who knows the host by one of them is turned away. */
static void add_old_keys(struct buf *out)
{
    static const char *const old[] = {"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key",
                                      "/etc/ssh/ssh_host_ed25519_key"};

    for (size_t i = 0; i < ARRAY_LEN(old); i++) {
        if (access(old[i], F_OK) == 0)
            buf_printf(out, "HostKey %s\n", old[i]);
    }
}

static int add_settings(struct setup *s, const char *socket, struct err *e)
{
    struct buf text = {0};
    int rc = -1;

    buf_printf(&text,
               "# written by fusetsu setup sshd\n"
               "HostKeyAgent %s\n"
               "# Its public half is in " HOST_KEY ".pub, its private one on the token.\n"
               "HostKey " HOST_KEY "\n",
               socket);
    if (!cli_flag(setup_cli(s), "only"))
        add_old_keys(&text);
    if (buf_ok(&text, e) == 0)
        rc = setup_file(s, CONFIG, 0644, buf_bytes(&text), e);
    buf_free(&text);
    return rc;
}

static int add_public(struct setup *s, const struct setup_key *k, struct err *e)
{
    struct buf line = {0};
    int rc = -1;

    if (sshkey_line(buf_bytes(&k->spki), k->label, &line, e) == 0) {
        buf_u8(&line, '\n');
        rc = setup_file(s, HOST_KEY ".pub", 0644, buf_bytes(&line), e);
    }
    if (rc == 0 && buf_cstr(&line) != NULL) {
        setup_say(s, "Those who connect know the host by (in known_hosts after its name):");
        setup_lines(s, (const char *)line.p);
    }
    buf_free(&line);
    return rc;
}

/* The agent as a service that gets the PIN from a file. -P is matched with the real path. */
static int add_service(struct setup *s, const char *module, const char *real, const char *socket,
                       const char *source, struct err *e)
{
    struct buf text = {0};
    int rc = -1;

    buf_printf(&text, "#!/bin/sh\n# written by fusetsu setup sshd\nexec cat '%s'\n", source);
    if (check_path(source, e) != 0 || buf_ok(&text, e) != 0 ||
        setup_file(s, ASKPASS, 0755, buf_bytes(&text), e) != 0)
        goto out;
    buf_free(&text);
    buf_printf(&text,
               "# written by fusetsu setup sshd\n"
               "[Unit]\n"
               "Description=ssh-agent with the host key on a token\n"
               "Before=ssh.service\n"
               "[Service]\n"
               "Type=forking\n"
               "RuntimeDirectory=" RUN_DIR "\n"
               "RuntimeDirectoryMode=0700\n"
               "Environment=SSH_AUTH_SOCK=%s SSH_ASKPASS=" ASKPASS " SSH_ASKPASS_REQUIRE=force\n"
               "ExecStart=/usr/bin/ssh-agent -a %s -P %s\n"
               "ExecStartPost=/usr/bin/ssh-add -s %s\n"
               "[Install]\n"
               "WantedBy=multi-user.target\n",
               socket, socket, real, module);
    if (buf_ok(&text, e) != 0 || setup_file(s, UNIT, 0644, buf_bytes(&text), e) != 0)
        goto out;
    setup_say(s, "To start the agent, now and at each boot, and then have sshd look again:");
    setup_lines(s, "systemctl daemon-reload\n"
                   "systemctl enable --now fusetsu-host-agent\n"
                   "systemctl reload ssh");
    rc = 0;
out:
    buf_free(&text);
    return rc;
}

static void tell_of_agent(struct setup *s, const char *module, const char *real, const char *socket)
{
    struct buf lines = {0};

    setup_say(s, "sshd has the key while an agent of root's holds the token (with --pin-source a "
                 "service is made for that):");
    buf_printf(&lines,
               "install -d -m 700 $(dirname %s)\n"
               "ssh-agent -a %s -P %s\n"
               "SSH_AUTH_SOCK=%s ssh-add -s %s\n"
               "systemctl reload ssh",
               socket, socket, real, socket, module);
    if (buf_cstr(&lines) != NULL)
        setup_lines(s, (const char *)lines.p);
    buf_free(&lines);
}

static int plan(struct setup *s, struct err *e)
{
    const char *module = setup_module(s, e), *socket = cli_option(setup_cli(s), "agent");
    const char *source = setup_pin_file(s, e);
    const struct setup_key *k;
    char *real = NULL;
    int rc = -1;

    if (socket == NULL)
        socket = SOCKET;
    if (module == NULL || (source == NULL && cli_option(setup_cli(s), "pin-source") != NULL) ||
        check_path(module, e) != 0 || check_path(socket, e) != 0 || check_included(e) != 0)
        return -1;
    real = realpath(module, NULL);
    k = setup_key(s, e);
    if (k == NULL || add_public(s, k, e) != 0 || add_settings(s, socket, e) != 0)
        goto out;
    if (source == NULL)
        tell_of_agent(s, module, real != NULL ? real : module, socket);
    else if (add_service(s, module, real != NULL ? real : module, socket, source, e) != 0)
        goto out;
    rc = 0;
out:
    free(real);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const struct setup_app app = {.name = "sshd", .scopes = SETUP_SYSTEM, .plan = plan};

    return setup_run(c, &app, e);
}

static const struct cli_option options[] = {
    {"agent", "SOCKET", "where the agent listens (default: " SOCKET ")", false},
    {"only", NULL, "the host's other keys are used no more", false},
    {NULL, NULL, NULL, false},
};

const struct cli_command cmd_setup_sshd = {
    .group = "setup",
    .name = "sshd",
    .shared = CLI_SETUP | CLI_TOKEN | CLI_KEY | CLI_JSON,
    .options = options,
    .summary = "let sshd prove the host's name by a key of the token",
    .about = "Names the key to sshd in /etc/ssh/sshd_config.d, before the host's other keys, which "
             "stay. sshd signs with it by an ssh-agent; with --pin-source a service is written "
             "that starts the agent and gives it the token.",
    .examples = "fusetsu setup sshd --label host --pin-source /etc/fusetsu/host.pin\n"
                "fusetsu setup sshd --undo",
    .run = run,
};
