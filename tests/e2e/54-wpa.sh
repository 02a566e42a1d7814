#!/bin/bash
# Goal: a machine enters a network that asks who it is (802.1X on a wire, EAP-TLS) with the key in its
# TPM: wpa_supplicant through OpenSSL's pkcs11 engine against hostapd's EAP server, P-256 and RSA, TLS
# 1.2 and 1.3, the PIN from a file or asked for at the control interface. A wrong PIN, a missing key,
# and a certificate or a server of another authority leave the port closed, and the reason is said.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
# shellcheck source=tests/e2e/wire.sh
. tests/e2e/wire.sh

for program in wpa_supplicant wpa_cli hostapd; do
    command -v $program >/dev/null || { skip EAP-TLS "$program is missing (Debian: wpasupplicant hostapd)" && finish; }
done
engine=$(openssl version -e | sed 's/.*"\(.*\)"/\1/')/pkcs11.so
[ -e "$engine" ] || { skip EAP-TLS "OpenSSL's pkcs11 engine is missing (Debian: libengine-pkcs11-openssl)" && finish; }
! why=$(wire_missing) || { skip EAP-TLS "$why" && finish; }

# Where setup keeps what it did.
export HOME=$D/home
mkdir "$HOME"
unset XDG_CONFIG_HOME XDG_STATE_HOME

# --- who is who -------------------------------------------------------------

check "a token" consumer_token 1 m1
check "an authority" consumer_ca ca
check "another one" consumer_ca other
credential() { # credential TYPE LABEL ID CA
    consumer_key 1 m1 "$1" "$2" "$3" && consumer_cert 1 m1 "$2" "$3" "$4" "$2.m1.example" \
        keyUsage=critical,digitalSignature extendedKeyUsage=clientAuth "subjectAltName=DNS:$2.m1.example"
}
check "a P-256 key and its certificate" credential EC:prime256v1 ec 01 ca
check "an RSA key and its certificate" credential rsa:2048 rsa 02 ca
check "one that the other authority certified" credential EC:prime256v1 stray 03 other
check "one that will be lost" credential EC:prime256v1 lost 04 ca
lose() { at 1 consumer_p11 m1 --login --pin "$PIN" --delete-object --type privkey --id 04; }
check "it is lost, and its certificate stays" lose

server() { # server CA: a key and a certificate in files, as such servers have them
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$D/server-$1.key" -subj /CN=radius.example \
        -out "$D/server.csr" &&
        openssl x509 -req -in "$D/server.csr" -CA "$D/$1.pem" -CAkey "$D/$1.key" -set_serial 7 -days 3 -extfile <(
            printf '%s\n' keyUsage=digitalSignature extendedKeyUsage=serverAuth subjectAltName=DNS:radius.example
        ) -out "$D/server-$1.pem"
}
check "an EAP server's certificate" server ca
check "one of the other authority" server other
check "a wire between machine and network" wire_up

# --- both ends --------------------------------------------------------------

