#!/bin/bash
# Goal: an admin who knows only OpenSC's pkcs11-tool brings an empty machine to a token with keys and
# certificates, uses each mechanism that the token advertises (OpenSSL checks the result), sees how
# near the PIN is to its lock, and has the SO open it again.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

# --- from nothing to keys ---------------------------------------------------

check "C_InitToken makes a token on a fresh store" \
    p11 --slot-index 0 --init-token --label alpha --so-pin "$SO"
expect_fail "the user cannot log in before the SO has set a PIN" CKR_USER_PIN_NOT_INITIALIZED p11_user -O
expect_fail "a wrong SO PIN sets no user PIN" CKR_PIN_INCORRECT \
    p11 --login --login-type so --so-pin wrong-so-pin --init-pin --new-pin "$PIN"
check "C_InitPIN sets the user PIN" \
    p11 --login --login-type so --so-pin "$SO" --init-pin --new-pin "$PIN"
check_out "the token says that it is ready" 'token flags.*token initialized.*PIN initialized' p11 -T

p11 -M >"$D/mechs" 2>&1
offered() { # offered MECHANISM BITS: whether the token advertises keys of that size
    local range
    range=$(sed -n "s/^ *$1, keySize={\([0-9]*\),\([0-9]*\)}.*/\1 \2/p" "$D/mechs")
    [ -n "$range" ] && [ "$2" -ge "${range% *}" ] && [ "$2" -le "${range#* }" ]
}
ec_keys=() rsa_keys=()
export_key() { # export_key LABEL ID
    # OpenSC 0.23 with OpenSSL 3.0 reads freed memory when it writes EC keys, whoever's token it is:
    # whether it works is chance. GnuTLS does it instead.
    if [[ $1 == p* ]]; then
        foreign p11tool --provider="$MODULE" --export "pkcs11:object=$1;type=public" --outfile "$D/$1.pem"
    else
        p11 --read-object --type pubkey --id "$2" --output-file "$D/$1.der" &&
            openssl pkey -pubin -inform DER -in "$D/$1.der" -out "$D/$1.pem"
    fi
}
make_key() { # make_key TYPE LABEL ID MECHANISM BITS
    if offered "$4" "$5"; then
        check "C_GenerateKeyPair: $1" new_key "$1" "$2" "$3"
        check "its public key is exported" export_key "$2" "$3"
    else
        skip "C_GenerateKeyPair: $1" "this TPM has no such keys"
        return
    fi
    case $1 in EC:*) ec_keys+=("$2:$3:$5") ;; *) rsa_keys+=("$2:$3:$5") ;; esac
}
make_key EC:prime256v1 p256 0256 ECDSA-KEY-PAIR-GEN 256
make_key EC:secp384r1 p384 0384 ECDSA-KEY-PAIR-GEN 384
make_key EC:secp521r1 p521 0521 ECDSA-KEY-PAIR-GEN 521
make_key rsa:2048 rsa2 2048 RSA-PKCS-KEY-PAIR-GEN 2048
make_key rsa:3072 rsa3 3072 RSA-PKCS-KEY-PAIR-GEN 3072

check_out "pkcs11-tool's own test finds no errors" '^No errors' p11_user --test

# --- every mechanism that is advertised -------------------------------------

# Over SHA-1 a token signs only where the administrator allows it.
expect_fail "SHA-1 is not offered for signing" '^0$' grep -cE '^ *(ECDSA-)?SHA1.*[ ,]sign,' "$D/mechs"
export FUSETSU_SHA1=yes
p11 -M >"$D/mechs" 2>&1
check_out "until it is allowed" 'SHA1-RSA-PKCS,.* sign,' cat "$D/mechs"

head -c 5000 /dev/urandom >"$D/text"
sign() { # sign ID MECHANISM INPUT [OPTION...]
    local id=$1 mech=$2 in=$3
    shift 3
    rm -f "$D/sig"
    p11_user --sign --id "$id" --mechanism "$mech" --input-file "$in" --output-file "$D/sig" "$@" \
        >"$D/sign.out" 2>&1 || { cat "$D/sign.out" && return 1; }
}
# raw KEY OPTION...: $D/hash is what was signed, as it is.
raw() { openssl pkeyutl -verify -pubin -inkey "$D/$1.pem" -sigfile "$D/sig" -in "$D/hash" "${@:2}"; }
whole() { # whole HASH KEY OPTION...: $D/text was hashed by the token
    openssl dgst "-$1" -verify "$D/$2.pem" -signature "$D/sig" "${@:3}" "$D/text"
}
hash_of() { openssl dgst "-$1" -binary "$D/text" >"$D/hash"; }

