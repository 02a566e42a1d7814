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

# shellcheck source=tests/e2e/ally.sh
. tests/e2e/ally.sh

check "an authority of JP, with OpenSSL" ally
check "and one of US, which agree on communications" agreed
expect_exit 2 "what an ally may grant is of its system" 'go together' cross --clearances confidential
expect_exit 1 "in the words of the standard" 'no class of RFC 5913' cross --clearance-policy 1.3.6.1.4.1.32473.8.2 --clearances 極秘
check "our part has our clearances" grep -qx 'secret = SECRET' "$D/us.part"

# --- what the ally certifies -------------------------------------------------------------------------
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
person() { # Mallory by address, Alice by free text
    certify person "/C=JP/O=JP Test/CN=Alice Example of US" jp-issuing "$(section leaf good person)"
}
check "a person of JP" person
refuses "a person, where devices are asked for" "a person's" "$D/person.pem"
check_out "who is let in by the name that is bounded, where persons are" '^mallory@jp.example is let in' gate --persons "$D/person.pem"
check_out "and so it says in JSON" '"name": "mallory@jp.example"' gate --persons --json "$D/person.pem"
check "and by that name" gate --name mallory@jp.example "$D/person.pem"
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
server_alone() { certify server "/C=JP/O=JP Test/CN=gw.jp.example" jp-issuing "$(section leaf good server)"; }
check "a leaf for servers alone" server_alone
refuses "it as a client" 'extended key usage' "$D/server.pem"
by_openvpn() { peer_cert=$D/server.pem us gate --trust "$D/trust" --community communications --openvpn "$@" 0 CN=gw.jp.example; }
check "called by OpenVPN it is let in, whose other end may be a server" by_openvpn
expect_exit 6 "unless the use is said" 'extended key usage' by_openvpn --usage client
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
check_out "it tells that nothing is known of what is revoked" 'OpenVPN lets in what was revoked' setup
lines() { setup --file "$D/their.conf" && grep -E '^(tls-export-cert|tls-verify|script-security) ' "$D/their.conf" | wc -l | grep -x 3; }
check "in a file" lines
printf 'ca /etc/ca.pem\n' >"$D/other.conf"
expect_fail "not beside another ca" 'has "ca"' setup --file "$D/other.conf"
nothing_exported() { [ -z "$(ls "$D/export")" ]; }
check "no certificate was left behind" nothing_exported
finish
