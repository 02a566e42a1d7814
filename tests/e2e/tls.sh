# shellcheck shell=bash
# Sourced after lib.sh and consumers.sh by the stories of TLS servers whose key is on a token of machine 1.
#
#   handshake PORT TLS SIGALG CA [OPTION...]   one connection by openssl s_client, which fetches /;
#                                    prints what it learnt of the server. TLS is tls1_2 or tls1_3;
#                                    the page is to begin with "tally"
#   load PORT SECONDS CONNECTIONS    many connections, one request each, by wrk; fails when one
#                                    fails, or when there are few
#   load_while PORT SECONDS CONNECTIONS COMMAND...   the same, and meanwhile the command
#   no_tries NAME                    no wrong PIN is counted, of the token nor of the TPM
#   openssl_handshakes PORT CA       all of: TLS 1.2 and 1.3, P-256 and RSA-PSS

# s_client leaves when the server, asked not to keep the connection, closes it.
handshake() {
    local port=$1 tls=$2 sigalg=$3 ca=$4
    shift 4
    printf 'GET / HTTP/1.0\r\n\r\n' | timeout -k 5 30 openssl s_client -connect "127.0.0.1:$port" "-$tls" \
        -sigalgs "$sigalg" -CAfile "$ca" -verify_return_error -ign_eof "$@" >"$D/handshake" 2>&1
    local rc=$?
    cat "$D/handshake"
    grep -q '^tally' "$D/handshake" && return "$rc"
}

load() {
    local got
    timeout -k 5 60 wrk -t 2 -c "$3" -d "$2" --timeout 20s -H 'Connection: close' "https://127.0.0.1:$1/" \
        >"$D/load" 2>&1 || return 1
    cat "$D/load"
    ! grep -qE 'Socket errors|Non-2xx' "$D/load" || return 1
    got=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$D/load")
    [ "${got:-0}" -ge 10 ] || { echo "only ${got:-no} requests" && return 1; }
}
# load_while PORT SECONDS CONNECTIONS COMMAND...: the same while the command runs
load_while() {
    local rc=0 pid
    load "$1" "$2" "$3" &
    pid=$!
    "${@:4}" || rc=1
    wait "$pid" && return "$rc"
}

no_tries() {
    tpm2_getcap -T "$TPM_TCTI_1" properties-variable >"$D/list" && at 1 consumer_p11 "$1" -T >>"$D/list" &&
        grep -qx 'TPM2_PT_LOCKOUT_COUNTER: 0x0' "$D/list" &&
        ! grep -iE 'PIN count low|PIN locked|final' "$D/list"
}

openssl_handshakes() {
    local tls row
    for tls in tls1_3 tls1_2; do
        for row in ecdsa_secp256r1_sha256/ECDSA rsa_pss_rsae_sha256/RSA-PSS; do
            check_out "$tls, the server signs by ${row#*/}, and the page comes" "^Peer signature type: ${row#*/}" \
                handshake "$1" "$tls" "${row%/*}" "$2"
        done
    done
}
