#!/bin/bash
# Goal: a key does what `fusetsu key generate` was asked for. `--auth each`: the PIN every time, a wrong
# one counts, and without it nothing is signed. `--auth none`: it signs for whoever is at the machine,
# without a login. `--pcrs`: only while the platform is in the state of that day. `--extractable`: it
# goes elsewhere, wrapped, and signs there the same. The rest can be seen by any PKCS#11 program in
# attributes, and the TPM's own words for the key agree with them.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

check "a token" "$FUSETSU" token init --label alpha --so-pin-file "$D/so" --pin-file "$D/pin"
generate() { "$FUSETSU" key generate --token alpha --pin-file "$D/pin" "$@"; }
do_() { foreign "$B/p11do" "$MODULE" open alpha "$@"; }
user() { do_ login "$D/pin" "$@"; }
echo "words to sign" >"$D/text"
openssl dgst -sha256 -binary "$D/text" >"$D/hash"
declare -A mech=([p256]=ecdsa [rsa2048]=sha256-rsa-pkcs) input=([p256]="$D/hash" [rsa2048]="$D/text")
public() { foreign p11tool --provider="$MODULE" --export "pkcs11:object=$1;type=public" --outfile "$D/$1.pem"; }
# ecdsa's r and s as OpenSSL wants them
der() {
    openssl asn1parse -noout -out "$1.der" -genconf <(printf '%s\n' asn1=SEQUENCE:rs '[rs]' \
        "r=INTEGER:0x$(head -c 32 "$1" | xxd -p -c 32)" "s=INTEGER:0x$(tail -c 32 "$1" | xxd -p -c 32)")
}
good() { # good TYPE LABEL SIGNATURE
    [ -e "$D/$2.pem" ] || public "$2" || return 1
    if [ "$1" = p256 ]; then
        der "$3" && openssl pkeyutl -verify -pubin -inkey "$D/$2.pem" -in "$D/hash" -sigfile "$3.der"
    else
        openssl dgst -sha256 -verify "$D/$2.pem" -signature "$3" "$D/text"
    fi
}
find_() { echo "find k class=private,label=$1"; }

# --- each -------------------------------------------------------------------

for type in p256 rsa2048; do
    m=${mech[$type]} in=${input[$type]} label=each-$type
    # shellcheck disable=SC2206  # words are wanted
    k=($(find_ "$label"))
    check "a key that wants the PIN each time: $type" generate --type "$type" --label "$label" --id "e$((${#type}))" --auth each
    expect_fail "without a login it is not seen" 'no such object' do_ "${k[@]}" get - k auth
    check "the login alone does not sign" user "${k[@]}" fails CKR_USER_NOT_LOGGED_IN sign "$D/sig" "$m" k "$in"
    check "login and PIN sign" user "${k[@]}" begin "$m" k context "$D/pin" end "$D/sig" "$in"
    check_out "the signature is good" 'Verified (OK|Success)' good "$type" "$label" "$D/sig"
    check "for one signature, not for two" user "${k[@]}" begin "$m" k context "$D/pin" end - "$in" \
        fails CKR_USER_NOT_LOGGED_IN sign - "$m" k "$in"
    check "twice when it is given twice" user "${k[@]}" begin "$m" k context "$D/pin" end - "$in" \
        begin "$m" k context "$D/pin" end - "$in"
    check "a wrong PIN signs nothing" user "${k[@]}" begin "$m" k fails CKR_PIN_INCORRECT context "$D/bad" \
        fails CKR_USER_NOT_LOGGED_IN end - "$in"
    check_out "and counts on the token" 'user PIN count low' p11 -T
    check_out "as one try" '"user_fails": 1,' "$FUSETSU" token info --token alpha --json
    check "a right one after it signs" user "${k[@]}" begin "$m" k fails CKR_PIN_INCORRECT context "$D/bad" \
        context "$D/pin" end "$D/sig" "$in"
    check_out "well" 'Verified (OK|Success)' good "$type" "$label" "$D/sig"
    check_out "and clears the count" '"user_fails": 0,' "$FUSETSU" token info --token alpha --json
    check "a PIN for no operation" user "${k[@]}" fails CKR_OPERATION_NOT_INITIALIZED context "$D/pin"
    check "no PIN in place of the login" do_ fails CKR_OPERATION_NOT_INITIALIZED context "$D/pin"
