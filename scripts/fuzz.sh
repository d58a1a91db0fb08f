#!/usr/bin/env bash
# Throws bytes at the native front's core under AddressSanitizer and UndefinedBehaviorSanitizer.
#   scripts/fuzz.sh replay           the kept corpus once, by whatever C++ compiler there is
#   scripts/fuzz.sh run INPUTS       so many inputs by libFuzzer (clang), from the kept corpus on
#   scripts/fuzz.sh keep FOLDER      adds what FOLDER has that reaches more of the code to the kept corpus
set -euo pipefail
cd "$(dirname "$0")/.."
kept=native/fuzz/corpus.zip
built=${FUZZ_BUILD:-build/fuzz}
corpus=$built/corpus
rm -rf "$corpus" && mkdir -p "$corpus"
python3 -m zipfile -e "$kept" "$corpus"
sources=(native/fuzz/fuzz.cc native/front/{plain,guests,connection,core}.cc)
checks=(-std=c++17 -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all)
clang=$(command -v clang++ || command -v clang++-14 || command -v clang++-19 || true)
export ASAN_OPTIONS=${ASAN_OPTIONS:-malloc_context_size=4:max_malloc_fill_size=0:quarantine_size_mb=16}
case "${1:-replay}" in
replay)
    "${CXX:-c++}" "${checks[@]}" -fsanitize=address,undefined "${sources[@]}" native/fuzz/replay.cc -lnghttp2 -o "$built/replay"
    "$built/replay" "$corpus"/*
    ;;
run | keep)
    [ -n "$clang" ] || { echo "libFuzzer needs clang++ and its runtime (Debian: clang, libclang-rt-dev)" >&2; exit 1; }
    "$clang" "${checks[@]}" -fsanitize=fuzzer,address,undefined "${sources[@]}" -lnghttp2 -o "$built/fuzz"
    if [ "$1" = keep ]; then
        "$built/fuzz" -merge=1 -max_len=1024 "$corpus" "$2"
        rm -f "$kept" && (cd "$corpus" && python3 -m zipfile -c "$OLDPWD/$kept" ./*)
    else
        found=$(mktemp -d)
        "$built/fuzz" -runs="${2:-1000000}" -max_len=1024 -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 "$found" "$corpus"
    fi
    ;;
*)
    echo "usage: scripts/fuzz.sh [replay | run INPUTS | keep FOLDER]" >&2
    exit 2
    ;;
esac
