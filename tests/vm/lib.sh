# shellcheck shell=bash
# Sourced by the scenarios, after tests/e2e/lib.sh: USB as it is in the machine.

# hosts SPEED: two ports (dummy_hcd), of full or high speed. What is plugged in is dummy_udc.0 and .1.
hosts() {
    local high=0
    [ "$1" = full ] || high=1
    modprobe -a configfs libcomposite usb_f_fs || return 1
    mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || return 1
    modprobe dummy_hcd num=2 is_high_speed=$high is_super_speed=0 &&
        poll 10 test -e /sys/class/udc/dummy_udc.1
}

# Pulls the plug of a gadget, and puts it in again; what is behind goes on. (By the gadget and not by the
# controller's soft_connect, after which dummy_hcd finds nobody any more.)
pull() { echo >"/sys/kernel/config/usb_gadget/$1/UDC"; }
plug() { echo "$2" >"/sys/kernel/config/usb_gadget/$1/UDC"; }

# node VID PID: the file below /dev/bus/usb; nothing when it is not there.
node() {
    local d
    for d in /sys/bus/usb/devices/*; do
        [ "$(cat "$d/idVendor" 2>/dev/null):$(cat "$d/idProduct" 2>/dev/null)" = "$1:$2" ] || continue
        printf '/dev/bus/usb/%03d/%03d\n' "$(cat "$d/busnum")" "$(cat "$d/devnum")"
        return
    done
    return 1
}
plugged() { node "$@" >/dev/null && udevadm settle -t 10; }
unplugged() { ! node "$@" >/dev/null; }

# as NAME GROUP COMMAND...: somebody who is not root.
as() {
    local user=$1 group=$2
    shift 2
    setpriv --reuid="$user" --regid="$group" --groups="$group" \
        env -u FUSETSU_STORE -u FUSETSU_RUN FUSETSU_CONF=/run/empty.conf "$@"
}

# Tools of tpm2-tools by our TCTI, as any program loads it.
TCTI_LIB=$B/libtss2-tcti-fusetsu.so.0
