#!/bin/bash
# Goal: the TPM is reset, its socket is cut, its resource manager is restarted, it is cleared, it is another
# one: a process that has it open gets at most one clean error and goes on without C_Finalize, or is told
# what is wrong. And the wrong PINs that lock one token lock neither another one nor the TPM.
#
# FUSETSU_GAP=N: how many signatures one process makes while another one sits idle (default 2000).
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
# shellcheck source=swtpm-ci/lib.sh
. swtpm-ci/lib.sh
story 2 "$@"
gap=${FUSETSU_GAP:-2000}

check "a token is made" new_token alpha
check "an EC key" new_key EC:prime256v1 ec 01
check "an RSA key" new_key rsa:2048 rsa 02
app() { foreign "$B/signloop" "$MODULE" "$@"; }

reset() { tpm_cut "$TPM_DIR/tpm$1" && tpm_start "$TPM_DIR/tpm$1"; }
reboot() { tpm_stop "$TPM_DIR/tpm$1" && tpm_start "$TPM_DIR/tpm$1"; }
# The process that is told to wait, and to go on. Not under timeout(1), which would be the one to stop.
paused() { # paused STEP...: a process that does these steps; some of them are `pause`
    "${FOREIGN[@]}" "$B/signloop" "$MODULE" init open alpha login "$D/pin" find ec check 2 "$@" >"$D/p.out" 2>&1 </dev/null &
    P=$!
    STORY_PIDS+=("$P")
    waits
}
waits_or_gone() { stopped "$P" || gone "$P"; }
waits() { poll 30 waits_or_gone && stopped "$P" || { cat "$D/p.out" && return 1; }; }
go_on() { # to its end
    local rc=0
    kill -CONT "$P"
    poll "$LIMIT" gone "$P" || { echo "it hangs" && return 1; }
    wait "$P" || rc=$?
    cat "$D/p.out"
    return "$rc"
}
# over WHAT COMMAND...: the process logs in and signs, that happens to the TPM, and it signs again, with
# the key it had in use and with another one; a process that comes later works, too.
over() {
    local what=$1
    shift
    check "$what: a process has logged in and signed" paused pause check 3 find rsa check 2 generate new check 1 logout fin
    check "$what: it happens" "$@"
    check "$what: the process goes on, without an error" go_on
    check "$what: so does a new one" app init open alpha login "$D/pin" find ec check 2 fin
}
over "a reset (power cut)" reset 1
over "a reboot in order" reboot 1
twice() { reset 1 && reset 1; }
over "two resets" twice

# While it works, not while it waits: an error is clean, and never a wrong signature.
begun() { grep -q '^on ' "$D/busy" || gone "$P"; }
busy() {
    : >"$D/busy"
    "${FOREIGN[@]}" "$B/signloop" "$MODULE" init open alpha login "$D/pin" find "$1" phase on check 1000000 >"$D/busy" 2>&1 </dev/null &
    P=$!
    STORY_PIDS+=("$P")
    poll 30 begun && ! gone "$P" && reset 1 || { cat "$D/busy" && return 1; }
    # It has noticed and goes on, or it has ended.
    gone "$P" || kill -TERM "$P"
    poll 10 gone "$P" || { echo "it hangs" && return 1; }
    cat "$D/busy"
    # CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED
    ! grep 'signloop: C_' "$D/busy" | grep -vE 'C_Sign(Init)?: 0x3[02]$'
}
for key in ec rsa ec; do
    check "a reset while a process signs ($key): no wrong signature, and no error but a clean one" busy "$key"
done
check "what was killed is cleaned up" tidy 1
check "then all is well" app init open alpha login "$D/pin" find rsa check 2 fin

# --- off, and on again ------------------------------------------------------------

off() { tpm_cut "$TPM_DIR/tpm1"; }
on() { tpm_start "$TPM_DIR/tpm1"; }
check "a process has logged in and signed" paused pause check 1
check "the TPM goes off" off
expect_fail "signing says CKR_DEVICE_REMOVED" 'C_Sign(Init)?: 0x32$' go_on
expect_exit 4 "our program names the TCTI" "^fusetsu: .*$TPM_DIR/tpm1.*FUSETSU_TCTI" \
    "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$D/pin"
check "it comes back" on
check "and so do its keys" app init open alpha login "$D/pin" find ec check 2 fin

# --- the socket ---------------------------------------------------------------------

# A man in between whose connections can be cut, by ending him; the TPM itself keeps its state.
spy() { FUSETSU_TCTI=$B/libtss2-tcti-spy.so:$TPM_TCTI_1 "$@"; }
for n in 1 2 3 5; do
    cut() { SPY_FAIL=$n SPY_FAIL_CC=Sign spy app init open alpha login "$D/pin" find ec check 6 fin; }
    cut >"$D/out" 2>&1 && { ok "the connection breaks at signature $n: nothing is noticed" && continue; }
    grep -qE 'C_Sign: 0x(30|32)$' "$D/out" && ok "the connection breaks at signature $n: one clean error" ||
        not_ok "the connection breaks at signature $n" "neither a signature nor a clean error"
