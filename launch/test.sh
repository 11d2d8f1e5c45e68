#!/usr/bin/env bash
# Installs veldt and its developers' tools into .venv and runs every check and the daily tests (not
# those marked slow, which are `launch/results.sh slow`), in one process more than there are cores
# (they wait a lot), four at most, the long ones first. Arguments go to pytest: `-n 0 -x` runs them
# one by one.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=dev source launch/setup.sh
export OMP_NUM_THREADS=1
ruff check .
ruff format --check .
mypy
lint-imports
cores=$(getconf _NPROCESSORS_ONLN)
python -m pytest -n "$((cores < 3 ? cores + 1 : 4))" --dist loadfile --no-loadscope-reorder --durations=25 "$@"
