#!/bin/bash
# Goal: curl fetches a page from a server that insists on a client certificate, with the client's key
# in the TPM, through `--engine pkcs11`.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

if ! curl --version | grep -q OpenSSL; then
    skip "curl --engine pkcs11" "this curl is not built with OpenSSL"
    finish
fi
engine_conf "$D/openssl.cnf"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/server.key" \
    -out "$D/server.pem" -subj /CN=server -addext subjectAltName=IP:127.0.0.1 -days 2 2>/dev/null

check "a token is made" new_token alpha
certificate() { # certificate LABEL ID: made with the key on the token, and put beside it
    OPENSSL_CONF=$D/openssl.cnf foreign openssl req -new -x509 -engine pkcs11 -keyform engine \
        -key "$(key_uri alpha "$1")" -subj "/CN=curl-$1" -days 2 -out "$D/$1.pem" &&
        openssl x509 -in "$D/$1.pem" -outform DER -out "$D/$1.der" &&
        p11_user --write-object "$D/$1.der" --type cert --id "$2" --label "$1"
}
check "an EC key" new_key EC:prime256v1 ec 01
check "and its certificate" certificate ec 01
check "an RSA key" new_key rsa:2048 rsa 02
check "and its certificate" certificate rsa 02

serve() { # serve TLS-OPTION: -www answers with a page about the session
    cat "$D/ec.pem" "$D/rsa.pem" >"$D/clients.pem"
    : >"$D/server.out"
    background openssl s_server -accept 127.0.0.1:0 -www -key "$D/server.key" -cert "$D/server.pem" \
        -CAfile "$D/clients.pem" -Verify 1 -verify_return_error "$1" >"$D/server.out" 2>&1 </dev/null
    server=$LAST
    poll 10 accepting && ! gone "$server"
}
accepting() {
    gone "$server" && return 0
    port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\).*/\1/p' "$D/server.out")
    [ -n "$port" ]
}
fetch() { # fetch CURL-OPTION...
    OPENSSL_CONF=$D/openssl.cnf foreign curl --silent --show-error --max-time 30 \
        --cacert "$D/server.pem" --engine pkcs11 "$@" "https://127.0.0.1:$port/"
}

for tls in -tls1_3 -tls1_2; do
    serve "$tls" || { cp "$D/server.out" "$D/out" && not_ok "a server" "it does not start" && finish; }
    for key in ec rsa; do
        what="curl, TLS 1.${tls#-tls1_}, $key"
        check_out "$what: certificate from a file, key in the TPM" "Subject: CN ?= ?curl-$key" \
            fetch --key-type ENG --key "$(key_uri alpha "$key")" --cert "$D/$key.pem"
        check_out "$what: both on the token" "Subject: CN ?= ?curl-$key" \
            fetch --key-type ENG --key "$(key_uri alpha "$key")" \
            --cert-type ENG --cert "pkcs11:token=alpha;object=$key;type=cert"
    done
    expect_fail "curl without a client certificate is refused" 'alert|error' fetch
    end "$server"
done
serve -tls1_3
expect_fail "curl with a wrong PIN gets no key" 'PIN incorrect|unable to set private key|engine' \
    fetch --key-type ENG --key "pkcs11:token=alpha;object=ec;type=private?pin-source=file:$D/bad" \
    --cert "$D/ec.pem"
check_out "that try was counted" 'user PIN count low' p11 -T
finish
