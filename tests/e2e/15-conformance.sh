#!/bin/bash
# Goal: a stranger who has only the standard in hand judges the module. build/conformance knows no
# module; it first judges SoftHSM2, whose differences from the standard are listed with their clauses,
# and then ours, for which no list is made: it has no differences.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
LIMIT=240
story 1 "$@"

# judged WHO COMMAND...: its checks become this story's. Those that judge what the module does
# not claim to have say nothing of it: they are counted, and no tests of this story.
judged() {
    local who=$1 rc=0 why beside='# SKIP .*not advertised'
    # What SoftHSM2 lacks altogether.
    [ "$who" != SoftHSM2 ] || beside='# SKIP'
    shift
    "$@" >"$D/verdict" 2>"$D/out" </dev/null || rc=$?
    grep -E '^(not )?ok - ' "$D/verdict" | grep -vE "$beside" | sed -E "s/^((not )?ok - )/\1$who: /"
    echo "# $who: $(grep -cE "$beside" "$D/verdict") checks are for what it does not advertise"
    sed 's/^/# /' "$D/out" | tail -n 5
    why=$(_crash "$rc")
    [ -z "$why" ] || not_ok "$who" "$why"
    [ "$rc" -eq 0 ] || STORY_FAILED=1
    tail -n 1 "$D/verdict" | grep -q ' ok, ' || not_ok "$who" "it did not come to its end"
}

# --- SoftHSM2 ---------------------------------------------------------------

softhsm=/usr/lib/softhsm/libsofthsm2.so
if [ -e "$softhsm" ]; then
    mkdir -m 700 "$D/softhsm"
    printf '%s\n' "directories.tokendir = $D/softhsm" 'objectstore.backend = file' 'log.level = ERROR' \
        >"$D/softhsm.conf"
    export SOFTHSM2_CONF=$D/softhsm.conf
    check "softhsm2-util makes a token" \
        softhsm2-util --init-token --free --label soft --so-pin "$SO" --pin "$PIN"
    judged SoftHSM2 "$B/conformance" --module "$softhsm" --token soft --pin-file "$D/pin" \
        --so-pin-file "$D/so" --differences tests/conformance/softhsm2.differences
else
    skip "SoftHSM2" "it is not installed"
fi

# --- ours -------------------------------------------------------------------

check "a token" new_token conformance
judged fusetsu foreign "$B/conformance" --module "$MODULE" --token conformance --pin-file "$D/pin" \
    --so-pin-file "$D/so"
export FUSETSU_SHA1=yes
judged "fusetsu with SHA-1" foreign "$B/conformance" --module "$MODULE" --token conformance \
    --pin-file "$D/pin" --so-pin-file "$D/so"
finish
