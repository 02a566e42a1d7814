#!/bin/bash
# Goal: programs of the three families that are not OpenSSL's take the token as one of theirs. GnuTLS's
# p11tool brings an empty machine to a working token and back; NSS keeps its keys and certificates in
# it, signs and reads CMS messages with them and imports a PKCS#12 file; p11-kit carries the token to
# another process. OpenSSL judges what they made.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

do_() { foreign "$B/p11do" "$MODULE" open alpha login "$D/pin" "$@"; }
echo "words to sign" >"$D/text"
head -c 64 /dev/urandom >"$D/noise"

# --- GnuTLS: from nothing ---------------------------------------------------

tool() { foreign p11tool --batch --provider="$MODULE" "$@"; }
user() { GNUTLS_PIN=$PIN tool --login "$@"; }
officer() { GNUTLS_SO_PIN=$SO GNUTLS_PIN=${NEW:-$PIN} tool --so-login "$@"; }
A='pkcs11:token=alpha'

check_out "--initialize makes a token" 'successfully initialized' \
    officer --initialize pkcs11:manufacturer=fusetsu --label alpha
expect_fail "nobody logs in before there is a user PIN" 'PIN|initialized' user --list-all-privkeys "$A"
wrong_officer() { GNUTLS_SO_PIN=wrong-so-pin GNUTLS_PIN=$PIN tool --so-login --initialize-pin "$A"; }
expect_fail "a wrong SO PIN sets none" 'PIN' wrong_officer
check "--initialize-pin sets it" officer --initialize-pin "$A"
check_out "--list-mechanisms names what there is" 'CKM_ECDSA_SHA256 .* hw sign verify' tool --list-mechanisms "$A"

generate() { user --generate-privkey="$1" "${@:4}" --label="$2" --id="$3" --outfile "$D/$2.pub" "$A"; }
check "--generate-privkey: EC" generate ecdsa gec 61 --curve=secp256r1
check "--generate-privkey: RSA" generate rsa grsa 62 --bits=2048
signing() { # signing LABEL HOW [OPTION...]
    check_out "--test-sign with $1: $2" 'Verifying against public key in the token... ok' \
        user --test-sign "${@:3}" "$A;object=$1;type=private"
}
signing gec ECDSA
signing grsa RSA
signing grsa PSS --sign-params=RSA-PSS
exported() { # exported LABEL: the public key by way of the private one
    user --export-pubkey --outfile "$D/back" "$A;object=$1;type=private" && cmp "$D/back" "$D/$1.pub" &&
        openssl pkey -pubin -in "$D/back" -noout
}
for key in gec grsa; do check "--export-pubkey of $key" exported "$key"; done

for kind in ec rsa; do
    how=(ec -pkeyopt ec_paramgen_curve:P-256)
    [ $kind = ec ] || how=(rsa:2048)
    openssl req -x509 -newkey "${how[@]}" -nodes -keyout "$D/$kind.key" -out "$D/$kind.crt" \
        -subj "/CN=soft $kind" -days 3 2>/dev/null
    check "--write of an $kind certificate" user --write --load-certificate="$D/$kind.crt" --label="w$kind" \
        --id="0a0$((${#kind}))" "$A"
    check "of its private key" user --write --load-privkey="$D/$kind.key" --label="w$kind" --id="0a0$((${#kind}))" "$A"
    openssl pkey -in "$D/$kind.key" -pubout -out "$D/$kind.pub"
    check "of its public key" user --write --load-pubkey="$D/$kind.pub" --label="w$kind" --id="0a0$((${#kind}))" "$A"
    signing "w$kind" "imported $kind"
    same_cert() {
        tool --export --outfile "$D/back" "$A;object=w$kind;type=cert" &&
            openssl x509 -in "$D/back" -outform DER | cmp - <(openssl x509 -in "$D/$kind.crt" -outform DER)
    }
    check "--export gives the certificate back, without login" same_cert
    check "--export-chain as well" tool --export-chain --outfile "$D/back" "$A;object=w$kind;type=cert"
