#!/bin/bash
# Goal: whoever relies on a federation hands in the CRLs of both nations, wherever they came from, and nothing that
# was slipped in among them counts: only full ones, by the CAs that the federation names, of now, and never an older
# one. OpenSSL, GnuTLS, NSS, OpenVPN and the gate then refuse what is revoked, and the gate also what nobody judges.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
# shellcheck source=tests/e2e/ally.sh
. tests/e2e/ally.sh

check "an authority of JP, with OpenSSL" ally
check "and one of US, which agree on communications" agreed
check "a leaf of JP" leaf good good
check "another one" leaf second good
T=$D/trust
crls() { us federation crls --trust "$T" "$@"; }
gate() { us gate --trust "$T" --community communications "$D/${1:-good}.pem"; }
us_crl() { us ca crl --dir "$D/ca" --for "$1" --pin-file "$D/pin" --out "$D/$2.crl" "${@:3}"; }
cat >"$D/jp-ca.cnf" <<TEXT
[ca]
default_ca = jp
[jp]
database = $D/jp.index
crlnumber = $D/jp.number
default_md = sha384
crl_extensions = crl
[crl]
authorityKeyIdentifier = keyid
TEXT
: >"$D/jp.index"
echo 10 >"$D/jp.number"
jp_crl() { # jp_crl OUT SECONDS [CA]
    ossl ca -gencrl -config "$D/jp-ca.cnf" -cert "$D/${3:-jp-issuing}.pem" -keyfile "$D/${3:-jp-issuing}.key" -crlsec "$2" -out "$D/$1.crl"
}
jp_revokes() { ossl ca -revoke "$D/$1.pem" -config "$D/jp-ca.cnf" -cert "$D/jp-issuing.pem" -keyfile "$D/jp-issuing.key"; }

# --- none, and junk -------------------------------------------------------------------------
expect_exit 5 "none is there" 'cross-ca .*missing' crls
check "and none is asked for" gate
for c in root:root cross:cross issuing:communications:issuing attestation:attestation; do
    check "a CRL of US: ${c%:*}" us_crl "${c%:*}" "${c##*:}"
done
check "that of JP's CA" jp_crl ally 600
printf junk >"$D/junk.crl"
head -c 300 "$D/cross.crl" >"$D/short.crl"
changed() { # one bit of the signature
    local at last
    at=$(($(stat -c %s "$D/cross.crl") - 1)) last=$(tail -c 1 "$D/cross.crl" | xxd -p)
    { head -c "$at" "$D/cross.crl" && printf '%02x' $((0x$last ^ 1)) | xxd -r -p; } >"$D/changed.crl"
}
changed
forged() { # the right name, and another key
    ossl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout "$D/forger.key" -out "$D/forger.pem" -days 9 -config "$D/jp.cnf" \
        -subj "/C=JP/O=JP Test/OU=communications/CN=JP communications CA" -addext keyUsage=critical,keyCertSign,cRLSign && jp_crl forged 600 forger
}
check "somebody calls himself JP's CA" forged
stranger() {
    ossl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout "$D/other.key" -out "$D/other.pem" -days 9 -config "$D/jp.cnf" \
        -subj "/C=JP/O=JP Tests/CN=JP attestation CA" -addext keyUsage=critical,keyCertSign,cRLSign && jp_crl stranger 600 other
}
check "somebody is of neither nation" stranger
for row in junk:'holds no CRL' short:'CRL' changed:'not signed by' forged:'not signed by' stranger:'no CA of this federation' good:'expected|holds'; do
    cp "$D/good.pem" "$D/good.crl"
    expect_exit 6 "refused: ${row%%:*}" "${row#*:}" crls "$D/${row%%:*}.crl"
done
check "of that nothing is kept" test ! -e "$T/crls"
check "and nothing has changed" gate
expect_exit 5 "that of a CA that no path needs is passed over" 'not needed here, the CRL of US Attestation CA' crls "$D/attestation.crl"
check "and not kept" test ! -e "$T/crls"

