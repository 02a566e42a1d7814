#!/bin/bash
# Goal: a person's key in a TPM, its evidence judged once: good for mail, which OpenSSL signs with it and verifies
# under the nation's root, and for SSH. A host's is certified for SSH likewise; sshd knows no key but the
# authority's, ssh no host key but it, and each believes it for names of its nation alone. What is revoked is
# refused with the next list; another nation's is from the start.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" -eq 0 ] && [ -z "${STORY_MOUNTS:-}" ]; then
    STORY_MOUNTS=own exec unshare -m -- "$0" "$@"
fi
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
# shellcheck source=tests/e2e/sshd.sh
. tests/e2e/sshd.sh

# --- two authorities, a person's token, a host's ----------------------------------------------------
for t in us jp desk; do
    check "token $t" at 1 "$FUSETSU" token init --label $t --so-pin-file "$D/so" --pin-file "$D/pin"
done
check "the host's token" at 2 "$FUSETSU" token init --label host --so-pin-file "$D/so" --pin-file "$D/pin"
us() { at 1 "$FUSETSU" ca "$1" --dir "$D/us" "${@:2}"; }
jp() { at 1 "$FUSETSU" ca "$1" --dir "$D/jp" "${@:2}"; }
for n in us jp; do
    check "authority $n" $n init --any-tpm --token $n --pin-file "$D/pin" --nation ${n^^} --org Test --domain $n.example \
        --communities communications --ek-pins "$EK_CA_PEM"
done
# enrol NATION NAME MACHINE TOKEN LABEL [OPTION...]
type=p256
enrol() {
    $1 invite --community communications --name "$2" --out "$D/$5.invite" "${@:6}" &&
        at "$3" "$FUSETSU" request --token "$4" --pin-file "$D/pin" --invite "$D/$5.invite" --type "$type" --label "$5" \
            --out "$D/$5.request" &&
        $1 issue --pin-file "$D/pin" --request "$D/$5.request" --out "$D/$5.sealed" &&
        at "$3" "$FUSETSU" cert import --token "$4" --pin-file "$D/pin" "$D/$5.sealed" --out "$D/$5.chain" &&
        openssl x509 -in "$D/$5.chain" -out "$D/$5.pem"
}
check "a person of US" enrol us alice@us.example 1 desk alice --person 'Alice Example'
check "a host of US" enrol us gw.us.example 2 host gw
check "a person of JP" enrol jp alice@jp.example 1 desk jalice
says() { openssl x509 -in "$D/$1.pem" -noout -text; }
check_out "the person's certificate is for mail" 'E-mail Protection' says alice
check_out "by the address" 'email:alice@us.example' says alice
check_out "and by name" 'CN = Alice Example' says alice

# --- mail ---------------------------------------------------------------------------------------------------
echo "words to sign" >"$D/text"
engine_conf "$D/engine.cnf"
us export root --out "$D/root.pem" >"$D/out"
us export issuing:communications --out "$D/issuing.pem" >"$D/out"
sign() { # sign KEY TOKEN MACHINE
    at "$3" foreign env OPENSSL_CONF="$D/engine.cnf" openssl cms -sign -engine pkcs11 -keyform engine -nodetach -outform DER \
        -inkey "$(key_uri "$2" "$1")" -signer "$D/$1.pem" -certfile "$D/issuing.pem" -in "$D/text" -out "$D/$1.signed"
}
verify() { openssl cms -verify -inform DER -in "$D/$1.signed" -CAfile "$D/root.pem" -purpose smimesign -policy 1.3.6.1.4.1.32473.1.1.1.3 -explicit_policy; }
check "mail is signed with the key in the TPM" sign alice desk 1
check_out "and verified under the root, by the community's policy" 'Verification successful' verify alice
mine() { at 1 "$FUSETSU" verify --roots "$D/root.pem" --community communications --name alice@us.example --usage mail "$D/alice.pem" "$D/issuing.pem"; }
check "by ours as well, for the address" mine
check "with a host's key it is signed too" sign gw host 2
expect_fail "but its certificate is not for mail" 'unsuitable certificate purpose' verify gw

