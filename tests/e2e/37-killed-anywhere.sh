#!/bin/bash
# Goal: kill -9 at any system call that writes and at any TPM command leaves the old or the new state:
# no half of a pair, no lost key, no PIN that nobody knows, nothing in the TPM that the next process
# does not clean up. Nor does a power cut count as a wrong PIN.
#
# Not here, because it is elsewhere at every point: PIN change, PIN reset, token init and erase at TPM
# commands (tests/unit/test_tpm_recover.c, test_tpm_guard.c, test_tpm_owner.c), backup and restoration
# at system calls (35-backup.sh).
#
# fsync, rename and their like are always struck at every call; writes (those to the TPM's socket and
# to standard output among them) and TPM commands at every k-th. SOAK=1, or `make soak`, strikes all.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=swtpm-ci/lib.sh
. swtpm-ci/lib.sh

MOST=400 # points of one row; more means that it never ends
WRITES=write,pwrite64,writev
SYNCS=fsync,fdatasync,renameat,rename,unlink,unlinkat,ftruncate,fchmod,mkdir,link
every_write=${SOAK:+1} every_sync=1 every_command=${SOAK:+1} cuts=50
if is_asan; then
    every_write=${every_write:-60} every_sync=5 every_command=${every_command:-9} cuts=5
else
    every_write=${every_write:-29} every_command=${every_command:-4}
fi
points=0

f() { "$FUSETSU" "$@"; }
key() { f key generate --type p256 --pin-file "$D/pin" --label "$1" --id "$2"; }
p11do() { "${FOREIGN[@]}" "$B/p11do" "$MODULE" "$@"; }
sql() { sqlite3 "$FUSETSU_STORE" "$1"; }

# --- the strokes: struck_KIND N COMMAND...; false when the command ended by itself ------------------

_struck() { # _struck COMMAND...; its status is in $rc
    rc=0
    ("$@" >"$D/struck.out" 2>&1 </dev/null || exit "$?") 2>/dev/null || rc=$?
    [ "$rc" -eq 137 ]
}
_call() {
    local calls=$1 n=$2
    shift 2
    _struck strace -f -qq -o /dev/null -e "trace=$calls" -e "inject=$calls:signal=KILL:when=$n" \
        env ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" "$@"
}
struck_write() { _call "$WRITES" "$@"; }
struck_sync() { _call "$SYNCS" "$@"; }
struck_before() { _command SPY_KILL "$@"; }
struck_after() { _command SPY_KILL_AFTER "$@"; }
_command() {
    local when=$1 n=$2
    shift 2
    _struck env "$when=$n" FUSETSU_TCTI="$B/libtss2-tcti-spy.so:$FUSETSU_TCTI" "$@"
}

# row WHAT KINDS PREPARE JUDGE COMMAND...: COMMAND is struck everywhere, each time after PREPARE;
# then JUDGE looks. In both $killed says whether it was.
row() {
    local what=$1 kinds=$2 prepare=$3 judge=$4 kind n step hit=0 bad=0 killed
    shift 4
    : >"$D/row.log"
    for kind in $kinds; do
        case $kind in write) step=$every_write ;; sync) step=$every_sync ;; *) step=$every_command ;; esac
        killed=yes n=$(((step + 1) / 2))
        # Before and after do not strike around the same commands.
        [ "$kind" != after ] || n=1
        while [ "$killed" = yes ]; do
            "$prepare" >"$D/prepare.out" 2>&1 || { bad=$((bad + 1)); sed 's/^/prepare: /' "$D/prepare.out"; }
            "struck_$kind" "$n" "$@" || killed=no
            if [ "$killed" = no ] && [ "$rc" -ne 0 ]; then
                bad=$((bad + 1)) && echo "$kind $n: it failed with $rc: $(tail -n 2 "$D/struck.out")"
            fi
            if ! "$judge" >"$D/judge.out" 2>&1 || grep -qE 'Sanitizer|runtime error' "$D/judge.out" "$D/struck.out"; then
                bad=$((bad + 1)) && echo "$kind $n (killed: $killed)" && tail -n 12 "$D/judge.out"
            fi
            [ "$killed" = no ] || hit=$((hit + 1))
            n=$((n + step))
            [ "$n" -le "$MOST" ] || { bad=$((bad + 1)) && echo "$kind: no end" && break; }
        done
    done >>"$D/row.log"
    points=$((points + hit))
    cp "$D/row.log" "$D/out"
    if [ "$hit" -gt 0 ] && [ "$bad" -eq 0 ]; then ok "$what, killed at $hit points"; else
        not_ok "$what, killed at $hit points" "$bad were bad"
    fi
}

