#!/bin/bash
# Goal: two nations open communications to each other, then electricity, then cut communications; and OpenSSL,
# OpenVPN, strongSwan and NSS, with keys in the TPMs of two gateways, do what was agreed on. What is not open is
# refused. Widening is one more cross-certificate and one more federation: no leaf is issued again. The cut is one
# CRL, and after one refresh nothing of that community comes in, while the other one stays open.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/charon.sh
. tests/e2e/charon.sh

# TPM 1 is of US, TPM 2 of JP: the authority's token and that of the gateway, in stores of their own.
NATION=(- us jp) OTHER=(- 2 1)
nation() { echo "${NATION[$1]^^}"; }
ca() { FUSETSU_STORE=$D/ca$1/store.db at "$1" _ca "$@"; }
_ca() { FUSETSU_STORE=$D/ca$1/store.db "$FUSETSU" "${@:2}"; }
gw() { at "$1" "$FUSETSU" "${@:2}"; }
with_ca() { ca "$1" ca "$2" --dir "$D/ca$1/authority" "${@:3}"; }
founded() { # founded N
    local n=$1 c
    mkdir "$D/ca$n"
    ca "$n" token init --label ca --so-pin-file "$D/so" --pin-file "$D/pin" &&
        with_ca "$n" init --any-tpm --token ca --pin-file "$D/pin" --nation "$(nation "$n")" --org "$(nation "$n") Test" \
            --domain "${NATION[$n]}.example" --communities communications,electricity --ek-pins "$EK_CA_PEM" &&
        with_ca "$n" export root --out "$D/${NATION[$n]}-root.pem" && with_ca "$n" export cross --out "$D/${NATION[$n]}-cross-ca.pem" &&
        gw "$n" token init --label "gw$n" --so-pin-file "$D/so" --pin-file "$D/pin" || return 1
    for c in communications electricity; do with_ca "$n" export "issuing:$c" --out "$D/${NATION[$n]}-$c.pem" || return 1; done
}
enrolled() { # enrolled N COMMUNITY: the key COMMUNITY, for COMMUNITY.NATION.example; $D/N/COMMUNITY.pem
    local file=$D/$1/$2
    with_ca "$1" invite --community "$2" --name "$2.${NATION[$1]}.example" --out "$file.invite" &&
        gw "$1" request --token "gw$1" --pin-file "$D/pin" --invite "$file.invite" --type p256 --label "$2" --out "$file.request" &&
        with_ca "$1" issue --pin-file "$D/pin" --request "$file.request" --out "$file.sealed" &&
        gw "$1" cert import --token "gw$1" --pin-file "$D/pin" "$file.sealed" --label "$2" --out "$file.chain" &&
        openssl x509 -in "$file.chain" -out "$file.pem"
}
crossed() { # crossed N COMMUNITY: by N for the other, and for IKE
    local o=${OTHER[$1]} how
    for how in '' --ike; do
        with_ca "$1" cross --pin-file "$D/pin" --ally "$D/${NATION[$o]}-$2.pem" --community "$2" --ally-nation "$(nation "$o")" \
            --ally-domain "${NATION[$o]}.example" --out "$D/cross-$1-$2$how.pem" ${how:+"$how"} || return 1
    done
}
agreed() { # agreed SEQUENCE COMMUNITIES: a federation, signed by both and applied by both
    local n after=()
    [ "$1" = 1 ] || after=(--after "$D/$(($1 - 1)).fed")
    for n in 1 2; do
        ca "$n" federation part --dir "$D/ca$n/authority" --ally "$(nation "${OTHER[$n]}")" --communities "$2" --out "$D/$n.part" || return 1
    done
    "$FUSETSU" federation draft --name us-jp "$D/1.part" "$D/2.part" --out "$D/$1.txt" "${after[@]}" &&
        ca 1 federation sign --dir "$D/ca1/authority" --pin-file "$D/pin" "$D/$1.txt" --out "$D/$1.half" &&
        ca 2 federation sign --dir "$D/ca2/authority" --pin-file "$D/pin" "$D/$1.half" --out "$D/$1.fed" || return 1
    for n in 1 2; do
        "$FUSETSU" federation apply --nation "$(nation "$n")" --root "$D/${NATION[$n]}-root.pem" \
            --ally-root "$D/${NATION[${OTHER[$n]}]}-root.pem" --to "$D/trust$n" "$D/$1.fed" || return 1
    done
}
published() { # published CA...: the next CRLs of those CAs of both
    local n c
    for n in 1 2; do
        for c; do with_ca "$n" crl --for "$c" --pin-file "$D/pin" --out "$D/crls/$n-${c#issuing:}.crl" || return 1; done
    done
}
fetched() { local n && for n in 1 2; do "$FUSETSU" federation crls --trust "$D/trust$n" "$D"/crls/*.crl || return 1; done; }
mkdir "$D/crls"

for n in 1 2; do
    check "an authority of $(nation $n), and a gateway" founded $n
    for c in communications electricity; do check "$(nation $n): a leaf for $c" enrolled $n $c; done
done
for n in 1 2; do check "$(nation $n) opens communications" crossed $n communications; done
check "a federation of communications, signed by both and applied by both" agreed 1 communications
check "CRLs" published root cross issuing:communications
check "handed in on both sides" fetched
leaves() { sha256sum "$D"/[12]/{communications,electricity}.pem; }
leaves >"$D/leaves"

# --- OpenSSL and NSS, as clients of a server whose key is in the other's TPM --------------------------------
engine_conf "$D/engine.cnf"
declare -A PORT
served() { # served N COMMUNITY
    local port
    port=$(free_port) || return 1
    OPENSSL_CONF=$D/engine.cnf at "$1" background "${FOREIGN[@]}" openssl s_server -accept "127.0.0.1:$port" -www -engine pkcs11 -keyform engine \
        -key "$(key_uri "gw$1" "$2")" -cert "$D/$1/$2.pem" >"$D/$1/$2.server" 2>&1 </dev/null
    PORT[$1$2]=$port
    poll 30 listening "$port" "$LAST" && ! gone "$LAST" || { cat "$D/$1/$2.server" && return 1; }
}
for n in 1 2; do
    for c in communications electricity; do served $n $c && ok "a server of $(nation $n), $c" || not_ok "a server of $(nation $n), $c" "see above"; done
done
by_openssl() { # by_openssl N COMMUNITY: N relies on it, the other one has it
    local o=${OTHER[$1]} t=$D/trust$1/${3:-$2}
    cat "$t.pem" "$t.crls.pem" >"$D/store.pem"
    printf 'GET / HTTP/1.0\r\n\r\n' | timeout -k 5 30 openssl s_client -connect "127.0.0.1:${PORT[$o$2]}" -CAfile "$D/store.pem" -crl_check_all \
        -policy "$(cat "$t.policy")" -policy_check -explicit_policy -verify_hostname "$2.${NATION[$o]}.example" -verify_return_error -ign_eof 2>&1
}
# nss_database N COMMUNITY: what N trusts for it, and the CRLs
nss_database() {
    local t=$D/trust$1 i
    rm -rf "$D/nss" && mkdir "$D/nss" && certutil -N -d "sql:$D/nss" --empty-password || return 1
    for i in "$t/$2.d"/*.pem; do certutil -A -d "sql:$D/nss" -n "${i##*/}" -t "$([[ $i == */root.pem ]] && echo CT),," -a -i "$i" || return 1; done
    for i in root cross-ca "ally-$2" "issuing-$2"; do crlutil -I -d "sql:$D/nss" -i "$t/crls/$i.crl" || return 1; done
}
by_nss() {
    local o=${OTHER[$1]}
    nss_database "$1" "${3:-$2}" || return 1
    timeout -k 5 30 tstclnt -h 127.0.0.1 -p "${PORT[$o$2]}" -a "$2.${NATION[$o]}.example" -d "sql:$D/nss" -V tls1.2:tls1.3 -Q 2>&1 ||
        return 1 # of its own it is 254
}
# The other way round: N is a server of NSS's, and the other one comes with its key in its TPM.
by_selfserv() {
    local n=$1 o=${OTHER[$1]} port rc=0 pid
    port=$(free_port) && nss_database "$n" "${3:-$2}" &&
        at "$n" foreign modutil -dbdir "sql:$D/nss" -force -add fusetsu -libfile "$MODULE" || return 1
    at "$n" background "${FOREIGN[@]}" selfserv -d "sql:$D/nss" -p "$port" -e "gw$n:${3:-$2}" -f "$D/pin" -r -r -v -V tls1.2:tls1.3 >"$D/selfserv" 2>&1 </dev/null
    pid=$LAST
    poll 30 listening "$port" "$pid"
    printf 'GET / HTTP/1.0\r\n\r\n' | OPENSSL_CONF=$D/engine.cnf at "$o" foreign openssl s_client -connect "127.0.0.1:$port" -ign_eof \
        -engine pkcs11 -keyform engine -key "$(key_uri "gw$o" "$2")" -cert "$D/$o/$2.pem" >"$D/client" 2>&1
    grep -q '^HTTP/1.0 200' "$D/client" || rc=1
    end "$pid"
    tail -n 5 "$D/client"
    cat "$D/selfserv"
    return "$rc"
}

