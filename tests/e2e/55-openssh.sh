#!/bin/bash
# Goal: OpenSSH works with keys in two TPMs. A person logs in with the key on the token, which ssh
# loads itself or an agent holds; the server proves its own name by a host key on its machine's token;
# git commits are signed and verified. Each with P-256 and RSA, and refused where it has to be.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# sshd run by root wants /run/sshd and an account; both are in a mount namespace of this story's.
if [ "$(id -u)" -eq 0 ] && [ -z "${STORY_MOUNTS:-}" ]; then
    STORY_MOUNTS=own exec unshare -m -- "$0" "$@"
fi
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
for program in ssh ssh-agent git /usr/sbin/sshd; do
    command -v "$program" >/dev/null || { skip "OpenSSH" "$program is not installed" && finish; }
done

export HOME=$D/home
ME=$(id -un)
umask 077
mkdir -p "$HOME/.ssh"
if [ -n "${STORY_MOUNTS:-}" ]; then
    printf '%s\n' "root:x:0:0::$HOME:/bin/sh" 'sshd:x:65533:65534::/run/sshd:/bin/false' >"$D/passwd"
    printf '%s\n' 'root:*:20000:0:99999:7:::' 'sshd:!:20000::::::' >"$D/shadow"
    cp -r /etc/ssh "$D/etc-ssh"
    mount -t tmpfs -o mode=755 none /run && mkdir /run/sshd && mount --bind "$D/passwd" /etc/passwd &&
        mount --bind "$D/shadow" /etc/shadow && mount --bind "$D/etc-ssh" /etc/ssh ||
        { not_ok "a private view of /etc" "mount failed" && finish; }
fi

# The agent is set-group-id, which strips a preloaded sanitizer from its helper's environment.
printf '#!/bin/bash\nexec %s /usr/lib/openssh/ssh-pkcs11-helper "$@"\n' "${FOREIGN[*]@Q}" >"$D/helper"
printf '#!/bin/sh\ncat "$ASKED_PIN"\n' >"$D/askpass"
chmod 755 "$D/helper" "$D/askpass"
! is_asan || export SSH_PKCS11_HELPER=$D/helper
export SSH_ASKPASS=$D/askpass SSH_ASKPASS_REQUIRE=force ASKED_PIN=$D/pin
unset SSH_AUTH_SOCK DISPLAY

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

agent() { # agent N NAME [ALLOWED]: its socket is $D/NAME.agent
    rm -f "$D/$2.agent"
    at "$1" background ssh-agent -d -a "$D/$2.agent" -P "${3:-$(realpath "$CONSUMER_MODULE")}" \
        >"$D/$2.agent.log" 2>&1 </dev/null
    poll 10 test -S "$D/$2.agent"
}
with_agent() { SSH_AUTH_SOCK=$D/$1.agent "${@:2}"; }
add_token() { with_agent "$1" timeout -k 5 "$LIMIT" ssh-add -s "$CONSUMER_MODULE"; }
drop_token() { with_agent "$1" timeout -k 5 "$LIMIT" ssh-add -e "$CONSUMER_MODULE"; }
bad_pin() { # the TPM's own counter of wrong tries, on which a peer depends alone, is no matter here
    local rc=0
    ASKED_PIN=$D/bad "$@" || rc=$?
    consumer_forgive 1
    return "$rc"
}

check "an agent for the host's keys" agent 2 host
check_out "ssh-add -s gives it the token" 'Card added' add_token host
check_out "it has the keys" "$(print_of host-rsa)" with_agent host ssh-add -l

