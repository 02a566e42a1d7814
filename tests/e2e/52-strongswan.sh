#!/bin/bash
# Goal: the strongSwan gateways of two nations hold an IKEv2 tunnel, each with the key in its own TPM and
# a certificate of its own authority; one community is open between them, by cross-certificates. Pings
# go through the ESP tunnel both ways, also after rekeying and reauthentication, with ECDSA and with RSA.
# A gateway of a community that is not open gets in when it is opened, not before, and nobody gets in
# without the key, the PIN or the level.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh

# shellcheck source=tests/e2e/charon.sh
. tests/e2e/charon.sh

! why=$(charon_missing) || { skip "strongSwan" "$why" && finish; }

for n in 1 2; do check "site $n" site $n; done
check "a wire between them" wire
check "carries pings" pings 1 192.0.2.1 192.0.2.2

# --- keys and certificates --------------------------------------------------

# Each gateway has certificates for ec.us.example and rsa.us.example (and jp); jp's has one of another
# community, for grid.jp.example.
NATION=(- us jp) OTHER=(- 2 1) ID=([1]=0a [2]=0b)
named() { echo "$1.${NATION[$2]}.example"; } # named NAME N
KEYS=(ec:01:EC:prime256v1 rsa:02:rsa:2048 grid:03:EC:prime256v1)

community() { if [ "$1" = grid ]; then echo electricity; else echo communications; fi; }
ca() { FUSETSU_STORE=$D/ca$1/store.db at "$1" _ca "$@"; }
_ca() { FUSETSU_STORE=$D/ca$1/store.db "$FUSETSU" ca "$2" --dir "$D/ca$1/authority" "${@:3}"; }
founded() { # founded N NATION: an authority with a store of its own
    mkdir "$D/ca$1"
    ca_token() { FUSETSU_STORE=$D/ca$1/store.db "$FUSETSU" token init --label ca --so-pin-file "$D/so" --pin-file "$D/pin"; }
    at "$1" ca_token "$1" && ca "$1" init --any-tpm --token ca --pin-file "$D/pin" --nation "$2" --org "Authority of $2" \
        --domain "${NATION[$1]}.example" --communities communications,electricity --ek-pins "$EK_CA_PEM" &&
        ca "$1" export issuing:communications --out "$D/ca$1/communications.pem" &&
        ca "$1" export issuing:electricity --out "$D/ca$1/electricity.pem"
}
enrolled() { # enrolled N NAME
    local file=$D/$1/$2
    ca "$1" invite --community "$(community "$2")" --name "$(named "$2" "$1")" --out "$file.invite" &&
        at "$1" "$FUSETSU" request --token "gw$1" --pin-file "$D/pin" --invite "$file.invite" --key "$2" --out "$file.request" &&
        ca "$1" issue --pin-file "$D/pin" --request "$file.request" --out "$file.sealed" &&
        at "$1" "$FUSETSU" cert import --token "gw$1" --pin-file "$D/pin" "$file.sealed" --label "$2"
}
opened() { # opened N COMMUNITY: by a cross-certificate of nation N for the other one
    local o=${OTHER[$1]}
    ca "$1" cross --pin-file "$D/pin" --ally "$D/ca$o/$2.pem" --community "$2" --ally-nation "$(nation "$o")" \
        --ally-domain "${NATION[$o]}.example" --ike --out "$D/ca$1/cross.pem" && trusted "$1" "$2"
}
nation() { echo "${NATION[$1]}" | tr '[:lower:]' '[:upper:]'; }
trusted() { # trusted N COMMUNITY
    ca "$1" export "bundle:$2" --own --ike --out "$D/$1/$2.pem" && cat "$D/$1"/{communications,electricity}.pem >"$D/$1/trust.pem"
}
# For modules that know no authorities of ours: one software CA a nation and one for the other community.
issued() { # issued N NAME ID
    local by=ca$1
    [ "$2" != grid ] || by=grid$1
    consumer_cert "$1" "gw$1" "$2" "$3" "$by" "$(named "$2" "$1")" keyUsage=critical,digitalSignature \
        extendedKeyUsage=serverAuth,clientAuth,1.3.6.1.5.5.7.3.17 "subjectAltName=DNS:$(named "$2" "$1")"
}

