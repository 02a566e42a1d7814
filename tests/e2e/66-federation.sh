#!/bin/bash
# Goal: two authorities agree in one text, both sign it with roots that are in their TPMs, and what relying
# parties of either side need comes out of it: a gateway of the one nation is then good to OpenSSL, GnuTLS,
# NSS and Java of the other, for the community that is open and no other. The next one widens it, the one
# after that cuts it; what is older, half signed, by others or changed is refused.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 3 "$@"

# TPM 1: the authority of US; TPM 2: that of JP; TPM 3: a gateway of JP.
us() { at 1 "$FUSETSU" "$@"; }
jp() { at 2 "$FUSETSU" "$@"; }
gw() { at 3 "$FUSETSU" "$@"; }
token() { "$1" token init --label "$1" --so-pin-file "$D/so" --pin-file "$D/pin"; }
init() { # init WHO NATION
    "$1" ca init --any-tpm --dir "$D/$1-ca" --token "$1" --pin-file "$D/pin" --nation "$2" --org "$2 Test" \
        --domain "$1.example" --communities communications,electricity --ek-pins "$EK_CA_PEM"
}
for who in us jp gw; do check "the token of $who" token $who; done
check "an authority of US" init us US
check "an authority of JP" init jp JP
cross() { # cross WHO ALLY NATION COMMUNITY [--ike]: after the ally has exported its CA
    "$2" ca export --dir "$D/$2-ca" "issuing:$4" --out "$D/$2-$4.pem" &&
        "$1" ca cross --dir "$D/$1-ca" --ally "$D/$2-$4.pem" --community "$4" --ally-nation "$3" \
            --ally-domain "$2.example" --pin-file "$D/pin" --out "$D/cross.pem" "${@:5}"
}
both() { cross us jp JP "$@" && cross jp us US "$@"; }
roots() { us ca export --dir "$D/us-ca" root --out "$D/us-root.pem" && jp ca export --dir "$D/jp-ca" root --out "$D/jp-root.pem"; }
check "the roots, by fingerprint" roots
enrol() { # enrol COMMUNITY: a leaf of JP for the gateway
    jp ca invite --dir "$D/jp-ca" --community "$1" --name gw.jp.example --out "$D/i" &&
        gw request --token gw --pin-file "$D/pin" --invite "$D/i" --type p256 --label "$1" --out "$D/r" &&
        jp ca issue --dir "$D/jp-ca" --pin-file "$D/pin" --request "$D/r" --out "$D/s" &&
        gw cert import --token gw --pin-file "$D/pin" "$D/s" --evidence "$D/$1.evidence" --out "$D/$1.leaf"
}
check "a leaf for communications" enrol communications
check "and one for electricity" enrol electricity

