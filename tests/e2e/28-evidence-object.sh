#!/bin/bash
# Goal: what proves where a key lives travels with the key. A machine enrols; `cert import` keeps the
# evidence in the token, and from then on any PKCS#11 program finds it there without a login, by the
# key's name, whole: `fusetsu verify` accepts it. It does not get in the way of the certificate that
# it speaks for, and a renewed key has one.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

check "an authority's token" "$FUSETSU" token init --label authority --so-pin-file "$D/so" --pin-file "$D/pin"
check "a gateway's token" "$FUSETSU" token init --label gw --so-pin-file "$D/so" --pin-file "$D/pin"
ca() { local c=$1; shift; "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
check "an authority" ca init --any-tpm --token authority --pin-file "$D/pin" --nation US --org Test --domain us.example \
    --communities communications --ek-pins "$EK_CA_PEM"
enrol() { # enrol LABEL REQUEST-OPTION...: invited, requested, issued
    local name=$1.us.example
    ca invite --community communications --name "$name" --out "$D/$1.invite" &&
        "$FUSETSU" request --token gw --pin-file "$D/pin" --invite "$D/$1.invite" --out "$D/$1.request" "${@:2}" &&
        ca issue --pin-file "$D/pin" --request "$D/$1.request" --out "$D/$1.sealed"
}
import() { "$FUSETSU" cert import --token gw --pin-file "$D/pin" "$D/$1.sealed" --out "$D/$1.pem" "${@:2}"; }
do_() { foreign "$B/p11do" "$MODULE" open-ro gw "$@"; }
gw() { p11 --token-label gw "$@"; }
ca export root --out "$D/root.pem" >"$D/out" 2>&1
ca export issuing:communications --out "$D/issuing.pem" >"$D/out" 2>&1

# --- enrolled ---------------------------------------------------------------

none() { gw -O --type cert >"$D/list" && ! grep evidence "$D/list"; }
check "an EC key is enrolled" enrol tls --type p256 --label tls
check "before the import there is no evidence" none
expect_exit 5 "nor does cert export find any" 'no evidence' \
    "$FUSETSU" cert export --token gw --pin-file "$D/pin" --evidence --label tls --out "$D/x"
check "it is imported, and the evidence written to a file as well" import tls --evidence "$D/tls.evidence"
check "an RSA key is enrolled" enrol rsa --type rsa2048 --label rsa
check "and imported, with no file named" import rsa

# --- found by any program, without a login ----------------------------------

for key in tls rsa; do
    what="$key:"
    seen() { gw -O --type cert; }
    check_out "$what a certificate object of that label is there before login" "label: *evidence: $key\$" seen
    whole() {
        do_ find e "class=cert,label=evidence: $key" get "$D/$key.record" e evidence get "$D/$key.ak" e value &&
            grep -q 'BEGIN FUSETSU EVIDENCE' "$D/$key.record"
    }
    check "$what its record is read through PKCS#11" whole
    check_out "$what beside it the attestation key's certificate" 'CN ?= ?AK ' \
        openssl x509 -inform DER -in "$D/$key.ak" -noout -subject
    judged() { # judged RECORD CERTIFICATE
        "$FUSETSU" verify --evidence "$1" --ek-pins "$EK_CA_PEM" --evidence-roots "$D/root.pem" "$2"
    }
    check_out "$what \`fusetsu verify\` accepts it" 'Evidence: accepted, proves level 3' \
        judged "$D/$key.record" "$D/$key.pem"
    exported() {
        "$FUSETSU" cert export --token gw --pin-file "$D/pin" --evidence --label $key --out "$D/exported" &&
            cmp "$D/exported" "$D/$key.record"
    }
    check "$what \`fusetsu cert export --evidence\` gives the same bytes" exported
    tool() { gw --read-object --type cert --label "evidence: $key" --output-file "$D/back" && cmp "$D/back" "$D/$key.ak"; }
    check "$what pkcs11-tool reads it by its label" tool
    # What the key itself says, to its user.
    agrees() {
        local a
        for a in name qualified-name policy; do
            [ "$(do_ find e "class=cert,label=evidence: $key" get - e $a)" = \
                "$(do_ login "$D/pin" find e "class=private,label=$key" get - e $a)" ] || { echo "$a differs" && return 1; }
        done
    }
    check "$what Name, qualified name and policy are those of the key" agrees
    by_name() {
        local name
        name=$(do_ login "$D/pin" find k "class=private,label=$key" get - k name | tail -n 1)
        [ ${#name} -eq 68 ] && do_ find e "class=cert,name=$name" get "$D/back" e evidence && cmp "$D/back" "$D/$key.record"
    }
    check_out "$what it is found by the key's Name, and it alone" '^e: 1$' by_name
    attested() { # the record has that Name in it, where the TPM signed it
        local name
        name=$(do_ find e "class=cert,label=evidence: $key" get - e name | tail -n 1)
        sed -n '/BEGIN FUSETSU EVIDENCE/,/END FUSETSU EVIDENCE/p' "$D/$key.record" | sed '/^-----/d' | base64 -d |
            xxd -p | tr -d '\n' | grep -q "$name"
    }
    check "$what the record holds that Name" attested
done
check "the file that import wrote is the same" cmp "$D/tls.evidence" "$D/tls.record"
expect_exit 6 "the evidence of one key does not do for another" '24 +FAILED|check 24 failed' judged "$D/rsa.record" "$D/tls.pem"
altered() { # one byte of the record
    local at
    sed -n '/BEGIN FUSETSU EVIDENCE/,/END FUSETSU EVIDENCE/p' "$D/tls.record" | sed '/^-----/d' | base64 -d >"$D/raw"
    at=$(($(stat -c %s "$D/raw") / 2))
    printf '%b' "\\x$(printf %02x $((0x$(xxd -s $at -l 1 -p "$D/raw") ^ 1)))" | dd of="$D/raw" bs=1 seek=$at conv=notrunc status=none
    { grep -B 99 'BEGIN FUSETSU EVIDENCE' "$D/tls.record" && base64 -w 64 "$D/raw" &&
        sed -n '/END FUSETSU EVIDENCE/,$p' "$D/tls.record"; } >"$D/altered"
    judged "$D/altered" "$D/tls.pem"
}
expect_fail "nor one with a bit changed" 'check|evidence|Evidence' altered
check "an ordinary certificate has no such attribute" do_ find c class=cert,label=tls fails CKR_ATTRIBUTE_TYPE_INVALID get - c evidence
check "it is only read, with a session that reads" do_ find e "class=cert,label=evidence: tls" \
    fails 0xb5 set e label=other fails 0xb5 destroy e
rewrite() { foreign "$B/p11do" "$MODULE" open gw login "$D/pin" find e "class=cert,label=evidence: tls" "$@"; }
check "nor is the record changed by its owner" rewrite fails CKR_ATTRIBUTE_READ_ONLY set e evidence=00

# --- beside the certificate that it speaks for ------------------------------

id_of() { do_ find c "$1" get - c id | tail -n 1; }
key_id=$(do_ login "$D/pin" find k class=private,label=tls get - k id | tail -n 1)
its_own() { [ "$(id_of class=cert,label=tls)" = "$key_id" ] && [ "$(id_of 'class=cert,label=evidence: tls')" != "$key_id" ]; }
check "the client certificate has the key's id, the evidence another" its_own
by_id() {
    gw --read-object --type cert --id "$key_id" --output-file "$D/back" &&
        openssl x509 -inform DER -in "$D/back" -outform PEM | cmp - <(openssl x509 -in "$D/tls.pem")
}
check "pkcs11-tool takes the client certificate by the key's id" by_id
expect_fail "no private key is under the evidence's id" 'not found' gw --login --pin "$PIN" --sign \
    --id "$(id_of 'class=cert,label=evidence: tls')" --mechanism ECDSA --input-file "$D/pin" --output-file "$D/sig"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/server.key" \
    -out "$D/server.pem" -subj /CN=server -addext subjectAltName=IP:127.0.0.1 -days 2 2>/dev/null
cat "$D/root.pem" "$D/issuing.pem" >"$D/clients.pem"
background openssl s_server -accept 127.0.0.1:0 -www -key "$D/server.key" -cert "$D/server.pem" \
    -CAfile "$D/clients.pem" -Verify 3 -verify_return_error -tls1_3 >"$D/server.out" 2>&1 </dev/null
server=$LAST
accepting() {
    gone "$server" && return 0
    port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\).*/\1/p' "$D/server.out")
    [ -n "$port" ]
}
poll 10 accepting
engine_conf "$D/openssl.cnf"
percent=$(sed 's/../%&/g' <<<"$key_id")
visit() { # visit KEY CERT: by URIs
    OPENSSL_CONF=$D/openssl.cnf foreign curl --silent --show-error --max-time 30 --cacert "$D/server.pem" \
        --engine pkcs11 --key-type ENG --key "$1" --cert-type ENG --cert "$2" "https://127.0.0.1:$port/"
}
if curl --version | grep -q OpenSSL; then
    check_out "OpenSSL's engine finds key and certificate by that id, and a server takes them" 'CN ?= ?tls.us.example' \
        visit "pkcs11:token=gw;id=$percent;type=private?pin-source=file:$D/pin" "pkcs11:token=gw;id=$percent;type=cert"
    check_out "and by their label" 'CN ?= ?tls.us.example' visit "$(key_uri gw tls)" 'pkcs11:token=gw;object=tls;type=cert'
    expect_fail "with the evidence as its certificate it is turned away" 'error|alert|unable|engine' \
        visit "$(key_uri gw tls)" 'pkcs11:token=gw;object=evidence:%20tls;type=cert'
else
    skip "curl --engine pkcs11" "this curl is not built with OpenSSL"
fi
gnutls() {
    printf 'GET / HTTP/1.0\r\n\r\n' | GNUTLS_PIN=$PIN "${FOREIGN[@]}" timeout 30 gnutls-cli --provider="$MODULE" \
        --x509cafile "$D/server.pem" --x509keyfile "pkcs11:token=gw;id=$percent;type=private" \
        --x509certfile "pkcs11:token=gw;id=$percent;type=cert" --port "$port" 127.0.0.1
}
check_out "GnuTLS as well" 'CN ?= ?tls.us.example' gnutls
end "$server"
if command -v certutil >/dev/null; then
    mkdir "$D/nss" && echo "$PIN" >"$D/nss.pin"
    nss() {
        foreign certutil -N -d "sql:$D/nss" --empty-password &&
            foreign modutil -dbdir "sql:$D/nss" -force -add fusetsu -libfile "$MODULE" &&
            foreign certutil -L -d "sql:$D/nss" -h gw -f "$D/nss.pin"
    }
    check_out "NSS has the certificate as one of ours" 'gw:tls +u,u,u' nss
    not_ours() { ! grep -E 'evidence: .* u,' "$D/list"; }
    cp "$D/out" "$D/list"
    check "and not the evidence" not_ours
else
    skip "NSS" "its tools are not installed"
fi

# --- renewed ----------------------------------------------------------------

count() { do_ find e "class=cert,label=evidence: $1"; }
mv "$D/tls.record" "$D/first.record"
mv "$D/tls.pem" "$D/first.pem"
check "the same key is enrolled again" enrol tls --key tls
check "and imported" import tls
check_out "there is one evidence object for it" '^e: 1$' count tls
renewed() { do_ find e "class=cert,label=evidence: tls" get "$D/tls.record" e evidence && ! cmp -s "$D/tls.record" "$D/first.record"; }
check "it is the new one" renewed
check_out "it proves the new certificate" 'Evidence: accepted' judged "$D/tls.record" "$D/tls.pem"
expect_exit 6 "and not the old one" 'check 24 failed' judged "$D/tls.record" "$D/first.pem"
check_out "that of the other key is as it was" '^e: 1$' count rsa
rsa_still() { do_ find e "class=cert,label=evidence: rsa" get "$D/back" e evidence && cmp "$D/back" "$D/rsa.record"; }
check "to the byte" rsa_still
check "importing the same once more" import tls
check_out "changes nothing of that" '^e: 1$' count tls

# --- what there is no evidence for ------------------------------------------

check "a key that may leave" "$FUSETSU" key generate --token gw --pin-file "$D/pin" --type p256 --label out --extractable
expect_fail "is not certified" 'leave|check 12|extract' enrol out --key out
nothing() { [ ! -s "$D/out.sealed" ] && ! grep -q . <(gw -O --type cert 2>/dev/null | grep 'evidence: out'); }
check "nothing was issued to it" nothing
finish
