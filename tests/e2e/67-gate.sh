#!/bin/bash
# Goal: an ally's CA goes wrong and certifies what it must not: another community, no policy at all, a lower
# level, a name of ours beside its own. OpenVPN alone lets some of that in; with the gate before it nothing
# comes through but what the federation bounds. Clearances count in the words of both systems, and only
# where a row says so. The ally's authority is made with bare OpenSSL here, which no rule of ours holds.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

ARC=1.3.6.1.4.1.32473.1.1
ossl() { openssl "$@" >>"$D/openssl.log" 2>&1 || { tail -n 5 "$D/openssl.log" && return 1; }; }
# --- the ally -------------------------------------------------------------------------------
cat >"$D/jp.cnf" <<TEXT
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
certificatePolicies = 2.5.29.32.0
[cross_ca]
basicConstraints = critical, CA:TRUE, pathlen:1
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
certificatePolicies = 2.5.29.32.0
[issuing]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
extendedKeyUsage = serverAuth, clientAuth, 1.3.6.1.5.5.7.3.17
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3, $ARC.1.4
[cross]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
extendedKeyUsage = serverAuth, clientAuth, 1.3.6.1.5.5.7.3.17
authorityKeyIdentifier = keyid
certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3, $ARC.1.4
nameConstraints = critical, permitted;DNS:us.example
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:gw.jp.example
authorityKeyIdentifier = keyid
[good]
certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3
[low]
certificatePolicies = $ARC.1.1, $ARC.1.2
[electricity]
certificatePolicies = $ARC.2.1, $ARC.2.2, $ARC.2.3
[none]
[mail]
certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3
subjectAltName = DNS:gw.jp.example, otherName:1.3.6.1.5.5.7.8.7;IA5STRING:_x.us.example
[confidential]
certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3
2.5.29.9 = ASN1:SEQUENCE:sda3
[restricted]
certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3
2.5.29.9 = ASN1:SEQUENCE:sda2
[ours]
certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3
2.5.29.9 = ASN1:SEQUENCE:sda4
[sda3]
a = SEQUENCE:attribute3
[attribute3]
type = OID:2.5.4.55
values = SET:values3
[values3]
clearance = SEQUENCE:clearance3
[clearance3]
policy = OID:1.3.6.1.4.1.32473.8.2
classes = FORMAT:BITLIST,BITSTRING:3
[sda4]
a = SEQUENCE:attribute4
[attribute4]
type = OID:2.5.4.55
values = SET:values4
[values4]
clearance = SEQUENCE:clearance4
[clearance4]
policy = OID:1.3.6.1.4.1.32473.8.1
classes = FORMAT:BITLIST,BITSTRING:4
[sda2]
a = SEQUENCE:attribute2
[attribute2]
type = OID:2.5.4.55
values = SET:values2
[values2]
clearance = SEQUENCE:clearance2
[clearance2]
policy = OID:1.3.6.1.4.1.32473.8.2
classes = FORMAT:BITLIST,BITSTRING:2
TEXT
certify() { # certify NAME SUBJECT BY EXTENSIONS [CURVE]
    [ -s "$D/$1.key" ] || ossl ecparam -name "${5:-prime256v1}" -genkey -noout -out "$D/$1.key" || return 1
    ossl req -new -key "$D/$1.key" -subj "$2" -config "$D/jp.cnf" -out "$D/$1.csr" &&
        ossl x509 -req -in "$D/$1.csr" -CA "$D/$3.pem" -CAkey "$D/$3.key" -set_serial "0x4$(openssl rand -hex 15)" \
            -days 30 -sha384 -extfile "$4" -extensions x -out "$D/$1.pem"
}
section() { # section NAME...: a file with the lines of these sections as [x], the later ones winning
    local name
    { echo '[x]' && for name in "$@"; do sed -n "/^\[$name\]/,/^\[/p" "$D/jp.cnf" | grep -v '^\['; done |
        awk -F= '{ k[$1] = $0; if (!($1 in n)) { n[$1] = ++c; o[c] = $1 } } END { for (i = 1; i <= c; i++) print k[o[i]] }'
    sed -n '/^\[sda3\]/,$p' "$D/jp.cnf"; } >"$D/ext.cnf"
    echo "$D/ext.cnf"
}
ally() {
    ossl ecparam -name secp384r1 -genkey -noout -out "$D/jp-root.key" &&
        ossl req -x509 -key "$D/jp-root.key" -subj "/C=JP/O=JP Test/CN=JP Root" -days 3000 -sha384 -config "$D/jp.cnf" -extensions root -out "$D/jp-root.pem" &&
        certify jp-cross "/C=JP/O=JP Test/CN=JP Cross CA" jp-root "$(section cross_ca)" secp384r1 &&
        certify jp-issuing "/C=JP/O=JP Test/OU=communications/CN=JP communications CA" jp-root "$(section issuing)"
}
check "an authority of JP, with OpenSSL" ally

