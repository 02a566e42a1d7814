#!/bin/bash
# Goal: GnuTLS programs use the token: p11tool lists it and its objects, makes a test signature, and
# gnutls-serv serves TLS with a key that stays in the TPM.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

check "a token is made" new_token alpha
check "an EC key" new_key EC:prime256v1 ec 01
check "an RSA key" new_key rsa:2048 rsa 02

# --batch: never ask. GNUTLS_PIN is how p11tool takes a PIN without a terminal.
tool() { foreign p11tool --batch --provider="$MODULE" "$@"; }
user() { GNUTLS_PIN=$PIN tool --login "$@"; }

serial=$(p11 -L 2>/dev/null | sed -n 's/^ *serial num *: //p')
check_out "--list-tokens names the token by a URI with its serial" \
    "URL: pkcs11:model=[^;]*;manufacturer=fusetsu;serial=$serial;token=alpha" tool --list-tokens
token="pkcs11:serial=$serial"
check_out "--list-all shows a public key" 'Label: ec' tool --list-all "$token"
count() { "$@" >"$D/list" 2>&1 && awk '/Type: Private key/ { n++ } END { print n + 0 }' "$D/list"; }
check_out "no private key without login" '^0$' count tool --list-all "$token"
check_out "--login shows both private keys" '^2$' count user --list-all "$token"
for key in ec rsa; do
    check_out "--test-sign with $key" 'Verifying against public key in the token... ok' \
        user --test-sign "$token;object=$key;type=private"
done
check_out "--info describes a key" 'Flags: .*CKA_(PRIVATE|NEVER_EXTRACTABLE|SENSITIVE)' \
    user --info "$token;object=ec;type=private"
stranger() { GNUTLS_PIN=not-the-pin tool --login "$@"; }
expect_fail "a wrong PIN is refused" 'PIN' stranger --test-sign "$token;object=ec;type=private"
random() { tool --generate-random=32 "$token" --outfile "$D/random" && wc -c <"$D/random"; }
check_out "--generate-random" '^32$' random

# --- TLS --------------------------------------------------------------------

engine_conf "$D/openssl.cnf"
cert() { # cert LABEL: self-signed, made with the key on the token
    OPENSSL_CONF=$D/openssl.cnf foreign openssl req -new -x509 -engine pkcs11 -keyform engine \
        -key "$(key_uri alpha "$1")" -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -days 2 -out "$D/$1.pem"
}
serve() { # serve LABEL
    port=$(free_port) || return 1
    GNUTLS_PIN=$PIN background "${FOREIGN[@]}" gnutls-serv --quiet --http --port "$port" \
        --provider="$MODULE" --x509keyfile "$token;object=$1;type=private" \
        --x509certfile "$D/$1.pem" >"$D/serv.out" 2>&1 </dev/null
    poll 10 listening "$port" "$LAST" && ! gone "$LAST"
}
visit() { # visit LABEL CA
    printf 'GET / HTTP/1.0\r\n\r\n' | timeout 20 gnutls-cli --x509cafile "$2" --port "$port" \
        --logfile "$D/cli.log" localhost
}
for key in ec rsa; do
    check "a certificate for $key, signed by the token" cert "$key"
    if serve "$key"; then
        check_out "gnutls-serv with $key on the token serves a page" 'HTTP/1.0 200' visit "$key" "$D/$key.pem"
        check_out "its certificate was verified" 'Status: The certificate is trusted' cat "$D/cli.log"
    else
        cp "$D/serv.out" "$D/out"
        not_ok "gnutls-serv with $key on the token" "it does not listen"
    fi
    end "$LAST"
    tidy 1
done
turned_away() {
    local rc=0
    visit ec "$EK_CA_PEM" || rc=$?
    cat "$D/cli.log"
    return "$rc"
}
serve ec || cat "$D/serv.out"
expect_fail "a client that does not trust the certificate turns away" 'trusted|verification' \
    turned_away
finish
