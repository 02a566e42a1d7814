# shellcheck shell=bash
# Sourced after lib.sh and `story` by the stories of an ally that does what ours never would: the authority of JP is
# made with bare OpenSSL, with its keys in files, which no rule of ours holds. Ours, of US, is in TPM 1.
#
#   ARC                          the arc of the policies of communications and so on
#   ossl ARGUMENT...             openssl, quiet unless it fails
#   ally                         makes JP's root, Cross CA and issuing CA: $D/jp-{root,cross,issuing}.pem and .key
#   certify NAME SUBJECT BY EXTENSIONS [CURVE]   $D/NAME.pem, by that CA of JP
#   section NAME...              a file with the lines of these sections of jp.cnf as [x], the later ones winning
#   us COMMAND...                fusetsu with TPM 1
#   cross [OPTION...]            US certifies JP's issuing CA for communications: $D/us-to-jp.pem
#   agreed                       an authority of US in $D/ca; it and JP agree on communications and on clearances: applied
#                                in $D/trust
#   leaf NAME KIND [CN]          a leaf of JP with the lines of [KIND] in jp.cnf

ARC=1.3.6.1.4.1.32473.1.1
ossl() { openssl "$@" >>"$D/openssl.log" 2>&1 || { tail -n 5 "$D/openssl.log" && return 1; }; }
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
[person]
subjectAltName = email:mallory@jp.example
[server]
extendedKeyUsage = serverAuth
[ours]
certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3
2.5.29.9 = ASN1:SEQUENCE:sda4
TEXT
# Clearances, as [sdaCLASS]: 3 and 2 by JP's system, 4 by that of US.
for row in "3 2" "2 2" "4 1"; do
    read -r class system <<<"$row"
    cat >>"$D/jp.cnf" <<TEXT
[sda$class]
a = SEQUENCE:attribute$class
[attribute$class]
type = OID:2.5.4.55
values = SET:values$class
[values$class]
clearance = SEQUENCE:clearance$class
[clearance$class]
policy = OID:1.3.6.1.4.1.32473.8.$system
classes = FORMAT:BITLIST,BITSTRING:$class
TEXT
done
certify() { # certify NAME SUBJECT BY EXTENSIONS [CURVE]
    [ -s "$D/$1.key" ] || ossl ecparam -name "${5:-prime256v1}" -genkey -noout -out "$D/$1.key" || return 1
    ossl req -new -key "$D/$1.key" -subj "$2" -config "$D/jp.cnf" -out "$D/$1.csr" &&
        ossl x509 -req -in "$D/$1.csr" -CA "$D/$3.pem" -CAkey "$D/$3.key" -set_serial "0x4$(openssl rand -hex 15)" \
            -days 30 -sha384 -extfile "$4" -extensions x -out "$D/$1.pem"
}
section() {
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
us() { at 1 "$FUSETSU" "$@"; }
back() { # by the public key alone, with the same name
    openssl x509 -in "$D/us-issuing.pem" -pubkey -noout >"$D/us-issuing.pub" &&
        ossl req -new -key "$D/jp-root.key" -config "$D/jp.cnf" -out "$D/b.csr" -subj "$(openssl x509 -in "$D/us-issuing.pem" -noout -subject -nameopt compat,sep_multiline | sed -n 's/^ *//p' | sed '1d' | paste -sd/ | sed 's/^/\//')" &&
        ossl x509 -req -in "$D/b.csr" -force_pubkey "$D/us-issuing.pub" -CA "$D/jp-cross.pem" -CAkey "$D/jp-cross.key" \
            -set_serial 77 -days 30 -sha384 -extfile "$(section cross)" -extensions x -out "$D/jp-to-us.pem"
}
der() { openssl x509 -in "$1" -outform DER | base64 -w 0; }
jp_part() {
    printf '[authority JP]\norg = JP Test\ndomain = jp.example\nroot = %s\ncross_ca = %s\n\n' "$(der "$D/jp-root.pem")" "$(der "$D/jp-cross.pem")"
    printf '[community communications JP]\nissuing = %s\ncross = %s\naccepts = 3\n\n' "$(der "$D/jp-issuing.pem")" "$(der "$D/jp-to-us.pem")"
    printf '[clearance JP]\npolicy = 1.3.6.1.4.1.32473.8.2\nrestricted = 秘\nconfidential = 極秘\n'
}
cross() {
    us ca cross --dir "$D/ca" --ally "$D/jp-issuing.pem" --community communications --ally-nation JP --ally-domain jp.example \
        --pin-file "$D/pin" --out "$D/us-to-jp.pem" "$@"
}
agreed() {
    us token init --label us --so-pin-file "$D/so" --pin-file "$D/pin" &&
        us ca init --any-tpm --dir "$D/ca" --token us --pin-file "$D/pin" --nation US --org "US Test" \
            --domain us.example --communities communications --ek-pins "$EK_CA_PEM" --crl-url http://crl.us.example \
            --clearance-policy 1.3.6.1.4.1.32473.8.1 --clearances secret=SECRET,confidential=CONFIDENTIAL &&
        cross --clearance-policy 1.3.6.1.4.1.32473.8.2 --clearances restricted,confidential &&
        us ca export --dir "$D/ca" issuing:communications --out "$D/us-issuing.pem" && back || return 1
    jp_part >"$D/jp.part"
    us federation part --dir "$D/ca" --ally JP --communities communications --out "$D/us.part" &&
        us federation draft --name us-jp "$D/us.part" "$D/jp.part" --out "$D/1.txt" &&
        printf '\n[equivalence JP US]\nconfidential = secret\n' >>"$D/1.txt" &&
        us federation sign --dir "$D/ca" --pin-file "$D/pin" "$D/1.txt" --out "$D/1.half" &&
        ossl cms -resign -inform PEM -in "$D/1.half" -signer "$D/jp-root.pem" -inkey "$D/jp-root.key" \
            -md sha384 -nocerts -nosmimecap -binary -outform PEM -out "$D/1.fed" &&
        us ca export --dir "$D/ca" root --out "$D/us-root.pem" &&
        us federation apply --nation US --root "$D/us-root.pem" --ally-root "$D/jp-root.pem" --to "$D/trust" "$D/1.fed"
}
leaf() { certify "$1" "/C=JP/O=JP Test/CN=${3:-gw.jp.example}" jp-issuing "$(section leaf "$2")"; }