# --- judges -------------------------------------------------------------------------------------------

said() { grep -q "$1" "$D/struck.out"; }
no() { echo "$*" && return 1; }

# The next process has ended: what is left in TPM and store?
clean() {
    local left
    left=$(tpm2_getcap -T "$FUSETSU_TCTI" handles-transient && tpm2_getcap -T "$FUSETSU_TCTI" handles-loaded-session &&
        tpm2_getcap -T "$FUSETSU_TCTI" handles-saved-session) || no "the TPM does not answer" || return 1
    [ -z "$left" ] || no "left in the TPM: $left" || return 1
    [ "$(sql 'PRAGMA integrity_check; PRAGMA foreign_key_check')" = ok ] || no "the store is damaged" || return 1
    [ "$(sql 'SELECT count(*) FROM key WHERE NOT EXISTS (SELECT 1 FROM object
        WHERE object.key = key.uuid AND object.token = key.token)')" = 0 ] || no "a key without object" || return 1
    # A journal that was not yet synced begins with zeros and is not played back; the next writer takes it.
    [ ! -s "$FUSETSU_STORE-journal" ] || [ "$(od -An -tu1 -N 1 "$FUSETSU_STORE-journal")" -eq 0 ] ||
        no "a journal was not played back" || return 1
    [ "$(find "$D/1" -type f ! -name '*-journal' | wc -l)" -eq 1 ] || no "files beside the store: $(ls -A "$D/1")" || return 1
}

# look LABEL TEMPLATE...: the key that was there before signs; says how many objects fit each template
look() {
    local label=$1 class steps=()
    shift
    for class in "$@"; do steps+=(find "$class" "class=$class,label=$label"); done
    p11do open gw login "$D/pin" find one class=private,label=one sign "$D/sig" ecdsa one "$D/digest" "${steps[@]}"
}
uses() { # uses LABEL: what was made is of use
    p11do open gw login "$D/pin" find x "class=private,label=$1" find y "class=public,label=$1" \
        sign "$D/sig" ecdsa x "$D/digest" verify ecdsa y "$D/digest" "$D/sig"
}
seen() { sed -n "s/^$1: //p" "$D/look"; }

fresh() { cp "$D/good.db" "$FUSETSU_STORE" && rm -f "$FUSETSU_STORE-journal"; }
looked() { look "$@" >"$D/look" 2>&1 || { cat "$D/look" && return 1; }; }

whole_pair() {
    looked new private public && clean || return 1
    [ "$(seen private)" = "$(seen public)" ] || no "half a pair: $(cat "$D/look")" || return 1
    if [ "$killed" = no ] || said 'is made'; then
        [ "$(seen private)" = 1 ] || no "it was reported, and is missing" || return 1
    fi
    [ "$(seen private)" = 0 ] || uses new
}
whole() { # whole CLASS SAID
    looked new "$1" && clean || return 1
    case $(seen "$1") in
    0) [ "$killed" = yes ] && ! said "$2" || no "it was reported, and is missing" || return 1 ;;
    1) ;;
    *) no "there are $(seen "$1")" || return 1 ;;
    esac
}
whole_import() {
    whole private '^x: ' || return 1
    [ "$(seen private)" = 0 ] || p11do open gw login "$D/pin" find x class=private,label=new \
        sign "$D/sig" ecdsa x "$D/digest" && { [ "$(seen private)" = 0 ] || openssl pkeyutl -verify -inkey "$D/k.pem" \
        -in "$D/digest" -sigfile <(der "$D/sig"); }
}
whole_secret() {
    whole secret '^x: ' || return 1
    [ "$(seen secret)" = 0 ] || p11do open gw login "$D/pin" find x class=secret,label=new \
        encrypt "$D/enc" aes-ctr:00000000000000000000000000000000 x "$D/digest"
}
whole_destroyed() {
    looked doomed private public && clean || return 1
    # Two objects of PKCS#11, two calls: the private half goes first, and the rest when asked again.
    if [ "$(seen private)" != "$(seen public)" ]; then
        [ "$(seen private)" = 0 ] || no "half a pair: $(cat "$D/look")" || return 1
        f key list | grep -q '^doomed ' || no "the rest is not listed" || return 1
        f key delete --label doomed --yes --pin-file "$D/pin" && looked doomed private public || return 1
        [ "$(seen public)" = 0 ] || no "the rest cannot be deleted" || return 1
    fi
    if [ "$killed" = no ] || said 'is deleted'; then
        [ "$(seen private)" = 0 ] || no "it was reported deleted, and is there" || return 1
    fi
    [ "$(seen private)" = 0 ] || uses doomed
}
# An ECDSA signature of PKCS#11, which is r and s one after the other, as OpenSSL wants it.
der() {
    local hex
    hex=$(od -An -v -tx1 "$1" | tr -d ' \n')
    openssl asn1parse -genconf <(printf 'asn1=SEQUENCE:s\n[s]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' \
        "${hex:0:64}" "${hex:64:64}") -noout -out /dev/stdout
}

