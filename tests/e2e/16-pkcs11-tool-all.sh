#!/bin/bash
# Goal: everything that OpenSC's pkcs11-tool can do, it can do with this token: its own tests, threads
# and forks; keys of every kind; agreement, encryption and wrapping, each checked by OpenSSL; every
# class of object written, read back and deleted. What it cannot say (it wraps OAEP without a parameter
# and knows no CTR and GCM) build/p11do says.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

check "a token is made" new_token alpha
do_() { foreign "$B/p11do" "$MODULE" open alpha login "$D/pin" "$@"; }
p11 -M >"$D/mechs" 2>&1
offered() { # offered MECHANISM SIZE
    local range
    range=$(sed -n "s/^ *$1, keySize={\([0-9]*\),\([0-9]*\)}.*/\1 \2/p" "$D/mechs")
    [ -n "$range" ] && [ "$2" -ge "${range% *}" ] && [ "$2" -le "${range#* }" ]
}
# What pkcs11-tool says by itself about an attribute that a class does not have, or may not show.
quiet() { ! grep -vE 'C_GetAttributeValue\((VALUE|ALWAYS_AUTHENTICATE)\)' "$D/out" | grep -iE 'fusetsu: |warn|error|not supported'; }

# --- keys -------------------------------------------------------------------

ec=() rsa=()
for row in EC:prime256v1:256:11 EC:secp384r1:384:12 EC:secp521r1:521:13; do
    IFS=: read -r kind curve bits id <<<"$row"
    if offered ECDSA-KEY-PAIR-GEN "$bits"; then
        check "a key pair on $curve" new_key "$kind:$curve" "ec$bits" "$id"
        check "no word of complaint" quiet
        ec+=("$bits:$id")
    else
        skip "a key pair on $curve" "this TPM has no such keys"
    fi
done
check "an RSA key pair that signs, decrypts and unwraps" p11_user --keypairgen --key-type rsa:2048 \
    --label rsa2048 --id 21 --usage-sign --usage-decrypt --usage-wrap
rsa+=(2048:21)
for bits in 2048 3072; do
    [ "$bits" = 2048 ] || ! offered RSA-PKCS-KEY-PAIR-GEN "$bits" ||
        { check "an RSA key pair of $bits bits" new_key "rsa:$bits" "rsa$bits" 22 && rsa+=("$bits:22"); }
done
expect_fail "no RSA key pair of 1024 bits" 'CKR_(KEY_SIZE_RANGE|ATTRIBUTE_VALUE_INVALID)' new_key rsa:1024 weak 29

secret() { p11_user --keygen --key-type "$1" --label "$2" --id "$3" "${@:4}"; }
value_out() { rm -f "$D/value" && p11_user --read-object --type secrkey --id "$1" --output-file "$D/value"; }
aes=()
for n in 16 24 32; do
    # Token keys live in the TPM, and some TPMs have no AES of 192 bits.
    if secret "AES:$n" "aes$n" "a0$n" --extractable >"$D/out" 2>&1; then
        ok "an AES key of $n bytes" && aes+=("$n")
        check "its value is read" value_out "a0$n"
        check_out "and has that length" "^$n\$" stat -c %s "$D/value"
        check "one that stays in the TPM" secret "AES:$n" "stays$n" "b0$n" --sensitive
        expect_fail "has no value to read" 'CKR_ATTRIBUTE_SENSITIVE' value_out "b0$n"
    elif [ "$n" = 24 ] && grep -q 'CKR_KEY_SIZE_RANGE' "$D/out"; then
        cp "$D/out" "$D/refused"
        check_out "an AES key of 24 bytes is refused with its reason" 'this TPM does not have AES keys of 192' \
            cat "$D/refused"
        skip "AES of 24 bytes" "this TPM has none"
    else
        not_ok "an AES key of $n bytes" "not made"
    fi
done
for n in 16 32 64; do
    check "a generic secret of $n bytes" secret "GENERIC:$n" "gen$n" "c0$n" --extractable
done
expect_fail "no AES key of 20 bytes" 'CKR_' secret AES:20 odd d0

# --- its own tests ----------------------------------------------------------

