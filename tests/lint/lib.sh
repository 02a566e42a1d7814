# shellcheck shell=sh
# Sourced by the lints. A lint judges the git tree in the current directory; it prints what is wrong,
# one line for each finding, and ends with `ok - NAME` or `not ok - NAME: why`.

lint_name=${0##*/}
lint_tmp=$(mktemp -d "${TMPDIR:-/tmp}/lint.XXXXXX") || exit 2
trap 'rm -rf "$lint_tmp"' EXIT
trap 'exit 1' HUP INT TERM

# Files of the tree, committed or not; with arguments: git pathspecs.
lint_files() {
    git ls-files -co --exclude-standard --deduplicate -- "$@" | while IFS= read -r f; do
        [ ! -f "$f" ] || printf '%s\n' "$f"
    done
}

lint_ok() {
    echo "ok - $lint_name"
    exit 0
}

lint_skip() {
    echo "ok - $lint_name # SKIP: $*"
    exit 0
}

lint_not_ok() {
    echo "not ok - $lint_name: $*"
    exit 1
}

# The usual ending: FILE holds the findings.
lint_end() {
    [ -s "$1" ] || lint_ok
    cat "$1"
    lint_not_ok "$2 ($(wc -l <"$1" | tr -d ' '))"
}

# Copies all .c and .h files below $lint_tmp/code with comments and the insides of string and
# character literals blanked, line by line the same; names of included files stay.
lint_code() {
    lint_files '*.c' '*.h' >"$lint_tmp/c-files"
    while IFS= read -r f; do
        mkdir -p "$lint_tmp/code/$(dirname "$f")"
    done <"$lint_tmp/c-files"
    awk -v out="$lint_tmp/code" -v list="$lint_tmp/c-files" '
    function strip(s,    r, c, two, p) {
        r = ""
        while (s != "") {
            if (in_comment) {
                p = index(s, "*/")
                if (p == 0) return r
                s = substr(s, p + 2)
                in_comment = 0
                r = r " "
                continue
            }
            p = match(s, /["\047\/]/)
            if (p == 0) return r s
            r = r substr(s, 1, p - 1)
            s = substr(s, p)
            c = substr(s, 1, 1)
            two = substr(s, 1, 2)
            if (two == "/*") { in_comment = 1; s = substr(s, 3); continue }
            if (two == "//") return r
            s = substr(s, 2)
            if (c == "/") { r = r c; continue }
            r = r c
            while (s != "" && substr(s, 1, 1) != c)
                s = substr(s, substr(s, 1, 1) == "\\" ? 3 : 2)
            if (s != "") { r = r c; s = substr(s, 2) }
        }
        return r
    }
    BEGIN {
        while ((getline f < list) > 0) {
            in_comment = 0
            printf "" > (out "/" f)
            while ((getline line < f) > 0) {
                if (!in_comment && line ~ /^[ \t]*#[ \t]*include/)
                    print line > (out "/" f)
                else
                    print strip(line) > (out "/" f)
            }
            close(f)
            close(out "/" f)
        }
    }'
}

# Every #include of the tree as `FILE LINE NAME` (system includes as <NAME>).
lint_includes() {
    while IFS= read -r f; do
        awk -v f="$f" '/^[ \t]*#[ \t]*include[ \t]*["<]/ {
            name = $0
            sub(/^[^"<]*/, "", name)
            if (name ~ /^"/) { sub(/^"/, "", name); sub(/".*/, "", name) }
            else sub(/>.*/, ">", name)
            print f, FNR, name
        }' "$lint_tmp/code/$f"
    done <"$lint_tmp/c-files"
}
