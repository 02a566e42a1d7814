#!/bin/bash
# Goal: Chromium shows a site that wants a certificate what the token has: the PIN is typed into its "Unlock
# Security Device" window, the TPM signs the TLS 1.3 handshake by ECDSA and by RSA-PSS, the page comes.
# Without the token, with a wrong PIN and with another token's keys it does not. `fusetsu setup chromium`
# makes the database that names the module, writes the policy that chooses the certificate, and takes both
# back without a trace.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
# shellcheck source=tests/e2e/browsers.sh
. tests/e2e/browsers.sh

export HOME=$D/home
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME DBUS_SESSION_BUS_ADDRESS WAYLAND_DISPLAY
mkdir "$HOME"

# --- the policy ------------------------------------------------------------------------------

policy() { with_etc "$FUSETSU" setup chromium --issuer "Alice's rsa authority" "$@"; }
if consumer_is fusetsu && with_etc_ready chromium; then
    managed=$D/etc/chromium/policies/managed
    mkdir -p "$managed"
    printf '{"BookmarkBarEnabled": false}' >"$managed/theirs.json"
    snapshot before
    check_out "as root, --dry-run shows the policy" 'AutoSelectCertificateForUrls' policy --url https://a,https://b --dry-run
    check "and writes nothing" as_in before
    check_out "setup writes it" 'created /etc/chromium/policies/managed/fusetsu.json' policy --url https://a,https://b
    rows() { jq -e '.AutoSelectCertificateForUrls | map(fromjson.pattern) == ["https://a", "https://b"]' "$managed/fusetsu.json"; }
    check "a row for each site" rows
    check "--undo" policy --url https://a,https://b --undo
    check "takes it away" as_in before
    printf '{"AutoSelectCertificateForUrls": []}' >"$managed/theirs.json"
    expect_fail "what another file chooses is not overruled" 'theirs.json has the policy' policy --url https://a
    printf '{"BookmarkBarEnabled": false}' >"$managed/theirs.json"
    expect_exit 2 "the system has no place for the module" 'only for the policy' with_etc "$FUSETSU" setup chromium
elif consumer_is fusetsu; then
    skip "policies of the system" "no mount namespace can be made here"
fi

# --- a user's Chromium -------------------------------------------------------------------------

if is_asan; then
    skip "Chromium" "it does not live with a sanitizer's runtime in it" && finish
elif ! have chromium Xvfb xdotool certutil modutil python3; then
    skip "Chromium" "chromium, xvfb, xdotool, libnss3-tools or python3 is not installed" && finish
fi
check "Alice has keys and certificates, a stranger has other keys" browsers_ready
screen() {
    # It finds a free display itself, and tells.
    background Xvfb -displayfd 6 -screen 0 1200x900x24 -nolisten tcp -fbdir "$D" 6>"$D/display" >"$D/xvfb.log" 2>&1
    poll 20 test -s "$D/display" && DISPLAY=:$(cat "$D/display")
}
check "a screen" screen
export DISPLAY

# A profile of its own each time; it talks to nobody but the server here.
browse() { # browse PICTURES-OR-EMPTY [OPTION...]
    local shot=()
    [ -z "$1" ] || shot=(--shot "$PICTURES/51-chromium-$1" --screen "$D/Xvfb_screen0")
    rm -rf "$D/profile"
    "${AROUND[@]}" python3 tests/support/chromium.py --profile "$D/profile" --url "$URL" "${shot[@]}" "${@:2}" -- \
        chromium --no-sandbox --disable-gpu --disable-background-networking --disable-component-update \
        --proxy-server=127.0.0.1:9 --password-store=basic 2>"$D/chromium.log"
}
# Without a bus it complains of that at length.
seen() { cat "$D/seen" && grep -v ':ERROR:dbus/' "$D/chromium.log"; }
AROUND=()
DB=$HOME/.pki/nssdb

# --- setting it up ------------------------------------------------------------------

