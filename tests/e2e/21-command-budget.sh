#!/bin/bash
# Goal: a TPM is slow, so each call sends it no more commands than it must. Counted where they leave
# the process, by a TCTI that logs and passes on.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

check "a token is made" new_token alpha
check "an EC key" new_key EC:prime256v1 ec 01
check "an RSA key" new_key rsa:2048 rsa 02
export FUSETSU_TCTI=$B/libtss2-tcti-spy.so:$FUSETSU_TCTI SPY_LOG=$D/spy.log

app() { : >"$SPY_LOG" && foreign "$B/signloop" "$MODULE" "$@"; }

check "a process that does a little of everything" app init phase C_Initialize \
    slots phase C_GetTokenInfo open alpha mechs phase C_GetMechanismInfo \
    login "$D/pin" phase C_Login find ec phase C_FindObjects attrs phase C_GetAttributeValue \
    sign 1 phase first-signature sign 1 phase second-signature sign 20 phase twenty-more \
    verify phase C_Verify digest phase C_Digest \
    find rsa phase another-find sign 1 phase first-RSA-signature sign 5 phase five-more-RSA verify phase RSA-C_Verify \
    generate new phase C_GenerateKeyPair sign 1 phase new-key-first-signature logout phase C_Logout fin phase C_Finalize
cp "$D/out" "$D/phases"
cp "$SPY_LOG" "$D/spy.first"

# within NAME LIMIT: of the phase NAME, resent commands not counted against the limit
within() {
    local n resent
    read -r n resent < <(sed -n "s/^$1 //p" "$D/phases")
    if [ -z "$n" ]; then
        not_ok "$1: at most $2 TPM commands" "it was not reached"
    elif [ $((n - ${3:-0} * resent)) -gt "$2" ]; then
        cp "$D/spy.first" "$D/out"
        not_ok "$1: at most $2 TPM commands" "$n were sent, $resent of them again"
    else
        ok "$1: at most $2 TPM commands ($n)"
    fi
}
for call in C_Initialize C_GetTokenInfo C_GetMechanismInfo C_FindObjects C_GetAttributeValue C_Verify \
    C_Digest another-find RSA-C_Verify; do
    within "$call" 0
done
within C_Login 8
within first-signature 2
within second-signature 1
within twenty-more 20
within first-RSA-signature 2
within five-more-RSA 5
within C_GenerateKeyPair 2 1
within new-key-first-signature 2
within C_Logout 2
# Exactly one each: a signature that was not asked for of the TPM would be no signature.
check_out "a signature is one TPM2_Sign" '^twenty-more 20 0$' cat "$D/phases"

total() { tests/support/spycount "$SPY_LOG" total; }
budget() { # budget WHAT LIMIT
    local n
    n=$(total)
    if [ "$n" -le "$2" ]; then
        ok "$1: at most $2 TPM commands ($n)"
    else
        cp "$SPY_LOG" "$D/out"
        not_ok "$1: at most $2 TPM commands" "$n were sent"
    fi
}
check "a process that signs once" app init open alpha login "$D/pin" find ec sign 1 fin
budget "the whole process" 12
check "one that never calls C_Finalize" app init open alpha login "$D/pin" find ec sign 1
budget "the whole process" 12
expect_fail "a wrong PIN is refused" 'C_Login: 0xa0' app init open alpha login "$D/bad" phase wrong-PIN
budget "a wrong PIN" 5
listing() { : >"$SPY_LOG" && p11 -L && p11 -O && p11 -M; }
check "pkcs11-tool lists slots, objects and mechanisms" listing
budget "listing" 0

# The count itself is believed only because it sees what is there.
check_out "the spy sees commands" '^[1-9][0-9]* Sign$' tests/support/spycount "$D/spy.first"
finish
