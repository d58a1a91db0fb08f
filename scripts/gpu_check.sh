#!/bin/sh
# Everything that can be checked of the engines on this machine: contract suite, parity, profile (see gpu_check.py).
# Usage: scripts/gpu_check.sh [--cpu] [--budget-s 400] [--out benchmarks/results]
set -eu
cd "$(dirname "$0")/.."
if [ -n "${PYTHON:-}" ]; then python=$PYTHON
elif [ -x .venv/bin/python ]; then python=.venv/bin/python
else python=python3
fi
PYTHONPATH=".${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 exec "$python" scripts/gpu_check.py "$@"