if consumer_is fusetsu; then
    setup() { "$FUSETSU" setup chromium "$@" --user; }
    snapshot nothing
    check_out "setup --dry-run says what it would do" 'would run: modutil .*/.pki/nssdb' setup --dry-run
    check "and does nothing" as_in nothing
    check "setup makes the database" setup
    check_out "NSS has the module" 'Token Name: alice ' modutil -dbdir "sql:$DB" -list fusetsu
    check_out "nobody else can read it" '^700$' stat -c %a "$DB"
    check "--undo" setup --undo
    check "leaves nothing" as_in nothing
    check "somebody has a database already" nss_trust "$DB"
    snapshot before
    check "setup adds to it" setup
    check_out "and says that nothing is left to do" 'Nothing had to be changed' setup
    check "--undo" setup --undo
    check "leaves every file as it was" as_in before
    check "and again" setup
    expect_exit 2 "the policy of --url is none of a user" 'become root' setup --url https://localhost
else
    check "a database" nss_trust "$DB"
    check "the module is added" nss_module "$DB"
fi

# --- P-256 -----------------------------------------------------------------------------

check "a server wants a certificate of the P-256 key's authority" web_server ec
ec_page() {
    at 1 browse ec --pin "$D/bad" --pin "$D/pin" >"$D/seen"
    seen
}
check_out "Chromium shows the page" '^page: .*Protocol : TLSv1.3 .*Subject: CN *= *alice-ec ' ec_page
check_out "the TPM signed" 'Peer signature type: ECDSA' cat "$D/seen"
asked() { [ "$(grep -c '^prompt: Unlock Security Device' "$D/seen")" -ge "$1" ] && cat "$D/seen"; }
check "after a wrong PIN it asked again" asked 2
check_out "the certificate was chosen in Chromium's dialog" '^choose: ' cat "$D/seen"
pictures() { for i in prompt choose page; do test -s "$PICTURES/51-chromium-ec-$i.png" || return 1; done; }
check "pictures are kept" pictures

web_quiet
# In TLS 1.3 the server refuses after the handshake: its alert and the end of the connection race.
refused='^error: net::ERR_(BAD_SSL_CLIENT_AUTH_CERT|SOCKET_NOT_CONNECTED|CONNECTION_(RESET|CLOSED)|EMPTY_RESPONSE)'
not_shown() { # not_shown N [OPTION...]: fails when no page is shown, as it should
    local rc=0
    at "$1" browse '' "${@:2}" >"$D/seen" || rc=$?
    seen
    ! grep -q '^page:' "$D/seen" || rc=0
    return "$rc"
}
expect_exit 1 "with a wrong PIN only, the page is not shown" "$refused" \
    not_shown 1 --pin "$D/bad"
check "it asked, and asked again" asked 2
check "the server got no certificate" web_said 'peer did not return a certificate'
web_quiet
expect_exit 1 "the stranger's keys under Alice's certificates do not do" '^error: net::ERR_' not_shown 2 --pin "$D/pin"
check "the server saw her certificate" web_said 'depth=0 CN = alice-ec'
check "and another's signature" web_said 'bad signature|[vV]erification failure'
end "$server"

# --- RSA, and the policy ------------------------------------------------------------------

check "a server wants a certificate of the RSA key's authority" web_server rsa
chosen='^choose: '
if [ -d "$D/etc" ]; then
    check "a policy chooses the certificate for it" policy --url "$URL"
    AROUND=(with_etc)
    chosen=
fi
rsa_page() {
    at 1 browse rsa --pin "$D/pin" >"$D/seen"
    seen
}
check_out "Chromium shows the page" '^page: .*Protocol : TLSv1.3 .*Subject: CN *= *alice-rsa ' rsa_page
check_out "the TPM signed by RSA-PSS" 'Peer signature type: RSA-PSS' cat "$D/seen"
if [ -n "$chosen" ]; then
    check_out "the certificate was chosen in Chromium's dialog" "$chosen" cat "$D/seen"
else
    not_chosen() { ! grep '^choose:' "$D/seen"; }
    check "by the policy: nobody was asked which certificate" not_chosen
    check "--undo" policy --undo
    check "takes the policy away" test ! -e "$managed/fusetsu.json"
fi

web_quiet
if consumer_is fusetsu; then
    check "--undo takes the module out of a database that was in use" setup --undo
else
    modutil -dbdir "sql:$DB" -force -delete "$CONSUMER" >/dev/null 2>&1
fi
AROUND=()
expect_exit 1 "without the module the page is not shown" "$refused" \
    not_shown 1 --pin "$D/pin"
not_asked() { ! grep '^prompt: ' "$D/seen"; }
check "nobody was asked for a PIN" not_asked
check "the server got no certificate" web_said 'peer did not return a certificate'
finish