done
nine=()
for _ in {1..9}; do nine+=(fails CKR_PIN_INCORRECT context "$D/bad"); done
check "nine wrong ones in a row" user find k class=private,label=each-p256 begin ecdsa k "${nine[@]}"
check_out "leave one try" 'final user PIN try' p11 -T
check "which opens" user find k class=private,label=each-p256

tool_sign() { # tool_sign ID MECHANISM: pkcs11-tool knows CKA_ALWAYS_AUTHENTICATE
    p11_user --sign --id "$1" --mechanism "$2" --signature-format openssl --input-file "$D/text" --output-file "$D/sig"
}
tool_each() { tool_sign e4 ECDSA-SHA256 && public each-p256 && openssl dgst -sha256 -verify "$D/each-p256.pem" -signature "$D/sig" "$D/text"; }
check_out "pkcs11-tool gives the PIN again, and signs" 'Verified OK' tool_each
gnutls() { GNUTLS_PIN=$PIN foreign p11tool --batch --login --provider="$MODULE" --test-sign "pkcs11:object=each-rsa2048;type=private"; }
check_out "so does GnuTLS" 'public key in the token... ok' gnutls
check "pkcs11-tool makes one by --always-auth" p11_user --keypairgen --key-type EC:prime256v1 --label tool --id e9 \
    --usage-sign --always-auth
check "its login alone does not sign" user find k class=private,label=tool fails CKR_USER_NOT_LOGGED_IN sign - ecdsa k "$D/hash"
check "pkcs11-tool does" tool_sign e9 ECDSA-SHA256
decrypts() {
    public each-rsa2048 && openssl pkeyutl -encrypt -pubin -inkey "$D/each-rsa2048.pem" -in "$D/text" -out "$D/sealed" &&
        p11_user --decrypt --id e7 --mechanism RSA-PKCS --input-file "$D/sealed" --output-file "$D/back" &&
        cmp "$D/back" "$D/text" && user find k class=private,label=each-rsa2048 \
        fails CKR_USER_NOT_LOGGED_IN decrypt - rsa-pkcs k "$D/sealed"
}
check "decryption wants it as well" decrypts

# --- none -------------------------------------------------------------------

for type in p256 rsa2048; do
    label=none-$type
    check "a key that wants nothing: $type" generate --type "$type" --label "$label" --id "f$((${#type}))" --auth none
    check_out "it is seen without login" "label: *$label" p11 -O --type privkey
    check "it signs without login" do_ find k "class=private,label=$label" sign "$D/sig" "${mech[$type]}" k "${input[$type]}"
    check_out "well" 'Verified (OK|Success)' good "$type" "$label" "$D/sig"
    check "and with one" user find k "class=private,label=$label" sign "$D/sig" "${mech[$type]}" k "${input[$type]}"
done
others() { p11 -O --type privkey >"$D/list" && ! grep -E 'label: *(each|tool)' "$D/list"; }
check "the others are not" others
check "without login it cannot be destroyed" do_ find k class=private,label=none-p256 fails CKR_USER_NOT_LOGGED_IN destroy k
check "nor renamed" do_ find k class=private,label=none-p256 fails CKR_USER_NOT_LOGGED_IN set k label=mine

# --- pcrs -------------------------------------------------------------------

