#!/usr/bin/env bash
# The native front's core under threads and odd clients, built with a sanitizer: native_stress.sh [thread|address] [SECONDS] [SEED].
set -euo pipefail
kind=${1:-thread} seconds=${2:-10} seed=${3:-1}
[ "$kind" = thread ] || kind=address,undefined
cd "$(dirname "$0")/.."
built=$(mktemp)
trap 'rm -f "$built"' EXIT
parts=(native/front/plain.cc native/front/guests.cc native/front/connection.cc native/front/core.cc native/fuzz/stress.cc)
c++ -std=c++17 -O1 -g -Wall -Wextra -fsanitize="$kind" -fno-sanitize-recover=all "${parts[@]}" -lnghttp2 -lpthread -o "$built"
"$built" "$seconds" "$seed"
