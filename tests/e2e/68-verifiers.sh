#!/bin/bash
# Goal: what each verifier on this machine does with a violation is written down (tests/conformance/verifiers),
# and is still so: certificates that an ally's CA must not issue are judged by OpenSSL as applications call
# it, by OpenSSL when it is asked for the policy, by GnuTLS, by NSS in its classic way and by its libpkix, by
# strongSwan's charon, without and with cert_policy, by OpenVPN, by OpenVPN behind the gate, and by ours, which is
# right in every row. A row that changes with a new version fails, for then what we tell of that verifier is wrong.
#
# VERIFIERS_LEARN=1: prints the table as it is found.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/charon.sh
. tests/e2e/charon.sh

TABLE=tests/conformance/verifiers
ARC=1.3.6.1.4.1.32473.1.1
# The judges of a tool that is missing are passed over, and the others judge.
ABSENT=' '
absent() { # absent WHY JUDGE...
    local why=$1
    shift
    skip "$*" "$why" && ABSENT+="$* "
}
command -v certtool >/dev/null || absent "certtool is missing (Debian: gnutls-bin)" gnutls
for tool in vfychain certutil; do
    command -v "$tool" >/dev/null || { absent "$tool is missing (Debian: libnss3-tools)" nss nss-pkix && break; }
done
! why=$(charon_missing) || absent "$why" strongswan strongswan-policy
command -v openvpn >/dev/null || absent "openvpn is not installed" openvpn openvpn-gate
is_absent() { [[ $ABSENT == *" $1 "* ]]; }

