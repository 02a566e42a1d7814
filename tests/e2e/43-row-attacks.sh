#!/bin/bash
# Goal: whoever can write to the store, or was at the TPM before us, weakens no token by that: each
# attack here is one that worked once.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

init() { "$FUSETSU" token init --pin-file "$D/pin" --so-pin-file "$D/so" --label "$@"; }
erase() { "$FUSETSU" token erase --yes --token "$@"; }
sql() { sqlite3 "$FUSETSU_STORE" "$1"; }
unblock() { "$FUSETSU" token unblock --token "$1" --so-pin-file "$D/so" --new-pin-file "$D/pin"; }
# How many wrong PINs in a row are answered as such.
wrong() {
    local n=0
    while [ "$n" -lt 40 ]; do
        "$FUSETSU" key delete --token gw --label x --pin-file "$D/bad" >"$D/try" 2>&1
        grep -qE 'is wrong|wrong user PIN' "$D/try" || break
        n=$((n + 1))
    done
    echo "$n wrong" && cat "$D/try"
}
# How an index of the token is defined in the TPM.
index() { tpm2_nvreadpublic "$(printf '0x%x' "$(sql "SELECT handle FROM nv WHERE role = $1")")"; }

# --- how often a PIN may be tried ----------------------------------------------------------

check "a token that locks after three wrong PINs" init gw --user-tries 3 --recovery-file "$D/recovery"
sql "UPDATE token SET user_limit = 1000000"
check "the SO unblocks it after somebody wrote another limit to the store" unblock gw
check_out "three wrong PINs lock it" '^3 wrong' wrong
check "the SO unblocks it" unblock gw

# --- what guards the secret ------------------------------------------------------------------

for flags in 128 192; do
    sql "UPDATE token SET flags = flags | $flags, user_limit = 4000000000, so_limit = 4000000000"
    check "made anew after somebody marked it as guarded by its count alone ($flags)" p11 \
        --token-label gw --init-token --label gw --so-pin "$SO"
    check "the mark is gone" test "$(sql 'SELECT flags & 192 FROM token')" = 0
    check "so are the limits" test "$(sql 'SELECT user_limit || so_limit FROM token')" = 310
    check_out "there is a guard of the keys" 'policywrite' index 2
    check "which counts TPM-wide" bash -c '! grep -q no_da "$1"' - "$D/out"
    check "the owner authorisation is nobody's" tpm2_nvdefine -Q -C o -s 8 0x1800100
    tpm2_nvundefine -Q -C o 0x1800100
done
check "the SO gives it a PIN" unblock gw
check_out "the limit is the old one" '^3 wrong' wrong
check "the SO unblocks it" unblock gw
check "the token is erased" erase gw

# --- whose approvals count --------------------------------------------------------------------

check "a token on a TPM of its own, behind its count alone" init gw --own-tpm --pin-guard counter \
    --recovery-file "$D/own"
openssl ecparam -name prime256v1 -genkey -noout -outform DER -out "$D/k.der"
mine=$(openssl ec -inform DER -in "$D/k.der" -pubout -outform DER 2>/dev/null | tail -c 64 | xxd -p -c 64)
theirs=$(sql 'SELECT hex(k_public) FROM token')
generate() {
    "$FUSETSU" key generate --type p256 --label "$1" --auth none --pcrs sha256:16 --pcrs-updatable \
        --pin-file "$D/pin"
}
check "a key whose PCRs the SO approves" generate good
sql "UPDATE token SET k_public = x'$mine'"
expect_fail "none whose PCRs somebody else approves" 'altered' generate bad
sql "UPDATE token SET k_public = x'$theirs'"
check "when the row is put back all is well" generate again

# --- who was at the TPM before -------------------------------------------------------------------

# The second TPM. A policy that everybody fulfils: locality zero.
tpm() { local c=$1; shift; "tpm2_$c" -T "$TPM_TCTI_2" "$@"; }
plant() {
    tpm startauthsession -S "$D/s" && tpm policylocality -Q -S "$D/s" -L "$D/policy" zero &&
        tpm flushcontext "$D/s" && tpm setprimarypolicy -C "$1" -P "$2" -L "$D/policy" -g sha256
}
by_policy() {
    local rc
    tpm startauthsession --policy-session -S "$D/s" && tpm policylocality -Q -S "$D/s" zero
    tpm "$@" "session:$D/s"
    rc=$?
    tpm flushcontext "$D/s"
    return "$rc"
}
second() { at 2 "$FUSETSU" "$@"; }
init2() { second token init --pin-file "$D/pin" --so-pin-file "$D/so" --label "$@"; }

check "somebody sets a policy for the owner" plant o ''
check "and one for the lockout" plant l ''
check "by which he ends the lockout" by_policy dictionarylockout -Q -c -p
check "a token of its own TPM" init2 own --own-tpm --pin-guard counter --recovery-file "$D/second"
guard=$(printf '0x%x' "$(FUSETSU_STORE=$D/2/store.db sql 'SELECT handle FROM nv WHERE role = 0')")
expect_fail "he ends no lockout any more" 'authPolicy is not available' by_policy dictionarylockout -Q -c -p
expect_fail "and undefines no counter" 'authPolicy is not available' by_policy nvundefine -C o "$guard" -P
check "doctor is content" second doctor
own=$(sed -n 's/^owner //p' "$D/second") code=$(head -n 1 "$D/second")
check "an older version would have left it" plant o "hex:$own"
expect_exit 5 "doctor calls it a problem" 'policy for the TPM.s owner' second doctor
check_out "token info warns" 'owner policy SET' second token info
check "a second token on it takes it away" init2 next --own-tpm --owner-token own \
    --owner-so-pin-file "$D/so"
check "doctor is content" second doctor
check "a policy for the lockout" plant l "hex:$code"
expect_exit 1 "is a weakness" 'policy for the TPM.s lockout' second doctor

# --- a lockout that somebody else holds -------------------------------------------------------------

check "the second TPM is cleared" tpm clear -Q -c p
rm -r "$D/2"
check "an administrator sets its lockout authorisation" tpm changeauth -Q -c lockout theirs
check_out "a token says so" 'lockout_foreign": true' init2 one --json
check_out "so does the next one" 'lockout_foreign": true' init2 two --json
check_out "token info knows" 'authorisation set, by somebody else' second token info --token two
check_out "what it means, too" 'the second lock may' second token info --token one
expect_exit 1 "and doctor" 'somebody else had set' second doctor
finish
