#!/bin/bash
# Goal: Firefox shows a site that wants a certificate what the token has: the PIN is typed into Firefox's own
# prompt, the TPM signs the TLS 1.3 handshake by ECDSA and by RSA-PSS, the page comes. Without the token,
# with a wrong PIN and with another token's keys it does not. `fusetsu setup firefox` is all that is needed,
# for a user and for a system with policies of its own, and goes without a trace.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"
# shellcheck source=tests/e2e/consumers.sh
. tests/e2e/consumers.sh
# shellcheck source=tests/e2e/browsers.sh
. tests/e2e/browsers.sh

# --- policies -------------------------------------------------------------------------------

export HOME=$D/home
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME
mkdir "$HOME"
theirs() {
    printf '{"policies":\r\n {"DisableTelemetry": true,\r\n  "SecurityDevices": {"Delete": ["old"]}}}' \
        >"$D/etc/firefox/policies/policies.json"
}
system() { with_etc "$FUSETSU" setup firefox "$@"; }
if consumer_is fusetsu && with_etc_ready firefox; then
    mkdir -p "$D/etc/firefox/policies"
    policies=$D/etc/firefox/policies/policies.json
    theirs
    snapshot before
    check_out "as root, --dry-run shows the policy" '\+ .*fusetsu-pkcs11.so' system --auto --dry-run
    check "and writes nothing" as_in before
    check_out "setup writes it" 'changed /etc/firefox/policies/policies.json' system --auto
    kept_theirs() {
        jq -e '.policies | .DisableTelemetry and .SecurityDevices.Delete == ["old"] and
            .SecurityDevices.Add.fusetsu == $m' --arg m "$MODULE" "$policies"
    }
    check "beside what was there" kept_theirs
    check "--undo" system --undo
    check "leaves the policies as they were" as_in before
    older() {
        echo '{"policies": {"SecurityDevices": {"x": "/x.so"}}}' >"$policies"
        system && jq -e '.policies.SecurityDevices | .x and .fusetsu' "$policies" && system --undo
    }
    check "policies of the older form stay of that form" older
    edited() {
        theirs
        system --auto && jq '.policies.Homepage = {}' "$policies" >"$D/edited" && cp "$D/edited" "$policies" &&
            system --undo && jq -e '.policies == {DisableTelemetry: true, SecurityDevices: {Delete: ["old"]}, Homepage: {}}' "$policies"
    }
    check "of policies that were edited since, --undo takes out ours only" edited
    rm -r "$D/etc/firefox"
    snapshot before
    check "where there are none, setup makes the file" system
    check "--undo" system --undo
    check "takes it away, and its directories" as_in before
elif consumer_is fusetsu; then
    skip "policies of the system" "no mount namespace can be made here"
fi

# --- a user's Firefox ---------------------------------------------------------------------------

firefox=$(command -v firefox-esr || command -v firefox)
if is_asan; then
    skip "Firefox" "it does not live with a sanitizer's runtime in it" && finish
elif [ -z "$firefox" ] || ! have certutil modutil python3; then
    skip "Firefox" "firefox-esr, libnss3-tools or python3 is not installed" && finish
fi
check "Alice has keys and certificates, a stranger has other keys" browsers_ready

# A profile that talks to nobody but the server here. The last line has no end.
profile() { # profile DIR
    nss_trust "$1" && printf 'user_pref("%s", %s);\r\n' marionette.port 0 network.proxy.type 1 \
        network.proxy.http '"127.0.0.1"' network.proxy.http_port 9 network.proxy.ssl '"127.0.0.1"' \
        network.proxy.ssl_port 9 network.http.speculative-parallel-limit 0 \
        datareporting.policy.dataSubmissionEnabled false browser.shell.checkDefaultBrowser false >"$1/user.js" &&
        printf 'user_pref("app.normandy.enabled", false);' >>"$1/user.js"
}
by_itself() { printf '\nuser_pref("security.default_personal_cert", "Select Automatically");\n' >>"$1/user.js"; }
browse() { # browse PROFILE [OPTION...]
    python3 tests/support/firefox.py --profile "$1" --url "$URL" "${@:2}" -- "$firefox" 2>"$D/firefox.log"
}
P=$HOME/.mozilla/firefox/alice.default
for p in "$P" "$D/asks" "$D/empty" "$D/policy"; do check "a profile: ${p##*/}" profile "$p"; done
printf '[Install0123]\nDefault=%s\n\n[Profile0]\nName=x\nIsRelative=1\nPath=none\nDefault=1' "${P##*/}" >"$HOME/.mozilla/firefox/profiles.ini"

# --- setting it up ------------------------------------------------------------------

