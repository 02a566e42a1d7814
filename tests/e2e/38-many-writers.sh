#!/bin/bash
# Goal: a store that several processes write at once loses nothing, and one that cannot be written (no
# permission, a read-only or full disk, somebody's link in its place) is refused in words and not damaged.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh
story 1 "$@"

check "a token is made" new_token alpha
check "a key on it" new_key EC:prime256v1 ec 01
app() { foreign "$B/p11do" "$MODULE" open alpha login "$D/pin" "$@"; }
data=class=data,token,private=no
whole() { # whole FILE: SQLite and our own program find nothing wrong with it
    [ "$(sqlite3 -readonly "$1" 'PRAGMA integrity_check; PRAGMA foreign_key_check')" = ok ]
}
sum() { sha256sum <"$FUSETSU_STORE"; }
same() { [ "$(sum)" = "$before" ] || { echo "the file was changed" && return 1; }; }

# --- two writers and a reader -------------------------------------------------

each=150
writer() { # writer NUMBER: objects whose value is the number
    local i steps=()
    for ((i = 0; i < each; i++)); do
        # Both kinds: rows as they are, and rows that are sealed.
        steps+=(create d "class=data,token,private=$([ $((i % 2)) -eq 0 ] && echo no || echo yes),label=$1-$i,value=0$1")
    done
    app "${steps[@]}"
}
background "${FOREIGN[@]}" timeout -k 5 "$LIMIT" "$B/p11do" "$MODULE" open alpha login "$D/pin" find x label=1-0 \
    pause find x label=1-0 find k class=private,label=ec sign "$D/sig" ecdsa-sha256 k "$D/pin" logout \
    >"$D/reader" 2>&1 </dev/null
reader=$LAST
waits() { grep -q paused "$D/reader" || gone "$reader"; }
check "a third process has looked, and waits" poll 20 waits
both() {
    local one two rc=0
    writer 1 >"$D/w1" 2>&1 & one=$!
    writer 2 >"$D/w2" 2>&1 & two=$!
    STORY_PIDS+=("$one" "$two")
    wait "$one" || rc=1
    wait "$two" || rc=1
    cat "$D/w1" "$D/w2"
    return "$rc"
}
check "two processes create $each objects each at once" both
for n in 1 2; do
    check_out "all of number $n are there" "^x: $each\$" app find x "class=data,value=0$n"
done
check_out "each of them once" "^$((2 * each))\$" sqlite3 -readonly "$FUSETSU_STORE" \
    "SELECT count(*) FROM object WHERE class = 0"
# timeout(1) puts the program into a group of its own; both stop and go on together.
go_on() {
    local pid
    for pid in "$reader" $(cat "/proc/$reader/task/$reader/children"); do kill -CONT "$pid" || return 1; done
    poll 30 gone "$reader" && wait "$reader"
}
check "the third process goes on" go_on
check_out "it had seen none" '^x: 0$' sed -n 1p "$D/reader"
check_out "and sees what another one has made, without C_Finalize" '^x: 1$' sed -n '/paused/,$p' "$D/reader"
check "the store is whole" whole "$FUSETSU_STORE"

# One that reads while others write.
meanwhile() {
    local pid n=0
    writer 3 >"$D/w3" 2>&1 & pid=$!
    STORY_PIDS+=("$pid")
    until gone "$pid"; do
        app find k class=private,label=ec sign "$D/sig" ecdsa-sha256 k "$D/pin" || return 1
        n=$((n + 1))
    done
    wait "$pid" && [ "$n" -gt 0 ]
}
check "others log in and sign while one writes" meanwhile
check_out "and that one loses nothing" "^x: $each\$" app find x class=data,value=03

# --- a writer is killed ---------------------------------------------------------

killed() {
    local pid
    # shellcheck disable=SC2046  # words are meant
    "${FOREIGN[@]}" "$B/p11do" "$MODULE" open alpha login "$D/pin" create d "$data,label=first" \
        $(for _ in {1..400}; do echo create d "$data,label=killed"; done) >"$D/w4" 2>&1 </dev/null &
    pid=$!
    STORY_PIDS+=("$pid")
    poll 20 made first || return 1
    kill -KILL "$pid"
    poll 10 gone "$pid"
}
made() { app find x "label=$1" | grep -q '^x: 1$'; }
check "a writer is killed in the middle" killed
check "the next one writes" app create d "$data,label=after" find x label=after
check "the store is whole" whole "$FUSETSU_STORE"

# --- disks --------------------------------------------------------------------------