done
expect_fail "a private key is not exported" 'Error|error|not' user --export --outfile "$D/back" "$A;object=wec;type=private"
check "--write of a secret key" user --write --secret-key=00112233445566778899aabbccddeeff --label=wsec "$A"
check_out "it is listed" 'Label: wsec' user --list-all "$A"
relabel() { user --set-label=renamed "$A;object=wec;type=cert" && user --list-all "$A"; }
check_out "--set-label" 'Label: renamed' relabel
delete() { user --delete "$A;object=$1;type=$2"; }
for row in renamed:cert wec:private wec:public wrsa:cert wrsa:private wrsa:public wsec:secret-key; do
    check_out "--delete of ${row#*:} ${row%:*}" '1 objects deleted' delete "${row%:*}" "${row#*:}"
done
left() { user --list-all "$A" >"$D/list" && grep -c '^Object' "$D/list"; }
check_out "the four halves of the first two keys are left" '^4$' left
new_pin() { NEW=another-33 officer --initialize-pin "$A" && ! user --list-all-privkeys "$A"; }
check "--initialize-pin again replaces a forgotten PIN" new_pin
check "and back" officer --initialize-pin "$A"

# --- NSS --------------------------------------------------------------------

if command -v certutil modutil cmsutil pk12util >/dev/null; then
    mkdir "$D/nss"
    echo "$PIN" >"$D/nss.pin"
    nss() { foreign "$1" -d "sql:$D/nss" "${@:2}"; }
    on_token() { nss "$1" -h alpha -f "$D/nss.pin" "${@:2}"; }
    check "an NSS database" nss certutil -N --empty-password
    check_out "modutil adds the module" 'added to database' \
        foreign modutil -dbdir "sql:$D/nss" -force -add fusetsu -libfile "$MODULE"
    check_out "and lists the token" 'Token Name: alpha' foreign modutil -dbdir "sql:$D/nss" -list fusetsu
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$D/ca.key" -out "$D/ca.pem" -subj /CN=nss-ca -days 3 \
        -addext keyUsage=keyCertSign 2>/dev/null
    check "a CA is trusted" nss certutil -A -n nss-ca -t CT,C,C -i "$D/ca.pem"

    self() { on_token certutil -S -n "self$1" -s "CN=self$1" -x -t u,u,u -z "$D/noise" "${@:2}"; }
    check "certutil -S: an EC key and its certificate" self ec -k ec -q nistp256
    check "certutil -S: an RSA key and its certificate" self rsa -k rsa -g 2048
    self_signed() {
        tool --export --outfile "$D/self.pem" "$A;object=self$1;type=cert" &&
            openssl verify -CAfile "$D/self.pem" -check_ss_sig "$D/self.pem"
    }
    for kind in ec rsa; do check_out "OpenSSL verifies that of the $kind key" ': OK' self_signed "$kind"; done
    check_out "certutil -K joins keys and certificates" 'ec .*alpha:selfec' on_token certutil -K
    check_out "certutil -L lists them as ours" 'alpha:selfrsa +u,u,u' on_token certutil -L

    printf '%s\n' keyUsage=digitalSignature,keyEncipherment extendedKeyUsage=emailProtection \
        subjectAltName=email:copy >"$D/ext"
    enrol() { # enrol NAME KEY-OPTION...: a request, a certificate for it, and that beside the key
        on_token certutil -R -s "CN=$1,E=$1@example.org" -z "$D/noise" -o "$D/$1.csr" "${@:2}" &&
            openssl x509 -req -inform DER -in "$D/$1.csr" -CA "$D/ca.pem" -CAkey "$D/ca.key" -days 3 \
                -extfile "$D/ext" -CAcreateserial -out "$D/$1.pem" &&
            on_token certutil -A -n "$1" -t ,, -i "$D/$1.pem"
    }
    check "certutil -R and -A: an EC user" enrol uec -k ec -q nistp256
    check "certutil -R and -A: an RSA user" enrol ursa -k rsa -g 2048
    cms_sign() {
        nss cmsutil -S -N "alpha:$1" -f "$D/nss.pin" -G -H SHA256 -i "$D/text" -o "$D/signed" &&
            openssl cms -verify -inform DER -in "$D/signed" -CAfile "$D/ca.pem"
    }
    for who in uec ursa; do check_out "cmsutil signs as $who, and OpenSSL verifies" 'Verification successful' cms_sign $who; done
    expect_fail "another CA does not verify it" 'Verification failure' \
        openssl cms -verify -inform DER -in "$D/signed" -CAfile "$EK_CA_PEM"
    check_out "cmsutil verifies as well" 'GoodSignature' nss cmsutil -D -f "$D/nss.pin" -i "$D/signed" -h 1
    cms_read() {
        openssl cms -encrypt -aes256 -binary -outform DER -in "$D/text" -out "$D/sealed" "$D/$1.pem" &&
            nss cmsutil -D -f "${2:-$D/nss.pin}" -i "$D/sealed"
    }
    check_out "cmsutil decrypts what OpenSSL encrypted" 'words to sign' cms_read ursa
    echo not-the-pin >"$D/nss.bad"
    expect_fail "but not with a wrong PIN" 'problem|failed' cms_read ursa "$D/nss.bad"
    nss_own() {
        nss cmsutil -E -f "$D/nss.pin" -r ursa@example.org -i "$D/text" -o "$D/sealed" &&
            nss cmsutil -D -f "$D/nss.pin" -i "$D/sealed"
    }
    check_out "and what it encrypted itself" 'words to sign' nss_own

    p12() { # p12 KIND: imported, and then it signs
        openssl pkcs12 -export -inkey "$D/$1.key" -in "$D/$1.crt" -name "p12$1" -passout pass:p12-words -out "$D/$1.p12" &&
            nss pk12util -i "$D/$1.p12" -h alpha -k "$D/nss.pin" -W p12-words &&
            id=$(do_ find k "class=private,label=p12$1" get - k id | tail -n 1) &&
            p11_user --sign --id "$id" --mechanism "$2" --signature-format openssl --input-file "$D/text" \
                --output-file "$D/sig" &&
            openssl dgst -sha256 -verify "$D/$1.pub" -signature "$D/sig" "$D/text"
    }
    check_out "pk12util imports an EC key, and it signs" 'Verified OK' p12 ec ECDSA-SHA256
    check_out "pk12util imports an RSA key, and it signs" 'Verified OK' p12 rsa SHA256-RSA-PKCS

    check "certutil -F deletes a key and its certificate" nss certutil -F -n alpha:selfec -f "$D/nss.pin"
    check "certutil -D deletes a certificate" nss certutil -D -n alpha:selfrsa -f "$D/nss.pin"
    selfs() { on_token certutil -L >"$D/list" && ! grep self "$D/list"; }
    check "they are gone" selfs
    check_out "modutil takes the module out" 'deleted from database' \
        foreign modutil -dbdir "sql:$D/nss" -force -delete fusetsu
