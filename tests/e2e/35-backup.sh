#!/bin/bash
# Goal: when the disk of the store dies and the TPM lives, a backup brings the keys back; and it brings
# nothing else: no other TPM, no altered row, no old PIN, no half of a token, whatever cuts it short.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

f() { "$FUSETSU" "$@"; }
backup() { f token backup --pin-file "$D/pin" --out "$@"; }
restore() { f token restore --pin-file "$D/pin" "$@"; }
key() { f key generate --type p256 --pin-file "$D/pin" --label "$1" --id "$2"; }
sign() { p11_user --sign --mechanism "$2" --id "$1" --input-file "$D/fusetsu.conf" --output-file "$D/sig"; }
has() { f key list | grep -q "^$1 "; }
has_not() { ! has "$1"; }
lose() { rm -f "$FUSETSU_STORE" "$FUSETSU_STORE-journal"; }
fails() { sqlite3 "$FUSETSU_STORE" 'SELECT user_fails FROM token'; }

check "a token" f token init --label gw --pin-file "$D/pin" --so-pin-file "$D/so" --recovery-file "$D/recovery"
check "a key" key one 01
check "an RSA key" p11_user --keypairgen --key-type rsa:2048 --label rsa --id 02
check "a data object that is private" p11_user --write-object "$D/recovery" --type data --private --label secret
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$D/k" -out "$D/c.pem" -subj /CN=c -days 1 2>"$D/out"
check "a certificate" f cert import --label mine --pin-file "$D/pin" "$D/c.pem"

# --- making one -------------------------------------------------------------------

check_out "a backup says what it is and is not" 'of use with this TPM only' backup "$D/gw.backup"
cp "$D/out" "$D/said"
check_out "and how much" '2 keys and 6 objects' cat "$D/said"
check "for its owner's eyes" test "$(stat -c %a "$D/gw.backup")" = 600
check "in it is nothing that the store keeps closed" sh -c '! grep -aqF "$(cat "$2")" "$1"' - "$D/gw.backup" "$D/recovery"
check "nor a PIN" sh -c '! grep -aq -e "$2" -e "$3" "$1"' - "$D/gw.backup" "$PIN" "$SO"
check "to standard output" sh -c '"$1" token backup --pin-file "$2" --out - | head -c 8 | grep -q FuSeTokB' - "$FUSETSU" "$D/pin"
check "an older backup is replaced" backup "$D/gw.backup"
expect_exit 5 "another file is not" 'is no backup; choose another name' backup "$D/recovery"
expect_exit 5 "not even the store itself" 'is no backup' backup "$FUSETSU_STORE"
expect_exit 3 "a wrong PIN makes none" '9 of 10' f token backup --pin-file "$D/bad" --out "$D/none"
check "no file is left" test ! -e "$D/none"
expect_exit 2 "it wants a name" 'out' f token backup --pin-file "$D/pin"
cp "$FUSETSU_STORE" "$D/good.db"
sqlite3 "$FUSETSU_STORE" "UPDATE key SET private = zeroblob(length(private)) WHERE id = 1"
expect_exit 5 "a store with an altered row is not backed up" 'key [0-9a-f]{32} .*was altered' backup "$D/none"
check "no file is left" test ! -e "$D/none"
cp "$D/good.db" "$FUSETSU_STORE"

# --- bringing it back ----------------------------------------------------------------

expect_exit 5 "a token that is there is not replaced" 'is in the store.*--replace' restore "$D/gw.backup"
lose
check_out "the store is lost; the backup brings it back" '2 keys and 6 objects, all verified' restore "$D/gw.backup"
check "the key signs" sign 01 ECDSA-SHA256
check "so does the other" sign 02 SHA256-RSA-PKCS
check "the private object is whole" sh -c '"$@" >/dev/null' - "${FOREIGN[@]}" pkcs11-tool --module "$MODULE" --login \
    --pin "$PIN" --read-object --type data --label secret --output-file "$D/secret"
