#!/bin/bash
# Goal: a stick is provisioned at headquarters and works in the field, on a machine that has nothing but
# the module, the stick and the PIN: no store, an empty home. Wrong PINs count on the stick, wherever they
# were typed; the SO unblocks it anywhere. Pulling it out ends the sessions of its slot and no others; put
# back in it works again, and no other stick is taken for it. Sticks are emulated as in 62-usb-ltt2go.sh.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 3 "$@"

# shellcheck source=tests/e2e/sticks.sh
. tests/e2e/sticks.sh
plugged() { sticks "a:A-1:$TPM_TCTI_1" "b:B-2:$TPM_TCTI_2" && stick plug a; }
check "a stick for each of two software TPMs" plugged

# --- headquarters --------------------------------------------------------------------

pins=(--so-pin-file "$D/so" --pin-file "$D/pin")
# Its machine has a TPM and a store of its own, which have no part in this.
export FUSETSU_TCTI=$TPM_TCTI_3 FUSETSU_STORE=$D/hq.db
check_out "a blank stick is seen" 'A-1 +ltt2go .* empty' ours usb list
expect_exit 5 "and says what to do" 'carries no token; .fusetsu usb provision' ours usb check
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/x.key" -out "$D/x.pem" -subj /CN=else -days 2 2>/dev/null
expect_fail "a TPM of a maker that we do not know is refused" 'endorsement' \
    ours usb provision --label courier --ek-pins "$D/x.pem" "${pins[@]}"
check_out "nor is anything left behind" 'A-1 +ltt2go .* empty' ours usb list
check_out "provisioned in one command, its endorsement certificate judged" 'USB token A-1 carries it' \
    ours usb provision --serial A-1 --label courier --type p256 --key-label ec --room 8192 --user-tries 3 \
    --ek-pins "$EK_CA_PEM" --recovery-file "$D/a.recovery" "${pins[@]}"
check "no store was made for it" test ! -e "$D/hq.db"
expect_exit 5 "a second time it is refused" 'carries token "courier" .*usb erase' ours usb provision --label again "${pins[@]}"
check_out "usb list tells how much room is used" 'A-1 .* provisioned +courier +[0-9a-f]{16} +[0-9]+ of [0-9]+' ours usb list
check_out "usb check finds it whole, in the TPM of the right maker" 'one of the given makers' ours usb check --ek-pins "$EK_CA_PEM"
expect_fail "and not of another" 'endorsement' ours usb check --ek-pins "$D/x.pem"
check_out "token info by the token's label" '[0-9]+ of [0-9]+ bytes are used' ours token info --token courier
check "an RSA key on it" ours key generate --token courier --type rsa2048 --label rsa --id 02 --pin-file "$D/pin"
# A certificate for it: here by itself.
engine_conf "$D/openssl.cnf"
self() { OPENSSL_CONF=$D/openssl.cnf "${FOREIGN[@]}" openssl req -engine pkcs11 -keyform engine -key "$(key_uri courier ec)" -new -x509 -subj /CN=courier -days 2 -out "$D/ec.pem"; }
check "a certificate for its key" self
check "is imported to the stick" ours cert import --token courier --pin-file "$D/pin" "$D/ec.pem"
check_out "how much a P-256 key, an RSA-2048 key and a certificate take" '"used": [0-9]+' ours usb check --json
echo "# $(tr -d '\n' <"$D/out")"

# --- the field -------------------------------------------------------------------------

# Another machine: another home, no store, no TPM that answers, no settings.
mkdir -m 700 "$D/home"
unset FUSETSU_STORE FUSETSU_CONF
export HOME=$D/home FUSETSU_TCTI=device:/dev/null/nothing XDG_DATA_HOME=$D/home/data XDG_CONFIG_HOME=$D/home/config
if [ "$(id -u)" -eq 0 ]; then # whose store would be that of the machine
    export FUSETSU_STORE=$D/home/store.db
