#!/bin/bash
# Goal: curl fetches a page from a server that insists on a client certificate, with the client's key
# on the token, through `--engine pkcs11`: by options of its own, and by the files of `fusetsu setup curl`
# and `fusetsu setup openssl`, which leave the system's settings of OpenSSL in force.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh

if ! curl --version | grep -q OpenSSL; then
    skip "curl --engine pkcs11" "this curl is not built with OpenSSL"
    finish
fi
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/server.key" \
    -out "$D/server.pem" -subj /CN=server -addext subjectAltName=IP:127.0.0.1 -days 2 2>/dev/null

check "a token is made" consumer_token 1 alpha
consumer_ca ca >/dev/null
for key in EC:prime256v1/ec/01 rsa:2048/rsa/02; do
    IFS=/ read -r type label id <<<"$key"
    check "a key $type" consumer_key 1 alpha "$type" "$label" "$id"
    check "and its certificate" consumer_cert 1 alpha "$label" "$id" ca "curl-$label"
done

# --- the settings -----------------------------------------------------------

export HOME=$D/home
unset XDG_CONFIG_HOME XDG_STATE_HOME
mkdir -p "$HOME/.local"
settings=$HOME/.config/fusetsu/openssl.cnf
setup() { "$FUSETSU" setup "$@"; }
setup_openssl() { setup openssl --user "$@"; }
if consumer_is fusetsu; then
    mkdir "$HOME/.config"
    check "setup openssl: --dry-run and --undo leave everything as it was" setup_keeps "$HOME/.config" setup_openssl
    check "setup openssl" setup_openssl
    check_out "OpenSSL has the engine" '^pkcs11$' env OPENSSL_CONF="$settings" openssl list -engines
    check "and the system's settings, without which it makes no request" env OPENSSL_CONF="$settings" \
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/key" -subj /CN=x -out "$D/csr"
    provider() { setup_openssl --provider && OPENSSL_CONF=$settings openssl list -providers; }
    if ls /usr/lib/*/ossl-modules/pkcs11.so >"$D/out" 2>&1; then
        check_out "setup openssl --provider" 'pkcs11' provider
        uri=$(key_uri alpha ec | sed "s/?pin-source.*//")
        by_provider() { OPENSSL_CONF=$settings foreign openssl pkey -in "$uri" -passin "file:$D/pin" -pubout; }
        check_out "by which OpenSSL finds the key" 'BEGIN PUBLIC KEY' by_provider
        check "and back" setup_openssl
    else
        check_out "setup openssl --provider writes its settings" 'pkcs11-module-path' setup_openssl --provider --dry-run
        skip "pkcs11-provider" "it is not installed"
    fi
else
    mkdir -p "${settings%/*}"
    MODULE=$CONSUMER_MODULE engine_conf "$settings"
fi

# --- pages ------------------------------------------------------------------

serve() { # serve TLS-OPTION: -www answers with a page about the session
    : >"$D/server.out"
    background openssl s_server -accept 127.0.0.1:0 -www -key "$D/server.key" -cert "$D/server.pem" \
        -CAfile "$D/ca.pem" -Verify 1 -verify_return_error "$1" >"$D/server.out" 2>&1 </dev/null
    server=$LAST
    poll 10 accepting && ! gone "$server"
}
accepting() {
    gone "$server" && return 0
    port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\).*/\1/p' "$D/server.out")
    [ -n "$port" ]
}
fetch_by() { # fetch_by CURL-OPTION...
    at 1 foreign env OPENSSL_CONF="$settings" curl --silent --show-error --max-time 30 \
        --cacert "$D/server.pem" "$@" "https://127.0.0.1:$port/"
}
fetch() { fetch_by --engine pkcs11 "$@"; }

for tls in -tls1_3 -tls1_2; do
    serve "$tls" || { cp "$D/server.out" "$D/out" && not_ok "a server" "it does not start" && finish; }
    for key in ec rsa; do
        what="curl, TLS 1.${tls#-tls1_}, $key"
        check_out "$what: certificate from a file, key on the token" "Subject: CN ?= ?curl-$key" \
            fetch --key-type ENG --key "$(key_uri alpha "$key")" --cert "$D/alpha-$key.pem"
        check_out "$what: both on the token" "Subject: CN ?= ?curl-$key" \
            fetch --key-type ENG --key "$(key_uri alpha "$key")" \
            --cert-type ENG --cert "pkcs11:token=alpha;object=$key;type=cert"
    done
    expect_fail "curl without a client certificate is refused" 'alert|error' fetch
    end "$server"
done
serve -tls1_3
if consumer_is fusetsu; then
    setup_curl() { setup curl --file "$D/curl/$1.conf" --label "$1" --pin-source "$D/pin" "${@:2}"; }
    mkdir "$D/curl"
    for key in ec rsa; do
        check "setup curl: --dry-run and --undo leave everything as it was" setup_keeps "$D/curl" setup_curl "$key"
        check "setup curl, $key" setup_curl "$key"
        check_out "curl -K takes it from there" "Subject: CN ?= ?curl-$key" fetch_by -K "$D/curl/$key.conf"
    done
    printf 'stories-11\n' >"$D/line"
    expect_fail "a PIN file that the engine would misread is refused" 'ends with a line end' \
        setup curl --file "$D/curl/line.conf" --label ec --pin-source "$D/line"
fi
expect_fail "a key that is not the certificate's is refused" 'key values mismatch|does not match' \
    fetch --key-type ENG --key "$(key_uri alpha rsa)" --cert "$D/alpha-ec.pem"
expect_fail "curl with a wrong PIN gets no key" 'PIN incorrect|unable to set private key|engine' \
    fetch --key-type ENG --key "pkcs11:token=alpha;object=ec;type=private?pin-source=file:$D/bad" \
    --cert "$D/alpha-ec.pem"
consumer_is fusetsu && check_out "that try was counted" 'user PIN count low' p11 -T
finish
