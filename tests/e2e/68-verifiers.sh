#!/bin/bash
# Goal: what each verifier on this machine does with a violation is written down (tests/conformance/verifiers),
# and is still so: certificates that an ally's CA must not issue are judged by OpenSSL as applications call
# it, by OpenSSL when it is asked for the policy, by GnuTLS, by NSS in its classic way and by its libpkix, and by
# ours, which is right in every row. A row that changes with a new version fails, for then what we tell of that
# verifier is wrong.
#
# VERIFIERS_LEARN=1: prints the table as it is found.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

TABLE=tests/conformance/verifiers
ARC=1.3.6.1.4.1.32473.1.1
for tool in certtool vfychain certutil; do
    command -v "$tool" >/dev/null || { skip "verifiers" "$tool is missing (Debian: gnutls-bin libnss3-tools)" && finish; }
done

# --- certificates --------------------------------------------------------------------------
cd "$D" || exit 1
quiet() { "$@" >>"$D/openssl.log" 2>&1 || { tail -n 3 "$D/openssl.log" && return 1; }; }
keys() { for k in root ca sub leaf; do quiet openssl ecparam -name prime256v1 -genkey -noout -out $k.key || return 1; done; }
POLICIES="certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3"
CA='basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid'
NAMES='nameConstraints = critical, permitted;DNS:jp.example, permitted;email:jp.example, permitted;URI:.jp.example, permitted;dirName:dn, excluded;IP:0.0.0.0/0.0.0.0, excluded;IP:::/::'
LEAF='basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:gw.jp.example'
SUBJECT='/C=JP/O=JP Test/CN=gw.jp.example'
# with LINES CHANGES: the lines, with those of the same key replaced ("key =" alone takes it away), and more
with() {
    { printf '%s\n' "$1" && printf '%s\n' "$2"; } | awk -F' *= *' 'NF { if (!($1 in n)) { n[$1] = ++c; o[c] = $1 } l[$1] = $0 }
        END { for (i = 1; i <= c; i++) if (l[o[i]] !~ /= *$/) print l[o[i]] }'
}
certify() { # certify OUT KEY SUBJECT BY LINES [DAYS]
    printf '%s\n[dn]\nC = JP\n' "$5" >ext
    quiet openssl req -new -key "$2.key" -subj "$3" -out req -utf8 &&
        quiet openssl x509 -req -in req -CA "$4.pem" -CAkey "${6:-$4}.key" -set_serial "0x4$(openssl rand -hex 15)" \
            -days "${7:-30}" -extfile ext -out "$1.pem"
}
check "keys" keys
check "our root" quiet openssl req -x509 -key root.key -subj '/C=US/O=US Test/CN=US Root' -days 3000 -out root.pem \
    -addext keyUsage=critical,keyCertSign,cRLSign -addext certificatePolicies=2.5.29.32.0

# --- verdicts ---------------------------------------------------------------------------------------
says() { "$@" >>"$D/said" 2>&1 && echo accepts || echo rejects; }
database() {
    rm -rf db && mkdir db && certutil -N -d sql:db --empty-password && certutil -A -d sql:db -n root -t C,, -a -i root.pem || return 1
    local c
    for c in "$@"; do certutil -A -d sql:db -n "$c" -t ,, -a -i "$c.pem" || return 1; done
}
gnutls() { certtool --verify --load-ca-certificate bundle.pem --verify-hostname gw.jp.example <leaf.pem; }
ours() { "$FUSETSU" verify --roots bundle.pem --community communications --level 3 --name gw.jp.example --usage server leaf.pem; }
judges() { # judges CA...: one word each, in the order of the table
    cat root.pem >bundle.pem && local c && for c in "$@"; do cat "$c.pem" >>bundle.pem; done
    database "$@" >>"$D/said" 2>&1 || return 1
    says openssl verify -purpose sslserver -verify_hostname gw.jp.example -CAfile bundle.pem leaf.pem
    says openssl verify -purpose sslserver -verify_hostname gw.jp.example -CAfile bundle.pem -policy "$ARC.1.3" -policy_check -explicit_policy leaf.pem
    says gnutls
    says vfychain -d sql:db -u 1 -a leaf.pem
    says vfychain -d sql:db -pp -o "OID.$ARC.1.3" -u 1 -a leaf.pem
    says ours
}
sed -n 's/^# columns: //p' "$OLDPWD/$TABLE" >columns
row() { # row NAME CHANGES-OF-THE-CA CHANGES-OF-THE-LEAF [SUBJECT]
    certify cross ca '/C=JP/O=JP Test/CN=JP CA' root "$(with "$CA
$POLICIES
$NAMES" "$2")" root && certify leaf leaf "${4:-$SUBJECT}" cross "$(with "$LEAF
$POLICIES" "$3")" ca || { not_ok "$1" "its certificates cannot be made" && return; }
    compare "$1" cross
}
compare() { # compare NAME CA...
    local name=$1 got want
    shift
    : >"$D/said"
    got=$(judges "$@" | paste -sd' ')
    [ -z "${VERIFIERS_LEARN:-}" ] || { printf '%-28s %s\n' "$name" "$got" && return; }
    want=$(awk -v name="$name" '$1 == name { $1 = ""; sub(/^ /, ""); print }' "$OLDPWD/$TABLE")
    [ -n "$want" ] && [ "$got" = "$want" ] && ok "$name: $(paste -d= <(tr ' ' '\n' <columns) <(tr ' ' '\n' <<<"$got") | paste -sd' ')" ||
        not_ok "$name" "found: $got; written down: ${want:-nothing}"
}

