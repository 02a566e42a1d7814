#!/bin/bash
# Goal: `fusetsu setup` writes into files of others without breaking them, and takes it back byte for
# byte: files with odd line ends, edited since, linked, of a strict mode; what it cannot take back it says.
# The applications themselves are in the stories that follow.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

# The other modules of p11-kit leave files as well: elsewhere.
export HOME=$D/home XDG_CACHE_HOME=$D/cache TPM2_PKCS11_STORE=$D/tpm2-pkcs11
mkdir "$TPM2_PKCS11_STORE"
unset XDG_CONFIG_HOME XDG_STATE_HOME
mkdir "$HOME"
ssh_setup() { "$FUSETSU" setup openssh "$@"; } # it has no system to set up
setup() { "$FUSETSU" setup "$@" --user; }
setup_git() { "$FUSETSU" setup git "$@"; } # nor has this
module_file=$HOME/.config/pkcs11/modules/fusetsu.module

# snapshot NAME: names, modes and contents of all that is in the home directory, but for our own records
snapshot() {
    (cd "$HOME" && find . -path ./.local -prune -o -printf '%p %y %m %u %g\n' | sort &&
        find . -path ./.local -prune -o -type f -print0 | sort -z | xargs -0r sha256sum) >"$D/$1"
}
same_as() { snapshot now && diff "$D/$1" "$D/now"; }

# --- a file of our own --------------------------------------------------------------

