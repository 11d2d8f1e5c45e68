#!/usr/bin/env bash
# Installs veldt and its developers' tools into .venv and runs every check and every test.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=dev source launch/setup.sh
export OMP_NUM_THREADS=1
ruff check .
ruff format --check .
mypy
lint-imports
python -m pytest "$@"