# --- and ours ------------------------------------------------------------------------------------
us() { at 1 "$FUSETSU" "$@"; }
check "a token" us token init --label us --so-pin-file "$D/so" --pin-file "$D/pin"
check "an authority of US" us ca init --any-tpm --dir "$D/ca" --token us --pin-file "$D/pin" --nation US --org "US Test" \
    --domain us.example --communities communications --ek-pins "$EK_CA_PEM" --clearance-policy 1.3.6.1.4.1.32473.8.1 \
    --clearances secret=SECRET,confidential=CONFIDENTIAL
cross() { us ca cross --dir "$D/ca" --ally "$D/jp-issuing.pem" --community communications --ally-nation JP \
    --ally-domain jp.example --pin-file "$D/pin" --out "$D/us-to-jp.pem" "$@"; }
expect_exit 2 "what an ally may grant is of its system" 'go together' cross --clearances confidential
expect_exit 1 "in the words of the standard" 'no class of RFC 5913' cross --clearance-policy 1.3.6.1.4.1.32473.8.2 --clearances 極秘
check "certifies JP's CA" cross --clearance-policy 1.3.6.1.4.1.32473.8.2 --clearances restricted,confidential
check "JP certifies that of US" us ca export --dir "$D/ca" issuing:communications --out "$D/us-issuing.pem"
back() { # by the public key alone, with the same name
    openssl x509 -in "$D/us-issuing.pem" -pubkey -noout >"$D/us-issuing.pub" &&
        ossl req -new -key "$D/jp-root.key" -config "$D/jp.cnf" -out "$D/b.csr" -subj "$(openssl x509 -in "$D/us-issuing.pem" -noout -subject -nameopt compat,sep_multiline | sed -n 's/^ *//p' | sed '1d' | paste -sd/ | sed 's/^/\//')" &&
        ossl x509 -req -in "$D/b.csr" -force_pubkey "$D/us-issuing.pub" -CA "$D/jp-cross.pem" -CAkey "$D/jp-cross.key" \
            -set_serial 77 -days 30 -sha384 -extfile "$(section cross)" -extensions x -out "$D/jp-to-us.pem"
}
check "back" back
der() { openssl x509 -in "$1" -outform DER | base64 -w 0; }
jp_part() {
    printf '[authority JP]\norg = JP Test\ndomain = jp.example\nroot = %s\ncross_ca = %s\n\n' "$(der "$D/jp-root.pem")" "$(der "$D/jp-cross.pem")"
    printf '[community communications JP]\nissuing = %s\ncross = %s\naccepts = 3\n\n' "$(der "$D/jp-issuing.pem")" "$(der "$D/jp-to-us.pem")"
    printf '[clearance JP]\npolicy = 1.3.6.1.4.1.32473.8.2\nrestricted = 秘\nconfidential = 極秘\n'
}
jp_part >"$D/jp.part"
check "our part" us federation part --dir "$D/ca" --ally JP --communities communications --out "$D/us.part"
check "which has our clearances" grep -qx 'secret = SECRET' "$D/us.part"
check "a draft" us federation draft --name us-jp "$D/us.part" "$D/jp.part" --out "$D/1.txt"
printf '\n[equivalence JP US]\nconfidential = secret\n' >>"$D/1.txt"
check "we sign it" us federation sign --dir "$D/ca" --pin-file "$D/pin" "$D/1.txt" --out "$D/1.half"
check "so does JP, with OpenSSL" ossl cms -resign -inform PEM -in "$D/1.half" -signer "$D/jp-root.pem" -inkey "$D/jp-root.key" \
    -md sha384 -nocerts -nosmimecap -binary -outform PEM -out "$D/1.fed"
