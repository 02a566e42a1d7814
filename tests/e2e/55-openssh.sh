#!/bin/bash
# Goal: OpenSSH works with keys in two TPMs. A person logs in with the key on the token, which ssh
# loads itself or an agent holds; the server proves its own name by a host key on its machine's token;
# git commits are signed and verified. `fusetsu setup` writes what ssh, sshd and git have to know, and
# takes it back. Each with P-256 and RSA, and refused where it has to be.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# sshd run by root wants settings in /etc and an account: copies of them, in a mount namespace.
if [ "$(id -u)" -eq 0 ] && [ -z "${STORY_MOUNTS:-}" ]; then
    STORY_MOUNTS=own exec unshare -m -- "$0" "$@"
fi
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
# shellcheck source=tests/e2e/sshd.sh
. tests/e2e/sshd.sh
command -v git >/dev/null || { skip "git" "it is not installed" && finish; }

# By root the frame's own settings for the system are tried, else their like.
can_setup() { consumer_is fusetsu; }
can_setup_sshd() { can_setup && [ -n "${STORY_MOUNTS:-}" ]; }

# --- tokens and keys ----------------------------------------------------------

for row in "1 desk" "2 host"; do
    read -r n name <<<"$row"
    check "machine $n: a token" consumer_token "$n" "$name"
    check "machine $n: a P-256 key" consumer_key "$n" "$name" EC:prime256v1 ec 01
    check "machine $n: an RSA key" consumer_key "$n" "$name" rsa:2048 rsa 02
done
public() { # public N NAME: ssh-keygen's view of the token, a file for each key
    at "$1" foreign ssh-keygen -D "$CONSUMER_MODULE" >"$D/$2.keys" || return 1
    grep '^ecdsa-sha2-nistp256 ' "$D/$2.keys" >"$D/$2-ec.pub"
    grep '^ssh-rsa ' "$D/$2.keys" >"$D/$2-rsa.pub"
    cat "$D/$2.keys"
    [ -s "$D/$2-ec.pub" ] && [ -s "$D/$2-rsa.pub" ]
}
check_out "ssh-keygen -D lists the keys by label" '^ecdsa-sha2-nistp256 .* ec$' public 1 desk
check "and those of the host" public 2 host
print_of() { ssh-keygen -lf "$D/$1.pub" | cut -d' ' -f2 | sed 's/+/[+]/g'; } # as a pattern

# --- agents -------------------------------------------------------------------

drop_token() { with_agent "$1" timeout -k 5 "$LIMIT" ssh-add -e "$CONSUMER_MODULE"; }
bad_pin() { # the TPM's own counter of wrong tries, on which a peer depends alone, is no matter here
    local rc=0
    ASKED_PIN=$D/bad "$@" || rc=$?
    consumer_forgive 1
    return "$rc"
}

agent 1 narrow /nowhere/*
expect_fail "an agent that does not allow the module refuses it" 'agent refused operation' add_token narrow
check_out "for that reason" 'refusing PKCS#11 add of .*: provider not allowed' cat "$D/narrow.agent.log"
end "$LAST"

# --- the server's settings ------------------------------------------------------

ssh-keygen -q -t ed25519 -N '' -C '' -f "$ETC/ssh/ssh_host_ed25519_key"
host_key() { # host_key KIND: the host's key is that one of its token, and no other
    if can_setup_sshd; then
        at 2 "$FUSETSU" setup sshd --label "$1" --only --agent "$D/host.agent" --pin-source "$D/pin"
    else
        cp "$D/host-$1.pub" "$ETC/ssh/host_key.pub"
        printf '%s\n' "HostKeyAgent $D/host.agent" "HostKey $ETC/ssh/host_key" >"$ETC/ssh/sshd_config.d/token.conf"
    fi
}
host_agent() {
    local unit=$ETC/systemd/system/fusetsu-host-agent.service settings pid
    if ! can_setup_sshd; then
        agent 2 host && add_token host
        return
    fi
    # What systemd would run.
    read -ra settings <<<"$(sed -n 's/^Environment=//p' "$unit")"
    pid=$(at 2 env "${settings[@]}" sh -c "$(sed -n 's/^ExecStart=//p' "$unit")" | sed -n 's/^SSH_AGENT_PID=\([0-9]*\);.*/\1/p')
    STORY_PIDS+=("$pid")
    at 2 env "${settings[@]}" sh -c "$(sed -n 's/^ExecStartPost=//p' "$unit")"
}
cat "$D"/desk-*.pub >"$D/authorized"
known() { sed 's/^/tally /' "$@" >"$D/known"; }
known "$D"/host-*.pub

