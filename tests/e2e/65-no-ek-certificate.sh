#!/bin/bash
# Goal: a TPM whose maker put no EK certificate into it is refused by default. A registration officer
# who reads the EK from the machine can have the authority certify it: then it enrols like any other, and
# allies see on whose word. The certificate helps no other TPM, and its issuer is no maker to those
# who did not pin it. And: makers whose EK certificates lack the extended key usage are trusted where an
# authority pins them as such, and only there.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=swtpm-ci/lib.sh
. swtpm-ci/lib.sh

# TPM 1: the authority. TPM 2: one with EK certificates. TPMs 3 and 4: without.
bare() { # bare N
    tpm_make "$D/tpm$1" "$PWD/build/ekca" none && tpm_start "$D/tpm$1" && STORY_PIDS+=("$(tpm_pid "$D/tpm$1")")
}
# shellcheck disable=SC2034  # for at
TPM_TCTI_3=$(tpm_tcti "$D/tpm3") TPM_TCTI_4=$(tpm_tcti "$D/tpm4")
token() { at "$1" "$FUSETSU" token init --label "$2" --so-pin-file "$D/so" --pin-file "$D/pin"; }
ca() { local c=$1; shift; at 1 "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
device() { local c=$1; shift; at 1 "$FUSETSU" device "$c" --dir "$D/ca" "$@"; }
invite() { ca invite --community communications --name "$1.us.example" --out "$D/$1.invite" "${@:2}"; }
request() { # request TPM NAME OPTION...
    at "$1" "$FUSETSU" request --token "m$1" --pin-file "$D/pin" --invite "$D/$2.invite" --type p256 \
        --out "$D/$2.request" "${@:3}"
}
issue() { ca issue --pin-file "$D/pin" --request "$D/$1.request" --out "$D/$1.sealed"; }
import() { at "$1" "$FUSETSU" cert import --token "m$1" --pin-file "$D/pin" "$D/$2.sealed" --evidence "$D/$2.evidence" --out "$D/$2.pem"; }

check "two TPMs without EK certificates" bare 3
check "both" bare 4
check "the authority's token" token 1 authority
for n in 3 4; do check "a token in TPM $n" token $n m$n; done
check "an authority" ca init --token authority --pin-file "$D/pin" --nation US --org Test --domain us.example \
    --communities communications --ek-pins "$EK_CA_PEM"

# --- refused by default ------------------------------------------------------------------------
expect_exit 5 "the TPM has none to show" 'no endorsement certificate' at 3 "$FUSETSU" attest ek

# --- certified by the authority ------------------------------------------------------------------
expect_exit 2 "its EK is of a type that is named" 'p256, p384' at 3 "$FUSETSU" attest ek --create dsa
check "the officer reads its public key" at 3 "$FUSETSU" attest ek --create p256 --out "$D/ek3.pub"
check_out "a public key" 'prime256v1' openssl pkey -pubin -in "$D/ek3.pub" -noout -text
again() { at 3 "$FUSETSU" attest ek --create p256 | cmp - "$D/ek3.pub"; }
check "it is the same each time" again
certify() { # certify N NAME OPTION...
    device certify --ek-public "$D/ek$1.pub" --name "$2.us.example" --community communications \
        --operator "Example Telecom" --officer "R. Officer" --note PO-7 --model SLB9670 --version id:00070055 \
        --pin-file "$D/pin" --out "${out:-$D/ek$1.pem}" "${@:3}"
}
expect_exit 1 "a manufacturer is not any text" 'id:49465800' certify 3 gw --manufacturer Infineon
check "nothing was written" test ! -e "$D/ek3.pem"
no_device() { device list --json | jq -e 'length == 0'; }
check_out "no device was made" true no_device
out=$D/no-such-dir/x expect_exit 5 "nor where the certificate cannot be written" 'no-such-dir' certify 3 gw --manufacturer id:49465800
check_out "none then, either" true no_device
check "the authority certifies it" certify 3 gw --manufacturer id:49465800
cp "$D/ek3.pem" "$D/first.pem" && rm "$D/ek3.pem"
check "who lost the file asks again" certify 3 gw --manufacturer id:49465800
check "and gets the same certificate" cmp "$D/ek3.pem" "$D/first.pem"
names() { openssl x509 -in "$D/ek3.pem" -noout -text; }
check_out "as a maker would: key agreement" 'Key Agreement' names
check_out "the extended key usage of EKs" '2\.23\.133\.8\.1' names
check_out "the TPM's names" '2\.23\.133\.2\.1=id:49465800.*2\.23\.133\.2\.2=SLB9670.*2\.23\.133\.2\.3=id:00070055' names
check_out "on a CA of the authority's" 'Issuer: .*Attestation CA' names
expect_exit 5 "a second time it is a device already" 'device 1.*active' certify 3 other --manufacturer id:49465800
check_out "the list names it" 'gw\.us\.example' device list
check "an invitation for it" invite gw --ek "$D/ek3.pem"
expect_exit 5 "without its certificate the TPM has nothing to ask with" 'no endorsement certificate' request 3 gw
expect_exit 6 "another TPM has no use of it" 'another TPM' request 4 gw --ek "$D/ek3.pem"
check "with it the TPM asks" request 3 gw --ek "$D/ek3.pem"
check "and is judged and answered" issue gw
check "and opens the answer" import 3 gw

expect_exit 5 "its attestation key is under that EK, which has to be named" 'no endorsement certificate' \
    at 3 "$FUSETSU" attest ak --token m3 --pin-file "$D/pin"
check_out "then it is shown" 'EK +0x01C00014' at 3 "$FUSETSU" attest ak --token m3 --pin-file "$D/pin" --ek "$D/ek3.pem"
check "and quotes" at 3 "$FUSETSU" attest quote --token m3 --pin-file "$D/pin" --ek "$D/ek3.pem" --pcrs sha256:0 \
    --nonce 00112233445566778899 --message "$D/q.msg" --signature "$D/q.sig"

# --- what allies see -------------------------------------------------------------------------------
check "the root, for all to see" ca export root --out "$D/root.pem"
check "the attestation CA, for those who trust it with TPMs" ca export attestation --out "$D/attestation.pem"
verify() { "$FUSETSU" verify "$D/gw.pem" --evidence "$D/gw.evidence" --roots "$D/root.pem" "$@"; }
expect_exit 6 "an ally who trusts makers alone refuses it" 'check 18 failed.*Attestation CA' verify --ek-pins "$EK_CA_PEM"
check "one who pins the authority's word accepts it" verify --ek-pins "$D/attestation.pem"

# --- RSA -----------------------------------------------------------------------------------------------
check "the other TPM's EK, an RSA key" at 4 "$FUSETSU" attest ek --create rsa2048 --out "$D/ek4.pub"
check "is certified" certify 4 rsa --manufacturer id:53544D20
check_out "with key encipherment" 'Key Encipherment' openssl x509 -in "$D/ek4.pem" -noout -text
enrol() { invite rsa && request 4 rsa --ek "$D/ek4.pem" && issue rsa && import 4 rsa; }
check "and enrols" enrol
check "it may have one more name" device register --device 2 --name late.us.example --community communications \
    --officer "R. Officer"
ask() { invite late && request 4 late --ek "$D/ek4.pem"; }
check "asks for it" ask
check "and is quarantined meanwhile" device quarantine 2 --officer "R. Officer" --note sold
expect_exit 6 "then its certificate helps no more" 'check 22 failed.*quarantined' issue late

ask_again() { invite rsa && request 4 rsa --ek "$D/ek4.pem" --label again; }
check "the other device is let out of quarantine" device approve 2 --officer "R. Officer"
check "and asks for its first name again" ask_again
check "its endorsement key's certificate is revoked" ca revoke --reason keyCompromise \
    "$(openssl x509 -in "$D/ek4.pem" -noout -serial | sed 's/.*=//')"
expect_exit 6 "then the authority hears it no more" "check 22 failed.*certificate of the TPM's endorsement key is revoked" issue rsa

# --- a maker who leaves the extended key usage out ---------------------------------------------------------
maker() { # a CA, and its certificate for the P-384 EK of TPM 3
    cat >"$D/maker.cnf" <<'TEXT'
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[ek]
basicConstraints = critical, CA:FALSE
keyUsage = critical, keyAgreement
authorityKeyIdentifier = keyid
subjectAltName = dirName:tpm
[tpm]
0.2.23.133.2.1 = id:4E544300
0.2.23.133.2.2 = NPCT75x
0.2.23.133.2.3 = id:00070002
TEXT
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/maker.key" -out "$D/maker.pem" \
        -subj /CN=maker -days 9 -config "$D/maker.cnf" -extensions ca &&
        openssl req -new -key "$D/maker.key" -subj /CN=ek -config "$D/maker.cnf" -out "$D/any.csr" &&
        openssl x509 -req -in "$D/any.csr" -CA "$D/maker.pem" -CAkey "$D/maker.key" -CAcreateserial -days 9 \
            -extfile "$D/maker.cnf" -extensions ek -force_pubkey "$D/ek384.pub" -out "$D/ek384.pem"
}
check "a third EK" at 3 "$FUSETSU" attest ek --create p384 --out "$D/ek384.pub"
check "a maker certifies it without that usage" maker
check "it is registered" device register --ek "$D/ek384.pem" --operator "Example Telecom" --name odd.us.example \
    --community communications --officer "R. Officer"
odd() { rm -f "$D/odd.sealed" && invite odd && request 3 odd --ek "$D/ek384.pem" --label "odd$1" && issue odd; }
expect_exit 6 "a maker that is not pinned" 'check 18 failed.*no pinned issuer' odd 1
cp "$D/ca/ek-pins.pem" "$D/pins" && cat "$D/maker.pem" >>"$D/ca/ek-pins.pem"
expect_exit 6 "pinned like others" 'check 18 failed.*lacks the extended key usage' odd 2
cp "$D/pins" "$D/ca/ek-pins.pem" && cp "$D/maker.pem" "$D/ca/ek-pins-no-eku.pem"
check "pinned as one that leaves it out" odd 3
check "the TPM opens the answer" import 3 odd
oddly() { "$FUSETSU" verify "$D/odd.pem" --evidence "$D/odd.evidence" --roots "$D/root.pem" --ek-pins "$EK_CA_PEM" "$@"; }
expect_exit 6 "an ally decides for himself: no" 'check 18 failed' oddly
check "or yes" oddly --ek-pins-no-eku "$D/maker.pem"
finish