check_out "--test finds no errors" '^No errors' p11_user --test
check "and we say nothing beside" quiet
# It signs over SHA-1, which is off.
test_ec() { p11_user --session-rw --test-ec --key-type EC:prime256v1 --id 77 --label test-ec; }
expect_fail "--test-ec: SHA-1 is refused" 'C_SignInit failed: rv = CKR_MECHANISM_INVALID' test_ec
check "(its keys are taken away)" p11_user --delete-object --type privkey --label test-ec
check "(both)" p11_user --delete-object --type pubkey --label test-ec
sha1_on() { FUSETSU_SHA1=yes "$@"; }
check_out "--test-ec where SHA-1 is allowed" '==> OK' sha1_on test_ec
sha1_in_file() { echo 'sha1 = yes' >"$D/sha1.conf" && FUSETSU_CONF=$D/sha1.conf "$@"; }
check_out "the same by the settings file" '==> OK' sha1_in_file test_ec
threads() {
    local n list=()
    for n in 1 2 3 4 5 6; do list+=(--test-threads "IL:GI:SL:T0:GI:SL:T0:T0:T0"); done
    p11_user "${list[@]}" && p11_user -O
}
check_out "--test-threads" 'Test thread 5 returning rv = 0' threads
# C_Initialize in the second and later threads comes too late, and says so.
others() { ! grep -E 'CKR_' "$D/out" | grep -vE 'CKR_OK|CKR_CRYPTOKI_ALREADY_INITIALIZED'; }
check "no thread met an error" others
check_out "--test-fork" 'C_Initialize in forked child' p11 --test-fork -L
check "the child met none" others
check_out "--list-interfaces" "version: 3.0" p11 --list-interfaces

# --- agreement --------------------------------------------------------------

declare -A curve=([256]=P-256 [384]=P-384 [521]=P-521)
public() { foreign p11tool --provider="$MODULE" --export "pkcs11:object=$1;type=public" --outfile "$D/$1.pem"; }
ecdh() { # ecdh BITS ID
    openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:${curve[$1]}" -out "$D/peer.pem" &&
        openssl pkey -in "$D/peer.pem" -pubout -outform DER -out "$D/peer.der" &&
        p11_user --derive --mechanism ECDH1-DERIVE --id "$2" --input-file "$D/peer.der" --output-file "$D/z" &&
        public "ec$1" &&
        openssl pkeyutl -derive -inkey "$D/peer.pem" -peerkey "$D/ec$1.pem" -out "$D/z2" && cmp "$D/z" "$D/z2"
}
for row in "${ec[@]}"; do check "ECDH with ec${row%:*} agrees with OpenSSL" ecdh "${row%:*}" "${row#*:}"; done
printf x >>"$D/z2"
expect_fail "(another secret would be seen)" 'EOF|differ' cmp "$D/z" "$D/z2"
# A point that is not on the curve, on the TPM's account.
off_curve() {
    local der hex
    der=$(xxd -p "$D/peer.der" | tr -d '\n') && hex=${der%??}$(printf %02x $((0x${der: -2} ^ 1)))
    xxd -r -p <<<"$hex" >"$D/off.der"
    do_ find k "class=private,label=ec256" derive z "ecdh:${hex: -130}" k class=secret,type=generic,token=no,len=32
}
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$D/peer.pem" &&
    openssl pkey -in "$D/peer.pem" -pubout -outform DER -out "$D/peer.der"
expect_fail "a point that is not on the curve is refused" 'derive z: ' off_curve

# --- encryption -------------------------------------------------------------

head -c 4096 /dev/urandom >"$D/text" # whole blocks: ECB and CBC pad nothing
head -c 1001 /dev/urandom >"$D/odd"
iv=00112233445566778899aabbccddeeff
value() { value_out "$1" >&2 && xxd -p "$D/value" | tr -d '\n'; }
aes_tool() { # aes_tool MECHANISM BYTES INPUT OPENSSL-OPTION...: both ways, against OpenSSL
    local mech=$1 n=$2 in=$3 cipher
    shift 3
    cipher=$((n * 8))-$(sed 's/AES-//; s/-PAD//' <<<"$mech" | tr 'A-Z' 'a-z')
    p11_user --encrypt --id "a0$n" --mechanism "$mech" --iv "$iv" --input-file "$in" --output-file "$D/c" &&
        openssl enc "-aes-$cipher" -K "$(value "a0$n")" "$@" -in "$in" | cmp - "$D/c" &&
        p11_user --decrypt --id "a0$n" --mechanism "$mech" --iv "$iv" --input-file "$D/c" --output-file "$D/p" &&
        cmp "$in" "$D/p"
}
for n in "${aes[@]}"; do
    check "AES-CBC-PAD with $n bytes" aes_tool AES-CBC-PAD "$n" "$D/odd" -iv "$iv"
    check "AES-CBC with $n bytes" aes_tool AES-CBC "$n" "$D/text" -nopad -iv "$iv"
    check "AES-ECB with $n bytes" aes_tool AES-ECB "$n" "$D/text" -nopad
    ctr() {
        do_ find k "label=aes$n" encrypt "$D/c" "aes-ctr:$iv" k "$D/odd" decrypt "$D/p" "aes-ctr:$iv" k "$D/c" &&
            openssl enc "-aes-$((n * 8))-ctr" -K "$(value "a0$n")" -iv "$iv" -in "$D/odd" | cmp - "$D/c" &&
            cmp "$D/odd" "$D/p"
    }
    check "AES-CTR with $n bytes" ctr
