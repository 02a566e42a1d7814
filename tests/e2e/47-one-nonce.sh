#!/bin/bash
# Goal: one invitation, one certificate: of sixteen processes that answer the same request at the
# same moment one issues, and fifteen say that it was used; the registry has one certificate. Killed
# as soon as one has answered, the others leave nothing of theirs.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 2 "$@"

# TPM 1: the authority. TPM 2: a device.
ca() { local c=$1; shift; at 1 "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
issue() { # issue N: the N-th answer to the request; its exit code is in N.rc
    ca issue --pin-file "$D/pin" --request "$D/request" --out "$D/$1.sealed" >"$D/$1.out" 2>&1
    echo $? >"$D/$1.rc"
}
ask() { # ask NAME
    rm -f "$D"/*.rc "$D"/*.sealed
    ca invite --community communications --name "$1" --out "$D/invite" &&
        at 2 "$FUSETSU" request --token device --pin-file "$D/pin" --invite "$D/invite" --label "$1" --out "$D/request"
}
MANY=16
all_at_once() {
    local n pids=()
    for ((n = 1; n <= MANY; n++)); do
        issue $n &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || return 1; done
}
one_issued() {
    local done_=() n
    for ((n = 1; n <= MANY; n++)); do
        echo "$n: $(cat "$D/$n.rc"): $(tail -n 1 "$D/$n.out")"
        [ "$(cat "$D/$n.rc")" != 0 ] || done_+=("$n")
    done
    [ ${#done_[@]} -eq 1 ] && winner=${done_[0]}
}
one_file() { local f=("$D"/*.sealed); [ ${#f[@]} -eq 1 ] && [ "${f[0]}" = "$D/$winner.sealed" ]; }
others_know() { [ "$(grep -l 'was used already' "$D"/*.out | wc -l)" -eq $((MANY - 1)) ]; }
# certificates NAME: of how many the registry knows
certificates() { ca list --json | jq "[.[] | select(.subject == \"$1\")] | length"; }

check "an authority's token" at 1 "$FUSETSU" token init --label authority --so-pin-file "$D/so" --pin-file "$D/pin"
check "a device's token" at 2 "$FUSETSU" token init --label device --so-pin-file "$D/so" --pin-file "$D/pin"
check "an authority" ca init --any-tpm --token authority --pin-file "$D/pin" --nation US --org Test \
    --domain us.example --communities communications --ek-pins "$EK_CA_PEM"

check "invited and requested" ask once.us.example
check "$MANY processes answer at once" all_at_once
check "exactly one of them issues" one_issued
check "it alone wrote an answer" one_file
check "the others say that the invitation was used" others_know
check_out "the registry has one certificate" '^1$' certificates once.us.example
check_out "and the invitation once, used" '^1$' bash -c \
    "'$FUSETSU' ca list --dir '$D/ca' --invitations --json | jq '[.[] | select(.subject == \"once.us.example\")] | length'"
check "the device opens that one" at 2 "$FUSETSU" cert import --token device --pin-file "$D/pin" "$D/$winner.sealed" --out "$D/cert.pem"

check "another request is no answer to the same invitation" at 2 "$FUSETSU" request --token device --pin-file "$D/pin" \
    --invite "$D/invite" --label again --out "$D/request"
issue again
check_out "it is refused" 'was used already' cat "$D/again.out"
check_out "and nothing comes of it" '^1$' certificates once.us.example

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
check_out "the registry has one certificate" '^1$' certificates killed.us.example
answers() { find "$D" -maxdepth 1 -name '*.sealed' | wc -l; }
check_out "there is one answer" '^1$' answers
check "the device opens it" at 2 "$FUSETSU" cert import --token device --pin-file "$D/pin" "$D"/*.sealed --out "$D/killed.pem"
finish