row good '' ''
# --- names
row foreign-dns '' 'subjectAltName = DNS:gw.jp.example, DNS:gw.us.example'
row foreign-mail '' 'subjectAltName = DNS:gw.jp.example, email:x@us.example'
row excluded-ip '' 'subjectAltName = DNS:gw.jp.example, IP:192.0.2.1'
row foreign-uri '' 'subjectAltName = DNS:gw.jp.example, URI:http://www.us.example/'
row foreign-directory '' '' '/C=US/O=US Test/CN=gw.jp.example'
row common-name-only '' 'subjectAltName =' '/C=JP/O=JP Test/CN=gw.us.example'
row forged-common-name '' '' '/C=JP/O=JP Test/CN=gw.us.example'
only='nameConstraints = critical, permitted;DNS:jp.example'
row unbounded-ip "$only" 'subjectAltName = DNS:gw.jp.example, IP:192.0.2.1'
row unbounded-mail "$only" 'subjectAltName = DNS:gw.jp.example, email:x@us.example'
row unbounded-uri "$only" 'subjectAltName = DNS:gw.jp.example, URI:http://www.us.example/'
row unbounded-srv "$only" 'subjectAltName = DNS:gw.jp.example, otherName:1.3.6.1.5.5.7.8.7;IA5STRING:_sip.us.example'
# --- policies
row no-policy '' 'certificatePolicies ='
row unmapped-policy '' 'certificatePolicies = 1.2.3.4'
row other-community '' "certificatePolicies = $ARC.2.1, $ARC.2.2, $ARC.2.3"
row lower-level '' "certificatePolicies = $ARC.1.1, $ARC.1.2"
row ca-without-policy 'certificatePolicies =' ''
row mapped-policy "policyMappings = $ARC.1.3:1.2.3.4" 'certificatePolicies = 1.2.3.4'
row critical-mapping "policyMappings = critical, $ARC.1.3:1.2.3.4" 'certificatePolicies = 1.2.3.4'
row critical-constraints 'policyConstraints = critical, requireExplicitPolicy:0' ''
row critical-inhibit-any 'inhibitAnyPolicy = critical, 0' ''
row any-inhibited 'inhibitAnyPolicy = 0' 'certificatePolicies = 2.5.29.32.0'
# --- the rest of a path
row ca-is-none 'basicConstraints = critical, CA:FALSE' ''
row ca-may-not-sign 'keyUsage = critical, digitalSignature' ''
row ca-for-mail 'extendedKeyUsage = emailProtection' ''
row leaf-for-clients '' 'extendedKeyUsage = clientAuth'
row critical-unknown '1.2.3.4.5 = critical, DER:0500' ''
# authorityClearanceConstraints (RFC 5913): a Clearance of policy 1.2.3.4
row clearance-constraints '1.3.6.1.5.5.7.1.21 = DER:300b300906032a030403020410' ''
row critical-clearance '1.3.6.1.5.5.7.1.21 = critical, DER:300b300906032a030403020410' ''
expired() { certify cross ca '/C=JP/O=JP Test/CN=JP CA' root "$CA
$POLICIES
$NAMES" root && certify leaf leaf "$SUBJECT" cross "$LEAF
$POLICIES" ca -1; }
check "an expired leaf" expired
compare expired cross
deeper() { # a CA below one with pathlen 0
    certify cross ca '/C=JP/O=JP Test/CN=JP CA' root "$CA
$POLICIES
$NAMES" root && certify sub sub '/C=JP/O=JP Test/CN=JP Sub CA' cross "$CA
$POLICIES" ca && certify leaf leaf "$SUBJECT" sub "$LEAF
$POLICIES" sub
}
check "a CA that is one too deep" deeper
compare too-deep cross sub
# Every row of the table was found, and in every one ours is what the standard, or the gate, wants.
cd "$OLDPWD" || exit 1
rows() { grep -cvE '^(#|$)' "$TABLE"; }
check "no row is left over" test "$(rows)" = 31
finish
