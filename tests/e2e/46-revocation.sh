#!/bin/bash
# Goal: what an authority takes back is refused: by OpenSSL with its CRLs, full and delta, and by
# `openssl ocsp` with its answers, live and signed beforehand. A certificate on hold comes back, one
# that is revoked does not; a device renews by itself as long as it is trusted; and one command
# closes a community to an ally, which that ally's gateways notice at the next CRL.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

for t in us jp gw third; do
    check "token $t" "$FUSETSU" token init --label $t --so-pin-file "$D/so" --pin-file "$D/pin"
done
# us COMMAND..., jp COMMAND...: the two authorities
us() { local c=$1; shift; "$FUSETSU" ca "$c" --dir "$D/us" "$@"; }
jp() { local c=$1; shift; "$FUSETSU" ca "$c" --dir "$D/jp" "$@"; }
expect_exit 1 "an https URL for CRLs would want a check of its own" 'http://' us init --any-tpm --token us \
    --pin-file "$D/pin" --nation US --org Test --domain us.example --communities communications \
    --ek-pins "$EK_CA_PEM" --crl-url https://crl.us.example
for n in us jp; do
    check "authority $n" $n init --any-tpm --token $n --pin-file "$D/pin" --nation ${n^^} --org Test \
        --domain $n.example --communities communications,electricity --ek-pins "$EK_CA_PEM" \
        --crl-url http://crl.$n.example --ocsp-url http://ocsp.$n.example --basic
done

# --- serial numbers: the TPM's generator takes part, or nothing is signed ----------------------

spied() { # spied COMMAND...: its TPM commands are in $D/spy
    rm -f "$D/spy"
    FUSETSU_TCTI=$B/libtss2-tcti-spy.so:$FUSETSU_TCTI SPY_LOG=$D/spy "$@"
}
mute() { SPY_FAIL=1+:0x101 SPY_FAIL_CC=GetRandom spied "$@"; } # a generator that is broken
drawn_first() { awk '$3 == "GetRandom" && $4 == "rc=0x0" { r = 1 } $3 == "Sign" { exit !r } END { if (!r) exit 1 }' "$D/spy"; }
third() { # third RUN: one more authority
    "$1" "$FUSETSU" ca init --dir "$D/third" --any-tpm --token third --pin-file "$D/pin" --nation US --org Third \
        --domain third.example --communities finance --ek-pins "$EK_CA_PEM"
}
expect_fail "without the TPM's random bytes no authority is made" 'no random bytes' third mute
check "nor is there half of one" test ! -e "$D/third/registry.db"
check "with them one is" third spied
check "they are drawn before the first certificate is signed" drawn_first
root_crl() { "$1" "$FUSETSU" ca crl --dir "$D/us" --for root --pin-file "$D/pin" --out "$D/first.crl"; }
expect_fail "nor does one that is there sign without them" 'no random bytes' root_crl mute
check "with them it does" root_crl spied
check "they are drawn before that, too" drawn_first

us export root --out "$D/root.pem" >"$D/out"
us export issuing:communications --out "$D/issuing.pem" >"$D/out"
us export cross --out "$D/cross.pem" >"$D/out"

# enrol NATION NAME COMMUNITY [OPTION...]: leaves NAME.pem, and its serial number in NAME.serial
enrol() {
    local name=$2.$1.example
    $1 invite --community "$3" --name "$name" --out "$D/$2.invite" "${@:4}" &&
        "$FUSETSU" request --token gw --pin-file "$D/pin" --invite "$D/$2.invite" --type p256 --label "$2" \
            --out "$D/$2.request" && receive "$1" "$2" "$2"
}
receive() { # receive NATION REQUEST NAME: issued, opened
    $1 issue --pin-file "$D/pin" --request "$D/$2.request" --out "$D/$2.sealed" &&
        "$FUSETSU" cert import --token gw --pin-file "$D/pin" "$D/$2.sealed" --out "$D/$3.chain" &&
        openssl x509 -in "$D/$3.chain" -out "$D/$3.pem" &&
        openssl x509 -in "$D/$3.pem" -noout -serial | sed 's/.*=//' >"$D/$3.serial"
}
for g in one two held; do check "gateway $g is enrolled" enrol us $g communications; done
says() { openssl x509 -in "$1" -noout -text; }
check_out "its certificate says where the CRL is" 'http://crl.us.example/issuing-communications.crl' says "$D/one.pem"
check_out "and where OCSP answers" 'OCSP - URI:http://ocsp.us.example' says "$D/one.pem"