if consumer_is fusetsu; then
    setup() { "$FUSETSU" setup firefox "$@"; }
    snapshot before
    check_out "setup --dry-run says what it would do" 'would run: modutil .*alice.default' setup --user --auto --dry-run
    check "and does nothing" as_in before
    check_out "setup finds the profile that Firefox starts with" 'changed .*alice.default/pkcs11.txt' setup --user --auto
    check_out "NSS has the module" 'Token Name: alice ' modutil -dbdir "sql:$P" -list fusetsu
    check "--undo" setup --user --undo
    check "leaves every file as it was" as_in before
    check "and again" setup --user --auto
    check "another profile, by --profile" setup --user --profile "$D/asks"
    nobody() { HOME=$D/nobody setup --user; }
    expect_exit 5 "who never started Firefox is told so" 'no profile of Firefox yet' nobody
    mkdir -p "$D/xdg/mozilla/firefox/new"
    printf '[Profile0]\r\nPath=new\r\n' >"$D/xdg/mozilla/firefox/profiles.ini"
    in_xdg() { HOME=$D/nobody XDG_CONFIG_HOME=$D/xdg setup --user --dry-run; }
    check_out "a profile where XDG wants it is found" 'modutil -dbdir sql:.*/xdg/mozilla/firefox/new ' in_xdg
    expect_exit 5 "a profile that is not there is not made" 'no profile of Firefox' setup --user --profile "$D/nowhere"
else
    check "the module is added" nss_module "$P"
    check "to the second profile" nss_module "$D/asks"
    by_itself "$P"
fi

# --- P-256 -----------------------------------------------------------------------------

check "a server wants a certificate of the P-256 key's authority" web_server ec
ec_page() {
    at 1 browse "$P" --pin "$D/bad" --pin "$D/pin" --shot "$PICTURES/50-firefox-ec.png" >"$D/seen"
    cat "$D/seen" "$D/firefox.log"
}
check_out "Firefox shows the page" '^page: .*Protocol : TLSv1.3 .*Subject: CN *= *alice-ec ' ec_page
check_out "the TPM signed" 'Peer signature type: ECDSA' cat "$D/seen"
asked() { [ "$(grep -c '^prompt: .*alice' "$D/seen")" -eq "$1" ] && cat "$D/seen"; }
check "after a wrong PIN it asked again" asked 2
check "its picture is kept" test -s "$PICTURES/50-firefox-ec.png"

web_quiet
# In TLS 1.3 the server refuses after the handshake: its alert and the end of the connection race, and the
# page that Firefox shows then has one of these names, the last of them without a reason.
refused='^error: .*(CERTIFICATE_REQUIRED_ALERT|e=netReset|e=netInterrupt|e=nssFailure2)'
not_shown() { # not_shown N PROFILE [OPTION...]: fails when no page is shown, as it should
    local rc=0
    at "$1" browse "${@:2}" >"$D/seen" || rc=$?
    cat "$D/seen" "$D/firefox.log"
    ! grep -q '^page:' "$D/seen" || rc=0
    return "$rc"
}
expect_exit 1 "with a wrong PIN only, the page is not shown" "$refused" \
    not_shown 1 "$P" --pin "$D/bad"
check "it asked, and asked again" asked 2
check "the server got no certificate" web_said 'peer did not return a certificate'
web_quiet
expect_exit 1 "without the module neither" "$refused" \
    not_shown 1 "$D/empty" --pin "$D/pin"
check "nobody was asked for a PIN" asked 0
check "the server got no certificate" web_said 'peer did not return a certificate'
web_quiet
expect_exit 1 "the stranger's keys under Alice's certificates do not do" '^error: ' not_shown 2 "$P" --pin "$D/pin"
check "the server saw her certificate" web_said 'depth=0 CN = alice-ec'
check "and another's signature" web_said 'bad signature|[vV]erification failure'
end "$server"

# --- RSA -------------------------------------------------------------------------------

check "a server wants a certificate of the RSA key's authority" web_server rsa
rsa_page() {
    at 1 browse "$D/asks" --pin "$D/pin" --shot "$PICTURES/50-firefox-rsa.png" >"$D/seen"
    cat "$D/seen" "$D/firefox.log"
}
check_out "Firefox shows the page" '^page: .*Protocol : TLSv1.3 .*Subject: CN *= *alice-rsa ' rsa_page
check_out "the TPM signed by RSA-PSS" 'Peer signature type: RSA-PSS' cat "$D/seen"
check_out "the certificate was chosen in Firefox's dialog, which had that one only" '^choose: alice-rsa [^,]*$' cat "$D/seen"

if ! consumer_is fusetsu; then
    finish
fi
check "--undo takes the module out of a profile that was in use" setup --user --undo
listed() { modutil -dbdir "sql:$P" -list; }
check_out "it has others" 'NSS Internal' listed
no_module() { listed >"$D/list" && ! grep -i fusetsu "$D/list" "$P/user.js"; }
check "not ours" no_module
if [ -d "$D/etc" ]; then
    mkdir -p "$D/etc/firefox/policies"
    theirs
    snapshot before
    check "the same by a policy of the system" system --auto
    policy_page() {
        at 1 with_etc python3 tests/support/firefox.py --profile "$D/policy" --url "$URL" --pin "$D/pin" -- \
            "$firefox" 2>"$D/firefox.log" >"$D/seen"
        cat "$D/seen" "$D/firefox.log"
    }
    check_out "a profile that knows of nothing shows the page" '^page: .*Subject: CN *= *alice-rsa ' policy_page
    asked_nothing_else() { ! grep '^choose:' "$D/seen"; }
    check "without asking which certificate" asked_nothing_else
    check "--undo" system --undo
    check "leaves the policies as they were" as_in before
fi
finish