check "as it was" cmp "$D/secret" "$D/recovery"
check "so is the certificate" sh -c '"$1" cert export --label mine | openssl x509 | cmp - "$2"' - "$FUSETSU" "$D/c.pem"
check "nobody else reads the store" test "$(stat -c %a "$FUSETSU_STORE")" = 600
check "the doctor agrees" f doctor
head -c 20000 /dev/urandom >"$FUSETSU_STORE"
expect_exit 5 "onto a damaged store it does not go" 'not a database.*move it away' restore "$D/gw.backup"
lose
expect_exit 3 "a wrong PIN restores nothing" 'wrong user PIN' f token restore --pin-file "$D/bad" "$D/gw.backup"
expect_exit 5 "no token is there then" 'holds no token' f token info
check "from standard input" sh -c '"$1" token restore --pin-file "$2" - <"$3"' - "$FUSETSU" "$D/pin" "$D/gw.backup"
check "beside other tokens of this TPM" f token init --label other --pin-file "$D/pin" --so-pin-file "$D/so"
cp "$FUSETSU_STORE" "$D/two.db"
sqlite3 "$FUSETSU_STORE" "PRAGMA foreign_keys = ON; DELETE FROM object; DELETE FROM key;
    DELETE FROM token WHERE label = 'gw'"
check "a lost one comes back to the one that stayed" restore "$D/gw.backup"
check "one TPM, two tokens" test "$(sqlite3 "$FUSETSU_STORE" 'SELECT (SELECT count(*) FROM tpm) ||
    (SELECT count(*) FROM token)')" = 12
check "the other is erased" f token erase --token other --yes

# --- over what is there ---------------------------------------------------------------------

check "a key is made after the backup" key two 03
check "one is deleted" f key delete --label one --yes --pin-file "$D/pin"
check_out "replacing says what would be lost" 'in the backup: +2 keys, 6 objects' f token restore --replace "$D/gw.backup"
cp "$D/out" "$D/said"
check_out "and that nothing was done" 'Add --yes' cat "$D/said"
check "nothing was" has two
expect_exit 2 "--yes alone is misuse" 'belongs to --replace' restore --yes "$D/gw.backup"
expect_exit 3 "replacing with a wrong PIN" 'is wrong; 9 of 10' \
    f token restore --replace --yes --pin-file "$D/bad" "$D/gw.backup"
check "is counted in the store, too" test "$(fails)" = 1
check "and changes nothing else" has two
check_out "replacing" 'Keys that were deleted after the backup are there again' restore --replace --yes "$D/gw.backup"
check "the deleted key is there again" has one
check "it signs" sign 01 ECDSA-SHA256
check "the newer is gone" has_not two
check "the count is cleared" test "$(fails)" = 0

# --- PINs live in the TPM ----------------------------------------------------------------------

printf new-pin-99 >"$D/new"
check "the PIN is changed after the backup" f token set-pin --pin-file "$D/pin" --new-pin-file "$D/new"
lose
expect_exit 3 "an old PIN does not come back" 'wrong user PIN' restore "$D/gw.backup"
check "the new one opens the old backup" f token restore --pin-file "$D/new" "$D/gw.backup"
check "and is changed back" f token set-pin --pin-file "$D/new" --new-pin-file "$D/pin"
check "the SO PIN still is the SO's" f token unblock --so-pin-file "$D/so" --new-pin-file "$D/pin"

# --- damage and forgery ---------------------------------------------------------------------------

size=$(stat -c %s "$D/gw.backup")
flip() { # flip OFFSET FILE
    local byte
    byte=$(od -An -tu1 -j "$1" -N 1 "$2")
    # shellcheck disable=SC2059
    printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$2" bs=1 seek="$1" conv=notrunc status=none
}
lose
for at in 11 60 500 $((size / 2)) $((size - 70)) $((size - 40)); do
    cp "$D/gw.backup" "$D/bad.backup" && flip "$at" "$D/bad.backup"
    expect_exit 5 "byte $at changed" "the backup $D/bad.backup is damaged" restore "$D/bad.backup"