type=rsa2048
check "a person with an RSA key" enrol us carol@us.example 1 desk carol
sealed() { openssl cms -encrypt -aes256 -binary -outform DER -in "$D/text" -out "$D/letter" -recip "$D/carol.pem"; }
check "mail is sealed to it" sealed
opened() { # opened KEY
    at 1 foreign env OPENSSL_CONF="$D/engine.cnf" openssl cms -decrypt -engine pkcs11 -keyform engine -inform DER \
        -inkey "$(key_uri desk "$1")" -recip "$D/carol.pem" -in "$D/letter"
}
check_out "and opened in the TPM" 'words to sign' opened carol
expect_fail "by nobody else's key" '' opened alice

# --- certificates for SSH ------------------------------------------------------------------------------
certify() { # certify NATION NAME FILE [OPTION...]
    "$1" ssh-certify --community communications --name "$2" --pin-file "$D/pin" --out "$D/$3" "${@:4}"
}
expect_exit 5 "without a key of its own it certifies nobody" 'ca ssh-authority' certify us alice@us.example alice-cert.pub
ca() { "$1" ssh-authority --community communications --pin-file "$D/pin" --out "$D/$1-ssh.pub"; }
check_out "the key that does" 'is made' ca us
cp "$D/us-ssh.pub" "$D/first.pub"
check_out "is made once" 'there was' ca us
check "and stays" cmp "$D/first.pub" "$D/us-ssh.pub"
forget() { sqlite3 "$D/$1/registry.db" 'DELETE FROM ssh_ca'; }
check "who was killed before he recorded it, or restored a backup" forget us
check_out "finds it" 'is one that the token had' ca us
check "as it was" cmp "$D/first.pub" "$D/us-ssh.pub"
other() { at 1 "$FUSETSU" key generate --token jp --pin-file "$D/pin" --label 'JP SSH CA communications' "$@"; }
drop() { at 1 "$FUSETSU" key delete --token jp --pin-file "$D/pin" --label 'JP SSH CA communications' --yes; }
check "a key of another kind has the name" other --type p384
expect_exit 5 "it is not taken" 'no P-256 key for signatures alone' ca jp
check "it goes" drop
check "one that needs no PIN" other --type p256 --auth none
expect_exit 5 "nor that" 'no P-256 key for signatures alone' ca jp
check "it goes, too" drop
one_key() { [ "$(at 1 "$FUSETSU" key list --token jp --json | jq '[.[] | select(.label == "JP SSH CA communications")] | length')" -eq 1 ]; }
twice() { # at once
    local i pids=()
    for i in 1 2 3; do
        jp ssh-authority --community communications --pin-file "$D/pin" --out "$D/jp$i.pub" >"$D/jp$i.out" 2>&1 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || { cat "$D"/jp?.out; return 1; }; done
    cmp "$D/jp1.pub" "$D/jp2.pub" && cmp "$D/jp1.pub" "$D/jp3.pub" &&
        one_key
}
check "another authority's, by three at once, is one" twice
check_out "and stays" 'there was' ca jp
anew() { sqlite3 "$D/jp/registry.db" 'DELETE FROM ssh_ca' && drop; }
check "all of it goes" anew
struck() { # at each call by which something lasts
    local n rc=137 calls=fsync,fdatasync,unlink,rename,renameat
    for ((n = 1; rc == 137 && n < 60; n++)); do
        rc=0
        at 1 strace -f -qq -o /dev/null -e "trace=$calls" -e "inject=$calls:signal=KILL:when=$n" env ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" \
            "$FUSETSU" ca ssh-authority --dir "$D/jp" --community communications --pin-file "$D/pin" --out "$D/jp-ssh.pub" || rc=$?
    done
    [ "$rc" -eq 0 ] && [ "$n" -gt 5 ] && one_key
}
if command -v strace >/dev/null; then
    LIMIT=200 check "killed at any call it comes to one key, too" struck
else
    skip "killed at any call" "strace is missing (Debian: strace)" && check "one key" ca jp