done
do_cut() {
    SPY_FAIL=1 SPY_FAIL_CC=Sign spy foreign "$B/p11do" "$MODULE" open alpha login "$D/pin" find k class=private,label=ec \
        ${1:+fails "$1"} sign "$D/sig" ecdsa-sha256 k "$D/pin" sign "$D/sig" ecdsa-sha256 k "$D/pin"
}
once() { do_cut || do_cut CKR_DEVICE_REMOVED || do_cut CKR_DEVICE_ERROR; }
check "after it the same process signs" once

# --- a resource manager ---------------------------------------------------------------

bus=unix:path=$D/bus name=com.intel.tss2.Fusetsu$$
manager=tabrmd:bus_name=$name,bus_type=session
managed() { DBUS_SESSION_BUS_ADDRESS=$bus FUSETSU_TCTI=$manager "$@"; }
answers() { managed tpm2_getrandom -Q -T "$manager" -o /dev/null 4 2>/dev/null; }
manage() {
    local root=()
    [ "$(id -u)" -ne 0 ] || root=(--allow-root)
    DBUS_SESSION_BUS_ADDRESS=$bus tpm2-abrmd --session "${root[@]}" --dbus-name="$name" --tcti="$TPM_TCTI_1" \
        >>"$D/abrmd.log" 2>&1 </dev/null &
    MANAGER=$!
    STORY_PIDS+=("$MANAGER")
    poll 10 answers || { cat "$D/abrmd.log" && return 1; }
}
why=
for program in dbus-daemon tpm2-abrmd; do
    command -v "$program" >/dev/null || why="$program is missing (Debian: dbus tpm2-abrmd libtss2-tcti-tabrmd0)"
done
if [ -z "$why" ]; then
    background dbus-daemon --session --address="$bus" --nofork --nopidfile --nosyslog >"$D/bus.log" 2>&1 </dev/null
    poll 10 test -S "$D/bus" || why="no private D-Bus: $(tail -n 1 "$D/bus.log")"
fi
[ -n "$why" ] || manage >"$D/out" 2>&1 || why="tpm2-abrmd does not start: $(tail -n 1 "$D/abrmd.log")"
if [ -z "$why" ]; then
    restart() {
        end "$MANAGER"
        wait "$MANAGER" 2>/dev/null
        manage
    }
    killed() {
        kill -KILL "$MANAGER" && poll 5 gone "$MANAGER" || return 1
        wait "$MANAGER" 2>/dev/null
        # Whoever is killed leaves what he held in the TPM.
        tidy 1 && manage
    }
    check "behind tpm2-abrmd: a process has logged in and signed" managed paused pause check 3 find rsa check 2 logout fin
    check "tpm2-abrmd is restarted" restart
    check "the process goes on, without an error" go_on
    check "again" managed paused pause check 3 find rsa check 2 logout fin
    check "tpm2-abrmd is killed and started" killed
    check "the process goes on, without an error" go_on
    # Not a process and its fork: the GLib that this TCTI talks through does not survive a fork.
    two() {
        local pid rc=0
        managed app init open alpha login "$D/pin" find rsa check 50 fin & pid=$!
        STORY_PIDS+=("$pid")
        managed app init open alpha login "$D/pin" find ec check 50 fin || rc=1
        wait "$pid" && return "$rc"
    }
    check "two at once behind it" two

    # What the resource manager saves gets old: TPM_RC_CONTEXT_GAP (0x901) for everybody, once the
    # oldest session is 2^16 - 1 saves behind. So who does nothing keeps none.
    LIMIT=$((gap / 50 + 60))
    burn() { "$B/ctxburn" "$TPM_TCTI_1" 66000; }
    check "a process is stopped, logged in" managed paused pause check 3 find rsa check 2 logout fin
    check "another one makes $gap signatures" managed app init open alpha login "$D/pin" find ec sign "$gap" verify fin
    expect_fail "and after many more the session of the first is in the way" 'ContextSave: 0x901' burn
    check "others go on" managed app init open alpha login "$D/pin" find ec check 2 fin
    check "the first one goes on, without an error" go_on

    for init in init init-alone; do
        rested() { grep -qE '^[0-9]+ [0-9]+ FlushContext rc=0x0 .* C=80010000000e0000016502' "$D/idle.log"; }
        begins() { # a process that signs, then does nothing; its threads are its own affair, or forbidden
            rm -f "$D/go" "$D/idle.log"
            DBUS_SESSION_BUS_ADDRESS=$bus FUSETSU_TCTI=$B/libtss2-tcti-spy.so:$manager SPY_LOG=$D/idle.log SPY_BYTES=1 \
                "${FOREIGN[@]}" "$B/signloop" "$MODULE" "$init" open alpha login "$D/pin" find ec check 2 \
                idle "$D/go" check 3 find rsa check 2 logout fin >"$D/p.out" 2>&1 </dev/null &
            P=$!
            STORY_PIDS+=("$P")
            poll 30 rested || { cat "$D/p.out" && return 1; }
        }
        goes_on() {
            local rc=0
            : >"$D/go"
            poll "$LIMIT" gone "$P" || { echo "it hangs" && return 1; }
            wait "$P" || rc=$?
            cat "$D/p.out"
            return "$rc"
        }
        check "$init: a process that does nothing keeps no session" begins
        check "so many more are in nobody's way" burn
        check "others go on" managed app init open alpha login "$D/pin" find ec check 2 fin
        check "so does the process" goes_on
    done
    LIMIT=60
    end "$MANAGER"
    wait "$MANAGER" 2>/dev/null
    tidy 1
