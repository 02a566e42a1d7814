#!/bin/bash
# Goal: what goes wrong at a desk at night is told in one sentence that names the thing and says what
# to do, with the exit code or CKR_ value that belongs to it; and nothing is lost by trying.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

generate() { "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$1"; }
# sentence CODE WHAT PATTERN COMMAND...: our program fails with that exit code, and the first line that
# it prints is one of ours and matches.
sentence() {
    local code=$1 what=$2 pattern=$3
    shift 3
    expect_exit "$code" "$what" "^fusetsu: .*($pattern)" "$@"
}

check "a token that locks after three wrong PINs" "$FUSETSU" token init --label alpha \
    --pin-file "$D/pin" --so-pin-file "$D/so" --user-tries 3 --recovery-file "$D/recovery"
check "a key on it" new_key EC:prime256v1 ec 01
check "the store is kept aside" cp "$FUSETSU_STORE" "$D/good.db"

# --- the TPM ----------------------------------------------------------------

none() { FUSETSU_TCTI=swtpm:path=$D/none "$@"; }
sentence 4 "no TPM: our program names the TCTI and where to set it" "$D/none.*FUSETSU_TCTI" \
    none generate "$D/pin"
expect_fail "no TPM: the module says CKR_DEVICE_REMOVED" 'C_Login failed: rv = CKR_DEVICE_REMOVED' \
    none p11_user -O
check_out "no TPM: what needs none still works" 'ec .*P-256' none "$FUSETSU" key list
check_out "no TPM: the token is listed" 'token label *: alpha' none p11 -L
check_out "no TPM: so are its public objects" 'label: *ec' none p11 -O
sentence 4 "a TCTI that does not exist" "no-such-tcti.*FUSETSU_TCTI" \
    env FUSETSU_TCTI=no-such-tcti:x "$FUSETSU" key generate --type p256 --label x --pin-file "$D/pin"

other_tpm() { FUSETSU_TCTI=$TPM_TCTI_2 "$@"; }
sentence 5 "a store of another TPM" "$FUSETSU_STORE.*another TPM" other_tpm generate "$D/pin"
expect_fail "a store of another TPM: the module" 'C_Login failed: rv = CKR_(DEVICE_REMOVED|DEVICE_ERROR|TOKEN_NOT_RECOGNIZED)' \
    other_tpm p11_user -O
# The other TPM has a primary of its own at the same place.
check "the other TPM gets a token of its own" at 2 new_token beta
# Whoever answers with another key in the place of the primary gets no PIN.
expect_fail "a store of another TPM that has tokens: our program" '^fusetsu: .' other_tpm generate "$D/pin"
expect_fail "a store of another TPM that has tokens: the module" 'C_Login failed: rv = CKR_DEVICE' \
    other_tpm p11_user -O
check "after all that the token works" p11_user -O

# --- the settings -----------------------------------------------------------

printf 'store = x\n[unclosed\n' >"$D/bad.conf"
bad_conf() { FUSETSU_CONF=$D/bad.conf "$@"; }
sentence 5 "settings that do not parse" "$D/bad.conf does not parse at line 2" bad_conf generate "$D/pin"
check_out "the module goes on without tokens, and says why" "$D/bad.conf does not parse at line 2" bad_conf p11 -L
sentence 5 "settings that are not there" "$D/absent.*check its path" \
    env FUSETSU_CONF="$D/absent" "$FUSETSU" token list
expect_fail "a program with the module fails in order" 'No slot with a token was found' bad_conf p11_user -O

# --- the store --------------------------------------------------------------

same() { [ "$(sha256sum <"$FUSETSU_STORE")" = "$sum" ] || { echo "the file was changed"; return 1; }; }
# broken WHAT PATTERN: the store in place is refused by everybody, and left as it is
broken() {
    sum=$(sha256sum <"$FUSETSU_STORE")
    chmod 600 "$FUSETSU_STORE"
    sentence 5 "$1: use" "$2" generate "$D/pin"
    sentence 5 "$1: list" "$2" "$FUSETSU" token list
    sentence 5 "$1: a new token" "$2" "$FUSETSU" token init --label b --pin-file "$D/pin" --so-pin-file "$D/so"
    check_out "$1: the module lists no token, and says why" "$2" p11 -L
    expect_fail "$1: the module makes no token in it" 'CKR_[A-Z_]+' \
        p11 --slot-index 0 --init-token --label b --so-pin "$SO"
    check "$1: the file is as it was" same
}
head -c 20000 /dev/urandom >"$FUSETSU_STORE"
broken "random bytes" "$FUSETSU_STORE.*not a database.*restore it from a backup"
head -c 9000 "$D/good.db" >"$FUSETSU_STORE"
broken "a truncated store" "$FUSETSU_STORE.*damaged.*restore it from a backup"
cp "$D/good.db" "$FUSETSU_STORE"
page=$(sqlite3 "$D/good.db" "SELECT rootpage FROM sqlite_master WHERE name = 'token'")
size=$(sqlite3 "$D/good.db" 'PRAGMA page_size')
dd if=/dev/urandom of="$FUSETSU_STORE" bs="$size" seek=$((page - 1)) count=1 conv=notrunc status=none
broken "a store with a damaged page" "$FUSETSU_STORE.*damaged.*restore it from a backup"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 >"$FUSETSU_STORE" 2>/dev/null
broken "a PEM file" "$FUSETSU_STORE.*not a database"
rm "$FUSETSU_STORE"
sqlite3 "$FUSETSU_STORE" 'CREATE TABLE contact(name); INSERT INTO contact VALUES (1)'
broken "a database of another program" "$FUSETSU_STORE is a database of another program.*choose another path"
cp "$D/good.db" "$FUSETSU_STORE"
sqlite3 "$FUSETSU_STORE" 'PRAGMA user_version = 9999'
broken "a newer store" "$FUSETSU_STORE has version 9999.*use a newer fusetsu"
cp "$D/good.db" "$FUSETSU_STORE"
# Rows that were edited are noticed at login, by their tags.
sqlite3 "$FUSETSU_STORE" "UPDATE attr SET value = x'01' WHERE sealed = 0 AND
    object = (SELECT id FROM object WHERE private = 1)" 2>"$D/out" || not_ok "the story can edit a row" "the schema is not what it expects"
