#!/bin/bash
# Goal: Java uses the token through its provider SunPKCS11. keytool makes keys in the TPM and gets
# certificates for them, jarsigner signs with them, and two machines hold a TLS channel by them; P-256
# and RSA. A wrong PIN, a key that is not there and a stranger's certificate are refused.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
for program in java javac keytool jarsigner jar; do
    command -v "$program" >/dev/null || { skip "Java" "there is no $program" && finish; }
done
# A Java machine handles SIGSEGV itself, in the course of its work.
! is_asan || FOREIGN+=("ASAN_OPTIONS=detect_leaks=0:handle_segv=0:allow_user_segv_handler=1:${ASAN_OPTIONS:-}")
export HOME=$D/home JAVA_TOOL_OPTIONS="-Xshare:auto -XX:TieredStopAtLevel=1 -Duser.home=$D/home"
mkdir "$HOME"

# --- tokens and keys ----------------------------------------------------------

check "a CA" consumer_ca ca
check "another CA" consumer_ca stranger
for n in 1 2; do
    check "machine $n: a token" consumer_token "$n" "m$n"
    for row in ec/EC:prime256v1/01 rsa/rsa:2048/02; do
        IFS=/ read -r label type id <<<"$row"
        check "machine $n: a key $type" consumer_key "$n" "m$n" "$type" "$label" "$id"
        check "machine $n: a certificate for it" consumer_cert "$n" "m$n" "$label" "$id" ca "m$n-$label"
    done
done

# --- what Java is told --------------------------------------------------------

CONFIG=$HOME/.config/fusetsu
mkdir -p "$HOME/.config/theirs"
if consumer_is fusetsu; then
    unset XDG_CONFIG_HOME XDG_STATE_HOME
    consumer_tree "$HOME" >"$D/home.before"
    same_home() { consumer_tree "$HOME" | diff "$D/home.before" -; }
    setup() { at 1 "$FUSETSU" setup java --user "$@"; }
    check_out "setup java --dry-run says what it would write" 'security.provider.12=SunPKCS11' setup --dry-run
    check "and writes nothing" same_home
    check_out "setup java" "-Djava.security.properties=$CONFIG/java.security" setup
    # The machines have a store each, and in both it is the first and only token.
else
    mkdir -p "$CONFIG"
    printf '%s\n' "name = fusetsu" "library = $CONSUMER_MODULE" 'slotListIndex = 0' >"$CONFIG/java-pkcs11.cfg"
    echo "security.provider.12=SunPKCS11 $CONFIG/java-pkcs11.cfg" >"$CONFIG/java.security"
fi
PROPERTIES=-Djava.security.properties=$CONFIG/java.security
keys() { # keys N OPTION...: keytool on the token of machine N
    at "$1" foreign keytool -J"$PROPERTIES" "${@:2}" -keystore NONE -storetype PKCS11 -storepass:file "${PIN_FILE:-$D/pin}"
}
bad_pin() {
    local rc=0
    PIN_FILE=$D/bad "$@" || rc=$?
    consumer_forgive 1
    return "$rc"
}

# --- keytool ------------------------------------------------------------------

check_out "keytool -list finds both keys" 'ec, PrivateKeyEntry' keys 1 -list
cp "$D/out" "$D/list"
check_out "the RSA key, too" 'rsa, PrivateKeyEntry' cat "$D/list"
check_out "and the certificate" "$(openssl x509 -in "$D/m1-ec.pem" -noout -fingerprint -sha256 | cut -d= -f2)" cat "$D/list"
expect_fail "a wrong PIN opens nothing" 'CKR_PIN_INCORRECT' bad_pin keys 1 -list -v

made() { # made ALIAS KEYTOOL-OPTION...
    keys 1 -genkeypair -alias "$1" -dname "CN=$1" -ext KeyUsage:critical=digitalSignature "${@:2}"
}
check "keytool -genkeypair: P-256" made gec -keyalg EC -groupname secp256r1
check "keytool -genkeypair: RSA" made grsa -keyalg RSA -keysize 2048
enrolled() { # enrolled ALIAS: a request, a certificate for it, and that with its chain on the token
    keys 1 -certreq -alias "$1" -file "$D/$1.csr" &&
        openssl req -in "$D/$1.csr" -noout -verify &&
        openssl x509 -req -in "$D/$1.csr" -CA "$D/ca.pem" -CAkey "$D/ca.key" -days 20 -extfile "$D/signer" \
            -set_serial "0x$(openssl rand -hex 16)" -out "$D/$1.pem" &&
        cat "$D/$1.pem" "$D/ca.pem" >"$D/$1.chain" &&
        keys 1 -importcert -noprompt -alias "$1" -file "$D/$1.chain" &&
        keys 1 -list -v -alias "$1"
}
printf '%s\n' keyUsage=critical,digitalSignature extendedKeyUsage=codeSigning >"$D/signer"
for key in gec grsa; do
    check_out "$key: a certificate and its chain replace its own" 'Certificate chain length: 2' enrolled "$key"
