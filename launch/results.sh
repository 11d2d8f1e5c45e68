#!/usr/bin/env bash
# Measures everything the README claims, and writes the tables to runs/results/results.md.
# About 8 minutes on 2 cores, alone on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=dev source launch/setup.sh
export OMP_NUM_THREADS=1
out=runs/results
rm -rf "$out"
mkdir -p "$out"

for seed in 1 2 3; do
  veldt train cartpole --seed "$seed" --out "$out/cartpole-$seed" --json > "$out/cartpole-$seed.json"
  veldt evaluate "$out/cartpole-$seed" --episodes 100 --json > "$out/cartpole-$seed-evaluation.json"
done
veldt train atari/pong --set frames=400000 --out "$out/pong" --json > "$out/pong.json"
veldt search quickstart --ranks 3 --out "$out/quickstart" --json > "$out/quickstart.json"
# SIGKILL of an actor in the middle of a run: the children of the learner's zygote are its actors.
veldt train cartpole --seed 4 --out "$out/killed" --json > "$out/killed.json" &
learner=$!
until [ "$(wc -l < "$out/killed/metrics.jsonl" 2>/dev/null || echo 0)" -gt 50 ]; do sleep 0.2; done
kill -9 "$(pgrep -P "$(pgrep -P "$learner")" | head -n 1)"
wait "$learner"
veldt bench throughput cartpole --json > "$out/bench-cartpole.json"
veldt bench throughput atari/pong --json > "$out/bench-pong.json"
python -P -m veldt.launch.results "$out" | tee "$out/results.md"
