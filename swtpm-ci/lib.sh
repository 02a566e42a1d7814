# shellcheck shell=bash
# Private swtpms for tests and demo: sourced by with-tpm, the demo and the end-to-end stories.
#
#   ekca_make EKCADIR         a local EK CA (root + issuing CA), made once; bundle.pem are the pins
#   tpm_make DIR EKCADIR [rsa|ecc|both|none]     manufactures one TPM into DIR; does not start it
#   tpm_start DIR             power on;  TPM2_Startup(CLEAR) included
#   tpm_stop DIR              TPM2_Shutdown(CLEAR), then power off
#   tpm_cut DIR               power cut: kill -9, no shutdown
#   tpm_tcti DIR              prints the TCTI string
#   tpm_pid DIR               prints the pid, empty when it is off
# Every DIR is absolute. DIR holds: state/ (the chip's NV), sock and sock.ctrl (unix sockets; the
# swtpm TCTI derives the second name from the first), pid, log.
# All of them return non-zero with a message on stderr when they fail, and none waits without bound.
#
# What Debian 12's swtpm_setup (0.7.1) really gives, measured:
# - `--tpm2 --create-ek-cert` always makes both EKs, whether or not --ecc is given: RSA 2048
#   persistent at 0x81010001 with its certificate at NV 0x01C00002, and ECC P-384 (not P-256)
#   persistent at 0x81010016 with its certificate at NV 0x01C00016. No templates and nonces in NV
#   (0x01C00003/4): both are the TCG default templates (L-1 for RSA, H-3 for P-384). No P-256 EK.
#   The RSA EK wants PolicySecret(endorsement); the P-384 EK has userWithAuth, so its empty auth does.
# - Run by root it changes to user tss unless told `--runas root`; and it then needs the CA's
#   directory to be writable for that user. Hence --runas below.
# - The EK certificates have no Subject Key Identifier; Subject is CN=<vmid>; the subject alternative
#   name (critical) is a directory name with manufacturer id:00001014, model swtpm, version
#   id:20191023; extended key usage 2.23.133.8.1; key usage keyEncipherment (RSA) or keyAgreement
#   (ECC). They run to the year 9999. OpenSSL verifies them, -x509_strict too.
# - Each local CA is RSA 3072 twice: CN=swtpm-localca-rootca (self-signed) and CN=swtpm-localca. The
#   names are the same in every CA: only the key tells two EK CAs apart. Serial numbers of EK
#   certificates count up from 1 in each CA.
# - Time: about 0.5 s for one TPM (it waits more than it computes) and 0.5 s for a new CA.

_tpm_say() { printf 'swtpm-ci: %s\n' "$*" >&2; }

# _tpm_poll TENTHS COMMAND...: until COMMAND succeeds, at most TENTHS/10 seconds.
_tpm_poll() {
    local left=$(($1 * 5))
    shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.02
    done
}

# A process that has ended but is not yet reaped counts as gone.
_tpm_gone() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    case ${line##*) } in Z* | X*) return 0 ;; esac
    return 1
}

_tpm_on() { [ -S "$1/sock" ] && [ -S "$1/sock.ctrl" ] && [ -n "$(tpm_pid "$1")" ]; }