else
    skip "NSS" "its tools are not installed"
fi

# --- p11-kit: another process -----------------------------------------------

client=$(pkg-config --variable=p11_module_path p11-kit-1)/p11-kit-client.so
if [ ! -e "$client" ]; then
    skip "p11-kit remoting" "there is no p11-kit-client.so"
    finish
fi
check "a key for it" p11_user --keygen --key-type AES:32 --id 71 --id 71 --extractable
p11_user --read-object --type secrkey --id 71 --output-file "$D/aes" >/dev/null 2>&1
serve() {
    background "${FOREIGN[@]}" p11-kit server --foreground --name "$D/socket" --provider "$MODULE" "$A" \
        >"$D/server.out" 2>&1 </dev/null
    poll 20 test -S "$D/socket" || { cat "$D/server.out" && return 1; }
}
check "p11-kit server offers the token" serve
server=$LAST
export P11_KIT_SERVER_ADDRESS=unix:path=$D/socket
# The client has neither store nor TPM; so it is the server that has.
remote() { env -u FUSETSU_TCTI -u TPM2TOOLS_TCTI FUSETSU_STORE="$D/nowhere/store.db" timeout -k 5 "$LIMIT" "$@"; }
far() { remote pkcs11-tool --module "$client" "$@"; }
far_user() { far --login --pin "$PIN" "$@"; }
check_out "a client lists the token" 'token label *: alpha' far -L
check_out "and its private keys" 'label: *grsa' far_user -O --type privkey
expect_fail "not with a wrong PIN" CKR_PIN_INCORRECT far --login --pin not-the-pin -O
openssl dgst -sha256 -binary "$D/text" >"$D/hash"
far_ec() {
    far_user --sign --mechanism ECDSA --id 61 --signature-format openssl --input-file "$D/hash" --output-file "$D/sig" &&
        openssl pkeyutl -verify -pubin -inkey "$D/gec.pub" -in "$D/hash" -sigfile "$D/sig"
}
check_out "it signs with the EC key" 'Verified Successfully' far_ec
far_rsa() {
    far_user --sign --mechanism SHA256-RSA-PKCS --id 62 --input-file "$D/text" --output-file "$D/sig" &&
        openssl dgst -sha256 -verify "$D/grsa.pub" -signature "$D/sig" "$D/text"
}
check_out "with the RSA key" 'Verified OK' far_rsa
far_pss() {
    far_user --sign --mechanism RSA-PKCS-PSS --hash-algorithm SHA256 --mgf MGF1-SHA256 --id 62 \
        --input-file "$D/hash" --output-file "$D/sig" &&
        openssl dgst -sha256 -sigopt rsa_padding_mode:pss -verify "$D/grsa.pub" -signature "$D/sig" "$D/text"
}
check_out "by PSS" 'Verified OK' far_pss
far_oaep() {
    remote "$B/p11do" "$client" open alpha login "$D/pin" find k class=private,label=grsa decrypt "$D/back" oaep-sha256 k "$D/sealed"
}
openssl pkeyutl -encrypt -pubin -inkey "$D/grsa.pub" -in "$D/hash" -out "$D/sealed" \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256
check "decrypts by OAEP" far_oaep
check "what OpenSSL encrypted" cmp "$D/back" "$D/hash"
head -c 64 /dev/urandom >"$D/blocks"
far_aes() {
    far_user --encrypt --mechanism AES-ECB --id 71 --input-file "$D/blocks" --output-file "$D/sealed" &&
        openssl enc -aes-256-ecb -nopad -K "$(xxd -p "$D/aes" | tr -d '\n')" -in "$D/blocks" | cmp - "$D/sealed" &&
        far_user --decrypt --mechanism AES-ECB --id 71 --input-file "$D/sealed" --output-file "$D/back" &&
        cmp "$D/back" "$D/blocks"
}
check "encrypts and decrypts with AES" far_aes
far_tls() { GNUTLS_PIN=$PIN remote p11tool --batch --login --provider="$client" --test-sign "$A;object=grsa;type=private"; }
check_out "GnuTLS reaches it that way, too" 'public key in the token... ok' far_tls
at_once() {
    local i pids=() rc=0
    for i in 1 2 3; do
        far_user --sign --mechanism SHA256-RSA-PKCS --id 62 --input-file "$D/text" --output-file "$D/sig$i" &
        pids+=("$!")
    done
    for i in "${pids[@]}"; do wait "$i" || rc=1; done
    cmp "$D/sig1" "$D/sig2" && cmp "$D/sig2" "$D/sig3" && return "$rc"
}
check "three clients at once" at_once
end "$server"
expect_fail "without the server there is nothing" 'No slots|error|rv' far_user -O
check "(and the token is as it was)" p11_user -O
finish
