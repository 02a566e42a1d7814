#!/bin/bash
# Goal: whatever two processes do with the PINs of one token at once, and wherever one of them is cut
# short, what the store says stays true, nothing is orphaned, and nobody else's tries are used up by it.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

f() { "$FUSETSU" "$@"; }
row() { sqlite3 -readonly "$FUSETSU_STORE" "SELECT $1 FROM token"; }
is() { [ "$(row "$1")" = "$2" ] || { echo "$1 is $(row "$1"), not $2" && return 1; }; }
printf new-pin-99 >"$D/new" && chmod 600 "$D/new"
set_pin() { f token set-pin --pin-file "$D/pin" --new-pin-file "$D/new"; }
unblock() { f token unblock --so-pin-file "$D/so" --new-pin-file "$D/pin"; }
login() { f key delete --label none --pin-file "$D/pin"; }
indices() { tpm2_getcap handles-nv-index | grep -c 0x1800; }

# --- two at once ----------------------------------------------------------------------

# Under another name for the same TPM a process takes no turns with the others, as behind a resource
# manager. It stops at its first command, when it has read the store.
halted() { # halted COMMAND...
    background env "SPY_STOP=1" "FUSETSU_TCTI=$B/libtss2-tcti-spy.so:${FUSETSU_TCTI/path=\//path=/.//}" "$FUSETSU" \
        "$@" >"$D/halted" 2>&1
    poll 20 stopped "$LAST"
}
go_on() { # its exit code, and what it said
    local rc=0
    kill -CONT "$LAST" && wait "$LAST" || rc=$?
    cat "$D/halted"
    return "$rc"
}

check "a token" f token init --label gw --so-pin-file "$D/so" --pin-file "$D/pin"
was=$(row serial)
check "a change of the PIN is under way" halted token set-pin --pin-file "$D/pin" --new-pin-file "$D/new"
check "meanwhile the token is made anew" p11 --slot-index 0 --init-token --label gw --so-pin "$SO"
expect_exit 5 "the change says so" "$was.*made anew" go_on
check "the token is the new one" test "$(row serial)" != "$was"
check "it has no mark of the change" is 'flags & 4' 0
check "four indices are in the TPM" test "$(indices)" = 4
check "the SO sets a PIN" unblock
expect_exit 5 "which is right" 'no .*none' login

check "a login is under way" halted key delete --label none --pin-file "$D/pin"
check "meanwhile the token is made anew" p11 --slot-index 0 --init-token --label gw --so-pin "$SO"
expect_exit 5 "the login says so" 'made anew' go_on
check "no try was used up" is user_fails+so_fails 0

check "somebody is about to give a wrong SO PIN" halted token unblock --so-pin-file "$D/bad" --new-pin-file "$D/pin"
check "meanwhile the SO sets the user PIN" unblock
expect_exit 3 "the wrong one is refused" 'SO PIN is wrong; 9 of 10' go_on
check "and noted" is so_fails 1
check "the user PIN still is set" is 'flags & 1' 1
expect_exit 5 "and right" 'no .*none' login

# --- a change that is cut short -----------------------------------------------------------

# Lock 2 counts for all users of the TPM: a service that goes on trying the old PIN must not reach it.
failures() { echo $((16#$(tpm2_getcap properties-variable | sed -n 's/.*TPM2_PT_LOCKOUT_COUNTER: *0x//p'))); }
cut_short() { # cut_short LOGIN OPTION...: set-pin is killed when S (R) has the new PIN, and U (O) still the old one
    local n code login=$1
    shift
    for n in 1 2; do # the first of them may have been answered with TPM_RC_RETRY
        code=0
        env FUSETSU_TCTI="$B/libtss2-tcti-spy.so:$FUSETSU_TCTI" SPY_KILL_AFTER="$n" SPY_KILL_AFTER_CC=NV_ChangeAuth \
            "$FUSETSU" token set-pin "$@" --new-pin-file "$D/new" || code=$?
        tidy 1
        [ "$code" -eq 137 ] || { echo "not killed: $code" && return 1; }
        ! "$login" >"$D/tried" 2>&1 && grep -q 'was interrupted' "$D/tried" && return 0
    done
    return 1
}
tried() { # tried TIMES PATTERN COMMAND...: each time the same answer
    local i times=$1 pattern=$2
    shift 2
    for ((i = 0; i < times; i++)); do
        ! "$@" >"$D/tried" 2>&1 && grep -qE "$pattern" "$D/tried" || { cat "$D/tried" && return 1; }
    done
}
check "a change of the user PIN is cut short" cut_short login --pin-file "$D/pin"
check "it cost one try, of the TPM's" test "$(failures)" -le 1
before=$(failures)
check "a service tries the old PIN forty times" tried 40 'was interrupted' login
check "which costs none of the TPM's" test "$(failures)" = "$before"
check "nor of the token's" is user_fails 0
expect_exit 3 "a wrong PIN is one, as ever" '9 of 10' f key delete --label none --pin-file "$D/bad"
check_out "PKCS#11 says what to do" 'PIN_EXPIRED|0xa3' sh -c '! "$@" 2>&1' - "${FOREIGN[@]}" pkcs11-tool --module "$MODULE" \
    --login --pin "$PIN" -O
check "the change is completed by the same two PINs" set_pin
check "the new PIN is right" f token set-pin --pin-file "$D/new" --new-pin-file "$D/pin"
expect_exit 5 "and the old one again" 'no .*none' login
check "cut short again" cut_short login --pin-file "$D/pin"
check "the SO ends it, too" unblock
expect_exit 5 "the PIN is the SO's" 'no .*none' login
check "a change of the SO PIN is cut short" cut_short unblock --so --so-pin-file "$D/so"
before=$(failures)
check "the SO tries the old PIN forty times" tried 40 'was interrupted' unblock
check "which costs none of the TPM's" test "$(failures)" -eq "$before"
check "the same two PINs complete it" f token set-pin --so --so-pin-file "$D/so" --new-pin-file "$D/new"
check "and it is changed back" f token set-pin --so --so-pin-file "$D/new" --new-pin-file "$D/so"
check "the SO PIN is right" unblock

# --- a row that was altered -------------------------------------------------------------------

check "a backup" f token backup --pin-file "$D/pin" --out "$D/backup"
before=$(failures)
check "somebody alters the Name of S" sqlite3 "$FUSETSU_STORE" \
    "UPDATE nv SET name = CAST(substr(name, 1, 33) || x'00' AS BLOB) WHERE role = 2"
check "the right PIN is tried forty times" tried 40 'altered' login
check "which costs none of the TPM's tries" test "$(failures)" -eq "$before"
check_out "the doctor sees it" 'PROBLEM' sh -c '"$1" doctor || :' - "$FUSETSU"
check "the backup mends it" f token restore --replace --yes --pin-file "$D/pin" "$D/backup"
expect_exit 5 "the PIN is right" 'no .*none' login
check "no mark is left" is 'flags & 1548' 0
finish