expect_fail "an edited row" 'CKR_DEVICE_ERROR' p11_user -O
sentence 5 "an edited row: our program" "$FUSETSU_STORE" generate "$D/pin"

rm "$FUSETSU_STORE"
sentence 5 "no store: our program says to make a token" "$FUSETSU_STORE.*make a token first" "$FUSETSU" token list
check_out "no store: the module offers an empty slot" 'uninitialized' p11 -L
missing() { [ ! -e "$FUSETSU_STORE" ]; }
check "no store: looking made none" missing
cp "$D/good.db" "$FUSETSU_STORE" && chmod 600 "$FUSETSU_STORE"
check "the good store, put back, works" p11_user -O

# --- permissions ------------------------------------------------------------

# Root without the capability to pass over file modes is refused as everybody is.
if [ "$(id -u)" -eq 0 ]; then
    plain=(setpriv '--bounding-set=-dac_override,-dac_read_search')
else
    plain=(env)
fi
if "${plain[@]}" true 2>/dev/null; then
    chmod 500 "$D/1"
    sum=$(sha256sum <"$FUSETSU_STORE")
    sentence 5 "a directory without write permission: our program" "$FUSETSU_STORE" \
        "${plain[@]}" "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$D/pin"
    expect_fail "a directory without write permission: the module" CKR_TOKEN_WRITE_PROTECTED \
        foreign "${plain[@]}" pkcs11-tool --module "$MODULE" --login --pin "$PIN" \
        --keypairgen --key-type EC:prime256v1
    check "reading and signing still work" foreign "${plain[@]}" pkcs11-tool --module "$MODULE" \
        --login --pin "$PIN" --sign --mechanism ECDSA-SHA256 --id 01 --input-file "$D/fusetsu.conf" --output-file "$D/sig"
    check "the file is as it was" same
    sentence 5 "no new store there" "$D/1" env FUSETSU_STORE="$D/1/x/store.db" \
        "${plain[@]}" "$FUSETSU" token init --label b --pin-file "$D/pin" --so-pin-file "$D/so"
    chmod 700 "$D/1"
    chmod 000 "$FUSETSU_STORE"
    sentence 5 "a store that may not be read" "$FUSETSU_STORE.*(owner|mode)" "${plain[@]}" "$FUSETSU" token list
    chmod 600 "$FUSETSU_STORE"
else
    skip "stores without permission" "setpriv cannot drop capabilities here"
fi

# --- the PIN ----------------------------------------------------------------

check "first a good login" p11_user -O
sentence 3 "a wrong PIN: our program counts" '2 of 3 tries' generate "$D/bad"
expect_fail "a wrong PIN: the module" 'C_Login failed: rv = CKR_PIN_INCORRECT' p11 --login --pin wrong-pin -O
generate "$D/bad" >/dev/null 2>&1
sentence 3 "a locked PIN: our program says who can help" 'locked.*SO' generate "$D/pin"
expect_fail "a locked PIN: the module" 'C_Login failed: rv = CKR_PIN_LOCKED' p11_user -O
printf %s abc >"$D/short"
sentence 3 "a PIN that is too short" '6 to 64' "$FUSETSU" token unblock --token alpha --so-pin-file "$D/so" \
    --new-pin-file "$D/short"
check "the SO helps" "$FUSETSU" token unblock --token alpha --so-pin-file "$D/so" --new-pin-file "$D/pin"
check_out "and the key is still there" 'Private Key Object' p11_user -O
sentence 5 "a PIN file that is not there" "$D/gone" generate "$D/gone"
sentence 2 "misuse of the command line" 'option' "$FUSETSU" key generate --no-such-option
finish
