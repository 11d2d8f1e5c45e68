#!/usr/bin/env bash
# Installs veldt into .venv and runs its main job: under mpirun, a random search and then an
# evolution strategy over the hyper-parameters of IMPALA agents. Its folder is runs/quickstart;
# stopped at any time, the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh
export OMP_NUM_THREADS=1
# --ranks 3 is `mpirun -n 3`: one rank coordinates, the others train.
exec veldt search quickstart --ranks "${RANKS:-3}" --out runs/quickstart --resume "$@"