# --- all of them -----------------------------------------------------------------------------
expect_exit 5 "the first one alone is not enough" '"root".*|cross-ca.*missing' crls "$D/root.crl"
expect_exit 6 "from now on the gate refuses what nobody judges, and says what to do" 'CRL "[a-z-]*" is missing.*federation crls' gate
check "for programs that pass over what they miss there is no file yet" test ! -e "$T/communications.crls.pem"
jp_crl root-of-jp 600 jp-root
check_out "all of them, and what is not needed" 'ally-communications .* good' crls "$D"/{root,cross,issuing,ally,root-of-jp,attestation}.crl
check_out "which is said" 'root-of-jp.crl: not needed here, the CRL of ' crls "$D/root-of-jp.crl"
states() { crls --json | jq -er 'map(select(.state == "good") | .name) | sort | join(" ")'; }
check_out "in JSON" '^ally-communications cross-ca issuing-communications root$' states
check_out "and the gate lets in" 'is let in' gate
readable() { [ "$(stat -c %a "$T/crls" "$T/communications.crls.pem" "$T/crls/root.crl" | paste -sd' ')" = "755 644 644" ]; }
check "everybody may read them" readable
locked() { at 1 flock "$T" "$FUSETSU" federation crls --trust "$T" "$D/root.crl"; }
check "who locks what he may read is in nobody's way" locked
by_openssl() { openssl verify -CAfile "$T/communications.pem" -crl_check_all -CRLfile "$T/communications.crls.pem" "$D/${1:-good}.pem"; }
by_gnutls() { certtool --verify --load-ca-certificate "$T/communications.anchors.pem" --load-crl "$T/communications.crls.pem" <"$D/${1:-good}.pem"; }
by_nss() {
    local i
    rm -rf "$D/nss" && mkdir "$D/nss" && certutil -N -d "sql:$D/nss" --empty-password || return 1
    for i in "$T"/communications.d/*.pem; do certutil -A -d "sql:$D/nss" -n "$i" -t "$([[ $i == */root.pem ]] && echo C),," -a -i "$i" || return 1; done
    for i in "$T"/crls/*.crl; do crlutil -I -d "sql:$D/nss" -i "$i" || return 1; done
    certutil -A -d "sql:$D/nss" -n leaf -t ,, -a -i "$D/${1:-good}.pem" || return 1
    certutil -V -d "sql:$D/nss" -n leaf -u V -e || return 1 # of its own it is 255
}
JUDGES=(by_openssl)
if command -v certtool >/dev/null; then JUDGES+=(by_gnutls); else skip "GnuTLS" "certtool is missing (Debian: gnutls-bin)"; fi
if command -v crlutil >/dev/null; then JUDGES+=(by_nss); else skip "NSS" "crlutil is missing (Debian: libnss3-tools)"; fi
for judge in "${JUDGES[@]}"; do check "good $judge" "$judge"; done

# --- the next ones ------------------------------------------------------------------------------
check "JP revokes a leaf" jp_revokes second
check "and says so" jp_crl next 600
check "as PEM, two in one file" sh -c 'cat "$1/ally.crl" "$1/next.crl" >"$1/two.crl"' - "$D"
check "the newer one counts" crls "$D/two.crl"
expect_exit 6 "the other does not come back" 'older than the one' crls "$D/ally.crl"
expect_exit 6 "the gate refuses the leaf" 'revoked' gate second
for judge in "${JUDGES[@]}"; do expect_fail "so does $judge" '[Rr]evoked' "$judge" second; done
check "not the other" gate
for judge in "${JUDGES[@]}"; do check "not the other: $judge" "$judge"; done
check "a delta of ours" us_crl issuing:communications delta --delta
expect_exit 6 "is not taken for the whole" 'a delta' crls "$D/delta.crl"
openssl crl -in "$D/next.crl" -noout -crlnumber | sed 's/.*=\(0x\)*//' >"$D/jp.number"
check "JP's CA gives a number twice" jp_crl twin 600
expect_exit 6 "which is no CRL to choose" 'same number' crls "$D/twin.crl"
rm "$T/communications.crls.pem"
check "who was interrupted" crls "$D/next.crl"
check "does it once more" test -s "$T/communications.crls.pem"
cp "$T/crls/cross-ca.crl" "$D/kept"
head -c 100 "$D/kept" >"$T/crls/cross-ca.crl"
expect_fail "a damaged one is no reason to let in" 'is damaged; remove it' gate
expect_fail "nor to forget which number it had" 'is damaged; remove it' crls "$D/cross.crl"
rm "$T/crls/cross-ca.crl"
check "until it is removed, and handed in again" crls "$D/cross.crl"
many() { # of the order of the two nothing depends
    local i pids=()
    for i in 1 2 3 4; do
        us_crl cross "many$i" || return 1
    done
    for i in 3 1 4 2; do crls "$D/many$i.crl" >"$D/many$i.out" 2>&1 & pids+=($!); done
    wait "${pids[@]}"
    cmp "$T/crls/cross-ca.crl" "$D/many4.crl"
}
check "of four at the same time the newest stays" many
check "the federation, applied again" us federation apply --nation US --root "$D/us-root.pem" --ally-root "$D/jp-root.pem" --to "$T" "$D/1.fed"
check "leaves them there" gate