done
if consumer_is fusetsu; then
    in_tpm() { at 1 consumer_p11 m1 --login --pin "$PIN" -O --type privkey --id "$(printf %s "$1" | xxd -p)"; }
    for key in gec grsa; do
        check_out "$key was made in the TPM" 'always sensitive, never extractable, local' in_tpm $key
    done
fi

# --- jarsigner ----------------------------------------------------------------

keytool -importcert -noprompt -alias ca -file "$D/ca.pem" -keystore "$D/trust.p12" -storepass changeit >/dev/null 2>&1
mkdir "$D/jar"
echo "words to sign" >"$D/jar/words"
jar --create --file "$D/plain.jar" -C "$D/jar" words 2>/dev/null
signed() { # signed ALIAS
    at 1 foreign jarsigner -J"$PROPERTIES" -keystore NONE -storetype PKCS11 -storepass:file "${PIN_FILE:-$D/pin}" \
        -signedjar "$D/$1.jar" "$D/plain.jar" "$1"
}
verified() { jarsigner -verify -strict -keystore "$D/trust.p12" -storepass changeit "$D/$1.jar"; }
for key in gec/EC grsa/RSA; do
    check_out "jarsigner signs with ${key%/*}" 'jar signed' signed "${key%/*}"
    check_out "and verifies by the CA alone" 'jar verified' verified "${key%/*}"
done
cp "$D/gec.jar" "$D/forged.jar"
echo "other words" >"$D/jar/words"
jar --update --file "$D/forged.jar" -C "$D/jar" words 2>/dev/null
expect_fail "changed words are refused" 'digest error for words' verified forged
expect_fail "a key that is not on the token signs nothing" 'Certificate chain not found for: nobody' signed nobody
expect_fail "nor does a wrong PIN" 'unable to|PIN|load failed' bad_pin signed gec

# --- TLS ----------------------------------------------------------------------

check "the program for it" javac -d "$D/classes" tests/support/TokenTls.java
serve() {
    at 2 background "${FOREIGN[@]}" java "$PROPERTIES" -cp "$D/classes" TokenTls serve "$D/ca.pem" "$D/pin" ec rsa >"$D/server.out" 2>&1 </dev/null
    server=$LAST
    poll 30 ready && ! gone "$server"
}
ready() { gone "$server" || grep -q '^rsa ' "$D/server.out"; }
dial() { # dial CA [PORT PROTOCOL ALIAS]...
    at 1 foreign java "$PROPERTIES" -cp "$D/classes" TokenTls dial "$D/$1.pem" "${PIN_FILE:-$D/pin}" "${@:2}"
}
said() { test "$(grep -c "$2" "$3")" -eq "$1"; }
if check "a server with the keys of machine 2" serve; then
    ec=$(sed -n 's/^ec //p' "$D/server.out") rsa=$(sed -n 's/^rsa //p' "$D/server.out")
    check "a client with those of machine 1: four channels" dial ca "$ec" TLSv1.3 ec "$ec" TLSv1.2 ec \
        "$rsa" TLSv1.3 rsa "$rsa" TLSv1.2 rsa
    cp "$D/out" "$D/channels"
    for protocol in TLSv1.3 TLSv1.2; do
        for kind in ec rsa; do
            check_out "$protocol, $kind: bytes go both ways" "^$protocol $kind: CN=m2-$kind: oh yllat" cat "$D/channels"
        done
    done
    check "a key without a certificate of the CA" made lone -keyalg EC -groupname secp256r1
    # What the client hears of it is the alert or the end of the connection, whichever comes first.
    expect_fail "three clients without such a certificate are refused, and one without the key" \
        '^TLSv1.3 nobody: .*no private key nobody on the token' \
        dial ca "$ec" TLSv1.3 - "$ec" TLSv1.2 - "$ec" TLSv1.3 lone "$ec" TLSv1.3 nobody
    cp "$D/out" "$D/refused"
    check "none heard an answer" said 0 'oh yllat' "$D/refused"
    check "two, because they have no certificate" poll 5 said 2 'Empty client certificate chain' "$D/server.out"
    check "one, because no CA signed it" poll 5 said 1 'PKIX path building failed' "$D/server.out"
    expect_fail "a server of another CA is refused" 'unable to find valid certification path' \
        dial stranger "$ec" TLSv1.3 ec
    expect_fail "a wrong PIN opens no channel" 'CKR_PIN_INCORRECT' bad_pin dial ca "$ec" TLSv1.3 ec
fi

# --- undone -------------------------------------------------------------------

if consumer_is fusetsu; then
    check "a second token" at 1 "$FUSETSU" token init --label spare --pin-file "$D/pin" --so-pin-file "$D/so"
    expect_fail "then it has to be said which one" '--token' setup
    check "the first, by name" setup --token m1
    check_out "is opened" 'ec, PrivateKeyEntry' keys 1 -list
    check "the second, by name" setup --token spare
    check_out "is empty" 'contains 0 entries' keys 1 -list
    check_out "setup java --undo" 'java.security' setup --undo
    check "leaves all as it was" same_home
    expect_fail "and Java finds no token" 'PKCS11 not found|no such provider|KeyStore' keys 1 -list
fi
finish