# --- OpenVPN: a tunnel without a device, both with the gate before it ----------------------------------------------
mkdir "$D/home"
# What sits at the management interface gives the PIN.
answer() { # answer PORT PIN
    local line
    until { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; do sleep 0.05; done
    while IFS= read -r line <&3; do
        case $line in
        ">PASSWORD:Need '"*) line=${line#*\'} && printf 'password "%s" "%s"\n' "${line%%\'*}" "$2" >&3 ;;
        esac
    done
}
export -f answer
vpn_settings() { # vpn_settings N LABEL COMMUNITY PEER PORT PEER-PORT MANAGEMENT
    local role=server
    [ "$1" = 1 ] || role=client
    printf '%s\n' 'dev null' 'proto udp' 'local 127.0.0.1' "lport $5" 'remote 127.0.0.1' "rport $6" "tls-$role" \
        "verify-x509-name $4.${NATION[${OTHER[$1]}]}.example name" 'data-ciphers AES-256-GCM' 'connect-retry 1 1' \
        "management 127.0.0.1 $7" 'management-query-passwords' 'verb 3' >"$D/$1.ovpn"
    if [ "$1" = 1 ]; then echo 'dh none' >>"$D/$1.ovpn"; elif [ -n "${BROUGHT:-}" ]; then echo "extra-certs $BROUGHT" >>"$D/$1.ovpn"; fi
    HOME=$D/home at "$1" "$FUSETSU" setup openvpn --user --token "gw$1" --label "$2" --trust "$D/trust$1" --community "$3" --file "$D/$1.ovpn"
}
came() { gone "$1" || grep -qE 'Initialization Sequence Completed|VERIFY [A-Z0-9]* ?ERROR' "$2"; }
by_openvpn() { # by_openvpn N COMMUNITY [TRUSTED]: N judges, and the other one has COMMUNITY
    local n=$1 o=${OTHER[$1]} c=${3:-$2} p q m pids=() i rc=0
    p=$(free_port) && q=$(free_port) && m=([1]="$(free_port)" [2]="$(free_port)") || return 1
    vpn_settings "$n" "$c" "$c" "$2" "$p" "$q" "${m[$n]}" && vpn_settings "$o" "$2" "$c" "$c" "$q" "$p" "${m[$o]}" || return 1
    grep -q '^crl-verify ' "$D/$n.ovpn" || { echo "no crl-verify" && return 1; }
    for i in "$n" "$o"; do
        : >"$D/$i.log"
        at "$i" background "${FOREIGN[@]}" openvpn --config "$D/$i.ovpn" >"$D/$i.log" 2>&1 </dev/null
        pids+=("$LAST")
        background timeout "$LIMIT" bash -c 'answer "$@"' - "${m[$i]}" "$PIN" >/dev/null 2>&1 </dev/null
        pids+=("$LAST")
    done
    poll 40 came "${pids[0]}" "$D/$n.log"
    grep -q 'Initialization Sequence Completed' "$D/$n.log" || rc=1
    for i in "${pids[@]}"; do end "$i"; done
    cat "$D/$n.log"
    return "$rc"
}

# --- strongSwan ---------------------------------------------------------------------------------------------------
handle() { at "$1" "$FUSETSU" key list --token "gw$1" --json | jq -er --arg l "$2" '.[] | select(.label == $l) | .id'; }
connection() { # connection N NAME OWN PEER LINE...: at site N; NAME asks what setup writes
    local n=$1 o=${OTHER[$1]}
    cat >"$D/$n/etc/swanctl/conf.d/$2.connection.conf" <<CONF
connections {
  $2 {
    version = 2
    childless = force
    local_addrs = 192.0.2.$n
    remote_addrs = 192.0.2.$o
    local {
      auth = pubkey
      id = $3.${NATION[$n]}.example
      cert {
        handle = $(handle "$n" "$3")
        module = fusetsu
      }
    }
    remote {
      auth = pubkey
      id = $4.${NATION[$o]}.example
$(printf '      %s\n' "${@:5}")
    }
  }
}
CONF
}
swan_setup() { # swan_setup N LABEL COMMUNITY [OPTION...]
    at "$1" on "$1" "$FUSETSU" setup strongswan --token "gw$1" --label "$2" --trust "$D/trust$1" --community "$3" --connection "$2" \
        --pin-source "$D/pin" "${@:4}"
}
strongswan_setup() { # strongswan_setup COMMUNITY: at both sites
    local n
    for n in 1 2; do swan_setup "$n" "$1" "$1" && connection "$n" "$1" "$1" "$1" || return 1; done
}
sites() { # with what setup writes
    local n
    for n in 1 2; do site $n || return 1; done
    wire && strongswan_setup communications || return 1
    # JP's gateway of electricity comes to US as one of communications.
    connection 1 electricity communications electricity "cert_policy = $("$FUSETSU" policy communications 3)" 'revocation = strict' &&
        connection 2 electricity electricity communications && swan_setup 2 electricity communications || return 1
    for n in 1 2; do charon_start $n || return 1; done
}
# As setup says.
loaded() { local n && for n in 1 2; do cp "$D/trust$n"/crls/*.crl "$D/$n/etc/swanctl/x509crl/" && swanctl $n --load-all --noprompt && swanctl $n --flush-certs || return 1; done; }
dialled() {
    local rc=0
    swanctl "$1" --initiate --ike "$2" --timeout 20 || rc=$?
    swanctl "$1" --terminate --ike "$2" --timeout 5 >/dev/null 2>&1
    return "$rc"
}
by_strongswan() { loaded >"$D/loaded" 2>&1 && with_log 1 with_log 2 dialled "$1" "$2"; }

# --- who judges ------------------------------------------------------------------------------------------------------
JUDGES=(openssl)
if command -v openvpn >/dev/null; then JUDGES+=(openvpn); else skip "OpenVPN" "it is not installed (Debian: openvpn)"; fi
if command -v tstclnt selfserv modutil >/dev/null; then JUDGES+=(nss selfserv); else skip "NSS" "tstclnt is missing (Debian: libnss3-tools)"; fi
if why=$(charon_missing); then
    skip "strongSwan" "$why"
elif check "two charons, with what setup writes" sites; then
    JUDGES+=(strongswan)
fi
# What `fusetsu setup strongswan` writes, and refuses.
swan_story() {
    local file plain=$D/plain
    wrong() { expect_exit "$1" "setup strongswan: $2" "$3" at 1 on 1 "$FUSETSU" setup strongswan --token gw1 --label communications "${@:4}"; }
    wrong 2 "a community of no federation" 'goes with --trust' --community communications
    wrong 2 "a level of no community" 'go with --trust DIR and --community' --trust "$D/trust1" --level 3
    wrong 2 "a name that is none" 'letters, digits' --trust "$D/trust1" --community communications --connection 'a { b'
    wrong 5 "what is not open" 'no certificates for IKE of electricity.*ca cross --ike' --trust "$D/trust1" --community electricity
    file=$(echo "$D"/1/etc/swanctl/conf.d/fusetsu-*-trust.conf)
    check_out "the peer is asked for one policy, level and community in one" "^1$" grep -c "cert_policy = $("$FUSETSU" policy communications 3)\$" "$file"
    check_out "and for revocation, since CRLs are kept" 'revocation = strict' cat "$file"
    cp -r "$D/trust1" "$plain" && rm -r "$plain/crls" "$plain/communications.crls.pem"
    check_out "where none are, as the certificates say" 'revocation = ifuri' at 1 on 1 "$FUSETSU" setup strongswan --token gw1 \
        --label communications --trust "$plain" --community communications --dry-run
    unread() { swanctl 1 --load-all --noprompt >"$D/loaded" 2>&1 && swanctl 2 --load-all --noprompt >"$D/loaded" 2>&1 && with_log 1 with_log 2 dialled 1 communications; }
    expect_fail "as long as charon has not read them, nobody comes in" 'RULE_CRL_VALIDATION is SKIPPED, but requires' unread
    check "a level that JP's gateway has not" swan_setup 1 communications communications --level 4
    expect_fail "lets it not in" 'constraint requires cert policy .*\.4$' by_strongswan 1 communications
    check "setup, undone" swan_setup 1 communications communications --undo
    check "leaves nothing" test ! -e "$file"
    check "and again" swan_setup 1 communications communications
}

opens() { # opens N COMMUNITY: N lets the other's gateway in, by every judge
    local judge
    for judge in "${JUDGES[@]}"; do check "$judge of $(nation "$1") lets in $2 of $(nation "${OTHER[$1]}")" "by_$judge" "$1" "$2"; done
}
refused_by() { expect_fail "$5 of $(nation "$1") refuses $2" "$3" "by_$5" "$1" "$2" "$4"; } # refused_by N COMMUNITY PATTERN TRUSTED JUDGE
refuses() { # refuses N COMMUNITY PATTERN [TRUSTED]
    local judge
    for judge in "${JUDGES[@]}"; do refused_by "$1" "$2" "$3" "${4:-}" "$judge"; done
}
same_leaves() { leaves | cmp - "$D/leaves"; }

# --- communications ---------------------------------------------------------------------------------------------------
[[ ${JUDGES[*]} != *strongswan* ]] || swan_story
opens 1 communications
opens 2 communications
UNKNOWN='unable to get local issuer certificate|no issuer certificate found|UNKNOWN_ISSUER|issuer is not recognized|issuer is unknown'
refuses 1 electricity "$UNKNOWN" communications
# (strongSwan judges who is called after who calls, and US refuses.)
for judge in "${JUDGES[@]}"; do
    [ "$judge" = strongswan ] || refused_by 2 electricity "$UNKNOWN" communications "$judge"
done

# --- and electricity --------------------------------------------------------------------------------------------------
for n in 1 2; do check "$(nation $n) opens electricity" crossed $n electricity; done
check "the next federation has both" agreed 2 communications,electricity
gate() { "$FUSETSU" gate --trust "$D/trust1" --community "$1" --usage server "$D/2/$1.pem"; }
expect_exit 6 "before its CRLs come, the gate refuses electricity" 'is missing; hand the newest' gate electricity
check "communications it lets in" gate communications
check "its CRLs" published issuing:electricity
check "come" fetched
[[ ${JUDGES[*]} != *strongswan* ]] || check "setup for strongSwan" strongswan_setup electricity
opens 1 electricity
opens 2 electricity
opens 1 communications
check "by the same certificates as before" same_leaves

# JP's gateway of electricity comes to a door of communications, and brings the cross-certificate of electricity along.
cat "$D/cross-1-electricity.pem" "$D/us-cross-ca.pem" >"$D/brought.pem"
T=$D/trust1/communications
door() { openssl verify "$@" -untrusted "$D/brought.pem" "$D/2/electricity.pem"; }
check "what trusts the root and asks for no policy lets it in" door -CAfile "$T.pem"
expect_fail "not what asks for the policy" 'no explicit policy' door -CAfile "$T.pem" -policy "$(cat "$T.policy")" -policy_check -explicit_policy
expect_fail "nor what has the anchors" 'unable to get (local )?issuer' door -partial_chain -CAfile "$T.anchors.pem"
check "which take the gateways of communications" openssl verify -partial_chain -CAfile "$T.anchors.pem" "$D/2/communications.pem"
door_of_ours() { openssl verify "$@" -untrusted "$D/us-electricity.pem" "$D/1/electricity.pem"; }
check "the same goes for our own of electricity" door_of_ours -CAfile "$T.pem"
expect_fail "and the anchors" 'unable to get (local )?issuer' door_of_ours -partial_chain -CAfile "$T.anchors.pem"
at_the_gate() { "$FUSETSU" gate --trust "$D/trust1" --community communications --usage server "$D/2/electricity.pem" "$D/brought.pem"; }
expect_exit 6 "nor the gate" 'no trust anchor or certificate that was given leads' at_the_gate
openvpn_door() { BROUGHT=$D/brought.pem by_openvpn 1 electricity communications; }
[[ ${JUDGES[*]} != *openvpn* ]] || expect_fail "nor OpenVPN with what setup writes" 'VERIFY SCRIPT ERROR|is not let in' openvpn_door
strongswan_door() {
    connection 1 door communications electricity "cert_policy = $("$FUSETSU" policy communications 3)" 'revocation = strict' &&
        connection 2 door electricity communications && by_strongswan 1 door
}
[[ ${JUDGES[*]} != *strongswan* ]] || expect_fail "nor strongSwan, which trusts the CAs of both" 'constraint requires cert policy .*\.1\.3$' strongswan_door
if command -v certtool >/dev/null; then
    by_gnutls() { cat "$D/2/$1.pem" "$D/brought.pem" | certtool --verify --load-ca-certificate "$T.anchors.pem"; }
    check "GnuTLS with the anchors takes communications" by_gnutls communications
    expect_fail "and not electricity" 'NOT trusted' by_gnutls electricity
else skip "GnuTLS" "certtool is missing (Debian: gnutls-bin)"; fi
if command -v vfychain >/dev/null; then
    anchored() { # anchored LEAF CERT...
        local i
        rm -rf "$D/nss" && mkdir "$D/nss" && certutil -N -d "sql:$D/nss" --empty-password || return 1
        for i in "$T.d"/{cross,issuing}.pem; do certutil -A -d "sql:$D/nss" -n "${i##*/}" -t C,, -a -i "$i" || return 1; done
        vfychain -d "sql:$D/nss" -u 1 -a "$@" 2>&1 || return 1
    }
    check "NSS with the anchors takes communications" anchored "$D/2/communications.pem"
    expect_fail "and not electricity" 'issuer is not recognized' anchored "$D/2/electricity.pem" "$D/cross-1-electricity.pem" "$D/us-cross-ca.pem"
