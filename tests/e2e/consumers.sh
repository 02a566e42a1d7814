# shellcheck shell=bash
# Sourced after lib.sh and `story` by the stories of programs that load a module. The same script runs
# on other modules for comparison, by hand:
#
#   CONSUMER=softhsm2 tests/e2e/50-firefox.sh
#
# CONSUMER is fusetsu (default), tpm2-pkcs11 (behind tpm2-abrmd, which it needs) or softhsm2.
#
#   consumer_is NAME                    which one it is
#   CONSUMER_MODULE                     the path of its module
#   consumer_token N NAME               a token with $PIN and $SO on machine N, where `at N` goes
#   consumer_key N NAME TYPE LABEL ID   a key pair; TYPE as for new_key
#   consumer_ca CA [CN]                 a software CA: $D/CA.pem and $D/CA.key
#   consumer_cert N NAME LABEL ID CA CN [EXTENSION...]   a certificate for that key: $D/NAME-LABEL.pem,
#                                       and on the token beside the key
#   setup_keeps DIR COMMAND...          of `fusetsu setup`: --dry-run leaves all files below DIR as they are, and
#                                       so does the thing itself with its --undo
#   consumer_p11 NAME OPTION...         pkcs11-tool on that token, within `at N`
#   consumer_tree DIR                   names, kinds, modes and contents of all below it, but for our
#                                       records of setups in .local
#   consumer_forgive N                  after a wrong PIN: tpm2-pkcs11 counts it for the whole TPM, which
#                                       shuts after three
# One token a machine. `at N` sets what each of the modules wants to find.

: "${CONSUMER:=fusetsu}"
# shellcheck disable=SC2034  # CONSUMER_MODULE is for the stories
case $CONSUMER in
fusetsu) CONSUMER_MODULE=$MODULE ;;
tpm2-pkcs11) CONSUMER_MODULE=$(ls /usr/lib/*/pkcs11/libtpm2_pkcs11.so) ;;
softhsm2) CONSUMER_MODULE=/usr/lib/softhsm/libsofthsm2.so ;;
*) not_ok "${0##*/}" "CONSUMER=$CONSUMER: it is fusetsu, tpm2-pkcs11 or softhsm2" && exit 1 ;;
esac
[ -e "$CONSUMER_MODULE" ] || { not_ok "${0##*/}" "the module of $CONSUMER is not installed" && exit 1; }

consumer_is() { [ "$CONSUMER" = "$1" ]; }

at() {
    local tcti=TPM_TCTI_$1 n=$1
    shift
    mkdir -p "$D/$n" # below $D, which is private
    case $CONSUMER in
    fusetsu) FUSETSU_TCTI=${!tcti} FUSETSU_STORE=$D/$n/store.db "$@" ;;
    softhsm2) SOFTHSM2_CONF=$D/$n/softhsm.conf "$@" ;;
    tpm2-pkcs11)
        DBUS_SESSION_BUS_ADDRESS=unix:path=$D/$n/bus TPM2_PKCS11_STORE=$D/$n/tpm2 TPM2_PKCS11_LOG_LEVEL=0 TSS2_LOG=all+none \
            TPM2_PKCS11_TCTI=tabrmd:bus_name=com.intel.tss2.M$n,bus_type=session "$@"
        ;;
    esac
}

# What a machine needs before its first token.
_consumer_machine() {
    local n=$1 tcti=TPM_TCTI_$1 root=()
    mkdir -p "$D/$n"
    case $CONSUMER in
    softhsm2)
        mkdir -p "$D/$n/softhsm"
        printf '%s\n' "directories.tokendir = $D/$n/softhsm" 'objectstore.backend = file' 'log.level = ERROR' \
            >"$D/$n/softhsm.conf"
        ;;
    tpm2-pkcs11)
        [ -S "$D/$n/bus" ] && return 0
        mkdir -p "$D/$n/tpm2"
        [ "$(id -u)" -ne 0 ] || root=(--allow-root)
        background dbus-daemon --session --address="unix:path=$D/$n/bus" --nofork --nopidfile --nosyslog \
            >"$D/$n/bus.log" 2>&1 </dev/null
        poll 10 test -S "$D/$n/bus" || return 1
        background env DBUS_SESSION_BUS_ADDRESS="unix:path=$D/$n/bus" tpm2-abrmd --session "${root[@]}" \
            --dbus-name="com.intel.tss2.M$n" --tcti="${!tcti}" >"$D/$n/abrmd.log" 2>&1 </dev/null
        poll 10 env DBUS_SESSION_BUS_ADDRESS="unix:path=$D/$n/bus" tpm2_getrandom -Q -o /dev/null \
            -T "tabrmd:bus_name=com.intel.tss2.M$n,bus_type=session" 4 2>/dev/null
        ;;
    esac
}

