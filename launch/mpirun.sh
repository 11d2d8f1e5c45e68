#!/usr/bin/env bash
# A training or a search on the hosts of a file, a rank in each of their slots.
#
#   bash launch/mpirun.sh HOSTS train|search RECIPE OUT [OPTION...]
#   bash launch/mpirun.sh hosts train atari/pong runs/pong --set frames=200000000
#   bash launch/mpirun.sh hosts search ars/halfcheetah runs/halfcheetah
#
# A line of the file is a host and its slots, "lab2 slots=4". Of a training the first slot learns
# (the first learner.count, if that is set), and each other one has an actor: --set
# actors.count=N has them share N. The folder must be on a file system that the hosts share, and
# veldt in the same place on all of them. The same command goes on with what is there already;
# Ctrl-C saves it first. Wrong input ends with 2.
set -euo pipefail

wrong() {
  echo "mpirun.sh: $*" >&2
  exit 2
}

[ $# -ge 4 ] || wrong "say HOSTS train|search RECIPE OUT [OPTION...]; $# words are too few"
hosts=$1 work=$2 recipe=$3 folder=$4
shift 4
[ "$work" = train ] || [ "$work" = search ] || wrong "train or search, not $work"
[ -f "$hosts" ] && [ -r "$hosts" ] || wrong "$hosts: no such file; it names hosts, \"lab2 slots=4\""
slots=0
while read -r host words; do
  case $host in '' | '#'*) continue ;; esac
  [[ $words =~ (^|[[:space:]])slots=([1-9][0-9]*)([[:space:]]|$) ]] \
    || wrong "$hosts: say how many ranks $host has, \"$host slots=4\""
  slots=$((slots + BASH_REMATCH[2]))
done < <(cat "$hosts" && echo)
((slots)) || wrong "$hosts: names no host"
for program in mpirun veldt; do
  command -v "$program" > /dev/null || wrong "no $program on PATH; install it, or activate where it is"
done

options=(--hostfile "$hosts" -n "$slots" --map-by slot --bind-to none -x OMP_NUM_THREADS)
export OMP_NUM_THREADS=1
if [ "$work" = search ]; then
  if mpirun --version | grep -q "Open MPI) 5"; then
    options+=(--with-ft ulfm) # ranks that die are survived
  fi
elif ((slots > 1)); then
  set -- --set "actors.count=$((slots - 1))" "$@"
fi
mpirun "${options[@]}" "$(command -v veldt)" "$work" "$recipe" --out "$folder" --resume "$@" &
job=$!

# After a Ctrl-C of its own mpirun gives its ranks a moment; this it passes on to them.
trap 'kill -USR1 "$job"' INT TERM
code=0
while true; do
  wait "$job" && code=0 || code=$?
  kill -0 "$job" 2> /dev/null || break # else a signal ended the waiting, not the work
done
if [ "$code" = 0 ] && [ ! -e "$folder/summary.json" ]; then
  echo "mpirun.sh: every rank died" >&2 # which mpirun takes for an end where ranks may die
  code=1
fi
exit "$code"