done
cp "$D/gw.backup" "$D/bad.backup" && flip $((size - 1)) "$D/bad.backup"
expect_exit 5 "a byte of the tag changed" "the backup $D/bad.backup was altered" restore "$D/bad.backup"
for n in 0 7 9 100 $((size - 1)); do
    head -c "$n" "$D/gw.backup" >"$D/bad.backup"
    expect_exit 5 "only $n bytes of it" "$D/bad.backup is (damaged|no backup)" restore "$D/bad.backup"
done
expect_exit 5 "another file" "$D/c.pem is no backup" restore "$D/c.pem"
cp "$D/gw.backup" "$D/bad.backup" && flip 9 "$D/bad.backup" && flip 8 "$D/bad.backup"
expect_exit 5 "a newer version" 'has version 256.*newer fusetsu' restore "$D/bad.backup"
# Whoever knows the format can make the checksum fit; not the tags.
forge() { # forge OFFSET
    head -c $((size - 64)) "$D/gw.backup" >"$D/body" && flip "$1" "$D/body"
    { cat "$D/body" && openssl dgst -sha256 -binary "$D/body" && tail -c 32 "$D/gw.backup"; } >"$D/bad.backup"
}
offset() { LC_ALL=C grep -aboF "$1" "$D/gw.backup" | head -n 1 | cut -d: -f1; }
blob=$(sqlite3 "$D/good.db" "SELECT hex(substr(private, 40, 16)) FROM key WHERE id = 1" | sed 's/../\\x&/g')
at=$(LC_ALL=C grep -aboP "$blob" "$D/gw.backup" | head -n 1 | cut -d: -f1)
forge "$at"
expect_exit 5 "a forged key is named" 'key [0-9a-f]{32} .*was altered' restore "$D/bad.backup"
forge "$(offset mine)"
expect_exit 5 "a forged label of a certificate" 'object [0-9]+ .*was altered' restore "$D/bad.backup"
serial=$(sqlite3 "$D/good.db" 'SELECT serial FROM token')
forge $(($(offset "$serial") + 18))
expect_exit 5 "a forged label of the token" "the backup $D/bad.backup was altered" restore "$D/bad.backup"
expect_exit 5 "no token came of all that" 'holds no token|no token store' f token info

# --- other TPMs -------------------------------------------------------------------------------------

expect_exit 5 "another TPM" 'backup of token gw .*in another TPM' at 2 "$FUSETSU" token restore \
    --pin-file "$D/pin" "$D/gw.backup"
check "no store came of it" test ! -e "$D/2/store.db"
check "another TPM with tokens of its own" at 2 "$FUSETSU" token init --label two --pin-file "$D/pin" --so-pin-file "$D/so"
expect_exit 5 "refuses it as well" 'in another TPM' at 2 "$FUSETSU" token restore --pin-file "$D/pin" "$D/gw.backup"
expect_exit 4 "no TPM" 'FUSETSU_TCTI' env FUSETSU_TCTI="swtpm:path=$D/none" "$FUSETSU" token restore \
    --pin-file "$D/pin" "$D/gw.backup"

# --- cut short ------------------------------------------------------------------------------------------

check "the token is there again" restore "$D/gw.backup"
cp "$FUSETSU_STORE" "$D/full.db"
cp "$D/gw.backup" "$D/old.backup"
check "another key, so that old and new differ" key three 04
cp "$FUSETSU_STORE" "$D/newer.db"
if unshare -m mount -t tmpfs none "$D/2" 2>/dev/null; then
    # shellcheck disable=SC2016
    on_full() { # on_full FILE COMMAND...: beside a copy of FILE on a disk without room
        unshare -m sh -c 'mount -t tmpfs -o size=64k,mode=700 none "$0" && { [ ! -e "$1" ] || cp "$1" "$0/x"; } &&
            { cat /dev/zero >"$0/fill" 2>/dev/null; shift; "$@"; rc=$?; ls -A "$0"; exit $rc; }' "$D/2" "$@"
    }
    expect_exit 5 "a full disk: no backup" 'room' on_full /none "$FUSETSU" token backup --pin-file "$D/pin" --out "$D/2/x"
    check "and no part of one" sh -c '! grep -v -e "^fill$" -e "^fusetsu:" "$1"' - "$D/out"
    expect_exit 5 "a full disk: no restoration" 'room' on_full /none env FUSETSU_STORE="$D/2/store.db" \
        "$FUSETSU" token restore --pin-file "$D/pin" "$D/gw.backup"
