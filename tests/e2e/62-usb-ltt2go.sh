#!/bin/bash
# Goal: a TPM in a USB stick (LetsTrust-TPM2Go) is as good as one on the board: tpm2-tools reach it through
# our TCTI, a token lives in it, programs sign and hold a TLS channel with its keys, two processes and two
# sticks go together, and pulling it out, whenever, is a clear error and no more than that. The sticks are
# emulated on the level of USB transfers (umockdev), each in front of a software TPM.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

# --- a machine with two USB ports ---------------------------------------------------

# shellcheck source=tests/e2e/sticks.sh
. tests/e2e/sticks.sh
transfers() { stick count "$1" && echo "${answer%% *}"; }
plugged() { sticks "a:A-1:$TPM_TCTI_1" "b:B-2:$TPM_TCTI_2" && stick plug a; }
check "a stick for each software TPM" plugged
export FUSETSU_TCTI=fusetsu:serial=A-1 LD_LIBRARY_PATH=$B
tool() { local t=$1; shift; foreign "tpm2_$t" -T "${tcti:-fusetsu:serial=A-1}" "$@"; }

# --- tpm2-tools ---------------------------------------------------------------------

check_out "tpm2_getrandom through our TCTI" '^[0-9a-f]{32}$' tool getrandom --hex 16
# There is no resource manager: the tool leaves its key loaded.
primary() { tool createprimary -Q -C o -c "$D/primary.ctx"; }
check "tpm2_createprimary" primary
check "and tpm2_flushcontext" tool flushcontext -t
tcti=fusetsu check_out "the only stick needs no name" '^[0-9a-f]{16}$' tool getrandom --hex 8
tcti=fusetsu:serial=A expect_fail "a name that only begins like it is none" 'A is not plugged in' tool getrandom 8
tcti=fusetsu:serial=A.1 expect_fail "nor is a pattern" 'no USB token has a serial like|A.1 is not plugged in' tool getrandom 8
tcti=fusetsu:yubikey expect_fail "nor a kind that there is not" "no kind of USB token 'yubikey'" tool getrandom 8

# Upstream's driver has 51 and 137 accesses to the chip, three transfers each; no more than 0.6 of that.
costs() { # costs MOST COMMAND...: in one of six tries, since we look again while a TPM takes its time
    local most=$1 before after best=99999
    shift
    for _ in 1 2 3 4 5 6; do
        before=$(transfers a) && "$@" >/dev/null && after=$(transfers a) && tool flushcontext -t || return 1
        [ $((after - before)) -ge "$best" ] || best=$((after - before))
        [ "$best" -gt "$most" ] || break
    done
    echo "$best transfers, at most $most"
    [ "$best" -le "$most" ]
}
check "tpm2_getrandom takes few USB transfers" costs 91 tool getrandom --hex 16
echo "# getrandom: $(tail -n 1 "$D/out")"
check "tpm2_createprimary, too" costs 246 primary
echo "# createprimary: $(tail -n 1 "$D/out")"

# --- a token ----------------------------------------------------------------------------

check "fusetsu token init on the stick" ours token init --label field --so-pin-file "$D/so" --pin-file "$D/pin"
check "an EC key in it" ours key generate --token field --type p256 --label ec --pin-file "$D/pin"
printf 'from the field' >"$D/data"
sign() { p11_user --sign --mechanism ECDSA-SHA256 --signature-format openssl --label ec -i "$D/data" -o "$D/sig"; }
# By GnuTLS: OpenSC 0.23 reads freed memory when it writes EC keys.
verified() {
    foreign p11tool --provider="$MODULE" --export "pkcs11:object=ec;type=public" --outfile "$D/ec.pem" &&
        openssl dgst -sha256 -verify "$D/ec.pem" -signature "$D/sig" "$1"
}
check "pkcs11-tool signs with it" sign
check "and the signature is right" verified "$D/data"
printf 'from elsewhere' >"$D/other"
expect_fail "but not of other data" 'Verification failure' verified "$D/other"
both() { # two processes, a hundred signatures each
    local p q
    foreign "$B/signloop" "$MODULE" init open field login "$D/pin" find ec check 25 & p=$!
    apart foreign "$B/signloop" "$MODULE" init open field login "$D/pin" find ec check 25 & q=$!
    wait "$p" && wait "$q"
}
check "two processes take turns at one stick" both
serials() {
    local n
    for n in A-1 B-2; do tcti=fusetsu:serial=$n tool readpublic -c 0x81010001 -n "$D/$n" -o /dev/null || return 1; done
    ! cmp -s "$D/A-1" "$D/B-2"
}
stick plug b
check "of two sticks each is found by its serial" serials
tcti=fusetsu expect_fail "without one we ask which" 'several USB tokens .*A-1 .*B-2' tool getrandom 8

