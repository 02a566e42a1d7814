#!/bin/bash
# Goal: GnuTLS holds a channel between two machines, each with its key on its token: TLS 1.2 and 1.3, P-256,
# RSA-PSS and RSA. It takes a root for trusted because the SO of the token said so, and not else. And p11-kit
# carries a token to a program of another user, who has neither the store nor the TPM.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
if ! { command -v gnutls-cli gnutls-serv p11-kit && unshare -m true; } >"$D/out" 2>&1; then
    skip "GnuTLS" "it takes gnutls-cli, gnutls-serv, p11-kit, and the right to unshare -m"
    finish
fi

consumer_ca ca >/dev/null
consumer_ca other >/dev/null
for row in '1 srv' '2 cli'; do
    # shellcheck disable=SC2086
    set -- $row
    check "machine $1: a token" consumer_token "$1" "$2"
    for key in EC:prime256v1/ec/01 rsa:2048/rsa/02; do
        IFS=/ read -r type label id <<<"$key"
        check "machine $1: a key $type" consumer_key "$1" "$2" "$type" "$label" "$id"
        check "and its certificate" consumer_cert "$1" "$2" "$label" "$id" ca "$2-$label"
    done
done

# p11-kit with our module, and its own for the system's roots, and no other. It reads nothing below the
# home directory of root, and so it gets an /etc.
cp -a /etc "$D/etc" && mkdir -p "$D/modules" "$D/etc/pkcs11/modules"
cp /usr/share/p11-kit/modules/p11-kit-trust.module "$D/modules" 2>/dev/null
# shellcheck disable=SC2016  # for the inner shell
INSIDE=(unshare -m sh -c 'mount --bind "$0/etc" /etc && mount --bind "$0/modules" /usr/share/p11-kit/modules && exec "$@"' "$D")
# configure [--trust]
configure() {
    if consumer_is fusetsu; then
        "${SETUP[@]}" "$FUSETSU" setup p11-kit "$@"
    else
        printf '%s\n' "module: $CONSUMER_MODULE" ${1:+'trust-policy: yes'} >"$D/etc/pkcs11/modules/fusetsu.module"
    fi
}
# shellcheck disable=SC2016  # for the inner shell
SETUP=(unshare -m sh -c 'mount --bind "$0/etc" /etc && mount --bind "$0/lib" /var/lib && exec "$@"' "$D")
mkdir "$D/lib"
consumer_is fusetsu && check "setup p11-kit: --dry-run and --undo leave everything as it was" setup_keeps "$D/etc" configure
check "p11-kit is told of the module" configure
key_of() { echo "pkcs11:token=$1;object=$2;type=private"; } # key_of TOKEN LABEL
cert_of() { echo "pkcs11:token=$1;object=$2;type=cert"; }
check_out "p11-kit knows the token" 'token=srv' at 1 "${INSIDE[@]}" "${FOREIGN[@]}" p11tool --list-tokens

# --- the channel ------------------------------------------------------------