else
    skip "behind tpm2-abrmd" "$why"
    check "a process sits idle, logged in" paused pause check 3 find rsa check 2 logout fin
    check "another one makes $gap signatures" app init open alpha login "$D/pin" find ec sign "$gap" verify fin
    check "the idle one goes on, without an error" go_on
fi

# --- wrong PINs -------------------------------------------------------------------------

check "token bravo locks after three wrong PINs" "$FUSETSU" token init --label bravo \
    --pin-file "$D/pin" --so-pin-file "$D/so" --user-tries 3 --recovery-file "$D/recovery"
login_to() { p11 --token-label "$1" --login --pin "$2" -O; }
counter() { tpm2_getcap -T "$FUSETSU_TCTI" properties-variable | sed -n 's/^TPM2_PT_LOCKOUT_COUNTER: //p'; }
# A reset counts as a failed try of the TPM, once something was used that this protects: what is
# compared is the count before and after.
before=$(counter)
for n in 1 2; do
    expect_fail "wrong PIN number $n" 'CKR_PIN_INCORRECT' login_to bravo wrong-pin
done
check "the TPM is rebooted" reboot 1
expect_fail "and counts on: the third is the last" 'CKR_PIN_(INCORRECT|LOCKED)' login_to bravo wrong-pin
expect_fail "the right PIN is refused now, as locked" 'CKR_PIN_LOCKED' login_to bravo "$PIN"
check "the TPM is reset" reset 1
expect_fail "it is still locked" 'CKR_PIN_LOCKED' login_to bravo "$PIN"
check_out "the token says so" 'user PIN locked' p11 -L
check "the other token is not" app init open alpha login "$D/pin" find ec check 2 fin
check_out "and the TPM itself has counted none of them" "^$before\$" counter
check "the SO unlocks it" "$FUSETSU" token unblock --token bravo --so-pin-file "$D/so" --new-pin-file "$D/pin"
check "with its key" login_to bravo "$PIN"

# --- another TPM, a cleared TPM ---------------------------------------------------------------

other() { FUSETSU_TCTI=$TPM_TCTI_2 "$@"; }
gen() { "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$D/pin"; }
expect_exit 5 "the store of another TPM" "^fusetsu: .*$FUSETSU_STORE.*another TPM" other gen
expect_fail "the module beside another TPM" 'CKR_(DEVICE_REMOVED|DEVICE_ERROR|TOKEN_NOT_RECOGNIZED)' \
    other login_to alpha "$PIN"
check "a process has logged in and signed" paused pause check 1
check "somebody clears the TPM" tpm2_clear -T "$TPM_TCTI_1" -c p
expect_fail "signing fails in order" 'C_(Sign|SignInit|Login): 0x[0-9a-f]+$' go_on
gone_words='cleared|another TPM'
expect_exit 5 "our program says what happened" "^fusetsu: .*$FUSETSU_STORE.*($gone_words)" gen
expect_fail "the module does not take the PIN for wrong" 'CKR_(DEVICE_REMOVED|DEVICE_ERROR|TOKEN_NOT_RECOGNIZED)' \
    login_to alpha "$PIN"
check_out "what is public can still be read" 'ec' p11 --token-label alpha -O
"$FUSETSU" doctor >"$D/out" 2>&1
grep -qE "$gone_words" "$D/out" && ok "the doctor says so" || not_ok "the doctor says so" "it does not"
FUSETSU_STORE=$D/2nd/store.db
check "a token in a new store" new_token charlie
check "works in the cleared TPM" new_key EC:prime256v1 ec 01
finish
