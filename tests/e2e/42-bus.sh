#!/bin/bash
# Goal: who listens between us and the TPM learns no PIN and nothing made of it, no secret of the token, no
# key and no text; and who changes an answer is noticed: an error, nothing used, and the next call works.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

tcti=$FUSETSU_TCTI
export FUSETSU_TCTI=$B/libtss2-tcti-spy.so:$tcti SPY_LOG=$D/spy.log SPY_BYTES=1
NEW=another-33
printf %s "$NEW" >"$D/new-pin"
random() { head -c "$1" /dev/urandom | xxd -p | tr -d '\n'; }
text_hex() { printf %s "$1" | xxd -p | tr -d '\n'; }

# --- what to listen for -----------------------------------------------------

names=() patterns=()
secret() { # secret NAME HEX: 16 bytes of its beginning, middle and end; all of it when it is shorter
    local n=${#2} at
    [ "$n" -ge 16 ] || { not_ok "the story knows what to search for" "no $1" && return; }
    for at in 0 $((n / 4 * 2 - 16)) $((n - 32)); do
        [ "$at" -ge 0 ] || at=0
        names+=("$1") patterns+=("${2:at:32}")
    done
}
heard() { # heard FILE HEX
    grep -qiF "$2" "$1"
}
silent() { # silent FILE: none of them is in it
    local i rc=0
    [ -s "$1" ] || { echo "nothing was recorded" && return 1; }
    for i in "${!patterns[@]}"; do
        ! heard "$1" "${patterns[i]}" || { rc=1 && echo "${names[i]}: ${patterns[i]}"; }
    done
    return "$rc"
}

# --- everything once ----------------------------------------------------------

check "a token is initialised, by PKCS#11" new_token alpha
check "another one, by our program" "$FUSETSU" token init --label bravo --so-pin-file "$D/so" --pin-file "$D/pin"
user() { foreign "$B/p11do" "$MODULE" open alpha login "$D/pin" "$@"; }
check "a PIN is changed" p11 --token-label alpha --login --pin "$PIN" --change-pin --new-pin "$NEW"
check "and back" p11 --token-label alpha --login --pin "$NEW" --change-pin --new-pin "$PIN"
# As tpm/pin.h has it: scrypt over serial, salt and side; one half for each authValue.
authorisations() {
    local side pin serial salt both
    serial=$(text_hex "$(sqlite3 -readonly "$FUSETSU_STORE" "SELECT serial FROM token WHERE label = '$1'")")
    salt=$(sqlite3 -readonly "$FUSETSU_STORE" "SELECT lower(hex(salt)) FROM token WHERE label = '$1'")
    for side in 00 01; do
        for pin in "$PIN" "$SO" "$NEW"; do
            both=$(openssl kdf -keylen 64 -kdfopt "pass:$pin" -kdfopt "hexsalt:$serial$salt$side" -kdfopt n:8192 \
                -kdfopt r:8 -kdfopt p:1 SCRYPT | tr -d ':\n' | tr 'A-F' 'a-f')
            secret "an authValue of $1" "${both:0:64}"
            secret "an authValue of $1" "${both:64}"
        done
    done
}
for pin in "$PIN" "$SO" "$NEW"; do secret "a PIN" "$(text_hex "$pin")"; done
authorisations alpha
authorisations bravo

check "an EC key is generated" user pair ec ecp ec-pair token,private,sign,derive,label=ec \
    params=06082a8648ce3d030107,token,label=ec
check "an RSA key is generated" user pair rsa rsap rsa-pair token,private,decrypt,unwrap,label=rsa \
    bits=2048,token,label=rsa
for key in ec rsa; do
    foreign p11tool --provider="$MODULE" --export "pkcs11:token=alpha;object=$key;type=public" --outfile "$D/$key.pub" \
        >"$D/out" 2>&1 || not_ok "public key of $key" "not exported"
done
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER -out "$D/mine" 2>/dev/null
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -outform DER -out "$D/mine-rsa" 2>/dev/null
numbers() { openssl pkey -in "$1" -text -noout 2>/dev/null | sed -n "/^$2/,/^[^ ]/{s/^ *//;/^[0-9a-f:]*\$/p}" | tr -d ':\n'; }
scalar=$(numbers "$D/mine" priv)
secret "the imported scalar" "${scalar: -64}"
for prime in prime1 prime2; do
    number=$(numbers "$D/mine-rsa" "$prime")
    secret "an imported $prime" "${number: -256}"
done
write() { p11_user --token-label alpha --write-object "$D/$1" --type privkey --id "$2" --label "$1" --usage-sign; }
check "an EC key is imported" write mine 41
check "an RSA key is imported" write mine-rsa 42

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$D/peer" 2>/dev/null
point=$(openssl pkey -in "$D/peer" -pubout -outform DER | tail -c 65 | xxd -p | tr -d '\n')
secret "what ECDH agrees on" "$(openssl pkeyutl -derive -inkey "$D/peer" -peerkey "$D/ec.pub" | xxd -p | tr -d '\n')"
aes=$(random 32) hmac=$(random 40) wrapped=$(random 32)
xxd -r -p <<<"$wrapped" >"$D/key"
seal() { openssl pkeyutl -encrypt -pubin -inkey "$D/rsa.pub" -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -in "$1" -out "$2"; }
head -c 64 /dev/urandom >"$D/text"
head -c 100 /dev/urandom >"$D/sealed-text"
seal "$D/key" "$D/wrapped"
seal "$D/sealed-text" "$D/sealed"
for one in "AES key:$aes" "HMAC key:$hmac" "unwrapped key:$wrapped" "text for AES and HMAC:$(xxd -p -c 999 "$D/text")" \
    "decrypted text:$(xxd -p -c 999 "$D/sealed-text")"; do
    secret "the ${one%%:*}" "${one#*:}"
done
openssl dgst -sha256 -binary -out "$D/hash" "$D/text"
secret_key=class=secret,token,private,sensitive
iv=00112233445566778899aabbccddeeff
check "AES and HMAC keys are imported, one is unwrapped, one is agreed on" user \
    find ec class=private,label=ec find rsa class=private,label=rsa \
    create a "$secret_key,type=aes,encrypt,decrypt,label=aes,value=$aes" \
    create h "$secret_key,type=generic,sign,verify,label=hmac,value=$hmac" \
    unwrap u oaep-sha256 rsa "$D/wrapped" "$secret_key,type=aes,encrypt,decrypt,label=unwrapped" \
    derive z "ecdh:$point" ec "$secret_key,type=generic,len=32,sign,label=agreed"
# label OPERATION...; each is one step of p11do on a key k that is found by its label
uses=(
    "signature|ec|sign $D/o.sign ecdsa k $D/hash"
    "decryption|rsa|decrypt $D/o.dec oaep-sha256 k $D/sealed"
    "ECDH|ec|derive o ecdh:$point k class=secret,private,sensitive=no,extractable,type=generic,len=32"
    "AES|aes|encrypt $D/o.aes aes-cbc-pad:$iv k $D/text"
    "HMAC|hmac|sign $D/o.mac sha256-hmac k $D/text"
    "unwrapping|rsa|unwrap o oaep-sha256 k $D/wrapped $secret_key,type=aes,encrypt,label=again"
    "import|ec|create o $secret_key,type=aes,encrypt,value=$aes,label=again"
    "generation|ec|generate o aes-key $secret_key,encrypt,len=32,label=again"
    "key pair|ec|pair o op ec-pair private,sign params=06082a8648ce3d030107"
)
for use in "${uses[@]}"; do
    IFS='|' read -r what label step <<<"$use"
    # shellcheck disable=SC2086  # words are meant
    check "$what" user find k "class=$([ "$label" = ec ] || [ "$label" = rsa ] && echo private || echo secret),label=$label" $step
done
right() { # right NAME: what came out is what OpenSSL makes of it
    case $1 in
    decryption) cmp "$D/o.dec" "$D/sealed-text" ;;
    AES) openssl enc -aes-256-cbc -K "$aes" -iv "$iv" -in "$D/text" | cmp - "$D/o.aes" ;;
    HMAC) openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hmac" -binary "$D/text" | cmp - "$D/o.mac" ;;
    signature)
        openssl asn1parse -noout -out "$D/o.der" -genconf <(printf '%s\n' asn1=SEQUENCE:rs '[rs]' \
            "r=INTEGER:0x$(head -c 32 "$D/o.sign" | xxd -p -c 32)" "s=INTEGER:0x$(tail -c 32 "$D/o.sign" | xxd -p -c 32)") &&
            openssl pkeyutl -verify -pubin -inkey "$D/ec.pub" -in "$D/hash" -sigfile "$D/o.der"
        ;;
    esac
}
for what in signature decryption AES HMAC; do check "the result of the $what is right" right "$what"; done

