# For stories with a real sshd, after lib.sh and consumers.sh: settings of its own, agents with tokens, and how
# to start it. Run by root it wants
# settings in /etc and an account: copies of them, in a mount namespace, which the story enters first of all by
#
#   if [ "$(id -u)" -eq 0 ] && [ -z "${STORY_MOUNTS:-}" ]; then
#       STORY_MOUNTS=own exec unshare -m -- "$0" "$@"
#   fi
# shellcheck shell=bash
for program in ssh ssh-agent ssh-keygen /usr/sbin/sshd; do
    command -v "$program" >/dev/null || { skip "OpenSSH" "$program is not installed" && finish; }
done
umask 077
export HOME=$D/home
export ME
ME=$(id -un)
mkdir -p "$HOME/.ssh"
unset SSH_AUTH_SOCK DISPLAY XDG_CONFIG_HOME XDG_STATE_HOME

ETC=$D/etc
private_view() {
    cp -a /etc "$ETC" && chmod 755 "$ETC" &&
        echo "root:x:0:0::$HOME:/bin/sh" >"$ETC/passwd" && echo 'sshd:x:65533:65534::/run/sshd:/bin/false' >>"$ETC/passwd" &&
        printf '%s\n' 'root:*:20000:0:99999:7:::' 'sshd:!:20000::::::' >"$ETC/shadow" &&
        rm -rf "$ETC"/ssh/*_key* "$ETC"/ssh/sshd_config.d/* "$ETC/fusetsu" &&
        mount --bind "$ETC" /etc && mount -t tmpfs -o mode=755 none /run && mkdir /run/sshd &&
        mount -t tmpfs -o mode=755 none /var/lib
}
if [ -n "${STORY_MOUNTS:-}" ]; then
    private_view || { not_ok "a private view of /etc" "it cannot be made" && finish; }
else
    mkdir -p "$ETC/ssh/sshd_config.d" && echo "Include $ETC/ssh/sshd_config.d/*.conf" >"$ETC/ssh/sshd_config"
fi

# The agent is set-group-id, which strips a preloaded sanitizer from its helper's environment.
printf '#!/bin/bash\nexec %s /usr/lib/openssh/ssh-pkcs11-helper "$@"\n' "${FOREIGN[*]@Q}" >"$D/helper"
# shellcheck disable=SC2016
printf '#!/bin/sh\ncat "$ASKED_PIN"\n' >"$D/askpass"
chmod 755 "$D/helper" "$D/askpass"
! is_asan || export SSH_PKCS11_HELPER=$D/helper
export SSH_ASKPASS=$D/askpass SSH_ASKPASS_REQUIRE=force ASKED_PIN=$D/pin

agent() { # agent N NAME [ALLOWED]: its socket is $D/NAME.agent
    rm -f "$D/$2.agent"
    at "$1" background ssh-agent -d -a "$D/$2.agent" -P "${3:-$(realpath "$CONSUMER_MODULE")}" \
        >"$D/$2.agent.log" 2>&1 </dev/null
    poll 10 test -S "$D/$2.agent"
}
with_agent() { SSH_AUTH_SOCK=$D/$1.agent "${@:2}"; }
add_token() { with_agent "$1" timeout -k 5 "$LIMIT" ssh-add -s "$CONSUMER_MODULE"; }

serve() { # serve [OPTION...]
    local options=(ListenAddress=127.0.0.1 AuthorizedKeysFile="$D/authorized" PermitRootLogin=yes UsePAM=no
        PasswordAuthentication=no KbdInteractiveAuthentication=no StrictModes=no PermitUserRC=no PidFile=none "$@")
    for _ in 1 2 3; do
        port=$(free_port)
        background /usr/sbin/sshd -D -e -p "$port" -f "$ETC/ssh/sshd_config" "${options[@]/#/-o}" >>"$D/sshd.log" 2>&1 </dev/null
        server=$LAST
        poll 10 listening "$port" "$server"
        gone "$server" || return 0
    done
    cat "$D/sshd.log"
    return 1
}
: >"$D/sshd.log"
