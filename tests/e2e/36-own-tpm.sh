#!/bin/bash
# Goal: a machine whose TPM serves fusetsu alone: the owner's authorisation is set, kept, wanted and
# given back, from the command line; and whoever hears the PINs is judged by the TPM's maker.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

init() { "$FUSETSU" token init --pin-file "$D/pin" --so-pin-file "$D/so" --label "$@"; }
erase() { "$FUSETSU" token erase --yes --token "$@"; }
info() { "$FUSETSU" token info --json "$@" >"$D/info" && jq -e "$JQ" "$D/info"; }
mode() { [ "$(stat -c %a "$1")" = "$2" ]; }

expect_exit 2 "the PIN's own count alone is refused on a TPM of others" 'own-tpm' \
    init alpha --pin-guard counter
expect_exit 6 "makers that do not vouch for this TPM" 'vouches' \
    init alpha --ek-pins "$D/pin"
check "a token on a TPM of its own" init alpha --own-tpm --pin-guard counter \
    --ek-pins "$EK_CA_PEM" --recovery-file "$D/recovery"
check "the recovery file is for its owner's eyes" mode "$D/recovery" 600
check "it holds both codes" grep -qE '^owner [0-9a-f]{64}$' "$D/recovery"
JQ='.pin_guard == "counter" and .owner_kept and .primary_pinned == "endorsement-key" and
    .tpm.owner_auth == "ours"' check "token info knows" info
check_out "and says it in words" 'owner authorisation set, and kept by this token' "$FUSETSU" token info
check "it has a key" "$FUSETSU" key generate --type p256 --label tls --pin-file "$D/pin"
check "and signs" p11_user --sign --mechanism ECDSA-SHA256 --label tls \
    --input-file "$D/recovery" --output-file "$D/sig"
expect_fail "nobody else defines an index" 'auth' tpm2_nvdefine -C o -s 8

# --- what doctor says of it -------------------------------------------------

own=$(sed -n 's/^owner //p' "$D/recovery")
check_out "doctor finds that in order" 'owner +owner authorisation is set, and token alpha keeps' \
    "$FUSETSU" doctor
check "nor does it advise to empty it" bash -c '! grep -q "administrator\|clear it" "$1"' - "$D/out"
check "somebody empties it" tpm2_changeauth -Q -c owner -p "hex:$own"
expect_exit 5 "doctor calls that a problem" 'owner authorisation is EMPTY: anybody' "$FUSETSU" doctor
check_out "token info warns" 'owner authorisation is EMPTY although' "$FUSETSU" token info
check "and sets it again" tpm2_changeauth -Q -c owner "hex:$own"
check "all is well" "$FUSETSU" doctor

expect_exit 5 "a second token wants the owner's authorisation" 'owner-auth-file.*owner-token' init beta
expect_exit 3 "not with a wrong SO PIN" '9 of 10 tries' \
    init beta --owner-token alpha --owner-so-pin-file "$D/bad"
check "with the SO PIN of the first" init beta --owner-token alpha --owner-so-pin-file "$D/so"
expect_exit 5 "erasing the second wants it, too" 'owner-auth-file' erase beta
check "with the recovery file" erase beta --owner-auth-file "$D/recovery"
expect_exit 3 "erasing the first wants its SO PIN" 'SO PIN' erase alpha
check_out "and gives the owner back" 'is empty again' erase alpha --so-pin-file "$D/so"
# Killed when the TPM has just taken the owner's authorisation, and nobody was told.
killed() {
    local code=0
    env FUSETSU_TCTI="$B/libtss2-tcti-spy.so:$FUSETSU_TCTI" SPY_KILL_AFTER=1 SPY_KILL_AFTER_CC=HierarchyChangeAuth \
        "$FUSETSU" token init --pin-file "$D/pin" --so-pin-file "$D/so" --label dead --own-tpm --recovery-file "$D/dead" || code=$?
    tidy 1
    [ "$code" -eq 137 ]
}
printf other-officer >"$D/so2" && chmod 600 "$D/so2"
check "an own TPM is set up, and the program killed" killed
check_out "its owner's code is in the recovery file" '^owner [0-9a-f]{64}$' cat "$D/dead"
for i in 1 2 3; do
    expect_exit 5 "another token, with another SO PIN, is refused ($i)" 'unfinished.*owner-token' \
        "$FUSETSU" token init --pin-file "$D/pin" --so-pin-file "$D/so2" --label "other$i"
done
check_out "which costs the unfinished one no try" '^0$' sqlite3 -readonly "$FUSETSU_STORE" \
    "SELECT so_fails FROM token WHERE label = 'dead'"
check "its own SO PIN opens it" "$FUSETSU" token init --pin-file "$D/pin" --so-pin-file "$D/so2" --label other \
    --owner-token dead --owner-so-pin-file "$D/so"
check_out "and it is gone" '^other$' sqlite3 -readonly "$FUSETSU_STORE" "SELECT label FROM token"
check "with it the owner was given back" erase other

check "anybody defines an index again" tpm2_nvdefine -Q -C o -s 8 0x1800100

printf 'hex:%s\n' 0102030405 >"$D/foreign"
check "an administrator sets another one" tpm2_changeauth -Q -c owner hex:0102030405
expect_exit 5 "that TPM is not ours to own" 'somebody else' init gamma --own-tpm --owner-auth-file "$D/foreign"
check "but it takes a token" init gamma --owner-auth-file "$D/foreign"
JQ='.pin_guard == "da" and .tpm.owner_auth == "foreign"' check "token info knows that" info
printf 'hex:beef\n' >"$D/digits"
printf 'str:hex:beef\n' >"$D/text"
check "and lets it go" erase gamma --owner-auth-file "$D/foreign"
check "a password that looks like digits" tpm2_changeauth -Q -c owner -p hex:0102030405 str:hex:beef
expect_exit 5 "is taken for them" 'another than the one given' init zeta --owner-auth-file "$D/digits"
check "unless it is said to be text" init zeta --owner-auth-file "$D/text"
check "which goes for erasing, too" erase zeta --owner-auth-file "$D/text"

check "the administrator leaves" tpm2_changeauth -Q -c owner -p str:hex:beef
check "a token stays" init delta
check "and one behind its count alone is forgotten" init epsilon --own-tpm --pin-guard counter \
    --recovery-file "$D/recovery.2"
check "by the store only" "$FUSETSU" token erase --token epsilon --yes --forget
check_out "doctor finds its four indices" '4 indices look like a' "$FUSETSU" doctor
finish