agent 1 narrow /nowhere/*
expect_fail "an agent that does not allow the module refuses it" 'agent refused operation' add_token narrow
check_out "for that reason" 'refusing PKCS#11 add of .*: provider not allowed' cat "$D/narrow.agent.log"
end "$LAST"

# --- the server ---------------------------------------------------------------

cat >"$D/sshd_config" <<END
ListenAddress 127.0.0.1
HostKeyAgent $D/host.agent
HostKey $D/host-ec.pub
HostKey $D/host-rsa.pub
AuthorizedKeysFile $D/authorized
PermitRootLogin yes
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
PermitUserRC no
PidFile none
END
cat "$D"/desk-*.pub >"$D/authorized"
serve() { # serve CONFIG
    for _ in 1 2 3; do
        port=$(free_port)
        background /usr/sbin/sshd -D -e -p "$port" -f "$1" >"$D/sshd.log" 2>&1 </dev/null
        server=$LAST
        poll 10 listening "$port" "$server"
        gone "$server" || return 0
        grep -q 'Address already in use' "$D/sshd.log" || break
    done
    cat "$D/sshd.log"
    return 1
}
check "sshd starts with host keys that only its agent has" serve "$D/sshd_config"
for kind in ec rsa; do sed "s/^/tally /" "$D/host-$kind.pub"; done >"$D/known"

cat >"$D/client" <<END
Host tally
    HostName 127.0.0.1
    HostKeyAlias tally
    User $ME
    PreferredAuthentications publickey
    StrictHostKeyChecking yes
    UserKnownHostsFile $D/known
    GlobalKnownHostsFile /dev/null
    ConnectTimeout 10
    LogLevel ERROR
    IdentitiesOnly yes
END
cp "$D/client" "$HOME/.ssh/config"
# log_in N [OPTION...]: on machine N, with what ~/.ssh/config says. ssh ends with 255 for all of its own.
log_in() {
    at "$1" foreign ssh -F "$HOME/.ssh/config" -p "$port" "${@:2}" tally 'echo the tally fits' || return 1
}
provider() { log_in "$1" -o PKCS11Provider="$CONSUMER_MODULE" -i "$D/desk-$2.pub" "${@:3}"; }
accepted() { grep -q "Accepted publickey for $ME .*$(print_of "$1")" "$D/sshd.log"; }

# --- ssh loads the module -----------------------------------------------------

for kind in ec rsa; do
    check_out "log in with the $kind key of the token" 'the tally fits' provider 1 "$kind"
    check "the server saw that key" poll 5 accepted "desk-$kind"
done
host_kind() { provider 1 ec -o LogLevel=DEBUG1 -o HostKeyAlgorithms="$1"; }
check_out "the server proves itself by the ec key of its token" "Server host key: ecdsa.*$(print_of host-ec)" \
    host_kind ecdsa-sha2-nistp256
check_out "by the rsa key, with SHA-512" "Server host key: ssh-rsa.*$(print_of host-rsa)" host_kind rsa-sha2-512
check_out "and with SHA-256" "Server host key: ssh-rsa.*$(print_of host-rsa)" host_kind rsa-sha2-256
logins=$(grep -c 'Accepted publickey' "$D/sshd.log")

by_tty() { # by_tty FILE: ssh asks at the terminal, and gets what the file holds
    local rc=0 pid to
    : >"$D/tty.out"
    coproc TTY { SSH_ASKPASS_REQUIRE=never at 1 "${FOREIGN[@]}" timeout -k 5 "$LIMIT" script -qefc \
        "ssh -F $HOME/.ssh/config -p $port -o PKCS11Provider=$CONSUMER_MODULE -i $D/desk-ec.pub tally \
        'echo the tally fits'" /dev/null >"$D/tty.out" 2>&1; }
    pid=$TTY_PID to=${TTY[1]}
    poll 20 grep -q 'Enter PIN for' "$D/tty.out" && { cat "$1" && echo; } >&"$to"
    wait "$pid" || rc=1
    cat "$D/tty.out"
    return "$rc"
}
check_out "the PIN typed at the terminal does as well" 'the tally fits' by_tty "$D/pin"
logins=$((logins + 1))
expect_fail "a wrong one does not" 'PKCS#11 login failed: PIN incorrect' bad_pin by_tty "$D/bad"
expect_fail "nor does one from askpass" 'PKCS#11 login failed: PIN incorrect' bad_pin provider 1 rsa
expect_fail "another token's key is not let in" 'Permission denied \(publickey\)' \
    log_in 2 -o PKCS11Provider="$CONSUMER_MODULE" -o IdentitiesOnly=no
expect_fail "nor is a token that lacks the key that is asked for" 'Permission denied \(publickey\)' provider 2 ec

# --- an agent holds the token -------------------------------------------------

check "an agent for the person's keys" agent 1 desk
by_agent() { with_agent "$1" log_in 1 -i "$D/desk-$2.pub" "${@:3}"; }
expect_fail "without the token there is no login" 'Permission denied \(publickey\)' by_agent desk ec
expect_fail "with a wrong PIN the agent does not take the token" 'agent refused operation' bad_pin add_token desk
expect_fail "and has no key" 'has no identities' with_agent desk ssh-add -l
check_out "with the right one it does" 'Card added' add_token desk
for kind in ec rsa; do
    check_out "log in by the agent with the $kind key" 'the tally fits' by_agent desk "$kind"
    logins=$((logins + 1))
done

# --- git ----------------------------------------------------------------------

git_() { with_agent desk git -C "$D/repo" "$@"; }
for kind in ec rsa; do printf 'desk@example.org namespaces="git" %s\n' "$(cat "$D/desk-$kind.pub")"; done >"$D/signers"
git init -q "$D/repo"
git_ config user.name "The desk"
git_ config user.email desk@example.org
git_ config gpg.format ssh
git_ config gpg.ssh.allowedSignersFile "$D/signers"
signed() { # signed KIND [GIT-OPTION...]
    git_ -c user.signingkey="key::$(cut -d' ' -f1,2 "$D/desk-$1.pub")" "${@:2}" commit -q --allow-empty -S -m "By the $1 key"
}
for kind in ec rsa; do
    check "git commit -S with the $kind key" signed "$kind"
    check_out "git verify-commit" 'Good "git" signature for desk@example.org' git_ verify-commit -v HEAD
    check_out "names the key" "$(print_of "desk-$kind")" git_ verify-commit HEAD
done
forged() { # the last commit with other words and the same signature
    local id
    id=$(git_ cat-file commit HEAD | sed 's/^By the .*/By nobody/' | git_ hash-object -t commit -w --stdin) &&
        git_ verify-commit "$id"
}
expect_fail "changed words are refused" 'Signature verification failed|incorrect signature' forged
sed 's/^desk@/other@/' "$D/signers" | head -n 1 >"$D/others"
expect_fail "a key that nobody is allowed is refused" 'No principal matched' \
    git_ -c gpg.ssh.allowedSignersFile="$D/others" verify-commit HEAD
