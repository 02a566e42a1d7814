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
        --approval-request "$D/request" --approval "$D/approval" --timeout "$2" 2>"$D/asked"
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
long=$(head -c 256 /dev/zero | tr '\0' x)
expect_exit 2 "a purpose has its length" 'at most 255 bytes' key generate --type p256 --label long --auth approved \
    --approver "$D/officer.pem" --purpose "$long"
expect_exit 2 "so has the label that stands for one" 'add --purpose' key generate --type p256 --label "$long" --auth approved \
    --approver "$D/officer.pem"
quietly() { "$@" 2>&1 | tee "$D/said" && ! grep WARNING "$D/said"; }
check "of an approver elsewhere nobody is warned" quietly key generate --type p256 --label there --auth approved \
    --approver "$D/officer.pem"
check "somebody makes his own approver" at 1 "$FUSETSU" approver create --token user --pin-file "$D/pin" --label me \
    --out "$D/me.pem"
check_out "and is warned" "WARNING.*in this token" key generate --type p256 --label mine --auth approved --approver "$D/me.pem"
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

check_out "and was told by which hash the document is that" 'the digest is its SHA256' approve \
    --in "$D/treaty" --out "$D/approval.2" --yes

# SHA-1 fits two documents as easily as one: somebody on the way asks for the digest of another hash, behind
# zeros, and writes all that depends on it anew.
sha1() {
    python3 - "$D/request" "$D/treaty" "$D/request.1" <<'PY'
import base64, hashlib, sys
lines = open(sys.argv[1]).read().splitlines()
der = bytearray(base64.b64decode("".join(lines[1:-1])))
def head(i):
    n, i = der[i + 1], i + 2
    if n & 0x80:
        i, n = i + (n & 0x7f), int.from_bytes(der[i:i + (n & 0x7f)], "big")
    return i, n
i, n = head(0)
end, fields = i + n, []
while i < end:
    i, n = head(i)
    fields.append((i, n))
    i += n
part = lambda f: bytes(der[fields[f][0]:sum(fields[f])])
command = int.from_bytes(part(8), "big").to_bytes(4, "big") + b"\x00\x0b" + hashlib.sha256(part(2)).digest()
assert hashlib.sha256(command + part(9)).digest() == part(11)
new = part(9)[:2] + bytes(12) + hashlib.sha1(open(sys.argv[2], "rb").read()).digest() + part(9)[34:]
der[fields[9][0]:sum(fields[9])] = new
der[fields[11][0]:sum(fields[11])] = hashlib.sha256(command + new).digest()
open(sys.argv[3], "w").write("\n".join([lines[0], base64.encodebytes(der).decode().strip(), lines[-1]]) + "\n")
PY
}
if command -v python3 >/dev/null; then
    check "a request for a SHA-1" sha1
    expect_exit 6 "is for something else than the document" 'something else' at 2 "$FUSETSU" approve "$D/request.1" \
        --token officer --pin-file "$D/pin" --in "$D/treaty" --out "$D/approval.1" --yes
    check_out "and is one that can be read" 'not compared' at 2 "$FUSETSU" approve "$D/request.1" \
        --token officer --pin-file "$D/pin" --out "$D/approval.1" --yes
else
    skip "a request for a SHA-1" "python3 is missing"
fi

cp "$D/approval" "$D/old"
check "asked once more" ask "$D/treaty" 4
signer=$LAST
cp "$D/old" "$D/approval"
check "the old approval is none" poll 20 ended "$signer"
check "and nothing is signed" test ! -e "$D/sig"

check "asked, and somebody puts a forged approval there" ask "$D/treaty" 60
signer=$LAST
forged() { # the last byte is of the signature
    sed '/^-----/d' "$1" | base64 -d | xxd -p | tr -d '\n' >"$D/hex"
    last=$(tail -c 2 "$D/hex")
    { sed -n 1p "$1"; { head -c -2 "$D/hex" && printf %02x $((16#$last ^ 1)); } | xxd -r -p | base64; sed -n '$p' "$1"; } >"$2"
}
check "the officer approves" approve --out "$D/right" --yes
forged "$D/right" "$D/forged" && mv "$D/forged" "$D/approval"
said() { grep -q "$1" "$D/asked"; }
check "it is refused" poll 20 said 'was refused'
check "and waited on for the right one" test ! -e "$D/sig"
check "the TPM serves others meanwhile" key sign --label plain --in "$D/other" --out "$D/else"
mv "$D/right" "$D/approval"
check "which comes" poll 20 test -s "$D/sig"
check "and the process ends" poll 20 ended "$signer"
check "the signature verifies" openssl dgst -sha256 -verify <(openssl ec -pubin -inform DER -in "$D/pub.der" 2>/dev/null) \
    -signature "$D/sig" "$D/treaty"

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