# --- pulled out -------------------------------------------------------------------------

# p11do, which stops where it says `pause`; not under timeout(1), which would be the one to stop.
paused() {
    "${FOREIGN[@]}" "$B/p11do" "$MODULE" "$@" >"$D/p.out" 2>&1 </dev/null &
    P=$!
    STORY_PIDS+=("$P")
    waits
}
waits_or_gone() { stopped "$P" || gone "$P"; }
waits() { poll 30 waits_or_gone && stopped "$P" || { cat "$D/p.out" && return 1; }; }
runs() { ! stopped "$P"; }
goes_on() { kill -CONT "$P" && poll 5 runs && waits; }
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
check "a process has logged in and signed" paused open field login "$D/pin" find k class=private,label=ec "${use[@]}" \
    pause fails 0x32 "${use[@]}" pause "${use[@]}"
stick unplug a
check "the stick is pulled out: it says CKR_DEVICE_REMOVED" goes_on
expect_fail "our program says which one is missing" 'A-1 is not plugged in' ours key sign --token field \
    --label ec --in "$D/data" --out "$D/none" --pin-file "$D/pin"
expect_fail "and another stick is not taken for it" 'DEVICE_REMOVED|is not plugged in' sign
stick plug a
check "put back in: the same process signs again" ends
check "and so does a new one" sign

# At any moment of a signature: an error and no wrong signature, and then all is well.
cut() { # cut TRANSFER [dirty]: the process survives it and signs again
    stick cut a "$@" || return 1
    foreign "$B/signloop" "$MODULE" init open field login "$D/pin" find ec check 3
}
for at in 1 "17 dirty" 60 "200 dirty"; do
    # shellcheck disable=SC2086  # words
    expect_fail "pulled out in transfer $at" 'C_[A-Za-z]+: 0x(32|30|e0|e1)' cut $at
    stick plug a
    check "and put back in" sign
done

# --- TLS ----------------------------------------------------------------------------------

engine_conf "$D/openssl.cnf"
engine=(-engine pkcs11 -keyform engine -key "$(key_uri field ec)")
field() { OPENSSL_CONF=$D/openssl.cnf "${FOREIGN[@]}" openssl "$@" "${engine[@]}"; }
check "OpenSSL's engine makes a certificate" field req -new -x509 -subj /CN=field -days 2 -out "$D/field.pem"
accepting() { gone "$server" || { port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\).*/\1/p' "$D/server.out") && [ -n "$port" ]; }; }
# Not by that function, whose shell would be ended in its place.
background "${FOREIGN[@]}" OPENSSL_CONF="$D/openssl.cnf" openssl s_server -accept 127.0.0.1:0 -rev \
    -cert "$D/field.pem" -tls1_3 "${engine[@]}" >"$D/server.out" 2>&1 </dev/null
server=$LAST
poll 20 accepting
answered() { grep -q 'oh yllat' "$D/client.out"; }
settled() { answered || grep -q 'verify error' "$D/client.out"; }
line() { echo "tally ho" && poll 20 settled; } # and holds the connection until the answer is there
dial() { # dial CA: whom the client trusts
    : >"$D/client.out"
    line | timeout 30 openssl s_client -connect "127.0.0.1:$port" -CAfile "$1" -verify_return_error >"$D/client.out" 2>&1
    cat "$D/client.out"
    answered
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/soft.key" -out "$D/soft.pem" -subj /CN=field -days 2 2>/dev/null
expect_fail "who trusts another key of that name refuses" 'certificate verify failed|verify error' dial "$D/soft.pem"
check_out "a TLS 1.3 channel to a server with its key in the stick" '^Peer signature type: ECDSA' dial "$D/field.pem"
end "$server"

# --- judged by the standard -----------------------------------------------------------------

LIMIT=240
check_out "all of build/conformance on the stick" '^# [0-9]{4,} ok, 0 not ok, 0 expected' \
    foreign "$B/conformance" --module "$MODULE" --token field --pin-file "$D/pin" --so-pin-file "$D/so"
# with-tpm shuts them down in order: they have had power since, but nobody may have spoken to them.
for n in 1 2; do
    tcti=TPM_TCTI_$n
    tpm2_startup -c -T "${!tcti}" >/dev/null 2>&1
done
finish