ns=(unshare -m)
[ "$(id -u)" -eq 0 ] || ns=(unshare -Urm)
mkdir "$D/small"
read_only() {
    "${ns[@]}" sh -c 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"' "$D/1" "$@"
}
# small BYTES SCRIPT: runs it where $D/small is a disk of that size, with a copy of the store in it.
small() {
    FUSETSU_STORE=$D/small/store.db "${ns[@]}" bash -c 'set -e
        mount -t tmpfs -o "size=$3,mode=700" none "$1"
        cp -p "$2" "$1/store.db"
        cd "$1"
        eval "$4"' bash "$D/small" "$FUSETSU_STORE" "$1" "$2"
}
words() { printf '%q ' "${FOREIGN[@]}" timeout -k 5 "$LIMIT" "$@"; }
steps() { words "$B/p11do" "$MODULE" open alpha login "$D/pin" "$@"; }
# 0xe2: CKR_TOKEN_WRITE_PROTECTED, 0xb5: CKR_SESSION_READ_ONLY, 0x31: CKR_DEVICE_MEMORY
signs=(find k class=private,label=ec sign "$D/sig" ecdsa-sha256 k "$D/pin")
protected=(fails 0xe2 open alpha open-ro alpha login "$D/pin" fails 0xb5 create d "$data,label=ro" "${signs[@]}")
if read_only true 2>"$D/out"; then
    before=$(sum)
    check "a read-only disk: a session that writes is refused, reading and signing work" read_only "${FOREIGN[@]}" \
        timeout -k 5 "$LIMIT" "$B/p11do" "$MODULE" "${protected[@]}"
    expect_exit 5 "a read-only disk: our program names the store" "^fusetsu: .*$FUSETSU_STORE.*(disk|directory)" \
        read_only "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$D/pin"
    expect_exit 5 "a read-only disk: no new store" "^fusetsu: .*$D/1" read_only env FUSETSU_STORE="$D/1/new/store.db" \
        "$FUSETSU" token init --label b --pin-file "$D/pin" --so-pin-file "$D/so"
    check "the store is as it was" same

    size=$(($(stat -c %s "$FUSETSU_STORE") / 1024 + 64))k
    before=$(sum)
    full='cat /dev/zero >fill 2>/dev/null || :
        s=$(sha256sum <store.db)'
    check "a full disk: creating says so, reading and signing work" small "$size" "$full
        $(steps fails 0x31 create d "$data,label=full" "${signs[@]}" fails 0x31 create d "$data,label=full")
        test \"\$(sha256sum <store.db)\" = \"\$s\"
        rm fill
        $(steps create d "$data,label=full" "${signs[@]}")"
    expect_exit 5 "a full disk: our program says so" '^fusetsu: .*(full|space|room)' small "$size" "$full
        $(words "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$D/pin")"
    expect_exit 5 "a full disk: no new store" '^fusetsu: .*(full|space|room)' small "$size" "$full
        $(words env FUSETSU_STORE="$D/small/new.db" "$FUSETSU" token init --label b --pin-file "$D/pin" --so-pin-file "$D/so")"
    head -c 60000 /dev/urandom >"$D/large"
    check "a disk that gets full in the middle: nothing of that is kept, and smaller things go on" small "$((${size%k} - 4))k" "
        $(steps fails 0x31 create d "$data,label=large,value=@$D/large" create d "$data,label=less")
        $(steps find x label=large find x label=less "${signs[@]}") >found
        test \"\$(sed -n '1s/x: //p;2s/x: //p' found | tr -d '\n')\" = 01
        test \"\$(sqlite3 -readonly store.db 'PRAGMA integrity_check')\" = ok"
    check "the store itself is as it was" same
else
    skip "read-only and full disks" "this user may not mount anything: $(head -n 1 "$D/out")"
fi

# --- masks --------------------------------------------------------------------------------

masked() { # masked MASK STORE
    (umask "$1" && FUSETSU_STORE=$2 "$FUSETSU" token init --label masked --pin-file "$D/pin" --so-pin-file "$D/so" &&
        FUSETSU_STORE=$2 "$FUSETSU" key generate --token masked --type p256 --label m --pin-file "$D/pin")
}
modes() { # of the directory, of each file
    [ "$(stat -c %a "$1")" = 700 ] && [ -z "$(find "$1" -type f ! -perm 600)" ]
}
for mask in 000 022 077; do
    check "a new store under umask $mask" masked "$mask" "$D/mask$mask/deep/store.db"
    check "is its owner's alone" modes "$D/mask$mask/deep"