else
    skip "a full disk" "no mounts of one's own here"
fi

# killed SYSCALLS N COMMAND...: killed before the N-th of those calls; false when there were fewer
killed() {
    local calls=$1 n=$2 rc=0
    shift 2
    (env ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" strace -f -qq -o /dev/null -e "trace=$calls" \
        -e "inject=$calls:signal=KILL:when=$n" "$@" >"$D/killed.out" 2>&1 </dev/null || exit "$?") 2>/dev/null || rc=$?
    [ "$rc" -eq 137 ]
}
whole_backup() { # of one of two moments, as a restoration shows
    local rc=0
    env FUSETSU_STORE="$D/probe/store.db" "$FUSETSU" token restore --pin-file "$D/pin" "$1" >"$D/probe.out" 2>&1 &&
        grep -qE '(2 keys and 6|3 keys and 8) objects, all verified' "$D/probe.out" || rc=1
    rm -rf "$D/probe"
    [ "$rc" -eq 0 ] || cat "$D/probe.out"
    return "$rc"
}
old_or_new() { # the store: of either moment, and in use
    local n
    n=$(f key list --json | jq length) && { [ "$n" -eq 2 ] || [ "$n" -eq 3 ]; } &&
        sqlite3 "$FUSETSU_STORE" 'PRAGMA quick_check' | grep -qx ok && sign 01 ECDSA-SHA256
}
if strace -qq -o /dev/null true 2>/dev/null; then
    all=write,fsync,renameat,fchmod
    n=0 bad=0
    while cp "$D/old.backup" "$D/cut.backup" && killed "$all" $((n + 1)) \
        "$FUSETSU" token backup --pin-file "$D/pin" --out "$D/cut.backup"; do
        n=$((n + 1))
        whole_backup "$D/cut.backup" || { bad=$((bad + 1)); echo "after call $n"; }
        [ "$n" -lt 60 ] || break
    done >"$D/cut.log"
    cp "$D/cut.log" "$D/out"
    check "a backup that is killed at each of $n calls leaves the old or the new one" test "$n" -gt 3 -a "$bad" -eq 0
    all=pwrite64,fdatasync,fsync,unlink,ftruncate
    n=0 bad=0
    while cp "$D/newer.db" "$FUSETSU_STORE" && rm -f "$FUSETSU_STORE-journal" && killed "$all" $((n + 1)) \
        "$FUSETSU" token restore --replace --yes --pin-file "$D/pin" "$D/gw.backup"; do
        n=$((n + 1))
        old_or_new || { bad=$((bad + 1)); echo "after call $n"; }
        [ "$n" -lt 150 ] || break
    done >"$D/cut.log" 2>&1
    cp "$D/cut.log" "$D/out"
    check "a restoration that is killed at each of $n calls leaves the old or the new token" test "$n" -gt 5 -a "$bad" -eq 0
else
    skip "killed at every call" "strace cannot trace here"
fi
cp "$D/newer.db" "$FUSETSU_STORE" && rm -f "$FUSETSU_STORE-journal"
for delay in 0.01 0.03 0.05 0.08 0.12 0.2; do
    "$FUSETSU" token restore --replace --yes --pin-file "$D/pin" "$D/gw.backup" >"$D/out" 2>&1 &
    pid=$!
    sleep "$delay"
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    check "killed after $delay s the token is whole" old_or_new
done

# --- the end of the token -----------------------------------------------------------------------------------

check "the token is erased" f token erase --yes
expect_exit 5 "a backup does not bring back an erased token" 'was erased.*of no use' restore "$D/gw.backup"
finish
