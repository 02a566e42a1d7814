# shellcheck shell=bash
# Sourced by the scripts beside it, with the tree's top as current directory.

# Prints why there is no fuzzing here; fails when there is.
fuzz_missing() {
    command -v clang >/dev/null || { echo "clang is not installed"; return 0; }
    echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d != 0 && n == 0; }' |
        clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - 2>/dev/null && return 1
    echo "clang has no runtime for it (Debian: libclang-rt-dev)"
}

fuzz_build() {
    make --no-print-directory -s -j"$(nproc)" BUILD="$PWD/build/fuzz" CC=clang FUZZ=1 fuzz-build
}

fuzz_targets() {
    local f
    for f in tests/fuzz/fuzz_*.c; do basename "$f" .c; done
}

# fuzz_one TARGET SECONDS NEW : mutates the committed inputs for so long; what is new goes to
# the directory NEW, a reproducer to build/log. Prints one line of TAP.
fuzz_one() {
    local target=$1 log=build/log/$1.log runs longest=2048
    # Requests and federations carry certificates.
    case $target in fuzz_evidence) longest=8192 ;; fuzz_federation) longest=16384 ;; esac
    mkdir -p "$3" build/log
    # tss2-mu would write a line about everything that it does not read.
    if TSS2_LOG=all+none build/fuzz/fuzz/"$target" -max_total_time="$2" -max_len="$longest" -len_control=0 -timeout=30 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="build/log/$target-" \
        "$3" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "ok - $target: $runs runs, no finding"
    else
        grep -v '^#' "$log" | tail -n 60
        echo "not ok - $target: see $log, run: build/fuzz/fuzz/$target build/log/$target-*"
        return 1
    fi
}