done
background "${FOREIGN[@]}" bash -c 'umask 000; exec "$@"' bash "$B/p11do" "$MODULE" open alpha login "$D/pin" \
    create d "$data,label=m" destroy d create d "$data,label=m" >"$D/w5" 2>&1 </dev/null
journal() { [ -z "$(find "$D/1" -type f -perm /077)" ] || { ls -l "$D/1" && return 1; }; }
while ! gone "$LAST"; do journal >>"$D/loose" 2>/dev/null; done
check "nor is its journal ever open to others" test ! -s "$D/loose"

# --- links, and directories of everybody ------------------------------------------------------

mkdir -m 700 "$D/2"
echo precious >"$D/victim"
chmod 600 "$D/victim"
victim() { [ "$(cat "$D/victim")" = precious ] && [ "$(stat -c '%a %s' "$D/victim")" = '600 9' ]; }
init() { "$FUSETSU" token init --label b --pin-file "$D/pin" --so-pin-file "$D/so"; }
with() { FUSETSU_STORE=$1 "${@:2}"; }
module_init() { p11 --slot-index 0 --init-token --label b --so-pin "$SO"; }
refused() { # refused WHAT PATH PATTERN: by our program and by the module
    expect_exit 5 "$1: our program" "^fusetsu: .*$2.*($3)" with "$2" init
    expect_exit 5 "$1: our program, that only looks" "^fusetsu: .*$2" with "$2" "$FUSETSU" token list
    expect_fail "$1: the module" 'CKR_[A-Z_]+' with "$2" module_init
}
ln -s "$D/victim" "$D/2/store.db"
refused "a link to somebody's file" "$D/2/store.db" "symbolic link"
check "which is as it was" victim
ln -sf "$D/nowhere" "$D/2/store.db"
refused "a link to nowhere" "$D/2/store.db" "symbolic link"
check "which is still nowhere" test ! -e "$D/nowhere"
ln -sf "$FUSETSU_STORE" "$D/2/store.db"
before=$(sum)
refused "a link to a good store" "$D/2/store.db" "symbolic link"
check "which is as it was" same
rm "$D/2/store.db" && mkfifo "$D/2/store.db"
refused "a pipe" "$D/2/store.db" "regular file"
rm "$D/2/store.db"

cp -p "$FUSETSU_STORE" "$D/2/store.db"
two() { FUSETSU_STORE=$D/2/store.db foreign "$B/p11do" "$MODULE" "$@"; }
in_two() { FUSETSU_STORE=$D/2/store.db app "$@"; }
ln -s "$D/victim" "$D/2/store.db-journal"
with "$D/2/store.db" "$FUSETSU" token list >"$D/out" 2>&1
FUSETSU_STORE=$D/2/store.db app create d "$data,label=x" >"$D/out" 2>&1
check "a link in the place of the journal: what it leads to is as it was" victim
rm -f "$D/2/store.db-journal"
check "without it the store works" in_two create d "$data,label=x" "${signs[@]}"

for mode in 777 1777; do
    chmod "$mode" "$D/2"
    expect_exit 5 "a directory of mode $mode: our program" "^fusetsu: .*$D/2/store.db.*everybody can write" with "$D/2/store.db" \
        "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$D/pin"
    check "a directory of mode $mode: the module" two "${protected[@]}"
done
chmod 700 "$D/2"
chmod 666 "$D/2/store.db"
expect_exit 5 "a store that everybody can write" "^fusetsu: .*$D/2/store.db.*other users.*chmod 600" with "$D/2/store.db" \
    "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$D/pin"
expect_fail "the module does not use it, not even for reading" "can be written by other users" two open alpha
chmod 600 "$D/2/store.db"
if [ "$(id -u)" -eq 0 ]; then
    chown 12345 "$D/2/store.db"
    expect_exit 5 "a store of somebody else" "^fusetsu: .*$D/2/store.db belongs to user 12345" with "$D/2/store.db" \
        "$FUSETSU" key generate --token alpha --type p256 --label new --pin-file "$D/pin"
    expect_fail "the module does not use it" "neither you nor root" two open alpha
    chown 0 "$D/2/store.db"
else
    skip "a store of somebody else" "only root can give files away"
fi
check "put right, it works" in_two create d "$data,label=y" "${signs[@]}"
check "and the first one does, too" app "${signs[@]}"
check "and is whole" whole "$FUSETSU_STORE"
finish
