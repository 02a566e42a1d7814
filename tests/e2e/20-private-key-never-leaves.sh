#!/bin/bash
# Goal: private key material is nowhere outside the TPM. Keys that we know are imported; then the
# store, its journal, what crossed the wire and the memory of a process that signs with them are
# searched for their secret numbers. The same search finds them where they are: in the key file and
# in the memory of a process that holds them.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$D/ec.pem" 2>/dev/null
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$D/rsa.pem" 2>/dev/null
for key in ec rsa; do openssl pkey -in "$D/$key.pem" -outform DER -out "$D/$key.der"; done

number() { # number KEY NAME: a secret number of the key in hex, without leading zeros
    openssl pkey -in "$D/$1.pem" -noout -text | awk -v name="$2:" '
        $0 ~ "^[a-zA-Z]" { inside = ($1 == name) ; next }
        inside { gsub(/[: ]/, ""); printf "%s", $0 }' | sed 's/^00//'
}
backwards() { echo "$1" | fold -w2 | tac | tr -d '\n'; }
# pieces HEX: its first, middle and last 16 bytes, so that a copy is found that was overwritten in
# part; both ways round, since OpenSSL keeps numbers with the lowest byte first.
pieces() {
    local n=${#1} mid=$((${#1} / 4)) piece
    for piece in "${1:0:32}" "${1:$((2 * mid - 16)):32}" "${1:$((n - 32)):32}"; do
        echo "$piece" && backwards "$piece" && echo
    done
}
secrets=()
for value in "$(number ec priv)" "$(number rsa prime1)" "$(number rsa prime2)" \
    "$(number rsa privateExponent)" "$(number rsa exponent1)"; do
    [ ${#value} -ge 60 ] || not_ok "the story knows what to search for" "a number is missing"
    while read -r piece; do secrets+=("$piece"); done < <(pieces "$value")
done
search() { "$B/memsearch" "$@" "${secrets[@]}"; }
finds() { # finds ARGUMENT...: memsearch ends with 1 when it found something
    local rc=0
    search "$@" || rc=$?
    [ "$rc" -eq 1 ]
}

check "the search finds the EC key in its file" finds --file "$D/ec.der"
check "the search finds the RSA key in its file" finds --file "$D/rsa.der"
printf '%s' nothing >"$D/nothing"
check "and nothing in a file without" search --file "$D/nothing"

# --- import -----------------------------------------------------------------

check "a token is made" new_token alpha
tcti=$FUSETSU_TCTI
export FUSETSU_TCTI=$B/libtss2-tcti-spy.so:$tcti SPY_LOG=$D/spy.log SPY_BYTES=1
import() { # import LABEL ID
    p11_user --write-object "$D/$1.der" --type privkey --id "$2" --label "$1" --usage-sign
}
import_all() { import ec 01 && import rsa 02; }
if ! import_all >"$D/out" 2>&1 && grep -q CKR_FUNCTION_NOT_SUPPORTED "$D/out"; then
    skip "import of known keys" "this build has no C_CreateObject for private keys"
    finish
fi
cp "$SPY_LOG" "$D/import.log"
for key in ec rsa; do
    check_out "the $key key is on the token" "label: *$key" p11_user -O --type privkey
    openssl pkey -in "$D/$key.pem" -pubout -outform DER -out "$D/$key.pub" 2>/dev/null
done
write_public() {
    p11_user --write-object "$D/ec.pub" --type pubkey --id 01 --label ec &&
        p11_user --write-object "$D/rsa.pub" --type pubkey --id 02 --label rsa
}
check "so are the public halves" write_public

# --- the wire ---------------------------------------------------------------

on_wire() { grep -qi "${1:0:32}" "$D/import.log"; }
check "the log of the wire shows the public modulus" on_wire "$(number rsa modulus)"
wire_clean() {
    local s
    for s in "${secrets[@]}"; do
        ! grep -qi "$s" "$D/import.log" || { echo "$s" && return 1; }
    done
}
check "but no secret number, not even while they were imported" wire_clean
pin_hex=$(printf %s "$PIN" | xxd -p)
wire_pin() { ! grep -qi "$pin_hex" "$D/import.log"; }
check "nor the PIN" wire_pin

# --- the store --------------------------------------------------------------

for file in "$D"/1/*; do
    check "nothing in ${file##*/}" search --file "$file"
    check "no PIN in ${file##*/}" "$B/memsearch" --file "$file" "$pin_hex"
done
holds_label() { ! "$B/memsearch" --file "$FUSETSU_STORE" "$(printf alpha | xxd -p)"; }
check "(the search does read the store: it finds the token's label)" holds_label

# --- memory -----------------------------------------------------------------

if is_asan; then
    skip "memory of a process that signs" "a sanitizer's shadow memory is too large to search"
    finish
fi
paused() { # paused STEP...: a process of ours that stops at the end of these steps
    : >"$D/paused"
    background "${FOREIGN[@]}" "$B/signloop" "$MODULE" "$@" pause >"$D/paused" 2>&1
    poll 20 paused_or_gone
    stopped "$LAST" || { cat "$D/paused" && return 1; }
}
paused_or_gone() { stopped "$LAST" || gone "$LAST"; }
steps=(init open alpha login "$D/pin" find ec sign 3 verify find rsa sign 3 verify)

paused hold "$D/ec.der" hold "$D/rsa.der"
rc=0
search "$LAST" >"$D/out" 2>&1 || rc=$?
if [ "$rc" -eq 2 ] && [ "$(id -u)" -ne 0 ]; then
    skip "memory of a process that signs" "this user may not read another process's memory"
    finish
fi
check "the search finds a key in the memory of a process that holds it" finds "$LAST"
# Let go, not killed: whoever is killed leaves sessions in the TPM.
resume() { kill -CONT "$LAST" && poll 10 gone "$LAST"; }
resume

openssl req -new -x509 -key "$D/ec.pem" -subj /CN=soft -out "$D/soft.pem"
openssl s_server -accept 127.0.0.1:0 -key "$D/ec.pem" -cert "$D/soft.pem" -www >"$D/server.out" 2>&1 </dev/null &
STORY_PIDS+=("$!")
LAST=$!
ready() { grep -q ACCEPT "$D/server.out" || gone "$LAST"; }
poll 10 ready
check "and in that of an OpenSSL server with a software key" finds "$LAST"
end "$LAST"

check "a process logs in, signs with both keys and waits" paused "${steps[@]}"
check "no secret number in its memory" search "$LAST"
check "no PIN in its memory either" "$B/memsearch" "$LAST" "$pin_hex"
resume
check "the same after logout" paused "${steps[@]}" logout
check "no secret number in its memory" search "$LAST"
resume
finish
