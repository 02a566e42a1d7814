#!/bin/bash
# Goal: OpenSSL's stock pkcs11 engine makes certificates with keys in two TPMs, and two machines hold
# a TLS channel, each side proving itself by the key in its own TPM: TLS 1.2 and 1.3, ECDSA and RSA.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

engine_conf "$D/openssl.cnf"
export OPENSSL_CONF=$D/openssl.cnf
with_key() { # with_key N LABEL COMMAND...: openssl on machine N with the key LABEL
    local n=$1 label=$2
    shift 2
    at "$n" foreign openssl "$@" -engine pkcs11 -keyform engine -key "$(key_uri "m$n" "$label")"
}
self_signed() { # self_signed N LABEL
    with_key "$1" "$2" req -new -x509 -subj "/CN=m$1-$2" -addext subjectAltName=DNS:localhost -days 2 \
        -out "$D/m$1-$2.pem" && openssl verify -check_ss_sig -CAfile "$D/m$1-$2.pem" "$D/m$1-$2.pem"
}
for n in 1 2; do
    check "machine $n: a token" at "$n" new_token "m$n"
    for key in EC:prime256v1/ec rsa:2048/rsa; do
        check "machine $n: a key ${key%/*}" at "$n" new_key "${key%/*}" "${key#*/}" 01
        check "machine $n: req -new -x509 with it" self_signed "$n" "${key#*/}"
    done
done

bad_pin() {
    at 1 foreign openssl req -new -x509 -subj /CN=x -engine pkcs11 -keyform engine \
        -key "pkcs11:token=m1;object=ec;type=private?pin-source=file:$D/bad" -out "$D/none.pem"
}
expect_fail "with a wrong PIN the engine gets no key" 'PIN incorrect' bad_pin

# --- the channel ------------------------------------------------------------

# The server's key is on machine 1, the client's on machine 2. -rev sends each line back reversed.
serve() { # serve LABEL TLS-OPTION...
    local label=$1
    shift
    : >"$D/server.out"
    at 1 background "${FOREIGN[@]}" openssl s_server -accept 127.0.0.1:0 -naccept 1 -rev \
        -engine pkcs11 -keyform engine -key "$(key_uri m1 "$label")" -cert "$D/m1-$label.pem" \
        -CAfile "$D/m2-$label.pem" -Verify 1 -verify_return_error "$@" >"$D/server.out" 2>&1 </dev/null
    server=$LAST
    poll 20 accepting && ! gone "$server"
}
accepting() {
    gone "$server" && return 0
    port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\).*/\1/p' "$D/server.out")
    [ -n "$port" ]
}
answered() { grep -q "$1" "$D/client.out"; }
answered_or_gone() { gone "$1" || answered "oh yllat"; }
dial() { # dial COMMAND...: says a line and leaves when the answer is there, or the connection ends
    : >"$D/client.out"
    local rc=0
    coproc TALK { timeout -k 5 30 "$@" -connect "127.0.0.1:$port" -CAfile "$D/m1-$label.pem" \
        -verify_return_error >"$D/client.out" 2>&1; }
    local pid=$TALK_PID to=${TALK[1]}
    echo "tally ho" >&"$to"
    poll 20 answered_or_gone "$pid"
    eval "exec $to>&-"
    wait "$pid" || rc=$?
    cat "$D/client.out" "$D/server.out"
    return "$rc"
}
settle() {
    end "$server"
    tidy 1
}
client_with_key() { # client_with_key TLS-OPTION...
    at 2 dial "${FOREIGN[@]}" openssl s_client -engine pkcs11 -keyform engine \
        -key "$(key_uri m2 "$label")" -cert "$D/m2-$label.pem" "$@"
    answered "oh yllat"
}
channel() { # channel LABEL WHAT SIGNATURE TLS-OPTION...
    local what="$2: bytes go both ways" signature=$3
    label=$1
    shift 3
    if ! serve "$label" "$@"; then
        cp "$D/server.out" "$D/out"
        not_ok "$what" "the server does not start"
        return
    fi
    check "$what" client_with_key "$@"
    settle
    check_out "and the client knows the server's signature: $signature" "^Peer signature type: $signature" \
        cat "$D/client.out"
    check_out "and the server verified the client's" "depth=0 CN = m2-$label" cat "$D/server.out"
}
channel ec "TLS 1.3, P-256" ECDSA -tls1_3
channel ec "TLS 1.2, P-256" ECDSA -tls1_2
channel rsa "TLS 1.3, RSA-PSS" RSA-PSS -tls1_3
channel rsa "TLS 1.2, RSA-PSS" RSA-PSS -tls1_2 -sigalgs rsa_pss_rsae_sha256
channel rsa "TLS 1.2, RSA PKCS#1" RSA -tls1_2 -sigalgs RSA+SHA256

# --- refused ----------------------------------------------------------------

label=ec
refused() { # refused WHAT PATTERN CLIENT...
    serve ec -tls1_3 || cat "$D/server.out"
    no_answer() { "$@"; ! answered "oh yllat" && return 1; }
    expect_fail "$1" "$2" no_answer "${@:3}"
    settle
}
refused "a client without certificate" 'peer did not return a certificate' dial openssl s_client -tls1_3
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/soft.key" \
    -out "$D/soft.pem" -subj /CN=m2-ec -days 2 2>/dev/null
refused "a client with a key of its own and the same name" 'certificate verify failed|self.signed certificate' \
    dial openssl s_client -tls1_3 -key "$D/soft.key" -cert "$D/soft.pem"
refused "a client with the certificate but another key" 'key values mismatch|do not match' \
    dial openssl s_client -tls1_3 -key "$D/soft.key" -cert "$D/m2-ec.pem"
finish