fi
printf 'from the field' >"$D/data"
printf 'from elsewhere' >"$D/other"
openssl x509 -in "$D/ec.pem" -noout -pubkey >"$D/ec.pub"
sign() { p11_user --token-label courier --sign --mechanism ECDSA-SHA256 --signature-format openssl --label ec -i "$D/data" -o "$D/sig"; }
sign_rsa() { p11_user --token-label courier --sign --mechanism SHA256-RSA-PKCS --id 02 -i "$D/data" -o "$D/rsa.sig"; }
verified() { openssl dgst -sha256 -verify "$D/$1.pub" -signature "$D/$2" "$3"; }
check_out "the slot names stick and serial, and is removable" 'USB token A-1' p11 --list-slots
check "a signature with the EC key" sign
check "is right" verified ec sig "$D/data"
expect_fail "but not of other data" 'Verification failure' verified ec sig "$D/other"
check "one with the RSA key" sign_rsa
rsa_pub() { p11 --token-label courier --read-object --type pubkey --label rsa -o "$D/rsa.der" && openssl rsa -pubin -inform DER -in "$D/rsa.der" -out "$D/rsa.pub"; }
check "whose public half the stick tells" rsa_pub
check "is right, too" verified rsa rsa.sig "$D/data"
cert() {
    ours cert export --token courier --label ec --der --out "$D/got.der" &&
        openssl x509 -in "$D/ec.pem" -outform DER | cmp - "$D/got.der"
}
check "and the certificate, byte for byte" cert
expect_fail "nothing is written without a login" 'CKR_USER_NOT_LOGGED_IN|SESSION_READ_ONLY' \
    p11 --token-label courier --write-object "$D/got.der" --type cert --label other
check "a key made in the field" ours key generate --token A-1 --type p256 --label field --pin-file "$D/pin"
check_out "is there for the next program" 'field' ours key list --uri "pkcs11:token=courier"
check "and gone when it was deleted" ours key delete --token courier --label field --pin-file "$D/pin" --yes
expect_fail "so it cannot sign" 'no such key|holds no' ours key sign --token courier --label field --in "$D/data" --out "$D/none" --pin-file "$D/pin"
check "the home is as empty as it was" test -z "$(find "$D/home" -type f)"

# --- PINs ---------------------------------------------------------------------------------

wrong() { p11 --token-label courier --login --pin wrong-pin --list-objects; }
expect_fail "a wrong PIN" 'CKR_PIN_INCORRECT' wrong
expect_exit 3 "another one, and how many tries are left" '1 .*left|one .*left' ours key sign --token courier --label ec \
    --in "$D/data" --out "$D/none" --pin-file "$D/bad"
check_out "both are counted on the stick" 'Wrong PINs: user 2 of 3, SO 0 of 10' ours usb check
check "the right one clears the count" sign
lock() { for _ in 1 2 3; do wrong; done; ours usb check; }
check_out "three wrong ones lock it" 'Wrong PINs: user 3 of 3' lock
expect_fail "then the right one is refused" 'CKR_PIN_LOCKED' sign
check_out "usb list says so" 'user PIN locked' ours usb list
expect_exit 3 "a wrong SO PIN does not help" 'SO PIN' ours usb unblock --so-pin-file "$D/bad" --new-pin-file "$D/pin"
check "the SO unblocks it, on any machine" ours usb unblock --so-pin-file "$D/so" --new-pin-file "$D/pin"
check "and it signs again" sign

# --- pulled out ---------------------------------------------------------------------------

paused() {
    "${FOREIGN[@]}" "$B/p11do" "$MODULE" "$@" >"$D/p.out" 2>&1 </dev/null &
    P=$!
    STORY_PIDS+=("$P")
    waits
}
# It says "paused" before each stop.
pauses() { [ "$(grep -c '^paused' "$D/p.out")" -gt "$1" ] && stopped "$P"; }
pauses_or_gone() { pauses "$1" || gone "$P"; }
waits() { poll 30 pauses_or_gone "${1:-0}" && stopped "$P" || { cat "$D/p.out" && return 1; }; }
goes_on() { local n; n=$(grep -c '^paused' "$D/p.out") && kill -CONT "$P" && waits "$n"; }
ends() {
    local rc=0
    kill -CONT "$P"
    poll "$LIMIT" gone "$P" || { echo "it hangs" && return 1; }
    wait "$P" || rc=$?
    cat "$D/p.out"
    return "$rc"
}
head -c 32 /dev/urandom >"$D/hash"
use=(sign "$D/p.sig" ecdsa k "$D/hash")
log=(open courier login "$D/pin" find k class=private,label=ec)
check "a process has logged in and signed" paused "${log[@]}" "${use[@]}" pause fails 0x32 "${use[@]}" \
    pause "${log[@]}" "${use[@]}"