done
stays() {
    p11_user --encrypt --id b016 --mechanism AES-CBC-PAD --iv "$iv" --input-file "$D/odd" --output-file "$D/c" &&
        p11_user --decrypt --id b016 --mechanism AES-CBC-PAD --iv "$iv" --input-file "$D/c" --output-file "$D/p" &&
        cmp "$D/odd" "$D/p"
}
check "AES-CBC-PAD with a key that stays in the TPM" stays
other_key() {
    p11_user --decrypt --id a032 --mechanism AES-CBC-PAD --iv "$iv" --input-file "$D/c" --output-file "$D/p" &&
        cmp "$D/odd" "$D/p"
}
expect_fail "another key does not decrypt it" 'CKR_|differ' other_key
# No tool of this machine's does GCM, so: its counter part is CTR from the IV with 2 behind it, and
# its tag refuses what was changed.
gcm() { do_ find k label=aes16 "$@"; }
gcm_ctr() {
    gcm encrypt "$D/c" "aes-gcm:${iv:0:24}:aabbcc" k "$D/odd" decrypt "$D/p" "aes-gcm:${iv:0:24}:aabbcc" k "$D/c" &&
        cmp "$D/odd" "$D/p" && openssl enc -aes-128-ctr -K "$(value a016)" -iv "${iv:0:24}00000002" -in "$D/odd" |
        cmp - <(head -c -16 "$D/c")
}
check "AES-GCM: what is before the tag is CTR" gcm_ctr
expect_fail "other associated data is refused" 'CKR_ENCRYPTED_DATA_INVALID' \
    gcm decrypt "$D/p" "aes-gcm:${iv:0:24}:aabbcd" k "$D/c"
printf x >>"$D/c"
expect_fail "so is a longer text" 'CKR_(ENCRYPTED_DATA_INVALID|AEAD_DECRYPT_FAILED)' gcm decrypt "$D/p" "aes-gcm:${iv:0:24}:aabbcc" k "$D/c"

head -c 60 "$D/text" >"$D/short"
rsa() { # rsa BITS ID MECHANISM OPENSSL-OPTION...
    local bits=$1 id=$2 mech=$3 how=()
    shift 3
    [ "$mech" = RSA-PKCS ] || how=(--hash-algorithm SHA256 --mgf MGF1-SHA256)
    openssl pkeyutl -encrypt -pubin -inkey "$D/rsa$bits.pem" -in "$D/short" -out "$D/c" "$@" &&
        p11_user --decrypt --id "$id" --mechanism "$mech" "${how[@]}" --input-file "$D/c" --output-file "$D/p" &&
        cmp "$D/short" "$D/p"
}
oaep=(-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256)
for row in "${rsa[@]}"; do
    check "rsa${row%:*} is exported" public "rsa${row%:*}"
    check "RSA-PKCS with ${row%:*} bits decrypts what OpenSSL encrypted" rsa "${row%:*}" "${row#*:}" RSA-PKCS
    check "RSA-PKCS-OAEP with ${row%:*} bits" rsa "${row%:*}" "${row#*:}" RSA-PKCS-OAEP "${oaep[@]}"
done
wrong_hash() {
    openssl pkeyutl -encrypt -pubin -inkey "$D/rsa2048.pem" -in "$D/short" -out "$D/c" \
        -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 &&
        do_ find k class=private,label=rsa2048 decrypt "$D/p" oaep-sha256 k "$D/c"
}
expect_fail "OAEP with another hash is refused" 'CKR_ENCRYPTED_DATA_INVALID' wrong_hash