# PINs: the present one is in $D/pin before each stroke.
login() { p11do open gw login "$1" find one class=private,label=one sign "$D/sig" ecdsa one "$D/digest"; }
set_pin() { f token set-pin --pin-file "$1" --new-pin-file "$2"; }
unblock() { f token unblock --so-pin-file "$D/so" --new-pin-file "$D/new"; }
old_or_new_pin() { # old_or_new_pin COMMAND...: which finishes what was interrupted
    local out
    out=$(login "$D/pin" 2>&1)
    case $out in
    *CKR_PIN_INCORRECT*) login "$D/new" || return 1 ;;
    *0xa3*) echo "interrupted" && "$@" && login "$D/new" || return 1 ;; # CKR_PIN_EXPIRED
    *login* | *sign*) no "$out" || return 1 ;;
    *) [ "$killed" = yes ] && ! said 'is changed\|is set anew' || no "the old PIN still opens" || return 1 ;;
    esac
    clean || return 1
    [ "$(sql 'SELECT user_fails FROM token')" = 0 ] || no "tries are counted" || return 1
}
pin_is_old() {
    login "$D/pin" >/dev/null 2>&1 || set_pin "$D/new" "$D/pin"
}
changed_pin() { old_or_new_pin set_pin "$D/pin" "$D/new"; }
reset_pin() { old_or_new_pin unblock; }

# Tokens: beside `gw`, another one is made.
init() { f token init --pin-file "$D/pin" --so-pin-file "$D/so" "$@"; }
indices() { tpm2_getcap -T "$FUSETSU_TCTI" handles-nv-index | grep -ci '0x18000'; }
no_orphan() {
    local tokens
    tokens=$(sql 'SELECT count(*) FROM token')
    [ "$(sql 'SELECT count(*) FROM token WHERE flags & 32')" = 0 ] || no "a token is not complete" || return 1
    [ "$(indices)" -eq $((4 * tokens)) ] || no "$(indices) indices, $tokens tokens" || return 1
    f doctor >"$D/doctor" 2>&1 || { cat "$D/doctor" && return 1; }
    grep -q 'is one of' "$D/doctor" || { cat "$D/doctor" && return 1; }
}
erased() { # all but gw
    local serial
    for serial in $(sql "SELECT serial FROM token WHERE label <> 'gw'"); do
        f token erase --token "$serial" --yes || return 1
    done
}
token_or_none() {
    login "$D/pin" && init --label next && no_orphan && clean || return 1
    if [ "$(sql "SELECT count(*) FROM token WHERE label = 'other'")" = 1 ]; then
        p11do open other login "$D/pin" || return 1
    elif [ "$killed" = no ] || said '"other" is made'; then
        no "it was reported, and is missing" || return 1
    fi
}

# --- keys -------------------------------------------------------------------------------------------------

everywhere="sync before after write"
if ! strace -qq -o /dev/null true 2>/dev/null; then
    skip "system calls" "strace cannot trace here"
    everywhere="before after"
fi
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$D/k.pem" 2>"$D/out"
scalar=$(openssl ec -in "$D/k.pem" -outform DER 2>/dev/null | od -An -v -tx1 -j 7 -N 32 | tr -d ' \n')
printf new-pin-99 >"$D/new" && chmod 600 "$D/new"
head -c 32 /dev/urandom >"$D/digest"
check "a token" init --label gw --recovery-file "$D/recovery"
check "a key" key one 01
cp "$FUSETSU_STORE" "$D/with-one.db" && cp "$D/with-one.db" "$D/good.db"

row "a key pair is whole or is not" "$everywhere" fresh whole_pair \
    "$FUSETSU" key generate --type p256 --pin-file "$D/pin" --label new --id 02
row "an imported key" "$everywhere" fresh whole_import "${FOREIGN[@]}" "$B/p11do" "$MODULE" open gw login "$D/pin" \
    create x "class=private,type=ec,params=06082a8648ce3d030107,value=$scalar,label=new,id=03,token,private,sensitive,sign" \
    find x class=private,label=new
row "a secret key" "$everywhere" fresh whole_secret "${FOREIGN[@]}" "$B/p11do" "$MODULE" open gw login "$D/pin" \
    generate x aes-key class=secret,type=aes,len=16,label=new,id=04,token,private,sensitive,encrypt \
    find x class=secret,label=new
