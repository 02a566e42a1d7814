#!/bin/bash
# Goal: stunnel serves TLS with its keys in the TPM, by OpenSSL's stock engine, a thread to each connection:
# TLS 1.2 and 1.3, P-256 and RSA-PSS, under load, reloaded and restarted, and not one handshake fails. A
# second stunnel is the client on another machine, and proves itself by the key in that machine's TPM.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
# shellcheck source=tests/e2e/tls.sh
. tests/e2e/tls.sh
if ! { command -v stunnel4 wrk nginx; } >"$D/out" 2>&1; then
    skip "stunnel" "it takes stunnel4, wrk, and nginx to serve the page behind it"
    finish
fi

consumer_ca ca >/dev/null
for row in '1 gw' '2 peer'; do
    # shellcheck disable=SC2086
    set -- $row
    check "machine $1: a token" consumer_token "$1" "$2"
    for key in EC:prime256v1/ec/01 rsa:2048/rsa/02 EC:prime256v1/other/03; do
        IFS=/ read -r type label id <<<"$key"
        check "machine $1: a key $type" consumer_key "$1" "$2" "$type" "$label" "$id"
        check "and its certificate" consumer_cert "$1" "$2" "$label" "$id" ca "$2-$label" \
            subjectAltName=DNS:localhost,IP:127.0.0.1
    done
done

# --- the service behind -----------------------------------------------------

behind=$(free_port)
cat >"$D/nginx.conf" <<TEXT
daemon off;
pid $D/nginx.pid;
error_log $D/nginx.log;
events { worker_connections 500; }
http {
    access_log off;
    client_body_temp_path $D/body;
    proxy_temp_path $D/proxy;
    fastcgi_temp_path $D/fastcgi;
    uwsgi_temp_path $D/uwsgi;
    scgi_temp_path $D/scgi;
    server {
        listen 127.0.0.1:$behind;
        location / { return 200 "tally\n"; }
    }
}
TEXT
page() {
    background nginx -c "$D/nginx.conf" >"$D/nginx.out" 2>&1 </dev/null
    poll 10 listening "$behind" "$LAST" && ! gone "$LAST"
}
check "a page to serve" page

# --- the server -------------------------------------------------------------

