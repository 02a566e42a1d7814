#!/bin/bash
# What an applicant, an ally or a careless operator might get out of an authority beside what it
# means to give: certificates before a TPM has opened them, files for other eyes, commands for
# the terminal or the registry in a name.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/lib.sh
story 2 "$@"

# TPM 1: the authority. TPM 2: a device.
token() { at "$1" "$FUSETSU" token init --label "$2" --so-pin-file "$D/so" --pin-file "$D/pin"; }
ca() { local c=$1; shift; at 1 "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
invite() { ca invite --community communications --name "$1" --out "$D/$2.invite" "${@:3}"; }
issue() { ca issue --pin-file "$D/pin" --request "$D/$1.request" --out "$D/$1.sealed" "${@:2}"; }
request() {
    at 2 "$FUSETSU" request --token device --pin-file "$D/pin" --invite "$D/$1.invite" \
        --type p256 --label "$1" --out "$D/$1.request"
}
mode() { [ "$(stat -c %a "$1")" = "$2" ]; }
rows() { ca list "$@" --json >"$D/rows" && jq -e "$JQ" "$D/rows"; }

check "an authority's token" token 1 authority
check "a device's token" token 2 device
check "an authority" ca init --any-tpm --token authority --pin-file "$D/pin" --nation US --org "Test" \
    --domain us.example --communities communications --ek-pins "$EK_CA_PEM"
check "the EK certificate of the device" at 2 "$FUSETSU" attest ek --out "$D/ek.pem"

# --- a certificate in the clear, before any TPM has proven itself ----------------
check "invited" invite forged.us.example forged
check "a forgery that claims to be a TPM in every byte" "$B/forge" --perfect \
    --invite "$D/forged.invite" --ek-cert "$D/ek.pem" --out "$D/forged.request"
expect_exit 2 "the authority hands no certificate out beside the sealed one" 'leaf' \
    issue forged --leaf "$D/forged.pem"
check "its certificate is sealed" issue forged
check "and nowhere in the clear" test ! -e "$D/forged.pem"
check "nor recognizable in the sealed file" bash -c \
    "sed '/^-----/d' '$D/forged.sealed' | base64 -d | { ! grep -qaF forged.us.example; }"

# --- files -----------------------------------------------------------------------
check "an invitation, which anybody with a TPM could answer, is for its owner's eyes" \
    mode "$D/forged.invite" 600
check "so is the registry" mode "$D/ca/registry.db" 600
check "so are the pins" mode "$D/ca/ek-pins.pem" 600
check "the authority's directory is closed" mode "$D/ca" 700
check "no PIN is in any file of authority or device" bash -c \
    "! grep -rqaF -e '$PIN' -e '$SO' '$D/ca' '$D/1' '$D/2'"

# --- names ------------------------------------------------------------------------
for name in "x'); DROP TABLE issued;--.us.example" '../../etc/x.us.example' '*.us.example' \
    $'a\e[2J.us.example' 'us.example.evil.example' 'GW.us.example' 'gw.us.example.'; do
    expect_fail "no invitation for $(printf %q "$name")" 'DNS name|domain' invite "$name" bad
    check "and no file" test ! -e "$D/bad.invite"
done
JQ='length > 0' check "the registry is whole" rows
JQ='length == 1' check "with one invitation" rows --invitations
printf -- '-----BEGIN \e[2J\e]0;owned\a-----\nAAAA\n-----END \e[2J\e]0;owned\a-----\n' >"$D/evil.pem"
expect_fail "a file with terminal commands for a label" 'evil' "$FUSETSU" verify \
    --roots "$D/evil.pem" "$D/ek.pem"
check "reaches no terminal" bash -c "! grep -qa $'[\e\a]' '$D/out'"

# --- one nonce, two requests at once ------------------------------------------------
race() {
    local a b
    issue twice >"$D/a.out" 2>&1 & a=$!
    issue again >"$D/b.out" 2>&1 & b=$!
    wait "$a"; a=$?
    wait "$b"; b=$?
    cat "$D/a.out" "$D/b.out"
    [ "$a" -eq 0 ] && [ "$b" -ne 0 ] || { [ "$a" -ne 0 ] && [ "$b" -eq 0 ]; }
}
check "invited once" invite twice.us.example twice --ek "$D/ek.pem"
check "requested once" request twice
cp "$D/twice.invite" "$D/again.invite"
check "and once more" request again
check "two answers at once: one is issued" race
JQ='[.[] | select(.subject == "twice.us.example")] | length == 1' \
    check "and the registry has one certificate of it" rows
finish