# --- what was heard -------------------------------------------------------------

check "none of it was heard" silent "$SPY_LOG"
public=$(openssl pkey -pubin -in "$D/ec.pub" -outform DER | tail -c 64 | xxd -p -c 64)
check "(the public key was: the record is one of these calls)" heard "$SPY_LOG" "${public:0:32}"
imported=$(openssl pkey -in "$D/mine" -pubout -outform DER | tail -c 64 | xxd -p -c 64)
check "(so was that of the imported one)" heard "$SPY_LOG" "${imported:0:32}"
marker=$(random 16)
mark() { xxd -r -p <<<"$marker" | tpm2_hash -Q -T "$FUSETSU_TCTI" -C n -g sha256 -o "$D/marked"; }
check "a marker is sent in a command without encryption" mark
check "(and is found by the same search)" heard "$SPY_LOG" "$marker"

waits_or_gone() { stopped "$P" || gone "$P"; }
# What a process keeps locked in memory while it is logged in: seeds, authValues and keys of the token,
# whatever they are called.
locked() { # locked PID: in hex, 16 bytes of each 32 that are not zero
    python3 - "$1" <<'PY'
import sys
pid, at, keep, out = sys.argv[1], None, [], set()
for line in open(f"/proc/{pid}/smaps"):
    head = line.split()
    if "-" in head[0] and not head[0].endswith(":"):
        at = [int(x, 16) for x in head[0].split("-")]
    elif head[0] == "VmFlags:" and "lo" in head and "dd" in head:
        keep.append(at)
with open(f"/proc/{pid}/mem", "rb") as mem:
    for start, end in keep:
        mem.seek(start)
        page = mem.read(end - start)
        for i in range(0, len(page) - 15, 16):
            piece = page[i:i + 16]
            if len(set(piece)) > 8:
                out.add(piece.hex())
print("\n".join(sorted(out)))
PY
}
if is_asan; then
    skip "what is locked in memory" "a sanitizer's memory is laid out otherwise"