key_line() { # key_line TOKEN LABEL [PIN-FILE]
    echo "key = pkcs11:token=$1;object=$2;type=private?pin-source=file:${3:-$D/pin}"
}
# What `fusetsu setup stunnel` writes at the top and into a service, by hand, for the peers.
top() { printf '%s\n' 'engine = pkcs11' "engineCtrl = MODULE_PATH:$CONSUMER_MODULE"; }
service() { # service TOKEN LABEL
    printf '%s\n' "cert = pkcs11:token=$1;object=$2;type=cert" "$(key_line "$1" "$2")" 'engineId = pkcs11'
}
global() { # global NAME
    printf '%s\n' 'foreground = yes' "pid = $D/$1.pid" "output = $D/$1.log" 'syslog = no' 'debug = notice'
}
declare -A port
for key in ec rsa; do port[$key]=$(free_port); done
# No resumption: each connection a full handshake, with a signature.
plain() { # plain [COMMAND...]: settings of the server; the command prints lines for the service of KEY
    global gw
    for key in ec rsa; do
        printf '%s\n' "[$key]" "accept = 127.0.0.1:${port[$key]}" "connect = 127.0.0.1:$behind" \
            'sslVersionMin = TLSv1.2' 'options = NO_TICKET' 'sessionCacheSize = 1' 'sessionResume = no' \
            "CAfile = $D/ca.pem"
        [ $# -eq 0 ] || "$@" "$key"
    done
}
by_hand() { { top && plain service gw; } >"$D/gw.conf"; }

setup() { # setup SERVICE LABEL [OPTION...]
    at 1 "$FUSETSU" setup stunnel --user --file "$D/settings/gw.conf" --service "$1" --label "$2" \
        --pin-source "$D/pin" "${@:3}"
}
export HOME=$D/home
unset XDG_CONFIG_HOME XDG_STATE_HOME
mkdir "$HOME" "$D/settings"
if consumer_is fusetsu; then
    plain | sed 's/$/\r/' | head -c -2 >"$D/settings/gw.conf" # CRLF, and no line end at the end
    check "setup stunnel: --dry-run and --undo leave the file as it was" setup_keeps "$D/settings" setup ec ec
    plain >"$D/settings/gw.conf"
    cp "$D/settings/gw.conf" "$D/before"
    expect_fail "a service that is not there" '\[nobody\]' setup nobody ec
    check "one service, and another one" setup ec ec
    check_out "in the same file" 'changed' setup rsa rsa
    check_out "its lines are in the service" "id=%02;type=private" grep -A 5 '^\[rsa\]' "$D/settings/gw.conf"
    cp "$D/settings/gw.conf" "$D/gw.conf"
    check "--undo of the first one" setup ec ec --undo
    check "and of the second one" setup rsa rsa --undo
    check "and the file is as it was" cmp "$D/settings/gw.conf" "$D/before"
else
    by_hand
fi

stunnel_at() { # stunnel_at N NAME
    : >"$D/$2.log"
    at "$1" background "${FOREIGN[@]}" stunnel4 "$D/$2.conf" >"$D/$2.out" 2>&1 </dev/null
    server=$LAST
}
start() {
    stunnel_at 1 gw
    poll 20 listening "${port[ec]}" "$server" && poll 20 listening "${port[rsa]}" "$server" && ! gone "$server" ||
        { cat "$D/gw.log" "$D/gw.out" && return 1; }
}
stop() { kill "$server" && poll 15 gone "$server"; }
both() { # both FUNCTION ARG...: for the port of each key
    local key
    for key in ec rsa; do "$1" "${port[$key]}" "${@:2}" || return 1; done
}
no_complaint() { ! grep -E "LOG[0-3]|fusetsu:|Sanitizer|runtime error" "$D/gw.log" "$D/gw.out" | grep -vE "unexpected eof|reset by peer|unsent byte|local socket: Res"; }

check "stunnel starts" start || finish
for tls in tls1_3 tls1_2; do
    for row in ec/ecdsa_secp256r1_sha256/ECDSA rsa/rsa_pss_rsae_sha256/RSA-PSS; do
        IFS=/ read -r key sigalg name <<<"$row"
        check_out "$tls, the server signs by $name, and the page comes" "^Peer signature type: $name" \
            handshake "${port[$key]}" "$tls" "$sigalg" "$D/ca.pem"
    done
done
check "many connections, no failure" both load 2 12
reload() { kill -HUP "$server" && ! gone "$server" && poll 10 reloaded "$1"; }
reloaded() { [ "$(grep -c 'Configuration successful' "$D/gw.log")" -ge "$1" ]; }
reloads() { local i; for i in 2 3 4; do reload "$i" || return 1; done; }
# stunnel closes its sockets for a moment meanwhile, also with keys in files, and resets who waits there:
# he may come again. Of a handshake that fails the client learns by an alert.
client() { # client N
    local done=0 tries=0
    while [ "$done" -lt 40 ] && [ $((tries += 1)) -lt 400 ]; do
        if curl -sS --cacert "$D/ca.pem" --max-time 20 "https://127.0.0.1:${port[ec]}/" 2>"$D/error.$1" | grep -q '^tally'; then
            done=$((done + 1))
        elif ! grep -qE 'reset by peer|Connection refused|onnect to 127.0.0.1' "$D/error.$1"; then
            cat "$D/error.$1" && return 1
        fi
    done
    [ "$done" -eq 40 ]
}
all_while() { # all_while COMMAND...: four clients, and meanwhile the command
    local n pids=() rc=0
    for n in 1 2 3 4; do
        client "$n" &
        pids+=("$!")
    done
    "$@" || rc=1
    for n in "${pids[@]}"; do wait "$n" || rc=1; done
    return "$rc"
}
check "three reloads under load, no failure" all_while reloads
check "and nothing to complain about in the log" no_complaint
check "stunnel stops" stop
restarts() {
    for _ in 1 2 3 4; do
        start && handshake "${port[ec]}" tls1_3 ecdsa_secp256r1_sha256 "$D/ca.pem" | grep tally && stop || return 1
    done
}
check "it is restarted four times" restarts
check "no try was counted" no_tries gw

# --- both ends --------------------------------------------------------------

sed -i 's/^CAfile.*/&\nverifyChain = yes\nrequireCert = yes/' "$D/gw.conf"
near=$(free_port) client=
tunnel() { # tunnel KEY [PIN-FILE]: a client, with the key of the other machine
    local back=$server
    [ -z "$client" ] || end "$client"
    {
        top
        global peer
        printf '%s\n' "[$1]" 'client = yes' "accept = 127.0.0.1:$near" "connect = 127.0.0.1:${port[$1]}" \
            "CAfile = $D/ca.pem" 'verifyChain = yes' 'checkHost = localhost'
        [ "$2" = none ] || service peer "$1" | sed "s|file:$D/pin|file:$2|"
    } >"$D/peer.conf"
    stunnel_at 2 peer
    client=$server server=$back
    poll 20 listening "$near" "$client" && ! gone "$client" || { cat "$D/peer.log" "$D/peer.out" && return 1; }
}
fetch() { curl -sS --max-time 20 "http://127.0.0.1:$near/" || { cat "$D/gw.log" && return 1; }; }
check "the server now wants to know who comes" start
for key in ec rsa; do
    check "stunnel as a client with its key in another TPM, $key" tunnel "$key" "$D/pin"
    check_out "and the page comes through both" '^tally' fetch
    check_out "the server knows whose certificate that was" "CN=peer-$key" cat "$D/gw.log"
done
check "a client without a key" tunnel ec none
expect_fail "is refused" 'peer did not return a certificate|certificate required' fetch
expect_fail "with a wrong PIN the client has no key" 'PIN incorrect|Error loading private key|Login' tunnel ec "$D/bad"
[ -z "$client" ] || end "$client"
check "stunnel stops" stop

# --- it refuses -------------------------------------------------------------

with() { # with SED-COMMAND: a start with settings that were changed so
    by_hand
    sed -i "$1" "$D/gw.conf"
    start && stop
}
expect_fail "a key that is not the certificate's is refused" 'key values mismatch' with 's/object=ec;type=p/object=other;type=p/'
expect_fail "so is one that is not on the token" 'object not found|failed loading private key' \
    with 's/object=ec;type=p/object=absent;type=p/'
expect_fail "with a wrong PIN it does not start" 'PIN incorrect|Login failed' with "s|file:$D/pin|file:$D/bad|"
consumer_is softhsm2 || check_out "that try was counted" 'PIN count low' at 1 consumer_p11 gw -T
check "with the right one it does" with ''
check "and so no try is counted any more" no_tries gw
finish
