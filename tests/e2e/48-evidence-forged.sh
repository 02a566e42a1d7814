#!/bin/bash
# Goal: a thief who has a genuine TPM with a genuine EK, and commands it as he likes, gets no
# certificate for a key that is not locked into it: each of his tries is refused by the check that is
# there for it. What he might get sealed, he cannot open.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

# TPM 1: the authority. TPM 2: the thief's.
ca() { local c=$1; shift; at 1 "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
thief() { TPM2TOOLS_TCTI=$TPM_TCTI_2 at 2 "$@"; }
invite() { ca invite --community communications --name "$1" --out "$D/invite"; }
issue() { rm -f "$D/sealed"; ca issue --pin-file "$D/pin" --request "$D/request" --out "$D/sealed" "$@"; }
issued() { [ -s "$D/sealed" ]; }
EK=0x81010016 CERT=$D/ek.pem
try() { thief "$B/tpmforge" --how "$1" --invite "$D/invite" --ek-cert "$CERT" --ek $EK --out "$D/request" "${@:2}"; }
# refused HOW WHAT CHECK PATTERN: by the checks CHECK, in order, no others; and for that reason.
refused() {
    check "$2" invite thief.us.example
    check "... is put together" try "$1" || return
    expect_exit 6 "... is refused" "check ${3%% *} failed|answers no invitation" issue --json || return
    sed -n '/^{/,/^}/p' "$D/out" >"$D/json"
    check_out "... by nothing else" "^$3\$" jq -r '[.verdict.checks[] | select(.outcome == "fail").check] | join(" ")' "$D/json"
    check_out "... because of that" "$4" jq -r '.verdict.checks[] | select(.outcome == "fail").reason' "$D/json"
    check "... and nothing is issued" test ! -s "$D/sealed"
}

check "an authority's token" at 1 "$FUSETSU" token init --label authority --so-pin-file "$D/so" --pin-file "$D/pin"
check "an authority that any TPM of the maker may ask" ca init --any-tpm --token authority --pin-file "$D/pin" \
    --nation US --org Test --domain us.example --communities communications --ek-pins "$EK_CA_PEM"
check "the certificate of the thief's EK" thief "$FUSETSU" attest ek --out "$D/all.pem"
openssl x509 -in "$D/all.pem" -out "$CERT"

# --- the control: by bare commands, and nothing wrong -----------------------------------------------
check "invited" invite thief.us.example
check "an honest request by the same commands" try good --keep-ak 0x81000100
check "is issued" issue
check "and sealed" issued

# --- what was sealed, opened by other tools -----------------------------------------------------------
octets() { # octets FILE N: the N-th OCTET STRING at the outermost level, in hex
    sed '/^-----/d' "$1" | base64 -d >"$D/der" &&
        openssl asn1parse -inform DER -in "$D/der" | awk -v n="$2" '/d=1 .*OCTET STRING/ && ++i == n { sub(/.*HEX DUMP\]:/, ""); print }'
}
tpm2b() { printf '%04x%s' $((${#1} / 2)) "$1"; }
# As tpm2_makecredential writes it: magic, version, TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET.
credential() { { printf badcc0de00000001; tpm2b "$(octets "$D/sealed" 2)"; tpm2b "$(octets "$D/sealed" 3)"; } | xxd -r -p >"$D/cred"; }
activate() { thief tpm2_activatecredential -Q -c "$1" -C $EK -i "$D/cred" -o "$D/opened"; }
check "the sealed answer, as other tools take it" credential
check "is opened in the TPM, for the attestation key that is there" activate 0x81000100
check "by them: it holds an AES key" test "$(stat -c %s "$D/opened")" = 32
check "invited" invite thief.us.example
check "a software key that claims to be an attestation key, in every byte" "$B/forge" --perfect \
    --invite "$D/invite" --ek-cert "$CERT" --out "$D/request"
check "gets a sealed answer" issue
check "for the thief's own EK" credential
ak_public() { tpm2b "$(octets "$D/request" 1)" | xxd -r -p >"$D/ak.tpm2b"; }
check "its public area" ak_public
check "can be loaded, for that needs no private key" thief tpm2_loadexternal -Q -C e -u "$D/ak.tpm2b" -c "$D/ak.ctx"
tidy 2
rm -f "$D/opened"
expect_fail "but nothing is opened for it: it is not in the TPM" '0x(9|1)?(12F|98E|9A2)|authValue|unavailable' activate "$D/ak.ctx"
check "nothing" test ! -e "$D/opened"
check "nor for the key that is there" bash -c "! timeout 20 tpm2_activatecredential -Q -T '$TPM_TCTI_2' -c 0x81000100 -C $EK -i '$D/cred' -o '$D/opened'"
tidy 2

# --- attestation keys ---------------------------------------------------------------------------------
refused external-ak "a software attestation key that TPM2_LoadExternal brought in" '8 9' 'fixedTPM is clear.*restricted is clear'
refused unrestricted "an attestation key that signs whatever it is given" 8 'restricted is clear'
refused primary-ak "a restricted key that is not the EK's child" 9 'qualified name of the signer'
refused sha1 "an attestation key that signs with SHA-1" 5 '0004'
refused constant "the constant that tpm2_certify puts in the nonce's place" 16 'a nonce of 0 bytes'
refused quote "a quote in the place of the Certify statement" 4 '8018'

# --- keys ------------------------------------------------------------------------------------------------
refused signing-subject "the attestation key as its own subject" '12 14' 'the AK itself'
refused duplicable "a key that may leave" '12 13' 'fixedTPM is clear, fixedParent is clear'
refused moved "a key that came from another parent by TPM2_Duplicate and TPM2_Import" '12 13' 'fixedTPM is clear'
refused imported "a software key that TPM2_Import brought in" 12 'sensitiveDataOrigin is clear'
refused external "a software key that TPM2_LoadExternal brought in" '12 14' 'sensitiveDataOrigin is clear'
refused liar "an imported key whose public area says that it was made there" '10 14' 'attested Name'

# --- endorsement keys --------------------------------------------------------------------------------------
# A maker whose EKs are not made by the template that their certificate goes with: decryption, by all.
odd() {
    local m=$D/maker ca
    mkdir "$m" && thief tpm2_createprimary -Q -C e -g sha384 -G ecc384:aes256cfb \
        -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt' -c "$m/ctx" -f pem -o "$m/ek.pub" &&
        thief tpm2_evictcontrol -Q -C o -c "$m/ctx" 0x81010020 && thief tpm2_flushcontext -Q -t && cat >"$m/ext" <<'EXT' &&
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[ek]
basicConstraints = critical, CA:FALSE
keyUsage = critical, keyAgreement
extendedKeyUsage = 2.23.133.8.1
subjectAltName = critical, dirName:tpm
[tpm]
1.2.23.133.2.1 = id:00001014
2.2.23.133.2.2 = odd
3.2.23.133.2.3 = id:00000001
EXT
        for ca in root ek; do
            openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$m/$ca.key" -out "$m/$ca.csr" \
                -subj "/CN=odd maker $ca" || return 1
        done
    openssl x509 -req -in "$m/root.csr" -signkey "$m/root.key" -extfile "$m/ext" -extensions ca -days 9 -out "$m/root.pem" &&
        openssl x509 -req -in "$m/ek.csr" -CA "$m/root.pem" -CAkey "$m/root.key" -CAcreateserial -extfile "$m/ext" \
            -extensions ek -force_pubkey "$m/ek.pub" -days 9 -out "$m/ek.pem"
}
check "an endorsement key that everybody may use, certified by its maker" odd
EK=0x81010020 CERT=$D/maker/ek.pem
refused good "a request below it, of a maker that is not pinned" '9 18' 'no pinned issuer vouches'
cat "$D/maker/root.pem" >>"$D/ca/ek-pins.pem"
refused good "and of one that is" 9 'qualified name of the signer'
CERT=$D/ek.pem
refused good "a request below it, with the certificate of the genuine one" 9 'qualified name of the signer'
EK=0x81010016 CERT=$D/maker/ek.pem
refused good "and the other way round" 9 'qualified name of the signer'
finish