consumer_tree "$ETC" >"$D/etc.before"
if can_setup_sshd; then
    same_etc() { consumer_tree "$ETC" | diff "$D/etc.before" -; }
    check_out "setup sshd --dry-run says what it would write" 'HostKeyAgent /run/' \
        at 2 "$FUSETSU" setup sshd --label ec --dry-run
    check "and writes nothing" same_etc
    mv "$ETC/ssh/sshd_config" "$D/main_config"
    grep -v ^Include "$D/main_config" >"$ETC/ssh/sshd_config"
    expect_fail "where sshd would not read it, setup says so" 'put "Include /etc/ssh/sshd_config.d/' host_key ec
    mv "$D/main_config" "$ETC/ssh/sshd_config"
    check_out "setup sshd says how others know the host" '^ +ecdsa-sha2-nistp256 .* ec$' host_key ec
    check "as ssh-keygen does" cmp "$ETC/ssh/fusetsu_host_key.pub" "$D/host-ec.pub"
    check "the agent that its service starts" host_agent
else
    host_key ec
    check "an agent with the host's token" host_agent
fi
check_out "has the keys" "$(print_of host-rsa)" with_agent host ssh-add -l
check "sshd starts with a host key that only its agent has" serve

# --- ssh loads the module -----------------------------------------------------

# Settings that are there already: for all, and for one host; without a last line end.
{
    printf '%s\n' 'ConnectTimeout 10' 'Host tally' '    HostName 127.0.0.1' '    HostKeyAlias tally' "    User $ME" \
        '    PreferredAuthentications publickey' '    StrictHostKeyChecking yes' "    UserKnownHostsFile $D/known" \
        '    GlobalKnownHostsFile /dev/null'
    printf '    LogLevel ERROR'
} >"$HOME/.ssh/config"
cp "$HOME/.ssh/config" "$D/config.before"
identity() { # identity KIND: ssh loads the module for that key
    if can_setup; then
        at 1 "$FUSETSU" setup openssh --host tally --label "$1"
    else
        { printf 'Host tally\n    PKCS11Provider "%s"\n    IdentityFile "%s"\n    IdentitiesOnly yes\nMatch all\n' \
            "$CONSUMER_MODULE" "$D/desk-$1.pub" && cat "$D/config.before"; } >"$HOME/.ssh/config"
    fi
}
# log_in N [OPTION...]: on machine N, with what ~/.ssh/config says. ssh ends with 255 for all of its own.
log_in() {
    at "$1" foreign ssh -F "$HOME/.ssh/config" -p "$port" "${@:2}" tally 'echo the tally fits' || return 1
}
accepted() { grep -q "Accepted publickey for $ME .*$(print_of "$1")" "$D/sshd.log"; }

if can_setup; then
    consumer_tree "$HOME" >"$D/home.before"
    check_out "setup openssh --dry-run says what it would write" 'PKCS11Provider' \
        at 1 "$FUSETSU" setup openssh --host tally --label ec --dry-run
    same_home() { consumer_tree "$HOME" | diff "$D/home.before" -; }
    check "and writes nothing" same_home
fi
for kind in ec rsa; do
    check "ssh is told of the $kind key" identity $kind
    check_out "log in with the $kind key of the token" 'the tally fits' log_in 1
    check "the server saw that key" poll 5 accepted "desk-$kind"