# --- CRLs -------------------------------------------------------------------

crl() { us crl --for issuing:communications --pin-file "$D/pin" --out "$D/$1.crl" "${@:2}"; }
# judge GATEWAY CRL...: as a relying party does that checks the leaf
judge() {
    local leaf=$1 c args=()
    shift
    for c; do args+=(-CRLfile "$D/$c.crl"); done
    openssl verify -CAfile "$D/root.pem" -untrusted "$D/issuing.pem" -crl_check -extended_crl -use_deltas -x509_strict \
        "${args[@]}" "$D/$leaf.pem"
}
check_out "the first CRL" 'Full CRL 1 .*, 0 entries' crl full1
crl_text() { openssl crl -in "$D/$1.crl" -inform DER -noout -text; }
check_out "it is of version 2, with a number" 'CRL Number' crl_text full1
check_out "and says where the deltas are" 'issuing-communications-delta.crl' crl_text full1
check_out "all is well" 'OK' judge one full1
expect_fail "without a CRL nothing is" 'unable to get certificate CRL' judge one
check_out "a dry run of a revocation says what it would be about" 'To be revoked' us revoke --name one.us.example \
    --reason keyCompromise --dry-run
check_out "and does nothing" '"status": "good"' us list --json
expect_exit 2 "a reason that there is not" 'no reason' us revoke --name one.us.example --reason because
expect_exit 2 "a hold is no revocation" 'no reason' us revoke --name one.us.example --reason certificateHold
expect_exit 5 "a name that there is not" 'no such certificate' us revoke --name none.us.example --reason superseded
expect_exit 2 "a serial number and a name" 'or by --name' us revoke --name one.us.example --reason superseded 40
check_out "the first gateway is revoked" 'Now revoked' us revoke --name ONE.us.example --reason keyCompromise \
    --invalid-since 2026-01-01
expect_exit 6 "once" 'revoked already' us revoke --name one.us.example --reason superseded
expect_exit 6 "and for good" 'revoked already' us resume --name one.us.example
check_out "it stands in the list" 'one.us.example .*revoked' us list
check_out "nobody knows before the next CRL" 'OK' judge one full1
check_out "which has it" 'Full CRL 2 .*, 1 entries' crl full2
expect_fail "OpenSSL refuses it" 'certificate revoked' judge one full2
check_out "and not the others" 'OK' judge two full2
check_out "the reason is in it" 'Key Compromise' crl_text full2
check_out "and since when the key was bad" 'Jan  1 00:00:00 2026' crl_text full2
grep -q . "$D/one.serial"
check_out "its serial number too" "$(cat "$D/one.serial")" crl_text full2

check "another is suspended, by its serial number" us suspend "$(cat "$D/held.serial")"
expect_exit 6 "once" 'is suspended' us suspend --name held.us.example
check_out "a delta tells" 'Delta CRL 3 .*, 1 entries' crl delta3 --delta
check_out "it builds upon CRL 2" 'Delta CRL Indicator: critical' crl_text delta3
check_out "as a hold" 'Certificate Hold' crl_text delta3
check_out "who has only the full one knows nothing" 'OK' judge held full2
expect_fail "who has both refuses it" 'certificate revoked' judge held full2 delta3
check_out "a full CRL has it as well" 'Full CRL 4 .*, 2 entries' crl full4
expect_fail "where it is refused" 'certificate revoked' judge held full4
check "it is resumed" us resume --name held.us.example
check_out "the next delta" 'Delta CRL 5 .*, 1 entries' crl delta5 --delta
check_out "takes it off" 'Remove From CRL' crl_text delta5
check_out "with which it is good again" 'OK' judge held full4 delta5
expect_fail "a delta never brings back what is revoked" 'certificate revoked' judge one full4 delta5
check_out "no removal is in a full CRL" 'Full CRL 6 .*, 1 entries' crl full6
check_out "which is enough" 'OK' judge held full6

# --- the lower levels, which have a CA of their own ---------------------------

