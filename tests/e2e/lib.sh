# shellcheck shell=bash
# Sourced by the stories. A story begins with
#
#   set -uo pipefail
#   cd "$(dirname "$0")/../.." || exit 1
#   . tests/e2e/lib.sh
#   story 1 "$@"          # how many TPMs; starts the script again beside them
#
# and ends with `finish`. From `story` on there are:
#   B        the build directory (absolute);  MODULE, FUSETSU: what was built there
#   D        a private directory, removed at the end
#   FUSETSU_STORE, FUSETSU_CONF    a fresh store path and an empty settings file in D
#   PIN, SO  the PINs of the tokens here; also in the files $D/pin and $D/so, a wrong one in $D/bad
#
#   ok WHAT, not_ok WHAT WHY, skip WHAT WHY
#   check WHAT COMMAND...                succeeds
#   check_out WHAT PATTERN COMMAND...    succeeds and prints what matches the pattern (grep -E)
#   expect_fail WHAT PATTERN COMMAND...  fails without crashing and prints what matches
#   expect_exit CODE WHAT PATTERN COMMAND...   the same with that exit code
#   poll SECONDS COMMAND...              until it succeeds
#   foreign COMMAND...                   a program that is not ours but loads our module
#   at N COMMAND...                      with the N-th TPM and a store of its own
#   background COMMAND...                in the background; its pid is in $LAST; ended by finish
# Output of the last check is in $D/out. No check runs longer than $LIMIT seconds.

LIMIT=${LIMIT:-60}
STORY_FAILED=0
STORY_PIDS=()
PIN=stories-11
SO=officers-22

ok() { echo "ok - $1"; }
skip() { echo "ok - $1 # SKIP $2"; }
not_ok() {
    STORY_FAILED=1
    echo "not ok - $1: $2"
    [ ! -s "$D/out" ] || sed 's/^/    | /' "$D/out" | tail -n "${STORY_LINES:-25}"
}

story() {
    local tpms=$1
    shift
    : "${FUSETSU_BUILD:=build}"
    B=$(cd "$FUSETSU_BUILD" 2>/dev/null && pwd)
    if [ ! -x "$B/fusetsu" ] || [ ! -x "$B/signloop" ] || [ ! -x "$B/asan_first.so" ]; then
        echo "not ok - ${0##*/}: nothing is built in $FUSETSU_BUILD: make BUILD=$FUSETSU_BUILD all support"
        exit 1
    fi
    if [ "${STORY_TPMS:-}" != "$tpms" ]; then
        export STORY_TPMS=$tpms FUSETSU_BUILD=$B
        exec swtpm-ci/with-tpm -n "$tpms" --ek-ca "$PWD/build/ekca" -- "$0" "$@"
    fi
    # shellcheck disable=SC2034  # for the stories
    MODULE=$B/fusetsu-pkcs11.so FUSETSU=$B/fusetsu
    D=$(mktemp -d "${TMPDIR:-/tmp}/fze.XXXXXX") || exit 1
    trap _end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    chmod 700 "$D"
    : >"$D/fusetsu.conf" && : >"$D/out"
    # No line end: OpenSSL's engine takes the whole file behind pin-source as the PIN.
    (umask 077 && printf %s "$PIN" >"$D/pin" && printf %s "$SO" >"$D/so" && printf wrong-pin >"$D/bad")
    mkdir -m 700 "$D/1"
    export FUSETSU_STORE=$D/1/store.db FUSETSU_CONF=$D/fusetsu.conf
    unset FUSETSU_LOG
    # The sanitizer's runtime must come first in a process that was not built with it; such
    # processes leak by themselves.
    FOREIGN=(env)
    case $B in
    */asan) FOREIGN=(env "LD_PRELOAD=$(gcc -print-file-name=libasan.so) $B/asan_first.so"
        "ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-}") ;;
    esac
}

