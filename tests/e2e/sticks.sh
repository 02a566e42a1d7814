# shellcheck shell=bash
# Sourced after lib.sh by the stories of USB tokens: a machine with USB ports, whose sticks
# (LetsTrust-TPM2Go) are emulated on the level of USB transfers (umockdev), each in front of a software TPM.
#
#   sticks NAME:SERIAL:TCTI...   adds sticks; none is plugged in
#   stick WORDS...               what is done to one (tests/support/stick/main.c); its answer in $answer
#   ours ARGUMENT...             our program on that machine; foreign does the same for others
#   apart COMMAND...             for processes that begin at once

coproc STICK { exec "$B/usbstick" "$D/root"; }
STORY_PIDS+=("$STICK_PID")
exec {stick_in}>&"${STICK[1]}" {stick_out}<&"${STICK[0]}"
answer=''
stick() {
    echo "$*" >&"$stick_in"
    read -r -t 30 answer <&"$stick_out" || answer="no answer"
    case $answer in ok | [0-9]*) ;; *) echo "stick $*: $answer" && return 1 ;; esac
}
sticks() {
    local name serial tcti
    while [ $# -gt 0 ]; do
        IFS=: read -r name serial tcti <<<"$1"
        stick add "$name" "$serial" "${tcti#swtpm:path=}" || return 1
        shift
    done
}
poll 20 test -s "$D/root" || { not_ok "emulated sticks" "usbstick does not start" && finish; }
UMOCKDEV_DIR=$(cat "$D/root")
export UMOCKDEV_DIR

asan=''
if is_asan; then
    asan="$(gcc -print-file-name=libasan.so) "
    FOREIGN=(env "LD_PRELOAD=$asan$B/asan_first.so libumockdev-preload.so.0" "ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-}")
else
    # shellcheck disable=SC2034  # for lib.sh
    FOREIGN=(env LD_PRELOAD=libumockdev-preload.so.0)
fi
ours() { env "LD_PRELOAD=${asan}libumockdev-preload.so.0" timeout -k 5 "$LIMIT" "$FUSETSU" "$@"; }

# umockdev names the socket of a netlink listener after its descriptor's number, and unlinks what has that
# name: what begins beside another process must not have the same numbers.
apart() (
    for fd in {3..60}; do
        [ -e "/proc/$BASHPID/fd/$fd" ] || eval "exec $fd</dev/null"
    done
    "$@"
)