# --- a cut, and the end of a CRL -------------------------------------------------------------------
check "US cuts JP off" us ca cut --dir "$D/ca" --community communications --ally JP --pin-file "$D/pin" --out "$D/cut.crl"
cp -r "$T" "$D/before"
check "and hands that in" crls "$D/cut.crl"
expect_exit 6 "nothing of JP comes in" 'revoked' gate
# GnuTLS takes each CA of its file for an anchor, which it looks up in no CRL.
for judge in "${JUDGES[@]}"; do expect_fail "so says $judge" '[Rr]evoked|issuer is unknown' "$judge"; done
anchors() { grep -c BEGIN "$T/communications.anchors.pem"; }
check_out "for that is no longer among the anchors" '^1$' anchors
check "applied again it does not come back" us federation apply --nation US --root "$D/us-root.pem" --ally-root "$D/jp-root.pem" --to "$T" "$D/1.fed"
check_out "the anchors are the same" '^1$' anchors
T=$D/before
echo 20 >"$D/jp.number"
check "elsewhere, JP's CRL is good for moments" jp_crl brief 2
soon() { crls "$D/brief.crl" >"$D/brief.out" 2>&1 || grep -q 'not of now' "$D/brief.out"; }
check "which is taken" soon
ended() { gate >"$D/gate.out" 2>&1 && return 1; grep -q 'is not of now; hand the newest' "$D/gate.out"; }
check "and when it ends the gate refuses all that it would judge" poll 20 ended
expect_exit 5 "as is told" 'ally-communications .*ended' crls
expect_fail "OpenSSL refuses, too" 'CRL has expired' by_openssl

# --- OpenVPN ------------------------------------------------------------------------------------------
if ! command -v openvpn >/dev/null; then
    skip "OpenVPN" "it is not installed (Debian: openvpn)" && finish
fi
T=$D/trust
engine_conf "$D/engine.cnf"
self() { OPENSSL_CONF=$D/engine.cnf foreign openssl req -engine pkcs11 -keyform engine -key "$(key_uri us vpn)" -new -x509 -subj /CN=vpn.us.example -days 9 -out "$D/vpn.pem"; }
check "a key of the token" us key generate --token us --type p256 --label vpn --pin-file "$D/pin"
at_1() { at 1 "$@"; }
check "its certificate" at_1 self
check "is in the token" us cert import --token us --pin-file "$D/pin" "$D/vpn.pem"
setup() { HOME=$D us setup openvpn --user --token us --label vpn --trust "$T" --community communications "$@"; }
check_out "setup names the CRLs" "^ +crl-verify '$T/communications.crls.pem'" setup
printf 'crl-verify /etc/crl.pem\n' >"$D/other.conf"
expect_fail "not beside another one" 'has "crl-verify"' setup --file "$D/other.conf"
finish