for n in 1 2; do
    check "${NATION[n]}: a token" consumer_token $n gw$n
    if consumer_is fusetsu; then
        check "${NATION[n]}: an authority" founded $n "$(nation $n)"
    else
        check "${NATION[n]}: an authority" consumer_ca ca$n
        check "${NATION[n]}: another one" consumer_ca grid$n
    fi
    for row in "${KEYS[@]:0:n+1}"; do
        IFS=: read -r name id type <<<"$row"
        check "${NATION[n]}: a key, $type" consumer_key $n gw$n "$type" "$name" "${ID[n]}$id"
        if consumer_is fusetsu; then
            check "${NATION[n]}: a certificate for $(named "$name" $n) on its evidence" enrolled $n "$name"
        else
            check "${NATION[n]}: a certificate for $(named "$name" $n)" issued $n "$name" "${ID[n]}$id"
        fi
    done
done
for n in 1 2; do
    if consumer_is fusetsu; then
        : >"$D/$n/electricity.pem"
        check "${NATION[n]} opens communications to ${NATION[OTHER[n]]}" opened $n communications
        check "not electricity; there it trusts its own alone" trusted $n electricity
    else
        cp "$D/ca1.pem" "$D/ca2.pem" "$D/grid$n.pem" "$D/$n/etc/swanctl/x509ca/"
    fi
done

# --- settings ---------------------------------------------------------------

# connection N CONNECTION NAME HOST [PEER [LEVEL]]: `PEER` answers (NAME, unless given), at a level.
connection() {
    local n=$1 o=${OTHER[$1]} policy=''
    consumer_is fusetsu && policy="cert_policy = $("$FUSETSU" policy "$(community "${5:-$3}")" "${6:-3}")"
    cat >"$D/$n/etc/swanctl/conf.d/$2.connection.conf" <<CONF
connections {
  $2 {
    version = 2
    local_addrs = 192.0.2.$n
    remote_addrs = 192.0.2.$o
    local {
      auth = pubkey
      id = $(named "$3" "$n")
      cert {
        handle = $(id_of "$n" "$3")
        module = fusetsu
      }
    }
    remote {
      auth = pubkey
      id = $(named "${5:-$3}" "$o")
      $policy
    }
    children {
      net-$2 {
        local_ts = 10.77.$n.$4/32
        remote_ts = 10.77.$o.$4/32
      }
    }
  }
}
CONF
}
id_of() { # id_of N NAME
    local row name id
    for row in "${KEYS[@]}"; do
        IFS=: read -r name id _ <<<"$row"
        [ "$name" != "$2" ] || echo "${ID[$1]}$id"
    done
}
keys() { if [ "$1" = 1 ]; then echo ec rsa; else echo ec rsa grid; fi; } # keys N
# What `fusetsu setup` writes, by hand: handwritten N NAME HANDLE [PIN]
handwritten() {
    (umask 077 && printf '%s\n' 'secrets {' "  token-$2 {" "    handle = $3" '    module = fusetsu' ${4:+"    pin = $4"} '  }' '}' \
        >"$D/$1/etc/swanctl/conf.d/token-$2.conf")
    printf '%s\n' 'charon {' '  plugins {' '    pkcs11 {' '      modules {' '        fusetsu {' "          path = $CONSUMER_MODULE" \
        '        }' '      }' '    }' '  }' '}' >"$D/$1/etc/strongswan.d/token.conf"
}
setup() { # setup N NAME OPTION...
    at "$1" on "$1" "$FUSETSU" setup strongswan --token "gw$1" --label "$2" "${@:3}"
}
settings() { # settings N NAME [PIN-FILE]: module and key, and trust
    if consumer_is fusetsu; then
        setup "$1" "$2" --trust "$D/$1/trust.pem" ${3:+--pin-source "$3"}
    else
        handwritten "$1" "$2" "$(id_of "$1" "$2")" ${3:+"$(cat "$3")"}
    fi
}
# snapshot N FILE: names, modes and contents of the settings that are not of this story
snapshot() {
    (cd "$D/$1/etc" && find . -name '*.connection.conf' -prune -o -printf '%p %y %m\n' | sort &&
        find . -name '*.connection.conf' -prune -o -type f -print0 | sort -z | xargs -0r sha256sum) >"$2"
}
as_before() { snapshot "$1" "$D/now" && diff "$D/before$1" "$D/now"; }