consumer_p11() { # consumer_p11 NAME OPTION...
    local name=$1
    shift
    foreign pkcs11-tool --module "$CONSUMER_MODULE" --token-label "$name" "$@"
}

consumer_forgive() {
    ! consumer_is tpm2-pkcs11 || at "$1" tpm2_dictionarylockout -c -T "tabrmd:bus_name=com.intel.tss2.M$1,bus_type=session"
}

consumer_tree() {
    (cd "$1" && find . -path ./.local -prune -o -printf '%p %y %m %u %g %l\n' | sort &&
        find . -path ./.local -prune -o -type f -print0 | sort -z | xargs -0r sha256sum)
}

consumer_token() { # consumer_token N NAME
    _consumer_machine "$1" &&
        at "$1" foreign pkcs11-tool --module "$CONSUMER_MODULE" --slot-index 0 --init-token --label "$2" --so-pin "$SO" &&
        at "$1" consumer_p11 "$2" --login --login-type so --so-pin "$SO" --init-pin --new-pin "$PIN"
}

consumer_key() { # consumer_key N NAME TYPE LABEL ID
    at "$1" consumer_p11 "$2" --login --pin "$PIN" --keypairgen --key-type "$3" --label "$4" --id "$5" --usage-sign
}

consumer_ca() { # consumer_ca CA [CN]
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/$1.key" -out "$D/$1.pem" \
        -subj "/CN=${2:-$1}" -days 30 -addext keyUsage=critical,keyCertSign,cRLSign 2>&1
}

consumer_cert() { # consumer_cert N NAME LABEL ID CA CN [EXTENSION...]
    local n=$1 name=$2 label=$3 id=$4 ca=$5 cn=$6 out
    shift 6
    out=$D/$name-$label
    [ $# -gt 0 ] || set -- keyUsage=critical,digitalSignature extendedKeyUsage=clientAuth,serverAuth \
        subjectAltName=DNS:localhost,IP:127.0.0.1
    printf '%s\n' "$@" >"$out.ext"
    # Not by pkcs11-tool, which reads freed memory when it writes EC keys.
    GNUTLS_PIN=$PIN at "$n" foreign p11tool --batch --provider="$CONSUMER_MODULE" --login --export --outfile "$out.spki" \
        "pkcs11:token=$(printf %s "$name" | xxd -p | tr -d '\n' | sed 's/../%&/g');id=$(sed 's/../%&/g' <<<"$id");type=public" &&
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj "/CN=$cn" -out "$out.csr" 2>/dev/null &&
        openssl x509 -req -in "$out.csr" -force_pubkey "$out.spki" -CA "$D/$ca.pem" -CAkey "$D/$ca.key" \
            -set_serial "0x$(openssl rand -hex 16)" -days 20 -extfile "$out.ext" -out "$out.pem" &&
        openssl x509 -in "$out.pem" -outform DER -out "$out.der" &&
        at "$n" consumer_p11 "$name" --login --pin "$PIN" --write-object "$out.der" --type cert --id "$id" --label "$label"
}

_setup_files() { (cd "$1" && find . -printf '%p %y %m %u %g %l\n' | sort && find . -type f -exec sha256sum {} + | sort); }
setup_keeps() { # setup_keeps DIR COMMAND...
    local dir=$1 before
    shift
    before=$(_setup_files "$dir")
    "$@" --dry-run || return 1
    [ "$(_setup_files "$dir")" = "$before" ] || { echo "--dry-run changed files" && return 1; }
    "$@" || return 1
    [ "$(_setup_files "$dir")" != "$before" ] || { echo "it changed nothing" && return 1; }
    "$@" --undo || return 1
    [ "$(_setup_files "$dir")" = "$before" ] || { diff <(echo "$before") <(_setup_files "$dir") && return 1; }
}