snapshot empty
check_out "--dry-run says what would be written" "\+ module: $B/fusetsu-pkcs11.so" setup p11-kit --dry-run
check "and writes nothing" same_as empty
check_out "setup writes it" 'created .*fusetsu.module' setup p11-kit
check_out "the list knows" 'p11-kit +/.*fusetsu.module' "$FUSETSU" setup list
check_out "once more changes nothing" 'Nothing had to be changed' setup p11-kit
check "--json is JSON" sh -c "'$FUSETSU' setup p11-kit --user --json | jq -e '.app == \"p11-kit\" and .done'"
other=$(ls /usr/lib/*/pkcs11/p11-kit-client.so)
check_out "another module replaces it" 'changed' setup p11-kit --module "$other"
check_out "in the file" "^module: $other" cat "$module_file"
echo '# edited' >>"$module_file"
expect_fail "what was edited since is not thrown away" 'was changed since' setup p11-kit --undo
check_out "it is still there" '# edited' cat "$module_file"
sed -i '$d' "$module_file"
check_out "--undo removes it" 'removed' setup p11-kit --undo
check "and the directories that were made for it" same_as empty
expect_exit 5 "a second --undo says that there is nothing" 'was not set up this way' setup p11-kit --undo
mkdir -p "${module_file%/*}"
echo 'module: theirs.so' >"$module_file"
expect_fail "somebody's own file is not replaced" 'is there already and says something else' setup p11-kit
check_out "it stays" 'theirs' cat "$module_file"
rm -r "$HOME/.config"

# --- two setups in one file -----------------------------------------------------------

mkdir -m 700 "$HOME/.ssh"
printf 'Host old\n  User me' >"$HOME/.ssh/config" # no line end
snapshot theirs
check "one block" ssh_setup --host a.example
check "a second one in the same file" ssh_setup --host b.example
check "the first anew, with another module" ssh_setup --host a.example --module "$other"
check "and as it was" ssh_setup --host a.example
check_out "both are there" '^2$' grep -c 'setup: begin' "$HOME/.ssh/config"
check "the first is undone" ssh_setup --host a.example --undo
check_out "the second one stays" 'begin openssh' cat "$HOME/.ssh/config"
check_out "alone" '^1$' grep -c 'setup: begin' "$HOME/.ssh/config"
check "it is undone" ssh_setup --host b.example --undo
check "and the file is as before" same_as theirs
rm -r "$HOME/.ssh"

# --- what is for its owner alone ----------------------------------------------------------

# Not shown by --dry-run, whatever of it would move; --undo does not make it readable again.
mkdir -m 700 "$HOME/.ssh"
printf 'Host old\n  User me\n' >"$HOME/.ssh/config"
chmod 644 "$HOME/.ssh/config"
check "a block in a file that all may read" ssh_setup --host a.example
printf 'Host late\n  User TOPSECRET\n' >>"$HOME/.ssh/config"
sed -i '1i # TOPSECRET-TOO' "$HOME/.ssh/config"
chmod 600 "$HOME/.ssh/config"
shown() { ssh_setup --host a.example --dry-run "$@" >"$D/shown" && cat "$D/shown" && ! grep -q TOPSECRET "$D/shown"; }
check_out "once it is its owner's, --dry-run shows our own lines" "\+ .*PKCS11Provider \"$other" shown --module "$other"
check_out "and says that it does not show all" 'not shown but for our own lines' cat "$D/shown"
check_out "--undo shows ours as well" '\- .*PKCS11Provider' shown --undo
check "the block is undone" ssh_setup --host a.example --undo
check_out "the mode stays" '^600$' stat -c %a "$HOME/.ssh/config"
printf 'Host old\n' >"$HOME/.ssh/config"
chmod 644 "$HOME/.ssh/config"
check "a block again" ssh_setup --host a.example
chmod 600 "$HOME/.ssh/config"
check "undone as a whole" ssh_setup --host a.example --undo
check_out "the mode that was made stricter stays" '^600$' stat -c %a "$HOME/.ssh/config"
rm -r "$HOME/.ssh"

# --- paths that settings cannot hold ---------------------------------------------------

for odd in 'a;b' 'a b' 'a#b' 'a{b' 'a"b' "a'b" 'a\b' $'a\nb' 'a$b' 'a%b'; do
    expect_exit 2 "a module named ${odd@Q} is refused" 'settings cannot hold the path' \
        setup p11-kit --module "$D/$odd.so"
done
check "nothing was written" same_as empty

# --- damaged records ---------------------------------------------------------------------

records=$HOME/.local/state/fusetsu/setup
record=$records/p11-kit.json
check "a setup" setup p11-kit
cp "$record" "$D/record"
for damage in '.entries[0].files = 5' '.entries[0].kind = "tool"' '.entries[0].proof = 5 | .entries[0].kind = 5' \
    '.entries[0].files[0].path = "x"' '.entries[0].files[0].dirs = ["/etc"]' '.entries[0].files[0].before = []' \
    '.entries[0].files[0].after = [5]' '.entries = {}' '.app = "git"' '.system = true' 'del(.system)' '5'; do
    jq "$damage" "$D/record" >"$record"
    expect_fail "a damaged record is refused: $damage" 'is damaged' setup p11-kit --undo
done
check "a second setup" setup openssl
expect_fail "the list says which one is damaged" 'p11-kit.json is damaged' "$FUSETSU" setup list
cp "$D/out" "$D/listed"
check_out "and lists the other" 'openssl +/.*openssl.cnf' cat "$D/listed"
check "which is undone" setup openssl --undo
cp "$D/record" "$record"
for mode in 620 602; do
    chmod "$mode" "$record"
    [ "$mode" = 602 ] || [ "$(id -u)" -ne 0 ] || chgrp 65534 "$record"
    expect_fail "a record that others can write (mode $mode) is not believed" 'is not believed' setup p11-kit --undo
done
chmod 600 "$record"
check "as it was, it is undone" setup p11-kit --undo
check "all is as before" same_as empty

# --- root, and files of others --------------------------------------------------------------

planted() { # planted FILE: a record that would run a program and write a file
    jq -n --arg d "$D" '{version: 2, app: "git", system: false, entries: [
        {kind: "tool", run: ["touch", "\($d)/pwned"], undo: ["touch", "\($d)/pwned"], dir: "\($d)/alien",
         proof: "\($d)/bait", holds: "bait", module: "/m.so", package: "x",
         files: [{path: "\($d)/alien/pkcs11.txt", before: null, after: [], dirs: []}]},
        {kind: "whole", files: [{path: "\($d)/pwned", before: null, after: [null], dirs: []}]}]}' >"$1"
}
if [ "$(id -u)" -eq 0 ]; then
    chmod 711 "$D" # for nobody; what is in it stays closed
    echo bait >"$D/bait"
    mkdir -p "$D/alien/.local/state/fusetsu/setup" "$D/alien/d"
    planted "$D/alien/.local/state/fusetsu/setup/git.json"
    printf 'Host theirs\n' >"$D/alien/d/config"
    chown -R 65534:65534 "$D/alien"
    theirs() { HOME=$D/alien "$FUSETSU" setup "$@"; }
    expect_fail "a record in a directory of somebody else is not read" 'belongs to user 65534' theirs git --undo
    expect_fail "nor listed" 'belongs to user 65534' theirs list
    mkdir -p "$records" && cp -p "$D/alien/.local/state/fusetsu/setup/git.json" "$records/git.json"
    expect_fail "a record of somebody else is not read" 'is not believed' setup_git --undo
    rm -r "$HOME/.local"
    check "no program was run and no file made" test ! -e "$D/pwned"

    mkdir -m 700 "$HOME/.ssh"
    ln -s "$D/alien/d/config" "$HOME/.ssh/config"
    expect_fail "a file in a directory of somebody else is not changed" 'belongs to user 65534' ssh_setup --host a.example
    check_out "it is as it was" '^Host theirs$' cat "$D/alien/d/config"
    rm "$HOME/.ssh/config" && mkfifo "$HOME/.ssh/config"
    expect_fail "a pipe does not hold it up" 'is not a regular file' ssh_setup --host a.example
    rm -r "$HOME/.ssh"

    mkdir -p "$D/alien/profile" && printf 'library=/evil.so\nname=evil\n' >"$D/alien/profile/pkcs11.txt"
    chown -R 65534 "$D/alien/profile"
    profile() { "$FUSETSU" setup firefox --user --profile "$1" "${@:2}"; }
    expect_fail "modules of somebody else's profile are not run" 'belongs to user 65534' profile "$D/alien/profile"
    mkdir -m 700 "$D/profile" && cp -p "$D/alien/profile/pkcs11.txt" "$D/profile/"
    expect_fail "nor those of a list that somebody else put into one of ours" 'is not yours' profile "$D/profile"
    rm -r "$D/profile" "$D/alien"
    chmod 700 "$D"
else
    skip "root, and files of others" "this is not root"
fi

# --- a large database of NSS ----------------------------------------------------------------

if command -v modutil >/dev/null && command -v certutil >/dev/null && ! is_asan; then
    mkdir -m 700 "$D/nss"
    check "a profile" certutil -N -d "sql:$D/nss" --empty-password
    head -c 5000000 /dev/zero >>"$D/nss/cert9.db"
    sha256sum "$D"/nss/* >"$D/nss.sums"
    large() { "$FUSETSU" setup firefox --user --profile "$D/nss" "$@"; }
    check "a profile with many certificates" large
    check_out "has the module" 'name=fusetsu' cat "$D/nss/pkcs11.txt"
    check "--undo" large --undo
    check "leaves every file as it was" sha256sum -c "$D/nss.sums"
    check "a database that was not there" setup chromium
    check "with another module" setup chromium --module "$other"
    check "--undo" setup chromium --undo
    check "leaves neither of the two, nor the directories" same_as empty
fi

# --- killed in the middle --------------------------------------------------------------

# strace kills it at its n-th fsync: record or file, before or after; --undo mends all of it.
if command -v strace >/dev/null && ! is_asan; then
    for n in 1 2 3 4 5 6; do
        killed() { strace -f -o /dev/null -e trace=fsync -e "inject=fsync:signal=KILL:when=$n" "$FUSETSU" setup p11-kit --user; }
        killed >/dev/null 2>&1
        undone() { [ ! -e "$HOME/.local/state/fusetsu/setup/p11-kit.json" ] || setup p11-kit --undo; }
        check "killed at fsync $n: --undo works" undone
        check "and all is as before" same_as empty
    done
fi
finish