extend() { tpm2_pcrextend "$1:sha256=$(head -c 32 /dev/urandom | xxd -p -c 32)"; }
sign_pcr() { # sign_pcr LABEL [LOGIN...]
    do_ "${@:2}" find k "class=private,label=$1" sign "$D/sig" ecdsa k "$D/hash"
}
check "a key bound to PCR 16 and 23" generate --type p256 --label pcr --id c1 --pcrs sha256:16,23
check "one that wants no login as well" generate --type p256 --label pcr-none --id c2 --pcrs sha256:23 --auth none
check "one that wants the PIN each time" generate --type p256 --label pcr-each --id c3 --pcrs sha256:23 --auth each
check "one bound to another PCR" generate --type p256 --label pcr-16 --id c4 --pcrs sha256:16
each_pcr() { user find k class=private,label=pcr-each "$@" begin ecdsa k context "$D/pin" end "$D/sig" "$D/hash"; }
all_sign() {
    sign_pcr pcr login "$D/pin" && good p256 pcr "$D/sig" && sign_pcr pcr-none && good p256 pcr-none "$D/sig" &&
        each_pcr && good p256 pcr-each "$D/sig" && sign_pcr pcr-16 login "$D/pin"
}
check_out "they sign" 'Verified Success' all_sign
check "PCR 23 is extended" extend 23
for who in "pcr login $D/pin" pcr-none; do
    # shellcheck disable=SC2086  # words are wanted
    expect_fail "${who%% *}: refused, with the reason" "PCRs are not those the key is bound to" sign_pcr $who
    check_out "and by its own code" 'CKR_FUNCTION_REJECTED' cat <(sign_pcr $who 2>&1)
done
expect_fail "the right PIN does not help" "PCRs are not those" each_pcr
check_out "none of that counts as a wrong PIN" '"user_fails": 0,' "$FUSETSU" token info --token alpha --json
check "a key of another PCR signs" sign_pcr pcr-16 login "$D/pin"
bound_to_now() { generate --type p256 --label pcr-now --id c5 --pcrs sha256:23 && sign_pcr pcr-now login "$D/pin"; }
check "a new key is bound to the new state" bound_to_now
check "PCR 23 is as it was" tpm2_pcrreset 23
check_out "they sign again" 'Verified Success' all_sign
expect_fail "but not the new one" "PCRs are not those" sign_pcr pcr-now login "$D/pin"
for list in sha256:24 sha256: md5:1 23 sha256:1,x; do
    expect_fail "--pcrs $list is no list of PCRs" 'PCR|pcr|bank|fusetsu: ' generate --type p256 --label no --pcrs "$list"
done
no_key() { ! "$FUSETSU" key list --token alpha --json | grep '"no"'; }
check "nothing was made of those" no_key

# --- what can be seen -------------------------------------------------------

check "a plain key" generate --type p256 --label plain --id a1
attr() { user find k "class=private,label=$1" get - k "$2" | tail -n 1; }
check_out "session: mode 0" '^00' attr plain auth
check_out "each: mode 1" '^01' attr each-p256 auth
check_out "none: mode 2" '^02' attr none-p256 auth
check_out "the PCRs are there in words" "^$(printf 'sha256:16,23' | xxd -p)\$" attr pcr pcrs
check_out "the plain key has none" '^$' attr plain pcrs
check "they cannot be changed" user find k class=private,label=plain fails CKR_ATTRIBUTE_READ_ONLY set k auth=2
check "nor the name" user find k class=private,label=plain fails CKR_ATTRIBUTE_READ_ONLY set k name=00

