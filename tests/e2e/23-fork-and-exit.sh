#!/bin/bash
# Goal: servers fork after C_Initialize and many programs never call C_Finalize. Parent and child both
# sign, nobody hangs, and nothing of theirs stays in the TPM.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
LIMIT=30
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

check "a token is made" new_token alpha
check "an EC key" new_key EC:prime256v1 ec 01
check "an RSA key" new_key rsa:2048 rsa 02
app() { foreign "$B/signloop" "$MODULE" "$@"; }
use() { echo open alpha login "$D/pin" find "${1:-ec}" sign "${2:-5}" verify; }

left() { # what is in the TPM's transient slots
    tpm2_getcap -T "$FUSETSU_TCTI" handles-transient && tpm2_getcap -T "$FUSETSU_TCTI" handles-loaded-session
}
nothing_left() {
    left >"$D/left" 2>&1 || { cat "$D/left" && return 1; }
    [ ! -s "$D/left" ] || { cat "$D/left" && return 1; }
}
check "at first the TPM is empty" nothing_left

# Two processes at a time: without a resource manager the TPM has three slots for keys and three for
# sessions, and a process holds one key and one session while it signs, a second one while it logs in.
# shellcheck disable=SC2046  # `use` prints words
{
    check "with C_Finalize" app init $(use) fin
    check "nothing is left" nothing_left
    check "without C_Finalize, without logout" app init $(use)
    check "nothing is left" nothing_left
    check "the child of an initialised parent signs, and so does the parent" \
        app init fork init $(use)
    check "nothing is left" nothing_left
    check "the same after the parent has logged in and signed" app init $(use) fork init $(use ec 10)
    check "nothing is left" nothing_left
    check "a child that just exits leaves the parent's session alone" \
        app init $(use) fork leave sign 5 fork leave sign 5 verify
    check "nothing is left" nothing_left
}
expect_fail "a child that does not call C_Initialize is told so" 'C_FindObjectsInit: 0x190' \
    app init open alpha login "$D/pin" fork find ec
check "nothing is left" nothing_left

# The TPM is gone when the program ends.
at_gone() {
    "${FOREIGN[@]}" "$B/signloop" "$MODULE" init open alpha login "$D/pin" find ec sign 1 pause &
    local pid=$! rc=0
    STORY_PIDS+=("$pid")
    poll 10 stopped "$pid" || return 1
    kill -STOP "$TPM_PID_1" && kill -KILL "$TPM_PID_1"
    kill -CONT "$pid"
    poll 10 gone "$pid" || { echo "it hangs" && return 1; }
    wait "$pid" || rc=$?
    [ "$rc" -eq 0 ] || { echo "exit code $rc" && return 1; }
}
check "a program ends in time although its TPM is gone" at_gone
finish
