#!/bin/bash
# Goal: the rig itself: the machine's TPM, its resource manager, udev, and USB that is not there.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"
check "there is a TPM with a resource manager" test -c /dev/tpm0 -a -c /dev/tpmrm0
check_out "it answers" '^[0-9a-f]{16}$' tpm2_getrandom --hex 8
check "USB devices can be made" modprobe -a dummy_hcd libcomposite
finish