fi
check_out "a person" 'alice@us.example is certified for SSH' certify us alice@us.example alice-cert.pub
check_out "a host, for a day" '"principal": "gw.us.example"' certify us gw.us.example gw-cert.pub --days 1 --json
check "a person of the other nation" certify jp alice@jp.example jalice-cert.pub
expect_exit 5 "a name that was never certified" 'has certified no' certify us bob@us.example x
expect_exit 5 "nor one of the other nation" 'has certified no' certify us alice@jp.example x
check "a host of level 1" enrol us low.us.example 2 host low --level 1
expect_exit 6 "is not certified" 'of level 1.*--basic' certify us low.us.example low-cert.pub
check_out "unless that is to be enough" 'of level 1;' certify us low.us.example low-cert.pub --basic
check "a client's" enrol us tls.us.example 2 host tls --profile client
expect_exit 6 "is no host's" 'for a gateway or server' certify us tls.us.example x
view() { ssh-keygen -Lf "$D/$1-cert.pub"; }
check_out "ssh-keygen reads the person's" 'ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate' view alice
check_out "which is for that name" '^ +alice@us.example$' view alice
check_out "and the host's" 'ecdsa-sha2-nistp256-cert-v01@openssh.com host certificate' view gw
check_out "with its level" 'Key ID: "US communications gw.us.example, level 3, certificate' view gw
check_out "or the low one" 'Key ID: "US communications low.us.example, level 1, certificate' view low
check_out "by the authority's key" "Signing CA: ECDSA $(ssh-keygen -lf "$D/us-ssh.pub" | cut -d' ' -f2 | sed 's/+/[+]/g')" view gw
check_out "with the hash of the evidence" 'evidence-sha256@us.example' view alice
short() { # a certificate for SSH ends with the one that it stands on
    local end
    end=$(view alice | sed -n 's/.*Valid:.* to //p')
    [ "$(date -d "$end" +%s)" -le $(($(date +%s) + 7 * 86400)) ]
}
check "for a week" short

# --- sshd knows no key, only the authority ---------------------------------------------------------------
public() { at "$1" foreign ssh-keygen -D "$CONSUMER_MODULE" >"$D/$2.keys" && [ -s "$D/$2.keys" ]; }
check "the host's public key" public 2 host
check "the persons'" public 1 desk
for k in alice jalice; do grep " $k\$" "$D/desk.keys" >"$D/$k.pub"; done
cp "$D/alice.pub" "$D/none.pub"
check "an agent with the host's token" agent 2 host
check "which it unlocks" add_token host
grep ' gw$' "$D/host.keys" >"$ETC/ssh/host_key.pub"
cp "$D/gw-cert.pub" "$ETC/ssh/host_key-cert.pub"
printf '%s\n' "HostKeyAgent $D/host.agent" "HostKey $ETC/ssh/host_key" "HostCertificate $ETC/ssh/host_key-cert.pub" \
    "RevokedKeys $D/us.krl" >"$ETC/ssh/sshd_config.d/token.conf"