check "a gateway of level 2 is enrolled" enrol us low communications --level 2
us export basic:communications --out "$D/basic.pem" >"$D/out"
check_out "its CRL is another" 'http://crl.us.example/basic-communications.crl' says "$D/low.pem"
check_out "the list says by whom" 'low.us.example +basic' us list
basic_crl() { us crl --for basic:communications --pin-file "$D/pin" --out "$D/$1.crl"; }
check_out "that CRL" 'Full CRL 1 .*, 0 entries' basic_crl low1
judge_low() { # judge_low CA CRL
    openssl verify -CAfile "$D/root.pem" -untrusted "$D/$1.pem" -crl_check -CRLfile "$D/$2.crl" -x509_strict "$D/low.pem"
}
check_out "all is well" 'OK' judge_low basic low1
expect_fail "who has the issuing CA alone finds no path, without any look at policies" 'unable to get local issuer' judge_low issuing full6
check "it is revoked" us revoke --name low.us.example --reason superseded
check_out "the CRL of its CA has it" 'Full CRL 2 .*, 1 entries' basic_crl low2
expect_fail "by which it is refused" 'certificate revoked' judge_low basic low2
check_out "the other CA's has not" 'Full CRL 7 .*, 1 entries' crl full7
expect_exit 2 "a basic CA has a community" 'basic:COMMUNITY' us crl --for basic --pin-file "$D/pin" --out "$D/x"

# --- OCSP -------------------------------------------------------------------

expect_exit 5 "without a responder there are no answers" 'ca ocsp-responder' \
    us ocsp --for issuing:communications --respond
check_out "a responder" 'by a new key' us ocsp-responder --for issuing:communications --pin-file "$D/pin" --auth none
check_out "is certified again by the same key" 'by the same key' us ocsp-responder --for issuing:communications \
    --pin-file "$D/pin"
