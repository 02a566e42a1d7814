#!/bin/bash
# Goal: on the kernel's resource manager, which no socket of a software TPM is like, eight programs sign at
# once with one token, and the TPM is as empty afterwards as it was before.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
LIMIT=200
story 1 "$@"

PROGRAMS=${PROGRAMS:-8} TIMES=${TIMES:-100}
check "the TPM is reached by the resource manager" test "$FUSETSU_TCTI" = device:/dev/tpmrm0
check "a token" new_token shared
check "a key" new_key EC:prime256v1 ec 01
at_once() {
    local i pids=() rc=0
    for ((i = 0; i < PROGRAMS; i++)); do
        "$B/signloop" "$MODULE" init open shared login "$D/pin" find ec check "$TIMES" fin >"$D/program.$i" 2>&1 </dev/null &
        pids+=("$!")
    done
    for i in "${pids[@]}"; do wait "$i" || rc=1; done
    cat "$D"/program.*
    return "$rc"
}
started=$SECONDS
check "$PROGRAMS programs make and verify $TIMES signatures each, at once" at_once
echo "# $((SECONDS - started)) s for $((PROGRAMS * TIMES)) signatures"
# The device without the resource manager shows what is there of everybody.
left() { tpm2_getcap -T device:/dev/tpm0 handles-transient && tpm2_getcap -T device:/dev/tpm0 handles-loaded-session; }
left_nothing() { left >"$D/left" && [ ! -s "$D/left" ]; }
check "the TPM holds nothing of them" left_nothing
# What the kernel saves for a process that does nothing would get too old, for all.
rested() { [ -z "$(tpm2_getcap -T device:/dev/tpm0 handles-saved-session)" ]; }
idle() {
    "$B/signloop" "$MODULE" init open shared login "$D/pin" find ec check 2 idle "$D/go" check 3 fin >"$D/p.out" 2>&1 </dev/null &
    P=$!
    STORY_PIDS+=("$P")
    began() { grep -q idle "$D/p.out" || gone "$P"; }
    poll 60 began && poll 30 rested && ! gone "$P" || { cat "$D/p.out" && return 1; }
}
goes_on() { : >"$D/go" && poll 60 gone "$P" && wait "$P"; }
stopped_one() {
    "$B/signloop" "$MODULE" init open shared login "$D/pin" find ec check 2 pause check 3 fin >"$D/p.out" 2>&1 </dev/null &
    P=$!
    STORY_PIDS+=("$P")
    poll 60 stopped "$P" && ! rested
}
LIMIT=300
burn() { timeout "$LIMIT" "$B/ctxburn" device:/dev/tpm0 66000; }
check "a process that does nothing has no session saved" idle
check "66000 sessions that are saved are in nobody's way" burn
check "others go on" "$B/signloop" "$MODULE" init open shared login "$D/pin" find ec check 2 fin
check "so does the process" goes_on
check "(a process that is stopped keeps its session)" stopped_one
expect_fail "(which is in the way)" 'ContextSave: 0x901' burn
# The kernel answers EIO; tpm2-abrmd, which loads and saves all sessions again then, gets over it.
expect_fail "(of all others)" 'opening a session with the TPM' "$FUSETSU" key generate --token shared --type p256 --label new --pin-file "$D/pin"
kill -CONT "$P"
expect_fail "(a wrong PIN signs nothing)" 'PIN' p11 --login --pin wrong-pin --sign --id 01 --mechanism ECDSA -i "$D/pin" -o "$D/none"
finish
