#!/usr/bin/env bash
# What `make native` installs: a C++ compiler and nghttp2, by Debian's packages, where they are not there.
set -euo pipefail
need=()
command -v c++ >/dev/null || need+=(g++)
[ -e /usr/include/nghttp2/nghttp2.h ] || [ -e /usr/local/include/nghttp2/nghttp2.h ] || need+=(libnghttp2-dev)
[ ${#need[@]} -gt 0 ] || exit 0
command -v apt-get >/dev/null || { echo "install a C++ compiler and nghttp2's headers first: ${need[*]}" >&2; exit 1; }
as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -y -qq --no-install-recommends "${need[@]}"