done
logins=2
if can_setup; then
    elsewhere() { ssh -F "$HOME/.ssh/config" -G elsewhere >"$D/elsewhere" && ! grep -i pkcs11 "$D/elsewhere" && cat "$D/elsewhere"; }
    check_out "what held for other hosts holds, and no more" '^connecttimeout 10' elsewhere
    check "the public half is as ssh-keygen writes it" cmp "$HOME/.ssh/fusetsu-tally.pub" "$D/desk-rsa.pub"
fi

by_tty() { # by_tty FILE: ssh asks at the terminal, and gets what the file holds
    local rc=0 pid to
    : >"$D/tty.out"
    coproc TTY { SSH_ASKPASS_REQUIRE=never at 1 "${FOREIGN[@]}" timeout -k 5 "$LIMIT" script -qefc \
        "ssh -F $HOME/.ssh/config -p $port tally 'echo the tally fits'" /dev/null >"$D/tty.out" 2>&1; }
    pid=$TTY_PID to=${TTY[1]}
    poll 20 grep -q 'Enter PIN for' "$D/tty.out" && { cat "$1" && echo; } >&"$to"
    wait "$pid" || rc=1
    cat "$D/tty.out"
    return "$rc"
}
check_out "the PIN typed at the terminal does as well" 'the tally fits' by_tty "$D/pin"
logins=$((logins + 1))
expect_fail "a wrong one does not" 'PKCS#11 login failed: PIN incorrect' bad_pin by_tty "$D/bad"
expect_fail "nor does one from askpass" 'PKCS#11 login failed: PIN incorrect' bad_pin log_in 1
expect_fail "a token without the key that is asked for is not let in" 'Permission denied \(publickey\)' log_in 2
expect_fail "nor are its other keys" 'Permission denied \(publickey\)' log_in 2 -o IdentitiesOnly=no

# --- the host's name ----------------------------------------------------------

proves() { log_in 1 -o LogLevel=DEBUG1 "$@"; }
check_out "the server proves itself by the ec key of its token" "Server host key: ecdsa.*$(print_of host-ec)" proves
end "$server"
check "its rsa key instead" host_key rsa
check "and sshd again" serve
check_out "it proves itself by that, with SHA-512" "Server host key: ssh-rsa.*$(print_of host-rsa)" \
    proves -o HostKeyAlgorithms=rsa-sha2-512
check_out "and with SHA-256" "Server host key: ssh-rsa.*$(print_of host-rsa)" proves -o HostKeyAlgorithms=rsa-sha2-256
logins=$((logins + 3))
known "$D/desk-rsa.pub"
expect_fail "a host with another key is refused" 'REMOTE HOST IDENTIFICATION HAS CHANGED' log_in 1
: >"$D/known"
expect_fail "a host without a known key is refused" 'Host key verification failed' log_in 1
known "$D"/host-*.pub

# --- an agent holds the token -------------------------------------------------

if can_setup; then
    check_out "setup openssh --undo" 'config' "$FUSETSU" setup openssh --host tally --undo
    check "leaves all as it was" same_home
fi
cp "$D/config.before" "$HOME/.ssh/config"
check "an agent for the person's keys" agent 1 desk
by_agent() { with_agent "$1" log_in 1 -o IdentitiesOnly=yes -i "$D/desk-$2.pub" "${@:3}"; }
expect_fail "without the token there is no login" 'Permission denied \(publickey\)' by_agent desk ec
expect_fail "with a wrong PIN the agent does not take the token" 'agent refused operation' bad_pin add_token desk
expect_fail "and has no key" 'has no identities' with_agent desk ssh-add -l
check_out "with the right one it does" 'Card added' add_token desk
for kind in ec rsa; do
    check_out "log in by the agent with the $kind key" 'the tally fits' by_agent desk "$kind"
    logins=$((logins + 1))
done

# --- git ----------------------------------------------------------------------

