#!/bin/bash
# Goal: many are invited on one set of terms, and only on these: what is there for other terms is not passed
# over, what came to nothing is made anew. What is granted, and to whom, is said and listed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

ca() { local c=$1; shift; timeout -k 5 "$LIMIT" "$FUSETSU" ca "$c" --dir "$D/ca" "$@"; }
sql() { sqlite3 -readonly "$D/ca/registry.db" "$1"; }
forge() { sqlite3 "$D/ca/registry.db" "$1"; }
invite() { ca invite --community communications "$@"; }

check "the authority's token" "$FUSETSU" token init --label ca --so-pin-file "$D/so" --pin-file "$D/pin"
check "an EK, and who made it" "$B/forgemany" pins "$D/pins" "$D/state"
check "an authority with clearances" ca init --any-tpm --token ca --pin-file "$D/pin" --nation US --org Test --domain us.example \
    --communities communications --ek-pins "$D/pins" --clearance-policy 1.3.6.1.4.1.32473.8.1 \
    --clearances 'restricted=For Some,secret=SECRET'

# --- what came to nothing ---------------------------------------------------------------------------

mkdir "$D/asked" "$D/answered"
many() { invite --names "$D/names" --out "$D/invites" "$@"; }
printf 'gw1.us.example\ngw2.us.example\n' >"$D/names"
check_out "two are invited to what they cannot prove" '^2 invited, 0 were' many --level 4
check_out "who asks again is told so" '^0 invited, 2 were there already' many --level 4
check "both ask" "$B/forgemany" make "$D/state" "$D/invites" "$D/asked"
mv "$D/asked/gw2.us.example.request" "$D/gw2.request"
issue() { ca issue --pin-file "$D/pin" --requests "$D/asked" --out "$D/answered" "$@"; }
expect_exit 6 "one is refused" '^0 issued, 1 refused' issue
check "as if it had been ended before it wrote why" rm "$D/answered/gw1.us.example.refused"
expect_exit 6 "the next one" '^0 issued, 1 refused' issue
check_out "writes why" 'refused \(the evidence proves level 3, the invitation is for' cat "$D/answered/gw1.us.example.refused"
expect_fail "and nothing of a nonce that is used" 'no match' sh -c "grep 'check 16' '$D/answered/gw1.us.example.refused' || { echo no match; false; }"
check_out "and may be invited anew" '^1 invited, 1 were there already' many --level 4
check_out "once" '^0 invited, 2 were there already' many --level 4
forge "UPDATE invitation SET expires_at = created_at WHERE subject = 'gw2.us.example'"
check_out "so is one whose invitation has ended" '^1 invited, 1 were there already' many --level 4
forge "UPDATE invitation SET consumed_at = created_at WHERE subject = 'gw2.us.example'"
check_out "what an older program took is there" '^0 invited, 2 were there already' many --level 4
states() { ca list --invitations --json | jq -r '.[].state' | tr '\n' ' '; }
check_out "the list says what became of each" '^refused used open used $' states

# --- other terms ------------------------------------------------------------------------------------

host() { invite --names "$D/host" --out "$D/hosts" "$@"; }
echo h.us.example >"$D/host"
check_out "a server is invited" '^1 invited' host --profile server
expect_exit 5 "not passed over as a gateway" 'h.us.example.invite is an invitation on other terms' host
expect_exit 5 "nor with a clearance" 'other terms' host --profile server --clearance restricted
check_out "but for the same" '^0 invited, 1 were there already' host --profile server
crew() { invite --names "$D/crew" --out "$D/crews" "$@"; }
printf 'alice@us.example\nbob@us.example\n' >"$D/crew"
check_out "persons are invited, cleared for the highest" '^2 invited' crew --clearance secret
check_out "in the nation's own word it is the same" '^0 invited, 2 were' crew --clearance SECRET
expect_exit 5 "a lower clearance is another" 'other terms' crew --clearance restricted
expect_exit 5 "and so is none" 'other terms' crew
check "nothing has changed" [ "$(sql "SELECT group_concat(DISTINCT clearance) FROM invitation WHERE subject LIKE '%@%'")" = 20 ]
invite --name carol@us.example --person 'Carol C' --clearance secret --out "$D/crews/carol@us.example.invite" >/dev/null
echo carol@us.example >>"$D/crew"
check_out "a person's name is no other term" '^0 invited, 3 were' crew --clearance secret
forge "UPDATE invitation SET refused_at = created_at WHERE subject = 'bob@us.example'"
expect_exit 5 "what is wrong with one is said before the next is invited" 'alice.* other terms' crew --clearance restricted
rm "$D/crews/alice@us.example.invite" "$D/crews/carol@us.example.invite"
check_out "what was refused is in nobody's way" '^3 invited, 0 were' crew --clearance restricted