check "our root" us ca export --dir "$D/ca" root --out "$D/us-root.pem"
check "applied" us federation apply --nation US --root "$D/us-root.pem" --ally-root "$D/jp-root.pem" --to "$D/trust" "$D/1.fed"

# --- what the ally certifies -------------------------------------------------------------------------
leaf() { certify "$1" "/C=JP/O=JP Test/CN=${3:-gw.jp.example}" jp-issuing "$(section leaf "$2")"; }
for kind in good low electricity none mail confidential restricted ours; do check "a leaf: $kind" leaf $kind $kind; done
check "a leaf whose common name is one of ours" leaf forged good gw.us.example
gate() { us gate --trust "$D/trust" --community communications "$@"; }
refuses() { expect_exit 6 "the gate refuses: $1" "$2" gate "${@:3}"; }
check_out "the gate lets the good one in" 'is let in' gate "$D/good.pem"
check "by its name" gate --name gw.jp.example --usage server "$D/good.pem"
refuses "another name" 'not let in' --name gw.us.example "$D/good.pem"
refuses "a lower level" 'none of the policies' "$D/low.pem"
check "which lets that in when it is what is asked for" gate --level 2 "$D/low.pem"
refuses "the policy of another community" 'polic' "$D/electricity.pem"
refuses "no policy at all" 'polic' "$D/none.pem"
refuses "a common name of ours beside a good name" 'common name' "$D/forged.pem"
refuses "a name of a kind that nothing bounds" 'not let in' "$D/mail.pem"
refuses "a CA" 'not let in' "$D/jp-issuing.pem"
refuses "one that nobody in the federation certified" 'not let in' "$D/us-issuing.pem"
expect_exit 6 "a community that is not open" 'not open' us gate --trust "$D/trust" --community electricity "$D/good.pem"
check_out "in JSON" '"accepted": true' gate --json "$D/good.pem"
# --- clearances
refuses "no clearance where one is asked for" 'no clearance of either nation' --clearance secret "$D/good.pem"
check "極秘 counts as SECRET" gate --clearance secret "$D/confidential.pem"
refuses "秘 does not, in the words of both systems" '秘 of JP; wanted is SECRET of US, as which counts 極秘 of JP' --clearance secret "$D/restricted.pem"
refuses "nor does 極秘 count as CONFIDENTIAL: no row says so" 'CONFIDENTIAL of US, as which nothing of JP counts' \
    --clearance confidential "$D/confidential.pem"
refuses "SECRET by the ally's own hand" 'clearance' --clearance secret "$D/ours.pem"
# --- our own, by an invitation, with the key in a TPM
expect_exit 1 "a clearance that we have not" 'there are: SECRET, CONFIDENTIAL' us ca invite --dir "$D/ca" --community communications \
    --name cleared.us.example --clearance top-secret --out "$D/i"
enrol() { # enrol NAME CLEARANCE
    us ca invite --dir "$D/ca" --community communications --name "$1.us.example" --clearance "$2" --out "$D/$1.invite" &&
        us request --token us --pin-file "$D/pin" --invite "$D/$1.invite" --type p256 --label "$1" --out "$D/$1.request" &&
        us ca issue --dir "$D/ca" --pin-file "$D/pin" --request "$D/$1.request" --out "$D/$1.sealed" &&
        us cert import --token us --pin-file "$D/pin" "$D/$1.sealed" --out "$D/$1.chain" &&
        openssl x509 -in "$D/$1.chain" -out "$D/$1.pem"
}
check "a gateway of ours, cleared for SECRET" enrol cleared SECRET
check "is let in with it" gate --clearance secret "$D/cleared.pem"
check "and with what is below" gate --clearance confidential "$D/cleared.pem"
check "another, for CONFIDENTIAL" enrol less confidential
refuses "is not, where SECRET is wanted" 'CONFIDENTIAL of US; wanted is SECRET of US' --clearance secret "$D/less.pem"
month() { openssl x509 -in "$D/cleared.pem" -noout -checkend $((31 * 86400)) && return 1; openssl x509 -in "$D/cleared.pem" -noout -checkend $((29 * 86400)); }
check "for 30 days, not 90" month
expect_exit 1 "we have no such class" 'no such class' gate --clearance top-secret "$D/confidential.pem"

