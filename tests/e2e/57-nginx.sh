#!/bin/bash
# Goal: nginx serves TLS with its keys in the TPM, by OpenSSL's stock engine: several workers under load,
# TLS 1.2 and 1.3, P-256 and RSA-PSS, and not one handshake fails, not while it is told to reload either.
# nginx runs without an environment and its workers as another user, so /etc/fusetsu.conf must suffice.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
# shellcheck source=tests/e2e/tls.sh
. tests/e2e/tls.sh
if ! { command -v nginx wrk && unshare -m true; } >"$D/out" 2>&1; then
    skip "nginx" "it takes nginx, wrk, and the right to unshare -m"
    finish
fi

check "a token" consumer_token 1 web
consumer_ca ca >/dev/null
n=0
for key in EC:prime256v1/ec rsa:2048/rsa EC:prime256v1/other; do
    n=$((n + 1))
    check "a key ${key%/*}" consumer_key 1 web "${key%/*}" "${key#*/}" "0$n"
    check "and its certificate" consumer_cert 1 web "${key#*/}" "0$n" ca localhost
done

# --- a machine --------------------------------------------------------------

# The store, the TPM and the file by which processes share a TPM without resource manager belong to
# root; the group of nginx's workers may use them. The peers' ways to their TPM are root's alone.
user=root environment=()
case $CONSUMER in
fusetsu)
    user=www-data
    chmod 711 "$TPM_DIR" "$TPM_DIR/tpm1" "$D" && chmod 750 "$D/1" && chmod 640 "$D/1/store.db"
    chgrp www-data "$D/1" "$D/1/store.db" "$TPM_DIR/tpm1/sock" "$TPM_DIR/tpm1/sock.ctrl"
    chmod 660 "$TPM_DIR/tpm1/sock" "$TPM_DIR/tpm1/sock.ctrl"
    mkdir -m 1777 "$D/run"
    ;;
