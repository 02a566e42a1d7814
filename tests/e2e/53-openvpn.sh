#!/bin/bash
# Goal: gateways of two nations, each with its key in the TPM of its machine, hold an OpenVPN tunnel
# between two network namespaces: certified by two authorities that opened one community to each
# other, the PIN given through the management interface, TLS 1.3 and 1.2, P-256 and RSA; the keys
# are used again at each renegotiation and restart. A gateway of a community that is not open, a
# wrong PIN and a missing key get no tunnel, and the reason is said.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
# shellcheck source=tests/e2e/wire.sh
. tests/e2e/wire.sh

command -v openvpn >/dev/null || { skip openvpn "it is not installed (Debian: openvpn)" && finish; }
[ -c /dev/net/tun ] || { skip openvpn "there is no /dev/net/tun" && finish; }
! why=$(wire_missing) || { skip openvpn "$why" && finish; }

# Where setup keeps what it did.
export HOME=$D/home
mkdir "$HOME"
unset XDG_CONFIG_HOME XDG_STATE_HOME

# --- two nations ------------------------------------------------------------

# Machine 1 is the gateway of us, machine 2 that of jp. Each authority's token is beside its gateway's
# here, which saves two TPMs; the certificates do not care.
declare -A NATION=([1]=us [2]=jp)
ca() { # ca N COMMAND...
    local n=$1 command=$2
    shift 2
    at "$n" "$FUSETSU" ca "$command" --dir "$D/$n/authority" "$@"
}
authority() { # authority N CC ORGANISATION
    local n=$1 nation=${NATION[$1]}
    if ! consumer_is fusetsu; then
        consumer_ca "$nation-communications" && consumer_ca "$nation-electricity"
        return
    fi
    at "$n" "$FUSETSU" token init --label "$nation-ca" --so-pin-file "$D/so" --pin-file "$D/pin" &&
        ca "$n" init --token "$nation-ca" --pin-file "$D/pin" --nation "$2" --org "$3" --domain "$nation.example" \
            --communities communications,electricity --ek-pins "$EK_CA_PEM" &&
        ca "$n" export issuing:communications --out "$D/$nation-communications.pem" &&
        ca "$n" export issuing:electricity --out "$D/$nation-electricity.pem"
}
cross() { # cross N ALLY-N CC: one community of the ally is opened; $D/<nation>-trust.pem
    local n=$1 nation=${NATION[$1]} ally=${NATION[$2]}
    if ! consumer_is fusetsu; then
        cat "$D/us-communications.pem" "$D/jp-communications.pem" >"$D/$nation-trust.pem"
        return
    fi
    ca "$n" cross --pin-file "$D/pin" --ally "$D/$ally-communications.pem" --community communications \
        --ally-nation "$3" --ally-domain "$ally.example" --out "$D/$nation-to-$ally.pem" &&
        ca "$n" export bundle:communications --own --out "$D/$nation-trust.pem"
}
register() { # register N COMMUNITY NAME: the machine's TPM, by its EKs at first, then by its number
    local how=(--device 1) ek=$D/$1/ek.pem
    if [ ! -e "$ek" ]; then
        at "$1" "$FUSETSU" attest ek --out "$ek" || return 1
        how=(--ek "$ek" --operator "gateways of ${NATION[$1]}")
    fi
    at "$1" "$FUSETSU" device register --dir "$D/$1/authority" --community "$2" --name "$3" --officer "R. Officer" "${how[@]}"
}
enrol() { # enrol N COMMUNITY TYPE LABEL ID: the key and its certificate for LABEL.<nation>.example
    local n=$1 community=$2 type=$3 label=$4 id=$5 nation=${NATION[$1]}
    local file=$D/$nation-$label name=$label.$nation.example
    consumer_key "$n" "$nation" "$type" "$label" "$id" || return 1
    if ! consumer_is fusetsu; then
        consumer_cert "$n" "$nation" "$label" "$id" "$nation-$community" "$name" keyUsage=critical,digitalSignature \
            extendedKeyUsage=clientAuth,serverAuth "subjectAltName=DNS:$name"
        return
    fi
    register "$n" "$community" "$name" && ca "$n" invite --community "$community" --name "$name" --out "$file.invite" &&
        at "$n" "$FUSETSU" request --token "$nation" --pin-file "$D/pin" --invite "$file.invite" --key "$label" \
            --out "$file.request" &&
        ca "$n" issue --pin-file "$D/pin" --request "$file.request" --out "$file.sealed" &&
        at "$n" "$FUSETSU" cert import --token "$nation" --pin-file "$D/pin" "$file.sealed" --label "$label"
}