elif ! command -v python3 >/dev/null; then
    skip "what is locked in memory" "python3 is missing"
else
    "$B/p11do" "$MODULE" open alpha login "$D/pin" find k class=private,label=ec sign "$D/o.sign" ecdsa k "$D/hash" pause \
        logout >"$D/p.out" 2>&1 </dev/null &
    P=$!
    STORY_PIDS+=("$P")
    check "a process is logged in and waits" poll 20 waits_or_gone
    kept=0
    while read -r piece; do
        kept=$((kept + 1)) && names+=("locked memory") patterns+=("$piece")
    done < <(locked "$P" 2>"$D/out")
    if [ "$kept" -eq 0 ]; then
        skip "what is locked in memory" "nothing is locked here, or it may not be read"
    else
        check "what it keeps locked in memory ($kept pieces) was not heard either" silent "$SPY_LOG"
    fi
    kill -CONT "$P"
    poll 20 gone "$P"
fi

# The spy sits in front of the socket; the kernel's own view of what crosses it.
if strace -o "$D/t" true >/dev/null 2>&1; then
    FUSETSU_TCTI=$tcti strace -f -y -xx -s 65536 -o "$D/trace" -e trace=sendto,write,writev,sendmsg,recvfrom,recvmsg,read,readv \
        "${FOREIGN[@]}" timeout -k 5 "$LIMIT" "$B/p11do" "$MODULE" open alpha login "$D/pin" find ec class=private,label=ec \
        find rsa class=private,label=rsa find a label=aes find h label=hmac sign "$D/o.sign" ecdsa ec "$D/hash" \
        decrypt "$D/o.dec" oaep-sha256 rsa "$D/sealed" derive z "ecdh:$point" ec "${secret_key/token,/},type=generic,len=32" \
        encrypt "$D/o.aes" "aes-cbc-pad:$iv" a "$D/text" sign "$D/o.mac" sha256-hmac h "$D/text" >"$D/out" 2>&1 ||
        not_ok "the traced process" "it failed"
    # With -xx even "socket:" is in hex.
    socket=$(printf 'socket:' | xxd -p | sed 's/../\\\\x&/g')
    grep -E "\([0-9]+<$socket" "$D/trace" | grep -oE '"[^"]*"' | sed 's/\\x//g' | tr -d '"\n' >"$D/socket"
    check "nor did it cross the socket" silent "$D/socket"
    check "(what did is what was traced: the public part of the key that is loaded)" heard "$D/socket" "${public:0:32}"
else
    skip "the socket itself" "nothing can be traced here"
fi

# --- answers that were changed --------------------------------------------------------

