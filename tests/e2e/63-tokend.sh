#!/bin/bash
# Goal: fusetsu-tokend lets a host use a board's TPM and no more than that: the module works through it,
# Clear and the platform do not, keys wait for somebody at the token where that is wanted, and no host,
# whatever it sends and whenever it vanishes, keeps the next one from being served. (Over a socket; with
# USB in tests/vm.)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

TPM=$FUSETSU_TCTI S=$D/sock
own=()
! is_asan || own=(--no-sandbox)
there() { gone "$TOKEND" || [ -S "$S" ]; }
start() { # start OPTION...: the daemon, in $TOKEND; what it says in $D/said
    background "$B/fusetsu-tokend" --tcti "$TPM" --socket "$S" --log info "${own[@]}" "$@" >"$D/said" 2>&1 </dev/null
    TOKEND=$LAST
    poll 20 there && ! gone "$TOKEND"
}
stop() { end "$TOKEND" && poll 10 gone "$TOKEND"; }
host() { timeout -k 5 "$LIMIT" "$B/framehost" "$S" "$@"; }
VIA="cmd:$B/framehost $S bridge"
via() { FUSETSU_TCTI=$VIA TPM2TOOLS_TCTI=$VIA "$@"; }
leaves() { [ -z "$(tpm2_getcap -T "$TPM" handles-transient)" ]; }

# --- used ----------------------------------------------------------------------------

check "a token without USB" start
check_out "a command goes out in one transfer and its answer comes in one" '^80010000001c0000.* 2 transfers' \
    host hello send 80010000000c0000017b0010
check_out "an answer of several packets comes in two" '^8001.* 3 transfers' \
    host hello send 8001000000160000017a00000006000001000000007f
check_out "a command of 4096 bytes gets to the TPM, which finds nothing in it" '^00000095 2 transfers' host hello pad 146 4096
check_out "tpm2-tools draw random bytes through it" '^[0-9a-f]{32}$' via tpm2_getrandom --hex 16
check "the module makes a token through it" via new_token field
check "and a key" via new_key EC:prime256v1 ec 01
head -c 32 /dev/urandom >"$D/hash"
sign() { p11_user --sign --id 01 --mechanism ECDSA --signature-format openssl -i "$D/hash" -o "$D/sig"; }
# By GnuTLS: OpenSC 0.23 reads freed memory when it writes EC keys.
verify() {
    foreign p11tool --provider="$MODULE" --export "pkcs11:object=ec;type=public" --outfile "$D/ec.pem" &&
        openssl pkeyutl -verify -pubin -inkey "$D/ec.pem" -in "$D/hash" -sigfile "$D/sig"
}
check "it signs" via sign
check_out "the signature is right" 'Verified Successfully' via verify
rm -f "$D/sig"
check "(it is the TPM's key: it signs without the daemon, too)" sign
check "in the TPM nothing stays of these hosts" poll 10 leaves
if is_asan; then
    skip "system calls are filtered" "a sanitizer needs more of them"
else
    check_out "system calls are filtered" '^Seccomp:[[:space:]]*2' cat "/proc/$TOKEND/status"
fi

# --- refused ----------------------------------------------------------------------------

expect_fail "a host cannot clear the TPM" 'command code not supported' via tpm2_clear
expect_fail "nor use the platform hierarchy" 'hierarchy is not enabled or is not correct' \
    via tpm2_createprimary -Q -C p -c "$D/p.ctx"
check "(which is open, on the board)" tpm2_createprimary -Q -T "$TPM" -C p -c "$D/p.ctx"
tidy 1
expect_fail "nor set the lockout's parameters" 'command code not supported' \
    via tpm2_dictionarylockout -s -n 5 -t 5 -l 5
check_out "nor ask for the lockout's password" '^80010000000a00000185' \
    host hello send "800100000012000001514000000a02000000"
expect_fail "nor extend its PCRs" 'command code not supported' \
    via tpm2_pcrextend "0:sha256=$(printf %064d 0)"
check_out "it is told on the board" 'refused: a command 0x126' cat "$D/said"

# --- hostile ------------------------------------------------------------------------------

hello=465a544b010100000700000000000000
random=465a544b01030000080000000c00000080010000000c0000017b0008
short() {
    host raw "$hello" get 3000 raw "$1" get 3000 raw "$random" get 300 raw "$hello" get 3000 raw "$random" get 3000 \
        >"$D/told"
    cat "$D/told"
}
# told WHAT PACKET ERROR: one error, then silence, and after a greeting all is well.
told() {
    check_out "$1: one error" "^7 [0-9]+ 0$3" short "$2"
    check_out "$1: nothing more is heard until the host greets" '^-$' sed -n 3p "$D/told"
    check_out "$1: then all is well" '^4 8 80010000' sed -n 5p "$D/told"
}
told "another magic" "58${random:2}" 1
told "another version" "${random:0:8}02${random:10}" 2
told "a frame of 16 million bytes" "${random:0:30}01${random:32}" 1
told "half a head" "${random:0:14}" 1
told "half a frame" "${random:0:50}" 1
told "a byte too much" "${random}00" 1
told "a token's word" "${random:0:10}04${random:12}" 1

