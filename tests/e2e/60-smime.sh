#!/bin/bash
# Goal: mail is signed and decrypted with keys on the token, RSA and ECDH: by OpenSSL's cms and smime through
# the stock engine, and by NSS. Each reads what the other made; not without the key, nor with a wrong PIN.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh

check "a token" consumer_token 1 mail
consumer_ca ca >/dev/null
consumer_ca other >/dev/null
key() { at 1 consumer_p11 mail --login --pin "$PIN" --keypairgen "$@"; }
certificate() { # certificate LABEL ID
    consumer_cert 1 mail "$1" "$2" ca "$1/emailAddress=$1@example.org" subjectAltName=email:copy \
        keyUsage=critical,digitalSignature,keyEncipherment,keyAgreement extendedKeyUsage=emailProtection
}
check "an EC key that signs and derives" key --key-type EC:prime256v1 --label ec --id 01 --usage-sign --usage-derive
check "and its certificate" certificate ec 01
check "an RSA key that signs and decrypts" key --key-type rsa:2048 --label rsa --id 02 --usage-sign --usage-decrypt
check "and its certificate" certificate rsa 02
check "an EC key that only signs" key --key-type EC:prime256v1 --label signer --id 03 --usage-sign
check "and its certificate" certificate signer 03
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/soft.key" -out "$D/soft.pem" \
    -subj /CN=soft/emailAddress=soft@example.org -days 3 -addext keyUsage=digitalSignature,keyAgreement 2>"$D/out"
echo "words to sign" >"$D/text"

# --- OpenSSL ----------------------------------------------------------------

MODULE=$CONSUMER_MODULE engine_conf "$D/openssl.cnf"
with_key() { # with_key LABEL PIN-FILE COMMAND...: of openssl
    at 1 foreign env OPENSSL_CONF="$D/openssl.cnf" openssl "${@:3}" -engine pkcs11 -keyform engine \
        -inkey "pkcs11:token=mail;object=$1;type=private?pin-source=file:$2"
}
sign() { # sign LABEL [OPTION...]
    with_key "$1" "$D/pin" cms -sign -nodetach -outform DER -signer "$D/mail-$1.pem" -in "$D/text" -out "$D/signed" "${@:2}"
}
verify() { openssl cms -verify -inform DER -in "$D/signed" -CAfile "$D/$1.pem"; }
signs() { sign "$@" && verify ca; }
check_out "cms -sign with the EC key" 'Verification successful' signs ec
check_out "with the RSA key" 'Verification successful' signs rsa
check_out "with the RSA key by PSS" 'Verification successful' signs rsa -keyopt rsa_padding_mode:pss
pss() { openssl cms -cmsout -print -inform DER -in "$D/signed"; }
check_out "and that is what it says" 'algorithm: rsassaPss' pss
expect_fail "another CA does not verify it" 'Verification failure' verify other
smime() {
    with_key rsa "$D/pin" smime -sign -signer "$D/mail-rsa.pem" -in "$D/text" -out "$D/mail" &&
        openssl smime -verify -in "$D/mail" -CAfile "$D/ca.pem"
}
check_out "smime -sign" 'Verification successful' smime

seal() { # seal LABEL [OPTION...]
    openssl cms -encrypt -aes256 -binary -outform DER -in "$D/text" -out "$D/sealed" -recip "$D/mail-$1.pem" "${@:2}"
}
open_with() { # open_with LABEL [PIN-FILE]
    with_key "$1" "${2:-$D/pin}" cms -decrypt -inform DER -in "$D/sealed" -recip "$D/mail-$1.pem"
}
opens() { seal "$@" && open_with "$1"; }
check_out "cms -decrypt with the RSA key" 'words to sign' opens rsa
check_out "by OAEP" 'words to sign' opens rsa -keyopt rsa_padding_mode:oaep
check_out "by OAEP with SHA-256" 'words to sign' opens rsa -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256
check_out "with the EC key, by ECDH" 'words to sign' opens ec
check_out "its key derived with SHA-256" 'words to sign' opens ec -keyopt ecdh_kdf_md:sha256
check_out "with the cofactor" 'words to sign' opens ec -keyopt ecdh_cofactor_mode:1
expect_fail "not with a wrong PIN" 'PIN incorrect|Login failed' open_with ec "$D/bad"
consumer_is fusetsu && check_out "and that try was counted" 'PIN count low' at 1 consumer_p11 mail -T
check "a letter to another key" seal rsa
expect_fail "is not for the EC key" 'no matching recipient|rror' open_with ec
check "a letter to a key that may not derive" seal signer
consumer_is fusetsu && expect_fail "it does not" 'rror' open_with signer
smime_opens() {
    openssl smime -encrypt -aes256 -in "$D/text" -out "$D/mail" "$D/mail-rsa.pem" &&
        with_key rsa "$D/pin" smime -decrypt -in "$D/mail" -recip "$D/mail-rsa.pem"
}
check_out "smime -decrypt" 'words to sign' smime_opens