is_asan() { [ ${#FOREIGN[@]} -gt 1 ]; }

_end() {
    local pid
    for pid in "${STORY_PIDS[@]}"; do
        kill -CONT "$pid" 2>/dev/null
        end "$pid"
    done
    rm -rf "$D"
}

finish() { exit "$STORY_FAILED"; }

# A process that has ended but is not yet reaped counts as gone.
gone() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    case ${line##*) } in Z* | X*) return 0 ;; esac
    return 1
}
stopped() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    case ${line##*) } in T*) return 0 ;; esac
    return 1
}

poll() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.02
    done
}

foreign() { "${FOREIGN[@]}" timeout -k 5 "$LIMIT" "$@"; }

# shellcheck disable=SC2034  # LAST is for the stories
background() {
    "$@" &
    LAST=$!
    STORY_PIDS+=("$LAST")
}

at() {
    local tcti=TPM_TCTI_$1 n=$1
    shift
    mkdir -p "$D/$n" # below $D, which is private
    FUSETSU_TCTI=${!tcti} FUSETSU_STORE=$D/$n/store.db "$@"
}

# Programs of ours are bounded too; functions bound themselves.
_run() {
    if [ "$(type -t "$1")" = function ]; then
        "$@" >"$D/out" 2>&1 </dev/null
    else
        timeout -k 5 "$LIMIT" "$@" >"$D/out" 2>&1 </dev/null
    fi
}

# Why a command that ended with $1 did not end as a program may; empty when it did.
_crash() {
    if grep -qE 'AddressSanitizer|runtime error:|LeakSanitizer' "$D/out"; then
        echo "a sanitizer complained"
    elif [ "$1" -eq 124 ]; then
        echo "no end after $LIMIT s"
    elif [ "$1" -ge 126 ]; then
        echo "it ended with $1"
    fi
}

check() {
    local what=$1 rc=0 why
    shift
    _run "$@" || rc=$?
    why=$(_crash "$rc")
    if [ -n "$why" ] || [ "$rc" -ne 0 ]; then
        not_ok "$what" "${why:-exit code $rc}"
        return 1
    fi
    ok "$what"
}

check_out() {
    local what=$1 pattern=$2 rc=0 why
    shift 2
    _run "$@" || rc=$?
    why=$(_crash "$rc")
    if [ -n "$why" ] || [ "$rc" -ne 0 ]; then
        not_ok "$what" "${why:-exit code $rc}"
    elif ! grep -qE -e "$pattern" "$D/out"; then
        not_ok "$what" "nothing like /$pattern/ in its output"
    else
        ok "$what"
        return 0
    fi
    return 1
}

_expect() { # _expect CODE-OR-EMPTY WHAT PATTERN COMMAND...
    local code=$1 what=$2 pattern=$3 rc=0 why
    shift 3
    _run "$@" || rc=$?
    why=$(_crash "$rc")
    if [ -n "$why" ]; then
        not_ok "$what" "$why"
    elif [ "$rc" -eq 0 ]; then
        not_ok "$what" "it succeeded"
    elif [ -n "$code" ] && [ "$rc" -ne "$code" ]; then
        not_ok "$what" "exit code $rc, not $code"
    elif ! grep -qE -e "$pattern" "$D/out"; then
        not_ok "$what" "nothing like /$pattern/ in its output"
    else
        ok "$what"
        return 0
    fi
    return 1
}
expect_fail() { _expect '' "$@"; }
expect_exit() { _expect "$@"; }

# end PID: SIGTERM, and SIGKILL for who does not hear it.
end() {
    kill "$1" 2>/dev/null
    poll 5 gone "$1" || kill -KILL "$1" 2>/dev/null
}

# tidy N: flushes what killed programs left in a TPM: objects, loaded sessions, saved ones. On a real
# machine its resource manager does (tpm2-abrmd --flush-all).
tidy() {
    local tcti=TPM_TCTI_$1 what
    for what in t l s; do
        tpm2_flushcontext -Q -T "${!tcti}" -$what || return
    done
}

# listening PORT, or the process PID has ended.
listening() {
    gone "$2" || grep -qiE "$(printf ':%04X 0+:0000 0A' "$1")" /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# A port that nobody listens at now; for programs that cannot choose one themselves.
free_port() {
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 20000))
        grep -qi ":$(printf %04x "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null ||
            { echo "$port" && return 0; }
    done
    return 1
}

# --- tokens -----------------------------------------------------------------

p11() { foreign pkcs11-tool --module "$MODULE" "$@"; }
# With one token it is found by itself; with --token-label otherwise.
p11_user() { p11 --login --pin "$PIN" "$@"; }

# new_token LABEL: a token with both PINs, by PKCS#11 alone.
new_token() {
    p11 --slot-index 0 --init-token --label "$1" --so-pin "$SO" &&
        p11 --token-label "$1" --login --login-type so --so-pin "$SO" --init-pin --new-pin "$PIN"
}

# new_key TYPE LABEL ID
new_key() { p11_user --keypairgen --key-type "$1" --label "$2" --id "$3"; }

# key_uri TOKEN LABEL: how OpenSSL's engine and curl name a key, and where the PIN is.
key_uri() { echo "pkcs11:token=$1;object=$2;type=private?pin-source=file:$D/pin"; }

# engine_conf FILE [LINE...]: OpenSSL settings that let the stock engine load our module.
engine_conf() {
    local file=$1
    shift
    {
        printf '%s\n' 'openssl_conf = init' '[init]' 'engines = engines' '[engines]' \
            'pkcs11 = pkcs11' '[pkcs11]' 'engine_id = pkcs11' "MODULE_PATH = $MODULE" "$@"
        # What `openssl req` insists on.
        printf '%s\n' '[req]' 'distinguished_name = dn' '[dn]'
    } >"$file"
}
