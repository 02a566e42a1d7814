#!/bin/bash
# Goal: whatever keeps tokens from working, `fusetsu doctor` finds it, names the thing, says what to
# do, and ends with the exit code that a command which meets it has; and it leaves all as it was.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
export XDG_CONFIG_HOME=$D/config

doctor() { "$FUSETSU" doctor --json; }
# found CODE CHECK SEVERITY PATTERN [COMMAND...]: that finding is among those of doctor, run by COMMAND
found() {
    local code=$1 check=$2 severity=$3 pattern=$4 what rc=0
    shift 4
    what="$check, $severity: $pattern"
    timeout -k 5 "$LIMIT" "$@" "$FUSETSU" doctor --json >"$D/out" 2>"$D/err" </dev/null || rc=$?
    if [ "$rc" -ne "$code" ]; then
        cat "$D/err" >>"$D/out"
        not_ok "$what" "exit code $rc, not $code"
    elif ! jq -e --arg c "$check" --arg s "$severity" --arg p "$pattern" \
        'any(.[]; .check == $c and .severity == $s and ((.text + " -> " + (.todo // "")) | test($p)))' \
        "$D/out" >"$D/jq" 2>&1; then
        not_ok "$what" "not found"
    elif [ "$severity" != ok ] && ! jq -e --arg c "$check" --arg s "$severity" \
        'all(.[]; .check != $c or .severity != $s or (.todo | length > 5))' "$D/out" >"$D/jq"; then
        not_ok "$what" "it does not say what to do"
    else
        ok "$what"
    fi
}
init() { "$FUSETSU" token init --pin-file "$D/pin" --so-pin-file "$D/so" "$@"; }
sql() { sqlite3 "$FUSETSU_STORE" "$1"; }
restore() { cp "$D/good.db" "$FUSETSU_STORE" && chmod 600 "$FUSETSU_STORE"; }
tries() { tpm2_getcap properties-variable | sed -n 's/TPM2_PT_LOCKOUT_COUNTER: //p'; }
state() { tpm2_getcap properties-variable; tpm2_getcap handles-nv-index; tpm2_getcap handles-persistent; }

# --- nothing yet, then all is well ---------------------------------------------