# --- what is granted is said and listed ---------------------------------------------------------------

echo mixed.us.example >>"$D/crew"
rm -r "$D/crews"
check_out "of many: on which terms" '^All of them: communications, level 3; gateway, person, cleared for SECRET, For$' crew --clearance secret
carol() { invite --name carol@us.example --person 'Carol 第一課' "$@" --out "$D/c/carol@us.example.invite"; }
mkdir "$D/c"
check_out "of one" '^Invitation for carol@us.example \(communications, level 3; person Carol 第一課,$' carol --clearance secret
check "she asks" "$B/forgemany" make "$D/state" "$D/c" "$D/c"
one() { ca issue --pin-file "$D/pin" --request "$D/c/carol@us.example.request" --out "$D/c/sealed" "$@"; }
check_out "of what is issued" '^Issued to carol@us.example: .*; person Carol 第一課, cleared for SECRET, For Some\.$' one
check_out "as JSON" '^\["person","Carol 第一課",\["SECRET","For Some"\]\]$' sh -c "'$FUSETSU' ca issue --dir '$D/ca' --pin-file '$D/pin' \
    --request '$D/c/carol@us.example.request' --out '$D/c/sealed' --json | jq -c '[.profile, .person, .clearances]'"
check_out "the list has the address, and the highest clearance" '^carol@us.example +issuing +communications +person, SECRET +20' ca list
listed() { ca list --json | jq -c '.[] | select(.name == "carol@us.example") | [.profile, .person, .clearances]'; }
check_out "as JSON all" '^\["person","Carol 第一課",\["SECRET","For Some"\]\]$' listed
check_out "attestation keys and CAs are granted nothing" '^\[null,null\]$' sh -c "'$FUSETSU' ca list --dir '$D/ca' --json |
    jq -c '[.[] | select(.issuer != \"issuing\") | .profile] | unique + [null] | .[0:2]'"
check_out "the invitations too" '^carol@us.example +communications +3 +person, SECRET +issued +20' ca list --invitations
invitations() { ca list --invitations --json | jq -c 'map(select(.subject == "h.us.example"))[0] | [.profile, .person, .clearances]'; }
check_out "as JSON" '^\["server",null,\[\]\]$' invitations
narrow() { ca list >"$D/list" && ! grep -E '.{101}' "$D/list"; }
check "the list fits a hundred columns" narrow
check "by the name that it has there, it is revoked" ca revoke --name carol@us.example --reason superseded

# --- two directories, one request under two names ------------------------------------------------------

issue_into() { ca issue --pin-file "$D/pin" --requests "$D/two" --out "$1"; }
mkdir "$D/two" "$D/two-invites"
check "a host is invited" invite --name two.us.example --out "$D/two-invites/two.us.example.invite"
check "it asks" "$B/forgemany" make "$D/state" "$D/two-invites" "$D/two"
cp "$D/two/two.us.example.request" "$D/two/twin.request"
check_out "one request under two names is one certificate" '^1 issued, 0 refused, 0 were there already, 1 issued before' issue_into "$D/a"
check_out "and then answered" '^0 issued, 0 refused, 2 were there already\.$' issue_into "$D/a"
check_out "another directory has files of its own" '^0 issued, 0 refused, 0 were there already, 2 issued before' issue_into "$D/b"
check_out "which are good" '^0 issued, 0 refused, 2 were there already\.$' issue_into "$D/b"
check_out "and those in the first still are" '^0 issued, 0 refused, 2 were there already\.$' issue_into "$D/a"
check "it is revoked" ca revoke --name two.us.example --reason superseded
rm "$D/a/twin.sealed"
truncate -s -40 "$D/a/two.us.example.sealed"
expect_exit 6 "what would be sealed again is refused then" '^0 issued, 2 refused' issue_into "$D/a"
one_answer() { [ "$(cd "$D/a" && echo *)" = "twin.refused two.us.example.refused" ]; }
check "and a name has one answer" one_answer
finish
