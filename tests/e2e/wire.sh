# shellcheck shell=bash
# Sourced by stories about networks: machine N gets a network namespace of its own, held by a process
# that finish ends, so that nothing is left behind; a wire joins those of machines 1 and 2.
#
#   wire_missing              says what this machine lacks for that, and succeeds; fails when all is there
#   wire_up                   makes both; they are 192.0.2.1 and 192.0.2.2, on the device `wire`
#   within N COMMAND...       in the namespace of N; `at N within N` where it needs N's TPM, too
#   spawn N COMMAND...        the same in the background

WIRE_HOLDER=()

wire_missing() {
    local tool
    for tool in unshare nsenter ip ping; do
        command -v "$tool" >/dev/null || { echo "$tool is missing" && return 0; }
    done
    ! unshare --net true 2>/dev/null && echo "no right to make network namespaces"
}

within() { nsenter --net="/proc/${WIRE_HOLDER[$1]}/ns/net" "${@:2}"; }
spawn() { background nsenter --net="/proc/${WIRE_HOLDER[$1]}/ns/net" "${@:2}"; }

_wire_apart() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
wire_up() {
    local n
    for n in 1 2; do
        background unshare --net sleep infinity
        WIRE_HOLDER[n]=$LAST
        poll 10 _wire_apart "$LAST" || return 1
    done
    within 1 ip link add wire type veth peer name wire netns "${WIRE_HOLDER[2]}" || return 1
    for n in 1 2; do
        within "$n" ip link set lo up && within "$n" ip address add "192.0.2.$n/24" dev wire &&
            within "$n" ip link set wire up || return 1
    done
    within 1 ping -c 1 -w 10 192.0.2.2
}
