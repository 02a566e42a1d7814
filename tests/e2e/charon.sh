# shellcheck shell=bash
# Sourced after lib.sh and `story` by the stories of strongSwan: two sites, each with a charon of its own.
#
#   charon_missing            says what this machine lacks for that, and succeeds; fails when all is there
#   site N                    a network and a mount namespace, with copies of the settings in /etc ($D/N/etc), a
#                             /run and a /var/lib of its own; they are those of an idle process and end with it
#   wire                      between sites 1 and 2: 192.0.2.N is gateway N, 10.77.N.1 to .3 are hosts behind it
#   on N COMMAND...           at that site; `at N on N` where it needs N's TPM, too
#   pings N FROM TO
#   charon_start N            its ESP is charon's own, over a TUN device; the log is $D/N/charon.log
#   swanctl N OPTION...
#   with_log N COMMAND...     and what charon at site N logged meanwhile

SITES=() CHARON=()
_charon=/usr/lib/ipsec/charon

charon_missing() {
    local need
    for need in "$_charon" /usr/lib/ipsec/plugins/libstrongswan-{kernel-libipsec,pkcs11,vici}.so "$(type -P swanctl)"; do
        [ -e "$need" ] || { echo "strongswan-charon, strongswan-swanctl or libcharon-extra-plugins is not installed" && return 0; }
    done
    { [ "$(id -u)" -ne 0 ] || [ ! -c /dev/net/tun ] || ! unshare -mn true 2>/dev/null; } &&
        echo "its network namespaces and TUN devices need root and /dev/net/tun"
}

site() { # site N
    local n=$1 etc=$D/$1/etc place
    mkdir -p "$etc/swanctl"/{conf.d,x509,x509ca,x509ocsp,x509aa,x509ac,x509crl,pubkey,private,rsa,ecdsa,bliss,pkcs8,pkcs12}
    cp -r /etc/strongswan.conf /etc/strongswan.d "$etc/" && cp /etc/swanctl/swanctl.conf "$etc/swanctl/" || return 1
    printf '%s\n' 'charon {' '  filelog {' '    log {' "      path = $D/$n/charon.log" '      flush_line = yes' '    }' '  }' \
        '  retransmit_tries = 2' '  retransmit_timeout = 2.0' '  delete_rekeyed_delay = 1' '  plugins {' '    kernel-libipsec {' '      load = yes' '    }' \
        '    stroke {' '      load = no' '    }' '  }' '}' >"$etc/strongswan.d/story.conf"
    background unshare -mn tail -f /dev/null
    SITES[n]=$LAST
    poll 10 _site_apart "$n" && on "$n" mount -t tmpfs none /run && on "$n" mount -t tmpfs none /var/lib &&
        on "$n" ip link set lo up || return 1
    for place in strongswan.conf strongswan.d swanctl; do on "$n" mount --bind "$etc/$place" "/etc/$place" || return 1; done
}
_site_apart() { [ "$(readlink "/proc/${SITES[$1]}/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
on() { nsenter -t "${SITES[$1]}" -m -n -- "${@:2}"; }

wire() {
    local n host
    on 1 ip link add wire type veth peer name wire netns "${SITES[2]}" || return 1
    for n in 1 2; do
        on "$n" ip addr add "192.0.2.$n/24" dev wire && on "$n" ip link set wire up || return 1
        for host in 1 2 3; do on "$n" ip addr add "10.77.$n.$host/32" dev lo || return 1; done
    done
}
pings() { on "$1" ping -n -c 1 -W 1 -I "$2" "$3"; }

swanctl() { on "$1" timeout -k 5 30 swanctl "${@:2}"; }
_charon_up() { gone "${CHARON[$1]}" || swanctl "$1" --stats >/dev/null 2>&1; }
charon_start() {
    at "$1" background nsenter -t "${SITES[$1]}" -m -n -- "${FOREIGN[@]}" "$_charon" >"$D/$1/charon.out" 2>&1 </dev/null
    CHARON[$1]=$LAST
    poll 30 _charon_up "$1" && ! gone "${CHARON[$1]}" || { cat "$D/$1/charon.out" "$D/$1/charon.log"; return 1; }
}
with_log() {
    local from rc=0
    from=$(wc -l <"$D/$1/charon.log")
    "${@:2}" || rc=$?
    tail -n "+$((from + 1))" "$D/$1/charon.log"
    return "$rc"
}