# The TPM, asked by others: the blob of the key, loaded by tpm2-tools, has that Name and that qualified name.
query() { sqlite3 -readonly "$FUSETSU_STORE" "$1"; }
sized() { printf %04x $((${#1} / 2)) && echo "$1"; } # TPM2B: the size before it
names() { # names LABEL
    local name qualified id pub handle policy
    name=$(attr "$1" name) qualified=$(attr "$1" qualified-name) policy=$(attr "$1" policy)
    [ ${#name} -eq 68 ] && [ ${#qualified} -eq 68 ] || return 1
    for id in $(query 'select id from key'); do
        pub=$(query "select lower(hex(public)) from key where id = $id")
        [ "000b$(xxd -r -p <<<"$pub" | sha256sum | cut -c1-64)" = "$name" ] && break
    done
    handle=$(query "select printf('0x%x', primary_handle) from tpm")
    sized "$pub" | xxd -r -p >"$D/key.pub" &&
        sized "$(query "select lower(hex(private)) from key where id = $id")" | xxd -r -p >"$D/key.priv" &&
        tpm2_load -Q -C "$handle" -u "$D/key.pub" -r "$D/key.priv" -c "$D/key.ctx" -n "$D/name" &&
        tpm2_readpublic -c "$D/key.ctx" -q "$D/qualified" >"$D/public" &&
        tpm2_flushcontext -t || return 1
    [ "$(xxd -p -c 100 "$D/name")" = "$name" ] || { echo "Name: $name" && return 1; }
    [ "$(xxd -p -c 100 "$D/qualified")" = "$qualified" ] || { echo "qualified name: $qualified" && return 1; }
    # And as Part 1, 16 has it: the hash of the parent's qualified name and the Name.
    tpm2_readpublic -c "$handle" -q "$D/parent" >/dev/null &&
        [ "000b$(cat "$D/parent" "$D/name" | sha256sum | cut -c1-64)" = "$qualified" ] || return 1
    grep -q "authorization policy: ${policy:-\$}" "$D/public" || { [ -z "$policy" ] && ! grep -q 'authorization policy: .' "$D/public"; }
}
for label in plain each-p256 each-rsa2048 none-p256 pcr; do check "$label: Name, qualified name and policy are the TPM's" names $label; done
policies() { [ "$(attr each-p256 policy)" != "$(attr pcr policy)" ] && [ -z "$(attr none-p256 policy)" ]; }
check "the policies differ, and a key without has none" policies
differ() { [ "$(attr plain name)" != "$(attr pcr name)" ]; }
check "so do the Names" differ
before_login() { do_ find k class=private,label=none-p256 get - k name | tail -n 1 | grep -q "^$(attr none-p256 name)\$"; }
check "of a key without login they are read without login" before_login

# --- extractable ------------------------------------------------------------

for bad in "--auth each" "--auth none" "--pcrs sha256:16"; do
    # shellcheck disable=SC2086  # words are wanted
    expect_exit 2 "--extractable excludes $bad" 'excludes' generate --type p256 --label no --extractable $bad
done
check "wrapped, the plain key would not leave" user find k class=private,label=plain \
    generate w aes-key class=secret,type=aes,len=32,token=no,wrap fails CKR_KEY_UNEXTRACTABLE wrap "$D/w" aes-key-wrap-pad w k
for type in p256 rsa2048; do
    label=out-$type
    check_out "a key that may leave: $type" 'may leave this TPM' generate --type "$type" --label "$label" --id "d$((${#type}))" --extractable
    check_out "it is shown to be so" 'Access: *sensitive, .*extractable' p11_user -O --type privkey --id "d$((${#type}))"
    never() { ! grep 'never extractable' "$D/out"; }
    check "and not as one that never could" never
    # The wrapping key as another program knows it.
    wrap=$(head -c 32 /dev/urandom | xxd -p -c 32)
    check "it is wrapped" user create w "class=secret,type=aes,token=no,wrap,value=$wrap" find k "class=private,label=$label" \
        wrap "$D/$label.wrapped" aes-key-wrap-pad w k sign "$D/sig" "${mech[$type]}" k "${input[$type]}"
    mv "$D/sig" "$D/$label.sig"
    by_openssl() {
        openssl enc -d -id-aes256-wrap-pad -K "$wrap" -iv a65959a6 -in "$D/$label.wrapped" -out "$D/$label.p8" &&
            openssl pkey -inform DER -in "$D/$label.p8" -pubout -outform DER -out "$D/one" && public "$label" &&
            openssl pkey -pubin -in "$D/$label.pem" -outform DER -out "$D/two" && cmp "$D/one" "$D/two"
    }
    check "OpenSSL unwraps it: the key of that public half" by_openssl
    softhsm=/usr/lib/softhsm/libsofthsm2.so
    if [ ! -e "$softhsm" ]; then
        skip "SoftHSM2 imports it" "it is not installed"
        continue
    fi
    mkdir -p -m 700 "$D/softhsm"
    printf '%s\n' "directories.tokendir = $D/softhsm" 'objectstore.backend = file' 'log.level = ERROR' >"$D/softhsm.conf"
    export SOFTHSM2_CONF=$D/softhsm.conf
    check "a SoftHSM2 token" softhsm2-util --init-token --free --label "soft-$type" --so-pin "$SO" --pin "$PIN"
    kind=ec && [ "$type" = p256 ] || kind=rsa
    elsewhere() {
        timeout "$LIMIT" "$B/p11do" "$softhsm" open "soft-$type" login "$D/pin" \
            create w "class=secret,type=aes,token=no,unwrap,value=$wrap" \
            unwrap k aes-key-wrap-pad w "$D/$label.wrapped" "class=private,type=$kind,sign,token,label=come" \
            sign "$D/sig" "${mech[$type]}" k "${input[$type]}"
    }
    check "SoftHSM2 unwraps it and signs" elsewhere
    check_out "what it signs is good for our public key" 'Verified (OK|Success)' good "$type" "$label" "$D/sig"
    [ "$type" = p256 ] || check "byte for byte what our key signed" cmp "$D/sig" "$D/$label.sig"
    another() { good "$type" "each-$type" "$D/sig"; }
    expect_fail "and not for another" 'Verif' another
    back() {
        user create w "class=secret,type=aes,token=no,unwrap,value=$wrap" \
            unwrap k aes-key-wrap-pad w "$D/$label.wrapped" "class=private,type=$kind,sign,token=no" \
            sign "$D/sig" "${mech[$type]}" k "${input[$type]}" && good "$type" "$label" "$D/sig"
    }
    check_out "it comes back into a TPM, and signs" 'Verified (OK|Success)' back
done

# --- a store that was altered -----------------------------------------------

# What was put in its place: without login the store cannot tell, as its manual says; after the login
# it can, in the same process, whatever the TPM holds by then.
for n in 1 2; do check "another key without login" generate --type p256 --label "swap-$n" --id "f$n" --auth none; done
swap() { # the keys behind the two, by what their blobs hash to
    local a b
    a=$(row_of swap-1) && b=$(row_of swap-2) && sqlite3 "$FUSETSU_STORE" "create temp table t as select * from key;
        update key set public = (select public from t where id = $b), private = (select private from t where id = $b) where id = $a;
        update key set public = (select public from t where id = $a), private = (select private from t where id = $a) where id = $b;"
}
row_of() { # row_of LABEL: the row of its key
    local id pub name
    name=$(do_ find k "class=private,label=$1" get - k name | tail -n 1)
    for id in $(sqlite3 -readonly "$FUSETSU_STORE" 'select id from key'); do
        pub=$(sqlite3 -readonly "$FUSETSU_STORE" "select lower(hex(public)) from key where id = $id")
        [ "000b$(xxd -r -p <<<"$pub" | sha256sum | cut -c1-64)" = "$name" ] && echo "$id" && return 0
    done
    return 1
}
check "somebody who can write the store swaps the two" swap
check "without login the wrong one signs" do_ find k class=private,label=swap-1 sign "$D/sig" ecdsa k "$D/hash"
expect_fail "which its certificate or public key shows" 'Verification Failure' good p256 swap-1 "$D/sig"
expect_fail "after a login it is refused" 'sign .*: CKR_|altered|tag|damaged' user find k class=private,label=swap-1 sign - ecdsa k "$D/hash"
expect_fail "and in a process that had used it before" 'sign -: CKR_' do_ find k class=private,label=swap-1 \
    sign "$D/other" ecdsa k "$D/hash" login "$D/pin" sign - ecdsa k "$D/hash"
before() { [ -s "$D/other" ]; }
check "(which it had)" before
finish