ecdsa() { # ecdsa MECHANISM KEY ID
    local h=${1#ECDSA-}
    if [ "$1" = ECDSA ]; then
        hash_of sha256
        sign "$3" "$1" "$D/hash" --signature-format openssl && raw "$2"
    else
        sign "$3" "$1" "$D/text" --signature-format openssl && whole "${h,,}" "$2"
    fi
}
pss() { # pss MECHANISM KEY ID SALT: SALT in bytes, digest = as long as the hash
    local h=${1%%-*} size
    case $h in RSA) h=SHA256 ;; esac
    case $h in SHA1) size=20 ;; *) size=$((${h#SHA} / 8)) ;; esac
    [ "$4" = digest ] || size=$4
    local how=(--hash-algorithm "${h/SHA1/SHA-1}" --mgf "MGF1-$h" --salt-len "$size")
    local want=(rsa_padding_mode:pss "rsa_pss_saltlen:$size")
    if [ "$1" = RSA-PKCS-PSS ]; then
        hash_of sha256
        sign "$3" "$1" "$D/hash" "${how[@]}" &&
            raw "$2" -pkeyopt "${want[0]}" -pkeyopt digest:sha256 -pkeyopt "${want[1]}"
    else
        sign "$3" "$1" "$D/text" --salt-len "$size" &&
            whole "${h,,}" "$2" -sigopt "${want[0]}" -sigopt "${want[1]}"
    fi
}
pkcs1() { # pkcs1 MECHANISM KEY ID
    local h=${1%-RSA-PKCS}
    if [ "$1" = RSA-PKCS ]; then
        # RFC 8017 9.2 note 1, a DigestInfo of SHA-256; then data that is none.
        { printf '3031300d060960864801650304020105000420' | xxd -r -p && openssl dgst -sha256 -binary "$D/text"; } \
            >"$D/hash"
        sign "$3" "$1" "$D/hash" && raw "$2" -pkeyopt rsa_padding_mode:pkcs1 || return 1
        head -c 36 "$D/text" >"$D/hash"
        sign "$3" "$1" "$D/hash" && raw "$2" -pkeyopt rsa_padding_mode:pkcs1
    else
        sign "$3" "$1" "$D/text" && whole "${h,,}" "$2"
    fi
}
x509() { # x509 KEY ID BITS: the signature's public operation gives back the block
    { printf '\0' && head -c $(($3 / 8 - 1)) "$D/text"; } >"$D/hash"
    sign "$2" RSA-X-509 "$D/hash" && openssl pkeyutl -verifyrecover -pubin -inkey "$D/$1.pem" \
        -in "$D/sig" -pkeyopt rsa_padding_mode:none -out "$D/block" && cmp "$D/hash" "$D/block"
}
use() { # use MECHANISM KEY:ID:BITS
    local key id bits
    IFS=: read -r key id bits <<<"$2"
    case $1 in
    ECDSA*) check "$1 with $key" ecdsa "$1" "$key" "$id" ;;
    RSA-X-509) check "$1 with $key" x509 "$key" "$id" "$bits" ;;
    *PSS)
        check "$1 with $key" pss "$1" "$key" "$id" digest
        [ "$1" != SHA256-RSA-PKCS-PSS ] ||
            check "$1 with $key and a salt of 20 bytes" pss "$1" "$key" "$id" 20
        ;;
    *RSA-PKCS) check "$1 with $key" pkcs1 "$1" "$key" "$id" ;;
    *) not_ok "$1 with $key" "this story does not know how to check it" ;;
    esac
}
while IFS=, read -r mech _; do
    case $mech in ECDSA*) keys=("${ec_keys[@]}") ;; *) keys=("${rsa_keys[@]}") ;; esac
    for key in "${keys[@]}"; do use "$mech" "$key"; done
# Those of secret keys are the matter of 16-pkcs11-tool-all.sh.
done < <(grep -vE "HMAC|CMAC" "$D/mechs" | sed -n 's/^ *\([A-Z0-9-]*\),.*[ ,]sign.*/\1, /p')

