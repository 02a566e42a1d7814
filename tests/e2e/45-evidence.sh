#!/bin/bash
# Goal: a certificate says where a key lives, and anybody can find out whether that is so. Two
# machines with EKs of two kinds are registered and enrol; one that nobody registered waits for an
# officer; platform and firmware are judged by what was agreed; a TPM that went back in time gets
# nothing more. What was issued is judged again with nothing but its files: no TPM, store, registry
# or device.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 3 "$@"
# shellcheck source=swtpm-ci/lib.sh
. swtpm-ci/lib.sh

# TPM 1: the authority. TPM 2: the registered gateway. TPM 3: another machine.
token() { at "$1" "$FUSETSU" token init --label "$2" --so-pin-file "$D/so" --pin-file "$D/pin"; }
ca() { local c=$1; shift; at 1 "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
device() { local c=$1; shift; at 1 "$FUSETSU" device "$c" --dir "$D/ca" "$@"; }
invite() { ca invite --community communications --name "$1.us.example" --out "$D/$1.invite" "${@:2}"; }
keys=0
request() { # request TPM NAME OPTION...: with a new key
    keys=$((keys + 1))
    at "$1" "$FUSETSU" request --token "m$1" --pin-file "$D/pin" --invite "$D/$2.invite" \
        --label "$2-$keys" --out "$D/$2.request" "${@:3}"
}
issue() { ca issue --pin-file "$D/pin" --request "$D/$1.request" --out "$D/$1.sealed" "${@:2}"; }
import() { # import TPM NAME
    at "$1" "$FUSETSU" cert import --token "m$1" --pin-file "$D/pin" "$D/$2.sealed" \
        --evidence "$D/$2.evidence" --out "$D/$2.pem"
}
enrol() { # enrol TPM NAME REQUEST-OPTION...
    invite "$2" && request "$@" && issue "$2" && import "$1" "$2"
}
# refused CHECK NAME WHAT [PATTERN]: by that check alone, for that reason; and nothing is issued.
refused() {
    rm -f "$D/$2.sealed"
    expect_exit 6 "$3" "check $1 failed" issue "$2" --json || return
    sed -n '/^{/,/^}/p' "$D/out" >"$D/json"
    check_out "... for nothing else" "${4:-.}" jq -er --argjson n "$1" \
        '[.verdict.checks[] | select(.outcome == "fail")] | select(length == 1)[0] | select(.check == $n).reason' "$D/json"
    check "... and nothing is issued" test ! -s "$D/$2.sealed"
}
# json JQ COMMAND...: what it prints satisfies the filter
json() { local filter=$1; shift; "$@" | tee "$D/json" | jq -e "$filter"; }
ek_kind() { openssl x509 -in "$1" -noout -text | grep -E "$2"; }

check "the authority's token" token 1 authority
check "a gateway's token" token 2 m2
check "another machine's token" token 3 m3
check "an authority that answers registered TPMs alone" ca init --token authority --pin-file "$D/pin" \
    --nation US --org Test --domain us.example --communities communications --ek-pins "$EK_CA_PEM"
check "the root" ca export root --out "$D/root.pem"

# --- registered by all EKs of a TPM, and enrolled by each of them ------------------------------
check "all EK certificates of the gateway's TPM" at 2 "$FUSETSU" attest ek --out "$D/ek2.pem"
csplit -s -z -f "$D/ek2-" "$D/ek2.pem" '/BEGIN CERTIFICATE/' '{*}'
check "one is P-384, of the high range" ek_kind "$D/ek2-00" 'P-384'
check "one is RSA, of the low range" ek_kind "$D/ek2-01" 'Public-Key: \(2048 bit\)'
expect_exit 5 "before it is registered nobody is invited" 'device register' invite gw
check "an officer registers both" device register --ek "$D/ek2.pem" --operator "Example Telecom" \
    --name gw.us.example --community communications --officer "R. Officer" --note PO-1
expect_exit 5 "one TPM is one device: its RSA EK is bound already" 'bound|registered' device register \
    --ek "$D/ek2-01" --operator Other --name rsa.us.example --community communications --officer "R. Officer"
for name in rsa quoted; do
    check "it may be $name too" device register --device 1 --name $name.us.example \
        --community communications --officer "R. Officer"
done
check_out "the list shows one device of two EKs and three names" true json \
    'length == 1 and (.[0] | .state == "active" and (.eks | length) == 2 and (.names | length) == 3 and .reading == null)' \
    device list --json
check "enrolled by the P-384 EK" enrol 2 gw --type p256
check "invited by its RSA EK alone" invite rsa --ek "$D/ek2-01"
check "an RSA key is requested by that" request 2 rsa --type rsa2048
check "and issued" issue rsa
check "and opened by the TPM" import 2 rsa
template() { # template NAME INDEX: the EK template in the record, its second INTEGER
    sed -n '/BEGIN FUSETSU EVIDENCE/,/END/p' "$D/$1.evidence" | sed '/^-----/d' | base64 -d |
        openssl asn1parse -inform DER | awk '/INTEGER/ && ++n == 2 { print }' | grep ":$2\$"
}
check "the one record names template H-3" template gw 01C00016
check "the other one L-1" template rsa 01C00002
check_out "showing an EK certificate alone moves no clock" true json '.[0].reading == null' device list --json
check "enrolled again, its attestation key known by its certificate" enrol 2 gw --type p256
check_out "now the clock of its TPM is on record" true json '.[0].reading.resets > 0' device list --json

# --- a TPM that nobody registered --------------------------------------------------------------
check "the gateway is invited once more" invite gw
check "another machine, as genuine, answers" request 3 gw
refused 22 gw "it is not registered" "no officer has registered"
check_out "it waits for an officer" true json \
    'length == 2 and (.[1] | .state == "pending" and .names[0].name == "gw.us.example")' device list --json
check "invited" invite gw
check "it asks again" request 3 gw
refused 22 gw "and waits still" 'no officer has approved device 2'
check_out "as one device" true json length==2 device list --json
check "an officer approves it" device approve 2 --operator "Example Telecom" --officer "R. Officer"
mv "$D/gw.evidence" "$D/first.evidence" && mv "$D/gw.pem" "$D/first.pem"
check "now it is enrolled" enrol 3 gw
check "an officer quarantines it" device quarantine 2 --officer "R. Officer" --note "reported stolen"
check "invited" invite gw
check "it asks" request 3 gw
refused 22 gw "and is told why not" "reported stolen"
check "it is approved again" device approve 2 --officer "R. Officer" --note "found"

# --- what the platform runs -----------------------------------------------------------------------
agree() { # the gateway's PCRs as they are now, and those of another platform
    { printf 'platform other\nsha256:\n  0 : 0x%064d\n  7 : 0x%064d\nplatform gateway\n' 1 2
      at 2 foreign tpm2_pcrread -T "$TPM_TCTI_2" sha256:0,2,7; } >"$D/platforms" && cp "$D/platforms" "$D/ca/platforms"
}
check "the PCR values of the gateway are agreed on" agree
check "invited" invite quoted
check "asked without a quote" request 2 quoted
refused 21 quoted "which the authority wants now" 'carries no quote'
check "invited" invite quoted
check "asked with a quote of fewer PCRs" request 2 quoted --pcrs sha256:0,2
refused 21 quoted "PCR 7 is missing" "PCR 7 of bank 000b"
check "enrolled with a quote" enrol 2 quoted --pcrs sha256:0,2,4,7
check "something else runs" tpm2_pcrextend -T "$TPM_TCTI_2" "7:sha256=$(printf %064d 3)"
mv "$D/quoted.sealed" "$D/quoted.kept"
check "invited" invite quoted
check "asked with a quote" request 2 quoted --pcrs sha256:0,2,4,7
refused 21 quoted "which is of another platform" "PCR 7"
rm "$D/ca/platforms"

# --- firmware ------------------------------------------------------------------------------------------
firmware=$(tpm2_getcap -T "$TPM_TCTI_2" properties-fixed |
    awk '/TPM2_PT_FIRMWARE_VERSION_[12]/ { name = $1 } name != "" && /raw:/ { sub("0x", "", $2); printf "%08s", $2; name = "" }' | tr ' ' 0)
echo "id:00001014 swtpm 0 $firmware CVE-0000-0001: keys that can be guessed" >"$D/advisories"
cp "$D/advisories" "$D/ca/advisories"
check "invited" invite gw
check "asked" request 2 gw
refused 19 gw "by firmware that an advisory names" "keys that can be guessed"
echo "id:00001014 swtpm 0 0000000000000001 older than this one" >"$D/ca/advisories"
check "invited" invite gw
check "an advisory for others does not hurt" enrol 2 gw
rm "$D/ca/advisories"

# --- judged by an ally who has nothing but files -------------------------------------------------------
jail() { # the program, its libraries and what was handed over; nothing else, and no network
    local f
    mkdir -p "$D/jail/in"
    while read -r f; do
        mkdir -p "$D/jail${f%/*}" && cp -L "$f" "$D/jail$f" || return 1
    done < <(ldd "$FUSETSU" | grep -oE '/[^ ]+')
    cp "$FUSETSU" "$D/jail/fusetsu" &&
        cp "$D/root.pem" "$D/first.pem" "$D/first.evidence" "$D/quoted.pem" "$D/quoted.evidence" \
            "$D/platforms" "$D/advisories" "$D/jail/in" && cp "$EK_CA_PEM" "$D/jail/in/makers.pem"
}
ally() { # ally CERTIFICATE EVIDENCE MAKERS OPTION...
    # A sanitizer wants /proc, and nothing else does.
    local proc=:
    ! is_asan || { mkdir -p "$D/jail/proc" && proc='mount -t proc proc "$0/proc"'; }
    timeout "$LIMIT" unshare -mn bash -c "$proc"' && exec chroot "$0" "$@"' "$D/jail" /fusetsu verify --roots /in/root.pem \
        --community communications --level 3 --evidence "/in/$2.evidence" --ek-pins "/in/$3.pem" \
        "${@:4}" "/in/$1.pem"
}
numbers() { # numbers OUTCOME: of the checks in $D/json
    jq -r --arg o "$1" '[.evidence.checks[] | select(.outcome == $o).check] | join(" ")' "$D/json"
}
judged() { # judged PASS ASSERTED NA NAME OPTION...: exactly these, all 26
    ally "$4" "$4" makers "${@:5}" --json >"$D/json" || return 1
    [ "$(jq '.evidence.checks | length' "$D/json")" = 26 ] && [ "$(numbers pass)" = "$1" ] &&
        [ "$(numbers asserted)" = "$2" ] && [ "$(numbers n/a)" = "$3" ] && [ "$(numbers fail)" = "" ] && return
    for o in pass asserted n/a fail; do echo "$o: $(numbers $o)"; done
    return 1
}
if unshare -mn true 2>/dev/null && jail; then
    echo "id:00001014 other 0 1 not this one" >"$D/jail/in/others"
    check "there is no device where the ally is" test ! -e "$D/jail/dev"
    check "20 checks are recomputed, five rest on the issuer's word, and no approver is named" judged \
        '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 17 18 23 24 25' '16 19 20 21 22' 26 first
    check "with his own lists the ally judges firmware and platform himself" judged \
        '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 17 18 19 21 23 24 25' '16 20 22' 26 \
        quoted --platforms /in/platforms --advisories /in/others
    check_out "people read the same" '20  asserted' ally first first makers
    expect_exit 6 "a list of his that names the firmware counts" 'check 19 failed' ally first first makers --advisories /in/advisories
    expect_exit 6 "so does a platform that he does not agree on" 'check 21 failed' ally first first makers --platforms /in/platforms
    expect_exit 6 "makers that he does not trust do not" 'check 18 failed' ally first first root
    expect_exit 6 "nor does the evidence of another certificate" '24  FAILED' ally first quoted makers
else
    skip "judged with nothing but files" "no private mount and network namespaces here"
fi
expect_exit 2 "lists without evidence judge nothing" 'name it by --evidence' "$FUSETSU" verify --roots "$D/root.pem" \
    --advisories "$D/advisories" "$D/first.pem"

# --- for verifiers that are not ours ---------------------------------------------------------------------
nonce=$(printf '%064d' 4711)
attest() { at 2 "$FUSETSU" attest "$1" --token m2 --pin-file "$D/pin" "${@:2}"; }
checkquote() { # checkquote NONCE
    foreign tpm2_checkquote -u "$D/ak.pem" -m "$D/q.msg" -s "$D/q.sig" -q "$1" -g sha256
}
check "the attestation key" attest ak --out "$D/ak.pem"
check_out "quotes the platform" '^ +7 ' attest quote --pcrs sha256:0,7 --nonce "$nonce" --message "$D/q.msg" --signature "$D/q.sig"
check "tpm2_checkquote accepts the quote" checkquote "$nonce"
expect_fail "for that nonce alone" 'nonce|qualif' checkquote "${nonce%1}2"
check "evidence on a key for a verifier's nonce" attest key --label gw-1 --name gw.us.example \
    --nonce "$nonce" --pcrs sha256:0,2,7 --out "$D/key.evidence"
ca export attestation --out "$D/attestation.pem" >"$D/out" 2>&1
cat "$D/root.pem" "$D/attestation.pem" >"$D/ak-roots.pem"
judge() { # judge NAME NONCE OPTION...
    "$FUSETSU" attest check "$D/key.evidence" --ek-pins "$EK_CA_PEM" --name "$1.us.example" --nonce "$2" "${@:3}"
}
roots=(--ak-roots "$D/ak-roots.pem")
check_out "which he judges by himself" true json '.accepted and .level == 3 and
    ([.checks[] | select(.check == 16 or .check == 7 or .check == 21).outcome] == ["pass", "pass", "asserted"])' \
    judge gw "$nonce" "${roots[@]}" --json
expect_exit 6 "with another nonce he does not" 'check 15 failed' judge gw "${nonce%1}2" "${roots[@]}"
expect_exit 6 "nor without the roots of the attestation key" 'check 7 failed' judge gw "$nonce"
expect_exit 6 "nor for another name" 'check 23 failed' judge other "$nonce" "${roots[@]}"
check "a new key, which no authority knows" at 2 "$FUSETSU" key generate --token m2 --pin-file "$D/pin" --type p256 --label unknown
check "has evidence as well" attest key --label unknown --name gw.us.example --nonce "$nonce" --out "$D/key.evidence"
check_out "by the same attestation key" true json .accepted judge gw "$nonce" "${roots[@]}" --json

# --- a maker with two intermediates, and padding behind the certificate in NV ----------------------------
maker() { # root, two CAs below it, and a certificate of theirs for the P-384 EK of TPM 3
    local m=$D/maker ca above=root n key=()
    mkdir "$m" && at 3 "$FUSETSU" attest ek --out "$m/old.pem" && openssl x509 -in "$m/old.pem" -pubkey -noout >"$m/ek.pub" &&
        cat >"$m/ext" <<'EXT' &&
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[ek]
basicConstraints = critical, CA:FALSE
keyUsage = critical, keyAgreement
extendedKeyUsage = 2.23.133.8.1
subjectAltName = critical, dirName:tpm
[tpm]
1.2.23.133.2.1 = id:00001014
2.2.23.133.2.2 = swtpm
3.2.23.133.2.3 = id:20191023
EXT
        for ca in root one two ek; do
            openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$m/$ca.key" -out "$m/$ca.csr" \
                -subj "/CN=maker $ca" || return 1
        done
    openssl x509 -req -in "$m/root.csr" -signkey "$m/root.key" -extfile "$m/ext" -extensions ca -days 9 -out "$m/root.pem" &&
        for ca in one two ek; do
            [ $ca != ek ] || key=(-force_pubkey "$m/ek.pub")
            openssl x509 -req -in "$m/$ca.csr" -CA "$m/$above.pem" -CAkey "$m/$above.key" -CAcreateserial -extfile "$m/ext" \
                -extensions "$([ $ca = ek ] && echo ek || echo ca)" -days 9 -out "$m/$ca.pem" \
                "${key[@]}" || return 1
            above=$ca
        done
    { openssl x509 -in "$m/ek.pem" -outform DER && printf '\xff%.0s' {1..64}; } >"$m/ek.nv" && n=$(stat -c %s "$m/ek.nv") &&
        tpm2_nvundefine -Q -T "$TPM_TCTI_3" -C p 0x01c00016 && tpm2_nvdefine -Q -T "$TPM_TCTI_3" -C p -s "$n" \
        -a 'ppwrite|ppread|ownerread|authread|no_da|platformcreate' 0x01c00016 &&
        tpm2_nvwrite -Q -T "$TPM_TCTI_3" -C p -i "$m/ek.nv" 0x01c00016
}
check "a maker with two intermediates makes a certificate for that other machine's EK" maker
same_cert() { at 3 "$FUSETSU" attest ek --out "$D/ek3.pem" && cmp <(openssl x509 -in "$D/ek3.pem") "$D/maker/ek.pem"; }
check "the padding behind it is cut off" same_cert
check "its root is pinned" bash -c "cat '$D/maker/root.pem' >>'$D/ca/ek-pins.pem'"
check "invited" invite gw
check "asked without what lies between" request 3 gw
refused 18 gw "nothing leads to the pinned root" "no pinned issuer vouches"
check "invited" invite gw
check "asked with one of two" request 3 gw --ek-chain "$D/maker/two.pem"
refused 18 gw "one is missing" "no pinned issuer vouches"
cat "$D/maker/one.pem" "$D/maker/two.pem" >"$D/chain.pem"
check "with both it is enrolled" enrol 3 gw --ek-chain "$D/chain.pem"
check_out "and an ally who trusts that maker accepts it" 'Evidence: accepted, proves level 3' "$FUSETSU" verify \
    --evidence "$D/gw.evidence" --evidence-roots "$D/root.pem" --ek-pins "$D/maker/root.pem" "$D/gw.pem"
expect_exit 6 "one who trusts the other makers only does not" 'check 18 failed' "$FUSETSU" verify \
    --evidence "$D/gw.evidence" --evidence-roots "$D/root.pem" --ek-pins "$EK_CA_PEM" "$D/gw.pem"

# --- a TPM that is put back to what it was ------------------------------------------------------------------
back=$TPM_DIR/tpm3
cycle() { tpm_stop "$back" && tpm_start "$back"; }
snapshot() { tpm_stop "$back" && cp -a "$back/state" "$D/state" && tpm_start "$back"; }
restore() { tpm_stop "$back" && rm -rf "$back/state" && cp -a "$D/state" "$back/state" && tpm_start "$back"; }
check "its state is copied while it is off" snapshot
check "it runs on" cycle
check "and is enrolled once more" enrol 3 gw --ek-chain "$D/chain.pem"
check "its state is put back" restore
check "invited" invite gw
check "asked" request 3 gw --ek-chain "$D/chain.pem"
refused 20 gw "it is behind what it said before" "went back, or is not the same"
check_out "it is quarantined, by the authority itself" true json '.[1] | .state == "quarantined" and
    .officer == "the authority itself" and (.note | contains("went back"))' device list --json
check "invited" invite gw --ek "$D/ek3.pem"
check "it is turned on until its counter has passed" cycle
check "twice" cycle
check "asked" request 3 gw --ek-chain "$D/chain.pem"
refused 22 gw "it stays shut out" "quarantined"
check "until an officer has looked" device approve 2 --officer "R. Officer" --note "mainboard put back"
check "invited" invite gw
check "then it is enrolled" enrol 3 gw --ek-chain "$D/chain.pem"
finish