# --- OpenVPN ---------------------------------------------------------------------------------------------
if ! command -v openvpn >/dev/null; then
    skip "OpenVPN" "it is not installed (Debian: openvpn)" && finish
fi
mkdir "$D/export"
# Our end has a key in a file here, and JP's end trusts it: what is judged is JP's certificate.
ossl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/us.key" -out "$D/us.pem" -subj /CN=us -days 9 -config "$D/jp.cnf"
up() { grep -q 'Initialization Sequence Completed' "$D/a.log"; }
over() { up || gone "$a" || grep -qE 'VERIFY (SCRIPT|X509NAME|KU|EKU)? ?ERROR|TLS handshake failed|VERIFY ERROR' "$D/a.log"; }
tunnel() { # tunnel LEAF OPTION...: ours and theirs, without a device; did it come up?
    local leaf=$1 a b p q rc=0
    shift
    p=$(free_port) && q=$(free_port) || return 1
    : >"$D/a.log"
    openvpn --dev null --proto udp --local 127.0.0.1 --lport "$p" --remote 127.0.0.1 "$q" --tls-server --dh none \
        --ca "$D/trust/communications.pem" --cert "$D/us.pem" --key "$D/us.key" --data-ciphers AES-256-GCM --verb 3 \
        --script-security 2 "$@" >"$D/a.log" 2>&1 </dev/null & a=$!
    openvpn --dev null --proto udp --local 127.0.0.1 --lport "$q" --remote 127.0.0.1 "$p" --tls-client \
        --ca "$D/us.pem" --cert "$D/$leaf.pem" --key "$D/$leaf.key" --data-ciphers AES-256-GCM --verb 1 >"$D/b.log" 2>&1 </dev/null & b=$!
    STORY_PIDS+=("$a" "$b")
    poll 30 over
    up || rc=1
    cat "$D/a.log"
    end "$a" && end "$b"
    wait "$a" "$b" 2>/dev/null
    return "$rc"
}
before=(--tls-export-cert "$D/export" --tls-verify "$FUSETSU gate --openvpn --trust $D/trust --community communications")
gated() { local l=$1; shift; tunnel "$l" "${before[@]}" "$@"; }
check "OpenVPN alone takes the good one" tunnel good
check "with the gate, too" gated good
for kind in none electricity; do
    check "OpenVPN alone takes what has the policy: $kind" tunnel $kind
    expect_fail "the gate does not" 'is not let in|VERIFY SCRIPT ERROR' gated $kind
done
check "OpenVPN alone takes the forged name for ours" tunnel forged --verify-x509-name gw.us.example name
expect_fail "the gate does not" 'VERIFY SCRIPT ERROR' gated forged --verify-x509-name gw.us.example name
# As setup writes it: with a key of the token, which OpenVPN here only has to find.
self() { OPENSSL_CONF=$D/engine.cnf foreign openssl req -engine pkcs11 -keyform engine -key "$(key_uri us vpn)" -new -x509 -subj /CN=vpn.us.example -days 9 -out "$D/vpn.pem"; }
engine_conf "$D/engine.cnf"
check "a key of the token" us key generate --token us --type p256 --label vpn --pin-file "$D/pin"
at_1() { at 1 "$@"; }
check "its certificate" at_1 self
check "is in the token" us cert import --token us --pin-file "$D/pin" "$D/vpn.pem"
setup() { HOME=$D us setup openvpn --user --token us --label vpn --trust "$D/trust" --community communications "$@"; }
check_out "setup names whom to trust, and the gate" "^ +ca '$D/trust/communications.pem'" setup
check_out "as it is called here" "^ +tls-verify '$FUSETSU gate --openvpn --trust $D/trust --community communications'" setup
lines() { setup --file "$D/their.conf" && grep -E '^(tls-export-cert|tls-verify|script-security) ' "$D/their.conf" | wc -l | grep -x 3; }
check "in a file" lines
printf 'ca /etc/ca.pem\n' >"$D/other.conf"
expect_fail "not beside another ca" 'has "ca"' setup --file "$D/other.conf"
nothing_exported() { [ -z "$(ls "$D/export")" ]; }
check "no certificate was left behind" nothing_exported
finish
