#!/bin/bash
# A key whose every use an officer approves, on another machine, by files: what the officer sees
# is what is signed, and nothing else gets through.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/lib.sh
story 2 "$@"

# TPM 1: the user's. TPM 2: the officer's.
token() { at "$1" "$FUSETSU" token init --label "$2" --so-pin-file "$D/so" --pin-file "$D/pin"; }
key() { at 1 "$FUSETSU" key "$1" --token user --pin-file "$D/pin" "${@:2}"; }
approver() { at 2 "$FUSETSU" approver "$1" --token officer --pin-file "$D/pin" "${@:2}"; }
approve() { at 2 "$FUSETSU" approve "$D/request" --token officer --pin-file "$D/pin" "$@"; }
ask() { # ask FILE TIMEOUT: in the background
    rm -f "$D/request" "$D/approval" "$D/sig"
    background env "FUSETSU_TCTI=$TPM_TCTI_1" "FUSETSU_STORE=$D/1/store.db" "$FUSETSU" key sign \
        --token user --pin-file "$D/pin" --label seal --in "$1" --out "$D/sig" --subject "the treaty" \
        --approval-request "$D/request" --approval "$D/approval" --timeout "$2"
    poll 20 test -s "$D/request"
}
ended() { ! kill -0 "$1" 2>/dev/null; }
# Somebody on the way puts another digest into the request.
alter() {
    sed '/^-----/d' "$D/request" | base64 -d | xxd -p | tr -d '\n' >"$D/hex"
    digest=$(sha256sum <"$D/treaty" | cut -c1-64)
    other=$(sha256sum <"$D/other" | cut -c1-64)
    { echo "-----BEGIN FUSETSU APPROVAL REQUEST-----"
      sed "s/$digest/$other/" "$D/hex" | xxd -r -p | base64
      echo "-----END FUSETSU APPROVAL REQUEST-----"; } >"$D/altered"
    ! cmp -s "$D/request" "$D/altered" && mv "$D/altered" "$D/request"
}

echo "what both agreed on" >"$D/treaty"
echo "what one would like" >"$D/other"
check "the user's token" token 1 user
check "the officer's token" token 2 officer
check "an approver" approver create --label treaties --out "$D/officer.pem"
expect_exit 5 "no second one of that label" 'already' approver create --label treaties --out "$D/x.pem"
check "its public half, once more" approver export --label treaties --out "$D/again.pem"
check "is the same" cmp "$D/officer.pem" "$D/again.pem"
unseen() { ! at 2 foreign pkcs11-tool --module "$MODULE" --token-label officer --login --pin "$PIN" -O | grep -i private; }
check "PKCS#11 does not show it" unseen
expect_exit 2 "a key for approvals needs an approver" 'approver' \
    key generate --type p256 --label seal --auth approved
check "a key that the officer guards" key generate --type p256 --label seal --auth approved \
    --approver "$D/officer.pem" --purpose "treaties"
check "an ordinary one" key generate --type p256 --label plain
check "one that asks for the PIN" key generate --type p256 --label each --auth each

check "an ordinary key signs a file" key sign --label plain --in "$D/treaty" --out "$D/sig"
check "and one that asks for the PIN" key sign --label each --in "$D/treaty" --out "$D/sig"
expect_exit 2 "the guarded one needs files to ask by" 'approval-request' \
    key sign --label seal --in "$D/treaty" --out "$D/sig"
check "its public half" foreign "$B/p11do" "$MODULE" open user find k label=seal,class=public \
    get "$D/pub.der" k spki
expect_fail "PKCS#11 programs are refused" 'FUNCTION_REJECTED|0x200' foreign pkcs11-tool --module "$MODULE" \
    --token-label user --login --pin "$PIN" -s -m ECDSA-SHA256 -a seal -i "$D/treaty" -o "$D/sig"

check "it is asked" ask "$D/treaty" 60
signer=$LAST
for i in 1 2 3; do
    check "the TPM serves others meanwhile ($i)" key sign --label plain --in "$D/other" --out "$D/else"
done
expect_exit 6 "the officer compares another document" 'something else' approve \
    --in "$D/other" --out "$D/approval" --yes
expect_exit 2 "and is asked before" 'add --yes' approve --out "$D/approval"
expect_exit 3 "and for the PIN" 'wrong' at 2 "$FUSETSU" approve "$D/request" --token officer \
    --pin-file "$D/bad" --out "$D/approval" --yes
check "nothing was approved" test ! -e "$D/approval"
check_out "the officer sees what it is" 'sign a digest, ECDSA with SHA256' approve \
    --in "$D/treaty" --out "$D/approval" --yes
check "the user has the signature" poll 20 test -s "$D/sig"
check "it verifies" openssl dgst -sha256 -verify <(openssl ec -pubin -inform DER -in "$D/pub.der" 2>/dev/null) \
    -signature "$D/sig" "$D/treaty"
check "the process ends" poll 20 ended "$signer"

cp "$D/approval" "$D/old"
check "asked once more" ask "$D/treaty" 4
signer=$LAST
cp "$D/old" "$D/approval"
check "the old approval is none" poll 20 ended "$signer"
check "and nothing is signed" test ! -e "$D/sig"

check "asked again" ask "$D/treaty" 30
signer=$LAST
check "somebody alters the request" alter
expect_exit 6 "the officer's program refuses it" 'altered' approve --out "$D/approval" --yes
kill "$signer" 2>/dev/null

check "asked, and the TPM is reset meanwhile" ask "$D/treaty" 60
signer=$LAST
cp "$D/request" "$D/first"
check "off and on" bash -c \
    ". swtpm-ci/lib.sh && tpm_cut '$TPM_DIR/tpm1' && tpm_start '$TPM_DIR/tpm1'"
check "what was asked is approved" approve --out "$D/approval" --yes
asked_anew() { ! cmp -s "$D/first" "$D/request"; }
check "the session is gone: it is asked anew" poll 20 asked_anew
check "approved" approve --in "$D/treaty" --out "$D/approval" --yes
check "signed" poll 20 test -s "$D/sig"
check "and done" poll 20 ended "$signer"

# The approver's key is a row like others of the officer's store.
check "the officer makes a backup" at 2 "$FUSETSU" token backup --token officer --pin-file "$D/pin" --out "$D/backup"
check "and loses the store" rm "$D/2/store.db"
check_out "the backup brings it back" 'all verified' at 2 "$FUSETSU" token restore --pin-file "$D/pin" "$D/backup"
check "with the approver" approver export --label treaties --out "$D/again.pem"
check "the same" cmp "$D/officer.pem" "$D/again.pem"
finish
