#!/bin/bash
# An authority issues to evidence that holds, and to nothing else: forgers, replays, other
# machines and other names are refused with the check that failed, and nothing is issued.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/lib.sh
story 3 "$@"

# TPM 1: the authority. TPM 2: an honest gateway. TPM 3: the thief's own, just as genuine.
token() { at "$1" "$FUSETSU" token init --label "$2" --so-pin-file "$D/so" --pin-file "$D/pin"; }
ca() { local c=$1; shift; at 1 "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
issue() { ca issue --pin-file "$D/pin" --request "$D/$1.request" --out "$D/$1.sealed"; }
invite() { ca invite --community communications --name "$1" --out "$D/$1.invite" "${@:2}"; }
request() { # request TPM TOKEN NAME
    at "$1" "$FUSETSU" request --token "$2" --pin-file "$D/pin" --invite "$D/$3.invite" \
        --type p256 --label "$3" --out "$D/$3.request"
}
import() { # import TPM TOKEN FILE
    at "$1" "$FUSETSU" cert import --token "$2" --pin-file "$D/pin" "$D/$3" \
        --evidence "$D/$3.evidence" --out "$D/$3.pem"
}
nothing() { [ ! -s "$D/$1.sealed" ]; }
issued() { ca list --json | jq length; }

check "an authority's token" token 1 authority
check "a gateway's token" token 2 gateway
check "the thief's token" token 3 thief
check "an authority" ca init --any-tpm --token authority --pin-file "$D/pin" --nation US --org "Test" \
    --domain us.example --communities communications,electricity --ek-pins "$EK_CA_PEM"
check "the EK certificate of the gateway" at 2 "$FUSETSU" attest ek --out "$D/ek.pem"

# --- the good path, as the control of everything below -----------------------
check "invited" invite gw.us.example
check "requested" request 2 gateway gw.us.example
expect_exit 5 "a place that cannot be written is said before the invitation is used" 'no-such-dir' \
    ca issue --pin-file "$D/pin" --request "$D/gw.us.example.request" --out "$D/no-such-dir/x"
check "issued" issue gw.us.example
cp "$D/gw.us.example.sealed" "$D/good.sealed"
expect_exit 6 "another TPM cannot open the sealed credential" 'another|sealed' \
    import 3 thief good.sealed
check "the right TPM opens it" import 2 gateway good.sealed
check "its evidence verifies without CA and TPM" "$FUSETSU" verify --evidence "$D/good.sealed.evidence" \
    --ek-pins "$EK_CA_PEM" --evidence-roots <(ca export root) "$D/good.sealed.pem"

# --- a key that wants the PIN for each use ------------------------------------
each() { at 2 "$FUSETSU" key generate --token gateway --pin-file "$D/pin" --type p256 --label each --auth each; }
request_by() { # request_by KEY NAME
    at 2 "$FUSETSU" request --token gateway --pin-file "$D/pin" --invite "$D/$2.invite" --key "$1" --out "$D/$2.request"
}
check "a key that wants the PIN for each use" each
check "invited" invite each.us.example
check "signs its request by the PIN once more" request_by each each.us.example
check "is certified" issue each.us.example
check "and gets the certificate" import 2 gateway each.us.example.sealed

# --- what people read ---------------------------------------------------------
narrow() { ca list >"$D/list" && ! grep -E '.{101}' "$D/list"; }
check "the list of what was issued fits a hundred columns" narrow
check_out "and names the CAs by their common names" '^US Cross CA +root ' cat "$D/list"
check_out "an exported root comes with its fingerprint" '^  ([0-9A-F]{2}:){15}[0-9A-F]{2}$' \
    ca export root --out "$D/read-aloud.pem"

# --- replay -------------------------------------------------------------------
# Whoever saw the request on its way may send it, too.
rm "$D/gw.us.example.sealed"
cp "$D/gw.us.example.request" "$D/replayed.request"
before=$(issued)
check_out "the same request a second time: the same certificate, sealed once more" 'the same certificate' issue replayed
same_count() { [ "$(issued)" -eq "$before" ]; }
check "nothing was issued" same_count
expect_exit 6 "who replayed it has nothing of that" 'another|sealed' import 3 thief replayed.sealed
check "its own TPM opens it" import 2 gateway replayed.sealed
check "to the certificate that it has" cmp "$D/replayed.sealed.pem" "$D/good.sealed.pem"
cp "$D/gw.us.example.invite" "$D/spent.invite"
spent() { # another request to that invitation
    at 2 "$FUSETSU" request --token gateway --pin-file "$D/pin" --invite "$D/spent.invite" --type p256 --label spent \
        --out "$D/spent.request"
}
check "another request answers the same invitation" spent
expect_exit 6 "it is refused: the nonce is spent" 'check 16' issue spent
check "and nothing was issued" nothing spent
check "by any count" same_count

# --- forgers --------------------------------------------------------------------
check "invited for a forger" invite forged.us.example
check "a software key with evidence of its own" "$B/forge" --invite "$D/forged.us.example.invite" \
    --ek-cert "$D/ek.pem" --out "$D/forged.us.example.request"
expect_exit 6 "an unrestricted attestation key is refused" 'check 8 failed' issue forged.us.example
check "nothing was issued to it" nothing forged.us.example

check "invited again" invite perfect.us.example
check "a forgery that claims to be a TPM in every byte" "$B/forge" --perfect \
    --invite "$D/perfect.us.example.invite" --ek-cert "$D/ek.pem" --out "$D/perfect.us.example.request"
check "gets a sealed answer" issue perfect.us.example
expect_exit 6 "which the TPM of that EK does not open" 'sealed|attestation key' \
    import 2 gateway perfect.us.example.sealed
expect_exit 6 "and no other TPM" 'sealed|attestation key' import 3 thief perfect.us.example.sealed

# --- bound to one machine --------------------------------------------------------
check "invited for the gateway's EK alone" invite bound.us.example --ek "$D/ek.pem"
expect_exit 6 "the thief's program says so before asking" 'EK' request 3 thief bound.us.example
check "the gateway may" request 2 gateway bound.us.example
check "and gets it" issue bound.us.example

# --- bytes that were altered -------------------------------------------------------
check "one more invitation" invite late.us.example
check "and its request" request 2 gateway late.us.example
# A flipped bit near the end of the request: the CSR's signature.
altered() {
    local der=$D/altered.der n
    sed '/^-----/d' "$D/late.us.example.request" | base64 -d >"$der"
    n=$(($(stat -c %s "$der") - 5))
    printf '%b' "\\x$(printf %02x $((0x$(xxd -s $n -l 1 -p "$der") ^ 1)))" |
        dd of="$der" bs=1 seek=$n conv=notrunc status=none
    { echo "-----BEGIN FUSETSU ENROLMENT REQUEST-----"; base64 -w64 "$der"
      echo "-----END FUSETSU ENROLMENT REQUEST-----"; } >"$D/altered.us.example.request"
}
check "one bit of it flipped" altered
expect_exit 6 "is refused by proof of possession" 'check 1 failed' issue altered.us.example
check "nothing was issued to that either" nothing altered.us.example
expect_fail "a certificate is no request" 'not an enrolment request|certificate' \
    ca issue --pin-file "$D/pin" --request "$D/ek.pem" --out "$D/x.sealed"

# --- verifying for what it is not ---------------------------------------------------
ca export root --out "$D/root.pem" >"$D/out" 2>&1
expect_exit 6 "the certificate does not pass for electricity" 'electricity|policy' "$FUSETSU" verify \
    --roots "$D/root.pem" --community electricity --level 3 "$D/good.sealed.pem"
expect_exit 6 "nor at level 4" 'level|policy' "$FUSETSU" verify --roots "$D/root.pem" \
    --community communications --level 4 "$D/good.sealed.pem"
expect_exit 6 "evidence of another certificate does not serve" 'check 24|24' "$FUSETSU" verify \
    --evidence "$D/good.sealed.evidence" --ek-pins "$EK_CA_PEM" --evidence-roots "$D/root.pem" "$D/ek.pem"
finish