softhsm2) environment=(SOFTHSM2_CONF) ;;
tpm2-pkcs11) environment=(DBUS_SESSION_BUS_ADDRESS TPM2_PKCS11_STORE TPM2_PKCS11_TCTI TPM2_PKCS11_LOG_LEVEL TSS2_LOG) ;;
esac
cp -a /etc "$D/etc" && rm -rf "$D"/etc/nginx/{modules,sites}-enabled/* "$D"/etc/nginx/conf.d/*
printf '%s\n' "store = $D/1/store.db" "tcti = $TPM_TCTI_1" "run = $D/run" >"$D/etc/fusetsu.conf"
given=()
for v in "${environment[@]}"; do given+=("$v=$(at 1 printenv "$v")"); done
# With an /etc of its own, and no environment but that of the sanitizer and of peers.
# shellcheck disable=SC2016  # for the inner shell
INSIDE=(unshare -m sh -c 'mount --bind "$0" /etc && exec "$@"' "$D/etc"
    env -i PATH="$PATH" PKCS11_MODULE_PATH="$CONSUMER_MODULE" "${given[@]}" "${FOREIGN[@]}")

key_line() { # key_line LABEL [PIN-FILE]
    echo "ssl_certificate_key \"engine:pkcs11:pkcs11:token=web;object=$1;type=private?pin-source=file:${2:-$D/pin}\";"
}
# What `fusetsu setup nginx` writes, by hand, for the peers; and for the environment that they need.
configure() {
    local v key
    {
        echo "env PKCS11_MODULE_PATH=$CONSUMER_MODULE;"
        for v in "${environment[@]}"; do echo "env $v;"; done
        echo "ssl_engine pkcs11;"
    } >"$D/etc/nginx/modules-enabled/60-fusetsu.conf"
    for key in ec rsa; do
        printf '%s\n' "ssl_certificate $D/web-$key.pem;" "$(key_line "$key")"
    done >"$D/etc/nginx/snippets/fusetsu.conf"
}
# As root of that machine: without its /etc, /var/lib/fusetsu would be the real one's.
setup_with() { "${SETUP[@]}" "$FUSETSU" setup nginx --label ec --second-label rsa --pin-source "$D/$1" "${@:2}"; }
setup() { setup_with pin "$@"; }
# shellcheck disable=SC2016  # for the inner shell
SETUP=(env -u FUSETSU_STORE -u FUSETSU_TCTI -u FUSETSU_CONF unshare -m sh -c
    'mount --bind "$0/etc" /etc && mount --bind "$0/lib" /var/lib && exec "$@"' "$D")
mkdir "$D/lib"
if consumer_is fusetsu; then
    check "setup nginx: --dry-run and --undo leave everything as it was" setup_keeps "$D/etc" setup
    printf 'stories-11\n' >"$D/line"
    expect_fail "a PIN file that the engine would misread is refused" 'ends with a line end' \
        setup_with line
    mkdir "$D/etc/systemd/system/nginx.service.d" && echo '[Service]' >"$D/etc/systemd/system/nginx.service.d/fusetsu.conf"
    expect_fail "a file of somebody else is not written over" 'is there already' setup
    rm -r "$D/etc/systemd/system/nginx.service.d"
    check_out "setup nginx" 'include snippets/fusetsu.conf' setup
    check_out "systemd would tell the module to nginx" "^Environment=PKCS11_MODULE_PATH=$MODULE" \
        cat "$D/etc/systemd/system/nginx.service.d/fusetsu.conf"
else
    configure
fi

port=$(free_port)
cat >"$D/etc/nginx/nginx.conf" <<TEXT
user $user;
worker_processes 4;
daemon off;
pid $D/nginx.pid;
error_log $D/error.log info;
include /etc/nginx/modules-enabled/*.conf;
events { worker_connections 700; }
http {
    log_format short '\$pid \$ssl_protocol \$ssl_session_reused \$status';
    access_log $D/access.log short;
    client_body_temp_path $D/body;
    proxy_temp_path $D/proxy;
    fastcgi_temp_path $D/fastcgi;
    uwsgi_temp_path $D/uwsgi;
    scgi_temp_path $D/scgi;
    ssl_protocols TLSv1.2 TLSv1.3;
    # Each connection a full handshake, with a signature.
    ssl_session_tickets off;
    ssl_session_cache off;
    server {
        listen 127.0.0.1:$port ssl;
        include /etc/nginx/snippets/fusetsu.conf;
        location / { return 200 "tally\n"; }
    }
}
TEXT

# --- it serves --------------------------------------------------------------

started() { [ "$(grep -c 'start worker process ' "$D/error.log")" -ge "$1" ]; }
started_or_gone() { gone "$server" || started "$1"; }
start() {
    : >"$D/error.log"
    background "${INSIDE[@]}" nginx >"$D/server.out" 2>&1 </dev/null
    server=$LAST
    poll 30 started_or_gone 4 && ! gone "$server" && poll 10 listening "$port" "$server"
    local rc=$?
    cat "$D/server.out"
    return "$rc"
}
stop() {
    kill -QUIT "$server" && poll 20 gone "$server"
}
no_complaint() { ! grep -E 'Sanitizer|runtime error|\[(crit|alert|emerg)\]|handshak.* failed|fusetsu:' "$D/error.log" "$D/server.out"; }

check "nginx starts, four workers" start || finish
openssl_handshakes "$port" "$D/ca.pem"
reload() { # until the new workers are there; `n` counts all that were ever started
    kill -HUP "$server"
    n=$((n + 4))
    poll 15 started_or_gone "$n" && ! gone "$server"
}
n=4
: >"$D/access.log"
check "many connections, no failure" load "$port" 3 12
workers() { [ "$(cut -d' ' -f1 "$D/access.log" | sort -u | wc -l)" -ge 2 ] && ! grep -vE ' TLSv1.[23] \. 200$' "$D/access.log"; }
check "several workers had their share, and each connection was a handshake" workers
reloads() { local _; for _ in 1 2 3 4; do reload || return 1; done; }
check "four reloads under load, no failure" load_while "$port" 5 12 reloads
check "and nothing to complain about in the log" no_complaint
check "nginx stops" stop
restarts() {
    for _ in 1 2 3 4; do
        start && handshake "$port" tls1_3 ecdsa_secp256r1_sha256 "$D/ca.pem" | grep tally && stop || return 1
    done
}
check "it is restarted four times" restarts
check "no try was counted" no_tries web

# --- it refuses -------------------------------------------------------------

tries() { "${INSIDE[@]}" timeout 20 nginx -t; }
consumer_is fusetsu && check "setup nginx --undo" setup --undo
configure
check "the settings by hand are right as well" tries
with() { # with SED-COMMAND: nginx tries settings that were changed so
    configure
    sed -i "$1" "$D/etc/nginx/snippets/fusetsu.conf"
    tries
}
expect_fail "a key that is not the certificate's is refused" 'key values mismatch' with 's/object=ec;/object=other;/'
expect_fail "so is one that is not on the token" 'ENGINE_load_private_key.* failed' with 's/object=ec;/object=absent;/'
expect_fail "with a wrong PIN it does not start" 'PIN incorrect|Login failed' with "s|file:$D/pin|file:$D/bad|"
consumer_is fusetsu && check_out "that try was counted" 'PIN count low' at 1 consumer_p11 web -T
check "with the right one it would" with ''
check "and so no try is counted any more" no_tries web
finish