stick unplug a
check "the stick is pulled out: CKR_DEVICE_REMOVED" goes_on
expect_fail "the slot is empty" 'token .*not|No slot|no slot|not found' sign
stick plug a
check "put back in: the same process opens it anew, without reloading" ends
stick unplug a
expect_fail "usb check says which is missing" 'A-1 is not plugged in' ours usb check --serial A-1
stick plug b
expect_fail "another stick is not taken for it" 'not found|No slot|no slot|CKR_' sign
stick plug a
check "a second one is provisioned beside it" ours usb provision --serial B-2 --label second --room 2048 "${pins[@]}"
check_out "with two sticks each is found by its name" '^Token "second"' ours token info --token second
check "the first signs" sign
expect_exit 2 "without a name we ask which" 'several USB tokens' ours usb check
check "two sticks in one process; the other goes" paused "${log[@]}" "${use[@]}" pause "${use[@]}"
stick unplug b
check "and this one's session stays" ends

# At any moment of a signature or a login: an error and no wrong signature, and then all is well.
cut() { # cut TRANSFER [dirty]
    stick cut a "$@" || return 1
    foreign "$B/signloop" "$MODULE" init open courier login "$D/pin" find ec check 3
}
for at in 40 "333 dirty" 700; do
    # shellcheck disable=SC2086  # words
    expect_fail "pulled out in transfer $at" 'C_[A-Za-z]+: 0x(3|32|30|e0|e1|6|150)|no token' cut $at
    stick plug a
    check "and put back in" sign
done
# While it is written to: the old or the new.
torn() { ours key generate --token courier --type p256 --label "torn$1" --pin-file "$D/pin"; }
for at in 1450 1650; do
    stick cut a "$at"
    expect_fail "pulled out in transfer $at, while a change is written" 'plug it in again|DEVICE_REMOVED|not plugged in|cannot be reached|stopped answering' torn "$at"
    stick plug a
    check_out "it is whole" 'whole' ours usb check --serial A-1
done
check_out "with nothing of what was not finished" '^[^t]*$' ours key list --token courier
check "and takes the next change" torn 0
check_out "which is there" 'torn0' ours key list --token courier

# --- nothing for who has none ---------------------------------------------------------------

looks() { # looks PATH COMMAND...: how often it opens something there
    local path=$1
    shift
    env -u LD_PRELOAD -u UMOCKDEV_DIR strace -f -qq -e trace=open,openat,readlink -o "$D/strace" "$@" >"$D/looks.out" 2>&1
    grep -c "\"$path" "$D/strace"
}
none() { [ "$(looks "$@")" -eq 0 ]; }
if is_asan; then
    skip "what is opened where no USB token is" "strace and the sanitizer's preload"
else
    check "C_Initialize looks at no USB device" none /sys/bus/usb "$B/p11do" "$MODULE"
    check "listing slots opens none, for want of tokens" none /dev/bus/usb pkcs11-tool --module "$MODULE" --list-slots
    check "and with usb = no does not even look" none /sys/bus/usb env FUSETSU_USB=no pkcs11-tool --module "$MODULE" --list-slots
    looked() { ! none /sys/bus/usb pkcs11-tool --module "$MODULE" --list-slots; }
    check "which it does otherwise" looked
fi

# --- the end ---------------------------------------------------------------------------------

check_out "usb erase only says what would go" 'Nothing was done' ours usb erase --serial A-1
check "it is still there" sign
check "usb erase --yes" ours usb erase --serial A-1 --yes
check_out "a blank stick again" 'A-1 .* empty' ours usb list
expect_fail "no key is left" 'not found|No slot|no slot|CKR_' sign
clean() { ! tpm2_getcap -T "$TPM_TCTI_1" handles-nv-index | grep -iE '0x1(80|bf)'; }
check "nor anything in its TPM" clean
for n in 1 2; do
    tcti=TPM_TCTI_$n
    tpm2_startup -c -T "${!tcti}" >/dev/null 2>&1
done
finish
