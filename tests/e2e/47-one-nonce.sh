#!/bin/bash
# Goal: one invitation, one certificate: sixteen processes that answer the same request at the same
# moment give out the same certificate, and the registry has one; of sixteen that answer different
# requests to one invitation one issues, and fifteen say that it was used. Killed as soon as one has
# answered, the others leave nothing of theirs, and the same command then finishes.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

# TPM 1: the authority. TPM 2: a device.
ca() { local c=$1; shift; at 1 "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
issue() { # issue N REQUEST: the N-th answer to it; its exit code is in N.rc
    ca issue --pin-file "$D/pin" --request "$D/$2" --out "$D/$1.sealed" >"$D/$1.out" 2>&1
    echo $? >"$D/$1.rc"
}
request() { # request LABEL FILE: answers the invitation
    at 2 "$FUSETSU" request --token device --pin-file "$D/pin" --invite "$D/invite" --label "$1" --out "$D/$2"
}
ask() { # ask NAME
    rm -f "$D"/*.rc "$D"/*.sealed "$D"/*.out
    ca invite --community communications --name "$1" --out "$D/invite" && request "$1" request
}
MANY=16
all_at_once() { # all_at_once REQUEST...: each N-th answer to the N-th, or all to the one
    local n pids=()
    for ((n = 1; n <= MANY; n++)); do
        if [ $# -eq 1 ]; then issue $n "$1" & else issue $n "${!n}" & fi
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || return 1; done
}
issued() { # how many did
    local n all=0
    winner=
    for ((n = 1; n <= MANY; n++)); do
        echo "$n: $(cat "$D/$n.rc"): $(tail -n 1 "$D/$n.out")"
        [ "$(cat "$D/$n.rc")" != 0 ] || { winner=$n all=$((all + 1)); }
    done
    [ "$all" -eq "$1" ]
}
one_file() { local f=("$D"/*.sealed); [ ${#f[@]} -eq 1 ] && [ "${f[0]}" = "$D/$winner.sealed" ]; }
others_know() { [ "$(grep -l 'was used already' "$D"/*.out | wc -l)" -eq $((MANY - 1)) ]; }
# opened FILE...: by the device; leaves the certificate's serial number in $serial
opened() {
    at 2 "$FUSETSU" cert import --token device --pin-file "$D/pin" "$1" --out "$D/cert.pem" &&
        openssl x509 -in "$D/cert.pem" -noout -serial | sed 's/.*=//' | tr A-F a-f >"$D/serial"
}
# known NAME: what was opened is what the registry has
known() { ca list --json | jq -e --arg n "$(cat "$D/serial")" ".[] | select(.subject == \"$1\") | .serial == \$n"; }
all_the_same() {
    local f
    for f in "$D"/*.sealed; do opened "$f" && known once.us.example || return 1; done
}
# certificates NAME: of how many the registry knows
certificates() { ca list --json | jq "[.[] | select(.subject == \"$1\")] | length"; }

check "an authority's token" at 1 "$FUSETSU" token init --label authority --so-pin-file "$D/so" --pin-file "$D/pin"
check "a device's token" at 2 "$FUSETSU" token init --label device --so-pin-file "$D/so" --pin-file "$D/pin"
check "an authority" ca init --any-tpm --token authority --pin-file "$D/pin" --nation US --org Test \
    --domain us.example --communities communications --ek-pins "$EK_CA_PEM"

check "invited and requested" ask once.us.example
check "$MANY processes answer it at once" all_at_once request
check "all of them give something out" issued $MANY
check "which is one certificate" all_the_same
check_out "the registry has one certificate" '^1$' certificates once.us.example
check_out "and the invitation once, used" '^1$' bash -c \
    "'$FUSETSU' ca list --dir '$D/ca' --invitations --json | jq '[.[] | select(.subject == \"once.us.example\")] | length'"

check "another request is no answer to the same invitation" request again other
issue again other
check_out "it is refused" 'was used already' cat "$D/again.out"
check_out "and nothing comes of it" '^1$' certificates once.us.example

check "invited anew, and requested" ask many.us.example
several() { local n; for ((n = 1; n <= MANY; n++)); do request "many-$n" "request-$n" || return 1; done; }
check "$MANY times, by as many keys" several
check "as many processes answer, each another" all_at_once $(seq -f 'request-%g' $MANY)
check "exactly one of them issues" issued 1
check "it alone wrote an answer" one_file
check "the others say that the invitation was used" others_know
check_out "the registry has one certificate" '^1$' certificates many.us.example
check "the device opens that one" opened "$D/$winner.sealed"
check "it is that" known many.us.example

# --- ended in the middle ----------------------------------------------------------------------------
check "invited and requested" ask killed.us.example
pids=()
for ((n = 1; n <= MANY; n++)); do
    # Not the function: its shell would be killed, and not the program.
    background env "FUSETSU_TCTI=$TPM_TCTI_1" "FUSETSU_STORE=$D/1/store.db" "$FUSETSU" ca issue --dir "$D/ca" \
        --pin-file "$D/pin" --request "$D/request" --out "$D/$n.sealed" >"$D/$n.out" 2>&1
    pids+=("$LAST")
done
some_sealed() { compgen -G "$D/*.sealed" >/dev/null || all_gone; }
all_gone() { local p; for p in "${pids[@]}"; do gone "$p" || return 1; done; }
check "one of them has written its answer, and all are killed" poll 30 some_sealed
for n in "${pids[@]}"; do kill -KILL "$n" 2>/dev/null; done
check "they are gone" poll 10 all_gone
tidy 1 >"$D/out" 2>&1
check "the same command finishes" ca issue --pin-file "$D/pin" --request "$D/request" --out "$D/again.sealed"
check_out "the registry has one certificate" '^1$' certificates killed.us.example
all_killed() {
    local f
    for f in "$D"/*.sealed; do opened "$f" && known killed.us.example || return 1; done
}
check "the device opens it, in whatever was written" all_killed
finish