# --- messages authenticated -------------------------------------------------

hmac() { # hmac HASH
    p11_user --sign --id c032 --mechanism "$1-HMAC" --input-file "$D/odd" --output-file "$D/mac" &&
        openssl mac -digest "$1" -macopt "hexkey:$(value c032)" -in "$D/odd" -binary -out "$D/mac2" HMAC &&
        cmp "$D/mac" "$D/mac2" &&
        p11_user --verify --id c032 --mechanism "$1-HMAC" --input-file "$D/odd" --signature-file "$D/mac"
}
for h in SHA256 SHA384 SHA512; do check_out "$h-HMAC" 'Signature is valid' hmac "$h"; done
forged() { p11_user --verify --id c032 --mechanism SHA512-HMAC --input-file "$D/text" --signature-file "$D/mac"; }
check_out "of other data it is invalid" 'Invalid signature' forged
cmac() {
    do_ create k "class=secret,type=aes,token,label=mac,sign,verify,extractable,value=@$D/value" \
        sign "$D/mac" aes-cmac k "$D/odd" verify aes-cmac k "$D/odd" "$D/mac" &&
        openssl mac -cipher aes-256-cbc -macopt "hexkey:$(xxd -p "$D/value" | tr -d '\n')" -in "$D/odd" -binary CMAC |
        cmp - "$D/mac"
}
value_out c032 >"$D/out" 2>&1
check "AES-CMAC with a known key" cmac

# --- wrapping ---------------------------------------------------------------

check "an AES key that wraps" secret AES:32 wrapper f1 --usage-wrap --extractable
wrap() { # wrap MECHANISM WRAPPER: aes16 out, and in again; its value has not changed
    rm -f "$D/wrapped"
    p11_user --wrap --mechanism "$1" --iv "$iv" --id "$2" --application-id a016 --output-file "$D/wrapped" &&
        p11_user --unwrap --mechanism "$1" --iv "$iv" --id "$2" --input-file "$D/wrapped" --key-type AES: \
            --application-id e1 --application-label again --extractable &&
        value_out a016 && mv "$D/value" "$D/before" && value_out e1 && cmp "$D/value" "$D/before" &&
        p11_user --delete-object --type secrkey --id e1
}
check "RSA-PKCS wraps an AES key" wrap RSA-PKCS 21
check "AES-CBC-PAD does" wrap AES-CBC-PAD f1
by_openssl() { # by_openssl CIPHER-OPTION...: what lies in $D/wrapped, unwrapped
    openssl enc -d "$@" -K "$(value f1)" -in "$D/wrapped" | cmp - "$D/before"
}
check "as OpenSSL does" by_openssl -aes-256-cbc -iv "$iv"
check "AES-KEY-WRAP does" wrap AES-KEY-WRAP f1
check "as OpenSSL does" by_openssl -id-aes256-wrap -iv a6a6a6a6a6a6a6a6
oaep_wrap() {
    do_ find pub class=public,label=rsa2048 find priv class=private,label=rsa2048 find k label=aes16 \
        wrap "$D/wrapped" oaep-sha256 pub k \
        unwrap x oaep-sha256 priv "$D/wrapped" class=secret,type=aes,sensitive=no,extractable get "$D/value" x value &&
        cmp "$D/value" "$D/before"
}
check "RSA-OAEP wraps and unwraps" oaep_wrap
outside() {
    openssl pkeyutl -encrypt -pubin -inkey "$D/rsa2048.pem" -in "$D/before" -out "$D/wrapped" "${oaep[@]}" && do_ \
        find priv class=private,label=rsa2048 unwrap x oaep-sha256 priv "$D/wrapped" \
        class=secret,type=aes,sensitive=no,extractable,encrypt get "$D/value" x value && cmp "$D/value" "$D/before"
}
check "a key that OpenSSL wrapped by OAEP is unwrapped" outside
expect_fail "a key that may not leave is not wrapped" CKR_KEY_UNEXTRACTABLE \
    p11_user --wrap --mechanism AES-KEY-WRAP --id f1 --application-id b016 --output-file "$D/wrapped"
