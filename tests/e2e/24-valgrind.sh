#!/bin/bash
# Goal: one life of the module (load, login, signatures with two keys, key generation, logout, unload)
# touches no memory that is not its own and leaves none behind, by valgrind's account.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
LIMIT=200
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

if is_asan; then
    skip "valgrind" "a sanitized build cannot run under it, and checks the same by itself"
    finish
fi
command -v valgrind >/dev/null || { skip "valgrind" "it is not installed" && finish; }

check "a token is made" new_token alpha
check "an EC key" new_key EC:prime256v1 ec 01
check "an RSA key" new_key rsa:2048 rsa 02

watched() {
    valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect,possible \
        --errors-for-leak-kinds=definite,indirect,possible --track-fds=no --num-callers=30 \
        --child-silent-after-fork=yes \
        "$B/signloop" "$MODULE" "$@"
}
check "login, signatures, verification, key generation, logout" \
    watched init slots open alpha mechs login "$D/pin" find ec attrs sign 2 verify digest \
    find rsa sign 2 verify generate new sign 1 logout fin
check "the same without C_Finalize" watched init open alpha login "$D/pin" find ec sign 1
expect_fail "a wrong PIN" 'C_Login: 0xa0' watched init open alpha login "$D/bad"
cp "$D/out" "$D/wrong"
quiet() { ! grep '^==' "$D/wrong"; }
check "leaves nothing behind either" quiet

# That it would be seen.
expect_fail "valgrind does see a leak" 'definitely lost' \
    valgrind --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
    "$B/signloop" "$MODULE" leak
finish