check "a key that will go" key doomed 05
cp "$FUSETSU_STORE" "$D/good.db"
row "a deleted pair is there or is not" "$everywhere" fresh whole_destroyed \
    "$FUSETSU" key delete --label doomed --yes --pin-file "$D/pin"
cp "$D/with-one.db" "$D/good.db" && fresh

# --- backup ----------------------------------------------------------------------------------------------

cp "$D/with-one.db" "$FUSETSU_STORE"
no_backup() { rm -f "$D/b/"*; }
backup_or_none() {
    login "$D/pin" && clean || return 1
    [ -e "$D/b/gw.backup" ] || { [ "$killed" = yes ] && ! said 'is written' && return 0; } || return 1
    env FUSETSU_STORE="$D/probe/store.db" "$FUSETSU" token restore --pin-file "$D/pin" "$D/b/gw.backup" || return 1
    rm -rf "$D/probe"
}
mkdir -m 700 "$D/b"
row "a backup at TPM commands" "before after" no_backup backup_or_none \
    "$FUSETSU" token backup --pin-file "$D/pin" --out "$D/b/gw.backup"

# --- PINs and tokens --------------------------------------------------------------------------------------

calls=${everywhere/before after/}
row "the old user PIN or the new one" "$calls" pin_is_old changed_pin \
    "$FUSETSU" token set-pin --pin-file "$D/pin" --new-pin-file "$D/new"
row "so when the SO resets it" "$calls" pin_is_old reset_pin \
    "$FUSETSU" token unblock --so-pin-file "$D/so" --new-pin-file "$D/new"
check "the PIN is the old one" pin_is_old
row "a token is made or is not" "$calls" erased token_or_none \
    "$FUSETSU" token init --label other --pin-file "$D/pin" --so-pin-file "$D/so"
check "what it made goes" erased
check "one token is left" no_orphan

# The first token of a TPM sets its lockoutAuth; whoever has no code then has lost it.
factory() {
    tpm2_clear -Q -T "$TPM_TCTI_2" -c p && rm -rf "$D/2" "$D/recovery.2" "$D/recovery.3" && mkdir -m 700 "$D/2"
}
first_or_none() {
    local set code
    code=$(cat "$D/recovery.2" 2>/dev/null)
    set=$(tpm2_getcap -T "$TPM_TCTI_2" properties-variable | sed -n 's/.*lockoutAuthSet: *//p')
    if [ "$set" = 1 ]; then
        tpm2_dictionarylockout -Q -T "$TPM_TCTI_2" -c -p "hex:$code" || no "nobody has the recovery code" || return 1
    fi
    at 2 init --label next --recovery-file "$D/recovery.3" && at 2 no_orphan && at 2 clean_2 || return 1
    [ "$killed" = no ] || ! said 'is made' || at 2 sql "SELECT 1 FROM token WHERE label = 'first'" | grep -q 1
}
clean_2() {
    [ -z "$(tpm2_getcap -T "$FUSETSU_TCTI" handles-transient && tpm2_getcap -T "$FUSETSU_TCTI" handles-loaded-session)" ]
}
row "the first token of a TPM" "$calls" factory first_or_none env FUSETSU_TCTI="$TPM_TCTI_2" FUSETSU_STORE="$D/2/store.db" \
    "$FUSETSU" token init --label first --pin-file "$D/pin" --so-pin-file "$D/so" --recovery-file "$D/recovery.2"

# --- power cuts ----------------------------------------------------------------------------------------------

counts() { tpm2_getcap -T "$FUSETSU_TCTI" properties-variable | sed -n 's/TPM2_PT_LOCKOUT_COUNTER: //p'; }
power_cuts() {
    local i
    for ((i = 1; i <= $1; i++)); do
        login "$D/pin" || no "cut $i: no login" || return 1
        tpm_cut "$TPM_DIR/tpm1" && tpm_start "$TPM_DIR/tpm1" || return 1
        [ "$(($(counts)))" -eq 0 ] || no "after cut $i the TPM counts $(counts)" || return 1
    done
    login "$D/pin" && [ "$(sql 'SELECT user_fails + so_fails FROM token')" = 0 ]
}
# A login into a change of PIN that was cut between its two locks is one wrong try of the second.
check "tries from above are forgiven" tpm2_dictionarylockout -Q -T "$FUSETSU_TCTI" -c -p "hex:$(cat "$D/recovery")"
check "the power is cut $cuts times after a login, and no try is counted" power_cuts "$cuts"
check "nor is anything locked" f doctor
echo "# $points points"
finish