# --- NSS --------------------------------------------------------------------

if ! command -v certutil modutil cmsutil pk12util >"$D/out"; then
    skip "NSS" "its tools are not installed"
    finish
fi
mkdir "$D/nss"
echo "$PIN" >"$D/nss.pin"
echo not-the-pin >"$D/nss.bad"
nss() { at 1 foreign "$1" -d "sql:$D/nss" "${@:2}"; }
check "an NSS database" nss certutil -N --empty-password
check "modutil adds the module" at 1 foreign modutil -dbdir "sql:$D/nss" -force -add consumer -libfile "$CONSUMER_MODULE"
check "the CA is trusted" nss certutil -A -n ca -t CT,C,C -i "$D/ca.pem"
check_out "certutil finds keys and certificates" 'mail:rsa +u,u,u' nss certutil -L -h mail -f "$D/nss.pin"

nss_sign() { # nss_sign LABEL [PIN-FILE]
    nss cmsutil -S -N "mail:$1" -f "${2:-$D/nss.pin}" -G -H SHA256 -i "$D/text" -o "$D/signed"
}
nss_signs() { nss_sign "$1" && verify ca; }
# shellcheck disable=SC2120  # it is called by check
nss_open() { nss cmsutil -D -f "${1:-$D/nss.pin}" -i "$D/sealed"; }
nss_opens() { seal "$@" && nss_open; }
nss_seal() { nss cmsutil -E -f "$D/nss.pin" -r "$1@example.org" -i "$D/text" -o "$D/sealed"; }
for who in ec rsa; do check_out "cmsutil signs with the $who key, and OpenSSL verifies" 'Verification successful' nss_signs $who; done
expect_fail "not with a wrong PIN" 'PASSWORD|assword|problem' nss_sign rsa "$D/nss.bad"
verifies() { sign "$1" && nss cmsutil -D -f "$D/nss.pin" -i "$D/signed" -h 1; }
check_out "cmsutil verifies what OpenSSL signed" 'GoodSignature' verifies rsa
check_out "cmsutil decrypts with the RSA key what OpenSSL encrypted" 'words to sign' nss_opens rsa
expect_fail "not with a wrong PIN" 'problem|failed' nss_open "$D/nss.bad"
check "a correspondent's certificate is in the database" nss certutil -A -n letters -t ,, -i "$D/mail-rsa.pem"
check "cmsutil encrypts" nss_seal rsa
check_out "and decrypts that" 'words to sign' nss_open
check_out "so does OpenSSL" 'words to sign' open_with rsa

# With ECDH it depends on NSS: if it can do so with a key of its own, it can with ours.
soft_ecdh() {
    openssl pkcs12 -export -inkey "$D/soft.key" -in "$D/soft.pem" -name soft -passout pass:p12 -out "$D/soft.p12" &&
        nss pk12util -i "$D/soft.p12" -W p12 -K '' &&
        openssl cms -encrypt -aes256 -binary -outform DER -in "$D/text" -out "$D/sealed" -recip "$D/soft.pem" &&
        nss cmsutil -D -i "$D/sealed"
}
if soft_ecdh >"$D/out" 2>&1; then
    check_out "cmsutil decrypts with the EC key" 'words to sign' nss_opens ec
else
    skip "cmsutil decrypts with the EC key" "this NSS does not do so with keys of its own either"
fi
finish
