#!/bin/bash
# Goal: the LetsTrust-TPM2Go on a real usbfs: its emulation, in front of a software TPM, is a device of this
# kernel; the module uses it, two processes take turns, it is pulled out and put in, and whoever is killed
# leaves it usable.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
# shellcheck source=tests/vm/lib.sh
. tests/vm/lib.sh

here() { plugged 365d 1337; }
away() { unplugged 365d 1337; }
check "ports of full speed" hosts full
mkdir -p "$D/tpm/state"
check "a software TPM" swtpm socket --tpm2 --tpmstate "dir=$D/tpm/state" --flags not-need-init \
    --server "type=unixio,path=$D/tpm/sock" --ctrl "type=unixio,path=$D/tpm/sock.ctrl" --pid "file=$D/tpm/pid" --daemon
make_stick() {
    local g=/sys/kernel/config/usb_gadget/stick
    mkdir -p "$g/strings/0x409" "$g/configs/c.1" "$g/functions/ffs.stick" "$D/ffs" &&
        echo 0x365d >$g/idVendor && echo 0x1337 >$g/idProduct && echo LTT-VM-1 >$g/strings/0x409/serialnumber &&
        echo www.pi3g.com >$g/strings/0x409/manufacturer && echo LetsTrust-TPM2Go >$g/strings/0x409/product &&
        ln -s $g/functions/ffs.stick $g/configs/c.1/ &&
        mount -t functionfs stick "$D/ffs" || return 1
    background "$B/usbgadget" "$D/ffs" "$D/tpm/sock" >"$D/gadget" 2>&1 </dev/null
    GADGET=$LAST
    poll 10 grep -q ready "$D/gadget" && echo dummy_udc.1 >$g/UDC && poll 20 here
}
check "a stick is plugged in" make_stick || finish
T=$TCTI_LIB:ltt2go:serial=LTT-VM-1
check_out "tpm2-tools draw random bytes from it" '^[0-9a-f]{32}$' tpm2_getrandom -T "$T" --hex 16
check_out "answers of many windows arrive" 'TPM2_PT_FAMILY_INDICATOR' tpm2_getcap -T "$T" properties-fixed

usb() { FUSETSU_TCTI=fusetsu:ltt2go:serial=LTT-VM-1 "$@"; }
# Its store is here; the stick itself carries nothing, and has a slot of its own that says so.
check "a token is made through it" usb "$FUSETSU" token init --label stick --so-pin-file "$D/so" --pin-file "$D/pin"
p11_user() { p11 --token-label stick --login --pin "$PIN" "$@"; }
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

two() {
    local a b rc=0
    usb "$B/signloop" "$MODULE" init open stick login "$D/pin" find ec check 5 fin >"$D/a" 2>&1 </dev/null &
    a=$!
    usb "$B/signloop" "$MODULE" init open stick login "$D/pin" find ec check 5 fin >"$D/b" 2>&1 </dev/null &
    b=$!
    wait "$a" || rc=1
    wait "$b" || rc=1
    cat "$D/a" "$D/b"
    return $rc
}
check "two processes take turns" two

check "it is pulled out" pull stick
check "the kernel sees that" poll 20 away
expect_fail "then there is no token" 'not plugged in|no USB token' tpm2_getrandom -T "$T" --hex 8
check "it is put in again" plug stick dummy_udc.1
check "the kernel sees that, too" poll 20 here
check "the next program signs" usb sign

FUSETSU_TCTI=fusetsu:ltt2go:serial=LTT-VM-1 "$B/signloop" "$MODULE" init open stick login "$D/pin" find ec sign 100000 >"$D/busy" 2>&1 </dev/null &
BUSY=$!
STORY_PIDS+=("$BUSY")
held() { [ -n "$(find /proc/"$BUSY"/fd -lname '/dev/bus/usb/*' 2>/dev/null)" ]; }
check "a program works with it" poll 30 held
kill -KILL "$BUSY"
check "it is killed, claim and all" poll 10 gone "$BUSY"
check "the next program signs" usb sign

FUSETSU_TCTI=fusetsu:ltt2go:serial=LTT-VM-1 "$B/signloop" "$MODULE" init open stick login "$D/pin" find ec sign 100000 >"$D/busy" 2>&1 </dev/null &
BUSY=$!
STORY_PIDS+=("$BUSY")
check "another one works with it" poll 30 held
check "it is pulled out of it" pull stick
check "it ends" poll 60 gone "$BUSY"
check_out "with an error that says so" 'CKR_DEVICE_REMOVED|CKR_TOKEN_NOT_PRESENT|0x32|0xe0|unplugged' cat "$D/busy"
check "it is put in again" plug stick dummy_udc.1
check "the kernel sees that" poll 20 here
check "the next program signs" usb sign
end "$GADGET"
[ ! -s "$D/tpm/pid" ] || kill "$(cat "$D/tpm/pid")"
finish