fi

# --- a cut --------------------------------------------------------------------------------------------------------------
check "US certifies a responder of its Cross CA" with_ca 1 ocsp-responder --for cross --pin-file "$D/pin" --auth none
ocsp() { # ocsp COMMUNITY: what US says of its cross-certificate
    openssl ocsp -issuer "$D/us-cross-ca.pem" -cert "$D/cross-1-$1.pem" -nonce -reqout "$D/question" &&
        with_ca 1 ocsp --for cross --respond --pin-file "$D/pin" <"$D/question" >"$D/answer" &&
        openssl ocsp -issuer "$D/us-cross-ca.pem" -cert "$D/cross-1-$1.pem" -CAfile "$D/us-root.pem" -verify_other "$D/us-cross-ca.pem" \
            -no_nonce -reqin "$D/question" -respin "$D/answer" 2>&1 | tee "$D/ocsp"
}
check_out "OCSP says that communications is good" 'pem: good' ocsp communications
check "US cuts JP off from communications" with_ca 1 cut --community communications --ally JP --pin-file "$D/pin" --out "$D/crls/1-cross.crl"
check_out "OCSP knows at once" 'pem: revoked' ocsp communications
check_out "by a signature of a responder of the Cross CA" 'Response verify OK' cat "$D/ocsp"
check_out "electricity is good" 'pem: good' ocsp electricity
check "whoever has not refreshed lets in" by_openssl 1 communications
check "one refresh" fetched
refuses 1 communications '[Rr]evoked|REVOKED'
expect_exit 6 "so does the gate alone" 'revoked' gate communications
opens 1 electricity
check "by the same certificates as ever" same_leaves
finish
