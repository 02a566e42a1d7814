#!/bin/bash
# A service's key is bound to PCRs; the firmware changes; the SO approves the new state, and the
# key is the same.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/lib.sh
story 1 "$@"

approve() { "$FUSETSU" key approve-pcrs --token service --so-pin-file "$D/so" --label boot "$@"; }
sign() { "$FUSETSU" key sign --token service --pin-file "$D/pin" --label boot --in "$D/text" --out "$D/sig"; }
update() { tpm2_pcrextend "16:sha256=$(printf '%064d' 7)"; }
back() { tpm2_pcrreset 16; }

echo text >"$D/text"
check "PCR 16 at its beginning" back
check "a token" "$FUSETSU" token init --label service --so-pin-file "$D/so" --pin-file "$D/pin"
expect_exit 2 "nothing to update without PCRs" 'pcrs' "$FUSETSU" key generate --token service \
    --pin-file "$D/pin" --type p256 --label boot --pcrs-updatable
check_out "a key" 'approve-pcrs' "$FUSETSU" key generate --token service --pin-file "$D/pin" \
    --type p256 --label boot --pcrs sha256:16 --pcrs-updatable
check "and one that stays as it is" "$FUSETSU" key generate --token service --pin-file "$D/pin" \
    --type p256 --label fixed --pcrs sha256:16
expect_exit 6 "nothing is approved yet" 'approve-pcrs' sign
expect_exit 3 "the SO's PIN is asked" 'wrong' "$FUSETSU" key approve-pcrs --token service \
    --so-pin-file "$D/bad" --label boot
check_out "the SO approves the present" '1 set' approve
cp "$D/out" "$D/approved"
pcr() { tpm2_pcrread sha256:16 | sed -n 's/.*16: 0x//p' | tr 'A-F' 'a-f'; }
check_out "and sees what it is" "16: 0x$(pcr)" cat "$D/approved"
sed -n '/^sha256:/,/^  /p' "$D/approved" >"$D/present.pcrs"
check_out "as values that can be given back" '1 set' approve --pcr-values "$D/present.pcrs"
liar() { # somebody on the bus has the platform look as it will look after the attack
    local now evil
    now=$(pcr)
    evil=$(printf '%s%064d' "$now" 7 | xxd -r -p | sha256sum | cut -c1-64)
    FUSETSU_TCTI="$B/libtss2-tcti-spy.so:$FUSETSU_TCTI" SPY_REPLACE="$now:$evil" approve
}
expect_fail "other values than the TPM's are not approved" 'does not verify' liar
check "it signs" sign
check "PKCS#11 programs sign, too" foreign pkcs11-tool --module "$MODULE" --token-label service \
    --login --pin "$PIN" -s -m ECDSA-SHA256 -a boot -i "$D/text" -o "$D/sig"
check "the firmware changes" update
expect_exit 6 "refused" 'not among those approved' sign
tpm2_pcrread sha256:16 >"$D/next.pcrs"
check "and is taken back" back
check_out "the next state is approved beforehand" '2 sets' approve --pcr-values "$D/next.pcrs"
check "it signs before" sign
check "the firmware changes" update
check "it signs after" sign
check_out "the old state goes" '1 set' approve --revoke-others
check "it signs" sign
check "the old firmware is back" back
expect_exit 6 "refused" 'not among those approved' sign
expect_fail "others are for keys that were made for it" 'pcrs-updatable' "$FUSETSU" key approve-pcrs \
    --token service --so-pin-file "$D/so" --label fixed
expect_exit 5 "and for keys that are there" 'no such key' "$FUSETSU" key approve-pcrs \
    --token service --so-pin-file "$D/so" --label nobody
finish