check "an agent that has nothing" agent 1 empty
git_elsewhere() { with_agent empty git -C "$D/repo" -c user.signingkey="key::$(cat "$D/desk-ec.pub")" commit --allow-empty -S -m x || return 1; }
expect_fail "without the token nothing is signed" 'No private key found|agent' git_elsewhere

check "ssh-add -e takes the token out" drop_token desk
expect_fail "then there is no login by the agent" 'Permission denied \(publickey\)' by_agent desk ec

# --- the host's name ----------------------------------------------------------

check "the server saw so many logins and no other" test "$(grep -c 'Accepted publickey' "$D/sshd.log")" = "$logins"
sed -i 's/^tally /strange /' "$D/known"
expect_fail "a host without a known key is refused" 'Host key verification failed' provider 1 ec
sed 's/^/tally /' "$D"/desk-*.pub >"$D/known"
expect_fail "a host with another key is refused" 'REMOTE HOST IDENTIFICATION HAS CHANGED' provider 1 ec
end "$server"
for kind in ec rsa; do sed "s/^/tally /" "$D/host-$kind.pub"; done >"$D/known"
sed 's|host.agent|empty.agent|' "$D/sshd_config" >"$D/sshd_config.empty"
check "sshd beside an agent without the token" serve "$D/sshd_config.empty"
expect_fail "is not the host" 'Connection (closed|reset) by' provider 1 ec -o LogLevel=INFO
check_out "because nobody signs for it" 'agent refused operation|sign.*failed' cat "$D/sshd.log"
finish
