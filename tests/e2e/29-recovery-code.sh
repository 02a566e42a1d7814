#!/bin/bash
# Goal: a recovery code that was shown to nobody, or is lost, is had from the token with the SO PIN, while
# there is no lockout; and by nobody else.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

f() { "$FUSETSU" "$@"; }
code() { f token recovery-code --so-pin-file "$D/so" "$@"; }
forgive() { tpm2_dictionarylockout -Q -c -p "$1"; }

# --- a token that PKCS#11 made --------------------------------------------------------

check "a token is made by PKCS#11" new_token gw
check_out "the TPM's lockout authorisation is set" 'lockoutAuthSet: *1' tpm2_getcap properties-variable
check_out "token info says where it is" 'recovery-code' f token info
expect_exit 3 "a wrong SO PIN" '9 of 10' f token recovery-code --so-pin-file "$D/bad"
expect_exit 3 "the user PIN is none" '8 of 10' f token recovery-code --so-pin-file "$D/pin"
check_out "the SO PIN shows it" '^Recovery code: [0-9a-f]{64}$' code
hex=$(sed -n 's/^Recovery code: //p' "$D/out")
check "it works" forgive "hex:$hex"
check_out "the tries are cleared" '^0$' sqlite3 -readonly "$FUSETSU_STORE" 'SELECT so_fails FROM token'
check_out "for programs" "\"recovery_code\": *\"$hex\"" code --json
check "into a file" code --recovery-file "$D/recovery"
check_out "as token init writes it" "^$hex\$" cat "$D/recovery"
check "for its owner's eyes" test "$(stat -c %a "$D/recovery")" = 600
check "and not on the terminal" sh -c '! grep -q "$1" "$2"' - "$hex" "$D/out"
expect_exit 5 "a file that is there is not overwritten" 'name a new file' code --recovery-file "$D/recovery"
check_out "it is said before the token is erased" 'recovery-code' f token erase
check "made anew by PKCS#11 it keeps the code" p11 --slot-index 0 --init-token --label gw --so-pin "$SO"
check_out "the same" "$hex" code

# --- others ---------------------------------------------------------------------------------

check "a second token" f token init --label second --so-pin-file "$D/so" --pin-file "$D/pin"
expect_exit 5 "keeps none" 'no recovery code' f token recovery-code --token second --so-pin-file "$D/so"
check "a token with a TPM of its own" at 2 "$FUSETSU" token init --label own --own-tpm --so-pin-file "$D/so" \
    --pin-file "$D/pin" --recovery-file "$D/own"
check "keeps both codes" at 2 "$FUSETSU" token recovery-code --so-pin-file "$D/so" --recovery-file "$D/again"
check "the same" cmp "$D/own" "$D/again"
lock() { # by wrong authorisations of an index that is no token's
    tpm2_nvdefine -Q -C o -s 8 -a 'authread|authwrite' -p secret 0x1700000 || return 1
    for _ in {1..33}; do tpm2_nvread -Q -P wrong 0x1700000; done
    tpm2_getcap properties-variable | grep 'inLockout: *1'
}
check "others lock the TPM" lock
expect_exit 3 "then it gives out nothing" 'lockout' code --token gw
check "the code ends that" forgive "hex:$hex"
check_out "and is shown again" "$hex" code --token gw
finish
