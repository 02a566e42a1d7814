#!/bin/bash
# Goal: a board with a TPM and fusetsu-tokend is a USB token on a real kernel: found, used by tpm2-tools and
# by the module, pulled out and put in again at any time, killed on either side, at full and at high speed,
# and closed to users whom the udev rule does not name.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
# shellcheck source=tests/vm/lib.sh
. tests/vm/lib.sh

ID="1209 0001"
# shellcheck disable=SC2086  # two words
here() { plugged $ID; }
# shellcheck disable=SC2086
away() { unplugged $ID; }
start() { # start OPTION...
    background "$B/fusetsu-tokend" --tcti device:/dev/tpmrm0 --serial FZ0001 --udc dummy_udc.0 --log info "$@" \
        >"$D/said" 2>&1 </dev/null
    TOKEND=$LAST
    poll 20 here || { cat "$D/said" && return 1; }
}
T=$TCTI_LIB:frame:serial=FZ0001
draw() { tpm2_getrandom -T "$T" --hex "${1:-16}"; }

check "ports of high speed" hosts high
check "the daemon makes a token" start || finish
check_out "it says who it is" 'fusetsu.*fusetsu token.*FZ0001' \
    sh -c 'cd /sys/bus/usb/devices && cat [12]-1/manufacturer [12]-1/product [12]-1/serial | paste -s -d " "'
check_out "tpm2-tools draw random bytes from it" '^[0-9a-f]{32}$' draw
check_out "as the only one it need not be named" '^[0-9a-f]{32}$' tpm2_getrandom -T "$TCTI_LIB" --hex 16
expect_fail "another serial is another token" 'tcti|NO_CONNECTION|FZ9999|none' tpm2_getrandom -T "$TCTI_LIB:serial=FZ9999" --hex 8
expect_fail "Clear does not go through" 'command code not supported' tpm2_clear -T "$T"
# Replies of 512 - 16 - 12 bytes and around fill their packets; so do long ones.
every_size() {
    local i
    for i in 1 2 4 8 24 48 60 61 62 63 64 120; do
        tpm2_getcap -T "$T" "properties-fixed" >/dev/null || return 1
    done
    for i in 20 35 36 37 48; do [ "$(draw "$i" | tr -d '\n' | wc -c)" -eq $((2 * i)) ] || return 1; done
}
check "answers of all sizes arrive" every_size

# --- the module ---------------------------------------------------------------------------

usb() { FUSETSU_TCTI=fusetsu:frame:serial=FZ0001 "$@"; }
# Its store is here; the stick itself carries nothing, and has a slot of its own that says so.
check "a token is made through it" usb "$FUSETSU" token init --label field --so-pin-file "$D/so" --pin-file "$D/pin"
p11_user() { p11 --token-label field --login --pin "$PIN" "$@"; }
check "the module makes a key in it" usb new_key EC:prime256v1 ec 01
head -c 32 /dev/urandom >"$D/hash"
sign() { p11_user --sign --id 01 --mechanism ECDSA --signature-format openssl -i "$D/hash" -o "$D/sig"; }
check "a signature" usb sign
# By GnuTLS: OpenSC 0.23 reads freed memory when it writes EC keys.
verify() {
    foreign p11tool --provider="$MODULE" --export "pkcs11:object=ec;type=public" --outfile "$D/ec.pem" &&
        openssl pkeyutl -verify -pubin -inkey "$D/ec.pem" -in "$D/hash" -sigfile "$D/sig"
}
check_out "which is right" 'Verified Successfully' usb verify

# A stranger's judgement of it, as far as sessions, login, searches and random bytes go.
conforms() {
    usb "$B/conformance" --module "$MODULE" --token field --pin-file "$D/pin" --so-pin-file "$D/so" --only "$1" >"$D/verdict" 2>&1
    local rc=$?
    grep -E '^not ok' "$D/verdict"
    tail -n 1 "$D/verdict"
    [ "$rc" -eq 0 ] && grep -q '^ok - ' "$D/verdict"
}
for part in sessions login random find; do check "the module conforms: $part" conforms "$part"; done

# --- pulled out ------------------------------------------------------------------------------

