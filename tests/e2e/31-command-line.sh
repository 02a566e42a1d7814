#!/bin/bash
# The command line as an administrator uses it: every command of tokens, keys and
# certificates, JSON that parses, exit codes that mean what the manual says, dry runs.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/lib.sh
story 1 "$@"

f() { "$FUSETSU" "$@"; }
json() { # json FILTER COMMAND... : the output parses and the filter is true
    local filter=$1
    shift
    f "$@" --json 2>"$D/err" | jq -e "$filter"
}
n=0
login() { n=$((n + 1)); f key generate --token gw --type p256 --label "probe$n" "$@"; }
pins=(--so-pin-file "$D/so" --pin-file "$D/pin")

check_out "help" 'Usage: fusetsu COMMAND' f --help
check_out "version" '^fusetsu [0-9]' f --version
expect_exit 2 "an unknown command names the nearest" 'token' f tokn
expect_exit 2 "a missing option says which" 'label.*fusetsu token init --help' f token init
expect_exit 2 "a PIN as an argument is refused" 'pin' f key list --pin 123456
expect_exit 3 "no prompt where there is no terminal" 'pin-file' f token init --label x

check_out "token init prints the recovery code once" '[0-9a-f]{64}' f token init --label gw "${pins[@]}"
expect_exit 5 "a second token of the same name is refused" 'already.*another label' f token init --label gw "${pins[@]}"
parallel_inits() {
    local i pids=()
    for i in 1 2 3; do f token init --label "p$i" "${pins[@]}" & pids+=($!); done
    for i in "${pids[@]}"; do wait "$i" || return 1; done
}
check "three at the same time into one store" parallel_inits
check_out "none of them took the others away" '^p1 ' f token list
check_out "all three are there" '^p3 ' f token list
for i in 1 2 3; do f token erase --token "p$i" --yes >"$D/out" 2>&1; done
check_out "token list" 'gw .*ready' f token list
check "token list --json" json '[.. | strings] | any(. == "gw")' token list
check_out "token info explains" 'thief' f token info --token gw
check "token info --json" json 'type == "object"' token info
check_out "attest ek shows endorsement certificates" 'RSA|P-384|BEGIN' f attest ek
check "attest ek --json" json 'length > 0 and all(.key_id | length == 64)' attest ek

check "key generate P-256" f key generate --token gw --type p256 --label ec --pin-file "$D/pin"
check "key generate RSA" f key generate --token gw --type rsa2048 --label rsa --id 0a0b --pin-file "$D/pin"
check_out "key list" 'rsa.*0a0b|0a0b.*rsa' f key list --token gw
check "key list --json" json '[.. | strings] | any(. == "ec")' key list
expect_exit 3 "a wrong PIN" 'is wrong; 9 of 10' login --pin-file "$D/bad"
check_out "which token info counts" '1 of 10' f token info

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$D/k" -out "$D/c.pem" -subj /CN=c -days 1 2>"$D/out"
check "cert import" f cert import --token gw --label mine --pin-file "$D/pin" "$D/c.pem"
check_out "cert list" 'mine' f cert list --token gw
check "cert export gives back what went in" \
    sh -c '"$1" cert export --token gw --label mine | openssl x509 | cmp - "$2"' - "$FUSETSU" "$D/c.pem"
echo hello >"$D/text"
expect_fail "a text file is no certificate" 'certificate' f cert import --token gw --pin-file "$D/pin" "$D/text"

printf new-pin-99 >"$D/new"
check "set-pin" f token set-pin --token gw --pin-file "$D/pin" --new-pin-file "$D/new"
expect_exit 3 "the old PIN is gone" 'wrong' login --pin-file "$D/pin"
check "the new PIN works" login --pin-file "$D/new"
check "the SO unblocks with the first PIN" f token unblock --token gw --so-pin-file "$D/so" --new-pin-file "$D/pin"
check "which works again" login --pin-file "$D/pin"
check "a PIN-URI works as well" f key generate --type p256 --label by-uri --uri "pkcs11:token=gw?pin-source=file:$D/pin"
check "and a file descriptor" sh -c '"$1" key generate --type p256 --label by-fd --pin-fd 5 5<"$2"' - "$FUSETSU" "$D/pin"

check_out "key delete without --yes only says" 'would|--yes' f key delete --token gw --label ec --pin-file "$D/pin"
check_out "and keeps the key" '^ec ' f key list --token gw
check "key delete --yes" f key delete --token gw --label ec --yes --pin-file "$D/pin"
check_out "the other key is still there" '^rsa ' f key list --token gw
check "the deleted one is not" sh -c '! "$1" key list | grep -q "^ec "' - "$FUSETSU"

check_out "erase without --yes only says" 'would|--yes' f token erase --token gw
check_out "and leaves the token" 'gw .*ready' f token list
check "erase --yes" f token erase --token gw --yes
check "no token is left" sh -c '! "$1" token list | grep -qw gw' - "$FUSETSU"
check "a token whose TPM is then cleared" f token init --label lost --weak-lockout "${pins[@]}"
check "the TPM is cleared by the platform" tpm2_clear -Q -c p
expect_exit 5 "erasing says that its TPM does not have it" 'cleared' f token erase --token lost --yes
check "and it can be forgotten" f token erase --token lost --yes --forget
check "no NV index is left" sh -c '! tpm2_getcap handles-nv-index | grep -qi "0x18"'
finish