serve() { # serve LABEL PIN-FILE
    port=$(free_port)
    at 1 background "${INSIDE[@]}" "${FOREIGN[@]}" gnutls-serv --port "$port" --echo --priority NORMAL \
        --x509keyfile "$(key_of srv "$1")?pin-source=$2" --x509certfile "$(cert_of srv "$1")" \
        --x509cafile "$D/ca.pem" --require-client-cert --verify-client-cert >"$D/server.out" 2>&1 </dev/null
    server=$LAST
    poll 20 listening "$port" "$server" && ! gone "$server" || { cat "$D/server.out" && return 1; }
}
answered_or_gone() { gone "$1" || grep -qx "tally ho" "$D/client.out"; }
client() { # client GNUTLS-OPTION...: says a line and leaves when it comes back, or the connection ends
    local rc=0
    : >"$D/client.out"
    # shellcheck disable=SC2094  # the coprocess has a name for its own output
    coproc TALK { exec timeout -k 5 30 "${INSIDE[@]}" "${FOREIGN[@]}" gnutls-cli --port "$port" 127.0.0.1 "$@" >"$D/client.out" 2>&1; }
    local pid=$TALK_PID to=${TALK[1]}
    echo "tally ho" >&"$to"
    poll 20 answered_or_gone "$pid"
    eval "exec $to>&-"
    wait "$pid" || rc=$?
    cat "$D/client.out"
    [ "$rc" -eq 0 ] && grep -qx "tally ho" "$D/client.out"
}
dial() { # dial LABEL GNUTLS-OPTION...
    at 2 client --x509keyfile "$(key_of cli "$1")?pin-source=$D/pin" --x509certfile "$(cert_of cli "$1")" "${@:2}"
}
versions() { echo "NORMAL:-VERS-ALL:+VERS-TLS$1${2:+:-SIGN-ALL:+SIGN-ECDSA-SHA256:+SIGN-$2}"; }
for key in ec rsa; do
    check "a server with its $key key on the token" serve "$key" "$D/pin" || finish
    check "TLS 1.3, $key: a line goes and comes back" dial "$key" --x509cafile "$D/ca.pem" --priority "$(versions 1.3)"
    check "TLS 1.2, $key" dial "$key" --x509cafile "$D/ca.pem" --priority "$(versions 1.2)"
    if [ $key = rsa ]; then
        check "TLS 1.2, PKCS#1" dial rsa --x509cafile "$D/ca.pem" --priority "$(versions 1.2 RSA-SHA256)"
        check_out "both sides signed by PSS in TLS 1.3" 'Server Signature: RSA-PSS-RSAE-SHA256' cat "$D/server.out"
        check_out "and by PKCS#1 in the last one" 'Server Signature: RSA-SHA256' cat "$D/server.out"
    else
        check_out "both sides signed by ECDSA" 'Client Signature: ECDSA-SECP256R1-SHA256' cat "$D/server.out"
    fi
    [ $key = rsa ] || end "$server"
done
expect_fail "a client without certificate is refused" 'ertificate' at 2 client --x509cafile "$D/ca.pem"
expect_fail "a client that does not know the CA refuses the server" 'issuer is unknown' \
    dial ec --x509cafile "$D/other.pem"
wrong_pin() {
    at 2 client --x509keyfile "$(key_of cli ec)?pin-source=$D/bad" --x509certfile "$(cert_of cli ec)" --x509cafile "$D/ca.pem"
}
expect_fail "a client with a wrong PIN has no key" 'PIN' wrong_pin
consumer_is fusetsu && check_out "and that try was counted" 'PIN count low' at 2 consumer_p11 cli -T
expect_fail "a server with a wrong PIN does not start" 'PIN' serve ec "$D/bad"
expect_fail "nor one with a key that is not there" 'not available|not found' serve absent "$D/pin"
check "the token is as it was" serve ec "$D/pin"

# --- trust ------------------------------------------------------------------

trusted() { at 2 "${INSIDE[@]}" "${FOREIGN[@]}" p11tool --list-all-trusted pkcs11:token=cli; }
import() { # import WHO-OPTION...
    if consumer_is fusetsu; then
        at 2 "$FUSETSU" cert import --token cli --label root "$@" "$D/ca.pem"
    else
        GNUTLS_PIN=$PIN GNUTLS_SO_PIN=$SO at 2 foreign p11tool --provider "$CONSUMER_MODULE" --batch --so-login --write \
            --mark-trusted --load-certificate "$D/ca.pem" --label root pkcs11:token=cli
    fi
}
by_token() { dial ec --x509cafile pkcs11:token=cli; }
configure --trust >/dev/null
if consumer_is fusetsu; then
    check "the user keeps the CA's certificate on the token" import --pin-file "$D/pin"
    expect_fail "that makes no root of it" 'issuer is unknown' by_token
    user_says() {
        GNUTLS_PIN=$PIN at 2 foreign p11tool --provider "$CONSUMER_MODULE" --batch --login --write --mark-trusted \
            --load-certificate "$D/other.pem" --label other pkcs11:token=cli
    }
    expect_fail "nor can the user say so" 'Error|error' user_says
    expect_fail "nor somebody with a wrong SO PIN" 'wrong' import --trusted --so-pin-file "$D/bad"
    check_out "the list says that nothing is trusted" '"trusted": ?false' at 2 "$FUSETSU" cert list --token cli --json
    check_out "the SO says that it is one" 'already there: ca, trusted' import --trusted --so-pin-file "$D/so"
    check_out "the list says so, too" 'root .* trusted' at 2 "$FUSETSU" cert list --token cli