spoilt() {
    p11_user --wrap --mechanism AES-KEY-WRAP --id f1 --application-id a016 --output-file "$D/wrapped" &&
        head -c -1 "$D/wrapped" >"$D/spoilt" && printf x >>"$D/spoilt" &&
        p11_user --unwrap --mechanism AES-KEY-WRAP --id f1 --input-file "$D/spoilt" --key-type AES: --application-id e2
}
expect_fail "a wrapped key that was altered is refused" 'CKR_WRAPPED_KEY_INVALID' spoilt

# --- objects of every class -------------------------------------------------

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/iec.pem" \
    -out "$D/cert.pem" -subj /CN=stories -days 2 2>/dev/null
openssl x509 -in "$D/cert.pem" -outform DER -out "$D/cert.der"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$D/irsa.pem" 2>/dev/null
for k in iec irsa; do
    openssl pkey -in "$D/$k.pem" -outform DER -out "$D/$k.der"
    openssl pkey -in "$D/$k.pem" -pubout -outform DER -out "$D/$k.pub"
done
write() { p11_user --write-object "$D/$1" --type "$2" --id "$3" --label "$4" "${@:5}"; }
check "a certificate is written" write cert.der cert 31 iec
check "an EC private key" write iec.der privkey 31 iec --usage-sign --usage-derive
check "its public key" write iec.pub pubkey 31 iec
check "an RSA private key" write irsa.der privkey 32 irsa --usage-sign --usage-decrypt
check "its public key" write irsa.pub pubkey 32 irsa
check "a secret key" write value secrkey 33 isec --key-type AES:32 --extractable --usage-decrypt
check "data" p11_user --write-object "$D/odd" --type data --label idata --application-label stories \
    --application-id 1.2.3.4 --private
read_back() { # read_back TYPE ID FILE
    p11_user --read-object --type "$1" --id "$2" --output-file "$D/back" && cmp "$D/back" "$D/$3"
}
check "the certificate is read back" read_back cert 31 cert.der
check "the RSA public key" read_back pubkey 32 irsa.pub
# OpenSC 0.23 makes an EC key from memory that it has freed: whether that works is chance. GnuTLS reads it.
ec_back() {
    GNUTLS_PIN=$PIN foreign p11tool --batch --provider="$MODULE" --login --export --outfile "$D/back.pem" \
        "pkcs11:id=%31;object=iec;type=public" && openssl pkey -pubin -in "$D/back.pem" -outform DER -out "$D/back" && cmp "$D/back" "$D/iec.pub"
}
check "the EC public key" ec_back
check "the secret key" read_back secrkey 33 value
data_back() {
    p11_user --read-object --type data --application-id 1.2.3.4 --output-file "$D/back" && cmp "$D/back" "$D/odd"
}
check "the data, by their application's number" data_back
for k in iec:31:ECDSA-SHA256 irsa:32:SHA256-RSA-PKCS; do
    IFS=: read -r label id mech <<<"$k"
    signs() {
        p11_user --sign --id "$id" --mechanism "$mech" --signature-format openssl --input-file "$D/odd" \
            --output-file "$D/sig" &&
            openssl dgst -sha256 -verify <(openssl pkey -in "$D/$label.pem" -pubout) -signature "$D/sig" "$D/odd"
    }
    check_out "the imported $label signs, and OpenSSL verifies" 'Verified OK' signs
done
expect_fail "a key that is no key is refused" 'CKR_|error|parse' write odd privkey 34 no
check "an id is changed" p11_user --set-id 3131 --type cert --id 31
check "and found by the new one" read_back cert 3131 cert.der

listing() { p11_user -O && p11_user -M && p11 -L && p11 -T && p11 -I && p11 -O; }
check_out "everything is listed" 'label: *isec' listing
check "without an error or a warning of ours" quiet
for row in cert:3131 privkey:31 pubkey:31 privkey:32 pubkey:32 secrkey:33; do
    check "${row%:*} ${row#*:} is deleted" p11_user --delete-object --type "${row%:*}" --id "${row#*:}"
    expect_fail "and is gone" 'not found|Aborting' p11_user --read-object --type "${row%:*}" --id "${row#*:}" \
        --output-file "$D/back"
done
check "data are deleted" p11_user --delete-object --type data --label idata
gone_() { p11_user -O | grep -cE 'label: *(iec|irsa|isec)|idata'; }
expect_fail "nothing of that is left" '^0$' gone_
finish