printf '[user]\r\n\tname = The desk\r\n\temail = desk@example.org\r\n[gpg]\r\n\tformat = openpgp\r\n' >"$HOME/.gitconfig"
cp "$HOME/.gitconfig" "$D/gitconfig.before"
signing() { # signing KIND: git signs with that key
    if can_setup; then
        at 1 "$FUSETSU" setup git --email desk@example.org --label "$1"
    else
        echo "desk@example.org namespaces=\"git\" $(cut -d' ' -f1,2 "$D/desk-$1.pub")" >"$D/signers"
        cp "$D/gitconfig.before" "$HOME/.gitconfig"
        printf '[gpg "ssh"]\n\tallowedSignersFile = %s\n[gpg]\n\tformat = ssh\n[user]\n\tsigningkey = "key::%s"\n' \
            "$D/signers" "$(cut -d' ' -f1,2 "$D/desk-$1.pub")" >>"$HOME/.gitconfig"
    fi
}
git_() { with_agent desk git -C "$D/repo" "$@" || return 1; }
git init -q "$D/repo"
if can_setup; then
    consumer_tree "$HOME" >"$D/home.before"
    check_out "setup git --dry-run says what it would write" 'signingkey = "key::' \
        at 1 "$FUSETSU" setup git --email desk@example.org --label ec --dry-run
    check "and writes nothing" same_home
fi
for kind in ec rsa; do
    check "git is told of the $kind key" signing $kind
    check "git commit -S" git_ commit -q --allow-empty -S -m "By the $kind key"
    check_out "git verify-commit" 'Good "git" signature for desk@example.org' git_ verify-commit -v HEAD
    check_out "names the key" "$(print_of "desk-$kind")" git_ verify-commit HEAD
done
forged() { # the last commit with other words and the same signature
    local id
    id=$(git_ cat-file commit HEAD | sed 's/^By the .*/By nobody/' | git_ hash-object -t commit -w --stdin) &&
        git_ verify-commit "$id"
}
expect_fail "changed words are refused" 'Signature verification failed|incorrect signature' forged
expect_fail "a key that nobody allows is refused" 'No principal matched' git_ verify-commit HEAD~1
echo "other@example.org $(cut -d' ' -f1,2 "$D/desk-ec.pub")" >"$D/others"
check_out "a list of one's own tells who it is" 'Good "git" signature for other@' \
    git_ -c gpg.ssh.allowedSignersFile="$D/others" verify-commit HEAD~1
check "an agent that has nothing" agent 1 empty
git_elsewhere() { with_agent empty git -C "$D/repo" commit --allow-empty -S -m x || return 1; }
expect_fail "without the token nothing is signed" 'No private key found|agent' git_elsewhere
if can_setup; then
    check_out "setup git --undo" 'gitconfig' "$FUSETSU" setup git --undo
    check "leaves all as it was" same_home
fi

check "ssh-add -e takes the token out" drop_token desk
expect_fail "then there is no login by the agent" 'Permission denied \(publickey\)' by_agent desk ec
check "the server saw so many logins and no other" test "$(grep -c 'Accepted publickey' "$D/sshd.log")" = "$logins"

# --- a host without its token -------------------------------------------------

add_token desk >/dev/null 2>&1
end "$server"
check "sshd beside an agent without the token" serve HostKeyAgent="$D/empty.agent"
expect_fail "is not the host" 'Connection (closed|reset) by' by_agent desk ec -o LogLevel=INFO
check_out "because nobody signs for it" 'agent refused operation|sign.*failed' cat "$D/sshd.log"
end "$server"
if can_setup_sshd; then
    check "setup sshd beside the host's own key, for an agent that is not there" \
        at 2 "$FUSETSU" setup sshd --label ec --agent "$D/nowhere"
    check "sshd starts all the same" serve
    known "$ETC/ssh/ssh_host_ed25519_key.pub"
    check_out "and who knows the host by its own key gets in" 'the tally fits' by_agent desk ec
    end "$server"
    check_out "setup sshd --undo" 'fusetsu.conf' "$FUSETSU" setup sshd --undo
    check "leaves all as it was" same_etc
else
    skip "setup sshd" "it is ours, and root's"
fi
finish