# --- vanished -------------------------------------------------------------------------------

vanish() { # vanish STEP...: a host that is killed when it has done these steps
    "$B/framehost" "$S" hello "$@" pause >"$D/host" 2>&1 </dev/null &
    local pid=$!
    STORY_PIDS+=("$pid")
    poll 20 stopped "$pid" || { cat "$D/host" && return 1; }
    kill -KILL "$pid"
    poll 10 gone "$pid"
}
served() { host hello send 80010000000c0000017b0010 | grep -q '^8001.* 2 transfers'; }
sequence=80010000000e000001860000000b
check "a host makes two objects and is killed" vanish send "$sequence" send "$sequence"
check "they are flushed" poll 10 leaves
check "the next host is served" served
check "a host is killed in the middle of a frame" vanish raw "${random:0:40}"
check "the next host is served, too" served
# CreatePrimary, RSA 2048, in the null hierarchy: the TPM is busy for a while.
primary=00000131400000070000000940000009000000000000040000000000160001000b00040072
primary+=0000001000100800000000000000000000000000
primary=8002$(printf %08x $((${#primary} / 2 + 6)))$primary
command=465a544b0103000009000000$(printf '%02x000000' $((${#primary} / 2)))$primary
check "a host is killed while the TPM works for it" vanish raw "${command:0:128}" raw "${command:128}"
check "what comes of it does not stay" poll 20 leaves
check "the next host is served again" served
check "that command was one (a host that waits gets its answer)" \
    sh -c "'$B/framehost' '$S' hello send $primary | grep -q '^8002........00000000'"
check "and is flushed, since it left" poll 10 leaves

# --- daemon and TPM come and go ------------------------------------------------------------------

expect_exit 1 "a second daemon at this socket does not start" 'in use' "$B/fusetsu-tokend" --tcti "$TPM" --socket "$S" "${own[@]}"
kill -KILL "$TOKEND"
check "the daemon is killed" poll 10 gone "$TOKEND"
expect_fail "a host is told" 'Connection refused|refused' host hello
check "it starts again where it was" start
check "and serves" via sign
check "it ends when told to" stop
check "and leaves nothing" test ! -e "$S"
expect_exit 1 "without a TPM it does not start" "no TPM at 'swtpm:path=$D/none'" \
    "$B/fusetsu-tokend" --tcti "swtpm:path=$D/none" --socket "$S" "${own[@]}"
for wrong in --presence=button --presence-timeout=0 --serial=a/b --vendor-id=0x10000 --presence-hold=-1 --frob extra; do
    expect_exit 2 "wrong: $wrong" 'presence|serial|number|see|unrecognized|no option' \
        "$B/fusetsu-tokend" --tcti "$TPM" --socket "$S" "$wrong"
done

# --- presence --------------------------------------------------------------------------------------

echo 0 >"$D/button"
check "a token with a button" start --presence "gpio:$D/button" --presence-timeout 2
check "login and looking take no press" via p11_user --list-objects
# What the module says of it is one of PKCS#11's words; the TPM's is in the log.
expect_fail "without a press there is no signature" 'CKR_' via sign
check_out "the board knows why" 'TPM2_Sign: nobody confirmed it' cat "$D/said"
asked() { grep -q "$1" "$D/said"; }
asks() { [ "$(grep -c 'waits for the button' "$D/said")" -gt "$1" ]; }
press_when_asked() { # ...and let go when the command is through
    local before
    before=$(grep -c 'waits for the button' "$D/said")
    "$@" &
    local pid=$! rc=0
    if poll 20 asks "$before"; then printf 1 >"$D/button"; fi
    wait "$pid" || rc=$?
    printf 0 >"$D/button"
    return "$rc"
}
rm -f "$D/sig"
check "with one there is" via press_when_asked sign
check_out "the signature is right" 'Verified Successfully' via verify
printf 1 >"$D/button"
expect_fail "a button that is stuck confirms nothing" 'CKR_' via sign
printf 0 >"$D/button"
check "commands without keys work all the time" served
check "it ends when told to" stop

cat >"$D/ask" <<SH
#!/bin/sh
echo "\$1" >>"$D/questions"
test -e "$D/consent"
SH
chmod 700 "$D/ask"
check "a token that asks a program" start --presence "command:$D/ask"
expect_fail "the program says no" 'CKR_' via sign
: >"$D/consent"
check "the program says yes" via sign
check_out "it was told what for" '^TPM2_Sign with 0x80' cat "$D/questions"
check "it ends when told to" stop
finish