_tpm_absolute() {
    case $1 in /*) ;; *) _tpm_say "$1: must be an absolute path" && return 1 ;; esac
    # sockaddr_un holds 107 characters.
    [ ${#1} -le 100 ] || { _tpm_say "$1: too long for a unix socket" && return 1; }
}

tpm_tcti() { printf 'swtpm:path=%s/sock\n' "$1"; }

tpm_pid() {
    local pid=
    [ -s "$1/pid" ] && read -r pid <"$1/pid"
    # The pid may have been given to another process since: ours names DIR on its command line.
    [ -n "$pid" ] && ! _tpm_gone "$pid" &&
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "dir=$1/state" && echo "$pid"
    return 0
}

ekca_make() {
    local ca=$1 tmp rc=0
    _tpm_absolute "$ca" || return 1
    mkdir -p "$ca" || return 1
    (
        flock -w 60 9 || exit 1
        [ -s "$ca/bundle.pem" ] && exit 0
        printf '%s = %s\n' statedir "$ca" signingkey "$ca/signkey.pem" \
            issuercert "$ca/issuercert.pem" certserial "$ca/certserial" >"$ca/swtpm-localca.conf"
        printf -- '%s\n' '--platform-manufacturer fusetsu' '--platform-version 1' \
            '--platform-model swtpm-ci' >"$ca/swtpm-localca.options"
        # swtpm_localca makes its CA when it is first asked for a certificate: ask for one on a
        # made-up modulus and throw it away.
        tmp=$(mktemp -d "$ca/first.XXXXXX") || exit 1
        swtpm_localca --type ek --ek "$(printf '%0512d' 7)" --dir "$tmp" --vmid first \
            --tpm2 --tpm-spec-family 2.0 --tpm-spec-level 0 --tpm-spec-revision 164 \
            --tpm-manufacturer id:00001014 --tpm-model swtpm --tpm-version id:20191023 \
            --configfile "$ca/swtpm-localca.conf" --optsfile "$ca/swtpm-localca.options" \
            >"$ca/log" 2>&1 || { cat "$ca/log" >&2 && exit 1; }
        rm -rf "$tmp"
        cat "$ca/swtpm-localca-rootca-cert.pem" "$ca/issuercert.pem" >"$ca/bundle.new" &&
            mv "$ca/bundle.new" "$ca/bundle.pem"
    ) 9>"$ca/.lock.make" || rc=1
    [ "$rc" -eq 0 ] || _tpm_say "$ca: no EK CA"
    return "$rc"
}

tpm_make() {
    local dir=$1 ca=$2 ek=${3:-both} want=(--create-ek-cert) runas=()
    _tpm_absolute "$dir" && ekca_make "$ca" || return 1
    mkdir -p "$dir/state" || return 1
    printf '%s = %s\n' create_certs_tool "$(command -v swtpm_localca)" \
        create_certs_tool_config "$ca/swtpm-localca.conf" \
        create_certs_tool_options "$ca/swtpm-localca.options" \
        active_pcr_banks sha256 >"$dir/swtpm_setup.conf"
    [ "$(id -u)" -ne 0 ] || runas=(--runas root)
    [ "$ek" != none ] || want=()
    timeout 60 swtpm_setup --tpm2 --config "$dir/swtpm_setup.conf" --tpmstate "$dir/state" \
        --vmid "${dir##*/}" --overwrite "${want[@]}" "${runas[@]}" >"$dir/log" 2>&1 ||
        { cat "$dir/log" >&2 && _tpm_say "$dir: swtpm_setup failed" && return 1; }
    case $ek in
    both | none) ;;
    rsa) _tpm_drop_ek "$dir" 0x81010016 0x01C00016 ;;
    ecc) _tpm_drop_ek "$dir" 0x81010001 0x01C00002 ;;
    *) _tpm_say "EK: rsa, ecc, both or none, not '$ek'" && return 1 ;;
    esac
}

# swtpm_setup cannot be told to make only one EK: the other one is taken out again.
_tpm_drop_ek() {
    local dir=$1 tcti rc=0
    tpm_start "$dir" || return 1
    tcti=$(tpm_tcti "$dir")
    { timeout 10 tpm2_evictcontrol -Q -T "$tcti" -C o -c "$2" &&
        timeout 10 tpm2_nvundefine -Q -T "$tcti" -C p "$3"; } >>"$dir/log" 2>&1 || rc=1
    tpm_stop "$dir" || rc=1
    [ "$rc" -eq 0 ] || _tpm_say "$dir: cannot remove EK $2: see $dir/log"
    return "$rc"
}

tpm_start() {
    local dir=$1
    _tpm_absolute "$dir" || return 1
    [ -z "$(tpm_pid "$dir")" ] || { _tpm_say "$dir: is on already" && return 1; }
    rm -f "$dir/sock" "$dir/sock.ctrl" "$dir/pid"
    # --daemon: own session, so that a Ctrl-C at the terminal does not cut its power.
    # It changes to / (all paths absolute), and keeps our file descriptors unless they are closed.
    swtpm socket --tpm2 --tpmstate dir="$dir/state" --flags not-need-init,startup-clear \
        --server type=unixio,path="$dir/sock" --ctrl type=unixio,path="$dir/sock.ctrl" \
        --pid file="$dir/pid" --log file="$dir/log" --daemon </dev/null >>"$dir/log" 2>&1 9>&- ||
        { _tpm_say "$dir: swtpm does not start: see $dir/log" && return 1; }
    _tpm_poll 100 _tpm_on "$dir" || { _tpm_say "$dir: no swtpm after 10 s" && return 1; }
    # With its state unreadable it comes up in failure mode, and only a real command shows that.
    timeout 10 tpm2_getrandom -Q -T "$(tpm_tcti "$dir")" -o /dev/null 1 >>"$dir/log" 2>&1 ||
        { _tpm_say "$dir: the TPM is in failure mode: see $dir/log" && return 1; }
}

_tpm_end() {
    local dir=$1 signal=$2 pid
    pid=$(tpm_pid "$dir")
    if [ -n "$pid" ]; then
        kill "-$signal" "$pid" 2>/dev/null || true
        _tpm_poll 50 _tpm_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
        _tpm_poll 50 _tpm_gone "$pid" || { _tpm_say "$dir: pid $pid does not end" && return 1; }
    fi
    rm -f "$dir/sock" "$dir/sock.ctrl" "$dir/pid"
}

# Without the TPM2_Shutdown each power-off counts as a failed try of the dictionary attack logic
# once a DA-protected object was used.
tpm_stop() {
    [ -z "$(tpm_pid "$1")" ] ||
        timeout 5 tpm2_shutdown -Q -c -T "$(tpm_tcti "$1")" >>"$1/log" 2>&1 ||
        _tpm_say "$1: TPM2_Shutdown failed: see $1/log"
    _tpm_end "$1" TERM
}

tpm_cut() { _tpm_end "$1" KILL; }