echo '* TLS' >"$D/users"
network() { # network CA-OF-SERVER: behind the wire's other end
    printf '%s\n' interface=wire driver=wired ieee8021x=1 eap_server=1 "eap_user_file=$D/users" "ca_cert=$D/ca.pem" \
        "server_cert=$D/server-$1.pem" "private_key=$D/server-$1.key" 'tls_flags=[ENABLE-TLSv1.3]' >"$D/hostapd.conf"
    : >"$D/hostapd.log"
    spawn 2 hostapd -dd "$D/hostapd.conf" >"$D/hostapd.log" 2>&1 </dev/null
    HOSTAPD=$LAST
    poll 10 grep -q 'AP-ENABLED' "$D/hostapd.log"
}
# Debian's wpa_supplicant loads modules from below /usr/lib only. So this one lies there, in the mount
# namespace of the program alone.
mkdir "$D/modules"
modules=$(pkg-config --variable=p11_module_path p11-kit-1)
cp "$CONSUMER_MODULE" "$D/modules/" || not_ok "a place below /usr/lib" "nothing to copy"
MODULE_THERE=$modules/${CONSUMER_MODULE##*/}

settings() { # settings LABEL [LINE...]: $D/wpa.conf; the lines are the network's
    local label=$1 line pin=()
    shift
    printf '%s\n' "ctrl_interface=DIR=$D/wpa" >"$D/wpa.conf"
    if consumer_is fusetsu; then
        [ -z "$PIN_FILE" ] || pin=(--pin-source "$PIN_FILE")
        setup --label "$label" --identity "$label.m1.example" --server "${SERVER:-radius.example}" --module "$MODULE_THERE" \
            "${pin[@]}" --file "$D/wpa.conf" >"$D/setup.out" 2>&1 ||
            not_ok "the settings" "$(<"$D/setup.out")"
    else
        printf '%s\n' ap_scan=0 "pkcs11_engine_path=$engine" "pkcs11_module_path=$MODULE_THERE" 'network={' 'key_mgmt=IEEE8021X' \
            'eapol_flags=0' 'eap=TLS' "identity=\"$label.m1.example\"" "ca_cert=\"$D/ca.pem\"" \
            "domain_match=\"${SERVER:-radius.example}\"" "client_cert=\"pkcs11:token=m1;object=$label;type=cert\"" \
            "private_key=\"pkcs11:token=m1;object=$label;type=private${PIN_FILE:+?pin-source=file:$PIN_FILE}\"" '}' >>"$D/wpa.conf"
    fi
    for line; do sed -i "s/^eap=TLS\$/&\n$line/" "$D/wpa.conf"; done
}
setup() { at 1 "$FUSETSU" setup wpa_supplicant --user --token m1 --ca "$D/ca.pem" "$@"; }
MOUNT=("$D/modules" "$modules")
supplicant() {
    : >"$D/wpa.log"
    # shellcheck disable=SC2016  # it expands there
    at 1 spawn 1 unshare --mount bash -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' - "${MOUNT[@]}" \
        "${FOREIGN[@]}" wpa_supplicant -dd -D wired -i wire -c "$D/wpa.conf" >"$D/wpa.log" 2>&1 </dev/null
    SUPPLICANT=$LAST
}
wpa() { timeout 10 wpa_cli -p "$D/wpa" -i wire "$@"; }
leave() {
    end "$SUPPLICANT"
    end "$HOSTAPD"
}
logged() { # logged TIMES PATTERN FILE
    [ "$(grep -cE -e "$2" "$D/$3")" -ge "$1" ]
}
logged_or_gone() { logged "$@" || gone "$SUPPLICANT"; }

# --- the settings -----------------------------------------------------------

setup_story() {
    local file=$D/theirs.conf
    same() { cmp "$file" "$D/before"; }
    wire() { setup --label ec --module "$MODULE_THERE" "$@"; }
    office() { setup --label ec --module "$MODULE_THERE" --ssid 'Büro "1"' --file "$file" "$@"; }
    check_out "setup without a file prints the lines" 'key_mgmt=IEEE8021X' wire
    check_out "the identity is the certificate's name" 'identity="ec.m1.example"' wire
    check_out "no PIN is in them" 'private_key="pkcs11:token=m1;serial=[0-9a-f]+;id=%01;type=private"' wire
    check_out "with a file of the PIN its name is" 'type=private\?pin-source=file:/' wire --pin-source "$D/pin"
    no_ca() { at 1 "$FUSETSU" setup wpa_supplicant --user --label ec --file "$file"; }
    expect_exit 2 "not without a CA" 'believes any network' no_ca
    expect_exit 2 "nor for a name of no network" '1 to 32 bytes' wire --ssid ''

    printf 'country=JP\r\nnetwork={\r\n\tssid="home"\r\n\tkey_mgmt=NONE\r\n}' >"$file"
    cp "$file" "$D/before"
    check_out "--dry-run shows them" '\+ network=' wire --file "$file" --dry-run
    check "and changes nothing" same
    check_out "setup writes them" 'changed .*theirs.conf' wire --file "$file"
    check_out "a wireless network beside it" 'changed .*theirs.conf' office --identity me@office.example
    check_out "its lines alone are taken back" 'changed' wire --file "$file" --undo
    check_out "the others stay" 'key_mgmt=WPA-EAP' cat "$file"
    check "until they are taken back" office --undo
    check "and the file is as it was" same
    echo "pkcs11_module_path=/usr/lib/their.so" >"$file"
    cp "$file" "$D/before"
    expect_exit 5 "a file with another module is refused" 'line 1, sets pkcs11_module_path' office
    check "and stays" same

    printf '%s\n' "ctrl_interface=DIR=$D/wpa" >"$file"
    cp "$file" "$D/wpa.conf"
    office_again() { file=$D/wpa.conf && office --identity me && wire --file "$file"; }
    check "both in a file that it is started with" office_again
    supplicant
    poll 10 wpa ping >/dev/null 2>&1
    check_out "wpa_supplicant reads the wireless one" 'B\\xc3\\xbcro \\"1\\"' wpa list_networks
    check_out "and the wired one" '^1' wpa list_networks
    end "$SUPPLICANT"
}
! consumer_is fusetsu || setup_story

# --- let in -----------------------------------------------------------------

LET_IN='CTRL-EVENT-EAP-SUCCESS'
let_in() { # let_in TIMES
    poll 20 logged_or_gone "$1" "$LET_IN" wpa.log
    poll 5 logged "$1" "$LET_IN" hostapd.log
    grep -hE 'CTRL-|ENGINE|AP-STA|rror' "$D/wpa.log" "$D/hostapd.log"
    logged "$1" "$LET_IN" wpa.log && logged "$1" "$LET_IN" hostapd.log
}
again() { wpa reauthenticate && let_in 2; }
enter() { # enter WHAT LABEL TLS-VERSION [LINE...]
    local what=$1 label=$2 version=$3
    shift 3
    settings "$label" "$@"
    network ca
    supplicant
    check "$what: let in" let_in 1
    check_out "$what: by that version" "eap_tls_version=$version" wpa status
    check_out "$what: the port is open" 'suppPortStatus=Authorized' wpa status
    check_out "$what: the network saw the certificate" "CN=$label.m1.example" cat "$D/hostapd.log"
}
PIN_FILE=$D/pin
enter "P-256, TLS 1.2" ec TLSv1.2
check "and once more, when it is asked again" again
leave
enter "RSA, TLS 1.2" rsa TLSv1.2
check "and once more, when it is asked again" again
leave
enter "P-256, TLS 1.3" ec TLSv1.3 'phase1="tls_disable_tlsv1_3=0"'
leave
enter "RSA, TLS 1.3" rsa TLSv1.3 'phase1="tls_disable_tlsv1_3=0"'
leave

# Nothing in the settings: it asks whoever is at its control interface.
# (It calls what it wants a passphrase, not knowing the engine's errors.)
tell_pin() { # tell_pin FILE TIMES: when it asks for the TIMES-th time
    poll 20 logged_or_gone "$2" 'CTRL-REQ-(PIN|PASSPHRASE)' wpa.log &&
        logged "$2" 'CTRL-REQ-(PIN|PASSPHRASE)' wpa.log && wpa <<<"pin 0 $(<"$1")"
}
PIN_FILE=''
settings ec
network ca
supplicant
check_out "without a PIN it asks for one" 'OK' tell_pin "$D/bad" 1
check_out "after a wrong one it asks again" 'OK' tell_pin "$D/pin" 2
check "and is let in with the right one" let_in 1
check_out "(the first was wrong indeed)" 'cannot load private key.*PIN incorrect' cat "$D/wpa.log"
leave

# Where it lies, our module would not be loaded; p11-kit, the engine's default, leads to it.
if consumer_is fusetsu; then
    mkdir "$D/p11-kit"
    echo "module: $MODULE" >"$D/p11-kit/fusetsu.module"
    by_p11_kit() {
        local MODULE_THERE=$MODULE MOUNT=("$D/p11-kit" "$(pkg-config --variable=p11_module_configs p11-kit-1)")
        settings ec
        network ca
        supplicant
        ! grep pkcs11_module_path "$D/wpa.conf" && let_in 1
    }
    PIN_FILE=$D/pin
    check "by way of p11-kit: let in" by_p11_kit
    leave
fi

# --- not let in -------------------------------------------------------------

shut() { # shut FILE PATTERN SERVER-CA LABEL [LINE...]: what the log FILE has when the pattern is there
    local file=$1 pattern=$2
    settings "${@:4}"
    network "$3"
    supplicant
    poll 20 logged_or_gone 1 "$pattern" "$file"
    grep -hE 'CTRL-|ENGINE|SSL:|OpenSSL:|TLS:|rror' "$D/$file"
    leave
    logged 1 "$LET_IN" wpa.log || logged 1 "$LET_IN" hostapd.log
}
PIN_FILE=$D/bad
expect_fail "not with a wrong PIN" 'cannot load private key.*PIN incorrect' shut wpa.log 'Failed to initialize SSL' ca ec
PIN_FILE=$D/pin
expect_fail "not without the key" 'cannot load private key.*object not found' shut wpa.log 'Failed to initialize SSL' ca lost
expect_fail "not by a certificate of another authority" 'alert: write.*unknown CA' shut hostapd.log 'CTRL-EVENT-EAP-FAILURE' ca stray
expect_fail "nor does the machine enter a network of another authority" 'alert: write.*unknown CA' \
    shut wpa.log 'CTRL-EVENT-EAP-FAILURE' other ec
SERVER=other.example
expect_fail "nor one whose server has another name" "err='Domain mismatch'" \
    shut wpa.log 'CTRL-EVENT-EAP-FAILURE' ca ec
finish
