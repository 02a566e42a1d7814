#!/bin/bash
# Goal: OpenSSL is told to use the engine, and so our module, for everything it computes. The module
# computes with OpenSSL too: its login, signature and verification must not come back to itself and
# wait for its own lock. Each step has $LIMIT seconds.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
LIMIT=20
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

check "a token is made" new_token alpha
check "an EC key" new_key EC:prime256v1 ec 01
check "an RSA key" new_key rsa:2048 rsa 02
head -c 1000 /dev/urandom >"$D/text"
for key in ec rsa; do
    foreign p11tool --provider="$MODULE" --export "pkcs11:object=$key;type=public" \
        --outfile "$D/$key.pem" >/dev/null 2>&1
done

# From here on every program that reads OpenSSL's settings has the engine at work, logged in.
engine_conf "$D/default.cnf" "PIN = $PIN" 'init = 1' 'default_algorithms = ALL'
chmod 600 "$D/default.cnf"
export OPENSSL_CONF=$D/default.cnf

check_out "the engine is at work in a plain openssl" '^\(pkcs11\) ' foreign openssl engine
sign() { # sign LABEL OPTION...
    local label=$1
    shift
    rm -f "$D/sig"
    foreign openssl dgst -sha256 -engine pkcs11 -keyform engine -sign "pkcs11:token=alpha;object=$label;type=private" \
        -out "$D/sig" "$@" "$D/text"
}
verify() { # verify LABEL OPTION...: by the engine where it can, and without any engine
    local label=$1
    shift
    foreign openssl dgst -sha256 -verify "$D/$label.pem" -signature "$D/sig" "$@" "$D/text" &&
        OPENSSL_CONF=/dev/null openssl dgst -sha256 -verify "$D/$label.pem" -signature "$D/sig" "$@" "$D/text"
}
check "login and an ECDSA signature" sign ec
check "it is good" verify ec
check "login and an RSA PKCS#1 signature" sign rsa
check "it is good" verify rsa
pss=(-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32)
check "login and an RSA-PSS signature" sign rsa "${pss[@]}"
check "it is good" verify rsa "${pss[@]}"

# Programs that load the module themselves, while OpenSSL in the same process has it too.
check "pkcs11-tool makes a key there" new_key EC:prime256v1 second 03
check_out "pkcs11-tool's own test finds no errors" '^No errors' p11_user --test
check "an application: login, sign, verify, digest, generate" \
    foreign "$B/signloop" "$MODULE" init open alpha login "$D/pin" find ec sign 3 verify digest \
    generate third find rsa sign 3 verify logout fin
# The engine's own leaks are not ours.
ours() { ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-} timeout -k 5 "$LIMIT" "$FUSETSU" "$@"; }
check_out "our own program: a token is read" '"label": "alpha"' ours token info --json
check "our own program: a key is made" \
    ours key generate --token alpha --pin-file "$D/pin" --type p256 --label fourth
check_out "our own program: keys are listed" fourth ours key list --token alpha
check_out "and a software key is made by OpenSSL as ever" 'BEGIN PRIVATE KEY' \
    foreign openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256

engine_conf "$D/bad.cnf" 'PIN = not-the-pin' 'init = 1' 'default_algorithms = ALL'
export OPENSSL_CONF=$D/bad.cnf
expect_fail "with a wrong PIN the engine signs nothing" 'PIN incorrect' sign ec
finish