# --- certificates --------------------------------------------------------------------------
cd "$D" || exit 1
quiet() { "$@" >>"$D/openssl.log" 2>&1 || { tail -n 3 "$D/openssl.log" && return 1; }; }
keys() { for k in root cross-ca us ca sub leaf jp-root jp-cross-ca peer; do quiet openssl ecparam -name prime256v1 -genkey -noout -out $k.key || return 1; done; }
POLICIES="certificatePolicies = $ARC.1.1, $ARC.1.2, $ARC.1.3"
CA='basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid'
NAMES='nameConstraints = critical, permitted;DNS:jp.example, permitted;email:jp.example, permitted;URI:.jp.example, permitted;dirName:dn, excluded;IP:0.0.0.0/0.0.0.0, excluded;IP:::/::'
# Without addresses: strongSwan cannot read a certificate that constrains them.
NAMES_IKE=${NAMES%%, excluded;IP*}
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
BELOW_ROOT='basicConstraints = critical, CA:TRUE, pathlen:1
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
certificatePolicies = 2.5.29.32.0'
root() { # root NAME SUBJECT
    quiet openssl req -x509 -key "$1.key" -subj "$2" -days 3000 -out "$1.pem" \
        -addext keyUsage=critical,keyCertSign,cRLSign -addext certificatePolicies=2.5.29.32.0
}
# What both have whatever the row is: roots, Cross CAs, and the issuing CAs that these certify.
authorities() {
    root root '/C=US/O=US Test/CN=US Root' && root jp-root '/C=JP/O=JP Test/CN=JP Root' &&
        certify cross-ca cross-ca '/C=US/O=US Test/CN=US Cross CA' root "$BELOW_ROOT" &&
        certify jp-cross-ca jp-cross-ca '/C=JP/O=JP Test/CN=JP Cross CA' jp-root "$BELOW_ROOT" &&
        certify us us '/C=US/O=US Test/CN=US CA' root "$CA
$POLICIES" && certify jp-issuing ca '/C=JP/O=JP Test/CN=JP CA' jp-root "$CA
$POLICIES" && certify jp-to-us us '/C=US/O=US Test/CN=US CA' jp-cross-ca "$CA
$POLICIES
${NAMES//jp.example/us.example}" jp-cross-ca
}
check "the authorities" authorities
check "the other end of tunnels" quiet openssl req -x509 -key peer.key -subj /CN=peer -days 9 -out peer.pem

# --- strongSwan -----------------------------------------------------------------------------
# Site 1 is ours and calls: it has no certificate, for what is judged is the other's.
tunnel_of() { # tunnel_of NAME REMOTE-LINE...: a connection of site 1
    printf '  %s {\n    version = 2\n    childless = force\n    local_addrs = 192.0.2.1\n    remote_addrs = 192.0.2.2\n' "$1"
    printf '    local {\n      auth = psk\n      id = us\n    }\n    remote {\n      auth = pubkey\n'
    printf '      %s\n' "${@:2}" && printf '    }\n  }\n'
}
connections() { # connections ID: of both sites, for a peer that is called so
    { echo 'connections {' && tunnel_of plain "id = $1" && tunnel_of policy "id = $1" "cert_policy = $ARC.1.3" && echo '}' &&
        printf 'secrets {\n  ike-us {\n    id = us\n    secret = %s\n  }\n}\n' "$PIN"; } >"$D/1/etc/swanctl/conf.d/story.conf"
    { printf 'connections {\n  peer {\n    version = 2\n    childless = force\n    local_addrs = 192.0.2.2\n    local {\n      auth = pubkey\n' &&
        printf '      certs = leaf.pem\n      id = %s\n    }\n    remote {\n      auth = psk\n      id = us\n    }\n  }\n}\n' "$1" &&
        printf 'secrets {\n  ike-us {\n    id = us\n    secret = %s\n  }\n}\n' "$PIN"; } >"$D/2/etc/swanctl/conf.d/story.conf"
}
dial() { swanctl 1 --initiate --ike "$1" --timeout 10; }
charons() { # charons ID CA...: both verdicts
    local id=$1 c
    shift
    connections "$id" && rm -f "$D"/1/etc/swanctl/x509ca/* && cp "$@" "$D/1/etc/swanctl/x509ca/" &&
        cp leaf.pem "$D/2/etc/swanctl/x509/" && cp leaf.key "$D/2/etc/swanctl/ecdsa/" || return 1
    for c in 1 2; do swanctl "$c" --load-all --clear --noprompt && swanctl "$c" --flush-certs; done >>"$D/said" 2>&1
    for c in plain policy; do
        told with_log 1 dial $c
        swanctl 1 --terminate --ike $c --timeout 5 >>"$D/said" 2>&1
    done
}
sites() {
    local n
    for n in 1 2; do site $n || return 1; done
    wire && for n in 1 2; do charon_start $n || return 1; done
}
is_absent strongswan || check "two charons" sites

# --- OpenVPN and the gate -------------------------------------------------------------------
der() { openssl x509 -in "$1.pem" -outform DER | base64 -w 0; }
part() { # part NATION ROOT CROSS-CA ISSUING CROSS
    local low=${1,,}
    printf '[authority %s]\norg = %s Test\ndomain = %s.example\nroot = %s\ncross_ca = %s\n\n' "$1" "$1" "$low" "$(der "$2")" "$(der "$3")"
    printf '[community communications %s]\nissuing = %s\ncross = %s\naccepts = 3\n' "$1" "$(der "$4")" "$(der "$5")"
}
signed() { # as federations are, by both roots
    quiet openssl cms -sign -in fed.txt -signer root.pem -inkey root.key -md sha256 -nocerts -nosmimecap -binary -nodetach -outform PEM -out half.fed &&
        quiet openssl cms -resign -inform PEM -in half.fed -signer jp-root.pem -inkey jp-root.key -md sha256 -nocerts -nosmimecap -binary \
            -outform PEM -out full.fed
}
# The federation that has this row's cross-certificate: where `apply` refuses it, the gate has none to go by.
federated() {
    rm -rf trust
    [ -s good.txt ] || { part US root cross-ca us cross >us.part && part JP jp-root jp-cross-ca jp-issuing jp-to-us >jp.part &&
        "$FUSETSU" federation draft --name us-jp us.part jp.part --out good.txt; } || return 1
    awk -v "cross=$(der cross)" '/^\[/ { ours = /community communications US/ } ours && /^cross = / { $0 = "cross = " cross } { print }' good.txt >fed.txt
    signed && "$FUSETSU" federation apply --nation US --root root.pem --ally-root jp-root.pem --to trust full.fed
}
mkdir exported
free_ports() { # the first of four that no UDP socket has
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 20000))
        grep -qiE "$(printf ':(%04X|%04X|%04X|%04X) ' $port $((port + 1)) $((port + 2)) $((port + 3)))" /proc/net/udp /proc/net/udp6 2>/dev/null ||
            { echo "$port" && return 0; }
    done
    return 1
}
came() { gone "$1" || grep -qE 'Peer Connection Initiated|VERIFY [A-Z0-9]* ?ERROR' "$2"; }
vpn() { # vpn WHICH NAME PORT OPTION...: does our client take the server of that name? Without a device.
    local log=$1.log name=$2 p=$3 q=$(($3 + 1)) a b rc=0
    shift 3
    : >"$log" # of the row before
    openvpn --dev null --proto udp --local 127.0.0.1 --lport "$q" --remote 127.0.0.1 "$p" --tls-server --dh none --ca peer.pem \
        --cert leaf.pem --key leaf.key --data-ciphers AES-256-GCM --verb 1 >"$log.2" 2>&1 </dev/null & b=$!
    openvpn --dev null --proto udp --local 127.0.0.1 --lport "$p" --remote 127.0.0.1 "$q" --tls-client --ca bundle.pem \
        --cert peer.pem --key peer.key --data-ciphers AES-256-GCM --verb 3 --remote-cert-tls server --verify-x509-name "$name" name \
        "$@" >"$log" 2>&1 </dev/null & a=$!
    STORY_PIDS+=("$a" "$b")
    poll 20 came "$a" "$log"
    grep -q 'Peer Connection Initiated' "$log" || rc=1
    kill -KILL "$a" "$b"
    wait "$a" "$b" 2>/dev/null
    cat "$log"
    return "$rc"
}
gate=(--script-security 2 --tls-export-cert "$D/exported" --tls-verify "$FUSETSU gate --openvpn --trust $D/trust --community communications --usage server")
vpns() { # vpns NAME: both verdicts, at once
    local first port
    port=$(free_ports) || return 1
    (told vpn plain "$1" "$port") >plain.verdict & first=$!
    told vpn gate "$1" $((port + 2)) "${gate[@]}" >gate.verdict
    wait "$first"
    cat plain.verdict gate.verdict
}

# --- verdicts ---------------------------------------------------------------------------------------
says() { "$@" >>"$D/said" 2>&1 </dev/null && echo accepts || echo rejects; }
# told COMMAND...: the same of a handshake, which has rejected when it says so, and not when it came to nothing
told() {
    local said
    said=$("$@" 2>&1 </dev/null) && echo accepts || { grep -qE 'VERIFY [A-Z0-9]* ?ERROR|N\(AUTH_FAILED\)' <<<"$said" && echo rejects || echo nothing; }
    printf '%s\n' "$said" >>"$D/said"
}
judge() { # judge WHO COMMAND...
    if is_absent "$1"; then echo -; else "${@:2}"; fi
}
both() { # both WHO WHO COMMAND...: two words
    if is_absent "$1"; then printf '%s\n' - -; else "${@:3}"; fi
}
database() {
    rm -rf db && mkdir db && certutil -N -d sql:db --empty-password && certutil -A -d sql:db -n root -t C,, -a -i root.pem || return 1
    local c
    for c in "$@"; do certutil -A -d sql:db -n "$c" -t ,, -a -i "$c.pem" || return 1; done
}
gnutls() { certtool --verify --load-ca-certificate bundle.pem --verify-hostname "$DNS" <leaf.pem; }
ours() { "$FUSETSU" verify --roots bundle.pem --community communications --level 3 --name "$DNS" --usage server leaf.pem; }
judges() { # judges CA...: one word each, in the order of the table
    cat root.pem cross-ca.pem >bundle.pem && local c && for c in "$@"; do cat "$c.pem" >>bundle.pem; done
    is_absent nss || database cross-ca "$@" >>"$D/said" 2>&1 || return 1
    federated >>"$D/said" 2>&1
    says openssl verify -purpose sslserver -verify_hostname "$DNS" -CAfile bundle.pem leaf.pem
    says openssl verify -purpose sslserver -verify_hostname "$DNS" -CAfile bundle.pem -policy "$ARC.1.3" -policy_check -explicit_policy leaf.pem
    judge gnutls says gnutls
    judge nss says vfychain -d sql:db -u 1 -a leaf.pem
    judge nss-pkix says vfychain -d sql:db -pp -o "OID.$ARC.1.3" -u 1 -a leaf.pem
    both strongswan strongswan-policy charons "$IKE" root.pem cross-ca.pem "${@/%/-ike.pem}"
    both openvpn openvpn-gate vpns "$CN"
    says ours
}
# What the relying party asks for: a DNS name, or, of those that look there, a common name or an IKE identity.
asked() { DNS=${1:-gw.jp.example} CN=${2:-gw.jp.example} IKE=${3:-gw.jp.example}; }
asked
sed -n 's/^# columns: //p' "$OLDPWD/$TABLE" >columns
crossed() { # crossed NAMES CHANGES: the cross-certificate, and that for IKE, which strongSwan can read
    certify cross ca '/C=JP/O=JP Test/CN=JP CA' cross-ca "$(with "$CA
$POLICIES
$NAMES" "$1")" && certify cross-ike ca '/C=JP/O=JP Test/CN=JP CA' cross-ca "$(with "$CA
$POLICIES
${2:-$NAMES_IKE}" "$1")"
}
row() { # row NAME CHANGES-OF-THE-CA CHANGES-OF-THE-LEAF [SUBJECT [NAMES-IN-IKE]]
    crossed "$2" "${5:-}" && certify leaf leaf "${4:-$SUBJECT}" cross "$(with "$LEAF
$POLICIES" "$3")" ca || { not_ok "$1" "its certificates cannot be made" && return; }
    compare "$1" cross
}
# The words of WANT, but for the judges that are absent in GOT
known() { paste -d' ' <(tr ' ' '\n' <<<"$1") <(tr ' ' '\n' <<<"$2") | awk '{ print $2 == "-" ? $2 : $1 }' | paste -sd' '; }
compare() { # compare NAME CA...
    local name=$1 got want
    shift
    : >"$D/said"
    got=$(judges "$@" | paste -sd' ')
    [ -z "${VERIFIERS_LEARN:-}" ] || { printf '%-28s %s\n' "$name" "$got" && return; }
    want=$(awk -v name="$name" '$1 == name { $1 = ""; sub(/^ /, ""); print }' "$OLDPWD/$TABLE")
    [ -n "$want" ] && [ "$got" = "$(known "$want" "$got")" ] && ok "$name: $(paste -d= <(tr ' ' '\n' <columns) <(tr ' ' '\n' <<<"$got") | paste -sd' ')" ||
        { cp "$D/said" "$D/out" && STORY_LINES=100 not_ok "$name" "found: $got; written down: ${want:-nothing}"; }
}

row good '' ''
# --- names
row foreign-dns '' 'subjectAltName = DNS:gw.jp.example, DNS:gw.us.example'
row foreign-mail '' 'subjectAltName = DNS:gw.jp.example, email:x@us.example'
row excluded-ip '' 'subjectAltName = DNS:gw.jp.example, IP:192.0.2.1' '' "$NAMES"
row foreign-uri '' 'subjectAltName = DNS:gw.jp.example, URI:http://www.us.example/'
row foreign-directory '' '' '/C=US/O=US Test/CN=gw.jp.example'
asked gw.us.example gw.us.example 'C=JP, O=JP Test, CN=gw.us.example'
row common-name-only '' 'subjectAltName =' '/C=JP/O=JP Test/CN=gw.us.example'
asked gw.jp.example gw.us.example
row forged-common-name '' '' '/C=JP/O=JP Test/CN=gw.us.example'
asked
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
row mapping-undone "policyMappings = $ARC.1.3:1.2.3.4" ''
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
expired() { crossed '' && certify leaf leaf "$SUBJECT" cross "$LEAF
$POLICIES" ca -1; }
check "an expired leaf" expired
compare expired cross
deeper() { # a CA below one with pathlen 0
    crossed '' && certify sub sub '/C=JP/O=JP Test/CN=JP Sub CA' cross "$CA
$POLICIES
$NAMES_IKE" ca && certify leaf leaf "$SUBJECT" sub "$LEAF
$POLICIES" sub && cp sub.pem sub-ike.pem
}
check "a CA that is one too deep" deeper
compare too-deep cross sub
# Every row of the table was found, and in every one ours is what the standard, or the gate, wants.
cd "$OLDPWD" || exit 1
rows() { grep -cvE '^(#|$)' "$TABLE"; }
check "no row is left over" test "$(rows)" = 32
passed() { awk '!/^(#|$)/ && $10 == "accepts" && $11 != "accepts" { print; bad = 1 } END { exit bad }' "$TABLE"; }
check "and nothing passes the gate that is refused by right" passed
finish