check "it is pulled out" pull fusetsu
check "the kernel sees that" poll 20 away
expect_fail "then there is no token" 'tcti|TCTI|NO_CONNECTION|no USB token' draw
check "it is put in again" plug fusetsu dummy_udc.0
check "the kernel sees that, too" poll 20 here
check_out "and it answers" '^[0-9a-f]{32}$' draw
many() {
    local i
    for i in {1..3}; do
        pull fusetsu && poll 20 away && plug fusetsu dummy_udc.0 && poll 20 here && draw 8 >/dev/null || return 1
    done
}
check "three times more" many
open_files() { find "/proc/$1/fd" -type l | wc -l; }
check "the daemon has no more files open than are of use" test "$(open_files "$TOKEND")" -lt 16

# In the middle of commands.
held() { [ -n "$(find "/proc/$BUSY/fd" -lname '/dev/bus/usb/*' 2>/dev/null)" ]; }
busy() { # a program that signs without end
    FUSETSU_TCTI=fusetsu:frame:serial=FZ0001 "$B/signloop" "$MODULE" init open field login "$D/pin" find ec sign 100000 >"$D/busy" 2>&1 </dev/null &
    BUSY=$!
    STORY_PIDS+=("$BUSY")
    poll 30 held
}
check "a program signs without end" busy
check "it is pulled out of a busy program" pull fusetsu
check "which ends with an error" poll 30 gone "$BUSY"
check_out "that says so" 'CKR_DEVICE_REMOVED|0x32|CKR_TOKEN_NOT_PRESENT|0x000000E0|CKR_DEVICE_ERROR' cat "$D/busy"
check "the daemon flushes what it made" poll 20 grep -q 'of its handles are flushed\|the host is gone' "$D/said"
check "it is put in again" plug fusetsu dummy_udc.0
check "and is there" poll 20 here
check "the next program signs" usb sign

# --- killed ------------------------------------------------------------------------------------

check "another one does" busy
kill -KILL "$BUSY"
check "a busy program is killed" poll 10 gone "$BUSY"
check "the next one signs" usb sign
kill -KILL "$TOKEND"
check "the daemon is killed: both its processes are gone" poll 10 gone "$TOKEND"
check "and the token with them" poll 20 away
check "it starts again, over what was left" start
check "and signs" usb sign
child() { pgrep -P "$TOKEND"; }
CHILD=$(child)
kill -KILL "$CHILD"
check "the process that hears the host is killed: so is the gadget" poll 20 away
check "the other one takes it down and ends" poll 10 gone "$TOKEND"
check_out "and says why" 'ended with signal 9' cat "$D/said"
check "nothing of the gadget is left" test ! -e /sys/kernel/config/usb_gadget/fusetsu

# --- rights -------------------------------------------------------------------------------------

getent group tss >/dev/null || groupadd -r tss
udevadm control --reload
check "the daemon runs as nobody, and starts" start --user nobody
uid_of() { awk '/^Uid:/ {print $2}' "/proc/$1/status"; }
check "the process that hears the host is nobody" test "$(uid_of "$(child)")" = "$(id -u nobody)"
check "with few system calls" grep -qE '^Seccomp:[[:space:]]*2' "/proc/$(child)/status"
check "it serves" usb sign
TSS=$(getent group tss | cut -d: -f3)
check_out "whoever is in group tss may use it" '^[0-9a-f]{16}$' as nobody "$TSS" tpm2_getrandom -T "$T" --hex 8
expect_fail "who is not may not, and is told of the rule" 'install the udev rule 70-fusetsu.rules' \
    as nobody nogroup tpm2_getrandom -T "$T" --hex 8
end "$TOKEND"
check "it ends when told to" poll 10 gone "$TOKEND"
check "and is unplugged" poll 10 away

# --- presence and full speed -------------------------------------------------------------------------

check "ports of full speed" sh -c 'modprobe -r dummy_hcd; true'
check "(they are there)" hosts full
echo 0 >"$D/button"
check "a token with a button, of full speed" start --presence "gpio:$D/button" --presence-timeout 3
check_out "of full speed it is" '^12$' sh -c 'cat /sys/bus/usb/devices/*/speed | grep -v 480 | head -n 1'
check "answers of all sizes arrive" every_size
expect_fail "without a press there is no signature" 'CKR_' usb sign
asks() { grep -q 'waits for the button' "$D/said"; }
: >"$D/said"
usb sign >"$D/signed" 2>&1 &
SIGN=$!
poll 30 asks
echo 1 >"$D/button"
signed() { wait "$SIGN"; }
check "with one there is" signed
end "$TOKEND"
finish