for n in 1 2; do
    printf '# of somebody else, without a line end' >"$D/$n/etc/strongswan.d/other.conf"
    snapshot $n "$D/before$n"
    if consumer_is fusetsu; then
        check_out "${NATION[n]}: setup says what it would write" 'would create /etc/swanctl/conf.d/fusetsu' \
            setup $n ec --pin-source "$D/pin" --dry-run
        cp "$D/out" "$D/shown"
        check_out "and what a connection needs" "id = $(named ec $n)" cat "$D/shown"
        check_out "of the peer as well" "cert_policy = $("$FUSETSU" policy communications 3) " cat "$D/shown"
        check "but not the PIN" sh -c '! grep -- "$1" "$2"' - "$PIN" "$D/shown"
        check "it writes nothing" as_before $n
    fi
    for name in $(keys $n); do check "${NATION[n]}: the settings for the key $name" settings $n "$name"; done
    connection $n ec ec 1
    connection $n rsa rsa 2
    check "${NATION[n]}: charon starts" charon_start $n
    check_out "and finds the token" "found token in slot 'fusetsu'" cat "$D/$n/charon.log"
    check_out "its certificates and connections are read" 'loaded connection .rsa.' swanctl $n --load-all --noprompt
done
connection 1 grid ec 3 grid
connection 2 grid grid 3 ec

# --- without the key --------------------------------------------------------

dial() { swanctl "$1" --initiate --child "net-$2" --timeout 20; } # dial N CONNECTION
expect_fail "without a tunnel there is no way to the other site" 'unreachable|100% packet loss' pings 1 10.77.1.1 10.77.2.1
expect_fail "without the key there is no tunnel" 'no private key found' dial 1 ec
load() { # swanctl itself answers 0 when a key is not loaded
    with_log 1 swanctl 1 --load-creds --noprompt >"$D/load" 2>&1
    cat "$D/load"
    ! grep 'loading private key from token failed' "$D/load"
}
expect_fail "the key is not loaded without a PIN" 'no PIN found' load
check "us: settings with a wrong PIN" settings 1 ec "$D/bad"
expect_fail "nor is it with that" 'failed: PIN_INCORRECT' load
handwritten 1 none 0a77 "$PIN"
expect_fail "a key that is not on the token is missed" 'no PKCS#11 module found having a keyid' load
alone() { # the certificate of another key, which is nowhere
    at 1 consumer_p11 gw1 --login --pin "$PIN" --write-object "$D/stray.der" --type cert --id 0a04 --label stray
}
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=stray -outform DER -out "$D/stray.der" 2>/dev/null
check "a certificate without its key" alone
handwritten 1 none 0a04 "$PIN"
expect_fail "is no key either" 'did not find the key' load
rm "$D/1/etc/swanctl/conf.d/token-none.conf"

# --- the tunnels ------------------------------------------------------------

for n in 1 2; do
    for name in $(keys $n); do check "${NATION[n]}: the PIN for the key $name" settings $n "$name" "$D/pin"; done
    check_out "with it the keys are loaded" 'loaded key token-(rsa|0[ab]02) ' swanctl $n --load-all --noprompt
done
if consumer_is fusetsu; then
    mode() { stat -c %a "$D/1/etc/swanctl/conf.d/fusetsu-$(id_of 1 ec).conf"; }
    check_out "it is root's alone" '^600$' mode
fi