hash_of sha256 && sign 0256 ECDSA "$D/hash" && printf x >>"$D/hash"
expect_fail "a signature of other data does not verify" 'Signature Verification Failure' \
    raw p256
sign 0256 ECDSA-SHA256 "$D/text"
verify() { p11 --verify --id 0256 --mechanism ECDSA-SHA256 --input-file "$1" --signature-file "$D/sig"; }
check_out "C_Verify accepts a good signature" 'Signature is valid' verify "$D/text"
# pkcs11-tool prints the verdict and exits with 0 all the same.
check_out "C_Verify refuses a signature of something else" 'Invalid signature' verify "$D/mechs"

# --- objects ----------------------------------------------------------------

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/soft.key" \
    -out "$D/soft.pem" -subj /CN=stories -days 2 2>/dev/null
openssl x509 -in "$D/soft.pem" -outform DER -out "$D/soft.der"
check "a certificate is written" p11_user --write-object "$D/soft.der" --type cert --id 77 --label soft
check "and read back without login" p11 --read-object --type cert --id 77 --output-file "$D/back.der"
check "byte for byte" cmp "$D/soft.der" "$D/back.der"
check "a private data object is written" p11_user --write-object "$D/text" --type data --label note --private
check "and read back" p11_user --read-object --type data --label note --output-file "$D/back"
check "byte for byte" cmp "$D/text" "$D/back"
expect_fail "but not without login" 'object not found' \
    p11 --read-object --type data --label note --output-file "$D/back"

listed() { # listed LISTER... : public objects, private keys, data
    "$@" -O >"$D/list" 2>&1 || return 1
    echo "$(grep -c '^Public Key' "$D/list") $(grep -c '^Private Key' "$D/list")" \
        "$(grep -c '^Certificate' "$D/list") $(grep -c '^Data object' "$D/list")"
}
n=$((${#ec_keys[@]} + ${#rsa_keys[@]}))
check_out "before login: public keys and certificate only" "^$n 0 1 0\$" listed p11
check_out "after login: private keys and data as well" "^$n $n 1 1\$" listed p11_user

check "a certificate is deleted" p11_user --delete-object --type cert --id 77
check "a key pair is deleted" p11_user --delete-object --type privkey --id 0384
check "its public half too" p11_user --delete-object --type pubkey --id 0384
check_out "they are gone" "^$((n - 1)) $((n - 1)) 0 1\$" listed p11_user

# --- the PIN, and its lock --------------------------------------------------

# 0x200: CKF_DUAL_CRYPTO_OPERATIONS, for which pkcs11-tool has no name.
CLEAR='PIN initialized(, other flags=0x200)?$'

wrong() { p11 --login --pin not-the-pin -O; }
expect_fail "a wrong PIN is refused" 'CKR_PIN_INCORRECT' wrong
check_out "one wrong try: count low" 'user PIN count low' p11 -T
check "the right PIN still opens" p11_user -O
check_out "and clears the count" "$CLEAR" p11 -T
tries=$("$FUSETSU" token info --json 2>/dev/null | jq -r '.. | .user_limit? // empty' 2>/dev/null | head -1)
for ((i = 1; i < ${tries:-10}; i++)); do wrong >/dev/null 2>&1; done
check_out "one try is left: final try" 'final user PIN try' p11 -T
expect_fail "the last wrong try" 'CKR_PIN_(INCORRECT|LOCKED)' wrong
check_out "locked" 'user PIN locked' p11 -L
expect_fail "now the right PIN is refused as well" CKR_PIN_LOCKED p11_user -O
check "the SO opens it with a new PIN" \
    p11 --login --login-type so --so-pin "$SO" --init-pin --new-pin another-33
check_out "no flag is left" "$CLEAR" p11 -T
expect_fail "the old PIN is refused" CKR_PIN_INCORRECT p11_user -O
check "the user changes the PIN" p11 --login --pin another-33 --change-pin --new-pin "$PIN"
check_out "the keys came through all that" 'Private Key Object; EC' p11_user -O
check "they sign" sign 0256 ECDSA-SHA256 "$D/text" --signature-format openssl
check "and the signature is good" whole sha256 p256
finish
