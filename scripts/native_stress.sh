#!/usr/bin/env bash
# The native front under a sanitizer.
#   scripts/native_stress.sh [thread|address] [SECONDS] [SEED]   its core under threads and odd clients
#   scripts/native_stress.sh module [TESTS]                      the extension whole, under AddressSanitizer: tests of fronts
set -euo pipefail
kind=${1:-thread}
cd "$(dirname "$0")/.."
core=(native/front/{plain,guests,connection,core}.cc)
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
make() { c++ -std=c++17 -O1 -g -fno-omit-frame-pointer -Wall -Wextra "$@" -lnghttp2 -lpthread; }
if [ "$kind" = module ]; then
    python=${PYTHON:-.venv/bin/python}
    headers=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    make -fsanitize=address,undefined -fPIC -shared -fvisibility=hidden "-I$headers" '-DFRONT_SHA256="sanitized"' \
        "${core[@]}" native/front/module.cc -o "$built/_core.abi3.so"
    # Every Python that is started from here takes this extension in place of the one that is installed.
    cat >"$built/sitecustomize.py" <<'PY'
import importlib.util, pathlib, sys

class Sanitized:
    def find_spec(self, name, path=None, target=None):
        if name == "openvino":  # its libraries are loaded in a way that sanitizers refuse
            raise ModuleNotFoundError(name)
        if name == "server.rpc.transport.native._core":
            return importlib.util.spec_from_file_location(name, pathlib.Path(__file__).with_name("_core.abi3.so"))

sys.meta_path.insert(0, Sanitized())
PY
    shift
    [ $# -gt 0 ] || set -- tests/contract/test_{transports,fronts}.py tests/integration/fronts/test_hostile.py
    preloaded=$(c++ -print-file-name=libasan.so):$(c++ -print-file-name=libstdc++.so)
    outcome=0
    LD_PRELOAD=$preloaded PYTHONMALLOC=malloc PYTHONPATH=$built \
        ASAN_OPTIONS="detect_leaks=0:log_path=$built/report" UBSAN_OPTIONS="print_stacktrace=1:log_path=$built/report" \
        "$python" -m pytest -q "$@" || outcome=$?
    if compgen -G "$built/report*" >/dev/null; then
        cat "$built"/report*
        exit 1
    fi
    exit "$outcome"
fi
seconds=${2:-10} seed=${3:-1}
[ "$kind" = thread ] || kind=address,undefined
make -fsanitize="$kind" -fno-sanitize-recover=all "${core[@]}" native/fuzz/stress.cc -o "$built/stress"
"$built/stress" "$seconds" "$seed"
