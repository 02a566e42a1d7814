#!/bin/bash
# Goal: a derived or session secret never reaches the disk, and a secret key of the token is there only
# as a blob of the TPM. Secrets that we know are agreed, derived, created, unwrapped, generated and read
# back, as session and as token objects, and used by several processes, one of which is killed. Every
# byte that such a process wrote (store and journal among them), the store, the directories for
# temporary files and shared memory are searched for each secret in raw, hex and base64 form. The same
# search finds data that was meant to lie there.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

mkdir -m 700 "$D/tmp" "$D/home" "$D/seen"
export TMPDIR=$D/tmp HOME=$D/home XDG_RUNTIME_DIR=$D/tmp
: >"$D/began"
check "a token is made" new_token alpha
check "a key that agrees" new_key EC:prime256v1 ec 01
check "a key that unwraps" p11_user --keypairgen --key-type rsa:2048 --label rsa --id 02 --usage-wrap
for key in ec rsa; do
    foreign p11tool --provider="$MODULE" --export "pkcs11:object=$key;type=public" --outfile "$D/$key.pem" \
        >"$D/out" 2>&1 || not_ok "public key of $key" "not exported"
done

# --- what to search for -----------------------------------------------------

# From here on no secret is in a file, nor in what `check` keeps of a program's output.
random() { head -c "$1" /dev/urandom | xxd -p | tr -d '\n'; }
text_hex() { printf %s "$1" | xxd -p | tr -d '\n'; }
# forms HEX: what a search looks for, in hex, of 16 bytes: raw, as hex digits, as base64 wherever
# it may begin in its group of three.
forms() {
    echo "$1"
    text_hex "$1" && echo
    text_hex "${1^^}" && echo
    text_hex "$(xxd -r -p <<<"$1" | base64 | head -c 21)" && echo
    text_hex "$(xxd -r -p <<<"00$1" | base64 | head -c 22 | tail -c +3)" && echo
    text_hex "$(xxd -r -p <<<"0000$1" | base64 | head -c 24 | tail -c +4)" && echo
}
patterns=() known=()
secret() { # secret HEX: to be searched for, its beginning and its end
    local piece
    [ ${#1} -ge 32 ] || { not_ok "the story knows what to search for" "a secret is missing" && return; }
    known+=("$1")
    while read -r piece; do patterns+=("$piece"); done < <(forms "${1:0:32}" && forms "${1: -32}")
}
search() { "$B/memsearch" "$@" "${patterns[@]}"; }
# everywhere DIRECTORY...: in each file that is there
everywhere() {
    local f rc=0
    while IFS= read -r f; do
        # What was taken away meanwhile: a journal, or a file of another program.
        search --file "$f" >"$D/seen/one" 2>&1 || grep -q "No such file" "$D/seen/one" ||
            { rc=1 && echo "$f" && grep -v ": 0 found" "$D/seen/one"; }
    done < <(find "$@" -type f ! -path "$D/seen/*" 2>/dev/null)
    return $rc
}
disk() {
    everywhere "$D" "$TPM_DIR/tpm1/state" && everywhere /dev/shm /run/lock /var/tmp /tmp -newer "$D/began" -user "$(id -u)"
}

# --- secrets with known values ----------------------------------------------

point() { openssl pkey -in "$1" -pubout -outform DER | tail -c 65 | xxd -p | tr -d '\n'; }
agreed() { openssl pkeyutl -derive -inkey "$1" -peerkey "$D/ec.pem" | xxd -p | tr -d '\n'; }
for peer in 1 2 3; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$D/peer$peer" 2>/dev/null
    secret "$(agreed "$D/peer$peer")"
done
# Of the third agreement only what X9.63 makes of it.
x963=$(openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt "hexsecret:${known[2]}" X963KDF | tr -d ':\n')
base=$(random 32) created=$(random 32) wrapped=$(random 32) copied=$(random 16) token_made=$(random 32)
hkdf() {
    openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt "hexkey:$1" -kdfopt hexsalt:5a5a -kdfopt hexinfo:a5a5 HKDF |
        tr -d ':\n'
}
derived=$(hkdf "$base") token_derived=$(hkdf "$token_made")
for s in "$x963" "$base" "$created" "$wrapped" "$copied" "$token_made" "$derived" "$token_derived"; do
    secret "$(tr 'A-F' 'a-f' <<<"$s")"
done
xxd -r -p <<<"$wrapped" | openssl pkeyutl -encrypt -pubin -inkey "$D/rsa.pem" -pkeyopt rsa_padding_mode:oaep \
    -pkeyopt rsa_oaep_md:sha256 -out "$D/wrapped"

# --- the search finds what is there -----------------------------------------

for n in 0 1 2; do
    found() { # the first secret, with other bytes around it
        local rc=0
        { head -c "$n" /dev/zero && xxd -r -p <<<"${known[0]}" && head -c 3 /dev/zero; } | "$@" >"$D/seen/marked"
        search --file "$D/seen/marked" || rc=$?
        rm "$D/seen/marked"
        [ "$rc" -eq 1 ]
    }
    check "the search would find it raw, $n bytes in" found cat
    check "in hex" found xxd -p -c 256
    check "in base64" found base64 -w 0
done
printf nothing >"$D/seen/nothing"
check "and finds nothing in nothing" search --file "$D/seen/nothing"

# --- session and token objects of all kinds, under a tracer -----------------

can_trace=no
strace -o "$D/seen/trace" true >/dev/null 2>&1 && can_trace=yes
# traced NAME STEP...: what the process writes goes to $D/seen, which is searched by itself.
traced() {
    local name=$1
    shift
    strace -f -y -xx -s 2000000 -o "$D/seen/$name" \
        -e trace=write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,mmap,openat,unlink \
        "${FOREIGN[@]}" timeout -k 5 "$LIMIT" "$B/p11do" "$MODULE" open alpha login "$D/pin" "$@"
}
# All data of the trace as they were; standard output, which is ours to ask for, left out.
# In the trace paths are in hex, too.
written() { # written NAME [END-OF-PATH]
    local path=.
    [ $# -eq 1 ] || path=$(printf %s "$2" | xxd -p | tr -d '\n' | sed 's/../\\\\x&/g')'>'
    grep -E '(write|send)' "$D/seen/$1" | grep -vE '^[0-9]+ +[a-z0-9]+\((1|2)<' | grep -e "$path" |
        grep -oE '"[^"]*"' | tr -d '"' | sed 's/\\x//g' | xxd -r -p >"$D/seen/bytes"
    [ -s "$D/seen/bytes" ]
}
clean() { written "$1" && search --file "$D/seen/bytes"; }

sess=class=secret,token=no,private,sensitive,sign,derive,encrypt,decrypt
tok=class=secret,token,private,sensitive,sign,derive
open_=${sess/sensitive/sensitive=no,extractable}
session_steps=(
    find ec class=private,label=ec find rsa class=private,label=rsa
    derive z "ecdh:$(point "$D/peer1")" ec "$sess,type=generic,len=32"
    derive x "ecdh-sha256:$(point "$D/peer3")" ec "$open_,type=aes,len=32"
    create b "$open_,type=hkdf,value=$base"
    derive h hkdf:5a5a:a5a5 b "$sess,type=aes,len=32"
    create c "$sess,type=generic,value=$created"
    create e "$open_,type=aes,value=$copied" copy f e label=copy
    unwrap u oaep-sha256 rsa "$D/wrapped" "$open_,type=generic"
    sign - sha256-hmac z "$D/pin" sign - sha256-hmac c "$D/pin" sign - sha256-hmac u "$D/pin"
    encrypt - aes-cbc-pad:00112233445566778899aabbccddeeff h "$D/pin"
    encrypt - aes-ctr:00112233445566778899aabbccddeeff x "$D/pin"
)
token_steps=(
    find ec class=private,label=ec find rsa class=private,label=rsa
    derive z "ecdh:$(point "$D/peer2")" ec "$tok,type=generic,len=32,label=tz"
    create b "${tok/sensitive/sensitive=no,extractable},type=generic,value=$token_made,label=tb"
    derive h hkdf:5a5a:a5a5 b "$tok,type=generic,len=32,label=th"
    create c "$tok,type=generic,value=$created,label=tc"
    unwrap u oaep-sha256 rsa "$D/wrapped" "$tok,type=generic,label=tu"
    create e "$open_,type=aes,value=$copied" copy f e "token,label=te"
    sign - sha256-hmac z "$D/pin" sign - sha256-hmac h "$D/pin"
)
plain() { foreign "$B/p11do" "$MODULE" open alpha login "$D/pin" "$@"; }
app() { if [ $can_trace = yes ]; then traced "$@"; else plain "${@:2}"; fi; }
mac() { openssl mac -digest SHA256 -macopt "hexkey:$1" -in "$D/pin" HMAC | tr 'A-F' 'a-f'; }

# Their values are right: MACs and ciphertexts are those of OpenSSL.
said=$(app session "${session_steps[@]}" 2>"$D/out")
lines=$(grep -cE '^[0-9a-f]{20,}$' <<<"$said")
same() { [ "$(grep -E '^[0-9a-f]{64}$' <<<"$said" | sed -n "${1}p")" = "$(mac "$2")" ]; }
check_out "session secrets of all kinds are used" '^5$' echo "$lines"
check "the agreed one is OpenSSL's" same 1 "${known[0]}"
check "the created one" same 2 "$created"
check "the unwrapped one" same 3 "$wrapped"
enc() { openssl enc "$1" -K "$2" -iv 00112233445566778899aabbccddeeff -in "$D/pin" | xxd -p | tr -d '\n'; }
ciphered() { grep -q "^$(enc -aes-256-cbc "$derived")\$" <<<"$said" && grep -q "^$(enc -aes-256-ctr "$x963")\$" <<<"$said"; }
check "the derived ones" ciphered

said=$(app token "${token_steps[@]}" 2>"$D/out")
check "token secrets: the agreed one is OpenSSL's" same 1 "${known[1]}"
check "the derived one" same 2 "$token_derived"
# A generated one is known when it has been read back.
made=$(plain generate k generic-key "${tok/sensitive/sensitive=no,extractable},len=32,label=tg" get - k value 2>"$D/out" | tail -n 1)
secret "$made"
made=$(plain generate k aes-key "$open_,len=32" get - k value 2>"$D/out" | tail -n 1)
secret "$made"
later() {
    local k hex
    for k in "tz ${known[1]}" "tc $created" "tu $wrapped" "tb $token_made" "th $token_derived"; do
        hex=$(plain find k "label=${k% *}" sign - sha256-hmac k "$D/pin" | tail -n 1)
        [ "$hex" = "$(mac "${k#* }")" ] || { echo "${k% *}" && return 1; }
    done
}
check "another process uses the token's" later
kept() { plain find k label=tb get - k value | tail -n 1 | grep -q "^$token_made\$"; }
check "and reads the one that may be read" kept
expect_fail "not one that may not" CKR_ATTRIBUTE_SENSITIVE plain find k label=tc get - k value

blobs() { sqlite3 -readonly "$FUSETSU_STORE" "select count(*), count(key), (select count(*) from attr
    join object on object = object.id where class = 4 and type = 17) from object where class = 4"; }
check_out "the store has a TPM blob for each, and no value (CKA_VALUE)" '^7\|7\|0$' blobs
check "no secret is on the disk" disk

# What was meant to be there is found there.
mark=$(random 24)
marked() { plain create d "class=data,token,private=no,label=marker,value=$1"; }
finds() { # finds FILE HEX
    local rc=0
    "$B/memsearch" --file "$1" "$2" >/dev/null || rc=$?
    [ "$rc" -eq 1 ]
}
check "a marker is stored as data" marked "$mark"
for_mark() { # for_mark HEX: the search of the disk, for that alone
    local patterns=("$1")
    disk
}
expect_fail "the same search finds it in the store" '/store\.db$' for_mark "$mark"
hidden=$(random 24)
private_mark() { plain create d "class=data,token,private,label=hidden,value=$hidden"; }
check "and one that is stored as private data" private_mark
check "it does not find: that is sealed" for_mark "$hidden"

# --- what was written, byte for byte ----------------------------------------

if [ $can_trace = yes ]; then
    for name in session token; do
        check "nothing in what the process with $name objects wrote, to disk or TPM" clean "$name"
    done
    check "that was the store" written token /store.db
    check "and its journal" written token /store.db-journal
    no_store() { ! written session /store.db && ! written session /store.db-journal; }
    check "a process with session objects alone writes nothing into the store" no_store
    # Shared mappings of files would be written without a call.
    shared() { ! grep -hE 'mmap\(.*PROT_WRITE.*MAP_SHARED' "$D/seen/session" "$D/seen/token" | grep -v MAP_ANONYMOUS | grep store; }
    check "no file of ours is mapped for writing" shared
    second=$(random 24)
    traced marker create d "class=data,token,private=no,label=marker2,value=$second" destroy d >"$D/out" 2>&1
    in_writes() { written marker "$1" && finds "$D/seen/bytes" "$second"; }
    check "(the trace does show a marker on its way into the store)" in_writes /store.db
    check "(and into the journal, when it is deleted)" in_writes /store.db-journal
else
    skip "what was written, byte for byte" "nothing can be traced here"
fi

# --- several processes, while they run --------------------------------------

waiting() { [ "$(grep -c paused "$D/seen/w$1" 2>/dev/null)" = 1 ] || gone "$2"; }
holders=()
for n in 1 2 3; do
    background "${FOREIGN[@]}" "$B/p11do" "$MODULE" open alpha login "$D/pin" "${session_steps[@]}" \
        find t label=tz sign - sha256-hmac t "$D/pin" pause destroy z logout >"$D/seen/w$n" 2>&1 </dev/null
    holders+=("$LAST")
done
all_wait() {
    local i
    for i in 0 1 2; do poll 40 waiting $((i + 1)) "${holders[i]}" && ! gone "${holders[i]}" || { cat "$D/seen/w$((i + 1))" && return 1; }; done
}
check "three processes hold and use them at once" all_wait
check "a fourth one writes meanwhile" marked "$(random 24)"
check "no secret is on the disk while they hold them" disk

locked() { # each place in memory where a derived secret lies is locked and left out of cores
    local range flags n=0
    "$B/memsearch" "${holders[0]}" "${known[0]:0:32}" "${derived:0:32}" "${x963:0:32}" >"$D/seen/mem"
    while read -r range; do
        n=$((n + 1))
        flags=$(awk -v r="$range" '$1 == r { on = 1 } on && /^VmFlags/ { print; exit }' "/proc/${holders[0]}/smaps")
        case $flags in *" lo "*) ;; *) echo "$range is not locked: $flags" && return 1 ;; esac
        case $flags in *" dd "*) ;; *) echo "$range goes into cores: $flags" && return 1 ;; esac
    done < <(sed -nE 's/^ *#[0-9]+ [0-9]+ in ([0-9a-f]+-[0-9a-f]+) .*/\1/p' "$D/seen/mem" | sort -u)
    [ "$n" -gt 0 ] || { cat "$D/seen/mem" && echo "found nowhere" && return 1; }
}
if is_asan; then
    skip "memory that is locked" "a sanitizer's shadow memory is too large to search"
elif [ "$(ulimit -l)" != unlimited ] && [ "$(ulimit -l)" -lt 64 ]; then
    skip "memory that is locked" "this user may lock none"
else
    check "in memory they lie where nothing is swapped or dumped" locked
fi
kill -KILL "${holders[1]}"
poll 10 gone "${holders[1]}"
for n in 0 2; do kill -CONT "${holders[n]}"; done
ended() { poll 20 gone "${holders[0]}" && poll 20 gone "${holders[2]}"; }
check "two end, and one was killed" ended
check "no secret is on the disk after that" disk
check "the token's keys are there still" later
for k in tz tb th tc tu te tg; do
    plain find k "label=$k" destroy k >"$D/out" 2>&1 || not_ok "$k is destroyed" "it is not"
done
expect_fail "destroyed, they are gone" 'no such object' plain find k label=tz sign - sha256-hmac k "$D/pin"
check "and nothing of them is left" disk
finish