unset SPY_BYTES
lines() { wc -l <"$SPY_LOG"; }
# changed NAME STEP... -- STEP...: the second steps, which begin with command number $from, are done with the
# answer to each of their commands changed in turn, and again unchanged by the same process.
changed() {
    local what=$1 before=() steps=() name n code silent=0 noticed=0 quiet=
    shift
    while [ "$1" != -- ]; do before+=("$1") && shift; done
    shift
    steps=("$@")
    : >"$SPY_LOG"
    foreign "$B/p11do" "$MODULE" "${before[@]}" "${steps[@]}" || return 1
    # Which: the name of the command, and the how many-th of that name it is. Commands that the TPM
    # wanted again are struck when it takes them. FlushContext and Shutdown carry no authorisation.
    awk -v from="$from" '$4 == "rc=0x0" { n[$3]++ }
        NR >= from && $4 == "rc=0x0" && $3 !~ /^(FlushContext|Shutdown)$/ { print $3, n[$3] }' "$SPY_LOG" >"$D/commands"
    while read -r name n; do
        rm -f "$D"/o.*
        struck() { SPY_TAMPER=$n SPY_TAMPER_CC=$name foreign "$B/p11do" "$MODULE" "${before[@]}" "$@" >"$D/t.out" 2>&1; }
        : >"$SPY_LOG"
        if struck "${steps[@]}"; then
            grep -q ' tampered$' "$SPY_LOG" || { echo "$name $n was not struck" && return 1; }
            silent=$((silent + 1)) quiet+=" $name"
            right "$what" || { echo "$name $n: a wrong result was used" && return 1; }
            continue
        fi
        [ -z "$(find "$D" -maxdepth 1 -name 'o.*')" ] || { echo "$name $n: a result in spite of the error" && return 1; }
        code=$(sed -nE 's/^p11do: .*: ([A-Z0-9_a-z]+), not .*/\1/p' "$D/t.out" | tail -n 1)
        case $code in
        CKR_DEVICE_ERROR | CKR_DEVICE_REMOVED | CKR_FUNCTION_FAILED) noticed=$((noticed + 1)) ;;
        *) cat "$D/t.out" && echo "$name $n: ${code:-no error}" && return 1 ;;
        esac
        struck fails "$code" "${steps[@]}" "${steps[@]}" ||
            { cat "$D/t.out" && echo "$name $n: the next call fails, after $code" && return 1; }
        right "$what" || { echo "$name $n: then a wrong result" && return 1; }
    done <"$D/commands"
    echo "$what: $noticed noticed, $silent without any effect$quiet"
    [ "$noticed" -gt 0 ]
}
from_of() { # the number of the first command that comes after these steps
    : >"$SPY_LOG"
    "${FOREIGN[@]}" "$B/p11do" "$MODULE" "$@" pause >"$D/p.out" 2>&1 </dev/null &
    P=$!
    STORY_PIDS+=("$P")
    poll 20 waits_or_gone
    from=$(($(lines) + 1))
    kill -CONT "$P"
    poll 20 gone "$P"
}
from_of open alpha
check "a changed answer is noticed: login" changed login open alpha -- login "$D/pin"
cp "$D/out" "$D/changes"
for use in "${uses[@]}"; do
    IFS='|' read -r what label step <<<"$use"
    class=secret
    case $label in ec | rsa) class=private ;; esac
    from_of open alpha login "$D/pin" find k "class=$class,label=$label"
    # Made anew each time, and never kept.
    step=${step/secret,token,/secret,}
    # shellcheck disable=SC2086  # words are meant
    check "a changed answer is noticed: $what" changed "$what" open alpha login "$D/pin" find k "class=$class,label=$label" -- $step
    cat "$D/out" >>"$D/changes"
done
# Longer calls: a sample of their answers.
sampled() { # sampled NAME COMMAND...: fails with a changed answer, or has the same result; works then
    local what=$1 n last=1 noticed=0 rc
    shift
    : >"$SPY_LOG"
    "$@" || return 1
    last=$(lines)
    for n in 3 $((last / 3)) $((last / 2)) $((last * 2 / 3)) $((last - 2)); do
        rc=0
        SPY_TAMPER=$n "$@" >"$D/t.out" 2>&1 || rc=$?
        [ "$rc" -lt 126 ] || { cat "$D/t.out" && return 1; }
        [ "$rc" -eq 0 ] || noticed=$((noticed + 1))
        "$@" >"$D/t.out" 2>&1 || { cat "$D/t.out" && echo "after answer $n of $last it does not work" && return 1; }
    done
    echo "$what: $noticed of 5 noticed"
    [ "$noticed" -gt 0 ]
}
change() { p11 --token-label bravo --login --pin "$PIN" --change-pin --new-pin "$PIN"; }
check "a changed answer is noticed: change of a PIN" sampled "PIN change" change
make_token() { "$FUSETSU" token init --label "t$((made++))" --so-pin-file "$D/so" --pin-file "$D/pin"; }
made=0
check "a changed answer is noticed: a new token" sampled "token init" make_token
check "in the end all is well" user find k class=private,label=ec sign "$D/o.sign" ecdsa k "$D/hash"
check "the signature is right" right signature
unset SPY_TAMPER
check_out "and no try was counted" '^0$' sqlite3 -readonly "$FUSETSU_STORE" "SELECT sum(user_fails + so_fails) FROM token"
sed -n '/noticed/s/^/# /p' "$D/changes"
finish
