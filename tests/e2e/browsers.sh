# shellcheck shell=bash
# Sourced after consumers.sh by the stories of browsers.
#
#   have PROGRAM...           all of them are installed
#   PICTURES                  where pictures are kept, NN-STORY-*.png
#   browsers_ready            Alice's token with a P-256 and an RSA key, each with a certificate of its own
#                             authority, on machine 1; on machine 2 a token of the same name and with the same
#                             certificates, but other keys
#   web_server KIND           serves https://localhost:... to who has a certificate of that authority ("ec", "rsa"),
#                             in TLS 1.3 only; $URL; what it says is in $D/server.out
#   web_said PATTERN          waits until it has said so, since web_quiet
#   nss_trust DIR             an NSS database that trusts the server
#   with_etc COMMAND...       with an /etc and a /var/lib of its own, in $D/etc and $D/lib; root within
#   with_etc_ready NAME...    copies these entries of /etc; the rest are links
#   snapshot NAME             notes what is below $D/home and $D/etc;  as_in NAME: it is so now

PICTURES=$PWD/build/log
mkdir -p "$PICTURES"
rm -f "$PICTURES/$(basename "$0" .sh)"-*.png

have() {
    local program
    for program; do command -v "$program" >/dev/null || return 1; done
}

browsers_ready() {
    local kind type
    consumer_ca web "Web Test CA" || return 1
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/server.key" -subj /CN=localhost \
        -out "$D/server.csr" && echo 'subjectAltName=DNS:localhost' >"$D/server.ext" &&
        openssl x509 -req -in "$D/server.csr" -CA "$D/web.pem" -CAkey "$D/web.key" -set_serial 7 -days 5 \
            -extfile "$D/server.ext" -out "$D/server.pem" || return 1
    consumer_token 1 alice && consumer_token 2 alice || return 1
    for kind in ec rsa; do
        type=EC:prime256v1 && id=01
        [ $kind = ec ] || type=rsa:2048 id=02
        consumer_ca "ca$kind" "Alice's $kind authority" && consumer_key 1 alice $type $kind "$id" &&
            consumer_cert 1 alice $kind "$id" "ca$kind" "alice-$kind" && consumer_key 2 alice $type $kind "$id" &&
            at 2 consumer_p11 alice --login --pin "$PIN" --write-object "$D/alice-$kind.der" --type cert --id "$id" \
                --label $kind || return 1
    done
}

web_server() { # web_server KIND
    : >"$D/server.out"
    # Appending, so that web_quiet can empty it.
    background openssl s_server -accept 127.0.0.1:0 -www -tls1_3 -key "$D/server.key" -cert "$D/server.pem" \
        -CAfile "$D/ca$1.pem" -Verify 1 -verify_return_error >>"$D/server.out" 2>&1 </dev/null
    server=$LAST
    poll 20 _web_accepts && ! gone "$server"
}
_web_accepts() {
    gone "$server" && return 0
    URL=https://localhost:$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\).*/\1/p' "$D/server.out")/
    [ "$URL" != https://localhost:/ ]
}
web_quiet() { : >"$D/server.out"; }
web_said() { poll 5 grep -qE "$1" "$D/server.out" || { cat "$D/server.out" && return 1; }; }

nss_trust() { # nss_trust DIR
    mkdir -p "$1" && certutil -N -d "sql:$1" --empty-password &&
        certutil -A -d "sql:$1" -n web -t C,, -i "$D/web.pem"
}
# Some modules do not load without their TPM.
nss_module() { at 1 modutil -dbdir "sql:$1" -force -add "$CONSUMER" -libfile "$CONSUMER_MODULE"; }

# --- a machine's settings ---------------------------------------------------------

with_etc() {
    # shellcheck disable=SC2016  # for the inner shell
    unshare "${ETC_USER[@]}" -m sh -ec 'd=$1; shift
        mount --bind /etc "$d/etc.real"; mount --bind "$d/etc" /etc
        mount --bind /var/lib "$d/lib.real"; mount --bind "$d/lib" /var/lib
        exec "$@"' sh "$D" "$@"
}
with_etc_ready() { # with_etc_ready NAME...
    local dir entry
    ETC_USER=()
    [ "$(id -u)" -eq 0 ] || ETC_USER=(--map-root-user)
    unshare "${ETC_USER[@]}" -m true 2>/dev/null || return 1
    mkdir "$D/etc" "$D/etc.real" "$D/lib" "$D/lib.real"
    for dir in /etc /var/lib; do
        for entry in "$dir"/* "$dir"/.[!.]*; do
            [ -e "$entry" ] && ln -s "$D/${dir##*/}.real/${entry##*/}" "$D/${dir##*/}/"
        done
    done
    rm -f "$D/lib/fusetsu"
    for entry in "$@"; do
        rm -f "$D/etc/$entry"
        [ ! -e "/etc/$entry" ] || cp -R "/etc/$entry" "$D/etc/"
    done
}

# What is below $D/home and $D/etc, but for caches, our own records and what browsers write for themselves.
_all_there() {
    local but=(-path home/.local -o -path home/.cache -o -path home/.config) places=() place
    cd "$D" || return 1
    for place in home etc; do [ ! -d $place ] || places+=("$place"); done
    find "${places[@]}" \( "${but[@]}" \) -prune -o -printf '%p %y %m %l\n' | sort &&
        find "${places[@]}" \( "${but[@]}" \) -prune -o -type f -print0 | sort -z | xargs -0r sha256sum
}
snapshot() { (_all_there) >"$D/$1.snapshot"; }
as_in() { diff "$D/$1.snapshot" <(_all_there); }