# What the tunnel carried, as N counts it: bytes in and out.
carried() { swanctl "$1" --list-sas --child "net-$2" | awk '/^ +(in|out) .* packets/ && $3 > 0 { n++ } END { exit n < 2 }'; }
spi() { swanctl "$1" --list-sas --child "net-$2" | awk '/^  net-/ { on = /INSTALLED/ } on && $1 == "in" { print $2 }'; }
ike() { swanctl "$1" --list-sas --ike "$2" | sed -n 's/.* ESTABLISHED, IKEv2, \([0-9a-f]*\)_i.*/\1/p'; }
# One SA is left, and it is another one.
renewed() { local now && now=$("$1" 1 "$2") && [[ $now =~ ^[0-9a-f]+,?$ ]] && [ "$now" != "$3" ]; }
signatures() { grep -c "authentication of '$(named "$1" 1)' (myself) with" "$D/1/charon.log"; }
again() { # again CONNECTION spi|ike ARGUMENT...: rekeys, and the SA is another one
    local before
    before=$("$2" 1 "$1")
    swanctl 1 --rekey "${@:3}" && poll 20 renewed "$2" "$1" "$before" && poll 20 settled
}
settled() { ! swanctl 1 --list-sas | grep -E ' (REKEY|DELET)[A-Z]*,'; }
both_ways() { # both_ways CONNECTION HOST
    poll 10 pings 1 "10.77.1.$2" "10.77.2.$2" && poll 10 pings 2 "10.77.2.$2" "10.77.1.$2" && carried 1 "$1" && carried 2 "$1"
}
tunnel() { # tunnel CONNECTION HOST SIGNATURE
    local before
    check_out "$1: a tunnel" 'initiate completed successfully' dial 1 "$1"
    check_out "$1: us signed by $3" "'$(named "$1" 1)' with $3 successful" cat "$D/2/charon.log"
    check_out "$1: jp as well" "'$(named "$1" 2)' with $3 successful" cat "$D/1/charon.log"
    check "$1: pings go through it both ways" both_ways "$1" "$2"
    check "$1: its CHILD_SA is rekeyed" again "$1" spi --child "net-$1"
    check "$1: and carries pings" both_ways "$1" "$2"
    before=$(signatures "$1")
    check "$1: its IKE_SA is rekeyed" again "$1" ike --ike "$1"
    check "$1: which takes no signature" [ "$(signatures "$1")" -eq "$before" ]
    check "$1: and carries pings" both_ways "$1" "$2"
    check "$1: it is authenticated again" again "$1" ike --ike "$1" --reauth
    check "$1: by one more signature of the token" [ "$(signatures "$1")" -eq $((before + 1)) ]
    check "$1: and carries pings" both_ways "$1" "$2"
}
tunnel ec 1 ECDSA_WITH_SHA256_DER
tunnel rsa 2 RSA_EMSA_PKCS1_SHA2_256
hang_up() { swanctl "$1" --terminate --ike "$2"; }
check "ec: hung up" hang_up 1 ec
expect_fail "and there is no way to the other site" 'unreachable|100% packet loss' pings 1 10.77.1.1 10.77.2.1

# --- refused ----------------------------------------------------------------

# dial_log CONNECTION: site 2 calls, site 1 judges and says why
dial_log() { with_log 1 dial 2 "$1"; }
expect_fail "jp's gateway of a community that is not open is refused: no chain" 'no issuer certificate found' dial_log grid
cp "$D/out" "$D/refused"
check_out "as it is told" 'received AUTHENTICATION_FAILED' cat "$D/refused"
if consumer_is fusetsu; then
    check "us opens electricity to jp" opened 1 electricity
    check "and trusts" settings 1 ec "$D/pin"
    check "strongSwan learns of it" swanctl 1 --load-all --noprompt
    check_out "and the same certificate is good" 'initiate completed successfully' dial 2 grid
    check "its pings go both ways" both_ways grid 3
    connection 1 ec ec 1 ec 4
    check "us asks for a level that jp's gateway has not" swanctl 1 --load-conns
    expect_fail "and refuses it: no such policy" 'constraint requires cert policy .*\.4$' with_log 1 dial 1 ec
fi

ended() { # ended N: by itself, and with nothing to complain of
    local rc=0
    end "${CHARON[$1]}"
    wait "${CHARON[$1]}" || rc=$?
    # strongSwan has letters of its own in its formats, of which the sanitizer warns.
    grep -v 'unexpected format specifier' "$D/$1/charon.out"
    return "$rc"
}
for n in 1 2; do check "${NATION[n]}: charon ends when it is told to" ended $n; done

# --- taken back -------------------------------------------------------------

if consumer_is fusetsu; then
    ca 1 export bundle:communications --own --out "$D/1/tls.pem" >"$D/out" 2>&1
    expect_exit 6 "certificates that strongSwan cannot read are refused, with what to do" 'IP addresses.*--ike' \
        setup 1 ec --trust "$D/1/tls.pem"
    rm "$D/1/etc/strongswan.d/token.conf"
    for n in 1 2; do
        for name in $(keys $n | tac -s ' '); do check "${NATION[n]}: --undo for $name" setup $n "$name" --undo; done
        check "${NATION[n]}: all settings are as they were before" as_before $n
    done
fi
finish