authorize() { "$1" ssh-authority --community communications --pin-file "$D/pin" --authorize "$2" --out "$D/line" && cat "$D/line" >>"$D/authorized"; }
: >"$D/authorized"
check "the server lets in Alice of US, by her authority" authorize us alice@us.example
check "and Bob of JP, by his" authorize jp bob@jp.example
expect_exit 1 "an authority speaks for its own" 'not within jp.example' authorize jp alice@us.example
revoked() { us ssh-revoked --community communications --out "$D/us.krl"; }
check_out "nothing is revoked yet" '0 certificates' revoked
check "sshd" serve
check "the line for known_hosts" us ssh-authority --community communications --pin-file "$D/pin" --known-hosts --out "$D/known"
check "is for this nation's names" grep -q '^@cert-authority us.example,\*.us.example ecdsa' "$D/known"
log_in() { # log_in CERTIFICATE HOST-NAME
    at 1 foreign ssh -F none -p "$port" -o HostKeyAlias="$2" -o UserKnownHostsFile="$D/known" -o GlobalKnownHostsFile=none \
        -o StrictHostKeyChecking=yes -o PKCS11Provider="$CONSUMER_MODULE" -o CertificateFile="$D/$1-cert.pub" -o IdentitiesOnly=yes -o IdentityFile="$D/$1.pub" \
        -o PreferredAuthentications=publickey -o HostKeyAlgorithms=ecdsa-sha2-nistp256-cert-v01@openssh.com \
        "$ME@127.0.0.1" 'echo the tally fits' || return 1
}
check_out "logs in with a certificate, the key in the TPM" 'the tally fits' log_in alice gw.us.example
seen() { grep -q 'Accepted publickey .* ID US communications alice@us.example, level 3, certificate' "$D/sshd.log"; }
check "the server's log says who" poll 5 seen
expect_fail "the host's certificate is for no other name" 'Certificate invalid: name is not a listed principal' log_in alice other.us.example
expect_fail "its authority for no other nation" 'No ECDSA-CERT host key is known|Host key verification failed' log_in alice gw.jp.example
expect_fail "another person of the other nation is not let in" 'Permission denied' log_in jalice gw.us.example
# The other authority goes wrong: a key of its own certifies Alice's name for a key of its choice.
forge() {
    { [ -s "$D/jpca" ] || ssh-keygen -q -t ecdsa -N '' -f "$D/jpca"; } && cp "$D/jalice.pub" "$D/forged.pub" &&
        ssh-keygen -q -s "$D/jpca" -I forged -n "$1" -V +1d "$D/forged.pub" &&
        sed "s|^cert-authority,principals=\"bob@jp.example\" .*|cert-authority,principals=\"bob@jp.example\" $(cat "$D/jpca.pub")|" -i "$D/authorized"
}
check "the other authority certifies Bob" forge bob@jp.example
check_out "who is let in" 'the tally fits' log_in forged gw.us.example
check "then it certifies a stranger as Alice" forge alice@us.example
expect_fail "who is not, though Alice and that authority are" 'Permission denied' log_in forged gw.us.example
none() { : >"$D/none-cert.pub" && log_in none gw.us.example; }
expect_fail "without a certificate nobody comes in" 'Permission denied' none

# --- what is taken back -----------------------------------------------------------------------------------
check_out "the person's certificate is suspended, and what has to follow is said" 'fusetsu ca ssh-revoked --dir .* --community communications' \
    us suspend --name alice@us.example
expect_exit 6 "then it is certified for SSH no more" 'good any more' certify us alice@us.example x
check_out "the list has it" '1 certificate' revoked
expect_fail "as ssh-keygen reads it" 'REVOKED' ssh-keygen -Q -f "$D/us.krl" "$D/alice-cert.pub"
expect_fail "the server refuses it" 'Permission denied' log_in alice gw.us.example
check "resumed" us resume --name alice@us.example
check_out "the list has it no more" '0 certificates' revoked
check_out "it is good again" 'the tally fits' log_in alice gw.us.example
check "the host's is revoked" us revoke --name gw.us.example --reason keyCompromise
check "in the list" revoked
revoked_host() { # as a client that has the list
    at 1 foreign ssh -F none -p "$port" -o HostKeyAlias=gw.us.example -o UserKnownHostsFile="$D/known" -o RevokedHostKeys="$D/us.krl" \
        -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes -o HostKeyAlgorithms=ecdsa-sha2-nistp256-cert-v01@openssh.com \
        -o BatchMode=yes "$ME@127.0.0.1" true || return 1
}
expect_fail "clients refuse it" 'revoked' revoked_host
check "the device of a person goes into quarantine" at 1 "$FUSETSU" attest ek --out "$D/ek.pem"
check "it is registered" at 1 "$FUSETSU" device register --dir "$D/us" --ek "$D/ek.pem" --name alice@us.example --operator O \
    --officer F --community communications
check "and then" at 1 "$FUSETSU" device quarantine --dir "$D/us" 1 --officer F --note lost
expect_exit 6 "no certificate for SSH on it" 'quarantined' certify us alice@us.example x
finish