else
    check "the SO says that a certificate is trusted" import
fi
check_out "GnuTLS lists it as trusted" 'CKA_TRUSTED' trusted
check "and trusts the server by it" by_token
configure >/dev/null
expect_fail "not where p11-kit takes no trust from the token" 'issuer is unknown' by_token
configure --trust >/dev/null
if consumer_is fusetsu; then
    expect_fail "the user cannot change a root" 'rror' \
        env GNUTLS_PIN="$PIN" FUSETSU_TCTI="$TPM_TCTI_2" FUSETSU_STORE="$D/2/store.db" "${FOREIGN[@]}" p11tool \
        --provider "$CONSUMER_MODULE" --batch --login --set-label other 'pkcs11:token=cli;object=root;type=cert'
fi
end "$server"

# --- another user -----------------------------------------------------------

client=$(pkg-config --variable=p11_module_path p11-kit-1)/p11-kit-client.so
if ! { [ -e "$client" ] && id nobody && command -v setpriv; } >"$D/out" 2>&1; then
    skip "p11-kit remoting to another user" "there is no p11-kit-client.so, no user nobody, or no setpriv"
    finish
fi
# The server is root's, and so are store and TPM. The group of the socket may use the token.
chmod 711 "$D"
mkdir -m 750 "$D/offer" && chgrp nogroup "$D/offer"
offer() {
    at 1 background "${FOREIGN[@]}" p11-kit server --foreground --name "$D/offer/socket" --group nogroup \
        --provider "$CONSUMER_MODULE" pkcs11:token=srv >"$D/offer.out" 2>&1 </dev/null
    server=$LAST
    poll 20 test -S "$D/offer/socket" || { cat "$D/offer.out" && return 1; }
    chgrp nogroup "$D/offer/socket" && chmod 660 "$D/offer/socket"
}
check "p11-kit server offers the token to a group" offer
as() { # as UID GID COMMAND...: with nothing of ours in the environment
    env -i PATH="$PATH" HOME=/nonexistent P11_KIT_SERVER_ADDRESS="unix:path=$D/offer/socket" GNUTLS_PIN="$PIN" \
        setpriv --reuid "$1" --regid "$2" --clear-groups timeout -k 5 "$LIMIT" "${@:3}"
}
far() { as nobody nogroup pkcs11-tool --module "$client" "$@"; }
reads_store() { as nobody nogroup cat "$D/1/store.db"; }
expect_fail "another user cannot read the store" 'Permission denied' reads_store
check_out "but he finds the token" 'token label *: srv' far -L
echo "words to sign" >"$D/words" && openssl dgst -sha256 -binary "$D/words" >"$D/hash" && chmod 644 "$D/hash" "$D/words"
mkdir "$D/far" && chown nobody "$D/far"
signs() { # signs ID LABEL MECHANISM FILE VERIFY...
    far --login --pin "$PIN" --sign --mechanism "$3" --id "$1" --signature-format openssl --input-file "$D/$4" \
        --output-file "$D/far/sig" || return 1
    openssl x509 -in "$D/srv-$2.pem" -noout -pubkey >"$D/pub" && "${@:5}"
}
check_out "signs with its EC key" 'Verified Successfully' signs 01 ec ECDSA hash \
    openssl pkeyutl -verify -pubin -inkey "$D/pub" -in "$D/hash" -sigfile "$D/far/sig"
check_out "and with its RSA key" 'Verified OK' signs 02 rsa SHA256-RSA-PKCS words \
    openssl dgst -sha256 -verify "$D/pub" -signature "$D/far/sig" "$D/words"
expect_fail "not with a wrong PIN" CKR_PIN_INCORRECT far --login --pin not-the-pin -O
stranger() { as nobody daemon pkcs11-tool --module "$client" --login --pin "$PIN" -O --type privkey; }
expect_fail "somebody outside the group gets nothing" 'No slot|error|rv' stranger
end "$server"
expect_fail "without the server there is nothing" 'No slot|error|rv' far --login --pin "$PIN" -O
finish
