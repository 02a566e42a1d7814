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