# --- the first one -----------------------------------------------------------------------------
part() { # part WHO ALLY COMMUNITIES
    "$1" federation part --dir "$D/$1-ca" --ally "$2" --communities "$3" --out "$D/$1.part"
}
parts() { part us JP "$1" && part jp US "$1"; }
draft() { # draft N [AFTER]
    "$FUSETSU" federation draft --name us-jp "$D/us.part" "$D/jp.part" --out "$D/$1.txt" ${2:+--after "$D/$2.fed"}
}
check "each writes its part" parts communications
expect_exit 6 "before they have certified each other they do not fit" 'no cross-certificate for communications of JP' draft 1
check "they certify each other's CA" both communications
check "and for IKE" both communications --ike
ssh_ca() { "$1" ca ssh-authority --dir "$D/$1-ca" --community communications --pin-file "$D/pin" --out "$D/$1-ssh.pub"; }
for who in us jp; do check "$who has a key that certifies for SSH" ssh_ca $who; done
check "new parts" parts communications
systems() { # of clearances, which each adds by hand
    printf '\n[clearance US]\npolicy = 1.3.6.1.4.1.32473.8.1\nsecret = SECRET\n' >>"$D/us.part"
    printf '\n[clearance JP]\npolicy = 1.3.6.1.4.1.32473.8.2\nconfidential = 極秘\n' >>"$D/jp.part"
}
systems
check "a draft" draft 1
printf '\n[equivalence US JP]\nsecret = confidential\n' >>"$D/1.txt"
check_out "is read in words" 'SECRET counts as 極秘' "$FUSETSU" federation show "$D/1.txt"
fingerprint() { openssl x509 -in "$D/jp-root.pem" -noout -fingerprint -sha256 | sed 's/.*=//'; }
has_fingerprint() { "$FUSETSU" federation show "$D/1.txt" --json | jq -er '.says["JP, root"]' | grep -F "$(fingerprint)"; }
check "with the fingerprint of the root that was compared" has_fingerprint
sign() { # sign WHO IN OUT
    "$1" federation sign --dir "$D/$1-ca" --pin-file "$D/pin" "$D/$2" --out "$D/$3"
}
check "US signs, by the key in its TPM" sign us 1.txt 1.half
check "JP signs what US has signed" sign jp 1.half 1.fed
sqlite3 "$D/us-ca/registry.db" "UPDATE issued SET issued_at = issued_at + 86400 WHERE id = 1"
expect_exit 6 "nor by a clock that stands before what was signed last" 'the clock stands at' sign us 1.txt none
sqlite3 "$D/us-ca/registry.db" "UPDATE issued SET issued_at = issued_at - 86400 WHERE id = 1"
expect_exit 6 "nobody signs twice" 'signed it already' sign jp 1.fed none
check_out "as others read it, two signatures" '^2$' bash -c "openssl cms -cmsout -print -inform PEM -in '$D/1.fed' | grep -c 'signatureAlgorithm:'"
by_openssl() { # OpenSSL agrees, with the roots as signers
    cat "$D/us-root.pem" "$D/jp-root.pem" >"$D/roots.pem"
    openssl cms -verify -inform PEM -in "$D/1.fed" -certfile "$D/roots.pem" -noverify -nointern -out "$D/1.said" && cmp "$D/1.said" "$D/1.txt"
}
check "and OpenSSL finds both good, over this text" by_openssl

apply() { # apply FILE OPTION...: for US
    "$FUSETSU" federation apply --nation US --root "$D/us-root.pem" --ally-root "$D/jp-root.pem" --to "$D/trust" "$D/$1" "${@:2}"
}
check_out "what would be done" 'Would apply number 1' apply 1.fed --dry-run
check "is not done yet" test ! -e "$D/trust"
check_out "it is applied" 'Applied number 1' apply 1.fed
check_out "once more nothing changes" 'in force already' apply 1.fed

# --- what comes of it --------------------------------------------------------------------------------
T=$D/trust
by_openssl_tls() { openssl verify -purpose sslserver -verify_hostname gw.jp.example -CAfile "$T/$1.pem" "$D/$1.leaf"; }
hosts() { # of each nation, the authority for its own domain
    printf '@cert-authority %s.example,*.%s.example %s\n' us us "$(cut -d' ' -f1,2 "$D/us-ssh.pub")" jp jp "$(cut -d' ' -f1,2 "$D/jp-ssh.pub")" |
        cmp - "$T/communications.known_hosts"
}
by_policy() { openssl verify -CAfile "$T/$1.pem" -policy "$(cat "$T/$1.policy")" -policy_check -explicit_policy "$D/$2.leaf"; }
by_gnutls() { certtool --verify --load-ca-certificate "$T/$1.anchors.pem" --verify-hostname gw.jp.example <"$D/$1.leaf"; }
by_nss() { # by_nss TRUST LEAF
    local i
    rm -rf "$D/nss" && mkdir "$D/nss" && certutil -N -d "sql:$D/nss" --empty-password || return 1
    for i in "$T/$1.d"/{cross,issuing}.pem; do certutil -A -d "sql:$D/nss" -n "$i" -t C,, -a -i "$i" || return 1; done
    certutil -A -d "sql:$D/nss" -n leaf -t ,, -a -i "$D/$2.leaf" || return 1
    certutil -V -d "sql:$D/nss" -n leaf -u V -e || return 1 # of its own it is 255
}
java_reads() { keytool -list -keystore "$T/$1.p12" -storetype PKCS12 -storepass changeit | tee "$D/keytool" | grep -c trustedCertEntry; }
check "a server of JP is good to OpenSSL of US" by_openssl_tls communications
check "under the policy of the community" by_policy communications communications
expect_fail "(not with another community's leaf)" 'error' by_policy communications electricity
if command -v certtool >/dev/null; then
    check "to GnuTLS" by_gnutls communications
