#!/bin/bash
# The demo is a promise of the README: it works, it shows the channel and three
# refusals with their reasons, it takes under three minutes and leaves nothing behind.
set -uo pipefail
cd "$(dirname "$0")/../.."
export FUSETSU_BUILD=${FUSETSU_BUILD:-build}
case $FUSETSU_BUILD in
*/asan)
    # The demo loads the module into stock programs by openssl.cnf; what it runs is
    # covered under the sanitizers by the other stories.
    echo "ok - demo # SKIP the demo runs once, without sanitizers"
    exit 0
    ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/fe.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0
check() { # check DESCRIPTION COMMAND...
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then echo "ok - $what"; else echo "not ok - $what"; failed=1; fi
}

began=$(date +%s)
TMPDIR=$work timeout 180 tests/demo >"$work/out" 2>&1
status=$?
took=$(($(date +%s) - began))
[ $status -eq 0 ] || cat "$work/out"

check "the demo succeeds" [ $status -eq 0 ]
check "in under three minutes ($took s)" [ $took -lt 180 ]
check "a TLS 1.3 channel with ECDSA" grep -q 'TLSv1.3.*signed by ECDSA' "$work/out"
check "a TLS 1.3 channel with RSA-PSS" grep -q 'TLSv1.3.*signed by RSA-PSS' "$work/out"
check "the ally repeats the judgement" grep -q "repeats jp's judgement" "$work/out"
check "forged evidence is refused, with the check" \
    grep -q -A2 'refused.*forged evidence' "$work/out"
check "a closed community is refused, with the verifier's words" \
    grep -qi -A2 'electricity gateway' "$work/out"
check "an unpinned maker is refused" grep -q -A2 'maker is not pinned' "$work/out"
check "exactly three refusals" [ "$(grep -c '✗ refused' "$work/out")" -eq 3 ]
check "its directory is gone" [ -z "$(find "$work" -maxdepth 1 -name 'fd.*')" ]
check "no process of it is left" [ -z "$(pgrep -f "$work/fd" || true)" ]
exit $failed
