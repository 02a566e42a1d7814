#!/bin/bash
# make install puts program, module, manuals and p11-kit's registration in place, the
# installed module works from there, and make uninstall takes everything away.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e/lib.sh
story 1 "$@"
if is_asan; then
    skip "make install" "nothing that a sanitizer would see"
    exit 0
fi

root=$D/root
run_make() { make --no-print-directory -s BUILD="$B" DESTDIR="$root" PREFIX=/usr "$@"; }
check "make install" run_make install
for f in bin/fusetsu lib/pkcs11/fusetsu-pkcs11.so share/p11-kit/modules/fusetsu.module \
    lib/libtss2-tcti-fusetsu.so.0 lib/udev/rules.d/70-fusetsu.rules sbin/fusetsu-tokend \
    lib/systemd/system/fusetsu-tokend.service share/man/man8/fusetsu-tokend.8 share/man/man1/fusetsu.1 share/man/man5/fusetsu.conf.5 share/man/man7/fusetsu.7; do
    check "$f is there" test -s "$root/usr/$f"
done
check_out "p11-kit is told where the module will be" \
    '^module: /usr/lib/pkcs11/fusetsu-pkcs11.so' cat "$root/usr/share/p11-kit/modules/fusetsu.module"

check "a token" env "$root/usr/bin/fusetsu" token init --label installed \
    --so-pin-file "$D/so" --pin-file "$D/pin"
check_out "the installed module shows it" 'token=installed' \
    p11tool --provider "$root/usr/lib/pkcs11/fusetsu-pkcs11.so" --list-tokens

check "make uninstall" run_make uninstall
check_out "leaves no file" '^0$' sh -c "find '$root' -type f | wc -l"
finish
