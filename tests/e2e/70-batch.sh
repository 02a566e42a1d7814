#!/bin/bash
# Goal: an authority answers a directory of requests with one command, one PIN and one session, and
# that command may be ended by kill -9 at any moment, again and again: none is lost, none is issued
# twice, and each answer is whole and opens to the certificate that the registry knows.
#
# FUSETSU_BATCH=N: how many requests (default 60). `make scale` takes 10,000 and says how fast it was.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
many=${FUSETSU_BATCH:-60}
LIMIT=$((60 + many / 10))
story 1 "$@"

ca() { local c=$1; shift; timeout -k 5 "$LIMIT" "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
issue=("$FUSETSU" ca issue --dir "$D/ca" --pin-file "$D/pin" --requests "$D/asked" --out "$D/answered")
invite=("$FUSETSU" ca invite --dir "$D/ca" --community communications --names "$D/names" --out "$D/invites")
sql() { sqlite3 -readonly "$D/ca/registry.db" "$1"; }
answers() { files "$D/answered" '*.sealed'; }
files() { find "$1" -maxdepth 1 -type f -name "$2" 2>/dev/null | wc -l; }

check "the authority's token" "$FUSETSU" token init --label ca --so-pin-file "$D/so" --pin-file "$D/pin"
check "an EK, and who made it" "$B/forgemany" pins "$D/pins" "$D/state"
check "an authority" ca init --any-tpm --token ca --pin-file "$D/pin" --nation US --org Test --domain us.example \
    --communities communications --ek-pins "$D/pins"

# --- invitations ------------------------------------------------------------------------------------

{
    echo '# gateways'
    for ((i = 1; i <= many; i++)); do printf '  gw%05d.us.example\r\n\n' "$i"; done
    echo gw00001.us.example
} >"$D/names"
printf 'gw.us.example\nGW.other.example\n' >"$D/bad-names"
refused_names() { ca invite --community communications --names "$D/bad-names" --out "$D/none"; }
expect_exit 1 "one bad name, and nobody is invited" 'nothing was done' refused_names
printf 'gw.us.example\0gx.us.example\n' >"$D/binary"
expect_exit 5 "names are text" 'is no text' ca invite --community communications --names "$D/binary" --out "$D/none"
printf '# none\n\n' >"$D/empty"
expect_exit 5 "and there is one at least" 'holds no name' ca invite --community communications --names "$D/empty" --out "$D/none"
check_out "nobody was" '^\[\]$' ca list --invitations --json
expect_exit 2 "one name and many" 'one name' ca invite --community communications --names "$D/names" --name a.us.example --out "$D/x"
expect_exit 2 "one TPM for many" 'one TPM' ca invite --community communications --names "$D/names" --ek "$D/pins" --out "$D/x"
expect_exit 2 "many on standard output" 'directory' ca invite --community communications --names "$D/names" --out -

traced=yes
if ! strace -qq -o /dev/null true 2>/dev/null; then
    traced='' && skip "chosen system calls" "strace cannot trace here"
fi
SYNCS=fsync,fdatasync,renameat,rename,unlink,unlinkat
# struck N COMMAND...: killed at its N-th call that makes something last; false when it ended before.
struck() {
    local n=$1 rc=0
    shift
    (strace -f -qq -o /dev/null -e "trace=$SYNCS" -e "inject=$SYNCS:signal=KILL:when=$n" \
        env ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" "$@" >"$D/struck.out" 2>&1 </dev/null || exit "$?") 2>/dev/null || rc=$?
    [ "$rc" -eq 137 ]
}
if [ -n "$traced" ]; then
    check "killed while it invites" struck 9 "${invite[@]}"
    check "and once more" struck 30 "${invite[@]}"
fi
check_out "then all are invited" ' were there already' timeout "$LIMIT" "${invite[@]}"
check_out "who asks again is told so" "^0 invited, $((many + 1)) were there already" timeout "$LIMIT" "${invite[@]}"
count_invites() { [ "$(files "$D/invites" '*.invite')" -eq "$many" ] && [ "$(files "$D/invites" '.*')" -eq 1 ]; } # the lock
check "each has its file, and nothing else is there" count_invites
other_level() { "${invite[@]}" --level 2; }
expect_exit 5 "an invitation to something else is not overwritten" 'not an invitation for that' other_level
check "the applicants ask" "$B/forgemany" make "$D/state" "$D/invites" "$D/asked"

# --- what a request itself is to blame for -----------------------------------------------------------

mkdir "$D/mixed"
high() { ca invite --community communications --level 4 --name high.us.example --out "$D/mixed-invites/high.invite"; }
good() { ca invite --community communications --name good.us.example --out "$D/mixed-invites/good.invite"; }
mkdir "$D/mixed-invites"
check "one is invited for more than it can prove" high
check "one for what it can" good
check "both ask" "$B/forgemany" make "$D/state" "$D/mixed-invites" "$D/mixed"
echo "no request" >"$D/mixed/a-text.request"
ln -s "$D/pin" "$D/mixed/b-link.request"
mkfifo "$D/mixed/c-pipe.request"
mixed() { ca issue --pin-file "$D/pin" --requests "$D/mixed" --out "$D/mixed" "$@"; }
expect_exit 2 "one request and many" 'one request' mixed --request "$D/mixed/good.request"
expect_exit 2 "many on standard output" 'directory' ca issue --pin-file "$D/pin" --requests "$D/mixed" --out -
expect_exit 5 "a directory without requests" 'no file in' ca issue --pin-file "$D/pin" --requests "$D/invites" --out "$D/x"
expect_exit 3 "a wrong PIN stops it at once" '^fusetsu: good.request: .*PIN' \
    ca issue --pin-file "$D/bad" --requests "$D/mixed" --out "$D/mixed"
check_out "and costs nobody an invitation" '^0$' sql "SELECT count(*) FROM invitation WHERE consumed_at <> 0"
expect_exit 6 "what is refused does not stop the others" '^1 issued, 4 refused, 0 were' mixed
check_out "the reason is beside it" 'invitation is for level 4' cat "$D/mixed/high.refused"
check_out "a text is no request" 'ENROLMENT REQUEST' cat "$D/mixed/a-text.refused"
check_out "a link is not followed" 'not a plain file' cat "$D/mixed/b-link.refused"
check_out "a pipe is not waited for" 'not a plain file' cat "$D/mixed/c-pipe.refused"
check "what is good is answered" test -s "$D/mixed/good.sealed"
expect_exit 6 "again: it is passed over, and nothing else has changed" '^0 issued, 4 refused, 1 were' mixed
check_out "not even the reason" 'invitation is for level 4' cat "$D/mixed/high.refused"
summary() { jq -c 'del(.refusals)' "$D/out.json"; }
expect_exit 6 "as JSON" '"complete": true' mixed --json
grep -v '^fusetsu:' "$D/out" >"$D/out.json"
check_out "how many" '^{"issued":0,"again":0,"there":1,"refused":4,"complete":true}$' summary
check_out "and why" 'used already' jq -r '.refusals[] | select(.name == "high") | .reason' "$D/out.json"
truncate -s -40 "$D/mixed/good.sealed"
expect_exit 6 "an answer that is not whole is given again" '1 issued before were sealed again' mixed
opened() { [ "$("$B/forgemany" open "$D/state" "$1" | wc -l)" -eq "$2" ]; }
check "it opens" opened "$D/mixed" 1
check_out "and is one certificate" '^1$' sql "SELECT count(*) FROM issued WHERE subject = 'good.us.example'"
mv "$D/mixed/good.request" "$D/good.aside"
echo rubbish >"$D/mixed/good.request"
expect_exit 6 "rubbish in the place of a request that was answered is refused" '5 refused' mixed
check "and takes no answer away" opened "$D/mixed" 1
mv "$D/good.aside" "$D/mixed/good.request"
expect_exit 6 "nor does it stay" '1 were there' mixed
check "in the way" test ! -e "$D/mixed/good.refused"
rm "$D"/mixed/[abc]-* "$D/mixed/high.request"
check_out "when the bad ones are gone, all is well" '^0 issued, 0 refused, 1 were' mixed

# --- killed ---------------------------------------------------------------------------------------------

kills=0 taken=0 unwritten=0 peak=0
# What the last kill left: an invitation that was taken and came to nothing; an answer without its file.
look() {
    local issued open
    open=$(sql "SELECT count(*) FROM invitation WHERE consumed_at <> 0 AND issued IS NULL AND refused_at = 0")
    issued=$(sql "SELECT count(*) FROM invitation WHERE issued IS NOT NULL AND subject LIKE 'gw%'")
    [ "$open" -eq 0 ] || taken=$((taken + 1))
    [ "$issued" -le "$(files "$D/answered" '*.sealed')" ] || unwritten=$((unwritten + 1))
    kills=$((kills + 1))
}
# Signs two certificates, takes the nonce, records, writes the file: some dozen such calls.
strike_each() {
    local n
    for n in 1 8 9 10 11 12 13 14 15 16 17 18 19 20 21; do
        struck "$n" "${issue[@]}" || { cat "$D/struck.out" && return 1; }
        look
    done
}
windows() { echo "taken: $taken, recorded: $unwritten" && [ "$taken" -gt 0 ] && [ "$unwritten" -gt 0 ]; }
if [ -n "$traced" ]; then
    check "killed at each call that makes one answer last" strike_each
    check "between taking the nonce and recording, and between recording and the file, too" windows
fi

# A disk that gets full: what was issued goes on the next one.
ns=(unshare -m)
[ "$(id -u)" -eq 0 ] || ns=(unshare -Urm)
small() { "${ns[@]}" sh -c 'mount -t tmpfs -o size=40k none "$0" && exec "$@"' "$D/small" "$@"; }
mkdir "$D/small"
if small true 2>"$D/out"; then
    full() { small timeout "$LIMIT" "$FUSETSU" ca issue --dir "$D/ca" --pin-file "$D/pin" --requests "$D/asked" --out "$D/small"; }
    expect_exit 5 "a full disk stops it at once" '^fusetsu: gw[0-9]*.us.example.request: .*(full|space|room)' full
    cp "$D/out" "$D/full.out"
    check_out "and says what became of it" 'What was issued is kept' cat "$D/full.out"
else
    skip "a full disk" "this user may not mount anything: $(head -n 1 "$D/out")"
fi

# The TPM is stopped, so that there is something to wait for.
tty_line() {
    local pid rc=0
    kill -STOP "$TPM_PID_1"
    background script -qfec "exec $(printf '%q ' "${issue[@]}")" "$D/tty" >"$D/script.out" 2>&1 </dev/null
    shown() { grep -q 'Issuing: [0-9]* of [0-9]*' "$D/tty" 2>/dev/null || gone "$LAST"; }
    poll 30 shown || rc=1
    pid=$(cat "/proc/$LAST/task/$LAST/children" 2>/dev/null)
    [ -z "$pid" ] || kill -KILL "${pid%% *}" 2>/dev/null
    kill -CONT "$TPM_PID_1"
    poll 10 gone "$LAST" || return 1
    cat "$D/tty"
    [ "$rc" -eq 0 ] && grep -q 'Issuing: [0-9]* of [0-9]*' "$D/tty"
}
if ! command -v script >/dev/null; then
    skip "a terminal says how far it is" "script is missing (Debian: bsdutils)"
else
    check "a terminal says how far it is" tty_line
fi

most() { # most PID: the memory that it needed
    local k
    k=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$1/status" 2>/dev/null)
    [ "${k:-0}" -le "$peak" ] || peak=$k
}
# kill_after N: ended once N more files are there
kill_after() {
    local want=$(($(answers) + $1))
    background "${issue[@]}" >"$D/killed.out" 2>&1 </dev/null
    further() { most "$LAST" && { [ "$(answers)" -ge "$want" ] || gone "$LAST"; }; }
    poll "$LIMIT" further || return 1
    kill -KILL "$LAST" 2>/dev/null
    poll 10 gone "$LAST" || return 1
    wait "$LAST" 2>/dev/null
    # On a slow machine it may have come to its end before.
    [ $? -ne 137 ] || look
}
some_kills() {
    local i step=$((many / 16))
    for i in 1 2 3 4; do kill_after $((RANDOM % (step + 1) + step)) || return 1; done
}
check "killed some more, further on" some_kills

# --- to the end -------------------------------------------------------------------------------------------

left=$((many - $(answers)))
began=$(date +%s%N)
to_the_end() {
    local rc=0
    background "${issue[@]}" >"$D/end.out" 2>&1 </dev/null
    ended() { most "$LAST" && gone "$LAST"; }
    poll "$LIMIT" ended && wait "$LAST" || rc=$?
    cat "$D/end.out"
    return "$rc"
}
check_out "then it comes to its end" '^[0-9]+ issued, 0 refused, [0-9]+ were there already' to_the_end
took=$((($(date +%s%N) - began) / 1000000))
check_out "nothing is left to do" "^0 issued, 0 refused, $many were there already" timeout "$LIMIT" "${issue[@]}"

whole() { [ "$(files "$D/answered" '*.sealed')" -eq "$many" ] && [ "$(files "$D/answered" '*')" -eq $((many + 1)) ]; } # the lock
check "an answer to each, and nothing beside them" whole
ca list --json >"$D/list.json"
leaves() { jq -r '.[] | select(.issuer == "issuing" and (.name | startswith("gw"))) | .name + " " + .serial' "$D/list.json" | sort; }
leaves >"$D/leaves"
check_out "none lost: the registry has a certificate for each name" "^$many\$" sh -c "cut -d ' ' -f 1 '$D/leaves' | sort -u | wc -l"
check_out "none double: it has no more" "^$many\$" sh -c "wc -l <'$D/leaves'"
serials() { [ "$(jq -r '.[].serial' "$D/list.json" | sort | uniq -d | wc -l)" -eq 0 ]; }
check "no serial number was used twice" serials
check_out "as many attestation keys were certified, and the good one's" "^$((many + 1))\$" \
    jq '[.[] | select(.issuer == "attestation")] | length' "$D/list.json"
same() {
    "$B/forgemany" open "$D/state" "$D/answered" >"$D/opened" || return 1
    awk '$1 != $2 { bad = 1 } END { exit bad }' "$D/opened" && cut -d ' ' -f 2- "$D/opened" | tr A-F a-f | sort | cmp - "$D/leaves"
}
check "each answer opens to the certificate of its name that the registry has" same
check_out "the registry is whole" '^ok$' sql 'PRAGMA integrity_check'
check_out "and each invitation has its answer" '^0$' sql \
    "SELECT count(*) FROM invitation i WHERE i.subject LIKE 'gw%' AND i.consumed_at <> 0 AND NOT EXISTS
    (SELECT 1 FROM issued c WHERE c.id = i.issued AND c.subject = i.subject)"
clean() { [ -z "$(tpm2_getcap -T "$FUSETSU_TCTI" handles-transient && tpm2_getcap -T "$FUSETSU_TCTI" handles-loaded-session)" ]; }
check "nothing is left in the TPM" clean
echo "# $many requests, killed $kills times; the last $left in $took ms; at most $peak kB of memory; a registry of $(stat -c %s "$D/ca/registry.db") bytes"
# Each certificate takes two signatures, one of each key. Both rates are of this run.
alone() {
    foreign "$B/signloop" "$MODULE" init open ca login "$D/pin" find "US attestation CA" sign 1000 \
        find "US issuing CA communications" sign 1000 fin
}
if [ "$many" -ge 1000 ]; then
    began=$(date +%s%N)
    check "the TPM alone signs a thousand times with each key" alone
    echo "# $((left * 1000 / took)) certificates a second; $((1000000 / (($(date +%s%N) - began) / 1000000))) pairs of signatures a second by the TPM alone"
fi
finish