# ocsp GATEWAY WHAT: live asks with a nonce, beforehand without. (In the second call -no_nonce keeps
# the nonce that the question has.)
ocsp() {
    local nonce=-nonce from=(--pin-file "$D/pin") cert=(-cert "$D/$1.pem")
    [ "$1" != never ] || cert=(-serial 0x4001020304)
    [ "$2" = live ] || { nonce=-no_nonce from=(--from "$D/answers"); }
    openssl ocsp -issuer "$D/issuing.pem" "${@:3}" "${cert[@]}" "$nonce" -reqout "$D/question" &&
        us ocsp --for issuing:communications --respond "${from[@]}" <"$D/question" >"$D/answer" &&
        openssl ocsp -issuer "$D/issuing.pem" -CAfile "$D/root.pem" -verify_other "$D/issuing.pem" "${@:3}" \
            "${cert[@]}" -no_nonce -reqin "$D/question" -respin "$D/answer" 2>&1
}
verified() { ocsp "$@" >"$D/said" 2>&1; cat "$D/said"; grep -q 'Response verify OK' "$D/said"; }
check_out "a good one" 'pem: good' verified two live
check_out "by the SHA-256 form of its id" 'pem: good' verified two live -sha256
check_out "with the nonce of the question" 'pem: good' verified held live
nonce_in() { openssl ocsp "$@" -noverify 2>&1 | grep -A 1 'OCSP Nonce' | tail -n 1 | tr -d ' '; }
same_nonce() {
    local asked answered
    asked=$(nonce_in -reqin "$D/question" -req_text)
    answered=$(nonce_in -respin "$D/answer" -resp_text)
    [ ${#asked} -eq 36 ] && [ "$asked" = "$answered" ]
}
check "which is in the answer" same_nonce
check_out "the revoked one" 'pem: revoked' verified one live
check_out "why" 'keyCompromise' verified one live
check_out "one that it never issued is unknown" '0x4001020304: unknown' verified never live
status() { # status FILE: of the answer to it, by number
    us ocsp --for issuing:communications --respond --pin-file "$D/pin" <"$1" >"$D/answer" &&
        openssl ocsp -respin "$D/answer" -noverify 2>&1
}
head -c 40 /dev/urandom >"$D/junk"
head -c 10000 /dev/zero >"$D/long"
for junk in "$D/junk" "$D/long" /dev/null; do
    expect_fail "no question (${junk##*/})" 'malformedrequest' status "$junk"
done
check_out "answers are signed beforehand" 'answers are in' us ocsp --for issuing:communications --pin-file "$D/pin" \
    --presign "$D/answers"
check_out "they are given out without a key" 'pem: good' verified two beforehand
check_out "under both forms of the id" 'pem: good' verified two beforehand -sha256
check_out "the revoked one's too" 'pem: revoked' verified one beforehand
expect_fail "none is there for what was never issued" 'unauthorized' verified never beforehand
check "suspended meanwhile" us suspend --name two.us.example
check_out "live it is on hold" 'certificateHold' verified two live
check_out "an older answer is still out" 'pem: good' verified two beforehand
check "until the next are signed" us ocsp --for issuing:communications --pin-file "$D/pin" --presign "$D/answers"
check_out "then it is on hold there too" 'certificateHold' verified two beforehand
check "resumed" us resume --name two.us.example

# --- renewal ----------------------------------------------------------------

renew() { # renew KEY REQUEST
    "$FUSETSU" request --token gw --pin-file "$D/pin" --renew "$1" --out "$D/$2.request" && receive us "$2" "$2"
}
check "a gateway asks for renewal, and loses its request" "$FUSETSU" request --token gw --pin-file "$D/pin" --renew two \
    --out "$D/other.request"
check "a gateway renews by itself" renew two next
names() { openssl x509 -in "$D/$1.pem" -noout -subject -ext subjectAltName,certificatePolicies; }
renewed() {
    [ "$(names next)" = "$(names two)" ] && ! cmp -s "$D/next.serial" "$D/two.serial" &&
        [ "$(openssl x509 -in "$D/next.pem" -noout -pubkey)" = "$(openssl x509 -in "$D/two.pem" -noout -pubkey)" ]
}
check "name, policies and key are the same" renewed
again() { us issue --request "$D/next.request" --out "$D/x" "$@"; }
check_out "the same request gives the same certificate, without a PIN" 'the same certificate' again
one_more() {
    us list --json | jq -e --arg n "$(tr A-F a-f <"$D/next.serial")" \
        '[.[] | select(.subject == "two.us.example" and .issuer == "issuing")] | length == 2 and .[-1].serial == $n'
}
check "and no third one" one_more
check "its TPM opens that too" "$FUSETSU" cert import --token gw --pin-file "$D/pin" "$D/x" --out "$D/x.chain"
expect_exit 6 "another one for the same is refused" 'used already' us issue --pin-file "$D/pin" --request "$D/other.request" \
    --out "$D/y"
check "the new certificate renews too" renew two after
expect_exit 6 "not the revoked one" 'is revoked' renew one again
check "another is suspended" us suspend --name held.us.example
expect_exit 6 "nor the suspended one" 'is suspended' renew held again
check "until it is resumed" us resume --name held.us.example
check "then it renews" renew held again
check "the device is bound" "$FUSETSU" attest ek --out "$D/ek.pem"
check "by an officer" "$FUSETSU" device register --dir "$D/us" --ek "$D/ek.pem" --name two.us.example --operator O \
    --officer F --community communications
check "and quarantined" "$FUSETSU" device quarantine --dir "$D/us" 1 --officer F --note stolen
expect_exit 6 "then it renews nothing" 'quarantined' renew two last
expect_exit 6 "and is given nothing again" 'quarantined' again
expect_exit 1 "what ends within 100 days is listed" 'two.us.example' us expiring --days 100
once() {
    us expiring --days 100 --json >"$D/list" || [ $? -eq 1 ] || return 1
    jq -e '[.[] | select(.subject == "two.us.example")] | length == 1' "$D/list"
}
check "the last of each name" once
check_out "within 10 days nothing does, the new responder of 7 days included" 'Nothing ends' us expiring --days 10

# --- an ally ----------------------------------------------------------------

for c in communications electricity; do
    check "the ally's gateway in $c" enrol jp jp-$c $c
    jp export issuing:$c --out "$D/jp-$c-ca.pem" >"$D/out"
    check "$c is opened to the ally" us cross --ally "$D/jp-$c-ca.pem" --community $c --ally-nation JP \
        --ally-domain jp.example --out "$D/us-jp-$c.pem" --pin-file "$D/pin"
done
for c in root:crl0 cross:cross1; do
    us crl --for ${c%:*} --pin-file "$D/pin" --out "$D/${c#*:}.crl" >"$D/out"
done
jp crl --for issuing:communications --pin-file "$D/pin" --out "$D/jp-communications-ca.crl" >"$D/out"
jp crl --for issuing:electricity --pin-file "$D/pin" --out "$D/jp-electricity-ca.crl" >"$D/out"
# honoured COMMUNITY CROSS-CRL: by a gateway of ours that checks every link
honoured() {
    cat "$D/us-jp-$1.pem" "$D/cross.pem" >"$D/between.pem"
    openssl verify -CAfile "$D/root.pem" -untrusted "$D/between.pem" -crl_check_all -CRLfile "$D/crl0.crl" \
        -CRLfile "$D/$2.crl" -CRLfile "$D/jp-$1-ca.crl" "$D/jp-$1.pem"
}
for c in communications electricity; do check_out "the ally's gateway in $c is honoured" OK honoured $c cross1; done
cut() { us cut --community electricity --ally JP --pin-file "$D/pin" --out "$D/$1.crl" "${@:2}"; }
check_out "a dry run of a cut" 'Nothing was done' cut cross2 --dry-run
check "writes nothing" test ! -e "$D/cross2.crl"
expect_exit 5 "an ally that there is not" 'no cross-certificate' us cut --community electricity --ally FR \
    --pin-file "$D/pin" --out "$D/cross2.crl"
expect_exit 3 "without the PIN nothing is cut" 'PIN' us cut --community electricity --ally JP --pin-file "$D/bad" \
    --out "$D/cross2.crl"
check_out "nothing was" OK honoured electricity cross1
check_out "electricity is cut" 'Full CRL 2 of the cross CA, 1 entries' cut cross2
expect_fail "after one CRL the ally is refused there" 'certificate revoked' honoured electricity cross2
check_out "and nowhere else" OK honoured communications cross2
bundle() { us export "bundle:$1" --out - | grep -c BEGIN; }
check_out "its cross-certificate is out of the bundle" '^2$' bundle electricity
check_out "the other is in" '^3$' bundle communications
check_out "cut again, should the CRL be lost" 'Full CRL 3 .* 1 entries' cut cross3
expect_fail "it says the same" 'certificate revoked' honoured electricity cross3

# --- a clock that went back, as if: what was signed last is dated a year ahead -----------------

year=$((365 * 86400))
sql() { sqlite3 "$D/us/registry.db" "$1"; }
invite_more() { us invite --community electricity --name more.us.example --out "$D/more.invite"; }
refused_by_clock() { expect_exit 6 "$1" 'the clock stands at 20.* set it right' "${@:2}"; }
check "a certificate more" us ocsp-responder --for cross --pin-file "$D/pin"
sql "UPDATE issued SET issued_at = issued_at + $year WHERE id = (SELECT max(id) FROM issued)"
refused_by_clock "no invitation" invite_more
refused_by_clock "no CRL" us crl --for root --pin-file "$D/pin" --out "$D/x.crl"
refused_by_clock "no responder" us ocsp-responder --for issuing:communications --pin-file "$D/pin"
refused_by_clock "no OCSP answers" us ocsp --for issuing:communications --pin-file "$D/pin" --presign "$D/answers"
refused_by_clock "no cross-certificate" us cross --ally "$D/jp-communications-ca.pem" --community communications \
    --ally-nation JP --ally-domain jp.example --pin-file "$D/pin" --out "$D/x.pem"
check "what it dated is revoked" us revoke "$(sql 'SELECT serial FROM issued ORDER BY id DESC LIMIT 1')" --reason superseded
check "and all goes on" invite_more
sql "UPDATE crl SET this_update = this_update + $year WHERE role = 0"
refused_by_clock "nor after a CRL" invite_more
expect_exit 6 "which says what to do" 'clock-was-ahead' us crl --for root --pin-file "$D/pin" --out "$D/x.crl"
expect_exit 2 "not by a delta" 'full CRL' us crl --for root --delta --clock-was-ahead --pin-file "$D/pin" --out "$D/x.crl"
check "the next one is dated right" us crl --for root --clock-was-ahead --pin-file "$D/pin" --out "$D/crl0.crl"
check "and all goes on again" invite_more
check_out "verifiers take it" OK honoured communications cross3
finish