for n in 1 2; do check "a token of ${NATION[$n]}" consumer_token "$n" "${NATION[$n]}"; done
check "the authority of us" authority 1 US "Example Authority of the United States"
check "the authority of jp" authority 2 JP "Example Authority of Japan"
for n in 1 2; do
    check "${NATION[$n]}: a gateway with a P-256 key" enrol "$n" communications EC:prime256v1 gw 01
    check "${NATION[$n]}: one with an RSA key" enrol "$n" communications rsa:2048 rsa 02
done
check "jp: one of another community" enrol 2 electricity EC:prime256v1 grid 03
check "us opens communications to jp" cross 1 2 JP
check "jp opens communications to us" cross 2 1 US

check "a wire between two network namespaces" wire_up

# --- the tunnel -------------------------------------------------------------

identity() { # identity N LABEL: what --pkcs11-id wants
    at "$1" foreign openvpn --show-pkcs11-ids "$CONSUMER_MODULE" 2>/dev/null |
        awk -v name="CN=$2.${NATION[$1]}.example\$" '/DN:/ { mine = $0 ~ name } /Serialized id:/ && mine { print $3; exit }'
}
setup() { # setup N OPTION...
    at "$1" "$FUSETSU" setup openvpn --user --token "${NATION[$1]}" "${@:2}"
}
settings() { # settings N LABEL PEER-LABEL LINE...: $D/N.ovpn
    local n=$1 label=$2 other=$((3 - $1)) role=server
    [ "$n" = 1 ] || role=client
    {
        printf '%s\n' 'dev tun' 'proto udp' "local 192.0.2.$n" "remote 192.0.2.$other" "ifconfig 10.9.0.$n 10.9.0.$other" \
            "tls-$role" "ca $D/${NATION[$n]}-trust.pem" "verify-x509-name $3.${NATION[$other]}.example name" \
            'data-ciphers AES-256-GCM' 'connect-retry 1 1' 'script-security 1' \
            'management 127.0.0.1 7505' 'management-query-passwords' 'verb 3'
        if [ "$n" = 1 ]; then printf '%s\n' 'remote-cert-tls client' 'dh none'; else echo 'remote-cert-tls server'; fi
        shift 3
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >"$D/$n.ovpn"
    if consumer_is fusetsu; then
        setup "$n" --label "$label" --file "$D/$n.ovpn" >"$D/setup.out" 2>&1 ||
            not_ok "the key's lines in $n.ovpn" "$(<"$D/setup.out")"
    else
        printf '%s\n' "pkcs11-providers $CONSUMER_MODULE" "pkcs11-id '$(identity "$n" "$label")'" >>"$D/$n.ovpn"
    fi
}

# --- the lines for a key ----------------------------------------------------

setup_story() {
    local file=$D/theirs.ovpn name='gw "%&#@!?$*<>{}[]()|:;,.+-~=é'
    same() { cmp "$file" "$D/before"; }
    check_out "setup without a file prints the lines" "pkcs11-providers '$MODULE'" setup 1 --label gw
    as_printed() { setup 1 --label gw | grep -F "pkcs11-id '$(identity 1 gw)'"; }
    check_out "the identity is the one that OpenVPN prints" "/us/01'" as_printed
    expect_exit 2 "of several keys one has to be chosen" 'choose one with --label' setup 1 --file "$file"
    expect_fail "no file was made" 'No such file' ls "$file"

    printf 'client\r\nremote vpn.example 1194\r\n# no line end here' >"$file"
    cp "$file" "$D/before"
    check_out "--dry-run shows them" "\\+ pkcs11-id 'fusetsu/" setup 1 --label gw --file "$file" --dry-run
    check "and changes nothing" same
    check_out "setup writes them" 'changed .*theirs.ovpn' setup 1 --label gw --file "$file"
    check_out "with the file's line ends" $'^pkcs11-id .*\r$' cat "$file"
    check_out "once more, for another key" 'changed' setup 1 --label rsa --file "$file"
    check_out "there is that one alone" '^1$' grep -c "^pkcs11-id .*/02'" "$file"
    check "--undo" setup 1 --file "$file" --undo
    check "leaves the file as it was" same
    check "again" setup 1 --label gw --file "$file"
    printf 'verb 3\r\n' >>"$file"
    check "--undo after somebody added a line" setup 1 --file "$file" --undo
    { cat "$D/before" && printf '\r\nverb 3\r\n'; } >"$D/with"
    check "keeps that line" cmp "$file" "$D/with"
    printf 'client\n  key client.key\n' >"$file"
    cp "$file" "$D/before"
    expect_exit 5 "a file with another key is refused" 'line 2, has "key".*put a #' setup 1 --label gw --file "$file"
    check "and stays" same
    sed -i 's/^  key/# key/' "$file"
    echo 'user nobody' >>"$file"
    check_out "not when that is a comment; who must reach the TPM is said" '"user", line 3, OpenVPN becomes another user.*group tss' \
        setup 1 --label gw --file "$file"

    check "a token with an odd name" at 1 "$FUSETSU" token init --label "$name" --so-pin-file "$D/so" --pin-file "$D/pin"
    check "a CA for it" consumer_ca odd
    check "a key" consumer_key 1 "$name" EC:prime256v1 odd 0a0b
    check "a certificate" consumer_cert 1 "$name" odd 0a0b odd odd.us.example
    odd_as_printed() {
        at 1 "$FUSETSU" setup openvpn --user --token "$name" --json | jq -r '.notes[]'
        identity 1 odd
        at 1 "$FUSETSU" setup openvpn --user --token "$name" | grep -F "pkcs11-id '$(identity 1 odd)'"
    }
    check_out "its identity is the one that OpenVPN prints, too" "/0A0B'" odd_as_printed
}
! consumer_is fusetsu || setup_story

# What sits at the management interface: it answers each question for the PIN from a file.
answer() { # answer PIN-FILE
    local line pin
    pin=$(<"$1")
    until { exec 3<>/dev/tcp/127.0.0.1/7505; } 2>/dev/null; do sleep 0.05; done
    while IFS= read -r line <&3; do
        echo "${line%$'\r'}"
        case $line in
        ">PASSWORD:Need '"*) line=${line#*\'} && printf 'password "%s" "%s"\n' "${line%%\'*}" "$pin" >&3 ;;
        esac
    done
}
export -f answer
start() { # start N [PIN-FILE]
    local n=$1
    : >"$D/$n.log"
    at "$n" spawn "$n" "${FOREIGN[@]}" openvpn --config "$D/$n.ovpn" >"$D/$n.log" 2>&1 </dev/null
    VPN[n]=$LAST
    # shellcheck disable=SC2016  # it expands there
    spawn "$n" timeout "$LIMIT" bash -c 'answer "$1"' - "${2:-$D/pin}" >"$D/$n.asked" 2>&1 </dev/null
    ASKED[n]=$LAST
}
VPN=() ASKED=()
stop() {
    local pid
    for pid in "${VPN[@]}" "${ASKED[@]}"; do end "$pid"; done
}
ended() {
    stop
    cat "$D/1.log" "$D/2.log"
    said 1 'SIGTERM.*received, process exiting' 1 2
}
said() { # said TIMES PATTERN N...: that often at least in the log of each N
    local n
    for n in "${@:3}"; do
        [ "$(grep -cE -e "$2" "$D/$n.log")" -ge "$1" ] || return 1
    done
}
said_or_gone() { said "$@" || gone "${VPN[1]}" || gone "${VPN[2]}"; }
READY='Initialization Sequence Completed'
ready() { # ready TIMES
    poll 30 said_or_gone "$1" "$READY" 1 2
    tail -n 12 "$D/1.log" "$D/2.log"
    said "$1" "$READY" 1 2
}
through() { # through N: ping from machine N
    within "$1" ping -c 2 -i 0.1 -w 10 -I "10.9.0.$1" "10.9.0.$((3 - $1))"
}
both_ways() { through 1 && through 2; }
renegotiated() {
    poll 30 said_or_gone 2 'Control Channel: TLS' 1 2
    grep -hE 'soft reset|Control Channel|rror' "$D/1.log" "$D/2.log"
    said 2 'Control Channel: TLS' 1 2 && ! said 1 'TLS Error' 1 && ! said 1 'TLS Error' 2
}
restarted() {
    kill -USR1 "${VPN[2]}"
    poll 30 said_or_gone 2 "$READY" 2
    tail -n 12 "$D/1.log" "$D/2.log"
    said 1 'SIGUSR1.*received, process restarting' 2 && said 2 "$READY" 2 && both_ways
}
asked_once() {
    grep . "$D/1.asked" "$D/2.asked"
    [ "$(grep -c "PASSWORD:Need 'us token'" "$D/1.asked")" = 1 ] &&
        [ "$(grep -c "PASSWORD:Need 'jp token'" "$D/2.asked")" = 1 ]
}
tunnel() { # tunnel WHAT LABEL CHANNEL [LINE...]
    local n what=$1 label=$2 channel=$3
    shift 3
    for n in 1 2; do settings "$n" "$label" "$label" "$@"; done
    start 1
    start 2
    check "$what: the tunnel is up" ready 1
    check "$what: pings come back, both ways" both_ways
    check_out "$what: by the keys that were meant" "Control Channel: $channel" cat "$D/1.log"
    check_out "$what: on the other side, too" "Control Channel: $channel" cat "$D/2.log"
}
tunnel "P-256, TLS 1.3" gw 'TLSv1.3.* 256 bits ECprime256v1' 'reneg-sec 3 3'
check "P-256, TLS 1.3: the keys are negotiated anew" renegotiated
check "and the pings go on" both_ways
check "P-256, TLS 1.3: one side starts again, and the pings go on" restarted
check_out "each side was asked for the PIN once in all that" . asked_once
check "both end when told" ended
tunnel "RSA, TLS 1.3" rsa 'TLSv1.3.* 2048 bits RSA'
check "both end when told" ended
tunnel "P-256, TLS 1.2" gw 'TLSv1.2.*ECDHE-ECDSA.* 256 bits ECprime256v1' 'tls-version-max 1.2'
check "both end when told" ended
tunnel "RSA, TLS 1.2" rsa 'TLSv1.2.*ECDHE-RSA.* 2048 bits RSA' 'tls-version-max 1.2' 'reneg-sec 3 3'
check "RSA, TLS 1.2: the keys are negotiated anew" renegotiated
check "and the pings go on" both_ways
check "both end when told" ended

# The module is initialised before the daemon is forked.
daemonised() {
    start 1
    start 2
    poll 10 test -s "$D/2.pid" || return 1
    VPN[2]=$(<"$D/2.pid")
    STORY_PIDS+=("${VPN[2]}")
    ready 1 && both_ways
}
settings 1 gw gw
settings 2 gw gw daemon "log-append $D/2.log" "writepid $D/2.pid"
check "as a daemon: the tunnel is up" daemonised
check "both end when told" ended

# --- no tunnel --------------------------------------------------------------

no_tunnel() { # no_tunnel N PATTERN [PIN-FILE]: as set up; what the log of N says
    start 1
    start 2 "${3:-$D/pin}"
    poll 20 said_or_gone 1 "$2" "$1"
    cat "$D/$1.log"
    stop
    said 1 "$READY" 1 || said 1 "$READY" 2
}
settings 1 gw grid tls-exit
settings 2 grid gw tls-exit
expect_fail "a gateway of a community that is not open is refused" \
    'VERIFY ERROR.*unable to get local issuer certificate.*grid.jp.example' no_tunnel 1 'TLS handshake failed'
settings 2 grid gw tls-exit "extra-certs $D/jp-electricity.pem"
expect_fail "also when it brings the certificate of its issuer along" \
    'VERIFY ERROR.*(unable to get (local )?issuer certificate|self-signed certificate in certificate chain).*electricity' \
    no_tunnel 1 'TLS handshake failed'
# The module's answers are in the log from verb 9 on.
settings 1 gw gw tls-exit
settings 2 gw gw tls-exit 'verb 9'
expect_fail "with a wrong PIN there is no tunnel" 'CKR_PIN_INCORRECT' no_tunnel 2 'TLS handshake failed' "$D/bad"
consumer_forgive 2
lose() { at 2 consumer_p11 jp --login --pin "$PIN" --delete-object --type privkey --id 01; }
check "jp loses its key, and keeps the certificate" lose
expect_fail "without the key there is no tunnel" 'getObjectById return.*CKR_FUNCTION_REJECTED' no_tunnel 2 'TLS handshake failed'
finish