found 5 store problem "no token store at $FUSETSU_STORE.*make a token first" env
found 5 lockout-strength note 'empty.*token init' env
check "a token" init --label gw --recovery-file "$D/recovery" --user-tries 3
check "a second one" init --label other
code=$(cat "$D/recovery")
found 0 store ok "$FUSETSU_STORE, with 2 tokens" env
found 0 tpm ok "$FUSETSU_TCTI" env
found 0 token-in-tpm ok 'gw.*four indices' env
found 0 module note 'not registered' env
cp "$FUSETSU_STORE" "$D/good.db"
sum=$(sha256sum <"$FUSETSU_STORE")
state >"$D/before"
check "JSON: four members each, and nothing but the four severities" sh -c \
    '"$1" doctor --json | jq -e "length > 15 and all(.[]; (keys == [\"check\", \"severity\", \"text\", \"todo\"])
        and (.severity | IN(\"ok\", \"note\", \"warning\", \"problem\")) and (.text | length > 0)
        and ((.todo == null) == (.severity == \"ok\")))"' - "$FUSETSU"
check_out "for people: a line each, with what to do" '^ok +store +/.*' "$FUSETSU" doctor
check "no line is longer than a terminal's" sh -c '! "$1" doctor | grep -E "^.{90}"' - "$FUSETSU"
check_out "one token alone" 'token gw is complete' "$FUSETSU" doctor --token gw
check "and no word of the other" sh -c '! "$1" doctor --token gw | grep -q "token other"' - "$FUSETSU"
expect_exit 5 "a token that is not there" 'no token "nobody"' "$FUSETSU" doctor --token nobody
check "it writes nothing to the store" test "$sum" = "$(sha256sum <"$FUSETSU_STORE")"
state >"$D/after"
check "and changes nothing in the TPM" cmp "$D/before" "$D/after"
sed -n 's/^\.It Cm //p' man/fusetsu.conf.5 | sed 's/$/ =/' >"$D/all.conf"
check "every setting of the manual is known to it" sh -c \
    '! FUSETSU_CONF="$2" "$1" doctor | grep "no setting"' - "$FUSETSU" "$D/all.conf"

# --- the settings ------------------------------------------------------------------

printf 'store = x\n[unclosed\n' >"$D/bad.conf"
found 5 settings problem "$D/bad.conf does not parse at line 2" env FUSETSU_CONF="$D/bad.conf"
found 5 settings problem "$D/absent" env FUSETSU_CONF="$D/absent"
printf 'stoer = x\n' >"$D/bad.conf"
found 1 settings warning '"stoer".*write store' env FUSETSU_CONF="$D/bad.conf"
: >"$D/bad.conf" && chmod 622 "$D/bad.conf"
found 5 settings problem 'by everybody.*chmod o-w' env FUSETSU_CONF="$D/bad.conf"
chmod 620 "$D/bad.conf"
found 1 settings warning 'by its group.*chmod g-w' env FUSETSU_CONF="$D/bad.conf"

# --- the store ------------------------------------------------------------------------

head -c 20000 /dev/urandom >"$FUSETSU_STORE"
found 5 store problem "$FUSETSU_STORE.*not a database.*backup" env
restore && sql 'PRAGMA user_version = 9999'
found 5 store problem 'version 9999.*newer fusetsu' env
restore && sql 'PRAGMA user_version = 0'
found 5 store problem 'no version.*damaged.*backup' env
restore
page=$(sql "SELECT rootpage FROM sqlite_master WHERE name = 'attr'")
dd if=/dev/urandom of="$FUSETSU_STORE" bs="$(sql 'PRAGMA page_size')" seek=$((page - 1)) count=1 \
    conv=notrunc status=none
found 5 store-integrity problem "$FUSETSU_STORE is damaged.*restore it from a backup" env
restore && sql "DELETE FROM tpm"
found 5 store-integrity problem 'row of table token belongs to nothing' env
restore && touch -d '+3 days' "$FUSETSU_STORE"
found 1 clock warning 'the store was written later.*set the clock' env
restore && chmod 644 "$FUSETSU_STORE"
found 1 store-access warning 'read by others.*chmod 600' env
chmod 666 "$FUSETSU_STORE"
found 5 store-access problem 'written by others.*see who' env
restore && chmod 777 "$D/1"
found 5 store-access problem "everybody can write to $D/1" env
chmod 700 "$D/1"

plain=(env)
[ "$(id -u)" -ne 0 ] || plain=(setpriv '--bounding-set=-dac_override,-dac_read_search')
if "${plain[@]}" true 2>/dev/null; then
    chmod 500 "$D/1"
    found 1 store-access warning 'may not write.*chmod 700' "${plain[@]}"
    chmod 700 "$D/1" && chmod 000 "$FUSETSU_STORE"
    found 5 store problem "$FUSETSU_STORE.*(owner|mode)" "${plain[@]}"
    restore
    : >"$D/tpmdev" && chmod 060 "$D/tpmdev"
    found 4 tpm problem "may not open $D/tpmdev: it is for group $(id -gn) .mode 060" \
        "${plain[@]}" env FUSETSU_TCTI="device:$D/tpmdev"
else
    skip "no permission" "setpriv cannot drop capabilities here"
fi
if [ "$(id -u)" -eq 0 ] && chown 12345 "$FUSETSU_STORE" 2>/dev/null; then
    found 1 store-access warning 'belongs to user 12345' env
    chown "$(id -u)" "$FUSETSU_STORE"
else
    skip "a store of somebody else" "only root can give it away"
fi
if unshare -m mount -t tmpfs none "$D/config" 2>/dev/null || { mkdir -p "$D/config" &&
    unshare -m mount -t tmpfs none "$D/config"; } 2>/dev/null; then
    # shellcheck disable=SC2016
    found 1 store-access warning 'read-only.*dmesg' unshare -m sh -c \
        'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"' "$D/1"
    # shellcheck disable=SC2016
    found 1 store-room warning 'full but for' unshare -m sh -c \
        'mount -t tmpfs -o size=200k,mode=700 none "$0" && cp "$1" "$0/store.db" && chmod 600 "$0/store.db" &&
            shift && exec "$@"' "$D/1" "$D/good.db"
else
    skip "a read-only and a full disk" "no mounts of one's own here"
fi

# --- reaching the TPM --------------------------------------------------------------------

found 4 tpm problem "there is no $D/none.*start the TPM" env FUSETSU_TCTI="swtpm:path=$D/none"
found 4 tpm problem 'there is no /dev/tpmrm77' env FUSETSU_TCTI=device:/dev/tpmrm77
found 4 tpm problem 'no-such-tcti.*FUSETSU_TCTI' env FUSETSU_TCTI=no-such-tcti:x
mkdir "$D/dead"
swtpm socket --tpm2 --tpmstate dir="$D/dead" --server type=unixio,path="$D/dead.sock" \
    --ctrl type=unixio,path="$D/dead.ctrl" --flags not-need-init >"$D/out" 2>&1 &
dead=$!
poll 10 test -S "$D/dead.sock" && kill -KILL "$dead" && wait "$dead" 2>/dev/null
found 4 tpm problem "nobody listens at $D/dead.sock" env FUSETSU_TCTI="swtpm:path=$D/dead.sock"
# shellcheck disable=SC2153
kill -STOP "$TPM_PID_2"
found 4 tpm problem 'does not answer within 10 seconds' env FUSETSU_TCTI="$TPM_TCTI_2"
kill -CONT "$TPM_PID_2"
found 1 sharing warning 'no directory by which' env FUSETSU_RUN=none
found 1 sharing warning "$D/nowhere" env FUSETSU_RUN="$D/nowhere"
if is_asan; then
    skip "no memory may be locked" "the sanitizer says that it is"
elif setpriv --bounding-set=-ipc_lock true 2>/dev/null; then
    # shellcheck disable=SC2016
    found 0 memory note 'swapped.*RLIMIT_MEMLOCK' setpriv --bounding-set=-ipc_lock \
        sh -c 'ulimit -l 0; exec "$@"' -
else
    skip "no memory may be locked" "setpriv cannot drop capabilities here"
fi

# --- another TPM ---------------------------------------------------------------------------

found 5 token-in-tpm problem 'gw is not in this TPM: no primary.*FUSETSU_STORE' env FUSETSU_TCTI="$TPM_TCTI_2"
check "the other TPM gets a token, and its lockout stays open" at 2 init --label two --weak-lockout
found 5 token-in-tpm problem 'gw is not in this TPM: another primary' env FUSETSU_TCTI="$TPM_TCTI_2"
found 5 orphans note '4 indices look like a token.*0x018' env FUSETSU_TCTI="$TPM_TCTI_2"
found 1 lockout-strength warning 'empty.*tpm2_changeauth' \
    env FUSETSU_TCTI="$TPM_TCTI_2" FUSETSU_STORE="$D/2/store.db"
for index in 0x01C00002 0x01C0000A 0x01C00016; do
    tpm2_nvundefine -Q -T "$TPM_TCTI_2" -C p "$index" >"$D/out" 2>&1
done
found 1 endorsement note 'no endorsement certificate' \
    env FUSETSU_TCTI="$TPM_TCTI_2" FUSETSU_STORE="$D/2/store.db"

# --- PINs ------------------------------------------------------------------------------------

login() { "$FUSETSU" key generate --token gw --type p256 --label "k$RANDOM" --pin-file "$1"; }
login "$D/bad" >"$D/out" 2>&1
login "$D/bad" >"$D/out" 2>&1
found 1 pins warning 'one more wrong user PIN locks token gw' env
login "$D/bad" >"$D/out" 2>&1
found 3 pins problem 'user PIN of token gw is locked: 3 of 3.*token unblock' env
check_out "the other token is well" 'other, as last seen: 0 of' "$FUSETSU" doctor --token other
check "the SO helps" "$FUSETSU" token unblock --token gw --so-pin-file "$D/so" --new-pin-file "$D/pin"
check "and all is well" doctor
for row in '4 problem 3 user' '8 warning 1 SO'; do
    # shellcheck disable=SC2086
    set -- $row
    sql "UPDATE token SET flags = flags | $1 WHERE label = 'gw'"
    found "$3" pins "$2" "change of the $4 PIN of token gw was interrupted.*same two PINs" env
    sql "UPDATE token SET flags = flags & ~$1"
done
mkdir -m 700 "$D/bare"
check "a token without user PIN" env FUSETSU_STORE="$D/bare/store.db" "${FOREIGN[@]}" pkcs11-tool \
    --module "$MODULE" --slot-index 0 --init-token --label bare --so-pin "$SO"
found 3 pins problem 'bare has no user PIN yet.*token unblock' env FUSETSU_STORE="$D/bare/store.db"
check "it is erased" env FUSETSU_STORE="$D/bare/store.db" "$FUSETSU" token erase --yes
sql "UPDATE token SET flags = flags | 32 WHERE label = 'other'"
found 5 token problem 'other was never completed.*token erase' env
sql "UPDATE token SET flags = flags & ~32"

# --- the lockout ---------------------------------------------------------------------------------

check "lockout parameters weaker than ours" tpm2_dictionarylockout -Q -s -n 100 -t 10 -l 10 -p "hex:$code"
found 1 lockout-strength warning 'every 10 s and allows 100.*-n 32 -t 3600' env
check "as they were" tpm2_dictionarylockout -Q -s -n 32 -t 3600 -l 86400 -p "hex:$code"
check "an index that counts" tpm2_nvdefine -Q -C o -s 8 -p right -a 'authread|authwrite' 0x01900000
guess() {
    local i
    for ((i = 0; i < $1; i++)); do tpm2_nvread -P wrong -C 0x01900000 0x01900000; done >"$D/guess" 2>&1
    true
}
check "20 wrong guesses" guess 20
found 1 lockout warning '2[01] of 32 failed tries, TPM-wide' env
check "12 more" guess 12
found 3 lockout problem 'in force.*32 of 32.*within 1 hour .3600 s.*after 1 day 8 hours .115200 s.*CODE' env
before=$(tries)
"$FUSETSU" doctor >"$D/out" 2>&1
check "looking counts no try" test "$before" = "$(tries)"
check "the recovery code ends it" tpm2_dictionarylockout -Q -c -p "hex:$code"
found 0 lockout ok 'not in force: 0 of 32' env
check "the index goes" tpm2_nvundefine -Q -C o 0x01900000
check "owner authorisation is set" tpm2_changeauth -Q -c owner owner-auth
found 0 owner note 'is set.*administrator' env
check "and cleared" tpm2_changeauth -Q -c owner -p owner-auth

# --- what is in the TPM ----------------------------------------------------------------------------

leave() { tpm2_createprimary -Q -C o -c "$D/ctx"; }
check "a program leaves a key in the TPM" leave
found 0 slots note 'are 1 keys' env
check "and another one" leave
found 1 slots warning 'are 2 keys.*flushcontext' env
check "they are flushed" tpm2_flushcontext -t
check "the primary is taken out" tpm2_evictcontrol -Q -C o -c 0x81000001
found 5 token-in-tpm problem 'gw is in this TPM, but its storage primary was taken out.*token init' env
check "a new token makes it again" init --label third
found 0 token-in-tpm ok 'gw: its primary' env
check "and the old one works" login "$D/pin"
check "a token is forgotten" "$FUSETSU" token erase --token third --yes --forget
found 0 orphans note '4 indices look.*nvundefine' env
handle() { printf '0x%08X' "$(sql "SELECT handle FROM nv, token WHERE token = id AND label = '$1' AND role = $2")"; }
check "the SO's guard goes" tpm2_nvundefine -Q -C o "$(handle other 3)"
found 5 token-in-tpm problem "other: index $(handle other 3), the guard of the SO's means, is not in the TPM" env
check "the keys' guard goes" tpm2_nvundefine -Q -C o "$(handle other 2)"
found 5 token-in-tpm problem "other: index $(handle other 2), the guard of the keys, is not.*token erase" env
check "somebody takes its place" tpm2_nvdefine -Q -C o -s 32 -p x -a 'authread|authwrite' "$(handle other 2)"
found 5 token-in-tpm problem "other: index $(handle other 2).*another one than was made" env
check "the counters go" sh -c 'tpm2_nvundefine -Q -C o "$1" && tpm2_nvundefine -Q -C o "$2"' - \
    "$(handle other 0)" "$(handle other 1)"
found 5 token-in-tpm problem 'other was erased from this TPM' env

# --- the module -----------------------------------------------------------------------------------------

mkdir -p "$D/config/pkcs11/modules"
p11kit() { printf '# ours\nmodule: %s\n' "$1" >"$D/config/pkcs11/modules/fusetsu.module"; }
check "the broken token is erased" "$FUSETSU" token erase --token other --yes
p11kit "$D/gone/fusetsu-pkcs11.so"
found 1 module warning "fusetsu.module names $D/gone/fusetsu-pkcs11.so, which is not there" env
p11kit fusetsu-nowhere.so
found 1 module warning 'names fusetsu-nowhere.so, which is not there' env
echo 'no library' >"$D/fusetsu-text.so"
p11kit "$D/fusetsu-text.so"
found 1 module warning 'does not load' env
cp "$(ldconfig -p | sed -n 's/.*libz\.so\.1 .*=> //p' | head -n 1)" "$D/fusetsu-z.so"
p11kit "$D/fusetsu-z.so"
found 1 module warning 'no C_GetFunctionList' env
cp "$MODULE" "$D/fusetsu-pkcs11.so" && chmod 777 "$D/fusetsu-pkcs11.so"
p11kit "$D/fusetsu-pkcs11.so"
found 1 module warning 'can be replaced by others' env
chmod 755 "$D/fusetsu-pkcs11.so"
found 0 module ok "names $D/fusetsu-pkcs11.so, which loads" env

# --- the end ------------------------------------------------------------------------------------------------

check "the TPM is cleared" tpm2_clear -Q -c p
found 5 token-in-tpm problem 'gw is not in this TPM: no primary.*cleared.*--forget' env
check "the token is forgotten" "$FUSETSU" token erase --token gw --yes --forget
found 5 store problem 'holds no token.*token init' env
finish