else skip "GnuTLS" "certtool is missing (Debian: gnutls-bin)"; fi
if command -v certutil >/dev/null; then
    check "to NSS" by_nss communications communications
    expect_fail "(but no leaf of electricity)" 'invalid|not trusted|unknown|untrusted' by_nss communications electricity
else skip "NSS" "certutil is missing (Debian: libnss3-tools)"; fi
if command -v keytool >/dev/null; then
    check_out "Java finds two certificates to trust" '^2$' java_reads communications
else skip "Java" "keytool is missing (Debian: default-jre-headless)"; fi
check "ssh is told whom to believe, each for its own names" hosts
check "our own verifier agrees" "$FUSETSU" verify --roots "$T/communications.pem" --community communications --level 3 --name gw.jp.example "$D/communications.leaf"
check "for IKE there are certificates that strongSwan can read" test -s "$T/communications-ike.d/cross.pem"
check "electricity is not open" test ! -e "$T/electricity.pem"
anyone() { [ "$(stat -c %a "$T/communications.pem")" = 644 ] && [ "$(stat -c %a "$T/communications.d")" = 755 ]; }
check "and everybody may read it" anyone

# --- what is refused -------------------------------------------------------------------------------------
refused() { # refused WHAT PATTERN FILE: and what is in force stays
    expect_exit 6 "$1" "$2" apply "$3" && check "... and nothing changes" cmp "$T/federation.fed" "$D/1.fed"
}
refused "what one has signed" 'only one authority' 1.half
cp "$D/1.txt" "$D/plain.fed"
refused "what nobody has signed" 'nobody has signed' plain.fed
changed() { # the text inside is another
    openssl asn1parse -in "$D/1.fed" -out "$D/1.der" >/dev/null && sed 's/name = us-jp/name = us-jq/' "$D/1.der" >"$D/2.der" &&
        { echo -----BEGIN CMS----- && base64 -w 64 "$D/2.der" && echo -----END CMS-----; } >"$D/changed.fed"
}
check "a letter of it is changed" changed
refused "a changed text" 'a signature of it is bad' changed.fed
sed 's/^name = us-jp/.include = \/etc\/passwd\nname = us-jp/' "$D/1.txt" >"$D/include.txt"
expect_exit 5 "what would include a file is not signed" 'no variables, escapes' sign us include.txt none
other_pins() { "$FUSETSU" federation apply --nation US --root "$D/us-root.pem" --ally-root "$D/us-communications.pem" --to "$T" "$D/1.fed"; }
expect_exit 6 "with another pin" 'not pinned|bad' other_pins
swapped() { "$FUSETSU" federation apply --nation US --root "$D/jp-root.pem" --ally-root "$D/us-root.pem" --to "$T" "$D/1.fed"; }
expect_exit 6 "as the other nation's" 'root of the other nation' swapped

# --- the next one widens it ----------------------------------------------------------------------------------
expect_fail "the leaf of electricity is good to nobody in US" 'No such file|Error loading|error' by_openssl_tls electricity
check "electricity is opened both ways" both electricity
check "new parts of two communities" parts communications,electricity
systems
check "a draft that follows the first" draft 2 1
check_out "keeps the equivalence" '^secret = confidential$' cat "$D/2.txt"
check_out "the difference in words" 'JP electricity, issuing CA' "$FUSETSU" federation diff "$D/1.fed" "$D/2.txt"
check "signed by US" sign us 2.txt 2.half
check "and by JP" sign jp 2.half 2.fed
check_out "and applied" 'Applied number 2' apply 2.fed
check "the same leaf of electricity is good now" by_openssl_tls electricity
check "and that of communications still" by_openssl_tls communications
expect_exit 6 "the first one cannot come back" 'an older one' apply 1.fed

# --- and the one after that cuts one off ---------------------------------------------------------------------------
check "parts without communications" parts electricity
systems
check "a third draft" draft 3 2
check "signed" sign jp 3.txt 3.half
check "by both" sign us 3.half 3.fed
check_out "and applied" 'Applied number 3.*removed' apply 3.fed
gone_all() { ! ls -d "$T"/communications* 2>/dev/null; }
check "nothing of communications is left" gone_all
check "electricity is" by_openssl_tls electricity
check_out "the whole of it in JSON" '"number": 3' apply 3.fed --json
finish
