#!/bin/bash
# Goal: a TPM without a resource manager has three slots for keys and three for sessions. Any number of
# processes sign with it all the same, beside idle ones and after killed ones, and nobody pays with tries.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
LIMIT=120

check "a token is made" new_token alpha
check "an EC key" new_key EC:prime256v1 ec 01
check "an RSA key" new_key rsa:2048 rsa 02
app() { foreign "$B/signloop" "$MODULE" "$@"; }
use() { echo open alpha login "$D/pin" find "${1:-ec}" check "${2:-10}"; }

nothing_left() {
    { tpm2_getcap -T "$FUSETSU_TCTI" handles-transient &&
        tpm2_getcap -T "$FUSETSU_TCTI" handles-loaded-session; } >"$D/left" 2>&1 || { cat "$D/left" && return 1; }
    [ ! -s "$D/left" ] || { cat "$D/left" && return 1; }
}
no_tries() {
    tpm2_getcap -T "$FUSETSU_TCTI" properties-variable >"$D/list" && p11 -L >>"$D/list" &&
        grep -qx 'TPM2_PT_LOCKOUT_COUNTER: 0x0' "$D/list" &&
        ! grep -iE 'PIN count low|PIN locked|final' "$D/list"
}
# together N COMMAND...: N of them at once, and all of them succeed. %k is ec or rsa in turn.
together() {
    local n=$1 i pid pids=() key rc=0
    shift
    for ((i = 0; i < n; i++)); do
        key=ec
        [ $((i % 2)) -eq 0 ] || key=rsa
        "${@//%k/$key}" &
        pids+=("$!")
        STORY_PIDS+=("$!")
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || { echo "one ended with $?" && rc=1; }
    done
    return "$rc"
}
all_well() { # all_well WHEN
    check "nothing is left in the TPM $1" nothing_left
    check "and no try is counted" no_tries
}

# shellcheck disable=SC2046  # `use` prints words
{
    check "8 processes make 100 EC signatures each, all valid" together 8 app init $(use ec 100) fin
    check "and 100 EC and RSA signatures each" together 8 app init $(use %k 100) fin
    check "and 20 each without C_Finalize" together 8 app init $(use %k 20)
    all_well "after many processes"
    check "4 threads make 200 signatures each, all valid" \
        app init-threads open alpha login "$D/pin" find ec threads '4 200' fin
    check "4 processes of 2 threads, 50 each" \
        together 4 app init-threads open alpha login "$D/pin" find %k threads '2 50' fin
    check "a process forks, and both sign 100 times" app init $(use) fork init $(use ec 100)
    check "two processes fork, and all sign" together 2 app init $(use) fork init $(use %k 50)
    check "4 processes make keys and sign with them" \
        together 4 app init open alpha login "$D/pin" generate new check 5 logout fin
    all_well "after threads and forks"
}

# --- beside an idle process, which cannot let go by itself ---------------------------

# idle KEYS STEP...: a process that holds a session and one or two keys, and stops; then it does STEP...
# shellcheck disable=SC2046
idle() {
    local keys=$1
    shift
    "${FOREIGN[@]}" "$B/signloop" "$MODULE" init $(use) $([ "$keys" -eq 1 ] || echo find rsa check 1) \
        pause "$@" >"$D/idle.out" 2>&1 &
    IDLE=$!
    STORY_PIDS+=("$IDLE")
    poll 20 stopped "$IDLE"
}
goes_on() {
    local rc=0
    kill -CONT "$IDLE"
    poll 30 gone "$IDLE" || { echo "it hangs" && return 1; }
    wait "$IDLE" || rc=$?
    cat "$D/idle.out"
    return "$rc"
}
# shellcheck disable=SC2046
{
    idle 2 check 5 find ec check 5 fin
    check "it holds a session and two keys" test "$(tpm2_getcap -T "$FUSETSU_TCTI" handles-transient | wc -l)" -eq 2
    check "4 processes log in and sign beside it" together 4 app init $(use %k 20) fin
    check "a login of the SO works beside it" p11 --login --login-type so --so-pin "$SO" --init-pin --new-pin "$PIN"
    check "another token is made beside it" "$FUSETSU" token init --label beta --pin-file "$D/pin" --so-pin-file "$D/so"
    check "the idle process goes on signing" goes_on
    all_well "after the idle process"
}

# --- after kill -9 ------------------------------------------------------------------------

signing() { grep -q '^on ' "$1"; }
# shellcheck disable=SC2046
massacre() { # massacre KEY: kills four processes in the middle of their loops
    local i pid pids=()
    for i in 1 2 3 4; do
        "${FOREIGN[@]}" "$B/signloop" "$MODULE" init $(use "$1" 1) phase on check 100000 >"$D/kill.$i" 2>&1 &
        pids+=("$!")
        STORY_PIDS+=("$!")
    done
    for i in 1 2 3 4; do
        poll 30 signing "$D/kill.$i" || { cat "$D/kill.$i" && return 1; }
    done
    for pid in "${pids[@]}"; do kill -KILL "$pid"; done
    for pid in "${pids[@]}"; do poll 10 gone "$pid" || return 1; done
    wait "${pids[@]}" 2>/dev/null
    return 0
}
for key in ec rsa ec rsa ec rsa; do
    check "four processes are killed while they sign ($key)" massacre "$key"
    # shellcheck disable=SC2046
    check "the next one works" app init $(use ec 5) fin
    check "and has cleaned up after them" nothing_left
done
all_well "after the killed"

# --- the file itself --------------------------------------------------------------------

# What an idle process holds is not known any more, then: it must not be more than one key, since a key
# and its parent are loaded beside it.

note() { echo "$FUSETSU_RUN"/fusetsu-tpm-*; }
check "the file is private" test "$(stat -c '%a %h %s' "$(note)")" = '660 1 4096'
spoil() { head -c "$1" /dev/urandom >"$(note)"; }
for size in 0 100 4096 100000; do
    idle 1 check 5 fin
    check "the file is overwritten with $size random bytes" spoil "$size"
    # shellcheck disable=SC2046
    check "4 processes sign all the same" together 4 app init $(use ec 10) fin
    check "and so does one that was there before" goes_on
done
idle 1 check 5 fin
check "the file is removed" rm "$(note)"
# shellcheck disable=SC2046
check "4 processes sign all the same" together 4 app init $(use ec 10) fin
check "and so does one that was there before" goes_on
all_well "after all that"

open_to_all() { rm "$name" && : >"$name" && chmod 666 "$name"; }
name=$(note)
echo precious >"$D/victim"
check "the file is a symbolic link" ln -sf "$D/victim" "$(note)"
# shellcheck disable=SC2046
check "a process works without it" app init $(use ec 5) fin
check_out "and leaves alone what it leads to" '^precious$' cat "$D/victim"
check "the file can be written by everybody" open_to_all
# shellcheck disable=SC2046
check "a process works without it" app init $(use ec 5) fin
check "and has left it as it was" test ! -s "$name"
FUSETSU_RUN=/proc
# shellcheck disable=SC2046
check "there is no place for it" app init $(use ec 5) fin
FUSETSU_RUN=none
# shellcheck disable=SC2046
check "none is wanted" app init $(use ec 5) fin
all_well "in the end"
finish
